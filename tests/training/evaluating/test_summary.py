import numpy as np

from training.evaluating.summary import figures, mean_over_entities


def test_intervals_are_over_entities() -> None:
    """Ten entities of twenty equal answers know as much as ten answers: the interval is as wide."""
    right = np.array([1, 0, 1, 1, 0, 1, 0, 1, 1, 0], float)
    alone = mean_over_entities(right, np.ones(10), [str(e) for e in range(10)])
    repeated = mean_over_entities(np.repeat(right, 20), np.ones(200), [str(e) for e in range(10) for _ in range(20)])
    assert alone == repeated
    assert alone.mean == 0.6
    # The standard error of ten draws with probability 0.6 is 0.155.
    assert alone.low is not None
    assert alone.high is not None
    assert 0.2 <= alone.low <= 0.35
    assert 0.85 <= alone.high <= 1.0


def test_one_entity_has_no_interval() -> None:
    assert mean_over_entities(np.array([1.0, 0.0]), np.ones(2), ["a", "a"]).low is None


def test_losses_count_by_tokens_and_missing_scores_not_at_all() -> None:
    found = figures({"loss": [6.0, 1.0], "n_tokens": [3, 1], "rank": [None, 2]}, ["a", "b"])
    assert found["loss"].mean == 7 / 4
    assert found["rank"].mean == 2
    assert set(found) == {"loss", "rank"}
