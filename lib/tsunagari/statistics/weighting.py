"""How many people does each respondent stand for, and how sure does that leave us?

Post-stratification, raking on the cell table, trimming, weights as given; and `Design`, the one
object that carries weights and sampling design to every table and model. Formulas: docs/methods.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.errors import ConfigError, InputError, ModelError
from tsunagari.estimates import join
from tsunagari.statistics.calibration import TRIM_ACCEPTED, post_stratify, rake, rake_and_trim
from tsunagari.statistics.designs import (
    CERTAINTY,
    SHOWN_CELLS,
    Design,
    check_weights,
    factorise,
    joint_codes,
    sampling_fractions,
)
from tsunagari.study.settings import Collapse, Margin, Weighting

MARGIN_SUM_TOLERANCE = 1e-3  # relative gap between margin sums; smaller ones are rounding


# --- from a study's settings to a design ----------------------------------------------------------


def weigh_respondents(
    respondents: pd.DataFrame,
    targets: pd.DataFrame | Sequence[pd.DataFrame] | None,
    *,
    settings: Weighting,
    labels: Mapping[str, Mapping[str, str]] | None = None,
) -> Design:
    """Return the design with weights as the study file says.

    Args:
        respondents: One row a respondent, shape (n, any), with the variables of `settings`.
        targets: Population, columns the cell variables and `population` (persons). For raking
            either one table that holds every margin's variables, or one table a margin: first that
            of `cells`, then those of `margins`. None for method "given".
        settings: `study.config.weighting`: method, cells, strata, psu, fpc, base_weight,
            lonely_psu, sample_share, collapse, minimum_cell_n, trim_ratio, margins.
        labels: Label of every code of every cell variable, for messages.

    Returns:
        The design; weights in persons, rows in the order of `respondents`.

    Raises:
        InputError: A respondent has no value for a cell, a stratum or a PSU.
        ModelError: A base weight is missing, zero or negative; a cell has respondents and no
            population or the reverse; raking or trimming does not converge.
        ConfigError: Method, column or margins do not fit.

    Example:
        >>> people = pd.DataFrame({"region": ["N", "N", "S"]})
        >>> adults = pd.DataFrame({"region": ["N", "S"], "population": [100, 80]})
        >>> plan = Weighting(method="post_stratification", label="", cells=("region",))
        >>> weigh_respondents(people, adults, settings=plan).weights.tolist()
        [50.0, 50.0, 80.0]
    """
    if len(respondents) == 0:
        raise InputError("NO_RESPONDENTS")
    base = _base_weights(respondents, settings)
    units = _unit_columns(respondents, settings)
    if settings.method == "given":
        return Design(weights=base, scheme=f"given: {settings.base_weight}", **units)
    margins = _margins(respondents, targets, plan=settings, base=base, labels=labels or {})
    codes, totals = tuple(m.codes for m in margins), tuple(m.totals for m in margins)
    touched = np.zeros(len(base), dtype=bool)
    if settings.method == "post_stratification":
        weights = post_stratify(base, codes[0], totals=totals[0])
        _check_cap(weights, margins[0], plan=settings, labels=labels or {})
    elif settings.trim_ratio:
        weights, touched = rake_and_trim(base, codes, totals=totals, trim_ratio=settings.trim_ratio)
    else:
        weights = rake(base, codes, totals=totals)
    return Design(
        weights=weights,
        base_weights=base,
        margins=codes,
        totals=totals,
        parts=tuple(m.parts for m in margins),
        scheme=f"{settings.method}: " + " + ".join(join(m.by) for m in margins),
        cells=tuple(m.table for m in margins),
        n_trimmed=int(touched.sum()),
        **units,
    )


def alternative_designs(
    respondents: pd.DataFrame,
    targets: pd.DataFrame | Sequence[pd.DataFrame] | None,
    *,
    settings: Weighting,
    other_targets: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, Design]:
    """Return the study's design among those it could have chosen, for a table of sensitivity.

    Args:
        respondents: As for `weigh_respondents`.
        targets: As for `weigh_respondents`.
        settings: `study.config.weighting`.
        other_targets: Further tables of population by name, such as {"census 2020": ...}, each with
            every cell variable; used with the study's own method and cells.

    Returns:
        Designs by name: unweighted; then, for a calibrated study, post-stratified by each leading
        part of two or more cell variables, raked by the first two and each of the rest, the other
        targets; the study's own last.

    Raises:
        SurveyError: As `weigh_respondents`.
    """
    own = weigh_respondents(respondents, targets, settings=settings)
    ones = np.ones(own.n)
    bare = {"margins": (), "totals": (), "parts": (), "cells": (), "n_trimmed": 0}
    designs = [replace(own, weights=ones, base_weights=ones, scheme="unweighted", **bare)]
    if settings.method != "given":
        table = targets if isinstance(targets, pd.DataFrame) else targets[0]
        known = [name for name in settings.cells if name in table.columns]
        plain = settings.model_copy(
            update={"method": "post_stratification", "margins": (), "trim_ratio": None}
        )
        for length in range(2, len(known) + 1):
            variant = plain.model_copy(update={"cells": tuple(known[:length])})
            designs.append(weigh_respondents(respondents, table, settings=variant))
        if len(known) > 2:
            rest = tuple(Margin(by=(name,), targets="") for name in known[2:])
            raked = {"method": "raking", "cells": tuple(known[:2]), "margins": rest}
            variant = plain.model_copy(update=raked)
            designs.append(weigh_respondents(respondents, table, settings=variant))
        for name, other in (other_targets or {}).items():
            design = weigh_respondents(respondents, other, settings=settings)
            designs.append(replace(design, scheme=f"{design.scheme} ({name})"))
    named = {design.scheme: design for design in designs}
    named.pop(own.scheme, None)
    return named | {own.scheme: own}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Margin:
    by: tuple[str, ...]
    codes: np.ndarray
    totals: np.ndarray
    table: pd.DataFrame
    parts: np.ndarray | None


def _column(respondents: pd.DataFrame, name: str, *, key: str) -> pd.Series:
    if name not in respondents.columns:
        raise ConfigError("WEIGHTING_COLUMN", key=key, name=name)
    return respondents[name]


def _base_weights(respondents: pd.DataFrame, plan: Weighting) -> np.ndarray:
    if plan.base_weight is None:
        if plan.method == "given":
            raise ConfigError("WEIGHTING_BASE")
        return np.ones(len(respondents))
    column = _column(respondents, plan.base_weight, key="base_weight")
    base = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    rows = respondents["file_row"].to_numpy() if "file_row" in respondents.columns else None
    check_weights(base, name=plan.base_weight, file_rows=rows)
    return base


def _text(respondents: pd.DataFrame, names: Sequence[str], *, key: str) -> pd.DataFrame:
    """Return columns as strings; refuse rows without a value."""
    table = pd.DataFrame(
        {name: _column(respondents, name, key=key).astype("string") for name in names}
    )
    for name in names:
        missing = table[name].isna().to_numpy()
        if missing.any():
            where = np.flatnonzero(missing)[:SHOWN_CELLS]
            rows = respondents["file_row"].to_numpy()[where] if "file_row" in respondents else where
            shown = ", ".join(str(row) for row in rows)
            raise InputError("NO_CELL", name=name, n=int(missing.sum()), shown=shown)
    return table


def _unit_columns(respondents: pd.DataFrame, plan: Weighting) -> dict[str, Any]:
    """Return strata, PSUs and fpc of the design, lone strata collapsed."""
    units: dict[str, Any] = {}
    if plan.lonely_psu != "collapse":
        units["lonely_psu"] = plan.lonely_psu
    if plan.psu:
        units["psu"] = factorise(_text(respondents, [plan.psu], key="psu")[plan.psu])[0]
    if plan.fpc:
        column = _column(respondents, plan.fpc, key="fpc")
        units["fpc"] = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if not plan.strata:
        return units
    strata = _text(respondents, plan.strata, key="strata")
    declared = joint_codes([factorise(strata[name])[0] for name in strata])[0]
    units["strata"] = declared
    if plan.psu:  # a PSU is one within its own stratum, also after strata are merged
        units["psu"] = joint_codes((declared, units["psu"]))[0]
    if plan.lonely_psu != "collapse":
        return units
    certain = np.zeros(int(declared.max()) + 1, dtype=bool)
    if plan.fpc:
        n_psu = np.bincount(_stratum_of_units(declared, units.get("psu")))
        fraction = sampling_fractions(units["fpc"], strata=declared, n_psu=n_psu)
        certain = fraction > 1 - CERTAINTY
        population_units = n_psu / fraction
    units["strata"] = collapse_lone_strata(strata, psu=units.get("psu"), certain=certain[declared])
    if plan.fpc:
        merged = np.zeros(len(n_psu), dtype=np.int64)
        merged[declared] = units["strata"]
        units["fpc"] = np.bincount(merged, population_units)[units["strata"]]
    return units


def _stratum_of_units(strata: np.ndarray, psu: np.ndarray | None) -> np.ndarray:
    """Return the stratum code of each sampling unit."""
    return strata if psu is None else joint_codes((strata, psu))[1][:, 0]


def collapse_lone_strata(
    strata: pd.DataFrame, *, psu: np.ndarray | None = None, certain: np.ndarray | None = None
) -> np.ndarray:
    """Return stratum codes in which no stratum holds a single sampling unit.

    A lone stratum joins the smaller neighbour in the order of its last variable, first among those
    that agree in every other variable, else in the order of all.

    Args:
        strata: Stratum variables, shape (n, 1..m), no missing values.
        psu: Sampling unit code of each row, shape (n,), or None where each row is its own.
        certain: Rows of strata taken with certainty, bool, shape (n,): they add no variance, so
            they stay alone and nothing joins them.

    Returns:
        Codes, int, shape (n,).

    Raises:
        ModelError: There is a single sampling unit in all.

    Example:
        >>> table = pd.DataFrame({"region": list("NNNS"), "age": list("1123")})
        >>> collapse_lone_strata(table.iloc[:3]).tolist()
        [0, 0, 0]
    """
    factors = [factorise(strata[name])[0] for name in strata]
    codes, table = joint_codes(factors)
    n_units = np.bincount(_stratum_of_units(codes, psu), minlength=len(table))
    if n_units.sum() < 2:
        raise ModelError("ONE_SAMPLING_UNIT")
    free = np.ones(len(table), dtype=bool)
    if certain is not None:
        free[codes[certain]] = False
    parent = _merge_lone(table, n_units, free=free)
    return np.unique(parent, return_inverse=True)[1][codes]


def _merge_lone(table: np.ndarray, n_units: np.ndarray, *, free: np.ndarray) -> np.ndarray:
    """Return the stratum each stratum (rows of `table`, in order) is counted with."""
    parent = np.arange(len(table))
    while True:
        sizes = np.bincount(parent, n_units, minlength=len(table))
        lone = np.flatnonzero((sizes == 1) & free)
        if len(lone) == 0:
            return parent
        stratum = lone[0]
        others = np.flatnonzero((sizes > 0) & free & (np.arange(len(table)) != stratum))
        if len(others) == 0:
            raise ModelError("LONELY_PSU.merge_lone")
        kin = others[(table[others, :-1] == table[stratum, :-1]).all(axis=1)]
        pool = kin if len(kin) else others
        near = [*pool[pool < stratum][-1:], *pool[pool > stratum][:1]]
        parent[parent == stratum] = min(near, key=lambda other: (sizes[other], other))


def _margins(
    respondents: pd.DataFrame,
    targets: pd.DataFrame | Sequence[pd.DataFrame] | None,
    *,
    plan: Weighting,
    base: np.ndarray,
    labels: Mapping[str, Mapping[str, str]],
) -> list[_Margin]:
    """Return every margin with its codes and totals, checked against each other."""
    groups = [tuple(plan.cells)]
    if plan.method == "raking":
        groups += [tuple(margin.by) for margin in plan.margins]
    if not groups[0]:
        raise ConfigError("WEIGHTING_CELLS")
    tables = [targets] * len(groups) if isinstance(targets, pd.DataFrame) else list(targets or [])
    if len(tables) != len(groups):
        raise ConfigError("WEIGHTING_TARGETS", n=len(tables), n_2=len(groups))
    margins = [
        _margin(respondents, table, by=by, plan=plan, base=base, labels=labels)
        for by, table in zip(groups, tables, strict=True)
    ]
    return _match_sums(margins)


def _match_sums(margins: list[_Margin]) -> list[_Margin]:
    """Refuse margins whose sums differ; scale rounding gaps to the first margin's sum."""
    whole = margins[0].totals.sum()
    for margin in margins[1:]:
        other = margin.totals.sum()
        gap = 100 * abs(other / whole - 1)
        if gap > 100 * MARGIN_SUM_TOLERANCE:
            name, first = join(margin.by), join(margins[0].by)
            raise ConfigError(
                "MARGIN_SUM", name=name, other=other, first=first, whole=whole, gap=gap
            )
    return [replace(m, totals=m.totals * (whole / m.totals.sum())) for m in margins]


def _margin(
    respondents: pd.DataFrame,
    targets: pd.DataFrame,
    *,
    by: tuple[str, ...],
    plan: Weighting,
    base: np.ndarray,
    labels: Mapping[str, Mapping[str, str]],
) -> _Margin:
    population = _population(targets, by)
    sample = _text(respondents, by, key="cells")
    for rule in plan.collapse:
        sample = _collapse(sample, rule)
        population = _collapse(population, rule)
    population = population.groupby(list(by), as_index=False, sort=True)["population"].sum()
    shares = {v: {str(c) for c in codes} for v, codes in plan.sample_share.items()}
    shares = {v: codes for v, codes in shares.items() if v in by}
    if shares:
        population = _add_sample_shares(population, sample, base=base, shares=shares)
    both = pd.concat([population[list(by)], sample[list(by)]])
    parts = [factorise(both[name]) for name in by]
    codes, present = joint_codes([part[0] for part in parts])
    levels = {n: part[1][c] for n, part, c in zip(by, parts, present.T, strict=True)}
    n_known = len(population)
    totals = np.zeros(len(present))
    totals[codes[:n_known]] = population["population"].to_numpy(dtype=float)
    counts = np.bincount(codes[n_known:], minlength=len(present))
    table = pd.DataFrame(levels)
    _check_cells(table, totals=totals, counts=counts, plan=plan, labels=labels)
    kept = np.flatnonzero(counts)
    position = np.zeros(len(present), dtype=np.int64)
    position[kept] = np.arange(len(kept))
    table = table.iloc[kept].reset_index(drop=True)
    return _Margin(
        by=by,
        codes=position[codes[n_known:]],
        totals=totals[kept],
        table=table.assign(population=totals[kept]),
        parts=_estimated_parts(table, shares=shares),
    )


def _estimated_parts(table: pd.DataFrame, *, shares: Mapping[str, set[str]]) -> np.ndarray | None:
    """Return block and group of every cell (2, n_cells) where some shares are the sample's.

    The categories that the population knows are one block of their group, every other its own.
    """
    unknown = np.zeros(len(table), dtype=bool)
    for name, codes in shares.items():
        unknown |= table[name].isin(codes).to_numpy()
    if not unknown.any():
        return None
    by = [name for name in table if name not in shares]
    group = table.groupby(by).ngroup().to_numpy() if by else np.zeros(len(table), dtype=np.int64)
    return np.stack([np.where(unknown, group.max() + 1 + np.arange(len(table)), group), group])


def _population(targets: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    missing = [name for name in (*by, "population") if name not in targets.columns]
    if missing:
        names = ", ".join(missing)
        raise ConfigError("TARGET_COLUMN", names=names)
    population = targets[[*by, "population"]].copy()
    population[list(by)] = population[list(by)].astype("string")
    values = pd.to_numeric(population["population"], errors="coerce").astype(float)
    bad = ~(values >= 0) | ~np.isfinite(values) | population[list(by)].isna().any(axis=1)
    if bad.any() or values.sum() == 0:
        n_bad = int(bad.sum()) or len(bad)
        raise ConfigError("TARGET_NOT_NUMBER", n_bad=n_bad)
    population["population"] = values
    return population


def _collapse(table: pd.DataFrame, rule: Collapse) -> pd.DataFrame:
    """Return the table with the rule's codes merged into one, where its condition holds."""
    if not {rule.variable, *rule.where} <= {*table.columns}:
        return table
    hit = table[rule.variable].isin(rule.codes)
    for name, codes in rule.where.items():
        hit &= table[name].isin(codes)
    merged = table.copy()
    merged.loc[hit, rule.variable] = "+".join(rule.codes)
    return merged


def _add_sample_shares(
    population: pd.DataFrame,
    sample: pd.DataFrame,
    *,
    base: np.ndarray,
    shares: Mapping[str, set[str]],
) -> pd.DataFrame:
    """Give categories the population does not know the sample's own share of their group.

    In each group of the other variables a listed category keeps its base-weighted share of the
    group's respondents; the categories the population knows share the rest in proportion.
    """
    by = list(sample.columns)
    group_by = [name for name in by if name not in shares]
    unknown = np.zeros(len(sample), dtype=bool)
    known = population.copy()
    for name, codes in shares.items():
        unknown |= sample[name].isin(codes).to_numpy()
        known = known[~known[name].isin(codes)]
    rows = sample.assign(_base=base, _all="")
    known = known.assign(_all="")
    group = ["_all", *group_by]
    n_group = known.groupby(group)["population"].sum().rename("_group_population")
    d_group = rows.groupby(group)["_base"].sum().rename("_group_base")
    odd = rows[unknown].groupby(["_all", *by], as_index=False)["_base"].sum()
    odd = odd.join(d_group, on=group).join(n_group, on=group)
    odd["population"] = odd["_base"] / odd["_group_base"] * odd["_group_population"].fillna(0)
    taken = odd.groupby(group)["population"].sum().rename("_taken")
    known = known.join(taken, on=group).join(n_group, on=group)
    whole = known["_group_population"].where(known["_group_population"] > 0, 1.0)
    rest = 1 - known["_taken"].fillna(0) / whole
    # A group of unknown categories alone leaves its known cells empty: the check below names them.
    known["population"] *= rest.where(rest > MARGIN_SUM_TOLERANCE * 1e-6, 1.0)
    return pd.concat([known[[*by, "population"]], odd[[*by, "population"]]], ignore_index=True)


def _name_cells(
    table: pd.DataFrame, which: np.ndarray, labels: Mapping[str, Mapping[str, str]]
) -> str:
    names = []
    for _, row in table[which].head(SHOWN_CELLS).iterrows():
        parts = []
        for variable in table.columns:
            code = row[variable]
            label = labels.get(variable, {}).get(code)
            parts.append(f"{variable}={code}" + (f" ({label})" if label else ""))
        names.append(join(parts))
    more = int(which.sum()) - len(names)
    return "; ".join(names) + (f"; +{more}" if more > 0 else "")


def _check_cells(
    table: pd.DataFrame,
    *,
    totals: np.ndarray,
    counts: np.ndarray,
    plan: Weighting,
    labels: Mapping[str, Mapping[str, str]],
) -> None:
    """Refuse cells with respondents and no population, and the reverse, and thin ones."""
    no_people = (counts > 0) & (totals <= 0)
    if no_people.any():
        cells = _name_cells(table, no_people, labels)
        raise ModelError("CELL_WITHOUT_POPULATION", n=int(no_people.sum()), cells=cells)
    empty = (counts == 0) & (totals > 0)
    if empty.any():
        cells = _name_cells(table, empty, labels)
        raise ModelError("CELL_WITHOUT_RESPONDENTS", n=int(empty.sum()), cells=cells)
    thin = (counts > 0) & (counts < plan.minimum_cell_n)
    for variable, codes in plan.sample_share.items():
        if variable in table.columns:
            thin &= ~table[variable].isin([str(code) for code in codes]).to_numpy()
    if thin.any():
        cells = _name_cells(table, thin, labels)
        raise ModelError(
            "CELL_TOO_THIN", minimum_cell_n=plan.minimum_cell_n, n=int(thin.sum()), cells=cells
        )


def _check_cap(
    weights: np.ndarray,
    margin: _Margin,
    *,
    plan: Weighting,
    labels: Mapping[str, Mapping[str, str]],
) -> None:
    """Under post-stratification a cap cannot be kept: name the cells to collapse."""
    if not plan.trim_ratio:
        return
    over = weights > plan.trim_ratio * weights.mean() * (1 + TRIM_ACCEPTED)
    if over.any():
        which = np.bincount(margin.codes[over], minlength=len(margin.totals)) > 0
        cells = _name_cells(margin.table[list(margin.by)], which, labels)
        raise ModelError("CAP_NEEDS_COLLAPSE", n=int(which.sum()), cells=cells)


# --- diagnostics ----------------------------------------------------------------------------------


def kish_design_effect(weights: np.ndarray) -> float:
    """Return n * sum(w^2) / (sum w)^2, the cost of unequal weights.

    References:
        Kish (1992), Weighting for unequal P_i, Journal of Official Statistics 8(2).

    Example:
        >>> kish_design_effect(np.array([1.0, 1.0, 2.0]))  # 3 * 6 / 16
        1.125
    """
    return float(len(weights) * np.square(weights).sum() / weights.sum() ** 2)


def diagnose_weights(design: Design) -> pd.DataFrame:
    """Return the weights' diagnostics as rows of the estimates table.

    Args:
        design: Weights and design.

    Returns:
        One row a measure: n_respondents, population, design_effect (Kish), n_effective, weight_min,
        weight_max, weight_ratio (largest to smallest), weight_cv, n_trimmed. Weights as given are
        on a scale of their own: no population, and unit ratio.
    """
    weights = design.weights
    effect = kish_design_effect(weights)
    unit = "persons" if design.margins else "ratio"
    figures = [
        ("n_respondents", "respondents", design.n, "回答者"),
        ("design_effect", "ratio", effect, "重みによるデザイン効果（Kish）"),
        ("n_effective", "respondents", design.n / effect, "有効な回答者数（Kish）"),
        ("weight_min", unit, weights.min(), "最小の重み"),
        ("weight_max", unit, weights.max(), "最大の重み"),
        ("weight_ratio", "ratio", weights.max() / weights.min(), "最大の重み÷最小の重み"),
        ("weight_cv", "ratio", weights.std() / weights.mean(), "重みの変動係数"),
        ("n_trimmed", "respondents", design.n_trimmed, "上限で切り下げた重み"),
    ]
    if design.margins:
        figures.insert(1, ("population", "persons", weights.sum(), "重みの合計"))
    rows = pd.DataFrame(figures, columns=["measure", "unit", "estimate", "item_label"])
    return rows.assign(
        table_id="weights",
        domain="all",
        domain_value="all",
        item="weight",
        item_value="",
        estimate=rows["estimate"].astype(float),
        n_unweighted=design.n,
        n_effective=design.n / effect,
        weighting=design.scheme,
    )


def margins_before_after(design: Design) -> pd.DataFrame:
    """Return target, base-weighted and achieved population of every cell of every margin.

    Args:
        design: A calibrated design from `weigh_respondents`.

    Returns:
        Columns margin, cell, n_unweighted, target_persons, before_persons (base weights brought to
        the same total), after_persons, variance_share (the cell's part of the sum of squared
        weights: what drives Kish's design effect), design_weight_mean (persons per respondent).
        Empty for a design without calibration.
    """
    parts = []
    for codes, totals, table in zip(design.margins, design.totals, design.cells, strict=True):
        variables = [name for name in table.columns if name != "population"]
        n_cells = len(totals)
        before = np.bincount(codes, design.base_weights, minlength=n_cells)
        counts = np.bincount(codes, minlength=n_cells)
        after = np.bincount(codes, design.weights, minlength=n_cells)
        squares = np.bincount(codes, np.square(design.weights), minlength=n_cells)
        part = {
            "margin": join(variables),
            "cell": table[variables].agg(join, axis=1),
            "n_unweighted": counts,
            "target_persons": totals,
            "before_persons": before / before.sum() * totals.sum(),
            "after_persons": after,
            "variance_share": squares / squares.sum(),
            "design_weight_mean": after / counts,
        }
        parts.append(pd.DataFrame(part))
    columns = (
        "margin cell n_unweighted target_persons before_persons after_persons variance_share "
        "design_weight_mean"
    ).split()
    nothing = pd.DataFrame(columns=columns).astype(dict.fromkeys(columns[2:], float))
    return pd.concat(parts, ignore_index=True) if parts else nothing


def tabulate_weights(respondents: pd.DataFrame, design: Design) -> pd.DataFrame:
    """Return the table `private/weights.parquet`: respondent_id, base_weight, weight."""
    return pd.DataFrame(
        {
            "respondent_id": respondents["respondent_id"].to_numpy(),
            "base_weight": design.base_weights,
            "weight": design.weights,
        }
    )
