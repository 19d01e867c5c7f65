"""What does a cell of a record say: numbers, dates, times, days, codes and their check digits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.programmes.schema import Column, allowed

NATION = "00000"  # as an area: the whole country
DAYS = "月火水木金土日"
HOLIDAYS = "祝"
NUMBER_KINDS, DATE_KINDS = ("integer", "number"), ("date", "when")

_ERAS = {"令和": 2018, "r": 2018, "平成": 1988, "h": 1988, "昭和": 1925, "s": 1925}
_DATE = re.compile(
    r"(令和|平成|昭和|[rhs]|)\s*(\d{4}|\d{1,2}|元)[年./-](\d{1,2})(?:[月./-](\d{1,2})日?|月?)"
    r"(?:[ t]0{1,2}:00(?::00)?)?"
)
_YES = set("有 ○ ◯ 〇 1 true yes y はい 可 あり".split())
_NO = set("無 × ✕ 0 false no n いいえ 不可 なし".split())
_UNKNOWN = {"...", "x", "***", "不明", "不詳"}  # NFKC writes … as three points
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−ー─", "-"))
_LETTERS = {"人": ("人", "名"), "件": ("件",), "%": ("%", "パーセント")}
_PHONE = re.compile(r"(?<![\d-])\(?0\d{1,4}\)?-?\(?\d{1,4}\)?-?\d{3,4}(?![\d-])")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)
_MOBILE = re.compile(r"^0[789]0")


class Bad(Exception):
    """A cell that cannot be used; its one argument is a reason of texts.yaml, never the cell."""


@dataclass(frozen=True)
class Context:
    """What cells are held to.

    Attributes:
        as_of: Last day of the fiscal year; a record of what happened cannot be later.
        areas: Name by five-digit code: municipalities, the prefecture, `00000`. Empty: not known,
            and check digits alone are held.
        lists: Allowed values by name of list.
    """

    as_of: pd.Timestamp
    areas: Mapping[str, str]
    lists: Mapping[str, Any]


def plain(text: str) -> str:
    """Return a text in NFKC without outer spaces.

    Example:
        >>> plain(" １２　")
        '12'
    """
    return unicodedata.normalize("NFKC", text).strip()


def shown(text: str) -> str:
    r"""Return a text as it may be shown: one line, no control, direction or zero-width characters.

    Example:
        >>> shown(" 髙﨑\u200b の会\n")
        '髙﨑 の会'
    """
    one_line = re.sub(r"\s*[\r\n\v\f]+\s*", " ", text)
    return "".join(c for c in one_line if unicodedata.category(c)[0] != "C").strip()


def area_code(text: str, *, areas: Mapping[str, str]) -> str:
    """Return the five digits of a municipality's code, which may have six, or be its name.

    Raises:
        Bad: AREA_CHECK_DIGIT or AREA_UNKNOWN.

    References:
        総務省 全国地方公共団体コード: the sixth digit is 11 less the remainder by 11 of the five
        digits times 6, 5, 4, 3, 2 (its last digit).

    Example:
        >>> area_code("382019", areas={})
        '38201'
    """
    by_name = [code for code, name in areas.items() if name == text]
    if by_name:
        return by_name[0]
    if not re.fullmatch(r"[0-9]{4,6}", text):
        raise Bad("AREA_UNKNOWN")
    if len(text) < 5 or (len(text) == 5 and areas and text not in areas):  # Excel took a zero
        text = text.zfill(5 if text.zfill(5) in areas else 6)
    code = text[:5]
    if len(text) == 6:
        total = sum(
            int(digit) * weight for digit, weight in zip(code, (6, 5, 4, 3, 2), strict=True)
        )
        if (11 - total % 11) % 10 != int(text[5]):
            raise Bad("AREA_CHECK_DIGIT")
    if areas and code not in areas:
        raise Bad("AREA_UNKNOWN")
    return code


def corporate_number(text: str) -> str:
    """Return a 13-digit corporate number whose first digit checks the others.

    Raises:
        Bad: CORPORATE_CHECK_DIGIT.

    References:
        国税庁 法人番号の指定等に関する省令: 9 less the remainder by 9 of the digits from the last,
        times 1 and 2 in turn. It does not find 0 written for 9.

    Example:
        >>> corporate_number("8700110005901")
        '8700110005901'
    """
    digits = text.replace("-", "")
    if not re.fullmatch(r"[0-9]{13}", digits):
        raise Bad("CORPORATE_CHECK_DIGIT")
    total = sum(int(d) * (1 + place % 2) for place, d in enumerate(reversed(digits[1:])))
    if 9 - total % 9 != int(digits[0]):
        raise Bad("CORPORATE_CHECK_DIGIT")
    return digits


def date_of(text: str, *, month_will_do: bool = False) -> pd.Timestamp:
    """Return a day written in ISO, with slashes, in a Japanese era or as Excel's serial number.

    Args:
        text: In NFKC.
        month_will_do: A month stands for its last day, a fiscal year (2025年度) for 31 March.

    Raises:
        Bad: DATE_IMPOSSIBLE.

    Example:
        >>> date_of("令和5年2月22日").date().isoformat()
        '2023-02-22'
    """
    text = text.lower().translate(_DASHES)
    fiscal = re.fullmatch(r"(\d{4})(?:年度)?", text)
    try:
        if month_will_do and fiscal:
            return pd.Timestamp(int(fiscal[1]) + 1, 3, 31)
        if re.fullmatch(r"[2-6]\d{4}", text):  # serial numbers of 1954 to 2091
            return pd.Timestamp(1899, 12, 30) + pd.Timedelta(days=int(text))
        if re.fullmatch(r"(19|20)\d{6}", text):
            return pd.Timestamp(int(text[:4]), int(text[4:6]), int(text[6:]))
        found = _DATE.fullmatch(text)
        if found is None or bool(found[1]) == (len(found[2]) == 4):
            raise Bad("DATE_IMPOSSIBLE")
        year = (1 if found[2] == "元" else int(found[2])) + _ERAS.get(found[1], 0)
        if found[4] is None:
            if not month_will_do:
                raise Bad("DATE_IMPOSSIBLE")
            return pd.Timestamp(year, int(found[3]), 1) + pd.offsets.MonthEnd(0)
        return pd.Timestamp(year, int(found[3]), int(found[4]))
    except ValueError as error:
        raise Bad("DATE_IMPOSSIBLE") from error


def time_of(text: str) -> str:
    """Return a time as HH:MM, 00:00 to 24:00.

    Raises:
        Bad: TIME_IMPOSSIBLE.

    Example:
        >>> time_of("9時"), time_of("13:30:00")
        ('09:00', '13:30')
    """
    found = re.fullmatch(
        r"(午後)?(?:午前)?(\d{1,2})(?::(\d{2})(?::\d{2})?|時(?:(\d{1,2})分|半)?)", text
    )
    if found is None:
        raise Bad("TIME_IMPOSSIBLE")
    hour = int(found[2]) + (12 if found[1] and int(found[2]) < 12 else 0)
    minute = int(found[3] or found[4] or (30 if text.endswith("半") else 0))
    if hour * 60 + minute > 24 * 60 or minute > 59:
        raise Bad("TIME_IMPOSSIBLE")
    return f"{hour:02d}:{minute:02d}"


def days_of(text: str) -> str:
    """Return days of the week in order, 祝 last; the nth of a month apart, as in 火;第2月;最終金.

    Raises:
        Bad: DAYS_UNKNOWN.

    Example:
        >>> days_of("月~金"), days_of("日曜日;土曜日"), days_of("第2・4火曜")
        ('月火水木金', '土日', '第2火;第4火')
    """
    text = re.sub(r"曜日?|祝日|毎週", lambda m: HOLIDAYS if m[0] == "祝日" else "", text)
    text = re.sub(r"平日", "月火水木金", re.sub(r"毎日|年中無休|無休|全日", DAYS, text))
    text = re.sub(r"(第\d)[・,、](?:第)?(?=\d)", r"\1第", text).translate(_DASHES)
    found, monthly = set(), []
    for token in filter(None, re.split(r"[;,、・/\s]+", text)):
        span = re.fullmatch(rf"([{DAYS}])[~〜-]([{DAYS}])", token)
        nth = re.fullmatch(rf"((?:第?\d)+|最終)([{DAYS}])", token)
        if span:
            first, last = DAYS.index(span[1]), DAYS.index(span[2])
            found |= {DAYS[day % 7] for day in range(first, last + 1 + 7 * (last < first))}
        elif nth:
            weeks = [f"第{week}" for week in re.findall(r"\d", nth[1])] or ["最終"]
            monthly += [week + nth[2] for week in weeks]
        elif set(token) <= set(DAYS + HOLIDAYS):
            found |= set(token)
        else:
            raise Bad("DAYS_UNKNOWN")
    weekly = "".join(day for day in DAYS + HOLIDAYS if day in found)
    return ";".join(filter(None, [weekly, *monthly]))


def number_of(text: str, *, unit: str) -> tuple[float, bool]:
    """Return a number and whether it is an approximate one (約300); - is none, … and x unknown.

    Raises:
        Bad: NOT_NUMBER or UNIT_MIXED.

    Example:
        >>> number_of("約1,300人", unit="人"), number_of("△5", unit="")
        ((1300.0, True), (-5.0, False))
    """
    text = text.lower().translate(_DASHES)
    if text in _UNKNOWN:
        return np.nan, False
    if text == "-":
        return 0.0, False
    text = re.sub(r"(?<=\d),(?=\d{3})", "", re.sub(r"^[△▲]", "-", text))
    found = re.fullmatch(r"(約|およそ|概ね|)\s*([+-]?\d+(?:\.\d+)?(?:e\+?\d+)?)\s*(.*)", text)
    if found is None:
        raise Bad("NOT_NUMBER")
    if found[3] and found[3] not in (*_LETTERS.get(unit, ()), unit):
        raise Bad("UNIT_MIXED")
    return float(found[2]), bool(found[1])


def parse(text: str, column: Column, *, context: Context) -> Any:
    """Return what a cell that is not blank says: a number, a Timestamp or tidied text.

    Lists come back joined by `;`. A code may be written as its label, a municipality as its name.

    Raises:
        Bad: It cannot be used; the reason is a key of texts.yaml.
    """
    kind, tidy = column.kind, plain(text)
    if kind in NUMBER_KINDS:
        return _number(tidy, column)
    if kind in DATE_KINDS:
        day = date_of(tidy, month_will_do=kind == "when")
        if "<=as_of" in column.rule and day > context.as_of:
            raise Bad("DATE_FUTURE")
        return day
    if kind in ("code", "codes"):
        return _codes(tidy, column, context)
    if kind in ("area", "areas"):
        parts = _parts(tidy) if kind == "areas" else [tidy]
        return ";".join(dict.fromkeys(area_code(part, areas=context.areas) for part in parts))
    if kind == "yesno":
        word = tidy.lower()
        if word in _YES or word in _NO:
            return "有" if word in _YES else "無"
        raise Bad("YESNO_UNKNOWN")
    if kind == "url" and not re.match(r"https?://[^\s<>\"']+$", tidy):
        raise Bad("URL_UNKNOWN")
    simple = {"time": time_of, "days": days_of, "corporate": corporate_number}
    if kind in simple:
        return simple[kind](tidy)
    if kind in ("texts", "refs"):
        return ";".join(dict.fromkeys(_parts(shown(tidy))))
    return shown(text) if kind == "text" else shown(tidy)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _number(text: str, column: Column) -> float:
    number, _ = number_of(text, unit=column.unit)
    if column.kind == "integer" and number % 1 > 0:
        raise Bad("NOT_WHOLE")
    if ".." in column.rule:
        low, high = map(float, column.rule.split(".."))
        if number < low or number > high:
            raise Bad("PERCENT_RANGE" if column.unit == "%" else "OUT_OF_RANGE")
    return number


def _codes(text: str, column: Column, context: Context) -> str:
    known = allowed(column.rule, lists=dict(context.lists))
    by_label = {plain(label): code for code, label in known.items()}
    by_label |= {plain(code): code for code in known}
    parts = _parts(text) if column.kind == "codes" else [text]
    if not set(parts) <= set(by_label):
        raise Bad("CODE_UNKNOWN")
    return ";".join(dict.fromkeys(by_label[part] for part in parts))


def looks_personal(text: str) -> bool:
    """Whether a text holds what looks like a telephone number or a mail address.

    Example:
        >>> looks_personal("０９０－１２３４－５６７８ まで"), looks_personal("令和5年2月22日")
        (True, False)
    """
    tidy = plain(text).translate(_DASHES)
    if _MAIL.search(tidy):
        return True
    return any(len(re.sub(r"\D", "", found)) in (10, 11) for found in _PHONE.findall(tidy))


def is_unknown(text: str) -> bool:
    """Whether a cell is a mark for unknown: … or x."""
    return plain(text).lower() in _UNKNOWN


def is_mobile(text: str) -> bool:
    """Whether a telephone number is a mobile one, which is often a person's own."""
    return bool(_MOBILE.match(re.sub(r"\D", "", text)))
