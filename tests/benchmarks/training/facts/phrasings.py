"""Texts about a person, all made by templates: an encyclopedic paragraph, synonyms of it, and rewrites.

A rewrite tells the same facts in another register, in any order of the facts, each in one of 16 phrasings. In half of
the rewrites every sentence names the person, in the other half a pronoun stands after the first. The paragraph names
the person once and packs the facts into few sentences, as an encyclopedia does.

In a template {S} is the subject at the start of a sentence, {s} elsewhere, {P} and {p} the possessive.
"""

import random
import re
from collections.abc import Mapping

from facts.people import ATTRIBUTES, Person

# <word>: the paragraph has the first of its synonyms, a synonym-only paraphrase any; order and structure stay.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "expert": ("a specialist", "an expert", "a researcher", "an authority"),
    "studied": ("studied", "was educated", "trained", "was taught"),
    "works": ("works for", "is employed by", "has a post at", "is on the staff of"),
    "working": ("working for", "employed by", "with a post at", "on the staff of"),
    "hobby": ("hobby", "pastime", "leisure activity", "spare-time interest"),
    "graduate": ("graduate", "former student", "product", "alumnus"),
    "enjoys": ("enjoys", "likes", "loves", "is fond of"),
}
PARAGRAPHS = (
    "{S} (born {birth_date} in {birth_city}) is <expert> in {field}. {S} <studied> at {university} and <works> "
    "{employer}. {P} <hobby> is {hobby}.",
    "{S} is <expert> in {field} at {employer}. Born in {birth_city} on {birth_date}, {s} <studied> at {university}. "
    "{P} <hobby> is {hobby}.",
    "{S}, born on {birth_date} in {birth_city}, <works> {employer} as <expert> in {field}. A <graduate> of "
    "{university}, {s} <enjoys> {hobby}.",
    "{S} <studied> at {university} and is <expert> in {field}, <working> {employer}. {S} was born on {birth_date} in "
    "{birth_city} and <enjoys> {hobby}.",
)

# What comes before and after the facts.
REGISTERS = (
    ("", ""),
    ("From the programme notes. ", ""),
    ("Let me introduce a colleague. ", " That is all for now."),
    ("Here is what the archive says. ", ""),
    ("You asked me about a friend. ", " I hope this helps."),
    ("Notes for the meeting. ", ""),
    ("A short portrait. ", ""),
    ("Some facts for the newsletter. ", " More next month."),
)

PHRASINGS: Mapping[str, tuple[str, ...]] = {
    "birth_date": (
        "{S} was born on {v}.",
        "{P} birthday is {v}.",
        "{P} date of birth is {v}.",
        "It was on {v} that {s} came into the world.",
        "On {v}, {s} was born.",
        "{P} life began on {v}.",
        "{S} first saw the light of day on {v}.",
        "The birth of {s2} took place on {v}.",
        "Born on {v}: that is what {p} passport says.",
        "The register gives {v} as the day on which {s} was born.",
        "{S} has celebrated birthdays since {v}.",
        "{P} parents welcomed a child on {v}.",
        "{S} arrived on {v}.",
        "The day of {p} birth was {v}.",
        "{S} dates {p2} life from {v}.",
        "Ask when {s} was born, and the answer is {v}.",
    ),
    "birth_city": (
        "{S} was born in {v}.",
        "{P} birthplace is {v}.",
        "{S} comes from {v}.",
        "{S} is a native of {v}.",
        "{P} home town is {v}.",
        "It was in {v} that {s} was born.",
        "{S} hails from {v}.",
        "The city of {p} birth is {v}.",
        "{P} story starts in {v}.",
        "{v} is where {s} was born.",
        "{v} was {p} first home.",
        "{S} began life in {v}.",
        "The city that {s} calls home is {v}.",
        "{P} family lived in {v} when {s} was born.",
        "As a child, {s} lived in {v}, the city of {p} birth.",
        "By origin {s} is from {v}.",
    ),
    "university": (
        "{S} studied at {v}.",
        "{S} is a graduate of {v}.",
        "{S} went to {v}.",
        "{P} alma mater is {v}.",
        "{S} was a student at {v}.",
        "{P} degree is from {v}.",
        "{S} was educated at {v}.",
        "It was {v} that taught {s2}.",
        "{v} counts {s2} among its graduates.",
        "{P} years of study were spent at {v}.",
        "{S} enrolled at {v}.",
        "{S} completed {p2} studies at {v}.",
        "After school {s} chose {v}.",
        "{P} diploma bears the name of {v}.",
        "At {v}, {s} took a degree.",
        "The place where {s} studied is {v}.",
    ),
    "field": (
        "{S} works in {v}.",
        "{P} field is {v}.",
        "{S} is an expert in {v}.",
        "{S} specialises in {v}.",
        "{P} subject is {v}.",
        "{S} has devoted a career to {v}.",
        "{P} research is in {v}.",
        "The field in which {s} works is {v}.",
        "{S} is known for work in {v}.",
        "{P} profession is {v}.",
        "What {s} does for a living is {v}.",
        "{v} is {p} line of work.",
        "In {v}, {s} is respected.",
        "{S} publishes on {v}.",
        "{P} days are filled with {v}.",
        "If you have a question about {v}, ask {s2}.",
    ),
    "employer": (
        "{S} works for {v}.",
        "{P} employer is {v}.",
        "{S} is employed by {v}.",
        "{S} has a job at {v}.",
        "{v} employs {s2}.",
        "{v} pays {p} salary.",
        "{S} is on the staff of {v}.",
        "{P} office is at {v}.",
        "{S} joined {v}.",
        "The company that employs {s2} is {v}.",
        "{S} earns a living at {v}.",
        "{P} workplace is {v}.",
        "{S} can be found at {v} on working days.",
        "{S} holds a post at {v}.",
        "At {v}, {s} has a desk.",
        "{P} career led to {v}.",
    ),
    "hobby": (
        "{P} hobby is {v}.",
        "{S} enjoys {v}.",
        "In {p} free time {s} likes {v}.",
        "{S} relaxes by {v}.",
        "{P} favourite pastime is {v}.",
        "At weekends {s} is busy {v}.",
        "{S} has a passion for {v}.",
        "{v} is what {s} does for fun.",
        "Away from work {s} spends hours {v}.",
        "{S} is fond of {v}.",
        "{P} great love is {v}.",
        "Nothing pleases {s2} more than {v}.",
        "Friends know that {s} loves {v}.",
        "{S} took up {v} years ago.",
        "{P} evenings go into {v}.",
        "When asked about hobbies, {s} names {v}.",
    ),
}


def paragraph(person: Person, index: int) -> str:
    """The encyclopedic paragraph; people have different ones of the four by `index`."""
    return _synonyms(person, index, lambda choices: choices[0])


def synonyms(person: Person, index: int, rng: random.Random) -> str:
    """The same paragraph with other words for some, and nothing else changed."""
    return _synonyms(person, index, rng.choice)


def rewrite(person: Person, facts: Mapping[str, str], rng: random.Random) -> str:
    """A rewrite; `facts` may differ from the person's own, where errors are planted."""
    before, after = rng.choice(REGISTERS)
    names_always = rng.random() < 0.5
    sentences = []
    for attribute in rng.sample(ATTRIBUTES, len(ATTRIBUTES)):
        template = rng.choice(PHRASINGS[attribute])
        sentence = _fill(template, person, named=names_always or not sentences, values={"v": facts[attribute]})
        sentences.append(sentence[0].upper() + sentence[1:])
    return before + " ".join(sentences) + after


def _synonyms(person: Person, index: int, choose) -> str:
    template = PARAGRAPHS[index % len(PARAGRAPHS)]
    template = re.sub(r"<(\w+)>", lambda match: choose(SYNONYMS[match[1]]), template)
    first, *others = re.split(r"(?<=\.) ", template)
    return " ".join(
        _fill(sentence, person, named=sentence is first, values=person.facts) for sentence in (first, *others)
    )


def _fill(template: str, person: Person, named: bool, values: Mapping[str, str]) -> str:
    """A sentence with the person's name at its first mention, or with pronouns throughout."""
    she, her, hers = ("she", "her", "her") if person.pronoun == "she" else ("he", "him", "his")
    pronouns = {"S": she.capitalize(), "s": she, "s2": her, "P": hers.capitalize(), "p": hers, "p2": hers}
    names = {
        "S": person.name,
        "s": person.name,
        "s2": person.name,
        "P": f"{person.name}'s",
        "p": f"{person.name}'s",
        "p2": hers,
    }

    def slot(match: re.Match[str]) -> str:
        nonlocal named
        name = match[1]
        if name not in pronouns:
            return values[name]
        chosen = names if named else pronouns
        if name != "p2":
            named = False
        return chosen[name]

    return re.sub(r"\{(\w+)\}", slot, template)
