"""The attacker must bite: every way of undoing the gate fails the release."""

import base64
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
import xlsxwriter
from tests.leaks import find_leaks

from tsunagari import estimates
from tsunagari.errors import DisclosureError
from tsunagari.gate import attack, questionnaire, rounding, suppression, trace
from tsunagari.run import signoff
from tsunagari.study.settings import Disclosure

SETTINGS = Disclosure()
KNOWN = questionnaire.Questionnaire(
    areas=frozenset({"region"}),
    codes={"age": ("20s", "30s", "40s")},
    bands={("years", "age"): {"20s": (20, 29), "30s": (30, 39), "40s": (40, 49)}},
)
LABELS = {"1": "しばしばある", "2": "時々ある", "3": "決してない"}
ABOUT = {
    "people": "県民",
    "variables": {
        "q": {"label": "孤独感", "short_label": "孤独感", "values": LABELS},
        "age": {"label": "年代", "values": {"20s": "二十代", "30s": "三十代", "40s": "四十代"}},
    },
}
# 20s: 4 + 46 + 170 = 220 and so on; the columns sum to 64 + 186 + 410 = 660.
COUNTS = {"20s": (4, 46, 170), "30s": (30, 70, 120), "40s": (30, 70, 120)}


def rows_of(domain, value, counts):
    base = sum(counts)
    return [
        {"wave": "2022", "table_id": "gt_q" if domain == "all" else "cross_age__q",
         "measure": "percent", "unit": "percent", "domain": domain, "domain_value": value,
         "item": "q", "item_value": str(code), "item_label": LABELS[str(code)],
         "estimate": 100 * count / base, "n_unweighted": float(base), "n_effective": float(base),
         "n_cell": float(count), "weighting": "equal"}
        for code, count in enumerate(counts, start=1)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def truth():
    rows = rows_of("all", "all", tuple(np.sum(list(COUNTS.values()), axis=0)))
    for value, counts in COUNTS.items():
        rows += rows_of("age", value, counts)
    return estimates.conform(pd.DataFrame(rows))


@pytest.fixture(scope="module")
def published(truth):
    hidden = suppression.suppress(truth, settings=SETTINGS, questionnaire=KNOWN)
    return rounding.round_published(hidden)


def problems(published, truth, **more):
    return attack.attack_estimates(published, truth, settings=SETTINGS, questionnaire=KNOWN, **more)


def shown_again(published, truth, where):
    table = published.copy()
    open_rows = rounding.round_published(truth.assign(status="published"))
    table.loc[where] = open_rows.loc[where]
    return table


def test_what_the_gate_lets_through_withstands(published, truth):
    # 4 of the 20s is small; 5 may be shown in a table of two variables, and 4 cells are hidden.
    assert (published["status"] == "suppressed").sum() == 4
    assert problems(published, truth) == []


def test_every_secondary_cell_that_is_shown_again_fails(published, truth):
    hidden = published["status"] == "suppressed"
    for position in published.index[hidden & (truth["n_cell"] >= 5)]:
        mutant = shown_again(published, truth, [position])
        assert "cross_age__q: a hidden cell can be told too closely" in problems(mutant, truth)


def test_a_margin_that_no_notebook_made_fails(published, truth):
    margin = published.head(1).assign(domain="age", domain_value="20s x 30s", estimate=7.7)
    mutant = pd.concat([published, margin], ignore_index=True)
    assert any("not in private" in problem for problem in problems(mutant, truth))


def test_a_margin_that_passed_the_notebooks_fails_where_it_gives_a_cell_away(truth):
    # The net of "2" and "3" is the base less the small cell; the old hiding does not cover it.
    known = questionnaire.Questionnaire(nets={"q": {"rest": ("2", "3")}})
    net = truth[truth["item_value"] != "1"].groupby(["domain", "domain_value"], sort=False)
    sums = net["n_cell"].sum().reset_index()
    rows = truth.merge(sums, on=["domain", "domain_value"], suffixes=("", "_net"))
    rows = rows[rows["item_value"] == "1"].assign(item_value="rest", item_label="その他")
    rows["n_cell"] = rows.pop("n_cell_net")
    whole = estimates.conform(pd.concat([truth, rows], ignore_index=True))
    old = suppression.suppress(truth, settings=SETTINGS, questionnaire=known)
    mutant = pd.concat([old, rows.assign(status="published")], ignore_index=True)
    told = attack.attack_estimates(mutant, whole, settings=SETTINGS, questionnaire=known)
    again = suppression.suppress(whole, settings=SETTINGS, questionnaire=known)
    safe = attack.attack_estimates(again, whole, settings=SETTINGS, questionnaire=known)
    assert told and not safe


def test_a_shifted_band_fails(published, truth):
    value = published["domain_value"].replace("30s", "31-40")
    mutant = published.assign(domain_value=value)
    assert any("does not know" in problem for problem in problems(mutant, truth))


def test_last_years_file_that_shows_a_cell_fails(published, truth):
    hidden = published.index[published["status"] == "suppressed"]
    earlier = shown_again(published, truth, [hidden[-1]])
    assert problems(published, truth, archive=[earlier])


def test_a_release_again_without_three_people_fails(published, truth):
    earlier = published.assign(n_unweighted=published["n_unweighted"] + 3)
    assert any("few people" in p for p in problems(published, truth, archive=[earlier]))


def test_the_gate_itself_heeds_what_an_earlier_release_shows(truth):
    # The archive shows 30s "1": the gate must hide the 40s instead.
    first = suppression.suppress(truth, settings=SETTINGS, questionnaire=KNOWN)
    gone = first[(first["status"] == "suppressed") & (first["domain_value"] != "20s")]
    mate = gone["domain_value"].iloc[0]
    earlier = rounding.round_published(truth[truth["domain_value"] == mate])
    again = suppression.suppress(truth, settings=SETTINGS, questionnaire=KNOWN, archive=[earlier])
    other = again[(again["status"] == "suppressed") & (again["domain_value"] != "20s")]
    assert mate not in set(other["domain_value"])


def test_a_hidden_row_that_keeps_its_mark_fails(published, truth):
    mutant = published.copy()
    mutant["mark"] = mutant["mark"].astype(object)
    mutant.loc[mutant["status"] == "suppressed", "mark"] = "▲"
    assert any("keeps" in problem for problem in problems(mutant, truth))


# --- pages and workbooks --------------------------------------------------------------------------

PAGE = """<html lang="ja"><head><title>報告</title><style>p {{ width: 33% }}</style></head><body>
<p>{sentence}</p>
<figure data-row="{key}"><img alt="{alt}" src="data:image/png;base64,AAAA"></figure>
<table class="numbers"><caption>表1 孤独感</caption><thead><tr><th scope="col">年代</th>
<th scope="col">しばしばある</th></tr></thead><tbody><tr><th scope="row">三十代</th>
<td data-row="{key}">{cell}<span class="interval">x</span></td></tr></tbody></table></body>
</html>"""
# 64 of 660 = 9.696... -> 9.7
SENTENCE = "「しばしばある」は <span data-row='{key}'>9.7%</span>（n=660）、95%信頼区間、2022年に"
SENTENCE += "20歳以上の人に尋ねました。"


def key_of(published, value="1", *, domain_value="all"):
    rows = published[published["domain_value"] == domain_value]
    return rows[rows["item_value"] == value].iloc[0]["row_id"]


def page_of(published, **texts):
    texts = {"sentence": SENTENCE, "alt": "", "cell": "x", "key": key_of(published)} | texts
    return PAGE.format(**texts | {"sentence": texts["sentence"].format(key=key_of(published))})


def untraced(published, page):
    figures = trace.list_figures(published, ABOUT)
    return [token for _, token in trace.find_untraced(trace.read_page(page), figures)]


def test_a_row_keeps_its_name_whatever_its_numbers_and_the_type_of_its_wave(published, truth):
    assert estimates.row_ids(published).is_unique
    assert estimates.row_ids(truth).equals(estimates.row_ids(published.assign(wave=2022)))


def test_numbers_that_are_published_rows_pass(published):
    assert untraced(published, page_of(published, alt="しばしばある 9.7%", cell="9.7")) == []


@pytest.mark.parametrize(
    ("change", "token"),
    [
        ({"sentence": SENTENCE + "二十代では4人でした。"}, "4"),
        ({"sentence": SENTENCE + "二十代では1.8〜2.0%でした。"}, "1.8"),
        ({"sentence": "「しばしばある」は 9.7% です。"}, "9.7"),  # right, but of no row
        ({"alt": "しばしばある 二十代 1.8%"}, "1.8"),
        ({"cell": "17"}, "17"),
    ],
)
def test_one_number_more_in_sentence_alt_text_or_cell_fails(published, change, token):
    assert token in untraced(published, page_of(published, **change))


def test_a_number_must_be_of_its_own_row_and_of_no_hidden_one(published):
    shown = published[published["status"] != "suppressed"].iloc[0]
    hidden = published[published["status"] == "suppressed"].iloc[0]
    page = '<p data-row="{}">{}%</p>'
    number = f"{shown['estimate']:.1f}"
    assert untraced(published, page.format(shown["row_id"], number)) == []
    assert untraced(published, page.format(hidden["row_id"], number)) == [number]
    assert untraced(published, page.format(shown["row_id"], "55.5")) == ["55.5"]
    # The innermost element counts: the hidden row's number is not excused by the figure around it.
    inner = page.format(hidden["row_id"], number)
    outer = f'<figure data-row="{shown["row_id"]}">{inner}</figure>'
    assert untraced(published, outer) == [number]


def test_a_label_that_is_but_a_number_of_people_excuses_nothing(published):
    about = {"variables": {"size": {"values": {"1": "4人", "2": "2人以上で働く"}}}}
    figures = trace.list_figures(published, about)
    found = trace.find_untraced(trace.read_page("<p>2人以上で働く人と 4人</p>"), figures)
    assert [token for _, token in found] == ["4"]


def test_such_a_label_may_head_a_line_and_stand_beside_its_own_row(published):
    figures = trace.list_figures(published, {"variables": {"q": {"values": {"1": "4人"}}}})
    own, other = key_of(published, "1"), key_of(published, "2")
    texts = {
        "<table><tr><th>4人</th></tr></table>": [],
        "<table><tr><th>4人 5人</th></tr></table>": ["4", "5"],
        f'<img data-row="{own}" alt="4人 9.7%">': [],
        f'<img data-row="{other}" alt="4人">': ["4"],
        "<p>世帯人数別では「4人」で高い</p>": [],  # quoted, as every label in a sentence is
        "<p>「4人と5人」</p>": ["4", "5"],
    }
    for text, expected in texts.items():
        found = trace.find_untraced(trace.read_page(text), figures)
        assert [token for _, token in found] == expected


def test_labels_inside_a_drawing_are_read(published):
    drawing = "<svg><text>二十代</text><text>1.8%</text></svg>"
    source = "data:image/svg+xml;base64," + base64.b64encode(drawing.encode()).decode()
    assert "1.8" in untraced(published, f'<img alt="図" src="{source}">')


def write_release(folder, published, *, cell):
    published.to_csv(folder / "estimates.csv", index=False)
    with xlsxwriter.Workbook(folder / "tables.xlsx") as book:
        sheet = book.add_worksheet("hidden")
        sheet.write_row(0, 0, ["年代", "しばしばある", trace.ROW_COLUMN])
        sheet.write_row(1, 0, ["全体", cell, key_of(published)])
        sheet.hide()
        book.add_worksheet("front").activate()
    page = page_of(published)
    (folder / "council_report.html").write_text(page, encoding="utf-8")


def test_a_whole_release_is_attacked_hidden_sheets_included(tmp_path, published, truth):
    facts = {"about": ABOUT, "settings": SETTINGS, "questionnaire": KNOWN}
    write_release(tmp_path, published, cell=9.7)
    attack.attack_release(tmp_path, truth, **facts)
    write_release(tmp_path, published, cell=1972)
    with pytest.raises(DisclosureError, match="tables.xlsx") as caught:
        attack.attack_release(tmp_path, truth, **facts)
    assert caught.value.exit_code == 3 and "1972" not in str(caught.value)
    assert "in 「####.######」" in str(caught.value)


def test_a_label_like_a_number_is_named_where_it_stops_a_release(tmp_path, published, truth):
    write_release(tmp_path, published, cell=9.7)
    page = tmp_path / "council_report.html"
    page.write_text(page.read_text(encoding="utf-8") + "<p>家族が 4人 の人</p>", encoding="utf-8")
    about = {"variables": ABOUT["variables"] | {"size": {"values": {"1": "4人"}}}}
    with pytest.raises(DisclosureError, match="council_report.html: the label 「4人」"):
        attack.attack_release(tmp_path, truth, about=about, settings=SETTINGS, questionnaire=KNOWN)


# --- sign-off -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "[1, 2]", "reviewer: a: b", "reviewer: x\ndate: today"])
def test_an_incomplete_signoff_is_refused(text):
    with pytest.raises(DisclosureError, match="SIGNOFF"):
        signoff.check_signoff(text, release_hash="0", is_synthetic=False)


# --- leaks ----------------------------------------------------------------------------------------

CANARY = "カナリア<7>&090"


@pytest.mark.parametrize(
    "content",
    [
        CANARY.encode(),
        CANARY.encode("utf-16"),
        CANARY.encode("cp932"),
        json.dumps(CANARY).encode(),
        "".join(f"&#{ord(c)};" for c in CANARY).encode(),
        b"x" + base64.b64encode(b"__" + CANARY.encode() + b"__") + b"\n",
        b"%E3%82%AB%E3%83%8A%E3%83%AA%E3%82%A2%3C7%3E%26090",
    ],
)
def test_a_canary_is_found_in_every_encoding(tmp_path, content):
    (tmp_path / "file.bin").write_bytes(b"before " + content + b" after")
    assert find_leaks(tmp_path, ["other marker", CANARY]) == ["file.bin: marker 1"]


def test_a_canary_is_found_inside_a_workbook_and_in_a_file_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "tables.xlsx", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("docProps/core.xml", "canary-one")
    (tmp_path / "canary-two.txt").write_text("")
    found = find_leaks(tmp_path, ["canary-one", "canary-two", "canary-three"])
    assert found == ["canary-two.txt: marker 1", "tables.xlsx: marker 0"]
