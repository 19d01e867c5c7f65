"""What does the first page say: conclusions, one line a region, troubles, open actions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from tsunagari.programmes.council import DONE, DROPPED
from tsunagari.report.findings import (
    SURE_STATUS,
    Context,
    effect,
    plain_answers,
    sides,
    sure_effects,
    visible,
)
from tsunagari.report.programmes import indicators_said
from tsunagari.report.published import Published, Row, is_hidden, is_judged, judged, records
from tsunagari.statistics.verdicts import ABOVE

MOST = 3  # conclusions, and answers on troubles


def conclusions(published: Published, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield the first three of: level, groups, factor, level of the second indicator.

    A place without a survey has those of its ledger.
    """
    rows = {name: published.indicator(name) for name in published.indicators}
    shown = [name for name, row in rows.items() if row and not is_hidden(row)]
    found = [level(published, name) for name in shown[:1]]
    found += [*groups(published), *first_effect(published)]
    found += [level(published, name) for name in shown[1:2]]
    found += [] if published.has_survey else [*indicators_said(published)]
    yield from found[:MOST] or [("no_conclusions", {})]


def level(published: Published, name: str) -> tuple[str, Context]:
    """Return what is said of an indicator over everybody."""
    known, row = published.indicators[name], published.indicator(name)
    item, value = known["item"], published.value_of(name)
    gap, change = judged(published.nation(item, value)), published.change(item, value)["gap"]
    change = change if is_judged(change) else None
    return "level", {"indicator": name, "row": row, "gap": gap, "change": change}


def groups(published: Published) -> Iterator[tuple[str, Context]]:
    """Yield what the marks say of the first loneliness indicator over the axes."""
    items = published.chapter("loneliness")
    name = published.indicator_of(items[0]) if items else None
    if name is None:
        return
    tested, marked = [], []
    for axis in published.axes(but=items[0], has_nested=False):
        rows = published.indicator_by(axis, name=name)
        if visible(rows):
            tested += [published.axis_label(axis)] * bool(len(published.tested(rows)))
            above = rows[(rows["mark"] == ABOVE) & rows["status"].isin(SURE_STATUS)]
            marked += [(axis, row) for row in records(above)]
    context = {"name": name, "table": f"cross_{items[0]}"}
    if marked:
        axis, row = max(marked, key=lambda pair: pair[1]["estimate"])
        yield "groups", context | {"axis": axis, "row": row, "more": len(marked) > 1}
    elif tested:
        yield "no_groups", context | {"axes": tested}


def first_effect(published: Published) -> Iterator[tuple[str, Context]]:
    """Yield the largest sure effect of the first model that has any."""
    for outcome in published.outcomes:
        for row in records(sure_effects(published, outcome).head(1)):
            yield "first_effect", effect(published, row, outcome=outcome)[1]
            return


# --- regions, troubles, actions -------------------------------------------------------------------


def region_lines(published: Published, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield one line a region: what is higher or lower there, or that nothing was confirmed."""
    axis = published.about["region"]
    told = [pair for name in published.indicators for pair in _indicator(published, axis, name)]
    for item in published.about["crosses"]:
        told += _answers(published, axis, item)
    if len({row["domain_value"] for row, _ in told}) < 2:
        yield "no_regions", {}
        return
    for value in published.values(axis):
        own = [pair for pair in told if pair[0]["domain_value"] == value]
        sure = [row for row, _ in own if row["status"] in SURE_STATUS]
        found = sides([row for row, _ in own], [name for _, name in own])
        if own:
            row = max(sure, key=lambda row: row["n_unweighted"], default=None)
            is_tested = bool(len(published.tested(pd.DataFrame(row for row, _ in own))))
            context = {"axis": axis, "value": value, "row": row, "is_tested": is_tested}
            yield "region_line", context | {"found": found}


def _indicator(published: Published, axis: str, name: str) -> list[tuple[Row, tuple[str, str]]]:
    return [(row, (name, "")) for row in records(published.indicator_by(axis, name=name))]


def _answers(published: Published, axis: str, item: str) -> list[tuple[Row, tuple[str, str]]]:
    rows = plain_answers(published, published.cross(axis, item=item), item=item)
    rows = rows[~rows["item_value"].isin(published.values_of(item))]
    return [(row, (item, published.answer_label(row))) for row in records(rows)]


def top_troubles(published: Published, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield what everybody named first: of troubles, and of what helped."""
    items = published.voices["questions"]
    found = {item: plain_answers(published, published.gt(item), item=item) for item in items}
    told = [(item, records(rows.head(MOST))) for item, rows in found.items() if len(rows)]
    for item, rows in told:
        is_ever = item == published.voices.get("ever")
        yield "top_trouble", {"item": item, "rows": rows, "is_ever": is_ever}
    if not told:
        yield "no_troubles", {}


def open_actions(published: Published, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield last year's actions that are still open; or that none is, or none was written down."""
    old = [line for line in published.told("actions") if line["is_from_last"] == "True"]
    still = [line for line in old if line["state"] not in (DONE, DROPPED)]
    yield from (("homework_line", {"line": line}) for line in still)
    if not still:
        yield "homework_done" if old else "no_homework", {}


LINES = {find.__name__: find for find in (conclusions, region_lines, top_troubles, open_actions)}
