"""Benchmarks by EleutherAI's lm-evaluation-harness, for exported models and any other causal model of Hugging Face."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """One metric of one task, as the harness reports it; `error` is its standard error, None where it gives none."""

    task: str
    metric: str
    value: float
    error: float | None
    n_questions: int


def evaluate_tasks(
    model: str,
    tasks: Sequence[str],
    *,
    task_folder: str | None = None,
    n_examples: int | None = None,
    limit: int | None = None,
    batch_size: int = 16,
    device: str | None = None,
) -> list[TaskScore]:
    """
    Args:
        model: folder or hub id.
        tasks: names of the harness, or of the tasks in `task_folder`.
        task_folder: with task files (YAML) of your own, whose data may be local files.
        n_examples: answered questions before each question; by default what the task says.
        limit: questions of each task.

    Raises:
        ValueError: the harness is not installed, there is no such task or model, or the model is a training run.
    """
    if (Path(model.partition("@")[0]) / "run.json").is_file():
        raise ValueError(
            f"--tasks reads models in Hugging Face's format: `palimpsest export {model} FOLDER` writes one"
        )
    try:
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise ValueError(
            "lm-evaluation-harness is not installed: pip install 'palimpsest[evaluate]', or `make install` in a clone"
        ) from error
    import torch

    known = TaskManager(include_path=task_folder)
    if unknown := [name for name in tasks if not known.match_tasks([name])]:
        where = f" or in {task_folder}" if task_folder else ""
        raise ValueError(f"no task {', '.join(map(repr, unknown))} in the harness{where}; `lm_eval ls tasks` lists all")
    at = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        opened = HFLM(
            pretrained=model,
            device=at,
            batch_size=batch_size,
            dtype="bfloat16" if at.startswith("cuda") else "float32",
            trust_remote_code=False,
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"{model} is no causal language model of Hugging Face: {error}") from error
    found: Any = simple_evaluate(
        opened,
        tasks=list(tasks),
        num_fewshot=n_examples,
        limit=limit,
        task_manager=known,
        log_samples=False,
        bootstrap_iters=1000,
    )
    return [
        TaskScore(
            task=task,
            metric=metric if filter_ == "none" else f"{metric} ({filter_})",
            value=float(value),
            error=_number(scores.get(f"{metric}_stderr,{filter_}")),
            n_questions=found["n-samples"][task]["effective"],
        )
        for task, scores in found["results"].items()
        for name, value in scores.items()
        if isinstance(value, int | float) and "," in name and not (metric := name.split(",")[0]).endswith("_stderr")
        for filter_ in [name.split(",")[1]]
    ]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
