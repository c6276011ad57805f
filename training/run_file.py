"""The options of a training run as one file, for `--config`; `RUN/config.json` starts the same run again.

Its names are the fields of `RunOptions` and those of what the run reads: `shards` and `documents`, which are lists, and
`text_field`. The mixture is written out, or named as a file.
"""

from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from rephrase.storage.config_file import read_config
from training.loop.run_options import RunOptions


def read_run_file(path: Path) -> dict[str, Any]:
    """The values of a file by their names, not all of which need to be there.

    Raises:
        ValueError: it is neither TOML nor JSON, or a name or a value is none of a run's.
        OSError: it cannot be read.
    """
    types = get_type_hints(RunOptions)
    types |= {"shards": list[str], "documents": list[str], "text_field": str, "mixture": dict[str, Any] | str}
    values = read_config(path)
    if unknown := sorted(set(values) - set(types)):
        raise ValueError(
            f"--config {path}: there is no option {', '.join(unknown)}; the options are {', '.join(types)}"
        )
    return {name: _checked(value, types[name], f"--config {path}: {name}") for name, value in values.items()}


def _checked(value: Any, kind: Any, name: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise ValueError(f"{name} is {value!r}: {error.errors()[0]['msg']}") from error
