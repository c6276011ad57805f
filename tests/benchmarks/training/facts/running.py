"""One run: pre-training with the project's model and optimizer, tuning on questions, and what is measured.

A lean loop over the parts that `training.loop.trainer` uses as well: it writes no files and waits for the device only
at the end. QK-Clip, whose factors are computed on the CPU, looks at the maxima of every 20 steps.
"""

import random
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from facts.arms import ARMS, Gate, Run, exposures
from facts.people import ATTRIBUTES
from facts.rows import Rows, held_out_rows, make_rows
from facts.sizes import model_config
from facts.world import Asked, World
from rephrase.models.precision import fast_precision
from training.data.boundaries import Boundaries
from training.evaluating.scoring import answer_likelihoods, greedy_answers
from training.model.decoder import Decoder
from training.model.dense_attention import dense_attention
from training.optimizer.muon_clip import MuonClip, MuonClipConfig
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import QKClip, latent_attention_layers
from training.optimizer.schedule import Schedule, wsd

CLIP_EVERY = 20
TELL_EVERY_S = 30
BALANCE_WEIGHT, BIAS_SPEED = 1e-4, 1e-2
MEASURE_BATCH = 512


def run(what: Run, world: World, gate: Gate, device: str) -> dict[str, Any]:
    """Train and measure; the result can be written as JSON. Scores are lists over the people of a split, in order."""
    began = time.perf_counter()
    sizes = world.sizes
    rows, share_about_people = make_rows(ARMS[what.arm], world, what.seed, gate)
    rows = rows.to(device)
    model = Decoder(model_config(what.architecture, sizes, world.vocab_size)).initialise(what.seed).to(device)
    model.train().attend_with(dense_attention)
    final_loss = pretrain(model, rows, what, world)
    model.eval()
    background_loss = held_out_loss(model, held_out_rows(world).to(device))
    tested = [asked for asked in world.questions if asked.split == "test"]
    untuned = likelihoods(model, tested, device)
    tune(model.train(), [asked for asked in world.questions if asked.split == "tune"], what.seed, world, device)
    model.eval()
    answers = {split: answer(model, [a for a in world.questions if a.split == split], device) for split in SPLITS}
    return {
        "key": what.key,
        "arm": what.arm,
        "architecture": what.architecture,
        "seed": what.seed,
        "lr": what.lr,
        "weight_decay": what.weight_decay,
        "sizes": asdict(sizes),
        "n_tokens": rows.tokens.numel(),
        "n_parameters": model.config.n_parameters(),
        "n_active_parameters": model.config.n_active_parameters(),
        "share_about_people": share_about_people,
        "background_loss": background_loss,
        "train_loss": final_loss,
        "untuned": untuned,
        "tuned": likelihoods(model, tested, device),
        "exact": {split: exact(world, split, generated) for split, generated in answers.items()},
        "planted": planted(what, world, gate, answers["test"]),
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
        "seconds": time.perf_counter() - began,
    }


SPLITS = ("tune", "test", "control")


def pretrain(model: Decoder, rows: Rows, what: Run, world: World) -> float:
    """One pass over the rows; the mean loss of the last tenth of the steps, in nats per token."""
    sizes, device = world.sizes, rows.tokens.device
    n_steps = len(rows.tokens) // sizes.rows_per_step
    optimizer, clip = make_optimizer(model, what.lr, what.weight_decay, sizes.momentum)
    schedule = wsd(n_steps, round(sizes.warmup_share * n_steps), sizes.decay_share)
    weights = torch.full((sizes.rows_per_step, sizes.row_length), 1 / (sizes.rows_per_step * sizes.row_length))
    weights = weights.to(device)
    losses, told = [], time.monotonic()
    for step in range(n_steps):
        if time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            print(f"{what.key}: step {step} of {n_steps}", flush=True)
        tokens, targets, starts = rows.part(step * sizes.rows_per_step, (step + 1) * sizes.rows_per_step)
        loss = take_step(model, optimizer, schedule, step, what.lr, (tokens, targets, weights, Boundaries(starts)))
        if step % CLIP_EVERY == CLIP_EVERY - 1:
            clip.apply()
        if step + 1 >= 0.9 * n_steps:
            losses.append(loss)
    return float(torch.stack(losses).mean())


def tune(model: Decoder, questions: list[Asked], seed: int, world: World, device: str) -> None:
    """Train on questions with their answers; only answers count."""
    sizes = world.sizes
    length = max(len(asked.prompt) + len(asked.answer) for asked in questions) - 1
    tokens = torch.zeros(len(questions), length, dtype=torch.long)
    targets, weights = tokens.clone(), torch.zeros(len(questions), length)
    for row, asked in enumerate(questions):
        ids = torch.tensor([*asked.prompt, *asked.answer])
        tokens[row, : len(ids) - 1], targets[row, : len(ids) - 1] = ids[:-1], ids[1:]
        weights[row, len(asked.prompt) - 1 : len(ids) - 1] = 1
    rng = random.Random(seed)
    order: list[int] = []
    while len(order) < sizes.n_tuning_steps * sizes.tuning_batch:
        order += rng.sample(range(len(questions)), len(questions))
    tokens, targets, weights, chosen = (x.to(device) for x in (tokens, targets, weights, torch.tensor(order)))
    optimizer, _ = make_optimizer(model, sizes.tuning_lr, 0.1, sizes.momentum)
    schedule = wsd(sizes.n_tuning_steps, sizes.n_tuning_steps // 10, 0.5)
    boundaries = Boundaries.whole_rows(sizes.tuning_batch, length, device)
    for step in range(sizes.n_tuning_steps):
        batch = chosen[step * sizes.tuning_batch : (step + 1) * sizes.tuning_batch]
        part = weights[batch] / weights[batch].sum()
        take_step(model, optimizer, schedule, step, sizes.tuning_lr, (tokens[batch], targets[batch], part, boundaries))


def make_optimizer(model: Decoder, lr: float, weight_decay: float, momentum: float) -> tuple[MuonClip, QKClip]:
    config = MuonClipConfig(lr=lr, weight_decay=weight_decay, momentum=momentum)
    return MuonClip(model.named_parameters(), deepseek_rules(model.config), config), QKClip(
        latent_attention_layers(model)
    )


def take_step(
    model: Decoder,
    optimizer: MuonClip,
    schedule: Schedule,
    step: int,
    lr: float,
    batch: tuple[Tensor, Tensor, Tensor, Boundaries],
) -> Tensor:
    """One update; the weighted loss stays on the device."""
    tokens, targets, weights, boundaries = batch
    for group in optimizer.param_groups:
        group["lr"] = lr * schedule.factor(step)
    with precision(tokens.device):
        # With a small vocabulary all logits fit, and one product is faster than the blocks of `Decoder.loss`.
        hidden, balance = model.hidden(tokens, boundaries)
        logits = model.lm_head(hidden)
    token_losses = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
    loss = (token_losses * weights.flatten()).sum()
    (loss + BALANCE_WEIGHT * model.config.n_moe_layers * balance).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for gate in model.gates():
        gate.update_bias(BIAS_SPEED)
    return loss.detach()


def precision(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where the device has units for it, as the final runs had."""
    return torch.autocast(device.type, torch.bfloat16) if fast_precision() == "bfloat16" else nullcontext()


@torch.no_grad()
def held_out_loss(model: Decoder, rows: Rows) -> float:
    """Nats per token."""
    tokens, targets, starts = rows.part(0, len(rows.tokens))
    losses = []
    for at in range(0, len(tokens), 32):
        part = slice(at, at + 32)
        with precision(tokens.device):
            logits = model.lm_head(model.hidden(tokens[part], Boundaries(starts[part]))[0])
        losses.append(F.cross_entropy(logits.float().flatten(0, 1), targets[part].flatten(), reduction="sum"))
    return float(torch.stack(losses).sum() / tokens.numel())


def logits_of(model: Decoder):
    def logits(tokens: Tensor) -> Tensor:
        with precision(tokens.device):
            return model(tokens)

    return logits


def likelihoods(model: Decoder, questions: list[Asked], device: str) -> dict[str, dict[str, list[float]]]:
    """By attribute, for each question: the loss per token of the answer, and whether no distractor is likelier."""
    sequences = [(a.prompt, ids) for a in questions for ids in (a.answer, *a.distractors)]
    found = iter(answer_likelihoods(logits_of(model), sequences, MEASURE_BATCH, device))
    scores: dict[str, dict[str, list[float]]] = {"loss": {}, "first": {}}
    for asked in questions:
        right, *wrong = (next(found).per_token for _ in (asked.answer, *asked.distractors))
        scores["loss"].setdefault(asked.attribute, []).append(round(right, 4))
        scores["first"].setdefault(asked.attribute, []).append(float(right < min(wrong)))
    return scores


def answer(model: Decoder, questions: list[Asked], device: str) -> list[tuple[Asked, list[int]]]:
    """What the model generates greedily after each question, up to the end token."""
    end = questions[0].answer[-1]
    n_new = max(len(asked.answer) for asked in questions)
    prompts = [asked.prompt for asked in questions]
    generated = greedy_answers(logits_of(model), prompts, n_new, frozenset({end}), MEASURE_BATCH, device)
    return [(asked, [*ids, end]) for asked, ids in zip(questions, generated, strict=True)]


def exact(world: World, split: str, answers: list[tuple[Asked, list[int]]]) -> dict[str, list[int]]:
    """By attribute, for each person of the split: 1 if the answer is the right one, token by token."""
    scores: dict[str, list[int]] = {name: [] for name in (*ATTRIBUTES, "reversed")}
    for asked, ids in answers:
        scores[asked.attribute].append(int(ids == asked.answer))
    return scores


def planted(what: Run, world: World, gate: Gate, answers: list[tuple[Asked, list[int]]]) -> float | None:
    """The share of answers that are a wrong value planted in a document that was read; None for arms without any."""
    arm = ARMS[what.arm]
    if arm.pool not in world.planted:
        return None
    read = {
        (person, k) for parts in exposures(arm, world, what.seed, gate) for pool, person, k in parts if pool == arm.pool
    }
    wrong: dict[tuple[int, str], list[list[int]]] = {}
    for person, k in read:
        for attribute, ids in world.planted[arm.pool][person][k].items():
            wrong.setdefault((person, attribute), []).append(ids)
    reproduced = [ids in wrong.get((a.person, a.attribute), []) for a, ids in answers if a.attribute != "reversed"]
    return sum(reproduced) / len(reproduced)
