"""Remarks of the model about itself, its task, its reader or the text, in the place of a rewrite or around it.

A rewrite may be a letter, a lecture or a conversation, in which people apologise, greet and cannot believe their ears.
So what is said between quotation marks or after a speaker's name does not count, and the salutation of a letter or of
an audience makes some phrases harmless. Nothing counts that the source says too.
"""

import re
from collections.abc import Sequence

from fidelity.checks.letter import is_letter
from fidelity.checks.finding import Finding

# --- Refusals ---------------------------------------------------------------------------------------------------------

_CANNOT = r"""(?: can(?:['’]t|not|\ not) | (?:['’]m|\ am)\ (?:not\ able\ to|unable\ to|not\ allowed\ to
    |not\ permitted\ to
    |not\ comfortable|incapable\ of) | won['’]t(?:\ be\ able\ to)? | will\ not(?:\ be\ able\ to)? | could(?:n['’]t
        |\ not)
    | do(?:n['’]t|\ not)\ (?:know\ how\ to|feel\ comfortable) )"""
_THIS = r"""(?: (?:that|this|these|those|your|any|such|it)\b
    | the\ (?:request|task|text|passage|prompt|rewrit|instruction) )"""
_TASK = rf"""(?: (?:help|assist)(?:\ (?:you|anyone))?
        (?:\ (?:with|in)\ (?:\w+ing\ )?{_THIS}|\s*[.!,\n]|\ (?:to\ )?rewrit)
    | help\ (?:you\ )?with\ (?:rewrit|rephras)
    | (?:fulfill?|process|facilitate|accommodate|complete|translate
        |summari[sz]e|proceed\ with|comply\ with|engage\ (?:in|with)|participate\ in|respond\ to)\ {_THIS}
    | (?:comply|proceed)\s*[.,!\n] | rewrit(?:e|ing)\b | rephras | paraphras | reword
    | (?:create|creating|generate|generating|produce|provide|writ(?:e|ing)\ about|discuss)\ (?:content|material
        |information|this\ topic)\b
    | (?:answer|do|provide|create|generate|write|writing|produce|continue|support|share|discuss|offer|give|access|open
        |read|view|browse|perform|see|find)\b[^.!?\n]{{0,30}}?
      \b(?:th(?:at|is|ese|ose)\s*[.,!\n] | th(?:at|is)\ (?:request|kind|type|content|text|passage|task|topic)
        | requests?\b | (?:the|your|any|an?)\ (?:\w+\ )?(?:text|passage|content|rewrit|document|prompt|instruction
        |translation|summary|task|input|link|file)) )"""
# Said of everything but a task: "I can't believe it", "I cannot help but smile".
_IDIOM = r"""(?: believe | wait | imagine | resist | stop | remember | recall | hear | stand\b | tell\ you\ (?:how
    |what|more)
    | say\ (?:how|for|that|enough|when|whether) | help\ (?:but|\w+ing|myself|it) | thank | express | describe | forget
    | stay | come\b | join | attend | be\ (?:there|with|here) | have\ (?:been|come|written) | (?:write|visit
        |answer)\ (?:you
    |sooner|earlier|more|to\ you) | overstate | promise | complain | agree | see\ (?:why|how|you|it)\b )"""
_SELF = re.compile(
    r"""\b(?: as\ an?\ (?:(?:\w+\ )?AI|artificial\ intelligence|(?:large\ )?language\ model|(?:helpful|responsible
        |virtual)\ assistant)
        | I(?:['’]m|\ am)\ (?:just\ |only\ |merely\ )?(?:an?\ )(?:AI|artificial\ intelligence
        |(?:large\ )?language\ model
            |chatbot|(?:AI|virtual|digital)\ assistant)
        | (?:against|violates?)\ my\ (?:guidelines|policy|policies|programming) | my\ (?:training\ data
        |knowledge\ cutoff)
        | als\ (?:eine?\ )?(?:KI|Sprachmodell) | en\ tant\ qu(?:e\ |['’])(?:IA|intelligence\ art|modèle\ de\ lang)
        | como\ (?:una?\ |um\ |uma\ )?(?:IA|inteligencia\ art|modelo\ de\ (?:lenguaje|linguagem))
        )\b | (?:作为|身为)(?:一个|一名|一款)?(?:人工智能|AI|大?语言模型)
        | как\ (?:языковая\ модель|искусственный\ интеллект|ИИ\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_DECLINE = re.compile(
    rf"""\bI(?:\ (?:really|simply|just|also|sincerely))?\ ?{_CANNOT}\ (?:\w+ly\ )?(?!{_IDIOM}){_TASK}
    | \bI\ do(?:n['’]t|\ not)\ have\ (?:access|the\ ability|enough\ (?:information|context|details)
        |(?:personal|real-time)\b|(?:any|a|the)\ (?:text|passage|input|document|information|context)\b)
    | \bI\ (?:must|have\ to|will\ have\ to)\ (?:respectfully\ )?decline\b
    | \bI(?:['’]m|\ am)\ not\ comfortable\ (?:with\ {_THIS}|\w+ing\ (?:about\ )?(?:{_THIS}|content))
    | \b(?:please|could\ you|can\ you|would\ you)\ (?:please\ )?(?:provide|share|paste|send|give)\ (?:me\ |us\ )?
        (?:with\ )?(?:the\ (?:\w+\ )?(?:text|passage)|(?:your|more|some|a|any)\ (?:\w+\ )?
        (?:text|passage|content|input|context|details|information))\b
    | \b(?:no|not?\ any)\ (?:text|passage|input)\ (?:was\ |has\ been\ )?(?:provided|given)\b
    | \byou\ (?:haven['’]t|have\ not|did\ not|didn['’]t)\ (?:provided?|given?|shared?|included?)\b[^.!?\n]{{0,20}}
        \b(?:text|passage|content|input|information|context)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_APOLOGY = re.compile(
    rf"""\b(?:I['’]m|I\ am)\ \w+\ sorry\b[^.!?\n]{{0,20}}\b(?:but|I)\b[^.!?\n]{{0,20}}?{_CANNOT}\ (?!{_IDIOM})
    | \b(?:I['’]m|I\ am)\ sorry\b(?!\ (?:to\ (?:hear|say|tell|report)|for\ (?:the\ delay|your\ loss
        |being)
        |I(?:['’]m|\ am)\ late|that\ (?:you|he|she|they
        |we)\b))(?![^.!?\n]{{0,20}}\bI\ ?{_CANNOT}\ (?:\w+ly\ )?{_IDIOM})
    | \bI\ (?:sincerely\ |do\ )?apologi[sz]e\b
    | (?:^|[.!?\n]\s?)(?:sorry|my\ apologies|unfortunately|regrettably)\b[^.!?\n]{{0,20}}\bI\ ?{_CANNOT}\ (?!{_IDIOM})
    | \bI\ (?:can['’]t|cannot|can\ not)\ (?:do|answer)\ (?:that|this)\s*[.!]""",
    re.IGNORECASE | re.VERBOSE,
)
# At the very start, in the languages of which many documents are.
_FOREIGN = re.compile(
    r"""\W*(?: (?:lo\ siento|lamento|disculp\w+)\b[^.!?\n]{0,20}\bno\ (?:puedo|podré|me\ es\ posible)
    | (?:je\ suis\ )?(?:désolée?|navrée?)\b[^.!?\n]{0,20}\bje\ ne\ (?:peux|suis|pourrai)
    | (?:es\ )?tut\ mir\ leid\b[^.!?\n]{0,20}\bich\ (?:kann|bin\ nicht|darf)
        | entschuldigung\b[^.!?\n]{0,20}\bich\ kann
    | mi\ dispiace\b[^.!?\n]{0,20}\bnon\ posso | (?:sinto\ muito|desculpe|lamento)\b[^.!?\n]{0,20}\bnão\ posso
    | (?:извините|простите|к\ сожалению|прошу\ прощения)\b[^.!?\n]{0,20}\bне\ (?:могу|смогу)
    | (?:很|非常)?(?:抱歉|对不起|不好意思)[，,]?[^。！\n]{0,12}(?:无法|不能|没办法|没有能力)
    | je\ ne\ (?:peux|suis)\ pas\ (?:en\ mesure\ )?(?:d['’]|de\ |vous\ |répondre|traiter|fournir|réécrire|accéder)
    | no\ puedo\ (?:ayudar|cumplir|proporcionar|reescribir|responder|completar)
    | ich\ kann\b[^.!?\n]{0,30}\bnicht\ (?:helfen|umschreiben|umformulieren|bereitstellen|erfüllen|beantworten)
    | non\ posso\ (?:aiutar|fornire|rispondere|riscrivere|completare)
    | não\ posso\ (?:ajudar|fornecer|responder|reescrever|completar)
    | я\ не\ могу\ (?:помочь|предоставить|выполнить|ответить\ на|переписать)
    | 我(?:无法|不能)(?:提供|帮助|协助|满足|回答|完成|改写|翻译)
    | (?:申し訳|すみません|ごめんなさい)[^。\n]{0,30}(?:できません|できかねます|お手伝い) )""",
    re.IGNORECASE | re.VERBOSE,
)
HEAD = 100  # characters at the start in which a refusal is looked for
_HEAD_END = HEAD + 160

# --- Who speaks -------------------------------------------------------------------------------------------------------

_QUOTED = re.compile(
    r'"[^"\n]{0,600}"|“[^”\n]{0,600}”|«[^»\n]{0,600}»|„[^“”\n]{0,600}[“”]|「[^」\n]{0,600}」|『[^』\n]{0,600}』'
)
_LINE_OF_SPEECH = re.compile(
    r"""^[ \t]*(?: [—–―][ \t]
        | [-*_>\#\[(\"“]{0,4}(?P<speaker>[^\W\d_][\w.’'\ -]{0,40})(?:\([^)\n]{0,30}\))?[*_\])]{0,3}[:：] )[^\n]*""",
    re.MULTILINE | re.VERBOSE,
)
# A label of one of these stands for the model itself.
_NO_SPEAKER = re.compile(
    r"\W*(?:assistant|ai|chatbot|bot|model|system|response|answer|a|output|result|note|disclaimer|warning|apology"
    r"|(?:\w+ )?(?:text|passage|version|rewrite|article|rewriting|translation|summary|paragraph)|q|question|sorry"
    r"|refusal|sure|certainly|(?:here|hier|voici|aquí|ecco|вот)\b.*|ai assistant)\W*",
    re.IGNORECASE,
)
MAX_SPEAKER_WORDS = 4
_AUDIENCE = r"""(?: everyone | everybody | class\b | folks | students | all\b | guys | friends | team | ladies
    | children
    | let['’]?s\b | let\ us | today | now\b | so\b | well\b | good\ (?:morning|afternoon|evening) | welcome
        | settle | we\b
    | please\ (?:sit|take|open|settle|be) | quiet | who\b | why\b | this\ (?:morning|week|semester) | last\ (?:time
        |week)
    | thank )"""
_LECTURE = re.compile(
    rf"""\W*(?: (?:okay|ok|alright|all\ right|right|well|now|so|great|sure|hello|hi|hey|thanks|thank\ you|sorry
        |listen)
            [\s,.!:]{{1,3}}{_AUDIENCE}
        | (?:good\ (?:morning|afternoon|evening|day)|welcome|today|everyone|everybody|class|students|folks|ladies)\b
        | [^.!?\n]{{0,60}},\ (?:everyone|everybody|class|students|folks)\b )""",
    re.IGNORECASE | re.VERBOSE,
)


def _without_speech(text: str) -> str:
    """The text without what others say: quotations and the lines of a conversation; all of it if nothing is left."""

    def blank(match: re.Match[str]) -> str:
        speaker = match.group("speaker")
        is_model = speaker is not None and not _is_name(speaker)
        return match.group() if is_model else " " * len(match.group())

    rest = _LINE_OF_SPEECH.sub(blank, _QUOTED.sub(lambda match: " " * len(match.group()), text))
    if any(char.isalnum() for char in rest):
        return rest
    # One line of speech alone is the model's: a whole answer in quotation marks.
    return rest if len(_LINE_OF_SPEECH.findall(text)) > 1 or _named_speaker(text) else text


def _named_speaker(text: str) -> bool:
    match = _LINE_OF_SPEECH.match(text.lstrip())
    return bool(match and match.group("speaker") and _is_name(match.group("speaker")))


def _is_name(speaker: str) -> bool:
    return len(speaker.split()) <= MAX_SPEAKER_WORDS and _NO_SPEAKER.fullmatch(speaker) is None


def _is_addressed(text: str) -> bool:
    """A letter, or a talk to an audience."""
    return is_letter(text) or _LECTURE.match(text) is not None


def refusal(source: str, rewrite: str) -> Finding | None:
    """The rewrite starts with the model talking about itself, which the source does not."""
    own = _without_speech(rewrite[:_HEAD_END])
    patterns: Sequence[re.Pattern[str]] = (_DECLINE,) if _is_addressed(rewrite) else (_DECLINE, _APOLOGY)
    match = _SELF.search(rewrite[:_HEAD_END]) or _FOREIGN.match(own)
    match = match or next((found for pattern in patterns if (found := pattern.search(own))), None)
    if not match or match.start() >= HEAD or any(pattern.search(source) for pattern in (_SELF, _DECLINE, _APOLOGY)):
        return None
    if _FOREIGN.search(source) or (_I_CANNOT.search(match.group()) and _I_CANNOT.search(source)):
        return None
    return "refusal", match.group().strip()


_I_CANNOT = re.compile(r"\bI\ (?:can['’]t|cannot|can\ not|am\ unable|am\ not\ able)\b", re.IGNORECASE)

# --- Around the rewrite -----------------------------------------------------------------------------------------------

_REWRITING = r"(?:rewrit|rewrote|rephras|paraphras|reword|reformulat)\w*"
_OUTPUT = r"""(?: passage | version | summary | translation | text | article | lecture | dialogue | conversation
    | letter
    | (?:news\ )?explainer | study\ guide | case\ study | section | faq | rewrite | paragraph | script | note
        | response )"""
_GIVEN = r"(?:the|your|this)\ (?:input|original|given|provided|source|above|following|passage|text)"
_NEW = r"(?:revised|improved|simplified|concise|shorter|modified|updated|edited|new)"
_PREAMBLE = re.compile(
    rf"""\W*(?:
      (?:sure|certainly|of\ course|absolutely)(?:\ thing)?(?:[!:.](?=\s|\Z)(?!\s*{_AUDIENCE})
        |[,!:.\ ]{{0,3}}\s*(?:here\b|below\b|I['’]ll\b|I\ (?:will|can)\ (?:help|do|rewrite)|I(?:['’]d
        |\ would)\ be\ (?:happy|glad)
            |let\ me\ (?:help|rewrite|rephrase)|I['’]ve\b|happy\ to))
    | (?:okay|ok|alright|all\ right|great|perfect|got\ it|understood|no\ problem)[!:](?=\s|\Z)(?!\s*{_AUDIENCE})
    | (?:okay|ok|alright|all\ right|great|perfect|got\ it|understood|no\ problem|sure|certainly)[\s,.!:]{{1,3}}
        [^\n]{{0,100}}?\b(?:{_REWRITING}\b|{_NEW}\ (?:text|version|passage)|version\ of\ {_GIVEN})
    | (?:here['’]?s|here\ (?:is|are)|below\ is|the\ following\ is|this\ is)\b[^\n.]{{0,120}}?
        \b(?:{_REWRITING}\b|{_NEW}\ (?:text|version|passage|paragraph|article)
        |{_OUTPUT}\b[^\n.]{{0,60}}?\ of\ {_GIVEN})
    | (?:here['’]?s|here\ (?:is|are)|below\ is|the\ following\ is)\b[^\n.:]{{0,80}}?
        \b(?:passage|version|summary|translation|text)\b[^\n.:]{{0,80}}:
    | (?:here['’]?s|here\ (?:is|are)|below\ is)\b[^\n.:]{{0,80}}?\b{_OUTPUT}\b[^\n.:]{{0,80}}:\s*\n
    | I(?:['’]ve|['’]ll|\ have|\ will|\ would)\ {_REWRITING}\b
    | (?:as\ requested|as\ you\ (?:asked|requested))\b
    | (?:rewritten|rephrased|paraphrased|revised|reworded|translated)\b[^\n]{{0,40}}:
    | (?:rewritten|rephrased|paraphrased|revised|reworded|translated)\ (?:passage|text|version|article
        |content)\W{{0,4}}\n
    | (?:the\ )?(?:rewritten\ |rephrased\ )?(?:passage|text|version)\s*:
    | voici\b[^\n.:]{{0,60}}\b(?:version|réécrit\w*|reformul\w*|traduction|texte)\b
    | hier\ ist\b[^\n.:]{{0,60}}\b(?:umformuliert\w*|überarbeitet\w*|Fassung|Version|Übersetzung|umgeschrieben\w*)\b
    | (?:claro|por\ supuesto)\s*[,!:.][^\n.:]{{0,20}}\baquí\b | aquí\ (?:tienes|está
        |le)\b[^\n.:]{{0,60}}\b(?:versión|texto|traducción|reescri\w*)\b
    | ecco\b[^\n.:]{{0,60}}\b(?:versione|testo|traduzione|riscri\w*)\b | (?:claro
        |aqui\ está)\b[^\n.:]{{0,60}}\b(?:versão|texto|tradução|reescri\w*)\b
    | (?:конечно\W{{1,3}})?вот\b[^\n.:]{{0,60}}\b(?:вариант|верси\w*|перевод|текст|пере(?:писан|фразирован
        |формулирован)\w*)\b
    | (?:好的|当然)[，,！!。] | (?:以下|下面)是[^\n。：]{{0,30}}(?:改写|重写|版本|翻译|译文)
    | (?:はい[、。])?以下[はに][^\n。：]{{0,30}}(?:書き換え|書き直|言い換え|翻訳) )""",
    re.IGNORECASE | re.VERBOSE,
)
_POSTSCRIPT = re.compile(
    r"""\W*(?: I\ hope\ (?:this|it|that\ (?:helps|this|it|answers|clarifies|works|is))\b | let\ me\ know\b
        | (?:please\ )?feel\ free\ to\b
        | (?:would|do)\ you\ (?:like|want|need)\ (?:me|any|a|another|further)\b | is\ there\ anything\ else\b
        | (?:please\ )?note(?:\ that|:)[^\n]{0,80}\b(?:rewrit\w*|rephras\w*|paraphras\w*|translat\w*|original
        |version)\b
        | (?:this|the)\ (?:rewritten|rephrased|paraphrased|revised)\b
        | (?:in\ this|this)\ (?:version|rewrite|rephrasing|translation)\b
        | word\ count\s*: | end\ of\ (?:the\ )?(?:passage|text|rewrite|translation)\b )""",
    re.IGNORECASE | re.VERBOSE,
)
# In a letter or a talk, only what nobody but a model would add.
_ABOUT_TASK = re.compile(
    r"\b(?:rewrit\w*|rephras\w*|paraphras\w*|version|revis\w*|adjust\w*|edit\w*|modif\w*|tweak\w*|shorter|longer"
    r"|changes|assist\w*|anything else|more help|further help|word count)\b",
    re.IGNORECASE,
)
_ECHO = re.compile(
    r"""rewrite\ (?:the|this)\ (?:input\ |following\ )?(?:passage|text)\b
        | in\ your\ own\ words | preserving\ its\ core\ meaning | <\|im_(?:start|end)\|>
        | </?(?:text|context)\ ?(?:id=\w+)?>
        | ^(?:topic|section|(?:text|note|translation|written|translated)\ before
            |last\ number\ used|already\ introduced):
        | ^the\ (?:passage|text)\ is\ (?:part\ of|from)\b | \b(?:input|original)\ text\b""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)


def preamble(source: str, rewrite: str) -> Finding | None:
    """The rewrite starts with a remark about the task."""
    match = _PREAMBLE.match(rewrite)
    if not match or _PREAMBLE.match(source):
        return None
    if not _ABOUT_OUTPUT.search(match.group()) and not _without_speech(rewrite)[: match.end()].strip():
        return None  # somebody in a conversation says it
    return "preamble", match.group().strip()


_ABOUT_OUTPUT = re.compile(rf"\b(?:{_REWRITING}|{_OUTPUT})\b", re.IGNORECASE | re.VERBOSE)


def postscript(source: str, rewrite: str) -> Finding | None:
    """The rewrite ends with a remark to the reader or about the task."""
    end = rewrite.rstrip().rsplit("\n", 1)
    match = _POSTSCRIPT.match(end[-1]) if len(end) > 1 else None
    if not match or any(_POSTSCRIPT.match(line) for line in source.splitlines()):
        return None
    if _is_addressed(rewrite) and not _ABOUT_TASK.search(end[-1]):
        return None
    if _LINE_OF_SPEECH.match(end[-1]) and len(_LINE_OF_SPEECH.findall(rewrite)) > 1:
        return None
    return "postscript", match.group().strip()


def prompt_echo(source: str, rewrite: str) -> Finding | None:
    """The rewrite contains pieces of the prompt."""
    match = _ECHO.search(rewrite)
    return ("prompt_echo", match.group()) if match and not _ECHO.search(source) else None
