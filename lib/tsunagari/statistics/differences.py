"""How far apart are two shares or means, and how sure is that?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from tsunagari.errors import ModelError
from tsunagari.statistics.designs import Design
from tsunagari.statistics.domains import (
    CHUNK_VALUES,
    NOISE,
    Base,
    as_indicators,
    base_sums,
    clean_error,
    explained_part,
    is_varying,
    make_grid,
    tabulate,
)
from tsunagari.statistics.estimation import CONFIDENCE, exact_edges, proportion_intervals

# --- differences ----------------------------------------------------------------------------------


def differences(
    design: Design,
    indicators: pd.DataFrame | pd.Series,
    *,
    by: pd.DataFrame | pd.Series,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Return each domain minus the rest, in points, with the covariance of the two.

    The rest is everybody in the base and in another domain. Where one side stands at 0 or 100 %
    its linearised variance is nought; the length of its beta interval over t stands in for its
    standard error, so that no difference is called sure on the strength of a missing count.

    Args:
        design: Weights and design, n rows.
        indicators: 0/1, NaN outside the base, shape (n, k).
        by: Domain variables, shape (n, 1..m).
        confidence: Coverage of the intervals.

    Returns:
        One row for each domain and column: measure difference_points, estimate, std_error, lower,
        upper in points, p_value two-sided by t, n_unweighted of the domain.

    Raises:
        ModelError: No answers at all, fewer than two domains with answers, values not 0 or 1.

    References:
        Zou and Donner (2008), Statistics in Medicine 27(10), for the side at 0 or 100 %.
    """

    def part(base: Base, number: np.ndarray, *, names: list[str]) -> pd.DataFrame:
        if len(base.index) < 2:
            raise ModelError("ONE_DOMAIN")
        figures = _against_rest(design, base, number, confidence=confidence)
        rows = make_grid(base, names, design=design, **figures)
        masks = {name: rows.pop(name).to_numpy() for name in ("few", "zero")}
        rows = explained_part(rows, design, **masks)
        return rows.assign(measure="difference_points", unit="points")

    return tabulate(design, as_indicators(indicators, design.n), by=by, part=part)


def _against_rest(
    design: Design, base: Base, number: np.ndarray, *, confidence: float
) -> dict[str, np.ndarray]:
    """Return estimate, error, interval and test of every domain minus the others, each (D, k)."""
    count = base_sums(base, number)
    total = base_sums(base, number * design.weights[:, None])
    squares = base.weight**2 / base.n_effective
    rest = {"weight": base.weight.sum() - base.weight, "n": base.n.sum() - base.n}
    rest["n_effective"] = rest["weight"] ** 2 / (squares.sum() - squares)
    mean = total / base.weight[:, None]
    others = (total.sum(axis=0) - total) / rest["weight"][:, None]
    df = design.degrees_of_freedom(base.groups >= 0)
    count = count.round().astype(np.int64)
    mean = exact_edges(mean, count=count, n=base.n[:, None])
    others = exact_edges(others, count=count.sum(axis=0) - count, n=rest["n"][:, None])
    keys = {"df": df, "confidence": confidence}
    guard = _edge_variance(
        mean, n=base.n[:, None], n_effective=base.n_effective[:, None], **keys
    ) + _edge_variance(
        others, n=rest["n"][:, None], n_effective=rest["n_effective"][:, None], **keys
    )
    variance = _rest_variances(
        design, base, number, centre=(mean, others), scale=(base.weight, rest["weight"])
    )
    figures = _gap_figures(
        mean, others, variance=variance, guard=guard, df=df, confidence=confidence
    )
    figures["df"] = np.full(mean.shape, df)
    masks = ((base.groups >= 0) & (base.groups != d) for d in range(len(base.index)))
    rest_df = np.array([design.degrees_of_freedom(mask) for mask in masks])
    figures["few"] = np.minimum(base.df, rest_df) < 1
    figures["zero"] = (figures["std_error"] == 0) & is_varying(base, number).any(axis=0)
    return figures | {"n_cell": count}


def _rest_variances(
    design: Design,
    base: Base,
    number: np.ndarray,
    *,
    centre: tuple[np.ndarray, np.ndarray],
    scale: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Return the variance of every domain's mean minus the others', shape (D, k)."""
    n, k = number.shape
    n_domains = len(base.index)
    variances = np.empty((n_domains, k))
    inside = np.flatnonzero(base.groups >= 0)
    step = max(1, CHUNK_VALUES // max(1, n * k))
    for start in range(0, n_domains, step):
        stop = min(start + step, n_domains)
        u = np.zeros((n, stop - start, k))
        gap = number[inside][:, None, :] - centre[1][None, start:stop]
        u[inside] = -gap / scale[1][start:stop, None]
        rows = np.flatnonzero((base.groups >= start) & (base.groups < stop))
        group = base.groups[rows]
        u[rows, group - start] = (number[rows] - centre[0][group]) / scale[0][group, None]
        variances[start:stop] = design.variances(u.reshape(n, -1)).reshape(stop - start, k)
    return variances


def _gap_figures(
    first: np.ndarray,
    second: np.ndarray,
    *,
    variance: np.ndarray,
    guard: np.ndarray,
    df: int,
    confidence: float,
) -> dict[str, np.ndarray]:
    """Return estimate, error, interval in points and two-sided p value of first minus second."""
    t_value = stats.t.isf((1 - confidence) / 2, df)
    scale = np.maximum(np.abs(first), np.abs(second))
    error = np.sqrt(clean_error(variance, scale) ** 2 + guard)
    estimate = first - second
    statistic = np.divide(np.abs(estimate), error, out=np.full_like(error, np.inf), where=error > 0)
    statistic = np.where((error == 0) & (np.abs(estimate) <= NOISE * scale), 0.0, statistic)
    return {
        "estimate": 100 * estimate,
        "std_error": 100 * error,
        "lower": 100 * np.maximum(estimate - t_value * error, -1.0),
        "upper": 100 * np.minimum(estimate + t_value * error, 1.0),
        "df": df,
        "p_value": 2 * stats.t.sf(statistic, df),
    }


def _edge_variance(
    share: np.ndarray,
    *,
    n: np.ndarray | int,
    n_effective: np.ndarray | float,
    df: int,
    confidence: float,
) -> np.ndarray:
    """Variance that stands in for a side at 0 or 1: (length of its beta interval / t)^2."""
    edge = (share <= 0) | (share >= 1)
    if not edge.any():
        return np.zeros_like(share)
    same = np.ones_like(share)
    lower, upper = proportion_intervals(
        share,
        variance=0 * same,
        n=n * same,
        n_effective=n_effective * same,
        df=same,
        confidence=confidence,
    )
    t_value = stats.t.isf((1 - confidence) / 2, df)
    return np.where(edge, ((upper - lower) / t_value) ** 2, 0.0)
