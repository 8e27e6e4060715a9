"""It makes `material`, which is beside it, importable for the tests in the folders below."""
