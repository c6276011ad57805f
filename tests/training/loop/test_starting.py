import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rephrase.storage.storage import Storage
from training.__main__ import main
from training.export import export_run, load_model
from training.loop.checkpoint import Checkpoints
from training.loop.run import train
from training.loop.run_options import RunOptions
from training.loop.starting import find_start
from training.loop.telemetry import read_metrics
from training.model.config import ModelConfig, RopeScaling
from training.model.presets import PRESETS


@pytest.fixture
def options(tokenizer_folder: Path, tiny: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> RunOptions:
    monkeypatch.setitem(PRESETS, "tiny", lambda vocab_size=61: tiny.replace(vocab_size=vocab_size))
    return RunOptions(
        preset="tiny",
        tokenizer=str(tokenizer_folder),
        n_steps=6,
        rows_per_step=2,
        micro_batch_rows=2,
        row_length=32,
        lr=0.01,
        n_warmup=1,
        schedule="constant",
        held_out_share=0.2,
        checkpoint_every=2,
        align_every=0,
    )


@pytest.fixture
def first(shards: Storage, options: RunOptions, tmp_path: Path) -> Path:
    """A finished run with checkpoints of steps 2, 4 and 6."""
    train(shards.url, tmp_path / "first", options)
    return tmp_path / "first"


def losses(run: Path) -> dict[int, float]:
    return {row["step"]: row["loss"] for row in read_metrics(run, "train")}


def test_with_the_same_options_it_is_the_same_run(
    shards: Storage, options: RunOptions, first: Path, tmp_path: Path
) -> None:
    train(shards.url, tmp_path / "next", dataclasses.replace(options, start=f"{first}@4"))
    assert losses(tmp_path / "next") == {step: loss for step, loss in losses(first).items() if step > 4}


def test_options_may_differ_and_a_stopped_run_goes_on(
    shards: Storage, options: RunOptions, first: Path, tmp_path: Path
) -> None:
    run = tmp_path / "next"
    changed = dataclasses.replace(options, start=str(first), n_steps=9, lr=0.001, rows_per_step=4)
    with pytest.raises(ValueError, match="begins at step 6 and n_steps is 6; ask for more steps"):
        train(shards.url, run, dataclasses.replace(changed, n_steps=6))
    assert train(shards.url, run, changed).n_tokens == 6 * 64 + 3 * 128
    rows = list(read_metrics(run, "train"))
    assert [(row["step"], row["lr"]) for row in rows] == [(7, 0.001), (8, 0.001), (9, 0.001)]
    # Killed before its first checkpoint it begins there again, and later at its own.
    again = tmp_path / "again"
    train(shards.url, again, changed)
    for checkpoint in (again / "checkpoints").iterdir():
        checkpoint.rename(tmp_path / checkpoint.name)
    train(shards.url, again, changed)
    assert losses(again) == losses(run)
    (first / "run.json").unlink()
    assert train(shards.url, run, changed).n_steps == 9


def test_a_long_context_stage(shards: Storage, options: RunOptions, first: Path, tmp_path: Path) -> None:
    """The rows become as long as the context that YaRN extends, and the stage resumes, exports and is gone on from."""
    run = tmp_path / "long"
    longer = dataclasses.replace(options, start=str(first), n_steps=8, row_length=None, rope_factor=2.0)
    assert train(shards.url, run, longer).n_tokens == 6 * 64 + 2 * 2 * 128
    config = load_model(run)[0].config
    assert config.rope_scaling == RopeScaling(factor=2, original_context_length=64)
    assert config.context_length == 128
    assert train(shards.url, run, longer).n_steps == 8
    export_run(run, tmp_path / "exported", torch.float32)
    exported = json.loads((tmp_path / "exported" / "config.json").read_text())
    assert (exported["rope_parameters"]["rope_type"], exported["max_position_embeddings"]) == ("yarn", 128)
    train(shards.url, tmp_path / "next", dataclasses.replace(options, start=str(tmp_path / "exported"), n_steps=1))
    assert load_model(tmp_path / "next")[0].config == config


def test_held_out_documents_must_not_have_been_trained_on(
    shards: Storage, options: RunOptions, first: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"held_out_share is 0.5\S* and was 0.2\S* .*ask for 0.2 or less"):
        train(
            shards.url, tmp_path / "next", dataclasses.replace(options, start=str(first), n_steps=9, held_out_share=0.5)
        )


def test_a_hugging_face_folder(shards: Storage, options: RunOptions, first: Path, tmp_path: Path) -> None:
    export_run(first, tmp_path / "exported", torch.float32)
    run = tmp_path / "next"
    train(shards.url, run, dataclasses.replace(options, start=str(tmp_path / "exported"), preset="nano", n_steps=2))
    assert losses(run)[1] < losses(first)[1] - 0.5
    model, _ = load_model(run)
    assert model.config == load_model(first)[0].config
    assert not torch.equal(model.lm_head.weight, load_model(first)[0].lm_head.weight)


def test_the_command_takes_the_tokenizer_too(
    shards: Storage, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [shards.url, str(tmp_path / "next"), "--n-steps", "8", "--row-length", "32", "--held-out-share", "0.2"]
    assert main([*command, "--from", f"{first}@4"]) == 0
    assert max(losses(tmp_path / "next")) == 8
    assert main([*command, "--from", f"{first}@3"]) == 2
    assert "has no whole checkpoint of step 3; it has 2, 4, 6" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(command)


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither a training run \(no run.json\) nor a Hugging Face folder"):
        find_start(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    start = find_start(str(tmp_path))
    with pytest.raises(ValueError, match="type 'llama'; only deepseek_v3"):
        start.config()  # type: ignore[union-attr]


def test_documents_held_out_because_there_are_few_must_not_have_been_trained_on_either(
    shards: Storage, commit: Callable[..., None], options: RunOptions, tmp_path: Path
) -> None:
    asked = dataclasses.replace(options, held_out_share=0.01)
    train(shards.url, tmp_path / "many", asked)
    few = Storage(tmp_path / "few")
    commit(few, 0, 20)
    with pytest.raises(ValueError, match="documents it was trained on would be held out"):
        train(few.url, tmp_path / "next", dataclasses.replace(asked, start=str(tmp_path / "many"), n_steps=9))


def test_with_other_data_it_reads_and_judges_losses_anew(
    shards: Storage, options: RunOptions, first: Path, tmp_path: Path
) -> None:
    """The plan is of the steps that are left, and a loss that is high for the old data stops nothing."""
    changed = dataclasses.replace(options, n_steps=9, source_by="folder")
    for name, start in (("same", first), ("other", f"{first}/")):
        run, asked = tmp_path / name, dataclasses.replace(options if name == "same" else changed, n_steps=9)
        train(shards.url, run, dataclasses.replace(asked, start=str(start)))
        n_steps = 9 if name == "same" else 3
        assert json.loads((run / "token_plan.json").read_text())["n_asked"] == n_steps * 2 * 32
        recent = Checkpoints(run / "checkpoints").state(9)["guard"]["recent"]
        assert recent == [*(losses(first).values() if name == "same" else ()), *losses(run).values()]


def test_before_its_first_checkpoint_it_begins_at_the_newest_one(
    shards: Storage, options: RunOptions, first: Path, tmp_path: Path
) -> None:
    """The other run went on meanwhile, and has removed the checkpoint that was written down."""
    run = tmp_path / "next"
    asked = dataclasses.replace(options, start=str(first), n_steps=9, precision="float32")
    Storage(run).write_json("run.json", dataclasses.replace(asked, start=f"{first}@1").to_json())
    train(shards.url, run, asked)
    assert min(losses(run)) == 7


def test_a_run_that_has_begun_needs_nothing_of_the_other(
    shards: Storage, options: RunOptions, first: Path, tmp_path: Path
) -> None:
    run = tmp_path / "next"
    command = [shards.url, str(run), "--n-steps", "8", "--row-length", "32", "--held-out-share", "0.2"]
    assert main([*command, "--from", str(first)]) == 0
    shutil.rmtree(first)
    assert main([*command, "--from", f"{first}/"]) == 0
