"""Which further cells are hidden so that nobody can work out the first?"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tsunagari.errors import DisclosureError
from tsunagari.estimates import join
from tsunagari.gate.bounds import (
    Component,
    Target,
    find_alternative,
    find_components,
    find_exposed,
    place_nodes,
    settle,
)
from tsunagari.gate.linked import LinkedTables, span_of
from tsunagari.gate.questionnaire import Questionnaire

_BASE_COST = 200.0  # of hiding a base: all of its domain's rows go


# --- secondary suppression ------------------------------------------------------------------------


def protect(
    linked: LinkedTables,
    targets: list[Target],
    *,
    hidden: set[int],
    questionnaire: Questionnaire,
    is_told: np.ndarray | None = None,
    left_out: Iterable[int] = (),
) -> set[int]:
    """Hide further nodes, at the least loss, until no target can be told from what is left.

    For each target the cheapest other table is sought in which the target takes its end value;
    what differs in it and is visible is hidden. Where cells alone do not suffice, bases and with
    them whole rows may be hidden.

    Args:
        linked: All tables of a wave.
        targets: Counts that must stay open.
        hidden: Nodes hidden for their own size.
        questionnaire: What is known of the variables.
        is_told: Whether an earlier release shows each node: hiding it would not help.
        left_out: Positions of rows that are not released: what they alone show is not known, but
            targets among it stay targets.

    Returns:
        All hidden nodes that the released rows show.

    Raises:
        DisclosureError: A target cannot be protected by hiding; it names the tables' variables.
    """
    hidden = _with_bases(linked, hidden)
    shown = np.zeros(len(linked.keys), dtype=bool)
    left_out = set(left_out)
    for shown_by in (linked.rows, linked.bases):
        shown[[node for node, rows in shown_by.items() if not left_out.issuperset(rows)]] = True
    is_base = np.zeros(len(linked.keys), dtype=bool)
    is_base[list(linked.bases)] = True
    costs = _costs(linked, questionnaire=questionnaire)
    told = np.zeros_like(is_base) if is_told is None else is_told
    left = targets
    # First with every base as it is and without bounds, which keeps the items apart; then what is
    # left with all bounds; at last with bases and whole domains.
    for holds_bases, has_loose in ((True, False), (True, True), (False, True), (False, True)):
        fixed = told | is_base if holds_bases else told.copy()
        fixed[0] = True
        moving = ~settle(linked, known=fixed)
        where = place_nodes(find_components(linked, moving=moving, has_loose=has_loose))
        hidden = _with_bases(
            linked, _protect_all(left, where, hidden=hidden, shown=shown, costs=costs)
        )
        is_visible = (shown | told) & ~np.isin(np.arange(len(shown)), list(hidden))
        is_visible |= told
        # More is hidden than before: what was safe still is.
        left = find_exposed(linked, left, is_visible=is_visible)
        if not left:
            break
    if left:
        _raise_exposed(linked, left)
    return hidden


def _with_bases(linked: LinkedTables, hidden: set[int]) -> set[int]:
    """Return hidden nodes with the cells whose base is hidden."""
    hidden = set(hidden)
    gone = {p for base in hidden for p in linked.bases.get(base, ())}
    return hidden | {node for node, rows in linked.rows.items() if set(rows) & gone}


def _costs(linked: LinkedTables, *, questionnaire: Questionnaire) -> np.ndarray:
    """Return what it costs to hide a node: wide tables, nets, large groups and shares cost more."""
    costs = np.zeros(len(linked.keys))
    everybody = max((linked.counts[base] for base in linked.bases), default=1.0)
    for node, rows in linked.rows.items():
        key = linked.keys[node]
        depth = {1: 20.0, 2: 4.0}.get(len(key), 1.0)
        spans = (span_of(code, nets=questionnaire.nets.get(name, {})) for name, code in key)
        is_net = any(len(span) > 1 for span in spans)
        base = max(linked.counts[linked.base_of[rows[0]]], 1.0)
        size = (0.2 + linked.counts[node] / base) * (0.2 + base / everybody)
        costs[node] = depth * (3.0 if is_net else 1.0) * (1 + 0.1 * len(rows)) * size
    for node, rows in linked.bases.items():
        costs[node] += _BASE_COST + len(rows)
    return costs


def _protect_all(
    targets: list[Target],
    where: dict[int, tuple[Component, int]],
    *,
    hidden: set[int],
    shown: np.ndarray,
    costs: np.ndarray,
) -> set[int]:
    """Protect target after target as far as that can be done; return all hidden nodes."""
    is_hidden = np.zeros(len(shown), dtype=bool)
    is_hidden[list(hidden)] = True
    for target in sorted(targets, key=lambda t: (t.low - t.high, t.node)):
        if target.node not in where:
            continue
        component, place = where[target.node]
        mine = component.nodes
        free = is_hidden[mine] | ~shown[mine]
        for up, goal in component.open_ends(place, target, is_free=free):
            price = np.where(is_hidden[mine] | ~shown[mine], 0.0, costs[mine])
            table = find_alternative(component, place, goal=goal, costs=price, up=up)
            if table is None:
                break
            component.witnesses.append(table)
            is_hidden[mine[(table != component.counts) & shown[mine]]] = True
    return set(np.flatnonzero(is_hidden))


def _raise_exposed(linked: LinkedTables, targets: list[Target]) -> None:
    names = sorted(
        {join(n.lstrip("?") for n, _ in linked.keys[t.node] if n != "#") for t in targets}
    )
    listed = ", ".join(names[:8])
    raise DisclosureError("RECOVERABLE", n=len(targets), listed=listed)
