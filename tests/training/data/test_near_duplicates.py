import numpy as np
import pytest

from training.data.near_duplicates import bands, group

RANDOM = np.random.default_rng(0)


def text(n_tokens: int = 300) -> np.ndarray:
    return RANDOM.integers(0, 40_000, n_tokens).astype(np.uint32)


def groups(*texts: np.ndarray) -> list[int]:
    """The group of each text, with no other key in common."""
    return group([np.arange(len(texts))], np.stack([bands(tokens) for tokens in texts])).tolist()


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    runs = [{tuple(tokens[i : i + 5].tolist()) for i in range(len(tokens) - 4)} for tokens in (a, b)]
    return len(runs[0] & runs[1]) / len(runs[0] | runs[1])


def test_copies_and_near_copies_are_found_and_others_kept_apart() -> None:
    original, other = text(), text()
    edited, half = original.copy(), original.copy()
    edited[[50, 150]] += 1
    half[::12] += 1
    assert jaccard(original, edited) > 0.9
    assert 0.3 < jaccard(original, half) < 0.5
    found = groups(original, other, edited, original[3:], half, original)
    assert found[0] == found[2] == found[3] == found[5]
    assert len(set(found)) == 3


def test_texts_of_one_template_are_not_near_copies() -> None:
    template = text(12)
    filled = [np.tile(np.concatenate([template, [50_000 + i]]).astype(np.uint32), 10) for i in range(60)]
    assert jaccard(filled[0], filled[1]) > 0.4
    assert len(set(groups(*filled))) == 60


@pytest.mark.parametrize("n_tokens", [0, 1, 3, 5, 6])
def test_short_texts(n_tokens: int) -> None:
    a, b = text(n_tokens), text(n_tokens)
    assert groups(a, a.copy()) == [0, 0]
    assert (len(set(groups(a, b))) == 2) == (n_tokens > 0)


def test_texts_that_share_a_key_share_a_group() -> None:
    texts = np.stack([bands(text()) for _ in range(4)])
    found = group([np.array([0, 0, 1, 2]), np.array(["a", "b", "b", "c"])], texts)
    assert found.tolist() == [0, 0, 0, 1]
