"""A chart of a run's attention logits."""

from pathlib import Path

from training.loop.telemetry import read_metrics
from training.utility.line_chart import line_chart


def max_logit_curves(run: Path, threshold: float | None = None) -> str:
    """The largest unclamped attention logit of each head over a run's steps, with QK-Clip's threshold."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in read_metrics(run, "train"):
        for layer, heads in enumerate(row["max_logits"]):
            for head, logit in enumerate(heads):
                lines.setdefault(f"layer {layer}, head {head}", []).append((row["step"], logit))
    return line_chart("Largest attention logit of each head", "step", "logit", lines, threshold)
