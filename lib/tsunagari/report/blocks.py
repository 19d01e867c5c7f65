"""What does a page consist of: cells, tables, pictures, lines, parts; each shows itself as HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from markupsafe import Markup, escape

from tsunagari.report import figures
from tsunagari.report.texts import FIXED

SHORT_TABLE_ROWS = 16  # such a table is not broken over two printed pages
MANY_COLUMNS = 11  # beyond them an interval is printed under its number, not beside it
REFERENCE = re.compile("⟦([^⟧]*)⟧")


@dataclass(frozen=True)
class Cell:
    """One cell: its text, in small print its interval, and the keys of the rows they are of."""

    text: str
    small: str = ""
    rows: tuple[str, ...] = ()

    def to_html(self, tag: str, *, head: str = "") -> str:
        """Return the cell; its rows are named where it holds a number, its column where given."""
        small = Markup('<span class="interval">{}</span>').format(self.small) if self.small else ""
        rows = f' data-row="{";".join(self.rows)}"' if self.rows and tag == "td" else ""
        scope = ' scope="row"' if tag == "th" else ""
        head = f' data-head="{escape(head)}"' if head else ""
        return f"<{tag}{scope}{rows}{head}>{escape(self.text)}{small}</{tag}>"


Line = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        key: Name by which sentences refer to it.
        caption: What it shows.
        head: Texts of the header row, shape (m,).
        groups: Group label (empty: none) and its lines; each has m cells, the first its header.
        note: What stands under it.
        number: Such as "表3"; given when the report is put together.
        stamp: What stands on it, such as 合成データ.
        is_text: Whether its cells are words, not numbers.
        has_cards: Whether a phone shows each line as a card, every cell beside its heading.
    """

    key: str
    caption: str
    head: tuple[str, ...]
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    note: str = ""
    number: str = ""
    stamp: str = ""
    is_text: bool = False
    has_cards: bool = False

    def to_html(self) -> str:
        """Return the table in a group that scrolls by itself and can be focused."""
        n_lines = sum(len(lines) + bool(label) for label, lines in self.groups)
        size = " short" * (n_lines <= SHORT_TABLE_ROWS) + " many" * (len(self.head) > MANY_COLUMNS)
        size += " cards" * self.has_cards
        stamp = Markup('<span class="stamp">{}</span> ').format(self.stamp) if self.stamp else ""
        name = escape(f"{self.number} {self.caption}".strip())
        note = Markup('<p class="note">{}</p>').format(self.note) if self.note else ""
        return (
            f'<div class="table{size}" id="{self.anchor}">'
            f'<div class="scroll" role="group" tabindex="0" aria-label="{name}">'
            f'<table class="{"words" if self.is_text else "numbers"}">'
            f'<caption>{stamp}<span class="number">{escape(self.number)}</span> '
            f"{escape(self.caption)}</caption><thead><tr>{''.join(map(_head_cell, self.head))}</tr>"
            f"</thead>{''.join(self._group(*group) for group in self.groups)}</table></div>"
            f"{note}</div>"
        )

    def with_references(self, numbers: Mapping[str, str]) -> Table:
        """Return the table with the numbers of the tables that its cells refer to."""

        def told(cell: Cell) -> Cell:
            return replace(cell, text=REFERENCE.sub(lambda m: numbers.get(m[1], ""), cell.text))

        groups = ((label, tuple(tuple(map(told, line)) for line in lines))
                  for label, lines in self.groups)  # fmt: skip
        return replace(self, groups=tuple(groups))

    def _group(self, label: str, lines: tuple[Line, ...]) -> str:
        head = f'<th scope="rowgroup" colspan="{len(self.head)}">{escape(label)}</th>'
        rows = [f'<tr class="group">{head}</tr>'] if label else []
        heads = self.head[1:] if self.has_cards else [""] * len(self.head[1:])
        for name, *cells in lines:
            pairs = zip(cells, heads, strict=True)
            own = "".join(cell.to_html("td", head=own_head) for cell, own_head in pairs)
            rows.append(f"<tr>{name.to_html('th')}{own}</tr>")
        return f"<tbody>{''.join(rows)}</tbody>"

    @property
    def anchor(self) -> str:
        """Id of the table in the page."""
        return "t-" + re.sub(r"[^a-z0-9]+", "-", self.key.lower()).strip("-")


def _head_cell(text: str) -> str:
    """Return a header cell; a short text stays on one line."""
    whole = ' class="whole"' if figures.width_em(text) < 7 else ""
    return f'<th scope="col"{whole}>{escape(text)}</th>'


@dataclass(frozen=True)
class Picture:
    """A figure of the page, with the keys of the rows it shows."""

    chart: figures.Chart
    rows: tuple[str, ...] = ()

    def to_html(self) -> str:
        """Return the figure."""
        return self.chart.to_html(rows=self.rows)


@dataclass(frozen=True)
class Text:
    """Lines of HTML that are safe: rendered by `texts`, a number with its row.

    Attributes:
        lines: Paragraphs, items of a list, or a heading.
        kind: p, ul, ol, h3, note, warning or quote.
    """

    lines: tuple[Markup, ...]
    kind: str = "p"

    def to_html(self) -> str:
        """Return the text; references stay for the report to resolve."""
        if self.kind in ("ul", "ol"):
            items = "".join(f"<li>{line}</li>" for line in self.lines)
            return f"<{self.kind}>{items}</{self.kind}>"
        tag = "h3" if self.kind == "h3" else "p"
        style = f' class="{self.kind}"' if self.kind in ("note", "warning") else ""
        text = "".join(f"<{tag}{style}>{line}</{tag}>" for line in self.lines)
        return f"<blockquote>{text}</blockquote>" if self.kind == "quote" else text


Block = Table | Picture | Text


@dataclass(frozen=True)
class Chapter:
    """One chapter of the report.

    Attributes:
        name: As in the texts.
        heading: Safe HTML.
        blocks: What it consists of, in order.
        links: Link to every table of the report, by key.
        volume: File that it stands in.
        to_top: Text of its last link.
    """

    name: str
    heading: Markup
    blocks: tuple[Block, ...]
    links: Mapping[str, str] = field(default_factory=dict)
    volume: str = ""
    to_top: str = FIXED["page"]["to_top"]

    def to_html(self) -> str:
        """Return the chapter's HTML with its references resolved."""
        body = "".join(block.to_html() for block in self.blocks)
        body = REFERENCE.sub(lambda found: self.links.get(found[1], ""), body)
        body = body.replace(f'href="{self.volume}#', 'href="#')
        top = f'<p class="top"><a href="#top">{self.to_top}</a></p>'
        return f'<h2>{self.heading}</h2><div class="part part-{self.name}">{body}{top}</div>'
