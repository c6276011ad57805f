import pytest
import torch

from training.optimizer.matrix_layout import MatrixLayout


def test_key_and_value_rows_of_two_heads_by_hand() -> None:
    # Rows: head 0 has keys 0 1 and value 2, head 1 keys 3 4 and value 5.
    weight = torch.arange(6.0)[:, None].expand(6, 3)
    keys, values = MatrixLayout(n_groups=2, parts=(2, 1)).split(weight)
    assert keys[0, :, 0].tolist() == [0, 1, 3, 4]
    assert values[0, :, 0].tolist() == [2, 5]
    keys, values = MatrixLayout(n_groups=2, parts=(2, 1), per_group=True).split(weight)
    assert keys[..., 0].tolist() == [[0, 1], [3, 4]]
    assert values[..., 0].tolist() == [[2], [5]]


@pytest.mark.parametrize("per_group", [False, True])
@pytest.mark.parametrize(
    ("shape", "groups", "parts"), [((12, 5), 2, (4, 2)), ((3, 12, 5), 1, (6, 6)), ((12, 5), 3, ())]
)
def test_join_puts_back_what_split_took(
    shape: tuple[int, ...], groups: int, parts: tuple[int, ...], per_group: bool
) -> None:
    layout, weight = MatrixLayout(groups, parts, per_group), torch.randn(shape)
    batches = layout.split(weight)
    assert sum(batch.numel() for batch in batches) == weight.numel()
    target = torch.zeros(shape)
    layout.join(target, batches, [2.0] * len(batches))
    assert torch.equal(target, 2 * weight)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((10, 4), MatrixLayout(parts=(4, 4))),
        ((10, 4), MatrixLayout(n_groups=3)),
        ((8,), MatrixLayout()),
        ((2, 2, 2, 2), MatrixLayout()),
    ],
)
def test_a_layout_that_does_not_fit_is_rejected(shape: tuple[int, ...], layout: MatrixLayout) -> None:
    with pytest.raises(ValueError, match="my_weight"):
        layout.check("my_weight", shape)
