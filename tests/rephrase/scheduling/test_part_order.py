"""Long documents start while there is other work to run alongside."""

from hypothesis import given
from hypothesis import strategies as st

from rephrase.corpus.reading import Position
from rephrase.dataset.plan import Part
from rephrase.scheduling.part_order import order_parts


def part(index, n_bytes, longest):
    return Part(index=index, file=0, start=Position(), n_records=1, n_bytes=n_bytes, longest_bytes=longest)


def test_a_part_at_the_end_with_a_long_document_goes_first():
    parts = [part(i, 1000, 10) for i in range(50)]
    parts[40] = part(40, 1000, 900)  # at 8 at once it takes as long as 7200 bytes of others, or three times that
    order = [p.index for p in order_parts(parts, n_at_once=8)]
    assert order == [40, 49, *(i for i in range(49) if i != 40)]


def test_a_large_corpus_is_read_in_its_order():
    parts = [part(i, 1000, 100) for i in range(500)]
    order = [p.index for p in order_parts(parts, n_at_once=32)]
    assert order[:10] == [*range(490, 500)]
    assert order[10:] == list(range(490))


def test_a_small_corpus_is_ordered_by_its_longest_documents():
    parts = [part(i, 1000, longest) for i, longest in enumerate([30, 900, 200, 500])]
    assert [p.index for p in order_parts(parts, n_at_once=256)] == [1, 3, 2, 0]


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 1000)), max_size=30), st.integers(1, 300))
def test_every_part_occurs_once(sizes, n_at_once):
    parts = [part(i, max(sizes), longest) for i, sizes in enumerate(sizes) for longest in [min(sizes)]]
    assert sorted(p.index for p in order_parts(parts, n_at_once)) == [p.index for p in parts]
