"""Photographs in and out of files: formats, metadata, profiles, strips."""
