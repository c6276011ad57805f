"""A small OpenAI-compatible server on a loopback port that judges by words, for tests of the language-model judge."""

import json
import math
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_ASKED = re.compile(r"<(?P<tag>[\w-]+)>\n(?P<text>.*)\n</(?P=tag)>\n\nStatement: (?P<statement>.*?)\n\nIs ", re.DOTALL)


def has_all_words(text: str, statement: str) -> float:
    """The probability of Yes: high if every word of the statement is in the text."""
    known = set(re.findall(r"\w+", text.lower()))
    return 0.9 if set(re.findall(r"\w+", statement.lower())) <= known else 0.1


def with_logprobs(yes: float) -> dict[str, Any]:
    likely = [{"token": " Yes", "logprob": math.log(yes)}, {"token": "No", "logprob": math.log(1 - yes)}]
    first = max(likely, key=lambda entry: entry["logprob"])
    return {
        "message": {"role": "assistant", "content": first["token"]},
        "logprobs": {"content": [{**first, "top_logprobs": likely}]},
    }


def as_text(yes: float) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": "Yes." if yes > 0.5 else "no"}}


def off_topic(yes: float) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": "<think>"}}


class JudgeServer:
    """Answers each question; `asked` has the (text, statement) of all of them, `keys` the keys they came with."""

    def __init__(self, answer: Callable[[float], dict[str, Any]] = with_logprobs, model: str = "judge") -> None:
        self.asked: list[tuple[str, str]] = []
        self.keys: set[str | None] = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply({"data": [{"id": model}]})

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                found = _ASKED.search(request["messages"][-1]["content"])
                assert found is not None
                server.asked.append((found["text"], found["statement"]))
                server.keys.add(self.headers["Authorization"])
                self.reply({"choices": [answer(has_all_words(found["text"], found["statement"]))]})

            def reply(self, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> "JudgeServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
