"""Who differs: the regions, loneliness beside isolation, the lonely against the others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pandas as pd

from tsunagari.estimates import join
from tsunagari.gate.words import clean_text
from tsunagari.report import figures
from tsunagari.report.blocks import Cell, Picture
from tsunagari.report.findings import Context, sides, visible
from tsunagari.report.pictures import chart_rows, n_text, words
from tsunagari.report.published import (
    Published,
    Row,
    cross_id,
    in_order,
    is_hidden,
    keys_of,
    mark_of,
    records,
)
from tsunagari.report.tables import Lines
from tsunagari.report.writer import HIDDEN, Writer, estimate, interval
from tsunagari.statistics.verdicts import ABOVE, BELOW

MOST_DRAWN = 6  # answers of a figure of differences: it is half a printed column
GROUPS = ("both", "one", "other", "neither")  # of two questions with two answers each
Case = tuple[str, str, pd.DataFrame, Row | None]  # heading, label, rows by group, everybody


# --- regions --------------------------------------------------------------------------------------


def _cases(published: Published, axis: str, *, has_troubles: bool = True) -> list[Case]:
    """Return every indicator, every answer on troubles and any other with a mark, along an axis."""
    found: list[Case] = [
        ("", published.label(name), published.indicator_by(axis, name=name), row)
        for name, row in ((each, published.indicator(each)) for each in published.indicators)
    ]
    troubles = published.voices["questions"][:1]
    for item in dict.fromkeys([*troubles, *published.about["crosses"]]) if has_troubles else ():
        rows = published.cross(axis, item=item)
        marked = [row["item_value"] for row in records(rows) if mark_of(row)]
        told = [row for row in records(published.gt(item, has_nets=False))
                if published.is_answer(item, row["item_value"])]  # fmt: skip
        if item not in troubles:
            told = [row for row in told if row["item_value"] in marked]
            told = [row for row in told if row["item_value"] not in published.values_of(item)]
        for row in told:
            own = rows[rows["item_value"] == row["item_value"]]
            found.append((published.label(item), published.answer_label(row), own, row))
    return [case for case in found if case[2]["estimate"].notna().any()]


def region_axis(published: Published) -> list[Context]:
    """Return the axis of the regions, where two of them or more can be shown."""
    axis = published.about["region"]
    shown = [rows for *_, rows, _ in _cases(published, axis) if visible(rows)] if axis else []
    return [{"axis": axis}] if shown else []


def regions(writer: Writer, *, axis: str, **_: Any) -> Lines:
    """Return every indicator and trouble over the regions."""
    published = writer.published
    groups: dict[str, list[dict[str, Any]]] = {}
    for heading, label, rows, everybody in _cases(published, axis):
        own = {f"*{row['domain_value']}": row for row in records(rows)}
        line = {"label": label, "row": everybody, **own}
        groups.setdefault(heading or writer.text("indicators_heading"), []).append(line)
    known = {key for lines in groups.values() for line in lines for key in line}
    columns = {c: name for c, name in published.values(axis).items() if f"*{c}" in known}
    return Lines(groups, context={"axis": axis}, columns=columns)


def region_dots(writer: Writer, *, axis: str, **_: Any) -> Iterator[Picture]:
    """Yield dots of every indicator: everybody's and each region's."""
    published, parts = writer.published, []
    for _, label, rows, everybody in _cases(published, axis, has_troubles=False):
        if visible(rows):
            every = pd.concat([rows, pd.DataFrame([everybody] if everybody else [])])
            parts.append(every.assign(label=label))
    if not parts:
        return
    rows = pd.concat(parts)
    names = published.values(axis) | {"all": writer.texts["words"]["everybody"]}
    groups = rows["domain_value"].map(names).to_list()
    pairs = [
        writer.text("axis_group", axis=g, group=e)
        for g, e in zip(groups, rows["label"], strict=True)
    ]
    found = sides(records(rows), pairs)
    context = {"axis": axis, "found": found, "is_tested": len(published.tested(rows)) > 0}
    said = words(writer, "region_dots", n=n_text(rows), **context)
    table = chart_rows(published, rows, labels=rows["label"]).assign(series=groups)
    yield Picture(figures.interval_dots(table, words=said), keys_of(records(rows)))


# --- loneliness beside isolation ------------------------------------------------------------------


def joint_pairs(published: Published) -> list[Context]:
    """Return the pairs of questions with two answers each that can be shown together."""
    found = []
    for pair in published.about["joint"]:
        codes = [_two_answers(published, name) for name in pair]
        rows = _joint(published, pair)
        if all(len(each) == 2 for each in codes) and visible(rows):
            values = [join(each) for each in product(*codes)]
            found.append({"pair": tuple(pair), "codes": codes, "values": values})
    return found


def _two_answers(published: Published, name: str) -> list[str]:
    nets = published.nets(name)
    return [c for c in published.values(name) if published.is_answer(name, c) and c not in nets]


def _joint(published: Published, pair: tuple[str, ...]) -> pd.DataFrame:
    return published.this_wave(published.rows("joint_" + "_x_".join(pair), measure="percent"))


def _joint_axes(published: Published, pair: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    end = "__" + "_x_".join(pair)
    axes = [name.removesuffix(end) for name in published.items_of("cross_") if name.endswith(end)]
    return {axis: published.cross(axis, item=join(pair)) for axis in axes}


def _names(writer: Writer, values: list[str]) -> dict[str, str]:
    return dict(zip(values, writer.texts["words"]["joint"].values(), strict=True))


def four_shares(
    published: Published, *, pair: tuple[str, ...], values: list[str], **_: Any
) -> Iterator[tuple[str, Context]]:
    """Yield how many are in each of the four groups, then who is found there more often."""
    rows = {row["item_value"]: row for row in records(_joint(published, pair))}
    shown = {g: rows[v] for g, v in zip(GROUPS, values, strict=True) if not is_hidden(rows.get(v))}
    yield "four_shares", {"rows": {g: row for g, row in shown.items() if row}}
    axes, n_found = _joint_axes(published, pair), 0
    every = pd.concat(axes.values()) if axes else pd.DataFrame(columns=["item_value"])
    for group, value in zip(GROUPS, values, strict=True):
        own = every[every["item_value"] == value]
        if len(own) and (found := sides(records(own), published.group_labels(own))):
            n_found += 1
            yield "four_finding", {"which": group, "found": found}
    tested = [axis for axis, own in axes.items() if len(published.tested(own))]
    if tested and not n_found:
        yield "four_alike", {"axes": [published.axis_label(axis) for axis in tested]}


def four_groups(writer: Writer, *, pair: tuple[str, ...], values: list[str], **_: Any) -> Lines:
    """Return the four groups over everybody and over each axis."""
    published = writer.published
    everybody = records(_joint(published, pair))
    groups = {"": [_line(everybody, values, writer.texts["words"]["everybody"])]}
    for axis, rows in _joint_axes(published, pair).items():
        groups[writer.by_axis(axis)] = [
            _line(records(own), values, published.group_label(axis, code))
            for code, own in rows.groupby("domain_value", sort=False)
        ]
    return Lines(groups, context={"pair": pair}, columns=_names(writer, values))


def _line(rows: list[Row], values: list[str], label: str) -> dict[str, Any]:
    found = {row["item_value"]: row for row in rows}
    base = next((row for row in rows if not is_hidden(row)), HIDDEN)
    return {"label": label, "base": base, **{f"*{v}": found.get(v, HIDDEN) for v in values}}


def four_bars(
    writer: Writer, *, pair: tuple[str, ...], values: list[str], **_: Any
) -> Iterator[Picture]:
    """Yield 100 % bars of the four groups: everybody, then the groups of every axis."""
    published, names = writer.published, _names(writer, values)
    everybody = writer.texts["words"]["everybody"]
    bars = {(clean_text(published.about["area"]), everybody): _joint(published, pair)}
    for axis, rows in _joint_axes(published, pair).items():
        name, own = published.axis_label(axis), rows.groupby("domain_value", sort=False)
        bars |= {(name, published.group_label(axis, code)): part for code, part in own}
    parts = []
    for (block, group), rows in bars.items():
        rows = in_order(rows, values, column="item_value")
        table = chart_rows(published, rows, labels=rows["item_value"].map(names))
        parts.append(table.rename(columns={"label": "category"}).assign(group=group, block=block))
    every = pd.concat(bars.values())
    whole = _joint(published, pair).dropna(subset=["estimate"])
    top = whole.nlargest(1, "estimate")["item_value"].map(dict(zip(values, GROUPS, strict=True)))
    most = top.iloc[0] if len(whole) == len(values) else ""
    said = words(writer, "four_bars", n=n_text(every), has_interval=False, pair=pair, most=most)
    chart = figures.stacked_bars(pd.concat(parts, ignore_index=True), words=said, grey=())
    yield Picture(chart, keys_of(records(every)))


# --- high against low -----------------------------------------------------------------------------


def contrasted(published: Published) -> list[Context]:
    """Return the multi-answer questions that two groups are compared on, with their pairs.

    What resolved it is told of those who ever felt it, and stands apart.
    """
    axis, apart = published.voices["compared"], published.voices.get("ever")
    groups = _two_answers(published, axis)[:2] if axis else []
    found = []
    for item in published.about["crosses"] if len(groups) == 2 else ():
        pairs = _pairs(published, item, axis=axis, groups=groups)
        is_told = published.is_multiple(item) and item != apart
        if is_told and any(pair["gap"] for pair in pairs):
            found.append({"item": item, "axis": axis, "groups": groups, "pairs": pairs})
    return found


def _pairs(published: Published, item: str, *, axis: str, groups: list[str]) -> list[Context]:
    """Return label, both shares and the difference of every answer, the largest first."""
    rows = published.cross(axis, item=item)
    shares = {(row["domain_value"], row["item_value"]): row for row in records(rows)}
    gaps = published.rows(cross_id(axis, item), measure="difference_points",
                          domain_value=groups[0])  # fmt: skip
    known = {row["item_value"]: row for row in records(published.this_wave(gaps))}
    pairs = []
    for code in dict.fromkeys(rows["item_value"]):
        one, other = (shares.get((group, code)) for group in groups)
        if published.is_answer(item, code) and code not in published.nets(item) and one and other:
            gap = known.get(code)
            gap = gap if gap and not is_hidden(gap) and gap["estimate"] == gap["estimate"] else None
            label = published.answer_label(one)
            pairs.append({"label": label, "one": one, "other": other, "gap": gap})
    pairs = [pair for pair in pairs if not (is_hidden(pair["one"]) and is_hidden(pair["other"]))]
    return sorted(pairs, key=lambda pair: -pair["gap"]["estimate"] if pair["gap"] else 1000)


def _gap_text(pair: Context) -> str:
    gap = pair["gap"]
    return f"{estimate(gap)}{mark_of(gap)}（{interval(gap)}）" if gap else HIDDEN


def _marked(pairs: list[Context], mark: str) -> list[Context]:
    return [pair for pair in pairs if pair["gap"] and mark_of(pair["gap"]) == mark]


def high_low(_writer: Writer, *, item: str, pairs: list[Context], **context: Any) -> Lines:
    """Return every answer of two groups, and the difference of the first to everybody else."""
    lines = [pair | {"gap": _gap_cell(pair["gap"])} for pair in pairs]
    return Lines({"": lines}, key=f"high_low_{item}", context=context | {"item": item})


def _gap_cell(gap: Row | None) -> Cell:
    if gap is None:
        return Cell(HIDDEN)
    return Cell(estimate(gap) + mark_of(gap), interval(gap), keys_of([gap]))


def high_low_findings(
    _published: Published, *, pairs: list[Context], **context: Any
) -> Iterator[tuple[str, Context]]:
    """Yield which answers the first group gives more, and less, often than the others."""
    more, less = (_marked(pairs, mark)[::step][:3] for mark, step in ((ABOVE, 1), (BELOW, -1)))
    yield "high_low", context | {"more": more, "less": less}


def high_low_dots(
    writer: Writer, *, item: str, pairs: list[Context], **context: Any
) -> Iterator[Picture]:
    """Yield two dots an answer of a large difference, which stands beside its name."""
    published, axis = writer.published, context["axis"]
    sizes = sorted((-abs(pair["gap"]["estimate"]) for pair in pairs if pair["gap"]))[:MOST_DRAWN]
    pairs = [pair for pair in pairs if pair["gap"] and -abs(pair["gap"]["estimate"]) <= sizes[-1]]
    rows = pd.DataFrame([pair[side] for pair in pairs for side in ("one", "other")])
    labels = [
        writer.text("high_low_label", label=pair["label"], gap=_gap_text(pair))
        for pair in pairs
        for _ in range(2)
    ]
    names = [published.group_label(axis, group) for group in context["groups"]] * len(pairs)
    more = _marked(pairs, ABOVE)[:3]
    said = words(writer, "high_low_dots", n=n_text(rows), item=item, more=more, **context)
    table = chart_rows(published, rows, labels=labels).assign(series=names, mark="")
    drawn = [pair[side] for pair in pairs for side in ("one", "other", "gap")]
    yield Picture(figures.interval_dots(table, words=said, label_em=14), keys_of(drawn))


TABLES = {"regions": regions, "four_groups": four_groups, "high_low": high_low}
FIGURES = {make.__name__: make for make in (region_dots, four_bars, high_low_dots)}
LINES = {find.__name__: find for find in (four_shares, high_low_findings)}
SUBJECTS = {
    "regions": region_axis,
    "joint": joint_pairs,
    "contrasts": contrasted,
}
