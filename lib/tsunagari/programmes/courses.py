"""What did courses and places change: completion, before and after of the same people, flows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from statsmodels.stats.descriptivestats import sign_test
from statsmodels.stats.weightstats import DescrStatsW

from tsunagari.programmes.records import Records
from tsunagari.programmes.rows import finish, row, share, source_of, word
from tsunagari.programmes.symposium import AFTER, BEFORE

COMPLETED = "completed"
PAIRS_MINIMUM = 10  # people with both; nothing is computed of fewer


def measure(records: Records, *, year: int, confidence: float = 0.95) -> pd.DataFrame:
    """Return the courses' numbers, the change on each scale, and the flows between stages.

    Args:
        records: Tables courses, course_scales (people), flows, place_use.
        year: The wave.
        confidence: Of the t interval of the mean change.

    Returns:
        Rows of estimates, table_id programme_courses; before the small-count rules. A scale's item
        is its name: mean_change and sign_test_p of all courses together. A flow's domain is the
        stage it comes from, its item `flow`, its item_value the next stage.
    """
    courses = records.table("courses")
    rows = []
    if len(courses):
        told = {"source": source_of(courses)}
        rows += [
            row(name, "1", measure="count", unit="persons", estimate=courses[name].sum())
            | {"item_label": word(name), **told}
            for name in ("capacity_persons", "applied", "selected", "started")
            if courses[name].notna().any()
        ]
        both = courses.dropna(subset=["started", COMPLETED])
        counts = {"count": both[COMPLETED].sum(), "n": both["started"].sum()}
        rows.append(
            share(COMPLETED, "1", confidence=None, item_label=word(COMPLETED), **counts, **told)
        )
    rows += _changes(records.table("course_scales"), confidence=confidence)
    rows += _flows(records.table("flows"))
    rows += _places(records.table("place_use"))
    return finish(rows, table="courses", year=year)


def paired_changes(scales: pd.DataFrame) -> dict[str, pd.Series]:
    """Return each scale's change by person: after less before, summed over items answered twice.

    A person whose items before and after are not the same is left out: half a scale is no scale.
    """
    key = ["course_id", "person_key", "scale"]
    wide = scales.pivot_table(index=[*key, "item"], columns="wave", values="value", aggfunc="first")
    wide = wide.reindex(columns=[BEFORE, AFTER])
    change = (wide[AFTER] - wide[BEFORE]).groupby(level=key).agg(lambda d: d.sum(skipna=False))
    n_items = wide.groupby(level=key).size()
    full = n_items == n_items.groupby(level="scale").transform("max")
    change = change[full].dropna()
    return {str(name): part for name, part in change.groupby(level="scale", sort=False)}


def _changes(scales: pd.DataFrame, *, confidence: float) -> Iterator[dict[str, Any]]:
    """Yield the mean change with its t interval and the exact sign test."""
    for scale, change in paired_changes(scales).items():
        told = {"item_label": scale, "source": source_of(scales[scales["scale"] == scale])}
        figure = row(scale, "1", measure="mean_change", unit="score", **told)
        n = float(len(change))
        if n < PAIRS_MINIMUM:
            yield figure | {"reason": word("few_pairs")}
            continue
        figure |= {"estimate": change.mean(), "n_unweighted": n, "reason": word("same_people")}
        if change.std() > 0:
            described = DescrStatsW(change.to_numpy())
            lower, upper = described.tconfint_mean(alpha=1 - confidence)
            figure |= {"lower": lower, "upper": upper, "std_error": described.std_mean, "df": n - 1}
        if (change != 0).any():
            figure |= {"p_value": sign_test(change.to_numpy(), 0)[1]}
        yield figure


def _flows(flows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for (stage, unit), part in flows.groupby(["from_stage", "unit"], sort=False):
        counts = part.groupby("to_stage", sort=False)["count"].sum()
        days = part.set_index("to_stage")["lag_days_median"]
        for to_stage, count in counts.items():
            told = {"domain": "from_stage", "domain_value": stage, "item_label": str(to_stage)}
            told |= {"source": source_of(part), "reason": word("of_unit").format(unit=unit)}
            yield share("flow", str(to_stage), count=count, n=counts.sum(), confidence=None, **told)
            if part["to_stage"].is_unique and days[to_stage] >= 0:
                known = {"estimate": days[to_stage], "n_unweighted": count}
                yield row("flow", str(to_stage), measure="median", unit="days", **known, **told)


def _places(use: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield days open and visits of the places to belong; visits are not people."""
    for name, unit in (("open_days", "days"), ("visits_total", "visits")):
        if use[name].notna().any():
            told = {"item_label": word(name), "source": source_of(use)}
            yield row(name, "1", measure="count", unit=unit, estimate=use[name].sum(), **told)
