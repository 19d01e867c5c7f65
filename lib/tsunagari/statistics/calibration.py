"""Which weights make the sample add up to the population's margins?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsunagari.errors import ModelError
from tsunagari.statistics.designs import Design, joint_codes

RAKING_TOLERANCE = 1e-10  # relative gap of any margin at which raking has converged
RAKING_POLISH = 1e-14  # aimed at once converged: the cell table is small, rounds are cheap
RAKING_POLISH_ROUNDS = 50
RAKING_ROUNDS = 2_000
TRIM_TOLERANCE = 1e-10  # aimed at; relative excess over the cap
TRIM_ACCEPTED = 1e-6  # accepted after the last round
TRIM_ROUNDS = 50  # statistics: raking and capping that takes longer does not end


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
    raise ModelError("RAKING_NOT_CONVERGED", rounds=rounds, value=margin + 1, gap=gap)


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
            "TRIM_NOT_CONVERGED", trim_ratio=trim_ratio, TRIM_ROUNDS=TRIM_ROUNDS, n_over=n_over
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
