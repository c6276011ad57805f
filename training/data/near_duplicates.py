"""Which texts are copies or near copies of each other, by MinHash and banding (Broder 1997).

A text is the set of its runs of 5 tokens. Two texts share a MinHash with a probability of their Jaccard similarity J,
and a band of 5 of them with J⁵, so that texts with J = 0.9, 0.8, 0.5, 0.3 share one of 12 bands in 100 %, 99 %, 32 %
and 3 % of cases. Bands are 96 bytes per text, computed once when it is tokenised; grouping by equal bands is linear.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SHINGLE = 5
N_BANDS, BAND_SIZE = 12, 5

Hashes = NDArray[np.uint64]

_ODD = np.random.default_rng(5).integers(1, 2**63, N_BANDS * BAND_SIZE + SHINGLE + 1, dtype=np.uint64) | np.uint64(1)
_POSITION, _PERMUTATION, _CONTENT = _ODD[:SHINGLE], _ODD[SHINGLE:-1], _ODD[-1]


def bands(tokens: NDArray[np.uint32]) -> Hashes:
    """The band hashes (N_BANDS,) of a text; near copies have one in common."""
    if not len(tokens):
        return np.zeros(N_BANDS, np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, min(SHINGLE, len(tokens))).astype(np.uint64)
    shingles = np.unique(_mix((windows * _POSITION[: windows.shape[1]]).sum(axis=1)))
    # Multiplying by an odd number permutes the 64-bit integers; a loop keeps a long text from needing 60 copies.
    smallest = np.array([(shingles * odd).min() for odd in _PERMUTATION], np.uint64).reshape(N_BANDS, BAND_SIZE)
    # The number of the band keeps equal values of different bands apart.
    return _mix((smallest * _POSITION).sum(axis=1) + np.arange(N_BANDS, dtype=np.uint64) * _CONTENT)


def group(keys: Sequence[NDArray[np.generic]]) -> NDArray[np.int32]:
    """The group (D,) of each of D texts: two texts that agree in one of `keys` (each (D,)) are in one group."""
    n = len(keys[0])
    edges = []
    for key in keys:
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        edges.append(first[inverse])
    columns = np.concatenate(edges)
    rows = np.tile(np.arange(n), len(keys))
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def _mix(values: Hashes) -> Hashes:
    """Spread every bit over all bits (the finaliser of MurmurHash3)."""
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    return values ^ (values >> np.uint64(33))
