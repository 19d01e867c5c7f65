"""The records that ship: read whole, published figures as published, everything else synthetic."""

# ruff: noqa: E501 (tables of cases)

from functools import partial

import pandas as pd
import pytest

from tsunagari.gate import questionnaire, rounding, suppression
from tsunagari.programmes import ledger, plan, records, resources, rows, schema, track
from tsunagari.study.survey import open_study

YEARS = [("ehime", 2022), ("ehime", 2023), ("tottori-city", 2022), ("tottori-city", 2023)]
YEARS += [("kamakura", 2022)]
REPORT = "内閣官房 令和4年度 地方版孤独・孤立対策官民連携プラットフォーム推進事業 報告書"


def load(name, year):
    return records.load(open_study(name, year))


def released(name, year):
    """Return what notebook 06 would save of a year."""
    place = open_study(name, year)
    found = records.load(place)
    regions = getattr(place.config, "regions", {})
    places = resources.places_of(found.context.areas, regions)
    private = track.measure_all(found, year=year, confidence=0.95, places=places)
    known = questionnaire.Questionnaire(**rows.known(found))
    suppress = partial(suppression.suppress, settings=place.config.disclosure, questionnaire=known)
    return found, rounding.round_published(rows.release(private, suppress))


@pytest.mark.parametrize(("name", "year"), YEARS)
def test_every_row_is_used_and_says_where_it_comes_from(name, year):
    found = load(name, year)
    assert found.tables
    assert found.quarantine.empty, found.sentences()
    assert found.cells.empty, found.sentences()
    assert found.is_synthetic
    for table in found.tables.values():
        shipped = table["file"].str.endswith("_published.csv")
        assert (table.loc[shipped, "source"] == REPORT).all()
        assert (table.loc[shipped, "source_page"] != "").all()
        assert (table.loc[~shipped, "source"] == "synthetic").all()


def test_no_made_up_number_in_contacts():
    phones = load("ehime", 2022).table("resources")["phone_public"]
    assert phones[phones != ""].str.fullmatch(r"089-000-\d{4}").all()


@pytest.mark.parametrize(
    ("name", "item", "value", "figure", "said"),
    [
        ("ehime", "E01 方法", "オンライン 参加", 40, "周辺合計"),
        ("ehime", "E01 方法", "対面 参加", 40, "周辺合計"),
        ("ehime", "E01 参加者の種類", "個人 参加", 40, "周辺合計"),
        ("ehime", "E01 参加者の種類", "支援団体 参加", 40, "単位不明"),
        ("tottori-city", "T01 合計", "合計 参加", 300, "約"),
        ("tottori-city", "T01 合計", "動画 視聴", 300, "約"),
        ("tottori-city", "T01 満足 後", "top", 88, "n 不明"),
        ("tottori-city", "T01 興味 後", "top", 72, "n 不明"),
    ],
)
def test_published_figures_stand_as_published_with_their_source(name, item, value, figure, said):
    _, figures = released(name, 2022)
    (row,) = figures[(figures["item"] == item) & (figures["item_value"] == value)].to_dict(
        "records"
    )
    assert row["estimate"] == figure
    assert row["source"] == REPORT
    assert said in row["reason"]
    assert pd.isna([row["lower"], row["upper"], row["n_unweighted"]]).all()


def test_tottori_supporters_are_the_trainees_and_nothing_is_added():
    found, figures = released("tottori-city", 2022)
    made = ledger.build(found, figures, year=2022).set_index("kpi_id")
    assert made.loc[["T5", "T7"], "actual_value"].tolist() == [50.0, 50.0]
    assert made.loc["T5", "overlaps_with"] == "T7"
    assert made.loc["T6", "overlaps_with"] == "T1"
    assert made.loc["T4", ["layer", "actual_value"]].tolist() == ["波及", 1.0]
    assert (made["verdict"] == "not_judged").all()  # no n, no target, or the same people
    trained = figures[(figures["item"] == "trained") & (figures["measure"] == "count")]
    assert trained["estimate"].tolist() == [50.0]


def test_retention_after_a_year_stands_in_the_ledger_of_the_next():
    found, figures = released("tottori-city", 2023)
    row = ledger.build(found, figures, year=2023).set_index("kpi_id").loc["T8"]
    assert row["ci_low"] < row["actual_value"] < row["ci_high"]
    assert row["verdict"] != "not_judged"


@pytest.mark.parametrize(("name", "year"), YEARS)
def test_no_small_count_of_people_leaves(name, year):
    _, figures = released(name, year)
    counted = figures[(figures["unit"] == "persons") & figures["n_unweighted"].notna()]
    shown = counted["estimate"].dropna()
    assert ((shown == 0) | (shown >= 5)).all()
    assert figures["n_cell"].isna().all()
    assert figures["row_id"].is_unique
    assert not (figures["measure"] == "percent").any()  # those are the survey's


def test_the_records_of_ehime_tell_one_story():
    """What the plan says of the list, of meetings and of tasks is what their records say."""
    found, figures = released("ehime", 2022)
    listed, planned = found.table("resources"), found.table("plan").set_index("plan_id")
    counts = figures[figures["measure"] == "count"].set_index(["item", "item_value"])["estimate"]
    assert counts["status"].sum() == len(listed) == counts.loc[("registered", "1")].max()
    nanyo = {"38203", "38204", "38207", "38214", "38422", "38442", "38484", "38488", "38506"}
    local = listed[listed["area_codes"].map(lambda codes: bool(nanyo & {*codes.split(";")}))]
    assert (
        "南予に、「職場や学校の人間関係」を受ける団体も、夜間（20時以降）"
        in planned["issue"]["P-K41"]
    )
    assert (local["closes_at"] <= "20:00").all()
    assert not local["open_24h"].eq("有").any()
    active = local[local["status"] == "活動中"]
    assert not active["trouble_codes"].map(lambda codes: "10" in codes.split(";")).any()
    assert "その他" not in figures[figures["item"] == "local"]["item_label"].to_numpy()
    assert counts["gap_region"].tolist() == [3.0, 1.0, 2.0]  # in all, nobody, wide lines only
    assert "年3回" in planned["measure"]["P-K31"]
    assert len(found.table("meetings")) == 3
    done = figures[figures["item"] == "actions_done"].iloc[0]
    assert done["reason"] == "3のうち2"  # of five, three were due by March


CANARY = "カナリア"


def test_nothing_of_a_person_leaves(tmp_path):
    """Marked keys and answers of people, and marks in private columns, are in no released table."""
    head = {
        "supporters": ["講座ID,開催日,養成者数,時点", "S1,2022-04-01,20,2023-03-31"],
        "supporter_people": ["講座ID,匿名番号,修了日"] + [f"S1,{CANARY}{n},2022-04-01" for n in range(20)],
        "events": ["ID,イベント名,開始日,備考", f"E1,催し,2022-05-01,{CANARY} 090-1234-5678"],
        "event_survey": ["ID,設問番号,選択肢番号", "E1,問1,1"],
        "event_answers": ["ID,回答者番号,設問番号,選択肢番号"] + [f"E1,{CANARY}{n},問1,1" for n in range(20)],
        "courses": ["講座ID,講座名", "C1,講座"],
        "course_scales": ["講座ID,匿名番号,時期,尺度,点"]
        + [f"C1,{CANARY}{n},{w},尺度,{n}" for n in range(12) for w in "前後"],
        "kpi_ledger": ["番号,指標名,単位,実績値,備考", f"K1,人数,人,20,{CANARY}", f"K1,{CANARY},人,21,"],
        "plan": ["番号,課題,備考", f"P1,課題,{CANARY}"],
    }  # fmt: skip
    for name, lines in head.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = records.read(tmp_path, year=2022, areas={})
    assert len(found.quarantine) == 2  # the indicator that stands twice
    places = resources.places_of({}, {})
    private = track.measure_all(found, year=2022, confidence=0.95, places=places)
    made = ledger.build(found, private, year=2022)
    planned = plan.merge(plan.propose(made, year=2022), found.table("plan"), year=2022)
    tables = [
        private,
        made,
        planned,
        found.quarantine,
        found.ledger,
        *track.public_records(found).values(),
    ]
    said = "".join(table.to_csv() for table in tables) + str(track.describe(found, last=None))
    said += str(found.sentences()) + str(found.notes)
    assert CANARY not in said
    assert "1234" not in said


def test_private_tables_have_no_public_column():
    for table in schema.tables().values():
        if table.is_private:
            own = [
                c
                for c in table.columns.values()
                if c.name not in ("source", "source_page", "status_code")
            ]
            assert [c.name for c in own if c.is_public] == []
