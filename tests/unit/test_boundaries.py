"""Each limit of policy SDC-1 one below, at and one above it, as the gate's outcome.

Expected outcomes are the policy's (docs/methods.md, Disclosure control), not the code's.
"""

import numpy as np
import pandas as pd
import pytest

from tsunagari.errors import DisclosureError, InputError
from tsunagari.estimates import conform
from tsunagari.gate.publish import collect_parts
from tsunagari.gate.questionnaire import Questionnaire
from tsunagari.gate.rounding import round_published
from tsunagari.gate.suppression import apply_reasons, suppress
from tsunagari.study.settings import Disclosure
from tsunagari.study.survey import open_study

HIDDEN, SHOWN = "suppressed", "published"


def cells(counts, base, *, domain="all", value="all", item="q", table="", **more):
    """Return the percents of one group."""
    table = table or (f"gt_{item}" if domain == "all" else f"cross_{domain}__{item}")
    keys = {"wave": "2022", "table_id": table, "measure": "percent", "unit": "percent"}
    keys |= {"domain": domain, "domain_value": value, "item": item, "n_unweighted": float(base)}
    rows = [
        keys | {"item_value": code, "n_cell": float(n), "estimate": 100 * n / base} | more
        for code, n in counts.items()
    ]
    return conform(pd.DataFrame(rows).assign(n_effective=float(base)))


def outcome(table, *, area="prefecture", **known):
    """Return what becomes of the first row."""
    settings = Disclosure(area=area)
    return suppress(table, settings=settings, questionnaire=Questionnaire(**known))["status"].iloc[
        0
    ]


# --- P2 and P3: counts and bases ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "expected"),
    [(9, HIDDEN), (10, "reference"), (11, "reference"), (29, "reference"), (30, "low_base"),
     (31, "low_base"), (49, "low_base"), (50, SHOWN), (51, SHOWN)],
)  # fmt: skip
def test_base(base, expected):
    assert outcome(cells({"1": base}, base)) == expected


REGION = {"areas": frozenset({"region"})}
SENSITIVE = {"sensitive": frozenset({"q"})}


@pytest.mark.parametrize(
    ("k", "where", "known"),
    [
        pytest.param(5, {}, {}, id="one variable"),
        pytest.param(5, {"domain": "sex", "value": "1"}, {}, id="two variables"),
        pytest.param(5, {"item": "q x r"}, {}, id="two questions jointly"),
        pytest.param(10, {"domain": "age x sex", "value": "1 x 1"}, {}, id="three variables"),
        pytest.param(10, {"domain": "sex", "value": "1", "item": "q x r"}, {}, id="three, jointly"),
        pytest.param(10, {"domain": "region", "value": "1"}, REGION, id="an area"),
        pytest.param(10, {"item": "region"}, REGION, id="the areas themselves"),
        pytest.param(10, {}, SENSITIVE, id="sensitive"),
        pytest.param(10, {"domain": "q", "value": "1", "item": "r"}, SENSITIVE, id="by sensitive"),
        pytest.param(10, {}, {"area": "below"}, id="the study is of an area below"),
    ],
)
def test_smallest_count(k, where, known):
    code = "1 x 1" if " x " in where.get("item", "") else "1"
    for count, expected in {0: HIDDEN, k - 1: HIDDEN, k: SHOWN, k + 1: SHOWN}.items():
        # Nothing beside the cell, so that its own size alone decides.
        assert outcome(cells({code: count}, 300, **where), **known) == expected, count


@pytest.mark.parametrize(("others", "expected"), [(4, HIDDEN), (5, SHOWN), (6, SHOWN)])
def test_few_who_did_not_choose(others, expected):
    table = cells({"1": 300 - others}, 300)
    assert outcome(table, multiple=frozenset({"q"})) == expected


def test_an_indicator_counts_as_its_question():
    # One of a sensitive question: 9 are hidden, 10 not.
    known = SENSITIVE | {"indicators": {"top": ("q", ("5",))}}
    for count, expected in ((9, HIDDEN), (10, SHOWN)):
        table = cells({"1": count}, 300, item="top", table="headline")
        assert outcome(table, **known) == expected


# --- P6: the range that must stay open ------------------------------------------------------------


@pytest.mark.parametrize(
    ("mates", "n_hidden"),
    [
        # 3 with a mate of 1 is 4 together: the small one cannot be 4 and leave 0 .. it can.
        ((3, 1, 96), 2),
        # 3 with 0 is 3 together: 4 is impossible, so a third cell goes too.
        ((3, 0, 97), 3),
        # 3 alone: the smaller of the others goes.
        ((3, 7, 90), 2),
    ],
)
def test_every_count_up_to_the_threshold_stays_possible(mates, n_hidden):
    counts = dict(zip("123", mates, strict=True))
    table = suppress(cells(counts, 100), settings=Disclosure(), questionnaire=Questionnaire())
    assert (table["status"] == HIDDEN).sum() == n_hidden


# --- P7: one answer holds a group -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "base", "expected"),
    [(300, 300, HIDDEN), (299, 300, SHOWN), (50, 50, HIDDEN), (49, 50, SHOWN),
     (47, 49, HIDDEN), (46, 49, "low_base"),  # 95.9 and 93.9 % of a base under 50
     (38, 40, HIDDEN), (37, 40, "low_base")],  # 95.0 and 92.5 %
)  # fmt: skip
def test_sensitive_answer_of_nearly_a_whole_group(count, base, expected):
    assert outcome(cells({"1": count}, base), **SENSITIVE) == expected
    assert outcome(cells({"1": count}, base)) != HIDDEN


# --- P9: digits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("base", "expected"), [(199, 33.0), (200, 33.3), (201, 33.3)])
def test_decimals(base, expected):
    table = cells({"1": 66}, base, estimate=33.3333)
    table = pd.concat([table, table.assign(measure="difference_points", unit="points")])
    assert round_published(table)["estimate"].tolist() == [expected, expected]


# --- P10 and P11: bands and populations -----------------------------------------------------------


@pytest.mark.parametrize(
    ("bands", "is_refused"),
    [({"young": (0, 64), "old": (65, 99)}, False), ({"young": (0, 65), "old": (65, 99)}, True),
     ({"all": (0, 99), "old": (65, 99)}, False), ({"late": (60, 80), "old": (65, 99)}, True)],
)  # fmt: skip
def test_bands_are_nested_or_apart(bands, is_refused):
    table = pd.concat([cells({"1": 100}, 300, domain="age", value=code) for code in bands])
    known = {"bands": {("years", "age"): bands}}
    if is_refused:
        with pytest.raises(DisclosureError, match="DIFFERENCING"):
            outcome(table, **known)
    else:
        assert outcome(table, **known) == SHOWN


@pytest.mark.parametrize(
    ("not_asked", "expected"), [(0, SHOWN), (1, HIDDEN), (4, HIDDEN), (5, SHOWN), (6, SHOWN)]
)
def test_a_question_asked_of_nearly_everybody(not_asked, expected):
    why = cells({"1": 150, "2": 150 - not_asked}, 300 - not_asked, item="why")
    table = pd.concat([why, cells({"1": 300 - not_asked, "2": not_asked}, 300)])
    asked = {"why": ((("q", "1"),),)}
    assert outcome(table.reset_index(drop=True), asked_if=asked) == expected


# --- P13 to P15: means, extremes, models ----------------------------------------------------------


@pytest.mark.parametrize(
    ("n_effective", "expected"), [(3.9, HIDDEN), (4.0, HIDDEN), (4.1, SHOWN), (60.0, SHOWN)]
)
@pytest.mark.parametrize("measure", ["mean", "percent"])
def test_dominance(measure, n_effective, expected):
    # Two of equal weight that hold all but next to nothing have a Kish size of 2; one that holds
    # half has at most 4: 1 / 0.5^2.
    table = cells({"1": 30}, 60, n_effective=n_effective)
    table = table.assign(measure=measure, n_effective=n_effective)
    assert outcome(table) == expected


@pytest.mark.parametrize(("n", "expected"), [(9, HIDDEN), (10, "reference"), (11, "reference")])
def test_a_mean_of_few(n, expected):
    assert outcome(cells({"": n}, n).assign(measure="mean", n_cell=np.nan)) == expected


@pytest.mark.parametrize(
    ("n", "quantile", "expected"),
    [(99, "0.9", HIDDEN), (100, "0.9", SHOWN), (101, "0.9", SHOWN),
     (99, "10", HIDDEN), (100, "10", SHOWN)],
)  # fmt: skip
def test_ten_people_lie_beyond_a_percentile(n, quantile, expected):
    table = cells({quantile: 1}, n).assign(measure="quantile", n_cell=np.nan)
    assert outcome(table) == expected


@pytest.mark.parametrize("measure", ["minimum", "maximum"])
def test_an_extreme_stops_the_run(measure):
    with pytest.raises(DisclosureError, match="EXTREME"):
        outcome(cells({"1": 60}, 300).assign(measure=measure))


def odds(*, n=60, events=30, df=500):
    table = cells({"1": events}, n, item="age", table="model_a")
    return table.assign(measure="odds_ratio", unit="ratio", df=float(df))


@pytest.mark.parametrize(
    ("level", "is_refused"),
    [({"n": 9}, True), ({"n": 10, "events": 5}, False), ({"n": 11, "events": 5}, False),
     ({"events": 4}, True), ({"events": 5}, False), ({"events": 6}, False)],
)  # fmt: skip
def test_a_level_of_a_model(level, is_refused):
    if is_refused:
        with pytest.raises(DisclosureError, match="MODEL_LEVEL"):
            outcome(odds(**level))
    else:
        assert outcome(odds(**level)) != HIDDEN


@pytest.mark.parametrize(("df", "expected"), [(99, HIDDEN), (100, SHOWN), (101, SHOWN)])
def test_degrees_of_freedom_of_a_model(df, expected):
    assert outcome(odds(df=df)) == expected


@pytest.mark.parametrize(("count", "expected"), [(9, HIDDEN), (10, "reference"), (11, "reference")])
def test_a_count_of_a_model(count, expected):
    table = cells({"no_answer": count}, count, item="age", table="model_a")
    assert outcome(table.assign(measure="count", unit="respondents")) == expected


# --- rows of the file -----------------------------------------------------------------------------


def ledger_rows(reasons):
    counts = {"read": 2000 + sum(reasons.values()), "analysed": 2000}
    counts |= {"quarantined": sum(reasons.values())} | reasons
    rows = [
        {"table_id": "ledger", "measure": "count", "unit": "rows", "domain": "all",
         "domain_value": "all", "item": "ledger", "item_value": value, "estimate": float(count)}
        for value, count in counts.items()
    ]  # fmt: skip
    return conform(pd.DataFrame(rows))


def ledger(reasons):
    table = suppress(ledger_rows(reasons), settings=Disclosure())
    return set(table.loc[table["status"] == HIDDEN, "item_value"])


@pytest.mark.parametrize(
    ("count", "hidden"),
    [(0, set()), (1, {"A", "B"}), (9, {"A", "B"}), (10, set()), (11, set())],
)
def test_few_rows_set_aside(count, hidden):
    assert ledger({"A": count, "B": 40, "C": 50}) == hidden


# --- parts ----------------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Return the folder of the notebooks' rows in a run's staging folder."""
    monkeypatch.setenv("TSUNAGARI_STAGING", str(tmp_path))
    folder = tmp_path / "private/parts"
    folder.mkdir(parents=True)
    return folder


def collect():
    return collect_parts(open_study("ehime", 2022))


def test_parts_stand_in_the_order_of_their_names_whatever_came_first(parts):
    for name in ("03_describe", "02_weight", "10_last"):
        pd.DataFrame({"item": [name]}).to_csv(parts / f"{name}.csv", index=False)
    assert collect()["item"].tolist() == ["02_weight", "03_describe", "10_last"]


@pytest.mark.parametrize(
    ("name", "columns", "code"),
    [("03_describe.csv", ["item", "answer"], "PART_COLUMNS"), ("03_describe.txt", ["item"],
     "STEP_MISSING")],
)  # fmt: skip
def test_a_part_that_is_none_is_refused(parts, name, columns, code):
    pd.DataFrame(columns=columns).to_csv(parts / name, index=False)
    with pytest.raises(InputError, match=code):
        collect()


@pytest.mark.parametrize("table", ["gt_q", "gate"])
def test_no_notebook_makes_a_figure_twice_or_the_gates_own_table(parts, table):
    for name, table_id in (("03_describe", "gt_q"), ("04_model", table)):
        row = {"row_id": name[:2], "table_id": table_id}  # an id of theirs says nothing
        pd.DataFrame([row]).to_csv(parts / f"{name}.csv", index=False)
    with pytest.raises(InputError, match=f"E-PART_ROWS.*{table}"):
        collect()


# --- what the second attacker found ---------------------------------------------------------------


def test_a_question_by_its_own_merged_answers():
    classes = {("q2", "high"): ("q", "top"), ("q2", "low"): ("q", "1")}
    table = cells({"4": 3, "5": 60}, 63, domain="q2", value="high")
    assert outcome(table, classes=classes, nets={"q": {"top": ("4", "5")}}) == HIDDEN


def test_an_option_beside_a_net_that_holds_it():
    table = cells({"b": 3, "a": 50, "any": 53}, 100)
    known = {"multiple": frozenset({"q"}), "nets": {"q": {"any": ("a", "b")}}}
    after = suppress(table, settings=Disclosure(), questionnaire=Questionnaire(**known))
    assert (after["status"] == HIDDEN).sum() > 1


def test_no_reason_says_which_cells_are_small():
    # 4 and 9 of 300 gave the first two answers: that both are 9 or fewer would leave 4 to 9 each.
    counts = {"1": 4, "2": 9, "3": 287}
    parts = [cells(counts, 300)]
    parts += [
        cells({"1": n - 1, "2": 1}, n, domain="q", value=v, item="r") for v, n in counts.items()
    ]
    rows = [ledger_rows({"A": 9, "B": 9, "C": 40})]  # or 8 and, beside it, 10
    after = suppress(pd.concat([*parts, *rows], ignore_index=True), settings=Disclosure(),
                     questionnaire=Questionnaire())  # fmt: skip
    assert set(after["reason"].dropna()) == {"HIDDEN"}
    assert after.loc[after["table_id"] == "ledger", "status"].eq(HIDDEN).sum() == 2


def test_two_hidden_means_are_of_ten_people_together():
    groups = {"1": 4, "2": 4, "3": 100, "4": 192}
    whole = cells({"": 300}, 300, item="score")
    parts = [cells({"": n}, n, domain="age", value=v, item="score") for v, n in groups.items()]
    table = pd.concat([whole, *parts], ignore_index=True).assign(measure="mean", n_cell=np.nan)
    after = suppress(table, settings=Disclosure(), questionnaire=Questionnaire())
    assert after.loc[after["status"] == HIDDEN, "domain_value"].tolist() == ["1", "2", "3"]


def test_a_row_hidden_before_the_gate_stays_hidden():
    rows = conform(
        pd.DataFrame([{"table_id": "programme_x", "reason": "HIDDEN", "n_unweighted": 60}])
    )
    table = apply_reasons(rows, pd.Series([None]), settings=Disclosure())
    assert table["status"].tolist() == ["suppressed"]
    assert table["n_unweighted"].isna().all()
