"""The options of a run, checked when they are built; which of them may change on resuming."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from training.data.mixture import Mixture
from training.data.texts import FILE, TextOptions
from training.loop.trainer import OnSpike, Precision
from training.optimizer.qk_clip import THRESHOLD
from training.parallel import MeshSizes, Sharding

# Options that may change on resuming: they affect what is written, what is kept in memory, how the work is divided
# among processes, or only the steps after a spike.
CHANGEABLE_OPTIONS = {
    "evaluate_every",
    "evaluate_questions",
    "checkpoint_every",
    "checkpoint_minutes",
    "n_checkpoints_kept",
    "log_every",
    "mesh",
    "on_spike",
    "recompute_layers",
    "shard",
    "wandb_project",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Everything that a run depends on apart from its data.

    With `start` (`RUN[@step]` or a Hugging Face folder) it begins there, and the preset does not matter.

    `rows_per_step` counts the rows of all processes. `row_length` None means the context length of the model, which
    `rope_factor` extends by YaRN. Up to `max_eval_rows` held-out rows of each stream are evaluated, fewer of
    each where there are hundreds of streams. The defaults of
    `momentum` and `bias_speed` are those of K2 and DeepSeek-V3, for runs of many thousand steps; a run of hundreds
    learns faster with 0.85 and balances its experts with 1e-2. `precision` applies to the forward pass and to
    Newton–Schulz; "auto" is what the hardware multiplies fast. `mesh` (as for `MeshSizes.parse`) and `shard` say how
    processes divide the work; without a mesh, all processes of `torchrun` are data-parallel.
    """

    preset: str
    tokenizer: str
    n_steps: int
    rows_per_step: int = 8
    micro_batch_rows: int = 4
    recompute_layers: int = 0
    row_length: int | None = None
    rope_factor: float | None = None
    lr: float = 2e-3
    momentum: float = 0.95
    schedule: str = "wsd"
    n_warmup: int = 20
    weight_decay: float = 0.1
    clip_threshold: float = THRESHOLD
    split_heads: bool = False
    bias_speed: float = 1e-3
    quantile_balancing: bool = False
    z_weight: float = 0.0
    precision: Precision | Literal["auto"] = "auto"
    mesh: str | None = None
    shard: Sharding = "none"
    seed: int = 0
    start: str | None = None
    held_out_share: float = 0.01
    max_eval_rows: int = 16
    with_originals: bool = True
    source_by: str = FILE
    split_by: str | None = None
    mixture: Mixture = field(default_factory=Mixture)
    evaluate_every: int = 0
    evaluate_questions: str | None = None
    checkpoint_every: int = 0
    checkpoint_minutes: float = 15.0
    n_checkpoints_kept: int = 3
    on_spike: OnSpike = "stop"
    log_every: int = 1
    wandb_project: str | None = None
    align_every: int = 32

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: an option is out of range; the message names it.
        """
        for option in fields(self):
            if isinstance(value := getattr(self, option.name), int) and abs(value) >= 2**63:
                raise ValueError(f"{option.name} is a number of {len(str(abs(value)))} digits; it must be below 2^63")
        for name in (
            "n_steps",
            "rows_per_step",
            "micro_batch_rows",
            "max_eval_rows",
            "n_checkpoints_kept",
            "log_every",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.row_length is not None and self.row_length < 2:
            raise ValueError(f"row_length is {self.row_length}; it must be 2 or more")
        for name in ("n_warmup", "recompute_layers", "evaluate_every", "checkpoint_every", "align_every", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        for name in ("lr", "clip_threshold"):
            if not 0 < getattr(self, name) < math.inf:  # false for nan too
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number above 0")
        for name in ("weight_decay", "bias_speed", "z_weight", "checkpoint_minutes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number, 0 or more")
        for name in ("momentum", "held_out_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        self._check_mesh()

    def _check_mesh(self) -> None:
        sizes = self.mesh_sizes
        rows, n_left = divmod(self.rows_per_step, sizes.n_readers)
        if n_left:
            raise ValueError(
                f"rows_per_step is {self.rows_per_step}; it must be a multiple of the {sizes.n_readers} processes "
                f"that divide the rows with the mesh {self.mesh}"
            )
        # The stages agree on the shape of what they send; with fewer micro-batches, most of them would mostly wait.
        if sizes.pp > 1 and (rows % self.micro_batch_rows or rows < sizes.pp * self.micro_batch_rows):
            raise ValueError(
                f"the {rows} rows of a step that each pipeline of the mesh {self.mesh} reads must be {sizes.pp} or "
                f"more whole micro-batches, and micro_batch_rows is {self.micro_batch_rows}; change it or rows_per_step"
            )
        # torch's gradient scaler would let each process decide alone whether its gradients overflowed.
        if self.precision == "float16" and (sizes.ep > 1 or sizes.pp > 1):
            raise ValueError(
                f"precision is float16 and the mesh {self.mesh} divides the model; use bfloat16 or float32"
            )

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "mixture": self.mixture.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "RunOptions":
        """
        Raises:
            ValueError: the options are not those of a run, or of a later version.
        """
        if unknown := sorted(value.keys() - {option.name for option in fields(cls)}):
            raise ValueError(f"this version has no option {', '.join(unknown)}: a later one began the run; use that")
        return cls(**{**value, "mixture": Mixture.from_json(value["mixture"])})

    @property
    def mesh_sizes(self) -> MeshSizes:
        """A single process without a mesh; torchrun may then say how many there are."""
        return MeshSizes() if self.mesh is None else MeshSizes.parse(self.mesh)

    @property
    def texts(self) -> TextOptions:
        return TextOptions(with_originals=self.with_originals, source_by=self.source_by, split_by=self.split_by)
