"""The nation's published figures: keys unique, codes known, bands that add up, doubts flagged."""

import pytest

from tsunagari.study import files
from tsunagari.study.survey import open_study


@pytest.fixture(scope="module")
def opened():
    return open_study("ehime", 2022)


@pytest.fixture(scope="module")
def benchmarks():
    path = files.repository_root() / "data/raw/national/benchmarks.csv"
    table = files.read_table(path)
    return table.assign(percent=table["percent"].astype(float), n=table["n"].astype(float))


def test_columns_and_keys(benchmarks):
    keys = ["year", "item", "item_value", "domain", "domain_value"]
    columns = "year item item_value domain domain_value percent n base source certainty weighting"
    assert list(benchmarks.columns) == columns.split()
    assert not benchmarks[keys].duplicated().any()
    assert benchmarks["percent"].between(0, 100).all()
    assert set(benchmarks["base"]) == {"asked", "answered"}
    assert (benchmarks["source"] != "").all()


def test_certainty_is_stated_and_doubts_are_few(benchmarks):
    assert set(benchmarks["certainty"]) == {"official", "secondary", "derived", "unverified"}
    unverified = benchmarks[benchmarks["certainty"] == "unverified"]
    assert unverified[["year", "item"]].to_numpy().tolist() == [
        ["2021", "ucla_band"],
        ["2023", "ucla_band"],
    ]


def test_items_and_codes_are_those_of_the_codebook(benchmarks, opened):
    for row in benchmarks[benchmarks["item"] != "respondents"].itertuples():
        item = opened.items[row.item]
        assert row.item_value in item.labels, (row.item, row.item_value)
    for row in benchmarks[benchmarks["domain"] != "all"].itertuples():
        parts = zip(row.domain.split(" x "), row.domain_value.split(" x "), strict=True)
        for name, value in parts:
            assert value in opened.items[name].labels, (name, value)


def test_bands_of_a_group_add_up_to_a_hundred(benchmarks):
    bands = benchmarks[(benchmarks["item"] == "ucla_band") & (benchmarks["year"] == "2022")]
    groups = bands.groupby(["domain", "domain_value"])["percent"]
    complete = groups.sum()[groups.size() == 5]
    assert len(complete) == 1 + 2 + 8 + 16 + 3  # all, sex, age, age x sex, household
    assert complete.between(99.7, 100.3).all()


def test_direct_question_of_2022(benchmarks):
    rows = benchmarks.query(
        "item == 'lonely_direct' and year == '2022' and domain == 'all'"
    ).set_index("item_value")["percent"]
    # 4.9 + 15.8 + 19.6 = 40.3, and with 40.6 + 18.4 + 0.6 = 99.9
    assert rows[["5", "4", "3"]].sum() == pytest.approx(rows["some"])
    assert rows[["5", "4", "3", "2", "1", "no_answer"]].sum() == pytest.approx(99.9)


def test_age_mix_of_the_respondents_of_2022(benchmarks):
    rows = benchmarks.query("item == 'respondents' and domain == 'age_band'")
    assert len(rows) == 8
    assert rows["percent"].sum() == pytest.approx(100.0)
