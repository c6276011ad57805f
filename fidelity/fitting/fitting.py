"""Fits the calibration: scikit-learn's boosted trees and a logistic model with slopes of the right sign.

Both are converted to the models of `fidelity.calibration.calibration`.
"""

import datetime
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fidelity.calibration.calibration import Kind, Linear, Model, Tree, higher_is_better, standardized

# Small trees and a low learning rate: a few thousand rows, and a run will see other texts than these.
N_TREES = 250
MAX_LEAVES = 5
LEARNING_RATE = 0.06
MIN_ROWS_IN_LEAF = 25
L2 = 5.0
# Of the slopes of the logistic model, per row.
RIDGE = 5e-4
N_FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """The scores of a pair and the answer to the question; cross-validation keeps each group in one fold."""

    dataset: str
    group: str
    label: bool
    scores: Mapping[str, float]


def fit_model(
    examples: Sequence[Example],
    question: Literal["faithful", "complete", "fluent"],
    kind: Kind,
    features: Sequence[str],
    *,
    max_false_rejects: float,
    seed: int = 0,
) -> Model:
    """A model fitted to all examples; its probabilities and threshold are calibrated on out-of-fold predictions.

    Every data set has the same weight, and so have its rows of either label: a probability assumes a prior of one half.

    Raises:
        ValueError: there are too few rows, or only one label.
    """
    labels = np.array([example.label for example in examples])
    if len(examples) < 2 * MIN_ROWS_IN_LEAF or labels.all() or not labels.any():
        raise ValueError(
            f"{len(examples)} rows, {int(labels.sum())} of them {question}: fitting needs at least "
            f"{2 * MIN_ROWS_IN_LEAF} rows and both labels"
        )
    weights = balanced_weights(examples)
    rows = feature_matrix(examples, features)
    unseen = out_of_fold_odds(examples, features, seed=seed)
    scale, offset = _logistic(unseen, labels, weights)
    probabilities = 1 / (1 + np.exp(-(scale * unseen + offset)))
    classifier = _boosted(features, seed).fit(rows, labels, sample_weight=weights)
    return Model(
        question=question,
        kind=kind,
        features=tuple(features),
        intercept=float(classifier._baseline_prediction.ravel()[0]),
        trees=tuple(_tree(stage[0].nodes) for stage in classifier._predictors),
        linear=fit_linear(rows, labels, weights, features),
        scale=scale,
        offset=offset,
        threshold=balanced_threshold(probabilities, labels, weights, max_false_rejects),
    )


def out_of_fold_odds(examples: Sequence[Example], features: Sequence[str], *, seed: int = 0) -> np.ndarray:
    """The log-odds of each example from a model fitted without its group."""
    from sklearn.model_selection import GroupKFold

    labels = np.array([example.label for example in examples])
    groups = [f"{example.dataset}/{example.group}" for example in examples]
    rows, weights = feature_matrix(examples, features), balanced_weights(examples)
    found = np.zeros(len(examples))
    n_folds = min(N_FOLDS, len(set(groups)))
    for train, test in GroupKFold(n_folds, shuffle=True, random_state=seed).split(rows, labels, groups):
        found[test] = held_out_odds(train, test, rows, labels, weights, features, seed)
    return found


def held_out_odds(
    train: np.ndarray,
    test: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    features: Sequence[str],
    seed: int = 0,
) -> np.ndarray:
    """The log-odds of the rows `test` from a model fitted to the rows `train`."""
    classifier = _boosted(features, seed).fit(rows[train], labels[train], sample_weight=weights[train])
    linear = fit_linear(rows[train], labels[train], weights[train], features)
    return np.asarray(classifier.decision_function(rows[test])) + linear.odds(rows[test])


def feature_matrix(examples: Sequence[Example], features: Sequence[str]) -> np.ndarray:
    return np.array([[example.scores[name] for name in features] for example in examples], dtype=np.float64)


def balanced_weights(examples: Sequence[Example]) -> np.ndarray:
    counts = Counter((example.dataset, example.label) for example in examples)
    weights = np.array([1 / counts[example.dataset, example.label] for example in examples])
    return weights * len(examples) / weights.sum()


def fit_linear(rows: np.ndarray, labels: np.ndarray, weights: np.ndarray, features: Sequence[str]) -> Linear:
    """Logistic regression of `rows` (rows, features), in which a better score never lowers the odds."""
    from scipy.optimize import minimize

    share = weights / weights.sum()
    means = share @ rows
    deviations = np.sqrt(share @ (rows - means) ** 2)
    # A score that all rows share says nothing.
    deviations[deviations < 1e-9] = np.inf
    better = np.array([1.0 if higher_is_better(name) else -1.0 for name in features])
    scores = standardized(rows, means, deviations) * better

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        slopes, odds = values[:-1], scores @ values[:-1] + values[-1]
        error = share * (1 / (1 + np.exp(-odds)) - labels)
        mean = share @ np.logaddexp(0, np.where(labels, -odds, odds))
        return mean + RIDGE * slopes @ slopes, np.append(scores.T @ error + 2 * RIDGE * slopes, error.sum())

    bounds = [(0, None)] * len(features) + [(None, None)]
    found = minimize(loss, np.zeros(len(features) + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    known = np.isfinite(deviations)
    return Linear(
        means=tuple(float(value) for value in means),
        deviations=tuple(float(value) for value in np.where(known, deviations, 1.0)),
        slopes=tuple(round(float(value), 6) for value in np.where(known, found[:-1] * better, 0.0)),
        intercept=float(found[-1]),
    )


def _boosted(features: Sequence[str], seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=N_TREES,
        max_leaf_nodes=MAX_LEAVES,
        learning_rate=LEARNING_RATE,
        min_samples_leaf=MIN_ROWS_IN_LEAF,
        l2_regularization=L2,
        monotonic_cst=[1 if higher_is_better(name) else -1 for name in features],
        early_stopping=False,
        random_state=seed,
    )


def _tree(nodes: np.ndarray) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        feature=tuple(int(value) for value in np.where(leaf, -1, nodes["feature_idx"])),
        # Not rounded: rows equal to the threshold go left, and JSON must not change that.
        threshold=tuple(float(value) for value in np.where(leaf, 0.0, nodes["num_threshold"])),
        left=tuple(int(value) for value in np.where(leaf, 0, nodes["left"])),
        right=tuple(int(value) for value in np.where(leaf, 0, nodes["right"])),
        value=tuple(round(float(value), 6) for value in np.where(leaf, nodes["value"], 0.0)),
    )


def _logistic(odds: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Platt scaling: the scale and offset that turn log-odds of unseen rows into probabilities."""
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=1e3).fit(odds[:, None], labels, sample_weight=weights)
    return float(found.coef_[0, 0]), float(found.intercept_[0])


def finding_weight(odds: np.ndarray, labels: np.ndarray, found: np.ndarray) -> float:
    """How much a finding should take from the log-odds of unseen rows, by maximum likelihood; at least 0.

    One row of each label with the finding and even odds is added (Laplace), so that few rows do not decide for ever.
    """
    where = np.concatenate([odds[found], [0.0, 0.0]])
    sign = np.where(np.concatenate([labels[found], [True, False]]), 1.0, -1.0)
    weights = np.linspace(0, 5, 101)
    losses = np.logaddexp(0, -sign * (where - weights[:, None])).sum(axis=1)
    return float(weights[losses.argmin()])


def balanced_threshold(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray, max_false_rejects: float
) -> float:
    """The threshold with the best balanced accuracy that rejects at most `max_false_rejects` of the good rows."""
    candidates = np.linspace(0.05, 0.95, 91)
    good, bad = weights * labels, weights * ~labels

    def accuracy(threshold: float) -> tuple[bool, float]:
        accepted = probabilities >= threshold
        kept = float(good[accepted].sum() / good.sum())
        rejected = float(bad[~accepted].sum() / bad.sum())
        return 1 - kept <= max_false_rejects, (kept + rejected) / 2

    return float(max(candidates, key=lambda threshold: (accuracy(threshold), -threshold)))


def fit_metadata(examples: Sequence[Example], note: str) -> dict[str, Any]:
    """The data, date and library versions that a calibration was fitted with."""
    import sklearn

    counts: Counter[str] = Counter(example.dataset for example in examples)
    return {
        "note": note,
        "rows": dict(sorted(counts.items())),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
    }


Log = Callable[[str], None]
