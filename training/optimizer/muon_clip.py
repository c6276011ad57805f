"""MuonClip (Kimi K2, arXiv 2507.20534, algorithm 1): Muon for matrices, AdamW for the rest, QK-Clip after the update.

For a matrix W of shape (n, m) with gradient G:

    M ← μM + G,   O ← NewtonSchulz(G + μM) · 0.2·√max(n, m),   W ← W − η(O + λW)

The factor gives O the root mean square of AdamW's updates, so both share one learning rate and one weight decay
(Moonlight, arXiv 2502.16982, section 2.2). In practice Jordan's coefficients give about 0.19, Polar Express 0.2.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adamw import adamw

from rephrase.models.precision import fast_precision
from training.optimizer.matrix_layout import MatrixLayout
from training.optimizer.newton_schulz import COEFFICIENTS, newton_schulz_flops, orthogonalise
from training.optimizer.owners import Owners, rows_group
from training.optimizer.parameter_rules import Assignment, Rule, assign
from training.optimizer.qk_clip import QKClip
from training.parallel import local

UPDATE_RMS = 0.2
# Matrices orthogonalised in one batch hold at most this many elements: 64 M take about 0.5 GB of bfloat16 workspace.
MAX_BATCH_ELEMENTS = 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class MuonClipConfig:
    """Hyperparameters; the defaults are K2's, with Polar Express in place of Jordan's coefficients.

    `adamw_lr` None means one learning rate for both optimizers, which is the purpose of RMS matching.
    """

    lr: float = 2e-4
    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    coefficients: str = "polar_express"
    adamw_lr: float | None = None
    adamw_betas: tuple[float, float] = (0.9, 0.95)
    adamw_eps: float = 1e-8

    def __post_init__(self) -> None:
        for name in ("lr", "weight_decay", "adamw_lr"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:  # true for nan too
                raise ValueError(f"{name} is {value}; it must be a finite number, 0 or more")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum}; it must be at least 0 and below 1")
        if self.coefficients not in COEFFICIENTS:
            raise ValueError(f"coefficients is {self.coefficients!r}; choose one of {', '.join(COEFFICIENTS)}")


@dataclass(slots=True)
class _Slice:
    """One part of one parameter as it passes through Newton–Schulz."""

    batch_Nnm: Tensor
    is_tall: bool
    result_Nnm: Tensor | None = None


class MuonClip(Optimizer):
    """A drop-in `torch.optim.Optimizer` for a whole model.

    Args:
        named_parameters: `model.named_parameters()`.
        rules: which optimizer updates which parameter (`deepseek_rules`, `llama_rules`, or your own).
        clip: QK-Clip over the model's attention layers; None disables it.
        dtype: of the Newton–Schulz products; by default, what the hardware multiplies fast.

    Raises:
        ValueError: no rule covers a trainable parameter, or one is divided among processes in an unknown way.

    Parameters may be divided by FSDP2 and expert parallelism: state is divided like its parameter, a matrix whose rows
    are divided has one owner that orthogonalises it (`training.optimizer.owners`), and the result is the same.

    Optimizer state has the dtype of its parameter. Keep float32 parameters and compute under autocast: at K2's
    learning rate, updates are too small for bfloat16 addition.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, nn.Parameter]],
        rules: Sequence[Rule],
        config: MuonClipConfig | None = None,
        clip: QKClip | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.config = config or MuonClipConfig()
        self.clip = clip
        self.dtype = dtype or getattr(torch, fast_precision())
        self._rules = rules
        self.assignments: list[Assignment] = []
        self._layouts: dict[nn.Parameter, MatrixLayout] = {}
        defaults = {"lr": self.config.lr, "weight_decay": self.config.weight_decay}
        super().__init__(self._groups(named_parameters, {}), defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, such as those of a new module: `{"params": module.named_parameters(), "lr": 1e-3}`.

        Raises:
            ValueError: the parameters have no names, or no rule covers one.
        """
        if "optimizer" in param_group:  # from the constructor
            super().add_param_group(param_group)
            return
        named = list(param_group["params"])
        if not all(isinstance(pair, tuple) for pair in named):
            raise ValueError(
                "a parameter group of MuonClip needs names, such as {'params': module.named_parameters()}: the rules "
                "decide by name which optimizer updates a parameter"
            )
        options = {name: value for name, value in param_group.items() if name != "params"}
        for group in self._groups(named, options):
            super().add_param_group(group)

    def describe(self) -> list[dict[str, Any]]:
        """A row per parameter: name, shape, optimizer, and the shapes of the matrices that Muon orthogonalises."""
        return [
            {
                "name": a.name,
                "shape": tuple(a.parameter.shape),
                "optimizer": a.rule.optimizer,
                "matrices": a.rule.layout.matrix_shapes(a.parameter.shape) if a.rule.optimizer == "muon" else [],
            }
            for a in self.assignments
        ]

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            update = self._muon if group["optimizer"] == "muon" else self._adamw
            update(parameters, group["lr"], group["weight_decay"])
        if self.clip is not None:
            self.clip.apply()
        return loss

    def tensors(self) -> dict[str, Tensor]:
        """All state tensors by parameter name, created if missing: to save, or to fill in place."""
        named: dict[str, Tensor] = {}
        for assignment in self.assignments:
            state = self._state_of(assignment.parameter, assignment.rule.optimizer)
            named |= {f"optimizer.{assignment.name}.{key}": tensor for key, tensor in state.items()}
        if self.clip is not None:
            named["optimizer.clip.n_clipped"] = self.clip.n_clipped_LH
        return named

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        if self.clip is not None:
            state["clip"] = self.clip.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "clip"})
        if self.clip is not None and "clip" in state_dict:
            self.clip.load_state_dict(state_dict["clip"])

    def _groups(
        self, named_parameters: Iterable[tuple[str, nn.Parameter]], options: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The parameters in a group for Muon and one for AdamW, after noting their rules."""
        assignments = assign(named_parameters, self._rules)
        self.assignments += assignments
        self._layouts |= {a.parameter: a.rule.layout for a in assignments}
        lrs = {"muon": self.config.lr, "adamw": self.config.adamw_lr}
        named = {name: [a.parameter for a in assignments if a.rule.optimizer == name] for name in lrs}
        return [
            {"optimizer": name, "lr": self.config.lr if lr is None else lr, **options, "params": named[name]}
            for name, lr in lrs.items()
            if named[name]
        ]

    def _state_of(self, parameter: nn.Parameter, optimizer: str) -> dict[str, Tensor]:
        state = self.state[parameter]
        if not state and optimizer == "muon":
            state["momentum"] = torch.zeros_like(parameter)
        elif not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        return state

    def _muon(self, parameters: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        moves = have_gradients(parameters)
        # Newton–Schulz leaves a zero matrix zero.
        directions = {parameter: self._direction(parameter) * moves[parameter] for parameter in parameters}
        updates: dict[nn.Parameter, Tensor] = {}
        for owners in self._owners(parameters):
            updates |= owners.scatter(self._updates(owners.gather(directions), lr))
        updates |= self._updates({p: directions[p] for p in parameters if p not in updates}, lr)
        for parameter, update in updates.items():
            local(parameter).mul_(1 - lr * weight_decay * moves[parameter]).add_(update)

    def _direction(self, parameter: nn.Parameter) -> Tensor:
        """What to orthogonalise, of this process's part of a parameter: the momentum, or Nesterov's look ahead."""
        assert parameter.grad is not None
        grad, momentum = local(parameter.grad), local(self._state_of(parameter, "muon")["momentum"])
        momentum.mul_(self.config.momentum).add_(grad)
        return grad.add(momentum, alpha=self.config.momentum) if self.config.nesterov else momentum

    def _owners(self, parameters: list[nn.Parameter]) -> list[Owners]:
        """The owners of the matrices whose rows are divided: one set for each group of processes."""
        costs: dict[dist.ProcessGroup, dict[nn.Parameter, int]] = defaultdict(dict)
        for parameter in parameters:
            if (group := rows_group(parameter)) is not None:
                shapes = self._layouts[parameter].matrix_shapes(parameter.shape)
                costs[group][parameter] = sum(n_matrices * newton_schulz_flops(n, m) for n_matrices, n, m in shapes)
        return [Owners(of_group, group) for group, of_group in costs.items()]

    def _updates(self, directions: dict[nn.Parameter, Tensor], lr: float) -> dict[nn.Parameter, Tensor]:
        """What to add to each parameter, or to this process's part of a stack, without the weight decay."""
        slices = {parameter: self._slices(parameter, direction) for parameter, direction in directions.items()}
        by_shape: dict[tuple[int, int], list[_Slice]] = defaultdict(list)
        for part in (part for parts in slices.values() for part in parts):
            by_shape[part.batch_Nnm.shape[1], part.batch_Nnm.shape[2]].append(part)
        for parts in by_shape.values():
            self._orthogonalise(parts)
        updates = {}
        for parameter, parts in slices.items():
            results = [
                part.result_Nnm.mT if part.is_tall else part.result_Nnm for part in parts if part.result_Nnm is not None
            ]
            scales = [-lr * UPDATE_RMS * max(result.shape[1:]) ** 0.5 for result in results]
            updates[parameter] = torch.zeros_like(directions[parameter])
            self._layouts[parameter].join(updates[parameter], results, scales)
        return updates

    def _slices(self, parameter: nn.Parameter, direction: Tensor) -> list[_Slice]:
        """The matrices to orthogonalise, all of them wide, so that an n × m and an m × n matrix share a batch."""
        batches = self._layouts[parameter].split(direction)
        return [
            _Slice(batch.mT if batch.shape[1] > batch.shape[2] else batch, batch.shape[1] > batch.shape[2])
            for batch in batches
        ]

    def _orthogonalise(self, parts: list[_Slice]) -> None:
        """Fill in the results of parts of equal shape, in batches as large as `MAX_BATCH_ELEMENTS` allows."""
        coefficients = COEFFICIENTS[self.config.coefficients]
        together: list[_Slice] = []
        for index, part in enumerate(parts):
            together.append(part)
            n_elements = sum(p.batch_Nnm.numel() for p in together)
            if index + 1 < len(parts) and n_elements + parts[index + 1].batch_Nnm.numel() <= MAX_BATCH_ELEMENTS:
                continue
            done = orthogonalise(torch.cat([p.batch_Nnm for p in together]), coefficients, self.dtype)
            for p, result in zip(together, done.split([len(p.batch_Nnm) for p in together]), strict=True):
                p.result_Nnm = result
            together = []

    def _adamw(self, parameters: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        if not parameters:
            return
        states = [self._state_of(parameter, "adamw") for parameter in parameters]
        adamw(
            [local(parameter) for parameter in parameters],
            [local(parameter.grad) for parameter in parameters if parameter.grad is not None],
            [local(state["exp_avg"]) for state in states],
            [local(state["exp_avg_sq"]) for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=self.config.adamw_betas[0],
            beta2=self.config.adamw_betas[1],
            lr=lr,
            weight_decay=weight_decay,
            eps=self.config.adamw_eps,
            maximize=False,
        )


def have_gradients(parameters: Sequence[nn.Parameter]) -> dict[nn.Parameter, Tensor]:
    """1 for each stacked weight (E, 1, 1) that has a gradient, or for a whole matrix (1, 1); else 0.

    An expert that no token of the step was routed to rests, as a parameter without a gradient does. Otherwise it would
    go on moving by full steps along its last momentum, whose size Newton–Schulz normalises away: for about 390 steps,
    until the momentum has decayed below the smallest norm.
    """
    found = {}
    for parameter in parameters:
        assert parameter.grad is not None
        dims = (1, 2) if parameter.ndim == 3 else (0, 1)
        found[parameter] = (local(parameter.grad) != 0).any(dim=dims, keepdim=True).to(parameter.dtype)
    by_group: dict[dist.ProcessGroup, list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        if (group := rows_group(parameter)) is not None:
            by_group[group].append(parameter)
    for group, divided in by_group.items():
        # The gradient may be in another process's rows.
        anywhere = torch.stack([found[parameter] for parameter in divided])
        dist.all_reduce(anywhere, dist.ReduceOp.MAX, group)
        found |= zip(divided, anywhere, strict=True)
    return found
