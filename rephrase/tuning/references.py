"""The documents of the data folder, by the names under which written rewrites refer to them."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def referenced_documents(data: Path, files: Iterable[str]) -> dict[tuple[str, str], str]:
    """The text of each row of these files, by file and row; files that are missing are left out."""
    found: dict[tuple[str, str], str] = {}
    for file in dict.fromkeys(files):
        path = data / f"{file}.jsonl"
        if path.is_file():
            with path.open(encoding="utf-8") as lines:
                found |= {(file, row): text for row, text in _texts(file, map(json.loads, filter(str.strip, lines)))}
    return found


def _texts(file: str, rows: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(rows):
        if "paragraphs" in row:
            for i, paragraph in enumerate(row["paragraphs"]):
                yield f"{row['title']}#{i}", paragraph["context"]
        elif "context" in row:
            yield str(row["i"]), row["context"]
        elif "gsm8k" in file:
            yield str(number), row["question"]
        elif "solution" in row:
            yield str(row["idx"]), f"Problem: {row['problem']}\n\nSolution: {row['solution']}"
        elif "text" in row:
            yield str(row.get("id", row.get("path"))), row["text"]
        else:  # pairs, by their number
            yield str(number), row["source"]
