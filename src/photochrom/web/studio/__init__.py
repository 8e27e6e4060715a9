"""The studio: its service, and what it keeps of photos."""
