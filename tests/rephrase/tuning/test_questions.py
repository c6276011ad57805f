"""A question comes with the one sentence that holds its answer."""

import json

from rephrase.tuning.questions import ARTICLES, PARAGRAPHS, asked_questions


def test_questions_with_their_sentences(tmp_path):
    text = "The old mill burned down in 1794. Nobody ever built it up again."
    questions = [
        {"question": "When did the mill burn down?", "answers": ["1794"], "impossible": False},
        {"question": "Who built the mill?", "answers": ["1794"], "impossible": True},
        {"question": "Which letter is meant?", "answers": ["e"], "impossible": False},  # stands in both
    ]
    article = {"title": "The_Mill", "paragraphs": [{"context": text, "qas": questions}]}
    paragraph = {
        "title": "Owls",
        "context": text,
        "qas": [{"question": "What was not built again?", "answer": "it up"}],
    }
    for name, row in ((ARTICLES, article), (PARAGRAPHS, paragraph)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(row))
    first, second = asked_questions(tmp_path)
    assert (first.title, first.source) == ("The Mill", "The old mill burned down in 1794.")
    assert first.rewrite == "When did the mill burn down?"
    assert second.source == "Nobody ever built it up again."
