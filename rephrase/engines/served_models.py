"""Which models the servers of an OpenAI-compatible engine serve, waiting until one is up."""

import logging
import os
from collections.abc import Callable, Sequence

import httpx
import stamina

from rephrase.engines.api_key import KEY_ENDPOINTS, NO_KEY, key_for, without_key
from rephrase.engines.bounded import AnswerTooLongError, get
from rephrase.engines.engine import EngineError
from rephrase.engines.openai_answer import MalformedAnswerError, ServedModel, read_models

logger = logging.getLogger(__name__)

TIMEOUT_S = 15.0
# A router of hosted models lists some thousands, at about 3 KB each.
MAX_BYTES = 32 << 20


def served_models(
    endpoints: Sequence[str],
    key_variable: str,
    give_up_after_s: float,
    on_phase: Callable[[str], None] = lambda phase: None,
) -> list[ServedModel]:
    """The models that the endpoints serve. Waits until one answers; others are used once they come up.

    Args:
        on_phase: called once, as soon as there is something to wait for, with what and why.

    Raises:
        EngineError: what an endpoint answers will not get better by waiting, or none answers in time.
    """
    found: list[ServedModel] = []
    failures: list[str] = []
    said = False
    try:
        for attempt in stamina.retry_context(
            on=_NotYetError, attempts=None, timeout=give_up_after_s, wait_initial=0.5, wait_max=5.0
        ):
            with attempt:
                failures.clear()
                for endpoint in endpoints:
                    try:
                        found += _models_of(endpoint, key_variable)
                    except _NotYetError as error:
                        failures.append(f"{endpoint}: {error}")
                if not found:
                    if not said:
                        waiting = f"waiting for {'; '.join(failures)}, at most {give_up_after_s:g} s"
                        logger.warning(waiting)
                        on_phase(waiting)
                        said = True
                    raise _NotYetError
    except _NotYetError:
        raise EngineError(
            f"no endpoint answered with a model within {give_up_after_s:g} s: {'; '.join(failures)}"
        ) from None
    return found


class _NotYetError(Exception):
    """What time may cure: nothing listens yet, or the server is still loading."""


def _models_of(endpoint: str, key_variable: str) -> list[ServedModel]:
    address, key = f"{endpoint.rstrip('/')}/models", key_for(endpoint, key_variable)
    try:
        answer, body = get(address, key, timeout_s=TIMEOUT_S, max_bytes=MAX_BYTES)
    except TimeoutError:
        raise _NotYetError(f"its answer was not complete after {TIMEOUT_S:g} s") from None
    except httpx.HTTPError as error:
        raise _NotYetError(without_key(f"{type(error).__name__}: {error}", key_variable)) from error
    except AnswerTooLongError as error:
        raise EngineError(
            f"{address} is not a list of models, its answer is {error}: is it an OpenAI-compatible server?"
        ) from error
    status = answer.status_code
    if status in (401, 403):
        not_sent = key == NO_KEY and os.environ.get(KEY_ENDPOINTS)
        hint = f"; it is not sent there, because {KEY_ENDPOINTS} names other endpoints" if not_sent else ""
        raise EngineError(f"{endpoint} refuses the key in {key_variable} ({status}){hint}")
    if status in (404, 405) or answer.is_redirect:
        raise EngineError(
            f"{address} answers {status}: an endpoint is the base of an OpenAI-compatible server and usually ends "
            "in /v1"
        )
    if not answer.is_success:
        raise _NotYetError(f"status {status}")
    try:
        models = read_models(body)
    except MalformedAnswerError as error:
        raise EngineError(f"{address} is not a list of models, {error}: is it an OpenAI-compatible server?") from error
    if not models:
        raise _NotYetError("no model is served")
    return models


def require_address(endpoint: str) -> None:
    """
    Raises:
        ValueError: it is not an address of a server.
    """
    try:
        url = httpx.URL(endpoint)
        url.host.encode("idna")  # as sockets do: an empty or overlong label is an error
        is_plain = endpoint.isprintable() and not any(sign in endpoint for sign in " \\")
        valid = is_plain and url.scheme in ("http", "https") and bool(url.host)
        valid = valid and (url.port is None or 0 < url.port < 65536)
    except (httpx.InvalidURL, ValueError):
        valid = False
    if not valid:
        raise ValueError(f"{endpoint!r} is not an address of a server, such as http://localhost:8000/v1")
