"""What would another cross, comparison or model say? Asked in a notebook, judged as if released.

Nothing of it is saved. What the gate would hide is x with the gate's reason, so that a table may be
pasted as it stands; a release is judged together with all its other tables and may hide more.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from tsunagari import tables as plan
from tsunagari.errors import ConfigError, DisclosureError
from tsunagari.estimates import INDICATOR_VALUE, conform, is_kind, join
from tsunagari.gate.publish import judge_differences
from tsunagari.gate.questionnaire import read_questionnaire
from tsunagari.gate.rounding import round_published
from tsunagari.gate.suppression import apply_reasons, judge
from tsunagari.report import figures, findings, pictures, summary, tables
from tsunagari.report.blocks import REFERENCE, Cell, Picture, Table
from tsunagari.report.published import (
    Row,
    cross_id,
    first,
    is_hidden,
    keys_of,
    mark_of,
    records,
)  # fmt: skip
from tsunagari.report.shown import SHOWN, Shown, page_table, told, variable_label, writer_of
from tsunagari.report.writer import HIDDEN, Writer
from tsunagari.statistics.designs import Design
from tsunagari.statistics.merging import build_factors
from tsunagari.study.codebook import NO_ANSWER, Item, parse_condition
from tsunagari.study.survey import Study

MOST_GROUPS = 60  # of an axis: more are no table that anybody reads
_WORDS = SHOWN["another"]


# --- a question over an axis ----------------------------------------------------------------------


def cross(
    study: Study,
    respondents: pd.DataFrame,
    *,
    design: Design,
    question: str,
    axis: str,
    where: str = "",
) -> Shown:
    """Return one question over one axis or two: a sentence, a table and a figure.

    Args:
        study: The wave.
        respondents: Cleaned respondents, shape (n, any).
        design: Their weights and design, n rows; a filter keeps all of it, as for any domain.
        question: Variable with answers, of the codebook or derived; that of the first indicator
            where it is "".
        axis: Single-answer variable, or two such as "region x sex"; the plan's first where it is
            "".
        where: Whose answers count, such as "sex=2 & age_band=20s|30s"; codes or nets.

    Returns:
        Shares with interval, n and marks; the test of Rao and Scott; x where the gate would hide.

    Raises:
        ConfigError: A name or code that is not there, or a variable that cannot stand there.
        DisclosureError: The filter keeps, or leaves out, fewer people than a base needs.
    """
    own = next(iter(study.config.indicators.values()))
    item = _item(study, respondents, question or own.item)
    axis = axis or next(join(each) for each in study.axes if item.name not in each)
    names = _axis(study, respondents, axis, item=item)
    asked, condition = _asked(study, respondents, where, item=item)
    rows = pd.concat([
        plan.tabulate_all(study, asked, design=design, items=[item]),
        plan.cross_tables(study, asked, design=design, axes=[names], crosses=[item.name]),
        plan.cross_tests(study, asked, design=design, axes=[names], crosses=[item.name]),
    ])  # fmt: skip
    rows = rows.assign(wave=study.year, weighting=design.scheme)
    is_strict = bool(where) or len(names) > 1  # three variables or more: SDC-1 P2
    writer, reasons = _through_gate(study, rows, is_strict=is_strict, axes=[names])
    table = _cross_table(writer, reasons, item=item.name, axis=join(names), condition=condition)
    test = rows[rows["measure"] == "rao_scott_f"]
    said, picture = _findings(writer, test, item=item.name, axis=join(names), condition=condition)
    return Shown((told(*said), table, *picture))


def _through_gate(
    study: Study, rows: pd.DataFrame, *, is_strict: bool = False, **about: Any
) -> tuple[Writer, dict[str, str]]:
    """Return the writer of what the gate would show of these rows, and why it hides the others."""
    settings, known, table = study.config.disclosure, read_questionnaire(study), conform(rows)
    if is_strict:
        settings = settings.model_copy(update={"threshold_two_way": settings.threshold})
    reasons = judge(table, settings=settings, questionnaire=known)
    table = judge_differences(table, reasons, questionnaire=known, marks=study.config.marks)
    shown = round_published(apply_reasons(table, reasons, settings=settings))
    hidden = dict(zip(shown["row_id"], reasons, strict=True))
    return writer_of(study, shown, **about), hidden


def _cross_table(
    writer: Writer, reasons: dict[str, str], *, item: str, axis: str, condition: str
) -> Table:
    published, found = writer.published, {}
    rows = published.cross(axis, item=item)
    lines = [_line(records(published.gt(item)), writer.texts["words"]["everybody"], reasons)]
    groups = [
        _line(records(part), published.group_label(axis, value), reasons)
        for value, part in rows.groupby("domain_value", sort=False)
    ]
    found = {"": lines, writer.by_axis(axis): groups}
    shown = {code for each in (*lines, *groups) for code in each["codes"]}
    columns = {c: label for c, label in published.values(item).items() if f"*{c}" in shown}
    about = {"item": item, "n_left_out": 0, "is_multiple": published.is_multiple(item)}
    made = tables.Lines(found, key=f"cross_{item}", context=about, columns=columns)
    (table,) = tables.make_table(writer, "cross", lines=made)
    n = (
        lines[0]["base"]
        if isinstance(lines[0]["base"], str)
        else pictures.n_text(published.gt(item))
    )
    base = writer.texts["words"][published.about["base"]]
    caption = _WORDS["caption"].format(caption=table.caption, condition=condition, base=base, n=n)
    return replace(table, caption=caption, note=f"{table.note}{_legend(rows, reasons)}")


def _line(rows: list[Row], label: str, reasons: dict[str, str]) -> tables.Line:
    """Return a line of the cross; a hidden cell says why, and holds no number."""
    cells = {
        f"*{row['item_value']}": Cell(HIDDEN, _reason(row, reasons)) if is_hidden(row) else row
        for row in rows
    }
    bases = [row for row in rows if not is_hidden(row)]
    return {"label": label, "base": bases[0] if bases else HIDDEN, "codes": [*cells]} | cells


def _reason(row: Row, reasons: dict[str, str]) -> str:
    return str(reasons.get(row["row_id"], ""))


def _legend(rows: pd.DataFrame, reasons: dict[str, str]) -> str:
    """Return what the reasons mean, each once, and that a release may hide more."""
    codes = dict.fromkeys(_reason(row, reasons) for row in records(rows) if is_hidden(row))
    words = "、".join(f"{code}＝{_WORDS['reasons'].get(code, code)}" for code in codes if code)
    return (_WORDS["hidden"].format(words=words) if words else "") + _WORDS["trial"]


def _findings(
    writer: Writer, test: pd.DataFrame, *, item: str, axis: str, condition: str
) -> tuple[list[Markup], list[Picture]]:
    """Return what may be said of the answer that the question is about, and its picture."""
    published = writer.published
    everybody = published.gt(item)
    own = published.indicator_of(item)
    answer = published.value_of(own) if own else None
    answer = answer or next(iter(published.nets(item)), None) or everybody["item_value"].iloc[0]
    rows = published.cross(axis, item=item)
    rows = rows[rows["item_value"] == answer]
    shown = rows[rows["estimate"].notna()].sort_values("estimate", ascending=False)
    judged = first(published.rows(cross_id(axis, item), measure="rao_scott_f"))
    overall = first(everybody[everybody["item_value"] == answer])
    context = {
        "answer": published.values(item).get(answer, answer), "overall": overall,
        "is_hidden": is_hidden(overall), "rows": records(shown), "axis": axis,
        "marked": [row for row in records(shown) if mark_of(row)],
        "test": first(test), "is_test_hidden": is_hidden(judged),
        "alpha": 1 - published.about["marks"]["confidence"], "condition": condition, "item": item,
    }  # fmt: skip
    lines = (writer.say(template, **context) for template in _WORDS["sentences"])
    return _without_references(lines), _picture(writer, rows, overall=overall, context=context)


def _picture(
    writer: Writer, rows: pd.DataFrame, *, overall: Row | None, context: dict[str, Any]
) -> list[Picture]:
    if not findings.visible(rows):
        return []
    table = pictures.chart_rows(writer.published, rows, labels=writer.published.group_labels(rows))
    about = {"n": pictures.n_text(rows), "has_interval": True, "has_nation": False}
    foot = writer.text("figure_foot", **about, source=writer.text("source", **about))
    words = figures.Words(
        writer.words(_WORDS["figure"]["title"], **context),
        writer.words(_WORDS["figure"]["subtitle"], **context),
        foot,
        is_synthetic=writer.published.is_synthetic,
    )
    line = None if overall is None or is_hidden(overall) else float(overall["estimate"])
    label = writer.texts["words"]["everybody"] if line is not None else ""
    chart = figures.interval_dots(table, words=words, reference=line, reference_label=label)
    return [Picture(chart, keys_of(records(rows)))]


# --- one indicator against the nation and the last wave -------------------------------------------


def compare(study: Study, rows: pd.DataFrame, *, indicator: str) -> Shown:
    """Return one indicator against the nation and the last wave: a sentence and two tables.

    Args:
        study: The wave.
        rows: Rows of notebook 03: headline, national and wave tables.
        indicator: Its name in study.yaml; the first where it is "".

    Raises:
        ConfigError: There is no such indicator.
    """
    indicator = indicator or next(iter(study.config.indicators))
    _check_names([indicator], known=study.config.indicators)
    item = study.config.indicators[indicator].item
    everybody = is_kind(rows, "headline") & (rows["domain"] == "all") & (rows["item"] == indicator)
    wanted = rows["table_id"].isin([f"{kind}_{item}" for kind in ("gt", "national", "waves")])
    writer, _ = _through_gate(study, rows[everybody | wanted])
    published = writer.published
    known = published.estimates
    values = [published.value_of(indicator), INDICATOR_VALUE]
    is_own = known["item_value"].isin(values[:1]) | is_kind(known, "headline")
    writer = writer_of(study, known[is_own])
    name, context = summary.level(writer.published, indicator)
    said = _say(writer, [(name, context)]) if context["row"] else []
    parts = [page_table(writer, "nation", item=item), page_table(writer, "waves")]
    return Shown((told(*said), *(block for part in parts for block in part.blocks)))


def _say(writer: Writer, found: Iterable[tuple[str, dict[str, Any]]]) -> list[Markup]:
    """Return the report's own sentences."""
    lines = (line for name, context in found for line in writer.lines(name, **context))
    return _without_references(lines)


def _without_references(lines: Iterable[Markup]) -> list[Markup]:
    """Return sentences without their references to tables, which a notebook does not number."""
    return [Markup(REFERENCE.sub("", line)) for line in lines if line]


# --- another model --------------------------------------------------------------------------------


def model(
    study: Study,
    respondents: pd.DataFrame,
    *,
    design: Design,
    outcome: str,
    factors: str,
    minimum_events_per_parameter: float,
    minimum_events_per_level: int,
) -> Shown:
    """Return the model of another outcome and set of factors: sentences, figure and table.

    Args:
        study: The wave.
        respondents: Cleaned respondents, shape (n, any).
        design: Their weights and design, n rows.
        outcome: An indicator; one that the plan does not model where it is "".
        factors: Single-answer variables, such as "age_band sex dwelling"; the plan's, but the
            outcome's own question, where it is "".
        minimum_events_per_parameter: As in `tables.model_tables`.
        minimum_events_per_level: As in `tables.model_tables`.

    Raises:
        ConfigError: A name that is not there, or a variable that cannot be a factor.
    """
    known = study.config.model
    others = [name for name in study.config.indicators if name not in known.outcomes]
    outcome = outcome or next(iter([*others, *known.outcomes]))
    _check_names([outcome], known=study.config.indicators)
    asked = study.config.indicators[outcome].item
    wanted = _names(factors) or [name for name in known.factors if name != asked]
    names = [_item(study, respondents, name).name for name in wanted]
    if asked in names or len({*names}) < len(names) or not names:
        raise ConfigError("ANOTHER_FACTORS")
    own = known.model_copy(update={
        "outcomes": (outcome,), "factors": tuple(names),
        "reference": {n: code for n, code in known.reference.items() if n in names},
    })  # fmt: skip
    mine = replace(study, config=study.config.model_copy(update={"model": own}))
    report = plan.model_tables(
        mine,
        respondents,
        design=design,
        factors=build_factors(respondents, [study.items[name] for name in names]),
        minimum_events_per_parameter=minimum_events_per_parameter,
        minimum_events_per_level=minimum_events_per_level,
    )[outcome]
    writer, _ = _through_gate(study, pd.concat([report.rows, report.merges]))
    about = {"outcome": outcome}
    makers = (findings.model_size, findings.effects, findings.model_notes)
    said = [pair for make in makers for pair in make(writer.published, **about)]
    parts = [page_table(writer, "effects", **about), page_table(writer, "merges")]
    blocks = [block for part in parts for block in part.blocks]
    return Shown((told(*_say(writer, said)), *pictures.forest(writer, **about), *blocks))


# --- what an analyst may ask for ------------------------------------------------------------------


def _names(text: str) -> list[str]:
    return [name for name in re.split(r"\s*[,、×&]\s*|\s+x\s+|\s+", text.strip()) if name]


def _check_names(names: Iterable[str], *, known: Iterable[str]) -> None:
    """Refuse a name that is not there, and offer the nearest ones."""
    known = list(dict.fromkeys(known))
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            raise ConfigError("ANOTHER_UNKNOWN", name=name, near=", ".join(near or known[:12]))


def _item(study: Study, respondents: pd.DataFrame, name: str) -> Item:
    """Return a question that can be tabulated; an option's column stands for its question."""
    columns = study.codebook.columns
    _check_names([name], known=[*study.items, *columns.index])
    if name not in study.items and columns.loc[name, "type"] == "MA":
        name = columns.loc[name, "item"]
    item = study.items.get(name)
    if item is None or item.kind == "OA":
        raise ConfigError("ANOTHER_TEXT", name=name)
    if not item.options:
        rules = study.config.derive
        bands = ", ".join(n for n, rule in rules.items() if rule.bands_of == name)
        raise ConfigError("ANOTHER_NUMBER", name=name, bands=bands or "derive")
    own = item.indicators(respondents, base="answered") if name in respondents else None
    if own is None or own.iloc[:, 0].isna().all():
        raise ConfigError("ANOTHER_NOBODY", name=name)
    return item


def _axis(study: Study, respondents: pd.DataFrame, axis: str, *, item: Item) -> list[str]:
    """Return the variables of an axis."""
    found = [_item(study, respondents, name) for name in _names(axis)]
    names = [each.name for each in found]
    if len({*names, item.name}) <= len(names) or len(names) not in (1, 2):
        raise ConfigError("ANOTHER_AXIS.number")
    for each in found:
        if each.kind == "MA":
            raise ConfigError("ANOTHER_AXIS.multiple", name=each.name)
    n = int(np.prod([len(each.options) for each in found]))
    if n > MOST_GROUPS:
        raise ConfigError("ANOTHER_AXIS", name=axis, n=n, limit=MOST_GROUPS)
    return names


def _asked(
    study: Study, respondents: pd.DataFrame, where: str, *, item: Item
) -> tuple[pd.DataFrame, str]:
    """Return the answers of those alone who meet a condition, and the condition in words."""
    is_in, words = np.ones(len(respondents), dtype=bool), []
    for name, codes in parse_condition(where, where="FILTER"):
        is_option = name in study.codebook.columns.index and name not in study.items
        own = study.items.get(name) if not is_option else None
        own = own or _item(study, respondents, name)
        labels = {"0": _WORDS["unchosen"], "1": _WORDS["chosen"]} if is_option else own.labels
        known = {c: label for c, label in labels.items() if c != NO_ANSWER}
        if wrong := [code for code in codes if code not in known]:
            told_ = {"codes": ", ".join(wrong), "known": ", ".join(known)}
            raise ConfigError("ANOTHER_CODE", name=name, **told_)
        spread = [c for code in codes for c in (own.nets[code][1] if code in own.nets else [code])]
        is_in &= respondents[name].astype("string").isin(spread).to_numpy(bool)
        words.append(f"{variable_label(name, study=study)}＝{'・'.join(known[c] for c in codes)}")
    was_asked = item.indicators(respondents).notna().any(axis=1).to_numpy()
    n, limit = int((is_in & was_asked).sum()), study.config.disclosure.base_minimum
    if n < limit or 0 < was_asked.sum() - n < limit:
        raise DisclosureError("ANOTHER_FEW", limit=limit)
    asked = respondents.copy()
    asked.loc[~is_in, [item.name, *item.columns]] = pd.NA
    return asked, "、".join(words)
