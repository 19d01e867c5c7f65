"""Which variables are made from others: bands, sums, recoded answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from tsunagari.errors import ConfigError
from tsunagari.intake.columns import Coded
from tsunagari.study.codebook import NO_ANSWER, parse_condition
from tsunagari.study.settings import Derived
from tsunagari.study.survey import Study

# --- derived variables --------------------------------------------------------------------------


def derive_variables(respondents: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return respondents with the variables of study.yaml's `derive` added.

    Args:
        respondents: Coded respondents, shape (n, any), with the sources of every rule whose
            sources are all there; other rules are left out.
        study: The wave.

    Returns:
        Shape (n, any + k). Bands and merged answers are text, `no_answer` where a part has no
        answer, missing where a part was not asked; sums are Int64.

    Raises:
        ConfigError: A sum mixes scale versions, its range is not what the codes give, or rules go
            round in a circle.
    """
    derived: dict[str, pd.Series] = {}
    waiting = dict(study.config.derive)
    kinds = study.codebook.columns["type"]
    while waiting:
        ready = [n for n, rule in waiting.items() if not set(_sources(rule)) & set(waiting)]
        if not ready:
            names = ", ".join(waiting)
            raise ConfigError("DERIVE_CIRCLE", names=names)
        for name in ready:
            rule = waiting.pop(name)
            table = {**{n: respondents[n] for n in _inputs(rule, respondents, study)}, **derived}
            if not set(_sources(rule)) <= set(table):
                continue
            if rule.kind == "sum":
                derived[name] = _sum(name, rule, table=table, study=study)
            elif rule.kind == "bands":
                parts = study.config.derive.get(rule.bands_of)
                asked = _asked(table, parts.sum_of if parts else (rule.bands_of,), study=study)
                derived[name] = _bands(rule, table[rule.bands_of], asked=asked)
            elif kinds.get(rule.recode_of, "derived") != "MA":
                derived[name] = _recode(rule, table=table, study=study)
    return respondents.assign(**derived)


def _inputs(rule: Derived, respondents: pd.DataFrame, study: Study) -> list[str]:
    """Return the columns of respondents that a rule looks at: sources, their parts and filters."""
    names = _sources(rule)
    for name in names:
        if name in study.config.derive:
            names += _sources(study.config.derive[name])
        elif study.codebook.columns.loc[name, "ask_if"]:
            text = study.codebook.columns.loc[name, "ask_if"]
            names += [source for source, _ in parse_condition(text, where=name)]
    return [name for name in dict.fromkeys(names) if name in respondents.columns]


def _sources(rule: Derived) -> list[str]:
    return [name for name in (rule.bands_of, rule.recode_of, *rule.sum_of) if name]


def _asked(table: Mapping[str, pd.Series], names: Iterable[str], *, study: Study) -> np.ndarray:
    """Return who was asked all of these questions, shape (n,)."""
    asked = np.ones(len(next(iter(table.values()))), dtype=bool)
    kinds, conditions = study.codebook.columns["type"], study.codebook.columns["ask_if"]
    for name in names:
        if kinds.get(name) != "NUM":
            item = study.items.get(name)
            outside = table[name].isna() | table[name].isin(item.not_asked if item else ())
            asked &= ~outside.to_numpy(bool)
            continue
        for source, codes in parse_condition(conditions[name], where=name):
            if source in table:
                asked &= table[source].astype("str").isin(codes).to_numpy()
    return asked


def _bands(rule: Derived, values: pd.Series, *, asked: np.ndarray) -> pd.Series:
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    found = np.full(len(numbers), len(rule.bands), dtype=np.int16)
    for place, band in enumerate(rule.bands):
        highest = np.inf if band.to is None else band.to
        found[(numbers >= band.from_) & (numbers <= highest)] = place
    found[~asked & np.isnan(numbers)] = -1
    names = [*(band.code for band in rule.bands), NO_ANSWER]
    return pd.Series(Coded(tuple(names), found).to_text(slice(None)), index=values.index)


def _sum(name: str, rule: Derived, *, table: Mapping[str, pd.Series], study: Study) -> pd.Series:
    columns = study.codebook.columns
    scales = {str(columns.loc[item, "scale"]) for item in rule.sum_of if item in columns.index}
    wanted = {rule.scale} if rule.scale else scales
    if scales != wanted or len(scales) > 1:
        raise ConfigError("SCALE_MIXED", name=name, names=", ".join(sorted(scales)))
    codes = [[float(code) for code in study.items[item].options] for item in rule.sum_of]
    lowest, highest = sum(map(min, codes)), sum(map(max, codes))
    if rule.from_ not in (None, lowest) or rule.to not in (None, highest):
        raise ConfigError(
            "SCALE_RANGE", name=name, start=rule.from_, end=rule.to, lowest=lowest, highest=highest
        )
    index = table[rule.sum_of[0]].index
    total = np.zeros(len(index))
    for item in rule.sum_of:
        options = {code: float(code) for code in study.items[item].options}
        total += table[item].map(options).to_numpy(dtype=float, na_value=np.nan)
    return pd.Series(pd.array(total, dtype="Float64"), index=index).astype("Int64")


def _recode(rule: Derived, *, table: Mapping[str, pd.Series], study: Study) -> pd.Series:
    item = study.items[rule.recode_of]
    merged = {code: group.code for group in rule.classes for code in group.of}
    none = dict.fromkeys((*item.missing, *item.no_answer, NO_ANSWER), NO_ANSWER)
    return table[rule.recode_of].map({**none, **merged}).astype("str")
