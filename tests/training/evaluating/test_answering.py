import pytest
import torch
from torch import Tensor

from training.evaluating.answering import LanguageModel, evaluate
from training.evaluating.questions import Question

LETTERS = "?abcdefgh"


def uniform(tokens_BS: Tensor) -> Tensor:
    return torch.zeros(*tokens_BS.shape, 20)


def model_with(joined: dict[str, int]) -> LanguageModel:
    """A model of letters, with tokens of several letters besides; what it does not know has no token."""

    def encode(text: str) -> list[int]:
        ids = [0]
        while text:
            known = next((word for word in joined if text.startswith(word)), text[0])
            ids += [joined[known]] if known in joined else [LETTERS.index(known)] if known in LETTERS else []
            text = text[len(known) :]
        return ids

    return LanguageModel(logits=uniform, encode=encode, decode=str, ends=frozenset({19}), device=torch.device("cpu"))


@pytest.mark.parametrize(("joined", "n_tokens"), [({}, 2), ({"? a": 11}, 2), ({"? abb": 11}, 1)])
def test_an_answer_is_all_that_is_not_in_the_prompt_alone(joined: dict[str, int], n_tokens: int) -> None:
    """A tokenizer may join the end of the prompt with the answer."""
    question = Question(question="h?", answer="ab" if n_tokens > 1 else "abb", entity="e")
    (answered,) = evaluate(model_with(joined), [question], template="{question}")
    assert answered.n_tokens == n_tokens
    assert answered.loss == pytest.approx(n_tokens * torch.tensor(20.0).log().item())


def test_an_answer_without_tokens_is_named() -> None:
    with pytest.raises(ValueError, match="no tokens for the answer 'Ω' after"):
        evaluate(model_with({}), [Question(question="h?", answer="Ω", entity="e")], template="{question}")
