"""Regions, four groups, quotas and sampling errors, each worked out again by hand in numpy."""

import numpy as np
import pandas as pd
import pytest
from tests.unit import test_tables

from tsunagari import sample, tables
from tsunagari.gate import describe
from tsunagari.statistics import weighting
from tsunagari.study.survey import open_study

PLAN = {"cells": ["region", "age_band"], "strata": ["region", "age_band"], "sample_share": {}}
CONFIG = test_tables.CONFIG | {
    "weighting": test_tables.CONFIG["weighting"] | PLAN,
    "tables": {"axes": ["region", "lonely"], "crosses": ["lonely"], "joint": [["lonely", "a"]]},
}
CELLS = [("1", "y", 150), ("1", "o", 250), ("2", "y", 320), ("2", "o", 280)]
TARGETS = pd.DataFrame(CELLS, columns=["region", "age_band", "population"])
N = 600


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Return a study, 600 people of it drawn by chance, and their designs."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("sample")
        patch.setenv("TSUNAGARI_ROOT", str(root))
        study = test_tables.write(root, CONFIG)
    draw = np.random.default_rng(7)
    people = {
        name: draw.choice(codes, N, p=shares)
        for name, codes, shares in (
            ("region", ["1", "2"], [0.3, 0.7]),
            ("age_band", ["y", "o"], [0.5, 0.5]),
            ("sex", ["1", "2"], [0.5, 0.5]),
            ("lonely", ["1", "2", "3", "no_answer"], [0.3, 0.3, 0.37, 0.03]),
            ("a", ["1", "2"], [0.4, 0.6]),
        )
    }
    people = pd.DataFrame(people).astype("string")
    designs = weighting.alternative_designs(people, TARGETS, settings=study.config.weighting)
    return study, people, designs


def by_hand(people, y, inside, *, rest=None):
    """Return share and standard error: Taylor residuals on the cells, by stratum (statistics)."""
    cells = people.groupby(["region", "age_band"]).ngroup().to_numpy()
    sizes = people.merge(TARGETS, how="left")["population"].to_numpy(float)
    w = sizes / np.bincount(cells)[cells]
    share = (w * y)[inside].sum() / w[inside].sum()
    u = np.where(inside, (y - share) / w[inside].sum(), 0)
    if rest is not None:
        other = (w * y)[rest].sum() / w[rest].sum()
        u = u - np.where(rest, (y - other) / w[rest].sum(), 0)
        share -= other
    variance = 0
    for cell in range(cells.max() + 1):
        mine = cells == cell
        r = u[mine] - u[mine].mean()
        z = w[mine] * r
        variance += mine.sum() / (mine.sum() - 1) * ((z - z.mean()) ** 2).sum()
    return 100 * share, 100 * np.sqrt(variance)


def test_a_region_against_the_rest_is_what_numpy_gives(known):
    study, people, designs = known
    rows = tables.headline_table(study, people, design=[*designs.values()][-1])
    rows = rows[(rows["domain"] == "region") & (rows["domain_value"] == "1")]
    found = rows.set_index("measure")[["estimate", "std_error"]]
    y, north = people["lonely"].eq("3").to_numpy(float), people["region"].eq("1").to_numpy()
    assert found.loc["percent"].tolist() == pytest.approx(by_hand(people, y, north))
    gap = by_hand(people, y, north, rest=~north)
    assert found.loc["difference_points"].tolist() == pytest.approx(gap)


def test_a_group_of_two_questions_is_what_numpy_gives(known):
    study, people, designs = known
    rows = tables.joint_tables(study, people, design=[*designs.values()][-1])
    rows = rows[rows["item_value"] == "3 x 1"]
    both = (people["lonely"].ne("no_answer")).to_numpy()
    y = (people["lonely"].eq("3") & people["a"].eq("1")).to_numpy(float)
    whole = rows[rows["domain"] == "all"].iloc[0]
    assert whole["n_unweighted"] == both.sum()
    assert whole[["estimate", "std_error"]].tolist() == pytest.approx(by_hand(people, y, both))
    north = both & people["region"].eq("1").to_numpy()
    own = rows[(rows["domain_value"] == "1") & (rows["domain"] == "region")]
    found = own.set_index("measure")[["estimate", "std_error"]]
    gap = by_hand(people, y, north, rest=both & ~north)
    assert found.loc["difference_points"].tolist() == pytest.approx(gap)


def test_quotas_share_out_the_interviews_by_population(known):
    study, people, designs = known
    rows = sample.sample_tables(study, people, designs=designs, targets=TARGETS)
    own = rows[(rows["table_id"] == "quotas") & (rows["domain_value"] == "2")]
    found = own.pivot_table("estimate", "item_value", "measure")
    south = people[people["region"] == "2"]
    assert found["quota"].to_dict() == {"y": 192, "o": 168}  # 600 of 1,000: 320 and 280 persons
    assert found["count"].to_dict() == south["age_band"].value_counts().to_dict()
    assert found["percent"].sum() == pytest.approx(100)
    # the gate reads the people of a row of counts and shares
    assert own.loc[own["measure"] != "quota", "n_cell"].gt(0).all()


@pytest.mark.parametrize("targets", [None, [TARGETS], TARGETS.drop(columns="age_band")])
def test_without_a_population_of_region_and_age_there_is_no_quota(known, targets):
    study, people, designs = known
    rows = sample.sample_tables(study, people, designs=designs, targets=targets)
    assert set(rows["table_id"]) == {"profile", "errors"}


def test_the_profile_is_of_the_people_as_they_came(known):
    study, people, designs = known
    rows = sample.sample_tables(study, people, designs=designs, targets=TARGETS)
    own = rows[rows["table_id"] == "profile"]
    assert own["item"].unique().tolist() == ["region"]  # the other axis is an indicator's question
    north = own.set_index("item_value").loc["1", "estimate"]
    assert north == pytest.approx(100 * people["region"].eq("1").mean())


def test_errors_hold_the_design_effect(known):
    study, people, designs = known
    rows = sample.sample_tables(study, people, designs=designs, targets=TARGETS)
    own = rows[rows["table_id"] == "errors"].set_index(["domain_value", "item_value"])["estimate"]
    w = [*designs.values()][-1].weights
    effect = N * (w**2).sum() / w.sum() ** 2
    assert effect > 1.01
    assert own["600", "50"] == pytest.approx(1.959964 * np.sqrt(effect * 2500 / 600))
    assert own["100", "5"] == pytest.approx(1.959964 * np.sqrt(effect * 475 / 100))
    assert "700" not in own  # more than were asked
    assert (rows["wave"] == study.year).all() and rows["estimate"].notna().all()


def test_a_question_that_is_not_linked_to_the_last_wave_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    now = test_tables.CONFIG["waves"][2022]
    waves = {2021: now, 2022: now | {"previous": 2021}}
    study = test_tables.write(tmp_path, test_tables.CONFIG | {"waves": waves})
    found = describe._describe_links(study)
    assert found["lonely"] == found["event"] == []
    assert found["region"] == ["not_planned"]
    path = tmp_path / "data/raw/small/codebook.csv"
    new = "6,,c,SA,今年,,1,ない,,,,,yes,,,2022,,own,own,own,test\n,,c,,,,2,ある,,,,,,,,2022,,,,,\n"
    path.write_text(test_tables.CODEBOOK + new, encoding="utf-8")
    assert describe._describe_links(open_study("small", 2022))["c"] == ["item_new", "not_planned"]
    assert describe._describe_links(open_study("small", 2021)) is None
