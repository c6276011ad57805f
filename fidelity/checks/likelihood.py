"""The likelihood of a rewrite under the rewriting model: each token's probability with and without the source.

The source makes a name or number that it contains far more probable, and a changed one less so. Only a prefill is
needed, and all rewrites of a source share the prefix.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from rephrase.records import TokenLogprobs

# The text around the source; without a source, the same two pieces with nothing between them.
BEFORE = "Text:\n"
BETWEEN = "\n\nThe same in other words:\n"

LIKELIHOOD_SCORES = (
    "likelihood_mean",
    "likelihood_gain_mean",
    "likelihood_gain_min",
    "likelihood_gain_p10",
    "likelihood_fact_min",
    "likelihood_fact_p10",
)

_WORD = re.compile(r"\w+(?:[.,'’-]\w+)*")
# Function words of English: they alone never carry a fact.
_SMALL = re.compile(
    r"""(?:a|an|the|and|or|but|if|of|to|in|on|at|by|for|with|from|as|is|are|was|were|be|been|being|it|its|this|that|these
    |those|he|she|they|him|his|her|their|we|you|i|who|which|what|when|where|how|than|then|so|also|there|has|have|had
    |do|does|did|will|would|can|could|may|might|should|must|into|over|under|about|after|before|between|through)""",
    re.VERBOSE,
)


class TokenScorer(Protocol):
    """A causal language model that scores the tokens of a text after a context."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[TokenLogprobs]:
        """For (context, text) pairs, the log-probabilities of the text's tokens."""
        ...


def contexts(source: str) -> tuple[str, str]:
    """The prefix of a rewrite with the source, and without it."""
    return f"{BEFORE}{source}{BETWEEN}", f"{BEFORE}{BETWEEN}"


def likelihood_scores(rewrite: str, given: TokenLogprobs, alone: TokenLogprobs) -> dict[str, float]:
    """Scores listed in LIKELIHOOD_SCORES, from the rewrite's log-probabilities with and without the source.

    Tokens are summed to words, since tokenizers split names and numbers; every word that is not a function word counts
    as carrying a fact.
    """
    words = list(_WORD.finditer(rewrite))
    if not words or not given.logprobs or not alone.logprobs:
        return {}
    with_source, without = _by_word(words, given), _by_word(words, alone)
    gains = with_source - without
    facts = [i for i, word in enumerate(words) if not _SMALL.fullmatch(word.group())] or list(range(len(words)))
    # A word that is certain either way cannot gain. The signal is a word that stays improbable even given the source,
    # so the fact scores use the log-probability itself, and the gains measure what the source adds.
    return {
        "likelihood_mean": float(with_source.mean()),
        "likelihood_gain_mean": float(gains.mean()),
        "likelihood_gain_min": float(gains[facts].min()),
        "likelihood_gain_p10": float(np.quantile(gains[facts], 0.1)),
        "likelihood_fact_min": float(with_source[facts].min()),
        "likelihood_fact_p10": float(np.quantile(with_source[facts], 0.1)),
    }


def _by_word(words: Sequence[re.Match[str]], tokens: TokenLogprobs) -> np.ndarray:
    starts = np.array([word.start() for word in words])
    sums = np.zeros(len(words))
    # A token that begins with the space before a word belongs to the word.
    owners = np.searchsorted(starts, np.asarray(tokens.starts) + 1, side="right") - 1
    for owner, value in zip(owners, tokens.logprobs, strict=True):
        if owner >= 0:
            sums[owner] += value
    return sums


def score_likelihood(scorer: TokenScorer, pairs: Sequence[tuple[str, str]]) -> list[dict[str, float]]:
    """The likelihood scores of (source, rewrite) pairs; equal rewrites are scored without a source only once."""
    inputs: dict[tuple[str, str], None] = {}
    for source, rewrite in pairs:
        for context in contexts(source):
            inputs[context, rewrite] = None
    found = dict(zip(inputs, scorer.score(list(inputs)), strict=True))
    scores = []
    for source, rewrite in pairs:
        given, alone = contexts(source)
        scores.append(likelihood_scores(rewrite, found[given, rewrite], found[alone, rewrite]))
    return scores


class CausalScorer:
    """A causal language model from transformers, by hub id or folder, run in this process.

    Each context is prefilled once for all texts that follow it.
    """

    def __init__(self, model: str, *, batch_tokens: int = 2048, max_context_tokens: int = 4096) -> None:
        """
        Raises:
            ValueError: there is no such model.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._torch = torch
        self._batch_tokens = batch_tokens
        self._max_context_tokens = max_context_tokens
        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
            # In float32: bfloat16 is emulated on many CPUs and moves a token's log-probability by up to 0.1.
            dtype = torch.bfloat16 if device == "cuda" else torch.float32
            self._model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=dtype).to(device).eval()
            self._special_ids = frozenset(self._tokenizer.all_special_ids)
            started = self._tokenizer("a", add_special_tokens=True).input_ids
            self._start_ids = list(itertools.takewhile(self._special_ids.__contains__, started))
        except (OSError, ValueError) as error:
            raise ValueError(f"no language model could be loaded from {model!r}: {error}") from error

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[TokenLogprobs]:
        by_context: dict[str, list[int]] = defaultdict(list)
        for i, (context, _) in enumerate(pairs):
            by_context[context].append(i)
        found: dict[int, TokenLogprobs] = {}
        with self._torch.inference_mode():
            for context, members in by_context.items():
                found |= self._after(context, {i: pairs[i][1] for i in members})
        return [found[i] for i in range(len(pairs))]

    def _after(self, context: str, texts: dict[int, str]) -> dict[int, TokenLogprobs]:
        torch = self._torch
        device = self._model.device
        # What the model expects before any text, such as BOS, is in front even of a context that was cut.
        ids = [*self._start_ids, *self._encode(context)[0][-self._max_context_tokens :]]
        head = torch.tensor([ids], device=device)
        read = self._model.model(head, use_cache=True)
        last = read.last_hidden_state[:, -1:]
        encoded = {i: self._encode(text) for i, text in texts.items()}
        found = {i: TokenLogprobs((), ()) for i in texts}
        order = sorted((i for i in texts if encoded[i][0]), key=lambda i: len(encoded[i][0]))
        while order:
            longest = len(encoded[order[-1]][0])
            size = max(1, min(len(order), self._batch_tokens // max(longest, 1)))
            batch, order = order[-size:], order[:-size]
            tail = torch.zeros((size, longest), dtype=torch.long, device=device)
            mask = torch.ones((size, len(ids) + longest), dtype=torch.long, device=device)
            for row, i in enumerate(batch):
                n_tokens = len(encoded[i][0])
                tail[row, :n_tokens] = torch.tensor(encoded[i][0])
                mask[row, len(ids) + n_tokens :] = 0
            cache = _repeated(read.past_key_values, size)
            hidden = self._model.model(tail, past_key_values=cache, attention_mask=mask).last_hidden_state
            before = torch.cat([last.expand(size, -1, -1), hidden[:, :-1]], dim=1)
            for row, i in enumerate(batch):
                targets, starts = encoded[i]
                logits = self._model.lm_head(before[row, : len(targets)]).float()
                chosen = logits[torch.arange(len(targets)), torch.tensor(targets)] - logits.logsumexp(-1)
                found[i] = TokenLogprobs(tuple(starts), tuple(chosen.tolist()))
        return found

    def _encode(self, text: str) -> tuple[list[int], list[int]]:
        """The tokens of a text and where each starts.

        Some tokenizers put a start token before a text whatever they are told; inside a prompt it would be noise, and
        its probability would count as the first word's.
        """
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        kept = [
            (token, start)
            for token, (start, end) in zip(encoded.input_ids, encoded["offset_mapping"], strict=True)
            if not (token in self._special_ids and start == end)
        ]
        return [token for token, _ in kept], [start for _, start in kept]


def _repeated(cache: Any, times: int) -> Any:
    """A copy of the one-row cache, repeated for a batch: the model appends to the cache it is given."""
    import copy

    copied = copy.deepcopy(cache)
    copied.batch_repeat_interleave(times)
    return copied
