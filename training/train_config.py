"""The configuration of a training run: shown as a form in Prefect's UI."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from rephrase.models.resolve import PACKAGED_MODEL, resolve_model
from rephrase.settings import Settings
from training.launching.ray_config import RayTrainConfig

if TYPE_CHECKING:
    from training.launching.launch import Job
    from training.loop.run_options import RunOptions


# Where a run trains, which its folder does not keep.
NOT_PINNED = {"runner", "ray"}


class TrainConfig(Settings):
    """The options of `palimpsest train`."""

    # Importing torch to show a form would take ten seconds: the choices are repeated here, and a test compares them.
    n_steps: int = Field(500, ge=1, description="Optimizer steps.")
    preset: Literal["nano", "micro", "mini", "deepseek_v3", "kimi_k2"] = Field(
        "nano", description="Model shape; nano trains in minutes on two cores. `palimpsest presets` lists all."
    )
    tokenizer: str = Field(PACKAGED_MODEL, description="Hugging Face Hub id or folder of the tokenizer.")
    other_shards: tuple[str, ...] = Field((), description="Output folders of further rephrase runs to train on.")
    documents: tuple[str, ...] = Field(
        (), description="Raw corpora to train on as well: files, folders or globs, on any fsspec filesystem."
    )
    text_field: str = Field("text", description="Field of the raw corpora with the text.")
    source_by: str = Field("file", description="What is one source: file, folder, or the name of a metadata field.")
    split_by: str | None = Field(
        None,
        description="Metadata field: documents with the same value, such as translations of one text, are held out "
        "together.",
    )
    mixture: str | None = Field(
        None,
        description="JSON file of shares and caps, such as the mixture.json of a run; by default all tokens are used.",
    )
    with_originals: bool = Field(True, description="Train on the original documents as well as on the rewrites.")
    held_out_share: float = Field(
        0.01, ge=0, lt=1, description="Share of documents held out for evaluation, at least eight; 0: none."
    )
    row_length: int | None = Field(
        None, ge=16, description="Tokens per packed row; by default the model's context length."
    )
    rope_factor: float | None = Field(
        None,
        ge=1,
        description="Extend the context by YaRN to this many times the length that the model was first trained with.",
    )
    rows_per_step: int = Field(8, ge=1, description="Rows per optimizer step.")
    micro_batch_rows: int = Field(4, ge=1, description="Rows per forward pass; fewer need less memory.")
    recompute_layers: int = Field(
        0,
        ge=0,
        description="Number of first layers whose activations are recomputed in the backward pass, to save memory.",
    )
    lr: float = Field(2e-3, gt=0, description="Peak learning rate.")
    schedule: Literal["constant", "cosine", "wsd", "k2", "k3"] = Field("wsd", description="Learning-rate schedule.")
    n_warmup: int = Field(20, ge=0, description="Warm-up steps.")
    weight_decay: float = Field(0.1, ge=0, description="Decoupled weight decay.")
    clip_threshold: float = Field(
        100.0, gt=0, description="QK-Clip's τ: heads whose attention logits exceed it are scaled down."
    )
    split_heads: bool = Field(
        False, description="Orthogonalise the updates of queries, keys and values head by head (K3's per-head Muon)."
    )
    quantile_balancing: bool = Field(
        False, description="Balance experts by the quantile of their margins, as K3 does, in place of the sign step."
    )
    z_weight: float = Field(0.0, ge=0, description="Weight of the z-loss, which keeps output logits small; PaLM: 1e-4.")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Precision of matrix products; auto: bfloat16 if the hardware has units for it, else float32.",
    )
    on_spike: Literal["stop", "skip"] = Field(
        "stop", description="When the loss jumps: stop, or skip the step and list its documents in skipped.jsonl."
    )
    mesh: str | None = Field(
        None,
        description="How processes divide the work, such as dp=2,ep=2: pp by layers, dp by rows of a step, ep by rows "
        "and by experts; by default there is one process. A stopped run may resume with another mesh.",
    )
    shard: Literal["none", "optimizer", "weights"] = Field(
        "none",
        description="What the processes divide among them instead of each holding it in full: nothing, the optimizer "
        "state (ZeRO-1), or weights, gradients and optimizer state (ZeRO-3).",
    )
    runner: Literal["local", "ray"] = Field(
        "local", description="local: all processes on this machine; ray: on a Ray cluster."
    )
    ray: RayTrainConfig = Field(
        RayTrainConfig(), description="For the runner ray: the cluster, and the resources that one process takes."
    )
    start: str | None = Field(
        None,
        description="Begin at RUN[@step] of another training run or with the model of a Hugging Face folder, and by "
        "default with their tokenizer.",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Random seed of the weights and the document order.")
    evaluate_every: int = Field(0, ge=0, description="Steps between evaluations; 0: only at the end.")
    evaluate_questions: str | None = Field(
        None, description="File of closed-book questions to ask at each evaluation; JSON Lines or Parquet."
    )
    checkpoint_every: int = Field(0, ge=0, description="Steps between checkpoints; 0: only by time and at the end.")
    checkpoint_minutes: float = Field(15, ge=0, description="Minutes between checkpoints; 0: not by time.")
    wandb_project: str | None = Field(None, description="Weights & Biases project to log to as well.")
    align_every: int = Field(32, ge=0, description="Steps between measurements of gradient alignment; 0: none.")

    @model_validator(mode="after")
    def _options_for_ray_need_ray(self) -> "TrainConfig":
        if self.runner == "local" and self.ray != RayTrainConfig():
            raise ValueError("the options for Ray need the runner ray")
        return self

    @property
    def cluster(self) -> RayTrainConfig | None:
        """The Ray cluster to train on; None: this machine."""
        return self.ray if self.runner == "ray" else None

    def job(self, shards: str, run: str) -> "Job":
        """The run in the folder `run`, on the shards of a rephrase run and all that is named here.

        Raises:
            ValueError, OSError: as `options`.
        """
        from training.launching.launch import Job

        return Job(
            shards=(shards, *self.other_shards),
            run=Path(run),
            options=self.options(),
            documents=self.documents,
            text_field=self.text_field,
        )

    def options(self) -> "RunOptions":
        """The options of the training stage, with the tokenizer resolved.

        Raises:
            ValueError, OSError: the tokenizer or the mixture cannot be found or read.
        """
        from training.data.mixture import Mixture
        from training.loop.run_options import RunOptions
        from training.loop.starting import find_start

        values = self.model_dump(exclude={"other_shards", "documents", "text_field", *NOT_PINNED})
        is_default = self.tokenizer == PACKAGED_MODEL
        tokenizer = find_start(self.start).tokenizer if self.start and is_default else self.tokenizer
        values["tokenizer"] = resolve_model(tokenizer)
        values["mixture"] = Mixture.read(self.mixture)
        return RunOptions(**values)
