"""How many digits may leave (SDC-1 P9)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tsunagari.estimates import conform, decimals_of, round_half_up
from tsunagari.gate.words import clean_text

P_VALUE_FLOOR = 0.001  # a p-value of 0.001 on the page means 0.001 or less


# --- rounding -------------------------------------------------------------------------------------


def round_published(estimates: pd.DataFrame) -> pd.DataFrame:
    """Round every figure half up as the page shows it, clean texts, blank the counts of cells.

    Percents, their differences and intervals: one decimal or none (`is_whole`); odds ratios,
    scores and ratios two; persons to the thousand (to the hundred under 10,000); p-values three,
    never below 0.001, which then means 0.001 or less.

    Args:
        estimates: Rows that passed the gate.

    Returns:
        The same rows, rounded; `n_cell` is blank.
    """
    table = conform(estimates)
    decimals = decimals_of(table)
    for name in ("estimate", "std_error", "lower", "upper"):
        table[name] = round_half_up(table[name].to_numpy(float), decimals=decimals)
    for name in ("p_value", "p_adjusted"):
        rounded = round_half_up(table[name].to_numpy(float), decimals=3)
        table[name] = np.maximum(rounded, P_VALUE_FLOOR)
    for name in ("df", "n_unweighted", "n_effective"):
        table[name] = round_half_up(table[name].to_numpy(float), decimals=0)
    table["n_cell"] = np.nan
    for name in ("item_label", "reason", "source"):
        table[name] = table[name].map(clean_text, na_action="ignore").astype("str")
    return table
