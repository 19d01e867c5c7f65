"""The generator of synthetic waves: expected values by hand, another study, refused recipes."""

import csv
import inspect
import io
import re

import numpy as np
import pandas as pd
import pytest

from tsunagari import errors, synthetic
from tsunagari.intake import cleaning, reading
from tsunagari.statistics import weighting
from tsunagari.study import files, population
from tsunagari.study.survey import open_study


@pytest.fixture(scope="module")
def wave():
    return open_study("ehime", 2022)


def rows_of(content: bytes) -> pd.DataFrame:
    records = list(csv.reader(io.StringIO(content.decode("cp932"), newline="")))
    return pd.DataFrame(records[1:], columns=records[0])


HALVES = np.repeat([True, False], 1000)


def test_chances_give_each_group_its_published_share():
    chances = synthetic.solve_chances(
        [[(HALVES, 20.0), (~HALVES, 10.0)]], nation_pct=15, target_pct=15
    )
    # (20 + 10) / 2 = 15: the level is the target already, nothing moves
    assert chances[:1000].mean() == pytest.approx(0.20, abs=5e-4)
    assert chances[1000:].mean() == pytest.approx(0.10, abs=5e-4)


def test_chances_moved_to_another_level_keep_the_odds_ratio():
    chances = synthetic.solve_chances(
        [[(HALVES, 20.0), (~HALVES, 10.0)]], nation_pct=15, target_pct=30
    )
    men, women = chances[0], chances[-1]
    assert chances.mean() == pytest.approx(0.30, abs=5e-4)
    # (0.2 / 0.8) / (0.1 / 0.9) = 0.25 x 9 = 2.25
    assert (men / (1 - men)) / (women / (1 - women)) == pytest.approx(2.25, rel=5e-3)


def test_unpublished_levels_take_what_is_left():
    jobless = np.repeat([True, False], [500, 1500])
    chances = synthetic.solve_chances([[(jobless, 20.0)]], nation_pct=8, target_pct=8)
    # 0.08 x 2000 = 160 = 0.2 x 500 + 60, and 60 / 1500 = 0.04
    assert chances[500:].mean() == pytest.approx(0.04, abs=5e-4)


def test_same_arguments_same_bytes_and_another_seed_another_file(wave):
    first = synthetic.make_wave(wave, n=200, seed=1)
    assert synthetic.make_wave(wave, n=200, seed=1) == first
    assert synthetic.make_wave(wave, n=200, seed=2) != first


def test_file_is_what_a_vendor_delivers(wave):
    content = synthetic.make_wave(wave, n=200, seed=1)
    table = rows_of(content)
    assert content.endswith(b"\r\n")
    assert not content.startswith(b"\xef\xbb\xbf")
    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")
    assert list(table.columns) == list(wave.codebook.columns.index)
    # 24, 9, 12, 8, 6, 7, 30 further rows per 2,000, so per 200: 2.4, 0.9, 1.2, 0.8, 0.6, 0.7, 3
    assert len(table) == 200 + 2 + 1 + 1 + 1 + 1 + 1 + 3


def test_small_study_opens_and_fills_every_cell(tmp_path, monkeypatch):
    synthetic.write_small_study(tmp_path, n=600, seed=3)
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    for year in (2022, 2023):
        small = open_study("ehime", year)
        assert small.is_synthetic
        table = rows_of(small.responses_path.read_bytes())
        good = table[table["region"].isin(["1", "2", "3"]) & table["age"].str.fullmatch("[0-9]+")]
        ages = pd.cut(good["age"].astype(int), [15, 19, 29, 39, 49, 59, 69, 79, 110], labels=False)
        cells = good.assign(band=ages).groupby(["region", "band", "sex"]).size()
        assert (cells.drop("3", level="sex") > 0).all()
        assert len(cells.drop("3", level="sex")) == 48
    assert (tmp_path / "data/raw/national/benchmarks.csv").exists()


def test_small_studies_of_two_waves_share_no_respondent(tmp_path):
    synthetic.write_small_study(tmp_path, n=100, seed=3)
    ids = [
        set(rows_of(path.read_bytes())["respondent_id"])
        for path in sorted(tmp_path.glob("data/raw/ehime/*/*_synthetic.csv"))
    ]
    assert len(ids) == 2
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("seed", range(4))
def test_answers_respect_the_questionnaire_before_faults_are_planted(wave, seed):
    recipe, rng = synthetic.read_recipe(wave), np.random.default_rng(seed)
    good = synthetic.draw_people(wave, recipe, n=300, rng=rng).table
    lonely = good["lonely_direct"].isin(["3", "4", "5"])
    assert (good["lonely_duration"] != "").eq(lonely).all()
    assert (good["event_01"] != "").eq(lonely).all()
    assert (good["consult_1"] != "").eq(good["consult_has"] == "1").all()
    assert (good["worry_what_01"] != "").eq(good["worry_has"] == "1").all()
    assert (good["support_why_1"] != "").eq(good["support"] == "2").all()
    events = good.loc[lonely, [f"event_{k:02d}" for k in range(1, 17)]].astype(int)
    assert (events.sum(axis=1) >= 1).all()
    assert (events.loc[events["event_16"] == 1].sum(axis=1) == 1).all()
    resolved = good[[f"resolved_{k:02d}" for k in range(1, 17)]].astype(int)
    alone = (resolved[["resolved_15", "resolved_16"]] == 1).any(axis=1)
    assert (resolved[alone].sum(axis=1) == 1).all()
    assert good["age"].astype(int).between(16, 96).all()
    codes = wave.codebook.codes
    for variable in ("job", "hh_income", "ucla1", "contact_sns", "line_known"):
        known = codes.loc[codes["variable"] == variable, "code"]
        assert set(good[variable]) <= set(known)


# --- another study ------------------------------------------------------------------------------

CODEBOOK = """\
question_no,item,variable,type,label,short_label,code,code_label,role,min,max,ask_if,required,\
scale,sensitive,waves,version,certainty_wording,certainty_options,certainty_order,source
,,no,ID,番号,,,,,,,,yes,,,,,own,own,own,test
S1,,ward,SA,地区,,a,北,,,,,yes,,,,,own,own,own,test
,,ward,,,,b,中,,,,,,,,,,,,,
,,ward,,,,c,南,,,,,,,,,,,,,
1,,years,NUM,年齢,,,,,0,110,,yes,,,,,own,own,own,test
2,,trust,SA,人を頼れるか,,1,まったく,,,,,yes,,,,,own,own,own,test
,,trust,,,,2,あまり,,,,,,,,,,,,,
,,trust,,,,3,まあ,,,,,,,,,,,,,
,,trust,,,,4,とても,,,,,,,,,,,,,
,,trust,,,,X,無回答,no_answer,,,,,,,,,,,,
3,help,help_1,MA,だれに,,k,家族,,,,trust=3|4,yes,,,,,own,own,own,test
,help,help_2,MA,,,f,友人,,,,,,,,,,,,,
,help,help_3,MA,,,z,だれもいない,exclusive,,,,,,,,,,,,
4,,words,OA,ひとこと,,,,,,,,,,,,,own,own,own,test
"""
STUDY = """\
study: minato
title: 港町の調査
area: 港町
people: 町民
waves:
  2024: {responses: responses.csv, synthetic: sample_synthetic.csv, fieldwork: 2024年6月}
columns: {respondent_id: "no"}
multi_answer: {chosen: code, unchosen: ""}
design: {region: ward, age: years, age_band: band}
derive:
  band:
    label: 年代
    bands_of: years
    bands: [{code: y, label: 若い, from: 18, to: 39}, {code: o, label: 40以上, from: 40, to: null}]
weighting:
  {method: post_stratification, label: 事後層化, cells: [ward, band], targets: population.csv}
indicators: {low: {label: 頼れない人, item: trust, codes: ["1"]}}
tables: {axes: [ward], crosses: [trust]}
model: {outcomes: [low], factors: [ward]}
"""
RECIPE = """\
n: 400
encoding: utf-8
waves:
  2024: {seed: 7, ids: M-, shares: {trust: {X: 5}}}
steps:
  - years: years
    oldest: 90
  - rank: trust  # 港町の前の調査
    shares: {1: 10, 2: 20, 3: 30, 4: 35}
    lean: {ward=c: 0.5, years: 0.02}
  - replace: trust
    code: X
    lean: {band=o: 1}
  - choose: help
    shares: [80, 30, 10]
    lean: {f: {band=y: 1.5}}
  - text: words
    share: 50
    phrases: {trust=1|2 & years=60-: [だれにも会わない], help_2=1: [友だちがいる]}
    after: {1: ["（電話 ####）"]}
faults:
  - write: 8
    texts: 9
  - not_asked: 4
    of: help_1
  - copies: 3
  - further: 5
    cells: {ward: ""}
"""
PEOPLE = {("a", "y"): 100, ("a", "o"): 300, ("b", "y"): 50, ("b", "o"): 150, ("c", "y"): 80}
PEOPLE[("c", "o")] = 120  # 800 people in all


@pytest.fixture
def minato(tmp_path, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    folder = tmp_path / "data/raw/minato"
    folder.mkdir(parents=True)
    for name, text in {
        "codebook.csv": CODEBOOK,
        "study.yaml": STUDY,
        "recipe.yaml": RECIPE,
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    cells = pd.Series(PEOPLE, name="population").rename_axis(["ward", "band"]).reset_index()
    cells.to_csv(folder / "population.csv", index=False)
    return folder


@pytest.mark.usefixtures("minato")
def test_another_study_gets_a_sample_that_reads_cleans_and_weights():
    assert synthetic.main("minato", "2024") == 0
    survey = open_study("minato", 2024)
    assert survey.is_synthetic
    raw = reading.read_responses(survey)
    cleaned = cleaning.clean_responses(raw, survey)
    people = cleaned.respondents
    # 400 good rows, 3 copies and 5 without a ward are set aside
    assert (raw.facts["rows"], len(people)) == (408, 400)
    design = weighting.weigh_respondents(
        people,
        population.load_targets(survey),
        settings=survey.config.weighting,
        labels=survey.labels,
    )
    weights = weighting.tabulate_weights(people, design)["weight"]
    assert weights.sum() == pytest.approx(800)
    assert weights.to_numpy() == pytest.approx(2)  # the quota: 400 of 800, half of every cell
    faults = cleaned.cells.groupby("reason_code")["file_row"].nunique()
    # FILTER_MISSING: what follows from a filter whose answer was out of range
    assert faults.to_dict() == {"OUT_OF_RANGE": 8, "SKIP_VIOLATION": 4, "FILTER_MISSING": 6}


@pytest.mark.usefixtures("minato")
def test_recipe_says_shares_skips_and_texts():
    survey = open_study("minato", 2024)
    recipe = synthetic.read_recipe(survey)
    table = synthetic.draw_people(survey, recipe, n=400, rng=np.random.default_rng(1)).table
    trust = table["trust"].value_counts()
    # 10, 20, 30, 35 of 95 who answer, cut by rank among 400; then 5 % of all lose their answer
    whole = np.array([10, 20, 30, 35]) / 95 * 400
    assert (trust[["1", "2", "3", "4"]] <= whole + 1).all()
    assert trust["X"] == 400 - trust[["1", "2", "3", "4"]].sum()
    assert abs(trust["X"] - 20) < 3 * np.sqrt(400 * 0.05 * 0.95)
    helped = table[["help_1", "help_2", "help_3"]]
    asked = table["trust"].isin(["3", "4"])
    assert (helped[~asked] == "").all(axis=None)
    chosen = helped[asked].astype(int)
    assert (chosen["help_3"] + chosen[["help_1", "help_2"]].max(axis=1) == 1).all()
    near = np.array([80, 30, 10]) / 100
    error = np.sqrt(near * (1 - near) / asked.sum())
    assert (abs(chosen.mean() - near) < 3 * error).all()
    young = table.loc[asked, "band"] == "y"
    assert chosen.loc[young, "help_2"].mean() > chosen.loc[~young, "help_2"].mean()
    assert table["years"].between(18, 90).all()
    assert (table["years"].ge(40) == (table["band"] == "o")).all()
    written = table[table["words"] != ""]
    may = table["help_2"].eq("1") | (table["trust"].isin(["1", "2"]) & table["years"].ge(60))
    assert may[written.index].all()
    assert len(written) == pytest.approx(may.sum() / 2, rel=0.25)
    assert (
        written["words"].str.fullmatch("(だれにも会わない|友だちがいる)（電話 00[0-9]{2}）").all()
    )


@pytest.mark.usefixtures("minato")
def test_condition_on_a_number_takes_one_a_span_and_an_open_end():
    survey = open_study("minato", 2024)
    recipe = synthetic.read_recipe(survey)
    step = {"replace": "trust", "code": "X", "of": "years=20|30-34|80-"}
    recipe = recipe.model_copy(update={"steps": [*recipe.steps[:2], step, *recipe.steps[3:]]})
    wave = recipe.waves[2024].model_copy(update={"shares": {"trust": {"4": 40}}})  # none is silent
    recipe = recipe.model_copy(update={"waves": {2024: wave}})
    table = synthetic.draw_people(survey, recipe, n=400, rng=np.random.default_rng(1)).table
    silent = set(table.loc[table["trust"] == "X", "years"])
    assert silent == set(table["years"]) & {20, *range(30, 35), *range(80, 91)}
    assert len(silent) > 10


def test_options_are_written_as_the_study_codes_them(minato):
    synthetic.main("minato", "2024")
    text = (minato / "2024/sample_synthetic.csv").read_text(encoding="utf-8")
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    assert set(table["help_1"]) == {"k", ""}
    assert set(table["help_2"]) == {"f", ""}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("encoding:", "encodings:", "encodings: "),
        ("seed: 7", "sed: 7", "waves.2024.sed: "),
        ("seed: 7", "seed: many", "waves.2024.seed: "),
        ("  2024:", "  2031: {seed: 1}\n  2024:", "waves.2031: "),
        ("  2024:", "  2025:", "waves.2024: "),
        ("encoding: utf-8", "encoding: utf-8 }", "encoding: "),
        ("    oldest: 90", "    oldest: 90\n    youngest: 18", "steps.1 (years: years).youngest: "),
        ("    oldest: 90\n", "", "steps.1 (years: years).oldest: "),
        ("- rank: trust", "- sort: trust", "steps.2.sort: "),
        ("- rank: trust", "- rank: thrust", "steps.2 (rank: thrust): 変数 thrust"),
        ("ward=c: 0.5", "wart=c: 0.5", "steps.2 (rank: trust): 変数 wart"),
        ("ward=c: 0.5", "ward=d: 0.5", "steps.2 (rank: trust): ward にコード d"),
        ("ward=c: 0.5", "ward=c: half", "steps.2 (rank: trust).lean.ward=c"),
        ("3: 30, 4: 35", "3: 30, 4: 45", "steps.2 (rank: trust).shares: 合計が 100 でなく 110"),
        ("3: 30, 4: 35", "3: 30, 5: 35", "steps.2 (rank: trust): trust にコード 5"),
        ("{trust: {X: 5}}", "{faith: {X: 5}}", "waves.2024.shares: 変数 faith"),
        ("[80, 30, 10]", "[80, 30, 10, 10, 10]", "steps.4 (choose: help): "),
        ("share: 50", "share: 150", "steps.5 (text: words).share: "),
        ("  - text: words", "  - text: word", "steps.5 (text: word): 変数 word"),
        ("  - years: years\n    oldest: 90\n", "", "steps.1 (rank: trust): 変数 years"),
        ("faults:", "  - day: words\n    days: 3\nfaults:", "waves.2024.first_day: "),
        ("    of: help_1", "    of: help_9", "faults.2 (not_asked: 4): "),
        ("cells: {ward: ", "cells: {wart: ", "faults.4 (further: 5): "),
        ("copies: 3", "copies: 4000", "faults.3 (copies: 4000): "),
    ],
)
def test_a_wrong_recipe_is_refused_by_its_key(minato, capsys, old, new, key):
    assert old in RECIPE
    (minato / "recipe.yaml").write_text(RECIPE.replace(old, new), encoding="utf-8")
    assert synthetic.main("minato", "2024") == errors.ConfigError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"E-RECIPE: recipe.yaml の {key}")
    ja, _, en = line.partition(" / ")
    assert ja.endswith("。直してください。")
    assert en.startswith(f"recipe.yaml, {re.split(': |: 変', key)[0]}")
    assert not (minato / "2024").exists()


def test_a_question_that_no_step_draws_is_named(minato, capsys):
    rank, replace = RECIPE.index("  - rank"), RECIPE.index("  - choose")
    (minato / "recipe.yaml").write_text(RECIPE[:rank] + "faults: []\n", encoding="utf-8")
    assert replace > rank
    assert synthetic.main("minato", "2024") == 5
    assert "trust, help_1, help_2, help_3 がありません" in capsys.readouterr().err


def test_no_recipe_no_yaml_and_no_place_for_the_sample(minato, capsys):
    (minato / "recipe.yaml").write_text("n: 4\nwaves: }", encoding="utf-8")
    assert synthetic.main("minato", "2024") == 5
    assert "recipe.yaml の 2: この行で UTF-8 の YAML ではありません" in capsys.readouterr().err
    (minato / "recipe.yaml").unlink()
    assert synthetic.main("minato", "2024") == 5
    assert "recipe.yaml の minato: ファイルがありません" in capsys.readouterr().err
    (minato / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    for name in ("", "synthetic: responses.csv, "):
        text = STUDY.replace("synthetic: sample_synthetic.csv, ", name)
        (minato / "study.yaml").write_text(text, encoding="utf-8")
        assert synthetic.main("minato", "2024") == 5
        assert "waves.2024: study.yaml に synthetic がありません" in capsys.readouterr().err
    assert synthetic.main("minato", "R6") == 5  # no such wave
    assert not (minato / "2024").exists()  # where real answers belong


def test_a_letter_that_the_encoding_lacks_is_named(minato, capsys):
    text = RECIPE.replace("encoding: utf-8", "encoding: cp932").replace("友だち", "友だち❤")
    (minato / "recipe.yaml").write_text(text, encoding="utf-8")
    assert synthetic.main("minato", "2024") == 5
    assert "recipe.yaml の encoding: " in capsys.readouterr().err


@pytest.mark.parametrize("rooms", [synthetic.People, synthetic.Delivery])
def test_docs_name_every_kind_and_its_keys(rooms):
    text = (files.repository_root() / "docs/new_study.md").read_text(encoding="utf-8")
    kinds = {name: kind for name, kind in vars(rooms).items() if not name.startswith("_")}
    for name, kind in kinds.items():
        (row,) = re.findall(rf"^\|.*`{name}: .*$", text, flags=re.MULTILINE)
        keys = {
            key
            for key, one in inspect.signature(kind).parameters.items()
            if one.kind == one.KEYWORD_ONLY
        }
        assert {key for key in keys if f"`{key}" not in row} == set(), name


def test_generator_names_no_study_but_the_one_of_the_tests():
    source = (files.repository_root() / "lib/tsunagari/synthetic.py").read_text(encoding="utf-8")
    wave = open_study("ehime", 2022)
    names = {*wave.codebook.columns.index, *wave.items} - {"range"}  # a word of Python
    assert not {name for name in names if re.search(rf"[\"'{{]{name}[\"'=:|]", source)}
