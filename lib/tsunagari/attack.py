"""What can a curious reader work out from the very files that are released?

The attacker reads council_report.html, tables.xlsx and estimates.csv, knows every rule of the gate,
every rounding and every earlier release, and is given the true count of all that is shown: a
weighted percent and its base are taken to tell it. A release that tells a small cell fails.

A page names the row of estimates.csv beside every number it prints: `data-row="<row_id>"`, several
rows separated by ";". A number without a row, or whose row is hidden or says another number, is one
that did not pass the gate. In the workbook a line names its row in column 行, or by key
columns.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from html.parser import HTMLParser
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from python_calamine import CalamineWorkbook

from tsunagari import disclosure, estimates
from tsunagari.disclosure import LinkedTables, Questionnaire, visible_nodes
from tsunagari.errors import DisclosureError
from tsunagari.estimates import KEY, is_kind, row_ids, split
from tsunagari.study.files import read_json, read_table, write_table
from tsunagari.study.settings import Disclosure
from tsunagari.study.survey import Study

_YEARS = ("wave", "調査年")
FINDER = "resource_finder.html"  # made of the public columns of one record, before the gate
ROW_COLUMN = "行"  # of a sheet whose lines are rows of estimates.csv
_NUMBERS = ("estimate std_error lower upper df p_value p_adjusted n_unweighted n_effective").split()
_TOKEN = re.compile(r"(?<![\d.A-Za-z])[-+−]?\d[\d,]*(?:\.\d+)?")
_UNIT = re.compile(r"\s*(?:%|パーセント|ポイント|人|名|件|世帯|倍|割)")
_RANGE = re.compile(r"\s*[〜~\-–]\s*[-+−]?\d[\d,]*(?:\.\d+)?\s*(?:%|ポイント|人|倍)")
_ADDRESS = r"https?://[\x21-\x7e]+"
# Of no row: the level of intervals, the whole of a chart, the numbers of tables and figures.
_WORDINGS = r"(?<!\d)\d\d%(?:信頼区間|の水準)|信頼区間は\d\d%|100%(?:帯グラフ|にな)|[表図]\d+"
_QUANTITY = re.compile(rf"[\d.,〜~\-–]+(?:{_UNIT.pattern})")
_BLOCKS = {"p", "li", "h1", "h2", "h3", "h4", "figcaption", "dd", "dt", "pre", "div", "section"}
_BREAKS = {"table", "tr", "td", "th", "caption", *_BLOCKS}
_VOID = {"br", "img", "hr", "meta", "link", "input", "col", "wbr", "base"}
_SVG = "data:image/svg+xml;base64,"


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
    columns = [shown[name].tolist() for name in _NUMBERS]
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


def _name_spot(passage: Passage, token: str, figures: Figures) -> str:
    """Say where an untraced number stands: the words around it, never the number itself."""
    place = passage.text.find(token)
    label = next((q for q in figures.quantities if passage.text.startswith(q, place)), None)
    if label:
        return f"{passage.place}: the label 「{label}」 beside no row of its own: put it in 「」"
    around = re.sub(r"\d", "#", passage.text[max(0, place - 20) : place + 20].strip())
    return f"{passage.place}: a number that is no published row, in 「{around}」"


# --- bounds on every hidden cell ------------------------------------------------------------------


def attack_estimates(
    published: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    settings: Disclosure,
    questionnaire: Questionnaire,
    archive: Iterable[pd.DataFrame] = (),
) -> list[str]:
    """Return what the released figures tell of hidden cells; empty when they tell too little.

    Args:
        published: Rows of the released estimates.csv.
        truth: private/estimates.csv: the true counts of what is shown.
        settings: Thresholds.
        questionnaire: What anybody may know of the variables.
        archive: estimates.csv of earlier releases.

    Returns:
        One line a problem, naming table and variables and never a number of people.
    """
    truth = estimates.conform(truth)
    problems = _strange_rows(published, truth, questionnaire=questionnaire)
    waves = truth.loc[disclosure.is_counted(truth), "wave"].drop_duplicates()
    is_shown = row_ids(truth).isin(set(row_ids(published[published["status"] != "suppressed"])))
    for wave in waves:
        rows = _of_wave(truth, wave)
        linked = disclosure.link_tables(rows, questionnaire=questionnaire)
        _, targets = disclosure.find_primary(linked, settings=settings, questionnaire=questionnaire)
        visible = np.zeros(len(linked.keys), dtype=bool)
        visible[0] = True
        for release in (published, *archive):
            visible |= visible_nodes(linked, rows, release=release)
            problems += _moved_bases(rows, release, settings=settings)
        for release in archive:
            both = rows[is_shown[rows.index]], _of_wave(release, wave)
            problems += _moved_counts(*both, settings=settings, questionnaire=questionnaire)
        for target in disclosure.find_exposed(linked, targets, is_visible=visible):
            key = linked.keys[target.node]
            if not disclosure.is_no_answer(key, questionnaire):
                problems.append(_name_tables(linked, target.node, rows))
    return sorted(set(problems))


def _strange_rows(
    published: pd.DataFrame, truth: pd.DataFrame, *, questionnaire: Questionnaire
) -> list[str]:
    """Return released rows that no notebook made, that hold numbers though hidden, or that lack."""
    problems = []
    names, known, is_gate = row_ids(published), row_ids(truth), is_kind(published, "gate")
    strange = ~names.isin(set(known)) & ~is_gate
    for table in published.loc[strange, "table_id"].drop_duplicates():
        problems.append(f"{table}: a row that is not in private/estimates.csv")
    hidden = published["status"] == "suppressed"
    counts = published[is_gate].groupby("item")["estimate"].sum()
    gone = {"hidden": hidden.sum(), "left out": (~known.isin(set(names))).sum()}
    said = {
        "hidden": counts.get("hidden", 0.0),
        "left out": counts.drop("hidden", errors="ignore").sum(),
    }
    is_old = not is_gate.any() and not gone["left out"]  # from before the gate left rows out
    if (said != gone and not is_old) or set(counts.index) - set(disclosure.LEFT_OUT):
        problems.append("gate: another number of rows is hidden or left out than it says")
    numbers = [name for name in (*_NUMBERS, "n_cell", "mark", "verdict")]
    leaking = hidden & published[numbers].notna().any(axis=1)
    for table in published.loc[leaking, "table_id"].drop_duplicates():
        problems.append(f"{table}: a hidden row keeps a number, a mark or a verdict")
    for (number, first), spans in questionnaire.bands.items():
        used = published["domain"].fillna("").map(lambda d, f=first: f in split(d))
        values = published.loc[used & (published["domain"] == first), "domain_value"]
        known = {*spans, *questionnaire.codes.get(first, ())}
        if not set(values.dropna()) <= known:
            problems.append(f"{first}: a band of {number} that the questionnaire does not know")
    return problems


def _facts(table: pd.DataFrame) -> list[str]:
    """Return who is counted in each row and how, whatever the weights are called."""
    names = table[[name for name in KEY if name != "weighting"]].fillna("").astype(str)
    return list(map("|".join, names.itertuples(index=False, name=None)))


def _moved_bases(rows: pd.DataFrame, release: pd.DataFrame, *, settings: Disclosure) -> list[str]:
    """Return tables whose base differs from a release's by fewer people than may be shown."""
    mine = rows.assign(key=_facts(rows)).drop_duplicates("key").set_index("key")["n_unweighted"]
    theirs = release[release["status"] != "suppressed"]
    theirs = theirs.assign(key=_facts(theirs)).drop_duplicates("key").set_index("key")
    both = mine.index.intersection(theirs.index)
    gap = (mine[both] - theirs.loc[both, "n_unweighted"]).abs()
    tables = theirs.loc[both[(gap > 0) & (gap < settings.base_minimum)], "table_id"]
    return [f"{table}: base differs by a few people {_EARLIER}" for table in sorted(set(tables))]


_EARLIER = "from an earlier release"


def _of_wave(table: pd.DataFrame, wave: Any) -> pd.DataFrame:
    return table[table["wave"].isna() if pd.isna(wave) else table["wave"] == wave]


def _moved_counts(
    shown: pd.DataFrame,
    earlier: pd.DataFrame,
    *,
    settings: Disclosure,
    questionnaire: Questionnaire,
) -> list[str]:
    """Return tables where what two releases show differs by fewer people than may be shown.

    Their difference is a table of those people. Who is counted decides, not in which table.

    Args:
        shown: Rows of one wave that this release shows, with their true counts.
        earlier: The same of an earlier release.
        settings: Thresholds.
        questionnaire: What anybody may know of the variables.
    """
    if not disclosure.is_counted(shown).any() or not disclosure.is_counted(earlier).any():
        return []
    now, then = (
        disclosure.link_tables(rows, questionnaire=questionnaire) for rows in (shown, earlier)
    )
    tables, before = set(), _counts_by_key(then)
    for key, counts in _counts_by_key(now).items():
        k = disclosure.threshold_of(key, settings=settings, questionnaire=questionnaire)
        old = before.get(key, {}).keys()
        moved = [n for n in counts.keys() - old
                 if any(abs(n - other) < k for other in old - counts.keys())]  # fmt: skip
        positions = [now.rows.get(counts[n], now.bases.get(counts[n], [])) for n in moved]
        tables |= {shown.loc[p, "table_id"] for each in positions for p in each}
    return [f"{table}: a count differs by a few people {_EARLIER}" for table in sorted(tables)]


def _counts_by_key(linked: LinkedTables) -> dict[disclosure.Key, dict[float, int]]:
    """Return the counts of everybody who is counted, with their node; most have one."""
    found: dict[disclosure.Key, dict[float, int]] = {}
    for key, node in linked.index.items():
        who = tuple(pair for pair in key if pair[0] != "#")
        found.setdefault(who, {})[linked.counts[node]] = node
    return found


def _name_tables(linked: LinkedTables, node: int, rows: pd.DataFrame) -> str:
    nodes = linked.rests.get(node) or [o for o, no in linked.options.items() if no == node]
    positions = linked.rows.get(node) or [p for each in nodes for p in linked.rows[each]]
    tables = sorted({str(rows.loc[p, "table_id"]) for p in positions})
    return f"{', '.join(tables)}: a hidden cell can be told too closely"


def attack_release(
    folder: Path,
    truth: pd.DataFrame,
    *,
    about: dict[str, Any],
    settings: Disclosure,
    questionnaire: Questionnaire,
    archive: Iterable[pd.DataFrame] = (),
) -> None:
    """Attack the files of a release.

    Args:
        folder: Release folder with estimates.csv, pages and workbook.
        truth: private/estimates.csv.
        about: published/about.json.
        settings: Thresholds.
        questionnaire: What anybody may know of the variables.
        archive: estimates.csv of earlier releases.

    Raises:
        DisclosureError: A hidden cell can be told, or a number was printed that did not pass the
            gate; the message names files and tables.
    """
    given = read_table(folder / "estimates.csv")
    published = estimates.conform(given)
    problems = attack_estimates(
        published, truth, settings=settings, questionnaire=questionnaire, archive=archive
    )
    if "row_id" in given and (given["row_id"] != published["row_id"]).any():
        problems.append("estimates.csv: a row_id that is not of its row")
    figures = list_figures(published, about)
    untraced = find_untraced(read_release(folder), figures)
    problems += sorted({_name_spot(passage, token, figures) for passage, token in untraced})
    corrected = [each for each in problems if each.endswith(_EARLIER)]
    if corrected == problems != []:
        raise DisclosureError(
            "CORRECTED",
            f"前の公表物との差から数人の回答が分かります（{len(problems)} 件）: "
            f"{'; '.join(problems[:8])}。訂正を取り消すか（件数のない正誤表だけを出す）、訂正が"
            "しきい値以上の人数になるまで待ってください。",
            f"Answers of a few people are the difference to an earlier release ({len(problems)} "
            "tables, listed before): take the correction back (publish an erratum without counts), "
            "or wait until corrections reach the threshold.",
        )
    if problems:
        raise DisclosureError(
            "RECOVERABLE",
            f"公表物から秘匿した値が推定できます（{len(problems)} 件）: {'; '.join(problems[:8])}。"
            "公表しないでください。",
            f"Hidden values can be told from the release ({len(problems)}, listed before): do not "
            "publish it.",
        )


# --- sign-off and verification --------------------------------------------------------------------


def hash_release(folder: Path) -> str:
    """Return one sha256 over names and contents of a release's files."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{path.name}\0{digest}\n".encode())
    return whole.hexdigest()


def seal_manifest(path: Path) -> None:
    """Write into a manifest.json its own hash, so that no byte of it can change unseen."""
    data = path.read_bytes()
    digest = _hash_manifest(data).encode()
    path.write_bytes(_SEAL.sub(b'"manifest": "' + digest + b'"', data, count=1))


_SEAL = re.compile(rb'"manifest": "[0-9a-f]*"')


def _hash_manifest(data: bytes) -> str:
    """Return the sha256 of a manifest whose own hash is left empty."""
    return hashlib.sha256(_SEAL.sub(b'"manifest": ""', data, count=1)).hexdigest()


def check_signoff(text: str, *, release_hash: str, is_synthetic: bool) -> dict[str, str]:
    """Return a sign-off that names who reviewed this very release, and when.

    Args:
        text: signoff.yaml: `reviewer`, `date` (YYYY-MM-DD), `hash`, `data` (real or synthetic).
        release_hash: Of the release as it is.
        is_synthetic: Whether any input of it is synthetic.

    Raises:
        DisclosureError: A field is missing, the hash is another, or a synthetic run is signed off
            as real.
    """
    try:
        signed = yaml.load(text, Loader=yaml.BaseLoader)  # every value as it is written
    except yaml.YAMLError:
        signed = None
    signed = {k: str(v) for k, v in signed.items()} if isinstance(signed, dict) else {}
    lacking = [k for k in ("reviewer", "date", "hash", "data") if not signed.get(k, "").strip()]
    if lacking or not _is_date(signed["date"]):
        raise DisclosureError(
            "SIGNOFF",
            f"signoff.yaml に {', '.join(lacking) or 'date（YYYY-MM-DD）'} がありません。",
            f"signoff.yaml lacks {', '.join(lacking) or 'a date (YYYY-MM-DD)'}: add it.",
        )
    if signed["hash"] != release_hash:
        raise DisclosureError(
            "SIGNOFF_HASH",
            "signoff.yaml の hash が公表物と違います。公表物を確認し直し、次の値を書いてください: "
            f"{release_hash}。",
            "The hash in signoff.yaml is not that of the release: review it again and write the "
            "one named before.",
        )
    wanted = "synthetic" if is_synthetic else "real"
    if signed["data"] != wanted:
        raise DisclosureError(
            "SIGNOFF_SYNTHETIC",
            f"signoff.yaml の data がこの公表物とちがいます（正しくは {wanted}）。"
            "合成データを実データとして承認することはできません。",
            f"data in signoff.yaml is not that of this release ({wanted}): a synthetic run cannot "
            "be signed off as real, nor a real one as synthetic.",
        )
    return signed


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def sign_release(study: Study, folder: Path) -> dict[str, str]:
    """Check the sign-off of a release and keep its figures for the attacks of later years.

    Args:
        study: The wave; the reviewer's signoff.yaml stands beside its answers in data/raw.
        folder: Release folder.

    Raises:
        DisclosureError: There is no sign-off, or it is not of this release; see `check_signoff`.
    """
    path = study.wave_dir / "signoff.yaml"
    found = reviewed_hash(folder)
    if not path.exists():
        raise DisclosureError(
            "SIGNOFF",
            f"signoff.yaml がありません。確認した人が data/raw/{study.name}/{study.year}/ に置いて"
            f"ください（reviewer, date, data: real か synthetic, hash: {found}）。",
            "There is no signoff.yaml: the reviewer puts it into the folder named before, with "
            "reviewer, date, data (real or synthetic) and the hash.",
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DisclosureError(
            "SIGNOFF",
            "signoff.yaml を UTF-8 で保存し直してください。",
            "signoff.yaml is not UTF-8: save it as UTF-8.",
        ) from error
    # What the release was made from: other answers may lie in data/raw by now.
    is_synthetic = bool(read_table(folder / "manifest.json")["synthetic_inputs"])
    signed = check_signoff(text, release_hash=found, is_synthetic=is_synthetic)
    if not is_synthetic:  # nobody can learn of a real person from a synthetic figure
        _keep(study, folder)
    return signed


def reviewed_hash(folder: Path) -> str:
    """Return the hash that a reviewer signs: of the release before its mark was lifted."""
    signed = str(read_json(folder / "manifest.json").get("signoff"))
    return signed if re.fullmatch("[0-9a-f]{64}", signed) else hash_release(folder)


def _keep_name(study: Study, folder: Path) -> str:
    return f"{study.year}-{reviewed_hash(folder)[:12]}"


def _keep(study: Study, folder: Path) -> None:
    """Keep the figures of a signed release in the zone of data/processed, whole or not at all."""
    estimates = (folder / "estimates.csv").read_bytes()
    if estimates != (study.processed_dir / "published/estimates.csv").read_bytes():
        raise DisclosureError(
            "RELEASE_OLD",
            "公表物が data/processed の結果とちがいます。make report をもう一度実行してください。",
            "The release is not made from the results in data/processed: run make report again.",
        )
    kept, name = disclosure.archive_dir(study), _keep_name(study, folder)
    index = disclosure.archive_index(study)
    listed, found = read_json(index), disclosure.hash_archive(study)
    if name in found and found[name] == listed.get(name):
        return
    new = kept / f".{name}"
    new.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "estimates.csv", new / "estimates.csv")
    shutil.copyfile(study.processed_dir / "private/estimates.csv", new / "truth.csv")
    shutil.copyfile(study.processed_dir / "published/about.json", new / "about.json")
    shutil.rmtree(kept / name, ignore_errors=True)
    new.rename(kept / name)
    listed[name] = disclosure.hash_archive(study)[name]
    write_table(index.with_suffix(".new.json"), dict(sorted(listed.items())))
    index.with_suffix(".new.json").replace(index)


def verify_release(study: Study, folder: Path, *, is_signing: bool = False) -> None:
    """Recompute the hashes of a release and attack it again.

    Args:
        study: The wave.
        folder: Release folder.
        is_signing: Whether what is kept of this very release is about to be made whole.

    Raises:
        DisclosureError: A file is not what its manifest says, is lacking or is not in it, or the
            attack tells a hidden cell.
    """
    if changed := _find_changed(folder):
        raise DisclosureError(
            "RELEASE_CHANGED",
            f"公表物が manifest.json と一致しません: {', '.join(changed)}。",
            "The release is not what its manifest says: the files named before were changed, are "
            "lacking or do not belong to it.",
        )
    attack_study(study, folder, is_signing=is_signing)


def _find_changed(folder: Path) -> list[str]:
    """Return what differs from the manifest, the manifest itself, links and others' files too."""
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file() and not path.is_symlink() else "no file"
        for path in folder.iterdir()
    }  # fmt: skip
    try:
        data = (folder / "manifest.json").read_bytes()
        manifest = json.loads(data)
        wanted = manifest["outputs"] | {"manifest.json": manifest["manifest"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ["manifest.json"]
    if found["manifest.json"] != "no file":
        found["manifest.json"] = _hash_manifest(data)
    return sorted(n for n in {*wanted, *found} if wanted.get(n) != found.get(n))


def attack_study(study: Study, folder: Path, *, is_signing: bool = False) -> None:
    """Attack a release folder of a study with all that its analyst knows.

    The true counts are those of the last run, or those kept when this very release was signed.

    Raises:
        DisclosureError: See `attack_release`; or what was kept of signed releases is not whole.
    """
    name = _keep_name(study, folder)
    archive = disclosure.read_archive(study, but=name if is_signing else "")
    kept = disclosure.archive_dir(study) / name
    is_kept = kept.is_dir() and not is_signing
    attack_release(
        folder,
        read_table(kept / "truth.csv") if is_kept else study.load("private/estimates.csv"),
        about=read_table(kept / "about.json") if is_kept else study.load("published/about.json"),
        settings=study.config.disclosure,
        questionnaire=disclosure.read_questionnaire(study),
        archive=archive,
    )
