"""Raking, a raked mean and the re-raked bootstrap, side by side with R survey on one file.

`python tests/bench/bench_weighting.py [--quick]`. 3 regions x 7 ages x 2 sexes, raked to
region x age and sex. Ratios are R's seconds over ours, both of one run; where R or its survey
package is missing only our own ratio to the floor is measured, and the output says so.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from tsunagari.statistics.calibration import rake
from tsunagari.statistics.designs import Design
from tsunagari.statistics.estimation import means
from tsunagari.statistics.replicates import bootstrap_replicates, replicate_means
from tsunagari.statistics.weighting import weigh_respondents
from tsunagari.study.settings import Margin, Weighting

HERE = Path(__file__).resolve().parent
SIZES = (2_000, 100_000, 1_000_000)
N_BOOTSTRAP, N_REPLICATES = 100_000, 500
N_REPLICATES_R = 20  # R's time grows in proportion; the rest is scaled up and said so
LEAST_TIMES_R = {"rake": 20, "mean": 20, "bootstrap": 50}  # at the largest size
MOST_FLOOR_PASSES = 10
PLAN = Weighting(
    method="raking",
    label="",
    cells=["region", "age"],
    margins=[Margin(by=["sex"], targets="")],
    base_weight="base_weight",
)


def sample(n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return people in cells of unequal chance with ten answers, and the population."""
    cells = pd.MultiIndex.from_product([list("123"), list("1234567"), list("12")])
    adults = cells.to_frame(index=False, name=["region", "age", "sex"])
    adults["population"] = rng.integers(5_000, 50_000, len(adults))
    chance = rng.uniform(0.5, 2, len(adults))
    picked = rng.choice(len(adults), n, p=chance / chance.sum())
    people = adults.loc[picked, ["region", "age", "sex"]].reset_index(drop=True)
    people["base_weight"] = rng.uniform(0.5, 2, n).round(3)
    lean = picked[:, None] / 42 + rng.normal(size=(n, 10))
    answers = pd.DataFrame(lean.round(3), columns=[f"y{i}" for i in range(1, 11)])
    return pd.concat([people, answers], axis=1), adults


def best_seconds(call: Callable[[], object], *, times: int = 5) -> float:
    """Return the shortest of a few runs, in seconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def find_r() -> str | None:
    """Return Rscript where it has the survey package."""
    rscript = shutil.which("Rscript")
    if rscript is None:
        return None
    probe = "quit(status = !all(sapply(c('survey', 'jsonlite'), requireNamespace, quietly = TRUE)))"
    done = subprocess.run([rscript, "-e", probe], capture_output=True, check=False)
    return rscript if done.returncode == 0 else None


def in_r(rscript: str, csv: Path, *work: str) -> dict:
    """Run the R half on the same file and return its figures."""
    command = [rscript, HERE / "bench_weighting.R", csv, *work]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def bench_weights(n: int, csv: Path, rscript: str | None) -> bool:
    """Rake and estimate at one size; return whether the promises hold."""
    people, adults = sample(n, np.random.default_rng(n))
    people.to_csv(csv, index=False)
    adults.to_csv(csv.with_name(f"{csv.stem}_population.csv"), index=False)
    text = people.astype(dict.fromkeys(["region", "age", "sex"], "string"))
    design = weigh_respondents(text, adults, settings=PLAN)
    joint = design._joint[0]
    base, margins, totals = design.base_weights, design.margins, design.totals
    floor = best_seconds(lambda: np.bincount(joint, base), times=9)
    rake_s = best_seconds(lambda: rake(base, margins, totals=totals))
    table_s = best_seconds(lambda: weigh_respondents(text, adults, settings=PLAN), times=3)

    # Designs made beforehand, as R's is; nothing they keep from an earlier estimate is used.
    parts = {"weights": design.weights, "base_weights": base, "margins": margins, "totals": totals}
    fresh = [Design(**parts) for _ in range(6)]

    def mean() -> pd.DataFrame:
        return means(fresh.pop(), people["y1"])

    mean_s = best_seconds(mean)
    print(
        f"  n = {n:>9,}: rake {1e3 * rake_s:.2f} ms = {rake_s / floor:.1f} bincount passes; "
        f"from the table of strings {1e3 * table_s:.0f} ms; mean with its SE {1e3 * mean_s:.1f} ms"
    )
    kept = n < max(SIZES) or rake_s / floor <= MOST_FLOOR_PASSES
    if rscript is None:
        return kept
    r, ours = in_r(rscript, csv, "weights"), mean().iloc[0]
    gap = abs(ours["estimate"] / r["estimate"] - 1)
    se_gap = abs(ours["std_error"] / r["std_error"] - 1)
    ratios = {"rake": r["rake"] / rake_s, "mean": r["mean"] / mean_s}
    print(
        f"      R: rake {r['rake']:.2f} s = {ratios['rake']:.0f} x ours "
        f"({r['rake'] / table_s:.0f} x with reading the codes), svymean {r['mean']:.2f} s = "
        f"{ratios['mean']:.0f} x; mean differs by {gap:.1e}, SE from calibrate's by {se_gap:.1e}"
    )
    fast = n < max(SIZES) or all(ratios[key] >= LEAST_TIMES_R[key] for key in ratios)
    return kept and fast and gap < 1e-8 and se_gap < 1e-7


def bench_bootstrap(n: int, csv: Path, rscript: str | None, *, n_replicates: int) -> bool:
    """Re-rake bootstrap replicates of ten means; return whether the promise holds."""
    people, adults = sample(n, np.random.default_rng(n))
    people.to_csv(csv, index=False)
    adults.to_csv(csv.with_name(f"{csv.stem}_population.csv"), index=False)
    design = weigh_respondents(people, adults, settings=PLAN)
    answers = people[[f"y{i}" for i in range(1, 11)]]

    def run() -> np.ndarray:
        rng = np.random.default_rng(1)
        replicates = bootstrap_replicates(design, n_replicates=n_replicates, rng=rng)
        found = replicate_means(design, answers, replicates=replicates)
        return np.sqrt(np.diag(replicates.covariance(found)))

    start = time.perf_counter()
    errors = run()
    ours = time.perf_counter() - start
    linear = means(design, answers)["std_error"].to_numpy()
    print(
        f"  {n_replicates} re-raked replicates of ten means at n = {n:,}: {ours:.1f} s; SE differ "
        f"from linearisation by at most {100 * np.abs(errors / linear - 1).max():.1f} %"
    )
    if rscript is None:
        return True
    r = in_r(rscript, csv, "bootstrap", str(N_REPLICATES_R))
    whole = r["seconds"] / r["replicates"] * n_replicates
    gap = np.abs(
        design.weights @ answers.to_numpy() / design.weights.sum() / r["estimate"] - 1
    ).max()
    print(
        f"      R: {r['seconds']:.1f} s for {r['replicates']} replicates, so {whole:.0f} s for "
        f"{n_replicates} = {whole / ours:.0f} x ours; means differ by {gap:.1e}"
    )
    return gap < 1e-6 and (n < N_BOOTSTRAP or whole / ours >= LEAST_TIMES_R["bootstrap"])


def main() -> int:
    """Return 0 when every promise held, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes only, promises unchecked")
    quick = parser.parse_args().quick
    rscript = find_r()
    if rscript is None:
        print("  R with its survey package is not here: our own figures only")
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder) / "sample.csv"
        kept = [bench_weights(n, csv, rscript) for n in (SIZES[:1] if quick else SIZES)]
        n, replicates = (5_000, 50) if quick else (N_BOOTSTRAP, N_REPLICATES)
        kept.append(bench_bootstrap(n, csv, rscript, n_replicates=replicates))
    return 0 if all(kept) or quick else 1


if __name__ == "__main__":
    sys.exit(main())
