"""Sources and rewrites side by side, as Markdown in which hostile text stays plain text.

Prefect's UI does not decode HTML entities and does not wrap tables, so each pair is a code block.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.results.display import visible
from rephrase.dataset.rows import Row, chunked_text
from rephrase.dataset.shards import part_name
from rephrase.storage.storage import Storage

N_CHARACTERS = 700
N_COLUMNS = 88  # that fit on the page
N_ROWS = 64  # read per part


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    heading: str
    style: str
    source: str
    rewrite: str


def find_samples(storage: Storage, commit: Row, found: Sequence[Sample], n: int) -> list[Sample]:
    """Extend `found` to at most `n` samples with the first accepted chunk of each new style in a committed part."""
    samples = list(found)
    path = f"rewrites/{part_name(commit['part'])}.parquet"
    if path not in commit["files"]:
        return samples
    columns = ["document_id", "title", "recipe", "style", "perspective", "text", "source_text", "chunks", "steps"]
    with storage.fs.open(storage.path(path), "rb") as file:
        batch = next(pq.ParquetFile(file).iter_batches(batch_size=N_ROWS, columns=columns), None)
    for row in batch.to_pylist() if batch else []:
        chunk = next((chunk for chunk in row["chunks"] or [] if chunk["accepted"]), None)
        if len(samples) == n or chunk is None or any(sample.style == row["style"] for sample in samples):
            continue
        written = f"{row['recipe']}: {row['style']}" + (f" for {row['perspective']}" if row["perspective"] else "")
        samples.append(
            Sample(
                heading=f"{row['title'] or row['document_id']} · {written}",
                style=row["style"],
                source=chunked_text(row)[chunk["start"] : chunk["end"]],
                rewrite=row["text"][chunk["text_start"] : chunk["text_end"]],
            )
        )
    return samples


def samples_markdown(samples: Sequence[Sample]) -> str:
    """One code block per sample: its heading, then source and rewrite in two columns."""
    return "\n\n".join(fenced(side_by_side(sample)) for sample in samples)


def side_by_side(sample: Sample) -> str:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(ratio=1)
    table.add_column(ratio=1)
    table.add_row("SOURCE", "REWRITE")
    table.add_row(Text(shorten(sample.source)), Text(shorten(sample.rewrite)))
    console = Console(width=N_COLUMNS, file=io.StringIO(), color_system=None, force_terminal=False)
    console.print(Text(sample.heading), "", table, sep="\n")
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def fenced(text: str) -> str:
    """A code block that the text cannot close: its fence is longer than any run of backticks in the text."""
    text = visible(text).replace("\r", "\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def shorten(text: str) -> str:
    text = text.strip()
    return text if len(text) <= N_CHARACTERS else text[:N_CHARACTERS].rstrip() + " …"
