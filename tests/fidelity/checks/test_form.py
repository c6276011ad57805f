"""Faults in the form of a rewrite are found, and what only looks like one is accepted."""

import pytest

from fidelity.checker import check_form
from fidelity.checks.form import copied_share, looped_share
from rephrase.records import Check, Completion, Requirements

SOURCE = (
    "Warsaw has been a multi-cultural city throughout its existence. In 1901 the census counted 711,988 inhabitants, "
    "of whom more than half were Catholics. Most places of worship were destroyed in the uprising of 1944."
)
FAITHFUL = "Many cultures always lived together in Warsaw: by the count of 1901 it had 711,988 people."


def reason(rewrite: str, finish_reason="stop", source=SOURCE):
    completion = Completion(text=rewrite, finish_reason=finish_reason, n_prompt_tokens=0, n_completion_tokens=0)
    return check_form(source, completion, Requirements(checks=(Check.NEW_WORDING,))).reason


@pytest.mark.parametrize(
    ("rewrite", "expected"),
    [
        (FAITHFUL, None),
        ("", "empty"),
        (" \n ... ", "empty"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("As an AI, I do not know the city.", "refusal"),
        ("Sure! Many cultures lived in Warsaw.", "preamble"),
        ("Here is a rewritten version of the passage:\n\n" + FAITHFUL, "preamble"),
        ("Here's the text in a more concise version: " + FAITHFUL, "preamble"),
        ("Rewritten passage: " + FAITHFUL, "preamble"),
        (FAITHFUL + "\n\nI hope this helps!", "postscript"),
        (FAITHFUL + "\n\nLet me know if you want it shorter.", "postscript"),
        (FAITHFUL + "\n\n(Note: this version keeps the numbers of the original.)", "postscript"),
        (FAITHFUL + " 许多文化一直在华沙共存。", "script_drift"),
        (FAITHFUL + "\n\n```\ncount = 711988", "markup_damage"),
        (FAITHFUL + " $$a + b", "markup_damage"),
        (FAITHFUL + " \\begin{equation} a = b.", "markup_damage"),
        (" ".join(f"{FAITHFUL} It is year {i}, and {i * 7} more came." for i in range(20)), "repetition"),
        (" ".join(f"w{i} x{i} y{i}" for i in range(120)) + ".", "too_long"),
        (FAITHFUL + "\n\nRewrite the passage as an encyclopedia article.", "prompt_echo"),
        ("The text is part of Warsaw. " + FAITHFUL, "prompt_echo"),
        ("Topic: Warsaw\n\n" + FAITHFUL, "prompt_echo"),
        ("Warsaw is a large and old city. " * 8, "repetition"),
        (SOURCE, "near_copy"),
        (SOURCE.replace("Warsaw has", "This city has"), "near_copy"),
        ("Many cultures always lived together in Warsaw, which by", "truncated"),
        ("Many cultures lived together in Warsaw.\nIn 1901 it had", "truncated"),
    ],
)
def test_each_fault_has_its_name(rewrite, expected):
    assert reason(rewrite) == expected


def test_a_closing_line_of_the_source_is_not_a_postscript():
    letter = f"{SOURCE}\n\nLet me know when you arrive."
    closing = "\n\nLet me know as soon as you are there."
    assert reason(FAITHFUL + closing, source=letter) is None
    assert reason(FAITHFUL + closing) == "postscript"


@pytest.mark.parametrize("finish_reason", ["length", "abort", "content_filter"])
def test_a_text_the_engine_stopped_is_truncated(finish_reason):
    assert reason(FAITHFUL, finish_reason) == "truncated"


@pytest.mark.parametrize(
    "rewrite",
    [
        "Great Britain fought Prussia for years, and in the end it won.",
        "Here the river bends. A new version of the bridge was built in 1901.",
        "Okay is a word that the whole world knows.",
        "This is where 711,988 people lived.",
        'He said: "I am here."',
        "The steps are:\n\n- first, count the people\n- then, publish the number",
        "The formula is $a + b$",
        "这座城市有711988人。",
        "১৯০১ সালে শহরে অনেক মানুষ ছিল।",
        "เมืองนี้มีผู้คนมากมาย",
        "| year | people |\n| 1901 | 711,988 |",
        "Many cultures lived there.\n\nLet us count: in 1901 there were 711,988 people.",
        "Warsaw (Варшава to the Russians) had 711,988 inhabitants in 1901, said the count.",
        "It costs $5 to see the census of 1901.",
        "The set \\[a, b\\] and the sum \\(\\left(a + b\\right)\\) hold.",
    ],
)
def test_good_text_is_not_rejected(rewrite):
    assert reason(rewrite) is None


def test_a_summary_of_a_tenth_is_accepted_and_of_a_hundredth_is_not():
    source = " ".join(f"In the year {1000 + i} the city had {i * 317} inhabitants." for i in range(40))
    assert (
        reason(
            "The city grew from nothing to some twelve thousand inhabitants in forty years, by steady steps over "
            "the whole time, without a single year in which their number would have fallen.",
            source=source,
        )
        is None
    )
    assert reason("The city grew.", source=source) == "too_short"


def test_markup_broken_in_the_source_may_be_broken_in_its_rewrite():
    assert reason(FAITHFUL + " \\begin{proof} It is so.", source=SOURCE + " \\begin{proof}") is None


def test_a_loop_in_the_source_is_not_a_fault():
    song = "Row, row, row your boat gently down the stream. " * 8
    assert reason(song.replace("gently", "softly").replace("Row", "Pull"), source=song) is None


def test_a_source_that_sounds_like_a_refusal_may_be_rewritten():
    source = "I cannot tell a lie, he said. I did cut it with my hatchet."
    assert reason("I cannot lie, said the boy, it was me who cut the tree.", source=source) is None


def test_copied_share_counts_sequences_of_eight_words():
    assert copied_share("a b c d e f g h i", "a b c d e f g h x") == 0.5
    assert copied_share("one two", "one two") == 1.0
    assert copied_share("一二三四五六七八九", "一二三四五六七八九") == 1.0
    assert copied_share("anything", "") == 0.0


def test_looped_share_counts_sequences_seen_before():
    assert looped_share("a b c d e f " * 2) == pytest.approx(1 / 7)
    assert looped_share("short") == 0.0
