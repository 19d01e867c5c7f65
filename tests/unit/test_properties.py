"""What must hold of tables, comparisons, codes and merging whatever the answers are.

Order of rows, unit of weights, names of codes, and what nobody is or says change no figure.
"""

import csv
import re
import unicodedata
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import random_survey

from tsunagari import tables
from tsunagari.intake.cleaning import clean_responses
from tsunagari.intake.judging import judge_code, judge_number, tidy_cell
from tsunagari.intake.reading import read_responses
from tsunagari.statistics import comparison, merging, waves, weighting
from tsunagari.statistics.designs import Design
from tsunagari.statistics.waves import WaveSide
from tsunagari.study import population
from tsunagari.study.survey import open_study

KEYS = ["table_id", "measure", "domain", "domain_value", "item", "item_value"]
FIGURES = ["estimate", "std_error", "lower", "upper", "df", "p_value", "n_unweighted", "n_cell"]


# --- tables ---------------------------------------------------------------------------------------


def figures(study, people=None):
    """Return every table's figures by key, of a study as it lies in its folder."""
    people = clean_responses(read_responses(study), study).respondents if people is None else people
    design = weighting.weigh_respondents(
        people,
        population.load_targets(study),
        settings=study.config.weighting,
        labels=study.labels,
    )
    makers = (tables.headline_table, tables.tabulate_all, tables.joint_tables, tables.cross_tables)
    rows = pd.concat([make(study, people, design=design) for make in makers], ignore_index=True)
    table = rows.assign(item_value=rows["item_value"].fillna("")).set_index(KEYS)
    return table[FIGURES].astype(float).sort_index()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return the folder of a small random survey."""
    root = tmp_path_factory.mktemp("small")
    random_survey.write_survey(root, seed=3, n=150, features={"exclusive", "option_nets"})
    path = root / "data/raw/random/study.yaml"
    text = yaml.safe_load(path.read_text(encoding="utf-8"))
    text["tables"] |= {"crosses": ["q", "s", "m"], "axes": ["region", "sex", ["r2", "sex"], "q"]}
    path.write_text(yaml.safe_dump(text, allow_unicode=True), encoding="utf-8")
    return root


@pytest.fixture
def study(small, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(small))
    return open_study("random", 2022)


@pytest.fixture
def people(study):
    return clean_responses(read_responses(study), study).respondents


def alike(one, other):
    pd.testing.assert_frame_equal(one, other, rtol=1e-9, atol=1e-9)


def test_order_of_rows_changes_no_figure(study, people):
    shuffled = people.sample(frac=1, random_state=1).reset_index(drop=True)
    alike(figures(study, shuffled), figures(study, people))


def test_everybody_twice_changes_bases_and_no_share(study, people):
    once, twice = (figures(study, table) for table in (people, pd.concat([people, people])))
    counts = ["n_unweighted", "n_cell"]
    is_share = once.index.get_level_values("measure") == "percent"
    alike(twice.loc[is_share, counts], 2 * once.loc[is_share, counts])
    alike(twice.loc[is_share, ["estimate"]], once.loc[is_share, ["estimate"]])


def changed(small, folder, monkeypatch, change):
    """Return a study whose study.yaml, codebook.csv and answers have gone through a change."""
    monkeypatch.setenv("TSUNAGARI_ROOT", str(folder))
    source, target = small / "data/raw/random", folder / "data/raw/random"
    for path in source.rglob("*"):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(change(path.name, path.read_text(encoding="utf-8")), encoding="utf-8")
    return open_study("random", 2022)


def test_the_populations_unit_changes_no_figure(small, study, tmp_path, monkeypatch):
    before = figures(study)
    thousands = changed(
        small,
        tmp_path,
        monkeypatch,
        lambda name, text: text.replace(",1000,", ",1,") if name == "population.csv" else text,
    )
    alike(figures(thousands), before)


def renamed(table, names):
    """Return figures with the codes of q renamed wherever they stand."""
    frame = table.reset_index()
    for name, value in (("domain", "domain_value"), ("item", "item_value")):
        own = [
            " x ".join(names.get(v, v) if n == "q" else v for n, v in zip(ns, vs, strict=True))
            for ns, vs in zip(
                frame[name].str.split(" x "), frame[value].str.split(" x "), strict=True
            )
            if len(ns) == len(vs)
        ]
        frame[value] = own if len(own) == len(frame) else frame[value]
    return frame.set_index(KEYS)[FIGURES].sort_index()


def test_names_of_codes_change_no_figure(small, study, tmp_path, monkeypatch):
    before = figures(study)
    names = {code: f"9{code}" for code in study.items["q"].options}

    def rename(name, text):
        if name == "responses.csv":
            table = pd.read_csv(pd.io.common.StringIO(text), dtype=str, keep_default_na=False)
            return table.assign(q=table["q"].replace(names)).to_csv(index=False)
        if name == "codebook.csv":
            lines = list(csv.DictReader(text.splitlines()))
            for line in lines:
                line["code"] = names[line["code"]] if line["item"] == "q" else line["code"]
                line["ask_if"] = re.sub(r"\d+", lambda m: names[m[0]], line["ask_if"])
            return pd.DataFrame(lines).to_csv(index=False)
        if name == "study.yaml":
            told = yaml.safe_load(text)
            for net in told["recode"]["q"]:
                net["of"] = [names[code] for code in net["of"]]
            for indicator in told["indicators"].values():
                if indicator["item"] == "q":
                    indicator["codes"] = [names[code] for code in indicator["codes"]]
            return yaml.safe_dump(told, allow_unicode=True)
        return text

    after = figures(changed(small, tmp_path, monkeypatch, rename))
    is_joint = [" x " in item for item in before.index.get_level_values("item")]
    alike(after[~np.array(is_joint)], renamed(before[~np.array(is_joint)], names))


def test_a_code_that_nobody_chose_changes_no_other_figure(small, study, tmp_path, monkeypatch):
    before = figures(study)

    def add(name, text):
        if name != "codebook.csv":
            return text
        lines = list(csv.DictReader(text.splitlines()))
        last = max(place for place, line in enumerate(lines) if line["item"] == "q")
        lines.insert(last + 1, lines[last] | {"code": "77", "code_label": "だれもいない"})
        return pd.DataFrame(lines).to_csv(index=False)

    after = figures(changed(small, tmp_path, monkeypatch, add))
    alike(after.reindex(before.index), before)
    new = after.drop(before.index)
    assert (new["n_cell"] == 0).all()
    assert (new["estimate"].xs("percent", level="measure") == 0).all()


def test_margins_and_nets_add_up(study, people):
    table = figures(study, people)["n_cell"].xs("percent", level="measure").reset_index()
    q = table[table["item"] == "q"].drop_duplicates(["domain", "domain_value", "item_value"])
    wide = q.set_index(["domain", "domain_value", "item_value"])["n_cell"].unstack()  # noqa: PD010
    for net, (_, codes) in study.items["q"].nets.items():
        np.testing.assert_array_equal(wide[net], wide[list(codes)].sum(axis=1))
    np.testing.assert_array_equal(wide.loc["region"].sum(), wide.loc[("all", "all")])


# --- waves and nation -----------------------------------------------------------------------------

answers = st.lists(st.sampled_from("12-"), min_size=12, max_size=40)


def side(values, wave):
    codes = np.array(values)
    columns = {code: np.where(codes == "-", np.nan, codes == code) for code in "12"}
    return WaveSide(wave=wave, indicators=pd.DataFrame(columns, dtype=float))


def design_of(n, scale=1.0):
    return Design(weights=scale * (1.0 + np.arange(n) % 3))


def gaps(now, before, *, scale=1.0):
    rows = waves.compare_waves(
        design_of(len(now), scale),
        design_of(len(before), scale),
        now=side(now, 2023),
        before=side(before, 2022),
        item="q",
    )
    return rows[rows["measure"] == "difference_points"].set_index("item_value")


def both(values):
    return len({v for v in values if v != "-"}) == 2


@settings(max_examples=15)
@given(answers.filter(both), answers.filter(both))
def test_a_change_is_minus_the_change_back(now, before):
    there, back = gaps(now, before), gaps(before, now)
    for name, sign in {"estimate": -1, "std_error": 1, "p_value": 1, "df": 1}.items():
        np.testing.assert_allclose(there[name], sign * back[name], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(there["lower"], -back["upper"], rtol=1e-9, atol=1e-9)


@settings(max_examples=15)
@given(answers.filter(both), answers.filter(both))
def test_weights_in_thousands_and_the_other_answer_change_no_change(now, before):
    one, thousands = gaps(now, before), gaps(now, before, scale=1000.0)
    np.testing.assert_allclose(thousands["estimate"], one["estimate"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(thousands["std_error"], one["std_error"], rtol=1e-9, atol=1e-9)
    # Two answers: what one gains the other loses.
    np.testing.assert_allclose(one.loc["1", "estimate"], -one.loc["2", "estimate"], atol=1e-9)


PUBLISHED = {"year": 2022, "item": "q", "item_value": "1", "domain": "age", "n": 900}
PUBLISHED |= {"base": "asked", "source": "a report", "certainty": "official"}


def against(values, percent, *, more=()):
    ages = np.where(np.arange(len(values)) % 2, "old", "young")
    benchmark = [PUBLISHED | {"domain_value": age, "percent": percent} for age in ("young", "old")]
    rows = comparison.compare_with_benchmark(
        design_of(len(values)),
        side(values, 2022).indicators,
        benchmark=pd.DataFrame([*more, *benchmark]),
        item="q",
        year=2022,
        age=pd.Series(ages, name="age"),
        wave=2022,
    )
    own = rows[rows["domain"] == "age"].set_index(["measure", "domain_value", "item_value"])
    return own["estimate"].astype(float).sort_index()


@settings(max_examples=15)
@given(answers.filter(lambda v: both(v[::2]) and both(v[1::2])), st.integers(10, 60))
def test_a_gap_is_ours_less_theirs_and_knows_no_other_rows(values, percent):
    found = against(values, float(percent))
    gap, ours = found["difference_points"], found["percent"]
    np.testing.assert_allclose(gap, ours.loc[gap.index] - percent, atol=1e-9)
    shifted = against(values, percent + 5.0)["difference_points"]
    np.testing.assert_allclose(shifted, gap - 5, atol=1e-9)
    other = PUBLISHED | {"domain_value": "young", "percent": 99.0}
    strangers = [other | {"year": 2021}, other | {"item": "r"}]
    pd.testing.assert_series_equal(against(values, float(percent), more=strangers), found)


# --- codes ----------------------------------------------------------------------------------------

CODES = {"1": "1", "2": "2", "10": "10"}
texts = st.text(max_size=8) | st.sampled_from(["１", " 2", "10.0", "１０", "​1", '="1"', "ｶ"])


@settings(max_examples=100)
@given(texts)
def test_tidying_twice_is_tidying_once(text):
    assert tidy_cell(tidy_cell(text)) == tidy_cell(text)


@settings(max_examples=100)
@given(texts)
def test_a_code_is_known_or_there_is_a_reason_and_a_repair_needs_none(text):
    found = judge_code(text, codes=CODES, labels={})
    assert found.value is None or found.value in CODES.values()
    assert not (found.value and found.reason)
    assert found.value or found.reason or tidy_cell(text) == ""
    if found.value:
        again = judge_code(found.value, codes=CODES, labels={})
        assert (again.value, again.rule) == (found.value, "")


@settings(max_examples=50)
@given(st.integers(-50, 500))
def test_a_number_is_itself_in_every_width_and_within_its_range(number):
    wide = unicodedata.normalize("NFKC", str(number)).translate(
        {ord(digit): ord("０") + int(digit) for digit in "0123456789"}
    )
    plain, full = (judge_number(text, lowest=0.0, highest=110.0) for text in (str(number), wide))
    assert plain.value == full.value
    assert plain.value == (number if 0 <= number <= 110 else None)


def test_order_of_the_file_changes_neither_people_nor_ledger(study, small, tmp_path, monkeypatch):
    def turn(name, text):
        if name != "responses.csv":
            return text
        head, *lines = text.splitlines()
        return "\n".join([head, *lines[::-1]]) + "\n"

    before = clean_responses(read_responses(study), study)
    other = changed(small, tmp_path, monkeypatch, turn)
    after = clean_responses(read_responses(other), other)
    tables_of = (
        result.respondents.drop(columns="file_row").set_index("respondent_id").sort_index()
        for result in (before, after)
    )
    pd.testing.assert_frame_equal(*tables_of)
    pd.testing.assert_frame_equal(before.ledger, after.ledger)


# --- merging --------------------------------------------------------------------------------------

NETS = {"x": [("bc", "BかC", ["b", "c"]), ("bcd", "B以下", ["b", "c", "d"])]}
levels = st.lists(
    st.tuples(st.sampled_from("abcd"), st.booleans()), min_size=60, max_size=160
).filter(lambda rows: 12 <= sum(event for _, event in rows) <= len(rows) - 12)


def merge(rows, *, names=None, nets=None):
    level, event = zip(*rows, strict=True)
    table = pd.DataFrame({"x": [(names or {}).get(code, code) for code in level]}, dtype=object)
    return merging.merge_levels(table, np.array(event, dtype=float), nets=nets or NETS)


@settings(max_examples=40)
@given(levels, st.randoms(use_true_random=False))
def test_merging_keeps_everybody_in_a_level_that_holds_them(rows, chance):
    merged = merge(rows)
    if "x" not in merged.factors:
        return  # one level would be left: the factor is dropped, its people stay
    held = {"bc": "bc", "bcd": "bcd"} | dict(zip("abcd", "abcd", strict=True))
    for (code, _), level in zip(rows, merged.factors["x"].fillna(""), strict=True):
        assert level == "" or code in held[level]
    # No level holds a part of another.
    kept = [set(held[level]) for level in set(merged.factors["x"].dropna()) - {""}]
    assert sum(map(len, kept)) == len(set().union(*kept))
    turned = list(rows)
    chance.shuffle(turned)
    again = merge(turned)
    pd.testing.assert_frame_equal(again.log, merged.log)


@settings(max_examples=25)
@given(levels)
def test_names_of_levels_and_a_level_of_nobody_change_no_merging(rows):
    names = dict(zip("abcd", "stuv", strict=True))
    nets = {"x": [("bc", "BかC", ["t", "u"]), ("bcd", "B以下", ["t", "u", "v"])]}
    columns = ["item", "item_value", "estimate"]
    before = merge(rows).log
    after = merge(rows, names=names, nets=nets).log
    assert after[columns].replace(dict(zip("stuv", "abcd", strict=True))).equals(before[columns])
    wider = {"x": [*NETS["x"], ("ef", "EかF", ["e", "f"])]}
    pd.testing.assert_frame_equal(merge(rows, nets=wider).log, merge(rows).log)


@settings(max_examples=60)
@given(st.lists(st.integers(20, 40), min_size=5, max_size=5), st.integers(0, 2**16))
def test_thin_categories_of_an_axis_merge_to_nets_that_reach_the_limit(sizes, seed):
    study, codes = random_axis(), [c for c, n in zip("12345", sizes, strict=True) for _ in range(n)]
    people = pd.DataFrame({"q": codes})
    (frame,) = tables.domain_frames(study, people, axis=["q"])
    values, counts = frame["q"], frame["q"].value_counts()
    nets = {net: of for net, (_, of) in study.items["q"].nets.items()}
    for code, value in zip(codes, values, strict=True):
        assert value == code or code in nets[value]
    is_one_net = any(set(codes) <= set(of) for of in nets.values())  # one category would be left
    for value, count in counts[counts < 30].items():
        reaching = [of for of in nets.values() if people["q"].isin(of).sum() >= 30]
        assert is_one_net or not any(value in of for of in reaching), (value, count)
    merged = [nets[value] for value in counts.index if value in nets]
    assert all(people["q"].value_counts()[list(of)].min() < 30 for of in merged)
    order = np.random.default_rng(seed).permutation(len(codes))
    (other,) = tables.domain_frames(study, people.iloc[order], axis=["q"])
    assert other["q"].tolist() == values.iloc[order].tolist()


def random_axis():
    nets = {"low": ("低", ("1", "2")), "high": ("高", ("4", "5")), "most": ("多", ("3", "4", "5"))}
    item = SimpleNamespace(options=dict.fromkeys("12345", ""), nets=nets)
    config = SimpleNamespace(
        weighting=SimpleNamespace(sample_share={}),
        disclosure=SimpleNamespace(base_reference=30, threshold=10),
        design=SimpleNamespace(age_band="age_band"),
        tables=SimpleNamespace(axis_nets={}),
    )
    return SimpleNamespace(items={"q": item}, config=config)
