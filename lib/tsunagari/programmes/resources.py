"""The resource list: how it grew, how fresh it is, which rows may be one, what anyone may see.

Every function takes the rows of the declared table `resources`: one row a service of an
organisation. `places` is what `places_of` returns.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tsunagari.programmes import schema
from tsunagari.programmes.cells import DAYS, HOLIDAYS, NATION
from tsunagari.study.settings import Region

TIMES = ("opens_at", "closes_at")
_KANA = {code: code - 0x60 for code in range(ord("ァ"), ord("ヶ") + 1)}  # katakana -> hiragana


@cache
def words() -> dict[str, Any]:
    """Return what resources.yaml says."""
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def texts(resources: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the columns as text: days in ISO, whole numbers without a point, blanks as ""."""
    table = resources[list(columns)]
    numbers = table.select_dtypes("number").columns
    table = table.astype("string").fillna("")
    table = table.assign(**{name: table[name].str.removesuffix(".0") for name in numbers})
    return table.astype(object)  # read cell by cell, many times faster than arrow's


def places_of(areas: Mapping[str, str], regions: Mapping[str, Region]) -> pd.DataFrame:
    """Return the municipalities by code, region by region: `label`, `region`, `region_label`.

    Args:
        areas: Name by area code, as in the records' context; prefecture and nation are left out.
        regions: The study's. A municipality in none of them is a region of its own.
    """
    region_of = {name: code for code, one in regions.items() for name in one.municipalities}
    rows = []
    for code, name in areas.items():
        if not code.endswith("000"):
            region = region_of.get(name, code)
            label = regions[region].label if region in regions else name
            rows.append((code, name, region, label))
    table = pd.DataFrame(rows, columns=["code", "label", "region", "region_label"])
    return table.set_index("code").sort_values("region", kind="stable")


def several(text: str) -> list[str]:
    """Return the values that a text joins by `;`."""
    return [one.strip() for one in text.split(";") if one.strip()]


def is_active(resources: pd.DataFrame, kind: str = "active") -> pd.Series:
    """Return which rows count as supply, or by `kind` "shown" which a caller may be told of."""
    return texts(resources, ["status"])["status"].isin([*words()[kind], ""])


def wide_codes(places: pd.DataFrame) -> set[str]:
    """Return the codes that stand for more than a municipality: prefecture and nation."""
    return {NATION} | {code[:2] + "000" for code in places.index}


# --- growth and freshness -------------------------------------------------------------------------


def growth(resources: pd.DataFrame) -> pd.DataFrame:
    """Return how many were registered in each month, and how many stood in the list at its end.

    Returns:
        `month` (YYYY-MM; "" last, for rows without a date), `n_new`, `n_total` (organisations'
        services, whatever became of them later), shape (months, 3). Months without news are there.
    """
    on = pd.to_datetime(texts(resources, ["registered_on"])["registered_on"], errors="coerce")
    months = on.dt.to_period("M")
    span = pd.period_range(months.min(), months.max(), freq="M") if months.notna().any() else []
    new = months.value_counts().reindex(span, fill_value=0)
    new.index = new.index.astype(str)
    if on.isna().any():
        new[""] = int(on.isna().sum())
    table = new.rename_axis("month").rename("n_new").reset_index()
    return table.assign(n_total=table["n_new"].cumsum())


def freshness(resources: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Return for each active row when it was last assured, those not assured for longest first.

    Returns:
        `resource_id`, `org_name`, `assured_on` (missing where never), `days` since, `state`:
        fresh, stale (more than 12 months before `as_of`) or never.
    """
    table = texts(resources[is_active(resources)], ["resource_id", "org_name", "assured_on"])
    on = pd.to_datetime(table["assured_on"], errors="coerce")
    now = pd.Timestamp(as_of)
    state = pd.Series("fresh", table.index).mask(on < now - pd.DateOffset(months=12), "stale")
    return (
        table.assign(assured_on=on, days=(now - on).dt.days, state=state.mask(on.isna(), "never"))
        .sort_values("assured_on", na_position="first", kind="stable")
        .reset_index(drop=True)
    )


# --- rows that may be one organisation ------------------------------------------------------------


def fold(text: str) -> str:
    """Return a text without differences of width, case, kana and spacing.

    Example:
        >>> fold("ＮＰＯ法人 つなぐ・カフェ")
        'npo法人つなぐかふぇ'
    """
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_KANA)
    return re.sub(r"[^\w()]|ー", "", plain)


def name_key(text: str) -> str:
    """Return a folded name without its legal form; what is only a legal form keeps it.

    Example:
        >>> name_key("特定非営利活動法人つなぐカフェ") == name_key("NPO法人 つなぐカフェ")
        True
    """
    folded = fold(text)
    return re.sub(r"[()]", "", _legal_forms().sub("", folded)) or folded


@cache
def _legal_forms() -> re.Pattern[str]:
    forms = sorted({fold(form) for form in words()["legal_forms"].split()}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, forms)))


def duplicates(resources: pd.DataFrame) -> pd.DataFrame:
    """Return pairs of rows that may be one and the same service. People decide; nothing is merged.

    Other services of the same organisation are no pair, nor are two of which either row says
    `not_same_as` the other. In a larger group each row stands beside the first that it may be.

    Returns:
        `resource_id`, `org_name`, `other_id`, `other_name`, `reason` (the plainest of those that
        resources.yaml lists), `is_same_place` (same municipality).
    """
    names = ["resource_id", "org_name", "org_name_kana", "corporate_number", "service_name"]
    table = texts(resources, [*names, "municipality_code", "not_same_as"])
    ids = table["resource_id"]
    apart = {
        frozenset((own, other))
        for own, others in zip(ids, table["not_same_as"], strict=True)
        for other in several(others)
    }
    key = table["org_name"].map(name_key)
    service = table["service_name"].map(name_key)
    signs = {
        "name": table["org_name"],
        "width": table["org_name"].map(fold),
        "legal_form": key,
        "kana": table["org_name_kana"].map(name_key),
        "corporate_number": table["corporate_number"],
    }
    found: dict[tuple[int, int], str] = {}
    for reason, sign in signs.items():
        groups = pd.DataFrame({"sign": sign, "service": service.where(service != key, "")})
        for rows in groups[sign != ""].groupby(["sign", "service"]).groups.values():
            for place, row in enumerate(rows):
                others = (r for r in rows[:place] if frozenset((ids[r], ids[row])) not in apart)
                if (other := next(others, None)) is not None:
                    found.setdefault((other, row), reason)
    pairs = sorted(found)
    one, other = (table.loc[[pair[side] for pair in pairs]].reset_index() for side in (0, 1))
    return pd.DataFrame(
        {
            "resource_id": one["resource_id"],
            "org_name": one["org_name"],
            "other_id": other["resource_id"],
            "other_name": other["org_name"],
            "reason": [found[pair] for pair in pairs],
            "is_same_place": one["municipality_code"] == other["municipality_code"],
        }
    )


# --- what is public, and when it is open -------------------------------------------------------


def public_rows(resources: pd.DataFrame) -> pd.DataFrame:
    """Return the rows and columns that anyone may see, as text; a withheld address is blank.

    Rows: `is_public` is 有 and `personal_data` is not. Columns: those columns.csv declares public.
    """
    declared = schema.tables()["resources"].columns.values()
    public = [column.name for column in declared if column.is_public]
    marks = ["is_public", "personal_data", "address_withheld"]
    is_set = texts(resources, marks).eq("有")
    kept = is_set["is_public"] & ~is_set["personal_data"]
    rows = texts(resources[kept], [name for name in public if name in resources])
    address = [name for name in words()["address"] if name in rows]
    rows.loc[is_set.loc[kept, "address_withheld"], address] = ""
    return rows


def open_hours(row: Mapping[str, str]) -> tuple[int, int, int] | None:
    """Return the weekly hours of a service, or None where they are not known.

    Returns:
        Days as bits (1 Monday ... 64 Sunday), opening and closing in minutes since that day's
        midnight; closing at or before opening means the next day (above 1440).

    Example:
        >>> open_hours({"open_days": "月金", "opens_at": "18:00", "closes_at": "02:00"})
        (17, 1080, 1560)
    """
    if row.get("open_24h", "") == "有":
        return 127, 0, 1440
    days = row.get("open_days", "").replace(HOLIDAYS, "")
    if not days or set(days) - set(DAYS):  # 第2月 and the like: not every week
        return None
    times = [re.fullmatch(r"(\d{1,2}):(\d\d)(?::\d\d)?", row.get(n, "")) for n in TIMES]
    if None in times:
        return None
    opens, closes = (int(time[1]) * 60 + int(time[2]) for time in times)
    return sum(1 << DAYS.index(day) for day in set(days)), opens, closes + 1440 * (closes <= opens)
