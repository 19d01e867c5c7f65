"""Quotas add up, widths and sample sizes follow their formulas by hand."""

import numpy as np
import pandas as pd
import pytest

from tsunagari import errors
from tsunagari.study import codebook, planning, population
from tsunagari.study.survey import open_study


@pytest.fixture(scope="module")
def ehime():
    return open_study("ehime", 2022)


@pytest.fixture(scope="module")
def targets(ehime):
    return population.load_targets(ehime)


def test_quota_gives_the_largest_remainders_one_more():
    # 7 x 50/100, 30/100, 20/100 = 3.5, 2.1, 1.4: whole parts 3, 2, 1, one left for the .5
    assert planning.allocate_quota(pd.Series([50, 30, 20]), 7).tolist() == [4, 2, 1]


def test_quota_gives_an_equal_remainder_to_the_earlier_cell_and_nothing_to_an_empty_one():
    # 3 x 1/2, 1/2, 0 = 1.5, 1.5, 0
    assert planning.allocate_quota(pd.Series([1, 1, 0]), 3).tolist() == [2, 1, 0]


@pytest.mark.parametrize("n", [48, 600, 2000, 2001])
def test_quota_adds_up_and_is_never_a_whole_person_off(targets, n):
    people = targets["population"]
    counts = planning.allocate_quota(people, n)
    assert counts.sum() == n
    assert (np.abs(counts - people * n / people.sum()) < 1).all()


@pytest.mark.parametrize(
    ("people", "n"), [([1, 1], 0), ([0, 0], 5), ([3, -1], 5), ([1, np.inf], 5), ([1, np.nan], 5)]
)
def test_quota_without_people_is_refused(people, n):
    with pytest.raises(errors.ConfigError, match="割付"):
        planning.allocate_quota(pd.Series(people), n)


def test_thin_cells_name_the_finest_net_that_is_big_enough(ehime, targets):
    plan = planning.plan_quotas(
        targets, 2000, by=["region", "age_band"], age=ehime.items["age_band"], minimum_n=20
    )
    assert plan["quota"].sum() == 2000
    assert plan["population"].sum() == pytest.approx(targets["population"].sum())
    # 7441.6 of 1164485.2 persons times 2000 = 12.8: 南予 16-19 is the one cell under 20, and
    # with the 26 of 20 to 29 it makes 39.
    thin = plan[plan["merge_into"] != ""]
    assert thin[["region", "age_band", "quota", "merge_into"]].to_numpy().tolist() == [
        ["3", "16-19", 13, "under30"]
    ]


def test_thin_cells_merge_within_their_region_by_the_finest_net_that_holds_them():
    # A quota of all 40 people of the population: cells of 4 and more stand alone
    persons = {"S": (1, 3, 6, 10), "N": (4, 6, 5, 5)}  # in the order of the table
    rows = [(r, a, n) for r, ns in persons.items() for a, n in zip("abcd", ns, strict=True)]
    cells = pd.DataFrame(rows, columns=["region", "age", "population"])
    nets = {net: (net, tuple(net)) for net in ("ab", "cd", "abc")}
    age = codebook.Item(name="age", label="", short_label="", kind="SA", options={}, nets=nets)
    options = {"by": ["region", "age"], "age": age}
    plan = planning.plan_quotas(cells, 40, minimum_n=4, **options)
    assert plan["quota"].tolist() == [1, 3, 6, 10, 4, 6, 5, 5]
    assert plan["share_pct"].iloc[0] == 2.5  # 1 of 40
    assert plan["merge_into"].tolist() == ["ab", "ab", *[""] * 6]  # 1 + 3 are just 4
    plan = planning.plan_quotas(cells, 40, minimum_n=5, **options)
    assert plan["merge_into"].tolist() == ["abc", "abc", "", "", "ab", "", "", ""]


def test_a_cell_that_no_net_makes_big_enough_is_marked(ehime, targets):
    plan = planning.plan_quotas(
        targets, 20, by=["region", "age_band"], age=ehime.items["age_band"], minimum_n=50
    )
    assert set(plan["merge_into"]) == {"?"}


def test_half_width_is_z_root_deff_pq_over_n():
    table = planning.expected_half_widths(pd.Series({"a": 100}), design_effect=4.0, percents=[50])
    # 1.959964 x sqrt(4 x 50 x 50 / 100) = 1.959964 x 10
    assert table.loc["a", "half_width_50"] == pytest.approx(19.59964, abs=1e-5)


def test_the_size_for_a_half_width_reaches_it_and_one_fewer_does_not():
    n = planning.sample_size_for_half_width(1.5, percent=10, design_effect=1.2)
    width = planning.expected_half_widths(pd.Series([n, n - 1]), design_effect=1.2, percents=[10])[
        "half_width_10"
    ]
    assert width[0] <= 1.5 < width[1]
    # 3.841459 x 50 x 50 / 9 = 1067.07
    assert planning.sample_size_for_half_width(3, percent=50, design_effect=1) == 1068


def test_size_to_tell_two_waves_apart():
    # p = 0.075 and 0.055, middle 0.065: 1.959964 sqrt(0.12155) + 0.841621 sqrt(0.12135) = 0.976503;
    # (0.976503 / 0.02)^2 = 2383.9
    assert planning.sample_size_for_change(7.5, 5.5, design_effect=1.0) == 2384
    assert planning.sample_size_for_change(5.5, 7.5, design_effect=2.0) == 4768
    with pytest.raises(errors.ConfigError, match="同じ"):
        planning.sample_size_for_change(7.5, 7.5, design_effect=1.0)


def test_what_came_in_stands_beside_the_quota():
    quotas = pd.DataFrame({"region": ["1", "2", "3"], "quota": [2, 4, 0]})
    came = planning.compare_with_quota(quotas, pd.DataFrame({"region": list("111233")}))
    assert came["achieved"].tolist() == [3, 1, 2]
    assert came["gap"].tolist() == [1, -3, 2]
    assert came["achieved_pct"].tolist()[:2] == [150.0, 25.0]
    assert np.isnan(came["achieved_pct"].tolist()[2])
    both = pd.DataFrame({"region": list("112"), "age": list("aba"), "quota": [1, 1, 1]})
    came = planning.compare_with_quota(both, both.iloc[[0, 0, 2]].drop(columns="quota"))
    assert came["achieved"].tolist() == [2, 0, 1]
    assert came["achieved_pct"].tolist() == [200, 0, 100]
