"""The resource list by hand: growth, freshness, coverage, supply, likely duplicates, HSDS."""

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest

from tsunagari.estimates import conform
from tsunagari.gate import suppression
from tsunagari.programmes import hsds, records, resources, schema, supply
from tsunagari.programmes.rows import finish, row
from tsunagari.study.settings import Disclosure, Region

TROUBLES = {"1": "話し相手がいない", "4": "お金のこと"}
PLACES = pd.DataFrame(
    {"label": ["松山市", "伊予市", "今治市"], "region": ["2", "2", "1"]},
    index=["38201", "38210", "38202"],
).assign(region_label=lambda t: t["region"].map({"1": "東予", "2": "中予"}))
BLANK = {
    "org_name": "つなぐ会",
    "org_name_kana": "ツナグカイ",
    "corporate_number": "",
    "service_name": "",
    "trouble_codes": "1",
    "area_codes": "38201",
    "municipality_code": "38201",
    "status": "活動中",
    "registered_on": "2022-04-10",
    "assured_on": "2022-12-01",
    "is_public": "有",
    "personal_data": "無",
    "address_withheld": "",
    "not_same_as": "",
}


def table(*rows: dict) -> pd.DataFrame:
    """Return rows that differ from `BLANK` as said, numbered R1, R2 ..."""
    return pd.DataFrame([{"resource_id": f"R{n}"} | BLANK | row for n, row in enumerate(rows, 1)])


def test_growth_counts_every_month_and_every_row():
    rows = table({}, {"registered_on": "2022-06-30"}, {"registered_on": None}, {})
    found = resources.growth(rows)
    assert found.to_numpy().tolist() == [
        ["2022-04", 2, 2],
        ["2022-05", 0, 2],
        ["2022-06", 1, 3],
        ["", 1, 4],
    ]
    assert resources.growth(table({"registered_on": ""}))["n_total"].tolist() == [1]


def test_fresh_until_twelve_months_have_passed():
    rows = table(
        {"assured_on": "2022-03-31"},
        {"assured_on": "2022-03-30"},
        {"assured_on": ""},
        {"assured_on": "2020-01-01", "status": "終了"},
    )
    found = resources.freshness(rows, date(2023, 3, 31))
    assert found["resource_id"].tolist() == ["R3", "R2", "R1"]  # an ended one is nobody's to check
    assert found["state"].tolist() == ["never", "stale", "fresh"]
    assert found["days"].tolist()[1:] == [366, 365]  # no leap day in between


def test_coverage_names_empty_cells_and_those_only_wide_ones_serve():
    rows = table(
        {"area_codes": "38201;38210"},  # two municipalities of one region: one service there
        {"area_codes": "38000", "trouble_codes": "1; 4"},
        {"area_codes": "38202;38000"},  # names the place: local there, wide elsewhere
        {"area_codes": "38202", "trouble_codes": "4", "status": "休止"},
        {"area_codes": "13101", "trouble_codes": "4"},  # elsewhere
    )
    found = supply.coverage(rows, troubles=TROUBLES, places=PLACES, by="region")
    columns = ["trouble_code", "place_label", "n_local", "n_wide", "gap"]
    assert found[columns].to_numpy().tolist() == [
        ["1", "中予", 1, 2, ""],
        ["1", "東予", 1, 1, ""],
        ["4", "中予", 0, 1, "wide_only"],
        ["4", "東予", 0, 1, "wide_only"],
    ]
    alone = supply.coverage(rows.iloc[:1], troubles=TROUBLES, places=PLACES, by="municipality")
    empty = alone[alone["gap"] == "none"]
    assert list(zip(empty["trouble_label"], empty["place_label"], strict=True)) == [
        ("話し相手がいない", "今治市"),
        ("お金のこと", "松山市"),
        ("お金のこと", "伊予市"),
        ("お金のこと", "今治市"),
    ]
    nation = supply.coverage(
        table({"area_codes": "00000"}), troubles=TROUBLES, places=PLACES, by="municipality"
    )
    assert nation["n_wide"].tolist() == [1, 1, 1, 0, 0, 0]


def test_supply_beside_demand_for_ten_thousand_residents():
    local = [
        row("local", "1", measure="count", unit="organisations", estimate=n)
        | {"domain": "region", "domain_value": place, "item_label": "話し相手がいない"}
        for place, n in (("2", 3.0), ("1", 0.0))
    ]
    asked = pd.DataFrame(
        [
            ("trouble", "1", "2", 20.04, 18.0, 22.0, 40_080, 200_000, 400),
            ("trouble", "1", "1", 10.4, 8.0, 12.0, 5_200, 50_000, 199),
            ("trouble_theme", "talk", "2", 30.0, 28.0, 32.0, np.nan, 200_000, 60),
        ],
        columns="item item_value region percent lower upper persons residents n_unweighted".split(),
    ).assign(item_label="話し相手がいない")
    figures = finish(local, table="resources", year=2022)
    found = supply.supply(figures, asked, region="area", year=2022, source="人口")
    assert set(found["table_id"]) == {"programme_resources"} and set(found["domain"]) == {"area"}
    assert found["row_id"].is_unique and set(found["source"]) == {"人口"}
    keys = ["item", "item_value", "domain_value"]
    rates = found[found["measure"] == "rate"].set_index(keys)
    # 20.04 % is printed as 20.0 %: 2,000 of 10,000. 199 people have whole per cents: 10 %.
    assert rates.loc[("trouble", "1", "2"), ["estimate", "lower", "upper"]].tolist() == [
        2000, 1800, 2200
    ]  # fmt: skip
    assert rates.loc[("trouble", "1", "1"), "estimate"] == 1000
    assert rates.loc[("local", "1", "2"), "estimate"] == pytest.approx(0.15)  # 3 of 200,000
    assert rates.loc[("local", "1", "1"), "estimate"] == 0
    assert len(rates) == 4  # a theme is a share of those who wrote, not of residents
    people = found[found["item"] == "residents"].set_index("domain_value")["estimate"]
    assert people.to_dict() == {"2": 200_000, "1": 50_000}


def test_a_rate_follows_the_share_that_the_gate_hides():
    share = {"table_id": "cross_area__trouble", "measure": "percent", "domain": "area"}
    share |= {"domain_value": "1", "item": "trouble", "item_value": "1", "wave": "2022"}
    shown = share | {"domain_value": "2", "estimate": 50.0, "n_cell": 50, "n_unweighted": 100}
    few = share | {"estimate": 3.0, "n_cell": 3, "n_unweighted": 100}
    own = {"table_id": "programme_resources", "measure": "rate", "unit": "per_10000"}
    rows = conform(pd.DataFrame([shown, few, shown | own, few | own])).assign(unit="percent")
    rows.loc[rows["measure"] == "rate", "n_cell"] = np.nan
    gated = suppression.suppress(rows, settings=Disclosure())
    assert gated["status"].eq("suppressed").tolist() == [False, True, False, True]
    assert gated["estimate"].isna().tolist() == [False, True, False, True]


def test_every_figure_is_a_row_of_estimates(tmp_path):
    lines = [
        "ID,団体名,困りごと,担当区域,状態,登録日,最終確認日,公開,出典",
        "R1,ひなた会,1,松山市,活動中,2022-04-10,2022-12-01,有,担当課の記録",
        "R2,(株)ひなた会,1,松山市,活動中,2020-11-10,2020-12-01,有,担当課の記録",
        "R3,みかん会,4,愛媛県,終了,2022-05-11,,,担当課の記録",
    ]
    (tmp_path / "resources.csv").write_text("\n".join(lines), encoding="utf-8")
    areas = PLACES["label"].to_dict() | {"38000": "愛媛県"}
    found = records.read(
        tmp_path, year=2022, areas=areas, lists=schema.declared()["lists"] | {"trouble": TROUBLES}
    )
    assert found.quarantine.empty and found.cells.empty
    rows = supply.measure(found, year=2022, troubles=TROUBLES, places=PLACES)
    assert rows["row_id"].is_unique
    assert set(rows["table_id"]) == {"programme_resources"}
    assert set(rows["source"]) == {"担当課の記録"}
    keys = ["item", "domain_value", "item_value"]
    figures = rows.set_index(keys)["estimate"]
    assert figures["registered", "all", "1"] == 3
    assert figures["registered", "2022-05", "1"] == 3
    assert figures["new", "2022-05", "1"] == 1
    assert figures["pairs", "all", "1"] == 1
    assert figures["assured", "all", "stale"] == 50  # one of two active
    places = rows["measure"].eq("count") & rows["item"].eq("local") & rows["domain"].eq("region")
    assert rows[places].set_index(keys)["estimate"]["local", "2", "1"] == 2
    assert figures["gap_region", "all", "none"] == 3  # 東予 both, 中予 money


def test_pairs_to_decide_and_the_plainest_reason():
    rows = table(
        {"org_name": "NPO法人 つなぐ会"},
        {"org_name": "ＮＰＯ法人　つなぐ会"},  # width and space
        {"org_name": "特定非営利活動法人つなぐ会", "municipality_code": "38202"},
        {"org_name": "繋ぐ会", "org_name_kana": "とくていひえいりかつどうほうじん　つなぐかい"},
        {"org_name": "NPO法人 つなぐ会", "service_name": "夜の電話"},  # another service
        {"org_name": "ほっと食堂", "org_name_kana": "ホットショクドウ"},
        {
            "org_name": "ほっと食堂",
            "org_name_kana": "ホットショクドウ",
            "service_name": "ほっと食堂",
        },
    )
    before = rows.copy()
    decided = rows.assign(not_same_as=["R9;R2", "", "", "", "", "", ""])
    apart = resources.duplicates(decided)[["resource_id", "other_id"]]
    assert apart.to_numpy().tolist() == [["R1", "R3"], ["R1", "R4"], ["R6", "R7"]]
    decided = rows.assign(not_same_as=["R2", "", "R1", "", "", "", "R6"])  # said by either row
    apart = resources.duplicates(decided)[["resource_id", "other_id"]]
    assert apart.to_numpy().tolist() == [["R1", "R4"], ["R2", "R3"]]
    found = resources.duplicates(rows)
    columns = ["resource_id", "other_id", "reason", "is_same_place"]
    assert found[columns].to_numpy().tolist() == [
        ["R1", "R2", "width", True],
        ["R1", "R3", "legal_form", False],
        ["R1", "R4", "kana", True],
        ["R6", "R7", "name", True],
    ]
    pd.testing.assert_frame_equal(rows, before)
    numbers = table(
        {"org_name": "甲", "org_name_kana": "", "corporate_number": "1234567890123"},
        {"org_name": "乙", "org_name_kana": "", "corporate_number": "1234567890123"},
        {"org_name": "丙", "org_name_kana": ""},
    )
    assert resources.duplicates(numbers)["reason"].tolist() == ["corporate_number"]
    assert resources.duplicates(rows.iloc[:1]).empty


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("社会福祉法人ひなた", "（福）ひなた"),
        ("㈱ひなた", "株式会社 ヒナタ"),
        ("一般社団法人ひなたｻﾎﾟｰﾄｾﾝﾀｰ", "ひなたサポートセンター"),
        ("認定NPO法人ひなた", "特定非営利活動法人ひなた"),
    ],
)
def test_legal_form_width_and_kana_do_not_part_names(one, other):
    assert resources.name_key(one) == resources.name_key(other)


def test_a_name_that_is_only_a_legal_form_keeps_it():
    assert resources.name_key("NPO法人") == "npo法人"
    assert resources.name_key("") == ""


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"open_days": "月火水木金", "opens_at": "9:00", "closes_at": "17:30"}, (31, 540, 1050)),
        ({"open_days": "日土", "opens_at": "22:00", "closes_at": "02:00"}, (96, 1320, 1560)),
        ({"open_24h": "有"}, (127, 0, 1440)),
        ({"open_days": "月", "opens_at": "09:00", "closes_at": "09:00"}, (1, 540, 1980)),
        ({"open_days": "第2月", "opens_at": "09:00", "closes_at": "12:00"}, None),
        ({"open_days": "月", "opens_at": "", "closes_at": "12:00"}, None),
        ({}, None),
    ],
)
def test_weekly_hours(row, expected):
    assert resources.open_hours(row) == expected


CANARY = {"contact_person": "山田花子", "phone_private": "090-0000-1234", "note": "本人の携帯"}


def test_hsds_has_what_the_standard_requires_and_nothing_private():
    hours = {"open_days": "月金", "opens_at": "18:00", "closes_at": "02:00", "hours_note": "祝日休"}
    contact = {
        "phone_public": "089-000-0001",
        "address_text": "松山市一番町1",
        "languages": "ja;en",
    }
    rows = table(
        hours | contact | CANARY | {"minimum_age": "18", "status": "臨時休止"},
        {"is_public": "無", "org_name": "非公開の会"},
        {"is_public": "", "org_name": "未確認の会"},
    )
    public = resources.public_rows(rows)
    page = hsds.export(public, troubles=TROUBLES, places=PLACES)
    (service,) = page["contents"]
    assert page["total_items"] == 1
    assert service["status"] == "temporarily closed"
    assert service["name"] == service["organization"]["name"] == "つなぐ会"
    assert service["minimum_age"] == 18
    assert {"id", "name", "description"} <= set(service["organization"])
    (schedule,) = service["schedules"]
    assert (schedule["freq"], schedule["byday"]) == ("WEEKLY", "MO,FR")
    assert (schedule["opens_at"], schedule["closes_at"]) == ("18:00+09:00", "02:00+09:00")
    assert [area["name"] for area in service["service_areas"]] == ["松山市"]
    assert service["phones"][0]["number"] == "089-000-0001"
    terms = {one["link_type"]: one["taxonomy_term"]["name"] for one in service["attributes"]}
    assert terms == {"trouble": "話し相手がいない"}
    text = json.dumps(page, ensure_ascii=False)
    assert [word for word in [*CANARY.values(), "非公開", "未確認"] if word in text] == []
    again = hsds.export(public, troubles=TROUBLES, places=PLACES)
    assert again == page


def test_hsds_knows_days_of_a_month_and_leaves_unknown_hours_out():
    rows = resources.public_rows(
        table(
            {"open_days": "火;第2月;最終金", "opens_at": "10:00", "closes_at": "12:00"},
            {"open_24h": "有"},
            {},
        )
    )
    page = hsds.export(rows, troubles=TROUBLES, places=PLACES)
    monthly, always, unknown = page["contents"]
    days = [(one["freq"], one["byday"], one["opens_at"]) for one in monthly["schedules"]]
    assert days == [("WEEKLY", "TU", "10:00+09:00"), ("MONTHLY", "2MO,-1FR", "10:00+09:00")]
    (schedule,) = always["schedules"]
    assert schedule["byday"] == "MO,TU,WE,TH,FR,SA,SU"
    assert (schedule["opens_at"], schedule["closes_at"]) == ("00:00+09:00", "23:59+09:00")
    assert "schedules" not in unknown


def test_public_rows_keep_declared_columns_alone():
    rows = table(CANARY | {"address_withheld": "有", "address_text": "松山市"}, {"is_public": "無"})
    found = resources.public_rows(rows)
    assert len(found) == 1
    assert not {*CANARY, "is_public", "personal_data"} & set(found)
    assert found["address_text"].tolist() == [""]


def test_places_follow_the_regions_and_a_city_is_its_own():
    areas = {"38201": "松山市", "38202": "今治市", "14204": "鎌倉市"}
    regions = {
        "1": Region(label="東予", municipalities=("今治市",)),
        "2": Region(label="中予", municipalities=("松山市",)),
    }
    places = resources.places_of(areas | {"38000": "愛媛県", "00000": "全国"}, regions)
    assert list(places.index) == ["38202", "14204", "38201"]  # by region code
    assert places.loc["38202"].tolist() == ["今治市", "1", "東予"]
    assert places.loc["14204"].tolist() == ["鎌倉市", "14204", "鎌倉市"]
    assert len(places) == 3
    assert resources.places_of({}, {}).empty
