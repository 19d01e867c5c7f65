"""Targets of a study, and the official workbooks in the layout in which e-Stat gives them out."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openpyxl
import pandas as pd
import pytest
import yaml

from tsunagari.errors import ConfigError, InputError
from tsunagari.study import official, population
from tsunagari.study.official import check_digit
from tsunagari.study.population import make_targets
from tsunagari.study.settings import Band
from tsunagari.study.survey import open_study

RAW = Path(__file__).resolve().parents[2] / "data/raw/ehime"
AGES = [f"{a}歳～{a + 4}歳" for a in range(0, 100, 5)] + ["100歳以上"]


# --- the register -------------------------------------------------------------------------------


def code(five: str) -> str:
    return five + check_digit(five)


def register_rows() -> list[list]:
    """A city, a town, and the traps: prefecture, county, a town of that name elsewhere."""
    rows = []

    def add(five: str, prefecture: str, name: str, each: int, *, withheld: int = 0) -> None:
        n = each * len(AGES) + withheld
        whole = [code(five), prefecture, name, "計", 2 * n, *[2 * each] * len(AGES)]
        rows.append(whole)
        for sex in ("男", "女"):
            rows.append([code(five), prefecture, name, sex, n, *[each] * len(AGES)])

    rows.append(["-", "合計", "-", "計", 999, *[9] * len(AGES)])
    add("38000", "愛媛県", "愛媛県計", 100)
    add("38201", "愛媛県", "松山市", 10)
    add("38400", "愛媛県", "伊予郡", 7)
    add("38401", "愛媛県", "伊予郡松前町", 3, withheld=4)
    add("01331", "北海道", "松前郡松前町", 50)
    rows.append(["注 外国人住民の年齢別は公表していません。"])
    return rows


def write_register(path, *, style: str = "2023", rows=None):
    book = openpyxl.Workbook()
    sheet = book.active
    rows = register_rows() if rows is None else rows
    keys = ["団体コード", "都道府県名", "市区町村名", "性別", "総数"]
    if style == "2023":
        sheet.append(["【総計】市区町村別年齢階級別人口"])
        sheet.append([*keys, *AGES, "総数（再掲）"])  # of which nothing is read
        sheet.append(["", "", "", "", "人", *["人"] * len(AGES)])
    else:  # 2020: header in row 2, short ages, a star where the split is withheld
        sheet.append(["市区町村別年齢階級別人口"])
        ages = ["0～4歳", *(f"{a}～{a + 4}" for a in range(5, 100, 5)), "100歳以上"]
        sheet.append([*keys, *ages])
        rows = [[r[0] if r[0] != "-" else "", *r[1:]] for r in rows]
        rows = [
            [*r[:2], f"{r[2]}*", *r[3:]] if len(r) > 4 and "松前町" in r[2] else r for r in rows
        ]
    for row in rows:
        sheet.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize("style", ["2023", "2020"])
def test_register_keeps_municipalities_only(tmp_path, style):
    path = write_register(tmp_path / "register.xlsx", style=style)
    table = official.read_register_workbook(path, prefecture="愛媛県")
    assert table["municipality"].unique().tolist() == [
        "松山市",
        "松前町",
    ]  # no county, no prefecture
    assert table["municipality_code"].unique().tolist() == ["38201", "38401"]
    sums = table.groupby("municipality")["population"].sum()
    # 21 ages x 2 sexes x 10; and 21 x 2 x 3 + 2 x 4 withheld.
    assert sums.to_dict() == {"松山市": 420, "松前町": 134}
    rest = table[table["age_class"] == "not_published"].set_index(["municipality", "sex"])
    assert rest["population"].to_dict() == {
        ("松山市", "male"): 0,
        ("松山市", "female"): 0,
        ("松前町", "male"): 4,
        ("松前町", "female"): 4,
    }


def test_register_takes_the_prefecture_s_own_town(tmp_path):
    rows = [[int(row[0]) if row[0].isdigit() else row[0], *row[1:]] for row in register_rows()]
    for each in (register_rows(), rows):  # codes as text, and as numbers without their nought
        path = write_register(tmp_path / "register.xlsx", rows=each)
        table = official.read_register_workbook(
            path, prefecture="北海道", municipalities=["松前町"]
        )
        assert set(table["municipality_code"]) == {"01331"}


def test_register_knows_a_town_of_nobody(tmp_path):
    nobody = [
        [code("38402"), "愛媛県", "久万町", sex, "-", *["-"] * 21] for sex in ("計", "男", "女")
    ]
    path = write_register(tmp_path / "register.xlsx", rows=[*register_rows(), *nobody])
    table = official.read_register_workbook(path, prefecture="愛媛県", municipalities=["久万町"])
    assert len(table) == 2 * 22
    assert table["population"].eq(0).all()


def test_register_may_begin_with_men(tmp_path):
    rows = [row for row in register_rows() if "松山市" in row and row[3] != "計"]
    path = write_register(tmp_path / "register.xlsx", rows=rows)
    table = official.read_register_workbook(path, prefecture="愛媛県")
    assert table.groupby("sex")["population"].sum().to_dict() == {"male": 210, "female": 210}


def test_a_municipality_is_found_however_its_ke_is_written(tmp_path):
    path = tmp_path / "register.xlsx"
    rows = [[text if text != "松山市" else "茅ケ崎市" for text in row] for row in register_rows()]
    write_register(path, rows=rows)
    wanted = ["茅ヶ崎市"]
    table = official.read_register_workbook(path, prefecture="愛媛県", municipalities=wanted)
    assert set(table["municipality"]) == {"茅ヶ崎市"}  # as the study writes it
    assert table["population"].sum() == 2 * 10 * 21  # both sexes, ten in each of 21 age classes


def test_another_spelling_is_not_called_a_bad_download(tmp_path):
    path = tmp_path / "register.xlsx"
    write_register(path)
    with pytest.raises(InputError, match="POPULATION_MUNICIPALITY") as error:
        official.read_register_workbook(path, prefecture="愛媛県", municipalities=["松山"])
    assert "study.yaml の regions" in str(error.value) and "ownload" not in str(error.value)


def test_register_reads_dashes_and_stars(tmp_path):
    rows = register_rows()
    for row in rows:
        if len(row) > 5 and row[2] == "松山市" and row[3] == "男":
            row[5], row[6] = "-", "*"  # 0 to 4: nobody; 5 to 9: withheld
    path = write_register(tmp_path / "register.xlsx", rows=rows)
    table = official.read_register_workbook(path, prefecture="愛媛県", municipalities=["松山市"])
    men = table[table["sex"] == "male"].set_index("age_class")["population"]
    assert men["0-4"] == 0 and men["5-9"] == 0
    assert men["not_published"] == 20  # 210 in all less 19 ages of 10


@pytest.mark.parametrize("name", ["38201", "38204", "01100", "13101", "47201"])
def test_check_digit_of_known_codes(name):
    # Published six-digit codes: 松山市 382019, 八幡浜市 382043, 札幌市 011002, 千代田区 131016,
    # 那覇市 472018.
    known = {"38201": "9", "38204": "3", "01100": "2", "13101": "6", "47201": "8"}
    assert check_digit(name) == known[name]


def test_wrong_check_digit_is_named(tmp_path):
    rows = register_rows()
    for row in rows:
        if len(row) > 5 and row[2] == "松山市":
            row[0] = "382010"
    path = write_register(tmp_path / "register.xlsx", rows=rows)
    with pytest.raises(InputError, match="POPULATION_CODE.*松山市"):
        official.read_register_workbook(path, prefecture="愛媛県")


def test_sums_are_checked(tmp_path):
    rows = register_rows()
    for row in rows:
        if len(row) > 5 and row[2] == "松山市" and row[3] == "女":
            row[4] += 1
    path = write_register(tmp_path / "register.xlsx", rows=rows)
    with pytest.raises(InputError, match="POPULATION_SUM"):
        official.read_register_workbook(path, prefecture="愛媛県")
    rows = register_rows()
    for row in rows:
        if len(row) > 5 and row[2] == "松山市" and row[3] in ("計", "女"):
            row[4] -= 1  # one woman fewer in all than by age
    path = write_register(tmp_path / "register.xlsx", rows=rows)
    with pytest.raises(InputError, match="POPULATION_SUM.*年齢の和"):
        official.read_register_workbook(path, prefecture="愛媛県")


def test_two_places_of_one_name_are_refused(tmp_path):
    rows = register_rows()
    twins = [
        [code("38402"), row[1], "上浮穴郡松前町", *row[3:]] for row in rows if "伊予郡松前町" in row
    ]
    path = write_register(tmp_path / "register.xlsx", rows=[*rows, *twins])
    with pytest.raises(InputError, match="POPULATION_REPEATED"):
        official.read_register_workbook(path, prefecture="愛媛県")


def test_web_page_named_xlsx_is_named(tmp_path):
    path = tmp_path / "register.xlsx"
    path.write_text("<!DOCTYPE html><html>Not found</html>", encoding="utf-8")
    with pytest.raises(InputError, match="HTML.*fileKind") as caught:
        official.read_register_workbook(path, prefecture="愛媛県")
    assert caught.value.exit_code == 2


def test_other_workbook_and_missing_places_are_named(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.save(tmp_path / "other.xlsx")
    with pytest.raises(InputError, match="POPULATION_LAYOUT"):
        official.read_register_workbook(tmp_path / "other.xlsx", prefecture="愛媛県")
    path = write_register(tmp_path / "register.xlsx")
    with pytest.raises(InputError, match="伊予市"):
        official.read_register_workbook(path, prefecture="愛媛県", municipalities=["伊予市"])
    with pytest.raises(InputError, match="POPULATION_FILE_MISSING"):
        official.read_register_workbook(tmp_path / "none.xlsx", prefecture="愛媛県")


# --- census table 2-7 ---------------------------------------------------------------------------


CENSUS = [
    ("0_国籍総数", "1_男", "a", "38000", "38_愛媛県", "愛媛県"),
    ("0_国籍総数", "1_男", "2", "38201", "38_愛媛県", "38201_松山市"),
    ("0_国籍総数", "2_女", "2", "38201", "38_愛媛県", "38201_松山市"),
    ("0_国籍総数", "0_総数", "2", "38201", "38_愛媛県", "38201_松山市"),
    ("1_うち日本人", "1_男", "2", "38201", "38_愛媛県", "38201_松山市"),
    ("0_国籍総数", "1_男", "9", "38201", "38_愛媛県", "38201_(旧)松山市"),
    ("0_国籍総数", "1_男", "3", "38401", "38_愛媛県", "38401_松前町"),
]


def write_census(path, *, people=CENSUS):
    labels = [
        "01_0～4歳",
        "00_総数",
        *(f"{i + 1:02d}_{a}～{a + 4}歳" for i, a in enumerate(range(0, 100, 5))),
    ]
    labels += ["21_100歳以上", "22_年齢「不詳」", "R1_15歳未満", "00_総数", "01_0～4歳"]
    units = ["％", *["人"] * 24, "％", "人"]
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "b02_07"
    for _ in range(9):
        sheet.append(["表頭"])
    sheet.append([""] * 9 + labels)
    sheet.append([""] * 9 + units)
    sheet.append(["国籍総数か日本人", "男女", "地域識別コード"])
    for nation, sex, kind, number, prefecture, name in people:
        counts = [4.8, 105, *[5] * 20, 5, 7, 15, 100.0, 999]
        sheet.append([nation, sex, kind, "", "", "", prefecture, number, name, *counts])
    book.save(path)
    return path


def test_census_counts_each_person_once(tmp_path):
    path = write_census(tmp_path / "b02_07.xlsx")
    table = official.read_census_2_7(path, prefecture="愛媛県")
    sums = table.groupby(["municipality", "sex"])["population"].sum().to_dict()
    # 21 classes of 5; R1, percents, a class again, the nation's rows and old boundaries are out.
    assert sums == {("松山市", "male"): 112, ("松山市", "female"): 112, ("松前町", "male"): 112}
    rest = table.loc[table["age_class"] == "not_published", "population"]
    assert rest.tolist() == [7, 7, 7]  # 年齢不詳


def test_other_table_is_no_table_2_7(tmp_path):
    path = write_register(tmp_path / "register.xlsx")
    with pytest.raises(InputError, match="POPULATION_SHEET"):
        official.read_census_2_7(path, prefecture="愛媛県")
    book = openpyxl.load_workbook(write_census(tmp_path / "b02_07.xlsx"))
    for cell in book.active[10][12:]:
        cell.value = "x"  # too few ages
    book.save(path)
    with pytest.raises(InputError, match="POPULATION_LAYOUT"):
        official.read_census_2_7(path, prefecture="愛媛県")


# --- e-Stat CSV ---------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_estat_csv_is_read_from_its_header(tmp_path, encoding):
    head = (
        '"統計名：","国勢調査"\n"表題","年齢"\n\n'
        '"cat01_code","国籍総数か日本人","cat02_code","男女","cat03_code","年齢","area_code",'
        '"全国，都道府県，市区町村","value"\n'
    )
    japanese = '"1","うち日本人","1","男","01","0～4歳","38201","愛媛県 松山市","999"\n'
    rows = japanese + "".join(
        f'"0","総数","{i}","{sex}","01","{age}","38201","愛媛県 松山市","{n}"\n'
        for i, sex in enumerate(("総数", "男", "女"))
        for age, n in (
            ("総数", "9,999"),
            ("0～4歳", "1,234"),
            ("100歳以上", "-"),
            ("年齢「不詳」", "5"),
        )
    )
    path = tmp_path / "FEH_00200521.csv"
    path.write_bytes((head + rows).encode(encoding))
    table = official.read_estat_csv(path, municipalities=["松山市"])
    assert table.groupby("sex")["population"].sum().to_dict() == {"male": 1239, "female": 1239}
    assert set(table["age_class"]) == {"0-4", "100+", "not_published"}


@pytest.mark.parametrize("text", ["<html>value</html>", "a,b\n1,2\n"])
def test_another_csv_is_no_table_of_e_stat(tmp_path, text):
    (tmp_path / "FEH_1.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="POPULATION_LAYOUT.*value"):
        official.read_estat_csv(tmp_path / "FEH_1.csv")


@pytest.mark.parametrize("dash", "~〜～-－―")
def test_ages_are_read_with_any_dash(dash):
    assert official.age_class(f"15歳{dash}19歳") == "15-19"


# --- from ages to cells -------------------------------------------------------------------------


def bands() -> list[Band]:
    return [
        Band(code="16-19", label="a", **{"from": 16, "to": 19}),
        Band(code="20s", label="b", **{"from": 20, "to": 29}),
        Band(code="30+", label="c", **{"from": 30, "to": None}),
    ]


def test_cut_classes_are_shared_by_years_of_age(tmp_path):
    path = write_register(tmp_path / "register.xlsx")
    table = official.read_register_workbook(path, prefecture="愛媛県")
    cells = make_targets(
        table,
        regions={"1": ["松山市"], "2": ["松前町"]},
        bands=bands(),
        sexes={"male": "1", "female": "2"},
    )
    found = cells.set_index(["region", "age_band", "sex"])["population"]
    # 16-19 is four of the five years of 15-19; 30+ is 14 classes of five years and 100+.
    assert found["1", "16-19", "1"] == pytest.approx(0.8 * 10)
    assert found["1", "20s", "2"] == pytest.approx(2 * 10)
    assert found["2", "30+", "1"] == pytest.approx(15 * 3)
    assert cells["age_band"].unique().tolist() == ["16-19", "20s", "30+"]
    closed = Band(code="30-99", label="c", **{"from": 30, "to": 99})  # 100 and more are outside
    cells = make_targets(
        table,
        regions={"1": ["松山市"], "2": ["松前町"]},
        bands=[closed],
        sexes={"male": "1", "female": "2"},
    )
    assert cells["population"].tolist() == [14 * 10, 14 * 10, 14 * 3, 14 * 3]
    cells = make_targets(
        table,
        regions={"1": ["松山市"], "2": ["松前町"]},
        bands=bands()[::-1],
        sexes={"male": "1", "female": "2"},
    )
    assert cells["age_band"].unique().tolist() == ["30+", "20s", "16-19"]  # in the study's order
    oldest = Band(code="100+", label="d", **{"from": 100, "to": None})
    cells = make_targets(
        table,
        regions={"1": ["松山市"], "2": ["松前町"]},
        bands=[oldest],
        sexes={"male": "1", "female": "2"},
    )
    assert cells["population"].tolist() == [10, 10, 3, 3]


def test_every_municipality_has_one_region(tmp_path):
    path = write_register(tmp_path / "register.xlsx")
    table = official.read_register_workbook(path, prefecture="愛媛県")
    sexes = {"male": "1", "female": "2"}
    with pytest.raises(ConfigError, match="REGION_MAP.*松前町"):
        make_targets(table, regions={"1": ["松山市"]}, bands=bands(), sexes=sexes)
    twice = {"1": ["松山市", "松前町"], "2": ["松前町"]}
    with pytest.raises(ConfigError, match="REGION_MAP"):
        make_targets(table, regions=twice, bands=bands(), sexes=sexes)


# --- targets of the studies ---------------------------------------------------------------------


def test_targets_of_ehime_are_whole():
    table = population.load_targets(open_study("ehime", 2022))
    assert len(table) == 3 * 8 * 2
    assert np.isfinite(table["population"]).all() and (table["population"] > 0).all()
    others = population.load_other_targets(open_study("ehime", 2022))
    assert list(others) == ["国勢調査2020年"]
    # About 2.6 % fewer live there than are registered (A02)
    gap = others["国勢調査2020年"]["population"].sum() / table["population"].sum() - 1
    assert gap == pytest.approx(-0.026, abs=0.002)


def write_ehime(root, *, targets: str) -> list[str]:
    """Write the folder of ehime without answers, its targets a file; return its municipalities."""
    folder = root / "data/raw/ehime"
    folder.mkdir(parents=True)
    shutil.copy(RAW / "codebook.csv", folder)
    text = (RAW / "study.yaml").read_text(encoding="utf-8")
    assert text.count("targets: population.csv") == 1
    text = text.replace("targets: population.csv", f"targets: {targets}")
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    regions = yaml.safe_load(text)["regions"].values()
    return [name for region in regions for name in region["municipalities"]]


@pytest.mark.parametrize(("name", "each"), [("24ssnen.xlsx", 10), ("b02_07.xlsx", 5)])
def test_an_official_file_as_downloaded_is_the_target(tmp_path, monkeypatch, name, each):
    places = write_ehime(tmp_path, targets=name)
    path = tmp_path / "data/raw/ehime" / name
    numbers = {place: str(38301 + at) for at, place in enumerate([*places, "ほかの町"])}
    if name.startswith("24"):
        rows = []
        for place, number in numbers.items():
            for sex, n in (("計", 2 * each), ("男", each), ("女", each)):
                rows.append([code(number), "愛媛県", place, sex, n * 21, *[n] * len(AGES)])
        write_register(path, rows=[*rows, *register_rows()[-4:]])  # and a town elsewhere
    else:
        people = [
            ("0_国籍総数", sex, "2", number, "38_愛媛県", f"{number}_{place}")
            for place, number in numbers.items()
            for sex in ("1_男", "2_女")
        ]
        write_census(path, people=people)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    cells = population.load_targets(open_study("ehime", 2022))
    found = cells.set_index(["region", "age_band", "sex"])["population"]
    assert len(found) == 3 * 8 * 2
    # 5, 6 and 9 municipalities; 16-19 is 4 of the 5 years of 15-19, 80+ is 4 classes and 100+.
    assert found["1", "16-19", "1"] == pytest.approx(5 * 0.8 * each)
    assert found["2", "20s", "2"] == pytest.approx(6 * 2 * each)
    assert found["3", "80+", "1"] == pytest.approx(9 * 5 * each)


def test_an_official_file_sums_over_what_the_cells_do_not_name(tmp_path, monkeypatch):
    places = write_ehime(tmp_path, targets="b02_07.xlsx")
    path = tmp_path / "data/raw/ehime/study.yaml"
    text = path.read_text(encoding="utf-8").replace(
        "cells: [region, age_band, sex]", "cells: [region]"
    )
    path.write_text(text, encoding="utf-8")
    people = [
        ("0_国籍総数", sex, "2", str(38301 + at), "38_愛媛県", f"{38301 + at}_{place}")
        for at, place in enumerate(places)
        for sex in ("1_男", "2_女")
    ]
    write_census(path.parent / "b02_07.xlsx", people=people)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    found = population.load_targets(open_study("ehime", 2022)).set_index("region")["population"]
    # Classes of 5 from 16 on: 4/5 of one and 17 more, of both sexes
    assert found["1"] == pytest.approx(5 * 2 * 5 * 17.8)


def test_cells_bear_the_names_and_codes_of_the_study(tmp_path):
    path = write_register(tmp_path / "register.xlsx")
    design = SimpleNamespace(region="place", age_band="band", sex="gender")
    config = SimpleNamespace(
        design=design,
        area="愛媛県",
        regions={"C": SimpleNamespace(municipalities=["松山市"])},
        derive={"band": SimpleNamespace(bands=bands())},
    )
    items = {"gender": SimpleNamespace(options={"w": "女性", "m": "男性", "x": "その他"})}
    study = SimpleNamespace(config=config, items=items)
    cells = population._official_cells(study, path, by=["place", "band", "gender"])
    assert cells.columns.tolist() == ["place", "band", "gender", "population"]
    assert set(cells["gender"]) == {"m", "w"}
    assert set(cells["place"]) == {"C"}


def csv_cells() -> pd.DataFrame:
    return pd.read_csv(RAW / "population.csv", dtype=str)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda cells: cells.iloc[1:], r"TARGETS_CELL_MISSING.* 1 cells \(1 x 16-19 x 1\)"),
        (lambda cells: cells.assign(area="香川県"), "TARGETS_VINTAGE.*area"),
        (
            lambda cells: pd.concat([cells, cells.iloc[:1].assign(population="7")]),
            "TARGETS_REPEATED.* 50",
        ),
        (
            lambda cells: cells.assign(population_date=["2023-01-01"] * 47 + ["2022-01-01"]),
            "TARGETS_VINTAGE",
        ),
        (lambda cells: cells.assign(population=["-1", "x"] + ["9"] * 46), "TARGETS_NUMBER.* 2, 3:"),
        (lambda cells: cells.assign(sex=["7"] + ["1"] * 47), "TARGETS_CODE.*rows 2:"),
        (lambda cells: cells.drop(columns="sex"), "TARGETS_COLUMNS.*sex"),
    ],
)
def test_each_fault_of_a_table_of_cells_is_named(tmp_path, monkeypatch, change, error):
    write_ehime(tmp_path, targets="cells.csv")
    change(csv_cells()).to_csv(tmp_path / "data/raw/ehime/cells.csv", index=False)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    with pytest.raises(ConfigError, match=error):
        population.load_targets(open_study("ehime", 2022))


def test_a_table_of_cells_may_hold_commas_and_nobody(tmp_path, monkeypatch):
    write_ehime(tmp_path, targets="cells.csv")
    cells = csv_cells().assign(population=["1,234", "0"] + ["9"] * 46)
    cells = pd.concat([cells, cells.iloc[:1].assign(sex="3")])  # of sample_share
    cells.to_csv(tmp_path / "data/raw/ehime/cells.csv", index=False)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    found = population.load_targets(open_study("ehime", 2022))
    assert found["population"].tolist()[:3] == [1234, 0, 9]


def test_an_answer_that_is_no_region_needs_no_population(tmp_path, monkeypatch):
    write_ehime(tmp_path, targets="cells.csv")
    folder = tmp_path / "data/raw/ehime"
    text = (folder / "codebook.csv").read_text(encoding="utf-8")
    (south,) = [line for line in text.splitlines() if line.startswith(",,region,,,,3,")]
    text = text.replace(south, f"{south}\n{south.replace(',3,南予', ',5,島')}")
    (folder / "codebook.csv").write_text(text, encoding="utf-8")
    csv_cells().to_csv(folder / "cells.csv", index=False)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    study = open_study("ehime", 2022)
    assert "5" in study.items["region"].options
    assert set(population.load_targets(study)["region"]) == {"1", "2", "3"}


def test_margins_have_tables_of_their_own(tmp_path, monkeypatch):
    write_ehime(tmp_path, targets="cells.csv")
    folder = tmp_path / "data/raw/ehime"
    text = (folder / "study.yaml").read_text(encoding="utf-8")
    text = text.replace("method: post_stratification", "method: raking")
    text = text.replace("cells: [region, age_band, sex]", "cells: [region, age_band]")
    margin = "  margins: [{by: [sex], targets: sexes.csv}]\n  collapse: []"
    (folder / "study.yaml").write_text(text.replace("  collapse: []", margin), encoding="utf-8")
    cells = csv_cells().drop_duplicates(["region", "age_band"])
    cells.to_csv(folder / "cells.csv", index=False)
    (folder / "sexes.csv").write_text("sex,population\n1,40\n2,60\n", encoding="utf-8")
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    study = open_study("ehime", 2022)
    tables = population.load_targets(study)
    assert [list(table.columns) for table in tables] == [
        ["region", "age_band", "population"],
        ["sex", "population"],
    ]
    assert len(population.load_population(study)) == 24


def test_a_web_page_as_target_is_named(tmp_path, monkeypatch):
    write_ehime(tmp_path, targets="24ssnen.xlsx")
    (tmp_path / "data/raw/ehime/24ssnen.xlsx").write_text("<!DOCTYPE html>", encoding="utf-8")
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    with pytest.raises(InputError, match="POPULATION_FORMAT.*HTML"):
        population.load_targets(open_study("ehime", 2022))


def test_given_weights_need_no_targets():
    assert population.load_targets(open_study("eu-loneliness-fr", 2022)) is None
    with pytest.raises(ConfigError, match="POPULATION_MISSING"):
        population.load_population(open_study("eu-loneliness-fr", 2022))
