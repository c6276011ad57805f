"""Pairs made from real documents: the source with faithful edits of it, and with edits that contain one error each."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fidelity.calibration.calibration import Kind
from fidelity.fitting.labelled_sets import LabelledPair, read_rows
from fidelity.planting.planted import PlantedKind, faithful_edit, plant

# About the chunk size of a recipe: 256 tokens.
CHUNK_CHARACTERS = 1100
N_DOCUMENTS = 120
# The number of error kinds drawn for each document, so that all documents have about the same weight.
N_ERRORS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A file of real text in the data folder, and how to get the text of a row."""

    name: str
    file: str
    kind: Kind
    text: Callable[[dict[str, Any]], str]


CORPORA = (
    Corpus(name="Wikipedia", file="documents/xquad_en.jsonl", kind="knowledge", text=lambda row: row["context"]),
    Corpus(name="US history", file="documents/openstax_us_history.jsonl", kind="knowledge", text=lambda r: r["text"]),
    Corpus(name="Open Logic", file="math/openlogic_tex.jsonl", kind="math", text=lambda row: row["text"]),
    Corpus(
        name="GSM8K",
        file="math/gsm8k_train_1500.jsonl",
        kind="math",
        text=lambda row: f"{row['question']}\n\n{row['answer']}",
    ),
)


def planted_pairs(data: Path, *, n_documents: int = N_DOCUMENTS, seed: int = 0) -> list[LabelledPair]:
    """Faithful pairs, and pairs with one planted error, from each corpus present; the seed determines all of them."""
    found: list[LabelledPair] = []
    for corpus in CORPORA:
        path = data / corpus.file
        if path.is_file():
            generator = random.Random(f"{seed}/{corpus.name}")
            rows = read_rows(path)
            chosen = generator.sample(rows, min(n_documents, len(rows)))
            texts = [chunk_of(corpus.text(row), generator) for row in chosen]
            found += plant_in(texts, corpus.name, corpus.kind, generator)
    return found


def plant_in(texts: list[str], dataset: str, kind: Kind, generator: random.Random) -> Iterator[LabelledPair]:
    """For each text, two faithful edits and up to N_ERRORS edits with one error each, all of different kinds."""
    for number, text in enumerate(texts):
        neighbour = texts[(number + 1) % len(texts)]

        def pair(rewrite: str, error: str = "", number: int = number, text: str = text) -> LabelledPair:
            return LabelledPair(
                dataset=f"planted in {dataset}",
                kind=kind,
                group=str(number),
                source=text,
                rewrite=rewrite,
                faithful=not error,
                error=error,
            )

        yield from (pair(faithful_edit(text, generator)) for _ in range(2))
        n_planted = 0
        for error in generator.sample(list(PlantedKind), len(PlantedKind)):
            planted = plant(error, faithful_edit(text, generator), generator, neighbour=neighbour)
            if planted is not None:
                yield pair(planted.text, str(error))
                n_planted += 1
            if n_planted == N_ERRORS:
                break


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
