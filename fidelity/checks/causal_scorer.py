"""The log-probabilities of a text under a causal language model in this process; a context is prefilled only once."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

from rephrase.records import TokenLogprobs


class TokenScorer(Protocol):
    """A causal language model that scores the tokens of a text after a context."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[TokenLogprobs]:
        """For (context, text) pairs, the log-probabilities of the text's tokens."""
        ...


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
