"""A translation that was translated back is compared with its source in the source's own language."""

import pytest

from fidelity.checks.back_translation import BackReview, chrf, number_differences
from rephrase.records import Chunk, Completion, Requirements, Verdict

SOURCE = "Elf Kinder haben sich am Freitag angemeldet, nachdem alle ein Eis bekamen. Wie viele sind es?"
ACCEPTED = Verdict(accepted=True, probability=0.9, scores={"similarity": 0.9})


def review(back, *, min_chrf=0.3, finish_reason="stop", source=SOURCE):
    checked = BackReview()
    verdict = checked(
        Chunk(document_id="d", index=0, start=0, end=len(source), text=source, n_tokens=20),
        Completion(text=back, finish_reason=finish_reason, n_prompt_tokens=1, n_completion_tokens=1),
        "de",
        Requirements(checks=(), min_chrf=min_chrf),
        ACCEPTED,
    )
    return verdict, checked


def test_chrf_is_that_of_sacrebleu():
    reference = pytest.importorskip("sacrebleu").CHRF()
    texts = [SOURCE, "Am Freitag meldeten sich elf Kinder an.", "十一个孩子报名了。", "ab", "a", "Nichts davon."]
    for source in texts:
        for back in texts:
            assert chrf(source, back) == pytest.approx(reference.sentence_score(back, [source]).score / 100)
    assert chrf(SOURCE, f" {SOURCE}\n") == 1.0
    assert chrf(SOURCE, "") == 0.0


def test_a_number_taken_for_a_word_is_missing_in_what_comes_back():
    back = "Elfen haben sich am Freitag angemeldet, nachdem 2 Kinder ein Eis bekamen. Wie viele sind es?"
    assert number_differences(SOURCE, back, "de") == ["Elf", "2"]
    assert number_differences(SOURCE, "Wie viele sind es, wenn 11 Kinder ein Eis bekamen?", "de") == []
    assert number_differences("它有三万人。", "它有30000人。", "zh") == []
    verdict, _ = review(back)
    assert (verdict.accepted, verdict.reason) == (False, "back_translation")
    assert verdict.detail == f"translated back, Elf is on one side only: {back}"
    assert verdict.scores["back_numbers"] == 2
    assert (verdict.probability, verdict.scores["similarity"]) == (0.9, 0.9)


def test_too_little_in_common_rejects_and_a_round_trip_in_other_words_does_not():
    far = "Die Wälder bedecken elf Teile der Berge und Seen in unserem schönen Land."
    near = "Elf Kinder meldeten sich am Freitag an, nachdem alle ein Eis bekommen hatten. Wie viele sind das?"
    verdict, _ = review(far)
    assert (verdict.accepted, verdict.reason) == (False, "back_translation")
    assert verdict.detail.startswith("translated back, chrF 0.1")
    assert review(far, min_chrf=0.0)[0].accepted
    verdict, checked = review(near)
    assert verdict.accepted
    assert 0.4 < verdict.scores["back_chrf"] < 1
    assert checked.notices() == []


@pytest.mark.parametrize("back", ["", "Eleven children signed up on Friday after all of them had ice cream."])
def test_nothing_follows_from_a_text_that_did_not_come_back(back):
    verdict, checked = review(back)
    assert verdict.accepted
    assert verdict.scores == {"similarity": 0.9, "back_unread": 1.0}
    assert checked.notices() == [
        "1 of 1 translations were not translated back into their language and are not compared"
    ]


def test_formulas_are_no_part_of_the_comparison():
    source = r"Es gilt $x^2 + y^2 = z^2 + \frac{1}{2}$ für elf Zahlen."
    verdict, _ = review("Es gilt für elf Zahlen.", source=source)
    assert verdict.accepted
    assert verdict.scores["back_chrf"] > 0.9
