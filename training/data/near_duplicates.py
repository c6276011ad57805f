"""Which texts are copies or near copies of each other, by MinHash (Broder 1997) and banding.

A text is the set of its runs of 5 tokens; two texts agree in a MinHash with a probability of their Jaccard similarity.
Of each of 128 MinHashes a byte is kept: 16 bands of 8. Texts that share a band are compared, and are near copies from a
similarity of 0.7. Of pairs with similarity 0.9 and 0.8, 100 % and 95 % share a band, of pairs with 0.5, 6 %. The hashes
are computed when a text is tokenised; finding equal bands is a sort.

datasketch 2.0, the library in use for this, was measured and not taken (one core, the same shingles and bands): its
index, a dictionary for each band, takes more than 50 times as long (0.15 ms a text instead of 0.003) and 7 KB of memory
a text instead of 128 bytes, where a corpus has millions of texts. Its hashing alone takes 0.7 times as long for texts
of 300 tokens, 2.9 times for texts of 4,500, and a kilobyte of memory for each token of a text.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SHINGLE = 5
N_BANDS, BAND_SIZE = 16, 8
MIN_SIMILARITY = 0.7

Hashes = NDArray[np.uint64]

_ODD = np.random.default_rng(5).integers(1, 2**63, SHINGLE + N_BANDS * BAND_SIZE, dtype=np.uint64) | np.uint64(1)
_POSITIONS, _PERMUTATIONS = np.split(_ODD, [SHINGLE])


def bands(tokens: NDArray[np.uint32]) -> Hashes:
    """The bands (N_BANDS,) of a text, each the lowest bytes of `BAND_SIZE` MinHashes."""
    if not len(tokens):
        return np.zeros(N_BANDS, np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, min(SHINGLE, len(tokens))).astype(np.uint64)
    shingles = np.unique(_mix((windows * _POSITIONS[: windows.shape[1]]).sum(axis=1)))
    # Multiplying by an odd number permutes the 64-bit integers; a loop keeps a long text from needing 128 copies.
    smallest = np.array([(shingles * odd).min() for odd in _PERMUTATIONS], np.uint64)
    return _mix(smallest).astype(np.uint8).view(np.uint64)


def group(keys: Sequence[NDArray[np.generic]], bands_DB: Hashes) -> NDArray[np.int32]:
    """The group (D,) of each of D texts: texts that agree in one of `keys` (each (D,)) or are near copies share one."""
    n = len(bands_DB)
    hashes_D = np.ascontiguousarray(bands_DB).view(np.uint8).reshape(n, -1)
    pairs = [(np.arange(n), _first_with_same(key)) for key in keys]
    for band in bands_DB.T:
        first = _first_with_same(band)
        candidates = np.flatnonzero(first != np.arange(n))
        alike = (hashes_D[candidates] == hashes_D[first[candidates]]).mean(axis=1) >= MIN_SIMILARITY
        pairs.append((candidates[alike], first[candidates[alike]]))
    rows, columns = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def _first_with_same(key: NDArray[np.generic]) -> NDArray[np.int64]:
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return first[inverse]


def _mix(values: Hashes) -> Hashes:
    """Spread every bit over all bits (the finaliser of MurmurHash3)."""
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    return values ^ (values >> np.uint64(33))
