"""Pairs as data for the report's reader: sentences with their links, split where a marked fact begins or ends.

The page turns this data into text nodes, so nothing in a document becomes markup. The data is embedded in the page as
JSON in which every `<` and `&` is escaped.
"""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from fidelity.checks.sentences import Match, SentenceReport, Sentences, Span
from flows.report.links import Links
from flows.report.pairs import Pair
from flows.results.display import SCORES

# Characters that could end the element holding the JSON, and lone surrogates, which are not characters at all.
_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")

# A span of text and the indices of the facts marked in it.
Segment = tuple[str, list[int]]

_NO_SENTENCES = Sentences("", (), ())
_UNLINKED = SentenceReport(source=_NO_SENTENCES, rewrite=_NO_SENTENCES, support=(), coverage=(), scores={})


def script_json(value: object) -> str:
    """JSON that is safe inside a script element, whatever the value."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def item(pair: Pair, links: Links | None) -> dict[str, Any]:
    """One pair for the page; keys are short because there are hundreds of pairs."""
    report = links.report if links else _UNLINKED
    facts = [(f.kind, f.problem, f.detail, f.source, f.rewrite) for f in pair.discrepancies]
    return {
        "ok": pair.reason is None,
        "reason": pair.reason or "",
        "detail": pair.detail,
        "stage": pair.stage,
        "title": pair.title,
        "id": pair.document_id,
        "recipe": pair.recipe,
        "style": pair.style,
        "perspective": pair.perspective,
        "variant": pair.variant,
        "chunk": pair.chunk,
        "n_chunks": pair.n_chunks,
        "language": pair.language,
        "scores": {name: round(pair.scores[name], 4) for name in SCORES if name in pair.scores},
        "source": None if pair.source is None else side(pair.source, report.source.spans, [fact[3] for fact in facts]),
        "rewrite": side(pair.rewrite, report.rewrite.spans, [fact[4] for fact in facts]),
        "support": matches(report.support, links),
        "coverage": matches(report.coverage, links),
        "facts": [fact[:3] for fact in facts],
        "cut": [pair.n_source_cut, pair.n_rewrite_cut],
        "details": dict(pair.details),
    }


def side(text: str, sentences: Sequence[Span], marks: Sequence[tuple[int, int] | None]) -> list[Any]:
    """A text as pieces [sentence index or null, segments]; joined, they give the text again."""
    pieces: list[Any] = []
    end = 0
    for number, span in enumerate(sentences):
        if span[0] > end:
            pieces.append([None, segments(text, end, span[0], marks)])
        pieces.append([number, segments(text, *span, marks)])
        end = span[1]
    if end < len(text):
        pieces.append([None, segments(text, end, len(text), marks)])
    return pieces


def segments(text: str, start: int, end: int, marks: Sequence[tuple[int, int] | None]) -> list[Segment]:
    """`text[start:end]` split where a mark begins or ends.

    >>> segments("in 1588 or so", 0, 13, [(3, 7)])
    [('in ', []), ('1588', [0]), (' or so', [])]
    """
    inside = [(number, mark) for number, mark in enumerate(marks) if mark and mark[0] < end and mark[1] > start]
    cuts = sorted({start, end, *(max(start, min(end, cut)) for _, mark in inside for cut in mark)})
    return [
        (text[a:b], [number for number, mark in inside if mark[0] <= a and b <= mark[1]]) for a, b in pairwise(cuts)
    ]


def matches(found: Sequence[Match], links: Links | None) -> dict[int, list[Any]]:
    """By sentence: first and last matching sentence on the other side, cosine, and whether it is high enough."""
    return {
        match.sentence: [
            *(match.first, match.last, round(match.similarity, 3)),
            int(links is not None and match.similarity >= links.min_similarity),
        ]
        for match in found
    }
