"""What notebook 06 puts together: a year's measures, the survey's figures, the files it writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tsunagari.estimates import conform
from tsunagari.programmes import (
    consultations,
    council,
    courses,
    hsds,
    ledger,
    plan,
    resources,
    schema,
    supply,
    supporters,
    symposium,
)
from tsunagari.programmes.records import SYNTHETIC, Records
from tsunagari.programmes.rows import word
from tsunagari.study.survey import Study

SURVEY_PART = "private/parts/03_describe.csv"


def measure_all(
    found: Records, *, year: int, confidence: float, places: pd.DataFrame
) -> pd.DataFrame:
    """Return the figures of every programme that has records, before the small-count rules."""
    parts = [
        symposium.measure(found, year=year, confidence=confidence),
        consultations.measure(found, year=year, confidence=confidence),
        supporters.measure(found, year=year, confidence=confidence),
        council.measure(found, year=year),
        courses.measure(found, year=year, confidence=confidence),
        supply.measure(found, year=year, troubles=_needs(found), places=places),
    ]
    return pd.concat(parts, ignore_index=True)


def _needs(found: Records) -> Mapping[str, str]:
    """Return the label of each trouble that a service may be missed for: not of その他."""
    lists = found.context.lists
    return lists.get("need", lists["trouble"])


def gaps(found: Records, places: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of trouble and region that nobody serves, or none but wide lines."""
    listed = found.table("resources")
    cells = supply.coverage(listed, troubles=_needs(found), places=places, by="region")
    return cells[cells["gap"] != ""]


def beside_demand(study: Study, figures: pd.DataFrame) -> pd.DataFrame:
    """Return `supply.supply` of the study's survey and list; nothing where one is missing."""
    is_local = figures["item"] == "local"
    if not (study.has_survey and is_local.any()):
        return figures.iloc[:0]
    asked = study.load("private/demand.csv")
    asked = asked.astype(dict.fromkeys(("percent", "persons", "residents"), float))
    source = word("population").format(date=study.wave.population_date)
    region = study.config.design.region
    return supply.supply(figures, asked, region=region, year=study.year, source=source)


def public_list(found: Records, places: pd.DataFrame) -> dict[str, Any]:
    """Return the public part of the resource list as a page of HSDS."""
    troubles = found.context.lists["trouble"]
    listed = resources.public_rows(found.table("resources"))
    return hsds.export(listed, troubles=troubles, places=places)


def survey_figures(study: Study, found: Records) -> pd.DataFrame:
    """Return the survey's rows that the ledger names, of this wave and the one before.

    Nothing where the study has no survey.
    """
    if not study.has_survey:
        return pd.DataFrame()
    rows = study.load(SURVEY_PART)
    rows = pd.concat([rows, ledger.earlier_indicators(study, rows)], ignore_index=True)
    return ledger.pick(found, rows).reset_index(drop=True)


def chain(edges: pd.DataFrame, labels: Mapping[str, str] | pd.Series) -> pd.DataFrame:
    """Return the nodes of a drawing of links, each below all that lead to it.

    Args:
        edges: Columns `from` and `to`.
        labels: What is written in a node, by name.

    Returns:
        name, label, layer; a circle of links ends in the layer where it began.
    """
    pairs = list(zip(edges["from"], edges["to"], strict=True))
    layer = dict.fromkeys([name for pair in pairs for name in pair], 0)
    for _ in layer:
        for start, end in pairs:
            layer[end] = min(max(layer[end], layer[start] + 1), len(layer) - 1)
    nodes = pd.DataFrame({"name": list(layer), "layer": list(layer.values())})
    return nodes.assign(label=[labels.get(name, name) for name in nodes["name"]])


def flow_edges(figures: pd.DataFrame) -> pd.DataFrame:
    """Return the flows between stages as links, with the counts that may be shown."""
    flows = figures[(figures["item"] == "flow") & (figures["measure"] == "count")]
    label = flows["estimate"].map(lambda n: "x" if pd.isna(n) else f"{n:.0f}")
    return pd.DataFrame({"from": flows["domain_value"], "to": flows["item_value"], "label": label})


def public_records(found: Records) -> dict[str, pd.DataFrame]:
    """Return public columns of what was held and met, and dates beside the calls: no person's."""
    tables = {name: schema.tables()[name] for name in ("events", "meetings")}
    return {"publicity": plain(consultations.notices(found))} | {
        name: plain(found.table(name)[[c.name for c in table.columns.values() if c.is_public]])
        for name, table in tables.items()
    }


_TYPED = {  # file: what of it people typed and the report prints
    "ledger": "indicator_name definition base qual_result direction_reason",
    "plan": "current issue goal measure owner direction_reason",
    "plan_review": "goal measure owner done_note",
    "actions": "what owner result",
    "meetings": "body agenda decisions",
    "publicity": "label",
}


def typed_texts(tables: Mapping[str, pd.DataFrame], *, year: int) -> pd.DataFrame:
    """Return the typed texts that hold digits, each a row of estimates without a number.

    A digit that an official typed is a word of a record, as a label of the codebook is: its row
    holds the text as its reason, and the attacker knows it by that. What the machine proposes for
    the plan is no typed text; its numbers are those of rows.

    Args:
        tables: Published tables by their file's name.
        year: The wave.

    Returns:
        table_id typed_texts; `item` file and line, `item_value` the column, measure text.
    """
    found = []
    for name, columns in _TYPED.items():
        table = tables[name]
        if name == "plan":
            table = table[table["origin"] == plan.EDITED]
        lines = pd.Series(f"{name} ", index=table.index) + (table.index + 1).astype(str)
        long = table.assign(item=lines).melt(
            ["item"], columns.split(), var_name="item_value", value_name="reason"
        )
        found.append(long[long["reason"].fillna("").astype(str).str.contains(r"\d")])
    rows = pd.concat(found, ignore_index=True)
    told = {"table_id": "typed_texts", "measure": "text", "wave": str(year), "unit": "text"}
    everybody = {"domain": "all", "domain_value": "all", "weighting": "records"}
    return conform(rows.assign(**told, **everybody))


def save_tables(study: Study, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write each table as published/<name>.csv."""
    for name, table in tables.items():
        study.save(f"published/{name}.csv", table)


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its dates as ISO text, as every published CSV has them."""
    dates = table.select_dtypes("datetime").columns
    return table.assign(**{name: table[name].dt.strftime("%Y-%m-%d") for name in dates})


def describe(found: Records, *, last: Records | None) -> dict[str, Any]:
    """Return what published/programmes.json holds of the records themselves.

    The last day of the fiscal year, rows used and set aside by table, rows without a source, and
    the files with made-up rows, last year's too.
    """
    made_up = {
        f"{each.as_of.year - 1}/programmes/{file}"
        for each in (found, last)
        if each is not None
        for table in each.tables.values()
        for file in table.loc[table["source"] == SYNTHETIC, "file"].unique()
    }
    counted = found.ledger.pivot_table(
        index="table", columns="outcome", values="n_rows", aggfunc="sum", fill_value=0
    )
    return {
        "synthetic_files": sorted(made_up),
        "as_of": f"{found.as_of:%Y-%m-%d}",
        "rows": {str(table): row.to_dict() for table, row in counted.iterrows()},
        "without_source": sum(int((t["source"] == "").sum()) for t in found.tables.values()),
    }
