"""Which tables and columns may a programme's record have: the declared schemas as text files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOM = Path(__file__).parent
SHARED = "*"  # as a table: columns that every table has


EXAMPLE_YEAR = 2022  # fiscal year of the worked rows in columns.csv
_YEAR = re.compile(r"\b20\d\d(?=-\d|年度|$)")


@dataclass(frozen=True)
class Column:
    """One declared column.

    Attributes:
        name, label, aliases: What a file may call it; aliases hold both generations of the
            municipal open-data names.
        kind: text, texts, integer, number, date, when (month or date), time, days, yesno, code,
            codes, unit, area, areas, corporate, phone, email, url, ref, refs, unused.
        unit: Unit of a number; blank where another column says it.
        base: Column that this one is a part of, and may not exceed.
        required: "yes" (a row without it is set aside), "wanted" (blanks are counted), "".
        rule: Allowed values: `a;b`, `@list`, `low..high`, `<=as_of`, `>=column`, `table.column`.
        is_public: Whether it may be shown.
        blank: What a blank means, in Japanese.
        example: Its cell in the template's worked row.
    """

    name: str
    label: str
    aliases: tuple[str, ...]
    kind: str
    unit: str
    base: str
    required: str
    rule: str
    is_public: bool
    blank: str
    example: str

    def example_of(self, year: int) -> str:
        """Return the worked row's cell for a fiscal year; declared is that of EXAMPLE_YEAR."""
        later = year - EXAMPLE_YEAR
        return _YEAR.sub(lambda found: str(int(found[0]) + later), self.example)


@dataclass(frozen=True)
class Table:
    """One declared table: whose sheet it is, what a row is, its key and columns in order."""

    name: str
    label: str
    file: str
    key: tuple[str, ...]
    grain: str
    is_private: bool
    columns: dict[str, Column]


@cache
def declared() -> dict[str, Any]:
    """Return tables.yaml: programmes, tables, lists, dimensions, schema_version."""
    return yaml.safe_load((ROOM / "tables.yaml").read_text(encoding="utf-8"))


@cache
def texts() -> dict[str, Any]:
    """Return texts.yaml, the sentences and words of this room."""
    return yaml.safe_load((ROOM / "texts.yaml").read_text(encoding="utf-8"))


@cache
def column_rows() -> pd.DataFrame:
    """Return columns.csv: one row a column, shape (n, 12), all text."""
    return pd.read_csv(ROOM / "columns.csv", dtype=str, keep_default_na=False)


@cache
def tables() -> dict[str, Table]:
    """Return every declared table by name, its own columns before the shared ones.

    Example:
        >>> tables()["resources"].columns["assured_on"].label
        '最終確認日'
    """
    columns: dict[str, dict[str, Column]] = {}
    for row in column_rows().itertuples(index=False):
        columns.setdefault(row.table, {})[row.name] = Column(
            name=row.name,
            label=row.label,
            aliases=tuple(filter(None, row.aliases.split(";"))),
            kind=row.type,
            unit=row.unit,
            base=row.base,
            required=row.required,
            rule=row.rule,
            is_public=row.public == "yes",
            blank=row.blank,
            example=row.example,
        )
    first, *shared = columns.pop(SHARED).items()  # row_id stands first, in the template too
    return {
        name: Table(
            name=name,
            label=rule["label"],
            file=rule["file"],
            key=tuple(rule["key"]),
            grain=rule["grain"],
            is_private=rule.get("private", False),
            columns=dict([first]) | columns[name] | dict(shared),
        )
        for name, rule in declared()["tables"].items()
    }


def allowed(rule: str, *, lists: dict[str, Any]) -> dict[str, str]:
    """Return the codes a `rule` allows, with their labels.

    Args:
        rule: `a;b` or `@list`.
        lists: Lists by name, as a list of words or as labels by code.

    Example:
        >>> allowed("有;無", lists={})
        {'有': '有', '無': '無'}
    """
    known: Any = rule.split(";")
    if rule.startswith("@"):
        known = lists[rule[1:]]
    return {str(code): str(known[code]) if isinstance(known, dict) else str(code) for code in known}
