"""What stands in the programmes' records: files by declared schema to tables that add up."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.errors import InputError, SurveyError
from tsunagari.intake import delimited, formats, received
from tsunagari.programmes import checks, schema
from tsunagari.programmes.cells import (
    DATE_KINDS,
    NATION,
    NUMBER_KINDS,
    Bad,
    Context,
    is_mobile,
    is_unknown,
    looks_personal,
    parse,
    plain,
)
from tsunagari.programmes.checks import Sifter
from tsunagari.programmes.schema import Column, Table
from tsunagari.study.survey import Study

SYNTHETIC = "synthetic"  # as a row's source
EXAMPLE = "記入例"  # in the first cell of a template's worked row
GUIDE, CHOICES = "はじめに", "選択肢"  # the template's sheets that are not read
ENCODINGS = ("utf-8-sig", "utf-8", "cp932")
USED, ASIDE = "used", "quarantined"

_VARIANTS = (
    "_published",
    "_synthetic",
)  # what the repository ships; a file of one's own replaces both
_NOTE = re.compile(r"※|[(（]?注[)）:： 0-9]|(合計|総計|小計|計)$|(出典|資料|備考)[:：]")
_PLACE = ["table", "file", "file_row", "column", "reason"]


@dataclass(frozen=True)
class Records:
    """The records of one year.

    Attributes:
        tables: One table a declared table that has a file, without the rows set aside. Columns:
            every declared one (numbers float, dates datetime64, the rest text with "" for blank;
            lists joined by `;`), then `file` and `file_row`.
        quarantine: Rows set aside: table, file, file_row, column, reason; one row each.
        cells: Cells of used rows that were blanked, with the same columns.
        ledger: table, file, outcome (used or quarantined), reason, n_rows. Sums to the rows read.
        notes: What was read in a way worth knowing, each with `ja` and `en`.
        as_of: Last day of the fiscal year.
        context: What cells were held to.
    """

    tables: dict[str, pd.DataFrame]
    quarantine: pd.DataFrame
    cells: pd.DataFrame
    ledger: pd.DataFrame
    notes: list[dict[str, str]]
    as_of: pd.Timestamp
    context: Context

    def table(self, name: str) -> pd.DataFrame:
        """Return a table, without rows where no file has it."""
        if name in self.tables:
            return self.tables[name]
        return _typed(pd.DataFrame(), schema.tables()[name]).assign(file="", file_row=0)

    @property
    def is_synthetic(self) -> bool:
        """Whether any row is made up."""
        return any((t["source"] == SYNTHETIC).any() for t in self.tables.values())

    def sentences(self) -> list[dict[str, str]]:
        """Return what was set aside or blanked, a sentence for each file, column and reason."""
        said = []
        for rows, done in ((self.quarantine, "aside"), (self.cells, "blanked")):
            words = schema.texts()["done"][done]
            for (file, column, code), part in rows.groupby(["file", "column", "reason"]):
                reason = schema.texts()["reasons"][code]
                told = {"place": f"{file} {column}".strip(), "n": len(part)}
                told["rows"] = formats.show_rows(part["file_row"])
                said.append(
                    {each: words[each].format(reason=reason[each], **told) for each in ("ja", "en")}
                )
        return said


@dataclass(frozen=True)
class _Sheet:
    """Cells of one table's file as text; `rows` are numbered as in Excel, the header being 1."""

    file: str
    table: str
    header: list[str]
    rows: list[list[str]]


def error(code: str, **told: Any) -> InputError:
    """Return what stops a file of records."""
    return InputError(f"{code}.records", **told)


def load(study: Study) -> Records:
    """Read the records of a wave; without a folder of records there are no tables."""
    places = study.raw_dir / "population_municipalities.csv"
    areas = {}
    if places.exists():
        found = pd.read_csv(places, dtype=str, encoding="utf-8-sig")
        areas = dict(zip(found["municipality_code"], found["municipality"], strict=True))
        first = found.iloc[0]
        areas |= {first["municipality_code"][:2] + "000": first["prefecture"], NATION: "全国"}
    lists = dict(schema.declared()["lists"])
    themes = study.config.themes if study.has_survey else None
    item = next(iter(themes.questions.values())).options if themes else "trouble"
    troubles = study.codebook.codes[study.codebook.codes["item"] == item]
    if len(troubles):
        kept = troubles[troubles["role"] != "exclusive"]
        lists["trouble"] = dict(zip(kept["code"], kept["code_label"], strict=True))
        named = kept[kept["role"] != "other"]  # nobody is looked for under その他
        lists["need"] = dict(zip(named["code"], named["code_label"], strict=True))
    return read(study.records_dir, year=study.year, areas=areas, lists=lists)


def read(
    folder: Path, *, year: int, areas: Mapping[str, str], lists: Mapping[str, Any] | None = None
) -> Records:
    """Read every record file of a folder by its declared schema.

    A file is named after its table (`events.csv`, one sheet in `events.xlsx`) or after its
    programme (`symposium.xlsx`, a sheet a table). `<table>_published.csv` and
    `<table>_synthetic.csv` are what the repository ships, and give way to a file of one's own.

    Args:
        folder: data/raw/<study>/<year>/programmes.
        year: Fiscal year (1 April to 31 March).
        areas: Name by five-digit area code; empty where they are not known.
        lists: Allowed values by name of list; those of tables.yaml by default.

    Returns:
        The records.

    Raises:
        InputError: A file, sheet, column or unit that is not declared, a file that cannot be read,
            a required column that lacks, or personal data in a public column.
    """
    context = Context(pd.Timestamp(year + 1, 3, 31), areas, lists or schema.declared()["lists"])
    found: dict[str, list[_Sheet]] = {name: [] for name in schema.tables()}
    for sheet in _sheets(folder):
        found[sheet.table].append(sheet)
    notes: list[dict[str, str]] = []
    parts = {
        name: [
            _read_sheet(sheet, schema.tables()[name], context=context, notes=notes)
            for sheet in sheets
        ]
        for name, sheets in found.items()
        if sheets
    }
    tables = {
        name: pd.concat([part[0] for part in each], ignore_index=True)
        for name, each in parts.items()
    }
    n_read = {(name, each.file): 0 for name, sheets in found.items() for each in sheets}
    asides, cells = [], []
    for each in parts.values():
        asides += [part[1] for part in each]
        cells += [part[2] for part in each]
    asides += checks.cross_check(tables, context=context, notes=notes)
    quarantine = pd.concat([pd.DataFrame(columns=_PLACE), *asides], ignore_index=True)
    blanked = pd.concat([pd.DataFrame(columns=_PLACE), *cells], ignore_index=True)
    kept = pd.MultiIndex.from_frame(quarantine[["file", "file_row"]])
    blanked = blanked[~pd.MultiIndex.from_frame(blanked[["file", "file_row"]]).isin(kept)]
    ledger = _ledger(tables, quarantine, files=list(n_read))
    return Records(tables, quarantine, blanked, ledger, notes, context.as_of, context)


# --- files ----------------------------------------------------------------------------------------


def _sheets(folder: Path) -> Iterable[_Sheet]:
    """Yield the sheets of a folder's files, those of one's own instead of the shipped ones."""
    known = schema.tables()
    programmes = schema.declared()["programmes"]
    own: dict[str, list[_Sheet]] = {}
    shipped: list[_Sheet] = []
    files = sorted(path for path in folder.glob("*") if not re.match(r"\.|~\$|README", path.name))
    for path in files:
        variant = next((end for end in _VARIANTS if path.stem.endswith(end)), "")
        stem = path.stem.removesuffix(variant)
        is_known = stem in known or (stem in programmes and path.suffix.lower() == ".xlsx")
        if not (path.is_file() and is_known and path.suffix.lower() in (".csv", ".xlsx")):
            raise error("FILE_UNKNOWN", file=path.name, known=", ".join([*known, *programmes]))
        with _named(path.name):
            if path.suffix.lower() == ".xlsx":
                sheets = list(_read_workbook(path, stem))
            else:
                sheets = [_read_csv(path, stem)]
        for sheet in sheets:
            if variant:
                shipped.append(sheet)
            else:
                own.setdefault(sheet.table, []).append(sheet)
    for table, sheets in own.items():
        if len(sheets) > 1:
            raise error("FILE_TWICE", table=table, file=", ".join(each.file for each in sheets))
        yield sheets[0]
    yield from (sheet for sheet in shipped if sheet.table not in own)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Put the file's name into what the survey's readers say, who call every file responses."""
    try:
        yield
    except SurveyError as problem:
        ja, en = (text.replace("responses", name) for text in (problem.ja, problem.en))
        raise type(problem).told(problem.code, ja=ja, en=en) from problem


def _read_csv(path: Path, table: str) -> _Sheet:
    data = path.read_bytes()
    formats.refuse_disguise(data[:4096], wanted="csv")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", errors="replace").encode()
    text, encoding = delimited.decode(memoryview(data), encodings=ENCODINGS)
    lines = bytes(text).decode()
    first = lines.partition("\n")[0]
    delimiter = "\t" if "\t" in first and "," not in first else ","
    try:
        rows = list(csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as problem:
        raise error("FILE_UNREADABLE", file=path.name) from problem
    header = rows[0] if rows else []
    text_lines = dict(enumerate(lines.splitlines(), start=1))
    received.refuse_garbled(
        pd.DataFrame({"文字": pd.Series(text_lines, dtype="str")}),
        facts={"encoding": encoding, "notes": []},
    )
    return _Sheet(path.name, table, header, rows[1:])


def _read_workbook(path: Path, stem: str) -> Iterable[_Sheet]:
    """Yield a workbook's tables: one named after its table, or a sheet each by name or label."""
    tables = schema.tables()
    mine = {t.label: n for n, t in tables.items() if stem in (t.file, n)}
    mine |= {name: name for name in mine.values()}
    sheets = [name for name in formats.sheet_names(path) if name not in (GUIDE, CHOICES)]
    for name in sheets:
        table = stem if len(sheets) == 1 and stem in tables else mine.get(name)
        if table is None:
            raise error("SHEET_UNKNOWN", file=path.name, sheet=name, known=", ".join(mine))
        sheet = formats.read_workbook(path, sheet=name)
        shown = path.name if len(sheets) == 1 else f"{path.name} {name}"
        yield _Sheet(shown, table, sheet.header, sheet.rows)


# --- one sheet ------------------------------------------------------------------------------------


def _read_sheet(
    sheet: _Sheet, table: Table, *, context: Context, notes: list[dict[str, str]]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the rows of a sheet that can be used, those set aside, and the cells blanked."""
    place = _match(sheet, table)
    cells, is_wide = _cells(sheet)
    sifter = Sifter(cells.index)
    _set_notes_aside(cells, table, place=place, sifter=sifter, year=context.as_of.year - 1)
    sifter.add(is_wide, "TOO_WIDE")
    data, blanked = pd.DataFrame(index=cells.index), []
    is_about = pd.Series(data=False, index=cells.index)
    for name, at in place.items():
        column, raw = table.columns[name], cells[at]
        _refuse(raw[sifter.is_free], column, sheet=sheet, context=context)
        data[name], reasons = _parse(raw, column, context=context)
        _remark(raw[sifter.is_free], data[name], column, sheet=sheet, notes=notes)
        if column.required == "yes":
            sifter.add(reasons != "", reasons, column=column.label)
            sifter.add(raw == "", "REQUIRED_BLANK", column=column.label)
        else:
            blanked.append((column.label, reasons))
        if column.kind in NUMBER_KINDS:
            is_about |= raw.str.match("約|およそ|概ね") & data[name].notna()
    data = _typed(data, table)
    if "is_approximate" in data:
        data["is_approximate"] = data["is_approximate"].where(~is_about, "有")
    else:
        rows = is_about.index[is_about & sifter.is_free]
        checks.note("APPROXIMATE", rows, column=table.label, file=sheet.file, notes=notes)
    for name in place:
        sifter.add(*_contradicted(data, table.columns[name]), column=table.columns[name].label)
    _set_repeated_aside(data, table, sifter=sifter)
    data = data.assign(file=sheet.file, file_row=data.index)
    numbered = f"{table.name}-" + data.index.astype(str)
    data["row_id"] = data["row_id"].where(data["row_id"] != "", numbered)
    if sheet.file.endswith("_synthetic.csv"):
        data["source"] = data["source"].replace("", SYNTHETIC)
    where = {"table": table.name, "file": sheet.file}
    spoilt = [
        pd.DataFrame({"file_row": bad.index, "column": label, "reason": bad})
        for label, reasons in blanked
        if len(bad := reasons[(reasons != "") & sifter.is_free])
    ]
    lost = pd.concat([pd.DataFrame(columns=_PLACE), *spoilt], ignore_index=True).assign(**where)
    return data[sifter.is_free], sifter.aside().assign(**where)[_PLACE], lost[_PLACE]


def _match(sheet: _Sheet, table: Table) -> dict[str, int]:
    """Return where each declared column stands in a sheet.

    Raises:
        InputError: A column or its unit is not declared, stands twice, or lacks though required.
    """
    known = {
        _tidy(called): name
        for name, column in table.columns.items()
        for called in (*column.aliases, column.label, name)
    }
    place: dict[str, int] = {}
    unknown, twice = [], []
    for at, header in enumerate(sheet.header):
        tidy = _tidy(header)
        if not tidy:
            continue
        bracket = re.fullmatch(r"(.+)\((.+)\)", tidy)
        name = known.get(tidy)
        if name is None and bracket and (found := known.get(bracket[1])):
            name = found if table.columns[found].unit == bracket[2] else None
        if name is None:
            unknown.append(header.strip())
        elif name in place:
            twice.append(header.strip())
        elif name != "unused":
            place[name] = at
    told = {"file": sheet.file, "table": table.label}
    for code, names in (("COLUMN_UNKNOWN", unknown), ("COLUMN_TWICE", twice)):
        if names:
            raise error(code, columns=", ".join(names[:20]), **told)
    wanted = [c for c in table.columns.values() if c.required == "yes" and c.name not in place]
    if wanted:
        raise error("COLUMN_MISSING", columns=", ".join(c.label for c in wanted), **told)
    return place


def _tidy(name: str) -> str:
    return re.sub(r"[\s*]|必須$|\(必須\)$", "", received.tidy_name(name))


def _cells(sheet: _Sheet) -> tuple[pd.DataFrame, pd.Series]:
    """Return the cells by place, rows numbered as in Excel, no blank ones; and which are wide."""
    width = len(sheet.header)
    rows = {n: row for n, row in enumerate(sheet.rows, start=2) if any(map(str.strip, row))}
    wide = [any(map(str.strip, row[width:])) for row in rows.values()]
    padded = [(row + [""] * width)[:width] for row in rows.values()]
    index = pd.Index(rows, name="file_row", dtype="int64")
    columns = [[cell.strip() for cell in column] for column in zip(*padded, strict=True)]
    table = pd.DataFrame(dict(enumerate(columns)), index=index, dtype="str")
    return table.reindex(columns=range(width)).astype("str"), pd.Series(
        wide, index=index, dtype=bool
    )


def _set_notes_aside(
    cells: pd.DataFrame, table: Table, *, place: dict[str, int], sifter: Sifter, year: int
) -> None:
    """Set aside the template's worked row and notes or totals that stand under the table."""
    filled = cells != ""
    marked = cells[place.get("row_id", 0)].str.startswith(EXAMPLE) if len(cells.columns) else None
    if marked is None or cells.empty:
        return
    own = {at: table.columns[name] for name, at in place.items() if name != "row_id"}
    same = pd.Series(False, index=cells.index)
    for of in {year, schema.EXAMPLE_YEAR}:
        shown = pd.Series({at: column.example_of(of) for at, column in own.items()})
        same |= (cells[list(own)] == shown).all(axis=1)
    sifter.add(marked & same, "EXAMPLE")
    sifter.add(marked, "EXAMPLE_CHANGED")
    sifter.add(same, "EXAMPLE_LEFT")
    n_required = sum(column.required == "yes" for column in table.columns.values())
    first = cells.to_numpy()[np.arange(len(cells)), filled.to_numpy().argmax(axis=1)]
    is_note = pd.Series(first, index=cells.index).str.match(_NOTE)
    alone = (filled.sum(axis=1) == 1) & (n_required > 1)
    sifter.add(is_note | alone, "NOTE_ROW")


def _parse(raw: pd.Series, column: Column, *, context: Context) -> tuple[pd.Series, pd.Series]:
    """Return what the cells say, blank where they cannot be used, and why not (else "")."""
    nothing = np.nan if column.kind in NUMBER_KINDS else pd.NaT if column.kind in DATE_KINDS else ""
    codes, uniques = pd.factorize(raw)
    found, reasons = [], []
    for text in uniques:
        try:
            found.append(parse(text, column, context=context) if text else nothing)
            reasons.append("")
        except Bad as bad:
            found.append(nothing)
            reasons.append(str(bad))
    kind = float if column.kind in NUMBER_KINDS else None
    kind = "datetime64[ns]" if column.kind in DATE_KINDS else kind or "str"
    return (
        pd.Series(pd.Series(found, dtype=kind).to_numpy()[codes], index=raw.index, dtype=kind),
        pd.Series(np.array(reasons, dtype=object)[codes], index=raw.index, dtype="str"),
    )


def _refuse(raw: pd.Series, column: Column, *, sheet: _Sheet, context: Context) -> None:
    """Refuse personal data in a public column, and a unit that is not declared.

    Raises:
        InputError: PERSONAL or UNIT_UNKNOWN, with rows; a person's data are never repeated.
    """
    told = {"file": sheet.file, "column": column.label}
    texts = {text: plain(text) for text in raw.unique() if text}
    if column.is_public and column.kind in ("text", "texts"):
        bad = raw.isin([text for text in texts if looks_personal(text)])
        if bad.any():
            rows = raw.index[bad]
            raise error("PERSONAL", n=len(rows), rows=formats.show_rows(rows), **told)
    if column.kind == "unit":
        known = schema.allowed(column.rule, lists=dict(context.lists))
        strange = {text: tidy for text, tidy in texts.items() if tidy not in known}
        if strange:
            rows = raw.index[raw.isin(list(strange))]
            told |= {"units": ", ".join(strange.values()), "known": ", ".join(known)}
            raise error("UNIT_UNKNOWN", n=len(rows), rows=formats.show_rows(rows), **told)


def _remark(
    raw: pd.Series, parsed: pd.Series, column: Column, *, sheet: _Sheet, notes: list[dict[str, str]]
) -> None:
    """Note mobile numbers and symbols that were read as unknown."""
    if column.kind == "phone":
        odd = raw[raw.isin([text for text in raw.unique() if is_mobile(text)])]
        checks.note("MOBILE_PHONE", odd.index, column=column.label, file=sheet.file, notes=notes)
    if column.kind in NUMBER_KINDS:
        symbols = [text for text in raw.unique() if is_unknown(text)]
        rows = raw.index[raw.isin(symbols) & parsed.reindex(raw.index).isna()]
        checks.note("SYMBOLS", rows, column=column.label, file=sheet.file, notes=notes)


def _typed(data: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Return a table with every declared column in its type."""
    columns = {}
    for name, column in table.columns.items():
        if column.kind == "unused":
            continue
        kind = "float64" if column.kind in NUMBER_KINDS else "str"
        kind = "datetime64[ns]" if column.kind in DATE_KINDS else kind
        blank = "" if kind == "str" else None
        found = data[name] if name in data else pd.Series(blank, index=data.index, dtype=kind)
        columns[name] = found.astype(kind)
    return pd.DataFrame(columns, index=data.index)


def _contradicted(data: pd.DataFrame, column: Column) -> tuple[pd.Series, pd.Series]:
    """Return rows in which a date comes too early, or a number exceeds its base; and why."""
    reasons = pd.Series("", index=data.index, dtype="str")
    if column.base:
        reasons = reasons.mask(data[column.name] > data[column.base], "ABOVE_BASE")
    if column.kind in DATE_KINDS:
        for earlier in re.findall(r">=(\w+)", column.rule):
            reasons = reasons.mask(data[column.name] < data[earlier], "DATE_ORDER")
    return reasons != "", reasons


def _set_repeated_aside(data: pd.DataFrame, table: Table, *, sifter: Sifter) -> None:
    """Set aside a repeat of an earlier row, and all rows of one key that differ."""
    free = data[sifter.is_free]
    key = list(table.key)
    said = [name for name in data if name not in ("row_id", "source", "source_page", "note")]
    repeated = free.duplicated(said)
    sifter.add(repeated, "DUPLICATE_ROW")
    rest = free[~repeated]
    sifter.add(rest.duplicated(key, keep=False), "KEY_CONFLICT", column=table.columns[key[0]].label)


def _ledger(
    tables: Mapping[str, pd.DataFrame], quarantine: pd.DataFrame, *, files: list[tuple[str, str]]
) -> pd.DataFrame:
    """Return how many rows of each file were used, and how many set aside for which reason."""
    rows = []
    for table, file in files:
        n_used = int((tables[table]["file"] == file).sum())
        rows.append((table, file, USED, "", n_used))
        aside = quarantine[(quarantine["table"] == table) & (quarantine["file"] == file)]
        rows += [(table, file, ASIDE, r, int(n)) for r, n in aside["reason"].value_counts().items()]
    return pd.DataFrame(rows, columns=["table", "file", "outcome", "reason", "n_rows"])
