"""An S3 server on loopback (moto's), with the faults that a real one has."""

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import fsspec
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

SECRET = "wJalrXUtnFEMIaK7MDENG"
BUCKET = "corpus-bucket"


@dataclass
class S3Server:
    """`share_busy` of the requests are answered 503, and each PUT takes `put_s` longer."""

    environment: dict[str, str] = field(default_factory=dict)
    share_busy: float = 0.0
    put_s: float = 0.0
    n_busy: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def app(self, inner):
        def answer(environ, start_response):
            if self._random.random() < self.share_busy:
                self.n_busy += 1
                body = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce</Message></Error>"
                headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
                start_response("503 Slow Down", headers)
                return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
            if environ["REQUEST_METHOD"] == "PUT":
                time.sleep(self.put_s)
            return inner(environ, start_response)

        return answer


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_):
        pass


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with an empty bucket; the environment variables by which a user would name it are set."""
    server = S3Server()
    app = server.app(DomainDispatcherApplication(create_backend_app))
    http = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    server.environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{http.server_port}",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ.update(server.environment)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        fsspec.get_filesystem_class("s3").clear_instance_cache()
