"""The reader's data: it preserves the texts, and nothing in it can leave its script element."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

import flows.report.facts
from flows.report.facts import add_discrepancies
from flows.report.html import render
from flows.report.links import SharedWords, link
from flows.report.pairs import Pair
from flows.report.reader import item, script_json, segments, side
from flows.results.display import visible
from rephrase.records import Discrepancy

anything = st.text(st.characters(exclude_categories=()))


def pair(source: str | None, rewrite: str, discrepancies: tuple[Discrepancy, ...] = ()) -> Pair:
    return Pair(
        title="t",
        document_id="d",
        recipe="rephrase",
        style="lecture",
        perspective="",
        variant=0,
        chunk=0,
        n_chunks=1,
        stage="rewrite",
        reason=None,
        detail="",
        source=source,
        rewrite=rewrite,
        language="en",
        scores={"similarity": 0.9},
        details={},
        discrepancies=discrepancies,
    )


@given(st.recursive(anything, lambda inner: st.lists(inner) | st.dictionaries(anything, inner)))
def test_script_json_preserves_the_value_and_cannot_end_its_element(value):
    text = script_json(value)
    assert json.loads(text) == json.loads(json.dumps(value))
    assert "<" not in text
    assert "&" not in text
    text.encode()  # a lone surrogate would raise


@given(anything, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda span: tuple(sorted(span)))))
def test_joined_pieces_give_the_text(text, marks):
    spans = [(i, min(i + 3, len(text))) for i in range(0, len(text), 5)]
    pieces = side(text, spans, marks)
    assert "".join(part for _, parts in pieces for part, _ in parts) == text
    assert [number for number, _ in pieces if number is not None] == list(range(len(spans)))


def test_sentences_are_split_at_marks_even_where_they_overlap():
    found = segments("born 1584 in Kent", 0, 17, [(5, 9), (5, 12), None, (40, 50)])
    assert found == [("born ", []), ("1584", [0, 1]), (" in", [1]), (" Kent", [])]


def test_links_find_the_matching_sentence_and_flag_the_unsupported_one():
    source = "The bridge was built in 1452. The town grew rich from trade in salt. The winters there are long and cold."
    rewrite = "Trade in salt made the town rich and it grew. Purple dragons invented modern television yesterday."
    found = item(pair(source, rewrite), link([pair(source, rewrite)], None)[0])
    first, last, _, supported = found["support"][0]
    assert first <= 1 <= last
    assert supported
    assert not found["support"][1][3]
    assert link([pair(None, rewrite), pair(source, "")], None) == [None, None]


def test_shared_words_are_unit_vectors():
    vectors = SharedWords().encode(["salt and trade", "…", "trade"])
    assert abs(vectors[0] @ vectors[0] - 1) < 1e-5
    assert not vectors[1].any()
    assert vectors[0] @ vectors[2] > 0


def test_changed_facts_are_marked_on_both_sides():
    fact = Discrepancy(kind="number", problem="changed", source=(8, 12), rewrite=(3, 7), detail="1588, not 1584")
    found = item(pair("It was, 1584 then.", "In 1588 it was.", (fact,)), None)
    assert found["facts"] == [("number", "changed", "1588, not 1584")]
    assert ("1588", [0]) in found["rewrite"][0][1]
    assert ("1584", [0]) in found["source"][0][1]


def test_facts_that_take_for_ever_to_compare_are_left_out(monkeypatch):
    monkeypatch.setattr(flows.report.facts, "compare_facts", lambda *_, **__: re.match("(a+)+$", "a" * 60 + "b"))
    monkeypatch.setattr(flows.report.facts, "LIMIT_S", 0.2)
    assert add_discrepancies([pair("It was.", "It was.")], {})[0].discrepancies == ()


def test_invisible_and_bidirectional_characters_are_shown_by_code_point():
    assert visible("a\u202eb\x00c\ud800") == "aU+202EbU+0000cU+D800"
    assert visible("šč 中 🙂\n") == "šč 中 🙂\n"


def test_the_page_escapes_every_value():
    page = render(
        "base.html.j2", title="<img src=x onerror=alert(1)>", sections=[("a", "<b>")], command="x && <script>alert(1)"
    )
    assert "<img" not in page
    assert "<b>" not in page
    assert "<script>alert" not in page
