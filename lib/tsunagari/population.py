"""How many people are there in each cell: a study's targets, and the official files they come from.

The register (住民基本台帳) and the census (国勢調査, table 2-7) are read in the layout in which
e-Stat gives them out; `make_targets` turns either into the cells of a study.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from python_calamine import CalamineError, CalamineWorkbook

from tsunagari.estimates import join
from tsunagari.study import ALIKE, Band, ConfigError, InputError, Study

NOT_PUBLISHED = "not_published"  # total minus the published ages; never an age
_AGE_CLASS = re.compile(r"(\d+)\s*歳?\s*[~〜～\-－―]\s*(\d+)\s*歳?$")
_OPEN_CLASS = re.compile(r"(\d+)\s*歳?\s*(?:以上|[~〜～\-]\s*$)")
_SEXES = {"男": "male", "女": "female", "1_男": "male", "2_女": "female"}
_COLUMNS = ["municipality_code", "municipality", "sex", "age_class", "population"]


# --- targets of a study -------------------------------------------------------------------------


def load_targets(study: Study) -> pd.DataFrame | list[pd.DataFrame] | None:
    """Return the population a study weights to.

    Args:
        study: The wave; `weighting` names cells, margins and their files: a CSV of the cells, or
            an official file as downloaded (.xlsx, .xls, or FEH_....csv), whose municipalities and
            ages become the study's regions and bands.

    Returns:
        Columns the cell variables and `population` (persons), one row a cell; for raking with
        margins a list, the cells first; None where the weights are given.

    Raises:
        ConfigError: A file is missing, lacks a column or a cell, holds a cell twice, a code the
            study does not know or a number that is no population, or is of another date or area.
    """
    plan = study.config.weighting
    if plan.method == "given" or plan.targets is None:
        return None
    cells = _load_cells(study, plan.targets, by=plan.cells)
    if not plan.margins:
        return cells
    return [cells, *(_load_cells(study, m.targets, by=m.by) for m in plan.margins)]


def load_population(study: Study) -> pd.DataFrame:
    """Return the population by weighting cell, on which fieldwork is planned.

    Args:
        study: The wave.

    Returns:
        The cell variables and `population` (persons), one row a cell.

    Raises:
        ConfigError: The study's weights are given, so that it has no population; else as
            `load_targets`.
    """
    targets = load_targets(study)
    if targets is None:
        raise ConfigError(
            "POPULATION_MISSING",
            f"調査「{study.name}」には人口の表がありません（重みは提供されたもの）。割付を作るには、"
            "study.yaml の weighting に cells と targets を書いてください。",
            f"Study '{study.name}' has no population, since its weights are given: a plan needs "
            "cells and targets under weighting in study.yaml.",
        )
    return targets[0] if isinstance(targets, list) else targets


def load_other_targets(study: Study) -> dict[str, pd.DataFrame]:
    """Return further populations by name, to see what the choice of population does.

    Args:
        study: The wave; `weighting.other_targets` names the files.

    Returns:
        Tables as `load_targets` gives them.

    Raises:
        ConfigError: As `load_targets`.
    """
    plan = study.config.weighting
    return {
        label: _load_cells(study, name, by=plan.cells) for label, name in plan.other_targets.items()
    }


def _targets_error(code: str, name: str, *, ja: str, en: str) -> ConfigError:
    return ConfigError(
        code,
        f"人口の表 {name} {ja}。直してください。",
        f"The population table {name} {en}: mend it.",
    )


def _load_cells(study: Study, name: str, *, by: Sequence[str]) -> pd.DataFrame:
    path = study.raw_dir / name
    if not path.exists():
        raise _targets_error("TARGETS_MISSING", name, ja="がありません", en="is not there")
    if path.suffix != ".csv" or name.startswith("FEH_"):
        cells = _official_cells(study, path, by=by)
        _check_cells(cells, cells.index, study=study, name=name)
        return cells
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise _targets_error(
            "TARGETS_UNREADABLE", name, ja="を UTF-8 の CSV として読めません", en="is no UTF-8 CSV"
        ) from error
    lacking = [column for column in (*by, "population") if column not in table.columns]
    if lacking:
        listed = ", ".join(lacking)
        raise _targets_error(
            "TARGETS_COLUMNS", name, ja=f"に列 {listed} がありません", en=f"lacks columns {listed}"
        )
    table.index = pd.RangeIndex(2, len(table) + 2)
    _check_vintage(table, study=study, name=name)
    numbers = pd.to_numeric(table["population"].str.replace(",", ""), errors="coerce")
    bad = table.index[~(np.isfinite(numbers) & (numbers >= 0))]
    if len(bad):
        raise _targets_error(
            "TARGETS_NUMBER",
            name,
            ja=f"の {_listed(bad)} 行目の population が 0 以上の数ではありません",
            en=f"has no number of 0 or more as population in rows {_listed(bad)}",
        )
    cells = table[list(by)].assign(population=numbers).reset_index(drop=True)
    _check_cells(cells, table.index, study=study, name=name)
    return cells


def _official_cells(study: Study, path: Path, *, by: Sequence[str]) -> pd.DataFrame:
    """Return the cells of a study out of an official file as downloaded."""
    design, area = study.config.design, study.config.area
    regions = {code: region.municipalities for code, region in study.config.regions.items()}
    wanted = [name for names in regions.values() for name in names]
    prefecture = area if area.endswith(("都", "道", "府", "県")) else None
    sexes = study.items[design.sex].options if design.sex else {}
    first = {label[0]: code for code, label in reversed(sexes.items()) if label}
    table = make_targets(
        _read_official(path, prefecture=prefecture, municipalities=wanted),
        regions=regions,
        bands=study.config.derive[design.age_band].bands,
        sexes={"male": first.get("男", "male"), "female": first.get("女", "female")},
    )
    names = {"region": design.region, "age_band": design.age_band, "sex": design.sex or "sex"}
    table = table.rename(columns=names)
    lacking = ", ".join(name for name in by if name not in table.columns)
    if lacking:
        raise _targets_error(
            "TARGETS_COLUMNS",
            path.name,
            ja=f"に {lacking} の別はありません",
            en=f"has no {lacking}",
        )
    return table.groupby(list(by), as_index=False)["population"].sum()


def _read_official(
    path: Path, *, prefecture: str | None, municipalities: Iterable[str]
) -> pd.DataFrame:
    """Read whichever official file this is: the register, census table 2-7, or an e-Stat CSV."""
    if path.suffix == ".csv":
        return read_estat_csv(path, municipalities=municipalities)
    try:
        return read_census_2_7(path, prefecture=prefecture, municipalities=municipalities)
    except InputError as error:
        if error.code != "POPULATION_SHEET":
            raise
    return read_register_workbook(path, prefecture=prefecture, municipalities=municipalities)


def _listed(rows: Iterable[Any]) -> str:
    rows = [str(row) for row in rows]
    return ", ".join(rows[:10]) + (f" … (+{len(rows) - 10})" if len(rows) > 10 else "")


def _check_vintage(table: pd.DataFrame, *, study: Study, name: str) -> None:
    """Where the table says its date or area, they must be the study's."""
    expected = {"population_date": study.wave.population_date, "area": study.config.area}
    for column, wanted in expected.items():
        if column in table.columns and wanted and set(table[column]) != {wanted}:
            raise _targets_error(
                "TARGETS_VINTAGE",
                name,
                ja=f"の {column} が study.yaml の {wanted} とちがいます",
                en=f"has another {column} than {wanted} of study.yaml",
            )


def _check_cells(cells: pd.DataFrame, rows: pd.Index, *, study: Study, name: str) -> None:
    """Every cell once, every code known, every combination there."""
    by = [column for column in cells.columns if column != "population"]
    shares = study.config.weighting.sample_share
    wanted = {}
    for variable in by:
        item = study.items[variable]
        codes = [code for code in item.options if code not in shares.get(variable, ())]
        if variable == study.config.design.region and study.config.regions:
            codes = [code for code in codes if code in study.config.regions]
        wanted[variable] = codes
        unknown = ~cells[variable].isin([*codes, *shares.get(variable, ())])
        if unknown.any():
            bad = _listed(rows[unknown])
            raise _targets_error(
                "TARGETS_CODE",
                name,
                ja=f"の {bad} 行目の {variable} がこの調査にないコードです",
                en=f"has codes of {variable} that the study does not know in rows {bad}",
            )
    twice = cells.duplicated(by)
    if twice.any():
        bad = _listed(rows[twice])
        raise _targets_error(
            "TARGETS_REPEATED", name, ja=f"の {bad} 行目が二度目です", en=f"repeats cells: {bad}"
        )
    full = pd.MultiIndex.from_product(list(wanted.values()), names=by)
    absent = full.difference(pd.MultiIndex.from_frame(cells[by]))
    if len(absent):
        listed = "; ".join(join(cell) for cell in absent[:5])
        raise _targets_error(
            "TARGETS_CELL_MISSING",
            name,
            ja=f"に {len(absent)} 個のセルがありません（{listed}）",
            en=f"lacks {len(absent)} cells ({listed})",
        )


# --- official files -----------------------------------------------------------------------------


def _read_sheet(path: Path, sheet: str | None = None) -> list[list[Any]]:
    """Return the cells of one sheet; a bad download is named as such."""
    if not path.exists():
        raise _file_error("MISSING", path, ja="がありません", en="is not there")
    start = path.read_bytes()[:512].lstrip(b"\xef\xbb\xbf \r\n\t")
    if not start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        is_page = start[:1] == b"<"
        ja = "は Web ページ（HTML）で" if is_page else "は"
        en = "is a web page (HTML), " if is_page else "is "
        raise _file_error(
            "FORMAT",
            path,
            ja=f"{ja} Excel ファイルではありません。ダウンロードの種類（fileKind）がちがうようです",
            en=f"{en}not an Excel file: the download's fileKind may have been wrong",
        )
    try:
        book = CalamineWorkbook.from_path(path)
        name = sheet if sheet in book.sheet_names else book.sheet_names[0]
        if sheet is not None and sheet not in book.sheet_names:
            raise _file_error("SHEET", path, ja=f"にシート {sheet} がない", en=f"has no {sheet}")
        return book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (CalamineError, ValueError, IndexError) as error:
        raise _file_error(
            "FORMAT", path, ja="を Excel ファイルとして読めません", en="cannot be read as Excel"
        ) from error


_FETCH = ("ダウンロードし直してください", "Download it again")


def _file_error(
    code: str, path: Path, *, ja: str, en: str, todo: tuple[str, str] = _FETCH
) -> InputError:
    return InputError(
        f"POPULATION_{code}",
        f"人口のファイル {path.name} {ja}。{todo[0]}。",
        f"The population file {path.name} {en}. {todo[1]}.",
    )


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
            raise _file_error(
                "CODE",
                path,
                ja=f"の {name} の団体コードの検査数字が合いません",
                en=f"has a wrong code: {name}",
            )
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
        raise _file_error(
            "LAYOUT",
            path,
            ja="は市区町村別・年齢階級別の表ではないようです（見出しがちがう）",
            en="does not look like the table by municipality and age (other headings)",
        )
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
            raise _file_error(
                "SUM",
                path,
                ja=f"の {name} の男女の和が計と合いません",
                en=f"does not add up: {name}",
            )
        if sex not in _SEXES:
            continue
        rest = total - sum(n for n in counts.values() if not np.isnan(n))
        if np.isnan(total) or rest < -0.5:
            raise _file_error(
                "SUM",
                path,
                ja=f"の {name} の年齢の和が総数をこえます",
                en=f"does not add up: {name}",
            )
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
        raise _file_error(
            "MUNICIPALITY",
            path,
            ja=f"に市町村 {listed} がありません",
            en=f"lacks: {listed}",
            todo=(
                "study.yaml の regions での書き方と、ファイルの都道府県を確かめてください",
                "Check the spelling under regions in study.yaml, and the file's prefecture",
            ),
        )
    kept = table[table["municipality"].isin(names)].reset_index(drop=True)
    if kept.duplicated(["municipality", "sex", "age_class"]).any():
        raise _file_error(
            "REPEATED", path, ja="に同じ市町村が二度あります", en="holds a municipality twice"
        )
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
        raise _file_error("LAYOUT", path, ja="は第2-7表ではないようです", en="is not table 2-7")
    labels, units = [_plain(c) for c in cells[9]], [_plain(c) for c in cells[10]]
    ages: dict[str, int] = {}
    for column in range(9, len(labels)):
        number, _, label = labels[column].partition("_")
        if units[column] == "人" and re.fullmatch(r"\d\d", number) and number != "00":
            name = NOT_PUBLISHED if "不詳" in label else age_class(label)
            if name:
                ages.setdefault(name, column)
    if len(ages) < 15:
        raise _file_error("LAYOUT", path, ja="は第2-7表ではないようです", en="is not table 2-7")
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
        raise _file_error("ENCODING", path, ja="の文字コードが不明です", en="has no known encoding")
    lines = list(csv.reader(io.StringIO(text, newline="")))
    at = next((i for i, row in enumerate(lines) if {"value"} & set(row) and _keys(row)), None)
    if at is None or data.lstrip()[:1] == b"<":
        raise _file_error("LAYOUT", path, ja="に value の列がありません", en="has no column value")
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


# --- from official ages to a study's cells ------------------------------------------------------


def make_targets(
    population: pd.DataFrame,
    *,
    regions: Mapping[str, Iterable[str]],
    bands: Iterable[Band],
    sexes: Mapping[str, str],
) -> pd.DataFrame:
    """Return people by region, age band and sex out of municipalities and five-year ages.

    A class that a band cuts is shared out by years of age, as if each held as many people: 16-19
    takes four fifths of 15-19 (docs/assumptions.md). People whose age is not published are left
    out.

    Args:
        population: From a reader above.
        regions: Municipalities by region code.
        bands: Age bands; an open one takes every older class.
        sexes: The study's code of "male" and of "female".

    Returns:
        region, age_band, sex, population in persons; one row a cell.

    Raises:
        ConfigError: A municipality belongs to no region or to two.
    """
    pairs = [(name, code) for code, names in regions.items() for name in names]
    to_region = dict(pairs)
    lacking = sorted(set(population["municipality"]) - set(to_region))
    if lacking or len(pairs) != len(to_region):
        listed = "・".join(lacking[:5])
        raise ConfigError(
            "REGION_MAP",
            f"regions がすべての市町村を一度ずつ持っていません（{listed}）。直してください。",
            f"regions must hold every municipality once ({listed}): mend it.",
        )
    known = population[population["age_class"] != NOT_PUBLISHED]
    parts = []
    for band in bands:
        shares = {each: _share(each, band) for each in known["age_class"].unique()}
        people = known["population"] * known["age_class"].map(shares)
        parts.append(known.assign(population=people, age_band=band.code))
    table = pd.concat(parts, ignore_index=True)
    table["region"] = table["municipality"].map(to_region)
    table["sex"] = table["sex"].map(dict(sexes))
    order = {band.code: place for place, band in enumerate(bands)}
    cells = table.groupby(["region", "age_band", "sex"], as_index=False)["population"].sum()
    return cells.sort_values(
        ["region", "age_band", "sex"],
        key=lambda column: column.map(order) if column.name == "age_band" else column,
        ignore_index=True,
    )


def _share(ages: str, band: Band) -> float:
    """Return which part of an age class lies in a band, by years of age."""
    first = float(ages.rstrip("+").split("-")[0])
    if ages.endswith("+"):
        return float(band.from_ <= first and (band.to is None or band.to > first + 20))
    last = float(ages.split("-")[1])
    top = last if band.to is None else min(last, band.to)
    return max(0.0, top - max(first, band.from_) + 1) / (last - first + 1)
