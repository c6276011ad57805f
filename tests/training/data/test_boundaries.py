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
        shown = torch.ones_like(block)
        if span.hidden_QK is not None:
            shown[:, -span.hidden_QK.shape[1] :] &= ~span.hidden_QK
        assert not (block & shown).any(), "a pair was computed twice"
        block |= shown
    assert torch.equal(seen, packed.visible_BSS)


@pytest.mark.parametrize("starts", [[0] * 2000, [0] * 700 + [700] * 1300, [i - i % 7 for i in range(2000)]])
def test_masks_grow_with_the_row_and_not_with_its_square(starts: list[int]) -> None:
    spans = Boundaries(torch.tensor([starts])).spans
    assert max(max(span.hidden_QK.shape) for span in spans if span.hidden_QK is not None) <= boundaries.QUERY_BLOCK
    assert sum(span.end - span.start for span in spans) == 2000
    assert len(spans) <= 2 * -(-2000 // boundaries.QUERY_BLOCK)


def test_starts_must_be_a_matrix_of_integers() -> None:
    with pytest.raises(ValueError, match="float32"):
        Boundaries(torch.zeros(2, 3))
