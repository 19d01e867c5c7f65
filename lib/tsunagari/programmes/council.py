"""Did the council meet, who belongs to it, and what became of what it decided?"""

from __future__ import annotations

import pandas as pd

from tsunagari.programmes.records import Records
from tsunagari.programmes.rows import finish, row, share, source_of, word

DONE, DROPPED = "完了", "中止"
MEETING = "meeting"
ATTENDANCE, ACTIONS_DONE = "attendance", "actions_done"


def measure(records: Records, *, year: int) -> pd.DataFrame:
    """Return meetings, attendance (in all and of each), members by kind and region, actions done.

    They count organisations and actions, not people: no interval, and nothing to hide. Of actions
    only those whose due date has come by the end of the year can have been missed.

    Args:
        records: Tables meetings, members, actions.
        year: The wave.

    Returns:
        Rows of estimates, table_id programme_council.
    """
    meetings, members, actions = map(records.table, ("meetings", "members", "actions"))
    rows = []
    if len(meetings):
        told = {"source": source_of(meetings)}
        rows.append(
            row("meetings", "1", measure="count", unit="calls", estimate=float(len(meetings)))
            | {"item_label": word("meetings"), **told}
        )
        both = meetings.dropna(subset=["attended_orgs", "members_total"])
        rows.append(
            _ratio(ATTENDANCE, both["attended_orgs"].sum(), both["members_total"].sum(), **told)
        )
        for one in both.to_dict("records"):
            where = {"domain": MEETING, "domain_value": one["meeting_id"], **told}
            rows.append(_ratio(ATTENDANCE, one["attended_orgs"], one["members_total"], **where))
    if len(members):
        there = members[members["left_on"].isna()]
        told = {"measure": "count", "unit": "organisations", "source": source_of(members)}
        rows.append(
            row("members", "1", estimate=float(len(there)), item_label=word("members"), **told)
        )
        for name in ("kind", "region"):
            for value, n in there[name].replace("", "不明").value_counts().items():
                rows.append(
                    row(f"members_{name}", value, estimate=float(n), item_label=value, **told)
                )
    if len(actions):
        due = actions[(actions["state"] != DROPPED) & (actions["due_on"] <= records.as_of)]
        n_done = (due["state"] == DONE).sum()
        rows.append(_ratio(ACTIONS_DONE, n_done, len(due), source=source_of(actions)))
    return finish(rows, table="council", year=year)


def _ratio(item: str, count: float, n: float, **told: str) -> dict:
    """Return a share of organisations or actions: its count stands in the reason, not as people."""
    figure = share(item, "1", count=count, n=n, confidence=None, item_label=word(item), **told)
    said = word("of").format(count=int(count), n=int(n))
    return {name: v for name, v in figure.items() if not name.startswith("n_")} | {"reason": said}


def follow_up(records: Records, *, last: Records | None) -> pd.DataFrame:
    """Return last year's open actions and what became of each by this year's records, then the new.

    An action that was done by the end of last year is not open; one that this year's table does not
    hold keeps last year's state.

    Args:
        records: This year's.
        last: Last year's, if there are any.

    Returns:
        Columns is_from_last, action_id, what, owner, due_on, state, closed_on, result, is_overdue
        (open after its due date at the end of this year).
    """
    columns = ["action_id", "what", "owner", "due_on", "state", "closed_on", "result"]
    now = records.table("actions")
    before = (last or records).table("actions")
    before = before[~before["state"].isin([DONE, DROPPED])] if last else before.iloc[:0]
    gone = before[~before["action_id"].isin(now["action_id"])]
    table = pd.concat([now, gone], ignore_index=True)[columns]
    table.insert(0, "is_from_last", table["action_id"].isin(before["action_id"]))
    table = table.sort_values("is_from_last", ascending=False, kind="stable", ignore_index=True)
    return table.assign(is_overdue=is_overdue(table, records.as_of))


def is_overdue(actions: pd.DataFrame, as_of: pd.Timestamp) -> pd.Series:
    """Return which actions are still open after their due date."""
    return ~actions["state"].isin([DONE, DROPPED]) & (actions["due_on"] < as_of)
