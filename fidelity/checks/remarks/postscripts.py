"""A model remarks on its rewrite, or speaks to its reader, after it."""

import re

from fidelity.checks.finding import Finding
from fidelity.checks.remarks.speech import LINE_OF_SPEECH, is_addressed

_POSTSCRIPT = re.compile(
    r"""\W*(?: I\ hope\ (?:this|it|that\ (?:helps|this|it|answers|clarifies|works|is))\b | (?:please\ )?let\ me\ know\b
        | (?:please\ )?feel\ free\ to\b
        | (?:would|do)\ you\ (?:like|want|need)\ (?:me|any|a|another|further)\b | is\ there\ anything\ else\b
        | (?:please\ )?note(?:\ that|:)[^\n]{0,80}\b(?:rewrit\w*|rephras\w*|paraphras\w*|translat\w*|original
        |version)\b
        | (?:this|the)\ (?:rewritten|rephrased|paraphrased|revised)\b
        | (?:in\ this|this)\ (?:version|rewrite|rephrasing|translation)\b
        | this\ \w+\ (?:keeps|preserves|retains|maintains)\ (?:all|every|the\ original)\b
        | (?:note\s*:\s*)?I(?:['’]ve|\ have)?\ (?:(?:also|tried\ to|made\ sure\ to|aimed\ to)\ )?
            (?:keep|kept|preserved?|retain(?:ed)?|maintain(?:ed)?|rewrit\w+|rephras\w+|simplif\w+)\ (?:all|every|the
            |its)\ (?:\w+\ ){0,2}(?:text|passage|facts|numbers|names|meaning|tone|style|details|information)\b
        | note\s*:[^\n]{0,80}\b(?:facts|numbers|names|dates|details|information|meaning)\b[^\n]{0,40}
            \b(?:kept|preserved|retained|maintained|unchanged)\b
        | (?:changes|edits)\ (?:made|I\ made)\s*: | word\ count\s*: | (?:about\ |approx\w*\.?\ )?\d+\ words\W*\Z
        | end\ of\ (?:the\ )?(?:rewritten\ )?(?:passage|text|rewrite|translation)\b
        | ich\ hoffe,\ (?:das|dies)\ (?:hilft|entspricht) | (?:hinweis|anmerkung)\s*:[^\n]{0,80}
            \b(?:beibehalten|erhalten|umformuliert|übernommen|original\w*)\b
        | lassen\ sie\ (?:es\ )?mich\ wissen | n['’]hésitez\ pas\ à\b
        | j['’]espère\ que\ cel?a\ (?:vous|t['’]|répond) | note\s*:[^\n]{0,80}\b(?:conservée?s?|reformul\w*)\b
        | espero\ que\ (?:esto|te|le|sea|ajude|isso)\b | nota\s*:[^\n]{0,80}\b(?:conservad\w*|mantenid\w*|mantid\w*
        |original)\b
        | spero\ che\ (?:questo|sia|ti)\b
        | надеюсь,\ (?:это|что\ это)\b | примечание\s*:[^\n]{0,80}\b(?:сохранен\w*|переписан\w*|оригинал\w*)\b
        | 希望(?:这|以上|能|对您|对你) | (?:注|备注|说明)[：:][^\n]{0,40}(?:改写|保留|原文)
        | (?:お役に立て|ご参考になれば|ご不明な点) )""",
    re.IGNORECASE | re.VERBOSE,
)
# After a sentence on the same line, only what is said to the one who asked.
_AT_END_OF_LINE = re.compile(
    r"(?<=[.!?])\s(?:I hope this (?:helps|meets)\b|(?:please )?let me know if you (?:have any|need|would like|want)\b"
    r"|feel free to (?:ask|let me know|reach out)\b|would you like me to\b|is there anything else\b)[^\n]{0,120}\Z",
    re.IGNORECASE,
)
# In a letter or a talk, only what nobody but a model would add.
_ABOUT_TASK = re.compile(
    r"\b(?:rewrit\w*|rephras\w*|paraphras\w*|version|revis\w*|adjust\w*|edit\w*|modif\w*|tweak\w*|shorter|longer"
    r"|changes|assist\w*|anything else|more help|further help|word count|original)\b",
    re.IGNORECASE,
)


def postscript(source: str, rewrite: str) -> Finding | None:
    """The rewrite ends with a remark to the reader or about the task: its last line, or its last paragraph's first."""
    text = rewrite.rstrip()
    end = text.rsplit("\n", 1)
    match = line = None
    if len(end) > 1:
        paragraph = text.rsplit("\n\n", 1)[-1].split("\n", 1)[0] if "\n\n" in text else ""
        line = next((found for found in (end[-1], paragraph) if _POSTSCRIPT.match(found)), None)
        match = _POSTSCRIPT.match(line) if line else None
    if match is None:
        line = text[-_NEAR_END:]
        match = _AT_END_OF_LINE.search(line)
    if not match or line is None or any(_POSTSCRIPT.match(found) for found in source.splitlines()):
        return None
    if is_addressed(rewrite) and not _ABOUT_TASK.search(line if match.re is _POSTSCRIPT else match.group()):
        return None
    if LINE_OF_SPEECH.search(end[-1]) and len(LINE_OF_SPEECH.findall(rewrite)) > 1 and not _NOTE.match(line):
        return None
    return "postscript", match.group().strip()


_NOTE = re.compile(r"\W*(?:note|this)\b", re.IGNORECASE)
_NEAR_END = 300  # characters
