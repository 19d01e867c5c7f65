"""What in a free text could point at a person, and how does the text read without it?"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from tsunagari.voices.names import HOLE, Span, find_names, rule_book
from tsunagari.voices.words import Words, tidy, words_of

_MAY_MATCH = re.compile(
    "[0-9A-Za-z@〒〇零]|[一二三四五六七八九十][のノ]?[一二三四五六七八九十]|丁目|番地|生[まれ]|生年|うまれ"
    "|大正|昭和|平成|令和|サン|サマ|チャン|クン|ちゃん|くん|せんせい"
)
_CALLED = re.compile("サン|サマ|ャン|ゃん|クン|くん|せんせい")
_LATIN = re.compile("[A-Za-z@]")
_DATED = re.compile("[年月生/.,・-]|うまれ|(?:19|20)[0-9]{6}")
_STREET = re.compile("丁目|番地|番町|号室|[0-9]-[0-9]|[0-9一二三四五六七八九十]ノ")
BATCH = 256  # texts


class Answer(NamedTuple):
    """A free text as it may be read inside the office.

    Attributes:
        text: The text with 〔氏名〕 and the like in the place of what was taken out.
        words: Its words without them.
        spans: What was taken out, in order.
        is_sensitive: Whether it speaks of violence or death: never quoted.
    """

    text: str
    words: Words
    spans: list[Span]
    is_sensitive: bool


def redact(text: str, *, kept: Collection[str] = ()) -> Answer:
    """Return a text without what could point at a person.

    An aid, not a licence to quote (SDC-1 P16): docs/methods.md gives the measured recall.

    Args:
        text: A free text as it came.
        kept: Names of municipalities, which stay where nothing finer follows.

    Example:
        >>> redact("090-0000-1234に電話を").text
        '〔電話〕に電話を'
    """
    return redact_all([text], kept=kept)[0]


def redact_all(texts: Sequence[str], *, kept: Collection[str] = ()) -> list[Answer]:
    """Return `redact` of many texts, step by step for some hundreds at a time: it is faster."""
    found = []
    for start in range(0, len(texts), BATCH):
        tidied = [tidy(text) for text in texts[start : start + BATCH]]
        shadows = [_plain(text) for text in tidied]
        spans = [_by_pattern(text, kept=kept) for text in shadows]
        holed = [_with_holes(*both) for both in zip(shadows, spans, strict=True)]
        words = [words_of(text) for text in holed]
        for parts in zip(tidied, holed, words, spans, strict=True):
            names = find_names(*parts[1:3], kept=kept)
            found.append(_answer(parts[0], parts[2], spans=parts[3], names=names))
    return found


def _plain(text: str) -> str:
    rules = rule_book()
    return text if rules["rare"].isdisjoint(text) else text.translate(rules["forms"])


def _answer(text: str, words: Words, *, spans: list[Span], names: list[Span]) -> Answer:
    rules = rule_book()
    spans = _joined([*spans, *names])
    is_sensitive = rules["sensitive"].search(text) is not None
    if not spans:
        return Answer(text, words, [], is_sensitive)
    parts, last = [], 0
    for span in spans:
        parts += [text[last : span.begin], f"〔{rules['labels'][span.kind]}〕"]
        last = span.end
    places = [i for i, form in enumerate(words.forms) if form[:1] != HOLE]
    if names:
        begins = [word.begin for word in words.each()]
        places = [i for i in places if not any(s.begin <= begins[i] < s.end for s in names)]
    return Answer("".join([*parts, text[last:]]), words.only(places), spans, is_sensitive)


def is_my_number(digits: str) -> bool:
    """Return whether twelve digits end in the check digit of an Individual Number.

    References:
        Ordinance 85 of 2014 (MIC), article 5.

    Example:
        >>> is_my_number("123456789018")
        True
    """
    weights = [q + 1 if q <= 6 else q - 5 for q in range(11, 0, -1)]
    rest = sum(int(d) * w for d, w in zip(digits[:11], weights, strict=True)) % 11
    return int(digits[11]) == (0 if rest <= 1 else 11 - rest)


def _by_pattern(text: str, *, kept: Collection[str]) -> list[Span]:
    """Return what the patterns find; an earlier pattern's find is not looked at again."""
    if not _MAY_MATCH.search(text):
        return []
    rules, spans = rule_book(), []
    digits = text.translate(rules["digits"])
    n_digits = sum(map(str.isdigit, digits))
    asked = {"birth": _DATED.search(digits), "name": _CALLED.search(text)}
    asked |= dict.fromkeys(rules["latin"], _LATIN.search(text))
    for kind, pattern in rules["patterns"]:
        if n_digits < rules["least_digits"].get(kind, 0):
            continue
        if not asked.get(kind, True):
            continue
        n_before = len(spans)
        for match in pattern.finditer(digits):
            is_plain = kind == "my_number" and not is_my_number(re.sub(r"\D", "", match.group()))
            spans.append(Span("number" if is_plain else kind, *match.span()))
        if len(spans) > n_before:
            digits = _with_holes(digits, spans[n_before:])
    for match in (
        rules["address"].finditer(_with_holes(text, spans)) if _STREET.search(text) else ()
    ):
        town = [name for name in kept if name in match.group()]
        inside = max((match.group().index(name) + len(name) for name in town), default=0)
        spans.append(Span("address", match.start() + inside, match.end()))
    return spans


def _with_holes(text: str, spans: list[Span]) -> str:
    for span in spans:
        text = text[: span.begin] + HOLE * (span.end - span.begin) + text[span.end :]
    return text


def _joined(spans: list[Span]) -> list[Span]:
    """Return spans in order; two that overlap, or touch and are of one kind, become one."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.begin, -s.end)):
        last = joined[-1] if joined else None
        touches = last and (
            span.begin < last.end or (span.begin == last.end and span.kind == last.kind)
        )
        if touches:
            joined[-1] = Span(last.kind, last.begin, max(last.end, span.end))
        else:
            joined.append(span)
    return joined
