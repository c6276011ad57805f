"""The marks with which reasoning models set what they think apart from what they answer.

Most write `<think>…</think>`, with this or another word; some have marks of their own: Magistral, Kimi, Command A,
Apertus, and gpt-oss, whose channels show when special tokens are not removed.
"""

import re

_NAMES = "think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis|inner_monologue|seed:think"
MARK = re.compile(
    rf"""(?P<empty> <(?:{_NAMES})\s*/> )
    | (?P<opening> <(?:{_NAMES})(?:\s[^<>\n]{{0,80}})?> | \[THINK\] | ◁think▷ | <\|START_THINKING\|>
        | <\|inner_prefix\|> | <\|channel\|>analysis<\|message\|> )
    | (?P<closing> </(?:{_NAMES})\s*> | \[/THINK\] | ◁/think▷ | <\|END_THINKING\|> | <\|inner_suffix\|>
        | (?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|> )""",
    re.IGNORECASE | re.VERBOSE,
)


def opened_thought(prompt: str) -> str:
    """The opening mark at the end of a prompt, or an empty string: some chat templates begin the thought themselves."""
    marks = list(MARK.finditer(prompt))
    if not marks or marks[-1].lastgroup != "opening" or prompt[marks[-1].end() :].strip():
        return ""
    return prompt[marks[-1].start() :]
