"""What may study.yaml say: every key, its type and its default."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# --- study.yaml ---------------------------------------------------------------------------------

Code = str  # as written, also without quotes: see _AsWritten


class Part(BaseModel):
    """A part of study.yaml: unknown keys are refused, nothing changes later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )


class Publication(Part):
    """What stands on the first page of a report beside its title; what is not known is left out."""

    publisher: str | None = None
    stage: Literal["速報", "確報", "未定"] | None = None
    contact: str | None = None
    next_report: str | None = None


class Period(Part):
    """One year of records, without a survey."""

    previous: int | None = None
    publication: Publication = Publication()


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


class FileFormat(Part):
    """How the answers are delivered."""

    format: Literal["csv", "xlsx", "sav", "dta"] = "csv"
    encodings: tuple[str, ...] = ("utf-8-sig", "utf-8", "cp932")
    unknown_columns: Literal["error", "ignore"] = "error"
    how_to_get: str | None = None


class Columns(Part):
    """Columns of the answer file that are not questions."""

    respondent_id: str
    duration_seconds: str | None = None
    answered_on: str | None = None


class MultiAnswer(Part):
    """What a chosen and an unchosen option hold; "code" is the option's own code.

    not_asked: marks of whom the question was not put to. mentions: by item, the columns that hold
    the first, second, ... answer.
    """

    chosen: Code = "1"
    unchosen: Code = "0"
    separator: str | None = None
    not_asked: tuple[Code, ...] = ()
    mentions: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Design(Part):
    """Which variables are region, age and sex, and who belongs to the population."""

    region: str
    age_band: str
    age: str | None = None
    sex: str | None = None
    minimum_age: int = Field(default=0, ge=0, le=120)
    mode: str = "ウェブ調査"
    error_note: str = (
        "回答者は無作為に選んだ人ではありません。"
        "区間は、地域と年代が同じ人の中から無作為に選んだとみなした目安です。"
    )


class Band(Part):
    """A band of a number, both ends included; `to: null` is open."""

    code: Code
    label: str
    from_: float = Field(alias="from")
    to: float | None = None


class Net(Part):
    """Codes that may be merged under one name."""

    code: Code
    label: str
    of: tuple[Code, ...] = Field(min_length=1)


class Derived(Part):
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


class Region(Part):
    """A region and the municipalities it holds."""

    label: str
    municipalities: tuple[str, ...] = ()


class Margin(Part):
    """One margin for raking: its variables and the file that holds its targets."""

    by: tuple[str, ...] = Field(min_length=1)
    targets: str


class Collapse(Part):
    """Codes of one cell variable that are weighted as one, everywhere or where `where` holds."""

    variable: str
    codes: tuple[Code, ...] = Field(min_length=2)
    where: dict[str, tuple[Code, ...]] = Field(default_factory=dict)


class Weighting(Part):
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


class QualityRule(Part):
    """One rule of response quality and what it leads to."""

    rule: Literal["speeder", "straightliner", "duplicate_text", "inconsistent", "test_record"]
    variable: str | None = None
    items: tuple[str, ...] = ()
    threshold: float | None = None
    when: str | None = None
    action: Literal["flag", "quarantine"] = "flag"


class Indicator(Part):
    """A share that the report speaks of: whose answer counts, out of whom."""

    label: str
    short_label: str | None = None
    item: str
    codes: tuple[Code, ...] = Field(min_length=1)
    base: Literal["asked", "answered"] = "asked"


class Tables(Part):
    """Which tables are made."""

    base: Literal["asked", "answered"] = "asked"
    axes: tuple[str | tuple[str, ...], ...]
    crosses: tuple[str, ...]
    joint: tuple[tuple[str, str], ...] = ()
    axis_nets: dict[str, tuple[Code, ...]] = Field(default_factory=dict)


class Model(Part):
    """The factors of loneliness that the model holds."""

    outcomes: tuple[str, ...]
    factors: tuple[str, ...]
    reference: dict[str, Code] = Field(default_factory=dict)


class Marks(Part):
    """When a difference is marked."""

    point_threshold: float = Field(default=3.0, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)


class Disclosure(Part):
    """Thresholds of the gate, in unweighted respondents; never below 5.

    Attributes:
        drop_table_above: A cross table with a larger share of cells that are hidden for their own
            size is left out; answers and groups that are hidden throughout do not count.
    """

    base_minimum: int = Field(default=10, ge=5)
    threshold: int = Field(default=10, ge=5)
    threshold_two_way: int = Field(default=5, ge=5)
    base_reference: int = Field(default=30, ge=10)
    base_low: int = Field(default=50, ge=10)
    area: Literal["prefecture", "below"] = "prefecture"
    drop_table_above: float = Field(default=0.5, gt=0, le=1)


class Benchmark(Part):
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


class Chapters(Part):
    """Which questions the chapters of the report go through."""

    loneliness: tuple[str, ...] = ()
    ties: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


Axis = str | tuple[str, ...]  # one variable, or several nested


class Theme(Part):
    """One theme of free texts: the words that stand for it (docs/new_study.md)."""

    code: str = Field(pattern="^[a-z][a-z0-9_]*$")
    label: str
    words: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    excluded: tuple[str, ...] = Field(default=(), alias="not")
    examples: tuple[str, ...] = Field(min_length=1)
    counter_examples: tuple[str, ...] = ()


class ThemeQuestion(Part):
    """The themes of one free text; they are counted like the options of a multi-answer question."""

    text: str
    options: str
    label: str
    short_label: str
    themes: tuple[Theme, ...] = Field(min_length=1)


class Ever(Part):
    """Who has ever felt lonely: all but those who chose the option `never`."""

    name: str
    label: str
    ever_label: str
    item: str
    never: Code
    by: str


class Consent(Part):
    """The answer by which somebody allows to be quoted."""

    item: str
    code: Code


class Themes(Part):
    """themes.yaml: how the free texts are read, and what is tabulated of them."""

    version: str
    questions: dict[str, ThemeQuestion] = Field(min_length=1)
    axes: tuple[Axis, ...] = ()
    crosses: dict[str, tuple[Axis, ...]] = Field(default_factory=dict)
    compared: str | None = None
    ever: Ever | None = None
    consent: Consent | None = None


class RecordsFile(Part):
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
    themes: Themes | None = None  # a file of its own, themes.yaml
    report: Chapters = Chapters()
