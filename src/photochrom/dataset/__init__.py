"""Shards of photographs: prepare, store, decode."""
