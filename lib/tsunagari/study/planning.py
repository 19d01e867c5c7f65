"""How many people to ask in which cell, and how precise will the answers be?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm

from tsunagari.errors import ConfigError
from tsunagari.study.codebook import Item

CONFIDENCE = 0.95
POWER = 0.8  # chance to see a change that is there
PERCENTS = (5.0, 10.0, 50.0)


def allocate_quota(population: pd.Series, n: int) -> pd.Series:
    """Share out n interviews in proportion to the population, by largest remainder.

    Args:
        population: Persons per cell, shape (n_cells,), none negative.
        n: Interviews to share out.

    Returns:
        Whole numbers on the same index that sum to n. Equal remainders go to the earlier cell.

    Raises:
        ConfigError: n is under 1, or the population is empty, negative or no finite number.

    Example:
        >>> allocate_quota(pd.Series({"N": 50, "S": 30, "W": 20}), 7).to_dict()
        {'N': 4, 'S': 2, 'W': 1}
    """
    if n < 1 or not ((population >= 0).all() and 0 < population.sum() < math.inf):
        raise ConfigError("QUOTA")
    exact = population * n / population.sum()
    counts = np.floor(exact).astype(int)
    left = n - counts.sum()
    first = (exact - counts).sort_values(ascending=False, kind="stable").index[:left]
    counts.loc[first] += 1
    return counts


def plan_quotas(
    targets: pd.DataFrame, n: int, *, by: Sequence[str], age: Item, minimum_n: int
) -> pd.DataFrame:
    """Return the quota of every cell, and how cells too thin to weight would be merged.

    Args:
        targets: Columns `by` and more, and `population` in persons, one row a cell.
        n: Respondents wanted.
        by: Variables of the quota, such as region and age band; other variables are summed over.
        age: The age item with its recode tree, one of `by`.
        minimum_n: Fewest respondents a cell should hold.

    Returns:
        Columns `by`, population, share_pct, quota, merge_into: the finest net of the age tree that
        reaches `minimum_n` together, empty where the cell stands by itself, "?" where no net does.
    """
    cells = targets.groupby(list(by), sort=False)["population"].sum()
    table = cells.reset_index()
    table["share_pct"] = 100 * table["population"] / table["population"].sum()
    table["quota"] = allocate_quota(cells, n).to_numpy()
    others = [name for name in by if name != age.name]
    table["merge_into"] = ""
    for row in table.index[table["quota"] < minimum_n]:
        same = (table[others] == table.loc[row, others]).all(axis=1)
        code = table.loc[row, age.name]
        sizes = {
            net: table.loc[same & table[age.name].isin(codes), "quota"].sum()
            for net, (_, codes) in age.nets.items()
            if code in codes
        }
        table.loc[row, "merge_into"] = next((m for m, s in sizes.items() if s >= minimum_n), "?")
    return table


def expected_half_widths(
    n_respondents: pd.Series, *, design_effect: float, percents: Sequence[float] = PERCENTS
) -> pd.DataFrame:
    """Return half the width of the interval to expect, in points.

    Args:
        n_respondents: Respondents per domain, shape (n_domains,).
        design_effect: Variance against a simple random sample of the same size.
        percents: Percentages to expect.

    Returns:
        Index the domains; columns n_respondents, then `half_width_<percent>` in points. Normal
        approximation: z sqrt(deff p (100 - p) / n).

    Example:
        >>> widths = expected_half_widths(pd.Series({"all": 2000}), design_effect=1.0)
        >>> widths.round(2).iloc[0].tolist()  # 1.96 sqrt(5 * 95 / 2000) = 0.96
        [2000.0, 0.96, 1.31, 2.19]
    """
    z = norm.ppf(0.5 + CONFIDENCE / 2)
    table = pd.DataFrame({"n_respondents": n_respondents})
    for percent in percents:
        variance = design_effect * percent * (100 - percent) / n_respondents
        table[f"half_width_{percent:g}"] = z * np.sqrt(variance)
    return table


def sample_size_for_half_width(
    half_width_points: float, *, percent: float, design_effect: float
) -> int:
    """Return the respondents needed for a wanted half-width.

    Args:
        half_width_points: Half the width of the 95 % interval, in points.
        percent: Percentage to expect.
        design_effect: Variance against a simple random sample.

    Example:
        >>> sample_size_for_half_width(1.0, percent=5.0, design_effect=1.0)  # 3.8415 * 475
        1825
    """
    z = norm.ppf(0.5 + CONFIDENCE / 2)
    return math.ceil(z**2 * design_effect * percent * (100 - percent) / half_width_points**2)


def sample_size_for_change(
    before_percent: float, after_percent: float, *, design_effect: float, power: float = POWER
) -> int:
    """Return the respondents needed in each of two waves to tell them apart.

    Args:
        before_percent: Percentage in the earlier wave.
        after_percent: Percentage in the later wave.
        design_effect: Variance against a simple random sample, the same in both.
        power: Chance that the two-sided 5 % test sees the change.

    Raises:
        ConfigError: There is no change to see.

    References:
        Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, section 4.1.

    Example:
        >>> sample_size_for_change(7.5, 5.5, design_effect=1.0)
        2384
    """
    if before_percent == after_percent:
        raise ConfigError("NO_CHANGE")
    before, after = before_percent / 100, after_percent / 100
    middle = (before + after) / 2
    spread = norm.ppf(0.5 + CONFIDENCE / 2) * math.sqrt(2 * middle * (1 - middle)) + norm.ppf(
        power
    ) * math.sqrt(before * (1 - before) + after * (1 - after))
    return math.ceil(design_effect * (spread / (before - after)) ** 2)


def compare_with_quota(quotas: pd.DataFrame, respondents: pd.DataFrame) -> pd.DataFrame:
    """Return what came in against the quota, per cell.

    Args:
        quotas: From `plan_quotas`.
        respondents: Cleaned respondents with the same cell variables.

    Returns:
        The quotas with achieved (respondents), gap (achieved - quota) and achieved_pct.
    """
    by = [name for name in quotas.columns if name in respondents.columns]
    achieved = respondents.groupby(by).size()
    place = pd.MultiIndex.from_frame(quotas[by]) if len(by) > 1 else pd.Index(quotas[by[0]])
    table = quotas.assign(achieved=achieved.reindex(place).fillna(0).astype(int).to_numpy())
    return table.assign(
        gap=table["achieved"] - table["quota"],
        achieved_pct=100 * table["achieved"] / table["quota"].where(table["quota"] > 0),
    )
