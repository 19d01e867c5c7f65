"""What does the workbook hold: a cover, contents, notes, a sheet a table, every row as one list."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from tsunagari.gate.trace import ROW_COLUMN
from tsunagari.gate.words import clean_text
from tsunagari.report import tables
from tsunagari.report.blocks import Cell, Table
from tsunagari.report.edition import UNSIGNED
from tsunagari.report.figures import width_em, wrap
from tsunagari.report.findings import limits
from tsunagari.report.page import build_report
from tsunagari.report.published import Published, Row, records
from tsunagari.report.texts import FIXED
from tsunagari.report.writer import HIDDEN, MISSING, NONE, Writer

_CREATED = datetime.datetime(2000, 1, 1)  # fixed: the same rows give the same bytes
_SAFE = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
_MOST_COLUMNS = 10  # of a sheet; where ends of intervals would make more, they stand in the list
_NARROW = 9  # columns, in characters
_WIDE = {4: 100, 6: 50, 8: 30, 99: 24}  # and at most, by how many there are
_LINE_POINTS = 15
_NUMBER = re.compile(r'([+−]?)([\d,]+(?:\.(\d+))?)([^\d"]*)')
_RANGE = re.compile(r"([+−]?[\d,.]+)〜([+−]?[\d,.]+)")
_ENDS = ("lower", "upper")
_em = cache(width_em)  # most texts of the list stand there many times

Value = str | float | tuple[float, str, str]  # a number, its format and the text it then shows


@dataclass(frozen=True)
class _Sheet:
    """One table: header row, shape (m,), and lines, shape (n, m), under a title and a note."""

    name: str
    title: str
    head: list[str]
    lines: list[list[Value]]
    note: str = ""
    tables: tuple[Table, ...] = ()


def write_workbook(published: Published, path: Path) -> None:
    """Write the tables of the report as a workbook, and every published row as one list.

    A table has the number that it has in the report; its numbers are numbers that show the digits
    and marks of the page. Column 行 names the rows that a line shows, as `data-row` does there. The
    list keeps to 総務省「統計表における機械判読可能なデータの表記方法の統一ルール」: one header
    row, one datum a cell, units and area codes in columns of their own.
    No text becomes a formula or an outside link, nobody is named as author.

    Args:
        published: From `read_published`.
        path: File to write.
    """
    writer = Writer(published)
    names, every = writer.texts["workbook"], _tables(writer)
    sheets = list(_sheets(every, writer))
    where = {table.key: sheet.name for sheet in sheets for table in sheet.tables}
    contents = [[table.number, table.caption, where[table.key]] for table in every]
    contents += [["", names["list_title"], names["list"]]]
    front = (
        _Sheet(names["cover"], writer.title, names["cover_head"], _cover(writer)),
        _Sheet(names["contents"], names["contents"], names["contents_head"], contents),
        _Sheet(names["notes"], names["notes"], [names["notes"], ROW_COLUMN], _notes(writer)),
    )
    with xlsxwriter.Workbook(path, {**_SAFE, "in_memory": True}) as book:
        book.set_properties({"title": writer.title, "created": _CREATED})
        writing = _Book(book, stamp=FIXED["synthetic"] * published.is_synthetic, names=names)
        for sheet in (*front, *sheets, _list(every, writer)):
            writing.write(sheet)


# --- what the sheets hold -------------------------------------------------------------------------


def _cover(writer: Writer) -> list[list[Value]]:
    lines = tables.facts(writer).groups[""]
    rows = [[line["label"], line["text"].text, "".join(line["text"].rows)] for line in lines]
    return [[writer.texts["workbook"]["stage"], UNSIGNED, ""], *rows]


def _notes(writer: Writer) -> list[list[Value]]:
    found = [("how_to_read", {}), *limits(writer.published), ("workbook_note", {})]
    lines = [line for name, context in found for line in writer.lines(name, **context)]
    rows = {line.striptags(): ";".join(re.findall('data-row="([^"]*)"', line)) for line in lines}
    return [[text, keys] for text, keys in rows.items()]


def _tables(writer: Writer) -> list[Table]:
    """Return the tables of the report, then the cross tables that it leaves out."""
    published, every = writer.published, build_report(writer.published, has_figures=False).tables
    shown = {table.key for table in every}
    items = dict.fromkeys(name.partition("__")[2] for name in published.items_of("cross_"))
    for item in items:
        if f"cross_{item}" not in shown:
            every += tables.make_table(writer, "cross", lines=tables.cross(writer, item=item))
    numbers = {table.key: table.number for table in every}
    return [table.with_references(numbers) for table in every]


def _sheets(every: list[Table], writer: Writer) -> Iterator[_Sheet]:
    """Yield a sheet a table; the single tables of all questions, of the same columns, are one."""
    names, published = writer.texts["workbook"], writer.published
    single, n = [table for table in every if table.key.startswith("gt_")], 0
    if single:
        yield _sheet(single, name=names["single"], names=names)
    for table in every:
        if table not in single:
            n += not table.number
            item = table.key.partition("_")[2]
            label = published.label(item) if published.variable(item) else ""
            name = f"{table.number or names['crosses'] + str(n)} {label}"
            name = re.sub(r"[\[\]:*?/\\']", "", clean_text(name))[:31].strip()
            note = table.note.replace(writer.text("interval_note"), "")  # there is no small print
            yield _sheet([replace(table, note=note)], name=name, names=names)


def _sheet(found: list[Table], *, name: str, names: dict[str, Any]) -> _Sheet:
    """Return tables of the same columns as one sheet; their groups become a column."""
    first, is_many = found[0], len(found) > 1
    lines = [(table, group, line) for table in found for group, own in table.groups for line in own]
    parts: list[tuple[str, int, str]] = []  # heading, place in a line, what of the cell
    for place, heading in enumerate(first.head):
        cells = [line[place] for *_, line in lines] if place else []
        is_range = any(_RANGE.fullmatch(cell.text) for cell in cells)
        source = "text" if is_range else "small"
        parts += [] if is_range else [(heading, place, "text")]
        if is_range or any(_RANGE.fullmatch(cell.small) for cell in cells):
            parts += [(f"{heading} {names[end]}", place, f"{source} {end}") for end in _ENDS]
    if len(parts) > _MOST_COLUMNS:
        parts = [part for part in parts if not part[2].startswith("small")]
    has_groups = any(group for _, group, _ in lines)
    head = [names["number"], names["table"]] * is_many + [names["group"]] * has_groups
    return _Sheet(
        name,
        name if is_many else f"{first.number} {first.caption}".strip(),
        [*head, *(heading for heading, _, _ in parts), ROW_COLUMN],
        [
            [table.number, table.caption] * is_many
            + [group] * has_groups
            + [_value(line[place], part, is_text=table.is_text) for _, place, part in parts]
            + [";".join(dict.fromkeys(key for cell in line for key in cell.rows))]
            for table, group, line in lines
        ],
        "" if is_many else first.note,
        tuple(found),
    )


def _value(cell: Cell, part: str, *, is_text: bool) -> Value:
    """Return a cell, or one end of the interval that it holds, as a number where it is of a row."""
    source, _, end = part.partition(" ")
    text = cell.text if source == "text" else cell.small
    if ends := end and _RANGE.fullmatch(text):
        text = ends[1 + _ENDS.index(end)]
    elif not end and not _RANGE.fullmatch(cell.small):
        text += cell.small
    return text if is_text or not cell.rows else _number(text)


def _number(text: str) -> Value:
    """Return a number with the format that shows it as on the page: digits, sign and mark.

    Example:
        >>> _number("+18.0▲")
        (18.0, '"+"#,##0.0"▲"', '+18.0▲')
    """
    found = _NUMBER.fullmatch(text)
    if not found:
        return text
    sign, digits, decimals, after = found.groups()
    shown = "#,##0" + ("." + "0" * len(decimals) if decimals else "")
    shown = '"+"' * (sign == "+") + shown + (f'"{after}"' if after else "")
    return float(digits.replace(",", "")) * (-1 if sign == "−" else 1), shown, text


def _list(every: list[Table], writer: Writer) -> _Sheet:
    """Return every published row with its labels and the first table that shows it."""
    published, names, words = writer.published, writer.texts["workbook"], writer.texts["words"]
    rows = published.estimates
    own, is_hidden = records(rows), rows["status"] == "suppressed"
    is_all = rows["domain"] == "all"
    # The domain of a model's list of merges is the outcome itself.
    is_outcome = rows["domain"] == "outcome"
    units = FIXED["units"] | words["programme_words"]["units"] | names["units"]
    weights = {name: known["label"] for name, known in words["weights"].items()}
    measures = weights | names["measures"]
    labels = words["variants"] | names["labels"]
    known = {"measure": measures, "unit": units, "status": names["status"]}
    numbers = {key: table.number for table in reversed(every) for _, lines in table.groups
               for line in lines for cell in line for key in cell.rows}  # fmt: skip
    table = rows.assign(
        era=[_era(year, names["eras"]) for year in rows["wave"]],
        area_code=published.about.get("area_code", ""),
        area=published.about["area"],
        number=rows["row_id"].map(numbers).fillna(""),
        item=[_label(published.wording(row["item"]), row, labels) for row in own],
        item_value=[labels.get(text, text) for text in map(published.answer_label, own)],
        domain=rows["domain"]
        .map(published.axis_label)
        .replace(labels)
        .mask(is_all | is_outcome, words["everybody"]),
        domain_value=pd.Series(published.group_labels(rows), index=rows.index)
        .replace(labels)
        .mask(is_all, words["everybody"])
        .mask(is_outcome, rows["domain_value"].map(published.label)),
        estimate=rows["estimate"].astype(object).mask(is_hidden, HIDDEN),
        reason=rows["reason"].mask(is_hidden, ""),
        stamp=FIXED["synthetic"] if published.is_synthetic else names["real"],
        **{name: rows[name].map(of).fillna(rows[name]) for name, of in known.items()},
    )[list(names["columns"])]
    lines = [list(line) for line in table.itertuples(index=False, name=None)]
    return _Sheet(names["list"], "", list(names["columns"].values()), lines)


def _label(label: str, row: Row, labels: dict[str, str]) -> str:
    """Return what a row is of, where it is of no question: a measure, a weight, a programme."""
    return labels.get(label, (label == row["item"] and row["item_label"]) or label)


def _era(year: float, eras: dict[str, int]) -> str:
    """Return the Japanese year, such as 令和4年; nothing where a row is of no wave."""
    found = [(name, int(year) - start + 1) for name, start in eras.items() if year >= start]
    return "".join(f"{name}{'元' if n == 1 else n}年" for name, n in found[:1])


# --- how they are written -------------------------------------------------------------------------


class _Book:
    """Writes sheets into a workbook: title, way back, note, header row and lines."""

    def __init__(self, book: xlsxwriter.Workbook, *, stamp: str, names: dict[str, Any]) -> None:
        self.book, self.stamp, self.names = book, stamp, names
        self.format = cache(lambda **known: book.add_format({"valign": "top", **known}))

    def write(self, own: _Sheet) -> None:
        """Write one sheet that prints on A4, the header row on every page, without column 行."""
        sheet, n = self.book.add_worksheet(own.name), len(own.head) - (own.head[-1] == ROW_COLUMN)
        columns = zip(own.head, *own.lines, strict=True)
        most = next(width for few, width in _WIDE.items() if n <= few)
        widths = [_width(texts, most=most) for texts in columns]
        top = self._write_top(sheet, own, em=sum(widths[:n]) / 2)
        head = self.format(bold=True, text_wrap=True, bottom=1, bg_color="#EEEEEE")
        for column, width in enumerate(widths):
            sheet.write_string(top, column, clean_text(own.head[column]), head)
            sheet.set_column(column, column, width if column < n else _NARROW)
        for row, line in enumerate([own.head, *own.lines], start=top):
            if (n_lines := max(map(_n_lines, line[:n], widths))) > 1:
                sheet.set_row(row, _LINE_POINTS * n_lines)
            for column, value in enumerate(line if row > top else ()):
                is_words = isinstance(value, str) and column < n
                self._write_value(sheet, (row, column), clean_text(value) if is_words else value)
            if own.name == self.names["contents"] and row > top:
                self._link(sheet, (row, n - 1), line[-1])
        bottom = top + len(own.lines)
        sheet.freeze_panes(top + 1, 0)
        sheet.autofilter(top, 0, bottom, len(own.head) - 1)
        sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{bottom + 1}"})
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.set_margins(left=0.4, right=0.4)
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(top)
        sheet.print_area(0, 0, bottom, n - 1)

    def _write_top(self, sheet: Worksheet, own: _Sheet, *, em: float) -> int:
        """Write what stands above the table; return the row of its header."""
        sheet.set_header(f"&L&B{UNSIGNED}{self.stamp and '&C&B'}{self.stamp}&R&A")
        sheet.set_footer("&C&P / &N")
        if self.stamp:
            sheet.set_tab_color("#F0C000")
        if not own.title:
            return 0
        title = f"【{self.stamp}】{own.title}" if self.stamp else own.title
        sheet.write_string(0, 0, clean_text(title), self.format(bold=True))
        if own.name != self.names["contents"]:
            self._link(sheet, (1, 0), self.names["contents"])
        lines = wrap(clean_text(own.note), em=em).split("\n") if own.note else []
        for row, text in enumerate(lines, start=2):
            sheet.write_string(row, 0, text)
        return 2 + len(lines)

    def _link(self, sheet: Worksheet, place: tuple[int, int], name: str) -> None:
        link = self.format(font_color="#0017C1", underline=1)
        sheet.write_url(*place, f"internal:'{name}'!A1", link, name)

    def _write_value(self, sheet: Worksheet, place: tuple[int, int], value: Value) -> None:
        number, shown, _ = value if isinstance(value, tuple) else (value, "General", "")
        if isinstance(number, int | float):
            if not math.isnan(number):
                sheet.write_number(*place, number, self.format(num_format=shown))
        elif number in (HIDDEN, MISSING, NONE):
            sheet.write_string(*place, number, self.format(align="right"))
        elif number:
            sheet.write_string(*place, number, self.format(text_wrap=True))


def _width(column: tuple[Value, ...], *, most: float) -> float:
    """Return the width of a column in characters, its heading aside."""
    texts = (value[-1] if isinstance(value, tuple) else str(value) for value in column[1:])
    return min(max(_NARROW, *(2 * _em(text) + 1 for text in texts), 0), most)


def _n_lines(value: Value, width: float) -> int:
    """Return how many lines a text takes in a column."""
    return max(math.ceil(2 * _em(value) / (width - 1)), 1) if isinstance(value, str) else 1
