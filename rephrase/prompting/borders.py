r"""What comes from a document stands inside borders that it cannot close.

    <context>
    Title: The Peace of Paris
    Written so far: The war ended in 1783.
    </context>
    <text>
    The passage.
    </text>

In a value from a document, the opening sign of every border and of every mark of a chat template is replaced by a
look-alike, so that nothing in it can end the passage or the user's turn. What the model copies of it is restored. A
secret word in the border would protect less: a passage could still hold turn marks, and two runs of one plan would send
different prompts.
"""

import re

MAX_LINE_CHARACTERS = 400

# What follows the opening sign of a border or of a mark of a chat template. Most marks are names between bars, as in
# ChatML, Llama 3 and 4, Phi, DeepSeek, Command R, GLM, gpt-oss, Granite, OLMo and Falcon 3; Gemma 4 has one bar only.
_ANGLE = (
    r"\s{0,20}/?\s{0,20}(?:text|context)\b"
    r"|/?[|｜][^\s<>|｜]{1,40}[|｜]?>|[^\s<>|｜]{1,40}[|｜]>|/?[|｜]DSML[|｜]"  # the last of DeepSeek's tools
    r"|/?(?:start|end)_of_turn>"  # Gemma
    r"|/?(?:s|(?:bos|eos|pad|unk)(?:_token)?|seed:[a-z]{1,20})>|</?SYS>>"  # Llama 2, Command R, Seed
    r"|/?(?:sop|eop)>|/?tool_(?:call|response)>"  # GLM, Qwen
)
_SQUARE = (
    r"\|[^\s\[\]|]{1,40}\|\]|(?-i:[BE]OS)\]"  # EXAONE
    r"|/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|MODEL_SETTINGS)\]"  # Mistral
    r"|(?-i:/?THINK|ARGS|CALL_ID)\]|(?-i:[gs]?MASK)\]"  # Mistral, GLM
)
_DOUBLE = r">(?-i:[A-Z]{4,12})<<"  # >>QUESTION<< and >>ANSWER<< of Falcon
_OPENED = re.compile(rf"<(?={_ANGLE})|\[(?={_SQUARE})|>(?={_DOUBLE})", re.IGNORECASE)
_BROKEN = re.compile(rf"‹(?={_ANGLE})|［(?={_SQUARE})|›(?={_DOUBLE})", re.IGNORECASE)
_LOOK_ALIKE = {"<": "‹", "[": "［", ">": "›"}
_SIGN = {look_alike: sign for sign, look_alike in _LOOK_ALIKE.items()}
# Some models give their answer borders of its own: <note> … </note>.
_WRAPPED = re.compile(r"\A<([a-z][a-z_]{2,20})>((?:(?!</\1>).)*+)</\1>\Z", re.DOTALL | re.IGNORECASE)
# Where the end of the answer is missing, the border must have a line of its own.
_OPENED_ONLY = re.compile(r"\A<([a-z][a-z_]{2,20})>[ \t]*\n((?:(?!</\1>).)*+)\Z", re.DOTALL | re.IGNORECASE)
_BORDER = re.compile(r"<\s{0,20}/?\s{0,20}(?:text|context)\b[^<>\n]{0,40}>")


def contain(text: str) -> str:
    """The text with every border and turn mark in it broken."""
    return _OPENED.sub(lambda match: _LOOK_ALIKE[match.group()], text)


def contain_line(text: str) -> str:
    """The same on one line of at most MAX_LINE_CHARACTERS: its end, if it is longer."""
    line = " ".join(text.split())
    return contain(line if len(line) <= MAX_LINE_CHARACTERS else f"… {line[-MAX_LINE_CHARACTERS:]}")


def release(answer: str, source: str) -> str:
    """An answer without the borders that some models repeat or put around all of it, and with the marks that it copied
    as they stand in the source."""
    answer = _BORDER.sub("", answer).strip()
    wrapped = _WRAPPED.match(answer) or _OPENED_ONLY.match(answer)
    if wrapped and f"<{wrapped[1]}" not in source:
        answer = wrapped[2].strip()
    if _OPENED.search(source):
        answer = _BROKEN.sub(lambda match: _SIGN[match.group()], answer)
    return answer
