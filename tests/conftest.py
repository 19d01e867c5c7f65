"""What every test may rely on: no window, no folders of the developer, the same examples."""

import os
import shutil

import pytest
from hypothesis import settings
from tests.browser import published_sample as sample

from tsunagari.report import page, published
from tsunagari.run import pipeline
from tsunagari.study import files

os.environ["MPLBACKEND"] = "Agg"

# The same examples on every machine, so that a red run can be repeated; no time limit an example,
# since the machine may be busy.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch):
    """Keep a developer's own settings of where studies lie out of the tests."""
    monkeypatch.delenv("TSUNAGARI_ROOT", raising=False)
    monkeypatch.delenv("TSUNAGARI_STAGING", raising=False)


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    """Return a root where the reports of both waves of ehime have been made, once for all tests."""
    root = tmp_path_factory.mktemp("released")
    shutil.copytree(files.repository_root() / "data/raw", root / "data/raw")
    state = pipeline.hash_environment()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSUNAGARI_ROOT", str(root))
        # The code may be edited while tests run.
        patch.setattr(pipeline, "hash_environment", lambda: state)
        for year in ("2022", "2023"):
            assert pipeline.main(["report", "--study", "ehime", "--year", year]) == 0
    return root


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory):
    """Return the report of a root that holds published/ alone: no data/raw, no private/."""
    root = tmp_path_factory.mktemp("published-alone")
    sample.write_sample(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSUNAGARI_ROOT", str(root))
        return page.build_report(published.read_published("ehime", sample.YEAR))
