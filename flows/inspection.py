"""Look at what a run wrote: the account, and rewrites beside their sources."""

from collections.abc import Callable, Iterator
from itertools import islice

import pyarrow as pa
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fidelity.diversity import distinct_n, template_collapse
from fidelity.form import copied_share
from flows.summary import Summary
from rephrase.routing import PASS_THROUGH
from rephrase.rows import Row
from rephrase.shards import read_rejects, read_rewrites
from rephrase.storage import Storage

ACCEPTED, REJECTED = "green", "red"
N_LOOKED_AT = 200
N_MEASURED = 10_000


def summary_table(summary: Summary) -> Table:
    """The account of a run: what came in is accepted, rejected, not yet done or not selected."""
    table = Table(title=summary.output, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("records read", f"{summary.n_read:,}", "")
    table.add_row("  accepted", f"{summary.n_accepted:,}", "at least one chunk of one variant", style=ACCEPTED)
    table.add_row("  rejected", f"{summary.n_rejected:,}", "")
    goes_on = "run the same command again, with a larger --target-tokens or none" if summary.n_to_do else ""
    table.add_row("  to do", f"{summary.n_to_do:,}", goes_on)
    table.add_row("  not selected", f"{summary.n_not_selected:,}", "beyond --limit" if summary.n_not_selected else "")
    if summary.skipped_files:
        shown = ", ".join(summary.skipped_files[:3])
        table.add_row("files skipped", f"{len(summary.skipped_files):,}", f"of a format that is not read: {shown}")
    for route, count in summary.routes.items():
        table.add_row("route", f"{count:,}", "left as they are" if route == PASS_THROUGH else route.replace("+", " → "))
    table.add_row("chunks", f"{summary.n_chunks:,}", "")
    share = summary.n_chunks_accepted / summary.n_chunks if summary.n_chunks else 0.0
    table.add_row("  accepted", f"{summary.n_chunks_accepted:,}", f"{share:.0%}", style=ACCEPTED)
    for reason, count in summary.rejects_by_reason.items():
        table.add_row("  rejected", f"{count:,}", reason, style=REJECTED)
    table.add_row("tokens accepted", f"{summary.n_tokens:,}", f"in {summary.n_rewrites:,} rewrites")
    if len(summary.usage) > 1:
        for recipe, usage in summary.usage.items():
            table.add_row(f"  {recipe.replace('+', ' → ')}", f"{usage['n_tokens']:,}", _per_token(usage))
    speed = f"{summary.tokens_per_s:,.0f} a second, refused tries included"
    table.add_row("tokens generated", f"{summary.n_completion_tokens:,}", speed)
    hits = summary.n_cached_tokens / summary.n_prompt_tokens if summary.n_prompt_tokens else 0.0
    table.add_row("tokens prompted", f"{summary.n_prompt_tokens:,}", f"{hits:.0%} from the engine's prefix cache")
    if summary.cost:
        table.add_row(
            "cost", f"{summary.cost:,.2f}", f"{summary.cost_per_million_tokens:,.2f} a million accepted tokens"
        )
    if summary.n_engine_restarts:
        table.add_row(
            "engine restarts", f"{summary.n_engine_restarts:,}", "it died; what it was working on was repeated"
        )
    table.add_row("shards", f"{summary.n_parts_committed:,}", f"{summary.output}/rewrites/*.parquet")
    return table


def _per_token(usage: Row) -> str:
    """What the accepted tokens of one recipe took."""
    if not usage["n_tokens"]:
        return "none accepted"
    took = f"{usage['n_completion_tokens'] / usage['n_tokens']:.1f} generated for each"
    return f"{took}, cost {usage['cost']:,.2f}" if usage["cost"] else took


def accepted_examples(storage: Storage, n: int) -> list[RenderableType]:
    """Accepted chunks beside their sources: for each way of writing, the one most new and close."""
    best: dict[tuple[str, str], tuple[float, Row, Row]] = {}
    for row in islice(_rows(storage, read_rewrites), N_LOOKED_AT):
        for chunk in row["chunks"]:
            if chunk["accepted"]:
                scores = {score["name"]: score["value"] for score in chunk["scores"]}
                merit = scores.get("similarity", 0.0) - scores.get("copied", 0.0)
                key = (row["style"], row["perspective"])
                if key not in best or merit > best[key][0]:
                    best[key] = (merit, row, chunk)
    panels = []
    for _, row, chunk in sorted(best.values(), key=lambda found: -found[0])[:n]:
        heading = f"{row['title'] or row['document_id']} · {row['recipe']}: {row['style']} for {row['perspective']}"
        source = row["source_text"][chunk["start"] : chunk["end"]]
        rewrite = row["text"][chunk["text_start"] : chunk["text_end"]]
        panels.append(_side_by_side(heading, source, rewrite, _scores(chunk["scores"]), ACCEPTED))
    return panels


def diversity_rows(storage: Storage) -> list[Row]:
    """For each recipe, over its first rewrites: do they all begin alike, repeat each other, or copy their sources?"""
    texts: dict[str, list[tuple[str, str]]] = {}
    for row in islice(_rows(storage, read_rewrites), N_MEASURED):
        texts.setdefault(row["recipe"] or "unchanged", []).append((row["text"], row["source_text"]))
    found = []
    for recipe, pairs in sorted(texts.items()):
        rewrites = [text for text, _ in pairs]
        share, opening = template_collapse(rewrites)
        found.append(
            {
                "recipe": recipe,
                "n_rewrites": len(pairs),
                "commonest_opening": opening,
                "commonest_opening_share": share,
                "distinct_3": distinct_n(rewrites, 3),
                "source_overlap": sum(copied_share(source, text) for text, source in pairs) / len(pairs),
            }
        )
    return found


def diversity_table(rows: list[Row]) -> Table:
    table = Table("recipe", "rewrites", "commonest opening", "distinct 3-grams", "copied 8-grams", box=None)
    for row in rows:
        opening = f"{row['commonest_opening_share']:.0%} {row['commonest_opening']!r}"
        shares = (f"{row[name]:.0%}" for name in ("distinct_3", "source_overlap"))
        table.add_row(row["recipe"], f"{row['n_rewrites']:,}", Text(opening), *shares)
    return table


def rejected_examples(storage: Storage, n: int) -> list[RenderableType]:
    """One rejected chunk or record for each of the first `n` reasons."""
    by_reason: dict[str, Row] = {}
    for row in _rows(storage, read_rejects):
        by_reason.setdefault(row["reason"], row)
        if len(by_reason) == n:
            break
    return [
        _side_by_side(
            f"{row['title'] or row['document_id']} · {reason}: {row['detail']}",
            row["source_text"] or "(no document)",
            row["text"],
            _scores(row["scores"] or []),
            REJECTED,
        )
        for reason, row in by_reason.items()
    ]


def print_inspection(console: Console, storage: Storage, summary: Summary, n_examples: int) -> None:
    console.print(summary_table(summary))
    if rows := diversity_rows(storage):
        console.print(diversity_table(rows))
    for panel in accepted_examples(storage, n_examples):
        console.print(panel)
    for panel in rejected_examples(storage, n_examples):
        console.print(panel)


def example_rows(storage: Storage, n: int) -> dict[str, list[Row]]:
    """What the table and the examples show, for scripts."""
    return {
        "diversity": diversity_rows(storage),
        "rewrites": list(islice(_rows(storage, read_rewrites), n)),
        "rejects": list(islice(_rows(storage, read_rejects), n)),
    }


def _rows(storage: Storage, read: Callable[[Storage], Iterator[pa.Table]]) -> Iterator[Row]:
    for table in read(storage):
        for batch in table.to_batches(max_chunksize=64):
            yield from batch.to_pylist()


def _scores(scores: list[Row]) -> str:
    return " · ".join(f"{score['name']} {score['value']:.2f}" for score in scores)


def _side_by_side(heading: str, source: str, rewrite: str, scores: str, style: str) -> RenderableType:
    # Text, not markup: a document may hold [bold] or anything else.
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(ratio=1)
    table.add_column(ratio=1)
    table.add_row(Text("source", style="bold"), Text("rewrite", style=f"bold {style}"))
    table.add_row(Text(_shorten(source)), Text(_shorten(rewrite)))
    return Panel(
        Group(table, Columns([Text(scores, style="dim")])), title=Text(heading), title_align="left", border_style=style
    )


def _shorten(text: str, n_characters: int = 900) -> str:
    text = text.strip()
    return text if len(text) <= n_characters else text[:n_characters].rstrip() + " …"
