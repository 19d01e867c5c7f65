"""The workbook: the same every time, every row once, nobody named, no merged cells."""

import re
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pytest
from tests.browser import published_sample as sample

from tsunagari.report import workbook
from tsunagari.report.page import build_report
from tsunagari.report.texts import load_texts
from tsunagari.report.workbook import write_workbook


def test_workbook_is_the_same_every_time(rows, tmp_path):
    published = sample.published(rows)
    for name in ("a.xlsx", "b.xlsx"):
        write_workbook(published, tmp_path / name)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """Return the workbook of the sample, read by other eyes."""
    path = tmp_path_factory.mktemp("book") / "t.xlsx"
    write_workbook(sample.published(sample.estimates(), is_synthetic=True), path)
    return openpyxl.load_workbook(path)


def table(sheet):
    """Return the lines of a sheet below its header, by heading, as cells."""
    lines = list(sheet.iter_rows())
    top = next(n for n, line in enumerate(lines) if line[-1].value in ("行", "シート"))
    heads = [cell.value for cell in lines[top]]
    return [dict(zip(heads, line, strict=True)) for line in lines[top + 1 :]]


def shown(cell):
    """Return a number as its format shows it: digits, sign and mark."""
    sign, digits, after = re.fullmatch(
        r'("\+")?#,##0((?:\.0+)?)(".*")?', cell.number_format
    ).groups("")
    number = f"{cell.value:,.{max(len(digits) - 1, 0)}f}".replace("-", "−")
    return sign.strip('"') + number + after.strip('"')


def test_the_list_holds_every_row_with_its_labels(book):
    published = sample.published(sample.estimates(), is_synthetic=True)
    found = pd.DataFrame(
        [{head: cell.value for head, cell in line.items()} for line in table(book["一覧"])]
    )
    assert list(found["行"]) == list(published.estimates["row_id"])
    numbers = pd.to_numeric(found["値"], errors="coerce")
    np.testing.assert_allclose(numbers, published.estimates["estimate"])
    hidden = (published.estimates["status"] == "suppressed").to_numpy()
    assert set(found.loc[hidden, "値"]) == {"x"}
    assert not found.loc[hidden, ["区間の下限", "n（重み付け前、人）", "印"]].notna().any(axis=None)
    assert set(found["データの種類"]) == {"合成データ"}
    own = found[found["調査年"] == sample.YEAR]
    assert set(own["調査年（和暦）"]) == {"令和5年"}
    assert set(own["単位"]) >= {"%", "ポイント"}
    codes = {code for known in sample.VARIABLES.values() for code in known["values"]} - {"3"}
    found = found[
        found["質問"] != "誤差の早見表"
    ]  # whose answers are shares, whose groups are bases
    assert not codes & set(found["回答"]) | codes & set(found["区分"])


def test_every_table_of_the_report_stands_under_its_number(book):
    report = build_report(sample.published(sample.estimates(), is_synthetic=True))
    lines = [[cell.value for cell in line.values()] for line in table(book["目次"])]
    told = {number: caption for number, caption, _ in lines if number}
    assert told == {each.number: each.caption for each in report.tables}
    sheets = {sheet for *_, sheet in lines}
    assert sheets | {"表紙", "目次", "注意"} == set(book.sheetnames)
    for line in table(book["目次"]):
        assert line["シート"].hyperlink.location == f"'{line['シート'].value}'!A1"
        assert line["シート"].hyperlink.target is None


def test_a_table_shows_what_the_page_shows_as_numbers(book):
    report = build_report(sample.published(sample.estimates(), is_synthetic=True))
    each = next(each for each in report.tables if each.key == "cross_lonely_direct")
    (name,) = (name for name in book.sheetnames if name.startswith(f"{each.number} "))
    lines = table(book[name])
    printed = [line for _, own in each.groups for line in own]
    n_numbers = 0
    for line, cells in zip(lines, printed, strict=True):
        for head, cell in zip(each.head, cells, strict=True):
            mine = line[head]
            is_number = isinstance(mine.value, int | float)
            n_numbers += is_number
            assert (shown(mine) if is_number else mine.value or "") == cell.text
        assert set(line["行"].value.split(";")) >= {key for cell in cells for key in cell.rows}
    assert n_numbers > 20


def test_numbers_keep_their_zeros_marks_and_signs():
    assert workbook._number("18.0") == (18.0, "#,##0.0", "18.0")
    assert workbook._number("−0.4 差は確認できない")[:2] == (-0.4, '#,##0.0" 差は確認できない"')
    assert workbook._number("1,842*")[:2] == (1842.0, '#,##0"*"')
    assert [workbook._number(text) for text in ("x", "…", "-", '3"', "2024-01-10")] == [
        "x", "…", "-", '3"', "2024-01-10"
    ]  # fmt: skip


def test_sheets_print_on_a4_and_have_no_merged_cells(book):
    assert book.sheetnames[:4] == ["表紙", "目次", "注意", "単純集計（GT）"]
    for sheet in book:
        assert sheet.sheet_state == "visible"
        assert not sheet.merged_cells.ranges
        assert "公表前（未署名）" in sheet.oddHeader.left.text
        assert "合成データ" in sheet.oddHeader.center.text
        page = sheet.page_setup
        assert (page.paperSize, page.orientation, page.fitToHeight) == (9, "landscape", 0)
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        top = int(sheet.print_title_rows.split("$")[-1])
        heads = [cell.value for cell in sheet[top] if cell.value]
        assert sheet.freeze_panes == f"A{top + 1}" and heads
        if sheet.title != "一覧":
            assert sheet["A1"].value.startswith("【合成データ】")
            is_key = heads[-1] == "行"
            printed = [sheet.column_dimensions[c].width for c in columns(sheet)][
                : -1 if is_key else None
            ]
            assert sum(printed) <= 230, sheet.title  # 11 points on 151 characters: over 7 points


def columns(sheet):
    """Return the letters of the columns, one that stands for several as often as it does."""
    found = sheet.column_dimensions.values()
    return [c.index for c in found for _ in range(c.min, min(c.max, sheet.max_column) + 1)]


@pytest.mark.parametrize(
    ("year", "era"), [(2019, "令和元年"), (2018, "平成30年"), (float("nan"), "")]
)
def test_a_year_has_its_japanese_name(year, era):
    assert workbook._era(year, load_texts()["workbook"]["eras"]) == era


def test_workbook_names_nobody_and_has_only_known_parts(rows, tmp_path):
    write_workbook(sample.published(rows), tmp_path / "t.xlsx")
    with zipfile.ZipFile(tmp_path / "t.xlsx") as book:
        names = book.namelist()
        core = book.read("docProps/core.xml").decode()
    assert not [n for n in names if re.search("comment|pivot|external|drawing|vba|custom", n)]
    assert "<dc:creator></dc:creator>" in core
    assert "2000-01-01T00:00:00Z" in core
