"""A server on this machine serves this machine's programs and its own pages, and no other page."""

import pytest

from flows.running.own_pages import OwnPagesOnly, is_own


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        ("127.0.0.1:4200", None, True),
        ("localhost:4200", "http://localhost:4200", True),
        ("127.0.0.1:4200", "http://localhost:4200", True),
        ("[::1]:4200", "http://[::1]:4200", True),
        ("127.0.0.1:4200", "https://example.com", False),
        ("127.0.0.1:4200", "http://localhost:8080", False),
        ("127.0.0.1:4200", "null", False),
        ("127.0.0.1:4200", "http://127.0.0.1.example.com:4200", False),
        ("attacker.example:4200", None, False),
        ("attacker.example:4200", "http://attacker.example:4200", False),
        ("127.0.0.1:4200", "http://[bad", False),
        ("", None, False),
    ],
)
def test_host_and_origin(host, origin, own):
    headers = {b"host": host.encode()} | ({b"origin": origin.encode()} if origin else {})
    assert is_own(headers) == own


async def test_others_get_403_and_do_not_reach_the_app():
    reached, sent = [], []

    async def app(scope, receive, send):
        reached.append(scope["type"])

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "websocket.connect"}

    guarded = OwnPagesOnly(app)
    foreign = [(b"host", b"127.0.0.1:1"), (b"origin", b"https://example.com")]
    await guarded({"type": "http", "headers": foreign}, receive, send)
    await guarded({"type": "websocket", "headers": foreign}, receive, send)
    assert reached == []
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body", "websocket.close"]
    assert sent[0]["status"] == 403
    await guarded({"type": "http", "headers": [(b"host", b"127.0.0.1:1")]}, receive, send)
    await guarded({"type": "lifespan"}, receive, send)
    assert reached == ["http", "lifespan"]
