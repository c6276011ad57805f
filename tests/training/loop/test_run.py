import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rephrase.storage.storage import Storage
from training.__main__ import main
from training.data.mixture import Mixture, MixtureRule
from training.data.token_store import TokenStore
from training.export import export_run, load_model
from training.loop.building import build_trainer, check_before_reading
from training.loop.pinned_options import describe_precision
from training.loop.run import train
from training.loop.run_options import RunOptions
from training.loop.telemetry import read_metrics
from training.model.config import ModelConfig
from training.model.presets import PRESETS
from training.parallel import Ranks


@pytest.fixture
def options(tokenizer_folder: Path, tiny: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> RunOptions:
    monkeypatch.setitem(PRESETS, "tiny", lambda vocab_size=61: tiny.replace(vocab_size=vocab_size))
    return RunOptions(
        preset="tiny",
        tokenizer=str(tokenizer_folder),
        n_steps=3,
        rows_per_step=2,
        micro_batch_rows=2,
        row_length=32,
        n_warmup=1,
        held_out_share=0.2,
        align_every=1,
    )


def test_train_and_export(shards: Storage, options: RunOptions, tmp_path: Path) -> None:
    run = tmp_path / "run"
    summary = train(shards.url, run, options)
    assert summary.finished
    assert train(shards.url, run, options) == summary  # a finished run only reports its outcome
    names = {path.name for path in run.iterdir()}
    assert {"utility.parquet", "utility.md", "utility.svg", "max_logits.svg", "mixture.json", "run.json"} < names
    Mixture.from_json(json.loads((run / "mixture.json").read_text()))
    export_run(run, tmp_path / "exported", torch.float32)
    model, _ = load_model(run)
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "exported").eval()
    tokens = AutoTokenizer.from_pretrained(tmp_path / "exported")("w1 w2 w3", return_tensors="pt").input_ids
    torch.testing.assert_close(exported(tokens).logits, model(tokens), rtol=1e-5, atol=1e-5)


def test_the_precision_is_said_with_its_reason(options: RunOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.loop.pinned_options.fast_precision", lambda: "float32")
    in_float32, in_bfloat16 = (dataclasses.replace(options, precision=p) for p in ("float32", "bfloat16"))
    assert describe_precision(in_float32).endswith("in float32: this processor has no bfloat16 units")
    assert "many times slower" in describe_precision(in_bfloat16)
    monkeypatch.setattr("training.loop.pinned_options.fast_precision", lambda: "bfloat16")
    assert describe_precision(in_bfloat16).endswith("in bfloat16")


def test_the_recommended_mixture_drives_the_next_run(shards: Storage, options: RunOptions, tmp_path: Path) -> None:
    train(shards.url, tmp_path / "first", options)
    recommended = Mixture.from_json(json.loads((tmp_path / "first" / "mixture.json").read_text()))
    summary = train(shards.url, tmp_path / "next", dataclasses.replace(options, mixture=recommended))
    assert summary.finished


def test_a_second_round(
    shards: Storage, commit: Callable[..., None], options: RunOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another output and a raw corpus beside the first, by the mixture that the first run recommended."""
    first, second = tmp_path / "first", tmp_path / "second"
    train(shards.url, first, options)
    more = Storage(tmp_path / "more")
    commit(more, 7, 20, ["plain", "dialogue"])
    (tmp_path / "raw").mkdir()
    lines = (json.dumps({"id": f"raw{i}", "text": f"w{i} w{i + 3} w{2 * i} w5 w{i}"}) for i in range(30))
    (tmp_path / "raw" / "web[1].jsonl").write_text("\n".join(lines))
    arguments = [shards.url, more.url, str(second), "--documents", str(tmp_path / "raw")]
    arguments += ["--mixture", str(first / "mixture.json"), "--tokenizer", options.tokenizer, "--n-steps", "4"]
    arguments += ["--rows-per-step", "2", "--micro-batch-rows", "2", "--row-length", "32", "--held-out-share", "0.2"]
    with caplog.at_level("INFO", "training"):
        assert main(arguments) == 0
    assert "plan: 256 tokens from 5 streams" in caplog.text
    plan = {row["stream"]: row for row in json.loads((second / "token_plan.json").read_text())["streams"]}
    assert plan["corpus.jsonl · knowledge · dialogue"]["share"] > 0.05
    assert plan["web[1].jsonl · original · original"]["share"] > 0.01
    assert sum(row["share"] for row in plan.values()) == pytest.approx(1)
    export_run(second, tmp_path / "model")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").config.scoring_func == "sigmoid"
    again = Mixture.from_json(json.loads((second / "mixture.json").read_text()))
    assert len(again.rules) == 6


def test_k3s_options_reach_the_optimizer_and_the_gates(
    store: TokenStore, options: RunOptions, tiny: ModelConfig, tmp_path: Path
) -> None:
    changed = dataclasses.replace(options, split_heads=True, quantile_balancing=True, schedule="k3")
    trainer = build_trainer(tmp_path / "run", store, changed, vocab_size=61)
    matrices = {row["name"]: row["matrices"] for row in trainer.optimizer.describe()}
    per_head = (tiny.n_heads, tiny.nope_head_dim, tiny.q_rank)
    assert matrices["layers.0.self_attn.q_b_proj.weight"][0] == per_head
    assert trainer.optimizer.clip is not None
    assert trainer.train().finished
    (gate,) = trainer.model.gates()
    assert gate.e_score_correction_bias.abs().max() > 3 * 1e-3  # further than three sign steps


def test_a_run_keeps_its_options(shards: Storage, options: RunOptions, tmp_path: Path) -> None:
    train(shards.url, tmp_path / "run", options)
    with pytest.raises(ValueError, match=r"lr was 0.002 and is 0.1"):
        train(shards.url, tmp_path / "run", dataclasses.replace(options, lr=0.1))
    train(shards.url, tmp_path / "run", dataclasses.replace(options, log_every=2, recompute_layers=1))
    capped = Mixture((MixtureRule(weight=1, max_epochs=1),))
    assert RunOptions.from_json(dataclasses.replace(options, mixture=capped).to_json()).mixture == capped


def test_additional_documents_are_trained_on(shards: Storage, options: RunOptions, tmp_path: Path) -> None:
    corpus = tmp_path / "extra.jsonl"
    corpus.write_text("".join(json.dumps({"body": f"w{i} w1 w2 w3 w4"}) + "\n" for i in range(30)))
    summary = train(shards.url, tmp_path / "run", options, [str(corpus)], "body")
    assert "extra.jsonl · original · original" in summary.held_out_loss


def test_the_z_loss_is_trained_on_and_not_reported(shards: Storage, options: RunOptions, tmp_path: Path) -> None:
    weights = {"none": 0.0, "much": 1.0}
    for name, weight in weights.items():
        train(shards.url, tmp_path / name, dataclasses.replace(options, z_weight=weight, align_every=0))
    without, with_z = ([row["loss"] for row in read_metrics(tmp_path / name, "train")] for name in weights)
    assert with_z[0] == without[0]
    assert with_z[-1] != without[-1]


def test_a_run_without_a_checkpoint_cannot_be_loaded(options: RunOptions, tmp_path: Path) -> None:
    Storage(tmp_path).write_json("run.json", options.to_json())
    with pytest.raises(ValueError, match="no checkpoint yet"):
        load_model(tmp_path)


def test_the_command_reports_errors_without_a_traceback(
    tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(tmp_path / "empty"), str(tmp_path / "run"), "--tokenizer", str(tokenizer_folder), "--n-steps", "2"]
    assert main(arguments) == 2
    assert "no part is committed" in capsys.readouterr().err
    assert main([*arguments, "--mixture", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
    assert main(arguments[1:]) == 2
    assert "nothing to train on: give an output folder" in capsys.readouterr().err
    assert main([*arguments[1:], "--documents", str(tmp_path / "missing")]) == 2
    assert "missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", math.nan),
        ("lr", math.inf),
        ("lr", 0.0),
        ("weight_decay", math.nan),
        ("weight_decay", -1.0),
        ("z_weight", -1.0),
        ("momentum", 1.0),
        ("clip_threshold", math.nan),
        ("held_out_share", math.nan),
        ("row_length", 0),
        ("n_steps", 0),
        ("n_steps", 10**400),
        ("seed", 2**63),
        ("seed", -1),
        ("max_eval_rows", 0),
        ("checkpoint_every", -1),
        ("recompute_layers", -1),
    ],
)
def test_an_impossible_option_is_named(options: RunOptions, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is "):
        dataclasses.replace(options, **{name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": "square"}, "no schedule 'square'"),
        ({"evaluate_questions": "none.jsonl"}, "none.jsonl"),
        ({"preset": "kimi_k2"}, r"1,0\d\d.\d billion parameters takes at least 12,\d\d\d GB"),
        ({"rope_factor": 0.5}, "factor of rope scaling is 0.5"),
        ({"preset": "grouped", "quantile_balancing": True}, "quantile balancing is for gates that choose among all"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_tokenised(
    shards: Storage,
    options: RunOptions,
    tmp_path: Path,
    tiny: ModelConfig,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    message: str,
) -> None:
    grouped = tiny.replace(n_expert_groups=3, n_active_groups=2)
    monkeypatch.setitem(PRESETS, "grouped", lambda vocab_size=61: grouped.replace(vocab_size=vocab_size))
    with pytest.raises((ValueError, OSError), match=message):
        train(shards.url, tmp_path / "run", dataclasses.replace(options, **change))
    assert not (tmp_path / "run" / "tokens").exists()


def test_a_mesh_that_does_not_fit_the_model(options: RunOptions, tmp_path: Path) -> None:
    for mesh, message in (("ep=4", "6 experts do not divide evenly among the 4"), ("pp=3", "2 layers do not fill 3")):
        laid_out = dataclasses.replace(options, rows_per_step=12, mesh=mesh)
        with pytest.raises(ValueError, match=message):
            check_before_reading(tmp_path, laid_out, 61, Ranks())


def test_sharding_that_divides_nothing_is_said(
    shards: Storage, options: RunOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(shards.url, tmp_path / "run", dataclasses.replace(options, shard="weights"))
    assert "--shard weights divides nothing here" in caplog.text


def test_data_that_does_not_fill_a_step(shards: Storage, options: RunOptions, tmp_path: Path) -> None:
    once = Mixture((MixtureRule(weight=1, max_epochs=1),))
    with pytest.raises(ValueError, match=r"there are \d,\d\d\d tokens .* a step takes 12,800 \(400 rows of 32\)"):
        train(shards.url, tmp_path / "run", dataclasses.replace(options, rows_per_step=400, mixture=once))


def test_a_field_to_split_by_that_no_document_has(shards: Storage, options: RunOptions, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no document has the metadata field 'translation' of --split-by"):
        train(shards.url, tmp_path / "run", dataclasses.replace(options, split_by="translation"))


def test_options_of_a_later_version_are_named(options: RunOptions) -> None:
    with pytest.raises(ValueError, match="this version has no option warp: a later one began the run"):
        RunOptions.from_json({**options.to_json(), "warp": 9})


def test_of_many_streams_fewer_rows_each_are_evaluated(
    store: TokenStore, options: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.loop.building.MAX_EVAL_ROWS", 4)
    trainer = build_trainer(tmp_path / "run", store, options, vocab_size=61)
    assert [len(batch.tokens_BS) for batch in trainer.held_out.values()] == [1, 1, 1]
