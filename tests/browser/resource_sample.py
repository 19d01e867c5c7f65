"""Invented rows of a resource list, as many as asked for: what the finder's page is tested on."""

import random
from datetime import date

import pandas as pd

from tsunagari.programmes import finder

TROUBLES = {
    "1": "話し相手や相談相手がいない",
    "4": "収入・家計・借金など、お金のこと",
    "6": "家族の介護や看護のこと",
    "9": "家庭内の不和や暴力",
}
PLACES = pd.DataFrame(
    [
        ("38202", "今治市", "1", "東予"),
        ("38205", "新居浜市", "1", "東予"),
        ("38201", "松山市", "2", "中予"),
        ("38210", "伊予市", "2", "中予"),
    ],
    columns=["code", "label", "region", "region_label"],
).set_index("code")
MARKS = {
    "synthetic": "合成データ",
    "unsigned": "公表前（未署名）",
    "unsigned_note": "外には",
}
BLANK = {
    "org_name": "つなぐ会",
    "org_name_kana": "ツナグカイ",
    "corporate_number": "",
    "legal_form": "任意団体",
    "service_name": "",
    "description": "話を聞き、合う窓口へつなぎます。",
    "trouble_codes": "1",
    "target_group_codes": "だれでも",
    "minimum_age": "",
    "maximum_age": "",
    "attending_type": "電話;来所",
    "attending_access": "予約不要",
    "accepts_referral": "有",
    "area_codes": "38201",
    "municipality_code": "38201",
    "address_text": "松山市架空町1",
    "building": "",
    "address_withheld": "無",
    "open_days": "月火水木金",
    "opens_at": "09:00",
    "closes_at": "16:30",
    "open_24h": "無",
    "hours_note": "",
    "phone_public": "089-000-0000",
    "phone_note": "",
    "email_public": "",
    "url": "",
    "sns": "",
    "fees": "無料",
    "languages": "",
    "personal_data": "無",
    "status": "活動中",
    "registered_on": "2022-05-01",
    "assured_on": "2022-12-01",
    "is_public": "有",
}
NOT_PUBLIC = ("personal_data", "is_public")


def table(*rows: dict) -> pd.DataFrame:
    """Return rows that differ from `BLANK` as said, numbered R001, R002 ..."""
    return pd.DataFrame(
        [{"resource_id": f"R{n:03}"} | BLANK | row for n, row in enumerate(rows, 1)]
    )


def many(count: int) -> pd.DataFrame:
    """Return `count` rows, the same on every call."""
    rng = random.Random(13)
    pick = rng.choice
    return table(
        *(
            {
                "org_name": f"NPO法人 {pick(['ひなた', 'みかん'])}の{pick('会家輪')}{n}",
                "org_name_kana": f"エヌピーオーホウジン{pick(['ヒナタ', 'ミカン'])}{n}",
                "description": "家計や介護で困っている人、話し相手がほしい人の話を聞き、週に一度、"
                "だれでも来られる場所を開いています。初めての人も一人で来られます。",
                "trouble_codes": ";".join(rng.sample(list(TROUBLES), rng.randint(1, 3))),
                "area_codes": pick(["38000", *PLACES.index, "38201;38210"]),
                "open_days": pick(["月火水木金", "土日", "第2月", ""]),
                "phone_public": f"089-{n // 10_000:03}-{n % 10_000:04}",
                "assured_on": pick(["2022-12-01", "2021-06-01", ""]),
            }
            for n in range(count)
        )
    )


def page(resources: pd.DataFrame, **changes) -> str:
    """Return the finder's page of these rows."""
    given = {"troubles": TROUBLES, "places": PLACES, "area": "愛媛県"}
    given |= {"as_of": date(2023, 3, 31), "marks": MARKS, "is_synthetic": True}
    return finder.build_page(resources, **given | changes)
