"""The first page and the list of questions: short, complete, and nothing invented."""

import re

import pandas as pd
import pytest
from tests.browser import published_sample as sample
from tests.unit.report import records_sample

from tsunagari.report import page
from tsunagari.report.summary import LINES
from tsunagari.report.writer import Writer


def plain(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


def items(council, name="summary") -> list[str]:
    return [plain(text) for text in re.findall(r"<li>(.*?)</li>", council.chapters[name].to_html())]


def said(name, published) -> list[str]:
    """Return what one finder says, links left out."""
    writer, found = Writer(published), LINES[name](published)
    lines = [line for text, context in found for line in writer.lines(text, **context)]
    return [re.sub("⟦.*?⟧", "", plain(str(line))) for line in lines]


# --- conclusions ----------------------------------------------------------------------------------


def test_three_conclusions_of_sixty_characters_with_number_interval_and_table(council):
    shown = council.chapters["summary"].to_html()
    own = re.findall(r"<li>(.*?)</li>", re.search(r"<ol>(.*?)</ol>", shown).group(1))
    assert len(own) == 3
    assert all(re.search(r'〔<a href="[\w.]*#t-[^"]+">(?:資料)?表\d+</a>〕', text) for text in own)
    texts = [re.sub("〔.*?〕", "", plain(text)) for text in own]
    assert "7.6%（6.4〜8.8%）で、全国より高い結果です。" in texts[0]
    assert all(re.search(r"[\d.]+.*（.*〜.*）|確認できません", text) for text in texts)
    assert max(map(len, texts)) <= 60, texts


def test_the_highest_marked_group_is_named_with_its_interval(rows):
    marked = rows.assign(mark=rows["mark"].where(rows["domain"] == "all", "▲"))
    second = said("conclusions", sample.published(marked))[1]
    own = marked[marked["table_id"].str.fullmatch(r"cross_\w+__lonely_direct")]
    own = own[own["item_value"].eq("5") & own["status"].isin(["published", "low_base"])]
    own = own[~own["domain"].str.contains(" x ")]
    largest = own.loc[own["estimate"].idxmax()]
    assert f"{largest['estimate']:.0f}" in second or f"{largest['estimate']:.1f}" in second
    assert "など、高い結果です" in second and "〜" in second


def test_without_a_survey_the_ledger_gives_the_conclusions():
    alone = records_sample.published(has_survey=False)
    line = "届いた割合は70.0%で、目標に届かず、基準より良くなったとは言えません。"
    assert said("conclusions", alone) == [line]  # as published: no example
    ledger = records_sample.told()["ledger"].assign(source="synthetic")
    made_up = records_sample.published(has_survey=False, ledger=ledger)
    assert said("conclusions", made_up) == ["（表示例）" + line]
    nothing = records_sample.published(has_survey=False, ledger=pd.DataFrame())
    assert said("conclusions", nothing) == ["ここに示せる結果はありません。"]


# --- regions --------------------------------------------------------------------------------------


def unmarked(rows):
    return rows.assign(mark=rows["mark"].mask(rows["domain"] == "region", ""))


def test_one_line_a_region_also_when_nothing_differs(rows):
    lines = said("region_lines", sample.published(unmarked(rows)))
    assert [line[:2] for line in lines] == ["東予", "中予", "南予"]
    assert all("ほかの地域との差は確認できませんでした。" in line for line in lines)
    assert "中予：回答者は960人です。" in lines[1]


def test_what_is_higher_and_lower_in_a_region_is_named_with_mark_and_interval(rows):
    table = unmarked(rows)
    own = table["table_id"].eq("cross_region__trouble") & table["domain_value"].eq("3")
    table.loc[own & table["item_value"].eq("3"), "mark"] = "▲"
    table.loc[own & table["item_value"].eq("4"), "mark"] = "▲"  # exclusive: not spoken of
    one = table["table_id"].eq("cross_region__consult_has") & table["domain_value"].eq("3")
    table.loc[one & table["item_value"].eq("2"), "mark"] = "▽"
    line = said("region_lines", sample.published(table))[2]
    assert re.search(r"具体的な困りごと「お金のこと」[\d.]+%（[\d.〜]+%）▲が高い結果です。", line)
    assert re.search(r"「相談相手がいない人」[\d.]+%（[\d.〜]+%）▽が低い結果です。", line)
    assert "困っていることはない" not in line


def test_no_difference_is_said_of_all_questions_and_any_mark_of_them_is_told(rows):
    table = unmarked(rows)
    lines = said("region_lines", sample.published(table))
    every = "主な指標にも、ほかの質問の答えにも、ほかの地域との差は確認できませんでした。"
    assert [line.partition("人です。")[2] for line in lines] == [every] * 3
    own = table["table_id"].eq("cross_region__event") & table["domain_value"].eq("2")
    table.loc[own & table["item_value"].eq("5"), "mark"] = "▽"  # no trouble and no indicator
    lines = said("region_lines", sample.published(table))
    assert "孤独感に影響した出来事「家族との死別」" in lines[1] and "など" not in lines[1]
    council = page.build_report(sample.published(table), has_figures=False)
    (regions,) = [each for each in council.tables if each.key == "regions"]
    assert regions.groups[-1][0] == "孤独感に影響した出来事"
    assert [line[0].text for line in regions.groups[-1][1]] == ["家族との死別"]
    first = re.findall(r"<li>(.*?)</li>", council.chapters["summary"].to_html())
    links = [re.search(r'#(t-[^"]+)"', line).group(1) for line in first if "中予：" in line]
    assert links == [regions.anchor]


def test_a_hidden_region_says_so_and_one_region_alone_is_no_comparison(rows):
    hidden = (rows["domain"] == "region") & (rows["domain_value"] == "3")
    lines = said("region_lines", sample.published(rows.assign(
        status=rows["status"].mask(hidden, "suppressed")
    )))  # fmt: skip
    assert lines[2] == "南予：回答者が少ないため、示していません。"
    one = rows[(rows["domain"] != "region") | (rows["domain_value"] == "1")]
    assert said("region_lines", sample.published(one)) == [
        "比べられる地域が2つ以上ないため、地域ごとの結果はありません。"
    ]


# --- troubles, actions, front matter --------------------------------------------------------------


def test_troubles_and_what_helped_have_a_line_each_from_the_largest(rows):
    voices = {"questions": ["trouble", "event"], "region": "region", "compared": None}
    trouble, event = said("top_troubles", sample.published(rows, voices=voices))
    assert re.findall(r"「(.*?)」(\d+\.\d)%（", trouble.split("、", 1)[1]) == [
        ("お金のこと", "15.0"), ("話し相手がいない", "9.1"), ("移動手段がない", "7.4"),
    ]  # fmt: skip
    assert event.startswith("「孤独感に影響した出来事」で多い答えは、「家族との死別」")


def test_only_open_actions_of_last_year_with_a_readable_date():
    action = records_sample.told()["actions"].iloc[0].to_dict()
    rows = [action, action | {"state": "完了", "what": "済んだこと"}]
    told = records_sample.published(actions=pd.DataFrame(rows))
    assert said("open_actions", told) == [
        "（表示例）3団体に頼む（県、期限 2023年10月1日）：対応中です。"
        "1件を紹介。期限を過ぎています。"
    ]
    dropped = action | {"state": "中止", "what": "やめたこと"}
    done = records_sample.published(actions=pd.DataFrame([*rows[1:], dropped]))
    assert said("open_actions", done) == ["昨年度から残った宿題は、ありません。"]


def test_the_front_says_what_is_known_and_leaves_out_the_rest(rows):
    def front(**publication):
        told = dict.fromkeys(("publisher", "stage", "contact", "next_report")) | publication
        return Writer(sample.published(rows, publication=told)).text("front")

    assert front(
        publisher="愛媛県", stage="速報", contact="保健福祉課", next_report="2025年3月"
    ) == (
        "令和5（2023）年度｜発行：愛媛県｜調査：2024年1月｜速報・確報の別：速報"
        "｜問い合わせ：保健福祉課｜次の報告：2025年3月"
    )
    assert front() == "令和5（2023）年度｜調査：2024年1月"


@pytest.mark.parametrize(
    ("year", "told"),
    [(2023, "令和5"), (2019, "令和元"), (2018, "平成30"), (1989, "平成元"), (1988, "昭和63")],
)
def test_the_year_of_the_calendar_of_eras(rows, year, told):
    writer = Writer(sample.published(rows, year=year))
    assert writer.text("fiscal_year") == f"{told}（{year}）年度"


# --- the list of questions ------------------------------------------------------------------------


def lines_of(council) -> dict[str, list]:
    table = next(table for table in council.tables if table.key == "questions")
    return {line[0].text: line for _, lines in table.groups for line in lines}


def test_every_question_has_a_line_with_answer_last_wave_nation_groups_and_link(council, told):
    lines = lines_of(council)
    asked = {told.label(name) for name, v in sample.VARIABLES.items()
             if v["kind"] != "derived" and len(told.gt(name))}  # fmt: skip
    assert asked <= {*lines}
    table = next(table for table in council.tables if table.key == "questions")
    assert [head.partition("（")[0] for head in table.head] == [
        "質問", "主な答え", "前回2022年度", "全国", "差が確かめられた区分", "表",
    ]  # fmt: skip
    _, answer, before, nation, _, link = lines["孤独感（直接質問）"]
    assert (answer.text, answer.small) == ("「しばしばある・常にある」7.6", "6.4〜8.8")
    assert before.text != "…" and nation.text != "…"
    assert link.text == "⟦gt_lonely_direct⟧"
    assert lines["具体的な困りごと"][1].text == "「お金のこと」15.0、「話し相手がいない」9.1"
    # Of a question of an indicator it is the indicator's answer, whatever is chosen most.
    assert lines["社会活動への参加"][1].text == "「特に参加はしていない」52.0"


def test_groups_that_differ_stand_by_axis_behind_their_mark(rows):
    table = rows.assign(mark="")
    own = table["table_id"].eq("cross_region__lonely_direct") & table["item_value"].eq("5")
    own &= table["measure"].eq("percent")
    table.loc[own, "mark"] = ["▲", "", "▽"]
    groups = lines_of(page.build_report(sample.published(table)))
    assert groups["孤独感（直接質問）"][4].text == "▲ 地域：東予　▽ 地域：南予"
    answer = table["table_id"].eq("cross_region__trouble") & table["item_value"].eq("3")
    table.loc[answer & table["domain_value"].eq("2"), "mark"] = "▲"
    named = lines_of(page.build_report(sample.published(table), has_figures=False))
    assert named["具体的な困りごと"][4].text == "「お金のこと」が▲ 地域：中予"
    assert groups["相談相手の有無"][4].text == "-"  # tested, none differs
    assert groups["電話の頻度"][4].text == "…"  # not tabulated by groups


def test_a_question_that_is_hidden_or_missing_is_x_or_has_no_line(rows):
    hidden = rows["status"].mask(rows["table_id"] == "gt_consult_has", "suppressed")
    kept = rows.assign(status=hidden)[rows["table_id"] != "gt_event"]
    lines = lines_of(page.build_report(sample.published(kept)))
    assert lines["相談相手の有無"][1].text == "x"
    assert "孤独感に影響した出来事" not in lines
