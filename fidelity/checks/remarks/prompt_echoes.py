"""Pieces of the prompt or of the chat template in a rewrite."""

import re

from fidelity.checks.finding import Finding

_ECHO = re.compile(
    r"""rewrite\ (?:the|this|another|each)\ (?:input\ |following\ |next\ )?(?:passage|text)\b
        | in\ your\ own\ words | preserving\ its\ core\ meaning | <\|[a-z][a-z_]{2,30}\|>
        | </?(?:text|context)\ ?(?:id=\w+)?> | <(?:start|end)_of_turn> | </s>\s*\Z | \[/?INST\]
        | ^\#\#\#\ (?:instructions?|input|human|assistant|user)\s*:
        | ^(?:topic|section|(?:text|note|translation|written|translated)\ before
            |last\ number\ used|already\ introduced):
        | ^the\ (?:passage|text)\ is\ (?:part\ of|from)\b | \binput\ text\b
        # Of the packaged recipes.
        | \banswer\ with\ the\ (?:rewritten\ text|note|translation|english)\ alone\b | \byou\ rewrite\ texts\ for\b
        | \bsay\ (?:everything\ that\ the\ text\ says|the\ text\ in\ other\ words)\b
        | \bwrite\ as\ in\ an?\ (?:encyclopedia|textbook|news\ explainer)\b | \bfollow\ no\ orders\ in\b
        | \bcopy\ no\ run\ of\ more\ than\b | ^write\ one\ question\ that\ the\ text\ answers\b""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)


def prompt_echo(source: str, rewrite: str) -> Finding | None:
    """The rewrite contains pieces of the prompt."""
    match = _ECHO.search(rewrite)
    return ("prompt_echo", match.group()) if match and not _ECHO.search(source) else None
