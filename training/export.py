"""Load the model of a training run, or export it for other programs."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from training.data.run_tokenizer import tokenizer_of
from training.data.tokenizer import TextTokenizer
from training.huggingface import export
from training.loop.building import model_config
from training.loop.checkpoint import Checkpoints
from training.loop.run_options import RunOptions
from training.loop.starting import split_step
from training.model.decoder import Decoder


def load_model(run: str | Path, step: int | None = None) -> tuple[Decoder, RunOptions]:
    """The model of a run's newest checkpoint, or of the one of a step, on the CPU, and the options of the run.

    The tokenizer in the options is the copy that the run has.

    Raises:
        ValueError: it is no run, or has no checkpoint yet, or none of this step.
    """
    run = Path(run)
    if not (run / "run.json").is_file():
        raise ValueError(f"{run} is no training run: it has no run.json")
    options = RunOptions.from_json(json.loads((run / "run.json").read_text()))
    options = replace(options, tokenizer=tokenizer_of(run, options.tokenizer))
    config = model_config(run, options, TextTokenizer(options.tokenizer).vocab_size)
    model = Decoder(config.replace(context_length=max(options.row_length or 0, config.context_length)))
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    checkpoints = Checkpoints(run / "checkpoints")
    if step is not None and step not in checkpoints.steps():
        have = ", ".join(map(str, checkpoints.steps())) or "none"
        raise ValueError(f"{run} has no checkpoint of step {step}; it has {have}")
    if step is not None:
        checkpoints.load(step, tensors)
    elif checkpoints.load_newest(tensors) is None:
        raise ValueError(f"{run} has no checkpoint yet")
    return model.eval(), options


def export_run(run: str | Path, folder: str | Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write a model as a folder that transformers, vLLM and SGLang load, with its tokenizer.

    Args:
        run: `RUN` for its newest checkpoint, or `RUN@step`.

    Raises:
        ValueError: as `load_model`, or `folder` is that of a training run.
    """
    if (Path(folder) / "run.json").exists():
        raise ValueError(f"{folder} is a training run, whose config.json would be lost; export to another folder")
    model, options = load_model(*split_step(str(run)))
    export(model, folder, options.tokenizer, dtype)
