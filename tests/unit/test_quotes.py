"""No voice is quoted unless a person has paraphrased it and everything of P16 holds."""

from dataclasses import replace

import pandas as pd
import pytest

from tsunagari import errors
from tsunagari.study.settings import Consent
from tsunagari.study.survey import open_study
from tsunagari.voices import answers, quotes, tabulate

OPENED = open_study("ehime", 2022)
CONSENT = Consent(item="line_known", code="1")  # ehime asked for none: another answer for it
PLAN = OPENED.config.themes.model_copy(update={"consent": CONSENT})
SURVEY = replace(OPENED, config=OPENED.config.model_copy(update={"themes": PLAN}))
N = 12
TEXTS = [f"物価が上がって生活が苦しくて、毎月の支払いに困っている{i}" for i in range(N)]
PEOPLE = pd.DataFrame(
    {
        "respondent_id": [f"E{i}" for i in range(N)],
        "trouble_text": [*TEXTS[:-2], "夫の暴力がつらくてお金もない", "借金がある"],
        "resolved_text": None,
        "line_known": ["1"] * (N - 1) + ["4"],
        "region": ["1"] * N,
        "age_group": ["70+"] * N,
        "is_lonely": ["lonely"] * N,
        "resolved": "no_answer",
        "resolved_16": 0,
    }
)
GOOD = {
    "respondent_id": "E0",
    "question": "trouble_theme",
    "theme": "money",
    "attributes": "region x age_group",
    "quote": "値上がりで家計のやりくりが大変です",
    "signed_1": "一人目",
    "signed_2": "二人目",
}


@pytest.fixture(scope="module")
def coded():
    return answers.code_study(SURVEY, PEOPLE)


@pytest.fixture(scope="module")
def people(coded):
    return tabulate.with_themes(SURVEY, PEOPLE, coded=coded)


def allow(rows, people, coded, of=SURVEY):
    table = pd.DataFrame(rows, columns=quotes.COLUMNS)
    return quotes.allow_quotes(of, table, people=people, coded=coded)


def test_none_by_default(people, coded, tmp_path):
    assert quotes.read_quotes(tmp_path / "quotes.csv").empty
    assert allow([], people, coded, of=OPENED).empty


def test_a_good_one_is_shown_without_the_person(people, coded):
    shown = allow([GOOD], people, coded)
    assert shown.to_dict("records") == [
        {
            "question": "trouble_theme",
            "theme": "money",
            "theme_label": "収入・家計・借金",
            "attributes": "東予・70歳以上",
            "quote": GOOD["quote"],
        }
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"respondent_id": "X9"}, "知らない回答者"),
        ({"theme": "weather"}, "知らない回答者"),
        ({"respondent_id": "E11"}, "同意していない"),
        ({"respondent_id": "E10"}, "命や暴力"),
        ({"quote": "消えたいと思うほど家計が大変"}, "命や暴力"),
        ({"theme": "talk"}, "そのテーマを書いていない"),
        ({"quote": "生活が苦しくて、毎月の支払い"}, "10 文字以上つづけて同じ"),
        ({"quote": "担当の佐藤さんに家計の相談"}, "氏名や連絡先"),
        ({"attributes": "region x age_group x is_lonely"}, "二つまでの属性"),
        ({"attributes": "job"}, "二つまでの属性"),
        ({"signed_2": ""}, "確認者二名"),
        ({"signed_2": "一人目"}, "確認者二名"),
        ({"quote": ""}, "文字でない"),
        ({"quote": "やりくり" * 60}, "文字でない"),
    ],
)
def test_what_p16_forbids_is_refused_by_row_and_reason(people, coded, change, reason):
    with pytest.raises(errors.InputError, match="QUOTES_ROWS") as caught:
        allow([GOOD, GOOD | change], people, coded)
    told = str(caught.value)
    assert "3 行（" in told and reason in told and "2 行（" not in told
    assert GOOD["quote"] not in told and "支払い" not in told


def test_a_few_words_in_a_row_are_no_quotation(people, coded):
    # 毎月の支払いに困 has 8 letters of the text in a row; 10 are refused.
    assert len(allow([GOOD | {"quote": "やはり毎月の支払いに、頭が痛い"}], people, coded)) == 1


def test_a_theme_of_fewer_than_k_people(people, coded):
    few = people.copy()
    few.loc[few.index[3:], "trouble_theme_money"] = 0.0
    with pytest.raises(errors.InputError, match="10 人未満"):
        allow([GOOD], few, coded)


def test_no_consent_asked(people, coded):
    with pytest.raises(errors.ConfigError, match="NO_CONSENT"):
        allow([GOOD], people, coded, of=OPENED)


@pytest.mark.parametrize("content", [b"id,text\n1,2\n", b"\xff\xfe\x00", b""])
def test_a_file_that_is_none(tmp_path, content):
    path = tmp_path / "quotes.csv"
    path.write_bytes(content)
    with pytest.raises(errors.InputError, match="QUOTES_FILE"):
        quotes.read_quotes(path)
