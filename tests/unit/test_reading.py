"""The quick reading of a delimited text, by pyarrow, against the csv module."""

import csv
import io
import random
from pathlib import Path

import pandas as pd
import pytest
from tests.data.test_faults import YEAR, Case

from tsunagari.errors import InputError
from tsunagari.intake import delimited, reading, received
from tsunagari.study.survey import open_study

CODES = ["", "", "1", "2", "9"]
ODD = ["12", "a,b", 'x"y', '"', "é", " ", "\t", "1 ", "長い", "\x00"]


def write_text(rng: random.Random, *, width: int) -> str:
    """Return records of mostly one-character cells, a few of another width or odd in a cell."""
    text = io.StringIO()
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    writer = csv.writer(text, lineterminator=rng.choice(["\n", "\r\n"]), quoting=quoting)
    for _ in range(rng.randrange(1, 60)):
        n_cells = width if rng.random() < 0.97 else rng.randrange(1, width + 3)
        odd = 0.5 if rng.random() < 0.1 else 0.0
        cells = [rng.choice(ODD if rng.random() < odd else CODES) for _ in range(n_cells)]
        writer.writerow([*cells[:-1], "q\nr"] if rng.random() < 0.05 else cells)
    whole = text.getvalue()
    return whole.rstrip("\r\n") if rng.random() < 0.3 else whole


@pytest.mark.parametrize("seed", range(150))
def test_the_quick_reading_finds_what_the_csv_module_finds(seed, monkeypatch):
    rng = random.Random(seed)
    width = rng.choice([2, 3, 7])
    text = write_text(rng, width=width)
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", rng.choice([64, 1 << 18]))  # many pieces, or one
    body = memoryview(text.encode())
    texts = frozenset({"c0"}) if rng.random() < 0.5 else frozenset()
    named = width - (rng.random() < 0.3)  # the last column may be an empty one that Excel left
    shape = delimited._Shape(",", width, {at: f"c{at}" for at in range(named)}, texts, named)
    records = delimited._Records(body, ",")
    assert records.is_regular
    found = delimited._parse(body, shape, records=records)
    good, bad = {}, []
    for row, cells in enumerate(csv.reader(io.StringIO(text, newline="")), start=2):
        if len(cells) >= named and not "".join(cells[named:]).strip():
            good[row] = cells
        else:
            bad.append((row, max(len(cells), 1)))
    assert found.rows.tolist() == list(good)
    assert [(row, max(n, 1)) for row, n in found.bad] == bad
    for at in range(named):
        assert list(found.columns[f"c{at}"]) == [cells[at] for cells in good.values()]


def read(case: Case, root: Path, monkeypatch) -> received.RawResponses:
    """Read the answer file of a study in a folder of its own."""
    monkeypatch.setenv("TSUNAGARI_ROOT", str(root))
    case.write(root)
    return reading.read_responses(open_study("good", YEAR))


@pytest.mark.parametrize("spoil", ["quote", "quote_ignored", "joined", "separator", "name"])
def test_answers_in_the_header_are_not_printed(spoil, tmp_path, monkeypatch):
    case = Case()
    header, *lines = case.lines()
    if spoil.startswith("quote"):
        header = header.replace("words", '"words')
        lines[0] += '秘密",'
    if spoil == "quote_ignored":
        case.study["file"]["unknown_columns"] = "ignore"
    ends = {"joined": ",", "separator": "\u2028", "name": ",E22-1139\n"}
    case.raw = (header + ends.get(spoil, "\n") + "\n".join(lines)).encode()
    with pytest.raises(InputError) as caught:
        read(case, tmp_path, monkeypatch)
    assert caught.value.code == ("COLUMN_UNKNOWN" if spoil == "name" else "HEADER_JOINED")
    assert not any(word in str(caught.value) for word in ("A0000", "秘密", "E22", "2024-01-01"))


@pytest.mark.parametrize("ends", ["\r", "\r\r\n", "\n\r", "\r\n", "\r then \n", "\n then \r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_no_record_is_lost_whatever_ends_the_lines(ends, encoding, tmp_path, monkeypatch):
    case = Case()
    header, *lines = case.lines()
    lines[3] = lines[3].rsplit(",", 1)[0] + ',"一\n二"'
    lines[5] = "A9999,short"
    first, rest = ends.split(" then ") if " then " in ends else (ends, ends)
    case.raw = (header + first + "".join(line + rest for line in lines)).encode(encoding)
    raw = read(case, tmp_path, monkeypatch)
    assert raw.facts["rows"] == len(lines)
    assert raw.table["id"].tolist() == [x.split(",")[0] for i, x in enumerate(lines) if i != 5]
    assert raw.table.loc[5, "words"] == "一\n二"
    assert raw.rejected["file_row"].tolist() == [7]
    assert raw.lines([7, 2, len(lines) + 1]) == [lines[5], lines[0], lines[-1]]


def test_records_that_lost_the_delimiters_of_empty_cells_are_read(tmp_path, monkeypatch):
    # Excel writes none for empty cells at the end of a row, but for some rows.
    case = Case()
    whole = read(case, tmp_path / "whole", monkeypatch)
    header, *lines = case.lines()
    blank = [place for place, line in enumerate(lines) if line.endswith(",")][1:]
    for place in blank:
        lines[place] = lines[place].rstrip(",")
    case.raw = "\n".join([header, *lines, ""]).encode()
    raw = read(case, tmp_path / "short", monkeypatch)
    assert len(blank) > 3 and raw.rejected.empty
    pd.testing.assert_frame_equal(raw.table.astype(str), whole.table.astype(str))
    assert f"{len(blank)} 行は末尾の区切りがなく、空欄として読みました。" in raw.facts["notes"]


@pytest.mark.parametrize("place", [3, 8, 14, 17])
def test_a_delimiter_lost_within_a_record_moves_no_answer(place, tmp_path, monkeypatch):
    case = Case()
    header, *lines = case.lines()
    cells = lines[8].split(",")
    assert cells[-1] == ""
    del cells[place]
    lines[8] = ",".join([*cells[:-1], "自由な答え"])
    lines[11] = ",".join(lines[11].split(",")[:4])  # dropped out: cells lack that are never empty
    case.raw = "\n".join([header, *lines, ""]).encode()
    raw = read(case, tmp_path, monkeypatch)
    assert raw.rejected["file_row"].tolist() == [10, 13]
    assert raw.table.index.tolist() == [n for n in range(2, len(lines) + 2) if n not in (10, 13)]


def test_a_bare_cr_within_a_text_splits_that_record_only(tmp_path, monkeypatch):
    case = Case()
    lines = case.lines()
    lines[2] = lines[2].rsplit(",", 1)[0] + ",一\r二"
    case.raw = "\n".join(lines).encode()
    raw = read(case, tmp_path, monkeypatch)
    assert raw.rejected["file_row"].tolist() == [4]
    assert raw.lines([4, 5]) == ["二", lines[3]]


def test_a_quoted_line_break_is_one_wherever_a_block_ends(tmp_path, monkeypatch):
    case = Case()
    case.answers["words"] = '"長い\r\n' + "文" * 50 + '"'
    case.raw = case.text.replace('"""', '"').replace("\n", "\r\n").replace("\r\r", "\r").encode()
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 256)
    raw = read(case, tmp_path, monkeypatch)
    assert set(raw.table["words"]) == {"長い\n" + "文" * 50}


def test_an_unclosed_quote_is_told_however_much_it_swallows(tmp_path, monkeypatch):
    case = Case()
    lines = case.lines()
    lines[5] = lines[5].rsplit(",", 1)[0] + ',"閉'
    case.raw = "\n".join([*lines, *lines[10:] * 20]).encode()
    with pytest.raises(InputError) as caught:
        read(case, tmp_path, monkeypatch)
    assert caught.value.code == "QUOTE_UNCLOSED"


def test_a_text_of_any_length_is_read(tmp_path, monkeypatch):
    case = Case()
    case.put("words", "長" * 140_000, 5)
    case.put("words", 'x"y', 6)
    case.raw = case.text.replace('"x""y"', 'x"y').encode()
    assert read(case, tmp_path, monkeypatch).table.loc[5, "words"] == "長" * 140_000


@pytest.mark.parametrize("body", ["A0001,5,2024-0", "A0001,5\n", "以上"])
def test_a_file_without_a_whole_record_is_refused(body, tmp_path, monkeypatch):
    case = Case()
    case.raw = (case.lines()[0] + "\n" + body).encode()
    with pytest.raises(InputError) as caught:
        read(case, tmp_path, monkeypatch)
    assert caught.value.code == "RESPONSES_EMPTY"


@pytest.mark.parametrize("text", ["一\n二", "a,b,c\n" + "x," * 30, ",\n,\n,"])
@pytest.mark.parametrize("place", [0, 3, 16])
def test_a_text_of_several_lines_swallows_nobody(text, place, tmp_path, monkeypatch):
    case = Case()
    case.put("words", text, 5)
    names = [name for name in case.answers if name != "words"]
    case.answers = case.answers[[*names[:place], "words", *names[place:]]]
    assert read(case, tmp_path, monkeypatch).table.loc[5, "words"] == text


@pytest.mark.parametrize("opened", ['"開', '開"'])
@pytest.mark.parametrize("closed", ['"閉', '閉"', '"閉"'])
@pytest.mark.parametrize("place", [0, 3, 16])
def test_two_records_are_never_taken_for_one(opened, closed, place, tmp_path, monkeypatch):
    case = Case()
    case.answers["words"] = "x"
    rows = list(csv.reader(case.lines()))
    for row in rows:
        row.insert(place, row.pop())
    rows[4][place], rows[5][place] = opened, closed
    case.raw = ("\n".join(map(",".join, rows)) + "\n").encode()
    try:
        raw = read(case, tmp_path, monkeypatch)
    except InputError as error:
        assert error.code == "QUOTE_UNCLOSED"
    else:
        assert raw.facts["rows"] == len(rows) - 1
