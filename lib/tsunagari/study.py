"""What is this study, and where do its files lie: study.yaml, codebook, paths, reading, writing."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tsunagari.estimates import NUMBERS

NO_ANSWER = "no_answer"  # asked, and no usable answer was given; never a code of a questionnaire

ALIKE = str.maketrans("ヶヵ〜−—―", "ケカ~---")  # written one for the other, also by encodings

_CODEBOOK_COLUMNS = (
    "question_no item variable type label short_label code code_label role min max ask_if required "
    "scale sensitive waves version certainty_wording certainty_options certainty_order source"
).split()
_TYPES = ("SA", "MA", "NUM", "OA", "ID", "DATE")
_ROLES = ("answer", "other", "exclusive", "no_answer", "refused", "dont_know", "not_applicable")
_UNTIDY_CODE = r"[\uff01-\uff5e\u3000]|^\s|\s$"
MISSING_ROLES = ("no_answer", "refused", "dont_know", "not_applicable")


# --- errors -----------------------------------------------------------------------------------


class SurveyError(Exception):
    """One clear sentence in Japanese and English that says what broke and what to do.

    The text names variables, counts and file rows, and never an answer's value: it may be printed
    anywhere.

    Args:
        code: Short stable name such as "CODE_UNKNOWN".
        ja: The sentence in Japanese.
        en: The same sentence in English.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, ja: str, en: str) -> None:
        super().__init__(code, ja, en)
        self.code, self.ja, self.en = code, ja, en

    def __str__(self) -> str:
        return f"E-{self.code}: {self.ja} / {self.en}"


class InputError(SurveyError):
    """A data file cannot be used as it is."""

    exit_code = 2


class DisclosureError(SurveyError):
    """A figure could point at a person."""

    exit_code = 3


class ModelError(SurveyError):
    """A weight, an estimate or a model cannot be computed."""

    exit_code = 4


class ConfigError(SurveyError):
    """The study file, the codebook or a parameter is wrong."""

    exit_code = 5


class KernelError(SurveyError):
    """A notebook's kernel died."""

    exit_code = 70


class WriteError(SurveyError):
    """A result cannot be written."""

    exit_code = 74


class LockedError(SurveyError):
    """Another run of the same report is under way."""

    exit_code = 75


# --- study.yaml ---------------------------------------------------------------------------------

Code = str  # as written, also without quotes: see _AsWritten


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )


class Period(_Part):
    """One year of records, without a survey."""

    previous: int | None = None


class Wave(Period):
    """One survey year: its files and when it was asked."""

    responses: str
    synthetic: str | None = None
    sheet: str | None = None
    fieldwork: str
    population_date: str | None = None
    population_note: str | None = None
    benchmark_year: int | None = None
    expected_rows: int | None = Field(default=None, ge=1)


class FileFormat(_Part):
    """How the answers are delivered."""

    format: Literal["csv", "xlsx", "sav", "dta"] = "csv"
    encodings: tuple[str, ...] = ("utf-8-sig", "utf-8", "cp932")
    unknown_columns: Literal["error", "ignore"] = "error"
    how_to_get: str | None = None


class Columns(_Part):
    """Columns of the answer file that are not questions."""

    respondent_id: str
    duration_seconds: str | None = None
    answered_on: str | None = None


class MultiAnswer(_Part):
    """What a chosen and an unchosen option hold; "code" is the option's own code.

    not_asked: marks of whom the question was not put to. mentions: by item, the columns that hold
    the first, second, ... answer.
    """

    chosen: Code = "1"
    unchosen: Code = "0"
    separator: str | None = None
    not_asked: tuple[Code, ...] = ()
    mentions: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Design(_Part):
    """Which variables are region, age and sex, and who belongs to the population."""

    region: str
    age_band: str
    age: str | None = None
    sex: str | None = None
    minimum_age: int = Field(default=0, ge=0, le=120)
    mode: str = "ウェブ調査"
    error_note: str = "誤差は割付セルを層とし、層内の無作為抽出とみなした参考値"


class Band(_Part):
    """A band of a number, both ends included; `to: null` is open."""

    code: Code
    label: str
    from_: float = Field(alias="from")
    to: float | None = None


class Net(_Part):
    """Codes that may be merged under one name."""

    code: Code
    label: str
    of: tuple[Code, ...] = Field(min_length=1)


class Derived(_Part):
    """A variable made from others: bands of a number, the sum of a scale, or merged codes."""

    label: str
    short_label: str | None = None
    bands_of: str | None = None
    bands: tuple[Band, ...] = ()
    sum_of: tuple[str, ...] = ()
    from_: float | None = Field(default=None, alias="from")
    to: float | None = None
    scale: str | None = None
    recode_of: str | None = None
    classes: tuple[Net, ...] = ()
    sensitive: Literal["high", "normal"] = "normal"

    @property
    def kind(self) -> str:
        """Which of bands, sum or recode this is."""
        given = [
            kind
            for kind, value in (
                ("bands", self.bands_of and self.bands),
                ("sum", self.sum_of),
                ("recode", self.recode_of and self.classes),
            )
            if value
        ]
        return given[0] if len(given) == 1 else "unclear"


class Region(_Part):
    """A region and the municipalities it holds."""

    label: str
    municipalities: tuple[str, ...] = ()


class Margin(_Part):
    """One margin for raking: its variables and the file that holds its targets."""

    by: tuple[str, ...] = Field(min_length=1)
    targets: str


class Collapse(_Part):
    """Codes of one cell variable that are weighted as one, everywhere or where `where` holds."""

    variable: str
    codes: tuple[Code, ...] = Field(min_length=2)
    where: dict[str, tuple[Code, ...]] = Field(default_factory=dict)


class Weighting(_Part):
    """How respondents are weighted to the population."""

    method: Literal["post_stratification", "raking", "given"]
    label: str
    cells: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    psu: str | None = None
    fpc: str | None = None
    lonely_psu: Literal["collapse", "certainty", "adjust"] = "collapse"
    targets: str | None = None
    base_weight: str | None = None
    sample_share: dict[str, tuple[Code, ...]] = Field(default_factory=dict)
    collapse: tuple[Collapse, ...] = ()
    minimum_cell_n: int = Field(default=1, ge=1)
    trim_ratio: float | None = Field(default=None, gt=1)
    margins: tuple[Margin, ...] = ()
    other_targets: dict[str, str] = Field(default_factory=dict)


class QualityRule(_Part):
    """One rule of response quality and what it leads to."""

    rule: Literal["speeder", "straightliner", "duplicate_text", "inconsistent", "test_record"]
    variable: str | None = None
    items: tuple[str, ...] = ()
    threshold: float | None = None
    when: str | None = None
    action: Literal["flag", "quarantine"] = "flag"


class Indicator(_Part):
    """A share that the report speaks of: whose answer counts, out of whom."""

    label: str
    short_label: str | None = None
    item: str
    codes: tuple[Code, ...] = Field(min_length=1)
    base: Literal["asked", "answered"] = "asked"


class Tables(_Part):
    """Which tables are made."""

    base: Literal["asked", "answered"] = "asked"
    axes: tuple[str | tuple[str, ...], ...]
    crosses: tuple[str, ...]
    joint: tuple[tuple[str, str], ...] = ()
    axis_nets: dict[str, tuple[Code, ...]] = Field(default_factory=dict)


class Model(_Part):
    """The factors of loneliness that the model holds."""

    outcomes: tuple[str, ...]
    factors: tuple[str, ...]
    reference: dict[str, Code] = Field(default_factory=dict)


class Marks(_Part):
    """When a difference is marked."""

    point_threshold: float = Field(default=3.0, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)


class Disclosure(_Part):
    """Thresholds of the gate, in unweighted respondents; never below 5."""

    base_minimum: int = Field(default=10, ge=5)
    threshold: int = Field(default=10, ge=5)
    threshold_two_way: int = Field(default=5, ge=5)
    base_reference: int = Field(default=30, ge=10)
    base_low: int = Field(default=50, ge=10)
    area: Literal["prefecture", "below"] = "prefecture"


class Benchmark(_Part):
    """Which published figures stand beside ours, and how questions map (ours: theirs).

    Region, age and sex map by `design`, another axis by `axes` or its name. Answers are matched by
    what they mean; `answers` maps those that are worded otherwise (by their name of the question,
    theirs: ours, null where we have none).
    """

    label: str
    table: str = "national"
    items: dict[str, str]
    axes: dict[str, str] = Field(default_factory=dict)
    answers: dict[str, dict[Code, Code | None]] = Field(default_factory=dict)
    caveat: str


class Chapters(_Part):
    """Which questions the chapters of the report go through."""

    loneliness: tuple[str, ...] = ()
    ties: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class RecordsFile(_Part):
    """study.yaml of a place that has records of its programmes and no survey."""

    study: str
    title: str
    area: str
    people: str
    waves: dict[int, Period] = Field(min_length=1)
    regions: dict[Code, Region] = Field(default_factory=dict)
    marks: Marks = Marks()
    disclosure: Disclosure = Disclosure()
    notes: tuple[str, ...] = ()


class StudyFile(RecordsFile):
    """study.yaml: everything that makes one survey different from another."""

    waves: dict[int, Wave] = Field(min_length=1)
    file: FileFormat = FileFormat()
    columns: Columns
    multi_answer: MultiAnswer = MultiAnswer()
    design: Design
    derive: dict[str, Derived] = Field(default_factory=dict)
    recode: dict[str, tuple[Net, ...]] = Field(default_factory=dict)
    weighting: Weighting
    quality: tuple[QualityRule, ...] = ()
    indicators: dict[str, Indicator]
    tables: Tables
    model: Model
    benchmark: Benchmark | None = None
    report: Chapters = Chapters()


# --- codebook -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """One question as tables see it.

    Attributes:
        name: Name of the item, such as "lonely_direct".
        label: Wording.
        short_label: Wording for figures.
        kind: SA, MA, NUM, OA or derived (a band or a merged answer, tabulated like SA).
        options: Label of every code that is an answer, in questionnaire order.
        missing: Label of every code that counts as asked but is no answer (refused, don't know).
        no_answer: Codes that stand for no answer.
        not_asked: Codes that put the person outside the base.
        nets: Label and codes of every net of the recode tree, finest first.
        columns: For MA the column of every option, in the order of `options`.
        exclusive: For MA the codes that exclude the others.
        sensitive: Whether the disclosure policy counts the item as sensitive.
        question_no: Number in the questionnaire; empty for a derived item.
        version: Version of the question in this wave.
        limits: For bands of a number the ends of every code, both included.
        scale: Version of the scale, such as "ucla3-4"; empty for what is none.
    """

    name: str
    label: str
    short_label: str
    kind: str
    options: dict[str, str]
    missing: dict[str, str] = field(default_factory=dict)
    no_answer: tuple[str, ...] = ()
    not_asked: tuple[str, ...] = ()
    nets: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    sensitive: bool = False
    question_no: str = ""
    version: str = "1"
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    scale: str = ""

    def indicators(self, respondents: pd.DataFrame, *, base: str = "asked") -> pd.DataFrame:
        """Return one 0/1 column for every code and net of this item.

        Args:
            respondents: Cleaned respondents, shape (n, any).
            base: "asked" counts people without an answer in the base and gives them a column
                `no_answer`; "answered" leaves them out, as it does refusals and don't knows.

        Returns:
            Shape (n, k), float, columns are codes then nets; NaN outside the base.
        """
        chosen, base_mask = self._chosen(respondents, base=base)
        for net, (_, codes) in self.nets.items():
            chosen[net] = np.any([chosen[c] for c in codes if c in chosen], axis=0)
        table = pd.DataFrame(chosen, index=respondents.index).astype(float)
        return table.where(pd.Series(base_mask, index=respondents.index), axis=0)

    def _chosen(
        self, respondents: pd.DataFrame, *, base: str
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        if self.kind == "MA":
            status = respondents[self.name]
            asked = status.notna().to_numpy()
            answered = (status == "answered").fillna(value=False).to_numpy(bool)
            chosen = {
                code: (respondents[column] == 1).fillna(value=False).to_numpy(bool)
                for code, column in zip(self.options, self.columns, strict=True)
            }
            none = asked & ~answered
        else:
            values = respondents[self.name].astype("string")
            codes = values.fillna("").to_numpy(str)
            asked = values.notna().to_numpy() & ~np.isin(codes, self.not_asked)
            chosen = {code: codes == code for code in (*self.options, *self.missing)}
            answered = np.isin(codes, list(self.options))
            none = np.isin(codes, [NO_ANSWER, *self.no_answer])
        if base == "answered":
            return {code: chosen[code] for code in self.options}, answered
        if none.any():
            chosen[NO_ANSWER] = none
        return chosen, asked

    @property
    def labels(self) -> dict[str, str]:
        """Label of every code and net."""
        nets = {name: label for name, (label, _) in self.nets.items()}
        return {**self.options, **self.missing, NO_ANSWER: "無回答", **nets}


@dataclass(frozen=True)
class Codebook:
    """The codebook of one wave.

    Attributes:
        columns: One row a column of the answer file, indexed by variable: item, type, label,
            short_label, ask_if, required, scale, min, max, sensitive, version, question_no.
        codes: One row a code: variable (for MA the option's column), item, code, code_label, role.
        table: The whole file as read, all waves.
    """

    columns: pd.DataFrame
    codes: pd.DataFrame
    table: pd.DataFrame

    def role(self, variable: str, *, roles: Iterable[str]) -> list[str]:
        """Return the codes of a variable that have one of these roles."""
        mine = self.codes[(self.codes["variable"] == variable) & self.codes["role"].isin(roles)]
        return mine["code"].tolist()


def _problem_list(problems: list[str]) -> str:
    shown = problems[:12]
    more = f" … (+{len(problems) - 12})" if len(problems) > 12 else ""
    return "; ".join(shown) + more


def read_codebook(path: Path, *, year: int) -> Codebook:
    """Read a codebook and keep the rows of one wave.

    Args:
        path: UTF-8 CSV, one row a code (for MA a row a column); docs/data_dictionary.md has the
            columns.
        year: Survey wave; rows whose `waves` name other years only are left out.

    Returns:
        The codebook of that wave.

    Raises:
        ConfigError: The file is missing or one of its rows breaks a rule; every mistake is named
            with its file row.
    """
    if not path.exists():
        raise ConfigError(
            "CODEBOOK_MISSING",
            f"コードブック {path.name} が {path.parent.name} にありません。置いてください。",
            f"There is no codebook {path.name} in {path.parent.name}: put it there.",
        )
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ConfigError(
            "CODEBOOK_UNREADABLE",
            f"コードブック {path.name} を UTF-8 の CSV として読めません。保存し直してください。",
            f"The codebook {path.name} cannot be read as a UTF-8 CSV: save it again.",
        ) from error
    table.index = pd.RangeIndex(2, len(table) + 2, name="file_row")
    problems = _check_codebook_columns(table)
    if not problems:
        in_wave = table["waves"].str.split().map(lambda years: not years or str(year) in years)
        kept = table[in_wave]
        problems = _check_codebook_rows(kept)
    if problems:
        raise ConfigError(
            "CODEBOOK",
            f"コードブック {path.name} に誤りがあります（{len(problems)} 件）: "
            f"{_problem_list(problems)}。直してください。",
            f"The codebook {path.name} has {len(problems)} mistake(s), listed before: mend them.",
        )
    return _split_codebook(kept, table)


def _check_codebook_columns(table: pd.DataFrame) -> list[str]:
    lacking = [name for name in _CODEBOOK_COLUMNS if name not in table.columns]
    unknown = [name for name in table.columns if name not in _CODEBOOK_COLUMNS]
    problems = [f"列 {name} がない (column missing)" for name in lacking]
    return problems + [f"列 {name} は使えない (column not allowed)" for name in unknown]


def _check_codebook_rows(table: pd.DataFrame) -> list[str]:
    problems = []
    first = table.drop_duplicates("variable")
    for row, kind in first["type"].items():
        if kind not in _TYPES:
            problems.append(f"{row} 行目 type は {'/'.join(_TYPES)} のどれか (one of these)")
    roles = table["role"].replace("", "answer")
    for row in table.index[~roles.isin(_ROLES)]:
        problems.append(f"{row} 行目 role は {'/'.join(_ROLES)} のどれか (one of these)")
    for row in table.index[table["code"].str.contains(_UNTIDY_CODE)]:
        problems.append(f"{row} 行目 code が全角か、前後に空白がある (full-width or with spaces)")
    for name in ("min", "max"):
        is_number = np.isfinite(pd.to_numeric(table[name].replace("", "0"), errors="coerce"))
        for row in table.index[~is_number]:
            problems.append(f"{row} 行目 {name} が数でない (not a number)")
    kinds = table["variable"].map(first.set_index("variable")["type"])
    owner = np.where(kinds == "MA", table["item"], table["variable"])
    coded = table.assign(owner=owner)[kinds.isin(["SA", "MA"])]
    for (owner_name, code), rows in coded.groupby(["owner", "code"]).groups.items():
        if len(rows) > 1:
            listed = "・".join(map(str, rows))
            problems.append(f"{owner_name} のコード {code} が重複 (duplicate code): {listed} 行目")
        if code == "":
            problems.append(f"{owner_name} のコードが空 (empty code): {rows[0]} 行目")
    repeated = table[~kinds.isin(["SA"]) & table["variable"].duplicated()]
    for row, name in repeated["variable"].items():
        problems.append(f"{row} 行目 {name} は一度だけ書く (variable repeated)")
    return problems


def _split_codebook(kept: pd.DataFrame, table: pd.DataFrame) -> Codebook:
    columns = kept.drop_duplicates("variable").set_index("variable")
    columns["item"] = columns["item"].where(columns["item"] != "", columns.index.to_series())
    filled = columns.replace("", None)
    texts = ["label", "short_label", "question_no", "ask_if", "scale", "version", "required"]
    ma = columns["type"] == "MA"
    columns.loc[ma, texts] = filled[ma].groupby("item")[texts].transform("first").fillna("")
    columns["short_label"] = columns["short_label"].where(
        columns["short_label"] != "", columns["label"]
    )
    columns["version"] = columns["version"].replace("", "1")
    codes = kept[kept["variable"].map(columns["type"]).isin(["SA", "MA"])].copy()
    codes["item"] = codes["variable"].map(columns["item"])
    codes["role"] = codes["role"].replace("", "answer")
    return Codebook(
        columns=columns,
        codes=codes[["variable", "item", "code", "code_label", "role"]],
        table=table,
    )


# --- skip logic -----------------------------------------------------------------------------------

Condition = tuple[str, tuple[str, ...]]


def parse_condition(text: str, *, where: str) -> list[Condition]:
    """Return the parts of `variable=code|code & variable=code`.

    Args:
        text: The condition.
        where: The variable or rule it belongs to, named in the message.

    Raises:
        ConfigError: It is not of that form.

    Example:
        >>> parse_condition("a=1|2 & b=3", where="c")
        [('a', ('1', '2')), ('b', ('3',))]
    """
    parts = []
    for part in filter(None, (each.strip() for each in text.split("&"))):
        name, equals, codes = part.partition("=")
        if not equals or not codes.strip():
            raise ConfigError(
                "CONDITION",
                f"{where} の条件を読めません。「変数=コード|コード & 変数=コード」の形で。",
                f"The condition of {where} cannot be read: write variable=code|code & ... .",
            )
        parts.append((name.strip(), tuple(code.strip() for code in codes.split("|"))))
    return parts


def skip_rules(codebook: Codebook) -> dict[str, list[Condition]]:
    """Return every question's condition, in an order in which each filter comes first.

    Raises:
        ConfigError: A rule names a variable or a code that is not there, or rules go round in a
            circle.
    """
    conditions = codebook.columns["ask_if"]
    rules = {v: parse_condition(text, where=v) for v, text in conditions.items() if text}
    if rules:
        _check_filters(rules, codebook)
    ordered: dict[str, list[Condition]] = {}
    while len(ordered) < len(rules):
        ready = [
            v
            for v, parts in rules.items()
            if v not in ordered and all(name in ordered or name not in rules for name, _ in parts)
        ]
        if not ready:
            left = ", ".join(v for v in rules if v not in ordered)
            raise ConfigError(
                "SKIP_RULE",
                f"ask_if が輪になっています: {left}。直してください。",
                f"ask_if goes round in a circle: {left}. Mend it.",
            )
        ordered.update({v: rules[v] for v in ready})
    return ordered


def _check_filters(rules: dict[str, list[Condition]], codebook: Codebook) -> None:
    """Refuse a filter that is no coded variable of the codebook, or a code it does not have."""
    kinds = codebook.columns["type"].to_dict()
    known = {name: {"0", "1"} if kind == "MA" else set() for name, kind in kinds.items()}
    for name, code in zip(codebook.codes["variable"], codebook.codes["code"], strict=True):
        if kinds[name] == "SA":
            known[name].add(code)
    for variable, parts in rules.items():
        for name, codes in parts:
            is_filter = bool(known.get(name)) and name != variable
            wrong = [code for code in codes if code not in known[name]] if is_filter else [name]
            if wrong:
                listed = ", ".join(wrong)
                raise ConfigError(
                    "SKIP_RULE",
                    f"{variable} の ask_if の {listed} はコードブックにない。直してください。",
                    f"ask_if of {variable} names {listed}, which the codebook lacks: mend it.",
                )


# --- the study ----------------------------------------------------------------------------------


# What a spreadsheet takes for a formula (OWASP ASVS 1.2.10), full-width forms too; an apostrophe of
# our own before it, or one that was there already.
_FORMULA = re.compile("^(?='*[=+@\t\r\0＝＋－＠-])")
_MARKED_FORMULA = "^'(?='*[=+@\t\r\0＝＋－＠-])"


def repository_root() -> Path:
    """Return the folder that holds data/ and reports/: the repository, or TSUNAGARI_ROOT."""
    return Path(os.environ.get("TSUNAGARI_ROOT") or Path(__file__).resolve().parents[2])


def processed_dir(name: str, year: int) -> Path:
    """Return the folder of a wave's results: the runner's staging folder while a run is on."""
    staging = os.environ.get("TSUNAGARI_STAGING")
    return Path(staging) if staging else repository_root() / "data/processed" / name / str(year)


STAMP = "private/wave.txt"  # in a folder of results: whose they are


def stamp_wave(folder: Path, *, name: str, year: int) -> None:
    """Write into a folder of results whose they are, or check that they are this wave's.

    Raises:
        ConfigError: They are another wave's: a notebook's STUDY or YEAR is not the one asked for.
    """
    path = folder / STAMP
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name} {year}\n", encoding="utf-8")
    check_wave(path.read_text(encoding="utf-8", errors="replace").strip(), name=name, year=year)


def check_wave(found: str, *, name: str, year: int) -> None:
    """Check that results which say whose they are, such as "ehime 2022", are this wave's.

    Raises:
        ConfigError: They are another wave's.
    """
    if found != f"{name} {year}":
        raise ConfigError(
            "WAVE_OTHER",
            f"{name} {year} の結果を、別の調査や年のフォルダーと取り違えています。ノートブックの "
            "STUDY と YEAR を確かめ、make report を実行してください。",
            f"The results of {name} {year} are mixed up with another study's or year's folder: "
            "check STUDY and YEAR of the notebook and run make report.",
        )


def release_dir(name: str, year: int) -> Path:
    """Return the folder of a wave's released files."""
    return repository_root() / "reports" / name / str(year)


def read_table(path: Path) -> Any:
    """Read a parquet or CSV table, or a JSON text, by the ending of its name.

    Raises:
        InputError: The file is not there: an earlier notebook has not run.
    """
    if not path.exists():
        by_report = path.parent.name == "published"  # written by the gate, which is no notebook
        raise InputError(
            "STEP_MISSING",
            f"{path.parent.name}/{path.name} がまだありません。"
            f"{'make report' if by_report else '前のノートブック'}を先に実行してください。",
            f"{path.parent.name}/{path.name} is not there yet: run "
            f"{'make report' if by_report else 'the earlier notebooks'} first.",
        )
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    table = pd.read_csv(
        path, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig"
    )
    table = table.apply(lambda column: column.str.replace(_MARKED_FORMULA, "", regex=True))
    numbers = [name for name in NUMBERS if name in table.columns]
    return table.astype(dict.fromkeys(numbers, float))


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; nothing where there is none, or it is torn or no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_table(path: Path, table: Any) -> None:
    """Write a table as parquet or CSV, a dictionary as JSON or a page; same input, same bytes.

    A dictionary of tables named .xlsx becomes a workbook, a sheet a table. A CSV is one that Excel
    opens: a mark of UTF-8, and a text that would be a formula begins with an apostrophe, which
    `read_table` takes away again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".xlsx":
        safe = {"options": {"strings_to_formulas": False, "strings_to_urls": False}}
        with pd.ExcelWriter(path, engine="xlsxwriter", engine_kwargs=safe) as book:
            book.book.set_properties({"created": datetime(1980, 1, 1)})
            for sheet, part in table.items():
                part.to_excel(book, sheet_name=sheet, index=False)
    elif path.suffix == ".json":
        text = json.dumps(table, ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")
    elif path.suffix == ".html":
        path.write_text(table, encoding="utf-8", newline="\n")
    else:
        texts = table.select_dtypes(exclude=["number", "bool"]).astype(object)
        safe = texts.map(lambda text: _FORMULA.sub("'", text) if isinstance(text, str) else text)
        table = table.assign(**{str(name): safe[name] for name in safe})
        table.to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\n")


@dataclass(frozen=True)
class Study:
    """One wave of one study: what it asked, how it is analysed, where its files lie.

    Attributes:
        name: Folder under data/raw.
        year: Survey wave.
        config: The checked study.yaml.
        codebook: The codebook of this wave.
    """

    name: str
    year: int
    config: Any  # StudyFile, or RecordsFile where there is no survey
    codebook: Codebook

    @property
    def wave(self) -> Wave:
        """What study.yaml says of this wave."""
        return self.config.waves[self.year]

    @cached_property
    def texts(self) -> dict[str, Any]:
        """The study's own texts of the report: texts.yaml beside study.yaml, {} without one."""
        path = self.raw_dir / "texts.yaml"
        return (_read_yaml(path, yaml.SafeLoader) if path.exists() else None) or {}

    @property
    def raw_dir(self) -> Path:
        """Folder of study.yaml, codebook and targets."""
        return repository_root() / "data/raw" / self.name

    @property
    def wave_dir(self) -> Path:
        """Folder of this wave's files as received."""
        return self.raw_dir / str(self.year)

    @property
    def responses_path(self) -> Path:
        """The answer file: the real one where it is there, else the synthetic sample.

        Raises:
            InputError: Neither is there.
        """
        real = self.wave_dir / self.wave.responses
        sample = self.wave_dir / (self.wave.synthetic or self.wave.responses)
        found = next((path for path in (real, sample) if path.exists()), None)
        if found is None:
            place = f"data/raw/{self.name}/{self.year}/{self.wave.responses}"
            hint = f" {self.config.file.how_to_get}" if self.config.file.how_to_get else ""
            raise InputError(
                "RESPONSES_MISSING",
                f"回答ファイル {place} がありません。そこに置いてください。{hint}",
                f"There is no answer file {place}: put it there.",
            )
        if not found.is_file():
            raise InputError(
                "RESPONSES_FOLDER",
                "responses がファイルではなくフォルダーです。回答ファイルを置いてください。",
                "responses is a folder, not a file: put the answer file there.",
            )
        return found

    @property
    def has_survey(self) -> bool:
        """Whether people were asked; a study of records alone has no answers, weights or tables."""
        return isinstance(self.config, StudyFile)

    @property
    def records_dir(self) -> Path:
        """Folder of the programmes' records; it need not be there."""
        return self.wave_dir / "programmes"

    @property
    def is_synthetic(self) -> bool:
        """Whether this wave's answers are the synthetic sample."""
        return self.has_survey and self.responses_path != self.wave_dir / self.wave.responses

    @property
    def synthetic_inputs(self) -> list[str]:
        """Names of all synthetic inputs of this wave's report, an earlier wave's included.

        Of the programmes' records those that notebook 06 says it has read.
        """
        waves = [self] + ([self.previous] if self.previous else [])
        answers = [f"{w.year}/{w.responses_path.name}" for w in waves if w.is_synthetic]
        told = read_json(self.processed_dir / "published/programmes.json")
        return answers + told.get("synthetic_files", [])

    @cached_property
    def previous(self) -> Study | None:
        """The earlier wave that this one is compared with."""
        if self.wave.previous is None:
            return None
        return open_study(self.name, self.wave.previous)

    @property
    def processed_dir(self) -> Path:
        """Folder of results, with private/ and published/."""
        return processed_dir(self.name, self.year)

    def save(self, name: str, table: Any) -> None:
        """Write a table or a dictionary under the processed folder.

        Args:
            name: Zone and file, such as "private/weights.parquet".
            table: DataFrame for .parquet and .csv, dictionary for .json.

        Raises:
            ConfigError: The folder holds another wave's results; see `stamp_wave`.
        """
        stamp_wave(self.processed_dir, name=self.name, year=self.year)
        write_table(self.processed_dir / name, table)

    def load(self, name: str) -> Any:
        """Read what `save` wrote under the same name; it raises what `save` does."""
        if (path := self.processed_dir / name).exists():
            stamp_wave(self.processed_dir, name=self.name, year=self.year)
        return read_table(path)

    @property
    def benchmark_dir(self) -> Path:
        """Folder of the published figures that stand beside ours."""
        return repository_root() / "data/raw" / self.config.benchmark.table

    @cached_property
    def items(self) -> dict[str, Item]:
        """Every item that tables can show, in questionnaire order, derived ones last."""
        if not self.has_survey:
            return {}
        found = {}
        for name, columns in self.codebook.columns.groupby("item", sort=False):
            kind = columns["type"].iloc[0]
            if kind in ("SA", "MA", "NUM", "OA"):
                found[name] = self._question(name, columns)
        return found | {name: self._derived(name) for name in self.config.derive}

    def _nets(self, name: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        return {net.code: (net.label, net.of) for net in self.config.recode.get(name, ())}

    def _question(self, name: str, columns: pd.DataFrame) -> Item:
        first = columns.iloc[0]
        codes = self.codebook.codes[self.codebook.codes["item"] == name]
        is_missing = codes["role"].isin(MISSING_ROLES)
        counted = codes["role"].isin(["refused", "dont_know"])
        to_labels = codes.set_index("code")["code_label"]
        options = to_labels[(~is_missing).to_numpy()].to_dict()
        kept = codes[~is_missing]
        return Item(
            name=name,
            label=first["label"],
            short_label=first["short_label"],
            kind=first["type"],
            options=options,
            missing=to_labels[counted.to_numpy()].to_dict(),
            no_answer=tuple(codes.loc[codes["role"] == "no_answer", "code"]),
            not_asked=tuple(codes.loc[codes["role"] == "not_applicable", "code"]),
            nets=self._nets(name),
            columns=tuple(kept["variable"]) if first["type"] == "MA" else (),
            exclusive=tuple(codes.loc[codes["role"] == "exclusive", "code"]),
            sensitive=bool((columns["sensitive"] == "high").any()),
            question_no=first["question_no"],
            version=first["version"],
            scale=first["scale"],
        )

    def _derived(self, name: str) -> Item:
        rule = self.config.derive[name]
        classes = rule.bands if rule.kind == "bands" else rule.classes
        parts = self.config.derive.get(rule.bands_of or "", rule)
        return Item(
            name=name,
            label=rule.label,
            short_label=rule.short_label or rule.label,
            kind="NUM" if rule.kind == "sum" else "derived",
            options={each.code: each.label for each in classes},
            nets=self._nets(name),
            sensitive=rule.sensitive == "high",
            limits={b.code: (b.from_, np.inf if b.to is None else b.to) for b in rule.bands},
            scale=parts.scale or "",
        )

    @property
    def labels(self) -> dict[str, dict[str, str]]:
        """Label of every code of every item."""
        return {name: item.labels for name, item in self.items.items()}

    @property
    def axes(self) -> list[list[str]]:
        """Every axis of the table plan as a list of variables."""
        return [[a] if isinstance(a, str) else list(a) for a in self.config.tables.axes]


def open_study(name: str, year: int) -> Study:
    """Open one wave of a study and check its study file and codebook.

    Args:
        name: Folder under data/raw, such as "ehime".
        year: Survey wave, four digits.

    Returns:
        The study.

    Raises:
        ConfigError: No such study or wave, or a mistake in study.yaml or the codebook; every
            mistake is named with its key and what is allowed.
    """
    folder = repository_root() / "data/raw"
    known = sorted(path.parent.name for path in folder.glob("*/study.yaml"))
    if name not in known:
        raise ConfigError(
            "STUDY_UNKNOWN",
            f"調査「{name}」はありません。選べるもの: {', '.join(known) or 'なし'}。",
            f"There is no study '{name}'; choose one of: {', '.join(known) or 'none'}.",
        )
    config = _read_study_file(folder / name / "study.yaml")
    if year not in config.waves:
        waves = ", ".join(map(str, sorted(config.waves)))
        raise ConfigError(
            "WAVE_UNKNOWN",
            f"調査「{name}」に {year} 年はありません。選べる年: {waves}。",
            f"Study '{name}' has no wave {year}; choose one of: {waves}.",
        )
    if not isinstance(config, StudyFile):
        nothing = pd.DataFrame(columns=[*_CODEBOOK_COLUMNS])
        return Study(name=name, year=year, config=config, codebook=Codebook(*[nothing] * 3))
    codebook = read_codebook(folder / name / "codebook.csv", year=year)
    skip_rules(codebook)
    study = Study(name=name, year=year, config=config, codebook=codebook)
    problems = _check_names(study) + _check_nets(study) + _check_encodings(config.file)
    _raise_study_file(problems + _check_reserved(study))
    return study


def _raise_study_file(problems: list[str]) -> None:
    if problems:
        raise ConfigError(
            "STUDY_FILE",
            f"study.yaml に誤りがあります（{len(problems)} 件）: {_problem_list(problems)}。"
            "直してください。",
            f"study.yaml has {len(problems)} mistake(s), listed before: mend them.",
        )


class _AsWritten(yaml.SafeLoader):
    """Leaves every plain value the text it is, so that the codes Yes, 01 and 12:30 stay so."""

    yaml_implicit_resolvers: ClassVar = {
        mark: [rule for rule in rules if rule[0].endswith((":null", ":merge"))]
        for mark, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _read_yaml(path: Path, loader: type[yaml.SafeLoader]) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"{mark.line + 1} 行目付近で" if mark else ""
        raise ConfigError(
            "STUDY_FILE",
            f"{path.name} を{line}読めません。YAML（UTF-8）の書き方を直してください。",
            f"{path.name} is not valid YAML in UTF-8: mend it at the line named before.",
        ) from error


def _read_study_file(path: Path) -> RecordsFile:
    raw = _read_yaml(path, _AsWritten)
    asks = {*StudyFile.model_fields} - {*RecordsFile.model_fields}
    model = StudyFile if not isinstance(raw, dict) or asks & {*raw} else RecordsFile
    try:
        config = model.model_validate(raw)
    except ValidationError as error:
        problems = [_explain(mistake) for mistake in error.errors()]
        _raise_study_file(problems)
        raise
    if config.study != path.parent.name:
        _raise_study_file([f"study: フォルダー名 {path.parent.name} と同じにする (folder's name)"])
    return config


def _explain(mistake: dict[str, Any]) -> str:
    """Say one pydantic mistake with its key and what is allowed."""
    key = ".".join(str(part) for part in mistake["loc"])
    kind = mistake["type"]
    if kind == "missing":
        return f"{key}: 必須です (required)"
    if kind == "extra_forbidden":
        allowed = _allowed_keys(mistake["loc"][:-1])
        near = difflib.get_close_matches(str(mistake["loc"][-1]), allowed, n=1)
        guess = f"; {near[0]} ?" if near else ""
        return f"{key}: 知らないキー。使えるのは {', '.join(allowed)} (unknown key{guess})"
    return f"{key}: {mistake['msg']}"


def _allowed_keys(place: tuple[Any, ...]) -> list[str]:
    model: Any = StudyFile
    for part in place:
        fields = getattr(model, "model_fields", {})
        if part in fields:
            inner = [fields[part].annotation]
            while inner and not any(_is_part(each) for each in inner):
                inner = [arg for each in inner for arg in getattr(each, "__args__", ())]
            model = next((each for each in inner if _is_part(each)), None)
    return [each.alias or name for name, each in getattr(model, "model_fields", {}).items()]


def _is_part(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, _Part)


def _check_names(study: Study) -> list[str]:
    """Return every name in study.yaml that neither the codebook nor `derive` knows."""
    config, columns = study.config, list(study.codebook.columns.index)
    variables, tabulated = [*columns, *config.derive], list(study.items)
    uses: list[tuple[str, str | None, Iterable[str]]] = []  # key, name used, names known
    uses += [(f"columns.{key}", name, columns) for key, name in config.columns]
    for key in ("region", "age", "age_band", "sex"):
        uses.append((f"design.{key}", getattr(config.design, key), variables))
    for name, rule in config.derive.items():
        sources = (rule.bands_of, rule.recode_of, *rule.sum_of)
        uses += [(f"derive.{name}", source, variables) for source in sources]
    uses += [("recode", name, tabulated) for name in config.recode]
    several = [name for name, item in study.items.items() if item.kind == "MA"]
    uses += [("multi_answer.mentions", name, several) for name in config.multi_answer.mentions]
    uses += [(f"indicators.{n}.item", i.item, tabulated) for n, i in config.indicators.items()]
    uses += [("tables.axes", name, tabulated) for axis in study.axes for name in axis]
    uses += [("tables.crosses", name, tabulated) for name in config.tables.crosses]
    uses += [("tables.joint", name, tabulated) for pair in config.tables.joint for name in pair]
    for axis, nets in config.tables.axis_nets.items():
        known = study.items[axis].nets if axis in study.items else ()
        uses += [(f"tables.axis_nets.{axis}", net, known) for net in nets]
    uses += [("model.outcomes", name, config.indicators) for name in config.model.outcomes]
    uses += [("model.factors", name, tabulated) for name in config.model.factors]
    uses += [("model.reference", name, config.model.factors) for name in config.model.reference]
    compared = config.benchmark.items if config.benchmark else {}
    uses += [("benchmark.items", name, tabulated) for name in compared]
    own_axes = config.benchmark.axes if config.benchmark else {}
    uses += [(f"report.{key}", name, tabulated) for key, of in config.report for name in of]
    uses += [("benchmark.axes", name, tabulated) for name in own_axes]
    uses += [
        (
            f"waves.{year}.previous",
            str(wave.previous) if wave.previous else None,
            map(str, config.waves),
        )
        for year, wave in config.waves.items()
    ]
    problems = [_unknown(key, name, list(known)) for key, name, known in uses if name is not None]
    unclear = [name for name, rule in config.derive.items() if rule.kind == "unclear"]
    problems += [
        f"derive.{name}: bands_of+bands, sum_of, recode_of+classes の一つ (exactly one)"
        for name in unclear
    ]
    return [p for p in problems if p] + _check_codes(study) + _check_weighting(study)


def _unknown(key: str, name: str, known: list[str]) -> str | None:
    if name in known:
        return None
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"; {near[0]} ?" if near else ""
    return f"{key}: {name} という名前はない (unknown name{guess})"


def _check_codes(study: Study) -> list[str]:
    """Return every code in indicators and model references that its item does not have."""
    used = [(f"indicators.{n}.codes", i.item, i.codes) for n, i in study.config.indicators.items()]
    used += [
        (f"model.reference.{n}", n, [code]) for n, code in study.config.model.reference.items()
    ]
    found = [(key, study.items[name], codes) for key, name, codes in used if name in study.items]
    return [
        problem
        for key, item, codes in found
        for problem in (_unknown(key, code, list(item.labels)) for code in codes)
        if problem
    ]


def _check_weighting(study: Study) -> list[str]:
    weighting, kinds = study.config.weighting, study.codebook.columns["type"].to_dict()
    kinds |= {n: "NUM" if rule.kind == "sum" else "SA" for n, rule in study.config.derive.items()}
    wanted = [("cells", name, ("SA",)) for name in weighting.cells]
    wanted += [("margins", name, ("SA",)) for margin in weighting.margins for name in margin.by]
    wanted += [("strata", name, ("SA", "NUM", "OA")) for name in weighting.strata]
    wanted += [("psu", weighting.psu, ("SA", "NUM", "OA")), ("fpc", weighting.fpc, ("NUM",))]
    wanted += [("base_weight", weighting.base_weight, ("NUM",))]
    problems = [
        f"weighting.{key}: {name} の type は {'・'.join(allowed)} に (type must be one of these)"
        for key, name, allowed in wanted
        if name in kinds and kinds[name] not in allowed
    ]
    unknown = [_unknown(f"weighting.{key}", name, list(kinds)) for key, name, _ in wanted if name]
    problems += filter(None, unknown)
    if weighting.method == "given" and not weighting.base_weight:
        problems.append("weighting.base_weight: method: given では必須 (required)")
    if weighting.method == "given" and (weighting.cells or weighting.margins):
        problems.append("weighting.cells/margins: method: given では使えない (not allowed)")
    if weighting.method != "given" and not (weighting.cells and weighting.targets):
        problems.append(f"weighting.cells, targets: method: {weighting.method} では必須 (required)")
    if weighting.margins and weighting.method != "raking":
        problems.append("weighting.margins: method: raking だけで使える (raking only)")
    if weighting.trim_ratio and weighting.method != "raking":
        problems.append("weighting.trim_ratio: method: raking だけで使える (raking only)")
    return problems


def _check_encodings(file: FileFormat) -> list[str]:
    unknown = []
    for name in file.encodings:
        try:
            "a".encode(name)
        except (LookupError, ValueError):
            unknown.append(name)
    return [f"file.encodings: {n} という文字コードはない (unknown encoding)" for n in unknown]


def _check_reserved(study: Study) -> list[str]:
    """Return every name, code and net that estimates.csv would read as something else."""
    problems = []
    for name, item in study.items.items():
        codes = (*item.options, *item.missing, *item.no_answer, *item.not_asked, *item.nets)
        for text in (name, *codes):
            if " x " in text or text in ("all", NO_ANSWER):
                problems.append(f"{name}: {text} は使えない名前・コード (reserved for our tables)")
    return problems


def _check_nets(study: Study) -> list[str]:
    """Return every net with unknown codes and every pair neither nested nor disjoint."""
    problems = []
    for name, nets in study.config.recode.items():
        item = study.items.get(name)
        seen: list[Net] = []
        for net in nets:
            unknown = [c for c in net.of if item and c not in {**item.options, **item.missing}]
            if unknown:
                codes = ", ".join(unknown)
                problems.append(f"recode.{name}.{net.code}: コード {codes} がない (unknown code)")
            if item and net.code in item.options:
                problems.append(f"recode.{name}.{net.code}: 質問のコードと同じ名前 (name taken)")
            for other in seen:
                both = set(net.of) & set(other.of)
                if both and not set(other.of) <= set(net.of):
                    problems.append(
                        f"recode.{name}.{net.code}: {other.code} と重なる。入れ子か別々にし、"
                        "細かいものを先に書く (nested, finest first, or disjoint)"
                    )
            seen.append(net)
    return problems
