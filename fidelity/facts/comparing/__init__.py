"""Compares the facts of two texts: aligns their sentences, then matches facts type by type."""
