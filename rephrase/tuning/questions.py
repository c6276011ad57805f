"""Questions that people asked about paragraphs of Wikipedia, each with the sentence that answers it.

SQuAD (arXiv 1806.03822, CC BY-SA 4.0) and XQuAD (arXiv 1910.11856, CC BY-SA 4.0), read from the data folder.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rephrase.corpus.sentences import sentence_spans
from rephrase.tuning.sentence_rewrites import SentenceRewrite

ARTICLES = "documents/wikipedia_squad2_articles.jsonl"
PARAGRAPHS = "documents/xquad_en.jsonl"
STYLE = "question_answer"
MIN_WORDS, MAX_WORDS = 6, 45


def asked_questions(data: Path) -> list[SentenceRewrite]:
    """
    Raises:
        FileNotFoundError: the folder lacks one of the two files.
    """
    found: list[SentenceRewrite] = []
    for row in _rows(data / ARTICLES):
        for paragraph in row["paragraphs"]:
            found += _questions(row["title"], paragraph)
    for row in _rows(data / PARAGRAPHS):
        found += _questions(row["title"], row)
    return found


def _rows(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _questions(title: str, paragraph: dict[str, Any]) -> Iterator[SentenceRewrite]:
    text = paragraph["context"]
    sentences = [text[start:end].strip() for start, end in sentence_spans(text)]
    for row in paragraph["qas"]:
        answer, question = row.get("answer") or next(iter(row.get("answers", ())), ""), row["question"].strip()
        # Only where one sentence alone holds the answer.
        holding = [sentence for sentence in sentences if answer and answer in sentence]
        if row.get("impossible") or len(holding) != 1 or not question.endswith("?"):
            continue
        if MIN_WORDS <= len(holding[0].split()) <= MAX_WORDS:
            yield SentenceRewrite(
                document=title,
                title=title.replace("_", " "),
                source=holding[0],
                style=STYLE,
                rewrite=question,
            )
