"""What do the weighted answers say, and within which limits?

Percents, means, totals, differences, quantiles, tests and replicate weights. Every function takes
the `Design` and returns rows of the estimates table. Formulas: docs/methods.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse, special, stats

from tsunagari.study import ModelError
from tsunagari.weighting import Design

CONFIDENCE = 0.95
BETA_UNDER_N = 50  # base below which a proportion's interval is the beta (Korn-Graubard) one
NOISE = 1e-12  # a standard error below this part of its scale is rounding, and nought
_CHUNK_VALUES = 8_000_000  # most influence values held at once
ROW_COLUMNS = (
    "measure unit domain domain_value item_value estimate std_error lower upper df p_value "
    "n_unweighted n_effective weighting n_cell"
).split()


# --- domains --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Domains:
    """Domain code of each row (n,), -1 for rows in none, and the domains' labels in order."""

    name: str
    codes: np.ndarray
    labels: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.labels)


def _domains(by: pd.DataFrame | pd.Series | None, n: int) -> _Domains:
    if by is None:
        return _Domains("all", np.zeros(n, dtype=np.int64), ("all",))
    table = by.to_frame() if isinstance(by, pd.Series) else by
    if len(table) != n:
        raise _length_error("by", len(table), n)
    codes, values = np.zeros(n, dtype=np.int64), [()]
    for name in table:
        column = table[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            new, levels = column.cat.codes.to_numpy().astype(np.int64), column.cat.categories
        else:
            new, levels = pd.factorize(column.astype("string"), sort=True)
        codes = np.where((codes < 0) | (new < 0), -1, codes * len(levels) + new)
        values = [(*value, str(level)) for value in values for level in levels]
    present = np.unique(codes[codes >= 0])
    if len(present) == 0:
        raise ModelError(
            "NO_DOMAIN",
            "どの回答者も領域に入っていない。領域の変数を確かめる。",
            "No respondent belongs to a domain; look at the domain variables.",
        )
    position = np.full(len(values) + 1, -1, dtype=np.int64)
    position[present] = np.arange(len(present))
    names = tuple(" x ".join(values[code]) for code in present)
    return _Domains(" x ".join(str(name) for name in table), position[codes], names)


def _length_error(name: str, found: int, n: int) -> ModelError:
    return ModelError(
        "ROWS_DIFFER",
        f"{name} は {found} 行で、重みの {n} 行と合わない。同じ回答者の表から作る。",
        f"{name} has {found} rows and the weights {n}; take both from one table of respondents.",
    )


def _values(table: pd.DataFrame | pd.Series, n: int, *, name: str) -> pd.DataFrame:
    table = table.to_frame() if isinstance(table, pd.Series) else table
    if len(table) != n:
        raise _length_error(name, len(table), n)
    return table.astype("Float64").astype(float)


def _base_groups(values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return columns that share a base, and that base: rows where they are not missing."""
    answered = ~np.isnan(values)
    if answered.shape[1] and (answered == answered[:, :1]).all():
        return [(np.arange(values.shape[1]), answered[:, 0])]
    bases, which = np.unique(answered, axis=1, return_inverse=True)
    return [(np.flatnonzero(which == b), bases[:, b]) for b in range(bases.shape[1])]


@dataclass(frozen=True, eq=False)
class _Base:
    """Sums over the base of each domain that has one: all of shape (D,)."""

    domains: _Domains
    groups: np.ndarray  # domain of each row, -1 outside the base, shape (n,)
    index: np.ndarray  # positions in `domains.labels`
    n: np.ndarray
    weight: np.ndarray
    n_effective: np.ndarray
    df: np.ndarray


def _base(design: Design, domains: _Domains, answered: np.ndarray) -> _Base:
    inside = np.where(answered, domains.codes, -1)
    kept = inside >= 0
    if not kept.any():
        raise ModelError(
            "NO_ANSWERS",
            "回答が 1 件もないので推定できない。質問の対象と無回答を確かめる。",
            "There is no answer to estimate from; look at who was asked and who answered.",
        )
    counts = np.bincount(inside[kept], minlength=domains.count)
    index = np.flatnonzero(counts)
    position = np.full(domains.count + 1, -1, dtype=np.int64)
    position[index] = np.arange(len(index))
    groups = position[inside]
    group, weights = groups[kept], design.weights[kept]
    weight = np.bincount(group, weights)
    squares = np.bincount(group, np.square(weights))
    df = design.degrees_of_freedom_by(groups, n_groups=len(index))
    return _Base(domains, groups, index, counts[index], weight, weight**2 / squares, df)


def _sums(base: _Base, values: np.ndarray) -> np.ndarray:
    """Return sums over each domain's base, shape (D, k), of values (n, k)."""
    n = len(base.groups)
    kept = np.flatnonzero(base.groups >= 0)
    entries = (np.ones(len(kept)), (base.groups[kept], kept))
    matrix = sparse.csr_array(sparse.coo_array(entries, shape=(len(base.index), n)))
    return matrix @ values


def _domain_variances(
    design: Design, base: _Base, values: np.ndarray, *, centre: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Return the variance of every column in every domain, shape (D, k).

    The influence value of a row in its domain is (y - centre) / scale, and 0 elsewhere.

    Args:
        design: The design.
        base: Domains and their bases.
        values: Shape (n, k), no missing values inside the base.
        centre: Shape (D, k).
        scale: Shape (D,).
    """
    n, k = values.shape
    n_domains = len(base.index)
    variances = np.empty((n_domains, k))
    step = max(1, _CHUNK_VALUES // max(1, n * k))
    for start in range(0, n_domains, step):
        stop = min(start + step, n_domains)
        rows = np.flatnonzero((base.groups >= start) & (base.groups < stop))
        group = base.groups[rows]
        u = np.zeros((n, stop - start, k))
        u[rows, group - start] = (values[rows] - centre[group]) / scale[group, None]
        variances[start:stop] = design.variances(u.reshape(n, -1)).reshape(stop - start, k)
    return variances


def _clean_error(variance: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """Return standard errors; what is only rounding of a fixed quantity becomes 0."""
    error = np.sqrt(np.maximum(variance, 0))
    return np.where(error <= NOISE * np.maximum(np.abs(scale), NOISE), 0.0, error)


def _assemble(parts: list[pd.DataFrame], order: list[str], domains: _Domains) -> pd.DataFrame:
    """Return rows sorted by domain and then by column, with the estimates table's columns."""
    rows = pd.concat(parts, ignore_index=True)
    place = {value: p for p, value in enumerate(order)}
    domain_place = {value: p for p, value in enumerate(domains.labels)}
    keys = rows["domain_value"].map(domain_place) * (len(order) + 1)
    keys = keys + rows["item_value"].map(place)
    rows = rows.iloc[np.argsort(keys.to_numpy(), kind="stable")].reset_index(drop=True)
    return rows[[name for name in ROW_COLUMNS if name in rows.columns]]


def _grid(base: _Base, columns: list[str], design: Design, **figures: np.ndarray) -> pd.DataFrame:
    """Return one row for each domain and column; figures have shape (D, k) or (D,)."""
    n_domains, k = len(base.index), len(columns)
    names = [base.domains.labels[position] for position in base.index]
    table = {
        "domain": base.domains.name,
        "domain_value": np.repeat(np.asarray(names, dtype=object), k),
        "item_value": np.tile(np.asarray(columns, dtype=object), n_domains),
        "n_unweighted": np.repeat(base.n, k),
        "n_effective": np.repeat(base.n_effective, k),
        "weighting": design.scheme,
    }
    for name, figure in figures.items():
        wide = figure if np.ndim(figure) == 2 else np.repeat(np.asarray(figure)[:, None], k, axis=1)
        table[name] = wide.ravel()
    return pd.DataFrame(table)


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
        df: Degrees of freedom, same shape; taken as 1 where below.
        confidence: Coverage, between 0 and 1.

    Returns:
        Lower and upper ends, between 0 and 1.

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
    df = np.maximum(df, 1)
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
    return np.where(small, beta_lower, lower), np.where(small, beta_upper, upper)


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
        (respondents with a 1). A domain nobody of which is in the base has no row.

    Raises:
        ModelError: No answers at all, rows that do not match, values other than 0 and 1.
    """
    table = _values(indicators, design.n, name="indicators")
    columns = [str(name) for name in table.columns]
    values = table.to_numpy()
    if not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
        raise ModelError(
            "NOT_AN_INDICATOR",
            "割合の計算に 0・1 以外の値がある。数値には means を使う。",
            "Percents need 0 and 1 only; use means for numbers.",
        )
    domains = _domains(by, design.n)
    parts = []
    for which, answered in _base_groups(values):
        base = _base(design, domains, answered)
        chosen = np.where(answered[:, None], values[:, which], 0.0)
        share, variance, cell = _shares(design, base, chosen)
        wide = [np.repeat(x[:, None], len(which), axis=1) for x in (base.n, base.n_effective)]
        df = np.maximum(base.df, 1)
        lower, upper = proportion_intervals(
            share,
            variance=variance,
            n=wide[0],
            n_effective=wide[1],
            df=np.repeat(df[:, None], len(which), axis=1),
            confidence=confidence,
        )
        part = _grid(
            base,
            [columns[c] for c in which],
            design,
            estimate=100 * share,
            std_error=100 * np.sqrt(variance),
            lower=100 * lower,
            upper=100 * upper,
            df=df,
            n_cell=cell,
        )
        parts.append(part.assign(measure="percent", unit="percent"))
    return _assemble(parts, columns, domains)


def _shares(
    design: Design, base: _Base, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return shares, their variances and unweighted counts, each (D, k); 0 and 1 exact."""
    cell = _sums(base, chosen).round().astype(np.int64)
    share = _sums(base, chosen * design.weights[:, None]) / base.weight[:, None]
    share = np.where(cell == 0, 0.0, np.where(cell == base.n[:, None], 1.0, share))
    variance = _domain_variances(design, base, chosen, centre=share, scale=base.weight)
    return share, _clean_error(variance, 1.0) ** 2, cell


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
    table = _values(table, design.n, name="values")
    columns = [str(name) for name in table.columns]
    values = table.to_numpy()
    domains = _domains(by, design.n)
    parts, left_out = [], []
    for which, answered in _base_groups(values):
        base = _base(design, domains, answered)
        number = np.where(answered[:, None], values[:, which], 0.0)
        estimate, error, floor = _number_figures(design, base, number, measure=measure)
        df = np.maximum(base.df, 1)
        reach = stats.t.isf((1 - confidence) / 2, df)[:, None] * error
        part = _grid(
            base,
            [columns[c] for c in which],
            design,
            estimate=estimate,
            std_error=error,
            lower=np.maximum(estimate - reach, floor),
            upper=estimate + reach,
            df=df,
        )
        lone = part["n_unweighted"] == 1
        left_out.append(part.loc[lone, ["domain", "domain_value", "item_value"]])
        parts.append(part[~lone].assign(measure=measure, unit=unit))
    rows = _assemble(parts, columns, domains)
    return _with_left_out(rows, pd.concat(left_out, ignore_index=True))


def _with_left_out(rows: pd.DataFrame, left_out: pd.DataFrame) -> pd.DataFrame:
    if rows.empty:
        raise ModelError(
            "ONE_PERSON_DOMAIN",
            f"回答者が 1 人だけの領域しかなく ({len(left_out)} 件)、誤差を計算できない。"
            "領域をまとめる。",
            f"Every domain holds a single respondent ({len(left_out)}), so no error can be "
            "computed; merge domains.",
        )
    if len(left_out):
        rows.attrs["left_out"] = left_out.assign(reason="ONE_PERSON_DOMAIN").to_dict("records")
    return rows


def _number_figures(
    design: Design, base: _Base, number: np.ndarray, *, measure: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return estimates, standard errors and the lowest value an interval may reach, (D, k)."""
    total = _sums(base, number * design.weights[:, None])
    n_domains, k = total.shape
    size = _sums(base, np.abs(number) * design.weights[:, None])
    if measure == "mean":
        estimate = total / base.weight[:, None]
        variance = _domain_variances(design, base, number, centre=estimate, scale=base.weight)
        floor = np.full((n_domains, k), -np.inf)
        return estimate, _clean_error(variance, size / base.weight[:, None]), floor
    zero, one = np.zeros((n_domains, k)), np.ones(n_domains)
    variance = _domain_variances(design, base, number, centre=zero, scale=one)
    floor = np.where((number >= 0).all(axis=0), 0.0, -np.inf)
    return total, _clean_error(variance, size), np.broadcast_to(floor, total.shape)


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
        ModelError: No answers at all, fewer than two domains with answers.

    References:
        Zou and Donner (2008), Statistics in Medicine 27(10), for the side at 0 or 100 %.
    """
    table = _values(indicators, design.n, name="indicators")
    columns = [str(name) for name in table.columns]
    values = table.to_numpy()
    domains = _domains(by, design.n)
    parts = []
    for which, answered in _base_groups(values):
        base = _base(design, domains, answered)
        if len(base.index) < 2:
            raise ModelError(
                "ONE_DOMAIN",
                "比べる相手の領域がない (回答のある領域が 1 つだけ)。",
                "There is nothing to compare with: only one domain has answers.",
            )
        chosen = np.where(answered[:, None], values[:, which], 0.0)
        part = _difference_grid(
            design, base, chosen, columns=[columns[c] for c in which], confidence=confidence
        )
        parts.append(part.assign(measure="difference_points", unit="points"))
    return _assemble(parts, columns, domains)


def _difference_grid(
    design: Design, base: _Base, chosen: np.ndarray, *, columns: list[str], confidence: float
) -> pd.DataFrame:
    inside = base.groups >= 0
    n_domains, k = len(base.index), chosen.shape[1]
    estimate, error = np.empty((2, n_domains, k))
    df = max(1, design.degrees_of_freedom(inside))
    t_value = stats.t.isf((1 - confidence) / 2, df)
    cell = np.empty((n_domains, k), dtype=np.int64)
    for position in range(n_domains):
        sides = [base.groups == position, inside & (base.groups != position)]
        shares, u, extra = [], [], np.zeros(k)
        for side in sides:
            one = _base(design, _Domains("all", np.zeros(design.n, dtype=np.int64), ("all",)), side)
            count = _sums(one, chosen)[0].round().astype(np.int64)
            share = (design.weights[side] @ chosen[side]) / one.weight[0]
            share = np.where(count == 0, 0.0, np.where(count == one.n[0], 1.0, share))
            shares.append(share)
            u.append(np.where(side[:, None], chosen - share, 0.0) / one.weight[0])
            extra += _edge_variance(share, one, t_value=t_value, confidence=confidence)
            if side is sides[0]:
                cell[position] = count
        variance = _clean_error(design.variances(u[0] - u[1]), 1.0) ** 2 + extra
        estimate[position], error[position] = shares[0] - shares[1], np.sqrt(variance)
    return _grid(
        base,
        columns,
        design,
        **_points(estimate, error, t_value=t_value, df=df),
        df=np.full(n_domains, df),
        n_cell=cell,
    )


def _points(
    estimate: np.ndarray, error: np.ndarray, *, t_value: float, df: float
) -> dict[str, np.ndarray]:
    """Return estimate, error, interval in points and the two-sided p value of a difference."""
    statistic = np.divide(np.abs(estimate), error, out=np.full_like(error, np.inf), where=error > 0)
    statistic = np.where((error == 0) & (estimate == 0), 0.0, statistic)
    return {
        "estimate": 100 * estimate,
        "std_error": 100 * error,
        "lower": 100 * np.maximum(estimate - t_value * error, -1),
        "upper": 100 * np.minimum(estimate + t_value * error, 1),
        "p_value": 2 * stats.t.sf(statistic, df),
    }


def _edge_variance(
    share: np.ndarray, one: _Base, *, t_value: float, confidence: float
) -> np.ndarray:
    """Variance that stands in for a side at 0 or 1: (length of its beta interval / t)^2."""
    size, n = one.n_effective[0], one.n[0]
    same = np.ones_like(share)
    lower, upper = proportion_intervals(
        share,
        variance=0 * same,
        n=n * same,
        n_effective=size * same,
        df=same,
        confidence=confidence,
    )
    edge = (share <= 0) | (share >= 1)
    return np.where(edge, ((upper - lower) / t_value) ** 2, 0.0)
