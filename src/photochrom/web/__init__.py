"""Pages served on this machine; needs photochrom[web]."""
