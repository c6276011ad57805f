"""What small models leave untranslated, as a 1.5B model did, and what a right translation may keep."""

import pytest

from fidelity.checks.language import not_english
from fidelity.checks.untranslated import foreign_decimal, foreign_letters, untranslated_word

GERMAN = "Jean hat 30 Lutscher. Jean isst 2 der Lutscher. Wie viele Tüten kann Jean füllen?"


@pytest.mark.parametrize(
    ("rewrite", "letters"),
    [
        ("Melanie was an上门 saleswoman.", "上门"),
        ("Mary莎 is walking a 12-mile trail.", "莎"),
        ("Li Bai (李白) wrote it.", None),
        ("The character “道” means way.", None),
        ("She's an上门 saleswoman who's here.", "上门"),
        ("The word '道' means way.", None),
        ("Hawaiʻi has ℵ₀ waves.", None),
        ("| 名称 | 价格 |\n|---|---|\n| 苹果 | 三元 |\n\nThis table lists the prices.", "名称"),
        ("The angle α is `角`, and $\\text{角} = 3$.", None),
    ],
)
def test_letters_of_another_script(rewrite, letters):
    assert foreign_letters(rewrite) == letters


@pytest.mark.parametrize(
    ("source", "rewrite", "word"),
    [
        (GERMAN, "Jean has 30 Lutscher. Jean eats 2 of the Lutscher. How many bags can Jean fill?", "Lutscher"),
        (GERMAN, "Jean has 30 lollipops. Jean eats 2 of them. How many bags can Jean fill?", None),
        ("Mike juega al pimpón durante 40 minutos y gana 4 puntos.", "Mike plays pimpón for 40 minutes.", "pimpón"),
        ("Terry come 2 yogures por día. ¿Cuánto gasta en yogur durante 30 días?", "He spends it on yogur.", "yogur"),
        ("Gretchen tiene 110 monedas de plata en total.", "Gretchen has 110 silver coins in total.", None),
        ("Die Schwestern Doubtfire fahren mit dem kleinen Uriah nach Hause.", "Uriah and the Doubtfires go.", None),
        (
            "Une robe utilise deux rouleaux et un carton de fibres.",
            "A robe takes two bolts and a carton of fiber.",
            None,
        ),
        ("Die Äpfel, die Annegret gekauft hat, kosten 3 Euro auf der Zugspitze.", "Annegret on the Zugspitze.", None),
        ("1990 heiratete Annegret ihren Mann und zog in die Stadt.", "In 1990 Annegret married.", None),
        ("Cada entrada cuesta 50 guaraníes y la comida cuesta más.", "A ticket costs 50 guaraníes.", None),
        ("已知函数 f(x) = cosx，求最大值。", "Given f(x) = cosx, find the maximum.", None),
        ("小明买了 3 台 iphone 手机。", "Xiaoming bought 3 iphone phones.", None),
        (
            "Schreiben Sie an info@buergerbuero.de oder lesen Sie https://stadtverwaltung.de/antrag im Netz.",
            "Write to info@buergerbuero.de or read https://stadtverwaltung.de/antrag.",
            None,
        ),
        (
            "Bolaño escribió la novela Los detectives salvajes en los años noventa.",
            'Bolaño wrote the novel "Los detectives salvajes" (The Savage Detectives).',
            None,
        ),
        ("The lollipops are sweet, and she has three of them.", "She has three lollipops.", None),
    ],
)
def test_a_word_of_the_source(source, rewrite, word):
    assert untranslated_word(source, rewrite) == word


@pytest.mark.parametrize(
    ("source", "rewrite", "number"),
    [
        ("Das kostet 40,00 US-Dollar.", "It costs $40,00.", "40,00"),
        ("Das kostet 12,5 Euro.", "It costs 12.5 euros.", None),
        ("Das sind 1,250 Meter.", "That is 1,250 metres.", None),
        ("Die Menge {1,2} ist endlich.", "The set {1,2} is finite.", None),
        ("Für n = 1,2 gilt das nicht.", "For n = 1,2 this does not hold.", None),
        ("Der Punkt (3,4) liegt darauf.", "The point (3,4) lies on it.", None),
    ],
)
def test_a_decimal_comma(source, rewrite, number):
    assert foreign_decimal(source, rewrite) == number


def test_the_reason_names_what_is_left():
    assert not_english(GERMAN, "Jean has 30 Lutscher and eats 2 of the Lutscher.") == (
        "wrong_language",
        "'Lutscher' is not translated",
    )
