"""The 48 cells of Ehime's population, against sums worked out from the register by hand."""

import csv
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from tsunagari.study import files
from tsunagari.study.survey import open_study

ROOT = Path(__file__).resolve().parents[2]
REGISTER = ROOT.parent / "shared/reference/population/ehime_2023_juki.csv"  # optional
BANDS = ["16-19", "20s", "30s", "40s", "50s", "60s", "70s", "80+"]


@pytest.fixture(scope="module")
def population():
    path = open_study("ehime", 2022).raw_dir / "population.csv"
    table = files.read_table(path)
    return table.assign(population=table["population"].astype(float))


def test_there_are_48_cells_each_once(population):
    assert list(population.columns) == ["region", "age_band", "sex", "population", "source"]
    assert len(population) == 3 * 8 * 2
    assert not population[["region", "age_band", "sex"]].duplicated().any()
    assert set(population["age_band"]) == set(BANDS)
    assert (population["population"] > 0).all()
    assert population["source"].str.startswith("総務省「住民基本台帳に基づく人口").all()


@pytest.mark.parametrize(
    ("region", "total", "under_15", "withheld", "from_15_to_19"),
    [
        ("1", 462_247, 14_291 + 17_656 + 20_112, 0, 20_444),
        ("2", 631_214, 21_572 + 26_503 + 28_759, 26, 29_208),
        ("3", 233_724, 5_769 + 7_349 + 8_836, 36, 9_302),
    ],
)
def test_regions_add_up(population, region, total, under_15, withheld, from_15_to_19):
    # all - children - ages withheld - one fifth of 15 to 19 (those of 15)
    expected = total - under_15 - withheld - from_15_to_19 / 5
    mine = population.loc[population["region"] == region, "population"]
    assert mine.sum() == pytest.approx(expected, abs=1e-6)


def test_teenagers_are_four_fifths_of_their_class(population):
    cells = population.set_index(["region", "age_band", "sex"])["population"]
    assert cells["1", "16-19", "1"] == 8536.0  # 10,670 x 4 / 5
    assert cells["1", "16-19", "2"] == 7819.2  # 9,774 x 4 / 5: a fraction is kept, not rounded
    assert cells["2", "16-19", "1"] == 11840.8  # 14,801 x 4 / 5


def test_regions_hold_all_twenty_municipalities():
    regions = open_study("ehime", 2022).config.regions
    names = [name for region in regions.values() for name in region.municipalities]
    assert [region.label for region in regions.values()] == ["東予", "中予", "南予"]
    assert len(names) == len(set(names)) == 20


def test_cells_match_the_register_file(population):
    if not REGISTER.exists():
        pytest.skip("the register's figures are not beside the project (../shared)")
    regions = open_study("ehime", 2022).config.regions
    owner = {name: code for code, each in regions.items() for name in each.municipalities}
    cells: Counter = Counter()
    with REGISTER.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            first = row["age_class"].removesuffix("+").split("-")[0]
            if not first.isdigit() or int(first) < 15:
                continue
            band = BANDS[min(int(first) // 10 - 1, 7)]
            fifths = 4 if band == "16-19" else 5
            sex = {"male": "1", "female": "2"}[row["sex"]]
            cells[owner[row["municipality"]], band, sex] += int(row["population"]) * fifths
    expected = pd.Series(cells).rename_axis(["region", "age_band", "sex"]) / 5
    mine = population.set_index(["region", "age_band", "sex"])["population"]
    assert (mine - expected).abs().max() < 1e-6
    assert len(expected) == 48
