"""Fitting finds the informative scores, keeps their direction, and its JSON reproduces scikit-learn's predictions."""

import json
import math
import random

import numpy as np
import pytest

from fidelity.calibration.calibration import (
    KEEPS,
    Calibration,
    InStyle,
    higher_is_better,
    load_calibration,
    parse_calibration,
    save_calibration,
)
from fidelity.fitting.fitting import (
    Example,
    _boosted,
    balanced_weights,
    feature_matrix,
    finding_weight,
    fit_linear,
    fit_model,
    out_of_fold_odds,
)

STYLE = InStyle(form_found=0.9, form_missing=0.1, no_form=0.8, threshold=0.5)
FEATURES = ("support_min", "number_unsupported", "content_novel")

OLD = {
    "format": 2,
    "fitted": {},
    "models": [
        {"question": "faithful", "kind": "math", "features": [], "intercept": 1.0, "trees": [], "threshold": 0.5}
    ],
    "in_style": STYLE.model_dump(),
}


def examples(n=400, seed=0):
    """Rows whose label follows two scores and not the third, with noise; groups of four."""
    rng = random.Random(seed)
    found = []
    for i in range(n):
        support, wrong, noise = rng.random(), rng.choice([0, 0, 0, 1, 2]), rng.random()
        odds = 6 * (support - 0.5) - 2 * wrong + rng.gauss(0, 0.5)
        scores = {"support_min": support, "number_unsupported": float(wrong), "content_novel": noise}
        found.append(Example(dataset="made", group=str(i // 4), label=odds > -0.5, scores=scores))
    return found


@pytest.fixture(scope="module")
def model():
    return fit_model(examples(), "faithful", "knowledge", FEATURES, max_false_rejects=0.3)


def test_a_fitted_model_separates_new_rows(model):
    new = examples(300, seed=1)
    probabilities = model.probabilities([example.scores for example in new])
    labels = np.array([example.label for example in new])
    assert ((probabilities > model.threshold) == labels).mean() > 0.85
    assert 0 < probabilities.min() < 0.2 < 0.8 < probabilities.max() < 1


def test_better_scores_never_lower_the_probability(model):
    for wrong in (0.0, 1.0):
        rows = [{"support_min": s, "number_unsupported": wrong, "content_novel": 0.5} for s in np.linspace(0, 1, 50)]
        assert (np.diff(model.probabilities(rows)) >= 0).all()
    wrongs = [{"support_min": 0.6, "number_unsupported": float(n), "content_novel": 0.5} for n in range(4)]
    assert (np.diff(model.probabilities(wrongs)) <= 0).all()


def test_numpy_over_json_reproduces_scikit_learn(tmp_path):
    rows = examples()
    fitted = fit_model(rows, "faithful", "knowledge", FEATURES, max_false_rejects=0.3)
    save_calibration(
        Calibration(format=2, fitted={"rows": {}}, models=(fitted,), in_style=STYLE), tmp_path / "weights.json"
    )
    json.loads((tmp_path / "weights.json").read_text())
    loaded = load_calibration(str(tmp_path / "weights.json")).models[0]
    assert loaded == fitted
    labels = np.array([example.label for example in rows])
    reference = _boosted(FEATURES, 0).fit(feature_matrix(rows, FEATURES), labels, sample_weight=balanced_weights(rows))
    new = examples(200, seed=2)
    unseen = feature_matrix(new, FEATURES)
    odds = loaded.scale * (reference.decision_function(unseen) + loaded.linear.odds(unseen)) + loaded.offset
    assert np.allclose(loaded.probabilities([e.scores for e in new]), 1 / (1 + np.exp(-odds)), atol=1e-4)


def test_the_linear_part_finds_the_scores_that_matter_and_their_signs():
    rows = examples(2000)
    labels = np.array([example.label for example in rows])
    linear = fit_linear(feature_matrix(rows, FEATURES), labels, np.ones(len(rows)), FEATURES)
    support, wrong, novel = linear.slopes
    # As the rows were made: 6 · 0.29 and -2 · 0.75 for a standard deviation, of a logistic with some noise.
    assert support / wrong == pytest.approx(-(6 * 0.289) / (2 * 0.748), rel=0.15)
    assert -0.2 < novel <= 0
    far = linear.odds(np.array([[0.0, 1e9, 0.0], [0.0, 1e6, 0.0]]))
    assert far[0] == far[1] > -100


def test_a_score_that_never_varies_has_no_slope():
    rows = [Example(dataset="d", group=e.group, label=e.label, scores={**e.scores, "swap": 1.0}) for e in examples()]
    fitted = fit_model(rows, "faithful", "knowledge", (*FEATURES, "swap"), max_false_rejects=0.3)
    assert fitted.linear.slopes[3] == 0
    assert np.isfinite(fitted.probabilities([rows[0].scores | {"swap": 5.0}])).all()


def test_weights_without_a_linear_part_still_open():
    assert parse_calibration(json.dumps(OLD), "old.json").models[0].linear is None


def test_no_row_is_scored_by_a_model_fitted_to_its_group():
    # The label depends only on the group and no score predicts it: unseen groups can only be guessed.
    rng = random.Random(0)
    rows = [
        Example(
            dataset="d", group=str(g), label=g % 2 == 0, scores={"support_min": g / 100, "x": 0.0, "similarity": 0.0}
        )
        for g in range(60)
        for _ in range(4)
    ]
    rng.shuffle(rows)
    odds = out_of_fold_odds(rows, ("support_min", "x", "similarity"))
    right = (odds > 0) == np.array([row.label for row in rows])
    assert right.mean() < 0.65


def test_a_finding_weighs_what_its_rows_say():
    found = np.array([True] * 20 + [False] * 20)
    rarely = np.array([True] + [False] * 19 + [True] * 20)
    # 2 of 22 with a row of each label added, where the odds were even.
    assert finding_weight(np.zeros(40), rarely, found) == pytest.approx(math.log(10), abs=0.03)
    assert finding_weight(np.zeros(40), np.ones(40, bool), found) == 0
    assert finding_weight(np.zeros(40), rarely, np.zeros(40, bool)) == 0


def test_too_few_rows_or_one_label_raise_with_the_count():
    with pytest.raises(ValueError, match="10 rows, "):
        fit_model(examples(10), "complete", "math", FEATURES, max_false_rejects=0.3)
    one = [Example(dataset="d", group=str(i), label=True, scores=e.scores) for i, e in enumerate(examples(100))]
    with pytest.raises(ValueError, match="100 rows, 100 of them complete"):
        fit_model(one, "complete", "math", FEATURES, max_false_rejects=0.3)


def test_a_file_that_is_not_a_calibration_is_named_in_the_error():
    with pytest.raises(ValueError, match=r"'mine.json'.*models"):
        parse_calibration('{"format": 2, "fitted": {}}', "mine.json")
    with pytest.raises(ValueError, match=r"'mine.json' is not a calibration"):
        parse_calibration("[1]", "mine.json")


def test_weights_of_an_earlier_version_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"'mine.json' was fitted by an earlier version.*palimpsest calibrate"):
        parse_calibration('{"format": 1, "fitted": {}, "undecided": [0, 1], "models": []}', "mine.json")


def test_the_shipped_weights_answer_every_question_and_use_only_existing_scores():
    from fidelity.judge import SCORES

    calibration = load_calibration()
    for question in ("faithful", "complete", "fluent"):
        for kind in ("knowledge", "math", "translation"):
            assert set(calibration.model(question, kind).features) <= {*SCORES, KEEPS}
    assert calibration.fitted["rows"]
    with pytest.raises(ValueError, match="'poetry'"):
        calibration.model("faithful", "poetry")


def test_the_more_must_be_kept_the_less_probable_it_is():
    model = load_calibration().model("complete", "knowledge")
    scores = dict.fromkeys(model.features, 0.3)
    probabilities = model.probabilities([scores | {KEEPS: share} for share in (0.25, 0.5, 0.75, 1.0)])
    assert (np.diff(probabilities) <= 0).all()


def test_a_style_is_judged_by_whether_its_form_is_there():
    assert [STYLE.probability(fits) for fits in (True, False, None)] == [0.9, 0.1, 0.8]


def test_the_direction_of_scores():
    assert all(map(higher_is_better, ("support_min", "number_support", "content_coverage_min", "similarity")))
    assert not any(
        map(higher_is_better, ("number_unsupported", "fact_lack", KEEPS, "reader_added_max", "content_novel", "swap"))
    )
