"""The configuration of a training run: what the form in Prefect's UI asks for."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from rephrase.models.resolve import PACKAGED_MODEL, resolve_model
from rephrase.settings import Settings

if TYPE_CHECKING:
    from training.loop.run import RunOptions


class TrainConfig(Settings):
    """What `palimpsest train` takes as options."""

    # Loading torch to show a form would take ten seconds: the choices stand here too, and a test compares them.
    n_steps: int = Field(500, ge=1, description="Optimizer steps.")
    preset: Literal["nano", "micro", "mini", "deepseek_v3", "kimi_k2"] = Field(
        "nano", description="Shape of the model; nano trains in minutes on two cores. `palimpsest presets` lists them."
    )
    tokenizer: str = Field(PACKAGED_MODEL, description="Hub id or folder of the tokenizer.")
    mixture: str | None = Field(
        None,
        description="JSON file of shares and caps, such as the mixture.json of a run; by default all tokens count.",
    )
    with_originals: bool = Field(True, description="Train on the original documents as well as on the rewrites.")
    held_out_share: float = Field(0.01, gt=0, lt=1, description="Share of the documents that is kept for evaluation.")
    row_length: int | None = Field(
        None, ge=16, description="Tokens of a packed row; by default the preset's context length."
    )
    rows_per_step: int = Field(8, ge=1, description="Rows of one optimizer step.")
    micro_batch_rows: int = Field(4, ge=1, description="Rows of one forward pass; fewer need less memory.")
    lr: float = Field(2e-3, gt=0, description="Peak learning rate.")
    schedule: Literal["constant", "cosine", "wsd", "k2"] = Field("wsd", description="Of the learning rate.")
    n_warmup: int = Field(20, ge=0, description="Warm-up steps.")
    weight_decay: float = Field(0.1, ge=0, description="Decoupled weight decay.")
    clip_threshold: float = Field(100.0, gt=0, description="QK-Clip's τ: attention logits stay below it.")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Of the products; auto: bfloat16 where the hardware has units for it, else float32."
    )
    seed: int = Field(0, ge=0, description="Of the weights and of the order of documents.")
    evaluate_every: int = Field(0, ge=0, description="Steps between evaluations; 0: at the end only.")
    checkpoint_every: int = Field(0, ge=0, description="Steps between checkpoints; 0: at the end only.")
    align_every: int = Field(32, ge=0, description="Steps between measurements of gradient alignment; 0: none.")

    def options(self) -> "RunOptions":
        """The options of the training stage, with the tokenizer found.

        Raises:
            ValueError, OSError: the tokenizer or the mixture cannot be found or read.
        """
        from training.data.mixture import Mixture
        from training.loop.run import RunOptions

        values = self.model_dump()
        values["tokenizer"] = resolve_model(self.tokenizer)
        values["mixture"] = Mixture.from_json(json.loads(Path(self.mixture).read_text())) if self.mixture else Mixture()
        return RunOptions(**values)
