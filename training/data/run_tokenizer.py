"""The tokenizer of a run: a copy in RUN/tokenizer, so that the run can be moved, resumed and opened from anywhere."""

import shutil
from pathlib import Path

from training.data.tokenizer import TextTokenizer
from training.parallel import Ranks

FOLDER = "tokenizer"


def tokenizer_of(run: Path, name: str) -> str:
    """The folder of the run's copy, or else `name`: runs of earlier versions have none."""
    return str(run / FOLDER) if (run / FOLDER).is_dir() else name


def keep_tokenizer(run: Path, tokenizer: TextTokenizer, ranks: Ranks) -> TextTokenizer:
    """Copy the tokenizer of a run that begins into its folder; returns the copy, with which it trains."""

    def copy() -> None:
        if Path(tokenizer.name).resolve() == (run / FOLDER).resolve():
            return
        unfinished = run / f".{FOLDER}"
        for folder in (unfinished, run / FOLDER):  # of a run that was killed before its first checkpoint
            shutil.rmtree(folder, ignore_errors=True)
        tokenizer.save(unfinished)
        unfinished.rename(run / FOLDER)

    ranks.on_writer(copy)
    return TextTokenizer(run / FOLDER)
