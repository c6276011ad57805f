"""Whatever command opens a run with a damaged file says so in one sentence."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.app import app

WRITTEN = Path(__file__).parents[2] / "fixtures" / "v0.1.0" / "run"
COMMANDS = {
    "check": (),
    "inspect": (),
    "report": ("--no-links",),
    "verify": (),
    "refilter": ("new",),
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(WRITTEN, tmp_path / "run")
    return tmp_path / "run"


def error_of(command: str) -> str:
    result = CliRunner().invoke(app, [command, "run", *COMMANDS[command]])
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    return " ".join(result.output.split())


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"parts": None}, "parts: "),
        ({"config": {"fidelity": "strict"}}, "fidelity: "),
        ({"config": {"n_retries": "2"}}, "n_retries: "),
    ],
)
def test_a_damaged_plan_is_named_by_every_command_that_opens_it(run, command, changes, problem):
    plan = json.loads((run / "plan.json").read_text())
    (run / "plan.json").write_text(json.dumps({**plan, **changes}))
    error = error_of(command)
    assert f"run/plan.json is damaged ({problem}" in error
    assert "restore it from a copy" in error


@pytest.mark.parametrize("command", COMMANDS)
def test_a_plan_of_nothing_but_its_version_is_named_by_every_command(run, command):
    (run / "plan.json").write_text('{"plan_version": 2}')
    assert "run/plan.json is damaged (config: " in error_of(command)


@pytest.mark.parametrize("missing", ["n_completion_tokens", "n_tokens_resumed"])
def test_a_commit_without_a_count_is_named_by_the_report(run, missing):
    commit = json.loads((run / "commits/part-00000.json").read_text())
    del commit[missing]
    (run / "commits/part-00000.json").write_text(json.dumps(commit))
    assert f"{missing} is missing): remove it and run the same command again" in error_of("report")


def test_recipes_that_are_none_are_named(run):
    (run / "recipes.json").write_text("[]")
    assert "run/recipes.json is damaged" in error_of("report")
