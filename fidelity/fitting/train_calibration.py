"""Fit the packaged weights: python -m fidelity.fitting.train_calibration DATA [--cache FILE]

DATA is a folder with public sets of labelled pairs and documents; see `fidelity.fitting.labelled_sets`. Scores are
computed once and cached. Rows that the reader was trained with are left out.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from fidelity.calibration.calibration import FORMAT, KEEPS, Calibration, InStyle, Kind, Model, save_calibration
from fidelity.checks.style import missing_form
from fidelity.fitting.fitting import Example, finding_weight, fit_metadata, fit_model, out_of_fold_odds
from fidelity.fitting.labelled_sets import EXCLUDED_SETS, LabelledPair, labelled_pairs, translation_pairs
from fidelity.fitting.planted_pairs import planted_pairs
from fidelity.fitting.read_rewrites import DATASET as REAL
from fidelity.fitting.read_rewrites import read_rewrites
from fidelity.fitting.reader_rows import is_held_out
from fidelity.fitting.score_cache import ScoreCache
from fidelity.fitting.written_pairs import held_out_pairs
from fidelity.judge import WORDS_CHANGED
from fidelity.reader.scores import ADDED_SCORES, LANGUAGE_SCORES, LOST_SCORES

Fitted = Literal["faithful", "complete", "fluent"]
FITTED: tuple[Fitted, ...] = ("faithful", "complete", "fluent")
# A wrongly rejected rewrite is retried; a wrongly accepted one is trained on.
MAX_FALSE_REJECTS: dict[Fitted, float] = {"faithful": 0.2, "complete": 0.1, "fluent": 0.1}
# For prose, thresholds are chosen by hand, on the labelled rewrites of real models and on people's simplifications:
# the certainty that keeps the near copies of small models right rejects most of what larger ones say in new words, so
# recipes for small models ask for more. The completeness of a text in really new words is estimated low; a low
# threshold is enough to find what lacks a sentence.
THRESHOLDS: dict[tuple[Fitted, Kind], float] = {
    ("faithful", "knowledge"): 0.45,
    ("complete", "knowledge"): 0.05,
    ("fluent", "knowledge"): 0.3,
    ("fluent", "math"): 0.3,
    ("fluent", "translation"): 0.3,
}
# What rows of `complete` are asked: is everything kept, or at least so much?
SHARES = (0.25, 0.5, 0.75, 1.0)
IN_STYLE_THRESHOLD = 0.5

# A few informative scores: with all sixty, a model fitted to one data set fails on the next.
_FACTS = (
    *(f"{kind}_unsupported" for kind in ("number", "date", "name", "formula", "literal")),
    *(f"{kind}_exchanged" for kind in ("number", "date", "name", "formula")),
    "unit_mismatch",
    "name_recombined",
    "swap",
    "negation_mismatch",
    "antonym_mismatch",
    "direction_mismatch",
    "quantifier_mismatch",
    "fact_changed",
)
_WORDS = ("content_support", "content_support_min", "content_novel", "content_exchanged")
_STEPS = ("step_errors", "step_support", "answer_mismatch", "number_support")
_MISSING = (
    "similarity",
    "coverage_min",
    "coverage_mean",
    "coverage_p10",
    "content_coverage_min",
    "sentence_dropped",
    "fact_lack",
    "length_lack",
    "end_cut",
)
FEATURES: dict[tuple[Fitted, Kind], tuple[str, ...]] = {
    ("faithful", "knowledge"): ("similarity", "support_min", "support_p10", *_WORDS, *_FACTS, *ADDED_SCORES),
    ("faithful", "math"): ("support_min", *_WORDS, *_FACTS, *_STEPS, *ADDED_SCORES),
    ("faithful", "translation"): (
        "similarity",
        "support_min",
        *(f"{kind}_{score}" for kind in ("number", "formula") for score in ("unsupported", "missing", "exchanged")),
    ),
    ("complete", "knowledge"): (KEEPS, *_MISSING, *LOST_SCORES),
    ("complete", "math"): (KEEPS, *_MISSING, "answer_missing", "number_coverage", *LOST_SCORES),
    ("complete", "translation"): (
        KEEPS,
        "similarity",
        "coverage_min",
        "coverage_mean",
        "number_missing",
        "length_lack",
    ),
    # In scrambled sentences, words of the source stand beside others than there.
    ("fluent", "knowledge"): (*LANGUAGE_SCORES, "relation_support"),
    ("fluent", "math"): (*LANGUAGE_SCORES, "relation_support"),
    ("fluent", "translation"): LANGUAGE_SCORES,
}


def examples_of(pairs: Sequence[LabelledPair], scores: ScoreCache, question: Fitted) -> list[Example]:
    """The pairs of which the answer is known; those about completeness once for each of SHARES."""
    found = []
    for pair in pairs:
        known = scores.get(pair)
        if known is None:
            continue
        for label, asked in _answers(pair, question):
            found.append(Example(dataset=pair.dataset, group=pair.group, label=label, scores={**known, KEEPS: asked}))
    return found


def _answers(pair: LabelledPair, question: Fitted) -> Iterator[tuple[bool, float]]:
    if question == "complete":
        if pair.kept is not None:
            for share in SHARES:
                yield pair.kept >= share - 1e-6, share
    else:
        label = pair.faithful if question == "faithful" else pair.fluent
        if label is not None:
            yield label, 1.0


def of_kind(pairs: Sequence[LabelledPair], question: Fitted, kind: Kind) -> list[LabelledPair]:
    """The pairs to fit a question and kind to: what prose is fluent does not depend on the kind."""
    kinds = ("knowledge",) if question == "fluent" and kind == "translation" else (kind,)
    return [pair for pair in pairs if pair.kind in kinds and pair.dataset not in EXCLUDED_SETS]


def fit_all(pairs: Sequence[LabelledPair], scores: ScoreCache) -> Calibration:
    models: list[Model] = []
    rows: list[Example] = []
    for (question, kind), features in FEATURES.items():
        examples = examples_of(of_kind(pairs, question, kind), scores, question)
        rows += examples
        model = fit_model(examples, question, kind, features, max_false_rejects=MAX_FALSE_REJECTS[question])
        model = model.model_copy(update={"threshold": THRESHOLDS.get((question, kind), model.threshold)})
        models.append(model)
        print(f"{question}, {kind}: {len(examples)} rows, threshold {model.threshold:.2f}", flush=True)
    return Calibration(
        format=FORMAT,
        fitted=fit_metadata(rows, "python -m fidelity.fitting.train_calibration"),
        models=tuple(models),
        in_style=fit_in_style(pairs),
        changed_word=fit_changed_word(pairs, scores, models[0]),
    )


def fit_changed_word(pairs: Sequence[LabelledPair], scores: ScoreCache, model: Model) -> float:
    """How much a changed word in a copied sentence counts, on the rewrites of real models by folds."""
    examples = examples_of(of_kind(pairs, "faithful", "knowledge"), scores, "faithful")
    odds = model.scale * out_of_fold_odds(examples, model.features) + model.offset
    real = np.array([example.dataset == REAL for example in examples])
    labels = np.array([example.label for example in examples])
    found = np.array([example.scores[WORDS_CHANGED] > 0 for example in examples])
    return finding_weight(odds[real], labels[real], found[real])


def fit_in_style(pairs: Sequence[LabelledPair]) -> InStyle:
    """The shares of labelled rewrites that are in their style, with one row of each label added (Laplace)."""
    counts = {name: [1, 2] for name in ("form_found", "form_missing", "no_form")}
    for pair in pairs:
        if pair.in_style is None:
            continue
        missing = missing_form(pair.rewrite, pair.form)
        name = "no_form" if pair.form is None else "form_missing" if missing else "form_found"
        counts[name][0] += pair.in_style
        counts[name][1] += 1
    shares = {name: round(good / n, 3) for name, (good, n) in counts.items()}
    return InStyle(**shares, threshold=IN_STYLE_THRESHOLD)


def all_pairs(data: Path) -> tuple[list[LabelledPair], list[str]]:
    """Everything that is fitted to, without the rows that the reader was trained with, and the missing files."""
    labelled, missing = labelled_pairs(data)
    # Of the sets that the reader was not trained with, as large a part is enough.
    unseen = [pair for pair in labelled if pair.dataset not in EXCLUDED_SETS and is_held_out(pair.dataset, pair.group)]
    return [
        *unseen,
        *translation_pairs(data),
        *planted_pairs(data),
        *held_out_pairs(data),
        *read_rewrites(data),
    ], missing


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("fidelity-scores.jsonl"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "calibration" / "weights.json")
    parser.add_argument("--reader", type=Path, help="weights of another reader than the shipped one")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    pairs, missing = all_pairs(chosen.data)
    if not pairs:
        sys.exit(f"{chosen.data} contains none of the data sets: pass the folder with fidelity/ and math/")
    if missing:
        print(f"missing, skipped: {', '.join(missing)}")
    scores = ScoreCache(chosen.cache, reader=chosen.reader)
    scores.fill(pairs, on_progress=lambda line: print(line, flush=True))
    save_calibration(fit_all(pairs, scores), chosen.out)
    print(f"wrote {chosen.out} after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
