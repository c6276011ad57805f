"""Compares aligned sentences: their content words, the order of their facts, and their polarity."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from fidelity.facts.comparing.alignment import Aligned
from fidelity.facts.comparing.pairing import MIN_ALIGNED, Pairing
from fidelity.facts.comparing.typed import Findings
from fidelity.facts.reading import polarity
from fidelity.facts.reading.notation.roman import roman_value
from fidelity.facts.reading.wordnet import Meanings
from fidelity.facts.reading.words import STOP_WORDS, Sentence, Span, Word
from rephrase.records import Discrepancy

# A sentence with less than this share found on the other side is reported as unsupported or missing.
MIN_SUPPORT = 0.3
# A sentence with fewer content words says too little to be reported.
MIN_WORDS = 4
_NEIGHBOURS = 3
_PAIR_DISTANCE = 6
_DEGREES = frozenset("more less fewer".split())
# Names on both sides of these may change places.
_BESIDE = frozenset("and or nor with both either married met marries meets".split())


def compare_content(pairing: Pairing) -> Findings:
    """How much of the words of each sentence its aligned sentences contain."""
    found = [
        _sentence("unsupported", None, sentence)
        for sentence, aligned in zip(pairing.rewrite.sentences, pairing.support, strict=True)
        if aligned.share < MIN_SUPPORT and len(sentence.stems) >= MIN_WORDS
    ]
    found += [
        _sentence("missing", sentence, None)
        for sentence, aligned in zip(pairing.source.sentences, pairing.coverage, strict=True)
        if aligned.share < MIN_SUPPORT and len(sentence.stems) >= MIN_WORDS
    ]
    support = _weighed(pairing, pairing.rewrite.sentences, [aligned.share for aligned in pairing.support])
    coverage = _weighed(pairing, pairing.source.sentences, [aligned.share for aligned in pairing.coverage])
    there = {word.stem for word in pairing.source.words}
    stems = {word.stem: word.lower for word in pairing.rewrite.words if word.is_content}
    new = stems.keys() - there
    if pairing.rewrite.language == "en":
        lost = [word for word in pairing.source.words if word.is_content and word.stem not in stems]
        meanings = Meanings(word.lower for word in lost)
        opposites = frozenset().union(*(polarity.opposites_of(word.stem) for word in lost))
        new = {key for key in new if key in opposites or not meanings.relates_to(stems[key])}
    weight = sum(pairing.weights.get(key, 1.0) for key in stems)
    novel = sum(pairing.weights.get(key, 1.0) for key in new)
    scores = {
        "content_support": support[0],
        "content_support_min": support[1],
        "content_coverage": coverage[0],
        "content_coverage_min": coverage[1],
        "content_novel": novel / weight if weight else 0.0,
        "content_exchanged": _exchanged_words(pairing, there),
        "relation_support": _relations(pairing),
        "sentence_dropped": _alone(pairing, pairing.source.sentences, pairing.rewrite.sentences, pairing.support),
        "sentence_added": _alone(pairing, pairing.rewrite.sentences, pairing.source.sentences, pairing.coverage),
    }
    return scores, found


def _weighed(pairing: Pairing, sentences: Sequence[Sentence], shares: Sequence[float]) -> tuple[float, float]:
    """The mean, weighted by the words of the sentences, and the minimum over the sentences long enough to count."""
    weights = [sum(pairing.weights[key] for key in sentence.stems) for sentence in sentences]
    if not sum(weights):
        return 1.0, 1.0
    mean = sum(weight * share for weight, share in zip(weights, shares, strict=True)) / sum(weights)
    long = [share for share, sentence in zip(shares, sentences, strict=True) if len(sentence.stems) >= MIN_WORDS]
    return mean, min(long, default=mean)


def _alone(
    pairing: Pairing, sentences: Sequence[Sentence], others: Sequence[Sentence], others_cover: Sequence[Aligned]
) -> float:
    """The largest share of a sentence's words that it does not contribute to covering any sentence of the other side.

    A sentence whose words all occur somewhere on the other side may still have no sentence there that says the same.
    """
    said: dict[int, set[str]] = {}
    for other, aligned in zip(others, others_cover, strict=True):
        left = set(other.stems)
        for index in aligned.cover:
            # A word that an earlier sentence of the cover has is not needed from this one.
            said.setdefault(index, set()).update(left)
            left -= sentences[index].stems
    most = 0.0
    for index, sentence in enumerate(sentences):
        if len(sentence.stems) >= MIN_WORDS:
            total = sum(pairing.weights[key] for key in sentence.stems)
            alone = sum(pairing.weights[key] for key in sentence.stems - said.get(index, set()))
            most = max(most, alone / total)
    return most


def _exchanged_words(pairing: Pairing, there: set[str]) -> float:
    """Weight of words new to the source where the aligned sentence lost others; the maximum over sentences."""
    most = 0.0
    for index, aligned in enumerate(pairing.support):
        if aligned.best < MIN_ALIGNED:
            continue
        sentence, best = pairing.rewrite.sentences[index], pairing.source.sentences[aligned.cover[0]]
        new = sum(pairing.weights[key] for key in sentence.stems - there)
        lost = sum(pairing.weights[key] for key in best.stems - sentence.stems)
        most = max(most, min(new, lost) * aligned.best)
    return most


def _relations(pairing: Pairing) -> float:
    """The share of the rewrite's adjacent content words, both known to the source, that are also near each other there.

    A word that moved within the sentence keeps its neighbours only if it still says the same about them.
    """
    places: dict[str, list[int]] = {}
    for i, word in enumerate(pairing.source.words):
        if word.is_content or word.text[0].isdigit():
            places.setdefault(word.stem, []).append(i)
    near = total = 0
    for sentence in pairing.rewrite.sentences:
        content = [word.stem for word in sentence.words if word.stem in places]
        for a, b in pairwise(content):
            if a == b:
                continue
            total += 1
            near += any(abs(i - j) <= _PAIR_DISTANCE for i in places[a] for j in places[b])
    return near / total if total else 1.0


def compare_polarity(pairing: Pairing) -> Findings:
    """Negations, opposites, directions, quantifiers and modality of aligned sentences; the maximum over sentences."""
    lexicon = polarity.lexicon()
    scores = dict.fromkeys(
        (
            "negation_mismatch",
            "negation_count",
            "antonym_mismatch",
            "direction_mismatch",
            "quantifier_mismatch",
            "modality_mismatch",
        ),
        0.0,
    )
    found: list[tuple[float, Discrepancy]] = []

    def add(name: str, amount: float, kind: str, ours: Word | None, theirs: Word | None) -> None:
        scores[name] = max(scores[name], amount)
        detail = f"{ours.text if ours else 'nothing'}; the source has {theirs.text if theirs else 'nothing'}"
        source, rewrite = _place(theirs), _place(ours)
        found.append((amount, Discrepancy(kind=kind, problem="changed", source=source, rewrite=rewrite, detail=detail)))

    for index, aligned in enumerate(pairing.support):
        if aligned.best < MIN_ALIGNED:
            continue
        cover, back = pairing.block(index)
        ours, theirs = list(pairing.rewrite.sentences[index].words), pairing.source_words(cover)
        ours_all = pairing.rewrite_words(back)
        best = pairing.source.sentences[aligned.cover[0]].words
        difference = abs(polarity.negative_count(ours_all) - polarity.negative_count(theirs))
        # A negation that moved, with half of a sentence or to another word, is still in the block; "not working" may
        # become "fails to work".
        if difference and len(polarity.negations(ours_all)) != len(polarity.negations(theirs)):
            there = [pairing.source.sentences[i].words for i in cover]
            here = [pairing.rewrite.sentences[i].words for i in back]
            for a, b in polarity.negated_differently(ours, best, rewrite_around=here, source_around=there)[:1]:
                add("negation_mismatch", aligned.best, "negation", a, b)
        scores["negation_count"] = max(scores["negation_count"], difference * aligned.share)
        for a, b, similarity in polarity.opposites(ours, theirs, lexicon.antonyms):
            add("antonym_mismatch", similarity, "antonym", a, b)
        for a, b, similarity in polarity.prefixed_opposites(ours, theirs):
            add("antonym_mismatch", similarity, "antonym", a, b)
        if not polarity.sides_changed(ours, theirs):
            for a, b, similarity in polarity.opposites(ours, theirs, lexicon.direction):
                add("direction_mismatch", similarity, "direction", a, b)
        for name, kind, table in (
            ("quantifier_mismatch", "quantifier", lexicon.quantifiers),
            ("modality_mismatch", "modality", lexicon.modality),
        ):
            mine, others = polarity.classes(ours, table), polarity.classes(theirs, table)
            new, gone = mine.keys() - others.keys(), others.keys() - polarity.classes(ours_all, table).keys()
            if new and gone:
                add(name, aligned.share, kind, mine[min(new)], others[min(gone)])
            elif new or gone:
                scores[name] = max(scores[name], 0.5 * aligned.share)
    found.sort(key=lambda pair: -pair[0])
    return scores, [discrepancy for amount, discrepancy in found if amount >= 0.5]


def compare_order(pairing: Pairing) -> Findings:
    """Two names or two numbers of one sentence that were swapped, detected by the words around them."""
    swap = 0.0
    found: list[Discrepancy] = []
    for index, aligned in enumerate(pairing.support):
        if aligned.best < MIN_ALIGNED:
            continue
        ours = list(pairing.rewrite.sentences[index].words)
        cover = aligned.cover[:1] if aligned.best > 0.8 * aligned.share else aligned.cover
        theirs = pairing.source_words(cover)
        if _compared_the_other_way(ours, theirs):
            swap = 1.0
            place = (ours[0].start, ours[-1].end)
            detail = "the two sides of the comparison are swapped"
            found.append(Discrepancy(kind="swap", problem="changed", source=None, rewrite=place, detail=detail))
        # If one of them is passive, what was on the left may now be on the right, or not.
        orders = (False, True) if _passive(ours) != _passive(theirs) else (False,)
        for belongs in (_is_name, _is_digits):
            amount, pair = _swapped(ours, theirs, belongs, orders)
            if amount > swap:
                swap = amount
            if pair and amount >= 0.5:
                a, b = pair
                detail = f"{a.text} and {b.text} are swapped"
                place = (min(a.start, b.start), max(a.end, b.end))
                found.append(Discrepancy(kind="swap", problem="changed", source=None, rewrite=place, detail=detail))
    return {"swap": swap}, found


def _compared_the_other_way(ours: Sequence[Word], theirs: Sequence[Word]) -> bool:
    """Says "more men than women" for "more women than men"."""
    if not polarity.sides_changed(ours, theirs) or polarity.opposites(ours, theirs, polarity.lexicon().direction):
        return False
    degrees = [
        {word.stem for word in words if word.lower in _DEGREES or word.lower.endswith("er")} for words in (ours, theirs)
    ]
    return bool(degrees[0] & degrees[1]) and len(polarity.negations(ours)) == len(polarity.negations(theirs))


def _is_name(word: Word) -> bool:
    return word.is_capitalized and word.is_content


def _is_digits(word: Word) -> bool:
    """A number in digits or a Roman numeral."""
    return word.text[0].isdigit() or (len(word.text) > 1 and word.text.isupper() and roman_value(word.text) is not None)


def _are_equals(words: Sequence[Word], a: int, b: int, belongs: Callable[[Word], bool]) -> bool:
    """Between the two words are only others like them and what puts them beside each other: "Paris, Rome and Oslo"."""
    between = words[min(a, b) + 1 : max(a, b)]
    return all(belongs(word) or word.lower in _BESIDE for word in between)


def _passive(words: Sequence[Word]) -> bool:
    """Has "was … by": subject and object are reversed."""
    lower = [word.lower for word in words]
    return "by" in lower and any(word in ("was", "were", "been", "being", "is", "are") for word in lower)


def _swapped(
    ours: Sequence[Word], theirs: Sequence[Word], belongs: Callable[[Word], bool], orders: Sequence[bool]
) -> tuple[float, tuple[Word, Word] | None]:
    """How much better two of these words fit their surroundings in the source if they are swapped, and the words.

    The gain is the minimum over all `orders` of left and right.
    """
    places = _unique(ours, belongs), _unique(theirs, belongs)
    shared = [key for key in places[0] if key in places[1]]
    if len(shared) < 2:
        return 0.0, None
    keys = set(shared)
    mine = {key: _surroundings(ours, places[0][key], keys, False) for key in shared}
    others = [{key: _surroundings(theirs, places[1][key], keys, flipped) for key in shared} for flipped in orders]
    most, pair = 0.0, None
    for i, a in enumerate(shared):
        for b in shared[i + 1 :]:
            if all(_are_equals(words, at[a], at[b], belongs) for words, at in zip((ours, theirs), places, strict=True)):
                continue
            gain = min(
                _overlap(mine[a], side[b])
                + _overlap(mine[b], side[a])
                - _overlap(mine[a], side[a])
                - _overlap(mine[b], side[b])
                for side in others
            )
            if gain > most:
                most, pair = gain, (ours[places[0][a]], ours[places[0][b]])
    return most / 2, pair


def _unique(words: Sequence[Word], belongs: Callable[[Word], bool]) -> dict[str, int]:
    """The positions of these words, omitting those that occur more than once."""
    found: dict[str, int] = {}
    twice: set[str] = set()
    for i, word in enumerate(words):
        if belongs(word):
            if word.stem in found:
                twice.add(word.stem)
            found[word.stem] = i
    return {key: i for key, i in found.items() if key not in twice}


def _surroundings(words: Sequence[Word], at: int, without: set[str], flipped: bool) -> dict[tuple[str, str], float]:
    """The nearest words on each side except the facts themselves, as (side, stem); the nearest has the most weight."""
    left = [word.stem for word in words[max(0, at - 8) : at] if word.stem not in without and not _empty(word)][::-1]
    right = [word.stem for word in words[at + 1 : at + 9] if word.stem not in without and not _empty(word)]
    found: dict[tuple[str, str], float] = {}
    for side, keys in zip(("right", "left") if flipped else ("left", "right"), (left, right), strict=True):
        for distance, key in enumerate(keys[:_NEIGHBOURS], start=1):
            found.setdefault((side, key), 1 / distance)
    return found


def _empty(word: Word) -> bool:
    """Says nothing about its neighbours. Prepositions do: "from A to B" is not "from B to A"."""
    return word.lower in ("the", "a", "an", "s") or (word.lower in STOP_WORDS and len(word.lower) > 4)


def _overlap(a: dict[tuple[str, str], float], b: dict[tuple[str, str], float]) -> float:
    common = sum(min(weight, b[key]) for key, weight in a.items() if key in b)
    least = min(sum(a.values()), sum(b.values()))
    return common / least if least else 0.0


def ends_unfinished(text: str) -> bool:
    """The text does not end like a sentence, a list, a formula or a table."""
    end = text.rstrip()
    return bool(end) and (end[-1].isalnum() or end[-1] in ",;:-–—(") and len(end.split("\n")[-1].split()) > 6


def _place(fact: Word | Sentence | None) -> Span | None:
    return (fact.start, fact.end) if fact else None


def _sentence(problem: str, source: Sentence | None, rewrite: Sentence | None) -> Discrepancy:
    sentence = source or rewrite
    assert sentence is not None
    words = " ".join(word.text for word in sentence.words[:12])
    tail = "…" if len(sentence.words) > 12 else ""
    return Discrepancy(
        kind="sentence",
        problem="missing" if problem == "missing" else "unsupported",
        source=_place(source),
        rewrite=_place(rewrite),
        detail=f"{words}{tail} {'from the source is missing' if source else 'is not in the source'}",
    )
