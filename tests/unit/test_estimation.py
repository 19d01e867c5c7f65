"""Estimates: worked by hand, what must always hold, coverage, and every documented error."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from scipy import stats

from tsunagari.errors import ConfigError, ModelError
from tsunagari.statistics import domains
from tsunagari.statistics.association import rao_scott
from tsunagari.statistics.designs import Design
from tsunagari.statistics.differences import (
    differences,
)
from tsunagari.statistics.estimation import (
    means,
    percents,
    proportion_intervals,
    sensitivity,
    totals,
)
from tsunagari.statistics.quantiles import quantiles
from tsunagari.statistics.reliability import cronbach_alpha
from tsunagari.statistics.replicates import (
    bootstrap_replicates,
    jackknife_replicates,
    replicate_estimates,
    replicate_means,
)
from tsunagari.statistics.weighting import alternative_designs, weigh_respondents
from tsunagari.study.settings import Margin, Weighting


def equal(n: int, weight: float = 1.0, **parts) -> Design:
    return Design(weights=np.full(n, weight), **parts)


def one(table: pd.DataFrame, **keys) -> pd.Series:
    for key, value in keys.items():
        table = table[table[key] == value]
    assert len(table) == 1
    return table.iloc[0]


def series(*values, name="y") -> pd.Series:
    return pd.Series(values, name=name, dtype=float)


# --- percents -------------------------------------------------------------------------------------


def test_a_percent_and_its_error_by_hand():
    # 30 of 100, weights 2: p = 0.3; V = 100/99 * p(1-p)/100 = 0.21/99
    y = series(*[1] * 30, *[0] * 70)
    found = one(percents(equal(100, 2.0), y))
    assert found["estimate"] == pytest.approx(30)
    assert found["std_error"] == pytest.approx(100 * np.sqrt(0.21 / 99))
    # logit interval: log(3/7) -+ t_99 * se / (p(1-p))
    reach = stats.t.ppf(0.975, 99) * np.sqrt(0.21 / 99) / 0.21
    ends = [100 / (1 + np.exp(-(np.log(3 / 7) + sign * reach))) for sign in (-1, 1)]
    assert [found["lower"], found["upper"]] == pytest.approx(ends)
    assert (found["df"], found["n_unweighted"], found["n_cell"]) == (99, 100, 30)
    assert found["n_effective"] == pytest.approx(100)
    assert (found["measure"], found["unit"], found["domain"]) == ("percent", "percent", "all")


def test_weights_change_a_percent():
    # Weights 3 and 1 1: the first of three counts for 3 of 5
    found = one(percents(Design(weights=np.array([3.0, 1, 1])), series(1, 0, 0)))
    assert found["estimate"] == pytest.approx(60)
    assert found["n_effective"] == pytest.approx(25 / 11)  # (3+1+1)^2 / (9+1+1)


def test_a_small_base_takes_the_beta_interval():
    # 6 of 20: V = 20/19 * 0.21/20; n_eff = 0.21/V * (t_19/t_19)^2 = 19
    found = one(percents(equal(20), series(*[1] * 6, *[0] * 14)))
    assert found["lower"] == pytest.approx(100 * stats.beta.ppf(0.025, 19 * 0.3, 19 * 0.7 + 1))
    assert found["upper"] == pytest.approx(100 * stats.beta.ppf(0.975, 19 * 0.3 + 1, 19 * 0.7))


def test_the_beta_interval_ends_at_49_people():
    # n_eff is n - 1 = 48 for 20 of 49; 20 of 50 take the logit: V = 0.24 / 49
    few = one(percents(equal(49), series(*[1] * 20, *[0] * 29)))
    many = one(percents(equal(50), series(*[1] * 20, *[0] * 30)))
    p = 20 / 49
    assert few["lower"] == pytest.approx(100 * stats.beta.ppf(0.025, 48 * p, 48 * (1 - p) + 1))
    reach = stats.t.ppf(0.975, 49) * np.sqrt(0.24 / 49) / 0.24
    assert many["lower"] == pytest.approx(100 / (1 + np.exp(-(np.log(2 / 3) - reach))))


def test_strata_in_a_small_base_count_in_the_beta_interval():
    # Two strata, 3 of 10 in each: V = 2 * 10/9 * 2.1 / 400, n_eff = 0.21 / V = 18 times
    # (t_19 / t_18)^2
    y = series(*[*[1] * 3, *[0] * 7] * 2)
    found = one(percents(equal(20, strata=np.repeat([0, 1], 10)), y))
    size = 18 * (stats.t.ppf(0.975, 19) / stats.t.ppf(0.975, 18)) ** 2
    assert found["df"] == 18
    assert found["upper"] == pytest.approx(100 * stats.beta.ppf(0.975, size * 0.3 + 1, size * 0.7))


def test_all_and_none_are_exact_whatever_the_weights():
    rng = np.random.default_rng(8)
    by = pd.DataFrame({"x": np.tile(list("abc"), 40)})
    for _ in range(20):
        design = Design(weights=rng.uniform(0.1, 9, 120))
        y = pd.DataFrame({"all": [1.0] * 120, "none": [0.0] * 120})
        assert set(percents(design, y, by=by)["estimate"]) == {100, 0}
        gaps = differences(design, y, by=by)
        assert set(gaps["estimate"]) == {0}
        assert gaps["p_value"].eq(1).all()


def test_an_interval_needs_a_degree_of_freedom():
    keys = {"variance": np.array([0.01, 0]), "n": np.array([60, 9]), "n_effective": np.ones(2)}
    ends = [
        proportion_intervals(np.array([0.5, 0]), df=np.array([df, df]), **keys) for df in (0, 1)
    ]
    assert np.isnan(ends[0]).all()
    assert np.isfinite(ends[1]).all()


def test_every_interval_is_at_the_confidence_asked_for():
    # t_98 at 90 % over t_98 at 95 %, of everything that is symmetric; 40 of 99
    y, by = series(*[1] * 40, *[0] * 59), pd.DataFrame({"x": np.resize(list("ab"), 99)})
    ratio = stats.t.ppf(0.95, 98) / stats.t.ppf(0.975, 98)
    for function in (means, totals, differences):
        domains = {"by": by} if "differences" in function.__name__ else {}
        wide, narrow = (function(equal(99), y, **domains, confidence=c) for c in (0.95, 0.9))
        reach = [table["upper"] - table["estimate"] for table in (wide, narrow)]
        assert (reach[1] / reach[0]).tolist() == pytest.approx([ratio] * len(wide))
    odds = [one(percents(equal(99), y, confidence=c))["upper"] / 100 for c in (0.95, 0.9)]
    reach = np.log(odds) - np.log1p(-np.array(odds)) - np.log(40 / 59)
    assert reach[1] / reach[0] == pytest.approx(ratio)
    none = one(percents(equal(9), series(*[0] * 9), confidence=0.9))
    assert none["upper"] == pytest.approx(100 * (1 - 0.05 ** (1 / 9)))


def test_two_people_with_hardly_any_weight_against():
    # Weights 9 and 1, 90 %: V = 2 * 2 * 0.09^2, n_eff = 0.09 / V = 2.8, at most 2
    found = one(percents(Design(weights=np.array([9.0, 1])), series(1, 0)))
    assert found["lower"] == pytest.approx(100 * stats.beta.ppf(0.025, 1.8, 1.2))
    assert found["upper"] == pytest.approx(100 * stats.beta.ppf(0.975, 2.8, 0.2))


def test_unequal_weights_widen_the_interval_of_nobody():
    # Weights 3 and 1 1: n_eff 25/11, the end 1 - 0.025^(11/25)
    found = one(percents(Design(weights=np.array([3.0, 1, 1])), series(0, 0, 0)))
    assert found["upper"] == pytest.approx(100 * (1 - 0.025 ** (11 / 25)))


def test_none_and_all_have_an_interval_and_no_error():
    table = percents(equal(60), pd.DataFrame({"none": [0.0] * 60, "all": [1.0] * 60}))
    none, every = one(table, item_value="none"), one(table, item_value="all")
    # exact binomial ends: 1 - 0.025^(1/60)
    end = 100 * (1 - 0.025 ** (1 / 60))
    assert none[["estimate", "std_error", "lower"]].tolist() == [0, 0, 0]
    assert none["upper"] == pytest.approx(end)
    assert every[["estimate", "std_error", "upper"]].tolist() == [100, 0, 100]
    assert every["lower"] == pytest.approx(100 - end)


def clustered(n_units: int, each: int = 50) -> tuple[Design, pd.DataFrame]:
    """Units of as many people, each a village, 13 of 50 lonely in every one."""
    unit = np.repeat(np.arange(n_units), each)
    by = pd.DataFrame({"village": unit.astype(str), "side": np.where(unit < 2, "N", "S")})
    return equal(len(unit), psu=unit), by


NOTHING = ["std_error", "lower", "upper"]
UNITS = "抽出単位が少なく、誤差を示せません。"


@pytest.mark.parametrize("measure", [percents, means, totals, quantiles])
def test_a_domain_inside_one_sampling_unit_has_no_error(measure):
    design, by = clustered(4)
    y = pd.Series(np.tile([1.0] * 13 + [0.0] * 37, 4), name="y")
    table = measure(design, y, by=by[["village"]])
    assert len(table) == 4
    assert table[NOTHING].isna().all(axis=None)
    assert (table["df"] == 0).all()
    assert (table["reason"] == UNITS).all()
    assert table["estimate"].notna().all()
    two = measure(design, y, by=by[["side"]])  # two units, one degree of freedom
    assert (two["df"] == 1).all()
    assert two[NOTHING].notna().all(axis=None)
    assert (two["reason"] == "").all()


def test_a_gap_with_a_side_inside_one_sampling_unit_has_no_test():
    design, by = clustered(3)
    y = pd.Series(np.tile([1.0] * 13 + [0.0] * 37, 3), name="y")
    y.iloc[:20] = 1  # 20 of 50 in the first village, 13 of 50 in the others
    first = by["village"] == "0"
    by = pd.DataFrame({"is_first": np.where(first, "yes", "no")})
    table = differences(design, y, by=by)
    assert table["estimate"].abs().iloc[0] == pytest.approx(14)
    assert table[[*NOTHING, "p_value"]].isna().all(axis=None)
    assert (table["reason"] == UNITS).all()
    # Three villages against the fourth: the lone side is the rest
    design, by = clustered(4)
    by = pd.DataFrame({"is_last": by["village"] == "3"})
    y = pd.Series(np.tile([1.0] * 13 + [0.0] * 37, 4), name="y")
    assert differences(design, y, by=by)["p_value"].isna().all()


def test_a_test_needs_two_units_a_domain():
    design, by = clustered(4)
    answer = pd.Series(np.tile(list("ab"), 100))
    with pytest.raises(ModelError, match="NO_TEST"):
        rao_scott(design, answer, columns=by["village"])
    with pytest.raises(ModelError, match="NO_TEST"):
        rao_scott(design, by["village"], columns=answer)


def test_one_person_has_no_interval():
    table = percents(equal(4), series(0, 1, 1, 0), by=pd.DataFrame({"age": list("aabc")}))
    assert table["df"].tolist() == [1, 0, 0]
    assert table["lower"].isna().tolist() == [False, True, True]


def test_what_calibration_fixes_has_no_error_and_no_interval():
    people = pd.DataFrame({"sex": list("1" * 30 + "2" * 20), "region": list("NS" * 25)})
    adults = pd.DataFrame({"sex": ["1", "2"], "population": [50, 50]})  # 50 people are enough
    plan = Weighting(label="", method="post_stratification", cells=["sex"])
    design = weigh_respondents(people, adults, settings=plan)
    men = (people["sex"] == "1").astype(float).rename("1")
    age = men.map({1.0: 30.0, 0.0: 50.0}).rename("age")
    for table, value in (
        (percents(design, men), 50),
        (means(design, age), 40),  # half of 30 and half of 50
        (totals(design, men), 50),
        (quantiles(design, age), 30),  # exactly half is 30
    ):
        found = one(table)
        assert found["estimate"] == pytest.approx(value)
        assert found["std_error"] == 0
        assert found[["lower", "upper"]].isna().all()
        assert found["reason"] == "人口に合わせた値"
    gap = differences(design, men, by=people["sex"].to_frame())
    assert (gap["reason"] == "").all()  # all against none: a beta interval stands in
    # Not fixed: the same share among those of a region, and answers that all are the same
    assert (percents(design, men, by=people[["region"]])["lower"].notna()).all()
    same = one(means(design, (men * 0 + 7).rename("all")))
    assert (same["lower"], same["reason"]) == (pytest.approx(7), "")
    every = percents(design, pd.DataFrame({"all": men * 0 + 1, "none": men * 0}))
    assert every["lower"].notna().all()  # 100 and 0 % have beta intervals


def test_an_error_of_nought_among_few_is_not_said_to_be_calibrated():
    # Everybody alone in a cell: calibration takes out all there is
    people = pd.DataFrame({"cell": [f"{i:02d}" for i in range(49)]})
    adults = people.assign(population=10)
    plan = Weighting(label="", method="post_stratification", cells=["cell"])
    design = weigh_respondents(people, adults, settings=plan)
    y = pd.Series([1.0] * 20 + [0.0] * 29, name="y")
    assert one(means(design, y))[["lower", "upper"]].isna().all()
    assert one(means(design, y))["reason"] == UNITS
    share = one(percents(design, y))  # n_eff at most n: the beta interval of 20 in 49
    assert share["lower"] == pytest.approx(100 * stats.beta.ppf(0.025, 20, 30))
    assert share["upper"] == pytest.approx(100 * stats.beta.ppf(0.975, 21, 29))
    assert share["reason"] == ""


def test_sensitivity_shows_one_figure_under_every_weighting():
    cells = pd.MultiIndex.from_product([list("NS"), list("ab"), list("12")])
    adults = cells.to_frame(index=False, name=["region", "age", "sex"])
    adults["population"] = [10, 20, 30, 40, 10, 20, 30, 40]
    census = adults.assign(population=100)
    people = pd.concat([adults, adults.iloc[:2]], ignore_index=True)[["region", "age", "sex"]]
    plan = Weighting(label="", method="post_stratification", cells=["region", "age", "sex"])
    designs = alternative_designs(people, adults, settings=plan, other_targets={"census": census})
    y = (people["sex"] == "2").astype(float).rename("2").to_frame()
    table = sensitivity(designs, y).set_index("weighting")["estimate"]
    own = "post_stratification: region x age x sex"
    assert list(table.index) == [
        "unweighted",
        "post_stratification: region x age",
        "raking: region x age + sex",
        f"{own} (census)",
        own,
    ]
    assert table["unweighted"] == pytest.approx(50)  # 5 of 10
    assert table["post_stratification: region x age"] == pytest.approx(50)  # half of every cell
    assert table["raking: region x age + sex"] == pytest.approx(60)  # 120 of 200
    assert table[own] == pytest.approx(60)
    assert table[f"{own} (census)"] == pytest.approx(50)
    given = Weighting(label="", method="given", base_weight="d")
    assert list(alternative_designs(people.assign(d=2.0), None, settings=given)) == [
        "unweighted",
        "given: d",
    ]


def test_each_column_keeps_its_own_base():
    table = percents(equal(4), pd.DataFrame({"a": [1, 0, np.nan, np.nan], "b": [1, 0, 0, 0]}))
    assert one(table, item_value="a")[["estimate", "n_unweighted"]].tolist() == [50, 2]
    assert one(table, item_value="b")[["estimate", "n_unweighted"]].tolist() == [25, 4]
    assert table["item_value"].tolist() == ["a", "b"]
    y = pd.DataFrame({"b": [1, 0, np.nan, 1], "a": [1, 0, 0, 1.0]})
    table = percents(equal(4), y, by=pd.DataFrame({"x": list("ddcc")}))
    assert table["domain_value"].tolist() == list("ccdd")
    assert table["item_value"].tolist() == list("baba")


def test_tables_taken_in_pieces_are_the_same(monkeypatch):
    rng = np.random.default_rng(2)
    y = pd.DataFrame(rng.integers(0, 2, (90, 2)).astype(float), columns=["a", "b"])
    by = pd.DataFrame({"x": np.resize(list("abc"), 90)})
    whole = [function(equal(90), y, by=by) for function in (percents, differences)]
    monkeypatch.setattr(domains, "CHUNK_VALUES", 1)
    for function, expected in zip((percents, differences), whole, strict=True):
        pd.testing.assert_frame_equal(function(equal(90), y, by=by), expected)


def test_domains_are_named_nested_and_ordered():
    by = pd.DataFrame({"age": ["20s", "20s", "30s", None, "30s"], "sex": list("12211")})
    table = percents(equal(5), series(1, 0, 1, 1, 1), by=by)
    assert table["domain"].unique().tolist() == ["age x sex"]
    assert table["domain_value"].tolist() == ["20s x 1", "20s x 2", "30s x 1", "30s x 2"]
    assert table["n_unweighted"].sum() == 4  # the row without an age is in no domain
    ordered = by.assign(age=pd.Categorical(by["age"], ["30s", "20s"]))
    first = percents(equal(5), series(1, 0, 1, 1, 1), by=ordered)["domain_value"].iloc[0]
    assert first == "30s x 1"


def test_a_domain_nobody_of_which_was_asked_has_no_row():
    by = pd.DataFrame({"job": list("aabbcc")})
    for function in (percents, means):
        table = function(equal(6), series(np.nan, np.nan, 1, 0, 1, 1), by=by)
        assert table["domain_value"].tolist() == ["b", "c"]
        assert table["estimate"].tolist() in ([50, 100], [0.5, 1])


# --- means, totals, quantiles ---------------------------------------------------------------------


def test_a_mean_by_hand():
    # 1 2 3 4, mean 2.5, s^2 = 5/3: SE = sqrt(5/3/4)
    found = one(means(equal(4, 7.0), series(1, 2, 3, 4)))
    assert found["estimate"] == 2.5
    assert found["std_error"] == pytest.approx(np.sqrt(5 / 12))
    reach = stats.t.ppf(0.975, 3) * np.sqrt(5 / 12)
    assert [found["lower"], found["upper"]] == pytest.approx([2.5 - reach, 2.5 + reach])


def test_a_constant_mean_is_sure_of_itself():
    found = one(means(equal(5), series(*[4.1] * 5)))
    assert found[["std_error"]].tolist() == [0]
    assert [found["lower"], found["upper"]] == pytest.approx([4.1, 4.1])


def test_a_total_by_hand_does_not_fall_below_nought():
    # weights 10, y = 1 0 0 0: total 10; z = 10 0 0 0: V = 4/3 * (100 - 100/4) = 100
    found = one(totals(equal(4, 10.0), series(1, 0, 0, 0)))
    assert (found["estimate"], found["std_error"]) == (10, pytest.approx(10))
    assert found["lower"] == 0
    assert found["unit"] == "persons"
    assert one(totals(equal(4, 10.0), series(-1, 2, 0, 0)))["lower"] < 0  # what can be negative may


def test_one_person_domains_of_a_mean_are_left_out_and_listed():
    by = pd.DataFrame({"age": ["a", "a", "b"]})
    table = means(equal(3), series(1, 3, 9), by=by)
    assert table["domain_value"].tolist() == ["a"]
    assert table.attrs["left_out"] == [
        {"domain": "age", "domain_value": "b", "item_value": "y", "reason": "ONE_PERSON_DOMAIN"}
    ]
    assert quantiles(equal(3), series(1, 3, 9), by=by)["domain_value"].tolist() == ["a"]
    with pytest.raises(ModelError, match="ONE_PERSON_DOMAIN"):
        means(equal(3), series(1, 3, 9), by=pd.DataFrame({"age": list("abc")}))


def test_the_median_is_where_the_weights_reach_half():
    # weights 1 1 2: cumulated 1 2 4 of 4; half is reached at the second
    design = Design(weights=np.array([1.0, 1, 2]))
    assert one(quantiles(design, series(10, 20, 30)))["estimate"] == 20
    found = one(quantiles(design, series(10, 20, 30), probabilities=(0.51,)))
    assert (found["measure"], found["estimate"]) == ("quantile_51", 30)
    assert one(quantiles(design, series(-9, -5, 3)))["estimate"] == -5
    assert one(quantiles(design, series(5, 5, 5)))[["lower", "upper"]].tolist() == [5, 5]
    with pytest.raises(ConfigError, match="PROBABILITY"):
        quantiles(design, series(1, 2, 3), probabilities=(1.0,))


def test_the_largest_value_has_an_interval_whatever_the_weights():
    # Everybody lies at or below it: the beta interval of all, never a share of almost 1
    rng = np.random.default_rng(4)
    by = pd.DataFrame({"x": np.repeat(list("abc"), 40)})
    y = pd.Series(np.tile(np.arange(40.0), 3), name="y")
    for _ in range(20):
        design = Design(weights=rng.uniform(0.1, 9, 120))
        table = quantiles(design, y, by=by, probabilities=(1 - 1e-9,))
        assert table["estimate"].eq(39).all()
        assert table["lower"].lt(39).all()


# --- differences ----------------------------------------------------------------------------------


def test_a_difference_of_two_halves_by_hand():
    # 60 of 100 against 40 of 100: both V = 0.24/100, n/(n-1) = 200/199
    y = series(*[1] * 60, *[0] * 40, *[1] * 40, *[0] * 60)
    by = pd.DataFrame({"region": ["N"] * 100 + ["S"] * 100})
    table = differences(equal(200), y, by=by)
    north = one(table, domain_value="N")
    error = np.sqrt(200 / 199 * 2 * 0.24 / 100)
    assert north["estimate"] == pytest.approx(20)
    assert north["std_error"] == pytest.approx(100 * error)
    assert north["p_value"] == pytest.approx(2 * stats.t.sf(0.2 / error, 198 + 1))
    assert one(table, domain_value="S")["estimate"] == pytest.approx(-20)


def test_a_domain_against_the_rest_is_the_two_groups():
    # Nobody in c and d, so that for a and b the rest or the domain stands at 0
    rng = np.random.default_rng(3)
    by = pd.DataFrame({"age": np.repeat(list("abcd"), [40, 30, 20, 10])})
    design = Design(weights=rng.uniform(0.2, 4, 100), strata=np.tile([0, 1], 50))
    numbers = ["estimate", "std_error", "lower", "upper", "df", "p_value", "n_cell"]
    few = pd.Series((rng.random(100) < 0.4) & by["age"].isin(["a", "b"]), name="y").astype(float)
    fewer = few.where(by["age"] == "a", 0)
    for y in (few, fewer, 1 - few, 1 - fewer):  # and everybody there
        table = differences(design, y, by=by).set_index("domain_value")
        for domain in "abcd":
            sides = by["age"].where(by["age"] == domain, "rest").to_frame()
            two = one(differences(design, y, by=sides), domain_value=domain)
            assert table.loc[domain, numbers].tolist() == pytest.approx(two[numbers].tolist())


def test_a_difference_ends_at_100_points():
    y = series(*[1] * 6, *[0] * 6)
    table = differences(equal(12), y, by=pd.DataFrame({"x": list("a" * 6 + "b" * 6)}))
    assert table[["estimate", "upper"]].iloc[0].tolist() == [100, 100]
    assert table[["estimate", "lower"]].iloc[1].tolist() == [-100, -100]


def test_nobody_in_a_small_group_is_no_proof():
    # 0 of 12 against 20 % of 400: the plain variance of the small side is nought
    y = series(*[0] * 12, *[1] * 80, *[0] * 320)
    by = pd.DataFrame({"age": ["a"] * 12 + ["b"] * 400})
    found = one(differences(equal(412), y, by=by), domain_value="a")
    assert found["estimate"] == pytest.approx(-20)
    assert found["p_value"] > 0.05
    assert found["upper"] > 0
    # The 400 give 412/411 * 0.16/400; the 12 the length of their interval over t
    length = (1 - 0.025 ** (1 / 12)) / stats.t.ppf(0.975, 411)
    error = np.sqrt(412 / 411 * 0.16 / 400 + length**2)
    assert found["std_error"] == pytest.approx(100 * error)


# --- test, design effect, reliability -------------------------------------------------------------


def test_rao_scott_is_pearson_under_simple_sampling():
    # 2 x 2 with 30 10 / 20 40: X2 = 100 * (30*40 - 10*20)^2 / (40*60*50*50) = 16.667;
    # under equal weights F is X2 * (n-1)/n
    rows = pd.Series(["a"] * 40 + ["b"] * 60)
    columns = pd.Series(["x"] * 30 + ["y"] * 10 + ["x"] * 20 + ["y"] * 40)
    found = one(rao_scott(equal(100), rows, columns=columns))
    assert found["estimate"] == pytest.approx(100 / 6 * 99 / 100)
    assert found["df_numerator"] == pytest.approx(1)
    assert found["df"] == pytest.approx(99)


def test_rao_scott_needs_two_answers_to_either_question():
    with pytest.raises(ModelError, match="ONE_CATEGORY"):
        rao_scott(equal(3), pd.Series(list("aaa")), columns=pd.Series(list("xyx")))


def test_alpha_by_hand():
    # Items 1 2 3 and 1 3 2: variances 2/3 each, sum 2 5 5 varies 2: 2 * (1 - (4/3)/2) = 2/3
    items = pd.DataFrame({"a": [1, 2, 3, np.nan], "b": [1, 3, 2, 1]})
    table = cronbach_alpha(equal(4), items)
    assert table["estimate"].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert table["n_unweighted"].tolist() == [3, 3]
    assert table["item_value"].tolist() == ["weighted", "unweighted"]
    table = cronbach_alpha(Design(weights=np.array([3.0, 1, 1, 9])), items)
    assert table["n_effective"].tolist() == pytest.approx([25 / 11, 3])


@pytest.mark.parametrize(
    ("items", "code"),
    [
        (pd.DataFrame({"a": [1.0, 2]}), "ONE_ITEM"),
        (pd.DataFrame({"a": [1.0, 1], "b": [2.0, 2]}), "CONSTANT"),
        (pd.DataFrame({"a": [np.nan, 1], "b": [2, np.nan]}), "NO_ANSWERS"),
    ],
)
def test_alpha_refuses(items, code):
    with pytest.raises(ModelError, match=code):
        cronbach_alpha(equal(2), items)


@pytest.mark.parametrize("function", [percents, means, totals, quantiles])
def test_all_answers_missing_is_a_named_error(function):
    with pytest.raises(ModelError, match="NO_ANSWERS"):
        function(equal(3), series(np.nan, np.nan, np.nan))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: percents(equal(3), series(0, 1, 2)), "NOT_AN_INDICATOR"),
        (lambda: percents(equal(3), pd.DataFrame(index=range(3))), "NO_COLUMNS"),
        (lambda: percents(equal(3), series(0, 1)), "ROWS_DIFFER"),
        (lambda: means(equal(3), series(0, np.inf, -np.inf)), "NOT_FINITE.* 2 values of y"),
        (lambda: percents(equal(2), series(0, 1), by=pd.DataFrame({"a": ["x"]})), "ROWS_DIFFER"),
        (
            lambda: percents(equal(2), series(0, 1), by=pd.DataFrame({"a": [None, None]})),
            "NO_DOMAIN",
        ),
        (
            lambda: differences(equal(2), series(0, 1), by=pd.DataFrame({"a": list("xx")})),
            "ONE_DOMAIN",
        ),
    ],
)
def test_mistakes_are_named(call, code):
    with pytest.raises(ModelError, match=code):
        call()


# --- replicates -----------------------------------------------------------------------------------


def quota_design(n: int, *, seed: int, method: str = "post_stratification"):
    """A quota sample of two regions, four ages and two sexes, weighted to a population."""
    rng = np.random.default_rng(seed)
    cells = pd.MultiIndex.from_product([list("12"), list("abcd"), list("12")])
    adults = cells.to_frame(index=False, name=["region", "age", "sex"])
    adults["population"] = rng.integers(10_000, 60_000, len(adults))
    share = adults["population"] / adults["population"].sum()
    people = adults.loc[rng.choice(len(adults), n, p=share), ["region", "age", "sex"]]
    people = people.reset_index(drop=True)
    raking = {"cells": ["region", "age"], "margins": [Margin(by=["sex"], targets="")]}
    cells = raking if method == "raking" else {"cells": ["region", "age", "sex"]}
    plan = Weighting(label="", method=method, strata=["region", "age"], **cells)
    return people, weigh_respondents(people, adults, settings=plan)


@pytest.mark.parametrize("method", ["post_stratification", "raking"])
def test_bootstrap_is_within_8_percent_of_linearisation(method):
    people, design = quota_design(800, seed=3, method=method)
    rng = np.random.default_rng(4)
    chance = 0.05 + 0.1 * (people["age"] == "a") + 0.05 * (people["sex"] == "1")
    y = pd.DataFrame({"y": (rng.random(800) < chance).astype(float), "z": rng.gamma(2, 3, 800)})
    inside = (people["region"] == "1").to_numpy()
    values = np.column_stack([y, y["y"] * inside])

    def statistic(weights):
        total = weights @ values
        return np.array([*total[:2] / weights.sum(), total[2] / (weights @ inside)])

    replicates = bootstrap_replicates(design, n_replicates=1_000, rng=rng)
    boot = replicates.covariance(replicate_estimates(design, statistic, replicates=replicates))
    linear = [
        one(percents(design, y["y"]))["std_error"] / 100,
        one(means(design, y["z"]))["std_error"],
        one(percents(design, y["y"], by=people[["region"]]), domain_value="1")["std_error"] / 100,
    ]
    assert np.sqrt(np.diag(boot)) == pytest.approx(linear, rel=0.08)


@pytest.mark.parametrize("method", ["post_stratification", "raking"])
def test_bootstrap_agrees_where_the_sample_tells_the_share_of_a_category(method):
    """Every replicate is weighted anew, its own shares of the third sex included."""
    rng = np.random.default_rng(11)
    cells = pd.MultiIndex.from_product([list("12"), list("abcd"), list("12")])
    adults = cells.to_frame(index=False, name=["region", "age", "sex"])
    adults["population"] = rng.integers(10_000, 60_000, len(adults))
    people = adults.loc[rng.choice(16, 900), ["region", "age", "sex"]].reset_index(drop=True)
    people.loc[rng.random(900) < 0.15, "sex"] = "3"
    raking = {"cells": ["region", "age"], "margins": [Margin(by=["sex"], targets="")]}
    cells = raking if method == "raking" else {"cells": ["region", "age", "sex"]}
    plan = Weighting(
        label="", method=method, strata=["region", "age"], sample_share={"sex": ["3"]}, **cells
    )
    design = weigh_respondents(people, adults, settings=plan)
    third = (people["sex"] == "3").astype(float)
    lonely = (rng.random(900) < 0.1 + 0.6 * third).astype(float)
    values = pd.DataFrame(
        {"third": third, "men": (people["sex"] == "1").astype(float), "y": lonely}
    )
    replicates = bootstrap_replicates(design, n_replicates=1_000, rng=rng)
    boot = replicates.covariance(replicate_means(design, values, replicates=replicates))
    linear = percents(design, values)["std_error"] / 100
    assert np.sqrt(np.diag(boot)) == pytest.approx(linear, rel=0.08)
    # Taken as known, the third sex would have none, and y too little
    known = percents(replace(design, parts=()), values)["std_error"] / 100
    assert known[0] == 0
    assert known[2] < 0.9 * linear[2]


def test_replicate_means_are_those_of_one_replicate_after_the_other():
    _, design = quota_design(300, seed=9, method="raking")
    rng = np.random.default_rng(2)
    values = pd.DataFrame(rng.normal(size=(300, 2)), columns=list("ab"))
    values.loc[:40, "b"] = np.nan
    values["c"] = values["a"].where(values.index == 0)  # of whom many replicates hold nothing
    replicates = bootstrap_replicates(design, n_replicates=60, rng=rng)
    found = replicate_means(design, values, replicates=replicates)
    filled, base = values.fillna(0).to_numpy(), values.notna().to_numpy()
    with np.errstate(invalid="ignore"):
        slow = replicate_estimates(
            design, lambda w: (w @ filled) / (w @ base), replicates=replicates
        )
    assert np.isnan(slow[:, 2]).any()
    assert found[:, :2] == pytest.approx(slow[:, :2], rel=1e-12)
    assert found[:, 2] == pytest.approx(values.loc[0, "a"])


def test_bootstrap_factors_average_one_and_keep_certainty():
    design = Design(
        weights=np.ones(7),
        strata=np.array([0, 0, 0, 0, 1, 1, 1]),
        fpc=np.array([8.0] * 4 + [3.0] * 3),
    )
    replicates = bootstrap_replicates(design, n_replicates=4_000, rng=np.random.default_rng(1))
    factors = np.array([replicates.factors(r) for r in range(4_000)])
    assert (factors[:, 4:] == 1).all()  # all 3 of 3 were taken
    assert replicates.scale == 1 / 3_999
    # Stratum sums: 4 * (1 - s) + s * 4/3 * 3 draws = 4 with s the root of a half
    assert factors[:, :4].sum(axis=1) == pytest.approx(np.full(4_000, 4.0))
    assert factors[:, :4].mean(axis=0) == pytest.approx(np.ones(4), abs=0.05)
    with pytest.raises(ConfigError, match="REPLICATES"):
        bootstrap_replicates(design, n_replicates=1, rng=np.random.default_rng(1))


def test_jackknife_of_a_mean_is_exact():
    # Without strata the jackknife variance of a mean is s^2/n
    y = np.array([1.0, 2, 4, 9])
    replicates = jackknife_replicates(equal(4))
    found = replicate_estimates(equal(4), lambda w: w @ y / w.sum(), replicates=replicates)
    assert replicates.covariance(found)[0, 0] == pytest.approx(y.var(ddof=1) / 4)
    lone = equal(5, strata=np.array([0, 0, 0, 0, 1]), lonely_psu="adjust")
    assert jackknife_replicates(lone).dropped.tolist() == [0, 1, 2, 3]
    certain = equal(5, strata=np.array([0, 0, 0, 1, 1]), fpc=np.array([9, 9, 9, 2, 2]))
    assert jackknife_replicates(certain).dropped.tolist() == [0, 1, 2]


def test_bootstrap_of_two_units_draws_one():
    design = equal(4, strata=np.array([0, 0, 1, 1]))
    replicates = bootstrap_replicates(design, n_replicates=50, rng=np.random.default_rng(3))
    factors = np.array([replicates.factors(r) for r in range(50)])
    assert set(factors.ravel()) == {0, 2}  # n/(n-1) for the one that was drawn
    assert (factors[:, :2].sum(axis=1) == 2).all()


# --- what must always hold ------------------------------------------------------------------------

few = examples(max_examples=30)
SIZES, SEEDS = st.integers(60, 200), st.integers(0, 2**32 - 1)
METHODS = st.sampled_from(["post_stratification", "raking"])


def random_design(n, seed, method):
    rng = np.random.default_rng(seed)
    cells = pd.MultiIndex.from_product([list("12"), list("abcd"), list("12")])
    adults = cells.to_frame(index=False, name=["region", "age", "sex"])
    picked = np.concatenate([np.arange(16), rng.integers(0, 16, n - 16)])
    people = adults.iloc[rng.permutation(picked)].reset_index(drop=True)
    adults["population"] = rng.integers(10_000, 60_000, 16)
    raking = {"cells": ["region", "age"], "margins": [Margin(by=["sex"], targets="")]}
    cells = raking if method == "raking" else {"cells": ["region", "age", "sex"]}
    plan = Weighting(label="", method=method, strata=["region", "age"], **cells)
    return people, weigh_respondents(people, adults, settings=plan)


@few
@given(n=SIZES, seed=SEEDS, method=METHODS)
def test_a_domain_of_everything_equals_the_total(n, seed, method):
    people, design = random_design(n, seed, method)
    y = pd.Series(np.random.default_rng(seed).integers(0, 2, n), name="y").astype(float)
    everything = pd.DataFrame({"all": ["all"] * n})
    numbers = ["estimate", "std_error", "lower", "upper", "df", "n_unweighted", "n_effective"]
    for function in (percents, means, totals):
        whole, domain = one(function(design, y)), one(function(design, y, by=everything))
        assert domain[numbers].tolist() == pytest.approx(whole[numbers].tolist(), rel=1e-12)


@few
@given(n=SIZES, seed=SEEDS, method=METHODS)
def test_order_of_rows_does_not_matter_and_no_figure_is_missing(n, seed, method):
    people, design = random_design(n, seed, method)
    rng = np.random.default_rng(seed)
    y = pd.DataFrame(rng.integers(0, 2, (n, 3)).astype(float), columns=list("abc"))
    y[rng.random((n, 3)) < 0.1] = np.nan
    by = people[["region", "age"]]
    order = rng.permutation(n)
    moved = Design(
        weights=design.weights[order],
        base_weights=design.base_weights[order],
        margins=tuple(codes[order] for codes in design.margins),
        strata=design.strata[order],
        scheme=design.scheme,
    )
    table = percents(design, y, by=by)
    other = percents(moved, y.iloc[order], by=by.iloc[order])
    pd.testing.assert_frame_equal(table, other, rtol=1e-7, atol=1e-9)
    assert (table["lower"].isna() == (table["reason"] != "")).all()
    assert not table.drop(columns=NOTHING).isna().any(axis=None)
    table = table[table["reason"] == ""]
    assert table["lower"].between(0, table["estimate"] + 1e-9).all()
    assert table["upper"].between(table["estimate"] - 1e-9, 100).all()


@few
@given(n=SIZES, seed=SEEDS, method=METHODS)
def test_parts_add_up_to_the_whole(n, seed, method):
    people, design = random_design(n, seed, method)
    y = pd.Series(np.random.default_rng(seed).integers(0, 2, n), name="y").astype(float)
    by_age = percents(design, y, by=people[["age"]])
    persons = pd.Series(design.weights).groupby(people["age"]).sum()
    whole = one(percents(design, y))["estimate"]
    assert (by_age["estimate"] * persons.to_numpy()).sum() / persons.sum() == pytest.approx(whole)
    assert by_age["n_cell"].sum() == y.sum()


@pytest.mark.slow
def test_the_interval_covers_the_truth_in_94_to_96_of_100_samples():
    """10,000 quota samples: 100 draws of sex within quotas, 100 draws of answers in each."""
    rng = np.random.default_rng(2022)
    regions, ages, sexes = np.indices((3, 7, 2)).reshape(3, -1)
    persons = rng.integers(8_000, 40_000, 42).astype(float)
    truth = 0.03 + 0.012 * (6 - ages) + 0.03 * sexes + 0.02 * (regions == 1)
    adults = pd.DataFrame({"region": regions, "age": ages, "sex": sexes, "population": persons})
    adults = adults.astype({"region": str, "age": str, "sex": str})
    quota = np.maximum(np.bincount(regions * 7 + ages, persons) / persons.sum() * 1_500, 10).round()
    quota = np.repeat(np.arange(21), quota.astype(int))
    men = persons[1::2] / (persons[0::2] + persons[1::2])
    plan = Weighting(
        label="",
        method="post_stratification",
        cells=["region", "age", "sex"],
        strata=["region", "age"],
    )
    expected = [truth @ persons / persons.sum()]
    expected += [
        truth[regions == r] @ persons[regions == r] / persons[regions == r].sum() for r in range(3)
    ]
    hits, samples = np.zeros(4), 0
    for _ in range(100):
        cell = quota * 2 + (rng.random(len(quota)) < men[quota])
        people = adults.loc[cell, ["region", "age", "sex"]].reset_index(drop=True)
        design = weigh_respondents(people, adults, settings=plan)
        answers = pd.DataFrame((rng.random((len(cell), 100)) < truth[cell][:, None]).astype(float))
        rows = pd.concat(
            [percents(design, answers), percents(design, answers, by=people[["region"]])]
        )
        ends = rows[["lower", "upper"]].to_numpy().reshape(4, 100, 2) / 100
        target = np.array(expected)[:, None]
        hits += ((ends[..., 0] <= target) & (target <= ends[..., 1])).sum(axis=1)
        samples += 100
    assert samples == 10_000
    assert ((hits / samples >= 0.94) & (hits / samples <= 0.96)).all(), hits / samples
