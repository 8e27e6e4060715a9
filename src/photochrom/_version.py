"""The one home of the version number; the package's metadata is read from here."""

__version__ = "0.1.0"
