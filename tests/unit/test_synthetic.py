"""The synthetic wave's tools: expected values by hand, the same bytes, a small study that opens."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from tsunagari import study, synthetic


@pytest.fixture(scope="module")
def wave():
    return study.open_study("ehime", 2022)


def rows_of(content: bytes) -> pd.DataFrame:
    records = list(csv.reader(io.StringIO(content.decode("cp932"), newline="")))
    return pd.DataFrame(records[1:], columns=records[0])


def test_chances_give_each_group_its_published_share():
    people = pd.DataFrame({"sex": ["1"] * 1000 + ["2"] * 1000})
    chances = synthetic.solve_chances(
        people, {"sex": {"1": 20.0, "2": 10.0}}, nation_pct=15, target_pct=15
    )
    # (20 + 10) / 2 = 15: the level is the target already, nothing moves
    assert chances[:1000].mean() == pytest.approx(0.20, abs=5e-4)
    assert chances[1000:].mean() == pytest.approx(0.10, abs=5e-4)


def test_chances_moved_to_another_level_keep_the_odds_ratio():
    people = pd.DataFrame({"sex": ["1"] * 1000 + ["2"] * 1000})
    chances = synthetic.solve_chances(
        people, {"sex": {"1": 20.0, "2": 10.0}}, nation_pct=15, target_pct=30
    )
    men, women = chances[0], chances[-1]
    assert chances.mean() == pytest.approx(0.30, abs=5e-4)
    # (0.2 / 0.8) / (0.1 / 0.9) = 0.25 x 9 = 2.25
    assert (men / (1 - men)) / (women / (1 - women)) == pytest.approx(2.25, rel=5e-3)


def test_unpublished_levels_take_what_is_left():
    people = pd.DataFrame({"job": ["7"] * 500 + ["1"] * 1500})
    chances = synthetic.solve_chances(people, {"job": {"7": 20.0}}, nation_pct=8, target_pct=8)
    # 0.08 x 2000 = 160 = 0.2 x 500 + 60, and 60 / 1500 = 0.04
    assert chances[500:].mean() == pytest.approx(0.04, abs=5e-4)


def test_same_arguments_same_bytes_and_another_seed_another_file(wave):
    first = synthetic.make_wave(wave, n=200, seed=1)
    assert synthetic.make_wave(wave, n=200, seed=1) == first
    assert synthetic.make_wave(wave, n=200, seed=2) != first


def test_file_is_what_a_vendor_delivers(wave):
    content = synthetic.make_wave(wave, n=200, seed=1)
    table = rows_of(content)
    assert content.endswith(b"\r\n")
    assert not content.startswith(b"\xef\xbb\xbf")
    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")
    assert list(table.columns) == list(wave.codebook.columns.index)
    extra = sum(
        max(1, round(synthetic.FAULTS[kind] / 10))  # 200 is a tenth of 2,000
        for kind in ("duplicate", "id_conflict", "outside", "under_age", "no_region", "no_age")
    ) + round(synthetic.FAULTS["speeder"] / 10)
    assert len(table) == 200 + extra


def test_small_study_opens_and_fills_every_cell(tmp_path, monkeypatch):
    synthetic.write_small_study(tmp_path, n=600, seed=3)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    for year in (2022, 2023):
        small = study.open_study("ehime", year)
        assert small.is_synthetic
        table = rows_of(small.responses_path.read_bytes())
        good = table[table["region"].isin(["1", "2", "3"]) & table["age"].str.fullmatch("[0-9]+")]
        ages = pd.cut(good["age"].astype(int), [15, 19, 29, 39, 49, 59, 69, 79, 110], labels=False)
        cells = good.assign(band=ages).groupby(["region", "band", "sex"]).size()
        assert (cells.drop("3", level="sex") > 0).all()
        assert len(cells.drop("3", level="sex")) == 48
    assert (tmp_path / "data/raw/national/benchmarks.csv").exists()


def test_small_studies_of_two_waves_share_no_respondent(tmp_path):
    synthetic.write_small_study(tmp_path, n=100, seed=3)
    ids = [
        set(rows_of(path.read_bytes())["respondent_id"])
        for path in sorted(tmp_path.glob("data/raw/ehime/*/*_synthetic.csv"))
    ]
    assert len(ids) == 2
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("seed", range(4))
def test_answers_respect_the_questionnaire_before_faults_are_planted(wave, seed):
    population = study.read_table(wave.raw_dir / "population.csv")
    good = synthetic.draw_answers(
        population,
        targets=synthetic.TARGETS[2022],
        n=300,
        rng=np.random.default_rng(seed),
    )
    lonely = good["lonely_direct"].isin(["3", "4", "5"])
    assert (good["lonely_duration"] != "").eq(lonely).all()
    assert (good["event_01"] != "").eq(lonely).all()
    assert (good["consult_1"] != "").eq(good["consult_has"] == "1").all()
    assert (good["worry_what_01"] != "").eq(good["worry_has"] == "1").all()
    assert (good["support_why_1"] != "").eq(good["support"] == "2").all()
    events = good.loc[lonely, [f"event_{k:02d}" for k in range(1, 17)]].astype(int)
    assert (events.sum(axis=1) >= 1).all()
    assert (events.loc[events["event_16"] == 1].sum(axis=1) == 1).all()
    resolved = good[[f"resolved_{k:02d}" for k in range(1, 17)]].astype(int)
    alone = (resolved[["resolved_15", "resolved_16"]] == 1).any(axis=1)
    assert (resolved[alone].sum(axis=1) == 1).all()
    assert good["age"].astype(int).between(16, 96).all()
    codes = wave.codebook.codes
    for variable in ("job", "hh_income", "ucla1", "contact_sns", "line_known"):
        known = codes.loc[codes["variable"] == variable, "code"]
        assert set(good[variable]) <= set(known)
