"""The marks with which reasoning models set what they think apart from what they answer.

Most write `<think>…</think>`, with this or another word; some have marks of their own: Magistral, Kimi, Command A,
Apertus, Granite, Sky-T1, Gemma, and gpt-oss, whose channels show when special tokens are not removed.
"""

import re

_NAMES = (
    r"(?:\w{1,20}[:_])?think(?:ing)?|thoughts?|thought_process|chain_of_thought|reasoning|reason|reflection|scratchpad"
    r"|analysis|inner_monologue"
)
MARK = re.compile(
    rf"""(?P<empty> <(?:{_NAMES})\s*/> )
    | (?P<opening> <\s?(?:{_NAMES})(?:\s[^<>\n]{{0,80}})?> | (?-i:\[THINK\]) | ◁think▷ | <\|START_THINKING\|>
        | <\|inner_prefix\|> | <\|(?:begin_of_thought|think(?:ing)?)\|> | <unused94>(?:thought\b)?
        | <\|channel>thought\b | here(?:\ is|['’]s)\ my\ thought\ process:
        | (?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)<\|message\|> )
    | (?P<closing> <\s?/\s?(?:{_NAMES})\s*> | (?-i:\[/THINK\]) | ◁/think▷ | <\|END_THINKING\|> | <\|inner_suffix\|>
        | <\|end_of_thought\|> | <\|/think(?:ing)?\|> | </\|think(?:ing)?\|> | <unused95> | <channel\|>
        | here(?:\ is|['’]s)\ my\ response:
        | (?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|> )""",
    re.IGNORECASE | re.VERBOSE,
)


def opened_thought(prompt: str) -> str:
    """The opening mark at the end of a prompt, or an empty string: some chat templates begin the thought themselves."""
    marks = list(MARK.finditer(prompt))
    if not marks or marks[-1].lastgroup != "opening" or prompt[marks[-1].end() :].strip():
        return ""
    return prompt[marks[-1].start() :]
