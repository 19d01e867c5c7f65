"""What is written: headings, sentences, captions, notes, from files that an official may change."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined, TemplateError, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from tsunagari.disclosure import clean_text, is_whole
from tsunagari.report.blocks import keys_of, reference
from tsunagari.report.published import Published, Row, is_hidden, mark_of
from tsunagari.study import ConfigError

HIDDEN, MISSING, NONE = "x", "…", "-"
_DECIMALS = {"percent": 1, "points": 1, "persons": 0, "respondents": 0}
_UNITS = {"percent": "%", "points": "ポイント"}


# --- numbers as text ------------------------------------------------------------------------------


def format_number(value: float | None, *, decimals: int = 1, is_signed: bool = False) -> str:
    """Return a number as the page shows it; … where there is none.

    Example:
        >>> format_number(-1234.5, decimals=1, is_signed=True)
        '−1,234.5'
    """
    if value is None or value != value:
        return MISSING
    text = f"{value:{'+' if is_signed else ''},.{decimals}f}"
    if not float(text.replace(",", "")):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def decimals_of(row: Row) -> int:
    """Return the digits that a row's figure is shown with."""
    return 0 if is_whole(row) else _DECIMALS.get(row["unit"], 2)


def estimate(row: Row, *, decimals: int | None = None) -> str:
    """Return the figure of a row: x when hidden, … when there is none, a sign for differences."""
    if is_hidden(row):
        return HIDDEN
    places = decimals_of(row) if decimals is None else decimals
    return format_number(row["estimate"], decimals=places, is_signed=row["unit"] == "points")


def interval(row: Row) -> str:
    """Return a row's interval, such as 6.4〜8.8; x when hidden, empty when there is none."""
    if is_hidden(row):
        return HIDDEN
    ends = (row["lower"], row["upper"])
    if any(end != end for end in ends):
        return ""
    digits = {"decimals": decimals_of(row), "is_signed": row["unit"] == "points"}
    return "〜".join(format_number(end, **digits) for end in ends)


def base(row: Row) -> str:
    """Return the unweighted base with its sign: * reference value, † low base, x hidden."""
    if is_hidden(row):
        return HIDDEN
    sign = {"reference": "*", "low_base": "†"}.get(row["status"], "")
    return format_number(row["n_unweighted"], decimals=0) + sign


# --- numbers in a sentence, with the row that they are of -----------------------------------------


def number(row: Row, text: str) -> Markup:
    """Return a number for a sentence, with the row that it is of."""
    if is_hidden(row):
        return Markup(text)
    return Markup('<span data-row="{}">{}</span>').format(";".join(keys_of([row])), text)


def value(row: Row, unit: str | None = None, decimals: int | None = None) -> Markup:
    """Return a row's figure with its unit; {{ row | value }} in a text."""
    own = _UNITS.get(row["unit"], "") if unit is None else unit
    return number(row, estimate(row, decimals=decimals) + own)


def marked(row: Row) -> Markup:
    """Return a row's figure with its unit and mark."""
    return number(row, estimate(row) + _UNITS.get(row["unit"], "") + mark_of(row))


def size(row: Row) -> Markup:
    """Return how large a difference is, without its sign."""
    return number(row, format_number(abs(row["estimate"])) + _UNITS.get(row["unit"], ""))


def with_interval(row: Row, name: str = "") -> Markup:
    """Return figure and interval with their unit."""
    ends = interval(row)
    text = number(row, ends + _UNITS.get(row["unit"], ""))
    return value(row) + (Markup("（{}{}）").format(name, text) if ends else Markup(""))


def ends(row: Row) -> Markup:
    """Return a row's interval."""
    return number(row, interval(row))


# --- the files ------------------------------------------------------------------------------------


@cache
def load_texts(language: str) -> dict[str, Any]:
    """Return the texts of a language: chapters, texts, tables, figures and words."""
    path = Path(__file__).parent / f"{language}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def override(texts: Mapping[str, Any], own: Mapping[str, Any], *, at: str = "") -> dict[str, Any]:
    """Return texts with a study's own put in their places.

    Args:
        texts: The texts of a language.
        own: What a study's texts.yaml holds: the same keys, those alone that change.
        at: Place of `texts` in the whole.

    Raises:
        ConfigError: A key that the texts do not have, or a text of another kind.
    """
    found = dict(texts)
    for key, new in own.items():
        place = f"{at}.{key}".lstrip(".")
        if key not in found or type(found[key]) is not type(new):
            raise ConfigError(
                "TEXT_KEY",
                f"texts.yaml の {place} は使えません。元の文章にある名前だけを書いてください。",
                f"{place} in texts.yaml is no text of the report, or one of another kind: use the "
                "names that the report's own texts have.",
            )
        found[key] = override(found[key], new, at=place) if isinstance(new, Mapping) else new
    return found


_NO_BENCHMARK = {"label": "", "year": None, "caveat": "", "not_compared": []}


class Writer:
    """Fills the texts of one report with rows and labels.

    Attributes:
        published: The rows.
        texts: The texts, a study's own among them.
    """

    def __init__(self, published: Published, *, language: str = "ja") -> None:
        self.published = published
        self.texts = override(load_texts(language), published.about.get("texts") or {})
        self.joint = "" if language == "ja" else " "  # what a line break in a text stands for
        self._language = SandboxedEnvironment(autoescape=True, undefined=StrictUndefined)
        self._language.filters |= {
            "value": value, "marked": marked, "size": size, "ends": ends,
            "with_interval": with_interval, "clean": clean_text, "number": format_number,
        }  # fmt: skip
        about = published.about
        known = {name: clean_text(text) for name, text in about.items() if isinstance(text, str)}
        benchmark = about.get("benchmark") or _NO_BENCHMARK
        self._language.globals |= self.texts["words"] | known | {
            "about": about, "year": published.year, "previous": published.previous,
            "confidence": published.confidence, "is_synthetic": published.is_synthetic,
            "marks": about.get("marks", {}), "disclosure": about.get("disclosure", {}),
            "benchmark": benchmark, "nation": clean_text(benchmark.get("label") or "全国"),
            "error_note": clean_text(about.get("error_note") or "").rstrip("。"),
            "label": published.label, "wording": published.wording, "by_axis": published.by_axis,
            "axis_label": published.axis_label, "group": published.group_label, "ref": reference,
            "example": "（表示例）" if published.is_synthetic else "", "verdict": self._verdict,
            "interval_name": f"{published.confidence}%信頼区間 ", "text": self._text,
        }  # fmt: skip

    def say(self, template: str, /, **context: Any) -> Markup:
        """Return a text with its places filled, safe to stand in a page.

        Raises:
            ConfigError: It names something that is not there, or is not written as Jinja is.
        """
        try:
            joined = re.sub(r"\n\s*", self.joint, template.strip())
            return Markup(self._language.from_string(joined).render(context).strip())
        except TemplateError as error:
            raise ConfigError(
                "TEXT",
                f"報告の文章を作れません（{error.message}）。texts.yaml のこの文を直してください: "
                f"{template[:60]}",
                f"A text of the report cannot be filled ({error.message}): mend it in texts.yaml.",
            ) from error

    def _verdict(self, row: Row, other: str) -> str:
        """Return what a sentence may say of a difference."""
        return self.texts["words"]["verdicts"][row["verdict"]].format(other=other)

    @pass_context
    def _text(self, context: Context, name: str) -> Markup:
        """Return one text within another; {{ text("table_note") }}."""
        return self.say(self.texts["texts"][name], **context.get_all())

    def words(self, template: str, /, **context: Any) -> str:
        """Return a text as plain words, for what is escaped later: captions, notes, titles."""
        return html.unescape(re.sub(r"<[^>]+>", "", self.say(template, **context)))

    def lines(self, name: str, /, **context: Any) -> list[Markup]:
        """Return the lines of a text, those left out that have nothing to say."""
        known = self.texts["texts"][name]
        templates = known if isinstance(known, list) else [known]
        return [line for line in (self.say(each, **context) for each in templates) if line]
