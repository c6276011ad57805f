"""The documentation: every command in it exists, marked blocks run, links resolve, generated parts are up to date."""

import os
import re
import runpy
import shlex
import subprocess
import sys

import pytest
import typer.main
from served import TESTS, environment

from flows.cli.app import app

ROOT = TESTS.parent
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), ROOT / "infra" / "README.md"])


def blocks(page, info):
    return re.findall(rf"^```{info}\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def run_page(name, folder, prepare=""):
    """The marked blocks of a page, in one shell, with scripted models behind `palimpsest`."""
    programs = folder / "programs"
    programs.mkdir()
    for program, command in {
        "palimpsest": [sys.executable, str(TESTS / "run_scripted.py")],
        "python": [sys.executable],
    }.items():
        (programs / program).write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        (programs / program).chmod(0o755)
    variables = environment(folder / "prefect")
    variables["PATH"] = f"{programs}{os.pathsep}{variables['PATH']}"
    found = blocks(ROOT / "docs" / name, "sh run")
    assert found
    script = "set -e\n" + prepare + "".join(found)
    done = subprocess.run(
        ["sh", "-c", script], cwd=folder, env=variables, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path):
    # The scripted model writes both variants of a document alike, and the second is refused as a repetition.
    assert "6 rewrites" in run_page("tutorial.md", tmp_path)


@pytest.mark.slow
@pytest.mark.model
def test_the_how_to_does_what_it_says(tmp_path):
    corpus = blocks(ROOT / "docs" / "tutorial.md", "sh run")[0]
    assert "late" in run_page("how-to.md", tmp_path, corpus)


def test_the_reference_is_what_the_code_says():
    written = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["reference"]()
    assert (ROOT / "docs" / "reference.md").read_text("utf-8") == written, "run: python docs/make_reference.py"


def test_the_architecture_page_is_what_the_code_says():
    shown = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    written = runpy.run_path(str(ROOT / "docs" / "make_architecture.py"))["page"](shown)
    assert shown == written, "run: python docs/make_architecture.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_links_are_known(page):
    text = page.read_text("utf-8")
    commands = typer.main.get_command(app).commands
    shown = re.findall(
        r"palimpsest ([a-z][a-z-]*)([^`\n]*)", "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    )
    for name, rest in shown:
        assert name in commands, f"palimpsest {name}"
        known = {option for parameter in commands[name].params for option in parameter.opts}
        if known and not hasattr(commands[name], "commands") and name != "train":
            assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= known, f"palimpsest {name}{rest}"
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
