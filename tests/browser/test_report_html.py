"""The council's page in a real browser: offline, accessible, readable at 390 px, printable."""

import hashlib
import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pypdf
import pytest
from tests.browser import published_sample as sample
from tests.browser.visiting import Visit, write_page, write_volumes

from tsunagari.report import pdf
from tsunagari.report.page import APPENDIX, build_report
from tsunagari.report.published import Published

ROOT = Path(__file__).resolve().parents[2]
AUDIT = ROOT.parent / "shared" / "tools" / "audit_html.mjs"  # optional, beside the project


@pytest.fixture(params=[1280, 390])
def visit(request, browser, page_path):
    visit = Visit(browser, page_path, width=request.param)
    yield visit
    visit.page.close()


def test_asks_for_nothing_and_does_not_complain(visit):
    visit.page.mouse.wheel(0, 20_000)
    assert visit.requests == []
    assert visit.complaints == []


def test_language_title_and_headings(visit):
    assert visit.page.evaluate("document.documentElement.lang") == "ja"
    assert visit.page.title().startswith("【合成データ】愛媛県")
    script = "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])"
    levels = visit.page.evaluate(script)
    assert levels.count(1) == 1
    assert levels[0] == 1
    steps = [b - a for a, b in zip(levels, levels[1:], strict=False)]
    assert max(steps) <= 1


def test_every_picture_is_drawn_and_described(visit, council):
    script = "[...document.images].map(i => [i.alt, i.complete && i.naturalWidth])"
    images = visit.page.evaluate(script)
    own = [chart for chart in council.charts if chart.words.number.startswith("図")]
    assert len(images) == len(own) >= 8
    assert all(len(alt) > 30 and width > 0 for alt, width in images)
    assert len({alt for alt, _ in images}) == len(images)


def test_text_in_pictures_is_nine_pixels_or_more(visit):
    shown = visit.page.evaluate("[...document.images].map(i => i.width / i.naturalWidth)")
    points = 10.0 * 4 / 3  # smallest text of a figure: 10 pt in CSS pixels
    assert min(shown) * points >= 9


def test_nothing_is_wider_than_the_window(visit):
    script = "document.scrollingElement.scrollWidth - window.innerWidth"
    assert visit.page.evaluate(script) <= 0


def test_tables_scroll_by_themselves_and_by_keyboard(visit):
    script = """[...document.querySelectorAll('table')].map(t => [
        t.parentElement.getAttribute('role'), t.parentElement.tabIndex,
        !!t.parentElement.getAttribute('aria-label'), !!t.caption,
        [...t.querySelectorAll('th')].every(th => th.scope)])"""
    found = visit.page.evaluate(script)
    assert len(found) > 15
    assert {tuple(row) for row in found} == {("group", 0, True, True, True)}


def test_banner_opens_the_page_and_covers_nothing_later(visit):
    box = visit.page.locator(".banner").bounding_box()
    below = visit.page.locator("aside.unsigned").bounding_box()
    assert 0 <= box["y"] <= below["y"] < 150  # side by side where the screen is wide
    assert box["y"] + box["height"] <= below["y"] or box["x"] + box["width"] <= below["x"]
    assert "合成データ" in visit.page.locator(".banner").inner_text()
    assert "公表前（未署名）" in visit.page.locator("aside.unsigned").inner_text()
    visit.page.mouse.wheel(0, 9_000)
    visit.page.wait_for_timeout(200)
    assert visit.page.locator(".banner").bounding_box()["y"] < -1_000


def test_every_character_has_a_glyph(visit):
    """A character is missing when it is painted like one that no font has."""
    script = """() => {
        const canvas = Object.assign(document.createElement('canvas'), {width: 24, height: 24});
        const pen = canvas.getContext('2d', {willReadFrequently: true});
        pen.font = '16px ' + getComputedStyle(document.body).fontFamily;
        const paint = c => {
            pen.clearRect(0, 0, 24, 24);
            pen.fillText(c, 2, 18);
            return pen.getImageData(0, 0, 24, 24).data.join();
        };
        const tofu = paint('\\u0378');
        const text = new Set(document.body.innerText.match(/[^\\x00-\\x7f\\s]/gu));
        return [...text].filter(c => paint(c) === tofu).join('');
    }"""
    assert visit.page.evaluate(script) == ""


@pytest.fixture(scope="module")
def printed(chromium, page_path, tmp_path_factory) -> dict[str, pypdf.PdfReader]:
    """Return what is printed of the volumes and of the summary, by name."""
    assert chromium  # skipped where there is none
    folder = tmp_path_factory.mktemp("printed")
    pdf.print_release(page_path.parent, folder)
    sources = json.loads((folder / pdf.SOURCES).read_text(encoding="utf-8"))
    main = hashlib.sha256(page_path.read_bytes()).hexdigest()
    assert {sources[name]["sha256"] for name in ("council_report.pdf", "summary.pdf")} == {main}
    return {path.stem: pypdf.PdfReader(path) for path in folder.glob("*.pdf")}


def test_prints_tagged_in_japanese_with_title_bookmarks_and_its_own_fonts(printed, council):
    assert set(printed) == {"council_report", "appendix", "summary"}
    for volume in council.volumes:
        book = printed[volume.name.removesuffix(".html")]
        root = book.trailer["/Root"]
        assert root["/MarkInfo"]["/Marked"] and root["/Lang"] == "ja"
        assert book.metadata.title == f"【合成データ】{volume.title}"
        title, chapters = book.outline
        headings = [re.sub("<.*?>", "", chapter.heading) for chapter in volume.chapters]
        found = [each.title for each in chapters if not isinstance(each, list)]
        assert title.title.startswith(volume.title) and found == headings
        kinds = tags_of(root["/StructTreeRoot"])
        assert {"/H1", "/H2", "/P", "/Table", "/TH", "/TD", "/Link"} <= kinds.keys()
        alts = set(re.findall('alt="(.*?)"', volume.to_html()))
        printed_alts = {html.escape(alt) for alt in kinds["alts"] if alt}
        assert printed_alts <= alts and len(alts - printed_alts) <= 1  # one figure of the summary
        fonts = [font for page in book.pages for font in page["/Resources"]["/Font"].values()]
        assert [one for one in map(pypdf.generic.IndirectObject.get_object, fonts)
                if not is_embedded(one)] == []  # fmt: skip


def tags_of(node, found=None):
    """Count the tags below a node of the tree of tags, and list the figures' texts."""
    found = {"alts": []} if found is None else found
    node = node.get_object()
    if isinstance(node, dict):
        kind = node.get("/S")
        found[kind] = found.get(kind, 0) + 1
        found["alts"] += [node.get("/Alt")] if kind == "/Figure" else []
        tags_of(node.get("/K", pypdf.generic.NullObject()), found)
    for each in node if isinstance(node, list) else ():
        tags_of(each, found)
    return found


def is_embedded(font) -> bool:
    if font["/Subtype"] == "/Type3":
        return True  # drawn in the file itself
    inner = font.get("/DescendantFonts", [font])[0].get_object()
    return any(name.startswith("/FontFile") for name in inner["/FontDescriptor"])


def test_prints_running_head_marks_and_page_numbers_and_the_summary_on_one_sheet(printed):
    assert len(printed["summary"].pages) == 1
    for book in printed.values():
        n = len(book.pages)
        for number, page in enumerate(book.pages, start=1):
            text = "".join(page.extract_text().split())
            assert "合成データ" in text and "公表前（未署名）" in text
            assert "愛媛県" in text and "（2023）年度" in text and f"{number}/{n}" in text
    for first in (printed["summary"].pages[0], printed["council_report"].pages[0]):
        lines = first.extract_text().splitlines()
        held = {"要点", "地域ごとの結果", "困りごとと、和らいだきっかけ", "読むときの注意"}
        assert held <= {line.strip() for line in lines} and "調査の概要" not in "".join(lines)


PLACES = "h1 tbody figcaption p li".split()


@pytest.mark.parametrize("name", sample.HOSTILE)
def test_hostile_words_are_plain_text(browser, name, tmp_path):
    text = sample.HOSTILE[name]
    shown = sample.SHOWN.get(name, text)
    council = build_report(Published(*sample.hostile(text)))
    path = write_page(council, tmp_path, is_synthetic=False)
    visit = Visit(browser, path, width=390)
    page = visit.page
    page.mouse.wheel(0, 20_000)
    assert page.evaluate("document.body.dataset.pwned ?? null") is None
    assert (visit.requests, visit.complaints) == ([], [])
    dangerous = "script, iframe, form, [onerror], a[href^='//']"
    outside = "a[href*=':']:not([href^='data:text/csv;'])"
    assert page.locator(f"{dangerous}, {outside}").count() == 0
    assert page.title().startswith(shown) and page.locator("h1").inner_text().startswith(shown)
    texts = {tag: page.locator(tag).all_inner_texts() for tag in PLACES}
    assert [tag for tag, each in texts.items() if not any(shown in one for one in each)] == []
    assert all(one.strip() for one in page.locator("th").all_text_contents())
    alts = page.evaluate("[...document.images].map(i => i.alt)")
    assert alts and all(shown[:30] in alt for alt in alts)
    assert not re.search(sample.CONTROLS, page.content())
    assert page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth") <= 0
    page.goto((path.parent / APPENDIX).as_uri())
    for tag in ("thead", "caption"):
        assert any(shown in one for one in page.locator(tag).all_inner_texts())
    page.close()


def test_script_in_an_answer_does_not_run(browser, tmp_path):
    payload = "<script>document.body.dataset.pwned=1</script><img src=x onerror=alert(1)>"
    notebook = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("x")
    cell.outputs = [nbformat.v4.new_output("display_data", data={"text/html": payload})]
    notebook.cells = [nbformat.v4.new_markdown_cell(payload), cell]
    path = write_volumes(notebook, tmp_path, is_synthetic=True)
    visit = Visit(browser, path, width=390)
    assert visit.page.evaluate("document.body.dataset.pwned ?? null") is None
    assert visit.requests == []
    visit.page.close()


def test_policy_stops_a_script_that_slipped_through(browser, page_path, tmp_path):
    hostile = page_path.read_text(encoding="utf-8").replace(
        "</main>", "<script>document.body.dataset.pwned=1</script></main>"
    )
    path = tmp_path / "slipped.html"
    path.write_text(hostile, encoding="utf-8")
    visit = Visit(browser, path, width=390)
    assert visit.page.evaluate("document.body.dataset.pwned ?? null") is None
    visit.page.close()


@pytest.mark.skipif(
    not (AUDIT.exists() and shutil.which("node") and os.environ.get("AUDIT_MODULES")),
    reason="the workplace's audit needs node and AUDIT_MODULES",
)
def test_audit_of_the_workplace(chromium, page_path):
    done = subprocess.run(
        ["node", str(AUDIT), "--strict", "--dark", str(page_path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CHROMIUM": chromium},
    )
    if done.returncode == 3:
        pytest.skip("the audit's modules are not installed")
    assert done.returncode == 0, json.loads(done.stdout)["failed"]
