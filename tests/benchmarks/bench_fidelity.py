"""How well does the verdict separate good rewrites from others? On public labelled and rated sets and planted faults.

    python tests/benchmarks/bench_fidelity.py DATA [--cache FILE]

DATA contains fidelity/, math/, documents/ and foreign_math/ as JSON Lines. Scores are computed once and cached. "Folds"
is five-fold cross-validation grouped by document, "left out" a model fitted without the whole set; the reader never saw
any of these rows. Rated sets are judged by the shipped weights, which were fitted to none of them.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from fidelity.calibration.calibration import KEEPS, KINDS, Kind, load_calibration
from fidelity.fitting.fitting import (
    Example,
    balanced_weights,
    feature_matrix,
    held_out_odds,
    out_of_fold_odds,
)
from fidelity.fitting.labelled_sets import EXCLUDED_SETS, LabelledPair, read_rows
from fidelity.fitting.read_rewrites import DATASET as REAL
from fidelity.fitting.score_cache import ScoreCache
from fidelity.fitting.train_calibration import FEATURES, FITTED, all_pairs, examples_of, of_kind
from fidelity.judge import EVERYTHING, WORDS_CHANGED, Judge, Pair

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


def sets_table(pairs: list[LabelledPair], cache: ScoreCache) -> None:
    """Every set and question; planted rows are fitted with the others but shown in their own table."""
    print("| question | set | rows | yes | AUROC, folds [95 %] | left out | cosine |\n|---|---|---|---|---|---|---|")
    for (question, kind), features in FEATURES.items():
        if question == "fluent" and kind == "translation":
            continue
        examples = examples_of(of_kind(pairs, question, kind), cache, question)
        labels = np.array([e.label for e in examples])
        datasets = np.array([e.dataset for e in examples])
        rows, weights = feature_matrix(examples, features), balanced_weights(examples)
        unseen = out_of_fold_odds(examples, features)
        cosine = np.array([e.scores["similarity"] for e in examples])
        for dataset in sorted(set(datasets)):
            here, others = np.flatnonzero(datasets == dataset), np.flatnonzero(datasets != dataset)
            if len(set(labels[here])) < 2:
                continue
            away = "-"
            if len(set(labels[others])) == 2:
                odds = held_out_odds(others, here, rows, labels, weights, features)
                away = f"{roc_auc_score(labels[here], odds):.3f}"
            print(
                f"| {question}, {kind} | {dataset} | {len(here):,} | {int(labels[here].sum()):,} "
                f"| {interval(labels[here], unseen[here])} | {away} "
                f"| {roc_auc_score(labels[here], cosine[here]):.3f} |",
                flush=True,
            )


def probabilities_by_folds(pairs: list[LabelledPair], cache: ScoreCache, kind: Kind) -> dict[str, np.ndarray]:
    """For each question that these pairs are labelled for, its probability by folds, scaled as in the shipped weights.

    NaN for a pair that lacks a score: of most sets only those are computed that their labels need.
    """
    needed = {name for question in FITTED for name in FEATURES[question, kind]} - {KEEPS}
    scored = [i for i, pair in enumerate(pairs) if (cache.get(pair) or {}).keys() >= needed]
    found = {}
    for question in FITTED:
        labelled = examples_of(pairs, cache, question)
        if not labelled:
            continue
        whole = [
            Example(
                dataset=pairs[i].dataset,
                group=pairs[i].group,
                label=True,
                scores={**(cache.get(pairs[i]) or {}), KEEPS: EVERYTHING},
            )
            for i in scored
        ]
        found[question] = np.full(len(pairs), np.nan)
        shipped = load_calibration().model(question, kind)
        odds = shipped.scale * _by_folds(labelled, whole, FEATURES[question, kind]) + shipped.offset
        found[question][scored] = 1 / (1 + np.exp(-odds))
    return found


def _by_folds(labelled: list[Example], asked: list[Example], features: tuple[str, ...]) -> np.ndarray:
    """The odds of `asked` from models fitted to the labelled rows of other documents."""
    groups = sorted({f"{e.dataset}/{e.group}" for e in [*labelled, *asked]})
    fold_of = {group: i % 5 for i, group in enumerate(np.random.default_rng(0).permutation(groups))}
    every = [*labelled, *asked]
    rows = feature_matrix(every, features)
    labels = np.array([e.label for e in every])
    weights = np.concatenate([balanced_weights(labelled), np.zeros(len(asked))])
    folds = np.array([fold_of[f"{e.dataset}/{e.group}"] for e in every])
    is_asked = np.arange(len(every)) >= len(labelled)
    odds = np.zeros(len(every))
    for fold in range(5):
        train, test = np.flatnonzero(~is_asked & (folds != fold)), np.flatnonzero(is_asked & (folds == fold))
        if len(test):
            odds[test] = held_out_odds(train, test, rows, labels, weights, features)
    return odds[is_asked]


def accepted_by_folds(by_question: dict[str, np.ndarray], kind: Kind) -> np.ndarray:
    """Whether each probability reaches the shipped threshold of its question; no, where a score is missing."""
    calibration = load_calibration()
    return np.all([v >= calibration.model(q, kind).threshold for q, v in by_question.items()], axis=0)  # type: ignore[arg-type]


def planted_table(pairs: list[LabelledPair], cache: ScoreCache) -> None:
    """How many of each planted fault are rejected: at 3 % false rejects in the same corpus, and at the thresholds."""
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    columns: list[str] = []
    for kind in KINDS:
        chosen = [p for p in pairs if p.kind == kind and p.dataset not in EXCLUDED_SETS]
        by_question = probabilities_by_folds(chosen, cache, kind)
        combined = np.prod([*by_question.values()], axis=0)
        rejected = ~accepted_by_folds(by_question, kind)
        scored = np.flatnonzero(~np.isnan(combined))
        for dataset in sorted({p.dataset for p in chosen if p.dataset.startswith(("planted", "MGSM", "written"))}):
            columns.append(dataset)
            by_error: dict[str, list[int]] = defaultdict(list)
            for i in scored:
                if chosen[i].dataset == dataset:
                    by_error[chosen[i].error or "none"].append(i)
            cut = sorted(combined[by_error["none"]])[int(0.03 * len(by_error["none"]))]
            for error, rows in by_error.items():
                cells[error][dataset] = f"{(combined[rows] < cut).sum()}, {rejected[rows].sum()} of {len(rows)}"
    print(f"\n| fault | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for error, found in sorted(cells.items()):
        print(f"| {error} | {' | '.join(found.get(column, '-') for column in columns)} |")


Rows = list[dict[str, Any]]


def rated_table(data: Path, judge: Judge) -> None:
    """The rated sets by the shipped weights."""

    def verdicts(rows: Rows, keeps: float = 1.0, source: str = "source", rewrite: str = "rewrite") -> list[Any]:
        return judge.judge([Pair(source=row[source], rewrite=row[rewrite], keeps=keeps) for row in rows])

    def of(found: list[Any], question: str | None = None) -> np.ndarray:
        return np.array([v.probabilities[question] if question else v.probability for v in found])

    def show(name: str, value: float | str) -> None:
        print(f"| {name} | {value if isinstance(value, str) else format(value, '.2f')} |", flush=True)

    def accepted(found: list[Any], rows: Rows, which: Callable[[dict[str, Any]], bool]) -> str:
        chosen = [v.accepted for v, row in zip(found, rows, strict=True) if which(row)]
        return f"{sum(chosen)} of {len(chosen)}"

    print("\n| rated sets, shipped weights | |\n|---|---|")
    path = data / "fidelity/simplicity_da_dev.jsonl"
    if path.is_file():
        rows = read_rows(path)
        found = verdicts(rows)
        meaning, fluency = (np.array([row[name] for row in rows]) for name in ("meaning", "fluency"))
        show("Simplicity-DA: rank correlation of probability with meaning", spearmanr(of(found), meaning)[0])
        for question in FITTED:
            show(f"  of {question} with meaning", spearmanr(of(found, question), meaning)[0])
        cosine = [v.scores["similarity"] for v in found]
        show("  of the cosine with meaning", spearmanr(cosine, meaning)[0])
        show("  of fluent with fluency", spearmanr(of(found, "fluent"), fluency)[0])
        show("  accepted of those rated below 40 in meaning", accepted(found, rows, lambda row: row["meaning"] < 40))
        show("  accepted of those rated above 80 in meaning", accepted(found, rows, lambda row: row["meaning"] > 80))
    path = data / "fidelity/simplikert_2022_dev.jsonl"
    if path.is_file():
        rows = read_rows(path)
        found = verdicts(rows)
        adequacy, fluency = (np.array([row[name] for row in rows]) for name in ("adequacy", "fluency"))
        show("SimpEval 2022: rank correlation of probability with adequacy", spearmanr(of(found), adequacy)[0])
        show("  of fluent with fluency", spearmanr(of(found, "fluent"), fluency)[0])
        lenient = verdicts(rows, 0.5)
        for system in sorted({row["system"] for row in rows}):
            show(f"  --keeps 0.5: accepted of {system}", accepted(lenient, rows, lambda r, s=system: r["system"] == s))
    path = data / "fidelity/simpeval_past_dev.jsonl"
    if path.is_file():
        rows = read_rows(path)
        lenient = verdicts(rows, 0.5)
        quality = np.array([row["quality"] for row in rows])
        show("SimpEval past: rank correlation of probability with quality", spearmanr(of(lenient), quality)[0])
        for system in sorted({row["system"] for row in rows}):
            show(f"  --keeps 0.5: accepted of {system}", accepted(lenient, rows, lambda r, s=system: r["system"] == s))
    path = data / "fidelity/qags_dev.jsonl"
    if path.is_file():
        rows = read_rows(path)
        found = verdicts(rows, 0.0, "article", "sentence")
        labels = np.array([row["votes_yes"] * 2 > row["votes"] for row in rows])
        show("QAGS: AUROC of faithful", interval(labels, of(found, "faithful")))


def real_table(pairs: list[LabelledPair], cache: ScoreCache) -> None:
    """The labelled rewrites of real models by folds, accepted at the shipped thresholds of the fitted questions."""
    calibration = load_calibration()
    print("\n| real rewrites, by folds | |\n|---|---|")
    for kind in ("knowledge", "math"):
        chosen = [p for p in pairs if p.kind == kind and p.dataset not in EXCLUDED_SETS]
        here = [i for i, pair in enumerate(chosen) if pair.dataset == REAL and cache.get(pair)]
        if not here:
            continue
        by_question = {q: values[here] for q, values in probabilities_by_folds(chosen, cache, kind).items()}
        changed = np.array([bool((cache.get(chosen[i]) or {})[WORDS_CHANGED]) for i in here])
        odds = by_question["faithful"] / (1 - by_question["faithful"])
        odds[changed] *= np.exp(-calibration.changed_word)
        by_question["faithful"] = odds / (1 + odds)
        faithful = np.array([bool(chosen[i].faithful) for i in here])
        good = faithful & np.array([bool(chosen[i].fluent) and (chosen[i].kept or 0) >= 0.75 for i in here])
        accepted = accepted_by_folds(by_question, kind)
        print(f"| {kind}: read, of these faithful, good | {len(here)}, {faithful.sum()}, {good.sum()} |")
        print(f"| accepted, of these faithful | {accepted.sum()}, {(accepted & faithful).sum()} |")
        print(f"| good ones accepted | {(accepted & good).sum()} of {good.sum()} |")
        for name, labels, values in (
            ("faithful", faithful, by_question["faithful"]),
            ("all three", good, np.prod([*by_question.values()], axis=0)),
        ):
            if len(set(labels)) == 2:
                print(f"| AUROC of the probability: {name} | {interval(labels, values)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "bench-fidelity-scores.jsonl")
    arguments = parser.parse_args()
    pairs, missing = all_pairs(arguments.data)
    if not pairs:
        parser.error(f"{arguments.data} contains none of the data sets: pass the folder with fidelity/ and math/")
    if missing:
        print(f"missing, skipped: {', '.join(missing)}\n")
    began = time.monotonic()
    cache = ScoreCache(arguments.cache)
    cache.fill(pairs, on_progress=print)
    sets_table(pairs, cache)
    planted_table(pairs, cache)
    real_table(pairs, cache)
    from fidelity.embeddings.encoder import SentenceEncoder
    from fidelity.embeddings.vector_cache import CachedEncoder

    encoder = CachedEncoder(SentenceEncoder())
    rated_table(arguments.data, Judge(load_calibration(), encoder, lambda: encoder))
    print(f"\n{time.monotonic() - began:.0f} s, scores in {arguments.cache}")


if __name__ == "__main__":
    main()
