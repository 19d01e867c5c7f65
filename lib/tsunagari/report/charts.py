"""What is a chart: a drawing in light and dark, its words, its numbers as a table and a file."""

from __future__ import annotations

import base64
import csv
import html
import io
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
import yaml
from matplotlib import font_manager
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib_fontja import get_font_ttf_path

from tsunagari.errors import ConfigError
from tsunagari.report.texts import FIXED
from tsunagari.statistics.verdicts import VERDICTS

UNITS, DRAWN = FIXED["units"], FIXED["drawing"]
TEXT_POINTS, SMALL_POINTS = 10.5, 10.0
ALT_LENGTH, NAME_LENGTH = 200, 40  # characters
CSV = "data:text/csv;charset=utf-8;base64,"

COLOURS: dict[str, dict[str, list[str]]] = yaml.safe_load(
    Path(__file__).with_name("colours.yaml").read_text(encoding="utf-8")
)
INK, MUTED, RULE, PAPER = COLOURS["base"]["light"]
OUTLINE, STAMP = COLOURS["outline"]["light"][0], COLOURS["stamp"]["light"][0]


@dataclass(frozen=True)
class Words:
    """What stands around a drawing.

    Attributes:
        title: States the finding, or that none was confirmed.
        subtitle: Measure, unit, population, n and date.
        foot: What the lines are, and the source.
        number: Number of the figure, such as "図3"; may be empty.
        is_synthetic: Whether the banner stands on it.
        source: Source, for the file of its numbers.
    """

    title: str
    subtitle: str = ""
    foot: str = ""
    number: str = ""
    is_synthetic: bool = False
    source: str = ""


@dataclass(frozen=True)
class Chart:
    """A drawing with its words; notebooks and pages show it as an HTML figure.

    Attributes:
        svg: The drawing, text as glyph outlines, no metadata; the same input gives the same bytes.
        alt: The finding, the largest and the smallest number with intervals.
        words: Title, subtitle and foot.
        data: What is drawn: `label` and `estimate`, optional `block`, `series`, `lower`, `upper`,
            `n`, `mark`, `decimals` and `key` (of the row of estimates.csv), shape (n, any).
        unit: Unit of the numbers.
    """

    svg: str
    alt: str
    words: Words
    data: pd.DataFrame = field(default_factory=pd.DataFrame)
    unit: str = ""

    def to_html(self, *, rows: Sequence[str] = ()) -> str:
        """Return the <figure>: drawing, a table of its numbers, and these as a CSV file.

        Args:
            rows: Keys of the rows of estimates.csv that it shows.
        """
        words, data = self.words, base64.b64encode(self.svg.encode()).decode()
        stamp = f'<span class="stamp">{FIXED["synthetic"]}</span> ' if words.is_synthetic else ""
        number = f'<span class="number">{html.escape(words.number)}</span> ' if words.number else ""
        width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', self.svg).groups()
        parts = [
            f'<figcaption>{stamp}<span class="title">{number}{html.escape(words.title)}</span>'
            f'<span class="subtitle">{html.escape(words.subtitle)}</span></figcaption>',
            f'<img src="data:image/svg+xml;base64,{data}" alt="{html.escape(self.alt)}" '
            f'width="{round(float(width) * 4 / 3)}" height="{round(float(height) * 4 / 3)}">',
            f'<p class="note">{html.escape(words.foot)}</p>' if words.foot else "",
            self._numbers() if len(self.data) else "",
        ]
        shown = f' data-row="{";".join(rows)}"' if rows else ""
        return f'<figure class="chart"{shown}>{"".join(parts)}</figure>'

    def _repr_html_(self) -> str:
        # A notebook has none of the page's style: title and subtitle stand on lines of their own.
        title, subtitle = '<span class="title"', '<span class="subtitle"'
        shown = self.to_html().replace(title, f'{title} style="font-weight: 700"')
        return shown.replace(subtitle, f"<br>{subtitle}")

    def _lines(self) -> list[dict[str, str]]:
        """Return the numbers as they are shown; x where one is hidden."""
        lines = []
        for row in self.data.to_dict("records"):
            texts = {name: _text(row.get(name)) for name in ("label", "block", "series", "mark")}
            digits = {"estimate": int(row.get("decimals", 1)), "n": 0}
            digits |= dict.fromkeys(("lower", "upper"), digits["estimate"])
            is_hidden = row.get("estimate", 0) != row.get("estimate", 0)
            numbers = {
                name: ""
                if (value := row.get(name, np.nan)) != value
                else number_text(value, decimals=places)
                for name, places in digits.items()
            }
            if is_hidden:
                numbers = dict.fromkeys(numbers, "") | {"estimate": "x"}
            key = "" if is_hidden else _text(row.get("key"))
            lines.append(texts | numbers | {"unit": self.unit, "key": key})
        return lines

    def to_csv(self) -> str:
        """Return the numbers as CSV: one line a number, with its unit, source and row."""
        target = io.StringIO()
        names = DRAWN["columns"]
        writer = csv.DictWriter(target, names, lineterminator="\r\n")
        writer.writerow(names)
        source = (f"{FIXED['synthetic']}。" * self.words.is_synthetic) + self.words.source
        for line in self._lines():
            given = line | {"figure": self.words.number, "source": source}
            # A spreadsheet would run a text that begins like a formula.
            safe = {name: re.sub(r"^(?=[=@]|[+-](?![\d.]+$))", "'", given[name]) for name in names}
            writer.writerow(safe)
        return "\ufeff" + target.getvalue()

    def _numbers(self) -> str:
        """Return the folded table of the numbers, and the link to them as a file."""
        lines, names = self._lines(), DRAWN["columns"]
        heads = ["label", *(n for n in ("block", "series") if any(line[n] for line in lines))]
        has_interval = any(line["lower"] for line in lines)
        cells = []
        for line in lines:
            key = f' data-row="{line["key"]}"' if line["key"] else ""
            texts = [f'<th scope="row">{html.escape(line[name])}</th>' for name in heads]
            mark = " " * (line["mark"] in VERDICTS) + line["mark"]
            numbers = [line["estimate"] + mark * (line["estimate"] != "x")]
            numbers += ["〜".join(filter(None, (line["lower"], line["upper"])))] * has_interval
            numbers += [line["n"]] * any(other["n"] for other in lines)
            texts += [f"<td{key}>{html.escape(each.replace('-', '−'))}</td>" for each in numbers]
            cells.append(f"<tr>{''.join(texts)}</tr>")
        titles = [names[name] for name in heads]
        titles += [DRAWN["value"].format(unit=self.unit) if self.unit else names["estimate"]]
        titles += [DRAWN["interval"]] * has_interval
        titles += [DRAWN["n"]] * any(line["n"] for line in lines)
        head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in titles)
        file, number = self.to_csv().encode(), html.escape(self.words.number or DRAWN["this"])
        name, size = DRAWN["table"].format(number=number), -(-len(file) // 1024)
        link = DRAWN["file"].format(number=number, size=size)
        return (
            f'<details class="data"><summary>{name}</summary>'
            f'<div class="scroll" role="group" tabindex="0" aria-label="{name}">'
            f'<table class="numbers"><caption>{name}</caption><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(cells)}</tbody></table></div></details>"
            f'<p class="csv"><a download="{number}.csv" '
            f'href="{CSV}{base64.b64encode(file).decode()}">{link}</a></p>'
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# --- drawing to SVG -------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _font_family() -> str:
    """Register the Japanese font that comes with the environment and return its name."""
    path = get_font_ttf_path()
    font_manager.fontManager.addfont(path)
    return font_manager.FontProperties(fname=path).get_name()


def _style() -> dict[str, Any]:
    return sns.axes_style("white") | {
        "font.family": _font_family(),
        "font.size": TEXT_POINTS,
        "axes.unicode_minus": False,
        "svg.fonttype": "path",
        "svg.hashsalt": "tsunagari",
        "hatch.linewidth": 0.8,
        "text.color": INK,
        "axes.edgecolor": RULE,
        "axes.labelcolor": INK,
        "xtick.color": MUTED,
        "ytick.color": INK,
    }


@cache
def _darkened(sets: tuple[str, ...]) -> dict[str, str]:
    """Return the dark colour of every light one of some sets; those named first win."""
    pairs: dict[str, str] = {}
    for name in (*sets, "base", "outline", "no_answer", "stamp"):
        for light, dark in zip(*COLOURS[name].values(), strict=True):
            pairs.setdefault(light, dark)
    return pairs


def to_svg(figure: Figure, *, sets: tuple[str, ...] = (), title: str = "") -> str:
    """Return a figure as SVG text: glyph outlines, fixed ids, no metadata, no external address.

    Args:
        figure: The figure, drawn in light colours.
        sets: Names of the colours used, as in colours.yaml, whose dark ones stand in a style.
        title: Its <title>.

    Raises:
        ConfigError: A label holds a character that the font lacks (it would be an empty box).
    """
    target = io.BytesIO()
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a label's $ is a dollar, no formula
    with warnings.catch_warnings(record=True) as caught, mpl.rc_context(_style()):
        warnings.simplefilter("always")
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(target, metadata=metadata)
    missing = [str(each.message) for each in caught if "missing from" in str(each.message)]
    if missing:
        points = sorted({int(n) for text in missing for n in re.findall(r"Glyph (\d+)", text)})
        names = ", ".join(f"U+{point:04X}" for point in points)
        raise ConfigError("GLYPH_MISSING", names=names)
    text = target.getvalue().decode()
    text = re.sub(r"<\?xml.*?\?>\s*|<!DOCTYPE.*?>\s*|<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg )(.*?)width="[^"]*"', r'\1role="img" \2', text, count=1)
    text = re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r' fill="(#\w{6})"', r' style="fill: \1"', text)  # the ground of a hatching
    text = re.sub(r"(?<!scale\()(?<!\d)(\d+\.\d\d)\d+", r"\1", re.sub(r"\n\s*", "\n", text))
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in _darkened(sets).items()
        for kind in ("fill", "stroke")
        if f"{kind}: {light}" in text
    )
    # White text stands on a deep colour, which is light in the dark.
    rules += f'g[style*="fill: {PAPER}"]{{fill:#000000!important}}'
    rules += f"svg{{fill:{_darkened(sets)[INK]}}}"
    style = f"svg{{fill:{INK}}}@media screen and (prefers-color-scheme:dark){{{rules}}}"
    text = text.replace("</style>", f"{style}</style>", 1)
    head, end, rest = text.partition(">")
    return f"{head}{end}<title>{html.escape(title)}</title>{rest}"


# --- words and sizes ------------------------------------------------------------------------------


def width_em(text: str) -> float:
    """Return the width of a text in em: 1 for a full-width character, about a half for others."""
    wide = sum(unicodedata.east_asian_width(character) in "WFA" for character in text)
    return wide + 0.55 * (len(text) - wide)


def wrap(text: str, *, em: float) -> str:
    """Break a Japanese label into lines of at most `em`, none begins with a closing mark.

    A number or a Latin word stays whole where it fits a line.
    """
    if "：" in text[:-1] and width_em(text) > em:
        heading, _, rest = text.partition("：")
        return f"{wrap(heading + '：', em=em)}\n{wrap(rest, em=em)}"
    n_lines = max(int(np.ceil(width_em(text) / em)), 1)
    em = min(em, width_em(text) / n_lines + 0.6)  # lines of about the same length
    lines, line = [], ""
    for character in text:
        is_closing = character in "、。，．）」』】・：；？！ー〜ょゃゅっァィゥェォャュョッ"
        if line and width_em(line + character) > em and not is_closing:
            kept = line.rstrip("（「『【［")  # an opening mark goes with what it opens
            if re.match("[0-9A-Za-z]", character):
                kept = re.sub("[0-9A-Za-z.,]+$", "", kept)
            lines.append(kept.rstrip() or line)
            line = line[len(kept) :] if kept else ""
        line += character
    return "\n".join([*lines, line])


def number_text(number: float, *, decimals: int = 1, is_signed: bool = False) -> str:
    """Return a number of a drawing; no sign on zero."""
    text = f"{number:{'+' if is_signed else ''}.{decimals}f}"
    return text.lstrip("+-") if not float(text) else text


def alt_text(words: Words, data: pd.DataFrame, *, kind: str, unit: str) -> str:
    """Return the finding, the largest and the smallest number with intervals, in 200 characters."""
    start = (DRAWN["synthetic"] if words.is_synthetic else "") + f"{kind}。"
    title = words.title.removeprefix(DRAWN["example"]).rstrip("。")
    if "estimate" not in data:  # links without a number of their own
        return f"{start}{title}。{'、'.join(data['label'])}"[:ALT_LENGTH]
    shown = data[data["estimate"].notna()]
    ends = []
    if len(shown):
        places = dict.fromkeys((shown["estimate"].idxmax(), shown["estimate"].idxmin()))
        kinds = (DRAWN["largest"], DRAWN["smallest"])
        pairs = zip(kinds, places, strict=False)
        ends = [kind + _extreme(shown.loc[place], unit=unit) for kind, place in pairs]
    rest = "、".join(ends) or DRAWN["no_level"]
    if n_hidden := len(data) - len(shown):
        rest += DRAWN["n_hidden"].format(n=n_hidden)
    finding = f"{title}。"
    return start + finding * (len(start + finding + rest) < ALT_LENGTH) + f"{rest}。"


def _extreme(row: pd.Series, *, unit: str) -> str:
    series = _text(row.get("series")) or _text(row.get("block"))
    name = row["label"] if len(row["label"]) <= NAME_LENGTH else row["label"][:NAME_LENGTH] + "…"
    digits = {"decimals": int(row.get("decimals", 1)), "is_signed": unit == UNITS["points"]}
    value = number_text(row["estimate"], **digits) + unit
    lower, upper = row.get("lower", np.nan), row.get("upper", np.nan)
    if lower == lower and upper == upper:
        value += f"（{number_text(lower, **digits)}〜{number_text(upper, **digits)}{unit}）"
    return f"{series[:NAME_LENGTH]}の{name} {value}" if series else f"{name} {value}"
