"""Who answered, as planned and as weighted, and how sure is a share of n people?"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.statistics.designs import Design
from tsunagari.statistics.estimation import percents
from tsunagari.statistics.weighting import kish_design_effect
from tsunagari.study.planning import allocate_quota, expected_half_widths
from tsunagari.study.survey import Study

SHARES = (1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0)  # per cent
BASES = (1000, 700, 500, 300, 200, 100, 50)  # respondents; those under the survey's own number


def sample_tables(
    study: Study,
    respondents: pd.DataFrame,
    *,
    designs: dict[str, Design],
    targets: pd.DataFrame | Sequence[pd.DataFrame] | None,
) -> pd.DataFrame:
    """Return the quotas planned and achieved, the profile before weights, and sampling errors.

    Args:
        study: The wave.
        respondents: Cleaned respondents, shape (n, any).
        designs: From `weighting.alternative_designs`: unweighted the first, the study's own last.
        targets: Population by cell, persons; None or several margins: no quotas.

    Returns:
        Rows of the estimates table. `quotas`: of every region and age band the interviews that the
        population gives it (measure quota), those that came in (count) and their share of the
        region's (percent). `profile`: unweighted percents of the variables of the axes. `errors`:
        half the width of the interval, points, by share (item_value, per cent) and base
        (domain_value, respondents): z sqrt(deff p (100 - p) / n), deff Kish's of the weights.
    """
    unweighted, own = (list(designs.values())[place] for place in (0, -1))
    asked = {indicator.item for indicator in study.config.indicators.values()}
    names = [axis[0] for axis in study.axes if len(axis) == 1 and axis[0] not in asked]
    parts = [
        _quotas(study, respondents, design=unweighted, targets=targets),
        *(_shares(study, respondents, name, design=unweighted) for name in names),
        _errors(own),
    ]
    rows = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return rows.assign(wave=study.year).reindex(columns=ESTIMATE_COLUMNS)


def _shares(
    study: Study,
    respondents: pd.DataFrame,
    name: str,
    *,
    design: Design,
    by: pd.Series | None = None,
) -> pd.DataFrame:
    """Return the unweighted percents of a question's codes: they are what came, without error."""
    plan, item = study.config, study.items[name]
    values = item.indicators(respondents, base=plan.tables.base).drop(columns=[*item.nets])
    rows = percents(design, values, by=by)
    labels = rows["item_value"].map(item.labels)
    blank = dict.fromkeys(("std_error", "lower", "upper", "df", "n_effective"), float("nan"))
    return rows.assign(table_id="profile", item=name, item_label=labels, reason="", **blank)


def _quotas(
    study: Study,
    respondents: pd.DataFrame,
    *,
    design: Design,
    targets: pd.DataFrame | Sequence[pd.DataFrame] | None,
) -> pd.DataFrame:
    by = [study.config.design.region, study.config.design.age_band]
    if not isinstance(targets, pd.DataFrame) or not {*by} <= {*targets.columns}:
        return pd.DataFrame()
    region = respondents[by[0]].astype("string").reset_index(drop=True)
    rows = _shares(study, respondents, by[1], design=design, by=region).assign(table_id="quotas")
    counts = rows.assign(measure="count", unit="respondents", estimate=rows["n_cell"])
    cells = targets.groupby(by, sort=False)["population"].sum()
    planned = allocate_quota(cells, len(respondents)).rename("estimate").reset_index()
    planned = planned.rename(columns={by[0]: "domain_value", by[1]: "item_value"})
    planned = planned.astype({"domain_value": str, "item_value": str})
    labels = planned["item_value"].map(study.items[by[1]].labels)
    planned = planned.assign(table_id="quotas", measure="quota", unit="respondents", domain=by[0],
                             item=by[1], item_label=labels)  # fmt: skip
    return pd.concat([rows, counts, planned], ignore_index=True)


def _errors(design: Design) -> pd.DataFrame:
    effect = kish_design_effect(design.weights)
    bases = pd.Series([design.n, *(base for base in BASES if base < design.n)])
    widths = expected_half_widths(bases, design_effect=effect, percents=SHARES)
    rows = widths.melt("n_respondents", var_name="item_value", value_name="estimate")
    share = rows["item_value"].str.removeprefix("half_width_")
    return pd.DataFrame(
        {
            "table_id": "errors",
            "measure": "half_width",
            "unit": "points",
            "domain": "n",
            "domain_value": rows["n_respondents"].astype(str),
            "item": "share",
            "item_value": share,
            "item_label": share,
            "estimate": rows["estimate"],
            "weighting": design.scheme,
        }
    )
