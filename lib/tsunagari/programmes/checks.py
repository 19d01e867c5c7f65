"""Do the records agree with each other: totals, margins, ids, dates across tables."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from tsunagari.errors import show_rows
from tsunagari.programmes import schema
from tsunagari.programmes.cells import Context

TOTAL = "合計"
_MARGIN = ["event_id", "count_kind", "dimension"]
_BREAKDOWN = ["line_id", "channel", "period_start", "period_kind", "municipality_code"]


class Sifter:
    """Which rows of a table are set aside; the first reason that is given stays.

    Args:
        index: The table's rows.
    """

    def __init__(self, index: pd.Index) -> None:
        self.reason = pd.Series("", index=index, dtype="str")
        self.column = self.reason.copy()

    @property
    def is_free(self) -> pd.Series:
        """Rows without a reason so far."""
        return self.reason == ""

    def add(self, bad: pd.Series, reason: pd.Series | str, *, column: str = "") -> None:
        """Set these rows aside, where nothing has done so yet."""
        bad = bad.reindex(self.reason.index, fill_value=False).astype(bool) & self.is_free
        self.reason = self.reason.mask(bad, reason)
        self.column = self.column.mask(bad, column)

    def aside(self) -> pd.DataFrame:
        """Return the rows set aside: file_row (their index), column, reason."""
        out = ~self.is_free
        found = {"column": self.column[out], "reason": self.reason[out]}
        return pd.DataFrame(found).rename_axis("file_row").reset_index()


def note(
    code: str, rows: Iterable[int], *, column: str, file: str, notes: list[dict[str, str]]
) -> None:
    """Add a remark of texts.yaml on rows of a file, if there are any."""
    rows = list(rows)
    if rows:
        text = schema.texts()["notes"][code]
        told = {"file": file, "column": column, "n": len(rows), "rows": show_rows(rows)}
        notes.append({language: text[language].format(**told) for language in ("ja", "en")})


def cross_check(
    tables: dict[str, pd.DataFrame], *, context: Context, notes: list[dict[str, str]]
) -> list[pd.DataFrame]:
    """Set aside rows that other rows or tables contradict; `tables` keep the others.

    Args:
        tables: Tables of every file, index 0 to n - 1; the rows set aside are taken out of them.
        context: Fiscal year and lists.
        notes: Remarks are added here.

    Returns:
        Tables of rows set aside: table, file, file_row, column, reason.
    """
    asides = []
    rules = {
        "events": _events,
        "event_counts": _event_counts,
        "consultations": _consultations,
        "supporters": _supporters,
        "actions": _actions,
        "kpi_ledger": _kpi_ledger,
    }
    for name in schema.tables():  # parents stand before those that refer to them
        if name not in tables:
            continue
        table = tables[name]
        sifter = Sifter(table.index)
        key = list(schema.tables()[name].key)  # across files; within one it has been looked at
        sifter.add(table.duplicated(key, keep=False), "KEY_CONFLICT", column=_label(name, key[0]))
        if name in rules:
            rules[name](table, tables, sifter=sifter, context=context, notes=notes)
        _references(name, table, tables, sifter=sifter, notes=notes)
        aside = sifter.aside()
        places = table.loc[aside.pop("file_row"), ["file", "file_row"]].reset_index(drop=True)
        asides.append(pd.concat([places, aside], axis=1).assign(table=name))
        tables[name] = table[sifter.is_free].reset_index(drop=True)
    return asides


def _label(table: str, column: str) -> str:
    return schema.tables()[table].columns[column].label


def _references(
    name: str, table: pd.DataFrame, tables: dict, *, sifter: Sifter, notes: list[dict[str, str]]
) -> None:
    """Set aside rows whose required id its table, if there is one, lacks; else remark on it."""
    for column in schema.tables()[name].columns.values():
        parent, _, key = column.rule.partition(".")
        if column.kind not in ("ref", "refs") or parent not in tables:
            continue
        known = set(tables[parent][key]) | {""}
        said = table[column.name]
        bad = pd.Series([not set(text.split(";")) <= known for text in said], index=said.index)
        if column.required == "yes":
            sifter.add(bad, "REF_UNKNOWN", column=column.label)
            continue
        for file, rows in table[bad & sifter.is_free].groupby("file"):
            note("REF_ODD", rows["file_row"], column=column.label, file=str(file), notes=notes)


def _events(
    table: pd.DataFrame, _tables: dict, *, sifter: Sifter, context: Context, **_: object
) -> None:
    held = ~table["state"].isin(["予定", "中止", "延期"])
    future = held & (table["start_date"] > context.as_of)
    sifter.add(future, "DATE_FUTURE", column=_label("events", "start_date"))


def _event_counts(
    table: pd.DataFrame, _tables: dict, *, sifter: Sifter, notes: list, **_: object
) -> None:
    """Parts add up to their total, and margins to one another, where units allow a sum."""
    sums, lines = [], {}
    for (event, kind, dimension), rows in table.groupby(_MARGIN, sort=False):
        units = set(rows["unit"])
        if (rows["is_approximate"] == "有").any():
            continue
        if len(units) > 1 or "不明" in units:
            if dimension != TOTAL:
                file, label = rows["file"].iloc[0], _label("event_counts", "unit")
                note("UNITS_DIFFER", rows["file_row"], column=label, file=file, notes=notes)
            continue
        sums.append((event, kind, units.pop(), dimension, rows["count"].sum()))
        lines[event, kind, dimension] = rows.index
    margins = pd.DataFrame(sums, columns=["event", "kind", "unit", "dimension", "sum"])
    for (event, kind, _unit), part in margins.groupby(["event", "kind", "unit"]):
        total = part.loc[part["dimension"] == TOTAL, "sum"]
        parts = part[part["dimension"] != TOTAL]
        if len(total):
            bad, reason = parts[parts["sum"] != total.iloc[0]], "TOTAL_MISMATCH"
        else:
            bad, reason = parts[parts["sum"] != parts["sum"].min()], "MARGIN_MISMATCH"
            bad = parts if len(bad) else bad
        for dimension in bad["dimension"]:
            here = pd.Series(True, index=lines[event, kind, dimension])
            sifter.add(here, reason, column=_label("event_counts", "count"))


def _consultations(
    table: pd.DataFrame, tables: dict, *, sifter: Sifter, context: Context, **_: object
) -> None:
    """Categories are known; a breakdown adds up to the conversations of its period."""
    listed = {name: set(known) for name, known in schema.declared()["dimensions"].items()}
    listed["内容"] = set(tables["categories"]["code"]) if "categories" in tables else set()
    listed["内容"] = (listed["内容"] or set(map(str, context.lists["category"]))) | {"不明"}
    for dimension, known in listed.items():
        bad = (table["dimension"] == dimension) & ~table["category"].isin(known)
        sifter.add(bad, "CODE_UNKNOWN", column=_label("consultations", "category"))
    is_total = table["dimension"] == TOTAL
    totals = table[is_total & sifter.is_free].set_index(_BREAKDOWN)["conversations"]
    parts = table[~is_total & sifter.is_free]
    if parts.empty or totals.empty:
        return
    by = [*_BREAKDOWN, "dimension"]
    grouped = parts.groupby(by, sort=False)
    found = grouped.agg(
        parts=("conversations", "sum"),
        known=("conversations", "count"),
        unknown=("unknown_count", "max"),
        multiple=("categories_multiple", "max"),
    )
    wanted = totals[~totals.index.duplicated()].reindex(found.index.droplevel("dimension"))
    found["total"] = wanted.to_numpy()
    found["parts"] += found["unknown"].fillna(0)
    multiple = found["multiple"] == "有"
    wrong = np.where(multiple, found["parts"] < found["total"], found["parts"] != found["total"])
    bad = wrong & found["total"].notna() & (found["known"] > 0)
    row_bad = bad.to_numpy()[grouped.ngroup()]
    sifter.add(
        pd.Series(row_bad, index=parts.index),
        "TOTAL_MISMATCH",
        column=_label("consultations", "conversations"),
    )


def _supporters(table: pd.DataFrame, _tables: dict, *, sifter: Sifter, **_: object) -> None:
    """A cumulative count never falls, whoever organised the course."""
    said = table.dropna(subset=["trained_cumulative"]).sort_values("as_of", kind="stable")
    falls = said["trained_cumulative"] < said["trained_cumulative"].cummax()
    sifter.add(falls, "NOT_MONOTONE", column=_label("supporters", "trained_cumulative"))


def _actions(
    table: pd.DataFrame, tables: dict, *, sifter: Sifter, notes: list, **_: object
) -> None:
    """An action opens with its meeting and closes after it."""
    if "meetings" in tables:
        held = tables["meetings"].drop_duplicates("meeting_id").set_index("meeting_id")["held_on"]
        meeting_day = pd.Series(held.reindex(table["meeting_id"]).array, index=table.index)
        opened = table["opened_on"].fillna(meeting_day)
        early = table["closed_on"] < opened
        sifter.add(early, "DATE_ORDER", column=_label("actions", "closed_on"))
        table["opened_on"] = opened
    undated = table[(table["state"] == "完了") & table["closed_on"].isna()]
    for file, rows in undated.groupby("file"):
        note(
            "NO_CLOSED_DATE",
            rows["file_row"],
            column=_label("actions", "state"),
            file=str(file),
            notes=notes,
        )


def _kpi_ledger(table: pd.DataFrame, _tables: dict, *, sifter: Sifter, **_: object) -> None:
    """A percentage lies between 0 and 100, the one aimed at too."""
    for name in ("actual_value", "target_value", "baseline_value"):
        outside = (table["unit"] == "%") & ((table[name] < 0) | (table[name] > 100))
        sifter.add(outside, "PERCENT_RANGE", column=_label("kpi_ledger", name))
