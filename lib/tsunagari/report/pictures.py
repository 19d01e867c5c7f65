"""Which rows does a figure of the page draw: of which question, over which axis, beside whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.report import figures
from tsunagari.report.blocks import Picture, keys_of
from tsunagari.report.findings import is_sure, sides, sure_effects, visible
from tsunagari.report.published import (
    Published,
    Row,
    in_order,
    is_drawable,
    is_hidden,
    judged,
    mark_of,
    records,
)
from tsunagari.report.texts import Writer, decimals_of, format_number
from tsunagari.study import NO_ANSWER
from tsunagari.verdicts import NOT_COMPARABLE

N_LEADING_AXES = 4  # of a question's figures; further axes share one
MOST_STACKED_GROUPS = 4  # beyond them one indicator is drawn as dots
BASE_SIGNS = {"reference": "*", "low_base": "†"}


# --- what every figure needs ----------------------------------------------------------------------


def chart_rows(published: Published, rows: pd.DataFrame, labels: Iterable[str]) -> pd.DataFrame:
    """Return label, estimate, ends, mark and digits; a base under the minimum counts as hidden."""
    every = records(rows)
    table = pd.DataFrame(
        {
            "label": list(labels),
            "estimate": rows["estimate"].to_numpy(float),
            "lower": rows["lower"].to_numpy(float),
            "upper": rows["upper"].to_numpy(float),
            "mark": [mark_of(row) + BASE_SIGNS.get(row["status"], "") for row in every],
            "decimals": [decimals_of(row) for row in every],
        }
    )
    gone = (rows["status"] == "suppressed") | (
        rows["n_unweighted"] < published.about.get("min_cell_n", 10)
    )
    table.loc[gone.to_numpy(bool), ["estimate", "lower", "upper"]] = np.nan
    return table


def n_text(rows: pd.DataFrame) -> str:
    """Return the bases of rows, such as n=312〜1,991."""
    bases = rows["n_unweighted"].dropna()
    if bases.empty:
        return ""
    low, high = (format_number(each, decimals=0) for each in (bases.min(), bases.max()))
    return f"n={low}" if low == high else f"n={low}〜{high}"


def words(writer: Writer, name: str, /, *, n: str = "", **context: Any) -> figures.Words:
    """Return a figure's words; a synthetic one names its measure and states no finding."""
    spec, published = writer.texts["figures"][name], writer.published
    common = {"has_nation": False, "has_interval": True} | context
    measure = writer.words(spec["measure"], **common)
    title = writer.words(spec.get("finding", ""), **common) or measure
    if published.is_synthetic:
        title = writer.words(writer.texts["figures"]["synthetic"], measure=measure)
    return figures.Words(
        title=title,
        subtitle=writer.words(spec["subtitle"], **common),
        foot=writer.words(writer.texts["figures"]["foot"], n=n, **common),
        is_synthetic=published.is_synthetic,
    )


def _finding(writer: Writer, name: str, rows: pd.DataFrame, labels: list[str]) -> str:
    found = sides(records(rows), labels)
    return writer.words(writer.texts["figures"]["groups_finding"], name=name, sides=found)


# --- 100 % bars -----------------------------------------------------------------------------------


def _stacked(
    writer: Writer, groups: dict[str, pd.DataFrame], *, name: str, item: str, **context: Any
) -> Iterator[Picture]:
    """Yield a 100 % figure, one bar a group of percent rows; none when nothing can be shown."""
    published = writer.published
    codes = dict.fromkeys(code for rows in groups.values() for code in rows["item_value"])
    order, labels = _answer_order(published, item, list(codes)), published.values(item)
    silent = [code for code in order if not published.is_answer(item, code)]
    parts = []
    for place, (group, rows) in enumerate(groups.items()):
        rows = in_order(rows, order, column="item_value")
        names = [labels.get(code, code) for code in rows["item_value"]]
        parts.append(chart_rows(published, rows, names).assign(group=group, place=place))
    if not parts:
        return
    table = pd.concat(parts, ignore_index=True).rename(columns={"label": "category"})
    table = in_order(table, [labels.get(code, code) for code in order], column="category")
    table = table.sort_values("place", kind="stable")
    grey = tuple(labels.get(code, code) for code in silent)
    answers = table[~table["category"].isin(grey)].groupby("group")["estimate"]
    if answers.apply(lambda each: each.notna().all()).sum() < min(2, len(groups)):
        return
    whole = {
        group: rows
        for group, rows in groups.items()
        if not ((rows["status"] == "suppressed") & ~rows["item_value"].isin(silent)).any()
    }
    said = words(writer, name, n=_n_by_group(whole), item=item, has_interval=False, **context)
    chart = figures.stacked_bars(table, words=said, grey=grey)
    yield Picture(chart, keys_of(row for rows in groups.values() for row in records(rows)))


def _answer_order(published: Published, item: str, codes: list[str]) -> list[str]:
    """Return the answers with the indicator's own first, those without an answer last."""
    answers = [code for code in codes if published.is_answer(item, code)]
    name = published.indicator_of(item)
    value = published.value_of(name) if name else None
    if value in answers and answers.index(value) > (len(answers) - 1) / 2:
        answers = answers[::-1]
    return answers + [code for code in codes if code not in answers]


def _n_by_group(groups: dict[str, pd.DataFrame]) -> str:
    """Return n of every bar where they are few and differ, else of all together."""
    texts = {name: n_text(rows) for name, rows in groups.items() if n_text(rows)}
    if 1 < len(texts) <= 3 and len(set(texts.values())) > 1:
        return "n=" + "、".join(f"{name} {n.removeprefix('n=')}" for name, n in texts.items())
    return n_text(pd.concat(groups.values()))


def distribution(writer: Writer, *, item: str, **_: Any) -> Iterator[Picture]:
    """Yield the answers of this wave, the last one and the nation."""
    published = writer.published
    now = published.gt(item, has_nets=False)
    if now.empty or published.is_multiple(item):
        return
    area, codes = writer.words("{{ area }}"), set(now["item_value"])
    groups = {f"{area} {published.year}年": now}
    rows = published.rows(f"waves_{item}", measure="percent", domain="all")
    before = rows[(rows["wave"] == published.previous) & rows["item_value"].isin(codes)]
    if codes - {NO_ANSWER} <= set(before["item_value"]):
        groups[f"{area} {published.previous}年"] = before
    nation = published.rows(f"national_{item}", measure="percent_benchmark", domain="all")
    is_known = [row["item_value"] in codes and is_drawable(row) for row in records(nation)]
    nation = nation[np.array(is_known, dtype=bool)]
    has_nation = codes - {NO_ANSWER} <= set(nation["item_value"])
    has_nation &= bool(nation["estimate"].notna().any())
    if has_nation:
        year = (published.about.get("benchmark") or {}).get("year")
        groups[f"全国 {year}年" if year else "全国"] = nation
    name = published.indicator_of(item)
    gap = judged(published.nation(item, published.value_of(name))) if name else None
    gap = gap and {**gap, "is_sure": is_sure(gap)}
    yield from _stacked(writer, groups, name="distribution", item=item, gap=gap,
                        indicator=name, has_nation=has_nation)  # fmt: skip


def family(writer: Writer, *, items: list[str], **_: Any) -> Iterator[Picture]:
    """Yield questions with the same answers in one figure; one alone as it is best drawn."""
    published = writer.published
    if len(items) > 1:
        groups = {published.label(item): published.gt(item, has_nets=False) for item in items}
        yield from _stacked(writer, groups, name="family", item=items[0], items=items)
    elif published.is_multiple(items[0]):
        yield from answers(writer, item=items[0])
    else:
        yield from distribution(writer, item=items[0])


def _stacked_by_axis(writer: Writer, item: str, *, axis: str) -> Iterator[Picture]:
    published = writer.published
    rows = published.cross(axis, item=item)
    rows = rows[~rows["item_value"].isin(published.nets(item))]
    groups = {
        published.group_label(axis, value): part
        for value, part in rows.groupby("domain_value", sort=False)
    }
    name = published.indicator_of(item)
    own = rows[rows["item_value"] == published.value_of(name)] if name else rows.iloc[:0]
    labels = [published.group_label(axis, value) for value in own["domain_value"]]
    found = _finding(writer, name, own, labels) if name else ""
    yield from _stacked(writer, groups, name="stacked_by_axis", item=item, axis=axis,
                        groups_finding=found)  # fmt: skip


# --- dots -----------------------------------------------------------------------------------------


def indicators(writer: Writer, **_: Any) -> Iterator[Picture]:
    """Yield dots of all indicators, the nation's beside ours."""
    published = writer.published
    ours: dict[str, Row] = {}
    theirs: dict[str, Row] = {}
    for name, known in published.indicators.items():
        row = published.indicator(name)
        if row is None or is_hidden(row):
            continue
        ours[published.label(name)] = row
        nation = published.nation(known["item"], published.value_of(name)).get("percent_benchmark")
        if is_drawable(nation):
            theirs[published.label(name)] = nation
    if len(ours) < 2:
        return
    sets = {writer.words("{{ area }}"): ours, writer.texts["words"]["published_nation"]: theirs}
    parts = [
        chart_rows(published, pd.DataFrame(rows.values()), rows).assign(series=series)
        for series, rows in sets.items()
        if rows
    ]
    n = n_text(pd.DataFrame(ours.values()))
    said = words(writer, "indicators", n=n, has_nation=bool(theirs))
    chart = figures.interval_dots(pd.concat(parts), words=said)
    yield Picture(chart, keys_of([*ours.values(), *theirs.values()]))


def leading_axes(writer: Writer, *, item: str, is_first: bool, **_: Any) -> Iterator[Picture]:
    """Yield a figure over each of the first axes: all answers of few groups, else an indicator."""
    published = writer.published
    for axis in [a for a in published.axes if item not in a.split(" x ")][:N_LEADING_AXES]:
        n_groups = published.cross(axis, item=item)["domain_value"].nunique()
        is_short = " x " not in axis and 0 < n_groups <= MOST_STACKED_GROUPS
        drawn = []
        if is_short and not published.is_multiple(item):
            drawn = list(_stacked_by_axis(writer, item, axis=axis))
        yield from drawn
        if not drawn and (is_first or " x " not in axis):
            yield from _dots_by_axis(writer, item, axis=axis)


def _dots_by_axis(writer: Writer, item: str, *, axis: str) -> Iterator[Picture]:
    """Yield dots of the question's first indicator of which half the groups can be shown."""
    published = writer.published
    mine = [name for name, each in published.indicators.items() if each["item"] == item]
    found = {name: published.indicator_by(axis, name=name) for name in mine}
    half = [n for n, rows in found.items() if len(rows) and rows["estimate"].notna().mean() >= 0.5]
    for name in (half or mine)[:1]:
        rows = found[name]
        if not visible(rows):
            return
        labels = [published.group_label(axis, value) for value in rows["domain_value"]]
        table = chart_rows(published, rows, labels)
        if " x " in axis:
            table = _as_series(published, table, rows, axis=axis)
        finding = _finding(writer, name, rows, labels)
        said = words(writer, "dots_by_axis", n=n_text(rows), name=name, axis=axis,
                     groups_finding=finding)  # fmt: skip
        yield _with_everybody(writer, table, rows, name=name, said=said)


def _as_series(
    published: Published, table: pd.DataFrame, rows: pd.DataFrame, *, axis: str
) -> pd.DataFrame:
    """Return dots of a nested axis: the first variable downwards, the second as series."""
    first, second = (published.values(name) for name in axis.split(" x "))
    codes = rows["domain_value"].str.split(" x ")
    table = table.assign(
        label=[first.get(one, one) for one, _ in codes],
        series=[second.get(other, other) for _, other in codes],
    )
    return table[table.groupby("series")["estimate"].transform(lambda e: e.notna().any())]


def _with_everybody(
    writer: Writer,
    table: pd.DataFrame,
    rows: pd.DataFrame,
    *,
    name: str,
    said: figures.Words,
    label_em: float = 11,
) -> Picture:
    """Return dots with a line where everybody stands."""
    overall = writer.published.indicator(name)
    overall = None if is_hidden(overall) else overall
    chart = figures.interval_dots(
        table,
        words=said,
        reference=float(overall["estimate"]) if overall else None,
        reference_label=writer.texts["words"]["everybody"] if overall else "",
        label_em=label_em,
    )
    return Picture(chart, keys_of([*records(rows), overall]))


def further_axes(writer: Writer, *, item: str, is_first: bool, **_: Any) -> Iterator[Picture]:
    """Yield one figure of the first question's indicator over the groups of all further axes."""
    published = writer.published
    name = published.indicator_of(item)
    axes = [a for a in published.axes if item not in a.split(" x ")][N_LEADING_AXES:]
    if name is None or not is_first:
        return
    found = {a: published.indicator_by(a, name=name) for a in axes if " x " not in a}
    rows = pd.concat([published.estimates.iloc[:0], *found.values()])
    if not visible(rows):
        return
    labels = [
        f"{published.axis_label(axis)}：{published.group_label(axis, value)}"
        for axis, part in found.items()
        for value in part["domain_value"]
    ]
    finding = _finding(writer, name, rows, labels)
    said = words(writer, "further_axes", n=n_text(rows), name=name, groups_finding=finding)
    table = chart_rows(published, rows, labels)
    yield _with_everybody(writer, table, rows, name=name, said=said, label_em=14)


def nation(writer: Writer, **_: Any) -> Iterator[Picture]:
    """Yield the gaps to the nation of every indicator that can be judged."""
    published, gaps = writer.published, {}
    for name, known in published.indicators.items():
        gap = judged(published.nation(known["item"], published.value_of(name)))
        if gap and gap["estimate"] == gap["estimate"] and gap["verdict"] != NOT_COMPARABLE:
            gaps[name] = gap
    if not gaps:
        return
    table = pd.DataFrame(gaps.values())
    sure = [(name, gap) for name, gap in gaps.items() if is_sure(gap)]
    said = words(writer, "nation", n=n_text(table), sure=sure, has_nation=True)
    rows = chart_rows(published, table, map(published.label, gaps))
    chart = figures.interval_dots(rows, words=said, unit="ポイント")
    yield Picture(chart, keys_of(gaps.values()))


# --- bars, forest ---------------------------------------------------------------------------------


def answers(writer: Writer, *, item: str, **_: Any) -> Iterator[Picture]:
    """Yield bars of a question with several answers, the most frequent first."""
    published = writer.published
    rows = published.gt(item, has_nets=False)
    rows = rows[rows["item_value"] != NO_ANSWER]
    if not visible(rows):
        return
    last = {"other": 1, "exclusive": 2}
    places = [last.get(published.role(item, code), 0) for code in rows["item_value"]]
    rows = rows.iloc[np.lexsort((-rows["estimate"].fillna(-1).to_numpy(float), places))]
    said = words(writer, "answers", n=n_text(rows), item=item)
    labels = map(published.answer_label, records(rows))
    chart = figures.percent_bars(chart_rows(published, rows, labels), words=said)
    yield Picture(chart, keys_of(records(rows)))


def forest(writer: Writer, *, outcome: str, **_: Any) -> Iterator[Picture]:
    """Yield the odds ratios of a model."""
    published = writer.published
    ratios = published.rows(f"model_{outcome}", measure="odds_ratio")
    if ratios.empty:
        return
    labels = map(published.level_label, records(ratios))
    table = chart_rows(published, ratios, labels).assign(
        factor=[published.label(item) for item in ratios["item"]],
        is_reference=(ratios["mark"] == "基準").to_numpy(bool),
    )
    named = [published.label(item) for item in sure_effects(published, outcome)["item"].unique()]
    people = published.rows(f"model_{outcome}", item="model", item_value="n")
    said = words(writer, "forest", n=n_text(people), outcome=outcome, named=named)
    yield Picture(figures.forest(table, words=said), keys_of(records(pd.concat([ratios, people]))))


FIGURES = {
    make.__name__: make
    for make in (
        distribution, family, indicators, leading_axes, further_axes, nation, answers, forest,
    )
}  # fmt: skip
