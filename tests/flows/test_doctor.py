"""Each check detects a problem and says what to do."""

import base64
import http.server
import json
import sys
import threading
from types import SimpleNamespace

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner

import flows.doctor
from flows.cli.app import app
from flows.doctor import DoctorOptions, run_checks
from rephrase.engines.opening import EngineConfig

ENGINE = EngineConfig()


def options(output=None, engine=ENGINE, encoder="all-MiniLM-L6-v2"):
    return DoctorOptions(output=output, engine=engine, encoder=encoder, deep=False)


@pytest.fixture
def prefect():
    """A server that looks like Prefect's, whose UI uses the API at `ui_api_url`."""
    state = SimpleNamespace(ui_api_url="", version="3.7.7", password=None)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answers = {
                "/api/health": True,
                "/api/admin/version": state.version,
                "/ui-settings": {"api_url": state.ui_api_url},
            }
            given = self.headers.get("Authorization", "").removeprefix("Basic ")
            open_to_all = state.password is None or self.path == "/api/health"
            if not open_to_all and base64.b64decode(given).decode() != state.password:
                self.send_response(401)
            else:
                self.send_response(200 if self.path in answers else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answers.get(self.path)).encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    state.api = state.ui_api_url = f"http://127.0.0.1:{server.server_port}/api"
    with temporary_settings({PREFECT_API_URL: state.api}):
        yield state
    server.shutdown()
    server.server_close()


def test_a_prefect_server_and_the_api_address_of_its_ui(prefect):
    assert flows.doctor.check_prefect_api(options()).state == "ok"
    assert flows.doctor.check_prefect_ui(options()).state == "ok"
    prefect.version = "3.9.0"
    assert "runs Prefect 3.9.0" in flows.doctor.check_prefect_api(options()).detail
    prefect.ui_api_url = "http://127.0.0.1:1/api"
    found = flows.doctor.check_prefect_ui(options())
    assert found.state == "problem"
    assert f"PREFECT_UI_API_URL={prefect.api}" in found.remedy
    with temporary_settings({PREFECT_API_URL: prefect.api.removesuffix("/api")}):
        assert "must end in /api" in flows.doctor.check_prefect_api(options()).remedy
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        assert flows.doctor.check_prefect_api(options()).state == "problem"
    with temporary_settings({PREFECT_API_URL: None}):
        assert flows.doctor.check_prefect_api(options()).state == "ok"
        assert flows.doctor.check_prefect_ui(options()).state == "skipped"


def test_a_server_that_asks_for_a_password(prefect):
    prefect.password = "admin:a:b"
    assert "PREFECT_API_AUTH_STRING" in flows.doctor.check_prefect_api(options()).remedy
    with temporary_settings({PREFECT_API_AUTH_STRING: "admin:a:b"}):
        assert flows.doctor.check_prefect_api(options()).state == "ok"


def test_storage_is_probed_and_left_unchanged(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("")
    assert flows.doctor.check_storage(options(str(out))).state == "ok"
    assert [path.name for path in out.iterdir()] == ["mine"]
    (tmp_path / "file").write_text("")
    assert flows.doctor.check_storage(options(str(tmp_path / "file" / "out"))).state == "problem"
    assert "credentials" in flows.doctor.check_storage(options("nonsense://bucket/out")).remedy
    monkeypatch.setattr(flows.doctor.Storage, "read", lambda *_: b"stale")
    assert "bytes that differ" in flows.doctor.check_storage(options(str(out))).detail


def test_wrong_versions_are_found(monkeypatch):
    assert flows.doctor.check_python(options()).state == "ok"
    assert flows.doctor.check_packages(options()).state == "ok"
    version = flows.doctor.importlib.metadata.version
    monkeypatch.setattr(
        flows.doctor.importlib.metadata, "version", lambda name: "2.1.0" if name == "sqlalchemy" else version(name)
    )
    assert "sqlalchemy is 2.1.0, wanted <2.1" in flows.doctor.check_packages(options()).detail
    monkeypatch.setattr(sys, "version_info", (3, 9, 0, "final", 0))
    assert flows.doctor.check_python(options()).state == "problem"


def test_little_memory_and_little_disk_space_are_warnings(monkeypatch, tmp_path):
    memory = SimpleNamespace(available=1 << 30, total=2 << 30)
    monkeypatch.setattr(flows.doctor.psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(flows.doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    assert flows.doctor.check_memory(options()).state == "warning"
    server = EngineConfig(kind="openai", endpoints=("http://x/v1",))
    assert flows.doctor.check_memory(options(engine=server)).state == "ok"
    assert "for output" in flows.doctor.check_disk(options(str(tmp_path / "not" / "yet"))).detail
    assert flows.doctor.check_disk(options()).state == "warning"


def test_a_check_that_raises_is_a_problem_and_the_others_still_run(monkeypatch):
    def broken(_):
        raise RuntimeError("cable is loose")

    for name in ("check_encoder", "check_model", "check_gpu"):
        monkeypatch.setattr(flows.doctor, name, broken)
    found = {finding.check: finding for finding in run_checks(options())}
    assert found["gpu"].state == "problem"
    assert "cable is loose" in found["gpu"].detail
    assert found["python"].state == "ok"
    assert found["engine"].state == "skipped"
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 1
    assert {finding["state"] for finding in json.loads(done.stdout)} == {"ok", "problem", "skipped"}


@pytest.mark.model
def test_all_is_well_here(tmp_path):
    done = CliRunner().invoke(app, ["doctor", str(tmp_path / "out"), "--json"])
    found = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert done.exit_code == 0, found
    assert found["embedding model"]["state"] == found["model"]["state"] == "ok"
