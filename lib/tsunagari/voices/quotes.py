"""Which voices may be quoted? None by default; a paraphrase by a person under SDC-1 P16."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from tsunagari.errors import ConfigError, InputError
from tsunagari.study.survey import Study
from tsunagari.voices.answers import Coded
from tsunagari.voices.redaction import redact
from tsunagari.voices.words import load, tidy

COLUMNS = ["respondent_id", "question", "theme", "quote", "signed_1", "signed_2"]
SHOWN = ["question", "theme", "theme_label", "quote"]
FILE = "private/quotes.csv"
VERBATIM_LIMIT = 10  # characters in a row, signs left out: more than three or four words
LONGEST = 200  # characters


def read_quotes(study: Study) -> pd.DataFrame:
    """Return quotes.csv as text, empty where there is none; of made-up answers the sample's.

    Raises:
        InputError: It cannot be read or has other columns.
    """
    path = study.wave_dir / "quotes.csv"
    if study.is_synthetic and not path.exists():
        path = path.with_stem("quotes_synthetic")
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
        study: The wave; its themes.yaml names the answer that gives consent. Made-up answers are
            nobody's: where the question does not ask for consent, they need none.
        quotes: From `read_quotes`.
        people: From `tabulate.with_themes`, shape (n, any).
        coded: The coded answers.

    Returns:
        Columns `SHOWN`, one row a quotation, in the file's order; nothing of the person.

    Raises:
        ConfigError: No consent was asked for.
        InputError: Rows that P16 forbids; it names rows and reasons, never a text.
    """
    plan = study.config.themes
    if quotes.empty:
        return pd.DataFrame(columns=SHOWN)
    if plan is None or (plan.consent is None and not study.is_synthetic):
        raise ConfigError("NO_CONSENT")
    lines = quotes.to_dict("records")
    reasons = [next(_reasons(study, row, people=people, coded=coded), "") for row in lines]
    _refuse(study, reasons, quotes=quotes["quote"], people=people)
    labels = [study.items[row["question"]].options[row["theme"]] for row in lines]
    quotes = quotes.assign(theme_label=labels, quote=quotes["quote"].str.strip())
    return quotes[SHOWN]


def release_quotes(study: Study, published: pd.DataFrame) -> list[dict[str, str]]:
    """Return the quotations as the report may show them: the gate's own look at private/.

    Args:
        study: The wave, its notebooks run.
        published: Rows of estimates after the gate.

    Returns:
        `theme` (label) and `quote` of each; none without quotations.

    Raises:
        InputError: One stands in an answer, or the figure of its theme is hidden.
    """
    if not (study.processed_dir / FILE).exists() or (quotes := study.load(FILE)).empty:
        return []
    shown = published[(published["status"] != "suppressed") & (published["domain"] == "all")]
    known = set(zip(shown["item"], shown["item_value"].astype(str), strict=True))
    pairs = zip(quotes["question"], quotes["theme"], strict=True)
    reasons = ["" if pair in known else "HIDDEN" for pair in pairs]
    people = study.load("private/respondents.parquet")
    _refuse(study, reasons, quotes=quotes["quote"], people=people)
    columns = quotes[["theme_label", "quote"]].set_axis(["theme", "quote"], axis=1)
    return columns.to_dict("records")


def _refuse(study: Study, reasons: list[str], *, quotes: pd.Series, people: pd.DataFrame) -> None:
    """Raise what is wrong with which rows: the reasons given, or words of an answer."""
    texts = load("texts.yaml")["quotes"]
    told = (_pieces(people[q.text]) for q in study.config.themes.questions.values())
    everything = set().union(*told)
    facts = {"k": study.config.disclosure.threshold, "n": VERBATIM_LIMIT, "limit": LONGEST}
    bad = []
    for number, (reason, quote) in enumerate(zip(reasons, quotes, strict=True), start=2):
        is_verbatim = not everything.isdisjoint(_pieces(pd.Series([quote])))
        if reason := reason or "VERBATIM" * is_verbatim:
            bad.append(texts["row"].format(row=number, reason=texts[reason].format(**facts)))
    if bad:
        raise InputError("QUOTES_ROWS", n=len(bad), reasons="、".join(bad[:8]))


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
    if plan.consent and str(own[plan.consent.item]) != plan.consent.code:
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
    if re.search(r"\d", row["quote"]):
        yield "DIGITS"
    signed = {row[name].strip() for name in ("signed_1", "signed_2")}
    if "" in signed or len(signed) < 2:
        yield "SIGNATURES"
    if not 0 < len(row["quote"].strip()) <= LONGEST:
        yield "LENGTH"


def _pieces(texts: pd.Series) -> set[str]:
    """Return every run of VERBATIM_LIMIT letters and digits of any text; a shorter one whole."""
    found = set()
    for text in texts.dropna():
        plain = re.sub(r"[\W_]+", "", tidy(text)).lower()
        n_runs = max(1, len(plain) - VERBATIM_LIMIT + 1)
        found |= {plain[i : i + VERBATIM_LIMIT] for i in range(n_runs)}
    return found - {""}
