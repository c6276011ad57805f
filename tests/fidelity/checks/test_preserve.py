"""Formulas, numbers and answers are found in any notation, and reported when they are missing."""

import pytest
from cpu_time import ends_within

from fidelity.checks.preserve import (
    changed_question,
    formulas,
    lost_answer,
    lost_formula,
    lost_number,
    lost_question,
    numbers,
)
from fidelity.facts.reading.mathematics import normal_form


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,200 people and 3.50 dollars", ["1200", "3.5"]),
        ("It cost $12 an hour.", ["12"]),
        ("−39 °C, ¾ and 10²³", ["-39", "0.75", "1" + 23 * "0"]),
        ("She sold 48/2 = <<48/2=24>>24 clips.", ["48", "2", "24"]),
        ("x_2 and H2O and 10^5", ["100000"]),
        ("in 1901, 56.2%", ["1901", "56.2"]),
        ("$x^2 + 17$ but $5$", ["5"]),
        ("007 and 0.0", ["7", "0"]),
        ("有16颗蛋，卖2美元", ["16", "2"]),
    ],
)
def test_numbers(text, expected):
    assert list(numbers(text)) == expected


def test_formulas_do_not_depend_on_delimiters_spacing_or_what_ends_the_sentence():
    assert formulas(r"So $x^2 + 1$, and \[ y = 2. \]") == ["x^2+1", "y=2"]
    assert lost_formula(r"$x^2 + 1$", r"now \( x^2+1 \) holds") is None
    assert lost_formula(r"\begin{align} a &= b \label{eq} \end{align}", r"\begin{align}a&=b\end{align}") is None


@pytest.mark.parametrize("changed", ["x^2-1", "x^3+1", "y^2+1", "nothing"])
def test_a_changed_formula_is_named(changed):
    assert lost_formula("$x^2+1$ holds", f"${changed}$ holds") == ("formula_changed", "x^2+1 is missing")


@pytest.mark.parametrize(
    ("source", "rewrite"),
    [
        ("Es kostet 1.200 Euro und 2,5 Stunden", "It costs 1,200 euros and 2.5 hours"),
        ("16 eggs, 1,200,000 hens", "sixteen eggs and 1.2 million hens"),
        ("the point (3,4)", "the point (3, 4)"),
        ("১৬টি ডিম", "16 eggs"),
        ("10²³ atoms at −39 °C", "10^23 atoms at minus 39 °C"),
        ("1/2 of it", "half of it"),
        ("299 792 458", "299,792,458"),
    ],
)
def test_a_number_may_be_written_differently(source, rewrite):
    assert lost_number(source, rewrite) is None


def test_a_formula_may_be_spelled_differently():
    assert lost_formula(r"$\dfrac{1}{2} \leq x$", r"$\frac{1}{2} \le x$") is None


def test_a_lost_number_is_named():
    assert lost_number("16 eggs at $2,000", "16 eggs at 2000 dollars") is None
    assert lost_number("16 eggs at $2,000", "16 eggs at 200 dollars") == ("number_changed", "2000 is missing")
    assert lost_number("at −39 °C", "at 39 °C") == ("number_changed", "-39 is missing")
    assert lost_number("¾ of it", "¼ of it") == ("number_changed", "0.75 is missing")
    assert lost_number("10²³ atoms", "10²⁵ atoms") is not None


@pytest.mark.parametrize(
    ("source", "rewrite", "found"),
    [
        ("so\n#### 72", "the answer is 72.", None),
        ("so\n#### 72", "the answer is 27.", "answer_lost"),
        (r"$\boxed{\frac{x+2}{7}}$", r"we get $\frac{x+2}{7}$", None),
        (r"$\boxed{\frac{x+2}{7}}$", r"we get $\frac{x-2}{7}$", "answer_lost"),
        ("no answer is marked", "nothing", None),
    ],
)
def test_the_final_answer(source, rewrite, found):
    finding = lost_answer(source, rewrite)
    assert (finding and finding[0]) == found


def test_a_question_that_became_a_statement_is_lost():
    assert lost_question("Wie viele Löffel gab es?", "There were 5 spoons.") == (
        "question_lost",
        "the source asks a question, the rewrite none",
    )
    assert lost_question("有多少个勺子？", "How many spoons were there?") is None
    assert lost_question("Es gab 5 Löffel.", "There were 5 spoons.") is None
    assert lost_question("Siehe `a ? b : c` im Text.", "See the text.") is None


@pytest.mark.parametrize("unit", ["½", "1x", "三"])
def test_a_text_of_one_number_over_and_over_takes_linear_time(unit):
    assert ends_within(3, lambda: lost_number(f"({unit * (40_000 // len(unit))})", "none"))


@pytest.mark.parametrize(
    ("source", "rewrite", "reason"),
    [
        ("她花了多少钱？", "How much did she spend? The total is $3 \\times 68 = 204$ dollars.", "question_lost"),
        ("Wie viel kostet es? Antworte kurz.", "How much is it? It is 3 * 7 = 21.", "answer_given"),
        ("Wie viel kostet es (in Euro)?", 'She asks: "How much is it?"', None),
        ("Löse $3x = 6$ für x.", "Solve $3x = 6$ for x.", None),
        ("¿Cuánto es 2 + 2?", "How much is 2 + 2?", None),
        ("¿Cuántas manzanas tiene Ana?", "**How many apples does Ana have?**", None),
        ("已知3＋2＝5，那么2＋3等于多少？", "Given 3 + 2 = 5, what is 2 + 3?", None),
    ],
)
def test_a_problem_stays_a_problem(source, rewrite, reason):
    found = changed_question(source, rewrite)
    assert (found and found[0]) == reason


CHAIN = r"$\frac{14}{6} = \frac{2 \cdot 7}{2 \cdot 3} = \boxed{\frac{7}{3}}$"


@pytest.mark.parametrize(
    ("note", "is_there"),
    [
        (
            r"We have $\frac{14}{6} = \frac{2(7)}{2 \times 3}$ and $\frac{2 \cdot 7}{2 \cdot 3} = \frac{7}{3}$.",
            True,
        ),
        (r"Cancel the 2: $\frac{14}{6} = \frac{7}{3}$.", True),
        (r"Cancel the 2: $\frac{14}{6} = \frac{7}{2}$.", False),
        (r"The answer is $\frac{7}{3}$.", False),
    ],
)
def test_a_chain_of_equations_may_be_told_in_steps(note, is_there):
    assert (lost_formula(CHAIN, note) is None) is is_there


def test_lines_of_a_display_are_looked_for_one_by_one():
    display = r"\begin{align*}a &= b + 1\\ &= 14{,}400\\ c &= 2\end{align*}"
    assert lost_formula(display, r"Since $c = 2$ and $b+1 = 14,400$, we have $a = b + 1 = 14400$.") is None
    assert lost_formula(display, r"Since $c = 3$, we have $a = b + 1 = 14400$.") is not None


def test_the_code_of_a_drawing_has_no_numbers_formulas_or_answers():
    drawing = '[asy]\nsize(150);\nA=(0.3,1.5);\nlabel("$x^2$",A);\n[/asy]'
    problem = f"What is $x+1$ if $x = 2$?\n\n{drawing}\n\nIt is $\\boxed{{3}}$."
    note = "Given $x = 2$, we look for $x+1$. Answer: $\\boxed{3}$"
    assert [check(problem, note) for check in (lost_number, lost_formula, lost_answer)] == [None, None, None]


@pytest.mark.parametrize(
    ("source", "note"),
    [
        (r"$f(x) = x^2 - 3x = 0$", r"$f(x) = x^2 + 3x = 0$"),
        (r"$A = \pi r^2 = 25\pi$", r"$A = 2\pi r = 25\pi$"),
        (r"$\sum_{i=1}^n a_i = S$", r"$\sum_{i=0}^{m} b_i = S$"),
        (r"$v = \begin{pmatrix}1\\2\\3\end{pmatrix}$", r"Step 2: $v = \begin{pmatrix}1\\7\\3\end{pmatrix}$"),
        (r"$x = 2+3 = 5$", "The next step gives 15."),
        (r"$x = 1, y = 2$", r"$x = 2$"),
        (r"$2x = 4 \Rightarrow x = 2$", r"$2x = 2$"),
        (r"$x = 1$", r"$x = 15$"),
        (r"$2x = 4$", r"$12x = 4$"),
        (r"$x^2 = 4$", r"$x^2 = 4.5$"),
        (r"$y = x$", r"$y = x^2$"),
        (r"Let $x^2 = 3y$.", '[asy]\nlabel("$x^2 = 3y$",A);\n[/asy]'),
    ],
)
def test_a_formula_with_the_same_ends_is_another(source, note):
    found = lost_formula(source, note)
    assert found is not None
    assert found[0] == "formula_changed"


ALIGNED = r"\begin{align*} x &= a+b \\ &= c+d \end{align*}"


@pytest.mark.parametrize(
    ("source", "note"),
    [
        (ALIGNED, r"\[\begin{aligned} x &= a+b \\[4pt] &= c+d \end{aligned}\]"),
        (r"$$\begin{aligned} x &= a+b \\ &= c+d \end{aligned}$$", r"So $x = a+b$, that is, $x = a+b = c+d$."),
        (
            r"\begin{align*} A &= \begin{pmatrix}1&2\end{pmatrix} \\ &= B+C \end{align*}",
            r"$$A = \begin{pmatrix}1&2\end{pmatrix} = B+C$$",
        ),
        (r"$$x\in(0,1],\; f(x)=x^2=x\cdot x$$", r"Let $x\in(0,1]$. Then $f(x)=x^2=x\cdot x$."),
        (r"$x = 2\frac{1}{2}+\frac{1}{2} = 3$", r"$x = 3$, as $2\frac{1}{2}+\frac{1}{2}=3$"),
        (r"We have $x = 1$.", "1. x = 1\n2. Done"),
    ],
)
def test_a_formula_in_another_notation_is_there(source, note):
    assert lost_formula(source, note) is None


@pytest.mark.parametrize(
    ("source", "rewrite"),
    [
        ("工厂今年生产了3万台电脑，比去年多5000台。", "The factory made 30,000 computers, 5,000 more than last year."),
        ("公司今年的收入是1.5亿元。", "The company earned 150 million yuan this year."),
        ("올해 8만 명이 왔습니다.", "This year 80,000 people came."),
        ("Ana tiene 20$. Gasta 5$, ¿cuánto queda?", "Ana has $20. She spends $5. How much is left?"),
    ],
)
def test_numbers_with_a_scale_or_a_currency_after_them(source, rewrite):
    assert lost_number(source, rewrite) is None
    assert lost_formula(source, rewrite) is None
    assert lost_number(source, rewrite.replace("0", "7")) is not None


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (normal_form, "." * 100_000 + "x"),
        (normal_form, "a" + " " * 100_000 + "b"),
        (lambda text: lost_formula(text, text), "`" * 40_000),
        (lambda text: lost_answer(text, text), "`a`\n#### 1\n" * 8000),
        (lambda text: lost_formula(text, "x"), "[asy]x[/asy] $x$ " * 5900),
    ],
)
def test_hostile_texts_cost_little(call, text):
    assert ends_within(5, lambda: call(text))
