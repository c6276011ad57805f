"""Make docs/pictures/report.png and report-reader.png: the report of a run, as it opens and at its reader.

    python docs/make_report_picture.py OUT

OUT is the output folder of a run; `palimpsest demo` makes one in demo-output/shards.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).with_name("pictures")
SIZE = {"width": 1240, "height": 800}


def main(out: str) -> None:
    with tempfile.TemporaryDirectory(prefix="palimpsest-picture-") as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "report.html"
        command = [str(Path(sys.executable).with_name("palimpsest")), "report", out, "--out", str(page_file)]
        subprocess.run(command, check=True)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, reduced_motion="reduce")
        page.goto(page_file.as_uri())
        PICTURES.mkdir(exist_ok=True)
        page.screenshot(path=PICTURES / "report.png")
        page.get_by_label("changed facts").check()
        show_a_link(page)
        page.evaluate("document.querySelector('.filters').scrollIntoView()")
        page.screenshot(path=PICTURES / "report-reader.png")
        browser.close()


def show_a_link(page: Page) -> None:
    """Open the first pair in which a sentence with a changed fact is linked, and point at that sentence."""
    for number in range(page.locator("#list button").count()):
        page.locator("#list button").nth(number).click()
        sentences = page.locator(".side.rewrite .sentence:not(.unsupported):has(mark.changed)")
        if sentences.count():
            sentences.first.click()
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
