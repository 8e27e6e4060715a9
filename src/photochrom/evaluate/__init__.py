"""Figures of a model on photographs of known color."""
