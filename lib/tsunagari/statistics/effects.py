"""What does a model say in points and odds: its rows of the estimates table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg, special, stats

from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.statistics.designs import Design
from tsunagari.statistics.domains import TOO_FEW_UNITS
from tsunagari.statistics.logit import Fitted, FittedLogit, Note
from tsunagari.statistics.merging import MINIMUM_EVENTS_PER_PARAMETER
from tsunagari.statistics.verdicts import REFERENCE, adjust_p_values

POINTS = {"measure": "marginal_effect_points", "unit": "points"}

# --- rows of the estimates table ----------------------------------------------------------------


def odds_ratio_rows(
    model: Fitted,
    *,
    weighting: str = "",
    wave: int | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return one odds ratio a level; the reference has 1, a mark, and no interval.

    Args:
        model: The fitted model.
        weighting: Name of the weighting scheme.
        wave: Survey year.
        confidence: Of the intervals.

    Returns:
        Estimates rows, measure odds_ratio (of an ordinal model cumulative_odds_ratio, the odds of
        a higher answer); `std_error` on the log scale; p adjusted within the model
        (Benjamini-Hochberg). `n_unweighted` counts the level's people, `n_cell` the fewer of those
        with and without the event: the gate asks for 10 and 5 (SDC-1 P15).
    """
    column = model.terms["column"].to_numpy()
    beta = np.where(column < 0, 0.0, model.coefficients[column])
    measure = "odds_ratio" if isinstance(model, FittedLogit) else "cumulative_odds_ratio"
    rows = term_rows(
        model,
        beta,
        error=model.std_errors[column],
        df=model.df,
        confidence=confidence,
        facts={"measure": measure, "unit": "ratio", "weighting": weighting, "wave": wave},
    )
    return rows.assign(**{name: np.exp(rows[name]) for name in ("estimate", "lower", "upper")})


def marginal_effect_rows(
    design: Design,
    model: FittedLogit,
    *,
    wave: int | None = None,
    confidence: float = 0.95,
    point_threshold: float = 3.0,
) -> pd.DataFrame:
    """Return average marginal effects against each factor's reference, in percentage points.

    Everybody in the model is given first one level, then the reference, the rest as it is; the
    effect is the weighted mean of the difference. Its influence holds the coefficients' part and
    the sampling of the people it is averaged over.

    Args:
        design: The design the model was fitted with.
        model: The fitted model.
        wave: Survey year.
        confidence: Of the intervals.
        point_threshold: Smallest gap in points that may carry a mark.

    Returns:
        Estimates rows, measure marginal_effect_points; the reference has 0. Marked when the
        adjusted test holds and the gap reaches the threshold.

    References:
        Graubard and Korn (1999), Predictive margins with survey data, Biometrics 55.
    """
    effects, influence = marginal_effects(design, model)
    rows = term_rows(
        model,
        effects * 100,
        error=np.sqrt(np.diag(np.asarray(design.covariance(influence)))) * 100,
        df=model.df,
        confidence=confidence,
        facts=POINTS | {"weighting": design.scheme, "wave": wave},
    )
    holds = (rows["p_adjusted"] < 1 - confidence) & (rows["estimate"].abs() >= point_threshold)
    signs = np.where(rows["estimate"] > 0, "▲", "▽")
    return rows.assign(mark=np.where(holds, signs, rows["mark"]))


def marginal_effects(design: Design, model: FittedLogit) -> tuple[np.ndarray, np.ndarray]:
    """Return average marginal effects and the influence of every row of the design on them.

    Args:
        design: The design the model was fitted with.
        model: The fitted model, k terms.

    Returns:
        Effects as shares, shape (k,), 0 for a reference; influence, shape (n, k).
    """
    weights = np.asarray(design.weights, dtype=float)[model.rows]
    total = weights.sum()
    effects = np.zeros(len(model.terms))
    influence = np.zeros((len(model.rows), len(model.terms)))
    for _, own in model.terms.groupby("factor", sort=False):
        columns = own.loc[own["column"] > 0, "column"].to_numpy()
        base = model.matrix.copy()
        base[:, columns] = 0.0
        mean_base = special.expit(base @ model.coefficients)
        for term in own.index[own["column"] > 0]:
            moved = base.copy()
            moved[:, own.loc[term, "column"]] = 1.0
            mean = special.expit(moved @ model.coefficients)
            effects[term] = weights @ (mean - mean_base) / total
            slope = (weights * mean * (1 - mean)) @ moved
            slope -= (weights * mean_base * (1 - mean_base)) @ base
            influence[:, term] = model.influence @ (slope / total)
            influence[model.rows, term] += (mean - mean_base - effects[term]) / total
    return effects, influence


def term_rows(
    model: Fitted,
    estimate: np.ndarray,
    *,
    error: np.ndarray,
    df: float | np.ndarray,
    confidence: float,
    facts: dict[str, Any],
) -> pd.DataFrame:
    """Return one row a term of a model: interval and test by Student's t, keys and labels.

    Args:
        model: The fitted model, k terms.
        estimate: Shape (k,).
        error: Standard errors, shape (k,); a reference has none.
        df: Degrees of freedom, one or shape (k,).
        confidence: Of the intervals.
        facts: Measure, unit, weighting, wave.
    """
    terms = model.terms
    is_base = (terms["column"] < 0).to_numpy()
    few = _too_few_units(terms)
    error = np.where(is_base, np.nan, error)
    reach = stats.t.ppf(0.5 + confidence / 2, df) * error
    with np.errstate(invalid="ignore"):
        p_value = 2 * stats.t.sf(np.abs(estimate) / error, df)
    ends = {"std_error": error, "lower": estimate - reach, "upper": estimate + reach}
    rows = pd.DataFrame({"estimate": estimate, **ends, "p_value": p_value})
    rows.loc[few, ["std_error", "lower", "upper", "p_value"]] = np.nan
    return _model_rows(
        model,
        rows,
        **facts,
        item=terms["factor"],
        item_value=terms["level"],
        item_label=terms["label"],
        df=df,
        p_adjusted=adjust_p_values(rows["p_value"].to_numpy()),
        n_unweighted=terms["n"],
        n_cell=np.minimum(terms["n_events"], terms["n"] - terms["n_events"]),
        n_effective=terms["n_effective"],
        mark=np.where(is_base, REFERENCE, ""),
        reason=np.select([is_base, few], ["比較の基準の区分", TOO_FEW_UNITS], ""),
    )


def _model_rows(model: Fitted, rows: pd.DataFrame, **facts: Any) -> pd.DataFrame:
    """Return rows of a model's table, about everybody in it, with these columns too."""
    keys = {"table_id": f"model_{model.outcome_name}", "domain": "all", "domain_value": "all"}
    return rows.assign(**keys, **facts).reindex(columns=ESTIMATE_COLUMNS)


def _too_few_units(terms: pd.DataFrame) -> np.ndarray:
    """Return terms without an error: they or their reference have no degree of freedom."""
    few = terms["df"] < 1
    reference = terms.loc[few & (terms["column"] < 0), "factor"]
    return (few | terms["factor"].isin(reference)).to_numpy()


def wald_rows(model: FittedLogit, *, weighting: str = "", wave: int | None = None) -> pd.DataFrame:
    """Return one joint test a factor: do all its levels share the reference's odds?

    Args:
        model: The fitted model.
        weighting: Name of the weighting scheme.
        wave: Survey year.

    Returns:
        Estimates rows, measure wald_f: F = b' V^-1 b / k, with k the factor's coefficients, on k
        and `df` degrees of freedom; p adjusted over the factors.

    References:
        R survey: regTermTest(method="Wald").
    """
    rows = []
    few = set(model.terms.loc[_too_few_units(model.terms), "factor"])
    for factor, own in model.terms.groupby("factor", sort=False):
        if factor in few:
            rows.append((factor, np.nan, np.nan, TOO_FEW_UNITS))
            continue
        columns = own.loc[own["column"] > 0, "column"].to_numpy()
        beta = model.coefficients[columns]
        inverse = linalg.solve(model.covariance[np.ix_(columns, columns)], beta, assume_a="pos")
        statistic = float(beta @ inverse) / len(columns)
        p_value = stats.f.sf(statistic, len(columns), model.df)
        rows.append((factor, statistic, p_value, ""))
    table = pd.DataFrame(rows, columns=["item", "estimate", "p_value", "reason"])
    return _model_rows(
        model,
        table,
        wave=wave,
        measure="wald_f",
        unit="ratio",
        item_value="all",
        item_label="すべての区分",
        df=model.df,
        p_adjusted=adjust_p_values(table["p_value"].to_numpy()),
        n_unweighted=len(model.outcome),
        weighting=weighting,
    )


def fact_rows(model: FittedLogit, *, weighting: str = "", wave: int | None = None) -> pd.DataFrame:
    """Return the model's size and its notes.

    Args:
        model: The fitted model.
        weighting: Name of the weighting scheme.
        wave: Survey year.

    Returns:
        Estimates rows with item "model": counts n, events, non_events, parameters, and, for the
        gate (SDC-1 P15), the fewest people of a level and the fewest of a level x outcome; the
        ratio events_per_parameter; and one count a note with its Japanese sentence in `reason`.
    """
    n, p = model.matrix.shape
    thinnest = np.minimum(model.terms["n_events"], model.terms["n"] - model.terms["n_events"]).min()
    ratio = model.events_per_parameter
    facts = [
        ("n", "モデルに使った回答者", n),
        ("events", "該当者", model.n_events),
        ("non_events", "非該当者", n - model.n_events),
        ("parameters", "条件の区分の数（基準を除く）", p - 1),
        ("smallest_level", "最も少ない区分の回答者", model.terms["n"].min()),
        ("smallest_level_outcome", "最も少ない区分×該当・非該当", thinnest),
        ("events_per_parameter", "条件の区分1つあたりの該当者", ratio),
    ]
    notes = list(model.notes)
    if ratio < MINIMUM_EVENTS_PER_PARAMETER:
        text = "条件の区分1つあたりの該当者が目安に届きません。オッズ比は参考にとどめます。"
        notes.append(Note("low_epv", text, min(model.n_events, n - model.n_events)))
    rows = [("model", *fact, "") for fact in facts]
    rows += [(note.item, note.code, "注記", note.n, note.text) for note in notes]
    columns = ["item", "item_value", "item_label", "estimate", "reason"]
    rows = pd.DataFrame(rows, columns=columns)
    is_ratio = rows["item_value"] == "events_per_parameter"
    is_parameter = rows["item_value"] == "parameters"
    return _model_rows(
        model,
        rows,
        wave=wave,
        measure=np.where(is_ratio, "ratio", "count"),
        unit=np.select([is_ratio, is_parameter], ["ratio", "coefficients"], default="persons"),
        n_unweighted=n,
        n_cell=np.where(is_ratio | is_parameter, n, rows["estimate"]),
        weighting=weighting,
    )
