"""Numbers in digits of any script, in words of many languages, and in translations."""

import pytest

from fidelity.facts.comparing.compare import compare_facts
from fidelity.facts.reading.notation.formats import readings
from fidelity.facts.reading.number_words import foreign_numbers


@pytest.mark.parametrize(
    ("language", "text", "values"),
    [
        ("de", "Sie isst drei Eier für 1.200,50 Euro und einundzwanzig für 2,5", [3, 1200.5, 21, 2.5]),
        ("fr", "quarante-cinq, vingt et un, 1 200 et deux mille", [45, 21, 1200, 2000]),
        ("es", "dos mil quinientos y mil doscientos", [2500, 1200]),
        ("ru", "двадцать один, трёх, три тысячи", [21, 3, 3000]),
        ("bn", "16টি, তিনটি ডিম, ২০", [16, 3, 20]),
        ("te", "మూడు, నాలుగింటితో, 16", [3, 4, 16]),
        ("th", "สามฟอง ๑๖ สองพันห้าร้อย", [3, 16, 2500]),
        ("zh", "16颗，三个，百分之二十，3万，一百二十五，1.2亿", [16, 3, 20, 30000, 125, 1.2e8]),
        ("ja", "三つ、1万、1/2", [3, 10000, 0.5]),
        ("sw", "mayai matatu, arobaini na tano, kumi na mbili", [3, 45, 12]),
        ("tr", "yirmibir elma, üç yüz", [21, 300]),
        ("xx", "42 ٢٥", [42, 25]),
        ("de", "2.000 und 12,50 und 1'000'000 und 299 792 458", [2000, 12.5, 1e6, 299792458]),
        (
            "de",
            "zweitausenddreihundert, einundzwanzigtausend, 5 bis 10 Millionen, 2 Mrd.",
            [2300, 21000, 5e6, 1e7, 2e9],
        ),
        ("de", "10²³, 6,02 × 10^23, ¾, 1/16, 5½", [1e23, 6.02e23, 0.75, 1 / 16, 5.5]),
        ("es", "2.000 y 12,50; 2 mil millones", [2000, 12.5, 2e9]),
        ("es", "1,234,567 y 2,000 y 12.50", [1234567, 2000, 12.5]),
        ("it", "duemila e tremilacinquecento", [2000, 3500]),
        ("hi", "20 करोड़ 12,34,567", [2e8, 1234567]),
        ("zh", "零下39度，-39℃，10²³，5到10万", [-39, -39, 1e23, 50000, 100000]),
        ("ja", "２０００円、マイナス39度", [2000, -39]),
        ("fr", "moins 39 degrés, 2 milliards", [-39, 2e9]),
        ("ru", "39 градусов ниже нуля", [-39]),
    ],
)
def test_values(language, text, values):
    assert [number.value for number in foreign_numbers(text, language)] == pytest.approx(values)


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("1.200", (1200, 1.2)),
        ("1,5", (1.5,)),
        ("1.200,50", (1200.5,)),
        ("1,00,000", (100000,)),
        ("1 200", (1200,)),
        ("0,125", (0.125,)),
    ],
)
def test_an_ambiguous_number_keeps_both_readings(written, values):
    assert readings(written) == values


GERMAN = "Anna kauft drei Bücher für 1.200,50 Euro und fährt dann mit 15 Freunden 2,5 Stunden nach Hause."
ENGLISH = "Anna buys three books for 1,200.50 euros and then drives home for 2.5 hours with 15 friends."


def test_a_correct_translation_has_all_numbers():
    report = compare_facts(GERMAN, ENGLISH, source_language="de")
    assert not report.discrepancies
    assert report.scores["number_support"] == report.scores["number_coverage"] == 1


@pytest.mark.parametrize(("old", "new"), [("three", "four"), ("1,200.50", "1,300.50"), ("15", "50"), ("2.5", "3.5")])
def test_a_changed_number_of_a_translation_is_named(old, new):
    report = compare_facts(GERMAN, ENGLISH.replace(old, new), source_language="de")
    assert report.scores["number_exchanged"] == 1
    assert any(new in found.detail for found in report.discrepancies)


def test_a_rewrite_in_the_same_foreign_language_is_compared_by_words():
    assert compare_facts(GERMAN, GERMAN, source_language="de").scores["content_support"] == 1
