"""The distribution's Chromium, started once a module."""

import os

import pytest

from tsunagari.errors import KernelError
from tsunagari.report import pdf


@pytest.fixture(scope="module")
def chromium() -> str:
    try:
        return pdf.find_chromium()
    except KernelError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # CI runs as root in a container, where Chromium's own sandbox cannot start.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()
