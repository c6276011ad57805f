"""Renders a template to one self-contained page: style and script are inline, and nothing else may run or load.

The page's content security policy allows its one script and one style sheet by hash, so even a text that became markup
through a bug could not run.
"""

import base64
import hashlib
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from flows.results.display import COLOURS, INK, PAPER, Outcome, visible

_NAMES = {
    Outcome.ACCEPTED: "accepted",
    Outcome.REJECTED: "rejected",
    Outcome.TO_DO: "todo",
    Outcome.NOT_SELECTED: "not-selected",
}


def css_class(outcome: Outcome) -> str:
    return _NAMES[outcome]


def render(template: str, **values: Any) -> str:
    """The page; every value is escaped unless it is Markup."""
    environment = Environment(
        loader=PackageLoader("flows.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    page = resources.files("flows.report.page")
    style = palette() + page.joinpath("report.css").read_text("utf-8")
    script = page.joinpath("report.js").read_text("utf-8")
    return environment.get_template(template).render(
        style=Markup(style),
        style_hash=_hash(style),
        script=Markup(script),
        script_hash=_hash(script),
        made_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **values,
    )


def palette() -> str:
    """The colours shared by terminal and report as CSS, for light and dark themes."""
    light, dark = _variables("light"), _variables("dark")
    return (
        f":root {{ color-scheme: light; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ color-scheme: dark; {dark} }} }}\n"
        f":root[data-theme=dark] {{ color-scheme: dark; {dark} }}\n"
    )


def _variables(shade: str) -> str:
    def mix(colour: str, share: int) -> str:
        return f"color-mix(in srgb, {colour} {share}%, var(--paper))"

    colours = {_NAMES[outcome]: getattr(shades, shade) for outcome, shades in COLOURS.items()}
    variables = {
        "paper": getattr(PAPER, shade),
        "ink": getattr(INK, shade),
        **colours,
        **{f"{name}-fill": mix(colour, 88) for name, colour in colours.items()},
        "muted": mix("var(--ink)", 68),
        "line": mix("var(--ink)", 12),
        "line-strong": mix("var(--ink)", 34),
        "plain": mix("var(--ink)", 45),
        "card": "#fffdf9" if shade == "light" else "#221f1d",
        "hover": mix("var(--ink)", 6),
        "unsupported": mix(colours["todo"], 14),
        "wrong": mix(colours["rejected"], 20),
        "lit": mix(colours["accepted"], 26),
        "chosen": mix(colours["accepted"], 12),
    }
    return " ".join(f"--{name}: {value};" for name, value in variables.items())


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
