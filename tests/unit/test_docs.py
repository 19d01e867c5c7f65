"""What the documents say is so: links, commands, columns and cited assumptions."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tsunagari.estimates import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_both_readmes_give_the_same_commands():
    def commands(name):
        return re.findall(r"^make .+$", read(name), flags=re.MULTILINE)

    assert commands("README.md") == commands("README.ja.md") != []


def test_make_has_every_target_that_the_documents_name():
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), flags=re.MULTILINE))
    words = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"`make ([a-z]+)", words)) <= targets


def test_dictionary_holds_the_declared_columns_of_estimates():
    rows = COLUMNS[["column", "unit", "meaning"]].itertuples(index=False)
    lines = [f"| `{name}` | {unit} | {meaning} |" for name, unit, meaning in rows]
    rendered = "\n".join(["| column | unit | meaning |", "| --- | --- | --- |", *lines, ""])
    assert rendered in read("docs/data_dictionary.md"), rendered


def test_cited_assumptions_are_written_down():
    written = re.findall(r"^\| (A\d\d) \|", read("docs/assumptions.md"), flags=re.MULTILINE)
    assert written == sorted(set(written))
    source = [*(ROOT / "lib").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in source)
    assert set(re.findall(r"\bassumptions?(?:\.md)?,? (A\d\d)\b", text)) <= set(written)


def test_every_dependency_has_its_reason():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["dev"]
    reasons = read("docs/dependencies.md")
    assert [line for line in lines if Requirement(line).name not in reasons] == []
