"""What a causal language model makes of questions: the likelihood of answers, and the answers that it gives itself.

Shapes: B sequences of a batch, S positions, L vocabulary.

Sequences are padded on the right. Under a causal mask no position sees what comes after it, so padding needs no mask,
and any function from tokens to logits can be scored. Answers are short: a greedy step computes all positions again, in
return for which no model needs a cache.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Logits = Callable[[Tensor], Tensor]
Ids = Sequence[int]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Of one answer: the sum of its tokens' losses in nats, and their number."""

    loss: float
    n_tokens: int

    @property
    def per_token(self) -> float:
        return self.loss / self.n_tokens


@torch.no_grad()
def answer_likelihoods(
    logits: Logits, sequences: Sequence[tuple[Ids, Ids]], batch_size: int, device: torch.device | str = "cpu"
) -> list[Likelihood]:
    """The likelihood of each (prompt, answer), both of one token or more; batches hold sequences of like lengths."""
    found: dict[int, Likelihood] = {}
    for chosen in _batches([len(prompt) + len(answer) for prompt, answer in sequences], batch_size):
        tokens_BS = _padded([[*sequences[i][0], *sequences[i][1]] for i in chosen], 0, device)
        losses_BS = torch.nn.functional.cross_entropy(
            logits(tokens_BS)[:, :-1].float().flatten(0, 1), tokens_BS[:, 1:].flatten(), reduction="none"
        ).view(len(chosen), -1)
        for i, losses_S in zip(chosen, losses_BS.cpu(), strict=True):
            start, n_tokens = len(sequences[i][0]) - 1, len(sequences[i][1])
            found[i] = Likelihood(float(losses_S[start : start + n_tokens].sum()), n_tokens)
    return [found[i] for i in range(len(sequences))]


@torch.no_grad()
def greedy_answers(
    logits: Logits,
    prompts: Sequence[Ids],
    n_new: int,
    ends: frozenset[int],
    batch_size: int,
    device: torch.device | str = "cpu",
) -> list[list[int]]:
    """The most likely next tokens of each prompt, up to and without the first of `ends`, and `n_new` at most."""
    found: dict[int, list[int]] = {}
    for chosen in _batches([len(prompt) for prompt in prompts], batch_size):
        tokens_BS = _padded([prompts[i] for i in chosen], n_new, device)
        at_B = torch.tensor([len(prompts[i]) for i in chosen], device=device)
        index_B = torch.arange(len(chosen), device=device)
        ends_E = torch.tensor(sorted(ends), device=device)
        ended_B = torch.zeros(len(chosen), dtype=torch.bool, device=device)
        for _ in range(n_new):
            next_B = logits(tokens_BS)[index_B, at_B - 1].argmax(dim=-1)
            tokens_BS[index_B, at_B] = next_B
            at_B += 1
            ended_B |= torch.isin(next_B, ends_E)
            if bool(ended_B.all()):
                break
        for i, ids in zip(chosen, tokens_BS.tolist(), strict=True):
            new = ids[len(prompts[i]) : len(prompts[i]) + n_new]
            found[i] = new[: next((k for k, id_ in enumerate(new) if id_ in ends), n_new)]
    return [found[i] for i in range(len(prompts))]


def _batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return (order[at : at + batch_size] for at in range(0, len(order), batch_size))


def _padded(sequences: Sequence[Ids], n_free: int, device: torch.device | str) -> Tensor:
    length = max(map(len, sequences)) + n_free
    return torch.tensor([[*ids, *[0] * (length - len(ids))] for ids in sequences], device=device)
