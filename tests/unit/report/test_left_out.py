"""What a study does not have is left out and said: no nan, no empty heading, no empty table."""

import re

import pytest
from tests.browser import published_sample as sample
from tests.unit.report.test_programmes import Headings

from tsunagari.report import page

LONG = "とても長い質問の名前" * 50  # 500 characters


def of(rows, *prefixes):
    return rows["table_id"].str.startswith(prefixes)


def without_question(rows):
    names = "lonely_direct|lonely_often|lonely_any"
    return rows[~(rows["table_id"].str.contains(names) | rows["item"].str.fullmatch(names))], {}


def without_benchmark(rows):
    return rows[~of(rows, "national_")], {"benchmark": None}


def one_region(rows):
    return rows[~rows["domain"].str.contains("region") | (rows["domain_value"] == "1")], {
        "regions": ["東予"]
    }


def two_hundred_respondents(rows):
    few = rows["n_unweighted"] / 10
    rows = rows.assign(n_unweighted=few.round())
    return rows.assign(status=rows["status"].mask(few < 30, "suppressed")), {}


def one_wave(rows):
    return rows[~of(rows, "waves_")], {}


def no_free_text(rows):
    return rows, {"voices": None}


def long_label(rows):
    variables = sample.about(is_synthetic=False)["variables"]
    trouble = variables["trouble"] | {"label": LONG, "short_label": LONG}
    return rows, {"variables": variables | {"trouble": trouble}, "title": LONG}


CASES = {
    without_question: "7.6%",
    without_benchmark: "比べられる全国の公表値がありません",
    one_region: "比べられる地域が2つ以上ないため",
    two_hundred_respondents: "南予：回答者は34人です。",
    one_wave: "比べられる前回の調査がありません",
    no_free_text: "困りごとの集計がありません",
    long_label: LONG,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_is_not_there_is_left_out_and_said(rows, case):
    table, changes = case(rows)
    council = page.build_report(sample.published(table, **changes))
    shown = council._repr_html_()
    assert (CASES[case] in re.sub(r"<[^>]+>", "", shown)) == (case is not without_question)
    assert not re.search(r"\bnan\b|\bNone\b", re.sub(r'src="[^"]*"', "", shown))
    headings = [str(chapter.heading) for chapter in council.chapters.values()]
    empty = [title for title, size in Headings(shown).found if not size and title not in headings]
    assert empty == []
    assert not re.search(r"<tbody></tbody>|<li></li>|<p[^>]*></p>|⟦|「」|（）", shown)


def test_no_programmes_and_no_records_are_said_on_the_first_page(council):
    assert "事業の実績は未入力です" in council.chapters["summary"].to_html()
