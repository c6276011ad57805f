"""The rounds of a cycle, for people: what styles were worth, how often they were drawn, and the held-out loss."""

from collections.abc import Sequence
from typing import Any

from rephrase.markdown import inline
from training.utility.line_chart import line_chart

Steps = dict[str, Any]


def decision_rows(done: Sequence[Steps]) -> list[dict[str, Any]]:
    """A row for each round and style, newest round first."""
    rows = []
    for number, steps in reversed([*enumerate(done, 1)]):
        decided = steps["decide"]
        for style in decided["styles"]:
            drawn = decided["drawn"].get(style["recipe"], {}).get(style["style"])
            rows.append(
                {
                    "round": number,
                    "recipe": style["recipe"],
                    "style": style["style"],
                    "share drawn": _share(drawn),
                    "tokens": style["n_tokens"],
                    "worth": _worth(style),
                    "next share": _share(style["share"]),
                }
            )
    return rows


def cycle_markdown(done: Sequence[Steps]) -> str:
    """A table of the rounds, and one of the styles for each."""
    lines = [
        "# What training decided",
        "",
        "Each round rewrites the corpus once more, in styles drawn by what their tokens were worth in the training of "
        "the round before, and trains a new model on the rewrites of all rounds so far, for the same number of steps.",
        "",
        "| round | variants | accepted | rewritten tokens | trained tokens | held-out loss | next variants |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for number, steps in enumerate(done, 1):
        rewritten, trained, decided = steps["rephrase"], steps["train"], steps["decide"]
        loss = "–" if decided["held_out_loss"] is None else f"{decided['held_out_loss']:.4f}"
        lines.append(
            f"| {number} | {rewritten['n_variants']} | {rewritten['n_accepted']:,} of {rewritten['n_read']:,} "
            f"| {rewritten['n_tokens']:,} | {trained['n_tokens']:,} | {loss} | {decided['n_variants'] or '–'} |"
        )
    lines += [
        "",
        "The held-out loss is in nats per token, of the originals if there are any. A worth is relative to the average "
        "token of the training run; ± is one standard error between runs.",
        "",
        "![Share of each style by round](shares.svg)",
    ]
    for number, steps in reversed([*enumerate(done, 1)]):
        lines += ["", f"## Round {number}", "", "| recipe | style | drawn | tokens | worth | next |"]
        lines.append("|---|---|---:|---:|---:|---:|")
        rows = [row for row in decision_rows(done) if row["round"] == number]
        lines += [
            f"| {inline(row['recipe'])} | {inline(row['style'])} | {row['share drawn']} | {row['tokens']:,} "
            f"| {row['worth']} | {row['next share']} |"
            for row in rows
        ]
        lines += ["", *(f"- {inline(line)}" for line in steps["decide"]["lines"])]
    return "\n".join(lines) + "\n"


def share_curves(done: Sequence[Steps]) -> str:
    """The share with which each style was drawn by round, and the one decided for the next round, as SVG."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for number, steps in enumerate(done, 1):
        for recipe, styles in steps["decide"]["drawn"].items():
            for style, share in styles.items():
                lines.setdefault(f"{recipe}/{style}", []).append((number, share))
    for style in done[-1]["decide"]["styles"]:
        lines.setdefault(f"{style['recipe']}/{style['style']}", []).append((len(done) + 1, style["share"]))
    ordered = dict(sorted(lines.items(), key=lambda item: -item[1][-1][1]))
    return line_chart("Share of each style", "round", "share of the rewrites", ordered)


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _worth(style: dict[str, Any]) -> str:
    return "not seen" if style["worth"] is None else f"{style['worth']:.2f} ± {style['error']:.2f}"
