"""The code of drawings is found whole and stays as it stands."""

import pytest
from cpu_time import ends_within

from rephrase.corpus.protected import drawing_spans, formula_spans, with_drawings, without_protected

ASY = '[asy]\nA=(0.3,1.5);\nlabel("$A$",A);\n[/asy]'
TIKZ = r"\begin{tikzpicture}\node {$B$};\end{tikzpicture}"


@pytest.mark.parametrize("drawing", [ASY, TIKZ, TIKZ.replace("tikzpicture", "picture*")])
def test_a_drawing_is_one_span_without_formulas(drawing):
    text = f"What is $x$?\n\n{drawing}\n\nIt is $y$."
    ((start, end),) = drawing_spans(text)
    assert text[start:end] == drawing
    assert [text[slice(*span)] for span in formula_spans(text)] == ["$x$", "$y$"]
    assert "label" not in without_protected(text)


def test_a_rewrite_keeps_the_drawings_of_its_source():
    source = f"One {ASY} two {TIKZ} three {ASY}"
    assert with_drawings("A note.", source) == f"A note.\n\n{ASY}\n\n{TIKZ}"
    assert with_drawings("A note.", "No drawing.") == "A note."


def test_a_drawing_in_the_middle_leaves_the_end_as_it_is():
    source = f"Betrachte das Dreieck.\n\n{ASY}\n\nWie groß ist es?"
    assert with_drawings("Look at it.\n\nHow large is it?", source) == f"Look at it.\n\n{ASY}\n\nHow large is it?"
    assert with_drawings("How large is it?", source) == f"{ASY}\n\nHow large is it?"


def test_a_changed_drawing_is_replaced():
    changed = ASY.replace("$A$", "$B$")
    assert with_drawings(f"Look: {changed} Here.", f"Sieh: {ASY} Hier.") == f"Look: {ASY} Here."
    assert with_drawings(f"{changed} and {changed}", f"{ASY} ja") == f"{ASY}\n\nand"


def test_formulas_within_a_drawing_are_not_formulas_of_the_text():
    text = r"Find $x$ in \begin{tikzpicture}\node {\(a\)};\end{tikzpicture}."
    assert [text[slice(*span)] for span in formula_spans(text)] == ["$x$"]


@pytest.mark.parametrize("opening", ["[asy] ", r"\begin{picture} "])
def test_drawings_that_are_never_closed_cost_little(opening):
    assert ends_within(5, lambda: drawing_spans(opening * 20_000))
