"""Which tables does the study's plan ask for, and which figures stand in them?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tsunagari.errors import ModelError
from tsunagari.estimates import ESTIMATE_COLUMNS, INDICATOR_VALUE, join
from tsunagari.statistics.association import rao_scott
from tsunagari.statistics.comparison import compare_item
from tsunagari.statistics.designs import Design
from tsunagari.statistics.differences import differences
from tsunagari.statistics.domains import ROW_COLUMNS
from tsunagari.statistics.estimation import means, percents, sensitivity
from tsunagari.statistics.imputation import sensitivity_rows
from tsunagari.statistics.merging import binary_outcome
from tsunagari.statistics.models import ModelReport, model_outcome
from tsunagari.statistics.reliability import cronbach_alpha
from tsunagari.statistics.waves import compare_item_waves
from tsunagari.study.codebook import NO_ANSWER, Item
from tsunagari.study.survey import Study

_SEPARATOR = "\x1f"  # between item and item_value where they share one column name
_OUTSIDE = "~"  # the people in no domain of an axis


def _finish(parts: list[pd.DataFrame], study: Study, design: Design) -> pd.DataFrame:
    """Join parts into rows of the estimates table of this wave."""
    parts = [part for part in parts if len(part)] or parts[:1]
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.assign(wave=study.year, weighting=design.scheme)
    return rows.reindex(columns=ESTIMATE_COLUMNS)


def label_rows(rows: pd.DataFrame, item: Item, *, table_id: str) -> pd.DataFrame:
    """Return a question's rows under its name, with the answers' labels."""
    labels = rows["item_value"].map(item.labels).fillna(item.label)
    return rows.assign(table_id=table_id, item=item.name, item_label=labels)


def tabulated_items(study: Study) -> list[Item]:
    """Return the items whose answers are counted: SA, MA and derived bands."""
    asked = [i for i in study.items.values() if i.kind in ("SA", "MA", "derived")]
    return [item for item in asked if item.options]


# --- single tables --------------------------------------------------------------------------------


def tabulate_all(
    study: Study, respondents: pd.DataFrame, *, design: Design, items: Sequence[Item] = ()
) -> pd.DataFrame:
    """Return the GT table of every question, and the mean of every scale score.

    Args:
        study: The wave; its table plan names the base.
        respondents: Cleaned respondents, shape (n, any).
        design: Their weights and design, n rows.
        items: These questions alone, and no score.

    Returns:
        Rows of the estimates table, `table_id` gt_<item>: percent of every answer and net, mean of
        every sum score.
    """
    parts = []
    for item in items or tabulated_items(study):
        if item.name not in respondents:  # themes, before the texts are coded
            continue
        values = item.indicators(respondents, base=study.config.tables.base)
        if values.notna().to_numpy().any():
            rows = percents(design, values, confidence=study.config.marks.confidence)
            parts.append(label_rows(rows, item, table_id=f"gt_{item.name}"))
    for name, rule in study.config.derive.items():
        if not items and rule.kind == "sum" and respondents[name].notna().any():
            parts += _scale_rows(study, respondents, design=design, name=name, of=rule.sum_of)
    return _finish(parts, study, design)


def _scale_rows(
    study: Study, respondents: pd.DataFrame, *, design: Design, name: str, of: tuple[str, ...]
) -> list[pd.DataFrame]:
    """Return a scale's mean, and Cronbach's alpha where its sum varies."""
    item, table_id = study.items[name], f"gt_{name}"
    scores = respondents[[name]].astype("Float64").astype(float)
    mean = means(design, scores, confidence=study.config.marks.confidence)
    mean = label_rows(mean.assign(item_value="", unit="score"), item, table_id=table_id)
    if scores[name].nunique() < 2:
        return [mean]
    answers = {n: respondents[n].where(respondents[n].isin(study.items[n].options)) for n in of}
    alpha = cronbach_alpha(design, pd.DataFrame(answers).astype("Float64").astype(float))
    return [mean, alpha.assign(table_id=table_id, item=name, item_label="信頼性係数α")]


def joint_tables(study: Study, respondents: pd.DataFrame, *, design: Design) -> pd.DataFrame:
    """Return the share of people in every combination of two questions, and who they are.

    Who they are is told by region and by the coarse variables of the nested axes (age band and sex
    where there are none). Such a table of three variables is whole or not there: where a group has
    under `disclosure.threshold` people it is not made (SDC-1 P2), since from its other cells, the
    margins and the few who did not answer a hidden one could be told.

    Args:
        study: The wave; `tables.joint` names the pairs.
        respondents: Cleaned respondents, shape (n, any).
        design: Their weights and design, n rows.

    Returns:
        Rows of the estimates table, item_value "code x code": `table_id` joint_<one>_x_<other> of
        everybody, and cross_<axis>__<one>_x_<other>, each group also against the rest. Who did not
        answer both is outside the base, and a pair that nobody answered has no rows.
    """
    parts = [pd.DataFrame(columns=ESTIMATE_COLUMNS)]
    own = study.config.design
    nested = [name for axis in study.axes if len(axis) > 1 for name in axis]
    axes = dict.fromkeys([own.region, *(nested or [own.age_band, own.sex])])
    for pair in study.config.tables.joint:
        one, other = (study.items[name] for name in pair)
        left, right = (i.indicators(respondents, base="answered") for i in (one, other))
        values = {f"{a} x {b}": left[a] * right[b] for a in one.options for b in other.options}
        if not np.isfinite(next(iter(values.values()))).any():
            continue
        labels = {
            f"{a} x {b}": f"{x}・{y}"
            for a, x in one.options.items()
            for b, y in other.options.items()
        }
        name, table = join(pair), "_x_".join(pair)
        rows = percents(design, pd.DataFrame(values), confidence=study.config.marks.confidence)
        found = [rows.assign(item=name, table_id=f"joint_{table}")]
        columns = pd.concat({name: pd.DataFrame(values).reset_index(drop=True)}, axis=1)
        for axis in [axis for axis in axes if axis in study.items and axis not in pair]:
            frames = domain_frames(study, respondents, axis=[axis])
            rows = _percents_and_gaps(study, columns, design=design, frames=frames)
            if (rows["n_cell"] >= study.config.disclosure.threshold).all():
                found.append(rows.assign(table_id=f"cross_{axis}__{table}"))
        parts += [rows.assign(item_label=rows["item_value"].map(labels)) for rows in found]
    return _finish(parts, study, design)


def single_answer_sums(study: Study, single: pd.DataFrame) -> pd.Series:
    """Return the sum of percents over the codes of every single-answer question; each is 100.

    Args:
        study: The wave.
        single: Rows of `tabulate_all`.
    """
    rows = single[(single["measure"] == "percent") & (single["domain"] == "all")]
    items = {n: i for n, i in study.items.items() if i.kind in ("SA", "derived")}
    is_code = [
        item in items and value not in items[item].nets
        for item, value in zip(rows["item"], rows["item_value"], strict=True)
    ]
    return rows[is_code].groupby("item", sort=False)["estimate"].sum()


# --- cross tables ---------------------------------------------------------------------------------


def domain_frames(
    study: Study, respondents: pd.DataFrame, *, axis: list[str]
) -> list[pd.DataFrame]:
    """Return the domain variables of an axis: its categories, then the nets that the plan adds.

    Args:
        study: The wave.
        respondents: Cleaned respondents, shape (n, any).
        axis: Variables of the axis; who gave no answer on it, or a code that the population does
            not know, is in no domain. On an axis of one variable, a code with too few people is
            merged, with all of the finest net that has enough (SDC-1 P3, P4): fewer than the
            reference base, or, but for ages, than a twentieth of all and ten times the threshold:
            of such a group even a tenth would be hidden, and a large one with it.

    Returns:
        Frames of shape (n, len(axis)), text, missing outside every domain: the categories, and for
        an axis of one variable the nets of `tables.axis_nets`, those of one frame disjoint.
    """
    codes = respondents[axis].astype("string").reset_index(drop=True)
    outside = study.config.weighting.sample_share
    for name in axis:
        kept = [c for c in study.items[name].options if c not in outside.get(name, ())]
        codes[name] = codes[name].where(codes[name].isin(kept))
    if len(axis) > 1:
        return [codes]
    values = codes[axis[0]]
    nets = {net: of for net, (_, of) in study.items[axis[0]].nets.items()}
    disclosure, minimum_n = study.config.disclosure, study.config.disclosure.base_reference
    if axis != [study.config.design.age_band]:
        minimum_n = max(minimum_n, min(values.count() / 20, 10 * disclosure.threshold))
    merged = _merge_thin(values, nets=nets, minimum_n=minimum_n)
    layers: list[dict[str, str]] = []
    for net in study.config.tables.axis_nets.get(axis[0], ()):
        if net in merged.values():
            continue
        free = next((layer for layer in layers if not set(layer) & set(nets[net])), None)
        if free is None:
            free = {}
            layers.append(free)
        free |= dict.fromkeys(nets[net], net)
    frames = [values.replace(merged), *(values.map(layer) for layer in layers)]
    return [frame.astype("string").to_frame(axis[0]) for frame in frames]


def _merge_thin(
    values: pd.Series, *, nets: dict[str, tuple[str, ...]], minimum_n: int
) -> dict[str, str]:
    """Return the net, the finest with enough people, of every code with too few or beside one."""
    counts = values.value_counts()
    reaching = {n: of for n, of in nets.items() if counts.reindex(of).sum() >= minimum_n}
    thin = counts.index[counts < minimum_n]
    finest = (next((net for net, of in reaching.items() if code in of), None) for code in thin)
    needed = {net for net in finest if net}
    merged: dict[str, str] = {}
    for net in reaching:  # a wider net that is needed comes later, and holds the finer one
        if net in needed:
            merged |= dict.fromkeys(reaching[net], net)
    n_left = values.replace(merged).nunique()
    return merged if n_left > 1 else {}


def _answered_domains(values: pd.DataFrame, *, by: pd.DataFrame) -> np.ndarray:
    """Return in how many domains anybody answered, of every column (item, item_value), (k,)."""
    domains = by[by.notna().all(axis=1)].groupby(list(by)).ngroup()
    bases = {
        item: values[item].iloc[:, 0].notna().to_numpy()[domains.index]
        for item in values.columns.unique(level=0)
    }
    counts = {item: domains[base].nunique() for item, base in bases.items()}
    return values.columns.get_level_values(0).map(counts).to_numpy()


def _percents_and_gaps(
    study: Study,
    values: pd.DataFrame,
    *,
    design: Design,
    frames: list[pd.DataFrame],
) -> pd.DataFrame:
    """Return percents in every domain and their gaps to everybody else, one pass a frame.

    Everybody else counts those who gave no answer on the axis, so that a gap tells no more than the
    share and the total beside it. Where the axis leaves out a code that the population does not
    know, it is the other categories: rounded gaps would tell the answers of those few people.
    `values` has columns (item, item_value): all items share the pass.
    """
    confidence, shares = study.config.marks.confidence, study.config.weighting.sample_share
    is_whole = not any(set(shares.get(name, ())) - {NO_ANSWER} for name in frames[0])
    names = {_SEPARATOR.join(column): column for column in values.columns}
    flat = values.set_axis(list(names), axis=1)
    parts = []
    for by in frames:
        counts = _answered_domains(values, by=by)
        some, several = counts >= 1, counts >= 2
        if some.any():
            parts.append(percents(design, flat.loc[:, some], by=by, confidence=confidence))
        if several.any():
            everybody = by.mask(by.isna().any(axis=1) & is_whole, _OUTSIDE)
            gaps = differences(design, flat.loc[:, several], by=everybody, confidence=confidence)
            n = gaps["n_unweighted"]
            rest = n.groupby(gaps["item_value"]).transform("sum") - n
            is_tested = np.minimum(n, rest) >= study.config.disclosure.base_low
            gaps = gaps.assign(p_value=gaps["p_value"].where(is_tested))
            parts.append(gaps[gaps["domain_value"] != join([_OUTSIDE] * by.shape[1])])
    rows = pd.concat(parts or [pd.DataFrame()], ignore_index=True).reindex(columns=ROW_COLUMNS)
    columns = pd.DataFrame(rows["item_value"].map(names).tolist(), columns=["item", "item_value"])
    return rows.assign(item=columns["item"], item_value=columns["item_value"])


def cross_tables(
    study: Study,
    respondents: pd.DataFrame,
    *,
    design: Design,
    axes: list[list[str]] | None = None,
    crosses: Sequence[str] = (),
) -> pd.DataFrame:
    """Return every cross table of the plan, each domain also against the rest.

    A nested axis stands in `headline_table` alone: tables of three variables hide every count under
    10 (SDC-1 P2), and of an answer with many codes next to nothing would be left.

    Args:
        study: The wave; `tables.axes` of one variable by `tables.crosses`.
        respondents: Cleaned respondents, shape (n, any).
        design: Their weights and design, n rows.
        axes: Other axes than the plan's, with `crosses`.
        crosses: Multi-answer items along them.

    Returns:
        Rows of the estimates table, `table_id` cross_<axis>__<item>: measure percent, and
        difference_points against everybody else, tested where both sides have
        `disclosure.base_low` people (SDC-1 P3).
    """
    base = study.config.tables.base
    items = [study.items[name] for name in crosses or study.config.tables.crosses]
    values = {item.name: item.indicators(respondents, base=base) for item in items}
    parts = []
    for axis in _single_axes(study) if axes is None else axes:
        wanted = {name: table for name, table in values.items() if axis != [name]}
        if not wanted:
            continue
        together = pd.concat(wanted, axis=1).reset_index(drop=True)
        frames = domain_frames(study, respondents, axis=axis)
        rows = _percents_and_gaps(study, together, design=design, frames=frames)
        rows["table_id"] = f"cross_{'_x_'.join(axis)}__" + rows["item"]
        parts.append(rows)
    if not parts:
        return pd.DataFrame(columns=ESTIMATE_COLUMNS)
    rows = pd.concat(parts, ignore_index=True)
    labels = {item.name: item.labels for item in items}
    rows["item_label"] = [
        labels[name][value] for name, value in zip(rows["item"], rows["item_value"], strict=True)
    ]
    if axes is None:
        rows = pd.concat([rows, cross_tests(study, respondents, design=design)], ignore_index=True)
    return _finish([rows], study, design)


def _single_axes(study: Study) -> list[list[str]]:
    return [axis for axis in study.axes if len(axis) == 1]


def cross_tests(
    study: Study,
    respondents: pd.DataFrame,
    *,
    design: Design,
    axes: list[list[str]] | None = None,
    crosses: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the Rao-Scott test of every cross table of a single-answer question.

    Multi-answer questions have no test; each of their options is judged by itself.

    Args:
        study: The wave.
        respondents: Cleaned respondents, shape (n, any).
        design: Their weights and design, n rows.
        axes: Other axes than the plan's, with `crosses`.
        crosses: Items along them.

    Returns:
        One row a table, measure rao_scott_f: of the domains that the table shows by the answers.
        One side alone has no row.
    """
    parts = []
    items = [study.items[name] for name in crosses or study.config.tables.crosses]
    singles = [item for item in items if item.kind != "MA"]
    for axis in _single_axes(study) if axes is None else axes:
        frame = domain_frames(study, respondents, axis=axis)[0]
        domains = frame[axis[0]]
        for name in axis[1:]:
            domains = domains + " x " + frame[name]  # missing outside every domain
        for item in singles:
            answers = respondents[item.name].where(respondents[item.name].isin(item.options))
            answers = answers.reset_index(drop=True)
            both = pd.DataFrame({"row": domains, "column": answers}).dropna()
            if axis == [item.name] or (both.nunique() < 2).any():
                continue
            row = _test(design, domains, answers=answers)
            parts.append(
                row.assign(table_id=f"cross_{'_x_'.join(axis)}__{item.name}", item=item.name)
            )
    if not parts:
        return pd.DataFrame(columns=ESTIMATE_COLUMNS)
    tests = pd.concat(parts, ignore_index=True)
    tests = tests.assign(domain="all", domain_value="all", item_value="")
    tests["item_label"] = "クロス表の検定（Rao-Scott F）"
    return tests


def _test(design: Design, domains: pd.Series, *, answers: pd.Series) -> pd.DataFrame:
    """Return the test's row, or one without numbers that says why there is none."""
    try:
        return rao_scott(design, domains, columns=answers).drop(columns="df_numerator")
    except ModelError as error:
        row = {"measure": "rao_scott_f", "unit": "ratio", "p_value": np.nan, "reason": error.ja}
        return pd.DataFrame([row])


# --- indicators -----------------------------------------------------------------------------------


def indicator_values(study: Study, respondents: pd.DataFrame) -> pd.DataFrame:
    """Return one 0/1 column an indicator, NaN outside its base, shape (n, n_indicators)."""
    columns = {}
    for name, indicator in study.config.indicators.items():
        item = study.items[indicator.item]
        values = item.indicators(respondents, base=indicator.base)
        columns[name] = values[list(indicator.codes)].max(axis=1)
    return pd.DataFrame(columns, index=respondents.index).reset_index(drop=True)


def headline_table(study: Study, respondents: pd.DataFrame, *, design: Design) -> pd.DataFrame:
    """Return every indicator for everybody and along every axis.

    Args:
        study: The wave.
        respondents: Cleaned respondents, shape (n, any).
        design: Their weights and design, n rows.

    Returns:
        Rows of the estimates table, `table_id` headline, item the indicator's name, item_value
        "1"; along the axes also difference_points against everybody else.
    """
    values = indicator_values(study, respondents)
    overall = percents(design, values, confidence=study.config.marks.confidence)
    overall = overall.assign(item=overall["item_value"], item_value=INDICATOR_VALUE)
    values.columns = pd.MultiIndex.from_product([values.columns, [INDICATOR_VALUE]])
    parts = [overall.assign(table_id="headline")]
    # A nested axis gives its own margins away as sums: they stand here, and the gate sees them.
    nested = {name: None for axis in study.axes if len(axis) > 1 for name in axis}
    margins = [[name] for name in nested if [name] not in study.axes]
    for axis in [*study.axes, *margins]:
        frames = domain_frames(study, respondents, axis=axis)
        rows = _percents_and_gaps(study, values, design=design, frames=frames)
        own = {name for name, each in study.config.indicators.items() if axis == [each.item]}
        parts.append(rows[~rows["item"].isin(own)].assign(table_id="headline " + join(axis)))
    rows = pd.concat(parts, ignore_index=True)
    labels = {name: each.label for name, each in study.config.indicators.items()}
    rows = rows.assign(table_id="headline", item_label=rows["item"].map(labels))
    return _finish([rows], study, design)


def weighting_sensitivity(
    study: Study, respondents: pd.DataFrame, *, designs: dict[str, Design]
) -> pd.DataFrame:
    """Return every indicator under every weighting, side by side.

    Args:
        study: The wave.
        respondents: Cleaned respondents, shape (n, any).
        designs: Designs by name, from `weighting.alternative_designs`.

    Returns:
        Rows of the estimates table, `table_id` weights_sensitivity, `weighting` the design's name.
    """
    rows = sensitivity(designs, indicator_values(study, respondents))
    labels = {name: each.label for name, each in study.config.indicators.items()}
    rows = rows.assign(item=rows["item_value"], item_label=rows["item_value"].map(labels))
    rows = rows.assign(table_id="weights_sensitivity", wave=study.year, item_value=INDICATOR_VALUE)
    return rows.reindex(columns=ESTIMATE_COLUMNS)


# --- comparisons ----------------------------------------------------------------------------------


def national_tables(
    study: Study, respondents: pd.DataFrame, *, design: Design, benchmark: pd.DataFrame
) -> pd.DataFrame:
    """Return every mapped question beside the published national figures.

    Args:
        study: The wave; `benchmark.items` maps questions, the wave names the published year.
        respondents: Cleaned respondents, shape (n, any).
        design: Their weights and design, n rows.
        benchmark: The published figures in our names and codes (`benchmark.read_benchmark`).

    Returns:
        Rows of the estimates table, `table_id` national_<item>; empty for a study without a
        benchmark.
    """
    plan, year = study.config.benchmark, study.wave.benchmark_year
    if plan is None or year is None:
        return pd.DataFrame(columns=ESTIMATE_COLUMNS)
    axis = study.config.design.age_band
    axes = [each[0] for each in study.axes if len(each) == 1 and each != [axis]]
    parts = [
        compare_item(
            design,
            respondents,
            item=study.items[name],
            benchmark=benchmark,
            year=year,
            axis=axis,
            by=[each for each in axes if each != name],
            wave=study.year,
            confidence=study.config.marks.confidence,
            caveat=plan.caveat,
            nested=False,
        )
        for name in plan.items
    ]
    return pd.concat(parts, ignore_index=True).reindex(columns=ESTIMATE_COLUMNS)


def wave_tables(
    now: tuple[Study, pd.DataFrame, Design], before: tuple[Study, pd.DataFrame, Design]
) -> pd.DataFrame:
    """Return the change of every crossed question and indicator from one wave to the next.

    Args:
        now: The later wave: study, respondents, design.
        before: The earlier wave, likewise.

    Returns:
        Rows of the estimates table, `table_id` waves_<item>; a question whose version changed is
        cut, not compared.
    """
    (study, respondents, design), (study_before, respondents_before, design_before) = now, before
    region = study.config.design.region
    parts = [
        compare_item_waves(
            design,
            design_before,
            now=(study.year, study.items[name], respondents),
            before=(study_before.year, study_before.items[name], respondents_before),
            by=[(study.items[region], study_before.items[region])] if name != region else [],
            base=study.config.tables.base,
            confidence=study.config.marks.confidence,
        )
        for name in study.config.tables.crosses
        if name in study_before.items
    ]
    return pd.concat(parts, ignore_index=True).reindex(columns=ESTIMATE_COLUMNS)


# --- models ---------------------------------------------------------------------------------------


def model_sensitivity(
    study: Study,
    respondents: pd.DataFrame,
    *,
    design: Design,
    reports: dict[str, ModelReport],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return every model's marginal effects without weights, and with missing answers imputed.

    Args:
        study: The wave.
        respondents: Cleaned respondents, shape (n, any).
        design: Their weights and design.
        reports: From `model_tables`; an outcome whose model was withheld has no rows.
        rng: Source of chance of the imputations.

    Returns:
        Rows of the estimates table, `table_id` model_<outcome>__sensitivity.
    """
    parts = [pd.DataFrame(columns=ESTIMATE_COLUMNS)]
    for name, outcome in model_outcomes(study, respondents).items():
        report = reports[name]
        if report.model is not None:
            rows = sensitivity_rows(
                design,
                outcome,
                merged=report.merged,
                rng=rng,
                order=np.argsort(respondents["respondent_id"].to_numpy(str), kind="stable"),
                outcome_name=name,
                wave=study.year,
                confidence=study.config.marks.confidence,
            )
            parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def model_tables(
    study: Study,
    respondents: pd.DataFrame,
    *,
    design: Design,
    factors: pd.DataFrame,
    minimum_events_per_parameter: float,
    minimum_events_per_level: int,
) -> dict[str, ModelReport]:
    """Return the model of every outcome of the plan, all of the same people.

    Whom one model leaves out, for want of an answer to its outcome or for a level that is too thin
    there, no other takes in: its numbers less the other's would be the answers of few (SDC-1 P11).

    Args:
        study: The wave; `model` names outcomes and reference levels.
        respondents: Cleaned respondents, shape (n, any).
        design: Their weights and design, n rows.
        factors: From `models.build_factors`, shape (n, p).
        minimum_events_per_parameter: Events a coefficient.
        minimum_events_per_level: Events, and non-events, a level.

    Returns:
        A report an outcome, `table_id` model_<outcome>.
    """
    apart: dict[tuple[str, str], frozenset[str]] = {}
    while True:
        reports = {
            name: model_outcome(
                design,
                outcome,
                factors=factors,
                items={factor: study.items[factor] for factor in factors},
                outcome_name=name,
                wave=study.year,
                reference=study.config.model.reference,
                apart=apart,
                minimum_events_per_parameter=minimum_events_per_parameter,
                minimum_events_per_level=minimum_events_per_level,
                confidence=study.config.marks.confidence,
                point_threshold=study.config.marks.point_threshold,
            )
            for name, outcome in model_outcomes(study, respondents).items()
        }
        found = [report.merged.apart for report in reports.values() if report.merged]
        if all(each.keys() <= apart.keys() for each in found):
            return reports
        apart = apart | {level: codes for each in found for level, codes in each.items()}


def model_outcomes(study: Study, respondents: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the outcomes of the plan's models, 0/1 or NaN, each of shape (n,).

    Who was asked for one of them and gave no answer is in none.
    """
    outcomes = {}
    is_silent = np.zeros(len(respondents), dtype=bool)
    for name in study.config.model.outcomes:
        indicator = study.config.indicators[name]
        item = study.items[indicator.item]
        outcomes[name] = binary_outcome(item, respondents, codes=indicator.codes)
        asked = item.indicators(respondents).notna().any(axis=1).to_numpy()
        is_silent |= asked & np.isnan(outcomes[name])
    return {name: np.where(is_silent, np.nan, outcome) for name, outcome in outcomes.items()}


# --- for an analyst's eye -------------------------------------------------------------------------


def weight_bins(design: Design, *, n_bins: int = 8) -> pd.DataFrame:
    """Return how many respondents have which weight, as a multiple of the mean.

    Args:
        design: Weights, n rows.
        n_bins: Bins of equal width.

    Returns:
        Columns label (the bin's middle) and estimate (respondents), shape (n_bins, 2).
    """
    counts, edges = np.histogram(design.weights / design.weights.mean(), bins=n_bins)
    middles = (edges[:-1] + edges[1:]) / 2
    labels = [f"{middle:.2f}" for middle in middles]
    return pd.DataFrame({"label": labels, "estimate": counts.astype(float)})


def chart_rows(study: Study, headline: pd.DataFrame, *, domain: str) -> pd.DataFrame:
    """Return the first two indicators along one axis as rows of `figures.interval_dots`."""
    names = list(study.config.indicators)[:2]
    is_shown = (headline["domain"] == domain) & headline["item"].isin(names)
    rows = headline[is_shown & (headline["measure"] == "percent")]
    indicators = study.config.indicators
    return rows.assign(
        label=rows["domain_value"].map(study.items[domain].labels),
        series=rows["item"].map({name: indicators[name].short_label for name in names}),
    )
