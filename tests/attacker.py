"""A second reader who works out hidden counts from a released estimates.csv (SDC-1, 1.5).

It shares no code and no equations with the gate: it imports nothing of tsunagari. It knows what
anybody may know (study.yaml, codebook.csv), puts every person into one cell of every table that is
shown, finest categories first, and asks by whole-number programming which counts still fit. A shown
percent and its base are taken to tell the count; `truth` serves for that alone, and to know which
hidden cells are small. What figures beside the counts tell is in side_channels.py.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, vstack
from scipy.sparse.csgraph import connected_components

NONE, SKIPPED = "no_answer", "-"  # asked without an answer; not asked
SHARES = tuple("cross_ gt_ joint_ headline national_ waves_ weights_sens profile quotas".split())
OWN = re.compile("percent$|count$|total$|difference_|percent_age_")  # that tell their own cell


class Hole(NamedTuple):
    """What a reader can tell: how, of which cell, between which counts, the true one."""

    kind: str
    cell: str
    low: float = np.nan
    high: float = np.nan
    count: float = np.nan


# --- what anybody may know ------------------------------------------------------------------------


class Facts:
    """What anybody may know of the questionnaire."""

    def __init__(self, settings: dict, codebook: list[dict], *, mix: dict | None = None) -> None:
        """Read study.yaml, the codebook's rows of one wave (as text), and the nation's age mix."""
        self.base = settings.get("tables", {}).get("base", "asked")
        self.indicators = settings.get("indicators", {})
        self.region = settings.get("design", {}).get("region", "region")
        self.age, self.mix = settings.get("design", {}).get("age_band", "age_band"), mix or {}
        self.strict = settings.get("disclosure", {}).get("area") == "below"
        axes = settings.get("tables", {}).get("axes", [])
        shares = settings.get("weighting", {}).get("sample_share", {})
        self.axes = {n for axis in axes for n in ([axis] if isinstance(axis, str) else axis)}
        self.outside = {n: set(map(str, shares[n])) - {NONE} for n in self.axes & set(shares)}
        self.cats: dict[str, tuple[str, ...]] = {}  # all that a person can be, by variable
        self.options: dict[str, dict[str, str]] = defaultdict(dict)  # roles of an item's options
        self.missing: dict[str, set[str]] = defaultdict(set)  # asked, but not "answered"
        self.nets: dict[str, dict[str, set[str]]] = defaultdict(dict)
        self.alias: dict[str, str] = {}  # a merged variable is its source
        self.asked_if: dict[str, list[tuple[str, set[str]]]] = {}
        self.partial, self.must_choose, self.sensitive, self.most = set(), set(), set(), {}
        self._read_codebook(codebook)
        self._read_themes(settings.get("themes") or {})
        self._read_settings(settings.get("derive", {}), settings.get("recode", {}))
        if ever := (settings.get("themes") or {}).get("ever"):  # who chose one option, and who not
            self.alias[ever["name"]] = f"{ever['item']}:{ever['never']}"
            self.nets[ever["name"]] = {"ever": {"0"}, "never": {"1"}, NONE: {NONE}}

    def _read_codebook(self, codebook: list[dict]) -> None:
        columns, filters, kind = {}, {}, ""
        for row in codebook:
            item, role = row["item"] or row["variable"], row["role"]
            kind = row["type"] or kind
            filters[item] = filters.get(item) or re.sub(r"\s", "", row["ask_if"])
            self.sensitive |= {item} if row["sensitive"] == "high" else set()
            if kind == "MA":
                self.options[item][row["code"]] = role
                columns[row["variable"]] = f"{item}:{row['code']}"
                if row["required"] != "no" or role == "exclusive":
                    self.must_choose.add(item)
                self.most |= {item: int(row["max"])} if row["max"] else {}
            elif kind == "SA" and role == "not_applicable":
                self.partial.add(item)
            elif kind == "SA" and role != "no_answer":
                self.missing[item] |= {row["code"]} if role in ("refused", "dont_know") else set()
                self.cats[item] = (*self.cats.get(item, ()), row["code"])
        for item, text in filters.items():
            if parts := [part.split("=") for part in text.split("&") if part]:
                self.asked_if[item] = [(columns.get(n, n), set(of.split("|"))) for n, of in parts]

    def _read_themes(self, themes: dict) -> None:
        """Themes of a free text are options of a question; who wrote nothing was not asked it."""
        for item, question in themes.get("questions", {}).items():
            codes = [theme["code"] for theme in question["themes"]]
            self.options[item] = dict.fromkeys(codes, "") | {"uncoded": "exclusive"}
            self.must_choose.add(item)
            self.partial |= {f"{item}:{code}" for code in self.options[item]}
            self.sensitive |= {item} if question["text"] in self.sensitive else set()

    def _read_settings(self, derived: dict, recode: dict) -> None:
        for name, rule in derived.items():
            if source := rule.get("bands_of"):
                self.cats[name] = tuple(str(band["code"]) for band in rule["bands"])
                for part in derived.get(source, {}).get("sum_of", [source]):
                    self.asked_if |= {name: self.asked_if[part]} if part in self.asked_if else {}
            self.sensitive |= {name} if rule.get("sensitive") == "high" else set()
        for name, nets in recode.items():
            self.nets[name] = {str(net["code"]): set(map(str, net["of"])) for net in nets}
        for item, of in self.options.items():
            for code in (*of, *self.nets[item]):
                self.cats[f"{item}:{code}"] = ("1", "0")
                if item in self.asked_if:
                    self.asked_if[f"{item}:{code}"] = self.asked_if[item]
        for name, cats in self.cats.items():
            skipped = [SKIPPED] if name in self.asked_if or name in self.partial else []
            self.cats[name] = (*cats, NONE, *skipped)
        for name, rule in derived.items():
            if source := rule.get("recode_of"):
                self.alias[name] = self.alias.get(source, source)
                inner = self.nets[source] if source in self.alias else {}
                own = {
                    str(each["code"]): set().union(
                        *(inner.get(str(o), {str(o)}) for o in each["of"])
                    )
                    for each in rule["classes"]
                }
                wide = {n: set().union(*(own[c] for c in of)) for n, of in self.nets[name].items()}
                self.nets[name] = own | wide | {NONE: {NONE, *self.missing[self.alias[name]]}}

    def resolve(self, item: str, value: str, *, is_domain: bool = False) -> tuple[str, frozenset]:
        """Return the variable and those of its categories that a code, net or indicator counts."""
        codes = [value]
        if item in self.indicators and not is_domain:
            item, codes = self.indicators[item]["item"], map(str, self.indicators[item]["codes"])
        if item in self.options:
            first, name = next(iter(self.options[item])), "|".join(codes)
            variable = f"{item}:{first if name == NONE else name}"
            self.cats.setdefault(variable, self.cats[f"{item}:{first}"])
            return variable, frozenset({NONE if name == NONE else "1"})
        spans = (self.nets[item].get(code, {code}) for code in codes)
        return self.alias.get(item, item), frozenset().union(*spans)

    def asked(self, name: str, base: str) -> frozenset:
        """Return the categories of a variable that its base counts."""
        gone = {SKIPPED} | ({NONE, *self.missing[name]} if base == "answered" else set())
        return frozenset(self.cats[name]) - gone

    def threshold(self, variables: set[str], named: set[str]) -> int:
        """Return the smallest count that may be shown (P2)."""
        names = {name.split(":")[0] for name in (*variables, *named)}
        below = self.strict or self.region in names or len(variables) > 2
        return 10 if below or names & self.sensitive else 5


# --- all people in all tables ---------------------------------------------------------------------


class System:
    """Unknown counts of every combination of categories of some sets of variables."""

    def __init__(self, facts: Facts, sets: set[frozenset], exact: set[str]) -> None:
        """Tie every table to its margins, its filters and its multi-answer rules."""
        self.facts, self.start, self.n, self.exact = facts, {}, 0, exact
        self.rows: list[tuple[dict[int, float], float, float]] = []
        for names in {frozenset(p) for s in sets for p in _subsets(s)}:
            shape = [len(facts.cats[name]) for name in sorted(names)]
            count = int(np.prod(shape))
            self.start[names] = np.arange(self.n, self.n + count).reshape(shape)
            self.n += count
        groups = defaultdict(dict)
        for names, cells in self.start.items():
            for axis, name in enumerate(sorted(names)):
                margin = self.start[names - {name}].ravel()
                lines = np.moveaxis(cells, axis, -1).reshape(len(margin), -1)
                for parts, whole in zip(lines, margin, strict=True):
                    self.state(dict.fromkeys(parts, 1) | {whole: -1}, 0, 0)
                self._filter(names - {name}, name)
                item, _, code = name.partition(":")
                if code:
                    groups[item, names - {name}][code] = name
        for (item, rest), own in groups.items():
            for person in self._people(rest):
                self._choices(item, person, own)

    def state(self, weights: dict[int, float], low: float, high: float) -> None:
        """State that a weighted sum of unknowns lies between two values."""
        self.rows.append((weights, low, high))

    def cells(self, box: dict[str, frozenset]) -> dict[int, float]:
        """Return the unknowns of all people in a box, each once."""
        cats = self.facts.cats
        picks = [[i for i, c in enumerate(cats[n]) if c in box[n]] for n in sorted(box)]
        table = self.start[frozenset(box)]
        return dict.fromkeys((table[np.ix_(*picks)] if box else table).ravel().tolist(), 1)

    def _people(self, rest: frozenset):
        names = sorted(rest)
        for codes in itertools.product(*(self.facts.cats[name] for name in names)):
            yield {name: frozenset({code}) for name, code in zip(names, codes, strict=True)}

    def _filter(self, rest: frozenset, name: str) -> None:
        """Whom the one condition led to was asked; nobody else, but without an answer to it."""
        conditions = self.facts.asked_if.get(name, [])
        loose = set() if name.split(":")[0] in self.exact else {NONE}
        for person, (source, codes) in itertools.product(self._people(rest), conditions):
            source, of = self.facts.alias.get(source, source), frozenset(codes)
            asked = self.cells(person | {name: self.facts.asked(name, "asked")})
            if source in rest:
                led, maybe = (
                    self.cells(person) if person[source] <= c else {} for c in (of, of | loose)
                )
            elif rest | {source} in self.start:
                led, maybe = (self.cells(person | {source: c}) for c in (of, of | loose))
            else:
                continue
            self.state(_sum(asked, (maybe, -1)), -np.inf, 0)
            if len(conditions) == 1 and "0" not in of:
                self.state(_sum(asked, (led, -1)), 0, np.inf)

    def _choices(self, item: str, person: dict, own: dict[str, str]) -> None:
        """Options of one question have one base; "none of these" excludes; limits bound."""
        roles, nets = self.facts.options[item], self.facts.nets[item]
        at = {
            (c, k): next(iter(self.cells(person | {name: frozenset({k})})))
            for c, name in own.items()
            for k in self.facts.cats[name]
        }
        first, *others = own
        answered, chosen = {at[first, "1"]: 1, at[first, "0"]: 1}, {c: {at[c, "1"]: 1} for c in own}
        for c, k in itertools.product(others, (NONE, SKIPPED)):
            if (c, k) in at:
                self.state({at[c, k]: 1, at[first, k]: -1}, 0, 0)
        for one, other in itertools.product((c for c in own if roles.get(c) == "exclusive"), own):
            if other != one and one not in nets.get(other, other.split("|")):
                self.state(_sum(chosen[one], (chosen[other], 1), (answered, -1)), -np.inf, 0)
        for net in own:
            of = nets.get(net, set(net.split("|")))
            inside = [c for c in of if c in own and c != net]
            for c in inside:
                self.state(_sum(chosen[net], (chosen[c], -1)), 0, np.inf)
            if inside and len(inside) == len(of):
                self.state(_sum({}, (chosen[net], -1), *((chosen[c], 1) for c in of)), 0, np.inf)
        if set(roles) <= set(own):
            everyone = _sum({}, *((chosen[c], 1) for c in roles))
            if item in self.facts.must_choose:
                self.state(_sum(everyone, (answered, -1)), 0, np.inf)
            most = self.facts.most.get(item, len(roles))
            self.state(_sum(everyone, (answered, -most)), -np.inf, 0)

    def settle(self) -> None:
        """Fix what follows at once, and cut the rest into parts that do not touch."""
        value, todo, touching = (
            np.full(self.n, np.nan),
            set(range(len(self.rows))),
            defaultdict(set),
        )
        for number, (weights, *_) in enumerate(self.rows):
            for node in weights:
                touching[node].add(number)
        while todo:
            weights, low, high = self.rows[todo.pop()]
            known = sum(w * value[n] for n, w in weights.items() if not np.isnan(value[n]))
            free = {n: w for n, w in weights.items() if np.isnan(value[n])}
            fixed = dict.fromkeys(free, 0)
            if len(free) == 1 and low == high:
                fixed = {n: round((low - known) / w) for n, w in free.items()}
            elif not (abs(high - known) < 1e-9 and min(free.values(), default=0) > 0) and not (
                abs(low - known) < 1e-9 and max(free.values(), default=0) < 0
            ):
                continue
            for node, number in fixed.items():
                value[node] = number
                todo |= touching[node]
        lines = [(r, n, w) for r, (ws, *_) in enumerate(self.rows) for n, w in ws.items()]
        row, column, weight = map(np.array, zip(*lines, strict=True))
        matrix = csr_array((weight.astype(float), (row, column)), shape=(len(self.rows), self.n))
        limits = np.array([limit for _, *limit in self.rows]).T
        self.value, self.low, self.high = value, *(limits - matrix @ np.nan_to_num(value))
        self.matrix = csr_array(matrix.multiply(np.isnan(value).astype(float)))
        self.matrix.eliminate_zeros()
        links = csr_array(abs(self.matrix))
        self.part = connected_components(links.T @ links, directed=False)[1]
        self.known_parts: dict = {}

    def bounds(self, nodes: list[int], low: float, high: float) -> tuple[float, float]:
        """Return the ends of a sum of unknowns, or `low` and `high` where it reaches them."""
        known, free = np.nansum(self.value[nodes]), [n for n in nodes if np.isnan(self.value[n])]
        parts = frozenset(self.part[free])
        if parts not in self.known_parts:
            columns = np.flatnonzero(np.isin(self.part, [*parts]) & np.isnan(self.value))
            matrix = self.matrix[:, columns]
            used = np.flatnonzero(np.diff(matrix.indptr))
            self.known_parts[parts] = (columns, matrix[used], self.low[used], self.high[used], [])
        columns, matrix, lows, highs, seen = self.known_parts[parts]
        mask, ends = np.isin(columns, free).astype(float), []
        for sign, goal in ((1, low), (-1, high)):
            wall = (-np.inf, goal - known) if sign > 0 else (goal - known, np.inf)
            if not free:
                ends.append(goal if sign * known <= sign * goal else float(known))
            elif any(wall[0] - 1e-6 <= mask @ each <= wall[1] + 1e-6 for each in seen):
                ends.append(goal)
            elif (
                found := _solve_whole(
                    vstack([matrix, csr_array(mask[None, :])]), [*lows, wall[0]], [*highs, wall[1]]
                )
            ) is not None:
                seen.append(found)
                ends.append(goal)
            else:
                exact = _solve_whole(matrix, lows, highs, cost=sign * mask)
                ends.append(float(known + mask @ exact))
        return ends[0], ends[1]


def _solve_whole(matrix, lows, highs, *, cost=None) -> np.ndarray | None:
    cost = np.zeros(matrix.shape[1]) if cost is None else cost
    limits = LinearConstraint(matrix, lows, highs)
    found = milp(cost, constraints=limits, integrality=1, bounds=Bounds(0, np.inf))
    return None if found.x is None else np.round(found.x)


def _subsets(names: frozenset):
    sizes = range(len(names) + 1)
    return itertools.chain.from_iterable(itertools.combinations(names, size) for size in sizes)


def _sum(first: dict, *others: tuple[dict, float]) -> dict:
    total = defaultdict(float, first)
    for weights, times in others:
        for node, weight in weights.items():
            total[node] += times * weight
    return dict(total)


# --- what a release shows -------------------------------------------------------------------------


class Cell(NamedTuple):
    """A count: its row's (domain, value, item, value), who is counted, of whom, how many."""

    name: tuple[str, ...]
    group: dict[str, frozenset]
    box: dict[str, frozenset]
    base: dict[str, frozenset]
    count: float
    n: float
    k: int

    def within(self, other: Cell) -> bool:
        """Return whether a group is a true part of another on the same axis."""
        mine, theirs = self.group, other.group
        return mine != theirs and all(mine[n] <= theirs.get(n, frozenset()) for n in mine)


def records(table: pd.DataFrame) -> list[dict]:
    """Return rows of estimates as dictionaries of text, blank for missing."""
    return table.astype(object).where(table.notna(), "").astype(str).to_dict("records")


def name_of(row: dict) -> tuple[str, ...]:
    """Return who and what a row is of."""
    return tuple(row[key] for key in ("domain", "domain_value", "item", "item_value"))


def is_shown(row: dict) -> bool:
    """Return whether a released row holds a figure."""
    return row["status"] != "suppressed" and row["estimate"] != ""


def read_cells(truth: list[dict], facts: Facts) -> dict[tuple, Cell]:
    """Return the counts of one wave by name and base."""
    found, answered = {}, set()  # answered: national tables that leave no answers out, unlike ours
    asked = {r["item"]: r["n_unweighted"] for r in truth if r["table_id"].startswith("gt_")}
    for row in truth:
        name, table = name_of(row), row["table_id"]
        if row["measure"] != "percent" or row["n_cell"] == "" or not table.startswith(SHARES):
            continue
        base = facts.indicators.get(row["item"], {"base": facts.base}).get("base", "asked")
        if table.startswith("national_") and row["domain"] == "all":
            same = asked.get(row["item"]) in (None, row["n_unweighted"])
            answered |= set() if same else {table}
        base = "answered" if " x " in row["item"] or table in answered else base
        group, box, of = {}, {}, {}
        if row["domain"] != "all":
            pairs = zip(*(text.split(" x ") for text in name[:2]), strict=True)
            group = dict(facts.resolve(*pair, is_domain=True) for pair in pairs)
        for pair in zip(*(text.split(" x ") for text in name[2:]), strict=True):
            variable, codes = facts.resolve(*pair)
            people = facts.asked(variable, base)
            box[variable] = group.get(variable, codes) & codes
            of[variable] = group.get(variable, people) & people
        n, named = float(row["n_unweighted"]), {*name[0].split(" x "), *name[2].split(" x ")}
        k = facts.threshold(set(group | box), named) if n >= 10 else 10
        found[*name, base] = Cell(name, group, group | box, group | of, float(row["n_cell"]), n, k)
    return found


def attack_counts(
    cells: dict, rows: list[dict], told: set, facts: Facts, *, loops: bool
) -> list[Hole]:
    """Return every small hidden count that the shown ones bound, and every small one shown.

    Args:
        cells: From `read_cells`.
        rows: Released rows of the wave, earlier releases' included.
        told: Names of what is shown.
        facts: What anybody may know.
        loops: Also bound cells over every third question with tables by both of its variables.
    """
    aims = [aim for cell in cells.values() for aim in _aims(cell, facts)]
    found = [Hole("shown", " ".join(c.name), n, n, n) for c, _, n in aims if c.name in told]
    aims = [aim for aim in aims if aim[0].name not in told]
    tiny = {name_of(r) for r in rows if (r["reason"], r["measure"]) == ("BASE_UNDER_10", "percent")}
    lines = [([(c.box, 1)], c.count, c.count) for c in cells.values() if c.name in told]
    lines += [([(c.base, 1)], c.n, c.n) for c in cells.values() if c.name in told]
    lines += [([(c.base, 1)], 0, 9) for c in cells.values() if c.name in tiny and c.n < 10]
    lines += _rests(cells, rows, facts) + _standardised(cells, rows, facts)
    lines += _nobody(cells, rows, facts)
    sets, exact = {frozenset(cell.box) for cell in cells.values()}, _exact(cells, facts)
    found += _solve(System(facts, sets, exact), lines, aims, kind="count")
    for mine in {frozenset(box) for _, box, _ in aims if len(box) == 2} if loops else ():
        own = [aim for aim in aims if set(aim[1]) == mine]
        for third in {n for s in sets for n in s} - mine:
            if all({name, third} in sets for name in mine):
                within = {s for s in sets if s <= mine | {third}} | {mine | {third}}
                found += _solve(System(facts, within, exact), lines, own, kind="loop")
    return found


def _aims(cell: Cell, facts: Facts) -> list[tuple[Cell, dict, float]]:
    """Return the small counts of a cell: those who are in it, or of an option those who are not."""
    if is_no_answer(cell, facts):
        return []
    aims = [(cell, cell.box, cell.count)] if cell.count < cell.k and cell.n else []
    option = next((name for name in cell.box if ":" in name), None)
    if option and 0 < cell.n - cell.count < cell.k <= cell.count:
        others = cell.box | {option: cell.base[option] - {"1"}}
        aims.append((cell, others, cell.n - cell.count))
    return aims


def is_no_answer(cell: Cell, facts: Facts) -> bool:
    """methods.md shields neither that somebody gave no answer nor how many an axis leaves out."""
    outside = facts.outside if len(cell.box) == 1 else {}
    return any(
        codes <= {NONE, SKIPPED} | facts.missing[name] | outside.get(name, set())
        for name, codes in cell.box.items()
    )


def _solve(system: System, lines: list, aims: list, *, kind: str) -> list[Hole]:
    for terms, low, high in lines:
        if all(frozenset(box) in system.start for box, _ in terms):
            system.state(_sum({}, *((system.cells(box), w) for box, w in terms)), low, high)
    system.settle()
    found = []
    for cell, box, count in aims:
        goal = min(cell.k - 1, cell.n)
        low, high = system.bounds([*system.cells(box)], 1, goal)
        if low > 1 or high < goal:
            found.append(Hole(kind, " ".join(cell.name), low, high, count))
    return found


def _exact(cells: dict, facts: Facts) -> set[str]:
    """Return the questions whose base is all whom the filter's answers led to, no one beside."""
    found, shares = set(), {key[2:4]: c.count for key, c in cells.items() if key[0] == "all"}
    for item, ((source, codes), *more) in facts.asked_if.items():
        bases = {c.n for key, c in cells.items() if (key[0], key[2]) == ("all", item)}
        total = sum(shares.get((source, code), np.nan) for code in codes)
        found |= {item} if not more and bases == {total} else set()
    return found


def _rests(cells: dict, rows: list[dict], facts: Facts) -> list:
    """A shown gap tells how many of everybody else gave the answer.

    Where the axis leaves out a code that the population does not know, these are its other
    categories.
    """
    lines, axes = [], defaultdict(list)
    for (domain, _, *rest), cell in cells.items():
        axes[domain, *rest[:2]].append(cell)
    for row in rows:
        is_gap = row["measure"] == "difference_points" and is_shown(row)
        if not is_gap or not row["table_id"].startswith(("cross_", "headline")):
            continue
        mine, whole = (axes[d, row["item"], row["item_value"]] for d in (row["domain"], "all"))
        own = next(c for c in mine if c.name == name_of(row))
        if any(facts.outside.get(name) for name in row["domain"].split(" x ")):
            fine = [c for c in mine if not any(o.within(c) for o in mine)]
            frame = fine if own in fine else [c for c in mine if c not in fine]
            others = [c for c in frame if c.name != own.name]
            total = sum(c.count for c in others)
            lines.append(([(c.box, 1) for c in others], total, total))
        elif whole:
            total = whole[0].count - own.count
            lines.append(([(whole[0].box, 1), (own.box, -1)], total, total))
    return lines


def _standardised(cells: dict, rows: list[dict], facts: Facts) -> list:
    """Our share on the nation's age mix is a sum of the shares of our age bands."""
    lines = []
    theirs = [r for r in rows if r["measure"] == "percent_benchmark" and r["domain"] == facts.age]
    for row in rows:
        if row["measure"] != "percent_age_standardised" or row["domain"] != "all":
            continue
        mine = [r for r in theirs if r["table_id"] == row["table_id"] and r["n_unweighted"]]
        mix = {r["domain_value"]: float(r["n_unweighted"]) for r in mine} or facts.mix
        answer = (row["item"], row["item_value"])
        bands = {k[1]: c for k, c in cells.items() if k[0] == facts.age and k[2:4] == answer}
        if is_shown(row) and mix and set(mix) == set(bands):
            parts = {band: share / sum(mix.values()) / bands[band].n for band, share in mix.items()}
            true = sum(part * bands[band].count for band, part in parts.items())
            slack = 0.0005 if float(row["n_unweighted"]) >= 200 else 0.005
            terms = [(bands[band].box, part) for band, part in parts.items()]
            lines.append((terms, true - slack, true + slack))
    return lines


def _nobody(cells: dict, rows: list[dict], facts: Facts) -> list:
    """A line that a table lacks tells that nobody belongs there.

    No line of no answers: everybody answered. No group of an axis that other tables have, nor one
    merged of it: nobody there was asked.
    """
    codes, groups, lines = defaultdict(set), defaultdict(set), []
    for row in rows:
        if row["table_id"].startswith("gt_") and facts.base == "asked":
            codes[row["item"]].add(row["item_value"])
        groups[row["domain"]].add(row["domain_value"])
    for item, values in codes.items():
        for name in [item] if item in facts.cats else [f"{item}:{value}" for value in values]:
            if NONE not in values and name in facts.cats:
                lines.append(([({name: frozenset({NONE})}, 1)], 0, 0))
    tables = {(key[0], key[2], key[4]): c for key, c in cells.items() if key[0] in facts.axes}
    for (axis, item, _), cell in tables.items():
        own = {key[1] for key in cells if (key[0], key[2]) == (axis, item)}
        told = {code for value in own for code in facts.resolve(axis, value, is_domain=True)[1]}
        for value in groups[axis] - own if len(cell.box) > 1 else ():
            name, span = facts.resolve(axis, value, is_domain=True)
            if not span <= told:
                lines.append(([(cell.base | {name: span}, 1)], 0, 0))
    return lines
