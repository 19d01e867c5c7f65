"""One report of the made-up study for all tests of this folder, and one of it as synthetic."""

import pytest
from tests.browser import published_sample as sample

from tsunagari.report import page, published


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


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory):
    """Return the report of a root that holds published/ alone: no data/raw, no private/."""
    root = tmp_path_factory.mktemp("published-alone")
    sample.write_sample(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSUNAGARI_ROOT", str(root))
        return page.build_report(published.read_published("ehime", sample.YEAR))
