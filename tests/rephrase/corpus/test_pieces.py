"""Pieces cover a chunk without loss; only prose is rewritten."""

from hypothesis import given
from hypothesis import strategies as st
from scripted import WordTokenizer

from rephrase.corpus.pieces import cut_pieces, join_pieces
from rephrase.records import Chunk

TEXT = """# The war in the north

It began in the spring of 1775. It ended in 1783, after a long siege. Peace then followed at last. Yes.

| a | b |
|---|---|
| 1 | 2 |

- The first point has many words in it.
- The second point has many words as well.

$$
a = b
$$

    short line
"""


def pieces_of(text: str, n_sentences: int = 1):
    chunk = Chunk(document_id="d", index=0, start=10, end=10 + len(text), text=text, n_tokens=1)
    return cut_pieces(chunk, n_sentences, WordTokenizer())


def test_prose_is_cut_and_the_rest_kept():
    pieces = pieces_of(TEXT)
    assert [piece.passage.text for piece in pieces if piece.prose] == [
        "It began in the spring of 1775.",
        "It ended in 1783, after a long siege.",
        "Peace then followed at last. Yes.",
        "- The first point has many words in it.",
        "- The second point has many words as well.",
    ]
    kept = [piece.passage.text for piece in pieces if not piece.prose]
    assert kept[0] == "# The war in the north"
    assert "| 1 | 2 |" in "".join(kept)
    assert any("a = b" in text for text in kept)


def test_groups_are_of_equal_size():
    three = "The first one has five words. The second one has five words. The third one has five words."
    assert len(pieces_of(three, 2)) == 2
    assert len(pieces_of(three, 3)) == 1


@given(st.lists(st.sampled_from([*TEXT.splitlines(keepends=True), "\n", " ", "a b c d e f g. "])).map("".join))
def test_nothing_is_lost(text):
    pieces = pieces_of(text)
    assert join_pieces(pieces, [piece.passage.text for piece in pieces]).split() == text.split()
    for piece in pieces:
        assert text[piece.passage.start - 10 : piece.passage.end - 10] == piece.passage.text


def test_a_text_of_several_lines_stands_on_lines_of_its_own():
    pieces = pieces_of("The first one has five words. The second one has five words.")
    assert join_pieces(pieces, ["Q: a?\nA: b.", "Q: c?\nA: d."]) == "Q: a?\nA: b.\nQ: c?\nA: d."
    assert join_pieces(pieces, ["One.", "Two."]) == "One. Two."
