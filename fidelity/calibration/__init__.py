"""From scores to a probability: the weights as data, and the code that reads, writes and applies them.

`fidelity.fitting` fits them.
"""
