"""Two coders and the dictionary: the workbook tells no person, and comes back checked."""

import shutil

import numpy as np
import openpyxl
import pandas as pd
import pytest

from tsunagari import errors
from tsunagari.study import files
from tsunagari.study.survey import open_study
from tsunagari.voices import answers, sheet

SURVEY = open_study("ehime", 2022)
NAME = "trouble_theme"
LABELS = SURVEY.items[NAME].options
TEXTS = [
    "お金がない",
    "話し相手がいない",
    "電話は090-1234-5678、寂しい",
    None,
    "特になし",
    "庭の草",
    "=1+1 バスが少ない",
]
PEOPLE = pd.DataFrame(
    {"respondent_id": [f"E{i}" for i in range(len(TEXTS))], "trouble_text": TEXTS}
)


@pytest.fixture(scope="module")
def coded():
    question = SURVEY.config.themes.questions[NAME]
    return answers.code_answers(PEOPLE["trouble_text"], question, name=NAME)


@pytest.fixture(scope="module")
def ids(coded):
    return sheet.numbers(coded, PEOPLE, text="trouble_text")


@pytest.fixture
def filled(coded, ids, tmp_path):
    """Return a function that writes a coder's workbook, with changes, and gives its path."""

    def write(changes=(), name="coding_1.xlsx"):
        path = tmp_path / name
        path.unlink(missing_ok=True)
        rng = np.random.default_rng(1)
        sheet.write_sheet(path, coded, ids=ids, themes=LABELS, rng=rng)
        book = openpyxl.load_workbook(path)
        for place, value in dict(changes).items():
            book.worksheets[0][place] = value
        book.save(path)
        return path

    return write


def rows_of(path):
    return [[cell.value for cell in row] for row in openpyxl.load_workbook(path).worksheets[0]]


def test_sheet_holds_redacted_texts_in_another_order_and_no_person(filled, ids):
    path = filled()
    rows = rows_of(path)[2:]
    assert len(rows) == 5  # neither the blank one nor 特になし
    assert {row[0] for row in rows} == set(ids.dropna())
    assert [row[0] for row in rows] != ids.dropna().tolist()
    whole = " ".join(str(value) for row in rows for value in row)
    assert "090" not in whole and "〔電話〕" in whole
    assert not any(person in whole for person in PEOPLE["respondent_id"])
    assert {len(row) for row in rows} == {8}


def test_texts_are_texts_and_themes_a_list(filled):
    book = openpyxl.load_workbook(filled())
    first, listed = book.worksheets
    assert "f" not in {cell.data_type for row in first for cell in row}
    (rule,) = first.data_validations.dataValidation
    assert (rule.type, str(rule.sqref)) == ("list", "C3:G7")
    assert [row[0].value for row in listed] == list(LABELS.values())


def test_a_filled_sheet_is_not_written_over(filled, coded, ids):
    path = filled()
    with pytest.raises(errors.ConfigError, match="SHEET_EXISTS"):
        sheet.write_sheet(path, coded, ids=ids, themes=LABELS, rng=np.random.default_rng(1))


def test_long_text_is_cut_with_a_mark(tmp_path):
    people = PEOPLE.assign(trouble_text="寂しい。" * 10_000)
    question = SURVEY.config.themes.questions[NAME]
    coded = answers.code_answers(people["trouble_text"][:1], question, name=NAME)
    ids = sheet.numbers(coded, people[:1], text="trouble_text")
    path = tmp_path / "long.xlsx"
    sheet.write_sheet(path, coded, ids=ids, themes=LABELS, rng=np.random.default_rng(1))
    assert rows_of(path)[2][1].endswith("…（長いので以下省略）")


def test_what_a_coder_chose_comes_back(filled, ids):
    path = filled({"C3": LABELS["money"], "D3": LABELS["talk"], "C4": LABELS["uncoded"]})
    found = sheet.read_sheet(path, ids=ids, themes=LABELS)
    order = [row[0] for row in rows_of(path)[2:]]
    assert found.loc[order[0]][lambda row: row].index.tolist() == ["talk", "money"]
    assert not found.loc[order[1:]].any(axis=None)
    assert "uncoded" not in found


def test_an_answer_that_stands_twice_is_refused(filled, ids):
    again = rows_of(filled())[2][0]
    with pytest.raises(errors.InputError, match="足りない 0 件、知らない・重なる 2 件、行 3, 8"):
        sheet.read_sheet(filled({"A8": again}), ids=ids, themes=LABELS)


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [
        ({"A3": "0000"}, "SHEET_IDS", "足りない 1 件、知らない・重なる 1 件、行 3"),
        ({"A3": None, "B3": None}, "SHEET_IDS", "足りない 1 件"),
        ({"C4": "お金の話"}, "SHEET_THEME", "行 4"),
        ({"A2": "ID"}, "SHEET_COLUMNS", "coding-sheet"),
    ],
)
def test_a_changed_sheet_is_refused(filled, ids, changes, code, told):
    with pytest.raises(errors.InputError, match=code) as caught:
        sheet.read_sheet(filled(changes), ids=ids, themes=LABELS)
    assert told in str(caught.value)
    assert "お金の話" not in str(caught.value)


def test_no_workbook(tmp_path, ids):
    path = tmp_path / "x.xlsx"
    path.write_text("not a workbook")
    with pytest.raises(errors.InputError, match="SHEET_UNREADABLE"):
        sheet.read_sheet(path, ids=ids, themes=LABELS)


def marks(n: int, **chosen: list[int]) -> pd.DataFrame:
    table = pd.DataFrame(False, index=[f"n{i}" for i in range(n)], columns=["a", "b"])
    for theme, rows in chosen.items():
        table.iloc[rows, table.columns.get_loc(theme)] = True
    return table


def dictionary(n: int, a: list[int]) -> answers.Coded:
    table = pd.DataFrame({"q": "answered", "q_a": 0.0, "q_b": 0.0}, index=range(n))
    table.loc[a, "q_a"] = 1.0
    table["q_uncoded"] = 1 - table["q_a"]
    return answers.Coded(table, pd.Series(["coded"] * n), [None] * n)


def test_kappa_by_hand():
    # Of 50 answers both give a to 20, the first alone to 5, the second alone to 10, none to 15.
    # Agreement (20 + 15) / 50 = 0.7; by chance 0.5 x 0.6 + 0.5 x 0.4 = 0.5; kappa 0.2 / 0.5 = 0.4.
    first, second = marks(50, a=[*range(25)]), marks(50, a=[*range(20), *range(25, 35)])
    ids = pd.Series([f"n{i}" for i in range(50)])
    found = sheet.agree(dictionary(50, a=[0, 1, 2, 20, 40]), [first, second], ids=ids)
    row = found.themes.set_index("theme").loc["a"]
    assert row["kappa"] == pytest.approx(0.4)
    assert row["lower"] < 0.4 < row["upper"]
    assert (row["n_first"], row["n_second"], row["n_both"]) == (25, 30, 20)
    # Of the agreed answers the dictionary has 0, 1, 2 right and 40 wrong: 3 of 4, and 3 of 20.
    assert (row["precision"], row["recall"]) == (75.0, 15.0)
    assert len(found.disagreements) == 15
    assert found.by_people_pct == 70.0


def test_agreed_codes_win_and_the_dictionary_keeps_the_rest():
    first, second = marks(4, a=[0, 1]), marks(4, a=[0, 2])
    ids = pd.Series([f"n{i}" for i in range(4)])
    found = sheet.agree(dictionary(4, a=[1, 3]), [first, second.iloc[::-1]], ids=ids).coded
    # 0: both yes. 1: they differ, the dictionary says yes. 2: differ, no. 3: both no.
    assert found.table["q_a"].tolist() == [1, 1, 0, 0]
    assert found.table["q_uncoded"].tolist() == [0, 0, 1, 1]


def test_theme_that_nobody_gave_has_no_kappa():
    ids = pd.Series([f"n{i}" for i in range(4)])
    found = sheet.agree(dictionary(4, a=[]), [marks(4, a=[0])] * 2, ids=ids).themes
    assert np.isnan(found.set_index("theme").loc["b", "kappa"])


def test_one_coder_only_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    assert sheet.returned(SURVEY, NAME) == []
    SURVEY.wave_dir.mkdir(parents=True)
    (SURVEY.wave_dir / f"coding_{NAME}_2.xlsx").touch()
    with pytest.raises(errors.ConfigError, match=f"ONE_CODER: coding_{NAME}_1.xlsx"):
        sheet.returned(SURVEY, NAME)


# --- make coding-sheet ----------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Return a root with the studies and the cleaned answers of a few people."""
    for name in ("ehime", "eu-loneliness-fr"):
        source = files.repository_root() / "data/raw" / name
        ignore = shutil.ignore_patterns("20*")
        shutil.copytree(source, tmp_path / "data/raw" / name, ignore=ignore)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    people = PEOPLE.assign(resolved_text=PEOPLE["trouble_text"].where(PEOPLE.index < 3))
    open_study("ehime", 2022).save("private/respondents.parquet", people)
    return tmp_path


def test_sheets_go_out_once_and_come_back(root, capsys):
    assert sheet.main("ehime", "2022") == 0
    folder = root / "data/processed/ehime/2022/private/coding"
    names = [f"coding_{q}_theme_{c}.xlsx" for q in ("resolved", "trouble") for c in (1, 2)]
    assert sorted(path.name for path in folder.iterdir()) == names
    first, second = (rows_of(folder / name)[2:] for name in names[2:])
    assert sorted(map(str, first)) == sorted(map(str, second)) and first != second
    assert sheet.main("ehime", "2022") != 0
    assert "SHEET_EXISTS" in capsys.readouterr().err
    survey = open_study("ehime", 2022)
    survey.wave_dir.mkdir()
    for name in names[2:]:
        shutil.copy(folder / name, survey.wave_dir / name)
    people = survey.load("private/respondents.parquet")
    agreed = sheet.settle(survey, people, coded=answers.code_study(survey, people))
    assert agreed.keys() == {NAME}
    assert agreed[NAME].by_people_pct == 100.0  # both left all empty: no theme in any
    assert agreed[NAME].coded.outcomes.eq("uncoded").sum() == 5
    (row,) = sheet.people_rows(agreed, wave=2022).to_dict("records")
    assert (row["estimate"], row["n_cell"], row["n_unweighted"]) == (100.0, 5, 5)
    assert sheet.summaries(agreed)["theme"].tolist() == list(LABELS)[:-1]


@pytest.mark.parametrize(
    ("name", "year", "code"),
    [
        ("eu-loneliness-fr", "2022", "NO_THEMES"),
        ("ehime", "2023", "NO_TEXTS"),
        ("x", "1", "E-STUDY"),
    ],
)
def test_no_sheets_to_write(root, capsys, name, year, code):
    assert sheet.main(name, year) != 0
    assert code in capsys.readouterr().err
    assert root.exists()
