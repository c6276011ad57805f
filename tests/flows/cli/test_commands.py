"""The commands that need no rewriting model."""

import importlib.metadata
import json
import re
import socket

import pytest
from typer.testing import CliRunner
from utility_rows import utility_row, write_utility

from flows.cli.app import app
from rephrase.dataset.shards import commit_part
from rephrase.models.resolve import packaged_model
from rephrase.storage.storage import Storage
from training.data.byte_pairs import train_tokenizer

CHUNK = {"index": 0, "start": 0, "end": 20, "text_start": 0, "text_end": 20, "accepted": True, "scores": []}
runner = CliRunner()


def run(*arguments: str) -> str:
    result = runner.invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_version_is_shown():
    assert run("--version") == f"palimpsest {importlib.metadata.version('palimpsest')}\n"


def test_recipes_are_listed_for_people_and_for_scripts():
    assert "perspectives 9: novice, expert" in run("recipes").replace("\n", " ")
    rows = {row["name"]: row for row in json.loads(run("recipes", "--json"))}
    assert set(rows) == {"rephrase", "learning_note", "translate"}
    assert len(rows["rephrase"]["styles"]) >= 12
    assert len(rows["rephrase"]["perspectives"]) >= 8
    assert rows["translate"]["domain"] == ["math"]


def test_a_prompt_is_shown_for_a_real_document(tmp_path):
    corpus = tmp_path / "a.jsonl"
    corpus.write_text(json.dumps({"text": "Der Satz $a^2$ gilt. " * 60, "title": "Sätze"}), encoding="utf-8")
    shown = run("recipes", "show", "translate", "--on", corpus)
    assert "Language: de" in shown
    assert "Title: Sätze" in shown
    assert "Der Satz ⟦1⟧ gilt." in shown
    assert shown.count("── user ──") == 2
    assert "Translated before: Der Satz" in shown


def test_a_prompt_is_worded_for_the_size_of_a_model_of_the_hub_as_a_run_would_send_it(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--org--model" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(packaged_model())
    (tmp_path / "models--org--model" / "refs").mkdir()
    (tmp_path / "models--org--model" / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "The bridge is 40 m long. It is old."}), encoding="utf-8")
    shown = run("recipes", "show", "rephrase", "--on", tmp_path / "a.jsonl", "--model", "org/model")
    assert "Write one question that the text answers." in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recipes", "show", "poem", "--on", "x"), "there is no recipe 'poem'"),
        (("recipes", "--recipes", "none.toml"), "'none.toml' cannot be read"),
        (("inspect", "nothing-here"), "holds no run"),
        (("utility", "nothing-here"), "written when a training run ends"),
        (("report", "nothing-here"), "holds no run"),
    ],
)
def test_what_is_missing_is_reported(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, [*arguments])
    assert result.exit_code == 1
    assert message in result.output.replace("\n", " ")


def test_presets_are_listed_with_their_parameters():
    rows = {row["name"]: row for row in json.loads(run("presets", "--json"))}
    assert 1.0e12 < rows["kimi_k2"]["n_parameters"] < 1.06e12
    assert rows["nano"]["shape"]["n_layers"] == 4
    assert "kimi_k2" in run("presets")


def test_the_cost_of_a_token_is_shown_by_its_context():
    rows = {(row["name"], row["n_context"]): row for row in json.loads(run("presets", "--flops", "--json"))}
    assert rows["nano", 32_000]["flops_per_token"] > rows["nano", 1_000]["flops_per_token"]
    (line,) = [line for line in run("presets", "--flops").splitlines() if "kimi_k2" in line and "128,000" in line]
    assert "+83%" in line


def test_what_a_layout_costs_is_shown_by_preset_and_a_wrong_one_is_refused():
    shown = run("presets", "--layout", "pp=16,ep=16,dp=8")
    assert "19.28 GB" in shown
    assert "nano: 4 layers do not fill 16" in shown
    refused = runner.invoke(app, ["presets", "--layout", "pp=16,tp=8"])
    assert refused.exit_code == 1
    assert "'tp=8'" in refused.output


def test_a_plan_says_why_styles_are_drawn_as_they_are(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "A town lies at a river. " * 40}))
    write_utility(tmp_path / "run", [utility_row("faq", 1.4, 0.1), utility_row("lecture", 0.4, 0.1)], n_readings=30)
    command = ("plan", tmp_path / "a.jsonl", "--utility", tmp_path / "run", "--model-size", "7B")
    styles = {row["style"]: row for row in json.loads(run(*command, "--json"))["utility"]["styles"]}
    assert styles["faq"]["worth"] == 1.4
    assert styles["faq"]["error"] == pytest.approx(0.27)
    assert styles["faq"]["share"] > styles["lecture"]["share"]
    assert styles["dialogue"]["worth"] is None
    assert sum(row["share"] for row in styles.values()) == pytest.approx(1)
    shown = run(*command)
    assert "worth 1.40 ± 0.27" in shown
    assert "not seen yet" in shown
    assert "3 variants per document would be enough" in " ".join(shown.split())
    write_utility(tmp_path / "second", [utility_row("faq", 0.4, 0.1), utility_row("lecture", 1.4, 0.1)], n_readings=9)
    found = json.loads(run(*command, "--utility", tmp_path / "second", "--json"))["utility"]
    styles = {row["style"]: row["worth"] for row in found["styles"]}
    assert (styles["faq"], styles["lecture"]) == (pytest.approx(0.9), pytest.approx(0.9))
    assert (found["run"], found["n_readings"]) == (f"{tmp_path / 'run'} and {tmp_path / 'second'}", pytest.approx(9))


@pytest.mark.model
def test_shards_are_trained_on_exported_and_their_utility_is_shown(tmp_path):
    rows = [
        {
            "id": f"r{i}",
            "document_id": f"d{i}",
            "source": "a.jsonl",
            "recipe": "rephrase",
            "style": "lecture" if i % 2 else "faq",
            "text": f"Rewrite number {i} says something about the town and its river. " * 12,
            "source_text": f"Source number {i} is about a town at a river. " * 12,
            "n_tokens": 100,
            "chunks": [CHUNK],
        }
        for i in range(40)
    ]
    commit_part(Storage(tmp_path / "out"), 0, rows, [], n_records=40)
    train_tokenizer([row["text"] for row in rows], 300, str(tmp_path / "tokenizer"))
    options = ["--tokenizer", tmp_path / "tokenizer", "--n-steps", 3, "--row-length", 128]
    options += ["--rows-per-step", 2, "--micro-batch-rows", 1]
    run("train", tmp_path / "out", tmp_path / "run", *options, "--held-out-share", "0.1", "--align-every", "2")
    assert "lecture" in run("utility", tmp_path / "run")
    assert (tmp_path / "run" / "mixture.json").exists()
    page = tmp_path / "page.html"
    run("report", tmp_path / "run", "--out", page)
    assert "Report of a training run" in page.read_text()
    assert "lecture" in page.read_text()
    run("export", tmp_path / "run", tmp_path / "model")

    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    tokens = model.generate(**tokenizer("The town", return_tensors="pt"), max_new_tokens=4, do_sample=False)
    assert tokens.shape[1] > 2


def test_a_plan_estimates_a_run_without_starting_one(tmp_path):
    corpus = tmp_path / "a.jsonl"
    text = " ".join(f"Sentence {i} says something that is new to all who read it." for i in range(60))
    corpus.write_text("".join(json.dumps({"body": f"{number} {text}"}) + "\n" for number in range(4)))
    options = ("plan", corpus, "--text-field", "body", "--variants", 3)
    found = json.loads(run(*options, "--tokens-per-s", 1000, "--price-per-hour", 3.6, "--json"))
    (route,) = found["routes"]
    assert (route["route"], route["n_documents"], route["n_chunks"] % 12) == ("rephrase", 4, 0)
    assert found["whole_corpus_read"]
    assert found["seconds"] >= route["n_completion_tokens"] / 1000
    assert found["cost"] == pytest.approx(found["seconds"] * 3.6 / 3600)
    shown = run(*options, "--model-size", "50M").replace("\n", " ")
    assert "meant for models of 100M parameters or more" in shown
    assert "give its speed with --tokens-per-s" in shown
    assert not (tmp_path / "plan.json").exists()

    usage = {"n_chunks": 10, "n_chunks_accepted": 4, "n_prompt_tokens": 5000, "n_completion_tokens": 3000}
    usage |= {"n_tokens": 800, "engine_s": 6.0}
    commit_part(Storage(tmp_path / "out"), 0, [], [], n_records=4, usage={"rephrase": usage})
    found = json.loads(run(*options, "--like", tmp_path / "out", "--json"))
    (route,) = found["routes"]
    assert route["accepted_share"] == 0.4
    assert route["n_tokens"] == pytest.approx(80 * route["n_chunks"])
    assert found["seconds"] >= route["n_completion_tokens"] / 500  # 3000 tokens in 6 s


def test_a_plan_says_what_it_assumes_of_a_model_that_is_not_here_and_asks_nobody(tmp_path, monkeypatch):
    def connect(*_):
        raise AssertionError("a plan must not use the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    corpus = tmp_path / "a.jsonl"
    corpus.write_text(json.dumps({"text": "The bridge is 40 m long. " * 40}))
    shown = " ".join(run("plan", corpus, "--model", "org/model").split())
    assert "the size of org/model is not known here: rephrase will use the wording for the largest models" in shown
    assert "tokens are counted with SmolLM2-135M-Instruct: org/model is not on this machine" in shown
    shown = " ".join(run("plan", corpus, "--model", "org/model", "--model-size", "4B").split())
    assert "not known here" not in shown


def test_a_plan_takes_every_option_of_a_run():
    def options(command):
        shown = runner.invoke(app, [command, "--help"], env={"COLUMNS": "300"}).output
        return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", shown))

    assert options("rephrase") - options("plan") == {"--target-tokens", "--new-files", "--metrics-port"}


def test_a_wrong_value_is_named_with_its_option(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "A town lies at a river."}))
    for options, message in (
        (["--retries", "500"], "n_retries: Input should be less than or equal to 100 (got 500)"),
        (["--model-size", "7X"], "(got '7X')"),
        (["--engine", "openai"], "error: engine: the openai engine needs at least one endpoint"),
    ):
        result = runner.invoke(app, ["plan", str(tmp_path / "a.jsonl"), *options])
        assert result.exit_code == 1
        assert message in result.output.replace("\n", " ")
