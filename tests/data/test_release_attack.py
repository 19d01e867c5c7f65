"""Real and random releases under the second attacker: no small count may be told."""

import csv
import itertools
import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tests import attacker, random_survey
from tests.side_channels import attack

from tsunagari.errors import DisclosureError
from tsunagari.gate import questionnaire, rounding
from tsunagari.gate.attack import attack_estimates
from tsunagari.study.files import read_table, repository_root
from tsunagari.study.survey import open_study

FRENCH = Path(__file__).parents[3] / "shared/real/eu_loneliness_2022/responses_FR.csv"
YEARS = ["2022", "2023"]
SIZES = (300, 500, 800, 1200)  # people of a random survey


def age_mix(root):
    """Return how the nation's respondents are spread over age bands, where it is published."""
    table = pd.read_csv(root / "data/raw/national/benchmarks.csv", dtype=str)
    table = table[(table["item"] == "respondents") & (table["domain"] == "age_band")]
    return table.set_index("domain_value")["percent"].astype(float).to_dict()


def facts_of(root, year):
    folder = root / "data/raw/ehime"
    settings = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    with (folder / "codebook.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = [r for r in csv.DictReader(file) if not r["waves"] or year in r["waves"].split()]
    return attacker.Facts(settings, lines, mix=age_mix(root))


def tables_of(root, year):
    """Return the released rows and those before the gate."""
    private = root / f"data/processed/ehime/{year}/private/estimates.csv"
    return read_table(root / f"reports/ehime/{year}/estimates.csv"), read_table(private)


# --- ehime ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("year", "loops"), [("2022", True), ("2023", False)])
def test_no_small_count_of_a_release_can_be_told(released, year, loops):
    published, truth = tables_of(released, year)
    assert attack(published, truth, facts_of(released, year), loops=loops) == []


@pytest.mark.slow
@pytest.mark.parametrize("year", YEARS)
def test_at_most_a_tenth_of_the_released_rows_is_hidden(released, year):
    published, truth = tables_of(released, year)
    n_hidden = (published["status"] == "suppressed").sum()
    assert 0 < n_hidden <= 0.1 * len(published)
    counts = published[published["table_id"] == "gate"].set_index("item")["estimate"]
    assert counts["hidden"] == n_hidden
    assert counts.drop("hidden").sum() == len(truth) + len(counts) - len(published)


@pytest.mark.slow
@pytest.mark.parametrize("year", YEARS)
def test_models_tell_of_no_few_people(released, year):
    published, truth = tables_of(released, year)
    tables = (t[t["table_id"].str.startswith("model_")] for t in (published, truth))
    assert attack(*tables, facts_of(released, year)) == []


@pytest.mark.slow
@pytest.mark.skipif(not FRENCH.is_file(), reason="docs/new_study.md says where the file is from")
def test_no_small_count_of_the_french_tables_can_be_told(tmp_path, monkeypatch):
    folder = tmp_path / "data/raw/eu-loneliness-fr"
    shutil.copytree(repository_root() / "data/raw/eu-loneliness-fr", folder)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    (folder / "2022").mkdir(exist_ok=True)
    shutil.copy(FRENCH, folder / "2022")
    study = open_study("eu-loneliness-fr", 2022)
    truth = random_survey.make_truth(study)
    assert holes_of(study, truth, random_survey.pass_gate(study, truth)) == []


@pytest.mark.slow
def test_two_releases_together_tell_no_more(released, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(released))
    (first, before), (_, truth) = (tables_of(released, year) for year in YEARS)
    second = random_survey.pass_gate(open_study("ehime", 2023), truth, archive=[first])
    both, whole = pd.concat([second, first]), pd.concat([truth, before])
    holes = attack(both, whole, facts_of(released, "2023"))
    assert [hole for hole in holes if hole.kind != "family"] == []


def people_of(root, year, facts, names):
    """Return the place of every respondent among the categories of every variable, and how many."""
    people = read_table(root / f"data/processed/ehime/{year}/private/respondents.parquet")
    places = {}
    for name in names:
        item, _, code = name.partition(":")
        values = people[item].astype("string").fillna(attacker.SKIPPED)
        if code:
            codes = facts.nets[item].get(code, code.split("|"))
            width = max(map(len, facts.options[item]))
            chosen = people[[f"{item}_{c.zfill(width)}" for c in codes]].eq(1).any(axis=1)
            answered = np.where(chosen, "1", "0")
            values = values.mask(values == "answered", answered)
        cats = {cat: place for place, cat in enumerate(facts.cats[name])}
        places[name] = values.map(lambda value, cats=cats: cats.get(value, cats[attacker.NONE]))
    return places, len(people)


@pytest.mark.slow
@pytest.mark.parametrize("year", YEARS)
def test_the_attacker_states_nothing_untrue(released, year, monkeypatch):
    facts, stated = facts_of(released, year), []
    monkeypatch.setattr(
        attacker, "_solve", lambda system, *more, **_: stated.append((system, *more)) or []
    )
    published, truth = (table[table["wave"] == year] for table in tables_of(released, year))
    attack(published, truth, facts)
    ((system, lines, _),) = stated
    for terms, low, high in lines:
        weights = [(system.cells(box), times) for box, times in terms]
        system.state(attacker._sum({}, *weights), low, high)
    places, n = people_of(released, year, facts, {name for names in system.start for name in names})
    true = np.zeros(system.n)
    for names, cells in system.start.items():
        counts = np.zeros(cells.shape)
        np.add.at(
            counts, tuple(places[name].to_numpy() for name in sorted(names)), 1 if names else n
        )
        true[cells.ravel()] = counts.ravel()
    sums = [(sum(w * true[k] for k, w in ws.items()), low, high) for ws, low, high in system.rows]
    assert len(sums) > 20_000
    assert [each for each in sums if not each[1] - 1e-6 <= each[0] <= each[2] + 1e-6] == []


# --- random surveys -------------------------------------------------------------------------------


def draw(folder, monkeypatch, *, seed, year=2022, features=()):
    """Return a random survey's study, its rows before the gate and what is released of them."""
    monkeypatch.setenv("TSUNAGARI_ROOT", str(folder))
    random_survey.write_survey(folder, seed=seed, n=SIZES[seed % 4], features=set(features))
    study = open_study("random", year)
    truth = random_survey.make_truth(study)
    try:
        return study, truth, random_survey.pass_gate(study, truth)
    except DisclosureError:
        return study, truth, None


def holes_of(study, truth, published):
    return attack(published, truth, random_survey.read_facts(study))


@pytest.mark.parametrize("seed", [1, 3])
def test_no_small_count_of_a_random_survey_can_be_told(seed, tmp_path, monkeypatch):
    study, truth, published = draw(tmp_path, monkeypatch, seed=seed)
    assert (published["status"] == "suppressed").any()
    assert holes_of(study, truth, published) == []


@pytest.mark.slow
def test_no_small_count_of_many_random_surveys_can_be_told(tmp_path, monkeypatch):
    attacked = 0
    for seed, year in itertools.product(range(4, 16), (2022, 2023)):
        if year == 2022 or seed % 3 == 0:
            folder = tmp_path / f"{seed}-{year}"
            study, truth, published = draw(folder, monkeypatch, seed=seed, year=year)
            if published is not None:  # else the gate refused it whole
                attacked += 1
                assert holes_of(study, truth, published) == [], (seed, year)
    assert attacked > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "year", "features"),
    [
        pytest.param(14, 2022, ["option_nets"], id="a net of options is at most their sum"),
        pytest.param(28, 2022, ["own_source"], id="a question by its own merged answers"),
        pytest.param(20, 2022, ["answered"], id="who answers is among whom an axis leaves out"),
        pytest.param(4, 2022, ["exclusive"], id="none of these, of whom an axis leaves out"),
        pytest.param(108, 2023, [], id="everybody chose, of whom an axis leaves out"),
    ],
)
def test_what_the_second_attacker_found(seed, year, features, tmp_path, monkeypatch):
    study, truth, published = draw(tmp_path, monkeypatch, seed=seed, year=year, features=features)
    assert published is None or holes_of(study, truth, published) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5, 8])
def test_a_cell_shown_again_is_noticed_where_the_gate_notices(seed, tmp_path, monkeypatch):
    study, truth, published = draw(tmp_path, monkeypatch, seed=seed)
    shown = rounding.round_published(truth.assign(status="published"))
    visible = published.index[published["status"] != "suppressed"]
    is_cell = ~truth.index.isin(visible) & (truth["measure"] == "percent")
    is_cell &= ~truth["item_value"].isin(["no_answer", "5"])  # 5 may stand for refused
    facts = {
        "settings": study.config.disclosure,
        "questionnaire": questionnaire.read_questionnaire(study),
    }
    noticed = {"gate": 0, "both": 0}
    places = random.Random(seed).sample(truth.index[is_cell].tolist(), 12)
    for place in places:
        mutant = published.copy()
        mutant.loc[place] = shown.loc[place]  # hidden or left out before
        told = attack_estimates(mutant, truth, **facts)
        if any(not problem.startswith("gate:") for problem in told):
            noticed["gate"] += 1
            noticed["both"] += bool(holes_of(study, truth, mutant))
    assert noticed["gate"] == noticed["both"] > 6
