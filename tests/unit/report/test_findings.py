"""Which rows a sentence, a table's line or a figure takes: by mark, size, base and column."""

import re

import pandas as pd
import pytest
from tests.browser import published_sample as sample

from tsunagari.report import findings, groups, page, pictures
from tsunagari.report.writer import Writer


def changed(rows, change, **where):
    """Return rows, some columns changed where all the others are as told."""
    hit = pd.Series(True, index=rows.index)
    for name, value in where.items():
        hit &= rows[name] == value
    assert hit.any()
    return rows.assign(**{name: rows[name].mask(hit, value) for name, value in change.items()})


def said(published, find, **context):
    """Return the sentences of a finder, without links and numbers' rows."""
    writer, found = Writer(published), find(published, **context)
    lines = [line for name, given in found for line in writer.lines(name, **given)]
    return [re.sub(r"<[^>]+>|⟦.*?⟧", "", line) for line in lines]


def table(published, name, **context):
    writer = Writer(published)
    (made,) = page.make_table(writer, name, lines=page.TABLES[name](writer, **context))
    return made


def cells(made, label):
    """Return the texts of a line by its column's heading."""
    (line,) = (line for _, own in made.groups for line in own if line[0].text == label)
    return dict(zip(made.head, (cell.text for cell in line), strict=True))


def picture(published, name, **context):
    (made,) = page.FIGURES[name](Writer(published), **context)
    return made.chart


# --- sentences ------------------------------------------------------------------------------------


def test_what_is_spoken_of_is_no_net_no_exclusive_answer_and_no_reference_value(rows, told):
    own = findings.plain_answers(told, told.gt("lonely_direct"), item="lonely_direct")
    # 38.1, 20.1, 18.2, 15.4, 7.6; the net of 3, 4 and 5 would be the largest with 43.1.
    assert own["item_value"].tolist() == ["2", "3", "1", "4", "5"]
    few = sample.published(
        changed(rows, {"status": "reference"}, table_id="gt_trouble", item_value="3")
    )
    own = findings.plain_answers(few, few.gt("trouble"), item="trouble")
    assert own["item_value"].tolist() == ["1", "2"]  # 4, nothing troubles me, is exclusive


MODEL = {"table_id": "model_lonely_often", "measure": "marginal_effect_points"}


@pytest.fixture
def effects(rows):
    """Return effects of +4 on 50 people, -6, +9 on 49 people, +8 on a low base, +5 unmarked."""
    own = changed(rows, {"mark": "", "n_unweighted": 300}, **MODEL, item="age_band")
    for item, code, change in (
        ("age_band", "20s", {"estimate": 4.0, "mark": "▲", "n_unweighted": 50}),
        ("age_band", "30s", {"estimate": -6.0, "mark": "▽"}),
        ("age_band", "80+", {"estimate": 9.0, "mark": "▲", "n_unweighted": 49}),
        ("age_band", "60s", {"mark": "基準"}),
        ("sex", "1", {"estimate": 8.0, "mark": "▲", "status": "low_base"}),
        ("cohab", "2", {"estimate": 5.0, "mark": ""}),
        ("econ_status", "hard", {"estimate": 1.0, "mark": ""}),
    ):
        own = changed(own, change, **MODEL, item=item, item_value=code)
    return sample.published(own)


def test_sure_effects_stand_by_their_size_whatever_their_sign(effects):
    own = findings.sure_effects(effects, "lonely_often")
    assert own["item_value"].tolist() == ["30s", "20s"]


def test_an_effect_is_said_in_the_direction_of_its_sign(effects):
    lower, higher = said(effects, findings.effects, outcome="lonely_often")
    assert "「30代」の人は、「60代」の人より" in lower and "6.0ポイント低い▽" in lower
    assert "「20代」の人は、「60代」の人より" in higher and "4.0ポイント高い▲" in higher


def test_the_first_conclusion_on_effects_has_its_direction(effects):
    (line,) = said(effects, page.summary.first_effect)
    assert "「30代」の人で「60代」より6.0ポイント" in line and line.count("少ない関連") == 1


def test_what_is_named_less_often_begins_with_the_largest_difference(rows):
    where = {"table_id": "cross_sex__trouble", "measure": "difference_points"}
    own = rows
    for code, points in (("1", -3.5), ("2", -9.0), ("3", 6.0)):
        mark = "▲" if points > 0 else "▽"
        own = changed(own, {"estimate": points, "mark": mark}, **where, item_value=code)
    told = sample.published(own)
    (context,) = groups.contrasted(told)
    (line,) = said(told, groups.high_low_findings, **context)
    more, less = line.split("少なく挙げたのは")
    assert "「お金のこと」差 +6.0ポイント" in more and "差 −" not in more
    assert re.findall(r"「(.*?)」差 −([\d.]+)ポイント", less) == [
        ("移動手段がない", "9.0"), ("話し相手がいない", "3.5")
    ]  # fmt: skip


# --- tables ---------------------------------------------------------------------------------------


def test_an_indicator_stands_beside_the_nation_as_published_and_on_the_same_ages(told):
    # 7.6 here and 6.08 there: 1.5 as it is, 1.3 on one age mix; 7.4 in the year before.
    line = cells(table(told, "indicators"), "孤独感がしばしば・常にある人")
    assert list(line.values())[1:] == [
        "7.6", "2,000", "7.4", "+0.2 差は確認できない", "6.1", "+1.5", "+1.3 高い"
    ]  # fmt: skip


def test_each_column_of_the_comparison_with_the_nation_is_of_its_measure(rows):
    made = table(sample.published(rows), "nation", item="lonely_direct")
    answer = sample.VARIABLES["lonely_direct"]["values"]["5"]
    assert list(cells(made, answer).values())[1:] == [
        "7.6", "7.4", "6.1", "+1.3", "高い", "2,000"
    ]  # fmt: skip
    aged = {"table_id": "national_lonely_direct", "item_value": "5",
            "measure": "difference_points_age_standardised"}  # fmt: skip
    other = sample.published(changed(rows, {"verdict": "比較できない"}, **aged))
    line = cells(table(other, "nation", item="lonely_direct"), answer)
    assert list(line.values())[4:6] == ["…", "比較できない"]  # no number beside that verdict


def test_a_group_whose_own_share_is_hidden_is_left_out_of_the_comparison_and_counted(rows):
    own = rows[(rows["table_id"] == "national_lonely_direct") & (rows["item_value"] == "5")]
    men = own.assign(domain="sex", domain_value="1")
    theirs = own[own["measure"] == "percent_benchmark"].assign(domain="sex", domain_value="2")
    made = table(sample.published(pd.concat([rows, men, theirs])), "nation", item="lonely_direct")
    labels = [line[0].text for _, lines in made.groups for line in lines]
    assert labels[-1] == "男性" and "女性" not in labels
    assert "1" in made.note


@pytest.mark.parametrize(("n", "is_shown"), [(0, False), (3, True)])
def test_weights_that_were_cut_are_told_where_there_are_any(rows, n, is_shown):
    own = rows[rows["table_id"] == "weights"].iloc[[0]]
    told = sample.published(pd.concat([rows, own.assign(measure="n_trimmed", estimate=n)]))
    numbers = [line[1].text for _, lines in table(told, "weights").groups for line in lines]
    assert (numbers[-1] == str(n)) == is_shown


def test_the_profile_before_weights_is_the_unweighted_one(rows):
    own = changed(rows, {"estimate": 40.0}, table_id="profile", item="sex", item_value="1")
    line = cells(table(sample.published(own), "profile"), "男性")
    assert list(line.values())[1:] == ["40.0", "47.1"]


# --- figures --------------------------------------------------------------------------------------


def test_the_last_wave_is_drawn_where_it_has_every_answer(rows):
    def series(own):
        drawn = picture(sample.published(own), "distribution", item="lonely_direct").data
        return drawn["series"].drop_duplicates().tolist()

    assert [re.search(r"\d{4}", name)[0] for name in series(rows)[:2]] == ["2023", "2022"]
    gone = (rows["table_id"] == "waves_lonely_direct") & (rows["item_value"] == "2")
    assert not any("2022" in name for name in series(rows[~gone]))


def test_other_and_exclusive_answers_stand_last_in_that_order(rows):
    labels = sample.VARIABLES["event"]["values"]
    where = {"table_id": "gt_event", "item_value": "9"}  # その他, larger than any other
    own = sample.published(changed(rows, {"estimate": 90.0}, **where))
    drawn = picture(own, "family", items=["event"]).data["label"].tolist()
    assert drawn[-2:] == [labels["9"], labels["10"]]


def test_the_figure_of_indicators_says_who_is_above_the_nation(rows):
    title = picture(sample.published(rows), "indicators").words.title
    assert "全国より「孤独感がしばしば・常にある人」の割合は高い" in title
    aged = {"table_id": "national_lonely_direct", "item_value": "5",
            "measure": "difference_points_age_standardised"}  # fmt: skip
    low = changed(rows, {"verdict": "低い", "estimate": -1.3}, **aged)
    title = picture(sample.published(low), "indicators").words.title
    assert "全国より「孤独感がしばしば・常にある人」の割合は低い" in title


def test_a_gap_that_cannot_be_compared_is_not_drawn(rows, told):
    assert {"lonely_often", "ucla_high"} < {*pictures._gaps(told)}
    own = {"table_id": "national_lonely_direct", "item_value": "5",
           "measure": "difference_points_age_standardised"}  # fmt: skip
    other = sample.published(changed(rows, {"verdict": "比較できない"}, **own))
    assert "lonely_often" not in pictures._gaps(other) and "ucla_high" in pictures._gaps(other)
