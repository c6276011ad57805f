"""Chunking is lossless, keeps to its budget and does not split protected spans."""

import re

import pytest
from cpu_time import ends_within
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import WordTokenizer

from rephrase.corpus.chunking import _heading_starts, chunk_document
from rephrase.corpus.protected import protected_spans
from rephrase.records import Document


class Words:
    """A tokenizer whose tokens are runs of word characters and single other characters that are not spaces."""

    def token_starts(self, text: str) -> list[int]:
        return [match.start() for match in re.finditer(r"\w+|[^\w\s]", text)]


class Bytes:
    """A tokenizer that may need several tokens for one character, as byte-level ones do."""

    def token_starts(self, text: str) -> list[int]:
        return [i for i, char in enumerate(text) for _ in char.encode("utf-8", "surrogatepass")]


def chunks_of(text: str, max_tokens: int, tokenizer=None, language: str | None = None) -> list[str]:
    document = Document(id="d", text=text, source="s", language=language)
    return [chunk.text for chunk in chunk_document(document, tokenizer or Words(), max_tokens)]


PIECES = st.sampled_from(
    [
        "# Title\n\n",
        "One two three. ",
        "\n\n",
        "$a + b$",
        "$$x\n= y$$",
        "```\ncode | x\n```\n",
        "| a | b |\n",
        "这是句子。",
        "Это предложение. ",
        "\\begin{align}a&=b\\end{align}",
        "\\[ x \\]",
        "a, b; ",
        "$5 and $6 ",
        "\r\n",
        "e\u0301",
        "👩‍👩‍👧",
    ]
)


@settings(max_examples=300)
@given(
    text=st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join)),
    max_tokens=st.integers(1, 40),
    tokenizer=st.sampled_from([Words(), Bytes()]),
)
def test_chunks_joined_are_the_document(text, max_tokens, tokenizer):
    document = Document(id="d", text=text, source="s")
    chunks = chunk_document(document, tokenizer, max_tokens)
    assert "".join(chunk.text for chunk in chunks) == text
    end = 0
    for index, chunk in enumerate(chunks):
        assert (chunk.index, chunk.start) == (index, end)
        assert chunk.text == text[chunk.start : chunk.end]
        assert chunk.text
        assert chunk.n_tokens == len(tokenizer.token_starts(chunk.text))
        assert chunk.n_tokens <= max_tokens or len(chunk.text) == 1
        end = chunk.end


@settings(max_examples=200)
@given(pieces=st.lists(PIECES, max_size=40), max_tokens=st.integers(8, 40))
def test_no_split_falls_inside_a_formula_code_or_table_row_that_fits(pieces, max_tokens):
    text = "".join(pieces)
    tokenizer = Words()
    cuts = {chunk.end for chunk in chunk_document(Document(id="d", text=text, source="s"), tokenizer, max_tokens)}
    for start, end in protected_spans(text):
        if len(tokenizer.token_starts(text[start:end])) <= max_tokens:
            assert not [cut for cut in cuts if start < cut < end]


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("a $x+y$ b", "$x+y$"),
        ("a $$x\n\n+y$$ b", "$$x\n\n+y$$"),
        (r"a \[x, y\] b", r"\[x, y\]"),
        (r"a \(x, y\) b", r"\(x, y\)"),
        (r"\begin{a}\begin{b}x\end{b}\end{a}", r"\begin{b}x\end{b}"),
        ("x\n```python\ny = '$'\n```\nz", "```python\ny = '$'\n```"),
        ("see `a | b` there", "`a | b`"),
        ("head\n| a | b |\ntail", "| a | b |"),
    ],
)
def test_protected_spans_cover(text, inside):
    assert inside in [text[start:end] for start, end in protected_spans(text)]


@pytest.mark.parametrize(
    "text",
    [
        "It cost $5 and then $10 more.",
        r"\begin{proof} never closed",
        r"escaped \$x and \$y",
        r"the walls \[sculptured and gilt\] of the palace ([\[link\]](#figure))",
    ],
)
def test_protected_spans_leave_prose_alone(text):
    assert protected_spans(text) == []


def test_headings_are_preferred_and_open_a_chunk():
    text = "# A\n\nOne two three four. Five six.\n\n# B\n\nSeven eight nine ten. Eleven."
    assert chunks_of(text, 10) == ["# A\n\nOne two three four. Five six.\n\n", "# B\n\nSeven eight nine ten. Eleven."]


def test_sentences_are_split_in_chinese_and_russian_too():
    assert chunks_of("这是第一句话。这是第二句话。", 2, language="zh") == ["这是第一句话。", "这是第二句话。"]
    russian = "Это первое предложение. Вот второе предложение."
    assert chunks_of(russian, 4, language="ru") == ["Это первое предложение. ", "Вот второе предложение."]


def test_an_abbreviation_does_not_end_a_sentence():
    assert chunks_of("We met Dr. Smith there. Then we left.", 7) == ["We met Dr. Smith there. ", "Then we left."]


def test_text_without_blank_line_or_full_stop_still_splits_into_even_chunks():
    sizes = [len(chunk.split()) for chunk in chunks_of("word " * 100, 30)]
    assert sizes == [25, 25, 25, 25]


def test_one_long_word_splits():
    assert [len(chunk) for chunk in chunks_of("x" * 100, 30, Bytes())] == [25, 25, 25, 25]


def test_a_formula_over_the_budget_is_split():
    assert max(len(chunk.split()) for chunk in chunks_of("$" + "a + " * 50 + "b$", 20)) <= 20


def test_an_empty_document_has_no_chunks():
    assert chunks_of("", 10) == []


def test_a_budget_of_zero_is_rejected():
    with pytest.raises(ValueError, match="not 0"):
        chunks_of("text", 0)


def test_a_line_break_with_space_is_not_the_start_of_a_formula():
    text = "\\\\[6ex] x\n\\[ a = b \\] and \\(c\\)"
    assert [text[start:end] for start, end in protected_spans(text)] == ["\\[ a = b \\]", "\\(c\\)"]


def test_unclosed_delimiters_cost_no_search_to_the_end():
    assert ends_within(5, lambda: protected_spans("\\[ x " * 60_000))  # it took a minute


def test_a_comment_in_code_is_no_boundary_of_headings():
    text = "# Head\n\n```python\n# a comment\nx = 1\n```\n\n# Next\n\ntext"
    assert [text[start:][:6] for start in _heading_starts(text)] == ["# Head", "# Next"]


def test_a_problem_is_not_cut_apart_from_its_solution():
    def problem(n: int, n_words: int) -> str:
        return f"Problem {n}. " + "Find x now. " * n_words + "\n\nSolution: It is so.\n\n"

    text = problem(1, 6) + problem(2, 8) + problem(3, 40)
    document = Document(id="d", text=text, source="s")
    chunks = chunk_document(document, WordTokenizer(), 16, "problem")
    assert [chunk.text for chunk in chunks[:2]] == [problem(1, 6), problem(2, 8)]
    assert len(chunks) > 3  # the third is too long
    assert "".join(chunk.text for chunk in chunks) == text


def test_a_short_document_is_one_problem():
    text = "How many are left? " * 6
    assert len(chunk_document(Document(id="d", text=text, source="s"), WordTokenizer(), 16, "problem")) == 1
