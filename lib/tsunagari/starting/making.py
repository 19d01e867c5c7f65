"""How does a survey begin? A folder out of the template, that checks and renders as it stands."""

from __future__ import annotations

import difflib
import json
import re
import shutil
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd
import yaml

from tsunagari import synthetic
from tsunagari.errors import ConfigError, SurveyError
from tsunagari.programmes import records, templates
from tsunagari.report.shown import sheet_of
from tsunagari.study.files import repository_root, write_table
from tsunagari.study.planning import plan_quotas
from tsunagari.study.population import load_population, make_targets, read_official
from tsunagari.study.survey import Study, open_study

ROOM = Path(__file__).parent
STRUCTURE = "prefecture"  # as POPULATION: the prefecture's ages stand in for the municipality's
PER = 100_000  # people of a structure that is nobody's population
N_RESPONDENTS, MINIMUM_CELL_N = 2000, 20  # as in 00_plan_fieldwork
_NAME = r"[a-z][a-z0-9-]{1,39}"
_JAPANESE = r"[々〆ヵヶぁ-んァ-ヴー一-鿿]{1,12}"


@cache
def texts() -> dict[str, Any]:
    """Return texts.yaml, what this room says."""
    return yaml.safe_load((ROOM / "texts.yaml").read_text(encoding="utf-8"))


def template_study() -> dict[str, Any]:
    """Return the template's study.yaml with nothing filled in, every value as text."""
    text = (ROOM / "template/study.yaml").read_text(encoding="utf-8")
    blank = defaultdict(str, study="study", year="2000", area="x", notes="  - -")
    return yaml.load(Template(text).substitute(blank), Loader=yaml.BaseLoader)


def make_study(
    name: str, year: int, *, prefecture: str, municipality: str = "", population: str = ""
) -> Study:
    """Write data/raw/<name> with a synthetic sample, and the sheets to hand out beside results.

    Args:
        name: Folder: small letters, digits and hyphens.
        year: Wave, four digits.
        prefecture: Such as "愛媛県".
        municipality: Such as "松山市"; empty for a survey of the prefecture.
        population: An official file as downloaded; for a municipality "prefecture" says that the
            prefecture's ages stand in; empty for a survey of a prefecture: the 2020 census.

    Returns:
        The study. Whatever fails, no folder is left behind.

    Raises:
        ConfigError: The folder exists, a name is none, or a municipality has no population.
        InputError: The official file cannot be read or lacks the municipality.
    """
    folder = repository_root() / "data/raw" / name
    _refuse(name, year, folder=folder)
    _refuse_place(prefecture, municipality, population=population)
    area = municipality or prefecture
    people, kind = _population(prefecture, municipality, population=population)
    told = {
        "study": name,
        "year": str(year),
        "area": area,
        "prefecture": prefecture,
        "file": Path(population).name,
    }
    filled = told | {
        "date": "null" if kind == "file" else '"2020-10-01"',
        "note": json.dumps(texts()["population"][kind].format(**told), ensure_ascii=False),
        "municipalities": ", ".join(dict.fromkeys(people["municipality"])),
        "level": "below" if municipality else "prefecture",
        "notes": "\n".join(f"  - {note}" for note in texts()["notes"]),
    }
    folder.mkdir()
    try:
        for path in sorted((ROOM / "template").iterdir()):
            text = Template(path.read_text(encoding="utf-8")).substitute(filled)
            (folder / path.name).write_text(text, encoding="utf-8")
        source = texts()["source"][kind].format(**told)
        study = _fill(open_study(name, year), people, source=source)
        synthetic.write_waves(study, repository_root())
        _write_sheets(study)
    except BaseException:
        shutil.rmtree(folder)
        raise
    return study


def _refuse(name: str, year: int, *, folder: Path) -> None:
    if not re.fullmatch(_NAME, name):
        raise ConfigError("NEW_STUDY.name")
    if folder.exists():
        raise ConfigError("NEW_STUDY.exists", name=name)
    if not 2000 <= year <= 2099:
        raise ConfigError("NEW_STUDY.year")


def _refuse_place(prefecture: str, municipality: str, *, population: str) -> None:
    known = list(dict.fromkeys(prefectures()["prefecture"]))
    if prefecture not in known:
        near = difflib.get_close_matches(prefecture, known, n=3, cutoff=0.3) or known
        raise ConfigError("NEW_STUDY.prefecture", near="・".join(near))
    if municipality and not re.fullmatch(f"{_JAPANESE}[市区町村]", municipality):
        raise ConfigError("NEW_STUDY.municipality")
    if municipality and not population:
        raise ConfigError("NEW_STUDY.population", area=municipality, prefecture=prefecture)
    if population and population != STRUCTURE and not Path(population).is_file():
        raise ConfigError("NEW_STUDY.file", file=Path(population).name)


# --- population ---------------------------------------------------------------------------------


def prefectures() -> pd.DataFrame:
    """Return the census 2020 of the 47 prefectures.

    Returns:
        prefecture, sex (male, female), age_class ("0-4" ... "100+", "not_published"), population
        in persons; one row each.
    """
    path = repository_root() / "data/raw/prefectures/population.csv"
    wide = pd.read_csv(path, dtype={"prefecture_code": str}).drop(columns="source")
    keys = ["prefecture_code", "prefecture", "sex"]
    return wide.melt(keys, var_name="age_class", value_name="population")


def _population(prefecture: str, municipality: str, *, population: str) -> tuple[pd.DataFrame, str]:
    """Return people by municipality, sex and age, and where they come from (key of the texts)."""
    if population in ("", STRUCTURE):
        table = prefectures().query("prefecture == @prefecture")
        table = table.assign(municipality=municipality or prefecture)
        if municipality:
            table["population"] *= PER / table["population"].sum()
        return table, "structure" if municipality else "prefecture"
    path = Path(population)
    is_list = path.suffix == ".csv"  # holds the prefecture as an area of its own
    wanted = [municipality or prefecture] if municipality or is_list else None
    table = read_official(path, prefecture=prefecture, municipalities=wanted)
    is_ward = table["municipality"].str.contains("市.+区$")  # counted in its city
    kept = table[~is_ward | (table["municipality"] == municipality)]
    return kept.assign(prefecture=prefecture), "file"


def _fill(study: Study, people: pd.DataFrame, *, source: str) -> Study:
    """Write population.csv, the cells that the study weights to."""
    design = study.config.design
    cells = make_targets(
        people,
        regions={code: region.municipalities for code, region in study.config.regions.items()},
        bands=study.config.derive[design.age_band].bands,
        sexes=dict(zip(("male", "female"), study.items[design.sex].options, strict=False)),
    )
    cells = cells.assign(population=cells["population"].round(1), source=source)
    cells.to_csv(study.raw_dir / study.config.weighting.targets, index=False, lineterminator="\n")
    if "municipality_code" in people:  # the areas that records of programmes may name
        keys = ["municipality_code", "prefecture", "municipality"]
        areas = people.groupby(keys, sort=False)["population"].sum().reset_index()
        areas = areas.assign(region=next(iter(study.config.regions)), source=source)
        place = study.raw_dir / "population_municipalities.csv"
        areas.to_csv(place, index=False, lineterminator="\n")
    return study


# --- sheets to hand out -------------------------------------------------------------------------


def _write_sheets(study: Study) -> None:
    """Write the quotas for the vendor and a workbook a programme for the offices."""
    region, age = (study.items[study.config.design.region], study.items["age_band"])
    quotas = plan_quotas(
        load_population(study),
        N_RESPONDENTS,
        by=[region.name, age.name],
        age=age,
        minimum_n=MINIMUM_CELL_N,
    )
    sheets = {"割付": sheet_of(quotas.drop(columns="merge_into"), study=study)}
    if note := study.wave.population_note:  # whose population it is, where it is not their own
        sheets["注"] = pd.DataFrame({"注": [note]})
    place = sheets_dir(study)
    templates.write_all(place, records.load(study).context)
    write_table(place / "quota_sheet.xlsx", sheets)


def sheets_dir(study: Study) -> Path:
    """Return the folder of the sheets to hand out."""
    return repository_root() / "data/processed" / study.name / "templates" / str(study.year)


def main(name: str, year: str, *place: str) -> int:
    """Make a study and say what comes next; return the exit code."""
    prefecture, municipality, population = (place + ("",) * 3)[:3]
    try:
        study = make_study(
            name,
            int(year) if year.isdecimal() else 0,
            prefecture=prefecture,
            municipality=municipality,
            population=population,
        )
    except SurveyError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    folders = {"place": study.raw_dir, "sheets": sheets_dir(study)}
    shown = {key: path.relative_to(repository_root()) for key, path in folders.items()}
    sys.stdout.write(texts()["made"].format(study=name, year=year, **shown))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
