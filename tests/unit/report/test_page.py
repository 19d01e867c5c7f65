"""The page: what it says, nothing hidden shown, other studies, escaped text, HTML alone."""

import re

import nbformat
import openpyxl
import pandas as pd
import pytest
from python_calamine import CalamineWorkbook
from tests.browser import published_sample as sample

from tsunagari.errors import KernelError
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.gate import hiding
from tsunagari.report import charts, page, pictures
from tsunagari.report.blocks import Picture
from tsunagari.report.published import Published
from tsunagari.report.workbook import write_workbook
from tsunagari.report.writer import Writer

FORBIDDEN = ["原因", "効果があった", "有意傾向", "ランキング"]


def words_of(council: page.Report) -> str:
    """Everything a reader can read: text and alt, without tags and drawings."""
    text = re.sub(r'src="[^"]*"', "", council._repr_html_())
    alts = " ".join(re.findall(r'alt="([^"]*)"', text))
    return re.sub(r"<[^>]+>", " ", text) + alts


def words_of_chapter(chapter) -> str:
    return re.sub(r"<[^>]+>", "", chapter.to_html())


def report_of(rows, **changes) -> page.Report:
    return page.build_report(sample.published(rows, **changes))


def notebook_of(council: page.Report) -> nbformat.NotebookNode:
    notebook = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("secret_code()")
    shown = {"text/html": council._repr_html_()}
    cell.outputs = [nbformat.v4.new_output("execute_result", data=shown)]
    notebook.cells = [cell]
    return notebook


# --- what the report says -----------------------------------------------------------------------


def test_at_least_eight_figures_and_all_numbered(council):
    assert len(council.charts) >= 8
    numbers = council.contents["number"].tolist()
    for kind in ("表", "図", "資料表"):
        own = [number for number in numbers if number.rstrip("0123456789") == kind]
        assert own == [f"{kind}{n}" for n in range(1, len(own) + 1)] and own
    assert len(set(numbers)) == len(numbers) == len(council.tables) + len(council.charts)


def test_every_figure_has_title_measure_n_source_and_alt(council):
    for chart in council.charts:
        assert chart.words.title
        assert "%" in chart.words.subtitle or "ポイント" in chart.words.subtitle
        assert "n=" in chart.words.subtitle
        assert "資料：" in chart.words.foot
        assert len(chart.alt) > 30
        assert "nan" not in chart.alt


def test_what_an_interval_means_stands_once_and_the_signs_once_a_chapter(council):
    assert words_of(council).count(sample.NOTE) == 1
    assert not any(sample.NOTE in table.note for table in council.tables)
    signs = {
        name: words_of_chapter(each).count("▲ は高い") for name, each in council.chapters.items()
    }
    assert {name for name, n in signs.items() if n} >= {"questions", "loneliness", "appendix"}
    assert max(signs.values()) == 1
    marked = {name for name, each in council.chapters.items()
              if re.search(r"[▲▽]", words_of_chapter(each))}  # fmt: skip
    said_elsewhere = {"summary", "glossary"}  # its cautions say where; a word list
    assert [name for name in marked - said_elsewhere if not signs[name]] == []


def test_the_rule_of_the_marks_and_what_carries_one_agree(council, told):
    assert "検定で確かめられた3ポイント以上の差に付けます" in words_of(council)
    small = told.estimates["estimate"].abs() < told.about["marks"]["point_threshold"]
    verdicts = small & told.estimates["verdict"].eq("高い")
    assert verdicts.any()  # of a comparison with the nation, whatever its size
    (nation,) = [c for c in council.charts if c.words.subtitle.startswith("愛媛県の割合から")]
    assert set(nation.data["mark"]) == {"高い", ""}
    assert "<td data-row" in nation.to_html() and " 高い</td>" in nation.to_html()


def test_references_point_to_tables_of_the_same_and_of_the_other_volume(council):
    shown = {volume.name: volume.to_html() for volume in council.volumes}
    assert [*shown] == [page.MAIN, page.APPENDIX]
    for name, text in shown.items():
        targets = re.findall(r'href="([\w.]*)#([^"]+)"', text)
        assert {file for file, _ in targets} - {""} == {*shown} - {name}  # links both ways
        targets = [(file, to) for file, to in targets if to != "top"]
        assert [to for file, to in targets if f'id="{to}"' not in shown[file or name]] == []
        assert "⟦" not in text


def test_plain_words(council, synthetic):
    for each in (council, synthetic):
        assert [word for word in FORBIDDEN if word in words_of(each)] == []


def test_effects_are_told_as_associations_at_equal_conditions(council):
    text = council.chapters["factors"].to_html()
    assert "ほかの条件が同じなら、" in text
    assert "という関連がみられます" in text
    assert "どちらが先かは分かりません" in text


def test_a_difference_of_another_base_than_the_share_beside_it_is_told(rows):
    of_nation = rows["table_id"].str.startswith("national_") & (rows["domain"] == "all")
    item = rows.loc[of_nation, "item"].iloc[0]
    assert "無回答を除いた割合で計算" not in report_of(rows).chapters["summary"].to_html()
    fewer = rows.assign(
        n_unweighted=rows["n_unweighted"].mask(of_nation & (rows["item"] == item), 400)
    )
    text = report_of(fewer).chapters["summary"].to_html()
    assert re.search(
        "「[^」]+」の全国との差は、公表値と同じく、無回答を除いた割合で計算しています。", text
    )


def test_the_title_of_a_model_names_the_conditions_of_its_sentences(rows):
    table = sample.with_six_effects(rows)
    council = report_of(table)
    titles = council.contents["title"][council.contents["title"].str.contains("関連がみられた")]
    (title,) = [title for title in titles if "孤独感がしばしば" in title]
    said = re.findall("<li>(.*?)</li>", council.chapters["factors"].to_html())
    named = title.partition("関連がみられたのは、")[2].removesuffix("など").split("・")
    assert title.endswith("など") and len(said) == 6
    assert {*named} == {"年代", "同居人の有無", "暮らし向き"}  # the smallest, of sex, is left
    assert all(any(name.removesuffix("の有無") in line for line in said[:5]) for name in named)
    assert "ほかに関連がみられた条件は、性別です。" in said[5]
    assert "比べる相手（基準の区分）は" in council.chapters["factors"].to_html()


def test_the_chapter_of_ties_says_level_and_marked_groups_of_its_indicators(rows):
    table = rows.assign(mark="")
    own = table["table_id"].eq("cross_sex__consult_has") & table["item_value"].eq("2")
    table.loc[own & table["domain_value"].eq("1"), "mark"] = "▲"
    text = words_of_chapter(report_of(table).chapters["ties"])
    assert re.search(
        r"「相談相手がいない人」は11\.5%（[\d.]+〜[\d.]+%）です。"
        r"そのほかの人より高いのは性別「男性」[\d.]+%▲です。〔資料表\d+〕",
        text,
    )
    assert re.search(r"「直接会って話すことが全くない人」は11\.0%（[^）]*）です。〔", text)


def test_finding_stands_in_the_title_where_the_test_holds(council):
    titles = council.contents["title"].tolist()
    assert "「孤独感がしばしば・常にある人」の割合は、全国より高い" in titles
    assert "「孤独感がしばしば・常にある人」の割合に、地域・性別による差は確認できません" in titles
    assert "最も多い答えは、直接会って話す頻度が「月1回程度」、電話の頻度が「月1回程度」" in titles


def test_a_title_says_of_which_ages_the_drawn_shares_are_and_the_source_of_which_year(council):
    charts_of = [chart.words for chart in council.charts if "全国" in chart.words.title]
    assert len(charts_of) == 4  # all indicators, two distributions, the gaps
    for words in charts_of:
        is_aged = words.title.startswith("年齢をそろえると、")
        assert is_aged == ("年齢をそろえた値" in words.subtitle)
        assert is_aged != ("年齢をそろえる前の値" in words.subtitle)
        assert words.source == (
            "愛媛県 孤独・孤立に関する実態調査（2023年度、2024年1月調査）、"
            "全国（人々のつながりに関する基礎調査） 2023年"
        )


def test_a_nation_that_cannot_be_compared_is_in_no_title(rows):
    own = rows["table_id"].eq("national_ucla_band") & rows["verdict"].ne("")
    table = rows.assign(verdict=rows["verdict"].mask(own, "比較できない"))
    blocks = report_of(table).chapters["loneliness"].blocks
    titles = [block.chart.words.title for block in blocks if isinstance(block, Picture)]
    assert "「UCLA 合計点の区分」で最も多い答えは「7〜9点（時々ある）」" in titles


def test_years_are_fiscal_years_everywhere(council):
    shown = words_of(council)
    assert "前回（2022年度）との比較" in shown and "愛媛県 2023年度" in shown
    assert not re.search(r"(?<!全国 )(?<!調査） )202[23]年(?![度\d]|\d*月|（)", shown)


def test_without_a_test_that_is_shown_no_title_and_no_sentence_says_what_it_found(rows):
    untested = rows[~(rows["table_id"].str.startswith("cross_") & (rows["measure"] != "percent"))]
    council = report_of(untested.assign(mark=""))
    found = [b for name in ("loneliness", "crosses") for b in council.chapters[name].blocks]
    titles = [block.chart.words.title for block in found if isinstance(block, Picture)]
    assert "「孤独感がしばしば・常にある人」の割合：地域・性別の区分ごと" in titles
    assert any(title.endswith("の割合：年代×性別の区分ごと") for title in titles)
    assert not any("による差は確認できません" in title for title in titles)
    for name in ("summary", "loneliness"):
        assert "確認できませんでした" not in words_of_chapter(council.chapters[name]), name
    assert "ほかの地域との差は、判定していません。" in words_of_chapter(council.chapters["summary"])
    assert "4つの群の割合に" not in words_of(council)


def test_synthetic_run_never_reads_like_a_finding(synthetic):
    assert all(chart.words.title.startswith("（表示例）") for chart in synthetic.charts)
    assert all(chart.words.is_synthetic for chart in synthetic.charts)
    assert all(table.stamp for table in synthetic.tables)
    survey = "loneliness ties others groups group_tables comparison factors factor_tables limits"
    shown = "".join(synthetic.chapters[name].to_html() for name in survey.split())
    parts = re.findall(r"<(?:li|p)\b[^>]*>(.*?)</(?:li|p)>", shown)
    sentences = [part for part in parts if "data-row" in part]  # with a number of a row
    sentences += re.findall(r"<blockquote><p>(.*?)</p>", shown)
    assert len(sentences) > 10
    assert [text for text in sentences if not text.startswith("（表示例）")] == []


def test_tables_of_differences_say_how_they_are_rounded_and_judged(council):
    notes = {table.key: table.note for table in council.tables}
    for key in ("indicators", "high_low_trouble", "waves", "national_lonely_direct"):
        assert "丸める前の割合の差です。" in notes[key], key
    for key in ("waves", "national_lonely_direct"):
        assert "Benjamini–Hochberg" in notes[key] and "区間がゼロを含まなくても" in notes[key]


def test_real_run_carries_no_banner(council):
    assert "合成データ" not in words_of(council)


def test_verdict_words_and_caveat(council):
    text = council.chapters["comparison"].to_html()
    for word in ("高い", "差は確認できない", "比較できない"):
        assert word in text
    assert "方法がちがいます" in text
    assert "方法のちがいによる差を含みます" in text


# --- nothing hidden, nothing small ----------------------------------------------------------------


def test_hidden_rows_show_no_number_even_if_the_file_holds_one(rows):
    # A slip of the gate: hidden rows keep a number (over 100: no other row has it).
    leaky = rows.copy()
    hidden = leaky["status"] == "suppressed"
    assert hidden.sum() > 20
    leaky.loc[hidden, ["estimate", "lower", "upper", "n_unweighted"]] = 101.3
    leaky.loc[hidden, "mark"] = "▲"
    leaky.loc[hidden & (leaky["measure"] == "count"), "estimate"] = 101.3
    assert "101.3" not in words_of(report_of(leaky))


def test_what_left_the_plan_reads_as_what_is_hidden_and_is_counted(rows):
    tables = rows.loc[rows["table_id"].str.startswith("cross_age_band__"), "table_id"].unique()
    cross = rows["table_id"].isin(tables[:-1])  # a group stands in some table of its axis
    gone = cross & ((rows["item_value"] == "1") | (rows["domain_value"] == "20s"))
    changes = rows["table_id"].str.startswith("waves_") & (rows["item_value"] == "1")
    hidden = rows.assign(status=rows["status"].mask(gone | changes, "suppressed"))
    is_left_out = gone | (changes & rows["measure"].str.startswith("difference"))
    assert (gone & (rows["measure"] == "percent")).sum() > 5 and (is_left_out & ~gone).any()
    assert words_of(report_of(hidden[~is_left_out])) == words_of(report_of(hidden))
    left_out = pd.Series("line", index=rows.index).where(is_left_out)
    counts = hiding.count_left_out(hidden, left_out, wave=sample.YEAR)
    whole = report_of(pd.concat([hidden[~is_left_out], counts]))
    number = re.escape(f"{is_left_out.sum():,}件")
    text = whole.chapters["limits"].to_html()
    assert re.search(rf'すべて秘匿となる回答・区分の割合：<span data-row="r\w+">{number}', text)


def test_reference_values_stand_in_no_sentence(rows):
    table = rows.copy()
    own = table["table_id"].str.startswith("cross_") & (table["status"] != "suppressed")
    table.loc[own, ["status", "mark"]] = ["reference", "▲"]
    council = report_of(table)
    assert "そのほかの人より高い結果です" not in words_of(council)
    titles = [chart.words.title for chart in council.charts]
    assert not any("代で高い" in title for title in titles)


def test_no_figure_rests_on_a_base_under_the_minimum(rows):
    table = rows.copy()
    own = (table["table_id"] == "cross_age_band__lonely_direct") & (table["domain_value"] == "20s")
    table.loc[own, ["n_unweighted", "estimate", "status"]] = [9.0, 43.21, "published"]
    council = report_of(table)
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
    council = report_of(
        kept,
        benchmark=None,
        indicators=indicators,
        title="EU Loneliness Survey (France)",
        area="フランス",
        error_note="区間は、無作為に選んだとみなした目安です。",
        regions=[],
        notes=[],
        population_note=None,
        weighting_label="調査票に付いた重み",
    )
    shown = council._repr_html_()
    assert "比べられる全国の公表値がありません" in shown
    assert "比べられる前回の調査がありません" in shown
    assert "関連する条件の分析がありません" in shown
    assert "つながりについての集計がありません" in shown
    assert "区間は、無作為に選んだとみなした目安です。" in shown
    assert sample.NOTE not in shown
    assert "愛媛" not in shown.replace("愛媛県に住む満16歳以上の人", "")
    assert len(council.charts) >= 2


def test_study_with_nothing_but_one_table_renders(rows):
    kept = rows[rows["table_id"] == "gt_lonely_direct"]
    shown = report_of(kept, benchmark=None, axes=[], crosses=[])._repr_html_()
    assert "どの程度、孤独であると感じることがありますか" in shown


def test_troubles_of_each_region_from_the_largest_and_no_exclusive_answer(rows):
    said = words_of_chapter(report_of(rows).chapters["group_tables"])
    told = re.findall(r"で多い答えは、(.*?)では(.*?)です。", said)
    assert [region for region, _ in told] == ["東予", "中予", "南予"]
    for region, named in told:
        shares = [float(share) for share in re.findall(r"」(\d+\.\d)%", named)]
        assert len(shares) == 3 and shares == sorted(shares, reverse=True), region
        assert "困ったことはない" not in named


def test_troubles_differ_by_region_where_a_row_has_the_mark(rows):
    own = rows["table_id"].eq("cross_region__trouble")
    one = own & rows["domain_value"].eq("1") & rows["item_value"].eq("3")
    plain = rows.assign(mark=rows["mark"].mask(own, ""))
    said = words_of_chapter(report_of(plain).chapters["others"])
    assert "地域による差は確認できませんでした" in said
    marked = plain.assign(mark=plain["mark"].mask(one, "▲"))
    said = words_of_chapter(report_of(marked).chapters["others"])
    assert re.search(r"東予の「お金のこと」[^、]*▲", said)
    assert "地域による差は確認できませんでした" not in said


def test_withheld_model_says_why(rows):
    kept = rows[~(rows["table_id"] == "model_lonely_often")]
    notice = {"wave": sample.YEAR, "table_id": "model_lonely_often", "measure": "count",
              "domain": "all", "domain_value": "all", "item": "model", "item_value": "SEPARATION",
              "item_label": "モデルは示さない", "status": "published",
              "reason": "該当者が足りないため、モデルは示しません。"}  # fmt: skip
    table = pd.concat([kept, pd.DataFrame([notice]).reindex(columns=ESTIMATE_COLUMNS)])
    chapters = report_of(table).chapters
    assert "該当者が足りないため、モデルは示しません。" in "".join(
        chapters[name].to_html() for name in ("factors", "factor_tables")
    )


def test_voices_stand_in_boxes_with_their_theme_alone(council):
    said = council.chapters["others"].to_html()
    quotes = sample.about(is_synthetic=False)["quotes"]
    boxes = re.findall(r"<blockquote>(.*?)</blockquote>", said)
    assert boxes == [f"<p>「{q['quote']}」</p><p>（{q['theme']}）</p>" for q in quotes]
    assert said.count("寄せられた声") == said.count("回答をもとに書きかえたものです") == 1
    kept = page.sanitise(f"<blockquote onclick='x'>{boxes[0]}</blockquote>")
    assert kept == f"<blockquote>{boxes[0]}</blockquote>"
    none = page.build_report(sample.published(sample.small(), quotes=[]))
    assert "寄せられた声" not in none.chapters["others"].to_html()


def test_the_report_says_who_sorted_the_free_texts(rows):
    own = rows[rows["table_id"] == "gt_trouble"]
    open_ones = own.iloc[[0]].assign(item_value="uncoded", estimate=12.5)
    people = own.iloc[[0]].assign(table_id="coding", item_value="by_people", estimate=40.0)
    said = {}
    for name, more in (("nobody", [open_ones]), ("people", [open_ones, people])):
        report = page.build_report(sample.published(pd.concat([rows, *more])))
        said[name] = re.sub(r"<[^>]+>", "", report.chapters["others"].to_html())
    assert "人は確かめていません。どのテーマにも分類できなかった文は12.5%です" in said["nobody"]
    assert "読めた文の40.0%は、二人が読み、一致した分類です" in said["people"]
    hidden = [each.assign(status="suppressed") for each in (open_ones, people)]
    report = page.build_report(sample.published(pd.concat([rows, *hidden])), has_figures=False)
    text = words_of_chapter(report.chapters["others"])
    assert text.count("の割合は、人数が少ないため示していません。") == 2
    assert not re.search(r"\bx(?!\w)", text.replace("x は人数が少ない", ""))


# --- hostile text -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sample.HOSTILE)
def test_hostile_words_are_plain_text_in_the_page_and_in_the_workbook(name, tmp_path):
    text = sample.HOSTILE[name]
    published = Published(*sample.hostile(text))
    shown = "".join(
        page.export_html(notebook_of(page.build_report(published)), is_synthetic=False).values()
    )
    assert sample.dangers(shown) == []
    assert not re.search(sample.CONTROLS, shown)
    path = tmp_path / "tables.xlsx"
    write_workbook(published, path)
    book = openpyxl.load_workbook(path)
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not any(cell.data_type == "f" for cell in cells)
    assert not any(cell.hyperlink.target for cell in cells if cell.hyperlink)
    words = {cell.value for cell in cells if isinstance(cell.value, str)}
    read = CalamineWorkbook.from_path(path)
    lines = [line for one in read.sheet_names for line in read.get_sheet_by_name(one).to_python()]
    assert {value for line in lines for value in line if isinstance(value, str)} - {""} == words
    assert max(map(len, words)) <= 32_767
    assert not any(re.search(sample.CONTROLS, word) for word in words)
    assert sample.SHOWN.get(name, text) in words
    heads = [cell.value for cell in book["一覧"][1]]
    for head in ("質問", "区分の軸", "区分"):  # what the study calls its questions and groups
        (column,) = [c for c in book["一覧"].iter_cols() if c[0].value == head]
        assert sample.SHOWN.get(name, text) in {cell.value for cell in column}, heads


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
        ("<a href='appendix.html#t-1'>e</a>", '<a href="appendix.html#t-1">e</a>'),
        ("<a href='council_report.html#t-1'>e</a>", '<a href="council_report.html#t-1">e</a>'),
        ("<a href='other.html#t-1'>e</a>", "<a>e</a>"),
        ("<a href='https://x/appendix.html#t-1'>e</a>", "<a>e</a>"),
        ("<a href='../appendix.html#t-1'>e</a>", "<a>e</a>"),
        ("<a href='javascript:x()'>e</a>", "<a>e</a>"),
        ("<a href='data:text/html;base64,AA'>e</a>", "<a>e</a>"),
        ("<a href='data:text/csv,a'>e</a>", "<a>e</a>"),
        (
            '<a href="data:text/csv;charset=utf-8;base64,AA" download="a.csv">e</a>',
            '<a href="data:text/csv;charset=utf-8;base64,AA" download="a.csv">e</a>',
        ),
        ("<!-- secret -->f", "f"),
        ("<h1>title</h1>g", "g"),
        ('<th scope="col">h</th>', "h"),
        ('<div role="region" tabindex="0">i</div>', '<div role="region" tabindex="0">i</div>'),
    ],
)
def test_sanitise_keeps_what_pages_use(text, kept):
    assert page.sanitise(text) == kept


# --- the page -----------------------------------------------------------------------------------


def test_page_is_japanese_titled_and_closed(synthetic):
    pages = page.export_html(notebook_of(synthetic), is_synthetic=True)
    shown = pages[page.MAIN]
    assert '<html lang="ja">' in shown
    assert (
        "<title>【合成データ】愛媛県 孤独・孤立に関する実態調査 報告書　令和5（2023）年度</title>"
        in shown
    )
    assert shown.count("<h1") == 1
    assert "default-src 'none'" in shown
    assert "secret_code" not in shown
    assert "<script" not in shown
    ours = rf'(?:src|href)="(?!#|data:image/svg|{charts.CSV}|appendix.html[#"]|summary_en.html")'
    assert not re.search(ours, shown)
    assert "図1" in shown
    other = pages[page.APPENDIX]
    assert (shown + other).count("<img ") == len(synthetic.charts)
    assert "報告書　令和5（2023）年度　資料編</title>" in other and "資料表1" in other
    assert other.count("<h1") == 1 and "<aside" in other and 'lang="ja"' in other
    assert not re.search(ours.replace("appendix", "council_report"), other)


def test_page_is_the_same_every_time(council):
    notebook = notebook_of(council)
    assert page.export_html(notebook, is_synthetic=True) == page.export_html(
        notebook, is_synthetic=True
    )


def test_contents_lead_to_every_section(council):
    pages = page.export_html(notebook_of(council), is_synthetic=False)
    for volume in council.volumes:
        listed = re.findall(r'<li><a href="#(s\d+)">', pages[volume.name])
        assert listed == re.findall(r'<h2 id="(s\d+)">', pages[volume.name])
        assert len(listed) == len(volume.chapters) > 2


def test_cells_marked_for_removal_and_printed_text_stay_out():
    notebook = nbformat.v4.new_notebook()
    kept = nbformat.v4.new_code_cell("x")
    kept.outputs = [
        nbformat.v4.new_output("stream", name="stderr", text="UserWarning in a folder"),
        nbformat.v4.new_output("execute_result", data={"text/plain": "plain"}),
        nbformat.v4.new_output(
            "display_data", data={"text/html": "<h1>題 &amp; 名</h1><p>shown</p>"}
        ),
    ]
    gone = nbformat.v4.new_markdown_cell("# English title")
    gone.metadata["tags"] = ["remove-cell"]
    notebook.cells = [gone, kept]
    shown = page.export_html(notebook, is_synthetic=False)[page.MAIN]
    assert "<p>shown</p>" in shown
    assert "<h1>題 &amp; 名</h1>" in shown
    for word in ("English title", "UserWarning", "plain</", "合成データ"):
        assert word not in shown


def test_no_page_from_a_failed_run():
    notebook = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("x")
    cell.outputs = [nbformat.v4.new_output("error", ename="E", evalue="答え", traceback=[])]
    notebook.cells = [cell]
    with pytest.raises(KernelError) as caught:
        page.export_html(notebook, is_synthetic=True)
    assert "答え" not in str(caught.value)


def test_a_figure_of_many_answers_draws_the_most_given_and_says_where_all_are(rows, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_ANSWERS", 2)
    (picture,) = pictures.answers(Writer(sample.published(rows)), item="trouble")
    assert list(picture.chart.data["label"]) == [
        "お金のこと", "話し相手がいない", "特に困っていることはない"
    ]  # fmt: skip
    assert "すべては資料編の表に示します" in picture.chart.words.subtitle
    monkeypatch.undo()
    (picture,) = pictures.answers(Writer(sample.published(rows)), item="trouble")
    assert len(picture.chart.data) == 4 and "資料編" not in picture.chart.words.subtitle
