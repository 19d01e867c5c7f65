"""Which figures may leave the analyst's machine, and in how many digits (policy SDC-1)?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tsunagari.study import ESTIMATE_COLUMNS, Disclosure, InputError, Study

# Keys stay on a suppressed row; everything else on it is a number or follows from one.
KEY_COLUMNS = (
    "wave table_id measure unit domain domain_value item item_value item_label weighting source"
).split()
HIDDEN_COLUMNS = [
    name for name in ESTIMATE_COLUMNS if name not in (*KEY_COLUMNS, "status", "reason")
]

NUMBER_COLUMNS = (
    "estimate std_error lower upper df p_value p_adjusted n_unweighted n_effective n_cell"
).split()

BASE_UNDER_10 = "BASE_UNDER_10"
CELL_UNDER_10 = "CELL_UNDER_10"
SECONDARY = "SECONDARY"

WHOLE_PERCENT_BASE = 200  # respondents; SDC-1 P9: whole per cent under it, one decimal from it
P_VALUE_FLOOR = 0.001  # a p-value of 0.001 on the page means 0.001 or less

_LEDGER_TOTALS = ("read", "quarantined")  # rows read = analysed + quarantined (by reason)
_DECIMALS_BY_MEASURE = {
    "odds_ratio": 2,
    "design_effect": 2,
    "ratio": 2,
    "mean": 2,
    "alpha": 2,
    "n_effective": 0,
    "count": 0,
    "population": 0,
}
_DECIMALS_BY_UNIT = {"percent": 1, "points": 1, "score": 2, "ratio": 2, "persons": 0}


# --- the gate's step ------------------------------------------------------------------------------


def publish(study: Study) -> pd.DataFrame:
    """Collect every notebook's rows, pass them through the gate and write what may be read.

    Reads private/parts/*.csv in the order of their names; writes private/estimates.csv,
    published/estimates.csv and published/about.json.

    Args:
        study: The wave whose notebooks have run.

    Returns:
        The published estimates, shape (n_rows, len(ESTIMATE_COLUMNS)).

    Raises:
        InputError: No notebook has saved rows, or a part lacks a column.
        DisclosureError: A figure cannot be judged, or what is left could point at a person.
    """
    estimates = collect_parts(study)
    study.save("private/estimates.csv", estimates)
    published = round_published(suppress(estimates, settings=study.config.disclosure))
    study.save("published/estimates.csv", published)
    study.save("published/about.json", describe_study(study))
    return published


def collect_parts(study: Study) -> pd.DataFrame:
    """Return the rows of every notebook under one set of columns, parts in order of name.

    Raises:
        InputError: There is no part, or one has a column that estimates do not know.
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
    return as_estimates(pd.concat(parts.values(), ignore_index=True))


def as_estimates(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with every column of the estimates table, in its order; what lacks is blank."""
    table = rows.reindex(columns=ESTIMATE_COLUMNS).reset_index(drop=True)
    kinds = {name: float if name in NUMBER_COLUMNS else "str" for name in ESTIMATE_COLUMNS}
    return table.astype(kinds)


# --- the small gate -------------------------------------------------------------------------------


def suppress(estimates: pd.DataFrame, *, settings: Disclosure) -> pd.DataFrame:
    """Hide every row whose base or cell holds too few respondents.

    A hidden row keeps its keys and loses every number, its verdict and its mark.

    Args:
        estimates: Rows with the columns of estimates, full precision.
        settings: Thresholds of the study, in unweighted respondents.

    Returns:
        The same rows in the same order, with `status` and `reason` filled.
    """
    table = as_estimates(estimates)
    base, cell = table["n_unweighted"], table["n_cell"]
    counted = ~table["table_id"].fillna("").str.startswith("ledger")
    small_base = counted & (base < settings.base_minimum)
    small_cell = counted & (cell < settings.threshold) & ~small_base
    table["status"] = _base_status(base, settings=settings)
    table = hide_rows(table, small_base, reason=BASE_UNDER_10)
    table = hide_rows(table, small_cell, reason=CELL_UNDER_10)
    return hide_ledger(table, threshold=settings.threshold)


def _base_status(base: pd.Series, *, settings: Disclosure) -> np.ndarray:
    return np.select(
        [base < settings.base_reference, base < settings.base_low],
        ["reference", "low_base"],
        default="published",
    )


def hide_rows(estimates: pd.DataFrame, hidden: pd.Series, *, reason: str) -> pd.DataFrame:
    """Return the table with these rows' numbers, marks and verdicts gone.

    Args:
        estimates: Rows of estimates.
        hidden: True where a row is hidden, shape (n_rows,).
        reason: Reason code; it replaces what the row gave as its reason.
    """
    table = estimates.copy()
    hidden = hidden.fillna(value=False).astype(bool)
    for name in HIDDEN_COLUMNS:
        table[name] = table[name].mask(hidden)
    table.loc[hidden, "status"] = "suppressed"
    table.loc[hidden, "reason"] = reason
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
    ledger = (estimates["table_id"] == "ledger") & (estimates["measure"] == "count")
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
    table = hide_rows(estimates, hidden, reason=CELL_UNDER_10)
    return hide_rows(table, secondary, reason=SECONDARY)


# --- rounding -------------------------------------------------------------------------------------


def round_published(estimates: pd.DataFrame) -> pd.DataFrame:
    """Round every figure half up as the page shows it, and blank the counts of cells.

    Percents and their intervals: one decimal, whole per cent where the base is under 200 (P9);
    points one decimal; odds ratios, scores and ratios two; persons to the thousand (to the hundred
    under 10,000); p-values three, never below 0.001, which then means 0.001 or less.

    Args:
        estimates: Rows that passed the gate.

    Returns:
        The same rows, rounded; `n_cell` is blank.
    """
    table = as_estimates(estimates)
    decimals = _decimals(table)
    for name in ("estimate", "std_error", "lower", "upper"):
        table[name] = round_half_up(table[name].to_numpy(float), decimals=decimals)
    for name in ("p_value", "p_adjusted"):
        rounded = round_half_up(table[name].to_numpy(float), decimals=3)
        table[name] = np.maximum(rounded, P_VALUE_FLOOR)
    for name in ("df", "n_unweighted", "n_effective"):
        table[name] = round_half_up(table[name].to_numpy(float), decimals=0)
    table["n_cell"] = np.nan
    return table


def _decimals(table: pd.DataFrame) -> np.ndarray:
    decimals = table["measure"].map(_DECIMALS_BY_MEASURE).astype(float)
    decimals = decimals.fillna(table["unit"].map(_DECIMALS_BY_UNIT)).fillna(2).to_numpy()
    is_percent = (table["unit"] == "percent").to_numpy()
    whole = is_percent & (table["n_unweighted"] < WHOLE_PERCENT_BASE).to_numpy()
    decimals = np.where(whole, 0, decimals)
    is_total = (table["measure"] == "total").to_numpy()
    large = (table["estimate"].abs() >= 10_000).to_numpy()
    return np.where(is_total, np.where(large, -3, -2), decimals)


def round_half_up(values: np.ndarray, *, decimals: int | np.ndarray) -> np.ndarray:
    """Round away from zero at a half, as official tables do (numpy rounds half to even).

    Args:
        values: Numbers, shape (n,).
        decimals: Places after the point, one for all or shape (n,).

    Example:
        >>> round_half_up(np.array([0.25, -0.25, 2.5]), decimals=np.array([1, 1, 0])).tolist()
        [0.3, -0.3, 3.0]
    """
    scale = 10.0 ** np.asarray(decimals, dtype=float)
    # 1e-9: a half that binary fractions hold a hair too low is still a half.
    whole = np.floor(np.abs(values) * scale + 0.5 + 1e-9)
    rounded = np.sign(values) * whole / scale
    places = np.broadcast_to(np.asarray(decimals, dtype=int), np.shape(values))
    # The division leaves tails such as 0.30000000000000004; Python's round() drops them.
    pairs = zip(rounded, places, strict=True)
    return np.array([round(value, int(place)) for value, place in pairs], dtype=float)


# --- what the report may know beside the figures --------------------------------------------------


def describe_study(study: Study) -> dict[str, Any]:
    """Return the texts and labels that a report needs and that hold nothing about a person.

    Args:
        study: The wave.

    Returns:
        What published/about.json holds; docs/data_dictionary.md lists the keys.
    """
    config, wave = study.config, study.wave
    return {
        "study": study.name,
        "year": study.year,
        "title": config.title,
        "area": config.area,
        "people": config.people,
        "is_synthetic": bool(study.synthetic_inputs),
        "synthetic_inputs": study.synthetic_inputs,
        "fieldwork": wave.fieldwork,
        "mode": config.design.mode,
        "population_date": wave.population_date,
        "population_note": wave.population_note,
        "weighting_label": config.weighting.label,
        "regions": [region.label for region in config.regions.values()],
        "variables": _describe_variables(study),
        "indicators": _describe_indicators(study),
        "axes": study.axes,
        "crosses": list(config.tables.crosses),
        "benchmark": _describe_benchmark(study),
        "marks": config.marks.model_dump(),
        "disclosure": config.disclosure.model_dump(),
        "notes": list(config.notes),
        "error_note": config.design.error_note,
        "min_cell_n": config.disclosure.base_minimum,
    }


def _describe_variables(study: Study) -> dict[str, Any]:
    return {
        name: {"label": item.label, "short_label": item.short_label, "values": dict(item.labels)}
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
    year = study.wave.benchmark_year
    return {"label": benchmark.label, "year": year, "n": None, "caveat": benchmark.caveat}
