"""Would the model say the same of those who did not answer?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from tsunagari.statistics.designs import Design
from tsunagari.statistics.effects import (
    POINTS,
    marginal_effect_rows,
    marginal_effects,
    term_rows,
)
from tsunagari.statistics.logit import FittedLogit, fit_logit
from tsunagari.statistics.merging import MergedFactors, text_codes
from tsunagari.statistics.verdicts import REFERENCE

MOST_DONORS = 5_000  # among whom the nearest are looked for: time grows with people, not squared


# --- sensitivity --------------------------------------------------------------------------------


def impute_levels(
    factors: pd.DataFrame,
    outcome: np.ndarray,
    *,
    rng: np.random.Generator,
    n_donors: int = 10,
    order: np.ndarray | None = None,
) -> pd.DataFrame:
    """Fill missing levels from people who answered and are alike in the rest.

    For every factor a bootstrap of the people who answered it (so that imputations differ as
    samples do) gives the donors, at most `MOST_DONORS` of them; each person takes the answer of
    one of the `n_donors` with the most equal answers, the outcome included, drawn at random.

    Args:
        factors: Levels, shape (n, p), "" or missing where there is none.
        outcome: 0/1, shape (n,); people with NaN neither give nor take.
        rng: Source of chance.
        n_donors: Nearest donors to draw from.
        order: Rows in the order in which chance goes through them, shape (n,), such as by id, so
            that the order of the table changes nothing; None takes that of the table.

    Returns:
        Levels, shape (n, p); nothing missing among people with an outcome.

    References:
        Andridge and Little (2010), A review of hot deck imputation, ISR 78(1).
    """
    answers = np.asarray(outcome, dtype=float)
    rows = np.arange(len(answers)) if order is None else order
    known = rows[~np.isnan(answers[rows])]
    texts = np.column_stack([text_codes(factors[name])[known] for name in factors])
    levels, numbers = np.unique(texts.astype(str), return_inverse=True)
    numbers = numbers.reshape(texts.shape).astype(np.int16)
    blank = np.int16(-1)
    numbers[texts == ""] = blank
    filled = numbers.copy()
    codes = np.column_stack([numbers, answers[known].astype(np.int16)])
    for column in range(numbers.shape[1]):
        pool = np.flatnonzero(codes[:, column] != blank)
        givers = rng.choice(pool, min(len(known), MOST_DONORS))
        gave = np.ascontiguousarray(codes[givers].T)
        for taker in np.flatnonzero(codes[:, column] == blank):
            asked = np.flatnonzero(codes[taker] != blank)
            alike = (gave[asked] == codes[taker, asked, None]).sum(axis=0, dtype=np.int16)
            nearest = np.argpartition(-(alike + rng.random(len(givers))), n_donors - 1)[:n_donors]
            filled[taker, column] = codes[givers[rng.choice(nearest)], column]
    table = pd.DataFrame("", index=factors.index, columns=factors.columns, dtype=object)
    table.iloc[known] = levels[filled]
    return table


def pool_estimates(
    estimates: np.ndarray, variances: np.ndarray, *, df: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pool the same estimates from several imputed tables by Rubin's rules.

    Args:
        estimates: Shape (m, k).
        variances: Shape (m, k), within each table.
        df: Degrees of freedom without missing answers.

    Returns:
        Estimates, variances and degrees of freedom, each shape (k,).

    References:
        Barnard and Rubin (1999), Biometrika 86(4).
    """
    m = len(estimates)
    within, between = variances.mean(axis=0), estimates.var(axis=0, ddof=1)
    total = within + (1 + 1 / m) * between
    missing = np.divide((1 + 1 / m) * between, total, out=np.zeros_like(total), where=total > 0)
    observed = (df + 1) / (df + 3) * df * (1 - missing)
    with np.errstate(divide="ignore"):
        inverse = missing**2 / (m - 1) + np.divide(1, observed)
    return estimates.mean(axis=0), total, 1 / inverse


def sensitivity_rows(
    design: Design,
    outcome: np.ndarray,
    *,
    merged: MergedFactors,
    rng: np.random.Generator,
    order: np.ndarray | None = None,
    outcome_name: str = "outcome",
    n_imputations: int = 10,
    wave: int | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return the marginal effects again: without weights, and with missing answers imputed.

    Args:
        design: The survey design.
        outcome: 0/1, shape (n,), NaN where a person gave no answer.
        merged: What `merge_levels` returned for the main model; the levels stay the same.
        rng: Source of chance of the imputations.
        order: As for `impute_levels`.
        outcome_name: Name of the indicator.
        n_imputations: Imputed tables.
        wave: Survey year.
        confidence: Of the intervals.

    Returns:
        Estimates rows of `model_<outcome>__sensitivity`, measure marginal_effect_points, domain
        "variant" with domain_value unweighted or imputed.

    Raises:
        ModelError: A variant's model cannot be fitted.
    """
    answers = np.where(merged.left_out, np.nan, np.asarray(outcome, dtype=float))
    options = {
        "reference": merged.reference,
        "labels": merged.labels,
        "outcome_name": outcome_name,
    }
    plain = replace(
        design, weights=np.ones(design.n), base_weights=None, margins=(), totals=(), cells=(),
        scheme="unweighted",
    )  # fmt: skip
    model = fit_logit(plain, answers, factors=merged.factors, **options)
    rows = [marginal_effect_rows(plain, model, wave=wave, confidence=confidence)]
    imputed = (
        fit_logit(
            design,
            answers,
            factors=impute_levels(merged.factors, answers, rng=rng, order=order),
            **options,
        )
        for _ in range(n_imputations)
    )  # one after the other: each holds its influence values
    rows.append(_pooled_rows(design, imputed, wave=wave, confidence=confidence))
    parts = [
        part.assign(
            table_id=f"model_{outcome_name}__sensitivity",
            domain="variant",
            domain_value=variant,
            mark=part["mark"].where(part["mark"] == REFERENCE, ""),
        )
        for variant, part in zip(("unweighted", "imputed"), rows, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def _pooled_rows(
    design: Design, imputed: Iterable[FittedLogit], *, wave: int | None, confidence: float
) -> pd.DataFrame:
    effects, variances, dfs, first = [], [], [], None
    for model in imputed:
        first = first or model
        effect, influence = marginal_effects(design, model)
        effects.append(effect)
        variances.append(design.variances(influence))
        dfs.append(model.df)
    share, variance, df = pool_estimates(np.array(effects), np.array(variances), df=min(dfs))
    return term_rows(
        first,
        share * 100,
        error=np.sqrt(variance) * 100,
        df=np.where(first.terms["column"] < 0, np.nan, df),
        confidence=confidence,
        facts=POINTS | {"weighting": design.scheme, "wave": wave},
    )
