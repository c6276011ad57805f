"""A self-contained HTML report of a run: figures, and a reader for its rewrites."""
