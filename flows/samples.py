"""Sources and rewrites side by side, as Markdown that shows hostile text as text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from rephrase.rows import Row
from rephrase.shards import part_name
from rephrase.storage import Storage

N_CHARACTERS = 700
N_ROWS = 64  # looked at in one part


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    heading: str
    style: str
    source: str
    rewrite: str


def find_samples(storage: Storage, commit: Row, found: Sequence[Sample], n: int) -> list[Sample]:
    """Up to `n` samples, those in `found` included: the first accepted chunk of each style in a committed part."""
    samples = list(found)
    path = f"rewrites/{part_name(commit['part'])}.parquet"
    if path not in commit["files"]:
        return samples
    columns = ["document_id", "title", "recipe", "style", "perspective", "text", "source_text", "chunks"]
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
                source=row["source_text"][chunk["start"] : chunk["end"]],
                rewrite=row["text"][chunk["text_start"] : chunk["text_end"]],
            )
        )
    return samples


def samples_markdown(samples: Sequence[Sample]) -> str:
    """A heading and a table of two columns for each sample."""
    return "\n\n".join(
        f"### {escape(sample.heading)}\n\n| source | rewrite |\n|---|---|\n"
        f"| {escape(shorten(sample.source))} | {escape(shorten(sample.rewrite))} |"
        for sample in samples
    )


def escape(text: str) -> str:
    """Text that Markdown and HTML show as it is, on one line.

    Every sign that could mean something becomes a numeric entity, which neither of them reads as anything but itself.
    """
    text = re.sub(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", text.strip())
    text = re.sub(r"[!-/:-@\[-`{-~]", lambda match: f"&#{ord(match[0])};", text)
    return re.sub(r"\s*\n\s*", "<br>", text)


def shorten(text: str) -> str:
    text = text.strip()
    return text if len(text) <= N_CHARACTERS else text[:N_CHARACTERS].rstrip() + " …"
