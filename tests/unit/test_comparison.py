"""Prefecture against nation and wave against wave: by hand, against R, and what may be judged."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsunagari.errors import ModelError
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.statistics import comparison, gaps, waves
from tsunagari.statistics.benchmark import check_benchmark
from tsunagari.statistics.calibration import post_stratify
from tsunagari.statistics.designs import Design
from tsunagari.statistics.verdicts import (
    HIGHER,
    LOWER,
    NOT_CLEAR,
    NOT_COMPARABLE,
    adjust_p_values,
    find_families,
    give_verdicts,
)
from tsunagari.statistics.waves import WaveSide
from tsunagari.study.codebook import Item

from .test_models import DESIGNS, REFERENCE, make_design

MIX = dict(
    zip(
        "60s 16-19 20s 30s 40s 50s 70s 80+".split(),
        (1909, 318, 880, 1210, 1712, 1887, 2094, 1105),
        strict=True,
    )
)
STANDARDISED = "difference_points_age_standardised"
BENCHMARK_STANDARDISED = "difference_points_benchmark_age_standardised"


@pytest.fixture(scope="module")
def truth():
    return json.loads((REFERENCE / "models_reference.json").read_text(encoding="utf-8"))


def read_sample(name):
    text = {"job": str, "confidant": str, "sex": str, "age_band": str}
    return pd.read_csv(Path(REFERENCE) / f"models_sample_{name}.csv", dtype=text)


# --- against R ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DESIGNS)
def test_age_standardised_share_agrees_with_r(truth, name):
    sample = read_sample("now")
    design = make_design(sample, name)
    share, influence = gaps.standardise_by_age(
        design, sample["lonely"].to_numpy(), age=sample["age_band"], mix=MIX
    )
    expected = truth[name]["standardised"]
    error = np.sqrt(design.covariance(influence[:, None])[0, 0])
    np.testing.assert_allclose(share, expected["age"], rtol=1e-9)
    np.testing.assert_allclose(error, expected["age_se"], rtol=1e-7)


def test_wave_difference_agrees_with_r_on_the_stacked_design(truth):
    sides, designs = [], []
    for year, name in ((2023, "now"), (2022, "before")):
        sample = read_sample(name)
        sides.append(WaveSide(wave=year, indicators=sample[["lonely"]]))
        cells = np.unique(sample["cell"], return_inverse=True)[1]
        persons = sample.drop_duplicates("cell").sort_values("cell")["cell_persons"]
        base = sample["base_weight"].to_numpy()
        weights = post_stratify(base, cells, totals=persons.to_numpy(float))
        designs.append(Design(weights=weights, base_weights=base, margins=(cells,)))
    rows = waves.compare_waves(*designs, now=sides[0], before=sides[1], item="lonely")
    gap = rows[rows["measure"] == "difference_points"].iloc[0]
    expected = truth["waves"]
    np.testing.assert_allclose(gap["estimate"], 100 * expected["gap"], rtol=1e-9)
    np.testing.assert_allclose(gap["std_error"], 100 * expected["se"], rtol=1e-7)
    assert gap["df"] == expected["df"]
    assert rows["wave"].tolist() == [2023, 2022, 2023]


def test_adjusted_p_values_agree_with_p_adjust(truth):
    p = np.array(truth["p_adjust"]["p"])
    np.testing.assert_allclose(adjust_p_values(p), truth["p_adjust"]["bh"], rtol=1e-12)
    with_gap = adjust_p_values(np.r_[np.nan, p])
    assert np.isnan(with_gap[0])
    np.testing.assert_allclose(with_gap[1:], truth["p_adjust"]["bh"], rtol=1e-12)
    assert adjust_p_values(np.array([])).size == 0


# --- by hand --------------------------------------------------------------------------------------


def published(value, percent, n, *, domain="all", at="all", **other):
    row = {
        "year": 2022,
        "item": "q",
        "item_value": value,
        "domain": domain,
        "domain_value": at,
        "percent": percent,
        "n": n,
        "base": "asked",
        "source": "a report",
        "certainty": "official",
    }
    return row | other


def small_survey():
    """200 young people with 40 events, 200 old people with 20; the nation has 1 young : 3 old."""
    age = pd.Series(np.repeat(["young", "old"], 200), name="age_band")
    events = np.r_[np.ones(40), np.zeros(160), np.ones(20), np.zeros(180)]
    indicators = pd.DataFrame({"1": events, "2": 1 - events})
    return Design(weights=np.ones(400)), indicators, age


def bands(value="1", young=15.0, old=5.0, **other):
    return [
        published(value, young, 1000, domain="age_band", at="young", **other),
        published(value, old, 3000, domain="age_band", at="old", **other),
    ]


def with_verdicts(rows, *, point_threshold=3.0):
    names = rows["item_value"].fillna("")
    families = find_families(rows, answers=names, tests=names)
    return give_verdicts(rows, families, alpha=0.05, point_threshold=point_threshold)


def compare(benchmark, *, survey=None, point_threshold=3.0, **options):
    design, indicators, age = survey or small_survey()
    settings = {"item": "q", "year": 2022, "age": age, "wave": 2023} | options
    rows = comparison.compare_with_benchmark(
        design, indicators, benchmark=pd.DataFrame(benchmark), **settings
    )
    return with_verdicts(rows, point_threshold=point_threshold)


def pick(rows, measure, domain="all", value="all"):
    found = rows[
        (rows["measure"] == measure)
        & (rows["domain"] == domain)
        & (rows["domain_value"] == value)
        & (rows["item_value"] == "1")
    ]
    assert len(found) == 1
    return found.iloc[0]


def test_gap_in_an_age_band_by_hand():
    # Ours 40/200 = 20 %, theirs 15 % of 1,000: 5 points. Variance of ours: one stratum of 400 rows
    # with influence (y - 0.2)/200 inside and 0 outside: 400/399 * 200 * 0.16 / 200^2; of theirs
    # 0.15 * 0.85 / 1000.
    gap = pick(compare([published("1", 7.5, 4000), *bands()]), "difference_points", "age_band",
               "young")  # fmt: skip
    variance = 400 / 399 * 0.16 / 200 + 0.15 * 0.85 / 1000
    assert gap["estimate"] == pytest.approx(5.0)
    assert gap["std_error"] == pytest.approx(100 * np.sqrt(variance))
    assert gap["df"] == 199
    assert gap["n_unweighted"] == 200
    assert gap["n_cell"] == 40  # the gate hides the gap where it hides the percent


def test_total_is_compared_on_the_nations_age_mix_by_hand():
    # Raw: 60/400 = 15 % against 7.5 %: 7.5 points, no verdict. On the nation's mix 1:3:
    # 0.25 * 20 + 0.75 * 10 = 12.5 %, 5.0 points. The nation on ours, 1:1: (15 + 5)/2 = 10 %:
    # 5.0 points too.
    rows = compare([published("1", 7.5, 4000), *bands()])
    raw = pick(rows, "difference_points")
    assert raw["estimate"] == pytest.approx(7.5)
    assert raw["verdict"] == ""
    assert raw["mark"] == ""
    assert np.isnan(raw["p_adjusted"])
    assert "年齢をそろえていない" in raw["reason"]
    assert pick(rows, "percent_age_standardised")["estimate"] == pytest.approx(12.5)
    ours = pick(rows, STANDARDISED)
    own = 400 / 399 * (0.25**2 * 0.16 + 0.75**2 * 0.09) / 200
    assert ours["estimate"] == pytest.approx(5.0)
    assert ours["std_error"] == pytest.approx(100 * np.sqrt(own + 0.075 * 0.925 / 4000))
    assert (ours["verdict"], ours["mark"]) == (HIGHER, "▲")
    assert pick(rows, "percent_benchmark_age_standardised")["estimate"] == pytest.approx(10.0)
    theirs = pick(rows, BENCHMARK_STANDARDISED)
    # Ours minus the nation on ours: influence (y - p)/n - sum of P_b (1_b - a_b)/n.
    u = np.r_[np.ones(40), np.zeros(160), np.ones(20), np.zeros(180)] - 0.15
    u = (u - np.repeat([0.15 - 0.10, 0.05 - 0.10], 200)) / 400
    nation = 0.25 * 0.15 * 0.85 / 1000 + 0.25 * 0.05 * 0.95 / 3000
    assert theirs["estimate"] == pytest.approx(5.0)
    assert theirs["std_error"] == pytest.approx(100 * np.sqrt(400 / 399 * (u @ u) + nation))


def test_same_ages_and_same_figures_give_no_gap():
    mix = {"young": 1, "old": 1}
    design, indicators, age = small_survey()
    share, _ = gaps.standardise_by_age(design, indicators["1"].to_numpy(), age=age, mix=mix)
    assert share == pytest.approx(0.15)  # our own mix changes nothing
    rows = compare([published("1", 12.5, 4000), *bands(young=20.0, old=10.0)])
    found = rows[rows["measure"].isin([STANDARDISED, BENCHMARK_STANDARDISED])]
    assert found["estimate"].abs().max() < 1e-9
    assert set(found["verdict"]) == {NOT_CLEAR}


def test_mark_needs_test_and_point_threshold():
    benchmark = [published("1", 7.5, 4000), *bands()]
    assert pick(compare(benchmark, point_threshold=5.1), STANDARDISED)["mark"] == ""
    assert pick(compare(benchmark, point_threshold=5.1), STANDARDISED)["verdict"] == HIGHER
    unsure = pick(compare(benchmark), "difference_points", "age_band", "young")
    assert (unsure["verdict"], unsure["mark"]) == (NOT_CLEAR, "")  # 5 points, but p over 0.05
    lower = compare([published("1", 30.0, 4000), *bands(young=40.0, old=25.0)])
    assert pick(lower, STANDARDISED)[["verdict", "mark"]].tolist() == [LOWER, "▽"]


def test_verdicts_go_by_the_adjusted_p():
    rows = compare([published("1", 7.5, 4000), *bands()])
    judged = rows[rows["verdict"] != ""].sort_values("p_value")
    # the k-th smallest of m p-values times m / k, no larger than those after it
    m = len(judged)
    steps = [p * m / k for k, p in enumerate(judged["p_value"], start=1)]
    expected = [min(steps[k:]) for k in range(m)]
    assert judged["p_adjusted"].tolist() == pytest.approx(expected)
    assert judged["verdict"].tolist() == [HIGHER if p < 0.05 else NOT_CLEAR for p in expected]
    assert 0 < sum(p < 0.05 for p in expected) < m
    assert (rows.loc[rows["verdict"] == "", "p_adjusted"]).isna().all()


def test_every_row_keeps_the_caveat_and_the_table_id():
    given = [published("1", 7.5, 4000), *bands(), published("2", 92.5, 4000)]
    rows = compare([row | {"weighting": "unweighted"} for row in given])
    assert rows["reason"].str.contains("ウェブ").all()
    assert rows["reason"].str.contains("重みを付けていません").all()
    assert set(rows["table_id"]) == {"national_q"}
    assert rows.columns.tolist() == list(ESTIMATE_COLUMNS)
    sourced = rows[rows["measure"] != "percent"]
    assert (sourced["source"] == "a report").all()
    assert not compare(given)["reason"].str.contains("重みを付けていません").any()  # not known


# --- what may not be compared ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"certainty": "unverified"}, "出典"),
        ({"base": "answered"}, "無回答を分母に"),
        ({"n": None}, "回答者数が公表されていません"),
        ({"item_value": "no_answer"}, "方法で変わります"),
    ],
)
def test_rows_that_cannot_be_judged_say_why(change, why):
    design, indicators, age = small_survey()
    indicators = indicators.assign(no_answer=0.0)
    rows = compare([published("1", 7.5, 4000) | change], survey=(design, indicators, age))
    gaps = rows[rows["unit"] == "points"]
    assert set(gaps["verdict"]) == {NOT_COMPARABLE}
    assert gaps["reason"].str.contains(why).all()
    assert gaps["p_value"].isna().all()
    assert (gaps["mark"] == "").all()


def test_nation_goes_on_our_mix_only_where_every_band_is_published():
    rows = compare([published("1", 7.5, 4000), bands()[0], *bands("other")])
    assert pick(rows, STANDARDISED)["verdict"] == HIGHER  # the mix comes from the other question
    gap = pick(rows, BENCHMARK_STANDARDISED)
    assert gap["verdict"] == NOT_COMPARABLE
    assert "すべての年代では公表されておらず" in gap["reason"]


def test_total_without_any_published_age_mix_is_not_compared():
    gap = pick(compare([published("1", 7.5, 4000)]), STANDARDISED)
    assert gap["verdict"] == NOT_COMPARABLE
    assert "年齢の構成が公表されておらず" in gap["reason"]


def test_question_asked_of_some_people_is_not_put_on_everybodys_age_mix():
    # The mix holds 4,000 people, the question was asked of 1,500 of them.
    rows = compare([published("1", 7.5, 1500), *bands("other")])
    gap = pick(rows, STANDARDISED)
    assert gap["verdict"] == NOT_COMPARABLE
    assert "対象者の年齢の構成" in gap["reason"]
    # The mix of 4,000 people serves a figure of 10 % more or fewer people, and no further.
    for n, is_compared in ((4399, True), (3601, True), (4401, False), (3599, False)):
        gap = pick(compare([published("1", 7.5, n), *bands("other")]), STANDARDISED)
        assert (gap["verdict"] != NOT_COMPARABLE) == is_compared, n


def test_age_mix_of_the_nearest_year_stands_in_and_is_named():
    mix = [row | {"year": 2021} for row in bands("other")]
    gap = pick(compare([published("1", 7.5, 4000), *mix]), STANDARDISED)
    assert gap["estimate"] == pytest.approx(5.0)
    assert "2021年の回答者" in gap["reason"]


def test_composition_of_the_respondents_gives_the_mix_and_missing_counts():
    shares = [
        published("share", p, 4000, domain="age_band", at=band, item="respondents")
        for band, p in (("young", 25.0), ("old", 75.0))
    ]
    no_count = published("1", 15.0, None, domain="age_band", at="young")
    rows = compare([published("1", 7.5, 4000), no_count, *shares])
    assert pick(rows, STANDARDISED)["estimate"] == pytest.approx(5.0)
    band = pick(rows, "difference_points", "age_band", "young")
    variance = 400 / 399 * 0.16 / 200 + 0.15 * 0.85 / 1000  # 25 % of 4,000
    assert band["std_error"] == pytest.approx(100 * np.sqrt(variance))
    assert "全国のこの年代の回答者数は、ほかの公表値によります。" in band["reason"]


def test_other_domains_need_the_age_mix_inside_them():
    design, indicators, age = small_survey()
    sex = pd.DataFrame({"sex": np.tile(["1", "2"], 200)})
    totals = [published("1", 7.5, 4000), *bands(), published("1", 8.0, 2000, domain="sex", at="1")]
    gap = pick(compare(totals, by=sex), STANDARDISED, "sex", "1")
    assert gap["verdict"] == NOT_COMPARABLE
    crossed = [
        published("1", percent, n, domain="age_band x sex", at=f"{band} x 1")
        for band, percent, n in (("young", 15.0, 500), ("old", 30.0, 1500))
    ]
    rows = compare([*totals, *crossed], by=sex)
    # Men: 20 of 100 young, 10 of 100 old: 0.25 * 20 + 0.75 * 10 = 12.5 against 8.0.
    assert pick(rows, STANDARDISED, "sex", "1")["estimate"] == pytest.approx(4.5)
    assert pick(rows, "difference_points", "age_band x sex", "old x 1")["verdict"] == LOWER
    # The nation on our men, 1:1, is 22.5 %: ours 15 %.
    assert pick(rows, BENCHMARK_STANDARDISED, "sex", "1")["estimate"] == pytest.approx(-7.5)
    # Rows that the table does not show do not enter its family of tests either.
    plain = compare([*totals, *crossed], by=sex, nested=False)
    assert not plain["domain"].str.contains(" x ").any()
    assert pick(plain, STANDARDISED, "sex", "1")["estimate"] == pytest.approx(4.5)
    tested = plain[plain["p_adjusted"].notna()]
    again = adjust_p_values(tested["p_value"].to_numpy(float))
    assert tested["p_adjusted"].to_numpy() == pytest.approx(again)


def test_small_base_is_not_judged():
    design, indicators, age = small_survey()
    kept = indicators[np.arange(400) >= 160].reindex(indicators.index)  # 40 young people remain
    rows = compare([published("1", 7.5, 4000), *bands()], survey=(design, kept, age))
    assert pick(rows, "difference_points", "age_band", "young")["verdict"] == NOT_COMPARABLE


def test_nobody_with_the_answer_still_has_an_interval():
    # 0 of 200 against 3 %: beta interval 0 to 1 - 0.025^(1/200) = 1.83 %; over t it stands in for
    # the standard error.
    design, indicators, age = small_survey()
    none = indicators.assign(**{"1": np.where(age == "young", 0.0, indicators["1"])})
    benchmark = [published("1", 7.5, 4000), *bands(young=3.0)]
    gap = pick(compare(benchmark, survey=(design, none, age)), "difference_points", "age_band",
               "young")  # fmt: skip
    upper = 1 - 0.025 ** (1 / 200)
    own = (upper / 1.971957) ** 2  # t with 199 degrees of freedom
    assert gap["std_error"] == pytest.approx(100 * np.sqrt(own + 0.03 * 0.97 / 1000), rel=1e-5)
    assert gap["verdict"] == LOWER


@pytest.mark.parametrize(("n_young", "is_judged"), [(49, False), (50, True)])
def test_a_base_of_fifty_is_judged_and_one_of_forty_nine_is_not(n_young, is_judged):
    _, indicators, _ = small_survey()
    age = pd.Series(["young"] * n_young + ["old"] * (400 - n_young), name="age_band")
    survey = (Design(weights=np.ones(400)), indicators.iloc[::-1].reset_index(drop=True), age)
    rows = compare([published("1", 7.5, 4000), *bands(young=10.0)], survey=survey)
    gap = pick(rows, "difference_points", "age_band", "young")
    assert (gap["verdict"] != NOT_COMPARABLE) == is_judged
    now, before = (
        WaveSide(wave=year, indicators=survey[1], by=age.to_frame()) for year in (2023, 2022)
    )
    gap = pick(two_waves(now, before), "difference_points", "age_band", "young")
    assert (gap["verdict"] != NOT_COMPARABLE) == is_judged


def test_empty_band_of_the_mix_is_named():
    design, indicators, age = small_survey()
    values = indicators["1"].to_numpy()
    with pytest.raises(ModelError, match="STANDARD_EMPTY_BAND.*teens"):
        gaps.standardise_by_age(design, values, age=age, mix={"young": 1, "teens": 1})
    with pytest.raises(ModelError, match="STANDARD_MIX"):
        gaps.standardise_by_age(design, values, age=age, mix={"young": -1, "old": 1})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"percent": 101}, "BENCHMARK_VALUES"),
        ({"percent": "many"}, "BENCHMARK_VALUES"),
        ({"n": -5}, "BENCHMARK_VALUES"),
    ],
)
def test_wrong_benchmark_rows_are_named_by_file_row(change, code):
    with pytest.raises(ModelError, match=f"{code}.*3"):
        compare([published("2", 1.0, 10), published("1", 7.5, 4000) | change])


def test_duplicate_rows_and_missing_columns_of_the_benchmark():
    with pytest.raises(ModelError, match="BENCHMARK_DUPLICATES"):
        compare([published("1", 7.5, 4000), published("1", 7.0, 4000)])
    with pytest.raises(ModelError, match="BENCHMARK_COLUMNS.*certainty"):
        check_benchmark(pd.DataFrame([published("1", 1, 1)]).drop(columns="certainty"))
    design, indicators, age = small_survey()
    with pytest.raises(ModelError, match="COMPARISON_LENGTH"):
        compare([published("1", 7.5, 4000)], survey=(design, indicators[:10], age))


# --- waves ----------------------------------------------------------------------------------------


def wave_sides(**later):
    _, indicators, age = small_survey()
    by = pd.DataFrame({"age_band": age})
    before = WaveSide(wave=2022, indicators=indicators, by=by)
    now = {"wave": 2023, "indicators": indicators, "by": by} | later
    return WaveSide(**now), before


def two_waves(now, before):
    design = Design(weights=np.ones(400))
    return with_verdicts(waves.compare_waves(design, design, now=now, before=before, item="q"))


def test_unchanged_question_has_no_gap_and_twice_the_variance():
    rows = two_waves(*wave_sides())
    gap = pick(rows, "difference_points")
    assert gap["estimate"] == 0
    # Each wave: 400/399 * 0.15 * 0.85 / 400.
    assert gap["std_error"] == pytest.approx(100 * np.sqrt(2 * 0.1275 / 399))
    assert gap["verdict"] == NOT_CLEAR
    assert gap["df"] == 2 * 399
    young = pick(rows, "difference_points", "age_band", "young")
    assert (young["n_unweighted"], young["n_cell"]) == (200, 40)


def test_drifted_question_is_cut():
    rows = two_waves(*wave_sides(version="2"))
    gaps = rows[rows["measure"] == "difference_points"]
    assert set(gaps["verdict"]) == {NOT_COMPARABLE}
    assert gaps["reason"].str.contains("質問が変わりました").all()
    assert gaps["estimate"].isna().all()
    assert (rows["measure"] == "percent").sum() == 2 * len(gaps)  # either year still stands


def test_answer_of_one_wave_only_is_cut_and_no_answer_left_out():
    _, indicators, _ = small_survey()
    more = indicators.assign(**{"3": 0.0, "no_answer": 0.0})
    rows = two_waves(*wave_sides(indicators=more))
    assert "no_answer" not in set(rows["item_value"])
    new = rows[(rows["item_value"] == "3") & (rows["measure"] == "difference_points")]
    assert set(new["verdict"]) == {NOT_COMPARABLE}
    assert new["reason"].str.contains("片方の年").all()


def test_large_change_is_marked():
    _, indicators, _ = small_survey()
    moved = indicators.copy()
    moved.loc[40:99, "1"] = 1.0  # from 60 to 120 of 400: 15 points
    gap = pick(two_waves(*wave_sides(indicators=moved)), "difference_points")
    assert gap["estimate"] == pytest.approx(15.0)
    assert gap[["verdict", "mark"]].tolist() == [HIGHER, "▲"]


# --- the notebook's calls -------------------------------------------------------------------------


AGE = Item("age_band", "年代", "年代", "SA", {"young": "若い", "old": "年上"})


def question(**parts):
    labels = {"1": "ある", "2": "ない"}
    return Item(name="q", label="問", short_label="問", kind="SA", options=labels, **parts)


def respondents():
    _, indicators, age = small_survey()
    answers = np.where(indicators["1"] == 1, "1", "2").astype(object)
    answers[-10:] = "no_answer"
    return pd.DataFrame({"age_band": age, "q": answers})


def test_item_is_compared_on_the_base_the_nation_published():
    design = Design(weights=np.ones(400))
    people, item = respondents(), question(missing={"9": "答えたくない"})
    common = {"item": item, "year": 2022, "axis": "age_band"}
    for base, n in (("asked", 400), ("answered", 390)):
        benchmark = pd.DataFrame([published("1", 7.5, 4000, base=base), *bands(base=base)])
        rows = with_verdicts(comparison.compare_item(design, people, benchmark=benchmark, **common))
        row = pick(rows, "percent")
        assert row["n_unweighted"] == n
        assert row["item_label"] == "ある"
        assert pick(rows, STANDARDISED)["verdict"] == HIGHER
    nothing = comparison.compare_item(
        design, people, benchmark=benchmark, item=item, year=1999, axis="age_band"
    )
    assert nothing.empty
    assert nothing.columns.tolist() == list(ESTIMATE_COLUMNS)


def test_item_is_compared_between_waves_with_its_version():
    design = Design(weights=np.ones(400))
    people = respondents()
    for version, verdict in (("1", NOT_CLEAR), ("2", NOT_COMPARABLE)):
        rows = waves.compare_item_waves(
            design,
            design,
            now=(2023, question(version=version), people),
            before=(2022, question(), people),
            by=[(AGE, AGE)],
        )
        rows = with_verdicts(rows)
        assert set(rows.loc[rows["unit"] == "points", "verdict"]) == {verdict}
