"""Folders of photographs: find, plan, color, record."""
