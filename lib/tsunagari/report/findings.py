"""What may a sentence say: which rows are sure, in which order, and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.gate.words import clean_text
from tsunagari.report.published import (
    Published,
    Row,
    first,
    is_hidden,
    mark_of,
    records,
)
from tsunagari.statistics.verdicts import ABOVE, BELOW, REFERENCE

MODEL_BASE = 50  # respondents; a sentence about a model's level needs this base (SDC-1 P3)
SURE_STATUS = ("published", "low_base")  # a reference value is not spoken of
Context = dict[str, Any]


def sides(rows: Iterable[Row], labels: Iterable[str]) -> list[Context]:
    """Return the marked groups by their mark, the higher ones first."""
    known = [(row, label) for row, label in zip(rows, labels, strict=True)
             if row["status"] in SURE_STATUS]  # fmt: skip
    found = []
    for mark in (ABOVE, BELOW):
        if own := [pair for pair in known if mark_of(pair[0]) == mark]:
            rows_of, names = zip(*own, strict=True)
            found.append({"mark": mark, "rows": rows_of, "names": names})
    return found


def visible(rows: pd.DataFrame) -> bool:
    """Whether two groups or more have a number that is shown."""
    return rows["estimate"].notna().sum() >= 2


# --- troubles, ways out ---------------------------------------------------------------------------


def plain_answers(published: Published, rows: pd.DataFrame, *, item: str) -> pd.DataFrame:
    """Return rows to be spoken of: no net, no exclusive or other answer; the largest first."""
    is_plain = [
        published.role(item, code) == "answer" and code not in published.nets(item)
        for code in rows["item_value"]
    ]
    rows = rows[np.array(is_plain, dtype=bool) & rows["status"].isin(SURE_STATUS)]
    return rows.sort_values("estimate", ascending=False, kind="stable")


def _region_rows(published: Published, item: str) -> tuple[str, pd.DataFrame]:
    voices = published.voices
    axis = voices["region"] if item in voices["questions"] else ""
    return axis, published.cross(axis, item=item)


def top_answers(published: Published, *, item: str, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield the first three answers of everybody and of each region, and whether regions differ."""
    axis, rows = _region_rows(published, item)
    everybody = records(plain_answers(published, published.gt(item), item=item).head(3))
    if not axis or not everybody:
        return
    yield "top_answers", {"item": item, "rows": everybody, "value": None, "axis": axis}
    rows = plain_answers(published, rows, item=item)
    for value, own in rows.groupby("domain_value", sort=False):
        found = records(own.head(3))
        yield "top_answers", {"item": item, "rows": found, "value": value, "axis": axis}
    marked = records(rows[rows["mark"].isin([ABOVE, BELOW])])
    yield "region_marks", {"item": item, "rows": marked, "axis": axis}


def contrasts(published: Published, *, item: str, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield what the first group of the compared axis names more often than the second."""
    voices = published.voices
    axis = voices["compared"] if item in voices["questions"] else None
    values = list(published.values(axis)) if axis else []
    rows = published.cross(axis, item=item) if axis else published.estimates.iloc[:0]
    own = plain_answers(published, rows[rows["domain_value"].isin(values[:1])], item=item)
    others = {r["item_value"]: r for r in records(rows[rows["domain_value"].isin(values[1:2])])}
    pairs = [(row, others.get(row["item_value"])) for row in records(own[own["mark"] == ABOVE])]
    found = [pair for pair in pairs if pair[1] and not is_hidden(pair[1])][:3]
    if len(own):
        groups = dict(zip(("first", "second"), values, strict=False))
        yield "contrast", {"item": item, "axis": axis, "found": found, **groups}


# --- axes, models ---------------------------------------------------------------------------------


def axis_findings(published: Published, *, item: str, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield one sentence an axis with marked groups, and one for all axes without."""
    name, without = published.indicator_of(item), []
    context = {"name": name, "table": f"cross_{item}"}
    for axis in published.axes(but=item, has_nested=False) if name else ():
        rows = published.indicator_by(axis, name=name)
        if not visible(rows):
            continue
        if found := sides(records(rows), rows["domain_value"]):
            yield "axis_finding", context | {"axis": axis, "found": found}
        elif len(published.tested(rows)):
            without.append(published.axis_label(axis))
    if without:
        yield "no_groups", context | {"axes": without}


def sure_effects(published: Published, outcome: str) -> pd.DataFrame:
    """Return the marginal effects a sentence may use, the largest first."""
    rows = published.rows(f"model_{outcome}", measure="marginal_effect_points")
    rows = rows[rows["mark"].isin([ABOVE, BELOW]) & (rows["status"] == "published")]
    rows = rows[rows["n_unweighted"] >= MODEL_BASE]
    return rows.iloc[np.argsort(-rows["estimate"].abs().to_numpy(float), kind="stable")]


def effect(published: Published, row: Row, *, outcome: str) -> tuple[str, Context]:
    """Return what is said of one marginal effect."""
    same = {"measure": row["measure"], "item": row["item"], "mark": REFERENCE}
    base = first(published.rows(row["table_id"], **same))
    return "effect", {
        "row": row,
        "outcome": outcome,
        "level": published.level_label(row),
        "base": published.level_label(base) if base else "",
        "table": f"effects_{outcome}",
    }


def effects(published: Published, *, outcome: str, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield the largest sure effects of a model."""
    for row in records(sure_effects(published, outcome).head(6)):
        yield effect(published, row, outcome=outcome)


def model_notes(published: Published, *, outcome: str, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield why a model is not shown, or that it found nothing sure."""
    rows = published.rows(f"model_{outcome}")
    if rows[rows["measure"] == "odds_ratio"].empty:
        reasons = [clean_text(text) for text in rows.loc[rows["item"] == "model", "reason"] if text]
        yield "model_withheld", {"reason": "".join(reasons[:1])}
    elif sure_effects(published, outcome).empty:
        yield "no_effects", {}


def model_size(published: Published, *, outcome: str, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield how many people and events a shown model rests on, and its notes."""
    rows = published.rows(f"model_{outcome}")
    if rows[rows["measure"] == "odds_ratio"].empty:
        return
    facts = [row for row in records(rows[rows["item"] == "model"]) if not is_hidden(row)]
    yield "model_size", {"facts": {row["item_value"]: row for row in facts}}
    yield from (("as_it_is", {"sentence": clean_text(row["reason"])}) for row in facts)


# --- limits ---------------------------------------------------------------------------------------


def limits(published: Published, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield what limits the report, the study's own notes among it, and how much is hidden."""
    yield "limits", {}
    yield from (("as_it_is", {"sentence": clean_text(note)}) for note in published.about["notes"])
    yield "not_shown", {"counts": records(published.rows("gate"))}


LINES = {
    find.__name__: find
    for find in (
        top_answers,
        contrasts,
        axis_findings,
        effects,
        model_notes,
        model_size,
        limits,
    )
}
