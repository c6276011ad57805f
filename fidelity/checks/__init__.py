"""Checks of a rewrite that need no calibration (form, language, preserved formulas and numbers, prompt injection,
diversity), and the models that score it (embeddings, a causal language model).

Only `encoder` imports sentence-transformers. `fidelity.calibration` combines the scores into a probability.
"""
