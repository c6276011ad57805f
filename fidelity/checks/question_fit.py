"""Is a question well formed, and of the kind that its answer answers? For texts in English.

    Q: What is the name of the three different cultivators    ->  no question mark
    Q: When was the mill built?   A: Two brothers built it.   ->  it asks for a time, and the answer has none

Each rule looks for the one thing that an answer of that kind cannot do without. Of 1,669 questions that people asked
about Wikipedia (SQuAD, XQuAD), each with the sentence that answers it, the rules reject 24, most of which take a second
sentence to answer; of 1,622 of them with another sentence of their paragraph, 289.
"""

import re
from collections.abc import Callable, Iterator

_LABELLED = re.compile(
    r"^[^\S\n]{0,20}+(?:\*\*)?(?:Q|Question)[ ]?\d{0,3}[.:)](?:\*\*)?[^\S\n]*(?P<question>[^\n]*)\n\s*"
    r"(?:\*\*)?(?:A|Answer)[ ]?\d{0,3}[.:)](?:\*\*)?[^\S\n]*(?P<answer>[^\n]*)",
    re.MULTILINE | re.IGNORECASE,
)
_ASKS = re.compile(r"\b(?:who|whom|whose|what|which|when|where|why|how)(?:['’]s)?\b", re.IGNORECASE)
_AUXILIARY = (
    r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must|am|isn['’]t|aren['’]t"
    r"|wasn['’]t|weren['’]t|don['’]t|doesn['’]t|didn['’]t)"
)
_ASKS_YES_OR_NO = re.compile(rf"(?:^|[,;:]\s)\W{{0,4}}{_AUXILIARY}\b", re.IGNORECASE)
_UNFINISHED = re.compile(r"\b(?:the|a|an|and|or|its|their|his)\W*\Z", re.IGNORECASE)
_SEVERAL = r"(?:two|three|four|five|six|seven|eight|nine|ten|several|many|[2-9]|[1-9]\d+)"
_DISAGREES = re.compile(
    rf"""\b(?: (?:is|was)\ the\ (?:names|types|kinds|reasons|members|examples|numbers|years|parts|results|effects
        |causes)\b
    | (?:are|were)\ the\ (?:name|type|kind|reason|number|purpose|capital|result)\ of\b(?![^?]*\band\b)
    | (?:is|was)\ the\ (?:\w+\ of\ the\ )?{_SEVERAL}\ (?:\w+\ ){{0,2}}\w{{2,}}(?<![su])s\b(?!['’])
    | how\ many\ (?:person|man|woman|child|year|day|time|people\ is)\b
    | how\ much\ (?:people|persons|years|days|times)\b
    | what\ (?:is|was|are|were|does|do|did)\ (?:is|was|are|were|does|do|did)\b )""",
    re.IGNORECASE | re.VERBOSE,
)
_NUMBER_WORD = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w{3,5}teen|twenty|thirty|forty|fifty|sixty"
    r"|seventy|eighty|ninety|hundreds?|thousands?|millions?|billions?|dozens?|half|halves|third|quarter|once|twice|thrice)"
)
_NUMBER = re.compile(rf"\d|\b{_NUMBER_WORD}(?:\b|-)|[½¼¾⅓⅔]", re.IGNORECASE)
_YEAR = re.compile(
    rf"\d{{3}}|['’]\d\d\b|\b(?:years?|century|centuries)\b|\d\s?(?:BC|CE|AD|B\.C|A\.D)|\b(?:AD|A\.D\.)\s?\d"
    rf"|\b{_NUMBER_WORD}[\s-]{_NUMBER_WORD}\b",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"\b(?:no|none|nobody|many|several|few|some|most|all|every|each|both|pair|couple|majority|minority|multiple|various"
    r"|numerous|a|an|single|only|much|little|more|less|double[ds]?|triple[ds]?|free|entire|whole|first|second"
    r"|enough|zero|countless|unlimited|lone)\b",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"""\d{3,4}|\d(?:st|nd|rd|th)\b|\b(?: \d+\ ?(?:am|pm|a\.m|p\.m|bc|ad|years?|days?|weeks?|months?|hours?
        |minutes?|seconds?)
    | jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?
    | nov(?:ember)?|dec(?:ember)? | (?:mon|tues|wednes|thurs|fri|satur|sun)days? | easter|christmas|ramadan
    | years?|months?|weeks?|days?|hours?|minutes?|seconds?|decades?|century|centuries|millenni\w+|eras?|ages?
    |period|times?|dates?|dawn
    | dusk|noon|midnight|morning|evening|afternoon|night|nights|today|tonight|yesterday|tomorrow|now|then|annually
    | spring|summer|autumn|fall|winter | before|after|until|till|since|during|when|whenever|while|once|whilst|as|upon|if
    | ago|later|earlier|early|late|previously|originally|initially|first|last|finally|recent|recently|currently|formerly
    | soon|already|always|never|often|sometimes|immediately|eventually|past|present|future|birth|death|war|reign
    |by\ the )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_PERSON = re.compile(
    r"""\b(?: he|she|they|him|her|them|we|us|i|you|who|whom|whose|his|their|our|everyone|everybody|someone|somebody
        |anyone
    | nobody|no\ one|people|persons?|m[ae]n|wom[ae]n|child(?:ren)?|boys?|girls?|brothers?|sisters?|sons?|daughters?
    |mothers?
    | fathers?|parents?|wi(?:fe|ves)|husbands?|kings?|queens?|popes?|monks?|nuns?|heirs?|slaves?|serfs?|nobles?|elites?
    | family|families|friends?|crowds?|public|police|army|troops|government|council|court|state|church|team|company
    |companies
    | group|groups|nation|nations|party|communit(?:y|ies)|staff|crew|board|youth|guests?|chiefs?|gods?|humans?
    |patients?|population|class(?:es)?
    | \w{3,}(?:ers?|ors?|ists?|ians?|ants?|ents?|ees?|ates?|als?|men|women|ites?|folk|ese|herds?|smiths?) )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_NAME = re.compile(r"(?<=\S\s)[\"“‘'(]?[A-Z]|^\W*(?:[A-Z][\w.'’-]*\s){1,3}[A-Z]|[A-Z]{2}|\b\w+[a-z][A-Z]")
_NAME_AT_START = re.compile(
    r"^\W*(?!(?:The|A|An|In|On|At|By|It|This|That|These|Those|Its|There|Some|Many|Most|As|For|From|With)\b)[A-Z]"
)
_QUOTED = re.compile(r"[\"“‘«*`]")


# Words that say nothing about what a question is about.
_EMPTY = frozenset(
    "what which when where whom whose who why how does were have been that this with from into about many much "
    "more most some than then they their there these those being also made make used kind type name year called "
    "during after before between under over such only first last would could should will did the was are and for "
    "its his her has had can not".split()
)
_STEM_CHARACTERS = 5
# Fewer words may be about something that the answer calls by another name.
MIN_SHARED_WORDS, MIN_ANSWER_WORDS = 3, 8
_CONTENT = re.compile(r"[^\W\d_]{3,}")
# An answer may mean what the question names: "It was built …", "Because its walls …".
_REFERS = re.compile(
    r"\b(?:it|its|he|she|his|her|they|them|their|this|these|those|such|both|there|we|you|i)\b"
    r"|^\W*(?:because|by|to|in|on|at|from|with|for|since|through|yes|no)\b",
    re.IGNORECASE,
)
_OF = re.compile(
    r"\bwhat (?:is|are|was|were) the (?:\w+ ){0,2}?(?P<part>\w+) of (?:the |an? )?(?:\w+ ){0,2}?(?P<whole>\w+)\W*\Z",
    re.IGNORECASE,
)


def unfit_question(text: str) -> str | None:
    """What is wrong with the first labelled question of a text that is ill formed or does not fit its answer."""
    for question, answer in _pairs(text):
        if problem := question_problem(question, answer):
            return f"{problem}: {question[:100]}"
    return None


def question_problem(question: str, answer: str) -> str | None:
    """Why a question cannot have this answer, for people; None if nothing is wrong."""
    bare = question.strip().strip("*_ ")
    if not bare.endswith(("?", "？")):
        return "a question without a question mark"
    body = bare.rstrip('?？"”’)* ')
    if not _ASKS.search(body) and not _ASKS_YES_OR_NO.search(body):
        return "nothing is asked"
    if _UNFINISHED.search(body):
        return "the question breaks off"
    if _DISAGREES.search(body):
        return "singular and plural do not agree"
    if _turns_around(body, answer):
        return "the question turns 'of' around"
    if _is_about_something_else(body, answer):
        return "none of its words is in the answer"
    return next((lack for asked, has, lack in _KINDS if asked.search(body) and not has(answer)), None)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    return ((match["question"], match["answer"]) for match in _LABELLED.finditer(text))


def _is_about_something_else(question: str, answer: str) -> bool:
    asked = _stems(question)
    return (
        len(asked) >= MIN_SHARED_WORDS
        and len(answer.split()) >= MIN_ANSWER_WORDS
        and not _REFERS.search(answer)
        and asked.isdisjoint(_stems(answer))
    )


def _stems(text: str) -> set[str]:
    words = (word.lower() for word in _CONTENT.findall(text))
    return {word[:_STEM_CHARACTERS] for word in words if word not in _EMPTY}


def _turns_around(question: str, answer: str) -> bool:
    """It asks for the vector of the word, where the answer has the word of the vector."""
    if not (match := _OF.search(question)):
        return False
    part, whole = (re.escape(match[name][:_STEM_CHARACTERS]) for name in ("part", "whole"))

    def stands(one: str, other: str) -> bool:
        return bool(re.search(rf"\b{one}\w*(?: \w+){{0,2}} of(?: \w+){{0,3}} {other}", answer, re.IGNORECASE))

    return stands(whole, part) and not stands(part, whole)


def _has_person(answer: str) -> bool:
    return bool(_PERSON.search(answer) or _NAME.search(answer) or _NAME_AT_START.match(answer))


def _has_name(answer: str) -> bool:
    return bool(
        _NAME.search(answer)
        or _NAME_AT_START.match(answer)
        or _QUOTED.search(answer)
        or re.search(r"\d|\b(?:called|named|known|termed|dubbed)\b", answer)
    )


# What a question asks for, what shows that the answer has it, and what to say if it has not.
_KINDS: tuple[tuple[re.Pattern[str], Callable[[str], bool], str], ...] = (
    (
        re.compile(r"^\W*(?:about |approximately )?how (?:many|much)\b(?! of\b)", re.IGNORECASE),
        lambda answer: bool(_NUMBER.search(answer) or _AMOUNT.search(answer)),
        "it asks how many, and the answer has no number",
    ),
    (
        re.compile(r"\b(?:what|which) year\b(?! of\b)", re.IGNORECASE),
        lambda answer: bool(_YEAR.search(answer)),
        "it asks for a year, and the answer has none",
    ),
    (
        re.compile(
            r"^\W*(?:(?:in|during|on|by|since|from|until|around)\s)?(?:what|which) (?:date"
            r"|century|decade)\b(?!\w)",
            re.IGNORECASE,
        ),
        lambda answer: bool(
            re.search(r"\d", answer)
            or _NUMBER.search(answer)
            or re.search(r"\b(?:year|date|century|decade)", answer, re.IGNORECASE)
        ),
        "it asks for a date, and the answer has none",
    ),
    (
        re.compile(r"^\W*(?:since |until |by )?when\b", re.IGNORECASE),
        lambda answer: bool(_TIME.search(answer)),
        "it asks when, and the answer has no time",
    ),
    (
        re.compile(r"^\W*(?:(?:by|to|with|for|from|of)\s)?(?:who|whom|whose)\b", re.IGNORECASE),
        _has_person,
        "it asks who, and nobody is in the answer",
    ),
    (
        re.compile(r"\bwhat (?:is|was) the name of\b", re.IGNORECASE),
        _has_name,
        "it asks for a name, and the answer has none",
    ),
)
