"""A word's likelihood does not depend on what a model's tokenizer puts before a text."""

import pytest

from fidelity.checks.causal_scorer import CausalScorer
from rephrase.models.resolve import packaged_model

CONTEXT, TEXT = "Text:\nRain fell.\n\nThe same in other words:\n", "It rained in the town of Ulm."


class StartingTokenizer:
    """A tokenizer that adds a start token to every text, whatever it is told if it is `stubborn`."""

    def __init__(self, tokenizer, *, is_stubborn):
        from tokenizers.processors import TemplateProcessing

        self._tokenizer, self._is_stubborn = tokenizer, is_stubborn
        self.start = tokenizer.convert_tokens_to_ids("<|im_start|>")
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<|im_start|> $A", special_tokens=[("<|im_start|>", self.start)]
        )

    def __getattr__(self, name):
        return getattr(self._tokenizer, name)

    def __call__(self, text, add_special_tokens=True, **options):
        return self._tokenizer(text, add_special_tokens=add_special_tokens or self._is_stubborn, **options)


@pytest.mark.model
@pytest.mark.parametrize("is_stubborn", [False, True])
def test_a_start_token_shifts_neither_starts_nor_scores(is_stubborn):
    scorer = CausalScorer(packaged_model())
    (plain,) = scorer.score([(CONTEXT, TEXT)])
    scorer._tokenizer = StartingTokenizer(scorer._tokenizer, is_stubborn=is_stubborn)
    assert scorer.score([(CONTEXT, TEXT)]) == [plain]
    # Read by the model before the context, and part of no word.
    scorer._start_ids = [scorer._tokenizer.start]
    (started,) = scorer.score([(CONTEXT, TEXT)])
    assert started.starts == plain.starts
    assert started.logprobs != plain.logprobs
    assert started.logprobs == pytest.approx(plain.logprobs, abs=4)
