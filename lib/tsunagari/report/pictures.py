"""Which rows does a figure of the page draw: of which question, over which axis, beside whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.estimates import split
from tsunagari.gate.words import clean_text
from tsunagari.report import figures
from tsunagari.report.blocks import Picture
from tsunagari.report.findings import sides, sure_effects, visible
from tsunagari.report.published import (
    Published,
    Row,
    in_order,
    is_drawable,
    is_hidden,
    judged,
    keys_of,
    mark_of,
    records,
)
from tsunagari.report.texts import FIXED
from tsunagari.report.writer import BASE_SIGNS, Writer, decimals_of, format_number
from tsunagari.statistics.verdicts import NOT_COMPARABLE, REFERENCE
from tsunagari.study.codebook import NO_ANSWER

N_LEADING_AXES = 4  # of a question's figures; further axes share one
MOST_STACKED_GROUPS = 4  # beyond them one indicator is drawn as dots


# --- what every figure needs ----------------------------------------------------------------------


def chart_rows(published: Published, rows: pd.DataFrame, *, labels: Iterable[str]) -> pd.DataFrame:
    """Return label, estimate, ends, mark and digits; a base under the minimum counts as hidden."""
    every = records(rows)
    gone = (rows["status"] == "suppressed") | (rows["n_unweighted"] < published.about["min_cell_n"])
    numbers = rows[["estimate", "lower", "upper"]].astype(float).reset_index(drop=True)
    numbers.loc[gone.to_numpy(bool)] = np.nan
    return numbers.assign(
        label=list(labels),
        mark=[mark_of(row) + BASE_SIGNS.get(row["status"], "") for row in every],
        decimals=[decimals_of(row) for row in every],
    )


def n_text(rows: pd.DataFrame) -> str:
    """Return the bases of rows, such as n=312〜1,991."""
    bases = rows["n_unweighted"].dropna()
    ends = (format_number(each, decimals=0) for each in (bases.min(), bases.max()))
    return "" if bases.empty else "n=" + "〜".join(dict.fromkeys(ends))


def words(writer: Writer, name: str, /, **context: Any) -> figures.Words:
    """Return a figure's words; a synthetic one names its measure and states no finding."""
    spec, is_synthetic = writer.texts["figures"][name], writer.published.is_synthetic
    context = {"has_nation": False, "has_interval": True} | context
    measure = writer.words(spec["measure"], **context)
    if is_synthetic:
        title = writer.text("figure_synthetic", measure=measure)
    else:
        title = writer.words(spec.get("finding", ""), **context) or measure
    subtitle = writer.words(spec["subtitle"], **context)
    foot = writer.text("figure_foot", **context)
    return figures.Words(title, subtitle, foot, is_synthetic=is_synthetic)


# --- 100 % bars -----------------------------------------------------------------------------------


def _stacked(
    writer: Writer, groups: dict[str, pd.DataFrame], *, name: str, item: str, **context: Any
) -> Iterator[Picture]:
    """Yield a 100 % figure, one bar a group of percent rows; none when nothing can be shown."""
    published, labels = writer.published, writer.published.values(item)
    codes = dict.fromkeys(code for rows in groups.values() for code in rows["item_value"])
    order = _answer_order(published, item, list(codes))
    silent = [code for code in order if not published.is_answer(item, code)]
    parts, whole = [], {}
    for group, rows in groups.items():
        rows = in_order(rows, order, column="item_value")
        own = [labels.get(code, code) for code in rows["item_value"]]
        table = chart_rows(published, rows, labels=own).rename(columns={"label": "category"})
        parts.append(table.assign(group=group, is_silent=rows["item_value"].isin(silent).to_list()))
        if not ((rows["status"] == "suppressed") & ~rows["item_value"].isin(silent)).any():
            whole[group] = rows
    if not parts:
        return
    table = pd.concat(parts, ignore_index=True)
    answers = table[~table["is_silent"]].groupby("group")["estimate"]
    if answers.apply(lambda each: each.notna().all()).sum() < min(2, len(groups)):
        return
    said = words(writer, name, n=_n_by_group(whole), item=item, has_interval=False, **context)
    grey = tuple(labels.get(code, code) for code in silent)
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
    texts = {name: text for name, rows in groups.items() if (text := n_text(rows))}
    if 1 < len(texts) <= 3 and len(set(texts.values())) > 1:
        return "n=" + "、".join(f"{name} {n.removeprefix('n=')}" for name, n in texts.items())
    return n_text(pd.concat(groups.values()))


def distribution(writer: Writer, *, item: str, **_: Any) -> Iterator[Picture]:
    """Yield the answers of this wave, the last one and the nation."""
    published = writer.published
    now = published.gt(item, has_nets=False)
    if now.empty or published.is_multiple(item):
        return
    codes = set(now["item_value"])
    groups = {writer.text("wave_label", wave=published.year): now}
    rows = published.rows(f"waves_{item}", measure="percent", domain="all")
    before = rows[(rows["wave"] == published.previous) & rows["item_value"].isin(codes)]
    if codes - {NO_ANSWER} <= set(before["item_value"]):
        groups[writer.text("wave_label", wave=published.previous)] = before
    nation = published.rows(f"national_{item}", measure="percent_benchmark", domain="all")
    is_known = [row["item_value"] in codes and is_drawable(row) for row in records(nation)]
    nation = nation[np.array(is_known, dtype=bool)]
    has_nation = codes - {NO_ANSWER} <= set(nation["item_value"])
    has_nation &= bool(nation["estimate"].notna().any())
    if has_nation:
        groups[writer.text("nation_label")] = nation
    name = published.indicator_of(item)
    gap = judged(published.nation(item, published.value_of(name))) if name else None
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
    found = sides(records(own), published.group_labels(own))
    yield from _stacked(writer, groups, name="stacked_by_axis", item=item, axis=axis,
                        indicator=name, found=found)  # fmt: skip


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
    names = clean_text(published.about["area"]), writer.texts["words"]["published_nation"]
    parts = [
        chart_rows(published, pd.DataFrame(own.values()), labels=own).assign(series=name)
        for name, own in zip(names, (ours, theirs), strict=True)
        if own
    ]
    n = n_text(pd.DataFrame(ours.values()))
    said = words(writer, "indicators", n=n, has_nation=bool(theirs))
    chart = figures.interval_dots(pd.concat(parts), words=said)
    yield Picture(chart, keys_of([*ours.values(), *theirs.values()]))


def leading_axes(writer: Writer, *, item: str, is_first: bool, **_: Any) -> Iterator[Picture]:
    """Yield a figure over each of the first axes: all answers of few groups, else an indicator."""
    published = writer.published
    for axis in published.axes(but=item)[:N_LEADING_AXES]:
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
        labels = published.group_labels(rows)
        table = chart_rows(published, rows, labels=labels)
        if " x " in axis:
            table = _as_series(published, table, rows, axis=axis)
        yield _with_everybody(writer, table, rows, name="dots_by_axis", indicator=name, axis=axis,
                              found=sides(records(rows), labels))  # fmt: skip


def _as_series(
    published: Published, table: pd.DataFrame, rows: pd.DataFrame, *, axis: str
) -> pd.DataFrame:
    """Return dots of a nested axis: the first variable downwards, the second as series."""
    first, second = (published.values(name) for name in split(axis))
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
    indicator: str,
    label_em: float = 11,
    **context: Any,
) -> Picture:
    """Return dots of an indicator with a line where everybody stands."""
    overall = writer.published.indicator(indicator)
    overall = None if is_hidden(overall) else overall
    chart = figures.interval_dots(
        table,
        words=words(writer, name, n=n_text(rows), indicator=indicator, **context),
        reference=float(overall["estimate"]) if overall else None,
        reference_label=writer.texts["words"]["everybody"] if overall else "",
        label_em=label_em,
    )
    return Picture(chart, keys_of([*records(rows), overall]))


def further_axes(writer: Writer, *, item: str, is_first: bool, **_: Any) -> Iterator[Picture]:
    """Yield one figure of the first question's indicator over the groups of all further axes."""
    published, indicator = writer.published, writer.published.indicator_of(item)
    axes = [axis for axis in published.axes(but=item)[N_LEADING_AXES:] if " x " not in axis]
    if indicator is None or not is_first or not axes:
        return
    rows = pd.concat([published.indicator_by(axis, name=indicator) for axis in axes])
    if not visible(rows):
        return
    names = zip(rows["domain"], published.group_labels(rows), strict=True)
    labels = [
        writer.text("axis_group", axis=published.axis_label(axis), group=group)
        for axis, group in names
    ]
    table, found = chart_rows(published, rows, labels=labels), sides(records(rows), labels)
    yield _with_everybody(writer, table, rows, name="further_axes", indicator=indicator,
                          found=found, label_em=14)  # fmt: skip


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
    said = words(writer, "nation", n=n_text(table), gaps=gaps, has_nation=True)
    rows = chart_rows(published, table, labels=map(published.label, gaps))
    chart = figures.interval_dots(rows, words=said, unit=FIXED["units"]["points"])
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
    chart = figures.percent_bars(chart_rows(published, rows, labels=labels), words=said)
    yield Picture(chart, keys_of(records(rows)))


def forest(writer: Writer, *, outcome: str, **_: Any) -> Iterator[Picture]:
    """Yield the odds ratios of a model."""
    published = writer.published
    ratios = published.rows(f"model_{outcome}", measure="odds_ratio")
    if ratios.empty:
        return
    table = chart_rows(
        published, ratios, labels=map(published.level_label, records(ratios))
    ).assign(
        factor=[published.label(item) for item in ratios["item"]],
        is_reference=(ratios["mark"] == REFERENCE).to_numpy(bool),
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
