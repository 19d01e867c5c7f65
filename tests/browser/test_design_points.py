"""What a reader of 2026 expects of a static report of statistics, point by point.

Points 10 (colours of the drawings) and 7 (grey) are computed in unit/report/test_figures_colours.
"""

import csv
import io
import re
import xml.etree.ElementTree as ElementTree

import pytest
from tests.browser.visiting import Visit, write_page
from tests.unit.report import records_sample

from tsunagari.report import charts
from tsunagari.report.page import APPENDIX, build_report

THEMES = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "print": {"media": "print"},
}
LEGEND_FROM = 5  # answers


@pytest.fixture(scope="module")
def records_path(tmp_path_factory):
    """Return a page with every kind of programme record."""
    return write_page(build_report(records_sample.published()), tmp_path_factory.mktemp("records"))


@pytest.fixture
def paths(page_path, records_path):
    return [page_path, page_path.parent / APPENDIX, records_path]


@pytest.fixture(scope="module")
def page(browser, page_path):
    page = Visit(browser, page_path, width=1280).page
    yield page
    page.close()


@pytest.fixture(scope="module")
def drawings(council):
    return [chart for chart in council.charts if chart.words.number.startswith("図")]


def numbers(text):
    return set(re.findall(r"[\d,]+\.\d+|\d+(?=%|ポイント)", text))


def test_point_1_three_conclusions_with_a_number_or_none_confirmed_and_a_table(page):
    texts = page.locator(".part-summary ol").first.locator("li").all()
    assert 1 <= len(texts) <= 3
    for text in texts:
        assert re.search(r"\d%|ポイント|確認できません", text.inner_text())
        assert text.locator("a").count() == 1


def test_point_1_the_first_screen_shows_conclusions_decisions_and_the_first_indicator(
    browser, records_path
):
    page = Visit(browser, records_path, width=1280).page
    for place in (
        page.locator(".part-summary ol").nth(0),
        page.locator(".part-summary ol").nth(1),
        page.locator("#t-indicators tbody tr").first,
    ):
        box = place.bounding_box()
        assert box["y"] + box["height"] <= 900
    assert not page.locator("nav ol").is_visible()  # folded
    page.close()


def test_point_1_the_first_phone_screen_reaches_the_conclusions(browser, page_path):
    page = Visit(browser, page_path, width=390).page
    assert page.locator(".part-summary ol li").first.bounding_box()["y"] < 800
    page.close()


def test_point_11_a_phone_shows_each_line_of_the_main_volume_as_a_card(browser, records_path):
    page = Visit(browser, records_path, width=390).page
    assert page.locator(".cards").count() > 3
    for table in page.locator(".cards .scroll").all():
        assert table.evaluate("e => e.scrollWidth <= e.clientWidth")
    heads = page.locator("#t-indicators thead th").all_text_contents()[1:]
    line = page.locator("#t-indicators tbody tr").first
    told = [cell.get_attribute("data-head") for cell in line.locator("td").all()]
    assert told == heads
    page.close()


def test_point_2_a_title_states_the_finding_and_a_subtitle_what_it_is(drawings):
    for chart in drawings:
        title, subtitle = chart.words.title, chart.words.subtitle
        found = "高[いく]|低[いく]|確認できません|多い|関連がみられた"
        assert re.search(f"{found}|の割合：.+の区分ごと$", title), title  # the last: not tested
        assert re.search("%|ポイント", subtitle)
        assert re.search(r"n=[\d,]+", subtitle) and re.search(r"\d{4}年|令和", subtitle), subtitle
        assert len(subtitle) > 25


def test_point_3_every_link_within_the_page_arrives(page):
    gone = """[...document.querySelectorAll("a[href^='#']")].map(a => a.getAttribute('href'))
        .filter(h => h !== '#top' && !document.getElementById(h.slice(1)))"""
    assert page.evaluate(gone) == []


def test_point_4_a_table_of_numbers_for_every_figure(page, drawings):
    tables = page.locator("figure.chart details.data table").all()
    assert len(tables) == len(drawings)
    for table, chart in zip(tables, drawings, strict=True):
        text = " ".join(table.locator("tbody th, tbody td").all_text_contents())
        assert table.locator("tbody tr").count() == len(chart.data)
        assert numbers(chart.alt.replace("100%帯", "")) <= set(re.findall(r"\d+(?:\.\d+)?", text))


def test_point_5_alt_says_the_finding_with_intervals_and_is_short(drawings):
    alts = [chart.alt for chart in drawings]
    assert len({*alts}) == len(alts)
    for chart in drawings:
        assert len(chart.alt) <= 200
        assert "最大は" in chart.alt and chart.alt != chart.words.title
        assert "〜" in chart.alt or not {"lower", "upper"} & {*chart.data}
        root = ElementTree.fromstring(chart.svg)
        assert root.get("role") == "img" and root[0].tag.endswith("title") and root[0].text


def test_point_6_a_legend_only_for_five_answers_or_more_in_the_order_drawn(drawings):
    found = 0
    for chart in drawings:
        if "帯グラフ" not in chart.alt:
            continue
        boxes = re.findall(r'd="M ([\d.]+) [\d.]+ \nL ([\d.]+) [^"]*"\s+style="fill: (#\w+|url)',
                           chart.svg)  # fmt: skip
        legend = [
            fill for left, right, fill in boxes if abs(float(right) - float(left) - 10.8) < 0.1
        ]
        n_answers = chart.data.loc[chart.data["estimate"].notna(), "label"].nunique()
        found += len(legend) >= LEGEND_FROM
        assert len(legend) == (n_answers if n_answers >= LEGEND_FROM else 0), chart.words.title
        bar = re.findall(r'clip-path="[^"]+" style="fill: (#\w+|url)', chart.svg)
        assert [fill for fill in legend if fill in bar] == [*dict.fromkeys(bar)][: len(legend)]
    assert found


def test_point_8_a_csv_of_the_numbers_under_every_figure(page, drawings):
    links = page.locator("figure.chart .csv a")
    assert links.count() == len(drawings)
    for link, chart in zip(links.all_inner_texts(), drawings, strict=True):
        assert re.fullmatch(rf"{chart.words.number}のデータ（CSV、\d+ KB）", link)
    with page.expect_download() as download:
        links.first.click()
    data = download.value.path().read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") and download.value.suggested_filename == "図1.csv"
    lines = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert len(lines) == len(drawings[0].data)
    assert all(line["単位"] == "%" and line["出典"] and line["図"] == "図1" for line in lines)
    assert all(line["行"] or line["値"] == "x" for line in lines)


SMALL = """(least) => [...document.querySelectorAll('body *')].filter(e =>
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())
    && e.getClientRects().length && parseFloat(getComputedStyle(e).fontSize) < least)
    .map(e => e.tagName + '.' + e.className + ' ' + getComputedStyle(e).fontSize)"""


def test_point_9_text_of_14_pixels_on_screen_and_8_points_on_paper(browser, paths):
    for path in paths:
        page = Visit(browser, path, width=1280).page
        assert page.evaluate(SMALL, 13.99) == []
        lines = page.evaluate("""[...document.querySelectorAll('.part > p:not(.note):not(.top)')]
            .map(p => { const s = getComputedStyle(p);
            return [parseFloat(s.lineHeight) / parseFloat(s.fontSize),
                    p.getBoundingClientRect().width / parseFloat(s.fontSize)] })""")
        assert all(height >= 1.6 and width <= 47 for height, width in lines)
        page.emulate_media(media="print")
        assert page.evaluate(SMALL, 8 * 4 / 3 - 0.01) == []
        page.close()


@pytest.mark.parametrize("width", [320, 390])
def test_point_11_no_sideways_scroll_but_of_tables_that_show_it(browser, paths, width):
    for path in paths:
        page = Visit(browser, path, width=width).page
        assert page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth") <= 0
        cue = """[...document.querySelectorAll('.scroll')].map(e => [e.tabIndex,
            e.getAttribute('role'), !!e.getAttribute('aria-label'),
            getComputedStyle(e).backgroundImage.split('linear-gradient').length])"""
        assert {tuple(each) for each in page.evaluate(cue)} <= {(0, "group", True, 5)}
        page.close()


def test_point_12_focus_is_seen_and_nothing_covers_it(browser, page_path):
    page = Visit(browser, page_path, width=1280).page  # a click before would be the start of Tab
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        found = page.evaluate("""(() => { const e = document.activeElement;
            const s = getComputedStyle(e), r = e.getBoundingClientRect();
            const at = document.elementFromPoint(r.left + Math.min(r.width, 20) / 2,
                Math.max(r.top, 0) + Math.min(r.height, 20) / 2);
            return [e.tagName, parseFloat(s.outlineWidth), s.outlineStyle,
                    !!at && (e.contains(at) || at.contains(e))] })()""")
        seen.add(found[0])
        assert found[1] >= 4 and found[2] == "solid" and found[3], found
    assert seen >= {"A", "DIV", "SUMMARY"}
    fixed = "[...document.querySelectorAll('body *')].filter(e => " \
        "getComputedStyle(e).position === 'fixed').length"  # fmt: skip
    assert page.evaluate(fixed) == 0
    page.close()


def test_point_13_targets_of_24_pixels(browser, page_path):
    page = Visit(browser, page_path, width=390).page
    small = """[...document.querySelectorAll('nav li, summary, .csv a, .top a')]
        .filter(e => e.getBoundingClientRect().height < 24).map(e => e.textContent)"""
    assert page.evaluate(small) == []
    page.close()


@pytest.mark.parametrize("theme", THEMES)
def test_point_14_axe_finds_nothing(browser, paths, theme):
    from axe_playwright_python.sync_playwright import Axe

    for path, width in zip(paths, (1280, 1280, 390), strict=True):
        page = Visit(browser, path, width=width).page
        page.emulate_media(**THEMES[theme])
        results = Axe().run(page).response
        found = [(v["id"], v["impact"], [n["html"][:90] for n in v["nodes"][:3]])
                 for v in results["violations"]]  # fmt: skip
        assert found == [], path.name
        page.close()


def test_point_15_language_headings_and_few_landmarks(browser, paths):
    for path in paths:
        page = Visit(browser, path, width=1280).page
        assert page.evaluate("document.documentElement.lang") == "ja"
        levels = page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])"
        )
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
        marks = "header, nav, main, footer, aside, [role=region], section[aria-label]"
        assert page.locator(marks).count() <= 6
        unnamed = (
            "document.querySelectorAll('nav:not([aria-label]), aside:not([aria-label])').length"
        )
        assert page.evaluate(unnamed) == 0
        page.close()


def test_point_16_nothing_from_outside_no_script_three_megabytes(browser, paths):
    for path in paths:
        visit = Visit(browser, path, width=390)
        visit.page.mouse.wheel(0, 20_000)
        assert (visit.requests, visit.complaints) == ([], [])
        assert visit.page.locator("script").count() == 0
        assert path.stat().st_size <= 3_000_000
        assert "default-src 'none'" in path.read_text(encoding="utf-8")[:600]
        visit.page.close()


def grounds(page):
    """Return the ground of the page, and a picture of a drawing."""
    image = page.locator(".part-loneliness figure.chart img").first
    return page.evaluate("getComputedStyle(document.body).backgroundColor"), image.screenshot()


def test_point_17_pages_and_drawings_turn_dark_on_screen_and_stay_light_on_paper(page):
    shots = {}
    for theme, media in {
        **THEMES,
        "dark_print": {"color_scheme": "dark", "media": "print"},
    }.items():
        page.emulate_media(**({"color_scheme": "light", "media": "screen"} | media))
        shots[theme] = grounds(page)
    page.emulate_media(color_scheme="light", media="screen")
    assert shots["light"][0] == "rgb(255, 255, 255)" and shots["dark"][0] == "rgb(26, 26, 26)"
    assert shots["light"][1] != shots["dark"][1]
    assert shots["print"] == shots["dark_print"]
    page.emulate_media(forced_colors="active")
    borders = "getComputedStyle(document.querySelector('figure.chart img')).borderTopWidth"
    assert page.evaluate(borders) == "1px"
    page.emulate_media(forced_colors="none")


def test_point_18_paper_repeats_heads_splits_no_figure_and_hides_what_is_for_the_screen(page):
    page.emulate_media(media="print")
    style = (
        "(s, p) => [...new Set([...document.querySelectorAll(s)].map(e => getComputedStyle(e)[p]))]"
    )

    def styles(selector, name):
        return page.evaluate(f"([s, p]) => ({style})(s, p)", [selector, name])

    assert styles("thead", "display") == ["table-header-group"]
    assert styles("figure.chart", "breakInside") == ["avoid"]
    assert styles(".table.short", "breakInside") == ["avoid"]
    assert styles("details.data, .csv, .top, .skip", "display") == ["none"]
    page.emulate_media(media="screen")


def test_point_20_signs_are_explained_on_the_page_and_n_stands_in_every_figure(page, drawings):
    text = page.locator("main").inner_text()
    for sign in ("参考値", "秘匿", "▲ は高い", "… は値がない"):
        assert sign in text
    assert all("n=" in chart.words.subtitle for chart in drawings)


def test_point_21_beside_the_nation_stands_how_the_methods_differ(page):
    text = page.locator("main").inner_text()
    assert "全国は無作為抽出の郵送、県は割付のウェブ調査で、方法がちがいます。" in text


def test_point_25_every_number_of_a_figure_names_its_row(page):
    loose = """[...document.querySelectorAll('.data td')].filter(e =>
        /\\d/.test(e.textContent) && !e.dataset.row).map(e => e.textContent)"""
    assert page.evaluate(loose) == []
    assert charts.CSV.startswith("data:text/csv")
