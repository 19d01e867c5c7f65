"""Themes of free texts: what counts, what is denied, and what the dictionary does not know."""

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from tsunagari import errors
from tsunagari.intake import cleaning, reading
from tsunagari.study.survey import open_study
from tsunagari.voices import answers, redaction, themes, words

SURVEY = open_study("ehime", 2022)
QUESTIONS = SURVEY.config.themes.questions


def coded(text: str, name: str = "trouble_theme") -> list[str]:
    dictionary = themes.Dictionary(QUESTIONS[name])
    return sorted(dictionary.code(words.words_of(words.tidy(text))))


EXAMPLES = [
    (name, theme.code, text, is_example)
    for name, question in QUESTIONS.items()
    for theme in question.themes
    for is_example, texts in ((True, theme.examples), (False, theme.counter_examples))
    for text in texts
]


@pytest.mark.parametrize(("name", "code", "text", "is_example"), EXAMPLES)
def test_every_example_of_the_dictionary_holds(name, code, text, is_example):
    assert (code in coded(text, name)) == is_example


EXCLUSIONS = [
    (name, theme.code, word)
    for name, question in QUESTIONS.items()
    for theme in question.themes
    for word in theme.excluded
]


@pytest.mark.parametrize(("name", "code", "word"), EXCLUSIONS)
def test_every_exclusion_of_the_dictionary_is_felt_by_a_counter_example(name, code, word):
    question = QUESTIONS[name]
    theme = next(theme for theme in question.themes if theme.code == code)
    less = theme.model_copy(update={"excluded": tuple(w for w in theme.excluded if w != word)})
    without = themes.Dictionary(question.model_copy(update={"themes": (less,)}))
    texts = [words.words_of(words.tidy(text)) for text in theme.counter_examples]
    assert any(code in without.code(text) for text in texts)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("お金には困っていない", []),
        ("お金には、困っていません", []),
        ("お金に困っていないわけではない", ["money"]),
        ("お金がなくて困っている", ["money"]),
        ("お金に困ることはないが、話し相手がいない", ["talk"]),
        ("お金だけでなく体調も悪い", ["health", "money"]),
        ("借金があるかもしれない", ["money"]),
        ("年金しかない", ["money"]),
        ("孤独ではない", []),
        ("寂しくないわけではない", ["unease"]),
        ("寂しくてたまらない", ["unease"]),
        ("不安でならない", ["unease"]),
        ("寂しいのではないか", ["unease"]),
        ("介護をしなければならない", ["care"]),
        ("介護で仕事に行けない", ["care"]),
        ("誰とも話さず寂しい", ["talk", "unease"]),
        ("話し相手がいないと困る", ["talk"]),
        ("ｻﾐｼｲ、淋しい、ひとりぼっちで", ["talk", "unease"]),
        ("借金があるしかし働かない", ["money"]),
        ("借金がある けれど働かない", ["money"]),
        ("借金がある ただし働いていない", ["money"]),
        ("", []),
        ("あ", []),
        ("😢💧", []),
    ],
)
def test_negation_counts_within_the_clause(text, found):
    assert coded(text) == found


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("話し相手がいない", "coded"),
        ("庭の草が伸びた", "uncoded"),
        ("特になし。", "nothing"),
        ("\u3000", "blank"),
        (None, "blank"),
        ("あ", "short"),
        ("😢💧!!", "no_words"),
        ("12345", "no_words"),
        ("縺ｨ縺ｦ繧ょ縺励＞", "damaged"),
        ("寂し\ufffdい", "damaged"),
        ("I feel lonely", "other_language"),
        ("외로워요", "other_language"),
        ("寂しい。" * 10_000, "coded"),
    ],
)
def test_every_answer_has_one_outcome(text, outcome):
    found = answers.code_answers(
        pd.Series([text, None]), QUESTIONS["trouble_theme"], name="trouble_theme"
    )
    assert found.outcomes.tolist() == [outcome, "blank"]
    assert found.ledger()["n_rows"].sum() == 2
    is_in_base = outcome in ("coded", "uncoded")
    assert (found.table["trouble_theme"].iloc[0] == "answered") == is_in_base
    chosen = found.table.filter(like="trouble_theme_").iloc[0]
    assert chosen["trouble_theme_uncoded"] == (outcome == "uncoded")
    assert chosen.sum() == 0 or is_in_base


@pytest.mark.parametrize(("n_between", "found"), [(5, ["care"]), (6, [])])
def test_two_parts_of_an_entry_stand_at_most_six_words_apart(n_between, found):
    # は and the adverbs stand between 施設 and 入れる: six words are near enough, seven are not.
    assert coded("施設は" + "とても" * n_between + "入れた") == found


def test_columns_are_those_of_the_item():
    found = answers.code_answers(
        pd.Series(["お金がない"]), QUESTIONS["trouble_theme"], name="trouble_theme"
    )
    item = SURVEY.items["trouble_theme"]
    assert found.table.columns.tolist() == [item.name, *item.columns]
    values = item.indicators(found.table, base="answered")
    assert values.columns[values.iloc[0] == 1].tolist() == ["money"]


def test_log_likelihood_by_hand():
    # 寂しい stands in 3 of 3 answers here and in 1 of 2 elsewhere. Expected under one rate of 4/5:
    # here 2.4 and 0.6 without, rest 1.6 and 0.4. G2 = 2 (3 ln(3/2.4) + 1 ln(1/1.6) + 1 ln(1/0.4)).
    said = [redaction.redact(t) for t in ["寂しい", "寂しい夜", "とても寂しい", "寂しい", "嬉しい"]]
    table = answers.telling_words(said, np.array([True, True, True, False, False]))
    row = table.set_index("words").loc["寂しい"]
    by_hand = 2 * (3 * np.log(3 / 2.4) + np.log(1 / 1.6) + np.log(1 / 0.4))
    assert row["log_likelihood"] == pytest.approx(by_hand)
    assert (row["n_here"], row["n_rest"]) == (3, 1)


def test_a_word_that_is_commoner_in_the_rest_tells_nothing_of_an_answer():
    # 夜 stands in 3 of 4 answers here and in all of the rest; 寂しい in all here, in none there.
    said = [redaction.redact(t) for t in [*["寂しい夜"] * 3, "寂しい", "夜", "夜"]]
    table = answers.telling_words(said, np.array([True] * 4 + [False] * 2))
    assert table["words"].tolist() == ["寂しい", "寂しい 夜"]


# --- a themes.yaml with a mistake -----------------------------------------------------------------


def open_with(tmp_path, monkeypatch, change):
    folder = tmp_path / "data/raw/ehime"
    shutil.copytree(SURVEY.raw_dir, folder, ignore=shutil.ignore_patterns("20*"))
    path = folder / "themes.yaml"
    plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(plan)
    path.write_text(yaml.safe_dump(plan, allow_unicode=True), encoding="utf-8")
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    return open_study("ehime", 2022)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda p: p.update(colour="red"), "themes.colour"),
        (lambda p: p["questions"]["trouble_theme"]["themes"][0].update(wrods=["a"]), "wrods"),
        (lambda p: p["questions"]["trouble_theme"]["themes"][1].update(code="talk"), "talk が二つ"),
        (
            lambda p: p["questions"]["trouble_theme"]["themes"][1].update(
                label=p["questions"]["trouble_theme"]["themes"][0]["label"]
            ),
            "話し相手・相談相手がいない が二つ",
        ),
        (lambda p: p["questions"]["trouble_theme"].update(text="troubel_text"), "trouble_text ?"),
        (lambda p: p["questions"]["trouble_theme"]["themes"][0].pop("examples"), "examples: 必須"),
        (lambda p: p["ever"].update(never="99"), "themes.ever.never"),
        (lambda p: p.update(axes=["regoin"]), "themes.axes: regoin"),
        (
            lambda p: p["questions"].update(trouble=p["questions"].pop("trouble_theme")),
            "すでにある名前",
        ),
    ],
)
def test_a_mistake_in_themes_yaml_is_named(tmp_path, monkeypatch, change, named):
    with pytest.raises(errors.ConfigError, match="themes.yaml に誤りがあります") as caught:
        open_with(tmp_path, monkeypatch, change)
    assert named in str(caught.value)


def test_themes_yaml_that_is_no_yaml(tmp_path, monkeypatch):
    open_with(tmp_path, monkeypatch, lambda plan: plan)
    path = tmp_path / "data/raw/ehime/themes.yaml"
    path.write_text("version: [", encoding="utf-8")
    with pytest.raises(errors.ConfigError, match="themes.yaml を.*読めません"):
        open_study("ehime", 2022)


def test_text_in_a_multi_answer_cell_is_a_counted_cell():
    raw = reading.read_responses(SURVEY)
    raw.table["trouble_12"] = raw.table["trouble_12"].astype(object)
    row = raw.table.index[raw.table["respondent_id"].to_numpy() == "E22-1005"][0]
    raw.table.loc[row, "trouble_12"] = "庭の草がのびる"
    cleaned = cleaning.clean_responses(raw, SURVEY)
    found = cleaned.cells[cleaned.cells["variable"] == "trouble_12"]
    assert found["file_row"].tolist() == [row]
    assert cleaned.ledger["n_rows"].sum() == len(raw.table) + len(raw.rejected)
