import time

from flows.results.progress import ProgressLine
from rephrase.progress import Progress


def test_before_writing_the_line_says_what_is_done_and_for_how_long(monkeypatch):
    progress = Progress(n_records=8)
    line = ProgressLine(progress)
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress.begin("loading a/b")
    now += 12
    assert line.text() == "loading a/b … 12 s"
    progress.begin(None)
    assert line.text() == "0/8 documents"
