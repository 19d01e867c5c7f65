"""How many people are there in each cell: a study's targets, and the official files they come from.

The register (住民基本台帳) and the census (国勢調査, table 2-7) are read in the layout in which
e-Stat gives them out; `make_targets` turns either into the cells of a study.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tsunagari.errors import ConfigError, InputError, SurveyError, show_rows
from tsunagari.estimates import join
from tsunagari.study.official import (
    NOT_PUBLISHED,
    read_census_2_7,
    read_estat_csv,
    read_register_workbook,
)
from tsunagari.study.settings import Band
from tsunagari.study.survey import Study

# --- targets of a study -------------------------------------------------------------------------


def load_targets(study: Study) -> pd.DataFrame | list[pd.DataFrame] | None:
    """Return the population a study weights to.

    Args:
        study: The wave; `weighting` names cells, margins and their files: a CSV of the cells, or
            an official file as downloaded (.xlsx, .xls, or FEH_....csv), whose municipalities and
            ages become the study's regions and bands.

    Returns:
        Columns the cell variables and `population` (persons), one row a cell; for raking with
        margins a list, the cells first; None where the weights are given.

    Raises:
        ConfigError: A file is missing, lacks a column or a cell, holds a cell twice, a code the
            study does not know or a number that is no population, or is of another date or area.
    """
    plan = study.config.weighting
    if plan.method == "given" or plan.targets is None:
        return None
    cells = _load_cells(study, plan.targets, by=plan.cells)
    if not plan.margins:
        return cells
    return [cells, *(_load_cells(study, m.targets, by=m.by) for m in plan.margins)]


def load_population(study: Study) -> pd.DataFrame:
    """Return the population by weighting cell, on which fieldwork is planned.

    Args:
        study: The wave.

    Returns:
        The cell variables and `population` (persons), one row a cell.

    Raises:
        ConfigError: The study's weights are given, so that it has no population; else as
            `load_targets`.
    """
    targets = load_targets(study)
    if targets is None:
        raise ConfigError("POPULATION_MISSING", name=study.name)
    return targets[0] if isinstance(targets, list) else targets


def load_other_targets(study: Study) -> dict[str, pd.DataFrame]:
    """Return further populations by name, to see what the choice of population does.

    Args:
        study: The wave; `weighting.other_targets` names the files.

    Returns:
        Tables as `load_targets` gives them.

    Raises:
        ConfigError: As `load_targets`.
    """
    plan = study.config.weighting
    return {
        label: _load_cells(study, name, by=plan.cells) for label, name in plan.other_targets.items()
    }


def target_mistakes(study: Study) -> list[tuple[str, SurveyError]]:
    """Return every mistake in the files of population, with the file's name."""
    plan = study.config.weighting
    used = [(plan.targets, plan.cells)] if plan.targets and plan.method != "given" else []
    used += [(margin.targets, margin.by) for margin in plan.margins]
    used += [(name, plan.cells) for name in plan.other_targets.values()]
    found: list[tuple[str, SurveyError]] = []
    for name, by in used:
        try:
            found += [(name, mistake) for mistake in _inspect_cells(study, name, by=by)[1]]
        except SurveyError as error:
            found.append((name, error))
    return found


def _load_cells(study: Study, name: str, *, by: Sequence[str]) -> pd.DataFrame:
    cells, mistakes = _inspect_cells(study, name, by=by)
    for mistake in mistakes:
        raise mistake
    return cells


def _inspect_cells(
    study: Study, name: str, *, by: Sequence[str]
) -> tuple[pd.DataFrame, list[ConfigError]]:
    """Return the cells of a file and its mistakes; it raises what cannot be read at all."""
    path = study.raw_dir / name
    if not path.exists():
        raise ConfigError("TARGETS_MISSING", name=name)
    if path.suffix != ".csv" or name.startswith("FEH_"):
        cells = _official_cells(study, path, by=by)
        return cells, _check_cells(cells, cells.index, study=study, name=name)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ConfigError("TARGETS_UNREADABLE", name=name) from error
    lacking = [column for column in (*by, "population") if column not in table.columns]
    if lacking:
        listed = ", ".join(lacking)
        raise ConfigError("TARGETS_COLUMNS", name=name, columns=listed)
    table.index = pd.RangeIndex(2, len(table) + 2)
    mistakes = _check_vintage(table, study=study, name=name)
    numbers = pd.to_numeric(table["population"].str.replace(",", ""), errors="coerce")
    bad = table.index[~(np.isfinite(numbers) & (numbers >= 0))]
    if len(bad):
        mistakes.append(ConfigError("TARGETS_NUMBER", name=name, rows=show_rows(bad)))
    cells = table[list(by)].assign(population=numbers).reset_index(drop=True)
    return cells, mistakes + _check_cells(cells, table.index, study=study, name=name)


def _official_cells(study: Study, path: Path, *, by: Sequence[str]) -> pd.DataFrame:
    """Return the cells of a study out of an official file as downloaded."""
    design, area = study.config.design, study.config.area
    regions = {code: region.municipalities for code, region in study.config.regions.items()}
    wanted = [name for names in regions.values() for name in names]
    prefecture = area if area.endswith(("都", "道", "府", "県")) else None
    sexes = study.items[design.sex].options if design.sex else {}
    first = {label[0]: code for code, label in reversed(sexes.items()) if label}
    table = make_targets(
        read_official(path, prefecture=prefecture, municipalities=wanted),
        regions=regions,
        bands=study.config.derive[design.age_band].bands,
        sexes={"male": first.get("男", "male"), "female": first.get("女", "female")},
    )
    names = {"region": design.region, "age_band": design.age_band, "sex": design.sex or "sex"}
    table = table.rename(columns=names)
    lacking = ", ".join(name for name in by if name not in table.columns)
    if lacking:
        raise ConfigError("TARGETS_COLUMNS.official", name=path.name, columns=lacking)
    return table.groupby(list(by), as_index=False)["population"].sum()


def read_official(
    path: Path, *, prefecture: str | None, municipalities: Iterable[str]
) -> pd.DataFrame:
    """Read whichever official file this is: the register, census table 2-7, or an e-Stat CSV."""
    if path.suffix == ".csv":
        return read_estat_csv(path, municipalities=municipalities)
    try:
        return read_census_2_7(path, prefecture=prefecture, municipalities=municipalities)
    except InputError as error:
        if error.code != "POPULATION_SHEET":
            raise
    return read_register_workbook(path, prefecture=prefecture, municipalities=municipalities)


def _check_vintage(table: pd.DataFrame, *, study: Study, name: str) -> list[ConfigError]:
    """Where the table says its date or area, they must be the study's."""
    expected = {"population_date": study.wave.population_date, "area": study.config.area}
    return [
        ConfigError("TARGETS_VINTAGE", name=name, column=column, wanted=wanted)
        for column, wanted in expected.items()
        if column in table.columns and wanted and set(table[column]) != {wanted}
    ]


def _check_cells(
    cells: pd.DataFrame, rows: pd.Index, *, study: Study, name: str
) -> list[ConfigError]:
    """Every cell once, every code known, every combination there."""
    by = [column for column in cells.columns if column != "population"]
    shares = study.config.weighting.sample_share
    wanted, mistakes = {}, []
    for variable in by:
        item = study.items[variable]
        codes = [code for code in item.options if code not in shares.get(variable, ())]
        if variable == study.config.design.region and study.config.regions:
            codes = [code for code in codes if code in study.config.regions]
        wanted[variable] = codes
        unknown = ~cells[variable].isin([*codes, *shares.get(variable, ())])
        if unknown.any():
            bad = show_rows(rows[unknown])
            mistakes.append(ConfigError("TARGETS_CODE", name=name, rows=bad, variable=variable))
    twice = cells.duplicated(by)
    if twice.any():
        bad = show_rows(rows[twice])
        mistakes.append(ConfigError("TARGETS_REPEATED", name=name, rows=bad))
    full = pd.MultiIndex.from_product(list(wanted.values()), names=by)
    absent = full.difference(pd.MultiIndex.from_frame(cells[by]))
    if len(absent):
        listed = "; ".join(join(cell) for cell in absent[:5])
        told = {"name": name, "n": len(absent), "cells": listed}
        mistakes.append(ConfigError("TARGETS_CELL_MISSING", **told))
    return mistakes


# --- from official ages to a study's cells ------------------------------------------------------


def make_targets(
    population: pd.DataFrame,
    *,
    regions: Mapping[str, Iterable[str]],
    bands: Iterable[Band],
    sexes: Mapping[str, str],
) -> pd.DataFrame:
    """Return people by region, age band and sex out of municipalities and five-year ages.

    A class that a band cuts is shared out by years of age, as if each held as many people: 16-19
    takes four fifths of 15-19 (docs/assumptions.md). People whose age is not published are left
    out.

    Args:
        population: From a reader above.
        regions: Municipalities by region code.
        bands: Age bands; an open one takes every older class.
        sexes: The study's code of "male" and of "female".

    Returns:
        region, age_band, sex, population in persons; one row a cell.

    Raises:
        ConfigError: A municipality belongs to no region or to two.
    """
    pairs = [(name, code) for code, names in regions.items() for name in names]
    to_region = dict(pairs)
    lacking = sorted(set(population["municipality"]) - set(to_region))
    if lacking or len(pairs) != len(to_region):
        listed = "・".join(lacking[:5])
        raise ConfigError("REGION_MAP", listed=listed)
    known = population[population["age_class"] != NOT_PUBLISHED]
    parts = []
    for band in bands:
        shares = {each: _share(each, band) for each in known["age_class"].unique()}
        people = known["population"] * known["age_class"].map(shares)
        parts.append(known.assign(population=people, age_band=band.code))
    table = pd.concat(parts, ignore_index=True)
    table["region"] = table["municipality"].map(to_region)
    table["sex"] = table["sex"].map(dict(sexes))
    order = {band.code: place for place, band in enumerate(bands)}
    cells = table.groupby(["region", "age_band", "sex"], as_index=False)["population"].sum()
    return cells.sort_values(
        ["region", "age_band", "sex"],
        key=lambda column: column.map(order) if column.name == "age_band" else column,
        ignore_index=True,
    )


def _share(ages: str, band: Band) -> float:
    """Return which part of an age class lies in a band, by years of age."""
    first = float(ages.rstrip("+").split("-")[0])
    if ages.endswith("+"):
        return float(band.from_ <= first and (band.to is None or band.to > first + 20))
    last = float(ages.split("-")[1])
    top = last if band.to is None else min(last, band.to)
    return max(0.0, top - max(first, band.from_) + 1) / (last - first + 1)
