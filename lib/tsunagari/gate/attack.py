"""Can a hidden count be worked out from the very files that are released?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsunagari import estimates
from tsunagari.errors import DisclosureError
from tsunagari.estimates import KEY, is_kind, row_ids, split
from tsunagari.gate import bounds, hiding, primary
from tsunagari.gate.bounds import visible_nodes
from tsunagari.gate.linked import LinkedTables, is_counted, link_tables
from tsunagari.gate.questionnaire import Key, Questionnaire, is_no_answer
from tsunagari.gate.trace import (
    READ_AS_NUMBERS,
    find_untraced,
    list_figures,
    name_spot,
    read_release,
)
from tsunagari.study.files import read_table
from tsunagari.study.settings import Disclosure

# --- bounds on every hidden cell ------------------------------------------------------------------


def attack_estimates(
    published: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    settings: Disclosure,
    questionnaire: Questionnaire,
    archive: Iterable[pd.DataFrame] = (),
) -> list[str]:
    """Return what the released figures tell of hidden cells; empty when they tell too little.

    Args:
        published: Rows of the released estimates.csv.
        truth: private/estimates.csv: the true counts of what is shown.
        settings: Thresholds.
        questionnaire: What anybody may know of the variables.
        archive: estimates.csv of earlier releases.

    Returns:
        One line a problem, naming table and variables and never a number of people.
    """
    truth = estimates.conform(truth)
    problems = _strange_rows(published, truth, questionnaire=questionnaire)
    waves = truth.loc[is_counted(truth), "wave"].drop_duplicates()
    is_shown = row_ids(truth).isin(set(row_ids(published[published["status"] != "suppressed"])))
    for wave in waves:
        rows = _of_wave(truth, wave)
        linked = link_tables(rows, questionnaire=questionnaire)
        _, targets = primary.find_primary(linked, settings=settings, questionnaire=questionnaire)
        visible = np.zeros(len(linked.keys), dtype=bool)
        visible[0] = True
        for release in (published, *archive):
            visible |= visible_nodes(linked, rows, release=release)
            problems += _moved_bases(rows, release, settings=settings)
        for release in archive:
            both = rows[is_shown[rows.index]], _of_wave(release, wave)
            problems += _moved_counts(*both, settings=settings, questionnaire=questionnaire)
        for target in bounds.find_exposed(linked, targets, is_visible=visible):
            key = linked.keys[target.node]
            if not is_no_answer(key, questionnaire):
                problems.append(_name_tables(linked, target.node, rows))
    return sorted(set(problems))


def _strange_rows(
    published: pd.DataFrame, truth: pd.DataFrame, *, questionnaire: Questionnaire
) -> list[str]:
    """Return released rows that no notebook made, that hold numbers though hidden, or that lack."""
    problems = []
    names, known, is_gate = row_ids(published), row_ids(truth), is_kind(published, "gate")
    strange = ~names.isin(set(known)) & ~is_gate
    for table in published.loc[strange, "table_id"].drop_duplicates():
        problems.append(f"{table}: a row that is not in private/estimates.csv")
    hidden = published["status"] == "suppressed"
    counts = published[is_gate].groupby("item")["estimate"].sum()
    gone = {"hidden": hidden.sum(), "left out": (~known.isin(set(names))).sum()}
    said = {
        "hidden": counts.get("hidden", 0.0),
        "left out": counts.drop("hidden", errors="ignore").sum(),
    }
    is_old = not is_gate.any() and not gone["left out"]  # from before the gate left rows out
    if (said != gone and not is_old) or set(counts.index) - set(hiding.LEFT_OUT):
        problems.append("gate: another number of rows is hidden or left out than it says")
    numbers = [name for name in (*READ_AS_NUMBERS, "n_cell", "mark", "verdict")]
    leaking = hidden & published[numbers].notna().any(axis=1)
    for table in published.loc[leaking, "table_id"].drop_duplicates():
        problems.append(f"{table}: a hidden row keeps a number, a mark or a verdict")
    for (number, first), spans in questionnaire.bands.items():
        used = published["domain"].fillna("").map(lambda d, f=first: f in split(d))
        values = published.loc[used & (published["domain"] == first), "domain_value"]
        known = {*spans, *questionnaire.codes.get(first, ())}
        if not set(values.dropna()) <= known:
            problems.append(f"{first}: a band of {number} that the questionnaire does not know")
    return problems


def _facts(table: pd.DataFrame) -> list[str]:
    """Return who is counted in each row and how, whatever the weights are called."""
    names = table[[name for name in KEY if name != "weighting"]].fillna("").astype(str)
    return list(map("|".join, names.itertuples(index=False, name=None)))


def _moved_bases(rows: pd.DataFrame, release: pd.DataFrame, *, settings: Disclosure) -> list[str]:
    """Return tables whose base differs from a release's by fewer people than may be shown."""
    mine = rows.assign(key=_facts(rows)).drop_duplicates("key").set_index("key")["n_unweighted"]
    theirs = release[release["status"] != "suppressed"]
    theirs = theirs.assign(key=_facts(theirs)).drop_duplicates("key").set_index("key")
    both = mine.index.intersection(theirs.index)
    gap = (mine[both] - theirs.loc[both, "n_unweighted"]).abs()
    tables = theirs.loc[both[(gap > 0) & (gap < settings.base_minimum)], "table_id"]
    return [f"{table}: base differs by a few people {_EARLIER}" for table in sorted(set(tables))]


_EARLIER = "from an earlier release"


def _of_wave(table: pd.DataFrame, wave: Any) -> pd.DataFrame:
    return table[table["wave"].isna() if pd.isna(wave) else table["wave"] == wave]


def _moved_counts(
    shown: pd.DataFrame,
    earlier: pd.DataFrame,
    *,
    settings: Disclosure,
    questionnaire: Questionnaire,
) -> list[str]:
    """Return tables where what two releases show differs by fewer people than may be shown.

    Their difference is a table of those people. Who is counted decides, not in which table.
    """
    if not is_counted(shown).any() or not is_counted(earlier).any():
        return []
    now, then = (link_tables(rows, questionnaire=questionnaire) for rows in (shown, earlier))
    tables, before = set(), _counts_by_key(then)
    for key, counts in _counts_by_key(now).items():
        k = primary.threshold_of(key, settings=settings, questionnaire=questionnaire)
        old = before.get(key, {}).keys()
        moved = [n for n in counts.keys() - old
                 if any(abs(n - other) < k for other in old - counts.keys())]  # fmt: skip
        positions = [now.rows.get(counts[n], now.bases.get(counts[n], [])) for n in moved]
        tables |= {shown.loc[p, "table_id"] for each in positions for p in each}
    return [f"{table}: a count differs by a few people {_EARLIER}" for table in sorted(tables)]


def _counts_by_key(linked: LinkedTables) -> dict[Key, dict[float, int]]:
    """Return the counts of everybody who is counted, with their node; most have one."""
    found: dict[Key, dict[float, int]] = {}
    for key, node in linked.index.items():
        who = tuple(pair for pair in key if pair[0] != "#")
        found.setdefault(who, {})[linked.counts[node]] = node
    return found


def _name_tables(linked: LinkedTables, node: int, rows: pd.DataFrame) -> str:
    nodes = linked.rests.get(node) or [o for o, no in linked.options.items() if no == node]
    positions = linked.rows.get(node) or [p for each in nodes for p in linked.rows[each]]
    tables = sorted({str(rows.loc[p, "table_id"]) for p in positions})
    return f"{', '.join(tables)}: a hidden cell can be told too closely"


def attack_release(
    folder: Path,
    truth: pd.DataFrame,
    *,
    about: dict[str, Any],
    settings: Disclosure,
    questionnaire: Questionnaire,
    archive: Iterable[pd.DataFrame] = (),
) -> None:
    """Attack the files of a release.

    Args:
        folder: Release folder with estimates.csv, pages and workbook.
        truth: private/estimates.csv.
        about: published/about.json.
        settings: Thresholds.
        questionnaire: What anybody may know of the variables.
        archive: estimates.csv of earlier releases.

    Raises:
        DisclosureError: A hidden cell can be told, or a number was printed that did not pass the
            gate; the message names files and tables.
    """
    given = read_table(folder / "estimates.csv")
    published = estimates.conform(given)
    problems = attack_estimates(
        published, truth, settings=settings, questionnaire=questionnaire, archive=archive
    )
    if "row_id" in given and (given["row_id"] != published["row_id"]).any():
        problems.append("estimates.csv: a row_id that is not of its row")
    figures = list_figures(published, about)
    untraced = find_untraced(read_release(folder), figures)
    problems += sorted({name_spot(passage, token, figures=figures) for passage, token in untraced})
    corrected = [each for each in problems if each.endswith(_EARLIER)]
    if corrected == problems != []:
        raise DisclosureError("CORRECTED", n=len(problems), names="; ".join(problems[:8]))
    if problems:
        raise DisclosureError(
            "RECOVERABLE.attack_release", n=len(problems), names="; ".join(problems[:8])
        )
