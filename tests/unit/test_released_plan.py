"""What leaves the released plan because it would stand there hidden, and how it is counted."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tsunagari import estimates
from tsunagari.gate import archive, attack, hiding, questionnaire, rounding, suppression
from tsunagari.gate.primary import BASE_UNDER_10, CELL_UNDER_10, DEPENDENT, SECONDARY, TABLE
from tsunagari.study.files import write_table
from tsunagari.study.settings import Disclosure

KNOWN = questionnaire.Questionnaire(
    nets={"g": {"h:ab": ("a", "b")}},
    classes={("h", "ab"): ("g", "h:ab"), ("h", "c"): ("g", "c")},
    codes={"g": ("a", "b", "c"), "q": ("1", "2", "3")},
    indicators={"lonely": ("q", ("1",))},
)
# Of three groups of 100 by three answers four cells of nine are under 5, two of each line but c's.
GROUPS = {"a": (2, 3, 95), "b": (95, 2, 3), "c": (40, 30, 30)}
TOTAL = {"all": (137, 35, 128)}
MERGED = {"ab": (97, 5, 98), "c": (40, 30, 30)}
# The indicator is the first answer; group a has no row.
LONELY = {"b": (95,), "c": (40,)}


def shares(table_id, groups, *, item="q", measure="percent", base=None):
    domain = table_id.split("_")[1] if table_id.startswith("cross_") else "all"
    rows = [
        {"wave": "2022", "table_id": table_id, "measure": measure, "unit": "percent",
         "domain": "all" if group == "all" else domain, "domain_value": group, "item": item,
         "item_value": str(code), "estimate": 100.0 * count / (base or sum(counts)),
         "n_unweighted": float(base or sum(counts)), "n_cell": float(count)}
        for group, counts in groups.items() for code, count in enumerate(counts, start=1)
    ]  # fmt: skip
    return estimates.conform(pd.DataFrame(rows))


def release_of(truth, *, limit, known=KNOWN):
    """Return what is released of rows, and why each row is hidden and left out."""
    settings = Disclosure(drop_table_above=limit)
    reasons = suppression.judge(truth, settings=settings, questionnaire=known)
    left_out = hiding.find_left_out(truth, reasons)
    shown = suppression.apply_reasons(truth, reasons, settings=settings)
    counts = hiding.count_left_out(shown, left_out, wave=2022)
    released = rounding.round_published(pd.concat([shown[left_out.isna()], counts]))
    return released, reasons, left_out


def problems(released, truth, *, limit=0.5, **more):
    settings = Disclosure(drop_table_above=limit)
    return attack.attack_estimates(released, truth, settings=settings, questionnaire=KNOWN, **more)


# --- differences and tests ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table_id", "measure", "reason", "expected"),
    [
        ("cross_g__q", "difference_points", DEPENDENT, "gap"),
        ("headline", "difference_points", DEPENDENT, "gap"),
        ("cross_g__q", "difference_points", BASE_UNDER_10, "gap"),
        ("cross_g__q", "rao_scott_f", DEPENDENT, "test"),
        ("national_q", "difference_points_age_standardised", DEPENDENT, "comparison"),
        ("waves_q", "difference_points", DEPENDENT, "comparison"),
        # A line of its own on the page, where it is x.
        ("national_q", "percent_age_standardised", DEPENDENT, None),
        ("model_lonely__sensitivity", "marginal_effect_points", DEPENDENT, None),
        ("gt_q", "percent", CELL_UNDER_10, None),
        ("cross_g__q", "difference_points", None, None),
        ("waves_q", "difference_points", None, None),
    ],
)
def test_differences_and_tests_of_a_hidden_share_leave_the_plan(
    table_id, measure, reason, expected
):
    row = shares(table_id, {"a": (50,)}, measure=measure)
    left_out = hiding.find_left_out(row, pd.Series([reason], dtype="str"))
    assert left_out.isna().all() if expected is None else left_out.tolist() == [expected]


# --- answers and groups that are hidden throughout ------------------------------------------------


@pytest.mark.parametrize("reason", [CELL_UNDER_10, SECONDARY])
def test_an_answer_or_a_group_that_is_hidden_throughout_leaves_its_table(reason):
    # Hidden: answer 1 of every group, every answer of c, and 2 of a, which stays as x.
    rows = shares("cross_g__q", GROUPS)
    is_hidden = (rows["item_value"] == "1") | (rows["domain_value"] == "c")
    is_hidden |= (rows["domain_value"] == "a") & (rows["item_value"] == "2")
    reasons = pd.Series(np.where(is_hidden, reason, None), dtype="str")
    left_out = hiding.find_left_out(rows, reasons)
    names = rows["domain_value"] + rows["item_value"]
    assert set(names[left_out == "line"]) == {"a1", "b1", "c1", "c2", "c3"}
    assert left_out.notna().sum() == 5
    # Where the page restores them, they are x again.
    shown = hiding.hide_rows(rows, is_hidden)
    back = estimates.restore_lines(shown[left_out.isna()], groups=[*"abc"], answers=[*"123"])
    keys = ["domain_value", "item_value"]
    before, after = (t.set_index(keys)["status"] == "suppressed" for t in (shown, back))
    assert len(back) == 9 and (after.sort_index() == before.sort_index()).all()


def test_a_question_over_everybody_and_two_questions_jointly_keep_their_hidden_answers():
    rows = pd.concat(
        [shares("gt_q", TOTAL), shares("joint_q_x_r", {"all": (3, 97)}, item="q x r")],
        ignore_index=True,
    )
    hidden = pd.Series([CELL_UNDER_10] * len(rows), dtype="str")
    assert hiding.find_left_out(rows, hidden).isna().all()


# --- tables that would be mostly hidden -----------------------------------------------------------


def plan():
    """Return a table of which 4 of 9 cells are small, its margins, and two tables of its sums."""
    lonely = shares("headline", LONELY, item="lonely", base=100).assign(domain="g")
    gaps = shares("cross_g__q", GROUPS, measure="difference_points").assign(unit="points")
    parts = [shares("gt_q", TOTAL), shares("cross_g__q", GROUPS), gaps, lonely]
    return pd.concat([*parts, shares("cross_h__q", MERGED)], ignore_index=True)


@pytest.mark.parametrize(("limit", "is_shown"), [(4 / 9, True), (0.44, False)])
def test_a_table_more_hidden_than_the_limit_is_left_out_whole(limit, is_shown):
    truth = plan()
    released, reasons, left_out = release_of(truth, limit=limit)
    own = truth["table_id"] == "cross_g__q"
    assert left_out[own].eq("table").all() == (not is_shown)
    assert not (left_out[~own] == "table").any()
    small = own & (truth["n_cell"] < 5) & (truth["measure"] == "percent")
    assert (reasons[small] == CELL_UNDER_10).all()
    assert problems(released, truth, limit=limit) == []


def test_what_a_table_left_out_alone_shows_need_not_be_hidden():
    # Released, b's 95 would be 97 less a's 2: it would stand in for it, or the 97 would.
    table = (shares("gt_q", TOTAL), shares("cross_g__q", GROUPS), shares("cross_h__q", MERGED))
    truth = pd.concat(table, ignore_index=True)
    _, reasons, _ = release_of(truth, limit=1.0)
    assert (reasons == SECONDARY).any()
    _, reasons, _ = release_of(truth, limit=0.4)
    own = truth["table_id"] == "cross_g__q"
    assert reasons[own & (truth["n_cell"] >= 5)].eq(TABLE).all()
    assert reasons[~own].isna().all()


def test_a_small_cell_of_a_table_left_out_is_not_told_by_the_others():
    # 137 of everybody less 95 of b and 40 of c, both of headline, are the 2 of a.
    truth = plan()
    released, reasons, _ = release_of(truth, limit=0.4)
    headline = truth["table_id"] == "headline"
    assert (reasons[headline] == SECONDARY).any()
    is_kept = released["table_id"] != "headline"
    mutant = pd.concat([released[is_kept], rounding.round_published(truth[headline])])
    told = problems(mutant.assign(status=mutant["status"].fillna("published")), truth, limit=0.4)
    assert "cross_g__q: a hidden cell can be told too closely" in told


def test_answers_hidden_throughout_do_not_count_towards_the_limit():
    # Answers 1 and 2 of 3 are few in both groups, 4 of 6 cells; what is left of the table is shown.
    rows = [shares("gt_q", {"all": (5, 6, 189)}), shares("cross_g__q", {"a": (2, 3, 95)})]
    rows += [shares("cross_g__q", {"b": (3, 3, 94)})]
    truth = pd.concat(rows, ignore_index=True)
    released, _, left_out = release_of(truth, limit=0.5)
    cells = truth["table_id"] == "cross_g__q"
    assert left_out[cells].fillna("").tolist() == ["line", "line", "", "line", "line", ""]
    assert problems(released, truth) == []


def test_a_cell_that_another_table_shows_keeps_its_gap_there():
    # b's 95 leave with cross_g__q, but stand in the headline where no total gives a's 2 back.
    lonely = shares("headline", LONELY, item="lonely", base=100).assign(domain="g")
    gap = lonely.assign(measure="difference_points", unit="points")
    truth = pd.concat([shares("cross_g__q", GROUPS), lonely, gap], ignore_index=True)
    _, reasons, left_out = release_of(estimates.conform(truth), limit=0.4)
    assert reasons[truth["table_id"] == "headline"].isna().all()
    assert left_out[truth["table_id"] == "cross_g__q"].eq("table").all()


# --- counted and said -----------------------------------------------------------------------------


def test_every_row_is_shown_hidden_or_left_out_by_reason():
    truth = plan()
    for limit in (0.4, 1.0):
        released, _, left_out = release_of(truth, limit=limit)
        counts = released[released["table_id"] == "gate"].set_index("item")["estimate"]
        n_hidden = (released["status"] == "suppressed").sum()
        assert counts["hidden"] == n_hidden and set(counts.index) <= set(hiding.LEFT_OUT)
        assert counts.drop("hidden").to_dict() == left_out.value_counts().to_dict()
        n_shown = (released["status"] != "suppressed").sum() - len(counts)
        assert n_shown + counts.sum() == len(truth)
        assert released["row_id"].is_unique


@pytest.mark.parametrize("undo", ["lack", "more", "less", "why"])
def test_a_release_that_does_not_count_what_it_lacks_fails(undo):
    truth = plan()
    released, *_ = release_of(truth, limit=0.5)
    is_gate = released["table_id"] == "gate"
    first = released.index[is_gate & (released["item"] != "hidden")][0]
    if undo == "lack":
        released = released.drop(released.index[(released["status"] == "published") & ~is_gate][0])
    elif undo == "why":
        released.loc[first, "item"] = "lost"
    else:
        place = first if undo == "more" else released.index[released["item"] == "hidden"][0]
        released.loc[place, "estimate"] += 1 if undo == "more" else -1
    assert problems(released, truth) == [
        "gate: another number of rows is hidden or left out than it says"
    ]


def test_a_release_from_before_rows_were_left_out_still_verifies():
    truth = plan()
    old = suppression.suppress(truth, settings=Disclosure(), questionnaire=KNOWN)
    assert problems(rounding.round_published(old), truth) == []


def test_rows_that_a_signed_release_left_out_move_no_count_to_another_row(tmp_path, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    study, truth = SimpleNamespace(name="x"), shares("cross_g__q", GROUPS)
    folder = archive.archive_dir(study) / "2022-000000000000"
    write_table(folder / "truth.csv", truth)
    write_table(folder / "estimates.csv", truth.iloc[4:].assign(n_cell=np.nan, status="published"))
    write_table(archive.archive_index(study), archive.hash_archive(study))
    (kept,) = archive.read_archive(study)
    assert kept["n_cell"].tolist() == [2.0, 3.0, 40.0, 30.0, 30.0]  # b's last two, and c's
