"""What may the council read: sentences, tables, figures, page and workbook from published/ alone.

Every number is a row of published/estimates.csv, named beside it (`data-row`), and every label a
text of published/about.json. A section whose rows are not there says so in one sentence or is left
out, so that another study renders without a change here.
"""

from __future__ import annotations

import datetime
import html
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import nh3
import numpy as np
import pandas as pd
import xlsxwriter
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pandas.api.types import is_numeric_dtype
from traitlets.config import Config

from tsunagari import figures
from tsunagari.attack import ROW_COLUMN
from tsunagari.comparison import UNVERIFIED
from tsunagari.disclosure import clean_text
from tsunagari.estimates import ESTIMATE_COLUMNS, is_whole, row_ids
from tsunagari.study import (
    NO_ANSWER,
    InputError,
    KernelError,
    check_wave,
    processed_dir,
    read_table,
)
from tsunagari.verdicts import HIGHER, LOWER, NOT_CLEAR, NOT_COMPARABLE

HIDDEN, MISSING, NONE = "x", "…", "-"
SYNTHETIC = figures.SYNTHETIC_STAMP
SYNTHETIC_NOTE = "合成データによる表示例です。実際の人の回答ではなく、調査の結果ではありません。"
CSV_NOTE = (
    "estimates.csv を Excel でそのまま開くと、10-12 のような番号が日付に変わることがあります。"
    "番号を使うときは、このファイルの「一覧」を使うか、「データ」の「テキストまたは CSV から」で"
    "文字列として読み込んでください。"
)
UNSIGNED = "公表前（未署名）"  # on every page and in the workbook until `lift_mark`
UNSIGNED_NOTE = "確認者の署名がまだありません。外に出さないでください。"
SIGNED = "署名済み"
MODEL_BASE = 50  # respondents; a sentence about a model's level needs this base (SDC-1 P3)
MOST_HIDDEN_ANSWERS = 3  # a table of counts with more leaves them out and says how many
MANY_COLUMNS = 11  # beyond them an interval is printed under its number, not beside it
SHORT_TABLE_ROWS = 16  # such a table is not broken over two printed pages

# Names that say what a question is about, where a study has no indicator that does.
_LONELY_NAMES = ("lonely", "ucla")
_TIE_NAMES = ("contact", "particip", "consult", "support", "helping", "outing")

_WEIGHT_LABELS = {
    "n_respondents": ("分析した回答者", "人", 0),
    "population": ("重みの合計（代表する人口）", "人", 0),
    "design_effect": ("重みによるデザイン効果（Kish）", "倍", 2),
    "n_effective": ("有効な回答者数（Kish）", "人", 0),
    "weight_ratio": ("最大の重み÷最小の重み", "倍", 1),
    "ratio": ("最大の重み÷最小の重み", "倍", 1),
    "weight_cv": ("重みの変動係数", "", 2),
    "n_trimmed": ("上限で切り下げた重み", "人", 0),
}
_VARIANT_LABELS = {"unweighted": "重みを使わない", "imputed": "答えのない人を補う"}
_LEDGER_LABELS = {
    "read": "読み込んだ行",
    "analysed": "分析した行",
    "quarantined": "除外した行",
}


Row = Mapping[str, Any]  # one row of estimates, by column


# --- what was published -------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """All that a report may know of one wave.

    Attributes:
        estimates: published/estimates.csv, one row a figure; a number, mark or verdict that a
            suppressed row holds by mistake is dropped here, at the door. `key` names the row.
        about: published/about.json.
    """

    estimates: pd.DataFrame
    about: dict[str, Any]

    def __post_init__(self) -> None:
        table = self.estimates.reset_index(drop=True)
        texts = [name for name in ESTIMATE_COLUMNS if not is_numeric_dtype(table[name])]
        # object: a page looks at thousands of short tables; Arrow strings take far longer there.
        table = table.assign(**{name: table[name].fillna("").astype(object) for name in texts})
        hidden = (table["status"] == "suppressed").to_numpy(bool)
        gone = ("mark", "verdict", *(n for n in ESTIMATE_COLUMNS if n not in (*texts, "wave")))
        table = table.assign(
            **{n: table[n].mask(hidden, "" if n in texts else np.nan) for n in gone}
        )
        object.__setattr__(self, "estimates", table.assign(key=row_ids(table).to_numpy(object)))

    @property
    def year(self) -> int:
        """Survey wave."""
        return int(self.about["year"])

    @property
    def is_synthetic(self) -> bool:
        """Whether any input, an earlier wave included, is synthetic."""
        return bool(self.about.get("is_synthetic", True))

    @property
    def confidence(self) -> str:
        """Confidence of the intervals in per cent, as text."""
        return f"{100 * float(self.about.get('marks', {}).get('confidence', 0.95)):g}"

    @property
    def title(self) -> str:
        """Title of the page."""
        return f"{clean_text(self.about['title'])} 報告書（{self.year}年調査）"

    @property
    def table_ids(self) -> list[str]:
        """Every table that has rows, in order."""
        return list(self._tables)

    def rows(self, table_id: str, **equal: Any) -> pd.DataFrame:
        """Return the rows of a table where every named column has the given value."""
        table = self._tables.get(table_id, self.estimates.iloc[:0])
        for column, value in equal.items():
            table = table[table[column] == value]
        return table

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        return dict(tuple(self.estimates.groupby("table_id", sort=False)))

    @cached_property
    def _crosses(self) -> dict[tuple[str, str, str], pd.DataFrame]:
        """Cross tables already put in order, by table, axis and question."""
        return {}

    def label(self, variable: str) -> str:
        """Return a variable's or indicator's short label; its name where it has none."""
        known = self.about.get("variables", {}).get(variable)
        known = known or self.about.get("indicators", {}).get(variable, {})
        return clean_text(known.get("short_label") or known.get("label") or variable)

    def full_label(self, variable: str) -> str:
        """Return a variable's wording; its name where it has none."""
        known = self.about.get("variables", {}).get(variable, {})
        return clean_text(known.get("label") or self.label(variable))

    def values(self, variable: str) -> dict[str, str]:
        """Return the labels of a variable's codes and nets, in questionnaire order."""
        return self._values.get(variable, {})

    @cached_property
    def _values(self) -> dict[str, dict[str, str]]:
        return {
            name: {str(code): clean_text(label) for code, label in known.get("values", {}).items()}
            for name, known in self.about.get("variables", {}).items()
        }

    def nets(self, variable: str) -> list[str]:
        """Return the names of a variable's nets: said by about, else what follows no answer."""
        known = self.about.get("variables", {}).get(variable, {})
        if "nets" in known:
            return list(known["nets"])
        codes = list(self.values(variable))
        return codes[codes.index(NO_ANSWER) + 1 :] if NO_ANSWER in codes else []

    def domain_label(self, domain: str, value: str) -> str:
        """Return the label of a domain's value; nested ones are joined by ・."""
        names, codes = domain.split(" x "), str(value).split(" x ")
        if domain == "all":
            return "全体"
        pairs = zip(names, codes, strict=False)
        return "・".join(self.values(name).get(code, clean_text(code)) for name, code in pairs)


def read_published(study: str, year: int) -> Published:
    """Read what passed the gate; nothing of data/raw or private/ is touched.

    Args:
        study: Folder under data/processed.
        year: Survey wave.

    Returns:
        Estimates and texts.

    Raises:
        InputError: The gate has not run yet, or a column is missing.
        ConfigError: It is another wave's.
    """
    folder = processed_dir(study, year) / "published"
    estimates, about = read_table(folder / "estimates.csv"), read_table(folder / "about.json")
    check_wave(f"{about.get('study')} {about.get('year')}", name=study, year=year)
    lacking = [name for name in ESTIMATE_COLUMNS if name not in estimates.columns]
    if lacking:
        raise InputError(
            "PUBLISHED_COLUMNS",
            f"published/estimates.csv に列 {', '.join(lacking)} がありません。作り直してください。",
            f"published/estimates.csv lacks {', '.join(lacking)}: run the gate again.",
        )
    return Published(estimates=estimates, about=about)


# --- text ---------------------------------------------------------------------------------------


def format_number(value: float, *, decimals: int = 1, is_signed: bool = False) -> str:
    """Return a number as the page shows it; … where there is none.

    Example:
        >>> format_number(-1234.5, decimals=1, is_signed=True)
        '−1,234.5'
    """
    if value is None or np.isnan(value):
        return MISSING
    sign = "+" if is_signed else ""
    text = f"{value:{sign},.{decimals}f}"
    if not float(text.replace(",", "")):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def _decimals(row: Row) -> int:
    if is_whole(row):
        return 0
    return {"percent": 1, "points": 1, "persons": 0, "respondents": 0}.get(row["unit"], 2)


def _is_hidden(row: Row) -> bool:
    return row["status"] == "suppressed"


def format_estimate(row: Row) -> str:
    """Return the figure of a row: x when hidden, … when there is none, a sign for differences."""
    if _is_hidden(row):
        return HIDDEN
    return format_number(
        row["estimate"], decimals=_decimals(row), is_signed=row["unit"] == "points"
    )


def format_interval(row: Row) -> str:
    """Return a row's interval, such as 6.4〜8.8; x when hidden, empty when there is none."""
    if _is_hidden(row):
        return HIDDEN
    if np.isnan(row["lower"]) or np.isnan(row["upper"]):
        return ""
    decimals, is_signed = _decimals(row), row["unit"] == "points"
    ends = (
        format_number(row[name], decimals=decimals, is_signed=is_signed)
        for name in ("lower", "upper")
    )
    return "〜".join(ends)


def format_base(row: Row) -> str:
    """Return the unweighted base with its sign: * reference value, † low base, x hidden."""
    if _is_hidden(row):
        return HIDDEN
    sign = {"reference": "*", "low_base": "†"}.get(row["status"], "")
    return format_number(row["n_unweighted"], decimals=0) + sign


def _of(row: Row, text: str) -> str:
    """Return a number for a sentence, with the row that it is of."""
    return text if _is_hidden(row) else f"⟪{row['key']}|{text}⟫"


_NUMBER_OF = re.compile(r"⟪([\w-]*)\|([^⟫]*)⟫")


def _with_unit(row: Row, *, name: str = "") -> str:
    """Return figure and interval with their unit, for a sentence."""
    unit = {"percent": "%", "points": "ポイント"}.get(row["unit"], "")
    text, interval = format_estimate(row), format_interval(row)
    level = _of(row, f"{text}{unit}")
    return level + (f"（{name}{_of(row, interval + unit)}）" if interval else "")


# --- blocks of a page -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One cell: its text, in small print its interval, and the keys of the rows they are of."""

    text: str
    small: str = ""
    rows: tuple[str, ...] = ()

    def to_html(self) -> str:
        """Return the cell's content, escaped."""
        small = f'<span class="interval">{html.escape(self.small)}</span>' if self.small else ""
        return f"{html.escape(self.text)}{small}"

    @property
    def attribute(self) -> str:
        """The attribute that names its rows."""
        return f' data-row="{";".join(self.rows)}"' if self.rows else ""


def _number_cell(row: Row, text: str, small: str = "") -> Cell:
    return Cell(text, small, rows=() if _is_hidden(row) else (row["key"],))


def _head_cell(text: str) -> str:
    """Return a header cell; a short text stays on one line."""
    whole = ' class="whole"' if figures.width_em(text) < 7 else ""
    return f'<th scope="col"{whole}>{html.escape(text)}</th>'


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        key: Name by which sentences refer to it.
        caption: What it shows.
        head: Texts of the header row, shape (m,).
        groups: Group label (empty: none) and its rows; each row has m cells, the first its header.
        note: What stands under it.
        number: Such as "表3"; given when the report is put together.
        is_synthetic: Whether the banner stands on it.
        is_text: Whether its cells are words, not numbers.
    """

    key: str
    caption: str
    head: tuple[str, ...]
    groups: tuple[tuple[str, tuple[tuple[Cell, ...], ...]], ...]
    note: str = ""
    number: str = ""
    is_synthetic: bool = False
    is_text: bool = False

    def to_html(self) -> str:
        """Return the table in a region that scrolls by itself and can be focused."""
        stamp = f'<span class="stamp">{SYNTHETIC}</span> ' if self.is_synthetic else ""
        name = f"{self.number} {self.caption}".strip()
        head = "".join(_head_cell(text) for text in self.head)
        body = "".join(self._group(label, rows) for label, rows in self.groups)
        kind = "words" if self.is_text else "numbers"
        is_short = sum(len(rows) for _, rows in self.groups) <= SHORT_TABLE_ROWS
        size = (" short" if is_short else "") + (" many" if len(self.head) > MANY_COLUMNS else "")
        note = f'<p class="note">{html.escape(self.note)}</p>' if self.note else ""
        return (
            f'<div class="table{size}" id="{self.anchor}">'
            f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(name)}">'
            f'<table class="{kind}">'
            f'<caption>{stamp}<span class="number">{html.escape(self.number)}</span> '
            f"{html.escape(self.caption)}</caption>"
            f"<thead><tr>{head}</tr></thead>{body}</table></div>{note}</div>"
        )

    def _group(self, label: str, rows: tuple[tuple[Cell, ...], ...]) -> str:
        lines = []
        if label:
            span = len(self.head)
            lines.append(
                f'<tr class="group"><th scope="rowgroup" colspan="{span}">'
                f"{html.escape(label)}</th></tr>"
            )
        for first, *rest in rows:
            cells = "".join(f"<td{cell.attribute}>{cell.to_html()}</td>" for cell in rest)
            lines.append(f'<tr><th scope="row">{first.to_html()}</th>{cells}</tr>')
        return f"<tbody>{''.join(lines)}</tbody>"

    @property
    def anchor(self) -> str:
        """Id of the table in the page."""
        return "t-" + re.sub(r"[^a-z0-9]+", "-", self.key.lower()).strip("-")


@dataclass(frozen=True)
class Picture:
    """A figure of the page, with the keys of the rows it shows."""

    key: str
    chart: figures.Chart
    rows: tuple[str, ...] = ()

    def to_html(self) -> str:
        """Return the figure."""
        return self.chart.to_html(rows=self.rows)


@dataclass(frozen=True)
class Text:
    """Paragraphs, a list or a heading.

    In a line ⟦key⟧ becomes a link to that table, and ⟪row|number⟫ a number with its row.

    Attributes:
        lines: The sentences, unescaped.
        kind: p, ul, ol, h3, note or warning.
    """

    lines: tuple[str, ...]
    kind: str = "p"

    def to_html(self) -> str:
        """Return the text, escaped; references stay for the report to resolve."""
        number = r'<span data-row="\1">\2</span>'
        lines = [_NUMBER_OF.sub(number, html.escape(line)) for line in self.lines]
        if self.kind in ("ul", "ol"):
            items = "".join(f"<li>{line}</li>" for line in lines)
            return f"<{self.kind}>{items}</{self.kind}>"
        tag = self.kind if self.kind == "h3" else "p"
        style = f' class="{self.kind}"' if self.kind in ("note", "warning") else ""
        return "".join(f"<{tag}{style}>{line}</{tag}>" for line in lines)


Block = Table | Picture | Text


@dataclass(frozen=True)
class Section:
    """One part of the report, as a notebook cell shows it."""

    name: str
    blocks: tuple[Block, ...]
    numbers: dict[str, tuple[str, str]] = field(default_factory=dict)

    def to_html(self) -> str:
        """Return the part's HTML with its references resolved."""
        body = "".join(block.to_html() for block in self.blocks)
        return (
            f'<div class="part part-{self.name}">{re.sub("⟦([^⟧]*)⟧", self._reference, body)}</div>'
        )

    def _reference(self, match: re.Match[str]) -> str:
        number, anchor = self.numbers.get(match.group(1), ("", ""))
        return f'〔<a href="#{anchor}">{number}</a>〕' if number else ""

    def _repr_html_(self) -> str:
        return self.to_html()


@dataclass(frozen=True)
class Report:
    """The council's report: its parts in order, tables and figures numbered through.

    Attributes:
        published: What it was made from.
        sections: By name: summary, method, loneliness, ties, others, comparison, factors, limits,
            appendix, crosses.
    """

    published: Published
    sections: dict[str, Section]

    @property
    def tables(self) -> list[Table]:
        """All tables in order."""
        blocks = [block for section in self.sections.values() for block in section.blocks]
        return [block for block in blocks if isinstance(block, Table)]

    @property
    def charts(self) -> list[figures.Chart]:
        """All figures in order."""
        blocks = [block for section in self.sections.values() for block in section.blocks]
        return [block.chart for block in blocks if isinstance(block, Picture)]

    def part(self, name: str) -> Section:
        """Return one part."""
        return self.sections[name]

    @property
    def subtitle(self) -> str:
        """Who was asked, when and how."""
        about = self.published.about
        parts = ("people", "fieldwork", "mode")
        return "、".join(clean_text(about[part]) for part in parts if about.get(part))

    def _repr_html_(self) -> str:
        title, subtitle = html.escape(self.published.title), html.escape(self.subtitle)
        return f"<h1>{title}<small>{subtitle}</small></h1>"

    @property
    def contents(self) -> pd.DataFrame:
        """Number and title of every table and figure."""
        rows = [(table.number, table.caption) for table in self.tables]
        rows += [(chart.words.number, chart.words.title) for chart in self.charts]
        return pd.DataFrame(rows, columns=["number", "title"])


def build_report(published: Published) -> Report:
    """Put the whole report together from published rows.

    Args:
        published: From `read_published`.

    Returns:
        The report; its parts show themselves in a notebook.
    """
    makers = {
        "summary": _summary,
        "method": _method,
        "loneliness": _loneliness,
        "ties": _ties,
        "others": _others,
        "comparison": _comparison,
        "factors": _factors,
        "limits": _limits,
        "appendix": _appendix,
        "crosses": _crosses,
    }
    parts = {name: tuple(make(published)) for name, make in makers.items()}
    numbered, numbers = _number(parts)
    sections = {
        name: Section(name=name, blocks=blocks, numbers=numbers)
        for name, blocks in numbered.items()
    }
    return Report(published=published, sections=sections)


def _number(
    parts: dict[str, tuple[Block, ...]],
) -> tuple[dict[str, tuple[Block, ...]], dict[str, tuple[str, str]]]:
    """Number tables and figures in the order of the page; return also number and anchor by key."""
    n_tables = n_figures = 0
    numbered, numbers = {}, {}
    for name, blocks in parts.items():
        kept: list[Block] = []
        for block in blocks:
            if isinstance(block, Table):
                n_tables += 1
                block = replace(block, number=f"表{n_tables}")
                numbers.setdefault(block.key, (block.number, block.anchor))
            elif isinstance(block, Picture):
                n_figures += 1
                words = replace(block.chart.words, number=f"図{n_figures}")
                block = replace(block, chart=replace(block.chart, words=words))
            kept.append(block)
        numbered[name] = tuple(kept)
    return numbered, numbers


# --- rows of a question ---------------------------------------------------------------------------


def _records(rows: pd.DataFrame) -> list[Row]:
    """Return rows as dictionaries; DataFrame.to_dict takes ten times as long on short tables."""
    columns = [rows[name].tolist() for name in rows.columns]
    return [dict(zip(rows.columns, values, strict=True)) for values in zip(*columns, strict=True)]


def _first(rows: pd.DataFrame) -> Row | None:
    return None if rows.empty else _records(rows.iloc[:1])[0]


def _wave_of(rows: pd.DataFrame) -> pd.Series:
    return pd.to_numeric(rows["wave"], errors="coerce")


def _this_wave(published: Published, rows: pd.DataFrame) -> pd.DataFrame:
    waves = _wave_of(rows)
    return rows[waves.isna() | (waves == published.year)]


def _gt(published: Published, item: str, *, has_nets: bool = True) -> pd.DataFrame:
    """Return the percents of one question over everybody, in questionnaire order."""
    rows = _this_wave(published, published.rows(f"gt_{item}", measure="percent", domain="all"))
    if not has_nets:
        rows = rows[~rows["item_value"].isin(published.nets(item))]
    return _in_order(rows, list(published.values(item)), column="item_value")


def _in_order(rows: pd.DataFrame, order: list[str], *, column: str) -> pd.DataFrame:
    places = {code: place for place, code in enumerate(order)}
    ranks = rows[column].map(places).fillna(len(order))
    return rows.loc[ranks.sort_values(kind="stable").index]


def _answer_label(published: Published, row: Row) -> str:
    known = published.values(row["item"]).get(row["item_value"])
    return known or clean_text(row["item_label"] or row["item_value"])


def _indicators(published: Published) -> dict[str, dict[str, Any]]:
    return published.about.get("indicators", {})


def _indicator_value(published: Published, name: str) -> str | None:
    """Return the code or net of the indicator's question that says the same as the indicator."""
    indicator = _indicators(published)[name]
    codes = [str(code) for code in indicator["item_values"]]
    if len(codes) == 1:
        return codes[0]
    nets = published.about["variables"].get(indicator["item"], {}).get("nets", {})
    pairs = nets.items() if isinstance(nets, dict) else []
    same = [net for net, parts in pairs if sorted(map(str, parts)) == sorted(codes)]
    return same[0] if same else None


def _indicator_row(published: Published, name: str) -> Row | None:
    """Return the indicator's percent over everybody: of headline, else of its question's table."""
    rows = _this_wave(published, published.rows("headline", measure="percent", domain="all"))
    own = rows[rows["item"] == name]
    if own.empty:
        own = rows[rows["item_value"] == name]
    if len(own):
        return _first(own)
    value = _indicator_value(published, name)
    item = _indicators(published)[name]["item"]
    gt = _gt(published, item)
    return _first(gt[gt["item_value"] == value])


def _is_multiple(published: Published, item: str) -> bool:
    """Whether several answers could be chosen: said by about, else percents pass 100."""
    kind = published.about.get("variables", {}).get(item, {}).get("kind")
    if kind:
        return kind == "MA"
    total = _gt(published, item, has_nets=False)["estimate"].sum()
    return total > 101.5 or "いくつでも" in published.full_label(item)


def _is_no_answer(code: str, label: str) -> bool:
    return (
        code == NO_ANSWER
        or any(word in label for word in ("無回答", "答えたくない", "わからない"))
        and not re.search("その他", label)
    )


def _has_gt(published: Published, item: str) -> bool:
    return f"gt_{item}" in set(published.estimates["table_id"])


def _gt_items(published: Published) -> list[str]:
    """Return the questions that have a table of percents, in the order of the codebook."""
    percents = published.estimates[published.estimates["measure"] == "percent"]
    names = [name[3:] for name in percents["table_id"].unique() if name.startswith("gt_")]
    order = list(published.about.get("variables", {}))
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def _outcomes(published: Published) -> list[str]:
    """Return the indicators that have a model."""
    names = [t[6:] for t in published.table_ids if t.startswith("model_")]
    return [name for name in names if name != "merges" and "__" not in name]


def _lonely_items(published: Published) -> list[str]:
    """Return the questions on loneliness: of models and of names, else the first indicator's."""
    indicators, outcomes = _indicators(published), _outcomes(published)
    items = [
        indicator["item"]
        for name, indicator in indicators.items()
        if name in outcomes or name.startswith(_LONELY_NAMES)
        or indicator["item"].startswith(_LONELY_NAMES)
    ]  # fmt: skip
    items = items or [indicator["item"] for indicator in list(indicators.values())[:1]]
    return [item for item in dict.fromkeys(items) if _has_gt(published, item)]


def _tie_items(published: Published) -> list[str]:
    """Return the questions on ties: of the other indicators, then by their names."""
    items = [indicator["item"] for indicator in _indicators(published).values()]
    items += [name for name in _gt_items(published) if name.startswith(_TIE_NAMES)]
    lonely = _lonely_items(published)
    return [
        item for item in dict.fromkeys(items) if item not in lonely and _has_gt(published, item)
    ]


def _axes(published: Published) -> list[str]:
    """Return every axis as the text that stands in `domain`."""
    return [" x ".join(axis) for axis in published.about.get("axes", [])]


def _axis_label(published: Published, axis: str) -> str:
    return "×".join(published.label(name) for name in axis.split(" x "))


def _by_axis(published: Published, axis: str) -> str:
    """Return "by" an axis: 地域別, and not 性別別."""
    label = _axis_label(published, axis)
    return label if label.endswith("別") else f"{label}別"


def _cross(published: Published, axis: str, *, item: str) -> pd.DataFrame:
    """Return the percents of a cross table with the marks of its differences, in order."""
    table_id = f"cross_{axis.replace(' x ', '_x_')}__{item}"
    return _by_groups(published, table_id, axis=axis, item=item)


def _indicator_cross(published: Published, axis: str, *, name: str) -> pd.DataFrame:
    """Return an indicator's percents over an axis: of headline, else of its question's table."""
    rows = _by_groups(published, "headline", axis=axis, item=name)
    if len(rows):
        return rows
    rows = _cross(published, axis, item=_indicators(published)[name]["item"])
    return rows[rows["item_value"] == _indicator_value(published, name)] if len(rows) else rows


def _by_groups(published: Published, table_id: str, *, axis: str, item: str) -> pd.DataFrame:
    known, key = published._crosses, (table_id, axis, item)
    if key not in known:
        rows = _this_wave(published, published.rows(table_id, domain=axis, item=item))
        known[key] = _in_groups(published, rows, axis=axis)
    return known[key]


def _answered(published: Published, variable: str) -> list[str]:
    """Return the codes and nets of an axis that are answers: people without one are no group."""
    return [
        code
        for code, label in published.values(variable).items()
        if code != NO_ANSWER and label != "無回答"
    ]


def _in_groups(published: Published, rows: pd.DataFrame, *, axis: str) -> pd.DataFrame:
    percents, gaps = (rows[rows["measure"] == m] for m in ("percent", "difference_points"))
    if percents.empty:
        return percents
    keys = ["domain_value", "item_value"]
    if len(gaps):
        marks = gaps.drop_duplicates(keys).set_index(keys)["mark"]
        found = [marks.get(tuple(key), "") for key in percents[keys].itertuples(index=False)]
        own = percents["mark"].where(percents["mark"].isin(["▲", "▽"]), found)
        own = own.where(percents["status"] != "suppressed", "")
        percents = percents.assign(mark=own)
    known = [set(_answered(published, name)) for name in axis.split(" x ")]
    is_known = [
        all(
            not codes or code in codes
            for code, codes in zip(value.split(" x "), known, strict=False)
        )
        for value in percents["domain_value"]
    ]
    percents = percents[is_known]
    names = axis.split(" x ")
    orders = [list(published.values(name)) for name in names]
    for place in reversed(range(len(names))):
        part = percents["domain_value"].str.split(" x ").str[place]
        percents = _in_order(percents.assign(part=part), orders[place], column="part")
    return percents.drop(columns="part", errors="ignore")


def _mark(row: Row) -> str:
    return row["mark"] if row["mark"] in ("▲", "▽") else ""


# --- what a figure needs --------------------------------------------------------------------------


def _chart_rows(published: Published, rows: pd.DataFrame, labels: Iterable[str]) -> pd.DataFrame:
    """Return label, estimate, ends, mark and digits; a base under the minimum counts as hidden."""
    least = published.about.get("min_cell_n", 10)
    signs = rows["status"].map({"reference": "*", "low_base": "†"}).fillna("")
    table = pd.DataFrame(
        {
            "label": list(labels),
            "estimate": rows["estimate"].to_numpy(float),
            "lower": rows["lower"].to_numpy(float),
            "upper": rows["upper"].to_numpy(float),
            "mark": [_mark(row) for row in _records(rows)] + signs.to_numpy(object),
            "decimals": [_decimals(row) for row in _records(rows)],
        }
    )
    is_hidden = (rows["status"] == "suppressed") | (rows["n_unweighted"] < least)
    table.loc[is_hidden.to_numpy(bool), ["estimate", "lower", "upper"]] = np.nan
    return table


def _keys(*tables: pd.DataFrame) -> tuple[str, ...]:
    """Return the keys of the rows that a figure shows."""
    keys = [key for rows in tables for key in rows.loc[rows["status"] != "suppressed", "key"]]
    return tuple(dict.fromkeys(keys))


def _words(
    published: Published,
    title: str,
    *,
    neutral: str,
    subtitle: str,
    n: str = "",
    has_interval: bool = True,
    source: str = "",
) -> figures.Words:
    """Return a figure's words; a synthetic one names its measure and states no finding."""
    is_synthetic = published.is_synthetic
    foot = f"{n}。" if n else ""
    if has_interval:
        foot += f"線は{published.confidence}%信頼区間（{_error_note(published)}）。"
    foot += f"資料：{clean_text(published.about['title'])}（{published.year}年）{source}。"
    return figures.Words(
        title=f"{SYNTHETIC}による表示例：{neutral}" if is_synthetic else title or neutral,
        subtitle=subtitle,
        foot=foot,
        is_synthetic=is_synthetic,
    )


def _error_note(published: Published) -> str:
    return clean_text(published.about.get("error_note", "")).rstrip("。")


def _people(published: Published) -> str:
    return clean_text(published.about["people"])


def _n_text(rows: pd.DataFrame) -> str:
    bases = rows["n_unweighted"].dropna()
    if bases.empty:
        return ""
    low, high = (format_number(each, decimals=0) for each in (bases.min(), bases.max()))
    return f"n={low}" if low == high else f"n={low}〜{high}"


def _n_by_group(groups: dict[str, pd.DataFrame], shown: list[pd.DataFrame]) -> str:
    """Return n of every bar where they are few and differ; empty otherwise."""
    texts = {
        name: _n_text(rows)
        for name, rows in groups.items()
        if any(rows is each for each in shown) and _n_text(rows)
    }
    if not 1 < len(texts) <= 3 or len(set(texts.values())) == 1:
        return ""
    return "n=" + "、".join(f"{name} {text.removeprefix('n=')}" for name, text in texts.items())


def _finding(measure: str, rows: pd.DataFrame, labels: list[str]) -> str:
    """Return a sentence on the marked groups; empty when no group with base 30 or more is."""
    parts = []
    for mark, words in (("▲", ("で高く", "で高い")), ("▽", ("で低く", "で低い"))):
        named = [
            label
            for label, row in zip(labels, _records(rows), strict=True)
            if _mark(row) == mark and row["status"] in ("published", "low_base")
        ]
        if named:
            parts.append(("・".join(named), words))
    texts = [
        names + (words[0] if place < len(parts) - 1 else words[1])
        for place, (names, words) in enumerate(parts)
    ]
    return f"{measure}割合は、{'、'.join(texts)}" if texts else ""


def _primary(published: Published, item: str) -> tuple[str, str] | None:
    """Return the first indicator of a question that is one of its codes or nets, and which."""
    for name, indicator in _indicators(published).items():
        value = _indicator_value(published, name)
        if indicator["item"] == item and value is not None:
            return name, value
    return None


def _option_order(published: Published, item: str, codes: list[str]) -> list[str]:
    """Return the answers with the indicator's own first, those without an answer last."""
    labels = published.values(item)
    answers = [code for code in codes if not _is_no_answer(code, labels.get(code, ""))]
    primary = _primary(published, item)
    if primary and primary[1] in answers and answers.index(primary[1]) > (len(answers) - 1) / 2:
        answers = answers[::-1]
    return answers + [code for code in codes if code not in answers]


def _stacked_picture(
    published: Published,
    groups: dict[str, pd.DataFrame],
    *,
    key: str,
    item: str,
    title: str,
    neutral: str,
    asked: str = "",
    source: str = "",
) -> list[Picture]:
    """Return a 100 % figure, one bar a group of percent rows; none when nothing can be shown."""
    codes = [c for rows in groups.values() for c in rows["item_value"]]
    order = _option_order(published, item, list(dict.fromkeys(codes)))
    labels = published.values(item)
    parts = []
    for group, rows in groups.items():
        rows = _in_order(rows, order, column="item_value")
        names = [labels.get(code, code) for code in rows["item_value"]]
        parts.append(_chart_rows(published, rows, names).assign(group=group))
    if not parts:
        return []
    table = pd.concat(parts, ignore_index=True).rename(columns={"label": "category"})
    names = [labels.get(code, code) for code in order]
    table = _in_order(table, names, column="category")
    table = table.assign(rank=table["group"].map({g: i for i, g in enumerate(groups)}))
    table = table.sort_values("rank", kind="stable")
    grey = tuple(labels.get(c, c) for c in order if _is_no_answer(c, labels.get(c, "")))
    answers = table[~table["category"].isin(grey)]
    n_whole = answers.groupby("group")["estimate"].apply(lambda e: e.notna().all()).sum()
    if n_whole < min(2, len(groups)):
        return []
    whole = [
        rows
        for rows in groups.values()
        if not ((rows["status"] == "suppressed") & ~rows["item_value"].map(labels).isin(grey)).any()
    ]
    ours = pd.concat(whole)
    words = _words(
        published, title, neutral=neutral, subtitle=f"{asked or published.full_label(item)}（%）。"
        f"{_people(published)}、重み付け後", n=_n_by_group(groups, whole) or _n_text(ours),
        has_interval=False, source=source,
    )  # fmt: skip
    chart = figures.stacked_bars(table, words=words, grey=grey)
    return [Picture(key, chart, rows=_keys(*groups.values()))]


def _dots_by_axis(published: Published, axis: str, *, name: str) -> list[Picture]:
    """Return dots with intervals of one indicator over the groups of an axis."""
    rows = _indicator_cross(published, axis, name=name)
    if rows["estimate"].notna().sum() < 2:
        return []
    labels = [published.domain_label(axis, value) for value in rows["domain_value"]]
    measure = published.label(name)
    table = _chart_rows(published, rows, labels)
    names = axis.split(" x ")
    if len(names) == 2:
        codes = rows["domain_value"].str.split(" x ")
        pairs = [
            [published.values(part).get(code, code) for part, code in zip(names, each, strict=True)]
            for each in codes
        ]
        table = table.assign(label=[p[0] for p in pairs], series=[p[1] for p in pairs])
        visible = table.groupby("series")["estimate"].transform(lambda e: e.notna().any())
        table = table[visible]
    overall = _indicator_row(published, name)
    has_line = overall is not None and not _is_hidden(overall)
    words = _words(
        published,
        _finding(f"「{measure}」の", rows, labels),
        neutral=f"「{measure}」の割合（{_by_axis(published, axis)}）",
        subtitle=f"{clean_text(_indicators(published)[name]['definition'])}（%）。"
        f"{_people(published)}、重み付け後",
        n=_n_text(rows),
    )
    return [
        Picture(
            f"{axis}-{name}",
            figures.interval_dots(
                table,
                words=words,
                reference=float(overall["estimate"]) if has_line else None,
                reference_label="全体" if has_line else "",
            ),
            rows=_keys(rows) + ((overall["key"],) if has_line else ()),
        )
    ]


# --- tables ---------------------------------------------------------------------------------------


def _table_note(published: Published, *, extra: str = "", has_marks: bool = False) -> str:
    note = f"小さい字の範囲は{published.confidence}%信頼区間。{_error_note(published)}。"
    note += "n は重み付け前の回答者数。"
    if has_marks:
        note += "▲▽ はそのほかの人との差が確かめられ、かつ一定以上のもの。"
    return note + extra


def _gt_table(published: Published, item: str) -> list[Table]:
    """Return the table of one question over everybody."""
    rows = _gt(published, item)
    if rows.empty:
        return []
    nets, is_hidden = published.nets(item), rows["status"] == "suppressed"
    n_left_out = int(is_hidden.sum()) if is_hidden.sum() > MOST_HIDDEN_ANSWERS else 0
    rows = rows[~is_hidden] if n_left_out else rows
    if rows.empty:
        return []
    lines, net_lines = [], []
    for row in _records(rows):
        cells = (
            Cell(_answer_label(published, row)),
            _number_cell(row, format_estimate(row)),
            _number_cell(row, format_interval(row)),
            _number_cell(row, format_base(row)),
        )
        (net_lines if row["item_value"] in nets else lines).append(cells)
    extra = " 複数回答のため、合計は100%になりません。" if _is_multiple(published, item) else ""
    extra += f" 秘匿の回答 {n_left_out}つは省いています。" if n_left_out else ""
    groups = [("", tuple(lines))] + ([("まとめた区分", tuple(net_lines))] if net_lines else [])
    return [
        Table(
            key=f"gt_{item}",
            caption=f"{published.full_label(item)}（単純集計）",
            head=("回答", "割合（%）", f"{published.confidence}%信頼区間", "n（人）"),
            groups=tuple(groups),
            note=_table_note(published, extra=extra),
            is_synthetic=published.is_synthetic,
        )
    ]


def _percent_cell(row: Row | None) -> Cell:
    if row is None:
        return Cell(MISSING)
    if _is_hidden(row):
        return Cell(HIDDEN)
    return _number_cell(row, format_estimate(row) + _mark(row), format_interval(row))


def _cross_table(published: Published, item: str) -> list[Table]:
    """Return one table of a question over the groups of every axis, everybody first."""
    total = _gt(published, item)
    crosses = {axis: _cross(published, axis, item=item) for axis in _axes(published)}
    crosses = {axis: rows for axis, rows in crosses.items() if len(rows)}
    if not crosses:
        return []
    order = list(published.values(item))
    found = pd.concat([total, *crosses.values()])["item_value"].unique().tolist()
    codes = [code for code in order if code in found]
    codes += [code for code in found if code not in codes]
    labels = published.values(item)
    lines = [_cross_line(_records(total), codes, "全体")] if len(total) else []
    groups = [("", tuple(lines))] if lines else []
    n_left_out = 0
    for axis, rows in crosses.items():
        by_domain: dict[str, list[Row]] = {}
        for row in _records(rows):
            by_domain.setdefault(row["domain_value"], []).append(row)
        seen = {v: rows for v, rows in by_domain.items() if not all(map(_is_hidden, rows))}
        n_left_out += len(by_domain) - len(seen)
        lines = [
            _cross_line(part, codes, published.domain_label(axis, value))
            for value, part in seen.items()
        ]
        groups += [(_by_axis(published, axis), tuple(lines))] if lines else []
    extra = _left_out_note(n_left_out)
    extra += " 複数回答。" if _is_multiple(published, item) else ""
    return [
        Table(
            key=f"cross_{item}",
            caption=f"{published.full_label(item)}（クロス集計、横%）",
            head=("区分", "n（人）", *(labels.get(code, code) for code in codes)),
            groups=tuple(groups),
            note=_table_note(published, extra=extra, has_marks=True),
            is_synthetic=published.is_synthetic,
        )
    ]


def _left_out_note(n_groups: int) -> str:
    return f" すべて秘匿となる {n_groups}区分は省いています。" if n_groups else ""


def _cross_line(rows: list[Row], codes: list[str], label: str) -> tuple[Cell, ...]:
    by_code = {row["item_value"]: row for row in rows}
    bases = [row for row in by_code.values() if not _is_hidden(row)]
    base = _number_cell(bases[0], format_base(bases[0])) if bases else Cell(HIDDEN)
    return (Cell(label), base, *(_percent_cell(by_code.get(code)) for code in codes))


# --- comparisons ----------------------------------------------------------------------------------


def _nation(published: Published, item: str, value: str | None, **domain: str) -> dict[str, Any]:
    """Return the rows of one answer against the nation, by measure."""
    where = {"domain": "all", "domain_value": "all"} | domain
    rows = published.rows(f"national_{item}", item_value=value, **where)
    return {row["measure"]: row for row in _records(rows)}


def _usable(row: Row | None) -> bool:
    """Whether a published national figure may stand in a figure: its source is verified."""
    return row is not None and not _is_hidden(row) and row["certainty"] != UNVERIFIED


def _judged(found: dict[str, Any]) -> Row | None:
    """Return the difference that carries the verdict: on one age mix, else as it is."""
    for measure in ("difference_points_age_standardised", "difference_points"):
        row = found.get(measure)
        if row is not None and row["verdict"] and not _is_hidden(row):
            return row
    return None


def _nation_name(published: Published) -> str:
    benchmark = published.about.get("benchmark") or {}
    return clean_text(benchmark.get("label") or "全国")


def _change(published: Published, item: str, value: str | None) -> dict[str, Any]:
    """Return this wave's and the last one's percent and their difference."""
    rows = published.rows(f"waves_{item}", item_value=value, domain="all")
    percents = rows[rows["measure"] == "percent"]
    waves = _wave_of(percents)
    return {
        "before": _first(percents[waves < published.year]),
        "difference": _first(rows[rows["measure"] == "difference_points"]),
    }


def _previous_year(published: Published) -> int | None:
    rows = published.estimates[published.estimates["table_id"].str.startswith("waves_")]
    waves = _wave_of(rows).dropna()
    waves = waves[waves < published.year]
    return int(waves.max()) if len(waves) else None


def _verdict_words(row: Row, *, other: str) -> str:
    """Return what a sentence may say of a difference."""
    return {
        HIGHER: f"{other}より高い結果です",
        LOWER: f"{other}より低い結果です",
        NOT_CLEAR: f"{other}との差は確認できません",
    }.get(row["verdict"], f"{other}とは比較できません")


def _gap_cell(row: Row | None) -> Cell:
    if row is None:
        return Cell(NONE)
    verdict = clean_text(row["verdict"])
    if _is_hidden(row) or np.isnan(row["estimate"]) or verdict == NOT_COMPARABLE:
        return Cell(verdict or HIDDEN)
    return _number_cell(row, f"{format_estimate(row)} {verdict}".strip(), format_interval(row))


# --- part 1: one page -----------------------------------------------------------------------------


def _summary(published: Published) -> Iterator[Block]:
    if published.is_synthetic:
        yield Text((SYNTHETIC_NOTE,), kind="warning")
    yield Text(("3つの要点",), kind="h3")
    yield Text(tuple(_conclusions(published)), kind="ol")
    yield from _indicator_table(published)
    yield from _indicator_picture(published)
    yield Text(("読むときの注意",), kind="h3")
    yield Text(tuple(_reading_notes(published)), kind="ul")


def _conclusions(published: Published) -> list[str]:
    """Return three sentences, each from rows, each with its table."""
    prefix = "（表示例）" if published.is_synthetic else ""
    lines = [
        line
        for make in (_level_sentence, _groups_sentence, _factor_sentence, _second_sentence)
        for line in [make(published)]
        if line
    ]
    return [prefix + line for line in lines[:3]]


def _level_sentence(published: Published, *, place: int = 0) -> str:
    shown = [n for n in _indicators(published) if _indicator_row(published, n) is not None]
    shown = [n for n in shown if not _is_hidden(_indicator_row(published, n))]
    if len(shown) <= place:
        return ""
    name = shown[place]
    row = _indicator_row(published, name)
    item, value = _indicators(published)[name]["item"], _indicator_value(published, name)
    level = _with_unit(row, name=f"{published.confidence}%信頼区間 ")
    text = f"{clean_text(_indicators(published)[name]['label'])}は {level}です。"
    gap = _judged(_nation(published, item, value))
    if gap is not None:
        is_aged = gap["measure"].endswith("age_standardised")
        text += "年齢のちがいをそろえると、" if is_aged else ""
        text += f"{_verdict_words(gap, other='全国')}。" + (
            "調査の方法がちがうため、差の一部は方法のちがいによる可能性があります。"
            if gap["verdict"] in (HIGHER, LOWER)
            else ""
        )
    change = _change(published, item, value)["difference"]
    if change is not None and not _is_hidden(change) and change["verdict"]:
        text += f"{_verdict_words(change, other='前回')}。"
    return f"{text}⟦indicators⟧"


def _second_sentence(published: Published) -> str:
    return _level_sentence(published, place=1)


def _groups_sentence(published: Published) -> str:
    """Return what the marks say of the first loneliness indicator over the first axes."""
    items = _lonely_items(published)
    primary = _primary(published, items[0]) if items else None
    if primary is None:
        return ""
    name = primary[0]
    found, tested = [], []
    for axis in [axis for axis in _axes(published) if " x " not in axis and axis != items[0]]:
        rows = _indicator_cross(published, axis, name=name)
        if rows["estimate"].notna().sum() < 2:
            continue
        tested.append(_axis_label(published, axis))
        marked = rows[
            (rows["mark"] == "▲") & rows["status"].isin(["published", "low_base"])
        ].sort_values("estimate", ascending=False)
        found += [(axis, row) for row in _records(marked.head(1))]
    measure = f"「{published.label(name)}」の割合"
    if not tested:
        return ""
    found.sort(key=lambda pair: pair[1]["estimate"], reverse=True)
    if not found:
        groups = "・".join(tested)
        return f"{measure}に、{groups}による一定以上の差は確認できませんでした。⟦cross_{items[0]}⟧"
    texts = [
        f"{_by_axis(published, axis)}では「{published.domain_label(axis, row['domain_value'])}」"
        f"（{_of(row, format_estimate(row) + '%')}▲）"
        for axis, row in found[:3]
    ]
    more = "など" if len(found) > len(texts) else ""
    return (
        f"{measure}は、{'、'.join(texts)}{more}で、そのほかの人より高い結果です。⟦cross_{items[0]}⟧"
    )


def _effect_rows(published: Published, outcome: str) -> pd.DataFrame:
    """Return the marginal effects a sentence may use: tested, marked, base of 50 or more."""
    rows = published.rows(f"model_{outcome}", measure="marginal_effect_points")
    is_sure = rows["mark"].isin(["▲", "▽"]) & (rows["n_unweighted"] >= MODEL_BASE)
    rows = rows[is_sure & (rows["status"] == "published")]
    return rows.iloc[np.argsort(-rows["estimate"].abs().to_numpy(float), kind="stable")]


def _reference_label(published: Published, row: Row) -> str:
    rows = published.rows(row["table_id"], measure=row["measure"], item=row["item"], mark="基準")
    return _level_label(published, _first(rows)) if len(rows) else "基準の区分"


def _level_label(published: Published, row: Row) -> str:
    return clean_text(row["item_label"]) or _answer_label(published, row)


def _effect_sentence(published: Published, row: Row, *, outcome: str) -> str:
    direction = HIGHER if row["estimate"] > 0 else LOWER
    size = format_number(abs(row["estimate"]), decimals=1)
    return (
        f"ほかの条件が同じなら、{published.label(row['item']).removesuffix('の有無')}が"
        f"「{_level_label(published, row)}」"
        f"の人は、「{_reference_label(published, row)}」の人より、"
        f"「{published.label(outcome)}」の割合が"
        f"{_of(row, size + 'ポイント')}{direction}"
        f"{_mark(row)}という関連がみられます"
        f"（{published.confidence}%信頼区間 {_of(row, format_interval(row))}）。"
    )


def _factor_sentence(published: Published) -> str:
    for outcome in _outcomes(published):
        rows = _effect_rows(published, outcome)
        if len(rows):
            text = _effect_sentence(published, rows.iloc[0], outcome=outcome)
            return f"{text}どちらが先かは、この調査だけでは分かりません。⟦effects_{outcome}⟧"
    return ""


def _indicator_table(published: Published) -> Iterator[Table]:
    """Yield the table of all indicators: level, interval, change, nation."""
    previous = _previous_year(published)
    has_nation = any(t.startswith("national_") for t in published.table_ids)
    head = ["指標", "割合（%）", f"{published.confidence}%信頼区間", "n（人）"]
    head += [f"前回（{previous}年）との差（ポイント）"] if previous else []
    head += ["全国との差（年齢調整、ポイント）"] if has_nation else []
    lines = []
    for name, indicator in _indicators(published).items():
        row = _indicator_row(published, name)
        if row is None:
            continue
        value = _indicator_value(published, name)
        texts = (format_estimate(row), format_interval(row), format_base(row))
        answers = clean_text(indicator["definition"]).split("：", 1)[-1]
        cells = [Cell(published.label(name), answers), *(_number_cell(row, text) for text in texts)]
        if previous:
            cells.append(_gap_cell(_change(published, indicator["item"], value)["difference"]))
        if has_nation:
            cells.append(_gap_cell(_judged(_nation(published, indicator["item"], value))))
        lines.append(tuple(cells))
    if not lines:
        return
    yield Table(
        key="indicators",
        caption="主な指標",
        head=tuple(head),
        groups=(("", tuple(lines)),),
        note=_table_note(published, extra=_base_note(published)),
        is_synthetic=published.is_synthetic,
    )


def _base_note(published: Published) -> str:
    """Return a sentence on who is counted; the indicators may differ in it."""
    bases = {each.get("base", "asked") for each in _indicators(published).values()}
    texts = {
        "asked": "割合の分母は、質問した人（無回答を含む）です。",
        "answered": "割合の分母は、答えた人です。",
    }
    return texts[bases.pop()] if len(bases) == 1 else "割合の分母は、指標の定義の表にあります。"


def _definitions_table(published: Published) -> Iterator[Table]:
    """Yield what every indicator counts, out of whom."""
    lines = tuple(
        (
            Cell(clean_text(each["label"])),
            Cell(clean_text(each["definition"])),
            Cell(
                "質問した人（無回答を含む）" if each.get("base", "asked") == "asked" else "答えた人"
            ),
        )
        for each in _indicators(published).values()
    )
    if lines:
        yield Table(
            key="definitions",
            caption="指標の定義",
            head=("指標", "質問と、数える答え", "分母"),
            groups=(("", lines),),
            is_synthetic=published.is_synthetic,
            is_text=True,
        )


def _indicator_picture(published: Published) -> Iterator[Picture]:
    """Yield dots of all indicators, the nation's beside ours on one age mix."""
    ours, theirs, names = [], [], []
    for name, indicator in _indicators(published).items():
        row = _indicator_row(published, name)
        if row is None or _is_hidden(row):
            continue
        value = _indicator_value(published, name)
        found = _nation(published, indicator["item"], value)
        ours.append(row)
        nation = found.get("percent_benchmark")
        theirs.append(nation if _usable(nation) else None)
        names.append(published.label(name))
    if len(ours) < 2:
        return
    own = _chart_rows(published, pd.DataFrame(ours), names)
    parts = [own.assign(series=f"{clean_text(published.about['area'])}")]
    beside = [(name, row) for name, row in zip(names, theirs, strict=True) if row is not None]
    if beside:
        rows = pd.DataFrame([row for _, row in beside])
        table = _chart_rows(published, rows, [name for name, _ in beside])
        parts.append(table.assign(series="全国（公表値）"))
    source = f"、{_nation_name(published)}" if beside else ""
    words = _words(
        published, "", neutral="主な指標",
        subtitle=f"割合（%）。{_people(published)}、重み付け後"
        + ("。全国は公表値で、年齢のちがいをそろえていない" if beside else ""),
        n=_n_text(pd.DataFrame(ours)), source=source,
    )  # fmt: skip
    shown = pd.DataFrame([*ours, *(row for _, row in beside)])
    chart = figures.interval_dots(pd.concat(parts), words=words)
    yield Picture("indicators", chart, rows=_keys(shown))


def _reading_notes(published: Published) -> list[str]:
    lines = [f"この調査は{clean_text(published.about['mode'])}です。{_error_note(published)}です。"]
    benchmark = published.about.get("benchmark")
    if benchmark:
        lines.append(clean_text(benchmark["caveat"]))
    lines.append("差があると書くのは、検定で確かめられたときだけです。")
    lines.append("n に * がある数は参考値です。記号の意味は「調査の方法」にあります。")
    return lines


# --- part 2: method -------------------------------------------------------------------------------


def _method(published: Published) -> Iterator[Block]:
    yield _facts_table(published)
    yield from _definitions_table(published)
    yield from _ledger_table(published)
    yield from _weights_table(published)
    yield Text(("図表の見方",), kind="h3")
    yield Text(tuple(_how_to_read(published)), kind="ul")


def _facts_table(published: Published) -> Table:
    about = published.about
    benchmark = about.get("benchmark") or {}
    base = _first(_this_wave(published, published.rows("weights", measure="n_respondents")))
    n = Cell("")
    if base is not None:
        n = _number_cell(base, format_number(base["estimate"], decimals=0) + "人")
    facts = [
        ("調査の名前", about["title"]),
        ("対象", about["people"]),
        ("実施時期", about.get("fieldwork")),
        ("方法", about.get("mode")),
        ("地域", "・".join(about.get("regions") or [])),
        ("分析した回答者", n),
        ("重み付け", about.get("weighting_label")),
        ("人口の基準日", about.get("population_date")),
        ("人口についての注", about.get("population_note")),
        ("比べた全国の調査", _benchmark_text(benchmark)),
        ("合成した入力", "、".join(about.get("synthetic_inputs") or [])),
    ]
    cells = [(name, text if isinstance(text, Cell) else Cell(clean_text(text or "")))
             for name, text in facts]  # fmt: skip
    lines = tuple((Cell(name), cell) for name, cell in cells if cell.text)
    return Table(
        key="facts",
        caption="調査の概要",
        head=("項目", "内容"),
        groups=(("", lines),),
        is_synthetic=published.is_synthetic,
        is_text=True,
    )


def _benchmark_text(benchmark: dict[str, Any]) -> str:
    if not benchmark:
        return ""
    text = str(benchmark.get("label", ""))
    return text + (f"（{benchmark['year']}年）" if benchmark.get("year") else "")


def _ledger_table(published: Published) -> Iterator[Table]:
    rows = published.rows("ledger", measure="count")
    if rows.empty:
        return
    rows = _in_order(rows, ["read", "analysed", "quarantined"], column="item_value")
    lines = []
    for row in _records(rows):
        label = _LEDGER_LABELS.get(row["item_value"], clean_text(row["item_label"]))
        is_reason = row["item_value"] not in _LEDGER_LABELS
        label = f"　うち {label or row['item_value']}" if is_reason else label
        text = HIDDEN if _is_hidden(row) else format_number(row["estimate"], decimals=0)
        lines.append((Cell(label), _number_cell(row, text)))
    yield Table(
        key="ledger",
        caption="読み込んだ回答と、分析から除いた回答",
        head=("区分", "行"),
        groups=(("", tuple(lines)),),
        note="x は秘匿です（少ない数のため）。答えが使えない設問は、その設問だけを無回答とし、"
        "回答者は残しています。",
        is_synthetic=published.is_synthetic,
    )


def _weights_table(published: Published) -> Iterator[Table]:
    rows = _this_wave(published, published.rows("weights", domain="all"))
    found = {row["measure"]: row for row in _records(rows)}
    lines = []
    for measure, (label, unit, decimals) in _WEIGHT_LABELS.items():
        row = found.get(measure)
        if row is None or (measure == "n_trimmed" and not row["estimate"]):
            continue
        text = HIDDEN if _is_hidden(row) else format_number(row["estimate"], decimals=decimals)
        lines.append((Cell(label), _number_cell(row, text), Cell(unit)))
    if lines:
        yield Table(
            key="weights",
            caption="重みの状態",
            head=("項目", "値", "単位"),
            groups=(("", tuple(lines)),),
            note=f"重み付け：{clean_text(published.about.get('weighting_label') or '')}。"
            f"{_error_note(published)}。",
            is_synthetic=published.is_synthetic,
        )


def _how_to_read(published: Published) -> list[str]:
    marks, gate = published.about.get("marks", {}), published.about.get("disclosure", {})
    points = format_number(float(marks.get("point_threshold", 3)), decimals=0)
    least = published.about.get("min_cell_n", gate.get("base_minimum", 10))
    reference, low = gate.get("base_reference", 30), gate.get("base_low", 50)
    has_missing = published.about.get("base", "asked") == "asked"
    return [
        "割合は重みを付けた値です。n は重みを付ける前の回答者数で、割合の分母です。",
        "割合は小数第2位を四捨五入しています（n が200未満の区分と、2つの属性を組み合わせた区分は"
        "整数）。"
        "合計が100%にならないことがあります。",
        f"信頼区間は{published.confidence}%です。{_error_note(published)}です。",
        f"▲ は高い、▽ は低いことを示します。そのほかの人との差が、示した検定の数を調整しても"
        f"{published.confidence}%の水準で確かめられ、かつ{points}ポイント以上のときだけ付けます。"
        "「高い」「低い」は、検定だけで判断します"
        "（もとの割合が小さい指標では、小さな差にも意味があるため）。",
        f"n に付く * は参考値（n が{reference}未満）、† は n が{low}未満です。"
        "参考値は文で取り上げません。",
        f"x は秘匿です。n が{least}未満の区分や、該当する人が少ない数は、"
        "割合・区間・図を含めて示しません。",
        "… は値がないこと、- は比べる相手がないことを示します。",
        "差は「ポイント」（割合の引き算）で示します。",
        (
            "無回答は、断りがないかぎり分母に含めています。"
            if has_missing
            else "無回答は、分母から除いています。"
        )
        + "属性に答えていない人は、クロス集計の区分から除いています。",
    ]


# --- part 3: loneliness ---------------------------------------------------------------------------


def _loneliness(published: Published) -> Iterator[Block]:
    items = _lonely_items(published)
    if not items:
        yield Text(("この調査には、孤独感についての集計がありません。",))
        return
    for place, item in enumerate(items):
        yield Text((published.label(item),), kind="h3")
        yield from _item_against_others(published, item)
        yield from _gt_table(published, item)
        yield from _item_by_axes(published, item, is_first=place == 0)


def _item_against_others(published: Published, item: str) -> Iterator[Picture]:
    """Yield the 100 % figure of this wave, the last one and the nation."""
    now = _gt(published, item, has_nets=False)
    if now.empty or _is_multiple(published, item):
        return
    area, codes = clean_text(published.about["area"]), now["item_value"].tolist()
    groups = {f"{area} {published.year}年": now}
    waves = published.rows(f"waves_{item}", measure="percent", domain="all")
    before = waves[(_wave_of(waves) < published.year) & waves["item_value"].isin(codes)]
    if set(codes) - {NO_ANSWER} <= set(before["item_value"]):
        year = int(_wave_of(before).max())
        groups[f"{area} {year}年"] = before[_wave_of(before) == year]
    nation = published.rows(f"national_{item}", measure="percent_benchmark", domain="all")
    nation = nation[nation["item_value"].isin(codes)]
    nation = nation[[_usable(row) for row in _records(nation)]] if len(nation) else nation
    source = ""
    if set(codes) - {NO_ANSWER} <= set(nation["item_value"]) and nation["estimate"].notna().any():
        year = (published.about.get("benchmark") or {}).get("year")
        groups[f"全国 {year}年" if year else "全国"] = nation
        source = f"、{_nation_name(published)}"
    primary = _primary(published, item)
    gap = _judged(_nation(published, item, primary[1])) if primary else None
    title = ""
    if gap is not None and gap["verdict"] in (HIGHER, LOWER):
        label = published.label(primary[0])
        title = f"「{label}」の割合は、年齢をそろえると全国より{gap['verdict']}"
    neutral = f"{published.label(item)}の分布"
    yield from _stacked_picture(
        published, groups, key=f"waves-{item}", item=item, title=title, neutral=neutral,
        source=source,
    )  # fmt: skip


def _item_by_axes(published: Published, item: str, *, is_first: bool) -> Iterator[Block]:
    """Yield figures over the first axes, and one over all further axes."""
    primary = _primary(published, item)
    axes = [axis for axis in _axes(published) if item not in axis.split(" x ")]
    leading, further = axes[:4], [axis for axis in axes[4:] if " x " not in axis]
    for axis in leading:
        codes = _cross(published, axis, item=item)["domain_value"].unique()
        is_short = " x " not in axis and 0 < len(codes) <= 4
        stacked = []
        if is_short and not _is_multiple(published, item):
            stacked = list(_stack_by_axis(published, item, axis=axis))
        yield from stacked
        if not stacked and (is_first or " x " not in axis):
            yield from _dots_of_visible(published, item, axis=axis)
    if primary and is_first:
        yield from _dots_by_further(published, further, name=primary[0])
    lines = _axis_sentences(published, item, axes=axes) if primary else []
    if lines:
        yield Text(tuple(lines), kind="ul")


def _dots_of_visible(published: Published, item: str, *, axis: str) -> list[Picture]:
    """Return dots of the question's first indicator of which half the groups can be shown."""
    names = [n for n, each in _indicators(published).items() if each["item"] == item]
    for name in names:
        rows = _indicator_cross(published, axis, name=name)
        if len(rows) and rows["estimate"].notna().mean() >= 0.5:
            return _dots_by_axis(published, axis, name=name)
    return _dots_by_axis(published, axis, name=names[0]) if names else []


def _stack_by_axis(published: Published, item: str, *, axis: str) -> Iterator[Picture]:
    rows = _cross(published, axis, item=item)
    rows = rows[~rows["item_value"].isin(published.nets(item))]
    groups = {
        published.domain_label(axis, value): part
        for value, part in rows.groupby("domain_value", sort=False)
    }
    primary = _primary(published, item)
    title = ""
    if primary:
        own = rows[rows["item_value"] == primary[1]]
        labels = [published.domain_label(axis, value) for value in own["domain_value"]]
        title = _finding(f"「{published.label(primary[0])}」の", own, labels)
    yield from _stacked_picture(
        published, groups, key=f"{axis}-{item}", item=item, title=title,
        neutral=f"{published.label(item)}（{_by_axis(published, axis)}）",
    )  # fmt: skip


def _dots_by_further(published: Published, axes: list[str], *, name: str) -> Iterator[Picture]:
    """Yield one figure of an indicator over the groups of several axes."""
    parts, rows_of = [], []
    for axis in axes:
        rows = _indicator_cross(published, axis, name=name)
        if rows.empty:
            continue
        labels = [published.domain_label(axis, value) for value in rows["domain_value"]]
        labels = [f"{_axis_label(published, axis)}：{label}" for label in labels]
        parts.append(_chart_rows(published, rows, labels))
        rows_of.append(rows)
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if table.empty or table["estimate"].notna().sum() < 2:
        return
    rows = pd.concat(rows_of)
    measure, overall = published.label(name), _indicator_row(published, name)
    has_line = overall is not None and not _is_hidden(overall)
    words = _words(
        published,
        _finding(f"「{measure}」の", rows, table["label"].tolist()),
        neutral=f"「{measure}」の割合（くらしの状況別）",
        subtitle=f"割合（%）。{_people(published)}、重み付け後",
        n=_n_text(rows),
    )
    chart = figures.interval_dots(
        table, words=words, reference=float(overall["estimate"]) if has_line else None,
        reference_label="全体" if has_line else "", label_em=14,
    )  # fmt: skip
    line = (overall["key"],) if has_line else ()
    yield Picture(f"further-{name}", chart, rows=_keys(*rows_of) + line)


def _axis_sentences(published: Published, item: str, *, axes: list[str]) -> list[str]:
    """Return one sentence an axis with marked groups, and one for all axes without."""
    name = _primary(published, item)[0]
    prefix, lines, without = "（表示例）" if published.is_synthetic else "", [], []
    measure = f"「{published.label(name)}」の割合"
    for axis in axes:
        rows = _indicator_cross(published, axis, name=name)
        if " x " in axis or rows["estimate"].notna().sum() < 2:
            continue
        sure = rows[rows["mark"].isin(["▲", "▽"]) & rows["status"].isin(["published", "low_base"])]
        if sure.empty:
            without.append(_axis_label(published, axis))
            continue
        text = _sides(published, sure, axis=axis)
        text = f"{measure}を{_by_axis(published, axis)}にみると、{text}結果です。"
        lines.append(f"{prefix}{text}⟦cross_{item}⟧")
    if without:
        text = f"{measure}に、{'・'.join(without)}による一定以上の差は確認できませんでした。"
        lines.append(f"{prefix}{text}⟦cross_{item}⟧")
    return lines


def _sides(published: Published, rows: pd.DataFrame, *, axis: str) -> str:
    """Return which groups are higher than the other people, and which lower."""
    parts = []
    for mark, words in (("▲", ("高く", "高い")), ("▽", ("低く", "低い"))):
        own = rows[rows["mark"] == mark]
        names = [
            f"「{published.domain_label(axis, row['domain_value'])}」{_with_unit(row)}{mark}"
            for row in _records(own)
        ]
        if names:
            parts.append(("、".join(names), words))
    ends = [words[place == len(parts) - 1] for place, (_, words) in enumerate(parts)]
    texts = [
        f"{names}は{'そのほかの人より' if place == 0 else ''}{end}"
        for place, ((names, _), end) in enumerate(zip(parts, ends, strict=True))
    ]
    return "、".join(texts)


# --- part 4: ties, other questions ----------------------------------------------------------------


def _ties(published: Published) -> Iterator[Block]:
    items = _tie_items(published)
    if not items:
        yield Text(("この調査には、つながりについての集計がありません。",))
        return
    for family in _families(published, items):
        if len(family) > 1:
            yield from _family_picture(published, family)
        elif _is_multiple(published, family[0]):
            yield from _bars_picture(published, family[0])
        else:
            yield from _item_against_others(published, family[0])
    yield from _indicators_by_axis(published)


def _families(published: Published, items: list[str]) -> list[list[str]]:
    """Put questions with the same answers together, in the order of their first."""
    families: dict[Any, list[str]] = {}
    for item in items:
        labels = tuple(published.values(item).values())
        is_alone = _is_multiple(published, item) or len(labels) < 3
        families.setdefault(item if is_alone else labels, []).append(item)
    return list(families.values())


def _family_picture(published: Published, items: list[str]) -> Iterator[Picture]:
    groups = {published.label(item): _gt(published, item, has_nets=False) for item in items}
    name = published.label(items[0])
    yield from _stacked_picture(
        published, groups, key=f"family-{items[0]}", item=items[0], title="",
        neutral=f"{name}など{len(items)}つの質問の分布", asked="、".join(groups),
    )  # fmt: skip


def _bars_picture(published: Published, item: str) -> Iterator[Picture]:
    """Yield bars of a question with several answers, the most frequent first."""
    rows = _gt(published, item, has_nets=False)
    rows = rows[~rows["item_value"].isin([NO_ANSWER])]
    if rows["estimate"].notna().sum() < 2:
        return
    labels = published.values(item)
    places = [
        2 if re.search("特に|いずれも|ことはない$", label) else int(label.startswith("その他"))
        for label in (labels.get(code, "") for code in rows["item_value"])
    ]
    order = np.lexsort((-rows["estimate"].fillna(-1).to_numpy(float), places))
    rows = rows.iloc[order]
    labels = [_answer_label(published, row) for row in _records(rows)]
    words = _words(
        published, "", neutral=f"{published.label(item)}（複数回答）",
        subtitle=f"{published.full_label(item)}（%）。質問した人に占める割合、重み付け後",
        n=_n_text(rows),
    )  # fmt: skip
    chart = figures.percent_bars(_chart_rows(published, rows, labels), words=words)
    yield Picture(f"bars-{item}", chart, rows=_keys(rows))


def _indicators_by_axis(published: Published) -> Iterator[Table]:
    """Yield one table of all indicators over the groups of every single axis."""
    names = list(_indicators(published))
    groups, n_left_out = [], 0
    for axis in [axis for axis in _axes(published) if " x " not in axis]:
        found = {}
        for name in names:
            rows = _indicator_cross(published, axis, name=name)
            found[name] = {row["domain_value"]: row for row in _records(rows)}
        codes = dict.fromkeys(code for rows in found.values() for code in rows)
        lines = [
            (
                Cell(published.domain_label(axis, code)),
                *(
                    Cell(NONE) if not found[name] else _percent_cell(found[name].get(code))
                    for name in names
                ),
            )
            for code in codes
        ]
        seen = [
            line for line in lines if any(c.text not in (HIDDEN, NONE, MISSING) for c in line[1:])
        ]
        n_left_out += len(lines) - len(seen)
        if seen:
            groups.append((_by_axis(published, axis), tuple(seen)))
    if groups:
        yield Table(
            key="indicators_by_axis",
            caption="主な指標（区分別、%）",
            head=("区分", *(published.label(name) for name in names)),
            groups=tuple(groups),
            note=_table_note(
                published,
                has_marks=True,
                extra=f"n は資料のクロス集計にあります。{_left_out_note(n_left_out)}",
            ),
            is_synthetic=published.is_synthetic,
        )


def _others(published: Published) -> Iterator[Block]:
    """Yield bars of the further questions with several answers that the table plan names."""
    shown = {*_lonely_items(published), *_tie_items(published)}
    planned = [item for item in published.about.get("crosses", []) if item not in shown]
    items = [item for item in planned if _has_gt(published, item) and _is_multiple(published, item)]
    if not items:
        yield Text(("この調査には、ここで示すほかの質問の集計がありません。",))
    for item in items:
        yield from _bars_picture(published, item)


# --- part 5: nation and waves ---------------------------------------------------------------------


def _comparison(published: Published) -> Iterator[Block]:
    items = [t[9:] for t in published.table_ids if t.startswith("national_")]
    benchmark, previous = published.about.get("benchmark"), _previous_year(published)
    if items and benchmark:
        yield Text(("全国との比較",), kind="h3")
        yield Text(
            (
                "全国とは、年齢のちがいをそろえて比べます。"
                "判定は「高い」「低い」「差は確認できない」「比較できない」の4つです。",
            )
        )
        yield Text((clean_text(benchmark["caveat"]),), kind="warning")
        if lacking := benchmark.get("not_compared"):
            listed = "・".join(map(clean_text, lacking))
            text = f"全国の公表値のうち、{listed}別の値は、同じ集計がないため比べていません。"
            yield Text((text,), kind="note")
        yield from _nation_picture(published)
        yield from _nation_tables(published, items)
    else:
        yield Text(("この調査には、比べられる全国の公表値がありません。",))
    if previous is None:
        yield Text(("この調査には、比べられる前回の調査がありません。",))
    else:
        yield Text(("前回の調査との比較",), kind="h3")
        yield from _waves_table(published, previous=previous)


def _nation_picture(published: Published) -> Iterator[Picture]:
    """Yield the gaps to the nation of every indicator that can be judged."""
    rows, labels = [], []
    for name, indicator in _indicators(published).items():
        value = _indicator_value(published, name)
        gap = _judged(_nation(published, indicator["item"], value))
        if gap is None or np.isnan(gap["estimate"]) or gap["verdict"] == NOT_COMPARABLE:
            continue
        rows.append(gap)
        labels.append(published.label(name))
    if not rows:
        return
    table = pd.DataFrame(rows)
    sure = [
        f"「{label}」は{row['verdict']}"
        for label, row in zip(labels, rows, strict=True)
        if row["verdict"] in (HIGHER, LOWER)
    ]
    words = _words(
        published,
        f"全国と比べて、{'、'.join(sure)}" if sure else "",
        neutral="全国との差（年齢のちがいをそろえた値）",
        subtitle=f"{clean_text(published.about['area'])}の割合から全国の割合を引いた差（ポイント）。"
        "0 より右は全国より高い",
        n=_n_text(table),
        source=f"、{_nation_name(published)}",
    )
    chart = figures.interval_dots(
        _chart_rows(published, table, labels), words=words, unit="ポイント"
    )
    yield Picture("nation", chart, rows=_keys(table))


def _nation_tables(published: Published, items: list[str]) -> Iterator[Table]:
    for item in items:
        rows = published.rows(f"national_{item}")
        rows = _in_order(rows, list(published.values(item)), column="item_value")
        groups: dict[str, list[tuple[Cell, ...]]] = {"全体": []}
        reasons, n_left_out = [], 0
        for domain in rows["domain"].unique():
            part = _in_order(rows[rows["domain"] == domain], list(published.values(domain)),
                             column="domain_value")  # fmt: skip
            part = _in_order(part, list(published.values(item)), column="item_value")
            for (code, value), _ in part.groupby(["item_value", "domain_value"], sort=False):
                found = _nation(published, item, code, domain=domain, domain_value=value)
                gap = _judged(found)
                if domain != "all" and _is_hidden(found.get("percent", {"status": "suppressed"})):
                    n_left_out += 1
                    continue
                label, line = _nation_line(published, found, gap, item=item)
                groups.setdefault(label, []).append(line)
                reasons += [] if gap is None else [gap["reason"]]
        reasons = _sentences(reasons, known=(published.about.get("benchmark") or {}).get("caveat"))
        yield Table(
            key=f"national_{item}",
            caption=f"{published.full_label(item)}：全国との比較",
            head=("回答・区分", f"{clean_text(published.about['area'])}（%）", "年齢調整（%）",
                  "全国（%）", "差（ポイント）", "判定", "n（人）"),
            groups=tuple((label, tuple(lines)) for label, lines in groups.items() if lines),
            note=_table_note(published, extra=reasons + _left_out_note(n_left_out)),
            is_synthetic=published.is_synthetic,
        )  # fmt: skip


def _sentences(texts: Iterable[str], *, known: str | None = None) -> str:
    """Return every sentence of the texts once, without those that stand elsewhere already."""
    parts = [part for text in texts for part in re.findall("[^。]+。?", clean_text(text))]
    said = set(re.findall("[^。]+。?", clean_text(known or "")))
    return "".join(dict.fromkeys(part.strip() for part in parts if part.strip() not in said))


def _nation_line(
    published: Published, found: dict[str, Any], gap: Row | None, *, item: str
) -> tuple[str, tuple[Cell, ...]]:
    """Return the line of one answer in one group, and the heading it stands under."""
    some = next(iter(found.values()))
    label = published.values(item).get(some["item_value"]) or clean_text(some["item_label"])
    group = "全体"
    if some["domain"] != "all":
        group = f"{_by_axis(published, some['domain'])}：{label}"
        label = published.domain_label(some["domain"], some["domain_value"])
    ours, aged = found.get("percent"), found.get("percent_age_standardised")
    theirs = found.get("percent_benchmark")
    is_known = gap is not None and gap["verdict"] != NOT_COMPARABLE
    difference = Cell(NONE)
    if is_known:
        difference = _number_cell(gap, format_estimate(gap), format_interval(gap))
    hidden = ours is not None and _is_hidden(ours)
    verdict = clean_text(gap["verdict"]) if gap is not None else (HIDDEN if hidden else NONE)
    cells = (
        Cell(label),
        _percent_cell(ours),
        _percent_cell(aged) if aged is not None else Cell(NONE),
        _percent_cell(theirs),
        difference,
        Cell(verdict),
        _number_cell(ours, format_base(ours)) if ours is not None else Cell(MISSING),
    )
    return group, cells


def _waves_table(published: Published, *, previous: int) -> Iterator[Table]:
    """Yield one table of every question that both waves asked."""
    groups, reasons = [], []
    for table_id in [t for t in published.table_ids if t.startswith("waves_")]:
        item = table_id[6:]
        rows = published.rows(table_id, domain="all")
        percents = rows[rows["measure"] == "percent"]
        lines = []
        order = list(published.values(item))
        for code in sorted(rows["item_value"].unique(),
                           key=lambda c: order.index(c) if c in order else len(order)):  # fmt: skip
            own = percents[percents["item_value"] == code]
            now, before = (
                _first(own[_wave_of(own) == published.year]),
                _first(own[_wave_of(own) == previous]),
            )
            gap = _change(published, item, code)["difference"]
            label = published.values(item).get(code) or code
            lines.append((Cell(label), _percent_cell(before), _percent_cell(now), _gap_cell(gap)))
            reasons += [] if gap is None else [clean_text(gap["reason"])]
        groups.append((published.full_label(item), tuple(lines)))
    yield Table(
        key="waves",
        caption=f"前回（{previous}年）との比較",
        head=("回答", f"{previous}年（%）", f"{published.year}年（%）", "差（ポイント）と判定"),
        groups=tuple(groups),
        note=_table_note(published, extra=_sentences(reasons)),
        is_synthetic=published.is_synthetic,
    )


# --- part 6: factors ------------------------------------------------------------------------------


def _factors(published: Published) -> Iterator[Block]:
    outcomes = _outcomes(published)
    if not outcomes:
        yield Text(("この調査には、関連する条件の分析がありません。",))
        return
    yield Text(
        (
            "孤独感と関連する条件を、ほかの条件をそろえて調べました（重み付きロジスティック回帰）。"
            "一時点の調査なので、どちらが先かは分かりません。",
        )
    )
    for outcome in outcomes:
        yield Text((f"「{published.label(outcome)}」と関連する条件",), kind="h3")
        yield from _model_blocks(published, outcome)
    yield from _merges_table(published)


def _model_blocks(published: Published, outcome: str) -> Iterator[Block]:
    rows = published.rows(f"model_{outcome}")
    ratios = rows[rows["measure"] == "odds_ratio"]
    facts = rows[rows["item"] == "model"]
    if ratios.empty:
        reasons = [clean_text(text) for text in facts["reason"] if text]
        yield Text(("モデルは示していません。" + "".join(reasons[:1]),))
        return
    sentences = [
        _effect_sentence(published, row, outcome=outcome) + f"⟦effects_{outcome}⟧"
        for row in _records(_effect_rows(published, outcome).head(6))
    ]
    prefix = "（表示例）" if published.is_synthetic else ""
    if sentences:
        yield Text(tuple(prefix + text for text in sentences), kind="ul")
    else:
        yield Text((f"{prefix}はっきりした関連は確認できませんでした。",))
    yield from _forest_picture(published, ratios, outcome=outcome)
    yield _effects_table(published, outcome)
    told = [row for row in _records(facts) if not _is_hidden(row)]
    notes = [clean_text(row["reason"]) for row in told if row["reason"]]
    notes = [_model_size(facts), *dict.fromkeys(notes)]
    yield Text(tuple(note for note in notes if note), kind="note")
    yield from _sensitivity_table(published, outcome)


def _model_size(facts: pd.DataFrame) -> str:
    """Return how many people and events the model rests on; what is hidden is left out."""
    units = {"n": "人", "events": "人", "parameters": "", "events_per_parameter": "人"}
    rows = {row["item_value"]: row for row in _records(facts) if not _is_hidden(row)}
    parts = []
    for name, unit in units.items():
        if name in rows:
            decimals = int(name == "events_per_parameter")
            number = format_number(rows[name]["estimate"], decimals=decimals)
            number = _of(rows[name], number + unit)
            parts.append(f"{clean_text(rows[name]['item_label'])} {number}")
    return f"{'、'.join(parts)}。" if parts else ""


def _sensitivity_table(published: Published, outcome: str) -> Iterator[Table]:
    """Yield the marginal effects of the model made in other ways, beside the model's own."""
    main = published.rows(f"model_{outcome}", measure="marginal_effect_points")
    others = published.rows(f"model_{outcome}__sensitivity", measure="marginal_effect_points")
    if others.empty:
        return
    variants = others["domain_value"].unique().tolist()
    found = {(row["domain_value"], row["item"], row["item_value"]): row for row in _records(others)}
    groups: dict[str, list[tuple[Cell, ...]]] = {}
    for row in _records(main[main["mark"] != "基準"]):
        key = (row["item"], row["item_value"])
        cells = (_percent_cell(found.get((variant, *key))) for variant in variants)
        line = (Cell(_level_label(published, row)), _percent_cell(row), *cells)
        groups.setdefault(published.label(row["item"]), []).append(line)
    yield Table(
        key=f"sensitivity_{outcome}",
        caption=f"「{published.label(outcome)}」：作り方を変えたときの平均限界効果（ポイント）",
        head=("区分", "この報告", *(_VARIANT_LABELS.get(name, name) for name in variants)),
        groups=tuple((label, tuple(lines)) for label, lines in groups.items()),
        note=_table_note(published, extra="作り方で大きく変わる値は、注意して読みます。"),
        is_synthetic=published.is_synthetic,
    )


def _forest_picture(
    published: Published, ratios: pd.DataFrame, *, outcome: str
) -> Iterator[Picture]:
    labels = [_level_label(published, row) for row in _records(ratios)]
    table = _chart_rows(published, ratios, labels).assign(
        factor=[published.label(item) for item in ratios["item"]],
        is_reference=(ratios["mark"] == "基準").to_numpy(bool),
    )
    named = [published.label(item) for item in _effect_rows(published, outcome)["item"].unique()]
    measure = published.label(outcome)
    size = published.rows(f"model_{outcome}", item="model", item_value="n")
    words = _words(
        published,
        f"「{measure}」と関連がみられたのは、{'・'.join(named)}" if named else "",
        neutral=f"「{measure}」のオッズ比",
        subtitle="ほかの条件をそろえたオッズ比（1 より右は基準の区分より多い）。"
        f"{_people(published)}、重み付き",
        n=_n_text(size),
    )
    chart = figures.forest(table, words=words)
    yield Picture(f"forest-{outcome}", chart, rows=_keys(ratios, size))


def _effects_table(published: Published, outcome: str) -> Table:
    rows = published.rows(f"model_{outcome}")
    effects = rows[rows["measure"] == "marginal_effect_points"]
    ratios = {
        (row["item"], row["item_value"]): row
        for row in _records(rows[rows["measure"] == "odds_ratio"])
    }
    groups = []
    for item, part in effects.groupby("item", sort=False):
        lines = []
        for row in _records(part):
            ratio = ratios.get((item, row["item_value"]))
            is_base = row["mark"] == "基準"
            effect = Cell("基準") if is_base else _percent_cell(row)
            odds = Cell("基準") if is_base else _percent_cell(ratio)
            base = _number_cell(row, format_base(row))
            lines.append((Cell(_level_label(published, row)), effect, odds, base))
        groups.append((published.label(item), tuple(lines)))
    return Table(
        key=f"effects_{outcome}",
        caption=f"「{published.label(outcome)}」：平均限界効果とオッズ比",
        head=("区分", "平均限界効果（ポイント）", "オッズ比", "n（人）"),
        groups=tuple(groups),
        note=_table_note(
            published,
            extra="平均限界効果は、ほかの条件が同じとしたときの、基準の区分との割合の差。"
            "▲▽ は検定で確かめられ、かつ一定以上のもの。",
        ),
        is_synthetic=published.is_synthetic,
    )


def _merges_table(published: Published) -> Iterator[Table]:
    rows = published.rows("model_merges")
    if rows.empty:
        return
    groups: dict[str, dict[str, list[str]]] = {}
    for row in _records(rows):
        factor = "モデル全体" if row["item"] == "model" else published.label(row["item"])
        text = HIDDEN if _is_hidden(row) else clean_text(row["reason"])
        groups.setdefault(published.label(row["domain_value"]), {}).setdefault(factor, []).append(
            text
        )
    yield Table(
        key="model_merges",
        caption="モデルでまとめた区分",
        head=("条件", "内容"),
        groups=tuple(
            (f"「{label}」の分析", tuple((Cell(f), Cell("".join(t))) for f, t in factors.items()))
            for label, factors in groups.items()
        ),
        is_synthetic=published.is_synthetic,
        is_text=True,
    )


# --- parts 7 and 8: limits, appendix --------------------------------------------------------------


def _limits(published: Published) -> Iterator[Block]:
    about = published.about
    n_hidden = int((published.estimates["status"] == "suppressed").sum())
    lines = [
        SYNTHETIC_NOTE if published.is_synthetic else "",
        f"この調査は{clean_text(about['mode'])}です。答えた人は、答えなかった人とちがう可能性があります。",
        f"{_error_note(published)}です。",
        "一時点の調査なので、孤独感と暮らしの状況のどちらが先かは分かりません。",
        "答えは本人の申告によります。答えたくない質問への答え方は、調査の方法によってちがいます。",
        clean_text((about.get("benchmark") or {}).get("caveat", "")),
        clean_text(about.get("population_note") or ""),
        *(clean_text(note) for note in about.get("notes", [])),
        f"人が特定されないよう、集計値のうち {n_hidden:,}件を秘匿（x）しました。"
        if n_hidden
        else "",
    ]
    yield Text(tuple(line for line in dict.fromkeys(lines) if line), kind="ul")


def _appendix(published: Published) -> Iterator[Block]:
    shown = set(_lonely_items(published))
    for item in _gt_items(published):
        if item not in shown:
            yield from _gt_table(published, item)
    yield from _means_table(published)


def _crosses(published: Published) -> Iterator[Block]:
    headline = {each["item"] for each in _indicators(published).values()}
    items = [item for item in _gt_items(published) if item in headline]
    crosses = [table for item in items for table in _cross_table(published, item)]
    if crosses:
        yield Text(
            (
                "主な指標の質問のクロス集計です。ほかの質問のクロス集計は、"
                "表計算ファイル（tables.xlsx）の「クロス」にあります。",
            )
        )
    else:
        yield Text(("この調査には、クロス集計がありません。",))
    yield from crosses


def _means_table(published: Published) -> Iterator[Table]:
    """Yield the means of scores over everybody."""
    rows = published.estimates
    rows = rows[(rows["measure"] == "mean") & (rows["domain"] == "all")]
    rows = _this_wave(published, rows[rows["table_id"].str.startswith("gt_")])
    if rows.empty:
        return
    lines = tuple(
        (
            Cell(published.full_label(row["item"])),
            _number_cell(row, format_estimate(row)),
            _number_cell(row, format_interval(row)),
            _number_cell(row, format_base(row)),
        )
        for row in _records(rows)
    )
    yield Table(
        key="means",
        caption="平均値",
        head=("質問", "平均", f"{published.confidence}%信頼区間", "n（人）"),
        groups=(("", lines),),
        note=_table_note(published),
        is_synthetic=published.is_synthetic,
    )


# --- the page -------------------------------------------------------------------------------------

_TAGS = (
    "a br caption code dd div dl dt em figcaption figure h2 h3 h4 img li ol p pre section small "
    "span strong sub sup table tbody td tfoot th thead tr ul"
).split()
_ATTRIBUTES = {
    "*": {"class", "id"},
    "a": {"href"},
    "div": {"role", "tabindex", "aria-label"},
    "figure": {"data-row"},
    "img": {"src", "alt", "width", "height"},
    "span": {"data-row"},
    "th": {"scope", "colspan", "rowspan"},
    "td": {"colspan", "rowspan", "data-row"},
}
_PICTURES = ("data:image/svg+xml;base64,", "data:image/png;base64,")


def _allow_attribute(tag: str, name: str, value: str) -> str | None:
    if (tag, name) == ("img", "src"):
        return value if value.startswith(_PICTURES) else None
    if (tag, name) == ("a", "href"):
        return value if re.fullmatch(r"#[\w-]+", value) else None
    return value


def sanitise(text: str) -> str:
    """Return HTML with nothing but the tags and attributes that our pages use.

    Scripts, styles, handlers, forms, frames, comments and every address outside the page go.
    """
    return nh3.clean(
        text,
        tags=set(_TAGS),
        attributes=_ATTRIBUTES,
        attribute_filter=_allow_attribute,
        url_schemes={"data"},
        clean_content_tags={"script", "style", "h1"},
        link_rel=None,
        strip_comments=True,
    )


def export_html(
    notebook: NotebookNode, *, title: str | None = None, is_synthetic: bool | None = None
) -> str:
    """Return an executed notebook as one page without code, scripts or outside addresses.

    Args:
        notebook: Executed notebook; cells tagged remove-cell or parameters are left out, so is
            everything printed.
        title: Title of the page and its only first heading; by default the first one that a cell
            of the notebook shows.
        is_synthetic: Whether the banner stands on every page; by default whether it stands on any
            table or figure of the notebook.

    Returns:
        The HTML, lang="ja"; the same notebook gives the same bytes.

    Raises:
        KernelError: The notebook holds the output of a cell that failed.
    """
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    if any(output["output_type"] == "error" for output in outputs):
        raise KernelError(
            "HTML_OF_FAILED_RUN",
            "失敗したノートブックからはページを作りません。先に実行を成功させてください。",
            "No page is made from a notebook that failed: make it run first.",
        )
    shown = "".join("".join(o["data"].get("text/html", "")) for o in outputs if "data" in o)
    heading, subtitle = _first_heading(shown)
    title = title or heading
    is_synthetic = 'class="stamp"' in shown if is_synthetic is None else is_synthetic
    banner = {"banner": SYNTHETIC if is_synthetic else "", "banner_note": SYNTHETIC_NOTE}
    banner |= {"unsigned": UNSIGNED, "unsigned_note": UNSIGNED_NOTE}
    words = {"page_title": title, "page_subtitle": subtitle}
    page, _ = _exporter().from_notebook_node(notebook, resources=words | banner)
    return _add_contents(page)


def _first_heading(shown: str) -> tuple[str, str]:
    """Return title and subtitle of the heading that `Report` shows; the template prints them."""
    found = re.search(r"<h1>(.*?)(?:<small>(.*?)</small>)?</h1>", shown)
    texts = found.groups("") if found else ("報告書", "")
    return html.unescape(texts[0]), html.unescape(texts[1])


def _exporter() -> HTMLExporter:
    config = Config()
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_cell_tags = {"remove-cell", "parameters"}
    return HTMLExporter(
        config=config,
        template_name="council",
        extra_template_basedirs=[str(Path(__file__).parent / "templates")],
        filters={"sanitise": sanitise},
        exclude_anchor_links=True,
    )


def _add_contents(page: str) -> str:
    """Give every second-level heading an id and list them where the template says."""
    names: list[str] = []

    def name(match: re.Match[str]) -> str:
        names.append(re.sub(r"<[^>]+>", "", match.group(2)).strip())
        return f'<h2 id="s{len(names)}">{match.group(2)}</h2>'

    page = re.sub(r"<h2([^>]*)>(.*?)</h2>", name, page, flags=re.DOTALL)
    items = "".join(
        f'<li><a href="#s{place}">{text}</a></li>' for place, text in enumerate(names, start=1)
    )
    return page.replace("<!--contents-->", f"<ol>{items}</ol>" if items else "", 1)


def lift_mark(folder: Path) -> None:
    """Take the mark of an unsigned report from page and workbook and leave every other byte.

    Args:
        folder: Release folder; the workbook then says 署名済み where it said 公表前（未署名）.
    """
    page = folder / "council_report.html"
    text = re.sub(_MARK, "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    page.write_text(text, encoding="utf-8", newline="\n")
    book = folder / "tables.xlsx"
    with zipfile.ZipFile(io.BytesIO(book.read_bytes())) as old, zipfile.ZipFile(book, "w") as new:
        for part in old.infolist():
            data = old.read(part)
            if part.filename.endswith(".xml"):
                data = data.replace(UNSIGNED.encode(), SIGNED.encode())
            new.writestr(part, data)


_MARK = r'<(aside|style)\b[^>]*\bunsigned"[^>]*>.*?</\1>\n?'


# --- the workbook ---------------------------------------------------------------------------------

_CREATED = datetime.datetime(2000, 1, 1)  # fixed: the same rows give the same bytes


def write_workbook(published: Published, path: Path) -> None:
    """Write the tables as a workbook: cover, notes, everything as one list, GT, crosses and more.

    The sheet 一覧 holds the rows of published/estimates.csv as they are (one header row, one datum
    a cell, numbers as numbers); elsewhere column 行 names the row, as `data-row` does on the page.
    No text becomes a formula or a link, nobody is named as author.

    Args:
        published: From `read_published`.
        path: File to write.
    """
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(path, {**options, "in_memory": True}) as book:
        book.set_properties({"title": published.title, "created": _CREATED})
        sheets = {
            "表紙": _cover_rows(published),
            "注意": pd.DataFrame({"注意": _sheet_notes(published)}),
            "一覧": published.estimates[list(ESTIMATE_COLUMNS)],
            "GT": _flat_rows(published, "gt_"),
            "クロス": _flat_rows(published, "cross_"),
            "全国比較": _flat_rows(published, "national_"),
            "前回比較": _flat_rows(published, "waves_"),
            "関連する条件": _flat_rows(published, "model_"),
        }
        for name, table in sheets.items():
            if len(table):
                _write_sheet(book, name, table, published=published)


def _cover_rows(published: Published) -> pd.DataFrame:
    table = _facts_table(published)
    rows = [(one.text, two.text, "".join(two.rows)) for one, two in table.groups[0][1]]
    return pd.DataFrame(
        [("題名", published.title, ""), ("公表の段階", UNSIGNED, ""), *rows],
        columns=["項目", "内容", ROW_COLUMN],
    )


def _sheet_notes(published: Published) -> list[str]:
    notes = [text for block in _limits(published) for text in block.lines]
    return list(dict.fromkeys([*_how_to_read(published), *notes, CSV_NOTE]))


def _flat_rows(published: Published, prefix: str) -> pd.DataFrame:
    """Return the rows of a family of tables with their labels, one datum a cell."""
    rows = published.estimates[published.estimates["table_id"].str.startswith(prefix)]
    domains = zip(rows["domain"], rows["domain_value"], strict=True)
    axes = [
        _axis_label(published, d) if d not in ("all", "outcome") else "全体" for d in rows["domain"]
    ]
    return pd.DataFrame(
        {
            "表番号": rows["table_id"],
            "調査年": pd.to_numeric(rows["wave"], errors="coerce"),
            "質問": [published.full_label(item) for item in rows["item"]],
            "回答": [_answer_label(published, row) for row in _records(rows)],
            "区分の軸": axes,
            "区分": [published.domain_label(d, v) if d != "outcome" else published.label(v)
                     for d, v in domains],
            "値の種類": rows["measure"].map(_MEASURE_LABELS).fillna(rows["measure"]),
            "単位": rows["unit"].map(_UNIT_LABELS).fillna(rows["unit"]),
            "値": rows["estimate"].astype(object).mask(rows["status"] == "suppressed", HIDDEN),
            "区間の下限": rows["lower"],
            "区間の上限": rows["upper"],
            "n（重み付け前、人）": rows["n_unweighted"],
            "印": rows["mark"],
            "判定": rows["verdict"],
            "公表の状態": rows["status"].map(_STATUS_LABELS).fillna(rows["status"]),
            "理由・注": rows["reason"].where(rows["status"] != "suppressed", ""),
            ROW_COLUMN: rows["key"],
        }
    )  # fmt: skip


_MEASURE_LABELS = {
    "percent": "割合",
    "mean": "平均",
    "difference_points": "差",
    "percent_benchmark": "全国の割合",
    "percent_age_standardised": "割合（年齢調整）",
    "percent_benchmark_age_standardised": "全国の割合（年齢調整）",
    "difference_points_age_standardised": "全国との差（年齢調整）",
    "difference_points_benchmark_age_standardised": "全国との差（全国を年齢調整）",
    "odds_ratio": "オッズ比",
    "marginal_effect_points": "平均限界効果",
    "rao_scott_f": "独立性の検定の F（Rao–Scott）",
    "wald_f": "係数の検定の F（Wald）",
    "count": "数",
}
_UNIT_LABELS = {
    "percent": "%",
    "points": "ポイント",
    "persons": "人",
    "ratio": "比",
    "score": "点",
}
_WIDTHS = {"質問": 44, "回答": 26, "区分": 26, "表番号": 30, "項目": 22, "内容": 70, "注意": 100,
           "値の種類": 24, "理由・注": 60, "公表の状態": 16, "table_id": 30, "item_label": 26,
           "domain": 18, "domain_value": 18, "reason": 40, "measure": 24}  # fmt: skip

_STATUS_LABELS = {
    "published": "公表",
    "low_base": "公表（n が少ない †）",
    "reference": "参考値 *",
    "suppressed": "秘匿 x",
}


def _write_sheet(
    book: xlsxwriter.Workbook, name: str, table: pd.DataFrame, *, published: Published
) -> None:
    """Write one sheet: header row first; banner (in a column too) and mark on every print."""
    sheet = book.add_worksheet(name)
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    words = book.add_format({"text_wrap": True, "valign": "top"})
    sheet.set_header(f"&L&B{UNSIGNED}")
    if published.is_synthetic:
        table = table.assign(データの種類=SYNTHETIC)
        sheet.set_header(f"&L&B{UNSIGNED}&C&B{SYNTHETIC}")
        sheet.set_footer(f"&C{SYNTHETIC}　&P / &N")
        sheet.set_tab_color("#f0c000")
    for column, title in enumerate(table.columns):
        sheet.write_string(0, column, title, bold)
    is_wordy = name in ("表紙", "注意")
    for row, values in enumerate(table.itertuples(index=False), start=1):
        for column, value in enumerate(values):
            if isinstance(value, int | float | np.number):
                if not np.isnan(value):
                    sheet.write_number(row, column, float(value))
            elif text := clean_text(value):
                sheet.write_string(row, column, text, words if is_wordy else None)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, len(table), len(table.columns) - 1)
    for column, title in enumerate(table.columns):
        sheet.set_column(column, column, _WIDTHS.get(title, 12))
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
