"""Which lines does a table of the page have: rows by what they are to the table.

A table's caption, columns and note are written in the texts; here its lines are found. A line maps
names that a column may show ("row", "gap" ...) to a row, a text, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from tsunagari.gate.words import clean_text
from tsunagari.report.blocks import Cell, Table
from tsunagari.report.findings import plain_answers, sides
from tsunagari.report.published import (
    Published,
    Row,
    first,
    in_order,
    is_hidden,
    judged,
    keys_of,
    mark_of,
    records,
)
from tsunagari.report.texts import FIXED
from tsunagari.report.writer import HIDDEN, MISSING, NONE, Writer, base, estimate, interval
from tsunagari.statistics.verdicts import NOT_COMPARABLE, REFERENCE

MOST_HIDDEN_ANSWERS = 3  # a table of counts with more leaves them out and says how many
Line = dict[str, Any]
Groups = dict[str, list[Line]]


@dataclass
class Lines:
    """The lines of a table by group, and what its caption and note may speak of."""

    groups: Groups
    key: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)  # of *: name in a line -> heading


# --- cells ----------------------------------------------------------------------------------------


def _percent(row: Row | None) -> Cell:
    if row is None or is_hidden(row):
        return Cell(HIDDEN if row else MISSING)
    return Cell(estimate(row) + mark_of(row), interval(row), keys_of([row]))


def _gap(row: Row | None) -> Cell:
    if row is None:
        return Cell(MISSING)
    verdict = clean_text(row["verdict"])
    if row["estimate"] != row["estimate"] or verdict == NOT_COMPARABLE:
        return Cell(verdict or HIDDEN)
    return Cell(f"{estimate(row)} {verdict}".strip(), interval(row), keys_of([row]))


def _difference(row: Row | None) -> Cell:
    if row is None or row["verdict"] == NOT_COMPARABLE:
        return Cell(MISSING)
    return Cell(estimate(row), interval(row), keys_of([row]))


_SHOW = {
    "percent": _percent,
    "gap": _gap,
    "difference": _difference,
    "estimate": lambda row: Cell(estimate(row), rows=keys_of([row])) if row else Cell(MISSING),
    "interval": lambda row: Cell(interval(row), rows=keys_of([row])),
    "base": lambda row: Cell(base(row), rows=keys_of([row])) if row else Cell(MISSING),
    "count": lambda row: Cell(estimate(row, decimals=0), rows=keys_of([row])),
}


def _cell(line: Line, column: str) -> Cell:
    """Return the cell of a column, such as "label" (a text) or "percent of gap" (a row)."""
    show, _, name = column.partition(" of ")
    known = line.get(name or show)
    if isinstance(known, Cell):
        return known
    if isinstance(known, str):
        return Cell(known)
    if show == "number":
        return Cell(estimate(known, decimals=line["decimals"]), rows=keys_of([known]))
    return _SHOW[show](known)


def make_table(writer: Writer, name: str, *, lines: Lines) -> Iterator[Table]:
    """Yield the table that the texts describe, if there is any line.

    Args:
        writer: The texts.
        name: Name of the table in the texts.
        lines: Its lines.
    """
    spec, context = writer.texts["tables"][name], lines.context
    groups = {group: found for group, found in lines.groups.items() if found}
    every = [line for found in groups.values() for line in found]
    if not every:
        return
    columns: dict[str, str] = {}
    for column, heading in spec["columns"].items():
        show, _, source = column.partition(" of ")
        if source == "*":
            columns |= {f"{show} of *{own}": writer.words(heading, heading=title)
                        for own, title in lines.columns.items()}  # fmt: skip
        elif any((source or show) in line for line in every):
            columns[column] = writer.words(heading, **context)
    yield Table(
        key=lines.key or name,
        caption=writer.words(spec["caption"], **context),
        head=tuple(columns.values()),
        groups=tuple(
            (group, tuple(tuple(_cell(line, column) for column in columns) for line in found))
            for group, found in groups.items()
        ),
        note=writer.words(spec.get("note", ""), **context),
        stamp=FIXED["synthetic"] if writer.published.is_synthetic else "",
        is_text=not any(" of " in column for column in spec["columns"]),
    )


# --- indicators, method ---------------------------------------------------------------------------


def indicators(writer: Writer, **_: Any) -> Lines:
    """Level of every indicator, change and gap to the nation."""
    published, lines, answered = writer.published, [], []
    has_nation = bool(published.items_of("national_"))
    for name, known in published.indicators.items():
        row, value = published.indicator(name), published.value_of(name)
        if row is None:
            continue
        labels = [published.values(known["item"])[code] for code in known["item_values"]]
        answers = writer.text("indicator_answers", labels=labels)
        line = {"label": Cell(published.label(name), answers), "row": row}
        if published.previous:
            change = published.change(known["item"], value)
            line |= {"before": change["before"], "change": change["gap"]}
        if has_nation:
            gaps = published.nation(known["item"], value)
            line["theirs"], line["raw"] = map(gaps.get, ("percent_benchmark", "difference_points"))
            line["nation"] = judged(gaps)
            if line["raw"] and line["raw"]["n_unweighted"] < row["n_unweighted"]:
                answered.append(published.label(name))
        lines.append(line)
    bases = {known["base"] for known in published.indicators.values()}
    return Lines({"": lines}, context={"bases": bases, "answered": answered})


def facts(writer: Writer, **_: Any) -> Lines:
    """Who was asked, when and how."""
    published = writer.published
    rows = published.this_wave(published.rows("weights", measure="n_respondents"))
    people = first(rows)
    lines = []
    for name, spec in writer.texts["tables"]["facts"]["rows"].items():
        text = clean_text(writer.words(spec["text"], row=people))
        own = keys_of([people]) if name == "respondents" else ()
        lines += [{"label": spec["label"], "text": Cell(text, rows=own)}] if text else []
    return Lines({"": lines})


def definitions(writer: Writer, **_: Any) -> Lines:
    """What every indicator counts, out of whom."""
    words = writer.texts["words"]
    lines = [
        {
            "label": clean_text(known["label"]),
            "definition": clean_text(known["definition"]),
            "people": words[known["base"]],
        }
        for known in writer.published.indicators.values()
    ]
    return Lines({"": lines})


def ledger(writer: Writer, **_: Any) -> Lines:
    """Rows read, analysed and set aside, by reason."""
    names = writer.texts["words"]["ledger"]
    rows = in_order(writer.published.rows("ledger", measure="count"), [*names], column="item_value")
    lines = []
    for row in records(rows):
        reason = clean_text(row["item_label"]) or row["item_value"]
        label = names.get(row["item_value"]) or writer.text("ledger_reason", reason=reason)
        lines.append({"label": label, "row": row})
    return Lines({"": lines})


def weights(writer: Writer, **_: Any) -> Lines:
    """The diagnostics of the weights."""
    published = writer.published
    rows = published.this_wave(published.rows("weights", domain="all"))
    found = {row["measure"]: row for row in records(rows)}
    lines = [
        known | {"row": found[measure]}
        for measure, known in writer.texts["words"]["weights"].items()
        if measure in found and (measure != "n_trimmed" or found[measure]["estimate"])
    ]
    return Lines({"": lines})


# --- questions ------------------------------------------------------------------------------------


def questions(writer: Writer, **_: Any) -> Lines:
    """One line a question: what is answered most, last time, in the nation, and by whom."""
    published, chapters = writer.published, writer.texts["chapters"]
    told = {name: published.chapter(name) for name in ("loneliness", "ties", "others", "appendix")}
    groups: Groups = {}
    seen: set[str] = set()
    for name, items in told.items():
        heading = chapters[name]["heading"] if name != "appendix" else writer.texts["words"]["rest"]
        own = [item for item in items if item not in seen and _is_question(published, item)]
        lines = [_question(writer, item) for item in own]
        groups[writer.words(heading)] = lines
        seen |= {*items}
    return Lines(groups)


def _is_question(published: Published, item: str) -> bool:
    """Whether an item was asked, or is told of; classes made for tables alone are not."""
    told = [*published.chapter("loneliness"), *published.axes(has_nested=False)]
    return published.variable(item)["kind"] != "derived" or item in told


def _question(writer: Writer, item: str) -> Line:
    published = writer.published
    rows = _main_answers(published, item)
    shown = [row for row in rows if not is_hidden(row)]
    answers = [f"「{published.answer_label(row)}」{estimate(row)}" for row in shown]
    code = rows[0]["item_value"] if rows else ""
    change, gaps = published.change(item, code), published.nation(item, code)
    line: Line = {
        "label": Cell(
            published.label(item), _other(published.wording(item), published.label(item))
        ),
        "answer": Cell(
            "、".join(answers) or HIDDEN, "、".join(map(interval, shown)), keys_of(shown)
        ),
        "groups": _differing(writer, item, code, is_named=len(rows) > 1),
        "link": f"⟦gt_{item}⟧",
    }
    if published.previous:
        line["before"] = _against(change["before"], change["gap"])
    if published.items_of("national_"):
        line["nation"] = _against(gaps.get("percent_benchmark"), judged(gaps))
    return line


def _other(text: str, known: str) -> str:
    return "" if text == known else text


def _main_answers(published: Published, item: str) -> list[Row]:
    """Return the answer of the question's indicator, else the largest, of several the first two."""
    rows = published.gt(item)
    name = published.indicator_of(item)
    if name:
        return records(rows[rows["item_value"] == published.value_of(name)])
    return records(plain_answers(published, rows, item=item).head(1 + published.is_multiple(item)))


def _against(row: Row | None, gap: Row | None) -> Cell:
    """Return another wave's or place's percent and the verdict on the difference to it."""
    if row is None or is_hidden(row):
        return Cell(HIDDEN if row else MISSING)
    verdict = clean_text(gap["verdict"]) if gap and not is_hidden(gap) else ""
    return Cell(f"{estimate(row)} {verdict}".strip(), rows=keys_of([row, gap]))


def _differing(writer: Writer, item: str, code: str, *, is_named: bool) -> str:
    """Return the groups whose share of an answer is marked, behind its name; - where none is."""
    published, pairs = writer.published, []
    for axis in published.axes(but=item, has_nested=False):
        rows = published.cross(axis, item=item)
        rows = rows[rows["item_value"] == code]
        pairs += [(row, (axis, row["domain_value"])) for row in records(rows)]
    if not pairs:
        return MISSING
    found = []
    for side in sides(*zip(*pairs, strict=True)):
        names = side["names"]
        within = {(axis, code) for axis, net in names for code in published.nets(axis).get(net, ())}
        axes: dict[str, list[str]] = {}
        for axis, value in (pair for pair in names if pair not in within):  # a net says it all
            label = published.group_label(axis, value)
            axes.setdefault(published.axis_label(axis), []).append(label)
        found.append({"mark": side["mark"], "axes": axes})
    answer = published.values(item)[code] if is_named and found else ""
    return writer.text("differing", found=found, answer=answer) or NONE


def gt(writer: Writer, *, item: str, **_: Any) -> Lines:
    """The answers to one question, then its nets; many hidden answers are left out."""
    published = writer.published
    rows = records(published.gt(item))
    n_hidden = sum(map(is_hidden, rows))
    n_left_out = n_hidden if n_hidden > MOST_HIDDEN_ANSWERS else 0
    groups: Groups = {"": [], writer.texts["words"]["nets"]: []}
    codes, nets = groups.values()
    for row in rows:
        if not (n_left_out and is_hidden(row)):
            own = nets if row["item_value"] in published.nets(item) else codes
            own.append({"label": published.answer_label(row), "row": row})
    context = {"item": item, "is_multiple": published.is_multiple(item), "n_left_out": n_left_out}
    return Lines(groups, key=f"gt_{item}", context=context)


def means(writer: Writer, **_: Any) -> Lines:
    """The means of scores over everybody."""
    published = writer.published
    rows = published.estimates
    rows = rows[rows["table_id"].str.startswith("gt_") & (rows["measure"] == "mean")]
    rows = published.this_wave(rows[rows["domain"] == "all"])
    return Lines({"": [{"label": published.wording(r["item"]), "row": r} for r in records(rows)]})


def cross(writer: Writer, *, item: str, **_: Any) -> Lines:
    """One question over the groups of every axis, everybody first."""
    published = writer.published
    crosses = {axis: published.cross(axis, item=item) for axis in published.axes()}
    crosses = {axis: rows for axis, rows in crosses.items() if len(rows)}
    if not crosses:
        return Lines({})
    total = published.gt(item)
    everybody = writer.texts["words"]["everybody"]
    groups: Groups = {"": [_cross_line(records(total), everybody)] if len(total) else []}
    n_left_out = 0
    for axis, rows in crosses.items():
        parts = {value: records(part) for value, part in rows.groupby("domain_value", sort=False)}
        seen = {v: part for v, part in parts.items() if not all(map(is_hidden, part))}
        n_left_out += len(parts) - len(seen)
        groups[writer.by_axis(axis)] = [
            _cross_line(part, published.group_label(axis, value)) for value, part in seen.items()
        ]
    shown = set(pd.concat([total, *crosses.values()])["item_value"])
    columns = {code: label for code, label in published.values(item).items() if code in shown}
    context = {"item": item, "n_left_out": n_left_out, "is_multiple": published.is_multiple(item)}
    return Lines(groups, key=f"cross_{item}", context=context, columns=columns)


def _cross_line(rows: list[Row], label: str) -> Line:
    bases = [row for row in rows if not is_hidden(row)]
    found = {f"*{row['item_value']}": row for row in rows}
    return {"label": label, "base": bases[0] if bases else HIDDEN, **found}


def indicators_by_axis(writer: Writer, **_: Any) -> Lines:
    """All indicators over the groups of every single axis."""
    published, groups, n_left_out = writer.published, {}, 0
    for axis in published.axes(has_nested=False):
        found = {
            name: {
                row["domain_value"]: row for row in records(published.indicator_by(axis, name=name))
            }
            for name in published.indicators
        }
        codes = dict.fromkeys(code for rows in found.values() for code in rows)
        lines = [
            {
                "label": published.group_label(axis, code),
                **{f"*{name}": rows.get(code) if rows else MISSING for name, rows in found.items()},
            }
            for code in codes
        ]
        seen = [line for line in lines if any(map(_is_number, line.values()))]
        n_left_out += len(lines) - len(seen)
        groups[writer.by_axis(axis)] = seen
    columns = {name: published.label(name) for name in published.indicators}
    return Lines(groups, context={"n_left_out": n_left_out}, columns=columns)


def _is_number(known: Any) -> bool:
    return (
        isinstance(known, dict) and not is_hidden(known) and known["estimate"] == known["estimate"]
    )


# --- comparisons ----------------------------------------------------------------------------------


def sentences(texts: Iterable[str], *, known: str | None = None) -> str:
    """Return every sentence of the texts once, without those that stand elsewhere already."""
    parts = [part for text in texts for part in re.findall("[^。]+。?", clean_text(text))]
    said = set(re.findall("[^。]+。?", clean_text(known or "")))
    return "".join(dict.fromkeys(part.strip() for part in parts if part.strip() not in said))


def nation(writer: Writer, *, item: str, **_: Any) -> Lines:
    """Every answer beside the nation's, everybody first, then by group."""
    published = writer.published
    rows = published.rows(f"national_{item}")
    groups: Groups = {writer.texts["words"]["everybody"]: []}
    reasons, n_left_out = [], 0
    for domain in rows["domain"].unique():
        part = in_order(rows[rows["domain"] == domain], list(published.values(domain)),
                        column="domain_value")  # fmt: skip
        part = in_order(part, list(published.values(item)), column="item_value")
        for (code, value), _ in part.groupby(["item_value", "domain_value"], sort=False):
            found = published.nation(item, code, domain=domain, domain_value=value)
            if domain != "all" and is_hidden(found.get("percent", {"status": "suppressed"})):
                n_left_out += 1
                continue
            gap, ours = judged(found), found.get("percent")
            reasons += [gap["reason"]] if gap else []
            answer = published.answer_label(next(iter(found.values())))
            group, label = writer.texts["words"]["everybody"], answer
            if domain != "all":
                group = writer.text("axis_group", axis=writer.by_axis(domain), group=answer)
                label = published.group_label(domain, value)
            verdict = clean_text(gap["verdict"]) if gap else NONE
            groups.setdefault(group, []).append({
                "label": label, "ours": ours, "theirs": found.get("percent_benchmark"),
                "aged": found.get("percent_age_standardised", NONE), "gap": gap,
                "verdict": HIDDEN if not gap and is_hidden(ours) else verdict,
            })  # fmt: skip
    said = (published.about["benchmark"] or {}).get("caveat")
    context = {"item": item, "n_left_out": n_left_out, "reasons": sentences(reasons, known=said)}
    return Lines(groups, key=f"national_{item}", context=context)


def waves(writer: Writer, **_: Any) -> Lines:
    """Every question that both waves asked."""
    published, groups, reasons = writer.published, {}, []
    for item in published.items_of("waves_"):
        rows = published.rows(f"waves_{item}", domain="all")
        rows = in_order(rows.drop_duplicates("item_value"), list(published.values(item)),
                        column="item_value")  # fmt: skip
        lines = groups.setdefault(published.wording(item), [])
        for row in records(rows):
            found = published.change(item, row["item_value"])
            if not found["gap"] and any(map(is_hidden, found.values())):
                found["gap"] = HIDDEN
            lines.append({"label": published.answer_label(row), **found})
            reasons += [found["gap"]["reason"]] if isinstance(found["gap"], dict) else []
    return Lines(groups, context={"reasons": sentences(reasons)})


# --- models ---------------------------------------------------------------------------------------


def effects(writer: Writer, *, outcome: str, **_: Any) -> Lines:
    """Marginal effect and odds ratio of every level."""
    published, reference = writer.published, writer.texts["words"]["reference"]
    rows = published.rows(f"model_{outcome}")
    ratios = {
        (r["item"], r["item_value"]): r for r in records(rows[rows["measure"] == "odds_ratio"])
    }
    groups: Groups = {}
    for row in records(rows[rows["measure"] == "marginal_effect_points"]):
        is_base = row["mark"] == REFERENCE
        groups.setdefault(published.label(row["item"]), []).append({
            "label": published.level_label(row),
            "effect": reference if is_base else row,
            "ratio": reference if is_base else ratios.get((row["item"], row["item_value"])),
            "row": row,
        })  # fmt: skip
    return Lines(groups, key=f"effects_{outcome}", context={"outcome": outcome})


def sensitivity(writer: Writer, *, outcome: str, **_: Any) -> Lines:
    """The marginal effects of the model made in other ways, beside the model's own."""
    published, groups = writer.published, {}
    main = published.rows(f"model_{outcome}", measure="marginal_effect_points")
    others = published.rows(f"model_{outcome}__sensitivity", measure="marginal_effect_points")
    variants = others["domain_value"].unique().tolist()
    found = {(r["domain_value"], r["item"], r["item_value"]): r for r in records(others)}
    for row in records(main[main["mark"] != REFERENCE]) if variants else ():
        own = {f"*{v}": found.get((v, row["item"], row["item_value"])) for v in variants}
        line = {"label": published.level_label(row), "row": row, **own}
        groups.setdefault(published.label(row["item"]), []).append(line)
    names = writer.texts["words"]["variants"]
    columns = {variant: names.get(variant, variant) for variant in variants}
    key = f"sensitivity_{outcome}"
    return Lines(groups, key=key, context={"outcome": outcome}, columns=columns)


def merges(writer: Writer, **_: Any) -> Lines:
    """What was merged before the models were fitted."""
    published, groups = writer.published, {}
    whole = writer.texts["words"]["whole_model"]
    for row in records(published.rows("model_merges")):
        factor = whole if row["item"] == "model" else published.label(row["item"])
        name = writer.text("merged_for", outcome=row["domain_value"])
        group = groups.setdefault(name, {})
        text = HIDDEN if is_hidden(row) else clean_text(row["reason"])
        group[factor] = group.get(factor, "") + text
    lines = {
        group: [{"label": factor, "text": text} for factor, text in factors.items()]
        for group, factors in groups.items()
    }
    return Lines(lines, key="model_merges")


TABLES = {
    make.__name__: make
    for make in (
        indicators, questions, facts, definitions, ledger, weights, gt, means, cross,
        indicators_by_axis, nation, waves, effects, sensitivity, merges,
    )
}  # fmt: skip
