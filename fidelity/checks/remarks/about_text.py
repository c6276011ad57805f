"""Does a rewrite speak about its source instead of saying what it says: "The passage explains …"?

A source may speak so itself, or be about a treaty or a poem, to which "the text" then refers; that is no fault.
"""

import re

from fidelity.checks.finding import Finding

_SAYS = r"""(?: introduc | explain | describ | discuss | explor | provid | present | outlin | highlight | mention
    | stat(?:es|ed)
    | says | said | writes | wrote | tells | told | talks | cover | focus | deals | examin | emphasi[sz] | notes
    | noted | detail
        | summari[sz]
    | argu | suggest | gives | gave | shows | showed | begins | began | concludes | concluded | goes\ on
        | continues | aims
    | lists | listed | points\ out | refers | illustrat | defin | address | compar | offers | trac(?:es|ed)
        | starts | ends
    | delv | touches | looks | seeks | is\ about | was\ about | is\ a\ (?:summary|description|discussion|passage)
        | emphasi
    | also | then | further | briefly | clearly | first | will | (?:can|may|could)\ be | mainly | mostly
        | primarily | itself | is\ (?:divided|structured|organi[sz]ed|taken|from) | does\ not\ (?:say|mention|state
        |explain|provide|specify)
    | doesn['’]t\ (?:say|mention|state|explain|provide|specify) | underlin | underscor | reveals | reports
        | recounts )"""
# Words for the source itself, and those that mean a text only at the start, where nothing else can be meant.
_TEXT = r"(?:text|passage|excerpt|paragraph|article|extract|snippet)"
_WORK = r"(?:document|section|chapter|essay|narrator|speaker|summary|piece|content|material)"
_GIVEN = r"(?:given\ |provided\ |above\ |following\ |present\ |input\ |original\ |source\ |short\ )?"
_ABOUT = re.compile(
    rf"""(?:^|(?<=[.!?:]\s)|(?<=[\"“”*_(>-])|(?<=,\s)|(?<=\band\s)|(?<=\bthat\s)|(?<=\bas\s))\W{{0,3}}
        (?:the|this)\ {_GIVEN}(?P<subject>{_TEXT}|author|writer)(?:,\ which)?\ (?:{_SAYS}
            |(?:that\ )?you\ (?:have\ )?(?:provided
        |gave|given|shared)|provided\b)
    | \b(?:according\ to|based\ on|as\ (?:stated|mentioned|described|explained|noted|discussed|outlined)\ (?:in|by)
        |in|from
        |(?:main|central|key)\ (?:idea|point|theme|message|topic)s?\ (?:of|in)|(?:purpose|aim|focus|topic
        |introduction|beginning|opening|rest|author|tone|title|contents?|structure|subject)\ of|does)
        \ (?:the|this)\ {_GIVEN}(?P<object>{_TEXT})\b(?!\ (?:of|to|between|message|box|file|editor)\b)
    | \b(?:per\ (?:the|this)|what\ (?:is|was)\ (?:the|this)|this\ is\ an?\ (?:short\ )?)\s?{_GIVEN}(?P<named>{_TEXT})
        (?:\ (?:about|on|describing)\b|(?=,))
    | \b(?:the|this)\ {_GIVEN}(?P<whose>{_TEXT})['’]s\ (?:main|central|key|focus|author|point|topic|subject|purpose
        |message|argument|title|tone|theme)\b
    | \b(?:the|this)\ (?:given|provided|original)\ (?P<given>{_TEXT})\b(?!\ of\b)
    | \b(?:the\ (?:given|provided)\ (?P<data>information)\ (?:stat|say|show|describ|mention|suggest|indicat)
        |the\ (?P<data_2>information)\ (?:given|provided)\ (?:stat|say|show|describ|mention|suggest|indicat))\w*""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_ABOUT_AT_START = re.compile(
    rf"""\W{{0,4}}(?:in\ )?(?:the|this)\ {_GIVEN}(?P<subject>{_TEXT}|{_WORK}|author|writer) (?:,\ (?:the\ author|we
        |you)\b
        |['’]s\ author\b|\ {_SAYS})
    | \W{{0,4}}(?:der|dieser)\ (?P<de>Text|Abschnitt|Artikel|Auszug)\ (?:beschreib|erklär|behandel|handelt|stellt
        |gibt|erläuter|beschäftig|befasst|erzähl)
    | \W{{0,4}}(?:laut|gemäß|nach)\ (?:dem|diesem)\ (?P<de_by>Text|Abschnitt|Artikel|Auszug)\b
    | \W{{0,4}}in\ diesem\ (?P<de_in>Text|Abschnitt|Artikel|Auszug)\ (?:geht|wird|erfahren|beschreib)
    | \W{{0,4}}(?:según|de\ acuerdo\ con|en)\ (?:el|este)\ (?P<es_by>texto|pasaje|artículo|fragmento)\b
    | \W{{0,4}}(?:selon|d['’]après|dans)\ (?:le|ce|cet|l['’])\ ?(?P<fr_by>texte|passage|article|extrait)\b
    | \W{{0,4}}(?:secondo|in)\ (?:il|questo)\ (?P<it_by>testo|brano)\b
    | \W{{0,4}}(?:segundo|de\ acordo\ com|n?este)\ o?\ ?(?P<pt_by>texto)\b
    | \W{{0,4}}согласно\ (?:этому\ |данному\ )?(?P<ru_by>тексту|отрывку)
    | \W{{0,4}}(?:根据|按照)(?:上述|以上|本|该|这篇|这段|原)?(?P<zh_by>文本|文章|短文|段落|原文|文字|文)
    | \W{{0,4}}(?P<zh_says>文章|短文|作者|文本|原文)(?:主要)?(?:指出|提到|认为|介绍|描述|讲述|说明|强调)
    | \W{{0,4}}(?P<ja_by>(?:この|本)(?:文章|テキスト|記事|段落|文))によ(?:ると|れば)
    | \W{{0,4}}(?:el|este)\ (?P<es>texto|pasaje|artículo|fragmento)\ (?:describe|explica|presenta|habla|trata
        |menciona|introduce|analiza|discute|ofrece|expone)
    | \W{{0,4}}(?:le|ce|cet|l['’])\ ?(?P<fr>texte|passage|article|extrait)\ (?:décrit|explique|présente|parle
        |traite|mentionne|introduit|aborde|expose|offre)
    | \W{{0,4}}(?:il|questo|o|este)\ (?P<it>testo|brano|texto)\ (?:descriv|spiega|presenta|parla|tratta|descreve
        |explica|apresenta|fala|aborda)
    | \W{{0,4}}(?:этот\ |данный\ )?(?P<ru>текст|отрывок|абзац)\ (?:описыва|объясня|рассказыва|посвящ|представля
        |повеству|говорит|содержит)
    | \W{{0,4}}в\ (?:этом|данном|настоящем)\ (?P<ru_in>тексте|отрывке|абзаце)
    | \W{{0,4}}(?P<zh>本文|(?:本|该|这段|此|这篇)(?:文本|段落|文字|短文|文章|文段))(?:主要)?
        (?:介绍|描述|讲述|说明|解释|讨论|阐述|探讨|叙述|提到)
    | \W{{0,4}}(?P<ja>(?:この|本)(?:文章|テキスト|文|記事|段落))(?:は|では)""",
    re.IGNORECASE | re.VERBOSE,
)
# A source about one of these has a text that "the text" may mean.
_WRITTEN = re.compile(
    r"""\b(?:declaration | treat(?:y|ies) | constitution | charter | books? | letters? | poems? | poetry | novels?
        | bible
    | gospels? | manuscripts? | inscriptions? | essays? | speech(?:es)? | scripts? | edicts? | amendments?
        | contracts? | epic
    | verses? | scriptures? | papyr(?:us|i) | scrolls? | codex | tablets? | hymns? | songs? | lyrics | pamphlets?
        | statutes?
    | newspapers? | journals? | magazines? | reports? | papers? | bill | act | plays? | sonnets? | psalms? | quran
        | koran
    | torah | sutras? | chronicles? | translations? | writings? | wrote | written | authors? | writers?
        | historians? | poets? | novelists? | journalists? | essayists? | scholars? | philosophers? | documents?
    | articles? | publications? | published | resolution | proclamation | accord | agreement )\b""",
    re.IGNORECASE | re.VERBOSE,
)


def about_the_text(source: str, rewrite: str) -> Finding | None:
    """The rewrite calls its source a text and says what it does, which the source does not."""
    match = _ABOUT_AT_START.match(rewrite)
    if match is None:
        match = next((found for found in _ABOUT.finditer(rewrite) if not _of_a_work(found, source)), None)
    if match is None or _speaks_so(source, match):
        return None
    return "about_the_text", match.group().strip()


def _of_a_work(match: re.Match[str], source: str) -> bool:
    """ "The text says" further down, where the source is about something written."""
    names_it = re.search(r"\b(?:this|given|provided)\b", match.group(), re.IGNORECASE)
    return names_it is None and _WRITTEN.search(source) is not None


def _speaks_so(source: str, match: re.Match[str]) -> bool:
    """The source uses the same word for itself or for what it is about; a passage of a bill or a river is neither."""
    if _ABOUT_AT_START.match(source) or _ABOUT.search(source):
        return True
    word = next(group for group in match.groups() if group)
    if not word.isascii() and word[0] > "\u2e80":
        return word in source  # Chinese and Japanese: no spaces between words
    other = _OTHER_MEANING.get(word.lower(), "")
    return re.search(rf"\b{re.escape(word)}s?\b{other}", source, re.IGNORECASE) is not None


# A passage of a bill or through mountains is no text, nor is a text message one that describes.
_OTHER_MEANING = {
    "passage": r"(?! (?:of|to|through|between|from|across)\b)",
    "text": r"(?! (?:message|box|file|editor)\b)",
}
