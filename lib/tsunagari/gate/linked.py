"""All tables of a release as one system of counts that add up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from tsunagari.estimates import MODELS, is_kind, split
from tsunagari.gate.questionnaire import OUTSIDE, Blocks, Key, Questionnaire
from tsunagari.study.codebook import NO_ANSWER

# --- all tables of a release as one system --------------------------------------------------------


@dataclass
class LinkedTables:
    """Every count that the tables of one wave show or imply, and the sums that tie them.

    Attributes:
        keys: Who is counted by each node.
        counts: Respondents of each node, shape (n_nodes,).
        equations: (nodes, coefficients) of sums that are 0 for everybody who knows the tables.
        rows: Positions of the rows of estimates that show a node.
        bases: Positions of the rows whose base a node is.
        base_of: Node of the base of each row position.
        loose: Numbers of the equations that only bound (their last but one node is what is left
            over); they seldom bind and are looked at last.
        options: For a multi-answer option's node, the node of those who did not choose it.
        stated: Parts and total of every sum so far: none is stated twice.
        rests: For people whom an axis leaves out: their node, and the nodes of total and categories
            that they are the difference of.
    """

    keys: list[Key] = field(default_factory=list)
    counts: list[float] = field(default_factory=list)
    equations: list[tuple[list[int], list[float]]] = field(default_factory=list)
    rows: dict[int, list[int]] = field(default_factory=dict)
    bases: dict[int, list[int]] = field(default_factory=dict)
    base_of: dict[int, int] = field(default_factory=dict)
    options: dict[int, int] = field(default_factory=dict)
    index: dict[Key, int] = field(default_factory=dict)
    loose: set[int] = field(default_factory=set)
    stated: set[tuple[frozenset[int], int]] = field(default_factory=set)
    rests: dict[int, list[int]] = field(default_factory=dict)

    def node(self, key: Key, *, count: float) -> int:
        """Return the node of a key; one with another count than before becomes its own node."""
        found = self.index.get(key)
        if found is not None and self.counts[found] != count:
            return self.node((*key, ("#", f"{count:.0f}")), count=count)
        if found is None:
            found = self.index[key] = len(self.keys)
            self.keys.append(key)
            self.counts.append(count)
        return found

    def tie(
        self, parts: Iterable[int], *, total: int, exact: bool, is_loose: bool = False
    ) -> int | None:
        """State that the parts sum to a total; where not exact, with an unseen rest, returned."""
        parts, slack = list(parts), None
        rest = self.counts[total] - sum(self.counts[p] for p in parts)
        if rest < 0 or (exact and rest > 0) or (frozenset(parts), total) in self.stated:
            return None
        self.stated.add((frozenset(parts), total))
        if not exact:
            slack = len(self.keys)
            self.keys.append((("~", str(slack)),))
            self.counts.append(rest)
            parts.append(slack)
        if is_loose:
            self.loose.add(len(self.equations))
        self.equations.append(([*parts, total], [1.0] * len(parts) + [-1.0]))
        return slack

    @property
    def shape(self) -> tuple[int, int]:
        """Number of equations and of nodes."""
        return len(self.equations), len(self.keys)


def domain_pairs(
    domain: str, domain_value: str, *, questionnaire: Questionnaire
) -> tuple[tuple[str, str], ...]:
    """Return the (variable, code) pairs of a domain, none for everybody.

    Example:
        >>> domain_pairs("age_band x sex", "20s x 1", questionnaire=Questionnaire())
        (('age_band', '20s'), ('sex', '1'))
    """
    if domain == "all":
        return ()
    names, values = split(domain), split(domain_value)
    pairs = [
        (f"{name}={value}", "1") if name in questionnaire.multiple else (name, value)
        for name, value in zip(names, values, strict=True)
    ]
    return tuple(sorted(questionnaire.classes.get(pair, pair) for pair in pairs))


def item_pairs(item: str, item_value: str, *, questionnaire: Questionnaire) -> Key:
    """Return the (variable, code) pairs of an item's value; equal answers have equal pairs.

    Example:
        >>> item_pairs("lonely x isolated", "1 x 2", questionnaire=Questionnaire())
        (('lonely', '1'), ('isolated', '2'))
    """
    pairs = zip(split(item), split(item_value), strict=True)
    return tuple(_item_pair(*pair, questionnaire=questionnaire) for pair in pairs)


def _item_pair(item: str, item_value: str, *, questionnaire: Questionnaire) -> tuple[str, str]:
    if item in questionnaire.indicators:
        item, codes = questionnaire.indicators[item]
        nets = questionnaire.nets.get(item, {})
        same = [net for net, of in nets.items() if set(of) == set(codes)]
        item_value = codes[0] if len(codes) == 1 else (same or ["|".join(codes)])[0]
    if item in questionnaire.multiple:
        return (f"{item}={item_value}", "1")
    return questionnaire.classes.get((item, item_value), (item, item_value))


def is_counted(estimates: pd.DataFrame) -> pd.Series:
    """Return which rows are shares of our own respondents with a known count."""
    other = is_kind(estimates, *MODELS, "ledger")
    return (estimates["measure"] == "percent") & estimates["n_cell"].notna() & ~other


def link_tables(estimates: pd.DataFrame, *, questionnaire: Questionnaire) -> LinkedTables:
    """Tie all tables of one wave: margins, bases, nets, options, and who was asked.

    Args:
        estimates: Rows of one wave at full precision, with `n_cell`.
        questionnaire: What is known of the variables.

    Returns:
        The linked tables. The true counts fulfil every equation.
    """
    linked = LinkedTables()
    rows = estimates[is_counted(estimates)]
    columns = ["domain", "domain_value", "item", "item_value", "n_unweighted", "n_cell"]
    blocks: Blocks = {}
    everybody = rows["n_unweighted"].max()
    linked.node((), count=everybody)
    asked = rows[rows["domain"] == "all"].groupby("item")["n_unweighted"].max().to_dict()
    for position, *texts, base, cell in rows[columns].itertuples(name=None):
        domain, value, item, item_value = texts
        pairs = domain_pairs(domain, value, questionnaire=questionnaire)
        own = item_pairs(item, item_value, questionnaire=questionnaire)
        both = _narrowest(pairs, own, questionnaire=questionnaire)
        if both is None:
            continue
        node = linked.node(both, count=cell)
        linked.rows.setdefault(node, []).append(position)
        variable = questionnaire.indicators.get(item, (item,))[0]
        full = base == everybody if domain == "all" else asked.get(item) == everybody
        key = pairs if full else tuple(sorted((*pairs, ("?" + variable, "1"))))
        base_node = linked.node(key, count=base)
        linked.bases.setdefault(base_node, []).append(position)
        linked.base_of[position] = base_node
        blocks.setdefault((pairs, variable, base_node), {})[own] = node
    _add_outside(linked, blocks, questionnaire=questionnaire)
    _tie_blocks(linked, blocks, questionnaire=questionnaire)
    _tie_margins(linked, blocks, questionnaire=questionnaire)
    _tie_asked(linked, questionnaire=questionnaire)
    return linked


def _narrowest(pairs: Key, own: Key, *, questionnaire: Questionnaire) -> Key | None:
    """Return who is in a domain and gave an answer; None for two answers that nobody gave both.

    A question by its own merged answers counts those of the narrower one.
    """
    found: dict[str, str] = {}
    for name, code in (*pairs, *own):
        one, two = (
            span_of(each, nets=questionnaire.nets.get(name, {}))
            for each in (code, found.get(name, code))
        )
        if not (one <= two or two <= one):
            return None
        found[name] = code if one <= two else found[name]
    return tuple(sorted(found.items()))


def _tie_blocks(
    linked: LinkedTables,
    blocks: Blocks,
    *,
    questionnaire: Questionnaire,
) -> None:
    """State in every domain how an item's codes, nets and options sum to its base."""
    for (pairs, variable, base), nodes in blocks.items():
        whole = linked.index.get(pairs)
        if whole is not None and whole != base:
            linked.tie([base], total=whole, exact=False)
        if variable in questionnaire.multiple:
            _tie_options(linked, nodes, base, variable=variable, questionnaire=questionnaire)
        elif len(split(variable)) > 1:
            linked.tie(nodes.values(), total=base, exact=True)
        else:
            (name,) = {name for ((name, _),) in nodes}
            codes = {code: node for ((_, code),), node in nodes.items()}
            _tie_tree(linked, codes, nets=questionnaire.nets.get(name, {}), total=base)


def _tie_tree(
    linked: LinkedTables,
    nodes: dict[str, int],
    *,
    nets: dict[str, tuple[str, ...]],
    total: int | None,
    is_complete: bool = True,
) -> None:
    """State that a net is the sum of the widest codes and nets in it, and so is the total, if any.

    `is_complete` says whether everybody has one of the codes.
    """
    for holder, inside in _widest(nodes, nets=nets).items():
        whole = total if holder is None else nodes[holder]
        if whole is not None and inside:
            fits = sum(linked.counts[node] for node in inside) == linked.counts[whole]
            linked.tie(inside, total=whole, exact=fits and (is_complete or holder is not None))


def _widest(
    nodes: dict[str, int], *, nets: dict[str, tuple[str, ...]]
) -> dict[str | None, list[int]]:
    """Return the nodes directly within every net, and within no net (None)."""
    spans = {code: span_of(code, nets=nets) for code in nodes}
    found: dict[str | None, list[int]] = {None: []}
    placed: list[str] = []
    for code in sorted(nodes, key=lambda code: (-len(spans[code]), code)):
        holders = [net for net in placed if spans[code] <= spans[net]]
        found.setdefault(holders[-1] if holders else None, []).append(nodes[code])
        placed.append(code)
    return found


def span_of(code: str, *, nets: dict[str, tuple[str, ...]]) -> frozenset[str]:
    """Return the codes that a net, or several codes joined by "|", holds."""
    return frozenset(nets.get(code, code.split("|")))


def _tie_options(
    linked: LinkedTables,
    nodes: dict[Key, int],
    base: int,
    *,
    variable: str,
    questionnaire: Questionnaire,
) -> None:
    """State for a multi-answer item: yes and no are the base; nobody chooses beside "none"."""
    nets = questionnaire.nets.get(variable, {})
    alone = {*questionnaire.exclusive.get(variable, ()), NO_ANSWER}
    by_code = {name.split("=", 1)[1]: node for ((name, _),), node in nodes.items()}
    apart = [by_code[code] for code in sorted(alone) if code in by_code]
    several = [n for code, n in by_code.items() if code not in alone and code not in nets]
    for code, node in by_code.items():
        others = apart if code not in alone else []
        others_chose = linked.tie([node], total=base, exact=False)
        if others_chose is not None:
            linked.options[node] = others_chose
        if others:
            linked.tie([node, *others], total=base, exact=False, is_loose=True)
        members = [by_code[member] for member in nets.get(code, ()) if member in by_code]
        for member in members:
            linked.tie([member], total=node, exact=False, is_loose=True)
        if members and len(members) == len(nets[code]):
            _tie_at_least(linked, members, node)
    everyone = sum(linked.counts[n] for n in (*several, *apart))
    if several and everyone >= linked.counts[base]:
        _tie_at_least(linked, [*several, *apart], base)


def _tie_at_least(linked: LinkedTables, parts: list[int], total: int) -> None:
    """State that the parts sum to the total or more: everybody chose something."""
    slack = len(linked.keys)
    linked.keys.append((("~", str(slack)),))
    linked.counts.append(sum(linked.counts[p] for p in parts) - linked.counts[total])
    nodes = [*parts, slack, total]
    linked.loose.add(len(linked.equations))
    linked.equations.append((nodes, [1.0] * len(parts) + [-1.0, -1.0]))


def _groups(linked: LinkedTables) -> dict[tuple[Key, str], dict[str, int]]:
    """Return the nodes that differ in one variable alone: by what they share, and by its code."""
    groups: dict[tuple[Key, str], dict[str, int]] = {}
    for key, node in linked.index.items():
        if key[-1:] and key[-1][0] == "#":
            continue
        for pair in key:
            if pair[0][0] != "?":
                rest = tuple(p for p in key if p != pair)
                groups.setdefault((rest, pair[0]), {})[pair[1]] = node
    return groups


def _add_outside(linked: LinkedTables, blocks: Blocks, *, questionnaire: Questionnaire) -> None:
    """Add the people whom an axis leaves out: the total less the categories, shown nowhere.

    Their answers make a table too, with a base and options that are tied like any other's.
    """
    based = _based(blocks)
    axes: set[tuple[Key, str]] = set()
    for (rest, variable), nodes in _groups(linked).items():
        outside, total = questionnaire.outside.get(variable, ()), linked.index.get(rest)
        apart = [node for code, node in nodes.items() if code in outside]
        if not outside or total is None or ((rest, variable) in based and rest):
            continue
        nets = questionnaire.nets.get(variable, {})
        inside = _widest({c: n for c, n in nodes.items() if c not in outside}, nets=nets)[None]
        count = linked.counts[total] - sum(linked.counts[node] for node in inside)
        if count < 0:
            continue
        left = linked.node(tuple(sorted((*rest, (variable, OUTSIDE)))), count=count)
        linked.tie([*inside, left], total=total, exact=True)
        axes.add((rest, variable))
        if apart:
            linked.tie(apart, total=left, exact=True)
        if set(outside) - set(questionnaire.missing.get(variable, ())):
            if all(member in linked.rows for member in (total, *inside)):
                linked.rests[left] = [total, *inside]
    for (pairs, item, _), nodes in list(blocks.items()):
        for axis in sorted(name for rest, name in axes if rest == pairs and name != item):
            left_out = tuple(sorted((*pairs, (axis, OUTSIDE))))
            asked = tuple(sorted((*left_out, ("?" + item, "1"))))
            base = linked.index.get(asked, linked.index.get(left_out))
            inner = {own: linked.index.get(tuple(sorted((*left_out, *own)))) for own in nodes}
            known = {own: node for own, node in inner.items() if node is not None}
            if base is not None and known:
                blocks[left_out, item, base] = known


def _based(blocks: Blocks) -> set[tuple[Key, str]]:
    """Return the domains and variables whose codes sum to a base of their own."""
    return {(pairs, own[0][0]) for (pairs, _, _), nodes in blocks.items() for own in nodes}


def _tie_margins(linked: LinkedTables, blocks: Blocks, *, questionnaire: Questionnaire) -> None:
    """State for every axis that its categories sum to the table without it."""
    groups, based = _groups(linked), _based(blocks)
    complete = set()
    for (rest, variable), nodes in groups.items():
        widest = _widest(nodes, nets=questionnaire.nets.get(variable, {}))[None]
        if not rest and sum(linked.counts[node] for node in widest) == linked.counts[0]:
            complete.add(variable)
    for (rest, variable), nodes in groups.items():
        asked = ("?" + variable.split("=", 1)[0], "1")
        total = linked.index.get(tuple(sorted((*rest, asked))), linked.index.get(rest))
        _tie_tree(
            linked,
            nodes,
            nets=questionnaire.nets.get(variable, {}),
            total=None if (rest, variable) in based else total,
            is_complete=OUTSIDE in nodes or variable in complete,
        )


def _tie_asked(linked: LinkedTables, *, questionnaire: Questionnaire) -> None:
    """State how the base of a filtered question follows from the answers that led to it."""
    for key, node in list(linked.index.items()):
        rest, conditions = filter_of(key, questionnaire=questionnaire)
        for condition in conditions:
            parts = [linked.index.get(tuple(sorted((*rest, pair)))) for pair in condition]
            found = [part for part in parts if part is not None]
            led = sum(linked.counts[part] for part in found)
            if len(found) < len(condition) or led < linked.counts[node]:
                continue
            if len(conditions) == 1 and led == linked.counts[node]:
                linked.tie(found, total=node, exact=True)
            else:
                _tie_at_least(linked, found, node)


def filter_of(key: Key, *, questionnaire: Questionnaire) -> tuple[Key, tuple[Key, ...]]:
    """Return the domain of a filtered question's base and what led to the question."""
    for pair in key:
        name = pair[0].lstrip("?")
        if pair[0][0] == "?" and name in questionnaire.asked_if:
            return tuple(p for p in key if p != pair), questionnaire.asked_if[name]
    return key, ()
