"""The chapters of the programmes: what stands in them, what is left out, every number a row."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from tests.browser import published_sample as sample
from tests.unit.report import records_sample

from tsunagari.gate import trace
from tsunagari.programmes import schema
from tsunagari.report import page

SURVEY = ["method", "questions", "loneliness", "ties", "others", "groups", "comparison", "factors"]
SURVEY += ["appendix", "crosses", "group_tables", "factor_tables", "national", "quality"]
SURVEY += ["definitions", "glossary"]


@pytest.fixture(scope="module")
def both():
    return records_sample.published()


@pytest.fixture(scope="module")
def report(both):
    return page.build_report(both)


@pytest.fixture(scope="module")
def alone():
    return page.build_report(records_sample.published(has_survey=False))


def html(report, *chapters):
    return "".join(report.chapters[name].to_html() for name in chapters or report.chapters)


def cells(report, key):
    """Return the lines of a table by their label: texts and intervals of their cells."""
    table = next(table for table in report.tables if table.key == key)
    lines = [line for _, lines in table.groups for line in lines]
    return {name.text: [(c.text, c.small) for c in rest] for name, *rest in lines}


class Headings(HTMLParser):
    """Keeps each heading with how much stands below it."""

    def __init__(self, text):
        super().__init__()
        self.found, self.is_open = [], False
        self.feed(text)

    def handle_starttag(self, tag, _):
        self.is_open = tag in ("h2", "h3")
        self.found += [["", 0]] if self.is_open else []

    def handle_endtag(self, tag):
        if tag in ("h2", "h3"):
            self.is_open = False

    def handle_data(self, data):
        if self.found:
            if self.is_open:
                self.found[-1][0] += data
            else:
                self.found[-1][1] += len(data.strip())


def test_every_printed_number_is_a_row(both, report):
    figures = trace.list_figures(both.estimates, both.about)
    passages = trace.read_page(html(report, "programmes", "next_year", "summary"))
    assert trace.find_untraced(passages, figures) == []


@pytest.mark.parametrize(
    ("file", "column", "text"),
    [("plan", "current", "届いた割合は71%です。"), ("actions", "what", "4件に頼む")],
)
def test_a_number_that_is_no_row_is_found(both, file, column, text):
    """A proposal that says 71 % beside a row of 70, and a typed text that has no row."""
    files = records_sample.told()
    files[file][column] = text
    report = page.build_report(records_sample.published(**files))
    figures = trace.list_figures(both.estimates, both.about)
    passages = trace.read_page(html(report, "programmes", "next_year"))
    (number,) = re.findall(r"\d+", text)
    assert {token for _, token in trace.find_untraced(passages, figures)} == {number}


def test_a_study_without_survey_has_no_chapter_of_one(report, alone):
    names = [*report.chapters]
    assert names[names.index("programmes") :][:2] == ["programmes", "next_year"]
    assert [*alone.chapters] == [name for name in report.chapters if name not in SURVEY]
    assert alone.volumes[0].title.endswith("年度")
    assert [volume.chapters[-1].name for volume in alone.volumes] == ["limits", "programme_tables"]
    assert "調査がないため" in html(alone, "limits")


def test_no_heading_is_empty_and_nothing_reads_nan(report, alone):
    for each in (report, alone):
        text = html(each)
        assert not re.search(r"\bnan\b|None", text, flags=re.IGNORECASE)
        empty = [title for title, size in Headings(text).found if not size]
        assert [t for t in empty if t not in [str(c.heading) for c in each.chapters.values()]] == []


def test_a_study_without_records_says_so_and_what_to_fill_in():
    report = page.build_report(sample.published(sample.small()))
    assert not {"programmes", "next_year"} & report.chapters.keys()
    summary = html(report, "summary")
    assert "事業の実績は未入力です" in summary
    assert "様式に書く" in summary


def test_about_stays_about_and_no_n_has_no_interval(report):
    lines = cells(report, "programme_symposium")
    assert lines["会場"][0] == ("約300", "")
    value, unit, interval, base, *_ = lines["満足"]
    assert [value[0], unit[0], interval[0], base[0]] == ["88", "%", "", "n\u00a0不明"]
    assert cells(report, "kpis")["参加者"][4][0] == "約300"
    assert records_sample.SOURCE in html(report, "programme_tables")


def test_the_answer_rate_has_its_interval_and_calls_no_verdict(report):
    value, _, interval, base, *_ = cells(report, "programme_consultations")["応答率"]
    assert (value[0], interval[0], base[0]) == ("77.6", "76.4〜78.8", "4,509")
    assert "増えても減っても判定しません" in html(report, "programmes")


def test_every_section_leads_to_its_table(alone):
    text = alone.chapters["programmes"].to_html()
    names = [f"programme_{name}" for name in schema.declared()["programmes"]]
    links = [alone.chapters["programmes"].links.get(name) for name in names]
    assert len([*filter(None, links)]) > 2
    assert all(link in text for link in filter(None, links))


def test_the_summary_without_verdicts_tells_figures_and_why():
    report = page.build_report(records_sample.unjudged())
    said = re.sub(r"<[^>]+>|\s", "", html(report, "summary"))
    assert "届いた割合は70.0%です（nが30未満のため、判定していません）" in said
    assert "参加者は約300人です" in said
    assert "未入力" not in html(report, "programmes")


def test_hidden_people_are_x_in_table_and_drawing(report):
    assert [text for text, _ in cells(report, "flows")["中断"]][:3] == ["x", "x", "x"]
    assert any("相談受付 → 中断（x）" in chart.alt for chart in report.charts)


def test_empty_cells_are_named(report):
    (places,) = [table for table in report.tables if table.key == "gaps"]
    counts = [cell.text for cell in places.groups[0][1][0]]
    assert sorted(counts[1:3]) == ["3", "広域だけ"]
    assert counts[3] == "松山市"  # nobody, not even a wide line
    said = re.sub(r"<[^>]+>", "", html(report, "programmes"))
    assert re.search("（表示例）.予には、「お金」を受ける地域の団体がありません。", said)


def test_a_section_says_what_was_found_and_its_drawings_too(report):
    text = re.sub(r"<[^>]+>", "", html(report, "programmes"))
    assert "届いた割合は70.0%で、目標に届かず" in text
    titles = [chart.words.title for chart in report.charts]
    assert any("道すじの先は、「届いた割合」" in title for title in titles)
    sources = [c.words.source for c in report.charts if "道すじ" in c.words.title]
    assert all("事業の記録" in source for source in sources)
    assert "前年度の記録" in html(report, "programme_tables")  # where the baseline comes from
    assert {line[-1][0] for line in cells(report, "kpis").values()} == {"公表"}


def test_the_edited_row_stands_under_the_proposal_and_goes_to_the_meeting(report):
    table = next(table for table in report.tables if table.key == "plan")
    ((group, lines),) = table.groups
    assert group == "届いた割合"
    assert [line[0].text for line in lines] == ["規則による案", "担当課の案"]
    assert [line[-1].text for line in lines] == ["", "○"]
    assert "届いた割合：" in html(report, "summary")
    assert "（担当課の案）" in html(report, "summary")


def test_last_years_actions_open_the_chapter(report):
    first = next(block for block in report.chapters["programmes"].blocks if hasattr(block, "key"))
    assert first.key == "actions"
    assert cells(report, "actions")["3団体に頼む"][0][0] == "昨年度から"
    assert "期限を過ぎています" in html(report, "summary")
    nothing = {name: pd.DataFrame() for name in ("actions", "plan", "plan_review")}
    bare = page.build_report(records_sample.published(has_survey=False, **nothing))
    assert "next_year" not in bare.chapters
    assert "昨年度から残った宿題の記録はありません" in html(bare, "summary")
    assert "会議で決めることは、まだ選ばれていません" in html(bare, "summary")


def test_demand_stands_beside_supply(report):
    share, base, rate, local, local_rate, wide = cells(report, "demand")["お金"]
    assert local[0] in ("3", "0")
    assert (rate[0], local_rate[0]) == ("1,250", "0.13")
    text = html(report, "programme_tables")
    assert "東予の人口は" in text and ">230,000</span>人、" in text
    assert f"{sample.about(is_synthetic=False)['people']}、{records_sample.SOURCE}" in text
    assert share[0] not in ("", "…")
    assert (local[0], wide[0]) in {("3", "1"), ("0", "1")}


def test_every_meeting_has_its_attendance(report):
    assert cells(report, "meetings")["会議"][1][0] == "90.6"


def test_what_was_typed_has_the_digits_that_were_typed(report):
    """A typed target of 90 is 90; what was computed of it keeps its decimal."""
    lines = cells(report, "kpis")["届いた割合"]
    assert [text for text, _ in lines[1:6]] == ["60", "65.0", "90", "70", "n\u00a0不明"]
    assert cells(report, "programme_council")["出席率"][0][0] == "88.7"


def test_overlapping_figures_are_named_once(report):
    assert html(report, "programmes").count("同じ人を数えているため、足していません") == 1
