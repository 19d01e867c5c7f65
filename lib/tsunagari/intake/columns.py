"""One column of answers: coded, with a log of every cell that could not be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from tsunagari.errors import InputError, show_rows
from tsunagari.intake.judging import (
    CONTROL,
    CONTROL_PATTERN,
    EMPTY_TEXT,
    MISSING_LOOKS,
    STATA_MISSING,
    WHOLE,
    Judgement,
    judge_code,
    judge_date,
    judge_number,
    label_key,
    tidy_cell,
)
from tsunagari.study.codebook import MISSING_ROLES, NO_ANSWER
from tsunagari.study.settings import MultiAnswer
from tsunagari.study.survey import Study

BAD_CELL_LIMIT = 0.02  # share of an item's answers; above it the codebook or the file is wrong
BAD_CELL_MINIMUM = 5  # cells; fewer never stop a run, whatever their share of a small sample
UNDECLARED_MISSING_LIMIT = 0.005
TEXT = pd.StringDtype(na_value=np.nan)  # what pandas means by "str", made once


@dataclass(frozen=True)
class Coded:
    """A column as codes: `names[codes]`, -1 where there is none; numbers stand in `numbers`.

    `no_answer` are the names that mean no answer: ours and the questionnaire's own.
    """

    names: tuple[str, ...] = ()
    codes: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int8))
    numbers: np.ndarray | None = None
    no_answer: tuple[str, ...] = (NO_ANSWER,)

    @property
    def is_given(self) -> np.ndarray:
        """Where there is a value, shape (n,)."""
        return self.codes >= 0 if self.numbers is None else ~np.isnan(self.numbers)

    def among(self, wanted: Iterable[str]) -> np.ndarray:
        """Where the value is one of these, shape (n,)."""
        chosen = set(wanted)
        return np.array([*(v in chosen for v in self.names), False])[self.codes]

    def to_text(self, keep: np.ndarray) -> pd.api.extensions.ExtensionArray:
        """Return the values of some rows as text, missing where there is none."""
        codes = self.codes[keep]
        values = pa.array(self.names, type=pa.large_string())
        taken = values.take(pa.array(codes, mask=codes < 0))
        return pd.arrays.ArrowStringArray(taken, dtype=TEXT)


@dataclass(frozen=True)
class TextColumn:
    """A delivered column: its distinct texts, and which of them each row holds, shape (n,)."""

    texts: list[str]
    places: np.ndarray

    def at(self, positions: np.ndarray) -> list[str]:
        """Return the texts of some rows."""
        return [self.texts[place] for place in self.places[positions]]

    def where(self, is_hit: Iterable[bool]) -> np.ndarray:
        """Return where the text is one of those marked, shape (n,)."""
        return np.array([*is_hit, False], dtype=bool)[self.places]

    @property
    def is_filled(self) -> np.ndarray:
        """Where there is more than white space, shape (n,)."""
        return self.where(tidy_cell(text) != "" for text in self.texts)


def encode_texts(values: pd.api.extensions.ExtensionArray) -> tuple[list[str], np.ndarray]:
    """Return the distinct texts and each row's place among them; without a Python text a row."""
    encoded = pa.chunked_array([pa.array(values).dictionary_encode()]).combine_chunks()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()


class CellLog:
    """Holds the delivered cells and gathers what happened to them, by position of the row."""

    def __init__(self, raw: pd.DataFrame, *, counted: np.ndarray | None = None) -> None:
        self.raw = raw
        self.counted = np.ones(len(raw), dtype=bool) if counted is None else counted
        self.cells: list[tuple[np.ndarray, str, str]] = []
        self.repairs: list[tuple[np.ndarray, str, list[str], str]] = []
        self.flags: list[tuple[np.ndarray, str, str]] = []
        self._arrays = {name: column.array for name, column in raw.items()}
        self._columns: dict[str, TextColumn] = {}
        self._texts: dict[int, list[str]] = {}  # of the category types, which columns share

    def column(self, variable: str) -> TextColumn:
        """Return a delivered column by its distinct texts."""
        if variable not in self._columns:
            array = self._arrays[variable]
            if not isinstance(array, pd.Categorical):
                self._columns[variable] = TextColumn(*encode_texts(array))
                return self._columns[variable]
            kind = id(array.dtype)
            if kind not in self._texts:
                self._texts[kind] = array.categories.tolist()
            self._columns[variable] = TextColumn(self._texts[kind], array.codes)
        return self._columns[variable]

    def blank(self, positions: np.ndarray, variable: str, *, reason: str) -> None:
        """Log cells whose answer is not used."""
        if len(positions):
            self.cells.append((positions, variable, reason))

    def repair(self, positions: np.ndarray, variable: str, *, new: list[str], rule: str) -> None:
        """Log cells that were tidied."""
        if len(positions):
            self.repairs.append((positions, variable, new, rule))

    def flag(self, positions: np.ndarray, variable: str, *, flag: str) -> None:
        """Log rows that stand out and stay."""
        if len(positions):
            self.flags.append((positions, variable, flag))

    def raw_values(self, positions: np.ndarray, variable: str) -> list[str]:
        """Return the delivered texts of cells; private."""
        if variable not in self._arrays:
            return [""] * len(positions)
        if isinstance(self._arrays[variable], pd.Categorical):
            return self.column(variable).at(positions)
        return self._arrays[variable].take(positions).tolist()


@dataclass(frozen=True)
class Book:
    """The codebook as plain dictionaries by variable, for many quick looks."""

    kinds: dict[str, str]
    items: dict[str, str]
    required: dict[str, bool]
    limits: dict[str, tuple[float, float]]
    codes: dict[str, list[tuple[str, str, str]]]
    marks: MultiAnswer
    missing: dict[str, str]  # role of marks for no answer that no option and no number can be

    @classmethod
    def of(cls, study: Study) -> Book:
        """Return the book of a wave."""
        columns, codes = study.codebook.columns, study.codebook.codes
        listed: dict[str, list[tuple[str, str, str]]] = {}
        names = ("variable", "code", "code_label", "role")
        for variable, *rest in zip(*(codes[name] for name in names), strict=True):
            listed.setdefault(variable, []).append(tuple(rest))
        kinds = columns["type"].to_dict()
        roles = {
            (code, role)
            for variable, rest in listed.items()
            for code, _, role in rest
            if kinds[variable] == "SA" and role in MISSING_ROLES and not code.isdigit()
        } | {(mark, "not_applicable") for mark in study.config.multi_answer.not_asked}
        told = Counter(code for code, _ in roles)  # one of two meanings is none
        ends = zip(columns["min"], columns["max"], strict=True)
        limits = [(float(low or -np.inf), float(high or np.inf)) for low, high in ends]
        return cls(
            kinds=kinds,
            items=columns["item"].to_dict(),
            required=(columns["required"] != "no").to_dict(),
            limits=dict(zip(columns.index, limits, strict=True)),
            codes=listed,
            marks=study.config.multi_answer,
            missing={code: role for code, role in roles if told[code] == 1},
        )

    def options(self, item: str) -> list[str]:
        """Return the columns of a multi-answer item."""
        return [v for v, name in self.items.items() if name == item and self.kinds[v] == "MA"]


# --- one column ---------------------------------------------------------------------------------


def judge_column(
    variable: str, judge: Callable[[str], Judgement], *, log: CellLog, is_option: bool = False
) -> tuple[np.ndarray, list[Judgement]]:
    """Judge every distinct text of a column; return each row's place among the judgements."""
    column = log.column(variable)
    found = [judge(text) for text in column.texts]
    for reason in sorted({each.reason for each in found} - {""}):
        hit = column.where(each.reason == reason for each in found)
        log.blank(np.flatnonzero(hit), variable, reason=reason)
    for rule in sorted({each.rule for each in found} - {""}):
        rows = np.flatnonzero(column.where(each.rule == rule for each in found))
        new = [str(found[place].value) for place in column.places[rows]]
        log.repair(rows, variable, new=new, rule=rule)
    if any(each.reason for each in found):
        _refuse_bad_cells(variable, column, found=found, log=log, is_option=is_option)
    return column.places, found


def _refuse_bad_cells(
    variable: str, column: TextColumn, *, found: list[Judgement], log: CellLog, is_option: bool
) -> None:
    """Refuse a column in which too many cells are not what the codebook says."""
    texts, places = column.texts, column.places[log.counted]
    is_bad = np.array([bool(each.reason) for each in found])
    counts = np.bincount(places, minlength=len(found))
    n_given = counts[[tidy_cell(text) != "" for text in texts]].sum()
    looks = (tidy_cell(text) for text in texts)
    is_mark = [look in MISSING_LOOKS or bool(STATA_MISSING.fullmatch(look)) for look in looks]
    missing_look = np.array(is_mark) & is_bad
    n_missing, n_bad = counts[missing_look].sum(), counts[is_bad].sum()
    many = max(BAD_CELL_MINIMUM - 1, BAD_CELL_LIMIT * n_given)
    if n_missing > max(2, UNDECLARED_MISSING_LIMIT * n_given):
        code, bad = "MISSING_CODE_UNDECLARED", missing_look
    elif n_bad > many:
        code, bad = "CODE_UNKNOWN", is_bad
    else:
        return
    rows = log.raw.index[log.counted][bad[places]]
    raise InputError(
        f"{code}.option" if is_option else code,
        variable=variable,
        n=len(rows),
        share=100 * len(rows) / n_given,
        rows=show_rows(rows),
    )


def code_single(variable: str, *, book: Book, log: CellLog) -> Coded:
    """Return a single-answer column as codes; blanks and bad cells have none."""
    options = [code for code, _, _ in book.codes.get(variable, [])]
    codes = {code: code for code in options}
    for code in options:
        if WHOLE.fullmatch(code):
            codes.setdefault(str(int(float(code))), code)
    labels: dict[str, str] = {}
    for code, label, _ in book.codes.get(variable, []):
        plain = label_key(label)
        labels[plain] = "" if plain in labels else code  # a label of two codes says nothing
    labels = {label: code for label, code in labels.items() if label and code}
    places, found = judge_column(
        variable, lambda text: judge_code(text, codes=codes, labels=labels), log=log
    )
    order = {code: place for place, code in enumerate([*options, NO_ANSWER])}
    small = np.int8 if len(order) < 127 else np.int16
    lookup = np.array([*(order.get(each.value, -1) for each in found), -1], dtype=small)
    none = [code for code, _, role in book.codes.get(variable, []) if role == "no_answer"]
    return Coded(tuple(order), lookup[places], no_answer=(*none, NO_ANSWER))


def code_number(variable: str, *, book: Book, log: CellLog) -> Coded:
    """Return a number column; blanks and bad cells are NaN."""
    lowest, highest = book.limits[variable]
    places, found = judge_column(
        variable,
        lambda text: judge_number(text, lowest=lowest, highest=highest, missing=book.missing),
        log=log,
    )
    values = (np.nan if each.value is None else each.value for each in found)
    return Coded(numbers=np.array([*values, np.nan], dtype=float)[places])


def code_date(variable: str, *, book: Book, log: CellLog, day_zero: date | None) -> Coded:
    """Return a date column as ISO text; blanks and bad cells have none."""
    places, found = judge_column(
        variable,
        lambda text: judge_date(text, day_zero=day_zero, missing=book.missing),
        log=log,
    )
    values = sorted({each.value for each in found if each.value})
    order = {value: place for place, value in enumerate(values)}
    lookup = np.array([*(order.get(each.value, -1) for each in found), -1], dtype=np.int32)
    return Coded(tuple(values), lookup[places])


def code_text(variable: str, *, log: CellLog) -> pd.Series:
    """Return free text without control characters; a mark for nothing written is missing."""
    column = log.raw[variable].astype("str")
    dirty = np.flatnonzero(column.str.contains(CONTROL_PATTERN, regex=True).to_numpy(bool))
    if len(dirty):
        clean = [CONTROL.sub("", text) for text in column.iloc[dirty]]
        log.repair(dirty, variable, new=clean, rule="CONTROL_CHARACTER")
        column = column.copy()
        column.iloc[dirty] = clean
    damaged = column.str.contains("\ufffd", regex=False).to_numpy(bool)
    log.flag(np.flatnonzero(damaged), variable, flag="TEXT_DAMAGED")
    empty = column.str.len().to_numpy() <= 4
    places, short = pd.factorize(column.array[empty])
    empty[empty] = np.array([tidy_cell(text).lower() in EMPTY_TEXT for text in short] or [0])[
        places
    ].astype(bool)
    return column.mask(empty)
