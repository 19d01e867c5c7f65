"""Who is analysed, and what became of every other row: quarantine, ledger, decisions, quality.

Rows read = analysed + quarantined, for every file, always. Reading is `reading`, the meaning of a
cell is `coding`; here rows are judged, in a fixed order, and each leaves for one reason only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tsunagari.errors import ConfigError, InputError, show_rows
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.intake import coding, columns, judging, multi_answer, received
from tsunagari.intake.coding import CodedSheet
from tsunagari.intake.columns import Coded
from tsunagari.intake.decisions import (
    correct_answers,
    decisions_error,
    read_decisions,
    refuse_bad_corrections,
    rows_decided,
)
from tsunagari.intake.deriving import derive_variables
from tsunagari.intake.judging import tidy_cell
from tsunagari.intake.received import RawResponses
from tsunagari.study.codebook import NO_ANSWER, parse_condition
from tsunagari.study.settings import QualityRule
from tsunagari.study.survey import Study

RULE_VERSION = "5"  # raised whenever a rule of this room or of coding changes its outcome
CONFLICT_LIMIT = 0.01  # share of rows whose id stands for different answers; standard ID-02
_PERIOD = re.compile(
    r"(\d{4})年\s*(\d{1,2})月?(?:\d{1,2}日)?(?:\s*[〜～~\-から]+\s*(?:(\d{4})年)?(\d{1,2})月)?"
)
SAME_ANSWERS_COLUMNS = 30  # in a shorter questionnaire two people do give the same answers
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
        quarantine: file_row, respondent_id (blank where the row has none that can be read), reason
            (reason_code in Japanese), reason_code, rule_version, raw_line; one row a row set aside.
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
    counted = ~rows_decided(decisions, "exclude", n=len(raw.table))
    table = multi_answer.split_multiple(raw.table, study, counted=counted)
    table, corrections = correct_answers(table, decisions)
    sheet = coding.code_cells(table, study, day_zero=raw.day_zero, counted=counted)
    refuse_bad_corrections(sheet, decisions, age=study.config.design.age)
    _refuse_second_header(sheet, study=study)
    rows = _Rows(sheet, study=study, decisions=decisions)
    rows.judge()
    _refuse_unknown_region(rows, study=study)
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
        self.accepted = rows_decided(decisions, "accept", n=len(self.raw))
        self.excluded = rows_decided(decisions, "exclude", n=len(self.raw))

    def judge(self) -> None:
        """Work through the reasons in their order."""
        self.give("BLANK_ROW", self._is_blank())
        self.give("TRAILER_LINE", self._is_trailer())
        self.give("EXCLUDED_BY_DECISION", self.excluded)
        self._judge_ids()
        self._judge_duplicates()
        self._log_ids()
        self.give("EXCEL_ERROR_VALUE", self.has_cell("EXCEL_ERROR_VALUE"))
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
            raise decisions_error(
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

    def has_cell(self, *reasons: str, variable: str = "") -> np.ndarray:
        """Return the rows with a cell, of one variable or any, that was blanked for a reason."""
        mask = np.zeros(len(self.raw), dtype=bool)
        for positions, name, why in self.sheet.log.cells:
            if why in reasons and variable in ("", name):
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
        last = np.arange(max(0, len(self.raw) - received.TRAILER_ROWS), len(self.raw))
        columns = [self.sheet.log.raw_values(last, name) for name in self.raw.columns]
        for position, texts in zip(last, zip(*columns, strict=True), strict=True):
            filled = [tidy_cell(text) for text in texts if tidy_cell(text)]
            if 0 < len(filled) <= max(2, len(columns) // 4):
                mask[position] = mask.any() or bool(received.TRAILER.match(filled[0]))
            mask[position] |= bool(received.TRAILER.fullmatch(self.ids.iloc[position]))
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
        is_odd = self.given_ids.str.contains(judging.CONTROL_PATTERN, regex=True).to_numpy(bool)
        self.give("ID_INVALID", is_odd)

    def _refuse_personal_ids(self) -> None:
        ids = pa.array(self.ids)
        hits = pa.compute.match_substring_regex(ids, pattern="|".join(_PERSONAL))
        personal = hits.to_numpy(zero_copy_only=False) & (self.reasons == 0)
        if not personal.any():
            return
        found = show_rows(self.raw.index[personal])
        raise InputError("ID_PERSONAL", id_column=self.id_column, n=personal.sum(), found=found)

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
            raise decisions_error(
                [f"同じ回答者番号を二つ accept (one id accepted twice): {rows_text}"]
            )

    def _refuse_many_conflicts(self, conflict: np.ndarray) -> None:
        many = max(columns.BAD_CELL_MINIMUM - 1, CONFLICT_LIMIT * len(self.raw))
        if conflict.sum() > many:
            rows = show_rows(self.raw.index[conflict])
            raise InputError("ID_CONFLICT", id_column=self.id_column, n=conflict.sum(), rows=rows)

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
        table = derive_variables(as_frame(self.sheet, names, study=self.study), self.study)
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
            self._close_unopened(gone, least=len(tail))

    def _close_unopened(self, gone: np.ndarray, *, least: int) -> None:
        """Take options all unchosen for no answer where the questions around them are blank.

        REDCap and its like deliver 0 for every option of a form that was never opened: after the
        last answer of who is `gone`, or among `least` required questions left out in a row (A28).
        """
        kinds, items = self.sheet.book.kinds, self.sheet.book.items
        asked = [v for v, kind in kinds.items() if kind in ("SA", "MA", "OA")]
        names = list(dict.fromkeys(items[v] if kinds[v] == "MA" else v for v in asked))
        multiple = {items[v] for v in asked if kinds[v] == "MA"}
        n_left_out, before = np.zeros(len(gone), dtype=np.int16), {}
        for name in names:
            n_left_out = self._left_out_with(name, n_left_out)
            before |= {name: n_left_out} if name in multiple else {}
        n_left_out = np.where(gone, least, 0).astype(np.int16)
        for name in reversed(names):
            n_left_out = self._left_out_with(name, n_left_out)
            if name in multiple:
                column = self.sheet.columns[name]
                is_closed = (n_left_out + before[name] >= least) & column.among(["answered"])
                self.sheet.log.blank(np.flatnonzero(is_closed), name, reason="NOT_OPENED")
                codes = np.where(is_closed, column.names.index(NO_ANSWER), column.codes)
                self.sheet.columns[name] = replace(column, codes=codes.astype(np.int8))

    def _left_out_with(self, name: str, n_before: np.ndarray) -> np.ndarray:
        """Return how many required questions stand unanswered in a row, up to this one."""
        book, column = self.sheet.book, self.sheet.columns.get(name)
        if column is None:
            return n_before * self.sheet.texts[name].isna().to_numpy()
        if book.kinds.get(name) != "SA":
            chosen = [self.sheet.columns[v].among(["1"]) for v in book.options(name)]
            return n_before * ~np.any(chosen, axis=0)
        silent = column.among(column.no_answer)
        return (n_before + (silent & book.required[name])) * (silent | ~column.is_given)


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
            "QUALITY_RULE", names=", ".join(unknown), value=", ".join(unknown) or "nothing"
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
        raise InputError("HEADER_SECOND_ROW", n=len(bad))


def _refuse_unknown_region(rows: _Rows, *, study: Study) -> None:
    """Refuse a region or age class that the study does not have, unless a decision settles it."""
    design, cells = study.config.design, study.config.weighting.cells
    for name in (design.region, design.age_band):
        if name not in cells or name not in rows.sheet.columns:
            continue
        wrong = rows.has_cell("OUT_OF_RANGE", "NOT_A_CODE", variable=name)
        wrong &= (rows.reasons == 0) | (rows.reasons == rows.names.index("NO_CELL"))
        if wrong.any():
            key = "REGION_UNKNOWN" if name == design.region else "AGE_UNKNOWN"
            found = show_rows(rows.raw.index[wrong])
            raise InputError(key, name=name, n=wrong.sum(), rows=found)


# --- results ------------------------------------------------------------------------------------


def _column(column: Coded, *, keep: np.ndarray) -> pd.api.extensions.ExtensionArray:
    """Return some rows of a column as respondents hold it."""
    if column.numbers is not None:
        return pd.array(column.numbers[keep], dtype="Float64")
    if column.names == ("0", "1"):
        codes = column.codes[keep]
        return pd.arrays.IntegerArray(codes, codes < 0)
    return column.to_text(keep)


def as_frame(sheet: CodedSheet, names: Iterable[str | None], *, study: Study) -> pd.DataFrame:
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
            "respondent_id": rows.given_ids.fillna("").to_numpy()[out],
            "reason_code": [rows.names[place] for place in rows.reasons[out]],
        }
    )
    kinds = {"file_row": "int64", "respondent_id": "str", "reason_code": "str"}
    rejected = raw.rejected.assign(respondent_id="")
    table = pd.concat([judged.astype(kinds), rejected.astype(kinds)])
    table = table.sort_values("file_row", ignore_index=True)
    table.insert(2, "reason", table["reason_code"].map(ROW_REASONS))
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
        raise LedgerError("LEDGER", n_read=n_read, n_found=n_found)
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
        "analysed": "分析した回答",
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
    ).reindex(columns=ESTIMATE_COLUMNS)
