"""Fit the calibration to a file of labelled pairs."""

import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fidelity.calibration.calibration import (
    FORMAT,
    Calibration,
    JudgeThreshold,
    Kind,
    Model,
    load_calibration,
    save_calibration,
)
from fidelity.checks.language_judge import require_judge
from fidelity.fitting.fitting import Example, balanced_threshold, fit_metadata, fit_model, out_of_fold_odds
from fidelity.fitting.labelled_sets import LabelledPair
from fidelity.fitting.planted_pairs import plant_in
from fidelity.fitting.reliability import reliability_svg
from fidelity.fitting.score_cache import ScoreCache
from fidelity.fitting.train_calibration import FEATURES, FITTED, Fitted, examples_of
from fidelity.judge import ANY, Pair
from flows.verification.judge_model import open_review
from flows.verification.pair_reading import list_pair_files, read_pairs
from rephrase.records import Verdict
from rephrase.storage.filesystem import is_same_file
from rephrase.storage.run_folder import require_no_data_of_a_run

_YES, _NO = {"true", "1", "yes"}, {"false", "0", "no"}


def parse_label_fields(values: Sequence[str]) -> dict[Fitted, str]:
    """`faithful=COLUMN`, `complete=COLUMN`, `fluent=COLUMN`; a column alone is of `faithful`.

    Raises:
        ValueError: there is no such question, or it is named twice.
    """
    found: dict[Fitted, str] = {}
    for value in values:
        question, separator, column = value.partition("=")
        if not separator:
            question, column = "faithful", value
        known = next((name for name in FITTED if name == question), None)
        if known is None:
            raise ValueError(f"--label-field {value!r}: {question!r} is not one of {', '.join(FITTED)}")
        if known in found or not column:
            raise ValueError(f"--label-field {value!r}: give one column for {question!r}")
        found[known] = column
    return found


def calibrate_pairs(
    path: str,
    out: Path,
    *,
    source_field: str,
    rewrite_field: str,
    label_fields: Mapping[Fitted, str],
    kind: Kind,
    max_false_rejects: float,
    plant: bool,
    log: Callable[[str], None],
    judge_endpoints: Sequence[str] = (),
    judge_model: str | None = None,
) -> dict[str, Any]:
    """Write the weights and a reliability diagram for each question beside them; returns out-of-fold figures.

    Models of other questions and kinds are the shipped ones. With a judge, its threshold is fitted to the labels of
    `faithful`.

    Raises:
        ValueError: there are too few rows with readable labels.
        EngineError: the judge's servers do not answer.
    """
    require_judge(judge_endpoints, judge_model)
    if judge_model and "faithful" not in label_fields:
        raise ValueError("the judge's threshold is fitted to labels of faithful: name their column with --label-field")
    if any(is_same_file(file.path, str(out)) for file in list_pair_files(path)):
        raise ValueError(f"{str(out)!r} is one of the files to read: name another file with --out")
    require_no_data_of_a_run(str(out))
    left_out: list[str] = []

    def leave_out(why: str) -> None:
        left_out.append(why)
        log(why)

    pairs = list(_labelled(path, source_field, rewrite_field, label_fields, kind, leave_out))
    if not pairs:
        raise ValueError(f"no row of {path!r} can be used: {'; '.join(left_out[:3]) or 'it is empty'}")
    if plant:
        texts = list(dict.fromkeys(pair.source for pair in pairs))
        pairs += plant_in(texts, "own", kind, random.Random(0))
    with tempfile.TemporaryDirectory() as folder:
        scores = ScoreCache(Path(folder) / "scores.jsonl")
        scores.fill(pairs, on_progress=log)
        fitted: list[Model] = []
        figures: dict[str, Any] = {"weights": str(out)}
        for question in label_fields:
            rows = examples_of(pairs, scores, question)
            model = fit_model(rows, question, kind, FEATURES[question, kind], max_false_rejects=max_false_rejects)
            fitted.append(model)
            diagram = out.with_name(f"{out.stem}-{question}.svg")
            out.parent.mkdir(parents=True, exist_ok=True)
            figures |= {f"{question}_{name}": value for name, value in _figures(rows, model, diagram).items()}
    shipped = load_calibration()
    judge = None
    if judge_model:
        judge, judge_figures = _fit_judge(pairs, judge_endpoints, judge_model, max_false_rejects, shipped)
        figures |= judge_figures
    replaced = {(model.question, model.kind) for model in fitted}
    calibration = Calibration(
        format=FORMAT,
        fitted=fit_metadata(rows, f"palimpsest calibrate, {kind}: {', '.join(label_fields)}"),
        models=(*fitted, *(model for model in shipped.models if (model.question, model.kind) not in replaced)),
        in_style=shipped.in_style,
        changed_word=shipped.changed_word,
        judge=judge,
    )
    save_calibration(calibration, out)
    return figures


def _fit_judge(
    pairs: Sequence[LabelledPair],
    endpoints: Sequence[str],
    model: str,
    max_false_rejects: float,
    shipped: Calibration,
) -> tuple[JudgeThreshold, dict[str, Any]]:
    """The probability of Yes that the least supported sentence of a faithful rewrite reaches, and figures about it."""
    from sklearn.metrics import roc_auc_score

    labelled = [pair for pair in pairs if pair.faithful is not None]
    # What is missing is not asked about.
    asked = [Pair(source=pair.source, rewrite=pair.rewrite, kind=pair.kind, keeps=ANY) for pair in labelled]
    with open_review(endpoints, model, shipped) as review:
        assert review is not None
        scores = [found.scores for found in review([(pair, Verdict(accepted=True)) for pair in asked])]
    yes = np.array([row["judge_support_min"] for row in scores])
    labels = np.array([bool(pair.faithful) for pair in labelled])
    threshold = balanced_threshold(yes, labels, np.ones(len(labels)), max_false_rejects)
    found = JudgeThreshold(model=model, min_yes=round(threshold, 3))
    return found, {
        "judge_threshold": found.min_yes,
        "judge_auroc": round(float(roc_auc_score(labels, yes)), 3),
        "judge_unread": round(float(np.mean([row["judge_unread"] for row in scores])), 3),
    }


def _labelled(
    path: str,
    source_field: str,
    rewrite_field: str,
    label_fields: Mapping[Fitted, str],
    kind: Kind,
    log: Callable[[str], None],
) -> Any:
    for number, row in enumerate(read_pairs(list_pair_files(path))):
        source, rewrite = row.get(source_field), row.get(rewrite_field)
        if not isinstance(source, str) or not isinstance(rewrite, str) or not source.strip() or not rewrite.strip():
            log(f"row {number} lacks {source_field!r} or {rewrite_field!r} and is left out")
            continue
        try:
            labels = {question: _LABELS[question](row.get(column), column) for question, column in label_fields.items()}
        except ValueError as error:
            log(f"row {number}: {error}; it is left out")
            continue
        yield LabelledPair(
            dataset="own",
            kind=kind,
            group=source,
            source=source,
            rewrite=rewrite,
            faithful=labels.get("faithful"),
            kept=labels.get("complete"),
            fluent=labels.get("fluent"),
        )


def _truth(value: Any, column: str) -> bool:
    text = str(value).strip().lower().removesuffix(".0")
    if text not in _YES | _NO:
        raise ValueError(f"{column!r} is {value!r:.100}; a label must be true or false, 1 or 0, yes or no")
    return text in _YES


def _share(value: Any, column: str) -> float:
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = float(_truth(value, column))
    if not 0 <= share <= 1:
        raise ValueError(f"{column!r} is {value!r:.100}; the share of the source that is kept is from 0 to 1")
    return share


# How the label of each question is read.
_LABELS: Mapping[Fitted, Callable[[Any, str], Any]] = {"faithful": _truth, "complete": _share, "fluent": _truth}


def _figures(rows: list[Example], model: Model, diagram: Path) -> dict[str, Any]:
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    labels = np.array([row.label for row in rows])
    odds = out_of_fold_odds(rows, model.features)
    probabilities = 1 / (1 + np.exp(-(model.scale * odds + model.offset)))
    diagram.write_text(reliability_svg(probabilities, labels), encoding="utf-8")
    return {
        "diagram": str(diagram),
        "rows": len(rows),
        "yes": int(labels.sum()),
        "threshold": round(model.threshold, 3),
        "auroc": round(float(roc_auc_score(labels, odds)), 3),
        "balanced_accuracy": round(float(balanced_accuracy_score(labels, probabilities >= model.threshold)), 3),
    }
