"""A published figure is joined to ours by what it means: other codes, other names, other words."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tsunagari import tables
from tsunagari.errors import ConfigError
from tsunagari.intake.cleaning import clean_responses
from tsunagari.intake.reading import read_responses
from tsunagari.statistics import benchmark, designs, waves, weighting
from tsunagari.statistics.benchmark import match_answers
from tsunagari.study.codebook import Item
from tsunagari.study.population import load_targets
from tsunagari.study.survey import open_study

DATA = Path(__file__).resolve().parents[2] / "data/raw"
LONELY = {"1": "5", "2": "4", "3": "3", "4": "2", "5": "1"}  # 1 = しばしば ... 5 = 決してない
SEX = {"1": "2", "2": "1", "3": "3"}


def question(options, *, nets=None, limits=None, scale=""):
    kind = "derived" if limits else "SA"
    return Item("q", "問", "問", kind, options, nets=nets or {}, limits=limits or {}, scale=scale)


# --- one question ---------------------------------------------------------------------------------


def test_answers_match_by_label_whatever_their_code_or_width():
    ours = question({"1": "ない", "2": "時々 ある"})
    theirs = question({"1": "時々ある", "2": "ない", "3": "いつも"})
    assert match_answers(ours, theirs) == {"1": "2", "2": "1", "no_answer": "no_answer"}


def test_a_label_of_two_codes_says_nothing():
    ours = question({"1": "ある", "2": "ある"})
    assert set(match_answers(ours, question({"1": "ある"}))) == {"no_answer"}


def test_bands_match_by_their_ends_and_not_by_their_name():
    ours = question({"young": "20代", "20s": "青年"}, limits={"young": (20, 29), "20s": (18, 29)})
    theirs = question({"20s": "20代"}, limits={"20s": (20.0, 29.0)})
    assert match_answers(ours, theirs)["20s"] == "young"


def test_nets_match_by_the_codes_they_hold():
    options = {"1": "a", "2": "b", "3": "c"}
    ours = question(options, nets={"some": ("計", ("2",)), "both": ("2つ", ("2", "3"))})
    theirs = question(options, nets={"some": ("計", ("2", "3")), "one": ("b のみ", ("2",))})
    found = match_answers(ours, theirs)
    assert (found["some"], found["one"]) == ("both", "2")


def test_nothing_matches_between_two_versions_of_a_scale():
    one, other = (question({"1": "ない"}, scale=scale) for scale in ("ucla3-4", "ucla3-3"))
    assert match_answers(one, other) == {}


def test_what_the_study_says_goes_before_the_wording():
    ours, theirs = question({"1": "いない（一人暮らし）"}), question({"7": "いない（単身世帯）"})
    assert "7" not in match_answers(ours, theirs)
    assert match_answers(ours, theirs, given={"7": "1"})["7"] == "1"
    assert "7" not in match_answers(ours, theirs, given={"7": None})


# --- a whole study --------------------------------------------------------------------------------


def recode_study(folder: Path) -> None:
    """Turn the codes of lonely_direct and sex the other way round, everywhere."""
    plan = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    turned = [each for each in plan["derive"].values() if each.get("recode_of") == "lonely_direct"]
    for net in [*(c for each in turned for c in each["classes"]), *plan["recode"]["lonely_direct"]]:
        net["of"] = [LONELY[code] for code in net["of"]]
    for each in plan["indicators"].values():
        if each["item"] == "lonely_direct":
            each["codes"] = [LONELY[code] for code in each["codes"]]
    (folder / "study.yaml").write_text(yaml.safe_dump(plan, allow_unicode=True), encoding="utf-8")
    book = pd.read_csv(folder / "codebook.csv", dtype=str, keep_default_na=False)
    for name, turn in (("lonely_direct", LONELY), ("sex", SEX)):
        mine = book["variable"] == name
        labels = book[mine].set_index("code")["code_label"]
        back = {new: old for old, new in turn.items()}
        book.loc[mine, "code_label"] = [labels[back.get(c, c)] for c in book.loc[mine, "code"]]
    book["ask_if"] = [
        re.sub(r"(?<=lonely_direct=)[\d|]+", lambda m: "|".join(LONELY[c] for c in m[0][::2]), text)
        for text in book["ask_if"]
    ]
    book.to_csv(folder / "codebook.csv", index=False)
    cells = pd.read_csv(folder / "population.csv", dtype=str).replace({"sex": SEX})
    cells.to_csv(folder / "population.csv", index=False)
    people = pd.read_csv(folder / "2022/responses.csv", dtype=str, keep_default_na=False)
    for name, turn in (("lonely_direct", LONELY), ("sex", SEX)):
        plain = people[name].str.normalize("NFKC").str.strip()
        people[name] = plain.map(turn).fillna(people[name])
    people.to_csv(folder / "2022/responses.csv", index=False)


def rename_sex(folder: Path) -> None:
    """Call sex "gender" everywhere."""
    for name in ("study.yaml", "codebook.csv", "population.csv", "2022/responses.csv"):
        path = folder / name
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"(?<![\w.])sex(?![\w.])(?!: \{)", "gender", text).replace(
            "gender: gender", "sex: gender"
        )
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A study of 700 of the synthetic people, as a delivered file."""
    mine = tmp_path / "data/raw/ehime"
    (mine / "2022").mkdir(parents=True)
    for name in ("study.yaml", "codebook.csv", "population.csv", "population_census.csv"):
        shutil.copy(DATA / "ehime" / name, mine)
    shutil.copytree(DATA / "national", tmp_path / "data/raw/national")
    text = (DATA / "ehime/2022/responses_synthetic.csv").read_text(encoding="cp932")
    lines = "".join(text.splitlines(keepends=True)[:701])
    (mine / "2022/responses.csv").write_text(lines, encoding="utf-8")
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    return mine


def national_rows() -> pd.DataFrame:
    survey = open_study("ehime", 2022)
    people = clean_responses(read_responses(survey), survey).respondents
    settings = survey.config.weighting
    design = weighting.weigh_respondents(people, load_targets(survey), settings=settings)
    figures = benchmark.read_benchmark(survey)
    return tables.national_tables(survey, people, design=design, benchmark=figures.table)


def test_a_study_that_codes_the_other_way_round_gets_the_same_comparison(folder):
    before = national_rows()
    recode_study(folder)
    after = national_rows()
    back = {
        "lonely_direct": {new: old for old, new in LONELY.items()},
        "sex": {new: old for old, new in SEX.items()},
    }
    for name, codes in back.items():
        mine, there = after["item"] == name, after["domain"] == name
        after.loc[mine, "item_value"] = after.loc[mine, "item_value"].replace(codes)
        after.loc[there, "domain_value"] = after.loc[there, "domain_value"].replace(codes)
    keys = ["table_id", "measure", "domain", "domain_value", "item_value"]
    one, other = (rows.sort_values(keys, ignore_index=True) for rows in (before, after))
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)


def test_sex_is_found_by_design_whatever_it_is_called(folder):
    before = national_rows()
    rename_sex(folder)
    after = national_rows()
    assert (after["domain"] == "gender").sum() == (before["domain"] == "sex").sum() > 50
    assert len(after) == len(before)


def test_an_answer_that_means_none_of_ours_is_refused_by_name(folder):
    path = folder / "codebook.csv"
    book = path.read_text(encoding="utf-8")
    path.write_text(book.replace("しばしばある・常にある", "週に一度はある"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"BENCHMARK_MEANING.*しばしばある・常にある.*answers"):
        benchmark.read_benchmark(open_study("ehime", 2022))
    plan = (folder / "study.yaml").read_text(encoding="utf-8")
    for code, n_rows in (('"5"', 1), ("null", 0)):
        mapped = plan.replace("  answers:", f'  answers:\n    lonely_direct: {{"5": {code}}}', 1)
        mapped = mapped.replace(f'{{"5": {code}}}  #', f'{{"5": {code}}}\n    #', 1)
        (folder / "study.yaml").write_text(mapped, encoding="utf-8")
        rows = benchmark.read_benchmark(open_study("ehime", 2022)).table
        rows = rows.query("item == 'lonely_direct' and domain == 'all' and year == 2022")
        assert (rows["item_value"] == "5").sum() == n_rows


def test_another_scale_and_a_code_that_is_not_ours_are_refused(folder):
    path = folder / "study.yaml"
    plan = path.read_text(encoding="utf-8")
    path.write_text(plan.replace('sex: {"3": "3"}', 'sex: {"3": "8"}'), encoding="utf-8")
    with pytest.raises(ConfigError, match="BENCHMARK_MEANING.*sex.*8"):
        benchmark.read_benchmark(open_study("ehime", 2022))
    path.write_text(plan.replace("ucla3-4", "ucla3-9"), encoding="utf-8")
    book = (folder / "codebook.csv").read_text(encoding="utf-8")
    (folder / "codebook.csv").write_text(book.replace("ucla3-4", "ucla3-9"), encoding="utf-8")
    with pytest.raises(ConfigError, match="BENCHMARK_MEANING.*ucla_band.*scale version"):
        benchmark.read_benchmark(open_study("ehime", 2022))


def test_a_year_of_which_nothing_was_published_names_those_there_are(folder):
    plan = (folder / "study.yaml").read_text(encoding="utf-8")
    wrong = plan.replace("benchmark_year: 2022", "benchmark_year: 2031")
    (folder / "study.yaml").write_text(wrong, encoding="utf-8")
    with pytest.raises(ConfigError, match="2031 年はありません。あるのは 2021"):
        benchmark.read_benchmark(open_study("ehime", 2022))


def test_what_cannot_be_compared_is_said():
    survey = open_study("ehime", 2022)
    # published by these in 2022, and no axis of ours
    lacking = {"仕事", "世帯の年間収入", "住居", "配偶者の有無", "相談相手の有無"}
    assert set(benchmark.read_benchmark(survey).not_compared) == lacking


def test_waves_are_joined_by_what_an_answer_means():
    people = pd.DataFrame({"q": ["1"] * 60 + ["2"] * 40, "r": ["1"] * 50 + ["2"] * 50})
    turned = people.replace({"q": {"1": "2", "2": "1"}, "r": {"1": "2", "2": "1"}})
    nets = {"all": ("計", ("1",))}
    now, then = (
        question({"1": "ない", "2": "ある"}),
        question({"1": "ある", "2": "ない"}, nets=nets),
    )
    region = (question({"1": "東", "2": "西"}), question({"1": "西", "2": "東"}))
    region = tuple(Item("r", *list(vars(each).values())[1:]) for each in region)
    design = designs.Design(weights=[1.0] * 100)
    rows = waves.compare_item_waves(
        design, design, now=(2023, now, people), before=(2022, then, turned), by=[region]
    )
    gaps = rows[rows["measure"] == "difference_points"]
    compared = gaps[gaps["item_value"].isin(["1", "2"])]
    assert len(compared) == 6
    assert (compared["estimate"] == 0).all()
    assert set(gaps["item_value"]) == {"1", "2"}  # the net is the code 2 of today
