"""The progress of a run on the terminal: one live line, or plain lines outside a terminal."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from flows.results.display import ACCEPTED, TO_DO, duration
from rephrase.progress import Progress

REFRESH_S = 0.5
PLAIN_LINE_EVERY_S = 15.0


class ProgressLine:
    """Documents, acceptance, speed and time left, from the live counts of a run."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._first: tuple[float, int] | None = None

    @property
    def _of_target(self) -> str:
        return f"/{self._progress.target_tokens:,}" if self._progress.target_tokens else ""

    def new_notices(self) -> list[str]:
        notices, self._progress.notices = self._progress.notices, []
        return notices

    def text(self) -> str:
        p = self._progress
        now = time.monotonic()
        if phase := p.phase:
            return f"{phase[0]} … {now - phase[1]:.0f} s"
        # The clock starts with the first token, so that loading a model does not lower the speed.
        if self._first is None and p.n_completion_tokens:
            self._first = (now, p.n_bytes_done)
        n_chunks = p.n_chunks_accepted + p.n_chunks_rejected
        parts = [f"{p.n_records_done:,}/{p.n_records:,} documents"]
        if n_chunks:
            parts.append(f"{p.n_chunks_accepted:,}/{n_chunks:,} chunks accepted ({p.n_chunks_accepted / n_chunks:.0%})")
        if p.n_tokens:
            cost = f" for {p.cost:,.2f} ({1e6 * p.cost / p.n_tokens:,.2f}/M)" if p.cost else ""
            parts.append(f"{p.n_tokens:,}{self._of_target} tokens accepted{cost}")
        if self._first:
            seconds, n_bytes = now - self._first[0], p.n_bytes_done - self._first[1]
            if seconds > 1:
                parts.append(f"{p.n_completion_tokens / seconds:,.0f} tokens/s")
            if n_bytes > 0 and p.n_bytes > p.n_bytes_done:
                parts.append(f"{duration(seconds * (p.n_bytes - p.n_bytes_done) / n_bytes)} left")
        return " · ".join(parts)


@asynccontextmanager
async def show_progress(progress: Progress, console: Console) -> AsyncIterator[None]:
    """Show `progress` on the console for as long as the context is open."""
    line = ProgressLine(progress)
    show = _show_live if console.is_terminal else _show_plain
    task = asyncio.create_task(show(line, console))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _show_live(line: ProgressLine, console: Console) -> None:
    with Live(Text(line.text()), console=console, auto_refresh=False) as live:

        def show_notices() -> None:
            for notice in line.new_notices():
                live.console.print(f"notice: {notice}", style=TO_DO, markup=False, highlight=False)

        try:
            while True:
                show_notices()
                live.update(Text(line.text(), style=ACCEPTED), refresh=True)
                await asyncio.sleep(REFRESH_S)
        finally:
            show_notices()
            live.update(Text(line.text(), style=ACCEPTED), refresh=True)


async def _show_plain(line: ProgressLine, console: Console) -> None:
    def show_notices() -> None:
        for notice in line.new_notices():
            console.print(f"notice: {notice}", markup=False, highlight=False, soft_wrap=True)

    try:
        while True:
            show_notices()
            console.print(line.text(), highlight=False, soft_wrap=True)
            await asyncio.sleep(PLAIN_LINE_EVERY_S)
    finally:
        show_notices()
        console.print(line.text(), highlight=False, soft_wrap=True)
