"""A real browser for tests: Debian's Chromium, or the one that Playwright installs."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

TIMEOUT_MS = 600_000


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Skips the test where there is no browser; with CI_BROWSER=1 in the environment that is a failure."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=TIMEOUT_MS)
        except Error:
            if os.environ.get("CI_BROWSER"):
                raise
            pytest.skip("no browser, so what needs one is not tested: `make browser` installs one")
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser: Browser, **options: Any) -> Page:
    """A new page that waits as long as a busy machine needs."""
    page = browser.new_page(**options)
    page.set_default_timeout(TIMEOUT_MS)
    return page
