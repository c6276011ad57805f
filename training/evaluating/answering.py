"""What a language model answers to questions, and what its answers are worth."""

import string
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from training.data.tokenizer import TextTokenizer
from training.evaluating.questions import TOTAL, Question
from training.evaluating.scoring import answer_likelihoods, greedy_answers
from training.evaluating.summary import figures
from training.model.decoder import Decoder
from training.model.dense_attention import dense_attention

TEMPLATE = "Question: {question}\nAnswer:"
# A model may need more tokens than the tokenizer for the same answer, and a few more show that it went on.
SPARE_TOKENS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """A causal language model with its tokenizer: `encode` gives the ids of a text from its start, with no end."""

    logits: Callable[[Tensor], Tensor]
    encode: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]
    ends: frozenset[int]
    device: torch.device


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question as a model answered it: the loss of the right answer, its rank (1 is best) and the model's own."""

    question: str
    answer: str
    group: str | None
    entity: str
    n_tokens: int
    loss: float
    rank: int | None
    generated: str
    exact: bool


def evaluate(
    model: LanguageModel,
    questions: Sequence[Question],
    batch_size: int = 16,
    template: str = TEMPLATE,
    on_progress: Callable[[str], None] = lambda phase: None,
) -> list[Answered]:
    """Answer every question.

    An answer is ranked among its distractors by its loss per token. The answer generated greedily is its first line; it
    is exact if it has the same words, whatever their case and the punctuation around them.

    Raises:
        ValueError: the template has no place for the question, or the tokenizer no tokens for an answer.
    """
    if "{question}" not in template:
        raise ValueError(f"the template {template!r} has no {{question}}; write for example {TEMPLATE!r}")
    prompts = [template.replace("{question}", question.question) for question in questions]
    encoded, owners = [], []
    for index, question in enumerate(questions):
        for answer in (question.answer, *question.distractors):
            encoded.append(_split(model, prompts[index], answer))
            owners.append(index)
    on_progress(f"likelihood of {len(encoded)} answers")
    likelihoods = answer_likelihoods(model.logits, encoded, batch_size, model.device)
    by_question: list[list[Any]] = [[] for _ in questions]
    for owner, likelihood in zip(owners, likelihoods, strict=True):
        by_question[owner].append(likelihood)
    n_new = SPARE_TOKENS + max(right.n_tokens for right, *_ in by_question)
    on_progress(f"{len(questions)} answers of the model, of up to {n_new} tokens")
    ids = greedy_answers(
        model.logits, [model.encode(prompt) for prompt in prompts], n_new, model.ends, batch_size, model.device
    )
    answered = []
    for question, (right, *others), new in zip(questions, by_question, ids, strict=True):
        generated = (model.decode(new).strip().splitlines() or [""])[0].strip()
        better = sum(other.per_token < right.per_token for other in others)
        answered.append(
            Answered(
                question=question.question,
                answer=question.answer,
                group=question.group,
                entity=question.entity,
                n_tokens=right.n_tokens,
                loss=right.loss,
                rank=1 + better if others else None,
                generated=generated,
                exact=_bare(generated) == _bare(question.answer),
            )
        )
    return answered


def summarise(answered: Sequence[Answered]) -> dict[str, dict[str, Any]]:
    """By group, and over all as `all`: the number of questions and entities, and a mean with its interval of

    `loss` (nats per answer token), `exact` and `first` (shares; first: no distractor is likelier), `rank`.
    """
    groups: dict[str, list[Answered]] = {}
    for one in answered:
        if one.group is not None:
            groups.setdefault(one.group, []).append(one)
    summaries = {}
    for name, members in {**dict(sorted(groups.items())), TOTAL: list(answered)}.items():
        scores: dict[str, list[float | None]] = {
            "loss": [a.loss for a in members],
            "n_tokens": [a.n_tokens for a in members],
            "exact": [float(a.exact) for a in members],
            "rank": [a.rank for a in members],
            "first": [None if a.rank is None else float(a.rank == 1) for a in members],
        }
        entities = [a.entity for a in members]
        found = {score: asdict(figure) for score, figure in figures(scores, entities).items()}
        summaries[name] = {"n_questions": len(members), "n_entities": len(set(entities)), **found}
    return summaries


def _split(model: LanguageModel, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    """The ids of prompt and answer as one text, cut where they differ from those of the prompt alone.

    A tokenizer may join the end of the prompt with the beginning of the answer.

    Raises:
        ValueError: the tokenizer has no tokens for one of them.
    """
    alone, ids = model.encode(prompt), model.encode(f"{prompt} {answer}")
    n_prompt = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(alone, ids, strict=False)))
    if not 0 < n_prompt < len(ids):
        raise ValueError(f"the model's tokenizer has no tokens for the answer {answer!r} after {prompt!r}")
    return ids[:n_prompt], ids[n_prompt:]


def _bare(text: str) -> str:
    return " ".join(text.casefold().split()).strip(string.punctuation + " ")


def decoder_model(decoder: Decoder, tokenizer: TextTokenizer) -> LanguageModel:
    """Our decoder, in any precision that the caller sets; questions are short, so it attends densely."""

    def logits(tokens_BS: Tensor) -> Tensor:
        was_training = decoder.training
        decoder.eval().attend_with(dense_attention)
        try:
            return decoder(tokens_BS)
        finally:
            decoder.train(was_training).attend_with(None)

    return LanguageModel(
        logits=logits,
        encode=lambda text: tokenizer.encode([text])[0][:-1].tolist(),
        decode=tokenizer.decode,
        ends=frozenset({tokenizer.end_id}),
        device=decoder.device,
    )
