"""What the documents say is so: links, commands, columns and cited assumptions."""

# ruff: noqa: E501 (a page as it is written)

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from tsunagari.estimates import COLUMNS
from tsunagari.intake import cleaning, decisions, reading
from tsunagari.programmes import schema
from tsunagari.report.texts import FIXED, load_texts
from tsunagari.study.survey import open_study

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


def test_glossary_is_that_of_the_report_and_notebooks_link_into_it():
    said = load_texts()["texts"]["glossary"]
    lines = [re.sub(r"{%.*?%}", "", line) for line in said]
    assert 25 <= len(lines) <= 40
    head, *sections = read("docs/glossary_ja.md").split("\n## ")
    assert [section.strip().replace("\n\n", "：") for section in sections] == lines
    terms = {line.partition("：")[0] for line in lines}
    links = [
        anchor
        for path in (ROOT / "notebooks").glob("*.ipynb")
        for anchor in re.findall(r"glossary_ja\.md#([^)]+)\)", path.read_text(encoding="utf-8"))
    ]
    assert links and set(links) <= terms


@pytest.mark.parametrize("page", ["README.md", "README.ja.md", "docs/guide_ja.md"])
def test_decisions_of_the_examples_are_about_the_sample(page, tmp_path):
    found = re.findall(r"```csv\n(.+?)```", read(page), flags=re.DOTALL)
    (lines,) = [re.sub("^ +", "", each, flags=re.MULTILINE) for each in found]
    study = open_study("ehime", 2022)
    raw = reading.read_responses(study)
    (tmp_path / "decisions.csv").write_text(lines, encoding="utf-8")
    beside = SimpleNamespace(wave_dir=tmp_path, config=study.config, codebook=study.codebook)
    given = decisions.read_decisions(beside, raw=raw)
    ids = raw.table["respondent_id"].iloc[given["position"]].tolist()
    assert ids[:2] == ["E22-1636", "E22-1999"]
    assert given["position"].tolist()[2:] in ([], [28])  # file row 30, the header being row 1


FILES = "py yaml csv css json md ipynb html npz parquet txt xlsx toml".split()
ROOMS = [path.name for path in (ROOT / "lib/tsunagari").iterdir() if path.is_dir()]


def test_files_and_functions_that_the_documents_name_are_there():
    """`room/file.yaml`, `tests/file.py`, `room/module.function` and `module.function`."""
    lost = []
    for page in PAGES:
        if page.name == "CHANGELOG.md":  # what was once called so
            continue
        for place, name in re.findall(r"`([\w/]+)\.(\w+)`", page.read_text(encoding="utf-8")):
            lost += [f"{page.name}: {place}.{name}"] * (not _is_there(place, name))
    assert lost == []


def _is_there(place: str, name: str) -> bool:
    """Whether a file of ours, or what a module of ours holds; other names are not ours to know."""
    folder, _, _ = place.rpartition("/")
    bases = (ROOT, ROOT / "lib/tsunagari")
    if name in FILES:
        ours = folder.split("/")[0] in ("lib", "tests", "notebooks", "docs", *ROOMS)
        return not ours or any((base / f"{place}.{name}").exists() for base in bases)
    if place in ROOMS:
        return (ROOT / "lib/tsunagari" / place / f"{name}.py").exists()
    modules = [*(ROOT / "lib").rglob(f"{place}.py")]
    if not modules:
        return folder.split("/")[0] not in ROOMS
    keys = [] if folder else [ROOT / "lib/tsunagari/study/settings.py"]  # or a key of study.yaml
    return any(re.search(rf"\b{name}\b", path.read_text("utf-8")) for path in [*modules, *keys])


def test_lines_of_the_walkthrough_are_those_of_a_new_study():
    template = read("lib/tsunagari/starting/template/study.yaml").splitlines()
    told = re.findall(r"matsuyama/study\.yaml:(\d+): ([\w.]+):(.+)", read("docs/new_study.md"))
    for line, key, said in told:
        name = re.search(r"; (\w+) \?", said)  # what stands there before the mistake is made
        assert (name[1] if name else key.rpartition(".")[2]) in template[int(line) - 1]
    assert len(told) == 3


def test_guide_has_every_reason_of_a_row_set_aside_in_their_order():
    lines = re.findall(r"^\| `([A-Z_]+)` \| (.+) \|$", read("docs/guide_ja.md"), flags=re.MULTILINE)
    assert lines == list(cleaning.ROW_REASONS.items())


def test_dictionary_has_every_unit():
    words = load_texts()["words"]["programme_words"]["units"]
    units = {*words, *FIXED["units"], *schema.declared()["units"].values()}
    (meaning,) = COLUMNS.loc[COLUMNS["column"] == "unit", "meaning"]
    assert sorted(units - set(re.findall(r"`(\w+)`", meaning))) == []


def test_make_has_every_target_that_the_documents_name():
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), flags=re.MULTILINE))
    words = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"`make ([a-z-]+)", words)) <= targets


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


def render_records() -> str:
    """Return docs/records.md as the declared schemas give it."""
    lines = [
        "# Records of programmes",
        "",
        "The tables that `06_track_programmes` reads from `data/raw/<study>/<year>/programmes/`, as",
        "`lib/tsunagari/programmes/columns.csv` and `tables.yaml` declare them (a test holds this page to",
        f"them; schema version {schema.declared()['schema_version']}). **必須**: a row without it is set aside; なるべく: blanks",
        "are counted. 公開: may stand in a published table. A column may also be called by its other names.",
    ]
    shared = schema.column_rows().query("table == '*'")["name"].tolist()
    for table in schema.tables().values():
        private = " Private: rows are people, and none leaves." if table.is_private else ""
        title = f"## {table.name}: {table.label}"
        about = f"`{table.file}.xlsx`, sheet {table.label}, or `{table.name}.csv`. One row: {table.grain}. "
        lines += ["", title, "", about + f"Key: {', '.join(table.key)}.{private}", ""]
        lines += _column_table(c for c in table.columns.values() if c.name not in shared)
    first = next(iter(schema.tables().values()))
    lines += ["", "## Columns of every table", ""]
    return "\n".join([*lines, *_column_table(first.columns[name] for name in shared), ""])


def _column_table(columns) -> list[str]:
    words = {"yes": "**必須**", "wanted": "なるべく", "": ""}
    rows = [
        f"| `{c.name}` | {c.label} | {'、'.join(c.aliases)} | {c.kind} | {c.unit} | {c.base} | "
        f"{words[c.required]} | {c.rule.replace('|', '')} | {'公開' if c.is_public else ''} | {c.blank} |"
        for c in columns
    ]
    head = ["name", "表示名", "別名", "型", "単位", "含まれる数", "必須", "値", "公開", "空欄"]
    return ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head), *rows]


def test_records_page_is_the_declared_schemas():
    assert read("docs/records.md") == render_records()
