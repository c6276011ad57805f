"""Keeps the web pages of others away from a server on the loopback interface.

Any page that a user has open may send requests to 127.0.0.1: by a form, or by a name that its owner lets point there
(DNS rebinding). Starting a run needs no more than that. So a request must name this machine as its host, and if a page
sent it, be from a page of this server.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class OwnPagesOnly:
    """ASGI middleware that answers 403 to requests for other hosts and from other origins."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or is_own(dict(scope["headers"])):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            body = b"This server answers only requests to this machine and from its own pages."
            headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})


def is_own(headers: MutableMapping[bytes, bytes]) -> bool:
    """Whether the host is this machine, and the origin, if there is one, a page of the same port on this machine."""
    try:
        host = urlsplit(f"//{headers.get(b'host', b'').decode()}")
        if host.hostname not in LOOPBACK_NAMES:
            return False
        if (sent_by := headers.get(b"origin")) is None:
            return True
        origin = urlsplit(sent_by.decode())
        return origin.hostname in LOOPBACK_NAMES and origin.port == host.port
    except ValueError:
        return False
