"""Errors and faithful edits, planted in real text so that the label is known: data for fitting and benchmarks. Nothing
here checks a text.
"""
