"""Which conditions go with a higher answer: the design-based ordinal logit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import linalg, special

from tsunagari.estimates import BASE_FOR_TESTS
from tsunagari.statistics.designs import Design
from tsunagari.statistics.logit import (
    MAXIMUM_MISSING_SHARE,
    MINIMUM_RESIDUAL_DF,
    Fitted,
    Limits,
    refuse_no_maximum,
    refuse_separation,
    select_people,
)

# --- the ordinal logit --------------------------------------------------------------------------


@dataclass(frozen=True)
class FittedOrdinal(Fitted):
    """A weighted proportional odds model, P(Y <= k) = expit(threshold_k - x'b).

    Attributes:
        n_thresholds: Answers less one, q: the first q coefficients are thresholds, the others log
            odds of a higher answer, and `column` of the terms counts the thresholds too.
    """

    n_thresholds: int


def fit_ordinal(
    design: Design,
    outcome: np.ndarray,
    *,
    factors: pd.DataFrame,
    reference: Mapping[str, str] | None = None,
    labels: Mapping[str, Mapping[str, str]] | None = None,
    outcome_name: str = "outcome",
    maximum_missing_share: float = MAXIMUM_MISSING_SHARE,
    minimum_base_n: int = BASE_FOR_TESTS,
    minimum_residual_df: int = MINIMUM_RESIDUAL_DF,
) -> FittedOrdinal:
    """Fit an ordinal logit to all answers of a question: the sensitivity analysis of a cut.

    Newton's method with the analytic score and Hessian. (statsmodels' OrderedModel takes weights
    and ignores them; R's svyolr has standard errors of four digits.)

    Args:
        design: The survey design, n rows.
        outcome: Ordered numbers, shape (n,), the highest the loneliest; NaN outside the model.
        factors: As in `fit_logit`.
        reference: As in `fit_logit`.
        labels: As in `fit_logit`.
        outcome_name: Name for messages and table ids.
        maximum_missing_share: As in `fit_logit`.
        minimum_base_n: As in `fit_logit`.
        minimum_residual_df: As in `fit_logit`.

    Returns:
        The fitted model; `odds_ratio_rows` lays it out.

    Raises:
        ModelError: As `fit_logit`.

    References:
        McCullagh (1980), Regression models for ordinal data, JRSS B 42(2).
    """
    limits = Limits(maximum_missing_share, minimum_base_n, minimum_residual_df)
    about = {"reference": reference, "labels": labels, "outcome_name": outcome_name}
    people = select_people(design, outcome, factors=factors, limits=limits, **about)
    values, answer = np.unique(people.answers, return_inverse=True)
    n_thresholds = len(values) - 1
    rows = _ordinal_rows(people.matrix[:, 1:], answer, n_thresholds=n_thresholds)
    signed = np.vstack([rows.upper[rows.has_upper], -rows.lower[rows.has_lower]])
    refuse_separation(signed, terms=people.terms, outcome_name=outcome_name, n_free=n_thresholds)
    theta = _maximise_ordinal(rows, weights=people.weights, outcome_name=outcome_name)
    score, hessian = _ordinal_score(rows, theta, weights=people.weights)
    influence = linalg.solve(hessian, score.T, assume_a="pos").T
    facts = people.fitted(
        design, theta, influence=influence, events=(answer == n_thresholds).astype(float)
    )
    column = facts["terms"]["column"]
    terms = facts["terms"].assign(column=column.where(column < 0, column + n_thresholds - 1))
    return FittedOrdinal(**facts | {"terms": terms}, n_thresholds=n_thresholds)


class _OrdinalRows(NamedTuple):
    """What each person's two thresholds are made of: upper @ theta and lower @ theta."""

    answer: np.ndarray
    n_thresholds: int
    upper: np.ndarray
    lower: np.ndarray

    @property
    def has_upper(self) -> np.ndarray:
        return self.answer < self.n_thresholds

    @property
    def has_lower(self) -> np.ndarray:
        return self.answer > 0


def _ordinal_rows(matrix: np.ndarray, answer: np.ndarray, *, n_thresholds: int) -> _OrdinalRows:
    """Lay out threshold_k - x'b for k = the answer and the answer below."""
    wide = np.eye(n_thresholds + 1)[:, :n_thresholds]  # the highest answer has no upper threshold
    below = np.vstack([np.zeros(n_thresholds), np.eye(n_thresholds)])
    upper = np.hstack([wide[answer], -matrix])
    lower = np.hstack([below[answer], -matrix])
    return _OrdinalRows(answer, n_thresholds, upper, lower)


def _shares(rows: _OrdinalRows, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the chance of each person's answer or a lower one, and of a lower one, (n,) each."""
    high = np.where(rows.has_upper, special.expit(rows.upper @ theta), 1.0)
    return high, np.where(rows.has_lower, special.expit(rows.lower @ theta), 0.0)


def _ordinal_score(
    rows: _OrdinalRows, theta: np.ndarray, *, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the score of each person, shape (n, q + p), and minus the weighted Hessian."""
    high, low = _shares(rows, theta)
    share = high - low
    slope_high, slope_low = high * (1 - high) / share, low * (1 - low) / share
    score = rows.upper * slope_high[:, None] - rows.lower * slope_low[:, None]
    curve_high, curve_low = slope_high * (1 - 2 * high), slope_low * (1 - 2 * low)
    hessian = (score * weights[:, None]).T @ score
    hessian -= (rows.upper * (weights * curve_high)[:, None]).T @ rows.upper
    hessian += (rows.lower * (weights * curve_low)[:, None]).T @ rows.lower
    return score, hessian


def _ordinal_likelihood(rows: _OrdinalRows, theta: np.ndarray, *, weights: np.ndarray) -> float:
    share = np.subtract(*_shares(rows, theta))
    return float(weights @ np.log(share)) if (share > 0).all() else -np.inf


def _maximise_ordinal(rows: _OrdinalRows, *, weights: np.ndarray, outcome_name: str) -> np.ndarray:
    """Return thresholds and log odds by Newton's method, halving steps that lose likelihood."""
    scaled = weights / weights.sum()
    theta = np.zeros(rows.upper.shape[1])
    shares = np.bincount(rows.answer, scaled)
    theta[: rows.n_thresholds] = special.logit(shares.cumsum()[:-1])
    best = _ordinal_likelihood(rows, theta, weights=scaled)
    for _ in range(100):
        score, hessian = _ordinal_score(rows, theta, weights=scaled)
        step = linalg.solve(hessian, scaled @ score, assume_a="sym")
        size = 1.0
        while size > 1e-10:
            tried = _ordinal_likelihood(rows, theta + size * step, weights=scaled)
            if tried >= best - 1e-14 * abs(best):
                break
            size /= 2
        theta, best = theta + size * step, max(tried, best)
        if np.abs(size * step).max() < 1e-12:
            break
    score, _ = _ordinal_score(rows, theta, weights=scaled)
    refuse_no_maximum(theta, scaled @ score, outcome_name=outcome_name)
    return theta
