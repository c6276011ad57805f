"""The API key: which endpoints may have it, and how it stays out of messages.

PALIMPSEST_KEY_ENDPOINTS names the servers that the key is for, separated by white space. `palimpsest serve` sets it to
the endpoints of its configuration: a form in a browser may name any other.
"""

import os
from urllib.parse import urlsplit

NO_KEY = "none"
KEY, KEY_ENDPOINTS = "OPENAI_API_KEY", "PALIMPSEST_KEY_ENDPOINTS"


def key_for(endpoint: str, variable: str = KEY) -> str:
    """The key to send to an endpoint, from a variable; "none" if there is none, or it is for others.

    Raises:
        ValueError: no header can hold it; the message does not show it.
    """
    allowed = os.environ.get(KEY_ENDPOINTS, "").split()
    if allowed and _origin(endpoint) not in map(_origin, allowed):
        return NO_KEY
    key = os.environ.get(variable, "").strip()  # a key from a file ends with a line
    if not (key.isascii() and key.isprintable()):
        raise ValueError(f"{variable} holds a line break or a character that no key has: copy the key again")
    return key or NO_KEY


def without_key(text: str, variable: str = KEY) -> str:
    """A message without the key: a server may send back what it got, and messages go into rows and logs."""
    key = os.environ.get(variable, "").strip()
    return text.replace(key, "(the API key)") if len(key) >= 8 else text


def _origin(endpoint: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(endpoint)
        return parts.scheme, parts.hostname, parts.port
    except ValueError:  # a port that is none
        return endpoint, None, None
