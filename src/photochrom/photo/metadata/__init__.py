"""One file for each kind of metadata."""
