"""Write the two small samples that models_reference.R and test_models.py read.

Run from the repository: `python tests/reference/models_sample.py`. The numbers are invented; they
have strata, clusters, unequal base weights, missing answers and a rare outcome.
"""

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
BANDS = np.array(["16-19", "20s", "30s", "40s", "50s", "60s", "70s", "80+"])


def draw_sample(n: int, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return n invented respondents with cell sizes of a population."""
    region, band, sex = rng.integers(1, 4, n), rng.integers(0, 8, n), rng.integers(1, 3, n)
    cell = (region - 1) * 16 + band * 2 + sex - 1
    persons = np.random.default_rng(99).integers(5_000, 60_000, 48)
    job = rng.choice(["1", "2", "3", ""], n, p=[0.5, 0.25, 0.22, 0.03])
    confidant = np.where(rng.random(n) < 0.12, "2", "1")
    score = -2.9 + 1.6 * (confidant == "2") + 0.5 * (job == "3") - 0.1 * band + 0.3 * (sex == 1)
    lonely = (rng.random(n) < 1 / (1 + np.exp(-score))).astype(float)
    latent = score + rng.logistic(size=n)
    frequency = 1 + np.digitize(latent, [-5.0, -3.0, -1.0])
    return pd.DataFrame(
        {
            "region": region,
            "age_band": BANDS[band],
            "sex": sex,
            "cell": cell,
            "stratum": (region - 1) * 8 + band,
            "psu": rng.integers(0, 6, n) + 6 * ((region - 1) * 8 + band),
            "base_weight": np.round(rng.uniform(0.5, 2.0, n), 3),
            "cell_persons": persons[cell],
            "job": job,
            "confidant": confidant,
            "lonely": np.where(rng.random(n) < 0.02, np.nan, lonely),
            "frequency": frequency,
        }
    )


if __name__ == "__main__":
    for name, n, seed in (("now", 1200, 20230116), ("before", 900, 20220116)):
        sample = draw_sample(n, rng=np.random.default_rng(seed))
        sample.to_csv(HERE / f"models_sample_{name}.csv", index=False, lineterminator="\n")
