"""Formulas are equal up to notation, steps are evaluated, answers are compared; nothing can run for long."""

import threading

import pytest
from cpu_time import ends_within

from fidelity.facts.comparing.compare import compare_facts
from fidelity.facts.reading.mathematics import (
    _verified,
    arithmetic,
    equal_formulas,
    final_answer,
    formulas,
    normal_form,
    number_of,
    steps,
)
from fidelity.facts.reading.parsed import parse


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("x^2+1", "1+x^2", True),
        (r"\dfrac{1}{2}", r"\frac12", True),
        (r"a \leq b", r"a\le b", True),
        (r"\left(x\right)", "(x)", True),
        ("2x+2", "2(x+1)", True),
        ("x^2+1", "x^2-1", False),
        ("a-b", "b-a", False),
        ("x=2", "y=2", False),
        ("x=2", "x=3", False),
    ],
)
def test_equal_up_to_notation(a, b, equal):
    assert equal_formulas(normal_form(a), normal_form(b)) is equal


def test_slow_inputs_are_skipped_and_threads_work():
    found = []

    def compare():
        for a, b in [("9^{9^{9^9}}", "9^{9^9}9"), ("100000!", "!100000"), (r"\sum_{i=1}^n i", r"\sum_{i=1}^n 1i")]:
            found.append(equal_formulas(a, b))
        found.append(equal_formulas("x+1", "1+x"))

    def compare_in_a_thread():
        found.clear()
        _verified.cache_clear()
        thread = threading.Thread(target=compare)
        thread.start()
        thread.join()

    assert ends_within(10, compare_in_a_thread)
    assert found == [False, False, False, True]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("48/2 = <<48/2=24>>24 clips", [("48/2", 24, True)]),
        ("48+24 = 73", [("48+24", 73, False)]),
        ("(3+4)*2=14", [("(3+4)*2", 14, True)]),
        ("50% * 20 = 10", [("(50/100)*20", 10, True)]),
        ("$5 x 3 = $15", [("5*3", 15, True)]),
        ("6 dollars * 3 = $<<6*3=18>>18", [("6*3", 18, True)]),
        ("10/3 = 3.33", [("10/3", 3.33, True)]),
        ("2+2 = 2*2 = 4", [("2*2", 4, True)]),
        ("from 1990-1995, x = 2", []),
        ("f(-1) = 5(-1) + 3 = -5 + 3 = -2", [("-5+3", -2, True)]),
        ("g = (-2)^2 - 2 = 4 - 2 = 2", [("4-2", 2, True)]),
        (r"2 \cdot 3 + 4 = 10 and x - 5 + 3 = 7", []),
        (r"$-5 + 3 = -2$", [("-5+3", -2, True)]),
    ],
)
def test_steps(text, found):
    assert [(step.left, step.claimed, step.holds) for step in steps(text)] == found


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        (r"5^3", 125),
        (r"\sqrt{125 - 4}", 11),
        (r"\frac{7+56}{8}", 7.875),
        (r"2(15)", 30),
        (r"2\frac{1}{2}", 2.5),
        (r"2 \cdot \frac{1}{2}", 1),
        (r"\boxed{14{,}400}", 14400),
        (r"x + 1", None),
        (r"9^{9^9}", None),
        (r"", None),
    ],
)
def test_the_value_of_a_formula_without_letters(formula, value):
    assert number_of(normal_form(formula)) == value


def test_arithmetic_does_not_evaluate_python():
    assert arithmetic("2*(3+4)") == 14
    assert arithmetic("1/0") is None
    assert arithmetic("2**9") == 512
    assert arithmetic("9**9**9") is None
    assert arithmetic("(-8)**0.5") is None
    assert arithmetic("__import__('os')") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 1,080", 1080),
        (r"so \boxed{\frac{1}{2}}.", 0.5),
        ("The answer is 18 eggs.", 18),
        ("A: $45", 45),
        ("Answer: 5%", 5),
        ("The answer is not known.", None),
        ("It is \\boxed{6}.\n[asy]\nA = (0,0);\n[/asy]", 6),
        (r"Answer: $\boxed{\frac{63}{8}}$", 7.875),
        (r"The answer is $\boxed{40}$ degrees.", 40),
    ],
)
def test_answers(text, number):
    answer = final_answer(text)
    assert (answer and answer.number) == number


def test_a_wrong_answer_and_a_wrong_step_are_named():
    source = "Ann has 48/2 = 24 clips.\n#### 24"
    report = compare_facts(source, "Ann has 48/2 = 26 clips.\nThe answer is 26.", mathematics=True)
    assert report.scores["answer_mismatch"] == report.scores["step_errors"] == 1
    assert [found.kind for found in report.discrepancies][:2] == ["answer", "step"]
    right = compare_facts(source, "First 24 + 24 = 48, so half is 48/2 = 24.\nA: 24", mathematics=True)
    assert right.scores["answer_mismatch"] == right.scores["step_errors"] == right.scores["number_unsupported"] == 0


def test_one_of_two_similar_formulas_changed():
    source = "The value $x+1$ is odd when cats sleep.\n\nThe bound $x-1$ holds if dogs bark loudly."
    report = compare_facts(source, source.replace("$x-1$", "$x+1$"))
    assert report.scores["formula_exchanged"] > 0


@pytest.mark.parametrize(
    "display",
    [
        r"\[ a &= b \]",
        r"$$ a &= b $$",
        r"\begin{align*} a &= b \end{align*}",
        r"\begin{IEEEeqnarray}{rCl} a &=& b \label{e} \end{IEEEeqnarray}",
        r"\begin{dmath} a &= b \end{dmath}",
        r"\be a &= b \ee",
        r"\bea a &=& b. \eea",
        r"\begin{eqnarray*} a &=& b \nonumber \end{eqnarray*}",
    ],
)
def test_a_display_is_the_same_in_any_environment(display):
    (formula,) = formulas(f"so {display} holds")
    assert formula.form == "a=b"


def test_a_matrix_keeps_its_columns():
    (formula,) = formulas(r"\[ \begin{matrix} a & b \end{matrix} \]")
    assert "a&b" in formula.form


def test_a_changed_display_of_an_authors_macro_is_found():
    source = r"The energy is \be E = m c^2 \ee where m is the mass."
    same = r"With a mass m, the energy is \begin{equation} E = m c^2. \end{equation}"
    assert compare_facts(source, same).scores["formula_unsupported"] == 0
    assert compare_facts(source, same.replace("c^2", "c^3")).scores["formula_exchanged"] > 0


def test_the_definition_of_a_macro_says_nothing():
    parsed = parse(r"\newcommand{\eqn}[1]{\begin{equation}#1\end{equation}} It holds \eqn{a = b} for 5 apples.")
    assert [formula.form for formula in parsed.formulas] == [r"\eqn{a=b}"]
    assert [number.value for number in parsed.numbers] == [5]
    assert parsed.literals == ()
