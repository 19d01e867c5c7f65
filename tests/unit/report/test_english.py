"""The English summary: the same rows, no number typed, what stays Japanese is marked so."""

import json
import re
from pathlib import Path

import nbformat
import pytest
import yaml
from tests.browser import published_sample as sample
from tests.unit.report import records_sample

from tsunagari.errors import ConfigError
from tsunagari.gate import trace
from tsunagari.report import english, page, texts, writer
from tsunagari.study.survey import open_study

JAPANESE = re.compile("[ぁ-んァ-ヺ一-鿿]")
WORDS = {
    "孤独感がしばしば・常にある人": "Often or always lonely",
    "愛媛県 孤独・孤立に関する実態調査": "A survey of Ehime",
    "20代": "Aged 20 to 29",
}


def export(report):
    shown = {"text/html": report._repr_html_()}
    cell = nbformat.v4.new_code_cell("x")
    cell.outputs = [nbformat.v4.new_output("execute_result", data=shown)]
    return page.export_html(nbformat.v4.new_notebook(cells=[cell]), is_synthetic=True)


@pytest.fixture(scope="module")
def pages(told):
    return export(page.build_report(type(told)(told.estimates, told.about | {"english": WORDS})))


def test_the_page_is_english_and_marks_what_is_not(pages):
    shown = pages[page.ENGLISH]
    body = shown.partition("<body>")[2]
    assert "Back to the top" in shown and "先頭に戻る" not in shown
    assert '<html lang="en">' in shown and shown.count("<h1") == 1
    assert "<title>【Synthetic data】A survey of Ehime: report, fiscal year" in shown
    assert "Often or always lonely" in body and "Conclusions" in body
    plain = re.sub(r'<span lang="ja">[^<]*</span>|<[^>]+>', " ", body)
    assert JAPANESE.findall(plain) == [] and '<span lang="ja">' in body
    assert 'lang="ja"' not in pages[page.MAIN].partition("<body>")[2]
    assert re.search(r"\d\.\d to \d+\.\d%", plain) and "〜" not in plain
    assert "<script" not in shown and "default-src 'none'" in shown


def test_it_shows_the_rows_of_the_japanese_page_and_no_other_number(pages, told):
    rows = [set(re.findall('data-row="([^"]+)"', part)) for part in pages.values()]
    main, *_, shown = rows
    assert shown and shown <= main
    figures = trace.list_figures(told.estimates, told.about)
    for text in (
        pages[page.ENGLISH],
        pages[page.ENGLISH].replace("</main>", "<p>9.87%</p></main>"),
    ):
        found = trace.find_untraced(trace.read_page(text), figures)
        assert [token for _, token in found] == ["9.87"] * ("9.87" in text)


def test_its_links_lead_to_tables_of_the_japanese_volumes(pages):
    links = re.findall(r'href="([\w.]*)#(t-[^"]+)"', pages[page.ENGLISH])
    assert {name for name, _ in links} >= {"", page.APPENDIX}
    assert [to for name, to in links if f'id="{to}"' not in pages[name or page.ENGLISH]] == []


def test_the_texts_hold_no_number_and_none_is_left_japanese(told, monkeypatch):
    written = yaml.safe_load((Path(english.__file__).with_name("en.yaml")).read_text("utf-8"))
    plain = re.sub(r"\{[{%].*?[%}]\}", "", json.dumps(written, ensure_ascii=False))
    assert re.findall(r"\d", plain) == []
    said, say = [], writer.Writer.say

    def listen(self, template, /, **context):
        said.extend([template] * (self.texts["chapters"]["summary"]["heading"] == "Summary"))
        return say(self, template, **context)

    monkeypatch.setattr(writer.Writer, "say", listen)
    studies = [told, sample.published(sample.small(), is_synthetic=True)]
    studies += [records_sample.published(has_survey=has) for has in (True, False)]
    for study in studies:
        page._in_english(study, ())
    assert len(said) > 50 and [text for text in said if JAPANESE.search(text)] == []


def test_a_study_in_english_keeps_the_texts_of_the_program():
    assert texts.load_texts()["chapters"]["summary"]["heading"] == "1枚まとめ"
    assert english.texts()["chapters"]["summary"]["heading"] == "Summary"
    assert english.texts()["chapters"]["method"] == texts.load_texts()["chapters"]["method"]


@pytest.mark.parametrize(
    ("written", "line"),
    [("東予: Toyo\n中予: 30% of Ehime\n", 2), ("東予: 1\n", 1), ("いる: Yes\n", 1), ("words\n", 1)],
)
def test_a_wrong_word_is_named_by_its_place(written, line, monkeypatch, tmp_path):
    study = open_study("ehime", 2022)
    monkeypatch.setattr(type(study), "raw_dir", tmp_path)
    (tmp_path / "texts_en.yaml").write_text(written, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        _ = study.english
    assert caught.value.code == "TEXTS_EN" and f"Pair {line} " in str(caught.value)
    assert "30" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("14.3ポイント（+9.3〜+19.3）", "14.3 percentage points (+9.3 to +19.3)"),
        ("+2.4 高い", "+2.4 higher"),
        ("2026年3月までに4.9%とします。", '<span lang="ja">2026年3月までに4.9%とします。</span>'),
        ("Toyo（694 people）：東予、南予", 'Toyo (694 people): <span lang="ja">東予、南予</span>'),
    ],
)
def test_japanese_is_marked_and_our_own_words_are_said(written, shown):
    assert english.mark_japanese(f"<body><p>{written}</p>") == f"<body><p>{shown}</p>"
