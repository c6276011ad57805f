"""Make docs/pictures/prefect-run.png: Prefect's UI with a run of the packaged models on real documents.

    python docs/make_prefect_picture.py

It starts `palimpsest serve`, asks for a run, and opens it in Chromium. Minutes on two cores.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from flows.demo import packaged_documents

PICTURE = Path(__file__).with_name("pictures") / "prefect-run.png"
N_DOCUMENTS = 3
TIMEOUT_S = 600


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="palimpsest-picture-") as name, socket.socket() as probe:
        folder = Path(name)
        documents = packaged_documents()[:N_DOCUMENTS]
        (folder / "corpus").mkdir()
        (folder / "corpus" / "documents.jsonl").write_text(
            "".join(json.dumps(one) + "\n" for one in documents), "utf-8"
        )
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [str(Path(sys.executable).with_name("palimpsest")), "serve", "--port", str(port)]
        # Paths of the folder would show in the picture.
        served = subprocess.Popen(command, cwd=folder, env={**os.environ, "PREFECT_HOME": str(folder / "prefect")})
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: answers(url) and deployment(url))
            parameters = {"config": {"source": "corpus", "output": "out", "part_bytes": 4000, "n_variants": 1}}
            path = f"{url}/api/deployments/{deployment(url)}/create_flow_run"
            answer = httpx.post(path, json={"parameters": parameters}, timeout=60)
            while answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # SQLite, with two writers
                time.sleep(2)
                answer = httpx.post(path, json={"parameters": parameters}, timeout=60)
            run = answer.raise_for_status().json()["id"]
            wait_for(lambda: httpx.get(f"{url}/api/flow_runs/{run}", timeout=60).json()["state"]["name"] == "Completed")
            take_picture(f"{url}/runs/flow-run/{run}")
        finally:
            served.terminate()
            served.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/health").is_success
    except httpx.HTTPError:
        return False


def deployment(url: str) -> str | None:
    found = httpx.post(f"{url}/api/deployments/filter", json={}, timeout=60).json()
    return next((one["id"] for one in found if one["name"] == "rephrase"), None)


def wait_for(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen in time")
        time.sleep(1)


def take_picture(page_url: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(page_url)
        page.get_by_text("records accepted").first.wait_for()
        page.wait_for_timeout(2000)
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
