"""What can an office fill in: an empty workbook a programme, with choices and a worked row."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name, xl_rowcol_to_cell

from tsunagari.errors import SurveyError
from tsunagari.programmes import schema
from tsunagari.programmes.cells import Context
from tsunagari.programmes.records import CHOICES, EXAMPLE, GUIDE, load
from tsunagari.programmes.schema import Column, Table
from tsunagari.study.files import repository_root
from tsunagari.study.survey import open_study

ROWS = 1_000  # rows under the worked one that have choices
_LEFT_OUT = ("study", "fiscal_year", "unused")  # the folder says which study and year
_WIDTH = 16  # characters
_NO_LIMIT = 1e9  # such an upper end is there to catch a slip, and tells nobody what to write


def template_columns(table: Table) -> list[Column]:
    """Return the columns of a table's sheet; only the plan has a year that is not the folder's."""
    kept = () if "fiscal_year" in table.key else _LEFT_OUT
    return [c for c in table.columns.values() if c.name not in kept and c.kind != "unused"]


def write_all(folder: Path, context: Context) -> list[Path]:
    """Write a workbook for each programme.

    Args:
        folder: Where they go; it is made.
        context: Areas and lists of the study, for the choices.

    Returns:
        The files, named after the programmes, which `records.read` reads when filled in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[Table]] = {name: [] for name in schema.declared()["programmes"]}
    for table in schema.tables().values():
        tables[table.file].append(table)
    paths = [folder / f"{name}.xlsx" for name in tables]
    for path, mine in zip(paths, tables.values(), strict=True):
        _write(path, mine, context=context)
    return paths


def _write(path: Path, tables: list[Table], *, context: Context) -> None:
    options = {"strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(path, options) as book:
        book.set_properties({"created": datetime(1980, 1, 1)})
        formats = {
            "head": book.add_format({"bold": True, "text_wrap": True, "bg_color": "#dfeaf3"}),
            "required": book.add_format({"bold": True, "text_wrap": True, "bg_color": "#f3d9c9"}),
            "example": book.add_format({"italic": True, "font_color": "#595959"}),
            "wrap": book.add_format({"text_wrap": True, "valign": "top"}),
        }
        _write_guide(book.add_worksheet(GUIDE), path, tables, formats=formats, context=context)
        sheets = [book.add_worksheet(table.label) for table in tables]
        ranges = _write_choices(book.add_worksheet(CHOICES), tables, context=context)
        for sheet, table in zip(sheets, tables, strict=True):
            year = context.as_of.year - 1
            _write_table(sheet, table, formats=formats, ranges=ranges, year=year)


def _write_guide(sheet: Any, path: Path, tables: list[Table], **told: Any) -> None:
    said, formats, context = schema.texts()["guide"], told["formats"], told["context"]
    title = schema.declared()["programmes"][path.stem]
    lines = [text.format(title=title, example=EXAMPLE, file=path.name) for text in said["lines"]]
    for row, text in enumerate(lines):
        sheet.write_string(row, 0, text, formats["head"] if row == 0 else None)
    at, programmes = len(lines) + 1, "、".join(schema.declared()["programmes"])
    sheet.write_row(at, 0, said["columns"], formats["head"])
    for table in tables:
        for column in template_columns(table):
            at += 1
            choices = "、".join(_choices(column, context).values()) or _range(column)
            kind = said["kinds"][column.kind] + (f"（{column.unit}）" if column.unit else "")
            kind += said["explained"].get(column.label, "").format(programmes=programmes)
            wanted = said["required"][column.required or "no"]
            row = [table.label, column.label, kind, wanted, choices, column.blank]
            sheet.write_row(at, 0, row, formats["wrap"])
    for column, width in enumerate((14, 26, 24, 10, 60, 30)):
        sheet.set_column(column, column, width)


def _choices(column: Column, context: Context) -> dict[str, str]:
    """Return what a column's cells are chosen from, {} where anything may be written."""
    if column.kind == "yesno":
        return {"有": "有", "無": "無"}
    if column.kind in ("area", "areas"):
        return dict(context.areas)
    if column.kind in ("code", "codes", "unit"):
        return schema.allowed(column.rule, lists=dict(context.lists))
    return {}


def _range(column: Column) -> str:
    """Return the range of a number where it tells more than that it is one."""
    low, dots, high = column.rule.partition("..")
    if not dots or float(high) >= _NO_LIMIT:
        return schema.texts()["guide"]["not_negative"] if dots and float(low) == 0 else ""
    ends = (f"{n:,.0f}" if n >= 10_000 else f"{n:.0f}" for n in (float(low), float(high)))
    return "〜".join(ends)  # a year has no comma


def _write_choices(sheet: Any, tables: list[Table], *, context: Context) -> dict[tuple, str]:
    """Write every list of choices once, a column each, and return its range by its choices."""
    ranges: dict[tuple, str] = {}
    for table in tables:
        for column in template_columns(table):
            labels = tuple(_choices(column, context).values())
            if labels and labels not in ranges:
                at = len(ranges)
                sheet.write_column(0, at, [column.label, *labels])
                name = xl_col_to_name(at, col_abs=True)
                ranges[labels] = f"={CHOICES}!{name}$2:{name}${len(labels) + 1}"
            if labels:
                ranges[table.name, column.name] = ranges[labels]
    return ranges


def _write_table(
    sheet: Any, table: Table, *, formats: dict, ranges: Mapping[tuple, str], year: int
) -> None:
    said = schema.texts()["guide"]
    for at, column in enumerate(template_columns(table)):
        head = formats["required" if column.required == "yes" else "head"]
        sheet.write_string(0, at, column.label, head)
        sheet.write_string(1, at, column.example_of(year) if at else EXAMPLE, formats["example"])
        rule = _validation(column, ranges.get((table.name, column.name), ""))
        if rule:
            titles = {
                "input_title": column.label[:32],
                "input_message": said["inputs"][column.kind],
            }
            errors = {"error_title": column.label[:32], "error_message": said["error"]}
            area = f"{xl_rowcol_to_cell(2, at)}:{xl_rowcol_to_cell(ROWS + 1, at)}"
            sheet.data_validation(area, rule | titles | errors)
    sheet.set_column(0, len(table.columns), _WIDTH)
    sheet.freeze_panes(1, 0)


def _validation(column: Column, choices: str) -> dict[str, Any]:
    """Return Excel's check of a column; a message alone where several values may be written."""
    if column.kind in ("codes", "areas", "texts", "days", "refs"):
        return {"validate": "any"}
    if choices:
        return {"validate": "list", "source": choices}
    if column.kind == "date":
        return {"validate": "date", "criteria": ">=", "value": date(1950, 1, 1)}
    if column.kind in ("integer", "number") and ".." in column.rule:
        low, high = map(float, column.rule.split(".."))
        kind = "integer" if column.kind == "integer" and high < 2**31 else "decimal"
        bounds = {"criteria": "between", "minimum": low, "maximum": high}
        return {"validate": kind, "error_type": "warning"} | bounds
    return {}


def main(arguments: list[str]) -> int:
    """Write the templates of a study and year under data/processed, and say where."""
    try:
        name, year = arguments
        study = open_study(name, int(year))
        place = repository_root() / "data/processed" / name / "templates" / year
        write_all(place, load(study).context)
    except SurveyError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    shown = place.relative_to(repository_root())
    sys.stdout.write(schema.texts()["guide"]["written"].format(place=shown) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
