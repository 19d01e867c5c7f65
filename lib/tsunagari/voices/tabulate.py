"""How many name which trouble, and what resolved it: rows of estimates for the gate."""

from __future__ import annotations

import pandas as pd

from tsunagari import tables
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.statistics.designs import Design
from tsunagari.statistics.estimation import percents
from tsunagari.study.codebook import NO_ANSWER
from tsunagari.study.settings import Ever
from tsunagari.study.survey import Study
from tsunagari.voices.answers import Coded

EVER, NEVER = "ever", "never"
DEMAND_COLUMNS = (
    "item item_value item_label region percent lower upper persons residents n_unweighted status "
    "row_id"
).split()


def with_themes(
    study: Study, respondents: pd.DataFrame, *, coded: dict[str, Coded]
) -> pd.DataFrame:
    """Return the respondents with their themes, and with who has ever felt lonely.

    Args:
        study: The wave.
        respondents: Cleaned respondents, shape (n, any).
        coded: From `answers.code_study`, or the agreed codes of `sheet.settle`.
    """
    parts = [respondents, *(codes.table for codes in coded.values())]
    people = pd.concat(parts, axis=1)
    plan = study.config.themes and study.config.themes.ever
    if plan:
        item = study.items[plan.item]
        column = item.columns[list(item.options).index(plan.never)]
        is_never = (respondents[column] == 1).fillna(value=False)
        status = respondents[plan.item].astype("string")
        ever = status.mask(status == "answered", EVER).mask(is_never, NEVER)
        people[plan.name] = ever.where(ever.isin([EVER, NEVER]), status.map({NO_ANSWER: NO_ANSWER}))
    return people


def theme_tables(study: Study, people: pd.DataFrame, *, design: Design) -> pd.DataFrame:
    """Return the tables of themes and options that themes.yaml asks for.

    Args:
        study: The wave.
        people: From `with_themes`, shape (n, any).
        design: Their weights and design, n rows.

    Returns:
        Rows of the estimates table. Themes: gt_<question> and cross_<axis>__<question>, per cent of
        those who wrote something that can be read. Options: along further axes than 03 has.
        What resolved loneliness: gt_<ever>, cross_<by>__<ever> and, among those who have ever felt
        it, cross_<ever>__<item> and cross_<ever>_x_<by>__<item>. A question that nobody answered
        has no rows, nor has a study without themes.yaml.
    """
    plan = study.config.themes
    if plan is None:
        return pd.DataFrame(columns=ESTIMATE_COLUMNS)
    written = [n for n in plan.questions if (people[n] == "answered").any()]
    parts = [pd.DataFrame(columns=ESTIMATE_COLUMNS)]
    for name in written:
        item = study.items[name]
        values = item.indicators(people, base="answered")
        rows = percents(design, values, confidence=study.config.marks.confidence)
        parts.append(tables.label_rows(rows, item, table_id=f"gt_{name}"))
    plans = [(written, plan.axes), *(([name], axes) for name, axes in plan.crosses.items())]
    for names, axes in plans:
        if names and axes:
            along = [[axis] if isinstance(axis, str) else list(axis) for axis in axes]
            rows = tables.cross_tables(study, people, design=design, axes=along, crosses=names)
            parts.append(rows)
    if plan.ever is not None:
        parts.append(_resolved(study, people, design=design, plan=plan.ever))
    rows = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    return rows.assign(wave=study.year, weighting=design.scheme).reindex(columns=ESTIMATE_COLUMNS)


def _resolved(study: Study, people: pd.DataFrame, *, design: Design, plan: Ever) -> pd.DataFrame:
    """Return who has ever felt lonely, and among them what resolved it by kind of trouble.

    How many of a trouble have never felt it stands there too, so that the gate sees what the two
    bases differ by. A trouble of which that is a few people is left out: SDC-1 P6, P11.
    """
    ever, item, by = (study.items[name] for name in (plan.name, plan.item, plan.by))
    confidence, base = study.config.marks.confidence, study.config.tables.base
    felt = people[ever.name] == EVER
    ways = item.indicators(people, base="answered").drop(columns=plan.never)
    whether = ever.indicators(people, base=base)
    rows = percents(design, whether, confidence=confidence)
    parts = [tables.label_rows(rows, ever, table_id=f"gt_{ever.name}")]
    everybody = pd.DataFrame({ever.name: people[ever.name].where(felt)})
    rows = percents(design, ways, by=everybody, confidence=confidence)
    parts.append(tables.label_rows(rows, item, table_id=f"cross_{ever.name}__{item.name}"))
    for code, column in zip(by.options, by.columns, strict=True):
        if code in by.exclusive:
            continue
        has = (people[column] == 1).fillna(value=False)
        one = pd.DataFrame({by.name: pd.Series(code, index=people.index).where(has)})
        n_never = int((has & (people[ever.name] == NEVER)).sum())
        if not (has & felt).any() or 0 < n_never < study.config.disclosure.threshold:
            continue
        rows = percents(design, whether, by=one, confidence=confidence)
        parts.append(tables.label_rows(rows, ever, table_id=f"cross_{by.name}__{ever.name}"))
        both = pd.DataFrame({ever.name: EVER, by.name: one[by.name]}).where(has & felt)
        rows = percents(design, ways, by=both, confidence=confidence)
        table_id = f"cross_{ever.name}_x_{by.name}__{item.name}"
        parts.append(tables.label_rows(rows, item, table_id=table_id))
    return pd.concat(parts, ignore_index=True)


# --- what others read -----------------------------------------------------------------------------


def demand(study: Study, rows: pd.DataFrame, *, adults: pd.Series) -> pd.DataFrame:
    """Return how many of each region name each trouble: what supply is measured against.

    Args:
        study: The wave.
        rows: Rows of estimates, of the gate's output where it is to be published.
        adults: Adults of each region, persons, index the region's code.

    Returns:
        One row a trouble (option or theme) and region: item, item_value, item_label, region,
        percent, lower, upper, persons (of an option alone: a theme's percent is of those who
        wrote), residents (adults of the region), n_unweighted, status, row_id where there is one. A
        hidden row has no numbers.
    """
    plan, region = study.config.themes, study.config.design.region
    if plan is None:
        return pd.DataFrame(columns=DEMAND_COLUMNS)
    by_text = {question.options: name for name, question in plan.questions.items()}
    names = [plan.ever.by, by_text.get(plan.ever.by)] if plan.ever else [*plan.questions]
    is_there = (
        (rows["domain"] == region) & (rows["measure"] == "percent") & rows["item"].isin(names)
    )
    is_there &= rows["table_id"].str.startswith("cross_")
    found = rows[is_there].rename(columns={"domain_value": "region", "estimate": "percent"})
    residents = found["region"].map(adults)
    persons = found["percent"] / 100 * residents
    found = found.assign(
        residents=residents, persons=persons.where(~found["item"].isin([*plan.questions])).round(-2)
    )
    return found[DEMAND_COLUMNS].reset_index(drop=True)


def top_troubles(rows: pd.DataFrame, *, item: str, domain: str = "all", n: int = 3) -> pd.DataFrame:
    """Return the answers that most name, for everybody or in each category of an axis.

    Args:
        rows: Rows of estimates; hidden ones are left out.
        item: Question or themes.
        domain: Axis, or "all".
        n: Answers a category.
    """
    shown = rows[(rows["item"] == item) & (rows["domain"] == domain) & rows["estimate"].notna()]
    shown = shown[shown["measure"] == "percent"].sort_values("estimate", ascending=False)
    return shown.groupby("domain_value", sort=False).head(n).reset_index(drop=True)


def compared(study: Study, rows: pd.DataFrame, *, item: str) -> pd.DataFrame:
    """Return what the lonely name against the others: two shares and a difference a row.

    The difference is to everybody else, those without an answer on the axis included, as in every
    cross table; it may be a little off the two shares' own.

    Args:
        study: The wave; `themes.compared` names the axis, whose first category is the lonely.
        rows: Rows of estimates.
        item: Question or themes.

    Returns:
        item_value, item_label, of_first, of_other (per cent), difference, lower, upper (points);
        largest difference first.
    """
    if study.config.themes is None or study.config.themes.compared is None:
        return pd.DataFrame()
    axis = study.items[study.config.themes.compared]
    first, other = list(axis.options)[:2]
    own = rows[(rows["domain"] == axis.name) & (rows["item"] == item)]
    own = own[own["table_id"] == f"cross_{axis.name}__{item}"].set_index("item_value")
    shares = own[own["measure"] == "percent"]
    gaps = own[(own["measure"] == "difference_points") & (own["domain_value"] == first)]
    table = pd.DataFrame(
        {
            "item_label": gaps["item_label"],
            "of_first": shares.loc[shares["domain_value"] == first, "estimate"],
            "of_other": shares.loc[shares["domain_value"] == other, "estimate"],
            "difference": gaps["estimate"],
            "lower": gaps["lower"],
            "upper": gaps["upper"],
        }
    )
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].rename_axis("item_value").reset_index()
