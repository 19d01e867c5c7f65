"""Do two answers go together: Rao and Scott's test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from tsunagari.errors import ModelError
from tsunagari.statistics.designs import Design
from tsunagari.statistics.domains import make_side

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
        found = min(len(code) for code, _ in codes)
        raise ModelError("ROWS_DIFFER", name="rows, columns", found=found, n=design.n)
    (row, _), (column, _) = codes
    answered = (row >= 0) & (column >= 0)
    base = make_side(design, answered)
    row, n_rows = _compact(row, answered)
    column, n_columns = _compact(column, answered)
    if n_rows < 2 or n_columns < 2:
        raise ModelError("ONE_CATEGORY")
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
        raise ModelError("NO_TEST")


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
    return ModelError("NO_TEST.no_test")
