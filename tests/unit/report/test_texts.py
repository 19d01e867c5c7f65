"""ja.yaml holds every word and no dead one; a study changes its own and nothing else."""

import re
from pathlib import Path

import pandas as pd
import pytest
from jinja2 import Environment, meta
from tests.browser import published_sample as sample
from tests.unit.report import records_sample

from tsunagari.errors import ConfigError
from tsunagari.estimates import ESTIMATE_COLUMNS
from tsunagari.gate import trace
from tsunagari.report import page, texts, workbook, writer
from tsunagari.study.codebook import MISSING_ROLES

FOLDER = Path(texts.__file__).parent
PAGE = (FOLDER / "templates/council/index.html.j2").read_text(encoding="utf-8")
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.py")))


def templates(known, place=""):
    """Yield place and text of everything that is written below a key."""
    if isinstance(known, str):
        yield place, known
    elif isinstance(known, dict | list):
        pairs = known.items() if isinstance(known, dict) else enumerate(known)
        for key, each in pairs:
            yield from templates(each, f"{place}.{key}".lstrip("."))


# --- nothing dead, nothing missing ----------------------------------------------------------------


def bare_study():
    """Return a study with a table of no chapter, no nation, no wave and no model."""
    rows = sample.estimates()
    nothing = {"loneliness": [], "ties": [], "others": []}
    return sample.published(
        rows[rows["table_id"] == "gt_sex"],
        benchmark=None, axes=[], indicators={}, report=nothing, linked=None,
    )  # fmt: skip


def uncertain_study():
    """Return a study whose models are withheld or find nothing, and no group is marked."""
    rows = sample.small().assign(mark="")
    others = [
        {"table_id": "model_ucla_high", "item": "model", "item_value": "SEPARATION",
         "reason": "該当者が足りない。"},
        {"table_id": "model_merges", "item": "model", "domain": "outcome",
         "domain_value": "ucla_high", "reason": "まとめた。"},
    ]  # fmt: skip
    more = pd.DataFrame(others).assign(wave=sample.YEAR, measure="count", status="published")
    return sample.published(pd.concat([rows, more.reindex(columns=ESTIMATE_COLUMNS)]))


def marked_study():
    """Return a study where a group of a table of many hidden answers is marked."""
    rows = sample.estimates()
    own = rows["table_id"].eq("cross_region__lonely_direct") & rows["measure"].eq("percent")
    rows.loc[own & (rows["item_value"] == "5"), "mark"] = ["▲", "▽", ""]
    rows = sample.with_six_effects(rows)
    hidden = rows["table_id"].eq("gt_contact_face") & rows["item_value"].isin(list("1234"))
    count = {"table_id": "gate", "measure": "count", "estimate": 7, "item_label": "x の数",
             "status": "published"}  # fmt: skip
    counts = pd.DataFrame([count]).reindex(columns=ESTIMATE_COLUMNS)
    rows = rows.assign(status=rows["status"].mask(hidden, "suppressed"))
    return sample.published(pd.concat([rows, counts]))


@pytest.fixture(scope="module")
def said(tmp_path_factory, council):
    """Return every text that four reports and a workbook say, with the names that were known."""
    found = {}
    say = writer.Writer.say

    def listen(self, template, /, **context):
        found.setdefault(template, set(context)).intersection_update(context)
        return say(self, template, **context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer.Writer, "say", listen)
        page.build_report(sample.published(sample.estimates(), is_synthetic=True))
        nothing = {name: pd.DataFrame() for name in ("actions", "plan", "ledger")}
        done = records_sample.told()["actions"].assign(state="完了")
        records = (
            records_sample.published(),
            records_sample.published(has_survey=False, **nothing),
            records_sample.published(has_survey=False, actions=done),
            records_sample.unjudged(),
        )
        for study in (bare_study(), uncertain_study(), marked_study(), *records):
            page.build_report(study)
        workbook.write_workbook(uncertain_study(), tmp_path_factory.mktemp("book") / "t.xlsx")
    assert council.charts
    return found


def test_every_text_is_said_by_some_report(said):
    places = {
        place: text
        for part in ("chapters", "texts", "tables", "figures")
        for place, text in templates(texts.load_texts()[part], part)
        if not re.search(r"\.parts\.|\.(each|volume)$|rows\.\w+\.label", place)
    }
    assert [place for place, text in places.items() if text not in said] == []


def test_every_name_in_a_text_is_known_wherever_it_stands(said, told):
    known = writer.Writer(told)._compile("").environment.globals.keys()
    language = Environment()
    language.filters |= dict.fromkeys(("value", "marked", "size", "ends", "with_interval"), str)
    language.filters |= {"of_rows": str, "day": str}
    language.filters |= dict.fromkeys(("clean", "number"), str)
    language.tests |= dict.fromkeys(("sure", "hidden"), bool)
    unknown = {
        text: names
        for text, context in said.items()
        if (names := meta.find_undeclared_variables(language.parse(text)) - context - known)
    }
    assert unknown == {}


def test_every_word_is_used_and_every_word_used_is_written():
    written = texts.load_texts()
    jinja = "\n".join(text for _, text in templates(written))
    for part, call in (
        ("words", r'\["words"\]\["(\w+)"\]'),
        ("fixed", r'(?:FIXED|fixed)\["(\w+)"\]'),
    ):
        called = set(re.findall(call, SOURCE))
        own = written[part].keys()
        called |= own & set(re.findall(r"resources\.said\.(\w+)", PAGE))
        named = {name for name in own if re.search(rf"\{{[{{%][^}}]*\b{name}\b", jinja)}
        bases = {"asked", "answered"} if part == "words" else set()  # by about.json's base
        assert called | bases <= own <= called | bases | named, part
    drawn = set(re.findall(r'DRAWN\["(\w+)"\]', SOURCE))
    assert drawn == written["fixed"]["drawing"].keys()
    assert set(re.findall(r'(?:writer|self)\.text\(\s*"(\w+)"', SOURCE)) <= written["texts"].keys()


def parts_of(known):
    for part in known:
        yield part
        yield from parts_of(part.get("parts", ()))


def test_every_part_of_a_chapter_names_what_there_is_and_all_there_is_has_a_part():
    written = texts.load_texts()
    parts = [p for chapter in written["chapters"].values() for p in parts_of(chapter["parts"])]
    used = {kind: {part[kind] for part in parts if kind in part} for kind in page.PARTS}
    drawn_within = {"stacked_by_axis", "dots_by_axis"}  # of leading_axes
    assert used["table"] == page.TABLES.keys() == written["tables"].keys()
    assert used["figure"] == page.FIGURES.keys()
    assert written["figures"].keys() == used["figure"] - {"leading_axes"} | drawn_within
    used["each"] |= {
        chapter["each"] for chapter in written["chapters"].values() if "each" in chapter
    }
    assert used["each"] == page.SUBJECTS.keys()
    lines = {part[kind] for part in parts for kind in page.TEXT_KINDS if kind in part}
    assert page.LINES.keys() <= lines <= written["texts"].keys() | page.LINES.keys()
    assert {part["none"] for part in parts if "none" in part} <= written["texts"].keys()


def test_the_workbook_names_columns_measures_and_states_that_there_are():
    written, estimates = texts.load_texts()["workbook"], sample.estimates()
    made = {"era", "area_code", "area", "number", "stamp"}
    assert set(written["columns"]) - made <= set(ESTIMATE_COLUMNS)
    assert written["columns"]["wave"] in trace._YEARS  # a year is no number of a row
    assert set(estimates["status"]) == set(written["status"])


# --- a study's own --------------------------------------------------------------------------------

OWN = {
    "chapters": {"summary": {"heading": "県からのお知らせ"}},
    "texts": {"appendix_lead": "{{ people }}の答えです。"},
    "tables": {"gt": {"columns": {"label": "えらんだ答え"}}},
    "words": {"everybody": "県全体"},
}


def test_a_study_changes_a_heading_a_sentence_and_a_column(council):
    changed = page.build_report(sample.published(sample.small(), texts=OWN))
    html, before = changed._repr_html_(), council._repr_html_()
    assert "<h2>県からのお知らせ</h2>" in html and "県からのお知らせ" not in before
    assert "<p>愛媛県に住む満16歳以上の人の答えです。</p>" in html
    heads = {table.head[0] for table in changed.tables if table.key.startswith("gt_")}
    assert heads == {"えらんだ答え"}
    assert "県全体" in html and '<th scope="row">全体</th>' not in html
    assert council.chapters["summary"].heading == "1枚まとめ"  # the texts themselves stay
    assert changed.chapters["method"].heading == council.chapters["method"].heading


@pytest.mark.parametrize(
    ("own", "place"),
    [
        ({"chapters": {"sumary": {"heading": "題"}}}, "chapters.sumary"),
        ({"texts": {"nobody": "文"}}, "texts.nobody"),
        ({"texts": {2023: "文"}}, "texts.2023"),
        ({"texts": {"cautions": "一つだけ"}}, "texts.cautions"),  # a list
        ({"texts": {"appendix_lead": ["一", "二"]}}, "texts.appendix_lead"),  # a text
        ({"texts": {"appendix_lead": None}}, "texts.appendix_lead"),
        ({"chapters": {"summary": "題"}}, "chapters.summary"),
        ({"words": {"weights": {"population": {"decimals": "零"}}}}, "population.decimals"),
        ({"fixed": {"unsigned": "確定"}}, "fixed"),  # nobody takes the mark away
        (["題"], "texts.yaml"),
        ("題", "texts.yaml"),
    ],
)
def test_what_is_no_text_or_one_of_another_kind_is_refused(own, place):
    with pytest.raises(ConfigError) as caught:
        texts.own_texts(own)
    assert caught.value.code == "TEXT_KEY"
    assert place in caught.value.ja and place in caught.value.en


def summary(*parts):
    return {"chapters": {"summary": {"parts": list(parts)}}}


@pytest.mark.parametrize(
    "part",
    [
        {"table": "nobody"},
        {"figure": "nobody"},
        {"p": "nobody"},
        {"video": "indicators"},
        {"table": "gt"},  # of which question?
        {"figure": "leading_axes"},
        {"each": "nobody", "parts": []},
        {"each": "others"},
        {"each": "others", "parts": "answers"},
        {"each": "others", "parts": [], "none": "nobody"},
        {"table": "indicators", "parts": []},
        {"table": ["indicators"]},
        "indicators",
        {},
    ],
)
def test_a_part_that_cannot_stand_there_is_refused(part):
    with pytest.raises(ConfigError) as caught:
        page.build_report(sample.published(sample.small(), texts=summary(part)))
    assert caught.value.code == "TEXT_PART"
    assert "each" in caught.value.ja and "each" in caught.value.en


def test_a_study_orders_a_chapter_as_it_likes():
    own = summary({"each": "others", "parts": [{"table": "gt"}]}, {"p": "method_lead"})
    told = sample.published(sample.small(), texts=own, report={
        "loneliness": [], "ties": [], "others": ["sex"]
    })  # fmt: skip
    first = page.build_report(told).chapters["summary"].blocks
    assert [type(block).__name__ for block in first] == ["Table", "Text"]
    assert first[0].key == "gt_sex"


@pytest.mark.parametrize(
    ("sentence", "untraced"),
    [
        ("3人に1人が孤独です。", ["3", "1"]),
        ("孤独な人は33.3%です。", ["33.3"]),
        ("{{ about.indicators.lonely_often.label }}は7.6%です。", ["7.6"]),  # true, but of no row
        ("くわしくは相談窓口へ。", []),
        ("{{ people }}の答えです。", []),  # 満16歳以上の人: a label of the study
    ],
)
def test_a_number_that_an_official_types_is_found_by_the_attacker(sentence, untraced):
    told = sample.published(sample.small(), texts={"texts": {"appendix_lead": sentence}})
    html = page.build_report(told)._repr_html_()
    figures = trace.list_figures(told.estimates, told.about)
    found = trace.find_untraced(trace.read_page(html, place="page"), figures)
    assert [token for _, token in found] == untraced


# --- a study with other names ---------------------------------------------------------------------


def test_chapters_come_from_the_study_alone_whatever_its_questions_are_called():
    names = {"lonely_direct": "q17", "ucla_band": "scale_a", "contact_face": "q3", "event": "q9"}
    rows = sample.estimates()
    rows = rows[rows["table_id"].str.fullmatch(f"gt_({'|'.join(names)})")]
    rows = rows.assign(
        item=rows["item"].replace(names), table_id="gt_" + rows["item"].replace(names)
    )
    described = sample.about(is_synthetic=False)
    variables = {new: described["variables"][old] for old, new in names.items()}
    chapters = {"loneliness": ["q17", "scale_a"], "ties": ["q3"], "others": ["q9"]}
    told = sample.published(
        rows, variables=variables, indicators={}, axes=[], benchmark=None, report=chapters
    )
    council = page.build_report(told)
    keys = {name: council.chapters[name].to_html() for name in ("loneliness", "ties", "others")}
    single = council.chapters["appendix"].to_html()
    assert 'id="t-gt-q17"' in single and 'id="t-gt-scale-a"' in single
    assert "<figure" in keys["loneliness"]
    assert "直接会って話す頻度" in keys["ties"] and "<figure" in keys["ties"]
    assert "孤独感に影響した出来事" in keys["others"] and "<figure" in keys["others"]
    # Named nowhere, the same questions stand in the appendix alone.
    nothing = dict.fromkeys(chapters, [])
    other = page.build_report(
        sample.published(
            rows, variables=variables, indicators={}, axes=[], benchmark=None, report=nothing,
            quotes=[],
        )
    )  # fmt: skip
    assert [table.key for table in other.tables if table.key.startswith("gt_")] == [
        "gt_q17", "gt_scale_a", "gt_q3", "gt_q9"
    ]  # fmt: skip
    assert not any(other.chapters[name].blocks[1:-1] for name in ("loneliness", "ties", "others"))


def test_roles_that_mean_no_answer_are_those_of_the_codebook(told):
    assert set(MISSING_ROLES) - {"not_applicable"} == {"no_answer", "refused", "dont_know"}
    assert told.is_answer("event", "9") and told.is_answer("event", "10")
