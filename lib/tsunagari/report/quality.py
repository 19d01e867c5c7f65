"""How was the sample made, how sure are its shares, which questions are linked: the appendix."""

from __future__ import annotations

from typing import Any

from tsunagari.estimates import split
from tsunagari.report.blocks import Cell
from tsunagari.report.findings import Context
from tsunagari.report.published import keys_of, records
from tsunagari.report.tables import Line, Lines, sentences
from tsunagari.report.writer import HIDDEN, Writer, format_number

CUT = {"item_new", "version_changed", "not_planned"}  # such a question is not compared at all


def quotas(writer: Writer, **_: Any) -> Lines:
    """Interviews planned and achieved, age bands by region."""
    published = writer.published
    rows = records(published.rows("quotas"))
    axis, ages = published.about["region"], {}
    for row in rows:
        line = ages.setdefault(row["item_value"], {"label": published.answer_label(row)})
        line[f"*{row['domain_value']} {row['measure']}"] = row
    regions = published.values(axis)
    named = {"quota": writer.text("planned"), "count": writer.text("achieved")}
    columns = {
        f"{code} {measure}": f"{region} {name}"
        for code, region in regions.items()
        for measure, name in named.items()
        if any(f"*{code} {measure}" in line for line in ages.values())
    }
    order = [code for code in published.values(rows[0]["item"]) if code in ages] if rows else []
    return Lines({"": [ages[code] for code in order]}, columns=columns)


def profile(writer: Writer, **_: Any) -> Lines:
    """The respondents before and after weights."""
    published, groups = writer.published, {}
    rows = published.rows("profile")
    for item in rows["item"].unique():
        after = {row["item_value"]: row for row in records(published.gt(item))}
        groups[published.label(item)] = [
            {
                "label": published.answer_label(row),
                "before": row,
                "after": after.get(row["item_value"], HIDDEN),
            }
            for row in records(rows[rows["item"] == item])
        ]
    return Lines(groups)


def errors(writer: Writer, **_: Any) -> Lines:
    """Half the width of the interval, by share and base."""
    rows = writer.published.rows("errors")
    lines = []
    for base, own in rows.groupby("domain_value", sort=False):
        number = format_number(float(base), decimals=0)
        widths = {
            f"*{row['item_value']}": Cell(format_number(row["estimate"]), rows=keys_of([row]))
            for row in records(own)
        }
        lines.append({"label": number, **widths})
    labels = rows.drop_duplicates("item_value")
    columns = dict(zip(labels["item_value"], labels["item_label"], strict=True))
    return Lines({"": lines}, columns=columns)


def reliability(writer: Writer, **_: Any) -> Lines:
    """Cronbach's alpha of every scale."""
    published = writer.published
    rows = published.estimates[published.estimates["measure"] == "cronbach_alpha"]
    lines: dict[str, Line] = {}
    for row in records(published.this_wave(rows)):
        line = lines.setdefault(row["item"], {"label": published.label(row["item"])})
        line[row["item_value"]] = row
    return Lines({"": list(lines.values())})


def weightings(writer: Writer, **_: Any) -> Lines:
    """Every indicator under every weighting, the report's own last."""
    published = writer.published
    rows = published.rows("weights_sensitivity")
    lines = [
        {"label": published.label(item), **{f"*{r['weighting']}": r for r in records(own)}}
        for item, own in rows.groupby("item", sort=False)
    ]
    own = published.rows("headline")["weighting"]
    columns = {}
    for scheme in rows["weighting"].unique():
        name = writer.text("scheme", parts=_scheme(writer, scheme), is_own=scheme in set(own))
        columns[scheme] = name
    return Lines({"": lines}, columns=columns)


def _scheme(writer: Writer, scheme: str) -> Context:
    """Return a weighting's method in words, its variables by margin, and its other population."""
    method, _, rest = scheme.partition(": ")
    rest, _, other = rest.partition(" (")
    names = [
        "×".join(writer.published.label(name) for name in split(margin))
        for margin in rest.split(" + ")
        if margin
    ]
    methods = writer.texts["words"]["methods"]
    return {"method": methods.get(method, method), "names": names, "other": other.rstrip(")")}


def linked(writer: Writer, **_: Any) -> Lines:
    """Every tabulated question, and why it is not compared with the wave before."""
    published, reasons = writer.published, writer.texts["words"]["links"]
    lines = [
        {
            "label": published.label(item),
            "linked": reasons[_state(why)],
            "reason": sentences(reasons.get(each, each) for each in why),
        }
        for item, why in (published.about["linked"] or {}).items()
    ]
    return Lines({"": lines})


def _state(why: list[str]) -> str:
    return "linked" if not why else "cut" if CUT & {*why} else "partly"


TABLES = {
    make.__name__: make for make in (quotas, profile, errors, reliability, weightings, linked)
}
SUBJECTS = {
    "quotas": lambda published: [{}] * bool(len(published.rows("quotas"))),
    "linked": lambda published: [{}] * bool(published.about["linked"]),
}
