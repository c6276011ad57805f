"""Small fakes of the models, for tests of everything else."""

import asyncio
import glob
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fidelity.calibration.calibration import Calibration, InStyle, Model
from fidelity.checks.sentences import SentenceReport, Sentences
from fidelity.reader.marks import Marks, Reading
from rephrase.engines.engine import EngineInfo
from rephrase.records import Chunk, Completion, Prompt, Requirements, Sampling, Verdict


class WordTokenizer:
    """Tokens are words and single other characters."""

    def token_starts(self, text: str) -> list[int]:
        return [match.start() for match in re.finditer(r"\w+|[^\w\s]", text)]


def passage(prompt: Prompt) -> str:
    """The passage of a prompt without its borders."""
    found = re.search(r"<text>\n(.*)\n</text>", prompt.user, re.DOTALL)
    return found.group(1) if found else prompt.user


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
    """A calibration that accepts every rewrite, however it was scripted."""
    models = [
        Model(question=question, kind=kind, features=(), intercept=5.0, trees=(), threshold=0.5)
        for question in ("faithful", "complete", "fluent")
        for kind in ("knowledge", "math", "translation")
    ]
    always = InStyle(form_found=1.0, form_missing=1.0, no_form=1.0, threshold=0.5)
    return Calibration(format=2, fitted={}, models=tuple(models), in_style=always)


class SilentReader:
    """In the place of `fidelity.reader.reader.Reader`: it has no marks."""

    def read(
        self, reports: Sequence[SentenceReport], *, foreign: bool = False, find_lost: object = None
    ) -> list[Reading]:
        def nothing(side: Sentences) -> Marks:
            return Marks(spans=(), tokens=np.zeros(0), sentences=np.zeros(len(side.spans)))

        return [
            Reading(
                garbled=nothing(report.rewrite),
                added=None if foreign else nothing(report.rewrite),
                lost=None if foreign else nothing(report.source),
            )
            for report in reports
        ]


def are_there(files: Mapping[str, int]) -> bool:
    """Whether each pattern matches at least so many files."""
    return all(len(glob.glob(pattern)) >= n for pattern, n in files.items())  # noqa: PTH207  of absolute paths


async def accept(chunk: Chunk, completion: Completion, requirements: Requirements) -> Verdict:
    return Verdict(accepted=True, scores={"similarity": 1.0})
