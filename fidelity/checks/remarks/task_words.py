"""Words for the task that a model was set, and for what it was to write."""

import re

REWRITING = r"(?:rewrit|rewrote|rephras|paraphras|reword|reformulat)\w*"
OUTPUT = r"""(?: passage | version | summary | translation | text | article | lecture | dialogue | conversation
    | letter | (?:news\ )?explainer | study\ guide | case\ study | section | faqs? | rewrite | paragraph | script
    | (?:structured\ )?notes? | response | frequently\ asked\ questions | questions\ and\ answers | story
    | encyclopedia\ entry )"""
# "Umformulierter Text", "rephrased version": a word of each.
_REWRITTEN = re.compile(
    r"""\b(?:rewritten|rephrased|paraphrased|reworded|reformulated | umformuliert\w*|umgeschrieben\w*|überarbeitet\w*
    | réécri\w*|reformulée?|reescrit\w*|reformulad\w*|riscritt\w*|riformulat\w*
    | переписанн\w*|перефразированн\w*|переработанн\w* )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_WHAT = re.compile(
    r"""\b(?:text|passage|version|article|paragraph|content|output|lecture|dialogue|letter|story|summary|notes
        | texte?s?
    | fassung | abschnitt | testo | textos? | versione | versión | versão | fragmento
    | текст | вариант | версия )\b""",
    re.IGNORECASE | re.VERBOSE,
)
# "Reformulation", "改写": one word for both.
_REWRITE = re.compile(
    r"""\b(?:(?<!\bcan\ )(?<!\bto\ )(?<!\bwe\ )(?<!\bus\ )rewrite|rephrasing|paraphrase|rewording
        |(?<=une\ )reformulation|umformulierung|réécriture|reescritura)\b
    | 改写 | 改寫 | 重写 | 重寫 | 改述 | 書き換え | 書き直し | 言い換え""",
    re.IGNORECASE | re.VERBOSE,
)


def names_rewrite(text: str) -> bool:
    """It speaks of a rewritten text, or of a rewrite."""
    return bool(_REWRITE.search(text) or (_REWRITTEN.search(text) and _WHAT.search(text)))
