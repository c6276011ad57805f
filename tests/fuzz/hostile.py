"""Hostile texts, and every public function that reads a text: what a document or a model may send to each."""

import contextlib
import multiprocessing
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# What is repeated; `{i}` counts. Each is tried alone, after a start that may match, and before an end that does not.
UNITS = (
    *(" ", "\t", "\n", "\xa0", "a", "A", "a ", "A ", "Aa ", "Aa Ba. ", "A.", "word ", "Word of the ", "I "),
    *("M", "one ", "0", "1", "1 ", "1,", "1.", "1,000 ", "1. ", "1/2 ", "1:2 ", "1e6 ", "10^{", "1 - "),
    *("{i} - ", "{i} + ", "{i} = ", "($1) ", "$1", "$", "$a$ ", "$$", "\\(", "\\[", "\\", "{", "}", "(", ")"),
    *("[", "]", "<", ">", "`", "``` ", "*", "**a ", "_", "|", "| a ", "#", "# ", "# x\n", "- ", "- a\n"),
    *("1) a\n", "\\begin{a}", "\\end{a}", "\\begin{equation}", "\\frac{", "\\text{", "\\boxed{", "{a", "#### "),
    *("the answer is ", "Answer: ", "Q: ", "A:", "Ana: a\n", "Step 1: ", "x = ", "x=1, ", "a^b", "!", "?"),
    *("...", "…", '"', "“", "'", "\u2019s ", "(MoE) ", "word (WO) ", "A-", "a-b", "a_b", "http://a", "a@b."),
    *("www.", "five hundred ", "million ", "twenty-", "and ", "not ", "no ", "never ", "n't ", "May 5, "),
    *("May ", "1999 ", "1990s ", "5 km ", "km/", "€5 ", "°C ", "%", "½", "−", "三", "百", "，", "。", "ก", "क "),
    *("あ", "é", "e\u0301", "\u200b", "\u202e", "\U0001f600", "<think>", "</think>", "<text id=", "</text>"),
    *("Dear ", "Yours ", "term = x\n", "term -> ", ": ", "; ", "Sure! ", "Here is ", "The text ", "I cannot "),
    *("| a |\n", "|-|\n", "```\n", "~~~", "<pre>", "\\begin{verbatim}\n"),
    *("\ufeff", "\x00", "&amp;", "<b>", "---", "—"),
)  # fmt: skip
STARTS = ("", "# x", "word (", "1 - 2", "$", "**", "The answer is ", "a = ", "\\begin{equation} ", "Q: ")
ENDS = ("", "y", "\n", "!x", "=", ")", "$", "}")


# These have frozen or slowed a run: they are tried on everything, always.
KNOWN = (
    *(
        "{i} - ",
        "{i} + ",
        "1 - ",
        "# x" + " " * 3000 + "y ",
        "term" + " " * 3000 + "= x",
        "\\section[",
        "(MoE) ",
        "\n",
        "A-",
    ),
    *("the answer is ", "one ", "1 ", "1,", "½", "<think>", "\\boxed{", "Yours "),
)


def hostile_texts(n_characters: int, seed: int, share: float, n_mixed: int) -> Iterator[tuple[str, str]]:
    """(name, text) for the known units and a share of all, with a start and an end drawn for each, then mixtures."""
    rng = random.Random(seed)
    for unit in (*KNOWN, *rng.sample(UNITS, round(share * len(UNITS)))):
        start, end = rng.choice(STARTS), rng.choice(ENDS)
        yield f"{start!r} + {unit!r} * n + {end!r}", start + _repeated(unit, n_characters) + end
    for number in range(n_mixed):
        chosen = rng.sample(UNITS, rng.randint(2, 6))
        pieces = rng.choices(chosen, k=n_characters // max(1, sum(map(len, chosen)) // len(chosen)))
        yield f"mixture {number} of {chosen!r}", "".join(pieces)[:n_characters].replace("{i}", "7")


# What takes no processor is given up after this.
WAIT_S = 600.0


def _repeated(unit: str, n_characters: int) -> str:
    if "{i}" not in unit:
        return unit * (n_characters // len(unit))
    return "".join(unit.replace("{i}", str(i)) for i in range(n_characters // (len(unit) + 1)))[:n_characters]


def text_functions() -> dict[str, Callable[[str], object]]:
    """Every public function of a text, given the hostile one in each of its places."""
    from scripted import WordTokenizer

    from fidelity.checker import RECIPE_CHECKS
    from fidelity.checks.diversity import template_collapse
    from fidelity.checks.ending import is_complete, truncated
    from fidelity.checks.form import FORM_CHECKS, copied_share, looped_share
    from fidelity.checks.preserve import lost_formula
    from fidelity.checks.prompt_injection import repeats_instruction, sentence_texts
    from fidelity.checks.question_fit import question_problem
    from fidelity.checks.remarks.about_text import about_the_text
    from fidelity.checks.sentences import split_sentences
    from fidelity.checks.style import STYLE_FORMS, missing_form
    from fidelity.facts.comparing.compare import compare_facts
    from fidelity.facts.reading.literals import literals
    from fidelity.facts.reading.mathematics import final_answer, formulas, steps
    from fidelity.facts.reading.parsed import parse
    from flows.results.display import visible
    from rephrase.corpus.chunking import chunk_document
    from rephrase.corpus.language import detect_language
    from rephrase.corpus.latex import macros
    from rephrase.corpus.protected import (
        code_blocks,
        code_spans,
        formula_spans,
        protected_spans,
        with_drawings,
        without_protected,
    )
    from rephrase.corpus.sentences import sentence_spans
    from rephrase.prompting.borders import release
    from rephrase.prompting.boundaries import find_repetition, find_restart, remove_overlap
    from rephrase.prompting.context import abbreviations, make_context, outline, table_header, tail
    from rephrase.prompting.echoes import find_example_echo
    from rephrase.prompting.glossary import parse_glossary
    from rephrase.prompting.masking import mask
    from rephrase.prompting.thoughts import without_thought
    from rephrase.records import Chunk, Document

    plain = "The treaty of 1783 was signed in Paris, and 3 + 4 = 7. It ended the war."
    tokens = WordTokenizer()

    def context(text: str) -> object:
        chunk = Chunk(
            document_id="d", index=1, start=len(text) // 2, end=len(text), text=text[len(text) // 2 :], n_tokens=9
        )
        return make_context(text, chunk, text, {"term": "x"}, tokens, 48)

    def parsed(language: str) -> Callable[[str], object]:
        return lambda text: parse(text, language)

    found: dict[str, Callable[[str], object]] = {
        "about_the_text": lambda t: (about_the_text(t, plain), about_the_text(plain, t)),
        "template_collapse": lambda t: template_collapse([t, plain]),
        "is_complete": is_complete,
        "truncated": lambda t: truncated(t, "stop", t),
        "copied_share": lambda t: copied_share(t, t),
        "looped_share": looped_share,
        "question_problem": lambda t: (question_problem(t, plain), question_problem("What is the a of the b?", t)),
        "missing_form": lambda t: missing_form(t, "questions"),
        "repeats_instruction": lambda t: (repeats_instruction(t, plain), repeats_instruction(plain, t)),
        "sentence_texts": sentence_texts,
        "split_sentences": split_sentences,
        "literals": literals,
        "final_answer": final_answer,
        "formulas": formulas,
        "steps": steps,
        "parse": parsed("en"),
        "parse (de)": parsed("de"),
        "parse (zh)": parsed("zh"),
        "compare_facts of a rewrite": lambda t: compare_facts(plain, t, mathematics=True),
        "compare_facts of a source": lambda t: compare_facts(t, plain),
        "visible": visible,
        "chunk_document": lambda t: chunk_document(Document(id="d", text=t, source="s"), tokens, 64),
        "detect_language": detect_language,
        "macros": macros,
        "code_blocks": code_blocks,
        "code_spans": code_spans,
        "formula_spans": formula_spans,
        "protected_spans": protected_spans,
        "without_protected": without_protected,
        "sentence_spans": lambda t: list(sentence_spans(t)),
        "find_example_echo": lambda t: (
            find_example_echo([(plain, plain)], t, t),
            find_example_echo([(t, t)], plain, t),
        ),
        "with_drawings": lambda t: (with_drawings(t, plain), with_drawings(plain, t), with_drawings(t, t)),
        "release": lambda t: (release(t, plain), release(t, t)),
        "lost_formula": lambda t: (lost_formula(t, t), lost_formula(f"${t}$", f"$${t}$$")),
        "find_repetition": lambda t: (find_repetition(t, plain), find_repetition(t, t)),
        "find_restart": lambda t: (find_restart(t, plain), find_restart(t, t)),
        "remove_overlap": lambda t: (remove_overlap(t, plain), remove_overlap(t, t)),
        "abbreviations": abbreviations,
        "make_context": context,
        "outline": outline,
        "table_header": lambda t: table_header(t, len(t) // 2),
        "tail": lambda t: tail(t, tokens, 48),
        "parse_glossary": lambda t: parse_glossary(t, t, t),
        "mask": lambda t: mask(t).restore(mask(t).text),
        "without_thought": lambda t: _ignoring(lambda: without_thought(t, plain)),
    }
    for check in FORM_CHECKS:
        found[f"form: {check.__name__}"] = lambda t, check=check: (check(t, plain), check(plain, t))
    for name, recipe_check in RECIPE_CHECKS.items():
        found[f"recipe: {name}"] = lambda t, check=recipe_check: (check(t, plain), check(plain, t))
    for name, (fits, _) in STYLE_FORMS.items():
        found[f"style: {name}"] = fits
    return found


def _ignoring(call: Callable[[], object]) -> None:
    with contextlib.suppress(ValueError):  # a thought that is cut off is an answer too
        call()


@dataclass(frozen=True, slots=True)
class Case:
    """What happened: seconds, and the error; "stopped" if it was still running at the limit."""

    function: str
    text: str
    seconds: float
    error: str = ""


def run_all(
    function: str, *, n_characters: int, seed: int = 0, share: float = 1.0, n_mixed: int = 12, limit_s: float = 5.0
) -> Iterator[Case]:
    """Each text in a child process, which is ended when one of them takes more of the processor than the limit, twice.

    Time on the clock says little on a busy machine, and ends only what waits. Where a virtual machine stands still, the
    processor's says too much, once.
    """
    texts = list(hostile_texts(n_characters, seed, share, n_mixed))
    position, was_stopped = 0, False
    while position < len(texts):
        receive, send = multiprocessing.Pipe(duplex=False)
        child = multiprocessing.get_context("fork").Process(
            target=_work, args=(function, texts[position:], send, limit_s)
        )
        child.start()
        send.close()
        while position < len(texts):
            began = time.monotonic()
            if not receive.poll(WAIT_S):
                yield Case(function, texts[position][0], time.monotonic() - began, "stopped")
                position += 1
                break
            try:
                seconds, error = receive.recv()
            except EOFError:
                child.join()
                error = "stopped" if child.exitcode == -signal.SIGPROF else "the process ended"
                if error == "stopped" and not was_stopped:
                    was_stopped = True
                    break
                yield Case(function, texts[position][0], time.monotonic() - began, error)
                position, was_stopped = position + 1, False
                break
            yield Case(function, texts[position][0], seconds, error)
            position, was_stopped = position + 1, False
        child.kill()
        child.join()


def _work(
    function: str, texts: list[tuple[str, str]], send: "multiprocessing.connection.Connection", limit_s: float
) -> None:
    call = text_functions()[function]
    for _, text in texts:
        signal.setitimer(signal.ITIMER_PROF, limit_s)  # its signal ends the process, even within a regular expression
        began = time.process_time()
        error = ""
        try:
            call(text)
        except Exception as raised:
            error = f"{type(raised).__name__}: {str(raised)[:200]}"
        send.send((time.process_time() - began, error))
