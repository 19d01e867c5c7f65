"""The distribution's Chromium, started once a module."""

import os
import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HINT = "no Chromium: install one (Debian: apt-get install chromium fonts-noto-cjk) or set CHROMIUM"


@pytest.fixture(scope="module")
def chromium() -> str:
    given = os.environ.get("CHROMIUM")
    found = given or next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if not found:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(HINT)
    return found


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # CI runs as root in a container, where Chromium's own sandbox cannot start.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()
