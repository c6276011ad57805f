"""What the engine has answered to a chain under way, so that a long document killed halfway need not start over.

    OUT/journal/part-00017/00000042-0.partial

Every SAVE_EVERY_S the answers that a chain has had so far are written down, in one file that is written anew. A chain
that is taken up again goes through its document from the start, but what it asks a second time, word for word and with
the same seed, is answered from there. So nothing but the answers is saved: prompts, checks and glossaries come out as
before. A document that takes less than SAVE_EVERY_S writes no such file.
"""

import asyncio
import dataclasses
import json
import time

from rephrase.dataset.journal import Journal, Key
from rephrase.engines.engine import Engine, EngineInfo
from rephrase.records import Completion, Prompt, Sampling, digest

SAVE_EVERY_S = 60.0


class CompletionCache:
    """The engine of one chain, which answers what was answered before."""

    def __init__(self, engine: Engine, journal: Journal, key: Key) -> None:
        self.n_tokens_resumed = 0
        self._engine = engine
        self._journal = journal
        self._key = key
        self._answers: dict[str, Completion] = {}
        self._saved_at = time.monotonic()

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    async def load(self) -> None:
        """Take up what an earlier run has left; what cannot be read is asked for again."""
        data = await asyncio.to_thread(self._journal.read_partial, self._key)
        try:
            self._answers = {name: Completion(**answer) for name, answer in json.loads(data or b"{}").items()}
        except (ValueError, TypeError, AttributeError):
            self._answers = {}

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        name = digest(prompt.system, prompt.user, *dataclasses.astuple(sampling))
        if found := self._answers.get(name):
            self.n_tokens_resumed += found.n_completion_tokens
            return found
        answer = await self._engine.complete(prompt, sampling)
        self._answers[name] = answer
        if time.monotonic() - self._saved_at >= SAVE_EVERY_S:
            answers = {name: dataclasses.asdict(answer) for name, answer in self._answers.items()}
            data = json.dumps(answers, ensure_ascii=False).encode()
            await asyncio.to_thread(self._journal.write_partial, self._key, data)
            self._saved_at = time.monotonic()
        return answer

    async def close(self) -> None:
        """The engine is shared: whoever opened it closes it."""
