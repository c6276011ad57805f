"""Consoles and logs on which no control or bidirectional character of a document, file or server takes effect."""

import logging
import traceback
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.measure import Measurement
from rich.segment import Segment

from flows.results.display import visible


def safe_console(*, stderr: bool = False) -> Console:
    """A console that shows such characters as U+XXXX; its own colours and cursor movements are as usual."""
    console = Console(stderr=stderr)
    console.push_render_hook(_VisibleOnly())
    return console


class _VisibleOnly(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Visible(renderable) for renderable in renderables]


class _Visible:
    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        segments: Iterable[Segment] = console.render(self._renderable, options)
        for segment in segments:
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._renderable)


def make_logs_visible() -> None:
    """Show such characters as U+XXXX in all log messages and their tracebacks, whoever writes and formats them."""
    logging.setLogRecordFactory(_VisibleRecord)


class _VisibleRecord(logging.LogRecord):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if isinstance(self.exc_info, tuple) and self.exc_info[0]:
            # Formatters use it as it is.
            self.exc_text = visible("".join(traceback.format_exception(*self.exc_info))).rstrip("\n")

    def getMessage(self) -> str:  # noqa: N802  the name that logging has for it
        return visible(super().getMessage())
