"""Photographs in and out of files: formats, metadata, profiles, strips."""

import os

# libvips reads this when it starts: its warnings go nowhere, not to stderr either. See `vips.py`.
os.environ.setdefault("VIPS_WARNING", "1")
