"""What a release says, as short text that diffs well: the figures by row or hash, and the page."""

from __future__ import annotations

import csv
import difflib
import hashlib
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path

FOLDER = Path(__file__).parent
RELEASES = [("ehime", "2022"), ("ehime", "2023")]
VOLUMES = ("council_report.html", "appendix.html", "summary_en.html")
IN_FULL = ("headline", "national_", "model_", "ledger", "weights", "gate")
BLOCKS = {"p", "li", "h1", "h2", "h3", "h4", "figcaption", "caption", "dt", "dd", "summary"}


def _hash(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def describe_estimates(text: str) -> str:
    """Return a line a row of the tables in full, a line a table of the others."""
    tables = defaultdict(list)
    for row in csv.DictReader(text.lstrip("\ufeff").splitlines()):
        tables[row["table_id"]].append(row)
    lines = []
    for table, rows in tables.items():
        hidden = sum(row["status"] == "suppressed" for row in rows)
        whole = ["|".join(list(row.values())[1:]) for row in rows]  # no id: the key says it
        lines.append(f"# {table}: {len(rows)} rows, {hidden} hidden, {_hash(whole)}")
        lines += map(_figure, rows) if table.startswith(IN_FULL) else []
    return "\n".join(lines) + "\n"


def _figure(row: dict[str, str]) -> str:
    key = "/".join(row[n] for n in ("domain", "domain_value", "item", "item_value") if row[n])
    if row["status"] == "suppressed":
        return f"{row['measure']} {key} hidden"
    ends = f"{row['lower']}..{row['upper']}" if row["lower"] else ""
    scheme = "" if row["weighting"].startswith("post_") else row["weighting"]
    figures = (row["estimate"], ends, f"n={row['n_unweighted']}", row["p_adjusted"], row["mark"])
    return " ".join(filter(None, (row["measure"], key, scheme, *figures, row["verdict"])))


class _Page(HTMLParser):
    """Collects headings, sentences and alternative texts, and of every table its hash."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self.text: list[str] = []
        self.cells: list[str] = []
        self.mute = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.mute += tag in ("style", "script", "title")
        if tag in BLOCKS or tag in ("td", "th", "table"):
            self._flush("p")
        if alt := dict(attrs).get("alt"):
            self.lines.append(f"[alt] {' '.join(alt.split())}")

    def handle_endtag(self, tag: str) -> None:
        self.mute -= tag in ("style", "script", "title")
        if tag in ("td", "th"):
            self.cells.append(" ".join("".join(self.text).split()))
            self.text = []
        elif tag == "table":
            self.lines.append(f"[table] {len(self.cells)} cells, {_hash(self.cells)}")
            self.cells = []
        elif tag in BLOCKS:
            self._flush(tag)

    def handle_data(self, data: str) -> None:
        self.text += [] if self.mute else [data]

    def _flush(self, tag: str) -> None:
        if words := " ".join("".join(self.text).split()):
            self.lines.append(f"{'#' * int(tag[1]) + ' ' if tag[0] == 'h' else ''}{words}")
        self.text = []


def describe_page(text: str) -> str:
    """Return the page's words in order; a table's cells are hashed, since they are figures."""
    page = _Page()
    page.feed(text)
    page.close()
    return "\n".join(page.lines) + "\n"


def describe_release(folder: Path) -> dict[str, str]:
    """Return the golden text of each part of a release, by part."""
    estimates = (folder / "estimates.csv").read_text(encoding="utf-8")
    page = "".join((folder / name).read_text(encoding="utf-8") for name in VOLUMES)
    return {"estimates": describe_estimates(estimates), "page": describe_page(page)}


def changes(before: str, after: str) -> list[str]:
    """Return the lines that differ, removed ones with -, added ones with +."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]
