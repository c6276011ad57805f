"""Load the model of a training run, or export it for other programs."""

import json
from pathlib import Path

import torch

from training.data.tokenizer import TextTokenizer
from training.huggingface import export
from training.loop.checkpoint import Checkpoints
from training.loop.run import RunOptions
from training.model.decoder import Decoder
from training.model.presets import preset


def load_model(run: str | Path) -> tuple[Decoder, RunOptions]:
    """The model of a run's newest checkpoint, on the CPU.

    Raises:
        ValueError: the run has no checkpoint yet.
    """
    run = Path(run)
    options = RunOptions.from_json(json.loads((run / "run.json").read_text()))
    checkpoints = Checkpoints(run / "checkpoints")
    if not checkpoints.steps():
        raise ValueError(f"{run} has no checkpoint yet")
    config = preset(options.preset, TextTokenizer(options.tokenizer).vocab_size)
    model = Decoder(config.replace(context_length=max(options.row_length or 0, config.context_length)))
    checkpoints.load(checkpoints.steps()[-1], {f"model.{name}": t for name, t in model.state_dict().items()})
    return model.eval(), options


def export_run(run: str | Path, folder: str | Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the newest checkpoint of a run as a folder that transformers, vLLM and SGLang load, with its tokenizer."""
    model, options = load_model(run)
    export(model, folder, options.tokenizer, dtype)
