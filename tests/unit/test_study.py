"""A study is a folder: every mistake in it is named with its key and what is allowed."""

from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import yaml

from tsunagari import errors
from tsunagari.intake.deriving import derive_variables
from tsunagari.study import codebook, files
from tsunagari.study.codebook import Item
from tsunagari.study.survey import inspect_study_file, open_study

CODEBOOK = """\
question_no,item,variable,type,label,short_label,code,code_label,role,min,max,ask_if,required,\
scale,sensitive,waves,version,certainty_wording,certainty_options,certainty_order,source
,,id,ID,番号,,,,,,,,yes,,,,,own,own,own,test
S1,,region,SA,地域,,1,北,,,,,yes,,,,,own,own,own,test
,,region,,,,2,南,,,,,,,,,,,,,
1,,age,NUM,年齢,,,,,0,110,,yes,,,,,own,own,own,test
2,,lonely,SA,孤独感,,1,ない,,,,,yes,,,,,own,own,own,test
,,lonely,,,,2,ある,,,,,,,,,,,,,
,,lonely,,,,8,答えたくない,refused,,,,,,,,,,,,
,,lonely,,,,9,無回答,no_answer,,,,,,,,,,,,
3,event,event_1,MA,出来事,,1,転居,,,,lonely=2,,,,,,own,own,own,test
,event,event_2,MA,,,2,死別,,,,,,,,,,,,,
,event,event_3,MA,,,3,ない,exclusive,,,,,,,,,,,,
4,,old,SA,以前の質問,,1,はい,,,,,,,,2021,,own,own,own,test
"""

pytestmark = pytest.mark.usefixtures("folder")

GOOD = {
    "study": "small",
    "title": "小さな調査",
    "area": "県",
    "people": "県民",
    "waves": {
        2022: {"responses": "responses.csv", "synthetic": "sample.csv", "fieldwork": "2023年1月"},
        2023: {"responses": "responses.csv", "fieldwork": "2024年1月", "previous": 2022},
    },
    "columns": {"respondent_id": "id"},
    "design": {"region": "region", "age": "age", "age_band": "age_band"},
    "derive": {
        "age_band": {
            "label": "年代",
            "bands_of": "age",
            "bands": [
                {"code": "y", "label": "若い", "from": 16, "to": 39},
                {"code": "o", "label": "40以上", "from": 40, "to": None},
            ],
        }
    },
    "weighting": {
        "method": "post_stratification",
        "label": "事後層化",
        "cells": ["region"],
        "targets": "population.csv",
    },
    "indicators": {"lonely_yes": {"label": "ある人", "item": "lonely", "codes": [2]}},
    "tables": {"axes": ["region"], "crosses": ["lonely"]},
    "model": {"outcomes": ["lonely_yes"], "factors": ["region"]},
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    monkeypatch.delenv("TSUNAGARI_STAGING", raising=False)
    place = tmp_path / "data/raw/small"
    (place / "2022").mkdir(parents=True)
    (place / "codebook.csv").write_text(CODEBOOK, encoding="utf-8")
    write(place, GOOD)
    return place


def write(place: Path, content: dict) -> None:
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    (place / "study.yaml").write_text(text, encoding="utf-8")


def changed(**parts) -> dict:
    return {**GOOD, **parts}


def derived(**rule) -> dict:
    return changed(derive=GOOD["derive"] | {"x": {"label": "x", **rule}})


def merged(*codes: str) -> dict:
    return {"code": f"of_{codes[-1]}", "label": "x", "of": list(codes)}


def band(low: int, high: int | None) -> dict:
    return {"code": str(low), "label": "x", "from": low, "to": high}


def test_a_good_study_opens():
    survey = open_study("small", 2022)
    assert survey.wave.fieldwork == "2023年1月"
    assert list(survey.items) == ["region", "age", "lonely", "event", "age_band"]
    assert survey.axes == [["region"]]
    assert survey.config.indicators["lonely_yes"].codes == ("2",)  # a number in YAML is a code


def test_unknown_study_names_those_there_are():
    with pytest.raises(errors.ConfigError, match="選べるもの: small") as error:
        open_study("smal", 2022)
    assert error.value.exit_code == 5
    assert " / There is no study 'smal'" in str(error.value)


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("nowhere=1", "SKIP_RULE"),  # no such variable
        ("lonely=7", "SKIP_RULE"),  # no such code
        ("age=20", "SKIP_RULE"),  # a number has no codes
        ("event_1=1", "SKIP_RULE"),  # its own filter
        ("old=1", "SKIP_RULE"),  # asked in 2021 only
        ("lonely>1", "CONDITION"),
    ],
)
def test_a_wrong_filter_is_refused_before_any_answer_is_read(folder, condition, code):
    text = CODEBOOK.replace("lonely=2", condition)
    (folder / "codebook.csv").write_text(text, encoding="utf-8")
    with pytest.raises(errors.ConfigError, match="event_1") as error:
        open_study("small", 2022)  # there is no answer file
    assert error.value.code == code


def test_filters_in_a_circle_are_refused(folder):
    text = CODEBOOK.replace(
        "2,,lonely,SA,孤独感,,1,ない,,,,,", "2,,lonely,SA,孤独感,,1,ない,,,,event_1=1,"
    )
    (folder / "codebook.csv").write_text(text, encoding="utf-8")
    with pytest.raises(errors.ConfigError, match="SKIP_RULE.*lonely"):
        open_study("small", 2022)


def test_unknown_year_names_those_there_are():
    with pytest.raises(errors.ConfigError, match="選べる年: 2022, 2023"):
        open_study("small", 2021)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (changed(titel="x"), r"titel: 知らないキー.*title"),
        ({k: v for k, v in GOOD.items() if k != "area"}, r"area: 必須です"),
        (changed(study="other"), r"study: フォルダー名 small"),
        (
            changed(weighting={**GOOD["weighting"], "method": "guess"}),
            r"weighting.method.*'post_stratification', 'raking' or 'given'",
        ),
        (changed(weighting={"method": "given", "label": "x"}), r"weighting.base_weight.*必須"),
        (
            changed(weighting={**GOOD["weighting"], "trim_ratio": 5}),
            r"weighting.trim_ratio.*raking",
        ),
        (
            changed(indicators={"a": {"label": "x", "item": "lonley", "codes": [2]}}),
            r"indicators.a.item: lonley.*lonely \?",
        ),
        (
            changed(quality=[{"rule": "speeder", "variable": "seconds"}]),
            r"quality.0.variable: seconds という名前はない",
        ),
        (
            changed(quality=[{"rule": "straightliner", "items": ["lonley"]}]),
            r"quality.0.items: lonley.*lonely \?",
        ),
        (changed(regions={"9": {"label": "x"}}), r"regions: 9 .*使えるのは 1, 2"),
        (
            changed(weighting={**GOOD["weighting"], "sample_share": {"region": ["7"]}}),
            r"weighting.sample_share.region: 7 .*使えるのは 1, 2",
        ),
        (
            changed(
                weighting={
                    **GOOD["weighting"],
                    "collapse": [{"variable": "region", "codes": ["1", "7"]}],
                }
            ),
            r"weighting.collapse.0.codes: 7 .*使えるのは 1, 2",
        ),
        (derived(recode_of="lonely", classes=[merged("1"), merged("7")]), r"derive.x.classes: 7"),
        (derived(recode_of="lonely", classes=[merged("1")]), r"derive.x.classes: コード 2 がどれ"),
        (derived(recode_of="lonely", classes=[merged("1", "2"), merged("2")]), r"2 が二つある"),
        (derived(bands_of="age", bands=[band(0, 20), band(20, None)]), r"0 と 20 が重なる"),
        (derived(bands_of="age", bands=[band(20, 10)]), r"derive.x.bands: 20 は from が to より"),
        (changed(model={"outcomes": 1, "factors": []}), r"model.outcomes: 一覧 \[ , \] で"),
        (changed(marks={"confidence": 95}), r"marks.confidence: 1.0 より小さく"),
        (
            changed(indicators={"lonely_yes": {"label": "x", "item": "lonely", "codes": [7]}}),
            r"indicators.lonely_yes.codes: 7",
        ),
        (changed(tables={"axes": ["regon"], "crosses": []}), r"tables.axes: regon.*region \?"),
        (changed(disclosure={"threshold": 3}), r"disclosure.threshold.*5"),
        (
            changed(recode={"lonely": [{"code": "a", "label": "x", "of": ["1", "5"]}]}),
            r"recode.lonely.a: コード 5 がない",
        ),
        (
            changed(
                recode={
                    "event": [
                        {"code": "a", "label": "x", "of": ["1", "2"]},
                        {"code": "b", "label": "x", "of": ["2", "3"]},
                    ]
                }
            ),
            r"recode.event.b: a と重なる",
        ),
        (
            changed(recode={"lonely": [{"code": "a x b", "label": "x", "of": ["1"]}]}),
            r"lonely: a x b は使えない",
        ),
        (
            changed(recode={"lonely": [{"code": "all", "label": "x", "of": ["1"]}]}),
            r"lonely: all は使えない",
        ),
        (changed(weighting={**GOOD["weighting"], "psu": "cluster"}), r"weighting.psu: cluster"),
        (changed(marks={"point_threshold": "inf"}), r"marks.point_threshold.*finite"),
        (
            changed(waves={2022: {"responses": "r.csv", "fieldwork": "x", "previous": 2020}}),
            r"waves.2022.previous: 2020",
        ),
    ],
)
def test_every_mistake_is_named_with_its_key(folder, content, words):
    write(folder, content)
    with pytest.raises(errors.ConfigError, match=words):
        open_study("small", 2022)


def test_all_mistakes_are_named_at_once(folder):
    write(folder, changed(titel="x", people=None))
    with pytest.raises(errors.ConfigError, match=r"2 件.*people.*titel|2 件.*titel.*people"):
        open_study("small", 2022)


def test_yaml_that_does_not_parse_names_its_line(folder):
    (folder / "study.yaml").write_text("study: small\ntitle: [\n", encoding="utf-8")
    with pytest.raises(errors.ConfigError, match=r"\d 行目付近"):
        open_study("small", 2022)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (",,region,,,,2,南", ",,region,,,,1,南", r"region のコード 1 が重複.*3・4 行目"),
        (",event,event_2,MA,,,2,", ",event,event_2,MA,,,1,", r"event のコード 1 が重複"),
        (",,id,ID,", ",,id,KEY,", r"2 行目 type は SA/MA"),
        (",refused,", ",refusal,", r"8 行目 role は"),
        (",,region,,,,2,南", ",,region,,,,２,南", r"4 行目 code が全角"),
        (",,region,,,,2,南", ",,region,,,,2 ,南", r"4 行目 code が全角か、前後に空白"),
        (",0,110,", ",0,ten,", r"5 行目 max が数でない"),
        (",0,110,", ",-inf,110,", r"5 行目 min が数でない"),
        ("question_no,", "number,", r"列 question_no がない.*列 number は使えない"),
    ],
)
def test_codebook_mistakes_name_the_row(folder, old, new, words):
    assert old in CODEBOOK
    (folder / "codebook.csv").write_text(CODEBOOK.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(errors.ConfigError, match=words):
        open_study("small", 2022)


def test_codes_of_the_study_file_are_the_text_that_stands_there(folder):
    text = (folder / "study.yaml").read_text(encoding="utf-8")
    text += "multi_answer: {chosen: Yes, unchosen: No}\nregions: {01: {label: 12:30}}\n"
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    config = inspect_study_file(folder / "study.yaml")[0]
    assert (config.multi_answer.chosen, config.multi_answer.unchosen) == ("Yes", "No")
    assert {code: region.label for code, region in config.regions.items()} == {"01": "12:30"}
    assert config.derive["age_band"].bands[1].to is None


def test_a_code_that_names_a_domain_of_two_is_refused(folder):
    text = CODEBOOK.replace(",,region,,,,2,南", ",,region,,,,1 x 2,南")
    (folder / "codebook.csv").write_text(text, encoding="utf-8")
    with pytest.raises(errors.ConfigError, match="region: 1 x 2 は使えない"):
        open_study("small", 2022)


def test_rows_of_another_wave_are_left_out():
    assert "old" not in open_study("small", 2022).codebook.columns.index


# --- indicators ---------------------------------------------------------------------------------


@pytest.fixture
def people() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "lonely": ["1", "2", "8", "9", codebook.NO_ANSWER, None],
            "event": [None, "answered", None, None, "no_answer", None],
            "event_1": pd.array([None, 1, None, None, 0, None], dtype="Int8"),
            "event_2": pd.array([None, 1, None, None, 0, None], dtype="Int8"),
            "event_3": pd.array([None, 0, None, None, 0, None], dtype="Int8"),
        }
    ).astype({"lonely": "string", "event": "string"})


def test_base_asked_counts_no_answer_in_and_the_unasked_out(people):
    table = open_study("small", 2022).items["lonely"].indicators(people, base="asked")
    assert list(table.columns) == ["1", "2", "8", "no_answer"]
    # Five were asked; code 9 and a blank are one thing: no answer.
    assert table.sum().tolist() == [1, 1, 1, 2]
    assert table.notna().all(axis=1).tolist() == [True] * 5 + [False]


def test_base_answered_leaves_refusals_and_no_answer_out(people):
    table = open_study("small", 2022).items["lonely"].indicators(people, base="answered")
    assert list(table.columns) == ["1", "2"]
    assert table.notna().all(axis=1).tolist() == [True, True, False, False, False, False]


def test_multi_answer_has_respondents_as_base(people):
    item = open_study("small", 2022).items["event"]
    asked = item.indicators(people, base="asked")
    assert asked.notna().all(axis=1).sum() == 2  # the two who were asked
    assert asked.sum().to_dict() == {"1": 1, "2": 1, "3": 0, "no_answer": 1}
    assert item.indicators(people, base="answered").notna().all(axis=1).sum() == 1


def test_a_net_is_the_union_of_its_codes(folder, people):
    nets = {"event": [{"code": "any", "label": "どれか", "of": ["1", "2"]}]}
    write(folder, changed(recode=nets))
    item = open_study("small", 2022).items["event"]
    assert item.indicators(people)["any"].dropna().tolist() == [1.0, 0.0]
    assert item.labels["any"] == "どれか"


# --- files --------------------------------------------------------------------------------------


def test_the_real_file_wins_over_the_sample(folder):
    survey = open_study("small", 2022)
    with pytest.raises(errors.InputError, match=r"data/raw/small/2022/responses.csv がありません"):
        survey.responses_path  # noqa: B018
    (folder / "2022/sample.csv").write_text("id\n1\n")
    assert survey.is_synthetic
    assert survey.synthetic_inputs == ["2022/sample.csv"]
    (folder / "2022/responses.csv").write_text("id\n1\n")
    assert not survey.is_synthetic
    assert survey.synthetic_inputs == []


def test_an_earlier_synthetic_wave_keeps_the_banner(folder):
    (folder / "2022/sample.csv").write_text("id\n1\n")
    (folder / "2023").mkdir()
    (folder / "2023/responses.csv").write_text("id\n1\n")
    assert open_study("small", 2023).synthetic_inputs == ["2022/sample.csv"]


def test_tables_come_back_as_they_were_saved():
    survey = open_study("small", 2022)
    table = pd.DataFrame({"item_value": ["01", "NA"], "estimate": [0.1, np.nan]})
    for name in ("private/a.csv", "private/a.parquet"):
        survey.save(name, table)
        back = survey.load(name)
        assert back["item_value"].tolist() == ["01", "NA"]  # neither 1 nor missing
        assert back["estimate"].tolist()[0] == 0.1
    with pytest.raises(errors.InputError, match="前のノートブック"):
        survey.load("private/b.csv")


def test_staging_folder_replaces_the_processed_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_STAGING", str(tmp_path / "staging"))
    survey = open_study("small", 2022)
    survey.save("published/about.json", {"a": 1})
    assert (tmp_path / "staging/published/about.json").exists()


@pytest.mark.parametrize(
    "text", ["=1+1", "＝1+1", "+81", "-1", "－無回答", "@SUM(A1)", "\t=1", "'=1"]
)
def test_a_csv_holds_no_formula_and_gives_the_text_back(tmp_path, text):
    path = tmp_path / "estimates.csv"
    table = pd.DataFrame({"item_label": [text, "10-12", "'a", None], "estimate": [-1.5, 2, 3, 4]})
    files.write_table(path, table)
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")  # Excel reads UTF-8 by this mark alone
    assert b"\n-1.5" not in data and b",-1.5" in data  # a number stays one
    first = pd.read_csv(path, dtype=str)["item_label"].tolist()[0]
    assert first == f"'{text}"
    back = files.read_table(path)
    assert back["item_label"].tolist()[:3] == [text, "10-12", "'a"]
    assert back["item_label"].isna().tolist() == [False, False, False, True]
    assert back["estimate"].tolist() == [-1.5, 2, 3, 4]


def test_a_quota_sheet_holds_texts_and_numbers_and_no_formula(tmp_path):
    path = tmp_path / "quota_sheet.xlsx"
    table = pd.DataFrame({"地域": ["=1+1", "https://example.invalid"], "割付": [3, 4]})
    files.write_table(path, {"割付": table})
    sheet = openpyxl.load_workbook(path)["割付"]
    assert [[cell.value for cell in row] for row in sheet] == [
        ["地域", "割付"], ["=1+1", 3], ["https://example.invalid", 4],
    ]  # fmt: skip
    assert {cell.data_type for row in sheet.iter_rows(min_row=2) for cell in row} == {"s", "n"}
    assert not any(cell.hyperlink for row in sheet for cell in row)


def test_not_applicable_is_in_no_base_and_refusals_are_in_the_base_of_those_asked():
    item = Item(
        "q", "問", "問", "SA", {"1": "ない", "2": "ある"},
        missing={"8": "答えたくない"}, no_answer=("9",), not_asked=("7",),
    )  # fmt: skip
    people = pd.DataFrame({"q": ["1", "2", "8", "9", "7", "no_answer", None]}, dtype="string")
    asked = item.indicators(people)
    # asked: 1, 2, refused, 9 and no answer; neither not applicable (7) nor never asked
    assert asked["1"].notna().tolist() == [True, True, True, True, False, True, False]
    assert asked["8"].sum() == 1 and asked["no_answer"].sum() == 2
    answered = item.indicators(people, base="answered")
    assert answered["1"].notna().tolist() == [True, True, False, False, False, False, False]
    assert list(answered) == ["1", "2"]


def test_refusals_of_the_source_are_no_answer_of_a_merged_variable(folder, people):
    merged = {"label": "区分", "recode_of": "lonely"}
    merged["classes"] = [{"code": "n", "label": "ない", "of": ["1"]}]
    merged["classes"] += [{"code": "y", "label": "ある", "of": ["2"]}]
    write(folder, changed(derive=GOOD["derive"] | {"is_lonely": merged}))
    survey = open_study("small", 2022)
    derived = derive_variables(people.assign(age=30), survey)["is_lonely"]
    # never asked stays outside; refused (8), no answer (9) and a blank were asked
    assert derived.tolist()[:5] == ["n", "y", "no_answer", "no_answer", "no_answer"]
    assert pd.isna(derived[5])
    item = survey.items["is_lonely"]
    assert item.indicators(derived.to_frame())["no_answer"].tolist()[:5] == [0, 0, 1, 1, 1]


def test_a_study_of_records_alone_has_no_survey(monkeypatch):
    monkeypatch.delenv("TSUNAGARI_ROOT", raising=False)
    place = open_study("tottori-city", 2023)
    assert not place.has_survey
    assert place.previous.year == 2022
    assert place.items == {}
    assert place.synthetic_inputs == []  # until notebook 06 has read the records
    assert open_study("ehime", 2022).has_survey
