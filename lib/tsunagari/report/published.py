"""What was published of one wave, and which of its rows a question, an axis or an indicator has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.errors import InputError
from tsunagari.estimates import (
    ESTIMATE_COLUMNS,
    HIDDEN_COLUMNS,
    NUMBERS,
    conform,
    is_kind,
    join,
    restore_lines,
    split,
)
from tsunagari.gate.words import clean_text
from tsunagari.statistics.comparison import UNVERIFIED
from tsunagari.statistics.verdicts import ABOVE, BELOW, HIGHER, LOWER
from tsunagari.study.codebook import NO_ANSWER
from tsunagari.study.files import check_wave, processed_dir, read_table

Row = Mapping[str, Any]  # one row of estimates, by column
NO_SURVEY = {  # what about.json does not say of a study that has records alone
    "publication": dict.fromkeys(("publisher", "stage", "contact", "next_report")),
    "fieldwork": "", "mode": "", "population_date": "", "population_note": "",
    "weighting_label": "", "error_note": "", "base": "asked", "benchmark": None,
    "region": "", "regions": [], "axes": [], "crosses": [], "variables": {}, "indicators": {},
    "report": {"loneliness": [], "ties": [], "others": []},
    "joint": [], "linked": None,
}  # fmt: skip
RECORDS = ("ledger", "plan", "plan_review", "actions", "logic", "events", "meetings", "publicity")
_GROUP = ("table_id", "domain", "domain_value", "item", "item_value")
STANDARDISED = "difference_points_age_standardised"


def records(rows: pd.DataFrame) -> list[Row]:
    """Return rows as dictionaries; DataFrame.to_dict takes ten times as long on short tables."""
    columns = [rows[name].tolist() for name in rows.columns]
    return [dict(zip(rows.columns, values, strict=True)) for values in zip(*columns, strict=True)]


def cross_id(axis: str, item: str) -> str:
    """Return the table_id of a question, or of two jointly, over an axis of one variable or two."""
    return f"cross_{axis}__{item}".replace(" x ", "_x_")


def first(rows: pd.DataFrame) -> Row | None:
    """Return the first row, or None."""
    return None if rows.empty else records(rows.iloc[:1])[0]


def is_hidden(row: Row | None) -> bool:
    """Whether there is a row and the gate hid it."""
    return row is not None and row["status"] == "suppressed"


def keys_of(rows: Iterable[Row | None]) -> tuple[str, ...]:
    """Return the keys of the rows that something shows."""
    return tuple(dict.fromkeys(row["row_id"] for row in rows if row and not is_hidden(row)))


def is_drawable(row: Row | None) -> bool:
    """Whether a national figure may be drawn: it is shown, and its source is verified."""
    return row is not None and not is_hidden(row) and row["certainty"] != UNVERIFIED


def mark_of(row: Row) -> str:
    """Return ▲, ▽ or nothing."""
    return row["mark"] if row["mark"] in (ABOVE, BELOW) else ""


def in_order(rows: pd.DataFrame, order: list[str], *, column: str) -> pd.DataFrame:
    """Return rows in the order of a column's codes, unknown ones last."""
    places = {code: place for place, code in enumerate(order)}
    ranks = rows[column].map(places).fillna(len(order))
    return rows.loc[ranks.sort_values(kind="stable").index]


@dataclass(frozen=True)
class Published:
    """All that a report may know of one wave.

    Attributes:
        estimates: published/estimates.csv, one row a figure; a number, mark or verdict that a
            suppressed row holds by mistake is dropped here, at the door. the ids are made anew.
        about: published/about.json.
        records: What notebook 06 published beside its figures, by file; none without records.
    """

    estimates: pd.DataFrame
    about: dict[str, Any]
    records: dict[str, pd.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "about", NO_SURVEY | self.about)
        table = conform(self.estimates)
        hidden = (table["status"] == "suppressed").to_numpy(bool)
        gone = {n: np.nan if n in NUMBERS else "" for n in HIDDEN_COLUMNS}
        table = table.assign(**{name: table[name].mask(hidden, to) for name, to in gone.items()})
        # object: a page looks at thousands of short tables; Arrow strings take far longer there.
        texts = [name for name in ESTIMATE_COLUMNS if name not in NUMBERS]
        table[texts] = table[texts].fillna("").astype(object)
        table["wave"] = pd.to_numeric(table["wave"], errors="coerce")
        object.__setattr__(self, "estimates", table)

    # what the study says

    @property
    def year(self) -> int:
        """Survey wave."""
        return self.about["year"]

    @property
    def is_synthetic(self) -> bool:
        """Whether any input, an earlier wave included, is synthetic."""
        return self.about["is_synthetic"]

    @property
    def has_survey(self) -> bool:
        """Whether the study asked anybody."""
        return self.about.get("has_survey", True)

    def told(self, name: str) -> list[Row]:
        """Return the lines of a file of the records, texts cleaned; none where it is not there."""
        table = self.records.get(name, pd.DataFrame())
        return [{k: clean_text(v) for k, v in row.items()} for row in records(table.fillna(""))]

    @cached_property
    def kpis(self) -> dict[str, dict[str, Any]]:
        """The ledger's lines with the rows of their numbers, by id."""
        ids = dict(zip(self.estimates["row_id"], self.estimates.index, strict=True))
        found = {}
        for line in self.told("ledger"):
            rows = records(self.rows("kpi", item=line["kpi_id"]))
            own = {row["measure"]: row for row in rows}
            if line["figure_row_id"] in ids:
                own["actual"] = records(self.estimates.loc[[ids[line["figure_row_id"]]]])[0]
            found[line["kpi_id"]] = line | {"rows": own}
        return found

    @property
    def indicators(self) -> dict[str, dict[str, Any]]:
        """What is known of every indicator, by name."""
        return self.about["indicators"]

    @property
    def voices(self) -> dict[str, Any]:
        """The questions on troubles and ways out, and the axes that they are told by."""
        return self.about["voices"] or {"questions": [], "region": "", "compared": None}

    def axes(self, *, but: str = "", has_nested: bool = True) -> list[str]:
        """Return the axes as they stand in `domain`, but for those that hold a question."""
        found = [axis for axis in self.about["axes"] if but not in axis]
        return [join(axis) for axis in found if has_nested or len(axis) == 1]

    def variable(self, name: str) -> dict[str, Any]:
        """Return what is known of a variable or indicator."""
        return self.about["variables"].get(name) or self.indicators.get(name, {})

    def label(self, name: str) -> str:
        """Return a variable's or indicator's short label; its name where it has none."""
        known = self.variable(name)
        return clean_text(known.get("short_label") or known.get("label") or name)

    def wording(self, name: str) -> str:
        """Return a variable's wording; its short label where it has none."""
        return clean_text(self.variable(name).get("label") or self.label(name))

    def values(self, variable: str) -> dict[str, str]:
        """Return the labels of a variable's codes and nets, in questionnaire order."""
        return self._values.get(variable, {})

    @cached_property
    def _values(self) -> dict[str, dict[str, str]]:
        return {
            name: {str(code): clean_text(label) for code, label in known.get("values", {}).items()}
            for name, known in self.about["variables"].items()
        }

    def nets(self, variable: str) -> dict[str, list[str]]:
        """Return the codes of every net of a variable."""
        return self.variable(variable).get("nets", {})

    def role(self, variable: str, code: str) -> str:
        """Return a code's role in the codebook, such as no_answer, exclusive or other."""
        if code == NO_ANSWER:
            return "no_answer"
        return self.variable(variable).get("roles", {}).get(code, "answer")

    def is_answer(self, variable: str, code: str) -> bool:
        """Whether a code says something: neither no answer, refused nor don't know."""
        return self.role(variable, code) not in ("no_answer", "refused", "dont_know")

    def is_multiple(self, item: str) -> bool:
        """Whether several answers could be chosen."""
        return self.variable(item).get("kind") == "MA"

    def value_of(self, indicator: str) -> str | None:
        """Return the code or net of the indicator's question that says the same."""
        known = self.indicators[indicator]
        codes = [str(code) for code in known["item_values"]]
        nets = {net: sorted(map(str, of)) for net, of in self.nets(known["item"]).items()}
        same = [net for net, of in nets.items() if of == sorted(codes)]
        return codes[0] if len(codes) == 1 else next(iter(same), None)

    def indicator_of(self, item: str) -> str | None:
        """Return the first indicator of a question that is one of its codes or nets."""
        mine = (name for name, each in self.indicators.items() if each["item"] == item)
        return next((name for name in mine if self.value_of(name) is not None), None)

    def values_of(self, item: str) -> list[str]:
        """Return the codes and nets of a question that its indicators say."""
        names = [name for name, each in self.indicators.items() if each["item"] == item]
        return [value for name in names if (value := self.value_of(name)) is not None]

    def answer_label(self, row: Row) -> str:
        """Return the label of a row's answer."""
        known = self.values(row["item"]).get(row["item_value"])
        return known or clean_text(row["item_label"] or row["item_value"])

    def level_label(self, row: Row) -> str:
        """Return the label of a model row's level."""
        return clean_text(row["item_label"]) or self.answer_label(row)

    def axis_label(self, axis: str) -> str:
        """Return an axis's label, such as 年代×性別."""
        return "×".join(self.label(name) for name in split(axis))

    def group_label(self, domain: str, value: str) -> str:
        """Return the label of a domain's value; nested ones are joined by ・."""
        pairs = zip(split(domain), split(str(value)), strict=False)
        return "・".join(self.values(name).get(code, clean_text(code)) for name, code in pairs)

    def group_labels(self, rows: pd.DataFrame) -> list[str]:
        """Return the label of every row's group."""
        pairs = zip(rows["domain"], rows["domain_value"], strict=True)
        return [self.group_label(domain, value) for domain, value in pairs]

    # rows

    def items_of(self, prefix: str) -> list[str]:
        """Return the questions that have a table of a kind, such as gt_ or national_."""
        return [table.removeprefix(prefix) for table in self._tables if table.startswith(prefix)]

    def rows(self, table_id: str, **equal: Any) -> pd.DataFrame:
        """Return the rows of a table where every named column has the given value."""
        table = self._tables.get(table_id, self.estimates.iloc[:0])
        for column, value in equal.items():
            table = table[table[column] == value]
        return table

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        return dict(tuple(self.estimates.groupby("table_id", sort=False)))

    def this_wave(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of this wave, and those of none."""
        return rows[rows["wave"].isna() | (rows["wave"] == self.year)]

    @cached_property
    def previous(self) -> int | None:
        """The wave that this one is compared with."""
        waves = self.estimates.loc[is_kind(self.estimates, "waves"), "wave"]
        waves = waves[waves < self.year]
        return int(waves.max()) if len(waves) else None

    def gt(self, item: str, *, has_nets: bool = True) -> pd.DataFrame:
        """Return the percents of one question over everybody, in questionnaire order."""
        rows = self.this_wave(self.rows(f"gt_{item}", measure="percent", domain="all"))
        if not has_nets:
            rows = rows[~rows["item_value"].isin(self.nets(item))]
        return in_order(rows, list(self.values(item)), column="item_value")

    def chapter(self, name: str) -> list[str]:
        """Return the questions that a chapter goes through, those that have a table of percents.

        The appendix has all, `crosses` those of the indicators, both in the order of the codebook;
        for other chapters the study says it.
        """
        chapters, every = self.about["report"], self.about["variables"]
        headline = {known["item"] for known in self.indicators.values()}
        names = {
            "appendix": [*every],
            "crosses": [item for item in every if item in headline],
        } | chapters
        return [item for item in dict.fromkeys(names[name]) if len(self.gt(item))]

    @property
    def outcomes(self) -> list[str]:
        """The indicators that have a model."""
        return [name for name in self.items_of("model_") if name in self.indicators]

    def indicator(self, name: str) -> Row | None:
        """Return an indicator's percent over everybody."""
        rows = self.rows("headline", measure="percent", domain="all", item=name)
        return first(self.this_wave(rows))

    def cross(self, axis: str, *, item: str) -> pd.DataFrame:
        """Return the percents of a question, or of two jointly, over an axis, in order."""
        return self._by_groups(cross_id(axis, item), axis=axis, item=item)

    def indicator_by(self, axis: str, *, name: str) -> pd.DataFrame:
        """Return an indicator's percents over an axis: of headline, else of its question."""
        rows = self._by_groups("headline", axis=axis, item=name)
        if len(rows):
            return rows
        rows = self.cross(axis, item=self.indicators[name]["item"])
        return rows[rows["item_value"] == self.value_of(name)]

    @cached_property
    def _groups(self) -> dict[tuple[str, str, str], pd.DataFrame]:
        """Tables already put in order, by table, axis and item."""
        return {}

    def _by_groups(self, table_id: str, *, axis: str, item: str) -> pd.DataFrame:
        key = (table_id, axis, item)
        if key not in self._groups:
            rows = self.this_wave(self.rows(table_id, domain=axis, item=item, measure="percent"))
            if table_id != "headline":
                groups = self.estimates.loc[self.estimates["domain"] == axis, "domain_value"]
                rows = restore_lines(
                    rows, groups=groups.unique(), answers=self.gt(item)["item_value"]
                )
            self._groups[key] = self._ordered(rows, axis=axis)
        return self._groups[key]

    def _ordered(self, rows: pd.DataFrame, *, axis: str) -> pd.DataFrame:
        """Return rows by their groups, in questionnaire order; no answer is no group."""
        names = split(axis)
        for place, name in reversed(list(enumerate(names))):
            part = rows["domain_value"].str.split(" x ").str[place]
            order = [code for code in self.values(name) if code != NO_ANSWER]
            for net, codes in self.nets(name).items():
                if net in order and not part.isin(codes).any():  # it stands for them
                    order.remove(net)
                    order.insert(order.index(codes[0]), net)
            rows, part = (each[part.isin(order) | (not order)] for each in (rows, part))
            rows = in_order(rows.assign(part=part), order, column="part").drop(columns="part")
        return rows

    @cached_property
    def _tested(self) -> set[tuple[str, ...]]:
        """Key columns of every difference to everybody else whose test is shown."""
        rows = self.estimates
        rows = self.this_wave(rows[rows["measure"] == "difference_points"])
        shown = rows["estimate"].notna() & rows["p_adjusted"].notna()
        return set(rows.loc[shown, list(_GROUP)].itertuples(index=False, name=None))

    def tested(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the percents whose difference to everybody else was tested and is shown.

        Of no others may a sentence say that a difference was, or was not, confirmed.
        """
        keys = rows[list(_GROUP)].itertuples(index=False, name=None)
        return rows[np.array([key in self._tested for key in keys], dtype=bool)]

    def nation(self, item: str, value: str | None, **domain: str) -> dict[str, Row]:
        """Return the rows of one answer against the nation, by measure."""
        where = {"domain": "all", "domain_value": "all"} | domain
        rows = self.rows(f"national_{item}", item_value=value, **where)
        return {row["measure"]: row for row in records(rows)}

    def change(self, item: str, value: str | None) -> dict[str, Row | None]:
        """Return this wave's and the last one's percent of an answer, and their difference."""
        rows = self.rows(f"waves_{item}", item_value=value, domain="all")
        percents = rows[rows["measure"] == "percent"]
        return {
            "now": first(percents[percents["wave"] == self.year]),
            "before": first(percents[percents["wave"] == self.previous]),
            "gap": first(rows[rows["measure"] == "difference_points"]),
        }


def is_judged(row: Row | None) -> bool:
    """Whether there is a difference that carries a verdict."""
    return bool(row) and row["verdict"] != "" and not is_hidden(row)


def is_sure(row: Row) -> bool:
    """Whether a difference is judged higher or lower."""
    return row["verdict"] in (HIGHER, LOWER)


def is_aged(row: Row) -> bool:
    """Whether a difference is one on the same age mix."""
    return row["measure"] == STANDARDISED


def judged(found: dict[str, Row]) -> Row | None:
    """Return the national difference that carries the verdict: on one age mix, else as it is."""
    rows = (found.get(measure) for measure in (STANDARDISED, "difference_points"))
    return next(filter(is_judged, rows), None)


def read_published(study: str, year: int) -> Published:
    """Read what passed the gate; nothing of data/raw or private/ is touched.

    Args:
        study: Folder under data/processed.
        year: Survey wave.

    Returns:
        Estimates, texts and records.

    Raises:
        InputError: The gate has not run yet, or a column is missing.
        ConfigError: It is another wave's.
    """
    folder = processed_dir(study, year) / "published"
    estimates, about = read_table(folder / "estimates.csv"), read_table(folder / "about.json")
    check_wave(f"{about.get('study')} {about.get('year')}", name=study, year=year)
    lacking = [name for name in ESTIMATE_COLUMNS if name not in estimates.columns]
    if lacking:
        raise InputError("PUBLISHED_COLUMNS", names=", ".join(lacking))
    has_records = (folder / "programmes.json").exists()
    told = {name: read_table(folder / f"{name}.csv") for name in RECORDS if has_records}
    return Published(estimates=estimates, about=about, records=told)
