"""How does the summary page read in English: same rows, other texts, Japanese words marked."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from markupsafe import escape

from tsunagari.report.published import Published
from tsunagari.report.texts import load_texts, override

_LETTER = "[ぁ-んァ-ヺー一-鿿々〆]"
_JAPANESE = (  # from the first letter to the last, with the numbers of its dates and counts
    f"(?:[\\d.,]+(?!{{said}}))?「?{_LETTER}+(?:[・、。（）「」〜：×\\w.,%]*{_LETTER}+)*[」。]*"
)
_SIGNS = str.maketrans({"（": " (", "）": ")", "、": ", ", "：": ": ", "。": ". ", "　": " ",
                        "「": "“", "」": "”", "×": " by "})  # fmt: skip


@cache
def _edition() -> dict[str, Any]:
    text = Path(__file__).with_name("en.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def texts() -> dict[str, Any]:
    """Return the texts of the report with the English ones in their places."""
    own = {name: part for name, part in _edition().items() if name != "said"}
    return override(load_texts(), own)


def labelled(published: Published) -> Published:
    """Return the same rows with every label that the study gives in English."""
    words = published.about.get("english", {})
    if not words:
        return published
    files = {name: table.replace(words) for name, table in published.records.items()}
    return replace(
        published,
        estimates=published.estimates.assign(
            item_label=published.estimates["item_label"].replace(words)
        ),
        about=_translate(published.about, words),
        records=files,
    )


def _translate(known: Any, words: dict[str, str]) -> Any:
    if isinstance(known, dict):
        return {key: _translate(value, words) for key, value in known.items()}
    if isinstance(known, list):
        return [_translate(value, words) for value in known]
    return words.get(known, known) if isinstance(known, str) else known


def mark_japanese(page: str) -> str:
    """Return an English page whose Japanese words are marked as such for whoever hears it."""
    head, body = page.split("<body>", 1)
    return f"{head}<body>{re.sub('(?<=>)[^<]+', _mark, body)}"


def _mark(found: re.Match[str]) -> str:
    text = re.sub(r"(?<=\d)〜(?=[\d+−])", " to ", found.group())
    parts, place = [], 0
    said_by_us = _edition()["said"]
    known = "|".join(map(re.escape, said_by_us))
    for run in re.finditer(_JAPANESE.format(said=f"(?:{known})"), text):
        word = said_by_us.get(run.group())
        said = escape(word) if word else f'<span lang="ja">{run.group()}</span>'
        parts += [text[place : run.start()].translate(_SIGNS), said]
        place = run.end()
    return "".join([*parts, text[place:].translate(_SIGNS)])
