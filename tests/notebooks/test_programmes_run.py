"""The report of every study with records, from its files to the page."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from tests.notebooks.test_run import PLAN

from tsunagari import synthetic
from tsunagari.run import pipeline

pytestmark = pytest.mark.slow

RAW = Path(__file__).resolve().parents[2] / "data/raw"
SOURCE = "内閣官房 令和4年度 地方版孤独・孤立対策官民連携プラットフォーム推進事業 報告書"
EHIME = [(f"{who}(参加)", "40") for who in ("オンライン", "対面", "個人", "支援団体")]
TOTTORI = [("合計(参加)", "約300"), ("満足", "88"), ("興味がわいた", "72"), ("養成者数", "50")]
SURVEY = ("調査の方法", "孤独の状況", "クロス集計")


def lines_of(page):
    """Return the lines of the page's tables as lists of texts."""
    for line in re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL):
        found = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, flags=re.DOTALL)
        yield [re.sub(r"<[^>]+>", " ", cell).strip() for cell in found]


@pytest.fixture(scope="module", params=["ehime", "tottori-city", "kamakura"])
def made(request, tmp_path_factory):
    """Return a study's name and its page."""
    root, name = tmp_path_factory.mktemp("records"), request.param
    folder = root / "data/raw" / name
    if name == "ehime":
        synthetic.write_small_study(root, n=600, seed=3)
        path = folder / "study.yaml"
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        settings["tables"] |= PLAN | {"crosses": [*PLAN["crosses"], "trouble"]}
        path.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
        own = folder / "2022/programmes"
        shutil.copytree(RAW / name / "2022/programmes", own, dirs_exist_ok=True)
        shutil.copy(RAW / name / "population_municipalities.csv", folder)
    else:
        shutil.copytree(RAW / name, folder)
    steady = pipeline.hash_environment()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSUNAGARI_ROOT", str(root))
        patch.setattr(pipeline, "hash_environment", lambda: steady)
        assert pipeline.main(["report", "--study", name, "--year", "2022"]) == 0
    folder = root / "reports" / name / "2022"
    volumes = [folder / volume for volume in ("council_report.html", "appendix.html")]
    return name, "".join(volume.read_text(encoding="utf-8") for volume in volumes)


def test_the_page_has_the_chapters_of_its_study(made):
    name, page = made
    heads = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert any("事業の実績と評価" in head for head in heads)
    assert all(any(word in head for head in heads) == (name == "ehime") for word in SURVEY)
    assert any("示唆と次年度案" in head for head in heads)
    body = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r"\bnan\b", re.sub(r'src="[^"]*"', "", body), flags=re.IGNORECASE)
    assert not re.search(r"</h[23]>\s*(</div>\s*)*<h[23]", re.sub(r"</h2><div[^>]*><h3", "", body))


def test_published_figures_stand_on_the_page_with_their_source(made):
    name, page = made
    lines = {line[0]: line for line in lines_of(page) if len(line) == 7}
    for label, figure in {"ehime": EHIME, "tottori-city": TOTTORI}.get(name, []):
        line = lines[label.replace("(", "（").replace(")", "）")]
        assert (line[1], line[3], line[6]) == (figure, "", "公表")
    assert SOURCE in page
    assert "合成データ" in page


def test_where_n_is_unknown_no_interval_stands(made):
    unknown = [line for line in lines_of(made[1]) if "n\u00a0不明" in line or "n&nbsp;不明" in line]
    assert bool(unknown) == (made[0] != "kamakura")
    assert not [line for line in unknown if any("〜" in cell for cell in line[1:])]
