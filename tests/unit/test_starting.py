"""A new folder checks as it stands, what is no study is refused, and every mistake is told."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tests.unit.test_population import AGES, code, register_rows, write_register

from tsunagari import errors, synthetic
from tsunagari.run import pipeline
from tsunagari.starting import checking, making
from tsunagari.study.population import load_population
from tsunagari.study.survey import open_study

RAW = Path(__file__).resolve().parents[2] / "data/raw"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a root where a municipality's study was made by the prefecture's ages."""
    root = tmp_path_factory.mktemp("made")
    for name in ("national", "prefectures"):
        shutil.copytree(RAW / name, root / "data/raw" / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSUNAGARI_ROOT", str(root))
        place = ("愛媛県", "松山市", making.STRUCTURE)
        assert making.main("matsuyama", "2026", *place) == 0
    return root


@pytest.fixture
def root(made, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(made))
    return made


@pytest.fixture
def broken(made, tmp_path, monkeypatch):
    """Return the study's folder in a root of its own, to spoil."""
    shutil.copytree(made / "data/raw", tmp_path / "data/raw")
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    return tmp_path / "data/raw/matsuyama"


def spoil(path: Path, *changes: tuple[str, str]) -> int:
    """Replace texts that stand once; return the line of the last one."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        line = text[: text.index(old)].count("\n") + 1
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return line


# --- population -----------------------------------------------------------------------------------


def test_the_47_prefectures_add_up_to_the_published_nation():
    table = making.prefectures()
    assert table["prefecture"].nunique() == 47
    assert table["population"].sum() == 126_146_099  # 2020 census, as published
    ehime = table[table["prefecture"] == "愛媛県"]["population"].sum()
    assert ehime == 1_334_841
    assert len(table) == 47 * 2 * 22


@pytest.mark.usefixtures("root")
def test_a_structure_is_that_of_the_prefecture_and_nobodys_population():
    study = open_study("matsuyama", 2026)
    people = load_population(study).groupby("age_band")["population"].sum()
    census = making.prefectures().query("prefecture == '愛媛県'")
    twenties = census[census["age_class"].isin(["20-24", "25-29"])]["population"].sum()
    known = census["population"].sum()
    assert people["20s"] == pytest.approx(100_000 * twenties / known, abs=0.2)
    assert "松山市の人口ではありません" in study.wave.population_note
    assert study.is_synthetic


# --- what is made ---------------------------------------------------------------------------------


def test_the_questions_are_those_of_ehime_that_follow_the_nation(root):
    ours = pd.read_csv(root / "data/raw/matsuyama/codebook.csv", dtype=str, keep_default_na=False)
    ehime = pd.read_csv(RAW / "ehime/codebook.csv", dtype=str, keep_default_na=False)
    places = "region|range"  # the words for where somebody lives are each one's own
    own = ehime["variable"].str.match(f"{places}|trouble|resolved|line_known")
    pd.testing.assert_frame_equal(
        ours[~ours["variable"].str.match(places)].reset_index(drop=True),
        ehime[~own].reset_index(drop=True),
    )


def test_a_new_study_has_no_mistake_and_its_sheets_are_there(root):
    assert checking.list_mistakes("matsuyama", 2026) == []
    sheets = root / "data/processed/matsuyama/templates/2026"
    found = pd.read_excel(sheets / "quota_sheet.xlsx", sheet_name=None, engine="calamine")
    quotas = found["割付"]
    assert quotas.columns[-3:].tolist() == ["人口（人）", "割合（%）", "割付（人）"]
    assert quotas["割付（人）"].sum() == making.N_RESPONDENTS
    assert (quotas["割合（%）"] == quotas["割合（%）"].round(1)).all()
    assert (quotas["人口（人）"] % 1 == 0).all() and "20代" in quotas.iloc[:, 1].tolist()
    assert "松山市の人口ではありません" in found["注"]["注"][0]
    assert (sheets / "symposium.xlsx").exists()


BAD = [
    ("matsuyama", 2026, "愛媛県", "松山市", "prefecture", "すでにあります"),
    ("../etc", 2026, "愛媛県", "", "", "フォルダーの名前"),
    ("my town", 2026, "愛媛県", "", "", "フォルダーの名前"),
    ("松山", 2026, "愛媛県", "", "", "フォルダーの名前"),
    ("kochi", 26, "高知県", "", "", "4けた"),
    ("kochi", 2026, "愛知懸", "", "", "近い名前: 愛知県"),
    ("kochi", 2026, "", "", "", "近い名前: 北海道・"),
    ("kochi", 2026, "高知県", "高知: {市", "prefecture", "記号や空白"),
    ("kochi", 2026, "高知県", "高知市", "", "POPULATION=prefecture と書くと、高知県の年齢構成"),
    ("kochi", 2026, "高知県", "高知市", "no/such.xlsx", "ファイル such.xlsx がありません"),
]


@pytest.mark.parametrize(
    ("name", "year", "prefecture", "municipality", "population", "said"), BAD, ids=range(len(BAD))
)
def test_what_is_no_study_is_refused_and_leaves_nothing(
    root, name, year, prefecture, municipality, population, said
):
    before = sorted(path.name for path in (root / "data/raw").iterdir())
    with pytest.raises(errors.ConfigError, match=said):
        making.make_study(
            name, year, prefecture=prefecture, municipality=municipality, population=population
        )
    assert sorted(path.name for path in (root / "data/raw").iterdir()) == before


ESTAT_HEAD = "area code,全国・都道府県・市区町村,男女,年齢5歳階級,value"
ESTAT = [("男", "15～19歳", 5), ("女", "100歳以上", 7)]


def test_an_official_file_without_the_municipality_leaves_no_folder(root, tmp_path):
    path = tmp_path / "FEH_00200521.csv"
    path.write_text(f"{ESTAT_HEAD}\n38201,松山市,男,15～19歳,5\n", encoding="utf-8")
    with pytest.raises(errors.InputError, match="今治市"):
        making.make_study(
            "imabari", 2026, prefecture="愛媛県", municipality="今治市", population=str(path)
        )
    assert not (root / "data/raw/imabari").exists()


def test_an_official_file_gives_the_municipality_its_own_people(tmp_path):
    path = tmp_path / "FEH_00200521.csv"
    rows = [f"38201,松山市,{sex},{age},{n}" for sex, age, n in ESTAT]
    path.write_text("\n".join([ESTAT_HEAD, *rows]) + "\n", encoding="utf-8")
    people, kind = making._population("愛媛県", "松山市", population=str(path))
    assert kind == "file"
    assert people["population"].sum() == 5 + 7


def test_a_register_gives_a_prefecture_all_its_people_and_a_city_its_own(tmp_path):
    """In 21 ages of each sex 10, 3 (4 withheld) and 2 people; a ward is counted in its city."""
    rows = register_rows()
    for five, name, each in (("38101", "松山市中央区", 9), ("38203", "宇和島市", 2)):
        for sex in ("男", "女"):
            ages = [each] * len(AGES)
            rows.append([code(five), "愛媛県", name, sex, sum(ages), *ages])
    path = str(write_register(tmp_path / "register.xlsx", rows=rows))
    whole, kind = making._population("愛媛県", "", population=path)
    assert kind == "file"
    assert {*whole["municipality"]} == {"松山市", "松前町", "宇和島市"}
    assert whole["population"].sum() == 2 * 21 * (10 + 3 + 2) + 2 * 4
    own, _ = making._population("愛媛県", "松山市", population=path)
    assert own["population"].sum() == 2 * 21 * 10


def test_an_official_file_of_any_name_makes_a_study_of_its_areas(root, tmp_path):
    path = write_register(tmp_path / "a: {register} #1.xlsx")
    study = making.make_study("ehime-ken", 2026, prefecture="愛媛県", population=str(path))
    assert study.config.regions["1"].municipalities == ("松山市", "松前町")
    assert "a: {register} #1.xlsx の愛媛県" in study.wave.population_note
    assert load_population(study)["population"].sum() == pytest.approx(2 * 13 * (17 + 4 / 5), 0.001)
    areas = pd.read_csv(study.raw_dir / "population_municipalities.csv", dtype=str)
    assert areas["municipality_code"].tolist() == ["38201", "38401"]
    shutil.rmtree(root / "data/raw/ehime-ken")


# --- what is wrong --------------------------------------------------------------------------------


THEMES = """\
version: "1"
questions:
  worries:
    text: consult
    options: consult
    label: 困りごと
    short_label: 困りごと
    themes: [{code: Talk, label: 話し相手, examples: [話す人がいない]}]
"""


def test_mistakes_of_every_file_are_told_at_once_with_their_lines(broken):
    study, book, recipe = (broken / n for n in ("study.yaml", "codebook.csv", "recipe.yaml"))
    title = spoil(study, ("\ntitle:", "\ntitel:")) + 1
    year = spoil(study, ("benchmark_year: 2023", "benchmark_year: 2031"))
    age = spoil(study, ("minimum_age: 16", "minimum_age: sixteen"))
    band = spoil(study, ("{code: 4-6, label: 4〜6点", "{code: 4-6, label: 4〜7点")) - 2
    spoil(study, ("from: 4, to: 6}", "from: 4, to: 7}"))
    method = spoil(study, ("method: post_stratification", "method: by_eye"))
    share = spoil(study, ("no_answer]}  # 人口に", 'no_answer], region: ["7"]}  # 人口に'))
    rule = spoil(study, ("items: [ucla1,", "items: [ucla9,"))
    cross = spoil(study, ("    - worry_has\n    - health", "    - worry_had\n    - health"))
    skip = spoil(book, ("support=2,", "suport=2,"))
    (broken / "themes.yaml").write_text(THEMES, encoding="utf-8")
    (broken / "texts.yaml").write_text("chapters:\n  nowhere: {title: x}\nword: 1\n", "utf-8")
    english = spoil(broken / "texts_en.yaml", ("男性: men", "男性: 2 men"), ("20代: 20s", "20代: "))
    spoil(broken / "population.csv", ("1,16-19,1,", "1,16-19,1,x"))
    steps = [
        spoil(recipe, ("  - pick: marital", "  - pick: maritel")),
        spoil(recipe, ("    total: 15.8", "    totle: 15.8")),
    ]
    decisions = "respondent_id,decision,reason\nS-1,drop,\n"
    (broken / "2026/decisions.csv").write_text(decisions, encoding="utf-8")
    (broken / "2026/programmes").mkdir()
    for table in ("events", "meetings"):
        (broken / f"2026/programmes/{table}.csv").write_text("へんな列\n1\n", encoding="utf-8")
    found = [
        (mistake.file.removeprefix("data/raw/matsuyama/"), mistake.line, mistake.text)
        for mistake in checking.list_mistakes("matsuyama", 2026)
    ]
    wanted = [
        ("study.yaml", 0, "title: 必須"),
        ("study.yaml", title, "titel: 知らないキー。使えるのは study, title"),
        ("study.yaml", year, "2031 年はありません。あるのは 2021, 2022"),
        ("study.yaml", age, "design.minimum_age: 整数で"),
        ("study.yaml", band, "derive.ucla_band.bands: 4-6 と 7-9 が重なる"),
        ("study.yaml", method, "weighting.method: 使えるのは 'post_stratification', 'raking'"),
        ("study.yaml", share, "sample_share.region: 7 という名前はない。使えるのは 1, no_answer"),
        ("study.yaml", rule, "quality.1.items: ucla9 という名前はない (unknown name; ucla"),
        (
            "study.yaml",
            cross,
            "tables.crosses: worry_had という名前はない (unknown name; worry_has",
        ),
        ("themes.yaml", 8, "themes.questions.worries.themes.0.code"),
        ("codebook.csv", skip, "support_why"),
        ("texts.yaml", 2, "chapters.nowhere"),
        ("texts.yaml", 3, "word"),
        ("texts_en.yaml", english, "「日本語の言葉: 英語の言葉」"),
        ("texts_en.yaml", english + 13, "日本語にない数"),
        ("population.csv", 2, "population"),
        ("recipe.yaml", steps[0], "maritel はコードブックに"),
        ("recipe.yaml", steps[1], "totle: 知らないキーです（使えるのは shares, by"),
        ("2026/decisions.csv", 2, "この番号の回答がありません"),
        ("2026/decisions.csv", 2, "decision は accept/correct/exclude"),
        ("2026/decisions.csv", 2, "reason が空"),
        ("2026/programmes/events.csv", 0, "へんな列"),
        ("2026/programmes/meetings.csv", 0, "へんな列"),
    ]
    assert [place for *place, _ in found] == [place for *place, _ in wanted]
    assert [text for *_, text in wanted if not any(text in said for *_, said in found)] == []


def test_a_question_that_the_sample_lacks_is_told_until_it_is_drawn_again(broken):
    book, recipe = broken / "codebook.csv", broken / "recipe.yaml"
    head, _, _ = book.read_text(encoding="utf-8").partition("\n")
    rows = [dict(variable="car", type="SA", label="車の有無", code="1", code_label="ある"),
            dict(variable="car", code="2", code_label="ない")]  # fmt: skip
    more = [",".join(row.get(name, "") for name in head.split(",")) for row in rows]
    with book.open("a", encoding="utf-8") as file:
        file.write("\n".join([*more, ""]))
    spoil(recipe, ("\nfaults:", "\n  - pick: car\n    shares: {1: 70, 2: 30}\n\nfaults:"))
    (mistake,) = checking.list_mistakes("matsuyama", 2026)
    assert mistake.file.endswith("2026/responses_synthetic.csv") and "car" in mistake.text
    assert synthetic.main("matsuyama", "2026") == 0
    assert checking.list_mistakes("matsuyama", 2026) == []


def test_a_study_that_is_no_yaml_is_one_line(broken):
    spoil(broken / "study.yaml", ("\ntitle: ", "\ntitle: ["))
    (broken / "codebook.csv").write_text("variable\n", encoding="utf-8")
    found = checking.list_mistakes("matsuyama", 2026)
    assert [each.file.rpartition("/")[2] for each in found][0] == "study.yaml"
    assert found[0].line > 0
    assert any("列 code がない" in each.text for each in found)


def test_rows_of_records_that_would_be_set_aside_are_told(broken, capsys):
    head = "会議ID,会議の名称,会議の種類,開催日,開催方法,公開・非公開の別"
    rows = ["M1,代表者会議,PF,2026-08-30,併用,公開", "M2,代表者会議,PF,,併用,公開"]
    path = broken / "2026/programmes/meetings.csv"
    path.parent.mkdir()
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    assert checking.main("matsuyama", "2026") == 5
    assert "programmes/meetings.csv:3: 開催日: " in capsys.readouterr().out


@pytest.mark.usefixtures("root")
def test_a_study_that_is_not_there_names_those_that_are(capsys):
    assert checking.main("matuyama", "2026") == 5
    assert "選べるもの: matsuyama" in capsys.readouterr().err


@pytest.mark.slow
def test_a_new_study_renders_as_it_stands(root, monkeypatch):
    state = pipeline.hash_environment()
    monkeypatch.setattr(pipeline, "hash_environment", lambda: state)  # the code may be edited
    assert checking.main("matsuyama", "2026") == 0
    assert pipeline.main(["report", "--study", "matsuyama", "--year", "2026"]) == 0
    page = (root / "reports/matsuyama/2026/council_report.html").read_text(encoding="utf-8")
    assert "合成データ" in page
    assert "松山市のものではなく、愛媛県の年齢・性別の構成" in page
    assert not re.search(r"東予|中予|南予|\bnan\b", page)
