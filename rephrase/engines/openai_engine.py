"""One OpenAI-compatible server, or several that serve the same model."""

import asyncio
import dataclasses
import difflib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import httpx
import stamina
from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    AsyncAPIResponse,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    RateLimitError,
    UnprocessableEntityError,
)

from rephrase.engines.api_key import key_for, without_key
from rephrase.engines.bounded import ENCODINGS, AnswerTooLongError, bound, read_within
from rephrase.engines.breaker import Breaker
from rephrase.engines.dialect import Dialect, is_about_the_form, is_about_the_text, is_too_long, sentence
from rephrase.engines.engine import (
    EngineError,
    EngineInfo,
    EngineLoad,
    PoisonError,
    PromptTooLongError,
    RequestRefusedError,
)
from rephrase.engines.openai_answer import MalformedAnswerError, read_completion, read_first_token
from rephrase.engines.served_models import require_address, served_models
from rephrase.engines.server_load import ServerLoad
from rephrase.records import Completion, Prompt, Sampling

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)

DEFAULT_CONTEXT_TOKENS = 4096
# A server does not state how many requests it runs at once: start low and double while throughput grows.
IN_FLIGHT_PER_ENDPOINT = 1000  # and as many connections
INITIAL_IN_FLIGHT_PER_ENDPOINT = 64
# A server that refuses this many requests in a row refuses all: it is misconfigured, or the account is empty.
MAX_REFUSALS_IN_A_ROW = 20
# One that sends this many answers that cannot be read, and none that can, is no server of chat completions.
MAX_FIRST_MALFORMED = 5
# A request that failed this often, each time while others were answered, is itself at fault.
MAX_ATTEMPTS = 6
# A router may serve thousands of models.
MAX_NAMES = 20
# A longer Retry-After than this is cut to it.
MAX_RETRY_AFTER_S = 300.0
# The size of an answer around its text, and of the text of one token with escapes and log-probabilities.
ANSWER_BYTES, BYTES_PER_TOKEN = 1_000_000, 256
# How many of the likeliest tokens are asked for; more are refused by some servers.
TOP_LOGPROBS = 5
_FIRST_TOKEN = Sampling(temperature=0.0, top_p=1.0, max_tokens=1, seed=0)
PAYMENT_REQUIRED, FORBIDDEN = 402, 403
# 404, 405 and 501 are faults of one endpoint, not of a request: another may serve it.
_TRANSIENT_STATUS = {404, 405, 408, 409, 429, 501}


class OpenAIEngine:
    """Sends each request to the endpoint with the fewest in flight, and retries it when it fails.

    An endpoint that fails repeatedly is not used for a while: see `rephrase.engines.breaker`.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        model: str | None = None,
        tokenizer: str | None = None,
        max_in_flight: int | None = None,
        timeout_s: float = 300.0,
        give_up_after_s: float = 600.0,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        key_variable: str = "OPENAI_API_KEY",
        on_phase: Callable[[str], None] = lambda phase: None,
    ) -> None:
        """Ask the endpoints what they serve, waiting until one is up.

        Args:
            endpoints: base URLs that end in `/v1`.
            model: the name under which the server knows the model; by default the only one it serves.
            tokenizer: hub id or folder of the tokenizer to count with; by default that of the model the server reports.
            timeout_s: how long one request may take as a whole.
            give_up_after_s: how long a request is retried before the run stops.
            chat_template_kwargs: for the chat template, as `vllm serve` and SGLang take them in a request.
            key_variable: the environment variable that holds the API key.
            on_phase: see `served_models`.

        Raises:
            ValueError: no endpoint, or the model is not served there.
            EngineError: the endpoint does not answer.
        """
        if not endpoints:
            raise ValueError("the openai engine needs at least one --endpoint, such as http://localhost:8000/v1")
        for endpoint in endpoints:
            require_address(endpoint)
        self._give_up_after_s = give_up_after_s
        self._timeout_s = timeout_s
        self._chat_template_kwargs = dict(chat_template_kwargs or {})
        self._dialect = Dialect()
        self._key_variable = key_variable
        self._clients = [
            AsyncOpenAI(
                base_url=endpoint,
                api_key=key_for(endpoint, key_variable),
                timeout=None,  # `_body` limits the whole
                max_retries=0,
                # One of our own: whose errors those of the library's default client are depends on its version.
                http_client=httpx.AsyncClient(  # type: ignore[arg-type]  # it takes those of either package
                    follow_redirects=False,  # documents go to the endpoints that are named, and nowhere else
                    limits=httpx.Limits(max_connections=IN_FLIGHT_PER_ENDPOINT, max_keepalive_connections=100),
                    headers=ENCODINGS,
                    event_hooks={"response": [bound]},
                ),
            )
            for endpoint in endpoints
        ]
        self._n_in_flight = [0] * len(self._clients)
        self._n_answers = self._n_refusals_in_a_row = self._n_first_malformed = self._n_overloads = 0
        self._breakers = [Breaker() for _ in self._clients]
        self._loads = [ServerLoad(endpoint, key_for(endpoint, key_variable)) for endpoint in endpoints]
        served = served_models(endpoints, key_variable, give_up_after_s, on_phase)
        by_name = {entry.id: entry for entry in reversed(served)}
        names = list(dict.fromkeys(entry.id for entry in served))
        if model is None and len(names) > 1:
            raise ValueError(f"several models are served; choose one with --model: {_listed(names)}")
        entry = by_name.get(model or names[0])
        if entry is None:
            near = difflib.get_close_matches(model or "", names, n=3) or names
            raise ValueError(f"{model!r} is not served at {', '.join(endpoints)}; served there: {_listed(near)}")
        # Tokenizer and context of an adapter are those of its base model.
        base = by_name.get(entry.parent or "", entry)
        self._info = EngineInfo(
            engine="openai",
            model=entry.id,
            model_revision="",
            tokenizer=tokenizer or base.root or base.id,
            max_context_tokens=base.max_model_len or DEFAULT_CONTEXT_TOKENS,
            max_in_flight=max_in_flight or IN_FLIGHT_PER_ENDPOINT * len(self._clients),
            initial_in_flight=INITIAL_IN_FLIGHT_PER_ENDPOINT * len(self._clients),
        )

    @property
    def info(self) -> EngineInfo:
        settings = {"chat_template_kwargs": self._chat_template_kwargs, "dialect": self._dialect.changes}
        return dataclasses.replace(self._info, settings=settings)

    def load(self) -> EngineLoad:
        """The number of overloads, and the running and waiting requests if all endpoints report them."""
        n_overloads = self._n_overloads + sum(load.n_preemptions for load in self._loads)
        reported = [load.value for load in self._loads if load.value]
        if len(reported) < len(self._loads):
            return EngineLoad(n_overloads=n_overloads)
        return EngineLoad(
            n_running=sum(load.n_running for load in reported),
            n_waiting=sum(load.n_waiting for load in reported),
            kv_cache_use=max(load.kv_cache_use for load in reported),
            n_overloads=n_overloads,
        )

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        return await self._without_key(lambda client: self._complete(client, prompt, sampling))

    async def first_token(self, prompt: Prompt) -> dict[str, float]:
        """The likeliest first tokens of the answer, with their natural log-probabilities.

        Of a server that does not report them, the one that it chose, as certain.

        Raises:
            RequestRefusedError: this prompt cannot be answered.
            EngineError: no prompt can.
        """
        return await self._without_key(lambda client: self._first_token(client, prompt))

    async def _without_key(self, send: Callable[[AsyncOpenAI], Awaitable[Answer]]) -> Answer:
        """Messages end in rows and logs."""
        try:
            return await self._with_retries(send)
        except (EngineError, RequestRefusedError) as error:
            raise type(error)(without_key(str(error), self._key_variable)) from error

    async def _with_retries(self, send: Callable[[AsyncOpenAI], Awaitable[Answer]]) -> Answer:
        n_own_faults, n_answers = 0, self._n_answers
        try:
            async for attempt in stamina.retry_context(
                on=_pause, attempts=None, timeout=self._give_up_after_s, wait_initial=0.5, wait_max=30.0
            ):
                with attempt:
                    try:
                        return await self._request(send, attempt.num > 1)
                    except Exception as error:
                        if _is_transient(error) and not isinstance(error, RateLimitError):
                            n_own_faults += self._n_answers > n_answers
                            n_answers = self._n_answers
                        if n_own_faults >= MAX_ATTEMPTS:
                            raise _own_fault(n_own_faults, error) from error
                        if self._n_first_malformed >= MAX_FIRST_MALFORMED and not any(self._n_in_flight):
                            raise EngineError(
                                f"none of the first {self._n_first_malformed} answers is a chat completion: {error}"
                            ) from error
                        raise
        except APIStatusError as error:
            if is_too_long(error):
                raise PromptTooLongError(sentence(error)) from error
            if _is_unpaid(error):
                raise EngineError(f"the server asks to be paid first: {sentence(error)}") from error
            # A firewall or filter answers 403 to what a text says, but then it has answered others.
            is_forbidden = error.status_code == FORBIDDEN and self._n_answers == 0 and not is_about_the_text(error)
            if isinstance(error, AuthenticationError) or is_forbidden:
                raise EngineError(f"the server refuses the key in {self._key_variable}: {sentence(error)}") from error
            if error.response.is_redirect:
                target = error.response.headers.get("Location", "")
                raise EngineError(
                    f"{error.request.url} redirects to {target[:200]!r}: documents are sent only to the endpoints that "
                    "are named; name that one if you trust it"
                ) from error
            if _is_transient(error):
                raise self._gave_up(error, n_own_faults) from error
            raise self._refused(error) from error
        except (APIError, httpx.HTTPError, MalformedAnswerError, RequestTimeoutError, AllCoolingDownError) as error:
            raise self._gave_up(error, n_own_faults) from error
        raise AssertionError("the retry loop ends by returning or raising")

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        for load in self._loads:
            await load.close()

    def _refused(self, error: APIStatusError) -> RequestRefusedError | EngineError:
        if is_about_the_text(error) and error.status_code != FORBIDDEN:  # which may also be of the account
            return RequestRefusedError(sentence(error))
        self._n_refusals_in_a_row += 1
        if self._n_answers == 0 and is_about_the_form(error):
            return EngineError(f"the server refuses every request: {sentence(error)}")
        if self._n_refusals_in_a_row >= MAX_REFUSALS_IN_A_ROW:
            return EngineError(f"the server refused {self._n_refusals_in_a_row} requests in a row: {sentence(error)}")
        return RequestRefusedError(sentence(error))

    def _gave_up(self, error: Exception, n_own_faults: int) -> EngineError | PoisonError:
        if n_own_faults > 1:
            return _own_fault(n_own_faults, error)
        faults = "; ".join(
            f"{client.base_url}: {breaker.last_fault or 'no fault'}"
            for client, breaker in zip(self._clients, self._breakers, strict=True)
        )
        return EngineError(f"no answer within {self._give_up_after_s:g} s from any endpoint: {faults}")

    async def _request(self, send: Callable[[AsyncOpenAI], Awaitable[Answer]], has_failed: bool) -> Answer:
        waits_s = [breaker.wait_s for breaker in self._breakers]
        if min(waits_s) > 0:
            raise AllCoolingDownError(min(waits_s))
        # An endpoint whose cooldown is over gets its trial first, but not from a request that has just failed.
        number = min(
            (i for i, wait_s in enumerate(waits_s) if wait_s == 0),
            key=lambda i: (self._breakers[i].is_open == has_failed, self._n_in_flight[i]),
        )
        breaker = self._breakers[number]
        breaker.begin()
        self._n_in_flight[number] += 1
        try:
            answer = await send(self._clients[number])
        except Exception as error:
            self._n_overloads += _is_overload(error)
            self._n_first_malformed += self._n_answers == 0 and isinstance(error, MalformedAnswerError)
            if retry_after_s := _retry_after_s(error):
                breaker.cool_down(retry_after_s)
            if isinstance(error, RateLimitError) or not _is_transient(error):
                breaker.succeeded()  # it answers, if only with an error
                breaker.last_fault = _described(error)
            else:
                breaker.failed(_described(error))
            raise
        except BaseException:
            breaker.abandoned()
            raise
        else:
            breaker.succeeded()
            self._n_answers += 1
            self._n_refusals_in_a_row = 0
            self._loads[number].refresh()
            return answer
        finally:
            self._n_in_flight[number] -= 1

    async def _complete(self, client: AsyncOpenAI, prompt: Prompt, sampling: Sampling) -> Completion:
        return read_completion(await self._chat(client, prompt, sampling))

    async def _first_token(self, client: AsyncOpenAI, prompt: Prompt) -> dict[str, float]:
        asked = {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return read_first_token(await self._chat(client, prompt, _FIRST_TOKEN, **asked))

    async def _chat(self, client: AsyncOpenAI, prompt: Prompt, sampling: Sampling, **options: Any) -> bytes:
        template = {"chat_template_kwargs": self._chat_template_kwargs} if self._chat_template_kwargs else None
        while True:
            dialect = self._dialect
            request = client.chat.completions.with_streaming_response.create(
                model=self._info.model, **{**dialect.request(prompt, sampling), **options}, extra_body=template
            )
            try:
                return await self._body(request, sampling.max_tokens)
            except (BadRequestError, UnprocessableEntityError) as refusal:
                if self._dialect == dialect and not self._learn(refusal):
                    raise

    def _learn(self, refusal: APIStatusError) -> bool:
        """Whether a refusal taught another dialect. A server that has answered is understood."""
        learnt = None if self._n_answers or is_too_long(refusal) else self._dialect.after(refusal)
        if learnt:
            self._dialect = learnt
            said = without_key(sentence(refusal), self._key_variable)
            logger.warning("requests to the server are adapted from now on (%s): %s", learnt, said)
        return learnt is not None

    async def _body(self, request: AbstractAsyncContextManager[AsyncAPIResponse[Any]], n_tokens: int) -> bytes:
        """The body of the answer, within the time of a whole request and a size that fits so many tokens.

        The client has a limit for each read only: a server that sends a byte a second would be waited for for ever.
        """
        limit = ANSWER_BYTES + BYTES_PER_TOKEN * n_tokens
        try:
            async with asyncio.timeout(self._timeout_s), request as response:
                return await read_within(response.iter_bytes(), limit)
        except AnswerTooLongError as error:
            raise MalformedAnswerError(f"the answer is {error}") from error
        except TimeoutError as error:
            raise RequestTimeoutError(f"the answer was not complete after {self._timeout_s:g} s") from error


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


class RequestTimeoutError(RuntimeError):
    """A request took longer than it may as a whole."""


def _own_fault(n_faults: int, error: Exception) -> PoisonError:
    return PoisonError(f"it failed {n_faults} times while other requests were answered, last with {_described(error)}")


class AllCoolingDownError(RuntimeError):
    """All endpoints are cooling down, the first for another `wait_s`."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"all endpoints are cooling down for {wait_s:.1f} s")
        self.wait_s = wait_s


def _pause(error: Exception) -> bool | float:
    """For stamina: whether to retry, or after how many seconds; by default it backs off with jitter."""
    if isinstance(error, AllCoolingDownError):
        return error.wait_s + random.uniform(0, 0.5)
    return _is_transient(error)


def _retry_after_s(error: Exception) -> float:
    """The Retry-After that an overloaded server sends; 0 if it sends none, or a date."""
    if not isinstance(error, APIStatusError):
        return 0.0
    try:
        return min(MAX_RETRY_AFTER_S, max(0.0, float(error.response.headers.get("Retry-After", "0"))))
    except ValueError:
        return 0.0


def _is_transient(error: Exception) -> bool:
    if isinstance(error, APIStatusError):
        passes = error.status_code in _TRANSIENT_STATUS or error.status_code >= 500
        return passes and not is_too_long(error) and not _is_unpaid(error)
    return isinstance(error, APIConnectionError | RequestTimeoutError | MalformedAnswerError | httpx.RequestError)


def _is_unpaid(error: APIStatusError) -> bool:
    return error.status_code == PAYMENT_REQUIRED or error.code == "insufficient_quota"  # OpenAI's, with status 429


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {sentence(error) if isinstance(error, APIStatusError) else error}"


def _is_overload(error: Exception) -> bool:
    return isinstance(error, RequestTimeoutError) or (
        isinstance(error, APIStatusError) and error.status_code in (429, 503)
    )
