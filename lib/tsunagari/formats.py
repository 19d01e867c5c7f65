"""What does an Excel or SPSS file really hold, as text: opened with suspicion, nothing guessed.

A workbook is checked as a zip of XML before it is parsed (size, entities, formulas without values,
merged cells); an SPSS file is converted in a process of its own, with limits, because a crafted
one can bring its reader down.
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
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from python_calamine import CalamineError, CalamineWorkbook

from tsunagari.study import InputError

ROWS_SHOWN = 10  # file rows named in a message
UNPACKED_LIMIT_BYTES = 200_000_000  # disclosure standard XLS-10
CONVERT_SECONDS, CONVERT_BYTES = 120, 4_000_000_000  # limits of the process that reads SPSS files
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
_WANTED = {"csv": (), "xlsx": ("zip",), "sav": ("SPSS",)}
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
        numeric: Names of columns, with the file rows of cells that are numbers and not text.
        labels: Value labels by variable (SPSS).
    """

    header: list[str]
    rows: list[list[str]]
    facts: dict[str, Any]
    numeric: dict[str, list[int]] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)


def show_rows(rows: Iterable[int]) -> str:
    """Return file row numbers for a message, such as "12, 30, 41 … (+7)".

    Example:
        >>> show_rows([3, 5])
        '3, 5'
    """
    listed = [str(row) for row in rows]
    more = f" … (+{len(listed) - ROWS_SHOWN})" if len(listed) > ROWS_SHOWN else ""
    return ", ".join(listed[:ROWS_SHOWN]) + more


def refuse_disguise(data: bytes, *, path: Path, wanted: str) -> None:
    """Refuse a file whose first bytes show that it is not what its name says.

    Args:
        data: The first 4,096 bytes.
        path: Named in the message.
        wanted: "csv", "xlsx" or "sav".

    Raises:
        InputError: It is an HTML page, a git-lfs pointer, an archive, or another format.
    """
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    found = next((name for magic, name in _DISGUISES if data.startswith(magic)), None)
    if start.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head", b"<script")):
        found = "HTML・XML のページ（ダウンロードの失敗） (an HTML or XML page: a failed download)"
    elif start.startswith(b"version https://git-lfs"):
        found = "git-lfs のポインター (a git-lfs pointer)"
    elif found is None and wanted != "csv":
        found = "文字だけのファイル (plain text)"
    if found is not None and not found.startswith(_WANTED[wanted] or ("\0",)):
        raise _refuse("FORMAT", path, ja=f"は {wanted} ではなく {found} です", en=f"is {found}")


def _refuse(code: str, path: Path, *, ja: str, en: str) -> InputError:
    return InputError(
        code,
        f"{path.name} {ja}。正しいファイルを置き直してください。",
        f"{path.name} {en}. Put the right file there.",
    )


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
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith(_DISGUISES[1][0]):
        is_locked = "EncryptedPackage".encode("utf-16-le") in path.read_bytes()
        ja = "はパスワードで暗号化されています" if is_locked else "は旧形式の Excel（.xls）です"
        en = "is encrypted" if is_locked else "is an old .xls workbook"
        raise _refuse("ENCRYPTED" if is_locked else "FORMAT", path, ja=ja, en=en)
    refuse_disguise(start, path=path, wanted="xlsx")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(archive, path=path)
            facts = _workbook_facts(archive)
            name = _choose_sheet(path, sheet, facts=facts)
            part = _sheet_part(archive, name)
            errors = _check_sheet(part, path=path, name=name)
        book = CalamineWorkbook.from_path(path)
        cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except _BROKEN as error:
        raise _refuse(
            "FORMAT", path, ja="を Excel ファイルとして読めません", en="cannot be read as Excel"
        ) from error
    return _to_sheet(cells, errors, facts=facts | {"sheet": name})


def _check_archive(archive: zipfile.ZipFile, *, path: Path) -> None:
    """Refuse a workbook that unpacks to too much, or that defines entities of its own."""
    if sum(part.file_size for part in archive.infolist()) > UNPACKED_LIMIT_BYTES:
        limit = UNPACKED_LIMIT_BYTES // 1_000_000
        raise _refuse(
            "RESOURCE_LIMIT",
            path,
            ja=f"は展開すると {limit} MB をこえます（空の書式だけの行がありませんか）",
            en=f"unpacks to more than {limit} MB (are there rows of formats only?)",
        )
    for part in archive.namelist():
        if part.endswith((".xml", ".rels")):
            with archive.open(part) as file:
                start = file.read(_PROLOG_BYTES).replace(b"\0", b"")  # so UTF-16 hides nothing
                if b"<!" in start.replace(b"<!--", b"").replace(b"<![CDATA[", b""):
                    raise _refuse("FORMAT", path, ja="に DTD があります", en="holds a DTD")


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


def _choose_sheet(path: Path, sheet: str | None, *, facts: dict[str, Any]) -> str:
    names = facts["sheets"]
    if sheet is None and len(names) == 1:
        return names[0]
    if sheet in names:
        return sheet
    listed = ", ".join(names)
    if sheet is None:
        raise _refuse(
            "SHEET_AMBIGUOUS",
            path,
            ja=f"にシートが {len(names)} 枚あります（{listed}）。study.yaml の waves.<年>.sheet に"
            "名前を書いてください",
            en=f"has {len(names)} sheets ({listed}): name one as waves.<year>.sheet in study.yaml",
        )
    raise _refuse(
        "SHEET_MISSING",
        path,
        ja=f"にシート {sheet} がありません（あるのは {listed}）",
        en=f"has no sheet {sheet} (it has: {listed})",
    )


def _sheet_part(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the XML of a sheet."""
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
    links = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    found = next(s for s in book.iterfind(".//{*}sheet") if s.get("name") == name)
    key = next(value for key, value in found.attrib.items() if key.endswith("}id"))
    target = next(link.get("Target") for link in links if link.get("Id") == key)
    return archive.read(target.lstrip("/") if target.startswith("/") else f"xl/{target}")


def _check_sheet(part: bytes, *, path: Path, name: str) -> dict[tuple[int, int], str]:
    """Refuse formulas without values and merged cells; return error values by row and column."""
    empty, errors, merged = [], {}, []
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
            element.clear()
    if empty:
        raise _refuse(
            "EXCEL_FORMULA",
            path,
            ja=f"のシート {name} に、値のない数式が {len(empty)} 個あります（{show_rows(empty)}）。"
            "Excel で開いて値として保存してください",
            en=f"has {len(empty)} formulas without values ({show_rows(empty)}): save as values",
        )
    if merged:
        raise _refuse(
            "EXCEL_MERGED",
            path,
            ja=f"のシート {name} に結合セルがあります（{', '.join(merged[:5])}）",
            en=f"has merged cells ({', '.join(merged[:5])}): unmerge them",
        )
    return errors


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
    """Return a cell as text: whole numbers without decimals, dates as ISO, nothing as "".

    Example:
        >>> cell_text(3.0), cell_text(3.5), cell_text(None)
        ('3', '3.5', '')
    """
    if cell is None or cell is pd.NaT or (isinstance(cell, float) and np.isnan(cell)):
        return ""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
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


# --- SPSS ---------------------------------------------------------------------------------------


def read_sav(path: Path, *, encoding: str | None = None) -> Sheet:
    """Read an SPSS file as text, codes as codes, in a process with limits on time and memory.

    User-missing values stay codes, so that 無回答 (99) is not the same as never asked.

    Args:
        path: .sav or .zsav.
        encoding: Where the file does not say it; cp932 is tried when the header's own fails.

    Returns:
        Text cells with the value labels; facts hold multi-response sets and the weight variable.

    Raises:
        InputError: Not such a file, or one that its reader cannot stand.
    """
    with path.open("rb") as file:
        refuse_disguise(file.read(4096), path=path, wanted="sav")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tsunagari.formats", str(path), folder, encoding or ""]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=CONVERT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            done = None
        if done is None or done.returncode != 0:
            raise _refuse(
                "FORMAT",
                path,
                ja="を SPSS ファイルとして読めません（壊れているか、途中で切れています）",
                en="cannot be read as SPSS: it is broken or cut short",
            )
        about = json.loads((Path(folder) / "about.json").read_text(encoding="utf-8"))
        table = pd.read_parquet(Path(folder) / "table.parquet")
    _refuse_equal_labels(about["labels"], path=path)
    rows = table.to_numpy(dtype=object).tolist()
    return Sheet(list(table.columns), rows, about["facts"], labels=about["labels"])


def _refuse_equal_labels(labels: dict[str, dict[str, str]], *, path: Path) -> None:
    for variable, names in labels.items():
        shown = [name for name in names.values() if name]
        if len(set(shown)) < len(shown):
            raise _refuse(
                "LABEL_REPEATED",
                path,
                ja=f"の {variable} で、二つのコードに同じ値ラベルが付いています",
                en=f"gives two codes of {variable} the same value label",
            )


def convert_sav(path: Path, folder: Path, *, encoding: str | None) -> None:
    """Write an SPSS file's cells and labels to a folder; runs in the process with limits."""
    import pyreadstat  # here only: the rest of the package never loads it

    for try_encoding in (encoding, None if encoding else "CP932"):
        try:
            table, meta = pyreadstat.read_sav(
                str(path), user_missing=True, encoding=try_encoding, apply_value_formats=False
            )
            break
        except pyreadstat.ReadstatError as error:
            if "convert" not in str(error).lower() and "encoding" not in str(error).lower():
                raise
    else:
        raise SystemExit(1)
    text = pd.DataFrame({name: [cell_text(c) for c in table[name].tolist()] for name in table})
    text.to_parquet(folder / "table.parquet")
    weight = int.from_bytes(path.read_bytes()[76:80], "little")  # place in the dictionary, 0: none
    notes = ["SPSS で重み変数が設定されています。study.yaml が名を挙げたときだけ使います。"]
    about = {
        "labels": {
            variable: {cell_text(code): label for code, label in names.items()}
            for variable, names in meta.variable_value_labels.items()
        },
        "facts": {
            "encoding": meta.file_encoding,
            "user_missing": sorted(meta.missing_ranges or {}),
            "multi_response_sets": sorted(getattr(meta, "mr_sets", None) or {}),
            "has_weight": weight > 0,
            "notes": notes if weight > 0 else [],
        },
    }
    (folder / "about.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")


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
    convert_sav(Path(sys.argv[1]), Path(sys.argv[2]), encoding=sys.argv[3] or None)
