"""What is a design: weights, strata, sampling units, calibration margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from tsunagari.errors import ConfigError, ModelError

CERTAINTY = 1e-7  # sampling fraction so near 1 that a stratum adds no variance (as R survey)
LONELY_PSU_RULES = ("fail", "certainty", "adjust")
_DENSE_CODES = 1e7  # most combinations counted in one array
SHOWN_CELLS = 6  # cells an error message names


# --- the design -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """Weights and sampling design of one survey; every estimate takes it.

    Attributes:
        weights: Calibrated weights in persons, shape (n,).
        base_weights: Weights before calibration, shape (n,); None takes `weights`.
        margins: One integer code array (n,) for each margin the weights were calibrated to. None
            of them: not calibrated. One: post-stratified. More: raked.
        totals: Population of every code of every margin, in persons; empty takes what the weights
            achieve.
        parts: For each margin None where its totals are known, or, where some are the sample's own
            shares, block and group of every code, shape (2, n_codes): a group's total is known, and
            so are the proportions inside a block; the blocks' shares of the group are estimated.
            Empty where everything is known.
        strata: Stratum code of each row, shape (n,), or None for one stratum.
        psu: Primary sampling unit of each row, shape (n,), or None where each row is its own.
        fpc: Number of PSUs in the row's stratum in the population, or (all at most 1) the sampling
            fraction, shape (n,), or None for sampling with replacement.
        lonely_psu: What a stratum with one PSU adds to a variance: "fail" raises an error,
            "certainty" adds nothing, "adjust" measures it from zero. As `survey.lonely.psu` in R.
        scheme: Name of the weighting, such as "post_stratification: region x age_band".
        cells: One table for each margin, a row a code: its variables and `population`.
        n_trimmed: Weights that were capped.

    Raises:
        ModelError: A weight is missing, zero or negative, or lengths differ.
    """

    weights: np.ndarray
    base_weights: np.ndarray | None = None
    margins: tuple[np.ndarray, ...] = ()
    totals: tuple[np.ndarray, ...] = ()
    parts: tuple[np.ndarray | None, ...] = ()
    strata: np.ndarray | None = None
    psu: np.ndarray | None = None
    fpc: np.ndarray | None = None
    lonely_psu: str = "fail"
    scheme: str = "given"
    cells: tuple[pd.DataFrame, ...] = ()
    n_trimmed: int = 0

    def __post_init__(self) -> None:
        """Check lengths and signs, and fill what was left out."""
        weights = np.asarray(self.weights, dtype=float)
        base = weights if self.base_weights is None else np.asarray(self.base_weights, dtype=float)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "base_weights", base)
        check_weights(weights, name="weights")
        check_weights(base, name="base_weights")
        parts = {"base_weights": base, "strata": self.strata, "psu": self.psu, "fpc": self.fpc}
        parts |= {f"margins[{m}]": codes for m, codes in enumerate(self.margins)}
        wrong = [name for name, part in parts.items() if part is not None and len(part) != self.n]
        if wrong:
            names = ", ".join(wrong)
            raise ModelError("DESIGN_LENGTH", names=names, n=self.n)
        self._check_codes()
        if self.lonely_psu not in LONELY_PSU_RULES:
            allowed = ", ".join(LONELY_PSU_RULES)
            raise ConfigError("LONELY_PSU_UNKNOWN", allowed=allowed)
        if not self.parts:
            object.__setattr__(self, "parts", (None,) * len(self.margins))
        if self.margins and not self.totals:
            totals = tuple(np.bincount(codes, weights) for codes in self.margins)
            object.__setattr__(self, "totals", totals)

    def _check_codes(self) -> None:
        """Refuse rows without a stratum, unit or margin code, and codes without a total."""
        units = {"strata": self.strata, "psu": self.psu}
        bad = {name: pd.isna(part) for name, part in units.items() if part is not None}
        for m, codes in enumerate(self.margins):
            total = self.totals[m] if self.totals else np.zeros(codes.max() + 1)
            known = np.append(np.isfinite(total) & (total >= 0), False)
            bad[f"margins[{m}]"] = (codes < 0) | ~known[np.minimum(codes, len(total))]
        for name, rows in bad.items():
            if rows.any():
                where = ", ".join(str(row + 1) for row in np.flatnonzero(rows)[:SHOWN_CELLS])
                n = int(rows.sum())
                raise ModelError("DESIGN_VALUES", name=name, n=n, where=where)

    @property
    def n(self) -> int:
        """Number of respondents."""
        return len(self.weights)

    @cached_property
    def _joint(self) -> tuple[np.ndarray, np.ndarray]:
        """Code of each row's cell over all margins, and the margin codes of each cell (J, m)."""
        return joint_codes(self.margins)

    @cached_property
    def _cell_sums(self) -> sparse.csr_array:
        """Matrix (J, n) that sums base-weighted rows into cells."""
        joint, table = self._joint
        entries = (self.base_weights, (joint, np.arange(self.n)))
        return sparse.csr_array(sparse.coo_array(entries, shape=(len(table), self.n)))

    @cached_property
    def _projection(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Root of the cells' base weight (J,), basis (J, r) of the margins, the way to codes."""
        joint, table = self._joint
        root = np.sqrt(np.bincount(joint, self.base_weights, minlength=len(table)))
        if len(self.margins) == 1:
            return root, None, None
        indicators = np.hstack([np.eye(t.max() + 1)[t] for t in table.T]) * root[:, None]
        left, singular, right = np.linalg.svd(indicators, full_matrices=False)
        kept = singular > singular[0] * 1e-10
        return root, left[:, kept], right[kept].T / singular[kept]

    @cached_property
    def _estimated(self) -> sparse.csr_array | None:
        """Matrix (J, C) from the codes' coefficients to what estimated totals add in a cell.

        That is d/w times N/D of the group times the coefficient of the block less the group's; d/w
        of a cell is its rows' own where no weight was capped.
        """
        if not any(parts is not None for parts in self.parts):
            return None
        joint, table = self._joint
        base = np.bincount(joint, self.base_weights, minlength=len(table))
        columns = []
        for codes, totals, parts in zip(table.T, self.totals, self.parts, strict=True):
            if parts is None:
                columns.append(sparse.csr_array((len(table), len(totals))))
                continue
            group = parts[1]
            ratio = np.bincount(group, totals) / np.bincount(group[codes], base)
            block_mean, group_mean = (_mean_matrix(part, totals) for part in parts)
            columns.append((ratio[group][:, None] * (block_mean - group_mean)).tocsr()[codes])
        factor = base / np.bincount(joint, self.weights, minlength=len(table))
        return sparse.csr_array(sparse.hstack(columns) * factor[:, None])

    def residuals(self, u: np.ndarray) -> np.ndarray:
        """Return what calibration leaves of influence values.

        Args:
            u: Influence values, shape (n,) or (n, k).

        Returns:
            u minus its regression on the margins' indicators weighted by the base weights, in the
            shape of u; u itself where nothing was calibrated. Where totals are the sample's shares
            (`parts`) a person also moves those (docs/methods.md).

        References:
            Deville and Särndal (1992), Calibration estimators, JASA 87(418).
        """
        u = np.asarray(u, dtype=float)
        if not self.margins:
            return u
        if u.ndim == 2 and u.shape[1] == 1:
            return self.residuals(u[:, 0])[:, None]
        joint, table = self._joint
        if u.ndim == 1:
            sums = np.bincount(joint, self.base_weights * u, minlength=len(table))[:, None]
        else:
            sums = self._cell_sums @ u
        root, basis, solve = self._projection
        means = coefficients = sums / (root**2)[:, None]
        if basis is not None:
            turned = basis.T @ (means * root[:, None])
            means, coefficients = (basis @ turned) / root[:, None], solve @ turned
        if self._estimated is not None:
            means = means - self._estimated @ coefficients
        return u - (means[joint, 0] if u.ndim == 1 else means[joint])

    @cached_property
    def _units(self) -> _Units:
        """Strata and PSUs as codes, checked once."""
        return _sampling_units(self)

    def _spread(self, u: np.ndarray) -> np.ndarray:
        """Return scaled, centred PSU totals of influence values (n, k) or (n,), shape (P, k)."""
        u = np.asarray(u, dtype=float).reshape(self.n, -1)
        units = self._units
        z = self.weights[:, None] * self.residuals(u)
        if units.row_psu is not None:
            z = units.psu_sums @ z
        centred = z - units.stratum_means(z)
        if self.lonely_psu == "adjust":
            lone = units.n_psu[units.stratum] == 1
            centred[lone] = z[lone]
        if len(units.scale) == 1:
            return centred * np.sqrt(units.scale[0])
        return centred * np.sqrt(units.scale)[units.stratum][:, None]

    def covariance(self, u: np.ndarray) -> np.ndarray:
        """Return the covariance of the weighted totals of influence values.

        V = sum over strata of (1 - f) n/(n-1) * sum of (z - mean)(z - mean)', with z the PSU totals
        of weight times residual.

        Args:
            u: Influence values, shape (n, k); rows outside a domain are zero.

        Returns:
            Shape (k, k).

        Raises:
            ModelError: A stratum has one PSU and `lonely_psu` is "fail".

        References:
            Binder (1983), On the variances of asymptotically normal estimators, ISR 51(3).
        """
        spread = self._spread(u)
        return spread.T @ spread

    def variances(self, u: np.ndarray) -> np.ndarray:
        """Return the diagonal of `covariance(u)`, shape (k,), without the rest of it."""
        spread = self._spread(u)
        return np.einsum("ij,ij->j", spread, spread)

    def degrees_of_freedom(self, mask: np.ndarray | None = None) -> int:
        """Return the number of PSUs minus the number of strata among the rows of a mask.

        Args:
            mask: Rows inside the domain that answered, bool, shape (n,); None takes all.
        """
        inside = np.ones(self.n, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
        groups = np.where(inside, 0, -1)
        return int(self.degrees_of_freedom_by(groups, n_groups=1)[0])

    def degrees_of_freedom_by(self, groups: np.ndarray, *, n_groups: int) -> np.ndarray:
        """Return the degrees of freedom of every domain at once.

        Args:
            groups: Domain code of each row, shape (n,), -1 for rows in none.
            n_groups: Number of domains.

        Returns:
            PSUs minus strata in each domain, int, shape (n_groups,).
        """
        units = self._units
        inside = groups >= 0
        everybody = bool(inside.all())
        group = groups if everybody else groups[inside]
        counts = np.bincount(group, minlength=n_groups)
        n_strata = (counts > 0).astype(np.int64)
        if len(units.n_psu) > 1:
            stratum = units.stratum if units.row_psu is None else units.stratum[units.row_psu]
            n_strata = _distinct(group, stratum if everybody else stratum[inside], n_groups)
        if units.row_psu is None:
            return counts - n_strata
        return _distinct(group, units.row_psu[inside], n_groups) - n_strata


_OF_ROWS = ("weights", "base_weights", "strata", "psu", "fpc")
_OF_MARGINS = ("margins", "totals", "parts")


def pack(design: Design) -> dict[str, np.ndarray]:
    """Return a design as named arrays, to be saved; the cells' tables are left out."""
    arrays = {name: getattr(design, name) for name in _OF_ROWS}
    arrays |= {f"{n}_{m}": a for n in _OF_MARGINS for m, a in enumerate(getattr(design, n))}
    arrays |= {name: np.array(getattr(design, name)) for name in ("lonely_psu", "scheme")}
    return {name: array for name, array in arrays.items() if array is not None}


def unpack(arrays: Mapping[str, np.ndarray]) -> Design:
    """Return the design that `pack` made arrays of."""
    n_margins = sum(name.startswith("margins_") for name in arrays)
    return Design(
        **{name: arrays.get(name) for name in _OF_ROWS},
        **{n: tuple(arrays.get(f"{n}_{m}") for m in range(n_margins)) for n in _OF_MARGINS},
        **{name: str(arrays[name]) for name in ("lonely_psu", "scheme")},
    )


def _mean_matrix(group: np.ndarray, weights: np.ndarray) -> sparse.csr_array:
    """Return the matrix (C, C) that puts the weighted mean of its group in each code's place."""
    member = sparse.csr_array((np.ones(len(group)), (np.arange(len(group)), group)))
    return member @ (member * (weights / np.bincount(group, weights)[group])[:, None]).T


def _distinct(group: np.ndarray, code: np.ndarray, n_groups: int) -> np.ndarray:
    """Return how many different codes each group holds, shape (n_groups,)."""
    width = int(code.max()) + 1 if len(code) else 1
    pairs = group * np.int64(width) + code
    if n_groups * width > _DENSE_CODES:
        return np.bincount(np.unique(pairs) // width, minlength=n_groups)
    counts = np.bincount(pairs, minlength=n_groups * width)
    return np.count_nonzero(counts.reshape(n_groups, width), axis=1)


@dataclass(frozen=True, eq=False)
class _Units:
    """PSUs and strata of a design: stratum of each PSU (P,), PSU of each row, scales (H,)."""

    stratum: np.ndarray
    row_psu: np.ndarray | None
    n_psu: np.ndarray
    scale: np.ndarray

    @cached_property
    def psu_sums(self) -> sparse.csr_array:
        n = len(self.row_psu)
        entries = (np.ones(n), (self.row_psu, np.arange(n)))
        return sparse.csr_array(sparse.coo_array(entries, shape=(len(self.stratum), n)))

    @cached_property
    def _stratum_average(self) -> sparse.csr_array:
        n = len(self.stratum)
        entries = (1 / self.n_psu[self.stratum], (self.stratum, np.arange(n)))
        return sparse.csr_array(sparse.coo_array(entries, shape=(len(self.n_psu), n)))

    def stratum_means(self, z: np.ndarray) -> np.ndarray:
        """Mean of each row's stratum, shape (P, k) or (1, k) where there is one stratum."""
        if len(self.n_psu) == 1:
            return z.mean(axis=0, keepdims=True)
        if z.shape[1] == 1:
            return (np.bincount(self.stratum, z[:, 0]) / self.n_psu)[self.stratum][:, None]
        return (self._stratum_average @ z)[self.stratum]


def _sampling_units(design: Design) -> _Units:
    n = design.n
    strata = np.zeros(n, dtype=np.int64)
    if design.strata is not None:
        strata = factorise(design.strata)[0]
    if design.psu is None:
        row_psu, stratum = None, strata
    else:
        row_psu, present = joint_codes((strata, factorise(design.psu)[0]))
        stratum = present[:, 0]
    n_psu = np.bincount(stratum)
    fraction = np.zeros(len(n_psu))
    if design.fpc is not None:
        fraction = sampling_fractions(design.fpc, strata=strata, n_psu=n_psu)
    left = 1 - fraction
    left[left < CERTAINTY] = 0
    scale = left * np.where(n_psu > 1, n_psu / np.maximum(n_psu - 1, 1), 1.0)
    lone = (n_psu == 1) & (left > 0)
    if lone.any() and design.lonely_psu == "fail":
        raise ModelError("LONELY_PSU", n=len(n_psu), n_2=lone.sum())
    if design.lonely_psu == "certainty":
        scale = np.where(lone, 0.0, scale)
    return _Units(stratum, row_psu, n_psu, scale)


def sampling_fractions(fpc: np.ndarray, *, strata: np.ndarray, n_psu: np.ndarray) -> np.ndarray:
    """Return the sampling fraction of each stratum from population sizes or fractions."""
    fpc = np.asarray(fpc, dtype=float)
    first = np.unique(strata, return_index=True)[1]
    value = fpc[first]
    good = np.isfinite(fpc).all() and (fpc > 0).all() and (fpc == value[strata]).all()
    fraction = value if (fpc <= 1).all() else n_psu / np.where(value > 0, value, np.nan)
    if not (good and (fraction <= 1 + CERTAINTY).all()):
        raise ModelError("FPC")
    return np.minimum(fraction, 1)


# --- cells and codes ------------------------------------------------------------------------------


def factorise(values: np.ndarray | pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return integer codes (n,) in sorted order of the values, and the values; -1 for missing."""
    codes, levels = pd.factorize(pd.Series(values), sort=True)
    return codes.astype(np.int64), np.asarray(levels)


def joint_codes(margins: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the code of each row's combination and the combinations that occur.

    Args:
        margins: Code arrays, each shape (n,), none negative.

    Returns:
        Codes 0..J-1, shape (n,), and the margins' codes of each combination, shape (J, m).
    """
    if len(margins) == 1:
        return margins[0], np.arange(int(margins[0].max()) + 1)[:, None]
    shape = tuple(int(codes.max()) + 1 for codes in margins)
    flat = margins[0].astype(np.int64)
    for codes, size in zip(margins[1:], shape[1:], strict=True):
        flat *= size
        flat += codes
    if np.prod([float(size) for size in shape]) > _DENSE_CODES:
        present, position_of_row = np.unique(flat, return_inverse=True)
        return position_of_row, np.column_stack(np.unravel_index(present, shape))
    present = np.flatnonzero(np.bincount(flat))
    if len(present) == np.prod(shape):
        return flat, np.column_stack(np.unravel_index(present, shape))
    position = np.zeros(int(np.prod(shape)), dtype=np.int64)
    position[present] = np.arange(len(present))
    return position[flat], np.column_stack(np.unravel_index(present, shape))


def check_weights(
    weights: np.ndarray, *, name: str, file_rows: Sequence[int] | None = None
) -> None:
    """Refuse weights that are missing, infinite, zero or negative.

    Args:
        weights: Shape (n,).
        name: Column they came from.
        file_rows: Row of each in the answer file, for the message.

    Raises:
        ModelError: Names the column, the count and the first rows.
    """
    bad = ~(np.isfinite(weights) & (weights > 0))
    if not bad.any():
        return
    where = np.flatnonzero(bad)[:SHOWN_CELLS]
    rows = where + 1 if file_rows is None else np.asarray(file_rows)[where]
    shown = ", ".join(str(row) for row in rows)
    kind = "行" if file_rows is None else "ファイルの行"
    kind_en = "rows" if file_rows is None else "file rows"
    raise ModelError(
        "WEIGHT_NOT_POSITIVE", name=name, n=int(bad.sum()), kind=kind, shown=shown, kind_en=kind_en
    )
