"""How does the page come together: chapters as they are written, then HTML and nothing else."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nh3
import pandas as pd
from markupsafe import escape
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

from tsunagari.disclosure import clean_text
from tsunagari.report import figures
from tsunagari.report.blocks import Block, Chapter, Picture, Table, Text, number_blocks, of_kind
from tsunagari.report.findings import LINES
from tsunagari.report.pictures import FIGURES
from tsunagari.report.published import Published
from tsunagari.report.tables import TABLES, make_table
from tsunagari.report.texts import Writer, load_texts
from tsunagari.study import KernelError

Context = dict[str, Any]


# --- chapters -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """The council's report: its chapters in the order of the texts, tables and figures numbered.

    Attributes:
        published: What it was made from.
        chapters: By name.
    """

    published: Published
    chapters: dict[str, Chapter]

    @cached_property
    def tables(self) -> list[Table]:
        """All tables in order."""
        return list(of_kind(self.chapters.values(), Table))

    @cached_property
    def charts(self) -> list[figures.Chart]:
        """All figures in order."""
        return [picture.chart for picture in of_kind(self.chapters.values(), Picture)]

    @property
    def title(self) -> str:
        """Title of the page."""
        return title_of(self.published)

    @property
    def subtitle(self) -> str:
        """Who was asked, when and how."""
        about = self.published.about
        parts = ("people", "fieldwork", "mode")
        return "、".join(clean_text(about[part]) for part in parts if about.get(part))

    def _repr_html_(self) -> str:
        head = f"<h1>{escape(self.title)}<small>{escape(self.subtitle)}</small></h1>"
        return head + "".join(chapter.to_html() for chapter in self.chapters.values())

    @property
    def contents(self) -> pd.DataFrame:
        """Number and title of every table and figure."""
        rows = [(table.number, table.caption) for table in self.tables]
        rows += [(chart.words.number, chart.words.title) for chart in self.charts]
        return pd.DataFrame(rows, columns=["number", "title"])


def title_of(published: Published) -> str:
    """Return the title of a report."""
    return f"{clean_text(published.about['title'])} 報告書（{published.year}年調査）"


def build_report(published: Published, *, language: str = "ja") -> Report:
    """Put the whole report together from published rows.

    Args:
        published: From `read_published`.
        language: Of the texts.

    Returns:
        The report; its chapters show themselves in a notebook.

    Raises:
        ConfigError: A text of the study's own is wrong.
    """
    writer = Writer(published, language=language)
    builder = _Builder(writer)
    chapters = {
        name: [Text((writer.say(spec["heading"]),), "h2"), *builder.blocks(spec["parts"], {})]
        for name, spec in writer.texts["chapters"].items()
    }
    return Report(published, number_blocks(chapters))


class _Builder:
    """Turns the parts of a chapter, as they are written, into blocks."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.published = writer, writer.published

    def blocks(self, parts: list[Context], context: Context) -> Iterator[Block]:
        """Go through the parts of a chapter, once or for everything that it is about."""
        for part in parts:
            if "each" in part:
                found = self.subjects(part["each"])
                for place, own in enumerate(found):
                    yield from self.blocks(part["parts"], own | {"is_first": place == 0})
                if not found and "none" in part:
                    yield from self.text(part["none"], "p", {})
                continue
            ((kind, name),) = part.items()
            if kind == "table":
                lines = TABLES[name](self.writer, **context)
                yield from make_table(self.writer, name, lines)
            elif kind == "figure":
                yield from FIGURES[name](self.writer, **context)
            else:
                yield from self.text(name, kind, context)

    def text(self, name: str, kind: str, context: Context) -> Iterator[Text]:
        """Yield lines of the texts, those left out that have nothing to say."""
        found = LINES[name](self.published, **context) if name in LINES else [(name, context)]
        lines = [line for own, given in found for line in self.writer.lines(own, **given)]
        if lines:
            yield Text(tuple(dict.fromkeys(lines)), kind)

    def subjects(self, name: str) -> list[Context]:
        """Return what parts are repeated for: questions, families of them, models, or once."""
        published = self.published
        nation = published.items_of("national_") if published.about.get("benchmark") else []
        if name == "models":
            return [{"outcome": outcome} for outcome in published.outcomes]
        if name == "nation":
            return [{}] * bool(nation)
        if name == "waves":
            return [{}] * (published.previous is not None)
        if name == "families":
            return [{"items": items} for items in _families(published)]
        questions = nation if name == "nation_questions" else published.chapter(name)
        return [{"item": item} for item in questions]


def _families(published: Published) -> list[list[str]]:
    """Put questions on ties that have the same answers together, in the order of their first."""
    families: dict[Any, list[str]] = {}
    for item in published.chapter("ties"):
        labels = tuple(published.values(item).values())
        is_alone = published.is_multiple(item) or len(labels) < 3
        families.setdefault(item if is_alone else labels, []).append(item)
    return list(families.values())


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
    words = load_texts("ja")["words"]
    banner = {"banner": words["synthetic"] if is_synthetic else ""}
    banner |= {"banner_note": words["synthetic_note"], "unsigned": words["unsigned"]}
    banner["unsigned_note"] = words["unsigned_note"]
    heads = {"page_title": title, "page_subtitle": subtitle}
    page, _ = _exporter().from_notebook_node(notebook, resources=heads | banner)
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
