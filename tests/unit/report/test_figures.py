"""Figures: what is drawn, said and hidden; glyphs, bytes and metadata."""

import base64
import codecs
import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tsunagari.errors import ConfigError
from tsunagari.report import charts, figures

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
            "estimate": [0.0, 2.31, 0.0, np.nan],
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


@pytest.mark.parametrize(("n_hidden", "n_rows"), [(2, 6), (3, 3)])
def test_a_third_hidden_row_leaves_them_all_out_and_the_foot_says_how_many(n_hidden, n_rows):
    shares = [None] * n_hidden + [5.0] * (6 - n_hidden)
    table = pd.DataFrame({"label": list("abcdef"), "estimate": shares}).astype({"estimate": float})
    chart = figures.percent_bars(table, words=WORDS)
    assert len(chart.data) == n_rows
    assert ("3" in chart.words.foot) == (n_hidden == 3)


def test_high_is_filled_in_its_colour_and_low_open_in_its_own():
    high, low = figures.COLOURS["verdicts"]["light"]
    table = dots(mark=["▲", "▽", ""])
    styles = [figures._mark_style(table, row) for row in range(3)]
    assert styles[:2] == [(high, "o", False), (low, "o", True)]
    assert styles[2][0] not in (high, low)


def test_alt_says_the_finding_the_largest_and_the_smallest_with_intervals():
    words = figures.Words("中予で高い", "割合（%）")
    chart = figures.interval_dots(dots(mark=["", "▲", "†"]), words=words)
    assert chart.alt == (
        "点と区間の図。中予で高い。最大は中予 9.4%（7.8〜11.3%）、最小は南予 5.0%（2.6〜8.6%）。"
    )


@pytest.mark.parametrize("length", [10, 90, 500])
def test_alt_has_200_characters_at_most_whatever_things_are_called(length):
    label = "長" * length
    words = figures.Words("題" * length, is_synthetic=True)
    chart = figures.interval_dots(dots(label=[label, f"{label}い", f"{label}う"]), words=words)
    assert len(chart.alt) <= 200
    assert "最大は" in chart.alt and "最小は" in chart.alt


def numbers_of(chart):
    """Return the lines of the table of a figure: the texts of the cells."""
    rows = re.findall(r"<tr>(.*?)</tr>", chart.to_html().split("<tbody>")[1])
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def csv_of(chart):
    address = re.search(r'href="([^"]+)"', chart.to_html())[1]
    data = base64.b64decode(address.removeprefix(charts.CSV))
    assert data.startswith(codecs.BOM_UTF8)
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


def test_table_and_file_say_every_number():
    table = dots(mark=["", "▲", "†"], n=[700, 940, 360], key=["r1", "r2", "r3"])
    words = replace(WORDS, number="図3", source="県の調査（2022年）")
    chart = figures.interval_dots(table, words=words)
    assert numbers_of(chart) == [
        ["東予", "6.4", "4.4〜9.0", "700"],
        ["中予", "9.4▲", "7.8〜11.3", "940"],
        ["南予", "5.0†", "2.6〜8.6", "360"],
    ]
    assert 'data-row="r2">9.4▲<' in chart.to_html()
    assert "図3のデータ（CSV、1 KB）" in chart.to_html()
    line = csv_of(chart)[1]
    assert line == {
        "図": "図3", "区分": "中予", "まとまり": "", "系列": "", "値": "9.4", "区間の下限": "7.8",
        "区間の上限": "11.3", "n（人）": "940", "単位": "%", "印": "▲",
        "出典": "県の調査（2022年）", "行": "r2",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)"])
def test_no_text_of_the_file_runs_as_a_formula(text):
    chart = figures.interval_dots(dots(label=[text, "中予", "南予"]), words=WORDS)
    assert csv_of(chart)[0]["区分"] == f"'{text}"


def test_numbers_of_a_synthetic_run_say_so_in_the_file():
    words = replace(WORDS, is_synthetic=True, source="県の調査")
    assert csv_of(figures.percent_bars(dots(), words=words))[0]["出典"] == "合成データ。県の調査"


def test_digits_follow_each_row():
    chart = figures.percent_bars(dots(decimals=[0, 1, 0]), words=WORDS)
    assert [line[1] for line in numbers_of(chart)] == ["6", "9.4", "5"]


def test_no_zero_carries_a_minus_in_table_and_file():
    table = pd.DataFrame({"label": ["甲"], "estimate": [-3.9], "lower": [-7.9], "upper": [-0.04]})
    chart = figures.interval_dots(table, words=WORDS, unit="ポイント")
    assert "<td>−7.9〜0.0</td>" in chart.to_html() and "-0.0" not in chart.to_csv()


def test_differences_carry_their_sign():
    chart = figures.interval_dots(
        dots(estimate=[2.3, -0.2, 0.04], lower=[1.0, -1.0, -1.0], upper=[3.0, 1.0, 1.0]),
        words=WORDS,
        unit="ポイント",
    )
    assert "最大は東予 +2.3ポイント（+1.0〜+3.0ポイント）" in chart.alt
    assert "最小は中予 -0.2ポイント" in chart.alt
    assert csv_of(chart)[1]["値"] == "-0.2"


def test_hidden_number_is_x_and_nowhere_else():
    chart = figures.interval_dots(
        dots(
            estimate=[6.4, np.nan, 5.0], lower=[4.4, np.nan, 2.6], upper=[9.0, np.nan, 8.6],
            n=[700, 9, 360], key=["r1", "r2", "r3"],
        ),
        words=WORDS,
    )  # fmt: skip
    assert "秘匿 1" in chart.alt
    assert numbers_of(chart)[1] == ["中予", "x", "", ""]
    line = csv_of(chart)[1]
    assert (line["値"], line["n（人）"], line["行"]) == ("x", "", "")
    assert "nan" not in (chart.alt + chart.to_html()).lower()


def test_bar_with_a_hidden_answer_is_left_out_and_named():
    table = bars({"東予": [7.5, 92.0, 0.5], "南予": [np.nan, 92.0, 0.5]})
    chart = stacked(table)
    assert "南予" not in chart.alt
    assert chart.words.foot.endswith("図に示していない区分：南予。")


def test_bar_with_hidden_no_answer_leaves_no_gap():
    # 40 + 50 = 90: a gap of 10 would give the hidden share away. Drawn alone, 40 of 90 fill 44.4 %
    # of the bar, as 44.4 and 55.6 do of 100: the same drawing but for the labels.
    hidden = stacked(bars({"東予": [40.0, 50.0, np.nan]}))
    whole = stacked(bars({"東予": [400 / 9, 500 / 9]}, categories=("ある", "ない")))
    assert "合計を全体として描いています" in hidden.words.foot
    edges = [
        sorted(set(re.findall(r'd="M ([\d.]+) [^"]+" clip-path', chart.svg)))
        for chart in (hidden, whole)
    ]
    assert set(edges[0]) <= set(edges[1])


def test_stacked_bars_say_shares_of_every_group():
    chart = stacked(bars({"県": [7.5, 92.0, 0.5], "全国": [4.9, 94.5, 0.6]}))
    assert "最大は全国のない 94.5%、最小は県の無回答 0.5%" in chart.alt
    assert len(numbers_of(chart)) == 6


def test_bars_of_one_axis_stand_under_its_heading():
    table = bars({"東予": [7.5, 92.0, 0.5], "男性": [4.9, 94.5, 0.6]})
    chart = stacked(table.assign(block=["地域"] * 3 + ["性別"] * 3))
    assert numbers_of(chart)[0] == ["ある", "地域", "東予", "7.5"]
    assert chart.svg.count("<use") > stacked(table).svg.count("<use")  # the headings


def test_forest_of_a_withheld_model_says_that_nothing_can_be_shown():
    chart = figures.forest(forest_table().iloc[:0], words=WORDS)
    assert "示せる区分はない" in chart.alt


def test_forest_says_reference_interval_and_hidden():
    chart = figures.forest(forest_table(), words=WORDS)
    assert "最大は年代の20代 +2.3ポイント（+1.4〜+3.9ポイント）" in chart.alt
    lines = numbers_of(chart)
    assert lines[0][:3] == ["60代（基準）", "年代", "0.0"]
    assert lines[3][:3] == ["いない", "同居人", "x"]


PLOTS = {
    "bars": lambda label: figures.percent_bars(dots(label=[label, "中予", "南予"]), words=WORDS),
    "dots": lambda label: figures.interval_dots(
        dots(label=[label, "中予", "南予"], n=[1842, 9, 30]), words=WORDS, label_em=14
    ),
    "stacked": lambda label: stacked(bars({label: [7.5, 92.0, 0.5], "全国": [4.9, 94.5, 0.6]})),
}


@pytest.mark.parametrize("name", PLOTS)
def test_half_of_the_width_is_plot_however_long_a_label_is(name):
    svg = PLOTS[name]("失業・休職・退学・休学（中退・不登校を含む）" * 2).svg
    left, right = map(
        float, re.search(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg).groups()
    )
    assert right >= 316.8 / 2  # points: 4.4 inches


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
        ("愛媛県 2022年度", 6, ["愛媛県", "2022年度"]),  # a number stays whole
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
    assert numbers_of(chart)[:3] == [
        ["2022-04", "架電数", "120"], ["2022-05", "架電数", "90"], ["2022-06", "架電数", "x"]
    ]  # fmt: skip
    assert chart.words.foot == "1 新聞"
    again = figures.over_time(table, words=figures.Words("相談"), dates=dates)
    assert chart.svg == again.svg


def test_dates_of_one_day_stand_apart():
    def places(*days):
        dates = pd.DataFrame({"date": pd.to_datetime([*days]), "label": [*"あいう"[: len(days)]]})
        chart = figures.over_time(table, words=figures.Words("相談"), dates=dates)
        found = re.findall(r"translate\(([\d.]+) ([\d.]+)\)", chart.svg)
        return {(float(x), float(y)) for x, y in found}

    table = months(架電数=[120.0, 90.0, 80.0])
    one, two, three = sorted(places(*["2022-05-10"] * 3) - places())
    assert one[1] == two[1] == three[1]
    assert min(two[0] - one[0], three[0] - two[0]) > 6  # a digit is 5 wide


def test_network_says_every_link():
    nodes = pd.DataFrame(
        {"name": ["a", "b", "c"], "label": ["入口", "中間", "出口"], "layer": [0, 1, 2]}
    )
    edges = pd.DataFrame({"from": ["a", "b", "a"], "to": ["b", "c", "c"], "label": ["30", "", "x"]})
    chart = figures.network(nodes, edges, words=figures.Words("流れ"))
    assert "入口 → 中間（30）、中間 → 出口、入口 → 出口（x）" in chart.alt
