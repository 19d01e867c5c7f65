"""How many people does each respondent stand for, and how sure does that leave us?

Post-stratification, raking on the cell table, trimming, weights as given; and `Design`, the one
object that carries weights and sampling design to every table and model. Formulas: docs/methods.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from tsunagari.estimates import join
from tsunagari.study import ConfigError, InputError, ModelError

RAKING_TOLERANCE = 1e-10  # relative gap of any margin at which raking has converged
RAKING_POLISH = 1e-14  # aimed at once converged: the cell table is small, rounds are cheap
RAKING_POLISH_ROUNDS = 50
RAKING_ROUNDS = 2_000
TRIM_TOLERANCE = 1e-10  # aimed at; relative excess over the cap
TRIM_ACCEPTED = 1e-6  # accepted after the last round
TRIM_ROUNDS = 50  # statistics: raking and capping that takes longer does not end
MARGIN_SUM_TOLERANCE = 1e-3  # relative gap between margin sums; smaller ones are rounding
CERTAINTY = 1e-7  # sampling fraction so near 1 that a stratum adds no variance (as R survey)
LONELY_PSU_RULES = ("fail", "certainty", "adjust")
_DENSE_CODES = 1e7  # most combinations counted in one array
_SHOWN_CELLS = 6  # cells an error message names


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
            raise ModelError(
                "DESIGN_LENGTH",
                f"設計の列 {names} の行数が重み {self.n} 行と合わない。同じ回答者の表から作る。",
                f"{names} do not have the {self.n} rows of the weights; take them from one table.",
            )
        self._check_codes()
        if self.lonely_psu not in LONELY_PSU_RULES:
            allowed = ", ".join(LONELY_PSU_RULES)
            raise ConfigError(
                "LONELY_PSU_UNKNOWN",
                f"lonely_psu は {allowed} のどれか。",
                f"lonely_psu must be one of {allowed}.",
            )
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
                where = ", ".join(str(row + 1) for row in np.flatnonzero(rows)[:_SHOWN_CELLS])
                n = int(rows.sum())
                raise ModelError(
                    "DESIGN_VALUES",
                    f"設計の {name} に、値がないか人数の分からない行が {n} 行ある (行 {where})。"
                    "値を直すか、その行を除外する。",
                    f"{n} rows have no {name} or no population for it (rows {where}); correct it "
                    "or leave those rows out.",
                )

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
        fraction = _sampling_fractions(design.fpc, strata=strata, n_psu=n_psu)
    left = 1 - fraction
    left[left < CERTAINTY] = 0
    scale = left * np.where(n_psu > 1, n_psu / np.maximum(n_psu - 1, 1), 1.0)
    lone = (n_psu == 1) & (left > 0)
    if lone.any() and design.lonely_psu == "fail":
        raise ModelError(
            "LONELY_PSU",
            f"{len(n_psu)} 層のうち {lone.sum()} 層に抽出単位が 1 つしかなく、分散を計算できない。"
            "層をまとめるか、lonely_psu を指定する。",
            f"{lone.sum()} of {len(n_psu)} strata hold a single sampling unit, so no variance can "
            "be computed; collapse strata or name a lonely_psu rule.",
        )
    if design.lonely_psu == "certainty":
        scale = np.where(lone, 0.0, scale)
    return _Units(stratum, row_psu, n_psu, scale)


def _sampling_fractions(fpc: np.ndarray, *, strata: np.ndarray, n_psu: np.ndarray) -> np.ndarray:
    """Return the sampling fraction of each stratum from population sizes or fractions."""
    fpc = np.asarray(fpc, dtype=float)
    first = np.unique(strata, return_index=True)[1]
    value = fpc[first]
    good = np.isfinite(fpc).all() and (fpc > 0).all() and (fpc == value[strata]).all()
    fraction = value if (fpc <= 1).all() else n_psu / np.where(value > 0, value, np.nan)
    if not (good and (fraction <= 1 + CERTAINTY).all()):
        raise ModelError(
            "FPC",
            "有限母集団修正 (fpc) は層の中で同じ正の有限の値で、標本の抽出単位数以上でなければ"
            "ならない。",
            "The finite population correction must be one positive, finite value in each stratum, "
            "not below the number of sampled units.",
        )
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
    where = np.flatnonzero(bad)[:_SHOWN_CELLS]
    rows = where + 1 if file_rows is None else np.asarray(file_rows)[where]
    shown = ", ".join(str(row) for row in rows)
    kind = "行" if file_rows is None else "ファイルの行"
    kind_en = "rows" if file_rows is None else "file rows"
    raise ModelError(
        "WEIGHT_NOT_POSITIVE",
        f"重み {name} に、欠測・無限大・0・負の値が {int(bad.sum())} 件ある ({kind} {shown})。"
        "値を直すか、その行を除外してから重みを付ける。",
        f"{int(bad.sum())} values of weight {name} are missing, infinite, zero or negative "
        f"({kind_en} {shown}); correct them or leave those rows out before weighting.",
    )


# --- calibration ----------------------------------------------------------------------------------


def post_stratify(base_weights: np.ndarray, cells: np.ndarray, *, totals: np.ndarray) -> np.ndarray:
    """Return weights that give every cell its population: d * N_cell / sum of d in the cell.

    Args:
        base_weights: Positive, shape (n,).
        cells: Cell code of each row, shape (n,).
        totals: Population of each cell in persons, shape (n_cells,), positive.

    Returns:
        Weights in persons, shape (n,).

    References:
        Holt and Smith (1979), Post Stratification, JRSS A 142(1).

    Example:
        >>> d = np.ones(3)
        >>> post_stratify(d, np.array([0, 0, 1]), totals=np.array([100.0, 80.0])).tolist()
        [50.0, 50.0, 80.0]
    """
    sums = np.bincount(cells, base_weights, minlength=len(totals))
    return base_weights * (totals / sums)[cells]


def rake_cells(
    sums: np.ndarray,
    table: np.ndarray,
    *,
    totals: Sequence[np.ndarray],
    rounds: int = RAKING_ROUNDS,
) -> np.ndarray:
    """Return one factor a cell so that the cell table meets every margin.

    Iterative proportional fitting on the table of cells, never on the rows. It has converged when
    every margin is within 1e-10; a few more rounds then take out what is left.

    Args:
        sums: Base weight of each cell, shape (J,), not negative.
        table: Margin codes of each cell, shape (J, m).
        totals: Population of each code of each margin, m arrays.
        rounds: Most rounds before giving up.

    Returns:
        Factors, shape (J,).

    Raises:
        ModelError: Not converged; the message names the margin that is furthest off.

    References:
        Deming and Stephan (1940), Annals of Mathematical Statistics 11(4).
    """
    factors = np.ones(len(sums))
    gap, polishing, best = np.inf, 0, None
    for _ in range(rounds):
        for codes, total in zip(table.T, totals, strict=True):
            achieved = np.bincount(codes, sums * factors, minlength=len(total))
            ratio = np.divide(total, achieved, out=np.ones_like(total), where=achieved > 0)
            factors = factors * ratio[codes]
        before, gap = gap, _worst_gap(sums * factors, table, totals)[0]
        if gap <= RAKING_TOLERANCE:
            polishing += 1
            if best is None or gap < before:
                best = factors
            if gap <= RAKING_POLISH or gap >= before or polishing > RAKING_POLISH_ROUNDS:
                return best
    if best is not None:
        return best
    gap, margin = _worst_gap(sums * factors, table, totals)
    raise ModelError(
        "RAKING_NOT_CONVERGED",
        f"レイキングが {rounds} 回で収束しない (周辺 {margin + 1} 番目で相対誤差 {gap:.1e})。"
        "回答者のいない組合せが原因のことが多い。コードをまとめるか、周辺を減らす。",
        f"Raking did not converge in {rounds} rounds (margin number {margin + 1} is off by "
        f"{gap:.1e}); combinations without respondents are the usual cause: collapse codes or "
        "drop a margin.",
    )


def _worst_gap(
    sums: np.ndarray, table: np.ndarray, totals: Sequence[np.ndarray]
) -> tuple[float, int]:
    """Return the largest relative gap of any margin and which margin it is."""
    gaps = []
    for codes, total in zip(table.T, totals, strict=True):
        achieved = np.bincount(codes, sums, minlength=len(total))
        known = total > 0
        gaps.append(np.max(np.abs(achieved[known] / total[known] - 1)))
    return float(np.max(gaps)), int(np.argmax(gaps))


def rake(
    base_weights: np.ndarray, margins: Sequence[np.ndarray], *, totals: Sequence[np.ndarray]
) -> np.ndarray:
    """Return weights that meet several margins at once.

    Args:
        base_weights: Positive, shape (n,).
        margins: Code arrays, each shape (n,).
        totals: Population of each code of each margin, in persons.

    Returns:
        Weights in persons, shape (n,).

    Raises:
        ModelError: Not converged.
    """
    joint, table = joint_codes(margins)
    sums = np.bincount(joint, base_weights, minlength=len(table))
    return base_weights * rake_cells(sums, table, totals=totals)[joint]


def rake_and_trim(
    base_weights: np.ndarray,
    margins: Sequence[np.ndarray],
    *,
    totals: Sequence[np.ndarray],
    trim_ratio: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return raked weights of which none is above a multiple of their mean.

    The loop w = min(w, ratio * mean), rake again; at most 50 rounds.

    Args:
        base_weights: Positive, shape (n,).
        margins: Code arrays, each shape (n,).
        totals: Population of each code of each margin, in persons.
        trim_ratio: Largest weight as a multiple of the mean weight, above 1.

    Returns:
        Weights, shape (n,), and which of them were capped in any round, bool, shape (n,).

    Raises:
        ModelError: The cap cannot be kept together with the margins.
    """
    joint, table = joint_codes(margins)
    weights, touched = base_weights, np.zeros(len(base_weights), dtype=bool)
    excess = np.inf
    for step in range(TRIM_ROUNDS + 1):
        sums = np.bincount(joint, weights, minlength=len(table))
        weights = weights * rake_cells(sums, table, totals=totals)[joint]
        cap = trim_ratio * weights.mean()
        excess = weights.max() / cap - 1
        if excess <= TRIM_TOLERANCE or step == TRIM_ROUNDS:
            break
        touched |= weights > cap
        weights = np.minimum(weights, cap)
    if excess > TRIM_ACCEPTED:
        n_over = int((weights > cap * (1 + TRIM_ACCEPTED)).sum())
        raise ModelError(
            "TRIM_NOT_CONVERGED",
            f"重みの上限 (平均の {trim_ratio:g} 倍) と周辺が {TRIM_ROUNDS} 回で両立しない "
            f"(上限超え {n_over} 件)。上限を上げるか、コードをまとめる。",
            f"The cap of {trim_ratio:g} times the mean and the margins do not go together in "
            f"{TRIM_ROUNDS} rounds ({n_over} weights above it); raise the cap or collapse codes.",
        )
    return weights, touched


def calibrate(base_weights: np.ndarray, design: Design) -> np.ndarray:
    """Return other base weights calibrated to the margins of a design.

    Args:
        base_weights: Not negative, shape (n,): those of a replicate, say. A cell without any
            weight is left at zero, and the others keep their own totals; a margin's code without
            any gives its total to the others. Shares that the sample tells are told again.
        design: Its margins and totals.

    Returns:
        Weights, shape (n,).
    """
    if not design.margins:
        return base_weights
    joint, table = design._joint
    sums = np.bincount(joint, base_weights, minlength=len(table))
    totals = []
    for codes, total, parts in zip(table.T, design.totals, design.parts, strict=True):
        of_codes = np.bincount(codes, sums, minlength=len(total))
        current = total if parts is None else _share_again(of_codes, total, parts=parts)
        kept = np.where(of_codes > 0, current, 0.0)
        totals.append(kept * (current.sum() / kept.sum()))
    if len(totals) == 1:
        factors = np.divide(current, sums, out=np.zeros_like(sums), where=sums > 0)
    else:
        factors = rake_cells(sums, table, totals=totals)
    return base_weights * factors[joint]


def _share_again(sums: np.ndarray, totals: np.ndarray, *, parts: np.ndarray) -> np.ndarray:
    """Return a margin's totals (C,) with the blocks' shares of other base weights (C,)."""
    of_block, of_group = (np.bincount(part, totals)[part] for part in parts)
    in_block, in_group = (np.bincount(part, sums)[part] for part in parts)
    share = np.divide(in_block, in_group, out=of_block / of_group, where=in_group > 0)
    return of_group * share * totals / of_block


# --- from a study's settings to a design ----------------------------------------------------------


def weigh_respondents(
    respondents: pd.DataFrame,
    targets: pd.DataFrame | Sequence[pd.DataFrame] | None,
    *,
    settings: Any,
    labels: Mapping[str, Mapping[str, str]] | None = None,
) -> Design:
    """Return the design with weights as the study file says.

    Args:
        respondents: One row a respondent, shape (n, any), with the variables of `settings`.
        targets: Population, columns the cell variables and `population` (persons). For raking
            either one table that holds every margin's variables, or one table a margin: first that
            of `cells`, then those of `margins`. None for method "given".
        settings: `study.config.weighting`: method, cells, strata, psu, fpc, base_weight,
            lonely_psu, sample_share, collapse, minimum_cell_n, trim_ratio, margins.
        labels: Label of every code of every cell variable, for messages.

    Returns:
        The design; weights in persons, rows in the order of `respondents`.

    Raises:
        InputError: A respondent has no value for a cell, a stratum or a PSU.
        ModelError: A base weight is missing, zero or negative; a cell has respondents and no
            population or the reverse; raking or trimming does not converge.
        ConfigError: Method, column or margins do not fit.

    Example:
        >>> from types import SimpleNamespace
        >>> people = pd.DataFrame({"region": ["N", "N", "S"]})
        >>> adults = pd.DataFrame({"region": ["N", "S"], "population": [100, 80]})
        >>> plan = SimpleNamespace(method="post_stratification", cells=["region"])
        >>> weigh_respondents(people, adults, settings=plan).weights.tolist()
        [50.0, 50.0, 80.0]
    """
    plan = _Plan.of(settings)
    if len(respondents) == 0:
        raise InputError(
            "NO_RESPONDENTS",
            "回答者が 0 人なので重みを付けられない。取り込みの結果を確かめる。",
            "There are no respondents to weight; look at the result of cleaning.",
        )
    base = _base_weights(respondents, plan)
    units = _unit_columns(respondents, plan)
    if plan.method == "given":
        return Design(weights=base, scheme=f"given: {plan.base_weight}", **units)
    if plan.method not in ("post_stratification", "raking"):
        raise ConfigError(
            "WEIGHTING_METHOD",
            "weighting.method は post_stratification, raking, given のどれか。",
            "weighting.method must be post_stratification, raking or given.",
        )
    margins = _margins(respondents, targets, plan=plan, base=base, labels=labels or {})
    codes, totals = tuple(m.codes for m in margins), tuple(m.totals for m in margins)
    touched = np.zeros(len(base), dtype=bool)
    if plan.method == "post_stratification":
        weights = post_stratify(base, codes[0], totals=totals[0])
        _check_cap(weights, margins[0], plan=plan, labels=labels or {})
    elif plan.trim_ratio:
        weights, touched = rake_and_trim(base, codes, totals=totals, trim_ratio=plan.trim_ratio)
    else:
        weights = rake(base, codes, totals=totals)
    return Design(
        weights=weights,
        base_weights=base,
        margins=codes,
        totals=totals,
        parts=tuple(m.parts for m in margins),
        scheme=f"{plan.method}: " + " + ".join(join(m.by) for m in margins),
        cells=tuple(m.table for m in margins),
        n_trimmed=int(touched.sum()),
        **units,
    )


def alternative_designs(
    respondents: pd.DataFrame,
    targets: pd.DataFrame | Sequence[pd.DataFrame] | None,
    *,
    settings: Any,
    other_targets: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, Design]:
    """Return the study's design among those it could have chosen, for a table of sensitivity.

    Args:
        respondents: As for `weigh_respondents`.
        targets: As for `weigh_respondents`.
        settings: `study.config.weighting`.
        other_targets: Further tables of population by name, such as {"census 2020": ...}, each with
            every cell variable; used with the study's own method and cells.

    Returns:
        Designs by name: unweighted; then, for a calibrated study, post-stratified by each leading
        part of two or more cell variables, raked by the first two and each of the rest, the other
        targets; the study's own last.

    Raises:
        SurveyError: As `weigh_respondents`.
    """
    plan = _Plan.of(settings)
    own = weigh_respondents(respondents, targets, settings=plan)
    ones = np.ones(own.n)
    bare = {"margins": (), "totals": (), "parts": (), "cells": (), "n_trimmed": 0}
    designs = [replace(own, weights=ones, base_weights=ones, scheme="unweighted", **bare)]
    if plan.method != "given":
        table = targets if isinstance(targets, pd.DataFrame) else targets[0]
        known = [name for name in plan.cells if name in table.columns]
        plain = replace(plan, method="post_stratification", margins=(), trim_ratio=None)
        for length in range(2, len(known) + 1):
            variant = replace(plain, cells=tuple(known[:length]))
            designs.append(weigh_respondents(respondents, table, settings=variant))
        if len(known) > 2:
            rest = tuple(_OneMargin((name,)) for name in known[2:])
            variant = replace(plain, method="raking", cells=tuple(known[:2]), margins=rest)
            designs.append(weigh_respondents(respondents, table, settings=variant))
        for name, other in (other_targets or {}).items():
            design = weigh_respondents(respondents, other, settings=plan)
            designs.append(replace(design, scheme=f"{design.scheme} ({name})"))
    named = {design.scheme: design for design in designs}
    named.pop(own.scheme, None)
    return named | {own.scheme: own}


@dataclass(frozen=True)
class _OneMargin:
    by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The weighting part of a study file, with what it may leave out filled in."""

    method: str
    cells: Sequence[str] = ()
    strata: Sequence[str] = ()
    psu: str | None = None
    fpc: str | None = None
    base_weight: str | None = None
    sample_share: Mapping[str, Sequence[str]] | None = None
    collapse: Sequence[Any] = ()
    minimum_cell_n: int = 1
    trim_ratio: float | None = None
    margins: Sequence[Any] = ()
    lonely_psu: str = "collapse"

    @classmethod
    def of(cls, settings: Any) -> _Plan:
        given = {name: getattr(settings, name, None) for name in cls.__dataclass_fields__}
        return cls(**{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, kw_only=True, eq=False)
class _Margin:
    by: tuple[str, ...]
    codes: np.ndarray
    totals: np.ndarray
    table: pd.DataFrame
    parts: np.ndarray | None


def _column(respondents: pd.DataFrame, name: str, *, key: str) -> pd.Series:
    if name not in respondents.columns:
        raise ConfigError(
            "WEIGHTING_COLUMN",
            f"weighting.{key} の変数 {name} が回答者の表にない。",
            f"Variable {name} of weighting.{key} is not in the table of respondents.",
        )
    return respondents[name]


def _base_weights(respondents: pd.DataFrame, plan: _Plan) -> np.ndarray:
    if plan.base_weight is None:
        if plan.method == "given":
            raise ConfigError(
                "WEIGHTING_BASE",
                "weighting.method が given のときは base_weight に重みの列を書く。",
                "With weighting.method given, base_weight must name the column of weights.",
            )
        return np.ones(len(respondents))
    column = _column(respondents, plan.base_weight, key="base_weight")
    base = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    rows = respondents["file_row"].to_numpy() if "file_row" in respondents.columns else None
    check_weights(base, name=plan.base_weight, file_rows=rows)
    return base


def _text(respondents: pd.DataFrame, names: Sequence[str], *, key: str) -> pd.DataFrame:
    """Return columns as strings; refuse rows without a value."""
    table = pd.DataFrame(
        {name: _column(respondents, name, key=key).astype("string") for name in names}
    )
    for name in names:
        missing = table[name].isna().to_numpy()
        if missing.any():
            where = np.flatnonzero(missing)[:_SHOWN_CELLS]
            rows = respondents["file_row"].to_numpy()[where] if "file_row" in respondents else where
            shown = ", ".join(str(row) for row in rows)
            raise InputError(
                "NO_CELL",
                f"{name} に値のない回答者が {int(missing.sum())} 人いて、重みを付けられない "
                f"(行 {shown})。取り込みで除外する。",
                f"{int(missing.sum())} respondents have no {name} and cannot be weighted (rows "
                f"{shown}); quarantine them in cleaning.",
            )
    return table


def _unit_columns(respondents: pd.DataFrame, plan: _Plan) -> dict[str, Any]:
    """Return strata, PSUs and fpc of the design, lone strata collapsed."""
    units: dict[str, Any] = {}
    if plan.lonely_psu != "collapse":
        units["lonely_psu"] = plan.lonely_psu
    if plan.psu:
        units["psu"] = factorise(_text(respondents, [plan.psu], key="psu")[plan.psu])[0]
    if plan.fpc:
        column = _column(respondents, plan.fpc, key="fpc")
        units["fpc"] = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if not plan.strata:
        return units
    strata = _text(respondents, plan.strata, key="strata")
    declared = joint_codes([factorise(strata[name])[0] for name in strata])[0]
    units["strata"] = declared
    if plan.psu:  # a PSU is one within its own stratum, also after strata are merged
        units["psu"] = joint_codes((declared, units["psu"]))[0]
    if plan.lonely_psu != "collapse":
        return units
    certain = np.zeros(int(declared.max()) + 1, dtype=bool)
    if plan.fpc:
        n_psu = np.bincount(_stratum_of_units(declared, units.get("psu")))
        fraction = _sampling_fractions(units["fpc"], strata=declared, n_psu=n_psu)
        certain = fraction > 1 - CERTAINTY
        population_units = n_psu / fraction
    units["strata"] = collapse_lone_strata(strata, psu=units.get("psu"), certain=certain[declared])
    if plan.fpc:
        merged = np.zeros(len(n_psu), dtype=np.int64)
        merged[declared] = units["strata"]
        units["fpc"] = np.bincount(merged, population_units)[units["strata"]]
    return units


def _stratum_of_units(strata: np.ndarray, psu: np.ndarray | None) -> np.ndarray:
    """Return the stratum code of each sampling unit."""
    return strata if psu is None else joint_codes((strata, psu))[1][:, 0]


def collapse_lone_strata(
    strata: pd.DataFrame, *, psu: np.ndarray | None = None, certain: np.ndarray | None = None
) -> np.ndarray:
    """Return stratum codes in which no stratum holds a single sampling unit.

    A lone stratum joins the smaller neighbour in the order of its last variable, first among those
    that agree in every other variable, else in the order of all.

    Args:
        strata: Stratum variables, shape (n, 1..m), no missing values.
        psu: Sampling unit code of each row, shape (n,), or None where each row is its own.
        certain: Rows of strata taken with certainty, bool, shape (n,): they add no variance, so
            they stay alone and nothing joins them.

    Returns:
        Codes, int, shape (n,).

    Raises:
        ModelError: There is a single sampling unit in all.

    Example:
        >>> table = pd.DataFrame({"region": list("NNNS"), "age": list("1123")})
        >>> collapse_lone_strata(table.iloc[:3]).tolist()
        [0, 0, 0]
    """
    factors = [factorise(strata[name])[0] for name in strata]
    codes, table = joint_codes(factors)
    n_units = np.bincount(_stratum_of_units(codes, psu), minlength=len(table))
    if n_units.sum() < 2:
        raise ModelError(
            "ONE_SAMPLING_UNIT",
            "抽出単位が 1 つしかなく、誤差を計算できない。",
            "There is a single sampling unit, so no error can be computed.",
        )
    free = np.ones(len(table), dtype=bool)
    if certain is not None:
        free[codes[certain]] = False
    parent = _merge_lone(table, n_units, free=free)
    return np.unique(parent, return_inverse=True)[1][codes]


def _merge_lone(table: np.ndarray, n_units: np.ndarray, *, free: np.ndarray) -> np.ndarray:
    """Return the stratum each stratum (rows of `table`, in order) is counted with."""
    parent = np.arange(len(table))
    while True:
        sizes = np.bincount(parent, n_units, minlength=len(table))
        lone = np.flatnonzero((sizes == 1) & free)
        if len(lone) == 0:
            return parent
        stratum = lone[0]
        others = np.flatnonzero((sizes > 0) & free & (np.arange(len(table)) != stratum))
        if len(others) == 0:
            raise ModelError(
                "LONELY_PSU",
                "抽出単位が 1 つの層に、まとめる相手の層がない。",
                "A stratum with one sampling unit has no other stratum to join.",
            )
        kin = others[(table[others, :-1] == table[stratum, :-1]).all(axis=1)]
        pool = kin if len(kin) else others
        near = [*pool[pool < stratum][-1:], *pool[pool > stratum][:1]]
        parent[parent == stratum] = min(near, key=lambda other: (sizes[other], other))


def _margins(
    respondents: pd.DataFrame,
    targets: pd.DataFrame | Sequence[pd.DataFrame] | None,
    *,
    plan: _Plan,
    base: np.ndarray,
    labels: Mapping[str, Mapping[str, str]],
) -> list[_Margin]:
    """Return every margin with its codes and totals, checked against each other."""
    groups = [tuple(plan.cells)]
    if plan.method == "raking":
        groups += [tuple(margin.by) for margin in plan.margins]
    if not groups[0]:
        raise ConfigError(
            "WEIGHTING_CELLS",
            "weighting.cells に、重みを付けるセルの変数を書く。",
            "weighting.cells must name the variables of the weighting cells.",
        )
    tables = [targets] * len(groups) if isinstance(targets, pd.DataFrame) else list(targets or [])
    if len(tables) != len(groups):
        raise ConfigError(
            "WEIGHTING_TARGETS",
            f"母集団の表が {len(tables)} 個で、周辺 {len(groups)} 個に足りない。",
            f"{len(tables)} tables of population for {len(groups)} margins; give one each.",
        )
    margins = [
        _margin(respondents, table, by=by, plan=plan, base=base, labels=labels)
        for by, table in zip(groups, tables, strict=True)
    ]
    return _match_sums(margins)


def _match_sums(margins: list[_Margin]) -> list[_Margin]:
    """Refuse margins whose sums differ; scale rounding gaps to the first margin's sum."""
    whole = margins[0].totals.sum()
    for margin in margins[1:]:
        other = margin.totals.sum()
        gap = 100 * abs(other / whole - 1)
        if gap > 100 * MARGIN_SUM_TOLERANCE:
            name, first = join(margin.by), join(margins[0].by)
            raise ConfigError(
                "MARGIN_SUM",
                f"周辺 {name} の合計 {other:,.10g} 人と {first} の合計 {whole:,.10g} 人は "
                f"{gap:.3g} % 違い、0.1 % を超える。同じ母集団・同じ時点の表にそろえる。",
                f"Margin {name} sums to {other:,.10g} persons and {first} to {whole:,.10g}: "
                f"{gap:.3g} % apart, more than 0.1 %; take both from one population and date.",
            )
    return [replace(m, totals=m.totals * (whole / m.totals.sum())) for m in margins]


def _margin(
    respondents: pd.DataFrame,
    targets: pd.DataFrame,
    *,
    by: tuple[str, ...],
    plan: _Plan,
    base: np.ndarray,
    labels: Mapping[str, Mapping[str, str]],
) -> _Margin:
    population = _population(targets, by)
    sample = _text(respondents, by, key="cells")
    for rule in plan.collapse:
        sample = _collapse(sample, rule)
        population = _collapse(population, rule)
    population = population.groupby(list(by), as_index=False, sort=True)["population"].sum()
    shares = {v: {str(c) for c in codes} for v, codes in (plan.sample_share or {}).items()}
    shares = {v: codes for v, codes in shares.items() if v in by}
    if shares:
        population = _add_sample_shares(population, sample, base=base, shares=shares)
    both = pd.concat([population[list(by)], sample[list(by)]])
    parts = [factorise(both[name]) for name in by]
    codes, present = joint_codes([part[0] for part in parts])
    levels = {n: part[1][c] for n, part, c in zip(by, parts, present.T, strict=True)}
    n_known = len(population)
    totals = np.zeros(len(present))
    totals[codes[:n_known]] = population["population"].to_numpy(dtype=float)
    counts = np.bincount(codes[n_known:], minlength=len(present))
    table = pd.DataFrame(levels)
    _check_cells(table, totals=totals, counts=counts, plan=plan, labels=labels)
    kept = np.flatnonzero(counts)
    position = np.zeros(len(present), dtype=np.int64)
    position[kept] = np.arange(len(kept))
    table = table.iloc[kept].reset_index(drop=True)
    return _Margin(
        by=by,
        codes=position[codes[n_known:]],
        totals=totals[kept],
        table=table.assign(population=totals[kept]),
        parts=_estimated_parts(table, shares=shares),
    )


def _estimated_parts(table: pd.DataFrame, *, shares: Mapping[str, set[str]]) -> np.ndarray | None:
    """Return block and group of every cell (2, n_cells) where some shares are the sample's.

    The categories that the population knows are one block of their group, every other its own.
    """
    unknown = np.zeros(len(table), dtype=bool)
    for name, codes in shares.items():
        unknown |= table[name].isin(codes).to_numpy()
    if not unknown.any():
        return None
    by = [name for name in table if name not in shares]
    group = table.groupby(by).ngroup().to_numpy() if by else np.zeros(len(table), dtype=np.int64)
    return np.stack([np.where(unknown, group.max() + 1 + np.arange(len(table)), group), group])


def _population(targets: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    missing = [name for name in (*by, "population") if name not in targets.columns]
    if missing:
        names = ", ".join(missing)
        raise ConfigError(
            "TARGET_COLUMN",
            f"母集団の表に列 {names} がない。",
            f"The table of population lacks the columns {names}.",
        )
    population = targets[[*by, "population"]].copy()
    population[list(by)] = population[list(by)].astype("string")
    values = pd.to_numeric(population["population"], errors="coerce").astype(float)
    bad = ~(values >= 0) | ~np.isfinite(values) | population[list(by)].isna().any(axis=1)
    if bad.any() or values.sum() == 0:
        n_bad = int(bad.sum()) or len(bad)
        raise ConfigError(
            "TARGET_NOT_NUMBER",
            f"母集団の表に、コードのない行や、人数が空・負・無限大・全部 0 の行が {n_bad} 行ある。",
            f"{n_bad} rows of the table of population lack a code or a finite number of persons, "
            "not negative and not 0 in every row.",
        )
    population["population"] = values
    return population


def _collapse(table: pd.DataFrame, rule: Any) -> pd.DataFrame:
    """Return the table with the rule's codes merged into one, where its condition holds."""
    where = dict(getattr(rule, "where", None) or {})
    if rule.variable not in table.columns or any(name not in table.columns for name in where):
        return table
    hit = table[rule.variable].isin([str(code) for code in rule.codes])
    for name, codes in where.items():
        hit &= table[name].isin([str(code) for code in codes])
    merged = table.copy()
    merged.loc[hit, rule.variable] = "+".join(str(code) for code in rule.codes)
    return merged


def _add_sample_shares(
    population: pd.DataFrame,
    sample: pd.DataFrame,
    *,
    base: np.ndarray,
    shares: Mapping[str, set[str]],
) -> pd.DataFrame:
    """Give categories the population does not know the sample's own share of their group.

    In each group of the other variables a listed category keeps its base-weighted share of the
    group's respondents; the categories the population knows share the rest in proportion.
    """
    by = list(sample.columns)
    group_by = [name for name in by if name not in shares]
    unknown = np.zeros(len(sample), dtype=bool)
    known = population.copy()
    for name, codes in shares.items():
        unknown |= sample[name].isin(codes).to_numpy()
        known = known[~known[name].isin(codes)]
    rows = sample.assign(_base=base, _all="")
    known = known.assign(_all="")
    group = ["_all", *group_by]
    n_group = known.groupby(group)["population"].sum().rename("_group_population")
    d_group = rows.groupby(group)["_base"].sum().rename("_group_base")
    odd = rows[unknown].groupby(["_all", *by], as_index=False)["_base"].sum()
    odd = odd.join(d_group, on=group).join(n_group, on=group)
    odd["population"] = odd["_base"] / odd["_group_base"] * odd["_group_population"].fillna(0)
    taken = odd.groupby(group)["population"].sum().rename("_taken")
    known = known.join(taken, on=group).join(n_group, on=group)
    whole = known["_group_population"].where(known["_group_population"] > 0, 1.0)
    rest = 1 - known["_taken"].fillna(0) / whole
    # A group of unknown categories alone leaves its known cells empty: the check below names them.
    known["population"] *= rest.where(rest > MARGIN_SUM_TOLERANCE * 1e-6, 1.0)
    return pd.concat([known[[*by, "population"]], odd[[*by, "population"]]], ignore_index=True)


def _name_cells(
    table: pd.DataFrame, which: np.ndarray, labels: Mapping[str, Mapping[str, str]]
) -> str:
    names = []
    for _, row in table[which].head(_SHOWN_CELLS).iterrows():
        parts = []
        for variable in table.columns:
            code = row[variable]
            label = labels.get(variable, {}).get(code)
            parts.append(f"{variable}={code}" + (f" ({label})" if label else ""))
        names.append(join(parts))
    more = int(which.sum()) - len(names)
    return "; ".join(names) + (f"; +{more}" if more > 0 else "")


def _check_cells(
    table: pd.DataFrame,
    *,
    totals: np.ndarray,
    counts: np.ndarray,
    plan: _Plan,
    labels: Mapping[str, Mapping[str, str]],
) -> None:
    """Refuse cells with respondents and no population, and the reverse, and thin ones."""
    no_people = (counts > 0) & (totals <= 0)
    if no_people.any():
        cells = _name_cells(table, no_people, labels)
        raise ModelError(
            "CELL_WITHOUT_POPULATION",
            f"回答者がいるのに母集団が 0 人のセルが {int(no_people.sum())} 個ある: {cells}。"
            "母集団の表、または weighting.sample_share を直す。",
            f"{int(no_people.sum())} weighting cells have respondents and no population: {cells}; "
            "correct the table of population or weighting.sample_share.",
        )
    empty = (counts == 0) & (totals > 0)
    if empty.any():
        cells = _name_cells(table, empty, labels)
        raise ModelError(
            "CELL_WITHOUT_RESPONDENTS",
            f"回答者が 0 人の割付セルが {int(empty.sum())} 個ある: {cells}。"
            "weighting.collapse で隣のコードとまとめる。",
            f"{int(empty.sum())} weighting cells have population and no respondents: {cells}; "
            "merge them with a neighbour in weighting.collapse.",
        )
    thin = (counts > 0) & (counts < plan.minimum_cell_n)
    for variable, codes in (plan.sample_share or {}).items():
        if variable in table.columns:
            thin &= ~table[variable].isin([str(code) for code in codes]).to_numpy()
    if thin.any():
        cells = _name_cells(table, thin, labels)
        raise ModelError(
            "CELL_TOO_THIN",
            f"回答者が {plan.minimum_cell_n} 人未満の割付セルが {int(thin.sum())} 個ある: "
            f"{cells}。weighting.collapse で隣のコードとまとめる。",
            f"{int(thin.sum())} weighting cells have fewer than {plan.minimum_cell_n} respondents: "
            f"{cells}; merge them with a neighbour in weighting.collapse.",
        )


def _check_cap(
    weights: np.ndarray,
    margin: _Margin,
    *,
    plan: _Plan,
    labels: Mapping[str, Mapping[str, str]],
) -> None:
    """Under post-stratification a cap cannot be kept: name the cells to collapse."""
    if not plan.trim_ratio:
        return
    over = weights > plan.trim_ratio * weights.mean() * (1 + TRIM_ACCEPTED)
    if over.any():
        which = np.bincount(margin.codes[over], minlength=len(margin.totals)) > 0
        cells = _name_cells(margin.table[list(margin.by)], which, labels)
        raise ModelError(
            "CAP_NEEDS_COLLAPSE",
            f"事後層化では重みに上限を付けられない (付け直すと元に戻る)。上限を超えるセル "
            f"{int(which.sum())} 個をまとめる: {cells}。",
            f"Post-stratification cannot keep a cap on weights (re-weighting undoes it); collapse "
            f"the {int(which.sum())} cells above it: {cells}.",
        )


# --- diagnostics ----------------------------------------------------------------------------------


def kish_design_effect(weights: np.ndarray) -> float:
    """Return n * sum(w^2) / (sum w)^2, the cost of unequal weights.

    References:
        Kish (1992), Weighting for unequal P_i, Journal of Official Statistics 8(2).

    Example:
        >>> kish_design_effect(np.array([1.0, 1.0, 2.0]))  # 3 * 6 / 16
        1.125
    """
    return float(len(weights) * np.square(weights).sum() / weights.sum() ** 2)


def diagnose_weights(design: Design) -> pd.DataFrame:
    """Return the weights' diagnostics as rows of the estimates table.

    Args:
        design: Weights and design.

    Returns:
        One row a measure: n_respondents, population, design_effect (Kish), n_effective, weight_min,
        weight_max, weight_ratio (largest to smallest), weight_cv, n_trimmed. Weights as given are
        on a scale of their own: no population, and unit ratio.
    """
    weights = design.weights
    effect = kish_design_effect(weights)
    unit = "persons" if design.margins else "ratio"
    figures = [
        ("n_respondents", "respondents", design.n, "回答者"),
        ("design_effect", "ratio", effect, "重みによるデザイン効果（Kish）"),
        ("n_effective", "respondents", design.n / effect, "有効な回答者数（Kish）"),
        ("weight_min", unit, weights.min(), "最小の重み"),
        ("weight_max", unit, weights.max(), "最大の重み"),
        ("weight_ratio", "ratio", weights.max() / weights.min(), "最大の重み÷最小の重み"),
        ("weight_cv", "ratio", weights.std() / weights.mean(), "重みの変動係数"),
        ("n_trimmed", "respondents", design.n_trimmed, "上限で切り下げた重み"),
    ]
    if design.margins:
        figures.insert(1, ("population", "persons", weights.sum(), "重みの合計"))
    rows = pd.DataFrame(figures, columns=["measure", "unit", "estimate", "item_label"])
    return rows.assign(
        table_id="weights",
        domain="all",
        domain_value="all",
        item="weight",
        item_value="",
        estimate=rows["estimate"].astype(float),
        n_unweighted=design.n,
        n_effective=design.n / effect,
        weighting=design.scheme,
    )


def margins_before_after(design: Design) -> pd.DataFrame:
    """Return target, base-weighted and achieved population of every cell of every margin.

    Args:
        design: A calibrated design from `weigh_respondents`.

    Returns:
        Columns margin, cell, n_unweighted, target_persons, before_persons (base weights brought to
        the same total), after_persons, variance_share (the cell's part of the sum of squared
        weights: what drives Kish's design effect), design_weight_mean (persons per respondent).
        Empty for a design without calibration.
    """
    parts = []
    for codes, totals, table in zip(design.margins, design.totals, design.cells, strict=True):
        variables = [name for name in table.columns if name != "population"]
        n_cells = len(totals)
        before = np.bincount(codes, design.base_weights, minlength=n_cells)
        counts = np.bincount(codes, minlength=n_cells)
        after = np.bincount(codes, design.weights, minlength=n_cells)
        squares = np.bincount(codes, np.square(design.weights), minlength=n_cells)
        part = {
            "margin": join(variables),
            "cell": table[variables].agg(join, axis=1),
            "n_unweighted": counts,
            "target_persons": totals,
            "before_persons": before / before.sum() * totals.sum(),
            "after_persons": after,
            "variance_share": squares / squares.sum(),
            "design_weight_mean": after / counts,
        }
        parts.append(pd.DataFrame(part))
    columns = (
        "margin cell n_unweighted target_persons before_persons after_persons variance_share "
        "design_weight_mean"
    ).split()
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def tabulate_weights(respondents: pd.DataFrame, design: Design) -> pd.DataFrame:
    """Return the table `private/weights.parquet`: respondent_id, base_weight, weight."""
    return pd.DataFrame(
        {
            "respondent_id": respondents["respondent_id"].to_numpy(),
            "base_weight": design.base_weights,
            "weight": design.weights,
        }
    )
