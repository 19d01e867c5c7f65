"""Notebook 06's own work on 10,000 organisations and 100,000 lines of calls, beside a plain read.

Promise: reading, checking and measuring take under 5 s of processor time. Beside it, as a ratio, is
`pandas.read_csv` of the same files; both are timed in turn, so that a busy machine slows both.
"""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from tsunagari.gate.questionnaire import Questionnaire
from tsunagari.gate.suppression import suppress
from tsunagari.programmes import records, resources, rows, schema, track
from tsunagari.study.settings import Disclosure

N_ORGANISATIONS, N_CALLS, TURNS = 10_000, 100_000, 3
SECONDS = 5.0
YEAR = 2022
AREAS = {f"38{n:03d}": f"市{n}" for n in range(201, 221)} | {"38000": "県", "00000": "全国"}


def write(folder: Path) -> list[Path]:
    """Write both files and return them."""
    rng = np.random.default_rng(7)
    n = np.arange(N_ORGANISATIONS)
    codes = np.array(list(AREAS)[:20])
    troubles = [";".join(map(str, rng.choice(8, 3, replace=False) + 1)) for _ in n]
    organisations = pd.DataFrame(
        {
            "ID": [f"R{k:05d}" for k in n],
            "団体名": [f"特定非営利活動法人 会{k}" for k in n],
            "団体名_カナ": [f"カイ{k}" for k in n],
            "団体種別": "NPO法人",
            "活動概要": "話し相手がほしい人の相談と居場所",
            "困りごと": troubles,
            "利用方法": "電話;来所",
            "照会可否": "有",
            "担当区域": rng.choice(codes, len(n)),
            "所在地_全国地方公共団体コード": rng.choice(codes, len(n)),
            "利用可能曜日": rng.choice(["月～金", "毎日", "土日"], len(n)),
            "開始時間": "9:00",
            "終了時間": "17:00",
            "電話番号": [f"089-000-{k % 10_000:04d}" for k in n],
            "状態": "活動中",
            "登録日": "2022/10/01",
            "最終確認日": "令和5年3月1日",
        }
    )
    # A total and eight kinds by month, municipality, channel and line.
    months = [f"{YEAR + (m < 4)}-{m:02d}-01" for m in range(1, 13)]
    size = -(-N_CALLS // (9 * 12 * 20 * 5))
    index = pd.MultiIndex.from_product(
        [range(size), months, codes, ["電話", "SNS", "メール", "面談", "訪問"], range(9)],
        names=["窓口", "受付_年月日", "全国地方公共団体コード", "手段", "kind"],
    )
    calls = index.to_frame(index=False)
    parts = rng.integers(0, 30, (len(calls) // 9, 9))
    parts[:, 0] = parts[:, 1:].sum(axis=1)
    calls["相談件数"] = parts.ravel()
    is_total = calls["kind"] == 0
    calls["架電数"] = (calls["相談件数"] * 2).where(is_total)
    calls["応答数"] = calls["相談件数"].where(is_total)
    calls["区分"] = np.where(is_total, "合計", "内容")
    calls["内訳"] = calls.pop("kind").astype(str).where(~is_total, "")
    calls = calls.assign(集計単位="月").iloc[:N_CALLS]
    tables = {"resources": organisations, "consultations": calls[: N_CALLS - N_CALLS % 9]}
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return [folder / f"{name}.csv" for name in tables]


def timed(work) -> float:
    """Return the processor time of a call, in seconds."""
    began = time.process_time()
    work()
    return time.process_time() - began


def ours(folder: Path) -> None:
    """Read, check, measure and hide, as the notebook does."""
    found = records.read(folder, year=YEAR, areas=AREAS, lists=schema.declared()["lists"])
    assert found.quarantine.empty, found.sentences()
    assert len(found.table("resources")) == N_ORGANISATIONS
    places = resources.places_of(AREAS, {})
    figures = track.measure_all(found, year=YEAR, confidence=0.95, places=places)
    facts = Questionnaire(**rows.known(found))
    rows.release(figures, partial(suppress, settings=Disclosure(), questionnaire=facts))


def main() -> int:
    """Print seconds and ratio; return 1 where the promise is broken."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write(folder)
        plain, own = [], []
        for _ in range(TURNS):
            plain.append(timed(lambda: [pd.read_csv(path, dtype=str) for path in paths]))
            own.append(timed(lambda: ours(folder)))
    seconds, base = float(np.median(own)), float(np.median(plain))
    print(
        f"10,000 organisations and 100,000 lines of calls: {seconds:.1f} s of processor time, "
        f"{seconds / base:.0f} times a plain read ({base:.2f} s); promise: {SECONDS:.0f} s"
    )
    return int(seconds > SECONDS)


if __name__ == "__main__":
    sys.exit(main())
