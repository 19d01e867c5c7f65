"""What 06 made of a survey figure goes when the gate hides it: ledger, plan, look-back, rows."""

import numpy as np
import pandas as pd
import pytest

from tsunagari.estimates import conform
from tsunagari.gate import publish, suppression
from tsunagari.programmes import ledger, plan
from tsunagari.study.files import read_table
from tsunagari.study.survey import open_study

STUDY = open_study("ehime", 2022)
SHARE = {
    "table_id": "headline", "item": "lonely", "item_value": "1", "measure": "percent",
    "unit": "percent", "domain": "all", "domain_value": "all", "wave": "2022",
    "estimate": 3.0, "n_unweighted": 100, "n_cell": 3,
}  # fmt: skip
KNOWN = {
    "figure_row_id": "",
    "verdict": "below",
    "verdict_label": "届かず",
    "verdict_reason": "区間",
}


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Return rows as the parts hold them: a survey figure of three people, and what rests on it."""
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    share = conform(pd.DataFrame([SHARE]))
    numbers = {"unit": "%", "target_value": 2.0, "baseline_value": 4.0, "previous_value": np.nan}
    one = KNOWN | numbers | {"indicator_name": "孤独感", "source": "調査"}
    figures = {"actual_value": 3.0, "base_n": 100.0, "ci_low": 1.0, "ci_high": 8.0}
    lines = pd.DataFrame(
        [
            one | figures | {"kpi_id": "K1", "achievement_pct": 50.0},
            one | figures | {"kpi_id": "K2", "achievement_pct": 50.0},
        ]
    )
    lines.loc[0, "figure_row_id"] = share["row_id"].iloc[0]
    lines.loc[1, "figure_row_id"] = np.nan
    STUDY.save("published/ledger.csv", lines)
    proposals = [
        {"plan_id": f"P-{kpi}", "goal_indicator": kpi, "origin": origin, "current": "3%です。"}
        for kpi in ("K1", "K2") for origin in (plan.PROPOSED, plan.EDITED)
    ]  # fmt: skip
    STUDY.save("published/plan.csv", pd.DataFrame(proposals))
    review = {"measured_kpi": "K1", "actual_value": 3.0, "verdict_label": "届かず"}
    STUDY.save("published/plan_review.csv", pd.DataFrame([review]))
    return pd.concat([share, ledger.figures(lines, year=2022)], ignore_index=True)


def test_gap_and_achievement_go_with_a_hidden_figure(rows):
    settings = STUDY.config.disclosure
    reasons = pd.Series(["CELL_UNDER_10", *[None] * (len(rows) - 1)], dtype="str")
    reasons = publish.follow_figures(STUDY, rows, reasons=reasons)
    shown = suppression.apply_reasons(rows, reasons, settings=settings)
    own = shown[shown["table_id"] == "kpi"].set_index(["item", "measure"])
    for measure in ("achievement", "gap"):
        assert own.loc[("K1", measure), "status"] == "suppressed"
        assert np.isnan(own.loc[("K1", measure), "estimate"])
        assert own.loc[("K2", measure), "estimate"] in (50.0, 1.0)
    assert own.loc[("K1", "target"), "estimate"] == 2.0  # a target was set, not measured
    names = ("ledger", "plan", "plan_review")
    table, plans, review = (
        read_table(STUDY.processed_dir / f"published/{name}.csv") for name in names
    )
    table = table.set_index("kpi_id")
    assert table.loc["K1", [*ledger.FIGURE, "achievement_pct"]].isna().all()
    assert (
        table.loc["K1", "verdict"] == ledger.NOT_JUDGED
        and "秘匿" in table.loc["K1", "verdict_label"]
    )
    assert float(table.loc["K2", "actual_value"]) == 3.0
    assert (plans["goal_indicator"] + plans["origin"]).tolist() == [
        "K1" + plan.EDITED, "K2" + plan.PROPOSED, "K2" + plan.EDITED
    ]  # fmt: skip
    assert review["actual_value"].isna().all() and "秘匿" in review["verdict_label"].iloc[0]


def test_nothing_changes_where_nothing_is_hidden_or_there_is_no_ledger(rows):
    path = STUDY.processed_dir / "published/ledger.csv"
    before, none = path.read_bytes(), pd.Series([None] * len(rows), dtype="str")
    assert publish.follow_figures(STUDY, rows, reasons=none).isna().all()
    assert path.read_bytes() == before
    path.unlink()
    assert publish.follow_figures(STUDY, rows, reasons=none).isna().all()
