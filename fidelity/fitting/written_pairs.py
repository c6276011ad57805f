"""Faithful rewrites written for this project, each with versions that contain one error, omission or garbled sentence.

`written_pairs.jsonl` has rewrites of passages, and `rephrase/tuning/sentence_rewrites.jsonl` those of one to three
sentences in really new words; their sources are named by file, row and characters, and read from the data folder.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from fidelity.fitting.labelled_sets import LabelledPair
from fidelity.fitting.reader_rows import ReaderRow, Span, is_held_out
from fidelity.planting.edits import Edit, applied, apply_edits
from rephrase.tuning.references import referenced_documents
from rephrase.tuning.sentence_rewrites import REWRITES

WRITTEN = "written_pairs.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPair:
    """`errors`, `omissions` and `garbles` are edits of the rewrite; an omission names what it loses in the source."""

    document: str
    style: str
    source: str
    rewrite: str
    errors: tuple[Edit, ...]
    omissions: tuple[tuple[Edit, Span], ...]
    garbles: tuple[Edit, ...]


def referenced_texts(data: Path, rows: Sequence[dict[str, Any]]) -> list[str | None]:
    """The source of each row with `file`, `id`, `start` and `end`; None where the file is missing."""
    documents = referenced_documents(data, (row["file"] for row in rows))
    return [
        documents[row["file"], row["id"]][row["start"] : row["end"]] if (row["file"], row["id"]) in documents else None
        for row in rows
    ]


def written_pairs(data: Path) -> list[WrittenPair]:
    rows = [
        json.loads(line)
        for package, name in (("fidelity.fitting", WRITTEN), ("rephrase.tuning", REWRITES))
        for line in resources.files(package).joinpath(name).read_text("utf-8").splitlines()
    ]
    found = []
    for row, source in zip(rows, referenced_texts(data, rows), strict=True):
        if source is None:
            continue
        rewrite = row["rewrite"]
        found.append(
            WrittenPair(
                document=f"{row['file']}/{row['id']}",
                style=row["style"],
                source=source,
                rewrite=rewrite,
                errors=tuple(_edit(rewrite, edit) for edit in row["errors"]),
                omissions=tuple(
                    (_edit(rewrite, edit), (at, at + len(edit["lost"])))
                    for edit in row["omissions"]
                    for at in [source.find(edit["lost"])]
                ),
                garbles=tuple(_edit(rewrite, edit) for edit in row["garbles"]),
            )
        )
    return found


def _edit(text: str, edit: dict[str, str]) -> Edit:
    start = text.find(edit["find"])
    return Edit(start, start + len(edit["find"]), edit["replace"])


def written_rows(pairs: Sequence[WrittenPair]) -> Iterator[ReaderRow]:
    """The rows of the pairs that are not held out."""
    for pair in pairs:
        if is_held_out("written", pair.document):
            continue
        name = "written"
        for _ in range(2):  # about as often as each kind of fault
            yield ReaderRow(dataset=name, rewrite=pair.rewrite, source=pair.source, added=(), lost=())
        yield ReaderRow(dataset=name, rewrite=pair.rewrite, source=None, garbled=())
        for edit in pair.errors:
            text, span = applied(pair.rewrite, _narrowed(pair.rewrite, edit))
            yield ReaderRow(dataset=name, rewrite=text, source=pair.source, added=(span,))
        for edit, lost in pair.omissions:
            text, _ = applied(pair.rewrite, edit)
            yield ReaderRow(dataset=name, rewrite=text, source=pair.source, added=(), lost=(lost,))
        for edit in pair.garbles:
            text, span = applied(pair.rewrite, edit)
            yield ReaderRow(dataset=name, rewrite=text, source=None, garbled=(span,))


def held_out_pairs(data: Path) -> list[LabelledPair]:
    """The pairs that the reader has not seen, labelled."""
    found: list[LabelledPair] = []
    for pair in written_pairs(data):
        if not is_held_out("written", pair.document):
            continue

        def version(rewrite: str, error: str = "", *, pair: WrittenPair = pair, **known: Any) -> LabelledPair:
            return LabelledPair(
                dataset="written", kind="knowledge", group=pair.document, source=pair.source, rewrite=rewrite,
                error=error, **known,
            )  # fmt: skip

        found.append(version(pair.rewrite, faithful=True, kept=1.0, fluent=True))
        for edit in pair.errors:
            found.append(version(apply_edits(pair.rewrite, [edit]), "error", faithful=False, fluent=True))
        for edit, (start, end) in pair.omissions:
            kept = 1 - (end - start) / len(pair.source)
            found.append(version(apply_edits(pair.rewrite, [edit]), "omission", faithful=True, kept=kept, fluent=True))
        for edit in pair.garbles:
            found.append(version(apply_edits(pair.rewrite, [edit]), "garbled", fluent=False))
    return found


def _narrowed(text: str, edit: Edit) -> Edit:
    """Without the words that both sides of the edit share at its start and end."""
    old, new = text[edit.start : edit.end].split(" "), edit.new.split(" ")
    first = 0
    while first < min(len(old), len(new)) and old[first] == new[first]:
        first += 1
    last = 0
    while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
        last += 1
    head, tail = len(" ".join([*old[:first], ""])), len(" ".join(["", *old[len(old) - last :]])) if last else 0
    end = edit.end - tail
    start = min(edit.start + head, end)
    return Edit(start, end, " ".join(new[first : len(new) - last]))
