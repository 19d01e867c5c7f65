"""Figures: what is drawn, said and hidden; glyphs, bytes and metadata."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from tsunagari.errors import ConfigError
from tsunagari.report import figures

WORDS = figures.Words(title="題", subtitle="割合（%）", foot="n=2,000。")


def dots(**columns) -> pd.DataFrame:
    table = {"label": ["東予", "中予", "南予"], "estimate": [6.4, 9.4, 5.0]}
    table |= {"lower": [4.4, 7.8, 2.6], "upper": [9.0, 11.3, 8.6]}
    return pd.DataFrame(table | columns)


def bars(estimates: dict[str, list[float]], categories=("ある", "ない", "無回答")) -> pd.DataFrame:
    rows = [
        {"group": group, "category": category, "estimate": value}
        for group, values in estimates.items()
        for category, value in zip(categories, values, strict=True)
    ]
    return pd.DataFrame(rows)


def stacked(table):
    return figures.stacked_bars(table, words=WORDS, grey={"無回答"})


def forest_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "factor": ["年代", "年代", "同居人", "同居人"],
            "label": ["60代", "20代", "いる", "いない"],
            "estimate": [1.0, 2.31, 1.0, np.nan],
            "lower": [np.nan, 1.4, np.nan, np.nan],
            "upper": [np.nan, 3.9, np.nan, np.nan],
            "is_reference": [True, False, True, False],
        }
    )


TABLES = {
    "percent_bars": dots(),
    "stacked_bars": bars({"県": [7.5, 92.0, 0.5], "全国": [4.9, 94.5, 0.6]}),
    "interval_dots": dots(),
    "forest": forest_table(),
    "distribution_bars": dots(),
}
GREY = {"stacked_bars": {"grey": {"無回答"}}}
CHARTS = {
    name: lambda words, name=name, table=None: getattr(figures, name)(
        TABLES[name] if table is None else table, words=words, **GREY.get(name, {})
    )
    for name in TABLES
}
each_chart = pytest.mark.parametrize("make", CHARTS.values(), ids=CHARTS)


@each_chart
def test_svg_is_outlines_without_metadata_or_address(make):
    svg = make(WORDS).svg
    root = ElementTree.fromstring(svg)
    names = {element.tag.split("}")[1] for element in root.iter()}
    assert not names & {"text", "metadata", "script", "image", "foreignObject"}
    assert re.findall(r"https?://[^\"]+", svg) == [
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/2000/svg",
    ]  # names of the two XML vocabularies, never fetched
    assert "atplotlib v" not in svg
    assert "<!" not in svg


@each_chart
def test_same_table_gives_same_bytes(make):
    assert make(WORDS).svg == make(WORDS).svg


@each_chart
def test_synthetic_banner_stands_on_drawing_alt_and_caption(make):
    plain = make(WORDS)
    stamped = make(figures.Words("題", is_synthetic=True))
    assert stamped.svg.count("<use") > plain.svg.count("<use")  # the stamp's glyphs
    assert stamped.alt.startswith("合成データによる表示例。")
    assert "合成データ" in stamped.to_html().split("<img")[0]
    assert "合成データ" not in plain.to_html()


@pytest.mark.parametrize("name", TABLES)
def test_table_is_not_changed(name):
    table = TABLES[name].copy(deep=True)
    assert CHARTS[name](WORDS, table=table).words == WORDS
    pd.testing.assert_frame_equal(table, TABLES[name])


def test_alt_says_every_number_of_the_table():
    chart = figures.interval_dots(dots(mark=["", "▲", "†"]), words=WORDS)
    assert "東予 6.4%、中予 9.4▲%、南予 5.0†%" in chart.alt


def test_digits_follow_each_row():
    chart = figures.percent_bars(dots(decimals=[0, 1, 0]), words=WORDS)
    assert "東予 6%、中予 9.4%、南予 5%" in chart.alt


def test_differences_carry_their_sign():
    chart = figures.interval_dots(
        dots(estimate=[2.3, -0.2, 0.04], lower=[1.0, -1.0, -1.0], upper=[3.0, 1.0, 1.0]),
        words=WORDS,
        unit="ポイント",
    )
    assert "東予 +2.3ポイント、中予 -0.2ポイント、南予 0.0ポイント" in chart.alt


def test_hidden_number_is_x_and_nowhere_else():
    chart = figures.interval_dots(
        dots(estimate=[6.4, np.nan, 5.0], lower=[4.4, np.nan, 2.6], upper=[9.0, np.nan, 8.6]),
        words=WORDS,
    )
    assert "中予 秘匿" in chart.alt
    assert "nan" not in chart.alt
    assert "nan" not in chart.svg.lower()


def test_bar_with_a_hidden_answer_is_left_out_and_named():
    table = bars({"東予": [7.5, 92.0, 0.5], "南予": [np.nan, 92.0, 0.5]})
    chart = stacked(table)
    assert "南予：" not in chart.alt
    assert "示していない区分：南予" in chart.alt
    assert chart.words.foot.endswith("図に示していない区分：南予。")


def test_bar_with_hidden_no_answer_leaves_no_gap_and_no_scale():
    # 40 + 50 = 90: a gap of 10 would give the hidden share away. Drawn alone, 40 of 90 fill 44.4 %
    # of the bar, as 44.4 and 55.6 do of 100: the same drawing but for the labels and the scale.
    hidden = stacked(bars({"東予": [40.0, 50.0, np.nan]}))
    whole = stacked(bars({"東予": [400 / 9, 500 / 9]}, categories=("ある", "ない")))
    assert "無回答" not in hidden.alt
    assert "示した回答だけで描いています" in hidden.words.foot
    edges = [sorted(set(re.findall(r"M ([\d.]+) ", chart.svg))) for chart in (hidden, whole)]
    assert set(edges[0]) <= set(edges[1])


def test_stacked_bars_say_shares_of_every_group():
    chart = stacked(bars({"県": [7.5, 92.0, 0.5], "全国": [4.9, 94.5, 0.6]}))
    assert (
        "県：ある 7.5%、ない 92.0%、無回答 0.5%。全国：ある 4.9%、ない 94.5%、無回答 0.6%。"
        in chart.alt
    )


def test_forest_of_a_withheld_model_says_that_nothing_can_be_shown():
    chart = figures.forest(forest_table().iloc[:0], words=WORDS)
    assert "示せる区分はない" in chart.alt


def test_forest_says_reference_interval_and_hidden():
    alt = figures.forest(forest_table(), words=WORDS).alt
    assert "60代 1（基準）" in alt
    assert "20代 2.31（1.40〜3.90）" in alt
    assert "いない 秘匿" in alt


def test_missing_glyph_is_an_error_that_names_the_character():
    with pytest.raises(ConfigError) as caught:
        figures.percent_bars(dots(label=["東予", "中予", "𠮷"]), words=WORDS)
    assert caught.value.code == "GLYPH_MISSING"
    assert "U+20BB7" in str(caught.value)


def test_caption_and_alt_are_escaped():
    chart = figures.percent_bars(
        dots(label=["<b>", '"', "南予"]), words=figures.Words("<script>alert(1)</script>")
    )
    page = chart.to_html()
    assert "<script>" not in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("text", "em", "lines"),
    [
        ("失業・休職・退学", 4, ["失業・休", "職・退学"]),
        ("話す（電話）", 5, ["話す", "（電話）"]),  # no line ends with an opening mark
        ("電話する、会う", 4, ["電話する、", "会う"]),  # none begins with a closing one
        ("支援の受け方がわからないため", 13, ["支援の受け方が", "わからないため"]),  # even
        ("UCLA", 10, ["UCLA"]),
    ],
)
def test_wrap_breaks_japanese_labels(text, em, lines):
    assert figures.wrap(text, em=em).split("\n") == lines


def test_width_counts_full_width_as_one_em():
    assert figures.width_em("年代") == 2
    assert figures.width_em("20") == pytest.approx(1.1)  # 2 x 0.55


def months(**series):
    index = pd.date_range("2022-04-01", periods=3, freq="MS")
    return pd.DataFrame(series, index=index)


def test_series_over_time_say_every_number_and_date():
    dates = pd.DataFrame({"date": [pd.Timestamp(2022, 5, 10)], "label": ["新聞"]})
    table = months(架電数=[120.0, 90.0, np.nan], 応答数=[80.0, 70.0, 60.0])
    chart = figures.over_time(table, words=figures.Words("相談"), dates=dates)
    assert "架電数: 2022-04 120、2022-05 90、2022-06 秘匿" in chart.alt
    assert chart.words.foot == "1 新聞"
    again = figures.over_time(table, words=figures.Words("相談"), dates=dates)
    assert chart.svg == again.svg


def test_network_says_every_link():
    nodes = pd.DataFrame(
        {"name": ["a", "b", "c"], "label": ["入口", "中間", "出口"], "layer": [0, 1, 2]}
    )
    edges = pd.DataFrame({"from": ["a", "b", "a"], "to": ["b", "c", "c"], "label": ["30", "", "x"]})
    chart = figures.network(nodes, edges, words=figures.Words("流れ"))
    assert "入口 → 中間（30）、中間 → 出口、入口 → 出口（x）" in chart.alt
