"""How does the page come together: chapters as they are written, then HTML and nothing else."""

from __future__ import annotations

import html
import inspect
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nh3
import pandas as pd
from markupsafe import Markup, escape
from nbconvert import HTMLExporter, TemplateExporter
from nbformat import NotebookNode
from traitlets.config import Config

from tsunagari.errors import ConfigError, KernelError
from tsunagari.gate.words import clean_text
from tsunagari.report import (
    english,
    figures,
    findings,
    groups,
    pictures,
    programmes,
    quality,
    summary,
    tables,
)
from tsunagari.report.blocks import Block, Chapter, Picture, Table, Text
from tsunagari.report.charts import CSV
from tsunagari.report.published import Published, first
from tsunagari.report.tables import make_table
from tsunagari.report.texts import FIXED
from tsunagari.report.writer import Writer
from tsunagari.study.survey import UNCODED

Context = dict[str, Any]
Part = dict[str, Any]
MAIN, APPENDIX, ENGLISH = "council_report.html", "appendix.html", "summary_en.html"
TABLES = tables.TABLES | programmes.TABLES | groups.TABLES | quality.TABLES
FIGURES = pictures.FIGURES | programmes.FIGURES | groups.FIGURES
LINES = findings.LINES | programmes.LINES | groups.LINES | summary.LINES


# --- chapters -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Volume:
    """One file of the report.

    Attributes:
        name: Name of the file.
        title: Title of the page.
        subtitle: Who was asked, when and how.
        chapters: In the order of the texts.
    """

    name: str
    title: str
    subtitle: str
    chapters: tuple[Chapter, ...]

    def to_html(self) -> str:
        """Return the volume under the heading that `export_html` finds it by."""
        title = f"{escape(self.title)}<small>{escape(self.subtitle)}</small>"
        chapters = "".join(chapter.to_html() for chapter in self.chapters)
        return f'<h1 id="{self.name}">{title}</h1>{chapters}'


@dataclass(frozen=True)
class Report:
    """The council's report: its volumes, tables and figures numbered, each volume's from 1.

    Attributes:
        volumes: The main one first; one without chapters is left out.
        english: The summary page in English.
    """

    volumes: tuple[Volume, ...]
    english: Volume

    @property
    def chapters(self) -> dict[str, Chapter]:
        """All chapters by name, those of the main volume first."""
        return {chapter.name: chapter for each in self.volumes for chapter in each.chapters}

    def _blocks(self, kind: type) -> list[Any]:
        every = (block for chapter in self.chapters.values() for block in chapter.blocks)
        return [block for block in every if isinstance(block, kind)]

    @property
    def tables(self) -> list[Table]:
        """All tables in order."""
        return self._blocks(Table)

    @property
    def charts(self) -> list[figures.Chart]:
        """All figures in order."""
        return [picture.chart for picture in self._blocks(Picture)]

    def _repr_html_(self) -> str:
        return "".join(volume.to_html() for volume in (*self.volumes, self.english))

    @property
    def contents(self) -> pd.DataFrame:
        """Number and title of every table and figure."""
        rows = [(table.number, table.caption) for table in self.tables]
        rows += [(chart.words.number, chart.words.title) for chart in self.charts]
        return pd.DataFrame(rows, columns=["number", "title"])


def build_report(published: Published, *, has_figures: bool = True) -> Report:
    """Put the whole report together from published rows.

    Args:
        published: From `read_published`.
        has_figures: Whether figures are drawn; most of the time goes there.

    Returns:
        The report; it shows itself in a notebook.

    Raises:
        ConfigError: A text of the study's own is wrong.
    """
    writer = Writer(published)
    links: dict[str, str] = {}
    titles = {MAIN: "title", APPENDIX: "appendix_title"}
    builders = {volume: _Builder(writer, volume, links, has_figures=has_figures)
                for volume in titles}  # fmt: skip
    chapters: dict[str, list[Chapter]] = {volume: [] for volume in titles}
    for name, spec in writer.texts["chapters"].items():
        if "each" in spec and not SUBJECTS[spec["each"]](published):
            continue
        volume = f"{spec['volume']}.html" if "volume" in spec else MAIN
        if volume not in titles:
            raise ConfigError("TEXT_PART", value=f"volume: {spec['volume']}")
        if blocks := tuple(builders[volume].blocks(spec["parts"], {})):
            chapter = Chapter(name, writer.say(spec["heading"]), blocks, links, volume=volume)
            chapters[volume].append(chapter)
    subtitle = writer.text("subtitle")
    volumes = (Volume(volume, writer.text(title), subtitle, tuple(chapters[volume]))
               for volume, title in titles.items())  # fmt: skip
    volumes = tuple(volume for volume in volumes if volume.chapters)
    return Report(volumes, _in_english(published, volumes))


def _in_english(published: Published, volumes: tuple[Volume, ...]) -> Volume:
    """Return the summary page in English; its links lead to the tables of the Japanese volumes."""
    writer = Writer(english.labelled(published), english.texts())
    builder = _Builder(writer, ENGLISH, {}, has_figures=False)
    spec = writer.texts["chapters"]["summary"]
    blocks = tuple(builder.blocks(spec["parts"], {}))
    for volume in volumes:
        builder.volume = volume.name
        tables = [each for chapter in volume.chapters for each in chapter.blocks]
        for table in (each for each in tables if isinstance(each, Table)):
            builder.link(table, writer.text("table_number", n=re.sub(r"\D", "", table.number),
                                            is_appendix=volume.name == APPENDIX))  # fmt: skip
    chapter = Chapter("summary", writer.say(spec["heading"]), blocks, builder.links, volume=ENGLISH,
                      to_top=writer.texts["fixed"]["page"]["to_top"])  # fmt: skip
    return Volume(ENGLISH, writer.title, writer.text("subtitle"), (chapter,))


class _Builder:
    """Turns the parts of a chapter, as they are written, into numbered blocks."""

    def __init__(
        self, writer: Writer, volume: str, links: dict[str, str], *, has_figures: bool
    ) -> None:
        self.writer, self.published = writer, writer.published
        self.volume, self.links, self.has_figures = volume, links, has_figures
        self._n: Counter[str] = Counter()

    def blocks(self, parts: list[Part], context: Context) -> Iterator[Block]:
        """Go through the parts of a chapter, once or for everything that it is about."""
        for part in parts:
            _check_part(part, self.writer.texts["texts"], context=context)
            if "each" in part:
                found = SUBJECTS[part["each"]](self.published)
                for place, own in enumerate(found):
                    yield from self.blocks(part["parts"], own | {"is_first": place == 0})
                if not found and "none" in part:
                    yield from self._text("p", part["none"], {})
                continue
            ((kind, name),) = part.items()
            if kind == "table":
                made = make_table(self.writer, name, lines=TABLES[name](self.writer, **context))
                yield from map(self._number_table, made)
            elif kind == "figure":
                made = FIGURES[name](self.writer, **context) if self.has_figures else ()
                yield from map(self._number_picture, made)
            else:
                yield from self._text(kind, name, context)

    def _text(self, kind: str, name: str, context: Context) -> Iterator[Text]:
        """Yield lines of the texts, those left out that have nothing to say."""
        found = LINES[name](self.published, **context) if name in LINES else [(name, context)]
        lines = [line for own, given in found for line in self.writer.lines(own, **given)]
        if lines:
            yield Text(tuple(dict.fromkeys(lines)), kind)

    def _number(self, kind: str) -> str:
        self._n[kind] += 1
        return self.writer.text(kind, n=self._n[kind], is_appendix=self.volume == APPENDIX)

    def _number_table(self, table: Table) -> Table:
        number = self._number("table_number")
        table = replace(table, number=number, has_cards=self.volume != APPENDIX)
        self.link(table, table.number)
        return table

    def link(self, table: Table, number: str) -> None:
        """Let sentences refer to a table of this volume by a number; the first of a key counts."""
        link = Markup('<a href="{}#{}">{}</a>').format(self.volume, table.anchor, number)
        text = self.writer.say(self.writer.texts["texts"]["table_link"], table=link)
        self.links.setdefault(table.key, text)

    def _number_picture(self, picture: Picture) -> Picture:
        words = replace(picture.chart.words, number=self._number("figure_number"))
        return replace(picture, chart=replace(picture.chart, words=words))


def _families(published: Published) -> tuple[list[Context], list[Context]]:
    """Put questions on ties that have the same answers together, in the order of their first.

    Families with a headline indicator lead; all do where there is none.
    """
    families: dict[Any, list[str]] = {}
    for item in published.chapter("ties"):
        labels = tuple(published.values(item).values())
        is_alone = published.is_multiple(item) or len(labels) < 3
        families.setdefault(item if is_alone else labels, []).append(item)
    headline = {known["item"] for known in published.indicators.values()}
    leading = [{"items": items} for items in families.values() if headline & {*items}]
    further = [{"items": items} for items in families.values() if not headline & {*items}]
    return (leading, further) if leading else (further, [])


def _nation(published: Published) -> list[str]:
    return published.items_of("national_") if published.about["benchmark"] else []


def _coded(published: Published, item: str) -> Context:
    """Return how the free texts of a question were sorted: what people agreed on, what is open."""
    uncoded = published.gt(item)
    people = first(published.rows("coding", item=item))
    uncoded = first(uncoded[uncoded["item_value"] == UNCODED])
    return {"item": item, "people": people, "uncoded": uncoded}


def _models(published: Published) -> list[Context]:
    return [{"outcome": outcome} for outcome in published.outcomes]


SUBJECTS = (
    {  # what parts are repeated for: questions, families of them, models, or once
        "families": lambda published: _families(published)[0],
        "further_families": lambda published: _families(published)[1],
        "models": _models,
        "leading_model": lambda published: _models(published)[:1],
        "further_models": lambda published: _models(published)[1:],
        "nation": lambda published: [{}] * bool(_nation(published)),
        "nation_questions": lambda published: [{"item": item} for item in _nation(published)],
        "survey": lambda published: [{}] * published.has_survey,
        "programmes": lambda published: [{}] * bool(published.records),
        "sections": programmes.sections,
        "plan": lambda published: [{}] * bool(published.told("plan")),
        "waves": lambda published: [{}] * (published.previous is not None),
        "themes": lambda published: [
            _coded(published, n) for n in published.voices.get("themes", [])
        ],
        "quotes": lambda published: published.about.get("quotes", []),
    }
    | {
        name: lambda published, name=name: [{"item": item} for item in published.chapter(name)]
        for name in ("loneliness", "others", "appendix", "crosses")
    }
)
SUBJECTS |= groups.SUBJECTS | quality.SUBJECTS
PARTS = {"each": SUBJECTS, "table": TABLES, "figure": FIGURES}
TEXT_KINDS = ("h3", "p", "note", "warning", "quote", "ul", "ol")


def _check_part(part: Part, texts: Mapping[str, Any], *, context: Context) -> None:
    """Refuse a part of a chapter that names what is not there, or stands under no `each` of it."""
    try:
        kind, name = next(iter(part.items()))
        make = (PARTS | dict.fromkeys(TEXT_KINDS, texts | LINES))[kind][name]
        needs = inspect.signature(make).parameters.values() if callable(make) else ()
        is_right = {one.name for one in needs if one.kind is one.KEYWORD_ONLY} <= context.keys()
        more = {"parts": list, "none": str} if kind == "each" else {}
        is_right &= all(isinstance(part[key], more[key]) for key in list(part)[1:])
        is_right &= part.get("none", name) in (*texts, name) and ("parts" in part) == bool(more)
    except (AttributeError, KeyError, StopIteration, TypeError):
        is_right = False
    if not is_right:
        raise ConfigError("TEXT_PART", value=str(part)[:60])


# --- the page -------------------------------------------------------------------------------------

_TAGS = (
    "a blockquote br caption code dd details div dl dt em figcaption figure h2 h3 h4 img li ol p "
    "pre section small span strong sub summary sup table tbody td tfoot th thead tr ul"
).split()
_ATTRIBUTES = {
    "*": {"class", "id"},
    "a": {"href", "download"},
    "div": {"role", "tabindex", "aria-label"},
    "figure": {"data-row"},
    "img": {"src", "alt", "width", "height"},
    "span": {"data-row"},
    "th": {"scope", "colspan", "rowspan"},
    "td": {"colspan", "rowspan", "data-row", "data-head"},
}
_LINK = re.compile(rf"(?:{re.escape(MAIN)}|{re.escape(APPENDIX)})?#[\w-]+")
_PICTURES = ("data:image/svg+xml;base64,", "data:image/png;base64,")


def _allow_attribute(tag: str, name: str, value: str) -> str | None:
    if (tag, name) == ("img", "src"):
        return value if value.startswith(_PICTURES) else None
    if (tag, name) == ("a", "href"):
        return value if value.startswith(CSV) or _LINK.fullmatch(value) else None
    return value


def sanitise(text: str) -> str:
    """Return HTML with nothing but the tags and attributes that our pages use.

    Scripts, styles, handlers, forms, frames, comments and every address outside the volumes go.
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


def export_html(notebook: NotebookNode, *, is_synthetic: bool) -> dict[str, str]:
    """Return the volumes that a notebook shows, as pages without code, scripts or addresses.

    Args:
        notebook: Executed notebook; cells tagged remove-cell or parameters are left out, so is
            everything printed. `Report` shows every volume under its own heading.
        is_synthetic: Whether the banner stands on every page.

    Returns:
        The HTML by name of the file, lang="ja" but for the English summary; the same notebook
        gives the same bytes.

    Raises:
        KernelError: The notebook holds the output of a cell that failed.
    """
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    if any(output["output_type"] == "error" for output in outputs):
        raise KernelError("HTML_OF_FAILED_RUN")
    shown = "".join("".join(o["data"].get("text/html", "")) for o in outputs if "data" in o)
    heads = re.findall(r'<h1(?: id="(.*?)")?>(.*?)(?:<small>(.*?)</small>)?</h1>', shown)
    titles = {name or MAIN: (html.unescape(t), html.unescape(s)) for name, t, s in heads}
    exporter, pages = _exporter(), {}
    for volume, (title, subtitle) in (titles or {MAIN: ("", "")}).items():
        fixed = english.texts()["fixed"] if volume == ENGLISH else FIXED
        resources = {
            "volume": volume,
            "lang": "en" if volume == ENGLISH else "ja",
            "others": [name for name in titles if name != volume],
            "page_title": title,
            "page_subtitle": subtitle,
            "banner": fixed["synthetic"] if is_synthetic else "",
            "said": fixed["page"] | fixed,
        }
        # HTMLExporter's own reads the page once more to look for pictures without a text: 0.7 s.
        page, _ = TemplateExporter.from_notebook_node(exporter, notebook, resources=resources)
        page = _add_contents(page)
        pages[volume] = english.mark_japanese(page) if volume == ENGLISH else page
    return pages


def _cut(text: str, volume: str) -> str:
    """Return what stands under a volume's heading; what stands under none is of the main one."""
    first, *rest = re.split(r'<h1 id="(.*?)">', text)
    parts = [(MAIN, first), *zip(rest[::2], (f"<h1>{part}" for part in rest[1::2]), strict=True)]
    return "".join(part for name, part in parts if name == volume)


def _css_text(text: str) -> str:
    """Return a text as it may stand in a string of a style sheet: every sign escaped."""
    return "".join(f"\\{ord(sign):x} " for sign in clean_text(text))


def _exporter() -> HTMLExporter:
    config = Config()
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_cell_tags = {"remove-cell", "parameters"}
    return HTMLExporter(
        config=config,
        template_name="council",
        extra_template_basedirs=[str(Path(__file__).parent / "templates")],
        filters={"sanitise": sanitise, "cut": _cut, "css_text": _css_text},
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
