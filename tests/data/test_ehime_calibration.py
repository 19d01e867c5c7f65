"""The committed synthetic waves: the seeds' own bytes, the faults planted, the published figures.

The sample is cleaned by a few rules of its own and post-stratified on region x age, so that these
tests need no other room. Standard errors treat it as drawn at random with weights (Kish); an odds
ratio's is the delta method's on the log scale.
"""

import csv
import io
import itertools
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from tsunagari import synthetic
from tsunagari.study import files
from tsunagari.study.survey import open_study

YEARS = (2022, 2023)
BANDS = ("16-19", "20s", "30s", "40s", "50s", "60s", "70s", "80+")
NATION = {"lonely_direct": 4.9, "ucla_band": 7.1}  # often or always; 10 to 12 points; 2022


def sample_path(year: int) -> Path:
    opened = open_study("ehime", year)
    return opened.wave_dir / opened.wave.synthetic  # also where real answers lie beside it


def read_rows(year: int) -> pd.DataFrame:
    text = sample_path(year).read_bytes().decode("cp932")
    records = list(csv.reader(io.StringIO(text, newline="")))
    return pd.DataFrame(records[1:], columns=records[0])


def clean(table: pd.DataFrame) -> pd.DataFrame:
    coded = [name for name in table.columns if not name.endswith("_text")]
    table = table.drop_duplicates().copy()
    for name in coded:
        table[name] = table[name].map(lambda x: unicodedata.normalize("NFKC", x).strip())
    table = table[~table["respondent_id"].duplicated(keep=False)]
    table = table[table["region"].isin(["1", "2", "3"]) & (table["age"] != "")]
    table = table[table["age"].astype(int) >= 16]
    return table[table["duration_seconds"].astype(int) >= 120].reset_index(drop=True)


@dataclass
class Wave:
    """Cleaned answers with weights and the two outcomes."""

    table: pd.DataFrame

    def share(self, chosen: pd.Series, among: pd.Series | None = None) -> tuple[float, float]:
        """Return the weighted percent and its standard error."""
        rows = self.table.index if among is None else self.table.index[among]
        weight, value = self.table.loc[rows, "weight"], chosen.loc[rows].astype(float)
        share = np.average(value, weights=weight)
        n_effective = weight.sum() ** 2 / (weight**2).sum()
        return 100 * share, 100 * np.sqrt(share * (1 - share) / n_effective)

    def is_in(self, name: str, *codes: str) -> pd.Series:
        return self.table[name].isin(codes)

    def odds_ratio(self, outcome: pd.Series, *groups: pd.Series) -> tuple[float, float]:
        """Return the log odds ratio of the first group against the second, and its error."""
        shares = [self.share(outcome, group) for group in groups]
        logs = [logit(share / 100) for share, _ in shares]
        errors = [error / 100 / (p := share / 100) / (1 - p) for share, error in shares]
        return logs[0] - logs[1], float(np.hypot(*errors))


def load(year: int) -> Wave:
    table = clean(read_rows(year))
    edges = [15, 19, 29, 39, 49, 59, 69, 79, 120]
    table["age_band"] = pd.cut(table["age"].astype(int), edges, labels=BANDS).astype(str)
    targets = files.read_table(open_study("ehime", year).raw_dir / "population.csv")
    targets["population"] = targets["population"].astype(float)
    cells = ["region", "age_band"]
    persons = targets.groupby(cells)["population"].sum() / table.groupby(cells).size()
    table = table.join(persons.rename("weight"), on=cells)
    items = table[["ucla1", "ucla2", "ucla3"]].replace(r"[^1-4]|..+", np.nan, regex=True)
    table["ucla_total"] = items.astype(float).sum(axis=1, min_count=3)
    table["is_high"] = table["ucla_total"] >= 10
    table["is_often"] = table["lonely_direct"] == "5"
    return Wave(table)


@pytest.fixture(scope="module")
def waves():
    return {year: load(year) for year in YEARS}


@pytest.fixture(scope="module", params=YEARS)
def wave(request, waves):
    return waves[request.param]


@pytest.fixture(scope="module", params=YEARS)
def raw(request):
    return read_rows(request.param)


# --- the files --------------------------------------------------------------------------------


def test_command_writes_the_committed_bytes_again(tmp_path, monkeypatch):
    committed = {year: sample_path(year).read_bytes() for year in YEARS}
    synthetic.write_small_study(tmp_path, n=60, seed=1)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    assert synthetic.main("ehime", "2023") == 0
    for year in YEARS:
        again = sample_path(year).read_bytes()
        assert again == committed[year], year
        assert len(again) < 900_000


@pytest.mark.parametrize("year", YEARS)
def test_sample_is_known_as_synthetic(year):
    opened = open_study("ehime", year)
    if not opened.is_synthetic:
        pytest.skip("real answers lie here")
    names = [f"{wave}/responses_synthetic.csv" for wave in range(year, 2021, -1)]
    assert opened.synthetic_inputs == names


def test_waves_are_two_draws(waves):
    first, second = (waves[year].table for year in YEARS)
    assert not set(first["respondent_id"]) & set(second["respondent_id"])
    answers = [name for name in first.columns if name not in ("respondent_id", "answered_on")]
    assert first[answers].merge(second[answers], how="inner").empty
    note = open_study("ehime", 2023).wave.population_note
    assert "2023年（令和5年）1月1日" in note


def test_about_two_thousand_survive_and_follow_the_quota(wave):
    # 2,096 rows - 24 duplicates - 2 x 9 of a shared id - 12 outside - 8 too young - 13 without
    # a cell - 30 fast = 2,096 - 24 - 18 - 63 = 1,991
    assert len(wave.table) == 1991
    spread = wave.table["weight"]
    assert spread.max() / spread.min() < 1.25  # a quota in proportion: nearly equal weights


def count_cells(table: pd.DataFrame, pattern: str) -> int:
    coded = [name for name in table.columns if not name.endswith("_text")]
    return int(sum(table[name].str.contains(pattern).sum() for name in coded))


FAULTS = {  # docs/assumptions.md, A23
    "duplicate": 24,
    "id_conflict": 9,
    "outside": 12,
    "under_age": 8,
    "no_region": 6,
    "no_age": 7,
    "speeder": 30,
    "unknown_code": 30,
    "not_asked": 24,
    "exclusive": 10,
    "full_width": 24,
    "padded": 6,
    "break_off": 20,
    "straightliner": 24,
    "half_width_kana": 12,
}
GRID = [rule.items for rule in open_study("ehime", 2022).config.quality if rule.items][0]


def test_faults_are_those_that_the_recipe_counts(raw):
    faults = FAULTS
    once = raw.drop_duplicates()
    assert len(raw) - len(once) == faults["duplicate"]
    assert once["respondent_id"].duplicated().sum() == faults["id_conflict"]
    assert (raw["region"] == "4").sum() == faults["outside"]
    assert (raw["region"] == "").sum() == faults["no_region"]
    assert (raw["age"] == "").sum() == faults["no_age"]
    numbers = raw["age"].map(lambda x: unicodedata.normalize("NFKC", x).strip())
    assert numbers.isin([str(age) for age in range(16)]).sum() == faults["under_age"]
    seconds = raw["duration_seconds"].map(lambda x: unicodedata.normalize("NFKC", x))
    assert (seconds.astype(int) < 120).sum() == faults["speeder"]
    assert count_cells(raw, "[０-９]") == faults["full_width"]
    assert count_cells(raw, "^ .* $") == faults["padded"]
    grid = raw[list(GRID)]
    assert (grid == "3").all(axis=1).sum() == faults["straightliner"]
    assert (raw["satisfaction"] == "").sum() == faults["break_off"]
    both = (raw["particip_3"] == "1") & (raw["particip_5"] == "1")
    assert both.sum() == faults["exclusive"]
    kana = raw["trouble_text"].str.contains("[ｱ-ﾝ]")
    assert kana.sum() == faults["half_width_kana"]


@pytest.mark.parametrize("year", YEARS)
def test_unknown_codes_and_answers_that_were_not_asked(year):
    raw, codebook = read_rows(year), open_study("ehime", year).codebook
    known = codebook.codes.groupby("variable")["code"].agg(set)
    single = codebook.columns.index[codebook.columns["type"] == "SA"]
    found = sum(
        (
            ~raw[name]
            .map(lambda x: unicodedata.normalize("NFKC", x).strip())
            .isin([*known[name], ""])
        ).sum()
        for name in single
    )
    assert found == FAULTS["unknown_code"]
    unasked = raw["lonely_direct"].isin(["1", "2"]) & (raw["lonely_duration"] != "")
    unasked |= (raw["consult_has"] == "2") & (raw["consult_2"] != "")
    unasked |= (raw["worry_has"] == "2") & (raw["worry_what_03"] != "")
    assert unasked.sum() == FAULTS["not_asked"]


def test_free_text_holds_only_invented_contacts(raw):
    texts = pd.concat([raw["trouble_text"], raw["resolved_text"]])
    texts = texts[texts != ""].map(lambda x: unicodedata.normalize("NFKC", x))
    assert len(texts) > 500
    mails = texts.str.extractall(r"([\w.]+@[\w.]+)")[0]
    assert len(mails) > 3
    assert mails.str.endswith("@example.jp").all()
    numbers = texts.str.extractall(r"([0-9][0-9-]{8,})")[0]
    assert len(numbers) > 5
    assert numbers.str.startswith("000").all()  # no number in Japan begins so
    named = texts.str.contains("見本太郎|仮名花子")
    assert 0.005 < (named.sum() + len(mails) + len(numbers)) / len(texts) < 0.2
    assert texts.str.contains("\n").sum() > 0
    assert texts.map(lambda x: bool(re.search("[=<]", x))).sum() == 0


# --- the published figures --------------------------------------------------------------------


def test_direct_question_is_near_seven_and_a_half(waves):
    share, error = waves[2022].share(waves[2022].table["is_often"])
    assert abs(share - 7.5) < 0.6  # one standard error
    assert error == pytest.approx(0.59, abs=0.03)  # sqrt(7.5 x 92.5 / 1,991)
    assert share - 3 * error > NATION["lonely_direct"]  # above the nation beyond doubt


def test_direct_question_has_otherwise_the_national_shape(wave):
    # 2022: 15.8, 19.6, 40.6, 18.4 of 94.4 who answered and were not often lonely
    others = wave.is_in("lonely_direct", "1", "2", "3", "4")
    for code, percent in {"4": 15.8, "3": 19.6, "2": 40.6, "1": 18.4}.items():
        share, error = wave.share(wave.is_in("lonely_direct", code), others)
        assert abs(share - 100 * percent / 94.4) < 3 * error, code
    silent, _ = wave.share(wave.is_in("lonely_direct", "9"))
    assert 0.2 < silent < 2.0


def test_ucla_ten_to_twelve_is_slightly_above_the_nation(waves):
    share, error = waves[2022].share(waves[2022].table["is_high"])
    assert NATION["ucla_band"] < share < NATION["ucla_band"] + 3 * error


def test_ucla_bands_have_the_national_shape(wave):
    total = wave.table["ucla_total"]
    for low, high, percent in ((3, 3, 13.5), (4, 6, 37.0), (7, 9, 41.6), (10, 12, 7.1)):
        share, error = wave.share(total.between(low, high))
        assert abs(share - percent) < 3 * error, low


def test_ucla_items_belong_together_and_old_people_score_as_measured(wave):
    items = wave.table[["ucla1", "ucla2", "ucla3"]].replace(r"[^1-4]|..+", np.nan, regex=True)
    items = items.dropna().astype(float)
    alpha = 1.5 * (1 - items.var().sum() / items.sum(axis=1).var())
    assert 0.75 < alpha < 0.9
    old = wave.table["age"].astype(int) >= 60
    # 60 and over, 2021, n = 2,352: mean 6.345, standard deviation 2.116
    scores = wave.table.loc[old, "ucla_total"].dropna()
    assert abs(scores.mean() - 6.345) < 3 * 2.116 * np.sqrt(1 / len(scores) + 1 / 2352)
    assert abs(scores.std() - 2.116) < 0.3


@pytest.mark.parametrize("outcome", ["is_often", "is_high"])
def test_age_profile_is_the_nation_s_moved_to_the_prefecture_s_level(wave, outcome):
    published = {  # percent; direct: 16-19, 20s, 30s of 2022; UCLA: 2022, both sexes
        "is_often": {"16-19": 5.2, "20s": 7.1, "30s": 7.2},
        "is_high": dict(zip(BANDS, (5.0, 10.1, 9.7, 8.7, 8.4, 5.6, 4.9, 4.1), strict=True)),
    }[outcome]
    nation = {"is_often": 4.9, "is_high": 7.1}[outcome]
    overall, _ = wave.share(wave.table[outcome])
    shift = logit(overall / 100) - logit(nation / 100)
    for band, percent in published.items():
        moved = 100 * expit(logit(percent / 100) + shift)
        among = wave.is_in("age_band", band)
        share, _ = wave.share(wave.table[outcome], among)
        error = np.sqrt(moved * (100 - moved) / among.sum())
        assert abs(share - moved) < 3 * error, band


def test_young_are_lonelier_than_old(wave):
    young, _ = wave.share(wave.table["is_often"], wave.is_in("age_band", "20s", "30s"))
    old, _ = wave.share(wave.table["is_often"], wave.is_in("age_band", "70s", "80+"))
    assert young > 2 * old


ODDS_RATIOS = [  # national survey, crude: factor, group, against, outcome, odds ratio
    ("consult_has", ["2"], ["1"], "is_often", 7.33),
    ("consult_has", ["2"], ["1"], "is_high", 6.78),
    ("econ_status", ["5"], ["3"], "is_often", 7.03),
    ("econ_status", ["4"], ["3"], "is_often", 2.38),
    ("hh_income", ["1"], ["11", "12"], "is_often", 3.74),
    ("marital", ["1"], ["2"], "is_often", 3.47),
    ("marital", ["1"], ["2"], "is_high", 2.77),
    ("marital", ["4"], ["2"], "is_high", 2.60),
    ("marital", ["3"], ["2"], "is_high", 1.15),
    ("cohab", ["2"], ["1"], "is_often", 2.52),
    ("dwelling", ["3"], ["1"], "is_often", 2.63),
    ("dwelling", ["4"], ["1"], "is_often", 2.69),
    ("job", ["7"], list("12345678"), "is_often", 2.13),
    ("sex", ["1"], ["2"], "is_often", 1.11),
    ("sex", ["1"], ["2"], "is_high", 1.24),
    ("worry_has", ["1"], ["2"], "is_often", 3.94),  # 2024
]


@pytest.mark.parametrize(("factor", "group", "against", "outcome", "published"), ODDS_RATIOS)
def test_crude_odds_ratios(wave, factor, group, against, outcome, published):
    log_ratio, error = wave.odds_ratio(
        wave.table[outcome], wave.is_in(factor, *group), wave.is_in(factor, *against)
    )
    assert abs(log_ratio - np.log(published)) < 3 * error


@pytest.mark.parametrize(("sex", "published"), [("1", 2.85), ("2", 1.31)])
def test_living_alone_weighs_more_on_men(wave, sex, published):
    alone = wave.is_in("cohab", "2") & wave.is_in("sex", sex)
    log_ratio, error = wave.odds_ratio(wave.table["is_high"], alone, wave.is_in("cohab", "1"))
    assert abs(log_ratio - np.log(published)) < 3 * error


@pytest.mark.parametrize(
    ("year", "percents"),
    [
        (2022, (16.5, 13.1, 13.8, 9.7, 14.3, 15.6, 10.6, 6.4)),
        (2023, (16.3, 13.4, 14.0, 10.1, 15.2, 16.1, 9.2, 5.8)),
    ],
)
def test_meeting_people_is_as_frequent_as_in_the_nation_that_year(waves, year, percents):
    wave = waves[year]
    for code, percent in zip("12345679", percents, strict=True):
        share, error = wave.share(wave.is_in("contact_face", code))
        assert abs(share - percent) < 3 * error, code


def test_students_meet_people_most(wave):
    share, error = wave.share(wave.is_in("contact_face", "1"), wave.is_in("job", "5"))
    assert abs(share - 62.3) < 3 * error


def test_life_events_are_as_frequent_as_published(wave):
    lonely = wave.is_in("lonely_direct", "3", "4", "5")
    for option, percent in {"05": 23.3, "01": 19.5, "06": 15.5}.items():  # 2023
        share, error = wave.share(wave.is_in(f"event_{option}", "1"), lonely)
        assert abs(share - percent) < 3 * error, option


def test_participation_confidants_and_worries_are_near_the_nation_s(wave):
    near = {("particip_5", "1"): 51.8, ("consult_has", "1"): 89.6, ("worry_has", "1"): 74.4}
    for (name, code), percent in near.items():
        answered = wave.table[name].isin(["0", "1", "2"])
        share, error = wave.share(wave.is_in(name, code), answered)
        assert abs(share - percent) < 3 * error, name


def test_regions_differ_little(wave):
    for outcome in ("is_often", "is_high"):
        found = [wave.share(wave.table[outcome], wave.is_in("region", code)) for code in "123"]
        for (one, error), (other, other_error) in itertools.combinations(found, 2):
            assert abs(one - other) < 3 * np.hypot(error, other_error)
            assert abs(one - other) < 3


def test_waves_differ_by_small_steps(waves):
    for outcome in ("is_often", "is_high"):
        found = [waves[year].share(waves[year].table[outcome]) for year in YEARS]
        assert abs(found[0][0] - found[1][0]) < 3 * np.hypot(found[0][1], found[1][1])
