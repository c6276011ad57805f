"""Errors and faithful edits, planted into real sentences so that the answer is known: material for fitting and for
benchmarks. Nothing here judges.
"""
