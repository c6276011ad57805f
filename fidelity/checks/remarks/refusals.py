"""The model declines, in the place of a rewrite."""

import re
from collections.abc import Sequence

from fidelity.checks.finding import Finding
from fidelity.checks.remarks.speech import is_addressed, without_speech

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
        | als\ (?:eine?\ )?(?:KI|Sprachmodell) | en\ tant\ qu(?:e\ |['’])(?:IA|intelligence\ art\w*|modèle\ de\ lang\w*)
        | como\ (?:una?\ |um\ |uma\ )?(?:IA|inteligencia\ art\w*|modelo\ de\ (?:lenguaje|linguagem))
        )\b | (?:作为|身为)(?:一个|一名|一款)?(?:人工智能|AI|大?语言模型)
        | (?:AI|人工知能|大規模)?言語モデル(?:として|なので) | AIとして
        | как\ (?:языковая\ модель|искусственный\ интеллект|ИИ\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_DECLINE = re.compile(
    rf"""\bI(?:\ (?:really|simply|just|also|sincerely))?\ ?{_CANNOT}\ (?:(?:\w+ly|in\ good\ conscience)\ )?
        (?!{_IDIOM}){_TASK}
    | \bI(?:['’]d|\ would)?\ need\ (?:more|some|additional)\ (?:\w+\ )?(?:context|information|details|text)\ (?:to
    |before|in\ order)\b
    | \bI\ (?:do(?:n['’]t|\ not)|can['’]?t|cannot)\ see\ (?:any|a|the)\ (?:text|passage|input)\b
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
    | (?:es\ )?tut\ mir\ leid\b[^.!?\n]{0,20}\b(?:ich\ (?:kann|bin\ nicht|darf)|(?:das|dabei|hier(?:bei)?
    |damit)\ kann\ ich)
    | leider\ (?:kann|darf)\ ich\b[^.!?\n]{0,40}\bnicht\b[^.!?\n]{0,20}
        \b(?:helfen|umschreiben|umformulieren|bereitstellen|erfüllen|beantworten|bearbeiten)
        | entschuldigung\b[^.!?\n]{0,20}\bich\ kann
    | mi\ dispiace\b[^.!?\n]{0,20}\bnon\ posso | (?:sinto\ muito|desculpe|lamento)\b[^.!?\n]{0,20}\bnão\ posso
    | (?:извините|простите|к\ сожалению|прошу\ прощения)\b[^.!?\n]{0,20}\bне\ (?:могу|смогу)
    | (?:很|非常)?(?:抱歉|对不起|不好意思)[，,]?[^。！\n]{0,12}(?:无法|不能|没办法|没有能力)
    | je\ ne\ (?:peux|suis)\ pas\ (?:en\ mesure\ )?(?:d['’]|de\ |vous\ |répondre|traiter|fournir|réécrire|accéder)
    | (?:lamentablemente,?\ |desafortunadamente,?\ )?no\ puedo\ (?:ayudar|cumplir|proporcionar|reescribir|responder
    |completar)
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


def refusal(source: str, rewrite: str) -> Finding | None:
    """The rewrite starts with the model talking about itself, which the source does not."""
    own = without_speech(rewrite[:_HEAD_END])
    patterns: Sequence[re.Pattern[str]] = (_DECLINE,) if is_addressed(rewrite) else (_DECLINE, _APOLOGY)
    match = _SELF.search(rewrite[:_HEAD_END]) or _FOREIGN.match(own)
    match = match or next((found for pattern in patterns if (found := pattern.search(own))), None)
    if not match or match.start() >= HEAD or any(pattern.search(source) for pattern in (_SELF, _DECLINE, _APOLOGY)):
        return None
    if _FOREIGN.search(source) or (_I_CANNOT.search(match.group()) and _I_CANNOT.search(source)):
        return None
    return "refusal", match.group().strip()


_I_CANNOT = re.compile(r"\bI\ (?:can['’]t|cannot|can\ not|am\ unable|am\ not\ able)\b", re.IGNORECASE)
