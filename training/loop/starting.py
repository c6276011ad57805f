"""Where a run begins other than at random weights: at a checkpoint of another run, or with a Hugging Face model.

A run that begins at a checkpoint counts its steps on from there and may have any other options: a lower learning rate,
more steps, other data. It takes over weights, optimizer state and gates. It goes on reading where the other run stopped
if it reads the same data in the same order, and otherwise begins them anew.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.run_tokenizer import tokenizer_of
from training.loop.checkpoint import Checkpoints
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.published import load_published


@dataclass(frozen=True, slots=True)
class RunStart:
    """A checkpoint of another run."""

    run: Path
    step: int

    def __str__(self) -> str:
        return f"{self.run}@{self.step}"

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.run / "checkpoints")

    @property
    def options(self) -> dict[str, Any]:
        """The options of that run, as in its `run.json`."""
        return dict(json.loads((self.run / "run.json").read_text()))

    @property
    def tokenizer(self) -> str:
        return tokenizer_of(self.run, str(self.options["tokenizer"]))


@dataclass(frozen=True, slots=True)
class HuggingFaceStart:
    """A folder with a model of DeepSeek-V3's family. transformers is imported only here: it takes seconds."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def tokenizer(self) -> str:
        return str(self.folder)

    def config(self) -> ModelConfig:
        """
        Raises:
            ValueError: the model is of another family, or uses a feature that our decoder lacks.
        """
        from training.huggingface import from_hf_config, read_hf_config

        return from_hf_config(read_hf_config(self.folder))

    def load_into(self, model: Decoder) -> None:
        """Read the weights, of any precision, in that of the model.

        Raises:
            ValueError: the folder does not hold the weights of this model as safetensors.
        """
        load_published(model, self.folder)


Start = RunStart | HuggingFaceStart


def split_step(value: str) -> tuple[str, int | None]:
    """`RUN@step` as the folder and the step; None where none is named."""
    match = re.fullmatch(r"(.+)@(\d+)", value)
    return (match[1], int(match[2])) if match else (value, None)


def find_start(value: str) -> Start:
    """`RUN@step`, `RUN` for its newest whole checkpoint, or a Hugging Face folder.

    Raises:
        ValueError: it is none of these, or has no such checkpoint.
    """
    name, step = split_step(value)
    folder = Path(name)
    if (folder / "run.json").is_file():
        checkpoints = Checkpoints(folder / "checkpoints")
        steps = checkpoints.steps()
        newest = checkpoints.newest_whole() if step is None else step
        if newest is None or newest not in steps:
            have = f"it has {', '.join(map(str, steps))}" if steps else "it has none"
            raise ValueError(
                f"{folder} has no whole checkpoint{f' of step {step}' if step is not None else ''}; {have}"
            )
        return RunStart(folder, newest)
    if step is None and (folder / "config.json").is_file():
        return HuggingFaceStart(folder)
    raise ValueError(f"{value} is neither a training run (no run.json) nor a Hugging Face folder (no config.json)")
