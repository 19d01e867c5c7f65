"""What would a vendor deliver? Draws a synthetic wave as a study's recipe says, faults included.

`data/raw/<study>/recipe.yaml` holds what is known or assumed of the people asked, as a list of
steps that are drawn one after the other. Every public method of `People` is a kind of step, every
one of `Delivery` a kind of fault; docs/new_study.md describes them. Quotas follow the study's own
population, questions its codebook and skip rules. No figure drawn here is a finding.
"""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import reduce
from itertools import product
from operator import getitem
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, validate_call
from scipy.special import expit, logit

from tsunagari import errors
from tsunagari.errors import ConfigError
from tsunagari.study import codebook, files
from tsunagari.study.planning import allocate_quota
from tsunagari.study.population import load_population
from tsunagari.study.survey import Study, open_study

Percent = Annotated[float, Field(ge=0, le=100)]
Share = Percent | None
Shares = list[Percent] | dict[str, Percent]  # of answers, in the codebook's order or by code
Grouped = Shares | dict[str, Shares] | dict[str, dict[str, Shares]]
Lean = Mapping[str, float] | None  # step on the logit or normal scale by condition, or by number
Leans = Mapping[str, Lean] | None
Names = Annotated[list[str], BeforeValidator(lambda x: [x] if isinstance(x, str) else x)]
Texts = Annotated[Names, Field(min_length=1)]
Asides = Mapping[float, Texts] | None  # one text in so many
Cells = Mapping[str, str] | None
Limits = Mapping[str, tuple[int, int]] | None

_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
_SLOPE = 0.5  # how the lower answers lean on the chance of the top one
_RIDGE = 0.05  # gives way where published factors contradict each other
_FEW = 5  # a weighting cell of so many loses nobody
_SUM_GAP = 0.5  # shares that were rounded may miss 100 by as much


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wave(_Part):
    """What differs from wave to wave; its shares win over those of the steps."""

    seed: int
    ids: str = ""  # first letters of a respondent's id
    first_day: date | None = None
    shares: dict[str, Shares] = {}


class Recipe(_Part):
    """recipe.yaml; the counts of faults are per n good rows."""

    n: int = Field(ge=1)
    encoding: Literal["cp932", "utf-8", "utf-8-sig"]
    waves: dict[int, Wave] = Field(min_length=1)
    steps: list[dict[str, Any]]
    faults: list[dict[str, Any]] = []


def _mistake(place: str, key: str, /, **values: Any) -> ConfigError:
    return ConfigError(f"RECIPE.{key}", place=place, **values)


def _explain(error: ValidationError, place: str, *, allowed: Iterable[str]) -> ConfigError:
    """Say the first mistake that pydantic found, an unknown key before all, and list every one."""
    unknown = ("extra_forbidden", "unexpected_keyword_argument")
    found = []
    for mistake in sorted(error.errors(), key=lambda mistake: mistake["type"] not in unknown):
        key = ".".join(str(part) for part in (place, *mistake["loc"]) if part != "")
        is_key = mistake["type"] in unknown
        listed = {"allowed": ", ".join(allowed)} if is_key else {"why": mistake["msg"]}
        found.append(_mistake(key, "key" if is_key else "value", **listed))
    return found[0].listing(f"{each.ja} / {each.en}" for each in found)


def read_recipe(of: Study) -> Recipe:
    """Read a study's recipe and check all but its steps, which are checked as they are drawn.

    Raises:
        ConfigError: There is no recipe, it lacks the wave or has one that the study lacks, or it
            has an unknown key or a wrong value; the message names the key.
    """
    try:
        # Every value is read as text: no code is taken for a number, a date or a yes.
        text = (of.raw_dir / "recipe.yaml").read_text(encoding="utf-8")
        recipe = Recipe.model_validate(yaml.load(text, Loader=yaml.BaseLoader))
    except ValidationError as error:
        raise _explain(error, "", allowed=[*Recipe.model_fields, *Wave.model_fields]) from error
    except OSError as error:
        raise _mistake(of.name, "file") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        line = mark.line + 1 if (mark := getattr(error, "problem_mark", None)) else 1
        raise _mistake(f"{line}", "yaml") from error
    wrong = sorted({of.year, *recipe.waves} - ({*of.config.waves} & {*recipe.waves}))
    if wrong:
        raise _mistake(f"waves.{wrong[0]}", "waves")
    return recipe


def run_step(owner: People | Delivery, step: dict[str, Any], *, place: str) -> None:
    """Call the method that a step names, with the step's other keys as its arguments.

    Raises:
        ConfigError: The step cannot be drawn; the message names place and key.
    """
    kinds = [name for name in vars(type(owner)) if name[0] != "_"]
    kind = next((key for key in step if key in kinds), None)
    if kind is None:
        key, listed = ".".join([place, *step][:2]), ", ".join(kinds)
        raise _mistake(key, "kind", allowed=listed)
    owner.place = f"{place} ({kind}: {step[kind]})"
    method, options = getattr(owner, kind), {key: step[key] for key in step if key != kind}
    try:
        validate_call(method)(step[kind], **options)
    except ValidationError as error:
        allowed = [*inspect.signature(method).parameters][1:]
        raise _explain(error, owner.place, allowed=allowed) from error
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise _mistake(owner.place, "drawing", why=error) from error


# --- chances ------------------------------------------------------------------------------------


def _any(rng: np.random.Generator, values: Sequence[Any]) -> Any:
    return values[rng.integers(len(values))]


def _by_rank(values: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Cut values at their own quantiles: low values get class 0, high ones the last."""
    ranks = (np.argsort(np.argsort(values, kind="stable"), kind="stable") + 0.5) / len(values)
    return np.searchsorted(np.cumsum(np.array(shares) / np.sum(shares))[:-1], ranks, side="right")


def _shift_to(scores: np.ndarray, share: float) -> np.ndarray:
    """Return probabilities expit(a + scores) whose mean is the share."""
    low, high = -30.0, 30.0
    for _ in range(80 if len(scores) else 0):
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


def solve_chances(
    factors: Sequence[Sequence[tuple[np.ndarray, float]]], *, nation_pct: float, target_pct: float
) -> np.ndarray:
    """Return every person's chance so that each group's expected share is its published one.

    The published shares are moved on the logit scale, which keeps crude odds ratios: by one shift
    for a factor whose groups cover everybody (so that it adds up to the target), by the shift from
    nation to target for the others. The chances are the logistic model whose score equations hold
    (maximum entropy), with a small ridge where factors contradict each other.

    Args:
        factors: The groups of each factor: who is in it, bool, shape (n,), and its percent.
        nation_pct: Published share of everybody, percent.
        target_pct: Share of everybody wanted, percent.

    Returns:
        Chances between 0 and 1, shape (n,).
    """
    n, target = len(factors[0][0][0]), target_pct / 100
    design, totals = [np.ones(n)], [n * target]
    shift = logit(target) - logit(nation_pct / 100)
    for groups in factors:
        share = np.full(n, np.nan)
        for members, percent in groups:
            share[members] = percent / 100
        is_whole = not np.isnan(share).any()
        wanted = _shift_to(logit(share), target) if is_whole else expit(logit(share) + shift)
        for members, _ in groups:
            if members.any():
                design.append(members.astype(float))
                totals.append(wanted[members].sum())
    x, ridge = np.column_stack(design), np.r_[0.0, np.full(len(design) - 1, _RIDGE)]
    beta = np.r_[logit(target), np.zeros(len(design) - 1)]
    for _ in range(60):
        chances = expit(x @ beta)
        gradient = x.T @ chances - np.array(totals) + ridge * beta
        step = np.linalg.solve((x.T * (chances * (1 - chances))) @ x + np.diag(ridge), gradient)
        beta -= step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    return expit(x @ beta)


def _cut(uniforms: np.ndarray, top: np.ndarray, *, shares: Sequence[float]) -> np.ndarray:
    """Cut uniforms into ordered classes; the top class has chance `top`, the others `shares`.

    The chance of being at or above every lower class follows a cumulative logit that leans on the
    logit of `top`.
    """
    at_least = np.cumsum(shares[::-1])[::-1] / np.sum(shares)
    result = (uniforms > 1 - top).astype(int) * (len(shares) - 1)
    for level in range(len(shares) - 2, 0, -1):
        chance = np.maximum(_shift_to(_SLOPE * logit(top), at_least[level]), top)
        result = np.where((result == 0) & (uniforms > 1 - chance), level, result)
    return result


# --- steps --------------------------------------------------------------------------------------


class People:
    """The people drawn so far, at first a quota of the population; public methods are the steps."""

    def __init__(
        self, of: Study, population: pd.DataFrame, *, wave: Wave, n: int, rng: np.random.Generator
    ) -> None:
        cells = list(of.config.weighting.cells)
        quota = allocate_quota(population.set_index(cells)["population"], n)
        people = quota.index.repeat(quota).to_frame(index=False)
        self.table = people.iloc[rng.permutation(n)].reset_index(drop=True)
        self.of, self.wave, self.n, self.rng, self.place = of, wave, n, rng, ""
        self.columns, codes = of.codebook.columns, of.codebook.codes
        self.codes = {name: [*item.options, codebook.NO_ANSWER] for name, item in of.items.items()}
        self.codes |= codes.groupby("variable")["code"].agg(list).to_dict()
        self.codes |= dict.fromkeys(self.columns.index[self.columns["type"] == "MA"], ["0", "1"])
        for name, shares in wave.shares.items():
            self.place = f"waves.{of.year}.shares"
            self._check(name, shares if isinstance(shares, dict) else ())

    def _check(self, name: str, codes: Iterable[str] = ()) -> None:
        """Refuse a variable that the codebook lacks, and codes that the variable lacks."""
        if name not in self.columns.index and name not in self.codes:
            raise _mistake(self.place, "variable", name=name)
        unknown = ", ".join(code for code in codes if code not in self.codes.get(name, ()))
        if unknown:
            raise _mistake(self.place, "code", name=name, code=unknown)

    def _column(self, name: str) -> pd.Series:
        if name not in self.table:
            raise _mistake(self.place, "order", name=name)
        return self.table[name]

    def _holds(self, condition: str) -> np.ndarray:
        """Return whom `variable=code|code & ...` is true of; a number is 20, 25-44 or 80-."""
        mask = np.ones(self.n, dtype=bool)
        for name, codes in codebook.parse_condition(condition, where=f"recipe.yaml, {self.place}"):
            column = self._column(name)
            if pd.api.types.is_numeric_dtype(column):
                spans = [code.partition("-") for code in codes]
                ends = [
                    (float(low), float(high or dash and "inf" or low)) for low, dash, high in spans
                ]
                mask &= np.any([column.between(*end) for end in ends], axis=0)
            else:
                self._check(name, codes)
                mask &= column.isin(codes).to_numpy()
        return mask

    def _asked(self, name: str) -> np.ndarray:
        return self._holds(self.columns["ask_if"].get(name, ""))

    def _put(self, name: str, values: Any) -> None:
        """Add a column, blank for whom the codebook does not ask."""
        self._check(name)
        asked = self._asked(name)
        self.table[name] = values if asked.all() else np.where(asked, values, "")

    def _lean(self, steps: Lean) -> np.ndarray:
        total = np.zeros(self.n)
        for key, step in (steps or {}).items():
            total += step * (self._holds(key) if "=" in key else self._column(key).to_numpy(float))
        return total

    def _shares(self, name: str, given: Shares, *, whole: bool = True) -> dict[str, float]:
        """Return percent by code, the wave's own first; a whole question's sum to 100."""
        shares: dict[str, float] = {}
        for part in (given, self.wave.shares.get(name, {})):
            self._check(name, part if isinstance(part, dict) else ())
            is_list = not isinstance(part, dict)
            shares |= zip(self.codes[name][: len(part)], part, strict=True) if is_list else part
        total = sum(shares.values())
        if whole and abs(total - 100) > _SUM_GAP:
            key = f"{self.place}.shares"
            raise _mistake(key, "sum", total=total)
        return shares

    def _answers(self, name: str, given: Shares) -> tuple[np.ndarray, list[float]]:
        """Return the codes of a whole question that are answers, and their shares."""
        shares, options = self._shares(name, given), self.of.items[name].options
        codes = [code for code in shares if code in options]
        return np.array(codes, dtype=object), [shares[code] for code in codes]

    def years(self, name: str, *, oldest: int) -> None:
        """Draw whole years within each one's age band; in the open band the first are likelier."""
        band = self.of.config.design.age_band
        limits = self.of.items[band].limits
        low, high = np.array([limits[code] for code in self._column(band)]).T
        uniforms = self.rng.random((2, self.n))
        spread = np.where(np.isinf(high), uniforms[0] ** 2, uniforms[1])
        ages = low + np.floor(spread * (np.minimum(high, oldest) - low + 1))
        self._put(name, ages.astype(int))

    def pick(
        self, name: str, *, shares: Grouped, by: Names = (), lean: Lean = None, total: Share = None
    ) -> None:
        """Draw one answer by the shares of each group; the share of the first code may lean."""
        groups = list(zip(*(self._column(each) for each in by), strict=True)) or [()] * self.n
        parts = {group: reduce(getitem, group, shares) for group in dict.fromkeys(groups)}
        tables = {group: self._shares(name, part) for group, part in parts.items()}
        table = pd.DataFrame([tables[group] for group in groups]).fillna(0.0)
        codes, chances = table.columns.to_numpy(), table.to_numpy()
        chances = chances / chances.sum(axis=1, keepdims=True)
        if lean or total is not None:
            first = chances[:, 0].copy()
            wanted = first.mean() if total is None else total / 100
            chances[:, 0] = _shift_to(logit(first) + self._lean(lean), wanted)
            chances[:, 1:] *= ((1 - chances[:, 0]) / (1 - first))[:, None]
        above = self.rng.random(self.n)[:, None] > np.cumsum(chances, axis=1)[:, :-1]
        self._put(name, codes.astype(object)[above.sum(axis=1)])

    def replace(
        self, names: Names, *, code: str, share: Share = None, of: str = "", lean: Lean = None
    ) -> None:
        """Put a code in the place of an answer, for a share of some; one of the names by lot."""
        for name in names:
            self._column(name)
            self._check(name, [code])
        mask = self._holds(of) & self._asked(names[0])
        cells = list(self.of.config.weighting.cells)
        if names[0] in cells:
            mask &= (self.table.groupby(cells)[names[0]].transform("size") > _FEW).to_numpy()
        if share is None:
            share = self._shares(names[0], {}, whole=False).get(code)
        if share is not None:
            chance = np.zeros(self.n)
            chance[mask] = _shift_to(self._lean(lean)[mask], share / 100)
            mask = self.rng.random(self.n) < chance
        lots = self.rng.integers(0, len(names), mask.sum())
        for number, name in enumerate(names):
            self.table.loc[np.flatnonzero(mask)[lots == number], name] = code

    def score(
        self, names: Names, *, lean: Lean = None, noise: float = 0.0, standard: bool = False
    ) -> None:
        """Add hidden numbers to lean on: steps, and normal noise with this standard deviation."""
        values = self._lean(lean)[:, None] + np.zeros(len(names))
        if noise:
            values += noise * self.rng.normal(size=values.shape)
        if standard:
            values = (values - values.mean(axis=0)) / values.std(axis=0)
        self.table[names] = values

    def rank(
        self, name: str, *, shares: Shares = (), lean: Lean = None, noise: float = 1.0
    ) -> None:
        """Draw an ordered answer: cut leaning and normal noise where the shares are met."""
        codes, percents = self._answers(name, shares)
        values, asked = self._lean(lean), self._asked(name)
        if noise:
            values += noise * self.rng.normal(size=self.n)
        drawn = np.full(self.n, "", dtype=object)
        drawn[asked] = codes[_by_rank(values[asked], percents)]
        self._put(name, drawn)

    def calibrate(
        self, name: str, *, published: list[dict[str, Percent]], nation: Percent, latent: str
    ) -> None:
        """Draw an ordered answer whose last code has every group's published share, moved."""
        codes, percents = self._answers(name, {})
        factors = [
            [(self._holds(group), percent) for group, percent in factor.items()]
            for factor in published
        ]
        target = 100 * percents[-1] / sum(percents)
        top = solve_chances(factors, nation_pct=nation, target_pct=target)
        uniforms = _even_uniforms(self.rng, self._column(latent).to_numpy(), order=top)
        self._put(name, codes[_cut(uniforms, top, shares=percents)])
        self.table[f"{name}_chance"] = (logit(top) - logit(top).mean()) / logit(top).std()

    def split(
        self, name: str, *, within: dict[str, dict[int, Percent]], alike: float, tilt: float
    ) -> None:
        """Draw the items whose sum falls in each one's band; like answers are likelier."""
        derive = self.of.config.derive
        items = derive[derive[name].bands_of].sum_of
        scale = [int(code) for code in self.of.items[items[0]].options]
        grid = np.array(list(product(scale, repeat=len(items))))
        spread = ((grid - grid.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        weight = np.exp(-alike * spread + tilt * (grid[:, 0] - grid[:, -1]))
        drawn = np.full((self.n, len(items)), "", dtype=object)
        for band, shares in within.items():
            members = np.flatnonzero(self._holds(f"{name}={band}"))
            chances = np.array(list(shares.values())) / sum(shares.values())
            sums = self.rng.choice(list(shares), size=len(members), p=chances)
            for total in shares:
                chosen, fits = members[sums == total], np.flatnonzero(grid.sum(axis=1) == total)
                chance = weight[fits] / weight[fits].sum()
                drawn[chosen] = grid[self.rng.choice(fits, size=len(chosen), p=chance)].astype(str)
        for item, answers in zip(items, drawn.T, strict=True):
            self._put(item, answers)

    def choose(self, item: str, *, shares: Shares, lean: Leans = None, none: Lean = None) -> None:
        """Draw a multi-answer question by shares of those asked, exclusive options first.

        Somebody who is open to the options and drew none gets one of them in proportion to the
        shares; the chances are lowered beforehand by what this adds.
        """
        table, leans = self._shares(item, shares, whole=False), lean or {}
        self._check(item, leans)
        question = self.of.items[item]
        chosen = {code: np.zeros(self.n, dtype=bool) for code in question.options}
        asked = self._asked(question.columns[0])
        open_to = asked.copy()
        for code, column in reversed([*zip(question.options, question.columns, strict=True)]):
            if code in question.exclusive and code in table:
                chance = _shift_to(self._lean(none)[asked], table.pop(code) / 100)
                chosen[code][asked] = self.rng.random(len(chance)) < chance
            elif column in self.table:
                chosen[code] = open_to & (self.table[column] == "1").to_numpy()
            open_to &= ~chosen[code]
        rates = np.array(list(table.values())) / 100 * asked.sum() / max(open_to.sum(), 1)
        lowered = rates = np.minimum(0.98, rates)
        for _ in range(20):
            lowered = rates * (1 - np.prod(1 - lowered) / rates.sum())
        for code, rate in zip(table, lowered, strict=True):
            chance = _shift_to(self._lean(leans.get(code))[open_to], rate)
            spread = _even_uniforms(self.rng, self.rng.random(len(chance)), order=chance)
            chosen[code][open_to] = spread > 1 - chance
        empty = np.flatnonzero(open_to & ~np.any(list(chosen.values()), axis=0))
        lots = self.rng.choice(list(table), size=len(empty), p=rates / rates.sum())
        for code, column in zip(question.options, question.columns, strict=True):
            chosen[code][empty[lots == code]] = True
            self._put(column, np.where(chosen[code], "1", "0").astype(object))

    def text(
        self,
        name: str,
        *,
        share: Percent,
        phrases: dict[str, Texts],
        tails: Texts = ("",),
        after: Asides = None,
        before: Asides = None,
    ) -> None:
        """Write free text for a share of those of whom a phrase's condition is true.

        One text in so many has another text after or before it; # is a digit of a number drawn.
        """
        rng, texts, choices = self.rng, np.full(self.n, "", dtype=object), list(phrases.values())
        fits = np.column_stack([self._holds(condition) for condition in phrases])
        for row in np.flatnonzero(fits.any(axis=1) & (rng.random(self.n) < share / 100)):
            text = _any(rng, choices[_any(rng, np.flatnonzero(fits[row]))]) + _any(rng, tails)
            for one_in, extras in (after or {}).items():
                if rng.random() < 1 / one_in:
                    text, number = text + _any(rng, extras), str(rng.integers(1, 99))
                    text = re.sub("#+", lambda digits, n=number: n.zfill(len(digits[0])), text)
            for one_in, extras in (before or {}).items():
                if rng.random() < 1 / one_in:
                    text = _any(rng, extras) + text
            texts[row] = text
        self._put(name, texts)

    def seconds(self, name: str, *, median: float, spread: float, within: tuple[int, int]) -> None:
        """Draw how long the answers took: a log-normal number, in whole seconds."""
        drawn = np.exp(self.rng.normal(np.log(median), spread, size=self.n))
        self._put(name, np.round(drawn.clip(*within)).astype(int))

    def day(self, name: str, *, days: int) -> None:
        """Draw a day of the fieldwork, from the wave's first day on."""
        if self.wave.first_day is None:
            raise _mistake(f"waves.{self.of.year}.first_day", "first_day")
        later = pd.to_timedelta(self.rng.integers(0, days, size=self.n), unit="D")
        self._put(name, (pd.Timestamp(self.wave.first_day) + later).strftime("%Y-%m-%d"))


def draw_people(of: Study, recipe: Recipe, *, n: int, rng: np.random.Generator) -> People:
    """Draw n good rows: `table` has a column a variable, codes as text, "" where nothing stands.

    Raises:
        ConfigError: A step has an unknown key, variable or code, or shares that do not sum to 100;
            or no step draws a question that must be answered.
    """
    people = People(of, load_population(of), wave=recipe.waves[of.year], n=n, rng=rng)
    for number, step in enumerate(recipe.steps, start=1):
        run_step(people, step, place=f"steps.{number}")
    check_drawn(people)
    return people


def check_drawn(people: People) -> None:
    """Refuse people to whom no step gave a question that must be answered."""
    columns = people.columns
    needed = columns.index[(columns["required"] == "yes") & (columns["type"] != "ID")]
    lacking = ", ".join(name for name in needed if name not in people.table)
    if lacking:
        raise _mistake("steps", "lacking", names=lacking)


# --- the vendor's file --------------------------------------------------------------------------


class Delivery:
    """Good rows on their way to a file; every public method is a kind of fault, n rows of it."""

    def __init__(self, good: People, spare: People, *, ids: Sequence[str], scale: float) -> None:
        columns, config = good.columns, good.of.config
        self.good, self.rng, self.scale, self.place = good, good.rng, scale, ""
        whole = pd.concat([good.table, spare.table], ignore_index=True).astype(str)
        whole[config.columns.respondent_id] = ids
        whole = whole.reindex(columns=columns.index).fillna("").astype(object)
        self.table, self.spare, self.extras = whole[: good.n].copy(), whole[good.n :], []
        self.free = self.rng.permutation(good.n)  # rows without a fault
        is_plain = (columns["type"] == "SA") & (columns["ask_if"] == "")
        self.plain = [x for x in columns.index[is_plain] if x not in config.weighting.cells]

    def _scaled(self, n: int) -> range:
        return range(max(1, round(n * self.scale)))

    def _rows(self, n: int) -> Iterator[tuple[int, str]]:
        """Use up rows without a fault; with each one comes a single-answer question by lot."""
        rows = self.free[self._scaled(n)]
        self.free = self.free[len(rows) :]
        for row in rows:
            yield row, _any(self.rng, self.plain)

    def write(self, n: int, *, texts: Texts, of: Names = ()) -> None:
        """Write a text over an answer: {} is what stood there, {wide} the same in wide digits."""
        for row, lot in self._rows(n):
            name = _any(self.rng, of) if of else lot
            old, new = self.table.loc[row, name], _any(self.rng, texts)
            new = new.replace("{}", old).replace("{wide}", old.translate(_WIDE))
            self.table.loc[row, name] = new

    def overwrite(self, n: int, *, cells: Cells) -> None:
        """Write these cells."""
        for row, _ in self._rows(n):
            self.table.loc[row, list(cells)] = list(cells.values())

    def break_off(self, n: int, *, of: Texts) -> None:
        """Leave everything blank from one of the variables on."""
        for row, _ in self._rows(n):
            self.table.loc[row, _any(self.rng, of) :] = ""

    def not_asked(self, n: int, *, of: Texts) -> None:
        """Answer the first of the variables that was skipped; where none was, skip the last."""
        items, skips = self.good.of.items, {}
        for name in of:
            source, asked = codebook.skip_rules(self.good.of.codebook)[name][0]
            skips[name] = source, [code for code in items[source].options if code not in asked]
        for row, _ in self._rows(n):
            answers = self.table.loc[row]
            name = next((x for x in of if answers[skips[x][0]] in skips[x][1]), of[-1])
            source, skipping = skips[name]
            if answers[source] not in skipping:
                self.table.loc[row, source] = skipping[0]
            codes = list(items[name].options) if name in items else ["1"]
            self.table.loc[row, name] = _any(self.rng, codes)

    def copies(self, n: int) -> None:
        """Deliver rows twice."""
        self.extras.append(self.table.loc[self.free[self._scaled(n)]])

    def further(
        self, n: int, *, cells: Cells = None, within: Limits = None, id_of: str | None = None
    ) -> None:
        """Deliver further rows, with these cells, numbers within limits, or ids of other people."""
        rows, new = self._scaled(n), dict(cells or {})
        for name, (low, high) in (within or {}).items():
            new[name] = self.rng.integers(low, high + 1, size=len(rows)).astype(str)
        if id_of is not None:
            self.good.place, key = self.place, self.good.of.config.columns.respondent_id
            owners = self.free[self.good._holds(id_of)[self.free]][-len(rows) :]
            new[key] = self.table.loc[owners, key].to_numpy()
        taken, self.spare = self.spare.iloc[rows], self.spare.iloc[len(rows) :]
        changed = pd.DataFrame(new, index=taken.index)
        self.extras.append(taken.drop(columns=[*new]).join(changed))


def make_wave(of: Study, *, n: int | None = None, seed: int | None = None) -> bytes:
    """Return the answer file of one wave as a vendor would deliver it.

    Args:
        of: The wave, with its codebook, population and recipe.
        n: Rows that should survive cleaning; by default the recipe's.
        seed: Seed, to which the year is added; by default the wave's own.

    Returns:
        A CSV with CRLF line ends. The same arguments give the same bytes.

    Raises:
        ConfigError: As `read_recipe` and `draw_people`.
    """
    recipe = read_recipe(of)
    wave, n = recipe.waves[of.year], n or recipe.n
    rng = np.random.default_rng(wave.seed if seed is None else seed + of.year)
    good = draw_people(of, recipe, n=n, rng=rng)
    spare = draw_people(of, recipe, n=max(200, n // 8), rng=rng)
    ids = [f"{wave.ids}{1000 + number}" for number in rng.permutation(good.n + spare.n)]
    delivery = Delivery(good, spare, ids=ids, scale=n / recipe.n)
    for number, fault in enumerate(recipe.faults, start=1):
        run_step(delivery, fault, place=f"faults.{number}")
    whole = pd.concat([delivery.table, *delivery.extras], ignore_index=True)
    whole = whole.iloc[rng.permutation(len(whole))]
    marks, codes = of.config.multi_answer, of.codebook.codes.set_index("variable")["code"]
    for name in of.codebook.columns.index[of.codebook.columns["type"] == "MA"]:
        chosen = codes[name] if marks.chosen == "code" else marks.chosen
        whole[name] = whole[name].replace({"1": chosen, "0": marks.unchosen})
    try:
        return whole.to_csv(index=False, lineterminator="\r\n").encode(recipe.encoding)
    except UnicodeEncodeError as error:
        raise _mistake("encoding", "encoding") from error


def write_waves(of: Study, root: Path, *, n: int | None = None, seed: int | None = None) -> None:
    """Write the synthetic file of every wave in the recipe of a study below a root.

    Raises:
        ConfigError: As `make_wave`; or study.yaml names no file for the sample, which must not
            take the place of real answers.
    """
    for year in read_recipe(of).waves:
        wave = open_study(of.name, year)
        if wave.wave.synthetic in (None, wave.wave.responses):
            raise _mistake(f"waves.{year}", "no_file")
        content = make_wave(wave, n=n, seed=seed)
        place = root / "data/raw" / of.name / str(year) / wave.wave.synthetic
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def write_small_study(root: Path, *, n: int = 600, seed: int = 1) -> None:
    """Copy data/raw of ehime below a root, with small waves; point TSUNAGARI_ROOT there."""
    raw, no_waves = files.repository_root() / "data/raw", shutil.ignore_patterns("[0-9]*")
    for name in ("ehime", "national"):
        shutil.copytree(raw / name, root / "data/raw" / name, ignore=no_waves, dirs_exist_ok=True)
    write_waves(open_study("ehime", 2022), root, n=n, seed=seed)


def main(name: str, year: str) -> int:
    """Write all synthetic files of a study again, given one of its waves; return the exit code."""
    try:
        of = open_study(name, int(year) if year.isdecimal() else 0)
        write_waves(of, files.repository_root())
    except errors.SurveyError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
