"""Which circumstances go with loneliness, other things equal: a weighted logit of a survey.

Levels merge along the study's recode tree until the model can carry them, separation is found by
linear programming before anything is fitted, and every variance comes from the scores through the
design. What a sentence uses is the average marginal effect, in percentage points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.errors import ModelError
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.statistics.designs import Design
from tsunagari.statistics.effects import fact_rows, marginal_effect_rows, odds_ratio_rows, wald_rows
from tsunagari.statistics.logit import FittedLogit, SeparationError, fit_logit
from tsunagari.statistics.merging import (
    MINIMUM_EVENTS_PER_LEVEL,
    MINIMUM_EVENTS_PER_PARAMETER,
    MergedFactors,
    merge_levels,
)
from tsunagari.study.codebook import Item

# --- one call for a notebook --------------------------------------------------------------------


@dataclass(frozen=True)
class ModelReport:
    """What notebook 04 shows and saves for one outcome.

    Attributes:
        rows: Odds ratios, marginal effects, joint tests, facts; or one row that says why there is
            no model.
        merges: The log of merged levels.
        model: The fitted model, None when it was withheld.
        error: The error that withheld it, None otherwise.
        merged: The merged factors, for `sensitivity_rows`; None when merging failed.
    """

    rows: pd.DataFrame
    merges: pd.DataFrame
    model: FittedLogit | None
    error: ModelError | None = None
    merged: MergedFactors | None = None

    @property
    def summary(self) -> str:
        """One line for the analyst: the model's size, or why there is none."""
        if self.model is None:
            return str(self.error)
        n, p = self.model.matrix.shape
        return (
            f"{n}人、該当 {self.model.n_events}人、係数 {p - 1}個、"
            f"条件の区分1つあたり {self.model.events_per_parameter:.1f}人"
        )


def model_outcome(
    design: Design,
    outcome: np.ndarray,
    *,
    factors: pd.DataFrame,
    items: Mapping[str, Item],
    outcome_name: str,
    wave: int | None = None,
    reference: Mapping[str, str] | None = None,
    apart: Mapping[tuple[str, str], frozenset[str]] | None = None,
    minimum_events_per_parameter: float = MINIMUM_EVENTS_PER_PARAMETER,
    minimum_events_per_level: int = MINIMUM_EVENTS_PER_LEVEL,
    confidence: float = 0.95,
    point_threshold: float = 3.0,
) -> ModelReport:
    """Merge, fit and lay out one model; a model that cannot be fitted becomes a notice.

    Args:
        design: The survey design, n rows.
        outcome: 0/1, shape (n,), NaN where a person gave no answer.
        factors: From `build_factors`, shape (n, p).
        items: Items of the factors by name: labels and nets.
        outcome_name: Name of the indicator.
        wave: Survey year.
        reference: Level to compare with per factor.
        apart: Levels to leave out from the start, as for `merge_levels`.
        minimum_events_per_parameter: Events a coefficient.
        minimum_events_per_level: Events, and non-events, a level.
        confidence: Of the intervals.
        point_threshold: Smallest marked gap in points.

    Returns:
        Rows and log in the columns of the estimates table.
    """
    merging = {
        "nets": {name: items[name].nets for name in factors},
        "reference": reference,
        "apart": apart,
        "labels": {name: items[name].labels for name in factors},
        "minimum_events_per_parameter": minimum_events_per_parameter,
        "minimum_events_per_level": minimum_events_per_level,
    }
    merged, model, error = _merge_and_fit(
        design, outcome, factors=factors, outcome_name=outcome_name, merging=merging
    )
    merges = pd.DataFrame(columns=list(ESTIMATE_COLUMNS))
    if merged is not None:
        merges = merged.log.assign(wave=wave, weighting=design.scheme)
    if model is None:
        rows = _withheld_rows(error, outcome_name=outcome_name, wave=wave, scheme=design.scheme)
        return ModelReport(rows, merges, None, error, merged)
    common = {"wave": wave, "confidence": confidence}
    parts = [
        odds_ratio_rows(model, weighting=design.scheme, **common),
        marginal_effect_rows(design, model, point_threshold=point_threshold, **common),
        wald_rows(model, weighting=design.scheme, wave=wave),
        fact_rows(model, weighting=design.scheme, wave=wave),
    ]
    return ModelReport(pd.concat(parts, ignore_index=True), merges, model, None, merged)


def _merge_and_fit(
    design: Design,
    outcome: np.ndarray,
    *,
    factors: pd.DataFrame,
    outcome_name: str,
    merging: Mapping[str, Any],
) -> tuple[MergedFactors | None, FittedLogit | None, ModelError | None]:
    """Merge and fit; levels that separate the answers merge too, until none does."""
    separated: set[tuple[str, str]] = set()
    merged = None
    while True:
        try:
            merged = merge_levels(
                factors, outcome, outcome_name=outcome_name, separated=separated, **merging
            )
            model = fit_logit(
                design,
                np.where(merged.left_out, np.nan, outcome),
                factors=merged.factors,
                reference=merged.reference,
                labels=merged.labels,
                outcome_name=outcome_name,
            )
        except SeparationError as error:
            if set(error.levels) <= separated:
                return merged, None, error
            separated |= set(error.levels)
        except ModelError as error:
            return merged, None, error
        else:
            return merged, model, None


# What a reader outside learns: no numbers and no levels, which could point at people.
_WITHHELD = {
    "ONE_CLASS_OUTCOME": "該当する人としない人に分かれないため、モデルは示しません。",
    "TOO_FEW_EVENTS": "該当する人が少ないため、モデルは示しません。",
    "MODEL_DF": "回答者の数に対して条件の区分が多いため、モデルは示しません。",
    "MODEL_BASE_TOO_SMALL": "使える回答者が少ないため、モデルは示しません。",
    "MODEL_SEPARATION": "答えが分かれる区分があり、結果が定まらないため、モデルは示しません。",
    "LISTWISE_DELETION": "要因に無回答が多いため、モデルは示しません。",
    "ALL_MISSING_PREDICTOR": "使える回答のない要因があるため、モデルは示しません。",
    "COLLINEARITY": "要因どうしが重なり、結果が定まらないため、モデルは示しません。",
    "MODEL_NOT_CONVERGED": "計算が収束しないため、モデルは示しません。",
}


def _withheld_rows(
    error: ModelError, *, outcome_name: str, wave: int | None, scheme: str
) -> pd.DataFrame:
    row = {
        "wave": wave,
        "table_id": f"model_{outcome_name}",
        "measure": "count",
        "unit": "persons",
        "domain": "all",
        "domain_value": "all",
        "item": "model",
        "item_value": error.code,
        "item_label": "モデルは示さない",
        "weighting": scheme,
        "status": "suppressed",
        "reason": _WITHHELD.get(error.code, "条件を満たさないため、モデルは示しません。"),
    }
    return pd.DataFrame([row]).reindex(columns=list(ESTIMATE_COLUMNS))
