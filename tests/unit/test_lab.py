"""JupyterLab opens on a start page whose links all lead somewhere, without news, with its token."""

import json
import re
from pathlib import Path

import pytest

from tsunagari import errors
from tsunagari.starting import lab

ROOT = Path(__file__).resolve().parents[2]


def links(page: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", page)


def test_every_link_of_the_start_page_is_relative_and_a_file():
    found = links(lab.start_page())
    assert [each for each in found if not ((ROOT / lab.START).parent / each).is_file()] == []
    assert "01_clean_responses.ipynb" in found
    assert {"../docs/guide_ja.md", "../docs/glossary_ja.md"} <= {*found}


def test_pages_in_japanese_come_before_those_in_english_which_say_so():
    lines = lab.start_page().partition("## 説明書")[2].split("\n- ")[1:]
    english = [line.strip().endswith("（英語）") for line in lines]
    assert english == sorted(english) and 2 <= english.count(False) < len(english)
    assert all(line.startswith("[") for line in lines)


def test_rows_of_records_set_aside_are_linked_where_there_is_no_survey(tmp_path, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    private = tmp_path / "data/processed/ehime/2022/private"
    private.mkdir(parents=True)
    (tmp_path / "data/raw").symlink_to(ROOT / "data/raw")
    (private / "programmes_quarantine.csv").write_text("table,file\n", encoding="utf-8")
    page = lab.start_page()
    assert "[programmes_quarantine.csv](../data/processed/ehime/2022/private/programmes" in page
    assert "/quarantine.csv" not in page


def test_what_was_made_is_linked_and_the_private_zone_is_called_private(released, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(released))
    page = lab.start_page()
    found = links(page)
    assert "../reports/ehime/2022/council_report.html" in found
    private = [each for each in found if "/private/" in each]
    assert "../data/processed/ehime/2022/private/quarantine.csv" in private
    row = next(line for line in page.splitlines() if line.startswith("| 調査 |"))
    heads = [cell.strip() for cell in row.split("|")]
    for line in page.splitlines():
        for head, cell in zip(heads, line.split("|"), strict=False):
            assert ("/private/" in cell) <= head.startswith("【個票】")


def test_a_study_that_cannot_be_read_has_a_row_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    (tmp_path / "data/raw/broken").mkdir(parents=True)
    (tmp_path / "data/raw/broken/study.yaml").write_text("a: [", encoding="utf-8")
    assert "| broken | | study.yaml に誤りがあります" in lab.start_page()


def test_there_is_no_news_and_a_text_is_shown():
    found = json.loads((lab.SETTINGS / "overrides.json").read_text(encoding="utf-8"))
    news = found["@jupyterlab/apputils-extension:notification"]
    assert news == {"fetchNews": "false", "checkForUpdates": False}
    shown = found["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]
    assert shown == {"markdown": "Markdown Preview"}


def test_other_machines_come_in_only_by_a_port_that_was_named_and_with_the_token():
    here, there = lab.options(), lab.options("8899")
    assert f"--LabApp.default_url=/lab/tree/{lab.START}" in here
    assert [each for each in here if "ip" in each.split("=")[0] or "port" in each] == []
    assert {"--ip=0.0.0.0", "--port=8899", "--no-browser"} <= {*there}
    assert [each for each in there if "token" in each or "password" in each] == []


@pytest.mark.parametrize("port", ["80", "99999", "88 99", "8899;ls", "八千"])
def test_a_port_that_is_none_is_refused(port, capsys):
    with pytest.raises(errors.ConfigError, match="1024〜65535"):
        lab.options(port)
    assert lab.main(port) == 5
    assert "E-LAB_PORT" in capsys.readouterr().err


def test_a_report_made_in_a_notebook_leads_to_its_pages_and_renews_the_start_page(
    released, monkeypatch
):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(released))
    calls = []
    monkeypatch.setattr(lab.pipeline, "make_report", lambda *of: calls.append(of))
    shown = lab.make_report("ehime", 2022)._repr_html_()
    assert calls == [("ehime", 2022)]
    assert '<a href="../reports/ehime/2022/council_report.html">報告書</a>' in shown
    assert "何も変えていません" in shown
    page = (released / lab.START).read_text(encoding="utf-8")
    assert "../reports/ehime/2022/council_report.html" in links(page)
