"""Which answers stand together so that a model can be fitted?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsunagari.errors import ModelError
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.study.codebook import NO_ANSWER, Item

MINIMUM_EVENTS_PER_PARAMETER = 10.0  # Peduzzi et al. (1996); events = the rarer of the two answers
MINIMUM_EVENTS_PER_LEVEL = 5  # SDC-1 P15: each level x outcome
MINIMUM_LEVEL_N = 10  # SDC-1 P15: each dummy level

Net = tuple[str, str, Sequence[str]]


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
            raise ModelError("MODEL_FACTOR_KIND", name=item.name)
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


def text_codes(column: pd.Series) -> np.ndarray:
    """Return codes as text, no answer as an empty one."""
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
    most levels (ties: the last one; the study names first, such as ages, what shall stay fine)
    merges by its next finest net. A thin level without a net is
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
        codes={name: text_codes(factors[name]) for name in factors},
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
            raise ModelError("ALL_MISSING_PREDICTOR", factor=factor)
    if not state.complete.any():
        raise ModelError("MODEL_NO_COMPLETE_ROWS", outcome_name=outcome_name)
    refuse_one_class(state.outcome[state.complete], outcome_name=outcome_name)
    if state.rarer < 2 * minimum:
        raise ModelError("TOO_FEW_EVENTS", outcome_name=outcome_name, value=2 * minimum)


def refuse_one_class(answers: np.ndarray, *, outcome_name: str) -> None:
    """Refuse an outcome that everybody or nobody has."""
    if len(answers) == 0 or answers.min() == answers.max():
        raise ModelError("ONE_CLASS_OUTCOME", outcome_name=outcome_name, n=len(answers))


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
        last_first = reversed(list(state.codes))
        for factor in sorted(last_first, key=lambda name: -len(state.counts(name))):
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
        present = {code: code for code in sorted(set(text_codes(factors[factor])) - {""})}
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
    "separated": "結果の定まらない区分があるため",
    "thin": "回答者か該当者の少ない区分があるため",
    "parameters": "条件の区分1つあたりの該当者を確保するため",
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
            text = f"「{old}」を「{labels[factor][level]}」にまとめました"
            text += f"（{_MERGE_REASONS[state.why[factor, level]]}）。"
            rows.append((factor, level, labels[factor][level], counts[level], text))
    for factor, level, n in state.left_out:
        label = labels[factor][level]
        text = f"「{label}」は少なく、まとめる先も決められていないため、モデルから外しました。"
        rows.append((factor, level, label, n, text))
    for factor, n in state.dropped:
        text = "2つ以上の区分に十分な回答者または該当者がいないため、要因から外しました。"
        rows.append((factor, "dropped", "要因から除外", n, text))
    if is_low:
        text = "条件の区分1つあたりの該当者が目安に届きません。オッズ比は参考にとどめます。"
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
