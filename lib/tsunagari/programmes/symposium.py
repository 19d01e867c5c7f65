"""Who came to an event and what did they say: margins alone, shares with their n or without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, test_proportions_2indep
from statsmodels.stats.weightstats import DescrStatsW

from tsunagari.programmes.records import Records
from tsunagari.programmes.rows import TOP, finish, row, share, source_of, unit_of, word

BEFORE, AFTER = "前", "後"
CHANGE = "change"  # item_value: after less before
NO_ANSWER = "no_answer"
ANSWERED = "answered"  # item_value: how many answered a question
_PAIRED_MINIMUM = 10  # people; no change is computed of fewer


def measure(records: Records, *, year: int, confidence: float = 0.95) -> pd.DataFrame:
    """Return the figures of every event: attendance, questionnaires, changes of awareness.

    `item` is "<event> <dimension>" or "<event> <question> <前|後>". Margins stand as they were
    recorded: no table of two of them is made up. A published share without n has no interval.

    Args:
        records: Tables events, event_counts, event_survey, event_answers.
        year: The wave.
        confidence: Of the intervals.

    Returns:
        Rows of estimates, table_id programme_symposium; before the small-count rules.
    """
    rows = [*_attendance(records.table("event_counts"))]
    survey, answers = records.table("event_survey"), records.table("event_answers")
    for (event, question, wave), options in survey.groupby(["event_id", "question_id", "wave"]):
        when = wave or AFTER
        item = f"{event} {question} {when}"
        said = answers[
            (answers["event_id"] == event)
            & (answers["question_id"] == question)
            & (answers["wave"].replace("", AFTER) == when)
        ]
        if len(said):
            options = _counted(options, said)
        rows += _question(item, options, confidence=confidence)
    rows += _changes(survey, answers, confidence=confidence)
    return finish(rows, table="symposium", year=year)


def _attendance(counts: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for one in counts.to_dict("records"):
        said = [
            word(name)
            for name, is_so in (
                ("approximate", one["is_approximate"] == "有"),
                ("unit_unknown", one["unit"] == "不明"),
                ("margins_only", one["dimension"] != "合計"),
            )
            if is_so
        ]
        yield row(
            f"{one['event_id']} {one['dimension']}",
            f"{one['category']} {one['count_kind']}",
            measure="count",
            unit=unit_of(one["unit"]),
            item_label=f"{one['category']}（{one['count_kind']}）",
            estimate=one["count"],
            reason="。".join(said),
            source=source_of(pd.DataFrame([one])),
        )


def _counted(options: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Return a question's options with their counts from answers by person, no answer included."""
    people = answers.groupby("answer_code")["respondent_id"].nunique()
    n = answers["respondent_id"].nunique()
    table = options.assign(valid_n=n, count=options["answer_code"].map(people).fillna(0.0))
    if people.get("", 0):
        blank = options.iloc[[0]].assign(answer_code=NO_ANSWER, answer_label=word("no_answer"))
        blank = blank.assign(count=float(people[""]), is_top_box="", valid_n=n)
        table = pd.concat([table, blank], ignore_index=True)
    return table


def _question(item: str, options: pd.DataFrame, *, confidence: float) -> Iterator[dict[str, Any]]:
    """Yield the shares of one question's answers, and of those that count as its top box."""
    source = source_of(options)
    for one in options.to_dict("records"):
        said = {"item_label": one["answer_label"], "source": source}
        yield _share(item, one["answer_code"], one=one, confidence=confidence, **said)
    top, text = options[options["is_top_box"] == "有"], options["question_text"].iloc[0]
    if len(top) and (options["is_multiple"] != "有").all():
        together = {"count": top["count"].sum(min_count=len(top)), "valid_n": top["valid_n"].max()}
        together["share_pct"] = top["share_pct"].sum(min_count=len(top))
        label = f"{text}（{'・'.join(top['answer_label'])}）"
        yield _share(
            item, TOP, one=together, confidence=confidence, item_label=label, source=source
        )
    elif (n := options["valid_n"].max()) > 0:  # nothing else says what was asked
        yield row(
            item, ANSWERED, measure="count", unit="persons", estimate=n, n_unweighted=n,
            item_label=word(ANSWERED).format(question=text), source=source,
        )  # fmt: skip


def _share(item: str, value: str, *, one: dict[str, Any], **told: Any) -> dict[str, Any]:
    """Return a share from its count and n, or as published: with its n an interval, else none."""
    n, count = one["valid_n"], one["count"]
    if n > 0 and np.isnan(count) and not np.isnan(one["share_pct"]):
        count = one["share_pct"] / 100 * n
    if n > 0 and not np.isnan(count):
        found = share(item, value, count=count, n=n, **told)
        # A published share stays what it was, and is nobody's own count.
        published = {"estimate": one["share_pct"], "n_cell": np.nan}
        published |= {"reason": word("as_published")}
        return found | (published if not np.isnan(one["share_pct"]) else {})
    told.pop("confidence")
    said = {"estimate": one["share_pct"], "reason": word("n_unknown")}
    return row(item, value, measure="percent", unit="percent", **said, **told)


def _changes(
    survey: pd.DataFrame, answers: pd.DataFrame, *, confidence: float
) -> Iterator[dict[str, Any]]:
    """Yield the change of a top box from before to after, of the same people only where linked."""
    for (event, question), options in survey.groupby(["event_id", "question_id"]):
        if set(options["wave"]) != {BEFORE, AFTER}:
            continue
        top = set(options.loc[options["is_top_box"] == "有", "answer_code"])
        said = answers[(answers["event_id"] == event) & (answers["question_id"] == question)]
        is_top = said.assign(top=said["answer_code"].isin(top)).query("answer_code != ''")
        wide = is_top.pivot_table(
            index="respondent_id", columns="wave", values="top", aggfunc="max"
        )
        if not {BEFORE, AFTER} <= set(wide) or not top:
            continue
        linked = (options["linked_persons"] == "有").all()
        found = (_paired if linked else _independent)(wide, confidence)
        if found:
            text = word("same_people" if linked else "other_people")
            yield row(
                f"{event} {question}",
                CHANGE,
                measure="difference_points",
                unit="points",
                item_label=options["question_text"].iloc[0],
                reason=text,
                source=source_of(options),
                **found,
            )


def _paired(wide: pd.DataFrame, confidence: float) -> dict[str, float]:
    """Return the mean change of the same people, its t interval, and McNemar's exact test."""
    both = wide.dropna().astype(float)
    if len(both) < _PAIRED_MINIMUM:
        return {}
    change = DescrStatsW(100 * (both[AFTER] - both[BEFORE]))
    lower, upper = change.tconfint_mean(alpha=1 - confidence)
    table = pd.crosstab(both[BEFORE], both[AFTER]).reindex([0.0, 1.0], axis=0, fill_value=0)
    table = table.reindex([0.0, 1.0], axis=1, fill_value=0)
    p_value = mcnemar(table.to_numpy(), exact=True).pvalue
    bounds = {"lower": lower, "upper": upper, "p_value": p_value}
    return {"estimate": change.mean, "n_unweighted": float(len(both))} | bounds


def _independent(wide: pd.DataFrame, confidence: float) -> dict[str, float]:
    """Return the difference of two samples with Newcombe's interval and the score test."""
    before, after = wide[BEFORE].dropna(), wide[AFTER].dropna()
    if min(len(before), len(after)) < _PAIRED_MINIMUM:
        return {}
    counts = (float(after.sum()), len(after), float(before.sum()), len(before))
    bounds = confint_proportions_2indep(*counts, method="newcomb", alpha=1 - confidence)
    p_value = test_proportions_2indep(*counts, method="score").pvalue
    estimate = 100 * (counts[0] / counts[1] - counts[2] / counts[3])
    n = float(min(len(before), len(after)))
    lower, upper = (100 * bound for bound in bounds)
    found = {"estimate": estimate, "lower": lower, "upper": upper}
    return found | {"p_value": p_value, "n_unweighted": n}
