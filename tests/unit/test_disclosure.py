"""The gate: what is hidden, what is rounded, what a report may know."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, milp

from tsunagari import estimates
from tsunagari.errors import DisclosureError
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.gate import checks, hiding, questionnaire, rounding, suppression
from tsunagari.gate.linked import link_tables
from tsunagari.gate.primary import find_primary
from tsunagari.gate.questionnaire import Questionnaire
from tsunagari.study.settings import Disclosure
from tsunagari.study.survey import open_study


def percents(counts, *, base, table_id="gt_health", item="health", domain="all", value="all"):
    """One percent row for every count of a base, unweighted."""
    rows = [
        {
            "wave": "2022", "table_id": table_id, "measure": "percent", "unit": "percent",
            "domain": domain, "domain_value": value, "item": item, "item_value": code,
            "item_label": code, "estimate": 100 * count / base, "std_error": 1.0, "lower": 0.0,
            "upper": 100.0, "df": 100.0, "p_value": 0.04, "p_adjusted": 0.05,
            "n_unweighted": base, "n_effective": base, "weighting": "equal", "mark": "▲",
            "verdict": "高い", "n_cell": count,
        }
        for code, count in counts.items()
    ]  # fmt: skip
    return estimates.conform(pd.DataFrame(rows))


def ledger(counts):
    rows = [
        {"table_id": "ledger", "measure": "count", "unit": "rows", "domain": "all",
         "domain_value": "all", "item": "outcome", "item_value": value, "estimate": float(count)}
        for value, count in counts.items()
    ]  # fmt: skip
    return estimates.conform(pd.DataFrame(rows))


def hidden_values(table):
    return set(table.loc[table["status"] == "suppressed", "item_value"])


def test_a_hidden_row_keeps_its_keys_and_loses_every_number_mark_and_verdict():
    table = suppression.suppress(percents({"1": 3, "2": 6}, base=9), settings=Disclosure())
    row = table.iloc[0]
    assert row["reason"] == "HIDDEN" and row["status"] == "suppressed"
    assert (row["item"], row["item_value"], row["domain_value"]) == ("health", "1", "all")
    assert table[estimates.HIDDEN_COLUMNS].isna().to_numpy().all()


@pytest.mark.parametrize(
    ("base", "status"),
    [(10, "reference"), (29, "reference"), (30, "low_base"), (49, "low_base"), (50, "published")],
)
def test_status_says_how_small_the_base_is(base, status):
    table = suppression.suppress(percents({"1": base}, base=base), settings=Disclosure())
    assert table["status"].tolist() == [status]


def test_ledger_hides_few_rows_and_a_second_reason_beside_them():
    # 2100 = 2000 + 100 and 100 = 4 + 36 + 60: 4 alone would come back as 100 - 36 - 60.
    rows = ledger({"read": 2100, "analysed": 2000, "quarantined": 100, "A": 4, "B": 36, "C": 60})
    assert hidden_values(hiding.hide_ledger(rows, threshold=10)) == {"A", "B"}


def test_ledger_hides_the_totals_where_only_few_rows_were_quarantined():
    # 2006 - 2000 = 6 = the only reason.
    rows = ledger({"read": 2006, "analysed": 2000, "quarantined": 6, "A": 6})
    assert hidden_values(hiding.hide_ledger(rows, threshold=10)) == {"read", "quarantined", "A"}


def test_ledger_shows_a_zero_and_large_counts():
    rows = ledger({"read": 2050, "analysed": 2000, "quarantined": 50, "A": 0, "B": 50})
    assert hidden_values(hiding.hide_ledger(rows, threshold=10)) == set()


def test_percents_of_a_base_under_200_are_whole_and_half_rounds_up():
    # 25 of 200 = 12.5 keeps its decimal; 20 of 160 = 12.5 becomes 13 (numpy would say 12).
    table = pd.concat([percents({"1": 25}, base=200), percents({"1": 20}, base=160)])
    assert rounding.round_published(table)["estimate"].tolist() == [12.5, 13.0]


def test_a_difference_has_no_more_digits_than_the_shares_it_is_of():
    # Of 150 people a share is whole, so 12.25 and -2.25 become 12 and -2; of three variables too.
    one = percents({"1": 18.375}, base=150)
    gap = one.assign(measure="difference_points", unit="points", estimate=-2.25)
    large = gap.assign(n_unweighted=300.0)
    nested = large.assign(domain="age x sex", domain_value="1 x 2")
    effect = gap.assign(measure="marginal_effect_points", table_id="model_lonely")
    rounded = rounding.round_published(pd.concat([one, gap, large, nested, effect]))
    assert rounded["estimate"].tolist() == [12, -2, -2.3, -2, -2.3]


def test_other_measures_have_their_own_digits():
    rows = pd.DataFrame(
        {
            "measure": ["odds_ratio", "difference_points", "mean", "total", "total"],
            "unit": ["ratio", "points", "score", "persons", "persons"],
            "estimate": [1.005, -2.25, 5.125, 86_499.0, 8_651.0],
            "p_value": [0.00001, 0.0495, np.nan, np.nan, np.nan],
            "n_cell": 50.0,
        }
    )
    rounded = rounding.round_published(rows)
    assert rounded["estimate"].tolist() == [1.01, -2.3, 5.13, 86_000, 8_700]
    assert rounded["p_value"].tolist()[:2] == [0.001, 0.05]
    assert rounded["n_cell"].isna().all()


def test_published_texts_are_clean_and_no_longer_than_a_page_shows_them():
    # What the page strips or cuts must be gone here: the attack compares the page with these.
    labels = ["5\u200b人以上", "長" * 600, np.nan]
    table = percents({"1": 50, "2": 50, "3": 50}, base=150).assign(item_label=labels)
    kept = rounding.round_published(table)["item_label"]
    # 500 characters, the note on what is cut (7) among them
    assert kept.tolist()[:2] == ["5人以上", "長" * 493 + "…（以下省略）"]
    assert pd.isna(kept.iloc[2])


def test_the_gate_keeps_rows_order_and_columns_and_leaves_its_input_alone():
    before = percents({"1": 3, "2": 50}, base=53)
    kept = before.copy()
    after = suppression.suppress(before, settings=Disclosure())
    pd.testing.assert_frame_equal(before, kept)
    assert list(after.columns) == list(ESTIMATE_COLUMNS)
    assert after["item_value"].tolist() == ["1", "2"]


# --- the full gate --------------------------------------------------------------------------------

GROUP_OF = {"1": "low", "2": "low", "3": "high", "4": "high"}
CODES = {"region": "123", "age": "1234", "sex": "12", "q": "1234", "job": "123"}


def random_survey(seed, *, n=400):
    rng = np.random.default_rng(seed)
    people = {name: rng.choice(list(codes), n) for name, codes in CODES.items()}
    skew = np.array([0.6, 0.25, 0.1, 0.05])
    people["q"] = rng.choice(list("1234"), n, p=skew)
    return pd.DataFrame(people)


def cross(people, item, *axes):
    """Every percent row of one table."""
    groups = people.groupby(list(axes)) if axes else [((), people)]
    rows = []
    for values, group in groups:
        counts = {code: int((group[item] == code).sum()) for code in CODES[item]}
        rows.append(
            percents(
                counts,
                base=len(group),
                item=item,
                table_id="_x_".join(axes) + "__" + item,
                domain=" x ".join(axes) or "all",
                value=" x ".join(values) or "all",
            )
        )
    return pd.concat(rows, ignore_index=True)


def linked_tables(people):
    plan = [(), ("region",), ("age",), ("sex",), ("age", "sex"), ("job",)]
    tables = [cross(people, "q", *axes) for axes in plan]
    tables += [cross(people, "job"), cross(people, "job", "q"), cross(people, "job", "region")]
    # Two merged groups of ages within a sex, and two questions jointly.
    groups = people.assign(group=people["age"].map(GROUP_OF))
    tables.append(cross(groups, "q", "group", "sex"))
    both = (people["q"] + " x " + people["sex"]).value_counts()
    pairs = itertools.product(CODES["q"], CODES["sex"])
    counts = {" x ".join(pair): int(both.get(" x ".join(pair), 0)) for pair in pairs}
    tables.append(percents(counts, base=len(people), item="q x sex", table_id="joint_q_x_sex"))
    return pd.concat(tables, ignore_index=True)


def joint_bounds(people, before, after):
    """Bound each hidden count over the whole joint table: slower, and nothing of the gate in it."""
    names = ["region", "age", "sex", "job", "q"]
    joint = people.groupby(names).size()
    grid = pd.MultiIndex.from_product([list(CODES[name]) for name in names], names=names)
    cells = grid.to_frame(index=False)

    cells["group"] = cells["age"].map(GROUP_OF)

    def holds(names, values):
        pairs = zip(names.split(" x "), values.split(" x "), strict=True)
        return np.all([cells[name] == value for name, value in pairs], axis=0)

    def mask(row, *, with_item):
        everybody = np.ones(len(cells), dtype=bool)
        hit = everybody if row["domain"] == "all" else holds(row["domain"], row["domain_value"])
        return hit & holds(row["item"], row["item_value"]) if with_item else hit

    facts, totals, hidden = [np.ones(len(cells))], [len(people)], []
    is_hidden = after["status"].eq("suppressed").tolist()
    for (_, row), is_gone in zip(before.iterrows(), is_hidden, strict=True):
        if is_gone:
            hidden.append((row, mask(row, with_item=True)))
            continue
        facts += [mask(row, with_item=True), mask(row, with_item=False)]
        totals += [row["n_cell"], row["n_unweighted"]]
    facts, keep = np.unique(np.array(facts, dtype=float), axis=0, return_index=True)
    limits = LinearConstraint(facts, np.array(totals)[keep], np.array(totals)[keep])
    assert len(joint) <= len(cells)
    for row, cell in hidden:
        ends = [
            sign * milp(sign * cell.astype(float), constraints=limits, integrality=1).fun
            for sign in (1, -1)
        ]
        yield row, round(ends[0]), round(ends[1])


QUESTIONNAIRE = Questionnaire(
    areas=frozenset({"region"}),
    nets={"age": {"low": ("1", "2"), "high": ("3", "4")}},
    classes={("group", name): ("age", name) for name in ("low", "high")},
)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_small_cell_can_be_told_from_the_joint_table_of_all_that_is_shown(seed):
    people = random_survey(seed)
    before = linked_tables(people)
    after = suppression.suppress(before, settings=Disclosure(), questionnaire=QUESTIONNAIRE)
    primary = 0
    for row, low, high in joint_bounds(people, before, after):
        names = {*row["domain"].split(" x "), *row["item"].split(" x ")} - {"all"}
        k = 10 if "region" in names or len(names) > 2 else 5
        assert low < high, "a hidden cell is told exactly"
        if row["n_cell"] < k:
            primary += 1
            assert low <= 1 and high >= k - 1
    assert primary > 0


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=12, max_size=12))
def test_no_hidden_cell_is_the_total_less_the_others(counts):
    # A 3 x 4 table with both margins: in no line is exactly one cell hidden.
    people = pd.DataFrame(
        [
            {"region": region, "q": answer}
            for (region, answer), count in zip(
                itertools.product("123", "1234"), counts, strict=True
            )
            for _ in range(count + 1)
        ]
    )
    before = pd.concat([cross(people, "q"), cross(people, "q", "region")], ignore_index=True)
    after = suppression.suppress(before, settings=Disclosure(), questionnaire=QUESTIONNAIRE)
    gone = (after["status"] == "suppressed").to_numpy()
    for line in (["item_value"], ["domain", "domain_value"]):
        hidden = pd.Series(gone).groupby([before[name] for name in line]).sum()
        assert (hidden != 1).all()


def test_one_small_cell_takes_a_second_in_its_row_and_in_its_column():
    # Row 1: 3 of 100 is small. Its row hides a second cell, and so do both columns, or the
    # margins give 3 back: 4 cells of the square are hidden, no more.
    rows = {"1": (3, 97), "2": (50, 50), "3": (60, 40)}
    parts = [percents({"1": 113, "2": 187}, base=300, item="q")]
    parts += [
        percents({"1": a, "2": b}, base=100, item="q", domain="region", value=region)
        for region, (a, b) in rows.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    after = suppression.suppress(table, settings=Disclosure(), questionnaire=QUESTIONNAIRE)
    gone = after[after["status"] == "suppressed"]
    assert len(gone) == 4 and (gone["domain_value"] == "1").sum() == 2
    assert set(gone["reason"]) == {"HIDDEN"}, "the reason does not say which cell is the small one"


@pytest.mark.parametrize("order", [("1", "2", "3"), ("3", "2", "1")])
def test_the_second_cell_is_of_a_small_group_and_not_of_a_large_one(order):
    # Groups 2 and 3 have the same shares; the nine hundred of 2 stay to be read.
    groups = {"1": (3, 47, 50), "2": (300, 300, 300), "3": (50, 50, 50)}
    total = dict(zip("123", map(sum, zip(*groups.values(), strict=True)), strict=True))
    parts = [percents(total, base=1150, item="q")]
    parts += [
        percents(dict(zip("123", groups[g], strict=True)), base=sum(groups[g]), item="q",
                 table_id="cross_job__q", domain="job", value=g)
        for g in order
    ]  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    after = suppression.suppress(table, settings=Disclosure(), questionnaire=QUESTIONNAIRE)
    gone = after[after["status"] == "suppressed"]
    assert set(gone["domain_value"]) == {"1", "3"} and len(gone) == 4


def test_threshold_is_five_for_two_variables_of_the_whole_prefecture_and_ten_below_it():
    table = pd.concat(
        [
            cross(random_survey(1), "q", "sex").assign(n_cell=7.0),
            cross(random_survey(1), "q", "region").assign(n_cell=7.0),
        ],
        ignore_index=True,
    )
    linked = link_tables(table, questionnaire=QUESTIONNAIRE)
    primary, _ = find_primary(linked, settings=Disclosure(), questionnaire=QUESTIONNAIRE)
    names = {name for node in primary for name, _ in linked.keys[node]}
    assert names == {"region", "q"}


def test_a_difference_and_a_total_of_a_hidden_cell_are_hidden_with_it():
    table = percents({"1": 3, "2": 297}, base=300, item="q", domain="region", value="1")
    extra = table.head(1).assign(measure="difference_points", unit="points", n_cell=np.nan)
    total = table.head(1).assign(measure="total", unit="persons", n_cell=np.nan)
    both = pd.concat([table, extra, total], ignore_index=True)
    after = suppression.suppress(both, settings=Disclosure(), questionnaire=QUESTIONNAIRE)
    assert after["status"].tolist() == ["suppressed"] * 4
    assert after["estimate"].isna().all()


@pytest.mark.parametrize(
    "classes", [{}, {("sex", "1"): ("gender", "a"), ("sex", "2"): ("gender", "b")}]
)
def test_the_gap_of_a_shown_category_does_not_give_its_hidden_neighbour_back(classes):
    # Of men 3 of 300 are hidden, and with them women; a third, q = 2, hides nothing.
    parts = [percents({"1": 53, "2": 200}, base=600, item="q", table_id="gt_q")]
    for sex, count in (("1", 3), ("2", 50)):
        cells = percents({"1": count, "2": 100}, base=300, item="q", domain="sex", value=sex)
        gaps = cells.assign(measure="difference_points", unit="points", n_cell=np.nan)
        parts += [cells.assign(table_id="cross_sex__q"), gaps.assign(table_id="cross_sex__q")]
    test = (
        parts[0]
        .head(1)
        .assign(table_id="cross_sex__q", measure="rao_scott_f", item_value="", n_cell=np.nan)
    )
    table = pd.concat([*parts, test], ignore_index=True)
    known = Questionnaire(classes=classes)  # a merged axis is named after its source
    after = suppression.suppress(table, settings=Disclosure(), questionnaire=known)
    gap = after[after["measure"] == "difference_points"].set_index(["domain_value", "item_value"])
    assert gap.loc[[("1", "1"), ("2", "1")], "status"].eq("suppressed").all()
    assert gap.loc[[("1", "2"), ("2", "2")], "status"].eq("published").all()
    assert after["status"].iloc[-1] == "suppressed", "F tells which of few counts fit"


@pytest.mark.parametrize("table_id", ["cross_sex__q", "headline"])
@pytest.mark.parametrize(
    ("outside", "missing", "is_shown"),
    [
        (("no_answer",), ("no_answer",), True),  # everybody else: no more than the total says
        (("3", "no_answer"), ("no_answer",), False),  # the other sex alone: 3 men, exactly
    ],
)
def test_a_gap_stays_beside_a_hidden_cell_unless_it_is_to_that_cell(
    table_id, outside, missing, is_shown
):
    # 3 of 300 men are hidden; 20 people of no sex leave the men open beside 50 of 300 women.
    known = Questionnaire(
        outside={"sex": outside}, missing={"sex": missing}, codes={"sex": ("1", "2", "3")}
    )
    parts = [percents({"1": 60}, base=620, item="q", table_id="gt_q")]
    for sex, count in (("1", 3), ("2", 50)):
        cell = percents({"1": count}, base=300, item="q", domain="sex", value=sex)
        gap = cell.assign(measure="difference_points", unit="points")
        parts += [cell.assign(table_id=table_id), gap.assign(table_id=table_id)]
    table = pd.concat(parts, ignore_index=True)
    after = suppression.suppress(table, settings=Disclosure(), questionnaire=known)
    status = after.set_index(["measure", "domain_value"])["status"]
    assert status["percent", "2"] == "published"
    assert status["percent", "1"] == status["difference_points", "1"] == "suppressed"
    assert (status["difference_points", "2"] == "published") == is_shown


def test_a_gap_to_everybody_else_goes_with_a_hidden_total():
    known = Questionnaire(sensitive=frozenset({"q"}))
    cell = percents({"1": 60}, base=60, item="q", domain="age", value="1", table_id="cross_age__q")
    table = pd.concat(
        [
            percents({"1": 9}, base=100, item="q"),
            cell.assign(n_cell=30.0),
            cell.assign(measure="difference_points", unit="points", n_cell=30.0),
        ],
        ignore_index=True,
    )
    after = suppression.suppress(table, settings=Disclosure(), questionnaire=known)
    assert after["status"].tolist() == ["suppressed", "published", "suppressed"]


def test_people_of_a_level_that_a_model_leaves_out_are_not_counted_with_others():
    # 4 of a third sex are left out of the model; 59 of 1,048 gave no answer, 985 are in it.
    def row(table, measure, item, value, n):
        one = percents({value: n}, base=985.0, item=item, table_id=table)
        cell = np.nan if measure == "odds_ratio" else float(n)
        return one.assign(measure=measure, estimate=float(n), n_unweighted=n, n_cell=cell)

    merges = row("model_merges", "count", "sex", "3", 4).assign(
        domain="outcome", domain_value="lonely"
    )
    rows = [
        merges,
        row("model_lonely", "count", "model", "listwise_deletion", 59),
        row("model_lonely", "count", "model", "n", 985),
        row("model_lonely__sensitivity", "odds_ratio", "sex", "1", 517),
        row("model_lonely__sensitivity", "odds_ratio", "age", "1", 300),
    ]
    after = suppression.suppress(pd.concat(rows, ignore_index=True), settings=Disclosure())
    hidden = after["status"].eq("suppressed").tolist()
    assert hidden == [True, True, False, True, False]


def test_a_hidden_share_is_hidden_under_every_weighting():
    table = percents({"1": 3, "2": 297}, base=300, item="q")
    other = table.head(1).assign(table_id="weights_sensitivity", weighting="raking")
    after = suppression.suppress(
        pd.concat([table, other], ignore_index=True), settings=Disclosure()
    )
    assert after["status"].tolist() == ["suppressed"] * 3


def test_what_the_questionnaire_of_ehime_says_of_its_tables():
    known = questionnaire.read_questionnaire(open_study("ehime", 2022))
    lonely = tuple(("lonely_direct", code) for code in "345")
    assert known.asked_if["lonely_duration"] == (lonely,)
    assert known.classes["age_group", "16-29"] == ("age_band", "under30")
    assert known.classes["job_group", "regular"] == ("job", "1")
    assert known.classes["is_isolated", "isolated"] == ("contact_face", "rarely")
    assert known.outside["sex"] == ("3", "no_answer", "no_answer")
    assert known.indicators["lonely_often"] == ("lonely_direct", ("5",))


def test_conditions_on_options_and_of_merged_variables():
    # why is asked of those with q 1 or 2 and event 3; not of those without event 4 (not said)
    columns = pd.DataFrame(
        {
            "item": ["q", "event", "event", "why"],
            "type": ["SA", "MA", "MA", "SA"],
            "ask_if": ["", "", "", "q=1|2 & event_3=1 & event_4=0"],
        },
        index=["q", "event_3", "event_4", "why"],
    )
    codes = pd.DataFrame(
        [("q", "q", "1"), ("q", "q", "2"), ("event_3", "event", "3"), ("event_4", "event", "4")],
        columns=["variable", "item", "code"],
    )
    merged = SimpleNamespace(recode_of="why", bands_of=None)
    study = SimpleNamespace(
        codebook=SimpleNamespace(columns=columns, codes=codes),
        config=SimpleNamespace(derive={"why_group": merged}),
    )
    expected = ((("q", "1"), ("q", "2")), (("event=3", "1"),))
    assert questionnaire._asked_if(study) == {"why": expected, "why_group": expected}


@pytest.mark.parametrize("is_known", [True, False])
def test_a_filtered_question_does_not_give_away_how_many_were_led_to_it(is_known):
    # q = 2 (4 people) and q = 4 lead to why: with 50 and the base of 54 shown, 4 would come back.
    asked = {"why": ((("q", "2"), ("q", "4")),)} if is_known else {}
    table = pd.concat(
        [
            percents({"1": 200, "2": 4, "3": 46, "4": 50}, base=300, item="q"),
            percents({"1": 34, "2": 20}, base=54, item="why"),
        ],
        ignore_index=True,
    )
    questionnaire = Questionnaire(asked_if=asked)
    after = suppression.suppress(table, settings=Disclosure(), questionnaire=questionnaire)
    shown = after[after["status"] != "suppressed"]
    is_told = {"why"} <= set(shown["item"]) and "4" in set(shown["item_value"])
    assert is_told == (not is_known)


def test_few_who_did_not_choose_an_option_are_as_few_as_few_who_did():
    multiple = Questionnaire(multiple=frozenset({"event"}))
    table = percents({"1": 297, "2": 100}, base=300, item="event")
    after = suppression.suppress(table, settings=Disclosure(), questionnaire=multiple)
    assert hidden_values(after) == {"1"}


def test_a_sensitive_group_of_one_mind_is_hidden():
    sensitive = Questionnaire(sensitive=frozenset({"debt"}))
    table = percents({"1": 60}, base=60, item="debt", domain="age", value="1")
    after = suppression.suppress(table, settings=Disclosure(), questionnaire=sensitive)
    assert after["status"].tolist() == ["suppressed"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"measure": "maximum"}, "EXTREME"),
        ({"n_cell": np.nan}, "NO_COUNT"),
        ({"n_cell": np.nan, "source": "a table of ours"}, "NO_COUNT"),  # whatever a notebook says
        ({"table_id": "model_lonely"}, "NO_COUNT"),  # no table is one system with these
        ({"table_id": "ledger"}, "NO_COUNT"),
        ({"measure": "odds_ratio", "table_id": "model_lonely", "n_unweighted": 9.0}, "MODEL_LEVEL"),
        ({"measure": "odds_ratio", "table_id": "model_lonely", "n_cell": 4.0}, "MODEL_LEVEL"),
    ],
)
def test_figures_that_no_hiding_makes_safe_are_refused(change, code):
    table = percents({"1": 50}, base=100).assign(**change)
    with pytest.raises(DisclosureError) as caught:
        suppression.suppress(table, settings=Disclosure())
    assert caught.value.code == code and caught.value.exit_code == 3


def test_a_model_with_few_degrees_of_freedom_is_not_shown():
    table = percents({"1": 50}, base=100, table_id="model_lonely")
    table = table.assign(measure="odds_ratio", df=99.0)
    assert suppression.suppress(table, settings=Disclosure())["status"].tolist() == ["suppressed"]


def test_overlapping_bands_of_one_number_are_refused_and_nested_ones_are_not():
    spans = {("age", "band"): {"65+": (65, np.inf)}, ("age", "other"): {"60-69": (60, 69)}}
    rows = [
        cross(random_survey(1), "q", "age").assign(domain="band"),
        cross(random_survey(1), "q", "age").assign(domain="other"),
    ]
    overlapping = Questionnaire(bands=spans)
    with pytest.raises(DisclosureError, match="DIFFERENCING"):
        checks.check_bands(pd.concat(rows), questionnaire=overlapping)
    spans[("age", "other")] = {"65-69": (65, 69)}
    checks.check_bands(pd.concat(rows), questionnaire=Questionnaire(bands=spans))


def test_of_two_means_of_one_axis_not_only_the_small_one_is_hidden():
    table = pd.concat([percents({"": 9}, base=n, domain="job", value=str(n)) for n in (9, 50, 90)])
    means = table.assign(measure="mean", unit="score", n_cell=np.nan).reset_index(drop=True)
    after = suppression.suppress(means, settings=Disclosure())
    assert after["status"].tolist() == ["suppressed", "suppressed", "published"]


def test_a_merged_axis_is_one_system_with_its_source():
    # Young 3 and old 27 of "yes" (3 is under 5), middle 20; the merged group "low" holds young and
    # middle together, 23. With low and middle shown, young would be 23 - 20 = 3.
    def row(domain, value, n_cell, base):
        return {
            "wave": "2022",
            "table_id": f"cross_{domain}__q",
            "measure": "percent",
            "unit": "percent",
            "domain": domain,
            "domain_value": value,
            "item": "q",
            "item_value": "1",
            "estimate": 100 * n_cell / base,
            "n_unweighted": float(base),
            "n_cell": float(n_cell),
        }

    rows = pd.DataFrame(
        [
            row("all", "all", 50, 300),
            row("age", "young", 3, 100),
            row("age", "middle", 20, 100),
            row("age", "old", 27, 100),
            row("group", "low", 23, 200),
            row("group", "high", 27, 100),
        ]
    )
    known = Questionnaire(
        nets={"age": {"group:low": ("young", "middle")}},
        classes={("group", "low"): ("age", "group:low"), ("group", "high"): ("age", "old")},
        codes={"age": ("young", "middle", "old"), "q": ("1", "2")},
    )
    rules = Disclosure()
    shown = suppression.suppress(rows, settings=rules, questionnaire=known)
    status = shown.set_index(["domain", "domain_value"])["status"]
    assert status["age", "young"] == "suppressed"
    gives_away = ("age", "middle"), ("group", "low")
    assert any(status[key] == "suppressed" for key in gives_away)
    loose = suppression.suppress(rows, settings=rules)  # knows nothing of the two
    assert loose.set_index(["domain", "domain_value"])["status"]["group", "low"] != "suppressed"


def one_hidden_in_no_line(after, lines):
    """No line of cells that sum to a shown total has exactly one hidden."""
    gone = (after["status"] == "suppressed").set_axis(
        pd.MultiIndex.from_frame(after[["domain_value", "item", "item_value"]])
    )
    return all(sum(gone[cell] for cell in line) != 1 for line in lines)


def test_groups_within_a_sex_sum_to_it_though_no_band_is_shown_there():
    # Young women 3, the others 40: 43 of all women. Only groups of bands are crossed with sex, so
    # no single band stands in the sum: the three groups do.
    known = Questionnaire(
        nets={"age": {"young": ("a", "b"), "middle": ("c", "d"), "old": ("e", "f")}},
        classes={("group", g): ("age", g) for g in ("young", "middle", "old")},
        codes={"age": tuple("abcdef")},
    )
    cells = {"young x 2": (3, 100), "middle x 2": (20, 100), "old x 2": (20, 100)}
    parts = [percents({"1": 93}, base=600, item="q")]
    parts += [
        percents({"1": count}, base=base, item="q", domain="sex", value=sex)
        for sex, (count, base) in {"1": (50, 300), "2": (43, 300)}.items()
    ]
    parts += [
        percents({"1": count}, base=base, item="q", domain="group x sex", value=value)
        for value, (count, base) in (
            cells | {"young x 1": (20, 100), "middle x 1": (15, 100), "old x 1": (15, 100)}
        ).items()
    ]
    after = suppression.suppress(
        pd.concat(parts, ignore_index=True), settings=Disclosure(), questionnaire=known
    )
    assert one_hidden_in_no_line(after, [[(value, "q", "1") for value in cells]])


def test_a_joint_table_is_one_system_with_its_margins():
    # 200 lonely, of them 3 isolated; 300 not lonely; 60 isolated: with all margins shown, any
    # other of the four cells gives 3 back, so that none of the four may be shown.
    table = pd.concat(
        [
            percents({"1": 200, "2": 300}, base=500, item="lonely"),
            percents({"1": 60, "2": 440}, base=500, item="isolated"),
            percents(
                {"1 x 1": 3, "1 x 2": 197, "2 x 1": 57, "2 x 2": 243},
                base=500,
                item="lonely x isolated",
            ),
        ],
        ignore_index=True,
    )
    after = suppression.suppress(table, settings=Disclosure())
    gone = after[after["status"] == "suppressed"]
    assert gone["item"].tolist() == ["lonely x isolated"] * 4


@pytest.mark.parametrize(
    ("conditions", "base_of_why", "is_shown"),
    [
        # Two of whom 250 and 46 may be asked: 296 less 4 who are not of the other condition.
        (((("q", "1"), ("q", "3")), (("event=9", "1"),)), 200, True),
        # 298 of 300 asked: that 2 were not is what must not show.
        (((("q", "1"), ("q", "2"), ("q", "3")), (("event=9", "1"),)), 298, False),
    ],
)
def test_a_population_that_lacks_a_few_people_of_another_is_not_shown(
    conditions, base_of_why, is_shown
):
    asked = Questionnaire(asked_if={"why": conditions})
    table = pd.concat(
        [
            percents({"1": 150, "2": 4, "3": 146}, base=300, item="q"),
            percents({"1": base_of_why - 50, "2": 50}, base=base_of_why, item="why"),
        ],
        ignore_index=True,
    )
    after = suppression.suppress(table, settings=Disclosure(), questionnaire=asked)
    shown = after.loc[after["item"] == "why", "status"] != "suppressed"
    assert shown.tolist() == [is_shown] * 2


@pytest.mark.parametrize(
    ("answered", "n_why", "n_how", "hidden"),
    [
        (298, 200, 197, set()),  # of the same 200 people three did not answer how
        (298, 204, 200, {"why"}),  # four answered why whom no answer led to it
        (298, 210, 200, set()),
        (204, 200, 197, {"why", "how"}),  # all but four of 204 people were led to both
    ],
)
def test_populations_differ_by_who_was_asked_not_by_who_answered(answered, n_why, n_how, hidden):
    led = ((("q", "1"),),)
    asked = Questionnaire(asked_if={"why": led, "how": led})
    table = pd.concat(
        [
            percents({"1": 200, "2": answered - 200}, base=answered, item="q"),
            percents({"1": n_why - 50, "2": 50}, base=n_why, item="why"),
            percents({"1": n_how - 50, "2": 50}, base=n_how, item="how"),
        ],
        ignore_index=True,
    )
    after = suppression.suppress(table, settings=Disclosure(), questionnaire=asked)
    gone = after[after["status"] == "suppressed"]
    assert set(gone["item"]) - {"q"} == hidden


def test_overlapping_classes_of_one_variable_are_refused():
    known = Questionnaire(nets={"job": {"x": ("1", "2"), "y": ("2", "3"), "z": ("1",)}})
    shown = [percents({net: 50}, base=100, item="job") for net in "xyz"]
    checks.check_bands(pd.concat([shown[0], shown[2]]), questionnaire=known)
    with pytest.raises(DisclosureError, match="job.x, job.y"):
        checks.check_bands(pd.concat(shown), questionnaire=known)


def test_a_few_people_outside_an_axis_cannot_stand_in_for_a_hidden_cell():
    # 3 of 45 are of job 1 and 40 of job 2; 2 people gave no job. With 45 and 40 shown, 3 to 5 are
    # of job 1, for no more than 2 can be without: 1 and 2 are out, so that the 40 go too.
    known = Questionnaire(
        outside={"job": ("no_answer",)}, missing={"job": ("no_answer",)}, codes={"job": ("1", "2")}
    )
    table = pd.concat(
        [
            percents({"1": 45}, base=202, item="q"),
            percents({"1": 3}, base=100, item="q", domain="job", value="1"),
            percents({"1": 40}, base=100, item="q", domain="job", value="2"),
        ],
        ignore_index=True,
    )
    after = suppression.suppress(table, settings=Disclosure(), questionnaire=known)
    gone = after[after["status"] == "suppressed"]
    assert gone["domain_value"].tolist() == ["1", "2"]


@pytest.mark.parametrize(("base", "n_hidden"), [(1000, 0), (60, 1)])
def test_people_outside_an_axis_are_shielded_where_rounding_does_not_hide_them(base, n_hidden):
    # 3 of 19 people of a third sex said "1": the total less both sexes. Shares of 1,019, 500 and
    # 500 are rounded to 0.1 %, off by up to 0.51 + 0.25 + 0.25 respondents: 2, 3 and 4 fit. Shares
    # of 79, 30 and 30 to 1 %, off by 0.40 + 0.15 + 0.15: only 3 fits, so that one sex is hidden.
    known = Questionnaire(outside={"sex": ("3",)}, codes={"sex": ("1", "2", "3")})
    half = base // 2
    parts = [percents({"1": 2 * (half - 10) + 3}, base=base + 19, item="q")]
    parts += [
        percents({"1": half - 10}, base=half, item="q", domain="sex", value=sex) for sex in "12"
    ]
    table = pd.concat(parts, ignore_index=True)
    after = suppression.suppress(table, settings=Disclosure(), questionnaire=known)
    assert (after["status"] == "suppressed").sum() == n_hidden
