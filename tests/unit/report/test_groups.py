"""Regions, four groups, high against low and the sample's quality: shown, or left out and said."""

import re

import numpy as np
import pytest
from tests.browser import published_sample as sample

from tsunagari.report import groups, page, quality, writer


def plain(html):
    return re.sub(r"<[^>]+>", "", str(html))


def lines(published, find, **context):
    """Return the sentences that a function of LINES finds."""
    own = writer.Writer(published)
    found = find(published, **context)
    return [plain(line) for name, given in found for line in own.lines(name, **given)]


def without(rows, **equal):
    """Return rows but those where every named column matches."""
    gone = np.logical_and.reduce([rows[n].astype(str).str.fullmatch(v) for n, v in equal.items()])
    return rows[~gone]


# --- regions --------------------------------------------------------------------------------------


def test_the_table_of_regions_holds_every_indicator_and_trouble(told):
    table = groups.regions(writer.Writer(told), axis="region")
    assert [len(own) for own in table.groups.values()][:2] == [len(told.indicators), 4]
    assert list(table.columns.values()) == ["東予", "中予", "南予"]
    first = next(iter(table.groups.values()))[0]
    own = told.indicator_by("region", name="lonely_often")
    assert first["*2"]["row_id"] == own["row_id"].iloc[1]


# --- loneliness beside isolation ------------------------------------------------------------------


def test_the_four_groups_are_named_by_their_two_answers(told):
    (context,) = groups.joint_pairs(told)
    said = lines(told, groups.four_shares, **context)
    assert "「両方」15.0%" in said[0] and "「どちらでもない」44.9%" in said[0]
    assert "「孤独のみ」28.1%" in said[0] and "「孤立のみ」12.0%" in said[0]
    assert "「両方」の人の割合は、「南予」15%" in said[1] and "▲で" in said[1]
    table = groups.four_groups(writer.Writer(told), **context)
    assert list(table.columns.values()) == ["両方", "孤独のみ", "孤立のみ", "どちらでもない"]
    assert [len(own) for own in table.groups.values()] == [1, 3]


def test_a_hidden_group_is_shown_as_x_and_not_spoken_of(rows):
    own = rows.copy()
    hidden = own["table_id"].str.contains("is_lonely_x") & (own["item_value"] == "y x y")
    own.loc[hidden, "status"] = "suppressed"
    told = sample.published(own)
    (context,) = groups.joint_pairs(told)
    assert not any("両方" in line for line in lines(told, groups.four_shares, **context))
    (table,) = page.make_table(
        writer.Writer(told), "four_groups", lines=groups.four_groups(writer.Writer(told), **context)
    )
    assert [line[2].text for _, own in table.groups for line in own] == ["x"] * 4


# --- high against low -----------------------------------------------------------------------------


def test_answers_stand_by_their_difference_the_largest_first(told):
    (context,) = groups.contrasted(told)
    gaps = [pair["gap"]["estimate"] for pair in context["pairs"]]
    assert gaps == sorted(gaps, reverse=True) and gaps[0] == 5.1
    (line,) = lines(told, groups.high_low_findings, **context)
    assert "多く挙げたのは、「話し相手がいない」差 +5.1ポイント" in line
    assert "少なく挙げたのは、「移動手段がない」差 −4.0ポイント" in line
    assert "お金のこと" not in line  # its difference carries no mark


def test_without_a_mark_no_difference_is_said_to_be_confirmed(rows):
    told = sample.published(rows.assign(mark=""))
    (context,) = groups.contrasted(told)
    (line,) = lines(told, groups.high_low_findings, **context)
    assert "確認できませんでした" in line and "%" not in line


def test_what_resolved_it_is_not_told_of_those_who_never_felt_it(rows):
    voices = {"questions": ["trouble"], "region": "region", "compared": "sex", "ever": "trouble"}
    assert groups.contrasted(sample.published(rows, voices=voices)) == []


# --- what a study lacks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "gone", "changes"),
    [
        ("regions", {"domain": "region", "domain_value": "[23]"}, {}),  # one region
        ("regions", {}, {"region": ""}),
        ("joint", {}, {"joint": []}),
        ("joint", {"table_id": "joint_.*"}, {}),
        ("joint", {}, {"joint": [["lonely_direct", "is_isolated"]]}),  # five answers
        ("contrasts", {}, {"voices": None}),
        ("contrasts", {"table_id": "cross_sex__trouble"}, {}),
        ("contrasts", {"measure": "difference_points"}, {}),
        ("contrasts", {}, {"crosses": ["lonely_direct"]}),  # no multi-answer question
        ("quotas", {"table_id": "quotas"}, {}),
        ("linked", {}, {"linked": None}),  # one wave
    ],
)
def test_a_part_that_the_study_lacks_has_no_subject(rows, subject, gone, changes):
    told = sample.published(without(rows, **gone) if gone else rows, **changes)
    assert page.SUBJECTS[subject](told) == []


def test_a_study_without_any_of_them_says_so_under_every_heading(rows):
    lacking = {"region": "", "joint": [], "voices": None, "linked": None}
    told = sample.published(rows[rows["table_id"] == "gt_sex"], indicators={}, **lacking)
    report = page.build_report(told)
    for name, n_said in (("groups", 3), ("quality", 2)):
        text = report.chapters[name].to_html()
        parts = re.split(r"<h3>", text)[1:]
        assert all("<p>" in part or "<li>" in part for part in parts), name  # none is empty
        assert sum("この調査に" in part or "ありません" in part for part in parts) == n_said
        assert "nan" not in plain(text) and "None" not in plain(text)
        assert "<table" not in text and "<figure" not in text


# --- the sample's quality -------------------------------------------------------------------------


def test_quotas_stand_beside_what_came_in_and_a_hidden_cell_is_x(told):
    (table,) = page.make_table(
        writer.Writer(told), "quotas", lines=quality.quotas(writer.Writer(told))
    )
    assert table.head == ("年代", *(f"{r} {n}" for r in ("東予", "中予", "南予")
                                    for n in ("人口に比例した人数（参考）", "回収")))  # fmt: skip
    ((_, own),) = table.groups
    assert [cell.text for cell in own[0]] == ["16〜19歳", "40", "40", "40", "40", "x", "x"]


def test_errors_are_printed_without_a_sign_and_named_by_share_and_base(told):
    (table,) = page.make_table(
        writer.Writer(told), "errors", lines=quality.errors(writer.Writer(told))
    )
    ((_, own),) = table.groups
    assert table.head[1:] == ("1", "50")
    assert [[cell.text for cell in line] for line in own] == [
        ["2,000", "1.0", "7.1"], ["100", "1.0", "7.1"]
    ]  # fmt: skip


def test_a_question_is_linked_in_part_or_not_with_its_reason(told):
    ((_, own),) = quality.linked(writer.Writer(told)).groups.items()
    found = {line["label"]: (line["linked"], line["reason"]) for line in own}
    assert found["孤独感（直接質問）"] == ("○", "")
    assert found["具体的な困りごと"] == ("△", "答えの選択肢が増えました。")
    assert found["性別"] == ("-", "比べる主な質問に入れていません。")


def test_weightings_are_named_in_words(told):
    columns = quality.weightings(writer.Writer(told)).columns
    assert list(columns.values())[:2] == ["重みなし（%）", "レイキング（地域×年代＋性別）（%）"]
    assert list(columns.values())[2].endswith("：この報告（%）")
