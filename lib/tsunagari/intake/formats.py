"""What does an Excel, SPSS or Stata file really hold, as text: opened with suspicion, not guessed.

A workbook is checked as a zip of XML before it is parsed (size, entities, formulas without values,
merged cells); an SPSS or Stata file is converted in a process of its own, with limits, because a
crafted one can bring its reader down.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyreadstat
from python_calamine import CalamineError, CalamineWorkbook

from tsunagari.errors import InputError, show_rows

UNPACKED_LIMIT_BYTES = 200_000_000  # disclosure standard XLS-10
CONVERT_SECONDS, CONVERT_BYTES = 120, 4_000_000_000  # limits of the process that reads .sav, .dta
_EXACT = 1e15  # whole numbers from here on may have been rounded on the way, as Excel does
_NO_ENCODING_FITS = 3  # exit code of that process
_PROLOG_BYTES = 65_536  # a DTD stands before the first element
_DISGUISES = (  # first bytes of files that are often given a wrong name
    (b"PK\x03\x04", "zip・Excel (zip or xlsx)"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "旧形式または暗号化された Excel (old or encrypted Excel)",
    ),
    (b"$FL2", "SPSS"),
    (b"$FL3", "SPSS (圧縮 compressed)"),
    (b"%PDF", "PDF"),
    (b"PAR1", "parquet"),
    (b"SQLite format 3", "SQLite"),
    (b"\x1f\x8b", "gzip"),
)
_STATA = re.compile(rb"<stata_dta>|[h-s][\x01\x02]\x01")  # release 117 and later, 104 to 115
_WANTED = {"csv": (), "xlsx": ("zip",), "sav": ("SPSS",), "dta": ("Stata",)}
_MOMENTS = {  # formats of dates, what one unit of their numbers is, and the day of number 0
    "sav": [(r"([AEJS]?DATE|DATETIME|YMDHMS)\d", timedelta(seconds=1), datetime(1582, 10, 14))],
    "dta": [
        (r"%-?t?d", timedelta(days=1), datetime(1960, 1, 1)),
        (r"%-?t[cC]", timedelta(milliseconds=1), datetime(1960, 1, 1)),
    ],
}
_BROKEN = (  # what a damaged workbook raises; RuntimeError: a part encrypted or oddly packed
    *(zipfile.BadZipFile, zlib.error, RuntimeError, CalamineError),
    *(ElementTree.ParseError, KeyError, ValueError),
)


@dataclass(frozen=True)
class Sheet:
    """The cells of a file as text.

    Attributes:
        header: Names of the columns.
        rows: Text of every record, each as long as the widest.
        facts: What is known of the file beside its cells.
        numeric: Names of columns, with the file rows of cells that are numbers and may have been
            text: any of Excel, of SPSS and Stata those of 16 digits and more.
        labels: Value labels by variable (SPSS, Stata).
    """

    header: list[str]
    rows: list[list[str]]
    facts: dict[str, Any]
    numeric: dict[str, list[int]] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)


def refuse_disguise(data: bytes, *, wanted: str) -> None:
    """Refuse a file whose first bytes show that it is not what its name says.

    Args:
        data: The first 4,096 bytes.
        wanted: "csv", "xlsx", "sav" or "dta".

    Raises:
        InputError: It is an HTML page, a git-lfs pointer, an archive, or another format.
    """
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    found = next((name for magic, name in _DISGUISES if data.startswith(magic)), None)
    found = "Stata" if _STATA.match(data) else found
    if start.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head", b"<script")):
        found = "HTML・XML のページ（ダウンロードの失敗） (an HTML or XML page: a failed download)"
    elif start.startswith(b"version https://git-lfs"):
        found = "git-lfs のポインター (a git-lfs pointer)"
    elif found is None and wanted != "csv":
        found = "文字だけのファイル (plain text)"
    if found is not None and not found.startswith(_WANTED[wanted] or ("\0",)):
        raise InputError("FORMAT.disguise", wanted=wanted, found=found)


# --- Excel --------------------------------------------------------------------------------------


def read_workbook(path: Path, *, sheet: str | None) -> Sheet:
    """Read one sheet of a workbook as text; row 1 is the header.

    Args:
        path: .xlsx or .xlsm.
        sheet: Its name; None where the workbook has one sheet only.

    Returns:
        Text cells; a number that is whole has no decimals, a date is ISO, an error value stays as
        it is shown. Blank rows at the end are left out.

    Raises:
        InputError: Not such a workbook, encrypted, too large unpacked, with an entity, without
            that sheet, with formulas that hold no value, or with merged cells.
    """
    _refuse_other_workbook(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(archive)
            facts = _workbook_facts(archive)
            name = _choose_sheet(sheet, facts["sheets"])
            errors, hidden = _check_sheet(_sheet_part(archive, name), name=name)
        book = CalamineWorkbook.from_path(path)
        cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except _BROKEN as error:
        raise InputError("FORMAT.excel") from error
    found = _to_sheet(cells, errors, facts=facts | {"sheet": name})
    hidden = [row for row in hidden if 2 <= row < len(found.rows) + 2]
    if hidden:
        facts["notes"].append(
            f"Excel で非表示の行が {len(hidden)} 行あります（{show_rows(hidden)} 行目）。"
            "ほかの行と同じく使います。"
        )
    return found


def sheet_names(path: Path) -> list[str]:
    """Return the names of a workbook's sheets in order; it raises what `read_workbook` does."""
    _refuse_other_workbook(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(archive)
            return _workbook_facts(archive)["sheets"]
    except _BROKEN as error:
        raise InputError("FORMAT.excel") from error


def _refuse_other_workbook(path: Path) -> None:
    """Refuse a file that is encrypted, an old .xls or no workbook at all."""
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith(_DISGUISES[1][0]):
        is_locked = "EncryptedPackage".encode("utf-16-le") in path.read_bytes()
        raise InputError("ENCRYPTED" if is_locked else "FORMAT.xls")
    refuse_disguise(start, wanted="xlsx")


def _check_archive(archive: zipfile.ZipFile) -> None:
    """Refuse a workbook that unpacks to too much, or that defines entities of its own."""
    if sum(part.file_size for part in archive.infolist()) > UNPACKED_LIMIT_BYTES:
        limit = UNPACKED_LIMIT_BYTES // 1_000_000
        raise InputError("RESOURCE_LIMIT", limit=limit)
    for part in archive.namelist():
        if part.endswith((".xml", ".rels")):
            with archive.open(part) as file:
                start = file.read(_PROLOG_BYTES).replace(b"\0", b"")  # so UTF-16 hides nothing
                if b"<!" in start.replace(b"<!--", b"").replace(b"<![CDATA[", b""):
                    raise InputError("FORMAT.dtd")


def _workbook_facts(archive: zipfile.ZipFile) -> dict[str, Any]:
    root = ElementTree.fromstring(archive.read("xl/workbook.xml"))
    notes = []
    names = archive.namelist()
    if any(name.endswith("vbaProject.bin") for name in names):
        notes.append("マクロがあります（実行しません）。")
    n_links = sum(bool(re.match(r"xl/externalLinks/[^/]+\.xml", name)) for name in names)
    if n_links:
        notes.append(f"外部へのリンクが {n_links} 件あります（たどりません）。")
    states = {s.get("name"): s.get("state", "visible") for s in root.iterfind(".//{*}sheet")}
    return {
        "sheets": list(states),
        "hidden_sheets": [name for name, state in states.items() if state != "visible"],
        "is_1904": any(p.get("date1904") in ("1", "true") for p in root.iterfind("{*}workbookPr")),
        "notes": notes,
    }


def _choose_sheet(sheet: str | None, names: list[str]) -> str:
    if sheet is None and len(names) == 1:
        return names[0]
    if sheet in names:
        return sheet
    listed = ", ".join(names)
    if sheet is None:
        raise InputError("SHEET_AMBIGUOUS", n=len(names), listed=listed)
    raise InputError("SHEET_MISSING", sheet=sheet, listed=listed)


def _sheet_part(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the XML of a sheet."""
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
    links = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    found = next(s for s in book.iterfind(".//{*}sheet") if s.get("name") == name)
    key = next(value for key, value in found.attrib.items() if key.endswith("}id"))
    target = next(link.get("Target") for link in links if link.get("Id") == key)
    return archive.read(target.lstrip("/") if target.startswith("/") else f"xl/{target}")


def _check_sheet(part: bytes, *, name: str) -> tuple[dict[tuple[int, int], str], list[int]]:
    """Refuse formulas without values and merged cells.

    Returns:
        Error values by row and column, the first being 0; and rows that Excel hides, the first 1.
    """
    empty, errors, merged, hidden = [], {}, [], []
    for _, element in ElementTree.iterparse(io.BytesIO(part)):
        kind = element.tag.rpartition("}")[2]  # however the namespace is written
        if kind == "c":
            inner = {child.tag.rpartition("}")[2]: child.text for child in element}
            if "f" in inner and not inner.get("v") and "is" not in inner:
                empty.append(element.get("r", "?"))
            elif element.get("t") == "e" and inner.get("v"):
                errors[_place(element.get("r", "?"))] = inner["v"]
        elif kind == "mergeCell":
            merged.append(element.get("ref", "?"))
        elif kind == "row":
            if element.get("hidden") in ("1", "true"):
                hidden.append(int(element.get("r", "0")))
            element.clear()
    if empty:
        raise InputError("EXCEL_FORMULA", name=name, n=len(empty), rows=show_rows(empty))
    if merged:
        raise InputError("EXCEL_MERGED", name=name, rows=show_rows(merged))
    return errors, hidden


def _place(address: str) -> tuple[int, int]:
    """Return row and column of a cell, the first being 0.

    Example:
        >>> _place("B3")
        (2, 1)
    """
    found = re.fullmatch(r"([A-Z]+)(\d+)", address)
    if found is None:
        raise ValueError("a cell without an address")
    letters, digits = found.groups()
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - 64
    return int(digits) - 1, column - 1


def cell_text(cell: Any) -> str:
    """Return a cell as text: whole numbers without decimals, dates as ISO, TRUE as Excel shows it.

    Example:
        >>> cell_text(3.0), cell_text(3.5), cell_text(None)
        ('3', '3.5', '')
    """
    if cell is None or cell is pd.NaT or (isinstance(cell, float) and np.isnan(cell)):
        return ""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < _EXACT else repr(cell)
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == datetime.min.time() else str(cell)
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def _to_sheet(
    cells: list[list[Any]], errors: dict[tuple[int, int], str], *, facts: dict[str, Any]
) -> Sheet:
    for (row, column), value in errors.items():
        if row < len(cells) and column < len(cells[row]):
            cells[row][column] = value
    header = [cell_text(cell) for cell in cells[0]] if cells else []
    while header and not header[-1].strip():
        header.pop()
    numeric: dict[str, list[int]] = {}
    rows = []
    for number, row in enumerate(cells[1:], start=2):
        for name, cell in zip(header, row, strict=False):
            if isinstance(cell, int | float):
                numeric.setdefault(name, []).append(number)
        rows.append([cell_text(cell) for cell in row])
    while rows and not any(text.strip() for text in rows[-1]):
        rows.pop()
    return Sheet(header, rows, facts, numeric)


# --- SPSS and Stata -----------------------------------------------------------------------------


def read_labelled(path: Path, *, kind: str, encodings: Sequence[str]) -> Sheet:
    """Read an SPSS or Stata file as text, codes as codes, in a process with limits.

    Missing values that the user defined stay codes, so that 無回答 (99, or .a in Stata) is not the
    same as never asked. A date beyond the year 9999 stays its number, which is no date.

    Args:
        path: .sav, .zsav or .dta.
        kind: "sav" or "dta".
        encodings: Tried in this order where the file does not say its own.

    Returns:
        Text cells with the value labels.

    Raises:
        InputError: Not such a file, one that its reader cannot stand, or in none of the encodings.
    """
    name = "SPSS" if kind == "sav" else "Stata"
    with path.open("rb") as file:
        refuse_disguise(file.read(4096), wanted=kind)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "tsunagari.intake.formats",
            str(path),
            folder,
            kind,
            *encodings,
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=CONVERT_SECONDS, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            done = None
        if done == _NO_ENCODING_FITS:
            raise InputError("ENCODING", names=", ".join(encodings))
        if done != 0:
            raise InputError("FORMAT.labelled", name=name)
        about = json.loads((Path(folder) / "about.json").read_text(encoding="utf-8"))
        table = pd.read_parquet(Path(folder) / "table.parquet")
    _refuse_equal_labels(about["labels"])
    return Sheet(list(table.columns), table.to_numpy(dtype=object).tolist(), **about)


def _refuse_equal_labels(labels: dict[str, dict[str, str]]) -> None:
    for variable, names in labels.items():
        shown = [name for name in names.values() if name]
        if len(set(shown)) < len(shown):
            raise InputError("LABEL_REPEATED", variable=variable)


def convert_labelled(path: Path, folder: Path, *, kind: str, encodings: Sequence[str]) -> None:
    """Write an SPSS or Stata file's cells and labels; runs in the process with limits."""
    read = pyreadstat.read_sav if kind == "sav" else pyreadstat.read_dta
    says_own = kind == "sav" or re.search(rb"<release>1(1[89]|[2-9])", path.read_bytes()[:99])
    for encoding in [*[None] * bool(says_own), *encodings]:
        try:
            table, meta = read(
                str(path), user_missing=True, disable_datetime_conversion=True, encoding=encoding
            )
            break
        except pyreadstat.ReadstatError as error:
            if "convert" not in str(error).lower() and "encoding" not in str(error).lower():
                raise
    else:
        raise SystemExit(_NO_ENCODING_FITS)
    texts, numeric = {}, {}
    for name in table:
        texts[name] = table[name].tolist()
        if meta.readstat_variable_types[name] != "string":
            numeric[name] = [
                row
                for row, cell in enumerate(texts[name], start=2)
                if isinstance(cell, float) and abs(cell) >= _EXACT
            ]
            cells = _moments(texts[name], meta.original_variable_types[name], kind=kind)
            texts[name] = [_mark(cell) for cell in cells]
    pd.DataFrame(texts, dtype="str").to_parquet(folder / "table.parquet")
    labels = {
        variable: {_mark(code): label for code, label in names.items()}
        for variable, names in meta.variable_value_labels.items()
    }
    notes = []
    if kind == "sav" and path.read_bytes()[76:80] != bytes(4):  # its place in the dictionary
        notes = ["SPSS で重み変数が設定されています。study.yaml が名を挙げたときだけ使います。"]
    facts = {"encoding": meta.file_encoding or encoding, "notes": notes}
    about = {"labels": labels, "facts": facts, "numeric": numeric}
    (folder / "about.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")


def _mark(code: Any) -> str:
    """Return a code as text; Stata's missing values, which its reader calls a to z, as .a to .z."""
    return f".{code}" if isinstance(code, str) and len(code) == 1 else cell_text(code)


def _moments(cells: list[Any], shown_as: str, *, kind: str) -> list[Any]:
    """Return numbers that a format shows as dates as moments, where there is such a date."""
    for pattern, unit, zero in _MOMENTS[kind]:
        if re.match(pattern, shown_as):
            return [_moment(c, unit, zero) if isinstance(c, float) else c for c in cells]
    return cells


def _moment(number: float, unit: timedelta, zero: datetime) -> datetime | float:
    try:
        return zero + number * unit
    except (OverflowError, ValueError):  # beyond the calendar, or no number
        return number


def _limit_process() -> None:
    """Bound memory and time, where the system can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (CONVERT_BYTES, CONVERT_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CONVERT_SECONDS, CONVERT_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _limit_process()
    source, target, kind, *encodings = sys.argv[1:]
    convert_labelled(Path(source), Path(target), kind=kind, encodings=encodings)
