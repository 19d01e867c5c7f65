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


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the wave's folder in a root of its own, where the answers are people's."""
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    OPENED.wave_dir.mkdir(parents=True)
    (OPENED.wave_dir / "responses.csv").touch()
    return OPENED.wave_dir


def test_none_by_default_and_the_sample_only_beside_made_up_answers(people, coded, folder):
    (folder / "quotes_synthetic.csv").write_text(",".join(quotes.COLUMNS) + "\nE0\n", "utf-8")
    assert quotes.read_quotes(OPENED).empty
    assert allow([], people, coded, of=OPENED).empty
    (folder / "responses.csv").rename(folder / "responses_synthetic.csv")
    assert quotes.read_quotes(OPENED)["respondent_id"].tolist() == ["E0"]
    (folder / "quotes.csv").write_text(",".join(quotes.COLUMNS) + "\n", "utf-8")
    assert quotes.read_quotes(OPENED).empty


def test_a_good_one_is_shown_without_the_person(people, coded):
    shown = allow([GOOD], people, coded)
    assert shown.to_dict("records") == [
        {
            "question": "trouble_theme",
            "theme": "money",
            "theme_label": "収入・家計・借金",
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
        ({"quote": "値上がりで家計が厳しい（83歳）"}, "数字がある"),
        ({"quote": "三人の子の学費で家計が厳しい 3人"}, "数字がある"),
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
    few.loc[few.index[10:], "trouble_theme_money"] = 0.0  # ten are k
    assert len(allow([GOOD], few, coded)) == 1
    few.loc[few.index[9], "trouble_theme_money"] = 0.0
    with pytest.raises(errors.InputError, match="10 人未満"):
        allow([GOOD], few, coded)


def test_ten_letters_in_a_row_are_a_quotation_wherever_they_stand_and_nine_are_not(people, coded):
    text = "冬は灯油が高くて買えないので寒さに震えている"
    own = people.assign(trouble_text=[text, *people["trouble_text"][1:]])
    for ten in (text[:10], text[5:15], text[-10:]):
        with pytest.raises(errors.InputError, match="10 文字以上つづけて同じ"):
            allow([GOOD | {"quote": f"あ、{ten}、あ"}], own, coded)
        assert len(allow([GOOD | {"quote": f"あ、{ten[1:]}、あ"}], own, coded)) == 1


def test_a_quotation_has_at_most_two_hundred_letters(people, coded):
    assert len(allow([GOOD | {"quote": "やりくり" * 50}], people, coded)) == 1
    with pytest.raises(errors.InputError, match="文字でない"):
        allow([GOOD | {"quote": "やりくり" * 50 + "、"}], people, coded)


def test_an_answer_of_a_few_letters_is_not_quoted_whole(people, coded):
    short = people.assign(trouble_text=["お金がない", *people["trouble_text"][1:]])
    with pytest.raises(errors.InputError, match="続けて同じ|つづけて同じ"):
        allow([GOOD | {"quote": "お金がない。"}], short, coded)


@pytest.mark.usefixtures("folder")
def test_no_consent_asked(people, coded):
    with pytest.raises(errors.ConfigError, match="NO_CONSENT"):
        allow([GOOD], people, coded, of=OPENED)


@pytest.mark.parametrize("content", [b"id,text\n1,2\n", b"\xff\xfe\x00", b""])
def test_a_file_that_is_none(folder, content):
    (folder / "quotes.csv").write_bytes(content)
    with pytest.raises(errors.InputError, match="QUOTES_FILE"):
        quotes.read_quotes(OPENED)


# --- the gate's own look --------------------------------------------------------------------------


def release(quote, status="published"):
    """Return what the gate makes of a line in private/, its theme's figure shown or hidden."""
    line = {"question": "trouble_theme", "theme": "money", "theme_label": "お金", "quote": quote}
    OPENED.save(quotes.FILE, pd.DataFrame([line]))
    OPENED.save("private/respondents.parquet", PEOPLE)
    figure = {"item": "trouble_theme", "item_value": "money", "domain": "all", "status": status}
    return quotes.release_quotes(OPENED, pd.DataFrame([figure]))


@pytest.mark.usefixtures("folder")
def test_the_gate_lets_a_paraphrase_out_and_looks_for_raw_words_again():
    assert quotes.release_quotes(OPENED, pd.DataFrame()) == []  # no notebook 05 has run
    assert release(GOOD["quote"]) == [{"theme": "お金", "quote": GOOD["quote"]}]
    with pytest.raises(errors.InputError, match="2 行（元の文と") as caught:
        release("生活が苦しくて、毎月の支払いに困っている")
    assert "支払い" not in str(caught.value)
    with pytest.raises(errors.InputError, match="秘匿している"):
        release(GOOD["quote"], status="suppressed")
