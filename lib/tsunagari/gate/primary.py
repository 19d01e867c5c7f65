"""Which cells are hidden for their own sake?"""

from __future__ import annotations

from itertools import product

from tsunagari.estimates import WHOLE_PERCENT_BASE
from tsunagari.gate.bounds import Target
from tsunagari.gate.linked import LinkedTables, filter_of
from tsunagari.gate.questionnaire import Key, Questionnaire
from tsunagari.study.settings import Disclosure

BASE_UNDER_10 = "BASE_UNDER_10"
CELL_UNDER_10 = "CELL_UNDER_10"
SECONDARY = "SECONDARY"
DEPENDENT = "DEPENDENT"
GROUP = "GROUP"
POPULATION = "POPULATION"
TABLE = "TABLE"


def find_primary(
    linked: LinkedTables, *, settings: Disclosure, questionnaire: Questionnaire
) -> tuple[dict[int, str], list[Target]]:
    """Return the nodes hidden for their own size, and the counts that must stay open.

    Args:
        linked: All tables of a wave.
        settings: Thresholds.
        questionnaire: What is known of the variables.

    Returns:
        Reason of each hidden node; the targets.
    """
    primary: dict[int, str] = {}
    targets: list[Target] = []
    for node, positions in linked.rows.items():
        key, base = linked.keys[node], linked.base_of[positions[0]]
        n, count = linked.counts[base], linked.counts[node]
        k = threshold_of(key, settings=settings, questionnaire=questionnaire)
        # How many an axis leaves out is the total less its bases, which are shown.
        is_told = len(key) == 1 and key[0][1] in questionnaire.outside.get(key[0][0], ())
        if n < settings.base_minimum:
            primary[node] = primary[base] = BASE_UNDER_10
            if n > 0 and not is_told:
                targets.append(Target(node, low=1.0, high=min(settings.base_minimum - 1.0, n)))
        elif count < k:
            primary[node] = CELL_UNDER_10
            if not is_told:
                targets.append(Target(node, low=1.0, high=k - 1.0))
        elif node in linked.options and 0 < n - count < k:
            primary[node] = CELL_UNDER_10
            targets.append(Target(linked.options[node], low=1.0, high=k - 1.0))
        elif _is_group(linked, node, questionnaire=questionnaire, settings=settings):
            primary[node] = GROUP
    for base in _nearly_everybody(linked, settings=settings, questionnaire=questionnaire):
        primary.setdefault(base, POPULATION)
    targets += _find_rests(linked, settings=settings, questionnaire=questionnaire)
    return primary, targets


def _find_rests(
    linked: LinkedTables, *, settings: Disclosure, questionnaire: Questionnaire
) -> list[Target]:
    """Return the small counts of people outside an axis of which two values must stay possible.

    Their answers stand in no table: they are a weighted, rounded share less others. Where rounding
    leaves two whole numbers or more, that is enough: to open them from 1 to k - 1 would hide whole
    tables (docs/methods.md).
    """
    targets = []
    for node, members in linked.rests.items():
        base, *others = (linked.counts[linked.base_of[linked.rows[m][0]]] for m in members)
        slack = sum(_rounding_slack(linked, member) for member in members)
        k = threshold_of(linked.keys[node], settings=settings, questionnaire=questionnaire)
        n_outside = base - sum(others)
        if linked.counts[node] < k and n_outside > 0 and slack < 1:
            count = linked.counts[node]
            targets.append(Target(node, low=max(count - 1, 0.0), high=max(count, 1.0)))
    return targets


def _rounding_slack(linked: LinkedTables, node: int) -> float:
    """Return by how many respondents a published share may be off its own count."""
    base = linked.counts[linked.base_of[linked.rows[node][0]]]
    is_rounded = base < WHOLE_PERCENT_BASE or len(linked.keys[node]) > 2
    return base * (0.5 if is_rounded else 0.05) / 100


def _nearly_everybody(
    linked: LinkedTables, *, settings: Disclosure, questionnaire: Questionnaire
) -> list[int]:
    """Return bases of a population that differs by a few people from another one (SDC-1 P11).

    What counts is who was asked: that a few did not answer one of two questions asked of the same
    people makes no other population.
    """
    populations: dict[Key, list[tuple[int, tuple[Key, ...]]]] = {}
    for node in linked.bases:
        rest, conditions = filter_of(linked.keys[node], questionnaire=questionnaire)
        if conditions:
            everybody = [(linked.index[rest], ())] if rest in linked.index else []
            populations.setdefault(rest, everybody).append((node, conditions))
    found = []
    for rest, known in populations.items():
        k = threshold_of((*rest, ("?", "1")), settings=settings, questionnaire=questionnaire)
        asked = {node: _n_led(linked, rest, conditions) for node, conditions in known}
        for (wide, fewer), (node, conditions) in product(known, known):
            is_within, is_same = _holds(fewer, conditions), _holds(conditions, fewer)
            n_wide, n = (asked[each] or linked.counts[each] for each in (wide, node))
            if is_within and not is_same and 0 < n_wide - n < k:
                found.append(node)
            if node == wide and asked[node] and 0 < linked.counts[node] - asked[node] < k:
                found.append(node)  # answered by a few whom no answer led to it
    return found


def _holds(wide: tuple[Key, ...], narrow: tuple[Key, ...]) -> bool:
    """Return whether all whom some conditions lead to a question fulfil others too."""
    return all(any(set(one) <= set(other) for one in narrow) for other in wide)


def _n_led(linked: LinkedTables, rest: Key, conditions: tuple[Key, ...]) -> float | None:
    """Return how many people the one condition of a filter leads to a question, where shown."""
    if len(conditions) != 1:
        return None
    parts = [linked.index.get(tuple(sorted((*rest, pair)))) for pair in conditions[0]]
    return None if None in parts else sum(linked.counts[part] for part in parts)


def threshold_of(key: Key, *, settings: Disclosure, questionnaire: Questionnaire) -> int:
    """Return the smallest count that may be shown of these people (SDC-1 P2)."""
    names = {name.split("=", 1)[0].lstrip("?") for name, _ in key if name != "#"}
    strict = (
        settings.area == "below"
        or len(names) >= 3
        or names & questionnaire.areas
        or names & questionnaire.sensitive
    )
    return settings.threshold if strict else settings.threshold_two_way


def _is_group(
    linked: LinkedTables, node: int, *, questionnaire: Questionnaire, settings: Disclosure
) -> bool:
    """Return whether one answer to a sensitive item holds (nearly) a whole group (P7)."""
    names = {name.split("=", 1)[0] for name, _ in linked.keys[node]}
    n = linked.counts[linked.base_of[linked.rows[node][0]]]
    share = linked.counts[node] / n
    small = n < settings.base_low and share >= 0.95
    return bool(names & questionnaire.sensitive) and (share == 1.0 or small)
