"""Is the prefecture higher or lower than the nation, or than last year: gaps and tests.

A published figure enters with the sampling variance of its unweighted n. A total is never judged
raw: the verdict belongs to figures of one age band, or to figures brought to one age mix. Every
row carries the caveat on how the two surveys were taken, so that no table can lose it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.errors import ModelError
from tsunagari.estimates import BASE_FOR_TESTS, ESTIMATE_COLUMNS, join, split
from tsunagari.statistics.benchmark import age_mix, check_benchmark, nearest_mix
from tsunagari.statistics.designs import Design
from tsunagari.statistics.gaps import (
    Share,
    difference_row,
    figure_row,
    finish_rows,
    gap_variance_of,
    share_figure,
    standardise_by_age,
    variance_of,
    weigh_share,
)
from tsunagari.study.codebook import NO_ANSWER, Item

MODE_CAVEAT = (
    "この調査は割付のウェブ調査、全国は郵送の無作為抽出です。方法のちがいによる差を含みます。"
)
UNWEIGHTED_CAVEAT = "全国の公表値は重みを付けていません。"
# How far the people of an age mix may be from those of the figure it is used for: a question asked
# of some people only has another mix, while item nonresponse and another year stay well within.
MIX_TOLERANCE = 0.10

UNVERIFIED = "unverified"  # certainty of a published figure that is shown and never judged


# --- the published side -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Published:
    """One published percentage, or why it cannot be used."""

    share: float
    n: float
    source: str
    certainty: str = ""
    problem: str = ""
    note: str = ""

    @property
    def variance(self) -> float:
        return self.share * (1 - self.share) / self.n


def _read_published(
    row: Mapping[str, Any] | None,
    *,
    base: str,
    no_answer: Collection[str],
    mix: Mapping[str, float],
) -> _Published:
    if row is None:
        return _Published(np.nan, np.nan, "", problem="全国の値が公表されていません。")
    found = _Published(row["percent"] / 100, float(row["n"]), row["source"], row["certainty"])
    if found.certainty == UNVERIFIED:
        return replace(found, problem="全国の値の出典を確認できていません。")
    if row["base"] and row["base"] != base:
        return replace(found, problem="無回答を分母に含めるかどうかが、全国とちがいます。")
    if row["item_value"] in no_answer:
        return replace(found, problem="無回答の割合は、調査の方法で変わります。")
    if np.isnan(found.n) and row["domain_value"] in mix:
        note = "全国のこの年代の回答者数は、ほかの公表値によります。"  # A26
        return replace(found, n=float(mix[row["domain_value"]]), note=note)
    if np.isnan(found.n):
        return replace(found, problem="全国の回答者数が公表されていません。")
    return found


# --- comparison with published figures ----------------------------------------------------------


@dataclass(frozen=True)
class _Comparison:
    """Everything the rows of one comparison share."""

    design: Design
    indicators: pd.DataFrame
    table: pd.DataFrame
    item: str
    year: int
    axis: str
    age: np.ndarray
    base: str
    no_answer: frozenset[str]
    mixes: dict[tuple[str, str] | None, tuple[dict[str, float], str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = self.table[(self.table["year"] == self.year) & (self.table["item"] == self.item)]
        rows = own.to_dict("records")
        keys = ("item_value", "domain", "domain_value")
        object.__setattr__(self, "figures", {tuple(row[k] for k in keys): row for row in rows})
        object.__setattr__(self, "mix", age_mix(self.table, year=self.year, axis=self.axis))

    def nearest_mix(self, within: tuple[str, str] | None) -> tuple[dict[str, float], str]:
        """Return the age mix to bring a domain to, worked out once a domain."""
        if within not in self.mixes:
            self.mixes[within] = nearest_mix(
                self.table, year=self.year, axis=self.axis, within=within
            )
        return self.mixes[within]

    def published(self, value: str, *, domain: str, domain_value: str) -> _Published:
        return _read_published(
            self.figures.get((value, domain, domain_value)),
            base=self.base,
            no_answer=self.no_answer,
            mix=self.mix if domain == self.axis else {},
        )


@dataclass(frozen=True)
class _Cell:
    """One answer in one domain, ours and theirs."""

    value: str
    domain: str
    domain_value: str
    ours: Share
    theirs: _Published
    df: int
    n_events: float

    @property
    def key(self) -> dict[str, Any]:
        """What every row about the cell carries: its keys, our base and our cell."""
        return {
            "item_value": self.value,
            "domain": self.domain,
            "domain_value": self.domain_value,
            "n_unweighted": self.ours.n,
            "n_effective": self.ours.n_effective,
            "n_cell": self.n_events,
        }


def compare_with_benchmark(
    design: Design,
    indicators: pd.DataFrame,
    *,
    benchmark: pd.DataFrame,
    item: str,
    year: int,
    age: pd.Series,
    by: pd.DataFrame | None = None,
    labels: Mapping[str, str] | None = None,
    base: str = "asked",
    no_answer: Collection[str] = (NO_ANSWER,),
    wave: int | None = None,
    confidence: float = 0.95,
    caveat: str = MODE_CAVEAT,
    nested: bool = True,
) -> pd.DataFrame:
    """Compare one question with the percentages a national survey published.

    For every answer that is published: our percentage and theirs, everybody together and in every
    published domain that `by` or `age` holds. Age bands are compared as they are. Totals over
    ages get a gap but no verdict of their own; the verdict stands with the figures on one age mix:
    ours on the mix of the national respondents always, theirs on ours where they publish every
    band. The variance is the design's plus p(1-p)/n of the published side, the reference t with
    our degrees of freedom.

    Args:
        design: The survey design, n rows.
        indicators: 0/1 per answer, shape (n, k), NaN outside the base, columns are codes or nets.
        benchmark: Published figures in our names and codes (`benchmark.translate`).
        item: The question's name, here and in the table.
        year: Year of the published survey.
        age: Age band of everybody, shape (n,), named like the benchmark's domain ("age_band").
        by: Further domain variables, shape (n, m), named like the benchmark's domains.
        labels: Label of every answer.
        base: "asked" or "answered": what `indicators` were made with.
        no_answer: Answers that are none; the way of asking decides them, so they are not judged.
        wave: Our survey year.
        confidence: Of intervals and verdicts.
        caveat: What every row says about the two ways of asking.
        nested: Whether published domains of two variables have rows, and enter the family of
            tests; their counts give the age mix inside a domain either way.

    Returns:
        Estimates rows of `national_<item>`: measures percent (ours), percent_benchmark,
        percent_age_standardised, percent_benchmark_age_standardised, difference_points,
        difference_points_age_standardised, difference_points_benchmark_age_standardised. `verdict`
        is PENDING on every difference that may be judged, or NOT_COMPARABLE; `reason` says why,
        then the caveat.

    Raises:
        ModelError: The benchmark table is wrong, or tables differ in length.
    """
    table = check_benchmark(benchmark)
    frame = _domains(age, by=by, n=len(indicators))
    axis = str(age.name)
    compared = _Comparison(
        design=design,
        indicators=indicators,
        table=table,
        item=item,
        year=year,
        axis=axis,
        age=frame[axis].to_numpy(),
        base=base,
        no_answer=frozenset(no_answer),
    )
    rows = []
    for cell in _cells(compared, frame=frame, nested=nested):
        rows += _compare_cell(compared, cell)
    mine = table[(table["year"] == year) & (table["item"] == item)]
    caveat += UNWEIGHTED_CAVEAT if (mine["weighting"] == "unweighted").any() else ""
    facts = {"table_id": f"national_{item}", "item": item, "wave": wave}
    facts["weighting"] = design.scheme
    told = {"labels": labels or {}, "confidence": confidence, "caveat": caveat}
    return finish_rows(rows, facts=facts, **told)


def _domains(age: pd.Series, *, by: pd.DataFrame | None, n: int) -> pd.DataFrame:
    frame = pd.DataFrame({str(age.name): age.astype("string").fillna("").to_numpy(str)})
    for name in by if by is not None else ():
        frame[name] = by[name].astype("string").fillna("").to_numpy(str)
    if len(frame) != n:
        raise ModelError("COMPARISON_LENGTH", n=n, n_2=len(frame))
    return frame


def _cells(compared: _Comparison, *, frame: pd.DataFrame, nested: bool) -> Iterator[_Cell]:
    """Go through answers and domains: everybody, then every published domain we know."""
    everybody = np.ones(len(frame), dtype=bool)
    values = dict.fromkeys(value for value, _, _ in compared.figures)
    for value in (value for value in values if value in compared.indicators):
        yield _cell(compared, value, domain="all", domain_value="all", rows=everybody)
        for other, domain, domain_value in compared.figures:
            names, codes = split(domain), split(domain_value)
            if other != value or len(names) != len(codes) or not set(names) <= set(frame.columns):
                continue
            if len(names) > 1 and not nested:
                continue
            rows = everybody.copy()
            for name, code in zip(names, codes, strict=True):
                rows &= frame[name].to_numpy() == code
            yield _cell(compared, value, domain=domain, domain_value=domain_value, rows=rows)


def _cell(
    compared: _Comparison, value: str, *, domain: str, domain_value: str, rows: np.ndarray
) -> _Cell:
    values = compared.indicators[value].to_numpy(float)
    ours = weigh_share(compared.design, values, rows=rows)
    return _Cell(
        value=value,
        domain=domain,
        domain_value=domain_value,
        ours=ours,
        theirs=compared.published(value, domain=domain, domain_value=domain_value),
        df=int(compared.design.degrees_of_freedom(ours.rows)) if ours.n else 0,
        n_events=float(values[ours.rows].sum()),
    )


def _compare_cell(compared: _Comparison, cell: _Cell) -> list[dict[str, Any]]:
    ours, theirs = cell.ours, cell.theirs
    rows = [share_figure("percent", ours, design=compared.design, df=cell.df, **cell.key)]
    rows.append(_published_figure(cell))
    raw = _raw_gap(compared, cell)
    if compared.axis in split(cell.domain) or raw["problem"]:
        return [*rows, raw]
    raw |= {
        "judged": False,
        "reason": "年齢をそろえていない差です。判定は、年齢をそろえた差によります。",
    }
    within = None if cell.domain == "all" else (cell.domain, cell.domain_value)
    mix, note = compared.nearest_mix(within)
    key = {**cell.key, "source": theirs.source, "reason": note}
    rows += [raw, *_on_their_mix(compared, cell, mix=mix, key=key)]
    return rows + _on_our_mix(compared, cell, key={**key, "reason": ""})


def _published_figure(cell: _Cell) -> dict[str, Any]:
    theirs = cell.theirs
    error = np.sqrt(theirs.variance) if theirs.n > 0 else np.nan
    key = cell.key | {"n_unweighted": theirs.n, "n_effective": theirs.n, "n_cell": np.nan}
    key |= {"source": theirs.source, "certainty": theirs.certainty, "reason": theirs.problem}
    return figure_row("percent_benchmark", share=theirs.share, error=error, **key)


def _raw_gap(compared: _Comparison, cell: _Cell) -> dict[str, Any]:
    ours, theirs = cell.ours, cell.theirs
    problem = theirs.problem
    if ours.n < BASE_FOR_TESTS:
        problem = problem or f"この調査の回答者が{BASE_FOR_TESTS}人に足りません。"
    key = {**cell.key, "source": theirs.source, "reason": "" if problem else theirs.note}
    if problem:
        gap = ours.value - theirs.share  # shown, not judged
        return _no_gap("difference_points", problem=problem, cell=cell, key=key, gap=gap)
    pair = (ours.value, theirs.share)
    return _gap(compared, cell, pair, influence=ours.influence, added=theirs.variance, key=key)


def _gap(
    compared: _Comparison,
    cell: _Cell,
    pair: tuple[float, float],
    *,
    influence: np.ndarray,
    added: float,
    key: dict[str, Any],
    measure: str = "difference_points",
) -> dict[str, Any]:
    """Return a gap's row: the design's variance of our side, and the published side's added."""
    own = gap_variance_of(compared.design, cell.ours, influence=influence, df=cell.df)
    figures = {"gap": pair[0] - pair[1], "variance": own + added, "df": cell.df}
    return difference_row(measure, **figures, problem="", **key)


def _no_gap(
    measure: str, *, problem: str, cell: _Cell, key: dict[str, Any], gap: float = np.nan
) -> dict[str, Any]:
    return difference_row(measure, gap=gap, variance=np.nan, df=cell.df, problem=problem, **key)


def _on_their_mix(
    compared: _Comparison, cell: _Cell, *, mix: dict[str, float], key: dict[str, Any]
) -> list[dict[str, Any]]:
    """Bring our share to the age mix of the national respondents."""
    measure, problem = "difference_points_age_standardised", ""
    if not mix:
        problem = "全国の回答者の年齢の構成が公表されておらず、年齢をそろえられません。"
    elif abs(cell.theirs.n / sum(mix.values()) - 1) > MIX_TOLERANCE:
        problem = "全国の質問の対象者の年齢の構成が公表されておらず、年齢をそろえられません。"
    else:
        values, age = compared.indicators[cell.value].to_numpy(float), pd.Series(compared.age)
        try:
            value, influence = standardise_by_age(
                compared.design, values, age=age, mix=mix, rows=cell.ours.rows
            )
        except ModelError:
            problem = "回答者のいない年代があり、年齢をそろえられません。"
    if problem:
        return [_no_gap(measure, problem=problem, cell=cell, key=key)]
    error = np.sqrt(variance_of(compared.design, influence))
    figure = figure_row("percent_age_standardised", share=value, error=error, df=cell.df, **key)
    pair = (value, cell.theirs.share)
    rest = {"influence": influence, "added": cell.theirs.variance, "key": key}
    return [figure, _gap(compared, cell, pair, measure=measure, **rest)]


def _on_our_mix(compared: _Comparison, cell: _Cell, *, key: dict[str, Any]) -> list[dict[str, Any]]:
    """Bring the published percentages to our age mix, where every band is published."""
    measure, ours = "difference_points_benchmark_age_standardised", cell.ours
    bands = sorted(set(compared.age[ours.rows]) - {""})
    published = {band: _published_band(compared, cell, band=band) for band in bands}
    whole = not any(one.problem for one in published.values())
    if not bands or not whole or (compared.age[ours.rows] == "").any():
        problem = (
            "全国の値がすべての年代では公表されておらず、この調査の年齢の構成にそろえられません。"
        )
        return [_no_gap(measure, problem=problem, cell=cell, key=key)]
    weights = np.where(ours.rows, compared.design.weights, 0.0)
    total, share, variance = weights.sum(), 0.0, 0.0
    influence = ours.influence.copy()
    for band, one in published.items():
        in_band = ours.rows & (compared.age == band)
        part = weights[in_band].sum() / total
        share += part * one.share
        variance += part**2 * one.variance
        influence -= one.share * np.where(ours.rows, in_band - part, 0.0) / total
    people = float(sum(one.n for one in published.values()))
    theirs = key | {"n_unweighted": people, "n_effective": people, "n_cell": np.nan}
    error, measured = np.sqrt(variance), "percent_benchmark_age_standardised"
    figure = figure_row(measured, share=share, error=error, **theirs)
    rest = {"influence": influence, "added": variance, "key": key}
    return [figure, _gap(compared, cell, (ours.value, share), measure=measure, **rest)]


def _published_band(compared: _Comparison, cell: _Cell, *, band: str) -> _Published:
    if cell.domain == "all":
        return compared.published(cell.value, domain=compared.axis, domain_value=band)
    pairs = [(compared.axis, band), (cell.domain, cell.domain_value)]
    for domain, value in (map(join, zip(*order, strict=True)) for order in (pairs, pairs[::-1])):
        found = compared.published(cell.value, domain=domain, domain_value=value)
        if found.n > 0:
            break
    return found


def compare_item(
    design: Design,
    respondents: pd.DataFrame,
    *,
    item: Item,
    benchmark: pd.DataFrame,
    year: int,
    axis: str,
    by: Collection[str] = (),
    wave: int | None = None,
    confidence: float = 0.95,
    caveat: str = MODE_CAVEAT,
    nested: bool = True,
) -> pd.DataFrame:
    """Compare one item of the study: base, labels and no-answer codes come from it and the table.

    Args:
        design: The survey design, n rows.
        respondents: Cleaned respondents, shape (n, any).
        item: The question.
        benchmark: Published figures.
        year: Year of the published survey.
        axis: Name of the age variable.
        by: Further domain variables, such as sex.
        wave: Our survey year.
        confidence: Of intervals and verdicts.
        caveat: What every row says about the two ways of asking.
        nested: As for `compare_with_benchmark`.

    Returns:
        As `compare_with_benchmark`; no rows where that year published nothing.
    """
    table = check_benchmark(benchmark)
    own = table[(table["item"] == item.name) & (table["year"] == year)]
    if own.empty:
        return pd.DataFrame(columns=list(ESTIMATE_COLUMNS))
    base = "answered" if (own["base"] == "answered").mean() > 0.5 else "asked"
    return compare_with_benchmark(
        design,
        item.indicators(respondents, base=base),
        benchmark=table,
        item=item.name,
        year=year,
        age=respondents[axis],
        by=respondents[list(by)],
        labels=item.labels,
        base=base,
        no_answer={*item.missing, NO_ANSWER},
        wave=wave,
        confidence=confidence,
        caveat=caveat,
        nested=nested,
    )
