"""Colours, taken from what is drawn: contrast, and told apart by every eye and in grey."""

import re
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from tests.colours import SIGHTS, ciede2000, contrast, dark_of, difference

from tsunagari.report import charts, figures

WORDS = figures.Words("題", "割合（%）", is_synthetic=True)
THEMES = {"light": 0, "dark": 1}
PAPER = {"light": "#ffffff", "dark": "#1a1a1a"}
each_theme = pytest.mark.parametrize("theme", THEMES)


def bar(n):
    """Draw one bar of n answers and those without one, wide enough for all numbers."""
    shares = [*np.full(n, 90 / n), 10.0]
    names = [*(f"答え{k}" for k in range(n)), "無回答"]
    table = pd.DataFrame({"group": "県", "category": names, "estimate": shares})
    return figures.stacked_bars(table, words=WORDS, grey=("無回答",)).svg


def dots(series, **more):
    table = pd.DataFrame({"label": "東予", "series": series, "estimate": 7.0, "upper": 9.0,
                          "lower": 5.0})  # fmt: skip
    return figures.interval_dots(table, words=WORDS, **more).svg


def ink_of(svg):
    """Return the dark colour of a text that has none of its own."""
    assert f"svg{{fill:{figures.INK}}}" in svg
    return re.search(r"dark\)\{.*svg\{fill:(#\w+)\}", svg)[1]


def turn(svg, colour, *, theme, tag="*", kind="fill"):
    """Return a drawn colour as a theme shows it."""
    known = {("*", f"fill {figures.INK}"): ink_of(svg)} | dark_of(svg)
    key = f"{kind} {colour}"
    return colour if theme == "light" else known.get((tag, key), known.get(("*", key), colour))


def parts(svg):
    """Return (fill, colour of the number on it) of every part of a bar, in order."""
    number = r"([\d.-]+)"
    boxes = [
        (*map(float, found[:4]), found[4])
        for found in re.findall(
            rf'd="M {number} {number} \nL {number} [\d.]+ \nL [\d.]+ {number} [^"]*"[^>]*'
            rf'style="fill: (#\w+|url)',
            svg,
        )
    ]
    texts = [
        (float(x), float(y), fill or figures.INK)
        for fill, x, y in re.findall(
            rf'<g (?:style="fill: (#\w+)" )?transform="translate\({number} {number}\)', svg
        )
    ]
    return [
        (fill, colour)
        for left, top, right, bottom, fill in boxes
        for x, y, colour in texts
        if left < x < right and top < y < bottom and right - left < 200
    ]


def markers(svg):
    """Return the colours of lines and points, but for ink, paper, rules and outlines."""
    common = {"#1a1a1a", "#ffffff", "#e6e6e6", "#767676", "#666666", "#927200"}
    return [c for c in dict.fromkeys(re.findall(r"stroke: (#\w+)", svg)) if c not in common]


def test_ciede2000_is_that_of_sharma():
    pair = np.array([50, 2.6772, -79.7751]), np.array([50, 0.0, -82.7485])
    assert ciede2000(*pair) == pytest.approx(2.0425, abs=1e-4)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@each_theme
@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7])
def test_every_number_on_a_bar_is_readable(n, theme):
    svg = bar(n)
    found = parts(svg)
    assert len(found) >= n
    for fill, colour in found:
        ground = charts.COLOURS["no_answer"]["light"][0] if fill == "url" else fill
        pair = [turn(svg, ground, theme=theme), turn(svg, colour, theme=theme, tag="g")]
        assert contrast(*pair) >= 4.5, (fill, colour)


@each_theme
def test_neighbours_on_a_bar_are_told_apart_in_grey(theme):
    svg = bar(5)
    fills = [turn(svg, fill, theme=theme) for fill, _ in parts(svg) if fill != "url"]
    assert len(fills) == 5
    for one, other in pairwise(fills):
        assert difference(one, other, "grey") >= 12
        assert contrast(one, other) >= (1.7 if theme == "light" else 1.55)
        assert all(difference(one, other, sight) >= 9.5 for sight in SIGHTS)
    for one, other in zip(fills, fills[2:], strict=False):
        assert contrast(one, other) >= 2.8


@each_theme
def test_bars_have_gaps_of_paper_and_an_outline(theme):
    svg = bar(5)
    outline = turn(svg, figures.OUTLINE, theme=theme, kind="stroke")
    assert contrast(outline, PAPER[theme]) >= 3
    gap = turn(svg, "#ffffff", theme=theme, kind="stroke")
    assert gap == PAPER[theme]
    assert svg.count("stroke: #ffffff; stroke-width: 1.4") == 5  # between six parts
    assert "<pattern" in svg  # who did not answer is hatched


SERIES = {
    "focus": (["愛媛県", "全国"], {}),
    "equal": (["高い群", "低い群"], {"colours": "equal"}),
    "regions": (["東予", "中予", "南予"], {}),
}


@each_theme
@pytest.mark.parametrize("name", SERIES)
def test_groups_are_told_apart_by_every_eye_and_in_grey(name, theme):
    series, more = SERIES[name]
    svg = dots(series, **more)
    drawn = [turn(svg, colour, theme=theme, kind="stroke") for colour in markers(svg)]
    assert drawn == charts.COLOURS[name][theme][: len(series)]
    for colour in drawn:
        assert contrast(colour, PAPER[theme]) >= 3
    for one, other in combinations(drawn, 2):
        assert min(difference(one, other, s) for s in SIGHTS if s != "grey") >= 20
        assert difference(one, other, "grey") >= 15


@each_theme
def test_high_and_low_differ_by_word_and_shape_before_colour(theme):
    table = pd.DataFrame({"label": list("甲乙丙"), "estimate": [9.0, 5.0, 7.0], "upper": 9.5,
                          "lower": 4.0, "mark": ["▲", "▽", ""]})  # fmt: skip
    chart = figures.interval_dots(table, words=WORDS)
    high, low = charts.COLOURS["verdicts"]["light"]
    assert f"fill: {high}" in chart.svg
    assert f"fill: #ffffff; stroke: {low}" in chart.svg  # open
    assert figures._row_texts(table) == ["9.0 ▲高い", "5.0 ▽低い", "7.0"]
    verdicts = figures.interval_dots(table.assign(mark=["高い", "低い", ""]), words=WORDS).svg
    assert f"fill: {high}" in verdicts and f"fill: #ffffff; stroke: {low}" in verdicts
    unmarked = figures.interval_dots(table.assign(mark=""), words=WORDS).svg
    assert f"fill: {figures.OTHER}" in unmarked and f"fill: {figures.FOCUS}" not in unmarked
    for colour in (high, low, figures.OTHER):
        assert contrast(turn(chart.svg, colour, theme=theme, kind="stroke"), PAPER[theme]) >= 3


@each_theme
def test_words_of_a_drawing_are_readable(theme):
    for name, light in zip(("ink", "muted"), charts.COLOURS["base"]["light"], strict=False):
        dark = charts.COLOURS["base"]["dark"][charts.COLOURS["base"]["light"].index(light)]
        assert contrast(light if theme == "light" else dark, PAPER[theme]) >= 4.5, name


def test_every_light_colour_has_one_dark_colour():
    for name, known in charts.COLOURS.items():
        assert len(known["light"]) == len(known["dark"]) == len(set(known["light"])), name
        assert all(re.fullmatch("#[0-9a-f]{6}", c) for c in (*known["light"], *known["dark"]))
