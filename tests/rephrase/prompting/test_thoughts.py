"""A thought is removed whatever marks it, a quotation of such marks stays, and a thought without an end is an error."""

import contextlib

import pytest
from cpu_time import ends_within
from hypothesis import given
from hypothesis import strategies as st

from rephrase.models.thought_marks import opened_thought
from rephrase.prompting.thoughts import ThoughtCutOffError, without_thought

SOURCE = "Ulm lies on the Danube."
ANSWER = "On the Danube lies Ulm."
PLAIN = st.text(alphabet="ab .,\nÜ的")


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        f"<think>The user wants Ulm.</think>{ANSWER}",
        f"<think>\nThe user wants\n\nUlm.\n</think>\n\n{ANSWER}",
        f"\n <think></think>\n{ANSWER}",
        f"<think>\n\n</think>\n\n{ANSWER}",
        f"<think/>{ANSWER}",
        f"The user wants Ulm.\n</think>\n\n{ANSWER}",
        f"\n</think>\n\n{ANSWER}",
        f"<think>I end it with </think> and then answer.</think>{ANSWER}",
        f"<think>a <think>b</think> c</think>{ANSWER}",
        f"<THINK>loud</Think>{ANSWER}",
        f"<think effort='low'>x</think>{ANSWER}",
        f"<thinking>x</thinking>{ANSWER}",
        f"<reasoning>x</reasoning>\n\n{ANSWER}",
        f"<thought>x</thought>{ANSWER}",
        f"<seed:think>x</seed:think>{ANSWER}",
        f"[THINK]x[/THINK]{ANSWER}",
        f"◁think▷x◁/think▷{ANSWER}",
        f"<|START_THINKING|>x<|END_THINKING|><|START_RESPONSE|>{ANSWER}<|END_RESPONSE|>",
        f"<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}",
        f"analysisWe need Ulm.assistantfinal{ANSWER}",
        f"<think>x</think>\n<answer>\n{ANSWER}\n</answer>",
        f"<think>x</think><think>y</think>{ANSWER}",
        f"Here is my thought process:\nx\n\nHere is my response:\n{ANSWER}",
        f"◁think▷◁/think▷{ANSWER}",
        f"<|start|>assistant<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}",
        f"<|channel|>commentary<|message|>plan<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}",
        f"< think>x</ think>{ANSWER}",
        f"<|begin_of_thought|>x<|end_of_thought|>{ANSWER}",
        f"<|begin_of_thought|>x<|end_of_thought|>\n\n<|begin_of_solution|>{ANSWER}<|end_of_solution|>",
        f"<chain_of_thought>x</chain_of_thought>{ANSWER}",
        f"<thought_process>x</thought_process>{ANSWER}",
        f"<|think|>x<|/think|>{ANSWER}",
        f"<reason>x</reason>{ANSWER}",
        f"<longcat_think>x</longcat_think>{ANSWER}",
        f"<unused94>thought\nx<unused95>{ANSWER}",
        f"analysis We need x. assistantfinal{ANSWER}",
        f"analysisthe user wants x.assistantfinal{ANSWER}",
        f"commentaryWe need x.assistantfinal{ANSWER}",
        f"<|thinking|>x</|thinking|>{ANSWER}",
        f"<mm:think>x</mm:think>{ANSWER}",
        f"<thinking>x</think>{ANSWER}",
        f"<|START_THINKING|>x<|END_THINKING|><|START_TEXT|>{ANSWER}<|END_TEXT|>",
        f"<|channel>thought\nx<channel|>{ANSWER}",
        f"<|channel>thought\n<channel|>{ANSWER}",
        f"{ANSWER}\n<think>Is it right? It is.</think>\n",
    ],
)
def test_only_the_answer_is_left(text):
    assert without_thought(text, SOURCE).strip() == ANSWER


@pytest.mark.parametrize(
    "text",
    [
        "<think>The user wants",
        "<think>",
        "<reasoning>x</reasoning><think>y",
        f"{ANSWER} <think>Is it",
        "[THINK]x",
        "analysisWe need to",
        "<|channel|>analysis<|message|>We need",
        "<|begin_of_thought|>We need",
        "<|channel>thought\nWe need",
        "<THINK>x",
        "◁think▷x",
    ],
)
def test_a_thought_without_an_end_is_an_error(text):
    with pytest.raises(ThoughtCutOffError):
        without_thought(text, SOURCE)


@pytest.mark.parametrize(
    "text",
    [
        "He said [think] twice.",
        "analysis of data helps.",
        "Analysis shows that <b>thinking</b> is hard.",
        "Its final channel.",
    ],
)
def test_words_are_no_marks(text):
    assert without_thought(text, SOURCE) == text


ABOUT_TAGS = (
    "DeepSeek's R1 writes `<think>` and `</think>` around its reasoning. The tag <think> is a token of its own."
)


@pytest.mark.parametrize(
    "answer",
    [
        "R1 puts its reasoning between `<think>` and `</think>`. One token is the tag <think>.",
        "R1 reasons first: <think>so</think>, then it answers.",
        "It opens with <think>. It closes with </think>.",
        "For example:\n\n<think>\n2 + 2 is 4\n</think>\nThe answer is 4.",
        "No tags at all.",
    ],
)
@pytest.mark.parametrize(
    "thought",
    [
        "",
        "<think>Just so.</think>",
        "<think>\nThe source has `<think>` and `</think>` in it.\n</think>\n\n",
        "<think>\nThe source has the tag <think> in it.\n</think>\n\n",
        "<think>\n\n</think>\n\n",
        "Both tags stay.\n</think>\n\n",
    ],
)
def test_what_the_source_quotes_may_be_quoted(thought, answer):
    assert without_thought(thought + answer, ABOUT_TAGS).strip() == answer


def test_a_source_that_starts_with_a_thought_may_be_rewritten_so():
    transcript = "<think>\nTwo and two.\n</think>\nThe answer is 4."
    rewrite = "<think>\n2 and 2.\n</think>\nIt is 4."
    assert without_thought(rewrite, transcript) == rewrite
    assert without_thought(f"<think>\nA transcript.\n</think>\n\n{rewrite}", transcript).strip() == rewrite


def test_a_cut_off_thought_about_quoted_tags_is_an_error():
    with pytest.raises(ThoughtCutOffError):
        without_thought("<think>The source has `<think>` and `</think>` in it. I", ABOUT_TAGS)


@given(PLAIN, PLAIN, st.sampled_from(["think", "thinking", "reasoning", "thought"]))
def test_no_thought_is_left_and_no_answer_lost(thought, answer, name):
    assert without_thought(f"<{name}>{thought}</{name}>{answer}", SOURCE) == answer
    assert without_thought(f"{thought}</{name}>{answer}", SOURCE) == answer
    assert without_thought(answer, SOURCE) == answer
    with pytest.raises(ThoughtCutOffError):
        without_thought(f"<{name}>{thought}", SOURCE)


def test_the_end_of_a_prompt_tells_whether_the_thought_is_open():
    assert opened_thought("<|im_start|>assistant\n<think>\n") == "<think>\n"
    assert opened_thought("<|im_start|>assistant\n<think>\n\n</think>\n\n") == ""
    assert opened_thought("<|im_start|>assistant\n") == ""


@pytest.mark.parametrize("text", ["<think>" * 40_000, "</think>" * 40_000, "<think>a</think> " * 20_000, "<" * 100_000])
def test_it_takes_linear_time(text):
    def answer():
        for source in (SOURCE, ABOUT_TAGS):
            with contextlib.suppress(ThoughtCutOffError):
                without_thought(text, source)

    assert ends_within(5, answer)
