"""Two quick readings of a delimited text, by bytes and by pyarrow, against the csv module."""

import csv
import io
import random
from pathlib import Path

import pytest

from tsunagari import reading

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
def test_quick_readings_find_what_the_csv_module_finds(seed, monkeypatch):
    rng = random.Random(seed)
    width = rng.choice([2, 3, 7])
    text = write_text(rng, width=width)
    monkeypatch.setattr(reading, "_BLOCK_BYTES", rng.choice([64, 1 << 18]))  # many pieces, or one
    body = memoryview(text.encode())
    texts = frozenset({"c0"}) if rng.random() < 0.5 else frozenset()
    shape = reading._Shape(",", width, {at: f"c{at}" for at in range(width)}, texts)
    records = reading._Records(body, ",")
    assert records.is_regular
    found = reading._parse(body, shape, records=records, path=Path("answers.csv"))
    good, bad = {}, []
    for row, cells in enumerate(csv.reader(io.StringIO(text, newline="")), start=2):
        if len(cells) == width:
            good[row] = cells
        else:
            bad.append((row, max(len(cells), 1)))
    assert found.rows.tolist() == list(good)
    assert [(row, max(n, 1)) for row, n in found.bad] == bad
    for at in range(width):
        assert list(found.columns[f"c{at}"]) == [cells[at] for cells in good.values()]
