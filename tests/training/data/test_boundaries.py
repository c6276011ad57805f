import pytest
import torch

from training.data import boundaries
from training.data.boundaries import Boundaries


def test_a_row_worked_by_hand() -> None:
    row = Boundaries(torch.tensor([[0, 0, 0, 3, 3]]))
    assert row.positions_BS.tolist() == [[0, 1, 2, 0, 1]]
    assert row.visible_BSS[0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 1, 1],
    ]


def test_spans_cover_exactly_the_visible_pairs(packed: Boundaries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boundaries, "QUERY_BLOCK", 3)
    seen = torch.zeros_like(packed.visible_BSS)
    for span in packed.spans:
        block = seen[span.row, span.start : span.end, span.first_key : span.end]
        block |= True if span.hidden_QK is None else ~span.hidden_QK
    assert torch.equal(seen, packed.visible_BSS)


def test_starts_must_be_a_matrix_of_integers() -> None:
    with pytest.raises(ValueError, match="float32"):
        Boundaries(torch.zeros(2, 3))
