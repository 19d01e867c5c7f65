"""What has changed between two waves of a survey?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.estimates import BASE_FOR_TESTS
from tsunagari.statistics.benchmark import match_answers
from tsunagari.statistics.designs import Design
from tsunagari.statistics.gaps import (
    Share,
    difference_row,
    finish_rows,
    gap_variance_of,
    share_figure,
    weigh_share,
)
from tsunagari.study.codebook import NO_ANSWER, Item

WAVE_CAVEAT = "2つの年の回答者は、別々に選ばれたとみなしました。"


# --- waves --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WaveSide:
    """One wave of a question.

    Attributes:
        wave: Survey year.
        indicators: 0/1 per answer, shape (n, k), NaN outside the base.
        by: Domain variables, shape (n, m), or None.
        version: Version of the question in the codebook.
    """

    wave: int
    indicators: pd.DataFrame
    by: pd.DataFrame | None = None
    version: str = "1"


def compare_waves(
    design_now: Design,
    design_before: Design,
    *,
    now: WaveSide,
    before: WaveSide,
    item: str,
    labels: Mapping[str, str] | None = None,
    no_answer: Collection[str] = (NO_ANSWER,),
    confidence: float = 0.95,
    caveat: str = WAVE_CAVEAT,
) -> pd.DataFrame:
    """Compare one question between two independent waves.

    Both sides have variances from their own designs; degrees of freedom add up, as in one design
    with the waves as strata. A question whose version changed, and an answer only one wave has,
    are cut: their rows say 比較できない and why.

    Args:
        design_now: Design of the later wave.
        design_before: Design of the earlier wave.
        now: The question in the later wave.
        before: The question in the earlier wave.
        item: Name of the question.
        labels: Label of every answer.
        no_answer: Answers that are none; they are left out.
        confidence: Of intervals and verdicts.
        caveat: What every row says.

    Returns:
        Estimates rows of `waves_<item>`: percent of either wave (its own `wave`) and
        difference_points, later minus earlier, for everybody and in every domain of `by`.
    """
    drifted = ""
    if now.version != before.version:
        drifted = f"質問が変わりました（版 {before.version} → {now.version}）。"
    rows = []
    values = [*now.indicators.columns]
    values += [value for value in before.indicators.columns if value not in values]
    for value in (value for value in values if value not in no_answer):
        for domain, code in _wave_domains(now, before):
            key = {"item_value": value, "domain": domain, "domain_value": code}
            rows += _wave_cell((design_now, now), (design_before, before), key=key, drifted=drifted)
    facts = {"table_id": f"waves_{item}", "item": item, "weighting": design_now.scheme}
    told = {"labels": labels or {}, "confidence": confidence, "caveat": caveat}
    return finish_rows(rows, facts=facts, **told)


def _wave_domains(now: WaveSide, before: WaveSide) -> list[tuple[str, str]]:
    domains = [("all", "all")]
    for name in now.by if now.by is not None else ():
        if before.by is None or name not in before.by:
            continue
        codes = set(now.by[name].dropna().astype(str)) | set(before.by[name].dropna().astype(str))
        domains += [(name, code) for code in sorted(codes - {"", NO_ANSWER})]
    return domains


def _wave_cell(
    later: tuple[Design, WaveSide],
    earlier: tuple[Design, WaveSide],
    *,
    key: dict[str, Any],
    drifted: str,
) -> list[dict[str, Any]]:
    rows, shares, events, problem = [], [], [], drifted
    for design, side in (later, earlier):
        if key["item_value"] not in side.indicators:
            problem = problem or "片方の年にしかないか、文言のちがう選択肢です。"
            continue
        mask = np.ones(len(side.indicators), dtype=bool)
        if key["domain"] != "all":
            codes = side.by[key["domain"]].astype("string").fillna("").to_numpy(str)
            mask = codes == key["domain_value"]
        values = side.indicators[key["item_value"]].to_numpy(float)
        share = weigh_share(design, values, rows=mask)
        shares.append((design, share))
        events.append(float(values[share.rows].sum()))
        if share.n == 0:
            problem = problem or "片方の年に回答者がいません。"
            continue
        people = {"n_unweighted": share.n, "n_effective": share.n_effective}
        people |= {"n_cell": events[-1], "df": int(design.degrees_of_freedom(share.rows))}
        rows.append(share_figure("percent", share, design=design, wave=side.wave, **people, **key))
    if len(shares) == 2 and min(share.n for _, share in shares) < BASE_FOR_TESTS:
        problem = problem or f"回答者が{BASE_FOR_TESTS}人に足りない年があります。"
    gap_key = {**key, "wave": later[1].wave, "n_cell": min(events, default=np.nan)}
    return [*rows, _wave_gap(shares, problem=problem, key=gap_key)]


def _wave_gap(
    shares: list[tuple[Design, Share]], *, problem: str, key: dict[str, Any]
) -> dict[str, Any]:
    key |= {
        "n_unweighted": min((share.n for _, share in shares), default=0),
        "n_effective": min((share.n_effective for _, share in shares), default=0.0),
    }
    gap, variance, df = np.nan, np.nan, 0
    if len(shares) == 2 and not problem:
        df = sum(int(design.degrees_of_freedom(share.rows)) for design, share in shares)
        gap = shares[0][1].value - shares[1][1].value
        variance = sum(
            gap_variance_of(design, share, influence=share.influence, df=df)
            for design, share in shares
        )
    return difference_row(
        "difference_points", gap=gap, variance=variance, df=df, problem=problem, **key
    )


def compare_item_waves(
    design_now: Design,
    design_before: Design,
    *,
    now: tuple[int, Item, pd.DataFrame],
    before: tuple[int, Item, pd.DataFrame],
    by: Collection[tuple[Item, Item]] = (),
    base: str = "asked",
    confidence: float = 0.95,
    caveat: str = WAVE_CAVEAT,
) -> pd.DataFrame:
    """Compare one item of the study between two waves: base, labels, versions come from the items.

    The earlier wave's answers and groups enter under the codes that mean the same now; an answer
    or a net that means something else, whatever its code or name, is one of one wave only.

    Args:
        design_now: Design of the later wave.
        design_before: Design of the earlier wave.
        now: Year, item and respondents of the later wave.
        before: Year, item and respondents of the earlier wave.
        by: Domain variables both waves have: the later wave's item and the earlier one's.
        base: "asked" or "answered".
        confidence: Of intervals and verdicts.
        caveat: What every row says.

    Returns:
        As `compare_waves`.
    """
    (year, item, respondents), (year_before, item_before, people_before) = now, before
    same = match_answers(item, item_before)
    values = item_before.indicators(people_before, base=base)
    values = values.rename(columns=lambda code: same.get(code, f"{code}@{year_before}"))
    values = values.loc[:, ~values.columns.duplicated()]  # a net of one code is that code
    domains = {
        ours.name: people_before[theirs.name].map(match_answers(ours, theirs))
        for ours, theirs in by
    }
    return compare_waves(
        design_now,
        design_before,
        now=WaveSide(
            wave=year,
            indicators=item.indicators(respondents, base=base),
            by=respondents[[ours.name for ours, _ in by]],
            version=item.version,
        ),
        before=WaveSide(
            wave=year_before,
            indicators=values,
            by=pd.DataFrame(domains, index=people_before.index),
            version=item_before.version,
        ),
        item=item.name,
        labels={f"{code}@{year_before}": label for code, label in item_before.labels.items()}
        | item.labels,
        no_answer={*item.missing, NO_ANSWER},
        confidence=confidence,
        caveat=caveat,
    )
