"""The training loop: from packed rows to an update, with metrics, checkpoints, evaluation and token utility."""

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from training.data.batch import Batch
from training.data.loader import Loader, StepData
from training.data.token_store import TokenStore
from training.loop.checkpoint import Checkpoints, random_state, set_random_state
from training.loop.evaluation import held_out_losses
from training.loop.gate_balance import balance_gates
from training.loop.loss_guard import GuardConfig, LossGuard, TrainingStoppedError
from training.loop.pace import Pace, measure_peak_flops
from training.loop.stopping import RunStoppedError, StopRequest
from training.loop.telemetry import SkippedSteps, Telemetry
from training.model.decoder import Decoder
from training.optimizer.gradient_norm import clip_gradients
from training.optimizer.muon_clip import MuonClip
from training.optimizer.schedule import Schedule
from training.parallel import Ranks, local
from training.sharding.micro_batches import PassOptions
from training.sharding.pipeline import step_passes
from training.utility.tracker import UtilityConfig, UtilityTracker

log = logging.getLogger("training")

Precision = Literal["float32", "bfloat16", "float16"]
OnSpike = Literal["stop", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerConfig:
    """Settings of the loop; 0 for an `…_every` means only at the end, and 0 `checkpoint_minutes` not by time.

    `balance_weight` is DeepSeek-V3's weight of each layer's sequence-wise balance loss, `z_weight` that of the z-loss;
    reported losses are without either. `bias_speed` is the update speed of the gates' selection biases during the first
    `bias_until` of the run (DeepSeek-V3: 14.3 of 14.8 T tokens).
    With `on_spike` "skip", a step that the loss guard refuses is left out and its documents are listed in
    `RUN/skipped.jsonl`, up to 1 % of the run's steps.
    """

    n_steps: int
    micro_batch_rows: int
    precision: Precision = "bfloat16"
    clip_grad_norm: float = 1.0
    balance_weight: float = 1e-4
    z_weight: float = 0.0
    bias_speed: float = 1e-3
    bias_until: float = 0.966
    evaluate_every: int = 0
    checkpoint_every: int = 0
    checkpoint_minutes: float = 15.0
    n_checkpoints_kept: int = 3
    log_every: int = 1
    wandb_project: str | None = None
    on_spike: OnSpike = "stop"
    guard: GuardConfig = field(default_factory=GuardConfig)
    utility: UtilityConfig = field(default_factory=UtilityConfig)

    def __post_init__(self) -> None:
        for name in ("n_steps", "micro_batch_rows", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.clip_grad_norm <= 0:
            raise ValueError(f"clip_grad_norm is {self.clip_grad_norm}; it must be above 0")
        if self.precision not in ("float32", "bfloat16", "float16"):
            raise ValueError(f"precision is {self.precision!r}; choose float32, bfloat16 or float16")
        if self.on_spike not in ("stop", "skip"):
            raise ValueError(f"on_spike is {self.on_spike!r}; choose stop or skip")


@dataclass(frozen=True, slots=True)
class Summary:
    """The outcome of a run; `finished` is false if the data ran out before the last step."""

    n_steps: int
    n_tokens: int
    finished: bool
    loss: float
    held_out_loss: dict[str, float]


class Trainer:
    """One run in one folder. `train` resumes from the folder's newest checkpoint, or starts from scratch.

    Args:
        optimizer: with QK-Clip over the model's layers; its learning rates are the peaks of the schedule.
        held_out: evaluation rows by stream number.
        stop: ends the run after the step under way; SIGINT and SIGTERM set it.
        ask: figures on closed-book questions to the model, wanted at each evaluation.
    """

    def __init__(
        self,
        run: Path,
        model: Decoder,
        optimizer: MuonClip,
        schedule: Schedule,
        store: TokenStore,
        loader: Loader,
        held_out: dict[int, Batch],
        config: TrainerConfig,
        ranks: Ranks | None = None,
        stop: StopRequest | None = None,
        ask: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        self.run, self.model, self.optimizer, self.schedule = run, model.train(), optimizer, schedule
        self.store, self.loader, self.held_out = store, loader, held_out
        self.config, self.ranks, self.stop, self.ask = config, ranks or Ranks(), stop or StopRequest(), ask
        self.device = model.device
        self.step = 0
        self.n_tokens = 0
        self.n_skipped = 0
        self.loss = float("nan")
        self.held_out_loss: dict[str, float] = {}
        self.guard = LossGuard(config.guard)
        self.skipped = SkippedSteps(run)
        self.utility = UtilityTracker(model, store.streams, held_out, config.utility)
        self.checkpoints = Checkpoints(run / "checkpoints", config.n_checkpoints_kept, self.ranks)
        self._saved_at = time.monotonic()
        self._peak_lrs = [group["lr"] for group in optimizer.param_groups]
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "float16")
        self._loader_state: dict[str, Any] = loader.state_dict()
        self._passes = step_passes(
            model,
            self.ranks,
            PassOptions(
                micro_batch_rows=config.micro_batch_rows,
                balance_weight=config.balance_weight,
                z_weight=config.z_weight,
                around=self._forward_pass,
                scale=self._scaler.scale,
            ),
        )

    def train(self) -> Summary:
        """Train to the last step, or until the data runs out.

        Raises:
            TrainingStoppedError: the loss or gradient is not finite, or the loss jumped.
            RunStoppedError: SIGINT, SIGTERM or the stop request; the last step is saved.
            ValueError: the newest checkpoint belongs to another model or to other data, or all are broken.
            OSError: there is no space for a checkpoint.
        """
        self._resume()
        if self.step < self.config.n_steps:
            self.checkpoints.require_space(self._tensors())
        telemetry = None
        if self.ranks.is_writer:
            self.skipped.drop_after(self.n_skipped)
            telemetry = Telemetry(self.run, self.step, self.config.n_steps, self.config.wandb_project)
        steps = iter(self.loader)
        try:
            with self.stop.on_signals():
                self._loop(steps, telemetry)
            self.checkpoints.wait()
        finally:
            steps.close()  # type: ignore[attr-defined]
            self.checkpoints.close()
            if telemetry is not None:
                telemetry.close()
        self.ranks.barrier()
        return Summary(self.step, self.n_tokens, self.step == self.config.n_steps, self.loss, self.held_out_loss)

    def _loop(self, steps: Iterator[StepData], telemetry: Telemetry | None) -> None:
        dtype = getattr(torch, self.config.precision)
        pace = Pace(self.ranks.world_size * measure_peak_flops(self.device, dtype))
        while self.step < self.config.n_steps and (data := next(steps, None)) is not None:
            try:
                figures = self._take_step(data)
            except TrainingStoppedError as error:
                if self.config.on_spike == "skip" and self.n_skipped < max(1, self.config.n_steps // 100):
                    self._skip(data, error)
                    continue
                self._save_if_finite()
                raise
            flops_per_token = self.model.config.flops_per_token(data.batch.tokens_BS.shape[1])
            figures |= pace.end_step(figures["n_tokens"], flops_per_token)
            if telemetry is not None and (self.step % self.config.log_every == 0):
                telemetry.write(self.step, "train", figures)
                telemetry.progress(self.step, figures, pace.time_left(self.config.n_steps - self.step))
            is_last = self.step == self.config.n_steps
            if is_last or _is_due(self.step, self.config.evaluate_every):
                self.held_out_loss = self.evaluate()
                answers = self._ask()
                if telemetry is not None:
                    telemetry.write(self.step, "held_out", self.held_out_loss)
                    telemetry.write(self.step, "value", self.utility.values_by_stream())
                    if answers is not None:
                        telemetry.write(self.step, "questions", answers)
            if is_last or _is_due(self.step, self.config.checkpoint_every) or self._is_time_to_save():
                self.save()
            if not is_last and self._must_stop():
                self.save()
                self.checkpoints.wait()
                raise RunStoppedError(self.stop.signal or signal.SIGTERM, self.step)
        if self.step < self.config.n_steps:
            self.save()

    def begin_at(self, checkpoints: Checkpoints, step: int, continue_data: bool) -> None:
        """Take over another run's step: weights, optimizer state and gates; afterwards its options do not matter.

        Args:
            continue_data: go on reading where that run stopped, which takes the same data and mixture.

        Raises:
            ValueError: the checkpoint is broken or of another model.
        """
        state = checkpoints.load(step, {**self._model_tensors(), **self.optimizer.tensors()})
        self._take_over(state)
        if continue_data:  # the losses of other data are no measure for those of these
            self.guard.load_state_dict(state["guard"])
            self.loader.load_state_dict(state["loader"])
            self._loader_state = state["loader"]

    def evaluate(self) -> dict[str, float]:
        """Held-out loss in nats per token, by stream."""
        losses = held_out_losses(self.model, self.held_out, self.config.micro_batch_rows, self._autocast, self.ranks)
        return {str(self.store.streams[stream]): loss for stream, loss in losses.items()}

    def _ask(self) -> dict[str, float] | None:
        """The figures on closed-book questions, on all ranks: they may hold the model only together."""
        if self.ask is None:
            return None
        with self._autocast():
            return self.ask()

    def save(self) -> None:
        """Start writing a checkpoint of the last step."""
        self._saved_at = time.monotonic()
        generators = random_state() if self.ranks.is_writer else {}
        self.checkpoints.save(self.step, {**self._tensors(), **generators}, self._state())

    def _skip(self, data: StepData, error: TrainingStoppedError) -> None:
        """Leave out a step that the guard refused: list its documents, and go on with the next rows."""
        self.n_skipped += 1
        self._loader_state = data.next_state
        self._scaler.update()  # it allows one unscaling per update
        self.optimizer.zero_grad(set_to_none=True)
        self.utility.discard_step()
        for kept in self.model.logit_maxima():
            kept.reset()
        for gate in self.model.gates():
            gate.reset_counts()
        log.warning("%s Skipped: the documents are listed in %s.", error, self.skipped.path)
        documents = [self.store.document_id(int(d)) for d in data.batch.document_BS.unique()]
        row = {"before_step": self.step + 1, "rank": self.ranks.rank, "reason": str(error), "documents": documents}
        if self.ranks.is_first_stage:  # the others have read the same
            self.skipped.write(self.n_skipped, row)

    def _save_if_finite(self) -> None:
        """Save the last good step, unless its update is what broke the weights."""
        if not self._on_any_rank(
            not all(bool(local(a.parameter).isfinite().all()) for a in self.optimizer.assignments)
        ):
            self.save()
            self.checkpoints.wait()

    def _is_time_to_save(self) -> bool:
        """Whether it is time by any rank's clock: all of them save, each its own part."""
        minutes = self.config.checkpoint_minutes
        return minutes > 0 and self._on_any_rank(time.monotonic() - self._saved_at >= 60 * minutes)

    def _must_stop(self) -> bool:
        """Whether any rank has been asked to stop: all of them end after the same step."""
        return self._on_any_rank(self.stop.signal != 0)

    def _on_any_rank(self, condition: bool) -> bool:
        return bool(self.ranks.sum(torch.tensor(float(condition), device=self.device)) > 0)

    def _take_step(self, data: StepData) -> dict[str, Any]:
        """One optimizer step (micro-batches, gradient, guard, update, gates); returns its metrics."""
        factor = self.schedule.factor(self.step)
        for group, peak in zip(self.optimizer.param_groups, self._peak_lrs, strict=True):
            group["lr"] = peak * factor
        self.utility.begin_step(self.step, self._autocast)
        loss, balance, token_losses = self._accumulate(data.batch)
        self._scaler.unscale_(self.optimizer)
        grad_norm = clip_gradients(self.model.parameters(), self.config.clip_grad_norm, self.ranks)
        # Under gradient scaling, a non-finite gradient only means that the scale must shrink.
        checked_norm = 0.0 if self._scaler.is_enabled() else grad_norm
        self.guard.check(self.step + 1, loss, checked_norm, lambda: self._describe(data.batch, token_losses))
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        for kept in self.model.logit_maxima():
            kept.reset()  # the clip has not done so if the scaler skipped the step
        is_moving = self.step < self.config.bias_until * self.config.n_steps
        expert_load = balance_gates(self.model, self.config.bias_speed if is_moving else 0.0, self.ranks)
        self.utility.end_step(self.ranks)
        self.step += 1
        self.loss = loss
        n_tokens = data.batch.tokens_BS.numel() * self.ranks.n_readers
        self.n_tokens += n_tokens
        self._loader_state = data.next_state
        clip = self.optimizer.clip.report if self.optimizer.clip is not None else None
        return {
            "loss": loss,
            "balance": balance,
            "lr": self.optimizer.param_groups[0]["lr"],
            "grad_norm": grad_norm,
            "n_tokens": n_tokens,
            "max_logit": clip.max_logit if clip else float("nan"),
            "share_clipped": clip.share_clipped if clip else 0.0,
            "max_logits": clip.max_logit_LH.tolist() if clip else [],
            "expert_load": expert_load,
        }

    def _accumulate(self, batch: Batch) -> tuple[float, float, Tensor]:
        """Forward and backward over the micro-batches; the step's mean loss and balance, and this rank's losses."""
        n_rows, length = batch.tokens_BS.shape
        weight = 1.0 / (n_rows * self.ranks.n_readers * length)
        batch = batch.to(self.device)
        losses = self._passes(batch, weight)
        self.utility.add_rows(batch, losses.tokens_BS, weight * self._scaler.get_scale())
        balance = losses.balance.double() / self.ranks.n_readers
        sums = self.ranks.sum_rows(torch.stack([losses.tokens_BS.double().sum() * weight, balance]))
        mean_loss, mean_balance = sums.tolist()
        return mean_loss, mean_balance, losses.tokens_BS

    @contextmanager
    def _forward_pass(self) -> Iterator[None]:
        with self.utility.forward_pass(), self._autocast():
            yield

    def _describe(self, batch: Batch, losses_BS: Tensor) -> str:
        """The documents with the highest losses in this rank's batch, and their streams."""
        documents, index = batch.document_BS.flatten().unique(return_inverse=True)
        losses = losses_BS.cpu().double().flatten().nan_to_num(nan=torch.inf)
        mean = torch.bincount(index, losses) / torch.bincount(index)
        worst = [int(documents[i]) for i in mean.argsort(descending=True)[:3]]
        named = (f"{self.store.document_id(d)} ({self.store.streams[self.store.stream_D[d]]})" for d in worst)
        return f"Highest losses on rank {self.ranks.rank} in: {', '.join(named)}."

    def _autocast(self) -> AbstractContextManager[None]:
        if self.config.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, getattr(torch, self.config.precision))

    def _model_tensors(self) -> dict[str, Tensor]:
        return {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}

    def _tensors(self) -> dict[str, Tensor]:
        return {**self._model_tensors(), **self.optimizer.tensors(), **self.utility.ledger.tensors()}

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "n_tokens": self.n_tokens,
            "n_skipped": self.n_skipped,
            "loss": self.loss,
            "held_out_loss": self.held_out_loss,
            "loader": self._loader_state,
            "guard": self.guard.state_dict(),
            "scaler": self._scaler.state_dict(),
            "utility": self.utility.ledger.state_dict(),
            "clip_steps": self.optimizer.clip.n_steps if self.optimizer.clip is not None else 0,
        }

    def _resume(self) -> None:
        tensors, generators = self._tensors(), random_state()
        state = self.checkpoints.load_newest({**tensors, **generators})
        if state is None:
            return
        set_random_state(generators)
        self._take_over(state)
        self.guard.load_state_dict(state["guard"])
        self.loss, self.held_out_loss = state["loss"], state["held_out_loss"]
        self.n_skipped = state.get("n_skipped", 0)  # version 0.1 never skipped
        self._loader_state = state["loader"]
        self.loader.load_state_dict(state["loader"])
        self.utility.ledger.load_state_dict(state["utility"])

    def _take_over(self, state: dict[str, Any]) -> None:
        self.step, self.n_tokens = state["step"], state["n_tokens"]
        if self._scaler.is_enabled() and state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])
        if self.optimizer.clip is not None:
            self.optimizer.clip.n_steps = state["clip_steps"]


def _is_due(step: int, every: int) -> bool:
    return bool(every) and step % every == 0
