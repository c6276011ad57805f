import pytest

from training.model.presets import deepseek_v3, nano
from training.planning.layout import Layout, virtual_stages


def test_a_layout_is_read_from_its_text() -> None:
    assert Layout.parse("pp=16, ep=16,dp=8") == Layout(pp=16, ep=16, dp=8)
    assert Layout.parse("rows=64,micro=4").n_micro_batches == 16
    assert Layout.parse("pp=16,ep=16,dp=8").n_processes == 2048


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' in the layout"),
        ("pp=16,tp=8", r"'tp=8'.*pp, dp, ep, vpp, rows, micro"),
        ("pp=two", "'pp=two' in the layout"),
        ("pp", "'pp'"),
        ("ep=-4", "'ep=-4'"),
        ("dp=0", "'dp=0'"),
        ("pp=2,pp=4", "pp is given twice"),
        ("ep=3,rows=64", "set rows to a multiple of 3"),
    ],
)
def test_a_wrong_layout_is_explained(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layout.parse(text)


def test_a_rank_has_every_pp_th_virtual_stage() -> None:
    interleaved = virtual_stages(nano(), Layout(pp=2, vpp=2))
    assert interleaved == [[range(1), range(2, 3)], [range(1, 2), range(3, 4)]]


def test_a_layout_that_does_not_fit_the_model_is_explained() -> None:
    with pytest.raises(ValueError, match="4 layers do not fill 8 pipeline stages"):
        virtual_stages(nano(), Layout(pp=4, vpp=2))
    with pytest.raises(ValueError, match="256 experts do not divide into 3"):
        virtual_stages(deepseek_v3(), Layout(ep=3, rows=3))


def simulated(pp: int, vpp: int, n_micro_batches: int) -> tuple[float, list[int]]:
    """Idle share and most activations of each rank, by running the interleaved schedule with unit operations.

    Each rank has a fixed list of operations, warm-up, one forward and one backward in turn, and the rest backward; an
    operation starts when its rank is free and the one it depends on has ended. Backward takes as long as forward.
    """
    n = vpp * n_micro_batches
    order: list[list[tuple[str, int, int]]] = []
    for rank in range(pp):
        forward = [("f", i % (pp * vpp) // pp, i // (pp * vpp) * pp + i % pp) for i in range(n)]
        backward = [("b", vpp - 1 - chunk, micro) for _, chunk, micro in forward]
        n_warmup = min(n, pp - 1 - rank if vpp == 1 else 2 * (pp - 1 - rank) + (vpp - 1) * pp)
        steady = [op for pair in zip(forward[n_warmup:], backward, strict=False) for op in pair]
        order.append([*forward[:n_warmup], *steady, *backward[n - n_warmup :]])
    ended: dict[tuple[str, int, int], int] = {}
    at, free = [0] * pp, [0] * pp
    held, most = [0] * pp, [0] * pp
    while any(at[rank] < len(order[rank]) for rank in range(pp)):
        for rank in range(pp):
            while at[rank] < len(order[rank]):
                kind, chunk, micro = order[rank][at[rank]]
                stage = chunk * pp + rank
                before = ("f", stage - 1, micro) if kind == "f" else ("b", stage + 1, micro)
                if (kind == "f" and stage == 0) or (kind == "b" and stage == pp * vpp - 1):
                    ready = ended.get(("f", stage, micro), 0) if kind == "b" else 0
                elif before in ended:
                    ready = ended[before]
                else:
                    break
                free[rank] = max(free[rank], ready) + 1
                ended[kind, stage, micro] = free[rank]
                held[rank] += 1 if kind == "f" else -1
                most[rank] = max(most[rank], held[rank])
                at[rank] += 1
    return 1 - 2 * n / max(free), most


@pytest.mark.parametrize(("pp", "vpp", "n_micro_batches"), [(4, 1, 8), (8, 1, 8), (4, 2, 8), (2, 3, 6), (1, 1, 3)])
def test_bubble_and_activations_are_those_of_the_schedule_run_step_by_step(
    pp: int, vpp: int, n_micro_batches: int
) -> None:
    layout = Layout(pp=pp, vpp=vpp, rows=n_micro_batches)
    idle, most = simulated(pp, vpp, n_micro_batches)
    assert idle == pytest.approx(layout.bubble_share)
    assert most == [layout.n_in_flight(rank) for rank in range(pp)]
