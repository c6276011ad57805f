"""The rows that the adapter learns from: the prompt of a run, then the rewrite, and only that is learnt."""

import json
from pathlib import Path

import pytest

from rephrase.models.resolve import PACKAGED_MODEL, resolve_model
from rephrase.prompting.recipes import load_recipes
from rephrase.tuning import sentence_rewrites as data
from rephrase.tuning.sentence_rewrites import SentenceRewrite, sentence_rewrites
from rephrase.tuning.train_adapter import MAX_ROW_TOKENS, Row, batches, make_rows

RECIPE = load_recipes()["rephrase"].for_model(135e6)
REWRITE = SentenceRewrite(
    document="d",
    source="The mill burned down.",
    before="It stood long.",
    style="question_answer",
    rewrite="What did fire do?",
    title="Mills",
)


@pytest.mark.model
def test_a_row_is_the_prompt_of_a_run_and_the_rewrite_with_its_end():
    from transformers import AutoTokenizer

    folder = resolve_model(PACKAGED_MODEL)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    (row,) = make_rows([REWRITE], RECIPE, folder, seed=0)
    assert tokenizer.decode(row.tokens[row.n_prompt :]) == "What did fire do?<|im_end|>"
    prompt = tokenizer.decode(row.tokens[: row.n_prompt])
    assert RECIPE.styles["question_answer"] in prompt
    assert prompt.endswith(
        "<context>\nMills\n</context>\n<text>\nThe mill burned down.\n</text><|im_end|>\n<|im_start|>assistant\n"
    )


def test_batches_hold_every_row_once_and_are_bounded():
    rows = [Row(tuple(range(n)), 1) for n in range(2, MAX_ROW_TOKENS)]
    found = batches(rows, seed=0)
    assert sorted(row.tokens for batch in found for row in batch) == sorted(row.tokens for row in rows)
    assert all(max(len(row.tokens) for row in batch) * len(batch) <= 1024 for batch in found)


def test_sources_are_read_from_the_data_folder(tmp_path, monkeypatch):
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"id": "a", "text": "It stood long. The mill burned down."}))
    row = {"file": "corpus", "id": "a", "start": 15, "end": 36, "style": "textbook", "rewrite": "Fire took it."}
    (tmp_path / data.REWRITES).write_text(json.dumps(row))
    monkeypatch.setattr(data.resources, "files", lambda _: Path(tmp_path))
    (found,) = sentence_rewrites(tmp_path)
    assert (found.source, found.before, found.rewrite) == (REWRITE.source, REWRITE.before, "Fire took it.")
    (tmp_path / data.REWRITES).write_text(json.dumps({**row, "id": "b"}))
    with pytest.raises(ValueError, match="corpus has no row 'b'"):
        sentence_rewrites(tmp_path)
