"""Rewrites by real models, each read beside its source and labelled: the development set of the verdict.

`read_rewrites.jsonl` has the rewrites and labels; `docs/labelling.md` has the rules. Their sources are named by file,
row and characters, and read from the data folder.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from fidelity.fitting.labelled_sets import LabelledPair
from fidelity.fitting.written_pairs import referenced_texts

READ = "read_rewrites.jsonl"
DATASET = "real rewrites"


def rows_of_file() -> list[dict[str, Any]]:
    text = resources.files("fidelity.fitting").joinpath(READ).read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def read_rewrites(data: Path) -> list[LabelledPair]:
    """The labelled rewrites whose sources are in the data folder."""
    rows = rows_of_file()
    return [
        LabelledPair(
            dataset=DATASET,
            kind="math" if row["file"].startswith("math/math_500") else "knowledge",
            group=f"{row['file']}/{row['id']}",
            source=source,
            rewrite=row["rewrite"],
            faithful=bool(row["faithful"]),
            kept=row["kept"],
            fluent=bool(row["fluent"]),
            in_style=bool(row["style_fits"]),
            form=row["form"],
            error=row["why"],
        )
        for row, source in zip(rows, referenced_texts(data, rows), strict=True)
        if source is not None
    ]
