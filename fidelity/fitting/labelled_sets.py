"""Public data sets of pairs labelled faithful or not, read from a folder of JSON Lines.

They are used to fit and test the calibration; missing sets are skipped and reported.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fidelity.calibration.calibration import Kind
from fidelity.planting.planted import PlantedKind, plant

TRANSLATED_FROM = ("es", "fr", "de", "ru", "zh", "ja", "th", "sw", "bn", "te")

# Its right answers end without a full stop and its wrong ones with one: a model fitted to it learns only that.
EXCLUDED_SETS = {"HaluEval QA"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPair:
    """A pair with the answers that are known; None where nobody has said.

    `group` identifies what rows share (a document, a problem); cross-validation must keep it in one fold. `kept` is the
    share of the source that is kept. `error` is what is wrong with a rewrite, where known.
    """

    dataset: str
    kind: Kind
    group: str
    source: str
    rewrite: str
    faithful: bool | None = None
    kept: float | None = None
    fluent: bool | None = None
    in_style: bool | None = None
    form: str | None = None
    error: str = ""
    source_language: str = "en"


Found = tuple[str, str, str, bool, str]


def _summedits(row: dict[str, Any]) -> Iterator[Found]:
    error = row["edit_types"][0] if len(row["edit_types"]) == 1 else ""
    yield row["doc"], row["doc"], row["summary"], row["label"] == 1, error


def _wice(row: dict[str, Any]) -> Iterator[Found]:
    evidence = "\n".join(row["evidence"])
    # Partially supported counts as not supported, as in the published binary task.
    yield evidence, evidence, row["claim"], row["label"] == "supported", row["label"]


def _fever(row: dict[str, Any]) -> Iterator[Found]:
    yield row["id"], row["evidence"], row["claim"], row["gold_label"] == "SUPPORTS", ""


def _begin(row: dict[str, Any]) -> Iterator[Found]:
    yield row["knowledge"], row["knowledge"], row["response"], row["begin_label"] == "Fully attributable", ""


def _halueval(row: dict[str, Any]) -> Iterator[Found]:
    for answer, faithful in ((row["right_answer"], True), (row["hallucinated_answer"], False)):
        yield row["knowledge"], row["knowledge"], f"{row['question']} {answer}", faithful, ""


def _solutions(row: dict[str, Any]) -> Iterator[Found]:
    """A model's solution paired with the correct one."""
    source = f"{row['question']}\n{row['ground_truth']}"
    for value in row.values():
        if isinstance(value, dict) and "solution" in value:
            yield row["question"], source, value["solution"], bool(value["is_correct"]), "wrong solution"


SETS: dict[str, tuple[str, Kind, Callable[[dict[str, Any]], Iterator[Found]]]] = {
    "SummEdits": ("fidelity/summedits_dev.jsonl", "knowledge", _summedits),
    "FEVER-symmetric": ("fidelity/fever_symmetric_dev.jsonl", "knowledge", _fever),
    "WiCE": ("fidelity/wice_claim_dev.jsonl", "knowledge", _wice),
    "BEGIN": ("fidelity/begin_wow_dev.jsonl", "knowledge", _begin),
    "HaluEval QA": ("fidelity/halueval_qa.jsonl", "knowledge", _halueval),
    "GSM8K solutions": ("math/gsm8k_model_solutions.jsonl", "math", _solutions),
}


def read_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def labelled_pairs(data: Path) -> tuple[list[LabelledPair], list[str]]:
    """The pairs of all sets in the folder, and the names of the missing files."""
    found, missing = [], []
    for name, (file, kind, read) in SETS.items():
        path = data / file
        if not path.is_file():
            missing.append(file)
            continue
        found += [
            LabelledPair(
                dataset=name,
                kind=kind,
                group=group,
                source=source,
                rewrite=rewrite,
                faithful=faithful,
                error="" if faithful else error,
            )
            for row in read_rows(path)
            for group, source, rewrite, faithful, error in read(row)
        ]
    return found, missing


TRANSLATIONS = "foreign_math/mgsm_parallel.jsonl"
# Every tenth problem, each in ten languages and four versions, is as much as the few features of a translation need.
TRANSLATIONS_EVERY = 10


def translation_pairs(data: Path, seed: int = 0) -> list[LabelledPair]:
    """Problems with their English translation: the true one, that of another, one wrong number, one sentence less."""
    path = data / TRANSLATIONS
    if not path.is_file():
        return []
    rows, generator = read_rows(path)[::TRANSLATIONS_EVERY], random.Random(seed)
    found = []
    for number, row in enumerate(rows):
        for language in TRANSLATED_FROM:
            other = rows[(number + generator.randrange(1, len(rows))) % len(rows)]
            changed = plant(PlantedKind.NUMBER, row["en"], generator)
            shorter = plant(PlantedKind.DROPPED_SENTENCE, row["en"], generator)
            versions: list[tuple[str, str, float | None]] = [(row["en"], "", 1.0), (other["en"], "shuffled", 0.0)]
            if changed is not None:
                versions.append((changed.text, "number", None))
            if shorter is not None:
                versions.append((shorter.text, "dropped_sentence", len(shorter.text) / len(row["en"])))
            for english, error, kept in versions:
                found.append(
                    LabelledPair(
                        dataset="MGSM",
                        kind="translation",
                        group=str(number),
                        source=row[language],
                        rewrite=english,
                        faithful=error in ("", "dropped_sentence"),
                        kept=kept,
                        error=error,
                        source_language=language,
                    )
                )
    return found
