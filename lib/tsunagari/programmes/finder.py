"""The page for whoever takes a call: who helps with this, there, now? One offline file."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from tsunagari.programmes import resources as lists
from tsunagari.programmes.cells import DAYS, HOLIDAYS, NATION

HERE = Path(__file__).parent
PAGE = "resource_finder.html"


def build_page(
    resources: pd.DataFrame,
    *,
    troubles: Mapping[str, str],
    places: pd.DataFrame,
    area: str,
    as_of: date,
    marks: Mapping[str, Any],
    is_synthetic: bool,
    contact: str = "",
) -> str:
    """Return the page as HTML; the same rows give the same bytes.

    Args:
        resources: Rows of `resources`; only what is declared public can reach the page.
        troubles: Label of each trouble code of the survey, those that are no trouble left out.
        places: Municipalities, as in `resources`.
        area: Whose list it is, such as 愛媛県.
        as_of: Day of the list; what was assured more than 12 months before is warned of.
        marks: Words of the marks `synthetic`, `unsigned` and `unsigned_note`, as on every page.
        is_synthetic: Whether any input of the report is made up; no number may then be dialled.
        contact: The office that keeps the list, "" where it is not known.
    """
    text = _text()
    shown = resources[lists.is_active(resources, "shown")]
    listed = lists.public_rows(shown)
    regions = {
        region: rows["label"].to_dict()
        for region, rows in places.groupby("region_label", sort=False)
    }
    region_of = ("r" + places["region"]).to_dict()
    wide = dict.fromkeys(lists.wide_codes(places), text["wide"]) | {NATION: text["nation"]}
    cards = [
        _card(row, troubles=troubles, regions=regions, region_of=region_of, wide=wide)
        for row in listed.to_dict("records")
    ]
    states = lists.freshness(shown, as_of).set_index("resource_id")["state"]
    for card in cards:
        card["warning"] = text.get(states.get(card["resource_id"], "fresh"), "")
    style, script = ((HERE / f"finder.{kind}").read_text("utf-8") for kind in ("css", "js"))
    return _template().render(
        text=text,
        marks=marks,
        banner=marks["synthetic"] if is_synthetic else "",
        area=area,
        subtitle=text["subtitle"].format(area=area, as_of=_day(as_of)),
        counts=text["counts"].format(
            total=len(resources),
            active=sum(not card["paused"] for card in cards),
            paused=sum(card["paused"] for card in cards),
            hidden=len(shown) - len(cards),
            closed=len(resources) - len(shown),
        ),
        contact=contact,
        codes_of={name: region_of[next(iter(rows))] for name, rows in regions.items()},
        troubles=troubles,
        regions=regions,
        days=DAYS,
        rows=sorted(cards, key=_reading),
        good_until=(pd.Timestamp(as_of) + pd.DateOffset(months=12)).date().isoformat(),
        style=style,
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _reading(card: Mapping[str, str]) -> tuple[str, str]:
    return lists.fold(card["org_name_kana"] or card["org_name"]), card["resource_id"]


@cache
def _text() -> dict[str, Any]:
    return yaml.safe_load((HERE / "finder.yaml").read_text(encoding="utf-8"))


@cache
def _template() -> Any:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("finder.html.j2")


def _card(
    row: Mapping[str, str],
    *,
    troubles: Mapping[str, str],
    regions: Mapping[str, Mapping[str, str]],
    region_of: Mapping[str, str],
    wide: Mapping[str, str],
) -> dict[str, Any]:
    """Return what the template shows of one public row; what it lacks is ""."""
    text, said = _text(), lambda name: row.get(name, "")
    codes, areas = lists.several(said("trouble_codes")), lists.several(said("area_codes"))
    hours = lists.open_hours(row)
    values = {
        "hours": _hours(row, hours),
        "area_codes": "・".join(_area_names(areas, regions=regions, wide=wide)),
        "troubles": "、".join(troubles.get(code, code) for code in codes),
        "target": "、".join([*lists.several(said("target_group_codes")), *_ages(row)]),
        "attending_type": _listed(row, "attending_type", "attending_access"),
        "address": said("address_text") + said("building"),
        "fees": said("fees"),
        "languages": "、".join(
            text["languages"].get(code, code) for code in lists.several(said("languages"))
        ),
        "email_public": said("email_public"),
        "accepts_referral": text["refer"].get(said("accepts_referral"), ""),
        "assured_on": _day(pd.Timestamp(said("assured_on"))) if said("assured_on") else "",
    }
    names = "resource_id org_name org_name_kana service_name description phone_public phone_note"
    return {name: said(name) for name in names.split()} | {
        "trouble_list": " ".join(codes),
        "place_list": " ".join(
            dict.fromkeys(
                ["*"] * any(code in wide for code in areas)
                + areas
                + [region_of[code] for code in areas if code in region_of]
            )
        ),
        "hours_list": " ".join(map(str, hours or ())),
        "facts": [(text["labels"][name], value) for name, value in values.items() if value],
        "links": [said(name) for name in ("url", "sns") if said(name)],
        "has_contact": any(said(n) for n in ("phone_public", "email_public", "url", "sns")),
        "dial": re.sub(r"[^\d+]", "", said("phone_public")),
        "paused": said("status") not in (*lists.words()["active"], ""),
    }


def _listed(row: Mapping[str, str], *names: str) -> str:
    return "、".join(one for name in names for one in lists.several(row.get(name, "")))


def _day(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _ages(row: Mapping[str, str]) -> list[str]:
    low, high = row.get("minimum_age", ""), row.get("maximum_age", "")
    kind = "both" if low and high else "low" if low else "high"
    return [_text()["ages"][kind].format(low=low, high=high)] if low or high else []


def _area_names(
    codes: Sequence[str], *, regions: Mapping[str, Mapping[str, str]], wide: Mapping[str, str]
) -> list[str]:
    """Return labels of areas; a region of which every municipality is named gives its own."""
    names = [wide[code] for code in codes if code in wide]
    for region, places in regions.items():
        here = [label for code, label in places.items() if code in codes]
        names += [region] if len(here) == len(places) > 1 else here
    return names


def _hours(row: Mapping[str, str], hours: tuple[int, int, int] | None) -> str:
    """Return days and times in words, runs of days joined: 月〜金 9:00〜17:00（祝日休み）."""
    text, note = _text(), row.get("hours_note", "")
    if row.get("open_24h") == "有":
        return text["all_day"] + (f"（{note}）" if note else "")
    if hours is None:
        known = " ".join(row.get(name, "") for name in ("open_days", *lists.TIMES)).strip()
        return " ".join(filter(None, [known, note])) or text["hours_unknown"]
    names = DAYS
    bits = "".join(name if hours[0] >> place & 1 else " " for place, name in enumerate(names))
    runs = [f"{run[0]}〜{run[-1]}" if len(run) > 2 else "・".join(run) for run in bits.split()]
    runs += [HOLIDAYS] * (HOLIDAYS in row["open_days"])
    opens, closes = (row[name].removeprefix("0") for name in lists.TIMES)
    next_day = text["next_day"] if hours[2] > 1440 else ""
    return f"{'・'.join(runs)} {opens}〜{next_day}{closes}" + (f"（{note}）" if note else "")
