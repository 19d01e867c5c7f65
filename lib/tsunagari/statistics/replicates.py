"""How sure is any figure: bootstrap and jackknife weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd

from tsunagari.errors import ConfigError, ModelError
from tsunagari.statistics.calibration import calibrate
from tsunagari.statistics.designs import Design
from tsunagari.statistics.domains import as_values, base_groups

_REPLICATE_BATCH = 25  # replicates multiplied at once


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
        raise ConfigError("REPLICATES")
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
    number = as_values(values, design.n, name="values").to_numpy()
    answered = ~np.isnan(number)
    if not answered.any(axis=0).all():
        raise ModelError("NO_ANSWERS")
    groups = base_groups(number)
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
