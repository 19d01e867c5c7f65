"""Seconds of gate and attack: beside a yearly report's notebooks, and for more and more tables.

Goal: gate and attack of the whole Ehime plan take less time than its notebooks.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tsunagari import estimates
from tsunagari.gate import attack, questionnaire, suppression
from tsunagari.run import signoff
from tsunagari.study.files import release_dir
from tsunagari.study.settings import Disclosure
from tsunagari.study.survey import open_study

ROOT = Path(__file__).resolve().parents[2]
AXES = (("region",), ("age",), ("sex",), ("age", "sex"), ("household",), ("job",))
SIZES = {"region": 3, "age": 8, "sex": 2, "household": 5, "job": 6}
N, ITEMS = 2000, 8
KNOWN = questionnaire.Questionnaire(areas=frozenset({"region"}))


def survey(rng, n_items):
    """Return people with random axes and skewed answers to n_items questions of 2 to 8 codes."""
    people = {name: rng.integers(size, size=N).astype(str) for name, size in SIZES.items()}
    for item in range(n_items):
        share = np.arange(1, rng.integers(3, 10)) ** -1.2
        codes = np.arange(len(share)).astype(str)
        people[f"q{item}"] = rng.choice(codes, N, p=share / share.sum())
    return pd.DataFrame(people)


def tables(people):
    """Return the percent rows of every question by every axis."""
    parts = []
    for item in (name for name in people if name.startswith("q")):
        for axes in ((), *AXES):
            groups = people.groupby(list(axes))[item] if axes else [("all", people[item])]
            for value, answers in groups:
                counts = answers.value_counts().reindex(sorted(people[item].unique()), fill_value=0)
                parts.append(
                    pd.DataFrame(
                        {
                            "table_id": "_x_".join(axes) + "__" + item,
                            "domain": " x ".join(axes) or "all",
                            "domain_value": value if isinstance(value, str) else " x ".join(value),
                            "item": item,
                            "item_value": counts.index,
                            "estimate": 100 * counts.to_numpy() / len(answers),
                            "n_unweighted": float(len(answers)),
                            "n_cell": counts.to_numpy(float),
                        }
                    )
                )
    rows = pd.concat(parts, ignore_index=True)
    return estimates.conform(rows.assign(wave="2022", measure="percent", unit="percent"))


def measure_report() -> dict[str, float]:
    """Return the seconds of notebooks, gate and attack of the Ehime report, each run anew."""
    command = [sys.executable, "-m", "tsunagari.run.pipeline", "report", "--study", "ehime"]
    command += ["--year", "2022", "--force"]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "data/raw", Path(folder) / "data/raw")
        os.environ["TSUNAGARI_ROOT"] = folder
        said = subprocess.run(command, check=True, capture_output=True, text=True)
        steps = re.findall(r"(\w+) ([\d.]+) s", said.stdout.splitlines()[-1])
        spent = {name: float(seconds) for name, seconds in steps}
        study = open_study("ehime", 2022)
        began = time.perf_counter()
        signoff.attack_study(study, release_dir(study.name, study.year))
        assault = time.perf_counter() - began
    notebooks = sum(seconds for name, seconds in spent.items() if name[0].isdigit())
    return {"notebooks": notebooks, "gate": spent["gate"], "attack": assault}


def main() -> int:
    """Print seconds a size; return 1 when the goal is missed or the attacker finds something."""
    spent = measure_report()
    share = (spent["gate"] + spent["attack"]) / spent["notebooks"]
    print(
        f"ehime 2022: notebooks {spent['notebooks']:.1f} s, gate {spent['gate']:.1f} s, attack "
        f"{spent['attack']:.1f} s; gate and attack {share:.2f} of the notebooks (goal: under 1)"
    )
    failed = int(share >= 1)
    first = None
    for factor in (1, 2, 4):
        rows = tables(survey(np.random.default_rng(7), ITEMS * factor))
        began = time.perf_counter()
        after = suppression.suppress(rows, settings=Disclosure(), questionnaire=KNOWN)
        gated = time.perf_counter()
        found = attack.attack_estimates(after, rows, settings=Disclosure(), questionnaire=KNOWN)
        gate, assault = gated - began, time.perf_counter() - gated
        first = first or gate + assault
        failed += bool(found)
        hidden = (after["status"] == "suppressed").mean()
        print(
            f"x{factor}: {len(rows):6d} rows, gate {gate:5.1f} s, attack {assault:5.1f} s, "
            f"{(gate + assault) / first:4.1f} times the first, {hidden:.0%} hidden"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
