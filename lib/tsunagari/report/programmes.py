"""What does the report say of the programmes: ledger, a section a programme, next year's plan."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from tsunagari.gate.words import clean_text
from tsunagari.programmes import consultations, council, schema, supply, track
from tsunagari.programmes.ledger import NOT_JUDGED
from tsunagari.programmes.ledger import words as ledger_words
from tsunagari.programmes.plan import EDITED, TEXTS, YES
from tsunagari.programmes.records import SYNTHETIC
from tsunagari.programmes.rows import TOP, word
from tsunagari.report import figures
from tsunagari.report.blocks import Cell, Picture
from tsunagari.report.pictures import words
from tsunagari.report.published import Published, Row, is_hidden, keys_of, records
from tsunagari.report.tables import Line, Lines, sentences
from tsunagari.report.texts import FIXED
from tsunagari.report.writer import HIDDEN, MISSING, Writer, base, estimate, interval

Context = dict[str, Any]
_TYPED = ("actual", "baseline", "target")  # of the ledger's own rows
_INPUT = "インプット"  # stage of the ledger: what was spent is no finding
_MOST = 3  # findings of a section
_CLAIMED = ("actual", "target", "gap")  # rows whose numbers a proposal's words hold


def _rows(published: Published, programme: str, **equal: Any) -> pd.DataFrame:
    return published.this_wave(published.rows(f"programme_{programme}", **equal))


def _claimed(published: Published, kpi: str) -> list[Row | None]:
    known = published.kpis.get(kpi, {}).get("rows", {})
    return [known.get(name) for name in _CLAIMED]


def _names(published: Published, ids: str) -> str:
    """Return the names of some indicators, quoted; their ids stand in one text with ;."""
    known = (published.kpis.get(kpi, {}).get("indicator_name", kpi) for kpi in ids.split(";"))
    return "".join(f"「{name}」" for name in known)


# --- the ledger, last year's actions and plan -----------------------------------------------------


def actions(writer: Writer, **_: Any) -> Lines:
    """What was decided, last year's first, and what became of it."""
    said = writer.texts["words"]["actions"]
    lines = [
        {
            "label": line["what"],
            "year": said["last" if line["is_from_last"] == "True" else "new"],
            "owner": line["owner"],
            "due": line["due_on"],
            "state": line["state"] + said["overdue"] * (line["is_overdue"] == "True"),
            "result": line["result"],
        }
        for line in writer.published.told("actions")
    ]
    return Lines({"": lines})


def review(writer: Writer, **_: Any) -> Lines:
    """What last year's plan meant to do, what was done, and what was measured."""
    published, lines = writer.published, []
    for line in published.told("plan_review"):
        row = published.kpis.get(line["measured_kpi"], {}).get("rows", {}).get("actual")
        rows = keys_of(_claimed(published, line["measured_kpi"]))
        lines.append({
            "label": line["indicator_name"] or line["plan_id"],
            "planned": Cell(line["goal"] + line["measure"], rows=rows),
            "done": line["done_state"] + (f"：{line['done_note']}" if line["done_note"] else ""),
            "measured": Cell(estimate(row) + line["unit"], rows=rows) if row else MISSING,
            "verdict": line["verdict_label"],
        })  # fmt: skip
    return Lines({"": lines})


def _value(row: Row | None, *, is_about: bool = False, end: str = "") -> Cell:
    """Return a figure, with 約 where its record says that it is about so many.

    One that was typed (published, or a line of the ledger) has the digits that were typed.
    """
    if row is None:
        return Cell(MISSING)
    is_about |= word("approximate") in row["reason"]
    about = FIXED["about"] if is_about and not is_hidden(row) else ""
    is_typed = row["table_id"] == "kpi" and row["measure"] in _TYPED
    is_typed |= any(word(name) in row["reason"] for name in ("as_published", "n_unknown"))
    text = estimate(row)
    if is_typed and "." in text:
        text = text.rstrip("0").rstrip(".")
    return Cell(about + text, end, keys_of([row]))


def _actual(kpi: dict[str, Any]) -> Cell:
    row = kpi["rows"].get("actual")
    is_about = kpi["is_approximate"] == YES
    return _value(row, is_about=is_about, end=interval(row) if row else "")


def _base(writer: Writer, row: Row | None) -> Cell:
    """Return a figure's n; that it is unknown where a share needs one and its reason says no n."""
    if row is None or is_hidden(row):
        return Cell(MISSING if row is None else HIDDEN)
    if row["n_unweighted"] == row["n_unweighted"]:
        return Cell(base(row), rows=keys_of([row]))
    is_unknown = row["unit"] == "percent" and row["estimate"] == row["estimate"]
    is_unknown &= not re.search(r"\d", row["reason"])
    return Cell(writer.texts["words"]["n_unknown"] if is_unknown else MISSING)


def kpis(writer: Writer, **_: Any) -> Lines:
    """The ledger's numbers by programme, with the verdict in words."""
    groups: dict[str, list[Line]] = {}
    for kpi in writer.published.kpis.values():
        line = {
            "label": kpi["indicator_name"],
            "unit": kpi["unit"],
            "actual": _actual(kpi),
            "base": _base(writer, kpi["rows"].get("actual")),
            "verdict": kpi["verdict_label"].partition("（")[0],
            "source": _kinds_of_source(writer, kpi["source"]),
        }
        own = {name: row for name, row in kpi["rows"].items() if name != "actual"}
        own |= {name: _value(own.get(name)) for name in ("baseline", "target")}
        groups.setdefault(kpi["programme_name"], []).append(own | line)
    return Lines(groups)


def kpi_words(writer: Writer, **_: Any) -> Lines:
    """What every indicator counts, why it is judged so, and what people say of it."""
    published, groups = writer.published, {}
    for kpi in published.kpis.values():
        definition = kpi["definition"] + (f"。分母：{kpi['base']}" if kpi["base"] else "")
        line = {
            "label": kpi["indicator_name"],
            "stage": "・".join(filter(None, (kpi["stage"], kpi["layer"]))),
            "definition": definition or MISSING,
            "target_on": kpi["target_on"] or MISSING,
            "reason": "。".join(filter(None, (kpi["qual_result"], kpi["verdict_reason"]))),
            "overlap": _names(published, kpi["overlaps_with"]) if kpi["overlaps_with"] else "",
            "policy": "：".join(filter(None, (kpi["direction_next"], kpi["direction_reason"]))),
            "source": "　".join((_source(writer, kpi["source"]), kpi["source_page"])).strip(),
            "baseline": kpi["baseline_source"] or MISSING,
        }
        groups.setdefault(kpi["programme_name"], []).append(line)
    return Lines(groups)


def _source(writer: Writer, text: str) -> str:
    made_up = writer.texts["words"]["sources"]["made_up"]
    parts = (made_up if part == SYNTHETIC else part for part in text.split("; ") if part)
    return "・".join(dict.fromkeys(parts)) or MISSING


# --- a section a programme ------------------------------------------------------------------------


def sections(published: Published) -> list[Context]:
    """Return the programmes that have figures, in the order of the declared tables."""
    names, found = schema.declared()["programmes"], published.items_of("programme_")
    return [{"programme": n, "name": names[n]} for n in names if n in found and published.records]


def programme(writer: Writer, *, programme: str, name: str, **_: Any) -> Lines:
    """The figures of a programme over everybody, or by cohort; a share without its count again."""
    published, known = writer.published, writer.texts["words"]["programme_words"]
    events = {line["event_id"]: line["event_name"] for line in published.told("events")}
    rows = _rows(published, programme)
    rows = rows[rows["domain"].isin(["all", "cohort"]) & ~rows["item"].isin(known["elsewhere"])]
    figure = ["item", "item_value", "domain_value"]
    is_share = rows["measure"] == "share"
    shares = pd.MultiIndex.from_frame(rows.loc[is_share, figure])
    again = (rows["measure"] == "count") & pd.MultiIndex.from_frame(rows[figure]).isin(shares)
    rows = rows[~again]
    alone = rows["item"].map(rows["item"].value_counts()) == 1
    groups: dict[str, list[Line]] = {"": []}
    remarks, sources = [], []
    for row, is_alone in zip(records(rows), alone, strict=True):
        event, _, rest = row["item"].partition(" ")
        group = "：".join((events[event], rest)) if event in events else row["item"]
        group = "" if is_alone and event not in events else known["groups"].get(group, group)
        label = clean_text(row["item_label"]) or known["items"].get(row["item"], row["item"])
        if row["item_value"] == TOP:
            label = known["together"] + label
        if row["domain"] == "cohort":
            label = f"{label}（{row['domain_value']}）"
        said = "" if is_hidden(row) else clean_text(row["reason"])
        has_digits = bool(re.search(r"\d", said))
        remarks += [f"{label}：{said}。"] if has_digits else []
        sources += [part for part in row["source"].split("; ") if part != SYNTHETIC]
        groups.setdefault(group, []).append({
            "label": label, "row": row, "value": _value(row),
            "base": _base(writer, row), "unit": _unit(writer, row),
            "remark": "" if has_digits else said, "source": _kinds_of_source(writer, row["source"]),
        })  # fmt: skip
    every = [line for lines in groups.values() for line in lines]
    same = {line["remark"] for line in every}
    if len(same) == 1:  # said once, under the table
        remarks += [f"{text}。" for text in same if text]
        groups = {group: [_without(line, "remark") for line in lines]
                  for group, lines in groups.items()}  # fmt: skip
    named = "、".join(dict.fromkeys(filter(None, sources)))
    context = {"remarks": sentences(remarks), "sources": named, "name": name}
    return Lines(groups, key=f"programme_{programme}", context=context)


def _without(line: Line, name: str) -> Line:
    return {key: known for key, known in line.items() if key != name}


def _unit(writer: Writer, row: Row) -> str:
    units = FIXED["units"] | writer.texts["words"]["programme_words"]["units"]
    return units.get(row["unit"], row["unit"])


def _kinds_of_source(writer: Writer, source: str) -> str:
    """Return 公表, 合成データ or both: the second volume names what was published."""
    said, parts = writer.texts["words"]["sources"], filter(None, source.split("; "))
    kinds = ("made_up" if part == SYNTHETIC else "recorded" for part in parts)
    return "・".join(dict.fromkeys(said[kind] for kind in kinds)) or MISSING


def _places(published: Published, programme: str, *, by: str) -> tuple[dict, dict[str, str]]:
    """Return the rows of services by trouble and place (local, wide), and the places' names."""
    rows = _rows(published, programme, domain=by, measure="count")
    rows = rows[rows["item"].isin(["local", "wide"])]
    found: dict[str, dict[str, dict[str, Row]]] = {}
    for row in records(rows):
        cell = found.setdefault(row["item_label"], {}).setdefault(row["domain_value"], {})
        cell[row["item"]] = row
    names = dict(zip(rows["domain_value"], rows["reason"].map(clean_text), strict=True))
    return found, names


def coverage(writer: Writer, *, programme: str, **_: Any) -> Lines:
    """How many local services take up each trouble in each region."""
    found, names = _places(writer.published, programme, by="region")
    lines = [
        {"label": trouble, **{f"*{place}": cell["local"] for place, cell in cells.items()}}
        for trouble, cells in found.items()
    ]
    return Lines({"": lines}, columns=names)


def gaps(writer: Writer, *, programme: str, **_: Any) -> Lines:
    """Which troubles no local service takes up somewhere: by region, and where nobody does."""
    said = writer.texts["words"]["gaps"]
    found, names = _places(writer.published, programme, by="region")
    towns, town_names = _places(writer.published, programme, by="municipality")
    lines = []
    for trouble, cells in found.items():
        nobody = [town_names[code] for code, cell in towns.get(trouble, {}).items()
                  if not cell["local"]["estimate"] and not cell["wide"]["estimate"]]  # fmt: skip
        if nobody or _without_local(cells):
            line = {"label": trouble, "nobody": "・".join(nobody)}
            for place, cell in cells.items():
                kind = "wide_only" if cell["wide"]["estimate"] else "none"
                is_gap = place in _without_local(cells)
                text = said[kind] if is_gap else estimate(cell["local"])
                line[f"*{place}"] = Cell(text, rows=keys_of([cell["local"], cell["wide"]]))
            lines.append(line)
    return Lines({"": lines}, columns=names)


def _without_local(cells: dict[str, dict[str, Row]]) -> list[str]:
    return [place for place, cell in cells.items() if not cell["local"]["estimate"]]


def demand(writer: Writer, *, programme: str, **_: Any) -> Lines:
    """What people say they need, beside who takes it up, by region: the survey's own question."""
    published, groups = writer.published, {}
    found, names = _places(published, programme, by="region")
    item, axis = _demanded(published)
    asked = published.cross(axis, item=item) if found and item else published.estimates.iloc[:0]
    shares = {(row["domain_value"], row["item_value"]): row for row in records(asked)}
    rates = {
        (row["item"], row["domain_value"], row["item_value"]): row
        for row in records(_rows(published, programme, measure=supply.RATE))
    }
    for place, name in names.items():
        for trouble, cells in found.items():
            value = cells[place]["local"]["item_value"]
            share, rate = shares.get((place, value)), rates.get((item, place, value))
            line = {"label": trouble, "demand": share, **cells[place]}
            if rate:
                line["rate"] = Cell(estimate(rate, decimals=0), rows=keys_of([rate]))
                line["local_rate"] = rates[("local", place, value)]
            groups.setdefault(name, []).extend([line] if share else [])
    return Lines(groups, context={"item": item, "axis": axis})


def _demanded(published: Published) -> tuple[str, str]:
    """Return the survey's question on troubles, and its axis of regions; "" where it has none."""
    voices = published.voices if published.has_survey else {"questions": [], "region": ""}
    return next(iter(voices["questions"]), ""), voices["region"]


def flows(writer: Writer, *, programme: str, **_: Any) -> Lines:
    """From which stage to which: people, share and days."""
    lines: dict[str, dict[str, Line]] = {}
    rows = _rows(writer.published, programme, domain="from_stage")
    for row in records(rows):
        stage = lines.setdefault(row["domain_value"], {})
        line = stage.setdefault(row["item_value"], {"label": clean_text(row["item_label"])})
        line["days" if row["measure"] == "median" else row["measure"]] = row
    return Lines({stage: list(found.values()) for stage, found in lines.items()})


def meetings(writer: Writer, *, programme: str, **_: Any) -> Lines:
    """When the council met, how many came, on what, and what it decided."""
    rows = records(_rows(writer.published, programme, domain=council.MEETING))
    attended = {row["domain_value"]: row for row in rows}
    lines = [
        {
            "label": line["body"],
            "held_on": line["held_on"],
            "agenda": line["agenda"].replace(";", "、"),
            "decisions": line["decisions"],
            "attendance": _value(attended.get(line["meeting_id"])),
        }
        for line in writer.published.told("meetings")
        if programme == "council"
    ]
    return Lines({"": lines})


# --- the plan -------------------------------------------------------------------------------------


def plan(writer: Writer, **_: Any) -> Lines:
    """Each proposal and beside it what people made of it; a proposal's numbers name their rows."""
    published, groups = writer.published, {}
    for line in published.told("plan"):
        rows = keys_of(_claimed(published, line["goal_indicator"]))
        texts = {name: Cell(line[name], rows=rows) for name in TEXTS}
        more = {name: line[name] for name in ("origin", "owner")}
        policy = "：".join(filter(None, (line["direction"], line["direction_reason"])))
        chosen = writer.texts["words"]["chosen"] if line["for_decision"] == YES else ""
        group = published.kpis.get(line["goal_indicator"], {}).get("indicator_name")
        own = {"label": more["origin"], "policy": policy, "owner": more["owner"], "chosen": chosen}
        groups.setdefault(group or line["plan_id"], []).append(own | texts)
    return Lines(groups)


# --- sentences ------------------------------------------------------------------------------------


def decisions(published: Published, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield what the meeting is to decide: rows of the plan that people, or the rule, chose."""
    chosen = [line for line in published.told("plan") if line["for_decision"] == YES]
    chosen.sort(key=lambda line: (line["origin"] != EDITED, float(line["rank"] or "inf")))
    for line in chosen:
        kpi = line["goal_indicator"]
        name = published.kpis.get(kpi, {}).get("indicator_name", line["plan_id"])
        is_edited = line["origin"] == EDITED
        rows = _claimed(published, kpi)
        yield "decision", {"line": line, "name": name, "rows": rows, "is_edited": is_edited}
    if not chosen:
        yield "no_decisions", {}


def verdicts(published: Published, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield the indicators that have a verdict, or none yet, by its words in their order."""
    found: dict[tuple[int, str], list[str]] = {}
    for kpi in published.kpis.values():
        if kpi["verdict"] != NOT_JUDGED:
            place = [*ledger_words()["verdicts"]].index(kpi["verdict"])
            found.setdefault((place, kpi["verdict_label"]), []).append(kpi["indicator_name"])
    for (_, label), names in sorted(found.items()):
        yield "verdict_line", {"verdict": label, "names": names}
    if not found:
        yield "no_verdicts", {}


def section_lead(
    published: Published, *, programme: str, **_: Any
) -> Iterator[tuple[str, Context]]:
    """Yield what is to be known of a programme, and which figures count the same people."""
    yield "section_notes", {"programme": programme}
    said: set[frozenset[str]] = set()
    for kpi in published.kpis.values():
        pairs = {
            frozenset((kpi["kpi_id"], each)) for each in kpi["overlaps_with"].split(";") if each
        }
        if kpi["programme_id"] == programme and not pairs <= said:
            others = _names(published, kpi["overlaps_with"])
            yield "overlap", {"name": kpi["indicator_name"], "others": others}
            said |= pairs


def residents(published: Published, *, programme: str, **_: Any) -> Iterator[tuple[str, Context]]:
    """Yield how many people of the survey's population live in each region."""
    rows = records(_rows(published, programme, item="residents"))
    if rows:
        yield "residents", {"rows": rows}


def gap_findings(
    published: Published, *, programme: str, **_: Any
) -> Iterator[tuple[str, Context]]:
    """Yield the troubles that no local service takes up, a line for each region that lacks any."""
    found, names = _places(published, programme, by="region")
    for place, name in names.items():
        own = [trouble for trouble, cells in found.items() if place in _without_local(cells)]
        if own:
            yield "gap_finding", {"place": name, "troubles": own}


def indicators_said(
    published: Published, programme: str | None = None
) -> Iterator[tuple[str, Context]]:
    """Yield the indicators that are judged and shown, of one programme or all; else those shown."""
    kpis = [k for k in published.kpis.values() if programme in (None, k["programme_id"])]
    rows = [(kpi, kpi["rows"].get("actual")) for kpi in kpis if kpi["stage"] != _INPUT]
    shown = [(kpi, row) for kpi, row in rows if row and not is_hidden(row)]
    found = [pair for pair in shown if pair[0]["verdict"] != NOT_JUDGED]
    for kpi, row in found or shown:
        context = {"kpi": kpi, "row": row, "is_about": kpi["is_approximate"] == YES}
        context["is_made_up"] = SYNTHETIC in kpi["source"]
        yield "judged_indicator" if found else "unjudged_indicator", context


def section_findings(
    published: Published, *, programme: str, **_: Any
) -> Iterator[tuple[str, Context]]:
    """Yield what the ledger says of a programme first."""
    yield from [*indicators_said(published, programme)][:_MOST]


# --- figures --------------------------------------------------------------------------------------


def _over_time(
    writer: Writer,
    name: str,
    *,
    table: pd.DataFrame,
    rows: pd.DataFrame,
    dates: pd.DataFrame,
    counts: pd.Series,
) -> Iterator[Picture]:
    """Yield a drawing of months, if there are two; its finding is the month of most `counts`."""
    if table.notna().any(axis=None) and len(table) > 1:
        most = counts.index[counts == counts.max()]
        peak = f"{most[0]:%Y年%-m月}" if len(most) == 1 else ""
        said = words(writer, name, n="", has_interval=False, peak=peak)
        chart = figures.over_time(table, words=said, dates=dates)
        yield Picture(chart, keys_of(records(rows)))


def calls(writer: Writer, *, programme: str, **_: Any) -> Iterator[Picture]:
    """Yield calls and conversations by month, with the days that they are read against."""
    rows = _rows(writer.published, programme)
    if programme != "consultations" or rows.empty:
        return
    told = pd.DataFrame(writer.published.told("publicity"), columns=["date", "kind", "label"])
    dates = told.assign(date=pd.to_datetime(told["date"]), label=told["kind"] + " " + told["label"])
    shown = rows[(rows["domain"] == "month") | (rows["item"] == consultations.BY_MONTH)]
    table = consultations.series(rows)
    counts = table.iloc[:, -1]
    yield from _over_time(writer, "calls", table=table, rows=shown, dates=dates, counts=counts)


def growth(writer: Writer, *, programme: str, **_: Any) -> Iterator[Picture]:
    """Yield how many services stood in the list at the end of each month."""
    rows = _rows(writer.published, programme, item="registered", domain="month")
    rows = rows[rows["domain_value"] != "unknown"]
    new = _rows(writer.published, programme, item="new", domain="month")
    new = new[new["domain_value"] != "unknown"].set_index("domain_value")["estimate"]
    new.index = pd.to_datetime(new.index, format="%Y-%m")
    months = pd.to_datetime(rows["domain_value"], format="%Y-%m")
    title = writer.texts["words"]["programme_words"]["items"]["registered"]
    table = pd.DataFrame({title: rows["estimate"].to_numpy(float)}, index=pd.Index(months))
    nothing = pd.DataFrame({"date": [], "label": []})
    yield from _over_time(writer, "growth", table=table, rows=rows, dates=nothing, counts=new)


def _network(
    writer: Writer,
    name: str,
    *,
    edges: pd.DataFrame,
    labels: dict[str, str],
    rows: list[Row],
    **found: Any,
) -> Iterator[Picture]:
    if len(edges):
        said = words(writer, name, n="", has_interval=False, **found)
        chart = figures.network(track.chain(edges, labels), edges, words=said)
        yield Picture(chart, keys_of(rows))


def flow(writer: Writer, *, programme: str, **_: Any) -> Iterator[Picture]:
    """Yield the flows between stages; x where the people are too few."""
    rows = _rows(writer.published, programme, item="flow", measure="count")
    edges = track.flow_edges(rows)
    largest = records(rows[rows["estimate"] == rows["estimate"].max()])
    most = largest[0] if len(largest) == 1 else None
    yield from _network(writer, "flow", edges=edges, labels={}, rows=records(rows), most=most)


def logic(writer: Writer, **_: Any) -> Iterator[Picture]:
    """Yield the logic model: which indicator leads to which."""
    told = pd.DataFrame(writer.published.told("logic"), columns=["from_kpi", "to_kpi"])
    edges = told.set_axis(["from", "to"], axis=1).assign(label="")
    labels = {kpi: line["indicator_name"] for kpi, line in writer.published.kpis.items()}
    ends = [
        labels.get(name, name)
        for name in dict.fromkeys(edges["to"])
        if name not in {*edges["from"]}
    ]
    yield from _network(writer, "logic", edges=edges, labels=labels, rows=[], ends=ends)


def _named(*made: Any) -> dict[str, Any]:
    return {make.__name__: make for make in made}


TABLES = _named(
    actions, review, kpis, kpi_words, programme, coverage, gaps, demand, flows, meetings, plan
)
LINES = _named(verdicts, decisions, section_findings, section_lead, residents, gap_findings)
FIGURES = _named(calls, growth, flow, logic)
