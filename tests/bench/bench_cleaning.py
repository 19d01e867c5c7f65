"""Reading and cleaning against a bare pyarrow read of the same file, as ratios in one run.

Promise: at 10,000 and 100,000 rows x 120 columns, reading and cleaning take at most 6 times a bare
`pyarrow.csv.read_csv`, and peak memory above the idle process is at most 4 times the file. Both are
timed in turn, so that a busy machine slows both; ratios and peaks are medians. Opening the study
(study.yaml, codebook) and imports are not counted.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv

from tsunagari.intake import cleaning, reading
from tsunagari.study.survey import open_study

ROWS = (10_000, 100_000)
PROCESSES, TURNS = 3, 5
TIME_LIMIT, MEMORY_LIMIT = 6.0, 4.0
# The make-up of the Ehime questionnaire: with id, time, date, age and two texts, 120 columns.
N_SINGLE, N_ITEMS, N_OPTIONS = 26, 11, 8
YEAR = 2024

_STUDY = """
study: {name}
title: bench
area: bench
people: bench
waves:
  2024: {{responses: responses.csv, fieldwork: 2024年1月}}
columns: {{respondent_id: id, duration_seconds: seconds, answered_on: day}}
design: {{region: s00, age: age, age_band: age_band, sex: s01, minimum_age: 16}}
derive:
  age_band:
    label: age
    bands_of: age
    bands: [{{code: a, label: a, from: 16, to: 39}}, {{code: b, label: b, from: 40, to: null}}]
weighting:
  {{method: post_stratification, label: w, cells: [s00, age_band, s01], targets: population.csv}}
quality:
  - {{rule: speeder, variable: seconds, threshold: 0.333, action: flag}}
  - {{rule: straightliner, items: [s02, s03, s04, s05, s06], action: flag}}
indicators: {{one: {{label: one, item: s02, codes: ["5"]}}}}
tables: {{axes: [s00], crosses: [s02]}}
model: {{outcomes: [one], factors: [s01]}}
"""


def write_study(root: Path, n_rows: int) -> str:
    """Write a study folder with n_rows generated answers; return its name."""
    name = f"bench-{n_rows}"
    folder = root / "data/raw" / name
    (folder / str(YEAR)).mkdir(parents=True)
    (folder / "study.yaml").write_text(_STUDY.format(name=name), encoding="utf-8")
    _codebook().to_csv(folder / "codebook.csv", index=False)
    _answers(n_rows).to_csv(folder / str(YEAR) / "responses.csv", index=False)
    return name


def _codebook() -> pd.DataFrame:
    rows = [
        {"variable": "id", "type": "ID"},
        {"variable": "seconds", "type": "NUM", "min": "0", "max": "86400"},
        {"variable": "day", "type": "DATE"},
        {"variable": "age", "type": "NUM", "min": "0", "max": "110"},
        {"variable": "text_a", "type": "OA"},
        {"variable": "text_b", "type": "OA"},
    ]
    for i in range(N_SINGLE):
        for code in range(1, 6):
            ask = "s02=4|5" if i >= N_SINGLE - 6 and code == 1 else ""
            kind = "SA" if code == 1 else ""
            part = {"variable": f"s{i:02d}", "type": kind, "code": str(code), "ask_if": ask}
            rows.append(part | {"code_label": f"label {code}"})
    for i in range(N_ITEMS):
        for code in range(1, N_OPTIONS + 1):
            part = {"variable": f"m{i:02d}_{code}", "item": f"m{i:02d}", "type": "MA"}
            role = "exclusive" if code == N_OPTIONS else ""
            rows.append(part | {"code": str(code), "code_label": f"o{code}", "role": role})
    table = pd.DataFrame(rows, columns=_NAMES, dtype=object).fillna("")
    return table.assign(label=table["variable"])


_NAMES = (
    "question_no item variable type label short_label code code_label role min max ask_if required "
    "scale sensitive waves version certainty_wording certainty_options certainty_order source"
).split()


def _answers(n_rows: int) -> pd.DataFrame:
    """Draw answers with one per cent of faults, as text."""
    rng = np.random.default_rng(20240101)
    table = {
        "id": [f"R{i:07d}" for i in range(n_rows)],
        "seconds": rng.integers(60, 3000, n_rows).astype(str),
        "day": np.array(["2024-01-10", "2024/1/11"])[(rng.random(n_rows) < 0.01).astype(int)],
        "age": rng.integers(16, 95, n_rows).astype(str),
    }
    for i in range(N_SINGLE):
        codes = rng.integers(1, 6, n_rows).astype(str).astype(object)
        odd = rng.random(n_rows)
        codes[odd < 0.005] = ""
        codes[(odd > 0.998) & (i > 1)] = "7"
        table[f"s{i:02d}"] = codes
    asked = np.isin(table["s02"], ["4", "5"])
    for i in range(N_SINGLE - 6, N_SINGLE):
        table[f"s{i:02d}"] = np.where(asked, table[f"s{i:02d}"], "")
    for i in range(N_ITEMS):
        chosen = rng.random((N_OPTIONS - 1, n_rows)) < 0.3
        for k, part in enumerate(chosen, start=1):
            table[f"m{i:02d}_{k}"] = part.astype(int).astype(str)
        table[f"m{i:02d}_{N_OPTIONS}"] = (~chosen.any(axis=0)).astype(int).astype(str)
    words = np.array(["", "", "", "話し相手がいない", "近所, 付き合いがない", "夜が長い"])
    for name in ("text_a", "text_b"):
        table[name] = words[rng.integers(0, len(words), n_rows)]
    frame = pd.DataFrame(table)
    twice = frame.sample(n_rows // 200, random_state=1)
    return pd.concat([frame.iloc[: n_rows - len(twice)], twice], ignore_index=True)


def start_peak() -> int:
    """Forget the highest memory use so far and return the present one, in bytes (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # elsewhere the peak counts from the start of the process
    return memory_peak()


def memory_peak() -> int:
    """Return the highest resident memory, in bytes.

    Not ru_maxrss: on Linux a child process starts with its parent's.
    """
    try:
        text = Path("/proc/self/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0]) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(name: str) -> dict[str, float]:
    """Return times in seconds, their ratio and sizes in bytes for one study, in this process."""
    survey = open_study(name, YEAR)
    path = survey.responses_path
    idle = start_peak()
    bare, clean = [], []
    for turn in range(TURNS):
        start = time.perf_counter()
        cleaned = cleaning.clean_responses(reading.read_responses(survey), survey)
        clean.append(time.perf_counter() - start)
        if turn == 0:
            peak = memory_peak()
            table = cleaned.respondents.memory_usage(deep=True).sum()
        n_rows = int(cleaned.ledger["n_rows"].sum())
        del cleaned
        start = time.perf_counter()
        # With the allocator that arrow has by itself: `reading` sets another, slower for this.
        pyarrow.csv.read_csv(path, memory_pool=pyarrow.mimalloc_memory_pool())
        bare.append(time.perf_counter() - start)
    size = path.stat().st_size
    return {
        "rows": n_rows,
        "bare": min(bare),
        "clean": min(clean),
        "ratio": float(np.median(np.divide(clean, bare))),
        "peak": (peak - idle) / size,
        "table": float(table / size),
    }


def measure_apart(warm_up: str, name: str, *, root: str) -> pd.Series:
    """Return the medians of several processes of their own, each warmed on the small study."""
    command = [sys.executable, __file__, warm_up, name]
    environment = os.environ | {"TSUNAGARI_ROOT": root}
    found = [
        json.loads(subprocess.run(command, capture_output=True, env=environment, check=True).stdout)
        for _ in range(PROCESSES)
    ]
    return pd.DataFrame(found).median()


def main() -> int:
    """Print ratios and growth; return 1 when a promise is broken."""
    broken = []
    with tempfile.TemporaryDirectory() as root:
        small, *names = [write_study(Path(root), n) for n in (1_000, *ROWS)]
        results = [measure_apart(small, name, root=root) for name in names]
    for one in results:
        rows = f"{int(one['rows']):,} rows"
        print(
            f"{rows:>12}: bare read {one['bare']:.3f} s, read and clean {one['clean']:.3f} s, "
            f"ratio {one['ratio']:.1f} (limit {TIME_LIMIT:.0f}); peak {one['peak']:.1f} x file "
            f"(limit {MEMORY_LIMIT:.0f}), of which the table handed on {one['table']:.1f}"
        )
        broken += [f"time at {rows}"] if one["ratio"] > TIME_LIMIT else []
        broken += [f"memory at {rows}"] if one["peak"] > MEMORY_LIMIT else []
    few, many = (one["clean"] for one in results)
    fixed = few - (many - few) * ROWS[0] / (ROWS[1] - ROWS[0])
    print(
        f"10 times the rows cost {many / few:.1f} times the time; {fixed:.3f} s whatever the rows"
    )
    print(f"promises broken: {', '.join(broken) or 'none'}")
    return 1 if broken else 0


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1])
        print(json.dumps(measure(sys.argv[2])))
        sys.exit(0)
    sys.exit(main())
