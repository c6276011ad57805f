"""Four questions, each with its threshold: the verdict needs all of them, and says which one failed and where."""

import math

import pytest
from scripted import BagOfWords, SilentReader, lenient

from fidelity.calibration.calibration import Calibration, InStyle, Model, Tree
from fidelity.embeddings.vector_cache import CachedEncoder
from fidelity.judge import Judge, Pair

SOURCE = "The treaty was signed in Paris in 1783. It ended the war between Britain and its colonies."
SAME = "In 1783 the treaty was signed in Paris. The war between Britain and its colonies was ended by it."


def step(question, feature, cut, *, kind="knowledge"):
    """Yes where the score is at most `cut`."""
    tree = Tree(feature=(0, -1, -1), threshold=(cut, 0, 0), left=(1, 0, 0), right=(2, 0, 0), value=(0.0, 4.0, -4.0))
    return Model(question=question, kind=kind, features=(feature,), intercept=0.0, trees=(tree,), threshold=0.5)


@pytest.fixture
def calibration():
    return Calibration(
        format=2,
        fitted={},
        models=(
            step("faithful", "fact_changed", 0.5),
            step("complete", "length_lack", 0.3),
            step("fluent", "end_cut", 0.5),
        ),
        in_style=InStyle(form_found=0.9, form_missing=0.1, no_form=0.8, threshold=0.5),
    )


def judge(calibration, **options):
    encoder = CachedEncoder(BagOfWords())
    return Judge(calibration, encoder, lambda: encoder, open_reader=SilentReader, **options)


def verdict(calibration, rewrite, **options):
    (found,) = judge(calibration).judge([Pair(source=SOURCE, rewrite=rewrite, **options)])
    return found


def test_the_probability_of_all_is_the_product_of_the_four(calibration):
    found = verdict(calibration, SAME)
    assert found.accepted
    assert set(found.probabilities) == {"faithful", "complete", "fluent", "in_style"}
    product = 1.0
    for value in found.probabilities.values():
        product *= value
    assert found.probability == pytest.approx(product)


def test_a_changed_fact_is_a_question_of_faithfulness(calibration):
    found = verdict(calibration, SAME.replace("1783", "1784"))
    assert (found.accepted, found.reason) == (False, "date_changed")
    assert "of being faithful is below 0.50" in found.detail


def test_a_changed_word_in_a_copied_sentence_takes_its_weight_from_being_faithful(calibration):
    changed = SOURCE.replace("ended the war", "ended the cup")
    found = verdict(calibration, changed)
    assert found.scores["words_changed"] == 1
    assert found.probabilities["faithful"] == verdict(calibration, SOURCE).probabilities["faithful"]
    weighed = calibration.model_copy(update={"changed_word": 5.0})
    rejected = verdict(weighed, changed)
    assert (rejected.accepted, rejected.reason) == (False, "word_changed")
    assert "cup; the copied sentence has war" in rejected.detail
    odds = [p / (1 - p) for p in (found.probabilities["faithful"], rejected.probabilities["faithful"])]
    assert math.log(odds[0] / odds[1]) == pytest.approx(5.0)
    assert verdict(weighed, SOURCE).accepted


def test_what_may_be_lost_is_asked_by_the_pair(calibration):
    short = "The treaty was signed in Paris in 1783."
    lost = verdict(calibration, short)
    assert not lost.accepted
    assert "of being complete" in lost.detail
    anything = verdict(calibration, short, keeps=0.0)
    assert anything.accepted
    assert anything.probabilities["complete"] == 1.0


def test_a_style_without_its_form_is_rejected_with_what_is_lacking(calibration):
    found = verdict(calibration, SAME, form="questions")
    assert (found.accepted, found.reason) == (False, "not_in_style")
    assert "no question with an answer" in found.detail
    asked = f"Q: What was signed in Paris in 1783?\nA: The treaty. {SAME}"
    assert verdict(calibration, asked, form="questions").probabilities["in_style"] == 0.9
    assert verdict(calibration, SAME).probabilities["in_style"] == 0.8


def test_a_pair_may_have_thresholds_of_its_own(calibration):
    assert verdict(calibration, SAME).probabilities["faithful"] < 0.99
    strict = verdict(calibration, SAME, thresholds={"faithful": 0.99})
    assert not strict.accepted
    assert "of being faithful is below 0.99" in strict.detail
    assert verdict(calibration, SAME.replace("1783", "1784"), thresholds={"faithful": 0.01}).accepted


def test_one_threshold_for_all_overrides_those_of_the_questions(calibration):
    strict = judge(calibration, min_probability=0.9)
    (found,) = strict.judge([Pair(source=SOURCE, rewrite=SAME)])
    assert not found.accepted
    assert "is below 0.90" in found.detail


def test_the_tiers_count_what_they_scored():
    scorer = judge(lenient())
    scorer.judge([Pair(source=SOURCE, rewrite=SAME)] * 3)
    assert scorer.n_seen == {"embedding and facts": 3, "reader": 3}
