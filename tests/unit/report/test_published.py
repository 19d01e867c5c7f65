"""The published rows: read alone, blank where hidden, and which of them a question has."""

import numpy as np
import pandas as pd
import pytest
from tests.browser import published_sample as sample

from tsunagari.errors import InputError
from tsunagari.report import published


def test_reads_published_alone(synthetic):
    assert synthetic.volumes[0].title.endswith("実態調査 報告書　令和5（2023）年度")
    assert all(table.stamp for table in synthetic.tables)


def test_reads_the_staging_folder_of_a_run(tmp_path, monkeypatch):
    folder = sample.write_sample(tmp_path)
    monkeypatch.setenv("TSUNAGARI_STAGING", str(folder.parent))
    assert published.read_published("ehime", sample.YEAR).year == sample.YEAR


def test_says_when_the_gate_has_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    with pytest.raises(InputError, match="STEP_MISSING"):
        published.read_published("ehime", 2022)


def test_says_which_column_is_missing(tmp_path, monkeypatch):
    folder = sample.write_sample(tmp_path)
    table = pd.read_csv(folder / "estimates.csv").drop(columns="verdict")
    table.to_csv(folder / "estimates.csv", index=False)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    with pytest.raises(InputError, match="verdict"):
        published.read_published("ehime", sample.YEAR)


def test_a_number_mark_or_verdict_of_a_hidden_row_goes_at_the_door(rows):
    slip = {
        "estimate": 101.3,
        "lower": 101.3,
        "n_unweighted": 101.3,
        "mark": "▲",
        "verdict": "高い",
    }
    leaky = rows.head(3).assign(status=["suppressed", "published", "suppressed"], **slip)
    table = sample.published(leaky).estimates
    np.testing.assert_array_equal(table["estimate"], [np.nan, 101.3, np.nan])
    np.testing.assert_array_equal(table["n_unweighted"], [np.nan, 101.3, np.nan])
    assert table["mark"].tolist() == ["", "▲", ""]
    assert table["verdict"].tolist() == ["", "高い", ""]


def test_chapters_have_the_questions_that_the_study_names_and_that_have_a_table(rows):
    # contact_phone is named, but no table of it is left; the appendix follows the codebook.
    left = rows[~rows["table_id"].isin(["gt_contact_phone", "gt_ucla1", "gt_event"])]
    told = sample.published(left)
    assert told.chapter("loneliness") == ["lonely_direct", "ucla_band"]
    assert told.chapter("ties") == ["contact_face", "particip", "consult_has"]
    assert told.chapter("others") == ["trouble"]
    assert told.chapter("appendix") == [
        *("sex", "cohab", "econ_status", "lonely_direct", "contact_face", "particip"),
        *("consult_has", "trouble", "ucla_band"),
    ]
    indicators = ["lonely_direct", "contact_face", "particip", "consult_has", "ucla_band"]
    assert told.chapter("crosses") == indicators


def test_roles_come_from_the_codebook_and_not_from_words(told):
    assert told.role("event", "9") == "other"
    assert told.role("event", "10") == "exclusive"
    assert told.role("event", "1") == "answer"
    # その他（答えたくない・わからないを含む）: a word in a label says nothing.
    assert told.is_answer("sex", "3")
    assert not told.is_answer("sex", "no_answer")


def test_an_indicator_is_the_code_or_net_that_says_the_same(told):
    assert told.value_of("lonely_often") == "5"
    assert told.value_of("lonely_any") == "some"  # codes 3, 4 and 5
    assert told.indicator_of("ucla_band") == "ucla_high"
    assert told.indicator_of("sex") is None
    other = sample.published(sample.small(), indicators={
        "two": {"item": "lonely_direct", "item_values": ["1", "2"], "label": "二つ"}
    })  # fmt: skip
    assert other.indicator_of("lonely_direct") is None  # no row says it


def test_axes_but_those_that_hold_the_question(told):
    assert told.axes(but="sex") == ["region", "age_band", "cohab", "econ_status"]
    assert told.axes(but="region", has_nested=False) == ["age_band", "sex", "cohab", "econ_status"]
    assert "age_band x sex" in told.axes()


def test_a_net_that_stands_for_its_codes_stands_in_their_place(told):
    variable = told.variable("econ_status")
    values = variable["values"] | {"easy": "ゆとりがある"}
    variables = told.about["variables"] | {
        "econ_status": variable | {"values": values, "nets": {"easy": ["1", "2"]}}
    }
    own = sample.published(told.estimates, variables=variables)
    for groups in (["easy", "3", "4", "5"], ["1", "2", "3", "4", "5", "easy"]):
        rows = pd.DataFrame({"domain_value": groups[::-1]})
        assert own._ordered(rows, axis="econ_status")["domain_value"].tolist() == groups


def test_the_difference_on_one_age_mix_carries_the_verdict(told):
    # 7.6 % here, 7.6 x 0.8 = 6.08 there: 1.52 as it is, 1.32 on one age mix.
    found = told.nation("lonely_direct", "5")
    assert found["difference_points"]["estimate"] == 1.5
    assert published.judged(found)["estimate"] == 1.3
    alone = {"difference_points": found["difference_points"] | {"verdict": "高い"}}
    assert published.judged(alone)["estimate"] == 1.5
    assert published.judged(found | alone)["estimate"] == 1.3  # where both are judged too
    assert published.judged({}) is None


def test_a_national_figure_is_drawn_when_its_source_is_verified(told):
    row = told.nation("lonely_direct", "5")["percent_benchmark"]
    assert published.is_drawable(row)
    assert not published.is_drawable(row | {"certainty": published.UNVERIFIED})
    assert not published.is_drawable(row | {"status": "suppressed"})
    assert not published.is_drawable(None)
