"""What does the workbook hold: a cover, notes, every row as one list, and tables with labels."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import numpy as np
import pandas as pd
import xlsxwriter

from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.gate.trace import ROW_COLUMN
from tsunagari.gate.words import clean_text
from tsunagari.report.edition import UNSIGNED
from tsunagari.report.findings import limits
from tsunagari.report.published import Published, records
from tsunagari.report.tables import facts
from tsunagari.report.texts import FIXED
from tsunagari.report.writer import HIDDEN, Writer

_CREATED = datetime.datetime(2000, 1, 1)  # fixed: the same rows give the same bytes
_SAFE = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
_WIDTHS = {"table_id": 30, "item": 44, "item_value": 26, "item_label": 26, "domain_value": 26,
           "measure": 24, "status": 16, "reason": 60, "note": 100, "name": 22,
           "text": 70}  # fmt: skip


def write_workbook(published: Published, path: Path) -> None:
    """Write the tables as a workbook: cover, notes, everything as one list, GT, crosses and more.

    The sheet 一覧 holds the rows of published/estimates.csv as they are (one header row, one datum
    a cell, numbers as numbers); elsewhere column 行 names the row, as `data-row` does on the page.
    No text becomes a formula or a link, nobody is named as author.

    Args:
        published: From `read_published`.
        path: File to write.
    """
    writer = Writer(published)
    names = writer.texts["workbook"]
    sheets = {
        names["cover"]: (_cover(writer), names["cover_columns"]),
        names["notes"]: (_notes(writer), {"note": names["notes"]}),
        names["list"]: (published.estimates[ESTIMATE_COLUMNS], {}),
    }
    sheets |= {sheet: (_lines(writer, prefix), names["columns"])
               for prefix, sheet in names["families"].items()}  # fmt: skip
    stamp = FIXED["synthetic"] if published.is_synthetic else ""
    with xlsxwriter.Workbook(path, {**_SAFE, "in_memory": True}) as book:
        book.set_properties({"title": writer.title, "created": _CREATED})
        for name, (table, titles) in sheets.items():
            if len(table):
                table = table.assign(stamp=stamp) if stamp else table
                _write_sheet(book, name, table, titles=titles | {"stamp": names["kind_of_data"]},
                             stamp=stamp)  # fmt: skip


def _cover(writer: Writer) -> pd.DataFrame:
    names = writer.texts["workbook"]["cover_rows"]
    head = [(names["title"], writer.title, ""), (names["stage"], UNSIGNED, "")]
    lines = facts(writer).groups[""]
    rows = [(line["label"], line["text"].text, "".join(line["text"].rows)) for line in lines]
    return pd.DataFrame([*head, *rows], columns=["name", "text", ROW_COLUMN])


def _notes(writer: Writer) -> pd.DataFrame:
    found = [("how_to_read", {}), *limits(writer.published), ("csv_note", {})]
    lines = [line for name, context in found for line in writer.lines(name, **context)]
    rows = {line.striptags(): ";".join(re.findall('data-row="([^"]*)"', line)) for line in lines}
    return pd.DataFrame({"note": list(rows), ROW_COLUMN: list(rows.values())})


def _lines(writer: Writer, prefix: str) -> pd.DataFrame:
    """Return the rows of a family of tables with their labels, one datum a cell."""
    published, names = writer.published, writer.texts["workbook"]
    everybody = writer.texts["words"]["everybody"]
    rows = published.estimates[published.estimates["table_id"].str.startswith(prefix)]
    every, is_hidden = records(rows), rows["status"] == "suppressed"
    is_all = rows["domain"] == "all"
    # The domain of a model's list of merges is the outcome itself.
    is_outcome = rows["domain"] == "outcome"
    known = {"measure": names["measures"], "unit": FIXED["units"], "status": names["status"]}
    table = rows.assign(
        item=[published.wording(row["item"]) for row in every],
        item_value=[published.answer_label(row) for row in every],
        domain=rows["domain"].map(published.axis_label).mask(is_all | is_outcome, everybody),
        domain_value=pd.Series(published.group_labels(rows), index=rows.index)
        .mask(is_all, everybody)
        .mask(is_outcome, rows["domain_value"].map(published.label)),
        estimate=rows["estimate"].astype(object).mask(is_hidden, HIDDEN),
        reason=rows["reason"].mask(is_hidden, ""),
        **{name: rows[name].map(of).fillna(rows[name]) for name, of in known.items()},
    )
    return table[[*names["columns"], "row_id"]].rename(columns={"row_id": ROW_COLUMN})


def _write_sheet(
    book: xlsxwriter.Workbook, name: str, table: pd.DataFrame, *, titles: dict[str, str], stamp: str
) -> None:
    """Write one sheet, header row first; stamp and mark on every print."""
    sheet = book.add_worksheet(name)
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    words = book.add_format({"text_wrap": True, "valign": "top"})
    sheet.set_header(f"&L&B{UNSIGNED}" + (f"&C&B{stamp}" if stamp else ""))
    if stamp:
        sheet.set_footer(f"&C{stamp}　&P / &N")
        sheet.set_tab_color("#f0c000")
    for column, source in enumerate(table.columns):
        sheet.write_string(0, column, titles.get(source, source), bold)
        sheet.set_column(column, column, _WIDTHS.get(source, 12))
    is_wordy = "text" in table or "note" in table
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
