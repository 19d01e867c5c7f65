"""Our weights, estimates, errors, intervals and tests against frozen values of R survey."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsunagari.statistics.association import rao_scott
from tsunagari.statistics.designs import Design
from tsunagari.statistics.differences import (
    differences,
)
from tsunagari.statistics.estimation import means, percents, totals
from tsunagari.statistics.quantiles import quantiles
from tsunagari.statistics.reliability import cronbach_alpha
from tsunagari.statistics.replicates import Replicates, jackknife_replicates, replicate_estimates
from tsunagari.statistics.weighting import weigh_respondents
from tsunagari.study.settings import Margin, Weighting

HERE = Path(__file__).resolve().parent
TRUTH = json.loads((HERE / "weighting_reference.json").read_text(encoding="utf-8"))
TEXT = dict.fromkeys("region age sex marital stratum_age stratum psu".split(), "string")
ESTIMATE, ERROR, STATISTIC = 1e-9, 1e-7, 1e-6  # relative tolerances the project promises
QUOTA = ("given", "stratified", "post", "post_plain", "raked2", "raked3")


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(HERE / f"weighting_{name}.csv", dtype=TEXT)


PEOPLE, POPULATION, MARITAL, CLUSTERS = (
    read(name) for name in ("quota", "population", "marital", "clusters")
)


def settings(**changes) -> Weighting:
    plan = {"base_weight": "base_weight", "strata": ["region", "stratum_age"]}
    return Weighting(**(plan | {"label": ""} | changes))


def weigh(name: str, **changes) -> Design:
    cells = ["region", "age", "sex"]
    raking = {"method": "raking", "cells": ["region", "age"]}
    sex, marital = Margin(by=["sex"], targets=""), Margin(by=["marital"], targets="")
    plans = {
        "given": (settings(method="given", strata=[]), None),
        "stratified": (settings(method="given"), None),
        "post": (settings(method="post_stratification", cells=cells), POPULATION),
        "post_plain": (settings(method="post_stratification", cells=cells, strata=[]), POPULATION),
        "raked2": (settings(**raking, margins=[sex]), POPULATION),
        "raked3": (
            settings(**raking, margins=[sex, marital], **changes),
            [POPULATION, POPULATION, MARITAL],
        ),
    }
    plan, targets = plans[name]
    return weigh_respondents(PEOPLE, targets, settings=plan)


DESIGNS = {name: weigh(name) for name in QUOTA}


def same(found, expected: dict) -> None:
    """Compare a row of estimates with R's figures, each with its own tolerance."""
    for key, tolerance in (
        ("estimate", ESTIMATE),
        ("std_error", ERROR),
        ("lower", ERROR),
        ("upper", ERROR),
        ("p_value", STATISTIC),
    ):
        if key in expected:
            assert found[key] == pytest.approx(expected[key], rel=tolerance, abs=1e-12), key
    if "df" in expected:
        assert found["df"] == expected["df"]


@pytest.fixture(params=QUOTA)
def case(request):
    return DESIGNS[request.param], TRUTH["quota"][request.param]


def row(table: pd.DataFrame, **keys) -> pd.Series:
    for key, value in keys.items():
        table = table[table[key] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_weights(case):
    design, truth = case
    assert design.weights[:40] == pytest.approx(truth["weights_first"], rel=ESTIMATE)
    assert design.weights.sum() == pytest.approx(truth["weights_sum"], rel=ESTIMATE)
    assert (design.weights**2).sum() == pytest.approx(truth["weights_square"], rel=ESTIMATE)


def test_trimmed_weights_and_their_errors():
    truth = TRUTH["trimmed"]
    design = weigh("raked3", trim_ratio=truth["ratio"])
    assert design.weights == pytest.approx(truth["weights"], rel=ESTIMATE)
    assert design.n_trimmed == truth["n_touched"]
    same(row(means(design, PEOPLE["minutes"])), truth["score"])
    lonely = {key: 100 * value for key, value in truth["lonely"].items()}
    same(row(percents(design, PEOPLE["lonely"])), lonely)


def test_proportions(case):
    design, truth = case
    same(row(percents(design, PEOPLE["lonely"])), truth["share"])
    table = percents(design, PEOPLE["lonely"], by=PEOPLE[["region"]])
    for region, expected in truth["by_region"].items():
        found = row(table, domain_value=region)
        same(found, expected)
        assert found["n_unweighted"] == expected["n"]
        assert found["n_effective"] == pytest.approx(expected["n_effective"], rel=ESTIMATE)


def test_small_domains_with_none_and_all(case):
    design, truth = case
    table = percents(design, PEOPLE["edge"], by=PEOPLE[["region", "age"]])
    assert row(table, domain_value="1 x 1")["estimate"] == 0
    assert row(table, domain_value="2 x 7")["estimate"] == 100
    assert len(table) == len(truth["by_cell"]) == 21
    for domain, expected in truth["by_cell"].items():
        assert expected["method"] == "beta"
        same(row(table, domain_value=domain), expected)


def test_means_and_totals(case):
    design, truth = case
    same(row(means(design, PEOPLE["score"])), truth["mean"])
    same(row(totals(design, PEOPLE["lonely"])), truth["total"])
    same(row(totals(design, PEOPLE["score"])), truth["total_score"])
    by_age = means(design, PEOPLE["score"], by=PEOPLE[["age"]])
    for age, expected in truth["mean_by_age"].items():
        same(row(by_age, domain_value=age), expected)


def test_differences_keep_the_covariance(case):
    design, truth = case
    table = differences(design, PEOPLE["lonely"], by=PEOPLE[["region"]])
    for region, expected in truth["differences"].items():
        points = {k: v * (1 if k in ("df", "p_value") else 100) for k, v in expected.items()}
        same(row(table, domain_value=region), points)


def test_quantiles(case):
    design, truth = case
    table = quantiles(design, PEOPLE["minutes"], probabilities=(0.5, 0.9))
    same(row(table, measure="median"), truth["median"])
    same(row(table, measure="quantile_90"), truth["quantile_90"])


def test_rao_scott(case):
    design, truth = case
    band = (PEOPLE["score"] > 6).astype("string").where(PEOPLE["score"].notna())
    for columns, name in ((PEOPLE["age"], "rao_scott"), (band, "rao_scott_missing")):
        expected = truth[name]
        found = row(rao_scott(design, PEOPLE["answer"], columns=columns))
        assert found["estimate"] == pytest.approx(expected["statistic"], rel=STATISTIC)
        assert found["df_numerator"] == pytest.approx(expected["ndf"], rel=STATISTIC)
        assert found["df"] == pytest.approx(expected["ddf"], rel=STATISTIC)
        assert found["p_value"] == pytest.approx(expected["p_value"], rel=STATISTIC)


def test_alpha(case):
    design, truth = case
    alpha = cronbach_alpha(design, PEOPLE[["ucla1", "ucla2", "ucla3"]])
    weighted = row(alpha, item_value="weighted")
    assert weighted["estimate"] == pytest.approx(truth["alpha"], rel=ESTIMATE)


@pytest.mark.parametrize("name", TRUTH["clusters"])
def test_clusters_certainty_and_lonely_units(name):
    kind, rule = name.split("_")
    plan = settings(
        method="given",
        strata=["stratum"],
        psu="psu",
        fpc="fpc" if kind == "fpc" else None,
        lonely_psu=rule,
    )
    design, truth = weigh_respondents(CLUSTERS, None, settings=plan), TRUTH["clusters"][name]
    same(row(means(design, CLUSTERS["score"])), truth["mean"])
    women = means(design, CLUSTERS["score"], by=CLUSTERS[["sex"]])
    same(row(women, domain_value="2"), truth["mean_women"])
    same(row(percents(design, CLUSTERS["lonely"])), truth["share"])
    same(row(totals(design, CLUSTERS["score"])), truth["total"])


def test_a_domain_inside_one_sampling_unit():
    plan = settings(method="given", strata=["stratum"], psu="psu", lonely_psu="certainty")
    design, truth = weigh_respondents(CLUSTERS, None, settings=plan), TRUTH["one_unit"]
    by = CLUSTERS[["stratum", "psu"]]
    found = row(means(design, CLUSTERS["score"], by=by), domain_value="A x 1")
    assert found["estimate"] == pytest.approx(truth["estimate"], rel=ESTIMATE)
    assert truth["lower"] is None  # R's NaN
    assert np.isnan(found["lower"])


def test_the_synthetic_sample_as_its_study_weights_it():
    people = pd.read_csv(HERE / "weighting_synthetic.csv", dtype="string")
    targets = pd.read_csv(HERE / "weighting_synthetic_population.csv", dtype={"sex": "string"})
    plan = Weighting(
        label="",
        method="post_stratification",
        cells=["region", "age_band", "sex"],
        strata=["region", "age_band"],
        sample_share={"sex": ["3", "no_answer"]},
    )
    design, truth = weigh_respondents(people, targets, settings=plan), TRUTH["synthetic"]
    assert design.weights[:40] == pytest.approx(truth["weights_first"], rel=ESTIMATE)
    assert (design.weights**2).sum() == pytest.approx(truth["weights_square"], rel=ESTIMATE)
    often = (people["lonely_direct"] == "5").astype(float).rename("5")
    ucla = people["ucla_total"].astype("Float64")
    same(row(percents(design, often)), truth["often"])
    high = (ucla >= 10).astype("Float64").rename("10-12")
    same(row(percents(design, high)), truth["ucla_high"])
    same(row(means(design, ucla)), truth["ucla_mean"])
    sexes = percents(design, people["sex"].str.get_dummies().astype(float))
    for code, expected in truth["sex"].items():  # shares that the sample has to tell
        same(row(sexes, item_value=code), expected)
    for variable, name in (("age_band", "often_by_age"), ("region", "often_by_region")):
        table = percents(design, often, by=people[[variable]])
        assert len(table) == len(truth[name])
        for value, expected in truth[name].items():
            same(row(table, domain_value=value), expected)


@pytest.mark.parametrize("kind", ["bootstrap", "jackknife"])
def test_replicates_are_raked_again(kind):
    truth = TRUTH["replicates"][kind]
    some = CLUSTERS[CLUSTERS["stratum"].isin(["A", "B", "F"])].reset_index(drop=True)
    some["half"] = np.where(some["score"] > 6, "high", "low")
    sex, half = (pd.DataFrame(t) for t in TRUTH["replicates"]["margins"].values())
    plan = settings(
        method="raking",
        cells=["sex"],
        margins=[Margin(by=["half"], targets="")],
        strata=["stratum"],
        psu="psu",
    )
    tables = [t.rename(columns={"Freq": "population"}) for t in (sex, half)]
    design = weigh_respondents(some, tables, settings=plan)
    factors = np.array(truth["factors"])
    scale_each = np.broadcast_to(truth["rscales"], factors.shape[1:])
    frozen = Replicates(counts=factors, scale=truth["scale"], scale_each=scale_each)
    answers = some[["score", "lonely"]].to_numpy()

    def weighted_means(weights):
        return weights @ answers / weights.sum()

    assert weighted_means(design.weights) == pytest.approx(truth["estimate"], rel=ESTIMATE)
    found = frozen.covariance(replicate_estimates(design, weighted_means, replicates=frozen))
    assert found == pytest.approx(np.array(truth["covariance"]), rel=2 * ERROR)
    if kind == "jackknife":
        own = jackknife_replicates(design)
        found = own.covariance(replicate_estimates(design, weighted_means, replicates=own))
        assert found == pytest.approx(np.array(truth["covariance"]), rel=2 * ERROR)
