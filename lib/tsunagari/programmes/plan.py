"""What should next year do, and what became of this year's plan: 現状, 課題, 目標, 対策."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tsunagari.estimates import WHOLE_PERCENT_BASE, round_half_up
from tsunagari.programmes import schema
from tsunagari.programmes.ledger import FIGURE, NOT_JUDGED
from tsunagari.programmes.ledger import words as ledger_words
from tsunagari.programmes.records import Records
from tsunagari.study.survey import Study

PROPOSED, EDITED = "規則による案", "担当課の案"
TEXTS = ("current", "issue", "goal", "measure")
YES, NO = "有", "無"


@cache
def rules() -> dict[str, Any]:
    """Return plan.yaml."""
    return yaml.safe_load((schema.ROOM / "plan.yaml").read_text(encoding="utf-8"))


def columns() -> list[str]:
    """Return the public columns of the plan in order."""
    return [c.name for c in schema.tables()["plan"].columns.values() if c.is_public]


def propose(ledger: pd.DataFrame, *, year: int) -> pd.DataFrame:
    """Return a proposed row for each indicator whose verdict, or lack of one, asks for something.

    Args:
        ledger: What `ledger.build` returned.
        year: The wave; the plan is for the fiscal year after it.

    Returns:
        Columns of the declared plan and `rank` (NaN: not for the meeting), one row an indicator.
    """
    reasons = {text.replace("{n}", ""): n for n, text in ledger_words()["not_judged"].items()}
    rows = []
    for one in ledger.to_dict("records"):
        if one["verdict"] == NOT_JUDGED:
            reason = re.sub(r"\d+", "", one["verdict_reason"])
            rule = rules()["reasons"].get(reasons.get(reason, ""))
        else:
            rule = rules()["verdicts"][one["verdict"]]
        if rule:
            rows.append(_proposal(one, rule, year=year))
    return pd.DataFrame(rows, columns=["fiscal_year", *columns(), "rank"]).astype({"rank": float})


def _proposal(one: dict[str, Any], rule: dict[str, Any], *, year: int) -> dict[str, Any]:
    end = pd.Timestamp(year + 2, 3, 31)  # of next fiscal year
    due = one["target_on"] if one["target_on"] > pd.Timestamp(year + 1, 3, 31) else end
    told = {
        "name": one["indicator_name"],
        "value": _amount(one["actual_value"], one),
        "verdict": one["verdict_label"],
        "reason": one["verdict_reason"].removesuffix("ため") + "ため、",
        "now": one["verdict_reason"].partition("。")[0] + "。",
        "target": _amount(one["target_value"], one, alone=True),
        "or_better": "" if one["target_value"] == 0 else rules()["or_better"][one["direction"]],
        "gap": _amount(abs(one["target_value"] - one["actual_value"]), one, alone=True, gap=True),
        "due": f"{due:%Y年%-m月}",
    }
    row = dict.fromkeys(columns(), "")
    row |= {name: rule[name].format(**told) for name in TEXTS}
    return row | {
        "fiscal_year": year + 1,
        "plan_id": f"P-{one['kpi_id']}",
        "programme_id": one["programme_id"],
        "kpi_ids": one["kpi_id"],
        "goal_indicator": one["kpi_id"],
        "goal_value": one["target_value"],
        "goal_on": due,
        "direction": rule["direction"],
        "origin": PROPOSED,
        "rank": rule.get("rank", np.nan),
    }


def _amount(value: float, one: dict[str, Any], *, alone: bool = False, gap: bool = False) -> str:
    """Return a value with its unit, and unless `alone` with its interval or the lack of n."""
    unit = "" if one["unit"] == "不明" else one["unit"]
    is_few = unit == "%" and not alone and one["base_n"] < WHOLE_PERCENT_BASE  # as its row shows
    unit = "ポイント" if gap and unit == "%" else unit

    def written(number: float) -> str:
        rounded = round_half_up(np.array([number]), decimals=1 - is_few)[0]
        return f"{rounded:,.1f}".removesuffix(".0") + unit

    text = "" if np.isnan(value) else written(value)
    if alone or np.isnan(value):
        return text
    text = ("約" if one["is_approximate"] == YES else "") + text
    if not np.isnan(one["ci_low"]):
        return f"{text}（95%信頼区間 {written(one['ci_low'])}〜{written(one['ci_high'])}）"
    return text


def merge(proposed: pd.DataFrame, edited: pd.DataFrame, *, year: int) -> pd.DataFrame:
    """Return the plan for the year after `year`: each proposal, beside it what people made of it.

    An edited row's blank texts are those of its proposal, and so is its rank. Put to the meeting
    are the rows that people marked; where they marked fewer than three, rows by rank fill up, those
    of programmes that are not before the meeting yet first. A proposal that people edited is not
    put beside their row, nor is a row that they marked 無.

    Args:
        proposed: From `propose`.
        edited: The records' plan; a blank fiscal_year is next year.
        year: The wave.

    Returns:
        fiscal_year and the declared columns, proposals and edits of a plan_id together, and `rank`.
    """
    mine = edited[edited["fiscal_year"].fillna(year + 1) == year + 1]
    mine = mine[[*columns()]].assign(fiscal_year=year + 1, origin=EDITED)
    suggested = proposed.set_index("plan_id")
    for name in (*TEXTS, "goal_indicator", "programme_id", "kpi_ids", "direction"):
        own = suggested[name].to_dict()
        filled = [
            text or own.get(key, "") for key, text in zip(mine["plan_id"], mine[name], strict=True)
        ]
        mine[name] = pd.Series(filled, index=mine.index, dtype="str")
    mine["rank"] = np.nan
    for name, kind in (("goal_value", float), ("goal_on", "datetime64[ns]"), ("rank", float)):
        own = pd.Series([suggested[name].get(key) for key in mine["plan_id"]], index=mine.index)
        mine[name] = mine[name].fillna(own.astype(kind))
    both = pd.concat([proposed, mine], ignore_index=True) if len(mine) else proposed.copy()
    order = {name: place for place, name in enumerate(dict.fromkeys(both["plan_id"]))}
    both = both.sort_values(
        "plan_id", key=lambda ids: ids.map(order), kind="stable", ignore_index=True
    )
    return both.assign(for_decision=_for_decision(both))


def _for_decision(plan: pd.DataFrame) -> pd.Series:
    chosen = (plan["origin"] == EDITED) & (plan["for_decision"] == YES)
    known = plan[chosen]
    rest = plan.drop_duplicates("plan_id", keep="last")  # people's row where they edited
    rest = rest[rest["rank"].notna() & (rest["for_decision"] != NO)]
    rest = rest[~rest["plan_id"].isin(known["plan_id"])].sort_values("rank", kind="stable")
    again = rest["programme_id"].isin(known["programme_id"]) | rest["programme_id"].duplicated()
    n_more = max(rules()["at_most"] - int(chosen.sum()), 0)
    more = again.sort_values(kind="stable").index[:n_more]
    return pd.Series(np.where(chosen | plan.index.isin(more), YES, NO), index=plan.index)


def look_back(last_plan: pd.DataFrame, records: Records, *, ledger: pd.DataFrame) -> pd.DataFrame:
    """Return what was planned for this year, whether it was done, and what was measured.

    Args:
        last_plan: What `merge` made last year; only what people took over was a plan.
        records: This year's; its plan rows of this fiscal year tell what was done.
        ledger: This year's.

    Returns:
        plan_id, programme_id, goal, measure, goal_value, goal_on, owner, done_state, done_note,
        measured_kpi, actual_value, unit, verdict_label; one row a plan.
    """
    year = records.as_of.year - 1
    planned = last_plan[last_plan["origin"] == EDITED].set_index("plan_id")
    told = records.table("plan")
    told = told[told["fiscal_year"] == year].set_index("plan_id")
    table = planned.drop(columns=["done_state", "done_note", "measured_kpi"])
    table = table.join(told[["done_state", "done_note", "measured_kpi"]])
    table["done_state"] = table["done_state"].fillna("").replace("", "未記入")
    table["done_note"] = table["done_note"].fillna("")
    own = table["measured_kpi"].fillna("")
    table["measured_kpi"] = own.where(own != "", table["goal_indicator"])
    now = ledger.set_index("kpi_id")
    for name in ("indicator_name", "actual_value", "unit", "verdict_label"):
        table[name] = table["measured_kpi"].map(now[name])
    kept = "programme_id goal measure goal_value goal_on owner done_state done_note measured_kpi"
    shown = [*kept.split(), "indicator_name", "actual_value", "unit", "verdict_label"]
    return table[shown].reset_index()


def follow_gate(study: Study, hidden: set[str]) -> list[str]:
    """Take out of ledger, plan and look-back what rests on survey figures that the gate hid.

    Notebook 06 has hidden what its own tables ask for; the gate, which sees every table, may hide
    more. The indicator loses numbers and verdict, its proposal goes, its look-back is blank.

    Args:
        study: The wave; published/ledger.csv, plan.csv and plan_review.csv are written anew.
        hidden: Row ids of what the gate hid.

    Returns:
        The indicators; their `kpi` rows of `ledger.FOLLOWING` are to be hidden too.
    """
    if not (study.processed_dir / "published/ledger.csv").exists():
        return []
    tables = {n: study.load(f"published/{n}.csv") for n in ("ledger", "plan", "plan_review")}
    table, plan, review = tables.values()
    gone = table["figure_row_id"].isin(hidden)
    if not gone.any():
        return []
    kpis = table.loc[gone, "kpi_id"].tolist()
    reason = ledger_words()["not_judged"]["hidden"]
    label = ledger_words()["verdicts"][NOT_JUDGED].format(reason=reason)
    table.loc[gone, [*FIGURE, "achievement_pct"]] = np.nan
    table.loc[gone, ["verdict", "verdict_label", "verdict_reason"]] = [NOT_JUDGED, label, reason]
    is_proposed = plan["goal_indicator"].isin(kpis) & (plan["origin"] == PROPOSED)
    measured = review["measured_kpi"].isin(kpis)
    review.loc[measured, ["actual_value", "verdict_label"]] = [np.nan, label]
    for name, kept in (("ledger", table), ("plan", plan[~is_proposed]), ("plan_review", review)):
        study.save(f"published/{name}.csv", kept)
    return kpis
