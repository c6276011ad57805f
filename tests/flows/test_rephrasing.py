"""The command as a user runs it, with scripted models: stopped, killed, resumed, misused."""

import contextlib
import json
import re
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from chaos import Command
from scripted import are_there
from utility_rows import utility_row, write_utility

from rephrase.dataset.shards import read_rejects, read_rewrites
from rephrase.prompting.recipes import draw_variants, load_recipes
from rephrase.storage.storage import Storage

N_DOCUMENTS = 24


@pytest.fixture
def start(commands, tmp_path):
    """Start the command in a process that has imported everything already."""

    def start(*arguments, held_at=None, **variables):
        """With `held_at`, the run does not go on once these files are there, and this returns then."""
        if held_at:
            variables |= {"SCRIPTED_DELAY_S": 0.05, "SCRIPTED_HOLD": json.dumps(held_at)}
        command = Command(*arguments, folder=tmp_path, environment=variables, working_directory=Path.cwd())
        while held_at and not are_there(held_at):
            assert command.poll() is None, command.wait()
            time.sleep(0.02)
        return command

    return start


@pytest.fixture
def run(start):
    return lambda *arguments: start(*arguments).wait()


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i in range(N_DOCUMENTS):
            text = " ".join(f"Sentence {j} of document {i} says something new." for j in range(20 + 5 * (i % 5)))
            file.write(json.dumps({"id": f"d{i}", "title": f"Title {i}", "text": text}) + "\n")
        file.write('{"id": "d0", "text": "a second d0"}\n{"id": "empty", "text": ""}\n')
    return path


def options(corpus, out):
    return ("rephrase", corpus, out, "--part-bytes", 9_000, "--json")


def check_complete(summary, out):
    """Nothing is lost or duplicated."""
    assert summary["n_read"] == N_DOCUMENTS + 2
    assert (summary["n_accepted"], summary["n_rejected"]) == (N_DOCUMENTS, 2)
    assert (summary["n_to_do"], summary["n_not_selected"]) == (0, 0)
    storage = Storage(out)
    rewrites = [row for table in read_rewrites(storage) for row in table.to_pylist()]
    assert [row["document_id"] for row in rewrites] == [f"d{i}" for i in range(N_DOCUMENTS)]
    for row in rewrites:
        assert sorted(re.findall(r"\w+", row["text"])) == sorted(re.findall(r"\w+", row["source_text"]))
    reasons = [row["reason"] for table in read_rejects(storage, ["reason"]) for row in table.to_pylist()]
    assert reasons == ["duplicate_id", "empty_text"]
    assert summary["n_parts_committed"] == summary["n_parts"] > 2
    assert not (out / "journal").exists() or not list((out / "journal").iterdir())


def test_the_command_accounts_for_every_record_and_prefect_has_its_runs(run, commands, corpus, tmp_path):
    code, out, err = run(*options(corpus, tmp_path / "out"))
    assert code == 0, err
    summary = json.loads(out)
    check_complete(summary, tmp_path / "out")
    assert "26/26 documents" in err

    with contextlib.closing(sqlite3.connect(commands / "prefect.db")) as database:
        flow_runs = database.execute(
            "SELECT id, state_name, name FROM flow_run WHERE instr(name, ?)", (str(corpus),)
        ).fetchall()
        assert [(state, name.startswith("rephrase ")) for _, state, name in flow_runs] == [("Completed", True)]
        finished = "SELECT name FROM task_run WHERE flow_run_id = ? AND state_name = 'Completed' AND name LIKE 'part-%'"
        while len(parts := database.execute(finished, flow_runs[0][:1]).fetchall()) < summary["n_parts"]:
            time.sleep(0.1)  # the server writes task runs down a little later
    assert len(parts) == summary["n_parts"]
    assert any(name.startswith("part-00000: corpus.jsonl 1 to ") for (name,) in parts)

    # The same command again has nothing to do; with other options it fails and names the difference.
    code, out, _ = run(*options(corpus, tmp_path / "out"))
    assert (code, json.loads(out)["n_rewrites"]) == (0, N_DOCUMENTS)
    code, _, err = run(*options(corpus, tmp_path / "out"), "--seed", 5)
    assert code == 1
    assert "seed was 0 and is now 5" in err


def test_new_files_are_taken_on_request_and_no_model_is_loaded_when_there_is_nothing_to_do(
    run, start, corpus, tmp_path
):
    out, folder = tmp_path / "out", tmp_path / "in"
    folder.mkdir()
    corpus.rename(folder / "m.jsonl")
    command = (*options(folder, out), "--new-files")
    assert run(*command)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*.parquet")}
    # One sorts before the existing file, one after it; one of the documents is a duplicate.
    (folder / "a.jsonl").write_text('{"id": "new", "text": "A document that came later, and is new here."}\n')
    (folder / "z.jsonl").write_text('{"id": "d1", "text": "a third d1"}\n')
    code, stdout, err = run(*command)
    assert code == 0, err
    summary = json.loads(stdout)
    assert (summary["n_read"], summary["n_accepted"], summary["n_rejected"]) == (N_DOCUMENTS + 4, N_DOCUMENTS + 1, 3)
    assert before.items() <= {path: path.stat().st_mtime_ns for path in out.glob("*/*.parquet")}.items()
    ids = [row["document_id"] for table in read_rewrites(Storage(out)) for row in table.to_pylist()]
    assert ids == [*(f"d{i}" for i in range(N_DOCUMENTS)), "new"]
    code, stdout, err = run("check", out, "--json")
    assert (code, json.loads(stdout)["problems"]) == (0, []), err

    code, stdout, err = start(*command, SCRIPTED_MODELS="none").wait()  # would fail if a model were loaded
    assert code == 0, err
    assert json.loads(stdout)["n_accepted"] == N_DOCUMENTS + 1


def test_styles_are_drawn_by_their_worth_in_a_training_run_and_a_resumed_run_draws_the_same(run, corpus, tmp_path):
    training, out = tmp_path / "training", tmp_path / "out"
    write_utility(training, [utility_row("faq", 3.0, 0.01), utility_row("lecture", 0.1, 0.01)], n_readings=2)
    command = (*options(corpus, out), "--utility", training)
    code, stdout, err = run(*command, "--target-tokens", 4000)
    assert code == 0, err
    assert "styles of rephrase are drawn by what they were worth in" in err
    assert json.loads(stdout)["n_to_do"] > 0
    shares = json.loads((out / "plan.json").read_text())["config"]["style_shares"]["rephrase"]
    assert shares["lecture"] == min(shares.values()) < shares["faq"]
    shutil.rmtree(training)
    code, stdout, err = run(*command)
    assert code == 0, err
    check_complete(json.loads(stdout), out)
    drawn = {row["document_id"]: row["style"] for table in read_rewrites(Storage(out)) for row in table.to_pylist()}
    recipe = load_recipes()["rephrase"]
    assert drawn == {name: draw_variants(recipe, name, 1, 0, shares)[0].style for name in drawn}
    code, _, err = run(*options(corpus, out))
    assert code == 1
    assert f"utility was '{training}' and is now None" in err


def test_killed_at_any_moment_and_resumed_nothing_is_lost_or_duplicated(run, start, corpus, tmp_path):
    out = tmp_path / "out"
    journal, commits = f"{out}/journal/*/*.json", f"{out}/commits/*.json"
    # After the first journal entry, after the first commit, and after some more.
    for held_at in ({journal: 1}, {commits: 1}, {commits: 2, journal: 1}):
        start(*options(corpus, out), held_at=held_at).kill()
    journalled = {path.stat().st_mtime_ns for path in out.glob("commits/*.json")}
    code, stdout, err = run(*options(corpus, out))
    assert code == 0, err
    check_complete(json.loads(stdout), out)
    # What was already committed is not written again.
    assert journalled <= {path.stat().st_mtime_ns for path in out.glob("commits/*.json")}


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_cleanly_says_how_to_resume_and_the_same_command_resumes(
    run, start, corpus, tmp_path, sent, code
):
    out = tmp_path / "out"
    process = start(*options(corpus, out), held_at={f"{out}/journal/*/*.json": 1})
    process.send_signal(sent)
    found, _, err = process.wait()
    assert found == code
    assert "Run the same command again to resume" in err
    assert "Traceback" not in err
    code, stdout, err = run(*options(corpus, out))
    assert code == 0, err
    check_complete(json.loads(stdout), out)


def test_two_runs_on_one_folder_are_kept_apart(run, start, corpus, tmp_path):
    out = tmp_path / "out"
    first = start(*options(corpus, out), held_at={f"{out}/plan.json": 1})
    code, _, err = run(*options(corpus, out))
    assert first.poll() is None
    assert code == 1
    assert "another run is writing to" in err
    first.kill()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.jsonl", "out"), "nothing to read at 'missing.jsonl'"),
        (("CORPUS", "out", "--text-field", "body"), "none of the 26 records"),
        (("CORPUS", "out", "--text-field", "a["), "--text-field 'a[' is neither a field name"),
        (("CORPUS", "out", "--recipe", "poem"), "there is no recipe 'poem'; choose"),
        (("CORPUS", "out", "--recipes", "none.toml"), "recipe file 'none.toml' cannot be read"),
        (("CORPUS", "out", "--engine", "openai"), "needs at least one endpoint"),
        (("CORPUS", "out", "--endpoint", "http://x/v1"), "endpoints are for the openai engine"),
    ],
)
def test_wrong_options_are_refused_in_one_line(run, corpus, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("rephrase", *[corpus if argument == "CORPUS" else argument for argument in arguments])
    assert code == 1
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.glob("out/plan.json"))


def test_a_target_stops_the_run_and_a_run_without_one_continues(run, corpus, tmp_path):
    out = tmp_path / "out"
    prices = ("--price-per-hour", 2, "--price-out", 3)
    code, stdout, err = run(*options(corpus, out), "--target-tokens", 4000, *prices)
    assert code == 0, err
    summary = json.loads(stdout)
    assert 4000 <= summary["n_tokens"] < 4000 + 8 * 800  # plus at most the documents in progress
    assert summary["n_to_do"] > 0
    assert summary["n_accepted"] + summary["n_rejected"] + summary["n_to_do"] == N_DOCUMENTS + 2
    assert summary["cost"] == pytest.approx(2 * summary["engine_s"] / 3600 + 3 * summary["n_completion_tokens"] / 1e6)
    assert "/4,000 tokens accepted for" in err
    code, stdout, _ = run("check", out, "--json")
    assert (code, json.loads(stdout)["n_to_do"]) == (0, summary["n_to_do"])
    first = {row["id"] for table in read_rewrites(Storage(out)) for row in table.to_pylist()}

    # The target is reached already: nothing is done.
    code, stdout, _ = run(*options(corpus, out), "--target-tokens", 4000)
    assert (code, json.loads(stdout)["n_tokens"]) == (0, summary["n_tokens"])

    code, stdout, err = run(*options(corpus, out))
    assert code == 0, err
    check_complete(json.loads(stdout), out)
    assert first < {row["id"] for table in read_rewrites(Storage(out)) for row in table.to_pylist()}


def test_a_run_is_not_resumed_by_a_recipe_that_asks_for_something_else(run, corpus, tmp_path):
    """No hash of a prompt tells: the model is asked the same, and the verdict would change in the middle."""
    recipe, out = tmp_path / "plain.toml", tmp_path / "out"
    plain = Path(__file__).parents[1] / "fixtures" / "v0.1.0" / "plain.toml"
    recipe.write_text(plain.read_text("utf-8"), "utf-8")
    command = (*options(corpus, out), "--recipes", recipe, "--recipe", "plain")
    code, stdout, err = run(*command, "--target-tokens", 2000)
    assert code == 0, err
    recipe.write_text(f"reworded = 0.1\n{plain.read_text('utf-8')}", "utf-8")
    code, _, err = run(*command)
    assert code == 1
    assert "in the recipe plain, reworded was 0.6 and is now 0.1" in err
    recipe.unlink()
    code, stdout, err = run("report", out, "--no-links", "--json")
    assert code == 0, err
    assert json.loads(stdout)["n_rows"] > 0
