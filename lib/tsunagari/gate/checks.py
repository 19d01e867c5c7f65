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
    _refuse(extreme, estimates, code="EXTREME", ja="最小値・最大値", en="a minimum or maximum")
    ours = (measure == "percent") & estimates["estimate"].notna() & ~is_counted(estimates)
    _refuse(
        ours, estimates, code="NO_COUNT", ja="人数の分からない割合", en="a share without its count"
    )
    term = measure.isin(["odds_ratio", "marginal_effect_points"])
    small = term & (
        (estimates["n_unweighted"] < MODEL_LEVEL_MINIMUM)
        | (estimates["n_cell"] < MODEL_LEVEL_EVENTS_MINIMUM)
    )
    _refuse(
        small,
        estimates,
        code="MODEL_LEVEL",
        ja="回答者の少ない区分",
        en="a level of too few people",
    )
    check_bands(estimates, questionnaire=questionnaire)


def _refuse(bad: pd.Series, estimates: pd.DataFrame, *, code: str, ja: str, en: str) -> None:
    if bad.any():
        named = estimates.loc[bad, ["table_id", "item"]].drop_duplicates().astype(str)
        listed = ", ".join(named.agg(".".join, axis=1).tolist()[:8])
        raise DisclosureError(
            code,
            f"{ja}は公表できません（{int(bad.sum())} 行）: {listed}。統合するか、外してください。",
            f"The tables named before hold {en} ({int(bad.sum())} rows): merge or leave it out.",
        )


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
        raise DisclosureError(
            "DIFFERENCING",
            f"区分が重なっています: {listed}。入れ子か別々にしてください。",
            "The categories named before overlap: make them nested or disjoint.",
        )


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
