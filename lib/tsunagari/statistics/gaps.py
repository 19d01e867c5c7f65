"""A share here and a share there: their difference, also on one age mix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tsunagari.errors import ModelError
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.statistics.designs import Design
from tsunagari.statistics.estimation import proportion_intervals
from tsunagari.statistics.verdicts import NOT_COMPARABLE, PENDING

# --- our side: shares and their influence -------------------------------------------------------


@dataclass(frozen=True)
class Share:
    """A weighted share in one domain.

    Attributes:
        value: Between 0 and 1; NaN for an empty domain.
        influence: Shape (n,), zero outside the domain.
        rows: The domain's rows that have an answer, bool, shape (n,).
        n_effective: Kish, of the domain's weights.
    """

    value: float
    influence: np.ndarray
    rows: np.ndarray
    n_effective: float

    @property
    def n(self) -> int:
        """Respondents."""
        return int(self.rows.sum())


def weigh_share(design: Design, values: np.ndarray, *, rows: np.ndarray) -> Share:
    """Return a weighted share with its influence values."""
    weights = np.asarray(design.weights, dtype=float)
    used = rows & ~np.isnan(values) & (weights > 0)
    w = np.where(used, weights, 0.0)
    total = w.sum()
    if total == 0:
        return Share(np.nan, np.zeros(len(w)), used, 0.0)
    y = np.where(used, values, 0.0)
    same = y[used].min() == y[used].max()
    value = float(y[used][0]) if same else float(w @ y / total)
    influence = np.where(used, y - value, 0.0) / total
    return Share(value, influence, used, float(total**2 / (w @ w)))


def variance_of(design: Design, influence: np.ndarray) -> float:
    """Return the variance of the sum of influence values."""
    return float(design.variances(influence[:, None])[0])


def gap_variance_of(design: Design, share: Share, *, influence: np.ndarray, df: int) -> float:
    """Return what our side adds to a gap's variance.

    Where everybody answered alike the linearised variance is nought; the length of the beta
    interval over t stands in, as in `estimation.differences`.
    """
    if share.value not in (0.0, 1.0):
        return variance_of(design, influence)
    one = np.ones(1)
    lower, upper = proportion_intervals(
        share.value * one,
        variance=0 * one,
        n=share.n * one,
        n_effective=share.n_effective * one,
        df=one,
    )
    return float(((upper - lower)[0] / stats.t.isf(0.025, max(df, 1))) ** 2)


def standardise_by_age(
    design: Design,
    values: np.ndarray,
    *,
    age: pd.Series,
    mix: Mapping[str, float],
    rows: np.ndarray | None = None,
) -> tuple[float, np.ndarray]:
    """Return our share on another population's age mix (direct standardisation).

    Args:
        design: The survey design, n rows.
        values: 0/1 or a score, shape (n,), NaN outside the base.
        age: Age band of everybody, shape (n,).
        mix: Weight of every band in the standard population, any scale.
        rows: Domain, bool, shape (n,); everybody where it is not given.

    Returns:
        The standardised mean, sum of mix x band mean; and its influence, shape (n,), from which
        the design works out the variance. The mix is taken as known.

    Raises:
        ModelError: STANDARD_EMPTY_BAND names the bands of the mix in which nobody answered;
            STANDARD_MIX says that the mix does not sum to more than 0 or has a negative part.
    """
    total = float(sum(mix.values()))
    if not total > 0 or min(mix.values()) < 0:
        raise ModelError("STANDARD_MIX")
    values = np.asarray(values, dtype=float)
    bands = age.astype("string").fillna("").to_numpy(str)
    within = np.ones(len(values), dtype=bool) if rows is None else rows
    estimate, influence, empty = 0.0, np.zeros(len(values)), []
    for band, part in mix.items():
        if part == 0:
            continue
        share = weigh_share(design, values, rows=within & (bands == str(band)))
        if share.n == 0:
            empty.append(str(band))
            continue
        estimate += part / total * share.value
        influence += part / total * share.influence
    if empty:
        names = ", ".join(empty)
        raise ModelError("STANDARD_EMPTY_BAND", names=names)
    return estimate, influence


def figure_row(measure: str, *, share: float, error: float, **key: Any) -> dict[str, Any]:
    """Return a figure's row in percent or points."""
    unit = "percent" if measure.startswith("percent") else "points"
    row = {"measure": measure, "unit": unit, "estimate": share * 100, "std_error": error * 100}
    return {**row, "judged": False, "problem": "", "reason": "", **key}


def share_figure(
    measure: str, share: Share, *, design: Design, df: int, **key: Any
) -> dict[str, Any]:
    """Return a share's row with its interval."""
    error = np.sqrt(variance_of(design, share.influence)) if share.n else np.nan
    return figure_row(measure, share=share.value, error=error, df=df, **key)


def difference_row(
    measure: str, *, gap: float, variance: float, df: int, problem: str, **key: Any
) -> dict[str, Any]:
    """Return a difference's row; blank where there is a problem."""
    if not problem and not (variance > 0 and df >= 1):
        problem = "誤差を計算できません。"
    error = np.nan if problem else np.sqrt(variance)
    row = figure_row(measure, share=gap, error=error, df=df, **key)
    return row | {"judged": True, "problem": problem}


# --- the rows ------------------------------------------------------------------------------------


def finish_rows(
    rows: list[dict[str, Any]],
    *,
    facts: dict[str, Any],
    labels: Mapping[str, str],
    confidence: float,
    caveat: str,
) -> pd.DataFrame:
    """Add intervals, tests, what is to be judged, and the caveat to one table's rows."""
    columns = [*ESTIMATE_COLUMNS, "judged", "problem"]
    table = pd.DataFrame(rows).reindex(columns=columns) if rows else pd.DataFrame(columns=columns)
    table = table.assign(**facts, item_label=[labels.get(v, v) for v in table["item_value"]])
    numbers = ("estimate", "std_error", "df", "n_unweighted", "n_effective", "n_cell")
    table = table.astype(dict.fromkeys(numbers, float))
    is_gap = table["unit"] == "points"
    table["lower"], table["upper"] = _intervals(table, is_gap=is_gap, confidence=confidence)
    ratio = (table["estimate"].abs() / table["std_error"]).where(is_gap)
    table["p_value"] = 2 * stats.t.sf(ratio, table["df"])
    judged = table["judged"].fillna(value=False).astype(bool)
    is_open = table["problem"].fillna("") == ""
    table["verdict"] = np.where(judged, np.where(is_open, PENDING, NOT_COMPARABLE), "")
    table["reason"] = table["problem"].fillna("") + table["reason"].fillna("") + caveat
    return table.reindex(columns=list(ESTIMATE_COLUMNS))


def _intervals(
    table: pd.DataFrame, *, is_gap: pd.Series, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return t intervals of gaps, and of percents those every other table shows."""
    df = table["df"].fillna(np.inf)
    reach = stats.t.isf((1 - confidence) / 2, df) * table["std_error"]
    lower = (table["estimate"] - reach).to_numpy(copy=True)
    upper = (table["estimate"] + reach).to_numpy(copy=True)
    used = ~is_gap & table["std_error"].notna() & (table["n_unweighted"] > 1)
    shares = table[used]
    ends = proportion_intervals(
        shares["estimate"].to_numpy() / 100,
        variance=(shares["std_error"].to_numpy() / 100) ** 2,
        n=shares["n_unweighted"].to_numpy(),
        n_effective=shares["n_effective"].to_numpy(),
        df=df[used].to_numpy(),
        confidence=confidence,
    )
    lower[used], upper[used] = (end * 100 for end in ends)
    return lower, upper
