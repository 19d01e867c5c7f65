"""Who was trained, registered, is active and came again, and how many are still there later?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.duration.survfunc import SurvfuncRight

from tsunagari.programmes.records import Records
from tsunagari.programmes.rows import finish, row, share, source_of, word

STAGES = ("trained", "registered", "active", "renewed")
RETENTION = "retention"
MONTHS = (12, 24)
DAYS_A_MONTH = 365.25 / 12
ACTIVE_DAYS = 365  # with a day of work in the year before: active
_AT_RISK_MINIMUM = 10  # people; no share of those still there rests on fewer


def cohorts(records: Records) -> pd.DataFrame:
    """Return each cohort's newest row, blanks filled from people's dates where there are any.

    Returns:
        Rows of the table supporters by `cohort_id`; registered, active and renewed count people
        with a date of registration, of work in the last year before `as_of`, of a second training.
    """
    table = records.table("supporters").sort_values("as_of", kind="stable")
    table = table.drop_duplicates("cohort_id", keep="last").set_index("cohort_id")
    people = records.table("supporter_people")
    if len(people) and len(table):
        as_of = people["cohort_id"].map(table["as_of"])
        there = people["left_on"].isna() | (people["left_on"] > as_of)
        recent = (as_of - people["last_active_on"]).dt.days < ACTIVE_DAYS
        dated = pd.DataFrame(
            {
                "registered": people["registered_on"].notna(),
                "active": people["registered_on"].notna() & there & recent,
                "renewed": people["renewed_on"].notna(),
            }
        )
        counted = dated.groupby(people["cohort_id"]).sum().astype(float)
        table = table.fillna(counted.reindex(table.index))
    return table


def measure(records: Records, *, year: int, confidence: float = 0.95) -> pd.DataFrame:
    """Return the funnel by cohort and together, and Kaplan and Meier's share still there.

    A record of everybody has no interval; the share still there has one, since many have not yet
    been followed for so long.

    Args:
        records: Tables supporters and, where people have dates, supporter_people.
        year: The wave.
        confidence: Of Kaplan and Meier's interval (log-log).

    Returns:
        Rows of estimates, table_id programme_supporters; items trained, registered, active,
        renewed (percent of trained; trained as a count) and retention by month. Before the
        small-count rules. Where people were trained in several fiscal years, retention by year too
        (domain `cohort`, 2022年度).
    """
    table = cohorts(records)
    rows = []
    if len(table):
        people = records.table("supporter_people")
        source = source_of(table)
        dated = source_of(pd.concat([table, people])) if len(people) else source
        overlap = (table["overlaps_with"] != "").any()  # then no sum is anybody's number
        frames = [({}, table)] if len(table) == 1 or not overlap else []
        if len(table) > 1:
            each = table.groupby(level=0, sort=False)
            frames += [({"domain": "cohort", "domain_value": c}, part) for c, part in each]
        for domain, part in frames:
            rows += _funnel(part, domain=domain, source=source, dated=dated)
        rows += _retention(records, confidence=confidence)
    return finish(rows, table="supporters", year=year)


def _funnel(
    table: pd.DataFrame, *, domain: dict, source: str, dated: str
) -> Iterator[dict[str, Any]]:
    """Yield the counts of a funnel; `dated` is the source of those counted from people's dates."""
    told = domain | {"source": source}
    yield row(
        "trained", "1", measure="count", unit="persons", estimate=table["trained"].sum(),
        item_label=word("trained"), **told,
    )  # fmt: skip
    for stage in STAGES[1:]:
        known = table.dropna(subset=[stage])
        if len(known):
            yield share(
                stage, "1", count=known[stage].sum(), n=known["trained"].sum(), confidence=None,
                item_label=word(stage), reason=word("census"), **told | {"source": dated},
            )  # fmt: skip


def _retention(records: Records, *, confidence: float) -> Iterator[dict[str, Any]]:
    """Yield the share still there after a year and two, of all and of each year of training."""
    people = records.table("supporter_people")
    if people.empty:
        return
    as_of = people["cohort_id"].map(cohorts(records)["as_of"]).fillna(records.as_of)
    people = people.assign(as_of=as_of)
    years = people["trained_on"].dt.to_period("Y-MAR").dt.year - 1
    frames = [({}, people)]
    if len(set(years)) > 1:
        each = people.groupby(years)
        frames += [({"domain": "cohort", "domain_value": f"{y}年度"}, part) for y, part in each]
    for domain, part in frames:
        yield from _still_there(part, confidence=confidence, source=source_of(part), **domain)


def _still_there(
    people: pd.DataFrame, *, confidence: float, **told: str
) -> Iterator[dict[str, Any]]:
    """Yield Kaplan and Meier's share after a year and two.

    References:
        Kaplan and Meier (1958); Greenwood's error; the interval on the log(-log) scale keeps
        within 0 and 1 (Kalbfleisch and Prentice 1980).
    """
    left = people["left_on"].notna() & (people["left_on"] <= people["as_of"])
    followed = (people["left_on"].where(left, people["as_of"]) - people["trained_on"]).dt.days
    found = SurvfuncRight(followed.to_numpy(float), left.to_numpy(int))
    longest = (people["as_of"] - people["trained_on"]).dt.days.max()
    z = norm.ppf((1 + confidence) / 2)
    for months in MONTHS:
        days = months * DAYS_A_MONTH
        figure = row(
            RETENTION, str(months), measure="percent", unit="percent",
            item_label=word("retention").format(months=months), **told,
        )  # fmt: skip
        n_left = float((followed >= days).sum())
        if longest < days or n_left < _AT_RISK_MINIMUM:
            reason = "too_early" if longest < days else "few_at_risk"
            yield figure | {"reason": word(reason)}
            continue
        before = found.surv_times <= days
        kept = found.surv_prob[before][-1] if before.any() else 1.0
        figure |= {"estimate": 100 * kept, "n_unweighted": float(len(people))}
        if 0 < kept < 1:
            spread = z * found.surv_prob_se[before][-1] / (kept * abs(np.log(kept)))
            bounds = kept ** np.exp([spread, -spread])
            figure |= {"lower": 100 * bounds[0], "upper": 100 * bounds[1]}
        yield figure
