"""What `inspect` and the end of a run print: coloured in a terminal, plain in a pipe, hostile text as text."""

import dataclasses
import io

import pytest
from rich.console import Console
from synthetic_run import documents, write_run

from flows.report.html import palette
from flows.results.display import COLOURS, INK, PAPER, REASONS, meaning, plain
from flows.results.inspection import print_inspection, rejected_examples, summary_figures
from flows.results.summary import summarize
from rephrase.dataset.shards import commit_part
from rephrase.storage.storage import Storage

HOSTILE = "[bold red]Not markup[/] \x1b[31m and no order to the terminal. The bridge of the old town stands. " * 4


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Storage:
    records = [{"id": "h", "title": "[link=x]t\x1b[0m", "text": HOSTILE}, *documents(20), {"id": "e", "text": ""}]
    return write_run(tmp_path_factory.mktemp("run") / "out", records)


def printed(run: Storage, terminal: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, color_system="truecolor", width=150)
    print_inspection(console, run, summarize(run), 50)
    return file.getvalue()


def test_a_pipe_gets_lines_with_tabs_and_nothing_but_text(run):
    text = printed(run, terminal=False)
    assert "\x1b" not in text
    assert "records read\t22\n" in text
    assert "  rejected\t1\tempty text: the text is empty, or nothing in it is visible\n" in text
    assert "[bold red]Not markup[/] U+001B[31m and no order" in text
    assert "== [link=x]tU+001B[0m" in text
    assert "idle slots\t25%\t" in text
    for figure in summary_figures(summarize(run)):
        assert figure.value in text


def test_the_files_that_a_run_has_written_are_named_and_no_others(run):
    rewrites, rejects = f"{run.url}/rewrites/*.parquet", f"{run.url}/rejects/*.parquet"
    summary = summarize(run)
    assert summary_figures(summary)[-1].note == f"{rewrites} and {rejects}"
    assert summary_figures(dataclasses.replace(summary, n_rewrites=0))[-1].note == rejects


def test_a_terminal_gets_the_colours_of_the_report(run):
    text = printed(run, terminal=True)
    css = palette()
    for outcome, shades in COLOURS.items():
        assert shades.light in css
        assert shades.dark in css
        if outcome in ("accepted", "rejected"):
            red, green, blue = bytes.fromhex(shades.terminal[1:])
            assert f"38;2;{red};{green};{blue}" in text
    assert "\x1b[31m and no order" not in text
    assert "[bold red]Not markup[/]" in text.replace("\n", "")


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2."""
    channels = [value / 255 for value in bytes.fromhex(colour[1:])]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("shade", ["light", "dark"])
def test_text_in_every_colour_is_legible_on_its_background(shade):
    for shades in [*COLOURS.values(), INK]:
        pair = sorted(luminance(getattr(s, shade)) for s in (shades, PAPER))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5


def test_reject_reasons_have_explanations():
    assert meaning("truncated") == REASONS["truncated"]
    assert meaning("a_reason_of_tomorrow") == "a reason of tomorrow" == plain("a_reason_of_tomorrow")


def test_of_several_rejects_the_one_is_shown_that_says_where_it_is_wrong(tmp_path):
    def reject(name, reason, probability, start):
        found = {"kind": "sentence", "problem": "unsupported", "rewrite_start": start, "rewrite_end": 9, "detail": ""}
        discrepancies = [found] if start is not None else []
        return {"document_id": name, "reason": reason, "probability": probability, "discrepancies": discrepancies}

    rejects = [
        reject("near, without a place", "unfaithful", 0.9, None),
        reject("far", "unfaithful", 0.1, 0),
        reject("near", "unfaithful", 0.5, 0),
        reject("unread", "bad_record", None, None),
    ]
    commit_part(Storage(tmp_path), 0, [], rejects, n_records=4)
    shown = [example.heading.partition(" · ")[0] for example in rejected_examples(Storage(tmp_path), 3)]
    assert shown == ["near", "unread"]
