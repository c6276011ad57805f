"""The words that `planted` changes, by kind of error: compiled for planting and not shared with the checks."""

import re

NUMBER_WORDS = {
    word: value
    for value, word in enumerate("two three four five six seven eight nine ten eleven twelve".split(), start=2)
} | {"fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "ninety": 90}

UNITS = {
    "percent": ["dollars", "years"],
    "miles": ["kilometers", "feet", "yards"],
    "mile": ["kilometer", "yard"],
    "kilometers": ["miles", "meters"],
    "km": ["miles", "m"],
    "meters": ["feet", "kilometers"],
    "metres": ["feet", "kilometres"],
    "feet": ["meters", "inches", "yards"],
    "foot": ["meter", "inch"],
    "inches": ["centimeters", "feet"],
    "acres": ["square miles", "hectares"],
    "pounds": ["tons", "ounces"],
    "tons": ["pounds", "kilograms"],
    "kg": ["pounds", "g"],
    "grams": ["ounces", "kilograms"],
    "years": ["months", "days", "decades"],
    "year": ["month", "week"],
    "months": ["years", "weeks", "days"],
    "weeks": ["months", "days"],
    "days": ["weeks", "hours", "months"],
    "day": ["week", "month"],
    "hours": ["minutes", "days"],
    "hour": ["minute", "day"],
    "minutes": ["hours", "seconds"],
    "seconds": ["minutes", "hours"],
    "decades": ["years", "centuries"],
    "centuries": ["decades"],
    "dollars": ["cents", "euros", "percent"],
    "cents": ["dollars"],
    "euros": ["dollars", "pounds"],
    "million": ["billion", "thousand"],
    "billion": ["million", "trillion"],
    "thousand": ["million", "hundred"],
    "degrees": ["percent"],
    "gallons": ["liters", "cups"],
    "liters": ["gallons", "cups"],
    "cups": ["gallons", "ounces"],
    "ounces": ["pounds", "cups"],
}


def _both_ways(pairs: str) -> dict[str, str]:
    table: dict[str, str] = {}
    for pair in pairs.split():
        a, b = pair.split("/")
        table.setdefault(a, b)
        table.setdefault(b, a)
    return table


ANTONYMS = _both_ways(
    """large/small largest/smallest big/little good/bad true/false right/wrong easy/difficult rich/poor strong/weak
    won/lost win/lose victory/defeat success/failure successful/unsuccessful accepted/rejected allowed/forbade
    legal/illegal supported/opposed support/oppose supporters/opponents created/destroyed alive/dead born/killed
    friends/enemies allies/enemies peace/war public/private domestic/foreign rural/urban freedom/slavery
    guilty/innocent safe/dangerous happy/unhappy rare/common rarely/frequently always/never same/different
    equal/unequal open/closed opened/closed full/empty included/excluded including/excluding necessary/unnecessary
    permanent/temporary natural/artificial active/inactive attacked/defended bought/sold buy/sell gave/took
    united/divided visible/invisible famous/obscure profit/loss general/specific direct/indirect finite/infinite
    even/odd valid/invalid consistent/inconsistent possible/impossible certain/uncertain likely/unlikely
    voluntary/involuntary popular/unpopular encouraged/discouraged appeared/disappeared together/apart
    formal/informal official/unofficial primary/secondary wild/tame stable/unstable modern/ancient traditional/modern
    hot/cold warm/cool wet/dry dark/bright young/old new/old early/late long/short high/low deep/shallow fast/slow
    quickly/slowly heavy/light thick/thin wide/narrow north/south northern/southern east/west eastern/western
    left/right inside/outside internal/external major/minor majority/minority positive/negative
    advantage/disadvantage advantages/disadvantages complete/incomplete correct/incorrect able/unable
    important/unimportant known/unknown male/female men/women man/woman father/mother son/daughter brother/sister
    king/queen husband/wife liberal/conservative democratic/undemocratic expensive/cheap violent/peaceful
    agreed/disagreed approved/disapproved continued/stopped remained/left arrived/departed entered/left
    survived/died strengthened/weakened expanded/shrank"""
)
COMPARATIVES = _both_ways(
    """more/less most/least higher/lower highest/lowest greater/lesser larger/smaller bigger/smaller better/worse
    best/worst longer/shorter longest/shortest faster/slower older/younger oldest/youngest stronger/weaker
    earlier/later before/after above/below over/under increase/decrease increased/decreased increases/decreases
    increasing/decreasing rose/fell rise/fall grew/shrank gained/lost up/down first/last maximum/minimum"""
)

# People, places and organisations that could occur in many texts.
NAMES = (
    "Whitfield",
    "Margaret Ellison",
    "Henrik Lindqvist",
    "Robert Caldwell",
    "Amelia Hartmann",
    "Samuel Okafor",
    "Delacroix",
    "Isabel Fuentes",
    "Montgomery",
    "Thaddeus Briggs",
    "Bristol",
    "Marseille",
    "Nebraska",
    "Bavaria",
    "Lisbon",
    "Uruguay",
    "Sumatra",
    "Helsinki",
    "Baltimore",
    "Manitoba",
    "Lake Victoria",
    "Cambridge University",
    "Royal Society",
    "Department of Labor",
    "Supreme Court",
    "Atlantic Council",
    "Norwegian",
    "Brazilian",
    "Hungarian",
    "Cleopatra",
)

_SIGNS = {
    "+": ["-"],
    "-": ["+"],
    "=": [r"\neq "],
    "<": [">"],
    ">": ["<"],
    r"\leq": [r"\geq", "<"],
    r"\le": [r"\ge", "<"],
    r"\geq": [r"\leq", ">"],
    r"\ge": [r"\le", ">"],
    r"\neq": ["="],
    r"\in": [r"\notin"],
    r"\notin": [r"\in"],
    r"\cup": [r"\cap"],
    r"\cap": [r"\cup"],
    r"\subseteq": [r"\supseteq"],
    r"\subset": [r"\supset"],
    r"\land": [r"\lor"],
    r"\lor": [r"\land"],
    r"\lif": [r"\liff", r"\land"],
    r"\liff": [r"\lif"],
    r"\to": [r"\leftarrow"],
    r"\forall": [r"\exists"],
    r"\exists": [r"\forall"],
    r"\lforall": [r"\lexists"],
    r"\lexists": [r"\lforall"],
    r"\ltrue": [r"\lfalse"],
    r"\lfalse": [r"\ltrue"],
    r"\Proves": [r"\Proves/"],
    r"\Entails": [r"\Entails/"],
    r"\cdot": ["+"],
    r"\times": ["+"],
    r"\sin": [r"\cos"],
    r"\cos": [r"\sin"],
    r"\max": [r"\min"],
    r"\min": [r"\max"],
}
FORMULA_SIGNS = (
    re.compile("|".join(rf"{re.escape(sign)}(?![a-zA-Z])" for sign in sorted(_SIGNS, key=len, reverse=True))),
    _SIGNS,
)
