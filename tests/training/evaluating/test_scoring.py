import pytest
import torch
from torch import Tensor

from training.evaluating.scoring import answer_likelihoods, greedy_answers

N_WORDS = 7


def counting(tokens: Tensor) -> Tensor:
    """A model that expects each token to be followed by the next number, with logit 3."""
    return 3.0 * torch.nn.functional.one_hot((tokens + 1) % N_WORDS, N_WORDS).float()


def test_likelihoods_are_of_the_answers_alone_in_any_batch() -> None:
    normaliser = torch.log(torch.tensor(6.0 + torch.e**3)).item()
    sequences = [([1, 5, 2], [3, 4]), ([2], [5]), ([1, 2, 3, 4], [5, 6, 0])]
    expected = [(2 * (normaliser - 3), 2), (normaliser, 1), (3 * (normaliser - 3), 3)]
    for batch_size in (1, 2, 8):
        found = answer_likelihoods(counting, sequences, batch_size)
        assert [f.loss for f in found] == pytest.approx([loss for loss, _ in expected], rel=1e-5)
        assert [f.n_tokens for f in found] == [n for _, n in expected]


def test_greedy_answers_stop_at_an_end() -> None:
    prompts = [[1, 1, 2], [4], [0, 0]]
    for batch_size in (1, 3):
        assert greedy_answers(counting, prompts, 4, frozenset({6}), batch_size) == [[3, 4, 5], [5], [1, 2, 3, 4]]
