"""What stands in the delivered file: every record as text, none lost, nothing guessed.

A reader turns a CSV, an Excel sheet, an SPSS or a Stata file into the same `RawResponses`: text
columns named as the codebook names them, the records that cannot be laid under those columns, and
the facts of the file. No value is converted here: `001` stays `001`, `NA` stays `NA`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tsunagari.errors import InputError, show_rows
from tsunagari.intake.delimited import BAD_LINE_LIMIT, read_csv
from tsunagari.intake.formats import Sheet, read_labelled, read_workbook
from tsunagari.intake.received import (
    TEXT_TYPES,
    RawResponses,
    finish_table,
    known_names,
    match_columns,
    start_facts,
    tidy_name,
)
from tsunagari.study.survey import ALIKE, Study

# One allocator for arrow and numpy, so that what one frees serves the other. Arrow's own takes and
# keeps pages of 2 MB, which is much beside a file of 3 MB.
pa.set_memory_pool(pa.system_memory_pool())

csv.field_size_limit(1 << 30)  # an unclosed quote swallows far more than the 131,072 allowed


def read_responses(study: Study) -> RawResponses:
    """Read the answer file of a wave, whatever its format.

    Args:
        study: The wave; its study file says format, encodings, sheet and what to do with columns
            the codebook does not know.

    Returns:
        Every record as text.

    Raises:
        InputError: The file is missing, empty, in disguise, in a wrong encoding, of a broken shape,
            or its columns are not those of the codebook.
    """
    path = study.responses_path
    if path.stat().st_size == 0:
        raise InputError("RESPONSES_EMPTY.read_responses")
    kind = study.config.file.format
    if kind == "csv":
        return read_csv(path, study)
    if kind == "xlsx":
        return _from_sheet(path, read_workbook(path, sheet=study.wave.sheet), study=study)
    encodings = [name for name in study.config.file.encodings if name != "utf-8-sig"]
    return _from_sheet(path, read_labelled(path, kind=kind, encodings=encodings), study=study)


# --- Excel, SPSS and Stata ----------------------------------------------------------------------


def _from_sheet(path: Path, sheet: Sheet, *, study: Study) -> RawResponses:
    """Lay the text cells of a sheet under the codebook's names."""
    facts = start_facts(path.read_bytes(), study=study) | sheet.facts
    if not sheet.rows:
        raise InputError("RESPONSES_EMPTY")
    if not known_names(study) & {tidy_name(name) for name in sheet.header}:
        raise InputError("HEADER_UNKNOWN.from_sheet")
    columns = match_columns(sheet.header, facts=facts, study=study)
    _refuse_number_ids(sheet, columns, study=study)
    width = len(sheet.header)
    too_wide = np.array([any(text.strip() for text in row[width:]) for row in sheet.rows])
    numbers = np.arange(2, len(sheet.rows) + 2)
    # No more rows may have values outside the named columns than a CSV may have.
    if too_wide.sum() > max(1, BAD_LINE_LIMIT * len(sheet.rows)):
        rows = show_rows(numbers[too_wide])
        raise InputError("SHEET_SHAPE", n=too_wide.sum(), rows=rows)
    good = [row for row, wide in zip(sheet.rows, too_wide, strict=True) if not wide]
    facts.update(rows=len(sheet.rows), columns=width)
    kinds = study.codebook.columns["type"]
    series = {}
    for place, name in columns.items():
        texts = pd.Series([row[place] for row in good], dtype="str")
        is_text = kinds.get(name, "SA") in TEXT_TYPES
        series[name] = texts.array if is_text else texts.astype("category").array
    table = pd.DataFrame(series, index=pd.Index(numbers[~too_wide], name="file_row"))
    rejected = pd.DataFrame({"file_row": numbers[too_wide], "reason_code": "TOO_MANY_FIELDS"})
    rejected["reason_code"] = rejected["reason_code"].astype("str")
    _note_labels(sheet, facts=facts, study=study)
    table = finish_table(table, facts=facts, study=study)

    def lines(rows: Sequence[int]) -> list[str]:
        return ["\t".join(sheet.rows[row - 2]) for row in rows]

    day_zero = None
    if facts["format"] == "xlsx":
        day_zero = date(1904, 1, 1) if facts["is_1904"] else date(1899, 12, 30)
    return RawResponses(table, rejected, facts, lines=lines, day_zero=day_zero)


def _refuse_number_ids(sheet: Sheet, columns: dict[int, str], *, study: Study) -> None:
    """Refuse ids that are numbers: 001 has become 1, a long one has lost digits."""
    wanted = study.config.columns.respondent_id
    header = next((sheet.header[place] for place, n in columns.items() if n == wanted), None)
    rows = sheet.numeric.get(header or "", [])
    if rows:
        raise InputError("ID_NUMBER", wanted=wanted, n=len(rows), rows=show_rows(rows[:5]))


def _note_labels(sheet: Sheet, *, facts: dict[str, Any], study: Study) -> None:
    """Note codes that the file labels and the codebook lacks, and labels that differ."""
    codes = study.codebook.codes
    for variable, labels in sheet.labels.items():
        mine = codes[codes["variable"] == variable].set_index("code")["code_label"]
        if study.codebook.columns["type"].get(variable) != "SA":
            continue
        extra = [code for code in labels if code not in mine.index]
        differ = [
            c for c in labels if c in mine and _plain_label(labels[c]) != _plain_label(mine[c])
        ]
        if extra:
            facts["notes"].append(f"{variable}: コード {', '.join(extra)} はコードブックにない。")
        if differ:
            facts["notes"].append(f"{variable}: コード {', '.join(differ)} のラベルがちがう。")


def _plain_label(label: str) -> str:
    return tidy_name(label).translate(ALIKE)
