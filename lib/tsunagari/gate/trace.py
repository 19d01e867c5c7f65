"""Is every number of page, workbook and drawing a row that passed the gate?"""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
from python_calamine import CalamineWorkbook

from tsunagari.estimates import KEY, row_ids, split

_YEARS = ("wave", "調査年")
ROW_COLUMN = "行"  # of a sheet whose lines are rows of estimates.csv
READ_AS_NUMBERS = (
    "estimate std_error lower upper df p_value p_adjusted n_unweighted n_effective"
).split()
_TOKEN = re.compile(r"(?<![\d.A-Za-z])[-+−]?\d[\d,]*(?:\.\d+)?")
_UNIT = re.compile(r"\s*(?:%|percent|people|パーセント|ポイント|人|名|件|世帯|倍|割)")
_RANGE = re.compile(r"\s*(?:[〜~\-–]|to)\s*[-+−]?\d[\d,]*(?:\.\d+)?\s*(?:%|ポイント|percent|人|倍)")
_ADDRESS = r"https?://[\x21-\x7e]+"
# Of no row: the level of intervals, the whole of a chart, the numbers of tables and figures.
_WORDINGS = (
    r"(?<!\d)\d\d%(?:信頼区間|の水準| confidence interval)"
    r"|信頼区間は\d\d%|100%(?:帯グラフ|にな)|[表図]\d+"
)
_QUANTITY = re.compile(rf"[\d.,〜~\-–]+(?:{_UNIT.pattern})")
_BLOCKS = {"p", "li", "h1", "h2", "h3", "h4", "figcaption", "dd", "dt", "pre", "div", "section"}
_BREAKS = {"table", "tr", "td", "th", "caption", *_BLOCKS}
_VOID = {"br", "img", "hr", "meta", "link", "input", "col", "wbr", "base"}
_SVG = "data:image/svg+xml;base64,"

FINDER = "resource_finder.html"  # made of the public columns of one record, before the gate


# --- reading what is released ---------------------------------------------------------------------


@dataclass(frozen=True)
class Passage:
    """A piece of a released file that may hold figures.

    Attributes:
        place: File and spot, to name it.
        text: The words, NFKC.
        rows: Keys of the rows that its numbers are said to be of.
        is_cell: Whether every number counts, with or without a unit.
        is_head: Whether it heads a line or a column of a table.
    """

    place: str
    text: str
    rows: tuple[str, ...] = ()
    is_cell: bool = False
    is_head: bool = False


class _Page(HTMLParser):
    """Cuts a page into passages: cells, paragraphs, numbers in them, alternative texts."""

    def __init__(self, place: str) -> None:
        super().__init__(convert_charrefs=True)
        self.place, self.passages = place, []
        self.open: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []

    def _rows(self) -> tuple[str, ...]:
        """Return the rows that the innermost element names that names any."""
        named = [attributes["data-row"] for _, attributes in self.open if "data-row" in attributes]
        return tuple(key for key in named[-1].split(";") if key) if named else ()

    def _add(self, text: str, *, spot: str = "", **kind: bool) -> None:
        if plain := _as_text(text):
            place = f"{self.place} {spot}".strip()
            self.passages.append(Passage(place, plain, rows=self._rows(), **kind))

    def _flush(self) -> None:
        tags = [tag for tag, _ in self.open]
        is_words = any("words" in a.get("class", "") for t, a in self.open if t == "table")
        is_cell = "td" in tags and not is_words
        self._add("".join(self.text), is_cell=is_cell, is_head="th" in tags)
        self.text = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in _BREAKS or "data-row" in values:
            self._flush()
        self.text.append(" ")
        self.open.append((tag, values))
        for name in ("alt", "title", "aria-label"):
            self._add(values.get(name, ""), spot=f"{tag}[{name}]")
        if tag == "img" and values.get("src", "").startswith(_SVG):
            drawing = base64.b64decode(values["src"][len(_SVG) :]).decode("utf-8", "replace")
            texts = re.findall(r"<(?:text|tspan|title|desc)[^>]*>([^<]*)<", drawing)
            self._add(html.unescape(" / ".join(texts)), spot="svg")
        if tag in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in _BREAKS or any(t == tag and "data-row" in a for t, a in self.open[-1:]):
            self._flush()
        self.text.append(" ")
        while any(t == tag for t, _ in self.open):
            if self.open.pop()[0] == tag:
                break

    def handle_data(self, data: str) -> None:
        if not any(tag in ("style", "script", "title") for tag, _ in self.open):
            self.text.append(data)


def _as_text(text: str) -> str:
    """Return a text as it is compared: NFKC, one space between words."""
    return unicodedata.normalize("NFKC", " ".join(text.split()))


def read_page(text: str, *, place: str = "council_report.html") -> list[Passage]:
    """Return every passage of a page that may hold figures, alternative texts included."""
    page = _Page(place)
    page.feed(text)
    page.close()
    page._flush()
    return page.passages


def read_workbook(path: Path) -> list[Passage]:
    """Return the numbers and the words of every line of a workbook, with the row it names.

    Hidden sheets, rows and columns count like any other.
    """
    book = CalamineWorkbook.from_path(path)
    passages = []
    for title in book.sheet_names:
        heads: list[str] = []
        lines = book.get_sheet_by_name(title).to_python(skip_empty_area=False)
        for number, line in enumerate(lines, start=1):
            values = dict(zip(heads, line, strict=False))
            rows = _rows_of_line(values)
            place = f"{path.name}:{title}:{number}"
            words = [v for v in line if isinstance(v, str) and v]
            numbers = [
                f"{value:.6f}"
                for head, value in zip_longest(heads, line)
                if isinstance(value, int | float) and head not in _YEARS
            ]
            for texts, is_cell in ((words, False), (numbers, True)):
                text = unicodedata.normalize("NFKC", " / ".join(texts))
                passages += [Passage(place, text, rows=rows, is_cell=is_cell)] if text else []
            heads = heads or [str(value) for value in line]
    return passages


def _rows_of_line(values: dict[str, Any]) -> tuple[str, ...]:
    named = values.get("row_id") or values.get(ROW_COLUMN)
    if not named and set(KEY) <= set(values):  # a release from before rows had names
        named = row_ids(pd.DataFrame([values])).iloc[0]
    return tuple(named.split(";")) if named else ()


def read_release(folder: Path) -> list[Passage]:
    """Return every passage of the pages and workbooks in a release folder.

    The finder is left out: it holds no figure, and organisations say 定員20人 of themselves.
    """
    passages = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".html" and path.name != FINDER:
            passages += read_page(path.read_text(encoding="utf-8"), place=path.name)
        elif path.suffix == ".xlsx":
            passages += read_workbook(path)
    return passages


# --- every printed number is a row that passed the gate -------------------------------------------


@dataclass(frozen=True)
class Figures:
    """The numbers that may be printed, and the wordings that hold digits of no row.

    Attributes:
        numbers: Numbers of every visible row, by its key, and those that are the label of a row.
        quantities: Labels that are but a number with a unit, such as 2人.
        labels: Finds the wordings: labels, row texts, the level of intervals.
    """

    numbers: dict[str, frozenset[str]]
    quantities: frozenset[str]
    labels: re.Pattern[str]


def _plain(number: float) -> str:
    """Return a number as text without sign or idle zeros."""
    return f"{abs(number):.6f}".rstrip("0").rstrip(".")


def _number(token: str) -> str:
    return _plain(float(token.replace(",", "").lstrip("+-−")))


def list_figures(published: pd.DataFrame, about: dict[str, Any]) -> Figures:
    """Return which numbers a release may print.

    Args:
        published: Rows of published/estimates.csv.
        about: published/about.json.
    """
    is_hidden = (published["status"] == "suppressed").to_numpy(bool)
    shown = published[~is_hidden]
    numbers = dict.fromkeys(row_ids(published[is_hidden]), frozenset[str]())
    columns = [shown[name].tolist() for name in READ_AS_NUMBERS]
    for key, *values in zip(row_ids(shown), *columns, strict=True):
        # A page may show fewer digits of an estimate than the row has.
        values += [round(values[0], digits) for digits in (0, 1) if values[0] == values[0]]
        numbers[key] = frozenset(_plain(value) for value in values if value == value)
    threshold = about.get("marks", {}).get("point_threshold", 0)
    wordings = {f"{threshold:.0f}ポイント以上"}
    # What a study writes itself holds no number that is not of a row.
    texts = set(_texts({key: value for key, value in about.items() if key != "texts"})).union(
        *(shown[n].dropna() for n in ("reason", "source", "item_label"))
    )
    quantities = _quantities(about)
    for key, named in _named_quantities(published, quantities).items():
        numbers[key] |= {_number(token) for text in named for token in _TOKEN.findall(text)}
    quoted = {f"「{label}」" for label in quantities.values()}
    return Figures(numbers, frozenset(quantities.values()), _find_labels(texts | wordings | quoted))


def _quantities(about: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Return the labels of codes that are but a number with a unit, by variable and code."""
    return {
        (name, code): _as_text(label)
        for name, variable in about.get("variables", {}).items()
        for code, label in variable.get("values", {}).items()
        if _QUANTITY.fullmatch(_as_text(label))
    }


def _named_quantities(
    published: pd.DataFrame, quantities: dict[tuple[str, str], str]
) -> dict[str, list[str]]:
    """Return by row key the quantities that name the row's own domain or answer."""
    found: dict[str, list[str]] = {}
    columns = ["item", "item_value", "domain", "domain_value"]
    texts = published[columns].fillna("").astype(str).itertuples(index=False, name=None)
    for key, texts_of_row in zip(row_ids(published), texts if quantities else (), strict=False):
        item, value, domain, domain_value = texts_of_row
        pairs = [(item, value), *zip(split(domain), split(domain_value), strict=True)]
        if named := [quantities[pair] for pair in pairs if pair in quantities]:
            found[key] = named
    return found


def _texts(about: Any) -> Iterator[str]:
    """Yield every text of about.json."""
    if isinstance(about, str):
        yield about
    elif isinstance(about, dict | list):
        for value in about.values() if isinstance(about, dict) else about:
            yield from _texts(value)


def _find_labels(texts: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of texts with digits; one that is but a number with a unit is left out."""
    parts = (part for text in texts for part in text.split("。"))
    plain = {_as_text(part) for part in parts}
    digits = [text for text in plain if re.search(r"\d", text) and re.search(r"[^\W\d]", text)]
    kept = sorted((t for t in digits if not _QUANTITY.fullmatch(t)), key=len, reverse=True)
    return re.compile("|".join((*map(re.escape, kept), _WORDINGS, _ADDRESS)))


def find_untraced(passages: Iterable[Passage], figures: Figures) -> list[tuple[Passage, str]]:
    """Return every printed number that is none of the row beside it, with its passage.

    In a table every number counts; in words those with a unit (%, ポイント, 人, 件, 倍).
    """
    untraced = []
    for passage in passages:
        known = frozenset().union(*(figures.numbers.get(key, ()) for key in passage.rows))
        wrong = (token for token in _tokens(passage, figures) if _number(token) not in known)
        untraced += [(passage, token) for token in wrong]
    return untraced


def _tokens(passage: Passage, figures: Figures) -> list[str]:
    if passage.is_cell:
        return _TOKEN.findall(passage.text)
    if passage.is_head and passage.text in figures.quantities:
        return []
    found = []
    text = figures.labels.sub(" ", passage.text)
    for match in _TOKEN.finditer(text):
        after = text[match.end() :]
        if _UNIT.match(after) or _RANGE.match(after):
            found.append(match.group())
    return found


def name_spot(passage: Passage, token: str, *, figures: Figures) -> str:
    """Say where an untraced number stands: the words around it, never the number itself."""
    place = passage.text.find(token)
    label = next((q for q in figures.quantities if passage.text.startswith(q, place)), None)
    if label:
        return f"{passage.place}: the label 「{label}」 beside no row of its own: put it in 「」"
    around = re.sub(r"\d", "#", passage.text[max(0, place - 20) : place + 20].strip())
    return f"{passage.place}: a number that is no published row, in 「{around}」"
