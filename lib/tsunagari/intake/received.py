"""What must every delivered table pass, whatever its format: header, rows, characters."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
from openpyxl.utils import get_column_letter

from tsunagari.errors import ROWS_SHOWN, InputError, show_rows
from tsunagari.study.survey import Study

TEXT_TYPES = ("ID", "OA")  # nearly every value differs: kept as text, the rest as categories
_INVISIBLE = dict.fromkeys([0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x00AD])
_PRIVATE_USE = re.compile("[\ue000-\uf8ff]")
# Kana and Japanese stops in UTF-8 begin with E3 80 to E3 83, which cp932 shows as one of these.
_MOJIBAKE = re.compile("[縺繧繝縲]")
TRAILER_ROWS = 20  # totals and remarks stand among the last rows
TRAILER = re.compile(  # of a text in NFKC
    r"[\[(]?\s*(合\s*計|総\s*計|小\s*計|計|平\s*均|回答者数|有効回答|以\s*上|注|備考|[※*]|出典|出所|資料"
    r"|n\s*=|(grand )?total|mean|average|note|source|eof)",
    re.I,
)


@dataclass(frozen=True)
class RawResponses:
    """The records of one answer file as text.

    Attributes:
        table: One row a record that fits the header, one column a variable of the codebook;
            categories or text, blank is "". Index `file_row`: the row a spreadsheet would show,
            header 1; a quoted line break does not start a row.
        rejected: Records that do not fit: file_row, reason_code.
        facts: encoding, delimiter, sha256, bytes, rows, columns, unknown_columns, notes ...
        lines: Gives the raw text of file rows, for the quarantine.
        day_zero: The day that Excel's number 0 stands for; None where a number is no date.
    """

    table: pd.DataFrame
    rejected: pd.DataFrame
    facts: dict[str, Any]
    lines: Callable[[Sequence[int]], list[str]] = field(repr=False)
    day_zero: date | None = None


def start_facts(data: bytes | memoryview, *, study: Study) -> dict[str, Any]:
    """Return the facts every format has: hash, size, and an empty list of notes."""
    return {
        "format": study.config.file.format,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "notes": [],
    }


def tidy_name(name: str) -> str:
    r"""Return a column name in NFKC, without line breaks, invisible characters and outer spaces.

    Example:
        >>> tidy_name(" Ｑ１\n ")
        'Q1'
    """
    plain = unicodedata.normalize("NFKC", name).translate(_INVISIBLE)
    return re.sub(r"[\r\n]+", "", plain).strip()


def known_names(study: Study) -> set[str]:
    """Return the column names a file may use: variables, items in one cell, and mentions."""
    columns, mentions = study.codebook.columns, study.config.multi_answer.mentions
    items = columns.loc[columns["type"] == "MA", "item"]
    return {*columns.index, *items, *(name for names in mentions.values() for name in names)}


def match_columns(header: Sequence[str], *, facts: dict[str, Any], study: Study) -> dict[int, str]:
    """Return which position of the header holds which variable.

    Args:
        header: Names as delivered.
        facts: Gains unknown_columns, header_repairs, order_differs.
        study: Its codebook says what must be there.

    Returns:
        Variable by position, unknown columns left out.

    Raises:
        InputError: A name stands twice, a variable is lacking, or a column is unknown and the
            study file does not say `unknown_columns: ignore`.
    """
    known = known_names(study)
    names = [name if name in known else tidy_name(name) for name in header]
    found = {place: name for place, name in enumerate(names) if name in known}
    repeated = sorted({name for name in found.values() if list(found.values()).count(name) > 1})
    if repeated:
        raise _columns_error("COLUMN_REPEATED", repeated)
    columns = study.codebook.columns
    mentions = study.config.multi_answer.mentions
    elsewhere = {*(set(found.values()) - set(columns.index)), *mentions}
    absent = columns[~columns.index.isin(list(found.values())) & ~columns["item"].isin(elsewhere)]
    lacking = absent.index[absent["type"] != "OA"].tolist()
    wanted = (name for names in mentions.values() for name in names)
    lacking += [name for name in wanted if name not in found.values()]
    # Told by their letters in Excel: what stands there may be a person's answers, not names.
    unknown = [get_column_letter(i + 1) for i, n in enumerate(names) if n and i not in found]
    if lacking:
        raise _columns_error("COLUMN_MISSING", lacking)
    if unknown and study.config.file.unknown_columns == "error":
        if len(header) + 1 >= 2 * len(found):
            raise InputError("HEADER_JOINED")
        raise _columns_error("COLUMN_UNKNOWN", unknown)
    facts["unknown_columns"] = unknown
    facts["absent_columns"] = absent.index.tolist()
    facts["header_repairs"] = [n for place, n in found.items() if header[place] != n]
    given = list(found.values())
    facts["order_differs"] = given != sorted(given, key=[*columns.index, *given].index)
    if unknown:
        facts["notes"].append(f"コードブックにない {len(unknown)} 列は使いません。")
    if facts["absent_columns"]:
        facts["notes"].append(f"自由回答の列がありません: {', '.join(absent.index)}。")
    return found


def _columns_error(code: str, names: list[str]) -> InputError:
    listed = ", ".join(names[:ROWS_SHOWN]) + (" …" if len(names) > ROWS_SHOWN else "")
    return InputError(code, n=len(names), names=listed)


# --- what every format must pass ----------------------------------------------------------------


def finish_table(table: pd.DataFrame, *, facts: dict[str, Any], study: Study) -> pd.DataFrame:
    """Add absent free-text columns; refuse garbled text and a wrong number of rows.

    Raises:
        InputError: No record fits the header, garbled text, or not as many rows as the study file
            expects.
    """
    if table.empty:
        raise InputError("RESPONSES_EMPTY")
    refuse_garbled(table, facts=facts)
    expected = study.wave.expected_rows
    if expected is not None and expected != facts["rows"]:
        raise InputError("ROW_COUNT", rows=facts["rows"], expected=expected)
    blank = pd.Series("", index=table.index, dtype="str")
    return table.assign(**dict.fromkeys(facts["absent_columns"], blank))


def refuse_garbled(table: pd.DataFrame, *, facts: dict[str, Any]) -> None:
    """Refuse text that was read in the wrong encoding, by whomever.

    Raises:
        InputError: Private-use characters out of cp932 (a Shift_JIS-2004 file), or UTF-8 read as
            cp932 somewhere on the way.
    """
    damaged = 0
    plain: set[int] = set()  # category types, which columns share, without a foreign character
    for _, column in table.items():
        if id(column.dtype) in plain:
            continue
        is_category = isinstance(column.dtype, pd.CategoricalDtype)
        values = pa.array(column.array.categories if is_category else column.array)
        foreign = values.filter(pa.compute.invert(pa.compute.string_is_ascii(values)))
        foreign = foreign.unique().to_pylist()
        if not foreign:
            plain |= {id(column.dtype)} if is_category else set()
            continue
        text = "\n".join(foreign)
        damaged += text.count("\ufffd")
        if facts.get("encoding") == "cp932" and _PRIVATE_USE.search(text):
            bad = [value for value in foreign if _PRIVATE_USE.search(value)]
            raise _garbled("ENCODING_PRIVATE_USE", column, bad)
        bad = [value for value in foreign if _looks_garbled(value)]
        if len(bad) > max(0.01 * len(foreign), 0):
            raise _garbled("ENCODING_MOJIBAKE", column, bad)
    facts["replacement_characters"] = damaged
    if damaged:
        facts["notes"].append(
            f"読めない文字（U+FFFD）が {damaged} か所あります。引用に使いません。"
        )


def _looks_garbled(text: str) -> bool:
    """Whether the text is UTF-8 that was read as cp932: written back, it decodes as UTF-8.

    Example:
        >>> _looks_garbled("孤独".encode().decode("cp932"))
        True
        >>> _looks_garbled("孤独")
        False
    """
    if len(_MOJIBAKE.findall(text)) >= 2:
        return True
    try:
        return max(text.encode("cp932").decode("utf-8")) >= "\u3000"
    except UnicodeError:
        return False


def _garbled(code: str, column: pd.Series, bad: list[str]) -> InputError:
    rows = column.index[column.isin(bad)]
    return InputError(code, name=column.name, n=len(rows), rows=show_rows(rows))
