"""What do the weighted answers say, and within which limits?

Percents, means, totals, differences, quantiles, tests and replicate weights. Every function takes
the `Design` and returns rows of the estimates table. Formulas: docs/methods.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import special, stats

from tsunagari.statistics.designs import Design
from tsunagari.statistics.domains import (
    BETA_UNDER_N,
    Base,
    as_indicators,
    as_values,
    base_sums,
    clean_error,
    domain_variances,
    explained_part,
    is_varying,
    make_grid,
    tabulate,
    with_left_out,
)

CONFIDENCE = 0.95


# --- proportions ----------------------------------------------------------------------------------


def proportion_intervals(
    share: np.ndarray,
    *,
    variance: np.ndarray,
    n: np.ndarray,
    n_effective: np.ndarray,
    df: np.ndarray,
    confidence: float = CONFIDENCE,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of proportions: logit, or beta where the logit cannot be trusted.

    Beta (Korn-Graubard) where the share is 0 or 1 or the base is under 50:
    n_eff = p(1-p)/V * (t_{n-1}/t_df)^2, at most n; at 0 or 1 n_eff is Kish's.

    Args:
        share: Proportions between 0 and 1, any shape.
        variance: Their linearised variances, same shape.
        n: Respondents in the base, same shape.
        n_effective: Kish's effective size of the base, same shape.
        df: Degrees of freedom, same shape.
        confidence: Coverage, between 0 and 1.

    Returns:
        Lower and upper ends, between 0 and 1; NaN where df is under 1.

    References:
        Korn and Graubard (1998), Survey Methodology 24(2). R survey: svyciprop "xlogit", "beta".

    Example:
        >>> one = np.array([1.0])
        >>> low, high = proportion_intervals(0 * one, variance=0 * one, n=one, n_effective=one,
        ...                                  df=one)
        >>> float(low[0]), round(float(high[0]), 3)  # 1 - 0.025
        (0.0, 0.975)
    """
    tail = (1 - confidence) / 2
    df = np.where(df < 1, np.nan, df)
    edge = (share <= 0) | (share >= 1)
    inner = np.where(edge, 0.5, share)
    odds = np.log(inner / (1 - inner))
    reach = stats.t.isf(tail, df) * np.sqrt(variance) / (inner * (1 - inner))
    lower, upper = special.expit(odds - reach), special.expit(odds + reach)
    small = edge | (n < BETA_UNDER_N)
    if not small.any():
        return lower, upper
    ratio = stats.t.isf(tail, np.maximum(n - 1, 1)) / stats.t.isf(tail, df)
    size = np.divide(inner * (1 - inner), variance, out=np.full_like(inner, np.inf),
                     where=variance > 0)  # fmt: skip
    size = np.where(edge, n_effective, np.minimum(size * ratio**2, n))
    hit, miss = size * share, size * (1 - share)
    beta_lower = np.where(share <= 0, 0.0, stats.beta.ppf(tail, np.maximum(hit, 1e-300), miss + 1))
    beta_upper = np.where(share >= 1, 1.0, stats.beta.isf(tail, hit + 1, np.maximum(miss, 1e-300)))
    known = np.isfinite(df)
    lower, upper = np.where(small, beta_lower, lower), np.where(small, beta_upper, upper)
    return np.where(known, lower, np.nan), np.where(known, upper, np.nan)


def percents(
    design: Design,
    indicators: pd.DataFrame | pd.Series,
    *,
    by: pd.DataFrame | pd.Series | None = None,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Return weighted percents of a whole table, options by domains, with intervals.

    Args:
        design: Weights and design, n rows.
        indicators: 0/1, NaN outside the base, shape (n, k); columns are item values.
        by: Domain variables, shape (n, 1..m); a missing value is in no domain. None: everybody.
        confidence: Coverage of the intervals.

    Returns:
        One row for each domain with a base and each column: estimate, std_error, lower, upper in
        per cent (0-100), df, n_unweighted (base), n_effective (Kish, of the base), n_cell
        (respondents with a 1). A domain nobody of which is in the base has no row. Without a degree
        of freedom there is no error, and no interval of what calibration fixes: `reason` says so.

    Raises:
        ModelError: No answers at all, rows that do not match, values other than 0 and 1.
    """

    def part(base: Base, chosen: np.ndarray, *, names: list[str]) -> pd.DataFrame:
        share, variance, cell = _shares(design, base, chosen)
        n, n_effective, df = (
            np.repeat(x[:, None], len(names), axis=1) for x in (base.n, base.n_effective, base.df)
        )
        lower, upper = proportion_intervals(
            share, variance=variance, n=n, n_effective=n_effective, df=df, confidence=confidence
        )
        figures = {"estimate": share, "std_error": np.sqrt(variance), "lower": lower}
        figures = {name: 100 * each for name, each in (figures | {"upper": upper}).items()}
        rows = make_grid(base, names, design=design, **figures, df=df, n_cell=cell)
        zero = (variance == 0) & (share > 0) & (share < 1) & (n >= BETA_UNDER_N)
        rows = explained_part(rows, design, few=df.ravel() < 1, zero=zero.ravel())
        return rows.assign(measure="percent", unit="percent")

    return tabulate(design, as_indicators(indicators, design.n), by=by, part=part)


def _shares(
    design: Design, base: Base, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return shares, their variances and unweighted counts, each (D, k); 0 and 1 exact."""
    cell = base_sums(base, chosen).round().astype(np.int64)
    share = base_sums(base, chosen * design.weights[:, None]) / base.weight[:, None]
    share = exact_edges(share, count=cell, n=base.n[:, None])
    variance = domain_variances(design, base, values=chosen, centre=share, scale=base.weight)
    return share, clean_error(variance, 1.0) ** 2, cell


def sensitivity(designs: Mapping[str, Design], indicators: pd.DataFrame) -> pd.DataFrame:
    """Return the same percents under every weighting, one after the other.

    Args:
        designs: Designs by name, of the same n respondents; `weighting.alternative_designs`.
        indicators: 0/1, NaN outside the base, shape (n, k): the headline figures.

    Returns:
        Rows as `percents`; `weighting` holds the design's name.

    Raises:
        ModelError: As `percents`.
    """
    parts = [
        percents(design, indicators).assign(weighting=name) for name, design in designs.items()
    ]
    return pd.concat(parts, ignore_index=True)


# --- means, totals --------------------------------------------------------------------------------


def means(
    design: Design,
    values: pd.DataFrame | pd.Series,
    *,
    by: pd.DataFrame | pd.Series | None = None,
    unit: str = "score",
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Return weighted means with t intervals.

    Args:
        design: Weights and design, n rows.
        values: Numbers, NaN outside the base, shape (n, k).
        by: Domain variables, shape (n, 1..m). None: everybody.
        unit: Unit of the values.
        confidence: Coverage of the intervals.

    Returns:
        One row for each domain and column. A domain of one person has no standard error, and its
        mean would be that person's answer: it has no row and stands in `attrs["left_out"]`.

    Raises:
        ModelError: No answers at all, or no domain with two people.
    """
    return _numbers(design, values, by=by, measure="mean", unit=unit, confidence=confidence)


def totals(
    design: Design,
    values: pd.DataFrame | pd.Series,
    *,
    by: pd.DataFrame | pd.Series | None = None,
    unit: str = "persons",
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Return weighted totals with t intervals; of indicators, persons in the population.

    Args:
        design: Weights in persons, n rows.
        values: Numbers, NaN outside the base (they add nothing), shape (n, k).
        by: Domain variables, shape (n, 1..m). None: everybody.
        unit: Unit of the totals.
        confidence: Coverage of the intervals.

    Returns:
        As `means`. The lower end of what cannot be negative is not below 0.

    Raises:
        ModelError: No answers at all, or no domain with two people.
    """
    return _numbers(design, values, by=by, measure="total", unit=unit, confidence=confidence)


def _numbers(
    design: Design,
    table: pd.DataFrame | pd.Series,
    *,
    by: pd.DataFrame | pd.Series | None,
    measure: str,
    unit: str,
    confidence: float,
) -> pd.DataFrame:
    left_out = []

    def part(base: Base, number: np.ndarray, *, names: list[str]) -> pd.DataFrame:
        estimate, error, floor = number_figures(design, base, number=number, measure=measure)
        reach = stats.t.isf((1 - confidence) / 2, base.df)[:, None] * error
        figures = {"estimate": estimate, "std_error": error, "upper": estimate + reach}
        figures["lower"] = np.maximum(estimate - reach, floor)
        rows = make_grid(base, names, design=design, **figures, df=base.df)
        zero = (error == 0) & (is_varying(base, number) if measure == "mean" else estimate != 0)
        few = (rows["df"] < 1).to_numpy()
        rows = explained_part(rows, design, few=few, zero=zero.ravel())
        lone = rows["n_unweighted"] == 1
        left_out.append(rows.loc[lone, ["domain", "domain_value", "item_value"]])
        return rows[~lone].assign(measure=measure, unit=unit)

    rows = tabulate(design, as_values(table, design.n, name="values"), by=by, part=part)
    return with_left_out(rows, pd.concat(left_out, ignore_index=True))


def number_figures(
    design: Design, base: Base, *, number: np.ndarray, measure: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return estimates, standard errors and the lowest value an interval may reach, (D, k)."""
    total = base_sums(base, number * design.weights[:, None])
    n_domains, k = total.shape
    size = base_sums(base, np.abs(number) * design.weights[:, None])
    if measure == "mean":
        estimate = total / base.weight[:, None]
        variance = domain_variances(design, base, values=number, centre=estimate, scale=base.weight)
        floor = np.full((n_domains, k), -np.inf)
        return estimate, clean_error(variance, size / base.weight[:, None]), floor
    zero, one = np.zeros((n_domains, k)), np.ones(n_domains)
    variance = domain_variances(design, base, values=number, centre=zero, scale=one)
    floor = np.where((number >= 0).all(axis=0), 0.0, -np.inf)
    return total, clean_error(variance, size), np.broadcast_to(floor, total.shape)


def exact_edges(share: np.ndarray, *, count: np.ndarray, n: np.ndarray | int) -> np.ndarray:
    """Return shares that are exactly 0 or 1 where nobody or everybody counts."""
    return np.where(count == 0, 0.0, np.where(count == n, 1.0, share))
