"""Records of programmes: what is read, set aside or refused, and that nothing is lost."""

# ruff: noqa: E501 (tables of cases)

import re

import pandas as pd
import pytest
import xlsxwriter

from tsunagari.errors import InputError
from tsunagari.programmes import cells, records, schema

AREAS = {"38201": "松山市", "38202": "今治市", "38000": "愛媛県", "00000": "全国"}
LISTS = schema.declared()["lists"] | {"trouble": {"1": "話し相手がいない", "4": "お金のこと"}}
SHEETS = {
    "resources": [
        "resource_id,org_name,area_codes,phone_public",
        "R1,よりそいの会,38201,089-000-0001",
    ],
    "events": ["ID,イベント名,開始日,開催方法", "E1,シンポジウム,2023-02-22,併用"],
}


@pytest.fixture
def read(tmp_path):
    """Return a reader of files given as lines of text by name."""

    def _read(encoding="utf-8", **files):
        for name, lines in files.items():
            stem = name if "." in name else f"{name}.csv"
            (tmp_path / stem).write_text("\n".join(lines) + "\n", encoding=encoding)
        found = records.read(tmp_path, year=2022, areas=AREAS, lists=LISTS)
        for (table, file), rows in found.ledger.groupby(["table", "file"]):
            n_rows = sum(bool(line.strip(",")) for line in files[file.removesuffix(".csv")]) - 1
            assert rows["n_rows"].sum() == n_rows, (table, file)
        return found

    return _read


def aside(found):
    return list(zip(found.quarantine["file_row"], found.quarantine["reason"], strict=True))


def blanked(found):
    return list(zip(found.cells["file_row"], found.cells["reason"], strict=True))


# --- cells ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["380008", "382019", "312011", "142042", "010006"])
def test_published_area_codes_pass_their_check_digit(code):
    assert cells.area_code(code, areas={}) == code[:5]
    with pytest.raises(cells.Bad, match="AREA_CHECK_DIGIT"):
        cells.area_code(code[:5] + str((int(code[5]) + 1) % 10), areas={})


def test_excel_took_the_zero_of_hokkaido():
    assert cells.area_code("10006", areas={"01000": "北海道"}) == "01000"


def test_corporate_number_by_hand():
    # 700110005901 from the last digit, times 1, 2, 1, 2 ...: 1+0+9+10+0+0+0+2+1+0+0+14 = 37;
    # 37 mod 9 = 1; 9 - 1 = 8.
    assert cells.corporate_number("8700110005901") == "8700110005901"
    for wrong in ("7700110005901", "870011000590", "1.23E+11"):
        with pytest.raises(cells.Bad, match="CORPORATE_CHECK_DIGIT"):
            cells.corporate_number(wrong)


@pytest.mark.parametrize(
    "text",
    ["2023-02-22", "2023/2/22", "2023.02.22", "令和5年2月22日", "R5.2.22", "20230222", "44979"]
    + ["2023年2月22日", "2023-02-22 00:00:00"],
)
def test_dates_in_every_usual_form(text):
    assert cells.date_of(text) == pd.Timestamp(2023, 2, 22)


@pytest.mark.parametrize(
    "text", ["2023-02-30", "2023-13-01", "令和5年", "2023-02", "来週", "5.2.22"]
)
def test_impossible_dates(text):
    with pytest.raises(cells.Bad, match="DATE_IMPOSSIBLE"):
        cells.date_of(text)


def test_a_month_stands_for_its_last_day_where_it_will_do():
    found = [cells.date_of(t, month_will_do=True) for t in ("2023-02", "令和5年2月", "2022年度")]
    assert [day.date().isoformat() for day in found] == ["2023-02-28", "2023-02-28", "2023-03-31"]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("月火水木金", "月火水木金"),
        ("月曜日;火曜日", "月火"),
        ("月~金", "月火水木金"),
        ("平日", "月火水木金"),
    ]
    + [
        ("毎日", "月火水木金土日"),
        ("土・日・祝日", "土日祝"),
        ("金~月", "月金土日"),
        ("第2月;最終金", "第2月;最終金"),
    ],
)
def test_days_of_the_week(text, days):
    assert cells.days_of(text) == days


def test_times():
    assert [cells.time_of(t) for t in ("9:00", "午後1時半", "24:00")] == ["09:00", "13:30", "24:00"]
    for wrong in ("25:00", "24:01", "9:75", "朝"):
        with pytest.raises(cells.Bad, match="TIME_IMPOSSIBLE"):
            cells.time_of(wrong)


# --- files ----------------------------------------------------------------------------------------


def test_old_and_new_names_of_open_data_are_read(read):
    old = "都道府県コード又は市区町村コード,NO,都道府県名,名称 必須,名称_カナ,所在地_連結標記,定員(募集人数)"
    new = "全国地方公共団体コード,ID,イベント名,開始日,終了日"
    found = read(
        events=[new, "382019,E1,催し,2023/2/22,2023/2/22"],
        resources=[old.replace(",定員(募集人数)", ""), "382019,R1,愛媛県,会,カイ,松山市一番町"],
    )
    assert found.table("events")["municipality_code"].tolist() == ["38201"]
    assert found.table("resources")["address_text"].tolist() == ["松山市一番町"]
    assert found.table("resources")["row_id"].tolist() == ["resources-2"]


def test_lists_yes_no_and_codes_by_label(read):
    found = read(
        resources=[
            "ID,団体名,困りごと,利用方法,照会可否",
            "R1,会,1；お金のこと,電話;来所,○",
            "R2,二,1、4,,×",
        ]
    )
    assert found.table("resources")["trouble_codes"].tolist() == ["1;4", ""]
    assert found.table("resources")["accepts_referral"].tolist() == ["有", "無"]
    assert blanked(found) == [(3, "CODE_UNKNOWN")]  # 、 does not separate


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "utf-16"])
def test_encodings(read, encoding):
    found = read(encoding, events=SHEETS["events"])
    assert found.table("events")["event_name"].tolist() == ["シンポジウム"]


def test_no_folder_is_no_records(tmp_path):
    found = records.read(tmp_path / "none", year=2022, areas={})
    assert found.tables == {}
    assert len(found.ledger) == 0
    assert found.table("events").empty


def test_own_file_replaces_what_is_shipped(read):
    found = read(
        events=["ID,イベント名,開始日", "E9,催し,2022-05-01"],
        events_synthetic=["ID,イベント名,開始日", "E1,催し,2022-05-01"],
        meetings_synthetic=["会議ID,会議の名称,開催日", "M1,会議,2022-05-01"],
    )
    assert found.table("events")["event_id"].tolist() == ["E9"]
    assert found.table("meetings")["source"].tolist() == ["synthetic"]
    assert found.is_synthetic


@pytest.mark.parametrize(
    ("name", "lines", "code", "said"),
    [
        ("visits", ["a"], "FILE_UNKNOWN", "visits.csv"),
        (
            "events",
            ["ID,イベント名,開始日,天気", "E1,催し,2022-05-01,晴"],
            "COLUMN_UNKNOWN",
            "天気",
        ),
        (
            "events",
            ["ID,イベント名,開始日,定員（組）", "E1,a,2022-05-01,5"],
            "COLUMN_UNKNOWN",
            "定員（組）",
        ),
        ("events", ["ID,NO,イベント名,開始日", "1,1,催し,2022-05-01"], "COLUMN_TWICE", "NO"),
        ("events", ["ID,イベント名", "E1,催し"], "COLUMN_MISSING", "開始日"),
        (
            "flows",
            ["期間,もとの段階,つぎの段階,数,単位", "y,プラン,中断,3,世帯"],
            "UNIT_UNKNOWN",
            "世帯",
        ),
        (
            "events",
            ["ID,イベント名,開始日", '"E1,催し,2022-05-01'],
            "FILE_UNREADABLE",
            "events.csv",
        ),
        ("events", ["<!DOCTYPE html><html>"], "FORMAT", "events.csv"),
    ],
)
def test_what_is_not_declared_is_refused_by_name(read, name, lines, code, said):
    with pytest.raises(InputError) as caught:
        read(**{name: lines})
    assert caught.value.code == code
    assert said in caught.value.ja


@pytest.mark.parametrize(
    "personal", ["090-1234-5678", "０８９ー９１２ー３４５６", "taro@example.co.jpへ"]
)
@pytest.mark.parametrize("column", ["活動概要", "利用可能日時特記事項", "団体名"])
def test_personal_data_in_a_public_column_are_refused_and_not_repeated(read, column, personal):
    lines = {"団体名": "会", "活動概要": "相談", "利用可能日時特記事項": ""}
    row = ",".join((lines | {column: f"担当 {personal}"}).values())
    with pytest.raises(InputError) as caught:
        read(resources=["ID," + ",".join(lines), "R0,会,相談,", "R1," + row])
    assert caught.value.code == "PERSONAL"
    assert column in str(caught.value)
    assert "3 行目" in caught.value.ja
    assert not re.search("1234|9123456|taro|９１２", str(caught.value))


def test_a_mobile_number_in_the_contact_column_is_remarked(read):
    found = read(resources=["ID,団体名,電話番号", "R1,会,090-1234-5678"])
    assert "2 行目" in found.notes[0]["ja"]
    assert "1234" not in str(found.notes)


# --- rows set aside, each with its reason ---------------------------------------------------------

CALLS = "窓口,受付_年月日,集計単位,架電数,応答数,相談件数,区分,内訳,複数計上"
COUNTS = "ID,区分,内訳,数,単位,数え方"
E1 = ["ID,イベント名,開始日", "E1,催し,2022-05-01"]
PEOPLE = "講座ID,開催日,受講,養成者数,登録,活動中,時点"
KPI = "番号,指標名,単位,実績値"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"resources": ["ID,団体名", "R1,会", "R1,会"]}, [(3, "DUPLICATE_ROW")]),
        ({"resources": ["ID,団体名", "R1,会", "R1,別の会"]}, [(2, "KEY_CONFLICT"), (3, "KEY_CONFLICT")]),
        ({"events": ["ID,イベント名,開始日", "E1,a,2022-02-30"]}, [(2, "DATE_IMPOSSIBLE")]),
        ({"events": ["ID,イベント名,開始日", "E1,a,2023-04-01"]}, [(2, "DATE_FUTURE")]),
        (
            {"events": ["ID,イベント名,開始日,状態"]
             + [f"E{n},a,2023-04-01,{state}"
                for n, state in enumerate(("予定", "中止", "延期", "開催"))]},
            [(5, "DATE_FUTURE")],
        ),
        ({"events": ["ID,イベント名,開始日,終了日", "E1,a,2023-01-02,2023-01-01"]}, [(2, "DATE_ORDER")]),
        ({"kpi_ledger": [KPI, "K1,参加者,人,80", "K1,参加者,人,90"]}, [(2, "KEY_CONFLICT"), (3, "KEY_CONFLICT")]),
        ({"kpi_ledger": [KPI, "K1,満足,,88"]}, [(2, "REQUIRED_BLANK")]),  # a percentage without unit
        ({"kpi_ledger": [KPI, "K1,満足,%,188"]}, [(2, "PERCENT_RANGE")]),
        ({"supporters": [PEOPLE, "S1,2022-12-04,55,50,51,1,2023-03-31"]}, [(2, "ABOVE_BASE")]),
        ({"supporters": [PEOPLE, "S1,2022-12-04,55,50,40,41,2023-03-31"]}, [(2, "ABOVE_BASE")]),
        ({"consultations": [CALLS, "a,2022-04-01,月,100,101,,合計,,"]}, [(2, "ABOVE_BASE")]),
        ({"consultations": [CALLS, "a,2022-04-01,月,,,3,内容,9,"]}, [(2, "CODE_UNKNOWN")]),
        ({"consultations": [CALLS, "a,2022-04-01,月,,,3,天気,9,"]}, [(2, "CODE_UNKNOWN")]),
        ({"consultations": [CALLS, "a,2022-04-01,月,90人,,3,合計,,"]}, []),  # an optional cell
        ({"flows": ["期間,もとの段階,つぎの段階,数,単位", "y,プラン,中断,3.5,人"]}, [(2, "NOT_WHOLE")]),
        ({"flows": ["期間,もとの段階,つぎの段階,数,単位", "y,プラン,中断,多数,人"]}, [(2, "NOT_NUMBER")]),
        ({"events": [E1[0], E1[1], "※ 速報値です,,", "注) 担当課調べ", "合計,1,"]}, [(n, "NOTE_ROW") for n in (3, 4, 5)]),
        ({"events": [E1[0], E1[1] + ",,はみ出し"]}, [(2, "TOO_WIDE")]),
        ({"events": E1, "event_counts": [COUNTS, "E9,方法,対面,4,人,参加"]}, [(2, "REF_UNKNOWN")]),
    ],
)  # fmt: skip
def test_rows_set_aside_and_counted(read, files, expected):
    found = read(**files)
    assert aside(found) == expected
    for sentence in found.sentences():
        assert sentence["ja"].endswith("。")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"resources": ["ID,団体名,最終確認日", "R1,会,2023-04-01"]}, [(2, "DATE_FUTURE")]),
        ({"resources": ["ID,団体名,市区町村コード", "R1,会,131016"]}, [(2, "AREA_UNKNOWN")]),
        ({"resources": ["ID,団体名,担当区域", "R1,会,382018"]}, [(2, "AREA_CHECK_DIGIT")]),
        ({"resources": ["ID,団体名,法人番号", "R1,会,1.23E+11"]}, [(2, "CORPORATE_CHECK_DIGIT")]),
        ({"resources": ["ID,団体名,緯度,経度", "R1,会,132.7,33.8"]}, [(2, "OUT_OF_RANGE"), (2, "OUT_OF_RANGE")]),
        ({"resources": ["ID,団体名,緯度", "R1,会,999.0"]}, [(2, "OUT_OF_RANGE")]),
        ({"resources": ["ID,団体名,URL", "R1,会,javascript:alert(1)"]}, [(2, "URL_UNKNOWN")]),
        ({"resources": ["ID,団体名,団体種別", "R1,会,組合"]}, [(2, "CODE_UNKNOWN")]),
        ({"supporters": [PEOPLE, "S1,2022-12-04,55,50,40世帯,,2023-03-31"]}, [(2, "UNIT_MIXED")]),
    ],
)  # fmt: skip
def test_cells_blanked_and_counted_where_the_row_can_do_without(read, files, expected):
    found = read(**files)
    assert aside(found) == []
    assert blanked(found) == expected


def test_dates_of_people_in_order(read):
    found = read(
        supporters=[PEOPLE, "S1,2022-12-04,55,50,,,2023-03-31"],
        supporter_people=["講座ID,匿名番号,修了日,登録日", "S1,P1,2022-12-04,2022-12-03"],
    )
    assert aside(found) == [(2, "DATE_ORDER")]  # registered before trained


def test_actions_close_after_they_open(read):
    found = read(
        meetings=["会議ID,会議の名称,開催日", "M1,会議,2022-11-01"],
        actions=[
            "宿題ID,会議ID,内容,状況,完了日",
            "A1,M1,一,完了,2022-10-31",
            "A2,M1,二,完了,2022-11-02",
        ],
    )
    assert aside(found) == [(2, "DATE_ORDER")]
    assert found.table("actions")["opened_on"].tolist() == [pd.Timestamp(2022, 11, 1)]


def test_a_total_that_disagrees_with_its_parts(read):
    rows = ["E1,合計,,80,人,参加", "E1,方法,対面,40,人,参加", "E1,方法,オンライン,41,人,参加"]
    found = read(
        events=E1, event_counts=[COUNTS, *(row.replace("合計,,", "合計,計,") for row in rows)]
    )
    assert aside(found) == [(3, "TOTAL_MISMATCH"), (4, "TOTAL_MISMATCH")]  # 40 + 41 = 81, not 80


def test_margins_with_different_totals(read):
    rows = ["方法,対面,40", "方法,オンライン,40", "参加者の種類,個人,40", "参加者の種類,団体,39"]
    found = read(events=E1, event_counts=[COUNTS, *(f"E1,{row},人,参加" for row in rows)])
    assert [reason for _, reason in aside(found)] == ["MARGIN_MISMATCH"] * 4  # 80 and 79


def test_units_that_differ_are_not_added(read):
    rows = [
        "方法,対面,40,人",
        "方法,オンライン,40,人",
        "参加者の種類,個人,40,人",
        "参加者の種類,支援団体,40,不明",
    ]
    found = read(events=E1, event_counts=[COUNTS, *(f"E1,{row},参加" for row in rows)])
    assert aside(found) == []
    assert "4, 5 行目" in found.notes[0]["ja"]


def test_about_300_stays_about_300(read):
    found = read(
        events=E1, event_counts=[COUNTS, "E1,合計,計,約300,人,参加", "E1,方法,対面,290,人,参加"]
    )
    assert aside(found) == []
    assert found.table("event_counts")["count"].tolist() == [300.0, 290.0]
    assert found.table("event_counts")["is_approximate"].tolist() == ["有", ""]


def test_breakdown_of_calls(read):
    total, parts = (
        "a,2022-04-01,月,,,10,合計,,",
        ["a,2022-04-01,月,,,6,内容,1,", "a,2022-04-01,月,,,5,内容,2,"],
    )
    assert [r for _, r in aside(read(consultations=[CALLS, total, *parts]))] == [
        "TOTAL_MISMATCH"
    ] * 2
    assert aside(read(consultations=[CALLS, total, *(part + "有" for part in parts)])) == []
    less = [parts[0], parts[1].replace(",5,", ",3,")]  # 9 of 10: each call has a trouble
    for mark in ("", "有"):
        found = aside(read(consultations=[CALLS, total, *(part + mark for part in less)]))
        assert [reason for _, reason in found] == ["TOTAL_MISMATCH"] * 2


def test_a_cumulative_count_does_not_fall(read):
    head = "講座ID,開催日,養成者数,累計,時点"
    found = read(
        supporters=[head, "S1,2022-05-01,50,50,2022-05-01", "S2,2022-06-01,20,49,2022-06-01"]
    )
    assert aside(found) == [(3, "NOT_MONOTONE")]


def test_blank_is_unknown_and_zero_is_none(read):
    found = read(
        consultations=[CALLS, "a,2022-04-01,月,,-,…,合計,,", "a,2022-05-01,月,1,0,0,合計,,"]
    )
    assert found.table("consultations")["calls_answered"].tolist() == [0.0, 0.0]
    assert found.table("consultations")["conversations"].isna().tolist() == [True, False]
    assert "記号" in found.notes[0]["ja"]


# --- workbooks ------------------------------------------------------------------------------------


def workbook(path, sheets):
    with xlsxwriter.Workbook(path) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)


def example(table="events"):
    columns = [c for c in schema.tables()[table].columns.values() if c.kind != "unused"]
    return [c.label for c in columns], ["記入例"] + [c.example for c in columns][1:]


def test_the_worked_row_is_never_data(tmp_path):
    labels, worked = example()
    changed = [*worked[:2], "ほんとうの催し", *worked[3:]]
    unmarked = ["", *worked[1:]]
    mine = [""] * len(labels)
    mine[:3], mine[labels.index("開始日")] = ["", "E7", "わたしの催し"], "2022-06-01"
    workbook(
        tmp_path / "symposium.xlsx",
        {"はじめに": [["書き方"]], "催し": [labels, worked, changed, unmarked, mine]},
    )
    found = records.read(tmp_path, year=2022, areas=AREAS, lists=LISTS)
    assert found.table("events")["event_id"].tolist() == ["E7"]
    assert aside(found) == [(2, "EXAMPLE"), (3, "EXAMPLE_CHANGED"), (4, "EXAMPLE_LEFT")]


def test_a_sheet_that_is_not_declared_is_refused(tmp_path):
    labels, worked = example()
    workbook(tmp_path / "symposium.xlsx", {"催し": [labels, worked], "メモ": [["x"]]})
    with pytest.raises(InputError, match="SHEET_UNKNOWN.*メモ"):
        records.read(tmp_path, year=2022, areas=AREAS)


def test_a_table_in_two_files_is_refused(tmp_path, read):
    labels, worked = example()
    workbook(tmp_path / "symposium.xlsx", {"催し": [labels, worked]})
    with pytest.raises(InputError, match="FILE_TWICE"):
        read(events=E1)


def test_an_action_that_is_done_without_a_date_is_remarked(read):
    found = read(actions=["宿題ID,会議ID,内容,状況", "A1,M1,一,完了", "A2,M1,二,対応中"])
    assert len(found.table("actions")) == 2
    assert "2 行目" in found.notes[0]["ja"]


def test_a_file_of_a_header_alone_has_no_rows(read):
    found = read(events=["ID,イベント名,開始日"])
    assert found.table("events").empty
    assert found.ledger["n_rows"].tolist() == [0]


def test_texts_are_one_line_without_invisible_characters(read):
    found = read(resources=["ID,団体名,活動概要", "R1,\u202e会\u200b,相\u0000談"])
    assert found.table("resources")[["org_name", "description"]].to_numpy().tolist() == [
        ["会", "相談"]
    ]


def test_what_the_survey_readers_say_names_the_file(read):
    garbled = "孤独".encode().decode("cp932")
    with pytest.raises(InputError) as caught:
        read(events=["ID,イベント名,開始日", f"E1,{garbled},2022-05-01"])
    assert "events.csv" in caught.value.ja
    assert "2 行目" in caught.value.ja
    assert "responses" not in str(caught.value)
