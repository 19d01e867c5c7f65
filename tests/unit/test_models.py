"""Factors of loneliness: agreement with R survey, merging by hand, influence by perturbation."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tsunagari.errors import ModelError
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.gate import suppression
from tsunagari.statistics import effects, imputation, logit, merging, models, ordinal
from tsunagari.statistics.calibration import post_stratify, rake
from tsunagari.statistics.designs import Design
from tsunagari.study.codebook import Item
from tsunagari.study.settings import Disclosure

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
DESIGNS = ["poststratified", "stratified", "clustered", "raked"]
BANDS = ["60s", "16-19", "20s", "30s", "40s", "50s", "70s", "80+"]
REFERENCE_LEVELS = {"age_band": "60s", "sex": "1", "job": "1", "confidant": "1"}
LABELS = {"age_band": {band: band for band in BANDS}}


@pytest.fixture(scope="module")
def truth():
    return json.loads((REFERENCE / "models_reference.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sample():
    text = {"job": str, "confidant": str, "sex": str, "age_band": str}
    return pd.read_csv(REFERENCE / "models_sample_now.csv", dtype=text, keep_default_na=True)


def codes(*columns):
    return tuple(np.unique(column, return_inverse=True)[1] for column in columns)


def make_design(sample, name):
    base = sample["base_weight"].to_numpy()
    persons = sample.drop_duplicates("cell")
    if name == "clustered":
        return Design(
            weights=base, strata=sample["stratum"].to_numpy(), psu=sample["psu"].to_numpy()
        )
    if name == "raked":
        margins = codes(sample["age_band"], sample["sex"])
        totals = tuple(
            persons.groupby(by)["cell_persons"].sum().to_numpy(float) for by in ("age_band", "sex")
        )
        weights = rake(base, margins, totals=totals)
        return Design(weights=weights, base_weights=base, margins=margins)
    (cells,) = codes(sample["cell"])
    totals = persons.sort_values("cell")["cell_persons"].to_numpy(float)
    strata = sample["stratum"].to_numpy() if name == "stratified" else None
    weights = post_stratify(base, cells, totals=totals)
    return Design(weights=weights, base_weights=base, margins=(cells,), strata=strata)


def fit(design, sample):
    return logit.fit_logit(
        design,
        sample["lonely"].to_numpy(),
        factors=sample[["age_band", "sex", "job", "confidant"]],
        reference=REFERENCE_LEVELS,
        labels=LABELS,
        outcome_name="lonely",
    )


# --- against R ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DESIGNS)
def test_logit_agrees_with_svyglm(truth, sample, name):
    model = fit(make_design(sample, name), sample)
    expected = truth[name]["logit"]
    np.testing.assert_allclose(model.coefficients, expected["coef"], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(model.std_errors, expected["se"], rtol=1e-7)
    assert model.df == expected["df"]


@pytest.mark.parametrize("name", DESIGNS)
def test_joint_tests_agree_with_reg_term_test(truth, sample, name):
    rows = effects.wald_rows(fit(make_design(sample, name), sample))
    expected = truth[name]["logit"]
    assert rows["item"].tolist() == ["age_band", "sex", "job", "confidant"]
    np.testing.assert_allclose(rows["estimate"], expected["wald_f"], rtol=1e-6)
    np.testing.assert_allclose(rows["p_value"], expected["wald_p"], rtol=1e-6)
    adjusted = stats.false_discovery_control(expected["wald_p"])
    np.testing.assert_allclose(rows["p_adjusted"], adjusted, rtol=1e-6)


@pytest.mark.parametrize("name", DESIGNS)
def test_marginal_effects_agree_with_explicit_influence_in_r(truth, sample, name):
    design = make_design(sample, name)
    rows = effects.marginal_effect_rows(design, fit(design, sample))
    wanted = [("age_band", "20s"), ("sex", "2"), ("job", "3"), ("confidant", "2")]
    rows = rows.set_index(["item", "item_value"]).loc[wanted]
    expected = truth[name]["logit"]
    np.testing.assert_allclose(rows["estimate"], 100 * np.array(expected["ame"]), rtol=1e-9)
    np.testing.assert_allclose(rows["std_error"], 100 * np.array(expected["ame_se"]), rtol=1e-7)


@pytest.mark.parametrize("name", DESIGNS)
def test_ordinal_logit_agrees_with_r(truth, sample, name):
    design = make_design(sample, name)
    model = ordinal.fit_ordinal(
        design,
        sample["frequency"].to_numpy(),
        factors=sample[["sex", "job", "confidant"]],
        reference=REFERENCE_LEVELS,
        outcome_name="frequency",
    )
    expected = truth[name]["ordinal"]
    np.testing.assert_allclose(model.coefficients, expected["coef"], rtol=1e-9)
    np.testing.assert_allclose(model.std_errors, expected["se"], rtol=1e-7)
    rows = effects.odds_ratio_rows(model).set_index(["item", "item_value"])
    assert set(rows["measure"]) == {"cumulative_odds_ratio"}
    assert np.log(rows.loc[("confidant", "2"), "estimate"]) == pytest.approx(expected["coef"][-1])


# --- what must hold -------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [3, 400, 1111])
def test_influence_is_the_derivative_by_the_weight(sample, row):
    # The influence of a person is how fast an estimate moves with that person's weight.
    design = make_design(sample, "poststratified")
    model = fit(design, sample)
    _, influence = effects.marginal_effects(design, model)
    step = 1e-4 * design.weights[row]
    moved = []
    for sign in (1, -1):
        weights = design.weights.copy()
        weights[row] += sign * step
        other = dataclasses.replace(design, weights=weights, totals=())
        refitted = fit(other, sample)
        points, _ = effects.marginal_effects(other, refitted)
        moved.append((refitted.coefficients, points))
    slopes = [(up - down) / (2 * step) for up, down in zip(*moved, strict=True)]
    for slope, expected in zip(slopes, (model.influence[row], influence[row]), strict=True):
        np.testing.assert_allclose(slope, expected, atol=1e-6 * np.abs(expected).max())


def test_ordinal_logit_of_two_answers_is_the_logit(sample):
    design = make_design(sample, "stratified")
    factors = sample[["sex", "job"]]
    binary = logit.fit_logit(design, sample["lonely"].to_numpy(), factors=factors)
    graded = ordinal.fit_ordinal(design, sample["lonely"].to_numpy(), factors=factors)
    sign = np.r_[-1, np.ones(len(binary.coefficients) - 1)]  # a threshold is minus the constant
    np.testing.assert_allclose(sign * graded.coefficients, binary.coefficients, rtol=1e-9)
    np.testing.assert_allclose(graded.std_errors, binary.std_errors, rtol=1e-8)
    assert graded.df == binary.df
    assert graded.terms["n_events"].tolist() == binary.terms["n_events"].tolist()


def test_row_order_and_weight_scale_change_nothing(sample):
    order = np.random.default_rng(5).permutation(len(sample))
    shuffled = sample.iloc[order].reset_index(drop=True)
    design = make_design(sample, "poststratified")
    rows = effects.odds_ratio_rows(fit(design, sample))
    again = effects.odds_ratio_rows(fit(make_design(shuffled, "poststratified"), shuffled))
    larger = dataclasses.replace(design, weights=1000 * design.weights, totals=())
    scaled = effects.odds_ratio_rows(fit(larger, sample))
    for other in (again, scaled):
        np.testing.assert_allclose(other["estimate"], rows["estimate"], rtol=1e-10)
        np.testing.assert_allclose(other["std_error"], rows["std_error"], rtol=1e-9)


def test_two_by_two_table_by_hand():
    # Equal weights. Level a: 20 of 100, level b: 50 of 100.
    # Odds ratio (50/50) / (20/80) = 4. SE of its log, with the design's n/(n-1):
    # sqrt((1/20 + 1/80 + 1/50 + 1/50) * 200/199). Marginal effect 0.50 - 0.20 = 30 points,
    # SE sqrt((0.16/100 + 0.25/100) * 200/199).
    level = np.repeat(["a", "b"], 100)
    outcome = np.r_[np.ones(20), np.zeros(80), np.ones(50), np.zeros(50)]
    design = Design(weights=np.ones(200))
    model = logit.fit_logit(
        design, outcome, factors=pd.DataFrame({"x": level}), reference={"x": "a"}
    )
    odds = effects.odds_ratio_rows(model)
    effect = effects.marginal_effect_rows(design, model)
    assert odds["estimate"].tolist() == pytest.approx([1.0, 4.0])
    assert odds["std_error"][1] == pytest.approx(np.sqrt(0.1025 * 200 / 199))
    assert effect["estimate"].tolist() == pytest.approx([0.0, 30.0])
    assert effect["std_error"][1] == pytest.approx(100 * np.sqrt(0.0041 * 200 / 199))
    assert odds["df"].unique().tolist() == [198]  # 200 - 1 stratum - 2 coefficients + 1
    reach = stats.t.ppf(0.975, 198) * np.array([np.sqrt(0.1025), 100 * np.sqrt(0.0041)])
    reach *= np.sqrt(200 / 199)
    assert odds.loc[1, ["lower", "upper"]].tolist() == pytest.approx(
        [4 * np.exp(-reach[0]), 4 * np.exp(reach[0])]
    )
    assert effect.loc[1, ["lower", "upper"]].tolist() == pytest.approx(
        [30 - reach[1], 30 + reach[1]]
    )
    assert effect["mark"].tolist() == ["基準", "▲"]
    gap = effect["estimate"][1]
    for threshold, mark in ((gap, "▲"), (np.nextafter(gap, 100), "")):
        rows = effects.marginal_effect_rows(design, model, point_threshold=threshold)
        assert rows["mark"][1] == mark
    p_value = 2 * stats.t.sf(30 / (100 * np.sqrt(0.0041 * 200 / 199)), 198)
    assert effect["p_value"][1] == pytest.approx(p_value)
    assert odds["n_unweighted"].tolist() == [100, 100]
    assert odds["n_cell"].tolist() == [20, 50]  # the fewer of events and non-events


def test_the_rarer_answer_counts_where_most_have_the_event():
    # Level a: 80 of 100 events, level b: 50 of 100; 70 people without the event for a coefficient
    factors, outcome = people(("a", 100, 80), ("b", 100, 50))
    model = bad_fit(factors, outcome)
    facts = effects.fact_rows(model).set_index("item_value")["estimate"]
    assert facts["smallest_level_outcome"] == 20
    assert facts["parameters"] == 1  # the constant aside
    assert facts["events_per_parameter"] == 70
    assert effects.odds_ratio_rows(model)["n_cell"].tolist() == [20, 50]
    weighted = Design(weights=np.tile([1.0, 3], 100))  # 200^2 / (50 * 1 + 50 * 9) in either level
    model = logit.fit_logit(weighted, outcome, factors=factors)
    assert effects.odds_ratio_rows(model)["n_effective"].tolist() == [80, 80]


def test_a_mark_needs_the_adjusted_test(sample):
    design = make_design(sample, "stratified")
    rows = effects.marginal_effect_rows(design, fit(design, sample), point_threshold=0)
    alpha = rows["p_value"].nsmallest(2).iloc[1] * 1.01  # its raw test holds, the adjusted not
    rows = effects.marginal_effect_rows(
        design, fit(design, sample), point_threshold=0, confidence=1 - alpha
    )
    is_marked = rows["mark"].isin(["▲", "▽"])
    assert (is_marked == (rows["p_adjusted"] < alpha)).all()
    assert (is_marked != (rows["p_value"] < alpha)).any()


def test_reference_rows_are_marked_and_have_no_interval(sample):
    rows = effects.odds_ratio_rows(fit(make_design(sample, "poststratified"), sample), wave=2023)
    base = rows[rows["mark"] == "基準"]
    assert dict(zip(base["item"], base["item_value"], strict=True)) == REFERENCE_LEVELS
    assert (base["estimate"] == 1).all()
    assert base[["std_error", "lower", "upper", "p_value", "p_adjusted"]].isna().all(axis=None)
    others = rows[rows["mark"] != "基準"]
    numbers = ["estimate", "std_error", "lower", "upper", "df", "p_value", "p_adjusted"]
    assert others[numbers].notna().all(axis=None)
    assert rows.columns.tolist() == list(ESTIMATE_COLUMNS)
    assert rows["item_value"].tolist()[:8] == BANDS  # in the order of the labels


def test_people_without_answers_are_counted_and_stay_in_the_design(sample):
    design = make_design(sample, "poststratified")
    model = fit(design, sample)
    without_job = int((sample["job"].isna() & sample["lonely"].notna()).sum())
    asked = int(sample["lonely"].notna().sum())
    facts = effects.fact_rows(model).set_index(["item", "item_value"])["estimate"]
    assert facts["model", "n"] == asked - without_job
    assert facts["model", "listwise_deletion"] == facts["job", "no_answer"] == without_job
    assert model.influence.shape == (len(sample), 12)
    assert (model.influence[~model.rows] == 0).all()


# --- merging --------------------------------------------------------------------------------------

NETS = {"x": [("bc", "BかC", ["b", "c"]), ("bcd", "B以下", ["b", "c", "d"])]}


def people(*groups):
    """(level, n, events) -> factor column and outcome."""
    level = np.concatenate([np.repeat(code, n) for code, n, _ in groups])
    outcome = np.concatenate([np.r_[np.ones(k), np.zeros(n - k)] for _, n, k in groups])
    return pd.DataFrame({"x": level.astype(object)}), outcome


def test_thin_level_joins_the_smallest_net_that_holds_it():
    # c has 9 people (< 10) and joins b; d is large enough and stays. Events 40+40+4+40 = 124 for
    # 2 coefficients: nothing more to merge.
    factors, outcome = people(("a", 200, 40), ("b", 100, 40), ("c", 9, 4), ("d", 100, 40))
    merged = merging.merge_levels(factors, outcome, nets=NETS, reference={"x": "c"})
    assert sorted(set(merged.factors["x"])) == ["a", "bc", "d"]
    assert merged.reference == {"x": "bc"}
    row = merged.log.iloc[0]
    assert (row["item"], row["item_value"], row["estimate"]) == ("x", "bc", 109)
    assert "「b」「c」を「BかC」にまとめました" in row["reason"]


@pytest.mark.parametrize(
    ("n", "events"), [(9, 5), (40, 4), (40, 36)], ids=["people", "events", "non-events"]
)
def test_each_minimum_makes_a_level_thin(n, events):
    factors, outcome = people(("a", 300, 100), ("b", 100, 40), ("c", n, events), ("d", 99, 40))
    merged = merging.merge_levels(factors, outcome, nets=NETS)
    assert "c" not in set(merged.factors["x"])
    groups = people(("a", 300, 100), ("b", 99, 40), ("c", 10, 5))
    assert "c" in set(merging.merge_levels(*groups, nets=NETS).factors["x"])
    groups[0]["z"] = np.where(np.arange(409) == 399, "", "1")  # one of c is not complete
    assert "c" not in set(merging.merge_levels(*groups, nets=NETS).factors["x"])


@pytest.mark.parametrize(("n", "kept"), [(9, False), (10, True)])
def test_ten_people_make_a_level(n, kept):
    groups = people(("a", 300, 100), ("b", 100, 40), ("c", n, 4), ("d", 100, 40))
    merged = merging.merge_levels(*groups, nets=NETS, minimum_events_per_level=4)
    assert ("c" in set(merged.factors["x"])) == kept


def test_thin_level_goes_up_the_tree_until_it_is_large_enough():
    # b and c together have 4 events, so that the next net takes d in too.
    factors, outcome = people(("a", 200, 60), ("b", 20, 2), ("c", 20, 2), ("d", 60, 30))
    merged = merging.merge_levels(factors, outcome, nets=NETS)
    assert sorted(set(merged.factors["x"])) == ["a", "bcd"]


@pytest.mark.parametrize("names", [("x", "z"), ("z", "x")])
def test_the_factor_that_the_study_names_first_stays_fine(names):
    # 59 events carry 5 coefficients of 6, so that one of two factors of four levels merges
    factors, outcome = people(
        *((code, 100, n) for code, n in zip("abcd", (15, 15, 15, 14), strict=True))
    )
    twice = pd.DataFrame({name: factors["x"].to_numpy() for name in names})
    twice[names[1]] = np.roll(twice[names[1]], 50)
    merged = merging.merge_levels(twice, outcome, nets=dict.fromkeys(names, NETS["x"]))
    assert set(merged.factors[names[0]]) == set("abcd")
    assert set(merged.factors[names[1]]) == {"a", "bc", "d"}


def test_the_log_gives_the_stronger_of_two_reasons():
    # c is thin and joins b; then 28 events are too few for 2 coefficients at 15 each
    groups = people(("a", 100, 9), ("b", 100, 10), ("c", 9, 4), ("d", 100, 5))
    merged = merging.merge_levels(*groups, nets=NETS, minimum_events_per_parameter=15)
    assert sorted(set(merged.factors["x"])) == ["a", "bcd"]
    assert "少ない区分があるため" in merged.log["reason"][0]


def test_thin_level_without_a_net_is_left_out_and_counted():
    factors, outcome = people(("a", 200, 60), ("b", 200, 60), ("d", 100, 40), ("e", 8, 2))
    merged = merging.merge_levels(factors, outcome, nets=NETS)
    assert merged.left_out.sum() == 8
    assert (merged.factors["x"] == "").sum() == 8
    assert merged.log[["item_value", "estimate"]].to_numpy().tolist() == [["e", 8]]
    report = models.model_outcome(
        Design(weights=np.ones(508)),
        outcome,
        factors=factors,
        items={"x": item("x", "abcde")},
        outcome_name="y",
    )
    facts = report.rows.set_index(["item", "item_value"])["estimate"]
    assert facts["model", "n"] == 500
    assert ("model", "listwise_deletion") not in facts.index  # left out is not "no answer"
    both = people(("a", 200, 60), ("b", 200, 60), ("e", 8, 2), ("f", 7, 2))
    assert merging.merge_levels(*both, nets=NETS).left_out.sum() == 15


def test_the_thinnest_level_leaves_first_and_the_last_takes_the_factor_along():
    # Without e the level d would be alone with a: the factor is dropped, the 8 of d stay
    factors, outcome = people(("a", 200, 60), ("d", 8, 2), ("e", 7, 2))
    factors["z"] = np.tile(["1", "2"], 108)[:215]
    merged = merging.merge_levels(factors, outcome, nets={})
    assert merged.left_out.sum() == 7
    assert merged.log["item_value"].tolist() == ["e", "dropped"]


def test_a_factor_dropped_for_a_level_that_separates():
    factors, outcome = people(("a", 100, 50), ("b", 50, 50))
    factors["z"] = np.tile(["1", "2"], 75)
    merged = merging.merge_levels(factors, outcome, nets={}, separated={("x", "b")})
    assert merged.factors.columns.tolist() == ["z"]


def test_factor_that_would_keep_one_level_is_dropped_with_its_people_kept():
    factors, outcome = people(("a", 300, 100), ("z", 4, 1))
    factors["y"] = np.where(np.arange(304) % 2 == 0, "1", "2")
    merged = merging.merge_levels(factors, outcome, nets={})
    assert merged.factors.columns.tolist() == ["y"]
    assert merged.left_out.sum() == 0
    assert merged.log[["item", "item_value"]].to_numpy().tolist() == [["x", "dropped"]]


def test_merges_until_there_are_events_enough_for_the_coefficients():
    # 30 events, 3 coefficients need 30: kept. With 29 the factor's finest net merges.
    enough = people(("a", 100, 10), ("b", 100, 10), ("c", 100, 5), ("d", 100, 5))
    short = people(("a", 100, 9), ("b", 100, 10), ("c", 100, 5), ("d", 100, 5))
    assert merging.merge_levels(*enough, nets=NETS).log.empty
    assert not merging.merge_levels(short[0], 1 - short[1], nets=NETS).log.empty  # the rarer answer
    merged = merging.merge_levels(*short, nets=NETS)
    assert sorted(set(merged.factors["x"])) == ["a", "bc", "d"]
    assert "条件の区分1つあたり" in merged.log["reason"][0]
    # Where the net that came of it separates the answers, it goes up the tree
    higher = merging.merge_levels(*short, nets=NETS, separated={("x", "bc")})
    assert sorted(set(higher.factors["x"])) == ["a", "bcd"]


def test_the_factor_with_most_levels_merges_first_and_an_exhausted_tree_is_noted():
    factors, outcome = people(("a", 100, 5), ("b", 100, 5), ("c", 100, 5), ("d", 100, 5))
    factors["z"] = np.tile(["1", "2"], 200)
    merged = merging.merge_levels(factors, outcome, nets=NETS | {"z": [("12", "全部", ["1", "2"])]})
    # 20 events for 4 coefficients; bc leaves 3, bcd leaves 2: enough. z keeps its two levels.
    assert sorted(set(merged.factors["x"])) == ["a", "bcd"]
    assert set(merged.factors["z"]) == {"1", "2"}
    # A net of all that is present is none: x stays as it is, and that is said
    low = merging.merge_levels(factors, outcome, nets={"x": [("all", "全部", list("abcd"))]})
    assert low.log["item_value"].tolist() == ["low_epv"]
    assert set(low.factors["x"]) == set("abcd")
    # 50 events for 5 coefficients at 12 each: x, with the most levels, merges, and 4 are carried
    factors, outcome = people(("a", 100, 20), ("b", 100, 10), ("c", 100, 10), ("d", 100, 10))
    factors["z"] = np.tile(["1", "2", "3"], 134)[:400]
    nets = {"z": [("12", "1か2", ["1", "2"])], **NETS}
    merged = merging.merge_levels(
        factors[["z", "x"]], outcome, nets=nets, minimum_events_per_parameter=12
    )
    assert sorted(set(merged.factors["x"])) == ["a", "bc", "d"]
    assert set(merged.factors["z"]) == {"1", "2", "3"}


def test_merging_does_not_depend_on_row_order():
    factors, outcome = people(("a", 60, 8), ("b", 30, 3), ("c", 25, 6), ("d", 40, 7), ("e", 9, 1))
    order = np.random.default_rng(1).permutation(len(outcome))
    one = merging.merge_levels(factors, outcome, nets=NETS)
    two = merging.merge_levels(factors.iloc[order], outcome[order], nets=NETS)
    pd.testing.assert_frame_equal(one.log, two.log)
    assert one.factors["x"].iloc[order].tolist() == two.factors["x"].tolist()


def test_level_that_separates_merges_by_the_tree():
    # Everybody at x = c has the event: no finite coefficient. (With no minimum of non-events the
    # level is not thin.) c joins b by the tree, and it fits.
    blocks = [("a", "1", 60, 20), ("a", "2", 60, 5), ("b", "1", 60, 40), ("b", "2", 60, 25)]
    blocks += [("c", "1", 60, 60), ("c", "2", 60, 60)]
    x = np.concatenate([np.repeat(level, n) for level, _, n, _ in blocks])
    z = np.concatenate([np.repeat(level, n) for _, level, n, _ in blocks])
    outcome = np.concatenate([np.r_[np.ones(k), np.zeros(n - k)] for *_, n, k in blocks])
    factors = pd.DataFrame({"x": x, "z": z}, dtype=object)
    design = Design(weights=np.ones(360))
    with pytest.raises(logit.SeparationError) as caught:
        logit.fit_logit(design, outcome, factors=factors, reference={"x": "a", "z": "1"})
    assert caught.value.levels == (("x", "c"),)
    nets = {"bc": ("BかC", ("b", "c"))}
    report = models.model_outcome(
        design,
        outcome,
        factors=factors,
        items={"x": item("x", "abc", nets=nets), "z": item("z", "12")},
        outcome_name="y",
        reference={"x": "a", "z": "1"},
        minimum_events_per_level=0,
    )
    assert report.error is None
    assert set(report.model.terms["level"]) == {"a", "bc", "1", "2"}
    assert "結果の定まらない区分" in report.merges["reason"][0]


def test_reference_that_separates_is_named_itself():
    factors, outcome = people(("a", 100, 0), ("b", 100, 40), ("c", 100, 40))
    with pytest.raises(logit.SeparationError) as caught:
        logit.fit_logit(
            Design(weights=np.ones(300)), outcome, factors=factors, reference={"x": "a"}
        )
    assert caught.value.levels == (("x", "a"),)


def test_merge_log_says_no_count_in_words():
    factors, outcome = people(("a", 200, 40), ("b", 100, 40), ("c", 9, 4), ("e", 7, 3))
    log = merging.merge_levels(factors, outcome, nets=NETS).log
    assert not log["reason"].str.contains(r"\d+人", regex=True).any()


# --- errors ---------------------------------------------------------------------------------------


def bad_fit(factors, outcome, **options):
    return logit.fit_logit(
        Design(weights=np.ones(len(outcome))), outcome, factors=factors, **options
    )


@pytest.fixture
def plain():
    level = np.tile(["1", "2", "3"], 100)
    outcome = (np.arange(300) % 5 == 0).astype(float)
    return pd.DataFrame({"x": level, "y": np.repeat(["a", "b"], 150)}), outcome


def raised(code, factors, outcome, **options):
    with pytest.raises(ModelError) as caught:
        bad_fit(factors, outcome, **options)
    assert caught.value.code == code
    assert "nan" not in str(caught.value).lower()
    return str(caught.value)


def test_perfect_separation_is_named(plain):  # MOD-01
    factors, outcome = plain
    text = raised("MODEL_SEPARATION", factors.assign(z=np.where(outcome == 1, "p", "q")), outcome)
    assert "z=" in text
    assert "x=" not in text


def test_quasi_separation_by_a_rare_level_is_named(plain):  # MOD-02
    factors, outcome = plain
    rare = np.where(np.isin(np.arange(300), [0, 10, 20]), "rare", "often")
    assert "z=rare" in raised("MODEL_SEPARATION", factors.assign(z=rare), outcome)


def test_separation_by_two_factors_together_is_found():
    # No level is all events, but the union of x=2 and z=2 holds every event: x=1, z=1 has none.
    x, z = np.repeat(["1", "2"], 100), np.tile(["1", "2"], 100)
    outcome = ((x == "2") | (z == "2")) & (np.arange(200) % 3 > 0)
    factors = pd.DataFrame({"x": x, "z": z, "w": np.where(x == z, "1", "2")})
    text = raised("MODEL_SEPARATION", factors, outcome.astype(float))
    assert "x=" in text
    assert "z=" in text


def test_no_programme_is_run_where_the_score_rules_separation_out(plain, monkeypatch):
    factors, outcome = plain
    expected = bad_fit(factors, outcome).coefficients
    monkeypatch.setattr(logit.optimize, "linprog", None)
    assert bad_fit(factors, outcome).coefficients.tolist() == expected.tolist()
    with pytest.raises(TypeError):  # but for separated answers there is no way around it
        bad_fit(factors.assign(z=np.where(outcome == 1, "p", "q")), outcome)


def test_ordinal_separation_is_named():
    # Everybody at level b gave the highest answer, nobody else did.
    factors, _ = people(("a", 100, 0), ("b", 100, 0))
    answer = np.r_[np.tile([1, 2], 50), np.full(100, 3)].astype(float)
    with pytest.raises(ModelError, match="MODEL_SEPARATION.*x="):
        ordinal.fit_ordinal(Design(weights=np.ones(200)), answer, factors=factors)


def test_one_class_outcome(plain):  # MOD-04
    raised("ONE_CLASS_OUTCOME", plain[0], np.zeros(300))
    raised("ONE_CLASS_OUTCOME", plain[0], np.full(300, np.nan))


def test_constant_predictor_is_dropped_and_named(plain):  # MOD-05
    factors, outcome = plain
    model = bad_fit(factors.assign(z="1"), outcome)
    assert [(note.code, note.item) for note in model.notes] == [("constant_predictor", "z")]
    assert "z" not in set(model.terms["factor"])


def test_collinear_levels_are_named(plain):  # MOD-06
    factors, outcome = plain
    text = raised("COLLINEARITY", factors.assign(z=factors["y"]), outcome)
    assert "y=b" in text
    assert "z=b" in text
    assert "x=" not in text
    for seed in range(20):  # unions of levels: the eigenvalue is 0 but for rounding, either way
        rng = np.random.default_rng(seed)
        fine = rng.integers(0, 5, 300)
        many = factors.assign(x=rng.integers(0, 4, 300), y=fine, z=fine > 2).astype(str)
        raised("COLLINEARITY", many, outcome)


def test_all_missing_predictor_is_named(plain):  # MOD-07
    factors, outcome = plain
    assert "z" in raised("ALL_MISSING_PREDICTOR", factors.assign(z=pd.NA), outcome)
    some = np.where(np.arange(300) < 20, np.nan, outcome)  # whose answers do not count
    for z in ("no_answer", np.where(np.isnan(some), "1", "")):
        with pytest.raises(ModelError, match="ALL_MISSING_PREDICTOR"):
            merging.merge_levels(factors.assign(z=z), some, nets={})


def test_levels_that_separate_one_after_the_other_merge_all():
    # c and r hold events alone; merging c leaves r, and both must stay merged
    x = np.repeat(list("abc"), 120)
    z = np.tile(np.repeat(list("pqr"), 40), 3)
    outcome = (np.arange(360) % 3 == 0) | (x == "c") | (z == "r")
    nets = [{"bc": ("BかC", ("b", "c"))}, {"qr": ("QかR", ("q", "r"))}]
    report = models.model_outcome(
        Design(weights=np.ones(360)),
        outcome.astype(float),
        factors=pd.DataFrame({"x": x, "z": z}),
        items={"x": item("x", "abc", nets=nets[0]), "z": item("z", "pqr", nets=nets[1])},
        outcome_name="y",
        minimum_events_per_level=0,
    )
    assert set(report.model.terms["level"]) == {"a", "bc", "p", "qr"}


def test_few_events_per_parameter_are_noted(plain):  # MOD-08
    # Every fifth of 300: 60 events for 3 coefficients is enough. Three of every 45: 20 (6 whole
    # rounds of 45 and one of 30 with 2), 6.7 a coefficient.
    factors, outcome = plain
    assert "low_epv" not in effects.fact_rows(bad_fit(factors, outcome))["item_value"].tolist()
    ten = (np.arange(300) % 10 == 0).astype(float)  # 30 for 3: just enough
    assert "low_epv" not in effects.fact_rows(bad_fit(factors, ten))["item_value"].tolist()
    few = np.isin(np.arange(300) % 45, [0, 16, 32]).astype(float)
    facts = effects.fact_rows(bad_fit(factors, few))
    assert "low_epv" in facts["item_value"].tolist()


def test_deletion_of_too_many_rows_is_refused_with_counts(plain):  # MIS-06
    factors, outcome = plain
    missing = factors.assign(y=factors["y"].where(np.arange(300) % 3 > 0, ""))
    assert "y 100" in raised("LISTWISE_DELETION", missing, outcome)


def test_not_converged_prints_no_numbers(plain, monkeypatch):  # MOD-03
    factors, outcome = plain
    monkeypatch.setattr(logit, "_SCORE_TOLERANCE", 0.0)
    monkeypatch.setattr(logit.linalg, "solve", lambda _, score, **__: 0.5 + 0 * score)
    raised("MODEL_NOT_CONVERGED", factors, outcome)


def test_too_few_people_or_degrees_of_freedom(plain):
    factors, outcome = plain
    raised("MODEL_BASE_TOO_SMALL", factors[:49], outcome[:49])
    raised("MODEL_DF", factors[:100], outcome[:100])
    raised("MODEL_LENGTH", factors[:10], outcome)
    raised("MODEL_NO_FACTOR", factors.assign(x="1", y="1"), outcome)
    raised("MODEL_OUTCOME_VALUES", factors, outcome + 1)


def test_a_model_of_50_people_and_30_percent_lost_is_the_least(plain):
    factors, outcome = plain
    least = {"minimum_residual_df": 1}
    assert bad_fit(factors[:50].assign(y="a"), outcome[:50], **least).matrix.shape[0] == 50
    raised("MODEL_BASE_TOO_SMALL", factors[:49].assign(y="a"), outcome[:49], **least)
    for n_lost in (90, 91):  # of 300
        lost = factors.assign(x=factors["x"].mask(np.arange(300) * 7 % 300 < n_lost, ""))
        if n_lost == 90:
            assert bad_fit(lost, outcome).matrix.shape[0] == 210
        else:
            raised("LISTWISE_DELETION", lost, outcome)


def test_few_events_in_all_are_refused_before_merging():
    factors, outcome = people(("a", 100, 5), ("b", 100, 4))
    with pytest.raises(ModelError, match="TOO_FEW_EVENTS"):
        merging.merge_levels(factors, outcome, nets={})
    enough = merging.merge_levels(*people(("a", 100, 5), ("b", 100, 5)), nets={})
    assert set(enough.factors["x"]) == {"a", "b"}  # twice the 5 that a level needs


# --- sensitivity ----------------------------------------------------------------------------------


def test_rubins_rules_by_hand():
    # Estimates 1, 2, 3: mean 2, between 1. Within 0.5, 0.6, 0.7: 0.6. Total 0.6 + 4/3 = 1.9333.
    # Share missing 1.3333 / 1.9333 = 0.6897. df: old (m-1)/share^2 = 2 / 0.4756 = 4.205;
    # observed (101/103) * 100 * 0.3103 = 30.43; 1 / (1/4.205 + 1/30.43) = 3.6945.
    estimates, variances = np.array([[1.0], [2.0], [3.0]]), np.array([[0.5], [0.6], [0.7]])
    mean, total, df = imputation.pool_estimates(estimates, variances, df=100)
    assert mean[0] == pytest.approx(2.0)
    assert total[0] == pytest.approx(0.6 + 4 / 3)
    assert df[0] == pytest.approx(3.6945, abs=1e-3)
    _, same, full = imputation.pool_estimates(np.ones((3, 1)), variances, df=100)
    assert same[0] == pytest.approx(0.6)  # nothing between: nothing missing
    assert full[0] == pytest.approx(100 * 101 / 103)


def test_imputation_fills_gaps_with_answers_of_people_alike():
    # y is a copy of x, so that the nearest donors of a person without y share the person's x.
    rng = np.random.default_rng(3)
    x = np.tile(["1", "2"], 200)
    factors = pd.DataFrame({"w": np.tile(["a", "a", "b", "b"], 100), "x": x, "y": x})
    factors.loc[rng.random(400) < 0.2, "y"] = ""
    outcome = np.tile([0.0, 1.0, 0.0, 0.0], 100)
    outcome[:5] = np.nan
    filled = imputation.impute_levels(factors, outcome, rng=rng)
    inside = ~np.isnan(outcome)
    assert (filled.loc[inside, "y"] == factors.loc[inside, "x"]).all()
    assert (filled.loc[~inside] == "").all(axis=None)
    # The order of the file changes nothing where chance goes by id
    factors["y"] = rng.choice(["1", "2", ""], 400)
    ids, moved = np.arange(400), rng.permutation(400)
    again = [
        imputation.impute_levels(
            factors.iloc[rows],
            outcome[rows],
            rng=np.random.default_rng(1),
            order=np.argsort(ids[rows]),
        ).sort_index()
        for rows in (ids, moved)
    ]
    pd.testing.assert_frame_equal(*again)


def test_donors_are_a_sample_of_many_people(monkeypatch):
    # Four groups that w, v and y all tell: of 40 donors some are of every group
    monkeypatch.setattr(imputation, "MOST_DONORS", 40)
    group = np.tile(["a", "b", "c", "d"], 75)
    factors = pd.DataFrame({"w": group, "v": group, "y": group})
    factors.loc[::7, "y"] = ""
    drawn = []

    class Watched:
        def __init__(self):
            self.rng = np.random.default_rng(5)

        def choice(self, pool, *size):
            drawn.extend(size)
            return self.rng.choice(pool, *size)

        def random(self, n):
            return self.rng.random(n)

    filled = imputation.impute_levels(factors, np.tile([0.0, 1.0], 150), rng=Watched(), n_donors=3)
    assert drawn == [40, 40, 40]  # a factor each
    assert (filled["y"] == group).all()


def test_sensitivity_shows_every_effect_unweighted_and_imputed(sample):
    design = make_design(sample, "stratified")
    names = ["age_band", "sex", "job", "confidant"]
    merged = merging.merge_levels(
        sample[names], sample["lonely"].to_numpy(), nets={}, reference=REFERENCE_LEVELS
    )
    rows = imputation.sensitivity_rows(
        design,
        sample["lonely"].to_numpy(),
        merged=merged,
        rng=np.random.default_rng(7),
        outcome_name="y",
        n_imputations=2,
    )
    assert rows["domain_value"].value_counts().to_dict() == {"unweighted": 15, "imputed": 15}
    plain = Design(weights=np.ones(len(sample)), strata=design.strata)
    expected = effects.marginal_effect_rows(plain, fit(plain, sample))
    unweighted = rows[rows["domain_value"] == "unweighted"].merge(
        expected, on=["item", "item_value"]
    )
    assert unweighted["std_error_x"].to_numpy() == pytest.approx(
        unweighted["std_error_y"].to_numpy(), nan_ok=True
    )
    assert set(rows["table_id"]) == {"model_y__sensitivity"}
    keys = ["domain_value", "item", "item_value"]
    assert not rows.duplicated(keys).any()
    main = effects.marginal_effect_rows(design, fit(design, sample))
    both = rows[rows["domain_value"] == "imputed"].merge(main, on=["item", "item_value"])
    # 3 % of one factor are missing: effects move by far less than their standard errors.
    moved = (both["estimate_x"] - both["estimate_y"]).abs()
    assert (moved.dropna() < 0.5 * both["std_error_y"].fillna(1)).all()
    assert rows.loc[rows["mark"] == "", "std_error"].notna().all()


def test_without_missing_answers_imputation_changes_nothing(sample):
    design = make_design(sample, "poststratified")
    names = ["sex", "confidant"]
    outcome = sample["lonely"].to_numpy()
    merged = merging.merge_levels(sample[names], outcome, nets={})
    rows = imputation.sensitivity_rows(
        design, outcome, merged=merged, rng=np.random.default_rng(7), n_imputations=2
    )
    model = logit.fit_logit(
        design, outcome, factors=sample[names], reference=merged.reference, labels=merged.labels
    )
    main = effects.marginal_effect_rows(design, model)
    imputed = rows[rows["domain_value"] == "imputed"]
    np.testing.assert_allclose(imputed["estimate"], main["estimate"], rtol=1e-10)
    np.testing.assert_allclose(imputed["std_error"], main["std_error"], rtol=1e-10)
    p_values = 2 * stats.t.sf(imputed["estimate"].abs() / imputed["std_error"], imputed["df"])
    np.testing.assert_allclose(imputed["p_value"], p_values)
    reach = stats.t.ppf(0.975, imputed["df"]) * imputed["std_error"]
    np.testing.assert_allclose(imputed["upper"], imputed["estimate"] + reach)
    assert set(main["mark"]) > {"▲"}  # which the variants do not repeat
    assert set(rows["mark"]) == {"基準", ""}


def test_people_of_a_level_left_out_stay_out_of_the_variants():
    factors, outcome = people(("a", 200, 60), ("b", 200, 60), ("d", 100, 40), ("e", 8, 2))
    merged = merging.merge_levels(factors, outcome, nets={})
    rows = imputation.sensitivity_rows(
        Design(weights=np.ones(508)), outcome, merged=merged, rng=np.random.default_rng(1),
        n_imputations=2,
    )  # fmt: skip
    assert rows.groupby("domain_value")["n_unweighted"].sum().tolist() == [500, 500]


# --- clustered studies ----------------------------------------------------------------------------


def clustered_report(n, *, n_units, reference="b"):
    """A report of people in units of equal size; level a stands in the first unit alone."""
    unit = np.arange(n) * n_units // n
    x = np.array(["l0", "l1", "l2"])[np.arange(n) % 3]
    lonely = (np.arange(n) * 7 % 20 < 5).astype(float)
    factors = pd.DataFrame({"x": x, "y": np.where(unit == 0, "a", "b"), "z": unit % 2}).astype(str)
    names = {name: item(name, sorted(set(factors[name]))) for name in factors}
    design = Design(weights=np.ones(n), psu=unit)
    return models.model_outcome(
        design,
        lonely,
        factors=factors,
        items=names,
        outcome_name="y",
        wave=2022,
        minimum_events_per_level=1,
        reference={"x": "l0", "y": reference, "z": "0"},
    )


def test_a_model_of_a_clustered_study_is_shown():
    # 40 units: the design has 39 - 4 degrees of freedom, the people 1,500 - 5
    report = clustered_report(1_500, n_units=40)
    assert report.rows["df"].max() == 39 - 4
    after = suppression.suppress(report.rows, settings=Disclosure())
    shown = after[after["measure"] == "odds_ratio"]
    assert len(shown) == 3 + 2 + 2
    assert "suppressed" not in set(shown["status"])


def test_a_model_of_few_people_for_its_coefficients_is_hidden():
    # 30 coefficients: of 129 people 99 are left, of 130 the 100 that the policy asks
    factors = pd.DataFrame({"x": [f"l{i % 30:02d}" for i in range(130)]})
    outcome = (np.arange(130) // 30 % 2).astype(float)
    raised("MODEL_DF", factors[:129], outcome[:129])
    assert bad_fit(factors, outcome).matrix.shape == (130, 30)
    rows = clustered_report(1_500, n_units=300).rows  # design 299 - 4
    facts = rows["item"] == "model"
    for n, parameters, status in ((120, 19, "published"), (120, 20, "suppressed")):  # 100 and 99
        rows.loc[facts & (rows["item_value"] == "n"), "estimate"] = n
        rows.loc[facts & (rows["item_value"] == "parameters"), "estimate"] = parameters
        both = [rows, rows.assign(table_id="model_y__sensitivity")[~facts]]
        after = suppression.suppress(pd.concat(both, ignore_index=True), settings=Disclosure())
        assert set(after.loc[after["measure"] == "odds_ratio", "status"]) == {status}


def test_a_level_inside_one_sampling_unit_has_no_error():
    rows = clustered_report(1_500, n_units=40).rows.set_index(["measure", "item", "item_value"])
    numbers = ["std_error", "lower", "upper", "p_value", "p_adjusted"]
    for measure in ("odds_ratio", "marginal_effect_points"):
        alone = rows.loc[(measure, "y", "a")]
        assert alone[numbers].isna().all()
        assert alone["reason"] == "抽出単位が少なく、誤差を示せません。"
        assert np.isfinite(alone["estimate"])
        assert rows.loc[(measure, "x", "l1"), numbers].notna().all()
    assert np.isnan(rows.loc[("wald_f", "y", "all"), "estimate"])
    assert rows.loc[("wald_f", "x", "all"), "estimate"] >= 0
    # Units count by the people in the model: of those of a in the second unit nobody answered
    unit, both = np.repeat(np.arange(40), 10), np.arange(400) % 2
    outcome = np.where(unit == 1, np.nan, both * (np.arange(400) % 3 > 0))
    factors = pd.DataFrame({"y": np.where(unit < 2, "a", "b")})
    model = logit.fit_logit(Design(weights=np.ones(400), psu=unit), outcome, factors=factors)
    assert model.terms["df"].tolist() == [0, 37]
    # With it as the reference the other level has none either
    other = clustered_report(1_500, n_units=40, reference="a").rows
    other = other.set_index(["measure", "item", "item_value"]).loc[("odds_ratio", "y", "b")]
    assert other[numbers].isna().all()


# --- the notebook's call --------------------------------------------------------------------------


def item(name, options, **parts):
    labels = {code: f"{code}の人" for code in options}
    return Item(name=name, label=name, short_label=name, kind="SA", options=labels, **parts)


def test_factors_and_outcome_leave_out_what_is_no_answer():
    respondents = pd.DataFrame({"x": ["1", "2", "9", "no_answer", pd.NA]}, dtype="string")
    one = item("x", "12", missing={"9": "答えたくない"})
    factors = merging.build_factors(respondents, [one])["x"]
    assert factors.fillna("").tolist() == ["1", "2", "", "", ""]
    outcome = merging.binary_outcome(one, respondents, codes=["2"])
    np.testing.assert_array_equal(outcome, [0, 1, np.nan, np.nan, np.nan])
    with pytest.raises(ModelError, match="MODEL_FACTOR_KIND"):
        merging.build_factors(respondents, [dataclasses.replace(one, kind="MA")])


def test_model_outcome_lays_out_rows_under_the_contract(sample):
    names = ["age_band", "sex", "job", "confidant"]
    levels = {"age_band": BANDS[1:5] + ["50s", "60s", "70s", "80+"], "sex": "12", "job": "123"}
    young = {"young": ("16〜29歳", ("16-19", "20s")), "old": ("70歳以上", ("70s", "80+"))}
    items = {name: item(name, levels.get(name, "12")) for name in names}
    items["age_band"] = item("age_band", levels["age_band"], nets=young)
    report = models.model_outcome(
        make_design(sample, "stratified"),
        sample["lonely"].to_numpy(),
        factors=sample[names],
        items=items,
        outcome_name="lonely_often",
        wave=2023,
        reference=REFERENCE_LEVELS,
    )
    assert report.error is None
    assert report.summary.startswith(f"{len(report.model.outcome)}人")
    assert set(report.rows["table_id"]) == {"model_lonely_often"}
    assert set(report.merges["table_id"]) == {"model_merges"}
    assert set(report.merges["wave"]) == {2023}
    measures = {"odds_ratio", "marginal_effect_points", "wald_f", "count", "ratio"}
    assert measures == set(report.rows["measure"])
    keys = ["table_id", "measure", "domain", "domain_value", "item", "item_value"]
    for rows in (report.rows, report.merges):
        assert not rows.duplicated(keys).any()
        assert rows["estimate"].notna().all()
        assert rows.columns.tolist() == list(ESTIMATE_COLUMNS)
    ages = report.rows.query("measure == 'odds_ratio' and item == 'age_band'")
    assert ages["item_label"].tolist()[:2] == ["16〜29歳", "30sの人"]
    # A net stands where its first answer stood
    assert ages["item_value"].tolist() == ["young", "30s", "40s", "50s", "60s", "old"]


def test_model_that_cannot_be_fitted_becomes_a_notice_without_levels_or_numbers():
    factors, outcome = people(("a", 100, 0), ("b", 100, 50))
    factors["z"] = factors["x"]
    report = models.model_outcome(
        Design(weights=np.ones(200)),
        outcome,
        factors=factors,
        items={"x": item("x", "ab"), "z": item("z", "ab")},
        outcome_name="y",
        minimum_events_per_level=1,
    )
    assert report.model is None
    assert report.summary == str(report.error)
    assert report.error is not None
    assert report.rows["estimate"].isna().all()
    assert report.rows["status"].tolist() == ["suppressed"]
    assert report.rows["weighting"].tolist() == ["given"]
    assert not report.rows["reason"].str.contains(r"\d|=", regex=True).any()
