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
from scipy import stats

from tsunagari.benchmark import age_mix, check_benchmark, match_answers, nearest_mix
from tsunagari.estimates import BASE_FOR_TESTS, ESTIMATE_COLUMNS, split
from tsunagari.estimation import proportion_intervals
from tsunagari.study import NO_ANSWER, Item, ModelError
from tsunagari.verdicts import NOT_COMPARABLE, PENDING
from tsunagari.weighting import Design

MODE_CAVEAT = (
    "本調査は割り当てたウェブ回答、全国調査は郵送で依頼した無作為標本で、方式の違いによる差を含む。"
)
UNWEIGHTED_CAVEAT = "全国の公表値は無加重。"
PUBLISHED_UNWEIGHTED_YEARS = frozenset({2022, 2023})  # shown for these only: whole counts fit
WAVE_CAVEAT = "両年の標本は独立とみなした。"
# How far the people of an age mix may be from those of the figure it is used for: a question asked
# of some people only has another mix, while item nonresponse and another year stay well within.
MIX_TOLERANCE = 0.10

UNVERIFIED = "unverified"  # certainty of a published figure that is shown and never judged


# --- our side: shares and their influence -------------------------------------------------------


@dataclass(frozen=True)
class _Share:
    """A weighted share in one domain.

    Attributes:
        value: Between 0 and 1; NaN for an empty domain.
        influence: Shape (n,), zero outside the domain.
        rows: The domain's rows that have an answer, bool, shape (n,).
        n_effective: Kish, of the domain's weights.
    """

    value: float
    influence: np.ndarray
    rows: np.ndarray
    n_effective: float

    @property
    def n(self) -> int:
        return int(self.rows.sum())


def _share(design: Design, values: np.ndarray, *, rows: np.ndarray) -> _Share:
    weights = np.asarray(design.weights, dtype=float)
    used = rows & ~np.isnan(values) & (weights > 0)
    w = np.where(used, weights, 0.0)
    total = w.sum()
    if total == 0:
        return _Share(np.nan, np.zeros(len(w)), used, 0.0)
    y = np.where(used, values, 0.0)
    same = y[used].min() == y[used].max()
    value = float(y[used][0]) if same else float(w @ y / total)
    influence = np.where(used, y - value, 0.0) / total
    return _Share(value, influence, used, float(total**2 / (w @ w)))


def _variance(design: Design, influence: np.ndarray) -> float:
    return float(design.variances(influence[:, None])[0])


def _gap_variance(design: Design, share: _Share, *, influence: np.ndarray, df: int) -> float:
    """Return what our side adds to a gap's variance.

    Where everybody answered alike the linearised variance is nought; the length of the beta
    interval over t stands in, as in `estimation.differences`.
    """
    if share.value not in (0.0, 1.0):
        return _variance(design, influence)
    one = np.ones(1)
    lower, upper = proportion_intervals(
        share.value * one,
        variance=0 * one,
        n=share.n * one,
        n_effective=share.n_effective * one,
        df=one,
    )
    return float(((upper - lower)[0] / stats.t.isf(0.025, max(df, 1))) ** 2)


def standardise_by_age(
    design: Design,
    values: np.ndarray,
    *,
    age: pd.Series,
    mix: Mapping[str, float],
    rows: np.ndarray | None = None,
) -> tuple[float, np.ndarray]:
    """Return our share on another population's age mix (direct standardisation).

    Args:
        design: The survey design, n rows.
        values: 0/1 or a score, shape (n,), NaN outside the base.
        age: Age band of everybody, shape (n,).
        mix: Weight of every band in the standard population, any scale.
        rows: Domain, bool, shape (n,); everybody where it is not given.

    Returns:
        The standardised mean, sum of mix x band mean; and its influence, shape (n,), from which
        the design works out the variance. The mix is taken as known.

    Raises:
        ModelError: STANDARD_EMPTY_BAND names the bands of the mix in which nobody answered;
            STANDARD_MIX says that the mix does not sum to more than 0 or has a negative part.
    """
    total = float(sum(mix.values()))
    if not total > 0 or min(mix.values()) < 0:
        raise ModelError(
            "STANDARD_MIX",
            "標準とする年齢構成の値が負か、合計が0です。全国値の表を確かめてください。",
            "The standard age mix has a negative part or sums to 0: check the benchmark table.",
        )
    values = np.asarray(values, dtype=float)
    bands = age.astype("string").fillna("").to_numpy(str)
    within = np.ones(len(values), dtype=bool) if rows is None else rows
    estimate, influence, empty = 0.0, np.zeros(len(values)), []
    for band, part in mix.items():
        if part == 0:
            continue
        share = _share(design, values, rows=within & (bands == str(band)))
        if share.n == 0:
            empty.append(str(band))
            continue
        estimate += part / total * share.value
        influence += part / total * share.influence
    if empty:
        names = ", ".join(empty)
        raise ModelError(
            "STANDARD_EMPTY_BAND",
            f"年齢調整に使う年代 {names} に回答者がいません。年代を統合してください。",
            f"Nobody answered in the age bands {names} of the standard: merge the bands.",
        )
    return estimate, influence


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
        return _Published(np.nan, np.nan, "", problem="全国値が公表されていない。")
    found = _Published(row["percent"] / 100, float(row["n"]), row["source"], row["certainty"])
    if found.certainty == UNVERIFIED:
        return replace(found, problem="全国値の出典が確認できていない。")
    if row["base"] and row["base"] != base:
        return replace(found, problem="無回答を分母に含めるかどうかが全国と異なる。")
    if row["item_value"] in no_answer:
        return replace(found, problem="無回答の割合は調査の方式で決まる。")
    if np.isnan(found.n) and row["domain_value"] in mix:
        note = "全国値の回答者数は、年代構成から求めた。"  # A26
        return replace(found, n=float(mix[row["domain_value"]]), note=note)
    if np.isnan(found.n):
        return replace(found, problem="全国値の回答者数が公表されていない。")
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
    ours: _Share
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
    caveat += UNWEIGHTED_CAVEAT if year in PUBLISHED_UNWEIGHTED_YEARS else ""
    facts = {"table_id": f"national_{item}", "item": item, "wave": wave}
    facts["weighting"] = design.scheme
    return _finish(
        rows,
        facts=facts,
        labels=labels or {},
        confidence=confidence,
        caveat=caveat,
    )


def _domains(age: pd.Series, *, by: pd.DataFrame | None, n: int) -> pd.DataFrame:
    frame = pd.DataFrame({str(age.name): age.astype("string").fillna("").to_numpy(str)})
    for name in by if by is not None else ():
        frame[name] = by[name].astype("string").fillna("").to_numpy(str)
    if len(frame) != n:
        raise ModelError(
            "COMPARISON_LENGTH",
            f"行数が合いません(指標 {n}、年代 {len(frame)})。同じ回答者の表から作ってください。",
            f"Numbers of rows differ (indicators {n}, ages {len(frame)}): make both from the same "
            "respondents.",
        )
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
    ours = _share(compared.design, values, rows=rows)
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
    rows = [_share_figure("percent", ours, design=compared.design, df=cell.df, **cell.key)]
    rows.append(_published_figure(cell))
    raw = _raw_gap(compared, cell)
    if compared.axis in split(cell.domain) or raw["problem"]:
        return [*rows, raw]
    raw |= {"judged": False, "reason": "年齢構成をそろえていない差。判定は年齢調整後の行による。"}
    within = None if cell.domain == "all" else (cell.domain, cell.domain_value)
    mix, note = compared.nearest_mix(within)
    key = {**cell.key, "source": theirs.source, "reason": note}
    rows += [raw, *_on_their_mix(compared, cell, mix=mix, key=key)]
    return rows + _on_our_mix(compared, cell, key={**key, "reason": ""})


def _figure(measure: str, *, share: float, error: float, **key: Any) -> dict[str, Any]:
    unit = "percent" if measure.startswith("percent") else "points"
    row = {"measure": measure, "unit": unit, "estimate": share * 100, "std_error": error * 100}
    return {**row, "judged": False, "problem": "", "reason": "", **key}


def _share_figure(
    measure: str, share: _Share, *, design: Design, df: int, **key: Any
) -> dict[str, Any]:
    error = np.sqrt(_variance(design, share.influence)) if share.n else np.nan
    return _figure(measure, share=share.value, error=error, df=df, **key)


def _published_figure(cell: _Cell) -> dict[str, Any]:
    theirs = cell.theirs
    error = np.sqrt(theirs.variance) if theirs.n > 0 else np.nan
    key = cell.key | {"n_unweighted": theirs.n, "n_effective": theirs.n, "n_cell": np.nan}
    key |= {"source": theirs.source, "certainty": theirs.certainty, "reason": theirs.problem}
    return _figure("percent_benchmark", share=theirs.share, error=error, **key)


def _raw_gap(compared: _Comparison, cell: _Cell) -> dict[str, Any]:
    ours, theirs = cell.ours, cell.theirs
    problem = theirs.problem
    if ours.n < BASE_FOR_TESTS:
        problem = problem or f"本調査の回答者が{BASE_FOR_TESTS}人に足りない。"
    variance = np.nan
    if not problem:
        own = _gap_variance(compared.design, ours, influence=ours.influence, df=cell.df)
        variance = own + theirs.variance
    key = {**cell.key, "source": theirs.source, "reason": "" if problem else theirs.note}
    gap = ours.value - theirs.share
    return _difference(
        "difference_points", gap=gap, variance=variance, df=cell.df, problem=problem, **key
    )


def _difference(
    measure: str, *, gap: float, variance: float, df: int, problem: str, **key: Any
) -> dict[str, Any]:
    if not problem and not (variance > 0 and df >= 1):
        problem = "誤差を計算できない。"
    error = np.nan if problem else np.sqrt(variance)
    row = _figure(measure, share=gap, error=error, df=df, **key)
    return row | {"judged": True, "problem": problem}


def _on_their_mix(
    compared: _Comparison, cell: _Cell, *, mix: dict[str, float], key: dict[str, Any]
) -> list[dict[str, Any]]:
    """Bring our share to the age mix of the national respondents."""
    measure = "difference_points_age_standardised"
    nothing = {"gap": np.nan, "variance": np.nan, "df": cell.df}
    if not mix:
        problem = "全国の回答者の年齢構成が公表されておらず、年齢をそろえられない。"
        return [_difference(measure, **nothing, problem=problem, **key)]
    if abs(cell.theirs.n / sum(mix.values()) - 1) > MIX_TOLERANCE:
        problem = "全国の質問の対象者の年齢構成が公表されておらず、年齢をそろえられない。"
        return [_difference(measure, **nothing, problem=problem, **key)]
    values = compared.indicators[cell.value].to_numpy(float)
    try:
        value, influence = standardise_by_age(
            compared.design, values, age=pd.Series(compared.age), mix=mix, rows=cell.ours.rows
        )
    except ModelError:
        problem = "回答者のいない年代があり、年齢をそろえられない。"
        return [_difference(measure, **nothing, problem=problem, **key)]
    variance = _variance(compared.design, influence)
    figure = _figure(
        "percent_age_standardised", share=value, error=np.sqrt(variance), df=cell.df, **key
    )
    own = _gap_variance(compared.design, cell.ours, influence=influence, df=cell.df)
    variance = own + cell.theirs.variance
    gap = value - cell.theirs.share
    row = _difference(measure, gap=gap, variance=variance, df=cell.df, problem="", **key)
    return [figure, row]


def _on_our_mix(compared: _Comparison, cell: _Cell, *, key: dict[str, Any]) -> list[dict[str, Any]]:
    """Bring the published percentages to our age mix, where every band is published."""
    measure = "difference_points_benchmark_age_standardised"
    ours = cell.ours
    bands = sorted(set(compared.age[ours.rows]) - {""})
    published = {band: _published_band(compared, cell, band=band) for band in bands}
    whole = not any(one.problem for one in published.values())
    if not bands or not whole or (compared.age[ours.rows] == "").any():
        problem = "全国値がすべての年代では公表されておらず、本調査の年齢構成にそろえられない。"
        nothing = {"gap": np.nan, "variance": np.nan, "df": cell.df}
        return [_difference(measure, **nothing, problem=problem, **key)]
    weights = np.where(ours.rows, compared.design.weights, 0.0)
    total, share, published_variance = weights.sum(), 0.0, 0.0
    influence = ours.influence.copy()
    for band, one in published.items():
        in_band = ours.rows & (compared.age == band)
        part = weights[in_band].sum() / total
        share += part * one.share
        published_variance += part**2 * one.variance
        influence -= one.share * np.where(ours.rows, in_band - part, 0.0) / total
    own = _gap_variance(compared.design, ours, influence=influence, df=cell.df)
    variance = own + published_variance
    people = float(sum(one.n for one in published.values()))
    theirs = key | {"n_unweighted": people, "n_effective": people, "n_cell": np.nan}
    figure = _figure(
        "percent_benchmark_age_standardised",
        share=share,
        error=np.sqrt(published_variance),
        **theirs,
    )
    gap = ours.value - share
    return [
        figure,
        _difference(measure, gap=gap, variance=variance, df=cell.df, problem="", **key),
    ]


def _published_band(compared: _Comparison, cell: _Cell, *, band: str) -> _Published:
    if cell.domain == "all":
        return compared.published(cell.value, domain=compared.axis, domain_value=band)
    found = compared.published(
        cell.value,
        domain=f"{compared.axis} x {cell.domain}",
        domain_value=f"{band} x {cell.domain_value}",
    )
    if found.n > 0:
        return found
    return compared.published(
        cell.value,
        domain=f"{cell.domain} x {compared.axis}",
        domain_value=f"{cell.domain_value} x {band}",
    )


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


# --- the rows ------------------------------------------------------------------------------------


def _finish(
    rows: list[dict[str, Any]],
    *,
    facts: dict[str, Any],
    labels: Mapping[str, str],
    confidence: float,
    caveat: str,
) -> pd.DataFrame:
    """Add intervals, tests, what is to be judged, and the caveat to one table's rows."""
    columns = [*ESTIMATE_COLUMNS, "judged", "problem"]
    table = pd.DataFrame(rows).reindex(columns=columns) if rows else pd.DataFrame(columns=columns)
    table = table.assign(**facts, item_label=[labels.get(v, v) for v in table["item_value"]])
    numbers = ("estimate", "std_error", "df", "n_unweighted", "n_effective", "n_cell")
    table = table.astype(dict.fromkeys(numbers, float))
    is_gap = table["unit"] == "points"
    table["lower"], table["upper"] = _intervals(table, is_gap=is_gap, confidence=confidence)
    ratio = (table["estimate"].abs() / table["std_error"]).where(is_gap)
    table["p_value"] = 2 * stats.t.sf(ratio, table["df"])
    judged = table["judged"].fillna(value=False).astype(bool)
    is_open = table["problem"].fillna("") == ""
    table["verdict"] = np.where(judged, np.where(is_open, PENDING, NOT_COMPARABLE), "")
    table["reason"] = table["problem"].fillna("") + table["reason"].fillna("") + caveat
    return table.reindex(columns=list(ESTIMATE_COLUMNS))


def _intervals(
    table: pd.DataFrame, *, is_gap: pd.Series, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return t intervals of gaps, and of percents those every other table shows."""
    df = table["df"].fillna(np.inf)
    reach = stats.t.isf((1 - confidence) / 2, df) * table["std_error"]
    lower = (table["estimate"] - reach).to_numpy(copy=True)
    upper = (table["estimate"] + reach).to_numpy(copy=True)
    used = ~is_gap & table["std_error"].notna() & (table["n_unweighted"] > 1)
    shares = table[used]
    ends = proportion_intervals(
        shares["estimate"].to_numpy() / 100,
        variance=(shares["std_error"].to_numpy() / 100) ** 2,
        n=shares["n_unweighted"].to_numpy(),
        n_effective=shares["n_effective"].to_numpy(),
        df=df[used].to_numpy(),
        confidence=confidence,
    )
    lower[used], upper[used] = (end * 100 for end in ends)
    return lower, upper


# --- waves --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WaveSide:
    """One wave of a question.

    Attributes:
        wave: Survey year.
        indicators: 0/1 per answer, shape (n, k), NaN outside the base.
        by: Domain variables, shape (n, m), or None.
        version: Version of the question in the codebook.
    """

    wave: int
    indicators: pd.DataFrame
    by: pd.DataFrame | None = None
    version: str = "1"


def compare_waves(
    design_now: Design,
    design_before: Design,
    *,
    now: WaveSide,
    before: WaveSide,
    item: str,
    labels: Mapping[str, str] | None = None,
    no_answer: Collection[str] = (NO_ANSWER,),
    confidence: float = 0.95,
    caveat: str = WAVE_CAVEAT,
) -> pd.DataFrame:
    """Compare one question between two independent waves.

    Both sides have variances from their own designs; degrees of freedom add up, as in one design
    with the waves as strata. A question whose version changed, and an answer only one wave has,
    are cut: their rows say 比較できない and why.

    Args:
        design_now: Design of the later wave.
        design_before: Design of the earlier wave.
        now: The question in the later wave.
        before: The question in the earlier wave.
        item: Name of the question.
        labels: Label of every answer.
        no_answer: Answers that are none; they are left out.
        confidence: Of intervals and verdicts.
        caveat: What every row says.

    Returns:
        Estimates rows of `waves_<item>`: percent of either wave (its own `wave`) and
        difference_points, later minus earlier, for everybody and in every domain of `by`.
    """
    drifted = ""
    if now.version != before.version:
        drifted = f"設問が変わった(版 {before.version} → {now.version})。"
    rows = []
    values = [*now.indicators.columns]
    values += [value for value in before.indicators.columns if value not in values]
    for value in (value for value in values if value not in no_answer):
        for domain, code in _wave_domains(now, before):
            key = {"item_value": value, "domain": domain, "domain_value": code}
            rows += _wave_cell((design_now, now), (design_before, before), key=key, drifted=drifted)
    facts = {"table_id": f"waves_{item}", "item": item, "weighting": design_now.scheme}
    return _finish(
        rows,
        facts=facts,
        labels=labels or {},
        confidence=confidence,
        caveat=caveat,
    )


def _wave_domains(now: WaveSide, before: WaveSide) -> list[tuple[str, str]]:
    domains = [("all", "all")]
    for name in now.by if now.by is not None else ():
        if before.by is None or name not in before.by:
            continue
        codes = set(now.by[name].dropna().astype(str)) | set(before.by[name].dropna().astype(str))
        domains += [(name, code) for code in sorted(codes - {"", NO_ANSWER})]
    return domains


def _wave_cell(
    later: tuple[Design, WaveSide],
    earlier: tuple[Design, WaveSide],
    *,
    key: dict[str, Any],
    drifted: str,
) -> list[dict[str, Any]]:
    rows, shares, events, problem = [], [], [], drifted
    for design, side in (later, earlier):
        if key["item_value"] not in side.indicators:
            problem = problem or "片方の年にしかない（または文言のちがう）選択肢。"
            continue
        mask = np.ones(len(side.indicators), dtype=bool)
        if key["domain"] != "all":
            codes = side.by[key["domain"]].astype("string").fillna("").to_numpy(str)
            mask = codes == key["domain_value"]
        values = side.indicators[key["item_value"]].to_numpy(float)
        share = _share(design, values, rows=mask)
        shares.append((design, share))
        events.append(float(values[share.rows].sum()))
        if share.n == 0:
            problem = problem or "片方の年に回答者がいない。"
            continue
        people = {"n_unweighted": share.n, "n_effective": share.n_effective}
        people |= {"n_cell": events[-1], "df": int(design.degrees_of_freedom(share.rows))}
        rows.append(_share_figure("percent", share, design=design, wave=side.wave, **people, **key))
    if len(shares) == 2 and min(share.n for _, share in shares) < BASE_FOR_TESTS:
        problem = problem or f"回答者が{BASE_FOR_TESTS}人に足りない年がある。"
    gap_key = {**key, "wave": later[1].wave, "n_cell": min(events, default=np.nan)}
    return [*rows, _wave_gap(shares, problem=problem, key=gap_key)]


def _wave_gap(
    shares: list[tuple[Design, _Share]], *, problem: str, key: dict[str, Any]
) -> dict[str, Any]:
    people = {
        "n_unweighted": min((share.n for _, share in shares), default=0),
        "n_effective": min((share.n_effective for _, share in shares), default=0.0),
    }
    if len(shares) < 2 or problem:
        return _difference(
            "difference_points", gap=np.nan, variance=np.nan, df=0, problem=problem, **people, **key
        )
    df = [int(design.degrees_of_freedom(share.rows)) for design, share in shares]
    variance = [
        _gap_variance(design, share, influence=share.influence, df=sum(df))
        for design, share in shares
    ]
    return _difference(
        "difference_points",
        gap=shares[0][1].value - shares[1][1].value,
        variance=sum(variance),
        df=sum(df),
        problem=problem,
        **people,
        **key,
    )


def compare_item_waves(
    design_now: Design,
    design_before: Design,
    *,
    now: tuple[int, Item, pd.DataFrame],
    before: tuple[int, Item, pd.DataFrame],
    by: Collection[tuple[Item, Item]] = (),
    base: str = "asked",
    confidence: float = 0.95,
    caveat: str = WAVE_CAVEAT,
) -> pd.DataFrame:
    """Compare one item of the study between two waves: base, labels, versions come from the items.

    The earlier wave's answers and groups enter under the codes that mean the same now; an answer
    or a net that means something else, whatever its code or name, is one of one wave only.

    Args:
        design_now: Design of the later wave.
        design_before: Design of the earlier wave.
        now: Year, item and respondents of the later wave.
        before: Year, item and respondents of the earlier wave.
        by: Domain variables both waves have: the later wave's item and the earlier one's.
        base: "asked" or "answered".
        confidence: Of intervals and verdicts.
        caveat: What every row says.

    Returns:
        As `compare_waves`.
    """
    (year, item, respondents), (year_before, item_before, people_before) = now, before
    same = match_answers(item, item_before)
    values = item_before.indicators(people_before, base=base)
    values = values.rename(columns=lambda code: same.get(code, f"{code}@{year_before}"))
    values = values.loc[:, ~values.columns.duplicated()]  # a net of one code is that code
    domains = {
        ours.name: people_before[theirs.name].map(match_answers(ours, theirs))
        for ours, theirs in by
    }
    return compare_waves(
        design_now,
        design_before,
        now=WaveSide(
            wave=year,
            indicators=item.indicators(respondents, base=base),
            by=respondents[[ours.name for ours, _ in by]],
            version=item.version,
        ),
        before=WaveSide(
            wave=year_before,
            indicators=values,
            by=pd.DataFrame(domains, index=people_before.index),
            version=item_before.version,
        ),
        item=item.name,
        labels={f"{code}@{year_before}": label for code, label in item_before.labels.items()}
        | item.labels,
        no_answer={*item.missing, NO_ANSWER},
        confidence=confidence,
        caveat=caveat,
    )
