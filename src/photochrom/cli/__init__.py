"""The command `photochrom`: one file a command."""
