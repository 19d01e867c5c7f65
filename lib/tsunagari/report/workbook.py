"""What does the workbook hold: a cover, notes, every row as one list, and tables with labels."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import xlsxwriter

from tsunagari.attack import ROW_COLUMN
from tsunagari.disclosure import clean_text
from tsunagari.report.edition import UNSIGNED
from tsunagari.report.findings import limits
from tsunagari.report.published import Published, records
from tsunagari.report.tables import facts
from tsunagari.report.texts import HIDDEN, Writer
from tsunagari.study import ESTIMATE_COLUMNS

_CREATED = datetime.datetime(2000, 1, 1)  # fixed: the same rows give the same bytes
_SAFE = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
_WIDTHS = {"質問": 44, "回答": 26, "区分": 26, "表番号": 30, "項目": 22, "内容": 70, "注意": 100,
           "値の種類": 24, "理由・注": 60, "公表の状態": 16, "table_id": 30, "item_label": 26,
           "domain": 18, "domain_value": 18, "reason": 40, "measure": 24}  # fmt: skip


def write_workbook(published: Published, path: Path, *, title: str) -> None:
    """Write the tables as a workbook: cover, notes, everything as one list, GT, crosses and more.

    The sheet 一覧 holds the rows of published/estimates.csv as they are (one header row, one datum
    a cell, numbers as numbers); elsewhere column 行 names the row, as `data-row` does on the page.
    No text becomes a formula or a link, nobody is named as author.

    Args:
        published: From `read_published`.
        path: File to write.
        title: Title of the report.
    """
    writer = Writer(published)
    names = writer.texts["workbook"]
    stamp = writer.texts["words"]["synthetic"] if published.is_synthetic else ""
    sheets = {
        names["cover"]["name"]: _cover(writer, title=title),
        names["notes"]: pd.DataFrame({names["notes"]: _notes(writer)}),
        names["list"]: published.estimates[list(ESTIMATE_COLUMNS)],
    }
    sheets |= {sheet: _lines(writer, prefix) for sheet, prefix in names["families"].items()}
    with xlsxwriter.Workbook(path, {**_SAFE, "in_memory": True}) as book:
        book.set_properties({"title": title, "created": _CREATED})
        for place, (name, table) in enumerate(sheets.items()):
            if len(table):
                table = table.assign(**{names["kind_of_data"]: stamp}) if stamp else table
                _write_sheet(book, name, table, stamp=stamp, is_wordy=place < 2)


def _cover(writer: Writer, *, title: str) -> pd.DataFrame:
    names = writer.texts["workbook"]["cover"]
    lines = facts(writer).groups[""]
    rows = [(line["label"], line["text"].text, "".join(line["text"].rows)) for line in lines]
    columns = [names["item"], names["text"], ROW_COLUMN]
    head = [(names["title"], title, ""), (names["stage"], UNSIGNED, "")]
    return pd.DataFrame([*head, *rows], columns=columns)


def _notes(writer: Writer) -> list[str]:
    found = [("how_to_read", {}), *limits(writer.published), ("csv_note", {})]
    lines = [line for name, context in found for line in writer.lines(name, **context)]
    return list(dict.fromkeys(line.unescape() for line in lines))


def _lines(writer: Writer, prefix: str) -> pd.DataFrame:
    """Return the rows of a family of tables with their labels, one datum a cell."""
    published, names = writer.published, writer.texts["workbook"]
    everybody = writer.texts["words"]["everybody"]
    rows = published.estimates[published.estimates["table_id"].str.startswith(prefix)]
    every, is_hidden = records(rows), rows["status"] == "suppressed"
    # The domain of a model's list of merges is the outcome itself.
    domains = [(r["domain"], r["domain_value"]) for r in every]
    axes = [everybody if d in ("all", "outcome") else published.axis_label(d) for d, _ in domains]
    labels = {name: rows[column].map(names[name]).fillna(rows[column]) for name, column in
              (("measures", "measure"), ("units", "unit"), ("status", "status"))}  # fmt: skip
    return pd.DataFrame(
        {
            "表番号": rows["table_id"],
            "調査年": rows["wave"],
            "質問": [published.wording(row["item"]) for row in every],
            "回答": [published.answer_label(row) for row in every],
            "区分の軸": axes,
            "区分": [published.label(v) if d == "outcome" else published.group_label(d, v)
                     for d, v in domains],
            "値の種類": labels["measures"],
            "単位": labels["units"],
            "値": rows["estimate"].astype(object).mask(is_hidden, HIDDEN),
            "区間の下限": rows["lower"],
            "区間の上限": rows["upper"],
            "n（重み付け前、人）": rows["n_unweighted"],
            "印": rows["mark"],
            "判定": rows["verdict"],
            "公表の状態": labels["status"],
            "理由・注": rows["reason"].where(~is_hidden, ""),
            ROW_COLUMN: rows["key"],
        }
    )  # fmt: skip


def _write_sheet(
    book: xlsxwriter.Workbook, name: str, table: pd.DataFrame, *, stamp: str, is_wordy: bool
) -> None:
    """Write one sheet, header row first; stamp and mark on every print."""
    sheet = book.add_worksheet(name)
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    words = book.add_format({"text_wrap": True, "valign": "top"})
    sheet.set_header(f"&L&B{UNSIGNED}" + (f"&C&B{stamp}" if stamp else ""))
    if stamp:
        sheet.set_footer(f"&C{stamp}　&P / &N")
        sheet.set_tab_color("#f0c000")
    for column, title in enumerate(table.columns):
        sheet.write_string(0, column, title, bold)
        sheet.set_column(column, column, _WIDTHS.get(title, 12))
    for row, values in enumerate(table.itertuples(index=False), start=1):
        for column, value in enumerate(values):
            if isinstance(value, int | float | np.number):
                if not np.isnan(value):
                    sheet.write_number(row, column, float(value))
            elif text := clean_text(value):
                sheet.write_string(row, column, text, words if is_wordy else None)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, len(table), len(table.columns) - 1)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
