"""Which token would go on with a copied run: a plain function over token ids."""

from scripted import WordTokenizer

from rephrase.corpus.words import words_of
from rephrase.engines.copied_runs import CopiedRuns, lowered_positions

PASSAGE = [1, 2, 3, 4, 5, 6, 7]
ALL = range(len(PASSAGE))


def test_only_a_run_of_four_tokens_has_a_token_that_would_go_on_with_it():
    runs = CopiedRuns(PASSAGE, ALL)
    assert runs.continuing([9, 1, 2, 3, 4]) == [5]
    assert runs.continuing([1, 2, 3, 4, 5]) == [6]
    assert runs.continuing([2, 3, 4]) == []
    assert runs.continuing([1, 2, 9, 3, 4]) == []
    assert runs.continuing([4, 5, 6, 7]) == []  # the end of the passage
    assert runs.continuing([]) == []


def test_a_run_that_occurs_twice_has_both_tokens_unless_one_of_them_is_kept():
    twice = [1, 2, 3, 4, 5, 1, 2, 3, 4, 6, 1, 2, 3, 4, 5]
    assert CopiedRuns(twice, range(len(twice))).continuing([1, 2, 3, 4]) == [5, 6]
    assert CopiedRuns(twice, [4, 9]).continuing([1, 2, 3, 4]) == [6]  # 5 is kept at position 14
    assert CopiedRuns(PASSAGE, [5]).continuing([1, 2, 3, 4]) == []


def test_a_token_is_lowered_where_a_word_starts_in_it():
    text = "so it works. Then"
    starts = [0, 2, 5, 9, 11, 12]  # "so", " it", " wor", "ks", ".", " Then"
    assert lowered_positions(starts, [0, 3, 6, 13], len(text)) == [0, 1, 2, 5]
    assert lowered_positions(starts, [6], len(text)) == [2]
    assert lowered_positions(starts, [], len(text)) == []


def test_names_numbers_and_quotations_may_be_copied():
    text = 'The king of France said "let us go" to 300 men.'
    words = words_of(text)
    assert [word.text for word in words if word.kept] == ["France", "let", "us", "go", "300"]
    assert all(text[word.start :].startswith(word.text) for word in words)
    lowered = lowered_positions(
        WordTokenizer().token_starts(text), [word.start for word in words if not word.kept], len(text)
    )
    assert len(lowered) == 6  # The king of said to men
