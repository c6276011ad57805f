"""Small fakes of the models, for tests of everything else."""

import asyncio
import re
from collections.abc import Callable, Collection, Sequence

import numpy as np

from fidelity.calibration.calibration import Calibration, Model
from rephrase.engines.engine import EngineInfo
from rephrase.records import Check, Chunk, Completion, Prompt, Sampling, Verdict


class WordTokenizer:
    """Tokens are words and single other characters."""

    def token_starts(self, text: str) -> list[int]:
        return [match.start() for match in re.finditer(r"\w+|[^\w\s]", text)]


def passage(prompt: Prompt) -> str:
    """The passage of a prompt without its delimiters."""
    return re.sub(r"^<text id=\w+>\n|\n</text>$", "", prompt.user)


def shout(prompt: Prompt, sampling: Sampling) -> str:
    """A rewrite that passes the checks of form and identifies its source: the words of the passage, in capitals."""
    return passage(prompt).upper().rstrip(".") + "."


def reverse(prompt: Prompt, sampling: Sampling) -> str:
    """The words of the passage in reverse order: complete, but not a copy."""
    return " ".join(reversed(re.findall(r"\w+", passage(prompt)))) + "."


class ScriptedEngine:
    """Answers a prompt with the result of `script`, after `delay_s`."""

    def __init__(
        self,
        script: Callable[[Prompt, Sampling], str | Completion | Exception] = shout,
        *,
        delay_s: float = 0.0,
        max_in_flight: int = 8,
    ) -> None:
        self._script = script
        self._delay_s = delay_s
        self.prompts: list[Prompt] = []
        self.n_running = self.most_running = 0
        self.closed = False
        self.info = EngineInfo(
            engine="scripted",
            model="scripted",
            model_revision="1",
            tokenizer="words",
            max_context_tokens=4096,
            max_in_flight=max_in_flight,
        )

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.prompts.append(prompt)
        self.n_running += 1
        self.most_running = max(self.most_running, self.n_running)
        try:
            await asyncio.sleep(self._delay_s)
            answer = self._script(prompt, sampling)
        finally:
            self.n_running -= 1
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Completion):
            return answer
        n_tokens = len(answer.split())
        return Completion(text=answer, finish_reason="stop", n_prompt_tokens=10, n_completion_tokens=n_tokens)

    async def close(self) -> None:
        self.closed = True


class BagOfWords:
    """Vectors of word counts: the same words, in any case, give the same vector."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), 512), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                vectors[row, sum(word.encode()) % 512] += 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def lenient(path: str | None = None) -> Calibration:
    """A calibration that accepts every rewrite as faithful, however it was scripted."""
    models = [
        Model(kind=kind, tiers=(), features=(), intercept=5.0, trees=(), threshold=0.5)
        for kind in ("knowledge", "math", "translation")
    ]
    return Calibration(format=1, fitted={}, undecided=(0.1, 0.9), models=tuple(models))


async def accept(chunk: Chunk, completion: Completion, checks: Collection[Check]) -> Verdict:
    return Verdict(accepted=True, scores={"similarity": 1.0})
