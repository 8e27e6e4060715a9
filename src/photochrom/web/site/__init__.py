"""The studio as static files, which color in the visitor's browser."""
