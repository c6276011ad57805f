"""Rewrites of one to three sentences each, written for this project: the same facts in really new words.

`sentence_rewrites.jsonl` has the rewrites; their sources are named by file, row and characters, and read from the data
folder.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from rephrase.corpus.sentences import sentence_spans
from rephrase.tuning.references import referenced_documents

REWRITES = "sentence_rewrites.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceRewrite:
    """`before` is the sentence before the source, empty at the beginning of a document or where it is not shown."""

    document: str
    source: str
    style: str
    rewrite: str
    before: str = ""
    title: str = ""


def sentence_rewrites(data: Path) -> list[SentenceRewrite]:
    """
    Raises:
        ValueError: a row names a source that is not there.
    """
    text = resources.files("rephrase.tuning").joinpath(REWRITES).read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    documents = referenced_documents(data, (row["file"] for row in rows))
    return [_read(row, documents) for row in rows]


def _read(row: dict[str, Any], documents: Mapping[tuple[str, str], str]) -> SentenceRewrite:
    document = documents.get((row["file"], row["id"]), "")
    source = document[row["start"] : row["end"]]
    if not source:
        raise ValueError(
            f"{REWRITES}: {row['file']} has no row {row['id']!r} with characters {row['start']} to {row['end']}"
        )
    window = document[max(0, row["start"] - 1000) : row["start"]]
    before = [sentence for span in sentence_spans(window) if (sentence := window[slice(*span)].strip())]
    return SentenceRewrite(
        document=f"{row['file']}/{row['id']}",
        source=source,
        before=before[-1] if before else "",
        style=row["style"],
        rewrite=row["rewrite"],
    )
