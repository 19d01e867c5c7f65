"""Verdicts: one figure, one family, one verdict; and nothing hidden behind a shown one."""

import itertools

import numpy as np
import pandas as pd
import pytest

from tsunagari import estimates
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.gate import publish, questionnaire, rounding, suppression
from tsunagari.statistics import differences, estimation
from tsunagari.statistics.designs import Design
from tsunagari.statistics.verdicts import PENDING, find_families, give_verdicts
from tsunagari.study.survey import open_study


def gaps(table_id, p_values, *, item="q", value="5", n=100, **other):
    rows = [
        {"wave": 2022, "table_id": table_id, "measure": measure, "unit": unit, "domain": "age",
         "domain_value": str(place), "item": item, "item_value": value, "estimate": 9.0,
         "p_value": p if measure == "difference_points" else np.nan, "n_unweighted": n} | other
        for place, p in enumerate(p_values)
        for measure, unit in (("percent", "percent"), ("difference_points", "points"))
    ]  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=ESTIMATE_COLUMNS)


def judge(*parts, tests=None, threshold=3.0, alpha=0.05):
    rows = pd.concat(parts, ignore_index=True)
    names = {("lonely", "1"): "q=5"}
    pairs = zip(rows["item"], rows["item_value"], strict=True)
    answers = pd.Series([names.get(pair, "=".join(pair)) for pair in pairs])
    named = answers.replace(tests or {})
    families = find_families(rows, answers=answers, tests=named)
    return give_verdicts(rows, families, alpha=alpha, point_threshold=threshold)


def adjusted(rows, table_id, value=None):
    own = rows[(rows["table_id"] == table_id) & (rows["measure"] == "difference_points")]
    own = own if value is None else own[own["item_value"] == value]
    return own["p_adjusted"].tolist()


def test_a_figure_of_two_tables_is_one_test_with_one_verdict():
    headline = gaps("headline", [0.01, 0.04], item="lonely", value="1")
    cross = gaps("cross_age__q", [0.01, 0.04])
    others = gaps("cross_age__q", [0.03, 0.5], value="4")
    rows = judge(headline, cross, others)
    # the indicator's two tests: 0.01 x 2/1 and 0.04; the other answer's two: 0.03 x 2/1 and 0.5
    assert adjusted(rows, "headline") == pytest.approx([0.02, 0.04])
    assert adjusted(rows, "cross_age__q", "5") == pytest.approx([0.02, 0.04])
    assert adjusted(rows, "cross_age__q", "4") == pytest.approx([0.06, 0.5])
    assert rows["mark"].tolist() == ["▲"] * 8 + [""] * 4


def test_an_answer_and_all_others_together_are_one_family():
    headline = gaps("headline", [0.02, 0.04], item="lonely", value="1")
    rest = gaps("cross_age__q", [0.02, 0.04], value="not5")
    apart = gaps("cross_age__q", [0.5, 0.5], value="4")
    rows = judge(headline, rest, apart, tests={"q=not5": "q=5"})
    # four tests of which two and two are the same: 0.02 x 4/2 and 0.04 x 4/4
    assert adjusted(rows, "headline") == adjusted(rows, "cross_age__q", "not5")
    assert adjusted(rows, "headline") == pytest.approx([0.04, 0.04])


def test_an_indicator_on_another_base_is_another_figure():
    headline = gaps("headline", [0.01, 0.04], item="lonely", value="1", n=90)
    rows = judge(
        headline, gaps("cross_age__q", [0.01, 0.04]), gaps("cross_age__q", [1, 1], value="4")
    )
    assert adjusted(rows, "headline") == pytest.approx([0.02, 0.04])
    assert adjusted(rows, "cross_age__q", "5") == pytest.approx([0.04, 0.08])


def test_two_indicators_two_axes_and_two_waves_are_families_of_their_own():
    parts = [gaps("headline", [0.04, 0.6], item=name, value="1") for name in ("lonely", "ucla")]
    parts += [gaps("headline", [0.04, 0.6], item="lonely", value="1", domain="sex")]
    parts += [gaps("headline", [0.04, 0.6], item="lonely", value="1", wave=2023)]
    assert adjusted(judge(*parts), "headline") == pytest.approx([0.08, 0.6] * 4)


def test_the_tests_of_whole_tables_and_a_national_table_are_families():
    tests = [
        gaps(f"cross_age__{name}", [p], measure="rao_scott_f", p_value=p).head(1)
        for name, p in (("a", 0.01), ("b", 0.04))
    ]
    nation = gaps("national_q", [0.01, 0.04, 0.9], verdict=PENDING)
    nation.loc[nation["measure"] == "percent", "verdict"] = ""
    nation.loc[5, "verdict"] = ""  # a gap that is not judged is no test of the family
    rows = judge(*tests, nation)
    assert rows["p_adjusted"].tolist()[:2] == pytest.approx([0.02, 0.04])
    assert adjusted(rows, "national_q")[:2] == pytest.approx([0.02, 0.04])
    assert np.isnan(adjusted(rows, "national_q")[2])


@pytest.mark.parametrize(
    ("p", "gap", "verdict", "mark"),
    [
        (0.049, 3.0, "高い", "▲"),
        (0.049, -3.0, "低い", "▽"),
        (0.049, 2.99, "高い", ""),  # sure, and under the threshold of marks
        (0.05, 9.0, "差は確認できない", ""),
        (np.nan, 9.0, "差は確認できない", ""),
    ],
)
def test_a_verdict_goes_by_the_test_and_a_mark_by_the_threshold_too(p, gap, verdict, mark):
    rows = judge(gaps("national_q", [p], verdict=PENDING, estimate=gap).tail(1))
    assert rows[["verdict", "mark"]].to_numpy().tolist() == [[verdict, mark]]


def test_a_percent_carries_the_mark_of_its_gap_and_other_marks_stay():
    model = gaps("model_q", [np.nan], measure="marginal_effect_points", mark="基準")
    rows = judge(gaps("cross_age__q", [0.001, 0.9]), model)
    assert rows["mark"].tolist() == ["▲", "▲", "", "", "基準", "基準"]


# --- what is hidden tells nothing -----------------------------------------------------------------

COUNTS = np.array(  # region by answer; the four small cells are hidden
    [[225, 5, 7], [238, 16, 21], [280, 8, 4], [268, 21, 18]]
)


def survey_of(counts):
    """One row a person, the order of the regions and answers that of the counts."""
    answers = [
        (str(region + 1), str(answer + 1))
        for region, answer in itertools.product(*map(range, counts.shape))
        for _ in range(counts[region, answer])
    ]
    return pd.DataFrame(answers, columns=["region", "q"], dtype="string")


def published(counts, *, reasons=None):
    """Tables of the survey as the gate publishes them, and why rows are hidden."""
    people = survey_of(counts)
    design = Design(weights=np.ones(len(people)))
    values = pd.DataFrame({c: (people["q"] == c).astype(float) for c in ("1", "2", "3")})
    rows = [estimation.percents(design, values).assign(table_id="gt_q")]
    cross = [
        make(design, values, by=people[["region"]])
        for make in (estimation.percents, differences.differences)
    ]
    rows += [part.assign(table_id="cross_region__q") for part in cross]
    rows = estimates.conform(pd.concat(rows).assign(wave=2022, item="q"))
    known = questionnaire.Questionnaire(areas=frozenset({"region"}))
    survey = open_study("ehime", 2022)
    if reasons is None:
        reasons = suppression.judge(rows, settings=survey.config.disclosure, questionnaire=known)
    rows = publish.judge_differences(rows, reasons, questionnaire=known, marks=survey.config.marks)
    shown = suppression.apply_reasons(rows, reasons, settings=survey.config.disclosure)
    return rounding.round_published(shown), reasons


def test_no_shown_number_moves_when_a_hidden_cell_takes_another_value():
    before, reasons = published(COUNTS)
    hidden = before[(before["status"] == "suppressed") & (before["measure"] == "percent")]
    pairs = zip(hidden["domain_value"], hidden["item_value"], strict=True)
    cells = {(int(region) - 1, int(answer) - 1) for region, answer in pairs}
    assert {(0, 1), (0, 2), (2, 1), (2, 2)} <= cells
    assert before["p_adjusted"].notna().sum() >= 6
    moved = 0
    for value in range(1, 10):  # all that the cell of five people may be for a reader
        step = value - COUNTS[0, 1]
        counts = COUNTS.copy()
        counts[[0, 2], [1, 2]] += step
        counts[[0, 2], [2, 1]] -= step
        if counts.min() < 0:
            continue
        after, _ = published(counts, reasons=reasons)
        pd.testing.assert_frame_equal(before, after)
        moved += 1
    assert moved >= 6


def test_hidden_tests_do_not_count_in_the_family():
    before, _ = published(COUNTS)
    shown = before[(before["measure"] == "difference_points") & before["p_value"].notna()]
    p = shown["p_value"].sort_values()
    m = len(p)
    steps = [value * m / k for k, value in enumerate(p, start=1)]
    expected = [round(min(1, *steps[k:]), 3) for k in range(m)]
    # published p-values are rounded to three digits, with a floor of 0.001
    assert shown["p_adjusted"].sort_values().tolist() == pytest.approx(expected, abs=m * 0.0011)
