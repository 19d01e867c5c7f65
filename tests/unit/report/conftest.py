"""One report of the made-up study for all tests of this folder."""

import pytest
from tests.browser import published_sample as sample

from tsunagari.report import page


@pytest.fixture(scope="session")
def rows():
    return sample.estimates()


@pytest.fixture(scope="session")
def told(rows):
    """Return the rows as they are read."""
    return sample.published(rows)


@pytest.fixture(scope="session")
def council(told):
    return page.build_report(told)
