"""What is one figure: its columns, its name, the kinds of tables, and what all of them share."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

INDICATOR_VALUE = "1"  # item_value of an indicator: the share that has it
BASE_FOR_TESTS = 50  # respondents; a test, a model or a sentence on its level needs them (SDC-1 P3)
WHOLE_PERCENT_BASE = 200  # respondents; SDC-1 P9: whole per cents under it, one decimal from it

# Every column: its type, what a hidden row keeps of it, its unit and meaning.
COLUMNS = pd.read_csv(Path(__file__).with_name("estimates_columns.csv"), keep_default_na=False)
ESTIMATE_COLUMNS = COLUMNS["column"].tolist()
NUMBERS = COLUMNS.loc[COLUMNS["type"] == "number", "column"].tolist()
KEY = COLUMNS.loc[COLUMNS["role"] == "key", "column"].tolist()  # says which figure a row is
KEPT = COLUMNS.loc[COLUMNS["role"].isin(["key", "kept"]), "column"].tolist()  # on a hidden row
HIDDEN_COLUMNS = COLUMNS.loc[COLUMNS["role"].isin(["", "private"]), "column"].tolist()


def conform(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with every column in its order and type; what lacks is blank, the id made anew.

    Args:
        rows: Any columns of `ESTIMATE_COLUMNS`, shape (n, any).

    Returns:
        Shape (n, len(ESTIMATE_COLUMNS)), index 0 to n - 1.
    """
    table = rows.reindex(columns=ESTIMATE_COLUMNS).reset_index(drop=True)
    table = table.astype({name: float if name in NUMBERS else "str" for name in ESTIMATE_COLUMNS})
    return table.assign(row_id=row_ids(table).astype("str"))


def row_ids(table: pd.DataFrame) -> pd.Series:
    """Return the name of every row: a letter and 40 bits of the sha256 of its key columns.

    The letter, and no capitals or signs, keep a spreadsheet from reading a number or a formula.

    Args:
        table: The columns of `KEY`; blank and missing are the same.

    Example:
        >>> row_ids(pd.DataFrame([dict.fromkeys(KEY, "all") | {"wave": 2022}])).tolist()
        ['rpegidytu']
    """
    columns = [map(_as_name, table[name].tolist()) for name in KEY]
    names = map(_shorten, zip(*columns, strict=True))
    return pd.Series(names, index=table.index, dtype=object)


def _as_name(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if pd.isna(value) else f"{value:g}"


def _shorten(names: Iterable[str]) -> str:
    digest = hashlib.sha256("|".join(names).encode()).digest()
    return "r" + base64.b32encode(digest[:5]).decode().lower()


def restore_lines(
    shares: pd.DataFrame, *, groups: Iterable[str], answers: Iterable[str]
) -> pd.DataFrame:
    """Return a cross table's shares with the answers and groups that it lacks, as hidden rows.

    The gate leaves a line out that would be hidden throughout; it is x all the same.

    Args:
        shares: Rows of one table and measure, text blank where missing, shape (n, any).
        groups: Every `domain_value` of its axis.
        answers: Every `item_value` of its question.
    """
    names = ["domain_value", "item_value"]
    every = pd.MultiIndex.from_product([groups, answers], names=names)
    gone = every.difference(pd.MultiIndex.from_frame(shares[names]), sort=False)
    if shares.empty or gone.empty:
        return shares
    same = ["wave", "table_id", "measure", "unit", "domain", "item", "weighting"]
    row = {name: np.nan if name in NUMBERS else "" for name in shares}
    row |= shares.iloc[0][same].to_dict() | {"status": "suppressed"}
    rows = gone.to_frame(index=False).assign(**{n: v for n, v in row.items() if n not in names})
    return pd.concat([shares, rows[list(shares)]])


# --- names of several variables, kinds of tables --------------------------------------------------


def join(names: Iterable[object]) -> str:
    """Return one name of several variables, or of their codes: region x sex."""
    return " x ".join(map(str, names))


def split(text: str) -> list[str]:
    """Return the variables, or codes, of a name that `join` made."""
    return text.split(" x ")


_KINDS = ("gt", "joint", "cross", "national", "waves", "model")  # the others are their own name


@cache
def kind(table_id: str) -> str:
    """Return the kind of a table: gt, cross, headline, model, sensitivity, merges, ledger ...

    Example:
        >>> [kind("cross_sex__job"), kind("model_lonely__sensitivity"), kind("ledger")]
        ['cross', 'sensitivity', 'ledger']
    """
    if table_id == "model_merges":
        return "merges"
    if table_id.startswith("model_") and table_id.endswith("__sensitivity"):
        return "sensitivity"
    first = table_id.partition("_")[0]
    return first if first in _KINDS else table_id


def is_kind(rows: pd.DataFrame, *kinds: str) -> pd.Series:
    """Return which rows are of tables of these kinds."""
    ids = rows["table_id"].fillna("")
    return ids.map({each: kind(str(each)) in kinds for each in ids.unique()}).astype(bool)


MODELS = ("model", "sensitivity", "merges")


def outcome(table_id: pd.Series) -> pd.Series:
    """Return the outcome that a model's table is about."""
    return table_id.str.removeprefix("model_").str.removesuffix("__sensitivity")


# --- how many digits ------------------------------------------------------------------------------

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


def decimals_of(table: pd.DataFrame) -> np.ndarray:
    """Return the places after the point of every row's figure, shape (n,); below 0 for totals."""
    decimals = table["measure"].map(_DECIMALS_BY_MEASURE).astype(float)
    decimals = decimals.fillna(table["unit"].map(_DECIMALS_BY_UNIT)).fillna(2).to_numpy()
    columns = ["unit", "table_id", "domain", "item", "n_unweighted"]
    whole = [is_whole(row) for row in table[columns].to_dict("records")]
    decimals = np.where(whole, 0, decimals)
    is_total = (table["measure"] == "total").to_numpy()
    large = (table["estimate"].abs() >= 10_000).to_numpy()
    return np.where(is_total, np.where(large, -3, -2), decimals)


def is_whole(row: Mapping[str, Any]) -> bool:
    """Return whether a share, or a difference of shares, is printed without decimals.

    Those of fewer than 200 people are (SDC-1 P9), and those of three variables, where one decimal
    would tell the answers of the few people whom an axis leaves out.

    Args:
        row: A row of estimates by column: unit, table_id, domain, item and n_unweighted.
    """
    if row["unit"] not in ("percent", "points") or kind(str(row["table_id"])) in MODELS:
        return False
    names = [] if row["domain"] == "all" else split(str(row["domain"]))
    n_variables = len(names) + len(split(str(row["item"])))
    return row["n_unweighted"] < WHOLE_PERCENT_BASE or n_variables > 2


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
