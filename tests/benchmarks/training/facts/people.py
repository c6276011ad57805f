"""Invented people with six attributes each, and questions about them.

After bioS of "Physics of Language Models: Part 3.1" (Allen-Zhu and Li, arXiv 2309.14316), with names, values, sizes and
splits of our own. A value is one of 64 or more, so a guess is right in less than 2 %; no two people share a birth date.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

ATTRIBUTES = ("birth_date", "birth_city", "university", "field", "employer", "hobby")
QUESTIONS = {
    "birth_date": "When was {name} born?",
    "birth_city": "In which city was {name} born?",
    "university": "Where did {name} study?",
    "field": "In which field does {name} work?",
    "employer": "Who employs {name}?",
    "hobby": "What is the hobby of {name}?",
}
REVERSED_QUESTION = "Who was born on {birth_date}?"

FIRST_NAMES = {
    "she": [
        "Ada",
        "Agnes",
        "Alma",
        "Anika",
        "Beatriz",
        "Carmen",
        "Clara",
        "Dagmar",
        "Edith",
        "Elena",
        "Fatima",
        "Freya",
        "Greta",
        "Hanna",
        "Helga",
        "Ingrid",
        "Irina",
        "Jana",
        "Karin",
        "Leila",
        "Lena",
        "Maren",
        "Marta",
        "Mina",
        "Nadia",
        "Nora",
        "Olga",
        "Paula",
        "Petra",
        "Rosa",
        "Ruth",
        "Selma",
        "Signe",
        "Sonja",
        "Tamar",
        "Ulla",
        "Vera",
        "Wanda",
        "Yara",
        "Zita",
    ],
    "he": [
        "Abel",
        "Albin",
        "Anton",
        "Arne",
        "Bernd",
        "Bruno",
        "Carlo",
        "Conrad",
        "Dario",
        "Edgar",
        "Emil",
        "Felix",
        "Georg",
        "Gustav",
        "Hakan",
        "Henrik",
        "Igor",
        "Ivan",
        "Jonas",
        "Julius",
        "Karl",
        "Knut",
        "Lars",
        "Leon",
        "Magnus",
        "Marek",
        "Milan",
        "Nils",
        "Olaf",
        "Oskar",
        "Pavel",
        "Peter",
        "Rafael",
        "Rolf",
        "Samir",
        "Stefan",
        "Theo",
        "Ulrich",
        "Viktor",
        "Yusuf",
    ],
}
SURNAMES = [
    a + b
    for a, b in product(
        [
            "Ab",
            "Bar",
            "Cor",
            "Dal",
            "Es",
            "Fer",
            "Gal",
            "Hol",
            "Jan",
            "Kor",
            "Lam",
            "Mar",
            "Nor",
            "Or",
            "Pet",
            "Ros",
            "San",
            "Tor",
            "Val",
            "Wes",
        ],
        ["berg", "dahl", "ecker", "inov", "lund", "mann", "ova", "quist"],
    )
]
CITIES = [
    a + b
    for a, b in product(
        ["Ash", "Brock", "Dun", "Hart", "Kel", "Lin", "Mor", "Os", "Pen", "Tarn", "Vel", "Wex"],
        ["by", "field", "ford", "haven", "holm", "mora", "stead", "wick"],
    )
]
PLACES = "Aldric Bevane Caddon Doral Elwin Farrow Glanton Hesper Ibsen Jarrow Kestrel Lorne Merrin Nolden Orrin Pella"
FIRMS = "Arvex Bolden Crane Delphin Ember Forsa Granite Helio Indra Juniper Kappa Lumen Mistral Norvane Opal Quanta"
TRADES = ["carving", "collecting", "drawing", "painting", "photographing", "repairing", "restoring", "building"]
THINGS = [
    "glass bottles",
    "model ships",
    "old clocks",
    "paper kites",
    "small boats",
    "stone bridges",
    "tin toys",
    "wooden birds",
]
AREAS = ["applied", "clinical", "digital", "marine", "medieval", "polar", "rural", "solar"]
SUBJECTS = ["acoustics", "botany", "chemistry", "engineering", "geology", "law", "linguistics", "statistics"]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
VALUES: Mapping[str, list[str]] = {
    "birth_city": CITIES,
    "university": [
        f"{place} {kind}" for place, kind in product(PLACES.split(), ["Academy", "College", "Institute", "University"])
    ],
    "field": [" ".join(pair) for pair in product(AREAS, SUBJECTS)],
    "employer": [
        f"{firm} {kind}" for firm, kind in product(FIRMS.split(), ["Group", "Laboratories", "Partners", "Systems"])
    ],
    "hobby": [" ".join(pair) for pair in product(TRADES, THINGS)],
}


@dataclass(frozen=True, slots=True)
class Person:
    """`pronoun` is "she" or "he"; `facts` has a value for each attribute."""

    name: str
    pronoun: str
    facts: Mapping[str, str]

    def question(self, attribute: str) -> str:
        return QUESTIONS[attribute].format(name=self.name)


def draw_people(n: int, rng: random.Random) -> list[Person]:
    """`n` people with different names and birth dates."""
    names = rng.sample(
        [
            (first, pronoun, last)
            for pronoun, firsts in FIRST_NAMES.items()
            for first, last in product(firsts, SURNAMES)
        ],
        n,
    )
    dates = rng.sample(
        [f"{day} {month} {year}" for year, month, day in product(range(1930, 1996), MONTHS, range(1, 29))], n
    )
    return [
        Person(f"{first} {last}", pronoun, {"birth_date": date} | {name: rng.choice(VALUES[name]) for name in VALUES})
        for (first, pronoun, last), date in zip(names, dates, strict=True)
    ]


def wrong_value(attribute: str, right: str, rng: random.Random) -> str:
    """Another value of the attribute."""
    while True:
        if attribute == "birth_date":
            value = f"{rng.randint(1, 28)} {rng.choice(MONTHS)} {rng.randint(1930, 1995)}"
        else:
            value = rng.choice(VALUES[attribute])
        if value != right:
            return value
