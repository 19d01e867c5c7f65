"""The French EU-LS file of 2022, where a user has it: two known figures must come out."""

from pathlib import Path

import pandas as pd
import pytest

from tsunagari.statistics.estimation import percents
from tsunagari.statistics.weighting import weigh_respondents
from tsunagari.study.settings import Weighting

PROJECT_ROOT = Path(__file__).resolve().parents[2]
FILE = PROJECT_ROOT.parent / "shared" / "real" / "eu_loneliness_2022" / "responses_FR.csv"

pytestmark = pytest.mark.skipif(
    not FILE.is_file(), reason="the EU-LS microdata are not here; docs/new_study.md says where from"
)


@pytest.fixture(scope="module")
def people():
    return pd.read_csv(FILE, low_memory=False).copy()


@pytest.fixture(scope="module")
def design(people):
    plan = Weighting(method="given", label="", base_weight="w_country")
    return weigh_respondents(people, None, settings=plan)


def test_ucla_sum_of_six_or_more(people, design):
    items = people[["loneliness_ucla_a", "loneliness_ucla_b", "loneliness_ucla_c"]]
    total = items.where(items <= 3).sum(axis=1, skipna=False)
    lonely = (total >= 6).astype(float).where(total.notna()).rename("6+")
    found = percents(design, lonely).iloc[0]
    assert found[["estimate", "lower", "upper"]].astype(float).round(1).tolist() == [
        29.9,
        26.2,
        33.8,
    ]
    assert found["n_unweighted"] == 1_052


def test_lonely_most_or_all_of_the_time(people, design):
    answer = people["loneliness_direct"]
    lonely = answer.isin([1, 2]).astype(float).where(answer.between(1, 5)).rename("1-2")
    found = percents(design, lonely).iloc[0]
    assert found[["estimate", "lower", "upper"]].astype(float).round(1).tolist() == [8.1, 6.1, 10.8]
    assert found["n_unweighted"] == 1_048
