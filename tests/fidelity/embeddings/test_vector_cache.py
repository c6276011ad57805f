"""Vectors are cached up to a limit and returned in the requested order."""

import numpy as np
from scripted import BagOfWords

from fidelity.embeddings.vector_cache import CachedEncoder


class Counting(BagOfWords):
    def __init__(self):
        self.encoded = []

    def encode(self, texts):
        self.encoded.append(list(texts))
        return super().encode(texts)


def test_a_text_is_encoded_once_and_returned_in_its_position():
    inner = Counting()
    cache = CachedEncoder(inner)
    texts = ["a longer text here", "short", "short", "middle one"]
    found = cache.encode(texts)
    assert np.array_equal(found, BagOfWords().encode(texts))
    assert inner.encoded == [["short", "middle one", "a longer text here"]]  # once each, by length
    again = cache.encode(["middle one", "new"])
    assert inner.encoded[1:] == [["new"]]
    assert np.array_equal(again, BagOfWords().encode(["middle one", "new"]))


def test_the_least_recently_used_vector_is_evicted():
    inner = Counting()
    cache = CachedEncoder(inner, max_vectors=2)
    cache.encode(["one", "two"])
    cache.encode(["one"])
    cache.encode(["three"])  # evicts two
    inner.encoded.clear()
    cache.encode(["one", "three"])
    assert inner.encoded == []
    cache.encode(["two"])
    assert inner.encoded == [["two"]]


def test_a_call_larger_than_the_cache_returns_all_vectors():
    texts = [f"text {i}" for i in range(20)]
    assert np.array_equal(CachedEncoder(BagOfWords(), max_vectors=3).encode(texts), BagOfWords().encode(texts))
