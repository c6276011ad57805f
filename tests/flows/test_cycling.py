"""The loop of rewriting and training: its bookkeeping, and as a user runs it with a scripted model and a nano one."""

import asyncio
import itertools
import json
import random
import time
from dataclasses import fields
from pathlib import Path

import pytest
from chaos import Command
from prefect.logging import disable_run_logger
from scripted import are_there
from utility_rows import utility_row, write_utility

from flows import cycling
from flows.config import RephraseConfig
from flows.cycling import pin_options, require_measurable, round_config
from flows.results.style_decision import decide_styles
from flows.results.summary import Summary
from rephrase.dataset.shards import read_rewrites
from rephrase.prompting.recipes import load_recipes
from rephrase.storage.storage import Storage
from training.data.byte_pairs import train_tokenizer
from training.train_config import TrainConfig

N_DOCUMENTS = 20
EMPTY = {field.name: 0 for field in fields(Summary)}
SUMMARY = Summary(**{**EMPTY, "n_read": 20, "n_accepted": 20, "n_tokens": 500})


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    words, rng = [f"{a}{b}" for a in "bdfgklmnpr" for b in ("an", "el", "ir", "os", "um")], random.Random(0)
    # Not near copies of each other, which would be held out together.
    texts = [" ".join(rng.choices(words, k=150)) + "." for _ in range(N_DOCUMENTS)]
    path.write_text("".join(json.dumps({"id": f"d{i}", "text": text}) + "\n" for i, text in enumerate(texts)))
    train_tokenizer(texts, 300, str(tmp_path / "tokenizer"))
    return path


def modified(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.fixture
def rounds_with(monkeypatch, tmp_path):
    """Run rounds without Prefect's engine; what is rewritten and trained is only written down.

    In the training of round n, `faq` is worth n, and each document was read 30 times.
    """
    calls = []

    async def rephrase(config):
        calls.append(("rephrase", config))
        decided = decide_styles(config.utility_runs, load_recipes(), config.seed).by_recipe() if config.utility else {}
        Storage(config.output).write_json("plan.json", {"config": {"style_shares": decided} if decided else {}})
        return SUMMARY

    async def pretrain(shards, run, config):
        calls.append(("pretrain", (shards, *config.other_shards)))
        number = int(Path(run).parent.name.removeprefix("round-"))
        rows = [utility_row("faq", number, 0.1), utility_row("lecture", 0.5, 0.1), utility_row("letter", 0.5, 0.1)]
        write_utility(Path(run), rows, n_readings=30)
        row = {"kind": "held_out", "a · original · original": 3.0, "a · rephrase · faq": 9.0}
        Storage(run).write("metrics.jsonl", json.dumps(row).encode())
        return {"n_steps": config.n_steps, "n_tokens": 7}

    def no_server():
        raise RuntimeError("away")

    for name, stand_in in {
        "rephrase": rephrase,
        "pretrain": pretrain,
        "prepare_process": lambda: None,
        "get_client": no_server,
        "decide": cycling.decide.fn,
    }.items():
        monkeypatch.setattr(cycling, name, stand_in)
    engine = {"kind": "openai", "endpoints": ("http://host/v1",)}
    config = RephraseConfig(source="in", output=str(tmp_path / "out"), engine=engine)

    def run(rounds, **training):
        calls.clear()
        with disable_run_logger():
            return asyncio.run(cycling.cycle.fn.__wrapped__(config, rounds, TrainConfig(**training), 4)), list(calls)

    return run


def test_each_round_learns_from_the_one_before_and_finished_steps_are_not_repeated(rounds_with, tmp_path):
    out = tmp_path / "out"
    one, calls = rounds_with(1)
    assert [step for step, _ in calls] == ["rephrase", "pretrain"]
    again, calls = rounds_with(1)
    assert (again, calls) == (one, [])
    # As after a kill between two steps.
    steps = Storage(out / "round-01").read_json("steps.json")
    Storage(out / "round-01").write_json("steps.json", {"rephrase": steps["rephrase"], "train": steps["train"]})
    rounds, calls = rounds_with(3)
    assert rounds[0] == one[0]
    assert [step for step, _ in calls] == ["rephrase", "pretrain"] * 2
    (_, second), (_, read), (_, third), (_, read_last) = calls
    assert (second.utility, second.seed, second.n_variants) == (f"{out}/round-01/training", 1, 3)
    assert (third.utility, third.seed) == (f"{out}/round-02/training", 2)
    assert read == (f"{out}/round-02/rewrites", f"{out}/round-01/rewrites")
    assert read_last == tuple(f"{out}/round-0{n}/rewrites" for n in (3, 2, 1))
    for earlier, later in itertools.pairwise(rounds):
        decided = {row["style"]: row["share"] for row in earlier["decide"]["styles"]}
        assert later["decide"]["drawn"] == {"rephrase": decided}
    assert [steps["decide"]["held_out_loss"] for steps in rounds] == [3.0] * 3
    report = (out / "cycle.md").read_text()
    assert "| rephrase | faq | 7.7% | 1,000 | 1.00 ± 0.27 |" in report
    assert "| 2 | 3 | 20 of 20 | 500 | 7 | 3.0000 | 3 |" in report
    assert (out / "shares.svg").read_text().startswith("<svg")
    with pytest.raises(ValueError, match=r"training\.lr was 0\.002 and is now 0\.1"):
        rounds_with(3, lr=0.1)
    rounds_with(3, evaluate_every=5)


@pytest.mark.slow
def test_two_rounds_killed_after_the_first_and_resumed(commands, corpus, tmp_path):
    out = tmp_path / "out"
    arguments = ("cycle", corpus, out, "--rounds", 2, "--variants", 2, "--n-steps", 12, "--json")
    options = {"align_every": 1, "tokenizer": tmp_path / "tokenizer", "row_length": 64, "rows_per_step": 2}
    arguments += tuple(part for name, value in options.items() for part in ("--train", f"{name}={value}"))
    held_at = {f"{out}/round-02/rewrites/plan.json": 1}
    first = Command(*arguments, folder=tmp_path, environment={"SCRIPTED_HOLD": json.dumps(held_at)})
    while not are_there(held_at):
        assert first.poll() is None, first.wait()
        time.sleep(0.05)
    first.kill()
    one = modified(out / "round-01")
    code, stdout, err = Command(*arguments, folder=tmp_path).wait()
    assert code == 0, err
    assert modified(out / "round-01") == one
    rounds = json.loads(stdout)
    assert [steps["rephrase"]["n_accepted"] for steps in rounds] == [N_DOCUMENTS] * 2
    assert all(steps["train"]["n_steps"] == 12 and steps["decide"]["held_out_loss"] > 0 for steps in rounds)

    plans = [Storage(out / f"round-0{n}" / "rewrites").read_json("plan.json")["config"] for n in (1, 2)]
    decided = {row["style"]: row["share"] for row in rounds[0]["decide"]["styles"]}
    assert "style_shares" not in plans[0]
    assert plans[1]["style_shares"] == {"rephrase": decided}
    assert len({round(share, 6) for share in decided.values()}) > 1
    assert [plan["seed"] for plan in plans] == [0, 1]
    # The second round was trained on the rewrites of both.
    blocks = json.loads((out / "round-02" / "training" / "tokens" / "blocks.json").read_text())
    n_parts = sum(len(list((out / f"round-0{n}" / "rewrites" / "commits").glob("*.json"))) for n in (1, 2))
    assert len(blocks) == n_parts
    assert sum(table.num_rows for table in read_rewrites(Storage(out / "round-02" / "rewrites"))) > 0

    report = (out / "cycle.md").read_text()
    assert "## Round 2" in report
    assert "shares.svg" in report
    best = rounds[1]["decide"]["styles"][0]
    assert f"{best['share']:.1%}" in report

    code, _, err = Command(*arguments, "--train", "lr=0.1", folder=tmp_path).wait()
    assert code == 1
    assert "training.lr was 0.002 and is now 0.1" in err


def test_a_round_takes_its_styles_and_variants_from_the_one_before():
    config = RephraseConfig(source="in", output="out", n_variants=2, seed=5)
    first = round_config(config, 1, None, 4)
    assert (first.output, first.seed, first.n_variants, first.utility) == ("out/round-01/rewrites", 5, 2, None)
    decision = {"run": "out/round-01/training", "n_variants": 3}
    second = round_config(config, 2, decision, 4)
    assert (second.seed, second.n_variants, second.utility) == (6, 3, "out/round-01/training")
    assert round_config(config, 2, {**decision, "n_variants": 9}, 4).n_variants == 4
    assert round_config(config, 2, {**decision, "n_variants": None}, 4).n_variants == 2


@pytest.mark.parametrize(
    ("config", "training", "message"),
    [
        ({}, {"n_steps": 90}, "90 steps with a measurement every 32"),
        ({}, {"align_every": 0}, "too little to tell what a style is worth"),
        ({"output": "s3://bucket/out"}, {}, "not a local folder"),
        ({"target_tokens": 5}, {}, "each round rewrites the whole corpus once"),
    ],
)
def test_rounds_that_could_not_decide_anything_are_refused_before_the_first(config, training, message):
    options = RephraseConfig(**{"source": "in", "output": "out", **config})
    with pytest.raises(ValueError, match=message):
        require_measurable(options, TrainConfig(**training), 2)


def test_all_rounds_are_written_by_the_same_model(tmp_path):
    options = {"source": "in", "output": str(tmp_path)}
    storage, training = Storage(tmp_path), TrainConfig()
    pin_options(storage, RephraseConfig(**options, engine={"model": "a/b"}), training, 4)
    pin_options(storage, RephraseConfig(**options, engine={"model": "a/b"}), training, 4)
    with pytest.raises(ValueError, match=r"engine\.model was 'a/b' and is now 'c/d'"):
        pin_options(storage, RephraseConfig(**options, engine={"model": "c/d"}), training, 4)
