"""What does the design cost, and does a scale measure one thing?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tsunagari.errors import ModelError
from tsunagari.statistics.designs import Design
from tsunagari.statistics.domains import (
    NOISE,
    as_values,
    assemble_rows,
    base_groups,
    base_sums,
    make_base,
    make_domains,
    make_grid,
    make_side,
    no_answers,
)
from tsunagari.statistics.estimation import number_figures


def design_effects(
    design: Design,
    values: pd.DataFrame | pd.Series,
    *,
    by: pd.DataFrame | pd.Series | None = None,
) -> pd.DataFrame:
    """Return how many times larger each mean's variance is than under simple random sampling.

    Args:
        design: Weights and design, n rows.
        values: Numbers or 0/1, NaN outside the base, shape (n, k).
        by: Domain variables, shape (n, 1..m). None: everybody.

    Returns:
        One row for each domain and column: measure design_effect_mean, unit ratio. Where the
        answers do not vary, or a degree of freedom is lacking, there is no row; see
        `attrs["left_out"]`.

    Raises:
        ModelError: No answers at all, or nothing that varies.

    References:
        Kish (1965), Survey Sampling. R survey: svymean(deff = "replace").
    """
    table = as_values(values, design.n, name="values")
    columns = [str(name) for name in table.columns]
    domains = make_domains(by, design.n)
    parts, left_out = [], []
    for which, answered in base_groups(table.to_numpy()):
        base = make_base(design, domains, answered=answered)
        number = np.where(answered[:, None], table.to_numpy()[:, which], 0.0)
        mean = base_sums(base, number * design.weights[:, None]) / base.weight[:, None]
        error = number_figures(design, base, number=number, measure="mean")[1]
        squares = np.zeros_like(mean)
        for position in range(len(base.index)):
            inside = base.groups == position
            spread = np.square(number[inside] - mean[position])
            squares[position] = design.weights[inside] @ spread / base.weight[position]
        simple = squares / np.maximum(base.n - 1, 1)[:, None]
        varies = simple > NOISE**2 * np.maximum(np.square(mean), NOISE)
        is_known = varies & (base.df >= 1)[:, None]
        effect = np.divide(error**2, simple, out=np.full_like(simple, np.nan), where=is_known)
        part = make_grid(base, [columns[c] for c in which], design=design, estimate=effect)
        why = np.where(varies, "TOO_FEW_UNITS", "CONSTANT").ravel()
        lost = part["estimate"].isna()
        keys = part[["domain", "domain_value", "item_value"]].assign(reason=why)
        left_out.append(keys[lost])
        parts.append(part[~lost].assign(measure="design_effect_mean", unit="ratio"))
    rows = assemble_rows(parts, columns, domains=domains)
    if rows.empty:
        raise _constant("design_effects")
    lost = pd.concat(left_out, ignore_index=True)
    if len(lost):
        rows.attrs["left_out"] = lost.to_dict("records")
    return rows


def _constant(name: str) -> ModelError:
    return ModelError("CONSTANT", name=name)


def cronbach_alpha(design: Design, items: pd.DataFrame) -> pd.DataFrame:
    """Return Cronbach's alpha of a scale, weighted and unweighted.

    Args:
        design: Weights and design, n rows.
        items: One column an item, numbers in one direction; complete rows count, shape (n, k).

    Returns:
        Two rows: measure cronbach_alpha, item_value "weighted" and "unweighted".

    Raises:
        ModelError: Fewer than two items, no complete row, or a sum that does not vary.

    References:
        Cronbach (1951), Psychometrika 16(3). R survey: svycralpha.
    """
    table = as_values(items, design.n, name="items").to_numpy()
    complete = ~np.isnan(table).any(axis=1)
    if not complete.any():
        raise no_answers()
    if table.shape[1] < 2:
        raise ModelError("ONE_ITEM")
    base = make_side(design, complete)
    answers = table[complete]
    schemes = {"weighted": design.weights[complete], "unweighted": np.ones(int(complete.sum()))}
    rows = []
    for name, weights in schemes.items():
        rows.append(
            {
                "measure": "cronbach_alpha",
                "unit": "ratio",
                "domain": "all",
                "domain_value": "all",
                "item_value": name,
                "estimate": _alpha(answers, weights),
                "n_unweighted": base.n[0],
                "n_effective": base.n_effective[0] if name == "weighted" else float(base.n[0]),
                "weighting": design.scheme if name == "weighted" else "unweighted",
            }
        )
    return pd.DataFrame(rows)


def _alpha(answers: np.ndarray, weights: np.ndarray) -> float:
    share = weights / weights.sum()
    centred = answers - share @ answers
    of_items = share @ np.square(centred)
    of_sum = float(share @ np.square(centred.sum(axis=1)))
    if of_sum <= NOISE * max(1.0, float(np.abs(answers).max()) ** 2):
        raise _constant("cronbach_alpha")
    k = answers.shape[1]
    return k / (k - 1) * (1 - float(of_items.sum()) / of_sum)
