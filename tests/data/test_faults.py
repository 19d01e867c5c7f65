"""Every way in which a delivered file is known to be wrong, one at a time, then two at a time.

Each fault breaks a good small sample in one way. Tested every time: the outcome or the error's code
and exit code, rows read = analysed + quarantined, no answer's value in any message, and neither the
raw file nor a published file changed. The ids are those of the list of bad inputs that the project
was given; where its expected behaviour seemed unwise, the comment beside the fault says so.
"""

import ast
import hashlib
import io
import random
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyreadstat
import pytest
import xlsxwriter
import yaml

from tsunagari import errors
from tsunagari.errors import SurveyError
from tsunagari.intake import cleaning, formats, judging, reading, received, review
from tsunagari.statistics import weighting
from tsunagari.study import population
from tsunagari.study.codebook import NO_ANSWER
from tsunagari.study.survey import open_study

N_ROWS = 200
YEAR = 2024
ROOT = Path(__file__).resolve().parents[2]
CANARY = "カナリア7731がうたう"  # stands in a free text; may never stand in a message
TEXTS = ["", "話し相手がいない", "夜, ひとりでいると長い", CANARY]

# --- a good sample ------------------------------------------------------------------------------

STUDY = {
    "study": "good",
    "title": "t",
    "area": "a",
    "people": "p",
    "waves": {YEAR: {"responses": "responses.csv", "fieldwork": "2024年1月"}},
    "file": {"format": "csv"},
    "columns": {"respondent_id": "id", "duration_seconds": "seconds", "answered_on": "day"},
    "design": {
        "region": "region",
        "age": "age",
        "age_band": "age_band",
        "sex": "sex",
        "minimum_age": 16,
    },
    "derive": {
        "age_band": {
            "label": "age",
            "bands_of": "age",
            "bands": [
                {"code": "young", "label": "y", "from": 16, "to": 39},
                {"code": "old", "label": "o", "from": 40, "to": None},
            ],
        },
        "ucla_total": {
            "label": "u",
            "sum_of": ["ucla1", "ucla2", "ucla3"],
            "from": 3,
            "to": 12,
            "scale": "ucla3-4",
        },
    },
    "regions": {"1": {"label": "東"}, "2": {"label": "西"}},
    "weighting": {
        "method": "post_stratification",
        "label": "w",
        "cells": ["region", "age_band", "sex"],
        "targets": "population.csv",
    },
    "quality": [],
    "indicators": {"lonely": {"label": "l", "item": "lonely", "codes": ["5"]}},
    "tables": {"axes": ["region"], "crosses": ["lonely"]},
    "model": {"outcomes": ["lonely"], "factors": ["sex"]},
}

CODES = {
    "region": {"1": "東", "2": "西", "3": "県外"},
    "sex": {"1": "男性", "2": "女性"},
    "lonely": {"1": "決してない", "2": "ほとんどない", "3": "たまに", "4": "時々", "5": "常に"}
    | {"9": "無回答"},
    "since": {"1": "1年未満", "2": "1年以上", "3": "5年以上"},
    "ucla1": {"1": "a", "2": "b", "3": "c", "4": "d", "9": "無回答"},
    "ucla2": {"1": "a", "2": "b", "3": "c", "4": "d", "9": "無回答"},
    "ucla3": {"1": "a", "2": "b", "3": "c", "4": "d", "9": "無回答"},
    "cohab": {"1": "いる", "2": "いない"},
}
ROLES = {("region", "3"): "not_applicable", ("lonely", "9"): "no_answer"} | {
    (f"ucla{i}", "9"): "no_answer" for i in (1, 2, 3)
}
EVENTS = {"1": "離別", "2": "転居", "3": "退職", "4": "特にない"}


def make_codebook() -> pd.DataFrame:
    rows = [
        {"variable": "id", "type": "ID"},
        {"variable": "seconds", "type": "NUM", "min": "0", "max": "86400", "required": "no"},
        {"variable": "day", "type": "DATE", "required": "no"},
        {"variable": "age", "type": "NUM", "min": "0", "max": "110"},
    ]
    for variable, codes in CODES.items():
        for place, (code, label) in enumerate(codes.items()):
            row = {"variable": variable, "code": code, "code_label": label}
            row["role"] = ROLES.get((variable, code), "")
            if place == 0:
                row |= {"type": "SA", "label": variable}
                row |= {"scale": "ucla3-4"} if variable.startswith("ucla") else {}
                row |= {"ask_if": "lonely=4|5"} if variable == "since" else {}
            rows.append(row)
    for code, label in EVENTS.items():
        row = {"variable": f"event_{code}", "item": "event", "type": "MA", "code": code}
        rows.append(row | {"code_label": label, "role": "exclusive" if code == "4" else ""})
    rows.append({"variable": "persons", "type": "NUM", "min": "0", "max": "30", "required": "no"})
    rows.append({"variable": "words", "type": "OA", "required": "no"})
    names = (
        "question_no item variable type label short_label code code_label role min max ask_if "
        "required scale sensitive waves version certainty_wording certainty_options "
        "certainty_order source"
    ).split()
    return pd.DataFrame(rows, columns=names, dtype=object).fillna("")


def make_answers() -> pd.DataFrame:
    rng = np.random.default_rng(7731)
    cells = [(r, a, s) for r in "12" for a in ("25", "60") for s in "12"]
    table = pd.DataFrame([cells[i % 8] for i in range(N_ROWS)], columns=["region", "age", "sex"])
    table["id"] = [f"A{i:04d}" for i in range(N_ROWS)]
    table["seconds"] = rng.integers(300, 900, N_ROWS).astype(str)
    table["day"] = [f"2024-01-{1 + i % 28:02d}" for i in range(N_ROWS)]
    table["lonely"] = rng.integers(1, 6, N_ROWS).astype(str)
    table["since"] = np.where(table["lonely"].isin(["4", "5"]), "2", "")
    shared = rng.integers(1, 4, N_ROWS)
    for name in ("ucla1", "ucla2", "ucla3"):
        table[name] = (shared + rng.integers(0, 2, N_ROWS)).astype(str)
    table["cohab"] = rng.integers(1, 3, N_ROWS).astype(str)
    chosen = rng.random((3, N_ROWS)) < 0.4
    for code, part in enumerate(chosen, start=1):
        table[f"event_{code}"] = part.astype(int).astype(str)
    table["event_4"] = (~chosen.any(axis=0)).astype(int).astype(str)
    table["persons"] = rng.integers(0, 9, N_ROWS).astype(str)
    table["words"] = [TEXTS[i % len(TEXTS)] for i in range(N_ROWS)]
    names = make_codebook()["variable"].drop_duplicates()
    return table[names.tolist()]


@dataclass
class Case:
    """A study folder that a fault may spoil before it is written."""

    answers: pd.DataFrame = field(default_factory=make_answers)
    codebook: pd.DataFrame = field(default_factory=make_codebook)
    study: dict = field(default_factory=lambda: yaml.safe_load(yaml.safe_dump(STUDY)))
    targets: pd.DataFrame | None = None
    decisions: str = ""
    raw: bytes | None = None  # the answer file as it is, in place of `answers` as CSV
    encoding: str = "utf-8"

    @property
    def text(self) -> str:
        return self.answers.to_csv(index=False)

    def put(self, column: str, value: str, *rows: int) -> None:
        """Set cells; `rows` are file rows, the header being 1."""
        self.answers.loc[[row - 2 for row in rows], column] = value

    def lines(self) -> list[str]:
        return self.text.splitlines()

    def write(self, root: Path) -> Path:
        folder = root / "data/raw/good"
        (folder / str(YEAR)).mkdir(parents=True)
        wave = self.study["waves"][YEAR]
        wave["responses"] = f"納品カナリア_{wave['responses']}"  # never in a message or a note
        (folder / "study.yaml").write_text(yaml.safe_dump(self.study), encoding="utf-8")
        self.codebook.to_csv(folder / "codebook.csv", index=False)
        targets = make_targets() if self.targets is None else self.targets
        targets.to_csv(folder / "population.csv", index=False)
        data = self.text.encode(self.encoding) if self.raw is None else self.raw
        if self.decisions:
            path = folder / str(YEAR) / "decisions.csv"
            sha256 = hashlib.sha256(data).hexdigest()[:12]
            path.write_text(self.decisions.replace("HASH", sha256), encoding="utf-8")
        path = folder / str(YEAR) / wave["responses"]
        path.write_bytes(data)
        return path


def make_targets() -> pd.DataFrame:
    cells = [(r, a, s) for r in "12" for a in ("young", "old") for s in "12"]
    return pd.DataFrame(cells, columns=["region", "age_band", "sex"]).assign(population=1000)


# --- what a fault may lead to -------------------------------------------------------------------


@dataclass(frozen=True)
class Expected:
    """error: its code; else counts by reason, by (variable, reason), by flag, by repair rule."""

    error: str = ""
    rows: dict = field(default_factory=dict)
    cells: dict = field(default_factory=dict)
    flags: dict = field(default_factory=dict)
    repairs: dict = field(default_factory=dict)
    note: str = ""
    exit_code: int = 2


FAULTS: dict = {}


def fault(name: str, **expected):
    """Register a fault under its id; several functions of one id get a letter."""

    def register(function):
        FAULTS[name] = (function, Expected(**expected))
        return function

    return register


@dataclass
class Outcome:
    """What a run gave: an error, or the cleaned tables."""

    error: SurveyError | None = None
    raw: object = None
    cleaned: object = None
    survey: object = None


def run(root: Path, monkeypatch) -> Outcome:
    """Read, clean and load targets in this process, the way notebooks 01 and 02 do."""
    monkeypatch.setenv("TSUNAGARI_ROOT", str(root))
    outcome = Outcome()
    try:
        outcome.survey = open_study("good", YEAR)
        outcome.raw = reading.read_responses(outcome.survey)
        outcome.cleaned = cleaning.clean_responses(outcome.raw, outcome.survey)
        targets = population.load_targets(outcome.survey)
        settings = outcome.survey.config.weighting
        weighting.weigh_respondents(outcome.cleaned.respondents, targets, settings=settings)
    except SurveyError as error:
        outcome.error = error
    return outcome


def check_always(case: Case, outcome: Outcome) -> None:
    """What holds whatever the fault: the ledger adds up, no message tells an answer."""
    if outcome.cleaned is not None:
        ledger = outcome.cleaned.ledger
        assert ledger["n_rows"].sum() == outcome.raw.facts["rows"]
        assert len(outcome.cleaned.quarantine) == ledger["n_rows"].iloc[1:].sum()
        assert len(outcome.cleaned.respondents) == ledger["n_rows"].iloc[0]
        assert outcome.cleaned.respondents["respondent_id"].is_unique
    facts = outcome.raw.facts if outcome.raw else {"notes": []}
    told = str(outcome.error or "") + str(facts["notes"])
    assert "カナリア" not in told + str(facts)
    names = [name for name in case.answers if name != "day"]  # study.yaml may name a day
    secrets = {str(text) for name in names for text in case.answers[name]}
    assert [text for text in secrets if len(text) >= 5 and text in told] == []


@pytest.fixture(autouse=True)
def _nothing_leaves(tmp_path, capfd, caplog, recwarn):
    """In every test: the release stays byte for byte, and nothing that is printed tells a text."""
    files = [f"reports/good/{YEAR}/council_report.html", f"reports/good/{YEAR}/manifest.json"]
    files.append(f"data/processed/good/{YEAR}/published/estimates.csv")
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"released {name}", encoding="utf-8")
    yield
    for folder in ("reports", "data/processed"):
        found = [path for path in (tmp_path / folder).rglob("*") if path.is_file()]
        for path in found:
            name = path.relative_to(tmp_path).as_posix()
            assert name in files and path.read_text(encoding="utf-8") == f"released {name}"
            files.remove(name)
    assert files == []
    printed = "".join([*capfd.readouterr(), caplog.text, *(str(each.message) for each in recwarn)])
    assert [text for text in (*TEXTS, *ODD_TEXTS.values()) if text and text in printed] == []


def counts(table: pd.DataFrame, by: str | list[str]) -> dict:
    return table.groupby(by).size().to_dict() if len(table) else {}


# --- encoding -----------------------------------------------------------------------------------


@fault("ENC-01")
def cp932(case):
    case.encoding = "cp932"


@fault("ENC-02")
def utf8_mark(case):
    case.encoding = "utf-8-sig"


@fault("ENC-03", note="BOM")
def two_marks(case):
    case.raw = b"\xef\xbb\xbf" * 2 + case.text.encode()


@fault("ENC-03b", error="BOM_INSIDE")
def mark_inside(case):
    half = case.text.encode().split(b"\n", 100)
    case.raw = b"\n".join(half[:100]) + b"\n\xef\xbb\xbf" + half[100]


@fault("ENC-04", error="ENCODING_UTF16")
def utf16(case):
    case.raw = case.answers.to_csv(index=False, sep="\t").encode("utf-16")


@fault("ENC-05", error="ENCODING_PRIVATE_USE")
def private_use(case):
    case.raw = case.text.encode("cp932").replace("夜".encode("cp932"), b"\xf0\x40", 1)


@fault("ENC-06", error="ENCODING_MOJIBAKE")
def mojibake(case):
    case.answers["words"] = case.answers["words"].replace(
        {"話し相手がいない": "孤独".encode().decode("cp932")}
    )


@fault("ENC-07", error="ENCODING_MIXED")
def mixed(case):
    lines = case.text.split("\n")
    coded = [line.encode("cp932" if i % 2 else "utf-8") for i, line in enumerate(lines)]
    case.raw = b"\n".join(coded)


@fault("ENC-08")
def extension_characters(case):
    case.encoding = "cp932"
    case.put("words", "①髙﨑㈱～", 5)


@fault("ENC-09", flags={"TEXT_DAMAGED": 1}, note="U+FFFD")
def replacement_characters(case):
    case.put("words", "読め\ufffdない", 5)


@fault("ENC-10", error="ENCODING")
def invalid_byte(case):
    lines = case.text.encode().split(b"\n")
    lines[150] = lines[150].replace(b"2024", b"20\xff24")
    case.raw = b"\n".join(lines)


@fault("ENC-10b", error="ENCODING")
def invalid_byte_declared(case):
    case.raw = b"\xef\xbb\xbf" + case.text.replace("夜", "\udcff").encode(errors="surrogateescape")


# --- CSV structure ------------------------------------------------------------------------------


@fault("CSV-01", error="RESPONSES_EMPTY")
def no_bytes(case):
    case.raw = b""


@fault("CSV-02", error="RESPONSES_EMPTY")
def header_only(case):
    case.raw = (case.lines()[0] + "\n").encode()


@fault("CSV-03", error="CSV_SHAPE")
def one_field_more(case):
    head, *rest = case.lines()
    case.raw = "\n".join([head, *(line + ",1" for line in rest)]).encode()


@fault("CSV-04", rows={"TOO_MANY_FIELDS": 1})
def unquoted_comma(case):
    lines = case.lines()
    lines[4] += ",もう一つ"
    case.raw = "\n".join([*lines, ""]).encode()


@fault("CSV-05", rows={"TOO_FEW_FIELDS": 1})
def too_few_fields(case):
    lines = case.lines()
    lines[9] = "A0008,1,2"
    case.raw = "\n".join([*lines, ""]).encode()


@fault("CSV-06", error="QUOTE_UNCLOSED")
def unclosed_quote(case):
    lines = case.lines()
    lines[53] += '"閉じない'  # this row's text is blank, so the quote opens the field
    case.raw = "\n".join([*lines, ""]).encode()


@fault("CSV-07")
def line_break_in_text(case):
    case.put("words", "一行目\n二行目", 5, 9)


@fault("CSV-08")
def other_separator(case):
    # The list wants an error. A header that names the codebook's variables proves the separator.
    case.raw = case.answers.to_csv(index=False, sep=";").encode()


@fault("CSV-08b")
def tabs(case):
    case.raw = case.answers.to_csv(index=False, sep="\t").encode()


@fault("CSV-09", error="COLUMN_REPEATED")
def repeated_header(case):
    case.raw = case.text.replace("ucla2", "ucla1", 1).encode()


@fault("CSV-10")
def untidy_header(case):
    case.raw = case.text.replace("ucla2", '" ｕｃｌａ２\n"', 1).encode()


@fault("CSV-11", error="HEADER_SECOND_ROW")
def two_header_rows(case):
    titles = pd.DataFrame([{name: f"問 {name}" for name in case.answers}])
    titles["id"] = "番号"
    case.answers = pd.concat([titles, case.answers], ignore_index=True)


@fault("CSV-12", rows={"TRAILER_LINE": 2})
def trailer(case):
    commas = "," * (case.answers.shape[1] - 2)
    case.raw = f"{case.text}合計,200{commas}\n以上\n".encode()


@fault("CSV-13", repairs={"CONTROL_CHARACTER": 1}, cells={("cohab", "CONTROL_CHARACTER"): 1})
def nul_byte(case):
    case.put("words", "夜\x00長い", 5)
    case.put("cohab", "1\x00", 6)


@fault("CSV-13b", rows={"ID_INVALID": 1})
def nul_byte_in_id(case):
    case.put("id", "A00\x0003", 5)


@fault("CSV-14", rows={"TRUNCATED_LINE": 1})
def cut_upload(case):
    case.raw = (case.text + "A9999,500,2024-0").encode()


@fault("CSV-14b", error="ROW_COUNT")
def rows_not_expected(case):
    case.study["waves"][YEAR]["expected_rows"] = N_ROWS + 1


@fault("CSV-15", error="FORMAT")
def web_page(case):
    case.raw = b"<!DOCTYPE html><html><body>login</body></html>"


@fault("CSV-15b", error="FORMAT")
def lfs_pointer(case):
    case.raw = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@fault("CSV-16", rows={"BLANK_ROW": 2})
def blank_rows(case):
    lines = case.lines()
    lines.insert(20, "")
    lines.insert(40, "," * (case.answers.shape[1] - 1))
    case.raw = "\n".join([*lines, ""]).encode()


@fault("CSV-17")
def other_order(case):
    case.answers = case.answers[case.answers.columns[::-1]]


def add_cells(case: Case, header: str, rest: str, every: int = 1) -> None:
    lines = case.lines()
    lines = [line + rest * ((i // 16) % every == 0) for i, line in enumerate(lines)]
    case.raw = "\n".join([case.lines()[0] + header, *lines[1:], ""]).encode()


@fault("CSV-18")
def empty_columns_beside_the_rows(case):
    add_cells(case, "", ",,,")


@fault("CSV-18d")
def empty_columns_beside_the_header(case):
    add_cells(case, ",,", "")


@fault("CSV-18e")
def empty_columns_beside_every_other_16_rows(case):
    add_cells(case, ",,,", ", ,,", every=2)  # so Excel saves a CSV


@fault("CSV-18f", rows={"TOO_MANY_FIELDS": 2})
def remarks_in_a_column_without_a_name(case):
    add_cells(case, ",,", ",,")
    case.raw = case.raw.replace(b",,\nA0003", b",x,\nA0003").replace(b",,\nA0009", b",,x\nA0009")


@fault("CSV-19", rows={"TRAILER_LINE": 4, "BLANK_ROW": 1})
def remarks_under_the_table(case):
    n = case.answers.shape[1] - 1
    notes = ["平均" + ",3" * n, "（注）速報値。" + "," * n, "二行にわたる注記" + "," * n, "," * n]
    case.raw = (case.text + "\n".join([*notes, "＊1 回答者の申告"]) + "\n").encode()


@fault("CSV-20", repairs={"NFKC": N_ROWS})
def ids_as_formulas_of_excel(case):
    case.answers["id"] = [f'="{text}"' for text in case.answers["id"]]


# --- Excel --------------------------------------------------------------------------------------


def to_workbook(case: Case, change=None, *, name: str = "responses.xlsx", **names) -> None:
    """Deliver the answers as a workbook; `change` may spoil the openpyxl book."""
    case.study["file"]["format"] = "xlsx"
    case.study["waves"][YEAR] |= {"responses": name, **names}
    book = openpyxl.Workbook()
    book.active.title = "data"
    book.active.append(list(case.answers))
    for row in case.answers.itertuples(index=False):
        book.active.append(list(row))
    if change:
        change(book)
    out = io.BytesIO()
    book.save(out)
    case.raw = out.getvalue()


def rewrite(data: bytes, part: str, change) -> bytes:
    """Return a zip with one part changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name == part else content)
    return out.getvalue()


@fault("XLS-00")
def workbook(case):
    to_workbook(case)


@fault("XLS-01", error="FORMAT")
def csv_named_xlsx(case):
    text = case.text.encode()
    to_workbook(case)
    case.raw = text


def change_entry(case: Case, at: int, value: bytes) -> None:
    """Overwrite bytes of the directory entry of a workbook's sheet."""
    to_workbook(case)
    entry = case.raw.rfind(b"xl/worksheets/sheet1.xml") - 46
    case.raw = case.raw[: entry + at] + value + case.raw[entry + at + len(value) :]


@fault("XLS-01b", error="FORMAT")
def flipped_bytes(case):
    to_workbook(case)
    start = case.raw.find(b"xl/worksheets/sheet1.xml") + 60
    case.raw = case.raw[:start] + b"\xff" * 40 + case.raw[start + 40 :]


@fault("XLS-02b", error="FORMAT")
def encrypted_part(case):
    change_entry(case, 8, b"\x01\x00")


@fault("XLS-02c", error="FORMAT")
def unknown_packing(case):
    change_entry(case, 10, b"\x09\x00")  # Deflate64


@fault("XLS-02", error="ENCRYPTED")
def encrypted(case):
    to_workbook(case)
    magic = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    case.raw = magic + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le")


@fault("XLS-03", error="SHEET_AMBIGUOUS")
def several_sheets(case):
    def change(book):
        book.create_sheet("old").sheet_state = "veryHidden"

    to_workbook(case, change)


@fault("XLS-03b")
def named_sheet(case):
    to_workbook(case, lambda book: book.create_sheet("old"), sheet="data")


@fault("XLS-04", error="EXCEL_FORMULA")
def formula_without_value(case):
    def change(book):
        book.active["H5"] = "=1+1"

    to_workbook(case, change)


@fault("XLS-05", rows={"EXCEL_ERROR_VALUE": 2})
def error_values(case):
    def change(book):
        for cell, value in (("F5", "#N/A"), ("G9", "#DIV/0!")):
            book.active[cell] = value
            book.active[cell].data_type = "e"

    to_workbook(case, change)


@fault("XLS-06", error="EXCEL_MERGED")
def merged_cells(case):
    to_workbook(case, lambda book: book.active.merge_cells("E5:E7"))


def with_prefix(case: Case, cell: bytes, change=None) -> None:
    """Deliver a workbook whose sheet is written as <x:c>, cell F5 replaced."""
    to_workbook(case, change)

    def rename(part):
        part = re.sub(rb'<c r="F5".*?</c>', cell, part)
        part = re.sub(rb"<(/?)(?=[a-zA-Z])", rb"<\1x:", part)
        return part.replace(b"xmlns=", b"xmlns:x=")

    case.raw = rewrite(case.raw, "xl/worksheets/sheet1.xml", rename)


@fault("XLS-04b", error="EXCEL_FORMULA")
def formula_with_prefix(case):
    with_prefix(case, b'<c r="F5"><f>1+1</f></c>')


@fault("XLS-05b", rows={"EXCEL_ERROR_VALUE": 1})
def error_value_with_prefix(case):
    with_prefix(case, b"<c r='F5' t='e'><v>#N/A</v></c>")


@fault("XLS-05c", error="FORMAT")
def error_value_without_address(case):
    with_prefix(case, b'<c t="e"><v>#N/A</v></c>')


@fault("XLS-06b", error="EXCEL_MERGED")
def merged_with_prefix(case):
    case.put("lonely", "1", 5)
    with_prefix(case, b'<c r="F5"><v>1</v></c>', lambda book: book.active.merge_cells("E5:E7"))


@fault("XLS-06c", rows={"TOO_MANY_FIELDS": 2})
def remarks_beside_few(case, n=2):
    def change(book):
        for row in range(5, 5 + n):
            book.active.cell(row, 30).value = "x"

    to_workbook(case, change)


@fault("XLS-06bc", error="SHEET_SHAPE")
def remarks_beside_many(case):
    remarks_beside_few(case, n=3)  # more than 1 % of 200


@fault("XLS-07", error="ID_NUMBER")
def ids_as_numbers(case):
    case.answers["id"] = [str(i) for i in range(N_ROWS)]

    def change(book):
        for row in range(2, 5):
            book.active.cell(row, 1).value = float(row)

    to_workbook(case, change)


@fault("XLS-08", cells={("cohab", "DATE_IN_CODE_COLUMN"): 2})
def code_turned_date(case):
    place = list(case.answers).index("cohab") + 1

    def change(book):
        for row in (5, 6):
            book.active.cell(row, place).value = pd.Timestamp("2024-01-02").to_pydatetime()

    to_workbook(case, change)


@fault("XLS-09", error="FORMAT")
def entity_bomb(case):
    to_workbook(case)
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>'

    def change(part):
        return bomb + part[part.find(b"?>") + 2 if part.startswith(b"<?xml") else 0 :]

    case.raw = rewrite(case.raw, "xl/workbook.xml", change)


@fault("XLS-10", error="RESOURCE_LIMIT")
def zip_bomb(case):
    to_workbook(case)
    out = io.BytesIO(case.raw)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("xl/media/blank.bin", b"\0" * (formats.UNPACKED_LIMIT_BYTES + 1))
    case.raw = out.getvalue()


@fault("XLS-11", note="マクロ")
def macros(case):
    to_workbook(case, name="responses.xlsm")
    out = io.BytesIO(case.raw)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("xl/vbaProject.bin", b"macro")
    case.raw = out.getvalue()


@fault("XLS-12")
def year_1904(case):
    def change(book):
        book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
        for row in range(2, N_ROWS + 2):
            cell = book.active.cell(row, 3)
            cell.value = pd.Timestamp(cell.value).to_pydatetime()

    to_workbook(case, change)


@fault("XLS-13", note="非表示の行が 2 行あります（5, 9 行目）")
def hidden_rows(case):
    def change(book):
        for row in (5, 9, N_ROWS + 7):  # the last one is empty
            book.active.row_dimensions[row].hidden = True

    to_workbook(case, change)


@fault("XLS-14")
def true_and_false(case):
    case.study["multi_answer"] = {"chosen": "TRUE", "unchosen": "FALSE"}
    for code in EVENTS:
        case.answers[f"event_{code}"] = case.answers[f"event_{code}"] == "1"
    to_workbook(case)


@fault("XLS-15", repairs={"EXCEL_DATE": N_ROWS})
def serials_of_1904(case):
    def change(book):
        book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
        for row in range(2, N_ROWS + 2):
            cell = book.active.cell(row, 3)
            cell.value = (pd.Timestamp(cell.value) - pd.Timestamp("1904-01-01")).days

    to_workbook(case, change)


@fault("XLS-16", rows={"TRAILER_LINE": 1})
def remark_under_a_sheet(case):
    to_workbook(case, lambda book: book.active.append(["資料：県"]))


# --- SPSS and Stata -----------------------------------------------------------------------------


def to_sav(case: Case, kind: str = "sav", **about) -> None:
    """Deliver the answers as an SPSS or Stata file."""
    case.study["file"]["format"] = kind
    case.study["waves"][YEAR]["responses"] = f"responses.{kind}"
    table = case.answers.copy()
    for name in table:
        if name not in ("id", "day", "words"):
            letters = table[name].isin(["a", "b"])  # missing values of Stata
            table[name] = pd.to_numeric(table[name].mask(letters))
            if letters.any():
                table[name] = table[name].astype(object).mask(letters, case.answers[name])
    path = Path(case.folder) / f"made.{kind}"
    write = pyreadstat.write_sav if kind == "sav" else pyreadstat.write_dta
    write(table, str(path), **about)
    case.raw = path.read_bytes()


@fault("SAV-01")
def value_labels(case):
    to_sav(case, variable_value_labels={"sex": {1: "男性", 2: "女性"}})


@fault("SAV-02")
def user_missing(case):
    case.put("ucla1", "9", *range(2, 42))
    to_sav(case, missing_ranges={"ucla1": [9]})


@fault("SAV-03", note="sex: コード 3")
def label_of_unknown_code(case):
    to_sav(case, variable_value_labels={"sex": {1: "男性", 2: "女性", 3: "その他"}})


@fault("SAV-04", error="LABEL_REPEATED")
def one_label_twice(case):
    to_sav(case, variable_value_labels={"sex": {1: "男性", 2: "男性"}})


@fault("SAV-05", error="ENCODING_MOJIBAKE")
def sav_mojibake(case):
    # pyreadstat writes UTF-8 only; text that was spoilt before it was saved must still be seen.
    case.answers["words"] = case.answers["words"].replace(
        {"話し相手がいない": "ひとりでいる".encode().decode("cp932", errors="replace")}
    )
    to_sav(case)


@fault("SAV-06", error="FORMAT")
def cut_sav(case):
    to_sav(case)
    case.raw = case.raw[:700]


@fault("SAV-06b", error="FORMAT")
def csv_named_sav(case):
    text = case.text.encode()
    to_sav(case)
    case.raw = text


@fault("SAV-09", cells={("day", "NOT_A_DATE"): 1})
def impossible_date(case, kind="sav"):
    zero, unit, shown = {
        "sav": ("1582-10-14", "1s", "DATETIME20"),
        "dta": ("1960-01-01", "1ms", "%tc"),
    }[kind]
    moments = (pd.to_datetime(case.answers["day"]) - pd.Timestamp(zero)) / pd.Timedelta(unit)
    case.answers["day"] = moments.where(moments.index != 3, 6.3e15)  # in the year 199,641,000
    to_sav(case, kind, variable_format={"day": shown})


@fault("SAV-10", error="ID_NUMBER")
def ids_of_17_digits(case, kind="sav"):
    # A float holds every other number of this size only: some are one already.
    case.answers["id"] = [float(20230120123456784 + i) for i in range(N_ROWS)]
    to_sav(case, kind)


@fault("SAV-11", cells={("persons", "NOT_FINITE"): 1})
def infinite_number(case):
    case.answers["persons"] = case.answers["persons"].astype(float)
    case.put("persons", np.inf, 5)
    to_sav(case)


def to_dta(case: Case, **about) -> None:
    to_sav(case, "dta", **about)


@fault("STA-01")
def stata(case):
    to_dta(case, variable_value_labels={"sex": {1: "男性", 2: "女性"}})


@fault("STA-02", cells={("day", "NOT_A_DATE"): 1})
def impossible_date_in_stata(case):
    impossible_date(case, "dta")


@fault("STA-03", error="ID_NUMBER")
def ids_of_17_digits_in_stata(case):
    ids_of_17_digits(case, "dta")


@fault("STA-04", error="MISSING_CODE_UNDECLARED")
def missing_value_not_declared(case):
    case.put("cohab", "a", *range(5, 15))
    to_dta(case, missing_user_values={"cohab": ["a"]})


@fault("STA-05", note="sex: コード 3")
def label_of_unknown_code_in_stata(case):
    to_dta(case, variable_value_labels={"sex": {1: "男性", 2: "女性", 3: "その他"}})


@fault("STA-06", error="FORMAT")
def cut_stata(case):
    to_dta(case)
    case.raw = case.raw[:700]


@fault("STA-07", error="FORMAT")
def stata_named_csv(case):
    to_dta(case, version=12)
    case.study["file"]["format"] = "csv"


@fault("SAV-07", error="FORMAT")
def crafted_sav(case):
    to_sav(case)
    case.raw = case.raw[:176] + b"\x07\0\0\0\x07\0\0\0\x01\0\0\0\xff\xff\xff\x7f" + case.raw[176:]


@fault("SAV-08", note="重み変数")
def weight_set(case):
    to_sav(case)
    case.raw = case.raw[:76] + (3).to_bytes(4, "little") + case.raw[80:]


# --- ids ----------------------------------------------------------------------------------------


@fault("ID-01", rows={"EXACT_DUPLICATE": 2})
def exact_copies(case):
    extra = case.answers.iloc[[4, 4]]
    case.answers = pd.concat([case.answers, extra], ignore_index=True)


@fault("ID-02", rows={"ID_CONFLICT": 2})
def id_conflict(case):
    case.put("id", case.answers.loc[8, "id"], 12)


@fault("ID-02a", rows={"ID_CONFLICT": 4})
def four_conflicts(case):
    for row in (0, 2):
        case.answers.loc[row, "id"] = case.answers.loc[row + 1, "id"]


@fault("ID-02b", error="ID_CONFLICT")
def many_conflicts(case):
    for row in (0, 1, 3):  # three of one id, and two
        case.answers.loc[row, "id"] = case.answers.loc[2 if row < 3 else 4, "id"]


@fault("ID-03", rows={"ID_MISSING": 2})
def id_missing(case):
    case.put("id", "", 5)
    case.put("id", "　", 6)


@fault("ID-04", rows={"ID_COLLISION_AFTER_NORMALISATION": 2})
def id_collision(case):
    case.put("id", "Ａ０００５", 12)


@fault("ID-05")
def literal_na(case):
    for row, text in enumerate(("NA", "None", "null", "nan"), start=5):
        case.put("id", text, row)


@fault("ID-06", error="ID_PERSONAL")
def personal_id(case):
    case.put("id", "taro@example.com", 5)


@fault("ID-06b", error="ID_PERSONAL")
def name_as_id(case):
    case.put("id", "愛媛 花子", 5)


@fault("ID-08", rows={"EXCLUDED_BY_DECISION": 1})
def web_and_paper(case):
    # No rule can know which answer is the person's: a decision with a reason says it.
    case.put("id", "A0010", 22)
    case.decisions = "file_row,file_sha256,decision,reason\n22,HASH,exclude,紙とウェブ\n"


# --- codes --------------------------------------------------------------------------------------


@fault("COD-01", cells={("cohab", "OUT_OF_RANGE"): 1})
def out_of_range(case):
    case.put("cohab", "9", 5)


@fault("COD-01a", cells={("cohab", "OUT_OF_RANGE"): 4})
def four_out_of_range(case):
    case.put("cohab", "7", *range(5, 9))


@fault("COD-01b", error="CODE_UNKNOWN")
def many_out_of_range(case):
    case.put("cohab", "7", *range(5, 10))


@fault("COD-02", repairs={"NFKC": 1}, cells={("cohab", "NOT_A_CODE"): 1})
def full_width(case):
    case.put("cohab", "１", 5)
    case.put("cohab", "二", 6)


@fault("COD-03", repairs={"WHOLE_NUMBER": 1}, cells={("cohab", "OUT_OF_RANGE"): 1})
def decimals(case):
    case.put("cohab", "2.0", 5)
    case.put("cohab", "1.5", 6)


@fault("COD-04", repairs={"LABEL": 1}, cells={("cohab", "NOT_A_CODE"): 1})
def labels(case):
    case.put("cohab", "いない", 5)
    case.put("cohab", "たぶんいない", 6)


@fault("COD-04a", cells={("cohab", "NOT_A_CODE"): 1})
def label_of_two_codes(case):
    is_cohab = case.codebook["variable"] == "cohab"
    case.codebook.loc[is_cohab, "code_label"] = "どちらも同じ"
    case.put("cohab", "どちらも同じ", 5)


@fault("COD-05", error="MISSING_CODE_UNDECLARED")
def undeclared_missing(case):
    case.put("cohab", "99", *range(5, 8))


@fault("COD-05a", cells={("cohab", "OUT_OF_RANGE"): 2})
def two_that_look_missing(case):
    case.put("cohab", "99", 5, 6)


@fault("COD-06", cells={("persons", "NOT_NUMERIC"): 3})
def not_numeric(case):
    for row, text in enumerate(("1,234", "30分", "約3人"), start=5):
        case.put("persons", text, row)


@fault("COD-07", rows={"INELIGIBLE": 1, "NO_CELL": 2})
def odd_ages(case):
    for row, text in enumerate(("7", "150", "1985"), start=5):
        case.put("age", text, row)


@fault("COD-08", error="CODE_UNKNOWN")
def new_code(case):
    case.put("sex", "3", *range(5, 12))


@fault("COD-10", error="CODE_UNKNOWN")
def other_scale(case):
    case.answers["ucla1"] = (case.answers["ucla1"].astype(int) - 1).astype(str)


@fault("COD-10b", error="SCALE_MIXED", exit_code=5)
def scales_mixed(case):
    is_first = (case.codebook["variable"] == "ucla3") & (case.codebook["type"] == "SA")
    case.codebook.loc[is_first, "scale"] = "ucla3-3"


@fault("COD-10c", error="SCALE_RANGE", exit_code=5)
def scale_range(case):
    case.study["derive"]["ucla_total"] |= {"from": 3, "to": 9}


# --- multi-answer -------------------------------------------------------------------------------


def codes_chosen(case: Case) -> list[list[str]]:
    rows = case.answers[[f"event_{code}" for code in EVENTS]].to_numpy()
    return [[c for c, v in zip(EVENTS, row, strict=True) if v == "1"] for row in rows]


def in_one_cell(case: Case, separator: str = ";") -> None:
    texts = [separator.join(codes) for codes in codes_chosen(case)]
    place = list(case.answers).index("event_1")
    case.answers = case.answers.drop(columns=[f"event_{code}" for code in EVENTS])
    case.answers.insert(place, "event", texts)


@fault("MA-01")
def one_cell(case):
    in_one_cell(case)
    case.study["multi_answer"] = {"separator": ";"}


@fault("MA-01b", error="MULTI_ANSWER_SEPARATOR")
def one_cell_undeclared(case):
    in_one_cell(case)


@fault("MA-01d", error="MULTI_ANSWER_TWICE")
def one_cell_and_columns_that_differ(case):
    case.answers["event"] = [";".join(codes) for codes in codes_chosen(case)]
    case.study["multi_answer"] = {"separator": ";"}
    case.put("event", "", 5)  # somebody has always chosen something


@fault("MA-01e", error="COLUMN_MISSING")
def a_mention_is_not_there(case):
    case.study["multi_answer"] = {"mentions": {"event": ["first", "second"]}}
    case.answers["first"] = "1"


@fault("MA-01f", error="MULTI_ANSWER_SEPARATOR")
def a_mention_that_is_no_option(case):
    case.study["multi_answer"] = {"mentions": {"event": ["first"]}}
    case.answers["first"] = "7"


@fault("MA-02", cells={("event_4", "EXCLUSIVE_CONFLICT"): 1})
def exclusive_with_others(case):
    case.put("event_4", "1", 5)
    case.put("event_1", "1", 5)


@fault("MA-03")
def all_blank(case):
    for name in EVENTS:
        case.put(f"event_{name}", "", 5)


@fault("MA-04", flags={"TOO_MANY_CHOICES": 1})
def too_many_choices(case):
    case.codebook.loc[case.codebook["variable"] == "event_1", "max"] = "2"
    for name in ("event_1", "event_2", "event_3"):
        case.answers[name] = "0"
        case.put(name, "1", 5)
    case.answers["event_4"] = "1"
    case.put("event_4", "0", 5)


@fault("MA-05")
def repeated_option(case):
    in_one_cell(case)
    case.put("event", "1;1;3", 5)
    case.study["multi_answer"] = {"separator": ";"}


@fault("MA-06", error="CODE_UNKNOWN")
def one_and_two(case):
    for name in EVENTS:
        column = case.answers[f"event_{name}"]
        case.answers[f"event_{name}"] = column.replace({"0": "2"})


@fault("MA-06b", error="MULTI_ANSWER_CODING")
def one_and_blank(case):
    for name in EVENTS:
        case.answers[f"event_{name}"] = case.answers[f"event_{name}"].replace({"0": ""})


# --- skip logic ---------------------------------------------------------------------------------


@fault("SKP-01", cells={("since", "SKIP_VIOLATION"): 1})
def should_be_skipped(case):
    case.put("lonely", "1", 5)
    case.put("since", "3", 5)


@fault("SKP-02", cells={("since", "FILTER_MISSING"): 1})
def filter_missing(case):
    case.put("lonely", "", 5)
    case.put("since", "3", 5)


@fault("SKP-03")
def follow_up_blank(case):
    case.put("lonely", "5", 5)
    case.put("since", "", 5)


@fault("SKP-04", flags={"INCONSISTENT": 2})
def inconsistent(case):
    case.study["quality"] = [{"rule": "inconsistent", "when": "cohab=2 & sex=1 & lonely=3"}]
    case.answers["lonely"] = case.answers["lonely"].replace({"3": "2"})
    for name, value in (("cohab", "2"), ("sex", "1"), ("lonely", "3"), ("since", "")):
        case.put(name, value, 5, 9)


@fault("SKP-05", error="SKIP_RULE", exit_code=5)
def skip_rule_of_no_column(case):
    is_first = (case.codebook["variable"] == "since") & (case.codebook["type"] == "SA")
    case.codebook.loc[is_first, "ask_if"] = "nowhere=1"


# --- missing ------------------------------------------------------------------------------------


@fault("MIS-01", rows={"NO_CELL": 2})
def region_missing(case):
    # The list keeps them as 不明; without a region they cannot be weighted (design, NO_CELL).
    case.put("region", "", 5, 6)


@fault("MIS-02", rows={"NO_CELL": 1})
def age_missing(case):
    case.put("age", "", 5)


@fault("MIS-02a", rows={"NO_CELL": 1})
def stratum_missing(case):
    case.study["weighting"]["strata"] = ["cohab"]
    case.put("cohab", "", 5)


@fault("MIS-03")
def all_missing(case):
    case.answers["cohab"] = ""


@fault("MIS-04")
def many_missing(case):
    case.put("cohab", "", *range(2, 70))


@fault("MIS-05", note="自由回答")
def no_text_column(case):
    case.answers = case.answers.drop(columns="words")


@fault("MIS-07")
def empty_texts(case):
    for row, text in enumerate(("　", "-", "－", "無回答", "なし"), start=5):
        case.put("words", text, row)


# --- response quality ---------------------------------------------------------------------------

ITEMS = ["ucla1", "ucla2", "ucla3", "lonely"]


@fault("QLT-01", flags={"STRAIGHTLINER": 1})
def straight_line(case):
    case.study["quality"] = [{"rule": "straightliner", "items": ITEMS, "threshold": 4}]
    case.answers["lonely"] = "5"
    case.answers["since"] = "2"
    for name in ITEMS:
        case.put(name, "2", 5)
    case.put("since", "", 5)


@fault("QLT-01b", flags={"STRAIGHTLINER": 1})
def straight_line_of_three(case):
    """Three equal answers are a line where the others are missing; two are none."""
    case.study["quality"] = [{"rule": "straightliner", "items": ITEMS}]
    case.answers[["lonely", "since"]] = ["5", "2"]
    case.put("lonely", "9", 5, 6)
    case.put("since", "", 5, 6)
    for name in ITEMS[:3]:
        case.put(name, "2", 5, 6)
    case.put("ucla3", "9", 6)


@fault("QLT-02", flags={"SPEEDER": 3}, cells={("seconds", "OUT_OF_RANGE"): 1})
def speeders(case):
    """Half of the median, 300 seconds, is no speeder; forms left open do not move it."""
    case.study["quality"] = [{"rule": "speeder", "variable": "seconds", "threshold": 0.5}]
    case.answers["seconds"] = "600"
    case.put("seconds", "86400", *range(100, 110))
    for row, text in enumerate(("5", "0", "-30", "299", "300"), start=5):
        case.put("seconds", text, row)


@fault("QLT-02b", rows={"SPEEDER": 2})
def speeders_out(case):
    rule = {"rule": "speeder", "variable": "seconds", "threshold": 120, "action": "quarantine"}
    case.study["quality"] = [rule]
    for row, text in enumerate(("60", "119", "120"), start=5):
        case.put("seconds", text, row)


@fault("QLT-03")
def paper_has_no_duration(case):
    case.study["quality"] = [{"rule": "speeder", "variable": "seconds"}]
    case.put("seconds", "", *range(2, 102))


@fault("QLT-04", flags={"DUPLICATE_TEXT": 5})
def copied_text(case):
    """Ten letters from five people are flagged; not nine letters, nor four people."""
    case.study["quality"] = [{"rule": "duplicate_text", "variable": "words", "threshold": 5}]
    case.answers["words"] = [f"それぞれちがう自由な回答 {i}" for i in range(N_ROWS)]
    case.put("words", "写してきた同じ回答だ", *range(5, 10))
    case.put("words", "写してきた同じ回答", *range(20, 30))
    case.put("words", "どこかから写した同じ回答", *range(40, 44))


@fault("QLT-05", flags={"INCONSISTENT": 1})
def attention_failed(case):
    case.study["quality"] = [{"rule": "inconsistent", "when": "persons_check=2"}]
    rows = pd.DataFrame(
        [
            {"variable": "persons_check", "type": "SA", "label": "x", "code": "1"},
            {"variable": "persons_check", "code": "2"},
        ]
    )
    case.codebook = pd.concat([case.codebook, rows], ignore_index=True).fillna("")
    case.answers["persons_check"] = "1"
    case.put("persons_check", "2", 5)


@fault("QLT-06", flags={"PARTIAL": 1})
def dropped_out(case):
    for name in ("ucla1", "ucla2", "ucla3", "cohab", "persons", "words"):
        case.put(name, "", 5)


@fault("QLT-07", rows={"INELIGIBLE": 2})
def outside(case):
    case.put("region", "3", 5)
    case.put("age", "15", 6)
    case.put("age", "16", 7)  # of age


@fault("QLT-08", rows={"TEST_RECORD": 2})
def trial_records(case):
    action = {"action": "quarantine"}
    case.study["quality"] = [
        {"rule": "test_record", "variable": "id"} | action,
        {"rule": "test_record", "variable": "words"} | action,
    ]
    case.put("id", "99999", 5)
    case.put("words", "テスト", 6)


# --- dates and numbers --------------------------------------------------------------------------


@fault("DAT-01", repairs={"ERA_DATE": 3})
def era_dates(case):
    for row, text in enumerate(("令和6年1月4日", "R6.1.5", "令和６年１月６日"), start=5):
        case.put("day", text, row)


@fault("DAT-02", cells={("day", "IMPOSSIBLE_ERA_DATE"): 3})
def impossible_eras(case):
    for row, text in enumerate(("昭和65年1月1日", "平成32年1月1日", "令和0年1月1日"), start=5):
        case.put("day", text, row)


@fault("DAT-03", cells={("day", "NOT_A_DATE"): 1})
def serial_in_csv(case):
    case.put("day", "45300", 5)


@fault("DAT-03b", repairs={"EXCEL_DATE": 1})
def serial_in_workbook(case):
    def change(book):
        book.active.cell(5, 3).value = 45300  # 2024-01-09

    to_workbook(case, change)


@fault("DAT-04", cells={("day", "NOT_A_DATE"): 1})
def mixed_dates(case):
    case.put("day", "02/01/2024", 5)


@fault("DAT-05", flags={"OUT_OF_FIELD_PERIOD": 1})
def late_answer(case):
    case.put("day", "2024-03-02", 5)


@fault("DAT-06", cells={("persons", "NOT_FINITE"): 4})
def not_finite(case):
    for row, text in enumerate(("inf", "-inf", "1e400", "NaN"), start=5):
        case.put("persons", text, row)


@fault("DAT-07", repairs={"DATE": 1})
def time_zone(case):
    case.put("day", "2024-01-10T23:30:00Z", 5)


# --- free text ----------------------------------------------------------------------------------

ODD_TEXTS = {
    "TXT-01": "<script>alert(1)</script><img onerror=x>",
    "TXT-02": '=HYPERLINK("http://x?"&A1)',
    "TXT-03": "右\u202e左\u200b幅なし\u00ad",
    "TXT-04": "あ" * 40_000,
    "TXT-05": "👩‍👩‍👧 が\u3099 𠮷 ☎\ufe0f",
    "TXT-06": "ｶﾅ か\u3099",
    "TXT-08": "**x** $x$ {{7*7}} ![](file:///etc/passwd)",
    "TXT-09": "090-0000-0000 hanako@example.com 〒790-0000",
    "TXT-10": "〇九〇の〇〇〇〇",
    "TXT-11": "きえてしまいたい",
}
for _name, _text in ODD_TEXTS.items():
    # What leaves the private zone is the business of report and disclosure; the store keeps all.
    FAULTS[_name] = (lambda case, text=_text: case.put("words", text, 5), Expected())


@fault("TXT-07", repairs={"CONTROL_CHARACTER": 1})
def control_characters(case):
    case.put("words", "夜\x07長い\x1b", 5)


# --- weights and strata -------------------------------------------------------------------------


@fault("WGT-01", error="CELL_WITHOUT_RESPONDENTS", exit_code=4)
def empty_cell(case):
    case.answers.loc[(case.answers["region"] == "2") & (case.answers["age"] == "60"), "age"] = "30"


@fault("WGT-02", error="TARGETS_CELL_MISSING", exit_code=5)
def cell_without_population(case):
    case.targets = make_targets().iloc[:-1]


@fault("WGT-02b", error="TARGETS_CODE", exit_code=5)
def population_of_no_cell(case):
    case.targets = make_targets().replace({"region": {"2": "9"}})


@fault("WGT-03", error="MARGIN_SUM", exit_code=5)
def margin_of_another_sum(case):
    case.study["weighting"] |= {
        "method": "raking",
        "margins": [{"by": ["cohab"], "targets": "population.csv"}],
    }
    case.targets = make_targets().assign(cohab=["1", "2"] * 4)
    case.study["weighting"]["margins"] = [{"by": ["sex"], "targets": "sexes.csv"}]
    case.extra = {"sexes.csv": "sex,population\n1,4000\n2,4100\n"}


@fault("WGT-06", error="TARGETS_NUMBER", exit_code=5)
def negative_population(case):
    case.targets = make_targets().assign(population=[-5] + [1000] * 7)


@fault("WGT-08", error="TARGETS_VINTAGE", exit_code=5)
def another_year(case):
    case.study["waves"][YEAR]["population_date"] = "2024-01-01"
    case.targets = make_targets().assign(population_date="2015-10-01")


# --- schema drift -------------------------------------------------------------------------------


@fault("SCH-01", error="COLUMN_MISSING")
def column_missing(case):
    case.answers = case.answers.drop(columns="cohab")


@fault("SCH-02", error="COLUMN_UNKNOWN")
def new_column(case):
    # The list warns. A column nobody declared may hold names: the study file must say ignore.
    case.answers["氏名"] = "x"


@fault("SCH-02b", note="使いません")
def new_column_ignored(case):
    case.study["file"]["unknown_columns"] = "ignore"
    case.answers["extra"] = "x"


@fault("SCH-05", error="REGION_UNKNOWN")
def merged_region(case):
    case.put("region", "7", 5)


@fault("SCH-06", error="CODE_UNKNOWN")
def text_for_codes(case):
    case.answers["cohab"] = case.answers["cohab"].replace({"1": "はい、います", "2": "いません"})


# --- the tests ----------------------------------------------------------------------------------

# Cases tested somewhere else than by a fault above, and where: folder of tests, file, test.
ELSEWHERE = {
    "COD-09": ("data/test_faults", "test_reversed_item_is_seen"),
    "MIS-06": ("unit/test_models", "test_deletion_of_too_many_rows_is_refused_with_counts"),
    "WGT-04": ("unit/test_weighting", "test_raking_that_cannot_meet_its_margins_is_an_error"),
    "WGT-05": ("unit/test_weighting", "test_trimming_keeps_cap_and_margins"),
    "WGT-07": ("unit/test_weighting", "test_lonely_units_by_each_rule"),
    "SCH-03": ("data/test_faults", "test_drift_between_waves"),
    "SCH-04": ("data/test_faults", "test_drift_between_waves"),
    "PAR-01": ("unit/test_pipeline", "test_a_wrong_parameter_stops_before_anything_starts"),
    "PAR-02": ("unit/test_pipeline", "test_a_wrong_parameter_stops_before_anything_starts"),
    "PAR-04": ("unit/test_pipeline", "test_a_wrong_parameter_stops_before_anything_starts"),
    # What is not about input: models, disclosure, leaks, integrity.
    "MOD-01": ("unit/test_models", "test_perfect_separation_is_named"),
    "MOD-02": ("unit/test_models", "test_quasi_separation_by_a_rare_level_is_named"),
    "MOD-03": ("unit/test_models", "test_not_converged_prints_no_numbers"),
    "MOD-04": ("unit/test_models", "test_one_class_outcome"),
    "MOD-05": ("unit/test_models", "test_constant_predictor_is_dropped_and_named"),
    "MOD-06": ("unit/test_models", "test_collinear_levels_are_named"),
    "MOD-07": ("unit/test_models", "test_all_missing_predictor_is_named"),
    "MOD-08": ("unit/test_models", "test_few_events_per_parameter_are_noted"),
    "MOD-09": ("unit/test_tables", "test_a_table_that_cannot_be_tested_says_so"),
    "SDC-01": (
        "unit/test_disclosure",
        "test_a_hidden_row_keeps_its_keys_and_loses_every_number_mark_and_verdict",
    ),
    "SDC-02": ("unit/test_attack", "test_every_secondary_cell_that_is_shown_again_fails"),
    "SDC-03": ("unit/test_attack", "test_one_number_more_in_sentence_alt_text_or_cell_fails"),
    "SDC-04": (
        "unit/test_disclosure",
        "test_overlapping_bands_of_one_number_are_refused_and_nested_ones_are_not",
    ),
    "SDC-05": ("unit/test_attack", "test_a_release_again_without_three_people_fails"),
    "SDC-06": ("unit/test_disclosure", "test_a_sensitive_group_of_one_mind_is_hidden"),
    "SDC-07": ("unit/test_disclosure", "test_figures_that_no_hiding_makes_safe_are_refused"),
    "SDC-08": ("unit/test_disclosure", "test_a_model_with_few_degrees_of_freedom_is_not_shown"),
    "SDC-09": (
        "unit/test_disclosure",
        "test_no_small_cell_can_be_told_from_the_joint_table_of_all_that_is_shown",
    ),
    "LEAK-01": ("unit/test_attack", "test_a_canary_is_found_in_every_encoding"),
    "LEAK-02": (
        "unit/test_pipeline",
        "test_a_failing_notebook_names_place_and_cause_and_leaves_the_release",
    ),
    "LEAK-03": ("browser/test_report_html", "test_policy_stops_a_script_that_slipped_through"),
    "LEAK-04": (
        "notebooks/test_run",
        "test_the_release_holds_six_files_and_nothing_of_this_machine",
    ),
    "LEAK-05": ("unit/report/test_workbook", "test_workbook_names_nobody_and_has_only_known_parts"),
    "INT-01": (
        "unit/test_pipeline",
        "test_killed_anywhere_the_release_is_whole_and_the_next_run_comes_through",
    ),
    "INT-02": ("unit/test_pipeline", "test_a_disk_that_fills_up_leaves_the_release"),
    "INT-03": ("unit/test_pipeline", "test_a_second_run_is_refused_and_names_the_first"),
    "INT-04": ("unit/test_pipeline", "test_an_input_that_changes_during_the_run_is_noticed"),
    "INT-05": ("unit/test_pipeline", "test_same_inputs_give_the_same_bytes_in_another_place"),
    "INT-06": ("unit/test_pipeline", "test_first_run_that_fails_is_resumed"),
    "INT-07": ("unit/test_pipeline", "test_a_link_or_a_file_where_the_report_goes_is_refused"),
    "INT-08": ("data/test_faults", "test_ledger_that_does_not_add_up_is_refused"),
    "INT-09": ("unit/test_pipeline", "test_a_dead_kernel_is_said_to_be_dead"),
    "INT-10": ("unit/test_pipeline", "test_same_inputs_give_the_same_bytes_in_another_place"),
}
# Cases that cannot arise in this design, and why.
NOT_HERE = {
    "ID-07": "no second file is joined to the answers: weights come as a column of the file",
    "SCH-07": "bands are made from the age by one study.yaml for all waves",
    "SCH-08": "a data file names no codebook version: its columns and codes are the proof (SCH-01)",
    "PAR-03": "no parameter takes a subset of the respondents",
}
GROUPS = {"ENC": 10, "CSV": 17, "XLS": 12, "SAV": 8, "ID": 8, "COD": 10, "MA": 6, "SKP": 5}
GROUPS |= {"MIS": 7, "QLT": 8, "DAT": 7, "TXT": 11, "WGT": 8, "SCH": 8, "PAR": 4}
OTHER_GROUPS = {"MOD": 9, "SDC": 9, "LEAK": 5, "INT": 10}


def test_every_case_of_the_list_has_one_place():
    assert (sum(GROUPS.values()), sum(OTHER_GROUPS.values())) == (129, 33)
    groups = GROUPS | OTHER_GROUPS
    wanted = {f"{group}-{i:02d}" for group, n in groups.items() for i in range(1, n + 1)}
    here = {name.rstrip("bc") for name in FAULTS} & wanted
    assert here | set(ELSEWHERE) | set(NOT_HERE) == wanted
    assert len(here) + len(ELSEWHERE) + len(NOT_HERE) == len(wanted)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_test_that_is_named_exists(name):
    file, function = ELSEWHERE[name]
    tree = ast.parse((ROOT / f"tests/{file}.py").read_text(encoding="utf-8"))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name, tmp_path, monkeypatch):
    spoil, expected = FAULTS[name]
    case = Case()
    case.folder = tmp_path
    spoil(case)
    path = case.write(tmp_path)
    for extra, text in getattr(case, "extra", {}).items():
        (path.parents[1] / extra).write_text(text, encoding="utf-8")
    before = path.read_bytes()
    outcome = run(tmp_path, monkeypatch)
    check_always(case, outcome)
    assert path.read_bytes() == before, "the raw file is never changed"
    if expected.error:
        assert outcome.error is not None, "an error was expected"
        assert (outcome.error.code, outcome.error.exit_code) == (expected.error, expected.exit_code)
        return
    assert outcome.error is None
    cleaned = outcome.cleaned
    out = cleaned.ledger.set_index("reason_code")["n_rows"].drop("").to_dict()
    assert out == expected.rows
    assert counts(cleaned.cells, ["variable", "reason_code"]) == expected.cells
    flags = counts(cleaned.flags, "flag")
    assert flags == expected.flags
    assert counts(cleaned.repairs, "rule") == expected.repairs
    assert expected.note in " ".join(outcome.raw.facts["notes"])


def clean(case: Case, root: Path, monkeypatch) -> Outcome:
    case.folder = root
    case.write(root)
    outcome = run(root, monkeypatch)
    assert outcome.error is None
    return outcome


def test_good_sample_is_good(tmp_path, monkeypatch):
    outcome = clean(Case(), tmp_path, monkeypatch)
    assert len(outcome.cleaned.respondents) == N_ROWS
    assert outcome.cleaned.cells.empty and outcome.cleaned.repairs.empty


def test_same_answers_from_every_format(tmp_path, monkeypatch):
    frames = []
    for number, change in enumerate((cp932, utf8_mark, tabs, workbook, value_labels, stata)):
        root = tmp_path / str(number)
        root.mkdir()
        case = Case()
        case.folder = root
        change(case)
        frames.append(clean(case, root, monkeypatch).cleaned.respondents)
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frame, frames[0])


def labels_in_one_cell(case, separator):
    in_one_cell(case, separator)
    for code, label in EVENTS.items():
        case.answers["event"] = case.answers["event"].str.replace(code, label)
    case.study["multi_answer"] = {"separator": separator}


def a_label_holds_the_separator(case):  # as Google Forms puts 「事故, 病気」 beside others
    case.codebook.loc[case.codebook["variable"] == "event_2", "code_label"] = "事故, 病気"
    labels_in_one_cell(case, ", ")
    case.answers["event"] = case.answers["event"].str.replace("転居", "事故, 病気")


def a_label_a_column(case):
    for code, label in EVENTS.items():
        column = case.answers[f"event_{code}"]
        case.answers[f"event_{code}"] = column.replace({"1": f"{label} ", "0": ""})
    case.study["multi_answer"] = {"chosen": "code", "unchosen": ""}


def mentions(case, padding="0"):
    names = ["Q1_1st", "Q1_2nd", "Q1_3rd"]
    chosen = [[*reversed(codes), *[padding] * 3][:3] for codes in codes_chosen(case)]
    case.answers = case.answers.drop(columns=[f"event_{code}" for code in EVENTS])
    case.answers[names] = chosen
    case.study["multi_answer"] = {"mentions": {"event": names}}


def one_cell_and_columns(case):
    case.answers["event"] = [" ".join(codes) for codes in codes_chosen(case)]
    case.study["multi_answer"] = {"separator": " "}


def yes_and_no(case):
    for code in EVENTS:
        case.answers[f"event_{code}"] = case.answers[f"event_{code}"].map({"1": "Yes", "0": "No"})
    case.study["multi_answer"] = {"chosen": "Yes", "unchosen": "No"}


LAYOUTS = {
    "labels": lambda case: labels_in_one_cell(case, ";"),
    "lines": lambda case: labels_in_one_cell(case, "\n"),
    "codes on lines": lambda case: (
        in_one_cell(case, "\n"),
        case.study.update(multi_answer={"separator": "\n"}),
    ),
    "wide space": lambda case: labels_in_one_cell(case, "\u3000"),
    "label with separator": a_label_holds_the_separator,
    "label a column": a_label_a_column,
    "mentions": mentions,
    "mentions of labels": lambda case: (
        mentions(case, padding=""),
        case.answers.__setitem__("Q1_1st", case.answers["Q1_1st"].replace(EVENTS)),
    ),
    "both": one_cell_and_columns,
    "yes": yes_and_no,
    "excel": true_and_false,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_multi_answer_question_is_the_same_in_every_layout(layout, tmp_path, monkeypatch):
    good, case = make_answers(), Case()
    LAYOUTS[layout](case)
    people = clean(case, tmp_path, monkeypatch).cleaned.respondents
    assert (people["event"] == "answered").all()
    for code in EVENTS:
        assert people[f"event_{code}"].tolist() == good[f"event_{code}"].astype(int).tolist()


def test_labels_are_put_in_as_the_mark_that_the_file_uses(tmp_path, monkeypatch):
    case = Case()
    a_label_a_column(case)
    first = clean(case, tmp_path / "a", monkeypatch).cleaned
    assert set(first.repairs["rule"]) == {"LABEL"}
    for repair in first.repairs.itertuples():
        case.put(repair.variable, repair.new, repair.file_row)
    again = clean(case, tmp_path / "b", monkeypatch).cleaned
    assert again.repairs.empty
    pd.testing.assert_frame_equal(again.respondents, first.respondents)


def declare(case: Case, variable: str, code: str, role: str) -> None:
    """Add a code without an answer to a single-answer question of the codebook."""
    place = case.codebook.index[case.codebook["variable"] == variable][-1] + 1
    row = pd.DataFrame([{"variable": variable, "code": code, "code_label": role, "role": role}])
    parts = [case.codebook.iloc[:place], row, case.codebook.iloc[place:]]
    case.codebook = pd.concat(parts, ignore_index=True).fillna("")


@pytest.mark.parametrize("layout", ["columns", "one cell", "mentions"])
@pytest.mark.parametrize("mark", ["n/a", "-99", "99"])
def test_a_mark_of_the_codebook_means_the_same_in_every_column(mark, layout, tmp_path, monkeypatch):
    case = Case()
    declare(case, "since", mark, "not_applicable")
    declare(case, "cohab", "-8", "refused")
    case.answers["since"] = case.answers["since"].replace("", mark)
    if layout == "one cell":
        in_one_cell(case)
    elif layout == "mentions":
        mentions(case)
    columns = [name for name in case.answers if name.startswith(("event", "Q1"))]
    case.study.setdefault("multi_answer", {})["separator"] = ";"
    if mark == "99":  # a number may be an answer: it must be named
        case.study["multi_answer"]["not_asked"] = ["99"]
    for name in columns:
        case.put(name, mark, 5)
        case.put(name, "-8", 6)
    case.put("persons", mark if mark != "99" else "", 5)
    case.put("persons", ".b", 6)
    outcome = clean(case, tmp_path, monkeypatch)
    people = outcome.cleaned.respondents.set_index("file_row")
    assert pd.isna(people.loc[5, "event"]) and pd.isna(people.loc[5, "event_1"])
    assert (people.loc[6, "event"], people.loc[6, "event_1"]) == (NO_ANSWER, 0)
    assert people.loc[[5, 6], "persons"].isna().all()
    assert counts(outcome.cleaned.cells, ["variable", "reason_code"]) == {}  # not even of `since`
    is_asked = people["lonely"].isin(["4", "5"])
    assert (people.loc[is_asked, "since"] == "2").all() and people.loc[
        ~is_asked, "since"
    ].isna().all()


def test_a_mark_that_nobody_declared_is_refused_with_where_to_declare_it(tmp_path, monkeypatch):
    case = Case()
    for code in EVENTS:
        case.put(f"event_{code}", "n/a", *range(5, 20))
    case.write(tmp_path)
    error = run(tmp_path, monkeypatch).error
    assert error.code == "CODE_UNKNOWN" and "not_asked" in str(error)


def test_labels_are_matched_however_a_character_is_written(tmp_path, monkeypatch):
    case = Case()
    case.codebook.loc[case.codebook["code_label"] == "5年以上", "code_label"] = "６ヶ月〜"
    case.answers["since"] = case.answers["since"].replace("2", "6ケ月～")
    people = clean(case, tmp_path, monkeypatch).cleaned.respondents
    assert set(people["since"].dropna()) == {"3"}


def test_options_of_a_form_that_was_never_opened_are_no_answer(tmp_path, monkeypatch):
    case = Case()
    is_event = case.codebook["item"] == "event"
    case.codebook.loc[is_event, ["role", "required"]] = ["", "no"]
    for code in EVENTS:
        case.put(f"event_{code}", "0", 5, 6, 7, 8)
    for name in ("ucla1", "ucla2", "ucla3", "cohab"):
        case.put(name, "", 5, 6, 7)
    case.put("words", "", 5, 6)
    case.put("event_2", "1", 6)  # came as far as this question
    case.put("words", "夜", 7)  # skipped this question with the four before it, and came beyond
    outcome = clean(case, tmp_path, monkeypatch)
    people = outcome.cleaned.respondents.set_index("file_row")["event"]
    assert people.loc[5:8].tolist() == [NO_ANSWER, "answered", NO_ANSWER, "answered"]
    assert (people.drop([5, 7]) == "answered").all()
    assert counts(outcome.cleaned.cells, ["variable", "reason_code"]) == {
        ("event", "NOT_OPENED"): 2
    }
    assert counts(outcome.cleaned.flags, "flag") == {"PARTIAL": 3}


def test_options_of_a_form_skipped_in_the_middle_are_no_answer(tmp_path, monkeypatch):
    case = Case()
    is_event = case.codebook["item"] == "event"
    case.codebook.loc[is_event, ["role", "required"]] = ["", "no"]
    later = [f"later{i}" for i in range(8)]  # 16 required questions: three left out are a form
    rows = [
        {"variable": v, "type": "SA", "label": v, "code": c, "code_label": c}
        for v in later
        for c in "12"
    ]
    case.codebook = pd.concat([case.codebook, pd.DataFrame(rows)], ignore_index=True).fillna("")
    case.answers[later] = "1"
    for code in EVENTS:
        case.put(f"event_{code}", "0", *range(5, 14))
    case.put("words", "", *range(5, 14))
    skipped = {
        5: ["ucla2", "ucla3", "cohab"],  # three before it
        6: ["ucla3", "cohab", "later0"],  # around it
        7: ["later0", "later1", "later2"],  # behind it
        8: ["ucla3", "cohab"],  # two only
        9: ["ucla1", "ucla2", "cohab"],  # not in a row
        10: ["ucla3", "cohab", "later0"],  # but words were given between
        11: ["ucla3", "cohab", "later0"],  # but an option was chosen
        12: later[5:],  # broke off, long after it
        13: later,  # broke off, after words behind it
    }
    for row, names in skipped.items():
        for name in names:
            case.put(name, "", row)
    case.put("words", "夜", 10, 13)
    case.put("event_2", "1", 11)
    outcome = clean(case, tmp_path, monkeypatch)
    people = outcome.cleaned.respondents.set_index("file_row")["event"]
    assert people.loc[5:13].tolist() == [NO_ANSWER] * 3 + ["answered"] * 6
    assert (people.drop([5, 6, 7]) == "answered").all()
    assert counts(outcome.cleaned.cells, ["variable", "reason_code"]) == {
        ("event", "NOT_OPENED"): 3
    }
    assert counts(outcome.cleaned.flags, "flag") == {"PARTIAL": 2}


def test_the_share_of_bad_cells_is_of_the_answers_given(tmp_path, monkeypatch):
    case = Case()
    case.put("cohab", "", *range(52, 202))
    case.put("cohab", "7", *range(5, 10))
    case.write(tmp_path)
    error = run(tmp_path, monkeypatch).error
    assert error.code == "CODE_UNKNOWN" and "5 件（10.0%）" in str(error)  # 5 of 50, not of 200


def test_of_exact_copies_the_first_stays(tmp_path, monkeypatch):
    case = Case()
    exact_copies(case)
    cleaned = clean(case, tmp_path, monkeypatch).cleaned
    assert cleaned.quarantine["file_row"].tolist() == [N_ROWS + 2, N_ROWS + 3]
    assert 6 in cleaned.respondents["file_row"].tolist()


def test_what_no_answer_means(tmp_path, monkeypatch):
    case = Case()
    follow_up_blank(case)  # row 5: asked, blank
    should_be_skipped_row = 6
    case.put("lonely", "1", should_be_skipped_row)
    case.put("since", "", should_be_skipped_row)
    case.put("ucla1", "9", 7)
    for name in EVENTS:
        case.put(f"event_{name}", "", 8)
    people = clean(case, tmp_path, monkeypatch).cleaned.respondents.set_index("file_row")
    assert people.loc[5, "since"] == NO_ANSWER
    assert pd.isna(people.loc[6, "since"])
    assert people.loc[7, "ucla1"] == "9"  # 無回答 of the questionnaire keeps its code
    assert pd.isna(people.loc[7, "ucla_total"])
    assert people.loc[8, "event"] == NO_ANSWER
    assert people.loc[8, "event_1"] == 0


def test_refusing_a_multi_answer_question_is_no_answer(tmp_path, monkeypatch):
    case = Case()
    place = case.codebook.index[case.codebook["variable"] == "event_4"][0] + 1
    refused = {"variable": "event_5", "item": "event", "type": "MA", "code": "5"}
    row = pd.DataFrame([refused | {"code_label": "答えたくない", "role": "refused"}])
    parts = [case.codebook.iloc[:place], row, case.codebook.iloc[place:]]
    case.codebook = pd.concat(parts, ignore_index=True).fillna("")
    case.answers["event_5"] = "0"
    for row, chosen in ((5, ["5"]), (6, ["1", "5"])):
        for code in (*EVENTS, "5"):
            case.put(f"event_{code}", "1" if code in chosen else "0", row)
    outcome = clean(case, tmp_path, monkeypatch)
    people = outcome.cleaned.respondents.set_index("file_row")
    assert (people.loc[5, "event"], people.loc[5, "event_5"]) == (NO_ANSWER, 1)
    assert (people.loc[6, "event"], people.loc[6, "event_5"]) == ("answered", 0)  # others count
    shares = outcome.survey.items["event"].indicators(outcome.cleaned.respondents)
    assert list(shares) == [*EVENTS, NO_ANSWER]
    assert shares[NO_ANSWER].sum() == 1


def test_texts_are_stored_as_written(tmp_path, monkeypatch):
    case = Case()
    texts = dict(zip(range(2, 20), ODD_TEXTS.values(), strict=False))
    for row, text in texts.items():
        case.put("words", text, row)
    people = clean(case, tmp_path, monkeypatch).cleaned.respondents.set_index("file_row")
    assert {row: people.loc[row, "words"] for row in texts} == texts


def test_empty_marks_are_no_text_but_nashi_is(tmp_path, monkeypatch):
    case = Case()
    empty_texts(case)
    words = clean(case, tmp_path, monkeypatch).cleaned.respondents.set_index("file_row")["words"]
    assert words.loc[5:8].isna().all()
    assert words.loc[9] == "なし"


def test_missing_marks_stand_beside_the_question(tmp_path, monkeypatch):
    case = Case()
    case.answers["cohab"] = ""
    case.put("lonely", "", *range(2, 70))
    case.put("since", "", *range(2, 70))
    outcome = clean(case, tmp_path, monkeypatch)
    table = review.missing_by_item(outcome.cleaned.respondents, outcome.survey).set_index("item")
    assert table.loc["cohab", "note"] == "集計対象なし"
    assert table.loc["lonely", "missing_pct"] == pytest.approx(100 * 68 / 200)  # 68 of 200 blanked
    assert "20%" in table.loc["lonely", "note"]


def test_a_fifth_missing_is_no_remark_and_who_refused_did_not_answer(tmp_path, monkeypatch):
    case = Case()
    is_nine = (case.codebook["variable"] == "ucla3") & (case.codebook["code"] == "9")
    case.codebook.loc[is_nine, "role"] = "refused"
    case.put("ucla1", "9", *range(2, 42))  # 40 of 200
    case.put("ucla2", "9", *range(2, 43))
    case.put("ucla3", "9", *range(2, 12))
    outcome = clean(case, tmp_path, monkeypatch)
    table = review.missing_by_item(outcome.cleaned.respondents, outcome.survey).set_index("item")
    assert table.loc["ucla1", ["missing_pct", "note"]].tolist() == [20.0, ""]
    assert table.loc["ucla2", "note"] == "無回答が 20% をこえる"
    numbers = ["n_asked", "n_answered", "n_refused", "n_no_answer", "missing_pct"]
    assert table.loc["ucla3", numbers].tolist() == [200, 190, 10, 0, 5.0]


def test_who_refused_has_no_merged_answer(tmp_path, monkeypatch):
    case = Case()
    is_nine = (case.codebook["variable"] == "ucla3") & (case.codebook["code"] == "9")
    case.codebook.loc[is_nine, "role"] = "refused"
    classes = [
        {"code": "few", "label": "f", "of": ["1", "2"]},
        {"code": "many", "label": "m", "of": ["3", "4"]},
    ]
    case.study["derive"]["two"] = {"label": "t", "recode_of": "ucla3", "classes": classes}
    for row, code in enumerate(("2", "3", "9", ""), start=5):
        case.put("ucla3", code, row)
    people = clean(case, tmp_path, monkeypatch).cleaned.respondents.set_index("file_row")
    assert people.loc[5:8, "two"].tolist() == ["few", "many", NO_ANSWER, NO_ANSWER]


def test_reversed_item_is_seen(tmp_path, monkeypatch):
    case = Case()
    case.answers["ucla2"] = (5 - case.answers["ucla1"].astype(int)).astype(str)
    outcome = clean(case, tmp_path, monkeypatch)
    found = review.scale_directions(outcome.cleaned.respondents, outcome.survey)
    assert {"ucla1", "ucla2"} in [set(pair) for pair in found[["item", "other"]].to_numpy()]
    # ucla2 = 5 - ucla1 exactly, so their correlation is -1.
    assert found["correlation"].min() == pytest.approx(-1)


def test_a_second_header_is_called_one(tmp_path, monkeypatch):
    case = Case()
    two_header_rows(case)
    case.write(tmp_path)
    told = str(run(tmp_path, monkeypatch).error)
    assert (
        "2 行目は回答ではなく見出しのようです" in told
        and "Row 2 looks like a second header" in told
    )


def test_quarantine_keeps_the_raw_line(tmp_path, monkeypatch):
    case = Case()
    unquoted_comma(case)
    quarantine = clean(case, tmp_path, monkeypatch).cleaned.quarantine
    assert quarantine["file_row"].tolist() == [5]
    assert quarantine["raw_line"].tolist() == [case.raw.decode().split("\n")[4]]
    assert quarantine["rule_version"].tolist() == [cleaning.RULE_VERSION]
    assert quarantine["reason"].tolist() == ["項目が多すぎる行"]
    assert quarantine["respondent_id"].tolist() == [""]  # its columns cannot be told apart


def test_quarantine_says_whose_row_and_why_in_japanese(tmp_path, monkeypatch):
    case = Case()
    own = case.answers["id"].iloc[0]  # file row 2
    case.put("region", "", 2)
    case.put("id", "", 4)
    table = clean(case, tmp_path, monkeypatch).cleaned.quarantine
    assert table["respondent_id"].tolist() == [own, ""]
    assert table["reason"].tolist() == [
        "地域・年代などがなく重みを付けられない",
        "回答者番号がない",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_raw_lines_hold_line_breaks_in_text(encoding, tmp_path, monkeypatch):
    case = Case(encoding=encoding)
    case.put("words", "一行目\n二行目", 3, 4)
    case.put("id", "", 4, 6)
    table = clean(case, tmp_path, monkeypatch).cleaned.quarantine
    assert table["file_row"].tolist() == [4, 6]
    assert table["raw_line"].iloc[0].endswith('"一行目\n二行目"')


def test_repairs_are_idempotent(tmp_path, monkeypatch):
    case = Case()
    full_width(case)
    era_dates(case)
    first = clean(case, tmp_path / "a", monkeypatch)
    assert set(first.cleaned.repairs["rule"]) == {"NFKC", "ERA_DATE"}
    for repair in first.cleaned.repairs.itertuples():
        case.put(repair.variable, repair.new, repair.file_row)
    again = clean(case, tmp_path / "b", monkeypatch)
    assert again.cleaned.repairs.empty
    pd.testing.assert_frame_equal(again.cleaned.respondents, first.cleaned.respondents)


def test_decisions_accept_correct_and_exclude(tmp_path, monkeypatch):
    case = Case()
    case.put("id", "A0010", 22)  # rows 12 and 22 share an id
    case.put("region", "7", 30)  # a region that is not in the study
    case.decisions = (
        "file_row,file_sha256,respondent_id,variable,decision,new_value,reason\n"
        "12,HASH,,,accept,,本人に確認\n"
        "30,,A0028,region,correct,2,調査票の原本\n"
        ",,A0050,,exclude,,回答の取り消し\n"
    )
    cleaned = clean(case, tmp_path, monkeypatch).cleaned
    out = cleaned.ledger.set_index("reason_code")["n_rows"].to_dict()
    assert out == {"": 198, "EXCLUDED_BY_DECISION": 1, "ID_CONFLICT": 1}
    people = cleaned.respondents.set_index("file_row")
    assert 12 in people.index and 22 not in people.index
    assert people.loc[30, "region"] == "2"
    logged = cleaned.repairs[cleaned.repairs["rule"] == "DECISION"]
    assert logged[["file_row", "old", "new"]].to_numpy().tolist() == [[30, "7", "2"]]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("30,A0050,exclude,x", "2 行目 file_row と respondent_id が別の人"),
        ('\n30,,exclude,"撤回\n31,,exclude,"x', "3 行目 セルに改行がある"),
        ("30,A0028,exclude,x\n\n999,,exclude,x", "4 行目 file_row だけでは"),  # row 30 is A0028
    ],
)
def test_decisions_that_could_touch_another_person(lines, told, tmp_path, monkeypatch):
    Case(decisions=f"file_row,respondent_id,decision,reason\n{lines}\n").write(tmp_path)
    error = run(tmp_path, monkeypatch).error
    assert (error.code, error.exit_code) == ("DECISIONS", 5)
    assert told in str(error)
    assert "A00" not in str(error)


@pytest.mark.parametrize(
    "line",
    [
        "999,,accept,,x",  # no such row
        "5,,keep,,x",  # no such decision
        "5,,exclude,,",  # no reason
        "5,nowhere,correct,1,x",  # no such variable
        "5,,correct,1,x",  # nothing to correct
        "5,cohab,correct,7,x",  # no such code
        "5,id,accept,,x",  # a row is accepted, not a cell
    ],
)
def test_decisions_that_cannot_be_followed(line, tmp_path, monkeypatch):
    head = "file_row,file_sha256,variable,decision,new_value,reason"
    case = Case(decisions=f"{head}\n{line.replace(',', ',HASH,', 1)}\n")
    case.write(tmp_path)
    error = run(tmp_path, monkeypatch).error
    assert (error.code, error.exit_code) == ("DECISIONS", 5)
    assert "2 行目" in str(error) and "file_row だけ" not in str(error)


@pytest.mark.parametrize("end", ["cohab,correct,1", ",exclude,"])
def test_decisions_count_before_a_column_is_refused(end, tmp_path, monkeypatch):
    lines = "".join(f"{row},HASH,{end},x\n" for row in range(5, 15))
    case = Case(decisions=f"file_row,file_sha256,variable,decision,new_value,reason\n{lines}")
    case.put("cohab", "7", *range(5, 15))  # 10 of 200: more than 2 %
    outcome = clean(case, tmp_path, monkeypatch)
    counts_ = review.compare_before_after(outcome.raw, outcome.cleaned, study=outcome.survey)
    assert counts_.loc[counts_["item"] == "region", "n_before"].sum() == N_ROWS


def test_an_option_of_an_answer_in_one_cell_can_be_corrected(tmp_path, monkeypatch):
    case = Case()
    in_one_cell(case)
    case.study["multi_answer"] = {"separator": ";"}
    case.answers.loc[[28, 29], "event"] = ["2", "7"]
    head = "respondent_id,variable,decision,new_value,reason\n"
    case.decisions = head + "A0028,event_1,correct,1,x\nA0029,,exclude,,x\n"
    people = clean(case, tmp_path, monkeypatch).cleaned.respondents.set_index("file_row")
    assert people.loc[30, ["event_1", "event_2", "event_3"]].tolist() == [1, 1, 0]
    assert 31 not in people.index


@pytest.mark.parametrize("line", ["40,,A0038", ",,A0038"])
def test_a_decision_with_an_id_follows_the_person_or_is_refused(line, tmp_path, monkeypatch):
    head = "file_row,file_sha256,respondent_id,decision,reason\n"
    case = Case(decisions=f"{head}{line},exclude,withdrew\n")
    assert "A0038" not in set(
        clean(case, tmp_path / "a", monkeypatch).cleaned.respondents.iloc[:, 0]
    )
    case = Case(case.answers[::-1], decisions=case.decisions)  # newest first: row 40 is A0161
    case.write(tmp_path / "b")
    outcome = run(tmp_path / "b", monkeypatch)
    if line.startswith("40"):
        assert "file_row と respondent_id が別の人" in str(outcome.error)
    else:
        assert "A0038" not in set(outcome.cleaned.respondents["respondent_id"])
        assert len(outcome.cleaned.respondents) == N_ROWS - 1


@pytest.mark.parametrize("who", ["", "A0010"])
def test_a_row_is_no_person_until_the_file_is_confirmed(who, tmp_path, monkeypatch):
    head = "file_row,file_sha256,respondent_id,decision,reason\n"
    first = Case(decisions=f"{head}22,HASH,{who},exclude,withdrew\n")
    first.put("id", "A0010", 12, 22)  # an id that stands twice says no more than the row
    outcome = clean(first, tmp_path / "a", monkeypatch)
    assert outcome.cleaned.quarantine["file_row"].tolist() == [22]
    sha256 = outcome.raw.facts["sha256"][:12]
    for number, given in enumerate((sha256, sha256[:11], "", sha256.upper())):
        decisions = first.decisions.replace("HASH", given)
        case = Case(first.answers[::-1] if number < 3 else first.answers, decisions=decisions)
        path = case.write(tmp_path / str(number))
        error = run(tmp_path / str(number), monkeypatch).error
        assert (error is None) == (number == 3)  # the same file, in capital letters
        if error:
            assert (error.code, error.exit_code) == ("DECISIONS", 5)
            assert hashlib.sha256(path.read_bytes()).hexdigest()[:12] in str(error)


def test_a_folder_in_place_of_the_answers_is_refused(tmp_path, monkeypatch):
    path = Case().write(tmp_path)
    path.unlink()
    path.mkdir()
    assert run(tmp_path, monkeypatch).error.code == "RESPONSES_FOLDER"


def test_an_unknown_encoding_is_a_mistake_of_the_study_file(tmp_path, monkeypatch):
    case = Case()
    case.study["file"]["encodings"] = ["utf-8", "sjis-x"]
    case.write(tmp_path)
    error = run(tmp_path, monkeypatch).error
    assert (error.code, error.exit_code) == ("STUDY_FILE", 5)
    assert "sjis-x" in str(error)


def test_dates_with_a_time_may_be_missing_in_spss(tmp_path, monkeypatch):
    case = Case()
    case.folder = tmp_path
    case.answers["day"] = pd.to_datetime(case.answers["day"])
    case.answers.loc[3, "day"] = pd.NaT
    to_sav(case)
    day = clean(case, tmp_path, monkeypatch).cleaned.respondents["day"]
    assert day.isna().sum() == 1 and day[0] == "2024-01-01"


@pytest.mark.parametrize("version", [12, 13, 15])
def test_missing_values_of_stata_are_codes(version, tmp_path, monkeypatch):
    case = Case()
    declare(case, "cohab", ".a", "refused")
    declare(case, "cohab", ".b", "not_applicable")
    case.put("cohab", "a", 5)
    case.put("cohab", "b", 6)
    case.put("persons", "a", 5)
    case.put("persons", "", 7)
    case.folder = tmp_path
    mine = {"cohab": ["a", "b"], "persons": ["a"]}
    to_dta(case, version=version, missing_user_values=mine)
    outcome = clean(case, tmp_path, monkeypatch)
    people = outcome.cleaned.respondents.set_index("file_row")
    assert people.loc[[5, 6], "cohab"].tolist() == [".a", ".b"]
    assert people.loc[[5, 6, 7], "persons"].isna().tolist() == [True, False, True]
    assert outcome.survey.items["cohab"].missing == {".a": "refused"}
    assert outcome.cleaned.cells.empty


@pytest.mark.parametrize(("encoding", "told"), [("cp932", ""), ("cp1252", ""), ("latin-1", "E-")])
def test_stata_before_14_is_read_in_the_encodings_of_the_study(
    encoding, told, tmp_path, monkeypatch
):
    case = Case()
    case.folder = tmp_path
    text = "夜ひとり" if encoding == "cp932" else "à la nuit"
    case.answers["words"] = "ABCDEFGHI"[: len(text.encode(encoding))]
    case.put("words", "ABCDEFGHI"[: len(text.encode(encoding))], 5)
    to_dta(case, version=13)
    data = text.encode(encoding)
    case.raw = case.raw.replace(b"ABCDEFGHI"[: len(data)], data)
    case.study["file"]["encodings"] = ["utf-8", encoding if not told else "cp932"]
    case.write(tmp_path)
    outcome = run(tmp_path, monkeypatch)
    if told:
        assert outcome.error.code == "ENCODING" and "file.encodings" in str(outcome.error)
    else:
        assert set(outcome.cleaned.respondents["words"]) == {text}


def test_small_number_ids_of_spss_are_ids(tmp_path, monkeypatch):
    case = Case()
    case.folder = tmp_path
    case.answers["id"] = [float(i) for i in range(N_ROWS)]
    to_sav(case)
    ids = clean(case, tmp_path, monkeypatch).cleaned.respondents["respondent_id"]
    assert ids.tolist() == [str(i) for i in range(N_ROWS)]


def test_accepting_what_cannot_be_accepted(tmp_path, monkeypatch):
    case = Case(decisions="respondent_id,decision,reason\nA0003,accept,x\n")
    case.put("region", "", 5)
    case.write(tmp_path)
    assert run(tmp_path, monkeypatch).error.code == "DECISIONS"


@pytest.mark.parametrize("change", [year_1904, serials_of_1904])
def test_dates_of_1904_are_the_same_days(change, tmp_path, monkeypatch):
    case = Case()
    case.folder = tmp_path
    change(case)
    people = clean(case, tmp_path, monkeypatch).cleaned.respondents
    assert people["day"].tolist() == make_answers()["day"].tolist()


@pytest.mark.parametrize("is_1904", [False, True])
def test_dates_in_japanese_number_formats_are_dates(is_1904, tmp_path):
    shown = [14, 27, 28, 30, 31, 50, 54, 55, 56, 57, 58, "m/d", '[$-411]ggge"年"m"月"d"日";@']
    shown += ['yyyy"年"m"月"d"日"', "[$-ja-JP]e.m.d", "yyyy/mm/dd aaa"]
    path = tmp_path / "dates.xlsx"
    book = xlsxwriter.Workbook(path, {"date_1904": is_1904})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, [f"c{i}" for i in range(len(shown))])
    for at, name in enumerate(shown):
        sheet.write_datetime(
            1, at, pd.Timestamp("2023-01-20"), book.add_format({"num_format": name})
        )
    book.close()
    assert formats.read_workbook(path, sheet=None).rows == [["2023-01-20"] * len(shown)]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-01-10 23:30:00 UTC", "2024-01-11"),  # 23:30 + 9 h
        ("2024-01-10T23:30:00.123+0000", "2024-01-11"),
        ("2024-01-10 14:59 GMT", "2024-01-10"),  # 23:59 in Japan
        ("2024/01/10 午後 11:30:12 GMT+9", "2024-01-10"),  # Google Forms
        ("2024/01/10 11:30:12 PM UTC", "2024-01-11"),
        ("2024/01/10 12:30 AM GMT-5", "2024-01-10"),  # 00:30 + 5 + 9 h = 14:30
        ("2024-01-10 12:30 PM UTC+01:00", "2024-01-10"),  # 12:30 - 1 + 9 h = 20:30
        ("2024-01-10 08:00:00 UTC-0730", "2024-01-11"),  # 8:00 + 7:30 + 9 h = 24:30
        ("2024-01-10 23:30:00 JST", "2024-01-10"),
        ("2024-01-10 23:30:00 GMT+0900 (JST)", "2024-01-10"),
        ("2024-01-10 23:30:00 EST", None),  # a zone that is not known may be another day
        ("2024-01-10 23:30:00 America/New_York", None),
        ("2024年1月10日(水)", "2024-01-10"),
    ],
)
def test_a_time_counts_on_japans_day_however_its_zone_is_spelt(text, day):
    assert judging.judge_date(text).value == day


@pytest.mark.parametrize(
    "text",
    "(注)a 注1) ＊1 *p<.05 ※a 資料：県 出所：県 （出所）県 出典 平均 平　均 回答者数 有効回答数 "
    "備考 ｎ=200 合計 以上 Total Mean Note: Source: EOF [注]".split(" "),
)
def test_remarks_are_told_by_how_they_begin(text):
    assert received.TRAILER.match(judging.tidy_cell(text))


@pytest.mark.parametrize("text", ["A0001", "E22-0001", "1", "n-12", "愛媛", "2024-01-10", "(1)"])
def test_an_id_is_no_remark(text):
    assert not received.TRAILER.match(text)


def test_midnight_in_japan():
    # 23:30 UTC is 08:30 of the next day in Japan; without an offset the day stays as written.
    assert judging.judge_date("2024-01-10T23:30:00Z").value == "2024-01-11"
    assert judging.judge_date("2024-01-10T23:30:00+09:00").value == "2024-01-10"
    assert judging.judge_date("2024-01-10 23:30:00").value == "2024-01-10"


def test_drift_between_waves(tmp_path, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    case = Case()
    book = case.codebook.assign(waves="")
    changed = book[book["variable"] == "cohab"].assign(waves="2025")
    changed.loc[changed["code"] == "2", "code_label"] = "いない（一人暮らし）"
    book.loc[book["variable"] == "cohab", "waves"] = "2024"
    book.loc[book["variable"] == "persons", "waves"] = "2024"
    book.loc[book["variable"] == "sex", "question_no"] = "12"
    renewed = book[book["variable"] == "ucla1"].assign(waves="2025", version="2")
    book.loc[book["variable"] == "ucla1", "waves"] = "2024"
    renewed.loc[renewed["type"] != "SA", "version"] = ""
    fewer = book[book["variable"] == "since"].assign(waves="2025")
    fewer["ask_if"] = fewer["ask_if"].replace("lonely=4|5", "lonely=5")
    turned = book[book["variable"] == "ucla2"].assign(waves="2025")
    codes = ["code", "code_label", "role"]
    turned[codes] = turned[codes].iloc[[3, 2, 1, 0, 4]].to_numpy()
    book.loc[book["variable"].isin(["since", "ucla2"]), "waves"] = "2024"
    parts = [book, changed, renewed, fewer, turned]
    case.codebook = pd.concat(parts, ignore_index=True)
    case.study["waves"][2025] = {"responses": "r.csv", "fieldwork": "2025年1月", "previous": YEAR}
    case.write(tmp_path)
    now = open_study("good", 2025)
    drift = review.compare_codebooks(now, now.previous)
    found = {(row.item, row.change) for row in drift.itertuples()}
    assert found == {  # and not sex, SCH-03: a new number is no new question
        ("cohab", "label_changed"),  # SCH-04
        ("persons", "item_gone"),
        ("ucla1", "version_changed"),
        ("since", "base_changed"),
        ("ucla2", "order_changed"),
    }
    assert not drift["comparable"].any()


def test_a_file_that_changes_under_way_is_refused(tmp_path, monkeypatch):
    case = Case()
    case.put("id", "", 5)
    path = case.write(tmp_path)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    survey = open_study("good", YEAR)
    raw = reading.read_responses(survey)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(errors.InputError, match="INPUT_CHANGED"):
        cleaning.clean_responses(raw, survey)


def test_ledger_that_does_not_add_up_is_refused(tmp_path, monkeypatch):
    case = Case()
    case.write(tmp_path)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    survey = open_study("good", YEAR)
    raw = reading.read_responses(survey)
    raw.facts["rows"] += 1
    with pytest.raises(cleaning.LedgerError):
        cleaning.clean_responses(raw, survey)


# Faults of the answers themselves can be put together; those that replace the file cannot.
CELL_FAULTS = sorted(
    name
    for name in FAULTS
    if name[:2] in ("ID", "CO", "SK", "QL", "DA", "TX", "MI") and name != "DAT-03b"
)
FILE_FAULTS = ["ENC-01", "ENC-02", "ENC-04", "ENC-05", "ENC-07", "CSV-03", "CSV-04", "CSV-06"]
FILE_FAULTS += ["CSV-08", "CSV-09", "CSV-12", "CSV-14", "CSV-16", "XLS-00", "XLS-04", "XLS-06"]


def draw_pairs(n: int) -> list[tuple[str, str]]:
    chance = random.Random(7731)
    pairs = [tuple(chance.sample(CELL_FAULTS, 2)) for _ in range(n)]
    return pairs + [(chance.choice(CELL_FAULTS), chance.choice(FILE_FAULTS)) for _ in range(n)]


@pytest.mark.parametrize("pair", draw_pairs(25), ids="+".join)
def test_two_faults_end_in_words(pair, tmp_path, monkeypatch):
    case = Case()
    case.folder = tmp_path
    for name in pair:
        try:
            FAULTS[name][0](case)
        except (KeyError, UnicodeEncodeError, openpyxl.utils.exceptions.IllegalCharacterError):
            pytest.skip("the second fault needs what the first took away")
    try:
        case.write(tmp_path)
    except UnicodeEncodeError:
        pytest.skip("the text cannot be written in that encoding")
    outcome = run(tmp_path, monkeypatch)  # anything but a SurveyError fails the test by itself
    check_always(case, outcome)
    assert (outcome.error is None) == (outcome.cleaned is not None) or outcome.error.exit_code > 2
