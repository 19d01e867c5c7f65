"""What do the weighted answers say, and within which limits?

Percents, means, totals, differences, quantiles, tests and replicate weights. Every function takes
the `Design` and returns rows of the estimates table. Formulas: docs/methods.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import pandas as pd
from scipy import sparse, special, stats

from tsunagari.estimates import join
from tsunagari.study import ConfigError, ModelError
from tsunagari.weighting import Design, calibrate

CONFIDENCE = 0.95
BETA_UNDER_N = 50  # base below which a proportion's interval is the beta (Korn-Graubard) one
NOISE = 1e-12  # a standard error below this part of its scale is rounding, and nought
_CHUNK_VALUES = 8_000_000  # most influence values held at once
_REPLICATE_BATCH = 25  # replicates multiplied at once
ROW_COLUMNS = (
    "measure unit domain domain_value item_value estimate std_error lower upper df p_value "
    "n_unweighted n_effective weighting reason n_cell"
).split()
TOO_FEW_UNITS = "抽出単位が少なく、誤差を示せない。"  # less than one degree of freedom
FIXED = "人口に合わせた値"  # calibration leaves no error


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
    names = tuple(join(values[code]) for code in present)
    return _Domains(join(table), position[codes], names)


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
    if table.shape[1] == 0:
        raise ModelError(
            "NO_COLUMNS",
            f"{name} に列が 1 つもない。回答の選択肢がある質問か確かめる。",
            f"{name} has no columns; see whether the question has answers to count.",
        )
    if not all(dtype == "float64" for dtype in table.dtypes):
        table = table.astype("Float64").astype(float)
    infinite = np.isinf(table.to_numpy())
    if infinite.any():
        listed = ", ".join(str(column) for column in table.columns[infinite.any(axis=0)])
        raise ModelError(
            "NOT_FINITE",
            f"{listed} に無限大の値が {int(infinite.sum())} 件ある。値を直すか欠測にする。",
            f"{int(infinite.sum())} values of {listed} are infinite; correct them or leave them "
            "missing.",
        )
    return table


def _indicators(table: pd.DataFrame | pd.Series, n: int) -> pd.DataFrame:
    table = _values(table, n, name="indicators")
    _check_indicators(table.to_numpy())
    return table


def _check_indicators(values: np.ndarray) -> None:
    if not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
        raise ModelError(
            "NOT_AN_INDICATOR",
            "割合の計算に 0・1 以外の値がある。数値には means を使う。",
            "Percents need 0 and 1 only; use means for numbers.",
        )


def _base_groups(values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return columns that share a base, and that base: rows where they are not missing.

    Packed bits of a column tell bases apart in one pass; `np.unique` along columns sorts.
    """
    answered = ~np.isnan(values)
    columns: dict[bytes, list[int]] = {}
    for column, bits in enumerate(np.packbits(answered.T, axis=1)):
        columns.setdefault(bits.tobytes(), []).append(column)
    return [(np.array(which), answered[:, which[0]]) for which in columns.values()]


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

    @cached_property
    def membership(self) -> sparse.csr_array:
        """Matrix (D, n) of ones where a row lies in a domain's base."""
        kept = np.flatnonzero(self.groups >= 0)
        entries = (np.ones(len(kept)), (self.groups[kept], kept))
        shape = (len(self.index), len(self.groups))
        return sparse.csr_array(sparse.coo_array(entries, shape=shape))


def _base(design: Design, domains: _Domains, answered: np.ndarray) -> _Base:
    inside = np.where(answered, domains.codes, -1)
    kept = inside >= 0
    if not kept.any():
        raise _no_answers()
    everybody = bool(kept.all())
    counts = np.bincount(inside if everybody else inside[kept], minlength=domains.count)
    index = np.flatnonzero(counts)
    groups = inside
    if len(index) < domains.count:
        position = np.full(domains.count + 1, -1, dtype=np.int64)
        position[index] = np.arange(len(index))
        groups = position[inside]
    group, weights = (groups, design.weights) if everybody else (groups[kept], design.weights[kept])
    if len(index) == 1:
        weight, squares = np.array([weights.sum()]), np.array([weights @ weights])
    else:
        weight = np.bincount(group, weights)
        squares = np.bincount(group, np.square(weights))
    df = design.degrees_of_freedom_by(groups, n_groups=len(index))
    return _Base(domains, groups, index, counts[index], weight, weight**2 / squares, df)


def _sums(base: _Base, values: np.ndarray) -> np.ndarray:
    """Return sums over each domain's base, shape (D, k), of values (n, k)."""
    if len(base.index) == 1:
        inside = base.groups >= 0
        return (values if inside.all() else values[inside]).sum(axis=0, keepdims=True)
    return base.membership @ values


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
        inside = (base.groups >= start) & (base.groups < stop)
        if n_domains == 1 and inside.all():
            variances[0] = design.variances((values - centre) / scale)
            break
        rows = np.flatnonzero(inside)
        group = base.groups[rows]
        u = np.zeros((n, stop - start, k))
        u[rows, group - start] = (values[rows] - centre[group]) / scale[group, None]
        variances[start:stop] = design.variances(u.reshape(n, -1)).reshape(stop - start, k)
    return variances


def _clean_error(variance: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """Return standard errors; what is only rounding of a fixed quantity becomes 0."""
    error = np.sqrt(np.maximum(variance, 0))
    return np.where(error <= NOISE * np.maximum(np.abs(scale), NOISE), 0.0, error)


def _explained(
    rows: pd.DataFrame, design: Design, *, few: np.ndarray, zero: np.ndarray
) -> pd.DataFrame:
    """Return rows without the error, interval and test that cannot be told, and say why.

    A domain inside one sampling unit seems to have no error only because nothing varies between
    units. What calibration fixes has none; of few people that may be chance.

    Args:
        rows: One row a figure, with n_unweighted.
        design: The design.
        few: Rows with less than one degree of freedom, shape (n_rows,) or ().
        zero: Rows of answers that vary with a variance of 0, likewise.
    """
    zero = zero & bool(design.margins)
    fixed = zero & (rows["n_unweighted"] >= BETA_UNDER_N).to_numpy()
    few = np.broadcast_to(few | zero & ~fixed, len(rows))
    interval = [name for name in ("lower", "upper", "p_value") if name in rows.columns]
    rows = rows.assign(reason=np.select([few, fixed], [TOO_FEW_UNITS, FIXED], ""))
    rows.loc[few | fixed, interval] = np.nan
    rows.loc[few, "std_error"] = np.nan
    return rows


def _varies(base: _Base, number: np.ndarray) -> np.ndarray:
    """Return whether not all answers of a domain are the same, shape (D, k)."""
    squares = _sums(base, np.square(number)) * base.n[:, None]
    return squares - np.square(_sums(base, number)) > NOISE * squares


def _assemble(parts: list[pd.DataFrame], order: list[str], domains: _Domains) -> pd.DataFrame:
    """Return rows sorted by domain and then by column, with the estimates table's columns."""
    if len(parts) == 1:
        rows = parts[0].reset_index(drop=True)
        return rows[[name for name in ROW_COLUMNS if name in rows.columns]]
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
    table = _indicators(indicators, design.n)
    columns = [str(name) for name in table.columns]
    values = table.to_numpy()
    domains = _domains(by, design.n)
    parts = []
    for which, answered in _base_groups(values):
        base = _base(design, domains, answered)
        chosen = np.where(answered[:, None], values[:, which], 0.0)
        share, variance, cell = _shares(design, base, chosen)
        n, n_effective, df = (
            np.repeat(x[:, None], len(which), axis=1) for x in (base.n, base.n_effective, base.df)
        )
        lower, upper = proportion_intervals(
            share, variance=variance, n=n, n_effective=n_effective, df=df, confidence=confidence
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
        zero = (variance == 0) & (share > 0) & (share < 1) & (n >= BETA_UNDER_N)
        part = _explained(part, design, few=df.ravel() < 1, zero=zero.ravel())
        parts.append(part.assign(measure="percent", unit="percent"))
    return _assemble(parts, columns, domains)


def _shares(
    design: Design, base: _Base, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return shares, their variances and unweighted counts, each (D, k); 0 and 1 exact."""
    cell = _sums(base, chosen).round().astype(np.int64)
    share = _sums(base, chosen * design.weights[:, None]) / base.weight[:, None]
    share = _exact_edges(share, count=cell, n=base.n[:, None])
    variance = _domain_variances(design, base, chosen, centre=share, scale=base.weight)
    return share, _clean_error(variance, 1.0) ** 2, cell


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
    table = _values(table, design.n, name="values")
    columns = [str(name) for name in table.columns]
    values = table.to_numpy()
    domains = _domains(by, design.n)
    parts, left_out = [], []
    for which, answered in _base_groups(values):
        base = _base(design, domains, answered)
        number = np.where(answered[:, None], values[:, which], 0.0)
        estimate, error, floor = _number_figures(design, base, number, measure=measure)
        reach = stats.t.isf((1 - confidence) / 2, base.df)[:, None] * error
        part = _grid(
            base,
            [columns[c] for c in which],
            design,
            estimate=estimate,
            std_error=error,
            lower=np.maximum(estimate - reach, floor),
            upper=estimate + reach,
            df=base.df,
        )
        zero = (error == 0) & (_varies(base, number) if measure == "mean" else estimate != 0)
        few = (part["df"] < 1).to_numpy()
        part = _explained(part, design, few=few, zero=zero.ravel())
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
        ModelError: No answers at all, fewer than two domains with answers, values not 0 or 1.

    References:
        Zou and Donner (2008), Statistics in Medicine 27(10), for the side at 0 or 100 %.
    """
    return _all_differences(
        design, _indicators(indicators, design.n), by=by, unit="points", confidence=confidence
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
    table = _values(values, design.n, name="values")
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
    domains = _domains(by, design.n)
    measure = "difference_points" if unit == "points" else "difference_mean"
    parts, left_out = [], []
    for which, answered in _base_groups(values):
        base = _base(design, domains, answered)
        if len(base.index) < 2:
            raise ModelError(
                "ONE_DOMAIN",
                "比べる相手の領域がない (回答のある領域が 1 つだけ)。",
                "There is nothing to compare with: only one domain has answers.",
            )
        number = np.where(answered[:, None], values[:, which], 0.0)
        figures = _against_rest(design, base, number, unit=unit, confidence=confidence)
        part = _grid(base, [columns[c] for c in which], design, **figures)
        masks = {name: part.pop(name).to_numpy() for name in ("few", "zero")}
        part = _explained(part, design, **masks).assign(measure=measure, unit=unit)
        n_rest = base.n.sum() - part["n_unweighted"]
        lone = (unit != "points") & ((part["n_unweighted"] == 1) | (n_rest == 1))
        left_out.append(part.loc[lone, ["domain", "domain_value", "item_value"]])
        parts.append(part[~lone])
    rows = _assemble(parts, columns, domains)
    return _with_left_out(rows, pd.concat(left_out, ignore_index=True))


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
    table = _values(values, design.n, name="values")
    if unit == "points":
        _check_indicators(table.to_numpy())
    parts = []
    for which, answered in _base_groups(table.to_numpy()):
        number = np.where(answered[:, None], table.to_numpy()[:, which], 0.0)
        sides = [_side(design, np.asarray(mask, bool) & answered) for mask in (group, other)]
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


def _side(design: Design, mask: np.ndarray) -> _Base:
    return _base(design, _Domains("all", np.zeros(design.n, dtype=np.int64), ("all",)), mask)


def _contrast(
    design: Design, sides: list[_Base], number: np.ndarray, *, unit: str, confidence: float
) -> pd.DataFrame:
    """Return estimate, error, interval and test of the first side minus the second."""
    df = design.degrees_of_freedom((sides[0].groups == 0) | (sides[1].groups == 0))
    mean, u, guard = [], [], 0.0
    for side in sides:
        mask = side.groups == 0
        count = _sums(side, number)[0]
        one = (design.weights[mask] @ number[mask]) / side.weight[0]
        if unit == "points":
            one = _exact_edges(one, count=count, n=side.n[0])
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
        figures["n_cell"] = _sums(sides[0], number)[0].round().astype(np.int64)
    varies = (_varies(sides[0], number) | _varies(sides[1], number))[0]
    few = min(df, *(side.df[0] for side in sides)) < 1
    zero = (figures["std_error"] == 0) & varies
    return _explained(pd.DataFrame(figures), design, few=few, zero=zero)


def _against_rest(
    design: Design, base: _Base, number: np.ndarray, *, unit: str, confidence: float
) -> dict[str, np.ndarray]:
    """Return the figures of every domain minus the others, each (D, k); as `_contrast`."""
    count = _sums(base, number)
    total = _sums(base, number * design.weights[:, None])
    squares = base.weight**2 / base.n_effective
    rest = {"weight": base.weight.sum() - base.weight, "n": base.n.sum() - base.n}
    rest["n_effective"] = rest["weight"] ** 2 / (squares.sum() - squares)
    mean = total / base.weight[:, None]
    others = (total.sum(axis=0) - total) / rest["weight"][:, None]
    df = design.degrees_of_freedom(base.groups >= 0)
    guard = 0.0
    if unit == "points":
        count = count.round().astype(np.int64)
        mean = _exact_edges(mean, count=count, n=base.n[:, None])
        others = _exact_edges(others, count=count.sum(axis=0) - count, n=rest["n"][:, None])
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
    figures["zero"] = (figures["std_error"] == 0) & _varies(base, number).any(axis=0)
    return figures | ({"n_cell": count} if unit == "points" else {})


def _rest_df(design: Design, base: _Base) -> np.ndarray:
    """Return the degrees of freedom of all domains but one, for each, shape (D,)."""
    rest = ((base.groups >= 0) & (base.groups != d) for d in range(len(base.index)))
    return np.array([design.degrees_of_freedom(mask) for mask in rest])


def _rest_variances(
    design: Design,
    base: _Base,
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
    step = max(1, _CHUNK_VALUES // max(1, n * k))
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


def _exact_edges(share: np.ndarray, *, count: np.ndarray, n: np.ndarray | int) -> np.ndarray:
    """Return shares that are exactly 0 or 1 where nobody or everybody counts."""
    return np.where(count == 0, 0.0, np.where(count == n, 1.0, share))


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
    error = np.sqrt(_clean_error(variance, scale) ** 2 + guard)
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
    number = _values(values, design.n, name="values").to_numpy()
    answered = ~np.isnan(number)
    if not answered.any(axis=0).all():
        raise _no_answers()
    filled = np.where(answered, number, 0.0)
    weight = design.weights @ answered
    mean = design.weights @ filled / weight
    return mean, design.covariance(np.where(answered, filled - mean, 0.0) / weight)


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
        raise ConfigError(
            "PROBABILITY",
            "分位の確率 probabilities は 0 と 1 の間 (両端を除く) で書く。",
            "probabilities of quantiles must lie strictly between 0 and 1.",
        )
    table = _values(values, design.n, name="values")
    domains = _domains(by, design.n)
    parts, left_out = [], []
    for column in table:
        number = table[column].to_numpy()
        base = _base(design, domains, ~np.isnan(number))
        figures = [
            [_woodruff(design, base, number, at=(d, p), confidence=confidence)
             for d in range(len(base.index))]
            for p in probabilities
        ]  # fmt: skip
        for p, rows in zip(probabilities, figures, strict=True):
            names = ("estimate", "std_error", "lower", "upper", "zero")
            shown = dict(zip(names, np.array(rows).T, strict=True))
            zero = shown.pop("zero") == 1
            part = _grid(base, [str(column)], design, df=base.df, **shown)
            part = _explained(part, design, few=base.df < 1, zero=zero)
            part = part.assign(measure="median" if p == 0.5 else f"quantile_{100 * p:g}", unit=unit)
            lone = part["n_unweighted"] == 1
            left_out.append(part.loc[lone, ["domain", "domain_value", "item_value"]])
            parts.append(part[~lone])
    rows = _assemble(parts, [str(name) for name in table.columns], domains)
    return _with_left_out(rows, pd.concat(left_out, ignore_index=True))


def _woodruff(
    design: Design,
    base: _Base,
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
    variance = float(_clean_error(design.variances(u), 1.0)[0] ** 2)
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


# --- tests, design effects, reliability -----------------------------------------------------------


def rao_scott(design: Design, rows: pd.Series, *, columns: pd.Series) -> pd.DataFrame:
    """Return the second-order Rao-Scott F test that two single-answer questions are independent.

    Args:
        design: Weights and design, n rows.
        rows: Codes of one question, shape (n,); rows with a missing value lie outside the table.
        columns: Codes of the other.

    Returns:
        One row: measure rao_scott_f, estimate F, df_numerator, df (denominator: numerator times the
        design's degrees of freedom), p_value, n_unweighted, n_effective.

    Raises:
        ModelError: A question has a single code among the rows, or the test cannot be computed.

    References:
        Rao and Scott (1984), Annals of Statistics 12(1). R survey: svychisq(statistic = "F").
    """
    codes = [pd.factorize(pd.Series(v).astype("string"), sort=True) for v in (rows, columns)]
    if any(len(code) != design.n for code, _ in codes):
        raise _length_error("rows, columns", min(len(code) for code, _ in codes), design.n)
    (row, _), (column, _) = codes
    answered = (row >= 0) & (column >= 0)
    base = _side(design, answered)
    row, n_rows = _compact(row, answered)
    column, n_columns = _compact(column, answered)
    if n_rows < 2 or n_columns < 2:
        raise ModelError(
            "ONE_CATEGORY",
            "独立性の検定には、どちらの質問にも 2 つ以上の回答の種類が要る。",
            "A test of independence needs two or more answers to either question.",
        )
    _refuse_one_unit(design, answered, codes=(row, column))
    shape = (n_rows, n_columns)
    cells = np.zeros((design.n, n_rows * n_columns))
    flat = row[answered] * n_columns + column[answered]
    cells[np.flatnonzero(answered), flat] = 1.0
    share = design.weights @ cells / base.weight[0]
    u = np.where(answered[:, None], cells - share, 0.0) / base.weight[0]
    statistic, df_numerator = _second_order_f(share, design.covariance(u), shape=shape)
    df = df_numerator * design.degrees_of_freedom()
    figures = {
        "measure": "rao_scott_f",
        "unit": "ratio",
        "domain": "all",
        "domain_value": "all",
        "estimate": statistic,
        "df_numerator": df_numerator,
        "df": df,
        "p_value": float(stats.f.sf(statistic, df_numerator, df)),
        "n_unweighted": base.n[0],
        "n_effective": base.n_effective[0],
        "weighting": design.scheme,
    }
    return pd.DataFrame([figures])


def _refuse_one_unit(design: Design, rows: np.ndarray, *, codes: Sequence[np.ndarray]) -> None:
    """Refuse a code whose people are of one cluster, so that nothing tells its error."""
    unit = design._units.row_psu
    if unit is not None and any(
        (pd.Series(unit[rows]).groupby(code[rows]).nunique() < 2).any() for code in codes
    ):
        raise ModelError(
            "NO_TEST",
            "1つの抽出単位だけの区分があり、独立性の検定ができない。コードをまとめる。",
            "A code lies inside one sampling unit, so there is no test of independence; merge it.",
        )


def _compact(codes: np.ndarray, answered: np.ndarray) -> tuple[np.ndarray, int]:
    """Return codes without gaps among the answered rows, and how many there are."""
    levels, inverse = np.unique(codes[answered], return_inverse=True)
    compact = np.zeros(len(codes), dtype=np.int64)
    compact[answered] = inverse
    return compact, len(levels)


def _second_order_f(
    share: np.ndarray, covariance: np.ndarray, *, shape: tuple[int, int]
) -> tuple[float, float]:
    """Return the F statistic and its numerator degrees of freedom from cell shares (r*c,)."""
    n_rows, n_columns = shape
    table = share.reshape(shape)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0))
    pearson = float(((table - expected) ** 2 / expected).sum())  # per respondent
    row, column = (index.ravel() for index in np.indices(shape))
    rows, columns = np.eye(n_rows)[row][:, 1:], np.eye(n_columns)[column][:, 1:]
    main = np.column_stack([np.ones(len(share)), rows, columns])
    both = np.einsum("ij,ik->ijk", rows, columns).reshape(len(share), -1)
    contrasts = both - main @ np.linalg.lstsq(main, both, rcond=None)[0]
    inverse = np.divide(1.0, share, out=np.zeros_like(share), where=share > 0)
    weighted = contrasts * inverse[:, None]
    under_simple = contrasts.T @ weighted
    try:
        effects = np.linalg.solve(under_simple, weighted.T @ covariance @ weighted)
        trace = float(np.trace(effects))
        df = trace**2 / float(np.trace(effects @ effects))
    except (np.linalg.LinAlgError, ZeroDivisionError) as error:
        raise _no_test() from error
    if not (np.isfinite(df) and trace > 0):
        raise _no_test()
    return pearson / trace, df


def _no_test() -> ModelError:
    return ModelError(
        "NO_TEST",
        "空のセルが多いため独立性の検定ができない。コードをまとめる。",
        "Too many empty cells for a test of independence; merge codes.",
    )


def design_effects(
    design: Design,
    values: pd.DataFrame | pd.Series,
    *,
    by: pd.DataFrame | pd.Series | None = None,
) -> pd.DataFrame:
    """Return how many times larger each mean's variance is than under simple random sampling.

    Args:
        design: Weights and design, n rows.
        values: Numbers or 0/1, NaN outside the base, shape (n, k).
        by: Domain variables, shape (n, 1..m). None: everybody.

    Returns:
        One row for each domain and column: measure design_effect_mean, unit ratio. Where the
        answers do not vary, or a degree of freedom is lacking, there is no row; see
        `attrs["left_out"]`.

    Raises:
        ModelError: No answers at all, or nothing that varies.

    References:
        Kish (1965), Survey Sampling. R survey: svymean(deff = "replace").
    """
    table = _values(values, design.n, name="values")
    columns = [str(name) for name in table.columns]
    domains = _domains(by, design.n)
    parts, left_out = [], []
    for which, answered in _base_groups(table.to_numpy()):
        base = _base(design, domains, answered)
        number = np.where(answered[:, None], table.to_numpy()[:, which], 0.0)
        mean = _sums(base, number * design.weights[:, None]) / base.weight[:, None]
        error = _number_figures(design, base, number, measure="mean")[1]
        squares = np.zeros_like(mean)
        for position in range(len(base.index)):
            inside = base.groups == position
            spread = np.square(number[inside] - mean[position])
            squares[position] = design.weights[inside] @ spread / base.weight[position]
        simple = squares / np.maximum(base.n - 1, 1)[:, None]
        varies = simple > NOISE**2 * np.maximum(np.square(mean), NOISE)
        is_known = varies & (base.df >= 1)[:, None]
        effect = np.divide(error**2, simple, out=np.full_like(simple, np.nan), where=is_known)
        part = _grid(base, [columns[c] for c in which], design, estimate=effect)
        why = np.where(varies, "TOO_FEW_UNITS", "CONSTANT").ravel()
        lost = part["estimate"].isna()
        keys = part[["domain", "domain_value", "item_value"]].assign(reason=why)
        left_out.append(keys[lost])
        parts.append(part[~lost].assign(measure="design_effect_mean", unit="ratio"))
    rows = _assemble(parts, columns, domains)
    if rows.empty:
        raise _constant("design_effects")
    lost = pd.concat(left_out, ignore_index=True)
    if len(lost):
        rows.attrs["left_out"] = lost.to_dict("records")
    return rows


def _constant(name: str) -> ModelError:
    return ModelError(
        "CONSTANT",
        f"{name}: 回答がすべて同じ値なので計算できない。",
        f"{name}: all answers are the same, so it cannot be computed.",
    )


def _no_answers() -> ModelError:
    return ModelError(
        "NO_ANSWERS",
        "回答が 1 件もないので推定できない。質問の対象と無回答を確かめる。",
        "There is no answer to estimate from; look at who was asked and who answered.",
    )


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
    table = _values(items, design.n, name="items").to_numpy()
    complete = ~np.isnan(table).any(axis=1)
    if not complete.any():
        raise _no_answers()
    if table.shape[1] < 2:
        raise ModelError(
            "ONE_ITEM",
            "信頼性係数には 2 つ以上の項目が要る。",
            "Cronbach's alpha needs two or more items.",
        )
    base = _side(design, complete)
    answers = table[complete]
    schemes = {"weighted": design.weights[complete], "unweighted": np.ones(int(complete.sum()))}
    rows = []
    for name, weights in schemes.items():
        rows.append(
            {
                "measure": "cronbach_alpha",
                "unit": "ratio",
                "domain": "all",
                "domain_value": "all",
                "item_value": name,
                "estimate": _alpha(answers, weights),
                "n_unweighted": base.n[0],
                "n_effective": base.n_effective[0] if name == "weighted" else float(base.n[0]),
                "weighting": design.scheme if name == "weighted" else "unweighted",
            }
        )
    return pd.DataFrame(rows)


def _alpha(answers: np.ndarray, weights: np.ndarray) -> float:
    share = weights / weights.sum()
    centred = answers - share @ answers
    of_items = share @ np.square(centred)
    of_sum = float(share @ np.square(centred.sum(axis=1)))
    if of_sum <= NOISE * max(1.0, float(np.abs(answers).max()) ** 2):
        raise _constant("cronbach_alpha")
    k = answers.shape[1]
    return k / (k - 1) * (1 - float(of_items.sum()) / of_sum)


# --- replicate weights ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class Replicates:
    """Factors on the base weights of each replicate, and how replicates become a variance.

    Attributes:
        counts: Times each sampling unit was drawn, shape (P, R), or None for a jackknife.
        start: Factor of a unit drawn no time, shape (P,).
        step: What every draw adds to it, shape (P,).
        scale: Factor of the whole sum of squares.
        scale_each: Factor of each replicate, shape (R,).
        stratum: Stratum of each sampling unit, shape (P,); used by a jackknife.
        dropped: Unit that each replicate leaves out, shape (R,), or None.
    """

    scale: float
    scale_each: np.ndarray
    counts: np.ndarray | None = None
    start: np.ndarray | float = 0.0
    step: np.ndarray | float = 1.0
    stratum: np.ndarray | None = None
    dropped: np.ndarray | None = None

    @property
    def n_replicates(self) -> int:
        """Number of replicates."""
        return len(self.scale_each)

    def factors(self, replicate: int) -> np.ndarray:
        """Return the factor of each sampling unit in one replicate, shape (P,)."""
        if self.dropped is None:
            return self.start + self.step * self.counts[:, replicate]
        unit = self.dropped[replicate]
        mates = self.stratum == self.stratum[unit]
        n_mates = mates.sum()
        factors = np.where(mates, n_mates / (n_mates - 1), 1.0)
        factors[unit] = 0.0
        return factors

    def covariance(self, estimates: np.ndarray) -> np.ndarray:
        """Return the covariance of replicate estimates (R, k) about their mean, shape (k, k)."""
        centred = estimates - estimates.mean(axis=0)
        return self.scale * (centred * self.scale_each[:, None]).T @ centred


def bootstrap_replicates(
    design: Design, *, n_replicates: int, rng: np.random.Generator
) -> Replicates:
    """Return Rao-Wu bootstrap replicates: n-1 of n units drawn again in each stratum.

    Args:
        design: Strata of two units or more; those taken with certainty keep factor 1.
        n_replicates: At least 2.
        rng: Source of chance.

    Returns:
        Replicates; a unit's factor is 1 - s + s * n/(n-1) * draws, s the root of 1 - sampling
        fraction.

    References:
        Rao and Wu (1988), JASA 83(401); Rao, Wu and Yue (1992), Survey Methodology 18(2).
        R survey: as.svrepdesign(type = "subbootstrap").
    """
    if n_replicates < 2:
        raise ConfigError(
            "REPLICATES",
            "n_replicates は 2 以上にする。",
            "n_replicates must be 2 or more.",
        )
    units = design._units
    n_psu, n_strata = units.n_psu, len(units.n_psu)
    drawn = np.where(units.scale > 0, n_psu - 1, 0)
    order = np.argsort(units.stratum, kind="stable")
    first = np.concatenate([[0], np.cumsum(n_psu)[:-1]])
    slot = np.repeat(np.arange(n_strata), drawn)
    size, offset = n_psu[slot], first[slot]
    counts = np.empty((n_replicates, len(units.stratum)), dtype=np.uint16)
    for replicate in range(n_replicates):
        picks = offset + (rng.random(len(slot)) * size).astype(np.int64)
        counts[replicate, order] = np.bincount(picks, minlength=len(order))
    # scale = (1 - f) n/(n-1), so its part without n/(n-1) is 1 - f
    root = np.sqrt(units.scale * (np.maximum(n_psu, 2) - 1) / np.maximum(n_psu, 2))
    start = np.where(drawn > 0, 1 - root, 1.0)
    step = np.where(drawn > 0, root * n_psu / np.maximum(n_psu - 1, 1), 0.0)
    return Replicates(
        scale=1 / (n_replicates - 1),
        scale_each=np.ones(n_replicates),
        counts=counts.T,
        start=start[units.stratum],
        step=step[units.stratum],
    )


def jackknife_replicates(design: Design) -> Replicates:
    """Return delete-one-unit jackknife replicates (JKn), one for each sampling unit.

    Args:
        design: Strata of one unit, or taken with certainty, drop nothing.

    Returns:
        Replicates with scale (1 - f)(n-1)/n each.

    References:
        Wolter (2007), Introduction to Variance Estimation. R survey: as.svrepdesign(type = "JKn").
    """
    units = design._units
    dropped = np.flatnonzero(((units.scale > 0) & (units.n_psu > 1))[units.stratum])
    n_psu = units.n_psu[units.stratum[dropped]]
    left = units.scale[units.stratum[dropped]] * (n_psu - 1) / n_psu
    scale_each = left * (n_psu - 1) / n_psu
    return Replicates(scale=1.0, scale_each=scale_each, stratum=units.stratum, dropped=dropped)


def replicate_estimates(
    design: Design,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    replicates: Replicates,
) -> np.ndarray:
    """Return a statistic under every replicate, each calibrated again to the design's margins.

    Args:
        design: Base weights, margins and totals.
        statistic: From weights (n,) to estimates (k,).
        replicates: Factors of each sampling unit.

    Returns:
        Shape (R, k). A margin's code that a replicate lost stays empty and its population is
        spread over the others.
    """
    results = [
        np.atleast_1d(statistic(weights)) for weights in _replicate_weights(design, replicates)
    ]
    return np.array(results)


def _replicate_weights(design: Design, replicates: Replicates) -> Iterator[np.ndarray]:
    """Yield the calibrated weights (n,) of one replicate after the other."""
    row_psu = design._units.row_psu
    for replicate in range(replicates.n_replicates):
        factors = replicates.factors(replicate)
        base = design.base_weights * (factors if row_psu is None else factors[row_psu])
        yield calibrate(base, design)


def replicate_means(
    design: Design, values: pd.DataFrame | pd.Series, *, replicates: Replicates
) -> np.ndarray:
    """Return weighted means under every replicate, calibrated again: a whole table in few passes.

    Args:
        design: Base weights, margins and totals.
        values: Numbers or 0/1, NaN outside the base, shape (n, k).
        replicates: Factors of each sampling unit.

    Returns:
        Shape (R, k), in the unit of the values. A column whose base a replicate lost altogether
        keeps the full sample's mean there.

    Raises:
        ModelError: A column has no answers.
    """
    number = _values(values, design.n, name="values").to_numpy()
    answered = ~np.isnan(number)
    if not answered.any(axis=0).all():
        raise _no_answers()
    groups = _base_groups(number)
    which = np.empty(number.shape[1], dtype=np.int64)
    for position, (columns, _) in enumerate(groups):
        which[columns] = position
    bases = np.column_stack([base for _, base in groups]).astype(float)
    both = np.ascontiguousarray(np.hstack([np.where(answered, number, 0.0), bases]))
    whole = design.weights @ both
    results = []
    weights = _replicate_weights(design, replicates)
    while batch := list(islice(weights, _REPLICATE_BATCH)):
        sums = np.array(batch) @ both
        total, size = sums[:, : len(which)], sums[:, len(which) :][:, which]
        mean = whole[: len(which)] / whole[len(which) :][which]
        mean = np.broadcast_to(mean, total.shape).copy()
        results.append(np.divide(total, size, out=mean, where=size > 0))
    return np.concatenate(results)
