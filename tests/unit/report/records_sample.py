"""Made-up records as notebook 06 publishes them, one of each kind: every text is said."""

# ruff: noqa: E501 (tables of cases)

import pandas as pd
from tests.browser import published_sample as sample

from tsunagari.estimates import conform
from tsunagari.programmes.ledger import NOT_JUDGED
from tsunagari.report.published import Published

SOURCE = "県の報告書 令和4年度"


def row(table, item, value="1", **more):
    """Return one row of a programme's table; a count of people unless told otherwise."""
    told = {"measure": "count", "unit": "persons", "domain": "all", "domain_value": "all"}
    told |= {"wave": str(sample.YEAR), "weighting": "records", "status": "published"}
    return told | {"table_id": table, "item": item, "item_value": value, "source": SOURCE} | more


def share(table, item, value="1", **more):
    return row(table, item, value, **{"measure": "share", "unit": "percent"} | more)


def place(item, trouble, code, n, *, by="region", name="東予"):
    more = {"domain": by, "domain_value": code, "estimate": n, "unit": "organisations"}
    return row("programme_resources", item, trouble, item_label="お金", reason=name, **more)


def figures():
    """Return the rows of every programme and of the ledger."""
    calls, flow = "programme_consultations", "programme_courses"
    month = {"domain": "month", "n_unweighted": 400}
    first = {"domain": "from_stage", "domain_value": "相談受付", "item_label": "プラン"}
    found = [
        row("programme_symposium", "E1 合計", "会場", item_label="会場", estimate=300, reason="約の数"),
        row("programme_symposium", "E1 方法", "会場", item_label="対面", estimate=40),
        share("programme_symposium", "E1 満足 後", "1", item_label="満足", estimate=88, reason="n 不明（区間は出しません）"),
        share("programme_symposium", "E1 満足 後", "top", item_label="満足か（満足）", estimate=88),
        share("programme_council", "attendance", item_label="出席率", estimate=88.7, reason="97のうち86"),
        share("programme_supporters", "registered", item_label="登録", estimate=84, n_unweighted=50,
              domain="cohort", domain_value="S1", source="synthetic", reason="全員"),
        share(calls, "answer_rate", item_label="応答率", estimate=77.6, lower=76.4, upper=78.8,
              n_unweighted=4509),
        row(calls, "answer_rate", item_label="応答率", estimate=3500, n_unweighted=4509),
        *(row(calls, "answer_rate", domain_value=m, estimate=n, **month)
          for m, n in (("2023-04", 300), ("2023-05", 310))),
        *(row(calls, "受付月", m, estimate=n) for m, n in (("2023-04", 272), ("2023-05", 280))),
        *(row("programme_resources", "registered", domain="month", domain_value=m, estimate=n)
          for m, n in (("2023-04", 60), ("2023-05", 70))),
        row("programme_resources", "registered", estimate=70, unit="organisations"),
        *(row("programme_resources", "residents", domain="region", domain_value=code, estimate=n)
          for code, n in (("1", 230_000), ("2", 420_000))),
        *(row("programme_resources", item, "2", measure="rate", unit="per_10000", domain="region",
              domain_value=code, estimate=n)
          for code in "12" for item, n in (("trouble", 1250), ("local", 0.13))),
        share("programme_council", "attendance", domain="meeting", domain_value="M1", estimate=90.6,
              reason="32のうち29"),
        *(place("local", "2", code, n) for code, n in (("1", 3), ("2", 0))),
        *(place("wide", "2", code, n) for code, n in (("1", 1), ("2", 1))),
        place("local", "2", "382019", 0, by="municipality", name="松山市"),
        place("wide", "2", "382019", 0, by="municipality", name="松山市"),
        row(flow, "flow", "プラン", estimate=45, n_unweighted=64, **first),
        share(flow, "flow", "プラン", estimate=70, n_unweighted=64, **first),
        row(flow, "flow", "中断", **first | {"status": "suppressed", "item_label": "中断"}),
        share(flow, "flow", "中断", **first | {"status": "suppressed", "item_label": "中断"}),
        row(flow, "flow", "プラン", estimate=14, **first | {"measure": "median", "unit": "days"}),
        *(row("kpi", "K1", measure=m, unit="percent", estimate=n, item_label="届いた割合")
          for m, n in (("actual", 70), ("target", 90), ("baseline", 60), ("previous", 65),
                       ("achievement", 77.8))),
        row("kpi", "K1", measure="gap", unit="points", estimate=20),
        row("kpi", "K2", measure="actual", estimate=300),
        row("typed_texts", "actions 1", "what", measure="text", unit="text", reason="3団体に頼む"),
        row("typed_texts", "actions 1", "result", measure="text", unit="text", reason="1件を紹介"),
    ]  # fmt: skip
    return conform(pd.DataFrame(found))


_LEDGER = """
kpi_id programme_id programme_name stage layer indicator_name definition base unit qual_result
overlaps_with direction_next direction_reason source source_page target_on is_approximate
baseline_source figure_row_id verdict verdict_label verdict_reason
""".split()


def kpi(**told):
    return dict.fromkeys(_LEDGER, "") | {"programme_name": "催し", "source": SOURCE} | told


def told():
    """Return the files beside the figures, one line of each kind."""
    judged = {"verdict": "below", "verdict_label": "目標に届かず、基準より良くなったとは言えません"}
    not_judged = {"verdict": "not_judged", "verdict_label": "判定しません（約の数のため）"}
    plan = {"plan_id": "P-K1", "goal_indicator": "K1", "current": "届いた割合は70%です。",
            "issue": "目標（90%）との差が20ポイントあります。", "goal": "90%とします。",
            "measure": "やり方を変えます。", "owner": "", "direction": "継続", "direction_reason": "",
            "origin": "規則による案", "for_decision": "無", "rank": "1.0"}  # fmt: skip
    action = {"what": "3団体に頼む", "owner": "県", "due_on": "2023-10-01", "state": "対応中",
              "result": "1件を紹介", "is_from_last": "True", "is_overdue": "True"}  # fmt: skip
    lines = {
        "ledger": [
            kpi(kpi_id="K1", programme_id="symposium", indicator_name="届いた割合", baseline_source="前年度の記録", **judged),
            kpi(kpi_id="K2", programme_id="symposium", indicator_name="参加者", unit="人",
                overlaps_with="K1", is_approximate="有", **not_judged),
        ],
        "plan": [plan, plan | {"origin": "担当課の案", "for_decision": "有", "owner": "県"}],
        "plan_review": [{"plan_id": "P-K1", "goal": "90%とします。", "measure": "",
                         "indicator_name": "届いた割合", "done_state": "一部", "done_note": "途中",
                         "measured_kpi": "K1", "unit": "%", "verdict_label": "届きません"}],
        "actions": [action],
        "logic": [{"from_kpi": "K2", "to_kpi": "K1"}],
        "events": [{"event_id": "E1", "event_name": "講演会"}],
        "meetings": [{"meeting_id": "M1", "body": "会議", "held_on": "2023-08-30", "agenda": "一;二", "decisions": "承認"}],
        "publicity": [{"date": "2023-04-15", "kind": "広報紙", "label": "案内"}],
    }  # fmt: skip
    return {name: pd.DataFrame(found) for name, found in lines.items()}


def published(*, has_survey=True, **records):
    """Return a report's rows with records, beside a survey or alone."""
    files = told() | records
    about = sample.about(is_synthetic=True)
    if has_survey:
        rows = sample.estimates()
        asked = rows[rows["table_id"].isin(["gt_trouble", "cross_region__trouble"])]
        return Published(pd.concat([sample.small(), asked, figures()]), about, files)
    names = ("study", "year", "title", "area", "people", "texts", "marks", "disclosure", "notes")
    alone = {name: about[name] for name in names} | {"min_cell_n": 10, "is_synthetic": True}
    return Published(figures(), alone | {"has_survey": False, "synthetic_inputs": []}, files)


def unjudged():
    """Return the records of a place without a survey, of whose indicators none is judged."""
    few = {"verdict": NOT_JUDGED, "verdict_reason": "n が30未満のため"}
    return published(has_survey=False, ledger=told()["ledger"].assign(**few))
