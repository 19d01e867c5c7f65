"""Another cross, comparison or model: labelled, judged as if released, refused in a sentence."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tsunagari import tables
from tsunagari.errors import ConfigError, DisclosureError, SurveyError
from tsunagari.report import another
from tsunagari.study.survey import open_study


@pytest.fixture(scope="module")
def wave():
    """Return the ehime sample, its respondents and their design, straight from the raw file."""
    from tsunagari.intake import cleaning, reading
    from tsunagari.statistics import weighting
    from tsunagari.study import population

    study = open_study("ehime", 2022)
    people = cleaning.clean_responses(reading.read_responses(study), study).respondents
    targets, settings = population.load_targets(study), study.config.weighting
    return (
        study,
        people,
        weighting.weigh_respondents(people, targets, settings=settings, labels=study.labels),
    )


def cross(wave, question="lonely_direct", axis="dwelling", where=""):
    study, people, design = wave
    return another.cross(study, people, design=design, question=question, axis=axis, where=where)


def words(shown) -> str:
    page = re.sub(r"<style>.*?</style>", "", shown._repr_html_(), flags=re.DOTALL)
    return re.sub(r"<[^>]+>", " ", page)


def cells(shown) -> dict[str, list[str]]:
    """Return the cells of every line of the table, by the line's label."""
    (table,) = [block for block in shown.blocks if hasattr(block, "groups")]
    return {
        line[0].text: [cell.text for cell in line] for _, lines in table.groups for line in lines
    }


# --- what it shows --------------------------------------------------------------------------------


def test_the_shares_are_those_of_the_people_themselves(wave):
    study, people, design = wave
    shown = cells(cross(wave))
    is_renter = people["dwelling"].isin(["3", "4"]).to_numpy()  # public housing alone is few
    asked = people["lonely_direct"].notna().to_numpy() & is_renter
    often = (people["lonely_direct"] == "5").to_numpy() & asked
    share = 100 * design.weights[often].sum() / design.weights[asked].sum()
    label = "賃貸住宅"
    (table,) = [b for b in cross(wave).blocks if hasattr(b, "groups")]
    place = table.head.index(study.items["lonely_direct"].options["5"])
    assert float(shown[label][place].rstrip("▲▽")) == pytest.approx(share, abs=0.0501)
    assert shown[label][1] == f"{asked.sum():,}"


def test_table_sentence_and_figure_are_labelled_and_stamped(wave):
    shown = cross(wave)
    text = words(shown)
    for said in ("居住形態別では", "n=1,991", "95%信頼区間", "Rao-Scott", "▲", "CELL_UNDER_10＝"):
        assert said in text
    assert shown._repr_html_().count("合成データ") >= 2 and "<figure" in shown._repr_html_()
    assert not re.search(r"lonely_direct|dwelling|\bnan\b|秘匿前", text)


def test_a_filter_keeps_the_design_and_says_whom_it_keeps(wave):
    _, people, _ = wave
    text = words(cross(wave, axis="region", where="sex=2 & age_band=under30"))
    young = people["age_band"].isin(["16-19", "20s"]) & (people["sex"] == "2")
    assert f"n={young.sum()}" in text
    assert "性別＝女性、年代＝16〜29歳" in text


def test_two_axes_and_several_answers(wave):
    lines = cells(cross(wave, axis="region x sex"))
    assert {"東予・男性", "南予・女性"} <= {*lines}
    assert "Rao-Scott" not in words(cross(wave, question="trouble", axis="region"))


def test_a_blank_question_and_axis_are_those_of_the_plan(wave):
    assert words(cross(wave, question="", axis="")) == words(cross(wave, axis="region"))


def test_no_number_stands_where_the_gate_hides(wave):
    """Of few students by age next to nothing may be shown: x, the reason, and no count."""
    lines = cells(cross(wave, question="hh_income", axis="age_band", where="job=5"))
    hidden = [c for line in lines.values() for c in line[1:] if not re.search(r"\d", c)]
    assert len(hidden) > 5 and {*hidden} == {"x"}
    study, people, _ = wave
    for label, line in lines.items():
        code = next((c for c, text in study.items["age_band"].options.items() if text == label), "")
        n = ((people["age_band"] == code) & (people["job"] == "5")).sum()
        assert not (0 < n < 10 and line[1] != "x"), label


def test_an_indicator_stands_beside_the_nation_alone_where_there_is_no_last_wave(wave):
    from tsunagari.statistics import benchmark

    study, people, design = wave
    rows = pd.concat([
        tables.headline_table(study, people, design=design),
        tables.national_tables(
            study, people, design=design, benchmark=benchmark.read_benchmark(study).table
        ),
    ])  # fmt: skip
    text = words(another.compare(study, rows, indicator="lonely_often"))
    assert "全国との比較" in text and "前回との比較：該当はありません" in text
    assert "しばしばある・常にある" in text and "ほとんどない" not in text


def test_another_model_names_its_people_and_its_factors(wave):
    study, people, design = wave
    options = {"minimum_events_per_parameter": 10, "minimum_events_per_level": 5}
    shown = another.model(
        study, people, design=design, outcome="no_consult", factors="sex, age_band", **options
    )
    text = words(shown)
    assert (
        "性別" in text
        and "年代" in text
        and "居住形態" not in text
        and "<figure" in shown._repr_html_()
    )
    with pytest.raises(ConfigError, match="ANOTHER_FACTORS"):
        another.model(
            study, people, design=design, outcome="no_consult", factors="consult_has", **options
        )


def test_another_model_of_a_factor_of_the_plan_leaves_that_factor_out(wave):
    study, people, design = wave
    plan = study.config.model.model_copy(update={"factors": ("sex", "consult_has")})
    study = replace(study, config=study.config.model_copy(update={"model": plan}))
    options = {"minimum_events_per_parameter": 10, "minimum_events_per_level": 5}
    keys = {"design": design, "outcome": "no_consult", **options}
    left, chosen = (another.model(study, people, factors=each, **keys) for each in ("", "sex"))
    assert words(left) == words(chosen)


# --- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"question": "lonly_direct"}, "lonely_direct"),
        ({"axis": "dweling"}, "dwelling"),
        ({"question": "trouble_text"}, "自由記述"),
        ({"question": "respondent_id"}, "自由記述や日付、番号"),
        ({"axis": "age"}, "age_band"),
        ({"axis": "trouble"}, "QUESTION と AXIS を入れ替えて"),
        ({"axis": "hh_income x dwelling"}, "84"),  # 12 incomes by 7 dwellings
        ({"axis": "lonely_direct"}, "質問そのもの"),
        ({"axis": "sex x sex"}, "ちがう変数"),
        ({"where": "sex"}, "変数=コード"),
        ({"where": "sex=9"}, "番号 9"),
        ({"where": "seks=1"}, "sex"),
    ],
)
def test_a_wrong_question_is_a_sentence(wave, asked, told):
    with pytest.raises(ConfigError) as caught:
        cross(wave, **asked)
    assert told in caught.value.ja
    assert caught.value.ja.endswith("。") and caught.value.en.endswith(".")
    near = vars(caught.value)["values"].get("near", "").split(", ")
    assert len(near) == len({*near})


def test_an_axis_of_200_codes_is_refused(wave, monkeypatch):
    study, people, _ = wave
    many = {str(n): f"町{n}" for n in range(200)}
    item = study.items["dwelling"]
    monkeypatch.setitem(study.items, "dwelling", type(item)(**vars(item) | {"options": many}))
    with pytest.raises(ConfigError, match="200"):
        cross((study, people.assign(dwelling="1"), wave[2]))


def test_a_question_that_nobody_was_asked(wave):
    study, people, design = wave
    with pytest.raises(ConfigError, match="ANOTHER_NOBODY"):
        cross((study, people.assign(lonely_direct=pd.NA), design))


@pytest.mark.parametrize("n", [9, 0, -9])
def test_a_filter_that_keeps_or_leaves_out_nine_people_gives_no_figure(wave, n):
    """Nine kept, nobody kept, or all but nine kept: the nine could be worked out from the rest."""
    study, people, design = wave
    asked = np.flatnonzero(people["lonely_direct"].notna())
    sex = np.full(len(people), "1" if n >= 0 else "2", dtype=object)
    sex[asked[: abs(n)]] = "2" if n >= 0 else "1"
    with pytest.raises(DisclosureError, match="ANOTHER_FEW") as caught:
        cross((study, people.assign(sex=sex), design), axis="region", where="sex=2")
    assert "10 人未満" in caught.value.ja


def test_errors_of_a_cross_never_hold_an_answer(wave):
    _, people, _ = wave
    with pytest.raises(SurveyError) as caught:
        cross(wave, question="trouble_text")
    answers = people["trouble_text"].dropna().astype(str)
    assert not any(text and text in str(caught.value) for text in answers)


def test_a_name_that_is_almost_one_is_told_the_nearest_once(wave):
    with pytest.raises(ConfigError, match="近い名前: dwelling。"):
        cross(wave, axis="dwell")
