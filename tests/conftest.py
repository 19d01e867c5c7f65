"""What every test may rely on: no window, no folders of the developer, the same examples."""

import os

import pytest
from hypothesis import settings

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
