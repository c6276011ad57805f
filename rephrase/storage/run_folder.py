"""The folder of a run is known by its plan, and what is written elsewhere must not land in it."""

from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from rephrase.storage.filesystem import filesystem_of, real_path

PLAN_NAME = "plan.json"
RECIPES_NAME = "recipes.json"
# The folders that a run writes to.
FOLDERS = ("rewrites", "rejects", "commits", "journal")
_PLAN_KEY = b'"plan_version"'
HEAD_BYTES = 100


def is_plan(head: bytes) -> bool:
    """Whether a file that begins so is the plan of a run; others may call a file plan.json, too."""
    return _PLAN_KEY in head[:HEAD_BYTES]


def run_around(url: str) -> Path | None:
    """The folder of the run in which a path on this machine lies, by whatever links; None if there is none."""
    fs, _ = filesystem_of(url)
    if not isinstance(fs, LocalFileSystem):
        return None
    for folder in Path(real_path(url)).parents:
        plan = folder / PLAN_NAME
        if plan.is_file():
            with plan.open("rb") as file:
                if is_plan(file.read(HEAD_BYTES)):
                    return folder
    return None


def require_no_data_of_a_run(url: str) -> None:
    """Check that writing a file here replaces nothing that a run wrote.

    Raises:
        ValueError: it would.
    """
    folder = run_around(url)
    if folder is None:
        return
    place = Path(real_path(url)).relative_to(folder)
    is_plan_file = place.name.startswith("plan") and place.suffix == ".json"
    if place.parts[0] in FOLDERS or is_plan_file or place.name == RECIPES_NAME:
        raise ValueError(f"{url!r} is a file of the run in {str(folder)!r}: name another file with --out")
