"""A model announces its rewrite, or answers the one who asked for it."""

import re

from fidelity.checks.finding import Finding
from fidelity.checks.remarks.speech import AUDIENCE, without_speech
from fidelity.checks.remarks.task_words import OUTPUT, REWRITING, names_rewrite

_GIVEN = r"(?:the|your|this)\ (?:input|original|given|provided|source|above|following|passage|text)"
_NEW = r"(?:revised|improved|simplified|concise|shorter|modified|updated|edited|new)"
_PREAMBLE = re.compile(
    rf"""\W*(?:
      (?:sure|certainly|of\ course|absolutely)(?:\ thing)?(?:[!:.](?=\s|\Z)(?!\s*{AUDIENCE})
        |[,!:.\ ]{{0,3}}\s*(?:here\b|below\b|I['’]ll\b|I\ (?:will|can)\ (?:help|do|rewrite)|I(?:['’]d
        |\ would)\ be\ (?:happy|glad)
            |let\ me\ (?:help|rewrite|rephrase)|I['’]ve\b|happy\ to))
    | (?:okay|ok|alright|all\ right|great|perfect|got\ it|understood|no\ problem)[!:](?=\s|\Z)(?!\s*{AUDIENCE})
    | (?:okay|ok|alright|all\ right|great|perfect|got\ it|understood|no\ problem|sure|certainly)[\s,.!:]{{1,3}}
        [^\n]{{0,100}}?\b(?:{REWRITING}\b|{_NEW}\ (?:text|version|passage)|version\ of\ {_GIVEN})
    | (?:here['’]?s|here\ (?:is|are)|below\ is|the\ following\ is|this\ is)\b[^\n.]{{0,120}}?
        \b(?:{REWRITING}\b|{_NEW}\ (?:text|version|passage|paragraph|article)
        |{OUTPUT}\b[^\n.]{{0,60}}?\ of\ {_GIVEN})
    | (?:here['’]?s|here\ (?:is|are)|below\ is|the\ following\ is)\b[^\n.:]{{0,80}}?
        \b(?:passage|version|summary|translation|text)\b[^\n.:]{{0,80}}:
    | (?:here['’]?s|here\ (?:is|are)|below\ is)\b[^\n.:]{{0,80}}?\b{OUTPUT}\b[^\n.:]{{0,80}}:\s*\n
    | I(?:['’]ve|['’]ll|\ have|\ will|\ would)\ {REWRITING}\b
    | (?:as\ requested|as\ you\ (?:asked|requested))\b
    | (?:rewritten|rephrased|paraphrased|revised|reworded|translated|rewrite)\s*:
    | (?:rewritten|rephrased|paraphrased|revised|reworded|translated)\ (?:passage|text|version|article
        |content)\W{{0,4}}(?:\n|:)
    | I(?:['’]d|\ would)\ be\ (?:happy|glad)\ to\ (?:help|assist|rewrite|rephrase)\b
    | (?:let\ me|I(?:['’]ll|\ will|\ can))\ (?:{REWRITING}|help\ you\ with\ (?:that|this))\b
    | (?:output|response|answer|final\ answer|assistant)\s*:\W{{0,4}}\n | assistant\s*:
    | <(?:rewritten|rewrite|rewritten[_-]?text|output|answer|response|result)>
    | (?:the\ )?(?:rewritten\ |rephrased\ )?(?:passage|text|version)\s*:
    | (?:bien\ sûr\W{{1,4}})?voici\b[^\n.:]{{0,60}}\b(?:version|réécrit\w*|reformul\w*|traduction|texte)\b
    | (?:(?:gerne?|natürlich|klar|sicher)\W{{1,3}})?hier\ ist\b[^\n.:]{{0,60}}
        \b(?:umformuliert\w*|überarbeitet\w*|Fassung|Version|Übersetzung|umgeschrieben\w*)\b
    | (?:claro|por\ supuesto)\s*[,!:.][^\n.:]{{0,20}}\baquí\b | aquí\ (?:tienes|está
        |le)\b[^\n.:]{{0,60}}\b(?:versión|texto|traducción|reescri\w*)\b
    | ecco\b[^\n.:]{{0,60}}\b(?:versione|testo|traduzione|riscri\w*)\b | (?:claro
        |aqui\ está)\b[^\n.:]{{0,60}}\b(?:versão|texto|tradução|reescri\w*)\b
    | (?:конечно\W{{1,3}})?вот\b[^\n.:]{{0,60}}\b(?:вариант|верси\w*|перевод|текст|пере(?:писан|фразирован
        |формулирован)\w*)\b
    | (?:好的|当然(?:可以)?)[，,！!。] | (?:以下|下面)是[^\n。：]{{0,30}}(?:改写|重写|版本|翻译|译文)
    | (?:(?:はい|もちろんです)[、。])?以下[はに][^\n。：]{{0,30}}(?:書き換え|書き直|言い換え|翻訳) )""",
    re.IGNORECASE | re.VERBOSE,
)
# A heading, or what a colon ends, at the very start.
_HEAD = re.compile(r"\W{0,10}[^\n:：.!?。！？]{1,120}(?:[.!?。！？]\s?[^\n:：.!?。！？]{1,80})?(?:[:：]|\W{0,4}(?=\n))")


def preamble(source: str, rewrite: str) -> Finding | None:
    """The rewrite starts with a remark about the task."""
    match = _PREAMBLE.match(rewrite)
    if match is None and (head := _HEAD.match(rewrite)) and names_rewrite(head.group()):
        match = head
    if not match or _PREAMBLE.match(source) or names_rewrite(source):
        return None
    about_output = _ABOUT_OUTPUT.search(match.group()) or names_rewrite(match.group())
    if not about_output and not without_speech(rewrite)[: match.end()].strip():
        return None  # somebody in a conversation says it
    return "preamble", match.group().strip()


_ABOUT_OUTPUT = re.compile(rf"\b(?:{REWRITING}|{OUTPUT})\b", re.IGNORECASE | re.VERBOSE)
