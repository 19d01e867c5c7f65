"""Templates: what an office gets, fills in and sends back."""

import shutil
from zipfile import ZipFile

import openpyxl
import pandas as pd
import pytest

from tsunagari.programmes import cells, records, schema, templates

AREAS = {"38201": "松山市", "38000": "愛媛県", "00000": "全国"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("templates")
    context = cells.Context(pd.Timestamp(2023, 3, 31), AREAS, schema.declared()["lists"])
    templates.write_all(place, context)
    return place


def test_an_empty_template_holds_no_data(folder):
    found = records.read(folder, year=2022, areas=AREAS)
    assert set(found.tables) == set(schema.tables())
    assert all(table.empty for table in found.tables.values())
    assert set(found.quarantine["reason"]) == {"EXAMPLE"}
    assert len(found.quarantine) == len(schema.tables())


@pytest.mark.parametrize("name", schema.declared()["programmes"])
def test_first_sheet_explains_and_every_choice_is_offered(folder, name):
    book = openpyxl.load_workbook(folder / f"{name}.xlsx")
    assert book.sheetnames[0] == "はじめに"
    assert all(sheet.sheet_state == "visible" for sheet in book)
    said = {(row[0], row[1]) for row in book["はじめに"].iter_rows(values_only=True)}
    for table in (t for t in schema.tables().values() if t.file == name):
        sheet = book[table.label]
        labels = [cell.value for cell in sheet[1]]
        assert labels == [column.label for column in templates.template_columns(table)]
        assert {(table.label, label) for label in labels} <= said
        assert sheet["A2"].value == "記入例"
        lists = [rule for rule in sheet.data_validations.dataValidation if rule.type == "list"]
        one_of = [
            c for c in templates.template_columns(table) if c.kind in ("code", "unit", "yesno")
        ]
        assert len(lists) >= len(one_of)
    with ZipFile(folder / f"{name}.xlsx") as parts:
        assert not [part for part in parts.namelist() if "comment" in part or "vba" in part]


def test_worked_rows_would_be_right_if_they_were_data(tmp_path):
    for name, table in schema.tables().items():
        cells_ = {c.label: c.example for c in templates.template_columns(table)}
        cells_ |= {"行番号": "1", "備考": "別の備考"}  # not equal to the example
        lines = [",".join(cells_), ",".join(cells_.values())]
        place = tmp_path / name
        place.mkdir()
        (place / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        found = records.read(place, year=2022, areas=AREAS)
        assert found.cells.empty, found.sentences()
        assert set(found.quarantine["reason"]) <= {"EXAMPLE_LEFT"}, found.sentences()


def test_filled_in_and_sent_back(folder, tmp_path):
    path = tmp_path / "council.xlsx"
    shutil.copy(folder / "council.xlsx", path)
    book = openpyxl.load_workbook(path)
    sheet = book["会議"]
    at = {cell.value: cell.column for cell in sheet[1]}
    row = {
        "会議ID": "M9",
        "会議の名称": "代表者会議",
        "開催日": pd.Timestamp(2022, 9, 1),
        "出席団体数": 12,
    }
    for label, value in row.items():
        sheet.cell(3, at[label], value)
    book.save(path)
    found = records.read(tmp_path, year=2022, areas=AREAS).table("meetings")
    assert found["meeting_id"].tolist() == ["M9"]
    assert found["held_on"].tolist() == [pd.Timestamp(2022, 9, 1)]
    assert found["attended_orgs"].tolist() == [12.0]


def test_the_worked_row_is_of_the_folders_year_and_still_no_data(tmp_path):
    context = cells.Context(pd.Timestamp(2025, 3, 31), AREAS, schema.declared()["lists"])
    templates.write_all(tmp_path, context)
    sheet = openpyxl.load_workbook(tmp_path / "council.xlsx")["会議"]
    row = dict(
        zip(*([cell.value for cell in line] for line in sheet.iter_rows(max_row=2)), strict=True)
    )
    assert row["開催日"] == "2024-11-01"  # 2022-11-01 in columns.csv, two years later
    found = records.read(tmp_path, year=2024, areas=AREAS)
    assert set(found.quarantine["reason"]) == {"EXAMPLE"}


def test_the_guide_says_no_range_that_tells_nothing_and_explains_what_a_name_does_not(folder):
    said = {
        (row[0], row[1]): row
        for path in sorted(folder.glob("*.xlsx"))
        for row in openpyxl.load_workbook(path)["はじめに"].iter_rows(values_only=True)
    }
    assert not [row for row in said.values() if "000,000,000" in str(row[4])]
    years = [row[4] for row in said.values() if row[4] and "2100" in str(row[4])]
    assert set(years) == {"1990〜2100"}
    kinds = {label: str(row[2]) for (_, label), row in said.items()}
    assert "symposium、resources" in kinds["事業ID"] and "table_id:item" in kinds["推定値の鍵"]
    assert "窓口の名前" in kinds["窓口"]


def test_the_same_bytes_every_time(folder, tmp_path):
    context = cells.Context(pd.Timestamp(2023, 3, 31), AREAS, schema.declared()["lists"])
    for path in templates.write_all(tmp_path, context):
        assert path.read_bytes() == (folder / path.name).read_bytes()
