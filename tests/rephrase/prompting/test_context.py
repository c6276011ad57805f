"""The context carried from chunk to chunk."""

import pytest
from scripted import WordTokenizer

from rephrase.prompting.context import abbreviations, make_context, outline, table_header, tail
from rephrase.records import Chunk


@pytest.mark.parametrize(
    ("text", "max_tokens", "expected"),
    [
        ("One two. Three four.", 10, "One two. Three four."),
        ("One two. Three four.", 4, "Three four."),
        ("One two three four five.", 3, "four five."),
        ("One two.", 0, ""),
        ("", 5, ""),
    ],
)
def test_the_tail_is_cut_at_a_sentence(text, max_tokens, expected):
    assert tail(text, WordTokenizer(), max_tokens) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("no heading", []),
        ("# A\n\ntext\n\n## B\n\ntext", ["A", "B"]),
        ("# A\n## B\n### C\n## D\ntext", ["A", "D"]),
        ("# A\n# B ##\n", ["B"]),
        ("\\section{Sets}\ntext\n\\subsection*{Pairs}\ntext", ["Sets", "Pairs"]),
        ("#hashtag is no heading", []),
    ],
)
def test_the_outline_has_the_headings_in_force(text, expected):
    assert outline(text) == expected


def test_abbreviations_are_found_with_their_words():
    text = "A mixture of experts (MoE) routes tokens. The United Nations (UN) met (in May). See (ABC)."
    assert abbreviations(text) == ["mixture of experts (MoE)", "United Nations (UN)"]


def test_the_context_is_what_the_prompt_does_not_contain_otherwise():
    source = "# Head\n\nSatz eins. Satz zwei."
    chunk = Chunk(document_id="d", index=1, start=19, end=len(source), text=source[19:], n_tokens=3)
    written = "A mixture of experts (MoE) routes. " + "Filler words stand here. " * 10 + "\n\n1. First.\n2. Second."
    glossary = {"Satz": "theorem", "Gruppe": "group"}
    context = make_context(source, chunk, written, glossary, WordTokenizer(), 12)
    assert context.written.endswith("2. Second.")
    assert len(WordTokenizer().token_starts(context.written)) <= 12
    assert context.outline == ("Head",)
    assert context.abbreviations == ("mixture of experts (MoE)",)
    assert context.last_number == 2
    assert context.glossary == {"Satz": "theorem"}


@pytest.mark.parametrize(
    "code",
    [
        "```python\n# a comment\nx = 1\n```",
        "~~~~\n# a comment\n```\n# another\n~~~~~",
        "  ```\n# a comment\n  ```",
        "\\begin{lstlisting}\n# a comment\n\\end{lstlisting}",
        "<pre>\n# a comment\n</pre>",
    ],
)
def test_a_comment_in_code_is_no_heading(code):
    assert outline(f"# Head\n\n{code}\n\ntext") == ["Head"]
    assert outline(f"# Head\n\n{code}\n\n## Section\n\ntext") == ["Head", "Section"]


def test_a_block_of_code_that_is_not_closed_ends_with_the_text_and_inline_code_is_none():
    assert outline("# Head\n\n```\n# a comment\n") == ["Head"]
    assert outline("```inline``` code\n\n# Head\n") == ["Head"]


TABLE = "| Name | Year |\n|:---|---:|\n" + "".join(f"| town {i} | {1800 + i} |\n" for i in range(9))


def test_the_rows_of_a_long_table_keep_its_header():
    text = f"# Towns\n\nBefore | after.\n\n{TABLE}\nAfter.\n"
    row = text.index("| town 5")
    chunk = Chunk(document_id="d", index=1, start=row, end=len(text), text=text[row:], n_tokens=9)
    context = make_context(text, chunk, "", {}, WordTokenizer(), 48)
    assert context.outline == ("Towns", "Name | Year")
    for start in (0, text.index("| Name"), text.index("After.")):
        assert table_header(text, start) == []


def test_tables_without_outer_bars_have_a_header_and_a_rule_is_no_table():
    text = "a | b\n--|--\n1 | 2\n3 | 4\n"
    assert table_header(text, text.index("3 | 4")) == ["a | b"]
    assert table_header("a\n---\nb\nc | d\n", 8) == []
