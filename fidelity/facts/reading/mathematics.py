r"""Formulas, arithmetic steps and final answers, and whether two are equal up to notation.

math-verify and SymPy decide where normalization does not. Both can run for minutes on a small input (9^9^9), and their
own time limits rely on signals, which fail outside the main thread. So their inputs are bounded instead: short, few
digits, no towers of exponents, no sums or integrals, and few comparisons for each pair of texts.
"""

import ast
import logging
import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fidelity.facts.reading.numbers import MAX_DIGITS
from rephrase.corpus.latex import inside
from rephrase.corpus.protected import code_spans, formula_spans

MAX_SYMBOLIC_CHARACTERS = 60
MAX_STEP_CHARACTERS = 200
# A longer "the answer is …" is a sentence, not an answer.
MAX_SAID_CHARACTERS = 60
# Comparisons by SymPy for one pair of texts; each takes 20 to 160 ms.
MAX_SYMBOLIC_CALLS = 3

_DELIMITERS = re.compile(r"^(?:\$\$?|\\\[|\\\()|(?:\$\$?|\\\]|\\\))$")
# Around a whole display: its environment, with the columns of IEEEeqnarray, or an author's macro for it. Whether the
# lines are numbered and how they are aligned is notation, except in what is a part of a formula: a matrix, cases.
_DISPLAY_BEGIN = re.compile(
    r"^\\(?:begin\{(?:[a-zA-Z]*(?:equations?|eqn?|eqnarray|align|aligned|alignat|gather|gathered|multline|split|math|dmath|dgroup|dseries))\*?\}"
    r"(?:[\[{][^\[\]{}\\]{0,20}[\]}])?|b(?:e|a)[a-z]{0,6}(?![a-zA-Z])|startformula)\s*"
)
_DISPLAY_END = re.compile(
    r"\s*\\(?:end\{[a-zA-Z]*(?:equations?|eqn?|eqnarray|align|aligned|alignat|gather|gathered|multline|split|math|dmath|dgroup|dseries)\*?\}"
    r"|e(?:e|a)[a-z]{0,6}|stopformula)$"
)
# An align within subequations, a split within an equation.
_MAX_NESTED = 3
# Marks of alignment, where no matrix or case needs them.
_ALIGNMENT = re.compile(r"(?<!\\)&")
_INNER = re.compile(r"\\(?:begin|end)\{")
_NOT_MATHEMATICS = re.compile(
    r"\\(?:label|ref|tag|nonumber|notag|IEEEyesnumber|IEEEnonumber)\*?(?:\{[^{}]*\})?"
    r"|(?<!\\)\\[,;:! ]|~|\s+|(?<![.,;])[.,;]+$"
)
# Each alternative ends where its line does, or sees no more than a short answer may have: the patterns of this file run
# over whole documents, so none may try a place twice.
_ANSWER = re.compile(
    r"####\s*+(?P<hashes>[^\n]++)"
    r"|\\boxed\s*+\{(?P<boxed>(?:[^{}]++|\{(?:[^{}]++|\{[^{}]*+\})*+\})*+)\}"
    r"|^[^\S\n]*+(?:\*\*)?(?:A|Answer|Final answer)(?:\*\*)?[^\S\n]*+[:=]\s*+(?:\*\*)?(?P<label>[^\n]++)"
    r"|\banswer\s++is\s*+:?\s*+(?=(?P<said>[^\n]{1,80}+))",
    re.MULTILINE | re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\s*+\{((?:[^{}]++|\{(?:[^{}]++|\{[^{}]*+\})*+\})*+)\}")
_FRACTION_OF = re.compile(r"\\frac\{([^{}]*+)\}\{([^{}]*+)\}")
_ROOT_OF = re.compile(r"\\sqrt\{([^{}]*+)\}")
_POWER_OF = re.compile(r"\^(?:\{(-?\d{1,2})\}|(\d))")
_CALCULATION = re.compile(r"[\d.()+*/-]+")
_MIXED = re.compile(r"(?<![\d.])(\d{1,9})\\frac\{(\d{1,9})\}\{(\d{1,9})\}")
_BETWEEN_EQUATIONS = (",", ";", "\\implies", "\\Rightarrow", "\\Longrightarrow", "\\iff", "\\Leftrightarrow")
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\})(?=\d{3}(?!\d))")
_SAME = [
    (re.compile(r"\s+"), " "),
    (re.compile(r"\\\\\*?\[-?[\d.]+\s?(?:pt|em|ex|mm|cm|in|mu)\]"), r"\\\\"),  # a line break with a distance
    (re.compile(r"\\(?:left|right|bigl?|bigr|Bigl?|Bigr|displaystyle|textstyle|limits|nolimits)(?![a-zA-Z])"), ""),
    (re.compile(r"\\[dt]frac"), r"\\frac"),
    (re.compile(r"\\(?:cdot|times|ast)(?![a-zA-Z])|×|·"), "*"),
    (re.compile(r"(?<![\d\s^])\s*\*\s*|\s*\*\s*(?=[a-zA-Z(]|\\(?!frac))"), " "),
    (re.compile(r"\\(?:[lr]vert|vert)(?![a-zA-Z])"), "|"),
    (re.compile(r"\\(?:[lr]Vert|Vert)(?![a-zA-Z])"), r"\\|"),
    (re.compile(r"\\colon(?![a-zA-Z])"), ":"),
    (re.compile(r"\\rightarrow(?![a-zA-Z])|→"), r"\\to "),
    (re.compile(r"\\(?:boldsymbol|bm|bf)(?![a-zA-Z])"), r"\\mathbf"),
    (re.compile(r"\\varepsilon(?![a-zA-Z])"), r"\\epsilon "),
    (re.compile(r"\^(?:\{\\prime\}|\\prime(?![a-zA-Z]))"), "'"),
    (re.compile(r"\\(?:l|c)dots(?![a-zA-Z])"), r"\\dots "),
    (re.compile(r"\\div(?![a-zA-Z])|÷"), "/"),
    (re.compile(r"\\leqslant|\\leq(?![a-zA-Z])|≤"), r"\\le "),
    (re.compile(r"\\geqslant|\\geq(?![a-zA-Z])|≥"), r"\\ge "),
    (re.compile(r"\\neq(?![a-zA-Z])|≠"), r"\\ne "),
    (re.compile(r"\\(?:mathrm|text|mathit|operatorname|mbox)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"−|–"), "-"),
    (re.compile(r"\\(?:quad|qquad)(?![a-zA-Z])"), ""),
    (re.compile(r"([_^])\{(\w)\}"), r"\1\2"),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\\\$"), ""),
]
# A chain of numbers and signs, read once from its first number to its last, and the value claimed after it, if there is
# one; GSM8K's <<…>> are blanked before.
_STEP = re.compile(
    r"(?<![\w.^_])(?:(?<![\d.,][.,])|(?=[($€£]))(?P<left>[($€£]{0,8}+\d[\d.,]*+%?+"
    r"(?:(?:\s[a-z]{2,}+)?+\s*+[)]*+\s*+(?:[-+*/×÷−–]|x(?=[\s\d($]))\s*+[($€£]*+\d[\d.,]*+%?+)++\)*+)"
    r"(?:(?:\s[a-z]{2,}+)?+\s*+="
    r"(?=\s*+[$€£]?\s*+(?P<right>-?\d[\d,]*+(?:\.\d++)?+)(?P<percent>%?)(?!\s*+[-+*/×÷x]\s*+[\d($])))?+"
)
_CALCULATOR = re.compile(r"<<[^<>]*>>")
_BEFORE_CHARACTERS = 40
# As in "2 · 3 + 4 = 10", where a step is read from 3 on.
_GOES_ON = re.compile(r"(?:[+*/×÷·^}]|\\(?:cdot|times|div|pm|mp))\Z")
# After one of these, or at the start of a line, a minus is a sign.
_BEFORE_SIGN = re.compile(r"(?:\A|[=(\[{:;,$<>&\n]|\\[\[(])\Z")
_NUMBER = re.compile(
    r"-?[\d.,]+(?:\*10)?(?:\^(?:\d|\{-?\d+\}))?%?|\d{1,3}/\d{1,3}|\\frac(?:\{\d{1,3}\}|\d)(?:\{\d{1,3}\}|\d)"
)
_FRACTION = re.compile(r"\\frac\{?(\d+?)\}?\{?(\d+)\}?")
# Towers of exponents and factorials, long numbers, and operators that SymPy would evaluate.
_SLOW = re.compile(r"\^\s*(?:\{[^{}]*\^|\{?\d{3,}|\{?[^{}]*!)|!|\d{7,}|\\(?:sum|prod|int|oint|lim|binom)(?![a-z])")
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: lambda base, exponent: _power(base, exponent),
}


def _power(base: float, exponent: float) -> float:
    """
    Raises:
        ValueError: it is no real number, or a large one.
    """
    if abs(exponent) > 99 or abs(base) > 1e6 or (base < 0 and exponent != int(exponent)):
        raise ValueError(f"{base} to the power of {exponent}")
    return float(base**exponent)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula; `form` is equal for formulas that differ only in delimiters, spacing and spelling."""

    form: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Step:
    """An arithmetic step, "48 / 2 = 24": the value of the left side, and the claimed value."""

    left: str
    value: float
    claimed: float
    start: int
    end: int

    @property
    def holds(self) -> bool:
        """Whether the two values are equal up to rounding by hand."""
        return math.isclose(self.value, self.claimed, rel_tol=0.006, abs_tol=0.0051)


def plain_formula(text: str) -> str:
    """The formula without spacing, labels and trailing punctuation."""
    return _NOT_MATHEMATICS.sub("", text.strip())


def normal_form(formula: str) -> str:
    r"""The formula with unified spelling: \dfrac as \frac, \leq as \le, \left( as (, x^{2} as x^2."""
    text = formula.strip()
    for pattern, replacement in _SAME:
        text = pattern.sub(replacement, text)
    return plain_formula(text)


def unboxed(form: str) -> str:
    r"""The form without `\boxed{…}` and without separators of thousands."""
    return _THOUSANDS.sub("", _BOXED.sub(r"\1", form))


def chains(form: str) -> list[list[str]]:
    """The members of each chain `a = b = c` of a formula in normal form; a line that begins with a sign goes on."""
    found: list[list[str]] = []
    for line in _split(form, ("\\\\",)):
        for number, equation in enumerate(_split(line, _BETWEEN_EQUATIONS)):
            members = [member for member in _split(equation, ("=",)) if member]
            if found and number == 0 and equation.startswith("="):
                found[-1] += members
            elif members:
                found.append(members)
    return found


def _split(form: str, separators: tuple[str, ...]) -> list[str]:
    """The parts of a formula between separators that stand in no braces, brackets or inner environment."""
    parts, depth, last, position = [], 0, 0, 0
    while position < len(form):
        separator = (
            next((found for found in separators if form.startswith(found, position)), None) if not depth else None
        )
        if separator:
            parts.append(form[last:position])
            position += len(separator)
            last = position
            continue
        # Half-open intervals have borders of both kinds. The name of an environment closes its own braces at once.
        if form.startswith(("\\begin{", "{", "(", "["), position):
            depth += 1
        elif form.startswith(("\\end{", "}", ")", "]"), position):
            depth = max(0, depth - 1)
        position += 2 if form.startswith(("\\\\", "\\{", "\\}"), position) else 1
    return [*parts, form[last:]]


class Told:
    """The chains of equations of a text."""

    def __init__(self, forms: Iterable[str]) -> None:
        self.chains = [chain for form in forms for chain in chains(form)]
        self._by_member: dict[str, list[list[str]]] = {}
        for chain in self.chains:
            for member in dict.fromkeys(chain):
                self._by_member.setdefault(member, []).append(chain)

    def tells(self, chain: Sequence[str], n_left_out: int = 0) -> bool:
        """Whether the text leads from one end of a chain `a = b = c = d` to the other.

        It may do so in several steps and with calculations of its own in between, of one value, but with no other
        formula in the place of one of the chain. At most `n_left_out` of the inner members may be missing.
        """
        first, last, inner = chain[0], chain[-1], chain[1:-1]
        if len(chain) < 2 or first not in self._by_member or last not in self._by_member:
            return False
        lacking = [member for member in inner if member not in self._by_member and number_of(member) is None]
        if len(lacking) > n_left_out:
            return False
        for other in self._by_member[first]:
            if last not in other:
                continue
            values = [value for value in map(number_of, {*chain, *other}) if value is not None]
            if any(not math.isclose(value, values[0]) for value in values):
                continue
            if not lacking or all(member in chain or number_of(member) is not None for member in other):
                return True
        # In several steps, where there is enough left to go by.
        n_there = sum(member in self._by_member for member in inner)
        return len(chain) > 3 and n_there >= len(inner) - n_left_out


def worked_out(chain: Sequence[str]) -> bool:
    r"""Whether all members are numbers or calculations with one value: `\sqrt{121} = 11`."""
    first, *others = [number_of(member) for member in chain]
    return bool(others) and first is not None and all(v is not None and math.isclose(v, first) for v in others)


@lru_cache(maxsize=4096)
def number_of(form: str) -> float | None:
    r"""The value of a formula in normal form without letters: `5^3`, `\frac{7+56}{8}`, `\sqrt{125-4}`."""
    text = unboxed(form)
    if len(text) > MAX_SYMBOLIC_CHARACTERS or not any(char.isdigit() for char in text):
        return None
    text = _MIXED.sub(r"(\1+(\2)/(\3))", text)
    for _ in range(_MAX_NESTED):
        text = _FRACTION_OF.sub(r"((\1)/(\2))", _ROOT_OF.sub(r"((\1)**0.5)", text))
    text = _POWER_OF.sub(lambda match: f"**({match[1] or match[2]})", text).replace(" ", "")
    text = re.sub(r"(?<=[\d)])(?=\()|(?<=\))(?=\d)", "*", text)
    return arithmetic(text) if _CALCULATION.fullmatch(text) else None


def without_delimiters(formula: str) -> str:
    """The formula without the marks around it, whichever of LaTeX's or the author's they are."""
    for _ in range(_MAX_NESTED):
        formula = _DELIMITERS.sub("", formula).strip()
        begin, end = _DISPLAY_BEGIN.match(formula), _DISPLAY_END.search(formula[-40:])
        if not begin or not end:
            break
        formula = formula[begin.end() : len(formula) - len(end.group())].strip()
    formula = _DELIMITERS.sub("", formula)
    if r"\begin" not in formula:
        return _ALIGNMENT.sub("", formula)
    # A matrix keeps its columns.
    parts, depth, end_of_last = [], 0, 0
    for border in _INNER.finditer(formula):
        part = formula[end_of_last : border.start()]
        parts += [part if depth else _ALIGNMENT.sub("", part), border.group()]
        depth += 1 if border.group() == r"\begin{" else -1
        end_of_last = border.end()
    last = formula[end_of_last:]
    return "".join([*parts, last if depth > 0 else _ALIGNMENT.sub("", last)])


def formulas(text: str) -> list[Formula]:
    """The formulas of a text, in order; a bare number between dollar signs is a number, not a formula."""
    found = []
    for start, end in formula_spans(text):
        form = normal_form(without_delimiters(text[start:end]))
        if form and not _NUMBER.fullmatch(form):
            found.append(Formula(form, start, end))
    return found


def with_plain_numbers(text: str) -> str:
    r"""The text with formulas that are one number as in other texts: $10^{23}$ as 10^23, right before what follows.

    All other characters keep their positions.
    """
    parts, last = [], 0
    for start, end in formula_spans(text):
        plain = normal_form(without_delimiters(text[start:end]).replace("{,}", ","))
        if _NUMBER.fullmatch(plain) and len(plain) <= end - start:
            plain = _FRACTION.sub(r"\1/\2", plain.replace("*10^", "×10^"))
            parts += [text[last:start], plain.rjust(end - start)]
            last = end
    return "".join([*parts, text[last:]])


def equal_formulas(a: str, b: str) -> bool:
    """Whether two formulas in normal form are equal, decided by SymPy if they are small and use the same letters."""
    return a == b or (comparable(a, b) and _verified(a, b))


def comparable(a: str, b: str) -> bool:
    """Both are small enough for SymPy and have the same letters and relations: its parser reads x = 2 as 2."""
    if max(len(a), len(b)) > MAX_SYMBOLIC_CHARACTERS or any(_SLOW.search(text) for text in (a, b)):
        return False
    letters = [sorted(set(re.findall(r"\\?[a-zA-Z]+", text)) - {"\\frac", "\\le", "\\ge"}) for text in (a, b)]
    relations = [sorted(re.findall(r"=|<|>|\\le|\\ge|\\ne", text)) for text in (a, b)]
    return letters[0] == letters[1] and relations[0] == relations[1]


@lru_cache(maxsize=4096)
def _verified(a: str, b: str) -> bool:
    from math_verify import parse, verify

    # Both warn at every call without a time limit that the caller is responsible: see the module docstring.
    for name in ("math_verify.parser", "math_verify.grader"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        parsed = [parse(f"${text}$", parsing_timeout=None, fallback_mode="no_fallback") for text in (a, b)]
        return all(parsed) and bool(verify(parsed[0], parsed[1], timeout_seconds=None))
    except Exception:  # LaTeX parsers raise all kinds of exceptions; what cannot be parsed is not proven equal.
        return False


def steps(text: str) -> list[Step]:
    """The arithmetic steps in a text that can be evaluated."""
    plain = _CALCULATOR.sub(lambda match: " " * len(match.group()), text)
    found = []
    for match in _STEP.finditer(plain):
        if match.group("right") is None or len(match.group("left")) > MAX_STEP_CHARACTERS:
            continue
        sign = _sign_before(plain, match.start())
        if sign is None:
            continue
        left = sign + _expression(match.group("left"))
        value = arithmetic(left)
        if value is None:
            continue
        if len(match.group("right")) > MAX_DIGITS:
            continue
        claimed = float(match.group("right").replace(",", ""))
        if match.group("percent") and "%" not in match.group("left") and abs(value) <= 1.5:
            claimed /= 100
        found.append(Step(left, value, claimed, match.start(), match.end("right")))
    return found


def _sign_before(text: str, start: int) -> str | None:
    """The minus before a calculation, or nothing; None if the calculation goes on from what stands before."""
    before = text[max(0, start - _BEFORE_CHARACTERS) : start].rstrip()
    if _GOES_ON.search(before):
        return None
    if before.endswith(("-", "−")):
        return "-" if _BEFORE_SIGN.search(before[:-1].rstrip()) else None
    return ""


def _expression(written: str) -> str:
    text = re.sub(r"[$€£,\s]|[a-z]{2,}", "", written)
    text = re.sub(r"[×x]", "*", text).replace("÷", "/").replace("−", "-").replace("–", "-")
    return re.sub(r"(\d[\d.]*)%", r"(\1/100)", text).strip(".")


@lru_cache(maxsize=4096)
def arithmetic(expression: str) -> float | None:
    """The value of an expression of numbers, + - * / and parentheses; None if it is not one or is too long."""
    if len(expression) > MAX_STEP_CHARACTERS:
        return None
    try:
        return _value(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    raise ValueError(f"not arithmetic: {ast.dump(node)}")


@dataclass(frozen=True, slots=True)
class Answer:
    """The final answer of a text and its span."""

    text: str
    start: int
    end: int

    @property
    def number(self) -> float | None:
        r"""The value of the answer if it is a number, with or without a unit: $1,080, 18 eggs, 45\%, \frac{1}{2}."""
        plain = re.sub(r"\\[$%,!; ]|[$€£%*]|\\text\{[^{}]*\}|\\(?:left|right)", "", self.text).strip()
        plain = re.sub(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}", r"\1/\2", plain)
        if len(plain) > MAX_DIGITS:
            return None
        match = re.fullmatch(r"(-?\d[\d,]*(?:\.\d+)?|-?\.\d+)(?:/(\d+))?(?:\s*[a-zA-Z°².\s]*)?", plain)
        if not match:
            return None
        above = float(match.group(1).replace(",", ""))
        return above / float(match.group(2)) if match.group(2) and float(match.group(2)) else above


def final_answer(text: str) -> Answer | None:
    r"""The last marked answer: `#### 72`, `\boxed{72}`, `A: 72`, "the answer is 72"."""
    found = None
    code = code_spans(text)
    for match in _ANSWER.finditer(text):
        if inside(match.start(), code):
            continue  # "A = (0,0);" of a drawing
        name = match.lastgroup or ""
        answer = match.group(name)
        if name == "said":
            answer = re.sub(r"[.!]$", "", re.split(r"\.\s", answer, maxsplit=1)[0].rstrip())
            # "The answer is not known" does not count.
            if len(answer) > MAX_SAID_CHARACTERS or not re.search(r"[\d$\\]", answer):
                continue
        answer = answer.rstrip()
        start = match.start(name)
        if name != "boxed" and (boxed := _BOXED.search(answer)):  # Answer: $\\boxed{72}$
            start, answer = start + boxed.start(1), boxed.group(1)
        if answer:
            found = Answer(answer, start, start + len(answer))
    return found


def equal_answers(a: Answer, b: Answer) -> bool:
    """Equal as numbers, as text or as formulas."""
    if a.number is not None and b.number is not None:
        return math.isclose(a.number, b.number, rel_tol=1e-6, abs_tol=1e-9)
    ours, theirs = (normal_form(without_delimiters(answer.text)).lower() for answer in (a, b))
    return ours == theirs or equal_formulas(normal_form(a.text), normal_form(b.text))
