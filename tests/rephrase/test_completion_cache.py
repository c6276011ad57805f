"""A chain that is taken up again asks nothing twice, and what its memory lost it asks again."""

import pytest
from scripted import ScriptedEngine

from rephrase import completion_cache as memory
from rephrase.completion_cache import CompletionCache
from rephrase.dataset.journal import Journal
from rephrase.records import Prompt, Sampling
from rephrase.storage.storage import Storage


def prompt(i):
    return Prompt(system="s", user=f"text {i}")


def sampling(seed=0):
    return Sampling(temperature=0.5, top_p=0.9, max_tokens=16, seed=seed)


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path)


async def session(storage, requests):
    journal, engine = Journal(storage, 0), ScriptedEngine()
    journal.read()
    remembering = CompletionCache(engine, journal, (3, 1))
    await remembering.load()
    answers = [await remembering.complete(prompt(i), sampling(seed)) for i, seed in requests]
    return answers, engine.prompts, remembering


async def test_what_was_answered_is_not_asked_again(storage, monkeypatch):
    monkeypatch.setattr(memory, "SAVE_EVERY_S", 0)
    first, asked, _ = await session(storage, [(0, 0), (1, 0), (1, 1)])
    assert len(asked) == 3
    again, asked, remembering = await session(storage, [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)])
    assert again[:3] == first
    assert asked == [prompt(1), prompt(2)]
    assert remembering.n_tokens_resumed == sum(answer.n_completion_tokens for answer in first)


async def test_a_short_document_writes_nothing_and_another_variant_knows_nothing_of_it(storage, monkeypatch):
    await session(storage, [(0, 0)])
    assert storage.names("journal/part-00000") == []
    monkeypatch.setattr(memory, "SAVE_EVERY_S", 0)
    await session(storage, [(0, 0)])
    assert storage.names("journal/part-00000") == ["00000003-1.partial"]
    journal = Journal(storage, 0)
    assert journal.read() == {}
    assert journal.read_partial((3, 0)) is None


@pytest.mark.parametrize("damage", [b"", b'{"a": {"text"', b"[]", b'{"a": {"words": 1}}', b'{"a": 3}'])
async def test_a_torn_memory_is_as_none(storage, damage):
    storage.write("journal/part-00000/00000003-1.partial", damage)
    _, asked, _ = await session(storage, [(0, 0)])
    assert asked == [prompt(0)]
