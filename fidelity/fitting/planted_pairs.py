"""Pairs made from real documents: the source with faithful edits of it, and with edits that contain one fault each."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fidelity.calibration.calibration import Kind
from fidelity.checks.sentences import split_sentences
from fidelity.fitting.labelled_sets import LabelledPair, read_rows
from fidelity.planting.edits import apply_edits
from fidelity.planting.garbled import garble
from fidelity.planting.omitted import omit
from fidelity.planting.planted import PlantedKind, faithful_edit, plant

# About the chunk size of a recipe: 256 tokens.
CHUNK_CHARACTERS = 1100
N_DOCUMENTS = 30
# The number of error kinds drawn for each document, so that all documents have about the same weight.
N_ERRORS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A file of real text in the data folder, and how to get the text of a row."""

    name: str
    file: str
    kind: Kind
    text: Callable[[dict[str, Any]], str]
    # The rows that the reader is not trained on.
    measured: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda rows: rows


CORPORA = (
    Corpus(name="Wikipedia", file="documents/xquad_en.jsonl", kind="knowledge", text=lambda row: row["context"]),
    Corpus(
        name="US history",
        file="documents/openstax_us_history.jsonl",
        kind="knowledge",
        text=lambda r: r["text"],
        measured=lambda rows: rows[1::2],
    ),
    Corpus(name="Open Logic", file="math/openlogic_tex.jsonl", kind="math", text=lambda row: row["text"]),
    Corpus(
        name="GSM8K",
        file="math/gsm8k_train_1500.jsonl",
        kind="math",
        text=lambda row: f"{row['question']}\n\n{row['answer']}",
        measured=lambda rows: [row for i, row in enumerate(rows) if i % 4],
    ),
)


def planted_pairs(data: Path, *, n_documents: int = N_DOCUMENTS, seed: int = 0) -> list[LabelledPair]:
    """Faithful pairs, and pairs with one planted error, from each corpus present; the seed determines all of them."""
    found: list[LabelledPair] = []
    for corpus in CORPORA:
        path = data / corpus.file
        if path.is_file():
            generator = random.Random(f"{seed}/{corpus.name}")
            rows = corpus.measured(read_rows(path))
            chosen = generator.sample(rows, min(n_documents, len(rows)))
            texts = [chunk_of(corpus.text(row), generator) for row in chosen]
            found += plant_in(texts, corpus.name, corpus.kind, generator)
    return found


def plant_in(texts: list[str], dataset: str, kind: Kind, generator: random.Random) -> Iterator[LabelledPair]:
    """For each text, two faithful edits and up to N_ERRORS edits with one error each, all of different kinds.

    Then an edit without a clause or phrase, one with a garbled sentence, and one with a sentence in random order.
    """
    for number, text in enumerate(texts):
        neighbour = texts[(number + 1) % len(texts)]

        def pair(
            rewrite: str, error: str = "", *, number: int = number, text: str = text, **known: Any
        ) -> LabelledPair:
            return LabelledPair(
                dataset=f"planted in {dataset}",
                kind=kind,
                group=str(number),
                source=text,
                rewrite=rewrite,
                error=error,
                **known,
            )

        yield from (pair(faithful_edit(text, generator), faithful=True, kept=1.0, fluent=True) for _ in range(2))
        n_planted = 0
        for error in generator.sample(list(PlantedKind), len(PlantedKind)):
            planted = plant(error, faithful_edit(text, generator), generator, neighbour=neighbour)
            if planted is not None:
                lost = planted.original_span[1] - planted.original_span[0]
                yield pair(planted.text, str(error), **_known(error, 1 - lost / max(len(text), 1)))
                n_planted += 1
            if n_planted == N_ERRORS:
                break
        yield from _language_faults(text, neighbour, generator, pair)


def _known(error: PlantedKind, kept: float) -> dict[str, Any]:
    """What is known of a rewrite with this error: where words were exchanged, nothing about what is kept."""
    if error == PlantedKind.DROPPED_SENTENCE:
        return {"faithful": True, "kept": kept, "fluent": True}
    if error == PlantedKind.CUT_END:
        return {"kept": kept, "fluent": False}
    if error == PlantedKind.ADDED_SENTENCE:
        return {"faithful": False, "kept": 1.0, "fluent": True}
    return {"faithful": False, "fluent": True if error in _STILL_FLUENT else None}


# A number or name put for another leaves the language as it was; an antonym or a "not" may not fit.
_STILL_FLUENT = frozenset({PlantedKind.NUMBER, PlantedKind.DATE, PlantedKind.NAME, PlantedKind.SWAPPED_NAMES})


def _language_faults(
    text: str, neighbour: str, generator: random.Random, pair: Callable[..., LabelledPair]
) -> Iterator[LabelledPair]:
    edited = faithful_edit(text, generator)
    shorter = omit(edited, generator)
    if shorter:
        lost = (shorter.end - shorter.start) / len(edited)
        yield pair(apply_edits(edited, [shorter]), "omitted_clause", faithful=True, kept=1 - lost, fluent=True)
    spans = split_sentences(edited).spans
    others = [split_sentences(neighbour)[i] for i in range(len(split_sentences(neighbour).spans))]
    start, end = generator.choice(spans)
    if found := garble(edited[start:end], generator, others):
        yield pair(edited[:start] + found[0] + edited[end:], "garbled", fluent=False)
    words = edited[start:end].split()
    if len(words) > 5:
        generator.shuffle(words)
        yield pair(f"{edited[:start]}{' '.join(words)}{edited[end:]}", "scrambled", fluent=False)


def chunk_of(text: str, generator: random.Random) -> str:
    """About CHUNK_CHARACTERS characters, from the start of a paragraph to the end of a paragraph or sentence."""
    text = text.strip()
    if len(text) <= CHUNK_CHARACTERS:
        return text
    starts = [0, *(i + 2 for i in range(len(text)) if text.startswith("\n\n", i))]
    starts = [start for start in starts if start < len(text) - CHUNK_CHARACTERS // 2] or [0]
    start = generator.choice(starts)
    piece = text[start : start + CHUNK_CHARACTERS]
    end = max(piece.rfind("\n\n"), piece.rfind(". ") + 1)
    return piece[:end].strip() if end > CHUNK_CHARACTERS // 3 else piece.strip()
