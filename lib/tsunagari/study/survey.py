"""What is this study, and where do its files lie: study.yaml, codebook, paths, reading, writing."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import yaml
from pydantic import ValidationError

from tsunagari.errors import ConfigError, InputError
from tsunagari.study.codebook import (
    CODEBOOK_COLUMNS,
    MISSING_ROLES,
    NO_ANSWER,
    Codebook,
    Item,
    problem_list,
    read_codebook,
    skip_rules,
)
from tsunagari.study.files import (
    processed_dir,
    read_json,
    read_table,
    repository_root,
    stamp_wave,
    write_table,
)
from tsunagari.study.settings import FileFormat, Net, Part, RecordsFile, StudyFile, Themes, Wave

_FEW = 12  # so many names that may stand are said where none is near
_WANTED = {  # what pydantic says in English alone
    "int_parsing": "整数で",
    "int_type": "整数で",
    "float_parsing": "数で",
    "float_type": "数で",
    "string_type": "文字で",
    "tuple_type": "一覧 [ , ] で",
    "dict_type": "「鍵: 値」で",
    "model_type": "「鍵: 値」で",
    "too_short": "{min_length} つ以上",
    "greater_than": "{gt} より大きく",
    "greater_than_equal": "{ge} 以上に",
    "less_than": "{lt} より小さく",
    "less_than_equal": "{le} 以下に",
}
UNCODED = "uncoded"  # a free text without a theme of the study's dictionary
ALIKE = str.maketrans("ヶヵ〜−—―", "ケカ~---")  # written one for the other, also by encodings


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

    @cached_property
    def english(self) -> dict[str, str]:
        """The study's labels in English by the Japanese ones, of texts_en.yaml; {} without one.

        Raises:
            ConfigError: It is no such list, or a number stands in the English alone.
        """
        path = self.raw_dir / "texts_en.yaml"
        words = (_read_yaml(path, yaml.SafeLoader) if path.exists() else None) or {}
        pairs = words.items() if isinstance(words, dict) else [(words, None)]
        digits = re.compile(r"\d+")
        wrong = []
        for line, (ja, en) in enumerate(pairs, start=1):
            is_text = isinstance(ja, str) and isinstance(en, str)
            if not is_text or not set(digits.findall(en)) <= set(digits.findall(ja)):
                wrong.append(ConfigError("TEXTS_EN", line=line))
        if wrong:
            raise wrong[0].listing(f"{each.ja} / {each.en}" for each in wrong)
        return words

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
            raise InputError("RESPONSES_MISSING", place=place, hint=hint)
        if not found.is_file():
            raise InputError("RESPONSES_FOLDER")
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
        """Every item that tables can show: questions in order, derived ones, themes of texts."""
        if not self.has_survey:
            return {}
        found = {}
        for name, columns in self.codebook.columns.groupby("item", sort=False):
            kind = columns["type"].iloc[0]
            if kind in ("SA", "MA", "NUM", "OA"):
                found[name] = self._question(name, columns)
        derived = {name: self._derived(name) for name in self.config.derive}
        return found | derived | _theme_items(self.config.themes, found)

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


def _theme_items(plan: Themes | None, items: dict[str, Item]) -> dict[str, Item]:
    """Return the items that the answers hold only once their texts are coded."""
    found: dict[str, Item] = {}
    for name, question in plan.questions.items() if plan else ():
        themes = {theme.code: theme.label for theme in question.themes}
        codes = {**themes, UNCODED: "どのテーマにも分類できない"}
        of = items.get(question.text)
        found[name] = Item(
            name=name,
            label=question.label,
            short_label=question.short_label,
            kind="MA",
            options=codes,
            columns=tuple(f"{name}_{code}" for code in codes),
            exclusive=(UNCODED,),
            sensitive=of is None or of.sensitive,
            question_no=of.question_no if of else "",
        )
    if plan and plan.ever:
        of, never = items.get(plan.ever.item), plan.ever.never
        label = of.options.get(never, never) if of else never
        found[plan.ever.name] = Item(
            name=plan.ever.name,
            label=plan.ever.label,
            short_label=plan.ever.label,
            kind="derived",
            options={"ever": plan.ever.ever_label, "never": label},
            sensitive=of is None or of.sensitive,
        )
    return found


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
            name=name,
            value=", ".join(known) or "なし",
            value_2=", ".join(known) or "none",
        )
    config = _read_study_file(folder / name / "study.yaml")
    if year not in config.waves:
        waves = ", ".join(map(str, sorted(config.waves)))
        raise ConfigError("WAVE_UNKNOWN", name=name, year=year, waves=waves)
    if not isinstance(config, StudyFile):
        nothing = pd.DataFrame(columns=[*CODEBOOK_COLUMNS])
        return Study(name=name, year=year, config=config, codebook=Codebook(*[nothing] * 3))
    codebook = read_codebook(folder / name / "codebook.csv", year=year)
    skip_rules(codebook)
    study = Study(name=name, year=year, config=config, codebook=codebook)
    _raise_study_file(name_problems(study))
    return study


def name_problems(study: Study) -> list[str]:
    """Return every mistake of names and codes in study.yaml and themes.yaml, its key first."""
    problems = _check_names(study) + _check_nets(study) + _check_encodings(study.config.file)
    return problems + _check_reserved(study)


def _raise_study_file(problems: list[str]) -> None:
    if problems:
        is_theirs = all(problem.startswith("themes.") for problem in problems)
        name = "themes.yaml" if is_theirs else "study.yaml"
        told = problem_list(problems)
        error = ConfigError("STUDY_FILE", name=name, n=len(problems), problem_list=told)
        raise error.listing(problems)


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
        raise ConfigError("STUDY_FILE.read_yaml", name=path.name, line=line) from error


def _read_study_file(path: Path) -> RecordsFile:
    config, problems = inspect_study_file(path)
    _raise_study_file(problems)
    return config


def inspect_study_file(
    path: Path, *, stand_in: Mapping[str, Any] | None = None
) -> tuple[Any, list[str]]:
    """Return study.yaml with themes.yaml as far as it can be read, and its mistakes, key first.

    Args:
        path: Of study.yaml.
        stand_in: Another study file, whose values stand where a required one lacks or is wrong, so
            that the rest can be looked at.

    Returns:
        The file without the parts that are wrong, None where what is left is no study; and the
        mistakes of form.

    Raises:
        ConfigError: One of the two is no YAML.
    """
    raw, themes = _read_yaml(path, _AsWritten), path.with_name("themes.yaml")
    if themes.exists() and isinstance(raw, dict):
        raw["themes"] = _read_yaml(themes, _AsWritten)
    asks = {*StudyFile.model_fields} - {*RecordsFile.model_fields}
    model = StudyFile if not isinstance(raw, dict) or asks & {*raw} else RecordsFile
    told: dict[tuple[Any, ...], str] = {}
    while True:
        try:
            config = model.model_validate(raw)
            break
        except ValidationError as error:
            mistakes = {mistake["loc"]: _explain(mistake) for mistake in error.errors()}
        told = mistakes | told
        # What is wrong or was taken out lacks in what holds it: that is no mistake of its own.
        above = {place[:n] for place in told for n in range(len(place))}
        told = {place: said for place, said in told.items() if place not in above}
        mended = [p for p in mistakes if _drop(raw, p) or _put(raw, p, stand_in)]
        lost = [p for p in mistakes if p not in mended and p[:1] == ("themes",)]
        if not mended and not (lost and _drop(raw, ("themes",))):  # a file of its own
            return None, [*told.values()]
    problems = [*told.values()]
    if config.study != path.parent.name:
        problems.append(f"study: フォルダー名 {path.parent.name} と同じにする (folder's name)")
    return config, problems


def _below(raw: Any, place: tuple[Any, ...]) -> Any:
    """Return the part of a file that stands at a place, None where there is none."""
    for part in place:
        try:
            raw = raw[part if isinstance(raw, list) else str(part)]
        except (LookupError, TypeError):
            return None
    return raw


def _drop(raw: Any, place: tuple[Any, ...]) -> bool:
    """Take a wrong part out of a file; a lacking one cannot be."""
    owner = _below(raw, place[:-1])
    return bool(place) and isinstance(owner, dict) and owner.pop(str(place[-1]), None) is not None


def _put(raw: Any, place: tuple[Any, ...], other: Any) -> bool:
    """Put what another file has at a place into this one."""
    owner, value = _below(raw, place[:-1]), _below(other, place)
    if not place or not isinstance(owner, dict) or value is None:
        return False
    owner[str(place[-1])] = value
    return True


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
    if kind == "literal_error":
        return f"{key}: 使えるのは {mistake['ctx']['expected']} (one of these)"
    wanted = _WANTED.get(kind, "").format(**mistake.get("ctx", {}))
    return f"{key}: {wanted} ({mistake['msg']})" if wanted else f"{key}: {mistake['msg']}"


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
    return isinstance(model, type) and issubclass(model, Part)


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
    for place, rule in enumerate(config.quality):
        uses += [(f"quality.{place}.variable", rule.variable, columns)]
        uses += [(f"quality.{place}.items", name, tabulated) for name in rule.items]
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
    problems += _check_themes(study, variables)
    unclear = [name for name, rule in config.derive.items() if rule.kind == "unclear"]
    problems += [
        f"derive.{name}: bands_of+bands, sum_of, recode_of+classes の一つ (exactly one)"
        for name in unclear
    ]
    problems += _check_codes(study) + _check_derived(study) + _check_weighting(study)
    return [problem for problem in problems if problem]


def _check_themes(study: Study, variables: list[str]) -> list[str]:
    """Return every name in themes.yaml that nothing else knows, or that stands twice."""
    plan, items, kinds = study.config.themes, study.items, study.codebook.columns["type"]
    if plan is None:
        return []
    texts, several = list(kinds.index[kinds == "OA"]), [n for n, i in items.items() if i.columns]
    axes = [plan.axes, *plan.crosses.values()]
    axes = [n for of in axes for axis in of for n in ([axis] if isinstance(axis, str) else axis)]
    uses = [(f"themes.questions.{n}.text", q.text, texts) for n, q in plan.questions.items()]
    uses += [
        (f"themes.questions.{n}.options", q.options, several) for n, q in plan.questions.items()
    ]
    uses += [("themes.axes", name, list(items)) for name in axes]
    uses += [("themes.crosses", name, several) for name in plan.crosses]
    uses += [("themes.compared", name, list(items)) for name in [plan.compared] if name]
    if plan.ever:
        options = items[plan.ever.item].exclusive if plan.ever.item in several else ()
        uses += [("themes.ever.item", plan.ever.item, several)]
        uses += [("themes.ever.by", plan.ever.by, several)]
        uses += [("themes.ever.never", plan.ever.never, list(options))]
    if plan.consent:
        codes = items[plan.consent.item].options if plan.consent.item in items else ()
        uses += [("themes.consent.item", plan.consent.item, list(items))]
        uses += [("themes.consent.code", plan.consent.code, list(codes))]
    problems = [_unknown(*use) for use in uses]
    taken = {*variables, *study.codebook.columns["item"]}
    own = [*plan.questions, *([plan.ever.name] if plan.ever else ())]
    problems += [f"themes.{n}: すでにある名前 (name taken)" for n in own if n in taken]
    for name, question in plan.questions.items():
        for key in ("code", "label"):
            names = [getattr(theme, key) for theme in question.themes]
            twice = sorted({n for n in names if names.count(n) > 1 or n == UNCODED})
            problems += [f"themes.questions.{name}: {n} が二つある (stands twice)" for n in twice]
    return problems


def _unknown(key: str, name: str, known: list[str]) -> str | None:
    if name in known:
        return None
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"; {near[0]} ?" if near else ""
    some = "" if near or len(known) > _FEW else f"。使えるのは {', '.join(known) or 'なし'}"
    return f"{key}: {name} という名前はない{some} (unknown name{guess})"


def _check_codes(study: Study) -> list[str]:
    """Return every code in study.yaml that its item does not have."""
    used = [(f"indicators.{n}.codes", i.item, i.codes) for n, i in study.config.indicators.items()]
    used += [
        (f"model.reference.{n}", n, [code]) for n, code in study.config.model.reference.items()
    ]
    weighting, region = study.config.weighting, study.config.design.region
    used += [(f"weighting.sample_share.{n}", n, of) for n, of in weighting.sample_share.items()]
    used += [(f"weighting.collapse.{at}.codes", rule.variable, rule.codes)
             for at, rule in enumerate(weighting.collapse)]  # fmt: skip
    used += [("regions", region, study.config.regions)]
    used += [(f"derive.{n}.classes", rule.recode_of, each.of)
             for n, rule in study.config.derive.items() for each in rule.classes]  # fmt: skip
    found = [(key, study.items[name], codes) for key, name, codes in used if name in study.items]
    return [
        problem
        for key, item, codes in found
        for problem in (_unknown(key, code, list(item.labels)) for code in codes)
        if problem
    ]


def _check_derived(study: Study) -> list[str]:
    """Return every band that ends before it begins or overlaps another, and codes merged twice."""
    problems = []
    for name, rule in study.config.derive.items():
        spans = [(b.from_, np.inf if b.to is None else b.to, b.code) for b in rule.bands]
        problems += [
            f"derive.{name}.bands: {code} は from が to より大きい (from is above to)"
            for low, high, code in spans
            if low > high
        ]
        problems += [
            f"derive.{name}.bands: {one[2]} と {other[2]} が重なる (bands overlap)"
            for one, other in itertools.combinations(spans, 2)
            if max(one[0], other[0]) <= min(one[1], other[1])
        ]
        merged = [code for each in rule.classes for code in each.of]
        twice = dict.fromkeys(code for code in merged if merged.count(code) > 1)
        problems += [f"derive.{name}.classes: {n} が二つある (stands twice)" for n in twice]
        item = study.items.get(rule.recode_of or "")
        lacking = [code for code in item.options if code not in merged] if item else []
        if lacking and rule.classes:
            listed = ", ".join(lacking)
            problems.append(f"derive.{name}.classes: コード {listed} がどれにもない (in no class)")
    return problems


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
