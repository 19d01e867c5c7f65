"""What was decided by hand about a row or an answer, and is it still about that row?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.errors import ConfigError
from tsunagari.intake.coding import CodedSheet
from tsunagari.intake.judging import tidy_cell
from tsunagari.intake.received import RawResponses
from tsunagari.study.survey import Study

# --- decisions ----------------------------------------------------------------------------------

_DECISION_COLUMNS = "file_row file_sha256 respondent_id variable decision new_value reason".split()
_HASH_LENGTH = 12  # characters of the file's hash that confirm a row number


def read_decisions(study: Study, *, raw: RawResponses) -> pd.DataFrame:
    """Read what the analyst decided by hand, from decisions.csv beside the answer file.

    Args:
        study: The wave.
        raw: The file the decisions are about.

    Returns:
        position (in `raw.table`), variable, decision, new_value, reason; no row without the file.

    Raises:
        ConfigError: A decision names no row or an unknown variable, or gives no reason; every
            mistake is named with its line.
    """
    path = study.wave_dir / "decisions.csv"
    if not path.exists():
        return pd.DataFrame(columns=["position", "variable", "decision", "new_value", "reason"])
    given, problems = _load_decisions(path), []
    ids = raw.table[study.config.columns.respondent_id].astype("str").map(tidy_cell)
    places: list[int] = []
    for row in given.itertuples():
        found, mistakes = _place_decision(row, ids=ids, study=study, sha256=raw.facts["sha256"])
        places.append(found)
        problems += [f"{row.Index} 行目 {mistake}" for mistake in mistakes]
    twice = given.assign(position=places).duplicated(["position", "variable"])
    problems += [f"{line} 行目 同じ対象が二度 (decided twice)" for line in given.index[twice]]
    if problems:
        raise decisions_error(problems)
    return given.assign(position=places).drop(columns=_DECISION_COLUMNS[:3])


def _load_decisions(path: Path) -> pd.DataFrame:
    """Return the records of decisions.csv as text; the index is the line, the header being 1."""
    try:
        given = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skip_blank_lines=False
        ).fillna("")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise decisions_error(["UTF-8 の CSV として読めない (not a CSV in UTF-8)"]) from error
    problems = [f"列 {n} は使えない (unknown column)" for n in given if n not in _DECISION_COLUMNS]
    problems += [
        f"列 {n} がない (column missing)" for n in ("decision", "reason") if n not in given
    ]
    if problems:
        raise decisions_error(problems)
    given = given.reindex(columns=_DECISION_COLUMNS, fill_value="")
    given.index = pd.RangeIndex(2, len(given) + 2)
    broken = given.apply(lambda column: column.str.contains(r"[\r\n]")).any(axis=1)
    if broken.any():  # after an unclosed quote the next record is part of the cell
        mistake = f"{given.index[broken][0]} 行目 セルに改行がある"
        raise decisions_error([f'{mistake} (a cell holds a line break: is a " not closed?)'])
    given = given.apply(lambda column: column.str.strip())
    return given[(given != "").any(axis=1)]


def _place_decision(
    row: Any, *, ids: pd.Series, study: Study, sha256: str
) -> tuple[int, list[str]]:
    """Return which row of the table a decision is about, and its mistakes.

    Where the id does not say who it is, the file's hash must confirm the row: in another delivery
    another person may stand there.
    """
    mistakes = []
    is_row = ids.index.astype("str") == row.file_row
    is_id = (ids == tidy_cell(row.respondent_id)).to_numpy()
    found = np.flatnonzero(is_row if row.file_row else is_id & bool(row.respondent_id))
    if row.file_row and row.respondent_id and is_row.any() and not (is_row & is_id).any():
        mistakes.append("file_row と respondent_id が別の人 (row and id do not belong together)")
    confirmed = row.file_sha256.lower().ljust(_HASH_LENGTH, "-")
    if row.file_row and is_id.sum() != 1 and not sha256.startswith(confirmed):
        mistakes.append(
            f"file_row だけでは別のファイルで別の人になる。この行を確かめて file_sha256 に "
            f"{sha256[:_HASH_LENGTH]} と書くか、respondent_id で示す (check the row, then write "
            "this file_sha256, or name the respondent_id)"
        )
    if not len(found):
        what = ("行", "row") if row.file_row else ("番号の回答", "answer of this id")
        mistakes.append(f"この{what[0]}がありません (there is no such {what[1]})")
    elif len(found) > 1:
        mistakes.append(f"この番号の回答が {len(found)} 行。file_row で示す (name one file_row)")
    if row.decision not in ("accept", "correct", "exclude"):
        mistakes.append("decision は accept/correct/exclude (one of these)")
    if not row.reason:
        mistakes.append("reason が空 (reason missing)")
    if (row.decision == "correct") != bool(row.variable):
        mistakes.append("variable は correct だけに書く (variable goes with correct)")
    if row.variable and row.variable not in study.codebook.columns.index:
        mistakes.append("variable がコードブックにない (unknown variable)")
    return int(found[0]) if len(found) == 1 else -1, mistakes


def decisions_error(problems: list[str]) -> ConfigError:
    """Return the refusal of decisions.csv that lists its problems."""
    shown = "; ".join(problems[:10]) + (" …" if len(problems) > 10 else "")
    return ConfigError("DECISIONS", n=len(problems), shown=shown).listing(problems)


def refuse_bad_corrections(sheet: CodedSheet, decisions: pd.DataFrame, *, age: str | None) -> None:
    """Refuse a correction to what is no value of the codebook; an age may be too young."""
    wanted = decisions[(decisions["decision"] == "correct") & (decisions["variable"] != age)]
    fine = ("SKIP_VIOLATION", "EXCLUSIVE_CONFLICT")  # such a value is one of the codebook
    mistakes = [
        f"{row.Index} 行目 new_value が {row.variable} の値にない (not a value of it)"
        for row in wanted.itertuples()
        for positions, variable, reason in sheet.log.cells
        if variable == row.variable and reason not in fine and row.position in positions
    ]
    if mistakes:
        raise decisions_error(mistakes)


def rows_decided(decisions: pd.DataFrame, decision: str, *, n: int) -> np.ndarray:
    """Return the rows about which this was decided, shape (n,)."""
    mask = np.zeros(n, dtype=bool)
    mask[decisions.loc[decisions["decision"] == decision, "position"].astype(int)] = True
    return mask


def correct_answers(
    table: pd.DataFrame, decisions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table with decided corrections, and their log old -> new."""
    log, changed = [], {}
    for row in decisions[decisions["decision"] == "correct"].itertuples(index=False):
        column = changed.get(row.variable, table[row.variable]).copy()
        old = str(column.iloc[row.position])
        if isinstance(column.dtype, pd.CategoricalDtype):
            if row.new_value not in column.cat.categories:
                column = column.cat.add_categories([row.new_value])
        column.iloc[row.position] = row.new_value
        changed[row.variable] = column
        log.append((table.index[row.position], row.variable, old, row.new_value, "DECISION"))
    names = ["file_row", "variable", "old", "new", "rule"]
    return table.assign(**changed) if changed else table, pd.DataFrame(log, columns=names)
