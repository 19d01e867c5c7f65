"""What does a table look like: bars, 100 % bars, dots with intervals, forests, with alt text.

Every function takes a table of labels and numbers and returns a `Chart`. It draws what it is given
and works nothing out. A number that is missing is hidden by the gate: it is shown as x, and a
100 % bar that holds one is left out whole, since its gap would give the number away.
"""

from __future__ import annotations

import base64
import html
import io
import re
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib_fontja import get_font_ttf_path

from tsunagari.errors import ConfigError
from tsunagari.report.texts import FIXED

UNITS, DRAWN = FIXED["units"], FIXED["drawing"]
MOST_HIDDEN_ROWS = 2  # a figure with more leaves them out and says how many in its foot

WIDTH_INCHES = 4.8  # on a 390 px phone, where a figure is 375 px wide, 10 pt is then 10.8 px high
TEXT_POINTS = 10.5
SMALL_POINTS = 10.0
EM_INCHES = TEXT_POINTS / 72

INK, GREY, RULE, PAPER = "#1a1a1a", "#595959", "#d0d4d9", "#ffffff"
# Okabe and Ito (2008), darkened where the contrast with white was under 3 : 1; shapes differ too.
SERIES_COLOURS = ("#0b5a8c", "#c2500a", "#00735a", "#7a4a7a")
SERIES_MARKERS = ("o", "D", "s", "^")
# One hue from dark to light, so that the order survives colour blindness and a grey printer.
ORDERED_COLOURS = ("#0a3d62", "#2f6f9f", "#74a5cb", "#b4cfe4", "#dfeaf3", "#eef3f7", "#f7f9fb")
NO_ANSWER_COLOUR = "#c9c9c9"


# --- the chart ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Words:
    """What stands around a drawing.

    Attributes:
        title: States the finding; names the measure where there is none.
        subtitle: Measure, unit and population.
        foot: n, the interval and the source.
        number: Number of the figure, such as "図3"; may be empty.
        is_synthetic: Whether the banner stands on it.
    """

    title: str
    subtitle: str = ""
    foot: str = ""
    number: str = ""
    is_synthetic: bool = False


@dataclass(frozen=True)
class Chart:
    """A drawing with its words; notebooks and pages show it as an HTML figure.

    Attributes:
        svg: The drawing, text as glyph outlines, no metadata; the same input gives the same bytes.
        alt: What the drawing shows, in words, from the same numbers.
        words: Title, subtitle and foot.
    """

    svg: str
    alt: str
    words: Words

    def to_html(self, *, rows: Sequence[str] = ()) -> str:
        """Return the <figure> with the drawing as a data URI.

        Args:
            rows: Keys of the rows of estimates.csv that it shows.
        """
        words, data = self.words, base64.b64encode(self.svg.encode()).decode()
        stamp = f'<span class="stamp">{FIXED["synthetic"]}</span> ' if words.is_synthetic else ""
        number = f'<span class="number">{html.escape(words.number)}</span> ' if words.number else ""
        width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', self.svg).groups()
        parts = [
            f'<figcaption>{stamp}<span class="title">{number}{html.escape(words.title)}</span>'
            f'<span class="subtitle">{html.escape(words.subtitle)}</span></figcaption>',
            f'<img src="data:image/svg+xml;base64,{data}" alt="{html.escape(self.alt)}" '
            f'width="{round(float(width) * 4 / 3)}" height="{round(float(height) * 4 / 3)}">',
            f'<p class="note">{html.escape(words.foot)}</p>' if words.foot else "",
        ]
        shown = f' data-row="{";".join(rows)}"' if rows else ""
        return f'<figure class="chart"{shown}>{"".join(parts)}</figure>'

    def _repr_html_(self) -> str:
        # A notebook has none of the page's style: title and subtitle stand on lines of their own.
        title, subtitle = '<span class="title"', '<span class="subtitle"'
        shown = self.to_html().replace(title, f'{title} style="font-weight: 700"')
        return shown.replace(subtitle, f"<br>{subtitle}")


@lru_cache(maxsize=1)
def _font_family() -> str:
    """Register the Japanese font that comes with the environment and return its name."""
    path = get_font_ttf_path()
    font_manager.fontManager.addfont(path)
    return font_manager.FontProperties(fname=path).get_name()


def _style() -> dict[str, Any]:
    return sns.axes_style("white") | {
        "font.family": _font_family(),
        "font.size": TEXT_POINTS,
        "axes.unicode_minus": False,
        "svg.fonttype": "path",
        "svg.hashsalt": "tsunagari",
        "text.color": INK,
        "axes.edgecolor": RULE,
        "axes.labelcolor": INK,
        "xtick.color": GREY,
        "ytick.color": INK,
    }


def to_svg(figure: Figure) -> str:
    """Return a figure as SVG text: glyph outlines, fixed ids, no metadata, no external address.

    Raises:
        ConfigError: A label holds a character that the font lacks (it would be an empty box).
    """
    target = io.BytesIO()
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a label's $ is a dollar, no formula
    with warnings.catch_warnings(record=True) as caught, mpl.rc_context(_style()):
        warnings.simplefilter("always")
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(target, metadata=metadata)
    missing = [str(each.message) for each in caught if "missing from" in str(each.message)]
    if missing:
        points = sorted({int(n) for text in missing for n in re.findall(r"Glyph (\d+)", text)})
        names = ", ".join(f"U+{point:04X}" for point in points)
        raise ConfigError("GLYPH_MISSING", names=names)
    text = target.getvalue().decode()
    text = re.sub(r"<\?xml.*?\?>\s*|<!DOCTYPE.*?>\s*|<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg )(.*?)width="[^"]*"', r"\1\2", text, count=1)
    return re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", text, count=1)


def _chart(figure: Figure, *, words: Words, alt: str) -> Chart:
    prefix = DRAWN["synthetic"] if words.is_synthetic else ""
    return Chart(svg=to_svg(figure), alt=prefix + alt, words=words)


# --- words and sizes ------------------------------------------------------------------------------


def width_em(text: str) -> float:
    """Return the width of a text in em: 1 for a full-width character, about a half for others."""
    wide = sum(unicodedata.east_asian_width(character) in "WFA" for character in text)
    return wide + 0.55 * (len(text) - wide)


def wrap(text: str, *, em: float) -> str:
    """Break a Japanese label into lines of at most `em`, none begins with a closing mark."""
    if "：" in text[:-1] and width_em(text) > em:
        heading, _, rest = text.partition("：")
        return f"{wrap(heading + '：', em=em)}\n{wrap(rest, em=em)}"
    n_lines = max(int(np.ceil(width_em(text) / em)), 1)
    em = min(em, width_em(text) / n_lines + 0.6)  # lines of about the same length
    lines, line = [], ""
    for character in text:
        is_closing = character in "、。，．）」』】・：；？！ー〜ょゃゅっァィゥェォャュョッ"
        if line and width_em(line + character) > em and not is_closing:
            kept = line.rstrip("（「『【［")  # an opening mark goes with what it opens
            lines.append(kept or line)
            line = line[len(kept) :] if kept else ""
        line += character
    return "\n".join([*lines, line])


@dataclass(frozen=True)
class _Layout:
    """A figure whose drawing area is measured in inches downwards.

    Attributes:
        figure: The figure.
        axes: Its drawing area.
        middles: Height of every row's middle, inches from the top, shape (n,).
    """

    figure: Figure
    axes: Axes
    middles: np.ndarray


def _layout(
    labels: list[str], *, row_inches: float, label_em: float, top: float, right: float = 0.2
) -> _Layout:
    """Open a figure with one row a label, the labels on the left, wrapped."""
    wrapped = [wrap(str(label), em=label_em) for label in labels]
    lines = np.array([text.count("\n") + 1 for text in wrapped], dtype=float)
    heights = np.maximum(row_inches, lines * EM_INCHES * 1.25 + 0.09)
    widest = max((width_em(line) for text in wrapped for line in text.split("\n")), default=4)
    left, bottom = widest * EM_INCHES + 0.2, 0.34
    height = heights.sum() + top + bottom
    figure = Figure(figsize=(WIDTH_INCHES, height))
    box = (left / WIDTH_INCHES, bottom / height)
    size = (1 - (left + right) / WIDTH_INCHES, heights.sum() / height)
    axes = figure.add_axes((*box, *size))
    middles = heights.cumsum() - heights / 2
    axes.set_ylim(heights.sum(), 0)
    axes.set_yticks(middles, wrapped)
    axes.tick_params(axis="y", length=0, pad=5)
    axes.tick_params(axis="x", length=0, labelsize=SMALL_POINTS)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_axisbelow(True)
    return _Layout(figure, axes, middles)


def _stamp(figure: Figure, words: Words) -> None:
    """Put the banner on the drawing itself: a picture may be copied out of the page."""
    if words.is_synthetic:
        height = figure.get_figheight()
        x, y = 1 - 0.13 / WIDTH_INCHES, 1 - 0.09 / height
        box = {"facecolor": "#fff3cd", "edgecolor": "#8a6d00", "pad": 2.5, "linewidth": 0.8}
        figure.text(
            x, y, FIXED["synthetic"], ha="right", va="top", bbox=box,
            fontsize=SMALL_POINTS, color="#5c4700",
        )  # fmt: skip


def _top(words: Words, *, legend_rows: int = 0, is_beside: bool = False) -> float:
    """Return the inches above the drawing: the stamp, then the legend or the legend beside it."""
    stamp = 0.24 * words.is_synthetic
    if is_beside:
        return 0.12 + max(stamp, 0.235 * legend_rows) + 0.06
    return 0.12 + stamp + 0.235 * legend_rows


def _without_hidden(table: pd.DataFrame, words: Words) -> tuple[pd.DataFrame, Words]:
    """Leave out labels that hold nothing but hidden numbers where they are many; say so."""
    is_seen = table.groupby("label", sort=False)["estimate"].transform(lambda e: e.notna().any())
    left_out = table.loc[~is_seen, "label"].drop_duplicates().tolist()
    if len(left_out) <= MOST_HIDDEN_ROWS or not is_seen.any():
        return table.reset_index(drop=True), words
    text = DRAWN["n_left_out"].format(n=len(left_out))
    words = replace(words, foot=(words.foot + text).strip())
    return table[is_seen].reset_index(drop=True), words


def _figure_text(number: float, *, decimals: int = 1, is_signed: bool = False) -> str:
    text = f"{number:{'+' if is_signed else ''}.{decimals}f}"
    return text.lstrip("+-") if not float(text) else text


def _decimals(table: pd.DataFrame, default: int = 1) -> list[int]:
    """Return the digits of every row: its own column `decimals`, or one number for all."""
    known = table["decimals"] if "decimals" in table else pd.Series(default, index=table.index)
    return known.astype(int).tolist()


def _row_texts(table: pd.DataFrame, *, decimals: int = 1, is_signed: bool = False) -> list[str]:
    marks = table["mark"].fillna("").astype(str) if "mark" in table else [""] * len(table)
    return [
        DRAWN["hidden"]
        if np.isnan(value)
        else _figure_text(value, decimals=place, is_signed=is_signed) + mark
        for value, place, mark in zip(
            table["estimate"], _decimals(table, decimals), marks, strict=True
        )
    ]


def _alt_rows(names: Iterable[str], texts: Iterable[str], *, unit: str = UNITS["percent"]) -> str:
    said = {DRAWN["hidden"]: DRAWN["hidden_alt"]}
    pairs = zip(names, texts, strict=True)
    return "、".join(f"{name} {said.get(text, f'{text}{unit}')}" for name, text in pairs)


def _bound(table: pd.DataFrame, name: str) -> np.ndarray:
    """Return an interval's end, or the estimate where the table has none."""
    ends = table[name] if name in table else table["estimate"]
    return ends.fillna(table["estimate"]).to_numpy(float)


# --- bars -----------------------------------------------------------------------------------------


def percent_bars(table: pd.DataFrame, *, words: Words) -> Chart:
    """Draw one horizontal bar a row, with its interval.

    Args:
        table: Columns `label`, `estimate`, optional `lower`, `upper`, `mark` (text after the
            number), `decimals`; in the order drawn, shape (n, any). A missing estimate is hidden.
        words: Title, subtitle, foot.

    Returns:
        The chart.
    """
    table, words = _without_hidden(table, words)
    place = _layout(
        table["label"].tolist(), row_inches=0.32, label_em=13, top=_top(words), right=0.75
    )
    estimate = table["estimate"].to_numpy(float)
    lower, upper = _bound(table, "lower"), _bound(table, "upper")
    texts = _row_texts(table)
    rows = place.middles
    place.axes.barh(rows, np.nan_to_num(estimate), height=0.2, color=SERIES_COLOURS[0])
    has_interval = (upper > lower) & ~np.isnan(estimate)
    place.axes.hlines(rows[has_interval], lower[has_interval], upper[has_interval],
                      color=INK, linewidth=1.1)  # fmt: skip
    end = float(np.nanmax([*upper, *estimate, 1e-9]))
    place.axes.set_xlim(0, end * 1.02)
    for row, text in enumerate(texts):
        x = 0.0 if np.isnan(estimate[row]) else max(upper[row], estimate[row])
        place.axes.annotate(text, (x, rows[row]), xytext=(4, 0), textcoords="offset points",
                            va="center", annotation_clip=False)  # fmt: skip
    _light_grid(place.axes)
    _stamp(place.figure, words)
    alt = DRAWN["bars"].format(title=words.title, rows=_alt_rows(table["label"], texts))
    return _chart(place.figure, words=words, alt=alt)


def _light_grid(axes: Axes, *, most: int = 5) -> None:
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(visible=True, axis="x", color=RULE, linewidth=0.7)
    axes.axvline(0, color=GREY, linewidth=0.9)


def distribution_bars(table: pd.DataFrame, *, words: Words) -> Chart:
    """Draw upright bars of a distribution in bins, such as weights; never single persons.

    Args:
        table: Columns `label` (the bin) and `estimate` (people), in order; bins that the gate hid
            have no estimate.
        words: Title, subtitle, foot.

    Returns:
        The chart.
    """
    figure = Figure(figsize=(WIDTH_INCHES, 2.7 + _top(words)))
    height = figure.get_figheight()
    axes = figure.add_axes((0.04, 0.62 / height, 0.93, (1.85) / height))
    heights = table["estimate"].to_numpy(float)
    places = np.arange(len(table))
    sns.barplot(x=places, y=np.nan_to_num(heights), width=0.86, color=SERIES_COLOURS[0],
                saturation=1, errorbar=None, ax=axes)  # fmt: skip
    texts = _row_texts(table, decimals=0)
    for x, (value, text) in enumerate(zip(np.nan_to_num(heights), texts, strict=True)):
        short = "x" if text == DRAWN["hidden"] else text
        axes.annotate(short, (x, value), xytext=(0, 3), textcoords="offset points", ha="center",
                      fontsize=SMALL_POINTS)  # fmt: skip
    em = 0.93 * WIDTH_INCHES / max(len(table), 1) / EM_INCHES
    axes.set_xticks(places, [wrap(str(label), em=max(em - 0.3, 2)) for label in table["label"]])
    axes.tick_params(axis="x", length=0, labelsize=SMALL_POINTS, colors=INK)
    axes.set_yticks([])
    axes.set_ylim(0, max(np.nan_to_num(heights).max(initial=0), 1e-9) * 1.12)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    _stamp(figure, words)
    rows = _alt_rows(table["label"], texts, unit=UNITS["persons"])
    alt = DRAWN["upright_bars"].format(title=words.title, rows=rows)
    return _chart(figure, words=words, alt=alt)


# --- 100 % bars -----------------------------------------------------------------------------------


def stacked_bars(table: pd.DataFrame, *, words: Words, grey: tuple[str, ...]) -> Chart:
    """Draw one 100 % bar a group; a group with a hidden answer is left out and named below.

    Where only the share without an answer is hidden, the bar holds the answers alone and fills the
    width, so that no gap shows what is hidden; the axis then carries no scale.

    Args:
        table: Columns `group`, `category`, `estimate` in percent, optional `decimals`; groups and
            categories in the order drawn, one row a pair.
        words: Title, subtitle, foot.
        grey: Categories that are no answer and are drawn grey.

    Returns:
        The chart; its foot says which groups are left out.
    """
    wide = table.pivot_table(
        index="group", columns="category", values="estimate", sort=False, dropna=False
    )
    wide = wide.reindex(index=table["group"].unique(), columns=table["category"].unique())
    hidden = set(table.loc[table["estimate"].isna() & ~table["category"].isin(grey), "group"])
    shown = wide[[group not in hidden for group in wide.index]]
    categories = shown.columns[shown.notna().any()].tolist()
    colours = _category_colours(categories, grey=grey)
    left_out = [group for group in wide.index if group in hidden]
    if left_out:
        text = DRAWN["left_out"].format(names="、".join(left_out))
        words = replace(words, foot=(words.foot + text).strip())
    pairs = zip(table["group"], table["category"], strict=True)
    places = dict(zip(pairs, _decimals(table), strict=True))
    columns = _legend_columns(categories)
    legend_rows = -(-len(categories) // columns)
    place = _layout(shown.index.tolist(), row_inches=0.5, label_em=10,
                    top=_top(words, legend_rows=legend_rows) + 0.05)  # fmt: skip
    for row, group in zip(place.middles, shown.index, strict=True):
        _stack_row(place.axes, shown.loc[group, categories].fillna(0), row=row, colours=colours,
                   places=[places.get((group, name), 1) for name in categories])  # fmt: skip
    place.axes.set_xlim(0, 100)
    is_whole = table.loc[table["group"].isin(shown.index), "estimate"].notna().all()
    is_whole &= bool((shown[categories].sum(axis=1) - 100).abs().max() < 0.6)  # rounding
    place.axes.set_xticks(*([[0, 25, 50, 75, 100], ["0", "25", "50", "75", "100%"]] if is_whole
                            else [[], []]))  # fmt: skip
    if not is_whole:
        words = replace(words, foot=(words.foot + DRAWN["no_scale"]).strip())
    _legend(place.figure, categories, colours, columns=columns, words=words)
    _stamp(place.figure, words)
    rows = "".join(
        DRAWN["series"].format(name=group, rows=_alt_stack(values.dropna(), group, places))
        for group, values in shown[categories].iterrows()
    )
    alt = DRAWN["stacked"].format(title=words.title, rows=rows)
    if left_out:
        alt += DRAWN["left_out_alt"].format(names="、".join(left_out))
    return _chart(place.figure, words=words, alt=alt)


def _alt_stack(values: pd.Series, group: str, places: dict[tuple[str, str], int]) -> str:
    pairs = values.items()
    texts = [_figure_text(value, decimals=places.get((group, name), 1)) for name, value in pairs]
    return _alt_rows(values.index, texts)


def _category_colours(categories: list[str], *, grey: tuple[str, ...]) -> dict[str, str]:
    ordered = [name for name in categories if name not in grey]
    steps = np.linspace(0, len(ORDERED_COLOURS) - 2, max(len(ordered), 2))
    ramp = mpl.colors.LinearSegmentedColormap.from_list("ordered", ORDERED_COLOURS[:-1])
    colours = {
        name: mpl.colors.to_hex(ramp(step / (len(ORDERED_COLOURS) - 2)))
        for name, step in zip(ordered, steps, strict=False)
    }
    return colours | {name: NO_ANSWER_COLOUR for name in categories if name in grey}


def _text_colour(background: str) -> str:
    """Return black or white, whichever has the higher contrast (WCAG 2.2)."""
    parts = np.array(mpl.colors.to_rgb(background))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return PAPER if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else INK


def _stack_row(
    axes: Axes, values: pd.Series, *, row: float, colours: dict[str, str], places: list[int]
) -> None:
    start, last_above = 0.0, -100.0
    inches_a_point = axes.get_position().width * WIDTH_INCHES / 100
    total = values.sum()  # rounded parts may miss 100 by a tenth; a hidden part leaves no gap
    for (name, value), place in zip(values.items(), places, strict=True):
        width = value / total * 100
        axes.add_patch(Rectangle((start, row - 0.1), width, 0.23, facecolor=colours[name],
                                 edgecolor=PAPER, linewidth=1.0))  # fmt: skip
        text = _figure_text(value, decimals=place)
        need = width_em(text) * SMALL_POINTS / 72 / inches_a_point
        middle = start + width / 2
        if width > need + 0.8:
            axes.text(middle, row + 0.015, text, ha="center", va="center", fontsize=SMALL_POINTS,
                      color=_text_colour(colours[name]))  # fmt: skip
        elif value >= 1 and middle - last_above > need + 1:
            axes.text(middle, row - 0.115, text, ha="center", va="bottom", fontsize=SMALL_POINTS)
            last_above = middle
        start += width


def _legend_columns(categories: list[str]) -> int:
    widest = max((width_em(str(name)) for name in categories), default=1)
    return max(1, min(4, int((WIDTH_INCHES - 0.3) / ((widest + 2.4) * EM_INCHES))))


def _legend(
    figure: Figure, names: list[str], colours: dict[str, str], *, columns: int, words: Words
) -> None:
    """Draw the legend row by row (matplotlib's own runs down the columns)."""
    height = figure.get_figheight()
    step = (WIDTH_INCHES - 0.2) / columns
    for index, name in enumerate(names):
        x = 0.1 + (index % columns) * step
        y = height - (_top(words) + 0.05) - 0.235 * (index // columns)
        figure.add_artist(
            Rectangle((x / WIDTH_INCHES, (y - 0.07) / height), 0.15 / WIDTH_INCHES, 0.14 / height,
                      facecolor=colours[name], edgecolor=GREY, linewidth=0.5,
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
) -> Chart:
    """Draw a dot with its interval for every row, one to four series side by side.

    Args:
        table: Columns `label`, `estimate`, `lower`, `upper`, optional `series`, `mark`, `decimals`;
            labels in the order drawn. A missing estimate is hidden and drawn as x.
        words: Title, subtitle, foot.
        unit: Unit in the alt text; points carry their sign.
        reference: A value drawn as a dashed line, such as that of everybody.
        reference_label: Its name.
        label_em: Width at which labels break.

    Returns:
        The chart.
    """
    table, words = _without_hidden(table, words)
    if "series" not in table:
        table = table.assign(series="")
    series, labels = table["series"].unique().tolist(), table["label"].unique().tolist()
    named = [name for name in series if name] + ([reference_label] if reference_label else [])
    used = sum(width_em(name) + 2.6 for name in named) * EM_INCHES
    is_beside = used < WIDTH_INCHES - 1.1
    top = _top(words, legend_rows=1 if named else 0, is_beside=is_beside)
    place = _layout(labels, row_inches=0.18 + 0.2 * len(series), label_em=label_em, top=top,
                    right=0.62)  # fmt: skip
    lower, upper = _bound(table, "lower"), _bound(table, "upper")
    ends = np.concatenate([lower, upper, [] if reference is None else [reference]])
    ends = ends[~np.isnan(ends)]
    low = min(float(ends.min(initial=0)), 0.0)
    high = float(ends.max(initial=1))
    place.axes.set_xlim(low - (high - low) * 0.02 * (low < 0), high + (high - low) * 0.02)
    texts = _row_texts(table, is_signed=unit == UNITS["points"])
    middle = dict(zip(labels, place.middles, strict=True))
    for position, name in enumerate(series):
        offset = (position - (len(series) - 1) / 2) * 0.19
        rows = np.flatnonzero(table["series"] == name)
        heights = np.array([middle[label] for label in table["label"].iloc[rows]]) + offset
        points = np.stack([lower, table["estimate"].to_numpy(float), upper])[:, rows]
        _dots(place.axes, points, heights=heights, texts=[texts[row] for row in rows],
              position=position, line=reference)  # fmt: skip
    if reference is not None:
        place.axes.axvline(reference, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0.5)
    _light_grid(place.axes)
    _dot_legend(place.figure, series, reference_label=reference_label,
                from_top=0.17 if is_beside else _top(words) + 0.06)  # fmt: skip
    _stamp(place.figure, words)
    rows = _alt_dots(table, texts, unit=unit)
    alt = DRAWN["dots"].format(title=words.title, rows=rows)
    if reference_label and reference is not None:
        value = _figure_text(reference)
        alt += DRAWN["line"].format(label=reference_label, value=value, unit=unit)
    return _chart(place.figure, words=words, alt=alt)


def _alt_dots(table: pd.DataFrame, texts: list[str], *, unit: str) -> str:
    sentences = []
    for name, rows in table.groupby("series", sort=False):
        body = _alt_rows(rows["label"], [texts[row] for row in rows.index], unit=unit)
        sentences.append(DRAWN["series"].format(name=name, rows=body) if name else f"{body}。")
    return "".join(sentences)


def _dots(
    axes: Axes,
    points: np.ndarray,
    *,
    heights: np.ndarray,
    texts: list[str],
    position: int,
    line: float | None,
) -> None:
    """Draw one series; `points` holds lower, estimate and upper, shape (3, n).

    A text that would lie on the dashed `line` stands behind it.
    """
    colour, marker = SERIES_COLOURS[position % 4], SERIES_MARKERS[position % 4]
    shown = ~np.isnan(points[1])
    lower, estimate, upper = points[:, shown]
    axes.hlines(heights[shown], lower, upper, color=colour, linewidth=2.0)
    axes.plot(estimate, heights[shown], linestyle="none", marker=marker, markersize=6.5,
              color=colour, markeredgecolor=PAPER, markeredgewidth=0.7, clip_on=False)  # fmt: skip
    left, right = axes.get_xlim()
    unit_an_inch = (right - left) / (axes.get_position().width * WIDTH_INCHES)
    for (_, value, end), height, text in zip(points.T, heights, texts, strict=True):
        at = left if np.isnan(value) else max(end, value)
        width = (5 + width_em(text) * SMALL_POINTS) / 72 * unit_an_inch
        at = line if line is not None and at < line < at + width else at
        axes.annotate(text, (at, height), xytext=(5, 0), textcoords="offset points", va="center",
                      fontsize=SMALL_POINTS, annotation_clip=False,
                      color=GREY if np.isnan(value) else INK,
                      path_effects=[withStroke(linewidth=3.5, foreground=PAPER)])  # fmt: skip


def _dot_legend(
    figure: Figure, series: list[str], *, reference_label: str, from_top: float
) -> None:
    height = figure.get_figheight()
    x, y = 0.15, (height - from_top) / height
    for position, name in enumerate(series):
        if not name:
            continue
        line = mpl.lines.Line2D(
            [(x + 0.08) / WIDTH_INCHES], [y], marker=SERIES_MARKERS[position % 4], markersize=6.5,
            color=SERIES_COLOURS[position % 4], linestyle="none", transform=figure.transFigure,
        )  # fmt: skip
        figure.add_artist(line)
        figure.text((x + 0.2) / WIDTH_INCHES, y, name, va="center")
        x += 0.2 + (width_em(name) + 1.2) * EM_INCHES
    if reference_label:
        ends = [x / WIDTH_INCHES, (x + 0.28) / WIDTH_INCHES]
        figure.add_artist(
            mpl.lines.Line2D(ends, [y, y], color=INK, linewidth=1.0, linestyle=(0, (4, 3)),
                             transform=figure.transFigure)
        )  # fmt: skip
        figure.text((x + 0.34) / WIDTH_INCHES, y, reference_label, va="center")


# --- forest ---------------------------------------------------------------------------------------


def forest(table: pd.DataFrame, *, words: Words) -> Chart:
    """Draw odds ratios with their intervals on a log axis, under one heading a factor.

    Args:
        table: Columns `factor`, `label`, `estimate`, `lower`, `upper`, `is_reference`, optional
            `mark`; factors and levels in the order drawn. A missing estimate is hidden.
        words: Title, subtitle, foot.

    Returns:
        The chart.
    """
    lines = _forest_lines(table)
    labels = ["　" * (not line["is_heading"]) + line["label"] for line in lines]
    place = _layout(labels, row_inches=0.265, label_em=12, top=_top(words) + 0.22, right=1.5)
    for text, line in zip(place.axes.get_yticklabels(), lines, strict=True):
        text.set_color(GREY if line["is_heading"] else INK)
    place.axes.set_xscale("log")
    ends = table[["lower", "upper", "estimate"]].to_numpy(float)
    ends = np.clip(ends[np.isfinite(ends) & (ends > 0)], 0.05, 50)
    low, high = min(ends.min(initial=0.8), 0.8), max(ends.max(initial=1.25), 1.25)
    place.axes.set_xlim(low / 1.12, high * 1.12)
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if low / 1.1 <= tick <= high * 1.1]
    if len(ticks) > 5:
        ticks = [tick for tick in (0.1, 0.3, 1, 3, 10, 30) if low / 1.1 <= tick <= high * 1.1]
    place.axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    place.axes.minorticks_off()
    place.axes.grid(visible=True, axis="x", color=RULE, linewidth=0.7)
    place.axes.axvline(1, color=INK, linewidth=1.0)
    for row, line in zip(place.middles, lines, strict=True):
        _forest_row(place.axes, line, row=row)
    height = place.figure.get_figheight()
    place.figure.text(1 - 1.42 / WIDTH_INCHES, 1 - (_top(words) + 0.1) / height,
                      DRAWN["odds_ratio"], va="center", fontsize=SMALL_POINTS,
                      color=GREY)  # fmt: skip
    _stamp(place.figure, words)
    alt = DRAWN["forest"].format(title=words.title, rows=_alt_forest(lines))
    return _chart(place.figure, words=words, alt=alt)


def _forest_lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    lines = []
    for factor, rows in table.groupby("factor", sort=False):
        lines.append({"label": factor, "is_heading": True})
        lines += [{**row, "is_heading": False} for row in rows.to_dict("records")]
    return lines or [{"label": DRAWN["no_level"], "is_heading": True}]


def _forest_text(line: dict[str, Any]) -> str:
    if line["is_reference"]:
        return DRAWN["reference"]
    if np.isnan(line["estimate"]):
        return DRAWN["hidden"]
    names = {"value": "estimate", "lower": "lower", "upper": "upper"}
    texts = {name: _figure_text(line[of], decimals=2) for name, of in names.items()}
    mark = line.get("mark")
    return DRAWN["odds"].format(mark=mark if isinstance(mark, str) else "", **texts)


def _forest_row(axes: Axes, line: dict[str, Any], *, row: float) -> None:
    if line["is_heading"]:
        return
    text = _forest_text(line)
    axes.annotate(text, (1, row), xycoords=axes.get_yaxis_transform(), xytext=(5, 0),
                  textcoords="offset points", va="center", fontsize=SMALL_POINTS,
                  annotation_clip=False)  # fmt: skip
    if line["is_reference"]:
        axes.plot([1], [row], marker="o", markersize=5.5, color=PAPER, markeredgecolor=INK)
    elif not np.isnan(line["estimate"]):
        low, high = axes.get_xlim()
        left, right = np.clip([line["lower"], line["upper"]], low, high)
        axes.hlines([row], left, right, color=SERIES_COLOURS[0], linewidth=2.0)
        axes.plot([line["estimate"]], [row], marker="s", markersize=5.5, color=SERIES_COLOURS[0],
                  markeredgecolor=PAPER, markeredgewidth=0.7)  # fmt: skip


def _alt_forest(lines: list[dict[str, Any]]) -> str:
    parts = [
        f"{line['label']}："
        if line["is_heading"]
        else _alt_rows([line["label"]], [_forest_text(line)], unit="") + "、"
        for line in lines
    ]
    return "".join(parts).rstrip("、")


# --- over time, and what leads to what ------------------------------------------------------------


def over_time(table: pd.DataFrame, *, words: Words, dates: pd.DataFrame) -> Chart:
    """Draw monthly series with dated events as numbered lines, named in the foot.

    Args:
        table: Index month (Timestamp), one column a series in the order drawn, named as shown. A
            missing number is hidden and leaves a gap.
        words: Title, subtitle, foot.
        dates: Columns `date` (Timestamp) and `label`; may have no rows.

    Returns:
        The chart.
    """
    top = _top(words, legend_rows=len(table.columns))
    figure = Figure(figsize=(WIDTH_INCHES, top + 2.5))
    axes = figure.add_axes((0.13, 0.36 / (top + 2.5), 0.83, 2.1 / (top + 2.5)))
    styles = zip(table.columns, SERIES_COLOURS, SERIES_MARKERS, strict=False)
    for name, colour, marker in styles:
        axes.plot(table.index, table[name], color=colour, marker=marker, markersize=4, label=name)
    for number, date in enumerate(dates["date"], start=1):
        axes.axvline(date, color=GREY, linewidth=0.9, linestyle="--", zorder=0)
        axes.annotate(str(number), (date, 1), xycoords=("data", "axes fraction"), ha="center",
                      xytext=(-4 + 8 * (number % 2 == 0), 2), textcoords="offset points",
                      fontsize=SMALL_POINTS)  # fmt: skip
    axes.set_ylim(0, float(np.nanmax(table.to_numpy(float), initial=1)) * 1.1)
    shown, month = table.index[::2], DRAWN["month"]
    axes.set_xticks(shown, [f"{day.month}{month}" for day in shown])
    axes.grid(visible=True, axis="y", color=RULE, linewidth=0.7)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelsize=SMALL_POINTS)
    box = (0.0, 1.08, 1.0, 0.1)
    axes.legend(loc="lower left", bbox_to_anchor=box, frameon=False, borderaxespad=0)
    _stamp(figure, words)
    events = "、".join(f"{n} {label}" for n, label in enumerate(dates["label"], start=1))
    words = replace(words, foot="。".join(filter(None, [words.foot.rstrip("。"), events])))
    months = [f"{month:%Y-%m}" for month in table.index]
    texts = {
        name: _row_texts(table[[name]].set_axis(["estimate"], axis=1), decimals=0) for name in table
    }
    rows = [f"{name}: {_alt_rows(months, said, unit='')}" for name, said in texts.items()]
    alt = DRAWN["over_time"].format(title=words.title, rows="。".join([*rows, events]))
    return _chart(figure, words=words, alt=alt)


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
    row, top = 1.25, _top(words)
    height = top + row * len(layers)
    figure = Figure(figsize=(WIDTH_INCHES, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, WIDTH_INCHES), ylim=(height, 0))
    boxes: dict[str, tuple[float, float, float]] = {}
    for number, part in enumerate(layers):
        room = WIDTH_INCHES / len(part)
        for place, (name, label) in enumerate(zip(part["name"], part["label"], strict=True)):
            text = wrap(label, em=(room - 0.25) / EM_INCHES)
            half = (text.count("\n") + 1) * EM_INCHES * 0.65 + 0.07
            boxes[name] = x, y, half = (place + 0.5) * room, top + row * (number + 0.4), half
            style = {
                "facecolor": PAPER,
                "edgecolor": SERIES_COLOURS[0],
                "boxstyle": "square,pad=0.35",
            }
            axes.text(x, y, text, ha="center", va="center", bbox=style, fontsize=SMALL_POINTS)
    depth = nodes.set_index("name")["layer"]
    for start, end, label in zip(edges["from"], edges["to"], edges["label"], strict=True):
        (x1, y1, half1), (x2, y2, half2) = boxes[start], boxes[end]
        y1, y2, span = y1 + half1, y2 - half2, max(depth[end] - depth[start], 1)
        # A link over several layers bends outwards, round the boxes between.
        bend = 0.0 if span == 1 else (0.3 if x1 + x2 <= WIDTH_INCHES else -0.3)
        style = {"arrowstyle": "-|>", "color": GREY, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0,
                 "connectionstyle": f"arc3,rad={bend}"}  # fmt: skip
        axes.annotate("", (x2, y2), xytext=(x1, y1), arrowprops=style, zorder=0)
        if label:  # half way, of a bent link on its curve
            x = (x1 + x2) / 2 - bend * (y2 - y1) / 2
            y = (y1 + y2) / 2 + bend * (x2 - x1) / 2
            axes.text(x, y, label, ha="center", va="center", fontsize=SMALL_POINTS,
                      bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1})  # fmt: skip
    _stamp(figure, words)
    names = nodes.set_index("name")["label"]
    rows = "、".join(
        f"{names[start]} → {names[end]}" + (f"（{label}）" if label else "")
        for start, end, label in zip(edges["from"], edges["to"], edges["label"], strict=True)
    )
    return _chart(figure, words=words, alt=DRAWN["network"].format(title=words.title, rows=rows))
