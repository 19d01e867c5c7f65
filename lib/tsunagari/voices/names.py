"""Which words of a text name a person, a school, a firm or a town?"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache
from itertools import takewhile
from typing import Any, NamedTuple

from tsunagari.voices.words import UNKNOWN, Word, Words, load

HOLE = "\ue000"  # stands for what a pattern took out while names are looked for; `tidy` drops it
_NAMES = ("family", "given")
_PROPER = frozenset([*_NAMES, "place", "proper"])
_NOUNS = (*_NAMES, "place", "proper", "noun", "number", "prefix")
_LONGEST_NAME = 12  # characters
_ROMAJI = re.compile(
    r"(?<![A-Za-z])[A-Z](?:[a-zōūāēī]+|[A-Z]+)(?:[\s,]+[A-Z](?:[a-zōūāēī]+|[A-Z]+))?(?![A-Za-z])"
)
_TOWN = re.compile(".{2,}?[市区町村](.{2,})")
_SYLLABLES = re.compile(
    r"(?:(?:[kgszjtdnhbpmrfyw]|ch|sh|ts|[kgnhbpmr]y|tt|kk|ss|pp)?[aiueoōūāēī]h?"
    r"|n(?![aiueo])|m(?=[bpm]))+"
)


class Span(NamedTuple):
    """What is taken out: its kind in redaction.yaml and its place in the tidy text."""

    kind: str
    begin: int
    end: int


@cache
def rule_book() -> dict[str, Any]:
    """Return redaction.yaml, its patterns compiled."""
    raw = load("redaction.yaml")
    patterns = [
        (kind, re.compile(pattern.replace("{sep}", raw["sep"])))
        for kind, pattern in raw["patterns"]
    ]
    forms = str.maketrans(raw["variants"])
    compiled = {
        name: re.compile(raw[name])
        for name in (
            "address",
            "name_after",
            "name_before",
            "name_maybe",
            "firm_marks",
            "employed",
            "sensitive",
        )
    }
    any_of = {
        name: "|".join(map(re.escape, sorted(raw[name], key=len, reverse=True)))
        for name in ("schools", "workplaces", "plain", "after_town")
    }
    run = "[一-龥々ヶァ-ヴーA-Za-z0-9]{1,12}"
    for kind in ("schools", "workplaces"):
        compiled[f"{kind}_run"] = re.compile(rf"({run})({any_of[kind]})")
    cues = [raw[name] for name in ("name_after", "name_before")]
    compiled["cues"] = re.compile("|".join(cues))
    long_ends = [e for kind in ("schools", "workplaces") for e in raw[kind] if len(e) > 1]
    compiled["ended"] = re.compile(f"(?<![のなはがをにでとも、。 ])(?<!^)(?:{'|'.join(long_ends)})")
    compiled["plain_run"] = re.compile(rf"(?:{any_of['plain']}|\d)*")
    compiled["town"] = re.compile(rf"(?!{any_of['after_town']})[一-龥々ヶ]{{2,8}}")
    ends = {
        name: tuple(sorted(raw[name], key=len, reverse=True)) for name in ("schools", "workplaces")
    }
    words = {
        name: frozenset(raw[name])
        for name in ("honorifics", "roles", "words_as_names", "latin_words", "plain", "place_ends",
                     "more_names", "not_given")
    }  # fmt: skip
    words["rare"] = frozenset(raw["variants"])
    words["calls"] = words["honorifics"] | words["more_names"]
    return {
        **{"patterns": patterns, "forms": forms, "digits": str.maketrans(raw["digits"])},
        **{name: raw[name] for name in ("least_digits", "latin")},
        **{"labels": raw["labels"], "role_ends": tuple(raw["role_ends"])},
        **{**compiled, **ends, **words},
    }


def find_names(text: str, words: Words, *, kept: Collection[str]) -> list[Span]:
    """Return the names in a text.

    Args:
        text: Tidy, what patterns took out replaced by `HOLE`.
        words: Its words.
        kept: Municipalities, which stay where nothing finer follows.
    """
    rules = rule_book()
    if not _ASKED.issuperset(words.numbers):
        _ask(words)
    has_cue = rules["cues"].search(text)
    is_proper = not _NAMING.isdisjoint(words.numbers) and not (
        _PROPER.isdisjoint(words.kinds) and rules["calls"].isdisjoint(words.surfaces)
    )
    has_end = rules["firm_marks"].search(text) or (
        not _ENDING.isdisjoint(words.numbers) and rules["ended"].search(text)
    )
    spans = _latin(text)
    if not (has_cue or has_end or is_proper):
        return spans
    each = words.each()
    if has_end or is_proper:
        spans += _schools_and_firms(text, each)
    if is_proper:
        spans += [*_people(each), *_places(text, each, kept=kept)]
    for cue in ("name_before", "name_maybe") if is_proper else ("name_before",):
        for match in rules[cue].finditer(text):
            spans += _noun_run(each, begin=match.end(), is_proper=cue == "name_maybe")
    for match in rules["name_after"].finditer(text) if has_cue else ():
        spans += _noun_run(each, end=match.start())
    return spans


# Numbers of words: that the rules were asked about; that may be or call a name; that end one.
_ASKED: set[int] = set()
_NAMING: set[int] = set()
_ENDING: set[int] = set()


def _ask(words: Words) -> None:
    """Sort the words that are new into those that matter to the rules and those that do not."""
    rules = rule_book()
    long_ends = tuple(e for e in (*rules["schools"], *rules["workplaces"]) if len(e) > 1)
    for number, surface, kind in zip(words.numbers, words.surfaces, words.kinds, strict=True):
        _ASKED.add(number)
        is_word = number < UNKNOWN or kind not in ("number", "mark")  # another unknown may be one
        if is_word and (number >= UNKNOWN or kind in _PROPER or surface in rules["calls"]):
            _NAMING.add(number)
        if surface.endswith(long_ends) or surface in ("学校", "局", "院", "校"):
            _ENDING.add(number)


def _latin(text: str) -> list[Span]:
    """Return names in Latin letters: capitals, and the syllables of Japanese throughout."""
    if text.isascii() or not re.search("[A-Z]", text):
        return []
    found = []
    for match in _ROMAJI.finditer(text):
        parts = re.split(r"[\s,]+", match.group().lower())
        is_name = all(
            _SYLLABLES.fullmatch(p) and p not in rule_book()["latin_words"] for p in parts
        )
        if is_name and len(match.group()) >= 4:
            found.append(Span("name", *match.span()))
    return found


def _end(word: Word) -> int:
    return word.begin + len(word.surface)


def _span(kind: str, words: list[Word]) -> Span:
    return Span(kind, words[0].begin, _end(words[-1]))


def _is_name(word: Word) -> bool:
    return word.kind in _NAMES or word.surface in rule_book()["more_names"]


def _may_be_name(word: Word) -> bool:
    return word.kind in _NOUNS and word.surface[0] != HOLE


def _is_gap(word: Word) -> bool:
    return word.surface in (" ", "・")


def _is_role(words: list[Word]) -> bool:
    """Return whether words before an honorific are an office or kin."""
    rules = rule_book()
    text, last = "".join(word.surface for word in words), words[-1]
    if {text, last.surface, text.removeprefix("お"), text.removeprefix("ご")} & rules["roles"]:
        return True
    return not _is_name(last) and len(text) > 1 and text.endswith(rules["role_ends"])


def _noun_run(
    words: list[Word], *, begin: int = -1, end: int = -1, is_proper: bool = False
) -> list[Span]:
    """Return the nouns that begin or end at a place, as a name, unless they are an office."""
    near = (
        [w for w in words if begin <= w.begin] if end < 0 else [w for w in words if _end(w) <= end]
    )
    near = near[:5] if end < 0 else near[:-6:-1]
    if not near or (near[0].begin != begin if end < 0 else _end(near[0]) != end):
        return []
    stop = next((i for i, w in enumerate(near) if not (_may_be_name(w) or _is_gap(w))), len(near))
    run = sorted(near[:stop], key=lambda word: word.begin)
    length = sum(len(word.surface) for word in run)
    if not run or _is_role(run) or length > _LONGEST_NAME:
        return []
    proper = [_is_name(w) or (w.kind in ("place", "proper") and not _is_area(w)) for w in run]
    if not any(proper) if is_proper else length < 2 and not any(proper):
        return []
    return [_span("name", run)]


def _is_area(word: Word) -> bool:
    return word.surface.endswith(tuple("県市町村区都府道国島"))


def _people(words: list[Word]) -> Iterator[Span]:
    rules = rule_book()
    for i, word in enumerate(words):
        if word.surface in rules["honorifics"] and i:
            run = _before(words, i)
            if run and not _is_role(run):
                yield _span("name", run)
        if not _is_name(word):
            continue
        start, stop = _with_other_name(words, i)
        is_pair = stop - start > 1
        is_office = "".join(w.surface for w in words[start:stop]) in rules["roles"]
        is_own = len(word.surface) > 1 and word.surface not in rules["words_as_names"]
        if (is_pair or is_own) and not is_office:
            yield _span("name", words[start:stop])


def _with_other_name(words: list[Word], position: int) -> tuple[int, int]:
    """Return where a name begins and ends with what stands beside it.

    A rare family name before a first name is a plain noun to the dictionary, one in kana any word.
    """
    word, start, stop = words[position], position, position + 1
    i = position - 2 if position > 1 and _is_gap(words[position - 1]) else position - 1
    if i >= 0 and word.kind != "family" and (_is_name(words[i]) or _is_first_half(words[i])):
        start = i
    if word.kind != "family" and start == position and _is_kana(word.surface):
        start = _kana_start(words, position)
    i = position + 2 if position + 2 < len(words) and _is_gap(words[position + 1]) else position + 1
    if i < len(words) and (_is_name(words[i]) or _is_second_half(words[i], of=word)):
        stop = i + 1
    return start, stop


def _is_first_half(word: Word) -> bool:
    is_noun = word.kind in ("noun", "place", "proper", "prefix") and word.surface[0] != HOLE
    return is_noun and len(word.surface) <= 4 and not _is_role([word]) and not _is_area(word)


def _is_second_half(word: Word, *, of: Word) -> bool:
    if _is_kana(of.surface) and _is_kana(word.surface):
        fits = word.kind not in ("particle", "joins", "mark", "helper")
        return fits and 2 <= len(word.surface) <= 4 and word.surface not in rule_book()["not_given"]
    if word.kind not in ("noun", "place") or word.surface[0] == HOLE or _is_common(word):
        return False
    return len(word.surface) == 1 if of.kind == "given" else len(word.surface) <= 3


def _is_kana(text: str) -> bool:
    return all("ぁ" <= letter <= "ゖ" for letter in text)


def _kana_start(words: list[Word], position: int) -> int:
    """Return where a name in hiragana begins whose first half the dictionary took apart."""
    start, length = position, 0
    while start and words[start - 1].kind not in ("particle", "joins", "mark"):
        length += len(words[start - 1].surface)
        if length > 5 or not _is_kana(words[start - 1].surface):
            break
        start -= 1
    return start


def _is_common(word: Word) -> bool:
    rules = rule_book()
    ends = (*rules["schools"], *rules["workplaces"], *rules["role_ends"])
    text = word.surface
    return text in rules["roles"] or text.endswith(ends) or text in rules["place_ends"]


def _before(words: list[Word], position: int) -> list[Word]:
    """Return the words before an honorific that make its name."""
    run: list[Word] = []
    for word in reversed(words[max(0, position - 4) : position]):
        if not _may_be_name(word) and not _is_gap(word):
            break
        if run and _is_name(run[0]) and word.kind == "noun" and _is_role([word]):
            break
        run.insert(0, word)
    while run and _is_gap(run[0]):
        run.pop(0)
    if not run or _is_kana(run[0].surface):
        start = _kana_start(words, position - len(run))
        run = words[start:position]
    return run if sum(len(w.surface) for w in run) <= _LONGEST_NAME else []


def _schools_and_firms(text: str, words: list[Word]) -> Iterator[Span]:
    """Return the words up to a school or a firm, where one of them is more than a plain word."""
    rules = rule_book()
    for kind in ("schools", "workplaces"):
        for match in rules[f"{kind}_run"].finditer(text):
            if len(match[2]) > 1 and not rules["plain_run"].fullmatch(match[1]):
                yield Span(kind[:-1], *match.span())
        for i, word in enumerate(words):
            if not word.surface.endswith(rules[kind]) or word.kind not in (*_NOUNS, "suffix"):
                continue
            end = next(e for e in rules[kind] if word.surface.endswith(e))
            run = [word]
            for before in reversed(words[max(0, i - 5) : i]):
                if not _may_be_name(before) and before.kind != "suffix":
                    break
                run.insert(0, before)
            named = [w.surface for w in run[:-1]] + [word.surface[: -len(end)]]
            is_proper = any(_is_name(w) or w.kind in ("proper", "place") for w in run)
            is_plain = all(n in rules["plain"] or n in rules["roles"] for n in named if n)
            only_word = len(run) == 1 and not is_proper
            weak = len(end) == 1 and not is_proper
            if any(named) and not is_plain and not only_word and not weak:
                yield _span(kind[:-1], run)
    for word in words:
        if word.kind == "proper" and rules["employed"].match(text, _end(word)):
            yield _span("workplace", [word])
    for match in rules["firm_marks"].finditer(text):
        run = [w for w in words if w.begin >= match.end()][:4]
        run = run[: next((i for i, w in enumerate(run) if not _may_be_name(w)), len(run))]
        if run and run[0].begin == match.end():
            yield Span("workplace", match.start(), _end(run[-1]))


def _places(text: str, words: list[Word], *, kept: Collection[str]) -> Iterator[Span]:
    """Return towns: after a municipality, or a place with the ending of a town."""
    rules = rule_book()
    for municipality in kept:
        begin = text.find(municipality)
        town = rules["town"].match(text, begin + len(municipality)) if begin >= 0 else None
        if town:
            yield Span("address", *town.span())
    for word in words:  # the dictionary knows some towns with the ward that they are of
        inner = _TOWN.fullmatch(word.surface) if word.kind == "place" else None
        if inner and word.surface not in kept:
            yield Span("address", word.begin + inner.start(1), _end(word))
    for i, (word, after) in enumerate(zip(words, words[1:], strict=False)):
        if word.kind == "place" and after.surface in rules["place_ends"]:
            if word.surface + after.surface not in kept:
                further = takewhile(lambda w: w.kind in ("place", "family"), words[i + 2 :])
                yield Span("address", word.begin, _end([after, *further][-1]))
