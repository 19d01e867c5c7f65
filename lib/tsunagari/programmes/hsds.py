"""What the public resource list is in Open Referral's HSDS 3.0: one page of services."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tsunagari.programmes import resources as lists
from tsunagari.programmes.cells import DAYS, NATION


def export(
    public: pd.DataFrame, *, troubles: Mapping[str, str], places: pd.DataFrame
) -> dict[str, Any]:
    """Return the public list as a page of HSDS services.

    Args:
        public: From `resources.public_rows`; a column that is not there is not exported.
        troubles: Label of each trouble code.
        places: Municipalities, as in `resources`.

    Returns:
        A dictionary to write as JSON. The same rows give the same ids.
    """
    areas = places["label"].to_dict() | {NATION: _fields()["nation"]}
    contents = [_service(row, troubles, areas) for row in public.to_dict("records")]
    return {
        "total_items": len(contents),
        "total_pages": 1,
        "page_number": 1,
        "size": len(contents),
        "first_page": True,
        "last_page": True,
        "empty": not contents,
        "contents": contents,
    }


@cache
def _fields() -> dict[str, Any]:
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def _given(row: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, str]:
    return {field: row[column] for field, column in fields.items() if row.get(column)}


def _id(*parts: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(["tsunagari", *parts])))


def _service(
    row: Mapping[str, str], troubles: Mapping[str, str], areas: Mapping[str, str]
) -> dict[str, Any]:
    fields, code, name = _fields(), row["resource_id"], row["org_name"]
    organisation = {
        "id": _id("organization", name),
        "name": name,
        "description": row.get("description") or name,
    }
    service: dict[str, Any] = {
        "id": _id("service", code),
        "name": row.get("service_name") or name,
        "status": fields["status"].get(row.get("status"), "inactive"),
        **_given(row, fields["service"]),
        **{field: int(float(age)) for field, age in _given(row, fields["ages"]).items()},
        "organization": organisation | _given(row, fields["organization"]),
    }
    if row.get("phone_public"):
        phone = _given(row, {"number": "phone_public", "description": "phone_note"})
        service["phones"] = [{"id": _id("phone", code)} | phone]
    if address := row.get("address_text", "") + row.get("building", ""):
        place = {"id": _id("location", code), "location_type": "physical", "description": address}
        service["service_at_locations"] = [{"id": _id("at", code), "location": place}]
    lists_of = {
        "schedules": _schedules(row),
        "service_areas": [
            {"id": _id("area", code, one), "name": areas.get(one, one)}
            for one in lists.several(row.get("area_codes", ""))
        ],
        "languages": [
            {"id": _id("language", code, one), "code": one}
            for one in lists.several(row.get("languages", ""))
        ],
        "attributes": [
            _attribute(code, kind, one, label=troubles.get(one, one) if kind == "trouble" else one)
            for kind, column in fields["attributes"].items()
            for one in lists.several(row.get(column, ""))
        ],
    }
    return service | {name: rows for name, rows in lists_of.items() if rows}


def _attribute(code: str, kind: str, value: str, *, label: str) -> dict[str, Any]:
    term = {"id": _id("term", kind, value), "code": value, "name": label, "description": label}
    link = {"link_type": kind, "link_entity": "service"}
    return {"id": _id("attribute", code, kind, value)} | link | {"taxonomy_term": term}


def _schedules(row: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return days of every week and of a month (第2月 is 2MO) apart; else the note alone."""
    fields, note = _fields(), _given(row, {"description": "hours_note"})
    day = dict(zip(DAYS, fields["days"], strict=True))
    listed = DAYS if row.get("open_24h") == "有" else row.get("open_days", "")
    monthly = re.findall(rf"(第\d|最終)([{DAYS}])", listed)
    weekly = [day[one] for one in re.sub(r"(第\d|最終).", "", listed) if one in day]
    nth = {"最終": "-1"} | {f"第{week}": str(week) for week in range(1, 6)}
    byday = {"WEEKLY": weekly, "MONTHLY": [nth[week] + day[one] for week, one in monthly]}
    hours = lists.open_hours({**row, "open_days": DAYS})
    times = {}
    if hours:
        ends = (hours[1], 1439 if hours[2] == 1440 else hours[2] % 1440)
        at = [f"{minute // 60:02}:{minute % 60:02}{fields['offset']}" for minute in ends]
        times = dict(zip(("opens_at", "closes_at"), at, strict=True))
    found = [
        {"freq": freq, "byday": ",".join(days)} | times for freq, days in byday.items() if days
    ]
    return [
        {"id": _id("schedule", row["resource_id"], one.get("freq", ""))} | one | note
        for one in found or ([{}] if note else [])
    ]
