"""The clustered survey of docs/new_study.md, from its folder alone: Stata, strata, psu, fpc."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from tsunagari.errors import SurveyError
from tsunagari.intake import cleaning, reading
from tsunagari.statistics import estimation, weighting
from tsunagari.study import survey
from tsunagari.study.codebook import CODEBOOK_COLUMNS
from tsunagari.study.survey import open_study

PAGE = (Path(__file__).resolve().parents[2] / "docs/new_study.md").read_text(encoding="utf-8")
# Lonely among the five of each district; strata 1 and 2 of two districts each, as one would draw.
LONELY = {(1, 1): 1, (1, 2): 3, (2, 1): 2, (2, 2): 2}


def make_answers() -> pd.DataFrame:
    rows = [
        {"stratum": stratum, "district": district, "lonely": 1 if i < lonely else 2}
        for (stratum, district), lonely in LONELY.items()
        for i in range(5)
    ]
    table = pd.DataFrame(rows).astype(float).assign(weight=10.0, n_districts=10.0)
    table["age"] = [20.0 + 3 * i for i in range(20)]
    return table.assign(id=[f"T{i:02d}" for i in range(20)])


def write_folder(root: Path, answers: pd.DataFrame) -> survey.Study:
    folder = root / "data/raw/town"
    (folder / "2024").mkdir(parents=True)
    example, book = (
        re.search(rf"```{kind}\n((?:study: town|item,).*?)```", PAGE, re.DOTALL)[1]
        for kind in ("yaml", "csv")
    )
    (folder / "study.yaml").write_text(example, encoding="utf-8")
    table = pd.read_csv(io.StringIO(book), dtype=str, keep_default_na=False)
    table = table.reindex(columns=CODEBOOK_COLUMNS, fill_value="")
    table.to_csv(folder / "codebook.csv", index=False)
    letters = {"lonely": ["a"]} if (answers["lonely"] == "a").any() else None
    labels = {"lonely": {1.0: "ある", 2.0: "ない"}, "stratum": {1.0: "町部", 2.0: "村部"}}
    pyreadstat.write_dta(
        answers,
        str(folder / "2024/town.dta"),
        missing_user_values=letters,
        variable_value_labels=labels,
    )
    return open_study("town", 2024)


def weigh(root: Path, answers: pd.DataFrame, monkeypatch) -> tuple:
    monkeypatch.setenv("TSUNAGARI_ROOT", str(root))
    town = write_folder(root, answers)
    cleaned = cleaning.clean_responses(reading.read_responses(town), town)
    people = cleaned.respondents
    return town, cleaned, weighting.weigh_respondents(people, None, settings=town.config.weighting)


def test_the_example_gives_the_error_of_its_design(tmp_path, monkeypatch):
    town, cleaned, design = weigh(tmp_path, make_answers(), monkeypatch)
    shares = town.items["lonely"].indicators(cleaned.respondents, base="answered")
    found = estimation.percents(design, shares).set_index("item_value").loc["1"]
    # p = 8/20. A district's total of (y - p)/20 is -0.05 and 0.05 in stratum 1, 0 and 0 in 2, so
    # V = (1 - 2/10) * 2/(2 - 1) * (0.05^2 + 0.05^2) = 0.008; 4 districts less 2 strata: 2 df.
    assert found["estimate"] == pytest.approx(40)
    assert found["std_error"] == pytest.approx(100 * np.sqrt(0.008))
    assert found["df"] == 2


def test_missing_values_and_people_without_a_place_are_counted(tmp_path, monkeypatch):
    answers = make_answers()
    answers["lonely"] = answers["lonely"].astype(object)
    answers.loc[0, "lonely"] = "a"
    answers.loc[1, "stratum"] = np.nan
    answers.loc[2, "district"] = np.nan
    answers.loc[3, "n_districts"] = np.nan
    town, cleaned, design = weigh(tmp_path, answers, monkeypatch)
    assert cleaned.ledger.set_index("reason_code")["n_rows"].to_dict() == {"": 17, "NO_CELL": 3}
    assert cleaned.quarantine["file_row"].tolist() == [3, 4, 5]
    assert cleaned.respondents["lonely"].tolist()[0] == ".a"
    assert town.items["lonely"].missing == {".a": "答えたくない"}
    assert len(design.weights) == 17


@pytest.mark.parametrize(
    ("key", "name"),
    [("psu", "districts"), ("psu", "id"), ("fpc", "stratum"), ("base_weight", "id")],
)
def test_an_unusable_column_of_the_design_is_named(key, name, tmp_path, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    write_folder(tmp_path, make_answers())
    path = tmp_path / "data/raw/town/study.yaml"
    text = re.sub(rf"(?m)^  {key}: \w+", f"  {key}: {name}", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SurveyError, match=rf"weighting\.{key}: {name}"):
        open_study("town", 2024)
