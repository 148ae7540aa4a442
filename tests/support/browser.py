"""The browser of the machine, driven by Playwright, for tests that look at pages as a person does."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# A container has no user namespaces for Chromium's own sandbox, and no display.
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of a headless browser; errors that it logs fail the test at the end.

    Where no browser is installed the test is skipped, or fails when NECTO_REQUIRE_BROWSER=1 says that it must run.
    """
    found = next((path for path in map(shutil.which, _NAMES) if path), None)
    if found is None:
        said = "no Chromium on this machine: pages are not looked at"
        if os.environ.get("NECTO_REQUIRE_BROWSER") == "1":
            pytest.fail(said)
        pytest.skip(said)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_ARGUMENTS)
        try:
            page = browser.new_page(viewport={"width": 1600, "height": 1000})
            page.set_default_timeout(60_000)
            yield page
        finally:
            browser.close()
