"""What the questionnaire says of its own tables: nets, filters, merged answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tsunagari.study.codebook import NO_ANSWER, parse_condition
from tsunagari.study.survey import Study

# --- what the questionnaire says about its own tables ---------------------------------------------

OUTSIDE = "~"  # as a code: the people whom an axis leaves out
Key = tuple[tuple[str, str], ...]  # sorted (variable, code) pairs: who is counted
# An item's nodes in one domain, by domain, item and node of the base.
Blocks = dict[tuple[Key, str, int], dict[Key, int]]


@dataclass(frozen=True)
class Questionnaire:
    """What anybody may know of the variables: the attacker reads it in the report's own appendix.

    Attributes:
        nets: Codes of every net, by variable and net.
        missing: Codes that are not an answer, by variable.
        multiple: Multi-answer items; each of their options is a yes or no of its own.
        exclusive: Codes of a multi-answer item that exclude the others.
        sensitive: Items under the higher threshold.
        areas: Variables that name an area below the prefecture.
        indicators: Item and codes of every indicator.
        asked_if: For items that not everybody was asked: the conditions that led to them, all of
            which must hold, each as the (variable, code) pairs of which one must.
        outside: Codes of an axis that have no weighting cell, or are no answer.
        codes: Every code and net of a variable; empty where nothing is known.
        bands: Code -> (from, to) of variables that band one number, by (number, variable).
        classes: (variable, code) of a merged variable -> the (source, net) that counts the same.
    """

    nets: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    missing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    multiple: frozenset[str] = frozenset()
    exclusive: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sensitive: frozenset[str] = frozenset()
    areas: frozenset[str] = frozenset()
    indicators: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    asked_if: dict[str, tuple[Key, ...]] = field(default_factory=dict)
    outside: dict[str, tuple[str, ...]] = field(default_factory=dict)
    codes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    bands: dict[tuple[str, str], dict[str, tuple[float, float]]] = field(default_factory=dict)
    classes: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)


def read_questionnaire(study: Study) -> Questionnaire:
    """Return what study.yaml and the codebook say about the variables of the tables."""
    if not study.has_survey:
        return Questionnaire()
    items = study.items
    shares = study.config.weighting.sample_share
    axes = sorted({name for axis in study.axes for name in axis})
    region = study.config.design.region
    bands = {
        (rule.bands_of, name): {
            band.code: (
                -np.inf if band.from_ is None else band.from_,
                np.inf if band.to is None else band.to,
            )
            for band in rule.bands
        }
        for name, rule in study.config.derive.items()
        if rule.kind == "bands"
    }
    nets = {n: {net: codes for net, (_, codes) in i.nets.items()} for n, i in items.items()}
    classes = _merged_classes(study, nets)
    axes = sorted({*axes, *(source for (name, _), (source, _) in classes.items() if name in axes)})
    return Questionnaire(
        nets=nets,
        classes=classes,
        missing={n: (*i.missing, NO_ANSWER) for n, i in items.items()},
        multiple=frozenset(n for n, i in items.items() if i.kind == "MA"),
        exclusive={n: i.exclusive for n, i in items.items() if i.exclusive},
        sensitive=frozenset(n for n, i in items.items() if i.sensitive),
        areas=frozenset({region}),
        indicators={n: (i.item, i.codes) for n, i in study.config.indicators.items()},
        asked_if=_asked_if(study),
        outside={n: (*shares.get(n, ()), *items[n].missing, NO_ANSWER) for n in axes if n in items},
        codes={n: tuple(i.labels) for n, i in items.items()},
        bands=bands,
    )


def _merged_classes(
    study: Study, nets: dict[str, dict[str, tuple[str, ...]]]
) -> dict[tuple[str, str], tuple[str, str]]:
    """Return what each class and net of a merged variable counts, adding to its source's nets.

    A class is a sum of its source's codes: shown beside them it gives away the one that is hidden,
    so both must be one system.
    """
    found = {}
    for name, rule in study.config.derive.items():
        if rule.kind != "recode":
            continue
        known = nets.setdefault(rule.recode_of, {})
        classes = {each.code: each.of for each in rule.classes}
        for net, codes in nets.get(name, {}).items():
            classes[net] = tuple(of for code in codes for of in classes[code])
        for each, of in classes.items():
            same = [net for net, codes in known.items() if set(codes) == set(of)]
            code = of[0] if len(of) == 1 else (same or [f"{name}:{each}"])[0]
            if len(of) > 1:
                known[code] = of
            found[name, each] = (rule.recode_of, code)
        found[name, NO_ANSWER] = (rule.recode_of, NO_ANSWER)
    return found


def _asked_if(study: Study) -> dict[str, tuple[Key, ...]]:
    """Return the conditions of every filtered item; one on an option not chosen is left out."""
    columns, codes = study.codebook.columns, study.codebook.codes
    options = codes[codes["variable"].map(columns["type"]) == "MA"]
    chosen = {
        row["variable"]: (f"{row['item']}={row['code']}", "1") for _, row in options.iterrows()
    }
    found = {}
    for variable, row in columns[columns["ask_if"] != ""].iterrows():
        conditions = [
            tuple((name, code) for code in of) if name not in chosen else (chosen[name],)
            for name, of in parse_condition(row["ask_if"], where=str(variable))
            if name not in chosen or of == ("1",)
        ]
        found[row["item"]] = tuple(conditions)
    for name, rule in study.config.derive.items():
        if (source := rule.recode_of or rule.bands_of) in found:
            found[name] = found[source]
    return {item: conditions for item, conditions in found.items() if conditions}


def is_no_answer(key: Key, questionnaire: Questionnaire) -> bool:
    """Return whether a node counts people without an answer: no answer of theirs is told."""
    return any(
        code in questionnaire.missing.get(name, (NO_ANSWER,)) or name.endswith(f"={NO_ANSWER}")
        for name, code in key
    )
