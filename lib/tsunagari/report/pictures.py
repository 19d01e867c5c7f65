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
from tsunagari.report.findings import MOST_EFFECTS, sides, sure_effects, visible
from tsunagari.report.published import (
    Published,
    Row,
    in_order,
    is_aged,
    is_drawable,
    is_hidden,
    judged,
    keys_of,
    mark_of,
    records,
)
from tsunagari.report.texts import FIXED
from tsunagari.report.writer import BASE_SIGNS, Writer, decimals_of, format_number
from tsunagari.statistics.verdicts import HIGHER, LOWER, NOT_COMPARABLE, REFERENCE
from tsunagari.study.codebook import NO_ANSWER

N_LEADING_AXES = 4  # of a question's figures; further axes share one
MOST_STACKED_GROUPS = 4  # beyond them one indicator is drawn as dots
MOST_ANSWERS = 10  # of a figure of a question with several; its table has them all


# --- what every figure needs ----------------------------------------------------------------------


Group = str | tuple[str, str]


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
        n=rows["n_unweighted"].where(~gone).to_numpy(float),
        key=rows["row_id"].to_numpy(object),
    )


def n_text(rows: pd.DataFrame) -> str:
    """Return the bases of rows, such as n=312〜1,991."""
    bases = rows["n_unweighted"].dropna()
    ends = (format_number(each, decimals=0) for each in (bases.min(), bases.max()))
    return "" if bases.empty else "n=" + "〜".join(dict.fromkeys(ends))


def words(writer: Writer, name: str, /, **context: Any) -> figures.Words:
    """Return a figure's words: its finding as title, and measure, unit, people, n and date."""
    texts, spec = writer.texts, writer.texts["figures"][name]
    context = {"has_nation": False, "has_interval": True} | context
    finding = texts["titles"].get(name) or spec.get("finding", "")
    title = writer.words(finding, **context)
    subtitle = writer.words(spec["subtitle"], **context)
    source = writer.words(spec.get("source", texts["titles"]["source"]), **context)
    return figures.Words(
        writer.text("example") + title,
        writer.words(texts["titles"]["subtitle"], subtitle=subtitle, **context),
        writer.text("figure_foot", **context | {"n": "", "source": source}),
        is_synthetic=writer.published.is_synthetic,
        source=source,
    )


# --- 100 % bars -----------------------------------------------------------------------------------


def _stacked(
    writer: Writer, groups: dict[Group, pd.DataFrame], *, name: str, item: str, **context: Any
) -> Iterator[Picture]:
    """Yield a 100 % figure, one bar a group of percent rows; none when nothing can be shown.

    A group is named alone, or with the heading that it stands under.
    """
    published, labels = writer.published, writer.published.values(item)
    codes = dict.fromkeys(code for rows in groups.values() for code in rows["item_value"])
    order = _answer_order(published, item, list(codes))
    silent = [code for code in order if not published.is_answer(item, code)]
    parts, whole = [], {}
    for group, rows in groups.items():
        rows = in_order(rows, order, column="item_value")
        own = [labels.get(code, code) for code in rows["item_value"]]
        table = chart_rows(published, rows, labels=own).rename(columns={"label": "category"})
        block = (
            {"block": group[0], "group": group[1]} if isinstance(group, tuple) else {"group": group}
        )
        parts.append(table.assign(**block, is_silent=rows["item_value"].isin(silent).to_list()))
        if not ((rows["status"] == "suppressed") & ~rows["item_value"].isin(silent)).any():
            whole[group] = rows
    if not parts:
        return
    table = pd.concat(parts, ignore_index=True)
    bars = [name for name in ("block", "group") if name in table]
    answers = table[~table["is_silent"]].groupby(bars)["estimate"]
    if answers.apply(lambda each: each.notna().all()).sum() < min(2, len(groups)):
        return
    told = list(groups) if "items" in context else list(groups)[:1]  # of this wave alone
    tops = {group: _top_answer(published, whole[group]) for group in told if group in whole}
    tops = {group: top for group, top in tops.items() if top}
    context = {
        "items": [],
        "gap": None,
        "is_aged": False,
        "indicator": None,
        "tops": tops,
    } | context
    n = n_text(pd.concat(whole.values()))
    said = words(writer, name, n=n, item=item, has_interval=False, **context)
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


def _top_answer(published: Published, rows: pd.DataFrame) -> str:
    """Return the answer with the largest share."""
    rows = rows[[published.is_answer(row["item"], row["item_value"]) for row in records(rows)]]
    return published.answer_label(records(rows.nlargest(1, "estimate"))[0]) if len(rows) else ""


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
    gap = _gaps(published).get(name)
    context = {"gap": gap, "is_aged": bool(gap) and is_aged(gap), "has_nation": has_nation}
    yield from _stacked(writer, groups, name="distribution", item=item, indicator=name, **context)


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


def _stacked_by_axes(writer: Writer, item: str, *, axes: list[str]) -> Iterator[Picture]:
    published, groups, own = writer.published, {}, []
    indicator = published.indicator_of(item)
    for axis in axes:
        rows = published.cross(axis, item=item)
        rows = rows[~rows["item_value"].isin(published.nets(item))]
        for value, part in rows.groupby("domain_value", sort=False):
            groups[published.axis_label(axis), published.group_label(axis, value)] = part
        own.append(
            rows[rows["item_value"] == published.value_of(indicator)] if indicator else rows[:0]
        )
    marked = pd.concat(own)
    found = sides(records(marked), published.group_labels(marked))
    context = {"found": found, **_axes_told(published, marked, axes)}
    yield from _stacked(writer, groups, name="stacked_by_axis", item=item,
                        indicator=indicator, **context)  # fmt: skip


def _axes_told(published: Published, rows: pd.DataFrame, axes: list[str]) -> dict[str, list[str]]:
    """Return the labels of the axes of a figure, and of those whose groups were tested."""
    tested = set(published.tested(rows)["domain"])
    return {
        "axes": [published.axis_label(axis) for axis in axes],
        "tested": [published.axis_label(axis) for axis in axes if axis in tested],
    }


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
    gaps = _gaps(published)
    context = {"gaps": gaps, "is_aged": any(map(is_aged, gaps.values()))}
    said = words(writer, "indicators", n=n, has_nation=bool(theirs), **context)
    chart = figures.interval_dots(pd.concat(parts), words=said)
    yield Picture(chart, keys_of([*ours.values(), *theirs.values()]))


def leading_axes(writer: Writer, *, item: str, **_: Any) -> Iterator[Picture]:
    """Yield an indicator over the first axes."""
    axes = writer.published.axes(but=item)[:N_LEADING_AXES]
    yield from _dots_by_axes(writer, item, axes=[axis for axis in axes if " x " not in axis])


def further_axes(writer: Writer, *, item: str, is_first: bool, **_: Any) -> Iterator[Picture]:
    """Yield all answers over the first axes of few groups, and the first indicator over the rest.

    The rest: one figure a nested axis among the first ones, one of all further axes.
    """
    published = writer.published
    axes = published.axes(but=item)
    n_groups = {a: published.cross(a, item=item)["domain_value"].nunique() for a in axes}
    short = [a for a in axes[:N_LEADING_AXES] if " x " not in a]
    short = [a for a in short if 0 < n_groups[a] <= MOST_STACKED_GROUPS]
    if short and not published.is_multiple(item):
        yield from _stacked_by_axes(writer, item, axes=short)
    if is_first:
        for axis in axes[:N_LEADING_AXES]:
            if " x " in axis:
                yield from _dots_by_axes(writer, item, axes=[axis])
        further = [axis for axis in axes[N_LEADING_AXES:] if " x " not in axis]
        yield from _dots_by_axes(writer, item, axes=further, name="further_axes")


def _dots_by_axes(
    writer: Writer, item: str, *, axes: list[str], name: str = "dots_by_axis"
) -> Iterator[Picture]:
    """Yield dots of the question's first indicator of which half the groups can be shown.

    Axes are small multiples below each other on one scale, with a line where everybody stands.
    """
    published = writer.published
    mine = [each for each, known in published.indicators.items() if known["item"] == item]
    found = {each: [published.indicator_by(axis, name=each) for axis in axes] for each in mine}
    shown = {each: [rows for rows in parts if visible(rows)] for each, parts in found.items()}
    tables = {each: pd.concat(parts) for each, parts in shown.items() if parts}
    half = [each for each, rows in tables.items() if rows["estimate"].notna().mean() >= 0.5]
    for indicator in (half or list(tables))[:1]:
        rows = tables[indicator]
        labels = published.group_labels(rows)
        table = chart_rows(published, rows, labels=labels)
        named = rows["domain"].map(published.axis_label)
        if " x " in axes[0]:
            table = _nested(published, table, rows, axis=axes[0])
        elif len(set(named)) > 1:
            table = table.assign(block=named.to_list())
        if name == "further_axes":  # いる、いない say nothing without what they are of
            pairs = zip(rows["domain"], labels, strict=True)
            labels = [
                writer.text("axis_group", axis=published.axis_label(a), group=g) for a, g in pairs
            ]
        overall = published.indicator(indicator)
        overall = None if is_hidden(overall) else overall
        context = {"found": sides(records(rows), labels), **_axes_told(published, rows, axes)}
        said = words(writer, name, item=item, n=n_text(rows), indicator=indicator, **context)
        chart = figures.interval_dots(
            table,
            words=said,
            reference=float(overall["estimate"]) if overall else None,
            reference_label=writer.texts["words"]["everybody"] if overall else "",
        )
        yield Picture(chart, keys_of([*records(rows), overall]))


def _nested(
    published: Published, table: pd.DataFrame, rows: pd.DataFrame, *, axis: str
) -> pd.DataFrame:
    """Return dots of a nested axis: the first variable downwards under a heading a second."""
    first, second = (published.values(name) for name in split(axis))
    codes = rows["domain_value"].str.split(" x ")
    table = table.assign(
        label=[first.get(one, one) for one, _ in codes],
        block=[second.get(other, other) for _, other in codes],
    )
    return table[table.groupby("block")["estimate"].transform(lambda e: e.notna().any())]


def _gaps(published: Published) -> dict[str, Row]:
    """Return the gap to the nation of every indicator that can be judged."""
    found = {
        name: judged(published.nation(known["item"], published.value_of(name)))
        for name, known in published.indicators.items()
    }
    return {
        name: gap
        for name, gap in found.items()
        if gap and gap["estimate"] == gap["estimate"] and gap["verdict"] != NOT_COMPARABLE
    }


def nation(writer: Writer, **_: Any) -> Iterator[Picture]:
    """Yield the gaps to the nation of every indicator that can be judged."""
    published, gaps = writer.published, _gaps(writer.published)
    if not gaps:
        return
    table = pd.DataFrame(gaps.values())
    context = {"gaps": gaps, "is_aged": all(map(is_aged, gaps.values()))}
    said = words(writer, "nation", n=n_text(table), has_nation=True, **context)
    rows = chart_rows(published, table, labels=map(published.label, gaps))
    sure = table["verdict"].where(table["verdict"].isin([HIGHER, LOWER]), "")  # no ▲: any size
    chart = figures.interval_dots(rows.assign(mark=sure.to_list()), words=said,
                                  unit=FIXED["units"]["points"])  # fmt: skip
    yield Picture(chart, keys_of(gaps.values()))


# --- bars, forest ---------------------------------------------------------------------------------


def answers(writer: Writer, *, item: str, **_: Any) -> Iterator[Picture]:
    """Yield bars of a question with several answers, the most frequent first: not all of many."""
    published = writer.published
    rows = published.gt(item, has_nets=False)
    rows = rows[rows["item_value"] != NO_ANSWER]
    if not visible(rows):
        return
    last = {"other": 1, "exclusive": 2}
    places = [last.get(published.role(item, code), 0) for code in rows["item_value"]]
    rows = rows.iloc[np.lexsort((-rows["estimate"].fillna(-1).to_numpy(float), places))]
    is_answer = rows["item_value"].map(lambda code: published.role(item, code)) == "answer"
    is_drawn = ~is_answer | (is_answer.cumsum() <= MOST_ANSWERS)
    top = records(rows[is_drawn & is_answer])
    has_more, rows = not is_drawn.all(), rows[is_drawn]
    top = [published.answer_label(row) for row in top if not is_hidden(row)][:2]
    context = {"has_more": has_more, "is_ever": item == published.voices.get("ever")}
    said = words(writer, "answers", n=n_text(rows), item=item, top=top, **context)
    labels = map(published.answer_label, records(rows))
    chart = figures.percent_bars(chart_rows(published, rows, labels=labels), words=said)
    yield Picture(chart, keys_of(records(rows)))


def forest(writer: Writer, *, outcome: str, **_: Any) -> Iterator[Picture]:
    """Yield the average marginal effects of a model."""
    published = writer.published
    effects = published.rows(f"model_{outcome}", measure="marginal_effect_points")
    if effects.empty:
        return
    table = chart_rows(
        published, effects, labels=map(published.level_label, records(effects))
    ).assign(
        factor=[published.label(item) for item in effects["item"]],
        is_reference=(effects["mark"] == REFERENCE).to_numpy(bool),
    )
    sure = sure_effects(published, outcome)["item"]
    told = sure.head(MOST_EFFECTS).unique()  # as the sentences do
    context = {"named": [*map(published.label, told)], "more": sure.nunique() > len(told)}
    people = published.rows(f"model_{outcome}", item="model", item_value="n")
    said = words(writer, "forest", n=n_text(people), outcome=outcome, **context)
    yield Picture(figures.forest(table, words=said), keys_of(records(pd.concat([effects, people]))))


FIGURES = {
    make.__name__: make
    for make in (
        distribution, family, indicators, leading_axes, further_axes, nation, answers, forest,
    )
}  # fmt: skip
