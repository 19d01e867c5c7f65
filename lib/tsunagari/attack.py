"""What can a curious reader work out from the very files that are released?

The attacker reads council_report.html, tables.xlsx and estimates.csv, knows every rule of the gate,
every rounding and every earlier release, and is given the true count of all that is shown: a
weighted percent and its base are taken to tell it. A release that tells a small cell fails.

Pages may help the attacker to be exact. Attributes read where they are there:

- `data-row="<row_key>"` on any element: every number in it belongs to that row of estimates.csv;
  several rows are separated by ";". `row_key` gives the text.
- without it, a number must stand beside a label of a row of estimates.csv that holds it: in a table
  the texts of row head, column head, group and caption count, elsewhere the paragraph's own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import io
import json
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import numpy as np
import pandas as pd
import yaml
from python_calamine import CalamineWorkbook

from tsunagari import disclosure
from tsunagari.disclosure import LinkedTables, Questionnaire, visible_nodes
from tsunagari.study import Disclosure, DisclosureError, Study, read_table, write_table

ROW_KEY = "wave table_id measure domain domain_value item item_value".split()
_NUMBERS = ("estimate", "std_error", "lower", "upper", "df", "p_value", "p_adjusted")
_COUNTS = ("n_unweighted", "n_effective")
_TOKEN = re.compile(r"(?<![\d.A-Za-z])[-+−]?\d[\d,]*(?:\.\d+)?")
_UNIT = re.compile(r"\s*(?:%|パーセント|ポイント|人|名|件|世帯|倍|割)")
_RANGE = re.compile(r"\s*[〜~\-–]\s*[-+−]?\d[\d,]*(?:\.\d+)?\s*(?:%|ポイント|人|倍)")
_ADDRESS = re.compile(r"https?://[\x21-\x7e]+")
_BLOCKS = {"p", "li", "h1", "h2", "h3", "h4", "figcaption", "dd", "dt", "pre", "div", "section"}
_VOID = {"br", "img", "hr", "meta", "link", "input", "col", "wbr", "base"}


def row_key(row: Any) -> str:
    """Return the name of a row of estimates.csv for `data-row`.

    Args:
        row: Anything with the key columns by name, such as a Series or a dictionary.

    Example:
        >>> row_key(dict.fromkeys(ROW_KEY, "all") | {"wave": "2022"})
        '2022|all|all|all|all|all|all'
    """
    parts = ("" if pd.isna(row[name]) else str(row[name]) for name in ROW_KEY)
    return "|".join(parts)


# --- reading what is released ---------------------------------------------------------------------


@dataclass(frozen=True)
class Passage:
    """A piece of a released file that may hold figures.

    Attributes:
        place: File and spot, to name it.
        text: The words, NFKC.
        context: Labels that stand beside it: heads, caption.
        rows: Row keys that the page itself gives.
        is_cell: Whether every number counts, with or without a unit.
    """

    place: str
    text: str
    context: str = ""
    rows: tuple[str, ...] = ()
    is_cell: bool = False


class _Page(HTMLParser):
    """Cuts a page into passages: cells with their heads, paragraphs, alternative texts."""

    def __init__(self, place: str) -> None:
        super().__init__(convert_charrefs=True)
        self.place, self.passages = place, []
        self.open: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.heads: list[str] = []
        self.caption = self.group = self.row_head = ""
        self.column, self.in_head, self.is_words = 0, False, False

    def _flush(self, *, context: str = "", is_cell: bool = False) -> str:
        text = unicodedata.normalize("NFKC", " ".join("".join(self.text).split()))
        self.text = []
        rows = tuple(k for _, a in self.open for k in a.get("data-row", "").split(";") if k)
        if text:
            found = Passage(self.place, text, context=context, rows=rows, is_cell=is_cell)
            self.passages.append(found)
        return text

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.text.append(" ")
        if tag in {"table", "tr", "td", "th", "caption", *_BLOCKS} or "data-row" in values:
            self._flush()
        if tag not in _VOID:
            self.open.append((tag, values))
        for name in ("alt", "title", "aria-label"):
            if values.get(name):
                text = unicodedata.normalize("NFKC", values[name])
                rows = tuple(k for k in values.get("data-row", "").split(";") if k)
                self.passages.append(Passage(f"{self.place} {tag}[{name}]", text, rows=rows))
        if tag == "img" and values.get("src", "").startswith("data:image/svg+xml;base64,"):
            drawing = base64.b64decode(values["src"].split(",", 1)[1]).decode("utf-8", "replace")
            texts = re.findall(r"<(?:text|tspan|title|desc)[^>]*>([^<]*)<", drawing)
            near = unicodedata.normalize("NFKC", values.get("alt", "") + " ".join(texts))
            label = unicodedata.normalize("NFKC", html.unescape(" / ".join(texts)))
            self.passages.append(Passage(f"{self.place} svg", label, context=near))
        if tag == "table":
            self.heads, self.caption, self.group = [], "", ""
            self.is_words = "words" in values.get("class", "")
        elif tag == "tr":
            self.column, self.row_head = 0, ""

    def handle_endtag(self, tag: str) -> None:
        self.text.append(" ")
        if tag == "caption":
            self.caption = self._flush()
        elif tag == "th":
            self._end_head()
        elif tag == "td":
            head = self.heads[self.column] if self.column < len(self.heads) else ""
            context = " / ".join((self.caption, self.group, self.row_head, head))
            self._flush(context=context, is_cell=not self.is_words)
            self.column += 1
        elif tag in _BLOCKS or any(t == tag and "data-row" in a for t, a in self.open[-1:]):
            self._flush()
        while self.open and any(t == tag for t, _ in self.open):
            if self.open.pop()[0] == tag:
                break

    def _end_head(self) -> None:
        attributes = self.open[-1][1] if self.open else {}
        text = self._flush()
        if attributes.get("scope") == "col" or any(t == "thead" for t, _ in self.open):
            self.heads.append(text)
        elif attributes.get("scope") == "rowgroup":
            self.group = text
        else:
            self.row_head = f"{self.row_head} {text}".strip()
            self.column += 1

    def handle_data(self, data: str) -> None:
        if not any(tag in ("style", "script", "title") for tag, _ in self.open):
            self.text.append(data)


def read_page(text: str, *, place: str = "council_report.html") -> list[Passage]:
    """Return every passage of a page that may hold figures, alternative texts included."""
    page = _Page(place)
    page.feed(text)
    page.close()
    page._flush()
    return page.passages


def read_workbook(path: Path) -> list[Passage]:
    """Return every filled cell of a workbook with the texts of its line and column as context.

    Hidden sheets, rows and columns count like any other.
    """
    book = CalamineWorkbook.from_path(path)
    passages = []
    for title in book.sheet_names:
        lines = book.get_sheet_by_name(title).to_python(skip_empty_area=False)
        heads: dict[int, str] = {}
        for number, line in enumerate(lines, start=1):
            words = [v for v in line if isinstance(v, str) and v]
            near = " / ".join((title, *words))
            for column, value in enumerate(line):
                if isinstance(value, str) and value:
                    heads[column] = value
                    passages.append(Passage(f"{path.name}:{title}:{number}", value))
                elif isinstance(value, int | float) and not isinstance(value, bool):
                    context = unicodedata.normalize("NFKC", near + " / " + heads.get(column, ""))
                    text = np.format_float_positional(value, trim="-")
                    place = f"{path.name}:{title}:{number}"
                    passages.append(Passage(place, text, context=context, is_cell=True))
    return passages


def read_release(folder: Path) -> list[Passage]:
    """Return every passage of the pages and workbooks in a release folder."""
    passages = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".html":
            passages += read_page(path.read_text(encoding="utf-8"), place=path.name)
        elif path.suffix == ".xlsx":
            passages += read_workbook(path)
    return passages


# --- every printed number is a row that passed the gate -------------------------------------------


@dataclass(frozen=True)
class Figures:
    """The numbers that may be printed, and beside which words.

    Attributes:
        by_number: Positions of the rows that hold a number, by its absolute value as text.
        labels: Of each row, the sets of words of which one must stand beside it.
        by_key: Positions by row key.
        hidden: Row keys that are hidden.
        free: Numbers of the texts in about.json.
    """

    by_number: dict[str, set[int]] = field(default_factory=dict)
    labels: dict[int, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    by_key: dict[str, int] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    free: frozenset[str] = frozenset()


def _plain(token: str) -> str:
    """Return a number as text without sign, separators or idle zeros."""
    text = token.replace(",", "").lstrip("+-−")
    return np.format_float_positional(float(text), trim="-")


def list_figures(published: pd.DataFrame, about: dict[str, Any]) -> Figures:
    """Return which numbers a page may hold.

    Args:
        published: Rows of published/estimates.csv.
        about: published/about.json.
    """
    by_number: dict[str, set[int]] = {}
    labels, by_key, hidden = {}, {}, set()
    variables = about.get("variables", {})
    table = published.reset_index(drop=True)
    for position, row in enumerate(table.to_dict("records")):
        key = row_key(row)
        if row["status"] == "suppressed":
            hidden.add(key)
            continue
        by_key[key] = position
        labels[position] = _labels(row, variables)
        for name in (*_NUMBERS, *_COUNTS):
            if not pd.isna(row[name]):
                by_number.setdefault(_plain(f"{abs(row[name]):.6f}"), set()).add(position)
    texts = json.dumps(about, ensure_ascii=False)
    free = {_plain(t) for t in _TOKEN.findall(unicodedata.normalize("NFKC", texts))}
    # The level of the intervals, how many figures are hidden, how many people answered.
    confidence = about.get("marks", {}).get("confidence", 0.95)
    ours = (table["domain"] == "all") & (table["measure"] == "percent")
    everybody = table.loc[ours, "n_unweighted"].max()
    facts = [100 * confidence, 0 if pd.isna(everybody) else everybody]
    facts += [len(hidden)] if len(hidden) >= 100 else []
    free |= {_plain(f"{fact:.6f}") for fact in facts}
    return Figures(by_number, labels, by_key, frozenset(hidden), frozenset(free))


def _labels(row: dict[str, Any], variables: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    """Return groups of labels; one of each must stand beside the row's numbers."""
    if row["domain"] != "all" and isinstance(row["domain"], str):
        names, values = row["domain"].split(" x "), str(row["domain_value"]).split(" x ")
        parts = zip(names, values, strict=False)
        whole = f" / {row['domain_value']} / "  # as a cell of the workbook's list
        groups = [[variables.get(n, {}).get("values", {}).get(v, v), v, whole] for n, v in parts]
    else:
        about = variables.get(row["item"], {})
        groups = [[row["item_label"], about.get("label"), about.get("short_label"), row["item"]]]
    texts = [[w for w in words if isinstance(w, str) and len(w) > 1] for words in groups]
    kept = (tuple(unicodedata.normalize("NFKC", w) for w in words) for words in texts)
    return tuple(words for words in kept if words)


def find_untraced(passages: Iterable[Passage], figures: Figures) -> list[tuple[Passage, str]]:
    """Return every printed number that is no visible row of estimates.csv, with its passage.

    In a table every number counts; in words those with a unit (%, ポイント, 人, 件, 倍).
    """
    untraced = []
    for passage in passages:
        for token in _tokens(passage):
            if not _is_traced(token, passage, figures):
                untraced.append((passage, token))
    return untraced


def _tokens(passage: Passage) -> list[str]:
    found = []
    text = _ADDRESS.sub(" ", passage.text)
    for match in _TOKEN.finditer(text):
        after = text[match.end() :]
        if passage.is_cell or _UNIT.match(after) or _RANGE.match(after):
            found.append(match.group())
    return found


def _is_traced(token: str, passage: Passage, figures: Figures) -> bool:
    number = _plain(token)
    holders = figures.by_number.get(number, set())
    if passage.rows:
        if any(key in figures.hidden for key in passage.rows):
            return False
        return any(figures.by_key.get(key) in holders for key in passage.rows)
    if number in figures.free:
        return True
    words = f"{passage.text} / {passage.context} / "
    return any(_stands_beside(figures.labels[p], words) for p in holders)


def _stands_beside(labels: tuple[tuple[str, ...], ...], words: str) -> bool:
    """Return whether the words name the row: every part of its domain, or else its answer."""
    return all(any(label in words for label in either) for either in labels)


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
    truth = disclosure.as_estimates(truth)
    problems = _strange_rows(published, truth, questionnaire=questionnaire)
    waves = truth.loc[disclosure.is_counted(truth), "wave"].drop_duplicates()
    for wave in waves:
        rows = truth[truth["wave"].isna() if pd.isna(wave) else truth["wave"] == wave]
        linked = disclosure.link_tables(rows, questionnaire=questionnaire)
        _, targets, _ = disclosure.find_primary(
            linked, settings=settings, questionnaire=questionnaire
        )
        visible = np.zeros(len(linked.keys), dtype=bool)
        visible[0] = True
        for release in (published, *archive):
            visible |= visible_nodes(linked, rows, release=release)
            problems += _moved_bases(rows, release, settings=settings)
        for target in disclosure.find_exposed(linked, targets, is_visible=visible):
            key = linked.keys[target.node]
            if not disclosure.is_no_answer(key, questionnaire):
                problems.append(_name_tables(linked, target.node, rows))
    return sorted(set(problems))


def _keys(table: pd.DataFrame) -> pd.Series:
    return table[ROW_KEY].fillna("").astype(str).agg("|".join, axis=1)


def _strange_rows(
    published: pd.DataFrame, truth: pd.DataFrame, *, questionnaire: Questionnaire
) -> list[str]:
    """Return released rows that no notebook made, or that hold numbers though hidden."""
    problems = []
    strange = ~_keys(published).isin(set(_keys(truth)))
    for table in published.loc[strange, "table_id"].drop_duplicates():
        problems.append(f"{table}: a row that is not in private/estimates.csv")
    hidden = published["status"] == "suppressed"
    numbers = [name for name in (*_NUMBERS, *_COUNTS, "n_cell", "mark", "verdict")]
    leaking = hidden & published[numbers].notna().any(axis=1)
    for table in published.loc[leaking, "table_id"].drop_duplicates():
        problems.append(f"{table}: a hidden row keeps a number, a mark or a verdict")
    for (number, first), spans in questionnaire.bands.items():
        used = published["domain"].fillna("").str.split(" x ").map(lambda d, f=first: f in d)
        values = published.loc[used & (published["domain"] == first), "domain_value"]
        known = {*spans, *questionnaire.codes.get(first, ())}
        if not set(values.dropna()) <= known:
            problems.append(f"{first}: a band of {number} that the questionnaire does not know")
    return problems


def _moved_bases(rows: pd.DataFrame, release: pd.DataFrame, *, settings: Disclosure) -> list[str]:
    """Return tables whose base differs from a release's by fewer people than may be shown."""
    mine = rows.assign(key=_keys(rows)).drop_duplicates("key").set_index("key")["n_unweighted"]
    theirs = release[release["status"] != "suppressed"]
    theirs = theirs.assign(key=_keys(theirs)).drop_duplicates("key").set_index("key")
    both = mine.index.intersection(theirs.index)
    gap = (mine[both] - theirs.loc[both, "n_unweighted"]).abs()
    tables = theirs.loc[both[(gap > 0) & (gap < settings.base_minimum)], "table_id"]
    return [f"{table}: base differs by a few people from an earlier release" for table in
            sorted(set(tables))]  # fmt: skip


def _name_tables(linked: LinkedTables, node: int, rows: pd.DataFrame) -> str:
    positions = linked.rows.get(node) or [
        p for option, no in linked.options.items() if no == node for p in linked.rows[option]
    ]
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
    published = disclosure.as_estimates(read_table(folder / "estimates.csv"))
    problems = attack_estimates(
        published, truth, settings=settings, questionnaire=questionnaire, archive=archive
    )
    figures = list_figures(published, about)
    untraced = find_untraced(read_release(folder), figures)
    problems += sorted({f"{p.place}: a number that is no published row" for p, _ in untraced})
    if problems:
        listed = "; ".join(problems[:8])
        raise DisclosureError(
            "RECOVERABLE",
            f"公表物から秘匿した値が推定できます（{len(problems)} 件）: {listed}。"
            "公表を止めました。",
            f"Hidden values can be told from the release ({len(problems)}, listed before): nothing "
            "was released.",
        )


# --- sign-off and verification --------------------------------------------------------------------


def hash_release(folder: Path) -> str:
    """Return one sha256 over names and contents of a release's files, signoff.yaml left out."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != "signoff.yaml":
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{path.name}\0{digest}\n".encode())
    return whole.hexdigest()


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
        signed = yaml.safe_load(text)
    except yaml.YAMLError:
        signed = None
    signed = {k: str(v) for k, v in signed.items()} if isinstance(signed, dict) else {}
    lacking = [k for k in ("reviewer", "date", "hash", "data") if not signed.get(k, "").strip()]
    if lacking or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", signed.get("date", "")):
        raise DisclosureError(
            "SIGNOFF",
            f"signoff.yaml に {', '.join(lacking) or 'date（YYYY-MM-DD）'} がありません。",
            "signoff.yaml lacks what is named before: add it.",
        )
    if signed["hash"] != release_hash:
        raise DisclosureError(
            "SIGNOFF_HASH",
            "signoff.yaml の hash が公表物と違います。確認し直してください。",
            "The hash in signoff.yaml is not that of the release: review it again.",
        )
    if signed["data"] not in ("real", "synthetic") or is_synthetic != (
        signed["data"] == "synthetic"
    ):
        raise DisclosureError(
            "SIGNOFF_SYNTHETIC",
            "合成データによる公表物を実データとして承認することはできません（data を直す）。",
            "A synthetic run cannot be signed off as real, nor a real one as synthetic.",
        )
    return signed


def sign_release(study: Study, folder: Path) -> dict[str, str]:
    """Check the sign-off of a release and keep its figures for the attacks of later years.

    Args:
        study: The wave; the reviewer's signoff.yaml stands beside its answers in data/raw.
        folder: Release folder.

    Raises:
        DisclosureError: There is no sign-off, or it is not of this release; see `check_signoff`.
    """
    path = study.wave_dir / "signoff.yaml"
    found = hash_release(folder)
    if not path.exists():
        raise DisclosureError(
            "SIGNOFF",
            f"signoff.yaml がありません。確認した人が data/raw/{study.name}/{study.year}/ に置いて"
            f"ください（reviewer, date, data, hash: {found}）。",
            "There is no signoff.yaml: the reviewer puts it beside the answers, with the hash.",
        )
    text = path.read_text(encoding="utf-8")
    synthetic = bool(study.synthetic_inputs)
    signed = check_signoff(text, release_hash=found, is_synthetic=synthetic)
    table = read_table(folder / "estimates.csv")
    write_table(disclosure.archive_dir(study) / f"{study.year}-{found[:12]}/estimates.csv", table)
    return signed


def verify_release(study: Study, folder: Path) -> None:
    """Recompute the hashes of a release and attack it again.

    Raises:
        DisclosureError: A file is not what its manifest says, or the attack tells a hidden cell.
    """
    manifest = read_table(folder / "manifest.json").get("outputs", {})
    changed = [
        name
        for name, sha in sorted(manifest.items())
        if not (folder / name).is_file()
        or hashlib.sha256((folder / name).read_bytes()).hexdigest() != sha
    ]
    if changed or not manifest:
        raise DisclosureError(
            "RELEASE_CHANGED",
            f"公表物が manifest.json と一致しません: {', '.join(changed) or 'outputs'}。",
            "The release is not what its manifest says; the files are named before.",
        )
    attack_study(study, folder)


def attack_study(study: Study, folder: Path) -> None:
    """Attack a release folder of a study with all that its analyst knows.

    Raises:
        DisclosureError: See `attack_release`.
    """
    attack_release(
        folder,
        study.load("private/estimates.csv"),
        about=study.load("published/about.json"),
        settings=study.config.disclosure,
        questionnaire=disclosure.read_questionnaire(study),
        archive=disclosure.read_archive(study),
    )


# --- leaks ----------------------------------------------------------------------------------------

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


def find_leaks(folder: Path, markers: Iterable[str]) -> list[str]:
    """Return "file: marker number" for every canary found in any file of a folder.

    Each marker is sought raw, as HTML entities, JSON escapes and URL encoding, in UTF-8, UTF-16 and
    cp932, also within base64, zip members (xlsx) and compressed PNG text.

    Args:
        folder: Searched with everything under it.
        markers: Texts that must not occur.
    """
    forms = [(number, _forms(marker)) for number, marker in enumerate(markers)]
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        pieces = list(_unpack(path.name.encode() + b"\n" + path.read_bytes(), depth=0))
        for number, shapes in forms:
            if any(shape in piece for piece in pieces for shape in shapes):
                found.append(f"{path.relative_to(folder)}: marker {number}")
    return found


def _forms(marker: str) -> set[bytes]:
    decimal = "".join(f"&#{ord(c)};" for c in marker)
    hexadecimal = "".join(f"&#x{ord(c):x};" for c in marker)
    texts = {
        marker,
        html.escape(marker),
        json.dumps(marker)[1:-1],
        json.dumps(marker).replace("\\u", "\\U")[1:-1],
        quote(marker),
        quote(marker, safe=""),
        decimal,
        hexadecimal,
        hexadecimal.upper().replace("&#X", "&#x"),
    }
    shapes = {text.encode("utf-8") for text in texts}
    shapes |= {marker.encode("utf-16-le"), marker.encode("utf-16-be")}
    return shapes | {marker.encode("cp932", "ignore")} - {b""}


def _unpack(data: bytes, *, depth: int) -> Iterable[bytes]:
    """Yield data and everything packed in it."""
    yield data
    if depth > 3:
        return
    start = data.find(b"PK\x03\x04")
    if start >= 0:
        try:
            with zipfile.ZipFile(io.BytesIO(data[start:])) as packed:
                for name in packed.namelist():
                    yield from _unpack(name.encode() + b"\n" + packed.read(name), depth=depth + 1)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
            pass
    for chunk in (b"zTXt", b"iTXt"):
        for match in re.finditer(chunk, data):
            for at in range(match.end(), min(match.end() + 100, len(data))):
                if data[at] == 0x78:
                    try:
                        yield zlib.decompressobj().decompress(data[at:])
                    except zlib.error:
                        continue
    if b"%" in data[:2_000_000] and depth == 0:
        yield unquote_to_bytes(data)
    for match in _BASE64.finditer(data):
        text = match.group()
        for shift in range(4) if len(text) < 400 else (0,):
            piece = text[shift:]
            try:
                decoded = base64.b64decode(piece[: len(piece) // 4 * 4])
            except binascii.Error:
                continue
            if len(text) > 400:
                yield from _unpack(decoded, depth=depth + 1)
            else:
                yield decoded
