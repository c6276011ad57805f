"""Rewrites of one to three sentences each, written for this project: the same facts in really new words.

`sentence_rewrites.jsonl` has the rewrites; their sources are named by file, row and characters, and read from the data
folder.
"""

import functools
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from rephrase.corpus.sentences import sentence_spans

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
        FileNotFoundError: the folder lacks a file of sources.
        ValueError: a row names a source that is not there.
    """
    text = resources.files("rephrase.tuning").joinpath(REWRITES).read_text("utf-8")
    return [_read(json.loads(line), data) for line in text.splitlines()]


def _read(row: dict[str, object], data: Path) -> SentenceRewrite:
    file, name, start, end = str(row["file"]), str(row["id"]), int(str(row["start"])), int(str(row["end"]))
    document = _documents(data / f"{file}.jsonl").get(name, "")
    source = document[start:end]
    if not source:
        raise ValueError(f"{REWRITES}: {file} has no row {name!r} with characters {start} to {end}")
    window = document[max(0, start - 1000) : start]
    before = [sentence for span in sentence_spans(window) if (sentence := window[slice(*span)].strip())]
    return SentenceRewrite(
        document=f"{file}/{name}",
        source=source,
        before=before[-1] if before else "",
        style=str(row["style"]),
        rewrite=str(row["rewrite"]),
    )


@functools.lru_cache(maxsize=8)
def _documents(path: Path) -> dict[str, str]:
    found = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            found[str(row.get("id", row.get("path", number)))] = row.get("text") or row["source"]
    return found
