"""What goes with a hidden cell: gaps, tests, means, ledger; and what leaves the plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from tsunagari.estimates import HIDDEN_COLUMNS, MODELS, conform, is_kind, join, outcome, split
from tsunagari.gate.linked import domain_pairs, is_counted, item_pairs
from tsunagari.gate.primary import BASE_UNDER_10, CELL_UNDER_10, DEPENDENT, SECONDARY, TABLE
from tsunagari.gate.questionnaire import Questionnaire
from tsunagari.study.settings import Disclosure

HIDDEN = "HIDDEN"  # the one reason a reader sees on every other hidden row

# Why a row shows no figure, in the order told, with the words for it.
LEFT_OUT = yaml.safe_load(Path(__file__).with_name("left_out.yaml").read_text(encoding="utf-8"))

_LEDGER_TOTALS = ("read", "quarantined")  # rows read = analysed + quarantined (by reason)


# --- the gate -------------------------------------------------------------------------------------

MODEL_DF_MINIMUM = 100  # residual; SDC-1 P15
DOMINANCE_N_EFFECTIVE = 4.0  # a Kish size above it rules out a share of 50 % or two of 75 % (P13)


def in_hidden_lines(rows: pd.DataFrame, hidden: pd.Series) -> pd.Series:
    """Return which rows are shares of an answer, or a group, that a cross table hides throughout.

    Args:
        rows: Rows of estimates.
        hidden: Whether each is hidden, on the same index.
    """
    own = rows[is_kind(rows, "cross") & (rows["measure"] == "percent")]
    answers, groups = (
        hidden[own.index].groupby([own[n] for n in ("wave", "table_id", line)], dropna=False)
        .transform("all")
        for line in ("item_value", "domain_value")
    )  # fmt: skip
    return (answers | groups).reindex(rows.index, fill_value=False)


def plain_reasons(estimates: pd.DataFrame, *, settings: Disclosure) -> pd.Series:
    """Return the reason of rows that their own base, weights or model forbids."""
    table = estimates["table_id"].fillna("")
    measure = estimates["measure"].fillna("")
    base, cell = estimates["n_unweighted"], estimates["n_cell"]
    counted, is_model = ~is_kind(estimates, "ledger"), is_kind(estimates, "model", "sensitivity")
    few_df = measure.isin(["odds_ratio", "marginal_effect_points"])
    few_df &= (_residual_df(estimates) < MODEL_DF_MINIMUM) & is_model
    few_df = is_model & table.isin(table[few_df])
    dominated = counted & (estimates["n_effective"] <= DOMINANCE_N_EFFECTIVE)
    is_count = (measure == "count") & counted
    group = table + "|" + estimates["item"].fillna("") + "|" + estimates["domain_value"].fillna("")
    is_merge = is_kind(estimates, "merges")
    merges = is_merge & group.isin(group[is_merge & (cell < settings.threshold)])
    conditions = {
        BASE_UNDER_10: counted & (base < settings.base_minimum),
        CELL_UNDER_10: (is_count & (cell < settings.threshold)) | merges | _few_beyond(estimates),
        "MODEL": few_df,
        "DOMINANCE": dominated,
    }
    reasons = pd.Series(index=estimates.index, dtype="str")
    for reason, where in conditions.items():
        reasons[where & reasons.isna()] = reason
    return reasons


def _residual_df(estimates: pd.DataFrame) -> pd.Series:
    """Return the people less the coefficients of a row's model; its own df where they are unknown.

    The rule guards against models that print cells; the design's df (sampling units) does not count
    people.
    """
    model = estimates["wave"].fillna("").astype(str) + "|" + outcome(estimates["table_id"])

    def fact(name: str) -> pd.Series:
        rows = (estimates["item"] == "model") & (estimates["item_value"] == name)
        return model.map(dict(zip(model[rows], estimates.loc[rows, "estimate"], strict=True)))

    return (fact("n") - fact("parameters") - 1).fillna(estimates["df"])


def _few_beyond(estimates: pd.DataFrame) -> pd.Series:
    """Return percentiles with fewer than 10 people beyond them (P14)."""
    is_quantile = estimates["measure"].fillna("").isin(["quantile", "median", "percentile"])
    q = pd.to_numeric(estimates["item_value"].where(is_quantile), errors="coerce").fillna(0.5)
    q = q.where(q <= 1, q / 100)
    return is_quantile & (estimates["n_unweighted"] * np.minimum(q, 1 - q) < 10 - 1e-6)


def hide_dependents(
    estimates: pd.DataFrame, reasons: pd.Series, *, questionnaire: Questionnaire, minimum: int
) -> pd.Series:
    """Hide what is computed from a hidden cell: totals, differences, comparisons, changes.

    Hidden means are of two groups and of 10 people at least together: what they are together is the
    total less the others.
    """
    measure = estimates["measure"].fillna("")
    # A model's level is people who answered all of its questions: no share follows from it.
    ours = ~is_kind(estimates, *MODELS, "ledger") & (measure != "percent_benchmark")
    keys = pd.Series(index=estimates.index, dtype=object)
    items = keys.copy()
    columns = ["domain", "domain_value", "item", "item_value"]
    for position, *texts in estimates.loc[ours, columns].fillna("").itertuples(name=None):
        domain, value, item, item_value = texts
        pairs = domain_pairs(domain or "all", value, questionnaire=questionnaire)
        own = item_pairs(item, item_value, questionnaire=questionnaire)
        keys[position], items[position] = tuple(sorted((*pairs, *own))), own
    wave = estimates["wave"].fillna("")
    both = pd.Series(list(zip(wave, keys, strict=True)), index=estimates.index)
    is_share = is_counted(estimates)
    elsewhere = set(both[is_share & reasons.isna()])  # of a table left out, but in another too
    hidden = reasons.notna() & is_share & ~((reasons == TABLE) & both.isin(elsewhere))
    dependent = ours & both.isin(set(both[hidden])) & reasons.isna()
    over_time = is_kind(estimates, "waves") & measure.str.startswith("difference")
    dependent |= over_time & keys.isin(set(keys[hidden])) & reasons.isna()
    dependent |= (
        _of_hidden_total(estimates, hidden, items=items, questionnaire=questionnaire)
        & reasons.isna()
    )
    dependent |= _of_left_out_level(estimates, reasons) & reasons.isna()
    reasons = reasons.mask(dependent, DEPENDENT)
    return _hide_further_means(estimates, reasons, minimum=minimum)


def _of_hidden_total(
    estimates: pd.DataFrame, hidden: pd.Series, *, items: pd.Series, questionnaire: Questionnaire
) -> pd.Series:
    """Return gaps that give a hidden share back with the shown one, and tests of hidden cells.

    A gap to everybody else gives the total back. Where the axis leaves out people of a code that
    the population does not know, it is a gap to the other categories and gives those back. F has
    digits enough to tell which counts of four cells fit.
    """
    table, measure = estimates["table_id"].fillna(""), estimates["measure"].fillna("")
    wave, domain = estimates["wave"].fillna("").astype(str), estimates["domain"].fillna("")
    answer = pd.Series(list(zip(wave, items, strict=True)), index=estimates.index)
    line = pd.Series(list(zip(answer, domain, strict=True)), index=estimates.index)
    missing = questionnaire.missing
    odd = {n for n, codes in questionnaire.outside.items() if set(codes) - set(missing.get(n, ()))}
    is_apart = domain.map(lambda text: bool(odd & set(split(text))))
    is_total = hidden & (domain == "all")
    tells = answer.isin(set(answer[is_total])) | (is_apart & line.isin(set(line[hidden])))
    is_gap = (measure == "difference_points") & is_kind(estimates, "cross", "headline")
    tables = wave + "|" + table
    is_test = (measure == "rao_scott_f") & tables.isin(set(tables[hidden]))
    return (is_gap & tells) | is_test


def _of_left_out_level(estimates: pd.DataFrame, reasons: pd.Series) -> pd.Series:
    """Return model rows that count, with others, the few people of a level that was left out."""
    item, value = estimates["item"].fillna(""), estimates["item_value"].fillna("")
    gone = is_kind(estimates, "merges") & reasons.notna()
    outcomes = set(estimates.loc[gone, "domain_value"])
    left_out = set(zip(estimates.loc[gone, "domain_value"], item[gone], strict=True))
    about = outcome(estimates["table_id"].fillna(""))
    pairs = pd.Series(list(zip(about, item, strict=True)), index=estimates.index)
    return (about.isin(outcomes) & (value == "listwise_deletion")) | (
        is_kind(estimates, "sensitivity") & pairs.isin(left_out)
    )


def _hide_further_means(estimates: pd.DataFrame, reasons: pd.Series, *, minimum: int) -> pd.Series:
    is_number = estimates["measure"].isin(["mean", "total"]) & ~is_counted(estimates)
    line = estimates["wave"].fillna("") + "|" + estimates["measure"].fillna("")
    for name in ("table_id", "domain", "item", "item_value"):
        line = line + "|" + estimates[name].fillna("")
    reasons = reasons.copy()
    for _, rows in estimates[is_number & (estimates["domain"] != "all")].groupby(line):
        parts = rows["domain_value"].map(split)
        for place in range(len(parts.iloc[0])):
            rest = parts.map(lambda p, place=place: join(p[:place] + p[place + 1 :]))
            for _, mates in rows.groupby(rest):
                sizes, gone = mates["n_unweighted"], reasons[mates.index].notna()
                for another in sizes[~gone].sort_values(kind="stable").index:
                    if (gone.sum() >= 2 and sizes[gone].sum() >= minimum) or not gone.any():
                        break
                    reasons[another], gone[another] = SECONDARY, True
    return reasons


def find_left_out(estimates: pd.DataFrame, reasons: pd.Series) -> pd.Series:
    """Return why a row leaves the released plan, missing where it stays.

    Differences and tests of a hidden share would stand there empty, and so would an answer or a
    group that is hidden throughout its table. Whether a share is small or stands in for a small one
    plays no part: the reader sees no more than that it is hidden.

    Args:
        estimates: Rows of estimates.
        reasons: From `judge`, on the same index.

    Returns:
        A key of `LEFT_OUT` but "hidden", or missing, shape (n_rows,).
    """
    hidden, measure = reasons.notna(), estimates["measure"]
    tables = estimates["wave"].fillna("").astype(str) + "|" + estimates["table_id"]
    is_gap = (measure == "difference_points") & is_kind(estimates, "cross", "headline")
    is_compared = is_kind(estimates, "national", "waves")
    conditions = {
        "table": tables.isin(set(tables[reasons == TABLE])),
        "line": in_hidden_lines(estimates, hidden),
        "gap": hidden & is_gap,
        "test": hidden & (measure == "rao_scott_f"),
        "comparison": hidden & is_compared & measure.str.startswith("difference"),
    }
    left_out = pd.Series(index=estimates.index, dtype="str")
    for reason, where in conditions.items():
        left_out[where & left_out.isna()] = reason
    return left_out


def count_left_out(shown: pd.DataFrame, left_out: pd.Series, *, wave: int) -> pd.DataFrame:
    """Return rows of table `gate`: how many figures are hidden, and left out by reason.

    Args:
        shown: Rows after `apply_reasons`.
        left_out: From `find_left_out`, on the same index.
        wave: Survey wave of the release.
    """
    why = left_out.mask(left_out.isna() & (shown["status"] == "suppressed"), "hidden")
    counts = why.value_counts().reindex(list(LEFT_OUT)).dropna()
    rows = pd.DataFrame({"item": counts.index, "estimate": counts.to_numpy(float)})
    labels = rows["item"].map(lambda reason: LEFT_OUT[reason]["ja"])
    rows = rows.assign(table_id="gate", measure="count", unit="rows", item_label=labels)
    everybody = {"wave": wave, "domain": "all", "domain_value": "all", "status": "published"}
    return conform(rows.assign(**everybody))


def status_of_base(base: pd.Series, *, settings: Disclosure) -> np.ndarray:
    """Return the status of shown rows by their base."""
    return np.select(
        [base < settings.base_reference, base < settings.base_low],
        ["reference", "low_base"],
        default="published",
    )


def hide_rows(estimates: pd.DataFrame, hidden: pd.Series) -> pd.DataFrame:
    """Return the table with these rows' numbers, marks and verdicts gone, and HIDDEN as reason.

    Args:
        estimates: Rows of estimates.
        hidden: True where a row is hidden, shape (n_rows,).
    """
    table = estimates.copy()
    hidden = pd.Series(hidden, index=table.index).fillna(value=False).astype(bool)
    for name in HIDDEN_COLUMNS:
        table[name] = table[name].mask(hidden)
    table.loc[hidden, "status"] = "suppressed"
    table.loc[hidden, "reason"] = HIDDEN
    return table


def hide_ledger(estimates: pd.DataFrame, *, threshold: int) -> pd.DataFrame:
    """Hide counts of rows under the threshold, and one more where a total would give one away.

    Rows read = analysed + quarantined, and quarantined = the sum over reasons. The number analysed
    is the base of every table, so it cannot be hidden; where the quarantined are few, the number
    read is hidden with them.

    Args:
        estimates: Rows of estimates; the ledger is `table_id` "ledger", `measure` "count", with
            `item_value` read, analysed, quarantined or a reason code.
        threshold: Smallest count shown; 0 is shown.
    """
    ledger = is_kind(estimates, "ledger") & (estimates["measure"] == "count")
    count, value = estimates["estimate"], estimates["item_value"]
    few = ledger & (count > 0) & (count < threshold)
    reasons = ledger & ~value.isin(("analysed", *_LEDGER_TOTALS))
    hidden = few & reasons
    secondary = pd.Series(data=False, index=estimates.index)
    totals = ledger & value.isin(_LEDGER_TOTALS)
    if hidden.sum() == 1 or (count[hidden].sum() < threshold and hidden.any()):
        others = count[reasons & ~hidden & (count > 0)]
        if len(others):
            secondary[others.idxmin()] = True
        else:
            secondary |= totals
    if (few & totals).any():
        secondary |= totals
    return hide_rows(estimates, hidden | secondary)
