"""What do the answers to a question say, and which of them can the dictionary not read?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import xlogy

from tsunagari.study.settings import ThemeQuestion
from tsunagari.study.survey import UNCODED, Study
from tsunagari.voices.redaction import Answer, redact_all
from tsunagari.voices.themes import Dictionary, reading_rules
from tsunagari.voices.words import Words, load, tidy

_CONTENT = ("noun", "proper", "verb", "adjective", "shape", "adverb")
_JAPANESE = re.compile("[ぁ-ゖァ-ヺ一-龥々]")
_MOJIBAKE = re.compile("\ufffd|[縺繧繝]{2}|(?:[縺繧繝].){2}|(?:[ãâÂÃ].){2}")
OUTCOMES = ("coded", UNCODED, "nothing", "damaged", "no_words", "short", "other_language", "blank")


class Coded(NamedTuple):
    """The coded answers of one question.

    Attributes:
        table: The question's name with "answered" for who is in the base, and a column
            <name>_<theme> of 1 and 0 for every theme and for `uncoded`; n rows.
        outcomes: What became of each answer, one of `OUTCOMES`; n rows.
        answers: The redacted answers of who wrote anything; n rows, None elsewhere.
    """

    table: pd.DataFrame
    outcomes: pd.Series
    answers: list[Answer | None]

    def ledger(self) -> pd.DataFrame:
        """Return outcome and n_rows; the rows sum to the respondents."""
        counts = self.outcomes.value_counts().reindex(OUTCOMES, fill_value=0)
        return counts.rename_axis("outcome").rename("n_rows").reset_index()


def code_answers(
    texts: pd.Series, question: ThemeQuestion, *, name: str, kept: Iterable[str] = ()
) -> Coded:
    """Redact and code the answers to one question.

    Args:
        texts: Free texts, missing where nothing was written, shape (n,).
        question: The question's themes.
        name: Its name among the items.
        kept: Names of municipalities, which redaction leaves.
    """
    dictionary = Dictionary(question)
    written = texts.astype(object).where(texts.notna(), "")
    outcomes = [usable(text) for text in written]
    kept_texts = [t for t, outcome in zip(written, outcomes, strict=True) if outcome != "blank"]
    redacted = iter(redact_all(kept_texts, kept=tuple(kept)))
    answers = [None if outcome == "blank" else next(redacted) for outcome in outcomes]
    chosen: list[set[str]] = []
    for i, (answer, outcome) in enumerate(zip(answers, outcomes, strict=True)):
        codes = dictionary.code(answer.words) if outcome == "coded" else set()
        outcomes[i] = UNCODED if outcome == "coded" and not codes else outcome
        chosen.append({UNCODED} if outcomes[i] == UNCODED else codes)
    table = pd.DataFrame(
        {
            f"{name}_{code}": [float(code in c) for c in chosen]
            for code in [*dictionary.codes, UNCODED]
        },
        index=texts.index,
    )
    outcome = pd.Series(outcomes, index=texts.index, dtype="str")
    status = outcome.isin(["coded", UNCODED]).map({True: "answered", False: None})
    return Coded(pd.concat([status.astype("str").rename(name), table], axis=1), outcome, answers)


def usable(text: str) -> str:
    """Return "coded" for a text that the dictionary can read, else why it cannot."""
    plain = re.sub(r"[\W_]+", "", tidy(text))
    if not tidy(text).strip():
        return "blank"
    if _MOJIBAKE.search(text):
        return "damaged"
    if not re.search(r"[^\W\d_]", plain):
        return "no_words"
    if plain in reading_rules()["nothing"]:
        return "nothing"
    if len(plain) == 1:
        return "short"
    if not _JAPANESE.search(plain):
        return "other_language"
    return "coded"


def code_study(study: Study, respondents: pd.DataFrame) -> dict[str, Coded]:
    """Return the coded answers of every question of themes.yaml; none without that file."""
    plan = study.config.themes
    if plan is None:
        return {}
    kept = [name for region in study.config.regions.values() for name in region.municipalities]
    return {
        name: code_answers(respondents[question.text], question, name=name, kept=kept)
        for name, question in plan.questions.items()
    }


def about(study: Study, coded: dict[str, Coded]) -> str:
    """Return a sentence on what there is to hear: how many wrote what, or that nobody could."""
    texts = load("texts.yaml")["about"]
    if study.config.themes is None:
        return texts["no_themes"]
    written = [
        texts["question"].format(
            label=study.config.themes.questions[name].label,
            n_wrote=int((codes.outcomes != "blank").sum()),
            n_read=int(codes.outcomes.isin(["coded", UNCODED]).sum()),
        )
        for name, codes in coded.items()
    ]
    return texts["themes"].format(version=study.config.themes.version) + "".join(written)


def outcomes(coded: dict[str, Coded]) -> pd.DataFrame:
    """Return how many answers of each question ended how: rows `OUTCOMES`, columns questions."""
    ledgers = {n: codes.ledger().set_index("outcome")["n_rows"] for n, codes in coded.items()}
    return pd.DataFrame(ledgers, index=pd.Index(OUTCOMES, name="outcome")).fillna(0).astype(int)


def taken_out(coded: dict[str, Coded]) -> pd.DataFrame:
    """Return how often each kind of personal detail was taken out, by question. Private."""
    labels = load("redaction.yaml")["labels"]
    counts = {
        name: Counter(span.kind for answer in codes.answers if answer for span in answer.spans)
        for name, codes in coded.items()
    }
    table = pd.DataFrame(counts, index=list(labels)).fillna(0).astype(int)
    return table.rename(index=labels).rename_axis("kind")


def texts_table(respondent_ids: pd.Series, coded: dict[str, Coded]) -> pd.DataFrame:
    """Return the redacted texts, for the office alone: one row an answer.

    Returns:
        respondent_id, question, text, outcome, is_sensitive (the duty contact reads it first).
    """
    rows = [
        (person, name, answer.text, outcome, answer.is_sensitive)
        for name, codes in coded.items()
        for person, answer, outcome in zip(
            respondent_ids, codes.answers, codes.outcomes, strict=True
        )
        if answer is not None
    ]
    columns = ["respondent_id", "question", "text", "outcome", "is_sensitive"]
    return pd.DataFrame(rows, columns=columns)


# --- what a coder should look at next -------------------------------------------------------------


def telling_words(
    answers: Sequence[Answer], is_of_interest: np.ndarray, *, longest: int = 3, minimum: int = 3
) -> pd.DataFrame:
    """Return the word sequences that are commoner in some answers than in the rest. Private.

    Args:
        answers: Redacted answers, length n.
        is_of_interest: Which of them, bool, shape (n,): those without a theme, or of the lonely.
        longest: Words of a sequence, at most; it begins and ends with a word of content.
        minimum: Answers of interest that must hold it.

    Returns:
        Columns words, n_here, n_rest (answers that hold it) and log_likelihood (Dunning's G2 of the
        2 x 2 table of answers), the most telling first.

    References:
        Dunning (1993), Computational Linguistics 19(1).
    """
    here, rest = Counter(), Counter()
    for answer, is_here in zip(answers, is_of_interest, strict=True):
        (here if is_here else rest).update(_sequences(answer.words, longest))
    words = [w for w, n in here.items() if n >= minimum]
    counts = np.array([[here[w], rest[w]] for w in words], dtype=float).reshape(-1, 2)
    sizes = np.array([np.sum(is_of_interest), np.sum(~is_of_interest)], dtype=float)
    g2 = _log_likelihood(counts, sizes)
    is_more = counts[:, 0] / max(sizes[0], 1) > counts[:, 1] / max(sizes[1], 1)
    table = pd.DataFrame(
        {"words": words, "n_here": counts[:, 0].astype(int), "n_rest": counts[:, 1].astype(int),
         "log_likelihood": g2}
    )  # fmt: skip
    return table[is_more].sort_values(
        ["log_likelihood", "words"], ascending=[False, True], ignore_index=True
    )


def _sequences(words: Words, longest: int) -> set[str]:
    found, kinds, forms = set(), words.kinds, words.forms
    for start in range(len(forms)):
        if kinds[start] not in _CONTENT:
            continue
        for end in range(start, min(start + longest, len(forms))):
            if kinds[end] == "mark":
                break
            if kinds[end] in _CONTENT or forms[end] in reading_rules()["negations"]:
                found.add(" ".join(forms[start : end + 1]))
    return found


def _log_likelihood(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return G2 of counts (k, 2) out of sizes (2,): 2 times the sum of O log(O / E)."""
    observed = np.stack([counts, sizes - counts], axis=1)  # (k, has it or not, here or rest)
    total = observed.sum(axis=(1, 2), keepdims=True)
    expected = observed.sum(axis=1, keepdims=True) * observed.sum(axis=2, keepdims=True) / total
    ratio = np.divide(observed, expected, out=np.ones_like(observed), where=expected > 0)
    return 2 * xlogy(observed, ratio).sum(axis=(1, 2))


def next_words(coded: dict[str, Coded]) -> pd.DataFrame:
    """Return what tells the answers without a theme from the others, by question. Private."""
    parts = [pd.DataFrame(columns=["question", "words", "n_here", "n_rest", "log_likelihood"])]
    for name, codes in coded.items():
        read = codes.outcomes.isin(["coded", UNCODED]).to_numpy()
        answers = [a for a, is_read in zip(codes.answers, read, strict=True) if is_read]
        is_open = (codes.outcomes[read] == UNCODED).to_numpy()
        if is_open.any() and not is_open.all():
            parts.append(telling_words(answers, is_open).assign(question=name))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
