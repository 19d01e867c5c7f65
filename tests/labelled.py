"""Free texts with a known secret in each, to measure how much of it redaction finds.

Everything here is invented or common: numbers by lot, names from lists. Each list has two halves:
"written" is what the rules of redaction.yaml may be tried on, "held" is what is measured and was
not looked at while they were written. `python -m tests.labelled` prints recall and precision.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from tsunagari.voices import redaction

HALVES = ("written", "held")
DIGITS = ("phone", "postal", "my_number", "birth", "number")
_LISTS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
WORDS = {name: x.split() if isinstance(x, str) else x for name, x in _LISTS.items()}
FRAMES, KEPT = WORDS["frames"], tuple(WORDS["kept"])


class Labelled(NamedTuple):
    """A text, the kind of its secret ("" for none) and the pieces of it that must be gone."""

    text: str
    kind: str
    pieces: tuple[str, ...]


def generate(kind: str, n: int, *, half: str = "held", seed: int = 20230601) -> list[Labelled]:
    """Return n texts with a secret of a kind, or harmless ones for kind ""."""
    rng = np.random.default_rng([seed, HALVES.index(half), *kind.encode()])
    draw = _Draw(rng, half)
    if not kind:
        texts = [f"{draw.one(WORDS['harmless'])}{draw.one(WORDS['after'])}" for _ in range(n)]
        return [Labelled(text, "", ()) for text in texts]
    found = []
    for _ in range(n):
        secret, pieces = getattr(draw, kind)()
        text = draw.one(FRAMES[kind]).format(secret)
        found.append(
            Labelled(f"{draw.one(WORDS['around'])}{text}{draw.one(WORDS['after'])}", kind, pieces)
        )
    return found


class _Draw:
    """Draws secrets from one half of every list."""

    def __init__(self, rng: np.random.Generator, half: str) -> None:
        self.rng, self.start = rng, HALVES.index(half)

    def one(self, texts: list[str]) -> str:
        own = texts[self.start :: 2]
        return own[self.rng.integers(len(own))]

    def digits(self, n: int) -> str:
        return "".join(map(str, self.rng.integers(0, 10, n)))

    def spelt(self, parts: list[str], *, marks: str = "-－−ー‐ ", kanji: bool = False) -> str:
        """Join digits as people write them: with a mark, none, in full width, in kanji."""
        mark = list(marks)[self.rng.integers(len(marks))]
        text = (mark if self.rng.random() < 0.7 else "").join(parts)
        lot = self.rng.random()
        if lot < 0.3:
            text = text.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
        elif kanji and lot < 0.4:
            text = "の".join(parts).translate(str.maketrans("0123456789", "〇一二三四五六七八九"))
        elif lot < 0.5:
            text = text[:4] + "\u200b" + text[4:]
        return text

    def phone(self):
        lot = self.rng.random()
        if lot < 0.5:
            parts = [["090", "080", "070"][self.rng.integers(3)], self.digits(4), self.digits(4)]
        elif lot < 0.75:
            parts = [["089", "0897", "0895", "06"][self.rng.integers(4)]]
            parts += [self.digits(9 - len(parts[0]) + (-3)), self.digits(4)]
        elif lot < 0.85:
            parts = ["(0898)", self.digits(2), self.digits(4)]
            return "".join(parts) if lot < 0.8 else "-".join(parts), (parts[2],)
        else:
            parts = ["+81", ["90", "80"][self.rng.integers(2)], self.digits(4), self.digits(4)]
            return "-".join(parts) if lot < 0.95 else "".join(parts), (parts[2], parts[3])
        return self.spelt(parts, kanji=True), tuple(parts[1:])

    def postal(self):
        parts = [f"79{self.rng.integers(10)}", self.digits(4)]
        marks = "-－−ー‐"
        text = marks[self.rng.integers(len(marks))].join(parts)
        if self.rng.random() < 0.3:
            text = text.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
        return text, (parts[1],)

    def my_number(self):
        first = self.digits(11)
        number = next(first + d for d in "0123456789" if redaction.is_my_number(first + d))
        parts = [number[:4], number[4:8], number[8:]]
        return self.spelt(parts), tuple(parts)

    def number(self):
        text = self.digits(int(self.rng.integers(7, 15)))
        return self.spelt([text]), (text,)

    def birth(self):
        year, month, day = (int(self.rng.integers(*x)) for x in ((1930, 2008), (1, 13), (1, 29)))
        era, first = next((e, y) for e, y in (("平成", 1988), ("昭和", 1925)) if year > y)
        letter = "H" if era == "平成" else "S"
        kanji = str.maketrans("0123456789", "〇一二三四五六七八九")
        texts = [
            f"{era}{year - first}年{month}月{day}日", f"{year}年{month}月{day}日",
            f"{year}/{month}/{day}", f"{year}-{month:02}-{day:02}",
            f"{letter}{year - first}.{month}.{day}", f"{year}{month:02}{day:02}",
            f"{era}{_in_kanji(year - first)}年{_in_kanji(month)}月{_in_kanji(day)}日",
            f"{str(year).translate(kanji)}年{_in_kanji(month)}月{_in_kanji(day)}日",
        ]  # fmt: skip
        text = self.one(texts) if self.rng.random() < 0.8 else self.one(texts[:4])
        if self.rng.random() < 0.2:
            text = text.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
        return text, (_ascii(text),)

    def email(self):
        stem, domain = self.one(WORDS["stems"]) + self.digits(2), self.one(WORDS["domains"])
        at = ["@", "＠", "[at]", "(at)", "@"][self.rng.integers(5)]
        return f"{stem}{at}{domain}", (stem, domain)

    def url(self):
        domain, path = self.one(WORDS["domains"]), self.one(WORDS["stems"])
        heads = ["https://", "http://www.", "www.", "", "ｈｔｔｐｓ：／／"]
        return f"{heads[self.rng.integers(5)]}{domain}/{path}", (domain, path)

    def sns(self):
        name = self.one(WORDS["stems"]).replace(".", "_") + self.digits(2)
        return ("@" if self.rng.random() < 0.4 else "") + name, (name,)

    def address(self):
        city, town = self.one(WORDS["kept"]), self.one(WORDS["towns"])
        a, b, c = (int(self.rng.integers(1, 40)) for _ in range(3))
        numbers = [f"{a}丁目{b}-{c}", f"{a}-{b}-{c}", f"{a * 10}番地{b}", f"{a * 10}番地",
                   f"{a}丁目{b}番{c}号",
                   f"{_in_kanji(a)}丁目{b}番地", f"{a * 10}-{b}", f"{a}丁目"]  # fmt: skip
        number = self.one(numbers)
        head = ["愛媛県" + city, city, city, ""][self.rng.integers(4)]
        tail = ["", "", "", "コーポ見本203", "ハイツ青葉 101号室"][self.rng.integers(5)]
        return f"{head}{town}{number}{tail}", (town + number, number)

    def name(self):
        lot = self.rng.random()
        if lot < 0.4:
            parts = [self.one(WORDS["family"]), self.one(WORDS["given"])]
            mark = ["", "", " ", "　"][self.rng.integers(4)]
            return mark.join(parts), tuple(p for p in parts if len(p) > 1) or (mark.join(parts),)
        if lot < 0.65:
            name = self.one(WORDS["family"])
            return name, (name,)
        if lot < 0.72:
            name = self.one(WORDS["given"])
            return name, (name,)
        if lot < 0.8:
            name = self.one(WORDS["family_kana"])
            return name, (name,)
        if lot < 0.88:
            parts = [self.one(WORDS["family_kana"]), self.one(WORDS["given_kana"])]
            return "".join(parts), tuple(parts)
        if lot < 0.94:
            shift = {ord("ぁ") + i: ord("ァ") + i for i in range(86)}
            parts = [
                x.translate(shift)
                for x in (self.one(WORDS["family_kana"]), self.one(WORDS["given_kana"]))
            ]
            return ["", " ", "・"][self.rng.integers(3)].join(parts), tuple(parts)
        parts = [self.one(WORDS["romaji_family"]), self.one(WORDS["romaji_given"])]
        text = " ".join(parts)
        return (text.upper() if lot > 0.97 else text), tuple(
            text.upper().split() if lot > 0.97 else parts
        )

    def school(self):
        head = self.one(WORDS["school_heads"])
        return head + self.one(WORDS["school_ends"]), (head,)

    def workplace(self):
        head, end = self.one(WORDS["firm_heads"]), self.one(WORDS["firm_ends"])
        text = [
            head + end,
            head + end,
            f"株式会社{head}{end}",
            f"（株）{head}",
            f"{head}{end}株式会社",
        ]
        return text[self.rng.integers(5)], (head,)


def _in_kanji(number: int) -> str:
    digits, (tens, ones) = " 一二三四五六七八九", divmod(number, 10)
    return f"{digits[tens] if tens > 1 else ''}{'十' if tens else ''}{digits[ones]}".replace(
        " ", ""
    )


def _ascii(text: str) -> str:
    return text.translate(str.maketrans("０１２３４５６７８９", "0123456789"))


class Result(NamedTuple):
    """Recall and precision of one kind, per cent, and the texts whose secret was not found."""

    recall: float
    precision: float
    missed: list[str]


def measure(n: int = 300, *, half: str = "held") -> dict[str, Result]:
    """Return recall and precision of every kind over n texts a kind and 5 n harmless ones.

    A secret is found when none of its pieces is left, under whatever tag. A tag is right when it is
    the only one of its text and the text has a secret; precision is by the tag's own kind.
    """
    right, given, missed, found = Counter(), Counter(), {}, {}
    for kind in [*FRAMES, ""]:
        texts = generate(kind, n if kind else 5 * n, half=half)
        missed[kind] = []
        for labelled in texts:
            answer = redaction.redact(labelled.text, kept=KEPT)
            given.update(span.kind for span in answer.spans)
            if kind and answer.spans:
                best = [s.kind for s in answer.spans if s.kind == kind] or [answer.spans[0].kind]
                right[best[0]] += 1
            gone = not any(piece in answer.text for piece in labelled.pieces)
            if kind and not gone:
                missed[kind].append(f"{labelled.text} => {answer.text}")
            if not kind and answer.spans:
                missed[kind].append(f"{labelled.text} => {answer.text}")
        found[kind] = Result(
            100 * (1 - len(missed[kind]) / len(texts)), 100.0, missed[kind]
        )  # fmt: skip
    return {
        kind: result._replace(precision=100 * right[kind] / max(given[kind], 1))
        for kind, result in found.items()
    }


def main(half: str = "held", show: str = "") -> int:
    """Print the figures, and with a kind the texts of it that went wrong."""
    for kind, result in measure(half=half).items():
        if kind:
            print(f"{kind:>10}: recall {result.recall:5.1f} %, precision {result.precision:5.1f} %")
        else:
            print(f"{'harmless':>10}: {result.recall:5.1f} % left as they were")
        if show in (kind or "harmless", "all"):
            print("\n".join(f"    {text}" for text in result.missed[:25]))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
