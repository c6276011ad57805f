"""Text about itself is found; a source about texts, passages or authors may be rewritten as what it is."""

import pytest

from fidelity.checks.remarks.about_text import about_the_text

PLAIN = "Warsaw has been a city of many cultures. In 1901 it had 711,988 people."


@pytest.mark.parametrize(
    "rewrite",
    [
        "The text introduces Warsaw as a city of many cultures.",
        "This passage explains that Warsaw has many cultures.",
        "According to the article, Warsaw had 711,988 people.",
        "Warsaw has many cultures, the author notes.",
        "Warsaw, the passage states, had 711,988 people in 1901.",
        "As the text says, Warsaw had 711,988 people in 1901.",
        "Warsaw is described in the text as a city of many cultures.",
        "The city described in the passage had 711,988 people.",
        "Q: What does the passage say about Warsaw?\nA: It has many cultures.",
        "Q: According to the text, how many people lived there?\nA: 711,988.",
        "The text, which deals with Warsaw, gives a number of 711,988.",
        "The article begins by noting that Warsaw has many cultures.",
        "The article's main point is that Warsaw has many cultures.",
        "The passage's focus is Warsaw, a city of many cultures.",
        "This is a passage about Warsaw. It had 711,988 people.",
        "This text is about the city of Warsaw.",
        "Per the passage, Warsaw had 711,988 people.",
        "The author writes that Warsaw had 711,988 people.",
        "We learn from the text that Warsaw had 711,988 people.",
        "The passage doesn't mention who counted them.",
        "Warsaw had 711,988 people (according to the text).",
        "The given information states that Warsaw had 711,988 people.",
        "The information provided states that Warsaw had 711,988 people.",
        "Anna: What is the text about?\nBen: It is about Warsaw.",
        "Laut dem Text hatte Warschau 711.988 Einwohner.",
        "In diesem Text geht es um Warschau.",
        "Dans ce texte, l'auteur parle de Varsovie.",
        "Selon le texte, Varsovie avait 711 988 habitants.",
        "Según el texto, Varsovia tenía 711.988 habitantes.",
        "Согласно тексту, в Варшаве жило 711 988 человек.",
        "根据文章，华沙有711988人。",
        "根据上述文本，华沙有711988人。",
        "文章指出，华沙有711988人。",
        "この文章によると、ワルシャワの人口は711988人でした。",
    ],
)
def test_it_speaks_about_its_source(rewrite):
    assert about_the_text(PLAIN, rewrite)[0] == "about_the_text"


@pytest.mark.parametrize(
    ("source", "rewrite"),
    [
        (
            "The novel was published in 1924. A Passage to India tells of a trial in Chandrapore.",
            "The passage to India takes Adela to Chandrapore, where a trial begins.",
        ),
        (
            "The passage from India to England took four months by sea.",
            "It took four months to make the passage from India to England. The passage was long.",
        ),
        (
            "Article 12 of the treaty grants free passage. The article applies to all ships.",
            "All ships enjoy free passage: the article says so.",
        ),
        (
            "Under Section 230, no provider is liable. The section was added in 1996.",
            "This section provides that no provider is liable; it came in 1996.",
        ),
        (
            "In the Iliad, Homer describes the wrath of Achilles. Scholars debate the text.",
            "The text begins with the wrath of Achilles, as scholars note.",
        ),
        (
            "The author Charlotte Brontë wrote Jane Eyre under the name Currer Bell.",
            "The author, Charlotte Brontë, used the name Currer Bell. The author also wrote Villette.",
        ),
        (
            "The journal article by Watson and Crick described DNA.",
            "The article described DNA, and Watson and Crick were its authors.",
        ),
        ("A paragraph of the constitution protects speech.", "The paragraph protects speech, the constitution says."),
        (
            "Machine translation turns a source text into a target text.",
            "The source text is turned into a target text by a machine.",
        ),
        (
            "The parser reads the text and extracts its words.",
            "The text is read by a parser, which extracts words from the text.",
        ),
        ("HTML marks up text. A text editor shows it.", "The text editor shows what HTML marks up."),
        ("The nasal passage carries air to the lungs.", "The passage carries air from the nose to the lungs."),
        ("A secret passage leads from the castle to the river.", "From the castle, this passage leads to the river."),
        ("The document was signed by all parties on 3 May.", "On 3 May the document was signed by everybody."),
        (
            "The chapter of the Red Cross in Ohio offers courses.",
            "This chapter offers courses; it belongs to the Red Cross in Ohio.",
        ),
        (
            "A writer for the Guardian reported that the mayor had resigned.",
            "The mayor has gone, the writer said in the Guardian.",
        ),
        (
            "The speaker of the House, Nancy Pelosi, opened the session.",
            "The speaker opened the session: Nancy Pelosi.",
        ),
        ("The speaker of the House, Nancy Pelosi, opened the session.", "The speaker also, Nancy Pelosi, opened it."),
        ("The content of iron in the blood is low.", "The content of iron in the blood is low, and that is it."),
        (
            "A piece of the wall fell in 1989. The piece shows a painted face.",
            "The piece shows a face in paint; it fell in 1989.",
        ),
        ("In the summary judgment, the court found for the plaintiff.", "The summary judgment went to the plaintiff."),
        (
            "Extract of malt is sweet. The extract is added to milk.",
            "The extract is added to milk. The extract gives it a sweet taste.",
        ),
        (
            "The material offers high strength at low weight.",
            "The material offers much strength although it weighs little.",
        ),
        ("The text of the law says that theft is punished.", "Theft is punished, as the text of the law says."),
        (
            "The Rosetta Stone carries a decree in three scripts.",
            "The text is written in three scripts on the Rosetta Stone.",
        ),
        (
            "Luther translated the Bible. Its words reached many.",
            "Luther put the text into German. In the text, many found comfort.",
        ),
        (
            "The lecture covers limits. In this section, we define the derivative.",
            "In this section the derivative is defined.",
        ),
        ("Der Text der Hymne stammt von Fallersleben.", "Der Text beschreibt die Heimat; er stammt von Fallersleben."),
        ("本文研究了水稻的产量。", "本文讨论水稻产量。"),
        (PLAIN, "The context of Warsaw is rich, with 711,988 people."),
        (PLAIN, "Warsaw's authority says that 711,988 people lived there."),
        (PLAIN, "In this part of Poland lies Warsaw."),
    ],
)
def test_it_says_what_its_source_says(source, rewrite):
    assert about_the_text(source, rewrite) is None
