"""The verdict on a rewrite: form first, since it is cheapest, then embeddings in batches beside generation."""

import asyncio
import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fidelity.encoder import PACKAGED_ENCODER, Encoder
from fidelity.form import FORM_CHECKS, copied_share, truncated
from rephrase.records import Chunk, Completion, Verdict


class FidelityConfig(BaseModel):
    """Which embedding model compares, and from which similarity on a rewrite is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field(PACKAGED_ENCODER, description="Embedding model: packaged name, hub id or folder.")
    min_similarity: float = Field(
        0.7, ge=-1, le=1, description="Smallest cosine similarity of a rewrite to its chunk at which it is accepted."
    )


def check_form(source: str, completion: Completion) -> Verdict:
    """Refuses what can be seen without reading it: see the checks in `fidelity.form`."""
    rewrite = completion.text.strip()
    finding = next((found for check in FORM_CHECKS if (found := check(source, rewrite))), None)
    finding = finding or truncated(completion.finish_reason, rewrite)
    scores = {"copied": copied_share(source, rewrite)}
    if finding:
        return Verdict(accepted=False, reason=finding[0], detail=finding[1], scores=scores)
    return Verdict(accepted=True, scores=scores)


def similarities(encoder: Encoder, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """The cosine similarity of each pair; a text that stands in several pairs is encoded once."""
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    vectors = dict(zip(texts, encoder.encode(texts), strict=True))
    return [float(np.dot(vectors[source], vectors[rewrite])) for source, rewrite in pairs]


class Checker:
    """Checks completions as they come; those that come while the encoder is busy make up its next batch."""

    def __init__(self, encoder: Encoder, config: FidelityConfig) -> None:
        self._encoder = encoder
        self._config = config
        self._waiting: list[tuple[tuple[str, str], asyncio.Future[float]]] = []
        self._worker: asyncio.Task[None] | None = None
        # One thread: torch uses the cores itself.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fidelity")

    async def __call__(self, chunk: Chunk, completion: Completion) -> Verdict:
        source = chunk.text.strip()
        verdict = check_form(source, completion)
        if not verdict.accepted:
            return verdict
        similarity = await self._similarity(source, completion.text.strip())
        verdict = dataclasses.replace(verdict, scores={**verdict.scores, "similarity": similarity})
        if similarity < self._config.min_similarity:
            detail = f"cosine similarity {similarity:.2f} is below {self._config.min_similarity:g}"
            return dataclasses.replace(verdict, accepted=False, reason="dissimilar", detail=detail)
        return verdict

    async def _similarity(self, source: str, rewrite: str) -> float:
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append(((source, rewrite), future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            pairs = [pair for pair, _ in batch]
            try:
                found = await loop.run_in_executor(self._thread, similarities, self._encoder, pairs)
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), similarity in zip(batch, found, strict=True):
                if not future.done():
                    future.set_result(similarity)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
