"""Tables of a study's plan, on ten people whose every figure can be worked out by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tsunagari import tables
from tsunagari.errors import ModelError
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.statistics import designs, weighting
from tsunagari.statistics.association import rao_scott
from tsunagari.study import survey
from tsunagari.study.survey import open_study

CODEBOOK = """\
question_no,item,variable,type,label,short_label,code,code_label,role,min,max,ask_if,required,\
scale,sensitive,waves,version,certainty_wording,certainty_options,certainty_order,source
,,id,ID,番号,,,,,,,,yes,,,,,own,own,own,test
S1,,region,SA,地域,,1,北,,,,,yes,,,,,own,own,own,test
,,region,,,,2,南,,,,,,,,,,,,,
S2,,sex,SA,性別,,1,男性,,,,,yes,,,,,own,own,own,test
,,sex,,,,2,女性,,,,,,,,,,,,,
,,sex,,,,3,その他,,,,,,,,,,,,,
1,,age,NUM,年齢,,,,,0,110,,yes,,,,,own,own,own,test
2,,lonely,SA,孤独感,,1,ない,,,,,yes,,,,,own,own,own,test
,,lonely,,,,2,時々,,,,,,,,,,,,,
,,lonely,,,,3,いつも,,,,,,,,,,,,,
,,lonely,,,,9,無回答,no_answer,,,,,,,,,,,,
3,event,event_1,MA,出来事,,1,転居,,,,lonely=2|3,,,,,,own,own,own,test
,event,event_2,MA,,,2,死別,,,,,,,,,,,,,
,event,event_3,MA,,,3,ない,exclusive,,,,,,,,,,,,
4,,a,SA,項目A,,1,ない,,,,,yes,s,,,,own,own,own,test
,,a,,,,2,ある,,,,,,s,,,,,,,
5,,b,SA,項目B,,1,ない,,,,,yes,s,,,,own,own,own,test
,,b,,,,2,ある,,,,,,s,,,,,,,
"""

CONFIG = {
    "study": "small",
    "title": "小さな調査",
    "area": "県",
    "people": "県民",
    "waves": {2022: {"responses": "responses.csv", "fieldwork": "2023年1月"}},
    "columns": {"respondent_id": "id"},
    "design": {"region": "region", "age": "age", "age_band": "age_band", "sex": "sex"},
    "derive": {
        "age_band": {
            "label": "年代",
            "bands_of": "age",
            "bands": [
                {"code": "y", "label": "若い", "from": 16, "to": 39},
                {"code": "o", "label": "40以上", "from": 40, "to": None},
            ],
        },
        "score": {"label": "得点", "sum_of": ["a", "b"], "from": 2, "to": 4, "scale": "s"},
    },
    "recode": {"lonely": [{"code": "some", "label": "ある（計）", "of": ["2", "3"]}]},
    "weighting": {
        "method": "post_stratification",
        "label": "事後層化",
        "cells": ["region"],
        "targets": "population.csv",
        "sample_share": {"sex": ["3"]},
    },
    "indicators": {"often": {"label": "いつも", "item": "lonely", "codes": ["3"]}},
    "tables": {
        "axes": ["region", "sex", "lonely", ["region", "sex"]],
        "crosses": ["lonely", "event"],
        "joint": [["lonely", "a"]],
    },
    "model": {"outcomes": ["often"], "factors": ["region"], "reference": {"region": "1"}},
}

# Six people in the north (1), four in the south (2). Population 120 and 160: a northerner stands
# for 20 people, a southerner for 40.
TEXT = pd.DataFrame(
    {
        "region": list("1111112222"),
        "sex": list("1112231122"),
        "lonely": ["1", "1", "2", "3", "3", "no_answer", "1", "2", "2", "3"],
        "age_band": list("yyyoooyyoo"),
        "a": list("1122211212"),
        "b": list("1121211222"),
    }
).astype("string")
POPULATION = pd.DataFrame({"region": ["1", "2"], "population": [120, 160]})


def write(root: Path, config: dict) -> survey.Study:
    place = root / "data" / "raw" / "small"
    place.mkdir(parents=True, exist_ok=True)
    (place / "codebook.csv").write_text(CODEBOOK, encoding="utf-8")
    (place / "study.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    return open_study("small", 2022)


@pytest.fixture
def small(tmp_path, monkeypatch) -> survey.Study:
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    return write(tmp_path, CONFIG)


@pytest.fixture
def people() -> pd.DataFrame:
    table = TEXT.copy()
    asked = table["lonely"].isin(["2", "3"])  # of six asked one gives no answer
    table["event"] = pd.Series(pd.NA, index=table.index, dtype="string").mask(asked, "answered")
    table.loc[9, "event"] = "no_answer"
    chosen = {"event_1": [2, 3], "event_2": [3, 7], "event_3": [4, 8]}
    for column, rows in chosen.items():
        values = pd.Series(pd.NA, index=table.index, dtype="Int8").mask(asked, 0)
        values[rows] = 1
        table[column] = values
    table["score"] = (table["a"].astype("Int64") + table["b"].astype("Int64")).astype("Int64")
    table["respondent_id"] = [f"p{i}" for i in range(10)]
    return table


@pytest.fixture
def design(small, people) -> designs.Design:
    return weighting.weigh_respondents(people, POPULATION, settings=small.config.weighting)


def pick(rows: pd.DataFrame, **keys) -> pd.Series:
    keys = {"measure": "percent", "domain_value": "all"} | keys
    found = rows[(rows[list(keys)] == pd.Series(keys)).all(axis=1)]
    assert len(found) == 1, keys
    return found.iloc[0]


# --- single tables --------------------------------------------------------------------------------


def test_single_tables_count_weighted_answers_nets_and_no_answer(small, people, design):
    rows = tables.tabulate_all(small, people, design=design)
    assert list(rows.columns) == list(ESTIMATE_COLUMNS)
    lonely = rows[rows["item"] == "lonely"].set_index("item_value")
    # of 6 x 20 + 4 x 40 = 280: 20 + 20 + 40 say never, 20 + 40 + 40 sometimes, 20 + 20 + 40 always
    expected = {"1": 80, "2": 100, "3": 80, "some": 180, "no_answer": 20}
    assert lonely["estimate"].to_dict() == pytest.approx({k: v / 2.8 for k, v in expected.items()})
    assert (lonely["n_unweighted"] == 10).all()
    assert lonely["n_cell"].to_dict() == {"1": 3, "2": 3, "3": 3, "some": 6, "no_answer": 1}
    assert lonely.loc["some", "item_label"] == "ある（計）"
    # Kish: 280^2 / (6 x 20^2 + 4 x 40^2)
    assert lonely["n_effective"].unique() == pytest.approx([78400 / 8800])
    assert tables.single_answer_sums(small, rows)["lonely"] == pytest.approx(100)


def test_multi_answer_tables_have_those_asked_as_base(small, people, design):
    rows = tables.tabulate_all(small, people, design=design)
    event = rows[rows["item"] == "event"].set_index("item_value")
    # asked: three northerners (60) and three southerners (120), of whom one gives no answer (40)
    expected = {"1": 40 / 1.8, "2": 60 / 1.8, "3": 60 / 1.8, "no_answer": 40 / 1.8}
    assert event["estimate"].to_dict() == pytest.approx(expected)
    assert (event["n_unweighted"] == 6).all()


def test_a_scale_has_its_mean_and_alpha(small, people, design):
    rows = tables.tabulate_all(small, people, design=design)
    score = rows[rows["table_id"] == "gt_score"].set_index("measure")
    # sums 2 2 4 3 4 2 | 2 4 3 4: (17 x 20 + 13 x 40) / 280
    assert score.loc["mean", "estimate"] == pytest.approx((17 * 20 + 13 * 40) / 280)
    alpha = score.loc["cronbach_alpha"].set_index("item_value")["estimate"]
    # unweighted: a and b 5 of 10 each, variance 1/4; the sum 9.8 - 9 = 0.8: 2 (1 - 0.5 / 0.8)
    assert alpha["unweighted"] == pytest.approx(2 * (1 - 0.5 / 0.8))


def test_a_scale_nobody_answered_is_left_out_and_a_constant_one_has_no_alpha(small, people, design):
    nobody = people.assign(a="no_answer", b="no_answer")
    nobody["score"] = pd.Series(pd.NA, index=people.index, dtype="Int64")
    rows = tables.tabulate_all(small, nobody, design=design)
    assert "gt_score" not in set(rows["table_id"])
    assert pick(rows, item="a", item_value="no_answer")["estimate"] == 100
    same = people.assign(a="1", b="1", score=pd.Series(2, index=people.index, dtype="Int64"))
    rows = tables.tabulate_all(small, same, design=design)
    assert rows.loc[rows["table_id"] == "gt_score", "measure"].tolist() == ["mean"]
    assert pick(rows, item="a", item_value="1")["std_error"] == 0


def test_joint_table_counts_who_answered_both(small, people, design):
    rows = tables.joint_tables(small, people, design=design)
    rows = rows[rows["table_id"] == "joint_lonely_x_a"].set_index("item_value")
    # the sixth person gave no answer on loneliness: base 260; never and a=1: 20 + 20 + 40
    assert rows["n_unweighted"].unique().tolist() == [9]
    assert rows.loc["1 x 1", "estimate"] == pytest.approx(80 / 2.6)
    assert rows.loc["1 x 2", "estimate"] == 0
    assert rows["estimate"].sum() == pytest.approx(100)
    assert rows.loc["3 x 2", "item_label"] == "いつも・ある"
    nobody = people.assign(lonely="no_answer")
    assert tables.joint_tables(small, nobody, design=design).empty


def test_a_joint_table_with_a_small_group_is_not_made_along_an_axis(small, people, design):
    assert small.config.disclosure.threshold == 10  # ten people in six groups of two regions
    assert set(tables.joint_tables(small, people, design=design)["domain"]) == {"all"}


def test_a_joint_table_says_who_is_in_which_group(small, people, design):
    plan = small.config.disclosure.model_copy(update={"threshold": 0})
    small = replace(small, config=small.config.model_copy(update={"disclosure": plan}))
    rows = tables.joint_tables(small, people, design=design)
    assert set(rows["domain"]) == {"all", "region", "sex"}  # the variables of the nested axis
    own = {"table_id": "cross_region__lonely_x_a", "domain_value": "1", "item_value": "1 x 1"}
    north, gap = (pick(rows, measure=each, **own) for each in ("percent", "difference_points"))
    # never and a=1: two of the five northerners who answered both, one of the four southerners
    assert (north["estimate"], north["n_unweighted"]) == (pytest.approx(40), 5)
    assert gap["estimate"] == pytest.approx(100 * (2 / 5 - 1 / 4))
    # z = (y - p) / n_r, as above: 5 (1/5)^2 2/5 3/5 and 4 (1/4)^2 1/4 3/4
    variance = 10 / 9 * (2 / 5 * 3 / 5 / 5 + 1 / 4 * 3 / 4 / 4)
    assert gap["std_error"] == pytest.approx(100 * np.sqrt(variance))


# --- cross tables ---------------------------------------------------------------------------------


def test_cross_table_sets_each_domain_against_the_rest(small, people, design):
    rows = tables.cross_tables(small, people, design=design)
    north = pick(rows, table_id="cross_region__lonely", domain_value="1", item_value="3")
    assert north["estimate"] == pytest.approx(100 * 2 / 6)
    gap = pick(rows, table_id="cross_region__lonely", domain_value="1", item_value="3",
               measure="difference_points")  # fmt: skip
    assert gap["estimate"] == pytest.approx(100 * (2 / 6 - 1 / 4))
    # within a region weights are equal and calibration takes nothing (each cell is one region):
    # u = (y - p) / N_r, z = w u; n/(n-1) sum z^2 over all ten, since regions are no strata here
    variance = 10 / 9 * (6 * (1 / 6) ** 2 * (2 / 6) * (4 / 6) + 4 * (1 / 4) ** 2 * 3 / 16)
    assert gap["std_error"] == pytest.approx(100 * np.sqrt(variance))
    assert gap["df"] == 9
    assert not rows["table_id"].str.startswith("cross_lonely__lonely").any()


def test_a_side_under_fifty_people_is_not_tested(small):
    people = pd.DataFrame({"region": ["1"] * 300 + ["2"] * 49, "sex": "1"}, dtype="string")
    people["lonely"] = ["1"] * 300 + ["3"] * 49
    plan = CONFIG | {"tables": {"axes": ["region"], "crosses": ["lonely"]}}
    survey = write(small.raw_dir.parents[2], plan)
    for count, tested in ((349, False), (350, True)):
        group = people if count == 349 else pd.concat([people, people.tail(1)], ignore_index=True)
        design = weighting.weigh_respondents(group, POPULATION, settings=survey.config.weighting)
        rows = tables.cross_tables(survey, group, design=design)
        gaps = rows[rows["measure"] == "difference_points"]
        assert gaps["p_value"].notna().eq(tested).all()


def test_other_sex_stands_in_no_domain_and_in_no_test(small, people, design):
    rows = tables.cross_tables(small, people, design=design)
    by_sex = rows[rows["table_id"] == "cross_sex__lonely"]
    assert set(by_sex["domain_value"]) == {"all", "1", "2"}
    test = by_sex[by_sex["measure"] == "rao_scott_f"]
    # ten people less the one of another sex, who gave no answer either
    assert test["n_unweighted"].tolist() == [9]


def test_who_gave_no_answer_on_the_axis_is_no_row_of_its_test(small, people, design):
    people = people.assign(a=people["a"].mask(people.index == 0, "no_answer"))
    config = CONFIG | {"tables": {"axes": ["lonely"], "crosses": ["a"]}}
    plan = write(small.raw_dir.parents[2], config)
    (test,) = tables.cross_tests(plan, people, design=design).to_dict("records")
    clean = people.index.to_series().isin([0, 5])  # no answer on a, no answer on lonely
    alone = designs.Design(
        weights=design.weights, base_weights=design.base_weights, margins=design.margins
    )
    blanked = people["lonely"].mask(clean)
    expected = rao_scott(alone, blanked, columns=people["a"].mask(clean)).iloc[0]
    assert test["n_unweighted"] == 8
    assert test["estimate"] == pytest.approx(expected["estimate"])


def test_a_question_asked_in_one_domain_alone_has_no_difference(small, people, design):
    # events are asked of the lonely alone; the axis of two answers: never and some
    config = CONFIG | {"tables": {"axes": ["lonely"], "crosses": ["event"], "base": "asked"}}
    plan = write(small.raw_dir.parents[2], config)
    people = people.assign(lonely=people["lonely"].replace({"3": "2"}))
    rows = tables.cross_tables(plan, people, design=design)
    assert set(rows["measure"]) == {"percent"}
    assert set(rows["domain_value"]) == {"2"}


def test_an_axis_sets_the_nets_of_the_plan_against_each_other(small, people, design):
    nets = [{"code": "some", "label": "ある", "of": ["2", "3"]}]
    nets.append({"code": "none", "label": "ない", "of": ["1"]})
    plan = {"axes": ["lonely"], "crosses": ["a"], "axis_nets": {"lonely": ["some", "none"]}}
    survey = write(small.raw_dir.parents[2], CONFIG | {"tables": plan, "recode": {"lonely": nets}})
    rows = tables.cross_tables(survey, people, design=design)
    gap = pick(rows, domain_value="some", item_value="2", measure="difference_points")
    # lonely: a=2 are 3 x 20 in the north and 2 x 40 in the south, of 180; everybody else: 80 who
    # are not lonely, none of them a=2, and 20 without an answer
    assert gap["estimate"] == pytest.approx(100 * (140 / 180 - 0 / 100))


@pytest.mark.parametrize(
    ("counts", "left"),
    [
        ({"1": 60, "2": 28, "3": 12}, {"1": 60, "some": 40}),
        ({"1": 60, "2": 31, "3": 30}, {"1": 60, "2": 31, "3": 30}),  # none is thin
        ({"1": 60, "2": 20, "3": 9}, {"1": 60, "2": 20, "3": 9}),  # the net has 29 of 30
        ({"2": 40, "3": 12}, {"2": 40, "3": 12}),  # one category would be left
        ({"1": 1200, "2": 600, "3": 80}, {"1": 1200, "some": 680}),  # under a twentieth
        ({"1": 1200, "2": 600, "3": 95}, {"1": 1200, "2": 600, "3": 95}),  # 1,895 / 20 = 94.75
        ({"1": 4000, "2": 600, "3": 100}, {"1": 4000, "2": 600, "3": 100}),  # ten times 10 people
    ],
)
def test_a_thin_code_of_an_axis_is_merged_with_its_net(small, counts, left):
    nets = [{"code": "some", "label": "ある", "of": ["2", "3"]}]
    survey = write(small.raw_dir.parents[2], CONFIG | {"recode": {"lonely": nets}})
    answers = [code for code, n in counts.items() for _ in range(n)]
    (frame,) = tables.domain_frames(survey, pd.DataFrame({"lonely": answers}), axis=["lonely"])
    assert frame["lonely"].value_counts().to_dict() == left


def test_ages_stay_as_fine_as_the_reference_base_lets_them(small):
    nets = [{"code": "ab", "label": "計", "of": ["a", "b"]}]
    bands = [{"code": code, "label": code, "from": low, "to": low + 9}
             for code, low in (("a", 20), ("b", 30), ("c", 40))]  # fmt: skip
    derive = {"age_band": CONFIG["derive"]["age_band"] | {"bands": bands}}
    config = CONFIG | {"derive": CONFIG["derive"] | derive, "recode": {"age_band": nets}}
    survey = write(small.raw_dir.parents[2], config)
    for n, left in ((30, 30), (29, 0)):
        ages = pd.DataFrame({"age_band": ["a"] * n + ["b"] * 600 + ["c"] * 600})
        (frame,) = tables.domain_frames(survey, ages, axis=["age_band"])
        assert (frame["age_band"] == "a").sum() == left


def test_a_plan_with_nothing_to_cross_gives_no_rows(small, people, design):
    config = CONFIG | {"tables": {"axes": ["lonely"], "crosses": ["lonely"]}}
    plan = write(small.raw_dir.parents[2], config)
    assert tables.cross_tables(plan, people, design=design).empty
    only_multi = CONFIG | {"tables": {"axes": ["region"], "crosses": ["event"]}}
    plan = write(small.raw_dir.parents[2], only_multi)
    rows = tables.cross_tables(plan, people, design=design)
    assert not rows["measure"].eq("rao_scott_f").any()


def test_a_table_that_cannot_be_tested_says_so(small, people, design, monkeypatch):
    def refuse(*_, **__):
        raise ModelError.told("NO_TEST", ja="検定できません。", en="No test.")

    monkeypatch.setattr(tables, "rao_scott", refuse)
    tests = tables.cross_tests(small, people, design=design)
    assert tests["reason"].unique().tolist() == ["検定できません。"]
    assert tests["p_value"].isna().all()


# --- indicators, comparisons, models --------------------------------------------------------------


def test_headline_counts_the_indicator_for_everybody_and_along_axes(small, people, design):
    rows = tables.headline_table(small, people, design=design)
    overall = pick(rows, domain="all")
    assert overall["estimate"] == pytest.approx(80 / 2.8)
    assert (overall["item"], overall["item_value"]) == ("often", "1")
    nested = pick(rows, domain="region x sex", domain_value="1 x 2")
    assert (nested["estimate"], nested["n_unweighted"]) == (100, 2)
    assert "lonely" not in set(rows["domain"])  # the indicator's own question
    assert not rows.duplicated(["measure", "domain", "domain_value", "item"]).any()


def test_order_of_rows_changes_nothing(small, people, design):
    order = np.random.default_rng(1).permutation(len(people))
    shuffled = people.iloc[order].reset_index(drop=True)
    other = weighting.weigh_respondents(shuffled, POPULATION, settings=small.config.weighting)
    for make in (tables.tabulate_all, tables.cross_tables, tables.headline_table):
        one, two = make(small, people, design=design), make(small, shuffled, design=other)
        pd.testing.assert_frame_equal(one, two, rtol=1e-9, check_dtype=False)


def test_national_rows_show_no_domain_of_two_variables(small, people, design):
    benchmark = {
        "label": "全国",
        "table": "national",
        "items": {"lonely": "lonely"},
        "caveat": "注",
    }
    config = CONFIG | {"benchmark": benchmark}
    config = config | {"waves": {2022: CONFIG["waves"][2022] | {"benchmark_year": 2022}}}
    plan = write(small.raw_dir.parents[2], config)
    keys = {"year": 2022, "item": "lonely", "item_value": "3", "n": 4000}
    keys |= {"base": "asked", "source": "test", "certainty": "official", "percent": 5.0}
    where = {"all": "all", "sex": "1", "age_band x sex": "y x 1"}
    benchmark = pd.DataFrame([keys | {"domain": d, "domain_value": v} for d, v in where.items()])
    rows = tables.national_tables(plan, people, design=design, benchmark=benchmark)
    assert set(rows["domain"]) == {"all", "sex"}
    gap = rows[(rows["measure"] == "difference_points") & (rows["domain"] == "all")].iloc[0]
    # 80 of 280 against 5 %; ten people are too few to be judged, and no age mix is published
    assert gap["estimate"] == pytest.approx(80 / 2.8 - 5)
    assert gap["verdict"] == "比較できない"


def test_a_study_without_a_benchmark_has_no_national_rows(small, people, design):
    rows = tables.national_tables(small, people, design=design, benchmark=pd.DataFrame())
    assert rows.empty
    assert list(rows.columns) == list(ESTIMATE_COLUMNS)


def test_weighting_sensitivity_names_every_design(small, people, design):
    designs = weighting.alternative_designs(people, POPULATION, settings=small.config.weighting)
    rows = tables.weighting_sensitivity(small, people, designs=designs)
    shares = rows.set_index("weighting")["estimate"]
    assert shares["unweighted"] == pytest.approx(30)
    assert shares[design.scheme] == pytest.approx(80 / 2.8)
    assert rows["table_id"].unique().tolist() == ["weights_sensitivity"]


def sensitivity_of(small: survey.Study, people: pd.DataFrame) -> pd.DataFrame:
    design = weighting.weigh_respondents(people, POPULATION, settings=small.config.weighting)
    reports = tables.model_tables(
        small,
        people,
        design=design,
        factors=people[["region", "a"]],
        minimum_events_per_parameter=10,
        minimum_events_per_level=5,
    )
    rng = np.random.default_rng(5)
    rows = tables.model_sensitivity(small, people, design=design, reports=reports, rng=rng)
    withheld = {"often": replace(reports["often"], model=None)}
    none = tables.model_sensitivity(small, people, design=design, reports=withheld, rng=rng)
    assert none.empty
    return rows


def test_model_sensitivity_has_two_variants_whatever_the_order_of_rows(small):
    rng = np.random.default_rng(3)
    region = rng.choice(["1", "2"], 400)
    lonely = np.where(rng.random(400) < np.where(region == "1", 0.4, 0.2), "3", "1")
    lonely[:8] = "no_answer"
    people = pd.DataFrame({"region": region, "sex": "1", "lonely": lonely}, dtype="string")
    people["a"] = pd.Series(rng.choice(["1", "2"], 400), dtype="string")
    people.loc[8:60, "a"] = pd.NA  # to be imputed
    people["respondent_id"] = [f"p{i:03}" for i in range(400)]
    rows = sensitivity_of(small, people)
    assert set(rows["table_id"]) == {"model_often__sensitivity"}
    assert set(rows["measure"]) == {"marginal_effect_points"}
    assert set(rows["domain_value"]) == {"unweighted", "imputed"}
    shuffled = people.iloc[rng.permutation(400)].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, sensitivity_of(small, shuffled), rtol=1e-7)


def test_all_models_are_of_the_same_people(small):
    rng = np.random.default_rng(4)
    n = 600
    people = pd.DataFrame({"sex": "1"}, index=range(n), dtype="string")
    people["region"] = pd.Series(rng.choice(["1", "2"], n), dtype="string")
    people["a"] = pd.Series(rng.choice(["1", "2", "3"], n, p=[0.47, 0.47, 0.06]), dtype="string")
    people["lonely"] = pd.Series(rng.choice(["1", "2", "3"], n), dtype="string")
    # nobody of the level 3 is lonely often, so that the model of `often` alone leaves it out
    people.loc[people["a"] == "3", "lonely"] = "1"
    people.loc[people.index[people["a"] == "3"][::2], "lonely"] = "2"
    people.loc[:6, "lonely"] = "no_answer"
    config = small.config
    often = config.indicators["often"]
    rarely = often.model_copy(update={"codes": ["2"], "label": "ない人"})
    plan = config.model.model_copy(update={"outcomes": ["often", "rarely"]})
    both = replace(
        small,
        config=config.model_copy(
            update={"indicators": config.indicators | {"rarely": rarely}, "model": plan}
        ),
    )
    design = weighting.weigh_respondents(people, POPULATION, settings=config.weighting)
    reports = tables.model_tables(
        both,
        people,
        design=design,
        factors=people[["region", "a"]],
        minimum_events_per_parameter=1,
        minimum_events_per_level=5,
    )
    assert [report.error for report in reports.values()] == [None, None]
    used = [report.model.rows for report in reports.values()]
    left_out = (people["a"] == "3") | (people["lonely"] == "no_answer")
    assert [rows.tolist() for rows in used] == [(~left_out).tolist()] * 2
