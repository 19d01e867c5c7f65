"""The finder's page without a browser: what reaches it, how it is escaped, what it says."""

import base64
import hashlib
import re
import zipfile
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.browser import resource_sample as sample

from tsunagari.gate import trace
from tsunagari.programmes import finder, hsds, records, resources, schema, supply
from tsunagari.report import edition
from tsunagari.run import pipeline


class Reader(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.texts, self.facts = [], [], [], {}
        self.feed(page)
        labels, values = re.findall(r"<dt>(.*?)</dt>", page), re.findall(r"<dd>(.*?)</dd>", page)
        self.facts = dict(zip(labels, values, strict=True))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.texts.append(data)


def test_the_one_script_is_allowed_by_its_hash():
    page = sample.page(sample.table({}))
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', page)
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert page == sample.page(sample.table({}))


NO_TIMES = {"opens_at": "", "closes_at": ""}
HOSTILE = [
    "<script>document.body.dataset.pwned=1</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</script></style><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_stay_words(text):
    plain = Reader(sample.page(sample.table({"phone_note": "a", "url": "b", "sns": "c"})))
    free = [
        name
        for name, value in sample.BLANK.items()
        if name not in sample.NOT_PUBLIC and not re.fullmatch(r"[月-金]+|[有無]|[\d:-]+", value)
    ]
    row = dict.fromkeys(free, text) | {"status": "活動中", "trouble_codes": "1"}
    row |= {"minimum_age": "", "maximum_age": "", "area_codes": "38201"}
    page = sample.page(
        sample.table(row),
        troubles={"1": text, text: "x"},
        places=sample.PLACES.assign(label=text, region_label=text),
        area=text,
        marks=dict.fromkeys(sample.MARKS, text),
    )
    found = Reader(page)
    assert found.tags.count("script") == 1
    assert not {"img", "svg", "iframe"} & set(found.tags)
    assert not [name for name in found.attributes if name.startswith("on")]
    assert "javascript:alert(1)" not in re.findall(r'href="(.*?)"', page)
    assert set(found.attributes) <= set(plain.attributes) | {"rel"}
    assert sum(text in one for one in found.texts) > 8


def test_what_is_not_public_never_reaches_the_page():
    rows = sample.table(
        {
            "contact_person": "山田花子",
            "phone_private": "090-1111-2222",
            "note": "本人の携帯へ",
            "corporate_number": "8700110005901",
            "address_withheld": "有",
            "address_text": "隠れ家町9",
        },
        {"is_public": "無", "org_name": "非公開の会"},
        {"is_public": "", "org_name": "未確認の会"},
        {"personal_data": "有", "org_name": "個人宅の会"},
        {"status": "休止", "org_name": "休んでいる会"},
        {"status": "終了", "org_name": "終わった会"},
    )
    secrets = ["山田花子", "1111", "本人の携帯", "8700110005901", "隠れ家", "非公開の会"]
    secrets += ["未確認の会", "個人宅の会", "休んでいる会", "終わった会"]
    page = sample.page(rows)
    assert [word for word in secrets if word in page] == []
    said = "".join(page.split())
    assert "名簿の6件のうち、活動中1件と臨時休止0件を載せています" in said
    assert (
        "公開の確認がとれていないもの（3件）と、休止・終了したもの（2件）は載せていません" in said
    )


def test_a_made_up_number_cannot_be_dialled():
    rows = sample.table({}, {"phone_public": ""})
    assert "tel:" not in sample.page(rows)
    assert 'href="tel:' in sample.page(rows, is_synthetic=False)


def test_the_office_that_keeps_the_list_is_named():
    rows = sample.table({"phone_public": "", "email_public": "", "url": "", "sns": ""})
    page = sample.page(rows, contact="県 保健福祉課")
    assert (
        page.count("名簿の担当課：県 保健福祉課") == 2
    )  # in the card without contact, in the foot
    assert "名簿の担当課：" not in sample.page(rows)


def test_a_region_can_be_chosen_as_a_whole():
    page = sample.page(sample.table({"area_codes": "38201;38210"}, {"area_codes": "38000"}))
    (value,) = re.findall(r'value="(r[^"]+)"><span>中予のどこか', page)
    places = re.findall(r'data-place="([^"]*)"', page)
    assert [value in place.split() for place in places] == [True, False]
    assert places[1].startswith("*")  # a line of the whole prefecture serves every region


def test_a_column_that_is_no_longer_declared_public_is_gone(monkeypatch):
    table = schema.tables()["resources"]
    columns = table.columns | {
        name: replace(table.columns[name], is_public=False)
        for name in ("phone_public", "description")
    }
    changed = schema.tables() | {"resources": replace(table, columns=columns)}
    monkeypatch.setattr(schema, "tables", lambda: changed)
    page = sample.page(sample.table({}))
    assert "089-000-0000" not in page
    assert "話を聞き" not in page
    assert "つなぐ会" in page


@pytest.mark.parametrize(
    ("row", "label", "expected"),
    [
        ({}, "受付", "月〜金 9:00〜16:30"),
        ({"open_days": "月水祝", "hours_note": "盆休"}, "受付", "月・水・祝 9:00〜16:30（盆休）"),
        ({"open_days": "土日", "closes_at": "02:00"}, "受付", "土・日 9:00〜翌2:00"),
        ({"open_24h": "有"}, "受付", "24時間"),
        ({"open_days": "第2月"}, "受付", "第2月 09:00 16:30"),
        ({"open_days": "", **NO_TIMES}, "受付", "受付時間は先方に確かめてください。"),
        ({"area_codes": "38201;38210"}, "担当区域", "中予"),
        ({"area_codes": "38201;38202"}, "担当区域", "今治市・松山市"),
        ({"area_codes": "38000"}, "担当区域", "県全域"),
        ({"area_codes": "00000"}, "担当区域", "全国"),
        ({"minimum_age": 18.0}, "対象", "だれでも、18歳以上"),
        ({"maximum_age": "39"}, "対象", "だれでも、39歳以下"),
        ({"languages": "ja;easy-ja"}, "言語", "日本語、やさしい日本語"),
        ({"accepts_referral": "無"}, "照会", "照会は受けていません"),
        ({}, "最終確認", "2022年12月1日"),
    ],
)  # fmt: skip
def test_what_a_card_says(row, label, expected):
    assert Reader(sample.page(sample.table(row))).facts[label] == expected


def test_warns_of_what_was_not_assured_for_a_year_and_of_a_pause():
    page = sample.page(sample.table({"assured_on": "2022-03-30"}))
    assert "最終確認から1年以上たっています" in page
    assert "最終確認日がありません" in sample.page(sample.table({"assured_on": ""}))
    fresh = sample.page(sample.table({"assured_on": "2022-03-31"}))
    assert '<p class="stale">' not in fresh
    assert "臨時休止中です" in sample.page(sample.table({"status": "臨時休止"}))
    assert "臨時休止中です" not in fresh
    assert "公開している連絡先がありません" in sample.page(sample.table({"phone_public": ""}))
    assert "公開している連絡先がありません" not in fresh


def test_marks_stand_and_are_lifted_with_the_councils_page(tmp_path):
    page = sample.page(sample.table({}))
    assert page.count("公表前（未署名）") == 2  # on the screen and on every printed page
    assert "合成データ" not in sample.page(sample.table({}), is_synthetic=False)
    path = tmp_path / finder.PAGE
    path.write_text(page, encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "tables.xlsx", "w"):
        pass
    edition.lift_mark(tmp_path)
    signed = path.read_text(encoding="utf-8")
    assert "公表前" not in signed
    assert "合成データ" in signed


def test_a_city_does_not_ask_in_which_city():
    assert 'name="place"' in sample.page(sample.table({}))
    page = sample.page(sample.table({}), places=sample.PLACES.iloc[:1])
    assert 'name="place"' not in page


def test_from_a_file_as_an_office_fills_it_in(tmp_path):
    rows = [
        "ID,団体名,団体名_カナ,困りごと,利用方法,担当区域,利用可能曜日,開始時間,終了時間,状態,登録日,最終確認日,対象年齢（下限）,公開,備考",
        "R1,ひなた会,ヒナタカイ,お金のこと;話し相手,電話,松山市;伊予市,月～金,9時,17時,活動中,令和4年5月1日,2022/12/1,18,有,担当は山田",
        "R2,ひかげ会,ヒカゲカイ,お金のこと,電話,松山市,土日,9:00,17:00,,2022-05-01,,,,",
    ]  # fmt: skip
    (tmp_path / "resources.csv").write_text("\n".join(rows), encoding="utf-8")
    areas = sample.PLACES["label"].to_dict() | {"38000": "愛媛県", "00000": "全国"}
    troubles = {"1": "話し相手", "4": "お金のこと"}
    found = records.read(
        tmp_path, year=2022, areas=areas, lists=schema.declared()["lists"] | {"trouble": troubles}
    )
    listed = found.table("resources")
    assert found.quarantine.empty and found.cells.empty
    page = sample.page(listed, troubles=troubles)
    facts = Reader(page).facts
    assert facts["受付"] == "月〜金 9:00〜17:00"
    assert facts["担当区域"] == "中予"
    assert facts["困りごと"] == "お金のこと、話し相手"
    assert facts["対象"] == "18歳以上"
    assert facts["最終確認"] == "2022年12月1日"
    assert "ひかげ会" not in page and "山田" not in page
    (service,) = hsds.export(
        resources.public_rows(listed), troubles=troubles, places=sample.PLACES
    )["contents"]
    assert service["assured_date"] == "2022-12-01"
    assert service["minimum_age"] == 18
    cells = supply.coverage(listed, troubles=troubles, places=sample.PLACES, by="region")
    assert cells["n_local"].tolist() == [0, 1, 0, 2]  # 東予 and 中予: 話し相手, then お金のこと
    assert resources.growth(listed)["n_total"].tolist() == [2]


def test_what_organisations_say_of_themselves_is_no_figure_of_the_report(tmp_path):
    page = sample.page(sample.table({"description": "定員20人、年に100件の相談を受けます。"}))
    assert "定員20人" in page
    (tmp_path / finder.PAGE).write_text(page, encoding="utf-8")
    assert trace.read_release(tmp_path) == []
    assert trace.FINDER == pipeline.FINDER == finder.PAGE
    (tmp_path / "council_report.html").write_text(page, encoding="utf-8")
    assert trace.read_release(tmp_path)
