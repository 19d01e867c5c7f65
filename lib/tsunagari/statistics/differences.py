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
    ROW_COLUMNS,
    Base,
    as_indicators,
    as_values,
    assemble_rows,
    base_groups,
    base_sums,
    check_indicators,
    clean_error,
    explained_part,
    is_varying,
    make_base,
    make_domains,
    make_grid,
    make_side,
    no_answers,
    with_left_out,
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
    return _all_differences(
        design, as_indicators(indicators, design.n), by=by, unit="points", confidence=confidence
    )


def mean_differences(
    design: Design,
    values: pd.DataFrame | pd.Series,
    *,
    by: pd.DataFrame | pd.Series,
    unit: str = "score",
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Return each domain's mean minus the rest's, with the covariance of the two.

    Args:
        design: Weights and design, n rows.
        values: Numbers, NaN outside the base, shape (n, k).
        by: Domain variables, shape (n, 1..m).
        unit: Unit of the values.
        confidence: Coverage of the intervals.

    Returns:
        As `differences`, measure difference_mean; a side of one person has no row and stands in
        `attrs["left_out"]`.

    Raises:
        ModelError: No answers at all, fewer than two domains with answers or with two people.
    """
    table = as_values(values, design.n, name="values")
    return _all_differences(design, table, by=by, unit=unit, confidence=confidence)


def _all_differences(
    design: Design,
    table: pd.DataFrame,
    *,
    by: pd.DataFrame | pd.Series,
    unit: str,
    confidence: float,
) -> pd.DataFrame:
    columns = [str(name) for name in table.columns]
    values = table.to_numpy()
    domains = make_domains(by, design.n)
    measure = "difference_points" if unit == "points" else "difference_mean"
    parts, left_out = [], []
    for which, answered in base_groups(values):
        base = make_base(design, domains, answered=answered)
        if len(base.index) < 2:
            raise ModelError("ONE_DOMAIN")
        number = np.where(answered[:, None], values[:, which], 0.0)
        figures = _against_rest(design, base, number, unit=unit, confidence=confidence)
        part = make_grid(base, [columns[c] for c in which], design=design, **figures)
        masks = {name: part.pop(name).to_numpy() for name in ("few", "zero")}
        part = explained_part(part, design, **masks).assign(measure=measure, unit=unit)
        n_rest = base.n.sum() - part["n_unweighted"]
        lone = (unit != "points") & ((part["n_unweighted"] == 1) | (n_rest == 1))
        left_out.append(part.loc[lone, ["domain", "domain_value", "item_value"]])
        parts.append(part[~lone])
    rows = assemble_rows(parts, columns, domains=domains)
    return with_left_out(rows, pd.concat(left_out, ignore_index=True))


def difference_between(
    design: Design,
    values: pd.DataFrame | pd.Series,
    *,
    group: np.ndarray,
    other: np.ndarray,
    unit: str = "points",
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Return one group minus another, which may overlap: a region against the whole, say.

    Args:
        design: Weights and design, n rows.
        values: 0/1 for unit "points", else numbers; NaN outside the base, shape (n, k).
        group: Rows of the first group, bool, shape (n,).
        other: Rows of the second, bool, shape (n,); rows in both keep their covariance.
        unit: "points" multiplies by 100 and guards sides at 0 or 100 %.
        confidence: Coverage of the intervals.

    Returns:
        One row a column: estimate, std_error, lower, upper, df (rows of either group), p_value,
        n_unweighted, n_effective and n_cell of the first group.

    Raises:
        ModelError: A group has no answers.
    """
    table = as_values(values, design.n, name="values")
    if unit == "points":
        check_indicators(table.to_numpy())
    parts = []
    for which, answered in base_groups(table.to_numpy()):
        number = np.where(answered[:, None], table.to_numpy()[:, which], 0.0)
        sides = [make_side(design, np.asarray(mask, bool) & answered) for mask in (group, other)]
        part = _contrast(design, sides, number, unit=unit, confidence=confidence)
        names = np.asarray([str(table.columns[c]) for c in which], dtype=object)
        parts.append(part.assign(item_value=names))
    rows = pd.concat(parts, ignore_index=True)
    order = rows["item_value"].map({str(c): p for p, c in enumerate(table.columns)})
    rows = rows.iloc[np.argsort(order.to_numpy(), kind="stable")].reset_index(drop=True)
    rows = rows.assign(
        measure="difference_points" if unit == "points" else "difference_mean",
        unit=unit,
        domain="all",
        domain_value="all",
        weighting=design.scheme,
    )
    return rows[[name for name in ROW_COLUMNS if name in rows.columns]]


def _contrast(
    design: Design, sides: list[Base], number: np.ndarray, *, unit: str, confidence: float
) -> pd.DataFrame:
    """Return estimate, error, interval and test of the first side minus the second."""
    df = design.degrees_of_freedom((sides[0].groups == 0) | (sides[1].groups == 0))
    mean, u, guard = [], [], 0.0
    for side in sides:
        mask = side.groups == 0
        count = base_sums(side, number)[0]
        one = (design.weights[mask] @ number[mask]) / side.weight[0]
        if unit == "points":
            one = exact_edges(one, count=count, n=side.n[0])
            guard = guard + _edge_variance(
                one, n=side.n[0], n_effective=side.n_effective[0], df=df, confidence=confidence
            )
        mean.append(one)
        u.append(np.where(mask[:, None], number - one, 0.0) / side.weight[0])
    variance = design.variances(u[0] - u[1])
    figures = _gap_figures(*mean, variance=variance, guard=guard, df=df, unit=unit,
                           confidence=confidence)  # fmt: skip
    figures |= {"n_unweighted": sides[0].n[0], "n_effective": sides[0].n_effective[0]}
    if unit == "points":
        figures["n_cell"] = base_sums(sides[0], number)[0].round().astype(np.int64)
    varies = (is_varying(sides[0], number) | is_varying(sides[1], number))[0]
    few = min(df, *(side.df[0] for side in sides)) < 1
    zero = (figures["std_error"] == 0) & varies
    return explained_part(pd.DataFrame(figures), design, few=few, zero=zero)


def _against_rest(
    design: Design, base: Base, number: np.ndarray, *, unit: str, confidence: float
) -> dict[str, np.ndarray]:
    """Return the figures of every domain minus the others, each (D, k); as `_contrast`."""
    count = base_sums(base, number)
    total = base_sums(base, number * design.weights[:, None])
    squares = base.weight**2 / base.n_effective
    rest = {"weight": base.weight.sum() - base.weight, "n": base.n.sum() - base.n}
    rest["n_effective"] = rest["weight"] ** 2 / (squares.sum() - squares)
    mean = total / base.weight[:, None]
    others = (total.sum(axis=0) - total) / rest["weight"][:, None]
    df = design.degrees_of_freedom(base.groups >= 0)
    guard = 0.0
    if unit == "points":
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
    figures = _gap_figures(mean, others, variance=variance, guard=guard, df=df, unit=unit,
                           confidence=confidence)  # fmt: skip
    figures["df"] = np.full(mean.shape, df)
    figures["few"] = np.minimum(base.df, _rest_df(design, base)) < 1
    figures["zero"] = (figures["std_error"] == 0) & is_varying(base, number).any(axis=0)
    return figures | ({"n_cell": count} if unit == "points" else {})


def _rest_df(design: Design, base: Base) -> np.ndarray:
    """Return the degrees of freedom of all domains but one, for each, shape (D,)."""
    rest = ((base.groups >= 0) & (base.groups != d) for d in range(len(base.index)))
    return np.array([design.degrees_of_freedom(mask) for mask in rest])


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
    guard: np.ndarray | float,
    df: int,
    unit: str,
    confidence: float,
) -> dict[str, np.ndarray]:
    """Return estimate, error, interval and two-sided p value of first minus second."""
    t_value = stats.t.isf((1 - confidence) / 2, df)
    scale = np.maximum(np.abs(first), np.abs(second))
    error = np.sqrt(clean_error(variance, scale) ** 2 + guard)
    estimate = first - second
    statistic = np.divide(np.abs(estimate), error, out=np.full_like(error, np.inf), where=error > 0)
    statistic = np.where((error == 0) & (np.abs(estimate) <= NOISE * scale), 0.0, statistic)
    by, most = (100, 1.0) if unit == "points" else (1, np.inf)
    return {
        "estimate": by * estimate,
        "std_error": by * error,
        "lower": by * np.maximum(estimate - t_value * error, -most),
        "upper": by * np.minimum(estimate + t_value * error, most),
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


def covariances(design: Design, values: pd.DataFrame | pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted means and their covariance, each column on its own base.

    Args:
        design: Weights and design, n rows.
        values: Numbers, NaN outside the base, shape (n, k). Masked copies of one variable give
            domains that overlap.

    Returns:
        Means, shape (k,), and covariance, shape (k, k), in the unit of the values.

    Raises:
        ModelError: A column has no answers.
    """
    number = as_values(values, design.n, name="values").to_numpy()
    answered = ~np.isnan(number)
    if not answered.any(axis=0).all():
        raise no_answers()
    filled = np.where(answered, number, 0.0)
    weight = design.weights @ answered
    mean = design.weights @ filled / weight
    return mean, design.covariance(np.where(answered, filled - mean, 0.0) / weight)
