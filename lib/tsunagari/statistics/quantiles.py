"""Where do a half, a tenth, nine tenths of the people lie (Woodruff)?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from tsunagari.errors import ConfigError
from tsunagari.statistics.designs import Design
from tsunagari.statistics.domains import (
    BETA_UNDER_N,
    NOISE,
    Base,
    as_values,
    assemble_rows,
    clean_error,
    explained_part,
    make_base,
    make_domains,
    make_grid,
    with_left_out,
)
from tsunagari.statistics.estimation import CONFIDENCE, proportion_intervals

# --- quantiles ------------------------------------------------------------------------------------


def quantiles(
    design: Design,
    values: pd.DataFrame | pd.Series,
    *,
    by: pd.DataFrame | pd.Series | None = None,
    probabilities: tuple[float, ...] = (0.5,),
    unit: str = "score",
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Return weighted quantiles with Woodruff intervals.

    The quantile is the smallest value at which the weighted distribution reaches the probability.
    The interval of the share at or below it (logit) is read back through the same rule, and the
    standard error is the interval's length over twice t.

    Args:
        design: Weights and design, n rows.
        values: Numbers, NaN outside the base, shape (n, k).
        by: Domain variables, shape (n, 1..m). None: everybody.
        probabilities: Each strictly between 0 and 1.
        unit: Unit of the values.
        confidence: Coverage of the intervals.

    Returns:
        One row for each domain, column and probability; measure is "median" for 0.5 and otherwise
        "quantile_" with the per cent. A domain of one person stands in `attrs["left_out"]`.

    Raises:
        ConfigError: A probability outside 0 to 1.
        ModelError: No answers at all, or no domain with two people.

    References:
        Woodruff (1952), JASA 47(260). R survey: svyquantile(interval.type = "xlogit",
        qrule = "math").
    """
    if not all(0 < p < 1 for p in probabilities):
        raise ConfigError("PROBABILITY")
    table = as_values(values, design.n, name="values")
    domains = make_domains(by, design.n)
    parts, left_out = [], []
    for column in table:
        number = table[column].to_numpy()
        base = make_base(design, domains, answered=~np.isnan(number))
        figures = [
            [_woodruff(design, base, number, at=(d, p), confidence=confidence)
             for d in range(len(base.index))]
            for p in probabilities
        ]  # fmt: skip
        for p, rows in zip(probabilities, figures, strict=True):
            names = ("estimate", "std_error", "lower", "upper", "zero")
            shown = dict(zip(names, np.array(rows).T, strict=True))
            zero = shown.pop("zero") == 1
            part = make_grid(base, [str(column)], design=design, df=base.df, **shown)
            part = explained_part(part, design, few=base.df < 1, zero=zero)
            part = part.assign(measure="median" if p == 0.5 else f"quantile_{100 * p:g}", unit=unit)
            lone = part["n_unweighted"] == 1
            left_out.append(part.loc[lone, ["domain", "domain_value", "item_value"]])
            parts.append(part[~lone])
    rows = assemble_rows(parts, [str(name) for name in table.columns], domains=domains)
    return with_left_out(rows, pd.concat(left_out, ignore_index=True))


def _woodruff(
    design: Design,
    base: Base,
    number: np.ndarray,
    *,
    at: tuple[int, float],
    confidence: float,
) -> tuple[float, float, float, float, bool]:
    """Return quantile, error, lower and upper end in one domain, and whether it has no error."""
    domain, probability = at
    inside = base.groups == domain
    y, w = number[inside], design.weights[inside]
    order = np.argsort(y, kind="stable")
    y, cumulated = y[order], np.cumsum(w[order])
    point = _read_quantile(y, cumulated, probability)
    below = np.where(inside, np.nan_to_num(number) <= point, False)
    share = 1.0 if point >= y[-1] else float(design.weights[below].sum() / base.weight[domain])
    u = np.where(inside, below - share, 0.0) / base.weight[domain]
    variance = float(clean_error(design.variances(u), 1.0)[0] ** 2)
    df = int(base.df[domain])
    ends = proportion_intervals(
        np.array([share]),
        variance=np.array([variance]),
        n=np.array([BETA_UNDER_N]),  # logit at any size, as R; beta only where all lie below
        n_effective=base.n_effective[[domain]],
        df=np.array([df]),
        confidence=confidence,
    )
    lower, upper = (_read_quantile(y, cumulated, float(end[0])) for end in ends)
    t_value = stats.t.isf((1 - confidence) / 2, df)
    return point, (upper - lower) / (2 * t_value), lower, upper, variance == 0 and share < 1


def _read_quantile(y: np.ndarray, cumulated: np.ndarray, probability: float) -> float:
    """Return the smallest value at which the weighted distribution reaches a probability."""
    wanted = probability * cumulated[-1] * (1 - NOISE)
    return float(y[min(np.searchsorted(cumulated, wanted), len(y) - 1)])
