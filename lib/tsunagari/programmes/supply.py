"""Who takes up which trouble where, and is that much beside what people say they need?

`troubles` gives the label of every code of the survey's own question, so that demand and supply
cross; `places` is what `resources.places_of` returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tsunagari.programmes import resources as lists
from tsunagari.programmes.records import Records
from tsunagari.programmes.rows import finish, row, share, source_of

NAME = "resources"
PER = 10_000  # residents


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
        Counts: registered (in all, and by month), new (by month), pairs, local and wide (by trouble
        and place), gap_region and gap_municipality (cells). Share: assured.
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
            n = (cells["gap"] == gap).sum()
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
    published: pd.DataFrame, *, region: str, trouble: str, residents: Mapping[str, float]
) -> pd.DataFrame:
    """Return what is offered beside what people say they need, per 10,000 residents.

    It rests on published figures alone: a hidden share stays hidden.

    Args:
        published: Rows of estimates after the gate, the survey's and those of `measure`.
        region: The survey's variable of the regions.
        trouble: Its item of the troubles.
        residents: People of the survey's population in each region.

    Returns:
        One row a region and trouble that both know: `place_code`, `trouble_code`, `trouble_label`,
        `n_local`, `residents`, `demand_per_10000` with `_lower` and `_upper` (people with the
        trouble), `status`, `local_per_10000` (services), `people_per_local` (people with the
        trouble for each local service; missing where there is none), and the row ids of both
        figures: `local_row_id`, `demand_row_id`.
    """
    keys = {"domain_value": "place_code", "item_value": "trouble_code"}
    is_local = published["item"].eq("local") & published["domain"].eq("region")
    is_local &= published["table_id"].eq(f"programme_{NAME}")
    local = published[is_local].rename(columns=keys)
    is_asked = published["item"].eq(trouble) & published["domain"].eq(region)
    asked = published[is_asked & published["measure"].eq("percent")].rename(columns=keys)
    names = {"item_label": "trouble_label", "estimate": "n_local", "row_id": "local_row_id"}
    table = local[[*keys.values(), *names]].rename(columns=names)
    shares = {"estimate": f"demand_per_{PER}", "row_id": "demand_row_id"}
    shares |= {end: f"demand_per_{PER}_{end}" for end in ("lower", "upper")}
    asked = asked[[*keys.values(), *shares, "status"]].rename(columns=shares)
    table = table.merge(asked, on=list(keys.values()), validate="one_to_one")
    percents = [name for name in shares.values() if name.startswith("demand_per")]
    table[percents] *= PER / 100
    table["residents"] = table["place_code"].map(dict(residents))
    table[f"local_per_{PER}"] = table["n_local"] / table["residents"] * PER
    people = table[f"demand_per_{PER}"] / PER * table["residents"]
    return table.assign(people_per_local=people / table["n_local"].where(table["n_local"] > 0))
