"""Golden figures and pages: nothing that is published moves without a word.

A difference is cleared by one commit that holds the renewed files and the CHANGELOG entry that says
which figure moved, from what to what, and why:

    .venv/bin/python -m tests.golden
"""

import pytest
from tests.golden.net import (
    FOLDER,
    RELEASES,
    changes,
    describe_estimates,
    describe_page,
    describe_release,
)

HINT = "renew by `.venv/bin/python -m tests.golden` and say in CHANGELOG what moved and why"


@pytest.mark.slow
@pytest.mark.parametrize("part", ["estimates", "page"])
@pytest.mark.parametrize(("study", "year"), RELEASES)
def test_what_is_published_has_not_moved(released, study, year, part):
    now = describe_release(released / "reports" / study / year)[part]
    golden = (FOLDER / f"{study}_{year}_{part}.txt").read_text(encoding="utf-8")
    moved = changes(golden, now)
    assert not moved, "\n".join([f"{len(moved)} lines moved; {HINT}:", *moved[:40]])


ESTIMATES = """wave,table_id,measure,domain,domain_value,item,item_value,estimate,std_error,lower,\
upper,p_adjusted,n_unweighted,weighting,mark,verdict,status,reason
2022,headline,percent,sex,1,lonely,1,12.5,1.0,10.6,14.5,,200,raking,▲,,published,
2022,cross_sex__q,percent,sex,1,q,1,12.5,1.0,10.6,14.5,,200,raking,,,published,
2022,cross_sex__q,percent,sex,1,q,2,,,,,,,raking,,,suppressed,HIDDEN
"""


@pytest.mark.parametrize(
    ("old", "new"), [("12.5,1.0", "12.6,1.0"), (",▲", ",▽"), ("14.5,,200", "14.5,,201"),
                     ("suppressed,HIDDEN", "published,"), ("q,2", "q,3")],
)  # fmt: skip
def test_one_figure_mark_base_or_hiding_that_moves_is_seen(old, new):
    before = describe_estimates(ESTIMATES)
    assert "percent sex/1/lonely/1 raking 12.5 10.6..14.5 n=200 ▲" in before
    assert changes(before, describe_estimates(ESTIMATES.replace(old, new)))


PAGE = """<h2>結果</h2><p>男性は <span data-row="a">12.5%</span> でした。</p><img alt="男性 12.5%">
<table><caption>表1</caption><tr><th>男性</th><td>12.5</td></tr></table><style>p{x:1}</style>"""


def test_one_word_alternative_text_or_cell_that_moves_is_seen():
    before = describe_page(PAGE)
    assert before.splitlines()[:4] == [
        "## 結果",
        "男性は 12.5% でした。",
        "[alt] 男性 12.5%",
        "表1",
    ]
    for old, new in (("でした", "です"), ('"男性 12.5', '"男性 12.6'), ("<td>12.5", "<td>12.6")):
        assert changes(before, describe_page(PAGE.replace(old, new)))
    assert not changes(before, describe_page(PAGE.replace("x:1", "x:2")))
