"""What does each cell mean: a code, a number, a date, a skipped question, or no answer.

Every distinct text of a column is judged once, against the codebook; rows follow by lookup. A bad
cell is blanked and logged with its reason, a tidied one is logged old -> new. Messages name
variables, counts and rows, never a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd

from tsunagari.intake.columns import (
    Book,
    CellLog,
    Coded,
    code_date,
    code_number,
    code_single,
    code_text,
)
from tsunagari.intake.multi_answer import code_multiple
from tsunagari.study.codebook import NO_ANSWER, Condition, skip_rules
from tsunagari.study.survey import Study

# --- skip logic ---------------------------------------------------------------------------------


def holds(
    parts: list[Condition], columns: Mapping[str, Coded], *, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return where a condition holds and where a missing answer leaves it open, shape (n,) each."""
    yes, is_open = np.ones(n, dtype=bool), np.zeros(n, dtype=bool)
    for name, codes in parts:
        mine = columns[name].among(codes)
        unknown = columns[name].among(columns[name].no_answer)
        is_open = (is_open & (mine | unknown)) | (yes & unknown)
        yes &= mine
    return yes, is_open


# --- the whole sheet ----------------------------------------------------------------------------


@dataclass(frozen=True)
class CodedSheet:
    """Every column of a file as codes, skip logic settled, with the log of what happened.

    Attributes:
        columns: Single answers, numbers and dates by variable, multi-answer options by column.
        texts: Free text by variable.
        log: Cells blanked, cells tidied, rows that stand out.
        book: The codebook.
    """

    columns: dict[str, Coded]
    texts: dict[str, pd.Series]
    log: CellLog
    book: Book


def code_cells(
    raw: pd.DataFrame,
    study: Study,
    *,
    day_zero: date | None = None,
    counted: np.ndarray | None = None,
) -> CodedSheet:
    """Judge every cell of a file against the codebook, then settle who was asked what.

    Args:
        raw: Text as delivered, multi-answer questions split, shape (n, any), index file_row.
        study: The wave.
        day_zero: As in `RawResponses`.
        counted: Rows whose bad cells may stop the file, shape (n,); None: all.

    Returns:
        The coded columns and the log.

    Raises:
        InputError: A column holds too much that the codebook does not know.
    """
    rules = skip_rules(study.codebook)
    log, book = CellLog(raw, counted=counted), Book.of(study)
    columns: dict[str, Coded] = {}
    texts: dict[str, pd.Series] = {}
    for variable, kind in book.kinds.items():
        if kind == "SA":
            columns[variable] = code_single(variable, book=book, log=log)
        elif kind == "NUM":
            columns[variable] = code_number(variable, book=book, log=log)
        elif kind == "DATE":
            columns[variable] = code_date(variable, book=book, log=log, day_zero=day_zero)
        elif kind == "OA":
            texts[variable] = code_text(variable, log=log)
    items = dict.fromkeys(book.items[v] for v, kind in book.kinds.items() if kind == "MA")
    multiple = {item: code_multiple(item, book=book, log=log) for item in items}
    sheet = CodedSheet(columns, texts, log, book)
    _settle_skips(sheet, rules, multiple)
    return sheet


def _settle_skips(
    sheet: CodedSheet,
    rules: Mapping[str, list[Condition]],
    multiple: dict[str, tuple[np.ndarray, np.ndarray, Coded]],
) -> None:
    """Mark who was not asked, blank answers given all the same; fills `sheet.columns`."""
    n, kinds = len(sheet.log.raw), sheet.book.kinds
    everyone, nobody = np.ones(n, dtype=bool), np.zeros(n, dtype=bool)
    done = set()
    for variable in [*(v for v in kinds if v not in rules), *rules]:
        name = sheet.book.items[variable] if kinds[variable] == "MA" else variable
        if name in done or kinds[variable] == "ID":
            continue
        done.add(name)
        parts = rules.get(variable)
        asked, is_open = holds(parts, sheet.columns, n=n) if parts else (everyone, nobody)
        if kinds[variable] == "MA":
            coded = multiple.pop(name)
            _settle_multiple(name, asked, is_open=is_open, sheet=sheet, coded=coded)
        elif kinds[variable] == "OA":
            _settle_text(variable, asked, is_open=is_open, sheet=sheet)
        else:
            sheet.columns[variable] = _settle_column(variable, asked, is_open=is_open, sheet=sheet)


def _leave_unasked(
    log: CellLog, variable: str, told: np.ndarray, *, asked: np.ndarray, is_open: np.ndarray
) -> None:
    """Log answers, shape (n,), of people whom no answer led to the question.

    Where the filter itself has no answer they are not counted either (SDC-1 P11): the base of the
    question would differ by those few from the people who were led to it.
    """
    log.blank(np.flatnonzero(told & ~asked & ~is_open), variable, reason="SKIP_VIOLATION")
    log.blank(np.flatnonzero(told & is_open), variable, reason="FILTER_MISSING")


def _settle_column(
    variable: str, asked: np.ndarray, *, is_open: np.ndarray, sheet: CodedSheet
) -> Coded:
    """Return a column blank where it was not asked and no_answer where nothing usable was said."""
    column = sheet.columns[variable]
    given = column.is_given
    if asked.all():
        if NO_ANSWER not in column.names or given.all():
            return column
    else:
        roles = [(code, role) for code, _, role in sheet.book.codes.get(variable, [])]
        told = given & ~column.among(code for code, role in roles if role == "not_applicable")
        _leave_unasked(sheet.log, variable, told, asked=asked, is_open=is_open)
    used = given & asked
    if column.numbers is not None:
        return Coded(numbers=np.where(used, column.numbers, np.nan))
    if NO_ANSWER not in column.names:
        return replace(column, codes=np.where(used, column.codes, -1))
    codes = column.codes.copy()
    codes[~used] = -1
    codes[asked & ~given] = column.names.index(NO_ANSWER)
    return replace(column, codes=codes)


def _settle_text(
    variable: str, asked: np.ndarray, *, is_open: np.ndarray, sheet: CodedSheet
) -> None:
    if asked.all():
        return
    text = sheet.texts[variable]
    told = text.notna().to_numpy()
    _leave_unasked(sheet.log, variable, told, asked=asked, is_open=is_open)
    sheet.texts[variable] = text.mask(~asked)


def _settle_multiple(
    item: str,
    asked: np.ndarray,
    *,
    is_open: np.ndarray,
    sheet: CodedSheet,
    coded: tuple[np.ndarray, np.ndarray, Coded],
) -> None:
    """Settle a multi-answer question and file its options as columns of their own."""
    chosen, outside, answered = coded
    asked = asked & ~outside
    variables = sheet.book.options(item)
    if not asked.all():
        for k, variable in enumerate(variables):
            _leave_unasked(sheet.log, variable, chosen[k], asked=asked, is_open=is_open)
    status = answered.codes.copy()
    status[asked & (status < 0)] = 1
    status[~asked] = -1
    sheet.columns[item] = Coded(answered.names, status)
    codes = chosen.view(np.int8)  # the same bytes: 0 and 1 now, -1 where not asked
    if not asked.all():
        codes[:, ~asked] = -1
    sheet.columns.update({v: Coded(("0", "1"), codes[k]) for k, v in enumerate(variables)})
