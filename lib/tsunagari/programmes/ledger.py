"""How far is each indicator from its target: the ledger with its verdicts in words."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tsunagari.estimates import conform
from tsunagari.programmes import schema
from tsunagari.programmes.records import Records
from tsunagari.study.settings import Disclosure
from tsunagari.study.survey import Study

NOT_JUDGED = "not_judged"
OPEN, UNDERWAY = "open", "underway"  # no grade: target in the interval; before the target's date
_MEASURES = ("share", "percent", "mean_change", "mean", "count")
_VERDICT = {"achievement_pct": float} | dict.fromkeys(
    ("verdict", "verdict_label", "verdict_reason"), "str"
)
FIGURE = {  # columns that a row of estimates fills
    "actual_value": "estimate", "base_n": "n_unweighted", "ci_low": "lower", "ci_high": "upper"
}  # fmt: skip
_UP, _DOWN, _NONE = "上向き", "下向き", "なし"


@cache
def words() -> dict[str, Any]:
    """Return ledger.yaml."""
    return yaml.safe_load((schema.ROOM / "ledger.yaml").read_text(encoding="utf-8"))


def keys_of(figures: pd.DataFrame) -> pd.Series:
    """Return the ledger's name of each figure: table_id:item, and :item_value where it is not 1.

    Example:
        >>> rows = pd.DataFrame({"table_id": ["headline"], "item": ["lonely"], "item_value": ["1"]})
        >>> keys_of(rows).tolist()
        ['headline:lonely']
    """
    value = figures["item_value"].fillna("1").astype(str)
    own = figures["table_id"].astype(str) + ":" + figures["item"].astype(str)
    return own + (":" + value).where(value != "1", "")


def pick(records: Records, figures: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of estimates that the ledger names, of everybody, all waves."""
    keys = set(records.table("kpi_ledger")["figure_key"]) - {""}
    of_all = (figures["domain"] == "all") & figures["measure"].isin(_MEASURES)
    found = figures[of_all & keys_of(figures).isin(keys)]
    # A share of people whose count is shown too stands twice: the share is the figure.
    order = found["measure"].map(_MEASURES.index)
    found = found.assign(key=keys_of(found), order=order).sort_values("order", kind="stable")
    return found.drop_duplicates(["key", "wave"]).drop(columns=["key", "order"])


def earlier_indicators(study: Study, figures: pd.DataFrame) -> pd.DataFrame:
    """Return the previous wave's indicators, as headline rows, out of the tables of waves."""
    if study.wave.previous is None:
        return figures.iloc[:0]
    rows = figures[figures["wave"].astype(str) == str(study.wave.previous)]
    rows = rows[(rows["domain"] == "all") & (rows["measure"] == "percent")]
    found = []
    for name, indicator in study.config.indicators.items():
        nets = study.items[indicator.item].nets
        same = [net for net, (_, codes) in nets.items() if set(codes) == set(indicator.codes)]
        value = indicator.codes[0] if len(indicator.codes) == 1 else next(iter(same), None)
        row = rows[(rows["item"] == indicator.item) & (rows["item_value"] == value)].head(1)
        found.append(row.assign(table_id="headline", item=name, item_value="1"))
    return pd.concat(found) if found else figures.iloc[:0]


def build(
    records: Records,
    figures: pd.DataFrame,
    *,
    year: int,
    last: Records | None = None,
    settings: Disclosure | None = None,
    exact: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the ledger: declared rows, their figures, last year's, achievement and verdict.

    A row with a figure key takes value, n and interval from that row of `figures`, which passed the
    gate; nothing is typed again. A count of fewer people than the threshold that is not published
    already is hidden. Nothing is summed: `overlaps_with` says which figures count the same people.

    Args:
        records: This year's.
        figures: Rows of estimates of this wave and the last, hidden and rounded as published.
        year: The wave.
        last: Last year's records, for values that were typed.
        settings: The study's thresholds.
        exact: The programmes' figures before rounding: a share whose count and base are published
            is judged by them, not by what was rounded.

    Returns:
        Public columns of kpi_ledger and those `computed` in ledger.yaml, one row an indicator.
    """
    settings = settings or Disclosure()
    table = records.table("kpi_ledger").reset_index(drop=True)
    found = pick(records, figures).assign(key=lambda rows: keys_of(rows))
    now = found[found["wave"].astype(str) == str(year)].set_index("key")
    before = found[found["wave"].astype(str) == str(year - 1)].set_index("key")
    keyed = table["figure_key"].isin(now.index)
    for name, source in FIGURE.items():
        table[name] = table[name].where(~keyed, table["figure_key"].map(now[source]))
    table["figure_row_id"] = table["figure_key"].map(now["row_id"].to_dict().get)
    is_small = (table["unit"] == "人") & table["actual_value"].between(1, settings.base_minimum - 1)
    hidden = (is_small & ~table["file"].str.endswith("_published.csv")) | table["figure_key"].map(
        now["status"] == "suppressed"
    ).eq(other=True)
    table.loc[hidden, list(FIGURE)] = np.nan
    typed = pd.Series(dtype=float)
    if last is not None:
        typed = last.table("kpi_ledger").set_index("kpi_id")["actual_value"]
    table["previous_value"] = table["figure_key"].map(before["estimate"]).astype(float)
    table["previous_value"] = table["previous_value"].fillna(table["kpi_id"].map(typed))
    meant = table.copy()
    if exact is not None:
        counted = _counted(exact, year=year)
        for name in ("actual_value", "ci_low", "ci_high"):
            own = meant["figure_key"].map(counted[FIGURE[name]]).where(keyed & ~hidden)
            meant[name] = own.astype(float).fillna(meant[name])
    judged = [
        _judge(row, is_hidden=gone, as_of=records.as_of, settings=settings)
        for row, gone in zip(meant.to_dict("records"), hidden, strict=True)
    ]
    verdicts = pd.DataFrame(judged, index=table.index, columns=list(_VERDICT))
    table = table.assign(**verdicts.astype(_VERDICT).to_dict("series"))
    public = [c.name for c in schema.tables()["kpi_ledger"].columns.values() if c.is_public]
    return table[[*public, *words()["computed"]]]


def _counted(exact: pd.DataFrame, *, year: int) -> pd.DataFrame:
    """Return this year's shares of a known count and base, by key: both are published."""
    rows = exact[(exact["wave"].astype(str) == str(year)) & (exact["domain"] == "all")]
    is_counted = rows["n_cell"].notna() | rows["reason"].astype(str).str.contains(r"\d")
    rows = rows[(rows["measure"] == "percent") & is_counted]
    return rows.assign(key=keys_of(rows)).drop_duplicates("key").set_index("key")


FOLLOWING = ("achievement", "gap")  # measures that are computed from the actual figure
_NUMBERS = {
    "actual": "actual_value",
    "baseline": "baseline_value",
    "target": "target_value",
    "previous": "previous_value",
    "achievement": "achievement_pct",
    "gap": "gap",
}


def figures(ledger: pd.DataFrame, *, year: int) -> pd.DataFrame:
    """Return the ledger's numbers as rows of estimates, so that the report may print them.

    Args:
        ledger: What `build` returned.
        year: The wave.

    Returns:
        table_id kpi; `item` the indicator, `measure` actual (unless `figure_row_id` names its row),
        baseline, target, previous, achievement, gap (target to actual, without sign). What is
        missing or hidden has no row.
    """
    table = ledger.assign(gap=(ledger["target_value"] - ledger["actual_value"]).abs())
    units = schema.declared()["units"]
    found = []
    for measure, column in _NUMBERS.items():
        is_new = table["figure_row_id"].isna() if measure == "actual" else True
        part = table[table[column].notna() & is_new]
        rows = pd.DataFrame({
            "wave": str(year), "table_id": "kpi", "measure": measure, "item": part["kpi_id"],
            "unit": part["unit"].map(units).fillna("unknown"), "estimate": part[column],
            "item_label": part["indicator_name"], "source": part["source"],
        })  # fmt: skip
        if measure == "achievement":
            rows["unit"] = "percent"
        if measure == "gap":
            rows["unit"] = rows["unit"].replace("percent", "points")
        if measure == "actual":
            names = {"n_unweighted": "base_n", "lower": "ci_low", "upper": "ci_high"}
            rows = rows.assign(**{name: part[own] for name, own in names.items()})
        found.append(rows)
    told = {"item_value": "1", "domain": "all", "domain_value": "all", "weighting": "records"}
    return conform(pd.concat(found, ignore_index=True).assign(**told))


def achievement(row: dict[str, Any]) -> float:
    """Return how much of the way to the target was gone, in percent; NaN where it has no meaning.

    Upwards: actual of target. Downwards: (baseline - actual) of (baseline - target), since less of
    a small share is not "more than 100 %" of it.

    Example:
        >>> values = {"baseline_value": 8.0, "target_value": 6.0, "actual_value": 7.0}
        >>> achievement({"direction": "下向き"} | values)
        50.0
    """
    actual, target, base = row["actual_value"], row["target_value"], row["baseline_value"]
    if row["direction"] == _UP:
        return 100 * actual / target if target > 0 else np.nan
    return 100 * (base - actual) / (base - target) if base > target else np.nan


def _why_not(row: dict[str, Any], *, is_hidden: bool, settings: Disclosure) -> str:
    """Return the first reason not to judge, "" where there is none."""
    is_share = row["unit"] == "%"
    reasons = {
        "qualitative": row["goal_kind"] == "定性",
        "hidden": is_hidden,
        "no_actual": np.isnan(row["actual_value"]),
        "unit_unknown": row["unit"] == "不明",
        "no_direction": row["direction"] == _NONE,
        "direction_blank": row["direction"] == "",
        "no_definition": row["definition"] == "",
        "no_base": row["base"] == "",
        "approximate": row["is_approximate"] == "有",
        "overlap": row["overlaps_with"] != "",
        "n_unknown": is_share and np.isnan(row["base_n"]) and row["base_kind"] in _OF_PEOPLE,
        "few": row["base_n"] < settings.base_reference,
        "no_target": np.isnan(row["target_value"]),
    }
    return next((name for name, holds in reasons.items() if holds), "")


_OF_PEOPLE = ("調査", "催し後アンケート", "")  # a share of answers needs their number


def _judge(
    row: dict[str, Any], *, is_hidden: bool, as_of: pd.Timestamp, settings: Disclosure
) -> dict[str, Any]:
    """Return achievement, verdict, its words and its reason for one row."""
    said = words()
    why_not = _why_not(row, is_hidden=is_hidden, settings=settings)
    if why_not:
        reason = said["not_judged"][why_not].format(n=settings.base_reference)
        label = said["verdicts"][NOT_JUDGED].format(reason=reason)
        judged = {"verdict": NOT_JUDGED, "verdict_label": label, "verdict_reason": reason}
        return {"achievement_pct": np.nan} | judged
    now = grade(row)
    is_before = row["target_on"] > as_of
    verdict = UNDERWAY if is_before else now
    date = "" if pd.isna(row["target_on"]) else f"{row['target_on']:%Y年%-m月}"
    notes = ["no_interval" if np.isnan(row["ci_low"]) else "interval"]
    if row["direction"] == _DOWN:
        notes.append("downwards")
    word = "below_unknown" if now == "below" and np.isnan(row["baseline_value"]) else now
    reason = "。".join(said["notes"][name] for name in notes)
    if is_before:
        reason = said["notes"]["before_date"].format(now=said["verdicts"][word]) + reason
    no_way = verdict in (OPEN, UNDERWAY) or (row["direction"] == _DOWN and now == "below")
    return {
        "achievement_pct": np.nan if no_way else round(achievement(row), 1),
        "verdict": verdict,
        "verdict_label": said["verdicts"][UNDERWAY if is_before else word].format(date=date),
        "verdict_reason": reason,
    }


def grade(row: dict[str, Any]) -> str:
    """Return the grade of a row that can be judged, by its interval where it has one.

    One rule for both sides of the target: exceeded, the whole interval is better; open, the
    interval holds the target; where the whole interval is worse, near if achievement is near_pct
    or more, improved if the whole interval is better than the baseline, else below. A figure
    without interval is its own interval, and met where it is the target.

    Args:
        row: direction, actual_value, ci_low, ci_high, target_value, baseline_value.

    Example:
        >>> row = {"direction": "上向き", "baseline_value": 60.0, "target_value": 80.0}
        >>> grade(row | {"actual_value": 82.0, "ci_low": 78.0, "ci_high": 86.0})
        'open'
    """
    sign = -1.0 if row["direction"] == _DOWN else 1.0
    actual, target, base = (
        sign * row[name] for name in ("actual_value", "target_value", "baseline_value")
    )
    low, high = sorted((sign * row["ci_low"], sign * row["ci_high"]))
    if np.isnan(low) or np.isnan(high):
        low = high = actual
    if low > target:
        return "exceeded"
    if high >= target:
        return OPEN if low < high else "met"
    if achievement(row) >= words()["near_pct"]:
        return "near"
    return "improved" if low > base else "below"


def links(records: Records, ledger: pd.DataFrame) -> pd.DataFrame:
    """Return the logic model: every link between indicators with both names and stages.

    Returns:
        from_kpi, to_kpi, why, no_multi_stage_reason, from_name, to_name, from_stage, to_stage.
    """
    table = records.table("kpi_links")[["from_kpi", "to_kpi", "why", "no_multi_stage_reason"]]
    names = ledger.set_index("kpi_id")
    for end in ("from", "to"):
        for column, short in (("indicator_name", "name"), ("stage", "stage")):
            table = table.assign(**{f"{end}_{short}": table[f"{end}_kpi"].map(names[column])})
    return table


def summary(ledger: pd.DataFrame) -> pd.DataFrame:
    """Return how many indicators of each layer got which verdict, `verdict` in columns."""
    table = pd.crosstab(ledger["layer"].replace("", "不明"), ledger["verdict"])
    return table.reindex(columns=[v for v in words()["verdicts"] if v in table])
