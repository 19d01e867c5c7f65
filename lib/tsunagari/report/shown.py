"""What does a cell of a notebook show? A table as in the report, labelled and stamped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from markupsafe import Markup, escape

from tsunagari.estimates import split
from tsunagari.gate.describe import describe_study
from tsunagari.intake.cleaning import ROW_REASONS
from tsunagari.programmes import resources, schema
from tsunagari.report import tables
from tsunagari.report.blocks import Cell, Line, Picture, Table, Text
from tsunagari.report.published import Published
from tsunagari.report.texts import FIXED, load_texts
from tsunagari.report.writer import HIDDEN, NONE, Writer, estimate, format_number, interval
from tsunagari.study.survey import Study

_FOLDER = Path(__file__).parent
SHOWN: dict[str, Any] = yaml.safe_load((_FOLDER / "shown.yaml").read_text(encoding="utf-8"))
_REASONS = {code: text["ja"] for code, text in schema.texts()["reasons"].items()}
_WORDS = SHOWN["labels"] | {
    "reason_code": ROW_REASONS | SHOWN["labels"]["reason_code"],
    "reason": _REASONS | resources.words()["reasons"],
    "state": resources.words()["freshness"],
    "gap_kind": resources.words()["gaps"],
    "table_id": {f"programme_{k}": v for k, v in schema.declared()["programmes"].items()},
    "unit": load_texts()["words"]["programme_words"]["units"] | FIXED["units"],
}
_NO_ROW = dict.fromkeys(("status", "table_id", "unit"), "") | {"domain": "all"}


@cache
def style() -> Markup:
    """Return the style of what notebooks show; each output carries it, for it may be copied out."""
    return Markup("<style>{}</style>").format(Markup((_FOLDER / "shown.css").read_text("utf-8")))


@dataclass(frozen=True, repr=False)
class Shown:
    """Tables, pictures and sentences that one cell shows, in order."""

    blocks: tuple[Table | Picture | Text, ...]

    def _repr_html_(self) -> str:
        body = "".join(block.to_html() for block in self.blocks)
        return f'{style()}<div class="tsunagari">{body}</div>'

    def __repr__(self) -> str:
        return " / ".join(b.caption for b in self.blocks if isinstance(b, Table)) or SHOWN["none"]


def told(*lines: object) -> Text:
    """Return sentences as one block; what is not safe HTML is escaped."""
    return Text(tuple(map(escape, lines)))


# --- any table ------------------------------------------------------------------------------------


def show(
    table: pd.DataFrame | pd.Series | Mapping[str, Any],
    caption: str,
    *,
    study: Study | None = None,
    columns: Sequence[str] = (),
    group: str = "",
    note: str = "",
    is_synthetic: bool = False,
) -> Shown:
    """Return a table as the report would show it; one without rows is a sentence.

    A table with figures of respondents that the gate has not seen says 秘匿前.

    Args:
        table: Any table, or pairs of a name and its value. An index with a name is a column.
        caption: What it shows, with base and n.
        study: Gives the labels of variables and codes, and whether any input is synthetic; none for
            a table without them.
        columns: The columns shown, in order; all of them where none is named. "interval" is made of
            the bounds of a row of estimates.
        group: Column whose values become headings between the lines.
        note: What stands under it.
        is_synthetic: Whether it is of an input that the wave does not know yet, such as records.

    Returns:
        The table: Japanese headings (shown.yaml), labels for codes, figures rounded by their unit.
    """
    frame = _as_frame(table)
    names = [name for name in columns or map(str, frame.columns) if name != group]
    groups: dict[str, list[Line]] = {}
    for row in frame.to_dict("records"):
        cells = tuple(Cell(_text(name, row, study=study)) for name in names)
        groups.setdefault(_text(group, row, study=study) if group else "", []).append(cells)
    synthetic = FIXED["synthetic"] if is_synthetic else stamp_of(study)
    if not groups:
        said = SHOWN["empty"].format(caption=caption)
        return Shown((told(f"{synthetic} {said}" if synthetic else said),))
    figures = next((name for name in frame if re.search(SHOWN["figures"], name)), "")
    is_before = bool(figures) and _is_before_gate(frame, figures)
    numbers = frame.reindex(columns=names).select_dtypes("number").columns
    made = Table(
        key="shown",
        caption=caption,
        head=tuple(heading(name, study=study) for name in names),
        groups=tuple((label, tuple(lines)) for label, lines in groups.items()),
        note=note,
        stamp=_joined(synthetic, is_before_gate=is_before),
        is_text=not len(numbers) and "estimate" not in names,
    )
    return Shown((made,))


def sheet_of(table: pd.DataFrame, *, study: Study) -> pd.DataFrame:
    """Return a table for a workbook: headings, labels for codes, numbers with the digits of `show`.

    Args:
        table: Any table.
        study: Gives the labels of variables and codes.
    """
    made = {}
    for name, column in _as_frame(table).items():
        if pd.api.types.is_numeric_dtype(column):
            places = _decimals(name, column.iloc[0]) if len(column) else 0
            column = column.round(places).astype("Int64" if places == 0 else float)
        else:
            column = column.map(lambda code, of=name: code_label(str(code), of=of, study=study))
        made[heading(name, study=study)] = column
    return pd.DataFrame(made)


def stamp_of(study: Study | None) -> str:
    """Return 合成データ while any input of the wave is synthetic."""
    return FIXED["synthetic"] if study is not None and study.synthetic_inputs else ""


def _is_before_gate(rows: pd.DataFrame, figures: str) -> bool:
    """Whether a row has a figure and no status, which the gate gives to every row it lets pass."""
    own = rows[~rows["status"].isin(SHOWN["labels"]["status"])] if "status" in rows else rows
    return bool(own[figures].notna().any())


def _joined(synthetic: str, *, is_before_gate: bool) -> str:
    return "・".join(filter(None, (synthetic, SHOWN["before_gate"] * is_before_gate)))


def _as_frame(table: pd.DataFrame | pd.Series | Mapping[str, Any]) -> pd.DataFrame:
    if isinstance(table, Mapping):
        # object: 1991 and "愛媛県" in one column are a whole number and a text.
        pairs = pd.Series(table, dtype=object)
        return pairs.rename_axis(SHOWN["pairs"][0]).reset_index(name=SHOWN["pairs"][1])
    frame = table.to_frame() if isinstance(table, pd.Series) else table
    is_named = any(name is not None for name in frame.index.names)
    frame = frame.reset_index() if is_named else frame
    return frame.set_axis([str(name) for name in frame.columns], axis=1)


def heading(name: str, *, study: Study | None) -> str:
    """Return the Japanese heading of a column; a name of no room of ours stays as it is."""
    return SHOWN["headings"].get(name) or variable_label(name, study=study)


def variable_label(name: str, *, study: Study | None) -> str:
    """Return the label of a variable, an option's column, an indicator, or several joined."""
    if study is None:
        return _WORDS["variable"].get(name, name)
    if name in study.items:
        return study.items[name].short_label
    if " x " in name:
        return "×".join(variable_label(part, study=study) for part in split(name))
    columns = study.codebook.columns
    if name in columns.index:
        option = study.codebook.codes.set_index("variable")["code_label"].get(name, "")
        own = columns.loc[name, "short_label"]
        return f"{own}：{option}" if isinstance(option, str) and option else own
    known = study.config.indicators.get(name) if study.has_survey else None
    return known.label if known else _WORDS["variable"].get(name, name)


def code_label(code: str, *, of: str, study: Study | None) -> str:
    """Return the label of a code or net of a variable; codes of several variables are joined."""
    names, codes = split(of), split(code)
    items = study.items if study is not None else {}
    if len(names) != len(codes):
        names = names * len(codes)
    known = [items[n].labels if n in items else {} for n in names]
    labels = (each.get(c) or _WORDS["value"].get(c, c)
              for each, c in zip(known, codes, strict=True))  # fmt: skip
    return "・".join(labels)


_VARIABLES, _CODES = ("item", "variable", "question", "domain", "margin", "sum", "other"), {
    "item_value": "item", "domain_value": "domain", "cell": "margin"
}  # fmt: skip


def _text(name: str, row: Mapping[str, Any], *, study: Study | None) -> str:
    """Return one cell's words."""
    if name == "interval" or (name == "estimate" and isinstance(row.get("unit"), str)):
        known = {"n_unweighted": np.nan} | row | {k: row.get(k) or v for k, v in _NO_ROW.items()}
        return (interval if name == "interval" else estimate)(known) or NONE
    value = row.get(name)
    if isinstance(value, bool | np.bool_):
        return SHOWN["yes"] if value else NONE
    if isinstance(value, list | tuple):
        return "、".join(map(str, value)) or NONE
    if value is None or value is pd.NaT or value is pd.NA or value != value or value == "":
        return HIDDEN if row.get("status") == "suppressed" else NONE
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, int | float | np.number):
        return _number(name, value)
    text = str(value)
    if name in _VARIABLES:
        return variable_label(text, study=study)
    if name in _CODES or (study is not None and name in study.items):
        return code_label(text, of=str(row.get(_CODES.get(name, ""), name)), study=study)
    if name == "weighting":
        said = re.sub(r"[A-Za-z_]+", lambda word: _scheme(word[0], study=study), text)
        return said.replace(" x ", "×")
    return _WORDS.get(name, {}).get(text, text)


def _scheme(word: str, *, study: Study | None) -> str:
    return _WORDS["weighting"].get(word) or variable_label(word, study=study)


def _number(name: str, value: Any) -> str:
    """Return a number with the digits of its unit, as the column's name says it."""
    if re.search(SHOWN["plain_numbers"], name):
        return f"{value:g}"
    if re.search(SHOWN["as_written"], name):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    signed = name.endswith("_points")
    return format_number(float(value), decimals=_decimals(name, value), is_signed=signed)


def _decimals(name: str, value: Any) -> int:
    is_whole = isinstance(value, int | np.integer) or re.search(SHOWN["whole_numbers"], name)
    found = (places for pattern, places in SHOWN["decimals"].items() if re.search(pattern, name))
    return 0 if is_whole else next(found, 2)


# --- the report's own tables ----------------------------------------------------------------------


def writer_of(study: Study, rows: pd.DataFrame, **about: Any) -> Writer:
    """Return the report's writer over rows of this machine, before or after the gate.

    Args:
        study: The wave.
        rows: Rows of estimates.
        **about: What differs from the study's own plan, such as `axes`.
    """
    return Writer(Published(estimates=rows, about=describe_study(study) | about))


def page_table(writer: Writer, name: str, **of: Any) -> Shown:
    """Return a table as the report shows it, over any rows; a sentence where it has no line.

    Over rows that the gate has not seen, it says 秘匿前.

    Args:
        writer: From `writer_of`.
        name: Its name in ja.yaml.
        **of: What it is of, such as item="lonely_direct"; a list stands for a table each.
    """
    made: list[Table] = []
    for one in _each(of):
        lines = tables.TABLES[name](writer, **one)
        made += tables.make_table(writer, name, lines=lines)
    is_before = _is_before_gate(writer.published.estimates, "estimate")
    made = [replace(t, stamp=_joined(t.stamp, is_before_gate=is_before)) for t in made]
    stamp = f"{FIXED['synthetic']} " if writer.published.is_synthetic else ""
    empty = told(stamp + SHOWN["empty"].format(caption=SHOWN["tables"].get(name, SHOWN["table"])))
    return Shown(tuple(made) or (empty,))


def _each(of: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    listed = next((name for name, each in of.items() if not isinstance(each, str)), "")
    return [{**of, listed: one} for one in of[listed]] if listed else [dict(of)]
