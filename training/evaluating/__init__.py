"""Closed-book questions: read from a file, scored with any causal language model, summed up with intervals."""
