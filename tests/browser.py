"""A real browser for tests: Debian's Chromium, or the one that Playwright installs."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Error, sync_playwright


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Skips the test where there is no browser; with CI_BROWSER=1 in the environment that is a failure."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error:
            if os.environ.get("CI_BROWSER"):
                raise
            pytest.skip("no browser, so what needs one is not tested: `make browser` installs one")
        try:
            yield browser
        finally:
            browser.close()
