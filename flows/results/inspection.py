"""The terminal view of a run: the summary, and rewrites beside their sources."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
from rich.columns import Columns
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.results.display import (
    ACCEPTED,
    COLOURS,
    REJECTED,
    SCORES,
    TO_DO,
    Outcome,
    cache_note,
    meaning,
    plain,
    visible,
)
from flows.results.diversity import measure_diversity
from flows.results.summary import Summary
from rephrase.dataset.rows import Row, chunked_text
from rephrase.dataset.schema import PROBABILITIES
from rephrase.dataset.shards import read_rejects, read_rewrites
from rephrase.prompting.routing import PASS_THROUGH
from rephrase.storage.storage import Storage

N_ROWS_SCANNED = 200
BAR_WIDTH = 72


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the summary: a name, a number, and a remark."""

    name: str
    value: str
    note: str = ""
    style: str | None = None


def summary_figures(summary: Summary) -> list[Figure]:
    """The summary of a run: each record is accepted, rejected, still to do or not selected."""
    to_continue = "run the same command again, with a larger --target-tokens or none" if summary.n_to_do else ""
    beyond = "beyond --limit" if summary.n_not_selected else ""
    figures = [
        Figure("records read", f"{summary.n_read:,}"),
        Figure("  accepted", f"{summary.n_accepted:,}", "enough of each was rewritten", ACCEPTED),
        Figure("  rejected", f"{summary.n_rejected:,}", "", REJECTED if summary.n_rejected else None),
        Figure("  to do", f"{summary.n_to_do:,}", to_continue, TO_DO if summary.n_to_do else None),
        Figure("  not selected", f"{summary.n_not_selected:,}", beyond),
    ]
    if summary.skipped_files:
        shown = ", ".join(summary.skipped_files[:3])
        figures.append(Figure("files skipped", f"{len(summary.skipped_files):,}", f"not read as documents: {shown}"))
    for route, count in summary.routes.items():
        how = "left as they are" if route == PASS_THROUGH else route.replace("+", " → ")
        figures.append(Figure("route", f"{count:,}", how))
    share = summary.n_chunks_accepted / summary.n_chunks if summary.n_chunks else 0.0
    figures += [
        Figure("chunks", f"{summary.n_chunks:,}"),
        Figure("  accepted", f"{summary.n_chunks_accepted:,}", f"{share:.0%}", ACCEPTED),
    ]
    for reason, count in summary.rejects_by_reason.items():
        figures.append(Figure("  rejected", f"{count:,}", f"{plain(reason)}: {meaning(reason)}", REJECTED))
    if summary.rewritten_share is not None:
        figures.append(
            Figure("source tokens", f"{summary.n_source_tokens:,}", f"{summary.rewritten_share:.0%} rewritten")
        )
    figures.append(Figure("accepted tokens", f"{summary.n_tokens:,}", f"in {summary.n_rewrites:,} rewrites"))
    if len(summary.usage) > 1:
        for recipe, usage in summary.usage.items():
            figures.append(Figure(f"  {recipe.replace('+', ' → ')}", f"{usage['n_tokens']:,}", _per_token(usage)))
    speed = f"{summary.tokens_per_s:,.0f} per second, including rejected attempts"
    figures += [
        Figure("generated tokens", f"{summary.n_completion_tokens:,}", speed),
        Figure(
            "prompt tokens",
            f"{summary.n_prompt_tokens:,}",
            cache_note(summary.n_cached_tokens, summary.n_prompt_tokens),
        ),
    ]
    if summary.idle_share is not None:
        figures.append(
            Figure("idle slots", f"{summary.idle_share:.0%}", "of the requests that the engine can take at once")
        )
    if summary.cost:
        per_million = f"{summary.cost_per_million_tokens:,.2f} per million accepted tokens"
        figures.append(Figure("cost", f"{summary.cost:,.2f}", per_million))
    if summary.n_engine_restarts:
        repeated = "after a crash; requests in flight were repeated"
        figures.append(Figure("engine restarts", f"{summary.n_engine_restarts:,}", repeated))
    folders = {"rewrites": summary.n_rewrites, "rejects": summary.n_rejects}
    files = " and ".join(f"{summary.output}/{folder}/*.parquet" for folder, n_rows in folders.items() if n_rows)
    figures.append(Figure("shards", f"{summary.n_parts_committed:,}", files))
    return figures


def print_summary(console: Console, summary: Summary) -> None:
    """Print the summary as a table with a bar; outside a terminal, as tab-separated name, number and remark."""
    figures = summary_figures(summary)
    if not console.is_terminal:
        print_plain(console, summary.output)
        for figure in figures:
            line = "\t".join((figure.name, figure.value, figure.note)).rstrip()
            print_plain(console, line)
        return
    table = Table(title=Text(summary.output), title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for figure in figures:
        table.add_row(figure.name, figure.value, Text(figure.note), style=figure.style)
    console.print(table)
    console.print(outcome_bar(summary, min(console.width, BAR_WIDTH)))


def outcome_bar(summary: Summary, width: int) -> Text:
    """The records as one bar in the colours of the report; every non-zero outcome is visible, however small."""
    counts = (summary.n_accepted, summary.n_rejected, summary.n_to_do, summary.n_not_selected)
    total = max(sum(counts), 1)
    bar = Text()
    for count, outcome in zip(counts, Outcome, strict=True):
        bar.append("━" * (max(1, round(width * count / total)) if count else 0), style=COLOURS[outcome].terminal)
    return bar


def _per_token(usage: Row) -> str:
    """The cost of the accepted tokens of one recipe."""
    if not usage["n_tokens"]:
        return "none accepted"
    took = f"{usage['n_completion_tokens'] / usage['n_tokens']:.1f} generated per accepted token"
    return f"{took}, cost {usage['cost']:,.2f}" if usage["cost"] else took


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A chunk beside its rewrite."""

    heading: str
    source: str
    rewrite: str
    scores: str
    style: str


def _how(row: Row) -> str:
    """The style, and the perspective if the recipe has any."""
    return f"{row['style']} for {row['perspective']}" if row["perspective"] else str(row["style"])


def accepted_examples(storage: Storage, n: int) -> list[Example]:
    """Accepted chunks beside their sources: for each style and perspective, the surest and least copied one."""
    best: dict[tuple[str, str], tuple[float, Row, Row]] = {}
    for row in islice(_rows(storage, read_rewrites), N_ROWS_SCANNED):
        for chunk in row["chunks"]:
            if chunk["accepted"]:
                scores = {score["name"]: score["value"] for score in chunk["scores"]}
                sure = scores.get("similarity", 0.0) if chunk["probability"] is None else chunk["probability"]
                merit = sure - 0.5 * scores.get("copied", 0.0)
                key = (row["style"], row["perspective"])
                if key not in best or merit > best[key][0]:
                    best[key] = (merit, row, chunk)
    return [
        Example(
            heading=f"{row['title'] or row['document_id']} · {row['recipe']}: {_how(row)}",
            source=chunked_text(row)[chunk["start"] : chunk["end"]],
            rewrite=row["text"][chunk["text_start"] : chunk["text_end"]],
            scores=_scores(chunk),
            style=ACCEPTED,
        )
        for _, row, chunk in sorted(best.values(), key=lambda found: -found[0])[:n]
    ]


def diversity_rows(storage: Storage) -> list[Row]:
    """For each recipe: do its rewrites share an opening, repeat each other, or copy their sources?"""
    return [
        {
            "recipe": found.recipe,
            "n_rewrites": found.n_rewrites,
            "commonest_opening": found.openings[0][0],
            "commonest_opening_share": found.openings[0][1],
            "distinct_3": found.distinct_3,
            "source_overlap": found.source_overlap,
            "variant_overlap": found.variant_overlap,
            "near_duplicate_variants": found.near_duplicates,
        }
        for found in measure_diversity(storage)
    ]


def print_diversity(console: Console, rows: list[Row]) -> None:
    names = (
        "recipe",
        "rewrites",
        "most common opening",
        "distinct 3-grams",
        "copied 8-grams",
        "3-grams shared by variants",
        "near-duplicate variants",
    )
    lines = [
        (
            row["recipe"],
            f"{row['n_rewrites']:,}",
            f"{row['commonest_opening_share']:.0%} {row['commonest_opening']!r}",
            f"{row['distinct_3']:.0%}",
            f"{row['source_overlap']:.0%}",
            "–" if row["variant_overlap"] is None else f"{row['variant_overlap']:.0%}",
            f"{row['near_duplicate_variants']:.0%}",
        )
        for row in rows
    ]
    if not console.is_terminal:
        for line in [names, *lines]:
            print_plain(console, "\t".join(line))
        return
    table = Table(*names, box=None)
    for line in lines:
        table.add_row(*map(Text, line))
    console.print(table)


def rejected_examples(storage: Storage, n: int) -> list[Example]:
    """Rejected chunks or records, one for each reason: if there is one, with a place that can be pointed at.

    Of several, that which came closest to being accepted: the others are plainer.
    """
    best: dict[str, tuple[tuple[bool, float], Row]] = {}
    for row in islice(_rows(storage, read_rejects), N_ROWS_SCANNED):
        is_marked = any(found["rewrite_start"] is not None for found in row["discrepancies"] or ())
        merit = is_marked, row["probability"] or 0.0
        if row["reason"] not in best or merit > best[row["reason"]][0]:
            best[row["reason"]] = merit, row
    chosen = sorted(best.items(), key=lambda found: found[1][0], reverse=True)[:n]
    return [
        Example(
            heading=f"{row['title'] or row['document_id']} · {plain(reason)}: {row['detail'] or meaning(reason)}",
            source=row["source_text"] or "(no document)",
            rewrite=row["text"] or "",
            scores=_scores(row),
            style=REJECTED,
        )
        for reason, (_, row) in chosen
    ]


def print_inspection(console: Console, storage: Storage, summary: Summary, n_examples: int) -> None:
    print_summary(console, summary)
    if rows := diversity_rows(storage):
        print_diversity(console, rows)
    for example in [*accepted_examples(storage, n_examples), *rejected_examples(storage, n_examples)]:
        print_example(console, example)


def print_example(console: Console, example: Example) -> None:
    """Print source and rewrite side by side; outside a terminal, one after the other."""
    heading, source, rewrite = map(visible, (example.heading, _shorten(example.source), _shorten(example.rewrite)))
    if not console.is_terminal:
        for line in ("", f"== {heading}", "-- source", source, "-- rewrite", rewrite, f"-- {example.scores}"):
            print_plain(console, line)
        return
    # Text, not markup: a document may contain [bold] or anything else.
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(ratio=1)
    table.add_column(ratio=1)
    table.add_row(Text("source", style="bold"), Text("rewrite", style=f"bold {example.style}"))
    table.add_row(Text(source), Text(rewrite))
    scores = Columns([Text(example.scores, style="dim")])
    console.print(Panel(Group(table, scores), title=Text(heading), title_align="left", border_style=example.style))


def print_plain(console: Console, line: str) -> None:
    """Print one line without markup, colour or wrapping."""
    console.file.write(f"{line}\n")


def example_rows(storage: Storage, n: int) -> dict[str, list[Row]]:
    """The contents of the table and the examples, for scripts."""
    return {
        "diversity": diversity_rows(storage),
        "rewrites": list(islice(_rows(storage, read_rewrites), n)),
        "rejects": list(islice(_rows(storage, read_rejects), n)),
    }


def _rows(storage: Storage, read: Callable[[Storage], Iterator[pa.Table]]) -> Iterator[Row]:
    for table in read(storage):
        for batch in table.to_batches(max_chunksize=64):
            yield from batch.to_pylist()


def _scores(row: Row) -> str:
    """The scores of a chunk or reject that are shown to people; the shards contain all of them."""
    known = {score["name"]: score["value"] for score in row["scores"] or []}
    known |= {name: row.get(name) for name, _ in PROBABILITIES}
    return " · ".join(f"{name} {known[name]:.2f}" for name in SCORES if known.get(name) is not None)


def _shorten(text: str, n_characters: int = 900) -> str:
    text = text.strip()
    return text if len(text) <= n_characters else text[:n_characters].rstrip() + " …"
