"""A small survey drawn at random: its questionnaire, its answers, and the release made of them."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from tests.attacker import Facts

from tsunagari import estimates, tables
from tsunagari.gate import hiding, questionnaire, rounding, suppression
from tsunagari.intake import cleaning, reading
from tsunagari.statistics import weighting
from tsunagari.statistics.designs import Design
from tsunagari.study import population
from tsunagari.study.survey import Study

COLUMNS = (
    "question_no item variable type label short_label code code_label role min max ask_if required "
    "scale sensitive waves version certainty_wording certainty_options certainty_order source"
).split()


def _question(item: str, codes, *, kind: str = "SA", **more) -> list[dict]:
    roles = more.pop("roles", {})
    return [
        dict.fromkeys(COLUMNS, "")
        | {"item": item, "variable": f"{item}_{code}" if kind == "MA" else item, "type": kind}
        | {"label": item, "code": code, "code_label": f"{item}:{code}", "required": "yes"}
        | {"role": roles.get(code, "")}
        | (more if code == codes[0] else {})
        for code in codes
    ]


def _nets(codes: list[str], rng: np.random.Generator) -> list[dict]:
    """Return a random recode tree: the last two codes, perhaps the last three, the first two."""
    runs = {"top2": codes[-2:]}
    if len(codes) > 3 and rng.random() < 0.6:
        runs["low2"] = codes[:2]
    elif len(codes) > 3 and rng.random() < 0.6:
        runs["top3"] = codes[-3:]
    return [{"code": net, "label": net, "of": of} for net, of in runs.items()]


def write_survey(root: Path, *, seed: int, n: int, features: set[str] = frozenset()) -> None:
    """Write data/raw/random of two waves under a root.

    Args:
        root: Folder that TSUNAGARI_ROOT will name.
        seed: Of everything that is drawn.
        n: People a wave.
        features: "option_nets", "exclusive", "answered" (the base), "own_source" (a question
            crossed with its own merged answers).
    """
    rng = np.random.default_rng(seed)
    letters = {name: [str(c) for c in range(1, int(rng.integers(3, 6)) + 1)] for name in "qrst"}
    letters["r"] = ["1", "2", "3", "4"]
    filter_codes = letters["q"][: int(rng.integers(1, 3))]
    names = [str(c) for c in range(1, int(rng.integers(3, 6)) + 1)]
    alone = {names[-1]: "exclusive"} if "exclusive" in features else {}
    codebook = _question("respondent_id", [""], kind="ID") + _question("region", ["1", "2", "3"])
    codebook += _question("age", [""], kind="NUM", min="0", max="110")
    codebook += _question("sex", ["1", "2", "3"]) + _question("q", letters["q"])
    codebook += _question("r", letters["r"], sensitive="high" if rng.random() < 0.3 else "")
    codebook += _question("s", letters["s"], ask_if=f"q={'|'.join(filter_codes)}")
    refused = {letters["t"][-1]: "refused"} if rng.random() < 0.3 else {}
    codebook += _question("t", letters["t"], roles=refused)
    codebook += _question("m", names, kind="MA", roles=alone)
    ends = [16, 30, 45, 60, 75][: int(rng.integers(3, 6))]
    bands = [
        {"code": f"b{low}", "label": f"b{low}", "from": low, "to": high and high - 1}
        for low, high in zip(ends, [*ends[1:], None], strict=True)
    ]
    codes, half = [band["code"] for band in bands], len(bands) // 2
    group = [("young", codes[:half]), ("old", codes[half:])]
    settings = {
        "study": "random", "title": "乱数の調査", "area": "県", "people": "県民",
        "waves": {
            2022: {"responses": "responses.csv", "fieldwork": "2022"},
            2023: {"responses": "responses.csv", "fieldwork": "2023", "previous": 2022},
        },
        "columns": {"respondent_id": "respondent_id"},
        "design": {"region": "region", "age": "age", "age_band": "age_band", "sex": "sex"},
        "derive": {
            "age_band": {"label": "年齢", "bands_of": "age", "bands": bands},
            "age_group": {
                "label": "年齢", "recode_of": "age_band",
                "classes": [{"code": c, "label": c, "of": of} for c, of in group],
            },
            "r2": {
                "label": "r2", "recode_of": "r",
                "classes": [
                    {"code": "low", "label": "低", "of": letters["r"][:2]},
                    {"code": "high", "label": "高", "of": letters["r"][2:]},
                ],
            },
        },
        "recode": {name: _nets(letters[name], rng) for name in "qs"},
        "weighting": {
            "method": "post_stratification", "label": "地域", "cells": ["region", "sex"],
            "targets": "population.csv", "sample_share": {"sex": ["3"]},
        },
        "indicators": {
            "top": {"label": "top", "item": "q", "codes": letters["q"][-1:]},
            "some": {"label": "some", "item": "q", "codes": letters["q"][-2:]},
            "chose": {"label": "chose", "item": "m", "codes": names[:1]},
        },
        "tables": {
            "base": "answered" if "answered" in features else "asked",
            "axes": ["region", "age_band", "sex", ["age_group", "sex"], "q", "r2"],
            "crosses": ["q", "s", "t", "m", *(["r"] if "own_source" in features else [])],
            "joint": [["q", "r2"]] if rng.random() < 0.7 else [],
        },
        "model": {"outcomes": [], "factors": []},
        "disclosure": {"area": str(rng.choice(["prefecture", "prefecture", "below"]))},
    }  # fmt: skip
    if "option_nets" in features:
        settings["recode"]["m"] = [{"code": "any", "label": "any", "of": names[:2]}]
    if rng.random() < 0.5:
        settings["tables"]["axis_nets"] = {"q": [net["code"] for net in settings["recode"]["q"]]}
    folder = root / "data/raw/random"
    for year in (2022, 2023):
        (folder / str(year)).mkdir(parents=True)
        people = _people(codebook, rng, n=n, filter_codes=filter_codes, alone=bool(alone))
        people.to_csv(folder / str(year) / "responses.csv", index=False)
    (folder / "study.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True))
    with (folder / "codebook.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(codebook)
    cells = [(region, sex, 1000) for region in "123" for sex in "12"]
    pd.DataFrame(cells, columns=["region", "sex", "population"]).assign(source="x").to_csv(
        folder / "population.csv", index=False
    )


def _people(codebook, rng, *, n: int, filter_codes, alone: bool) -> pd.DataFrame:
    """Draw answers: skewed, some depending on region or q, some left blank."""
    people = pd.DataFrame({"respondent_id": [f"P{i}" for i in range(n)]})
    questions: dict[str, list[str]] = {}
    for row in codebook:
        questions.setdefault(row["item"], []).append(row["code"])
    people["region"] = rng.choice(list("123"), n, p=[0.5, 0.35, 0.15])
    people["age"] = rng.integers(16, 95, n)
    people["sex"] = rng.choice(list("123"), n, p=[0.47, 0.49, 0.04])
    people.loc[:5, ["region", "sex"]] = [[r, s] for r in "123" for s in "12"]
    for name in "qrst":
        codes = questions[name]
        shares = 0.9 * rng.dirichlet(np.linspace(3, 0.4, len(codes))) + 0.1 / len(codes)
        people[name] = rng.choice(codes, n, p=shares)
        people.loc[rng.random(n) < 0.02, name] = ""
    same = rng.random(n) < 0.3
    order = {
        code: questions["r"][min(i, len(questions["r"]) - 1)]
        for i, code in enumerate(questions["q"])
    }
    people.loc[same, "r"] = people.loc[same, "q"].map(order).fillna("")
    people.loc[~people["q"].isin(filter_codes), "s"] = ""
    chosen = rng.random((n, len(questions["m"]))) < rng.uniform(0.03, 0.5, len(questions["m"]))
    chosen[:, -1] = ~chosen[:, :-1].any(axis=1) if alone else chosen[:, -1] | ~chosen.any(axis=1)
    blank = rng.random(n) < 0.02
    for place, code in enumerate(questions["m"]):
        people[f"m_{code}"] = np.where(blank, "", chosen[:, place].astype(int).astype(str))
    return people


def read_facts(study: Study) -> Facts:
    """Return what a reader may know of a study: its two public files, read without tsunagari."""
    settings = yaml.safe_load((study.raw_dir / "study.yaml").read_text(encoding="utf-8"))
    with (study.raw_dir / "codebook.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    kept = [row for row in lines if not row["waves"] or str(study.year) in row["waves"].split()]
    return Facts(settings, kept)


def weigh(study: Study) -> tuple[Study, pd.DataFrame, Design]:
    """Return the wave with its respondents and their design."""
    people = cleaning.clean_responses(reading.read_responses(study), study).respondents
    targets, settings = population.load_targets(study), study.config.weighting
    return study, people, weighting.weigh_respondents(people, targets, settings=settings)


def make_truth(study: Study) -> pd.DataFrame:
    """Return all tables of a wave before the gate, made as the notebooks make them."""
    _, people, design = now = weigh(study)
    makers = (tables.headline_table, tables.tabulate_all, tables.joint_tables, tables.cross_tables)
    parts = [make(study, people, design=design) for make in makers]
    parts += [tables.wave_tables(now, weigh(study.previous))] if study.previous else []
    return estimates.conform(pd.concat(parts, ignore_index=True))


def pass_gate(study: Study, truth: pd.DataFrame, *, archive=()) -> pd.DataFrame:
    """Return the rows as they would be released, on their index before the gate."""
    settings = study.config.disclosure
    known = questionnaire.read_questionnaire(study)
    reasons = suppression.judge(truth, settings=settings, questionnaire=known, archive=archive)
    hidden = suppression.apply_reasons(truth, reasons, settings=settings)
    is_left_out = hiding.find_left_out(truth, reasons).notna()
    return rounding.round_published(hidden)[~is_left_out.to_numpy()]
