"""Prefect's UI in a real browser: what a user of `palimpsest serve` clicks."""

import json
import os
import re
import shutil

import pytest
from served import Served, wait_for, write_documents

pytestmark = [pytest.mark.slow, pytest.mark.browser]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TIMEOUT_MS = 60_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def served(folder):
    source = folder / "in"
    source.mkdir()
    write_documents(source / "a.jsonl", ["a0", "a1"])
    (source / "hostile.jsonl").write_text(
        json.dumps({"id": "h", "text": "<img src=x onerror=document.title='owned'> | *bold* says a document. " * 20})
        + "\n"
    )
    served = Served(folder, "--source", source, "--output", folder / "out", "--cron", "0 3 * * *", delay_s=0.3)
    yield served
    served.stop()


@pytest.fixture
def page(served, request):
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(TIMEOUT_MS)
        sign_in(page, served)
        yield page
        # For inspection: SCREENSHOTS=folder make test-browser
        if pictures := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{pictures}/{request.node.name}.png", full_page=True)
        browser.close()


def sign_in(page, served):
    """The pages ask for the password, whole as `serve` has shown it, before they show anything."""
    page.goto(f"{served.url}/deployments")
    page.locator("input[type=password]").fill(served.password)
    page.get_by_role("button", name="Login").click()
    page.get_by_role("link", name="rephrase", exact=True).first.wait_for()


def field(page, label):
    """The control below a label of the form."""
    return page.locator(".p-label", has=page.get_by_text(label, exact=True)).last.locator("textarea, input").first


def test_a_run_is_started_from_the_form_and_its_artifacts_are_opened(page, served, folder):
    out = folder / "by hand"
    page.goto(f"{served.url}/deployments")
    for name in ("rephrase", "verify", "pretrain", "full_run"):
        page.get_by_role("link", name=name, exact=True).first.wait_for()
    page.get_by_role("link", name="rephrase", exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    page.get_by_text("Folder for the shards, on any fsspec filesystem.").wait_for()
    field(page, "Output").fill(str(out))
    field(page, "Variants (Optional)").fill("2")
    page.get_by_role("button", name="Submit").click()
    run = wait_for(lambda: [run for run in served.runs("Completed", "Failed", "Crashed") if not run["auto_scheduled"]])[
        0
    ]
    assert run["state"]["name"] == "Completed", served.log
    assert run["parameters"]["config"]["n_variants"] == 2
    assert list(out.glob("rewrites/*.parquet"))

    page.goto(f"{served.url}/runs/flow-run/{run['id']}")
    page.get_by_text("Completed").first.wait_for()
    page.get_by_text("records accepted").first.wait_for()
    page.get_by_text("Artifacts", exact=True).click()
    for key in ("rephrase-account", "rephrase-recipes", "rephrase-samples", "rephrase-progress", "rephrase-output"):
        page.get_by_text(key, exact=True).last.wait_for()
    page.get_by_text("rephrase-samples", exact=True).last.click()
    page.get_by_text("<img src=x").first.wait_for()
    assert page.title() != "owned"
    assert page.locator("main img[src=x]").count() == 0


def test_a_wrong_value_is_shown_in_the_form(page, served):
    page.goto(f"{served.url}/deployments/deployment/{served.deployment('rephrase')['id']}/run")
    page.get_by_text("Folder for the shards, on any fsspec filesystem.").wait_for()
    field(page, "Variants (Optional)").fill("5000")
    before = len(served.runs())
    page.get_by_role("button", name="Submit").click()
    page.get_by_text(re.compile("1000")).last.wait_for()
    assert len(served.runs()) == before


def test_a_schedule_is_paused_and_resumed(page, served):
    def active():
        return served.deployment("rephrase")["schedules"][0]["active"]

    page.goto(f"{served.url}/deployments/deployment/{served.deployment('rephrase')['id']}")
    page.get_by_text("At 03:00 AM", exact=False).first.wait_for()
    switch = page.locator(".p-toggle").last
    assert active()
    switch.click()
    wait_for(lambda: not active())
    switch.click()
    wait_for(active)


def test_a_run_is_cancelled(page, served, folder):
    source = folder / "many.jsonl"
    write_documents(source, [f"m{i}" for i in range(300)])
    run = served.start("rephrase", {"config": {"source": str(source), "output": str(folder / "many")}})
    served.wait_for_state(run, "Running")
    page.goto(f"{served.url}/runs/flow-run/{run}")
    page.get_by_role("button", name="Cancel").first.click()
    page.locator(".p-modal").get_by_role("button", name="Confirm").click()
    served.wait_for_state(run, "Cancelled")
    page.get_by_text("Cancelled").first.wait_for()
