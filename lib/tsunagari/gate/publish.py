"""The gate's step: from the notebooks' parts to published/."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tsunagari.errors import InputError
from tsunagari.estimates import ESTIMATE_COLUMNS, KEPT, conform, is_kind
from tsunagari.gate.archive import read_archive
from tsunagari.gate.describe import describe_study
from tsunagari.gate.hiding import count_left_out, find_left_out
from tsunagari.gate.linked import item_pairs, span_of
from tsunagari.gate.primary import DEPENDENT
from tsunagari.gate.questionnaire import Key, Questionnaire, read_questionnaire
from tsunagari.gate.rounding import round_published
from tsunagari.gate.suppression import apply_reasons, judge
from tsunagari.gate.words import clean_texts
from tsunagari.programmes import ledger, plan
from tsunagari.statistics.verdicts import PENDING, find_families, give_verdicts
from tsunagari.study.codebook import NO_ANSWER
from tsunagari.study.settings import Marks
from tsunagari.study.survey import Study
from tsunagari.voices.quotes import release_quotes

# --- the gate's step ------------------------------------------------------------------------------


def publish(study: Study) -> pd.DataFrame:
    """Collect every notebook's rows, pass them through the gate and write what may be read.

    Reads private/parts/*.csv in the order of their names; writes private/estimates.csv,
    private/gate.csv (why each row is hidden and why it is left out), published/estimates.csv (the
    rows that are not left out, and table `gate`, which counts the others) and published/about.json.

    Args:
        study: The wave whose notebooks have run.

    Returns:
        The published estimates, shape (n_rows, len(ESTIMATE_COLUMNS)).

    Raises:
        InputError: No notebook has saved rows, a part lacks a column, or a quotation stands in an
            answer or under a theme that is hidden.
        DisclosureError: A figure cannot be judged, or what is left could point at a person.
    """
    estimates = collect_parts(study)
    questionnaire = read_questionnaire(study)
    settings = study.config.disclosure
    reasons = judge(
        estimates, settings=settings, questionnaire=questionnaire, archive=read_archive(study)
    )
    reasons = follow_figures(study, estimates, reasons=reasons)
    estimates = judge_differences(
        estimates, reasons, questionnaire=questionnaire, marks=study.config.marks
    )
    left_out = find_left_out(estimates, reasons)
    study.save("private/gate.csv", estimates[KEPT].assign(reason=reasons, left_out=left_out))
    shown = apply_reasons(estimates, reasons, settings=settings)
    counts = count_left_out(shown, left_out, wave=study.year)
    study.save("private/estimates.csv", estimates)
    published = round_published(pd.concat([shown[left_out.isna()], counts]))
    study.save("published/estimates.csv", published)
    described = describe_study(study) | {"quotes": release_quotes(study, published)}
    study.save("published/about.json", clean_texts(described))
    return published


def follow_figures(study: Study, estimates: pd.DataFrame, *, reasons: pd.Series) -> pd.Series:
    """Return the reasons with those of the ledger's rows that rest on a hidden figure.

    The ledger and the plan in published/ lose those figures too.

    Args:
        study: The wave.
        estimates: Rows at full precision.
        reasons: From `judge`.
    """
    kpis = plan.follow_gate(study, set(estimates.loc[reasons.notna(), "row_id"]))
    follows = is_kind(estimates, "kpi") & estimates["item"].isin(kpis)
    return reasons.mask(follows & estimates["measure"].isin(ledger.FOLLOWING), DEPENDENT)


def judge_differences(
    estimates: pd.DataFrame, reasons: pd.Series, *, questionnaire: Questionnaire, marks: Marks
) -> pd.DataFrame:
    """Return the rows with verdicts and marks, tests adjusted over what is shown alone.

    Args:
        estimates: Rows at full precision.
        reasons: From `judge`.
        questionnaire: What is known of the variables.
        marks: Level and threshold of the study.
    """
    is_hidden = reasons.notna()
    verdict = estimates["verdict"].mask(is_hidden & (estimates["verdict"] == PENDING), "")
    rows = estimates.assign(verdict=verdict, p_value=estimates["p_value"].mask(is_hidden))
    texts = zip(rows["item"].fillna(""), rows["item_value"].fillna(""), strict=True)
    pairs = [item_pairs(*text, questionnaire=questionnaire) for text in texts]
    names = pd.DataFrame(
        [(str(own), str(_with_others(own, questionnaire=questionnaire))) for own in pairs],
        columns=["answers", "tests"],
        index=rows.index,
    )
    families = find_families(rows, answers=names["answers"], tests=names["tests"])
    judged = give_verdicts(
        rows, families, alpha=1 - marks.confidence, point_threshold=marks.point_threshold
    )
    return judged.assign(p_value=estimates["p_value"])


def _with_others(own: Key, *, questionnaire: Questionnaire) -> Any:
    """Return a name that an answer shares with all others together: one test judges both."""
    ((name, code), *more) = own
    missing = questionnaire.missing.get(name, (NO_ANSWER,))
    if more or "=" in name or code in missing:
        return own
    nets = questionnaire.nets.get(name, {})
    codes = {c for c in questionnaire.codes.get(name, ()) if c not in nets and c not in missing}
    inside = span_of(code, nets=nets)
    return name, sorted([sorted(inside), sorted(codes - inside)])


def collect_parts(study: Study) -> pd.DataFrame:
    """Return the rows of every notebook under one set of columns, parts in order of name.

    Raises:
        InputError: There is no part, one has a column that estimates do not know, or two rows are
            one figure or of the gate's own table.
    """
    names = sorted(path.name for path in (study.processed_dir / "private/parts").glob("*.csv"))
    if not names:
        raise InputError("STEP_MISSING.collect_parts")
    parts = {name: study.load(f"private/parts/{name}") for name in names}
    for name, part in parts.items():
        unknown = [column for column in part.columns if column not in ESTIMATE_COLUMNS]
        if unknown:
            raise InputError("PART_COLUMNS", name=name, names=", ".join(unknown))
    rows = conform(pd.concat(parts.values(), ignore_index=True))
    strange = rows["row_id"].duplicated(keep=False) | is_kind(rows, "gate")
    if strange.any():
        listed = ", ".join(rows.loc[strange, "table_id"].drop_duplicates()[:8])
        raise InputError("PART_ROWS", n=strange.sum(), listed=listed)
    return rows
