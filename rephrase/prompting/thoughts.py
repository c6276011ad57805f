"""What a reasoning model thinks before it answers, removed before anything else sees the answer.

"<think>It is about Ulm.</think>\n\nUlm lies on the Danube."  ->  "Ulm lies on the Danube."

The opening mark may be missing, since some chat templates put it into the prompt. A source may contain such marks as
text, in an article about reasoning models for example; then only a thought before the answer is removed, and marks that
the answer quotes stay.
"""

import re
from collections.abc import Iterator, Sequence

from rephrase.models.thought_marks import MARK

# gpt-oss when its special tokens are removed: the names of its channels are glued to what follows.
_CHANNEL = re.compile(r"\s*(?:analysis|commentary)(?=[^\W\d_])")
_SPACED_CHANNEL = re.compile(r"\s*(?:analysis|commentary)\b")
_LAST_CHANNEL = "assistantfinal"
# Some models also wrap the answer.
_WRAPPED = re.compile(
    r"\s*(?:<(answer|response|output|final|solution)>|<\|START_(?:RESPONSE|TEXT)\|>"
    r"|<\|begin_of_solution\|>)(.*?)(?:</\1>|<\|END_(?:RESPONSE|TEXT)\|>|<\|end_of_solution\|>)?\s*",
    re.DOTALL | re.IGNORECASE,
)
_NEAR = 80  # characters of a line to look at
_QUOTES = "`'\"‘’“”«»"


class ThoughtCutOffError(ValueError):
    """The model was still thinking when it stopped: there is no answer."""

    def __init__(self) -> None:
        super().__init__("the model was still thinking when it stopped; it needs more tokens, or thinking turned off")


def without_thought(text: str, source: str) -> str:
    """The answer alone. `source` is what the model was shown: marks in it may be quoted in the answer.

    Raises:
        ThoughtCutOffError: the thought has no end.
    """
    if (_CHANNEL.match(text) and not _CHANNEL.match(source)) or (
        _SPACED_CHANNEL.match(text) and _LAST_CHANNEL in text and _LAST_CHANNEL not in source
    ):
        _, end, answer = text.partition(_LAST_CHANNEL)
        if not end:
            raise ThoughtCutOffError
        return answer
    marks = list(MARK.finditer(text))
    if not marks:
        return text
    quotable = list(MARK.finditer(source))
    answer = _after_first(text, marks, source, quotable) if quotable else _outside(text, marks)
    wrapped = _WRAPPED.fullmatch(answer) if answer != text else None
    return wrapped.group(2) if wrapped else answer


def _outside(text: str, marks: Sequence[re.Match[str]]) -> str:
    """The text outside all thoughts; one without an opening mark was opened in the prompt."""
    kept: list[str] = []
    end, thinking = 0, False
    for mark in marks:
        if mark.lastgroup == "closing":
            if not thinking:
                kept.clear()
            thinking, end = False, mark.end()
        elif not thinking:
            kept.append(text[end : mark.start()])
            thinking, end = mark.lastgroup == "opening", mark.end()
    if thinking:
        raise ThoughtCutOffError
    return "".join([*kept, text[end:]])


def _after_first(text: str, marks: Sequence[re.Match[str]], source: str, quotable: Sequence[re.Match[str]]) -> str:
    """The text after a thought at its start, where any other mark may be a quotation from the source."""
    first = marks[0]
    if first.lastgroup != "closing" and not text[: first.start()].strip():
        starts_so_too = not source[: quotable[0].start()].strip() and quotable[0].lastgroup == first.lastgroup
        if starts_so_too and _count(marks, "opening") <= _count(quotable, "opening"):
            return text
        if first.lastgroup == "empty":
            return text[first.end() :]
        end = _end(text, marks[1:])
        if end is None:
            raise ThoughtCutOffError
        return text[end:]
    if len(list(_unopened(marks))) <= len(list(_unopened(quotable))):
        return text
    end = next((mark.end() for mark in _unopened(marks) if _stands_alone(text, mark)), None)
    return text if end is None else text[end:]


def _end(text: str, marks: Sequence[re.Match[str]]) -> int | None:
    """Where an opened thought ends. It may quote the source's marks, so the best candidate counts, not the first.

    The mark that ends it balances the opening ones and stands at the start or end of a line, or at least one of both.
    """
    closing = [mark for mark in marks if mark.lastgroup == "closing"]
    balanced = set(_unopened(marks))
    for candidates in (
        (mark for mark in closing if mark in balanced and _stands_alone(text, mark)),
        (mark for mark in closing if _stands_alone(text, mark) or (mark in balanced and not _is_quoted(text, mark))),
        (mark for mark in reversed(closing) if not _is_quoted(text, mark)),
    ):
        if (found := next(candidates, None)) is not None:
            return found.end()
    return None


def _unopened(marks: Sequence[re.Match[str]]) -> Iterator[re.Match[str]]:
    """The closing marks without an opening one before them."""
    depth = 0
    for mark in marks:
        if mark.lastgroup == "opening":
            depth += 1
        elif mark.lastgroup == "closing":
            if not depth:
                yield mark
            depth = max(0, depth - 1)


def _count(marks: Sequence[re.Match[str]], group: str) -> int:
    return sum(mark.lastgroup == group for mark in marks)


def _stands_alone(text: str, mark: re.Match[str]) -> bool:
    """At the start or at the end of its line."""
    before = text[max(0, mark.start() - _NEAR) : mark.start()].rpartition("\n")[2]
    after = text[mark.end() : mark.end() + _NEAR].partition("\n")[0]
    return not before.strip() or (not after.strip() and not _is_quoted(text, mark))


def _is_quoted(text: str, mark: re.Match[str]) -> bool:
    around = (text[mark.start() - 1 : mark.start()], text[mark.end() : mark.end() + 1])
    return any(sign and sign in _QUOTES for sign in around)
