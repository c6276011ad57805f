"""Questions that are ill formed or do not fit their answer are found; those that people would ask pass."""

import pytest

from fidelity.checks.question_fit import question_problem
from fidelity.checks.style import missing_form

MILL = "The mill was built by two brothers from Leeds, who had hoped for cheap coal."
DATED = "In 1794 two brothers from Leeds built the mill beside the new canal."
OWLS = "Owls hunt voles in daylight, often from fence posts near farms."
CULTIVATORS = "The three different cultivators are grouped by the way in which soil is broken."
WORD = "The code word of the observation vector is sent to the decoder."


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who built the mill?", MILL),
        ("Where did the brothers come from?", MILL),
        ("What had the two brothers hoped for?", MILL),
        ("Why did the brothers build the mill?", MILL),
        ("How many brothers built the mill?", MILL),
        ("By whom was the mill built?", MILL),
        ("Whose mill stood there?", MILL),
        ("Was the mill built by brothers?", MILL),
        ("When was the mill built?", DATED),
        ("In what year was the mill built?", DATED),
        ("Which canal was beside the mill?", DATED),
        ("What is the code word of the observation vector sent to?", WORD),
        ("To what is the code word sent?", WORD),
        ("What are the three different cultivators grouped by?", CULTIVATORS),
        ("What are the names of the three brothers?", "The three brothers were called Tom, Ned and Will."),
        ("What is the name of the three-masted ship?", "The three-masted ship is called Vasa."),
        ("What is the name of the river?", "The river is the Danube."),
        ("How many people lived in the city?", "Nobody lived in the city after the fire."),
        ("How many people lived in the city?", "Several thousand people lived in the city."),
        ("How much does the book cost?", "The book costs twelve pounds."),
        ("How much of the oil is lost?", "Most of the oil is lost on the way."),
        ("When do the owls hunt?", "The owls hunt at dusk, from fence posts."),
        ("When did the war end?", "The war ended after the fall of the city."),
        ("When is water a gas?", "Water is a gas if it is hot enough."),
        ("Since when has the bridge been closed?", "The bridge has been closed since May."),
        ("Who discovered oxygen?", "Priestley discovered oxygen."),
        ("Who may vote?", "All citizens of the state may vote."),
        ("Who runs the school?", "Monks run the school."),
        ("Who was the first to see it?", "A shepherd saw it first."),
        ("What was the series of tests called?", "The series of tests was called Trinity."),
        ("What is the status of the species?", "The species is endangered."),
        ("Why did the Roman Empire collapse so quickly?", "Because its borders were too long and its armies too dear."),
        ("What made the tower famous among engineers?", "It stands without any mortar in its lowest courses at all."),
        ("What is the height of the lighthouse tower?", "48 metres."),
        ("How does a heat pump work?", "A heat pump moves heat from a cold place to a warm one."),
        ("If the mill burned, what became of the canal?", "The canal was filled in after the mill burned."),
        ("The mill was built by whom?", MILL),
        ("**Who built the mill?**", MILL),
        ("In which year did Vesuvius destroy Pompeii?", "It destroyed Pompeii in AD 79."),
        ("In what year was Caesar killed?", "He was killed in 44 BC."),
        ("What year did the war end?", "The war ended in nineteen forty-five."),
        ("What did Newton call this “method of fluxions”?", "Newton called his calculus the “method of fluxions”."),
        ("What are the cause and the effect of the flood?", "Rain was the cause of the flood, famine its effect."),
    ],
)  # fmt: skip
def test_a_question_that_fits_passes(question, answer):
    assert question_problem(question, answer) is None


@pytest.mark.parametrize(
    ("question", "answer", "problem"),
    [
        ("What is the name of the three different cultivators", CULTIVATORS, "question mark"),
        ("What is the name of the three different cultivators?", CULTIVATORS, "agree"),
        ("What is the three largest cities?", "The three largest cities are Rome, Milan and Naples.", "agree"),
        ("What is the names of the brothers?", "The brothers were called Tom and Ned.", "agree"),
        ("What are the name of the river?", "The river is called Danube.", "agree"),
        ("How many person lived there?", "In 1901 there lived 40 people.", "agree"),
        ("How much people lived there?", "In 1901 there lived 40 people.", "agree"),
        ("What is are the parts of the mill?", "The parts of the mill are its wheel and its stones.", "agree"),
        ("The mill was built in 1794?", DATED, "nothing is asked"),
        ("The brothers from Leeds?", DATED, "nothing is asked"),
        ("What is the name of the?", DATED, "breaks off"),
        ("What did the brothers build and?", DATED, "breaks off"),
        ("When was the mill built?", MILL, "no time"),
        ("In what year was the mill built?", "The mill was built of stone and wood.", "for a year"),
        ("What year did he play in?", "He is the oldest ever to play in a Super Bowl at age 39.", "for a year"),
        ("How many mills are there?", "Mills stand beside the canal.", "no number"),
        ("How much coal did the brothers burn?", "The brothers burned cheap coal.", "no number"),
        ("Who destroyed the mill?", "The mill burned down to its foundations.", "nobody"),
        ("By whom is the soil broken?", "The soil is broken up to a great depth.", "nobody"),
        ("What is the name of the plough?", "The plough turns over the upper layer of the soil.", "for a name"),
        ("What is the observation vector of the code word?", WORD, "turns"),
        ("What is the capital of Brazil called today?", OWLS, "none of its words"),
        ("What did the parliament decide about taxes?", OWLS, "none of its words"),
        ("What", DATED, "question mark"),
        ("", DATED, "question mark"),
    ],
)  # fmt: skip
def test_a_question_that_does_not_fit_is_named(question, answer, problem):
    assert problem in question_problem(question, answer)


def test_a_text_of_questions_needs_each_to_fit():
    text = f"Q: Who built the mill?\nA: {MILL}\nQ: When was the mill built?\nA: "
    assert missing_form(text + DATED, "questions") is None
    assert (
        missing_form(text + MILL, "questions") == "it asks when, and the answer has no time: When was the mill built?"
    )
    assert missing_form(text + MILL, "questions", english=False) is None
