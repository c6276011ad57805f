"""The order in which the parts of a corpus are rewritten."""

from collections.abc import Sequence

from rephrase.dataset.plan import Part

# How much longer a chain takes than its share of the engine's time: a margin for retries and checks.
STRETCH = 3


def order_parts(parts: Sequence[Part], n_at_once: int) -> list[Part]:
    """In corpus order, except that parts whose longest document would outlast everything after them go first.

    A chain of many chunks takes its time however fast the engine is: started last, it would be written alone, at a
    fraction of the engine's throughput. In a corpus that is large for its engine this moves only the last few parts;
    in a small one it moves all, and they are sorted by their longest document.

    Args:
        n_at_once: how many chains share the engine: one of n bytes takes as long as n × n_at_once bytes of others.
    """
    early: list[Part] = []
    others: list[Part] = []
    n_bytes_after = 0
    for part in reversed(parts):
        (early if STRETCH * part.longest_bytes * n_at_once > n_bytes_after else others).append(part)
        n_bytes_after += part.n_bytes
    return sorted(early, key=lambda part: (-part.longest_bytes, part.index)) + others[::-1]
