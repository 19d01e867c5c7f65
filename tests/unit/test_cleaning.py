"""What a cell means, worked out by hand; then what must hold of rows, ledger and derived values."""

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pytest

from tsunagari.errors import ConfigError
from tsunagari.intake import cleaning, coding, formats, reading, received, review
from tsunagari.intake.columns import Coded
from tsunagari.intake.judging import Judgement, judge_code, judge_date, judge_number
from tsunagari.study.codebook import NO_ANSWER, parse_condition
from tsunagari.study.survey import open_study

CODES = {"1": "1", "2": "2", "9": "9"}
LABELS = {"はい": "1", "いいえ": "2"}


@pytest.mark.parametrize(
    ("text", "value", "rule"),
    [
        ("1", "1", ""),
        ("１", "1", "NFKC"),
        (" 2 ", "2", "NFKC"),
        ("2.0", "2", "WHOLE_NUMBER"),
        ("02", "2", "WHOLE_NUMBER"),
        ("いいえ", "2", "LABEL"),
        ("ｲｲｴ", None, ""),
        ("", None, ""),
        ("　", None, ""),
    ],
)
def test_codes_are_matched_never_guessed(text, value, rule):
    found = judge_code(text, codes=CODES, labels=LABELS)
    assert (found.value, found.rule) == (value, rule)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3", "OUT_OF_RANGE"),
        ("1.5", "OUT_OF_RANGE"),
        ("-1", "OUT_OF_RANGE"),
        ("三", "NOT_A_CODE"),
        ("NA", "NOT_A_CODE"),
        ("nan", "NOT_FINITE"),
        ("1月2日", "DATE_IN_CODE_COLUMN"),
        ("2024-01-02", "DATE_IN_CODE_COLUMN"),
        ("1\x00", "CONTROL_CHARACTER"),
        ("1" * 400, "OUT_OF_RANGE"),
        ("#N/A", "EXCEL_ERROR_VALUE"),
    ],
)
def test_what_is_no_code_says_why(text, reason):
    assert judge_code(text, codes=CODES, labels=LABELS) == Judgement(reason=reason)


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12.0), ("１２", 12.0), ("1.5", 1.5), (".45112637", 0.45112637), ("1e1", 10.0)],
)
def test_numbers_are_read_whole(text, value):
    assert judge_number(text, lowest=0, highest=100).value == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("101", "OUT_OF_RANGE"),
        ("-1", "OUT_OF_RANGE"),
        ("1,234", "NOT_NUMERIC"),
        ("30分", "NOT_NUMERIC"),
        ("約3", "NOT_NUMERIC"),
        ("1e400", "NOT_FINITE"),
        ("1" * 5000, "NOT_FINITE"),
        ("1" * 20, "OUT_OF_RANGE"),
        ("inf", "NOT_FINITE"),
        ("1 2", "NOT_NUMERIC"),
    ],
)
def test_numbers_are_never_read_in_part(text, reason):
    assert judge_number(text, lowest=0, highest=100) == Judgement(reason=reason)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-01-02", "2024-01-02"),
        ("2024/1/2", "2024-01-02"),
        ("2024年1月2日", "2024-01-02"),
        ("令和4年4月1日", "2022-04-01"),  # 2019 + 4 - 1
        ("R4.4.1", "2022-04-01"),
        ("令和元年5月1日", "2019-05-01"),
        ("平成31年4月30日", "2019-04-30"),  # 1989 + 31 - 1, the last day of the era
        ("昭和64年1月7日", "1989-01-07"),
        ("S64.1.7", "1989-01-07"),
    ],
)
def test_dates_become_iso(text, day):
    assert judge_date(text).value == day


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("昭和65年1月1日", "IMPOSSIBLE_ERA_DATE"),
        ("昭和64年1月8日", "IMPOSSIBLE_ERA_DATE"),  # a day after the era's last
        ("平成32年1月1日", "IMPOSSIBLE_ERA_DATE"),
        ("令和0年1月1日", "IMPOSSIBLE_ERA_DATE"),
        ("令和元年4月30日", "IMPOSSIBLE_ERA_DATE"),
        ("2024-02-30", "IMPOSSIBLE_DATE"),
        ("2024-01-101", "NOT_A_DATE"),
        ("R6.1.123", "NOT_A_DATE"),
        ("02/01/2024", "NOT_A_DATE"),
        ("45300", "NOT_A_DATE"),
    ],
)
def test_impossible_dates_say_why(text, reason):
    assert judge_date(text) == Judgement(reason=reason)


def test_day_numbers_are_dates_in_excel_only():
    # Day 1 is 1900-01-01 and Excel counts a 29 February 1900: 45300 is 2024-01-09.
    excel = date(1899, 12, 30)
    assert judge_date("45300", day_zero=excel).value == "2024-01-09"
    assert judge_date("20240109", day_zero=excel).reason == "NOT_A_DATE"
    # A workbook of the 1904 system counts from 1904-01-01: 45300 - 1462 is the same day.
    assert judge_date("43838", day_zero=date(1904, 1, 1)).value == "2024-01-09"


def test_conditions_are_read_and_refused():
    parts = parse_condition("a=1|2 & b=3", where="c")
    assert parts == [("a", ("1", "2")), ("b", ("3",))]
    with pytest.raises(ConfigError, match="CONDITION.*c"):
        parse_condition("a>1", where="c")


def test_condition_is_open_only_where_a_missing_answer_decides():
    columns = {
        "a": Coded(("1", "2", NO_ANSWER), np.array([0, 1, 2, 2, -1])),
        "b": Coded(("1", NO_ANSWER), np.array([0, 0, 0, -1, 0])),
    }
    yes, is_open = coding.holds([("a", ("1",)), ("b", ("1",))], columns, n=5)
    # Row by row: both hold; a is 2; a is open and b holds; a is open but b was not asked; a not
    # asked.
    assert yes.tolist() == [True, False, False, False, False]
    assert is_open.tolist() == [False, False, True, False, False]


def test_mojibake_is_told_from_japanese():
    for word in ("孤独", "ひとりでいる", "カタカナ"):
        assert received._looks_garbled(word.encode().decode("cp932", errors="replace"))
        assert not received._looks_garbled(word)
    for word in ("é", "ｶﾅ", "①髙﨑㈱～", "繊細な織物", "https://example.com/ｱ"):
        assert not received._looks_garbled(word)


def test_cells_of_a_workbook_are_text():
    cells = [1.0, 1.5, "001", None, True, pd.NaT, pd.Timestamp("2024-01-02").to_pydatetime()]
    texts = ["1", "1.5", "001", "", "TRUE", "", "2024-01-02"]
    assert [formats.cell_text(c) for c in cells] == texts


@pytest.mark.parametrize(
    ("text", "is_personal"),
    [
        ("2022-11-0001", False),
        ("EH2023-01-0001", False),
        ("090-1234-5678", True),
        ("tel 03(1234)5678", True),
        ("0897-12-3456-2", True),
    ],
)
def test_phone_numbers_are_told_from_ids(text, is_personal):
    hits = pa.compute.match_substring_regex(pa.array([text]), "|".join(cleaning._PERSONAL))
    assert hits.to_pylist() == [is_personal]


# --- a whole wave -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def survey():
    return open_study("ehime", 2022)


@pytest.fixture(scope="module")
def raw(survey):
    return reading.read_responses(survey)


@pytest.fixture(scope="module")
def cleaned(survey, raw):
    return cleaning.clean_responses(raw, survey)


def test_rows_read_are_analysed_or_quarantined(raw, cleaned):
    assert cleaned.ledger["n_rows"].sum() == raw.facts["rows"]
    rows = [*cleaned.respondents["file_row"], *cleaned.quarantine["file_row"]]
    assert sorted(rows) == list(range(2, raw.facts["rows"] + 2))


def test_respondents_hold_known_codes_only(survey, cleaned):
    for name, item in survey.items.items():
        if name not in cleaned.respondents:  # themes of free texts, coded later
            assert name in survey.config.themes.questions or name == survey.config.themes.ever.name
        elif item.kind in ("SA", "derived"):
            allowed = {*item.options, *item.missing, *item.no_answer, NO_ANSWER}
            assert set(cleaned.respondents[name].dropna()) <= allowed
        elif item.kind == "MA":
            values = pd.unique(cleaned.respondents[list(item.columns)].to_numpy().ravel())
            assert {v for v in values if not pd.isna(v)} <= {0, 1}


def test_who_was_not_asked_has_no_value(cleaned):
    people = cleaned.respondents
    never = ~people["lonely_direct"].isin(["3", "4", "5", NO_ANSWER])
    assert people.loc[never, "lonely_duration"].isna().all()
    assert people.loc[never, "event"].isna().all()
    assert people.loc[never, "event_01"].isna().all()


def test_sums_and_bands_follow_their_parts(cleaned):
    people = cleaned.respondents
    parts = people[["ucla1", "ucla2", "ucla3"]]
    answered = parts.isin(list("1234")).all(axis=1)
    assert people.loc[~answered, "ucla_total"].isna().all()
    assert (people.loc[~answered, "ucla_band"] == NO_ANSWER).all()
    total = parts[answered].astype(int).sum(axis=1)
    assert (people.loc[answered, "ucla_total"] == total).all()
    assert (people.loc[total.index[total >= 10], "ucla_band"] == "10-12").all()


def test_row_order_does_not_matter(survey, raw, cleaned):
    order = np.random.default_rng(0).permutation(len(raw.table))
    shuffled = received.RawResponses(
        raw.table.iloc[order], raw.rejected, raw.facts, lines=raw.lines, day_zero=raw.day_zero
    )
    again = cleaning.clean_responses(shuffled, survey)
    assert again.ledger.to_dict() == cleaned.ledger.to_dict()
    # Of exact copies the first in the file's order stays, so rows are compared by id.
    left = again.respondents.drop(columns="file_row").sort_values("respondent_id")
    right = cleaned.respondents.drop(columns="file_row").sort_values("respondent_id")
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True))


def test_rows_set_aside_for_quality_show_their_effect(survey, cleaned):
    effect = review.quality_effect(cleaned, survey)
    speeders = effect[effect["rule"] == "SPEEDER"]
    n_out = cleaned.ledger.set_index("reason_code")["n_rows"]["SPEEDER"]
    assert (speeders["n_rows"] == n_out).all()
    # Without the rule's rows the figure is that of the respondents as they stand.
    often = (cleaned.respondents["lonely_direct"] == "5").mean() * 100
    assert speeders["without_pct"].iloc[0] == pytest.approx(often)
    # The effect of setting them aside: from with them to without.
    effects = speeders["without_pct"] - speeders["with_pct"]
    assert effects.abs().max() > 0
    assert speeders["difference_points"].tolist() == pytest.approx(effects.tolist())


def test_ledger_rows_are_counts_of_the_estimates_table(survey, cleaned):
    table = cleaning.ledger_rows(cleaned, survey)
    assert table["status"].isna().all()  # the gate's to give: few rows of a reason are hidden
    rows = table.set_index("item_value")["estimate"]
    assert rows["read"] == rows["analysed"] + rows["quarantined"]
    reasons = rows.drop(["read", "analysed", "quarantined"])
    assert reasons.sum() == rows["quarantined"]


def test_before_and_after_count_everybody(survey, raw, cleaned):
    table = review.compare_before_after(raw, cleaned, study=survey)
    sums = table.groupby("item")[["n_before", "n_after"]].sum()
    assert (sums["n_after"] == len(cleaned.respondents)).all()
    assert (sums["n_before"] == len(raw.table)).all()


def test_waves_of_one_questionnaire_do_not_drift(survey):
    assert review.compare_codebooks(open_study("ehime", 2023), survey).empty
