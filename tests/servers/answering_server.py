"""Loopback servers of chat completions that answer as a test tells them to."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "half \ud800 text"}}
    ],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
    },
}
GOOD = (200, json.dumps(ANSWER))
MODELS = json.dumps({"data": [{"id": "m"}]}).encode()


def refusal(message: str, status: int = 400, **error) -> tuple[int, str]:
    return status, json.dumps({"error": {"message": message, **error}})


class Server:
    """Answers the n-th request with the n-th of `answers`, and any later one with the last: (status, body).

    An answer may be a function of the request. Requests wait for `may_answer`.
    """

    def __init__(self, *answers, models=("m",), headers=(), port=0, metrics=""):
        self.requests = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                entries = [{"id": m, "root": "r", "max_model_len": 999} if isinstance(m, str) else m for m in models]
                served = {"data": entries}
                self.reply(200, metrics if self.path == "/metrics" else json.dumps(served))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.requests.append((json.loads(body), self.headers["Authorization"]))
                server.may_answer.wait()
                answer = answers[min(len(server.requests), len(answers)) - 1]
                self.reply(*(answer(body) if callable(answer) else answer))

            def reply(self, status, body):
                data = body.encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    for header in headers:
                        self.send_header(*header)
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    pass  # the client timed out

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()


class Raw:
    """A server that answers every GET with this status, body and header, and every POST with `post(handler)`.

    `get` writes the body of the answer to a GET; `post_raw` also the head of that to a POST.
    """

    def __init__(self, status=200, body=b"", headers=(), post=None, post_raw=None, get=None):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                for header in headers:
                    self.send_header(*header)
                if get:
                    self.end_headers()
                    with contextlib.suppress(OSError):
                        get(self)
                    return
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                if post:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.end_headers()
                with contextlib.suppress(OSError):
                    (post or post_raw)(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
