"""In which order the parts of a corpus are rewritten."""

from collections.abc import Sequence

from rephrase.dataset.plan import Part

# How much longer a chain takes than its share of the engine's time, with some room: retries and checks are not planned.
STRETCH = 3


def order_parts(parts: Sequence[Part], n_at_once: int) -> list[Part]:
    """As they stand in the corpus, but those whose longest document would outlast all that comes after it go first.

    A chain of many chunks takes its time however fast the engine is: begun last, it would be written alone, at a
    fraction of the engine's speed. In a corpus that is large for its engine only the last few parts are meant; in a
    small one all are, and they are sorted by their longest document.

    Args:
        n_at_once: so many chains share the engine: one of n bytes takes as long as n × n_at_once bytes of others.
    """
    early: list[Part] = []
    others: list[Part] = []
    n_bytes_after = 0
    for part in reversed(parts):
        (early if STRETCH * part.longest_bytes * n_at_once > n_bytes_after else others).append(part)
        n_bytes_after += part.n_bytes
    return sorted(early, key=lambda part: (-part.longest_bytes, part.index)) + others[::-1]
