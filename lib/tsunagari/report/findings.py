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
    in_order,
    is_hidden,
    mark_of,
    records,
)
from tsunagari.statistics.verdicts import ABOVE, BELOW, REFERENCE

MODEL_BASE = 50  # respondents; a sentence about a model's level needs this base (SDC-1 P3)
MOST_EFFECTS = 5  # sentences on one model
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


def _by_region(published: Published, item: str) -> list[Row]:
    """Return the answers on troubles and ways out by region, the largest first."""
    voices = published.voices
    rows = published.cross(voices["region"], item=item)
    is_told = item in voices["questions"] and len(rows)
    rows = plain_answers(published, rows, item=item) if is_told else rows[:0]
    return records(in_order(rows, list(published.values(voices["region"])), column="domain_value"))


def region_marks(published: Published, *, item: str, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield which answers are given more or less often in a region than in the others."""
    if rows := _by_region(published, item):
        axis, marked = rows[0]["domain"], [row for row in rows if mark_of(row)]
        yield "region_marks", {"item": item, "rows": marked, "axis": axis}


def top_answers(published: Published, *, item: str, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield the first three answers of each region."""
    found: dict[str, list[Row]] = {}
    for row in _by_region(published, item):
        found.setdefault(row["domain_value"], []).append(row)
    for value, rows in found.items():
        about = {"item": item, "value": value, "axis": rows[0]["domain"]}
        yield "top_answers", about | {"rows": rows[:3]}


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


def family_findings(
    published: Published, *, items: list[str], **_: Any
) -> Iterator[tuple[str, Context]]:
    """Yield the level of every indicator of a family of questions, and who is above and below."""
    for name in (each for item in items if (each := published.indicator_of(item))):
        item, row = published.indicators[name]["item"], published.indicator(name)
        pairs = [
            (own, (axis, own["domain_value"]))
            for axis in published.axes(but=item, has_nested=False)
            for own in records(published.indicator_by(axis, name=name))
        ]
        found = sides(*zip(*pairs, strict=True)) if pairs else []
        if row and row["status"] in SURE_STATUS:
            yield "family_finding", {"name": name, "row": row, "item": item, "found": found}


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
    """Yield the largest sure effects of a model, and the other conditions that have one."""
    rows = sure_effects(published, outcome)
    for row in records(rows.head(MOST_EFFECTS)):
        yield effect(published, row, outcome=outcome)
    told, every = (list(dict.fromkeys(each["item"])) for each in (rows.head(MOST_EFFECTS), rows))
    if further := [published.label(item) for item in every if item not in told]:
        yield "further_effects", {"named": further, "table": f"effects_{outcome}"}


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
    counts = records(published.rows("gate"))
    yield from [("not_shown", {})] * bool(counts)
    yield from (("not_shown_count", {"row": row}) for row in counts)


LINES = {
    find.__name__: find
    for find in (
        region_marks,
        top_answers,
        axis_findings,
        family_findings,
        effects,
        model_notes,
        model_size,
        limits,
    )
}
