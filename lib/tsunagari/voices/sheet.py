"""How do two people code the texts, do they agree, and how good is the dictionary against them?"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xlsxwriter
from python_calamine import CalamineError
from statsmodels.stats.inter_rater import cohens_kappa

from tsunagari.errors import ConfigError, InputError, SurveyError
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.study import files
from tsunagari.study.survey import UNCODED, Study, open_study
from tsunagari.voices.answers import Coded, code_study
from tsunagari.voices.words import load

CODERS = (1, 2)
CELL_LIMIT = 32_000  # characters; Excel takes 32,767
N_THEMES = 5  # columns for themes
ROWS_NAMED = 8


def numbers(coded: Coded, respondents: pd.DataFrame, *, text: str) -> pd.Series:
    """Return the number under which each usable answer stands on the sheets, missing elsewhere.

    It tells nothing of the person: the text as it came is part of it.
    """
    is_usable = coded.table.iloc[:, 0] == "answered"
    keys = (
        respondents["respondent_id"].astype(str) + "\x1f" + respondents[text].fillna("").astype(str)
    )
    names = keys.map(lambda key: hashlib.sha256(key.encode()).hexdigest()[:8])
    return names.where(is_usable)


def write_sheet(
    path: Path, coded: Coded, *, ids: pd.Series, themes: dict[str, str], rng: np.random.Generator
) -> None:
    """Write one coder's workbook: redacted answers in random order, themes as a list.

    Args:
        path: The .xlsx file.
        coded: The coded answers of a question.
        ids: From `numbers`.
        themes: Label of every theme by code.
        rng: Source of the order.

    Raises:
        ConfigError: The file is there already.
    """
    if path.exists():
        raise ConfigError("SHEET_EXISTS", file=path.name)
    texts = load("texts.yaml")["sheet"]
    usable = np.flatnonzero(ids.notna().to_numpy())
    with xlsxwriter.Workbook(path, {"constant_memory": False}) as book:
        book.set_properties({"created": datetime(2000, 1, 1)})
        wrap = book.add_format({"text_wrap": True, "valign": "top"})
        sheet, listed = book.add_worksheet("sheet"), book.add_worksheet(texts["themes"])
        sheet.write_string(0, 0, texts["how"].format(uncoded=themes[UNCODED]), wrap)
        for place, heading in enumerate(texts["columns"]):
            sheet.write_string(1, place, heading)
        for row, label in enumerate(themes.values()):
            listed.write_string(row, 0, label)
        for row, person in enumerate(rng.permutation(usable), start=2):
            text = coded.answers[person].text
            cut = text if len(text) <= CELL_LIMIT else text[:CELL_LIMIT] + texts["cut"]
            sheet.write_string(row, 0, ids.iloc[person])
            sheet.write_string(row, 1, cut, wrap)
        source = f"='{texts['themes']}'!$A$1:$A${len(themes)}"
        rule = {"validate": "list", "source": source}
        sheet.data_validation(2, 2, max(2, len(usable) + 1), 1 + N_THEMES, rule)
        sheet.freeze_panes(2, 1)
        sheet.set_column(0, 0, 10)
        sheet.set_column(1, 1, 80)
        sheet.set_column(2, 2 + N_THEMES, 24)


def read_sheet(path: Path, *, ids: pd.Series, themes: dict[str, str]) -> pd.DataFrame:
    """Return which themes a coder gave each answer.

    Args:
        path: The workbook as it came back.
        ids: From `numbers`.
        themes: Label of every theme by code.

    Returns:
        True and False, index the ids, a column a theme; all False for a text left without any.

    Raises:
        InputError: No workbook of ours, ids that are missing, unknown or twice, or a theme that is
            not on the list; it names rows, never a text.
    """
    texts, name = load("texts.yaml")["sheet"], path.name
    try:
        sheet = pd.read_excel(path, engine="calamine", header=None, dtype=str, sheet_name=0)
    except (CalamineError, ValueError, OSError) as error:
        raise InputError("SHEET_UNREADABLE", file=name) from error
    headings = texts["columns"]
    first = [str(x) for x in (sheet.iloc[1] if len(sheet) > 1 else [])]
    if first[: 2 + N_THEMES] != headings[: 2 + N_THEMES]:
        raise InputError("SHEET_COLUMNS", file=name)
    body = sheet.iloc[2:, : 2 + N_THEMES].set_axis(headings[: 2 + N_THEMES], axis=1)
    body = body[body.notna().any(axis=1)]
    found, known = body[headings[0]].fillna("").str.strip(), set(ids.dropna())
    bad = ~found.isin(known) | found.duplicated(keep=False)
    missing = known - set(found)
    if bad.any() or missing:
        facts = {"n_missing": len(missing), "n_extra": int(bad.sum()), "rows": _rows(body, bad)}
        raise InputError("SHEET_IDS", file=name, **facts)
    codes = {label: code for code, label in themes.items()}
    chosen = body[headings[2 : 2 + N_THEMES]].apply(lambda column: column.str.strip())
    unknown = (chosen.notna() & (chosen != "") & ~chosen.isin(list(codes))).any(axis=1)
    if unknown.any():
        facts = {"n": int(unknown.sum()), "rows": _rows(body, unknown)}
        raise InputError("SHEET_THEME", file=name, **facts)
    marks = {code: (chosen == label).any(axis=1) for label, code in codes.items()}
    return pd.DataFrame(marks).set_axis(found.to_numpy()).drop(columns=UNCODED)


def _rows(body: pd.DataFrame, bad: pd.Series) -> str:
    return ", ".join(str(row + 1) for row in body.index[bad][:ROWS_NAMED]) or "-"


class Agreement(NamedTuple):
    """What two coders and the dictionary make of one question.

    Attributes:
        themes: One row a theme: theme, n_first, n_second, n_both, kappa, lower, upper (95 %),
            precision and recall of the dictionary against the agreed codes, in per cent.
        disagreements: One row an answer and theme on which they differ: number, theme, first and
            second.
        coded: The answers with the agreed codes in the place of the dictionary's.
        by_people_pct: Answers on all of whose themes both agree, per cent.
    """

    themes: pd.DataFrame
    disagreements: pd.DataFrame
    coded: Coded
    by_people_pct: float


def agree(coded: Coded, sheets: Sequence[pd.DataFrame], *, ids: pd.Series) -> Agreement:
    """Compare two coders, and the dictionary with what they agree on.

    Args:
        coded: The dictionary's codes.
        sheets: Two from `read_sheet`; the same ids in any order.
        ids: From `numbers`.

    References:
        Cohen (1960); interval by Fleiss, Cohen and Everitt (1969), as statsmodels has it.
    """
    (first, second), name = sheets, coded.table.columns[0]
    order = ids.dropna()
    codes = list(first.columns)
    one, two = first.loc[order], second.loc[order, codes]
    own = coded.table.loc[order.index, [f"{name}_{code}" for code in codes]] == 1
    one, two = one.set_axis(order.index), two.set_axis(order.index)
    own = own.set_axis(codes, axis=1)
    same = one == two
    rows = [
        {
            "theme": code,
            **_kappa(one[code], two[code]),
            **_against(own[code], one[code], same[code]),
        }
        for code in codes
    ]
    people, themes = np.nonzero(~same.to_numpy())
    disagreements = pd.DataFrame(
        {
            "number": order.to_numpy()[people],
            "theme": np.array(codes, dtype=object)[themes],
            "first": one.to_numpy()[people, themes],
            "second": two.to_numpy()[people, themes],
        }
    )
    agreed = own.where(~same, one)
    table = coded.table.copy()
    for code in codes:
        table.loc[order.index, f"{name}_{code}"] = agreed[code].astype(float)
    is_none = ~agreed.any(axis=1)
    table.loc[order.index, f"{name}_{UNCODED}"] = is_none.astype(float)
    outcomes = coded.outcomes.copy()
    outcomes.loc[order.index] = is_none.map({True: UNCODED, False: "coded"})
    share = 100 * float(same.all(axis=1).mean()) if len(order) else 0.0
    by_people = Coded(table, outcomes, coded.answers)
    return Agreement(pd.DataFrame(rows), disagreements, by_people, share)


def _kappa(one: pd.Series, two: pd.Series) -> dict[str, float]:
    """Return counts and Cohen's kappa; nothing where a coder gave all or no answers the theme."""
    table = np.array(
        [[np.sum((one == a) & (two == b)) for b in (True, False)] for a in (True, False)]
    )
    facts = {"n_first": table[0].sum(), "n_second": table[:, 0].sum(), "n_both": table[0, 0]}
    if 0 in (table.sum(axis=0) * table.sum(axis=1)):
        return {**facts, "kappa": np.nan, "lower": np.nan, "upper": np.nan}
    found = cohens_kappa(table)
    upper = min(found.kappa_upp, 1.0)
    return {**facts, "kappa": found.kappa, "lower": found.kappa_low, "upper": upper}


def _against(own: pd.Series, people: pd.Series, same: pd.Series) -> dict[str, float]:
    own, people = own[same], people[same]
    both = (own & people).sum()
    return {
        "precision": 100 * both / own.sum() if own.any() else np.nan,
        "recall": 100 * both / people.sum() if people.any() else np.nan,
    }


# --- files ----------------------------------------------------------------------------------------


def returned(study: Study, name: str) -> list[Path]:
    """Return the coders' workbooks of a question beside the answers, none where there is none.

    Raises:
        ConfigError: There is one alone.
    """
    paths = [study.wave_dir / f"coding_{name}_{coder}.xlsx" for coder in CODERS]
    found = [path for path in paths if path.exists()]
    if len(found) == 1:
        missing = next(path for path in paths if path not in found)
        raise ConfigError("ONE_CODER", file=missing.name)
    return found


def settle(
    study: Study, respondents: pd.DataFrame, *, coded: dict[str, Coded]
) -> dict[str, Agreement]:
    """Return the agreement for every question whose two workbooks are back."""
    found = {}
    for name in coded:
        question = study.config.themes.questions[name]
        paths = returned(study, name)
        if paths:
            ids = numbers(coded[name], respondents, text=question.text)
            labels = study.items[name].options
            sheets = [read_sheet(path, ids=ids, themes=labels) for path in paths]
            found[name] = agree(coded[name], sheets, ids=ids)
    return found


def best(coded: dict[str, Coded], agreed: dict[str, Agreement]) -> dict[str, Coded]:
    """Return the agreed codes where there are some, else the dictionary's."""
    return coded | {name: agreement.coded for name, agreement in agreed.items()}


def summaries(agreed: dict[str, Agreement]) -> pd.DataFrame:
    """Return kappa, precision and recall of every theme, by question; empty without sheets."""
    parts = [found.themes.assign(question=name) for name, found in agreed.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["question"])


def people_rows(agreed: dict[str, Agreement], *, wave: int) -> pd.DataFrame:
    """Return the share of texts that people coded as rows of estimates, `table_id` coding."""
    label = load("texts.yaml")["coding"]["by_people"]
    rows = [
        {"wave": wave, "table_id": "coding", "measure": "percent", "unit": "percent"}
        | {"domain": "all", "domain_value": "all", "item": name, "item_value": "by_people"}
        | {"item_label": label, "estimate": found.by_people_pct, "n_unweighted": n}
        | {"n_effective": n, "n_cell": round(n * found.by_people_pct / 100)}
        for name, found in agreed.items()
        for n in [int(found.coded.outcomes.isin(["coded", UNCODED]).sum())]
    ]
    return pd.DataFrame(rows, columns=ESTIMATE_COLUMNS)


def main(name: str, year: str) -> int:
    """Write the coding sheets of a wave into private/coding; return the exit code."""
    try:
        study = open_study(name, int(year) if year.isdecimal() else 0)
        if study.config.themes is None:
            raise ConfigError("NO_THEMES", study=study.name)
        path = study.processed_dir / "private/respondents.parquet"
        if not path.exists():
            raise InputError("NO_TEXTS")
        respondents = study.load("private/respondents.parquet")
        coded = code_study(study, respondents)
        folder = study.processed_dir / "private/coding"
        folder.mkdir(exist_ok=True)
        for question, codes in coded.items():
            text = study.config.themes.questions[question].text
            ids, labels = numbers(codes, respondents, text=text), study.items[question].options
            for coder in CODERS:
                rng = np.random.default_rng([coder, study.year, *question.encode()])
                place = folder / f"coding_{question}_{coder}.xlsx"
                write_sheet(place, codes, ids=ids, themes=labels, rng=rng)
                print(place.relative_to(files.repository_root()))
    except SurveyError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
