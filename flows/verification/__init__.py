"""Verdicts on pairs of texts in files or on the chunks of a finished run, and weights fitted to labelled pairs."""
