"""Fits the calibration weights: labelled sets, planted pairs, scores, the fit and its reliability.

Nothing here is needed at run time.
"""
