"""Vectors are remembered, in bounds, and in the order asked for."""

import numpy as np
from scripted import BagOfWords

from fidelity.checks.vector_cache import CachedEncoder


class Counting(BagOfWords):
    def __init__(self):
        self.asked = []

    def encode(self, texts):
        self.asked.append(list(texts))
        return super().encode(texts)


def test_a_text_is_encoded_once_and_comes_back_in_its_place():
    inner = Counting()
    cache = CachedEncoder(inner)
    texts = ["a longer text here", "short", "short", "middle one"]
    found = cache.encode(texts)
    assert np.array_equal(found, BagOfWords().encode(texts))
    assert inner.asked == [["short", "middle one", "a longer text here"]]  # once each, by length
    again = cache.encode(["middle one", "new"])
    assert inner.asked[1:] == [["new"]]
    assert np.array_equal(again, BagOfWords().encode(["middle one", "new"]))


def test_what_was_asked_for_longest_ago_is_forgotten():
    inner = Counting()
    cache = CachedEncoder(inner, max_vectors=2)
    cache.encode(["one", "two"])
    cache.encode(["one"])
    cache.encode(["three"])  # two goes
    inner.asked.clear()
    cache.encode(["one", "three"])
    assert inner.asked == []
    cache.encode(["two"])
    assert inner.asked == [["two"]]


def test_a_call_larger_than_the_cache_is_answered_whole():
    texts = [f"text {i}" for i in range(20)]
    assert np.array_equal(CachedEncoder(BagOfWords(), max_vectors=3).encode(texts), BagOfWords().encode(texts))
