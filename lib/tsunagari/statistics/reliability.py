"""Does a scale measure one thing?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tsunagari.errors import ModelError
from tsunagari.statistics.designs import Design
from tsunagari.statistics.domains import NOISE, as_values, make_side


def cronbach_alpha(design: Design, items: pd.DataFrame) -> pd.DataFrame:
    """Return Cronbach's alpha of a scale, weighted and unweighted.

    Args:
        design: Weights and design, n rows.
        items: One column an item, numbers in one direction; complete rows count, shape (n, k).

    Returns:
        Two rows: measure cronbach_alpha, item_value "weighted" and "unweighted".

    Raises:
        ModelError: Fewer than two items, no complete row, or a sum that does not vary.

    References:
        Cronbach (1951), Psychometrika 16(3). R survey: svycralpha.
    """
    table = as_values(items, design.n, name="items").to_numpy()
    complete = ~np.isnan(table).any(axis=1)
    if not complete.any():
        raise ModelError("NO_ANSWERS")
    if table.shape[1] < 2:
        raise ModelError("ONE_ITEM")
    base = make_side(design, complete)
    answers = table[complete]
    schemes = {"weighted": design.weights[complete], "unweighted": np.ones(int(complete.sum()))}
    rows = pd.DataFrame(
        {
            "item_value": list(schemes),
            "estimate": [_alpha(answers, weights) for weights in schemes.values()],
            "n_effective": [base.n_effective[0], float(base.n[0])],
            "weighting": [design.scheme, "unweighted"],
        }
    )
    facts = {"measure": "cronbach_alpha", "unit": "ratio", "domain": "all", "domain_value": "all"}
    return rows.assign(**facts, n_unweighted=base.n[0])


def _alpha(answers: np.ndarray, weights: np.ndarray) -> float:
    share = weights / weights.sum()
    centred = answers - share @ answers
    of_items = share @ np.square(centred)
    of_sum = float(share @ np.square(centred.sum(axis=1)))
    if of_sum <= NOISE * max(1.0, float(np.abs(answers).max()) ** 2):
        raise ModelError("CONSTANT", name="cronbach_alpha")
    k = answers.shape[1]
    return k / (k - 1) * (1 - float(of_items.sum()) / of_sum)
