"""The resource finder in a real browser, as whoever takes a call uses it: keys, clicks, paper."""

import shutil
import subprocess

import pytest
from tests.browser import resource_sample as sample
from tests.browser.visiting import Visit

ROWS = (
    {"org_name": "あおぞらの家", "org_name_kana": "アオゾラノイエ", "trouble_codes": "4"},
    {"org_name": "県の夜間電話", "org_name_kana": "ケンノヤカンデンワ", "area_codes": "38000",
     "open_days": "火金", "opens_at": "20:00", "closes_at": "02:00", "trouble_codes": "1;4;9",
     "address_text": ""},
    {"org_name": "まつやま家計相談", "org_name_kana": "マツヤマカケイソウダン",
     "trouble_codes": "4;6", "phone_public": "089-000-1234", "url": "https://example.jp/kakei"},
    {"org_name": "今治ケアラーの会", "org_name_kana": "イマバリケアラーノカイ",
     "trouble_codes": "6", "area_codes": "38202", "open_days": "第2月", "assured_on": ""},
    {"org_name": "全国２４時間ライン", "org_name_kana": "ゼンコクニジュウヨジカンライン",
     "area_codes": "00000", "trouble_codes": "9", "open_24h": "有", "phone_public": "0120-000-000"},
)  # fmt: skip
OVERFLOW = "document.scrollingElement.scrollWidth - window.innerWidth"


@pytest.fixture(scope="module")
def finder_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("finder") / "resource_finder.html"
    rows = sample.table(*ROWS, *({"org_name": f"みかんの輪{n}"} for n in range(40)))
    path.write_text(sample.page(rows), encoding="utf-8")
    return path


@pytest.fixture(params=[1280, 390])
def visit(request, browser, finder_path):
    visit = Visit(browser, finder_path, width=request.param)
    yield visit
    assert visit.requests == []  # nothing is asked of the network, nothing complains
    assert visit.complaints == []
    visit.page.close()


def names(page) -> list[str]:
    return page.locator("#list h3").all_text_contents()


def said(page) -> str:
    return page.locator("[role=status]").inner_text()


def axe(page) -> list[tuple[str, str]]:
    from axe_playwright_python.sync_playwright import Axe

    results = Axe().run(page).response["violations"]
    return [(one["id"], node["html"][:80]) for one in results for node in one["nodes"]]


def test_three_clicks(visit):
    page = visit.page
    page.evaluate("""() => {
        Date.prototype.getDay = () => 2;  // Tuesday, 16:45: fifteen minutes after closing
        Date.prototype.getHours = () => 16;
        Date.prototype.getMinutes = () => 45;
    }""")
    page.get_by_text("収入・家計・借金など、お金のこと", exact=True).first.click()
    page.get_by_text("松山市", exact=True).first.click()
    assert names(page) == ["あおぞらの家", "まつやま家計相談", "県の夜間電話"]  # local ones first
    assert said(page).startswith("3 件（収入・家計・借金など、お金のこと・松山市）")
    assert "うち県全域・全国の窓口 1 件" in said(page)
    page.get_by_role("button", name="いま").click()
    assert names(page) == []
    assert "火曜・16:45" in said(page)
    page.get_by_role("button", name="受付時間をはずす（3 件）").click()
    assert len(names(page)) == 3
    assert page.evaluate("document.activeElement.id") == "results"


def test_a_region_finds_what_any_of_its_towns_has(visit):
    visit.page.get_by_text("東予のどこか", exact=True).click()
    assert names(visit.page) == ["今治ケアラーの会", "県の夜間電話", "全国２４時間ライン"]
    assert said(visit.page).startswith("3 件（東予のどこか）")


def test_keyboard_alone(visit):
    page = visit.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    page.keyboard.insert_text("０８９-０００１２３４")  # wide digits, other hyphens
    assert names(page) == ["まつやま家計相談"]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "results"
    page.keyboard.press("Tab")
    if page.locator(".back").is_visible():  # on a phone, the way back to the conditions
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.href") == "https://example.jp/kakei"
    while page.evaluate("document.activeElement.name") != "trouble":
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowDown")  # from 指定しない to the first trouble
    assert said(page).startswith("0 件（「０８９-０００１２３４」・話し相手や相談相手がいない）")
    page.get_by_role("button", name="すべて消す").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "word"
    assert said(page) == "45 件（すべて）"


WORDS = {
    "けあらー": ["今治ケアラーの会"],  # reading in hiragana
    "ｹｱﾗｰ": ["今治ケアラーの会"],
    "24時間ライン": ["全国２４時間ライン"],
    "家計　松山": ["あおぞらの家", "まつやま家計相談"],  # both words, wide space
    "お金 夜間": ["県の夜間電話"],
    "DV": ["県の夜間電話", "全国２４時間ライン"],  # 暴力: another word for the same
    "そのような団体はない": [],
}


def test_a_word_finds(visit):
    for word, expected in WORDS.items():
        visit.page.fill("#word", word)
        assert names(visit.page) == expected, word


def test_night_hours_belong_to_the_day_they_began(visit):
    page = visit.page  # open on Tuesday and Friday from 20:00 to 02:00
    for day, hour, is_open in (
        ("1", "21", True),
        ("2", "1", True),
        ("2", "2", False),
        ("1", "1", False),
        ("", "23", True),
    ):
        page.select_option("[name=day]", day)
        page.select_option("[name=hour]", hour)
        assert ("県の夜間電話" in names(page)) is is_open, (day, hour)
        assert "全国２４時間ライン" in names(page)
        assert names(page)[-1] == "今治ケアラーの会"  # hours not known: last, and said
        assert "受付時間がわからないもの 1 件" in said(page)


def test_more_moves_on_to_the_first_new_one(visit):
    page = visit.page
    assert len(names(page)) == 20
    page.get_by_role("button", name="つづきを表示").click()
    assert len(names(page)) == 40
    assert page.evaluate("document.activeElement.textContent") == names(page)[20]
    page.get_by_role("button", name="つづきを表示").click()
    assert len(names(page)) == 45
    assert page.get_by_role("button", name="つづきを表示").count() == 0


def test_a_word_still_being_converted_is_not_searched(visit):
    page = visit.page
    page.evaluate("""() => {
        const word = document.querySelector('#word');
        word.value = 'かk';
        word.dispatchEvent(new InputEvent('input', {bubbles: true, isComposing: true}));
    }""")
    assert said(page) == "45 件（すべて）"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, scheme):
    page = visit.page
    page.emulate_media(color_scheme=scheme)
    assert axe(page) == []
    page.get_by_label("家族の介護や看護のこと").check()
    assert names(page) == ["今治ケアラーの会", "まつやま家計相談"]
    assert axe(page) == []
    page.get_by_label("新居浜市").check()  # nobody: two ways out
    assert page.locator("#loosen button").count() == 2
    assert axe(page) == []
    for width in (page.viewport_size["width"], 320):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(OVERFLOW) <= 0
    small = """[...document.querySelectorAll('button, select, input[type=search], .choice, .jump')]
        .filter((e) => e.offsetParent && e.getBoundingClientRect().height < 24).length"""
    assert page.evaluate(small) == 0


def test_names_roles_and_headings(visit):
    page = visit.page
    assert page.evaluate("document.documentElement.lang") == "ja"
    assert page.title() == "【合成データ】支援先をさがす（愛媛県）"
    assert page.get_by_role("search", name="支援先をさがす条件").count() == 1
    assert page.get_by_role("searchbox", name="ことばで").count() == 1
    assert page.get_by_role("group", name="困りごとで").get_by_role("radio").count() == 5
    assert page.get_by_role("group", name="中予").get_by_role("radio").count() == 3  # and all
    script = "[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])"
    assert page.evaluate(script)[:3] == [1, 2, 3]


def test_says_when_the_list_itself_is_old(browser, finder_path):
    for today, is_old in (("2024-03-30", False), ("2024-04-01", True)):
        page = browser.new_page()
        page.clock.set_fixed_time(f"{today}T12:00:00Z")
        page.goto(finder_path.as_uri())
        assert page.get_by_text("この名簿は作成から1年以上たっています").is_visible() is is_old
        page.close()


def test_without_its_script_the_page_is_the_whole_list(browser, finder_path):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(finder_path.as_uri())
    assert page.locator("#list h3").count() == 45
    assert not page.locator("form").is_visible()
    page.context.close()


def test_paper_shows_all_that_was_found_and_both_marks(browser, finder_path, tmp_path):
    visit = Visit(browser, finder_path, width=1280)
    target = tmp_path / "page.pdf"
    visit.page.fill("#word", "みかん")
    visit.page.pdf(path=target, prefer_css_page_size=True)
    assert len(names(visit.page)) == 20
    visit.page.close()
    if not shutil.which("pdftotext"):
        pytest.skip("no pdftotext")
    done = subprocess.run(["pdftotext", str(target), "-"], capture_output=True, check=True)
    pages = done.stdout.decode().split("\f")[:-1]
    assert all("合成データ" in one and "公表前（未署名）" in one for one in pages)
    text = "".join(pages)
    assert text.count("みかんの輪") == 40
    assert "困りごとで" not in text


def test_policy_stops_any_other_script(browser, finder_path, tmp_path):
    path = tmp_path / "slipped.html"
    hostile = "<script>document.body.dataset.pwned=1</script></main>"
    page = finder_path.read_text(encoding="utf-8").replace("</main>", hostile)
    path.write_text(page, encoding="utf-8")
    visit = Visit(browser, path, width=390)
    assert visit.page.evaluate("document.body.dataset.pwned ?? null") is None
    assert said(visit.page) == "45 件（すべて）"
    visit.page.close()
