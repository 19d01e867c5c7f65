"""What does a table look like: bars, 100 % bars, dots with intervals, forests, flows.

Every function takes a table of labels and numbers and returns a `Chart`. It draws what it is given
and works nothing out. A number that is missing is hidden by the gate: it is shown as x, and a
100 % bar that holds one is left out whole, since its gap would give the number away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from tsunagari.report.charts import (
    COLOURS,
    DRAWN,
    INK,
    MUTED,
    OUTLINE,
    PAPER,
    RULE,
    SMALL_POINTS,
    STAMP,
    TEXT_POINTS,
    UNITS,
    Chart,
    Words,
    alt_text,
    number_text,
    to_svg,
    width_em,
    wrap,
)
from tsunagari.report.texts import FIXED
from tsunagari.statistics.verdicts import ABOVE, BELOW, HIGHER, LOWER

MOST_HIDDEN_ROWS = 2  # a figure with more leaves them out and says how many in its foot
MOST_NAMED = 4  # answers that are named beside their parts; more have a legend

WIDTH_INCHES = 4.4  # of a printed column of 89.5 mm, where 10 pt are then 8 pt
EM_INCHES = TEXT_POINTS / 72
MOST_LEFT = WIDTH_INCHES / 2 - 0.2  # inches of labels: at least half of the width is the plot
BACK = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}  # behind a text: no line crosses it
FOCUS, OTHER = COLOURS["focus"]["light"]
HIGH, LOW = COLOURS["verdicts"]["light"]
NO_ANSWER = COLOURS["no_answer"]["light"][0]


def _chart(
    figure: Figure, kind: str, *, words: Words, data: pd.DataFrame, unit: str, sets: Sequence[str]
) -> Chart:
    """Stamp the drawing itself (a picture may be copied out of the page) and describe it."""
    if words.is_synthetic:
        height = figure.get_figheight()
        box = {"facecolor": PAPER, "edgecolor": STAMP, "pad": 2.5, "linewidth": 1.2}
        figure.text(
            1 - 0.13 / WIDTH_INCHES, 1 - 0.09 / height, FIXED["synthetic"],
            ha="right", va="top", bbox=box, fontsize=SMALL_POINTS, color=INK,
        )  # fmt: skip
    svg = to_svg(figure, sets=tuple(sets), title=words.title)
    alt = alt_text(words, data, kind=DRAWN["kinds"][kind], unit=unit)
    return Chart(svg=svg, alt=alt, words=words, data=data, unit=unit)


# --- rows under headings --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """A figure of rows downwards, labels and n on the left, the drawing area on the right.

    Attributes:
        figure: The figure.
        axes: Its drawing area; its y axis is in inches from the top.
        middles: Height of the middle of every row of the table, shape (n,).
    """

    figure: Figure
    axes: Axes
    middles: np.ndarray

    @property
    def inches(self) -> float:
        """Width of the drawing area."""
        return self.axes.get_position().width * WIDTH_INCHES


Line = tuple[str, int | None]  # text, and position of its row; none is a heading


def _lines(labels: Sequence[str], headings: Sequence[str] | None = None) -> list[Line]:
    """Return the rows, under a heading a block where they have one."""
    if headings is None:
        return [(label, row) for row, label in enumerate(labels)]
    lines: list[Line] = []
    for name, rows in pd.Series(range(len(labels))).groupby(list(headings), sort=False):
        lines += [(name, None), *((labels[row], row) for row in rows)]
    return lines


def _open(
    lines: list[Line], *, words: Words, n: pd.Series | None, label_em: float = 11,
    row_inches: float = 0.24, top: float = 0.0,
) -> _Rows:  # fmt: skip
    """Open a figure with one line a row; n stands beside the label where it differs."""
    lines = lines or [(DRAWN["no_level"], None)]
    bases = [] if n is None or n.nunique() < 2 else n.tolist()
    texts = [f"n={base:,.0f}" if base == base else "" for base in bases]
    n_inches = max((width_em(text) for text in texts), default=0) * SMALL_POINTS / 72
    n_inches += 0.1 * bool(texts)
    em = min(label_em, (MOST_LEFT - 0.2 - n_inches) / EM_INCHES)
    wrapped = [wrap(str(text), em=30 if row is None else em) for text, row in lines]
    heights = np.array([text.count("\n") + 1 for text in wrapped]) * EM_INCHES * 1.25 + 0.09
    heights = np.maximum(heights, [0.25 if row is None else row_inches for _, row in lines])
    rows = [text for text, (_, row) in zip(wrapped, lines, strict=True) if row is not None]
    widest = max((width_em(line) for text in rows for line in text.split("\n")), default=4)
    left = min(widest * EM_INCHES + 0.2 + n_inches, MOST_LEFT)
    above, below = 0.12 + 0.24 * words.is_synthetic + top, 0.34
    height = heights.sum() + above + below
    figure = Figure(figsize=(WIDTH_INCHES, height))
    box = (left / WIDTH_INCHES, below / height, 1 - (left + 0.2) / WIDTH_INCHES)
    axes = figure.add_axes((*box, heights.sum() / height))
    axes.set_ylim(heights.sum(), 0)
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0, labelsize=SMALL_POINTS)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.set_axisbelow(True)
    middles = heights.cumsum() - heights / 2
    places = np.zeros(sum(row is not None for _, row in lines))
    for text, (_, row), middle, tall in zip(wrapped, lines, middles, heights, strict=True):
        y = 1 - (above + middle) / height
        indent = 0.08 + 0.1 * (row is not None and len(places) < len(lines))
        figure.text(indent / WIDTH_INCHES, y, text, va="center", linespacing=1.2)
        if row is None:
            edge = y + tall / 2 / height
            figure.add_artist(Line2D([0.08 / WIDTH_INCHES, 1 - 0.2 / WIDTH_INCHES], [edge, edge],
                                     color=OUTLINE, linewidth=0.8))  # fmt: skip
            continue
        places[row] = middle
        if texts:
            figure.text((left - 0.08) / WIDTH_INCHES, y, texts[row], ha="right", va="center",
                        fontsize=SMALL_POINTS, color=MUTED)  # fmt: skip
    return _Rows(figure, axes, places)


def _without_hidden(table: pd.DataFrame, words: Words) -> tuple[pd.DataFrame, Words]:
    """Leave out labels that hold nothing but hidden numbers where they are many; say so."""
    names = [name for name in ("block", "label") if name in table]
    seen = table.groupby(names, sort=False)["estimate"].transform(lambda e: e.notna().any())
    n_left_out = len(table.loc[~seen, names].drop_duplicates())
    if n_left_out <= MOST_HIDDEN_ROWS or not seen.any():
        return table.reset_index(drop=True), words
    text = DRAWN["n_left_out"].format(n=n_left_out)
    words = replace(words, foot=(words.foot + text).strip())
    return table[seen].reset_index(drop=True), words


def _row_texts(table: pd.DataFrame, *, decimals: int = 1, is_signed: bool = False) -> list[str]:
    """Return each number with its mark as a sign and a word, or its verdict: no colour alone."""
    digits = table["decimals"] if "decimals" in table else pd.Series(decimals, index=table.index)
    marks = table["mark"].fillna("").astype(str) if "mark" in table else [""] * len(table)
    signs = DRAWN["signs"]
    return [
        DRAWN["hidden"]
        if np.isnan(value)
        else number_text(value, decimals=int(places), is_signed=is_signed)
        + (f" {mark}" if mark in (HIGHER, LOWER) else "".join(signs.get(s, s) for s in mark))
        for value, places, mark in zip(table["estimate"], digits, marks, strict=True)
    ]


def _bound(table: pd.DataFrame, name: str) -> np.ndarray:
    """Return an interval's end, or the estimate where the table has none."""
    ends = table[name] if name in table else table["estimate"]
    return ends.fillna(table["estimate"]).to_numpy(float)


def _scale(place: _Rows, ends: np.ndarray, texts: list[str], *, low: float) -> None:
    """Set the x axis so that every text has room behind its row's end."""
    room = place.inches - 0.1 - np.array([width_em(text) for text in texts]) * SMALL_POINTS / 72
    spans = (np.nan_to_num(ends, nan=low) - low) * place.inches / np.maximum(room, 0.3)
    high = low + float(spans.max(initial=1e-9))
    place.axes.set_xlim(low - (high - low) * 0.02 * (low < 0), high)
    place.axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    place.axes.grid(visible=True, axis="x", color=RULE, linewidth=0.7)
    place.axes.axvline(0, color=OUTLINE, linewidth=1.0)


def _say(place: _Rows, text: str, *, x: float, row: int) -> None:
    place.axes.annotate(text, (x, place.middles[row]), xytext=(5, 0), textcoords="offset points",
                        va="center", fontsize=SMALL_POINTS, annotation_clip=False,
                        color=INK, bbox=BACK)  # fmt: skip


# --- bars -----------------------------------------------------------------------------------------


def percent_bars(table: pd.DataFrame, *, words: Words) -> Chart:
    """Draw one horizontal bar a row, with its interval.

    Args:
        table: Columns `label`, `estimate`, optional `lower`, `upper`, `n`, `mark` (after the
            number), `decimals`; in the order drawn, shape (n, any). A missing estimate is hidden.
        words: Title, subtitle, foot.

    Returns:
        The chart.
    """
    table, words = _without_hidden(table, words)
    place = _open(_lines(table["label"].tolist()), words=words, n=table.get("n"), label_em=13)
    estimate, texts = table["estimate"].to_numpy(float), _row_texts(table)
    lower, upper = _bound(table, "lower"), _bound(table, "upper")
    rows, ends = place.middles, np.fmax(estimate, upper)
    _scale(place, ends, texts, low=0.0)
    place.axes.barh(rows, np.nan_to_num(estimate), height=0.2, color=FOCUS)
    has_interval = (upper > lower) & ~np.isnan(estimate)
    for colour, width in ((PAPER, 3.2), (INK, 1.2)):  # seen on the bar and beside it
        place.axes.hlines(rows[has_interval], lower[has_interval], upper[has_interval],
                          color=colour, linewidth=width)  # fmt: skip
    for row, text in enumerate(texts):
        _say(place, text, x=float(np.nan_to_num(ends[row])), row=row)
    return _chart(place.figure, "bars", words=words, data=table, unit=UNITS["percent"],
                  sets=["focus"])  # fmt: skip


def distribution_bars(table: pd.DataFrame, *, words: Words) -> Chart:
    """Draw upright bars of a distribution in bins, such as weights; never single persons.

    Args:
        table: Columns `label` (the bin) and `estimate` (people), in order; bins that the gate hid
            have no estimate.
        words: Title, subtitle, foot.

    Returns:
        The chart.
    """
    height = 2.8 + 0.24 * words.is_synthetic
    figure = Figure(figsize=(WIDTH_INCHES, height))
    axes = figure.add_axes((0.04, 0.62 / height, 0.93, 1.85 / height))
    heights = np.nan_to_num(table["estimate"].to_numpy(float))
    places = np.arange(len(table))
    sns.barplot(x=places, y=heights, width=0.86, color=FOCUS, saturation=1, errorbar=None, ax=axes)
    for x, (value, text) in enumerate(zip(heights, _row_texts(table, decimals=0), strict=True)):
        short = "x" if text == DRAWN["hidden"] else text
        axes.annotate(short, (x, value), xytext=(0, 3), textcoords="offset points", ha="center",
                      fontsize=SMALL_POINTS)  # fmt: skip
    em = 0.93 * WIDTH_INCHES / max(len(table), 1) / EM_INCHES
    axes.set_xticks(places, [wrap(str(label), em=max(em - 0.3, 2)) for label in table["label"]])
    axes.tick_params(axis="x", length=0, labelsize=SMALL_POINTS, colors=INK)
    axes.set_yticks([])
    axes.set_ylim(0, max(heights.max(initial=0), 1e-9) * 1.12)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(OUTLINE)
    data = table.assign(decimals=0)
    return _chart(figure, "upright_bars", words=words, data=data, unit=UNITS["persons"],
                  sets=["focus"])  # fmt: skip


# --- 100 % bars -----------------------------------------------------------------------------------


def stacked_bars(table: pd.DataFrame, *, words: Words, grey: tuple[str, ...]) -> Chart:
    """Draw one 100 % bar a group; a group with a hidden answer is left out and named below.

    Where only the share without an answer is hidden, the bar holds the answers alone and fills the
    width, so that no gap shows what is hidden; the foot says so.

    Args:
        table: Columns `group`, `category`, `estimate` in percent, optional `block` (a heading over
            groups), `n`, `decimals`; groups and categories in the order drawn, one row a pair.
        words: Title, subtitle, foot.
        grey: Categories that are no answer and are hatched.

    Returns:
        The chart; its foot says which groups are left out.
    """
    bars = ["block", "group"] if "block" in table else ["group"]
    is_hidden = table["estimate"].isna() & ~table["category"].isin(grey)
    gone = is_hidden.groupby([table[name] for name in bars]).transform("any")
    if left_out := table.loc[gone, "group"].drop_duplicates().tolist():
        text = DRAWN["left_out"].format(names="、".join(left_out))
        words = replace(words, foot=(words.foot + text).strip())
    shown = table[~gone]
    is_seen = shown.groupby("category")["estimate"].transform(lambda e: e.notna().any())
    categories = shown.loc[is_seen, "category"].drop_duplicates().tolist()
    sets, colours = _category_colours([name for name in categories if name not in grey])
    parts = [own for _, own in shown.groupby(bars, sort=False)]
    if any(own["estimate"].isna().any() or abs(own["estimate"].sum() - 100) > 0.6 for own in parts):
        words = replace(words, foot=(words.foot + DRAWN["no_scale"]).strip())
    heads = pd.DataFrame([own.iloc[0] for own in parts], columns=table.columns)
    is_named = len(categories) <= MOST_NAMED and _fits(categories)
    columns = max(1, min(4, int((WIDTH_INCHES - 0.2) / ((_widest(categories) + 2.4) * EM_INCHES))))
    top = 0.5 if is_named else 0.235 * -(-len(categories) // columns) + 0.05
    headings = heads["block"].tolist() if "block" in heads else None
    place = _open(_lines(heads["group"].tolist(), headings), words=words, n=heads.get("n"),
                  label_em=10, row_inches=0.42, top=top)  # fmt: skip
    place.axes.set_xlim(0, 100)
    place.axes.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100%"])
    middles = [_stack(place, own, row=row, colours=colours) for row, own in enumerate(parts)]
    if is_named and parts:
        _name_parts(place, categories, middles[0])
    elif parts:
        _legend(place.figure, categories, colours, columns=columns, words=words)
    data = table.rename(columns={"category": "label", "group": "series"})
    return _chart(place.figure, "stacked", words=words, data=data, unit=UNITS["percent"],
                  sets=[sets])  # fmt: skip


def _category_colours(names: list[str]) -> tuple[str, dict[str, str]]:
    """Return the set and the colours of ordered answers, the first the deepest."""
    chosen = "ordered" if len(names) <= len(COLOURS["ordered"]["light"]) else "ordered_long"
    known = COLOURS[chosen]["light"]
    steps = np.linspace(0, len(known) - 1, max(len(names), 2)).round().astype(int)
    return chosen, {name: known[step] for name, step in zip(names, steps, strict=False)}


def _label_colour(background: str) -> str:
    """Return white or ink, whichever has the higher contrast (WCAG 2.2)."""
    parts = np.array(mpl.colors.to_rgb(background))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return PAPER if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.06 else INK


def _stack(
    place: _Rows, parts: pd.DataFrame, *, row: int, colours: dict[str, str]
) -> dict[str, tuple[float, bool]]:
    """Draw a bar; return of every part its middle and whether its number stands above it."""
    axes, y, start, last_above = place.axes, place.middles[row], 0.0, -100.0
    middles: dict[str, tuple[float, bool]] = {}
    values = parts["estimate"].fillna(0).to_numpy(float)
    texts = _row_texts(parts.assign(mark=""))
    for name, value, text in zip(parts["category"], values, texts, strict=True):
        middles[name] = start, False
        if not value:
            continue
        width = value / values.sum() * 100  # rounded parts may miss 100 by a tenth
        colour = colours.get(name, NO_ANSWER)
        hatch, back = (None, None) if name in colours else ("////", BACK)
        axes.add_patch(Rectangle((start, y - 0.09), width, 0.22, facecolor=colour, linewidth=0,
                                 edgecolor=OUTLINE, hatch=hatch))  # fmt: skip
        need = (width_em(text) * SMALL_POINTS / 72 + 0.06) * 100 / place.inches
        middle = start + width / 2
        if width > need:
            axes.text(middle, y + 0.022, text, ha="center", va="center", fontsize=SMALL_POINTS,
                      color=INK if back else _label_colour(colour), bbox=back)  # fmt: skip
        elif is_above := value >= 1 and middle - last_above > need:
            axes.text(middle, y - 0.11, text, ha="center", va="bottom", fontsize=SMALL_POINTS)
            last_above = middle
        middles[name] = middle, width <= need and bool(is_above)
        start += width
        if start < 99.99:
            axes.vlines(start, y - 0.09, y + 0.13, color=PAPER, linewidth=1.4)
    axes.add_patch(Rectangle((0, y - 0.09), 100, 0.22, fill=False, edgecolor=OUTLINE, linewidth=0.8,
                             clip_on=False))  # fmt: skip
    return middles


def _widest(names: list[str]) -> float:
    return max((width_em(str(name)) for name in names), default=1)


def _fits(names: list[str]) -> bool:
    return sum(width_em(name) + 1 for name in names) * EM_INCHES < WIDTH_INCHES - 0.2


def _name_parts(place: _Rows, names: list[str], middles: dict[str, tuple[float, bool]]) -> None:
    """Write the answers over the first bar, each with a line to its part."""
    left = place.axes.get_position().x0 * WIDTH_INCHES
    targets = [left + middles[name][0] / 100 * place.inches for name in names]
    widths = [(width_em(name) + 1) * EM_INCHES for name in names]
    xs: list[float] = []
    for target, width in zip(targets, widths, strict=True):
        xs.append(max(target, (xs[-1] + (widths[len(xs) - 1] + width) / 2) if xs else width / 2))
    right = WIDTH_INCHES - 0.02
    for place_, width in reversed(list(enumerate(widths))):  # back from the right edge
        xs[place_] = min(xs[place_], right - width / 2)
        right = xs[place_] - width / 2
    height = place.figure.get_figheight()
    for name, x, target in zip(names, xs, targets, strict=True):
        bar = place.axes.get_position().y1 - (place.middles[0] - 0.1) / height
        bar += 0.19 / height * middles[name][1]
        text_y = place.axes.get_position().y1 + 0.32 / height
        place.figure.text(x / WIDTH_INCHES, text_y, name, ha="center", va="center")
        ends = [x / WIDTH_INCHES, target / WIDTH_INCHES], [text_y - 0.1 / height, bar]
        place.figure.add_artist(Line2D(*ends, color=OUTLINE, linewidth=0.8))


def _legend(
    figure: Figure, names: list[str], colours: dict[str, str], *, columns: int, words: Words
) -> None:  # fmt: skip
    """Draw the legend row by row (matplotlib's own runs down the columns)."""
    height = figure.get_figheight()
    step = (WIDTH_INCHES - 0.2) / columns
    for index, name in enumerate(names):
        x = 0.1 + (index % columns) * step
        y = height - 0.24 * words.is_synthetic - 0.2 - 0.235 * (index // columns)
        box = (x / WIDTH_INCHES, (y - 0.07) / height), 0.15 / WIDTH_INCHES, 0.14 / height
        figure.add_artist(
            Rectangle(*box, facecolor=colours.get(name, NO_ANSWER), edgecolor=OUTLINE,
                      linewidth=0.8, hatch=None if name in colours else "////",
                      transform=figure.transFigure)
        )  # fmt: skip
        figure.text((x + 0.21) / WIDTH_INCHES, y / height, name, va="center")


# --- dots with intervals --------------------------------------------------------------------------


def interval_dots(
    table: pd.DataFrame,
    *,
    words: Words,
    unit: str = UNITS["percent"],
    reference: float | None = None,
    reference_label: str = "",
    label_em: float = 11,
    colours: str = "focus",
) -> Chart:
    """Draw a dot with its interval for every row, in small multiples on one axis.

    Args:
        table: Columns `label`, `estimate`, `lower`, `upper`, optional `block` (a heading over
            labels), `series` (two to four rows a label), `n`, `mark`, `decimals`; in the order
            drawn. A missing estimate is hidden and drawn as x.
        words: Title, subtitle, foot.
        unit: Unit of the numbers; points carry their sign.
        reference: A value drawn as a dashed line, such as that of everybody.
        reference_label: Its name.
        label_em: Width at which labels break.
        colours: Of two series: "focus" (the first against another) or "equal".

    Returns:
        The chart.
    """
    table, words = _without_hidden(table, words)
    series = table["series"].unique().tolist() if "series" in table else []
    headings, labels = table.get("block"), table["label"]
    if len(series) > 1:
        order = table["label"].map({name: n for n, name in enumerate(labels.unique())})
        table = table.iloc[np.argsort(order.to_numpy(), kind="stable")].reset_index(drop=True)
        headings, labels = table["label"], table["series"]
    lines = _lines(labels.tolist(), None if headings is None else headings.tolist())
    place = _open(lines, words=words, n=table.get("n"), label_em=label_em,
                  top=0.2 * bool(reference_label))  # fmt: skip
    lower, upper = _bound(table, "lower"), _bound(table, "upper")
    texts = _row_texts(table, is_signed=unit == UNITS["points"])
    low = min(float(np.nanmin([*lower, 0.0])), 0.0)
    ends = np.fmax(upper, table["estimate"].to_numpy(float))
    last = np.nan if reference is None else reference
    _scale(place, np.append(ends, last), [*texts, ""], low=low)
    sets = colours if len(series) == 2 else "regions"
    for row, value in enumerate(table["estimate"]):
        if np.isnan(value):
            _say(place, texts[row], x=0.0, row=row)
            continue
        style = _mark_style(table, row)
        if len(series) > 1:
            style = _series_style(table["series"][row], series, sets)
        _dot(place, (lower[row], value, upper[row]), row=row, style=style)
        _say(place, texts[row], x=ends[row], row=row)
    if reference is not None:
        _reference_line(place, reference, reference_label)
    used = (sets, "focus") if len(series) > 1 else ("focus", "verdicts")
    return _chart(place.figure, "dots", words=words, data=table, unit=unit, sets=used)


Style = tuple[str, str, bool]  # colour, marker, whether it is open


def _series_style(name: str, series: list[str], chosen: str) -> Style:
    position = series.index(name) % 4
    is_pair = chosen != "regions"
    marker = "o" if is_pair else "oD^s"[position]
    return COLOURS[chosen]["light"][position], marker, is_pair and position == 1


def _mark_style(table: pd.DataFrame, row: int) -> Style:
    """Return the style of a row: filled when high, open when low, grey where nothing is sure."""
    if "mark" not in table:
        return FOCUS, "o", False
    mark = table["mark"].fillna("")[row]
    if ABOVE in mark or mark == HIGHER:
        return HIGH, "o", False
    return (LOW, "o", True) if BELOW in mark or mark == LOWER else (OTHER, "o", False)


def _dot(place: _Rows, points: tuple[float, float, float], *, row: int, style: Style) -> None:
    colour, marker, is_open = style
    lower, estimate, upper = points
    y = place.middles[row]
    place.axes.hlines([y], lower, upper, color=colour, linewidth=2.5)
    place.axes.plot([estimate], [y], linestyle="none", marker=marker, markersize=7, color=colour,
                    markerfacecolor=PAPER if is_open else colour,
                    markeredgecolor=colour if is_open else PAPER,
                    markeredgewidth=1.8 if is_open else 0.7, clip_on=False)  # fmt: skip


def _reference_line(place: _Rows, value: float, label: str) -> None:
    """Draw a dashed line with its name above it."""
    place.axes.axvline(value, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0.5)
    if not label:
        return
    box, height = place.axes.get_position(), place.figure.get_figheight()
    low, high = place.axes.get_xlim()
    text = f"{label} {number_text(value)}"
    half = width_em(text) * SMALL_POINTS / 72 / 2
    x = box.x0 * WIDTH_INCHES + (value - low) / (high - low) * place.inches
    x = min(max(x, half), WIDTH_INCHES - half - 0.02)
    place.figure.text(x / WIDTH_INCHES, box.y1 + 0.11 / height, text, ha="center", va="center",
                      fontsize=SMALL_POINTS)  # fmt: skip


def forest(table: pd.DataFrame, *, words: Words) -> Chart:
    """Draw average marginal effects in points with their intervals, under one heading a factor.

    Args:
        table: Columns `factor`, `label`, `estimate`, `lower`, `upper`, `is_reference`, optional
            `mark`, `n`, `key`; factors and levels in the order drawn. A missing estimate is hidden;
            a reference level stands at 0 without an interval.
        words: Title, subtitle, foot.

    Returns:
        The chart.
    """
    is_base = table["is_reference"].to_numpy(bool)
    label = table["label"] + np.where(is_base, DRAWN["reference"], "")
    rows = table.assign(
        block=table["factor"],
        label=label,
        estimate=table["estimate"].where(~is_base, 0.0),
        mark=table["mark"].where(~is_base, "") if "mark" in table else "",
    )
    return interval_dots(rows, words=words, unit=UNITS["points"], label_em=13)


# --- over time, and what leads to what ------------------------------------------------------------


def over_time(table: pd.DataFrame, *, words: Words, dates: pd.DataFrame) -> Chart:
    """Draw monthly series, named at their ends, with dated events as numbered lines.

    Args:
        table: Index month (Timestamp), one column a series in the order drawn, named as shown. A
            missing number is hidden and leaves a gap.
        words: Title, subtitle, foot.
        dates: Columns `date` (Timestamp) and `label`; may have no rows.

    Returns:
        The chart.
    """
    top = 0.3 + 0.24 * words.is_synthetic
    names = [wrap(str(name), em=9) for name in table]
    right = max(width_em(line) for name in names for line in name.split("\n")) * EM_INCHES + 0.2
    height = top + 2.64
    width = 0.88 - right / WIDTH_INCHES
    figure = Figure(figsize=(WIDTH_INCHES, height))
    axes = figure.add_axes((0.12, 0.5 / height, width, 2.1 / height))
    most = float(np.nanmax(table.to_numpy(float), initial=1)) * 1.1
    styles = zip(table.columns, COLOURS["regions"]["light"], "oD^s", ("-", "--", ":", "-"),
                 strict=False)  # fmt: skip
    ends = []
    for name, colour, marker, line in styles:
        axes.plot(table.index, table[name], color=colour, marker=marker, markersize=5,
                  linestyle=line, linewidth=2)  # fmt: skip
        known = table[name].dropna()
        ends.append(known.iloc[-1] / most * 2.1 if len(known) else 0.0)
    heights = np.array(ends)
    order = np.argsort(heights)
    for below, above in pairwise(order):  # names do not cover each other
        lines = (names[below].count("\n") + names[above].count("\n") + 2) / 2
        heights[above] = max(heights[above], heights[below] + lines * EM_INCHES * 1.3)
    for name, y in zip(names, heights, strict=True):
        axes.annotate(name, (1, y / 2.1), xycoords="axes fraction", xytext=(6, 0), va="center",
                      textcoords="offset points", annotation_clip=False)  # fmt: skip
    for date in dates["date"]:
        axes.axvline(date, color=MUTED, linewidth=0.9, linestyle="--", zorder=0)
    first, last = axes.get_xlim()
    points = 72 * WIDTH_INCHES * width * (date2num(dates["date"]) - first) / (last - first)
    placed = -np.inf
    for number, (date, x) in enumerate(zip(dates["date"], points, strict=True), start=1):
        placed = max(x, placed + 0.85 * SMALL_POINTS)  # numbers do not cover each other
        axes.annotate(str(number), (date, 1), xycoords=("data", "axes fraction"), ha="center",
                      xytext=(placed - x, 2), textcoords="offset points",
                      fontsize=SMALL_POINTS)  # fmt: skip
    axes.set_xlim(first, last)
    axes.set_ylim(0, most)
    shown, month, year = table.index[::2], DRAWN["month"], DRAWN["year"]
    is_new = np.r_[True, shown.year[1:] != shown.year[:-1]]
    axes.set_xticks(shown, [f"{day.month}{month}" + f"\n{day.year}{year}" * bool(new)
                            for day, new in zip(shown, is_new, strict=True)])  # fmt: skip
    axes.grid(visible=True, axis="y", color=RULE, linewidth=0.7)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, labelsize=SMALL_POINTS)
    events = "、".join(f"{n} {label}" for n, label in enumerate(dates["label"], start=1))
    words = replace(words, foot="。".join(filter(None, [words.foot.rstrip("。"), events])))
    data = pd.DataFrame(
        {"label": f"{month:%Y-%m}", "series": name, "estimate": table.loc[month, name]}
        for name in table
        for month in table.index
    )
    return _chart(figure, "over_time", words=words, data=data.assign(decimals=0), unit="",
                  sets=["regions"])  # fmt: skip


def network(nodes: pd.DataFrame, edges: pd.DataFrame, *, words: Words) -> Chart:
    """Draw what leads to what, in layers from top to bottom.

    Args:
        nodes: Columns `name`, `label`, `layer` (0 at the top).
        edges: Columns `from`, `to` (names) and `label`, which may be "".
        words: Title, subtitle, foot.

    Returns:
        The chart; its alternative text says every link.
    """
    layers = [part for _, part in nodes.groupby("layer")]
    row, top = 1.25, 0.12 + 0.24 * words.is_synthetic
    height = top + row * len(layers)
    figure = Figure(figsize=(WIDTH_INCHES, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, WIDTH_INCHES), ylim=(height, 0))
    boxes: dict[str, tuple[float, float, float]] = {}
    box = {"facecolor": PAPER, "edgecolor": FOCUS, "boxstyle": "square,pad=0.35"}
    for number, part in enumerate(layers):
        room = WIDTH_INCHES / len(part)
        for place, (name, label) in enumerate(zip(part["name"], part["label"], strict=True)):
            text = wrap(label, em=(room - 0.25) / EM_INCHES)
            half = (text.count("\n") + 1) * EM_INCHES * 0.65 + 0.07
            boxes[name] = x, y, half = (place + 0.5) * room, top + row * (number + 0.4), half
            axes.text(x, y, text, ha="center", va="center", bbox=box, fontsize=SMALL_POINTS)
    depth, names = nodes.set_index("name")["layer"], nodes.set_index("name")["label"]
    links = []
    for start, end, label in zip(edges["from"], edges["to"], edges["label"], strict=True):
        links.append(f"{names[start]} → {names[end]}" + (f"（{label}）" if label else ""))
        (x1, y1, half1), (x2, y2, half2) = boxes[start], boxes[end]
        y1, y2, span = y1 + half1, y2 - half2, max(depth[end] - depth[start], 1)
        # A link over several layers bends outwards, round the boxes between.
        bend = min(0.4 * span - 0.5, 0.7) if span > 1 else 0.0
        bend *= 1 if x1 + x2 <= WIDTH_INCHES else -1
        style = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0,
                 "connectionstyle": f"arc3,rad={bend}"}  # fmt: skip
        axes.annotate("", (x2, y2), xytext=(x1, y1), arrowprops=style, zorder=0)
        if label:  # half way, of a bent link on its curve
            x = (x1 + x2) / 2 - bend * (y2 - y1) / 2
            y = (y1 + y2) / 2 + bend * (x2 - x1) / 2
            axes.text(x, y, label, ha="center", va="center", fontsize=SMALL_POINTS,
                      bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1})  # fmt: skip
    data = pd.DataFrame({"label": links})
    return _chart(figure, "network", words=words, data=data, unit="", sets=["focus"])
