"""Which of the differences that are shown are sure, and what may be said of them?

Verdicts are given last, after the gate: a test adjusted together with hidden ones would tell how
many of those have a smaller p-value. One figure belongs to one family of tests wherever it stands.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tsunagari.estimates import is_kind

HIGHER, LOWER = "高い", "低い"
NOT_CLEAR, NOT_COMPARABLE = "差は確認できない", "比較できない"
VERDICTS = (HIGHER, LOWER, NOT_CLEAR, NOT_COMPARABLE)
PENDING = "判定前"  # of a difference that will be judged
ABOVE, BELOW = "▲", "▽"
REFERENCE = "基準"  # the mark of the level that a model compares with

_CELL = ["table_id", "domain", "domain_value", "item", "item_value"]


def adjust_p_values(p_values: np.ndarray) -> np.ndarray:
    """Return Benjamini-Hochberg adjusted p-values of one family; NaN stays NaN and does not count.

    Args:
        p_values: Shape (m,).

    Returns:
        Shape (m,), at least as large as the input and at most 1.

    References:
        Benjamini and Hochberg (1995), JRSS B 57(1); R: p.adjust(method="BH").

    Example:
        >>> adjust_p_values(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.04, 0.04]
    """
    values = np.asarray(p_values, dtype=float)
    adjusted = np.full(values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    if len(tested) == 0:
        return adjusted
    order = tested[np.argsort(-values[tested], kind="stable")]
    m = len(order)
    steps = values[order] * m / np.arange(m, 0, -1)
    adjusted[order] = np.minimum(np.minimum.accumulate(steps), 1.0)
    return adjusted


def find_families(rows: pd.DataFrame, *, answers: pd.Series, tests: pd.Series) -> pd.DataFrame:
    """Return which family of tests every row belongs to, and which figure of it the row is.

    Over an axis the groups' gaps of one indicator are a family, since the indicators are named
    before the survey; all other answers of a cross table are one more. A national or wave table, a
    model's measure, and the tests of whole tables are a family each.

    Args:
        rows: Rows of estimates.
        answers: What each row counts, as text, equal for one answer under two names; on the index
            of `rows`.
        tests: Likewise, and equal for an answer and all the others together.

    Returns:
        Columns family, missing where nothing is tested, and figure, equal for two rows that are one
        test; on the index of `rows`.
    """
    names = ["table_id", "measure", "wave", "domain", "domain_value", "n_unweighted"]
    texts = rows[names].astype(object).fillna("").astype(str)
    table, measure, wave, domain, value, base = (texts[name] for name in names)
    is_gap = measure == "difference_points"
    is_cross, is_headline = is_gap & is_kind(rows, "cross"), is_gap & is_kind(rows, "headline")
    line, people = wave + "|" + domain + "|", "|" + value + "|" + base
    group = line + tests + people
    is_indicator = is_headline | (is_cross & group.isin(set(group[is_headline])))
    is_judged, is_table_test = rows["verdict"] == PENDING, measure == "rao_scott_f"
    family = wave + "|" + table + "|" + measure + "|" + value
    family = family.mask(is_cross, wave + "|" + table).mask(is_indicator, line + tests)
    family = family.mask(is_table_test, wave + "|" + measure).mask(is_judged, table)
    is_tested = is_cross | is_headline | is_table_test | is_judged
    is_tested |= is_kind(rows, "model")
    figure = pd.Series(rows.index.astype(str), index=rows.index)
    figure = figure.mask(is_cross | is_headline, line + answers + people)
    family = family.where(is_tested & rows["p_value"].notna())
    return pd.DataFrame({"family": family, "figure": figure})


def give_verdicts(
    rows: pd.DataFrame, families: pd.DataFrame, *, alpha: float, point_threshold: float
) -> pd.DataFrame:
    """Return rows with adjusted p-values, verdicts and marks.

    Args:
        rows: Rows of estimates; one that is hidden has no p-value and no pending verdict.
        families: From `find_families`; a figure that stands twice is one test.
        alpha: Level of the tests, such as 0.05.
        point_threshold: Smallest gap in points that may carry a mark.

    Returns:
        The rows with `p_adjusted` (Benjamini-Hochberg within the family); `verdict`, one of
        VERDICTS where one was pending, by the test alone; `mark`, ▲ above or ▽ below, where the
        test holds and the gap reaches the threshold, on the gap and on the percent it is of.
    """
    adjusted = _adjust_once(families.assign(p_value=rows["p_value"]))
    is_sure, is_up = adjusted < alpha, rows["estimate"] > 0
    verdict = rows["verdict"].astype(object).fillna("")
    given = np.where(is_sure, np.where(is_up, HIGHER, LOWER), NOT_CLEAR)
    reaches = is_sure & (rows["unit"] == "points")
    reaches &= rows["estimate"].abs() >= point_threshold
    mark = rows["mark"].astype(object).fillna("").mask(reaches, np.where(is_up, ABOVE, BELOW))
    is_gap = rows["measure"] == "difference_points"
    of_gap = rows[is_gap].assign(mark=mark).drop_duplicates(_CELL).set_index(_CELL)["mark"]
    is_share = is_kind(rows, "cross", "headline") & (rows["measure"] == "percent")
    own = pd.MultiIndex.from_frame(rows.loc[is_share, _CELL])
    mark[is_share] = of_gap.reindex(own).fillna("").to_numpy()
    verdict = verdict.mask(verdict == PENDING, given)
    return rows.assign(p_adjusted=adjusted, verdict=verdict, mark=mark)


def _adjust_once(tests: pd.DataFrame) -> pd.Series:
    """Return the adjusted p-value of every test of columns family, figure and p_value."""
    tested = tests.dropna(subset=["family"])
    once = tested.drop_duplicates(["family", "figure"])
    parts = [
        own.assign(adjusted=adjust_p_values(own["p_value"].to_numpy(float)))
        for _, own in once.groupby("family", sort=False)
    ]
    if not parts:
        return pd.Series(np.nan, index=tests.index)
    known = pd.concat(parts).set_index(["family", "figure"])["adjusted"]
    found = known.reindex(pd.MultiIndex.from_frame(tested[["family", "figure"]]))
    return found.set_axis(tested.index).reindex(tests.index)
