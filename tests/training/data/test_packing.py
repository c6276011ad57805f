from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from training.data.packing import Packer
from training.data.sampler import Piece


def packer(lengths: list[int], row_length: int, n_buffered: int) -> Packer:
    pieces: Iterator[Piece] = (Piece(d, 0, n, 0) for d, n in enumerate(lengths))
    return Packer(lambda: next(pieces, None), row_length, n_buffered)


def test_the_example_of_the_docstring() -> None:
    a, b, c, d, e = range(5)
    packing = packer([5, 6, 2, 9, 1], 8, 3)
    assert packing.next_row() == [Piece(b, 0, 6, 0), Piece(c, 0, 2, 0)]
    assert packing.next_row() == [Piece(a, 0, 5, 0), Piece(e, 0, 1, 0), Piece(d, 0, 2, 0)]
    assert packing.state_dict() == {"buffer": [[d, 2, 9, 0]]}


def test_a_document_longer_than_a_row_continues_where_it_was_cut() -> None:
    packing = packer([10], 4, 2)
    assert [packing.next_row() for _ in range(3)] == [[Piece(0, 0, 4, 0)], [Piece(0, 4, 8, 0)], None]


@given(
    lengths=st.lists(st.integers(1, 30), max_size=40),
    row_length=st.integers(1, 20),
    n_buffered=st.integers(1, 8),
    cut=st.integers(0, 10),
)
def test_rows_are_full_and_no_position_is_lost_repeated_or_reordered(
    lengths: list[int], row_length: int, n_buffered: int, cut: int
) -> None:
    packing = packer(lengths, row_length, n_buffered)
    rows: list[list[Piece]] = []
    while (row := packing.next_row()) is not None:
        if len(rows) == cut:  # a round trip through the saved state changes nothing
            packing.load_state_dict(packing.state_dict())
        rows.append(row)
    assert all(sum(p.end - p.start for p in row) == row_length for row in rows)
    reached = [0] * len(lengths)
    for piece in (piece for row in rows for piece in row):
        assert piece.start == reached[piece.document]
        reached[piece.document] = piece.end
    assert all(end <= length for end, length in zip(reached, lengths, strict=True))
    assert len(rows) == sum(lengths) // row_length
