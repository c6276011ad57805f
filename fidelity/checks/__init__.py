"""The checks of a rewrite that need no weights: form, language, preserved formulas and numbers, prompt injection,
diversity; and the models that compare sentences: embeddings, likelihood, entailment.

Only `encoder` imports sentence-transformers. What the scores add up to is the business of `fidelity.calibration`.
"""
