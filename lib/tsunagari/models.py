"""Which circumstances go with loneliness, other things equal: a weighted logit of a survey.

Levels merge along the study's recode tree until the model can carry them, separation is found by
linear programming before anything is fitted, and every variance comes from the scores through the
design. What a sentence uses is the average marginal effect, in percentage points.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import linalg, optimize, special, stats

from tsunagari.estimates import BASE_FOR_TESTS, ESTIMATE_COLUMNS
from tsunagari.estimation import TOO_FEW_UNITS
from tsunagari.study import NO_ANSWER, Item, ModelError
from tsunagari.verdicts import REFERENCE, adjust_p_values
from tsunagari.weighting import Design

MINIMUM_EVENTS_PER_PARAMETER = 10.0  # Peduzzi et al. (1996); events = the rarer of the two answers
MINIMUM_EVENTS_PER_LEVEL = 5  # SDC-1 P15: each level x outcome
MINIMUM_LEVEL_N = 10  # SDC-1 P15: each dummy level
MINIMUM_RESIDUAL_DF = 100  # SDC-1 P15
MAXIMUM_MISSING_SHARE = 0.30  # above this a complete-case model is refused, not warned about
MOST_DONORS = 5_000  # among whom the nearest are looked for: time grows with people, not squared
_OVERLAP = 1e-3  # a direction that separates has a larger sum of z'b: dummies are whole numbers
_SCORE_TOLERANCE = 1e-9  # score over the sum of weights
_RANK_TOLERANCE = 1e-9

Net = tuple[str, str, Sequence[str]]


class SeparationError(ModelError):
    """Levels predict the outcome without error, so that there is no finite coefficient.

    Args:
        outcome_name: Name of the indicator.
        levels: Factor and level of every level involved.
    """

    def __init__(self, outcome_name: str, *, levels: Sequence[tuple[str, str]]) -> None:
        names = ", ".join(f"{factor}={level}" for factor, level in levels)
        super().__init__(
            "MODEL_SEPARATION",
            f"{outcome_name} のモデルは、次の区分で答えがはっきり分かれ、係数が定まりません: "
            f"{names}。study.yaml の recode で区分を統合するか、要因を外してください。",
            f"In the model of {outcome_name} these levels separate the answers, so that there is "
            f"no finite coefficient: {names}. Merge the levels in the study's recode tree or take "
            "the factor out.",
        )
        self.levels = tuple(levels)


# --- factors and outcome ------------------------------------------------------------------------


def build_factors(respondents: pd.DataFrame, items: Iterable[Item]) -> pd.DataFrame:
    """Return the codes of the model's factors, blank where there is no usable answer.

    Args:
        respondents: Cleaned respondents, shape (n, any).
        items: Single-answer or derived items, one a factor.

    Returns:
        Strings, shape (n, p), columns are item names; missing for no answer, refused, don't know
        and not asked.

    Raises:
        ModelError: An item is not a single-answer one.
    """
    factors = {}
    for item in items:
        if item.kind not in ("SA", "derived"):
            raise ModelError(
                "MODEL_FACTOR_KIND",
                f"要因 {item.name} は単一回答ではないため、モデルに入れられません。"
                "選択肢の列か区分した変数を指定してください。",
                f"The factor {item.name} is not a single-answer item: name an option's column or "
                "a banded variable.",
            )
        codes = respondents[item.name].astype("string")
        factors[item.name] = codes.where(codes.isin(list(item.options)))
    return pd.DataFrame(factors, index=respondents.index)


def binary_outcome(item: Item, respondents: pd.DataFrame, *, codes: Collection[str]) -> np.ndarray:
    """Return who gave one of these answers, among those who answered.

    Args:
        item: The question.
        respondents: Cleaned respondents, shape (n, any).
        codes: Codes or nets that count as the event.

    Returns:
        Float 0/1, shape (n,); NaN for no answer, refused, don't know and not asked.
    """
    table = item.indicators(respondents, base="answered")
    return table[list(codes)].max(axis=1).to_numpy(float)


def _as_nets(nets: Mapping[str, Any]) -> dict[str, list[Net]]:
    """Bring Item.nets (name -> (label, codes)) and lists of (net, label, codes) to one form."""
    return {
        factor: [(net, label, codes) for net, (label, codes) in tree.items()]
        if isinstance(tree, Mapping)
        else [(net, label, tuple(codes)) for net, label, codes in tree]
        for factor, tree in nets.items()
    }


def _text_codes(column: pd.Series) -> np.ndarray:
    codes = column.astype("string").fillna("").to_numpy(str).astype(object)
    codes[codes == NO_ANSWER] = ""
    return codes


# --- merging levels -----------------------------------------------------------------------------


class MergedFactors(NamedTuple):
    """Factors after merging.

    Attributes:
        factors: Levels, shape (n, p), "" where a person has no level in the model.
        log: What was merged or left out, estimates-style rows with a Japanese reason.
        left_out: Whose level was left out, bool, shape (n,).
        apart: The codes of every level left out, by factor and level.
        reference: The level each factor is compared with, after merging.
        labels: Label of every level of every factor, codes first, then nets.
    """

    factors: pd.DataFrame
    log: pd.DataFrame
    left_out: np.ndarray
    apart: dict[tuple[str, str], frozenset[str]]
    reference: dict[str, str]
    labels: dict[str, dict[str, str]]


class _Count(NamedTuple):
    """People and events at a level, among complete rows."""

    n: int
    level: str
    events: int

    def is_thin(self, *, events: int, n: int) -> bool:
        return self.n < n or min(self.events, self.n - self.events) < events


@dataclass
class _Merging:
    """Which codes stand together so far, and how that came about.

    Merging never changes who is complete, so that people are counted a code at a time once, and
    again only when a level leaves or a factor is dropped.
    """

    codes: dict[str, np.ndarray]
    outcome: np.ndarray
    nets: dict[str, list[Net]]
    members: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)
    why: dict[tuple[str, str], str] = field(default_factory=dict)
    left_out: list[tuple[str, str, int]] = field(default_factory=list)
    dropped: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for factor, codes in self.codes.items():
            present = sorted(set(codes) - {""})
            self.members[factor] = {code: frozenset([code]) for code in present}
        self.left_out_rows = np.zeros(len(self.outcome), dtype=bool)
        self.apart: dict[tuple[str, str], frozenset[str]] = {}
        self.count_again()

    def count_again(self) -> None:
        """Find the complete rows, and count people and events of every code among them."""
        self.complete = ~np.isnan(self.outcome)
        for codes in self.codes.values():
            self.complete &= codes != ""
        answers = self.outcome[self.complete]
        self.rarer = float(min(answers.sum(), len(answers) - answers.sum()))
        self.tallies: dict[str, dict[str, tuple[int, int]]] = {}
        for factor, codes in self.codes.items():
            names, place = np.unique(codes[self.complete].astype(str), return_inverse=True)
            n, events = np.bincount(place), np.bincount(place, answers)
            self.tallies[factor] = {
                str(name): (int(n[k]), round(events[k])) for k, name in enumerate(names)
            }

    def counts(self, factor: str) -> list[_Count]:
        """Return people and events per level that anybody has, thinnest first."""
        tally = self.tallies[factor]
        counted = []
        for level, codes in self.members[factor].items():
            parts = [tally[code] for code in codes if code in tally]
            if parts:
                n, events = (sum(part) for part in zip(*parts, strict=True))
                counted.append(_Count(n, level, events))
        return sorted(counted)

    def present(self, factor: str) -> set[str]:
        """Return the levels that anybody has."""
        return {count.level for count in self.counts(factor)} if factor in self.codes else set()

    def net_for(self, factor: str, *, level: str | None) -> Net | None:
        """Return the finest net that joins levels (with the given one) and leaves two or more."""
        nets, present = self.nets.get(factor, []), self.present(factor)
        for net in sorted(nets, key=lambda entry: len(entry[2])) if level else nets:
            codes = frozenset(net[2])
            inside = {name for name in present if self.members[factor][name] <= codes}
            if len(inside) >= 2 and inside != present and (level is None or level in inside):
                return net
        return None

    def merge(self, factor: str, net: Net, *, why: str) -> None:
        """Give every code of the net the net's name."""
        codes = frozenset(net[2])
        inside = [name for name, own in self.members[factor].items() if own <= codes]
        whys = [*(self.why.get((factor, name)) for name in inside), why]
        parts = [self.members[factor].pop(name) for name in inside]
        self.members[factor][net[0]] = frozenset().union(*parts)
        self.why[factor, net[0]] = next(one for one in _MERGE_REASONS if one in whys)

    def leave_out(self, factor: str, count: _Count) -> None:
        """Take the people of a level out of the model, or the factor if one level would remain."""
        if len(self.counts(factor)) <= 2:
            self.dropped.append((factor, int(self.complete.sum())))
            del self.codes[factor]
            self.count_again()
        else:
            self.set_apart(factor, count.level, codes=self.members[factor][count.level])

    def set_apart(self, factor: str, level: str, *, codes: frozenset[str]) -> None:
        """Take the people of a level out of the model."""
        gone = np.isin(self.codes[factor].astype(str), list(codes))
        self.left_out.append((factor, level, int((gone & self.complete).sum())))
        self.apart[factor, level] = codes
        self.left_out_rows |= gone
        self.codes[factor] = np.where(gone, "", self.codes[factor])
        self.count_again()

    @property
    def n_parameters(self) -> int:
        """Number of coefficients apart from the constant."""
        return sum(max(len(self.counts(factor)) - 1, 0) for factor in self.codes)

    def levels(self, index: pd.Index) -> pd.DataFrame:
        """Return everybody's level in every factor that is left, "" for none."""
        table = {}
        for factor, codes in self.codes.items():
            level_of = {code: level for level, own in self.members[factor].items() for code in own}
            table[factor] = [level_of.get(code, "") for code in codes]
        return pd.DataFrame(table, index=index, dtype=object)


def merge_levels(
    factors: pd.DataFrame,
    outcome: np.ndarray,
    *,
    nets: Mapping[str, Any],
    reference: Mapping[str, str] | None = None,
    labels: Mapping[str, Mapping[str, str]] | None = None,
    outcome_name: str = "outcome",
    separated: Collection[tuple[str, str]] = (),
    apart: Mapping[tuple[str, str], frozenset[str]] | None = None,
    minimum_events_per_parameter: float = MINIMUM_EVENTS_PER_PARAMETER,
    minimum_events_per_level: int = MINIMUM_EVENTS_PER_LEVEL,
    minimum_level_n: int = MINIMUM_LEVEL_N,
) -> MergedFactors:
    """Merge answers along the recode tree until a logit can carry them.

    A level with fewer than `minimum_level_n` people, or fewer than `minimum_events_per_level`
    events or non-events, joins the smallest net that holds it. Then, while there are fewer than
    `minimum_events_per_parameter` events (the rarer answer) a coefficient, the factor with the
    most levels (ties: column order) merges by its next finest net. A thin level without a net is
    left out with its people counted; a factor that would keep one level is dropped instead.
    A net that would leave a single level is not used. The outcome decides by its counts alone.

    Args:
        factors: String codes, shape (n, p); "" or missing where there is no usable answer.
        outcome: 0/1, shape (n,), NaN outside the model.
        nets: Per factor a list of (net, label, codes), finest first, or `Item.nets`.
        reference: Level to compare with per factor; follows the merging.
        labels: Label of every code per factor, in questionnaire order.
        outcome_name: Stands in the log's `domain_value`.
        separated: Factor and level of levels that must merge too, from a `SeparationError`.
        apart: Codes of levels to leave out from the start, by factor and level.
        minimum_events_per_parameter: Events a coefficient.
        minimum_events_per_level: Events, and non-events, a level.
        minimum_level_n: People a level.

    Returns:
        Merged factors, log, people left out, reference levels and labels. The same input gives
        the same result whatever the order of the rows.

    Raises:
        ModelError: ONE_CLASS_OUTCOME or TOO_FEW_EVENTS, or a factor without any answer.
    """
    state = _Merging(
        codes={name: _text_codes(factors[name]) for name in factors},
        outcome=np.asarray(outcome, dtype=float),
        nets=_as_nets(nets),
    )
    _refuse_unusable(state, outcome_name=outcome_name, minimum=minimum_events_per_level)
    for (factor, level), codes in (apart or {}).items():
        state.set_apart(factor, level, codes=codes)
    _merge_thin(
        state,
        minimum_events=minimum_events_per_level,
        minimum_n=minimum_level_n,
        separated=separated,
    )
    is_low = _merge_until(state, minimum=minimum_events_per_parameter)
    if any(level in state.present(factor) for factor, level in separated):
        _merge_thin(state, minimum_events=0, minimum_n=0, separated=separated)
    names = _label_levels(factors, nets=state.nets, labels=labels)
    log = _merge_log(state, labels=names, outcome_name=outcome_name, is_low=is_low)
    merged = state.levels(factors.index)
    followed = _follow_reference(state, reference or {})
    return MergedFactors(merged, log, state.left_out_rows, state.apart, followed, names)


def _refuse_unusable(state: _Merging, *, outcome_name: str, minimum: int) -> None:
    for factor, codes in state.codes.items():
        if not (codes[~np.isnan(state.outcome)] != "").any():
            _raise_all_missing(factor)
    if not state.complete.any():
        raise ModelError(
            "MODEL_NO_COMPLETE_ROWS",
            f"{outcome_name} のモデルで、すべての要因に答えた人がいません。"
            "要因を減らしてください。",
            f"Nobody answered every factor of the model of {outcome_name}: use fewer factors.",
        )
    _refuse_one_class(state.outcome[state.complete], outcome_name=outcome_name)
    if state.rarer < 2 * minimum:
        raise ModelError(
            "TOO_FEW_EVENTS",
            f"{outcome_name} に該当する人(または該当しない人)が少なく({2 * minimum}人未満)、"
            "どの要因も2区分に分けられません。モデルを外すか、回答を統合してください。",
            f"Fewer than {2 * minimum} people are in the rarer class of {outcome_name}, so that no "
            "factor can have two levels: leave the model out or merge answers of the outcome.",
        )


def _refuse_one_class(answers: np.ndarray, *, outcome_name: str) -> None:
    if len(answers) == 0 or answers.min() == answers.max():
        raise ModelError(
            "ONE_CLASS_OUTCOME",
            f"{outcome_name} の値が全員同じです({len(answers)}人)。モデルは計算できません。"
            "指標の定義を確かめてください。",
            f"Everybody has the same value of {outcome_name} ({len(answers)} people): there is no "
            "model to fit; check the indicator's definition.",
        )


def _raise_all_missing(factor: str) -> None:
    raise ModelError(
        "ALL_MISSING_PREDICTOR",
        f"要因 {factor} に使える回答が1件もありません。study.yaml の要因から外してください。",
        f"The factor {factor} has no usable answer at all: take it out of the study's factors.",
    )


def _merge_thin(
    state: _Merging,
    *,
    minimum_events: int,
    minimum_n: int,
    separated: Collection[tuple[str, str]],
) -> None:
    while True:
        thin = [
            (factor, count)
            for factor in state.codes
            for count in state.counts(factor)
            if count.is_thin(events=minimum_events, n=minimum_n)
            or (factor, count.level) in separated
        ]
        if not thin:
            return
        for factor, count in thin:
            net = state.net_for(factor, level=count.level)
            if net is not None:
                is_separated = (factor, count.level) in separated
                state.merge(factor, net, why="separated" if is_separated else "thin")
                break
        else:
            state.leave_out(*thin[0])


def _merge_until(state: _Merging, *, minimum: float) -> bool:
    """Merge for events per parameter (A27); return whether it stayed too low."""
    while state.rarer < minimum * state.n_parameters:
        for factor in sorted(state.codes, key=lambda name: -len(state.counts(name))):
            net = state.net_for(factor, level=None)
            if net is not None:
                state.merge(factor, net, why="parameters")
                break
        else:
            return True
    return False


def _label_levels(
    factors: pd.DataFrame,
    *,
    nets: dict[str, list[Net]],
    labels: Mapping[str, Mapping[str, str]] | None,
) -> dict[str, dict[str, str]]:
    names = {}
    for factor in factors:
        present = {code: code for code in sorted(set(_text_codes(factors[factor])) - {""})}
        tree = {net: label for net, label, _ in nets.get(factor, [])}
        given = dict((labels or {}).get(factor, {}))
        every = {**tree, **present, **given}
        order = [code for code in (*given, *present) if code not in tree]
        place = {code: order.index(code) for code in reversed(order)}
        for net, _, codes in nets.get(factor, []):
            place[net] = min((place[code] for code in codes if code in place), default=len(order))
        names[factor] = {level: every[level] for level in sorted(every, key=place.__getitem__)}
    return names


def _follow_reference(state: _Merging, reference: Mapping[str, str]) -> dict[str, str]:
    """Return the level that now holds each named reference code."""
    followed = {}
    for factor, code in reference.items():
        for level, codes in state.members.get(factor, {}).items():
            if factor in state.codes and (level == code or code in codes):
                followed[factor] = level
    return followed


_MERGE_REASONS = {
    "separated": "係数の定まらない区分があるため",
    "thin": "回答者か該当者の少ない区分があるため",
    "parameters": "係数1つあたりの該当者を確保するため",
}


def _merge_log(
    state: _Merging, *, labels: dict[str, dict[str, str]], outcome_name: str, is_low: bool
) -> pd.DataFrame:
    rows = []
    for factor in state.codes:
        counts = {count.level: count.n for count in state.counts(factor)}
        for level in labels[factor]:
            codes = state.members[factor].get(level, frozenset())
            if len(codes) < 2 or level not in counts:
                continue
            old = "」「".join(labels[factor][code] for code in labels[factor] if code in codes)
            text = f"「{old}」を「{labels[factor][level]}」にまとめた"
            text += f"({_MERGE_REASONS[state.why[factor, level]]})。"
            rows.append((factor, level, labels[factor][level], counts[level], text))
    for factor, level, n in state.left_out:
        label = labels[factor][level]
        text = f"「{label}」は少なく、まとめる先も決められていないため、モデルから外した。"
        rows.append((factor, level, label, n, text))
    for factor, n in state.dropped:
        text = "2つ以上の区分に十分な回答者または該当者がいないため、要因から外した。"
        rows.append((factor, "dropped", "要因から除外", n, text))
    if is_low:
        text = "係数1つあたりの該当者が目安に届かない(LowEPV)。オッズ比は参考にとどめる。"
        rows.append(("model", "low_epv", "該当者の不足", int(state.rarer), text))
    return _merge_rows(rows, outcome_name=outcome_name)


def _merge_rows(rows: list[tuple], *, outcome_name: str) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["item", "item_value", "item_label", "estimate", "reason"])
    table = table.assign(
        table_id="model_merges",
        measure="count",
        unit="persons",
        domain="outcome",
        domain_value=outcome_name,
        n_unweighted=table["estimate"],
        n_cell=table["estimate"],
    )
    return table.reindex(columns=list(ESTIMATE_COLUMNS))


# --- the logit ----------------------------------------------------------------------------------


class Note(NamedTuple):
    """A sentence about a model, without numbers in it, and the people it is about."""

    code: str
    text: str
    n: int
    item: str = "model"


@dataclass(frozen=True)
class FittedLogit:
    """A weighted logit with what its rows need.

    Attributes:
        outcome_name: Name of the indicator that is explained.
        terms: One row a level, the reference included: factor, level, label, column (position
            among the coefficients, -1 for a reference), n, n_events, n_effective, df (the design's
            among the level's people).
        coefficients: Log odds, shape (p,), the constant first.
        covariance: Design-based, shape (p, p).
        influence: Influence of every row of the design on the coefficients, shape (n, p).
        rows: Who is in the model, bool, shape (n,).
        matrix: Dummies of the people in the model, shape (n_in, p).
        outcome: 0/1 of the people in the model, shape (n_in,).
        df: Design degrees of freedom - p + 1.
        notes: What a reader must know about the model.
    """

    outcome_name: str
    terms: pd.DataFrame
    coefficients: np.ndarray
    covariance: np.ndarray
    influence: np.ndarray
    rows: np.ndarray
    matrix: np.ndarray
    outcome: np.ndarray
    df: int
    notes: tuple[Note, ...] = ()

    @property
    def std_errors(self) -> np.ndarray:
        """Standard errors of the log odds, shape (p,)."""
        return np.sqrt(np.diag(self.covariance))

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
    _refuse_other_values(outcome)
    people = _select(
        design,
        outcome,
        factors=factors,
        reference=reference or {},
        labels=labels or {},
        outcome_name=outcome_name,
        limits=_Limits(maximum_missing_share, minimum_base_n, minimum_residual_df),
    )
    matrix, answers, weights = people.matrix, people.answers, people.weights
    coefficients = _maximise(people, outcome_name=outcome_name)
    influence = np.zeros((len(people.rows), matrix.shape[1]))
    influence[people.rows] = _coefficient_influence(
        matrix, answers, coefficients=coefficients, weights=weights
    )
    return FittedLogit(
        outcome_name=outcome_name,
        terms=people.counted_terms(answers, design),
        coefficients=coefficients,
        covariance=np.asarray(design.covariance(influence)),
        influence=influence,
        rows=people.rows,
        matrix=matrix,
        outcome=answers,
        df=_model_df(design, people.rows, n_parameters=matrix.shape[1], name=outcome_name),
        notes=tuple(people.notes),
    )


@dataclass(frozen=True)
class _Limits:
    """When a model is refused."""

    missing_share: float
    base_n: int
    residual_df: int


@dataclass(frozen=True)
class _People:
    """Who is in a model, and their dummies: the constant first, then the terms' columns."""

    rows: np.ndarray
    answers: np.ndarray
    weights: np.ndarray
    matrix: np.ndarray
    terms: pd.DataFrame
    notes: list[Note]
    levels: dict[str, np.ndarray]

    def counted_terms(self, events: np.ndarray, design: Design) -> pd.DataFrame:
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


def _select(
    design: Design,
    outcome: np.ndarray,
    *,
    factors: pd.DataFrame,
    reference: Mapping[str, str],
    labels: Mapping[str, Mapping[str, str]],
    outcome_name: str,
    limits: _Limits,
) -> _People:
    levels, answers = _check_lengths(design, outcome, factors=factors)
    rows, notes = _complete_rows(
        levels, answers, outcome_name=outcome_name, maximum_missing_share=limits.missing_share
    )
    _refuse_one_class(answers[rows], outcome_name=outcome_name)
    terms, more = _list_terms(levels, rows=rows, reference=reference, labels=labels)
    matrix = _dummies(terms, levels=levels, rows=rows)
    _refuse_small(matrix, name=outcome_name, limits=limits)
    _refuse_collinear(matrix, terms=terms, outcome_name=outcome_name)
    weights = np.asarray(design.weights, dtype=float)[rows]
    return _People(rows, answers[rows], weights, matrix, terms, notes + more, levels)


def _model_df(design: Design, rows: np.ndarray, *, n_parameters: int, name: str) -> int:
    df = int(design.degrees_of_freedom(rows)) - n_parameters + 1
    if df < 1:
        raise ModelError(
            "MODEL_DF",
            f"{name} のモデルは係数 {n_parameters}個に対して調査設計の自由度が足りません。"
            "要因を減らしてください。",
            f"The design has too few degrees of freedom for the {n_parameters} coefficients of the "
            f"model of {name}: use fewer factors.",
        )
    return df


def _check_lengths(
    design: Design, outcome: np.ndarray, *, factors: pd.DataFrame
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    answers = np.asarray(outcome, dtype=float)
    n = len(design.weights)
    if len(answers) != n or len(factors) != n:
        raise ModelError(
            "MODEL_LENGTH",
            f"行数が合いません(設計 {n}、目的変数 {len(answers)}、要因 {len(factors)})。"
            "同じ回答者の表から作ってください。",
            f"Numbers of rows differ (design {n}, outcome {len(answers)}, factors {len(factors)}): "
            "make all three from the same respondents.",
        )
    return {name: _text_codes(factors[name]) for name in factors}, answers


def _refuse_other_values(outcome: np.ndarray) -> None:
    answers = np.asarray(outcome, dtype=float)
    if not np.isin(answers[~np.isnan(answers)], (0.0, 1.0)).all():
        raise ModelError(
            "MODEL_OUTCOME_VALUES",
            "目的変数に 0 と 1 以外の値があります。該当を 1、非該当を 0 にしてください。",
            "The outcome has values other than 0 and 1: code the event 1 and its absence 0.",
        )


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
            _raise_all_missing(factor)
        if (domain & ~has_level).any():
            missing[factor] = int((domain & ~has_level).sum())
        rows &= has_level
    n_before, n_after = int(domain.sum()), int(rows.sum())
    notes = [
        Note("no_answer", "この要因に答えがないため、モデルに入っていない。", n, factor)
        for factor, n in missing.items()
    ]
    by_factor_ja = "、".join(f"{factor} {n}人" for factor, n in missing.items())
    if n_before - n_after > maximum_missing_share * n_before:
        by_factor_en = ", ".join(f"{factor} {n}" for factor, n in missing.items())
        raise ModelError(
            "LISTWISE_DELETION",
            f"{outcome_name} のモデルで、要因の無回答により {n_before}人が {n_after}人に減ります"
            f"({by_factor_ja})。無回答の多い要因を外してください。",
            f"Missing answers take the model of {outcome_name} from {n_before} to {n_after} people "
            f"({by_factor_en}): take out the factors with many missing answers.",
        )
    if missing:
        text = "どれかの要因に答えがない人を除いた(要因ごとの人数は重複を含む)。"
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
            text = "全員が同じ区分のため、モデルから外した(ConstantPredictor)。"
            notes.append(Note("constant_predictor", text, int(rows.sum()), factor))
            continue
        base = reference.get(factor)
        if base not in present:
            base = max(present, key=lambda level: counts[level])
            if factor in reference:
                text = "指定した基準の区分に人がいないため、最も多い区分を基準にした。"
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


def _name_terms(terms: pd.DataFrame, *, columns: Iterable[int]) -> str:
    chosen = terms[terms["column"].isin(list(columns))]
    return ", ".join(f"{f}={v}" for f, v in zip(chosen["factor"], chosen["level"], strict=True))


def _refuse_small(matrix: np.ndarray, *, name: str, limits: _Limits) -> None:
    n, p = matrix.shape
    if p == 1:
        raise ModelError(
            "MODEL_NO_FACTOR",
            f"{name} のモデルに2区分以上の要因が残りません。要因か統合の木を見直してください。",
            f"No factor with two levels is left in the model of {name}: look at the factors or "
            "the recode tree.",
        )
    if n < limits.base_n:
        raise ModelError(
            "MODEL_BASE_TOO_SMALL",
            f"{name} のモデルに使えるのは {n}人で、{limits.base_n}人に足りません。"
            "要因を減らしてください。",
            f"The model of {name} has {n} people, fewer than {limits.base_n}: use fewer factors.",
        )
    if n - p < limits.residual_df:
        raise ModelError(
            "MODEL_DF",
            f"{name} のモデルは {n}人に係数 {p}個で、残りの自由度が {limits.residual_df} に"
            "足りません。要因を減らすか区分を統合してください。",
            f"The model of {name} has {p} coefficients for {n} people, fewer than "
            f"{limits.residual_df} residual degrees of freedom: use fewer factors or merge levels.",
        )


def _refuse_collinear(matrix: np.ndarray, *, terms: pd.DataFrame, outcome_name: str) -> None:
    # The dummies' cross products hold whole numbers: exact dependence gives an eigenvalue of 0.
    values, vectors = linalg.eigh(matrix.T @ matrix)
    null = vectors[:, values <= _RANK_TOLERANCE * values[-1]]
    if null.shape[1] == 0:
        return
    involved = np.flatnonzero(np.abs(null).max(axis=1) > 1e-6)
    names = _name_terms(terms, columns=involved)
    raise ModelError(
        "COLLINEARITY",
        f"{outcome_name} のモデルで次の区分が互いに決まってしまいます: {names}。"
        "どれかの要因を外すか、区分を統合してください。",
        f"In the model of {outcome_name} these levels determine one another: {names}. Take out one "
        "of the factors or merge levels.",
    )


def _refuse_separation(
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


def _maximise(people: _People, *, outcome_name: str) -> np.ndarray:
    """Return the weighted maximum likelihood estimates, shape (p,), or refuse separation.

    statsmodels' var_weights give the right coefficients; freq_weights would only differ in the
    standard errors, which we do not take from there. A last Newton step takes the score to the
    rounding error, where R's svyglm with epsilon = 1e-12 stands too.

    The score is the sum of m z, z as in `_refuse_separation` and m the weighted residuals' sizes.
    Where every m is above zero the sum of z'b over |b| <= 1 with z'b >= 0 is at most the score's
    sizes over the least m (Stiemke): no separation, and no programme needed to see it.
    """
    matrix, answers = people.matrix, people.answers
    scaled = people.weights / people.weights.mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = sm.GLM(answers, matrix, family=sm.families.Binomial(), var_weights=scaled)
            coefficients = np.asarray(model.fit(tol=1e-12, maxiter=100).params, dtype=float)
            for _ in range(2):
                mean = special.expit(matrix @ coefficients)
                score = matrix.T @ (scaled * (answers - mean))
                hessian = (matrix * (scaled * mean * (1 - mean))[:, None]).T @ matrix
                coefficients = coefficients + linalg.solve(hessian, score, assume_a="pos")
            residual = scaled * (answers - special.expit(matrix @ coefficients))
        except ValueError:  # numpy's LinAlgError too: no maximum
            coefficients = np.full(matrix.shape[1], np.nan)
            residual = np.zeros(len(answers))
    score = matrix.T @ residual
    if not np.abs(score).sum() < _OVERLAP * np.abs(residual).min():
        signed = matrix * np.where(answers == 1, 1.0, -1.0)[:, None]
        _refuse_separation(signed, terms=people.terms, outcome_name=outcome_name)
    _refuse_no_maximum(coefficients, score / len(answers), outcome_name=outcome_name)
    return coefficients


def _refuse_no_maximum(
    coefficients: np.ndarray, mean_score: np.ndarray, *, outcome_name: str
) -> None:
    if np.isfinite(coefficients).all() and np.abs(mean_score).max() <= _SCORE_TOLERANCE:
        return
    raise ModelError(
        "MODEL_NOT_CONVERGED",
        f"{outcome_name} のモデルの計算が収束しません。要因を減らすか区分を統合してください。",
        f"The model of {outcome_name} does not converge: use fewer factors or merge levels.",
    )


def _coefficient_influence(
    matrix: np.ndarray, answers: np.ndarray, *, coefficients: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    mean = special.expit(matrix @ coefficients)
    hessian = (matrix * (weights * mean * (1 - mean))[:, None]).T @ matrix
    scores = matrix * (answers - mean)[:, None]
    return linalg.solve(hessian, scores.T, assume_a="pos").T


# --- the ordinal logit --------------------------------------------------------------------------


@dataclass(frozen=True)
class FittedOrdinal:
    """A weighted proportional odds model, P(Y <= k) = expit(threshold_k - x'b).

    Attributes:
        outcome_name: Name of the item that is explained.
        terms: As in `FittedLogit`; `column` counts the thresholds too.
        coefficients: Thresholds, then log odds of a higher answer, shape (q + p,).
        covariance: Design-based, shape (q + p, q + p).
        influence: Shape (n, q + p).
        rows: Who is in the model, bool, shape (n,).
        n_thresholds: Answers less one, q.
        df: Design degrees of freedom - (q + p) + 1.
        notes: What a reader must know about the model.
    """

    outcome_name: str
    terms: pd.DataFrame
    coefficients: np.ndarray
    covariance: np.ndarray
    influence: np.ndarray
    rows: np.ndarray
    n_thresholds: int
    df: int
    notes: tuple[Note, ...] = ()

    @property
    def std_errors(self) -> np.ndarray:
        """Standard errors, shape (q + p,)."""
        return np.sqrt(np.diag(self.covariance))


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
    people = _select(
        design,
        outcome,
        factors=factors,
        reference=reference or {},
        labels=labels or {},
        outcome_name=outcome_name,
        limits=_Limits(maximum_missing_share, minimum_base_n, minimum_residual_df),
    )
    values, answer = np.unique(people.answers, return_inverse=True)
    n_thresholds = len(values) - 1
    rows = _ordinal_rows(people.matrix[:, 1:], answer, n_thresholds=n_thresholds)
    signed = np.vstack([rows.upper[rows.has_upper], -rows.lower[rows.has_lower]])
    _refuse_separation(signed, terms=people.terms, outcome_name=outcome_name, n_free=n_thresholds)
    theta = _maximise_ordinal(rows, weights=people.weights, outcome_name=outcome_name)
    score, hessian = _ordinal_score(rows, theta, weights=people.weights)
    influence = np.zeros((len(people.rows), len(theta)))
    influence[people.rows] = linalg.solve(hessian, score.T, assume_a="pos").T
    terms = people.counted_terms((answer == n_thresholds).astype(float), design)
    is_base = terms["column"] < 0
    return FittedOrdinal(
        outcome_name=outcome_name,
        terms=terms.assign(
            column=terms["column"].where(is_base, terms["column"] + n_thresholds - 1)
        ),
        coefficients=theta,
        covariance=np.asarray(design.covariance(influence)),
        influence=influence,
        rows=people.rows,
        n_thresholds=n_thresholds,
        df=_model_df(design, people.rows, n_parameters=len(theta), name=outcome_name),
        notes=tuple(people.notes),
    )


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


def _ordinal_score(
    rows: _OrdinalRows, theta: np.ndarray, *, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the score of each person, shape (n, q + p), and minus the weighted Hessian."""
    high = np.where(rows.has_upper, special.expit(rows.upper @ theta), 1.0)
    low = np.where(rows.has_lower, special.expit(rows.lower @ theta), 0.0)
    share = high - low
    slope_high, slope_low = high * (1 - high) / share, low * (1 - low) / share
    score = rows.upper * slope_high[:, None] - rows.lower * slope_low[:, None]
    curve_high, curve_low = slope_high * (1 - 2 * high), slope_low * (1 - 2 * low)
    hessian = (score * weights[:, None]).T @ score
    hessian -= (rows.upper * (weights * curve_high)[:, None]).T @ rows.upper
    hessian += (rows.lower * (weights * curve_low)[:, None]).T @ rows.lower
    return score, hessian


def _ordinal_likelihood(rows: _OrdinalRows, theta: np.ndarray, *, weights: np.ndarray) -> float:
    high = np.where(rows.has_upper, special.expit(rows.upper @ theta), 1.0)
    low = np.where(rows.has_lower, special.expit(rows.lower @ theta), 0.0)
    share = high - low
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
    _refuse_no_maximum(theta, scaled @ score, outcome_name=outcome_name)
    return theta


# --- rows of the estimates table ----------------------------------------------------------------


def odds_ratio_rows(
    model: FittedLogit | FittedOrdinal,
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
    is_base = column < 0
    beta = np.where(is_base, 0.0, model.coefficients[column])
    error = np.where(is_base, np.nan, model.std_errors[column])
    reach = stats.t.ppf(0.5 + confidence / 2, model.df) * error
    values = {
        "measure": "odds_ratio" if isinstance(model, FittedLogit) else "cumulative_odds_ratio",
        "unit": "ratio",
        "estimate": np.exp(beta),
        "std_error": error,
        "lower": np.exp(beta - reach),
        "upper": np.exp(beta + reach),
        "p_value": _two_sided(beta, error, df=model.df),
    }
    return _term_rows(model, values, weighting=weighting, wave=wave)


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
    is_base = model.terms["column"].to_numpy() < 0
    error = np.sqrt(np.diag(np.asarray(design.covariance(influence))))
    error = np.where(is_base, np.nan, error) * 100
    reach = stats.t.ppf(0.5 + confidence / 2, model.df) * error
    points = effects * 100
    values = {
        "measure": "marginal_effect_points",
        "unit": "points",
        "estimate": points,
        "std_error": error,
        "lower": points - reach,
        "upper": points + reach,
        "p_value": _two_sided(points, error, df=model.df),
    }
    rows = _term_rows(model, values, weighting=design.scheme, wave=wave)
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


def _two_sided(estimate: np.ndarray, error: np.ndarray, *, df: float | np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return 2 * stats.t.sf(np.abs(estimate) / error, df)


def _term_rows(
    model: FittedLogit | FittedOrdinal, values: dict[str, Any], *, weighting: str, wave: int | None
) -> pd.DataFrame:
    terms = model.terms
    is_base = (terms["column"] < 0).to_numpy()
    few = _too_few_units(terms)
    rows = pd.DataFrame({**values, "item": terms["factor"], "item_value": terms["level"]})
    rows.loc[few, ["std_error", "lower", "upper", "p_value"]] = np.nan
    rows = rows.assign(
        wave=wave,
        table_id=f"model_{model.outcome_name}",
        domain="all",
        domain_value="all",
        item_label=terms["label"],
        df=model.df,
        p_adjusted=adjust_p_values(rows["p_value"].to_numpy()),
        n_unweighted=terms["n"],
        n_cell=np.minimum(terms["n_events"], terms["n"] - terms["n_events"]),
        n_effective=terms["n_effective"],
        weighting=weighting,
        mark=np.where(is_base, REFERENCE, ""),
        reason=np.select([is_base, few], ["比較の基準の区分", TOO_FEW_UNITS], ""),
    )
    return rows.reindex(columns=list(ESTIMATE_COLUMNS))


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
    table = table.assign(
        wave=wave,
        table_id=f"model_{model.outcome_name}",
        measure="wald_f",
        unit="ratio",
        domain="all",
        domain_value="all",
        item_value="all",
        item_label="すべての区分",
        df=model.df,
        p_adjusted=adjust_p_values(table["p_value"].to_numpy()),
        n_unweighted=len(model.outcome),
        weighting=weighting,
    )
    return table.reindex(columns=list(ESTIMATE_COLUMNS))


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
    facts = [
        ("model", "n", "モデルに使った回答者", n, ""),
        ("model", "events", "該当者", model.n_events, ""),
        ("model", "non_events", "非該当者", n - model.n_events, ""),
        ("model", "parameters", "係数の数(定数項を除く)", p - 1, ""),
        ("model", "smallest_level", "最も少ない区分の回答者", model.terms["n"].min(), ""),
        ("model", "smallest_level_outcome", "最も少ない区分×該当・非該当", thinnest, ""),
        ("model", "events_per_parameter", "係数1つあたりの該当者", model.events_per_parameter, ""),
    ]
    facts += [(note.item, note.code, "注記", note.n, note.text) for note in model.notes]
    if model.events_per_parameter < MINIMUM_EVENTS_PER_PARAMETER:
        text = "係数1つあたりの該当者が目安に届かない(LowEPV)。オッズ比は参考にとどめる。"
        facts.append(("model", "low_epv", "注記", min(model.n_events, n - model.n_events), text))
    columns = ["item", "item_value", "item_label", "estimate", "reason"]
    rows = pd.DataFrame(facts, columns=columns)
    is_ratio = rows["item_value"] == "events_per_parameter"
    is_parameter = rows["item_value"] == "parameters"
    rows = rows.assign(
        wave=wave,
        table_id=f"model_{model.outcome_name}",
        measure=np.where(is_ratio, "ratio", "count"),
        unit=np.select([is_ratio, is_parameter], ["ratio", "coefficients"], default="persons"),
        domain="all",
        domain_value="all",
        n_unweighted=n,
        n_cell=np.where(is_ratio | is_parameter, n, rows["estimate"]),
        weighting=weighting,
    )
    return rows.reindex(columns=list(ESTIMATE_COLUMNS))


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
    texts = np.column_stack([_text_codes(factors[name])[known] for name in factors])
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
    is_base = first.terms["column"].to_numpy() < 0
    points, error = share * 100, np.where(is_base, np.nan, np.sqrt(variance) * 100)
    df = np.where(is_base, np.nan, df)
    reach = stats.t.isf((1 - confidence) / 2, df) * error
    values = {
        "measure": "marginal_effect_points",
        "unit": "points",
        "estimate": points,
        "std_error": error,
        "lower": points - reach,
        "upper": points + reach,
        "p_value": _two_sided(points, error, df=df),
    }
    return _term_rows(first, values, weighting=design.scheme, wave=wave).assign(df=df)


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
            f"係数1つあたり {self.model.events_per_parameter:.1f}人"
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
    "ONE_CLASS_OUTCOME": "該当する人としない人に分かれないため、モデルは示さない。",
    "TOO_FEW_EVENTS": "該当する人が少ないため、モデルは示さない。",
    "MODEL_DF": "回答者の数に対して係数が多いため、モデルは示さない。",
    "MODEL_BASE_TOO_SMALL": "使える回答者が少ないため、モデルは示さない。",
    "MODEL_SEPARATION": "答えがはっきり分かれる区分があり係数が定まらないため、モデルは示さない。",
    "LISTWISE_DELETION": "要因に無回答が多いため、モデルは示さない。",
    "ALL_MISSING_PREDICTOR": "使える回答のない要因があるため、モデルは示さない。",
    "COLLINEARITY": "要因どうしが重なり係数が定まらないため、モデルは示さない。",
    "MODEL_NOT_CONVERGED": "計算が収束しないため、モデルは示さない。",
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
        "reason": _WITHHELD.get(error.code, "条件を満たさないため、モデルは示さない。"),
    }
    return pd.DataFrame([row]).reindex(columns=list(ESTIMATE_COLUMNS))
