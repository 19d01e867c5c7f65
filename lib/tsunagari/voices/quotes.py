"""Which voices may be quoted? None by default; a paraphrase by a person under SDC-1 P16."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tsunagari.errors import ConfigError, InputError
from tsunagari.study.survey import Study
from tsunagari.voices.answers import Coded
from tsunagari.voices.redaction import redact
from tsunagari.voices.words import load, tidy

COLUMNS = ["respondent_id", "question", "theme", "attributes", "quote", "signed_1", "signed_2"]
VERBATIM_LIMIT = 10  # characters in a row, signs left out: more than three or four words
LONGEST = 200  # characters
ATTRIBUTES_LIMIT = 2  # SDC-1 P16


def read_quotes(path: Path) -> pd.DataFrame:
    """Return quotes.csv as text, empty where there is no file.

    Raises:
        InputError: It cannot be read or has other columns.
    """
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (UnicodeDecodeError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise InputError("QUOTES_FILE", columns=", ".join(COLUMNS)) from error
    if table.columns.tolist() != COLUMNS:
        raise InputError("QUOTES_FILE", columns=", ".join(COLUMNS))
    return table


def allow_quotes(
    study: Study, quotes: pd.DataFrame, *, people: pd.DataFrame, coded: dict[str, Coded]
) -> pd.DataFrame:
    """Return the quotations that may be shown: all of them, or none with the reasons.

    Args:
        study: The wave; its themes.yaml names the answer that gives consent.
        quotes: From `read_quotes`.
        people: From `tabulate.with_themes`, shape (n, any).
        coded: The coded answers.

    Returns:
        question, theme, theme_label, attributes (labels), quote; nothing that names the person.

    Raises:
        ConfigError: No consent was asked for.
        InputError: Rows that P16 forbids; it names rows and reasons, never a text.
    """
    plan = study.config.themes
    if quotes.empty:
        return pd.DataFrame(columns=["question", "theme", "theme_label", "attributes", "quote"])
    if plan.consent is None:
        raise ConfigError("NO_CONSENT")
    texts = load("texts.yaml")["quotes"]
    pieces = {name: _pieces(people[q.text]) for name, q in plan.questions.items()}
    everything = set().union(*pieces.values())
    facts = {"k": study.config.disclosure.threshold, "n": VERBATIM_LIMIT, "limit": LONGEST}
    bad, rows = [], []
    for number, row in enumerate(quotes.to_dict("records"), start=2):
        reason = next(_reasons(study, row, people=people, coded=coded), None)
        if reason is None and _pieces(pd.Series([row["quote"]])) & everything:
            reason = "VERBATIM"
        if reason is None:
            rows.append(_shown(study, row, people=people))
        else:
            bad.append(texts["row"].format(row=number, reason=texts[reason].format(**facts)))
    if bad:
        raise InputError("QUOTES_ROWS", n=len(bad), reasons="、".join(bad[:8]))
    return pd.DataFrame(rows)


def _reasons(
    study: Study, row: dict[str, str], *, people: pd.DataFrame, coded: dict[str, Coded]
) -> Iterator[str]:
    """Give the reasons, by their names in texts.yaml, why a quotation cannot be shown."""
    plan, settings = study.config.themes, study.config.disclosure
    person = (people["respondent_id"].astype(str) == row["respondent_id"]).to_numpy().nonzero()[0]
    column = f"{row['question']}_{row['theme']}"
    if len(person) != 1 or row["question"] not in coded or column not in people:
        yield "UNKNOWN"
        return
    own = people.iloc[person[0]]
    if str(own[plan.consent.item]) != plan.consent.code:
        yield "CONSENT"
    answer, quote = coded[row["question"]].answers[person[0]], redact(row["quote"])
    if quote.is_sensitive or (answer is not None and answer.is_sensitive):
        yield "SENSITIVE"
    if own[column] != 1:
        yield "THEME"
    if (people[column] == 1).sum() < settings.threshold:
        yield "FEW"
    if quote.spans:
        yield "REDACTION"
    wanted = _attributes(row)
    if len(wanted) > ATTRIBUTES_LIMIT or not set(wanted) <= set(plan.axes):
        yield "ATTRIBUTES"
    signed = {row[name].strip() for name in ("signed_1", "signed_2")}
    if "" in signed or len(signed) < 2:
        yield "SIGNATURES"
    if not 0 < len(row["quote"].strip()) <= LONGEST:
        yield "LENGTH"


def _attributes(row: dict[str, str]) -> list[str]:
    return [name for name in row["attributes"].split(" x ") if name]


def _pieces(texts: pd.Series) -> set[str]:
    """Return every run of VERBATIM_LIMIT letters and digits of any text."""
    found = set()
    for text in texts.dropna():
        plain = re.sub(r"[\W_]+", "", tidy(text)).lower()
        found |= {plain[i : i + VERBATIM_LIMIT] for i in range(len(plain) - VERBATIM_LIMIT + 1)}
    return found


def _shown(study: Study, row: dict[str, str], *, people: pd.DataFrame) -> dict[str, str]:
    own = people[people["respondent_id"].astype(str) == row["respondent_id"]].iloc[0]
    labels = [study.items[name].labels.get(str(own[name]), "") for name in _attributes(row)]
    return {
        "question": row["question"],
        "theme": row["theme"],
        "theme_label": study.items[row["question"]].options[row["theme"]],
        "attributes": "・".join(label for label in labels if label),
        "quote": row["quote"].strip(),
    }
