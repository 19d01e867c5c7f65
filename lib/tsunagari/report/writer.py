"""How does a row become words: numbers as the page shows them, and texts filled with them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup, escape

from tsunagari.errors import ConfigError, SurveyError
from tsunagari.estimates import is_whole
from tsunagari.gate.words import clean_text
from tsunagari.report.published import Published, Row, is_hidden, is_sure, keys_of, mark_of
from tsunagari.report.texts import FIXED, own_texts

HIDDEN, MISSING, NONE = "x", "…", "-"
_COUNTED = "persons respondents organisations cases calls lines sheets yen groups days visits cells"
_DECIMALS = {"percent": 1, "points": 1, "unknown": 0} | dict.fromkeys(_COUNTED.split(), 0)
_SHOWN_UNITS = {name: FIXED["units"][name] for name in ("percent", "points")}
BASE_SIGNS = {"reference": "*", "low_base": "†"}


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
    return format_number(row["n_unweighted"], decimals=0) + BASE_SIGNS.get(row["status"], "")


# --- numbers in a sentence, with the row that they are of -----------------------------------------


def number(row: Row, text: str) -> Markup:
    """Return a number for a sentence, with the row that it is of."""
    if is_hidden(row):
        return Markup(text)
    return Markup('<span data-row="{}">{}</span>').format(";".join(keys_of([row])), text)


def _unit(row: Row) -> str:
    return _SHOWN_UNITS.get(row["unit"], "")


def value(row: Row, *, unit: str | None = None, decimals: int | None = None) -> Markup:
    """Return a row's figure with its unit; {{ row | value }} in a text."""
    return number(row, estimate(row, decimals=decimals) + (_unit(row) if unit is None else unit))


def marked(row: Row) -> Markup:
    """Return a row's figure with its unit and mark."""
    return number(row, estimate(row) + _unit(row) + mark_of(row))


def size(row: Row) -> Markup:
    """Return how large a difference is, without its sign."""
    return number(row, format_number(abs(row["estimate"])) + _unit(row))


def with_interval(row: Row, name: str = "") -> Markup:
    """Return figure and interval with their unit."""
    text = number(row, interval(row) + _unit(row))
    return value(row) + (Markup("（{}{}）").format(name, text) if interval(row) else Markup(""))


def ends(row: Row) -> Markup:
    """Return a row's interval."""
    return number(row, interval(row))


def of_rows(text: str, rows: list[Row | None]) -> Markup:
    """Return a text whose numbers are those of some rows."""
    keys = ";".join(keys_of(rows))
    return Markup('<span data-row="{}">{}</span>').format(keys, text) if keys else escape(text)


def day(text: str) -> str:
    """Return a date as it is said; what is no date as it is.

    Example:
        >>> day("2023-09-05")
        '2023年9月5日'
    """
    found = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", text)
    return "{}年{:d}月{:d}日".format(found[1], *map(int, found.groups()[1:])) if found else text


def reference(key: str) -> Markup:
    """Return a place that becomes a link to a table, once tables have numbers."""
    return Markup(f"⟦{key}⟧")


# --- the texts filled -----------------------------------------------------------------------------


def _places_of(template: str, known: Any, at: str = "") -> Iterator[str]:
    """Yield the keys under which a text is written, such as texts.front."""
    if known == template:
        yield at
    elif isinstance(known, dict | list):
        for key, each in known.items() if isinstance(known, dict) else enumerate(known):
            yield from _places_of(template, each, f"{at}.{key}".lstrip("."))


_NO_BENCHMARK = {"label": "", "year": None, "caveat": "", "not_compared": []}


class Writer:
    """Fills the texts of one report with rows and labels.

    Attributes:
        published: The rows.
        texts: The texts, a study's own among them, or those of another language.
    """

    def __init__(self, published: Published, texts: dict[str, Any] | None = None) -> None:
        self.published = published
        self.texts = texts or own_texts(published.about["texts"])
        jinja = SandboxedEnvironment(autoescape=True, undefined=StrictUndefined)
        filters = (value, marked, size, with_interval, ends, of_rows, day)
        jinja.filters |= {each.__name__: each for each in filters}
        jinja.filters |= {"clean": clean_text, "number": format_number}
        jinja.tests |= {"sure": is_sure, "hidden": is_hidden}
        about = published.about
        plain = {name: text for name, text in about.items() if isinstance(text, str | None)}
        jinja.globals |= self.texts["words"] | {n: clean_text(t or "") for n, t in plain.items()}
        jinja.globals |= {
            "about": about, "year": published.year, "previous": published.previous,
            "era": self._era(published.year), "publication": about["publication"],
            "is_synthetic": published.is_synthetic, "has_survey": published.has_survey,
            "has_records": bool(published.records), "synthetic": FIXED["synthetic"],
            "synthetic_note": FIXED["synthetic_note"],
            "confidence": f"{100 * about['marks']['confidence']:g}",
            "error_note": clean_text(about["error_note"]),
            "benchmark": about["benchmark"] or _NO_BENCHMARK, "label": published.label,
            "wording": published.wording, "answer": published.answer_label,
            "group": published.group_label, "by_axis": self.by_axis,
            "verdict": self._verdict, "text": self._text, "ref": reference,
        }  # fmt: skip
        self._compile = cache(jinja.from_string)

    @property
    def title(self) -> str:
        """Title of page and workbook."""
        return self.text("title")

    def text(self, name: str, /, **context: Any) -> str:
        """Return one of the texts as plain words."""
        return self.words(self.texts["texts"][name], **context)

    def say(self, template: str, /, **context: Any) -> Markup:
        """Return a text with its places filled, safe to stand in a page.

        Raises:
            ConfigError: It names something that is not there, or is not written as Jinja is.
        """
        try:
            joined = re.sub(r"\n\s*", "", template.strip(" \n"))
            return Markup(self._compile(joined).render(context).strip(" \n"))
        except SurveyError:
            raise
        except Exception as error:  # a text may do anything; which one is wrong is what helps
            place = next(_places_of(template, self.texts), "?")
            raise ConfigError("TEXT", error=error, place=place, value=template[:60]) from error

    @pass_context
    def _text(self, context: Context, name: str) -> Markup:
        """Return one text within another; {{ text("left_out_note") }}."""
        return self.say(self.texts["texts"][name], **context.get_all())

    def _era(self, year: int) -> str:
        """Return a year of the Japanese calendar, such as 令和5."""
        eras, first_year = self.texts["words"]["eras"], self.texts["words"]["first_year"]
        era, start = next((name, start) for name, start in eras.items() if start <= year)
        return f"{era}{year - start + 1 if year > start else first_year}"

    def _verdict(self, row: Row, other: str) -> Markup:
        """Return what a sentence may say of a difference."""
        return self.say(self.texts["words"]["verdicts"][row["verdict"]], other=other)

    def by_axis(self, axis: str) -> str:
        """Return "by" an axis: 地域別, and not 性別別."""
        return self.text("by_axis", axis=self.published.axis_label(axis))

    def words(self, template: str, /, **context: Any) -> str:
        """Return a text as plain words, for what is escaped later: captions, notes, titles."""
        return html.unescape(re.sub(r"<[^>]+>", "", self.say(template, **context)))

    def lines(self, name: str, /, **context: Any) -> list[Markup]:
        """Return the lines of a text, those left out that have nothing to say."""
        known = self.texts["texts"][name]
        templates = known if isinstance(known, list) else [known]
        return [line for line in (self.say(each, **context) for each in templates) if line]
