"""Figures of programmes by hand: shares with and without n, retention, paired change, verdicts."""

# ruff: noqa: E501 (tables of cases)

from functools import partial
from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from tsunagari.gate import questionnaire, suppression
from tsunagari.programmes import (
    consultations,
    council,
    courses,
    ledger,
    plan,
    records,
    rows,
    supporters,
    symposium,
    track,
)
from tsunagari.study.settings import Disclosure

E1 = ["ID,イベント名,開始日", "E1,催し,2022-05-01"]
SURVEY = "ID,設問番号,設問文,選択肢番号,選択肢,回答数,割合,有効回答数,合計に入れる,時期,同じ人"


@pytest.fixture
def read(tmp_path):
    def _read(year=2022, **files):
        for name, lines in files.items():
            (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        found = records.read(tmp_path, year=year, areas={})
        assert found.quarantine.empty, found.sentences()
        return found

    return _read


def one(figures, item, value="1", domain="all"):
    found = figures[(figures["item"] == item) & (figures["item_value"] == value)]
    found = found[(found["domain_value"] == domain) & (found["measure"] != "count")]
    assert len(found) == 1
    return found.iloc[0]


# --- symposium ------------------------------------------------------------------------------------


def test_a_share_with_n_has_wilsons_interval(read):
    lines = [SURVEY, "E1,問1,q,1,はい,88,,100,有,後,", "E1,問1,q,2,いいえ,12,,100,,後,"]
    top = one(symposium.measure(read(events=E1, event_survey=lines), year=2022), "E1 問1 後", "top")
    # Wilson: centre (0.88 + z2/200) / (1 + z2/100), z2 = 1.959964^2 = 3.841459: 0.865942;
    # half z sqrt(0.88*0.12/100 + z2/40000) / (1 + z2/100) = 0.064064.
    assert (top["estimate"], round(top["lower"], 2), round(top["upper"], 2)) == (88.0, 80.19, 93.0)


def test_a_share_without_n_has_none_and_says_so(read):
    lines = [SURVEY, "E1,満足,q,1,満足,,88,,有,後,"]
    found = symposium.measure(read(events=E1, event_survey=lines), year=2022)
    top = one(found, "E1 満足 後", "top")
    assert top["estimate"] == 88.0
    assert found[["lower", "upper", "n_unweighted"]].isna().all(axis=None)
    assert "n 不明" in top["reason"]


def test_margins_stay_margins_and_approximate_stays_so(read):
    lines = [
        "ID,区分,内訳,数,単位,数え方",
        "E1,方法,対面,40,人,参加",
        "E1,参加者の種類,支援団体,40,不明,参加",
        "E1,合計,計,約300,人,参加",
    ]
    found = symposium.measure(read(events=E1, event_counts=lines), year=2022)
    assert found["estimate"].tolist() == [40.0, 40.0, 300.0]
    assert found["unit"].tolist() == ["persons", "unknown", "persons"]
    assert ["単位不明" in found["reason"][1], "約" in found["reason"][2]] == [True, True]
    assert not found["item"].str.contains(" x ").any()  # no joint table


def answers(before, after):
    said = [f"E1,P{n},前,問1,{v}" for n, v in enumerate(before)] + [
        f"E1,P{n},後,問1,{v}" for n, v in enumerate(after)
    ]
    return ["ID,回答者番号,時期,設問番号,選択肢番号", *said]


def test_a_question_without_top_box_says_what_was_asked(read):
    answers = [f"E1,P{n:02d},問4,{code}" for n in range(12) for code in ("1", "2")[: 1 + n % 2]]
    found = read(
        events=E1,
        event_survey=[
            "ID,設問番号,設問文,選択肢番号,選択肢,複数回答",
            "E1,問4,してみたいこと（いくつでも）,1,教える,有",
            "E1,問4,してみたいこと（いくつでも）,2,参加する,有",
        ],
        event_answers=["ID,回答者番号,設問番号,選択肢番号", *answers],
    )
    figures = symposium.measure(found, year=2022)
    asked = figures[figures["item_value"] == "answered"].iloc[0]
    assert asked["item_label"] == "「してみたいこと（いくつでも）」に答えた人"
    assert asked["estimate"] == asked["n_unweighted"] == 12
    assert one(figures, "E1 問4 後", "2")["estimate"] == 50.0  # 6 of 12
    facts = questionnaire.Questionnaire(**rows.known(found))
    hide = partial(suppression.suppress, settings=Disclosure(), questionnaire=facts)
    shown = rows.release(figures, hide)
    assert shown.loc[shown["item_value"] == "answered", "status"].tolist() == ["reference"]


@pytest.mark.parametrize("linked", ["有", "無"])
def test_awareness_before_and_after(read, linked):
    options = [
        f"E1,問1,q,{c},{label},,,,{top},{w},{linked}"
        for w in "前後"
        for c, label, top in ((1, "知る", "有"), (2, "知らない", ""))
    ]
    # 12 people: 3 knew and know, 5 learned it, 1 forgot it, 3 never knew: 4 of 12, then 8 of 12.
    lines = answers([1, 1, 1, 2, 2, 2, 2, 2, 1, 2, 2, 2], [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2])
    found = symposium.measure(
        read(events=E1, event_survey=[SURVEY, *options], event_answers=lines), year=2022
    )
    change = one(found, "E1 問1", "change")
    assert change["estimate"] == pytest.approx(100 * (8 - 4) / 12)
    if linked == "有":
        # Differences: five 1, one -1, six 0; mean 1/3, sum of squares 6: variance (6 - 12/9)/11.
        half = t.ppf(0.975, 11) * np.sqrt((6 - 12 / 9) / 11 / 12)
        assert change["upper"] == pytest.approx(100 * (1 / 3 + half))
        assert change["p_value"] == pytest.approx(2 * (1 + 6) / 2**6)  # 1 of 6 discordant
        assert "同じ人" in change["reason"]
    else:
        assert "別々" in change["reason"]


def test_few_pairs_give_no_change(read):
    options = [
        f"E1,問1,q,{c},x{c},,,,{top},{w},有" for w in "前後" for c, top in ((1, "有"), (2, ""))
    ]
    found = symposium.measure(
        read(events=E1, event_survey=[SURVEY, *options], event_answers=answers([1] * 9, [2] * 9)),
        year=2022,
    )
    assert "change" not in set(found["item_value"])


# --- consultation line ----------------------------------------------------------------------------

CALLS = "窓口,受付_年月日,集計単位,架電数,応答数,相談件数,区分,内訳,複数計上"


def test_calls_received_and_answered_apart(read):
    days = [
        "a,2022-04-01,日,10,8,8,合計,,",
        "a,2022-04-04,日,20,10,9,合計,,",
        "a,2022-05-06,日,30,15,12,合計,,",
    ]
    found = consultations.measure(read(consultations=[CALLS, *days]), year=2022)
    rate = one(found, "answer_rate")
    assert (rate["estimate"], rate["n_unweighted"]) == (55.0, 60.0)  # 33 of 60
    assert rate["lower"] < 55 < rate["upper"]
    assert one(found, "answer_rate", domain="2022-04")["estimate"] == pytest.approx(
        60.0
    )  # 18 of 30
    assert one(found, "answer_rate", domain="月")["estimate"] == 50.0  # 4 April is a Monday
    assert one(found, "受付月", "2022-05")["estimate"] == pytest.approx(100 * 12 / 29)
    assert found["verdict"].isna().all()
    assert found["reason"].str.contains("良し悪し").all()
    released = rows.release(found, partial(suppression.suppress, settings=Disclosure()))
    calls = consultations.series(released)
    assert calls["架電数"].tolist() == [30.0, 30.0]
    assert calls["相談件数"].tolist() == [17.0, 12.0]


def test_yearly_total_is_not_added_to_its_days(read):
    lines = [
        CALLS,
        "a,2022-04-01,日,10,8,8,合計,,",
        "a,2022-04-01,年度,,,8,合計,,",
        "a,2022-04-01,年度,,,5,性,女性,",
        "a,2022-04-01,年度,,,3,性,不明,",
    ]
    found = consultations.measure(read(consultations=lines), year=2022)
    assert found.loc[(found["item"] == "conversations"), "estimate"].tolist() == [8.0]
    assert one(found, "性", "不明")["estimate"] == pytest.approx(
        37.5
    )  # the unknown are in the base


def test_a_years_total_is_of_the_months_where_weeks_stand_beside_them(read):
    lines = [
        CALLS,
        "a,2022-04-01,月,,,8,合計,,",
        "a,2022-05-01,月,,,7,合計,,",
        "a,2022-04-04,週,,,5,合計,,",
    ]
    found = consultations.measure(read(consultations=lines), year=2022)
    assert found.loc[found["item"] == "conversations", "estimate"].tolist() == [15.0]
    assert found.loc[found["item"] == "conversations", "unit"].tolist() == ["cases"]


def test_where_a_call_may_have_several_troubles_shares_are_of_the_conversations(read):
    lines = [CALLS, "a,2022-04-01,年度,30,20,10,合計,,"]
    lines += [f"a,2022-04-01,年度,,,{n},内容,{c},有" for c, n in ((1, 8), (2, 6))]
    found = consultations.measure(read(consultations=lines), year=2022)
    assert one(found, "内容", "1")["estimate"] == 80.0  # 8 of 10, not of 14
    calls = found[found["measure"] == "count"].set_index("item")["unit"]
    assert calls.to_dict() == {
        "calls_offered": "calls", "calls_answered": "calls", "conversations": "cases"
    }  # fmt: skip


def test_small_counts_of_calls_do_not_leave(read):
    rest = [f"a,2022-04-01,月,,,{n},内容,{c}," for c, n in enumerate((40, 30, 3, 20), start=1)]
    found = read(consultations=[CALLS, "a,2022-04-01,月,,,93,合計,,", *rest])
    suppress = partial(
        suppression.suppress,
        settings=Disclosure(),
        questionnaire=questionnaire.Questionnaire(**rows.known(found)),
    )
    gated = rows.release(consultations.measure(found, year=2022), suppress)
    hidden = gated[
        (gated["item"] == "内容") & (gated["measure"] == "share") & (gated["domain"] == "all")
    ]
    assert set(hidden.loc[hidden["estimate"].isna(), "item_value"]) >= {"3"}
    assert hidden["estimate"].isna().sum() >= 2  # 93 less the others would give it back
    counts = gated[(gated["measure"] == "count") & (gated["item"] == "内容")]
    assert not counts["estimate"].isin([3.0]).any()
    assert gated["n_cell"].isna().all()


# --- supporters -----------------------------------------------------------------------------------


def test_funnel_and_kaplan_meier_by_hand(read):
    # 20 people trained on 1 April 2022, followed for 730 days: 5 leave after 100 days, 3 after 400.
    start = pd.Timestamp(2022, 4, 1)
    left = [start + pd.Timedelta(days=d) for d in [100] * 5 + [400] * 3]
    ends = [f"{day.date()}" for day in left] + [""] * 12
    lines = [
        f"S1,P{n:02d},2022-04-01,{'2022-04-02' if n < 15 else ''},{end}"
        for n, end in enumerate(ends)
    ]
    found = read(
        year=2023,
        supporters=["講座ID,開催日,養成者数,時点", "S1,2022-04-01,20,2024-03-31"],
        supporter_people=["講座ID,匿名番号,修了日,登録日,やめた日", *lines],
    )
    figures = supporters.measure(found, year=2023)
    assert one(figures, "registered")["estimate"] == 75.0  # 15 of 20
    year1 = one(figures, "retention", "12")
    assert year1["estimate"] == pytest.approx(75.0)  # 15 of 20 after 365 days
    # Greenwood: S^2 * 5 / (20 * 15) = 0.009375; on the log(-log) scale z * se / (S |ln S|).
    spread = 1.959964 * np.sqrt(0.009375) / (0.75 * abs(np.log(0.75)))
    assert year1["lower"] == pytest.approx(100 * 0.75 ** np.exp(spread), abs=1e-3)
    assert year1["upper"] == pytest.approx(100 * 0.75 ** np.exp(-spread), abs=1e-3)
    # 24 months are 730.5 days, and nobody has been followed for so long.
    assert "まだ" in one(figures, "retention", "24")["reason"]


def test_active_is_who_worked_within_a_year_and_was_still_there_then(read):
    # As of 31 March 2023: worked 364 and 365 days before; left afterwards, before; never registered.
    lines = [
        "S1,P1,2022-01-01,2022-01-02,2022-04-01,",
        "S1,P2,2022-01-01,2022-01-02,2022-03-31,",
        "S1,P3,2022-01-01,2022-01-02,2023-03-01,2023-05-01",
        "S1,P4,2022-01-01,2022-01-02,2023-03-01,2023-03-31",
        "S1,P5,2022-01-01,,2023-03-01,",
    ]
    head = "講座ID,匿名番号,修了日,登録日,最終活動日,やめた日"
    found = read(
        year=2023,
        supporters=["講座ID,開催日,養成者数,時点", "S1,2022-01-01,20,2023-03-31"],
        supporter_people=[head, *lines],
    )
    counted = supporters.cohorts(found).loc["S1"]
    assert (counted["registered"], counted["active"]) == (4.0, 2.0)  # P1 and P3


def test_a_cohort_is_told_by_its_newest_row(read):
    lines = ["S1,2022-04-01,20,12,2022-09-30", "S1,2022-04-01,20,16,2023-03-31"]
    found = read(supporters=["講座ID,開催日,養成者数,登録,時点", *lines[::-1]])
    assert one(supporters.measure(found, year=2022), "registered")["estimate"] == 80.0  # 16 of 20


def test_retention_by_year_of_training(read):
    # 16 trained in fiscal 2021, 4 of whom leave after 100 days; 10 in March 2023, none followed.
    lines = [f"S1,P{n:02d},2022-03-31,{'2022-07-09' if n < 4 else ''}" for n in range(16)]
    lines += [f"S2,Q{n:02d},2023-03-01," for n in range(10)]
    head = "講座ID,開催日,養成者数,時点"
    found = read(
        year=2023,
        supporters=[head, "S1,2022-03-31,16,2024-03-31", "S2,2023-03-01,10,2023-04-01"],
        supporter_people=["講座ID,匿名番号,修了日,やめた日", *lines],
    )
    figures = supporters.measure(found, year=2023)
    assert one(figures, "retention", "12", "2021年度")["estimate"] == pytest.approx(75.0)
    assert one(figures, "retention", "12", "2021年度")["n_unweighted"] == 16
    assert "まだ" in one(figures, "retention", "12", "2022年度")["reason"]
    # Together: 26 at risk until day 31, when the later year is no longer followed; 12 of 16 stay.
    assert one(figures, "retention", "12")["estimate"] == pytest.approx(75.0)


def test_overlapping_cohorts_are_not_added(read):
    lines = [
        "講座ID,開催日,養成者数,時点,重複",
        "S1,2022-04-01,50,2023-03-31,",
        "S2,2022-05-01,50,2023-03-31,S1",
    ]
    figures = supporters.measure(read(supporters=lines), year=2022)
    assert set(figures["domain_value"]) == {"S1", "S2"}


# --- council and courses --------------------------------------------------------------------------


def test_council(read):
    found = read(
        meetings=[
            "会議ID,会議の名称,開催日,構成団体数,出席団体数",
            "M1,a,2022-05-01,20,15",
            "M2,a,2022-06-01,20,17",
        ],
        actions=[
            "宿題ID,内容,状況,期限",
            "A1,x,完了,2022-05-31",
            "A2,x,対応中,2022-06-30",
            "A3,x,中止,",
            "A4,x,未着手,2024-01-01",
            "A5,x,対応中,2023-03-31",
        ],
        members=["団体ID,区分,団体種別,退会日", "G1,構成,社協,", "G2,構成,社協,2022-06-01"],
    )
    figures = council.measure(found, year=2022)
    assert one(figures, "attendance")["estimate"] == 80.0  # 32 of 40
    assert one(figures, "attendance", domain="M1")["estimate"] == 75.0  # 15 of 20
    assert one(figures, "attendance", domain="M2")["reason"] == "20のうち17"
    assert one(figures, "actions_done")["estimate"] == pytest.approx(100 / 3)  # A1 of A1, A2, A5
    members = figures[figures["item"] == "members"]
    assert members["estimate"].tolist() == [1.0]  # one has left
    # Due on the last day of the year, 31 March 2023, is not overdue.
    overdue = council.is_overdue(found.table("actions"), found.as_of)
    assert overdue.tolist() == [False, True, False, False, False]


def test_what_became_of_last_years_actions(tmp_path):
    head = "宿題ID,内容,状況,期限,完了日"
    years = {
        2022: ["A1,x,完了,,2022-05-01", "A2,y,対応中,2023-06-30,", "A3,z,未着手,,"],
        2023: ["A2,y,完了,2023-06-30,2023-06-01", "A4,w,未着手,,"],
    }
    found = {}
    for year, lines in years.items():
        (tmp_path / str(year)).mkdir()
        (tmp_path / str(year) / "actions.csv").write_text(
            "\n".join([head, *lines]) + "\n", encoding="utf-8"
        )
        found[year] = records.read(tmp_path / str(year), year=year, areas={})
    table = council.follow_up(found[2023], last=found[2022])
    left = table[table["is_from_last"]]
    assert left[["action_id", "state"]].to_numpy().tolist() == [["A2", "完了"], ["A3", "未着手"]]
    assert table["action_id"].tolist() == ["A2", "A3", "A4"]


def scales(changes):
    lines = [
        f"C1,P{n:02d},{w},尺度,1,{3 + (c if w == '後' else 0)}"
        for n, c in enumerate(changes)
        for w in "前後"
    ]
    return ["講座ID,匿名番号,時期,尺度,項目,点", *lines]


def test_change_on_a_scale_of_the_same_people(read):
    change = [1, 1, 1, 1, 1, 1, 1, 2, -1, 0, 0, 1]  # 12 people: sum 9; 9 up, 1 down, 2 equal
    head = ["講座ID,講座名,開始,修了", "C1,講座,15,12"]
    figures = courses.measure(read(courses=head, course_scales=scales(change)), year=2022)
    found = one(figures, "尺度", "1")
    assert found["estimate"] == pytest.approx(9 / 12)
    # Sum of squares 7*1 + 4 + 1 + 1 = 13; variance (13 - 81/12)/11.
    half = t.ppf(0.975, 11) * np.sqrt((13 - 81 / 12) / 11 / 12)
    assert found["lower"] == pytest.approx(9 / 12 - half)
    # Exact sign test: 2 * P(at most 1 of 10) = 2 * (1 + 10) / 1024.
    assert found["p_value"] == pytest.approx(2 * (comb(10, 0) + comb(10, 1)) / 2**10)


def test_who_answered_half_of_a_scale_is_left_out(read):
    whole = [f"C1,P{n:02d},{w},尺度,{item},{3 + (w == '後')}"
             for n in range(11) for w in "前後" for item in (1, 2)]  # fmt: skip
    half = [line for line in whole if not line.startswith("C1,P10") or ",尺度,1," in line]
    head = ["講座ID,匿名番号,時期,尺度,項目,点"]
    found = read(courses=["講座ID,講座名", "C1,講座"], course_scales=head + half)
    change = one(courses.measure(found, year=2022), "尺度", "1")
    assert (change["estimate"], change["n_unweighted"]) == (2.0, 10.0)  # 1 on each of two items


def test_nothing_under_ten_pairs_and_half_a_scale_is_none(read):
    lines = scales([1] * 10)
    lines.remove("C1,P09,後,尺度,1,4")
    head = ["講座ID,講座名", "C1,講座"]
    found = one(courses.measure(read(courses=head, course_scales=lines), year=2022), "尺度", "1")
    assert np.isnan(found["estimate"])
    assert "10人未満" in found["reason"]


# --- ledger ---------------------------------------------------------------------------------------

KPI = "番号,事業ID,指標名,定義,分母,単位,改善の向き,基準値,目標値,目標年月,実績値,約の数,n,区間の下限,区間の上限,測り方,重複,推定値の鍵"


def verdicts(read, *lines, **more):
    return ledger.build(read(kpi_ledger=[KPI, *lines], **more), figures(), year=2022)


def figures(*found):
    return rows.finish(found, table="council", year=2022)


@pytest.mark.parametrize(
    ("direction", "base", "target", "actual", "low", "high", "verdict", "reached"),
    [
        ("上向き", 60, 80, 90, 85, 95, "exceeded", 112.5),
        ("上向き", 60, 80, 82, 78, 86, "open", None),
        ("上向き", 60, 80, 80, "", "", "met", 100),
        ("上向き", 60, 80, 81, "", "", "exceeded", 101.25),
        ("上向き", 60, 80, 78, 74, 82, "open", None),
        ("上向き", 60, 80, 64, 62, 66, "near", 80),  # 80 % by achievement alone
        ("上向き", 50, 80, 60, 56, 64, "improved", 75),
        ("上向き", 58, 80, 60, 56, 64, "below", 75),  # the interval holds the baseline
        ("上向き", "", 80, 60, 56, 64, "below", 75),
        ("下向き", 8, 5, 4, 3.5, 4.5, "exceeded", 400 / 3),
        ("下向き", 8, 5, 4.8, 4, 5.6, "open", None),
        ("下向き", 8, 5, 5.5, 4.9, 6.1, "open", None),
        ("下向き", 8, 5, 5.5, 5.2, 5.8, "near", 250 / 3),
        ("下向き", 8, 5, 6.5, 6, 7, "improved", 50),
        ("下向き", 8, 5, 7.5, 7, 8.1, "below", None),
        ("下向き", 8, 5, 9, 8.5, 9.5, "below", None),
    ],
)  # fmt: skip
def test_five_grades_by_direction_and_interval(
    read, direction, base, target, actual, low, high, verdict, reached
):
    line = f"K1,p,指標,定義,分母,%,{direction},{base},{target},2023-03,{actual},,500,{low},{high},調査,,"
    row = verdicts(read, line).iloc[0]
    assert row["verdict"] == verdict
    reached = np.nan if reached is None else reached  # no grade, or no way gone for sure
    assert row["achievement_pct"] == pytest.approx(reached, abs=0.051, nan_ok=True)  # one decimal
    assert row["verdict_label"] in ledger.words()["verdicts"].values()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("K1,p,指標,定義,,%,上向き,,80,,90,,500,,,調査,,", "分母"),
        ("K1,p,指標,,分母,%,上向き,,80,,90,,500,,,調査,,", "定義"),
        ("K1,p,指標,定義,分母,%,上向き,,,,90,,500,,,調査,,", "目標"),
        ("K1,p,指標,定義,分母,%,,,80,,90,,500,,,調査,,", "改善の向き"),
        ("K1,p,指標,定義,分母,件,なし,,80,,90,,500,,,業務記録,,", "良し悪し"),
        ("K1,p,指標,定義,分母,%,上向き,,80,,88,,,,,催し後アンケート,,", "n が不明"),
        ("K1,p,指標,定義,分母,%,上向き,,80,,88,,29,,,催し後アンケート,,", "30未満"),
        ("K1,p,指標,定義,分母,不明,上向き,,30,,40,,,,,業務記録,,", "単位"),
        ("K1,p,指標,定義,分母,人,上向き,,200,,約300,,,,,業務記録,,", "約"),
        ("K1,p,指標,定義,分母,人,上向き,,200,,,,,,,業務記録,,", "実績値"),
        ("K1,p,指標,定義,分母,人,上向き,,20,,9,,,,,業務記録,,", "秘匿"),
    ],
)  # fmt: skip
def test_no_verdict_without_what_it_needs(read, line, reason):
    row = verdicts(read, line).iloc[0]
    assert row["verdict"] == "not_judged"
    assert reason in row["verdict_label"]
    assert np.isnan(row["achievement_pct"])


@pytest.mark.parametrize(
    ("actual", "low", "high", "today"),
    [
        (90, "", "", "上回りました"),
        (78, 74, 82, "差は確認できません"),
        (60, 56, 64, "分かりません"),
    ],
)
def test_before_the_targets_date_an_indicator_is_underway(read, actual, low, high, today):
    line = f"K1,p,指標,定義,分母,%,上向き,,80,2026-03,{actual},,500,{low},{high},調査,,"
    row = verdicts(read, line).iloc[0]
    assert (row["verdict"], row["verdict_label"]) == ("underway", "途中です（目標は2026年3月）")
    assert np.isnan(row["achievement_pct"])
    assert today in row["verdict_reason"]
    proposal = plan.propose(verdicts(read, line), year=2022).iloc[0]
    assert proposal["goal"] == "2026年3月までに80%以上にします。"
    assert today in proposal["issue"]
    assert np.isnan(proposal["rank"])  # nothing is missed yet


def test_a_share_is_judged_by_its_count_and_not_by_its_rounded_percent(read):
    """60 of 75 are 80 %; 50 of 62 are 80.6 % and shown as 81; 39.6 % are shown as 40."""
    line = "K1,council,出席率,定義,分母,%,上向き,,{},,,,,,,業務記録,,programme_council:attendance"

    def judged(count, n, target):
        exact = figures(rows.share("attendance", "1", count=count, n=n, confidence=None))
        shown = exact.assign(estimate=exact["estimate"].round(), measure="share")
        found = read(kpi_ledger=[KPI, line.format(target)])
        row = ledger.build(found, shown, year=2022, exact=exact).iloc[0]
        return row["actual_value"], row["verdict"], row["achievement_pct"]

    assert judged(60, 75, 80) == (80, "met", 100)
    assert judged(50, 62, 80) == (81, "exceeded", 100.8)
    assert judged(99, 250, 40) == (40, "near", 99)


def test_a_share_of_thirty_is_judged_and_a_gap_of_shares_is_in_points(read):
    lines = [
        "K1,p,指標,定義,分母,%,上向き,,80,,88,,30,,,催し後アンケート,,",
        "K2,p,件数,定義,分母,件,上向き,,80,,70,,,,,業務記録,,",
    ]
    table = verdicts(read, *lines)
    assert table["verdict"].iloc[0] == "exceeded"
    rows_of = ledger.figures(table, year=2022)
    gaps = rows_of[rows_of["measure"] == "gap"].set_index("item")
    assert gaps["unit"].tolist() == ["points", "cases"]
    assert gaps["estimate"].tolist() == [8.0, 10.0]


def test_the_value_before_is_that_of_the_year_before(read):
    def wave(year, count):
        return rows.share("attendance", "1", count=count, n=100, confidence=0.95) | {"wave": year}

    told = [wave("2020", 40), wave("2021", 50), wave("2022", 60)]
    known = pd.concat(
        [rows.finish([one], table="council", year=int(one["wave"])) for one in told],
        ignore_index=True,
    )
    line = "K1,council,出席率,定義,分母,%,上向き,,80,,,,,,,業務記録,,programme_council:attendance"
    found = ledger.build(read(kpi_ledger=[KPI, line]), known, year=2022).iloc[0]
    assert (found["actual_value"], found["previous_value"]) == (60.0, 50.0)


def test_overlapping_figures_are_not_judged_nor_added(read):
    line = "K{},p,指標,定義,分母,人,上向き,,40,,50,,,,,名簿,{},"
    table = verdicts(read, line.format(1, "K2"), line.format(2, "K1"))
    assert table["verdict"].tolist() == ["not_judged"] * 2
    assert "同じ人" in table["verdict_label"][0]


def test_a_figure_is_taken_from_estimates_and_not_typed(read):
    row = rows.share("attendance", "1", count=90, n=100, confidence=0.95)
    line = "K1,council,出席率,定義,分母,%,上向き,,80,,,,,,,業務記録,,programme_council:attendance"
    found = ledger.build(read(kpi_ledger=[KPI, line]), figures(row), year=2022).iloc[0]
    assert (found["actual_value"], found["base_n"], found["verdict"]) == (90.0, 100.0, "exceeded")
    assert found["figure_row_id"] == figures(row)["row_id"].iloc[0]


# --- plan -----------------------------------------------------------------------------------------

PLAN = "年度,番号,事業ID,課題,対策,会議で決めること,実施,実施の内容"
BEHIND = "K{0},p{0},指標{0},定義,分母,%,上向き,,80,2023-03,{1},,500,,,業務記録,,"


def test_proposals_rest_on_their_figure(read):
    table = plan.propose(
        verdicts(
            read,
            BEHIND.format(1, 40),
            BEHIND.format(2, 78),
            "K3,p,件数,定義,分母,件,なし,,,,5,,,,,業務記録,,",
        ),
        year=2022,
    )
    assert table["plan_id"].tolist() == ["P-K1", "P-K2"]  # no verdict, no proposal for K3
    first = table.iloc[0]
    assert [first["kpi_ids"], first["goal_indicator"], first["goal_value"]] == ["K1", "K1", 80.0]
    assert "40%" in first["current"]
    assert "40ポイント" in first["issue"]
    assert (
        first["goal"] == "2024年3月までに80%以上にします。"
    )  # its date has passed: next fiscal year
    assert (table["origin"] == "規則による案").all()
    few = plan.propose(verdicts(read, BEHIND.format(1, 40).replace(",500,", ",29,")), year=2022)
    assert few["current"].tolist() == ["指標1は40%です。n が30未満のため、判定していません。"]
    assert few["goal"].tolist() == ["2024年3月まで、同じ形の記録を続けます。"]


def test_a_goal_says_on_which_side_of_the_target(read):
    lines = [
        "K1,p,空白,定義,分母,件,下向き,,0,,3,,,,,名簿,,",
        "K2,p,孤独,定義,分母,%,下向き,,4.9,,7,,500,6,8,調査,,",
    ]
    goals = plan.propose(verdicts(read, *lines), year=2022)["goal"].tolist()
    assert goals == ["2024年3月までに0件にします。", "2024年3月までに4.9%以下にします。"]


def test_three_for_the_meeting_by_rank_a_programme_once(read):
    lines = [
        BEHIND.format(n, actual) for n, actual in ((1, 78), (2, 40), (3, 41), (4, 42), (5, 43))
    ]
    merged = plan.merge(
        plan.propose(verdicts(read, *lines), year=2022), read().table("plan"), year=2022
    )
    assert merged.loc[merged["for_decision"] == "有", "plan_id"].tolist() == [
        "P-K2",
        "P-K3",
        "P-K4",
    ]


def test_proposals_fill_up_to_three_what_people_marked(read):
    lines = [BEHIND.format(n, actual) for n, actual in ((1, 40), (2, 41), (3, 42), (4, 43))]
    proposed = plan.propose(verdicts(read, *lines), year=2022)
    marked = ["2023,P-K2,p2,人手が足りません。,,有,,", "2023,P-NEW,p1,新しい課題,新しい対策,有,,"]

    def chosen(*rows):
        edited = read(kpi_ledger=[KPI], plan=[PLAN, *rows]).table("plan")
        merged = plan.merge(proposed, edited, year=2022)
        found = merged[merged["for_decision"] == "有"]
        return found[["plan_id", "origin"]].to_numpy().tolist()

    own, other = ["P-K2", "担当課の案"], ["P-NEW", "担当課の案"]
    first, third = ["P-K1", "規則による案"], ["P-K3", "規則による案"]
    assert chosen(marked[0]) == [first, own, third]  # not the proposal beside it
    assert chosen(*marked) == [own, third, other]  # a programme once, as far as it goes
    blank = ["2023,P-K1,p1,,,,,"]  # edited, and left to the rule: their row, not the proposal
    assert chosen(*blank)[0] == ["P-K1", "担当課の案"]
    said_no = ["2023,P-K1,p1,,,無,,"]
    assert "P-K1" not in [name for name, _ in chosen(*said_no)]
    more = [f"2023,P-N{n},p1,課題,対策,有,," for n in range(4)]
    assert chosen(*more) == [[f"P-N{n}", "担当課の案"] for n in range(4)]  # people may mark more


def test_an_edited_row_stands_beside_its_proposal(read):
    found = read(
        kpi_ledger=[KPI, BEHIND.format(1, 40)],
        plan=[
            PLAN,
            "2023,P-K1,p1,人手が足りません。,,有,,",
            "2022,P-OLD,p1,x,y,,実施,",
            ",P-NEW,p1,新しい課題,新しい対策,,,",
        ],
    )
    made = ledger.build(found, figures(), year=2022)
    merged = plan.merge(plan.propose(made, year=2022), found.table("plan"), year=2022)
    assert merged[["plan_id", "origin"]].to_numpy().tolist() == [
        ["P-K1", "規則による案"],
        ["P-K1", "担当課の案"],
        ["P-NEW", "担当課の案"],
    ]
    assert merged["issue"][1] == "人手が足りません。"
    assert merged["measure"][1] == merged["measure"][0]  # a blank is the proposal's
    assert merged.loc[merged["for_decision"] == "有", "origin"].tolist() == ["担当課の案"]


def test_next_year_opens_with_planned_done_measured(read):
    found = read(kpi_ledger=[KPI, BEHIND.format(1, 40)], plan=[PLAN, "2023,P-K1,p1,課題,対策,,,"])
    last = plan.merge(
        plan.propose(ledger.build(found, figures(), year=2022), year=2022),
        found.table("plan"),
        year=2022,
    )
    now = read(
        year=2023, kpi_ledger=[KPI, BEHIND.format(1, 90)], plan=[PLAN, "2023,P-K1,p1,,,,一部,年1回"]
    )
    row = plan.look_back(last, now, ledger=ledger.build(now, figures(), year=2023)).iloc[0]
    assert [row["measure"], row["done_state"], row["done_note"]] == ["対策", "一部", "年1回"]
    assert [row["measured_kpi"], row["actual_value"], row["verdict_label"]] == [
        "K1",
        90.0,
        "目標を上回りました",
    ]


def test_flows_and_places(read):
    head = "期間,もとの段階,つぎの段階,数,単位,日数（中央値）"
    use = ["ID,年月,開所日数,延べ利用,実人数", "R1,2022-09,4,40,15", "R1,2022-10,8,60,18"]
    found = courses.measure(
        read(flows=[head, "y,プラン,居場所体験,30,人,21", "y,プラン,中断,10,人,"], place_use=use),
        year=2022,
    )
    own = found[found["item_value"] == "居場所体験"].set_index("measure")["estimate"]
    assert own.to_dict() == {"percent": 75.0, "median": 21.0}  # 30 of 40
    assert found.loc[found["item"] == "visits_total", "estimate"].tolist() == [100.0]


def test_days_do_not_tell_how_many_a_hidden_flow_had(read):
    head = "期間,もとの段階,つぎの段階,数,単位,日数（中央値）"
    lines = [
        "y,プラン,居場所体験,31,人,21",
        "y,居場所体験,参加継続,22,人,40",
        "y,居場所体験,中断,9,人,5",
    ]
    found = courses.measure(read(flows=[head, *lines]), year=2022)
    settings = Disclosure(area="below")
    released = rows.release(found, partial(suppression.suppress, settings=settings))
    own = released[released["domain_value"] == "居場所体験"]
    assert set(own["status"]) == {"suppressed"}
    assert own[["estimate", "n_unweighted"]].isna().all(axis=None)


def test_links_are_drawn_each_below_what_leads_to_it():
    edges = pd.DataFrame({"from": ["a", "b", "a", "c"], "to": ["b", "c", "c", "a"]})  # a circle
    nodes = track.chain(edges[:3], {"a": "A"}).set_index("name")
    assert nodes["layer"].to_dict() == {"a": 0, "b": 1, "c": 2}
    assert nodes["label"].to_dict() == {"a": "A", "b": "b", "c": "c"}
    assert track.chain(edges, {})["layer"].max() <= 2


def test_calls_are_read_against_publicity_and_seasons(read):
    found = read(
        consultations=[CALLS, "a,2022-04-01,月,,,8,合計,,"],
        publicity=["年月日,媒体,題名", "2022-12-01,新聞,案内"],
    )
    dates = consultations.notices(found)
    assert dates["date"].dt.strftime("%Y-%m-%d").tolist() == [
        "2022-09-10",
        "2022-12-01",
        "2022-12-28",
        "2023-03-01",
    ]
    assert dates["kind"].tolist() == ["季節", "新聞", "季節", "季節"]
