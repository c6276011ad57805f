"""The documentation: every command in it exists, marked blocks run, links resolve, generated parts are up to date."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

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
    done = subprocess.run(["sh", "-c", script], cwd=folder, env=variables, capture_output=True, text=True, check=False)
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
    written = runpy.run_path(str(ROOT / "docs" / "make_architecture.py"))
    page = written["PATH"].read_text("utf-8")
    assert page == written["page"](page), "run: python docs/make_architecture.py"
    assert written["DRAWING"].read_text("utf-8") == written["drawing"](), "run: python docs/make_architecture.py"


def test_the_site_builds_without_a_warning(tmp_path):
    """Every link and anchor leads to a page of the site, and nothing is loaded from elsewhere."""
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    done = subprocess.run(
        [Path(sys.executable).with_name("zensical"), "build", "--strict"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "griffe:" not in done.stdout + done.stderr, "a docstring is not in Google's style"
    pages = {str(page.parent.relative_to(tmp_path / "site")): page for page in tmp_path.rglob("site/**/index.html")}
    sources = [page.relative_to(ROOT / "docs").with_suffix("") for page in (ROOT / "docs").rglob("*.md")]
    assert pages.keys() == {"." if source.name == "index" else str(source) for source in sources}
    assert "read_rewrites" in pages["api/rephrase"].read_text("utf-8")
    for page in pages.values():
        loaded = re.findall(r"<(?:script|img|link)[^>]*(?:src|href)=\"?(https?:[^\"\s>]+)", page.read_text("utf-8"))
        assert not loaded, page


def test_the_tests_that_the_pages_name_exist():
    tests = "\n".join(f"{path.name}\n{path.read_text('utf-8')}" for path in TESTS.rglob("test_*.py"))
    for page in PAGES:
        for name in re.findall(r"`(test_\w+)(?:…|\.py)?`", page.read_text("utf-8")):
            assert re.search(rf"(def |^){name}", tests, re.MULTILINE), f"{page.name}: {name}"


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
    for target, anchor in re.findall(r"\]\(([^)#:]+)(?:#([^)]*))?\)", text):
        assert (page.parent / target).exists(), target
        assert not anchor or anchor in anchors(page.parent / target), f"{target}#{anchor}"


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
