"""Sentence embeddings: the encoder, by name or folder, and a cache of its vectors.

Only `encoder` imports sentence-transformers. What is compared by embeddings is decided in `fidelity.checks` and above.
"""
