"""Fit the calibration to a file of labelled pairs."""

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fidelity.calibration.calibration import Calibration, Kind, load_calibration, save_calibration
from fidelity.fitting.fitting import Example, fit_metadata, fit_model, out_of_fold_odds
from fidelity.fitting.labelled_sets import LabelledPair
from fidelity.fitting.planted_pairs import plant_in
from fidelity.fitting.reliability import reliability_svg
from fidelity.fitting.score_cache import MAX_ESCALATED_CHARACTERS, ScoreCache
from fidelity.fitting.train_calibration import examples_of, features_of
from flows.verification.pair_reading import list_pair_files, read_pairs
from rephrase.models.resolve import resolve_model

_YES, _NO = {"true", "1", "yes", "faithful"}, {"false", "0", "no", "unfaithful"}


def calibrate_pairs(
    path: str,
    out: Path,
    *,
    source_field: str,
    rewrite_field: str,
    label_field: str,
    kind: Kind,
    likelihood: str | None,
    entailment: str | None,
    max_false_rejects: float,
    plant: bool,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Write the weights and a reliability diagram beside them; returns out-of-fold figures.

    Raises:
        ValueError: a label is neither true nor false, there are too few rows, or a tier does not score this kind.
    """
    tiers = tuple(name for name, model in (("likelihood", likelihood), ("entailment", entailment)) if model)
    if tiers and kind != "knowledge":
        raise ValueError(f"--{tiers[0]} only scores prose of the kind knowledge, not {kind}: leave it out")
    pairs = []
    for number, row in enumerate(read_pairs(list_pair_files(path))):
        source, rewrite = row.get(source_field), row.get(rewrite_field)
        if not isinstance(source, str) or not isinstance(rewrite, str) or not source.strip() or not rewrite.strip():
            log(f"row {number} lacks {source_field!r} or {rewrite_field!r} and is left out")
            continue
        label = str(row.get(label_field)).strip().lower().removesuffix(".0")
        if label not in _YES | _NO:
            raise ValueError(
                f"row {number}: {label_field!r} is {row.get(label_field)!r}; "
                "a label must be true or false, 1 or 0, yes or no"
            )
        pairs.append(
            LabelledPair(dataset="own", kind=kind, group=source, source=source, rewrite=rewrite, faithful=label in _YES)
        )
    if plant:
        texts = list(dict.fromkeys(pair.source for pair in pairs))
        pairs += plant_in(texts, "own", kind, random.Random(0))
    if tiers and (n_long := sum(len(pair.source) > MAX_ESCALATED_CHARACTERS for pair in pairs)):
        log(
            f"{n_long} pairs with a source of more than {MAX_ESCALATED_CHARACTERS:,} characters are left out when "
            f"fitting {' and '.join(tiers)}"
        )
    with tempfile.TemporaryDirectory() as folder:
        scores = ScoreCache(Path(folder) / "scores.jsonl")
        scores.fill(
            pairs,
            likelihood_model=resolve_model(likelihood) if likelihood else None,
            entailment_model=entailment,
            on_progress=log,
        )
        tier_sets = [(), *((tier,) for tier in tiers), *([tiers] if len(tiers) > 1 else [])]
        fitted = []
        for tier_set in tier_sets:
            rows = examples_of(pairs, scores, tier_set)
            features = features_of(kind, tier_set)
            fitted.append(fit_model(rows, kind, tier_set, features, max_false_rejects=max_false_rejects))
    shipped = load_calibration()
    kept = tuple(model for model in shipped.models if model.kind != kind)
    calibration = Calibration(
        format=1,
        fitted=fit_metadata(rows, f"palimpsest calibrate, {kind}"),
        undecided=shipped.undecided,
        models=(*fitted, *kept),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_calibration(calibration, out)
    return {"weights": str(out), **_figures(rows, features, fitted[-1], out.with_suffix(".svg"))}


def _figures(rows: list[Example], features: tuple[str, ...], model: Any, diagram: Path) -> dict[str, Any]:
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    labels = np.array([row.faithful for row in rows])
    odds = out_of_fold_odds(rows, features)
    probabilities = 1 / (1 + np.exp(-(model.scale * odds + model.offset)))
    diagram.write_text(reliability_svg(probabilities, labels), encoding="utf-8")
    return {
        "diagram": str(diagram),
        "rows": len(rows),
        "faithful": int(labels.sum()),
        "threshold": round(model.threshold, 3),
        "auroc": round(float(roc_auc_score(labels, odds)), 3),
        "balanced_accuracy": round(float(balanced_accuracy_score(labels, probabilities >= model.threshold)), 3),
    }
