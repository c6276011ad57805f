"""A small cross-encoder that reads a rewrite beside its source and marks, word by word, what is added, lost or garbled.

`fidelity.fitting.train_reader` trains it; what becomes of its marks is decided by the calibration.
"""
