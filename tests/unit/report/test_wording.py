"""The words of the page, by the rules for public documents: polite, short, one sign a thing."""

import html
import re
from pathlib import Path

import pytest
import yaml
from tests.browser import published_sample as sample
from tests.unit.report import records_sample

from tsunagari.report import page, texts

ROOT = Path(__file__).resolve().parents[3]
# What must not stand in the report: 公用文作成の考え方 (2022-01-07), and the house's own words.
RULES = {
    "full-width digits": "[０-９]",
    "か所、か月": r"\d\s*[ヶヵケカ箇個](?:月|所)|箇所|ヶ",
    "half-width katakana": "[ｦ-ﾟ]",
    "% and ％": "％",
    "である": r"(?:である|だった|(?<![まで])した|ない|[るくうむ])。",
    "など等": "など等|等など",
    "※": "※",
    "half-width brackets": r"[ぁ-ん一-龥]\(|\([ぁ-ん一-龥]",
    "the same brackets within each other": "（[^（）]*（|「[^「」]*「",
    "file names": r"\w\.(?:csv|xlsx|ya?ml|json|html|py)\b|make [a-z]",
    "statisticians' words": "係数|割付セル|信頼水準|有意|標本|無加重",
    "nan": r"\bnan\b|\bNone\b",
}
EXPLAINED = texts.load_texts()["texts"]["glossary"]  # says what statisticians mean by their words
TOO_LONG = 120  # characters of a sentence
ENDS = re.compile(r"(?:です|ます|ません|でした|ました|ください)(?:（[^（）]*）)?。$")


def blocks(shown: str) -> list[str]:
    """Return the words of a page by paragraph, item, heading and cell; alternative texts too."""
    shown = re.sub(r'src="[^"]*"', "", shown)
    alts = re.findall(r'alt="([^"]*)"', shown)
    parts = re.split(r"</?(?:p|li|t[dhr]|caption|h\d|figcaption|div|small)\b[^>]*>", shown)
    plain = (html.unescape(re.sub(r"<[^>]+>", "", part)).strip() for part in parts + alts)
    return [part for part in plain if part]


def sentences(shown: str) -> list[str]:
    """Return the sentences of paragraphs and items, links and marks left out."""
    shown = re.sub(r"<figure.*?</figure>", "", shown, flags=re.DOTALL)  # a caption is a list
    parts = re.findall(r"<(?:p|li)\b[^>]*>(.*?)</(?:p|li)>", shown, flags=re.DOTALL)
    plain = [html.unescape(re.sub(r"<[^>]+>", "", part)) for part in parts]
    return [one for part in plain for one in re.findall("[^。]+。", re.sub("〔.*?〕", "", part))]


@pytest.fixture(scope="module")
def pages(council):
    records = [records_sample.published(), records_sample.published(has_survey=False)]
    reports = [council, *map(page.build_report, records)]
    japanese = (page.MAIN, page.APPENDIX)
    return [v.to_html() for each in reports for v in each.volumes if v.name in japanese]


@pytest.mark.parametrize("rule", RULES)
def test_no_page_breaks_a_rule_of_public_wording(pages, rule):
    found = {b: re.search(RULES[rule], b) for shown in pages for b in blocks(shown)}
    found = {b: m for b, m in found.items() if b not in EXPLAINED}
    assert [f"{m[0]} in {text[:80]}" for text, m in found.items() if m] == []


def test_sentences_are_polite_and_short(pages):
    every = list(dict.fromkeys(s for shown in pages for s in sentences(shown)))
    assert len(every) > 60
    lists = [s for s in every if "：" in s]
    typed = ["1件を紹介。", "全員。"]  # as the records have it
    assert [s for s in every if not ENDS.search(s) and s not in lists + typed] == []
    assert [s for s in every if len(s) > TOO_LONG] == []


@pytest.mark.parametrize("rule", RULES)
def test_what_is_written_in_the_text_files_keeps_the_rules_too(rule):
    def strings(known):
        if isinstance(known, str):
            yield re.sub(r"{[{%].*?[%}]}", "", known, flags=re.DOTALL)
        elif isinstance(known, dict | list | tuple):
            for each in known.values() if isinstance(known, dict) else known:
                yield from strings(each)

    written = texts.load_texts()
    written = {key: part for key, part in written.items() if key != "workbook"}
    written["texts"] = {k: t for k, t in written["texts"].items() if k != "csv_note"}  # a file's
    studies = [yaml.safe_load(p.read_text("utf-8")) for p in ROOT.glob("data/raw/*/study.yaml")]
    shown = "title people notes design benchmark indicators".split()
    own = [study[name] for study in studies for name in shown if name in study]
    found = {text: re.search(RULES[rule], text) for text in strings([written, own])}
    found = {text: m for text, m in found.items() if text not in EXPLAINED}
    assert [f"{m[0]} in {text[:80]}" for text, m in found.items() if m] == []


def test_synthetic_stands_once_on_every_table_and_in_every_caption(synthetic):
    shown = "".join(v.to_html() for v in synthetic.volumes[:2])
    shown = re.sub("<figure.*?</figure>", "", shown, flags=re.DOTALL)  # its caption has the stamp
    tables = re.findall(r"<table.*?</table>", shown, flags=re.DOTALL)
    assert len(tables) > 20
    assert {table.count(sample_word()) for table in tables} == {1}


def sample_word() -> str:
    return texts.FIXED["synthetic"]


# --- what an official writes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "sentence",
    [
        "{{ nobody }}の割合です。",
        "{{ row | nobody }}",
        "{% if %}",
        "{{ about.nobody.label }}です。",
    ],
)
def test_a_placeholder_that_is_not_there_is_refused_by_the_text_it_stands_in(sentence):
    own = {"texts": {"others_lead": sentence}}
    with pytest.raises(page.ConfigError) as caught:
        page.build_report(sample.published(sample.small(), texts=own))
    assert caught.value.code == "TEXT"
    assert "texts.others_lead" in caught.value.ja and "texts.others_lead" in caught.value.en
