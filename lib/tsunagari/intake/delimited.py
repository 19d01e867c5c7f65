"""How does a delimited text file become a table, and not one record is lost?"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import mmap
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from tsunagari.errors import InputError, show_rows
from tsunagari.intake.formats import refuse_disguise
from tsunagari.intake.received import (
    TEXT_TYPES,
    TRAILER,
    TRAILER_ROWS,
    RawResponses,
    finish_table,
    known_names,
    match_columns,
    start_facts,
    tidy_name,
)
from tsunagari.study.survey import Study

DELIMITERS = {",": "コンマ (comma)", "\t": "タブ (tab)", ";": "セミコロン (semicolon)", "|": "|"}
BAD_LINE_LIMIT = 0.01  # share of records with a wrong number of fields; disclosure standard CSV-04
_BLOCK_BYTES = 1 << 18
_BARE_CR = re.compile(b"\r(?!\n)")


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
        raise InputError("RESPONSES_EMPTY")
    kinds = study.codebook.columns["type"].to_dict()
    texts = frozenset(name for name in columns.values() if kinds.get(name, "SA") in TEXT_TYPES)
    as_delivered = text is unmarked and facts["encoding"].startswith("utf-8")
    n_marks = facts["bytes"] - len(text) if as_delivered else 0
    lines = _LineReader(path, facts, offset + n_marks, records.ends, as_delivered)
    if records.has_quoted_crlf:  # pyarrow loses half of one where its blocks meet
        body = memoryview(bytes(body).replace(b"\r\n", b"\n"))
        records = _Records(body, facts["delimiter"])
    named = max(place for place, name in enumerate(header, start=1) if name.strip())
    shape = _Shape(facts["delimiter"], len(header), columns, texts, named)
    parsed = _parse(body, shape, records=records)
    parsed, n_short = _read_short(parsed, shape, records, kinds=kinds)
    if n_short:
        facts["notes"].append(f"{n_short} 行は末尾の区切りがなく、空欄として読みました。")
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
        raise InputError("ENCODING_UTF16")
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
        return InputError("ENCODING_MIXED", rows=show_rows(other_lines))
    return InputError(
        "ENCODING.undecodable", tried=tried, first=first, line=line, position=position
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
        raise InputError("BOM_INSIDE", line=line)


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
        raise InputError("HEADER_JOINED")  # a quote within the names swallows the first records
    if n_known == 0:
        likely = max(DELIMITERS, key=line.count)
        raise InputError("HEADER_UNKNOWN", value=DELIMITERS[likely])
    return names, min(end + 1, len(text)), delimiter


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
    builders = {
        name: _Texts() if name in shape.texts else _Categories(records.count)
        for name in shape.columns.values()
    }
    n_good = 0
    for batch in _open_blocks(body, shape, parse=parse):
        n_good += batch.num_rows
        for builder, column in zip(builders.values(), batch.columns, strict=True):
            builder.add(column)
    shared: dict[tuple[str, ...], pd.CategoricalDtype] = {}
    columns = {name: builder.finish(shared) for name, builder in builders.items()}
    rows = np.delete(np.arange(2, n_good + len(bad) + 2), [row - 2 for row, _ in bad])
    return _Parsed(columns, rows, bad)


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
        if names not in shared:  # a dtype is dear: columns of the same names have one
            shared[names] = pd.CategoricalDtype(pd.array(list(names), dtype="str"))
        return pd.Categorical.from_codes(codes, dtype=shared[names], validate=False)


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
        raise InputError("QUOTE_UNCLOSED", row=len(rows) + len(bad) + 2) from error
    columns = {}
    for name, values in zip(shape.columns.values(), zip(*good, strict=True), strict=False):
        series = pd.Series(values, dtype="str")
        columns[name] = series.array if name in shape.texts else series.astype("category").array
    if not good:
        columns = {name: pd.array([], dtype="str") for name in shape.columns.values()}
    return _Parsed(columns, np.array(rows, dtype=np.int64), bad)


def _read_short(
    parsed: _Parsed, shape: _Shape, records: _Records, *, kinds: Mapping[str, str]
) -> tuple[_Parsed, int]:
    """Read records that lost the delimiters of empty cells at their end, as Excel writes them.

    They are many, or they are set aside as broken. Nothing may show that a delimiter is missing
    elsewhere: codes and empty cells are some that full records have in that column, numbers are
    numbers, and of those with as many cells one ends with an answer.
    """
    torn = None if records.ends_clean else records.count + 1
    rows = [row for row, n in parsed.bad if n < shape.named and row != torn]
    if len(rows) <= _most_broken(parsed):
        return parsed, 0
    table = pd.DataFrame(parsed.columns, index=parsed.rows, copy=False)
    known = {name: set(table[name].unique()) for name in table}
    found: dict[int, list[str]] = {}
    whole_widths = set()
    for row in rows:
        text = io.StringIO(records.line(row - 2), newline="")
        fields = next(csv.reader(text, delimiter=shape.delimiter), [])
        cells = fields + [""] * (shape.width - len(fields))
        own = {name: cells[at] for at, name in shape.columns.items()}
        if fields and all(_is_plausible(c, kinds.get(n), known[n]) for n, c in own.items()):
            found[row] = list(own.values())
            whole_widths |= {len(fields)} if fields[-1].strip() else set()
    widths = dict(parsed.bad)
    found = {row: cells for row, cells in found.items() if widths[row] in whole_widths}
    if not found:
        return parsed, 0
    more = pd.DataFrame.from_dict(found, orient="index", columns=table.columns, dtype="str")
    every = pd.concat([table.astype("str"), more]).sort_index()
    columns = {n: every[n].array if n in shape.texts else every[n].astype("category").array
               for n in every}  # fmt: skip
    bad = [(row, n) for row, n in parsed.bad if row not in found]
    return _Parsed(columns, every.index.to_numpy(), bad), len(found)


def _is_plausible(cell: str, kind: str | None, known: set[str]) -> bool:
    """Whether full records show that a cell may stand in a column of this kind."""
    if kind == "NUM" and cell:
        return (
            re.fullmatch(r"[+-]?[\d,.]+", unicodedata.normalize("NFKC", cell.strip())) is not None
        )
    return cell in known or (cell != "" and kind not in ("SA", "MA"))


def _most_broken(parsed: _Parsed) -> float:
    # One broken line never stops a small file: 1 % of 60 rows would be less than one.
    return max(1, BAD_LINE_LIMIT * parsed.n_rows)


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
                raise InputError("QUOTE_UNCLOSED", row=records.count + 1) from None
    for number in numbers:
        if _swallows(records.line(number), shape):
            raise InputError("QUOTE_UNCLOSED", row=number + 2)


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
    if len(wrong) > _most_broken(parsed):
        widths = {n for row, n in parsed.bad if row in set(wrong["file_row"])}
        found = ", ".join(map(str, sorted(widths)[:5]))
        rows = show_rows(wrong["file_row"])
        raise InputError("CSV_SHAPE", named=shape.named, found=found, n=len(wrong), rows=rows)
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
                raise InputError("INPUT_CHANGED")
            if not self.as_delivered:
                text = _unmarked(_to_utf8(_load(self.path), self.facts["encoding"]))
                file = io.BytesIO(_plain(text))
            return [self._record(file, row - 2) for row in rows]

    def _record(self, file: BinaryIO, number: int) -> str:
        start = 0 if number == 0 else int(self.ends[number - 1]) + 1
        file.seek(self.offset + start)
        return file.read(int(self.ends[number]) - start).decode().rstrip("\r")
