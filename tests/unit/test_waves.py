"""Two waves in one release: each is judged by itself, and no change over time undoes the hiding."""

import pandas as pd
import pytest

from tsunagari import estimates
from tsunagari.gate import attack, questionnaire, rounding, suppression
from tsunagari.study.settings import Disclosure

SETTINGS = Disclosure()
KNOWN = questionnaire.Questionnaire(codes={"age": ("young", "old"), "q": ("1", "2", "3")})
SMALL = {"young": (3, 47, 70), "old": (30, 40, 50)}  # 3 is under 5
LARGE = {"young": (33, 47, 60), "old": (35, 45, 55)}


def rows_of(wave, counts, *, table_id):
    everybody = tuple(map(sum, zip(*counts.values(), strict=True)))
    return [
        {"wave": wave, "table_id": table_id, "measure": "percent", "unit": "percent",
         "domain": "all" if value == "all" else "age", "domain_value": value, "item": "q",
         "item_value": str(code), "estimate": 100 * count / sum(group),
         "n_unweighted": float(sum(group)), "n_cell": float(count), "weighting": "equal"}
        for value, group in ({"all": everybody} | counts).items()
        for code, count in enumerate(group, start=1)
    ]  # fmt: skip


def release_of(before, now):
    """Return the rows of a release of 2023: its own table, and both waves with their change."""
    tables = [rows_of("2023", now, table_id="cross_age__q")]
    tables += [
        rows_of("2022", before, table_id="waves_q"),
        rows_of("2023", now, table_id="waves_q"),
    ]
    changes = [
        new | {"measure": "difference_points", "unit": "points",
               "estimate": new["estimate"] - old["estimate"]}
        for old, new in zip(*tables[1:], strict=True)
    ]  # fmt: skip
    return estimates.conform(pd.DataFrame([*tables[0], *tables[1], *tables[2], *changes]))


def cells(rows):
    return set(zip(rows["domain_value"], rows["item_value"], strict=True))


def gate(small):
    """Return true and published rows where one wave has the small cell."""
    before, now = (SMALL, LARGE) if small == "2022" else (LARGE, SMALL)
    truth = release_of(before, now)
    after = suppression.suppress(truth, settings=SETTINGS, questionnaire=KNOWN)
    return truth, rounding.round_published(after)


def attacked(published, truth):
    return attack.attack_estimates(published, truth, settings=SETTINGS, questionnaire=KNOWN)


@pytest.mark.parametrize("small", ["2022", "2023"])
def test_each_wave_is_judged_by_itself_and_a_change_goes_with_either(small):
    truth, published = gate(small)
    gone = published[published["status"] == "suppressed"]
    is_change = gone["measure"] == "difference_points"
    hidden = cells(gone[~is_change])
    # 3 young people, a second answer of the young, and both of the old: four cells of one wave.
    assert ("young", "1") in hidden and len(hidden) == 4
    assert set(gone.loc[~is_change, "wave"]) == {small}
    assert cells(gone[is_change]) == hidden
    assert gone["estimate"].isna().all()
    assert attacked(published, truth) == []


@pytest.mark.parametrize("small", ["2022", "2023"])
def test_one_change_shown_again_tells_the_hidden_share_of_either_wave(small):
    truth, published = gate(small)
    is_change = published["measure"] == "difference_points"
    is_hidden = is_change & (published["status"] == "suppressed")
    change = published.index[is_hidden & (published["domain_value"] == "young")][0]
    shown = rounding.round_published(truth.assign(status="published"))
    published.loc[change] = shown.loc[change]
    assert any("waves_q" in problem for problem in attacked(published, truth))
