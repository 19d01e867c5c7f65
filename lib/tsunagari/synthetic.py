"""What would a research vendor deliver? Draws a synthetic wave, calibrated and faulty on purpose.

No figure drawn here is a finding. A person's margins (age, sex, region) follow the population, the
other attributes are drawn given age and sex, and loneliness is drawn from logits that are solved on
the sample itself so that the expected share in every group equals the published national share,
shifted on the logit scale to the prefecture's level; a shared normal variable ties the direct
question and the UCLA sum together. docs/assumptions.md lists what was assumed.

Faults, per 2,000 good rows (they scale with n; see `FAULTS`):

- rows that must not be analysed: exact duplicates (24), the id of another person (9), another
  prefecture (12), under 16 (8), no region or no age (13), answered in under 120 seconds (30);
- rows that stay, with cells that are blanked or repaired: codes that do not exist (30 cells),
  answers to questions that were not asked (24 rows), "none of these" together with others (10),
  full-width digits (24 cells), padded codes (6), break-offs (20 rows, blank from some question on);
- rows that stay and are flagged: the same number in every row of the grids (24);
- free text with half-width kana (12) and, in one answer in twelve, an invented name, telephone
  number or address at example.jp.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from tsunagari import study
from tsunagari.planning import allocate_quota

STUDY = "ehime"
N_RESPONDENTS = 2000  # rows that should survive cleaning
ENCODING = "cp932"
FAULTS = {
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
}  # per 2,000 good rows

AGE_BANDS = ("16-19", "20s", "30s", "40s", "50s", "60s", "70s", "80+")
_AGE_FROM = dict(zip(AGE_BANDS, (16, 20, 30, 40, 50, 60, 70, 80), strict=True))
_AGE_TO = dict(zip(AGE_BANDS, (19, 29, 39, 49, 59, 69, 79, 96), strict=True))

# Attributes given sex ("1", "2") and age band, in percent. Plausible for the prefecture, not
# published; docs/assumptions.md, synthetic sample.
_MARITAL = {
    "1": "99.5 0.5 0 0|83 16 0 1|40 56 0 4|29 64 0 7|23 68 1 8|15 74 3 8|6 81 7 6|2 77 18 3",
    "2": "99.5 0.5 0 0|76 22 0 2|30 63 0 7|20 69 1 10|15 71 3 11|8 73 9 10|5 65 23 7|3 33 60 4",
}
_ALONE = "10 33 32 33 36 42 50 50|1 2 2 2 2 2 2 3|40 40 40 40 42 45 46 40|30 30 35 38 40 45 48 45"
_JOB = {
    "1": "10 6 0 1 80 0 1 2|60 12 1 3 17 0 3 4|77 7 3 7 .5 .5 2.5 2.5|76 6 5 8 0 .5 2.5 2"
    "|70 8 7 9 0 .5 2.5 3|25 26 8 15 0 1 3 22|3 12 5 14 0 2 1 63|.5 3 2 8 0 2 0 84.5",
    "2": "7 7 0 0 82 1 1 2|52 20 0 2 13 7 3 3|42 28 1 4 1 18 3 3|36 36 1 5 0 16 3 3"
    "|30 37 2 6 0 18 2.5 4.5|8 28 2 8 0 36 1.5 16.5|1 9 1 6 0 43 .5 39.5|0 1 .5 3 0 35 0 60.5",
}
_EDUCATION = "5 35 22 34 4|5 35 22 34 4|4 36 24 33 3|4 42 25 27 2|5 43 26 24.5 1.5|13 47 18 21 1"
_EDUCATION += "|26 47 11 15.5 .5|42 40 7 10.8 .2"
_DWELLING = {"1": "68 8 14.5 4 1.5 1 3", "2": "38 8 38 8 4.5 1.5 2"}  # by cohab
_INCOME = (5.5, 10, 13, 13, 11, 10, 8, 7, 6, 5, 8.5, 3)
_ECON = (4, 12, 46, 27, 11)
_REFUSES_INCOME_PCT = 13.0

# Published percentages (national_survey of 2022 unless said), by factor and level. None: not
# published and left free. Values marked * were filled in so that the factor adds up to 4.9.
_OFTEN: dict[str, dict[str, float]] = {
    "age_band": dict(
        zip(AGE_BANDS, (5.2, 7.1, 7.2, 6.0, 6.0, 4.0, 2.6, 2.3), strict=True)  # 40s on *
    ),
    "sex": {"1": 5.1, "2": 4.6},
    "marital": {"1": 9.7, "2": 3.0, "3": 4.5, "4": 8.3},  # 3 and 4 *
    "alone_sex": {"1": 11.9, "2": 7.0, "0": 4.0},
    "econ_status": {"1": 4.2, "2": 3.4, "3": 2.3, "4": 5.3, "5": 14.2},
    "hh_income": {"1": 8.1, "2": 6.0, "11": 2.3, "12": 2.3},  # 2: 2021
    "dwelling": {"1": 3.5, "2": 4.8, "3": 8.7, "4": 8.9},
    "job": {"7": 9.9},
    "consult_has": {"1": 3.2, "2": 19.5},
    "worry_has": {"1": 5.3, "2": 1.4},  # 2024
    "region": {"1": 4.7, "2": 5.0, "3": 4.8},  # small differences, assumed
}
_UCLA_BY_AGE = {
    "1": (5.6, 8.8, 10.4, 9.7, 9.6, 6.7, 6.2, 3.9),
    "2": (4.4, 11.2, 9.1, 7.9, 7.2, 4.5, 3.6, 4.2),
}
_HIGH: dict[str, dict[str, float]] = {
    "age_sex": {
        f"{band} x {sex}": percent
        for sex, percents in _UCLA_BY_AGE.items()
        for band, percent in zip(AGE_BANDS, percents, strict=True)
    },
    "marital": {"1": 12.5, "2": 4.9, "3": 5.6, "4": 11.8},
    "alone_sex": {"1": 16.1, "2": 8.1, "0": 6.3},
    "consult_has": {"1": 4.9, "2": 25.9},
    "econ_status": {"1": 5.5, "2": 5.0, "3": 4.6, "4": 8.2, "5": 17.0},  # assumed
    "job": {"7": 14.0},  # assumed
    "region": {"1": 7.0, "2": 7.1, "3": 7.3},  # small differences, assumed
}
_OFTEN_NATION_PCT = 4.9
_HIGH_NATION_PCT = 7.1
_HOLDS_ALL = ("age_band", "sex", "marital", "alone_sex", "econ_status", "consult_has", "worry_has")
_HOLDS_ALL += ("age_sex", "region")  # factors whose levels cover everybody
_RIDGE = 0.05
_TIE = 0.7  # correlation of the two loneliness measures given the attributes


@dataclass(frozen=True)
class Targets:
    """Marginal shares in percent that a wave is drawn to, and its seed.

    Attributes:
        seed: Seed of the wave's generator.
        first_day: First day of the fieldwork.
        direct: Direct question, codes 1 to 5, then no answer.
        ucla: UCLA bands 3, 4-6, 7-9, 10-12, then no answer.
        contact: Codes 1 to 7 then no answer, for meeting, telephone, messages.
        no_participation: Takes part in no activity.
        line_known: Awareness of the consultation line, codes 1 to 4.
    """

    seed: int
    first_day: str
    direct: tuple[float, ...]
    ucla: tuple[float, ...]
    contact: Mapping[str, tuple[float, ...]]
    no_participation: float
    line_known: tuple[float, ...]


TARGETS = {
    2022: Targets(
        seed=20230116,
        first_day="2023-01-16",
        direct=(17.9, 39.6, 19.0, 15.4, 7.5, 0.6),
        ucla=(13.3, 36.6, 41.3, 7.9, 0.9),
        contact={
            "contact_face": (16.5, 13.1, 13.8, 9.7, 14.3, 15.6, 10.6, 6.4),
            "contact_phone": (10.0, 13.0, 14.0, 11.0, 15.0, 16.0, 14.9, 6.1),
            "contact_sns": (33.0, 14.0, 11.0, 8.0, 9.0, 7.0, 12.4, 5.6),
        },
        no_participation=52.5,
        line_known=(1.5, 9.0, 27.0, 62.5),
    ),
    2023: Targets(
        seed=20240115,
        first_day="2024-01-15",
        direct=(17.6, 40.6, 19.1, 14.5, 7.0, 1.2),
        ucla=(13.5, 37.0, 41.0, 7.6, 0.9),
        contact={
            "contact_face": (16.3, 13.4, 14.0, 10.1, 15.2, 16.1, 9.2, 5.7),
            "contact_phone": (9.8, 12.9, 14.2, 11.1, 15.2, 16.2, 14.8, 5.8),
            "contact_sns": (34.5, 14.2, 11.0, 7.9, 8.9, 6.8, 11.6, 5.1),
        },
        no_participation=51.3,
        line_known=(2.0, 12.0, 30.0, 56.0),
    ),
}

_EVENTS = (
    19.5,
    12,
    8,
    7,
    23.3,
    15.5,
    12,
    8,
    7,
    4,
    3.5,
    8,
    4,
    2,
    5,
)  # 1, 5, 6: 2023; others assumed
_NO_EVENT_PCT = 19.0
_CONSULTED = (92.6, 62.8, 4.1, 10.8, 2.7, 4.7, 1.4, 4.7, 2.0)  # Tokushima's monitors
_WHY = (58, 14, 8, 17, 11, 5, 4, 4)
_FEELINGS = (34, 47, 16, 12, 17, 9, 3)
_WORRIES = (43, 32, 40, 24, 6, 11, 13, 6, 10, 36, 8, 11, 4)
_TROUBLES = (17, 15, 11, 24, 18, 9, 6, 10, 4, 14, 17, 5)
_RESOLVED = (30, 31, 14, 17, 9, 6, 7, 7, 3.5, 3, 5, 8, 27, 4)
_GRID = (
    "ucla1 ucla2 ucla3 contact_face contact_phone contact_sns outing_freq range health satisfaction"
).split()
_SUM_SHARES = {  # share of each sum within its band; assumed
    0: {3: 1.0},
    1: {4: 0.26, 5: 0.27, 6: 0.47},
    2: {7: 0.36, 8: 0.28, 9: 0.36},
    3: {10: 0.55, 11: 0.22, 12: 0.23},
}


# --- small tools --------------------------------------------------------------------------------


def _table(text: str) -> np.ndarray:
    """Read rows of percentages, such as "60 40|50 50", into shares that sum to one per row."""
    rows = np.array([[float(x) for x in row.split()] for row in text.split("|")])
    return rows / rows.sum(axis=1, keepdims=True)


def _pick(rng: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    """Draw one column number for every row of shares, shape (n, k) to (n,)."""
    return (rng.random(len(shares))[:, None] > np.cumsum(shares, axis=1)[:, :-1]).sum(axis=1)


def _by_rank(values: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Cut values at their own quantiles: low values get class 0, high ones the last."""
    ranks = (np.argsort(np.argsort(values, kind="stable"), kind="stable") + 0.5) / len(values)
    edges = np.cumsum(np.asarray(shares, dtype=float) / np.sum(shares))[:-1]
    return np.searchsorted(edges, ranks, side="right")


def _shift_to(scores: np.ndarray, share: float) -> np.ndarray:
    """Return probabilities expit(a + scores) whose mean is the share."""
    low, high = -30.0, 30.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(middle + scores).mean() < share else (low, middle)
    return expit(low + scores)


def _even_uniforms(
    rng: np.random.Generator, values: np.ndarray, *, order: np.ndarray, block: int = 20
) -> np.ndarray:
    """Return uniforms that rise with values and are spread evenly within blocks of like people.

    Within a block of people with about the same chance, the number drawn is then nearly the number
    expected: the sample sits closer to its targets than independent draws would.
    """
    result = np.empty(len(values))
    by_order = np.argsort(order, kind="stable")
    for start in range(0, len(values), block):
        members = by_order[start : start + block]
        ranks = np.argsort(np.argsort(values[members], kind="stable"), kind="stable")
        result[members] = (ranks + rng.random(len(members))) / len(members)
    return result


def _code(classes: np.ndarray) -> np.ndarray:
    """Turn class numbers from 0 into codes from "1"."""
    return (np.asarray(classes) + 1).astype(str)


def _rise(people: pd.DataFrame, **steps: Mapping[str, float]) -> np.ndarray:
    """Add up steps on the logit scale, by column and code."""
    total = np.zeros(len(people))
    for column, step in steps.items():
        total += people[column].map(step).fillna(0.0).to_numpy(float)
    return total


# --- people -------------------------------------------------------------------------------------


def _draw_people(rng: np.random.Generator, population: pd.DataFrame, *, n: int) -> pd.DataFrame:
    """Draw region, age and sex by quota, then the attributes given them; n rows."""
    cells = population.set_index(["region", "age_band", "sex"])["population"].astype(float)
    quota = allocate_quota(cells, n)
    people = quota.index.repeat(quota).to_frame(index=False)
    people = people.iloc[rng.permutation(n)].reset_index(drop=True)
    low, high = people["age_band"].map(_AGE_FROM), people["age_band"].map(_AGE_TO)
    spread = np.where(people["age_band"] == "80+", rng.random(n) ** 2, rng.random(n))
    people["age"] = (low + np.floor(spread * (high - low + 1))).astype(int)
    band = people["age_band"].map(dict(zip(AGE_BANDS, range(8), strict=True))).to_numpy()
    by_sex = people["sex"].to_numpy() == "1"

    def given(tables: Mapping[str, str]) -> np.ndarray:
        return np.where(by_sex[:, None], _table(tables["1"])[band], _table(tables["2"])[band])

    marital = _pick(rng, given(_MARITAL))
    people["marital"] = _code(marital)
    alone = np.array([[float(x) for x in row.split()] for row in _ALONE.split("|")]) / 100
    is_alone = rng.random(n) < _shift_to(logit(alone[marital, band]), 0.158)  # 15.8 %: 2022
    people["cohab"] = np.where(is_alone, "2", "1")
    people["alone_sex"] = people["sex"].where(is_alone, "0")
    people["age_sex"] = people["age_band"] + " x " + people["sex"]
    people["job"] = _code(_pick(rng, given(_JOB)))
    education = _code(_pick(rng, _table(_EDUCATION)[band]))
    people["education"] = np.where(people["job"] == "5", "6", education)
    return _draw_means(rng, people)


def _draw_means(rng: np.random.Generator, people: pd.DataFrame) -> pd.DataFrame:
    """Add dwelling, income, living conditions, confidant and worries."""
    n = len(people)
    people = people.copy()
    dwelling = np.vstack([_table(_DWELLING["1"]), _table(_DWELLING["2"])])
    people["dwelling"] = _code(_pick(rng, dwelling[(people["cohab"] == "2").astype(int)]))
    in_home = (people["age_band"] == "80+") & (rng.random(n) < 0.04)
    people.loc[in_home, "dwelling"] = "6"
    earns = {"1": 0.7, "2": 0.0, "3": 1.0, "4": 0.4, "5": 0.3, "6": 0.1, "7": -0.9, "8": -0.3}
    old = {"70s": -0.4, "80+": -0.5, "60s": -0.1}
    money = _rise(people, job=earns, cohab={"2": -0.8}, age_band=old) + 0.9 * rng.normal(size=n)
    income = _code(_by_rank(money, _INCOME))
    people["hh_income"] = np.where(rng.random(n) < _REFUSES_INCOME_PCT / 100, "13", income)
    money_score = (money - money.mean()) / money.std()
    hardship = -0.6 * money_score + _rise(people, job={"7": 0.8}) + 0.8 * rng.normal(size=n)
    people["econ_status"] = _code(_by_rank(hardship, _ECON))
    lacks = _rise(
        people,
        sex={"1": 0.35},
        cohab={"2": 0.4},
        marital={"1": 0.25, "4": 0.2},
        age_band={"40s": 0.25, "50s": 0.3, "60s": 0.25},
        econ_status={"4": 0.3, "5": 0.8},
    )
    people["consult_has"] = np.where(rng.random(n) < _shift_to(lacks, 0.105), "2", "1")
    worries = _rise(
        people,
        sex={"2": 0.2},
        econ_status={"4": 0.5, "5": 1.0},
        age_band={"30s": 0.3, "40s": 0.4, "50s": 0.4, "70s": -0.2, "80+": -0.2},
    )
    people["worry_has"] = np.where(rng.random(n) < _shift_to(worries, 0.744), "1", "2")
    return people


# --- loneliness ---------------------------------------------------------------------------------


def solve_chances(
    people: pd.DataFrame,
    published: Mapping[str, Mapping[str, float]],
    *,
    nation_pct: float,
    target_pct: float,
) -> np.ndarray:
    """Return every person's chance so that each group's expected share is its published one.

    The published shares are moved on the logit scale, which keeps crude odds ratios: by one shift
    for a factor whose levels cover everybody (so that it adds up to the target), by the shift from
    nation to target for the others. The chances are the logistic model whose score equations hold
    (maximum entropy), with a small ridge where factors contradict each other.

    Args:
        people: Attributes, shape (n, any).
        published: Percent by factor and level.
        nation_pct: Published share of everybody, percent.
        target_pct: Share of everybody wanted, percent.

    Returns:
        Chances between 0 and 1, shape (n,).
    """
    target = target_pct / 100
    columns, totals = [np.ones(len(people))], [len(people) * target]
    shift = logit(target) - logit(nation_pct / 100)
    for factor, levels in published.items():
        share = people[factor].map(levels).to_numpy(float) / 100
        known = ~np.isnan(share)
        moved = expit(logit(share[known]) + shift)
        if factor in _HOLDS_ALL:
            moved = _shift_to(logit(share), target)
        wanted = np.zeros(len(people))
        wanted[known] = moved
        for level in levels:
            member = (people[factor] == level).to_numpy(float)
            if member.any():
                columns.append(member)
                totals.append(float(wanted @ member))
    return _solve_logit(np.column_stack(columns), np.array(totals))


def _solve_logit(design: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return expit(design @ b) with design.T @ chances = totals, up to the ridge."""
    ridge = np.full(design.shape[1], _RIDGE)
    ridge[0] = 0.0
    beta = np.zeros(design.shape[1])
    beta[0] = logit(totals[0] / len(design))
    for _ in range(60):
        chances = expit(design @ beta)
        gradient = design.T @ chances - totals + ridge * beta
        hessian = (design.T * (chances * (1 - chances))) @ design + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        beta -= step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    return expit(design @ beta)


def _cut(
    uniforms: np.ndarray, top: np.ndarray, *, shares: Sequence[float], slope: float
) -> np.ndarray:
    """Cut uniforms into ordered classes; the top class has chance `top`, the others `shares`.

    The chance of being at or above every lower class follows a cumulative logit that leans on the
    logit of `top` with the given slope.
    """
    at_least = np.cumsum(np.asarray(shares, dtype=float)[::-1])[::-1] / np.sum(shares)
    result = (uniforms > 1 - top).astype(int) * (len(shares) - 1)
    for level in range(len(shares) - 2, 0, -1):
        chance = np.maximum(_shift_to(slope * logit(top), at_least[level]), top)
        result = np.where((result == 0) & (uniforms > 1 - chance), level, result)
    return result


def _draw_loneliness(
    rng: np.random.Generator, people: pd.DataFrame, *, targets: Targets
) -> pd.DataFrame:
    """Add the direct question, the three UCLA items and a loneliness score for what follows."""
    n = len(people)
    people = people.copy()
    answered = 100 - targets.direct[-1]
    often = solve_chances(
        people,
        _OFTEN,
        nation_pct=_OFTEN_NATION_PCT,
        target_pct=100 * targets.direct[4] / answered,
    )
    high = solve_chances(
        people,
        _HIGH,
        nation_pct=_HIGH_NATION_PCT,
        target_pct=100 * targets.ucla[3] / (100 - targets.ucla[-1]),
    )
    first = rng.normal(size=n)
    second = _TIE * first + np.sqrt(1 - _TIE**2) * rng.normal(size=n)
    direct = _cut(
        _even_uniforms(rng, first, order=often), often, shares=targets.direct[:5], slope=0.5
    )
    band = _cut(_even_uniforms(rng, second, order=high), high, shares=targets.ucla[:4], slope=0.5)
    forgets = {"70s": 0.5, "80+": 1.3}
    silent = rng.random(n) < _shift_to(_rise(people, age_band=forgets), targets.direct[-1] / 100)
    people["lonely_direct"] = np.where(silent, "9", _code(direct))
    items = _split_sums(rng, band)
    silent = rng.random(n) < _shift_to(_rise(people, age_band=forgets), targets.ucla[-1] / 100)
    items[silent, rng.integers(0, 3, silent.sum())] = 9
    people[["ucla1", "ucla2", "ucla3"]] = items.astype(str)
    score = logit(often)
    people["score"] = 0.5 * (score - score.mean()) / score.std() + 0.85 * first
    return people


def _split_sums(rng: np.random.Generator, band: np.ndarray) -> np.ndarray:
    """Draw three answers from 1 to 4 for every band of their sum; like answers are likelier."""
    grid = np.stack(np.meshgrid(*[range(1, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    spread = ((grid - grid.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    weight = np.exp(-1.6 * spread + 0.35 * (grid[:, 0] - grid[:, 2]))
    items = np.empty((len(band), 3), dtype=int)
    for number, shares in _SUM_SHARES.items():
        members = np.flatnonzero(band == number)
        sums = rng.choice(list(shares), size=len(members), p=list(shares.values()))
        for total in shares:
            chosen = members[sums == total]
            fits = np.flatnonzero(grid.sum(axis=1) == total)
            chance = weight[fits] / weight[fits].sum()
            items[chosen] = grid[rng.choice(fits, size=len(chosen), p=chance)]
    return items


# --- the other answers --------------------------------------------------------------------------


def _choose(
    rng: np.random.Generator,
    scores: np.ndarray,
    shares: Sequence[float],
    *,
    asked: np.ndarray,
    none: np.ndarray | None = None,
) -> np.ndarray:
    """Draw a multi-answer block, shape (n, k), 1.0 chosen, 0.0 not, NaN not asked.

    Somebody who is open to the options and drew none gets one of them in proportion to the shares;
    the chances are lowered beforehand by what this adds.

    Args:
        rng: Source of chance.
        scores: Steps on the logit scale, shape (n, k) or (1, 1).
        shares: Wanted percent of those asked, per option.
        asked: Who is asked, shape (n,).
        none: Who chooses "none of these" instead, shape (n,).
    """
    n, k = len(asked), len(shares)
    scores = np.broadcast_to(scores, (n, k))
    open_to = asked if none is None else asked & ~none
    rates = np.minimum(0.98, np.array(shares) / 100 * asked.sum() / max(open_to.sum(), 1))
    lowered = rates
    for _ in range(20):
        lowered = rates * (1 - np.prod(1 - lowered) / rates.sum())
    chosen = np.zeros((n, k))
    for option, rate in enumerate(lowered):
        chance = _shift_to(scores[open_to, option], rate)
        spread = _even_uniforms(rng, rng.random(len(chance)), order=chance)
        chosen[open_to, option] = spread > 1 - chance
    empty = np.flatnonzero(open_to & (chosen.sum(axis=1) == 0))
    chosen[empty, rng.choice(k, size=len(empty), p=rates / rates.sum())] = 1
    chosen[~asked] = np.nan
    return chosen


def _put_block(
    people: pd.DataFrame,
    item: str,
    chosen: np.ndarray,
    *,
    pad: int = 1,
    none: np.ndarray | None = None,
) -> pd.DataFrame:
    """Add the columns of a multi-answer question, and of "none of these" where there is one."""
    if none is not None:
        last = np.where(np.isnan(chosen[:, 0]), np.nan, none.astype(float))
        chosen = np.column_stack([chosen, last])
    names = [f"{item}_{number:0{pad}d}" for number in range(1, chosen.shape[1] + 1)]
    block = pd.DataFrame(chosen, columns=names, index=people.index)
    return pd.concat([people, block], axis=1)


def _draw_lonely_details(rng: np.random.Generator, people: pd.DataFrame) -> pd.DataFrame:
    """Add duration and life events of those who feel lonely at all."""
    n = len(people)
    asked = people["lonely_direct"].isin(["3", "4", "5"]).to_numpy()
    often = (people["lonely_direct"] == "5").to_numpy(float)
    some = (people["lonely_direct"] == "4").to_numpy(float)
    people = people.copy()
    people["lonely_duration"] = None
    lasting = 0.5 * often + 0.2 * some + rng.normal(size=n)
    people.loc[asked, "lonely_duration"] = _code(_by_rank(lasting[asked], (13, 11, 15, 26, 15, 20)))
    scores = np.zeros((n, len(_EVENTS)))
    scores[:, 0] = 3.2 * (people["cohab"] == "2")
    scores[:, 2] = 1.0 * (people["job"] == "7") + 0.5 * often
    scores[:, 3] = 2.0 * (people["marital"] == "4")
    scores[:, 4] = 2.4 * (people["marital"] == "3") + 0.03 * (people["age"] - 50)
    scores[:, 5] = 0.7 * often + 0.2 * some
    scores[:, 6] = 1.0 * often + 0.3 * some - 0.02 * (people["age"] - 50)
    scores[:, 7] = 1.0 * often + 1.6 * (people["econ_status"] == "5")
    scores[:, 8] = 0.8 * people["age_band"].isin(["50s", "60s", "70s"])
    scores[:, 12] = np.where((people["sex"] == "2") & people["age"].between(25, 44), 2.5, -1.0)
    none = np.zeros(n, dtype=bool)
    leaning = (-0.8 * often - 0.4 * some)[asked]
    none[asked] = rng.random(asked.sum()) < _shift_to(leaning, _NO_EVENT_PCT / 100)
    chosen = _choose(rng, scores, _EVENTS, asked=asked, none=none)
    return _put_block(people, "event", chosen, pad=2, none=none)


def _draw_contacts(
    rng: np.random.Generator, people: pd.DataFrame, *, targets: Targets
) -> pd.DataFrame:
    """Add contact, social activities, support, helping, going out and range."""
    n, score, age = len(people), people["score"].to_numpy(), people["age"].to_numpy()
    people = people.copy()
    pulls = {
        "contact_face": _rise(people, job={"5": -1.35, "3": -0.25, "4": -0.1}) + 0.3 * score,
        "contact_phone": 0.2 * score - 0.3 * (people["sex"] == "2") - 0.004 * (age - 50),
        "contact_sns": 0.15 * score + 0.045 * (age - 50) - 0.3 * (people["sex"] == "2"),
    }
    for name, pull in pulls.items():
        shares = targets.contact[name]
        people[name] = _code(_by_rank(pull + rng.normal(size=n), shares[:7]))
        silent = _shift_to(0.035 * (age - 50), shares[7] / 100)
        people.loc[rng.random(n) < silent, name] = "9"
    leaning = 0.35 * score + _rise(people, age_band={"20s": 0.4, "30s": 0.2, "70s": -0.3})
    none = rng.random(n) < _shift_to(leaning, targets.no_participation / 100)
    asked = np.ones(n, dtype=bool)
    chosen = _choose(rng, np.zeros((1, 1)), (21, 7, 24, 7), asked=asked, none=none)
    people = _put_block(people, "particip", chosen, none=none)
    helped = _shift_to(_rise(people, age_band={"80+": 0.9, "70s": 0.3}) + 0.2 * score, 0.07)
    people["support"] = np.where(rng.random(n) < helped, "1", "2")
    without = (people["support"] == "2").to_numpy()
    leaning = score[:, None] * np.array([[-0.5, 0.5, 0.3, 0.3, 0.3, 0.4, 0.5, 0.0]])
    chosen = _choose(rng, leaning, _WHY, asked=without)
    people = _put_block(people, "support_why", chosen)
    noise = rng.normal(size=(n, 3))
    people["helping"] = _code(_by_rank(0.25 * score + noise[:, 0], (19, 44, 28, 9)))
    works = people["job"].isin(["1", "2", "3", "4", "5"]).to_numpy()
    stays = 0.3 * score - 1.3 * works + 0.6 * (age >= 80) + noise[:, 1]
    people["outing_freq"] = _code(_by_rank(stays, (55, 22, 15, 6, 2)))
    roams = -0.2 * score - 0.6 * (age >= 80) + 0.3 * works + noise[:, 2]
    people["range"] = _code(_by_rank(roams, (11, 42, 26, 14, 7)))
    return people


def _draw_minds(rng: np.random.Generator, people: pd.DataFrame) -> pd.DataFrame:
    """Add who is consulted, feelings about it, worries, health and satisfaction."""
    n, score, age = len(people), people["score"].to_numpy(), people["age"].to_numpy()
    asked = (people["consult_has"] == "1").to_numpy()
    leaning = np.zeros((n, len(_CONSULTED)))
    leaning[:, 3] = 1.2 * people["job"].isin(["1", "2", "5"])
    leaning[:, 2] = 0.03 * (age - 50)
    chosen = _choose(rng, leaning, _CONSULTED, asked=asked)
    people = _put_block(people, "consult", chosen)
    everyone = np.ones(n, dtype=bool)
    leaning = score[:, None] * np.array([[-0.3, -0.2, 0.5, 0.4, 0.4, 0.6, 0.0]])
    none = rng.random(n) < 0.16
    chosen = _choose(rng, leaning, _FEELINGS, asked=everyone, none=none)
    people = _put_block(people, "consult_feel", chosen, none=none)
    worried = (people["worry_has"] == "1").to_numpy()
    leaning = np.zeros((n, len(_WORRIES)))
    leaning[:, 2] = _rise(people, econ_status={"4": 1.0, "5": 2.0})
    leaning[:, 4] = 2.5 * (people["job"] == "5")
    leaning[:, 3] = 1.5 * people["job"].isin(["1", "2", "3", "4"])
    leaning[:, 9] = 0.03 * (age - 50)
    leaning[:, 8] = np.where(people["age"].between(25, 49), 1.5, -1.5)
    chosen = _choose(rng, leaning, _WORRIES, asked=worried)
    people = _put_block(people, "worry_what", chosen, pad=2)
    hard = _rise(people, econ_status={"1": -0.3, "2": -0.2, "4": 0.2, "5": 0.5})
    ill = 0.4 * score + 0.018 * (age - 50) + hard + rng.normal(size=n)
    people["health"] = _code(_by_rank(ill, (18, 30, 30, 16, 6)))
    low = 0.45 * score + hard + 0.3 * (ill - ill.mean()) + rng.normal(size=n)
    people["satisfaction"] = _code(_by_rank(low, (14.4, 37, 27, 14, 7.6)))
    return people


def _draw_own(rng: np.random.Generator, people: pd.DataFrame, *, targets: Targets) -> pd.DataFrame:
    """Add the prefecture's own questions: troubles, what resolved them, awareness of the line."""
    n, score, age = len(people), people["score"].to_numpy(), people["age"].to_numpy()
    everyone = np.ones(n, dtype=bool)
    none = rng.random(n) < _shift_to(-0.9 * score, 0.54)
    leaning = np.zeros((n, len(_TROUBLES)))
    leaning[:, 0] = 0.7 * score + 1.0 * (people["consult_has"] == "2")
    leaning[:, 1] = 1.0 * (people["cohab"] == "2")
    leaning[:, 2] = 0.03 * (age - 50)
    leaning[:, 3] = _rise(people, econ_status={"4": 0.8, "5": 1.8})
    leaning[:, 4] = 0.8 * people["health"].isin(["4", "5"])
    leaning[:, 6] = np.where(people["age"].between(28, 52), 1.0, -1.5)
    leaning[:, 9] = 1.0 * people["job"].isin(["1", "2", "5"])
    shares = [0.6 * share for share in _TROUBLES]
    chosen = _choose(rng, leaning, shares, asked=everyone, none=none)
    people = _put_block(people, "trouble", chosen, pad=2, none=none)
    direct = people["lonely_direct"]
    never = rng.random(n) < direct.map({"1": 0.72, "2": 0.3}).fillna(0.02).to_numpy()
    chance = direct.map({"5": 0.5, "4": 0.32, "3": 0.16, "2": 0.04}).fillna(0.01).to_numpy()
    still = ~never & (rng.random(n) < chance)
    chosen = _choose(
        rng,
        np.zeros((1, 1)),
        [0.6 * share for share in _RESOLVED],
        asked=everyone,
        none=never | still,
    )
    chosen = np.column_stack([chosen, still.astype(float)])
    people = _put_block(people, "resolved", chosen, pad=2, none=never)
    knows = -0.01 * (age - 50) + 0.2 * (people["sex"] == "1") + rng.normal(size=n)
    people["line_known"] = _code(_by_rank(knows, targets.line_known))
    return people


# --- free text ----------------------------------------------------------------------------------

_TROUBLE_TEXTS = {
    "01": "話を聞いてくれる人がいない|仕事以外で人と話すことがない|休みの日は一日だれとも話さない",
    "02": "入院したときに頼める人がいない|急に具合が悪くなったときが心配だ",
    "03": "免許を返してから買い物に行けない|バスの本数が減って通院が大変だ|車がないと何もできない",
    "04": "物価が上がって生活が苦しい|収入が減って先が見えない|奨学金の返済がつらい",
    "05": "体調が悪くて外に出られない|持病のことを話せる人がいない|眠れない日が続いている",
    "06": "親の介護で自分の時間がない|介護をひとりで抱えている",
    "07": "子どもが学校に行けず相談先がわからない|子育ての話ができる人が近くにいない",
    "08": "外に出るきっかけがない|しばらく家から出ていない",
    "09": "家族と話が合わない|家にいても落ち着かない",
    "10": "職場で孤立している|学校に居場所がない|同僚と合わない",
    "11": "引っ越してきて知り合いがいない|近所づきあいがなくなった|集まる場所がない",
    "12": "何となく不安だ|うまく言えないが寂しい",
}
_RESOLVED_TEXTS = {
    "01": "家族に話したら楽になった|娘が毎日電話をくれるようになった",
    "02": "昔の友人と連絡を取った|友人が訪ねてきてくれた",
    "03": "趣味の仲間ができた|インターネットで話せる人ができた",
    "04": "公民館の教室に通い始めた|朝の体操に参加した|ボランティアを始めた",
    "05": "仕事が決まって人と話すようになった|転職した",
    "06": "進学して環境が変わった",
    "07": "実家に戻った|家族と暮らし始めた",
    "08": "子どもが生まれて忙しくなった|結婚した",
    "09": "市の窓口で話を聞いてもらえた|相談員さんが親身だった",
    "10": "地域のサロンに行くようになった|民生委員さんが来てくれた",
    "11": "病院で話を聞いてもらった|薬が合った",
    "12": "犬を飼って散歩に出るようになった|猫がいるから",
    "13": "時間がたって気にならなくなった|自然に慣れた",
    "14": "本を読んで考え方が変わった",
}
_TAILS = (
    "。",
    "。",
    "",
    "。できれば近くに相談できる所がほしい。",
    "。毎日ではないが。",
    "、と思う。",
)
_HALF_WIDTH = ("。ﾃﾞｲｻｰﾋﾞｽに通っている", "。ﾊﾞｽが少ない", "。ｽﾏﾎが使えない", "。ﾎﾞﾗﾝﾃｨｱもしている")
_INVENTED = (
    "連絡は000-0000-{0:04d}まで",
    "電話は０００－００００－{0:04d}です",
    "携帯 00000000{0:03d}",
    "mihon{0:04d}@example.jp に返事をください",
    "メールは kakuu.hanako{0:02d}@example.jp です",
    "架空町の見本太郎と申します",
    "担当は仮名花子さんでした",
)  # none of them can exist: no number begins with 000, example.jp is reserved


def _draw_texts(
    rng: np.random.Generator, people: pd.DataFrame, *, item: str, phrases: Mapping[str, str]
) -> np.ndarray:
    """Return free text for some of those who named something, shape (n,), "" for none."""
    texts = np.full(len(people), "", dtype=object)
    codes = list(phrases)
    chosen = people[[f"{item}_{code}" for code in codes]].to_numpy() == 1
    for row in np.flatnonzero(chosen.any(axis=1) & (rng.random(len(people)) < 0.34)):
        named = np.flatnonzero(chosen[row])
        choices = phrases[codes[named[rng.integers(len(named))]]].split("|")
        text = choices[rng.integers(len(choices))] + _TAILS[rng.integers(len(_TAILS))]
        if rng.random() < 1 / 12:
            text += _INVENTED[rng.integers(len(_INVENTED))].format(int(rng.integers(1, 99)))
        if rng.random() < 1 / 60:
            text = (
                f'「ひとりが楽」と思う,"でも寂しい"\n{text}'  # as typed: comma, quotes, line break
            )
        texts[row] = text
    return texts


# --- the vendor's file --------------------------------------------------------------------------


def draw_answers(
    population: pd.DataFrame, *, targets: Targets, n: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw n good rows as a vendor would code them.

    Args:
        population: region, age_band, sex, population; one row a cell.
        targets: What the wave is drawn to.
        n: Rows.
        rng: Source of chance.

    Returns:
        Answer codes as text, one column a variable of the codebook, "" where nothing was asked or
        answered; shape (n, any).
    """
    people = _draw_people(rng, population, n=n)
    people = _draw_loneliness(rng, people, targets=targets)
    people = _draw_lonely_details(rng, people)
    people = _draw_contacts(rng, people, targets=targets)
    people = _draw_minds(rng, people)
    people = _draw_own(rng, people, targets=targets)
    people["trouble_text"] = _draw_texts(rng, people, item="trouble", phrases=_TROUBLE_TEXTS)
    people["resolved_text"] = _draw_texts(rng, people, item="resolved", phrases=_RESOLVED_TEXTS)
    cell_size = people.groupby("age_sex")["age"].transform("size") / 3  # three regions, roughly
    other_sex = (rng.random(n) < 0.009) & (cell_size > 5)  # 0.9 %: 2022; empties no cell
    people.loc[other_sex, "sex"] = "3"
    seconds = np.exp(rng.normal(np.log(640), 0.42, size=n)).clip(190, 5400)
    people["duration_seconds"] = np.round(seconds).astype(int)
    days = pd.to_timedelta(rng.integers(0, 11, size=n), unit="D")
    people["answered_on"] = (pd.Timestamp(targets.first_day) + days).strftime("%Y-%m-%d")
    return _as_text(people)


def _as_text(people: pd.DataFrame) -> pd.DataFrame:
    """Write every answer as the text that stands in the file."""
    numbers = people.select_dtypes(include="float").columns
    text = people.copy()
    for name in numbers:
        text[name] = people[name].map({0.0: "0", 1.0: "1"})
    return text.astype(object).where(text.notna(), "").astype(str)


def _scaled(n: int) -> dict[str, int]:
    """Return the number of faults of each kind for a sample of n good rows; at least one."""
    return {kind: max(1, round(count * n / N_RESPONDENTS)) for kind, count in FAULTS.items()}


def plant_faults(
    good: pd.DataFrame, spare: pd.DataFrame, *, columns: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Spoil a good table as the module's docstring lists.

    Args:
        good: Rows that should survive cleaning, shape (n, any), with respondent_id.
        spare: Further rows, used up for those that must not be analysed; shape (n, any).
        columns: The codebook's columns, indexed by variable.
        rng: Source of chance.

    Returns:
        All rows in the order of delivery; shape (n + extra rows, any).
    """
    counts = _scaled(len(good))
    rows = rng.permutation(len(good))
    parts = iter(np.split(rows, np.cumsum([counts[k] for k in _CELL_FAULTS])))
    spoiled = good.copy()
    for kind in _CELL_FAULTS:
        spoiled = _spoil_cells(spoiled, kind, rows=next(parts), columns=columns, rng=rng)
    clean = next(parts)
    crowded = clean[spoiled["age"].iloc[clean].astype(int) >= 40]  # losing one empties no cell
    extra = [spoiled.iloc[clean[: counts["duplicate"]]]]
    start = 0
    for kind in _ROW_FAULTS:
        taken = spare.iloc[start : start + counts[kind]].copy()
        start += counts[kind]
        ids = spoiled["respondent_id"].iloc[crowded[-counts[kind] :]].to_numpy()
        extra.append(_spoil_rows(taken, kind, ids=ids, rng=rng))
    whole = pd.concat([spoiled, *extra], ignore_index=True)
    return whole.iloc[rng.permutation(len(whole))].reset_index(drop=True)


_CELL_FAULTS = (
    "unknown_code",
    "not_asked",
    "exclusive",
    "full_width",
    "padded",
    "break_off",
    "straightliner",
    "half_width_kana",
)
_ROW_FAULTS = ("id_conflict", "outside", "under_age", "no_region", "no_age", "speeder")


def _spoil_rows(
    taken: pd.DataFrame, kind: str, *, ids: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    """Turn good rows into rows that must not be analysed."""
    if kind == "id_conflict":
        taken["respondent_id"] = ids
    elif kind == "outside":
        taken["region"] = "4"
    elif kind == "under_age":
        taken["age"] = rng.integers(12, 16, size=len(taken)).astype(str)
    elif kind == "no_region":
        taken["region"] = ""
    elif kind == "no_age":
        taken["age"] = ""
    else:
        taken["duration_seconds"] = rng.integers(28, 115, size=len(taken)).astype(str)
    return taken


def _spoil_cells(
    table: pd.DataFrame,
    kind: str,
    *,
    rows: np.ndarray,
    columns: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Spoil one cell or a stretch of cells in each of the rows."""
    table = table.copy()
    single = columns.index[(columns["type"] == "SA") & (columns.index != "region")]
    single = single[(columns.loc[single, "ask_if"] == "") & (single != "sex")]
    full_width = str.maketrans("0123456789", "０１２３４５６７８９")
    for row in rows:
        name = single[rng.integers(len(single))]
        at = table.columns.get_loc
        if kind == "unknown_code":
            table.iloc[row, at(name)] = ("0", "77", "99")[rng.integers(3)]
        elif kind == "not_asked":
            table = _answer_unasked(table, row, rng=rng)
        elif kind == "exclusive":
            table.iloc[row, [at("particip_3"), at("particip_5")]] = "1"
        elif kind == "full_width":
            name = ("age", "econ_status", "health", "duration_seconds")[rng.integers(4)]
            table.iloc[row, at(name)] = table.iloc[row, at(name)].translate(full_width)
        elif kind == "padded":
            table.iloc[row, at(name)] = f" {table.iloc[row, at(name)]} "
        elif kind == "break_off":
            first = at(("contact_face", "outing_freq", "consult_has", "health")[rng.integers(4)])
            table.iloc[row, first:] = ""
        elif kind == "straightliner":
            table.iloc[row, [at(each) for each in _GRID]] = "3"
        else:
            table.iloc[row, at("trouble_text")] += _HALF_WIDTH[rng.integers(len(_HALF_WIDTH))]
    return table


def _answer_unasked(table: pd.DataFrame, row: int, *, rng: np.random.Generator) -> pd.DataFrame:
    """Put an answer where the questionnaire skipped, whichever skip this person took."""
    at = table.columns.get_loc
    if table.iloc[row, at("lonely_direct")] in ("1", "2"):
        table.iloc[row, at("lonely_duration")] = str(rng.integers(1, 7))
    elif table.iloc[row, at("consult_has")] == "2":
        table.iloc[row, at("consult_2")] = "1"
    else:
        table.iloc[row, at("worry_has")] = "2"
        table.iloc[row, at("worry_what_03")] = "1"
    return table


def make_wave(of: study.Study, *, n: int = N_RESPONDENTS, seed: int | None = None) -> bytes:
    """Return the answer file of one wave as a vendor would deliver it.

    Args:
        of: The wave, with its codebook and population targets.
        n: Rows that should survive cleaning.
        seed: Seed; by default the wave's own.

    Returns:
        A CSV in cp932 with CRLF line ends. The same arguments give the same bytes.
    """
    targets = TARGETS[of.year]
    if seed is not None:
        targets = replace(targets, seed=seed + of.year)
    rng = np.random.default_rng(targets.seed)
    population = study.read_table(of.raw_dir / "population.csv")
    good = draw_answers(population, targets=targets, n=n, rng=rng)
    spare = draw_answers(population, targets=targets, n=max(200, n // 8), rng=rng)
    order = of.codebook.columns.index
    numbers = 1000 + rng.permutation(len(good) + len(spare))
    ids = [f"E{of.year % 100:02d}-{number}" for number in numbers]
    good = good.assign(respondent_id=ids[: len(good)])[list(order)]
    spare = spare.assign(respondent_id=ids[len(good) :])[list(order)]
    table = plant_faults(good, spare, columns=of.codebook.columns, rng=rng)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(table.columns)
    writer.writerows(table.itertuples(index=False))
    return text.getvalue().encode(ENCODING)


def write_small_study(folder: Path, *, n: int = 600, seed: int = 1) -> Path:
    """Copy the study's data/raw tree into a folder, with small synthetic waves.

    Args:
        folder: Where data/raw is made; point TSUNAGARI_ROOT here.
        n: Rows of each wave that should survive cleaning.
        seed: Seed; each wave adds its year.

    Returns:
        The folder.
    """
    raw = study.repository_root() / "data/raw"
    target = folder / "data/raw"
    shutil.copytree(raw / "national", target / "national", dirs_exist_ok=True)
    (target / STUDY).mkdir(parents=True, exist_ok=True)
    for path in sorted((raw / STUDY).glob("*.*")):
        shutil.copy2(path, target / STUDY / path.name)
    for year in TARGETS:
        of = study.open_study(STUDY, year)
        place = target / STUDY / str(year) / (of.wave.synthetic or of.wave.responses)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(make_wave(of, n=n, seed=seed))
    return folder


def main() -> None:
    """Write the synthetic file of every wave into the study's folder and say what was written."""
    for year in TARGETS:
        of = study.open_study(STUDY, year)
        content = make_wave(of)
        place = of.wave_dir / (of.wave.synthetic or of.wave.responses)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        n_lines = content.count(b"\r\n")
        print(f"data/raw/{STUDY}/{year}/{place.name}: {n_lines - 1} rows, {len(content):,} bytes")


if __name__ == "__main__":
    main()
