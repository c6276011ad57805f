"""The wheel: it holds the data that the packages read, and works without the clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

DATA = {
    "fidelity/calibration/weights.json",
    "fidelity/fitting/read_rewrites.jsonl",
    "fidelity/fitting/written_pairs.jsonl",
    "fidelity/reader/weights.safetensors",
    "fidelity/facts/reading/number_words.toml",
    "fidelity/facts/reading/polarity.toml",
    "flows/report/page/base.html.j2",
    "flows/report/page/parts.html.j2",
    "flows/report/page/report.css",
    "flows/report/page/report.js",
    "flows/report/page/run.html.j2",
    "flows/report/page/training.html.j2",
    "flows/results/data_card.md.j2",
    "rephrase/prompting/recipes/learning_note.toml",
    "rephrase/prompting/recipes/rephrase.toml",
    "rephrase/prompting/recipes/translate.toml",
    *(f"{package}/py.typed" for package in ("rephrase", "fidelity", "training", "flows")),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("palimpsest-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", folder, wheel)
    return folder


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run(installed, *command):
    """What a command prints, run outside the clone with the installed packages first on the path."""
    variables = {**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "120"}
    done = subprocess.run(command, cwd=installed.parent, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_code_and_its_data(wheel):
    files = set(zipfile.ZipFile(wheel).namelist())
    code = {
        str(path.relative_to(ROOT))
        for package in ("rephrase", "fidelity", "training", "flows")
        for path in (ROOT / package).rglob("*.py")
    }
    assert files >= DATA | code
    assert {name.split("/")[0] for name in files if ".dist-info/" not in name} == {
        "rephrase",
        "fidelity",
        "training",
        "flows",
    }


def test_the_installed_packages_are_the_ones_that_run(installed):
    script = "import fidelity, flows, rephrase, training; print(fidelity, flows, rephrase, training)"
    assert run(installed, sys.executable, "-c", script).count(str(installed)) == 4


def test_the_installed_command_finds_its_recipes_and_presets(installed):
    palimpsest = str(installed / "bin" / "palimpsest")
    recipes = run(installed, palimpsest, "recipes")
    assert all(name in recipes for name in ("rephrase", "learning_note", "translate"))
    assert "nano" in run(installed, palimpsest, "presets")


def test_the_installed_packages_find_their_tables_and_templates(installed):
    script = """
from importlib.resources import files
from fidelity.calibration.calibration import load_calibration
from fidelity.facts.reading.number_words import foreign_numbers
from fidelity.facts.reading.polarity import lexicon
import flows.report.html, flows.results.data_card

load_calibration()
lexicon()
print([number.value for number in foreign_numbers("vierzig", "de")])
print(all(page.read_text("utf-8") for page in files("flows.report.page").iterdir() if page.name.endswith(".j2")))
"""
    assert run(installed, sys.executable, "-c", script) == "[40.0]\nTrue\n"
