"""Write the generated parts of docs/architecture.md (the tables of layers, the import rules) and its drawing.

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
DRAWING = ROOT / "docs" / "pictures" / "path-of-a-document.svg"

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
# What leaves this path or returns to it: from, to, what.
BRANCHES = [
    ("fidelity.checker", "rephrase.prompting.hints", "rejected"),
    ("rephrase.prompting.hints", "rephrase.prompting.context", "hint: the lost fact"),
    ("fidelity.checker", "rephrase.prompting.context", "accepted: end of the text so far"),
    ("rephrase.dataset.shards", "flows.report.writing", "rewrites and rejects"),
    ("training.utility.tracker", "flows.report.writing", "value of each stream"),
]
# Modules beside the path: the row each is drawn in.
BESIDE = {"rephrase.prompting.hints": "rephrase.engines.engine", "flows.report.writing": "training.loop.trainer"}

# A picture shown by an <img> sees no style of the page, so it brings its background along.
COLOURS = {"rephrase": "#dbe9f6", "fidelity": "#fbe3d2", "training": "#dff0dc", "flows": "#ece4f5"}
BOX_WIDTH, BOX_HEIGHT, ROW, LEFT, BESIDE_LEFT, WIDTH, TOP = 250, 30, 56, 230, 600, 870, 16


def page(text: str) -> str:
    """The page with its marked regions written again."""
    packages, layers, rules = contracts()
    regions = {
        "drawing": [f"![{alternative_text()}](pictures/{DRAWING.name})"],
        "tables": tables(packages, layers),
        "rules": rule_list(rules),
    }
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


def drawing() -> str:
    """The path of a document as SVG: one column, and beside it what leaves the column or returns to it."""
    packages, layers, _ = contracts()
    rows = {module: row for row, (module, _) in enumerate(STEPS)}
    places = {module: (LEFT, TOP + row * ROW) for module, row in rows.items()}
    places |= {module: (BESIDE_LEFT, TOP + rows[beside] * ROW) for module, beside in BESIDE.items()}
    height = TOP + len(STEPS) * ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="system-ui, sans-serif" font-size="12" fill="#222">',
        f"<title>{alternative_text()}</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fff"/>',
    ]
    for module, (x, y) in places.items():
        package, name = module.split(".")[:2]
        if not any(name in layer for layer in layers[package]):
            raise ValueError(f"{module} is in no layer of {package}")
        file_of(module)
        lines.append(
            f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5" fill="{COLOURS[package]}"'
            f' stroke="#777"/><text x="{x + BOX_WIDTH // 2}" y="{y + 19}" text-anchor="middle">{module}</text>'
        )
    centre = LEFT + BOX_WIDTH // 2
    for (module, label), _ in pairwise(STEPS):
        y = places[module][1] + BOX_HEIGHT
        lines += [arrow(f"M{centre} {y}V{y + ROW - BOX_HEIGHT}"), text(centre + 8, y + 17, label)]
    for start, end, label in BRANCHES:
        (x, y), (to_x, to_y) = places[start], places[end]
        middle, to_middle = y + BOX_HEIGHT // 2, to_y + BOX_HEIGHT // 2
        if x == to_x:  # back up the column, on its left
            lines += [
                arrow(f"M{x} {middle}H{x - 30}V{to_middle}H{to_x}"),
                text(x - 38, (middle + to_middle) // 2 + 4, label, "end"),
            ]
        elif x < to_x:
            below = middle > to_middle
            side = to_x + BOX_WIDTH // 2
            lines += [
                arrow(f"M{x + BOX_WIDTH} {middle}H{side}V{to_y + BOX_HEIGHT if below else to_y}"),
                text(x + BOX_WIDTH + 10, middle + (16 if below else -6), label),
            ]
        else:
            lines += [
                arrow(f"M{x + BOX_WIDTH // 2} {y}V{to_middle}H{to_x + BOX_WIDTH}"),
                text(to_x + BOX_WIDTH + 10, to_middle - 6, label),
            ]
    for row, package in enumerate(packages):
        y = TOP + row * 22
        lines.append(
            f'<rect x="{BESIDE_LEFT}" y="{y}" width="14" height="14" fill="{COLOURS[package]}" stroke="#777"/>'
        )
        lines.append(text(BESIDE_LEFT + 22, y + 11, package))
    return "\n".join([*lines, "</svg>", ""])


def arrow(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#tip)"/>'


def text(x: int, y: int, content: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="#444">{content}</text>'


def alternative_text() -> str:
    return "The path of a document: " + " → ".join(module for module, _ in STEPS)


def rule_list(rules: list[str]) -> Iterator[str]:
    yield from (f"- {rule}." for rule in rules)


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
    DRAWING.write_text(drawing(), "utf-8")
    PATH.write_text(page(PATH.read_text("utf-8")), "utf-8")
