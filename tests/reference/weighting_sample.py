"""Write the samples that weighting_reference.R and the tests of weighting and estimation read.

Run `python tests/reference/weighting_sample.py`, then `Rscript weighting_reference.R` in this
folder. The CSV files are committed, so no test depends on this script, on R or on a later version
of the project's synthetic sample.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from tsunagari.intake.cleaning import clean_responses
from tsunagari.intake.reading import read_responses
from tsunagari.study.population import load_targets
from tsunagari.study.survey import open_study

HERE = Path(__file__).resolve().parent
N_QUOTA = 600
REGIONS, AGES, SEXES, MARITAL = "123", "1234567", "12", "abc"
# PSUs sampled, PSUs in the population: certainty is C and E, lonely is D
CLUSTER_STRATA = {"A": (5, 40), "B": (4, 20), "C": (3, 3), "D": (1, 12), "E": (1, 1), "F": (6, 90)}


def quota_sample(rng: np.random.Generator) -> pd.DataFrame:
    """Return people drawn unevenly over cells, with answers that lean on age and sex."""
    cells = [(r, a, s) for r in REGIONS for a in AGES for s in SEXES]
    chance = rng.uniform(0.5, 2.0, len(cells))
    picked = np.concatenate(
        [
            np.arange(len(cells)),
            rng.choice(len(cells), N_QUOTA - len(cells), p=chance / chance.sum()),
        ]
    )
    people = pd.DataFrame([cells[c] for c in picked], columns=["region", "age", "sex"])
    n, age = len(people), people["age"].astype(int)
    people["marital"] = rng.choice(list(MARITAL), n, p=[0.6, 0.3, 0.1])
    people["base_weight"] = np.exp(rng.normal(0, 0.4, n)).round(3)
    # An old man of the third region may stand alone in his stratum: the lone cell
    people["stratum_age"] = np.where(people["age"].isin(["6", "7"]), "6", people["age"])
    lone = people.index[(people["region"] == "3") & (people["age"] == "7")][0]
    people.loc[lone, "stratum_age"] = "7"
    lonely = rng.random(n) < 0.04 + 0.015 * (7 - age) + 0.05 * (people["sex"] == "1")
    people["lonely"] = lonely.astype(int)
    none = (people["region"] == "1") & (people["age"] == "1")
    every = (people["region"] == "2") & (people["age"] == "7")
    people["edge"] = np.where(none, 0, np.where(every, 1, rng.random(n) < 0.3)).astype(int)
    people["answer"] = np.clip((rng.normal(3, 1.1, n) + lonely).round(), 1, 5).astype(int)
    for item in ("ucla1", "ucla2", "ucla3"):
        people[item] = np.clip((1.6 + lonely + rng.normal(0, 0.8, n)).round(), 1, 4).astype(int)
    people["score"] = (people["ucla1"] + people["ucla2"] + people["ucla3"]).astype("Int64")
    people.loc[rng.random(n) < 0.03, "score"] = pd.NA
    people["minutes"] = rng.gamma(2, 6, n).round(2)
    return people.sample(frac=1, random_state=rng).reset_index(drop=True)


def population(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return persons by region, age and sex, and by marital status."""
    cells = [(r, a, s) for r in REGIONS for a in AGES for s in SEXES]
    table = pd.DataFrame(cells, columns=["region", "age", "sex"])
    table["population"] = rng.integers(4_000, 30_000, len(table))
    whole = int(table["population"].sum())
    first, second = int(0.55 * whole), int(0.35 * whole)
    marital = pd.DataFrame(
        {"marital": list(MARITAL), "population": [first, second, whole - first - second]}
    )
    return table, marital


def cluster_sample(rng: np.random.Generator) -> pd.DataFrame:
    """Return people in sampling units in strata, some taken with certainty and one lonely."""
    rows = []
    for stratum, (n_psu, n_population) in CLUSTER_STRATA.items():
        for psu in range(1, n_psu + 1):
            effect = rng.normal(0, 0.6)
            for _ in range(int(rng.integers(6, 13))):
                weight = round(float(n_population / n_psu * rng.uniform(5, 15)), 3)
                sex = str(rng.integers(1, 3))
                score = round(float(6 + effect + rng.normal(0, 1.5)), 3)
                lonely = int(rng.random() < 0.15 + 0.05 * effect)
                rows.append((stratum, psu, n_population, weight, sex, score, lonely))
    names = ["stratum", "psu", "fpc", "base_weight", "sex", "score", "lonely"]
    return pd.DataFrame(rows, columns=names)


def synthetic_sample() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what the project's own synthetic sample holds of cells and loneliness, and targets."""
    study = open_study("ehime", 2022)
    people = clean_responses(read_responses(study), study).respondents
    columns = ["region", "age_band", "sex", "lonely_direct", "ucla_total"]
    targets = load_targets(study)
    return people[columns], targets[["region", "age_band", "sex", "population"]]


def main() -> None:
    """Write the six files beside this script."""
    rng = np.random.default_rng(20221)
    table, marital = population(rng)
    quota_sample(rng).to_csv(HERE / "weighting_quota.csv", index=False)
    table.to_csv(HERE / "weighting_population.csv", index=False)
    marital.to_csv(HERE / "weighting_marital.csv", index=False)
    cluster_sample(rng).to_csv(HERE / "weighting_clusters.csv", index=False)
    people, targets = synthetic_sample()
    people.to_csv(HERE / "weighting_synthetic.csv", index=False)
    targets.to_csv(HERE / "weighting_synthetic_population.csv", index=False)


if __name__ == "__main__":
    main()
