"""The results file of a benchmark that goes on where it was: one line of JSON for each run, with the sizes it had."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_rows(path: Path, sizes: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of runs with these sizes; a last line that a kill cut off is left out."""
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if row["sizes"] == sizes:
            yield row
