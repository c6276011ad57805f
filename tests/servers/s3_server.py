"""A loopback S3 server (moto), with the faults that a real one has.

It runs in its own process: vLLM reads every attribute of every module when it loads a model, and those of Flask, which
moto uses, raise when read outside a request.
"""

import contextlib
import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from multiprocessing.sharedctypes import Synchronized

import fsspec

SECRET = "wJalrXUtnFEMIaK7MDENG"
BUCKET = "corpus-bucket"
_CONTEXT = multiprocessing.get_context("spawn")


class S3Server:
    """A share `share_busy` of the requests is answered with 503, and each PUT takes `put_s` longer."""

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}
        self._share_busy: Synchronized[float] = _CONTEXT.Value("d", 0.0)
        self._put_s: Synchronized[float] = _CONTEXT.Value("d", 0.0)
        self._n_busy: Synchronized[int] = _CONTEXT.Value("i", 0)
        self.port: Synchronized[int] = _CONTEXT.Value("i", 0)

    @property
    def share_busy(self) -> float:
        return self._share_busy.value

    @share_busy.setter
    def share_busy(self, share: float) -> None:
        self._share_busy.value = share

    @property
    def put_s(self) -> float:
        return self._put_s.value

    @put_s.setter
    def put_s(self, seconds: float) -> None:
        self._put_s.value = seconds

    @property
    def n_busy(self) -> int:
        return self._n_busy.value

    @n_busy.setter
    def n_busy(self, number: int) -> None:
        self._n_busy.value = number

    def app(self, inner):
        draw = random.Random(0)

        def answer(environ, start_response):
            if draw.random() < self.share_busy:
                with self._n_busy.get_lock():
                    self._n_busy.value += 1
                body = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce</Message></Error>"
                headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
                start_response("503 Slow Down", headers)
                return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
            if environ["REQUEST_METHOD"] == "PUT":
                time.sleep(self.put_s)
            return inner(environ, start_response)

        return answer


def _serve(server: S3Server) -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_):
            pass

    app = server.app(DomainDispatcherApplication(create_backend_app))
    http = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    server.port.value = http.server_port
    http.serve_forever()


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with an empty bucket; the environment variables that point a client to it are set."""
    server = S3Server()
    process = _CONTEXT.Process(target=_serve, args=(server,), daemon=True)
    process.start()
    while not server.port.value:
        assert process.is_alive(), "the S3 server did not start"
        time.sleep(0.05)
    server.environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port.value}",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ.update(server.environment)
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
    try:
        yield server
    finally:
        process.terminate()
        process.join()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        fsspec.get_filesystem_class("s3").clear_instance_cache()


def die_with_a_lease(url: str) -> None:
    """For a process that is to end without releasing it; here, where it need not import what tests do."""
    from rephrase.storage.lease import Lease
    from rephrase.storage.storage import Storage

    Lease(Storage(url)).acquire()
    os._exit(9)
