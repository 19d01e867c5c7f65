"""What do official population files say: the register, the census, e-Stat."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from python_calamine import CalamineError, CalamineWorkbook

from tsunagari.errors import InputError
from tsunagari.study.survey import ALIKE

NOT_PUBLISHED = "not_published"  # total minus the published ages; never an age
_AGE_CLASS = re.compile(r"(\d+)\s*歳?\s*[~〜～\-－―]\s*(\d+)\s*歳?$")
_OPEN_CLASS = re.compile(r"(\d+)\s*歳?\s*(?:以上|[~〜～\-]\s*$)")
_SEXES = {"男": "male", "女": "female", "1_男": "male", "2_女": "female"}
_COLUMNS = ["municipality_code", "municipality", "sex", "age_class", "population"]


# --- official files -----------------------------------------------------------------------------


def _read_sheet(path: Path, sheet: str | None = None) -> list[list[Any]]:
    """Return the cells of one sheet; a bad download is named as such."""
    if not path.exists():
        raise InputError("POPULATION_FILE_MISSING", file=path.name)
    start = path.read_bytes()[:512].lstrip(b"\xef\xbb\xbf \r\n\t")
    if not start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        key = "FORMAT.page" if start[:1] == b"<" else "FORMAT"
        raise InputError(f"POPULATION_{key}", file=path.name)
    try:
        book = CalamineWorkbook.from_path(path)
        name = sheet if sheet in book.sheet_names else book.sheet_names[0]
        if sheet is not None and sheet not in book.sheet_names:
            raise InputError("POPULATION_SHEET", file=path.name, sheet=sheet)
        return book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (CalamineError, ValueError, IndexError) as error:
        raise InputError("POPULATION_FORMAT.broken", file=path.name) from error


def _plain(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return unicodedata.normalize("NFKC", str(cell)).strip()


def _number(cell: Any) -> float:
    """Return a count; "-" is 0 and a withheld "*" or "X" is NaN."""
    if isinstance(cell, int | float):
        return float(cell)
    text = _plain(cell).replace(",", "")
    if text in ("-", "‐", "－", "―"):
        return 0.0
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else np.nan


def age_class(label: str) -> str | None:
    """Return an age heading as "15-19" or "100+"; None where it is no age.

    Example:
        >>> age_class("15歳～19歳"), age_class("5～9"), age_class("100歳以上"), age_class("総数")
        ('15-19', '5-9', '100+', None)
    """
    text = unicodedata.normalize("NFKC", label).strip()
    closed, last = _AGE_CLASS.search(text), _OPEN_CLASS.search(text)
    if closed:
        return f"{int(closed[1])}-{int(closed[2])}"
    return f"{int(last[1])}+" if last else None


def check_digit(code: str) -> str:
    """Return the sixth digit of a five-digit municipality code (JIS X 0402).

    Example:
        >>> check_digit("38201")  # 3*6 + 8*5 + 2*4 + 0*3 + 1*2 = 68; 68 mod 11 = 2; 11 - 2 = 9
        '9'
    """
    total = sum(int(digit) * weight for digit, weight in zip(code, (6, 5, 4, 3, 2), strict=True))
    return str((11 - total % 11) % 10)


def read_register_workbook(
    path: Path, *, prefecture: str | None, municipalities: Iterable[str] | None = None
) -> pd.DataFrame:
    """Read 市区町村別年齢階級別人口 (register, total of residents) as MIC gives it out.

    Args:
        path: .xlsx (2021 and later) or .xls (2020 and before).
        prefecture: Such as "愛媛県": names of towns recur between prefectures. None for all.
        municipalities: Names such as "今治市", without 郡; None for all of the prefecture.

    Returns:
        municipality_code (5 digits), municipality, sex (male, female), age_class ("0-4" ...
        "100+", "not_published" for people whose age is withheld), population in persons.

    Raises:
        InputError: Not such a workbook, a wrong check digit, ages above the total, men and women
            that are not the total, or a municipality that is not in it.

    References:
        総務省「住民基本台帳に基づく人口、人口動態及び世帯数調査」.
    """
    cells = _read_sheet(path)
    first, places, ages = _find_register_header(cells, path=path)
    rows = []
    for row in cells[first:]:
        name, code = _plain(row[places["市区町村名"]]), _plain(row[places["団体コード"]])
        name = name.rstrip("*※ ")
        is_place = re.fullmatch(r"\d{5,6}", code) and not name.endswith("郡")
        is_here = prefecture in (None, _plain(row[places["都道府県名"]]))
        if not is_here or not is_place or name in ("", "-"):
            continue
        code = code.zfill(6)
        if code[2:5] == "000":
            continue
        if check_digit(code[:5]) != code[5]:
            raise InputError("POPULATION_CODE", file=path.name, name=name)
        total = _number(row[places["総数"]])
        counts = {age: _number(row[place]) for age, place in ages.items()}
        name = re.sub(r"^.+郡(?=.+[町村]$)", "", name)
        rows.append((code[:5], name, _plain(row[places["性別"]]), total, counts))
    return _settle_register(rows, path=path, wanted=municipalities)


def _find_register_header(
    cells: list[list[Any]], *, path: Path
) -> tuple[int, dict[str, int], dict[str, int]]:
    """Return the first data row, and where keys and ages stand; layouts of 2020 and 2021 on."""
    wanted = ("団体コード", "都道府県名", "市区町村名", "性別", "総数")
    places: dict[str, int] = {}
    for at, row in enumerate(cells[:12]):
        for column, cell in enumerate(row):
            text = _plain(cell).replace("\n", "").replace(" ", "")
            for name in wanted:
                if text.startswith(name):
                    places.setdefault(name, column)
        found = {age_class(_plain(cell)): column for column, cell in enumerate(row)}
        found.pop(None, None)
        if len(found) >= 15:
            ages, header = found, at
            break
    else:
        ages, header = {}, 0
    if len(places) < len(wanted) or not ages:
        raise InputError("POPULATION_LAYOUT.register", file=path.name)
    first = header + 1
    while first < len(cells) and not re.fullmatch(
        r"\d{5,6}|-", _plain(cells[first][places["団体コード"]])
    ):
        first += 1
    return first, places, ages


def _settle_register(
    rows: list[tuple[str, str, str, float, dict[str, float]]],
    *,
    path: Path,
    wanted: Iterable[str] | None,
) -> pd.DataFrame:
    totals: dict[tuple[str, str], float] = {(code, sex): n for code, _, sex, n, _ in rows}
    table = []
    for code, name, sex, total, counts in rows:
        whole = totals.get((code, "計"))
        both = totals.get((code, "男"), np.nan) + totals.get((code, "女"), np.nan)
        if whole is not None and not np.isclose(both, whole):
            raise InputError("POPULATION_SUM.sexes", file=path.name, name=name)
        if sex not in _SEXES:
            continue
        rest = total - sum(n for n in counts.values() if not np.isnan(n))
        if np.isnan(total) or rest < -0.5:
            raise InputError("POPULATION_SUM.ages", file=path.name, name=name)
        ages = {age: 0.0 if np.isnan(n) else n for age, n in counts.items()}
        for age, n in {**ages, NOT_PUBLISHED: rest}.items():
            table.append((code, name, _SEXES[sex], age, n))
    return _choose(pd.DataFrame(table, columns=_COLUMNS), wanted, path=path)


def _choose(table: pd.DataFrame, wanted: Iterable[str] | None, *, path: Path) -> pd.DataFrame:
    """Keep the wanted municipalities; refuse when one is not there or stands twice."""
    names = list(dict.fromkeys(table["municipality"] if wanted is None else wanted))
    ours = {name.translate(ALIKE): name for name in names}  # 龍ヶ崎市 is 龍ケ崎市
    found = [ours.get(name.translate(ALIKE), name) for name in table["municipality"]]
    table = table.assign(municipality=found)
    absent = [name for name in names if name not in set(table["municipality"])]
    if absent or not names:
        listed = "・".join(absent) or "(0)"
        raise InputError("POPULATION_MUNICIPALITY", file=path.name, names=listed)
    kept = table[table["municipality"].isin(names)].reset_index(drop=True)
    if kept.duplicated(["municipality", "sex", "age_class"]).any():
        raise InputError("POPULATION_REPEATED", file=path.name)
    return kept


def read_census_2_7(
    path: Path, *, prefecture: str | None, municipalities: Iterable[str] | None = None
) -> pd.DataFrame:
    """Read table 2-7 of the 2020 census (b02_07.xlsx): sex and five-year ages by municipality.

    Args:
        path: The workbook as downloaded.
        prefecture: Such as "愛媛県". None for all.
        municipalities: Names such as "今治市"; None for all of the prefecture.

    Returns:
        As `read_register_workbook`; "not_published" is 年齢不詳. Cities and towns only: wards of
        designated cities are left out with year-2000 boundaries, so that nobody counts twice.

    Raises:
        InputError: Not that table, or a municipality that is not in it.

    References:
        総務省統計局 令和2年国勢調査 人口等基本集計 第2-7表.
    """
    cells = _read_sheet(path, "b02_07")
    if len(cells) < 13:
        raise InputError("POPULATION_LAYOUT.census", file=path.name)
    labels, units = [_plain(c) for c in cells[9]], [_plain(c) for c in cells[10]]
    ages: dict[str, int] = {}
    for column in range(9, len(labels)):
        number, _, label = labels[column].partition("_")
        if units[column] == "人" and re.fullmatch(r"\d\d", number) and number != "00":
            name = NOT_PUBLISHED if "不詳" in label else age_class(label)
            if name:
                ages.setdefault(name, column)
    if len(ages) < 15:
        raise InputError("POPULATION_LAYOUT.census", file=path.name)
    table = []
    for row in cells[12:]:
        people, sex, kind, name = (_plain(row[i]) for i in (0, 1, 2, 8))
        where = _plain(row[6]).partition("_")[2] or _plain(row[6])
        if people != "0_国籍総数" or sex not in _SEXES or prefecture not in (None, where):
            continue
        if kind not in ("1", "2", "3"):
            continue
        code = _plain(row[7]).zfill(5)
        name = re.sub(r"^.+郡(?=.+[町村]$)", "", re.sub(r"^\d+_", "", name)).split(" ")[-1]
        for age, column in ages.items():
            n = _number(row[column])
            table.append((code, name, _SEXES[sex], age, 0.0 if np.isnan(n) else n))
    return _choose(pd.DataFrame(table, columns=_COLUMNS), municipalities, path=path)


def read_estat_csv(path: Path, *, municipalities: Iterable[str] | None = None) -> pd.DataFrame:
    """Read a long CSV of the e-Stat database (FEH_....csv) with sex and five-year ages.

    The preamble differs in length, so the header is found by name; thousands commas and "-" are
    read, nationality is the total only.

    Args:
        path: UTF-8, with or without mark, or cp932.
        municipalities: Names to keep; None for all areas in the file.

    Returns:
        As `read_register_workbook`.

    Raises:
        InputError: No such table, or a municipality that is not in it.
    """
    data = path.read_bytes()
    for encoding in ("utf-8-sig", "cp932"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise InputError("POPULATION_ENCODING", file=path.name)
    lines = list(csv.reader(io.StringIO(text, newline="")))
    at = next((i for i, row in enumerate(lines) if {"value"} & set(row) and _keys(row)), None)
    if at is None or data.lstrip()[:1] == b"<":
        raise InputError("POPULATION_LAYOUT.estat", file=path.name)
    places = _keys(lines[at]) | {"value": lines[at].index("value")}
    table = []
    for row in (row for row in lines[at + 1 :] if len(row) == len(lines[at])):
        people = row[places["国籍"]] if "国籍" in places else "総数"
        sex, age = row[places["男女"]].strip(), age_class(row[places["年齢"]])
        if "総数" not in people or sex not in ("男", "女"):
            continue
        if "不詳" in row[places["年齢"]]:
            age = NOT_PUBLISHED
        if age:
            n = _number(row[places["value"]])
            code, name = row[places["code"]], row[places["地域"]].strip().split(" ")[-1]
            table.append((code, name, _SEXES[sex], age, 0.0 if np.isnan(n) else n))
    return _choose(pd.DataFrame(table, columns=_COLUMNS), municipalities, path=path)


def _keys(row: list[str]) -> dict[str, int]:
    """Return where sex, age, area and its code stand in a header of the e-Stat database."""
    found = {}
    for column, name in enumerate(row):
        is_code = name.endswith(("code", "コード"))
        if name.startswith("area") and is_code:
            found["code"] = column
        elif not is_code:
            for key, words in (
                ("国籍", ("国籍",)),
                ("男女", ("男女",)),
                ("年齢", ("年齢",)),
                ("地域", ("全国", "地域", "都道府県")),
            ):
                if name.startswith(words):
                    found.setdefault(key, column)
    return found if {"男女", "年齢", "地域", "code"} <= set(found) else {}
