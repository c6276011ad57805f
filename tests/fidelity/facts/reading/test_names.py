"""Names are recognised in part, as initials, acronyms and demonyms; other names are not."""

import pytest

from fidelity.facts.comparing.compare import compare_facts
from fidelity.facts.reading.names import english_names
from fidelity.facts.reading.parsed import parse


def read(text):
    parsed = parse(text)
    names = english_names(parsed.prose, parsed.sentences, parsed.lower_words)
    return [" ".join(name.parts) for name in names if not name.is_weak]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Yesterday the Bank of America bought it.", ["bank america"]),
        ("He met Dr. Martin Luther King in Rome.", ["martin luther", "rome"]),
        ("However, it rained.", []),
        ("They said that Élodie's dog ran.", ["elodie"]),
        ("THE WHOLE HEADING IS IN CAPITALS", []),
        ("It was $A$ in `Code` and \\emph{so}.", []),
        ("THE WHOLE SENTENCE OF A NOTICE IS IN CAPITALS.", []),
        ("How Did the City of the River Grow So Fast?", []),
        ("He flew to Washington DC and saw an MD there.", ["washington dc", "md"]),
        ("Then Louis XIV met John Paul II in MMXX.", ["louis", "john paul"]),
        ("They crossed l'Atlantique with d'Artagnan to dell'Aquila.", ["atlantique", "artagnan", "aquila"]),
        (
            "Der Hund und die Katze lebten im Haus der Familie, und der Vater las abends ein Buch über Geschichte.",
            [],
        ),
        (
            "Die Regierung der USA und die Kommission der EU sprachen über den Handel mit Getreide und Wein.",
            ["usa", "eu"],
        ),
        ("Den Hond an d'Kaz hunn am Haus vun der Famill gewunnt, an de Papp huet all Owend e Buch gelies.", []),
        ("El perro de Pedro vive en Madrid con los otros perros de la casa.", ["pedro", "madrid"]),
        ("Собака жила тогда в Москве у Петра.", ["москве", "петра"]),
    ],
)
def test_names(text, names):
    assert read(text) == names


TRUE = [
    ("John Smith went to Rome.", "Then Smith went to Rome."),
    ("John F. Kennedy spoke.", "Then John Kennedy spoke."),
    ("Then John Smith spoke.", "Then J. Smith spoke."),
    ("The National Aeronautics and Space Administration flew.", "So NASA flew."),
    ("The United States won.", "Then the U.S. won."),
    ("He came from Russia.", "He was a Russian man."),
    ("He came from France.", "He was a French man."),
    ("They saw Beyoncé's show.", "They saw the show of Beyonce."),
    ("It is the Bank of the United States.", "It was the Bank of the United States."),
    ("The 'celebrity' episodes had Scott Mills.", "So far, the 'Celebrity' episodes had Scott Mills."),
    ("There were the dental and pharmacy programs.", "There were Dental and Pharmacy programs."),
]
FALSE = [
    ("He met John Smith in Rome.", "He met John Brown in Rome."),
    ("He came from Russia.", "He was a French man."),
    ("They flew to Rome.", "They flew to Paris."),
    ("Patients took vitamin D3 daily for a year.", "Patients took vitamin B3 daily for a year."),
    ("He met John Smith and James Brown.", "He met John Brown."),
]


@pytest.mark.parametrize(("source", "rewrite"), TRUE)
def test_the_same_name_in_another_form(source, rewrite):
    scores = compare_facts(source, rewrite).scores
    assert scores["name_unsupported"] == scores["name_recombined"] == 0


@pytest.mark.parametrize(("source", "rewrite"), FALSE)
def test_another_name(source, rewrite):
    scores = compare_facts(source, rewrite).scores
    assert scores["name_unsupported"] + scores["name_recombined"] > 0


@pytest.mark.parametrize(
    ("source", "rewrite", "swapped"),
    [
        ("Grant defeated Lee in Virginia.", "Lee defeated Grant in Virginia.", True),
        ("Grant defeated Lee in Virginia.", "Lee was defeated by Grant in Virginia.", False),
        ("Grant defeated Lee in Virginia.", "In Virginia, Grant defeated Lee.", False),
        ("It rose from 5 to 9 points.", "It rose from 9 to 5 points.", True),
    ],
)
def test_two_swapped_facts(source, rewrite, swapped):
    assert (compare_facts(source, rewrite).scores["swap"] >= 0.5) is swapped


GERMAN = (
    "Die Stadt Ulm liegt an der Donau und hat eine lange Geschichte. Im Mittelalter war sie eine Reichsstadt, und der"
    " Turm des Münsters ist der höchste Kirchturm der Welt."
)


def test_a_german_noun_that_is_replaced_is_no_name():
    rewrite = (
        "Ulm, gelegen an der Donau, blickt auf eine lange Vergangenheit zurück. Der Ort war einst eine Reichsstadt, und"
        " kein Gotteshaus der Erde hat einen höheren Turm als das Münster."
    )
    report = compare_facts(GERMAN, rewrite)
    assert not [found for found in report.discrepancies if found.kind == "name"]
    assert report.scores["name_unsupported"] == report.scores["name_exchanged"] == 0


def test_an_english_text_with_german_names_keeps_its_names():
    text = "The philosopher Immanuel Kant was born in Königsberg and read the works of Gottfried Wilhelm Leibniz."
    assert read(text) == ["immanuel kant", "konigsberg", "gottfried wilhelm leibniz"]


def test_an_abbreviation_like_a_roman_numeral_is_a_name():
    scores = compare_facts("He lives in Washington DC now.", "He lives in Washington MD now.").scores
    assert scores["name_unsupported"] > 0
    scores = compare_facts("He lives in Washington DC now.", "He now lives in Washington, D.C.").scores
    assert scores["name_unsupported"] == 0
