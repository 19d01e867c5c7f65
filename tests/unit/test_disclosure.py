"""The gate: what is hidden, what is rounded, what a report may know."""

import numpy as np
import pandas as pd
import pytest

from tsunagari import disclosure
from tsunagari.study import ESTIMATE_COLUMNS, Disclosure


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
    return disclosure.as_estimates(pd.DataFrame(rows))


def ledger(counts):
    rows = [
        {"table_id": "ledger", "measure": "count", "unit": "rows", "domain": "all",
         "domain_value": "all", "item": "outcome", "item_value": value, "estimate": float(count)}
        for value, count in counts.items()
    ]  # fmt: skip
    return disclosure.as_estimates(pd.DataFrame(rows))


def hidden_values(table):
    return set(table.loc[table["status"] == "suppressed", "item_value"])


def test_a_hidden_row_keeps_its_keys_and_loses_every_number_mark_and_verdict():
    table = disclosure.suppress(percents({"1": 3, "2": 6}, base=9), settings=Disclosure())
    row = table.iloc[0]
    assert row["reason"] == "BASE_UNDER_10" and row["status"] == "suppressed"
    assert (row["item"], row["item_value"], row["domain_value"]) == ("health", "1", "all")
    assert table[disclosure.HIDDEN_COLUMNS].isna().to_numpy().all()


@pytest.mark.parametrize(
    ("base", "status"),
    [(10, "reference"), (29, "reference"), (30, "low_base"), (49, "low_base"), (50, "published")],
)
def test_status_says_how_small_the_base_is(base, status):
    table = disclosure.suppress(percents({"1": base}, base=base), settings=Disclosure())
    assert table["status"].tolist() == [status]


def test_ledger_hides_few_rows_and_a_second_reason_beside_them():
    # 2100 = 2000 + 100 and 100 = 4 + 36 + 60: 4 alone would come back as 100 - 36 - 60.
    rows = ledger({"read": 2100, "analysed": 2000, "quarantined": 100, "A": 4, "B": 36, "C": 60})
    assert hidden_values(disclosure.hide_ledger(rows, threshold=10)) == {"A", "B"}


def test_ledger_hides_the_totals_where_only_few_rows_were_quarantined():
    # 2006 - 2000 = 6 = the only reason.
    rows = ledger({"read": 2006, "analysed": 2000, "quarantined": 6, "A": 6})
    assert hidden_values(disclosure.hide_ledger(rows, threshold=10)) == {"read", "quarantined", "A"}


def test_ledger_shows_a_zero_and_large_counts():
    rows = ledger({"read": 2050, "analysed": 2000, "quarantined": 50, "A": 0, "B": 50})
    assert hidden_values(disclosure.hide_ledger(rows, threshold=10)) == set()


def test_percents_of_a_base_under_200_are_whole_and_half_rounds_up():
    # 25 of 200 = 12.5 keeps its decimal; 20 of 160 = 12.5 becomes 13 (numpy would say 12).
    table = pd.concat([percents({"1": 25}, base=200), percents({"1": 20}, base=160)])
    assert disclosure.round_published(table)["estimate"].tolist() == [12.5, 13.0]


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
    rounded = disclosure.round_published(rows)
    assert rounded["estimate"].tolist() == [1.01, -2.3, 5.13, 86_000, 8_700]
    assert rounded["p_value"].tolist()[:2] == [0.001, 0.05]
    assert rounded["n_cell"].isna().all()


def test_the_gate_keeps_rows_order_and_columns_and_leaves_its_input_alone():
    before = percents({"1": 3, "2": 50}, base=53)
    kept = before.copy()
    after = disclosure.suppress(before, settings=Disclosure())
    pd.testing.assert_frame_equal(before, kept)
    assert list(after.columns) == list(ESTIMATE_COLUMNS)
    assert after["item_value"].tolist() == ["1", "2"]
