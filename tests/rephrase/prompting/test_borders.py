"""A document cannot end the border around it, and gets back what was broken in it for that."""

import re

import pytest
from cpu_time import ends_within
from hypothesis import given
from hypothesis import strategies as st

from rephrase.prompting.borders import MAX_LINE_CHARACTERS, contain, contain_line, release

PARTS = st.sampled_from(
    ["<", "/", ">", "text", "TEXT", "context", " ", "|im_end|", "[", "]", "/INST", "end_of_turn", "s", "a b", "\n", "|"]
)
MARKS = {
    "ChatML, Qwen": "<|im_start|> <|im_end|> <|endoftext|> <tool_call> </tool_call> <tool_response>",
    "Llama 2": "<s> </s> [INST] [/INST] <<SYS>> <</SYS>>",
    "Llama 3": "<|begin_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|eom_id|> <|python_tag|>",
    "Llama 4": "<|header_start|> <|header_end|> <|eot|> <|eom|>",
    "Mistral": "[INST] [/INST] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_CALLS] "
    "[TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CONTENT] [ARGS] [CALL_ID] [THINK] [/THINK] [MODEL_SETTINGS]",
    "Gemma": "<start_of_turn> <end_of_turn> <bos> <eos> <|turn> <turn|> <|channel> <channel|>",
    "Phi": "<|user|> <|assistant|> <|system|> <|end|> <|im_sep|>",
    "DeepSeek": "<｜begin▁of▁sentence｜> <｜User｜> <｜Assistant｜> <｜end▁of▁sentence｜> <｜tool▁calls▁begin｜> "
    "<｜DSML｜invoke </｜DSML｜invoke>",
    "Command R": "<BOS_TOKEN> <EOS_TOKEN> <|START_OF_TURN_TOKEN|> <|USER_TOKEN|> <|CHATBOT_TOKEN|> "
    "<|SYSTEM_TOKEN|> <|END_OF_TURN_TOKEN|>",
    "GLM": "[gMASK] [sMASK] <sop> <eop> <|system|> <|user|> <|assistant|> <|observation|>",
    "EXAONE": "[|system|] [|user|] [|assistant|] [|endofturn|] [|tool|] [BOS] [EOS]",
    "gpt-oss": "<|start|> <|message|> <|channel|> <|constrain|> <|call|> <|return|> <|end|>",
    "Granite": "<|start_of_role|> <|end_of_role|> <|end_of_text|>",
    "OLMo": "<|endoftext|> <|user|> <|assistant|> <|im_start|> <|im_end|>",
    "Falcon": ">>QUESTION<< >>ANSWER<< >>SUMMARY<< <|user|> <|assistant|> <|endoftext|>",
    "Seed": "<seed:bos> <seed:eos>",
}
PLAIN = "if a < b and c > d: x[0] | y[i] <b>bold</b> [1] [args] a >> b << 2 std::vector<int> [a|b] <https://a.org> ||"
DANGEROUS = re.compile(
    r"<\s{0,20}/?\s{0,20}(?:text|context)\b|<\|im_end\|>|\[/INST\]|<end_of_turn>|<s>|</s>", re.IGNORECASE
)


@given(st.lists(PARTS, max_size=30).map("".join))
def test_nothing_contained_ends_a_border_or_a_turn(text):
    assert not DANGEROUS.search(contain(text))
    assert len(contain(text)) == len(text)


@given(st.lists(PARTS, max_size=200).map("".join))
def test_a_line_is_one_line_of_bounded_length(text):
    line = contain_line(text)
    assert "\n" not in line
    assert len(line) <= MAX_LINE_CHARACTERS + 2


@pytest.mark.parametrize("family", MARKS)
def test_every_mark_of_the_chat_templates_in_use_is_broken_and_comes_back(family):
    for mark in MARKS[family].split():
        source = f"Before {mark} after."
        assert mark not in contain(source)
        assert len(contain(source)) == len(source)
        assert release(contain(source), source) == source


def test_signs_that_open_no_mark_stay():
    assert contain(PLAIN) == PLAIN


def test_code_with_such_tags_comes_back_as_it_was():
    source = 'An <svg><text x="1">label</text></svg> and <|endoftext|>.'
    assert release(contain(source), source) == source


def test_borders_that_a_model_repeats_are_no_part_of_its_answer():
    assert release("<text>\nThe rewrite.\n</text>", "The source.") == "The rewrite."


@pytest.mark.parametrize(
    ("answer", "source", "expected"),
    [
        ("<note>\nGiven: x = 2.\n</note>", "x = 2", "Given: x = 2."),
        ("<note>\nGiven: x = 2.", "x = 2", "Given: x = 2."),
        ("<text>\nIt began.\n</text>", "It began.", "It began."),
        ("<Anna> Hello.\n<Ben> Hi.", "Hello. Hi.", "<Anna> Hello.\n<Ben> Hi."),
        ("<table>a</table>", "<table>b</table>", "<table>a</table>"),
        ("<strong>It</strong> began.", "It began.", "<strong>It</strong> began."),
    ],
)
def test_borders_around_the_whole_answer_go(answer, source, expected):
    assert release(answer, source) == expected


def test_a_border_that_is_closed_too_early_costs_little():
    answer = "<note>" + "\n" * 200_000 + "x</note> y"
    assert ends_within(5, lambda: release(answer, "x"))
