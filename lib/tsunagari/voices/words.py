"""Which words stand in a Japanese text? One tokenising serves redaction and themes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from sudachipy import Dictionary, SplitMode

LONGEST = 8_000  # characters that are tokenised at once; SudachiPy takes 49,149 bytes
_HIDDEN = re.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ue000-\uf8ff\x00-\x09\x0b-\x1f\x7f]"
)

# The classes of words that the rules speak of, by the start of SudachiPy's part of speech.
CLASSES = (
    ("family", "名詞,固有名詞,人名,姓"),
    ("given", "名詞,固有名詞,人名"),
    ("place", "名詞,固有名詞,地名"),
    ("proper", "名詞,固有名詞"),
    ("number", "名詞,数詞"),
    ("noun", "名詞"),
    ("pronoun", "代名詞"),
    ("prefix", "接頭辞"),
    ("suffix", "接尾辞"),
    ("joins", "助詞,接続助詞"),
    ("particle", "助詞"),
    ("auxiliary", "助動詞"),
    ("helper", "動詞,非自立可能"),
    ("verb", "動詞"),
    ("helper", "形容詞,非自立可能"),
    ("adjective", "形容詞"),
    ("shape", "形状詞"),
    ("adverb", "副詞"),
    ("mark", "補助記号"),
    ("mark", "空白"),
)


class Word(NamedTuple):
    """One word: as written, its normalised form, its class and the place where it begins."""

    surface: str
    form: str
    kind: str
    begin: int


@cache
def load(name: str) -> dict[str, Any]:
    """Return a text file of this room, such as "texts.yaml"."""
    return yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))


@cache
def _tokenizer() -> tuple[Any, dict[int, str]]:
    dictionary = Dictionary()
    kinds: dict[int, str] = {}
    while parts := dictionary.pos_of(len(kinds)):
        speech = ",".join(parts)
        kinds[len(kinds)] = next((k for k, start in CLASSES if speech.startswith(start)), "other")
    return dictionary.tokenizer(SplitMode.C), kinds


def tidy(text: str) -> str:
    """Return a text in NFKC, without zero-width, bidirectional, private and control characters.

    Example:
        >>> tidy("ﾃﾞｲｻｰﾋﾞｽ０９０\u200b")
        'デイサービス090'
    """
    text = unicodedata.normalize("NFKC", text)
    return text if text.isprintable() else _HIDDEN.sub("", text)


class Words:
    """The words of a text, as lists side by side; what is seldom asked for is made when asked.

    Attributes:
        numbers: The dictionary's number of each word, from `UNKNOWN` on for one that it lacks.
        forms: Its normalised form (寂しい for さみしく), shape as `numbers`.
    """

    __slots__ = ("_each", "_found", "_kinds", "_surfaces", "forms", "numbers")

    def __init__(self, found: Sequence[Any], numbers: list[int], forms: list[str]) -> None:
        self._found, self.numbers, self.forms = found, numbers, forms
        self._kinds = self._surfaces = self._each = None

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def surfaces(self) -> list[str]:
        """Each word as written."""
        if self._surfaces is None:
            self._surfaces = [m.surface() for m in self._found]
        return self._surfaces

    @property
    def kinds(self) -> list[str]:
        """The class of each word, one of `CLASSES`."""
        if self._kinds is None:
            self._kinds = kinds = list(map(_KINDS.get, self.numbers))
            for i in [i for i, kind in enumerate(kinds) if kind is None]:
                kinds[i] = _tokenizer()[1][self._found[i].part_of_speech_id()]
                if self.numbers[i] < UNKNOWN:
                    _KINDS[self.numbers[i]] = kinds[i]
        return self._kinds

    def surface(self, place: int) -> str:
        """Return one word as written."""
        return self._found[place].surface()

    def each(self) -> list[Word]:
        """Return the words one by one, with the place where each begins."""
        if self._each is None:
            begins = accumulate(map(len, self.surfaces), initial=0)
            self._each = list(map(Word, self.surfaces, self.forms, self.kinds, begins))
        return self._each

    def only(self, places: list[int]) -> Words:
        """Return the words at some places."""
        return Words(
            *([part[i] for i in places] for part in (self._found, self.numbers, self.forms))
        )


UNKNOWN = 0xF000_0000
_FORMS: dict[int, str] = {}  # by the dictionary's number; unknown words share theirs
_KINDS: dict[int, str] = {}


def words_of(text: str) -> Words:
    """Return the words of a tidy text, the longest units of SudachiPy; a long one in pieces."""
    tokenizer = _tokenizer()[0]
    if len(text) <= LONGEST:
        found = tokenizer.tokenize(text)
    else:
        starts = range(0, len(text), LONGEST)
        found = [m for start in starts for m in tokenizer.tokenize(text[start : start + LONGEST])]
    numbers = [m.word_id() for m in found]
    forms = list(map(_FORMS.get, numbers))
    if None in forms:
        for i, form in enumerate(forms):
            if form is None:
                forms[i] = found[i].normalized_form()
                if numbers[i] < UNKNOWN:
                    _FORMS[numbers[i]] = forms[i]
    return Words(found, numbers, forms)
