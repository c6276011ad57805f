"""The language model that judges what all other checks accept: one at endpoints of its own, or the rewriting model."""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from fidelity.calibration.calibration import Calibration, load_calibration
from fidelity.checker import FidelityConfig
from fidelity.checks.language_judge import MIN_YES, QUESTIONS, UNREAD, LanguageJudge
from fidelity.judge import Pair
from rephrase.engines.engine import Engine
from rephrase.records import Prompt, Sampling, TokenUsage, Verdict

# Not that of the rewriting engine: the judge may be someone else's server.
KEY_VARIABLE = "JUDGE_API_KEY"


class OpenedJudge:
    """A judge and the client of its servers."""

    def __init__(
        self,
        endpoints: Sequence[str],
        model: str,
        calibration: Calibration,
        on_phase: Callable[[str], None] = lambda phase: None,
    ) -> None:
        """
        Args:
            on_phase: see `served_models`.

        Raises:
            ValueError: the model is not served there, or the calibration is for another judge.
            EngineError: no server answers.
        """
        from rephrase.engines.openai_engine import OpenAIEngine  # half a second that most runs need not spend

        min_yes = _min_yes(calibration, model)
        self._engine = OpenAIEngine(endpoints, model=model, key_variable=KEY_VARIABLE, on_phase=on_phase)
        self.judge = LanguageJudge(self._engine.first_token, min_yes=min_yes)

    async def close(self) -> None:
        await self._engine.close()


def open_judge_model(
    config: FidelityConfig, on_phase: Callable[[str], None] = lambda phase: None
) -> OpenedJudge | None:
    """The judge that the configuration names, if any.

    Raises:
        ValueError, EngineError: see `OpenedJudge`.
    """
    if not config.judge_model:
        return None
    return OpenedJudge(config.judge_endpoints, config.judge_model, load_calibration(config.calibration), on_phase)


def self_judge(
    engine: Engine, config: FidelityConfig, on_generated: Callable[[TokenUsage], None] = lambda usage: None
) -> LanguageJudge:
    """The rewriting model as the judge of its own rewrites; `on_generated` is called with the tokens of each answer.

    Raises:
        ValueError: the calibration is for another judge.
    """
    return LanguageJudge(
        _FirstToken(engine, on_generated),
        min_yes=_min_yes(load_calibration(config.calibration), engine.info.model),
    )


class _FirstToken:
    """The first token of an engine's answer, from an ordinary completion, which tells the probability of that alone.

    Of a Yes or No, the rest is taken for the other.
    """

    def __init__(self, engine: Engine, on_generated: Callable[[TokenUsage], None]) -> None:
        self._engine = engine
        self._on_generated = on_generated

    async def __call__(self, prompt: Prompt) -> dict[str, float]:
        sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=1, seed=0, logprob=True)
        answer = await self._engine.complete(prompt, sampling)
        self._on_generated(answer.usage)
        word, logprob = answer.text.strip().lower(), answer.logprob or 0.0
        other = {"yes": "no", "no": "yes"}.get(word)
        return {word: logprob} | ({other: math.log(max(1 - math.exp(logprob), 1e-9))} if other else {})


def _min_yes(calibration: Calibration, model: str) -> float:
    """
    Raises:
        ValueError: the calibration is for another judge.
    """
    fitted = calibration.judge
    if fitted is not None and fitted.model != model:
        raise ValueError(
            f"the weights were fitted with the judge {fitted.model!r}, not {model!r}: judge with that one, or fit "
            "weights with this one"
        )
    return fitted.min_yes if fitted else MIN_YES


def judge_notices(judge: LanguageJudge) -> list[str]:
    """What a user should know at the end of a run."""
    seen = judge.n_seen
    if not seen[UNREAD]:
        return []
    return [f"{seen[UNREAD]:,} of {seen[QUESTIONS]:,} answers of the judge were neither Yes nor No and are ignored"]


class JudgeReview:
    """Reviews batches of pairs with a judge, outside an event loop."""

    def __init__(self, opened: OpenedJudge, runner: asyncio.Runner) -> None:
        self._judge = opened.judge
        self._runner = runner

    @property
    def n_seen(self) -> Counter[str]:
        """See `LanguageJudge`."""
        return self._judge.n_seen

    def __call__(self, pairs: Sequence[tuple[Pair, Verdict]]) -> list[Verdict]:
        return self._runner.run(self._review(pairs))

    async def _review(self, pairs: Sequence[tuple[Pair, Verdict]]) -> list[Verdict]:
        reviews = (self._judge.review(pair.source, pair.rewrite, pair.keeps, verdict) for pair, verdict in pairs)
        return list(await asyncio.gather(*reviews))


@contextlib.contextmanager
def open_review(endpoints: Sequence[str], model: str | None, calibration: Calibration) -> Iterator[JudgeReview | None]:
    """None without endpoints.

    Raises:
        ValueError, EngineError: see `OpenedJudge`.
    """
    if not endpoints or not model:
        yield None
        return
    opened = OpenedJudge(endpoints, model, calibration)
    # One loop for all batches: the client's connections belong to the loop that opened them.
    with asyncio.Runner() as runner:
        try:
            yield JudgeReview(opened, runner)
        finally:
            runner.run(opened.close())
