"""What does each cell mean: a code, a number, a date, a skipped question, or no answer.

Every distinct text of a column is judged once, against the codebook; rows follow by lookup. A bad
cell is blanked and logged with its reason, a tidied one is logged old -> new. Messages name
variables, counts and rows, never a value.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from tsunagari.reading import show_rows
from tsunagari.study import (
    ALIKE,
    MISSING_ROLES,
    NO_ANSWER,
    Condition,
    ConfigError,
    Derived,
    InputError,
    MultiAnswer,
    Study,
    parse_condition,
    skip_rules,
)

BAD_CELL_LIMIT = 0.02  # share of an item's answers; above it the codebook or the file is wrong
BAD_CELL_MINIMUM = 5  # cells; fewer never stop a run, whatever their share of a small sample
UNDECLARED_MISSING_LIMIT = 0.005
_MISSING_LOOKS = frozenset("-1 -8 -9 . 88 98 99 888 998 999 9998 9999".split())
_ERROR_VALUES = frozenset("#N/A #REF! #DIV/0! #VALUE! #NAME? #NUM! #NULL! #SPILL! #CALC!".split())
CONTROL_PATTERN = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
CONTROL = re.compile(CONTROL_PATTERN)
_HIDDEN = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u00ad\u202a-\u202e\u2066-\u2069]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_WHOLE = re.compile(r"[+-]?\d{1,15}(\.0*)?")  # no code is longer, and a float holds it
_NOT_FINITE = re.compile(r"[+-]?(inf|infinity|nan)", re.I)
_EMPTY_TEXT = frozenset(["", "-", "ー", "―", "—", "−", "無回答", "未記入", "n/a"])
_DATE_LIKE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?( .*)?|\d{1,2}月\d{1,2}日|\d{1,2}-[A-Za-z]{3}(-\d+)?"
    r"|[A-Za-z]{3}-\d{1,2}|\d{4}年.*"
)
_ERAS = {  # first day and last year of each era; Act on Era Names and its cabinet orders
    "明治": (date(1868, 10, 23), date(1912, 7, 29)),
    "大正": (date(1912, 7, 30), date(1926, 12, 24)),
    "昭和": (date(1926, 12, 25), date(1989, 1, 7)),
    "平成": (date(1989, 1, 8), date(2019, 4, 30)),
    "令和": (date(2019, 5, 1), date(9999, 12, 31)),
}
_ERA_LETTERS = dict(zip("MTSHR", _ERAS, strict=True))
_ERA_DATE = re.compile(
    r"(明治|大正|昭和|平成|令和|[MTSHR])\s*(元|\d{1,2})[年.\-/](\d{1,2})[月.\-/](\d{1,2})(?!\d)日?"
)
_PLAIN_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})(?!\d)日?")
_CLOCK = re.compile(
    r"(午前|午後|[AP]M)?\s*(\d{1,2}):(\d\d)(?::\d\d(?:[.,]\d+)?)?\s*(午前|午後|[AP]M)?(.*)", re.I
)
_OFFSET = re.compile(r"(?:Z|UTC|GMT)?(?:([+-])(\d{1,2}):?(\d\d)?)?")
_MENTION = "\x1f"  # between mentions put together; no part of a text
_STATA_MISSING = re.compile(r"\.[a-z]")
_SERIAL_YEARS = range(1982, 2064)  # what a date cell of Excel can be
TEXT = pd.StringDtype(na_value=np.nan)  # what pandas means by "str", made once


class Judgement(NamedTuple):
    """What one text means: its value, or why it has none; `rule` says how it was tidied."""

    value: str | float | None = None
    reason: str = ""
    rule: str = ""


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


# --- one text -----------------------------------------------------------------------------------


def tidy_cell(text: str) -> str:
    """Return a cell in NFKC without hidden characters and outer spaces, for matching only.

    Excel's ="001", which keeps a text from becoming a number, is 001.

    Example:
        >>> tidy_cell("　１２ "), tidy_cell('="001"')
        ('12', '001')
    """
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]
    if text.isascii():
        return text.strip()
    return _HIDDEN.sub("", unicodedata.normalize("NFKC", text)).strip()


def label_key(text: str) -> str:
    """Return a label as it is matched: in NFKC, ヶ and ケ, 〜 and ～ alike.

    Example:
        >>> label_key("１ヶ月〜") == label_key("1ケ月～")
        True
    """
    return tidy_cell(text).translate(ALIKE)


def _bad_text(text: str, tidy: str) -> str:
    """Return why a text that is no code and no number has no value."""
    if tidy in _ERROR_VALUES:
        return "EXCEL_ERROR_VALUE"
    if CONTROL.search(text):
        return "CONTROL_CHARACTER"
    if _NOT_FINITE.fullmatch(tidy):
        return "NOT_FINITE"
    if _NUMBER.fullmatch(tidy):
        return "OUT_OF_RANGE"
    return "DATE_IN_CODE_COLUMN" if _DATE_LIKE.fullmatch(tidy) else ""


def judge_code(text: str, *, codes: Mapping[str, str], labels: Mapping[str, str]) -> Judgement:
    """Return the code a cell of a single-answer question means.

    Args:
        text: The delivered cell.
        codes: Code by its plain form, such as {"1": "1", "2": "2"}.
        labels: Code by its label as `label_key` gives it, labels of two codes left out.

    Returns:
        The code, or the reason why there is none; both empty for a blank.
    """
    if text in codes:
        return Judgement(codes[text])
    tidy = tidy_cell(text)
    if tidy == "":
        return Judgement()
    if CONTROL.search(text):
        return Judgement(reason="CONTROL_CHARACTER")
    if tidy in codes:
        return Judgement(codes[tidy], rule="NFKC")
    if _WHOLE.fullmatch(tidy) and str(int(float(tidy))) in codes:
        return Judgement(codes[str(int(float(tidy)))], rule="WHOLE_NUMBER")
    if label_key(tidy) in labels:
        return Judgement(labels[label_key(tidy)], rule="LABEL")
    return Judgement(reason=_bad_text(text, tidy) or "NOT_A_CODE")


def judge_number(
    text: str, *, lowest: float, highest: float, missing: Iterable[str] = ()
) -> Judgement:
    """Return the number of a cell; units, thousands separators and words are never guessed at.

    A mark of `missing`, or a missing value of Stata (.a to .z), is a blank.
    """
    if len(text) < 16 and text.isdigit() and text.isascii() and lowest <= int(text) <= highest:
        return Judgement(float(text))
    tidy = tidy_cell(text)
    if tidy == "" or tidy in missing or _STATA_MISSING.fullmatch(tidy):
        return Judgement()
    if CONTROL.search(text):
        return Judgement(reason="CONTROL_CHARACTER")
    if not _NUMBER.fullmatch(tidy):
        return Judgement(reason=_bad_text(text, tidy) or "NOT_NUMERIC")
    number = float(tidy)
    if not np.isfinite(number):
        return Judgement(reason="NOT_FINITE")
    if not lowest <= number <= highest:
        return Judgement(reason="OUT_OF_RANGE")
    return Judgement(number, rule="" if tidy == text else "NFKC")


def judge_date(
    text: str, *, day_zero: date | None = None, missing: Iterable[str] = ()
) -> Judgement:
    """Return a cell as an ISO date: Western, Japanese era, or Excel's day number from Excel.

    Args:
        text: The delivered cell. A time with an offset is turned to Japan's day.
        day_zero: The day that a day number 0 stands for; None where numbers are no dates.
        missing: Marks that are blanks, as .a to .z are.

    Returns:
        The date, or the reason why there is none. Day and month are never guessed.
    """
    tidy = tidy_cell(text)
    if tidy == "" or tidy in missing or _STATA_MISSING.fullmatch(tidy):
        return Judgement()
    plain, era = _PLAIN_DATE.match(tidy), _ERA_DATE.match(tidy)
    try:
        if era:
            return _era_day(era)
        if plain:
            day = date(*(int(part) for part in plain.groups()))
            found = _day_in_japan(day, tidy[plain.end() :])
            if found:
                return Judgement(found.isoformat(), rule="" if day.isoformat() == tidy else "DATE")
        elif day_zero and re.fullmatch(r"\d{5}(\.\d+)?", tidy):
            found = day_zero + timedelta(days=int(float(tidy)))
            if found.year in _SERIAL_YEARS:
                return Judgement(found.isoformat(), rule="EXCEL_DATE")
    except ValueError:
        return Judgement(reason="IMPOSSIBLE_DATE")
    return Judgement(reason="EXCEL_ERROR_VALUE" if tidy in _ERROR_VALUES else "NOT_A_DATE")


def _day_in_japan(day: date, rest: str) -> date | None:
    """Return the day after what follows a date: None for a time in a zone that is not known."""
    clock = _CLOCK.search(rest)
    zone = re.sub(r"\s|\(.*\)$", "", clock[5]).upper() if clock else ""
    if zone in ("", "JST", "日本時間", "日本標準時", "ASIA/TOKYO"):
        return day
    offset = _OFFSET.fullmatch(zone)
    if offset is None:
        return None
    sign, hours, minutes = offset.groups()
    ahead = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    half = (clock[1] or clock[4] or "").lower()
    hour = int(clock[2]) % 12 + 12 * (half in ("pm", "午後")) if half else int(clock[2])
    moment = datetime(day.year, day.month, day.day, hour, int(clock[3])) - ahead
    return (moment + timedelta(hours=9)).date()


def _era_day(match: re.Match[str]) -> Judgement:
    name, year, month, day = match.groups()
    first, last = _ERAS[_ERA_LETTERS.get(name, name)]
    number = 1 if year == "元" else int(year)
    try:
        found = date(first.year + number - 1, int(month), int(day))
    except ValueError:
        return Judgement(reason="IMPOSSIBLE_ERA_DATE")
    if number == 0 or not first <= found <= last:
        return Judgement(reason="IMPOSSIBLE_ERA_DATE")
    return Judgement(found.isoformat(), rule="ERA_DATE")


# --- one column ---------------------------------------------------------------------------------


def _judge(
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
    is_mark = [look in _MISSING_LOOKS or bool(_STATA_MISSING.fullmatch(look)) for look in looks]
    missing_look = np.array(is_mark) & is_bad
    n_missing, n_bad = counts[missing_look].sum(), counts[is_bad].sum()
    many = max(BAD_CELL_MINIMUM - 1, BAD_CELL_LIMIT * n_given)
    if n_missing > max(2, UNDECLARED_MISSING_LIMIT * n_given):
        code, bad = "MISSING_CODE_UNDECLARED", missing_look
        ja, en = "無回答の印らしい未定義のコード", "undeclared codes that look like missing marks"
    elif n_bad > many:
        code, bad = "CODE_UNKNOWN", is_bad
        ja, en = "コードブックにない回答", "answers the codebook does not know"
    else:
        return
    rows = log.raw.index[log.counted][bad[places]]
    share = 100 * len(rows) / n_given
    ja_todo, en_todo = "コードブックに書き足す", "declare them in the codebook"
    if is_option:
        marks = "study.yaml multi_answer (chosen, unchosen, not_asked, mentions)"
        ja_todo, en_todo = f"{marks} を見直す", f"see {marks}"
    raise InputError(
        code,
        f"{variable} に{ja}が {len(rows)} 件（{share:.1f}%）あります（{show_rows(rows)} 行目）。"
        f"{ja_todo}か、ファイルを直してください。",
        f"{variable} has {len(rows)} {en} ({share:.1f}%; rows {show_rows(rows)}): {en_todo} or "
        "mend the file.",
    )


def code_single(variable: str, *, book: Book, log: CellLog) -> Coded:
    """Return a single-answer column as codes; blanks and bad cells have none."""
    options = [code for code, _, _ in book.codes.get(variable, [])]
    codes = {code: code for code in options}
    for code in options:
        if _WHOLE.fullmatch(code):
            codes.setdefault(str(int(float(code))), code)
    labels: dict[str, str] = {}
    for code, label, _ in book.codes.get(variable, []):
        plain = label_key(label)
        labels[plain] = "" if plain in labels else code  # a label of two codes says nothing
    labels = {label: code for label, code in labels.items() if label and code}
    places, found = _judge(
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
    places, found = _judge(
        variable,
        lambda text: judge_number(text, lowest=lowest, highest=highest, missing=book.missing),
        log=log,
    )
    values = (np.nan if each.value is None else each.value for each in found)
    return Coded(numbers=np.array([*values, np.nan], dtype=float)[places])


def code_date(variable: str, *, book: Book, log: CellLog, day_zero: date | None) -> Coded:
    """Return a date column as ISO text; blanks and bad cells have none."""
    places, found = _judge(
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
    empty[empty] = np.array([tidy_cell(text).lower() in _EMPTY_TEXT for text in short] or [0])[
        places
    ].astype(bool)
    return column.mask(empty)


# --- multi-answer -------------------------------------------------------------------------------


def code_multiple(item: str, *, book: Book, log: CellLog) -> tuple[np.ndarray, np.ndarray, Coded]:
    """Return which options are chosen, whom a mark puts outside the base, and who answered.

    Returns:
        Bool, shape (k, n); bool, shape (n,); answered, no_answer or none.

    Raises:
        InputError: Its columns use other marks than the study file says.
    """
    variables, n = book.options(item), len(log.raw)
    chosen = np.zeros((len(variables), n), dtype=bool)
    seen = {kind: np.zeros(n, dtype=bool) for kind in ("0", "not_applicable", "no_answer")}
    has_blank = False
    for k, variable in enumerate(variables):
        marks, judge = _option_marks(variable, book=book)
        places, found = _judge(variable, judge, log=log, is_option=True)
        kinds = np.array([marks.get(each.value, "") for each in found] + [""])
        chosen[k] = (kinds == "1")[places]
        for kind in set(kinds) - {"", "1"}:
            seen[kind if kind in seen else "no_answer"] |= (kinds == kind)[places]
        has_blank |= any(each == Judgement() for each in found)
    if book.marks.unchosen != "" and has_blank and not seen["0"].any() and chosen.any():
        raise InputError(
            "MULTI_ANSWER_CODING",
            f'{item} は選ばなかった選択肢が空白です。study.yaml の multi_answer.unchosen を "" に'
            "するか、ファイルを直してください。",
            f'{item} leaves unchosen options blank: set multi_answer.unchosen to "" in study.yaml '
            "or mend the file.",
        )
    _settle_exclusive(item, variables, chosen=chosen, book=book, log=log)
    status = _multi_status(variables, chosen=chosen, seen=seen, book=book)
    outside = seen["not_applicable"] & ~chosen.any(axis=0)
    return chosen, outside, status


def _option_marks(
    variable: str, *, book: Book
) -> tuple[dict[str, str], Callable[[str], Judgement]]:
    """Return what each mark of an option says (1, 0 or a role), and what judges its cells."""
    code, label, _ = book.codes[variable][0]
    rule, key = book.marks, label_key(label)
    chosen = code if rule.chosen == "code" else rule.chosen
    marks = {**book.missing, **({rule.unchosen: "0"} if rule.unchosen else {}), chosen: "1"}
    codes = {mark: mark for mark in marks}
    labels = {key: chosen} if key else {}
    return marks, lambda text: judge_code(text, codes=codes, labels=labels)


def _settle_exclusive(
    item: str, variables: list[str], *, chosen: np.ndarray, book: Book, log: CellLog
) -> None:
    """Where "none of these" stands beside other answers, keep the others; `chosen` is changed."""
    alone = np.array([book.codes[v][0][2] not in ("answer", "other") for v in variables])
    if alone.any():
        conflict = chosen[alone].any(axis=0) & (chosen.sum(axis=0) > 1)
        for k in np.flatnonzero(alone):
            rows = np.flatnonzero(conflict & chosen[k])
            log.blank(rows, variables[k], reason="EXCLUSIVE_CONFLICT")
            chosen[k, rows] = False
    most = book.limits[variables[0]][1]
    if np.isfinite(most):
        log.flag(np.flatnonzero(chosen.sum(axis=0) > most), item, flag="TOO_MANY_CHOICES")


def _multi_status(
    variables: list[str], *, chosen: np.ndarray, seen: Mapping[str, np.ndarray], book: Book
) -> Coded:
    """Say of every row whether the question was answered.

    Nothing chosen is an answer only where every option is marked unchosen, the question offers no
    "none of these", and it may be left open (`required: no`).
    """
    roles = [book.codes[variable][0][2] for variable in variables]
    answers = np.array([role in ("answer", "other", "exclusive") for role in roles])
    status = np.full(chosen.shape[1], -1, dtype=np.int8)
    if not book.required[variables[0]] and "exclusive" not in roles:
        status[seen["0"] if book.marks.unchosen != "" else slice(None)] = 0
    status[seen["no_answer"] | chosen[~answers].any(axis=0)] = 1
    status[chosen[answers].any(axis=0)] = 0
    return Coded(("answered", NO_ANSWER), status)


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


def split_multiple(raw: pd.DataFrame, study: Study, *, counted: np.ndarray) -> pd.DataFrame:
    """Return the table with one column an option, however multi-answer questions were given.

    An item may stand in one cell between separators, or as first, second, third mention.

    Raises:
        InputError: The study file names no separator; `counted` rows, shape (n,), hold something
            else than codes or labels; or an item stands in one cell and in columns, which differ.
    """
    book, rule, new = Book.of(study), study.config.multi_answer, {}
    plain = unicodedata.normalize("NFKC", rule.separator or "")
    for item in dict.fromkeys(book.items[v] for v, kind in book.kinds.items() if kind == "MA"):
        mark = plain.strip() or plain[-1:]  # a comma with a space is a comma; white space stays
        if item in rule.mentions:
            mark, columns = _MENTION, [raw[name].astype("str") for name in rule.mentions[item]]
            cells = columns[0].str.cat(columns[1:], sep=mark).astype("category")
        elif item in raw and item not in book.kinds:
            cells = raw[item].astype("category")
        else:
            continue
        names = _names_in_cell(item, mark=mark, book=book)
        parts = [_split_cell(text, mark, names=names) for text in cells.cat.categories]
        is_odd = np.array([None in each for each in parts])[cells.cat.codes] & counted
        if not mark or is_odd.any():
            raise _unsplit(item, raw.index[is_odd] if mark else raw.index)
        split = {v: _option_texts(v, parts, book=book) for v in book.options(item)}
        split = {v: pd.Series(texts).take(cells.cat.codes) for v, texts in split.items()}
        given = [] if item in rule.mentions else [v for v in split if v in raw]
        _refuse_other_answers(item, raw[given], split=split, book=book, counted=counted)
        new |= {v: column.array for v, column in split.items() if v not in given}
    return raw.assign(**new) if new else raw


def _names_in_cell(item: str, *, mark: str, book: Book) -> dict[str, str]:
    """Return what may stand between separators: codes, labels, marks; "" for no mention."""
    options = [book.codes[variable][0] for variable in book.options(item)]

    def key(text: str) -> str:
        return mark.join(_pieces(text, mark))

    labels = Counter(key(label) for _, label, _ in options)
    names = {key(label): code for code, label, _ in options if labels[key(label)] == 1}
    names |= {key(text): text for text in book.missing}
    names |= {key(book.marks.unchosen): ""} if mark == _MENTION else {}
    return names | {key(code): code for code, _, _ in options}


def _pieces(text: str, mark: str) -> list[str]:
    plain = label_key(text)
    return [piece.strip() for piece in (plain.split(mark) if mark else [plain]) if piece.strip()]


def _split_cell(text: str, mark: str, *, names: Mapping[str, str]) -> list[str | None]:
    """Return what stands in a cell, None for what has no name; a name may hold separators."""
    pieces, found = _pieces(text, mark), []
    while pieces:
        n = next((n for n in range(len(pieces), 0, -1) if mark.join(pieces[:n]) in names), 1)
        found.append(names.get(mark.join(pieces[:n])))
        pieces = pieces[n:]
    return found


def _option_texts(variable: str, parts: list[list[str | None]], *, book: Book) -> pd.Categorical:
    """Return what the column of an option would hold for each of the cells."""
    code, rule = book.codes[variable][0][0], book.marks
    chosen, texts = code if rule.chosen == "code" else rule.chosen, []
    for each in parts:
        told = [part for part in each if part not in book.missing]
        texts.append(chosen if code in told else rule.unchosen if told else (each or [""])[0])
    return pd.Categorical(pd.array(texts, dtype="str"))


def _refuse_other_answers(
    item: str,
    given: pd.DataFrame,
    *,
    split: Mapping[str, pd.Series],
    book: Book,
    counted: np.ndarray,
) -> None:
    """Refuse an item whose one cell and whose columns do not say the same."""
    differ = np.zeros(len(given), dtype=bool)
    for variable, column in given.items():
        marks, judge = _option_marks(variable, book=book)
        pair = []
        for each in (column.astype("category").array, split[variable].array):
            is_chosen = [marks.get(judge(text).value or "") == "1" for text in each.categories]
            pair.append(np.array(is_chosen)[each.codes])
        differ |= pair[0] != pair[1]
    rows = given.index[differ & counted]
    if len(rows):
        raise InputError(
            "MULTI_ANSWER_TWICE",
            f"{item} は一つのセルと選択肢ごとの列の両方にあり、{len(rows)} 行で答えがちがいます"
            f"（{show_rows(rows)} 行目）。正しい方だけを残したファイルを受け取り直してください。",
            f"{item} stands in one cell and in a column an option, and {len(rows)} rows differ "
            f"({show_rows(rows)}): ask for a file with the right ones only.",
        )


def _unsplit(item: str, rows: pd.Index) -> InputError:
    return InputError(
        "MULTI_ANSWER_SEPARATOR",
        f"{item} は一つのセルに複数の回答があり、{len(rows)} 行を分けられません"
        f"（{show_rows(rows)} 行目）。study.yaml の multi_answer と、選択肢のコード・ラベルを"
        "確かめてください。",
        f"{item} holds several answers in one cell and {len(rows)} rows cannot be split "
        f"({show_rows(rows)}): see multi_answer in study.yaml, and the options' codes and labels.",
    )


# --- derived variables --------------------------------------------------------------------------


def derive_variables(respondents: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return respondents with the variables of study.yaml's `derive` added.

    Args:
        respondents: Coded respondents, shape (n, any), with the sources of every rule whose
            sources are all there; other rules are left out.
        study: The wave.

    Returns:
        Shape (n, any + k). Bands and merged answers are text, `no_answer` where a part has no
        answer, missing where a part was not asked; sums are Int64.

    Raises:
        ConfigError: A sum mixes scale versions, its range is not what the codes give, a merged
            answer leaves out a code, or rules go round in a circle.
    """
    derived: dict[str, pd.Series] = {}
    waiting = dict(study.config.derive)
    kinds = study.codebook.columns["type"]
    while waiting:
        ready = [n for n, rule in waiting.items() if not set(_sources(rule)) & set(waiting)]
        if not ready:
            names = ", ".join(waiting)
            raise ConfigError(
                "DERIVE_CIRCLE",
                f"derive が輪になっています: {names}。直してください。",
                f"derive goes round in a circle: {names}. Mend it.",
            )
        for name in ready:
            rule = waiting.pop(name)
            table = {**{n: respondents[n] for n in _inputs(rule, respondents, study)}, **derived}
            if not set(_sources(rule)) <= set(table):
                continue
            if rule.kind == "sum":
                derived[name] = _sum(name, rule, table=table, study=study)
            elif rule.kind == "bands":
                parts = study.config.derive.get(rule.bands_of)
                asked = _asked(table, parts.sum_of if parts else (rule.bands_of,), study=study)
                derived[name] = _bands(rule, table[rule.bands_of], asked=asked)
            elif kinds.get(rule.recode_of, "derived") != "MA":
                derived[name] = _recode(name, rule, table=table, study=study)
    return respondents.assign(**derived)


def _inputs(rule: Derived, respondents: pd.DataFrame, study: Study) -> list[str]:
    """Return the columns of respondents that a rule looks at: sources, their parts and filters."""
    names = _sources(rule)
    for name in names:
        if name in study.config.derive:
            names += _sources(study.config.derive[name])
        elif study.codebook.columns.loc[name, "ask_if"]:
            text = study.codebook.columns.loc[name, "ask_if"]
            names += [source for source, _ in parse_condition(text, where=name)]
    return [name for name in dict.fromkeys(names) if name in respondents.columns]


def _sources(rule: Derived) -> list[str]:
    return [name for name in (rule.bands_of, rule.recode_of, *rule.sum_of) if name]


def _asked(table: Mapping[str, pd.Series], names: Iterable[str], *, study: Study) -> np.ndarray:
    """Return who was asked all of these questions, shape (n,)."""
    asked = np.ones(len(next(iter(table.values()))), dtype=bool)
    kinds, conditions = study.codebook.columns["type"], study.codebook.columns["ask_if"]
    for name in names:
        if kinds.get(name) != "NUM":
            item = study.items.get(name)
            outside = table[name].isna() | table[name].isin(item.not_asked if item else ())
            asked &= ~outside.to_numpy(bool)
            continue
        for source, codes in parse_condition(conditions[name], where=name):
            if source in table:
                asked &= table[source].astype("str").isin(codes).to_numpy()
    return asked


def _bands(rule: Derived, values: pd.Series, *, asked: np.ndarray) -> pd.Series:
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    found = np.full(len(numbers), len(rule.bands), dtype=np.int16)
    for place, band in enumerate(rule.bands):
        highest = np.inf if band.to is None else band.to
        found[(numbers >= band.from_) & (numbers <= highest)] = place
    found[~asked & np.isnan(numbers)] = -1
    names = [*(band.code for band in rule.bands), NO_ANSWER]
    return pd.Series(Coded(tuple(names), found).to_text(slice(None)), index=values.index)


def _sum(name: str, rule: Derived, *, table: Mapping[str, pd.Series], study: Study) -> pd.Series:
    columns = study.codebook.columns
    scales = {str(columns.loc[item, "scale"]) for item in rule.sum_of if item in columns.index}
    wanted = {rule.scale} if rule.scale else scales
    if scales != wanted or len(scales) > 1:
        raise ConfigError(
            "SCALE_MIXED",
            f"{name} の合計に、ちがう版の尺度が混ざっています（{', '.join(sorted(scales))}）。"
            "版のちがう項目は合計できません。",
            f"{name} would add up items of different scale versions "
            f"({', '.join(sorted(scales))}): they cannot be summed.",
        )
    codes = [[float(code) for code in study.items[item].options] for item in rule.sum_of]
    lowest, highest = sum(map(min, codes)), sum(map(max, codes))
    if rule.from_ not in (None, lowest) or rule.to not in (None, highest):
        raise ConfigError(
            "SCALE_RANGE",
            f"{name} の範囲は study.yaml では {rule.from_:g}〜{rule.to:g}、コードブックの番号では"
            f" {lowest:g}〜{highest:g} です。どちらかを直してください。",
            f"{name} runs from {rule.from_:g} to {rule.to:g} in study.yaml and from {lowest:g} to "
            f"{highest:g} by the codebook: mend one of them.",
        )
    index = table[rule.sum_of[0]].index
    total = np.zeros(len(index))
    for item in rule.sum_of:
        options = {code: float(code) for code in study.items[item].options}
        total += table[item].map(options).to_numpy(dtype=float, na_value=np.nan)
    return pd.Series(pd.array(total, dtype="Float64"), index=index).astype("Int64")


def _recode(name: str, rule: Derived, *, table: Mapping[str, pd.Series], study: Study) -> pd.Series:
    item = study.items[rule.recode_of]
    merged = {code: group.code for group in rule.classes for code in group.of}
    left_out = [code for code in item.options if code not in merged]
    if left_out:
        raise ConfigError(
            "RECODE_INCOMPLETE",
            f"derive.{name} の classes に {item.name} のコード {', '.join(left_out)} がありません。"
            "すべてのコードを入れてください。",
            f"derive.{name} leaves out codes {', '.join(left_out)} of {item.name}: put every code "
            "into a class.",
        )
    none = dict.fromkeys((*item.missing, *item.no_answer, NO_ANSWER), NO_ANSWER)
    return table[rule.recode_of].map({**none, **merged}).astype("str")
