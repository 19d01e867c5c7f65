"""What did the nation publish, and which of our questions, groups and answers is it?

A published figure is joined to ours by what it means, never by its code: labels of answers, limits
of bands, codes that a net holds, version of a scale. What means nothing of ours is refused by name,
or mapped in study.yaml, or said.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsunagari.errors import ConfigError, ModelError
from tsunagari.estimates import join, split
from tsunagari.study.codebook import NO_ANSWER, Item
from tsunagari.study.files import read_table
from tsunagari.study.survey import Study

COMPOSITION_ITEM = "respondents"  # of the benchmark table: who answered, in percent
BENCHMARK_COLUMNS = (
    "year item item_value domain domain_value percent n base source certainty"
).split()
_KEYS = ["year", "item", "item_value", "domain", "domain_value"]


@dataclass(frozen=True)
class PublishedFigures:
    """Published figures in the names and codes of our study.

    Attributes:
        table: Rows as `check_benchmark` gives them, those that our study can be compared with.
        not_compared: Labels of published groups and answers that our study does not have.
    """

    table: pd.DataFrame
    not_compared: tuple[str, ...] = ()


def read_benchmark(study: Study) -> PublishedFigures:
    """Read the published figures that stand beside ours; none for a study without a benchmark.

    Args:
        study: The wave; `benchmark` in study.yaml says where and how questions map.

    Raises:
        InputError: A file is missing.
        ModelError: The table is wrong; see `check_benchmark`.
        ConfigError: Nothing was published of the year, or a published answer or group means none
            of ours, and `benchmark.answers` does not say which it is.
    """
    year = study.wave.benchmark_year
    if study.config.benchmark is None or year is None:
        return PublishedFigures(pd.DataFrame(columns=BENCHMARK_COLUMNS))
    table = check_benchmark(read_table(study.benchmark_dir / "benchmarks.csv"))
    if year not in (known := sorted(table["year"].unique())):
        years = ", ".join(map(str, known))
        raise ConfigError("BENCHMARK_YEAR", wave=study.year, year=year, years=years)
    book = read_meanings(read_table(study.benchmark_dir / "codebook.csv"))
    return translate(table, book, study=study)


def read_meanings(codebook: pd.DataFrame) -> dict[str, Item]:
    """Return the published survey's questions and groups.

    Args:
        codebook: Columns variable, label, code, code_label, role, from, to, of, scale; one row a
            code or net; docs/data_dictionary.md.

    Returns:
        Items by variable.
    """
    book = {}
    for name, rows in codebook.fillna("").groupby("variable", sort=False):
        codes, nets = rows[rows["of"] == ""], rows[rows["of"] != ""]
        bands = codes[codes["from"] != ""]
        ends = zip(bands["code"], bands["from"], bands["to"], strict=True)
        book[str(name)] = Item(
            name=str(name),
            label=rows["label"].iloc[0],
            short_label=rows["label"].iloc[0],
            kind="SA",
            options=dict(zip(codes["code"], codes["code_label"], strict=True)),
            no_answer=tuple(codes.loc[codes["role"] == "no_answer", "code"]),
            nets={row.code: (row.code_label, tuple(row.of.split())) for row in nets.itertuples()},
            limits={code: (float(low), float(high or np.inf)) for code, low, high in ends},
            scale=rows["scale"].iloc[0],
        )
    return book


# --- what a code means --------------------------------------------------------------------------


def tidy_label(text: str) -> str:
    """Return a label as it is compared: NFKC, without spaces, one dash, など for 等.

    Example:
        >>> tidy_label("４〜６点（ほとんど ない）") == tidy_label("4～6点(ほとんどない)")
        True
    """
    plain = re.sub(r"\s", "", unicodedata.normalize("NFKC", text)).casefold()
    return re.sub("[〜~‐‑–—−-]", "-", plain).replace("等", "など")


def match_answers(
    ours: Item, theirs: Item, *, given: Mapping[str, str | None] | None = None
) -> dict[str, str]:
    """Return which of our codes and nets means the same as each of theirs.

    Args:
        ours: Our question or group.
        theirs: Theirs: another survey's, or another wave's.
        given: Their code to ours where the wording differs; None where we have none.

    Returns:
        Their code or net to ours, those without a counterpart left out. Bands match by their
        limits, nets by the codes they hold, no answer by its role, everything else by its label;
        nothing matches between two versions of a scale.
    """
    if ours.scale != theirs.scale:
        return {}
    found = dict(given or {})
    by_label: dict[str, str] = {}
    labels = {**ours.options, **ours.missing}
    for code, label in labels.items():
        tidy = tidy_label(label)
        by_label[tidy] = "" if tidy in by_label else code
    by_limits = {limits: code for code, limits in ours.limits.items()}
    for code, label in {**theirs.options, **theirs.missing}.items():
        if code in theirs.limits and by_limits:
            found.setdefault(code, by_limits.get(theirs.limits[code]))
        elif code not in theirs.no_answer:
            found.setdefault(code, by_label.get(tidy_label(label)) or None)
    found |= dict.fromkeys((NO_ANSWER, *theirs.no_answer), NO_ANSWER)
    known = {frozenset(codes): net for net, (_, codes) in ours.nets.items()}
    known |= {frozenset([code]): code for code in labels}
    for net, (_, codes) in theirs.nets.items():
        found.setdefault(net, known.get(frozenset(found.get(code) for code in codes)))
    return {code: mine for code, mine in found.items() if mine is not None}


# --- the published table in our words -----------------------------------------------------------


def translate(table: pd.DataFrame, book: Mapping[str, Item], *, study: Study) -> PublishedFigures:
    """Return published figures under our names and codes.

    Args:
        table: From `check_benchmark`.
        book: From `read_meanings`.
        study: The wave.

    Raises:
        ConfigError: See `read_benchmark`.
    """
    plan, year = study.config.benchmark, study.wave.benchmark_year
    axes = _map_axes(study, book)
    pairs = [*plan.items.items(), *((ours, theirs) for theirs, ours in axes.items())]
    used = table[table["item"].isin([COMPOSITION_ITEM, *plan.items.values()])]
    now = used[used["year"] == year]
    codes = {}
    for ours, theirs in pairs:
        shown = set(now.loc[now["item"] == theirs, "item_value"])
        shown |= {code for name, code in _domain_parts(now) if name == theirs}
        codes[theirs] = _match(
            theirs,
            study.items[ours],
            book=book,
            shown=shown,
            given=plan.answers.get(theirs, {}),
        )
    domains = _translate_domains(used, axes, codes)
    used = used.assign(domain=domains["domain"], domain_value=domains["domain_value"])
    used = used[domains["is_ours"].to_numpy(bool)]
    parts = [used[used["item"] == COMPOSITION_ITEM]]
    for ours, theirs in plan.items.items():
        rows = used[used["item"] == theirs]
        values = rows["item_value"].map(codes[theirs])
        parts.append(rows.assign(item=ours, item_value=values)[values.notna().to_numpy()])
    lacking = {name for name, _ in _domain_parts(now)} - set(axes)
    labels = [item.label for name, item in book.items() if name in lacking]
    return PublishedFigures(pd.concat(parts, ignore_index=True), tuple(labels))


def _map_axes(study: Study, book: Mapping[str, Item]) -> dict[str, str]:
    """Return our variable of every published group that we can form: by design, axes or name."""
    plan, design = study.config.benchmark, study.config.design
    by_design = {"age_band": design.age_band, "sex": design.sex}
    found = {name: name for axis in study.axes for name in axis if name in book}
    found |= {theirs: ours for ours, theirs in plan.axes.items()}
    found = {theirs: ours for theirs, ours in found.items() if theirs not in by_design}
    return found | {theirs: ours for theirs, ours in by_design.items() if ours}


def _domain_parts(table: pd.DataFrame) -> Iterable[tuple[str, str]]:
    for domain, value in set(zip(table["domain"], table["domain_value"], strict=True)):
        if domain != "all":
            yield from zip(split(domain), split(value), strict=True)


def _match(theirs: str, ours: Item, *, book: Mapping[str, Item], shown: set[str],
           given: Mapping[str, str | None]) -> dict[str, str]:  # fmt: skip
    """Return our code of each of theirs, and refuse what the table shows and we cannot place."""
    if theirs not in book:
        raise ConfigError("BENCHMARK_CODEBOOK", theirs=theirs, name=ours.name)
    item = book[theirs]
    found = match_answers(ours, item, given=given)
    absent = {code for code, mine in given.items() if mine is None}
    absent |= {net for net, (_, of) in item.nets.items() if absent & set(of)}
    lost = [code for code in item.labels if code in shown - set(found) - absent]
    wrong = [code for code in given.values() if code is not None and code not in ours.labels]
    if lost or wrong:
        scale = item.scale != ours.scale
        listed = "尺度の版 (scale version)" if scale else "・".join(item.labels[c] for c in lost)
        listed = listed or ", ".join(wrong)
        raise ConfigError(
            "BENCHMARK_MEANING", theirs=theirs, label=item.label, listed=listed, name=ours.name
        )
    return found


def _translate_domains(
    table: pd.DataFrame, axes: Mapping[str, str], codes: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """Return our domain and domain_value of every row, and whether we have that group."""
    known: dict[tuple[str, str], tuple[str, str, bool]] = {("all", "all"): ("all", "all", True)}
    pairs = list(zip(table["domain"], table["domain_value"], strict=True))
    for domain, value in set(pairs) - set(known):
        parts = list(zip(split(domain), split(value), strict=True))
        mine = [codes[name].get(code) for name, code in parts if name in axes]
        is_ours = len(mine) == len(parts) and None not in mine
        names = join(axes.get(name, name) for name, _ in parts)
        known[domain, value] = (names, join(mine), is_ours)
    columns = ["domain", "domain_value", "is_ours"]
    return pd.DataFrame([known[pair] for pair in pairs], columns=columns, index=table.index)


# --- the table as it is kept --------------------------------------------------------------------


def check_benchmark(benchmark: pd.DataFrame) -> pd.DataFrame:
    """Return the benchmark table with its types, or say what is wrong with it.

    Args:
        benchmark: Columns year, item, item_value, domain, domain_value, percent, n, base, source,
            certainty; one row a published figure.

    Returns:
        The same rows; `percent` and `n` float, `year` Int64, everything else text.

    Raises:
        ModelError: BENCHMARK_COLUMNS, BENCHMARK_VALUES or BENCHMARK_DUPLICATES.
    """
    lacking = [column for column in BENCHMARK_COLUMNS if column not in benchmark]
    if lacking:
        names = ", ".join(lacking)
        raise ModelError("BENCHMARK_COLUMNS", names=names)
    text = [name for name in BENCHMARK_COLUMNS if name not in ("year", "percent", "n")]
    table = benchmark.assign(weighting=benchmark.get("weighting", ""))
    table = table.astype(dict.fromkeys((*text, "weighting"), "string"))
    for column in ("year", "percent", "n"):
        table[column] = pd.to_numeric(table[column], errors="coerce").astype(float)
    table[[*text, "weighting"]] = table[[*text, "weighting"]].fillna("")
    wrong = ~table["percent"].between(0, 100) | (table["n"] <= 0) | table["year"].isna()
    twice = table.duplicated(_KEYS)
    for key, bad in (("BENCHMARK_VALUES", wrong), ("BENCHMARK_DUPLICATES", twice)):
        if bad.any():
            where = ", ".join(str(i + 2) for i in np.flatnonzero(bad)[:10])
            raise ModelError(key, rows=where)
    return table.astype({"year": "Int64"})


def age_mix(
    benchmark: pd.DataFrame, *, year: int, axis: str, within: tuple[str, str] | None = None
) -> dict[str, float]:
    """Return people per age band among the respondents of the published survey.

    Args:
        benchmark: The benchmark table.
        year: Year of the published survey.
        axis: Name of the age variable, "age_band".
        within: A domain and its value, such as ("sex", "1"), inside which the mix is wanted.

    Returns:
        Band to people: the unweighted n of the figures by age, or else the composition (item
        "respondents", domain = `axis`) times its n. Empty when neither is published.
    """
    table = benchmark[benchmark["year"] == year]
    own = table[(table["domain"] == axis) & table["n"].notna()]
    is_share = own["item"] == COMPOSITION_ITEM
    if within is None:
        counts = _band_counts(own[~is_share], position=0)
        shares = own[is_share]
        people = shares["percent"].astype(float) * shares["n"].astype(float) / 100
        return counts or dict(zip(shares["domain_value"], people, strict=True))
    for position, name in enumerate((f"{axis} x {within[0]}", f"{within[0]} x {axis}")):
        rows = table[table["domain"] == name]
        pairs = [split(value) for value in rows["domain_value"]]
        other = [join(parts[1:] if position == 0 else parts[:-1]) for parts in pairs]
        inside = np.array([value == within[1] for value in other], dtype=bool)
        if inside.any():
            return _band_counts(rows[inside], position=-position)
    return {}


def _band_counts(rows: pd.DataFrame, *, position: int) -> dict[str, float]:
    """Return n per band from the item that publishes the most bands."""
    rows = rows[rows["n"].notna()]
    if rows.empty:
        return {}
    bands = [split(value)[position] for value in rows["domain_value"]]
    per_item = rows.assign(band=bands).drop_duplicates(["item", "band"])
    widest = per_item["item"].value_counts().sort_index(kind="stable").idxmax()
    chosen = per_item[per_item["item"] == widest]
    return dict(zip(chosen["band"], chosen["n"].astype(float), strict=True))


def nearest_mix(
    benchmark: pd.DataFrame, *, year: int, axis: str, within: tuple[str, str] | None
) -> tuple[dict[str, float], str]:
    """Return the age mix of the year, or of the nearest year that has one (A26), and a note."""
    years = sorted(benchmark["year"].unique(), key=lambda other: (abs(other - year), other))
    for other in years:
        mix = age_mix(benchmark, year=other, axis=axis, within=within)
        if mix:
            note = "" if other == year else f"全国の年齢の構成は、{other}年の回答者のものです。"
            return mix, note
    return {}, ""
