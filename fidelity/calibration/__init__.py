"""From scores to a probability: the weights, as data, and how they are read, written and applied.

They are made in `fidelity.fitting`.
"""
