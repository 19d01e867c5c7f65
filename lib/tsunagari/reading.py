"""What stands in the delivered file: every record as text, none lost, nothing guessed.

A reader turns a CSV, an Excel sheet, an SPSS or a Stata file into the same `RawResponses`: text
columns named as the codebook names them, the records that cannot be laid under those columns, and
the facts of the file. No value is converted here: `001` stays `001`, `NA` stays `NA`.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import mmap
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
from openpyxl.utils import get_column_letter

from tsunagari.formats import (
    ROWS_SHOWN,
    Sheet,
    read_labelled,
    read_workbook,
    refuse_disguise,
    show_rows,
)
from tsunagari.study import ALIKE, InputError, Study

# One allocator for arrow and numpy, so that what one frees serves the other. Arrow's own takes and
# keeps pages of 2 MB, which is much beside a file of 3 MB.
pa.set_memory_pool(pa.system_memory_pool())

csv.field_size_limit(1 << 30)  # an unclosed quote swallows far more than the 131,072 allowed

DELIMITERS = {",": "コンマ (comma)", "\t": "タブ (tab)", ";": "セミコロン (semicolon)", "|": "|"}
BAD_LINE_LIMIT = 0.01  # share of records with a wrong number of fields; disclosure standard CSV-04
_BLOCK_BYTES = 1 << 18
_TEXT_TYPES = ("ID", "OA")  # nearly every value differs: kept as text, the rest as categories
_INVISIBLE = dict.fromkeys([0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x00AD])
_BARE_CR = re.compile(b"\r(?!\n)")
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
        raise InputError(
            "RESPONSES_EMPTY",
            "responses が空（0 バイト）です。受け取り直してください。",
            "responses is empty (0 bytes): fetch it again.",
        )
    kind = study.config.file.format
    if kind == "csv":
        return read_csv(path, study)
    if kind == "xlsx":
        return _from_sheet(path, read_workbook(path, sheet=study.wave.sheet), study=study)
    encodings = [name for name in study.config.file.encodings if name != "utf-8-sig"]
    return _from_sheet(path, read_labelled(path, kind=kind, encodings=encodings), study=study)


# --- CSV ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Parsed:
    """Records laid under the header: columns, their file rows, and (row, n_fields) of the rest."""

    columns: dict[str, Any]
    rows: np.ndarray
    bad: list[tuple[int, int]]

    @property
    def n_rows(self) -> int:
        return len(self.rows) + len(self.bad)


@dataclass(frozen=True)
class _Shape:
    """How a delimited text is laid out: cells of the header, the last with a name, and variables.

    Excel leaves empty columns at the right, in some rows only: cells there are none.
    """

    delimiter: str
    width: int
    columns: dict[int, str]
    texts: frozenset[str]
    named: int

    def fits(self, fields: Sequence[str]) -> bool:
        """Whether the cells of a record are those of the header, and no more is filled."""
        return len(fields) >= self.named and not any(map(str.strip, fields[self.named :]))


def read_csv(path: Path, study: Study) -> RawResponses:
    """Read a delimited text file; `read_responses` says what comes back and what is refused."""
    data = _load(path)
    facts = start_facts(data, study=study)
    refuse_disguise(bytes(data[:4096]), wanted="csv")
    text, facts["encoding"] = decode(data, encodings=study.config.file.encodings)
    del data
    note_marks(text, facts=facts)
    unmarked = _unmarked(text)
    text = _plain(unmarked)
    if text is not unmarked:
        facts["notes"].append("行末の CR を改行として読みました。")
    header, offset, facts["delimiter"] = _split_header(text, study=study)
    columns = match_columns(header, facts=facts, study=study)
    body = text[offset:]
    records = _Records(body, facts["delimiter"])
    if records.count == 0:
        raise no_rows()
    kinds = study.codebook.columns["type"].to_dict()
    texts = frozenset(name for name in columns.values() if kinds.get(name, "SA") in _TEXT_TYPES)
    as_delivered = text is unmarked and facts["encoding"].startswith("utf-8")
    n_marks = facts["bytes"] - len(text) if as_delivered else 0
    lines = _LineReader(path, facts, offset + n_marks, records.ends, as_delivered)
    if records.has_quoted_crlf:  # pyarrow loses half of one where its blocks meet
        body = memoryview(bytes(body).replace(b"\r\n", b"\n"))
        records = _Records(body, facts["delimiter"])
    named = max(place for place, name in enumerate(header, start=1) if name.strip())
    shape = _Shape(facts["delimiter"], len(header), columns, texts, named)
    parsed = _parse(body, shape, records=records)
    facts.update(rows=parsed.n_rows, columns=len(header))
    rejected = _judge_rejected(parsed, shape, records=records)
    rows = pd.Index(parsed.rows, name="file_row")
    table = pd.DataFrame(parsed.columns, index=rows, copy=False)
    table = finish_table(table, facts=facts, study=study)
    pa.default_memory_pool().release_unused()  # what parsing block by block needed
    return RawResponses(table, rejected, facts, lines=lines)


def _load(path: Path) -> memoryview:
    """Return a file's bytes in memory of their own, which goes back to the system when done.

    A large piece of ordinary memory, once freed, makes the C library keep more of what comes after.
    """
    size = path.stat().st_size
    room = mmap.mmap(-1, size)
    with path.open("rb") as file:
        file.readinto(room)
    return memoryview(room)


def start_facts(data: bytes | memoryview, *, study: Study) -> dict[str, Any]:
    """Return the facts every format has: hash, size, and an empty list of notes."""
    return {
        "format": study.config.file.format,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "notes": [],
    }


def no_rows() -> InputError:
    """Return the error for a file with a header and no record that fits it."""
    return InputError(
        "RESPONSES_EMPTY",
        "responses に回答が 1 行もありません（列名に合う行が 0 行）。受け取り直してください。",
        "responses holds 0 rows that fit its header: fetch it again.",
    )


def decode(data: memoryview, *, encodings: Sequence[str]) -> tuple[memoryview, str]:
    """Return the file as UTF-8 without its mark, and the encoding it was in.

    Args:
        data: The file.
        encodings: Tried strictly, in this order; "utf-8-sig" only where the mark stands.

    Returns:
        UTF-8 bytes and the encoding's name.

    Raises:
        InputError: UTF-16, or no encoding fits every byte; the message names the line.
    """
    start = bytes(data[:4000])
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or (
        len(start) > 20 and max(start[::2].count(0), start[1::2].count(0)) > len(start) // 5
    ):
        raise InputError(
            "ENCODING_UTF16",
            "responses は UTF-16（Excel の「Unicode テキスト」、タブ区切り）です。"
            "「CSV UTF-8」で保存し直してください。",
            "responses is UTF-16 (Excel's tab-separated Unicode text): save as CSV UTF-8.",
        )
    marked = start.startswith(codecs.BOM_UTF8)
    failures: dict[str, int] = {}
    for encoding in encodings:
        if encoding == "utf-8-sig" and not marked:
            continue
        body = data[3:] if marked and encoding.startswith("utf-8") else data
        position = _first_bad_byte(body, "utf-8" if encoding == "utf-8-sig" else encoding)
        if position is None:
            return _to_utf8(body, encoding), encoding
        failures[encoding] = position + len(data) - len(body)
        if marked:
            break
    raise _undecodable(bytes(data), failures)


def _first_bad_byte(data: memoryview, encoding: str) -> int | None:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for start in range(0, len(data), _BLOCK_BYTES):
            decoder.decode(data[start : start + _BLOCK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        try:
            bytes(data).decode(encoding)
        except UnicodeDecodeError as error:
            return error.start
    return None


def _to_utf8(data: memoryview, encoding: str) -> memoryview:
    if encoding.startswith("utf-8"):
        return data
    decoder = codecs.getincrementaldecoder(encoding)()
    parts = [
        decoder.decode(data[start : start + _BLOCK_BYTES]).encode()
        for start in range(0, len(data), _BLOCK_BYTES)
    ]
    return memoryview(b"".join([*parts, decoder.decode(b"", final=True).encode()]))


def _undecodable(data: bytes, failures: dict[str, int]) -> InputError:
    first, position = next(iter(failures.items()), ("?", 0))
    line = data.count(b"\n", 0, position) + 1
    utf8_lines, other_lines = [], []
    for number, raw in enumerate(data.split(b"\n"), start=1):
        if raw.isascii():
            continue
        try:
            raw.decode("utf-8")
            utf8_lines.append(number)
        except UnicodeDecodeError:
            other_lines.append(number)
    tried = ", ".join(failures)
    if utf8_lines and len(other_lines) > 1 and "cp932" in failures:
        return InputError(
            "ENCODING_MIXED",
            f"responses には UTF-8 の行と別の文字コードの行が混ざっています"
            f"（別の行: {show_rows(other_lines)}）。一つの文字コードで保存し直してください。",
            f"responses mixes UTF-8 lines with lines in another encoding (those: "
            f"{show_rows(other_lines)}): save it in one encoding.",
        )
    return InputError(
        "ENCODING",
        f"responses を文字コード {tried} で読めません（{first} では {line} 行目、"
        f"{position} バイト目）。UTF-8 で保存し直してください。",
        f"responses cannot be read as {tried} (as {first}: line {line}, byte {position}): "
        "save it as UTF-8.",
    )


def note_marks(text: memoryview, *, facts: dict[str, Any]) -> None:
    """Note byte-order marks before the header; refuse one at the start of a later line.

    Raises:
        InputError: A mark starts a later line: two files were joined.
    """
    if bytes(text[:3]) == codecs.BOM_UTF8:
        facts["notes"].append("先頭の余分な BOM を取りのぞきました。")
    found = re.search(b"\n" + codecs.BOM_UTF8, text) or re.search(b"\r" + codecs.BOM_UTF8, text)
    if found:
        line = len(bytes(text[: found.start()]).splitlines()) + 1
        raise InputError(
            "BOM_INSIDE",
            f"responses の {line} 行目に BOM があります。二つのファイルがつながっています。",
            f"responses has a byte-order mark at line {line}: two files were joined there.",
        )


def _unmarked(text: memoryview) -> memoryview:
    """Return the text without leading marks."""
    while bytes(text[:3]) == codecs.BOM_UTF8:
        text = text[3:]
    return text


def _plain(text: memoryview) -> memoryview:
    """Return the text itself, or with every line break a line feed if it holds a bare CR.

    The csv module ends a line at a bare CR. CR CR LF and LF CR, which editors leave behind, are one
    break.
    """
    if _BARE_CR.search(text):
        return memoryview(re.sub(b"\r\r?\n|\n\r(?!\n)|\r", b"\n", text))
    return text


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


def _split_header(text: memoryview, *, study: Study) -> tuple[list[str], int, str]:
    """Return the header's names, where the records start, and the delimiter that fits best."""
    end, n_quotes = len(text), 0
    for mark in re.finditer(b'["\n]', text):
        n_quotes += mark[0] == b'"'
        if mark[0] == b"\n" and n_quotes % 2 == 0:
            end = mark.start()
            break
    line = bytes(text[:end]).decode().rstrip("\r")
    known = known_names(study)
    found = {}
    for delimiter in DELIMITERS:
        names = next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])
        found[delimiter] = (sum(tidy_name(name) in known for name in names), names)
    delimiter = max(found, key=lambda mark: found[mark][0])
    n_known, names = found[delimiter]
    inner = [row for name in names for row in name.split("\n")[1:]]
    if any(row.count(delimiter) >= max(n_known - 1, 2) for row in inner):
        raise _header_joined()  # a quote within the names swallows the first records
    if n_known == 0:
        likely = max(DELIMITERS, key=line.count)
        raise InputError(
            "HEADER_UNKNOWN",
            f"responses の 1 行目に、コードブックの変数名が一つもありません"
            f"（区切りは {DELIMITERS[likely]} らしい）。1 行目を変数名にしてください。",
            f"Line 1 of responses holds no variable of the codebook (its separator looks like "
            f"{DELIMITERS[likely]}): make line 1 the variable names.",
        )
    return names, min(end + 1, len(text)), delimiter


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
            raise _header_joined()
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


def _header_joined() -> InputError:
    return InputError(
        "HEADER_JOINED",
        "responses の 1 行目に列名のほかに回答も入っているようです。列名の行の後の改行と引用符を"
        "確かめて保存し直してください。",
        "Line 1 of responses seems to hold answers besides the names: check the line break and "
        "the quotes after the header.",
    )


def _columns_error(code: str, names: list[str]) -> InputError:
    listed = ", ".join(names[:ROWS_SHOWN]) + (" …" if len(names) > ROWS_SHOWN else "")
    ja, en = {
        "COLUMN_REPEATED": ("同じ名前の列があります", "has columns of the same name"),
        "COLUMN_MISSING": ("コードブックの変数の列がありません", "lacks columns of the codebook"),
        "COLUMN_UNKNOWN": (
            "コードブックにない列があります",
            "has columns the codebook does not know",
        ),
    }[code]
    return InputError(
        code,
        f"responses に{ja}（{len(names)} 列）: {listed}。列名かコードブックを直してください。",
        f"responses {en} ({len(names)}): {listed}. Mend the column names or the codebook.",
    )


def _positions(body: memoryview, byte: int) -> np.ndarray:
    """Return where a byte stands, block by block to keep memory small."""
    array = np.frombuffer(body, dtype=np.uint8)
    parts = [
        np.flatnonzero(array[start : start + _BLOCK_BYTES] == byte) + start
        for start in range(0, len(array), _BLOCK_BYTES)
    ]
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


class _Records:
    """Where records start and end, found from quotes and line breaks before any parsing.

    `is_regular`: every quote opens a field, closes one or is doubled, so that a line break within
    quotes is told by counting quotes. Otherwise the csv module reads the text mark by mark.
    """

    def __init__(self, body: memoryview, delimiter: str) -> None:
        self.body, self.delimiter = body, delimiter
        breaks = _positions(body, ord("\n"))
        quotes = _positions(body, ord('"'))
        self.is_regular = self._regular(quotes)
        inside = np.searchsorted(quotes, breaks) % 2 == 1
        self.inner_breaks = breaks[inside] if self.is_regular else breaks[:0]
        self.ends = breaks[~inside] if self.is_regular else self._ends_by_reading(breaks)
        self.ends_clean = len(body) == 0 or bytes(body[-1:]) == b"\n"
        if len(self.ends) == 0 or self.ends[-1] < len(body) - 1:
            self.ends = np.append(self.ends, len(body))
        self.count = len(self.ends) if len(body) else 0

    @property
    def has_quoted_crlf(self) -> bool:
        """Whether a line break within quotes is CR LF."""
        before = np.frombuffer(self.body, dtype=np.uint8)[self.inner_breaks - 1]
        return bool((before == ord("\r")).any())

    def _regular(self, quotes: np.ndarray) -> bool:
        if len(quotes) == 0:
            return True
        if len(quotes) % 2:
            return False
        array = np.frombuffer(self.body, dtype=np.uint8)
        before = array[np.maximum(quotes[0::2] - 1, 0)]
        before[quotes[0::2] == 0] = ord("\n")
        after = array[np.minimum(quotes[1::2] + 1, len(array) - 1)]
        after[quotes[1::2] == len(array) - 1] = ord("\n")
        borders = [ord(mark) for mark in (self.delimiter, "\n", '"')]
        return bool(np.isin(before, borders).all() and np.isin(after, [*borders, 13]).all())

    def _ends_by_reading(self, breaks: np.ndarray) -> np.ndarray:
        reader = csv.reader(self.text_lines(), delimiter=self.delimiter)
        last_lines = np.array([reader.line_num for _ in reader], dtype=np.int64)
        return breaks[last_lines[last_lines <= len(breaks)] - 1]

    def text_lines(self) -> io.StringIO:
        """Return the body as text, line breaks untouched."""
        return io.StringIO(bytes(self.body).decode(), newline="")

    def line(self, number: int) -> str:
        """Return the text of the record with this number, the first is 0."""
        start = 0 if number == 0 else int(self.ends[number - 1]) + 1
        return bytes(self.body[start : int(self.ends[number])]).decode().rstrip("\r")


def _parse(body: memoryview, shape: _Shape, *, records: _Records) -> _Parsed:
    """Lay records under the header, by pyarrow where it can be trusted to agree with the count."""
    _refuse_swallowed(records, shape)
    if records.is_regular:
        try:
            parsed = _parse_fast(body, shape, records=records)
        except (pa.ArrowInvalid, ValueError):  # more records than counted, or one too long
            parsed = None
        if parsed is not None and parsed.n_rows == records.count:
            unnamed = [parsed.columns.pop(str(at)) for at in range(shape.named, shape.width)]
            is_empty = not any("".join(column.categories).strip() for column in unnamed)
            texts = (records.line(row - 2) for row, n in parsed.bad if n >= shape.named)
            readings = csv.reader(texts, delimiter=shape.delimiter)
            if is_empty and not any(shape.fits(fields) for fields in readings):
                return parsed
    return _parse_slow(records, shape)


def _parse_fast(body: memoryview, shape: _Shape, *, records: _Records) -> _Parsed:
    """Read columns under their names, those without one under their places."""
    unnamed = {at: str(at) for at in range(shape.named, shape.width)}
    shape = replace(shape, columns={**shape.columns, **unnamed})
    marks = _read_marks(body, shape, ends=records.ends)
    # Codes of one character are read faster by byte; pyarrow reads the rest, one column at least.
    rest = {p: n for p, n in shape.columns.items() if p not in marks} or dict(
        [*shape.columns.items()][:1]
    )
    bad: list[tuple[int, int]] = []

    def set_aside(row: pyarrow.csv.InvalidRow) -> str:
        bad.append((row.number + 1, row.actual_columns))
        return "skip"

    parse = pa.csv.ParseOptions(
        delimiter=shape.delimiter,
        newlines_in_values=True,
        ignore_empty_lines=False,
        invalid_row_handler=set_aside,
    )
    builders = [_Texts() if n in shape.texts else _Categories(records.count) for n in rest.values()]
    n_good = 0
    for batch in _open_blocks(body, replace(shape, columns=rest), parse=parse):
        n_good += batch.num_rows
        for builder, column in zip(builders, batch.columns, strict=True):
            builder.add(column)
    shared: dict[tuple[str, ...], pd.CategoricalDtype] = {}
    found = {place: b.finish(shared) for place, b in zip(rest, builders, strict=True)}
    found |= {place: _categories_of(each, shared=shared) for place, each in marks.items()}
    if any(len(column) != n_good for column in found.values()):
        raise ValueError("two readings of one text found other records")
    columns = {name: found[place] for place, name in shape.columns.items()}
    rows = np.delete(np.arange(2, n_good + len(bad) + 2), [row - 2 for row, _ in bad])
    return _Parsed(columns, rows, bad)


def _read_marks(body: memoryview, shape: _Shape, *, ends: np.ndarray) -> dict[int, np.ndarray]:
    """Return the columns whose cells hold one byte or none, by place: most of a survey are codes.

    Args:
        body: A text whose quotes stand at borders of cells only.
        shape: How it is laid out.
        ends: Where its records end.

    Returns:
        The byte of every cell, 0 where it is empty, over the records that fit the header.
    """
    text = np.frombuffer(body, dtype=np.uint8)
    starts = np.concatenate([[0], ends[:-1] + 1])
    places = [place for place, name in shape.columns.items() if name not in shape.texts]
    marks = {place: np.empty(len(ends), dtype=np.uint8) for place in places}
    # A piece needs some ten times its bytes.
    step = max(1, _BLOCK_BYTES // 2 * len(ends) // max(len(body), 1))
    n_good = 0
    for first in range(0, len(ends), step):
        last = min(first + step, len(ends))
        piece = text[starts[first] : ends[last - 1]]
        begin, stop = (edge[first:last] - starts[first] for edge in (starts, ends))
        cells, is_longer = _one_byte_cells(piece, shape, begin=begin, stop=stop)
        marks = {place: column for place, column in marks.items() if not is_longer[place]}
        for place, column in marks.items():
            column[n_good : n_good + len(cells)] = cells[:, place]
        n_good += len(cells)
    return {place: column[:n_good] for place, column in marks.items()}


def _one_byte_cells(
    piece: np.ndarray, shape: _Shape, *, begin: np.ndarray, stop: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first byte of every cell of some records, quotes around it left away.

    Args:
        piece: Bytes of the records.
        shape: How they are laid out.
        begin: Where each record begins, shape (n,).
        stop: Where each ends, shape (n,).

    Returns:
        The bytes, 0 for an empty cell, shape (n of the header's width, width); and whether a column
        holds a longer cell, or a byte that is 0 itself, shape (width,).
    """
    borders = np.flatnonzero(piece == ord(shape.delimiter)).astype(np.int32)
    quotes = np.flatnonzero(piece == ord('"'))
    if len(quotes):
        within = np.zeros(len(borders) + 1, dtype=np.int32)
        np.add.at(within, np.searchsorted(borders, quotes[0::2]), 1)
        np.add.at(within, np.searchsorted(borders, quotes[1::2]), -1)
        borders = borders[np.cumsum(within[:-1]) == 0]
    n_borders = np.diff(np.searchsorted(borders, stop), prepend=0)
    fits = n_borders == shape.width - 1
    borders = borders[np.repeat(fits, n_borders)].reshape(fits.sum(), shape.width - 1)
    right = np.column_stack([borders, stop[fits].astype(np.int32)])
    left = np.column_stack([begin[fits].astype(np.int32), borders + 1])
    padded = np.append(piece, np.uint8(0))
    right[:, -1] -= (padded[right[:, -1] - 1] == ord("\r")) & (right[:, -1] > left[:, -1])
    size, cells = right - left, padded[left]
    if len(quotes):
        is_quoted = (cells == ord('"')) & (size >= 2)
        size -= 2 * is_quoted
        cells[is_quoted] = padded[left[is_quoted] + 1]
    is_longer = size.max(axis=0, initial=0) > 1
    if not piece.all():
        is_longer |= ((cells == 0) & (size == 1)).any(axis=0)
    cells[size == 0] = 0
    return cells, is_longer


def _categories_of(
    marks: np.ndarray, *, shared: dict[tuple[str, ...], pd.CategoricalDtype]
) -> pd.Categorical:
    """Return a column of one-byte cells as text, its categories in order."""
    present = np.flatnonzero(np.bincount(marks, minlength=256))
    names = tuple(chr(byte) if byte else "" for byte in present)
    ranks = np.zeros(256, dtype=np.int8)
    ranks[present] = np.arange(len(present))
    return _categorical(ranks[marks], names, shared=shared)


def _categorical(
    codes: np.ndarray, names: tuple[str, ...], *, shared: dict[tuple[str, ...], pd.CategoricalDtype]
) -> pd.Categorical:
    """Return codes under names; columns of the same names share one dtype, which is dear."""
    if names not in shared:
        shared[names] = pd.CategoricalDtype(pd.array(list(names), dtype="str"))
    return pd.Categorical.from_codes(codes, dtype=shared[names], validate=False)


def _open_blocks(
    body: memoryview, shape: _Shape, *, parse: pyarrow.csv.ParseOptions
) -> pyarrow.csv.CSVStreamingReader:
    """Open a text for reading block by block, every cell as text."""
    category = pa.dictionary(pa.int32(), pa.string())
    types = {
        str(place): pa.large_string() if name in shape.texts else category
        for place, name in shape.columns.items()
    }
    return pa.csv.open_csv(
        pa.py_buffer(body),
        read_options=pa.csv.ReadOptions(
            column_names=[str(place) for place in range(shape.width)],
            # Parsed and converted, a block needs many times its bytes: few of a small file.
            block_size=min(4 * _BLOCK_BYTES, max(_BLOCK_BYTES // 2, len(body) // 16)),
            use_threads=False,  # else the numbers of rejected records are not told
        ),
        parse_options=parse,
        convert_options=pa.csv.ConvertOptions(
            check_utf8=False,
            column_types=types,
            include_columns=list(types),
            strings_can_be_null=False,
        ),
    )


class _Categories:
    """Gathers dictionary-coded pieces of one column under one dictionary, in the fewest bytes."""

    def __init__(self, n_rows: int) -> None:
        self.known: dict[str, int] = {}
        self.codes = np.empty(n_rows, dtype=np.int8)
        self.end = 0

    def add(self, piece: pa.DictionaryArray) -> None:
        """Add the next records."""
        codes = [self.known.setdefault(v, len(self.known)) for v in piece.dictionary.to_pylist()]
        if self.codes.dtype == np.int8 and len(self.known) > 127:
            self.codes = self.codes.astype(np.int32)
        start, self.end = self.end, self.end + len(piece)
        places = piece.indices.to_numpy(zero_copy_only=False)
        mapping = np.array(codes, dtype=self.codes.dtype)
        np.take(mapping, places, out=self.codes[start : self.end], mode="clip")

    def finish(self, shared: dict[tuple[str, ...], pd.CategoricalDtype]) -> pd.Categorical:
        """Return the whole column."""
        names = tuple(sorted(self.known))
        codes = self.codes[: self.end] if self.end < len(self.codes) else self.codes
        if names != tuple(self.known):
            ranks = {name: rank for rank, name in enumerate(names)}
            order = np.array([ranks[name] for name in self.known], dtype=codes.dtype)
            codes = order[codes]
        return _categorical(codes, names, shared=shared)


class _Texts:
    """Gathers pieces of a text column."""

    def __init__(self) -> None:
        self.parts: list[pa.Array] = []

    def add(self, piece: pa.Array) -> None:
        """Add the next records."""
        self.parts.append(piece)

    def finish(self, shared: Any) -> pd.api.extensions.ExtensionArray:  # noqa: ARG002
        """Return the whole column."""
        # In one piece it is quick, and as pandas holds text it is not copied.
        texts = pa.chunked_array(self.parts, type=pa.large_string()).combine_chunks()
        return pd.arrays.ArrowStringArray(texts, dtype=pd.StringDtype(na_value=np.nan))


def _parse_slow(records: _Records, shape: _Shape) -> _Parsed:
    """Lay records under the header by the csv module, for texts with quotes in odd places."""
    good, rows, bad = [], [], []
    reader = csv.reader(records.text_lines(), delimiter=shape.delimiter)
    try:
        for row, fields in enumerate(reader, start=2):
            if not fields or shape.fits(fields):
                good.append([fields[place] if fields else "" for place in shape.columns])
                rows.append(row)
            else:
                bad.append((row, len(fields)))
    except csv.Error as error:
        raise _unclosed(len(rows) + len(bad) + 2) from error
    columns = {}
    for name, values in zip(shape.columns.values(), zip(*good, strict=True), strict=False):
        series = pd.Series(values, dtype="str")
        columns[name] = series.array if name in shape.texts else series.astype("category").array
    if not good:
        columns = {name: pd.array([], dtype="str") for name in shape.columns.values()}
    return _Parsed(columns, np.array(rows, dtype=np.int64), bad)


def _refuse_swallowed(records: _Records, shape: _Shape) -> None:
    """Refuse a quote that is never closed: the records after it would vanish into one field."""
    if records.is_regular:
        numbers = np.unique(np.searchsorted(records.ends, records.inner_breaks)).tolist()
    else:
        numbers = [i for i in range(records.count) if "\n" in records.line(i)]
        last = records.line(records.count - 1)
        try:
            list(csv.reader(io.StringIO(last, newline=""), delimiter=shape.delimiter, strict=True))
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise _unclosed(records.count + 1) from None
    for number in numbers:
        if _swallows(records.line(number), shape):
            raise _unclosed(number + 2)


def _swallows(record: str, shape: _Shape) -> bool:
    """Whether a record of several lines holds another record.

    Where its quotes are in order and its cells are as many as they should be, another record can
    only stand within one cell: as a whole line, or cut where a quote was left open and one closed.
    """
    mark, full = shape.delimiter, max(shape.width - 1, 2)
    try:
        cells = next(csv.reader(io.StringIO(record, newline=""), delimiter=mark, strict=True))
    except csv.Error:
        cells = []
    if len(cells) != shape.width:
        return any(line.count(mark) >= full for line in record.split("\n")[1:])
    for first, *inner, last in (cell.split("\n") for cell in cells if "\n" in cell):
        if first.count(mark) + last.count(mark) == full or last.count(mark) == full:
            return True
        if any(line.count(mark) >= full for line in inner):
            return True
    return False


def _unclosed(row: int) -> InputError:
    return InputError(
        "QUOTE_UNCLOSED",
        f'responses の {row} 行目の引用符 " が閉じていません。後の行が飲みこまれます。'
        "閉じて保存し直してください。",
        f'A quote " opened in row {row} of responses is never closed and swallows the rows after '
        "it: close it.",
    )


def _judge_rejected(parsed: _Parsed, shape: _Shape, *, records: _Records) -> pd.DataFrame:
    """Name the reason of every record with a wrong number of fields; refuse a broken file."""
    reasons = []
    for row, n_fields in parsed.bad:
        near_end = row - 2 >= records.count - TRAILER_ROWS
        is_few = n_fields < shape.named
        if near_end and TRAILER.match(tidy_name(records.line(row - 2).strip('"'))):
            reasons.append("TRAILER_LINE")
        elif row - 2 == records.count - 1 and not records.ends_clean and is_few:
            reasons.append("TRUNCATED_LINE")
        else:
            reasons.append("TOO_FEW_FIELDS" if is_few else "TOO_MANY_FIELDS")
    rejected = pd.DataFrame({"file_row": [row for row, _ in parsed.bad], "reason_code": reasons})
    rejected["file_row"] = rejected["file_row"].astype("int64")
    wrong = rejected[rejected["reason_code"].isin(["TOO_MANY_FIELDS", "TOO_FEW_FIELDS"])]
    # One broken line never stops a small file: 1 % of 60 rows would be less than one.
    if len(wrong) > max(1, BAD_LINE_LIMIT * parsed.n_rows):
        widths = {n for row, n in parsed.bad if row in set(wrong["file_row"])}
        found = ", ".join(map(str, sorted(widths)[:5]))
        rows = show_rows(wrong["file_row"])
        raise InputError(
            "CSV_SHAPE",
            f"responses: 項目は {shape.named} 個のはずが {found} 個の行が {len(wrong)} 行あります"
            f"（{rows} 行目）。区切りと引用符を直してください。",
            f"responses: expected {shape.named} fields, found {found} in {len(wrong)} rows "
            f"({rows}): mend delimiters and quotes.",
        )
    return rejected


@dataclass(frozen=True)
class _LineReader:
    """Reads raw records again from the file, so that it need not stay in memory."""

    path: Path
    facts: dict[str, Any]
    offset: int
    ends: np.ndarray
    as_delivered: bool  # else the text was read in another encoding or with other line breaks

    def __call__(self, rows: Sequence[int]) -> list[str]:
        if len(rows) == 0:
            return []
        with self.path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != self.facts["sha256"]:
                raise InputError(
                    "INPUT_CHANGED",
                    "responses が読みこみの途中で変わりました。もう一度実行してください。",
                    "responses changed while it was being read: run again.",
                )
            if not self.as_delivered:
                text = _unmarked(_to_utf8(_load(self.path), self.facts["encoding"]))
                file = io.BytesIO(_plain(text))
            return [self._record(file, row - 2) for row in rows]

    def _record(self, file: BinaryIO, number: int) -> str:
        start = 0 if number == 0 else int(self.ends[number - 1]) + 1
        file.seek(self.offset + start)
        return file.read(int(self.ends[number]) - start).decode().rstrip("\r")


# --- Excel, SPSS and Stata ----------------------------------------------------------------------


def _from_sheet(path: Path, sheet: Sheet, *, study: Study) -> RawResponses:
    """Lay the text cells of a sheet under the codebook's names."""
    facts = start_facts(path.read_bytes(), study=study) | sheet.facts
    if not sheet.rows:
        raise no_rows()
    if not known_names(study) & {tidy_name(name) for name in sheet.header}:
        raise InputError(
            "HEADER_UNKNOWN",
            "responses の 1 行目に、コードブックの変数名が一つもありません。1 行目を変数名にして"
            "ください。",
            "Row 1 of responses holds no variable of the codebook: make row 1 the names.",
        )
    columns = match_columns(sheet.header, facts=facts, study=study)
    _refuse_number_ids(sheet, columns, study=study)
    width = len(sheet.header)
    too_wide = np.array([any(text.strip() for text in row[width:]) for row in sheet.rows])
    numbers = np.arange(2, len(sheet.rows) + 2)
    _refuse_wide(numbers[too_wide], n_rows=len(sheet.rows))
    good = [row for row, wide in zip(sheet.rows, too_wide, strict=True) if not wide]
    facts.update(rows=len(sheet.rows), columns=width)
    kinds = study.codebook.columns["type"]
    series = {}
    for place, name in columns.items():
        texts = pd.Series([row[place] for row in good], dtype="str")
        is_text = kinds.get(name, "SA") in _TEXT_TYPES
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


def _refuse_wide(rows: np.ndarray, *, n_rows: int) -> None:
    """Refuse a sheet with values outside the named columns in more rows than a CSV may have."""
    if len(rows) > max(1, BAD_LINE_LIMIT * n_rows):
        raise InputError(
            "SHEET_SHAPE",
            f"responses: 列名のない列に値のある行が {len(rows)} 行あります（{show_rows(rows)} "
            "行目）。その列を消すか、列名を付けてください。",
            f"responses: {len(rows)} rows hold values in columns without a name "
            f"({show_rows(rows)}): delete those columns or name them.",
        )


def _refuse_number_ids(sheet: Sheet, columns: dict[int, str], *, study: Study) -> None:
    """Refuse ids that are numbers: 001 has become 1, a long one has lost digits."""
    wanted = study.config.columns.respondent_id
    header = next((sheet.header[place] for place, n in columns.items() if n == wanted), None)
    rows = sheet.numeric.get(header or "", [])
    if rows:
        raise InputError(
            "ID_NUMBER",
            f"responses の {wanted} が数値です（{len(rows)} 行: {show_rows(rows[:5])} 行目）。"
            "先頭の 0 や 16 桁目からの数字が失われている恐れがあるので、文字列の列で受け取り直して"
            "ください。",
            f"responses: {wanted} holds numbers, not text ({len(rows)} rows: "
            f"{show_rows(rows[:5])}); leading zeros or digits after the 15th may be lost: ask for "
            "a text column.",
        )


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


# --- what every format must pass ----------------------------------------------------------------


def finish_table(table: pd.DataFrame, *, facts: dict[str, Any], study: Study) -> pd.DataFrame:
    """Add absent free-text columns; refuse garbled text and a wrong number of rows.

    Raises:
        InputError: No record fits the header, garbled text, or not as many rows as the study file
            expects.
    """
    if table.empty:
        raise no_rows()
    refuse_garbled(table, facts=facts)
    expected = study.wave.expected_rows
    if expected is not None and expected != facts["rows"]:
        raise InputError(
            "ROW_COUNT",
            f"responses は {facts['rows']} 行で、study.yaml の expected_rows {expected} と"
            "ちがいます。送信の途中で切れていないか確かめてください。",
            f"responses has {facts['rows']} rows where study.yaml expects {expected}: see "
            "whether the file was cut.",
        )
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
    ja, en = {
        "ENCODING_PRIVATE_USE": (
            "外字（私用領域の文字）があります。Shift_JIS-2004 のファイルを cp932 として読んだ疑い",
            "holds private-use characters, as when a Shift_JIS-2004 file is read as cp932",
        ),
        "ENCODING_MOJIBAKE": (
            "文字化け（UTF-8 を cp932 として読んだ形）があります",
            "holds UTF-8 text that was read as cp932",
        ),
    }[code]
    return InputError(
        code,
        f"responses の {column.name} に{ja}（{len(rows)} 行: {show_rows(rows)} 行目）。元の"
        "データを UTF-8 で書き出し直してください。",
        f"responses: {column.name} {en} ({len(rows)} rows: {show_rows(rows)}). Export the "
        "original again as UTF-8.",
    )
