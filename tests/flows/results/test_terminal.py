"""Nothing that a document, a file or a server is called takes effect on the terminal."""

import io
import json
import logging
import subprocess
import sys

import pytest
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flows.console import print_json
from flows.results.terminal import make_logs_visible, safe_console

ODD = "a\x1b[31m\x1b]0;title\x07b\u202ec\u2066d\x9b2Je\ufeff"


def test_control_and_bidirectional_characters_are_shown_and_not_sent():
    console = safe_console()
    console.file = io.StringIO()
    table = Table("name")
    table.add_row(ODD)
    for printed in (ODD, Text(ODD), table):
        console.print(printed, markup=False)
    shown = console.file.getvalue()
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\ufeff"} & {*shown}
    assert "U+001B[31m" in shown
    assert "bU+202EcU+2066dU+009B2JeU+FEFF" in shown


def test_colours_and_a_live_line_still_work():
    console = safe_console()
    console.file, console._force_terminal = io.StringIO(), True
    with Live(Text("one"), console=console, auto_refresh=False) as live:
        console.print("bold", style="bold")
        live.update(Text("two"), refresh=True)
    assert "\x1b[" in console.file.getvalue()
    assert "U+001B" not in console.file.getvalue()


def test_json_has_escapes_and_the_same_values(capsys):
    print_json({"name": ODD, "text": "ä 中 \n"})
    printed = capsys.readouterr().out
    assert "\u202e" not in printed
    assert "\x9b" not in printed
    assert "ä 中" in printed
    assert json.loads(printed)["name"] == ODD


@pytest.fixture
def visible_logs():
    before = logging.getLogRecordFactory()
    make_logs_visible()
    yield
    logging.setLogRecordFactory(before)


def test_a_log_line_and_its_traceback_are_safe(visible_logs):
    stream = io.StringIO()
    log = logging.Logger("safe")
    log.addHandler(logging.StreamHandler(stream))
    log.warning("the server says %s", ODD)
    try:
        raise ValueError(ODD)
    except ValueError:
        log.exception("it failed")
    shown = stream.getvalue()
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\ufeff"} & {*shown}
    assert shown.startswith("the server says aU+001B[31m")
    assert "Traceback (most recent call last):" in shown
    assert "ValueError: aU+001B[31m" in shown


def test_an_error_that_names_a_file_is_safe(tmp_path):
    code = "import sys; from flows.cli.app import main; sys.argv = ['palimpsest', 'inspect', sys.argv[1]]; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "no\u202e\x1b[31m")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "U+202E" in done.stderr or "\\u202e" in done.stderr
    assert "\x1b" not in done.stderr
    assert "\u202e" not in done.stderr
