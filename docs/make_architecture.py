"""Write the generated parts of docs/architecture.md: the drawing, the tables of layers, the import rules.

The layers come from the import-linter contracts in pyproject.toml, their descriptions from the docstrings of the
modules, so the page cannot contradict either.

python docs/make_architecture.py
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent
PATH = ROOT / "docs" / "architecture.md"

# The modules that a document passes through, in order, each with what it hands to the next.
STEPS = [
    ("rephrase.dataset.plan", "parts"),
    ("rephrase.dataset.part_reader", "position in a file"),
    ("rephrase.corpus.reading", "document"),
    ("rephrase.corpus.language", "document and its language"),
    ("rephrase.prompting.routing", "route: recipes"),
    ("rephrase.prompting.recipes", "variants: style, perspective"),
    ("rephrase.corpus.chunking", "chain of chunks"),
    ("rephrase.scheduling.scheduler", "scheduling slot"),
    ("rephrase.rewriting", "chunk"),
    ("rephrase.prompting.context", "prompt"),
    ("rephrase.engines.engine", "completion"),
    ("fidelity.checker", "verdict"),
    ("rephrase.dataset.journal", "finished variant"),
    ("rephrase.dataset.shards", "committed parts"),
    ("training.data.loader", "packed rows"),
    ("training.loop.trainer", "loss of each token"),
    ("training.utility.tracker", ""),
]
# What leaves this path: from, to, what.
BRANCHES = [
    ("fidelity.checker", "rephrase.prompting.hints", "rejected: the fact that was lost"),
    ("rephrase.prompting.hints", "rephrase.prompting.context", "hint for the next attempt"),
    ("fidelity.checker", "rephrase.prompting.context", "accepted: end of the rewrite"),
    ("rephrase.dataset.shards", "flows.report.writing", "rewrites and rejects"),
    ("training.utility.tracker", "flows.report.writing", "value of each stream"),
]


def page(text: str) -> str:
    """The page with its marked regions written again."""
    packages, layers, rules = contracts()
    regions = {"drawing": drawing(packages, layers), "tables": tables(packages, layers), "rules": rule_list(rules)}
    for name, lines in regions.items():
        body = "\n".join(lines)
        text, n_found = re.subn(
            rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)",
            lambda found, body=body: f"{found[1]}\n{body}\n\n{found[2]}",
            text,
            flags=re.DOTALL,
        )
        if n_found != 1:
            raise ValueError(f"docs/architecture.md needs one region marked {name!r}, it has {n_found}")
    return text


def contracts() -> tuple[list[str], dict[str, list[list[str]]], list[str]]:
    """The packages and the layers of each, highest first, and the names of the other contracts."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages: list[str] = []
    layers: dict[str, list[list[str]]] = {}
    rules = []
    for contract in project["tool"]["importlinter"]["contracts"]:
        ordered = [layer.replace(" ", "").split("|") for layer in contract.get("layers", [])]
        match contract:
            case {"type": "layers", "containers": [package]} if "." not in package:
                layers[package] = ordered
            case {"type": "layers"} if "containers" not in contract:
                packages = [name for layer in ordered for name in layer]
                rules.append(contract["name"])
            case _:
                rules.append(contract["name"])
    return packages, layers, rules


def tables(packages: list[str], layers: dict[str, list[list[str]]]) -> Iterator[str]:
    for package in packages:
        yield from (f"### {package}", "", summary(package), "", "| layer | contains |", "|---|---|")
        for layer in layers[package]:
            for name in layer:
                module = f"{package}.{name}"
                folder = "/" if file_of(module).name == "__init__.py" else ".py"
                yield f"| `{name}{folder}` | {summary(module)} |"
        if package != packages[-1]:
            yield ""


def drawing(packages: list[str], layers: dict[str, list[list[str]]]) -> Iterator[str]:
    edges = [(start, end, label) for (start, label), (end, _) in pairwise(STEPS)] + BRANCHES
    shown = list(dict.fromkeys(module for start, end, _ in edges for module in (start, end)))
    for module in shown:
        package, name = module.split(".")[:2]
        if not any(name in layer for layer in layers[package]):
            raise ValueError(f"{module} is in no layer of {package}")
        file_of(module)
    yield from ("```mermaid", "flowchart TD")
    for package in packages:
        yield f"    subgraph {package}"
        yield from (f'        {node(one)}["{one.partition(".")[2]}"]' for one in shown if one.startswith(f"{package}."))
        yield "    end"
    yield from (f'    {node(start)} -->|"{label}"| {node(end)}' for start, end, label in edges)
    yield "```"


def rule_list(rules: list[str]) -> Iterator[str]:
    yield from (f"- {rule}." for rule in rules)


def node(module: str) -> str:
    return module.replace(".", "_")


def summary(module: str) -> str:
    """The first paragraph of the module's docstring."""
    docstring = ast.get_docstring(ast.parse(file_of(module).read_text("utf-8"))) or ""
    if not docstring:
        raise ValueError(f"{module} has no docstring")
    return docstring.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def file_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.exists():
            return file
    raise ValueError(f"there is no module {module}")


if __name__ == "__main__":
    PATH.write_text(page(PATH.read_text("utf-8")), "utf-8")
