"""The report of hostile documents in a real browser."""

import json

import pytest
from browser import open_browser, open_page
from synthetic_run import documents, write_run
from typer.testing import CliRunner

from flows.cli.app import app
from flows.results.summary import summarize
from rephrase.dataset.shards import read_rejects
from rephrase.storage.storage import Storage

HOSTILE = {
    "script": "<script>window.pwned = 1</script> A river stands. </script><img src=x onerror='pwned=2'>",
    "comment": "<!-- <script> A wall of the town is old and made of stone. --> The gate is made of old wood. ]]>",
    "formula": '=HYPERLINK("http://example.org","x") +cmd|calc @SUM(A1) The mill ground all of the grain that year.',
    "url": "javascript:window.pwned=3 The tower light was seen by many people. data:text/html,<b>x</b>",
    "signs": "The master \u202e wrote a song \u2066 about\u0000 winter in the house. People \u200b sang it.",
    "template": "{{ 7*7 }} {% raw %} The guild kept the books &lt;b&gt; of its trade & so on. ${window.pwned=4}",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A run of hostile and harmless documents, and its report written by the command."""
    folder = tmp_path_factory.mktemp("report")
    hostile = [
        {"id": f"<i>{name}</i>\u202e", "title": f"<b onclick=x>{name}</b>", "text": f"{text} " * 3}
        for name, text in HOSTILE.items()
    ]
    broken = [
        {"id": "surrogate", "text": "half \ud800 of it <script>window.pwned=5</script>"},
        {"id": "empty", "text": " "},
    ]
    write_run(folder / "out", [*hostile, *documents(40), *broken])
    path = folder / "deep" / "page.html"
    result = CliRunner().invoke(app, ["report", str(folder / "out"), "--out", str(path), "--no-links", "--json"])
    assert result.exit_code == 0, result.output
    return path, json.loads(result.stdout), Storage(folder / "out")


@pytest.fixture(scope="module")
def browser():
    with open_browser() as found:
        yield found


@pytest.fixture
def page(report, browser):
    """The page, opened from disk; it may request nothing else and must raise no error."""
    page = open_page(browser, viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    page.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: problems.append(request.url) if request.url != report[0].as_uri() else None)
    page.goto(report[0].as_uri())
    yield page
    assert problems == []
    assert page.evaluate("window.pwned") is None
    page.close()


def entries(page):
    return page.locator("#list button")


def test_hostile_documents_are_shown_as_text(page, report):
    assert page.locator("script").count() == 2  # the page's own, and its data
    for name, text in HOSTILE.items():
        page.fill("input[name=text]", f"<b onclick=x>{name}")
        assert entries(page).count() >= 2
        entries(page).first.click()
        shown = page.locator("#pair").inner_text()
        assert f"<b onclick=x>{name}</b>" in shown
        assert f"<i>{name}</i>U+202E" in shown
        first_word = text.split()[0]
        assert first_word in page.locator(".side.source").inner_text() + page.locator(".side.rewrite").inner_text()
    page.fill("input[name=text]", "onclick=x>signs")
    source = page.locator(".side.source").inner_text()
    assert "\u202e" not in source
    assert "U+202E" in source
    assert "U+0000" in source
    page.fill("input[name=text]", "half")
    assert "<script>window.pwned=5</script>" in page.locator("#pair").inner_text()
    assert page.locator("#pair script, #pair img, #pair a, #pair b[onclick], #list a, #list img").count() == 0


def test_filters_select_matching_pairs(page, report):
    _, written, storage = report
    rejects = [row for table in read_rejects(storage) for row in table.to_pylist()]
    assert entries(page).count() == written["n_shown"] == written["n_rows"]
    page.locator("label.rejected").click()
    assert entries(page).count() == len(rejects)
    assert "accepted" not in page.locator("#list").text_content()
    page.select_option("select[name=reason]", "truncated")
    assert entries(page).count() == sum(row["reason"] == "truncated" for row in rejects) > 0
    assert "the rewrite was cut off before its end" in page.locator("#pair .verdict").inner_text()
    page.get_by_role("button", name="clear").click()
    page.fill("input[name=low]", "0.9")
    wait_for_fewer(page, written["n_shown"])
    similar = page.locator(".entry-meta").all_text_contents()
    assert similar
    assert all(float(text.split(" · ")[-1]) >= 0.9 for text in similar)
    page.keyboard.press("Escape")
    page.locator("table.bars button[data-reason=repetition]").click()
    assert entries(page).count() == sum(row["reason"] == "repetition" for row in rejects) > 0
    page.fill("input[name=text]", "no such words anywhere")
    assert page.locator("#pair").inner_text() == "No pair matches these filters."


def wait_for_fewer(page, n):
    page.wait_for_function(f"document.querySelectorAll('#list button').length < {n}")


def test_it_opens_at_its_top_and_its_list_scrolls_alone(page):
    assert page.evaluate("scrollY") == 0
    for _ in range(30):
        page.keyboard.press("j")
    assert page.evaluate("scrollY") == 0
    assert page.evaluate("document.querySelector('#list').scrollTop") > 0


def test_a_pair_is_read_by_keyboard_sentence_by_sentence(page):
    page.keyboard.press("a")
    titles = page.locator(".entry-title").all_text_contents()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.locator("#list button[aria-current=true]").count() == 1
    assert page.locator("#pair h3").inner_text() == titles[1]
    page.fill("input[name=text]", "title 7")
    page.locator(".side.rewrite .sentence").first.focus()
    assert "Supported by sentence" in page.locator("#link").inner_text()
    lit = page.locator(".side.source .sentence.lit")
    assert lit.count() >= 1
    assert page.locator(".side.rewrite .sentence.chosen").count() == 1
    rewritten = set(page.locator(".side.rewrite .sentence").first.inner_text().lower().split())
    assert len(rewritten & set(" ".join(lit.all_inner_texts()).lower().split())) >= 4


def test_light_and_dark_small_and_large(page):
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    for width in (1280, 760, 390):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_figures_match_the_summary_of_the_run(page, report):
    _, written, storage = report
    run = summarize(storage)
    assert run.n_read == len(HOSTILE) + 42
    equation = f"48 records read = {run.n_accepted} accepted + {run.n_rejected} rejected + 0 to do + 0 not selected"
    assert page.locator("#summary .equation").inner_text() == equation
    assert f"{run.n_chunks_accepted:,} of {run.n_chunks:,}" in page.locator("#summary").inner_text()
    assert page.locator("#scores svg.chart").count() == 4  # copied, probability, similarity, length
    assert "accepted: ≥ 0.7" in page.locator("#scores").text_content()
    assert f"All {written['n_rows']} accepted chunks and rejects" in page.locator("#read .about").inner_text()
