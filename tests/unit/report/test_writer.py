"""Rows as words: digits and signs, the row beside each number, and what a text must not do."""

import numpy as np
import pytest
from tests.browser import published_sample as sample

from tsunagari.errors import ConfigError
from tsunagari.report import writer

ROW = {"unit": "percent", "estimate": 7.6, "lower": 6.4, "upper": 8.8, "status": "published",
       "n_unweighted": 2000.0, "table_id": "headline", "domain": "sex", "item": "lonely",
       "row_id": "KEY", "mark": "▲"}  # fmt: skip
HIDDEN = ROW | {"status": "suppressed", "estimate": np.nan, "lower": np.nan, "upper": np.nan}


@pytest.fixture(scope="module")
def pen(told):
    return writer.Writer(told)


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
        (None, {}, "…"),
    ],
)
def test_numbers_as_the_page_shows_them(value, options, text):
    assert writer.format_number(value, **options) == text


@pytest.mark.parametrize(
    ("change", "estimate", "interval", "base"),
    [
        ({}, "7.6", "6.4〜8.8", "2,000"),
        ({"n_unweighted": 199.0}, "8", "6〜9", "199"),  # base under 200: whole per cent
        ({"domain": "age_group x sex"}, "8", "6〜9", "2,000"),  # so are three variables
        ({"item": "lonely x isolated"}, "8", "6〜9", "2,000"),
        ({"domain": "all", "item": "lonely x isolated"}, "7.6", "6.4〜8.8", "2,000"),
        ({"table_id": "model_lonely", "n_unweighted": 199.0}, "7.6", "6.4〜8.8", "199"),
        ({"n_unweighted": 29.0, "status": "reference"}, "8", "6〜9", "29*"),
        ({"n_unweighted": 49.0, "status": "low_base"}, "8", "6〜9", "49†"),
        ({"unit": "points"}, "+7.6", "+6.4〜+8.8", "2,000"),
        ({"status": "suppressed"}, "x", "x", "x"),
        ({"lower": np.nan}, "7.6", "", "2,000"),
    ],
)
def test_digits_and_signs_of_a_row(change, estimate, interval, base):
    row = ROW | change
    assert writer.estimate(row) == estimate
    assert writer.interval(row) == interval
    assert writer.base(row) == base


@pytest.mark.parametrize(
    ("template", "html"),
    [
        ("{{ row | value }}", '<span data-row="KEY">7.6%</span>'),
        ("{{ row | value(unit='人', decimals=0) }}", '<span data-row="KEY">8人</span>'),
        ("{{ row | marked }}", '<span data-row="KEY">7.6%▲</span>'),
        ("{{ row | ends }}", '<span data-row="KEY">6.4〜8.8</span>'),
        ("{{ row | with_interval('範囲 ') }}",
         '<span data-row="KEY">7.6%</span>（範囲 <span data-row="KEY">6.4〜8.8%</span>）'),
        ("{{ down | size }}", '<span data-row="KEY">1.2ポイント</span>'),
        ("{{ hidden | value }}", "x%"),
        ("{{ label }}", "&lt;b&gt;"),
        ("一\n  二", "一二"),  # a line break of the file is none of the text
        ("{% if not row %}{{ row | value }}{% endif %}", ""),
    ],
)  # fmt: skip
def test_a_number_in_a_sentence_names_its_row_and_a_label_is_escaped(pen, template, html):
    down = ROW | {"unit": "points", "estimate": -1.2}
    assert pen.say(template, row=ROW, down=down, hidden=HIDDEN, label="<b>") == html


@pytest.mark.parametrize(
    "template",
    [
        "{{ nobody }}",  # no such place
        "{{ about.nobody }}",
        "{% if row %}",  # not closed
        "{{ row | nobody }}",  # no such filter
        "{{ 'label' | value }}",  # no row
        "{{ text('nobody') }}",
        "{{ label('nobody', 'more') }}",
        "{{ ''.__class__.__mro__ }}",  # out of the sandbox
        "{{ 1 / 0 }}",
    ],
)
def test_a_text_that_cannot_be_filled_is_told_in_both_languages(pen, template):
    with pytest.raises(ConfigError) as caught:
        pen.say(template, row=ROW)
    assert caught.value.code == "TEXT"
    assert template in caught.value.ja
    assert "texts.yaml" in caught.value.en


@pytest.mark.parametrize(
    ("label", "said"), [("地域", "地域別"), ("性別", "性別"), ("<性>", "<性>別")]
)
def test_by_an_axis(label, said):
    variables = sample.VARIABLES | {"sex": sample.VARIABLES["sex"] | {"short_label": label}}
    told = sample.published(sample.small(), variables=variables)
    assert writer.Writer(told).by_axis("sex") == said


@pytest.mark.parametrize(
    ("base", "said"), [("asked", "分母に含めています"), ("answered", "分母から除いています")]
)
def test_what_no_answer_counts_for_follows_the_table_plan(base, said):
    pen = writer.Writer(sample.published(sample.small(), base=base))
    assert sum(said in line for line in pen.lines("how_to_read")) == 1
