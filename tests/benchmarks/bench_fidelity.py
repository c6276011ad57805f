"""How well does the verdict separate faithful from unfaithful rewrites? On public labelled sets and planted errors.

    python tests/benchmarks/bench_fidelity.py DATA [--cache FILE] [--entailment MODEL] [--likelihood MODEL]

DATA contains fidelity/, math/, documents/ and foreign_math/ as JSON Lines. Scores are computed once and cached. All
figures are on held-out rows: "cv" is five-fold cross-validation grouped by document, "other sets" is a model fitted
without the evaluated set. Thresholds, too, are chosen without the evaluated set.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from fidelity.checks.packaged_entailment import PACKAGED_ENTAILMENT
from fidelity.checks.sentences import SENTENCE_SCORES
from fidelity.fitting.fitting import (
    Example,
    balanced_threshold,
    balanced_weights,
    feature_matrix,
    held_out_odds,
    out_of_fold_odds,
)
from fidelity.fitting.labelled_sets import EXCLUDED_SETS, LabelledPair, labelled_pairs, translation_pairs
from fidelity.fitting.planted_pairs import planted_pairs
from fidelity.fitting.score_cache import ScoreCache
from fidelity.fitting.train_calibration import FEATURES, MAX_FALSE_REJECTS, features_of
from fidelity.judge import TIER_SCORES
from rephrase.models.resolve import PACKAGED_MODEL, resolve_model

N_RESAMPLES = 1000


def interval(labels: np.ndarray, odds: np.ndarray) -> str:
    """AUROC with its 95 % bootstrap interval over rows."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(N_RESAMPLES):
        chosen = generator.integers(len(labels), size=len(labels))
        if labels[chosen].any() and not labels[chosen].all():
            found.append(roc_auc_score(labels[chosen], odds[chosen]))
    low, high = np.quantile(found, [0.025, 0.975])
    return f"{roc_auc_score(labels, odds):.3f} [{low:.3f}, {high:.3f}]"


def recall_at(labels: np.ndarray, odds: np.ndarray, max_false_rejects: float) -> float:
    """The share of unfaithful rows rejected at the threshold that rejects this share of the faithful rows."""
    cut = np.sort(odds[labels])[int(np.floor(max_false_rejects * labels.sum()))]
    return float((odds[~labels] < cut).mean())


def rows_of(pairs: list[LabelledPair], cache: ScoreCache, tiers: tuple[str, ...]) -> tuple[list[LabelledPair], list]:
    kept, examples = [], []
    for pair in pairs:
        scores = cache.get(pair)
        if scores is not None and all(TIER_SCORES[tier][0] in scores for tier in tiers):
            kept.append(pair)
            examples.append(Example(dataset=pair.dataset, group=pair.group, faithful=pair.faithful, scores=scores))
    return kept, examples


def sets_table(pairs: list[LabelledPair], cache: ScoreCache, all_tiers: list[tuple[str, ...]]) -> None:
    """Every set by every tier; planted rows are fitted with the others but shown in their own table."""
    print(
        "| set | rows | tier | AUROC cv [95 %] | AUROC other sets | balanced accuracy | recall at 5 % false rejects |"
    )
    print("|---|---|---|---|---|---|---|")
    for kind in ("knowledge", "math", "translation"):
        of_kind = [pair for pair in pairs if pair.kind == kind]
        for tiers in all_tiers if kind == "knowledge" else [()]:
            _, examples = rows_of(of_kind, cache, tiers)
            if len({e.faithful for e in examples}) < 2:
                continue
            combined = features_of(kind, tiers)
            parts = {"+".join(("facts and embedding", *tiers)): combined}
            if not tiers:
                embedding = [name for name in ("similarity", *SENTENCE_SCORES) if kind != "math"]
                parts = {
                    "cosine of the whole text": ("similarity",),
                    **({"embedding": embedding} if embedding else {}),
                    "facts": [name for name in FEATURES[kind] if name not in ("similarity", *SENTENCE_SCORES)],
                    **parts,
                }
            for name, features in parts.items():
                _sets_rows(examples, features, name)


def _sets_rows(examples: list[Example], features: tuple[str, ...] | list[str], tier: str) -> None:
    labels = np.array([e.faithful for e in examples])
    datasets = np.array([e.dataset for e in examples])
    fitted = ~np.isin(datasets, sorted(EXCLUDED_SETS))
    used = [e for e, keep in zip(examples, fitted, strict=True) if keep]
    unseen = np.full(len(examples), np.nan)
    unseen[fitted] = out_of_fold_odds(used, features)
    rows, weights = feature_matrix(examples, features), np.zeros(len(examples))
    weights[fitted] = balanced_weights(used)
    for dataset in sorted(set(datasets)):
        if dataset.startswith("planted"):
            continue
        here, others = np.flatnonzero(datasets == dataset), np.flatnonzero((datasets != dataset) & fitted)
        alone = len(set(labels[others])) < 2
        away = unseen[here] if alone else held_out_odds(others, here, rows, labels, weights, features)
        near = away if dataset in EXCLUDED_SETS else unseen[here]
        if alone:
            threshold = np.nan
        else:
            threshold = balanced_threshold(
                1 / (1 + np.exp(-unseen[others])), labels[others], weights[others], MAX_FALSE_REJECTS
            )
        right = (1 / (1 + np.exp(-near)) >= threshold) == labels[here]
        balanced = np.mean([right[labels[here]].mean(), right[~labels[here]].mean()])
        print(
            f"| {dataset} | {len(here):,} | {tier} | {interval(labels[here], near)} "
            f"| {'-' if alone else format(roc_auc_score(labels[here], away), '.3f')} "
            f"| {'-' if alone else format(balanced, '.3f')} | {recall_at(labels[here], near, 0.05):.2f} |",
            flush=True,
        )


def planted_table(pairs: list[LabelledPair], cache: ScoreCache, tiers: tuple[str, ...]) -> None:
    """Recall of each planted error at 3 % false rejects among the faithful edits of the same corpus."""
    recalls: dict[str, dict[str, tuple[float, int]]] = defaultdict(dict)
    columns: list[str] = []
    for kind in ("knowledge", "math", "translation"):
        kept, examples = rows_of([p for p in pairs if p.kind == kind and p.dataset not in EXCLUDED_SETS], cache, tiers)
        if not examples:
            continue
        odds = out_of_fold_odds(examples, features_of(kind, tiers))
        datasets = sorted({p.dataset for p in kept if p.dataset.startswith("planted") or kind == "translation"})
        for dataset in datasets:
            here = np.array([p.dataset == dataset for p in kept])
            good = np.sort(odds[here & np.array([p.faithful for p in kept])])
            cut = good[int(np.floor(0.03 * len(good)))]
            columns.append(dataset)
            for error in sorted({p.error for p in kept if p.dataset == dataset and p.error}):
                chosen = here & np.array([p.error == error for p in kept])
                recalls[error][dataset] = (float((odds[chosen] < cut).mean()), int(chosen.sum()))
    print(f"\n| error | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for error, found in sorted(recalls.items()):
        cells = [f"{found[c][0]:.2f} of {found[c][1]}" if c in found else "-" for c in columns]
        print(f"| {error} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "bench-fidelity-scores.jsonl")
    parser.add_argument("--likelihood", help=f"language model for the likelihood tier, such as {PACKAGED_MODEL}")
    parser.add_argument("--entailment", help=f"cross-encoder for the entailment tier, such as {PACKAGED_ENTAILMENT}")
    parser.add_argument("--only-cached", action="store_true", help="use only pairs whose scores are in the cache")
    arguments = parser.parse_args()
    pairs, missing = labelled_pairs(arguments.data)
    pairs += [*translation_pairs(arguments.data), *planted_pairs(arguments.data)]
    if not pairs:
        parser.error(f"{arguments.data} contains none of the data sets: pass the folder with fidelity/ and math/")
    if missing:
        print(f"missing, skipped: {', '.join(missing)}\n")
    began = time.monotonic()
    cache = ScoreCache(arguments.cache)
    if not arguments.only_cached:
        model = resolve_model(arguments.likelihood) if arguments.likelihood else None
        cache.fill(pairs, likelihood_model=model, entailment_model=arguments.entailment, on_progress=print)
    tiers: list[tuple[str, ...]] = [()]
    tiers += [("likelihood",)] if arguments.likelihood else []
    tiers += [("entailment",)] if arguments.entailment else []
    sets_table(pairs, cache, tiers)
    planted_table(pairs, cache, ())
    print(f"\n{time.monotonic() - began:.0f} s, scores in {arguments.cache}")


if __name__ == "__main__":
    main()
