"""The report: only published rows, nothing hidden shown, escaped text, other studies, workbook."""

import json
import re
import zipfile

import nbformat
import numpy as np
import openpyxl
import pandas as pd
import pytest
from python_calamine import CalamineWorkbook
from tests.browser import published_sample as sample

from tsunagari import report
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.study import InputError, KernelError

FORBIDDEN = ["原因", "効果があった", "有意傾向", "ランキング"]
PARTS = "summary method loneliness ties others comparison factors limits appendix crosses".split()


@pytest.fixture(scope="module")
def rows():
    return sample.estimates()


def make_published(rows, *, is_synthetic=False, **changes) -> report.Published:
    text = json.dumps(sample.about(is_synthetic=is_synthetic) | changes)
    return report.Published(estimates=rows, about=json.loads(text))


@pytest.fixture(scope="module")
def council(rows):
    return report.build_report(make_published(rows))


@pytest.fixture(scope="module")
def synthetic(rows):
    return report.build_report(make_published(rows, is_synthetic=True))


def page_of(council: report.Report) -> str:
    return "".join(council.part(name).to_html() for name in PARTS)


def words_of(council: report.Report) -> str:
    """Everything a reader can read: text and alt, without tags and drawings."""
    page = re.sub(r'src="[^"]*"', "", page_of(council))
    alts = " ".join(re.findall(r'alt="([^"]*)"', page))
    return re.sub(r"<[^>]+>", " ", page) + alts


def notebook_of(council: report.Report) -> nbformat.NotebookNode:
    notebook = nbformat.v4.new_notebook()
    shown = [council._repr_html_(), *(council.part(name).to_html() for name in PARTS)]
    for number, text in enumerate(shown):
        cell = nbformat.v4.new_code_cell("secret_code()")
        cell.outputs = [nbformat.v4.new_output("execute_result", data={"text/html": text})]
        notebook.cells += [nbformat.v4.new_markdown_cell(f"## 節{number}"), cell]
    return notebook


# --- reading ------------------------------------------------------------------------------------


def test_reads_published_alone(tmp_path, monkeypatch):
    sample.write_sample(tmp_path)  # no data/raw, no private/
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    published = report.read_published("ehime", sample.YEAR)
    assert published.is_synthetic
    assert published.title == "愛媛県 孤独・孤立に関する実態調査 報告書（2023年調査）"
    assert len(report.build_report(published).charts) >= 8


def test_reads_the_staging_folder_of_a_run(tmp_path, monkeypatch):
    folder = sample.write_sample(tmp_path)
    monkeypatch.setenv("TSUNAGARI_STAGING", str(folder.parent))
    assert report.read_published("ehime", sample.YEAR).year == sample.YEAR


def test_says_when_the_gate_has_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    with pytest.raises(InputError, match="STEP_MISSING"):
        report.read_published("ehime", 2022)


def test_says_which_column_is_missing(tmp_path, monkeypatch):
    folder = sample.write_sample(tmp_path)
    table = pd.read_csv(folder / "estimates.csv").drop(columns="verdict")
    table.to_csv(folder / "estimates.csv", index=False)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    with pytest.raises(InputError, match="verdict"):
        report.read_published("ehime", sample.YEAR)


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (7.6, {}, "7.6"),
        (8.0, {"decimals": 0}, "8"),
        (-1.25, {"decimals": 2, "is_signed": True}, "−1.25"),
        (2.6, {"is_signed": True}, "+2.6"),
        (-0.0, {"is_signed": True}, "0.0"),
        (1_142_000.0, {"decimals": 0}, "1,142,000"),
        (np.nan, {}, "…"),
    ],
)
def test_numbers_as_the_page_shows_them(value, options, text):
    assert report.format_number(value, **options) == text


@pytest.mark.parametrize(
    ("change", "estimate", "interval", "base"),
    [
        ({}, "7.6", "6.4〜8.8", "2,000"),
        ({"n_unweighted": 199.0}, "8", "6〜9", "199"),  # base under 200: whole per cent
        ({"domain": "age_group x sex"}, "8", "6〜9", "2,000"),  # so are three variables
        ({"table_id": "model_lonely", "n_unweighted": 199.0}, "7.6", "6.4〜8.8", "199"),
        ({"n_unweighted": 29.0, "status": "reference"}, "8", "6〜9", "29*"),
        ({"n_unweighted": 49.0, "status": "low_base"}, "8", "6〜9", "49†"),
        ({"status": "suppressed"}, "x", "x", "x"),
        ({"lower": np.nan}, "7.6", "", "2,000"),
    ],
)
def test_signs_of_a_percent(change, estimate, interval, base):
    row = {"unit": "percent", "estimate": 7.6, "lower": 6.4, "upper": 8.8, "status": "published"}
    row |= {"n_unweighted": 2000.0, "table_id": "headline", "domain": "sex"} | change
    assert report.format_estimate(row) == estimate
    assert report.format_interval(row) == interval
    assert report.format_base(row) == base


# --- what the report says -----------------------------------------------------------------------


def test_at_least_eight_figures_and_all_numbered(council):
    assert len(council.charts) >= 8
    numbers = council.contents["number"].tolist()
    n_tables = len(council.tables)
    assert numbers[:n_tables] == [f"表{n}" for n in range(1, n_tables + 1)]
    assert numbers[n_tables:] == [f"図{n}" for n in range(1, len(council.charts) + 1)]


def test_every_figure_has_title_measure_n_source_and_alt(council):
    for chart in council.charts:
        assert chart.words.title
        assert (
            "%" in chart.words.subtitle
            or "ポイント" in chart.words.subtitle
            or ("オッズ比" in chart.words.subtitle)
        )
        assert "n=" in chart.words.foot
        assert "資料：" in chart.words.foot
        assert len(chart.alt) > 30
        assert "nan" not in chart.alt


def test_error_note_stands_under_every_table_with_intervals_and_every_figure_with_lines(council):
    for table in council.tables:
        cells = [cell for _, lines in table.groups for line in lines for cell in line[1:]]
        if any(re.fullmatch(r"[+−\d.]+〜[+−\d.]+", cell.small or cell.text) for cell in cells):
            assert sample.NOTE in table.note, table.caption
    for chart in council.charts:
        if "信頼区間" in chart.words.foot:
            assert sample.NOTE in chart.words.foot


def test_three_conclusions_each_with_its_table(council):
    shown = council.part("summary").to_html()
    conclusions = re.findall(r"<li>(.*?)</li>", re.search(r"<ol>(.*?)</ol>", shown).group(1))
    assert len(conclusions) == 3
    assert all(re.search(r'〔<a href="#t-[^"]+">表\d+</a>〕', text) for text in conclusions)
    words = re.sub("</?span[^>]*>", "", conclusions[0])
    assert "7.6%（95%信頼区間 6.4〜8.8%）" in words
    assert "全国より高い結果です" in conclusions[0]


def test_references_point_to_tables_of_the_page(council):
    page = page_of(council)
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets
    assert targets <= set(re.findall(r'id="([^"]+)"', page))
    assert "⟦" not in page


def test_plain_words(council, synthetic):
    for each in (council, synthetic):
        assert [word for word in FORBIDDEN if word in words_of(each)] == []


def test_effects_are_told_as_associations_at_equal_conditions(council):
    text = council.part("factors").to_html()
    assert "ほかの条件が同じなら、" in text
    assert "という関連がみられます" in text
    assert "どちらが先かは分かりません" in text


def test_finding_stands_in_the_title_where_the_test_holds(council):
    titles = council.contents["title"].tolist()
    assert "「孤独感がしばしば・常にある」の割合は、年齢をそろえると全国より高い" in titles
    assert "「孤独感がしばしば・常にある」の割合（年代別）" in titles  # nothing marked: neutral


def test_synthetic_run_never_reads_like_a_finding(synthetic):
    assert all(
        chart.words.title.startswith("合成データによる表示例：") for chart in synthetic.charts
    )
    assert all(chart.words.is_synthetic for chart in synthetic.charts)
    assert all(table.is_synthetic for table in synthetic.tables)
    sentences = re.findall(r"<li>(.*?)</li>", synthetic.part("factors").to_html())
    assert sentences
    assert all(text.startswith("（表示例）") for text in sentences)


def test_real_run_carries_no_banner(council):
    assert "合成データ" not in words_of(council)


def test_verdict_words_and_caveat(council):
    text = council.part("comparison").to_html()
    for word in ("高い", "差は確認できない", "比較できない"):
        assert word in text
    assert "方法がちがいます" in text
    assert "方式の違いによる差を含む" in text


# --- nothing hidden, nothing small ----------------------------------------------------------------


def test_hidden_rows_show_no_number_even_if_the_file_holds_one(rows):
    # A slip of the gate: hidden rows keep a number (over 100: no other row has it).
    leaky = rows.copy()
    hidden = leaky["status"] == "suppressed"
    assert hidden.sum() > 20
    leaky.loc[hidden, ["estimate", "lower", "upper", "n_unweighted"]] = 101.3
    leaky.loc[hidden, "mark"] = "▲"
    leaky.loc[hidden & (leaky["measure"] == "count"), "estimate"] = 101.3
    assert "101.3" not in words_of(report.build_report(make_published(leaky)))


def test_reference_values_stand_in_no_sentence(rows):
    table = rows.copy()
    own = table["table_id"].str.startswith("cross_") & (table["status"] != "suppressed")
    table.loc[own, ["status", "mark"]] = ["reference", "▲"]
    council = report.build_report(make_published(table))
    assert "そのほかの人より高い結果です" not in words_of(council)
    titles = [chart.words.title for chart in council.charts]
    assert not any("代で高い" in title for title in titles)


def test_no_figure_rests_on_a_base_under_the_minimum(rows):
    table = rows.copy()
    own = (table["table_id"] == "cross_age_band__lonely_direct") & (table["domain_value"] == "20s")
    table.loc[own, ["n_unweighted", "estimate", "status"]] = [9.0, 43.21, "published"]
    council = report.build_report(make_published(table))
    assert not any("43.2" in chart.alt for chart in council.charts)


# --- other studies --------------------------------------------------------------------------------


def test_study_without_benchmark_waves_model_and_questions_renders(rows):
    gone = ("national_", "waves_", "model_", "headline", "ledger")
    gone += ("gt_event", "gt_contact", "gt_particip", "gt_consult", "gt_trouble")
    kept = rows[~rows["table_id"].str.startswith(gone)]
    kept = kept[~kept["table_id"].str.contains("__event|__contact|__particip|__consult|__trouble")]
    indicators = {
        name: each
        for name, each in sample.about(is_synthetic=False)["indicators"].items()
        if name in ("lonely_often", "ucla_high")
    }
    council = report.build_report(
        make_published(
            kept,
            benchmark=None,
            indicators=indicators,
            title="EU Loneliness Survey (France)",
            area="フランス",
            error_note="誤差は、単純無作為抽出とみなした参考値",
            regions=[],
            notes=[],
            population_note=None,
            weighting_label="調査票に付いた重み",
        )
    )
    page = page_of(council)
    assert "比べられる全国の公表値がありません" in page
    assert "比べられる前回の調査がありません" in page
    assert "関連する条件の分析がありません" in page
    assert "つながりについての集計がありません" in page
    assert "誤差は、単純無作為抽出とみなした参考値" in page
    assert sample.NOTE not in page
    assert "愛媛" not in page.replace("愛媛県に住む満16歳以上の人", "")
    assert len(council.charts) >= 2


def test_study_with_nothing_but_one_table_renders(rows):
    kept = rows[rows["table_id"] == "gt_lonely_direct"]
    page = page_of(report.build_report(make_published(kept, benchmark=None, axes=[], crosses=[])))
    assert "どの程度、孤独であると感じることがありますか" in page


def test_withheld_model_says_why(rows):
    kept = rows[~(rows["table_id"] == "model_lonely_often")]
    notice = {"wave": sample.YEAR, "table_id": "model_lonely_often", "measure": "count",
              "domain": "all", "domain_value": "all", "item": "model", "item_value": "SEPARATION",
              "item_label": "モデルは示さない", "status": "published",
              "reason": "該当者が足りないため、モデルは示しません。"}  # fmt: skip
    table = pd.concat([kept, pd.DataFrame([notice]).reindex(columns=ESTIMATE_COLUMNS)])
    text = report.build_report(make_published(table)).part("factors").to_html()
    assert "該当者が足りないため、モデルは示しません。" in text


def test_groups_are_named_from_the_highest_share_down(rows):
    marked = rows.assign(mark=rows["mark"].where(rows["domain"] == "all", "▲"))
    said = report._groups_sentence(make_published(marked))
    shares = re.findall(r"([\d.]+)%⟫▲", said)
    assert len(shares) == 3 and shares == sorted(shares, key=float, reverse=True)


@pytest.mark.parametrize(
    ("base", "said"), [("asked", "分母に含めて"), ("answered", "分母から除いて")]
)
def test_what_no_answer_counts_for_follows_the_table_plan(rows, base, said):
    told = " ".join(report._how_to_read(make_published(rows, base=base)))
    assert said in told


# --- hostile text -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sample.HOSTILE)
def test_hostile_words_are_plain_text_in_the_page_and_in_the_workbook(name, tmp_path):
    text = sample.HOSTILE[name]
    published = report.Published(*sample.hostile(text))
    page = report.export_html(notebook_of(report.build_report(published)))
    assert sample.dangers(page) == []
    assert not re.search(sample.CONTROLS, page)
    path = tmp_path / "tables.xlsx"
    report.write_workbook(published, path)
    book = openpyxl.load_workbook(path)
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not any(cell.data_type == "f" or cell.hyperlink for cell in cells)
    words = {cell.value for cell in cells if isinstance(cell.value, str)}
    read = CalamineWorkbook.from_path(path)
    lines = [line for one in read.sheet_names for line in read.get_sheet_by_name(one).to_python()]
    assert {value for line in lines for value in line if isinstance(value, str)} - {""} == words
    assert max(map(len, words)) <= 32_767
    assert not any(re.search(sample.CONTROLS, word) for word in words)
    assert sample.SHOWN.get(name, text) in words
    listed = {cell.value for cell in book["一覧"]["J"][1:]}  # item_label
    assert listed == {sample.SHOWN.get(name, text)}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<p onclick='x()'>a</p>", "<p>a</p>"),
        ("<iframe src='//x'></iframe>b", "b"),
        ("<script>x()</script>c", "c"),
        ("<style>p{}</style>d", "d"),
        ("<img src='https://x/y.png' alt='z'>", '<img alt="z">'),
        ("<img src='data:text/html;base64,AA' alt='z'>", '<img alt="z">'),
        ("<a href='https://x'>e</a>", "<a>e</a>"),
        ("<a href='#t-1'>e</a>", '<a href="#t-1">e</a>'),
        ("<a href='javascript:x()'>e</a>", "<a>e</a>"),
        ("<!-- secret -->f", "f"),
        ("<h1>title</h1>g", "g"),
        ('<th scope="col">h</th>', "h"),
        ('<div role="region" tabindex="0">i</div>', '<div role="region" tabindex="0">i</div>'),
    ],
)
def test_sanitise_keeps_what_pages_use(text, kept):
    assert report.sanitise(text) == kept


# --- the page -----------------------------------------------------------------------------------


def test_page_is_japanese_titled_and_closed(synthetic):
    page = report.export_html(notebook_of(synthetic))
    assert '<html lang="ja">' in page
    assert (
        "<title>【合成データ】愛媛県 孤独・孤立に関する実態調査 報告書（2023年調査）</title>"
        in page
    )
    assert page.count("<h1") == 1
    assert "default-src 'none'" in page
    assert "secret_code" not in page
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!#|data:image/svg)', page)
    assert "図1" in page
    assert page.count("<img ") == len(synthetic.charts)


def test_page_is_the_same_every_time(council):
    notebook = notebook_of(council)
    assert report.export_html(notebook) == report.export_html(notebook)


def test_contents_lead_to_every_section(council):
    page = report.export_html(notebook_of(council))
    listed = re.findall(r'<li><a href="#(s\d+)">', page)
    assert listed == re.findall(r'<h2 id="(s\d+)">', page)
    assert len(listed) == len(PARTS) + 1


def test_cells_marked_for_removal_and_printed_text_stay_out():
    notebook = nbformat.v4.new_notebook()
    kept = nbformat.v4.new_code_cell("x")
    kept.outputs = [
        nbformat.v4.new_output("stream", name="stderr", text="UserWarning in a folder"),
        nbformat.v4.new_output("execute_result", data={"text/plain": "plain"}),
        nbformat.v4.new_output("display_data", data={"text/html": "<p>shown</p>"}),
    ]
    gone = nbformat.v4.new_markdown_cell("# English title")
    gone.metadata["tags"] = ["remove-cell"]
    notebook.cells = [gone, kept]
    page = report.export_html(notebook, title="題 & 名", is_synthetic=False)
    assert "<p>shown</p>" in page
    assert "<h1>題 &amp; 名</h1>" in page
    for word in ("English title", "UserWarning", "plain</", "合成データ"):
        assert word not in page


def test_no_page_from_a_failed_run():
    notebook = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("x")
    cell.outputs = [nbformat.v4.new_output("error", ename="E", evalue="答え", traceback=[])]
    notebook.cells = [cell]
    with pytest.raises(KernelError) as caught:
        report.export_html(notebook)
    assert "答え" not in str(caught.value)


# --- the workbook -----------------------------------------------------------------------------


def test_workbook_is_the_same_every_time(rows, tmp_path):
    published = make_published(rows)
    for name in ("a.xlsx", "b.xlsx"):
        report.write_workbook(published, tmp_path / name)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


def test_list_sheet_holds_the_estimates_as_they_are(rows, tmp_path):
    published = make_published(rows)
    report.write_workbook(published, tmp_path / "t.xlsx")
    found = pd.read_excel(tmp_path / "t.xlsx", sheet_name="一覧", dtype=object, engine="openpyxl")
    assert list(found.columns) == list(ESTIMATE_COLUMNS)
    assert len(found) == len(published.estimates)
    numbers = found["estimate"].astype(float)
    np.testing.assert_allclose(numbers, published.estimates["estimate"])


def test_sheets_have_one_header_row_and_no_merged_cells(rows, tmp_path):
    report.write_workbook(make_published(rows, is_synthetic=True), tmp_path / "t.xlsx")
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    names = ["表紙", "注意", "一覧", "GT", "クロス", "全国比較", "前回比較", "関連する条件"]
    assert book.sheetnames == names
    for sheet in book:
        assert sheet.sheet_state == "visible"
        assert not sheet.merged_cells.ranges
        header = [cell.value for cell in sheet[1]]
        assert all(header)
        assert header[-1] == "データの種類"
        assert {row[-1].value for row in sheet.iter_rows(min_row=2)} == {"合成データ"}
        assert "合成データ" in sheet.oddHeader.center.text


def test_workbook_names_nobody_and_has_only_known_parts(rows, tmp_path):
    report.write_workbook(make_published(rows), tmp_path / "t.xlsx")
    with zipfile.ZipFile(tmp_path / "t.xlsx") as book:
        names = book.namelist()
        core = book.read("docProps/core.xml").decode()
    assert not [n for n in names if re.search("comment|pivot|external|drawing|vba|custom", n)]
    assert "<dc:creator></dc:creator>" in core
    assert "2000-01-01T00:00:00Z" in core
