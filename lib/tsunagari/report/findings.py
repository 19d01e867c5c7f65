"""What may a sentence say: which rows are sure, in which order, and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.disclosure import clean_text
from tsunagari.report.published import Published, Row, first, is_hidden, judged, mark_of, records
from tsunagari.verdicts import ABOVE, BELOW, HIGHER, LOWER

MODEL_BASE = 50  # respondents; a sentence about a model's level needs this base (SDC-1 P3)
SURE_STATUS = ("published", "low_base")  # a reference value is not spoken of
Context = dict[str, Any]


def is_sure(row: Row | None) -> bool:
    """Whether a difference is judged higher or lower."""
    return row is not None and row["verdict"] in (HIGHER, LOWER)


def sides(rows: Iterable[Row], labels: Iterable[str]) -> list[Context]:
    """Return the marked groups, the higher ones first, with how a sentence on them ends."""
    known = list(zip(rows, labels, strict=True))
    found = []
    for mark, go_on, end in ((ABOVE, "高く", "高い"), (BELOW, "低く", "低い")):
        own = [(r, n) for r, n in known if mark_of(r) == mark and r["status"] in SURE_STATUS]
        if own:
            rows_of, names = zip(*own, strict=True)
            found.append({"rows": rows_of, "names": names, "go_on": go_on, "end": end})
    return found


def visible(rows: pd.DataFrame) -> bool:
    """Whether two groups or more have a number that is shown."""
    return rows["estimate"].notna().sum() >= 2


# --- the summary ----------------------------------------------------------------------------------


def conclusions(published: Published, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield the first three of: level, groups, factor, level of the second indicator."""
    shown = [n for n in published.indicators if published.indicator(n) is not None]
    shown = [n for n in shown if not is_hidden(published.indicator(n))]
    found = [level(published, name) for name in shown[:1]]
    found += [*groups(published), *first_effect(published)]
    found += [level(published, name) for name in shown[1:2]]
    yield from found[:3]


def level(published: Published, name: str) -> tuple[str, Context]:
    """Return what is said of an indicator over everybody."""
    known = published.indicators[name]
    item, value = known["item"], published.value_of(name)
    gap = judged(published.nation(item, value))
    change = published.change(item, value)["gap"]
    if change is not None and (is_hidden(change) or not change["verdict"]):
        change = None
    if gap is not None:
        is_aged = gap["measure"].endswith("age_standardised")
        gap = {**gap, "is_aged": is_aged, "is_sure": is_sure(gap)}
    row = published.indicator(name)
    return "level", {"indicator": known["label"], "row": row, "gap": gap, "change": change}


def groups(published: Published) -> Iterator[tuple[str, Context]]:
    """Yield what the marks say of the first loneliness indicator over the axes."""
    items = published.chapter("loneliness")
    name = published.indicator_of(items[0]) if items else None
    if name is None:
        return
    axes = [axis for axis in published.single_axes if axis != items[0]]
    tested = {axis: published.indicator_by(axis, name=name) for axis in axes}
    tested = {axis: rows for axis, rows in tested.items() if visible(rows)}
    marked = [
        (axis, row)
        for axis, rows in tested.items()
        for row in records(
            rows[(rows["mark"] == ABOVE) & rows["status"].isin(SURE_STATUS)].nlargest(1, "estimate")
        )
    ]
    marked.sort(key=lambda pair: pair[1]["estimate"], reverse=True)
    context = {"name": name, "table": f"cross_{items[0]}"}
    if marked:
        yield "groups", context | {"found": marked[:3], "more": len(marked) > 3}
    elif tested:
        yield "no_groups", context | {"axes": [published.axis_label(axis) for axis in tested]}


def first_effect(published: Published) -> Iterator[tuple[str, Context]]:
    """Yield the largest sure effect of the first model that has any."""
    for outcome in published.outcomes:
        for row in records(sure_effects(published, outcome).head(1)):
            yield effect(published, row, outcome=outcome, is_summary=True)
            return


# --- axes, models ---------------------------------------------------------------------------------


def axis_findings(published: Published, *, item: str, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield one sentence an axis with marked groups, and one for all axes without."""
    name, without = published.indicator_of(item), []
    if name is None:
        return
    context = {"name": name, "table": f"cross_{item}"}
    for axis in [axis for axis in published.single_axes if axis != item]:
        rows = published.indicator_by(axis, name=name)
        if not visible(rows):
            continue
        found = sides(records(rows), rows["domain_value"])
        if found:
            yield "axis_finding", context | {"axis": axis, "sides": found}
        else:
            without.append(published.axis_label(axis))
    if without:
        yield "no_groups", context | {"axes": without}


def sure_effects(published: Published, outcome: str) -> pd.DataFrame:
    """Return the marginal effects a sentence may use, the largest first."""
    rows = published.rows(f"model_{outcome}", measure="marginal_effect_points")
    rows = rows[rows["mark"].isin([ABOVE, BELOW]) & (rows["status"] == "published")]
    rows = rows[rows["n_unweighted"] >= MODEL_BASE]
    return rows.iloc[np.argsort(-rows["estimate"].abs().to_numpy(float), kind="stable")]


def effect(
    published: Published, row: Row, *, outcome: str, is_summary: bool = False
) -> tuple[str, Context]:
    """Return what is said of one marginal effect."""
    same = {"measure": row["measure"], "item": row["item"], "mark": "基準"}
    reference = first(published.rows(row["table_id"], **same))
    return "effect", {
        "row": row,
        "outcome": outcome,
        "factor": published.label(row["item"]).removesuffix("の有無"),
        "level": published.level_label(row),
        "reference": published.level_label(reference) if reference else "基準の区分",
        "is_summary": is_summary,
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
    by_name = {row["item_value"]: row for row in facts}
    sizes = [(by_name[name], *how) for name, how in _SIZES.items() if name in by_name]
    yield "model_size", {"sizes": sizes}
    yield from (("as_it_is", {"sentence": clean_text(row["reason"])}) for row in facts)


_SIZES = {  # unit and digits of a model's facts
    "n": ("人", 0), "events": ("人", 0), "parameters": ("", 0), "events_per_parameter": ("人", 1)
}  # fmt: skip


# --- limits ---------------------------------------------------------------------------------------


def limits(published: Published, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield what limits the report, the study's own notes among it, and how much is hidden."""
    yield "limits", {}
    yield from (("as_it_is", {"sentence": clean_text(note)}) for note in published.about["notes"])
    yield "n_hidden", {"n_hidden": int((published.estimates["status"] == "suppressed").sum())}


LINES = {
    find.__name__: find
    for find in (conclusions, axis_findings, effects, model_notes, model_size, limits)
}
