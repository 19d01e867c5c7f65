"""Who takes up which trouble where, and is that much beside what people say they need?

`troubles` gives the label of every code of the survey's own question, so that demand and supply
cross; `places` is what `resources.places_of` returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.estimates import WHOLE_PERCENT_BASE, round_half_up
from tsunagari.programmes import resources as lists
from tsunagari.programmes.records import Records
from tsunagari.programmes.rows import finish, row, share, source_of, word

NAME = "resources"
PER = 10_000  # residents
RATE = "rate"  # measure


def measure(
    records: Records, *, year: int, troubles: Mapping[str, str], places: pd.DataFrame
) -> pd.DataFrame:
    """Return every figure of the resource list.

    Args:
        records: The table resources.
        year: The wave.
        troubles: Label of each trouble code; its order is kept.
        places: Municipalities.

    Returns:
        Rows of estimates, table_id programme_resources, without intervals: the list is everybody.
        Counts: registered (in all, and by month), status, new (by month), pairs, local and wide (by
        trouble and place), gap_region and gap_municipality (cells; 1: all that nobody local
        serves). Share: assured.
    """
    table = records.table("resources")
    if table.empty:
        return finish([], table=NAME, year=year)
    told = {"source": source_of(table)}

    def _count(item: str, value: str, n: float, **more: Any) -> dict[str, Any]:
        given = {"unit": "organisations", "estimate": float(n)} | told | more
        return row(item, value, measure="count", **given)

    rows = [
        _count("registered", "1", len(table)),
        *(
            _count("status", value, n, item_label=value)
            for value, n in table["status"].replace("", word("unknown")).value_counts().items()
        ),
        _count("pairs", "1", len(lists.duplicates(table)), unit="groups"),
    ]
    for month, new, total in lists.growth(table).itertuples(index=False):
        place = {"domain": "month", "domain_value": month or "unknown"}
        rows += [_count("registered", "1", total, **place), _count("new", "1", new, **place)]
    states = lists.freshness(table, records.as_of)["state"]
    for state, label in lists.words()["freshness"].items():
        one = share("assured", state, count=(states == state).sum(), n=len(states), confidence=None)
        rows.append(one | told | {"n_cell": None, "item_label": label})  # these are no people
    for by in ("region", "municipality"):
        cells = coverage(table, troubles=troubles, places=places, by=by)
        for cell in cells.itertuples(index=False):
            place = {
                "domain": by,
                "domain_value": cell.place_code,
                "item_label": cell.trouble_label,
                "reason": cell.place_label,
            }
            rows.append(_count("local", cell.trouble_code, cell.n_local, **place))
            rows.append(_count("wide", cell.trouble_code, cell.n_wide, **place))
        for gap, label in lists.words()["gaps"].items():
            n = (cells["gap"] != "").sum() if gap == "1" else (cells["gap"] == gap).sum()
            rows.append(_count(f"gap_{by}", gap, n, unit="cells", item_label=label))
    return finish(rows, table=NAME, year=year)


def coverage(
    resources: pd.DataFrame, *, troubles: Mapping[str, str], places: pd.DataFrame, by: str
) -> pd.DataFrame:
    """Return how many active services take up each trouble in each place.

    Args:
        resources: Rows of `resources`.
        troubles: Label of each trouble code; its order is kept.
        places: Municipalities.
        by: "region" or "municipality".

    Returns:
        One row a cell, no cell left out: `trouble_code`, `trouble_label`, `place_code`,
        `place_label`, `n_local` (name the place, or a municipality of the region, as their area),
        `n_wide` (the whole prefecture or nation, and not local too), `gap`: "none" where nobody
        serves the cell, "wide_only" where nobody local does, "" otherwise.
    """
    is_region = by == "region"
    units = places.reset_index(names="code")
    units["place_code"] = units["region"] if is_region else units["code"]
    units["place_label"] = units["region_label"] if is_region else units["label"]
    labels = units.drop_duplicates("place_code").set_index("place_code")["place_label"]
    table = lists.texts(
        resources[lists.is_active(resources)], ["resource_id", "trouble_codes", "area_codes"]
    )
    pairs = _explode(_explode(table, "trouble_codes"), "area_codes")
    keys = ["resource_id", "trouble_codes", "place_code"]
    local = pairs.merge(units[["code", "place_code"]], left_on="area_codes", right_on="code")
    local = local[keys].drop_duplicates()
    wide = pairs[pairs["area_codes"].isin(lists.wide_codes(places))].drop(columns="area_codes")
    wide = wide.merge(labels.index.to_frame(index=False), how="cross")[keys].drop_duplicates()
    wide = wide.merge(local, how="left", indicator=True).query("_merge == 'left_only'")
    cells = pd.MultiIndex.from_product([list(troubles), labels.index], names=keys[1:])
    counted = pd.DataFrame(
        {
            name: rows.groupby(keys[1:]).size().reindex(cells, fill_value=0)
            for name, rows in (("n_local", local), ("n_wide", wide))
        }
    ).reset_index(names=["trouble_code", "place_code"])
    counted.insert(1, "trouble_label", counted["trouble_code"].map(dict(troubles)))
    counted.insert(3, "place_label", counted["place_code"].map(labels))
    gap = pd.Series("", counted.index).mask(counted["n_local"] == 0, "wide_only")
    return counted.assign(gap=gap.mask(counted["n_local"] + counted["n_wide"] == 0, "none"))


def _explode(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one row a value of a column that holds several."""
    return table.assign(**{column: table[column].map(lists.several)}).explode(column).dropna()


def supply(
    figures: pd.DataFrame, asked: pd.DataFrame, *, region: str, year: int, source: str
) -> pd.DataFrame:
    """Return what people say they need, and who takes it up, per 10,000 residents of a region.

    Args:
        figures: From `measure`.
        asked: `voices.tabulate.demand`, before the gate.
        region: The survey's variable of the regions.
        year: The wave.
        source: Of the residents: the survey's population.

    Returns:
        Rows of estimates, table_id programme_resources, `domain` the region: count of `residents`;
        `rate` of the survey's question (people with the trouble, with the interval, no finer than
        their published share; named as that share is, so that the gate hides both) and of `local`
        (services).
    """
    asked = asked[asked["persons"].notna()].assign(region=asked["region"].astype(str))
    residents = asked.groupby("region", sort=False)["residents"].first()
    rows = []
    for place, n in residents.items():
        there = {"domain": region, "domain_value": place, "source": source}
        rows.append(row("residents", "1", measure="count", unit="persons", estimate=n, **there))
        told = {"measure": RATE, "unit": f"per_{PER}"}
        for one in asked[asked["region"] == place].to_dict("records"):
            digits = int(one["n_unweighted"] >= WHOLE_PERCENT_BASE)
            shares = np.array([one[end] for end in ("percent", "lower", "upper")])
            rates = PER / 100 * round_half_up(shares, decimals=digits)
            numbers = dict(zip(("estimate", "lower", "upper"), rates, strict=True))
            numbers |= {"n_unweighted": one["n_unweighted"], "item_label": one["item_label"]}
            rows.append(row(one["item"], str(one["item_value"]), **told, **there, **numbers))
        is_local = (figures["item"] == "local") & (figures["domain"] == "region")
        for one in figures[is_local & (figures["domain_value"] == place)].to_dict("records"):
            label = {"item_label": one["item_label"], "estimate": one["estimate"] / n * PER}
            rows.append(row("local", one["item_value"], **told, **there, **label))
    return finish(rows, table=NAME, year=year)
