"""Write docs/reference.md from the code: the commands, the parameters of the flows, the columns of the shards.

python docs/make_reference.py
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import typer.main
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from fidelity.checker import FidelityConfig
from flows.cli.app import app
from flows.config import RayConfig, RephraseConfig
from flows.verification.config import VerifyConfig
from rephrase.dataset.schema import REJECTS, REWRITES
from rephrase.engines.opening import EngineConfig
from training.launching.ray_config import RayTrainConfig
from training.train_config import TrainConfig

PATH = Path(__file__).with_name("reference.md")


def reference() -> str:
    lines = ["# Reference", "", "Written by `python docs/make_reference.py`; change the code, not this page.", ""]
    lines += ["## Commands", ""]
    for name, command in sorted(typer.main.get_command(app).commands.items()):
        lines += list(command_lines(name, command))
    lines += ["## Parameters of the flows", "", "The forms in Prefect's UI, and the fields of `serve --config`.", ""]
    for model in (RephraseConfig, EngineConfig, FidelityConfig, RayConfig, VerifyConfig, TrainConfig, RayTrainConfig):
        lines += list(model_lines(model))
    lines += ["## Columns", ""]
    for name, schema in (("rewrites", REWRITES), ("rejects", REJECTS)):
        lines += [f"### {name}/*.parquet", "", "| column | type |", "|---|---|"]
        lines += [f"| `{field.name}` | {cell(type_name(field.type))} |" for field in schema] + [""]
    return "\n".join(lines).rstrip() + "\n"


def command_lines(name: str, command: Any) -> Iterator[str]:
    summary = (command.help or command.short_help or "").split("\n\n")[0].replace("\n", " ")
    yield from (f"### palimpsest {name}", "", summary, "")
    if hasattr(command, "commands"):
        for inner, found in sorted(command.commands.items()):
            yield from command_lines(f"{name} {inner}", found)
        return
    rows = [parameter for parameter in command.params if "--help" not in parameter.opts]
    if not rows:
        yield from (f"`palimpsest {name} --help` lists its options.", "")
        return
    yield from ("| | default | |", "|---|---|---|")
    for parameter in rows:
        shown = parameter.opts[0] if parameter.param_type_name == "option" else str(parameter.name).upper()
        default = "" if parameter.default in (None, (), False) or callable(parameter.default) else parameter.default
        told = getattr(parameter, "help", "") or ""
        yield f"| `{shown}` | {cell(str(getattr(default, 'value', default)))} | {cell(told)} |"
    yield ""


def model_lines(model: type[BaseModel]) -> Iterator[str]:
    yield from (f"### {model.__name__}", "", (model.__doc__ or "").split("\n\n")[0].replace("\n    ", " "), "")
    yield from ("| field | default | |", "|---|---|---|")
    for name, field in model.model_fields.items():
        default = "required" if field.default is PydanticUndefined else field.default
        default = "see below" if isinstance(default, BaseModel) else getattr(default, "value", default)
        yield f"| `{name}` | {cell(str(default))} | {cell(field.description or '')} |"
    yield ""


def type_name(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {type_name(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(f"{field.name}: {type_name(field.type)}" for field in kind) + "}"
    return str(kind)


def cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|").strip()


if __name__ == "__main__":
    PATH.write_text(reference(), "utf-8")
