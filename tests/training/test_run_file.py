import json
import shutil
from pathlib import Path

import pytest
import torch

from rephrase.storage.lock import locked
from rephrase.storage.storage import Storage
from training.__main__ import main
from training.data.mixture import Mixture, MixtureRule
from training.data.tokenizer import TextTokenizer
from training.export import export_run, load_model
from training.loop.telemetry import read_metrics
from training.model.config import ModelConfig
from training.model.presets import PRESETS
from training.open_model import open_model


@pytest.fixture
def arguments(tokenizer_folder: Path, tiny: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setitem(PRESETS, "nano", lambda vocab_size=61: tiny.replace(vocab_size=vocab_size))
    options = "--n-steps 3 --rows-per-step 2 --micro-batch-rows 2 --row-length 32 --held-out-share 0.2 --n-warmup 1"
    return [*options.split(), "--tokenizer", str(tokenizer_folder), "--precision", "float32"]


def test_a_runs_file_begins_the_same_run_again(shards: Storage, arguments: list[str], tmp_path: Path) -> None:
    corpus, mixture = tmp_path / "corpus.jsonl", tmp_path / "mixture.json"
    corpus.write_text("".join(json.dumps({"body": f"w{i} w3 w{i + 1} w5"}) + "\n" for i in range(30)))
    mixture.write_text(json.dumps(Mixture((MixtureRule(weight=0.3, style="notes"), MixtureRule(weight=0.7))).to_json()))
    first, again, longer = tmp_path / "first", tmp_path / "again", tmp_path / "longer"
    arguments += ["--documents", str(corpus), "--text-field", "body", "--mixture", str(mixture), "--without-originals"]
    assert main([shards.url, str(first), *arguments, "--split-heads", "--lr", "0.01"]) == 0
    mixture.unlink()  # the file has it
    assert main([str(again), "--config", str(first / "config.json")]) == 0
    losses = [[row["loss"] for row in read_metrics(run, "train")] for run in (first, again)]
    assert losses[0] == losses[1]
    weights = [load_model(run)[0].state_dict() for run in (first, again)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])

    assert main([str(longer), "--n-steps", "4", "--config", str(first / "config.json")]) == 0
    files = [json.loads((run / "config.json").read_text()) for run in (first, again, longer)]
    assert files == [files[0], files[0], files[0] | {"n_steps": 4}]


def test_a_run_is_resumed_exported_and_asked_from_another_working_directory(
    shards: Storage, arguments: list[str], tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its options name a folder by a relative path, which is gone by then; so does the run that begins at it."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    shutil.copytree(tokenizer_folder, "words")
    begin = ["../out", "run", *arguments, "--tokenizer", "words", "--checkpoint-every", "1"]
    assert main(begin) == 0
    assert main(["../out", "next", *arguments[:-4], "--n-steps", "5", "--precision", "float32", "--from", "run@2"]) == 0
    shutil.rmtree("words")
    monkeypatch.chdir(there)
    losses = [row["loss"] for row in read_metrics(here / "run", "train")]
    for run, n_steps in ((here / "run", 3), (here / "next", 5)):
        shutil.rmtree(run / "checkpoints" / f"step-{n_steps:08d}")
        assert main([str(run), "--config", str(run / "config.json")]) == 0
        assert [row["step"] for row in read_metrics(run, "train")][-1] == n_steps
        export_run(run, there / f"{run.name}-exported")
        assert TextTokenizer(there / f"{run.name}-exported").decode([6]) == "w5"
        assert open_model(str(run), "cpu").encode("w5") == [0, 6]
    assert [row["loss"] for row in read_metrics(here / "run", "train")] == losses

    monkeypatch.chdir(here)
    shutil.rmtree(here / "run" / "checkpoints" / "step-00000003")
    assert main(begin) == 0  # the same command again, though the tokenizer is gone


def test_a_second_run_in_a_folder_is_told_so(
    shards: Storage,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("training.loop.run.LOCK_WAIT_S", 0.0)
    with locked(Storage(tmp_path / "run")):
        assert main([shards.url, str(tmp_path / "run"), *arguments]) == 2
    assert "error: another run is writing to" in capsys.readouterr().err
    assert not (tmp_path / "run" / "run.json").exists()


def test_another_tokenizer_on_resuming_is_refused(
    shards: Storage, arguments: list[str], tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    same, other = tmp_path / "same", tmp_path / "other"
    shutil.copytree(tokenizer_folder, same)
    shutil.copytree(tokenizer_folder, other)
    words = json.loads((other / "tokenizer.json").read_text())
    vocabulary = words["model"]["vocab"]
    vocabulary["w1"], vocabulary["w2"] = vocabulary["w2"], vocabulary["w1"]
    (other / "tokenizer.json").write_text(json.dumps(words))
    assert main([shards.url, str(run), *arguments]) == 0
    assert main([shards.url, str(run), *arguments, "--tokenizer", str(same)]) == 0
    assert main([shards.url, str(run), *arguments, "--tokenizer", str(other)]) == 2
    assert "tokenizer was" in capsys.readouterr().err


def test_a_file_of_ones_own_is_checked(
    shards: Storage, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = tmp_path / "run.toml", tmp_path / "run"

    def attempt(text: str) -> str:
        file.write_text(text)
        assert main([str(run), *arguments, "--config", str(file)]) == 2
        return capsys.readouterr().err

    assert "there is no option learning_rate" in attempt("learning_rate = 0.1")
    assert "lr is 'fast'" in attempt('lr = "fast"')
    assert "precision is 'int8'" in attempt('precision = "int8"')
    assert "shards is 'out'" in attempt('shards = "out"')
    assert "--config" in attempt("lr = ")
    file.write_text(f"shards = [{json.dumps(shards.url)}]\nseed = 3\nwith_originals = false\n")
    assert main([str(run), *arguments, "--config", str(file)]) == 0
    written = json.loads((run / "config.json").read_text())
    assert (written["seed"], written["with_originals"]) == (3, False)


def test_what_neither_gives_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["out", "run", *arguments[2:]])
    assert "required: --n-steps" in capsys.readouterr().err
