"""Which themes does an answer speak of, by the study's dictionary, and what is not in it yet?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from tsunagari.study.settings import ThemeQuestion
from tsunagari.voices.words import Words, load, tidy, words_of

GAP = 6  # words that may stand between two parts of an entry
_ENDING = frozenset(["mark", "joins", "other"])  # classes of words that may end a clause


class _Entry(NamedTuple):
    theme: str
    parts: tuple[tuple[str, ...], ...]
    always: bool  # counts where it is negated too
    forms: frozenset[str]  # all of its words
    is_word: bool  # a single one


class Clause(NamedTuple):
    """Normalised forms and classes of the words of one clause; every negation is ない."""

    forms: list[str]
    kinds: list[str]


@cache
def reading_rules() -> dict[str, Any]:
    """Return themes.yaml of this room, ready to look words up in."""
    raw = load("themes.yaml")
    return {
        "negations": frozenset(raw["negations"]),
        "marks": frozenset(raw["clause_marks"]),
        **{
            name: frozenset(raw[name])
            for name in ("but", "conditions", "obligations", "helpers", "after_open")
        },
        **{name: frozenset(raw[name]) for name in ("nothing", "bridge", "empty_nouns")},
        "idioms": [tuple(idiom) for idiom in raw["no_negation"]],
    }


class Dictionary:
    """The themes of one question, ready to code answers.

    Args:
        question: Themes with their words, from `Study.config.themes`.
    """

    def __init__(self, question: ThemeQuestion) -> None:
        self.question = question
        self.codes = [theme.code for theme in question.themes]
        self._by_first: dict[str, list[_Entry]] = {}
        self._excluded: dict[str, list[_Entry]] = {}
        for theme in question.themes:
            for words, always in ((theme.words, False), (theme.always, True)):
                for text in words:
                    self._add(self._by_first, theme.code, text, always=always)
            for text in theme.excluded:
                self._add(self._excluded, theme.code, text, always=True)

    @staticmethod
    def _add(index: dict[str, list[_Entry]], theme: str, text: str, *, always: bool) -> None:
        parts = tuple(tuple(_canonical(words_of(part).forms)) for part in tidy(text).split())
        is_word = len(parts) == 1 == len(parts[0])
        entry = _Entry(theme, parts, always, frozenset().union(*parts), is_word)
        index.setdefault(parts[0][0], []).append(entry)

    def code(self, words: Words) -> set[str]:
        """Return the themes of an answer, several or none."""
        forms, found = {*words.forms}, set()
        if not reading_rules()["negations"].isdisjoint(forms):
            forms.add("ない")
        near = _that_fit(self._by_first, forms)
        if not near:
            return found
        excluding = _that_fit(self._excluded, forms)
        if not excluding and "ない" not in forms:
            entries = [entry for several in near.values() for entry in several]
            if all(entry.is_word for entry in entries):  # no clause matters
                return {entry.theme for entry in entries}
        own, kinds = _canonical(words.forms), words.kinds
        places = [i for i, form in enumerate(own) if form in near]
        for first, stop in _spans(words, own):
            inside = [place - first for place in places if first <= place < stop]
            if not inside:
                continue
            clause = Clause(own[first:stop], kinds[first:stop])
            done = found | _excluded(excluding, clause.forms) if excluding else {*found}
            for start in inside:
                for entry in near[clause.forms[start]]:
                    if entry.theme in done:
                        continue
                    end = start + 1 if entry.is_word else _match(entry.parts, clause.forms, start)
                    if end and (entry.always or not _is_denied(clause, end)):
                        done.add(entry.theme)
                        found.add(entry.theme)
            if stop > places[-1]:
                break
        return found


def _that_fit(index: dict[str, list[_Entry]], forms: set[str]) -> dict[str, list[_Entry]]:
    """Return the entries all of whose words an answer has."""
    first = index.keys() & forms
    fitting = (
        (form, [entry for entry in index[form] if entry.is_word or entry.forms <= forms])
        for form in first
    )
    return {form: entries for form, entries in fitting if entries}


def _excluded(index: dict[str, list[_Entry]], forms: list[str]) -> set[str]:
    """Return the themes that a clause does not count for."""
    return {
        entry.theme
        for start, form in enumerate(forms)
        for entry in index.get(form, ())
        if _match(entry.parts, forms, start)
    }


def _canonical(forms: list[str]) -> list[str]:
    negations = reading_rules()["negations"]
    return (
        forms if negations.isdisjoint(forms) else ["ない" if f in negations else f for f in forms]
    )


def _match(parts: tuple[tuple[str, ...], ...], forms: list[str], start: int) -> int:
    """Return where an entry that begins at `start` ends, 0 where it does not stand there.

    Between two parts may stand GAP words; before ない only what says that there is none of it.
    """
    end, bridge = start, reading_rules()["bridge"]
    for number, part in enumerate(parts):
        last = end + GAP if number else start
        place = _find(part, forms, slice(end, last))
        if place < 0 or (part == ("ない",) and number and not bridge.issuperset(forms[end:place])):
            return 0
        end = place + len(part)
    return end


def _find(part: tuple[str, ...], forms: list[str], within: slice) -> int:
    """Return where a sequence of words begins within a stretch, both ends included; -1: nowhere."""
    place = within.start - 1
    try:
        while True:
            place = forms.index(part[0], place + 1, within.stop + 1)
            if len(part) == 1 or tuple(forms[place : place + len(part)]) == part:
                return place
    except ValueError:
        return -1


def _spans(words: Words, forms: list[str]) -> Iterator[tuple[int, int]]:
    """Yield where each clause of an answer begins and ends; `forms` are canonical.

    A comma after は, が, に and the like ends no clause, nor does て before a word that belongs to
    the same verb.
    """
    rules, kinds = reading_rules(), words.kinds
    start, last = 0, len(forms) - 1
    for i in [i for i, kind in enumerate(kinds) if kind in _ENDING or forms[i] == "ない"]:
        form, kind, after = forms[i], kinds[i], forms[i + 1] if i < last else ""
        if kind == "mark":
            is_comma = form in ("、", ",")
            is_end = form in rules["marks"] or (is_comma and kinds[i - 1] != "particle")
        elif form == "ない":  # 行けず、…; …もなく、…
            is_end = after not in rules["after_open"] and words.surface(i) in ("ず", "なく")
        elif kind == "other":
            is_end = form in rules["but"]
        elif form in rules["conditions"]:
            is_end = after not in rules["obligations"]
        elif form in ("て", "で"):
            is_one_verb = after in rules["helpers"] or (i < last and kinds[i + 1] == "helper")
            is_end = not is_one_verb
        else:
            is_end = True
        if is_end:
            yield start, i + 1
            start = i + 1
    if start <= last:
        yield start, last + 1


def _is_denied(clause: Clause, end: int) -> bool:
    """Return whether what ends at a place is denied: an odd number of ない that mean it follow."""
    forms = clause.forms
    if "ない" not in forms[end:]:
        return False
    places = [i for i in range(end, len(forms)) if forms[i] == "ない"]
    idioms = reading_rules()["idioms"]
    real = [i for i in places if not any(_is_idiom(idiom, forms, i) for idiom in idioms)]
    return sum(not _has_own_subject(clause, end, i) for i in real) % 2 == 1


def _has_own_subject(clause: Clause, end: int, place: int) -> bool:
    """Return whether the ない at a place denies a noun of its own that stands behind `end`."""
    forms, kinds, empty = clause.forms, clause.kinds, reading_rules()["empty_nouns"]
    for i in range(end + 1, place):
        is_noun = kinds[i - 1] in ("noun", "proper") and forms[i - 1] not in empty
        if forms[i] == "が" and is_noun:
            return True
        if forms[i - 1] == "で" and kinds[i] in ("noun", "proper") and forms[i] not in empty:
            return True
    return False


def _is_idiom(idiom: tuple[str, ...], forms: list[str], place: int) -> bool:
    """Return whether the ない at a place is the one of an idiom that denies nothing."""
    if "*" in idiom:
        return idiom[0] in forms[:place]
    start = place - idiom.index("ない")
    return start >= 0 and tuple(forms[start : start + len(idiom)]) == idiom
