"""The second attacker finds every hole it is shown, and cries wolf at none of their safe twins."""

import pandas as pd
import pytest
from tests.attacker import Facts
from tests.side_channels import attack

BLANK = dict.fromkeys("item variable type code role ask_if required sensitive max".split(), "")
COLUMNS = (
    "wave table_id measure domain domain_value item item_value estimate df p_value p_adjusted "
    "n_unweighted weighting status reason n_cell"
).split()


def ask(item, codes, *, kind="SA", alone="", **first):
    """Return a question's lines of the codebook; `alone` are codes that exclude the others."""
    return [
        BLANK
        | {"item": item, "code": code, "role": "exclusive" if code in alone else ""}
        | {"variable": f"{item}_{code}" if kind == "MA" else item}
        | ({"type": kind} if kind == "MA" or not place else {})
        | (first if not place else {})
        for place, code in enumerate(codes)
    ]


def line(table, measure, estimate, **more):
    row = dict.fromkeys(COLUMNS, "") | {"wave": "2022", "table_id": table, "measure": measure}
    row |= {"domain": "all", "domain_value": "all", "status": "published"}
    return row | {"estimate": estimate} | more


def shares(item, counts, base, *, domain="all", value="all", table=None, **more):
    """Return the percents of one group, in the table where they would stand."""
    where = f"gt_{item}" if domain == "all" else f"cross_{domain}__{item}"
    return [
        line(
            table or where, "percent", 100 * count / base, domain=domain, domain_value=value,
            item=item, item_value=code, n_unweighted=base, n_cell=count, **more,
        )
        for code, count in counts.items()
    ]  # fmt: skip


def crossed(axis, item, groups, **more):
    """Return a table of counts {group: {answer: count}} with its margin; everybody answers."""
    total = pd.DataFrame(groups).sum(axis=1).astype(int).to_dict()
    rows = shares(item, total, sum(total.values()))
    for value, counts in groups.items():
        rows += shares(item, counts, sum(counts.values()), domain=axis, value=value, **more)
    return rows


def hide(rows, *wanted, reason="HIDDEN"):
    """Return rows, those hidden that agree in domain_value, item, item_value (and table)."""
    gone = dict.fromkeys("estimate df p_value p_adjusted n_unweighted n_cell".split(), "")
    gone |= {"status": "suppressed", "reason": reason}
    names = ("domain_value", "item", "item_value", "table_id")
    is_gone = [
        any(all(w in ("*", row[n]) for w, n in zip(each, names, strict=False)) for each in wanted)
        for row in rows
    ]
    assert any(is_gone) or not wanted
    return [row | gone if hit else row for row, hit in zip(rows, is_gone, strict=True)]


def kinds(rows, hidden, *, settings=None, codebook=(), archive=(), loops=False, reason="HIDDEN"):
    facts = Facts(settings or {}, [*QUESTIONS, *codebook])
    released = pd.DataFrame(hide(rows, *hidden, reason=reason))
    earlier = [pd.DataFrame(each) for each in archive]
    found = []
    # A row that the file lacks is one more hidden one, unless its reason says more.
    is_shown = (released["status"] != "suppressed") | (released["reason"] != "HIDDEN")
    for table in (released, released[is_shown]):
        holes = attack(table, pd.DataFrame(rows), facts, archive=earlier, loops=loops)
        found.append({hole.kind for hole in holes})
    assert found[0] == found[1]
    return found[0]


QUESTIONS = [*ask("age", "123"), *ask("q", "123"), *ask("r", "12"), *ask("region", "123")]
# 3 of group 1 are few. A square of four hidden cells leaves it open from 0 to 23.
GROUPS = {
    "1": {"1": 3, "2": 40, "3": 57},
    "2": {"1": 20, "2": 30, "3": 50},
    "3": {"1": 37, "2": 20, "3": 43},
}
SQUARE = [("1", "q", "1"), ("1", "q", "2"), ("2", "q", "1"), ("2", "q", "2")]
TABLE = crossed("age", "q", GROUPS)


def indicator(codes, counts):
    settings = {"indicators": {"lonely": {"item": "q", "codes": codes}}}
    rows = []
    for value, count in counts.items():
        rows += shares("lonely", {"1": count}, 100, domain="age", value=value, table="headline")
    return TABLE + rows, settings


def test_a_square_of_hidden_cells_is_safe_and_a_line_is_not():
    assert kinds(TABLE, SQUARE) == set()
    assert kinds(TABLE, SQUARE[:1]) == {"count"}  # 60 - 20 - 37 = 3
    assert kinds(TABLE, SQUARE[::2]) == {"count"}  # 100 - 40 - 57 = 3
    assert kinds(TABLE, SQUARE[:2]) == {"count"}  # 60 - 20 - 37 = 3
    assert kinds(TABLE, SQUARE[1:]) == {"shown"}


def test_a_net_that_is_shown():
    nets = {"recode": {"q": [{"code": "high", "of": ["2", "3"]}]}}
    rows = TABLE + [
        row
        for value, counts in GROUPS.items()
        for row in shares("q", {"high": 100 - counts["1"]}, 100, domain="age", value=value)
    ]
    assert kinds(rows, SQUARE, settings=nets) == {"count"}  # 100 - 97
    both = [*SQUARE, ("1", "q", "high"), ("2", "q", "high")]
    assert kinds(rows, both, settings=nets) == set()


def test_a_merged_axis_beside_its_source():
    classes = [{"code": "young", "of": ["1", "3"]}, {"code": "old", "of": ["2"]}]
    settings = {"derive": {"group": {"recode_of": "age", "classes": classes}}}
    rows = TABLE + shares("q", {"1": 40}, 200, domain="group", value="young")
    assert kinds(rows, SQUARE, settings=settings) == {"count"}  # 3 + 37 of the young, less 37
    assert kinds(rows, [*SQUARE, ("young", "q", "1")], settings=settings) == set()


@pytest.mark.parametrize(("codes", "count"), [(["1"], 3), (["1", "3"], 60)])
def test_an_indicator_is_its_codes(codes, count):
    rows, settings = indicator(codes, {"1": count})
    own = ("1", "lonely", "1")
    told = {"shown"} if count == 3 else set()
    assert kinds(rows, SQUARE, settings=settings) == {"count"} | told
    assert kinds(rows, [*SQUARE, own], settings=settings) == set()


def test_the_base_of_a_filtered_question_is_the_answer_that_led_to_it():
    why = ask("why", "12", ask_if="q=2")
    rows = TABLE + shares("why", {"1": 50, "2": 40}, 90)
    rows += shares("why", {"1": 25, "2": 15}, 40, domain="age", value="1")
    assert kinds(rows, SQUARE, codebook=why) == {"count"}  # 100 - 57 - 40
    assert kinds(rows, [*SQUARE, ("1", "why", "*")], codebook=why) == set()


def test_a_filtered_question_asked_of_nearly_everybody():
    why = ask("why", "12", ask_if="q=1|2")
    rows = shares("q", {"1": 100, "2": 97, "3": 3}, 200) + shares("why", {"1": 97, "2": 100}, 197)
    hidden = [("all", "q", "2"), ("all", "q", "3")]
    assert kinds(rows, hidden, codebook=why) == {"population", "count"}
    assert kinds(rows, [*hidden, ("all", "why", "*")], codebook=why) == set()


def options(counts, *, base=100, **more):
    """Return one multi-answer question: a, b and what else the counts name."""
    codes = [code for code in counts if len(code) == 1]
    return shares("event", counts, base), ask("event", codes, kind="MA", **more)


def test_few_who_did_not_choose_an_option():
    rows, codebook = options({"a": 97, "b": 40})
    assert kinds(rows, [], codebook=codebook) == {"shown"}
    assert kinds(rows, [("all", "event", "a")], codebook=codebook) == set()


@pytest.mark.parametrize(
    ("counts", "more", "also"),
    [
        ({"a": 50, "b": 3, "z": 47}, {"alone": "z"}, "z"),  # everybody chose: b is 3 or more
        ({"a": 50, "b": 3, "z": 47}, {"max": "1", "required": "no"}, "a"),  # and here 3 or less
        ({"a": 50, "b": 3, "any": 53, "c": 60}, {"required": "no"}, "any"),  # 53 - 50 at least
    ],
)
def test_options_of_one_question_bound_each_other(counts, more, also):
    rows, codebook = options(counts, **more)
    nets = {"recode": {"event": [{"code": "any", "of": ["a", "b"]}]}} if "any" in counts else {}
    facts = {"codebook": codebook, "settings": nets}
    assert kinds(rows, [("all", "event", "b")], **facts) == {"count"}
    assert kinds(rows, [("all", "event", "b"), ("all", "event", also)], **facts) == set()


def test_who_chose_none_of_these_chose_nothing_else():
    # b of group 1 is at most 43 less the others' shown ... 100 - 97 = 3, of whom b and "not z"
    rows, codebook = options({"a": 1, "b": 2, "z": 97}, alone="z")
    assert "count" in kinds(rows, [("all", "event", "a"), ("all", "event", "b")], codebook=codebook)


def test_two_questions_jointly():
    pair = {"1 x 1": 3, "1 x 2": 57, "2 x 1": 40, "2 x 2": 70}
    rows = shares("s", {"1": 60, "2": 110}, 170) + shares("r", {"1": 43, "2": 127}, 170)
    rows += shares("s x r", pair, 170, table="joint_s_x_r")
    facts = {"codebook": ask("s", "12")}
    assert kinds(rows, [("all", "s x r", "1 x 1")], **facts) == {"count"}
    assert kinds(rows, [("all", "s x r", "*")], **facts) == set()


SHARE = {"weighting": {"sample_share": {"sex": ["3"]}}, "tables": {"axes": ["sex"]}}
SEXES = ask("sex", "123")


def sexes(outside):
    """Return a table by sex: 3 men, 57 women and some of a third sex said 1."""
    others = {"1": outside[0], "2": outside[1]}
    total = {"1": 60 + others["1"], "2": 140 + others["2"]}
    rows = shares("r", total, sum(total.values()))
    rows += shares("sex", {"1": 100, "2": 100, "3": sum(outside)}, sum(total.values()))
    rows += shares("r", {"1": 3, "2": 97}, 100, domain="sex", value="1")
    return rows + shares("r", {"1": 57, "2": 43}, 100, domain="sex", value="2")


def test_people_outside_an_axis_are_a_known_few():
    men = [("1", "r", "1"), ("1", "r", "2")]
    # 1 person is outside: 61 - 57 - (0 or 1) men said 1, so 3 or 4.
    assert kinds(sexes((1, 0)), men, settings=SHARE, codebook=SEXES) == {"count"}
    # 20 are: 0 to 4 men. Women need no hiding.
    assert kinds(sexes((1, 19)), men, settings=SHARE, codebook=SEXES) == set()


def test_people_outside_an_axis_whom_rounding_does_not_hide():
    # Half a per cent of 61 and 30 and 30 people is 0.6 of a person: no second count fits.
    small = shares("r", {"1": 31, "2": 30}, 61)
    small += shares("r", {"1": 10, "2": 20}, 30, domain="sex", value="1")
    small += shares("r", {"1": 20, "2": 10}, 30, domain="sex", value="2")
    assert kinds(small, [], settings=SHARE, codebook=SEXES) == {"rounding"}
    assert kinds(small, [("2", "r", "*")], settings=SHARE, codebook=SEXES) == set()
    # 219 + 100 + 100 people: 0.11 + 0.5 + 0.5 is over 1.
    assert kinds(sexes((1, 18)), [("1", "r", "*")], settings=SHARE, codebook=SEXES) == set()


@pytest.mark.parametrize("table", ["cross_sex__r", "headline"])
def test_the_gap_of_a_shown_neighbour(table):
    men = [("1", "r", "1", "cross_sex__r"), ("1", "r", "2", "cross_sex__r")]
    gap = line(table, "difference_points", 54, domain="sex", domain_value="2", item="r",
               item_value="1", n_unweighted=100)  # fmt: skip
    facts = {"settings": SHARE, "codebook": SEXES}
    rows = [*sexes((1, 19)), gap]
    assert kinds(rows, men, **facts) == {"count"}  # 57 of 100 women, 54 points more than men
    assert kinds(rows, [*men, ("2", "r", "1")], **facts) == set()


def test_a_gap_of_the_hidden_cell_itself():
    gap = line("national_q", "difference_points", -2, domain="age", domain_value="1", item="q",
               item_value="1", n_unweighted=100)  # fmt: skip
    assert kinds([*TABLE, gap], SQUARE) == set()
    shown = [(*name, "cross_age__q") for name in SQUARE]
    assert "shown" in kinds([*TABLE, gap], shown)


def test_a_gap_to_everybody_else_gives_a_hidden_total_back():
    gap = line("cross_age__q", "difference_points", 9, domain="age", domain_value="3", item="q",
               item_value="1", n_unweighted=100)  # fmt: skip
    hidden = [("all", "q", "1"), ("all", "q", "2"), ("1", "q", "1"), ("1", "q", "2")]
    assert kinds([*TABLE, gap], hidden) == {"count"}  # 37 and 23 are 60; 60 - 20 - 37
    assert kinds([*TABLE, gap], [*hidden, ("3", "q", "1", "cross_age__q")]) == set()


def nation(weights):
    """Return a national table whose first two groups are hidden, and one figure of everybody."""
    rows = [row | {"table_id": "national_r"} for group, counts in GROUPS.items()
            for row in shares("r", {"1": counts["1"]}, 100, domain="age", value=group)]  # fmt: skip
    hidden = [("1", "r", "1"), ("2", "r", "1")]
    rows = (
        [r for r in rows if r["domain_value"] == "3"],
        [r for r in rows if r["domain_value"] != "3"],
    )
    shown = rows[0] + shares("age", dict.fromkeys("123", 100), 300)
    for group, n in weights.items():
        shown.append(line("national_r", "percent_benchmark", 9, domain="age", domain_value=group,
                          item="r", item_value="1", n_unweighted=n))  # fmt: skip
    mixed = line("national_r", "percent_age_standardised", 6, item="r", item_value="1",
                 n_unweighted=300)  # fmt: skip
    truth = pd.DataFrame([*rows[1], *shown, mixed])
    told = [pd.DataFrame(hide(rows[1], *hidden) + shown + more) for more in ([mixed], [])]
    facts = Facts({"design": {"age_band": "age"}}, QUESTIONS)
    return [{hole.kind for hole in attack(each, truth, facts)} for each in told]


def test_a_share_on_the_nations_age_mix():
    # 0.9 a + 0.01 b + 0.09 c is known to 0.05: one more of a were 90 less of b, who are 20 of 100.
    assert nation({"1": 900, "2": 10, "3": 90}) == [{"count"}, set()]
    # With even weights one more of a is one less of b.
    assert nation({"1": 100, "2": 100, "3": 100}) == [set(), set()]


def test_another_wave_and_an_earlier_release():
    now = [row | {"wave": "2023"} for row in TABLE]
    both = [row | {"table_id": f"waves_{row['item']}"} for row in (*TABLE, *now)]
    change = line("waves_q", "difference_points", 1, domain="age", domain_value="1", item="q",
                  item_value="1", n_unweighted=100) | {"wave": "2023"}  # fmt: skip
    before = [(*name, "waves_q") for name in SQUARE]
    hidden = hide([r for r in both if r["wave"] == "2022"], *before)
    shown = [r for r in both if r["wave"] == "2023"]
    facts = Facts({}, QUESTIONS)
    truth = pd.DataFrame([*both, change])
    # This year's figures pass for large ones; with the change they tell last year's 3 of 100.
    large = [
        r | {"n_cell": 30} if (r["domain_value"], r["item_value"]) == ("1", "1") else r
        for r in shown
    ]
    truth = pd.DataFrame([r for r in both if r["wave"] == "2022"] + large + [change])
    told = attack(pd.DataFrame(hidden + large + [change]), truth, facts)
    assert any(hole.kind == "shown" and hole.count == 3 for hole in told)
    safe = attack(pd.DataFrame(hidden + large), truth, facts)
    assert not any(hole.count == 3 for hole in safe)
    # An archive that shows one corner of the square opens it.
    corner = [row for row in TABLE if (row["domain_value"], row["item_value"]) == ("2", "2")]
    assert kinds(TABLE, SQUARE, archive=[corner]) == {"count"}
    assert kinds(TABLE, SQUARE, archive=[hide(TABLE, *SQUARE)]) == set()


def test_another_weighting_of_a_hidden_share():
    settings = {"indicators": {"lonely": {"item": "q", "codes": ["1"]}}}
    rows = shares("q", {"1": 3, "2": 97}, 100)
    rows += shares("lonely", {"1": 3}, 100, table="headline")
    other = shares("lonely", {"1": 3}, 100, table="weights_sensitivity", weighting="raking")
    hidden = [("all", "q", "*"), ("all", "lonely", "1", "headline")]
    assert kinds(rows + other, hidden, settings=settings) == {"shown", "count"}
    assert kinds(rows, hidden, settings=settings) == set()


def test_a_group_of_few_is_the_others_less():
    groups = {"1": {"1": 2, "2": 4}, "2": {"1": 30, "2": 60}, "3": {"1": 40, "2": 50}}
    rows = crossed("age", "r", groups) + shares("age", {"1": 6, "2": 90, "3": 90}, 186)
    assert kinds(rows, [("1", "r", "*")]) == {"count"}  # 72 - 30 - 40
    assert kinds(rows, [("1", "r", "*"), ("2", "r", "*")]) == set()


def test_the_reason_that_a_base_is_under_ten_bounds_it():
    # 18 people live in 1 and 2, neither has 10: nine each.
    groups = {"1": {"1": 4, "2": 5}, "2": {"1": 4, "2": 5}, "3": {"1": 50, "2": 50}}
    rows = crossed("region", "r", groups) + shares("region", {"1": 9, "2": 9, "3": 100}, 118)
    gone = [("1", "r", "*"), ("2", "r", "*"), ("all", "r", "*")]
    gone += [("all", "region", "1"), ("all", "region", "2")]
    assert kinds(rows, gone) == set()
    assert kinds(rows, gone, reason="BASE_UNDER_10") == {"count"}


def test_three_margins_of_a_loop():
    # Region by q, q by r and region by r are shown but for region by q, all of whose cells are
    # large or hidden. Of r = 1 are 100, 60 of them in region 1 and 45 say 1: 5 do both at least.
    settings = {"tables": {"axes": ["region"]}}
    two = {"1": {"1": 6, "2": 64}, "2": {"1": 49, "2": 81}}
    rows = crossed("region", "s", two) + shares("region", {"1": 70, "2": 130}, 200)
    rows += shares("r", {"1": 100, "2": 100}, 200)
    for value, (a, b) in {"1": (60, 10), "2": (40, 90)}.items():
        rows += shares("r", {"1": a, "2": b}, a + b, domain="region", value=value)
    for value, (a, b) in {"1": (45, 10), "2": (55, 90)}.items():
        rows += shares("r", {"1": a, "2": b}, a + b, domain="s", value=value)
    hidden = [("1", "s", "*"), ("2", "s", "*", "cross_region__s")]
    facts = {"settings": settings, "codebook": ask("s", "12")}
    assert kinds(rows, hidden, **facts) == set()
    assert kinds(rows, hidden, loops=True, **facts) == {"loop"}


# --- beside the counts ----------------------------------------------------------------------------


def gaps(p_values, adjusted):
    return [
        line("cross_age__q", "difference_points", 5, domain="age", domain_value=group, item="q",
             item_value="1", n_unweighted=100, p_value=p, p_adjusted=q)
        for group, p, q in zip("123", p_values, adjusted, strict=True)
    ]  # fmt: skip


def test_p_values_adjusted_with_hidden_ones():
    # Alone 0.03 and 0.2 give 0.06 and 0.2; with a third of 0.01 below them 0.045 and 0.2.
    rows = TABLE + gaps([0.03, 0.2, 0.01], [0.045, 0.2, 0.03])
    third = ("3", "q", "1", "cross_age__q")
    square = [*SQUARE, third, ("3", "q", "2"), ("all", "q", "1"), ("all", "q", "2")]
    released = hide(rows[:-3], *square) + rows[-3:-1]
    facts, truth = Facts({}, QUESTIONS), pd.DataFrame(rows)
    found = {h.kind for h in attack(pd.DataFrame(released), truth, facts)}
    assert "family" in found
    alone = TABLE + gaps([0.03, 0.2, 0.01], [0.06, 0.2, 0.03])
    released = hide(alone[:-3], *square) + alone[-3:-1]
    found = {h.kind for h in attack(pd.DataFrame(released), truth, facts)}
    assert "family" not in found


def test_a_test_of_a_table_with_a_hidden_cell():
    test = line("cross_age__q", "rao_scott_f", 2.5, item="q", p_value=0.02)
    assert kinds([*TABLE, test], SQUARE) == {"test"}
    assert kinds([*TABLE, test], [*SQUARE, ("all", "q", "", "cross_age__q")]) == set()


def test_a_hidden_mean_beside_shown_ones():
    rows = [line("gt_score", "mean", 5.0, item="score", n_unweighted=300)]
    rows += [line("cross_age__score", "mean", 5.0, domain="age", domain_value=v, item="score",
                  n_unweighted=n) for v, n in {"1": 8, "2": 92, "3": 200}.items()]  # fmt: skip
    assert kinds(rows, [("1", "score")]) == {"mean"}
    assert kinds(rows, [("1", "score"), ("2", "score")]) == set()


def model(outcome, n, *, df=500, level=60):
    table = f"model_{outcome}"
    return [
        line(table, "count", n, item="model", item_value="n"),
        line(table, "count", 40, item="model", item_value="listwise_deletion"),
        line(table, "odds_ratio", 1.5, item="age", item_value="1", n_unweighted=level, df=df),
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (model("a", 900) + model("b", 905), {"model"}),  # 5 people answered one of the two
        (model("a", 900) + model("b", 930), set()),
        (model("a", 900, df=99), {"model"}),
        (model("a", 900, level=9), {"model"}),
        (model("a", 900) + [line("model_merges", "count", "", item="sex", item_value="3",
                                 domain_value="a", status="suppressed")], {"model"}),
    ],
)  # fmt: skip
def test_models_that_tell_of_few_people(rows, expected):
    assert kinds(rows, []) == expected


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [({"A": 9, "B": 9, "C": 40}, {"ledger"}), ({"A": 4, "B": 9, "C": 40}, {"ledger"}),
     ({"A": 4, "B": 6, "C": 40}, set()), ({"A": 4, "B": 40, "C": 50}, {"ledger"})],
)  # fmt: skip
def test_rows_set_aside(reasons, expected):
    counts = {"read": 2000 + sum(reasons.values()), "analysed": 2000}
    counts |= {"quarantined": sum(reasons.values())} | reasons
    rows = [line("ledger", "count", n, item="outcome", item_value=v) for v, n in counts.items()]
    few = [("all", "outcome", v) for v, n in reasons.items() if n < 10]
    assert kinds(rows, few, reason="CELL_UNDER_10") == expected
