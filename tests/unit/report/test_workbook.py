"""The workbook: the same every time, every row once, nobody named, no merged cells."""

import re
import zipfile

import numpy as np
import openpyxl
import pandas as pd
from tests.browser import published_sample as sample

from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.report.workbook import write_workbook


def test_workbook_is_the_same_every_time(rows, tmp_path):
    published = sample.published(rows)
    for name in ("a.xlsx", "b.xlsx"):
        write_workbook(published, tmp_path / name)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


def test_list_sheet_holds_the_estimates_as_they_are(rows, tmp_path):
    published = sample.published(rows)
    write_workbook(published, tmp_path / "t.xlsx")
    found = pd.read_excel(tmp_path / "t.xlsx", sheet_name="一覧", dtype=object, engine="openpyxl")
    assert list(found.columns) == ESTIMATE_COLUMNS
    assert len(found) == len(published.estimates)
    numbers = found["estimate"].astype(float)
    np.testing.assert_allclose(numbers, published.estimates["estimate"])


def test_sheets_have_one_header_row_and_no_merged_cells(rows, tmp_path):
    write_workbook(sample.published(rows, is_synthetic=True), tmp_path / "t.xlsx")
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    names = ["表紙", "注意", "一覧", "GT", "クロス", "全国比較", "前回比較", "関連する条件"]
    assert book.sheetnames == names
    for sheet in book:
        assert sheet.sheet_state == "visible"
        assert not sheet.merged_cells.ranges
        header = [cell.value for cell in sheet[1]]
        assert all(header)
        assert header[-1] == "データの種類"
        assert {row[-1].value for row in sheet.iter_rows(min_row=2)} == {"合成データ"}
        assert "合成データ" in sheet.oddHeader.center.text


def test_workbook_names_nobody_and_has_only_known_parts(rows, tmp_path):
    write_workbook(sample.published(rows), tmp_path / "t.xlsx")
    with zipfile.ZipFile(tmp_path / "t.xlsx") as book:
        names = book.namelist()
        core = book.read("docProps/core.xml").decode()
    assert not [n for n in names if re.search("comment|pivot|external|drawing|vba|custom", n)]
    assert "<dc:creator></dc:creator>" in core
    assert "2000-01-01T00:00:00Z" in core
