"""Redaction and themes beside SudachiPy's bare tokenising of the same texts, as ratios in one run.

Promise: 100,000 answers put together from those of the Ehime sample, a tenth of them with a further
name, number, address or the like, are redacted and coded in at most 3 times the CPU seconds of
`tokenizer.tokenize(text)` alone, and ten times the answers cost at most 12 times. Both are taken in
turn; the ratio is the median of the turns. Imports and opening the dictionary are not counted.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sudachipy import Dictionary, SplitMode
from tests import labelled

from tsunagari.intake import reading
from tsunagari.study.survey import open_study
from tsunagari.voices import redaction, themes

SIZES = (10_000, 100_000)
TURNS = 5
TIME_LIMIT, GROWTH_LIMIT = 3.0, 12.0


def make_texts(n: int, said: list[str]) -> list[str]:
    """Return n answers of one to three sentences by lot; every tenth holds a secret."""
    rng = np.random.default_rng(14)
    kinds = list(labelled.FRAMES)
    secret = {kind: [x.text for x in labelled.generate(kind, n // 100)] for kind in kinds}
    texts = []
    for i in range(n):
        parts = rng.choice(said, size=rng.integers(1, 4)).tolist()
        if i % 10 == 0:
            own = secret[kinds[i // 10 % len(kinds)]]
            parts.append(own[i % len(own)])
        texts.append("。".join(parts))
    return texts


def main() -> int:
    """Print ratios and answers a second; return 1 when a promise is broken."""
    survey = open_study("ehime", 2022)
    question = survey.config.themes.questions["trouble_theme"]
    raw = reading.read_responses(survey).table
    said = [text for text in [*raw["trouble_text"], *raw["resolved_text"]] if text]
    kept = [name for region in survey.config.regions.values() for name in region.municipalities]
    tokenizer, dictionary = Dictionary().tokenizer(SplitMode.C), themes.Dictionary(question)
    dictionary.code(redaction.redact("寂しい", kept=kept).words)
    broken, seconds = [], {}
    for n in SIZES:
        texts, bare, ours = make_texts(n, said), [], []
        for _ in range(TURNS):
            start = time.process_time()
            for text in texts:
                tokenizer.tokenize(text)
            bare.append(time.process_time() - start)
            start = time.process_time()
            for part in range(0, n, 1_000):
                for answer in redaction.redact_all(texts[part : part + 1_000], kept=kept):
                    dictionary.code(answer.words)
            ours.append(time.process_time() - start)
        ratio, seconds[n] = float(np.median(np.divide(ours, bare))), min(ours)
        print(
            f"{n:>8,} answers: bare {n / min(bare):,.0f} a second, redacted and coded "
            f"{n / min(ours):,.0f} a second, ratio {ratio:.2f} (limit {TIME_LIMIT:.0f})"
        )
        broken += [f"time at {n:,}"] if ratio > TIME_LIMIT else []
    growth = seconds[SIZES[1]] / seconds[SIZES[0]]
    print(f"10 times the answers cost {growth:.1f} times the time (limit {GROWTH_LIMIT:.0f})")
    broken += ["growth"] if growth > GROWTH_LIMIT else []
    print(f"promises broken: {', '.join(broken) or 'none'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
