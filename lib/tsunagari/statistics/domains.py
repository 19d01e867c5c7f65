"""Groups of people, their bases, and the variance of a sum in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from tsunagari.errors import ModelError
from tsunagari.estimates import join
from tsunagari.statistics.designs import Design

BETA_UNDER_N = 50  # base below which a proportion's interval is the beta (Korn-Graubard) one
NOISE = 1e-12  # a standard error below this part of its scale is rounding, and nought
CHUNK_VALUES = 8_000_000  # most influence values held at once
ROW_COLUMNS = (
    "measure unit domain domain_value item_value estimate std_error lower upper df p_value "
    "n_unweighted n_effective weighting reason n_cell"
).split()
TOO_FEW_UNITS = "抽出単位が少なく、誤差を示せません。"  # less than one degree of freedom
FIXED = "人口に合わせた値"  # calibration leaves no error


# --- domains --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Domains:
    """Domain code of each row (n,), -1 for rows in none, and the domains' labels in order."""

    name: str
    codes: np.ndarray
    labels: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of domains."""
        return len(self.labels)


def make_domains(by: pd.DataFrame | pd.Series | None, n: int) -> Domains:
    """Return the groups of one or several variables; everybody where there are none."""
    if by is None:
        return Domains("all", np.zeros(n, dtype=np.int64), ("all",))
    table = by.to_frame() if isinstance(by, pd.Series) else by
    if len(table) != n:
        raise ModelError("ROWS_DIFFER", name="by", found=len(table), n=n)
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
        raise ModelError("NO_DOMAIN")
    position = np.full(len(values) + 1, -1, dtype=np.int64)
    position[present] = np.arange(len(present))
    names = tuple(join(values[code]) for code in present)
    return Domains(join(table), position[codes], names)


def as_values(table: pd.DataFrame | pd.Series, n: int, *, name: str) -> pd.DataFrame:
    """Return numbers as a table of floats, one row a respondent."""
    table = table.to_frame() if isinstance(table, pd.Series) else table
    if len(table) != n:
        raise ModelError("ROWS_DIFFER", name=name, found=len(table), n=n)
    if table.shape[1] == 0:
        raise ModelError("NO_COLUMNS", name=name)
    if not all(dtype == "float64" for dtype in table.dtypes):
        table = table.astype("Float64").astype(float)
    infinite = np.isinf(table.to_numpy())
    if infinite.any():
        listed = ", ".join(str(column) for column in table.columns[infinite.any(axis=0)])
        raise ModelError("NOT_FINITE", listed=listed, n=int(infinite.sum()))
    return table


def as_indicators(table: pd.DataFrame | pd.Series, n: int) -> pd.DataFrame:
    """Return 0, 1 and missing as a table, anything else refused."""
    table = as_values(table, n, name="indicators")
    values = table.to_numpy()
    if not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
        raise ModelError("NOT_AN_INDICATOR")
    return table


def base_groups(values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return columns that share a base, and that base: rows where they are not missing.

    Packed bits of a column tell bases apart in one pass; `np.unique` along columns sorts.
    """
    answered = ~np.isnan(values)
    columns: dict[bytes, list[int]] = {}
    for column, bits in enumerate(np.packbits(answered.T, axis=1)):
        columns.setdefault(bits.tobytes(), []).append(column)
    return [(np.array(which), answered[:, which[0]]) for which in columns.values()]


@dataclass(frozen=True, eq=False)
class Base:
    """Sums over the base of each domain that has one: all of shape (D,)."""

    domains: Domains
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


def make_base(design: Design, domains: Domains, *, answered: np.ndarray) -> Base:
    """Return the people of every domain who answered."""
    inside = np.where(answered, domains.codes, -1)
    kept = inside >= 0
    if not kept.any():
        raise ModelError("NO_ANSWERS")
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
    return Base(domains, groups, index, counts[index], weight, weight**2 / squares, df)


def base_sums(base: Base, values: np.ndarray) -> np.ndarray:
    """Return sums over each domain's base, shape (D, k), of values (n, k)."""
    if len(base.index) == 1:
        inside = base.groups >= 0
        return (values if inside.all() else values[inside]).sum(axis=0, keepdims=True)
    return base.membership @ values


def domain_variances(
    design: Design, base: Base, *, values: np.ndarray, centre: np.ndarray, scale: np.ndarray
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
    step = max(1, CHUNK_VALUES // max(1, n * k))
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


def clean_error(variance: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """Return standard errors; what is only rounding of a fixed quantity becomes 0."""
    error = np.sqrt(np.maximum(variance, 0))
    return np.where(error <= NOISE * np.maximum(np.abs(scale), NOISE), 0.0, error)


def explained_part(
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


def is_varying(base: Base, number: np.ndarray) -> np.ndarray:
    """Return whether not all answers of a domain are the same, shape (D, k)."""
    squares = base_sums(base, np.square(number)) * base.n[:, None]
    return squares - np.square(base_sums(base, number)) > NOISE * squares


def assemble_rows(parts: list[pd.DataFrame], order: list[str], *, domains: Domains) -> pd.DataFrame:
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


def make_grid(
    base: Base, columns: list[str], *, design: Design, **figures: np.ndarray
) -> pd.DataFrame:
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


def tabulate(
    design: Design,
    table: pd.DataFrame,
    *,
    by: pd.DataFrame | pd.Series | None,
    part: Callable[..., pd.DataFrame],
) -> pd.DataFrame:
    """Return the rows of a table, one pass for all columns that share a base.

    Args:
        design: The design, n rows.
        table: Numbers, NaN outside the base, shape (n, k).
        by: Domain variables, shape (n, 1..m). None: everybody.
        part: Returns the rows of a base and the values of some columns, 0 outside it, by `names`.
    """
    values, domains = table.to_numpy(), make_domains(by, design.n)
    columns = [str(name) for name in table.columns]
    parts = []
    for which, answered in base_groups(values):
        base = make_base(design, domains, answered=answered)
        inside = np.where(answered[:, None], values[:, which], 0.0)
        parts.append(part(base, inside, names=[columns[c] for c in which]))
    return assemble_rows(parts, columns, domains=domains)


def with_left_out(rows: pd.DataFrame, left_out: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the number of people whom they leave out."""
    if rows.empty:
        raise ModelError("ONE_PERSON_DOMAIN", n=len(left_out))
    if len(left_out):
        rows.attrs["left_out"] = left_out.assign(reason="ONE_PERSON_DOMAIN").to_dict("records")
    return rows


def make_side(design: Design, mask: np.ndarray) -> Base:
    """Return the base of the people of a mask."""
    everybody = Domains("all", np.zeros(design.n, dtype=np.int64), ("all",))
    return make_base(design, everybody, answered=mask)
