"""What a run is operated with, started for tests on loopback: PostgreSQL, a Prefect server on it, Prometheus.

Each skips its test with one line where its program is missing: `make test-infra` says how to install them.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Api, environment, free_port, wait_for

MISSING = "not installed, so what needs it is not tested: `make test-infra` says how to install it"


def program(name: str, *folders: str) -> str:
    """The path of a program, which Debian may keep outside PATH."""
    found = shutil.which(name) or next((str(path) for folder in folders for path in Path("/").glob(folder)), None)
    if found is None:
        pytest.skip(f"{name} is {MISSING}")
    return found


class Postgres:
    """A PostgreSQL server with an empty database `prefect`; it can be stopped and started again."""

    def __init__(self) -> None:
        self._programs = Path(program("initdb", "usr/lib/postgresql/*/bin/initdb")).resolve().parent
        self._folder = Path(tempfile.mkdtemp(prefix="palimpsest-postgres-"))
        self.port = free_port()
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user)
        self._run("initdb", "-D", "data", "-U", "prefect", "-A", "trust", "--no-sync")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "prefect", "prefect")

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://prefect@127.0.0.1:{self.port}/prefect"

    def start(self) -> None:
        options = f"-p {self.port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / name, *arguments],
            cwd=self._folder,
            user=self._user,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )


class PrefectServer(Api):
    """A Prefect server that is not ours: it may go away and come back at the same address."""

    def __init__(self, home: Path, database: str | None = None) -> None:
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.api_url = f"{self.url}/api"
        variables = {"PREFECT_UI_API_URL": self.api_url, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        if database:
            variables["PREFECT_API_DATABASE_CONNECTION_URL"] = database
        self._environment = environment(home, **variables)
        self.serve()

    def serve(self) -> None:
        command = [sys.executable, "-P", "-m", "flows.running.prefect_server", "--with-ui", "--port", str(self.port)]
        self._process = subprocess.Popen(
            command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        assert any(line.startswith("serving ") for line in self._process.stdout)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Prometheus:
    """A Prometheus that scrapes one port every second, and has our alert rules."""

    def __init__(self, folder: Path, port: int, rules: Path) -> None:
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{rules}']\n"
            "scrape_configs:\n"
            f"  - {{job_name: palimpsest, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n"
        )
        self.port = free_port()
        self._api = Api(f"http://127.0.0.1:{self.port}")
        command = [program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'metrics'}"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=error"]
        self._process = subprocess.Popen(command)
        wait_for(self._answers)

    def query(self, expression: str) -> list[dict[str, object]]:
        from urllib.parse import quote

        return list(self._api.api(f"/v1/query?query={quote(expression)}", method="GET")["data"]["result"])

    def value(self, expression: str) -> float | None:
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None  # type: ignore[index]

    def alerts(self) -> set[str]:
        return {one["labels"]["alertname"] for one in self._api.api("/v1/alerts", method="GET")["data"]["alerts"]}

    def _answers(self) -> bool:
        try:
            return bool(self.query("vector(1)"))
        except OSError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


@contextlib.contextmanager
def started(command: list[object], variables: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to `log`, and which does not outlive the context."""
    with log.open("w") as file:
        process = subprocess.Popen([*map(str, command)], env=variables, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
