"""What a cell shows: Japanese headings, labels, figures by their unit, the banner, nothing live."""

import re

import numpy as np
import pandas as pd
import pytest

from tsunagari.report import shown
from tsunagari.report.shown import SHOWN, show
from tsunagari.study.survey import open_study


@pytest.fixture(scope="module")
def study():
    return open_study("ehime", 2022)


def parts(made, tag: str) -> list[str]:
    found = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", made._repr_html_(), flags=re.DOTALL)
    return [re.sub("<[^>]+>", "", text).strip() for text in found]


def test_headings_labels_and_digits_are_those_of_a_memo(study):
    table = pd.DataFrame({
        "margin": ["region x sex"], "cell": ["2 x 1"], "region": ["3"], "variable": ["trouble_01"],
        "reason_code": ["SPEEDER"], "n_rows": [1234.0], "missing_pct": [12.345], "ok": [True],
        "p_value": [0.01234], "difference_points": [-0.04], "day": [pd.NaT], "note": [np.nan],
    })  # fmt: skip
    made = show(table, "試し", study=study)
    assert parts(made, "caption") == ["合成データ  試し"]
    assert parts(made, "td") == [
        "中予・男性", "南予", "具体的な困りごと：話し相手や相談相手がいない",
        "回答時間が短すぎる", "1,234", "12.3", "○", "0.012", "0.0", "-", "-",
    ]  # fmt: skip
    assert parts(made, "tbody")[0].startswith("地域×性別")
    assert parts(made, "thead")[0].startswith("人口の区分区分地域")


def test_a_row_of_estimates_is_rounded_by_its_unit_and_x_where_hidden(study):
    rows = pd.DataFrame({
        "estimate": [12.345, 1.2345, 3.0, np.nan], 
        "unit": ["percent", "points", "persons", "percent"],
        "lower": [10.0, -1.0, np.nan, np.nan], "upper": [14.96, 3.0, np.nan, np.nan],
        "n_unweighted": [500, 500, 500, np.nan], "status": ["", "", "", "suppressed"],
        "item": ["sex"] * 4, "item_value": ["1"] * 4,
    })  # fmt: skip
    made = show(
        rows, "試し", study=study, columns=["item_value", "estimate", "interval", "n_unweighted"]
    )
    assert parts(made, "td") == [
        "12.3", "10.0〜15.0", "500", "+1.2", "−1.0〜+3.0", "500", "3", "-", "500", "x", "x", "x",
    ]  # fmt: skip


def test_an_index_with_a_name_is_a_column_and_another_is_not_shown(study):
    table = pd.Series([3, 4], index=pd.Index(["1", "2"], name="region"), name="n_rows")
    assert parts(show(table, "地域", study=study), "tbody")[0].split() == ["東予3中予4"]
    plain = pd.DataFrame({"n_rows": [5]}, index=[99])
    assert "99" not in show(plain, "行", study=study)._repr_html_().split("</style>")[1]


def test_nothing_to_show_is_a_sentence_under_the_banner(study):
    made = show(pd.DataFrame({"n_rows": []}), "空の表", study=study)
    assert parts(made, "p") == ["合成データ 空の表：該当はありません。"]


def test_long_cells_are_whole_and_hostile_ones_are_text(study):
    long, hostile = "あ" * 3000, '<script>alert(1)</script><img src=x onerror="alert(2)">'
    page = show({hostile: long, "次": hostile}, hostile, study=study)._repr_html_()
    assert long in page
    assert not re.search(r"<script|<img", page)


def test_groups_become_headings_in_their_order(study):
    table = pd.DataFrame({"region": ["2", "1"], "age_band": ["20s", "70s"], "quota": [3, 4]})
    made = show(table, "割付", study=study, group="region")
    assert parts(made, "tr") == ["年代割付（人）", "中予", "20代3", "東予", "70代4"]


def test_a_real_study_has_no_banner(study, monkeypatch):
    monkeypatch.setattr(type(study), "synthetic_inputs", [])
    assert "合成データ" not in show({"人": 1}, "実データ", study=study)._repr_html_()


def test_every_heading_is_japanese_and_no_word_of_two_codes_is_one():
    assert [
        t for t in SHOWN["headings"].values() if not re.search("[ぁ-んァ-ヶ一-龠]|^n$", t)
    ] == []
    for name, words in SHOWN["labels"].items():
        assert len({*words.values()}) == len(words) or name in ("value", "variable"), name


def test_a_table_of_the_report_without_lines_is_a_sentence(study):
    writer = shown.writer_of(study, pd.DataFrame())
    assert "前回との比較：該当はありません。" in shown.page_table(writer, "waves")._repr_html_()


def test_figures_that_the_gate_has_not_seen_say_so(study):
    rows = pd.DataFrame({
        "table_id": ["headline"], "measure": ["percent"], "unit": ["percent"], "estimate": [12.3],
        "item": ["lonely_direct"], "item_value": ["indicator"], "domain": ["all"],
        "domain_value": ["all"], "n_unweighted": [500.0],
    })  # fmt: skip
    for table in (rows, rows[["n_unweighted"]], rows[["estimate"]].assign(status=np.nan)):
        assert parts(show(table, "試し", study=study), "caption") == ["合成データ・秘匿前  試し"]
    passed = rows.assign(status="published")
    hidden = rows.assign(status="suppressed", estimate=np.nan)
    for table in (passed, pd.concat([passed, hidden]), pd.DataFrame({"n_rows": [3]})):
        assert parts(show(table, "試し", study=study), "caption") == ["合成データ  試し"]


def test_a_table_of_the_report_says_whether_its_rows_passed_the_gate(study):
    rows = pd.DataFrame({
        "table_id": "ledger", "measure": "count", "unit": "rows", "estimate": [600.0, 560.0, 40.0],
        "domain": "all", "domain_value": "all", "item": "ledger",
        "item_value": ["read", "analysed", "quarantined"], "item_label": ["届いた", "使う", "置く"],
    })  # fmt: skip
    before = shown.page_table(shown.writer_of(study, rows), "ledger")
    after = shown.page_table(shown.writer_of(study, rows.assign(status="published")), "ledger")
    assert parts(before, "caption")[0].startswith("合成データ・秘匿前 ")
    assert parts(after, "caption")[0].startswith("合成データ ")


def test_a_sheet_has_headings_labels_and_rounded_numbers(study):
    table = pd.DataFrame({
        "region": ["2"], "population": [3380.5], "share_pct": [3.976628], "half_width_5": [0.964],
        "quota": [80],
    })  # fmt: skip
    made = shown.sheet_of(table, study=study)
    assert made.columns.tolist()[1:] == ["人口（人）", "割合（%）", "割合 5% のとき", "割付（人）"]
    assert made.iloc[0].tolist() == ["中予", 3380, 4.0, 1.0, 80]  # a half goes to the even number
