"""A made-up published/ folder, to test pages without data.

Every number is drawn from a seed and means nothing. The small counts and bases are there so that
hidden cells, reference values and low bases occur.
"""

import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd

from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.report.charts import CSV
from tsunagari.report.published import Published

YEAR = 2023
NOTE = "区間は、地域と年代が同じ人の中から無作為に選んだとみなした目安です。"


def variable(label, values, *, short=None, nets=None, kind="SA", missing=True, roles=None):
    options = {str(i): text for i, text in enumerate(values, start=1)}
    if isinstance(values, dict):
        options = dict(values)
    missing_values = {"no_answer": "無回答"} if missing else {}
    net_values = {name: text for name, (text, _) in (nets or {}).items()}
    return {
        "label": label,
        "short_label": short or label,
        "values": {**options, **missing_values, **net_values},
        "kind": kind,
        "nets": {name: codes for name, (_, codes) in (nets or {}).items()},
        "roles": roles or {},
    }


FIVE = ["決してない", "ほとんどない", "たまにある", "時々ある", "しばしばある・常にある"]
SEVEN = [
    "週4〜5回以上",
    "週2〜3回程度",
    "週1回程度",
    "2週間に1回程度",
    "月1回程度",
    "月1回未満",
    "全くない",
]
EVENTS = [
    "一人暮らし",
    "転校・転職・離職・退職（失業を除く）",
    "失業・休職・退学・休学（中退・不登校を含む）",
    "家族との離別",
    "家族との死別",
    "心身の重大なトラブル（病気・けがなど）",
    "人間関係による重大なトラブル（いじめ・ハラスメントなどを含む）",
    "生活困窮・貧困",
    "その他",
    "特にない・いずれもない",
]
VARIABLES = {
    "region": variable("お住まいの地域", ["東予", "中予", "南予"], short="地域"),
    "sex": variable(
        "あなたの性別", ["男性", "女性", "その他（答えたくない・わからないを含む）"], short="性別"
    ),
    "cohab": variable(
        "同居している人の有無", ["いる", "いない（一人暮らし）"], short="同居人の有無"
    ),
    "econ_status": variable(
        "現在の経済的な暮らし向き",
        ["大変ゆとりがある", "ややゆとりがある", "普通", "やや苦しい", "大変苦しい"],
        short="暮らし向き",
        nets={"hard": ("苦しい", ["4", "5"])},
    ),
    "ucla1": variable("自分には人とのつきあいがないと感じることがありますか", FIVE[:4]),
    "lonely_direct": variable(
        "どの程度、孤独であると感じることがありますか",
        FIVE,
        short="孤独感（直接質問）",
        nets={"some": ("孤独感がある（計）", ["3", "4", "5"])},
    ),
    "event": variable(
        "現在の孤独感に影響を与えたと思う出来事（いくつでも）",
        EVENTS,
        short="孤独感に影響した出来事",
        kind="MA",
        roles={"9": "other", "10": "exclusive"},
    ),
    "contact_face": variable(
        "同居していない家族や友人たちと、直接会って話す頻度", SEVEN, short="直接会って話す頻度"
    ),
    "contact_phone": variable(
        "同居していない家族や友人たちと、電話で話す頻度", SEVEN, short="電話の頻度"
    ),
    "particip": variable(
        "現在参加している社会活動（いくつでも）",
        [
            "PTA・自治会・町内会などの活動",
            "ボランティア活動",
            "スポーツ・趣味・娯楽・教養・自己啓発などの活動",
            "特に参加はしていない",
        ],
        short="社会活動への参加",
        kind="MA",
        roles={"4": "exclusive"},
    ),
    "consult_has": variable(
        "不安や悩みがあるとき、相談する相手がいますか", ["いる", "いない"], short="相談相手の有無"
    ),
    "trouble": variable(
        "孤独・孤立に関して、具体的に困っていること（いくつでも）",
        ["話し相手がいない", "移動手段がない", "お金のこと", "特に困っていることはない"],
        short="具体的な困りごと",
        kind="MA",
        roles={"4": "exclusive"},
    ),
    "age_band": variable(
        "年代",
        {
            "16-19": "16〜19歳",
            "20s": "20代",
            "30s": "30代",
            "40s": "40代",
            "50s": "50代",
            "60s": "60代",
            "70s": "70代",
            "80+": "80歳以上",
        },
        kind="derived",
    ),
    "ucla_band": variable(
        "UCLA孤独感尺度 3項目の合計点（区分）",
        {
            "3": "3点（決してない）",
            "4-6": "4〜6点（ほとんどない）",
            "7-9": "7〜9点（時々ある）",
            "10-12": "10〜12点（常にある）",
        },
        short="UCLA 合計点の区分",
        kind="derived",
    ),
    "ucla_total": variable(
        "UCLA孤独感尺度 3項目の合計点（3〜12点）", [], short="UCLA 合計点", kind="NUM"
    ),
    "is_lonely": variable("孤独感（2区分）", {"y": "ある", "n": "ない"}, kind="derived"),
    "is_isolated": variable("会う頻度（2区分）", {"y": "月1回未満", "n": "以上"}, kind="derived"),
}
JOINT = {"y x y": 15.0, "y x n": 28.1, "n x y": 12.0, "n x n": 44.9}
SHARES = {
    "lonely_direct": [18.2, 38.1, 20.1, 15.4, 7.6, 0.6],
    "ucla_band": [17.0, 34.2, 39.9, 8.2, 0.7],
    "contact_face": [15.0, 12.0, 13.0, 13.0, 20.0, 15.5, 11.0, 0.5],
    "contact_phone": [12.0, 13.0, 15.0, 13.0, 20.0, 15.0, 11.5, 0.5],
    "consult_has": [88.0, 11.5, 0.5],
    "cohab": [81.0, 18.7, 0.3],
    "econ_status": [4.0, 12.0, 51.0, 24.0, 8.7, 0.3],
    "ucla1": [20.0, 38.0, 33.0, 8.6, 0.4],
    "sex": [47.1, 52.0, 0.7, 0.2],
    "event": [15.0, 9.5, 8.1, 6.0, 20.3, 14.0, 12.2, 9.0, 3.0, 37.0, 0.8],
    "particip": [20.0, 8.0, 26.0, 52.0, 0.4],
    "trouble": [9.1, 7.4, 15.0, 66.0, 0.4],
}
GROUPS = {
    "region": {"1": 700, "2": 960, "3": 340},
    "age_band": {
        "16-19": 90,
        "20s": 205,
        "30s": 240,
        "40s": 310,
        "50s": 320,
        "60s": 350,
        "70s": 340,
        "80+": 145,
    },
    "sex": {"1": 940, "2": 1046, "3": 14},
    "cohab": {"1": 1620, "2": 374, "no_answer": 6},
    "econ_status": {"1": 45, "2": 240, "3": 1020, "4": 480, "5": 215},
}
INDICATORS = {
    "lonely_often": (
        "孤独感が「しばしばある・常にある」人",
        "孤独感がしばしば・常にある人",
        "lonely_direct",
        ["5"],
    ),
    "lonely_any": (
        "孤独感がある人（「たまにある」以上の計）",
        "孤独感がある人（計）",
        "lonely_direct",
        ["3", "4", "5"],
    ),
    "ucla_high": (
        "UCLA孤独感尺度の合計が10〜12点の人",
        "UCLA 10〜12点の人",
        "ucla_band",
        ["10-12"],
    ),
    "no_contact": (
        "直接会って話すことが全くない人",
        "直接会って話すことが全くない人",
        "contact_face",
        ["7"],
    ),
    "no_participation": (
        "社会活動に特に参加していない人",
        "社会活動に参加していない人",
        "particip",
        ["4"],
    ),
    "no_consult": (
        "不安や悩みを相談する相手がいない人",
        "相談相手がいない人",
        "consult_has",
        ["2"],
    ),
}
AXES = [["region"], ["age_band"], ["sex"], ["age_band", "sex"], ["cohab"], ["econ_status"]]
CROSSES = [
    "lonely_direct",
    "ucla_band",
    "event",
    "contact_face",
    "particip",
    "consult_has",
    "trouble",
]
REPORT = {
    "loneliness": ["lonely_direct", "ucla_band"],
    "ties": ["contact_face", "contact_phone", "particip", "consult_has"],
    "others": ["event", "trouble"],
}


def about(*, is_synthetic: bool) -> dict:
    inputs = ["2023/responses_synthetic.csv", "2022/responses_synthetic.csv"]
    return {
        "study": "ehime",
        "year": YEAR,
        "title": "愛媛県 孤独・孤立に関する実態調査",
        "area": "愛媛県",
        "people": "愛媛県に住む満16歳以上の人",
        "is_synthetic": is_synthetic,
        "synthetic_inputs": inputs if is_synthetic else [],
        "fieldwork": "2024年1月",
        "mode": "ウェブ調査（3地域×年代の割付）",
        "population_date": "2023-01-01",
        "population_note": "2023年度の重みにも、2023年1月1日の住民基本台帳人口を使っています。",
        "weighting_label": "地域×年代×性別の人口で事後層化",
        "region": "region",
        "regions": ["東予", "中予", "南予"],
        "publication": {
            "publisher": "県（表示例）",
            "stage": "速報",
            "contact": "未定",
            "next_report": "未定",
        },
        "variables": VARIABLES,
        "indicators": {
            name: {
                "label": label,
                "short_label": short,
                "item": item,
                "item_values": codes,
                "definition": f"{VARIABLES[item]['label']}："
                + "・".join(f"「{VARIABLES[item]['values'][code]}」" for code in codes),
                "base": "asked",
            }
            for name, (label, short, item, codes) in INDICATORS.items()
        },
        "base": "asked",
        "axes": AXES,
        "crosses": CROSSES,
        "benchmark": {
            "label": "全国（人々のつながりに関する基礎調査）",
            "year": 2023,
            "caveat": "全国は無作為抽出の郵送、県は割付のウェブ調査で、方法がちがいます。",
            "not_compared": ["職業"],
        },
        "report": REPORT,
        "quotes": [
            {"theme": "収入・家計・借金", "quote": "値上がりで家計のやりくりが大変です"},
            {"theme": "話し相手がいない", "quote": "おしゃべりする人がほしい"},
        ],
        "voices": {
            "questions": ["trouble"],
            "themes": ["trouble"],
            "region": "region",
            "compared": "sex",
            "ever": None,
        },
        "joint": [["is_lonely", "is_isolated"]],
        "linked": {"lonely_direct": [], "trouble": ["code_new"], "sex": ["not_planned"]},
        "texts": {},
        "marks": {"point_threshold": 3.0, "confidence": 0.95},
        "disclosure": {
            "base_minimum": 10,
            "threshold": 10,
            "threshold_two_way": 5,
            "base_reference": 30,
            "base_low": 50,
            "area": "prefecture",
        },
        "notes": ["16〜19歳の人口は、住民基本台帳の15〜19歳の5分の4としました。"],
        "error_note": NOTE,
        "min_cell_n": 10,
    }


def percent_row(share, n, **key):
    """Return one percent as the gate would publish it; hidden under 10 respondents."""
    row = {
        "wave": YEAR,
        "measure": "percent",
        "unit": "percent",
        "domain": "all",
        "domain_value": "all",
        "weighting": "事後層化",
        "mark": "",
        "status": "published",
    }
    row |= key
    cell = round(share * n / 100)
    if n < 10 or cell < 10:
        return row | {"status": "suppressed", "reason": "HIDDEN", "mark": ""}
    half = 1.96 * (share * (100 - share) / n) ** 0.5
    digits = 0 if n < 200 else 1
    row |= {
        "estimate": round(share, digits),
        "std_error": round(half / 1.96, digits),
        "lower": round(max(share - half, 0), digits),
        "n_unweighted": n,
        "n_effective": n,
        "upper": round(min(share + half, 100), digits),
        "df": n - 1,
    }
    if n < 30:
        row["status"] = "reference"
    elif n < 50:
        row["status"] = "low_base"
    return row


def answers(item):
    values = VARIABLES[item]["values"]
    nets = VARIABLES[item]["nets"]
    codes = [code for code in values if code not in nets]
    shares = dict(zip(codes, SHARES[item], strict=True))
    shares |= {net: sum(shares[code] for code in parts) for net, parts in nets.items()}
    return {code: (values[code], share) for code, share in shares.items()}


def gt_rows():
    rows = []
    for item in SHARES:
        n = 800 if item == "event" else 2000
        for code, (label, share) in answers(item).items():
            rows.append(
                percent_row(
                    share, n, table_id=f"gt_{item}", item=item, item_value=code, item_label=label
                )
            )
    mean = percent_row(
        6.4,
        2000,
        table_id="gt_ucla_total",
        item="ucla_total",
        item_value="",
        item_label="UCLA 合計点",
    )
    return [*rows, mean | {"measure": "mean", "unit": "score", "lower": 6.3, "upper": 6.5}]


def cross_rows(rng):
    rows = []
    for axis in AXES:
        name = " x ".join(axis)
        for item in CROSSES:
            for value, n in groups_of(axis).items():
                tilt = 1 + 0.35 * rng.standard_normal()
                for code, (label, share) in answers(item).items():
                    own = min(max(share * (1 + 0.15 * rng.standard_normal()) * tilt, 0.1), 97)
                    mark = "▲" if own - share > 6 else "▽" if own - share < -6 else ""
                    key = {"table_id": f"cross_{name.replace(' x ', '_x_')}__{item}"}
                    key |= {"item": item, "item_value": code, "item_label": label}
                    key |= {"domain": name, "domain_value": value, "mark": mark}
                    rows.append(percent_row(own, n, **key))
                    is_tested = rows[-1]["status"] in ("published", "low_base")
                    if is_tested and VARIABLES[item]["kind"] == "SA":
                        gap = key | {"n_unweighted": n, "verdict": "", "reason": ""}
                        rows.append(gap_row(round(own - share, 1), **gap))
    return rows


def groups_of(axis):
    if len(axis) == 1:
        return GROUPS[axis[0]]
    first, second = (GROUPS[name] for name in axis)
    total = sum(second.values())
    return {f"{a} x {b}": round(n * m / total) for a, n in first.items() for b, m in second.items()}


def headline_rows():
    rows = []
    for name, (_, short, item, codes) in INDICATORS.items():
        share = sum(answers(item)[code][1] for code in codes)
        rows.append(
            percent_row(
                share, 2000, table_id="headline", item=name, item_value="yes", item_label=short
            )
        )
    return rows


def gap_row(points, **key):
    row = {
        "wave": YEAR,
        "measure": "difference_points",
        "unit": "points",
        "domain": "all",
        "domain_value": "all",
        "estimate": points,
        "std_error": 0.6,
        "lower": round(points - 1.2, 1),
        "upper": round(points + 1.2, 1),
        "df": 1960,
        "p_value": 0.001,
        "p_adjusted": 0.001,
        "n_unweighted": 2000,
        "status": "published",
        "mark": "",
        "reason": "方法のちがいによる差を含みます。",
    }
    sure = abs(points) > 1.2
    row["verdict"] = ("高い" if points > 0 else "低い") if sure else "差は確認できない"
    return row | key


def comparison_rows():
    rows = []
    for item in ("lonely_direct", "ucla_band", "contact_face"):
        for code, (label, share) in answers(item).items():
            key = {"item": item, "item_value": code, "item_label": label}
            theirs = share * 0.8 if code in ("5", "10-12", "7") else share
            own = {"table_id": f"national_{item}", **key}
            rows.append(percent_row(share, 2000, **own))
            rows.append(percent_row(theirs, 11141, measure="percent_benchmark", **own))
            rows.append(percent_row(share - 0.2, 2000, measure="percent_age_standardised", **own))
            rows.append(gap_row(round(share - theirs, 1), **own) | {"verdict": ""})
            aged = gap_row(round(share - theirs - 0.2, 1), **own)
            aged["measure"] = "difference_points_age_standardised"
            if item == "contact_face" and code == "no_answer":
                aged |= {"verdict": "比較できない", "estimate": None, "lower": None, "upper": None}
            rows.append(aged)
            waves = {"table_id": f"waves_{item}", **key}
            rows.append(percent_row(share, 2000, **waves))
            rows.append(percent_row(share * 0.97, 1980, **waves | {"wave": YEAR - 1}))
            rows.append(gap_row(round(share * 0.03, 1), **waves))
    return rows


def model_rows(rng):
    rows, levels = (
        [],
        {
            "age_band": ["60s", "20s", "30s", "80+"],
            "sex": ["2", "1"],
            "cohab": ["1", "2"],
            "econ_status": ["3", "hard"],
        },
    )
    for outcome in ("lonely_often", "ucla_high"):
        key = {
            "wave": YEAR,
            "table_id": f"model_{outcome}",
            "domain": "all",
            "domain_value": "all",
            "status": "published",
        }
        for factor, codes in levels.items():
            for place, code in enumerate(codes):
                ratio = 1.0 if place == 0 else round(float(np.exp(0.6 * rng.standard_normal())), 2)
                own = key | {
                    "item": factor,
                    "item_value": code,
                    "n_unweighted": 300,
                    "item_label": VARIABLES[factor]["values"][code],
                }
                base = {"mark": "基準", "reason": "比較の基準の区分"}
                odds = own | {"measure": "odds_ratio", "unit": "ratio", "estimate": ratio}
                points = round((ratio - 1) * 7, 1)
                effect = own | {
                    "measure": "marginal_effect_points",
                    "unit": "points",
                    "estimate": points,
                }
                if place == 0:
                    rows += [odds | base, effect | base]
                    continue
                mark = "▲" if points > 3 else "▽" if points < -3 else ""
                test = {"p_value": 0.01, "p_adjusted": 0.02 if mark else 0.3}
                rows.append(
                    odds | test | {"lower": round(ratio * 0.7, 2), "upper": round(ratio * 1.45, 2)}
                )
                effect |= test | {
                    "mark": mark,
                    "lower": round(points - 2, 1),
                    "upper": round(points + 2, 1),
                }
                rows.append(effect)
                other = {"table_id": f"model_{outcome}__sensitivity", "domain": "variant"}
                for variant in ("unweighted", "imputed"):
                    rows.append(effect | other | {"domain_value": variant, "mark": ""})
        fact = key | {"measure": "count", "unit": "persons", "item": "model"}
        rows.append(
            fact
            | {
                "item_value": "n",
                "item_label": "モデルに使った回答者",
                "estimate": 1930,
                "n_unweighted": 1930,
            }
        )
    merge = {
        "wave": YEAR,
        "table_id": "model_merges",
        "measure": "count",
        "unit": "persons",
        "domain": "outcome",
        "domain_value": "lonely_often",
        "item": "econ_status",
        "item_value": "hard",
        "item_label": "苦しい",
        "estimate": 690,
        "n_unweighted": 690,
        "status": "published",
        "reason": "「やや苦しい」「大変苦しい」を「苦しい」にまとめました"
        "（回答者か該当者の少ない区分があるため）。",
    }
    return [*rows, merge]


def ledger_and_weights():
    counts = {
        "read": ("読み込んだ回答", 2103),
        "analysed": ("分析した回答", 2000),
        "quarantined": ("除外した回答", 103),
        "SPEEDER": ("回答時間が短すぎる", 61),
        "DUPLICATE_ID": ("回答者番号の重複", 42),
    }
    key = {"wave": YEAR, "domain": "all", "domain_value": "all", "status": "published"}
    rows = [
        key
        | {
            "table_id": "ledger",
            "measure": "count",
            "unit": "rows",
            "item": "ledger",
            "item_value": code,
            "item_label": label,
            "estimate": n,
        }
        for code, (label, n) in counts.items()
    ]
    rows.append(
        rows[-1]
        | {
            "item_value": "NO_CELL",
            "item_label": "地域か年代がない",
            "estimate": None,
            "status": "suppressed",
        }
    )
    weights = {
        "n_respondents": 2000,
        "population": 1_142_000,
        "design_effect": 1.08,
        "n_effective": 1852,
        "weight_ratio": 3.4,
    }
    return rows + [
        key
        | {
            "table_id": "weights",
            "measure": measure,
            "item": "weight",
            "item_value": "",
            "estimate": value,
            "unit": "ratio",
            "n_unweighted": 2000,
        }
        for measure, value in weights.items()
    ]


def joint_rows():
    """Return the four groups of two questions, over everybody and the regions; one is marked."""
    rows, item = [], "is_lonely x is_isolated"
    for axis, groups in (("all", {"all": 1900}), ("region", GROUPS["region"])):
        table = "joint_" if axis == "all" else f"cross_{axis}__"
        for (value, n), (code, share) in itertools.product(groups.items(), JOINT.items()):
            key = {"table_id": f"{table}is_lonely_x_is_isolated", "item": item, "item_value": code}
            key |= {"domain": axis, "domain_value": value, "item_label": code}
            key |= {"mark": "▲" * ((value, code) == ("3", "y x y"))}
            row = percent_row(share, n, **key)
            if axis != "all":  # three variables print whole per cents
                row |= {name: round(row[name]) for name in ("estimate", "lower", "upper")}
                rows.append(gap_row(0, **key | {"n_unweighted": n, "verdict": "", "reason": ""}))
            rows.append(row)
    return rows


def contrast_rows():
    """Return what men name more, and less, often than the others."""
    points = {"1": 5.1, "2": -4.0, "3": 0.4, "4": -0.2}
    key = {"table_id": "cross_sex__trouble", "item": "trouble", "domain": "sex", "verdict": ""}
    return [
        gap_row(gap, **key | {"domain_value": "1", "item_value": code, "reason": "",
                              "mark": "▲" * (gap > 3) + "▽" * (gap < -3)})
        for code, gap in points.items()
    ]  # fmt: skip


def quality_rows():
    """Return quotas, the profile, sampling errors, a scale's alpha and another weighting."""
    key = {"wave": YEAR, "domain": "all", "domain_value": "all", "status": "published"}
    rows = [
        percent_row(share, 2000, table_id="profile", item=item, item_value=code, item_label=label,
                    weighting="unweighted")
        for item in ("sex", "cohab")
        for code, (label, share) in answers(item).items()
    ]  # fmt: skip
    cells = itertools.product(GROUPS["region"], ("16-19", "20s"), ("quota", "count"))
    for region, age, measure in cells:
        own = {"table_id": "quotas", "domain": "region", "domain_value": region, "item": "age_band"}
        own |= {"measure": measure, "unit": "respondents", "item_value": age, "estimate": 40}
        is_hidden = (region, age) == ("3", "16-19")
        own |= {"estimate": None, "status": "suppressed"} if is_hidden else {}
        rows.append(key | own | {"item_label": VARIABLES["age_band"]["values"][age]})
    for n, share in itertools.product((2000, 100), (1, 50)):
        own = {"table_id": "errors", "measure": "half_width", "unit": "points", "domain": "n"}
        own |= {"domain_value": str(n), "item": "share", "item_value": str(share)}
        rows.append(key | own | {"item_label": str(share), "estimate": round(share**0.5, 1)})
    for kind in ("weighted", "unweighted"):
        own = {"table_id": "gt_ucla_total", "measure": "cronbach_alpha", "unit": "ratio"}
        own |= {"item": "ucla_total", "item_value": kind, "estimate": 0.86, "n_unweighted": 1980}
        rows.append(key | own)
    for scheme in ("unweighted", "raking: region x age_band + sex", "事後層化"):
        own = {"table_id": "weights_sensitivity", "item": "lonely_often", "weighting": scheme}
        rows.append(percent_row(7.6, 2000, item_value="1", item_label="該当", **own))
    return rows


def estimates() -> pd.DataFrame:
    rng = np.random.default_rng(20231101)
    rows = [
        *ledger_and_weights(),
        *gt_rows(),
        *headline_rows(),
        *cross_rows(rng),
        *comparison_rows(),
        *model_rows(rng),
        *joint_rows(),
        *contrast_rows(),
        *quality_rows(),
    ]
    return pd.DataFrame(rows).reindex(columns=ESTIMATE_COLUMNS)


def with_six_effects(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a mark on each of a model's six effects, that of sex the smallest."""
    own = rows["table_id"].eq("model_lonely_often") & rows["measure"].eq("marginal_effect_points")
    own &= rows["mark"].ne("基準")
    size = rows["item"].map({"sex": 3.0}).fillna(9.0)
    return rows.assign(mark=rows["mark"].mask(own, "▲"), estimate=rows["estimate"].mask(own, size))


def write_sample(root: Path, *, is_synthetic: bool = True) -> Path:
    """Write data/processed/ehime/2023/published under a root and return that folder."""
    folder = root / "data/processed/ehime" / str(YEAR) / "published"
    folder.mkdir(parents=True)
    estimates().to_csv(folder / "estimates.csv", index=False)
    text = json.dumps(about(is_synthetic=is_synthetic), ensure_ascii=False)
    (folder / "about.json").write_text(text, encoding="utf-8")
    return folder


# --- words that could do harm ---------------------------------------------------------------------

HOSTILE = {
    "script": "<script>document.body.dataset.pwned=1</script>",
    "handler": '"><img src=x onerror=alert(7781)>',
    "markdown": "[x](javascript:alert(7781)) $\\frac{7$ {{7*7}}",
    "formula": '=HYPERLINK("https://evil.example/7781","押す")',
    "sum": "@SUM(1+1)*cmd|' /C calc'!A0",
    "link": "https://evil.example/7781",
    "escape": "答え_x0000__x202E_7781",
    "bidi": "答え\u202e7781\u2066\u200b\ufeff",
    "nul": "答え\x00\x0b\x1b7781",
    "long": "長" * 40_000,
}
# What a reader sees of those that are not shown as they are.
SHOWN = {"bidi": "答え7781", "nul": "答え7781", "long": "長" * 493 + "…（以下省略）"}
CONTROLS = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_WORDS = (
    "title area people mode fieldwork label short_label definition caveat population_note "
    "weighting_label error_note notes regions values"
).split()
_A_TABLE_OF_EACH_KIND = (
    "ledger|weights|headline|gt_sex|gt_ucla_total|(gt|cross_region_|national|waves)_lonely_direct|"
    "model_(lonely_often|merges)|(joint_|cross_region__)is_lonely_x_is_isolated"
)


def small() -> pd.DataFrame:
    """Return the rows of one table of each kind: a report of them takes a quarter of the time."""
    rows = estimates()
    return rows[rows["table_id"].str.fullmatch(_A_TABLE_OF_EACH_KIND)]


def published(rows: pd.DataFrame, *, is_synthetic: bool = False, **changes) -> Published:
    """Return rows as they are read from published/, with some of about.json changed."""
    text = json.dumps(about(is_synthetic=is_synthetic) | changes)
    return Published(estimates=rows, about=json.loads(text))


def hostile(text: str) -> tuple[pd.DataFrame, dict]:
    """Return a small release whose every title, label, remark and source is the text."""

    def spoil(known, *, is_word=False):
        if isinstance(known, dict):
            return {k: spoil(v, is_word=is_word or k in _WORDS) for k, v in known.items()}
        if isinstance(known, list):
            return [spoil(each, is_word=is_word) for each in known]
        return text if is_word and isinstance(known, str) else known

    rows = small()
    words = {n: rows[n].where(rows["status"] == "suppressed", text) for n in ("reason", "source")}
    return rows.assign(item_label=text, **words), spoil(about(is_synthetic=False))


class Dangers(HTMLParser):
    """Lists scripts, handlers and every address outside the volumes."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "iframe", "object", "embed", "form", "base", "link"):
            self.found.append(tag)
        for name, value in attrs:
            is_address = name in ("src", "href", "srcset", "action", "style")
            ours = rf"data:image|{CSV}|(council_report\.html|appendix\.html)?#"
            is_ours = re.match(ours, value or "")
            is_ours = is_ours or value in (
                "council_report.html",
                "appendix.html",
                "summary_en.html",
            )
            if name.startswith("on") or (is_address and not is_ours):
                self.found.append(f"{tag}[{name}]")


def dangers(page: str) -> list[str]:
    parser = Dangers()
    parser.feed(page)
    return parser.found
