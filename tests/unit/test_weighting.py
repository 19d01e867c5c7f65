"""Weights and design: worked by hand, what must always hold, and every documented error."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from tsunagari.errors import ConfigError, InputError, ModelError
from tsunagari.statistics.calibration import calibrate, rake, rake_and_trim
from tsunagari.statistics.designs import Design, joint_codes, pack, unpack
from tsunagari.statistics.weighting import (
    collapse_lone_strata,
    diagnose_weights,
    kish_design_effect,
    margins_before_after,
    tabulate_weights,
    weigh_respondents,
)
from tsunagari.study.files import read_table, write_table
from tsunagari.study.settings import Collapse, Margin, Weighting


def plan(**keys) -> Weighting:
    given = {"method": "post_stratification", "label": "", "cells": ["region"]} | keys
    return Weighting(**given)


def table(text: str, **columns: str) -> pd.DataFrame:
    """One row a word: table("N 1|N 2", region=..) is spelt with a header row."""
    header, *rows = text.split("|")
    frame = pd.DataFrame([row.split() for row in rows], columns=header.split())
    if "population" in frame:
        frame["population"] = frame["population"].astype(float)
    return frame.assign(**columns)


PEOPLE = table("region sex|N 1|N 1|N 2|S 1|S 2")
ADULTS = table("region sex population|N 1 60|N 2 40|S 1 30|S 2 50")


# --- post-stratification --------------------------------------------------------------------------


def test_post_stratification_shares_each_cell_evenly():
    design = weigh_respondents(PEOPLE, ADULTS, settings=plan(cells=["region", "sex"]))
    assert design.weights.tolist() == [30, 30, 40, 30, 50]  # 60/2, 60/2, 40, 30, 50
    assert design.base_weights.tolist() == [1] * 5
    assert design.scheme == "post_stratification: region x sex"
    saved = tabulate_weights(PEOPLE.assign(respondent_id=list("abcde")), design)
    assert saved.iloc[1].to_dict() == {"respondent_id": "b", "base_weight": 1, "weight": 30}


def test_cells_sum_over_the_variables_they_do_not_name():
    design = weigh_respondents(PEOPLE, ADULTS, settings=plan())
    assert design.weights == pytest.approx([100 / 3] * 3 + [40, 40])


def test_base_weights_keep_their_proportions_within_a_cell():
    people = PEOPLE.assign(d=["1", "3", "1", "1", "1"])
    settings = plan(cells=["region", "sex"], base_weight="d")
    design = weigh_respondents(people, ADULTS, settings=settings)
    assert design.weights.tolist() == [15, 45, 40, 30, 50]  # 60 in the ratio 1 to 3


def test_given_weights_are_left_alone():
    people = PEOPLE.assign(w=[1.5, 2.0, 0.5, 1.0, 3.0])
    design = weigh_respondents(people, None, settings=plan(method="given", base_weight="w"))
    assert design.weights.tolist() == design.base_weights.tolist() == [1.5, 2.0, 0.5, 1.0, 3.0]
    assert design.margins == ()
    assert margins_before_after(design).nlargest(12, "variance_share").empty
    assert tabulate_weights(people.assign(respondent_id=list("abcde")), design).to_numpy().tolist()[
        0
    ] == ["a", 1.5, 1.5]


def test_a_category_unknown_to_the_population_keeps_its_share_of_the_sample():
    people = table("region sex|N 1|N 1|N 2|N 3|S 1|S 2")
    settings = plan(cells=["region", "sex"], sample_share={"sex": ["3", "no_answer"]})
    design = weigh_respondents(people, ADULTS, settings=settings)
    # N: sex 3 is 1 of 4, so 25 of 100 persons; 75 left: 45 for two men, 30 for the woman
    assert design.weights == pytest.approx([22.5, 22.5, 30, 25, 30, 50])
    listed = pd.concat([ADULTS, table("region sex population|N 3 7")])  # not taken as known
    again = weigh_respondents(people, listed, settings=settings)
    assert again.weights.tolist() == design.weights.tolist()


def test_sample_share_follows_base_weights():
    people = table("region sex d|N 1 1|N 2 1|N 3 2|S 1 1|S 2 1")
    settings = plan(cells=["region", "sex"], sample_share={"sex": ["3"]}, base_weight="d")
    design = weigh_respondents(people, ADULTS, settings=settings)
    assert design.weights == pytest.approx([30, 20, 50, 30, 50])  # 2 of 4, then half of 60 and 40


def test_a_share_that_the_sample_tells_keeps_its_variance():
    people = table("region sex|N 1|N 1|N 2|N 3|S 1|S 2")
    settings = plan(cells=["region", "sex"], sample_share={"sex": ["3"]})
    design = weigh_respondents(people, ADULTS, settings=settings)
    # The third sex is 1 of 4 in N, each counting for 100/4 persons: z = 25 times (1 - 1/4) for
    # that person and 25 times (0 - 1/4) for the others
    third = (people["sex"] == "3").to_numpy(float)
    assert design.weights * design.residuals(third) == pytest.approx([-6.25] * 3 + [18.75, 0, 0])
    # Men: y is fixed within the cell, but the known sexes are 3 of 4, 3 of 5 of them men. Their
    # mean is 0.6 and the group's 0.45: 25 * (0.6 - 0.45), and 25 * (0 - 0.45) for the third sex
    men = (people["sex"] == "1").to_numpy(float)
    both = design.residuals(np.column_stack([third, men]))
    assert design.weights * both[:, 1] == pytest.approx([3.75] * 3 + [-11.25, 0, 0])
    assert both[:, 0] == pytest.approx(design.residuals(third))
    # What the population knows stays without error: the region
    assert design.residuals((people["region"] == "N").to_numpy(float)) == pytest.approx([0] * 6)


@pytest.mark.parametrize("method", ["post_stratification", "raking"])
def test_other_base_weights_tell_the_shares_again(method):
    people = table("region sex|N 1|N 1|N 2|N 3|S 1|S 2|S 3|S 3")
    cells = {"cells": ["region"], "margins": [Margin(by=["sex"], targets="")]}
    cells = cells if method == "raking" else {"cells": ["region", "sex"]}
    settings = plan(method=method, sample_share={"sex": ["3"]}, base_weight="d", **cells)
    design = weigh_respondents(people.assign(d=1), ADULTS, settings=settings)
    again = people.assign(d=[2, 1, 1, 3, 1, 2, 1, 1])
    expected = weigh_respondents(again, ADULTS, settings=settings).weights
    assert calibrate(again["d"].to_numpy(float), design) == pytest.approx(expected, rel=1e-9)
    assert calibrate(design.weights, design) == pytest.approx(design.weights, rel=1e-9)
    # A lost category gives its share to the known
    gone = np.array([1.0, 1, 1, 0, 1, 1, 0, 0])
    assert calibrate(gone, design).sum() == pytest.approx(180, rel=1e-9)


@pytest.mark.parametrize("shares", [{}, {"sex": ["3"]}])
def test_the_population_of_a_lost_code_is_spread_over_the_others(shares):
    people = table("region sex job|N 1 a|N 1 b|N 2 a|N 2 b|S 1 a|S 1 b|S 2 a|S 2 b|S 3 b|N 3 a")
    adults = people.iloc[:8].assign(population=[40, 20, 15, 25, 20, 10, 15, 35])  # 180 in all
    people = people if shares else people.iloc[:8]
    settings = plan(
        method="raking",
        cells=["region", "sex"],
        margins=[Margin(by=["job"], targets="")],
        sample_share=shares,
    )
    design = weigh_respondents(people, adults, settings=settings)
    north = (people["region"] == "N").to_numpy(float)
    assert calibrate(north, design).sum() == pytest.approx(180, rel=1e-9)


def test_collapse_everywhere_and_only_where_it_says():
    people = table("region age|N 1|N 2|N 3|S 1|S 3")
    adults = table("region age population|N 1 10|N 2 20|N 3 30|S 1 10|S 2 20|S 3 30")
    rule = Collapse(variable="age", codes=["1", "2"], where={"region": ["S"]})
    design = weigh_respondents(
        people, adults, settings=plan(cells=["region", "age"], collapse=[rule])
    )
    assert design.weights.tolist() == [10, 20, 30, 30, 30]  # S: ages 1 and 2 together are 30
    # The rule says nothing of a table without the other variable
    by_age = weigh_respondents(people, adults, settings=plan(cells=["age"], collapse=[rule]))
    assert by_age.weights.tolist() == [10, 40, 30, 10, 30]
    rule = Collapse(variable="age", codes=["1", "2"])
    design = weigh_respondents(
        people, adults, settings=plan(cells=["region", "age"], collapse=[rule])
    )
    assert design.weights.tolist() == [15, 15, 30, 30, 30]


# --- raking and trimming --------------------------------------------------------------------------


def test_raking_two_by_two_by_hand():
    # One person a cell, rows 60 and 40, columns 50 and 50: half of each row
    codes = (np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    weights = rake(np.ones(4), codes, totals=(np.array([60.0, 40.0]), np.array([50.0, 50.0])))
    assert weights == pytest.approx([30, 30, 20, 20])


def test_raking_is_polished_beyond_its_tolerance():
    rng = np.random.default_rng(6)
    codes = tuple(rng.integers(0, n, 300) for n in (5, 4, 3))
    totals = tuple(rng.dirichlet([5] * n) * 1e6 for n in (5, 4, 3))
    weights = rake(rng.uniform(0.5, 2, 300), codes, totals=totals)
    for code, total in zip(codes, totals, strict=True):
        assert np.bincount(code, weights) == pytest.approx(total, rel=2e-14)


def test_slow_raking_goes_on_until_the_margins_are_met():
    # Hardly anybody off the diagonal: each round takes out a tenth of the gap
    codes = tuple(np.repeat(code, [200, 1, 1, 200]) for code in ([0, 0, 1, 1], [0, 1, 0, 1]))
    totals = (np.array([50.5, 49.5]), np.array([49.5, 50.5]))
    weights = rake(np.ones(402), codes, totals=totals)
    for code, total in zip(codes, totals, strict=True):
        assert np.bincount(code, weights) == pytest.approx(total, rel=2e-10)


def test_raking_takes_margins_from_one_table_or_one_each():
    settings = plan(method="raking", margins=[Margin(by=["sex"], targets="")])
    one = weigh_respondents(PEOPLE, ADULTS, settings=settings)
    regions = table("region population|N 100|S 80")
    sexes = table("sex population|1 90|2 90")
    each = weigh_respondents(PEOPLE, [regions, sexes], settings=settings)
    assert one.weights == pytest.approx(each.weights, rel=1e-12)
    assert one.scheme == "raking: region + sex"
    by_region = margins_before_after(weigh_respondents(PEOPLE, ADULTS, settings=plan()))
    assert by_region["design_weight_mean"].tolist() == pytest.approx([100 / 3, 40])
    # Three times (100/3)^2 and twice 40^2: 3333.3 and 3200
    assert by_region["variance_share"].tolist() == pytest.approx([100 / 196, 96 / 196])
    after = margins_before_after(one)
    assert after["after_persons"].tolist() == pytest.approx([100, 80, 90, 90], rel=1e-10)
    # Base weights of 1 brought to 180 persons: 3/5 and 2/5, for either margin
    assert after["before_persons"].tolist() == pytest.approx([108, 72, 108, 72])


def test_margins_within_a_thousandth_are_scaled_to_the_first():
    settings = plan(method="raking", margins=[Margin(by=["sex"], targets="")])
    regions = table("region population|N 100000|S 80000")
    sexes = table("sex population|1 90000|2 90100")
    design = weigh_respondents(PEOPLE, [regions, sexes], settings=settings)
    assert design.weights.sum() == pytest.approx(180_000, rel=1e-12)


def trimming_case(ratio: float | None):
    rng = np.random.default_rng(5)
    people = pd.DataFrame(
        {"region": rng.choice(list("NNNNS"), 200), "sex": rng.choice(list("12"), 200)}
    )
    people["d"] = rng.uniform(0.5, 3, 200)
    settings = plan(
        method="raking", margins=[Margin(by=["sex"], targets="")], base_weight="d", trim_ratio=ratio
    )
    return weigh_respondents(people, ADULTS, settings=settings)


def test_trimming_keeps_cap_and_margins():
    loose, tight = trimming_case(None), trimming_case(2.5)
    assert loose.weights.max() > 2.5 * loose.weights.mean()
    assert tight.weights.max() <= 2.5 * tight.weights.mean() * (1 + 1e-9)
    at_cap = (tight.weights > 2.5 * tight.weights.mean() * (1 - 1e-9)).sum()
    assert at_cap <= tight.n_trimmed < 200
    for codes, totals in zip(tight.margins, tight.totals, strict=True):
        assert np.bincount(codes, tight.weights) == pytest.approx(totals, rel=1e-10)


def test_a_weight_capped_in_an_early_round_counts_as_trimmed():
    # Calibration multiplies a cell by one factor: whoever has less of it than a mate was capped
    rng = np.random.default_rng(17)
    margins = (rng.integers(0, 3, 60), rng.integers(0, 2, 60))
    base = rng.uniform(0.5, 4, 60)
    totals = (rng.dirichlet([3] * 3) * 600, rng.dirichlet([3] * 2) * 600)
    weights, touched = rake_and_trim(base, margins, totals=totals, trim_ratio=2.5)
    factor = pd.Series(weights / base)
    most = factor.groupby(joint_codes(margins)[0]).transform("max")
    assert touched.tolist() == (factor < most * (1 - 1e-9)).tolist()
    assert touched.sum() == 3
    assert (weights[touched] < 2.5 * weights.mean() * (1 - 1e-6)).any()  # one is under it again


def test_a_cap_that_cannot_be_kept_is_an_error():
    with pytest.raises(ModelError, match="TRIM_NOT_CONVERGED"):
        trimming_case(1.2)


def test_a_cap_under_post_stratification_names_the_cells():
    people = table("region|N|N|N|N|N|S")
    adults = table("region population|N 100|S 100")
    with pytest.raises(ModelError, match=r"CAP_NEEDS_COLLAPSE.*region=S"):
        weigh_respondents(people, adults, settings=plan(trim_ratio=2.0))


@pytest.mark.parametrize("method", ["post_stratification", "raking"])
def test_a_weight_at_the_cap_stays(method):
    # Weights 10 10 10 30 of mean 15: the last is twice the mean
    people, adults = table("region sex|N 1|N 1|N 2|S 1"), table("region population|N 30|S 30")
    sexes = table("sex population|1 50|2 10")
    keys = {"method": method, "margins": [Margin(by=["sex"], targets="")]}
    targets = [adults, sexes] if method == "raking" else adults
    design = weigh_respondents(people, targets, settings=plan(trim_ratio=2.0, **keys))
    assert design.weights == pytest.approx([10, 10, 10, 30])
    assert design.n_trimmed == 0
    with pytest.raises(ModelError, match="CAP_NEEDS_COLLAPSE|TRIM_NOT_CONVERGED"):
        weigh_respondents(people, targets, settings=plan(trim_ratio=1.99, **keys))


def test_raking_that_cannot_meet_its_margins_is_an_error():
    # All of N are men and all of S women, but the margins do not agree with each other
    people = table("region sex|N 1|N 1|S 2")
    settings = plan(method="raking", margins=[Margin(by=["sex"], targets="")])
    targets = [table("region population|N 100|S 80"), table("sex population|1 90|2 90")]
    with pytest.raises(ModelError, match="RAKING_NOT_CONVERGED"):
        weigh_respondents(people, targets, settings=settings)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, -1, np.nan, np.inf, "x"])
def test_bad_base_weights_name_column_count_and_file_rows(bad):
    people = PEOPLE.assign(d=pd.Series([1, bad, 1, 1, 1], dtype=object), file_row=[2, 3, 5, 6, 7])
    with pytest.raises(ModelError, match=r"WEIGHT_NOT_POSITIVE.*d.*1.*file rows 3\)") as caught:
        weigh_respondents(people, ADULTS, settings=plan(base_weight="d"))
    assert caught.value.exit_code == 4


def test_a_population_cell_without_respondents_is_named_with_its_label():
    adults = pd.concat([ADULTS, table("region sex population|W 1 5")])
    labels = {"region": {"W": "西部"}}
    with pytest.raises(ModelError, match=r"CELL_WITHOUT_RESPONDENTS.*region=W \(西部\) x sex=1"):
        weigh_respondents(PEOPLE, adults, settings=plan(cells=["region", "sex"]), labels=labels)


@pytest.mark.parametrize("population", ["0", None])
def test_respondents_without_population_are_named(population):
    people = pd.concat([PEOPLE, table("region sex|W 1")], ignore_index=True)
    adults = ADULTS
    if population is not None:
        adults = pd.concat([ADULTS, table("region sex population|W 1 0")])
    with pytest.raises(ModelError, match=r"CELL_WITHOUT_POPULATION.*region=W x sex=1"):
        weigh_respondents(people, adults, settings=plan(cells=["region", "sex"]))


def test_a_group_of_unknown_categories_alone_is_an_empty_cell():
    people = table("region sex|N 1|N 2|S 3")
    settings = plan(cells=["region", "sex"], sample_share={"sex": ["3"]})
    with pytest.raises(ModelError, match="CELL_WITHOUT_RESPONDENTS.*region=S x sex=1"):
        weigh_respondents(people, ADULTS, settings=settings)


def test_many_cells_are_named_by_the_first_and_counted():
    adults = pd.DataFrame({"region": list("NSABCDEFGH"), "population": 9.0})
    with pytest.raises(ModelError, match=r"8 weighting cells have pop.*=A; .*=F; \+2; merge"):
        weigh_respondents(PEOPLE, adults, settings=plan())


def test_thin_cells_are_named_when_the_study_asks_for_more():
    with pytest.raises(ModelError, match=r"CELL_TOO_THIN.*region=S"):
        weigh_respondents(PEOPLE, ADULTS, settings=plan(minimum_cell_n=3))
    people = table("region sex|N 1|N 2|N 3|N 1|N 2")  # one of a third sex is nobody to merge
    settings = plan(cells=["sex"], sample_share={"sex": ["3"]}, minimum_cell_n=2)
    assert weigh_respondents(people, ADULTS, settings=settings).n == 5


def test_margins_that_do_not_sum_are_an_error():
    settings = plan(method="raking", margins=[Margin(by=["sex"], targets="")])
    targets = [table("region population|N 60|S 40"), table("sex population|1 50|2 50.11")]
    with pytest.raises(ConfigError, match="MARGIN_SUM.*sex.*100.11.*100: 0.11 % apart"):
        weigh_respondents(PEOPLE, targets, settings=settings)
    targets[1]["population"] = [50, 50.1]  # a thousandth is rounding
    assert weigh_respondents(PEOPLE, targets, settings=settings).weights.sum() == pytest.approx(100)


def test_respondents_without_a_cell_are_counted_with_their_rows():
    people = PEOPLE.assign(file_row=range(2, 7))
    people.loc[3, "region"] = pd.NA
    with pytest.raises(InputError, match=r"NO_CELL.*region.*1 .*rows 5"):
        weigh_respondents(people, ADULTS, settings=plan())


@pytest.mark.parametrize(
    ("settings", "targets", "error", "code"),
    [
        (plan(cells=["town"]), table("town population|x 1"), ConfigError, "WEIGHTING_COLUMN"),
        (plan(), table("sex population|1 1"), ConfigError, "TARGET_COLUMN"),
        (plan(), table("region population|N -1|S 3"), ConfigError, "TARGET_NOT_NUMBER.* 1 rows"),
        (plan(), table("region population|N inf|S 3"), ConfigError, "TARGET_NOT_NUMBER.* 1 rows"),
        (plan(), table("region population|N 0|S 0"), ConfigError, "TARGET_NOT_NUMBER.* 2 rows"),
        (plan(cells=[]), ADULTS, ConfigError, "WEIGHTING_CELLS"),
        (plan(), None, ConfigError, "WEIGHTING_TARGETS"),
        (plan(method="given"), None, ConfigError, "WEIGHTING_BASE"),
    ],
)
def test_mistakes_in_the_settings(settings, targets, error, code):
    with pytest.raises(error, match=code):
        weigh_respondents(PEOPLE, targets, settings=settings)


def test_nobody_to_weight():
    with pytest.raises(InputError, match="NO_RESPONDENTS"):
        weigh_respondents(PEOPLE.iloc[:0], ADULTS, settings=plan())


MARGIN = {"weights": np.ones(2), "margins": (np.array([0, 1]),)}


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"weights": np.ones(3), "strata": np.zeros(2)}, "DESIGN_LENGTH"),
        ({"weights": np.array([1.0, 0.0])}, "WEIGHT_NOT_POSITIVE"),
        ({"weights": np.ones(2), "lonely_psu": "guess"}, "LONELY_PSU_UNKNOWN"),
        ({"weights": np.array([1, np.inf])}, r"infinite.*\(rows 2\)"),
        ({"weights": np.ones(3), "strata": np.array([1, np.nan, np.nan])}, "strata.*rows 2, 3"),
        ({"weights": np.ones(2), "psu": np.array(["a", None])}, "DESIGN_VALUES.* 1 rows.*psu"),
        ({"weights": np.ones(2), "margins": (np.array([0, -1]),)}, "DESIGN_VALUES.*margins"),
        ({**MARGIN, "totals": (np.array([2.0, -1]),)}, "DESIGN_VALUES.*margins.0.*rows 2"),
        ({**MARGIN, "totals": (np.array([2.0, np.inf]),)}, "DESIGN_VALUES.*rows 2"),
        ({**MARGIN, "totals": (np.array([2.0]),)}, "DESIGN_VALUES.*rows 2"),
    ],
)
def test_a_design_checks_its_parts(keys, code):
    with pytest.raises((ModelError, ConfigError), match=code):
        Design(**keys)


# --- strata, units, fpc ---------------------------------------------------------------------------


def test_lone_strata_join_the_smaller_neighbour_of_their_region():
    # N: ages 1 (2 people), 2 (alone), 3 (3 people): 2 joins 1. S has no kin of its own region and
    # joins its neighbour in the order of all, N 3
    strata = table("region age|N 1|N 1|N 2|N 3|N 3|N 3|S 1")
    assert collapse_lone_strata(strata).tolist() == [0, 0, 0, 1, 1, 1, 1]
    # N 2 has kin in N 1, so that the smaller S 1 on its other side is none
    strata = table("region age|N 1|N 1|N 1|N 2|S 1|S 1")
    assert collapse_lone_strata(strata).tolist() == [0, 0, 0, 0, 1, 1]


def test_lone_units_count_sampling_units_not_rows():
    strata = table("region|N|N|S|S|S")
    psu = np.array([0, 0, 1, 2, 2])  # N holds one unit of two people
    assert collapse_lone_strata(strata, psu=psu).tolist() == [0] * 5


def test_one_sampling_unit_in_all_is_an_error():
    with pytest.raises(ModelError, match="ONE_SAMPLING_UNIT"):
        collapse_lone_strata(table("region|N"))


def test_units_of_the_same_name_stay_apart_when_strata_are_merged():
    people = table("region unit d|N 1 1|N 1 1|S 1 1|S 2 1")
    settings = plan(method="given", base_weight="d", strata=["region"], psu="unit")
    design = weigh_respondents(people, None, settings=settings)
    assert design.degrees_of_freedom() == 2  # three units, one stratum


def test_variance_of_a_mean_by_hand():
    # y = 0 1 1 1, mean 3/4: V = 4/3 * sum((y - 3/4)^2) / 16 = 4/3 * (3/4) / 16 = 1/16
    y = np.array([0.0, 1, 1, 1])
    design = Design(weights=np.ones(4))
    assert design.variances((y - 0.75) / 4) == pytest.approx([1 / 16])
    # With a sampling fraction of 1/5 a fifth of it goes
    finite = Design(weights=np.ones(4), fpc=np.full(4, 20.0))
    assert finite.variances((y - 0.75) / 4) == pytest.approx([0.8 / 16])
    assert Design(weights=np.ones(4), fpc=np.full(4, 0.2)).variances((y - 0.75) / 4) == (
        pytest.approx([0.8 / 16])
    )
    assert Design(weights=np.ones(4), fpc=np.ones(4)).variances(y) == [0]  # everybody was asked
    lone = Design(weights=np.ones(1), fpc=np.array([1 + 5e-8]))  # and so, but for rounding, here
    assert lone.variances(y[:1]) == [0]
    nearly_all = Design(weights=np.ones(4), fpc=np.full(4, 5.0))  # 4 of 5: a fifth is left
    assert nearly_all.variances((y - 0.75) / 4) == pytest.approx([0.2 / 16])


def test_variance_in_strata_and_units_by_hand():
    # Totals of units: stratum 0: 1 + 2 = 3 and 5; stratum 1: 4, 6, 2.
    # V = 2/1 * (1 + 1) + 3/2 * (0 + 4 + 4) = 4 + 12
    u = np.array([1.0, 2, 5, 4, 6, 2])
    design = Design(
        weights=np.ones(6), strata=np.array([0, 0, 0, 1, 1, 1]), psu=np.array([1, 1, 2, 1, 2, 3])
    )
    assert design.variances(u) == pytest.approx([16])
    assert design.degrees_of_freedom() == 3  # 5 units, 2 strata
    # Without the last two rows: units 1 2 | 1, strata 2
    assert design.degrees_of_freedom(np.array([True] * 4 + [False] * 2)) == 1


def test_lonely_units_by_each_rule():
    # Stratum 0: 1 and 3, V = 2 * (1 + 1) = 4; stratum 1: one unit of 5
    def variance(rule):
        keys = {"weights": np.ones(3), "strata": np.array([0, 0, 1]), "lonely_psu": rule}
        return float(Design(**keys).variances(np.array([1.0, 3, 5]))[0])

    assert variance("certainty") == pytest.approx(4)
    assert variance("adjust") == pytest.approx(4 + 25)
    with pytest.raises(ModelError, match="LONELY_PSU"):
        variance("fail")


def test_the_study_file_names_the_rule_for_lonely_units():
    people = table("stratum unit d|A 1 1|A 2 1|B 3 1")
    keys = {"method": "given", "label": "x", "base_weight": "d", "strata": ["stratum"]}
    u = np.array([1.0, 3, 5])

    def variance(**rule):
        settings = Weighting(**keys, psu="unit", **rule)
        return float(weigh_respondents(people, None, settings=settings).variances(u)[0])

    assert variance() == pytest.approx(3 / 2 * (4 + 0 + 4))  # B joins A: one stratum of mean 3
    assert variance(lonely_psu="certainty") == pytest.approx(4)
    assert variance(lonely_psu="adjust") == pytest.approx(4 + 25)
    with pytest.raises(ValidationError, match="lonely_psu"):
        variance(lonely_psu="average")


def test_calibration_takes_out_what_the_cells_explain():
    # Influence equal to the cell's mean leaves nothing; scaling of base weights changes nothing
    design = weigh_respondents(PEOPLE, ADULTS, settings=plan(cells=["region", "sex"]))
    explained = np.array([2.0, 2, 7, 1, 4])
    assert design.residuals(explained) == pytest.approx(np.zeros(5))
    assert design.residuals(np.array([1.0, 3, 7, 1, 4])) == pytest.approx([-1, 1, 0, 0, 0])


@pytest.mark.parametrize("fpc", [[3, 4, 3], [1, 1, 0.5], [-1] * 3, [0] * 3, [2] * 3, [np.inf] * 3])
def test_wrong_population_sizes_of_strata(fpc):
    design = Design(weights=np.ones(3), fpc=np.array(fpc))
    with pytest.raises(ModelError, match="FPC"):
        design.variances(np.ones(3))


def test_a_population_size_that_is_no_number_is_named():
    people = table("unit d|1 1|2 1").assign(size=["20", "many"])
    settings = plan(method="given", base_weight="d", psu="unit", fpc="size")
    with pytest.raises(ModelError, match="FPC"):
        weigh_respondents(people, None, settings=settings).variances(np.ones(2))


def test_certainty_strata_add_nothing_and_stay_alone():
    people = table("stratum unit size d|A 1 1 1|B 1 9 1|B 2 9 1|C 1 9 1")
    settings = plan(method="given", base_weight="d", strata=["stratum"], psu="unit", fpc="size")
    design = weigh_respondents(people, None, settings=settings)
    assert design.strata.tolist() == [0, 1, 1, 1]  # C joins B, A was taken with certainty
    assert design.fpc.tolist() == [1, 18, 18, 18]
    assert design.variances(np.array([100.0, 1, 1, 1])) == pytest.approx([0])


# --- diagnostics ----------------------------------------------------------------------------------


def test_diagnostics_by_hand():
    # Weights 1 1 2: Kish 3 * 6 / 16 = 1.125, n effective 8/3
    cells = (np.array([0, 0, 1]),)
    design = Design(weights=np.array([1.0, 1, 2]), margins=cells)
    rows = diagnose_weights(design).set_index("measure")["estimate"]
    assert rows["design_effect"] == kish_design_effect(np.array([1.0, 1, 2])) == 1.125
    assert rows["n_effective"] == pytest.approx(8 / 3)
    assert rows["weight_ratio"] == 2
    assert rows["weight_cv"] == pytest.approx(np.sqrt(0.125))  # Kish is 1 + cv^2
    assert rows["population"] == 4


def test_weights_as_given_are_no_persons():
    rows = diagnose_weights(Design(weights=np.array([0.096, 1, 2]))).set_index("measure")
    assert "population" not in rows.index
    assert rows.loc[["weight_min", "weight_max"], "unit"].tolist() == ["ratio", "ratio"]
    assert rows["item_label"].notna().all()


def test_joint_codes_count_only_what_occurs():
    codes, present = joint_codes((np.array([0, 2, 2, 0]), np.array([1, 1, 0, 1])))
    assert codes.tolist() == [0, 2, 1, 0]
    assert present.tolist() == [[0, 1], [2, 0], [2, 1]]


# --- what must always hold ------------------------------------------------------------------------

few = examples(max_examples=40)  # each example weights several samples
ROWS = st.integers(30, 120)
SEEDS = st.integers(0, 2**32 - 1)
METHODS = st.sampled_from(["post_stratification", "raking"])


def random_case(n, seed):
    """People in every cell, base weights and a population."""
    rng = np.random.default_rng(seed)
    cells = [(r, a, s) for r in "123" for a in "ab" for s in "12"]
    picked = np.concatenate([np.arange(12), rng.integers(0, 12, n)])
    people = pd.DataFrame([cells[c] for c in picked], columns=["region", "age", "sex"])
    people["d"] = rng.uniform(0.3, 3, len(people))
    people["y"] = rng.normal(size=len(people))
    adults = pd.DataFrame(cells, columns=["region", "age", "sex"])
    adults["population"] = rng.integers(1_000, 50_000, 12)
    return people, adults


def random_settings(method):
    raking = {"cells": ["region", "age"], "margins": [Margin(by=["sex"], targets="")]}
    cells = raking if method == "raking" else {"cells": ["region", "age", "sex"]}
    return plan(method=method, base_weight="d", strata=["region", "age"], **cells)


def variance_of_mean(design, y):
    mean = design.weights @ y / design.weights.sum()
    return design.variances((y - mean) / design.weights.sum())[0]


@few
@given(n=ROWS, seed=SEEDS, method=METHODS)
def test_weights_meet_the_population_in_every_margin(n, seed, method):
    people, adults = random_case(n, seed)
    design = weigh_respondents(people, adults, settings=random_settings(method))
    assert (design.weights > 0).all()
    for codes, totals in zip(design.margins, design.totals, strict=True):
        assert np.bincount(codes, design.weights) == pytest.approx(totals, rel=1e-10)
    assert design.weights.sum() == pytest.approx(adults["population"].sum(), rel=1e-10)


@few
@given(n=ROWS, seed=SEEDS, method=METHODS, factor=st.floats(1e-3, 1e3))
def test_order_of_rows_and_scale_of_base_weights_do_not_matter(n, seed, method, factor):
    people, adults = random_case(n, seed)
    settings = random_settings(method)
    design = weigh_respondents(people, adults, settings=settings)
    order = np.random.default_rng(seed).permutation(len(people))
    moved = people.iloc[order].assign(d=people["d"].iloc[order] * factor)
    other = weigh_respondents(moved, adults, settings=settings)
    assert other.weights == pytest.approx(design.weights[order], rel=1e-9)
    expected = variance_of_mean(design, people["y"].to_numpy())
    assert variance_of_mean(other, moved["y"].to_numpy()) == pytest.approx(expected, rel=1e-7)


@few
@given(n=ROWS, seed=SEEDS)
def test_without_calibration_the_variance_is_the_plain_sandwich(n, seed):
    people, _ = random_case(n, seed)
    design = weigh_respondents(people, None, settings=plan(method="given", base_weight="d"))
    w, y = people["d"].to_numpy(), people["y"].to_numpy()
    z = w * (y - w @ y / w.sum()) / w.sum()
    expected = len(z) / (len(z) - 1) * (z @ z)  # the z sum to nought
    assert variance_of_mean(design, y) == pytest.approx(expected, rel=1e-9)


@few
@given(n=ROWS, seed=SEEDS, method=METHODS)
def test_calibrating_calibrated_weights_changes_nothing(n, seed, method):
    people, adults = random_case(n, seed)
    design = weigh_respondents(people, adults, settings=random_settings(method))
    assert calibrate(design.weights, design) == pytest.approx(design.weights, rel=1e-9)


# --- a design that is saved -----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["post_stratification", "raking"])
def test_a_saved_design_gives_the_same_errors(method, tmp_path):
    people = table("region sex|N 1|N 1|N 2|S 1|S 2|S 2").assign(d=[1, 2, 1, 1, 2, 3])
    margins = [Margin(by=["sex"], targets="")] * (method == "raking")
    settings = plan(method=method, base_weight="d", strata=["region"], margins=margins)
    design = weigh_respondents(people, ADULTS, settings=settings)
    write_table(tmp_path / "design.npz", pack(design))
    again = unpack(read_table(tmp_path / "design.npz"))
    answers = np.array([1.0, 0, 1, 0, 1, 1])[:, None]
    np.testing.assert_array_equal(again.weights, design.weights)
    np.testing.assert_array_equal(again.variances(answers), design.variances(answers))
    assert (again.scheme, again.lonely_psu) == (design.scheme, design.lonely_psu)
    first = (tmp_path / "design.npz").read_bytes()
    write_table(tmp_path / "design.npz", pack(again))
    assert (tmp_path / "design.npz").read_bytes() == first
