"""What the figures beside the counts tell of hidden ones: the second attacker's other half."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pandas as pd
from scipy.optimize import Bounds, LinearConstraint, milp
from tests.attacker import (
    NONE,
    OWN,
    SHARES,
    SKIPPED,
    Facts,
    Hole,
    attack_counts,
    is_no_answer,
    is_shown,
    name_of,
    read_cells,
    records,
)


def attack(
    published: pd.DataFrame,
    truth: pd.DataFrame,
    facts: Facts,
    *,
    archive: tuple[pd.DataFrame, ...] = (),
    loops: bool = False,
) -> list[Hole]:
    """Return every hole of a release.

    Args:
        published: The released estimates.csv.
        truth: The same rows before the gate, with `n_cell`.
        facts: What anybody may know.
        archive: estimates.csv of earlier releases.
        loops: See `attack_counts` (slow).
    """
    released = [row for table in (published, *archive) for row in records(table)]
    whole, waves, told = records(truth), defaultdict(set), defaultdict(set)
    released += _left_out(released, whole)
    for row in released:
        waves[row["table_id"]].add(row["wave"])
    for row in released:
        is_change = row["table_id"].startswith("waves_") and row["measure"] != "percent"
        if is_shown(row) and row["table_id"].startswith(SHARES) and OWN.match(row["measure"]):
            for wave in waves[row["table_id"]] if is_change else {row["wave"]}:
                told[wave].add(name_of(row))
    found = []
    for wave in {row["wave"] for row in released}:
        cells = read_cells([row for row in whole if row["wave"] == wave], facts)
        rows = [row for row in released if row["wave"] == wave]
        if cells:
            found += attack_counts(cells, rows, told[wave], facts, loops=loops)
        found += _rounding(cells, told[wave], facts) + _populations(cells, told[wave], facts)
        small = {c.name for c in cells.values() if c.count < c.k} - told[wave]
        found += _tests(rows, small) + _means(rows) + _models(rows) + _ledger(rows)
        families = _families(rows, facts).items()
        found += [Hole("family", str(name)) for name, tests in families if not _is_alone(tests)]
    return list(dict.fromkeys(found))


def _left_out(released: list[dict], whole: list[dict]) -> list[dict]:
    """Return a hidden row for each that the release lacks: the reader knows the plan."""
    named = ("wave", "table_id", "measure", "domain", "domain_value", "item", "item_value")
    found = {tuple(row[name] for name in named) for row in released}
    gone = {"status": "suppressed", "reason": "HIDDEN"}
    return [
        dict.fromkeys(row, "") | {name: row[name] for name in named} | gone
        for row in whole
        if tuple(row[name] for name in named) not in found
    ]


def _rounding(cells: dict, told: set, facts: Facts) -> list[Hole]:
    """People outside an axis are a total less its categories: does rounding leave two counts?"""
    found, lines = [], defaultdict(list)
    for (domain, value, *rest), cell in cells.items():
        names, values = domain.split(" x "), value.split(" x ")
        for place, name in enumerate(names):
            if facts.outside.get(name):
                left = [" x ".join(t[:place] + t[place + 1 :]) or "all" for t in (names, values)]
                lines[*left, *rest, name].append(cell)
    for (*whole, name), parts in lines.items():
        total = cells.get(tuple(whole))
        if total is None or not all(c.name in told for c in (total, *parts)):
            continue
        n, count = total.n - sum(c.n for c in parts), total.count - sum(c.count for c in parts)
        is_whole = [c.n < 200 or len(c.box) > 2 for c in (total, *parts)]
        shares = zip((total, *parts), is_whole, strict=True)
        slack = sum(c.n * (0.005 if whole else 0.0005) for c, whole in shares)
        if n > 0 and 0 <= count < total.k and slack < 1 and not is_no_answer(total, facts):
            found.append(Hole("rounding", f"{name} outside {whole}", count, count, count))
    return found


def _populations(cells: dict, told: set, facts: Facts) -> list[Hole]:
    """A filtered question asked of nearly all whom another was asked of shows the few others."""
    bases = {tuple(sorted(c.base.items())): c for c in cells.values() if c.name in told}
    filters, found = facts.asked_if, []
    for cell, wide in itertools.product(bases.values(), bases.values()):
        filtered = [n for n in cell.box if n in filters and n not in cell.group]
        answered = any(NONE not in c.base[n] for c in (cell, wide) for n in c.box.keys() - c.group)
        if not filtered or wide.group != cell.group or answered:
            continue
        is_wider = all(
            any(source == other and codes <= of for source, codes in filters[filtered[0]])
            for name in wide.box
            for other, of in filters.get(name, ())
        )
        if is_wider and 0 < wide.n - cell.n < cell.k:
            found.append(Hole("population", " ".join(cell.name), *[wide.n - cell.n] * 3))
    return found


def _tests(rows: list[dict], small: set) -> list[Hole]:
    """F has digits enough to tell which of a few counts fit."""
    hidden = {r["table_id"] for r in rows if r["measure"] == "percent" and name_of(r) in small}
    shown = [r["table_id"] for r in rows if r["measure"] == "rao_scott_f" and is_shown(r)]
    return [Hole("test", table) for table in shown if table in hidden]


def _families(rows: list[dict], facts: Facts) -> dict[tuple, list[dict]]:
    """Return the shown tests by family, a figure once (methods.md, Verdicts)."""
    figures, indicators, families = {}, set(), defaultdict(list)
    for row in rows:
        table, measure = row["table_id"], row["measure"]
        line = (table, measure if table.startswith("model_") else "")
        what = (table, measure, *name_of(row))
        if measure == "difference_points" and table.startswith(("cross_", "headline")):
            if is_joint := " x " in row["item"]:
                name, codes, answers = row["item"], frozenset({row["item_value"]}), frozenset()
            else:
                name, codes = facts.resolve(row["item"], row["item_value"])
                answers = frozenset(facts.cats[name]) - {NONE, SKIPPED} - facts.missing[name]
            is_one = is_joint or ":" in name or NONE in codes
            pair = {codes} if is_one else {codes, answers - codes}
            line = (row["domain"], name, frozenset(pair))
            indicators |= {(*line, row["domain_value"])} if table == "headline" else set()
            what = (row["domain_value"], codes, row["n_unweighted"])
        elif measure == "rao_scott_f":
            line = (measure,)
        if row["p_adjusted"] != "":
            figures[line, what] = row
    for (line, _), row in figures.items():
        is_named = len(line) < 3 or (*line, row["domain_value"]) in indicators
        families[line if is_named else (row["table_id"],)].append(row)
    return families


def _is_alone(rows: list[dict]) -> bool:
    """Return whether Benjamini and Hochberg over these rows alone gives their adjusted p-values."""
    p, told = (np.array([float(r[n]) for r in rows]) for n in ("p_value", "p_adjusted"))
    for ends, sign in ((np.where(p <= 0.001, 0, p - 0.0005), 1), (p + 0.0005, -1)):
        order = np.argsort(ends)
        steps = ends[order] * len(p) / np.arange(1, len(p) + 1)
        adjusted = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1)
        if (sign * (adjusted - told[order]) > 0.000501 + (told[order] <= 0.001)).any():
            return False
    return True


def _means(rows: list[dict]) -> list[Hole]:
    """Hidden means of few people come back as everybody's less the others'."""
    lines, found = defaultdict(list), []
    for row in rows:
        if row["measure"] in ("mean", "total"):
            lines[row["measure"], row["item"], row["item_value"], row["domain"]].append(row)
    for (*what, domain), mine in lines.items():
        gone = [row for row in mine if not is_shown(row)]
        if len(gone) == 1 and domain != "all" and any(map(is_shown, lines[*what, "all"])):
            found.append(Hole("mean", " ".join(name_of(gone[0]))))
    return found


def _models(rows: list[dict]) -> list[Hole]:
    """A level of few people (P15); two models that differ by a few; people left out with others."""
    found, sizes = [], {}
    gone = {(r["domain_value"], r["item"]) for r in rows if r["table_id"] == "model_merges"
            and not is_shown(r)}  # fmt: skip
    for row in rows:
        table = row["table_id"]
        outcome = table.removeprefix("model_").removesuffix("__sensitivity")
        if not table.startswith("model_") or table == "model_merges" or not is_shown(row):
            continue
        if row["measure"] == "count" and row["item_value"] == "n":
            sizes[table] = float(row["estimate"])
        is_few = row["measure"] == "odds_ratio" and row["df"] != ""
        is_few = is_few and (float(row["n_unweighted"]) < 10 or float(row["df"]) < 100)
        with_others = row["item_value"] == "listwise_deletion" and outcome in dict(gone)
        with_others |= table.endswith("__sensitivity") and (outcome, row["item"]) in gone
        found += [Hole("model", " ".join((table, *name_of(row))))] if is_few or with_others else []
    for (one, n), (two, m) in itertools.combinations(sizes.items(), 2):
        found += [Hole("model", f"{one} {two}", *[abs(n - m)] * 3)] if 0 < abs(n - m) < 10 else []
    return found


def _ledger(rows: list[dict]) -> list[Hole]:
    """Rows read are analysed or set aside, and these sum over the reasons."""
    rows = [row for row in rows if row["table_id"] == "ledger"]
    names = [row["item_value"] for row in rows]
    first = {"read": 1, "analysed": -1, "quarantined": -1}
    sums = [[first.get(n, 0) for n in names]]
    sums.append([0 if n in ("read", "analysed") else 1 if n in first else -1 for n in names])
    is_few = [row["reason"].startswith("CELL") for row in rows]
    ends = [
        (float(r["estimate"]),) * 2 if is_shown(r) else (1, 9 if few else np.inf)
        for r, few in zip(rows, is_few, strict=True)
    ]
    found = []
    for place in [p for p, few in enumerate(is_few) if few and names[p] not in first]:
        aim = np.eye(len(names))[place]
        low, high = (
            sign * milp(sign * aim, constraints=LinearConstraint(sums, 0, 0), integrality=1,
                        bounds=Bounds(*zip(*ends, strict=True))).fun
            for sign in (1, -1)
        )  # fmt: skip
        found += [Hole("ledger", names[place], low, high)] if low > 1 or high < 9 else []
    return found
