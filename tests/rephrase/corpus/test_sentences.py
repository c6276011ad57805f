"""Sentences end where the writers of a script end them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rephrase.corpus.sentences import sentence_spans


@pytest.mark.parametrize(
    ("text", "n_sentences"),
    [
        ("Dr. Smith went. He came.", 2),
        ("ዋርሶ ትልቅ ከተማ ናት። ብዙ ሰዎች አሏት። በጣም አሮጌ ናት።", 3),
        ("Վարշավան մեծ քաղաք է։ Այն հին է։", 2),
        ("ཝར་ས་གྲོང་ཁྱེར་ཆེན་པོ་ཡིན། །དེ་རྙིང་པ་ཡིན།", 2),
        ("彼は行った．彼女は来た．雨が降った。", 3),
        ("彼は行った｡彼女は来た｡", 2),
        ("他走了。他来了！他（真的）走了。", 3),
        ("वह गया। वह आया।", 2),
        ("وہ گیا۔ وہ آیا۔", 2),
        ("هل ذهب؟ نعم ذهب.", 2),
        ("ក្រុងធំ។ ក្រុងចាស់។", 2),
        ("မြို့ကြီး။ မြို့ဟောင်း။", 2),
    ],
)
def test_each_script_has_its_full_stop(text, n_sentences):
    assert len(list(sentence_spans(text))) == n_sentences


@given(st.text(alphabet="ab .\n།ཀ។ក。？", max_size=80))
def test_only_white_space_is_outside_all_sentences(text):
    end = 0
    for start, stop in sentence_spans(text):
        assert not text[end:start].strip()
        end = stop
    assert not text[end:].strip()
