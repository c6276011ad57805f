"""Rewrites of the people by a language model, from a run of `palimpsest rephrase` over `world/people.jsonl`."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.dataset

from facts.people import ATTRIBUTES, VALUES
from facts.world import PEOPLE, REAL_ERRORS, REAL_TOKENS
from training.data.tokenizer import TextTokenizer

_DATE = re.compile(r"(\d+) (\w+) (\d+)")


def add_real(run: Path, folder: Path) -> str:
    """Add the accepted rewrites of a run to the world in `folder` as token ids; what was added, for people.

    Raises:
        ValueError: the run has no rewrites of these people.
    """
    people = [json.loads(line) for line in (folder / PEOPLE).read_text().splitlines()]
    texts: defaultdict[str, list[str]] = defaultdict(list)
    if list(run.glob("rewrites/*.parquet")):
        table = pyarrow.dataset.dataset(run / "rewrites").to_table(["document_id", "text"])
        for row in table.to_pylist():
            texts[row["document_id"]].append(row["text"])
    by_person = [sorted(texts[person["id"]]) for person in people]
    if not any(by_person):
        raise ValueError(f"{run} has no accepted rewrite of the people in {folder / PEOPLE}")
    tokenizer = TextTokenizer(folder / "tokenizer")
    ids = tokenizer.encode([text for written in by_person for text in written])
    np.savez_compressed(
        folder / REAL_TOKENS,
        tokens=np.concatenate(ids).astype(np.uint16),
        ends=np.cumsum([len(text) for text in ids]),
        firsts=np.cumsum([0, *map(len, by_person)]),
    )
    errors = [
        [errors_of(text, person["facts"]) for text in written]
        for person, written in zip(people, by_person, strict=True)
    ]
    planted = [
        [
            {name: tokenizer.encode([f" {value}"])[0][1:].tolist() if value else [] for name, value in found.items()}
            for found in row
        ]
        for row in errors
    ]
    (folder / REAL_ERRORS).write_text(json.dumps(planted))
    n_wrong = sum(bool(found) for row in errors for found in row)
    return (
        f"{len(ids)} rewrites of {sum(map(bool, by_person))} people, of {np.mean([len(text) for text in ids]):.0f} "
        f"tokens; {n_wrong} lack a fact or have another"
    )


def errors_of(text: str, facts: Mapping[str, str]) -> dict[str, str]:
    """The attributes whose value a text lacks, each with the other value that it has instead, or "".

    A value in other words is taken for missing: this is strict where a text is free.
    """
    found = {}
    lower = text.lower()
    for name in ATTRIBUTES:
        right = facts[name]
        if name == "birth_date":
            if not all(re.search(rf"\b{part.lower()}\b", lower) for part in _DATE.fullmatch(right).groups()):  # type: ignore[union-attr]
                found[name] = ""
        else:
            others = [value for value in VALUES[name] if value != right and value.lower() in lower]
            if right.lower() not in lower or others:
                found[name] = others[0] if others else ""
    return found
