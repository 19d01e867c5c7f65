"""Between which numbers does a hidden count lie, by all that is shown?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, hstack
from scipy.sparse.csgraph import connected_components

from tsunagari.estimates import MODELS, is_kind
from tsunagari.gate.linked import LinkedTables

# --- bounds: what can be told of a hidden count ---------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A count that must stay open: somebody who knows all tables can exclude no value in between.

    Attributes:
        node: Node of the count.
        low: The lowest value that must stay possible or be undercut.
        high: The highest value that must stay possible or be exceeded.
    """

    node: int
    low: float
    high: float

    def holds(self, count: float) -> bool:
        """Return whether knowing the count tells nothing: it lies beyond both ends."""
        return count <= self.low and count >= self.high


@dataclass
class Component:
    """Nodes that are tied to each other when the rest is known."""

    nodes: np.ndarray
    matrix: csr_array
    counts: np.ndarray
    witnesses: list[np.ndarray] = field(default_factory=list)

    def open_ends(
        self, place: int, target: Target, *, is_free: np.ndarray
    ) -> list[tuple[bool, float]]:
        """Return the ends that no known alternative, all unseen, reaches; True is the upper."""
        low, high = self.counts[place] <= target.low, self.counts[place] >= target.high
        for table in self.witnesses:
            if low and high:
                break
            value = table[place]
            if (value <= target.low or value >= target.high) and not (
                (table != self.counts) & ~is_free
            ).any():
                low, high = low or value <= target.low, high or value >= target.high
        ends = [(True, target.high)] * (not high)
        return ends + [(False, target.low)] * (not low)


def settle(linked: LinkedTables, *, known: np.ndarray) -> np.ndarray:
    """Return which nodes are known when every sum with one unknown is worked out, again and again.

    Args:
        linked: All tables of a wave.
        known: Whether each node's count is known, shape (n_nodes,).
    """
    known = known.copy()
    unknown = [sum(not known[n] for n in nodes) for nodes, _ in linked.equations]
    holding: dict[int, list[int]] = {}
    for number, (nodes, _) in enumerate(linked.equations):
        for node in nodes:
            holding.setdefault(node, []).append(number)
    ready = [number for number, left in enumerate(unknown) if left == 1]
    while ready:
        number = ready.pop()
        found = [n for n in linked.equations[number][0] if not known[n]]
        if len(found) != 1:
            continue
        known[found[0]] = True
        for other in holding[found[0]]:
            unknown[other] -= 1
            if unknown[other] == 1:
                ready.append(other)
    return known


def find_components(
    linked: LinkedTables, *, moving: np.ndarray, has_loose: bool = True
) -> list[Component]:
    """Return groups of moving nodes that share an equation, with the equations between them."""
    ties, edges = [], []
    for number, (nodes, coefficients) in enumerate(linked.equations):
        if number in linked.loose and not has_loose:
            continue
        pairs = [(n, c) for n, c in zip(nodes, coefficients, strict=True) if moving[n]]
        if pairs:
            ties.append(pairs)
            edges += [(pairs[0][0], node) for node, _ in pairs]
    size = (len(linked.keys),) * 2
    graph = csr_array(
        (np.ones(len(edges)), np.array(edges, dtype=int).reshape(-1, 2).T), shape=size
    )
    group_of = connected_components(graph, directed=False)[1]
    counts = np.asarray(linked.counts, dtype=float)
    groups: dict[int, list[int]] = {}
    for node in np.flatnonzero(moving):
        groups.setdefault(group_of[node], []).append(node)
    by_group: dict[int, list[list[tuple[int, float]]]] = {}
    for pairs in ties:
        by_group.setdefault(group_of[pairs[0][0]], []).append(pairs)
    return [
        _component(np.array(nodes), by_group.get(group, []), counts=counts)
        for group, nodes in groups.items()
    ]


def place_nodes(components: list[Component]) -> dict[int, tuple[Component, int]]:
    """Return the component of every node, and its place there."""
    return {node: (each, at) for each in components for at, node in enumerate(each.nodes)}


def _component(
    nodes: np.ndarray, ties: list[list[tuple[int, float]]], *, counts: np.ndarray
) -> Component:
    place = {node: p for p, node in enumerate(nodes)}
    entries = [(row, place[n], c) for row, pairs in enumerate(ties) for n, c in pairs]
    rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
    matrix = csr_array((values, (rows, columns)), shape=(len(ties), len(nodes)))
    return Component(nodes=nodes, matrix=matrix, counts=counts[nodes])


def find_alternative(
    component: Component, place: int, *, goal: float, costs: np.ndarray, up: bool
) -> np.ndarray | None:
    """Return other counts that fit the sums and bring one count to its goal, at least cost.

    Args:
        component: Tied nodes.
        place: Which of them must move.
        goal: Where to.
        costs: Cost of changing each node by one person; infinite where it may not change.
        up: Whether the goal lies above the true count.

    Returns:
        Whole counts, shape (n_nodes,), or None where the sums allow none.
    """
    n = len(component.nodes)
    may = np.isfinite(costs)
    ceiling = np.where(may, np.inf, 0.0)
    more, less = ceiling.copy(), np.minimum(component.counts, ceiling)
    floor = np.zeros(2 * n)
    gap = abs(goal - component.counts[place])
    side = place if up else n + place
    floor[side] = gap
    other = n + place if up else place
    limits = np.concatenate([more, less])
    limits[other] = 0.0
    if limits[side] < gap:
        return None
    price = np.where(may, costs, 0.0) + 1e-6
    used = np.flatnonzero(limits > 0)
    sums = hstack([component.matrix, -component.matrix]).tocsc()[:, used].tocsr()
    # The relaxation is whole nearly always; where it is not, whole numbers are asked for.
    for integrality in (0, 1):
        solution = milp(
            np.concatenate([price, price])[used],
            constraints=LinearConstraint(sums, 0, 0) if sums.shape[0] else None,
            integrality=integrality,
            bounds=Bounds(floor[used], limits[used]),
            options={"time_limit": 5.0, "mip_rel_gap": 0.05},
        )
        if solution.x is None:
            return None
        moves = np.zeros(2 * n)
        moves[used] = solution.x
        change = moves[:n] - moves[n:]
        if integrality or np.abs(change - np.round(change)).max() < 1e-6:
            break
    return component.counts + np.round(change)


def visible_nodes(linked: LinkedTables, rows: pd.DataFrame, *, release: pd.DataFrame) -> np.ndarray:
    """Return which nodes a release shows: as a share, or in anything computed from it.

    Args:
        linked: All tables of a wave.
        rows: The wave's rows of private/estimates.csv, on the index that `linked` was made with.
        release: Rows of a released estimates.csv, any waves.
    """
    facts = ["wave", "domain", "domain_value", "item", "item_value"]
    measure = release["measure"].fillna("")
    shown = (release["status"] != "suppressed") & (measure != "percent_benchmark")
    shown &= ~is_kind(release, *MODELS, "ledger")
    shown &= release["estimate"].notna()
    # A change over time tells the share of either wave to whoever knows the other's.
    is_change = shown & is_kind(release, "waves") & measure.str.startswith("difference")
    waves = release[["table_id", "wave"]].drop_duplicates()
    changes = release[is_change].drop(columns="wave").merge(waves, on="table_id")
    seen = pd.concat([release.loc[shown, facts], changes[facts]]).fillna("").astype(str)
    names = set(seen.itertuples(index=False, name=None))
    texts = rows[facts].fillna("").astype(str).itertuples(index=False, name=None)
    mine = dict(zip(rows.index, texts, strict=True))
    visible = np.zeros(len(linked.keys), dtype=bool)
    for node, positions in linked.rows.items():
        if any(mine[p] in names for p in positions):
            visible[node] = True
            visible[[linked.base_of[p] for p in positions if mine[p] in names]] = True
    return visible


def find_exposed(
    linked: LinkedTables, targets: list[Target], *, is_visible: np.ndarray
) -> list[Target]:
    """Return the targets of which somebody who knows all visible counts can tell too much.

    Args:
        linked: All tables of a wave.
        targets: Counts that must stay open.
        is_visible: Whether each node's count is known, shape (n_nodes,).

    Returns:
        The targets for which integer programming finds no other table that fits and reaches both
        ends; a target that is itself visible always is among them.
    """
    is_known = settle(linked, known=is_visible)
    exposed = [t for t in targets if is_known[t.node] and not t.holds(linked.counts[t.node])]
    where = place_nodes(find_components(linked, moving=~is_known, has_loose=False))
    bounds = _loose_by_node(linked)
    whole: dict[int, tuple[Component, int]] = {}
    for target in targets:
        if is_known[target.node]:
            continue
        component, place = where[target.node]
        free = np.ones(len(component.nodes), dtype=bool)
        for up, goal in component.open_ends(place, target, is_free=free):
            # Cost below zero: the alternative moves the other hidden counts as well, and serves
            # as a witness for them.
            costs = np.zeros(len(component.nodes))
            table = find_alternative(component, place, goal=goal, costs=costs, up=up)
            if table is not None and not _keeps_bounds(linked, component, table, bounds=bounds):
                # It breaks a bound: look again with all of them, in the larger system.
                whole = whole or place_nodes(find_components(linked, moving=~is_known))
                larger, at = whole[target.node]
                costs = np.zeros(len(larger.nodes))
                table = find_alternative(larger, at, goal=goal, costs=costs, up=up)
            elif table is not None:
                component.witnesses.append(table)
            if table is None:
                exposed.append(target)
                break
    return exposed


def _loose_by_node(linked: LinkedTables) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for number in linked.loose:
        for node in linked.equations[number][0]:
            found.setdefault(node, []).append(number)
    return found


def _keeps_bounds(
    linked: LinkedTables,
    component: Component,
    table: np.ndarray,
    *,
    bounds: dict[int, list[int]],
) -> bool:
    """Return whether a table of some nodes, the others being true, breaks no loose equation."""
    moved = np.flatnonzero(table != component.counts)
    values = {int(component.nodes[p]): table[p] for p in moved}
    for number in {number for node in values for number in bounds.get(node, ())}:
        nodes, coefficients = linked.equations[number]
        spare = len(nodes) - 2
        total = sum(
            c * values.get(n, linked.counts[n])
            for p, (n, c) in enumerate(zip(nodes, coefficients, strict=True))
            if p != spare
        )
        if -total / coefficients[spare] < -1e-9:
            return False
    return True
