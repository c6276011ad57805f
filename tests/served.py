"""A `palimpsest serve` with scripted models for tests, and its Prefect API."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent


_HELD: list[socket.socket] = []


def free_port() -> int:
    """A port for a server that starts later. Bound, but not listened to, it goes to nobody who asks for any port."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a server that does the same may bind it
    held.bind(("127.0.0.1", 0))
    _HELD.append(held)
    return held.getsockname()[1]


def migrated_database() -> Path:
    """A database of this version of Prefect as it is when new; to create its tables takes a server seven seconds."""
    folder = Path(tempfile.gettempdir()) / f"palimpsest-tests-prefect-{version('prefect')}-{os.getuid()}"
    if not (folder / "prefect.db").exists():
        with tempfile.TemporaryDirectory(prefix="palimpsest-tests-") as home:
            kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
            subprocess.run(command, env={**kept, "PREFECT_HOME": home}, check=True, capture_output=True, timeout=600)
            folder.mkdir(mode=0o700, exist_ok=True)
            half_done = folder / f"{os.getpid()}.db"
            shutil.copy(Path(home) / "prefect.db", half_done)
            half_done.replace(folder / "prefect.db")
    return folder / "prefect.db"


def environment(home: Path, **variables: str) -> dict[str, str]:
    """For a process with a Prefect database of its own in `home`."""
    if not (home / "prefect.db").exists():
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(migrated_database(), home / "prefect.db")
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, "PYTHONPATH": path, "PREFECT_HOME": str(home), "COLUMNS": "200", **variables}


def wait_for(found: Callable[[], Any], timeout_s: float = 600) -> Any:
    """The first true value of `found()`."""
    deadline = time.monotonic() + timeout_s
    while not (value := found()):
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.2)
    return value


class Api:
    """A Prefect server, as the tests use it."""

    def __init__(self, url: str, password: str = "") -> None:
        self.url = url
        self.password = password

    def api(self, path: str, body: object = None, method: str = "POST") -> Any:
        data = None if method == "GET" else json.dumps(body or {}).encode()
        basic = base64.b64encode(self.password.encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {basic}"}
        request = urllib.request.Request(f"{self.url}/api{path}", data=data, headers=headers, method=method)
        for _ in range(300):
            try:
                with urllib.request.urlopen(request, timeout=300) as answer:
                    return json.loads(answer.read() or "null")
            except urllib.error.HTTPError as refusal:
                # SQLite was locked by another request: retry, as Prefect's own client does.
                if refusal.code != 503:
                    raise
                time.sleep(1)
        raise AssertionError(f"{path}: 503 for five minutes")

    def deployment(self, name: str) -> Any:
        return next(found for found in self.api("/deployments/filter") if found["name"] == name)

    def start(self, name: str, parameters: dict[str, Any]) -> str:
        path = f"/deployments/{self.deployment(name)['id']}/create_flow_run"
        return str(self.api(path, {"parameters": parameters})["id"])

    def runs(self, *states: str) -> list[Any]:
        """The runs in these states, in the order in which they started."""
        chosen = {"state": {"name": {"any_": list(states)}}}
        return list(self.api("/flow_runs/filter", {"sort": "START_TIME_ASC", "flow_runs": chosen}))

    def wait_for_state(self, run: str, *states: str) -> Any:
        def state() -> Any:
            found = self.api(f"/flow_runs/{run}", method="GET")["state"]
            return found if found["name"] in states else None

        return wait_for(state)

    def of_run(self, kind: str, run: str) -> list[Any]:
        """The task_runs, artifacts or logs of a run."""
        if kind == "logs":
            return list(self.api("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}}))
        return list(self.api(f"/{kind}/filter", {"flow_runs": {"id": {"any_": [run]}}}))


class Served(Api):
    """`palimpsest serve` on a free port; what it prints is in `log`."""

    def __init__(self, home: Path, *options: object, delay_s: float = 0.0) -> None:
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")
        self._log = home / "serve.log"
        command = [sys.executable, str(TESTS / "run_scripted.py"), "serve", "--port", str(self.port)]
        with self._log.open("w") as file:
            self.process = subprocess.Popen(
                [*command, *map(str, options)],
                env=environment(home, SCRIPTED_DELAY_S=str(delay_s)),
                stdout=file,
                stderr=file,
            )
        wait_for(lambda: "Ctrl-C stops it" in self.log or self.process.poll() is not None)
        assert self.process.poll() is None, self.log
        self.password = (home / "palimpsest-password").read_text().strip()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def stop(self, timeout_s: float = 600) -> int:
        self.process.terminate()
        return self.process.wait(timeout_s)


def write_documents(path: Path, ids: list[str], n_sentences: int = 40) -> None:
    with path.open("w", encoding="utf-8") as file:
        for name in ids:
            text = " ".join(f"Sentence {j} of document {name} says something new." for j in range(n_sentences))
            file.write(json.dumps({"id": name, "title": f"Title of {name}", "text": text}) + "\n")
