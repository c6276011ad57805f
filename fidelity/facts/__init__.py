"""Typed facts: extracted from both texts in `reading`, compared in `comparing`. No model is needed."""
