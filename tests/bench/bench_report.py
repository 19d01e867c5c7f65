"""What do kernels, pages and the release cost, beside the same cells in one plain Python process?

Both sides start warm (bytecode compiled, files cached), run the same notebooks on the committed
Ehime answers, and include the start of their own process. Then all exports of the executed notebook
07 (pages and workbook) beside plain `jupyter nbconvert --to html` of the same file.
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

EXPORTED_RATIO = 1.0
EXECUTED = "data/processed/ehime/2022/private/notebooks/07_report_council.ipynb"
EXPORT = f"""
import sys
sys.modules["rfc3987_syntax"] = None  # as run.notebooks does
import nbformat
from tsunagari.report import page, published, workbook
from tsunagari.study import files
root = files.repository_root()
rows = published.read_published("ehime", 2022)
notebook = nbformat.read(root / "{EXECUTED}", as_version=4)
for name, text in page.export_html(notebook, is_synthetic=rows.is_synthetic).items():
    (root / name).write_text(text, encoding="utf-8")
workbook.write_workbook(rows, root / "tables.xlsx")
"""
NBCONVERT = f"""
import os, sys
from nbconvert.nbconvertapp import main
root = os.environ["TSUNAGARI_ROOT"]
sys.exit(main(["--to", "html", "--output-dir", root, root + "/{EXECUTED}"]))
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
        codes = {"export": EXPORT, "nbconvert": NBCONVERT}
        for name, code in list(codes.items()) * (ROUNDS + 1):
            spent.setdefault(name, []).append(seconds(code, root))
    middle = {name: statistics.median(found[-ROUNDS:]) for name, found in spent.items()}
    report, plain, export, nbconvert = middle.values()
    print(f"report: {report:.1f} s (page, workbook, release; every step run again)")
    print(f"plain:  {plain:.1f} s (same cells and gate, one process, nothing rendered)")
    print(f"ratio:  {report / plain:.2f} (promised: at most {PROMISED_RATIO})")
    print(f"exports of 07: {export:.1f} s (volumes, English summary, workbook)")
    print(f"nbconvert:     {nbconvert:.1f} s (plain HTML of the same notebook)")
    print(f"ratio:         {export / nbconvert:.2f} (promised: at most {EXPORTED_RATIO})")
    return int(report / plain > PROMISED_RATIO or export / nbconvert > EXPORTED_RATIO)


if __name__ == "__main__":
    sys.exit(main())
