"""The data card of a run: OUT/README.md, which Hugging Face reads and `datasets.load_dataset(OUT)` follows.

It is written when a run ends and when its report is made. The text between the two markers is generated
again each time; text outside them, and front matter that the user adds, is kept. A README.md without the two markers is
the user's own and is left alone. The card is not part of a commit: only this module reads it back.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from flows.results.display import meaning, plain, visible
from flows.results.summary import Summary
from rephrase.dataset.plan import Plan
from rephrase.dataset.run_recipes import run_recipes
from rephrase.dataset.shards import committed_parts, read_rewrites
from rephrase.markdown import inline
from rephrase.prompting.recipes import Recipe
from rephrase.prompting.routing import PASS_THROUGH
from rephrase.storage.storage import Storage

CARD_NAME = "README.md"
BEGIN, END = "<!-- palimpsest: begin -->", "<!-- palimpsest: end -->"
# The front-matter field that keeps the user's description of the sources for the next rewrite of the card.
SOURCE_DESCRIPTION = "source_description"
# The licences that Hugging Face knows by these names; any other is "other" plus its name.
_KNOWN_LICENSES = """
    apache-2.0 mit cc0-1.0 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-4.0 cc-by-nc-sa-4.0 cc-by-nd-4.0
    cc-by-nc-nd-4.0 odc-by odbl pddl cdla-permissive-2.0 cdla-sharing-1.0 bsd-2-clause bsd-3-clause gpl-3.0 lgpl-3.0
    agpl-3.0 mpl-2.0 unlicense gfdl other unknown
"""
SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"))
N_INPUTS_NAMED = 20


def write_data_card(
    storage: Storage,
    plan: Plan,
    summary: Summary,
    license: str | None = None,
    source_description: str | None = None,
) -> bool:
    """Write or update the card; False if README.md is the user's own, or its front matter is no longer YAML.

    Args:
        license: of the data set, as given by the user; without one, that of an existing card is kept.
        source_description: the user's description of the sources, likewise.
    """
    before = storage.read(CARD_NAME).decode("utf-8", "replace") if storage.exists(CARD_NAME) else ""
    front_matter, text = split_card(before)
    if front_matter is None or (before and END not in text.partition(BEGIN)[2]):
        return False
    front_matter = {**_default_front_matter(summary), **front_matter, **_run_front_matter(storage, summary)}
    if license:
        front_matter.pop("license_name", None)
        known = license.lower() in _KNOWN_LICENSES.split()
        front_matter.update({"license": license.lower()} if known else {"license": "other", "license_name": license})
    if source_description:
        front_matter[SOURCE_DESCRIPTION] = source_description
    begin, _, rest = text.partition(BEGIN)
    body = f"{begin}{BEGIN}\n{_body(storage, plan, summary, front_matter)}\n{END}{rest.partition(END)[2] or chr(10)}"
    front_yaml = yaml.safe_dump(front_matter, sort_keys=False, allow_unicode=True, width=120)
    storage.write(CARD_NAME, f"---\n{front_yaml}---\n{body}".encode("utf-8", "replace"))
    return True


def split_card(card: str) -> tuple[dict[str, Any] | None, str]:
    """The front matter and the text of a card; the front matter is None if it is not a YAML mapping."""
    found = re.match(r"---\n(.*?\n)---\n?(.*)", card, re.DOTALL)
    if not found:
        return {}, card
    try:
        front_matter = yaml.safe_load(found[1])
    except yaml.YAMLError:
        return None, found[2]
    return (front_matter if isinstance(front_matter, dict) else None), found[2]


def _default_front_matter(summary: Summary) -> dict[str, Any]:
    """Defaults that the user may change: existing values are not overwritten."""
    return {
        "pretty_name": f"Rewrites in {_name(summary)}",
        "tags": ["synthetic", "rephrasing", "pre-training", "palimpsest"],
        "task_categories": ["text-generation"],
    }


def _run_front_matter(storage: Storage, summary: Summary) -> dict[str, Any]:
    """Machine-readable facts about the run: languages, size, and the files of each split."""
    languages: set[str] = set()
    for table in read_rewrites(storage, ["detected_language"]):
        languages.update(language for language in table["detected_language"].unique().to_pylist() if language)
    front_matter: dict[str, Any] = {
        "size_categories": [next((name for limit, name in SIZES if summary.n_rewrites < limit), "n>10M")],
    }
    if languages:
        front_matter["language"] = sorted(languages)
    configs = [
        {"config_name": name, "data_files": [{"split": "train", "path": f"{kind}/*.parquet"}], **default}
        for name, kind, default in (("default", "rewrites", {"default": True}), ("rejects", "rejects", {}))
        if committed_parts(storage, "rewrites" if kind == "rewrites" else "rejects")
    ]
    return {**front_matter, "configs": configs} if configs else front_matter


def _body(storage: Storage, plan: Plan, summary: Summary, front_matter: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("flows", "results"),
        autoescape=False,  # it is Markdown; foreign text goes through `code` or `line`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(code=code, line=line, plain=plain, count="{:,}".format)
    config = plan.config
    return (
        environment.get_template("data_card.md.j2")
        .render(
            name=_name(summary),
            summary=summary,
            plan=plan,
            config=config,
            inputs=plan.inputs[:N_INPUTS_NAMED],
            n_more_inputs=len(plan.inputs) - N_INPUTS_NAMED,
            source_description=front_matter.get(SOURCE_DESCRIPTION),
            license=front_matter.get("license_name") or front_matter.get("license"),
            routes={
                "left as they are" if r == PASS_THROUGH else r.replace("+", " → "): n for r, n in plan.routes.items()
            },
            recipes=_recipes_of(storage, plan),
            reasons=[(plain(reason), meaning(reason), n) for reason, n in summary.rejects_by_reason.items()],
            share=f"{summary.n_chunks_accepted / summary.n_chunks:.1%}" if summary.n_chunks else "none",
        )
        .rstrip()
    )


def _recipes_of(storage: Storage, plan: Plan) -> list[tuple[str, Recipe | None]]:
    """The recipes on this run's routes; of some in runs of earlier versions, only the name is known."""
    known = run_recipes(storage, plan.config)
    names = dict.fromkeys(name for route in plan.routes if route != PASS_THROUGH for name in route.split("+"))
    found: list[tuple[str, Recipe | None]] = []
    for name in names:
        recipe = known.get(name)
        is_its = recipe and plan.config.get(f"recipe {name}") in (None, recipe.prompt_hash)
        found.append((name, recipe if is_its else None))
    return found


def _name(summary: Summary) -> str:
    return line(summary.output.rstrip("/").rsplit("/", 1)[-1] or summary.output)


def line(text: object) -> str:
    """Text on one line, with every character visible, escaped so that it cannot start a table cell, a tag or a comment.

    Line ends become spaces before control characters are shown by their numbers.
    """
    return inline(visible(re.sub(r"\s+", " ", str(text))))


def code(text: object) -> str:
    """Text as a code span."""
    return "`" + re.sub(r"[`|\s]+", " ", visible(text)) + "`"
