"""What is one cell worth: a code, a number, a date, or nothing that can be used?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np

from tsunagari.study.survey import ALIKE

MISSING_LOOKS = frozenset("-1 -8 -9 . 88 98 99 888 998 999 9998 9999".split())
_ERROR_VALUES = frozenset("#N/A #REF! #DIV/0! #VALUE! #NAME? #NUM! #NULL! #SPILL! #CALC!".split())
CONTROL_PATTERN = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
CONTROL = re.compile(CONTROL_PATTERN)
_HIDDEN = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u00ad\u202a-\u202e\u2066-\u2069]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
WHOLE = re.compile(r"[+-]?\d{1,15}(\.0*)?")  # no code is longer, and a float holds it
_NOT_FINITE = re.compile(r"[+-]?(inf|infinity|nan)", re.I)
EMPTY_TEXT = frozenset(["", "-", "ー", "―", "—", "−", "無回答", "未記入", "n/a"])
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
STATA_MISSING = re.compile(r"\.[a-z]")
_SERIAL_YEARS = range(1982, 2064)  # what a date cell of Excel can be


class Judgement(NamedTuple):
    """What one text means: its value, or why it has none; `rule` says how it was tidied."""

    value: str | float | None = None
    reason: str = ""
    rule: str = ""


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
    if WHOLE.fullmatch(tidy) and str(int(float(tidy))) in codes:
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
    if tidy == "" or tidy in missing or STATA_MISSING.fullmatch(tidy):
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
    if tidy == "" or tidy in missing or STATA_MISSING.fullmatch(tidy):
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
