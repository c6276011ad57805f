"""A loopback server with the OpenAI API that gives scripted answers and has every fault that servers have."""

import contextlib
import json
import random
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from scripted import reverse
from served import free_port

from rephrase.records import Prompt


class ChaoticServer:
    """A `share` of its answers is faulty. It refuses prompts that contain `too_long` and fails on those with `poison`.

    It can be stopped and restarted on the same port.
    """

    FAULTS = ("500", "503", "429", "hang", "cut", "nothing", "closed")

    def __init__(self, share=0.0, *, seed=0, hang_s=2.0, too_long="\x00", poison="\x00"):
        self.share, self.hang_s, self.too_long, self.poison = share, hang_s, too_long, poison
        self.faults = Counter()
        self.n_answers = 0
        self._random = random.Random(seed)
        self._port = free_port()
        self.start()

    def start(self):
        chaos = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                chaos.reply(self, 200, {"data": [{"id": "scripted", "root": "words", "max_model_len": 4096}]})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    chaos.answer(self, body)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self.url = f"http://127.0.0.1:{self._port}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self._http.shutdown()
        self._http.server_close()

    def answer(self, handler, body):
        system, user = (message["content"] for message in body["messages"])
        if self.too_long in user:
            message = "This model's maximum context length is 10 tokens."
            return self.reply(handler, 400, {"error": {"message": message}})
        fault = self._random.choice(self.FAULTS) if self._random.random() < self.share else ""
        if self.poison in user:
            fault = "500"
        self.faults[fault] += 1
        if fault in ("500", "503"):
            return self.reply(handler, int(fault), {"error": {"message": "no"}})
        if fault == "429":
            return self.reply(handler, 429, {"error": {"message": "slow down"}}, ("Retry-After", "0.3"))
        if fault == "hang":
            time.sleep(self.hang_s)
        if fault == "closed":
            return handler.connection.close()
        text = reverse(Prompt(system=system, user=user), None)
        n_tokens = len(text.split())
        answer = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "scripted",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": n_tokens, "total_tokens": 10 + n_tokens},
        }
        if fault == "nothing":
            answer = {}
        self.n_answers += not fault
        return self.reply(handler, 200, answer, cut=fault == "cut")

    @staticmethod
    def reply(handler, status, value, *headers, cut=False):
        data = json.dumps(value).encode()
        data = data[: len(data) // 2] if cut else data
        handler.send_response(status)
        for name, content in [("Content-Type", "application/json"), ("Content-Length", str(len(data))), *headers]:
            handler.send_header(name, content)
        handler.end_headers()
        handler.wfile.write(data)
