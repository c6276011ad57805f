"""The completions a chain has received so far, so that a long document need not start over after a kill.

    OUT/journal/part-00017/00000042-0.partial

Every SAVE_EVERY_S seconds, all completions of a chain are saved to one file, replacing the previous version. A resumed
chain goes through its document from the start, but a request with the same prompt and seed as before is answered from
the file. So only completions need saving: prompts, checks and glossaries come out the same. A document that takes less
than SAVE_EVERY_S writes no file.
"""

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable

from rephrase.dataset.journal import Journal, Key
from rephrase.engines.engine import Engine, EngineInfo
from rephrase.records import Completion, Prompt, Sampling, TokenUsage, digest

SAVE_EVERY_S = 60.0


class CompletionCache:
    """The engine of one chain, which answers a repeated request from the cache.

    `usage` is that of all answers, those from the cache among them.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        key: Key,
        on_generated: Callable[[TokenUsage], None] = lambda usage: None,
    ) -> None:
        """`on_generated` is called with the tokens of each answer that the engine gives."""
        self.n_tokens_resumed = 0
        self.usage = TokenUsage()
        self._engine = engine
        self._on_generated = on_generated
        self._journal = journal
        self._key = key
        self._completions: dict[str, Completion] = {}
        self._saved_at = time.monotonic()
        self._saving: asyncio.Future[None] | None = None

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    async def load(self) -> None:
        """Load what an earlier run saved; what cannot be read is generated again."""
        data = await asyncio.to_thread(self._journal.read_partial, self._key)
        try:
            self._completions = {name: Completion(**answer) for name, answer in json.loads(data or b"{}").items()}
        except (ValueError, TypeError, AttributeError):
            self._completions = {}

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        name = digest(prompt.system, *sum(prompt.examples, ()), prompt.user, *dataclasses.astuple(sampling))
        if found := self._completions.get(name):
            self.n_tokens_resumed += found.n_completion_tokens
            self.usage += found.usage
            return found
        answer = await self._engine.complete(prompt, sampling)
        self._on_generated(answer.usage)
        self._completions[name] = answer
        self.usage += answer.usage
        if time.monotonic() - self._saved_at >= SAVE_EVERY_S and (self._saving is None or self._saving.done()):
            self._saved_at = time.monotonic()
            answers = {name: dataclasses.asdict(answer) for name, answer in self._completions.items()}
            data = json.dumps(answers, ensure_ascii=False).encode()
            self._saving = asyncio.ensure_future(asyncio.to_thread(self._journal.write_partial, self._key, data))
            await asyncio.shield(self._saving)  # whoever asked may be cancelled; the file is written whole
        return answer

    async def settle(self) -> None:
        """Wait until nothing is being saved.

        Raises:
            OSError: it could not be saved.
        """
        if self._saving:
            await self._saving

    async def close(self) -> None:
        """Does nothing: the engine is shared, and whoever opened it closes it."""
