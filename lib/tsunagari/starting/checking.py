"""What is wrong in a study's folder? Every mistake at once, by the checks that a report makes."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tsunagari.errors import ConfigError, SurveyError
from tsunagari.intake.decisions import read_decisions
from tsunagari.intake.reading import read_responses
from tsunagari.programmes import records
from tsunagari.report.texts import own_texts
from tsunagari.starting.making import template_study, texts
from tsunagari.starting.recipes import recipe_mistakes
from tsunagari.statistics.benchmark import read_benchmark
from tsunagari.study.codebook import Codebook, inspect_codebook, skip_rules
from tsunagari.study.files import repository_root
from tsunagari.study.population import target_mistakes
from tsunagari.study.settings import StudyFile
from tsunagari.study.survey import Study, inspect_study_file, name_problems, open_study

_SET_ASIDE = ("EXAMPLE", "DUPLICATE_ROW")  # the template's own row and a repeat harm nobody


@dataclass(frozen=True)
class Mistake:
    """One mistake: the file below the study's folder, its line (0: the file as a whole), the text.

    The text names the key or variable and what is allowed.
    """

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


def list_mistakes(name: str, year: int) -> list[Mistake]:
    """Return every mistake of a study, file by file and line by line.

    Args:
        name: Folder under data/raw.
        year: Wave.

    Returns:
        Mistakes of study.yaml, themes.yaml, codebook.csv, the texts, the population, the recipe,
        the answers' columns, decisions.csv and the programmes' records. None where a report would
        find none.

    Raises:
        ConfigError: There is no such study.
    """
    folder = repository_root() / "data/raw" / name
    if not (folder / "study.yaml").is_file():
        open_study(name, year)  # says which there are
    config, found = _study_file(folder, year=year)
    has_codebook = (folder / "codebook.csv").exists()
    is_survey = has_codebook if config is None else isinstance(config, StudyFile)
    codebook, wrong = _codebook(folder, year=year) if is_survey else (None, [])
    texts_wrong = [*_texts(folder)]
    if config is None or year not in config.waves or (is_survey and codebook is None):
        return _in_order(folder, [*found, *wrong, *texts_wrong])
    if not is_survey:
        study = open_study(name, year) if not found else None
        return _in_order(folder, [*found, *texts_wrong, *(_records(study) if study else ())])
    study = Study(name=name, year=year, config=config, codebook=codebook)
    told = {each.text.partition(":")[0] for each in found}  # something else stands in for these
    named = [p for p in name_problems(study) if not _is_below(p.partition(":")[0], told)]
    found += [_placed(folder, problem) for problem in named]
    found += _benchmark(study)
    whole = [*found, *wrong, *texts_wrong, *_english(study), *_population(study)]
    return _in_order(folder, [*whole, *_recipe(study), *_answers(study), *_records(study)])


def _in_order(folder: Path, found: Iterable[Mistake]) -> list[Mistake]:
    """Return mistakes once each, by file as they came and by line; with the file's whole path."""
    order: dict[str, list[Mistake]] = {}
    for each in dict.fromkeys(found):
        order.setdefault(each.file, []).append(each)
    place = folder.relative_to(repository_root()).as_posix()
    return [
        replace(each, file=f"{place}/{file}")
        for file, mine in order.items()
        for each in sorted(mine, key=lambda mistake: mistake.line)
    ]


def _told(error: SurveyError) -> str:
    return f"{error.ja} / {error.en}"


# --- study.yaml and themes.yaml -----------------------------------------------------------------


def _study_file(folder: Path, *, year: int) -> tuple[Any, list[Mistake]]:
    try:
        config, problems = inspect_study_file(folder / "study.yaml", stand_in=template_study())
    except ConfigError as error:  # no YAML; the sentence says where
        return None, [Mistake(str(error.values["name"]), _line_said(error.ja), _told(error))]
    found = sorted((_placed(folder, problem) for problem in problems), key=lambda each: each.file)
    if config is None:
        found.append(Mistake("study.yaml", 0, texts()["checked"]["blocked"]))
    elif year not in config.waves:
        waves = ", ".join(map(str, sorted(config.waves)))
        error = ConfigError("WAVE_UNKNOWN", name=folder.name, year=year, waves=waves)
        found.append(_placed(folder, f"waves: {_told(error)}"))
    return config, found


def _is_below(key: str, told: set[str]) -> bool:
    return any(f"{key}.".startswith(f"{each}.") for each in told)


def _placed(folder: Path, problem: str) -> Mistake:
    """Return a problem that begins with its key, with the file and the line of the key."""
    key = problem.partition(":")[0]
    file = "themes.yaml" if key.startswith("themes.") else "study.yaml"
    said = re.match(r"[^:]+: (\S+) という名前", problem)
    return Mistake(file, _line_of(folder / file, key.removeprefix("themes."), said), problem)


def _line_of(path: Path, key: str, said: re.Match[str] | None = None) -> int:
    """Return the line of a dotted key, or of the name below it that was said; 0 for none."""
    if not path.exists():
        return 0
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line, parts = 0, key.split(".")
    while parts and node is not None:
        start, node, parts = _step(node, parts)
        line = start or line
    names = [each for each in _scalars(node) if said and each.value == said[1]]
    return names[0].start_mark.line + 1 if names else line


def _step(node: Any, parts: list[str]) -> tuple[int, Any, list[str]]:
    """Return line and node of the first part of a key (a name may hold points), and the rest."""
    if isinstance(node, yaml.SequenceNode) and parts[0].isdecimal():
        below = node.value[int(parts[0])] if int(parts[0]) < len(node.value) else None
        return (below.start_mark.line + 1 if below else 0), below, parts[1:]
    for n in range(len(parts), 0, -1):
        for name, below in node.value if isinstance(node, yaml.MappingNode) else ():
            if name.value == ".".join(parts[:n]):
                return name.start_mark.line + 1, below, parts[n:]
    return 0, node, []


def _scalars(node: Any) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif node is not None:
        for below in node.value:
            for each in below if isinstance(below, tuple) else (below,):
                yield from _scalars(each)


def _line_said(text: Any) -> int:
    """Return the line that a sentence begins with or says, 0 for none."""
    said = re.search(r"(\d+) 行目|(?:^|行目?: ?)(\d+)", str(text))
    return int(next(filter(None, said.groups()))) if said else 0


# --- the other files ----------------------------------------------------------------------------


def _codebook(folder: Path, *, year: int) -> tuple[Codebook | None, list[Mistake]]:
    try:
        codebook, problems = inspect_codebook(folder / "codebook.csv", year=year)
    except ConfigError as error:
        return None, [Mistake("codebook.csv", 0, _told(error))]
    found = [Mistake("codebook.csv", _line_said(problem), problem) for problem in problems]
    return codebook, found + ([*_skip_rules(codebook)] if codebook else [])


def _skip_rules(codebook: Codebook) -> Iterator[Mistake]:
    """Yield every wrong `ask_if`: each is taken out and the rest checked again."""

    def mend(error: SurveyError) -> None:
        named = ", ".join(map(str, error.values.values())).split(", ")
        items = codebook.columns["item"][codebook.columns.index.isin(named)]
        wrong = codebook.columns["item"].isin(items) & (codebook.columns["ask_if"] != "")
        codebook.columns.loc[wrong, "ask_if"] = ""

    lines = codebook.table["variable"].drop_duplicates()
    for error in _until_right(lambda: skip_rules(codebook), mend=mend):
        name = str(error.values.get("variable") or error.values.get("where") or "")
        line = next(iter(lines.index[lines == name]), 0)
        yield Mistake("codebook.csv", int(line), _told(error))


def _until_right(
    check: Callable[[], Any], *, mend: Callable[[SurveyError], None]
) -> Iterator[SurveyError]:
    """Yield each error of a check that stops at the first; what is mended is not told again."""
    last = ""
    while True:
        try:
            check()
            return
        except SurveyError as error:
            if str(error) == last:
                return
            last = str(error)
            yield error
            mend(error)


def _texts(folder: Path) -> Iterator[Mistake]:
    path = folder / "texts.yaml"
    if not path.exists():
        return
    try:
        own = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        mark = getattr(problem, "problem_mark", None)
        error = ConfigError("STUDY_FILE.read_yaml", name=path.name, line="")
        yield Mistake(path.name, mark.line + 1 if mark else 0, _told(error))
        return

    def mend(error: SurveyError) -> None:
        part, (*above, last) = own, str(error.values["place"]).split(".")
        for key in above:
            part = part[key]
        if isinstance(part, dict):
            part.pop(last, None)

    for error in _until_right(lambda: own_texts(own), mend=mend):
        place = str(error.values["place"])
        yield Mistake(path.name, _line_of(path, place), f"{place}: {_told(error)}")


def _english(study: Study) -> Iterator[Mistake]:
    path = study.raw_dir / "texts_en.yaml"
    try:
        _ = study.english
    except SurveyError as error:
        for problem in error.problems or [_told(error)]:
            pair, line = re.search(r"の (\d+) 番目", problem), _line_said(problem)
            if pair:
                node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
                is_list = isinstance(node, yaml.MappingNode)
                line = node.value[int(pair[1]) - 1][0].start_mark.line + 1 if is_list else 1
            yield Mistake(path.name, line, problem)


def _recipe(study: Study) -> Iterator[Mistake]:
    path = study.raw_dir / "recipe.yaml"
    if not path.exists() or not {*study.config.weighting.cells} <= {*study.items}:
        return
    for error in recipe_mistakes(study):
        for problem in error.problems or [_told(error)]:
            place = problem.removeprefix("recipe.yaml の ")
            place = re.sub(r"^(steps|faults)\.(\d+)(?: \(.*?\))?", _from_nought, place)
            key, said = place.partition(":")[0], re.search(r"変数 (\S+) ", place)
            line = int(key) if key.isdecimal() else _line_of(path, key, said)
            yield Mistake(path.name, line, problem)


def _from_nought(found: re.Match[str]) -> str:
    return f"{found[1]}.{int(found[2]) - 1}"


def _benchmark(study: Study) -> Iterator[Mistake]:
    path = study.raw_dir / "study.yaml"
    plan = study.config.benchmark
    if not plan or not {*plan.items, *plan.axes.values()} <= {*study.items}:
        return  # told with the names
    try:
        read_benchmark(study)
    except SurveyError as error:
        year = f"waves.{study.year}.benchmark_year"
        key = year if error.code == "BENCHMARK_YEAR" else "benchmark"
        yield Mistake(path.name, _line_of(path, key), _told(error))


def _population(study: Study) -> Iterator[Mistake]:
    if not {*study.config.weighting.cells} <= {*study.items}:
        return  # told with study.yaml
    for file, error in target_mistakes(study):
        yield Mistake(file, _line_said(f"行: {error.values.get('rows', '')}"), _told(error))


def _answers(study: Study) -> Iterator[Mistake]:
    """Yield what stops the reading of the answers, else the mistakes of decisions about them."""
    path = study.wave_dir / "decisions.csv"
    names = (study.wave.responses, study.wave.synthetic)
    there = [name for name in names if name and (study.wave_dir / name).exists()]
    try:
        raw = read_responses(study)
    except SurveyError as error:
        yield Mistake(f"{study.year}/{(*there, names[0])[0]}", 0, _told(error))
        return
    if not path.exists():
        return
    file = f"{study.year}/{path.name}"
    try:
        read_decisions(study, raw=raw)
    except SurveyError as error:
        for problem in error.problems or [_told(error)]:
            yield Mistake(file, _line_said(problem), problem)


def _records(study: Study) -> Iterator[Mistake]:
    """Yield what stops the programmes' records, file by file, and the rows they would set aside."""
    try:
        found = records.load(study)
    except SurveyError as first:
        stopped = [*_stopped(study)]
        yield from stopped or [Mistake(_below(study, first), 0, _told(first))]
        return
    reasons = records.schema.texts()["reasons"]
    for table in (found.quarantine, found.cells):
        for row in table.itertuples():
            if row.reason in _SET_ASIDE or "_synthetic." in row.file:
                continue
            text = " / ".join(reasons[row.reason][language] for language in ("ja", "en"))
            yield Mistake(
                f"{study.year}/programmes/{row.file}", row.file_row, f"{row.column}: {text}"
            )


def _stopped(study: Study) -> Iterator[Mistake]:
    """Yield the error of each file of records, read by itself."""
    for path in sorted(path for path in study.records_dir.glob("*") if path.is_file()):
        with tempfile.TemporaryDirectory() as place:
            shutil.copy(path, place)
            try:
                records.read(Path(place), year=study.year, areas={})
            except SurveyError as error:
                line = _line_said(f"行: {error.values.get('rows', '')}")
                yield Mistake(f"{study.year}/programmes/{path.name}", line, _told(error))


def _below(study: Study, error: SurveyError) -> str:
    return f"{study.year}/programmes/{error.values.get('file', '')}"


def main(name: str, year: str) -> int:
    """Say every mistake, a line each, and how many; return the exit code."""
    try:
        found = list_mistakes(name, int(year) if year.isdecimal() else 0)
    except SurveyError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    said = texts()["checked"]["some" if found else "none"]
    lines = [*map(str, found), said.format(study=name, year=year, n=len(found))]
    sys.stdout.write("\n".join(lines) + "\n")
    return ConfigError.exit_code if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
