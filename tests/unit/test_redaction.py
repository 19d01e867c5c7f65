"""What could point at a person is taken out; how much of it is found is measured."""

from pathlib import Path

import pytest
import yaml
from tests import labelled

from tsunagari.voices import redaction, words


@pytest.fixture(scope="module")
def measured():
    found = labelled.measure(300)
    for kind, result in found.items():
        name = kind or "harmless"
        print(f"{name:>10}: recall {result.recall:.1f} %, precision {result.precision:.1f} %")
    return found


@pytest.mark.parametrize("kind", labelled.DIGITS)
def test_recall_of_digits(measured, kind):
    assert measured[kind].recall >= 99.5


@pytest.mark.parametrize("kind", sorted(set(labelled.FRAMES) - set(labelled.DIGITS)))
def test_recall_of_names_and_the_like(measured, kind):
    assert measured[kind].recall >= 95.0
    assert measured[kind].precision >= 90.0


def test_harmless_texts_stay_as_they_were(measured):
    assert measured[""].recall >= 98.0


def test_the_measured_texts_are_not_those_the_rules_were_tried_on():
    for kind in labelled.FRAMES:
        held, written = (
            {each.text for each in labelled.generate(kind, 300, half=half)}
            for half in ("held", "written")
        )
        assert len(held & written) == 0


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("０９０－１２３４－５６７８に電話", "〔電話〕に電話"),
        ("電話は089 987 6543まで", "電話は〔電話〕まで"),
        ("+81-90-1234-5678です", "〔電話〕です"),
        ("〇九〇の一二三四の五六七八", "〔電話〕"),
        ("090\u200b1234\u202e5678へ", "〔電話〕へ"),
        ("〒790-0001 松山市", "〔郵便番号〕 松山市"),
        ("番号は1234 5678 9018です", "番号は〔マイナンバー〕です"),
        ("番号は1234 5678 9017です", "番号は〔番号〕です"),
        ("taro@example.co.jpへ", "〔メール〕へ"),
        ("松山市道後町1-2-3に住む", "松山市〔住所〕に住む"),
        ("松山市に住んでいます", "松山市に住んでいます"),
        ("月に2-3回、1000000円の借金", "月に2-3回、1000000円の借金"),
        ("昭和三十五年四月二日生まれ", "〔年月日〕"),
        ("ｻﾄｳさんと渡邊様", "〔氏名〕さんと〔氏名〕様"),
        ("民生委員さん、お医者さん、皆さん", "民生委員さん、お医者さん、皆さん"),
        ("松山大学を出て近くの小学校に勤めた", "〔学校名〕を出て近くの小学校に勤めた"),
        ("株式会社見本工業の上司", "〔勤め先など〕の上司"),
        ("", ""),
        ("あ", "あ"),
        ("😢💧", "😢💧"),
    ],
)
def test_redact(text, redacted):
    assert redaction.redact(text, kept=labelled.KEPT).text == redacted


def test_check_digit_of_my_number():
    # Weights 6 5 4 3 2 7 6 5 4 3 2 on 1 2 3 4 5 6 7 8 9 0 1:
    # 6 + 10 + 12 + 12 + 10 + 42 + 42 + 40 + 36 + 0 + 2 = 212 = 19 x 11 + 3; 11 - 3 = 8.
    assert redaction.is_my_number("123456789018")
    assert not redaction.is_my_number("123456789017")


def test_words_have_neither_secrets_nor_tags():
    answer = redaction.redact("担当は佐藤花子さん、090-1234-5678で寂しい")
    assert not {"佐藤", "花子", "氏名", "電話"} & {*answer.words.surfaces}
    assert "寂しい" in answer.words.forms


def test_forty_thousand_characters_are_read_to_their_end():
    answer = redaction.redact("寂しい。" * 10_000 + "電話は090-1234-5678")
    assert answer.text.endswith("電話は〔電話〕")
    assert answer.words.forms.count("寂しい") == 10_000


@pytest.mark.parametrize("text", ["死にたいと思う", "夫の暴力がつらい"])
def test_what_the_duty_contact_reads_first(text):
    assert redaction.redact(text).is_sensitive
    assert not redaction.redact("話し相手がいない").is_sensitive


def test_a_span_never_leaves_the_text_and_none_overlap():
    for labelled_text in labelled.generate("name", 100, half="written"):
        text = words.tidy(labelled_text.text)
        spans = redaction.redact(labelled_text.text).spans
        ends = [0, *(end for span in spans for end in span[1:]), len(text)]
        assert ends == sorted(ends)


# --- hard answers, made by hand -------------------------------------------------------------------

HARD = yaml.safe_load((Path(__file__).parents[1] / "hard_answers.yaml").read_text("utf-8"))


def missed(group):
    """Return what is still to be read of the hard answers of a group."""
    found = [(redaction.redact(t, kept=labelled.KEPT).text, p) for t, p in HARD[group]]
    return [piece for text, piece in found if piece in text]


def changed(group):
    """Return the harmless answers of a group that something was taken out of."""
    return [t for t in HARD[group] if redaction.redact(t, kept=labelled.KEPT).spans]


def test_the_hard_answers_that_rules_were_tried_on():
    # Local short forms of firms and schools, a day apart from its year, a digit spelt in kana.
    known = ["県中", "済生会", "松東", "今西", "12月24日", "五六七八"]
    assert missed("tried") == known
    assert changed("harmless") == []


def test_the_hard_answers_that_were_held_back():
    share = 100 * (1 - len(missed("held")) / len(HARD["held"]))
    print(f"hard answers held back: recall {share:.0f} % of {len(HARD['held'])}")
    assert share >= 78  # at first sight: 33 of 42
    assert len(changed("held_harmless")) <= 3
