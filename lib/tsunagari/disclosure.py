"""Which figures may leave the analyst's machine, and in how many digits (policy SDC-1)?"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, hstack

from tsunagari.errors import DisclosureError, InputError
from tsunagari.estimates import (
    ESTIMATE_COLUMNS,
    HIDDEN_COLUMNS,
    KEPT,
    MODELS,
    WHOLE_PERCENT_BASE,
    conform,
    decimals_of,
    is_kind,
    join,
    outcome,
    round_half_up,
    split,
)
from tsunagari.statistics.benchmark import read_benchmark
from tsunagari.statistics.verdicts import PENDING, find_families, give_verdicts
from tsunagari.study.codebook import NO_ANSWER, parse_condition
from tsunagari.study.files import read_json, read_table, repository_root
from tsunagari.study.settings import Disclosure, Marks
from tsunagari.study.survey import Study

BASE_UNDER_10 = "BASE_UNDER_10"
CELL_UNDER_10 = "CELL_UNDER_10"
SECONDARY = "SECONDARY"
DEPENDENT = "DEPENDENT"
GROUP = "GROUP"
POPULATION = "POPULATION"
TABLE = "TABLE"
HIDDEN = "HIDDEN"  # the one reason a reader sees on every other hidden row

TEXT_LIMIT = 500  # characters of one label or remark; the longest of ours has 120
CUT_TEXT = "…（以下省略）"
P_VALUE_FLOOR = 0.001  # a p-value of 0.001 on the page means 0.001 or less

# Why a row shows no figure, in the order told, with the words for it.
LEFT_OUT = yaml.safe_load(Path(__file__).with_name("gate.yaml").read_text(encoding="utf-8"))

_LEDGER_TOTALS = ("read", "quarantined")  # rows read = analysed + quarantined (by reason)


# --- the gate's step ------------------------------------------------------------------------------


def publish(study: Study) -> pd.DataFrame:
    """Collect every notebook's rows, pass them through the gate and write what may be read.

    Reads private/parts/*.csv in the order of their names; writes private/estimates.csv,
    private/gate.csv (why each row is hidden and why it is left out), published/estimates.csv (the
    rows that are not left out, and table `gate`, which counts the others) and published/about.json.

    Args:
        study: The wave whose notebooks have run.

    Returns:
        The published estimates, shape (n_rows, len(ESTIMATE_COLUMNS)).

    Raises:
        InputError: No notebook has saved rows, or a part lacks a column.
        DisclosureError: A figure cannot be judged, or what is left could point at a person.
    """
    estimates = collect_parts(study)
    questionnaire = read_questionnaire(study)
    settings = study.config.disclosure
    reasons = judge(
        estimates, settings=settings, questionnaire=questionnaire, archive=read_archive(study)
    )
    estimates = judge_differences(
        estimates, reasons, questionnaire=questionnaire, marks=study.config.marks
    )
    left_out = find_left_out(estimates, reasons)
    study.save("private/gate.csv", estimates[KEPT].assign(reason=reasons, left_out=left_out))
    shown = apply_reasons(estimates, reasons, settings=settings)
    counts = count_left_out(shown, left_out, wave=study.year)
    study.save("private/estimates.csv", estimates)
    published = round_published(pd.concat([shown[left_out.isna()], counts]))
    study.save("published/estimates.csv", published)
    study.save("published/about.json", _clean(describe_study(study)))
    return published


def judge_differences(
    estimates: pd.DataFrame, reasons: pd.Series, *, questionnaire: Questionnaire, marks: Marks
) -> pd.DataFrame:
    """Return the rows with verdicts and marks, tests adjusted over what is shown alone.

    Args:
        estimates: Rows at full precision.
        reasons: From `judge`.
        questionnaire: What is known of the variables.
        marks: Level and threshold of the study.
    """
    is_hidden = reasons.notna()
    verdict = estimates["verdict"].mask(is_hidden & (estimates["verdict"] == PENDING), "")
    rows = estimates.assign(verdict=verdict, p_value=estimates["p_value"].mask(is_hidden))
    texts = zip(rows["item"].fillna(""), rows["item_value"].fillna(""), strict=True)
    pairs = [item_pairs(*text, questionnaire=questionnaire) for text in texts]
    names = pd.DataFrame(
        [(str(own), str(_with_others(own, questionnaire=questionnaire))) for own in pairs],
        columns=["answers", "tests"],
        index=rows.index,
    )
    families = find_families(rows, answers=names["answers"], tests=names["tests"])
    judged = give_verdicts(
        rows, families, alpha=1 - marks.confidence, point_threshold=marks.point_threshold
    )
    return judged.assign(p_value=estimates["p_value"])


def _with_others(own: Key, *, questionnaire: Questionnaire) -> Any:
    """Return a name that an answer shares with all others together: one test judges both."""
    ((name, code), *more) = own
    missing = questionnaire.missing.get(name, (NO_ANSWER,))
    if more or "=" in name or code in missing:
        return own
    nets = questionnaire.nets.get(name, {})
    codes = {c for c in questionnaire.codes.get(name, ()) if c not in nets and c not in missing}
    inside = span_of(code, nets=nets)
    return name, sorted([sorted(inside), sorted(codes - inside)])


def archive_dir(study: Study) -> Path:
    """Return the folder of the figures of every signed release of a study."""
    return repository_root() / "data/processed" / study.name / "releases"


def hash_archive(study: Study) -> dict[str, dict[str, str]]:
    """Return the sha256 of every file that is kept of every signed release, by its folder."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(archive_dir(study).glob("[!.]*/*")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found.setdefault(path.parent.name, {})[path.name] = digest
    return found


def archive_index(study: Study) -> Path:
    """Return the file that says what was kept: sha256 of every file, by folder and name."""
    return archive_dir(study).with_suffix(".json")


def read_archive(study: Study, *, but: str = "") -> list[pd.DataFrame]:
    """Return estimates.csv of every earlier signed release, with the true count of what it shows.

    Args:
        study: Any wave of the study.
        but: Folder of a release to leave aside, such as one that is about to be kept again.

    Raises:
        DisclosureError: What was kept of a release is torn, lacking or changed.
    """
    folder, found, listed = archive_dir(study), hash_archive(study), read_json(archive_index(study))
    names = sorted({*listed, *found} - {but})
    if wrong := [name for name in names if found.get(name) != listed.get(name)]:
        raise DisclosureError(
            "ARCHIVE",
            f"署名済みの公表物の記録 data/processed/{study.name}/releases が欠けているか変わって"
            f"います: {', '.join(wrong)}。控えから戻すか、その公表物で make release をもう一度実行"
            "してください。",
            "What was kept of signed releases in the folder named before is lacking or changed: "
            "restore it from a backup, or run make release again on that release.",
        )
    kept = []
    for name in names:
        shown = conform(read_table(folder / name / "estimates.csv"))
        truth = conform(read_table(folder / name / "truth.csv")).drop_duplicates("row_id")
        n_cell = shown["row_id"].map(truth.set_index("row_id")["n_cell"])
        kept.append(shown.assign(n_cell=n_cell.where(shown["status"] != "suppressed")))
    return kept


def collect_parts(study: Study) -> pd.DataFrame:
    """Return the rows of every notebook under one set of columns, parts in order of name.

    Raises:
        InputError: There is no part, one has a column that estimates do not know, or two rows are
            one figure or of the gate's own table.
    """
    names = sorted(path.name for path in (study.processed_dir / "private/parts").glob("*.csv"))
    if not names:
        raise InputError(
            "STEP_MISSING",
            "private/parts に推定値がありません。ノートブック 01〜04 を先に実行してください。",
            "There are no estimates in private/parts: run notebooks 01 to 04 first.",
        )
    parts = {name: study.load(f"private/parts/{name}") for name in names}
    for name, part in parts.items():
        unknown = [column for column in part.columns if column not in ESTIMATE_COLUMNS]
        if unknown:
            raise InputError(
                "PART_COLUMNS",
                f"{name} に estimates にない列 {', '.join(unknown)} があります。",
                f"{name} has columns that estimates do not know, listed before: leave them out.",
            )
    rows = conform(pd.concat(parts.values(), ignore_index=True))
    strange = rows["row_id"].duplicated(keep=False) | is_kind(rows, "gate")
    if strange.any():
        listed = ", ".join(rows.loc[strange, "table_id"].drop_duplicates()[:8])
        raise InputError(
            "PART_ROWS",
            f"同じ集計値が重なっているか、秘匿の工程だけが作る表 gate です（{strange.sum()} 行）: "
            f"{listed}。ノートブックの出力を確かめてください。",
            f"Figures that stand twice, or table gate, which the gate alone makes ({strange.sum()} "
            "rows, tables named before): check what the notebooks save.",
        )
    return rows


# --- what the questionnaire says about its own tables ---------------------------------------------

OUTSIDE = "~"  # as a code: the people whom an axis leaves out
Key = tuple[tuple[str, str], ...]  # sorted (variable, code) pairs: who is counted
# An item's nodes in one domain, by domain, item and node of the base.
Blocks = dict[tuple[Key, str, int], dict[Key, int]]


@dataclass(frozen=True)
class Questionnaire:
    """What anybody may know of the variables: the attacker reads it in the report's own appendix.

    Attributes:
        nets: Codes of every net, by variable and net.
        missing: Codes that are not an answer, by variable.
        multiple: Multi-answer items; each of their options is a yes or no of its own.
        exclusive: Codes of a multi-answer item that exclude the others.
        sensitive: Items under the higher threshold.
        areas: Variables that name an area below the prefecture.
        indicators: Item and codes of every indicator.
        asked_if: For items that not everybody was asked: the conditions that led to them, all of
            which must hold, each as the (variable, code) pairs of which one must.
        outside: Codes of an axis that have no weighting cell, or are no answer.
        codes: Every code and net of a variable; empty where nothing is known.
        bands: Code -> (from, to) of variables that band one number, by (number, variable).
        classes: (variable, code) of a merged variable -> the (source, net) that counts the same.
    """

    nets: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    missing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    multiple: frozenset[str] = frozenset()
    exclusive: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sensitive: frozenset[str] = frozenset()
    areas: frozenset[str] = frozenset()
    indicators: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    asked_if: dict[str, tuple[Key, ...]] = field(default_factory=dict)
    outside: dict[str, tuple[str, ...]] = field(default_factory=dict)
    codes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    bands: dict[tuple[str, str], dict[str, tuple[float, float]]] = field(default_factory=dict)
    classes: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)


def read_questionnaire(study: Study) -> Questionnaire:
    """Return what study.yaml and the codebook say about the variables of the tables."""
    if not study.has_survey:
        return Questionnaire()
    items = study.items
    shares = study.config.weighting.sample_share
    axes = sorted({name for axis in study.axes for name in axis})
    region = study.config.design.region
    bands = {
        (rule.bands_of, name): {
            band.code: (
                -np.inf if band.from_ is None else band.from_,
                np.inf if band.to is None else band.to,
            )
            for band in rule.bands
        }
        for name, rule in study.config.derive.items()
        if rule.kind == "bands"
    }
    nets = {n: {net: codes for net, (_, codes) in i.nets.items()} for n, i in items.items()}
    classes = _merged_classes(study, nets)
    axes = sorted({*axes, *(source for (name, _), (source, _) in classes.items() if name in axes)})
    return Questionnaire(
        nets=nets,
        classes=classes,
        missing={n: (*i.missing, NO_ANSWER) for n, i in items.items()},
        multiple=frozenset(n for n, i in items.items() if i.kind == "MA"),
        exclusive={n: i.exclusive for n, i in items.items() if i.exclusive},
        sensitive=frozenset(n for n, i in items.items() if i.sensitive),
        areas=frozenset({region}),
        indicators={n: (i.item, i.codes) for n, i in study.config.indicators.items()},
        asked_if=_asked_if(study),
        outside={n: (*shares.get(n, ()), *items[n].missing, NO_ANSWER) for n in axes if n in items},
        codes={n: tuple(i.labels) for n, i in items.items()},
        bands=bands,
    )


def _merged_classes(
    study: Study, nets: dict[str, dict[str, tuple[str, ...]]]
) -> dict[tuple[str, str], tuple[str, str]]:
    """Return what each class and net of a merged variable counts, adding to its source's nets.

    A class is a sum of its source's codes: shown beside them it gives away the one that is hidden,
    so both must be one system.
    """
    found = {}
    for name, rule in study.config.derive.items():
        if rule.kind != "recode":
            continue
        known = nets.setdefault(rule.recode_of, {})
        classes = {each.code: each.of for each in rule.classes}
        for net, codes in nets.get(name, {}).items():
            classes[net] = tuple(of for code in codes for of in classes[code])
        for each, of in classes.items():
            same = [net for net, codes in known.items() if set(codes) == set(of)]
            code = of[0] if len(of) == 1 else (same or [f"{name}:{each}"])[0]
            if len(of) > 1:
                known[code] = of
            found[name, each] = (rule.recode_of, code)
        found[name, NO_ANSWER] = (rule.recode_of, NO_ANSWER)
    return found


def _asked_if(study: Study) -> dict[str, tuple[Key, ...]]:
    """Return the conditions of every filtered item; one on an option not chosen is left out."""
    columns, codes = study.codebook.columns, study.codebook.codes
    options = codes[codes["variable"].map(columns["type"]) == "MA"]
    chosen = {
        row["variable"]: (f"{row['item']}={row['code']}", "1") for _, row in options.iterrows()
    }
    found = {}
    for variable, row in columns[columns["ask_if"] != ""].iterrows():
        conditions = [
            tuple((name, code) for code in of) if name not in chosen else (chosen[name],)
            for name, of in parse_condition(row["ask_if"], where=str(variable))
            if name not in chosen or of == ("1",)
        ]
        found[row["item"]] = tuple(conditions)
    for name, rule in study.config.derive.items():
        if (source := rule.recode_of or rule.bands_of) in found:
            found[name] = found[source]
    return {item: conditions for item, conditions in found.items() if conditions}


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
    """State that a net is the sum of the widest codes and nets in it, and so is the total.

    Args:
        linked: All tables so far.
        nodes: Node of every code and net that the tables show, of one variable.
        nets: Codes of its nets: nested or disjoint (`check_bands`).
        total: Node of everybody, or None where no table shows it.
        is_complete: Whether everybody has one of the codes.
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
        rest, conditions = _filter_of(key, questionnaire=questionnaire)
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


def _filter_of(key: Key, *, questionnaire: Questionnaire) -> tuple[Key, tuple[Key, ...]]:
    """Return the domain of a filtered question's base and what led to the question."""
    for pair in key:
        name = pair[0].lstrip("?")
        if pair[0][0] == "?" and name in questionnaire.asked_if:
            return tuple(p for p in key if p != pair), questionnaire.asked_if[name]
    return key, ()


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
class _Component:
    """Nodes that are tied to each other when the rest is known."""

    nodes: np.ndarray
    matrix: csr_array
    counts: np.ndarray
    witnesses: list[np.ndarray] = field(default_factory=list)

    def satisfied(self, place: int, target: Target, *, is_free: np.ndarray) -> tuple[bool, bool]:
        """Return whether a known alternative, all of it unseen, reaches either end."""
        low, high = self.counts[place] <= target.low, self.counts[place] >= target.high
        for table in self.witnesses:
            if low and high:
                break
            value = table[place]
            if (value <= target.low or value >= target.high) and not (
                (table != self.counts) & ~is_free
            ).any():
                low, high = low or value <= target.low, high or value >= target.high
        return low, high


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


def _components(
    linked: LinkedTables, *, moving: np.ndarray, has_loose: bool = True
) -> list[_Component]:
    """Return groups of moving nodes that share an equation, with the equations between them."""
    parent = np.arange(len(linked.keys))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    ties = []
    for number, (nodes, coefficients) in enumerate(linked.equations):
        if number in linked.loose and not has_loose:
            continue
        pairs = [(n, c) for n, c in zip(nodes, coefficients, strict=True) if moving[n]]
        if pairs:
            ties.append(pairs)
            first = root(pairs[0][0])
            for node, _ in pairs[1:]:
                parent[root(node)] = first
    counts = np.asarray(linked.counts, dtype=float)
    groups: dict[int, list[int]] = {}
    for node in np.flatnonzero(moving):
        groups.setdefault(root(node), []).append(node)
    by_group: dict[int, list[list[tuple[int, float]]]] = {}
    for pairs in ties:
        by_group.setdefault(root(pairs[0][0]), []).append(pairs)
    return [
        _component(np.array(nodes), by_group.get(group, []), counts=counts)
        for group, nodes in groups.items()
    ]


def _component(
    nodes: np.ndarray, ties: list[list[tuple[int, float]]], *, counts: np.ndarray
) -> _Component:
    place = {node: p for p, node in enumerate(nodes)}
    entries = [(row, place[n], c) for row, pairs in enumerate(ties) for n, c in pairs]
    rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
    matrix = csr_array((values, (rows, columns)), shape=(len(ties), len(nodes)))
    return _Component(nodes=nodes, matrix=matrix, counts=counts[nodes])


def _alternative(
    component: _Component, place: int, goal: float, *, costs: np.ndarray, up: bool
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
    where = {}
    for component in _components(linked, moving=~is_known, has_loose=False):
        for place, node in enumerate(component.nodes):
            where[node] = (component, place)
    bounds = _loose_by_node(linked)
    whole: dict[int, tuple[_Component, int]] = {}
    for target in targets:
        if is_known[target.node]:
            continue
        component, place = where[target.node]
        free = np.ones(len(component.nodes), dtype=bool)
        low, high = component.satisfied(place, target, is_free=free)
        for up, done, goal in ((True, high, target.high), (False, low, target.low)):
            if done:
                continue
            # Cost below zero: the alternative moves the other hidden counts as well, and serves
            # as a witness for them.
            costs = np.zeros(len(component.nodes))
            table = _alternative(component, place, goal, costs=costs, up=up)
            if table is not None and not _keeps_bounds(linked, component, table, bounds=bounds):
                # It breaks a bound: look again with all of them, in the larger system.
                whole = whole or {
                    node: (larger, at)
                    for larger in _components(linked, moving=~is_known)
                    for at, node in enumerate(larger.nodes)
                }
                larger, at = whole[target.node]
                costs = np.zeros(len(larger.nodes))
                table = _alternative(larger, at, goal, costs=costs, up=up)
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
    component: _Component,
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


# --- the gate -------------------------------------------------------------------------------------

MODEL_DF_MINIMUM = 100  # residual; SDC-1 P15
MODEL_LEVEL_MINIMUM, MODEL_LEVEL_EVENTS_MINIMUM = 10, 5  # SDC-1 P15
DOMINANCE_N_EFFECTIVE = 4.0  # a Kish size above it rules out a share of 50 % or two of 75 % (P13)
_BASE_COST = 200.0  # of hiding a base: all of its domain's rows go


def suppress(
    estimates: pd.DataFrame,
    *,
    settings: Disclosure,
    questionnaire: Questionnaire | None = None,
    archive: Iterable[pd.DataFrame] = (),
) -> pd.DataFrame:
    """Hide every row that could point at a person, and whatever else would give it away.

    A hidden row keeps its keys and loses every number, its verdict and its mark. Its reason says
    only that it is hidden: which cells are small and which stand in for them would help a reader to
    work them out.

    Args:
        estimates: Rows with the columns of estimates, full precision, all waves of the release.
        settings: Thresholds of the study, in unweighted respondents.
        questionnaire: What is known of the variables.
        archive: estimates.csv of earlier releases: what they show cannot be hidden any more.

    Returns:
        The same rows in the same order, with `status` and `reason` filled.

    Raises:
        DisclosureError: A figure cannot be judged, or a count stays recoverable.
    """
    table = conform(estimates)
    known = questionnaire or Questionnaire()
    reasons = judge(table, settings=settings, questionnaire=known, archive=archive)
    return apply_reasons(table, reasons, settings=settings)


def apply_reasons(
    estimates: pd.DataFrame, reasons: pd.Series, *, settings: Disclosure
) -> pd.DataFrame:
    """Return the rows with what the gate decided done to them, and their status."""
    table = estimates.copy()
    table["status"] = _base_status(table["n_unweighted"], settings=settings)
    gone = reasons.reindex(table.index).notna() | (table["reason"] == HIDDEN)  # or before the gate
    return hide_ledger(hide_rows(table, gone), threshold=settings.threshold)


def judge(
    estimates: pd.DataFrame,
    *,
    settings: Disclosure,
    questionnaire: Questionnaire,
    archive: Iterable[pd.DataFrame] = (),
) -> pd.Series:
    """Decide which rows are hidden, and why.

    Args:
        estimates: Rows of every wave of the release, full precision.
        settings: Thresholds.
        questionnaire: What is known of the variables.
        archive: Earlier releases.

    Returns:
        Reason of every hidden row, for the analyst alone, on the index of the estimates:
        BASE_UNDER_10, CELL_UNDER_10, SECONDARY, DEPENDENT, GROUP, POPULATION, DOMINANCE, MODEL,
        TABLE (of a table that would be mostly hidden).

    Raises:
        DisclosureError: See `suppress`.
    """
    archive = list(archive)
    check_figures(estimates, questionnaire=questionnaire)
    reasons = _plain_reasons(estimates, settings=settings)
    for wave in estimates.loc[is_counted(estimates), "wave"].drop_duplicates():
        rows = estimates[_same(estimates["wave"], wave)]
        hidden = _judge_wave(rows, settings=settings, questionnaire=questionnaire, archive=archive)
        reasons = reasons.where(reasons.notna(), hidden.reindex(reasons.index))
    return _hide_dependents(
        estimates, reasons, questionnaire=questionnaire, minimum=settings.base_minimum
    )


def _same(values: pd.Series, value: Any) -> pd.Series:
    return values.isna() if pd.isna(value) else values == value


def _judge_wave(
    rows: pd.DataFrame,
    *,
    settings: Disclosure,
    questionnaire: Questionnaire,
    archive: list[pd.DataFrame],
) -> pd.Series:
    """Return the reason of every hidden row of one wave."""
    linked = link_tables(rows, questionnaire=questionnaire)
    primary, targets = find_primary(linked, settings=settings, questionnaire=questionnaire)
    # That somebody gave no answer tells nothing of theirs: small, so hidden, but not shielded.
    targets = [t for t in targets if not is_no_answer(linked.keys[t.node], questionnaire)]
    told = np.zeros(len(linked.keys), dtype=bool)
    for release in archive:
        told |= visible_nodes(linked, rows, release=release)
    is_left_out = _mostly_hidden(rows, linked, primary, limit=settings.drop_table_above)
    hidden = protect(
        linked,
        targets,
        hidden=set(primary),
        questionnaire=questionnaire,
        is_told=told,
        left_out=set(rows.index[is_left_out]),
    )
    reasons = pd.Series(index=rows.index, dtype="str")
    for node in sorted(hidden):
        reason = primary.get(node, SECONDARY)
        for position in (*linked.rows.get(node, ()), *linked.bases.get(node, ())):
            if pd.isna(reasons[position]):
                reasons[position] = reason
    return reasons.where(reasons.notna() | ~is_left_out, TABLE)


def _mostly_hidden(
    rows: pd.DataFrame, linked: LinkedTables, primary: Iterable[int], *, limit: float
) -> pd.Series:
    """Return which rows are of a cross table more hidden than a limit, its hidden lines aside."""
    hidden = pd.Series(data=False, index=rows.index)
    for node in primary:
        hidden[[*linked.rows.get(node, ()), *linked.bases.get(node, ())]] = True
    is_share = is_kind(rows, "cross") & (rows["measure"] == "percent")
    kept = hidden[is_share & ~_in_hidden_lines(rows, hidden)]
    share = kept.groupby(rows.loc[kept.index, "table_id"]).mean()
    return rows["table_id"].isin(share.index[share > limit])


def _in_hidden_lines(rows: pd.DataFrame, hidden: pd.Series) -> pd.Series:
    """Return which rows are shares of an answer, or a group, that a cross table hides throughout.

    Args:
        rows: Rows of estimates.
        hidden: Whether each is hidden, on the same index.
    """
    own = rows[is_kind(rows, "cross") & (rows["measure"] == "percent")]
    answers, groups = (
        hidden[own.index].groupby([own[n] for n in ("wave", "table_id", line)], dropna=False)
        .transform("all")
        for line in ("item_value", "domain_value")
    )  # fmt: skip
    return (answers | groups).reindex(rows.index, fill_value=False)


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
        rest, conditions = _filter_of(linked.keys[node], questionnaire=questionnaire)
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
        components = _components(linked, moving=~settle(linked, known=fixed), has_loose=has_loose)
        hidden, _ = _protect_all(
            linked, left, hidden=hidden, shown=shown, components=components, costs=costs
        )
        hidden = _with_bases(linked, hidden)
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
    """Return what it costs to hide a node: wide tables, nets and large shares cost more."""
    costs = np.zeros(len(linked.keys))
    for node, rows in linked.rows.items():
        key = linked.keys[node]
        depth = {1: 20.0, 2: 4.0}.get(len(key), 1.0)
        spans = (span_of(code, nets=questionnaire.nets.get(name, {})) for name, code in key)
        is_net = any(len(span) > 1 for span in spans)
        share = linked.counts[node] / max(linked.counts[linked.base_of[rows[0]]], 1.0)
        costs[node] = depth * (3.0 if is_net else 1.0) * (1 + 0.1 * len(rows)) * (0.2 + share)
    for node, rows in linked.bases.items():
        costs[node] += _BASE_COST + len(rows)
    return costs


def _protect_all(
    linked: LinkedTables,
    targets: list[Target],
    *,
    hidden: set[int],
    shown: np.ndarray,
    components: list[_Component],
    costs: np.ndarray,
) -> tuple[set[int], list[Target]]:
    """Protect target after target; return all hidden nodes and the targets still open."""
    where = {}
    for component in components:
        for place, node in enumerate(component.nodes):
            where[node] = (component, place)
    is_hidden = np.zeros(len(linked.keys), dtype=bool)
    is_hidden[list(hidden)] = True
    left = []
    for target in sorted(targets, key=lambda t: (t.low - t.high, t.node)):
        if target.node not in where:
            left.append(target)
            continue
        component, place = where[target.node]
        mine = component.nodes
        free = is_hidden[mine] | ~shown[mine]
        low, high = component.satisfied(place, target, is_free=free)
        for up, done, goal in ((True, high, target.high), (False, low, target.low)):
            if done:
                continue
            price = np.where(is_hidden[mine] | ~shown[mine], 0.0, costs[mine])
            table = _alternative(component, place, goal, costs=price, up=up)
            if table is None:
                left.append(target)
                break
            component.witnesses.append(table)
            is_hidden[mine[(table != component.counts) & shown[mine]]] = True
    return set(np.flatnonzero(is_hidden)), left


def is_no_answer(key: Key, questionnaire: Questionnaire) -> bool:
    """Return whether a node counts people without an answer: no answer of theirs is told."""
    return any(
        code in questionnaire.missing.get(name, (NO_ANSWER,)) or name.endswith(f"={NO_ANSWER}")
        for name, code in key
    )


def _raise_exposed(linked: LinkedTables, targets: list[Target]) -> None:
    names = sorted(
        {join(n.lstrip("?") for n, _ in linked.keys[t.node] if n != "#") for t in targets}
    )
    listed = ", ".join(names[:8])
    raise DisclosureError(
        "RECOVERABLE",
        f"秘匿した {len(targets)} 個のセルが、公表する表の差し引きで推定できます: {listed}。"
        "区分を統合するか、表を減らしてください。",
        f"{len(targets)} hidden cells can be told by subtraction in the tables named before: merge "
        "categories or leave a table out.",
    )


# --- rows beside the tables -----------------------------------------------------------------------


def check_figures(estimates: pd.DataFrame, *, questionnaire: Questionnaire) -> None:
    """Refuse figures that no hiding of cells makes safe.

    Raises:
        DisclosureError: Extremes (P14), a share whose count is not known, overlapping bands (P10),
            a model with a level under 10 or under 5 by outcome (P15).
    """
    measure = estimates["measure"].fillna("")
    extreme = measure.isin(["minimum", "maximum", "min", "max", "outlier"])
    _refuse(extreme, estimates, code="EXTREME", ja="最小値・最大値", en="a minimum or maximum")
    ours = (measure == "percent") & estimates["estimate"].notna() & ~is_counted(estimates)
    _refuse(
        ours, estimates, code="NO_COUNT", ja="人数の分からない割合", en="a share without its count"
    )
    term = measure.isin(["odds_ratio", "marginal_effect_points"])
    small = term & (
        (estimates["n_unweighted"] < MODEL_LEVEL_MINIMUM)
        | (estimates["n_cell"] < MODEL_LEVEL_EVENTS_MINIMUM)
    )
    _refuse(
        small,
        estimates,
        code="MODEL_LEVEL",
        ja="回答者の少ない区分",
        en="a level of too few people",
    )
    check_bands(estimates, questionnaire=questionnaire)


def _refuse(bad: pd.Series, estimates: pd.DataFrame, *, code: str, ja: str, en: str) -> None:
    if bad.any():
        named = estimates.loc[bad, ["table_id", "item"]].drop_duplicates().astype(str)
        listed = ", ".join(named.agg(".".join, axis=1).tolist()[:8])
        raise DisclosureError(
            code,
            f"{ja}は公表できません（{int(bad.sum())} 行）: {listed}。統合するか、外してください。",
            f"The tables named before hold {en} ({int(bad.sum())} rows): merge or leave it out.",
        )


def check_bands(estimates: pd.DataFrame, *, questionnaire: Questionnaire) -> None:
    """Refuse two published categories that overlap without one holding the other (P10).

    Raises:
        DisclosureError: It names the variables and bands, or the codes' nets and classes.
    """
    spans = _used_spans(estimates, questionnaire=questionnaire)
    used = {name for name, _ in spans}
    bands = [
        (number, f"{name}.{code}", span)
        for (number, name), by_code in questionnaire.bands.items()
        if name in used
        for code, span in by_code.items()
    ]
    overlaps = {
        f"{name}, {other}"
        for (number, name, (low, high)), (same, other, (start, end)) in product(bands, bands)
        if number == same and low < start <= high < end
    }
    for (name, code), (same, other) in combinations(spans, 2):
        one, two = spans[name, code], spans[same, other]
        if name == same and one & two and not (one <= two or two <= one):
            overlaps.add(f"{name}.{code}, {name}.{other}")
    if overlaps:
        listed = "; ".join(sorted(overlaps)[:8])
        raise DisclosureError(
            "DIFFERENCING",
            f"区分が重なっています: {listed}。入れ子か別々にしてください。",
            "The categories named before overlap: make them nested or disjoint.",
        )


def _used_spans(
    estimates: pd.DataFrame, *, questionnaire: Questionnaire
) -> dict[tuple[str, str], frozenset[str]]:
    """Return the codes of every category in the tables, by variable and category."""
    rows = estimates[is_counted(estimates)]
    pairs: set[tuple[str, str]] = set()
    for domain, value in set(zip(rows["domain"], rows["domain_value"], strict=True)):
        pairs |= set(domain_pairs(domain, value, questionnaire=questionnaire))
    for item, value in set(zip(rows["item"], rows["item_value"], strict=True)):
        pairs |= set(item_pairs(item, value, questionnaire=questionnaire))
    nets = questionnaire.nets
    return {(name, code): span_of(code, nets=nets.get(name, {})) for name, code in sorted(pairs)}


def _plain_reasons(estimates: pd.DataFrame, *, settings: Disclosure) -> pd.Series:
    """Return the reason of rows that their own base, weights or model forbids."""
    table = estimates["table_id"].fillna("")
    measure = estimates["measure"].fillna("")
    base, cell = estimates["n_unweighted"], estimates["n_cell"]
    counted, is_model = ~is_kind(estimates, "ledger"), is_kind(estimates, "model", "sensitivity")
    few_df = measure.isin(["odds_ratio", "marginal_effect_points"])
    few_df &= (_residual_df(estimates) < MODEL_DF_MINIMUM) & is_model
    few_df = is_model & table.isin(table[few_df])
    dominated = counted & (estimates["n_effective"] <= DOMINANCE_N_EFFECTIVE)
    is_count = (measure == "count") & counted
    group = table + "|" + estimates["item"].fillna("") + "|" + estimates["domain_value"].fillna("")
    is_merge = is_kind(estimates, "merges")
    merges = is_merge & group.isin(group[is_merge & (cell < settings.threshold)])
    conditions = {
        BASE_UNDER_10: counted & (base < settings.base_minimum),
        CELL_UNDER_10: (is_count & (cell < settings.threshold)) | merges | _few_beyond(estimates),
        "MODEL": few_df,
        "DOMINANCE": dominated,
    }
    reasons = pd.Series(index=estimates.index, dtype="str")
    for reason, where in conditions.items():
        reasons[where & reasons.isna()] = reason
    return reasons


def _residual_df(estimates: pd.DataFrame) -> pd.Series:
    """Return the people less the coefficients of a row's model; its own df where they are unknown.

    The rule guards against models that print cells; the design's df (sampling units) does not count
    people.
    """
    model = estimates["wave"].fillna("").astype(str) + "|" + outcome(estimates["table_id"])

    def fact(name: str) -> pd.Series:
        rows = (estimates["item"] == "model") & (estimates["item_value"] == name)
        return model.map(dict(zip(model[rows], estimates.loc[rows, "estimate"], strict=True)))

    return (fact("n") - fact("parameters") - 1).fillna(estimates["df"])


def _few_beyond(estimates: pd.DataFrame) -> pd.Series:
    """Return percentiles with fewer than 10 people beyond them (P14)."""
    is_quantile = estimates["measure"].fillna("").isin(["quantile", "median", "percentile"])
    q = pd.to_numeric(estimates["item_value"].where(is_quantile), errors="coerce").fillna(0.5)
    q = q.where(q <= 1, q / 100)
    return is_quantile & (estimates["n_unweighted"] * np.minimum(q, 1 - q) < 10 - 1e-6)


def _hide_dependents(
    estimates: pd.DataFrame, reasons: pd.Series, *, questionnaire: Questionnaire, minimum: int
) -> pd.Series:
    """Hide what is computed from a hidden cell: totals, differences, comparisons, changes.

    Hidden means are of two groups and of 10 people at least together: what they are together is the
    total less the others.
    """
    measure = estimates["measure"].fillna("")
    # A model's level is people who answered all of its questions: no share follows from it.
    ours = ~is_kind(estimates, *MODELS, "ledger") & (measure != "percent_benchmark")
    keys = pd.Series(index=estimates.index, dtype=object)
    items = keys.copy()
    columns = ["domain", "domain_value", "item", "item_value"]
    for position, *texts in estimates.loc[ours, columns].fillna("").itertuples(name=None):
        domain, value, item, item_value = texts
        pairs = domain_pairs(domain or "all", value, questionnaire=questionnaire)
        own = item_pairs(item, item_value, questionnaire=questionnaire)
        keys[position], items[position] = tuple(sorted((*pairs, *own))), own
    wave = estimates["wave"].fillna("")
    both = pd.Series(list(zip(wave, keys, strict=True)), index=estimates.index)
    is_share = is_counted(estimates)
    elsewhere = set(both[is_share & reasons.isna()])  # of a table left out, but in another too
    hidden = reasons.notna() & is_share & ~((reasons == TABLE) & both.isin(elsewhere))
    dependent = ours & both.isin(set(both[hidden])) & reasons.isna()
    over_time = is_kind(estimates, "waves") & measure.str.startswith("difference")
    dependent |= over_time & keys.isin(set(keys[hidden])) & reasons.isna()
    dependent |= (
        _of_hidden_total(estimates, hidden, items=items, questionnaire=questionnaire)
        & reasons.isna()
    )
    dependent |= _of_left_out_level(estimates, reasons) & reasons.isna()
    reasons = reasons.mask(dependent, DEPENDENT)
    return _hide_further_means(estimates, reasons, minimum=minimum)


def _of_hidden_total(
    estimates: pd.DataFrame, hidden: pd.Series, *, items: pd.Series, questionnaire: Questionnaire
) -> pd.Series:
    """Return gaps that give a hidden share back with the shown one, and tests of hidden cells.

    A gap to everybody else gives the total back. Where the axis leaves out people of a code that
    the population does not know, it is a gap to the other categories and gives those back. F has
    digits enough to tell which counts of four cells fit.
    """
    table, measure = estimates["table_id"].fillna(""), estimates["measure"].fillna("")
    wave, domain = estimates["wave"].fillna("").astype(str), estimates["domain"].fillna("")
    answer = pd.Series(list(zip(wave, items, strict=True)), index=estimates.index)
    line = pd.Series(list(zip(answer, domain, strict=True)), index=estimates.index)
    missing = questionnaire.missing
    odd = {n for n, codes in questionnaire.outside.items() if set(codes) - set(missing.get(n, ()))}
    is_apart = domain.map(lambda text: bool(odd & set(split(text))))
    is_total = hidden & (domain == "all")
    tells = answer.isin(set(answer[is_total])) | (is_apart & line.isin(set(line[hidden])))
    is_gap = (measure == "difference_points") & is_kind(estimates, "cross", "headline")
    tables = wave + "|" + table
    is_test = (measure == "rao_scott_f") & tables.isin(set(tables[hidden]))
    return (is_gap & tells) | is_test


def _of_left_out_level(estimates: pd.DataFrame, reasons: pd.Series) -> pd.Series:
    """Return model rows that count, with others, the few people of a level that was left out."""
    item, value = estimates["item"].fillna(""), estimates["item_value"].fillna("")
    gone = is_kind(estimates, "merges") & reasons.notna()
    outcomes = set(estimates.loc[gone, "domain_value"])
    left_out = set(zip(estimates.loc[gone, "domain_value"], item[gone], strict=True))
    about = outcome(estimates["table_id"].fillna(""))
    pairs = pd.Series(list(zip(about, item, strict=True)), index=estimates.index)
    return (about.isin(outcomes) & (value == "listwise_deletion")) | (
        is_kind(estimates, "sensitivity") & pairs.isin(left_out)
    )


def _hide_further_means(estimates: pd.DataFrame, reasons: pd.Series, *, minimum: int) -> pd.Series:
    is_number = estimates["measure"].isin(["mean", "total"]) & ~is_counted(estimates)
    line = estimates["wave"].fillna("") + "|" + estimates["measure"].fillna("")
    for name in ("table_id", "domain", "item", "item_value"):
        line = line + "|" + estimates[name].fillna("")
    reasons = reasons.copy()
    for _, rows in estimates[is_number & (estimates["domain"] != "all")].groupby(line):
        parts = rows["domain_value"].map(split)
        for place in range(len(parts.iloc[0])):
            rest = parts.map(lambda p, place=place: join(p[:place] + p[place + 1 :]))
            for _, mates in rows.groupby(rest):
                sizes, gone = mates["n_unweighted"], reasons[mates.index].notna()
                for another in sizes[~gone].sort_values(kind="stable").index:
                    if (gone.sum() >= 2 and sizes[gone].sum() >= minimum) or not gone.any():
                        break
                    reasons[another], gone[another] = SECONDARY, True
    return reasons


def find_left_out(estimates: pd.DataFrame, reasons: pd.Series) -> pd.Series:
    """Return why a row leaves the released plan, missing where it stays.

    Differences and tests of a hidden share would stand there empty, and so would an answer or a
    group that is hidden throughout its table. Whether a share is small or stands in for a small one
    plays no part: the reader sees no more than that it is hidden.

    Args:
        estimates: Rows of estimates.
        reasons: From `judge`, on the same index.

    Returns:
        A key of `LEFT_OUT` but "hidden", or missing, shape (n_rows,).
    """
    hidden, measure = reasons.notna(), estimates["measure"]
    tables = estimates["wave"].fillna("").astype(str) + "|" + estimates["table_id"]
    is_gap = (measure == "difference_points") & is_kind(estimates, "cross", "headline")
    is_compared = is_kind(estimates, "national", "waves")
    conditions = {
        "table": tables.isin(set(tables[reasons == TABLE])),
        "line": _in_hidden_lines(estimates, hidden),
        "gap": hidden & is_gap,
        "test": hidden & (measure == "rao_scott_f"),
        "comparison": hidden & is_compared & measure.str.startswith("difference"),
    }
    left_out = pd.Series(index=estimates.index, dtype="str")
    for reason, where in conditions.items():
        left_out[where & left_out.isna()] = reason
    return left_out


def count_left_out(shown: pd.DataFrame, left_out: pd.Series, *, wave: int) -> pd.DataFrame:
    """Return rows of table `gate`: how many figures are hidden, and left out by reason.

    Args:
        shown: Rows after `apply_reasons`.
        left_out: From `find_left_out`, on the same index.
        wave: Survey wave of the release.
    """
    why = left_out.mask(left_out.isna() & (shown["status"] == "suppressed"), "hidden")
    counts = why.value_counts().reindex(list(LEFT_OUT)).dropna()
    rows = pd.DataFrame({"item": counts.index, "estimate": counts.to_numpy(float)})
    labels = rows["item"].map(lambda reason: LEFT_OUT[reason]["ja"])
    rows = rows.assign(table_id="gate", measure="count", unit="rows", item_label=labels)
    everybody = {"wave": wave, "domain": "all", "domain_value": "all", "status": "published"}
    return conform(rows.assign(**everybody))


def _base_status(base: pd.Series, *, settings: Disclosure) -> np.ndarray:
    return np.select(
        [base < settings.base_reference, base < settings.base_low],
        ["reference", "low_base"],
        default="published",
    )


def hide_rows(estimates: pd.DataFrame, hidden: pd.Series) -> pd.DataFrame:
    """Return the table with these rows' numbers, marks and verdicts gone, and HIDDEN as reason.

    Args:
        estimates: Rows of estimates.
        hidden: True where a row is hidden, shape (n_rows,).
    """
    table = estimates.copy()
    hidden = pd.Series(hidden, index=table.index).fillna(value=False).astype(bool)
    for name in HIDDEN_COLUMNS:
        table[name] = table[name].mask(hidden)
    table.loc[hidden, "status"] = "suppressed"
    table.loc[hidden, "reason"] = HIDDEN
    return table


def hide_ledger(estimates: pd.DataFrame, *, threshold: int) -> pd.DataFrame:
    """Hide counts of rows under the threshold, and one more where a total would give one away.

    Rows read = analysed + quarantined, and quarantined = the sum over reasons. The number analysed
    is the base of every table, so it cannot be hidden; where the quarantined are few, the number
    read is hidden with them.

    Args:
        estimates: Rows of estimates; the ledger is `table_id` "ledger", `measure` "count", with
            `item_value` read, analysed, quarantined or a reason code.
        threshold: Smallest count shown; 0 is shown.
    """
    ledger = is_kind(estimates, "ledger") & (estimates["measure"] == "count")
    count, value = estimates["estimate"], estimates["item_value"]
    few = ledger & (count > 0) & (count < threshold)
    reasons = ledger & ~value.isin(("analysed", *_LEDGER_TOTALS))
    hidden = few & reasons
    secondary = pd.Series(data=False, index=estimates.index)
    totals = ledger & value.isin(_LEDGER_TOTALS)
    if hidden.sum() == 1 or (count[hidden].sum() < threshold and hidden.any()):
        others = count[reasons & ~hidden & (count > 0)]
        if len(others):
            secondary[others.idxmin()] = True
        else:
            secondary |= totals
    if (few & totals).any():
        secondary |= totals
    return hide_rows(estimates, hidden | secondary)


# --- rounding -------------------------------------------------------------------------------------


def round_published(estimates: pd.DataFrame) -> pd.DataFrame:
    """Round every figure half up as the page shows it, clean texts, blank the counts of cells.

    Percents, their differences and intervals: one decimal or none (`is_whole`); odds ratios,
    scores and ratios two; persons to the thousand (to the hundred under 10,000); p-values three,
    never below 0.001, which then means 0.001 or less.

    Args:
        estimates: Rows that passed the gate.

    Returns:
        The same rows, rounded; `n_cell` is blank.
    """
    table = conform(estimates)
    decimals = decimals_of(table)
    for name in ("estimate", "std_error", "lower", "upper"):
        table[name] = round_half_up(table[name].to_numpy(float), decimals=decimals)
    for name in ("p_value", "p_adjusted"):
        rounded = round_half_up(table[name].to_numpy(float), decimals=3)
        table[name] = np.maximum(rounded, P_VALUE_FLOOR)
    for name in ("df", "n_unweighted", "n_effective"):
        table[name] = round_half_up(table[name].to_numpy(float), decimals=0)
    table["n_cell"] = np.nan
    for name in ("item_label", "reason", "source"):
        table[name] = table[name].map(clean_text, na_action="ignore").astype("str")
    return table


# --- texts ----------------------------------------------------------------------------------------


def clean_text(text: object) -> str:
    """Return a text without control, bidirectional, zero-width and unassigned characters.

    One longer than 500 characters is cut, and says so.
    """
    text = str(text)
    if not text.isprintable():
        kept = (
            character
            for character in text
            if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
        )
        text = "".join(kept)
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - len(CUT_TEXT)] + CUT_TEXT


def _clean(texts: Any) -> Any:
    """Return texts cleaned, at any depth of lists and dictionaries."""
    if isinstance(texts, str):
        return clean_text(texts)
    if isinstance(texts, dict):
        return {key: _clean(value) for key, value in texts.items()}
    return [_clean(value) for value in texts] if isinstance(texts, list | tuple) else texts


# --- what the report may know beside the figures --------------------------------------------------


def describe_study(study: Study) -> dict[str, Any]:
    """Return the texts and labels that a report needs and that hold nothing about a person.

    Args:
        study: The wave.

    Returns:
        What published/about.json holds; docs/data_dictionary.md lists the keys.
    """
    config, wave = study.config, study.wave
    described = {
        "study": study.name,
        "year": study.year,
        "title": config.title,
        "area": config.area,
        "people": config.people,
        "is_synthetic": bool(study.synthetic_inputs),
        "synthetic_inputs": study.synthetic_inputs,
        "has_survey": study.has_survey,
        "texts": study.texts,
        "marks": config.marks.model_dump(),
        "disclosure": config.disclosure.model_dump(),
        "notes": list(config.notes),
        "min_cell_n": config.disclosure.base_minimum,
    }
    if not study.has_survey:
        return described
    return described | {
        "fieldwork": wave.fieldwork,
        "mode": config.design.mode,
        "population_date": wave.population_date,
        "population_note": wave.population_note,
        "weighting_label": config.weighting.label,
        "regions": [region.label for region in config.regions.values()],
        "variables": _describe_variables(study),
        "indicators": _describe_indicators(study),
        "base": config.tables.base,
        "axes": study.axes,
        "crosses": list(config.tables.crosses),
        "benchmark": _describe_benchmark(study),
        "report": config.report.model_dump(),
        "error_note": config.design.error_note,
    }


def _describe_variables(study: Study) -> dict[str, Any]:
    roles: dict[str, dict[str, str]] = {}
    codes = study.codebook.codes[study.codebook.codes["role"] != "answer"]
    for item, code, role in zip(codes["item"], codes["code"], codes["role"], strict=True):
        roles.setdefault(item, {})[code] = role
    return {
        name: {
            "label": item.label,
            "short_label": item.short_label,
            "kind": item.kind,
            "values": dict(item.labels),
            "nets": {net: list(codes) for net, (_, codes) in item.nets.items()},
            "roles": roles.get(name, {}),
        }
        for name, item in study.items.items()
    }


def _describe_indicators(study: Study) -> dict[str, Any]:
    described = {}
    for name, indicator in study.config.indicators.items():
        item = study.items[indicator.item]
        answers = "・".join(f"「{item.labels[code]}」" for code in indicator.codes)
        described[name] = {
            "label": indicator.label,
            "short_label": indicator.short_label or indicator.label,
            "definition": f"{item.label}：{answers}",
            "base": indicator.base,
            "item": indicator.item,
            "item_values": list(indicator.codes),
        }
    return described


def _describe_benchmark(study: Study) -> dict[str, Any] | None:
    benchmark = study.config.benchmark
    if benchmark is None:
        return None
    return {
        "label": benchmark.label,
        "year": study.wave.benchmark_year,
        "caveat": benchmark.caveat,
        "not_compared": list(read_benchmark(study).not_compared),
    }
