"""A reversed sentence is detected; one that says the same in other words is not reported."""

import pytest

from fidelity.facts.comparing.compare import compare_facts

REVERSED = [
    ("The bridge was safe for heavy trains.", "The bridge was not safe for heavy trains.", "negation_mismatch"),
    ("The council did not approve the plan.", "The council approved the plan.", "negation_mismatch"),
    ("The treaty was signed without a vote.", "The treaty was signed with a vote.", "negation_mismatch"),
    ("Prices rose in the second year.", "Prices fell in the second year.", "direction_mismatch"),
    ("He left before the war began.", "He left after the war began.", "direction_mismatch"),
    ("It has more members than the party.", "It has fewer members than the party.", "direction_mismatch"),
    ("The court accepted the claim.", "The court rejected the claim.", "antonym_mismatch"),
    ("It is possible to cross the river.", "It is impossible to cross the river.", "antonym_mismatch"),
    ("The test was useful for doctors.", "The test was useless for doctors.", "antonym_mismatch"),
    ("All members of the board voted.", "Some members of the board voted.", "quantifier_mismatch"),
    ("The plan may reduce the traffic.", "The plan must reduce the traffic.", "modality_mismatch"),
    ("The team won the final in Leeds.", "The team was defeated in the final in Leeds.", "antonym_mismatch"),
    (
        "They paid taxes indirectly, not directly to him.",
        "They paid taxes indirectly, directly to him.",
        "negation_mismatch",
    ),
    ("The least of it was so idealized by men.", "The least of it was not so idealized by men.", "negation_mismatch"),
    (
        "It is a contract that young men in old towns signed.",
        "It is not a contract that young men in old towns signed.",
        "negation_mismatch",
    ),
    (
        "The king signed the treaty with the northern tribes.",
        "The queen signed the treaty with the northern tribes.",
        "antonym_mismatch",
    ),
    (
        "The new test is not as accurate as the old one, and it is less costly.",
        "The new test is as accurate as the old one, and it is less costly.",
        "negation_mismatch",
    ),
    (
        "Sales did not increase in March, and costs were flat.",
        "Sales did increase in March, and costs dropped.",
        "negation_mismatch",
    ),
    (
        "The engine did not start, and no mechanic from the local garage could make it start.",
        "The engine did start, and no mechanic from the local garage could make it start.",
        "negation_mismatch",
    ),
    ("The incumbent won against Smith in Leeds.", "The incumbent, defeated by Smith in Leeds.", "antonym_mismatch"),
    ("A few members of the board voted.", "All members of the board voted.", "quantifier_mismatch"),
    (
        "It plans an increase in the dividend, cutting costs.",
        "It plans a decrease in its dividend, cutting costs.",
        "direction_mismatch",
    ),
]
SAME = [
    ("The bridge was not safe for trains.", "The bridge wasn't safe for trains."),
    ("Prices rose in the second year.", "Prices increased in the second year."),
    ("It is not common in the north.", "It is rare in the north."),
    ("It was not only cheap but quick.", "It was cheap and quick."),
    ("He did not sell the house, and he stayed there.", "He stayed there. He did not sell the house."),
    ("The court accepted the claim that was rejected before.", "The claim that was rejected before was accepted."),
    ("The town received its charter in June.", "The town was given its charter in June."),
    ("The drought resulted in a famine in Kenya.", "The drought caused a famine in Kenya."),
    ("The Broncos defeated the Steelers in the final.", "The Broncos won the final against the Steelers."),
    ("Seventeen seconds were left on the clock.", "Seventeen seconds were remaining on the clock."),
    ("Russia transports immigrants to Europe illegally.", "Russia transports migrants to Europe illegally."),
    ("Besieged often, the fort stood out for its defenders.", "The fort was often attacked and stood out in this."),
    ("Prices would be raised to nine dollars, with reduced costs.", "The price would increase to nine dollars."),
    ("The rules for them are not as rigorous as those for others.", "The rules for them are less rigorous."),
    ("The people there did not differ from the Picards.", "The people there were similar to the Picards."),
    ("She has a poor relationship with her mother.", "She does not have a good relationship with her mother."),
    ("He said that he could not attend spring training.", "He said that he could not go to spring training."),
    (
        "He felt betrayed by ten Hag and did not respect ten Hag.",
        "He felt betrayed by ten Hag. He did not respect ten Hag.",
    ),
    ("Additionally, the tests are hard.", "The tests are less of a help, and hard."),
]
SAME_AMOUNT = [
    ("It occasionally has dark spots on the limbs.", "It sometimes has dark spots on the limbs."),
    ("Brunstad has several restaurants and a bar.", "Brunstad has a few restaurants and a bar."),
]


@pytest.mark.parametrize(("source", "rewrite", "score"), REVERSED)
def test_a_reversed_sentence(source, rewrite, score):
    assert compare_facts(source, rewrite).scores[score] >= 0.5
    assert compare_facts(rewrite, source).scores[score] >= 0.5


@pytest.mark.parametrize(("source", "rewrite"), SAME_AMOUNT)
def test_the_same_amount_in_other_words(source, rewrite):
    assert compare_facts(source, rewrite).scores["quantifier_mismatch"] < 0.5


@pytest.mark.parametrize(("source", "rewrite"), SAME)
def test_the_same_in_other_words(source, rewrite):
    scores = compare_facts(source, rewrite).scores
    for name in ("negation_mismatch", "direction_mismatch", "antonym_mismatch"):
        assert scores[name] < 0.5, name


def test_a_negation_of_another_sentence_excuses_none():
    source = "The bridge was safe for heavy trains in winter. Nobody knew of a road that was not safe for carts."
    wrong = source.replace("bridge was safe", "bridge was not safe")
    assert compare_facts(source, wrong).scores["negation_mismatch"] >= 0.5
