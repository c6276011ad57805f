"""Files with options, for `--config`."""

import json
import tomllib
from pathlib import Path
from typing import Any

from rephrase.storage.filesystem import read_settings


def read_config(path: Path) -> dict[str, Any]:
    """
    Raises:
        ValueError: the file is neither TOML nor JSON, or holds no names and values.
        OSError: it cannot be read.
    """
    text = read_settings(str(path))
    try:
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--config {path}: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"--config {path} holds a {type(values).__name__}, not an object with options")
    return values
