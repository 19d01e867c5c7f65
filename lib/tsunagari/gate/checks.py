"""Which tables may not be released at all, however much is hidden?"""

from __future__ import annotations

from itertools import combinations, product

import pandas as pd

from tsunagari.errors import DisclosureError
from tsunagari.gate.linked import domain_pairs, is_counted, item_pairs, span_of
from tsunagari.gate.questionnaire import Questionnaire

MODEL_LEVEL_MINIMUM, MODEL_LEVEL_EVENTS_MINIMUM = 10, 5  # SDC-1 P15


# --- rows beside the tables -----------------------------------------------------------------------


def check_figures(estimates: pd.DataFrame, *, questionnaire: Questionnaire) -> None:
    """Refuse figures that no hiding of cells makes safe.

    Raises:
        DisclosureError: Extremes (P14), a share whose count is not known, overlapping bands (P10),
            a model with a level under 10 or under 5 by outcome (P15).
    """
    measure = estimates["measure"].fillna("")
    extreme = measure.isin(["minimum", "maximum", "min", "max", "outlier"])
    _refuse(extreme, estimates, key="EXTREME")
    ours = (measure == "percent") & estimates["estimate"].notna() & ~is_counted(estimates)
    _refuse(ours, estimates, key="NO_COUNT")
    term = measure.isin(["odds_ratio", "marginal_effect_points"])
    small = term & (
        (estimates["n_unweighted"] < MODEL_LEVEL_MINIMUM)
        | (estimates["n_cell"] < MODEL_LEVEL_EVENTS_MINIMUM)
    )
    _refuse(small, estimates, key="MODEL_LEVEL")
    check_bands(estimates, questionnaire=questionnaire)


def _refuse(bad: pd.Series, estimates: pd.DataFrame, *, key: str) -> None:
    if bad.any():
        named = estimates.loc[bad, ["table_id", "item"]].drop_duplicates().astype(str)
        listed = ", ".join(named.agg(".".join, axis=1).tolist()[:8])
        raise DisclosureError(key, n=int(bad.sum()), names=listed)


def check_bands(estimates: pd.DataFrame, *, questionnaire: Questionnaire) -> None:
    """Refuse two published categories that overlap without one holding the other (P10).

    Raises:
        DisclosureError: It names the variables and bands, or the codes' nets and classes.
    """
    spans = _used_spans(estimates, questionnaire=questionnaire)
    used = {name for name, _ in spans}
    bands = [
        (number, f"{name}.{code}", span)
        for (number, name), by_code in questionnaire.bands.items()
        if name in used
        for code, span in by_code.items()
    ]
    overlaps = {
        f"{name}, {other}"
        for (number, name, (low, high)), (same, other, (start, end)) in product(bands, bands)
        if number == same and low < start <= high < end
    }
    for (name, code), (same, other) in combinations(spans, 2):
        one, two = spans[name, code], spans[same, other]
        if name == same and one & two and not (one <= two or two <= one):
            overlaps.add(f"{name}.{code}, {name}.{other}")
    if overlaps:
        listed = "; ".join(sorted(overlaps)[:8])
        raise DisclosureError("DIFFERENCING", listed=listed)


def _used_spans(
    estimates: pd.DataFrame, *, questionnaire: Questionnaire
) -> dict[tuple[str, str], frozenset[str]]:
    """Return the codes of every category in the tables, by variable and category."""
    rows = estimates[is_counted(estimates)]
    pairs: set[tuple[str, str]] = set()
    for domain, value in set(zip(rows["domain"], rows["domain_value"], strict=True)):
        pairs |= set(domain_pairs(domain, value, questionnaire=questionnaire))
    for item, value in set(zip(rows["item"], rows["item_value"], strict=True)):
        pairs |= set(item_pairs(item, value, questionnaire=questionnaire))
    nets = questionnaire.nets
    return {(name, code): span_of(code, nets=nets.get(name, {})) for name, code in sorted(pairs)}
