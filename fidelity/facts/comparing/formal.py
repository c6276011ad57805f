"""Compares formulas, calculation steps, answers and literals of a rewrite with those of its source."""

from collections import Counter
from collections.abc import Sequence

from fidelity.facts.comparing.pairing import Pairing, exchanged
from fidelity.facts.comparing.typed import Findings, discrepancies, shares
from fidelity.facts.reading.literals import Literal
from fidelity.facts.reading.mathematics import (
    MAX_SYMBOLIC_CALLS,
    Answer,
    Formula,
    Told,
    chains,
    equal_answers,
    equal_formulas,
    normal_form,
    unboxed,
    without_delimiters,
    worked_out,
)
from fidelity.facts.reading.parsed import Parsed
from rephrase.records import Discrepancy

# Two formulas with at least this share of common character bigrams may be one formula that was changed.
MIN_SIMILARITY = 0.5


def compare_formulas(pairing: Pairing, *, symbolic: bool) -> Findings:
    """Scores and discrepancies of formulas, equal up to notation; with `symbolic` also if SymPy proves them equal.

    A step that is worked out, and a chain of equations with other steps in between, differ in nothing.
    """
    ours, theirs = pairing.rewrite.formulas, pairing.source.formulas
    our_forms, their_forms = {formula.form for formula in ours}, {formula.form for formula in theirs}
    # A rewrite may write a formula without delimiters, so its whole text is searched.
    rewrite_form = normal_form(pairing.rewrite.text) if their_forms - our_forms else ""
    source_form = normal_form(pairing.source.text) if our_forms - their_forms else ""
    unsupported = [formula for formula in ours if formula.form not in their_forms and formula.form not in source_form]
    missing = [formula for formula in theirs if formula.form not in our_forms and formula.form not in rewrite_form]
    unsupported, missing = _without_told(unsupported, theirs), _without_told(missing, ours)
    if unsupported and missing:
        unsupported, missing = _without_equal(unsupported, missing, symbolic)
    changed = _changed(unsupported, missing)
    reported = {id(formula) for a, b, _ in changed for formula in (a, b)}
    # The same formula may be right in one place and changed in another.
    changed += [
        (pair.rewrite, pair.source, pair.confidence)
        for pair in exchanged(pairing, ours, theirs, lambda a, b: a.form == b.form, lambda formula: True)
        if not {id(pair.rewrite), id(pair.source)} & reported
        and _similarity(pair.rewrite.form, pair.source.form) >= MIN_SIMILARITY
    ]
    scores = shares("formula", unsupported, missing, len(our_forms), len(their_forms), lambda formula: formula.form)
    scores["formula_exchanged"] = sum(similarity for _, _, similarity in changed)
    found = [
        Discrepancy(
            kind="formula",
            problem="changed",
            source=(b.start, b.end),
            rewrite=(a.start, a.end),
            detail=f"{a.form}; the source has {b.form}",
        )
        for a, b, _ in changed
    ]
    reported = {id(formula) for a, b, _ in changed for formula in (a, b)}
    found += discrepancies(
        "formula",
        pairing,
        [formula for formula in unsupported if id(formula) not in reported],
        [formula for formula in missing if id(formula) not in reported],
        [],
    )
    return scores, found


def _without_told(formulas: Sequence[Formula], others: Sequence[Formula]) -> list[Formula]:
    """The formulas without right calculations, and without chains that the other text tells in other steps."""
    told = Told(unboxed(other.form) for other in others)

    def is_known(chain: list[str]) -> bool:
        return worked_out(chain) or told.tells(chain)

    return [formula for formula in formulas if not all(map(is_known, chains(unboxed(formula.form)) or [[""]]))]


def _without_equal(
    unsupported: list[Formula], missing: list[Formula], symbolic: bool
) -> tuple[list[Formula], list[Formula]]:
    """Both lists without the pairs that SymPy finds equal; at most MAX_SYMBOLIC_CALLS pairs are tried."""
    tried = 0
    equal_ours: set[str] = set()
    equal_theirs: set[str] = set()
    for a in {formula.form for formula in unsupported}:
        for b in {formula.form for formula in missing} - equal_theirs:
            if tried >= MAX_SYMBOLIC_CALLS or not (symbolic or sorted(a) == sorted(b)):
                continue
            tried += 1
            if equal_formulas(a, b):
                equal_ours.add(a)
                equal_theirs.add(b)
                break
    return (
        [formula for formula in unsupported if formula.form not in equal_ours],
        [formula for formula in missing if formula.form not in equal_theirs],
    )


def _changed(unsupported: Sequence[Formula], missing: Sequence[Formula]) -> list[tuple[Formula, Formula, float]]:
    """Each new formula paired with the most similar missing one, and their similarity."""
    found = []
    left = list({formula.form: formula for formula in missing}.values())[:100]
    for formula in list({formula.form: formula for formula in unsupported}.values())[:100]:
        if not left:
            break
        other = max(left, key=lambda other: _similarity(formula.form, other.form))
        if (similarity := _similarity(formula.form, other.form)) >= MIN_SIMILARITY:
            found.append((formula, other, similarity))
            left.remove(other)
    return found


def _similarity(a: str, b: str) -> float:
    """The Dice coefficient of character bigrams, or of single characters for short formulas."""
    n = 1 if min(len(a), len(b)) < 8 else 2
    ours, theirs = (Counter(text[i : i + n] for i in range(len(text) - n + 1)) for text in (a, b))
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


def compare_literals(pairing: Pairing) -> Findings:
    """Scores and discrepancies of code, addresses and citations."""
    ours, theirs = pairing.rewrite.literals, pairing.source.literals
    unsupported = [literal for literal in ours if not _occurs(literal, pairing.source.text, theirs)]
    missing = [literal for literal in theirs if not _occurs(literal, pairing.rewrite.text, ours)]
    n_ours, n_theirs = len({literal.key for literal in ours}), len({literal.key for literal in theirs})
    scores = shares("literal", unsupported, missing, n_ours, n_theirs, lambda literal: literal.key)
    scores["literal_exchanged"] = min(scores["literal_unsupported"], scores["literal_missing"])
    return scores, discrepancies("literal", pairing, unsupported, missing, [])


def _occurs(literal: Literal, text: str, others: Sequence[Literal]) -> bool:
    """Among the other text's literals or, for code, anywhere in the text: backticks are a matter of style."""
    if any(literal.key == other.key for other in others):
        return True
    return literal.kind == "code" and literal.key in text


def _states_answer(answer: Answer, text: Parsed) -> bool:
    """The answer occurs somewhere in a text that does not mark one."""
    if answer.number is not None and any(answer.number in number.values for number in text.numbers):
        return True
    return normal_form(without_delimiters(answer.text)) in normal_form(text.text)


def compare_steps(pairing: Pairing) -> Findings:
    """Scores and discrepancies of calculation steps and of the final answer."""
    known = {(step.value, step.claimed) for step in pairing.source.steps}
    # A step that is wrong in the source was not changed by the rewrite.
    wrong = [step for step in pairing.rewrite.steps if not step.holds and (step.value, step.claimed) not in known]
    results = {round(step.value, 6) for step in pairing.source.steps}
    backed = [step for step in pairing.rewrite.steps if round(step.value, 6) in results]
    ours, theirs = pairing.rewrite.answer, pairing.source.answer
    differs = ours is not None and theirs is not None and not equal_answers(ours, theirs)
    lost = ours is None and theirs is not None and not _states_answer(theirs, pairing.rewrite)
    scores = {
        "step_errors": float(len(wrong)),
        "step_support": len(backed) / len(pairing.rewrite.steps) if pairing.rewrite.steps and results else 1.0,
        "answer_mismatch": float(differs),
        "answer_missing": float(lost),
    }
    found = [
        Discrepancy(
            kind="step",
            problem="changed",
            source=None,
            rewrite=(step.start, step.end),
            detail=f"{pairing.rewrite.text[step.start : step.end]}; {step.left} is {step.value:g}",
        )
        for step in wrong
    ]
    if differs and ours and theirs:
        found.insert(
            0,
            Discrepancy(
                kind="answer",
                problem="changed",
                source=(theirs.start, theirs.end),
                rewrite=(ours.start, ours.end),
                detail=f"{ours.text}; the source has {theirs.text}",
            ),
        )
    return scores, found
