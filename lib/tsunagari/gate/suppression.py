"""The gate over all tables of a wave: judge, leave out, protect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.estimates import conform, is_kind
from tsunagari.gate.bounds import visible_nodes
from tsunagari.gate.checks import check_figures
from tsunagari.gate.hiding import (
    HIDDEN,
    hide_dependents,
    hide_ledger,
    hide_rows,
    in_hidden_lines,
    plain_reasons,
    status_of_base,
)
from tsunagari.gate.linked import LinkedTables, is_counted, link_tables
from tsunagari.gate.primary import SECONDARY, TABLE, find_primary
from tsunagari.gate.questionnaire import Questionnaire, is_no_answer
from tsunagari.gate.secondary import protect
from tsunagari.study.settings import Disclosure


def suppress(
    estimates: pd.DataFrame,
    *,
    settings: Disclosure,
    questionnaire: Questionnaire | None = None,
    archive: Iterable[pd.DataFrame] = (),
) -> pd.DataFrame:
    """Hide every row that could point at a person, and whatever else would give it away.

    A hidden row keeps its keys and loses every number, its verdict and its mark. Its reason says
    only that it is hidden: which cells are small and which stand in for them would help a reader to
    work them out.

    Args:
        estimates: Rows with the columns of estimates, full precision, all waves of the release.
        settings: Thresholds of the study, in unweighted respondents.
        questionnaire: What is known of the variables.
        archive: estimates.csv of earlier releases: what they show cannot be hidden any more.

    Returns:
        The same rows in the same order, with `status` and `reason` filled.

    Raises:
        DisclosureError: A figure cannot be judged, or a count stays recoverable.
    """
    table = conform(estimates)
    known = questionnaire or Questionnaire()
    reasons = judge(table, settings=settings, questionnaire=known, archive=archive)
    return apply_reasons(table, reasons, settings=settings)


def apply_reasons(
    estimates: pd.DataFrame, reasons: pd.Series, *, settings: Disclosure
) -> pd.DataFrame:
    """Return the rows with what the gate decided done to them, and their status."""
    table = estimates.copy()
    table["status"] = status_of_base(table["n_unweighted"], settings=settings)
    gone = reasons.reindex(table.index).notna() | (table["reason"] == HIDDEN)  # or before the gate
    return hide_ledger(hide_rows(table, gone), threshold=settings.threshold)


def judge(
    estimates: pd.DataFrame,
    *,
    settings: Disclosure,
    questionnaire: Questionnaire,
    archive: Iterable[pd.DataFrame] = (),
) -> pd.Series:
    """Decide which rows are hidden, and why.

    Args:
        estimates: Rows of every wave of the release, full precision.
        settings: Thresholds.
        questionnaire: What is known of the variables.
        archive: Earlier releases.

    Returns:
        Reason of every hidden row, for the analyst alone, on the index of the estimates:
        BASE_UNDER_10, CELL_UNDER_10, SECONDARY, DEPENDENT, GROUP, POPULATION, DOMINANCE, MODEL,
        TABLE (of a table that would be mostly hidden).

    Raises:
        DisclosureError: See `suppress`.
    """
    archive = list(archive)
    check_figures(estimates, questionnaire=questionnaire)
    reasons = plain_reasons(estimates, settings=settings)
    for wave in estimates.loc[is_counted(estimates), "wave"].drop_duplicates():
        rows = estimates[_same(estimates["wave"], wave)]
        hidden = _judge_wave(rows, settings=settings, questionnaire=questionnaire, archive=archive)
        reasons = reasons.where(reasons.notna(), hidden.reindex(reasons.index))
    return hide_dependents(
        estimates, reasons, questionnaire=questionnaire, minimum=settings.base_minimum
    )


def _same(values: pd.Series, value: Any) -> pd.Series:
    return values.isna() if pd.isna(value) else values == value


def _judge_wave(
    rows: pd.DataFrame,
    *,
    settings: Disclosure,
    questionnaire: Questionnaire,
    archive: list[pd.DataFrame],
) -> pd.Series:
    """Return the reason of every hidden row of one wave."""
    linked = link_tables(rows, questionnaire=questionnaire)
    primary, targets = find_primary(linked, settings=settings, questionnaire=questionnaire)
    # That somebody gave no answer tells nothing of theirs: small, so hidden, but not shielded.
    targets = [t for t in targets if not is_no_answer(linked.keys[t.node], questionnaire)]
    told = np.zeros(len(linked.keys), dtype=bool)
    for release in archive:
        told |= visible_nodes(linked, rows, release=release)
    is_left_out = _mostly_hidden(rows, linked, primary, limit=settings.drop_table_above)
    hidden = protect(
        linked,
        targets,
        hidden=set(primary),
        questionnaire=questionnaire,
        is_told=told,
        left_out=set(rows.index[is_left_out]),
    )
    reasons = pd.Series(index=rows.index, dtype="str")
    for node in sorted(hidden):
        reason = primary.get(node, SECONDARY)
        for position in (*linked.rows.get(node, ()), *linked.bases.get(node, ())):
            if pd.isna(reasons[position]):
                reasons[position] = reason
    return reasons.where(reasons.notna() | ~is_left_out, TABLE)


def _mostly_hidden(
    rows: pd.DataFrame, linked: LinkedTables, primary: Iterable[int], *, limit: float
) -> pd.Series:
    """Return which rows are of a cross table more hidden than a limit, its hidden lines aside."""
    hidden = pd.Series(data=False, index=rows.index)
    for node in primary:
        hidden[[*linked.rows.get(node, ()), *linked.bases.get(node, ())]] = True
    is_share = is_kind(rows, "cross") & (rows["measure"] == "percent")
    kept = hidden[is_share & ~in_hidden_lines(rows, hidden)]
    share = kept.groupby(rows.loc[kept.index, "table_id"]).mean()
    return rows["table_id"].isin(share.index[share > limit])
