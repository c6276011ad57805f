"""Opens the reader. What only names it does not import torch, which takes seconds."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fidelity.reader.reader import Reader


def open_reader() -> "Reader":
    """The shipped reader.

    Raises:
        ValueError: the packaged encoder is not installed.
    """
    from fidelity.reader.reader import Reader

    return Reader()
