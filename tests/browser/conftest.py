"""The distribution's Chromium, started once a module, and a report for all tests."""

import os

import pytest
from tests.browser.visiting import write_page

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


@pytest.fixture(scope="session")
def council(synthetic):
    return synthetic


@pytest.fixture(scope="session")
def page_path(council, tmp_path_factory):
    return write_page(council, tmp_path_factory.mktemp("page"))
