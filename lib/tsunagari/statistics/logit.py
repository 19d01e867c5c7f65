"""Which conditions go with a yes: the design-based logit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import linalg, optimize, special

from tsunagari.errors import ModelError
from tsunagari.estimates import BASE_FOR_TESTS
from tsunagari.statistics.designs import Design
from tsunagari.statistics.merging import refuse_one_class, text_codes

MINIMUM_RESIDUAL_DF = 100  # SDC-1 P15
MAXIMUM_MISSING_SHARE = 0.30  # above this a complete-case model is refused, not warned about
_OVERLAP = 1e-3  # a direction that separates has a larger sum of z'b: dummies are whole numbers
_SCORE_TOLERANCE = 1e-9  # score over the sum of weights
_RANK_TOLERANCE = 1e-9
_MOST_STEPS = 100  # of Newton; fewer than ten are usual
_STEP_TOLERANCE = 1e-9  # of a coefficient; convergence is quadratic, so that one more step is exact


class SeparationError(ModelError):
    """Levels predict the outcome without error, so that there is no finite coefficient.

    Args:
        outcome_name: Name of the indicator.
        levels: Factor and level of every level involved.
    """

    def __init__(self, outcome_name: str, *, levels: Sequence[tuple[str, str]]) -> None:
        names = ", ".join(f"{factor}={level}" for factor, level in levels)
        super().__init__("MODEL_SEPARATION", outcome_name=outcome_name, names=names)
        self.levels = tuple(levels)


# --- the logit ----------------------------------------------------------------------------------


class Note(NamedTuple):
    """A sentence about a model, without numbers in it, and the people it is about."""

    code: str
    text: str
    n: int
    item: str = "model"


@dataclass(frozen=True)
class Fitted:
    """A weighted model of p coefficients with what its rows need.

    Attributes:
        outcome_name: Name of the indicator or item that is explained.
        terms: One row a level, the reference included: factor, level, label, column (position
            among the coefficients, -1 for a reference), n, n_events, n_effective, df (the design's
            among the level's people).
        coefficients: Shape (p,).
        covariance: Design-based, shape (p, p).
        influence: Influence of every row of the design on the coefficients, shape (n, p).
        rows: Who is in the model, bool, shape (n,).
        df: Design degrees of freedom - p + 1.
        notes: What a reader must know about the model.
    """

    outcome_name: str
    terms: pd.DataFrame
    coefficients: np.ndarray
    covariance: np.ndarray
    influence: np.ndarray
    rows: np.ndarray
    df: int
    notes: tuple[Note, ...]

    @property
    def std_errors(self) -> np.ndarray:
        """Standard errors of the coefficients, shape (p,)."""
        return np.sqrt(np.diag(self.covariance))


@dataclass(frozen=True)
class FittedLogit(Fitted):
    """A weighted logit: the coefficients are log odds, the constant first.

    Attributes:
        matrix: Dummies of the people in the model, shape (n_in, p).
        outcome: 0/1 of the people in the model, shape (n_in,).
    """

    matrix: np.ndarray
    outcome: np.ndarray

    @property
    def n_events(self) -> int:
        """People in the model with the event."""
        return int(self.outcome.sum())

    @property
    def events_per_parameter(self) -> float:
        """The rarer answer per coefficient, the constant aside."""
        rarer = min(self.n_events, len(self.outcome) - self.n_events)
        return rarer / (len(self.coefficients) - 1)


def fit_logit(
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
) -> FittedLogit:
    """Fit a logit of dummies by weighted maximum likelihood, complete cases only.

    People without an outcome or an answer stay in the design with no influence. The covariance is
    that of the weighted scores by the design's own rule: residuals of the calibration, strata,
    clusters. Separation is ruled out by the score equations or found by linear programming.

    Args:
        design: The survey design, n rows.
        outcome: 0/1, shape (n,); NaN outside the domain of the model.
        factors: Levels, shape (n, p); "" or missing where a person has none.
        reference: Level to compare with; the most frequent one where it is not named.
        labels: Labels of the levels per factor; their order is the order of the rows.
        outcome_name: Name for messages and table ids.
        maximum_missing_share: Largest share of people with an outcome that may lack an answer.
        minimum_base_n: Fewest people in a model.
        minimum_residual_df: Smallest number of people minus coefficients.

    Returns:
        The fitted model. Constant factors and people left out stand in its notes.

    Raises:
        ModelError: ONE_CLASS_OUTCOME, ALL_MISSING_PREDICTOR, LISTWISE_DELETION,
            MODEL_BASE_TOO_SMALL, COLLINEARITY, MODEL_SEPARATION, MODEL_NOT_CONVERGED,
            MODEL_DF, MODEL_NO_FACTOR or MODEL_LENGTH.

    References:
        Binder (1983), International Statistical Review 51. Konis (2007) on separation.
    """
    known = np.asarray(outcome, dtype=float)
    if not np.isin(known[~np.isnan(known)], (0.0, 1.0)).all():
        raise ModelError("MODEL_OUTCOME_VALUES")
    limits = Limits(maximum_missing_share, minimum_base_n, minimum_residual_df)
    about = {"reference": reference, "labels": labels, "outcome_name": outcome_name}
    people = select_people(design, outcome, factors=factors, limits=limits, **about)
    matrix, answers = people.matrix, people.answers
    coefficients = _maximise(people)
    mean = special.expit(matrix @ coefficients)
    hessian = (matrix * (people.weights * mean * (1 - mean))[:, None]).T @ matrix
    scores = matrix * (answers - mean)[:, None]
    influence = linalg.solve(hessian, scores.T, assume_a="pos").T
    facts = people.fitted(design, coefficients, influence=influence, events=answers)
    return FittedLogit(**facts, matrix=matrix, outcome=answers)


@dataclass(frozen=True)
class Limits:
    """When a model is refused."""

    missing_share: float
    base_n: int
    residual_df: int


@dataclass(frozen=True)
class _People:
    """Who is in a model, and their dummies: the constant first, then the terms' columns."""

    outcome_name: str
    rows: np.ndarray
    answers: np.ndarray
    weights: np.ndarray
    matrix: np.ndarray
    terms: pd.DataFrame
    notes: tuple[Note, ...]
    levels: dict[str, np.ndarray]

    def fitted(
        self, design: Design, coefficients: np.ndarray, *, influence: np.ndarray, events: np.ndarray
    ) -> dict[str, Any]:
        """Return what every `Fitted` holds; `influence` and `events` are of the people here."""
        df = int(design.degrees_of_freedom(self.rows)) - len(coefficients) + 1
        if df < 1:
            raise ModelError("MODEL_DF", name=self.outcome_name, n_parameters=len(coefficients))
        whole = np.zeros((len(self.rows), len(coefficients)))
        whole[self.rows] = influence
        return {
            "outcome_name": self.outcome_name,
            "terms": self._counted_terms(events, design),
            "coefficients": coefficients,
            "covariance": np.asarray(design.covariance(whole)),
            "influence": whole,
            "rows": self.rows,
            "df": df,
            "notes": self.notes,
        }

    def _counted_terms(self, events: np.ndarray, design: Design) -> pd.DataFrame:
        """Return the terms with people, events, effective people and degrees of freedom."""
        parts = []
        for factor, own in self.terms.groupby("factor", sort=False):
            group = pd.Index(own["level"]).get_indexer(self.levels[factor])
            group[~self.rows] = -1
            inside, k = group[self.rows], len(own)
            weight, square = (np.bincount(inside, self.weights**power, k) for power in (1, 2))
            counts = {
                "n": np.bincount(inside, minlength=k),
                "n_events": np.bincount(inside, events, k).round().astype(np.int64),
                "n_effective": weight**2 / square,
                "df": design.degrees_of_freedom_by(group, n_groups=k),
            }
            parts.append(pd.DataFrame(counts, index=own.index))
        return self.terms.join(pd.concat(parts))


def select_people(
    design: Design,
    outcome: np.ndarray,
    *,
    factors: pd.DataFrame,
    reference: Mapping[str, str] | None,
    labels: Mapping[str, Mapping[str, str]] | None,
    outcome_name: str,
    limits: Limits,
) -> _People:
    """Return the people, outcome and dummies that a model uses."""
    answers, n = np.asarray(outcome, dtype=float), len(design.weights)
    if len(answers) != n or len(factors) != n:
        raise ModelError("MODEL_LENGTH", n=n, n_2=len(answers), n_3=len(factors))
    levels = {name: text_codes(factors[name]) for name in factors}
    rows, notes = _complete_rows(
        levels, answers, outcome_name=outcome_name, maximum_missing_share=limits.missing_share
    )
    refuse_one_class(answers[rows], outcome_name=outcome_name)
    terms, more = _list_terms(levels, rows=rows, reference=reference or {}, labels=labels or {})
    matrix = _dummies(terms, levels=levels, rows=rows)
    _refuse_small(matrix, name=outcome_name, limits=limits)
    _refuse_collinear(matrix, terms=terms, outcome_name=outcome_name)
    weights = np.asarray(design.weights, dtype=float)[rows]
    notes = (*notes, *more)
    return _People(outcome_name, rows, answers[rows], weights, matrix, terms, notes, levels)


def _complete_rows(
    levels: dict[str, np.ndarray],
    answers: np.ndarray,
    *,
    outcome_name: str,
    maximum_missing_share: float,
) -> tuple[np.ndarray, list[Note]]:
    domain = ~np.isnan(answers)
    rows = domain.copy()
    missing = {}
    for factor, codes in levels.items():
        has_level = codes != ""
        if domain.any() and not (has_level & domain).any():
            raise ModelError("ALL_MISSING_PREDICTOR", factor=factor)
        if (domain & ~has_level).any():
            missing[factor] = int((domain & ~has_level).sum())
        rows &= has_level
    n_before, n_after = int(domain.sum()), int(rows.sum())
    notes = [
        Note("no_answer", "この要因に答えがないため、モデルに入っていません。", n, factor)
        for factor, n in missing.items()
    ]
    by_factor_ja = "、".join(f"{factor} {n}人" for factor, n in missing.items())
    if n_before - n_after > maximum_missing_share * n_before:
        by_factor_en = ", ".join(f"{factor} {n}" for factor, n in missing.items())
        raise ModelError(
            "LISTWISE_DELETION",
            outcome_name=outcome_name,
            n_before=n_before,
            n_after=n_after,
            by_factor_ja=by_factor_ja,
            by_factor_en=by_factor_en,
        )
    if missing:
        text = "どれかの要因に答えがない人を除きました（要因ごとの人数は重複を含みます）。"
        notes.append(Note("listwise_deletion", text, n_before - n_after))
    return rows, notes


def _list_terms(
    levels: dict[str, np.ndarray],
    *,
    rows: np.ndarray,
    reference: Mapping[str, str],
    labels: Mapping[str, Mapping[str, str]],
) -> tuple[pd.DataFrame, list[Note]]:
    terms, notes, column = [], [], 1
    for factor, codes in levels.items():
        counts = pd.Series(codes[rows].astype(str)).value_counts()
        names = labels.get(factor, {})
        present = [level for level in names if level in counts.index]
        present += sorted(set(counts.index) - set(present))
        if len(present) < 2:
            text = "全員が同じ区分のため、モデルから外しました。"
            notes.append(Note("constant_predictor", text, int(rows.sum()), factor))
            continue
        base = reference.get(factor)
        if base not in present:
            base = max(present, key=lambda level: counts[level])
            if factor in reference:
                text = "指定した基準の区分に人がいないため、最も多い区分を基準にしました。"
                notes.append(Note("reference_changed", text, int(counts[base]), factor))
        for level in present:
            is_base = level == base
            terms.append((factor, level, names.get(level, level), -1 if is_base else column))
            column += not is_base
    return pd.DataFrame(terms, columns=["factor", "level", "label", "column"]), notes


def _dummies(terms: pd.DataFrame, *, levels: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    used = terms[terms["column"] > 0]
    columns = [np.ones(int(rows.sum()))]
    columns += [
        (levels[factor][rows] == level).astype(float)
        for factor, level in zip(used["factor"], used["level"], strict=True)
    ]
    return np.column_stack(columns)


def _refuse_small(matrix: np.ndarray, *, name: str, limits: Limits) -> None:
    n, p = matrix.shape
    if p == 1:
        raise ModelError("MODEL_NO_FACTOR", name=name)
    if n < limits.base_n:
        raise ModelError("MODEL_BASE_TOO_SMALL", name=name, n=n, base_n=limits.base_n)
    if n - p < limits.residual_df:
        raise ModelError(
            "MODEL_DF.refuse_small", name=name, n=n, p=p, residual_df=limits.residual_df
        )


def _refuse_collinear(matrix: np.ndarray, *, terms: pd.DataFrame, outcome_name: str) -> None:
    # The dummies' cross products hold whole numbers: exact dependence gives an eigenvalue of 0.
    values, vectors = linalg.eigh(matrix.T @ matrix)
    null = vectors[:, values <= _RANK_TOLERANCE * values[-1]]
    if null.shape[1] == 0:
        return
    involved = np.flatnonzero(np.abs(null).max(axis=1) > 1e-6)
    found = terms[terms["column"].isin(involved)]
    names = ", ".join(f"{f}={v}" for f, v in zip(found["factor"], found["level"], strict=True))
    raise ModelError("COLLINEARITY", outcome_name=outcome_name, names=names)


def refuse_separation(
    signed: np.ndarray, *, terms: pd.DataFrame, outcome_name: str, n_free: int = 1
) -> None:
    """Look for a direction that never speaks against an answer (Konis 2007).

    With z = x for an event and -x otherwise, maximise sum z'b under z'b >= 0 and |b| <= 1: above
    zero, the likelihood has no maximum. The first `n_free` columns (constant, thresholds) name no
    level.
    """
    signed = np.unique(signed, axis=0)
    found = optimize.linprog(
        -signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1)
    )
    if found.status != 0 or -found.fun < 1e-7:
        return
    levels = _levels_of(terms, columns=_sparse_direction(signed, n_free=n_free))
    raise SeparationError(outcome_name, levels=levels)


def _levels_of(terms: pd.DataFrame, *, columns: np.ndarray) -> list[tuple[str, str]]:
    """Return the levels of some columns; where they are all but the reference, the reference."""
    named = []
    for factor, own in terms.groupby("factor", sort=False):
        chosen = own["column"].isin(columns)
        if len(own) > 2 and chosen.sum() == len(own) - 1:
            chosen = ~chosen
        named += [(factor, level) for level in own.loc[chosen, "level"]]
    return named


def _sparse_direction(signed: np.ndarray, *, n_free: int) -> np.ndarray:
    """Return the terms' columns of the separating direction with the smallest sum of sizes."""
    both = np.hstack([signed, -signed])
    cost = np.ones(signed.shape[1])
    cost[:n_free] = 1e-3
    cost = np.tile(cost, 2)
    total = both.sum(axis=0)[None, :]
    found = optimize.linprog(cost, A_ub=-both, b_ub=np.zeros(len(both)), A_eq=total, b_eq=[1.0])
    direction = found.x[: signed.shape[1]] - found.x[signed.shape[1] :]
    large = np.flatnonzero(np.abs(direction) > 1e-9 * np.abs(direction).max())
    return large - n_free + 1


def _maximise(people: _People) -> np.ndarray:
    """Return the weighted maximum likelihood estimates, shape (p,), or refuse separation.

    Newton's steps, which for the logit are those of reweighted least squares, take the score to the
    rounding error, where R's svyglm with epsilon = 1e-12 stands too.

    The score is the sum of m z, z as in `refuse_separation` and m the weighted residuals' sizes.
    Where every m is above zero the sum of z'b over |b| <= 1 with z'b >= 0 is at most the score's
    sizes over the least m (Stiemke): no separation, and no programme needed to see it.
    """
    matrix, answers = people.matrix, people.answers
    scaled = people.weights / people.weights.mean()
    coefficients, is_last = np.zeros(matrix.shape[1]), False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for _ in range(_MOST_STEPS):
                mean = special.expit(matrix @ coefficients)
                score = matrix.T @ (scaled * (answers - mean))
                hessian = (matrix * (scaled * mean * (1 - mean))[:, None]).T @ matrix
                step = linalg.solve(hessian, score, assume_a="pos")
                coefficients = coefficients + step
                if is_last:
                    break
                is_last = np.abs(step).max() < _STEP_TOLERANCE
            residual = scaled * (answers - special.expit(matrix @ coefficients))
        except ValueError:  # numpy's LinAlgError too: no maximum
            coefficients = np.full(matrix.shape[1], np.nan)
            residual = np.zeros(len(answers))
    score = matrix.T @ residual
    if not np.abs(score).sum() < _OVERLAP * np.abs(residual).min():
        signed = matrix * np.where(answers == 1, 1.0, -1.0)[:, None]
        refuse_separation(signed, terms=people.terms, outcome_name=people.outcome_name)
    refuse_no_maximum(coefficients, score / len(answers), outcome_name=people.outcome_name)
    return coefficients


def refuse_no_maximum(
    coefficients: np.ndarray, mean_score: np.ndarray, *, outcome_name: str
) -> None:
    """Refuse a likelihood without a maximum."""
    if np.isfinite(coefficients).all() and np.abs(mean_score).max() <= _SCORE_TOLERANCE:
        return
    raise ModelError("MODEL_NOT_CONVERGED", outcome_name=outcome_name)
