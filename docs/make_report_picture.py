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
        show_a_changed_fact(page)
        page.screenshot(path=PICTURES / "report-reader.png")
        browser.close()


def show_a_changed_fact(page: Page) -> None:
    """Open a pair that was rejected for a changed number; point at the sentence that the source has too."""
    page.select_option("select[name=reason]", "number_changed")
    page.evaluate("document.querySelector('.filters').scrollIntoView()")
    for number in range(page.locator("#list button").count()):
        page.locator("#list button").nth(number).click()
        sentences = page.locator(".side.rewrite .sentence:not(.unsupported):has(mark.changed)")
        if sentences.count() and page.locator(".side.source mark.changed").count():
            sentences.first.click()
            page.mouse.move(0, 0)
            page.wait_for_timeout(500)  # colours fade in
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
