"""Displays of LaTeX are found whatever environment or macro an author writes them with."""

import itertools

import pytest
from cpu_time import ends_within
from hypothesis import given
from hypothesis import strategies as st

from rephrase.corpus.latex import is_math_environment
from rephrase.corpus.protected import formula_spans, protected_spans

MATHEMATICS = (
    "equation equation* align align* alignat xalignat flalign gather multline eqnarray eqnarray* IEEEeqnarray"
    " IEEEeqnarray* IEEEeqnarraybox dmath dmath* dgroup dseries darray gathered aligned alignedat multlined pmatrix"
    " smallmatrix cases dcases rcases numcases subequations eqn eq myeq split array subarray displaymath math empheq"
)
PROSE = "proof theorem itemize tabular figure sequence frequency lstlisting defn center seq freq document"


@pytest.mark.parametrize("name", MATHEMATICS.split())
def test_environments_of_mathematics(name):
    display = f"\\begin{{{name}}} a = b \\end{{{name}}}"
    assert is_math_environment(name)
    assert found(f"so {display} holds") == [display]


@pytest.mark.parametrize("name", PROSE.split())
def test_environments_of_prose(name):
    assert not is_math_environment(name)
    assert found(f"\\begin{{{name}}} a = b \\end{{{name}}}") == []


def found(text):
    return [text[start:end] for start, end in formula_spans(text)]


@pytest.mark.parametrize(
    ("text", "display"),
    [
        (r"We have \be a=b \ee so.", r"\be a=b \ee"),
        (r"We have \beq x \eeq so.", r"\beq x \eeq"),
        (r"\bea a &=& b \\ c &=& d \label{x} \eea.", r"\bea a &=& b \\ c &=& d \label{x} \eea"),
        (r"\newcommand{\be}{\begin{equation}}\newcommand{\ee}{\end{equation}} Then \be a \ee.", r"\be a \ee"),
        (r"\def\go{\begin{align}} \def\halt{\end{align}} x \go a&=b \halt y", r"\go a&=b \halt"),
        (r"\providecommand\bx{\[} \providecommand\ex{\]} \bx a+b \ex", r"\bx a+b \ex"),
        (r"\let\beg\equation\let\fin\endequation x \beg a \fin", r"\beg a \fin"),
        (r"\newcommand{\eqn}[1]{\begin{equation}#1\end{equation}} so \eqn{a_{1}=b} holds", r"\eqn{a_{1}=b}"),
        (r"\NewDocumentCommand{\eqq}{m}{\[#1\]} z \eqq{a+b} z", r"\eqq{a+b}"),
        (r"\newenvironment{foo}{\begin{align}}{\end{align}} x \begin{foo} a \end{foo}", r"\begin{foo} a \end{foo}"),
        (r"In \bmyeq a_1 = b \emyeq we see it.", r"\bmyeq a_1 = b \emyeq"),
        (r"\startformula a \stopformula", r"\startformula a \stopformula"),
    ],
)
def test_macros_of_authors(text, display):
    assert found(text) == [display]
    assert display in [text[start:end] for start, end in protected_spans(text)]


@pytest.mark.parametrize(
    "text",
    [
        r"\bi \item a=b \ei",
        r"The \bold thing is here = there, in the old \eold town.",
        r"\be never closed",
        r"\ee never opened",
        r"\bc a centred line \ec",
        r"\newcommand{\be}{\begin{equation}} \newcommand{\ee}{\end{equation}}",
        r"\beta and \eta",
    ],
)
def test_other_macros_are_no_mathematics(text):
    assert found(text) == []


@given(st.text(alphabet="ab=^\\{}[]$ \n", max_size=60))
def test_any_text_has_spans_inside_it(text):
    spans = formula_spans(f"\\newcommand{{\\q}}[1]{{\\[#1\\]}} \\be {text} \\ee \\q{{{text}}}")
    assert all(start < end for start, end in spans)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


@pytest.mark.parametrize(
    "text",
    [
        r"\be " * 40_000,
        r"\be a \ee " * 20_000,
        r"\newcommand{\be}{" * 10_000,
        r"\begin{a}" * 30_000 + r"\end{b}" * 30_000,
        r"\ba\bb\bc\bd\bfg " * 10_000 + r"\efg\ed\ec\eb\ea " * 10_000,
        r"\newcommand{\q}[1]{\[#1\]}" + r"\q{" * 30_000,
        r"\newcommand{\q}[1]{\[#1\]}" * 8_000,
    ],
)
def test_it_takes_linear_time(text):
    assert ends_within(10, lambda: (formula_spans(text), protected_spans(text)))
