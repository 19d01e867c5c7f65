"""Who is analysed, and what became of every other row: quarantine, ledger, decisions, quality.

Rows read = analysed + quarantined, for every file, always. Reading is `reading`, the meaning of a
cell is `coding`; here rows are judged, in a fixed order, and each leaves for one reason only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from tsunagari import coding, reading
from tsunagari.coding import Coded, CodedSheet, derive_variables, label_key, tidy_cell
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.reading import RawResponses, read_responses, show_rows
from tsunagari.study import (
    NO_ANSWER,
    ConfigError,
    Indicator,
    InputError,
    QualityRule,
    Study,
    parse_condition,
)

__all__ = [
    "RULE_VERSION",
    "Cleaned",
    "LedgerError",
    "clean_responses",
    "compare_codebooks",
    "compare_before_after",
    "derive_variables",
    "ledger_rows",
    "missing_by_item",
    "quality_effect",
    "read_responses",
    "save_cleaned",
    "scale_directions",
]

RULE_VERSION = "4"  # raised whenever a rule of this room or of coding changes its outcome
CONFLICT_LIMIT = 0.01  # share of rows whose id stands for different answers; standard ID-02
_PERIOD = re.compile(
    r"(\d{4})年\s*(\d{1,2})月?(?:\d{1,2}日)?(?:\s*[〜～~\-から]+\s*(?:(\d{4})年)?(\d{1,2})月)?"
)
SAME_ANSWERS_COLUMNS = 30  # in a shorter questionnaire two people do give the same answers
HIGH_NONRESPONSE_PCT = 20.0  # above it a question is marked; standard MIS-04
_PERSONAL = (  # in an id: e-mail address, phone number, a Japanese name
    r"[^@\s]+@[^@\s]+\.[^@\s]+",
    r"(^|[^\d-])0\d{1,4}[-( ]\d{1,4}[-) ]\d{3,4}(\D|$)|^0[789]0\d{8}$",
    r"^[ぁ-ゖァ-ヺ一-鿿々ー\s]{2,}$",  # ids are in NFKC: no other space is left
)
_TEST_RECORD = re.compile(r"テスト|ダミー|(?<![a-z])(test|dummy)(?![a-z])|^9{5,}$", re.I)

# In the order in which rows are judged; the first reason that holds is the row's reason.
ROW_REASONS = {
    "TOO_MANY_FIELDS": "項目が多すぎる行",
    "TOO_FEW_FIELDS": "項目が足りない行",
    "TRUNCATED_LINE": "途中で切れた最後の行",
    "TRAILER_LINE": "合計・注記などの行",
    "BLANK_ROW": "空の行",
    "EXCLUDED_BY_DECISION": "decisions.csv で除いた行",
    "ID_MISSING": "回答者番号がない",
    "ID_INVALID": "回答者番号に使えない文字がある",
    "ID_COLLISION_AFTER_NORMALISATION": "表記ゆれを直すと回答者番号が重なる",
    "EXACT_DUPLICATE": "同じ行の重複（最初の一つを残す）",
    "ID_CONFLICT": "同じ回答者番号で回答がちがう",
    "EXCEL_ERROR_VALUE": "Excel のエラー値がある",
    "TEST_RECORD": "試験入力",
    "INELIGIBLE": "調査の対象外",
    "SPEEDER": "回答時間が短すぎる",
    "STRAIGHTLINER": "同じ番号ばかりの回答",
    "DUPLICATE_TEXT": "同じ自由回答の繰り返し",
    "INCONSISTENT": "回答どうしの矛盾",
    "NO_CELL": "地域・年代などがなく重みを付けられない",
}
_ACCEPTABLE = {
    "ID_COLLISION_AFTER_NORMALISATION",
    "EXACT_DUPLICATE",
    "ID_CONFLICT",
    "TEST_RECORD",
    "SPEEDER",
    "STRAIGHTLINER",
    "DUPLICATE_TEXT",
    "INCONSISTENT",
}


class LedgerError(InputError):
    """Rows read are not rows analysed plus rows quarantined."""


@dataclass(frozen=True)
class Cleaned:
    """What cleaning leaves; every table is private except counts made from it.

    Attributes:
        respondents: One row a respondent analysed; docs/data_dictionary.md has the columns.
        quarantine: file_row, reason_code, rule_version, raw_line; one row a row set aside.
        cells: file_row, respondent_id, variable, reason_code, raw_value; one row a blanked cell.
        ledger: outcome, reason_code, n_rows; sums to the rows read.
        repairs: file_row, variable, old, new, rule.
        flags: file_row, respondent_id, variable, flag; rows that stand out and stay.
        set_aside: Like respondents, with reason_code: rows that a rule of response quality put in
            quarantine, kept to show what the rule does to the headline figures.
    """

    respondents: pd.DataFrame
    quarantine: pd.DataFrame
    cells: pd.DataFrame
    ledger: pd.DataFrame
    repairs: pd.DataFrame
    flags: pd.DataFrame
    set_aside: pd.DataFrame


def clean_responses(raw: RawResponses, study: Study) -> Cleaned:
    """Judge every cell and every row, and account for each.

    Args:
        raw: What `read_responses` gave.
        study: The wave.

    Returns:
        Respondents, quarantine, cells, ledger, repairs and flags.

    Raises:
        InputError: A column, the ids or the regions hold too much that cannot be right.
        ConfigError: decisions.csv or the study file is wrong.
        LedgerError: The ledger does not add up.
    """
    decisions = read_decisions(study, raw=raw)
    counted = ~_decided(decisions, "exclude", n=len(raw.table))
    table = coding.split_multiple(raw.table, study, counted=counted)
    table, corrections = _correct(table, decisions)
    sheet = coding.code_cells(table, study, day_zero=raw.day_zero, counted=counted)
    _refuse_bad_corrections(sheet, decisions, age=study.config.design.age)
    _refuse_second_header(sheet, study=study)
    rows = _Rows(sheet, study=study, decisions=decisions)
    rows.judge()
    _refuse_unknown_region(sheet, rows, study=study)
    quarantine = _quarantine(raw, rows)
    cells, repairs, flags = _logs(sheet, rows)
    set_aside = _set_aside(sheet, rows, study=study)
    respondents = _respondents(sheet, rows, study=study, keep=rows.keep, release=True)
    return Cleaned(
        respondents=respondents,
        quarantine=quarantine,
        cells=cells,
        ledger=_ledger(raw, quarantine, n_analysed=len(respondents)),
        repairs=pd.concat([corrections, repairs], ignore_index=True),
        flags=flags,
        set_aside=set_aside,
    )


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
        raise _decisions_error(problems)
    return given.assign(position=places).drop(columns=_DECISION_COLUMNS[:3])


def _load_decisions(path: Path) -> pd.DataFrame:
    """Return the records of decisions.csv as text; the index is the line, the header being 1."""
    try:
        given = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skip_blank_lines=False
        ).fillna("")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise _decisions_error(["UTF-8 の CSV として読めない (not a CSV in UTF-8)"]) from error
    problems = [f"列 {n} は使えない (unknown column)" for n in given if n not in _DECISION_COLUMNS]
    problems += [
        f"列 {n} がない (column missing)" for n in ("decision", "reason") if n not in given
    ]
    if problems:
        raise _decisions_error(problems)
    given = given.reindex(columns=_DECISION_COLUMNS, fill_value="")
    given.index = pd.RangeIndex(2, len(given) + 2)
    broken = given.apply(lambda column: column.str.contains(r"[\r\n]")).any(axis=1)
    if broken.any():  # after an unclosed quote the next record is part of the cell
        mistake = f"{given.index[broken][0]} 行目 セルに改行がある"
        raise _decisions_error([f'{mistake} (a cell holds a line break: is a " not closed?)'])
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
    if len(found) != 1:
        mistakes.append(f"対象が {len(found)} 行 (not exactly one row)")
    if row.decision not in ("accept", "correct", "exclude"):
        mistakes.append("decision は accept/correct/exclude (one of these)")
    if not row.reason:
        mistakes.append("reason が空 (reason missing)")
    if (row.decision == "correct") != bool(row.variable):
        mistakes.append("variable は correct だけに書く (variable goes with correct)")
    if row.variable and row.variable not in study.codebook.columns.index:
        mistakes.append("variable がコードブックにない (unknown variable)")
    return int(found[0]) if len(found) == 1 else -1, mistakes


def _decisions_error(problems: list[str]) -> ConfigError:
    shown = "; ".join(problems[:10]) + (" …" if len(problems) > 10 else "")
    return ConfigError(
        "DECISIONS",
        f"decisions.csv に誤りがあります（{len(problems)} 件）: {shown}。直してください。",
        f"decisions.csv has {len(problems)} mistake(s), listed before: mend them.",
    )


def _refuse_bad_corrections(sheet: CodedSheet, decisions: pd.DataFrame, *, age: str | None) -> None:
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
        raise _decisions_error(mistakes)


def _decided(decisions: pd.DataFrame, decision: str, *, n: int) -> np.ndarray:
    """Return the rows about which this was decided, shape (n,)."""
    mask = np.zeros(n, dtype=bool)
    mask[decisions.loc[decisions["decision"] == decision, "position"].astype(int)] = True
    return mask


def _correct(table: pd.DataFrame, decisions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
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


# --- rows ---------------------------------------------------------------------------------------


class _Rows:
    """Gives every row of the table at most one reason to leave."""

    def __init__(self, sheet: CodedSheet, *, study: Study, decisions: pd.DataFrame) -> None:
        self.sheet, self.study, self.decisions = sheet, study, decisions
        self.raw = sheet.log.raw
        self.names = ["", *ROW_REASONS]
        self.reasons = np.zeros(len(self.raw), dtype=np.int8)
        self.id_column = study.config.columns.respondent_id
        self.given_ids = self.raw[self.id_column].astype("str")
        self.ids = self._tidy_ids()
        self.id_codes: np.ndarray | None = None
        self.accepted = _decided(decisions, "accept", n=len(self.raw))
        self.excluded = _decided(decisions, "exclude", n=len(self.raw))

    def judge(self) -> None:
        """Work through the reasons in their order."""
        self.give("BLANK_ROW", self._is_blank())
        self.give("TRAILER_LINE", self._is_trailer())
        self.give("EXCLUDED_BY_DECISION", self.excluded)
        self._judge_ids()
        self._judge_duplicates()
        self._log_ids()
        self.give("EXCEL_ERROR_VALUE", self._has_cell("EXCEL_ERROR_VALUE"))
        for rule in self.study.config.quality:
            if rule.rule == "test_record":
                self.apply(rule)
        self.give("INELIGIBLE", self._is_ineligible())
        self._flag_rest()
        for rule in self.study.config.quality:
            if rule.rule != "test_record":
                self.apply(rule)
        self._judge_cells()
        odd = self.accepted & (self.reasons > 0)
        if odd.any():
            raise _decisions_error(
                [
                    f"{row} 行目の回答は accept できない (cannot be accepted)"
                    for row in self.raw.index[odd]
                ]
            )

    def give(self, reason: str, mask: np.ndarray) -> None:
        """Give a reason to rows that have none yet; an accepted row is spared where it may be."""
        spared = self.accepted if reason in _ACCEPTABLE else False
        self.reasons[mask & (self.reasons == 0) & ~np.asarray(spared)] = self.names.index(reason)

    @property
    def keep(self) -> np.ndarray:
        """Positions of the rows analysed."""
        return np.flatnonzero(self.reasons == 0)

    def _has_cell(self, reason: str) -> np.ndarray:
        mask = np.zeros(len(self.raw), dtype=bool)
        for positions, _, why in self.sheet.log.cells:
            if why == reason:
                mask[positions] = True
        return mask

    def _is_blank(self) -> np.ndarray:
        is_blank = np.ones(len(self.raw), dtype=bool)
        kinds = self.sheet.book.kinds
        for name in sorted(self.raw.columns, key=lambda name: kinds.get(name) in ("ID", "OA")):
            # Most columns are full: the first few settle nearly every row.
            rows = np.flatnonzero(is_blank)
            if len(rows) == 0:
                break
            is_blank[rows] = ~self.sheet.log.column(name).is_filled[rows]
        return is_blank

    def _is_trailer(self) -> np.ndarray:
        """Find remarks in few cells, what follows the first of them, and totals in any."""
        mask = np.zeros(len(self.raw), dtype=bool)
        last = np.arange(max(0, len(self.raw) - reading.TRAILER_ROWS), len(self.raw))
        columns = [self.sheet.log.raw_values(last, name) for name in self.raw.columns]
        for position, texts in zip(last, zip(*columns, strict=True), strict=True):
            filled = [tidy_cell(text) for text in texts if tidy_cell(text)]
            if 0 < len(filled) <= max(2, len(columns) // 4):
                mask[position] = mask.any() or bool(reading.TRAILER.match(filled[0]))
            mask[position] |= bool(reading.TRAILER.fullmatch(self.ids.iloc[position]))
        return mask

    # ids

    def _tidy_ids(self) -> pd.Series:
        plain = self.given_ids
        if plain.str.isascii().all() and not plain.str.startswith('="').any():
            return plain.str.strip()
        return plain.map(tidy_cell)

    def _judge_ids(self) -> None:
        self._refuse_personal_ids()
        self.give("ID_MISSING", (self.ids == "").to_numpy())
        is_odd = self.given_ids.str.contains(coding.CONTROL_PATTERN, regex=True).to_numpy(bool)
        self.give("ID_INVALID", is_odd)

    def _refuse_personal_ids(self) -> None:
        ids = pa.array(self.ids)
        hits = pa.compute.match_substring_regex(ids, pattern="|".join(_PERSONAL))
        personal = hits.to_numpy(zero_copy_only=False) & (self.reasons == 0)
        if not personal.any():
            return
        found = show_rows(self.raw.index[personal])
        raise InputError(
            "ID_PERSONAL",
            f"{self.id_column} に氏名・電話番号・メールアドレスらしいものが {personal.sum()} 行"
            f"あります（{found} 行目）。番号に置きかえた回答ファイルを受け取り直してください。",
            f"{self.id_column} holds what looks like names, phone numbers or e-mail addresses in "
            f"{personal.sum()} rows ({found}): ask for a file with plain numbers.",
        )

    def _is_repeated(self, among: np.ndarray) -> np.ndarray:
        """Return where an id stands twice among some rows; by arrow, without a Python text each."""
        if self.id_codes is None:
            encoded = pa.array(self.ids).dictionary_encode()
            self.id_codes = pa.chunked_array([encoded]).combine_chunks().indices.to_numpy()
        return among & (np.bincount(self.id_codes, weights=among)[self.id_codes] > 1)

    def _judge_duplicates(self) -> None:
        """Set aside copies, and every row of an id that stands for different answers."""
        free = self.reasons == 0
        rows = np.flatnonzero(self._is_repeated(free))
        if len(rows) == 0:
            return
        ids = self.ids.iloc[rows].to_numpy()
        given = self.given_ids.iloc[rows].to_numpy()
        others = [name for name in self.raw.columns if name != self.id_column]
        content = np.array([self.sheet.log.column(name).places[rows] for name in others])
        hashes = np.unique(content, axis=1, return_inverse=True)[1]
        about = pd.DataFrame({"id": ids, "given": given, "hash": hashes})
        n_kinds = about.groupby("id").transform("nunique")
        collision, conflict, copy = (np.zeros(len(self.raw), dtype=bool) for _ in range(3))
        collision[rows] = n_kinds["given"] > 1
        conflict[rows] = (n_kinds["given"] == 1) & (n_kinds["hash"] > 1)
        copy[rows] = (n_kinds["given"] == 1) & (n_kinds["hash"] == 1) & about.duplicated("id")
        self._refuse_many_conflicts(conflict & ~self.accepted)
        self.give("ID_COLLISION_AFTER_NORMALISATION", collision)
        self.give("EXACT_DUPLICATE", copy)
        self.give("ID_CONFLICT", conflict)

    def _log_ids(self) -> None:
        """Log ids that were tidied, and refuse two accepted rows of one id."""
        changed = np.flatnonzero((self.ids != self.given_ids).to_numpy() & (self.reasons == 0))
        new = self.ids.iloc[changed].tolist()
        self.sheet.log.repair(changed, self.id_column, new=new, rule="NFKC")
        twice = self._is_repeated(self.reasons == 0)
        if twice.any():
            rows_text = show_rows(self.raw.index[twice])
            raise _decisions_error(
                [f"同じ回答者番号を二つ accept (one id accepted twice): {rows_text}"]
            )

    def _refuse_many_conflicts(self, conflict: np.ndarray) -> None:
        many = max(coding.BAD_CELL_MINIMUM - 1, CONFLICT_LIMIT * len(self.raw))
        if conflict.sum() > many:
            rows = show_rows(self.raw.index[conflict])
            raise InputError(
                "ID_CONFLICT",
                f"回答がちがうのに同じ {self.id_column} の行が {conflict.sum()} 行あります"
                f"（{rows} 行目）。番号の付け方を委託先に確かめてください。",
                f"{conflict.sum()} rows share a {self.id_column} and differ in their answers (rows "
                f"{rows}): ask how the numbers were given.",
            )

    # who belongs to the population

    def _is_ineligible(self) -> np.ndarray:
        design, columns = self.study.config.design, self.sheet.columns
        mask = np.zeros(len(self.raw), dtype=bool)
        for name in {design.region, design.sex, *self.study.config.weighting.cells} - {None}:
            if name in columns:
                outside = self.study.codebook.role(name, roles=["not_applicable"])
                mask |= columns[name].among(outside)
        if design.age in columns and columns[design.age].numbers is not None:
            ages = columns[design.age].numbers.copy()
            for positions, variable, reason in self.sheet.log.cells:
                if variable == design.age and reason == "OUT_OF_RANGE":
                    texts = self.sheet.log.raw_values(positions, variable)
                    ages[positions] = [float(tidy_cell(text)) for text in texts]
            mask |= (ages >= 0) & (ages < design.minimum_age)
        return mask

    def _judge_cells(self) -> None:
        """Set aside who has no place among weighting cells, margins, strata, sampling units."""
        plan = self.study.config.weighting
        margins = [name for margin in plan.margins for name in margin.by]
        names = [n for n in (*plan.cells, *margins, *plan.strata, plan.psu, plan.fpc) if n]
        table = derive_variables(_frame(self.sheet, names, study=self.study), self.study)
        for name in names:
            usable = {*self.study.items[name].options, *plan.sample_share.get(name, ())}
            is_in = table[name].isin(usable) if usable else table[name].notna()
            self.give("NO_CELL", ~is_in.to_numpy(bool))

    # response quality

    def apply(self, rule: QualityRule) -> None:
        """Apply one rule of the study file: set rows aside or flag them."""
        free = self.reasons == 0
        hits = _QUALITY[rule.rule](rule, self.sheet, free=free) & free
        if rule.action == "quarantine":
            self.give(rule.rule.upper(), hits)
        else:
            variable = rule.variable or ",".join(rule.items)
            self.sheet.log.flag(np.flatnonzero(hits), variable, flag=rule.rule.upper())

    def _flag_rest(self) -> None:
        """Flag what needs no rule of the study: same content under two ids, and drop-outs."""
        log, kinds = self.sheet.log, self.sheet.book.kinds
        total = np.zeros(len(self.raw), dtype=np.uint64)
        rng = np.random.default_rng(0)  # fixed multipliers of a content hash, not chance
        for name in self.raw.columns:
            if kinds.get(name) in ("SA", "MA", "OA"):
                factor = rng.integers(1, 2**63, dtype=np.uint64)
                total += log.column(name).places.astype(np.uint64) * factor
        if sum(kinds.get(name) in ("SA", "MA", "OA") for name in self.raw) < SAME_ANSWERS_COLUMNS:
            total = np.arange(len(self.raw), dtype=np.uint64)
        same = pd.Series(total).where(self.reasons == 0).duplicated(keep=False).to_numpy()
        log.flag(np.flatnonzero(same & (self.reasons == 0)), "", flag="SAME_ANSWERS")
        self._flag_dates()
        self._flag_partial()

    def _flag_dates(self) -> None:
        """Flag answers dated outside the months of fieldwork."""
        name, period = (
            self.study.config.columns.answered_on,
            field_period(self.study.wave.fieldwork),
        )
        column = self.sheet.columns.get(name or "")
        if column is None or period is None or column.numbers is not None:
            return
        outside = [v for v in column.names if not period[0] <= v[:7] <= period[1]]
        hits = column.among(outside) & (self.reasons == 0)
        self.sheet.log.flag(np.flatnonzero(hits), name, flag="OUT_OF_FIELD_PERIOD")

    def _flag_partial(self) -> None:
        """Flag who answered nothing of the last required questions: they dropped out."""
        log, book = self.sheet.log, self.sheet.book
        required = [n for n, kind in book.kinds.items() if kind == "SA" and book.required[n]]
        tail = required[-max(3, len(required) // 10) :]
        if len(required) > len(tail):
            columns = [self.sheet.columns[n] for n in tail]
            unanswered = [column.among(column.no_answer) for column in columns]
            skipped = [~column.is_given for column in columns]
            gone = np.all([u | s for u, s in zip(unanswered, skipped, strict=True)], axis=0)
            gone &= np.any(unanswered, axis=0)
            log.flag(np.flatnonzero(gone & (self.reasons == 0)), "", flag="PARTIAL")
            self._close_unopened(np.flatnonzero(gone))

    def _close_unopened(self, rows: np.ndarray) -> None:
        """Take options all unchosen, after the last answer of who dropped out, for no answer.

        REDCap and its like deliver 0 for every option of a form that was never opened (A28).
        """
        kinds, items = self.sheet.book.kinds, self.sheet.book.items
        asked = [v for v, kind in kinds.items() if kind in ("SA", "MA", "OA")]
        for name in dict.fromkeys(items[v] if kinds[v] == "MA" else v for v in reversed(asked)):
            column = self.sheet.columns.get(name)
            if column is None:
                given = self.sheet.texts[name].notna().to_numpy()
            elif name in kinds and kinds[name] != "MA":
                given = column.is_given & ~column.among(column.no_answer)
            else:
                options = self.sheet.book.options(name)
                given = np.any([self.sheet.columns[v].among(["1"]) for v in options], axis=0)
                empty = rows[column.among(["answered"])[rows] & ~given[rows]]
                self.sheet.log.blank(empty, name, reason="NOT_OPENED")
                codes = column.codes.copy()
                codes[empty] = column.names.index(NO_ANSWER)
                self.sheet.columns[name] = replace(column, codes=codes)
            rows = rows[~given[rows]]


def field_period(text: str) -> tuple[str, str] | None:
    """Return first and last month of fieldwork as written in study.yaml, or None.

    Example:
        >>> field_period("2022年11〜12月"), field_period("2023年1月")
        (('2022-11', '2022-12'), ('2023-01', '2023-01'))
    """
    found = _PERIOD.search(text)
    if found is None:
        return None
    year, first, last_year, last = found.groups()
    return f"{year}-{int(first):02d}", f"{last_year or year}-{int(last or first):02d}"


def _find_speeders(rule: QualityRule, sheet: CodedSheet, *, free: np.ndarray) -> np.ndarray:
    """Find answers given too fast: below `threshold` seconds, or below that share of the median."""
    seconds = sheet.columns[rule.variable].numbers
    threshold = 1 / 3 if rule.threshold is None else rule.threshold
    usual = seconds[free & (seconds > 0)]
    limit = threshold * np.median(usual) if threshold < 1 and len(usual) else threshold
    return (seconds < limit) | (seconds <= 0)  # no duration, as on paper, is no speeder


def _find_straightliners(rule: QualityRule, sheet: CodedSheet, *, free: np.ndarray) -> np.ndarray:
    """Find the same code on all items that were answered, at least three of them."""
    shared: dict[str, int] = {}
    parts = []
    for name in rule.items:
        column = sheet.columns[name]
        ids = [
            -1 if v in column.no_answer else shared.setdefault(v, len(shared)) for v in column.names
        ]
        parts.append(np.array([*ids, -1])[column.codes])
    codes = np.array(parts)
    given = codes >= 0
    highest = codes.max(axis=0)
    same = ((codes == highest) | ~given).all(axis=0)
    return same & (given.sum(axis=0) >= max(3, rule.threshold or 0)) & free


def _find_repeated_text(rule: QualityRule, sheet: CodedSheet, *, free: np.ndarray) -> np.ndarray:
    """Find one free text, of ten characters or more, from `threshold` respondents or more."""
    text = sheet.texts[rule.variable].where(free)
    plain = text.where(text.str.len() >= 10).str.normalize("NFKC").str.strip()
    counts = plain.groupby(plain).transform("size")
    return (counts >= (rule.threshold or 5)).to_numpy()


def _find_inconsistent(rule: QualityRule, sheet: CodedSheet, *, free: np.ndarray) -> np.ndarray:
    """Find answers for which the rule's condition holds."""
    parts = parse_condition(rule.when or "", where="quality")
    unknown = [name for name, _ in parts if name not in sheet.columns]
    if unknown or not parts:
        raise ConfigError(
            "QUALITY_RULE",
            f"quality の when に {', '.join(unknown)} はない。直してください。",
            f"`when` of a quality rule names {', '.join(unknown) or 'nothing'}: mend it.",
        )
    return coding.holds(parts, sheet.columns, n=len(free))[0] & free


def _find_test_records(rule: QualityRule, sheet: CodedSheet, *, free: np.ndarray) -> np.ndarray:
    """Find what a survey company enters to try its form: テスト, dummy, 99999."""
    column = sheet.log.column(rule.variable)
    return column.where(bool(_TEST_RECORD.search(text)) for text in column.texts) & free


_QUALITY = {
    "speeder": _find_speeders,
    "straightliner": _find_straightliners,
    "duplicate_text": _find_repeated_text,
    "inconsistent": _find_inconsistent,
    "test_record": _find_test_records,
}


# --- what stops the file ------------------------------------------------------------------------


def _refuse_second_header(sheet: CodedSheet, *, study: Study) -> None:
    """Refuse a first record that is no person: question texts under the column names."""
    words = ("NOT_A_CODE", "NOT_NUMERIC")
    bad = {name for at, name, why in sheet.log.cells if 0 in at[:1] and why in words}
    kinds = study.codebook.columns["type"]
    coded = kinds.index[kinds.isin(["SA", "MA", "NUM"])]
    if len(bad) > len(coded) / 2:
        raise InputError(
            "HEADER_SECOND_ROW",
            f"2 行目は回答ではなく見出しのようです（{len(bad)} 列が文字）。消してください。",
            f"Row 2 looks like a second header, not like answers ({len(bad)} columns hold words): "
            "delete it.",
        )


def _refuse_unknown_region(sheet: CodedSheet, rows: _Rows, *, study: Study) -> None:
    """Refuse a region or age class that the study does not have, unless a decision settles it."""
    design, cells = study.config.design, study.config.weighting.cells
    for name in (design.region, design.age_band):
        if name not in cells or name not in sheet.columns:
            continue
        wrong = np.zeros(len(rows.raw), dtype=bool)
        for positions, variable, reason in sheet.log.cells:
            if variable == name and reason in ("OUT_OF_RANGE", "NOT_A_CODE"):
                wrong[positions] = True
        wrong &= (rows.reasons == 0) | (rows.reasons == rows.names.index("NO_CELL"))
        if wrong.any():
            found = show_rows(rows.raw.index[wrong])
            raise InputError(
                "REGION_UNKNOWN" if name == design.region else "AGE_UNKNOWN",
                f"{name} に、この調査にない値が {wrong.sum()} 行（{found} 行目）。"
                "コードブックに書き足すか、decisions.csv で直すか除いてください。",
                f"{name} holds values this study does not have in {wrong.sum()} rows ({found}): "
                "declare them in the codebook, or correct or exclude them in decisions.csv.",
            )


# --- results ------------------------------------------------------------------------------------


def _column(column: Coded, *, keep: np.ndarray) -> pd.api.extensions.ExtensionArray:
    """Return some rows of a column as respondents hold it."""
    if column.numbers is not None:
        return pd.array(column.numbers[keep], dtype="Float64")
    if column.names == ("0", "1"):
        codes = column.codes[keep]
        return pd.arrays.IntegerArray(codes, codes < 0)
    return column.to_text(keep)


def _frame(sheet: CodedSheet, names: Iterable[str | None], *, study: Study) -> pd.DataFrame:
    """Return coded columns, and what these names are derived from, for every row."""
    wanted, derive = [name for name in names if name], study.config.derive
    for name in wanted:
        if name in derive:
            rule = derive[name]
            wanted += [n for n in (rule.bands_of, rule.recode_of, *rule.sum_of) if n]
    everyone = np.arange(len(sheet.log.raw))
    found = {
        n: _column(sheet.columns[n], keep=everyone) if n in sheet.columns else sheet.texts[n].array
        for n in wanted
        if n not in derive
    }
    return pd.DataFrame(found, index=sheet.log.raw.index)


def _respondents(
    sheet: CodedSheet, rows: _Rows, *, study: Study, keep: np.ndarray, release: bool = False
) -> pd.DataFrame:
    """Return rows as respondents, in the order of the file, derived variables added.

    `release` lets go of each column of the sheet once it stands in the table.
    """
    take = dict.pop if release else dict.__getitem__
    found: dict[str, Any] = {
        "respondent_id": rows.ids.iloc[keep].array,
        "file_row": rows.raw.index.to_numpy()[keep],
    }
    items = sheet.book.items
    pa.default_memory_pool().release_unused()  # what judging needed
    for variable, kind in sheet.book.kinds.items():
        if kind == "MA" and items[variable] not in found:
            found[items[variable]] = _column(take(sheet.columns, items[variable]), keep=keep)
        if kind == "OA":
            found[variable] = take(sheet.texts, variable).iloc[keep].array
        elif kind != "ID":
            found[variable] = _column(take(sheet.columns, variable), keep=keep)
    return derive_variables(pd.DataFrame(found, copy=False), study)


def _set_aside(sheet: CodedSheet, rows: _Rows, *, study: Study) -> pd.DataFrame:
    quality = [rows.names.index(rule.rule.upper()) for rule in study.config.quality]
    out = np.flatnonzero(np.isin(rows.reasons, quality))
    if len(out) == 0:
        return pd.DataFrame(columns=["file_row", "reason_code"])
    names = [rows.names[place] for place in rows.reasons[out]]
    people = _respondents(sheet, rows, study=study, keep=out)
    return people.assign(reason_code=pd.Series(names, index=people.index, dtype="str"))


def _quarantine(raw: RawResponses, rows: _Rows) -> pd.DataFrame:
    out = np.flatnonzero(rows.reasons > 0)
    judged = pd.DataFrame(
        {
            "file_row": rows.raw.index.to_numpy()[out],
            "reason_code": [rows.names[place] for place in rows.reasons[out]],
        }
    )
    kinds = {"file_row": "int64", "reason_code": "str"}
    table = pd.concat([raw.rejected.astype(kinds), judged.astype(kinds)])
    table = table.sort_values("file_row", ignore_index=True)
    return table.assign(rule_version=RULE_VERSION, raw_line=raw.lines(table["file_row"].tolist()))


def _ledger(raw: RawResponses, quarantine: pd.DataFrame, *, n_analysed: int) -> pd.DataFrame:
    """Return the ledger, and refuse one that does not add up to the rows read."""
    counts = quarantine["reason_code"].value_counts()
    ordered = [reason for reason in ROW_REASONS if reason in counts.index]
    ledger = pd.DataFrame(
        {
            "outcome": ["analysed", *["quarantined"] * len(ordered)],
            "reason_code": ["", *ordered],
            "n_rows": [n_analysed, *(int(counts[reason]) for reason in ordered)],
        }
    )
    n_read, n_found = raw.facts["rows"], int(ledger["n_rows"].sum())
    if n_read != n_found or quarantine["file_row"].duplicated().any():
        raise LedgerError(
            "LEDGER",
            f"読んだ {n_read} 行と分析・隔離した {n_found} 行が合いません。開発者へ連絡を。",
            f"{n_read} rows were read but {n_found} are accounted for: tell the developers.",
        )
    return ledger


def _logs(sheet: CodedSheet, rows: _Rows) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return cells, repairs and flags of the rows analysed, by row then variable."""
    log = sheet.log
    kept = rows.reasons == 0
    cells, repairs, flags = [], [], []
    for positions, variable, reason in log.cells:
        at = positions[kept[positions]]
        cells.append((at, variable, reason, log.raw_values(at, variable)))
    for positions, variable, new, rule in log.repairs:
        repairs.append((positions, variable, log.raw_values(positions, variable), new, rule))
    for positions, variable, flag in log.flags:
        flags.append((positions[kept[positions]], variable, flag))
    about = {"file_rows": rows.raw.index.to_numpy(), "ids": rows.ids}
    return (
        _table(cells, "file_row respondent_id variable reason_code raw_value", **about),
        _table(repairs, "file_row variable old new rule", **about),
        _table(flags, "file_row respondent_id variable flag", **about),
    )


def _table(
    parts: Sequence[tuple[Any, ...]], names: str, *, file_rows: np.ndarray, ids: pd.Series
) -> pd.DataFrame:
    """Lay parts, each of positions and what holds for them, one under the other, by row."""
    at = np.concatenate([np.empty(0, dtype=np.int64), *(part[0] for part in parts)])
    variables = sorted({part[1] for part in parts})
    codes = [np.full(len(part[0]), variables.index(part[1])) for part in parts]
    order = np.lexsort((np.concatenate([np.empty(0, dtype=np.int64), *codes]), at))
    columns: dict[str, Any] = {"file_row": file_rows[at[order]]}
    others = [name for name in names.split() if name != "file_row"]
    if "respondent_id" in others:
        columns["respondent_id"] = ids.array.take(at[order])
        others.remove("respondent_id")
    for place, name in enumerate(others, start=1):
        texts: list[str] = []
        for part in parts:
            texts += [part[place]] * len(part[0]) if isinstance(part[place], str) else part[place]
        columns[name] = pd.array(texts, dtype="str").take(order)
    return pd.DataFrame(columns)


# --- what an analyst looks at -------------------------------------------------------------------


def missing_by_item(respondents: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return how many were asked and how many gave no answer, by question; counts only.

    Args:
        respondents: Cleaned respondents, shape (n, any).
        study: The wave.

    Returns:
        One row a question: item, label, kind, n_asked, n_answered, n_refused (refused, don't know),
        n_no_answer, missing_pct (no answer or refused, of those asked), note (Japanese; where all
        or more than a fifth are missing).
    """
    rows = []
    for name, item in study.items.items():
        if item.kind not in ("SA", "MA", "NUM") or name in study.config.derive:
            continue
        column = respondents[name]
        if item.kind == "NUM":
            n_asked, n_refused, n_none = len(column), 0, int(column.isna().sum())
        else:
            n_asked = int((column.notna() & ~column.isin(item.not_asked)).sum())
            n_none = int(column.isin([NO_ANSWER, *item.no_answer]).sum())
            n_refused = int(column.isin(list(item.missing)).sum())
        n_answered = n_asked - n_none - n_refused
        share = 100 * (n_asked - n_answered) / n_asked if n_asked else 0.0
        note = "無回答が 20% をこえる" if share > HIGH_NONRESPONSE_PCT else ""
        note = "集計対象なし" if n_answered == 0 else note
        rows.append(
            (name, item.label, item.kind, n_asked, n_answered, n_refused, n_none, share, note)
        )
    names = "item label kind n_asked n_answered n_refused n_no_answer missing_pct note"
    return pd.DataFrame(rows, columns=names.split())


def scale_directions(respondents: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return pairs of items of one sum that go against each other: was one not reversed?

    Args:
        respondents: Cleaned respondents, shape (n, any).
        study: The wave.

    Returns:
        sum, item, other, correlation (Pearson, unweighted), only where it is negative.
    """
    rows = []
    for name, rule in study.config.derive.items():
        items = [item for item in rule.sum_of if item in respondents]
        codes = {
            i: respondents[i].map({c: float(c) for c in study.items[i].options}) for i in items
        }
        table = pd.DataFrame(codes, dtype=float).corr(min_periods=10)
        for place, item in enumerate(items):
            for other in items[place + 1 :]:
                if table.loc[item, other] < 0:
                    rows.append((name, item, other, float(table.loc[item, other])))
    return pd.DataFrame(rows, columns=["sum", "item", "other", "correlation"])


def quality_effect(cleaned: Cleaned, study: Study) -> pd.DataFrame:
    """Return what each rule of response quality does to the headline figures, unweighted.

    Args:
        cleaned: What `clean_responses` gave.
        study: The wave.

    Returns:
        One row a rule and indicator: rule, action, n_rows, indicator, with_pct (rows the rule hits
        counted), without_pct, difference_points.
    """
    rows = []
    for rule in study.config.quality:
        name = rule.rule.upper()
        hit = cleaned.flags.loc[cleaned.flags["flag"] == name, "file_row"]
        people, out = cleaned.respondents, cleaned.set_aside
        extra = out[out["reason_code"] == name].drop(columns="reason_code")
        if rule.action == "quarantine":
            hit = extra["file_row"]
            people = pd.concat([people, extra], ignore_index=True) if len(extra) else people
        without = people[~people["file_row"].isin(hit)]
        for indicator in study.config.indicators.values():
            pair = [_unweighted_pct(each, indicator, study=study) for each in (people, without)]
            label = indicator.short_label or indicator.label
            rows.append((name, rule.action, len(hit), label, *pair, pair[1] - pair[0]))
    names = "rule action n_rows indicator with_pct without_pct difference_points"
    return pd.DataFrame(rows, columns=names.split())


def _unweighted_pct(respondents: pd.DataFrame, indicator: Indicator, *, study: Study) -> float:
    shares = study.items[indicator.item].indicators(respondents, base=indicator.base)
    hit = shares[[c for c in indicator.codes if c in shares]].sum(axis=1, min_count=1)
    return float(100 * hit.mean()) if hit.notna().any() else np.nan


def compare_before_after(raw: RawResponses, cleaned: Cleaned, *, study: Study) -> pd.DataFrame:
    """Return the distribution of region, age and sex as delivered and as analysed; counts only.

    Args:
        raw: What `read_responses` gave.
        cleaned: What `clean_responses` gave.
        study: The wave.

    Returns:
        item, label, value, value_label, n_before, n_after, before_pct, after_pct. A code that
        is not the study's, or none, is "no_answer" before.
    """
    design = study.config.design
    nobody = np.zeros(len(raw.table), dtype=bool)  # what cleaning accepted does not stop here
    table = coding.split_multiple(raw.table, study, counted=nobody)
    before = coding.code_cells(table, study, day_zero=raw.day_zero, counted=nobody)
    frame = _frame(before, [design.region, design.age_band, design.sex], study=study)
    frame = derive_variables(frame, study)
    parts = []
    for name in filter(None, (design.region, design.age_band, design.sex)):
        item, after = study.items[name], cleaned.respondents[name]
        labels = _all_labels(study, name) | {NO_ANSWER: item.labels[NO_ANSWER]}
        codes = list(labels)
        counts = [frame[name].value_counts(), after.value_counts()]
        part = pd.DataFrame({"value": codes}).assign(item=name, label=item.short_label)
        part["value_label"] = part["value"].map(labels)
        for when, count in zip(("before", "after"), counts, strict=True):
            part[f"n_{when}"] = part["value"].map(count).fillna(0).astype(int)
            part[f"{when}_pct"] = 100 * part[f"n_{when}"] / max(part[f"n_{when}"].sum(), 1)
        parts.append(part[(part["n_before"] > 0) | (part["n_after"] > 0)])
    names = "item label value value_label n_before n_after before_pct after_pct".split()
    return pd.concat(parts, ignore_index=True)[names]


def ledger_rows(cleaned: Cleaned, study: Study) -> pd.DataFrame:
    """Return the ledger as rows of the estimates table: read, analysed, quarantined, by reason."""
    ledger = cleaned.ledger
    is_out = ledger["outcome"] == "quarantined"
    n_out = int(ledger.loc[is_out, "n_rows"].sum())
    counts = {
        "read": int(ledger["n_rows"].sum()),
        "analysed": int(ledger.loc[~is_out, "n_rows"].sum()),
        "quarantined": n_out,
        **dict(zip(ledger["reason_code"][is_out], ledger["n_rows"][is_out], strict=True)),
    }
    labels = {
        "read": "届いた行",
        "analysed": "分析した行",
        "quarantined": "別に置いた行",
    } | ROW_REASONS
    rows = pd.DataFrame(
        {"item_value": list(counts), "estimate": [float(n) for n in counts.values()]}
    )
    rows["item_label"] = rows["item_value"].map(labels)
    return rows.assign(
        wave=study.year,
        table_id="ledger",
        measure="count",
        unit="rows",
        domain="all",
        domain_value="all",
        item="ledger",
        weighting="unweighted",
        status="published",
    ).reindex(columns=ESTIMATE_COLUMNS)


def save_cleaned(cleaned: Cleaned, raw: RawResponses, *, study: Study) -> None:
    """Write every table of cleaning under private/: nothing of it leaves the machine as it is.

    Args:
        cleaned: What `clean_responses` gave.
        raw: The file it was made from; its facts go to inputs.json.
        study: The wave.
    """
    counts = cleaned.cells.groupby(["variable", "reason_code"], as_index=False).size()
    study.save("private/respondents.parquet", cleaned.respondents)
    study.save("private/quarantine.csv", cleaned.quarantine)
    study.save("private/ledger.csv", cleaned.ledger)
    study.save("private/cells.csv", counts.rename(columns={"size": "n_cells"}))
    study.save("private/cell_rows.csv", cleaned.cells)
    study.save("private/repairs.csv", cleaned.repairs)
    study.save("private/flags.csv", cleaned.flags)
    study.save("private/inputs.json", raw.facts)


# --- drift between waves ------------------------------------------------------------------------


def compare_codebooks(study: Study, previous: Study) -> pd.DataFrame:
    """Return what came, went or changed between two waves' codebooks.

    Args:
        study: This wave.
        previous: The earlier wave.

    Returns:
        item, change (item_new, item_gone, version_changed, code_new, code_gone, label_changed,
        order_changed, scale_changed, base_changed), detail (codes concerned), comparable: False
        where the series of the item is cut.
    """
    rows = []
    ours, theirs = study.items, previous.items
    for name in dict.fromkeys([*theirs, *ours]):
        if name not in theirs:
            rows.append((name, "item_new", "", False))
        elif name not in ours:
            rows.append((name, "item_gone", "", False))
        else:
            rows += _compare_item(name, study=study, previous=previous)
    return pd.DataFrame(rows, columns=["item", "change", "detail", "comparable"])


def _compare_item(name: str, *, study: Study, previous: Study) -> list[tuple[str, str, str, bool]]:
    now, then = study.items[name], previous.items[name]
    found = []
    if now.version != then.version:
        found.append((name, "version_changed", f"{then.version} -> {now.version}", False))
    codes, old = _all_labels(study, name), _all_labels(previous, name)
    came, went = [c for c in codes if c not in old], [c for c in old if c not in codes]
    both = [c for c in codes if c in old]
    reworded = [c for c in both if label_key(codes[c]) != label_key(old[c])]
    cut = now.version != then.version
    if came:
        found.append((name, "code_new", ", ".join(came), False))
    if went:
        found.append((name, "code_gone", ", ".join(went), False))
    if reworded:
        found.append((name, "label_changed", ", ".join(reworded), False))
    if both != [c for c in old if c in codes]:
        found.append((name, "order_changed", "", False))
    if tidy_cell(now.label) != tidy_cell(then.label) and not cut:
        found.append((name, "wording_changed", "", False))
    for change, column in (("scale_changed", "scale"), ("base_changed", "ask_if")):
        pair = [_first(s, name, column=column) for s in (previous, study)]
        if pair[0] != pair[1]:
            found.append((name, change, "", False))
    return found


def _all_labels(study: Study, item: str) -> dict[str, str]:
    """Return the label of every code of an item, answers or not, in questionnaire order."""
    mine = study.codebook.codes[study.codebook.codes["item"] == item]
    listed = dict(zip(mine["code"], mine["code_label"], strict=True))
    return listed or dict(study.items[item].options)


def _first(study: Study, item: str, *, column: str) -> str:
    mine = study.codebook.columns.loc[study.codebook.columns["item"] == item, column]
    return mine.iloc[0] if len(mine) else ""
