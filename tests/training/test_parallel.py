import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard

from training.parallel import MeshSizes, Ranks, divided_dimensions, join, local, local_rows, n_copies, process_group


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def fourth_of_four(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process group that sends nothing."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=3, world_size=4, store=FakeStore())
    yield
    dist.destroy_process_group()


def test_sizes_that_are_left_out_are_1() -> None:
    assert MeshSizes.parse("dp=2") == MeshSizes(dp=2)
    assert MeshSizes.parse("ep=4, dp=2") == MeshSizes(dp=2, ep=4)
    assert MeshSizes.parse("ep=4,dp=2").n_processes == 8
    assert MeshSizes.parse("pp=3,ep=4,dp=2").n_processes == 24
    assert MeshSizes.parse("pp=3,ep=4,dp=2").n_readers == 8


@pytest.mark.parametrize("text", ["", "2", "dp", "dp=0", "dp=-1", "tp=2", "dp=2,", "dp=2 ep=2"])
def test_a_mesh_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"in the layout '{text}' is not one of pp, dp, ep with a number of 1 or more"):
        MeshSizes.parse(text)


def test_a_size_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="dp is given twice in the layout 'dp=2,dp=3'"):
        MeshSizes.parse("dp=2,dp=3")


@pytest.mark.usefixtures("fourth_of_four")
@pytest.mark.parametrize(("mesh", "reader", "n_readers"), [("pp=2,dp=2", 1, 2), ("pp=4", 0, 1), ("dp=2,ep=2", 3, 4)])
def test_stages_of_a_pipeline_read_the_same_rows(mesh: str, reader: int, n_readers: int) -> None:
    ranks = join(MeshSizes.parse(mesh), "none", "cpu")
    assert (ranks.reader, ranks.n_readers) == (reader, n_readers)
    if ranks.pipeline is None:
        assert ranks.is_first_stage
        return
    assert not ranks.is_first_stage
    assert dist.get_process_group_ranks(ranks.pipeline) == list(range(reader, 4, n_readers))
    assert ranks.readers is not None
    assert dist.get_process_group_ranks(ranks.readers) == list(range(4 - n_readers, 4))


def test_a_mesh_for_another_number_of_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "WORLD_SIZE", "3")
    with (
        pytest.raises(ValueError, match=r"the mesh dp=2,ep=2 is for 4 processes and there are 3; start as many"),
        process_group("dp=2,ep=2"),
    ):
        pass


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with process_group() as ranks:
        assert ranks == Ranks()
        assert ranks.gather("a") == ["a"]
        assert ranks.on_writer(lambda: 5) == 5
        assert ranks.sum(torch.tensor(2.0)) == 2


@pytest.mark.usefixtures("fourth_of_four")
def test_where_the_parts_of_a_divided_tensor_lie() -> None:
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard"))

    def tensor(*placements: object) -> DTensor:
        shape = torch.Size([3, 5])
        return DTensor.from_local(torch.zeros(1, 5), mesh, placements, shape=shape, stride=(5, 1), run_check=False)

    rows = tensor(Replicate(), Shard(0))  # 2 rows on the first process, 1 on the second
    assert (local_rows(rows), divided_dimensions(rows), n_copies(rows, 4)) == (slice(2, 3), [1], 2)
    assert local(rows).shape == (1, 5)
    everywhere = tensor(Replicate(), Replicate())
    assert (local_rows(everywhere), divided_dimensions(everywhere), n_copies(everywhere, 4)) == (slice(0, 3), [], 4)
    assert (local_rows(torch.zeros(3, 5)), divided_dimensions(torch.zeros(3, 5))) == (slice(0, 3), [])


@pytest.mark.usefixtures("one_process")
def test_an_error_of_the_writer_is_raised_everywhere() -> None:
    def fail() -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        Ranks(0, 2).on_writer(fail)
