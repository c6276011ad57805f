"""Training writes weights that load, and goes on where it stopped; several readers are averaged."""

import pytest
import torch

from fidelity.fitting import train_reader
from fidelity.fitting.reader_rows import ReaderRow
from fidelity.fitting.train_reader import average, train
from fidelity.reader.network import described, load_network

ROWS = [
    ReaderRow(
        dataset="a", rewrite="Ann lives in Rome.", source="Ann lives in Ulm.", added=((13, 17),), lost=((13, 16),)
    ),
    ReaderRow(dataset="a", rewrite="Ann lives in Ulm.", source="Ann lives in Ulm.", added=(), lost=()),
    ReaderRow(dataset="b", rewrite="A dog sleeps.", source="An animal sleeps.", unsupported=True),
    ReaderRow(dataset="c", rewrite="The lives Ann in.", source=None, garbled=((0, 16),)),
]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readers")
    paths = [folder / "one.safetensors", folder / "two.safetensors"]
    train(ROWS, paths[0])
    train(ROWS, paths[1], n_epochs=2)
    return paths


def test_the_average_of_two_readers(two, tmp_path):
    average(two, tmp_path / "mean.safetensors")
    one, other, mean = (load_network(path).state_dict() for path in (*two, tmp_path / "mean.safetensors"))
    trained = [name for name, values in one.items() if not torch.equal(values, other[name])]
    assert len(trained) > 50
    for name in trained:
        # One step of 8 bits: 1/127 of the largest weight of a row.
        step = one[name].abs().max() / 100
        assert torch.allclose(mean[name], (one[name] + other[name]) / 2, atol=float(step)), name
    assert [part["steps"] for part in described(tmp_path / "mean.safetensors")["average of"]] == [1, 2]


def test_a_finished_part_is_not_trained_again(two, tmp_path, monkeypatch):
    out = tmp_path / "reader.safetensors"
    for number, path in enumerate(two, 1):
        out.with_suffix(f".{number}-seed0-scale1-epochs1.safetensors").write_bytes(path.read_bytes())
    monkeypatch.setattr(train_reader, "training_rows", lambda *arguments: pytest.fail("trained again"))
    train_reader.main([str(tmp_path), "--out", str(out)])
    assert [path.name for path in tmp_path.iterdir()] == ["reader.safetensors"]


def test_a_folder_without_data_is_named(tmp_path):
    with pytest.raises(SystemExit, match="contains none of the data sets"):
        train_reader.main([str(tmp_path), "--out", str(tmp_path / "reader.safetensors")])
