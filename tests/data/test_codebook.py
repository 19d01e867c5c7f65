"""The Ehime codebook: 27 questions after the nation, three of its own, certainty stated."""

import re

import pandas as pd
import pytest

from tsunagari.study.survey import open_study

ORDER = [  # question_no and what it holds
    "age",
    "sex",
    "marital",
    "cohab",
    "education",
    "job",
    "dwelling",
    "hh_income",
    "econ_status",
    "ucla1 ucla2 ucla3",
    "lonely_direct",
    "lonely_duration",
    "event",
    "contact_face contact_phone contact_sns",
    "particip",
    "support",
    "support_why",
    "helping",
    "outing_freq",
    "range",
    "consult_has",
    "consult",
    "consult_feel",
    "worry_has",
    "worry_what",
    "health",
    "satisfaction",
    "trouble trouble_text",
    "resolved resolved_text",
    "line_known",
]
CERTAINTIES = {"official", "secondary", "derived", "unverified", "own"}


@pytest.fixture(scope="module")
def codebook():
    return open_study("ehime", 2022).codebook


def test_there_are_27_national_questions_and_3_own_in_order(codebook):
    columns = codebook.columns
    asked = columns[columns["question_no"].str.fullmatch("[0-9]+")]
    found = asked.groupby(asked["question_no"].astype(int))["item"].unique()
    assert found.index.tolist() == list(range(1, 27 + 3 + 1))
    assert [" ".join(items) for items in found] == ORDER


def test_screening_and_file_columns(codebook):
    columns = codebook.columns
    assert columns.index[columns["question_no"] == "S1"].tolist() == ["region"]
    unnumbered = columns[columns["question_no"] == ""]
    kinds = unnumbered["type"].to_dict()
    assert kinds == {"respondent_id": "ID", "answered_on": "DATE", "duration_seconds": "NUM"}


def test_codes_are_unique_and_labelled(codebook):
    codes = codebook.codes
    owner = codes["variable"].where(codes["item"] == codes["variable"], codes["item"])
    assert not pd.DataFrame({"owner": owner, "code": codes["code"]}).duplicated().any()
    assert (codes["code_label"] != "").all()
    assert (codes.groupby("item")["code_label"].nunique() == codes.groupby("item").size()).all()


def test_certainty_of_wording_options_and_order_is_stated(codebook):
    table = codebook.table
    first = table[table["label"] != ""]
    for column in ("certainty_wording", "certainty_options", "certainty_order"):
        assert set(first[column]) <= CERTAINTIES, column
    assert set(table["certainty_options"]) <= CERTAINTIES  # of every code
    assert (first["source"] != "").all()


def test_third_own_question_says_that_its_content_is_unknown(codebook):
    assert "内容不明・仮" in codebook.columns.loc["line_known", "label"]
    assert "内容不明・仮" in codebook.columns.loc["line_known", "short_label"]


def test_skip_logic_names_known_variables_and_codes(codebook):
    codes = codebook.codes.groupby("variable")["code"].agg(set)
    skips = codebook.columns["ask_if"]
    assert set(codebook.columns.loc[skips != "", "item"]) == {
        "lonely_duration",
        "event",
        "support_why",
        "consult",
        "worry_what",
    }
    for condition in set(skips) - {""}:
        for part in condition.split("&"):
            variable, wanted = re.fullmatch(r"(\w+)=([\w|]+)", part).groups()
            assert set(wanted.split("|")) <= codes[variable]


def test_scales_and_no_answer_codes_are_the_nation_s(codebook):
    ucla = codebook.columns.loc[["ucla1", "ucla2", "ucla3"]]
    assert set(ucla["scale"]) == {"ucla3-4"}
    no_answer = codebook.codes[codebook.codes["role"] == "no_answer"]
    assert set(no_answer["code"]) == {"9"}
    assert set(no_answer["variable"]) == {
        "ucla1",
        "ucla2",
        "ucla3",
        "lonely_direct",
        "contact_face",
        "contact_phone",
        "contact_sns",
    }


def test_answers_about_debt_illness_and_abuse_are_sensitive():
    items = open_study("ehime", 2022).items
    sensitive = {name for name, item in items.items() if item.sensitive}
    assert {"event", "trouble", "worry_what", "hh_income", "econ_status", "health"} <= sensitive
    assert not {"age", "sex", "region", "satisfaction"} & sensitive


def test_nets_are_nested_or_disjoint_and_cover_known_codes():
    # open_study refuses anything else; every factor of the model can be merged or has two levels
    opened = open_study("ehime", 2022)
    for factor in opened.config.model.factors:
        item = opened.items[factor]
        few_levels = len(item.options) <= 3
        assert item.nets or few_levels, factor
