"""A resumed chain repeats no cached request, and generates again what the cache has lost."""

import pytest
from scripted import ScriptedEngine

from rephrase import completion_cache
from rephrase.completion_cache import CompletionCache
from rephrase.dataset.journal import Journal
from rephrase.records import Prompt, Sampling, TokenUsage
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
    generated: list[TokenUsage] = []
    cache = CompletionCache(engine, journal, (3, 1), generated.append)
    await cache.load()
    answers = [await cache.complete(prompt(i), sampling(seed)) for i, seed in requests]
    # Only what the engine has written now counts for the speed of a run.
    assert sum(usage.n_completion_tokens for usage in generated) == (
        cache.usage.n_completion_tokens - cache.n_tokens_resumed
    )
    return answers, engine.prompts, cache


async def test_a_cached_request_is_not_sent_again(storage, monkeypatch):
    monkeypatch.setattr(completion_cache, "SAVE_EVERY_S", 0)
    first, asked, _ = await session(storage, [(0, 0), (1, 0), (1, 1)])
    assert len(asked) == 3
    again, asked, cache = await session(storage, [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)])
    assert again[:3] == first
    assert asked == [prompt(1), prompt(2)]
    assert cache.n_tokens_resumed == sum(answer.n_completion_tokens for answer in first)


async def test_a_short_document_saves_nothing_and_variants_do_not_share_a_cache(storage, monkeypatch):
    await session(storage, [(0, 0)])
    assert storage.names("journal/part-00000") == []
    monkeypatch.setattr(completion_cache, "SAVE_EVERY_S", 0)
    await session(storage, [(0, 0)])
    assert storage.names("journal/part-00000") == ["00000003-1.partial"]
    journal = Journal(storage, 0)
    assert journal.read() == {}
    assert journal.read_partial((3, 0)) is None


@pytest.mark.parametrize("damage", [b"", b'{"a": {"text"', b"[]", b'{"a": {"words": 1}}', b'{"a": 3}'])
async def test_a_corrupt_cache_is_ignored(storage, damage):
    storage.write("journal/part-00000/00000003-1.partial", damage)
    _, asked, _ = await session(storage, [(0, 0)])
    assert asked == [prompt(0)]
