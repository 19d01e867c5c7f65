"""What is a figure of a programme: rows of estimates, shares with their n, small counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from tsunagari import estimates
from tsunagari.programmes import schema
from tsunagari.programmes.records import Records

SHARE = "share"  # measure of a programme's percent once it has been released
RECORDS = "records"  # as the weighting scheme: nothing is weighted
ALL = "all"
TOP = "top"  # item_value: the answers marked is_top_box together


def word(name: str) -> str:
    """Return a word or remark of texts.yaml."""
    return schema.texts()["words"][name]


def unit_of(word_in_record: str) -> str:
    """Return the unit of estimates for a unit of the records, as persons for 人."""
    return schema.declared()["units"][word_in_record]


def row(item: str, item_value: str, *, measure: str, unit: str, **told: Any) -> dict[str, Any]:
    """Return one figure by columns of estimates; everybody, unless a domain is told.

    Args:
        item: What is counted.
        item_value: Which answer or part of it.
        measure: percent, count, mean_change, difference_points, p_sign ...
        unit: As in estimates.
        told: Other columns of estimates.
    """
    given = {"domain": ALL, "domain_value": ALL, "weighting": RECORDS}
    return given | {"item": item, "item_value": item_value, "measure": measure, "unit": unit} | told


def share(
    item: str, item_value: str, *, count: float, n: float, confidence: float | None, **told: Any
) -> dict[str, Any]:
    """Return a share of `n` in percent, with Wilson's interval unless `confidence` is None.

    References:
        Wilson (1927); statsmodels proportion_confint.

    Example:
        >>> one = share("satisfied", "top", count=88, n=100, confidence=0.95)
        >>> round(one["lower"], 2), round(one["upper"], 2)
        (80.19, 93.0)
    """
    figure = row(item, item_value, measure="percent", unit="percent", **told)
    if not n > 0:
        return figure
    figure |= {"estimate": 100 * count / n, "n_unweighted": n, "n_cell": count}
    if confidence is None:
        return figure
    lower, upper = proportion_confint(count, n, alpha=1 - confidence, method="wilson")
    return figure | {"lower": 100 * lower, "upper": 100 * upper}


def finish(rows: Iterable[Mapping[str, Any]], *, table: str, year: int) -> pd.DataFrame:
    """Return rows of one programme's table with every column of estimates.

    Args:
        rows: What `row` and `share` return, with their source.
        table: Table of the records or name of the programme; `table_id` is programme_<table>.
        year: The wave.
    """
    found = pd.DataFrame(list(rows)).assign(table_id=f"programme_{table}", wave=str(year))
    return estimates.conform(found)


def source_of(table: pd.DataFrame) -> str:
    """Return the sources of some records in one text."""
    return "; ".join(dict.fromkeys(filter(None, table["source"]))) or word("no_source")


def release(
    private: pd.DataFrame, suppress: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """Return figures with small counts hidden, and the counts of the shares that are shown.

    Each programme counts people of its own, so each is judged by itself. The report's gate ties
    percents of survey respondents to each other: it sees these as measure `share`, without counts.

    Args:
        private: Figures of the records, with `n_cell` where people are counted.
        suppress: `gate.suppression.suppress` with its settings and the facts of `known`.

    Returns:
        The rows, and one of measure count for each share of counted people; `n_cell` is blank.
    """
    parts = [private.iloc[:0]]
    for _, part in private.groupby("table_id", sort=False):
        part = part.reset_index(drop=True)
        is_share = part["measure"] == "percent"
        counted = is_share & part["n_cell"].notna()
        part["measure"] = part["measure"].mask(is_share & ~counted, SHARE)  # nobody's own count
        gated = suppress(part)
        blank = dict.fromkeys(("lower", "upper"), np.nan)
        counts = gated[counted].assign(measure="count", unit="persons", **blank)
        counts["estimate"] = part.loc[counted, "n_cell"].where(counts["status"] != "suppressed")
        parts += [gated.assign(measure=part["measure"].mask(is_share, SHARE)), counts]
    return estimates.conform(pd.concat(parts, ignore_index=True).assign(n_cell=np.nan))


def known(records: Records) -> dict[str, Any]:
    """Return what `gate.questionnaire.Questionnaire` must know of the programmes' figures.

    A top box is a net of its question's answers; where several may be given each is a yes or
    no of its own. What calls are about, and who called, is sensitive.
    """
    survey = records.table("event_survey")
    item = survey["event_id"] + " " + survey["question_id"] + " " + survey["wave"].replace("", "後")
    is_top = survey["is_top_box"] == "有"
    top = survey[is_top].groupby(item[is_top])["answer_code"].agg(tuple)
    return {
        "nets": {name: {TOP: codes} for name, codes in top.items()},
        "multiple": frozenset(item[survey["is_multiple"] == "有"]) | _multiple_breakdowns(records),
        "sensitive": frozenset(schema.declared()["sensitive"]),
    }


def _multiple_breakdowns(records: Records) -> frozenset[str]:
    table = records.table("consultations")
    return frozenset(table.loc[table["categories_multiple"] == "有", "dimension"])
