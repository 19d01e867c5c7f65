"""What do kernels, pages and the release cost, beside the same cells in one plain Python process?

Both sides start warm (bytecode compiled, files cached), run the same notebooks on the committed
Ehime answers, and include the start of their own process.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 3
PROMISED_RATIO = 3.0  # toolchain measurements: 2.0 to 2.5 on a quiet machine, without the release

REPORT = """
from tsunagari.run import pipeline
raise SystemExit(pipeline.main(["report", "--study", "ehime", "--year", "2022", "--force"]))
"""

# The cells as one script: no kernel, no page, no lock; the gate where the runner has it.
PLAIN = """
import os
import matplotlib
matplotlib.use("agg")
from pathlib import Path
from tsunagari.gate.publish import publish
from tsunagari.run import notebooks, pipeline
from tsunagari.study.survey import open_study
folder = Path(pipeline.__file__).resolve().parents[2] / "notebooks"
for step in pipeline.STEPS:
    if step == pipeline.GATE:
        publish(open_study("ehime", 2022))
        continue
    names = {"display": lambda *things: None, "__name__": "__main__"}
    for cell in notebooks.read_notebook(folder / f"{step}.ipynb"):
        if cell.kind == "code":
            exec(compile(cell.source, step, "exec"), names)
"""


def seconds(code: str, root: Path) -> float:
    """Return the seconds one process takes."""
    results = {"TSUNAGARI_ROOT": str(root)}
    if code is PLAIN:
        results["TSUNAGARI_STAGING"] = str(root / "plain")
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | results | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def main() -> int:
    """Print both medians and their ratio; return 1 where it is above the promise."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(ROOT / "data/raw", root / "data/raw")
        seconds(REPORT, root)
        spent = {"report": [], "plain": []}
        for _ in range(ROUNDS):  # alternated, so that other load meets both
            spent["plain"].append(seconds(PLAIN, root))
            spent["report"].append(seconds(REPORT, root))
    report, plain = (statistics.median(spent[name]) for name in ("report", "plain"))
    print(f"report: {report:.1f} s (page, workbook, release; every step run again)")
    print(f"plain:  {plain:.1f} s (same cells and gate, one process, nothing rendered)")
    print(f"ratio:  {report / plain:.2f} (promised: at most {PROMISED_RATIO})")
    return int(report / plain > PROMISED_RATIO)


if __name__ == "__main__":
    sys.exit(main())
