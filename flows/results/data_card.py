"""The data card of a run: OUT/README.md, which Hugging Face reads and `datasets.load_dataset(OUT)` obeys.

It is written when a run ends and when its report is made. What stands between the two marks is ours and is written
anew each time; what a user writes outside of them, and adds to the head, stays. A README.md without the marks is the
user's own and is left alone. The card is no part of a commit: nothing but this file reads it back.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from flows.results.display import meaning, plain
from flows.results.summary import Summary
from rephrase.dataset.plan import Plan
from rephrase.dataset.shards import committed_parts, read_rewrites
from rephrase.prompting.recipes import Recipe, load_recipes
from rephrase.prompting.routing import PASS_THROUGH
from rephrase.storage.storage import Storage

CARD_NAME = "README.md"
BEGIN, END = "<!-- palimpsest: begin -->", "<!-- palimpsest: end -->"
# Where the head keeps what the user said of the sources, to say it again when the card is written anew.
SOURCE_DESCRIPTION = "source_description"
# The licences that Hugging Face knows by these names; any other is "other" with its name beside it.
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
    """Write or renew the card; False when README.md is the user's own, or its head is no YAML any more.

    Args:
        license: of the data set, as the user gives it; without one, that of the card which is there stays.
        source_description: what the user says of the sources, likewise.
    """
    before = storage.read(CARD_NAME).decode("utf-8", "replace") if storage.exists(CARD_NAME) else ""
    head, text = split_card(before)
    if head is None or (before and BEGIN not in text):
        return False
    head = {**_first_head(summary), **head, **_head(storage, summary)}
    if license:
        head.pop("license_name", None)
        known = license.lower() in _KNOWN_LICENSES.split()
        head.update({"license": license.lower()} if known else {"license": "other", "license_name": license})
    if source_description:
        head[SOURCE_DESCRIPTION] = source_description
    begin, _, rest = text.partition(BEGIN)
    body = f"{begin}{BEGIN}\n{_body(plan, summary, head)}\n{END}{rest.partition(END)[2] or chr(10)}"
    front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=120)
    storage.write(CARD_NAME, f"---\n{front}---\n{body}".encode("utf-8", "replace"))
    return True


def split_card(card: str) -> tuple[dict[str, Any] | None, str]:
    """The head of a card and its text; the head is None when it is no YAML mapping."""
    found = re.match(r"---\n(.*?\n)---\n?(.*)", card, re.DOTALL)
    if not found:
        return {}, card
    try:
        head = yaml.safe_load(found[1])
    except yaml.YAMLError:
        return None, found[2]
    return (head if isinstance(head, dict) else None), found[2]


def _first_head(summary: Summary) -> dict[str, Any]:
    """What a user may want otherwise: it is not written over."""
    return {
        "pretty_name": f"Rewrites in {_name(summary)}",
        "tags": ["synthetic", "rephrasing", "pre-training", "palimpsest"],
        "task_categories": ["text-generation"],
    }


def _head(storage: Storage, summary: Summary) -> dict[str, Any]:
    """What programs read and the run knows: languages, size, and which files are which split."""
    languages: set[str] = set()
    for table in read_rewrites(storage, ["detected_language"]):
        languages.update(language for language in table["detected_language"].unique().to_pylist() if language)
    head: dict[str, Any] = {
        "size_categories": [next((name for limit, name in SIZES if summary.n_rewrites < limit), "n>10M")],
    }
    if languages:
        head["language"] = sorted(languages)
    configs = [
        {"config_name": name, "data_files": [{"split": "train", "path": f"{kind}/*.parquet"}], **default}
        for name, kind, default in (("default", "rewrites", {"default": True}), ("rejects", "rejects", {}))
        if committed_parts(storage, "rewrites" if kind == "rewrites" else "rejects")
    ]
    return {**head, "configs": configs} if configs else head


def _body(plan: Plan, summary: Summary, head: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("flows", "."),
        autoescape=False,  # it is Markdown; what others have written goes through `code` or `line`
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
            source_description=head.get(SOURCE_DESCRIPTION),
            license=head.get("license_name") or head.get("license"),
            routes={
                "left as they are" if r == PASS_THROUGH else r.replace("+", " → "): n for r, n in plan.routes.items()
            },
            recipes=_recipes_of(plan),
            reasons=[(plain(reason), meaning(reason), n) for reason, n in summary.rejects_by_reason.items()],
            share=f"{summary.n_chunks_accepted / summary.n_chunks:.1%}" if summary.n_chunks else "none",
        )
        .rstrip()
    )


def _recipes_of(plan: Plan) -> list[tuple[str, Recipe | None]]:
    """The recipes on this run's routes; those from a file of the user's are known by name only."""
    built_in = load_recipes()
    names = dict.fromkeys(name for route in plan.routes if route != PASS_THROUGH for name in route.split("+"))
    pinned = {name: plan.config.get(f"recipe {name}") for name in names}
    return [
        (name, built_in[name] if name in built_in and pinned[name] in (None, built_in[name].prompt_hash) else None)
        for name in names
    ]


def _name(summary: Summary) -> str:
    return line(summary.output.rstrip("/").rsplit("/", 1)[-1] or summary.output)


def line(text: object) -> str:
    """Text for one line, and no Markdown in it begins a table cell, a tag or a comment."""
    return re.sub(r"\s+", " ", str(text)).replace("|", "\\|").replace("<", "&lt;").strip()


def code(text: object) -> str:
    """Text as a code span."""
    return "`" + re.sub(r"[`|\s]+", " ", str(text)) + "`"
