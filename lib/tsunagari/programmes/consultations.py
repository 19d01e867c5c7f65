"""How many calls came and were answered, about what and when: no verdict on more or fewer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from tsunagari.programmes import schema
from tsunagari.programmes.cells import DAYS
from tsunagari.programmes.checks import TOTAL
from tsunagari.programmes.records import Records
from tsunagari.programmes.rows import finish, row, share, source_of, word

OFFERED, ANSWERED, TALKED = "calls_offered", "calls_answered", "conversations"
RATE = "answer_rate"
BY_MONTH, BY_WEEKDAY = "受付月", "受付曜日"  # items: how the conversations are spread
_COARSE_FIRST = ("年度", "月", "週", "日")


def measure(records: Records, *, year: int, confidence: float = 0.95) -> pd.DataFrame:
    """Return the figures of the consultation lines together.

    Totals (`item` calls_offered, calls_answered, conversations), the answer rate for the year and
    by month and weekday, and the shares of conversations by month, weekday and every breakdown that
    is recorded; kinds of trouble by month too. Calls are not people. Records hold all calls, so
    that only the rate, which another year's calls could give, has an interval.

    Args:
        records: Tables consultations and, for own kinds of trouble, categories.
        year: The wave.
        confidence: Of Wilson's interval.

    Returns:
        Rows of estimates, table_id programme_consultations; before the small-count rules.
    """
    table = records.table("consultations")
    if table.empty:
        return finish([], table="consultations", year=year)
    totals = table[table["dimension"] == TOTAL]
    told = {"source": source_of(table), "reason": word("calls_not_people")}
    labels = {c.name: c.label for c in schema.tables()["consultations"].columns.values()}
    rows = []
    for name in (OFFERED, ANSWERED, TALKED):
        found = best_totals(totals, name)
        if len(found):
            unit = "cases" if name == TALKED else "calls"
            rows.append(
                row(name, TOTAL, measure="count", unit=unit, item_label=labels[name])
                | {"estimate": found[name].sum(), **told}
            )
    rows += _rates(totals, confidence=confidence, told=told)
    rows += _when(totals, told=told)
    rows += _breakdowns(table, records, told=told)
    return finish(rows, table="consultations", year=year)


def best_totals(totals: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows that give a line's total of the year: the coarsest period that holds it."""
    for kind in _COARSE_FIRST:
        found = totals[(totals["period_kind"] == kind) & totals[name].notna()]
        if len(found):
            return found
    return totals.iloc[:0]


def series(figures: pd.DataFrame) -> pd.DataFrame:
    """Return calls and conversations by month as they may be shown, for drawing.

    Args:
        figures: Rows of estimates after `rows.release`.

    Returns:
        Index month (its first day), columns 架電数, 応答数, 相談件数; missing where hidden.
    """
    counts = figures[figures["measure"] == "count"]
    rate = counts[(counts["item"] == RATE) & (counts["domain"] == "month")]
    talked = counts[counts["item"] == BY_MONTH]
    labels = [
        schema.tables()["consultations"].columns[n].label for n in (OFFERED, ANSWERED, TALKED)
    ]
    found = {
        labels[0]: rate.set_index("domain_value")["n_unweighted"],
        labels[1]: rate.set_index("domain_value")["estimate"],
        labels[2].partition("（")[0]: talked.set_index("item_value")["estimate"],
    }
    table = pd.DataFrame(found)
    return table.set_axis(pd.to_datetime(table.index, format="%Y-%m")).rename_axis("month")


def notices(records: Records) -> pd.DataFrame:
    """Return what the calls of the year are read against: publicity, and seasons of tables.yaml.

    Returns:
        Columns date, label, kind (the medium, or 季節), in order of date; none without calls.
    """
    told, end = records.table("publicity"), records.as_of
    told = pd.DataFrame({"date": told["date"], "label": told["title"], "kind": told["media"]})
    seasons = [
        (day.replace(year=end.year - (day.month > end.month)), each["label"], word("season"))
        for each in schema.declared()["seasons"]
        for day in [pd.Timestamp(f"2000-{each['from']}")]
    ]
    both = pd.concat([told, pd.DataFrame(seasons, columns=told.columns)], ignore_index=True)
    return both.iloc[: len(both) * (not records.table("consultations").empty)].sort_values(
        "date", kind="stable", ignore_index=True
    )


def _months(rows: pd.DataFrame) -> pd.Series:
    """Return the month of each row, as 2022-04."""
    months, found = pd.factorize(rows["period_start"].dt.to_period("M"))
    return pd.Series(found.astype(str).to_numpy()[months], index=rows.index)


def _rates(totals: pd.DataFrame, *, confidence: float, told: dict) -> Iterator[dict[str, Any]]:
    both = totals.dropna(subset=[OFFERED, ANSWERED])
    both = best_totals(both, OFFERED)
    if both.empty:
        return
    label = word(RATE)

    def rate(rows: pd.DataFrame, **domain: str) -> dict[str, Any]:
        n, count = rows[OFFERED].sum(), rows[ANSWERED].sum()
        return share(
            RATE, "1", count=count, n=n, confidence=confidence, item_label=label, **domain, **told
        )

    yield rate(both)
    daily = totals[totals["period_kind"] == "日"].dropna(subset=[OFFERED, ANSWERED])
    fine = daily if len(daily) else both[both["period_kind"] == "月"]
    for month, rows in fine.groupby(_months(fine)):
        yield rate(rows, domain="month", domain_value=month)
    for day, rows in daily.groupby(daily["period_start"].dt.day_of_week):
        yield rate(rows, domain="weekday", domain_value=DAYS[day])


def _when(totals: pd.DataFrame, *, told: dict) -> Iterator[dict[str, Any]]:
    """Yield how the conversations of the year are spread over months and weekdays."""
    talked = totals.dropna(subset=[TALKED])
    daily = talked[talked["period_kind"] == "日"]
    fine = daily if len(daily) else talked[talked["period_kind"] == "月"]
    by_month = fine.groupby(_months(fine))[TALKED].sum()
    by_day = (
        daily.groupby(daily["period_start"].dt.day_of_week)[TALKED]
        .sum()
        .rename(dict(enumerate(DAYS)))
    )
    for item, counts in ((BY_MONTH, by_month), (BY_WEEKDAY, by_day)):
        for value, count in counts.items():
            yield share(
                item, str(value), count=count, n=counts.sum(), confidence=None,
                item_label=str(value), **told,
            )  # fmt: skip


def _breakdowns(table: pd.DataFrame, records: Records, *, told: dict) -> Iterator[dict[str, Any]]:
    """Yield the shares of conversations by every breakdown, the unknown in the base."""
    named = kinds_of_trouble(records)
    parts = table[(table["dimension"] != TOTAL) & table[TALKED].notna()]
    for dimension, rows in parts.groupby("dimension", sort=False):
        kind = next(kind for kind in _COARSE_FIRST if kind in {*rows["period_kind"], "日"})
        rows = rows[rows["period_kind"] == kind] if kind in set(rows["period_kind"]) else rows
        multiple = (rows["categories_multiple"] == "有").any()
        frames = [({}, rows)]
        if kind == "月":
            months = rows.groupby(_months(rows))
            frames += [({"domain": "month", "domain_value": m}, part) for m, part in months]
        for domain, part in frames:
            counts = part.groupby("category", sort=False)[TALKED].sum()
            n = _base(table, part) if multiple else counts.sum()
            said = told | ({"reason": word("multiple")} if multiple else {})
            for category, count in counts.items():
                label = named.get(category, category) if dimension == "内容" else category
                yield share(
                    dimension, str(category), count=count, n=n, confidence=None,
                    item_label=label, **domain, **said,
                )  # fmt: skip


def _base(table: pd.DataFrame, part: pd.DataFrame) -> float:
    """Return the conversations of the periods that a breakdown is of."""
    keys = ["line_id", "period_start", "period_kind", "channel", "municipality_code"]
    totals = table[table["dimension"] == TOTAL].merge(part[keys].drop_duplicates(), on=keys)
    return float(totals[TALKED].sum())


def kinds_of_trouble(records: Records) -> dict[str, str]:
    """Return the labels of what calls are about: the office's own, or the eight national ones."""
    own = records.table("categories")
    if len(own):
        return dict(zip(own["code"], own["label"], strict=True))
    return {str(code): str(label) for code, label in records.context.lists["category"].items()}
