"""Page, workbook and alternative texts say what their rows say; the check finds every lie."""

import csv
import io
import json
import re

import pytest
from python_calamine import CalamineWorkbook
from tests.contract import Contract, row_key

YEARS = ["2022", "2023"]


def contract_of(released, year):
    folder = released / "reports/ehime" / year
    about = released / f"data/processed/ehime/{year}/published/about.json"
    volumes = ("council_report.html", "appendix.html", "summary_en.html")
    page = "".join((folder / name).read_text(encoding="utf-8") for name in volumes)
    estimates = (folder / "estimates.csv").read_text(encoding="utf-8")
    return Contract(estimates, json.loads(about.read_text(encoding="utf-8"))), page, folder


@pytest.mark.slow
@pytest.mark.parametrize("year", YEARS)
def test_the_page_says_what_its_rows_say(released, year):
    contract, page, _ = contract_of(released, year)
    assert page.count("data-row") > 1_000
    assert contract.check_page(page) + contract.check_nation(page) == []


@pytest.mark.slow
@pytest.mark.parametrize("year", YEARS)
def test_the_english_page_of_the_sample_is_english_throughout(released, year):
    page = (released / "reports/ehime" / year / "summary_en.html").read_text(encoding="utf-8")
    assert re.findall('<span lang="ja">.*?</span>', page.partition("<body>")[2]) == []


@pytest.mark.slow
@pytest.mark.parametrize("year", YEARS)
def test_one_figure_has_one_verdict_wherever_it_stands(released, year):
    contract, _, _ = contract_of(released, year)
    assert contract.check_verdicts() == []


@pytest.mark.slow
@pytest.mark.parametrize("year", YEARS)
def test_the_workbook_holds_the_rows_that_its_lines_name(released, year):
    contract, _, folder = contract_of(released, year)
    book = CalamineWorkbook.from_path(folder / "tables.xlsx")
    sheets = {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}
    assert sum(len(lines) for lines in sheets.values()) > len(contract.rows)
    assert contract.check_workbook(sheets) == []


# --- the check itself -----------------------------------------------------------------------------

COLUMNS = (
    "wave table_id measure unit domain domain_value item item_value item_label estimate lower "
    "upper p_adjusted n_unweighted weighting mark verdict status"
).split()
ABOUT = {
    "year": 2022,
    "variables": {
        "sex": {"label": "性別", "values": {"1": "男性", "2": "女性"}},
        "q": {"label": "孤独感", "values": {"5": "常にある"}, "nets": {"some": ["4", "5"]}},
    },
    "indicators": {
        "lonely": {"label": "孤独", "short_label": "孤独", "item": "q", "item_values": ["5"]}
    },
}


def row(table, measure, domain="all", value="all", *, item="q", code="5", **more):
    blank = dict.fromkeys(COLUMNS, "") | {"wave": "2022", "status": "published"}
    keys = {"table_id": table, "measure": measure, "domain": domain, "domain_value": value}
    return blank | keys | {"item": item, "item_value": code, "item_label": "常にある"} | more


ROWS = [
    row("gt_q", "percent", estimate="12.5", lower="10.6", upper="14.5", n_unweighted="300"),
    row("cross_sex__q", "percent", "sex", "1", estimate="15.0", lower="12.0", upper="18.0",
        n_unweighted="200", mark="▲"),
    row("cross_sex__q", "difference_points", "sex", "1", estimate="5.0", mark="▲",
        p_adjusted="0.01", n_unweighted="200"),
    row("cross_sex__q", "percent", "sex", "2", estimate="10.0", lower="8.0", upper="12.0",
        n_unweighted="100"),
    row("headline", "difference_points", "sex", "1", item="lonely", code="1", estimate="5.0",
        mark="▲", p_adjusted="0.01", n_unweighted="200"),
    row("national_q", "difference_points", estimate="2.0", verdict="高い", n_unweighted="300"),
    row("national_q", "percent", estimate="12.5", n_unweighted="300"),
]  # fmt: skip
GT, MEN, GAP, WOMEN, HEADLINE, NATION, OURS = (row_key(each) for each in ROWS)
PAGE = f"""<h2>要点</h2>
<p>孤独は <span data-row="{GT}">12.5%</span> です。全国より高い結果です。</p>
<p>「男性」<span data-row="{MEN}">15.0%</span>▲はそのほかの人より高い結果です。</p>
<table><caption>表1</caption><tr><th>区分</th><th>n（人）</th><th>常にある</th></tr>
<tr><th>男性</th><td data-row="{MEN}">200</td>
<td data-row="{MEN}">15.0▲<span class="interval">12.0〜18.0</span></td></tr>
<tr><th>女性</th><td data-row="{WOMEN}">100</td><td data-row="{WOMEN}">10.0</td></tr></table>
<table><caption>表2</caption>
<tr><th>回答</th><th>愛媛県（%）</th><th>差（ポイント）</th><th>判定</th></tr>
<tr><th>常にある</th><td data-row="{OURS}">12.5</td><td data-row="{NATION}">+2.0</td><td>高い</td>
</tr></table>
<figure data-row="{MEN};{WOMEN}"><img alt="性別。男性 15.0▲%、女性 10.0%。"></figure>"""


def contract(rows=ROWS):
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return Contract(text.getvalue(), ABOUT)


def lies(page):
    return contract().check_page(page) + contract().check_nation(page)


def test_a_true_page_passes():
    assert lies(PAGE) == []
    assert contract().check_verdicts() == []


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("15.0▲<span", "15.1▲<span"),  # a number
        ("15.0▲<span", "15.0<span"),  # a mark left out
        ("12.0〜18.0", "12.0〜18.1"),  # an interval
        ("15.0▲<span", "15.0▽<span"),  # a mark
        (f'"{MEN}">200', f'"{WOMEN}">200'),  # the base of another group
        (f'"{WOMEN}">10.0', f'"{OURS}">10.0'),  # the row of another group
        ("<th>常にある</th></tr>", "<th>決してない</th></tr>"),  # a heading
        ("<th>女性</th>", "<th>男性</th>"),  # the name of a line
        ("<td>高い</td>", "<td>低い</td>"),  # a verdict
        ("+2.0", "−2.0"),  # a sign
        (f'"{NATION}">+2.0', f'"{OURS}">12.5'),  # a share where a difference is said
        ("全国より高い", "全国より低い"),  # the nation
        ("人より高い", "人より低い"),  # a direction
        ("</span>▲は", "</span>▽は"),  # a mark in a sentence
        ("「男性」", "「女性」"),  # who is meant
        (">15.0%</span>", ">16.0%</span>"),  # a number in a sentence
        ("女性 10.0%", "女性 10.1%"),  # an alternative text
        ("男性 15.0▲%、女性 10.0%", "女性 15.0▲%、男性 10.0%"),  # two names the wrong way round
    ],
)
def test_a_page_that_lies_once_is_found(true, false):
    assert true in PAGE
    assert lies(PAGE.replace(true, false))


def test_two_verdicts_of_one_figure_are_found():
    other = [
        each | {"mark": "", "p_adjusted": "0.08"} if each is ROWS[4] else each for each in ROWS
    ]
    assert len(contract(other).check_verdicts()) == 1


def test_a_wrong_line_of_a_workbook_is_found():
    heads = [
        "値の種類",
        "値",
        "区間の下限",
        "区間の上限",
        "n（重み付け前、人）",
        "印",
        "判定",
        "行",
    ]
    line = ["割合", 15.0, 12.0, 18.0, 200.0, "▲", "", MEN]
    assert contract().check_workbook({"一覧": [heads, line]}) == []
    for place, false in enumerate([15.1, 12.1, 18.1, 100.0, "▽", "低い", WOMEN], start=1):
        changed = [*line[:place], false, *line[place + 1 :]]
        assert contract().check_workbook({"一覧": [heads, changed]})


def test_a_wrong_number_of_a_table_of_a_workbook_is_found():
    heads = ["区分", "n（人）", "常にある", "常にある 下限", "行"]
    line = ["男性", 200.0, 15.0, 12.0, MEN]
    title = ["表1", "", "", "", ""]
    assert contract().check_workbook({"表1": [title, heads, line]}) == []
    for place, false in enumerate(["女性", 100.0, 10.0, 18.0, WOMEN]):
        changed = [*line[:place], false, *line[place + 1 :]]
        assert contract().check_workbook({"表1": [title, heads, changed]})
