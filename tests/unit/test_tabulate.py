"""Tables of troubles and of what resolved them, against shares worked out without the package."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tsunagari.statistics import designs
from tsunagari.study import codebook
from tsunagari.study.survey import open_study
from tsunagari.voices import answers, tabulate

SURVEY = open_study("ehime", 2022)
N = 400


@pytest.fixture(scope="module")
def people():
    """Return people by lot: every fifth has never felt lonely, every third wrote a text."""
    rng = np.random.default_rng(5)
    table = {"respondent_id": [f"E{i}" for i in range(N)]}
    for name in ("region", "is_lonely", "age_group"):
        table[name] = rng.choice(list(SURVEY.items[name].options), N)
    for name in ("trouble", "resolved"):
        item = SURVEY.items[name]
        chosen = (rng.random((N, len(item.columns))) < 0.3).astype(int)
        for code, column in zip(item.exclusive, item.columns[-len(item.exclusive) :], strict=True):
            alone = np.arange(N) % 5 == (0 if code == item.exclusive[-1] else 1)
            chosen[alone] = 0
            chosen[alone, item.columns.index(column)] = 1
            chosen[~alone, item.columns.index(column)] = 0
        chosen[chosen.sum(axis=1) == 0, 0] = 1
        table |= dict(zip(item.columns, chosen.T, strict=True)) | {name: "answered"}
    texts = ["お金がない", "話し相手がいない", "庭の草"]
    table["trouble_text"] = [texts[i % 9] if i % 9 < 3 else None for i in range(N)]
    table["resolved_text"] = None
    people = pd.DataFrame(table)
    people.loc[3, "resolved"] = codebook.NO_ANSWER
    coded = answers.code_study(SURVEY, people)
    return tabulate.with_themes(SURVEY, people, coded=coded)


@pytest.fixture(scope="module")
def design():
    return designs.Design(weights=np.random.default_rng(6).uniform(50, 150, N))


@pytest.fixture(scope="module")
def rows(people, design):
    return tabulate.theme_tables(SURVEY, people, design=design)


def share(design, has, base):
    return 100 * design.weights[has & base].sum() / design.weights[base].sum()


def test_themes_are_shares_of_those_who_wrote(rows, people, design):
    wrote = people["trouble_text"].notna().to_numpy()
    money = (people["trouble_text"] == "お金がない").to_numpy()
    row = rows[(rows["table_id"] == "gt_trouble_theme") & (rows["item_value"] == "money")].iloc[0]
    assert row["estimate"] == pytest.approx(share(design, money, wrote))
    assert (row["n_unweighted"], row["n_cell"]) == (wrote.sum(), money.sum())
    uncoded = rows[(rows["table_id"] == "gt_trouble_theme") & (rows["item_value"] == "uncoded")]
    assert uncoded["n_cell"].tolist() == [(people["trouble_text"] == "庭の草").sum()]
    assert not rows["item"].eq("resolved_theme").any()  # nobody wrote one


def test_who_never_felt_it_is_not_in_the_base(rows, people, design):
    item = SURVEY.items["resolved"]
    never = (people["resolved_16"] == 1).to_numpy()
    answered = (people["resolved"] == "answered").to_numpy()
    base = answered & ~never
    has = (people["trouble_04"] == 1).to_numpy()
    friend = (people["resolved_02"] == 1).to_numpy()
    table = rows[rows["table_id"] == "cross_ever_lonely_x_trouble__resolved"]
    row = table[(table["domain_value"] == "ever x 4") & (table["item_value"] == "2")].iloc[0]
    assert row["estimate"] == pytest.approx(share(design, friend, base & has))
    assert (row["n_unweighted"], row["n_cell"]) == ((base & has).sum(), (base & has & friend).sum())
    assert row["item_label"] == item.labels["2"]
    assert "16" not in set(table["item_value"])
    assert "ever x 13" not in set(table["domain_value"])  # 特に困っていることはない
    both = rows[(rows["table_id"] == "cross_trouble__ever_lonely") & (rows["domain_value"] == "4")]
    counts = both.set_index("item_value")["n_cell"]
    assert counts["ever"] == (base & has).sum() and counts["never"] == (never & has).sum()


@pytest.mark.parametrize(("n", "is_left_out"), [(4, True), (9, True), (10, False)])
def test_a_trouble_of_which_few_never_felt_it_is_left_out(people, design, n, is_left_out):
    few = people.copy()
    never = few.index[few["resolved_16"] == 1]
    few.loc[never[n:], "trouble_04"] = 0
    few.loc[never[:n], "trouble_04"] = 1
    rows = tabulate.theme_tables(SURVEY, few, design=design)
    assert rows["domain_value"].isin(["4", "ever x 4"]).any() != is_left_out
    assert rows["domain_value"].isin(["5", "ever x 5"]).any()


def test_lonely_against_the_others(rows, people, design):
    lonely = (people["is_lonely"] == "lonely").to_numpy()
    money = (people["trouble_04"] == 1).to_numpy()
    found = tabulate.compared(SURVEY, rows, item="trouble").set_index("item_value").loc["4"]
    assert found["of_first"] == pytest.approx(share(design, money, lonely))
    assert found["of_other"] == pytest.approx(share(design, money, ~lonely))
    assert found["difference"] == pytest.approx(found["of_first"] - found["of_other"])
    assert found["lower"] < found["difference"] < found["upper"]


def test_top_troubles_leave_hidden_ones_out(rows):
    hidden = rows.copy()
    themed = hidden["table_id"] == "cross_region__trouble_theme"
    top = tabulate.top_troubles(hidden[themed], item="trouble_theme", domain="region", n=1)
    assert len(top) == 3
    first = top["item_value"].iloc[0]
    hidden.loc[themed & (hidden["item_value"] == first), "estimate"] = np.nan
    again = tabulate.top_troubles(hidden[themed], item="trouble_theme", domain="region", n=1)
    assert first not in set(again["item_value"])


def test_demand_is_a_share_of_the_regions_adults():
    rows = pd.DataFrame(
        {
            "row_id": ["a", "b", "c"],
            "table_id": ["cross_region__trouble"] * 2 + ["cross_region__trouble_theme"],
            "measure": ["percent", "difference_points", "percent"],
            "domain": "region",
            "domain_value": "1",
            "item": ["trouble", "trouble", "trouble_theme"],
            "item_value": ["4", "4", "money"],
            "item_label": "お金",
            "estimate": [12.3456, 3.0, 20.0],
            "lower": 0.0,
            "upper": 50.0,
            "n_unweighted": 100.0,
            "status": "published",
        }
    )
    found = tabulate.demand(SURVEY, rows, adults=pd.Series({"1": 400_000.0}))
    # 12.3456 % of 400,000 are 49,382.4, told in hundreds; a theme's share is of those who wrote, so
    # no number of persons.
    assert found["row_id"].tolist() == ["a", "c"]
    assert found["residents"].tolist() == [400_000.0] * 2
    assert found["persons"].fillna(-1).tolist() == [49_400.0, -1]


def test_a_study_without_themes_has_no_chapter(people, design):
    plain = replace(SURVEY, config=SURVEY.config.model_copy(update={"themes": None}))
    assert answers.code_study(plain, people) == {}
    assert "themes.yaml）がありません" in answers.about(plain, {})
    assert answers.outcomes({}).empty or answers.outcomes({}).shape[1] == 0
    assert tabulate.theme_tables(plain, people, design=design).empty
    assert tabulate.demand(plain, pd.DataFrame(), adults=pd.Series(dtype=float)).empty
    assert tabulate.compared(plain, pd.DataFrame(), item="trouble").empty
    assert "trouble_theme" not in plain.items


def test_the_french_study_has_none():
    assert open_study("eu-loneliness-fr", 2022).config.themes is None


def test_no_text_leaves_with_the_rows(rows, people):
    whole = rows.to_csv()
    assert not any(text in whole for text in people["trouble_text"].dropna().unique())
