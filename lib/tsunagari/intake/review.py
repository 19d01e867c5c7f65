"""What does an analyst look at after cleaning: item non-response, scales, drift."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tsunagari.intake import coding, multi_answer
from tsunagari.intake.cleaning import Cleaned, as_frame
from tsunagari.intake.deriving import derive_variables
from tsunagari.intake.judging import label_key, tidy_cell
from tsunagari.intake.received import RawResponses
from tsunagari.study.codebook import NO_ANSWER
from tsunagari.study.settings import Indicator
from tsunagari.study.survey import Study

HIGH_NONRESPONSE_PCT = 20.0  # above it a question is marked; standard MIS-04


# --- what an analyst looks at -------------------------------------------------------------------


def missing_by_item(respondents: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return how many were asked and how many gave no answer, by question; counts only.

    Args:
        respondents: Cleaned respondents, shape (n, any).
        study: The wave.

    Returns:
        One row a question: item, label, kind, n_asked, n_answered, n_refused (refused, don't know),
        n_no_answer, missing_pct (no answer or refused, of those asked), note (Japanese; where all
        or more than a fifth are missing).
    """
    rows = []
    for name, item in study.items.items():
        if item.kind not in ("SA", "MA", "NUM") or name in study.config.derive:
            continue
        if name not in respondents:  # themes, coded later
            continue
        column = respondents[name]
        if item.kind == "NUM":
            n_asked, n_refused, n_none = len(column), 0, int(column.isna().sum())
        else:
            n_asked = int((column.notna() & ~column.isin(item.not_asked)).sum())
            n_none = int(column.isin([NO_ANSWER, *item.no_answer]).sum())
            n_refused = int(column.isin(list(item.missing)).sum())
        n_answered = n_asked - n_none - n_refused
        share = 100 * (n_asked - n_answered) / n_asked if n_asked else 0.0
        note = "無回答が 20% をこえる" if share > HIGH_NONRESPONSE_PCT else ""
        note = "集計対象なし" if n_answered == 0 else note
        rows.append(
            (name, item.label, item.kind, n_asked, n_answered, n_refused, n_none, share, note)
        )
    names = "item label kind n_asked n_answered n_refused n_no_answer missing_pct note"
    return pd.DataFrame(rows, columns=names.split())


def scale_directions(respondents: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return pairs of items of one sum that go against each other: was one not reversed?

    Args:
        respondents: Cleaned respondents, shape (n, any).
        study: The wave.

    Returns:
        sum, item, other, correlation (Pearson, unweighted), only where it is negative.
    """
    rows = []
    for name, rule in study.config.derive.items():
        items = [item for item in rule.sum_of if item in respondents]
        codes = {
            i: respondents[i].map({c: float(c) for c in study.items[i].options}) for i in items
        }
        table = pd.DataFrame(codes, dtype=float).corr(min_periods=10)
        for place, item in enumerate(items):
            for other in items[place + 1 :]:
                if table.loc[item, other] < 0:
                    rows.append((name, item, other, float(table.loc[item, other])))
    return pd.DataFrame(rows, columns=["sum", "item", "other", "correlation"])


def quality_effect(cleaned: Cleaned, study: Study) -> pd.DataFrame:
    """Return what each rule of response quality does to the headline figures, unweighted.

    Args:
        cleaned: What `clean_responses` gave.
        study: The wave.

    Returns:
        One row a rule and indicator: rule, action, n_rows, indicator, with_pct (rows the rule hits
        counted), without_pct, difference_points.
    """
    rows = []
    for rule in study.config.quality:
        name = rule.rule.upper()
        hit = cleaned.flags.loc[cleaned.flags["flag"] == name, "file_row"]
        people, out = cleaned.respondents, cleaned.set_aside
        extra = out[out["reason_code"] == name].drop(columns="reason_code")
        if rule.action == "quarantine":
            hit = extra["file_row"]
            people = pd.concat([people, extra], ignore_index=True) if len(extra) else people
        without = people[~people["file_row"].isin(hit)]
        for indicator in study.config.indicators.values():
            pair = [_unweighted_pct(each, indicator, study=study) for each in (people, without)]
            label = indicator.short_label or indicator.label
            rows.append((name, rule.action, len(hit), label, *pair, pair[1] - pair[0]))
    names = "rule action n_rows indicator with_pct without_pct difference_points"
    return pd.DataFrame(rows, columns=names.split())


def _unweighted_pct(respondents: pd.DataFrame, indicator: Indicator, *, study: Study) -> float:
    shares = study.items[indicator.item].indicators(respondents, base=indicator.base)
    hit = shares[[c for c in indicator.codes if c in shares]].sum(axis=1, min_count=1)
    return float(100 * hit.mean()) if hit.notna().any() else np.nan


def compare_before_after(raw: RawResponses, cleaned: Cleaned, *, study: Study) -> pd.DataFrame:
    """Return the distribution of region, age and sex as delivered and as analysed; counts only.

    Args:
        raw: What `read_responses` gave.
        cleaned: What `clean_responses` gave.
        study: The wave.

    Returns:
        item, label, value, value_label, n_before, n_after, before_pct, after_pct. A code that
        is not the study's, or none, is "no_answer" before.
    """
    design = study.config.design
    nobody = np.zeros(len(raw.table), dtype=bool)  # what cleaning accepted does not stop here
    table = multi_answer.split_multiple(raw.table, study, counted=nobody)
    before = coding.code_cells(table, study, day_zero=raw.day_zero, counted=nobody)
    frame = as_frame(before, [design.region, design.age_band, design.sex], study=study)
    frame = derive_variables(frame, study)
    parts = []
    for name in filter(None, (design.region, design.age_band, design.sex)):
        item, after = study.items[name], cleaned.respondents[name]
        labels = _all_labels(study, name) | {NO_ANSWER: item.labels[NO_ANSWER]}
        codes = list(labels)
        counts = [frame[name].value_counts(), after.value_counts()]
        part = pd.DataFrame({"value": codes}).assign(item=name, label=item.short_label)
        part["value_label"] = part["value"].map(labels)
        for when, count in zip(("before", "after"), counts, strict=True):
            part[f"n_{when}"] = part["value"].map(count).fillna(0).astype(int)
            part[f"{when}_pct"] = 100 * part[f"n_{when}"] / max(part[f"n_{when}"].sum(), 1)
        parts.append(part[(part["n_before"] > 0) | (part["n_after"] > 0)])
    names = "item label value value_label n_before n_after before_pct after_pct".split()
    return pd.concat(parts, ignore_index=True)[names]


def save_cleaned(cleaned: Cleaned, raw: RawResponses, *, study: Study) -> None:
    """Write every table of cleaning under private/: nothing of it leaves the machine as it is.

    Args:
        cleaned: What `clean_responses` gave.
        raw: The file it was made from; its facts go to inputs.json.
        study: The wave.
    """
    counts = cleaned.cells.groupby(["variable", "reason_code"], as_index=False).size()
    study.save("private/respondents.parquet", cleaned.respondents)
    study.save("private/quarantine.csv", cleaned.quarantine)
    study.save("private/ledger.csv", cleaned.ledger)
    study.save("private/cells.csv", counts.rename(columns={"size": "n_cells"}))
    study.save("private/cell_rows.csv", cleaned.cells)
    study.save("private/repairs.csv", cleaned.repairs)
    study.save("private/flags.csv", cleaned.flags)
    study.save("private/inputs.json", raw.facts)


# --- drift between waves ------------------------------------------------------------------------


def compare_codebooks(study: Study, previous: Study) -> pd.DataFrame:
    """Return what came, went or changed between two waves' codebooks.

    Args:
        study: This wave.
        previous: The earlier wave.

    Returns:
        item, change (item_new, item_gone, version_changed, code_new, code_gone, label_changed,
        order_changed, scale_changed, base_changed), detail (codes concerned), comparable: False
        where the series of the item is cut.
    """
    rows = []
    ours, theirs = study.items, previous.items
    for name in dict.fromkeys([*theirs, *ours]):
        if name not in theirs:
            rows.append((name, "item_new", "", False))
        elif name not in ours:
            rows.append((name, "item_gone", "", False))
        else:
            rows += _compare_item(name, study=study, previous=previous)
    return pd.DataFrame(rows, columns=["item", "change", "detail", "comparable"])


def _compare_item(name: str, *, study: Study, previous: Study) -> list[tuple[str, str, str, bool]]:
    now, then = study.items[name], previous.items[name]
    found = []
    if now.version != then.version:
        found.append((name, "version_changed", f"{then.version} -> {now.version}", False))
    codes, old = _all_labels(study, name), _all_labels(previous, name)
    came, went = [c for c in codes if c not in old], [c for c in old if c not in codes]
    both = [c for c in codes if c in old]
    reworded = [c for c in both if label_key(codes[c]) != label_key(old[c])]
    cut = now.version != then.version
    if came:
        found.append((name, "code_new", ", ".join(came), False))
    if went:
        found.append((name, "code_gone", ", ".join(went), False))
    if reworded:
        found.append((name, "label_changed", ", ".join(reworded), False))
    if both != [c for c in old if c in codes]:
        found.append((name, "order_changed", "", False))
    if tidy_cell(now.label) != tidy_cell(then.label) and not cut:
        found.append((name, "wording_changed", "", False))
    for change, column in (("scale_changed", "scale"), ("base_changed", "ask_if")):
        pair = [_first(s, name, column=column) for s in (previous, study)]
        if pair[0] != pair[1]:
            found.append((name, change, "", False))
    return found


def _all_labels(study: Study, item: str) -> dict[str, str]:
    """Return the label of every code of an item, answers or not, in questionnaire order."""
    mine = study.codebook.codes[study.codebook.codes["item"] == item]
    listed = dict(zip(mine["code"], mine["code_label"], strict=True))
    return listed or dict(study.items[item].options)


def _first(study: Study, item: str, *, column: str) -> str:
    mine = study.codebook.columns.loc[study.codebook.columns["item"] == item, column]
    return mine.iloc[0] if len(mine) else ""
