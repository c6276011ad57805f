"""Checks of a rewrite that need no calibration: form, language, preserved formulas and numbers, prompt injection,
diversity, and scores by sentence.

`fidelity.embeddings` has the vectors they compare, `fidelity.calibration` combines their scores into a probability.
"""
