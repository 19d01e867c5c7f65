"""The notebooks from raw answers to released files, on a small synthetic study."""

import csv
import html
import io
import json
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml

from tsunagari import synthetic
from tsunagari.run import pipeline, session
from tsunagari.study.files import repository_root
from tsunagari.study.survey import open_study

pytestmark = pytest.mark.slow

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
ANSWERS = "data/raw/ehime/2022/responses_synthetic.csv"
# Enough of the table plan for every page and figure; the whole plan takes the gate minutes.
PLAN = {
    "axes": ["region", "age_band", "sex", ["age_group", "sex"]],
    "crosses": ["lonely_direct", "ucla_band", "event", "consult_has"],
}


@pytest.fixture(scope="module")
def steady():
    """Return what the code's state was at the start: it may be edited while tests run."""
    return pipeline.hash_environment()


@pytest.fixture(scope="module")
def first_run(tmp_path_factory, steady):
    """Return a root with a small study whose report has been made, and what was said."""
    root = tmp_path_factory.mktemp("small")
    synthetic.write_small_study(root, n=600, seed=3)
    path = root / "data/raw/ehime/study.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings["tables"] |= PLAN
    path.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSUNAGARI_ROOT", str(root))
        patch.setattr(pipeline, "hash_environment", lambda: steady)
        assert pipeline.main(["report", "--study", "ehime", "--year", "2022"]) == 0
    return root


@pytest.fixture
def root(first_run, tmp_path, monkeypatch, steady):
    """Return a copy of that root, the one in use."""
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path / "root"))
    monkeypatch.setattr(pipeline, "hash_environment", lambda: steady)
    return shutil.copytree(first_run, tmp_path / "root")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def figures(root: Path) -> pd.DataFrame:
    table = pd.read_csv(root / "data/processed/ehime/2022/private/estimates.csv", dtype=str)
    keys = ["table_id", "measure", "domain", "domain_value", "item", "item_value"]
    return table.set_index(keys).sort_index()


def test_the_release_holds_six_files_and_nothing_of_this_machine(root, first_run):
    released = contents(root / "reports/ehime/2022")
    assert sorted(released) == [
        "appendix.html",
        "council_report.html",
        "estimates.csv",
        "manifest.json",
        "summary_en.html",
        "tables.xlsx",
    ]
    page = released["council_report.html"].decode()
    assert re.search(r'<html[^>]* lang="ja"', page)
    assert "合成データ" in page and "公表前（未署名）" in page
    assert page.count("<img") + page.count("<svg") >= 8
    for folder in (first_run, repository_root(), Path.home()):
        assert str(folder).encode() not in b"".join(released.values())
    manifest = json.loads(released["manifest.json"])
    assert manifest["synthetic_inputs"] == ["2022/responses_synthetic.csv"]
    rows = manifest["rows"]
    ledger = pd.read_csv(root / "data/processed/ehime/2022/private/ledger.csv")
    true = ledger.groupby(ledger["reason_code"].fillna("analysed"))["n_rows"].sum().to_dict()
    true["quarantined"] = sum(true.values()) - true["analysed"]
    true["read"] = n_rows_read(root)
    shown = {name: n for name, n in rows.items() if n is not None}
    assert shown == {name: true[name] for name in shown}
    assert [name for name, n in shown.items() if 0 < n < 10] == []  # SDC-1 P2
    # The number analysed is the base of every table; where few rows were left out, the number read
    # would tell how many.
    assert "analysed" in shown
    assert ("read" in shown) == (true["quarantined"] >= 10)


def n_rows_read(root):
    with (root / ANSWERS).open(encoding="cp932", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def test_ledger_adds_up_to_what_was_read(root):
    ledger = pd.read_csv(root / "data/processed/ehime/2022/private/ledger.csv")
    assert ledger["n_rows"].sum() == n_rows_read(root)


def test_a_second_run_touches_nothing(root, capsys):
    before = {path: path.stat().st_mtime_ns for path in (root / "reports").rglob("*")}
    assert pipeline.main(["report", "--study", "ehime", "--year", "2022"]) == 0
    assert "Up to date" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (root / "reports").rglob("*")} == before


def test_a_parameter_changes_the_result_and_only_what_hangs_on_it(root, capsys):
    before = figures(root)
    # Of 600 people 42 are often lonely: already at 10 all that can be merged is merged.
    options = ["-p", "MINIMUM_EVENTS_PER_PARAMETER=2", "-p", "AXIS=dwelling"]
    assert pipeline.main(["report", "--study", "ehime", "--year", "2022", *options]) == 0
    assert "01_clean_responses: 再利用 reused" in capsys.readouterr().err
    after = figures(root)
    is_model = before.index.get_level_values("table_id").str.startswith("model_")
    still = after.index.get_level_values("table_id").str.startswith("model_")
    assert before[~is_model].equals(after[~still])
    assert not before[is_model].equals(after[still])
    assert any("居住形態別では" in text for _, text in shown(root, "03*"))


@pytest.mark.parametrize(
    "option", ["MINIMUM_EVENTS=20", "MINIMUM_EVENTS_PER_LEVEL=0", "SEED=many", "APIKEY=x"]
)
def test_a_wrong_parameter_is_refused(root, option, capsys):
    before = contents(root / "reports/ehime/2022")
    assert pipeline.main(["report", "--study", "ehime", "--year", "2022", "-p", option]) == 5
    assert option.partition("=")[0] in capsys.readouterr().err
    assert contents(root / "reports/ehime/2022") == before


def shown(root: Path, step: str = "0[1-7]*") -> list[tuple[str, str]]:
    """Return every HTML that an executed notebook shows, with where it stands."""
    folder = root / "data/processed/ehime/2022/private/notebooks"
    return [
        (f"{path.stem} [{place}]", output["data"]["text/html"])
        for path in sorted(folder.glob(f"{step}.ipynb"))
        for place, cell in enumerate(nbformat.read(path, as_version=4).cells)
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]


def test_no_shown_table_has_raw_names_and_every_one_has_its_banner(first_run):
    """Column names, codes and reason codes are ours; those of x in another cross are explained."""
    raw = re.compile(r"\b[a-z0-9]+_[a-z0-9_]+\b|\w+ x \w+|\d\.\d{4}|\bna[nt]\b", re.IGNORECASE)
    found, tables = [], 0
    for where, page in shown(first_run):
        if "<h1 " in page:
            continue  # the report itself, which tests/contract.py reads
        cells = re.findall(r"<(?:td|th|caption)\b[^>]*>(.*?)</(?:td|th|caption)>", page, re.DOTALL)
        cells = [re.sub(r'<span class="interval">[A-Z_0-9]+</span>', "", cell) for cell in cells]
        texts = [html.unescape(re.sub("<[^>]+>", " ", cell)) for cell in cells]
        found += [
            f"{where}: {t}" for t in texts if raw.search(re.sub(r"[\w.]+\.(csv|yaml)", "", t))
        ]
        tables += page.count("<table")
        outside = re.sub("<figure.*?</figure>", "<figure>", page, flags=re.DOTALL)  # has its own
        n_shown = outside.count("<table") + outside.count("<figure")
        assert n_shown <= page.count('class="stamp"'), where
        assert "合成データ" in page or "<details" in page, where
        heads = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', page)
        assert [h for h in heads if not re.search("[ぁ-んァ-ヶ一-龠]|^n$|^UCLA", h)] == [], where
    assert found == []
    assert tables > 30


@pytest.mark.usefixtures("root")
def test_a_notebook_runs_the_steps_before_it():
    study = open_study("ehime", 2022)
    (study.processed_dir / "private/design.npz").unlink()
    assert session.stale_steps(study, "04_model_factors") == ("02_weight_respondents",)
    said = session.run_before("ehime", 2022, notebook="04_model_factors")
    assert "02_weight_respondents" in said._repr_html_()
    assert session.stale_steps(study, "04_model_factors") == ()
    assert "何も行いませんでした" in str(
        session.run_before("ehime", 2022, notebook="04_model_factors")._repr_html_()
    )


def test_another_cross_is_never_saved(first_run):
    page = dict(shown(first_run, "03*"))
    assert any("この表だけでの判定です" in text for text in page.values())
    ids = {name[0] for name in figures(first_run).index}
    assert "cross_region__lonely_direct" in ids and not any("another" in name for name in ids)


def test_a_failing_notebook_leaves_the_last_release(root, tmp_path, capsys):
    folder = shutil.copytree(NOTEBOOKS, tmp_path / "notebooks")
    notebook = nbformat.read(folder / "04_model_factors.ipynb", as_version=4)
    notebook.cells[-1:-1] = [
        nbformat.v4.new_markdown_cell("## 壊れたところ"),
        nbformat.v4.new_code_cell("float('090-1234-5678')"),
    ]
    nbformat.write(notebook, folder / "04_model_factors.ipynb")
    before = contents(root / "reports/ehime/2022")
    command = ["report", "--study", "ehime", "--year", "2022"]
    assert pipeline.main(command, notebooks=folder) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert re.search(r"04_model_factors \[\d+\]「壊れたところ」.*ValueError", line)
    assert "090-1234-5678" not in line
    assert contents(root / "reports/ehime/2022") == before


# --- bad input: one sentence, an exit code, nothing half-written ----------------------------------


def edit(root: Path, change) -> None:
    """Rewrite the answer file with what `change` makes of its rows (the header is row 0)."""
    path = root / ANSWERS
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode("cp932"))))
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(change(rows))
    path.write_bytes(text.getvalue().encode("cp932"))


def missing(root):
    (root / ANSWERS).unlink()


def empty(root):
    (root / ANSWERS).write_bytes(b"")


def header_only(root):
    edit(root, lambda rows: rows[:1])


def wrong_encoding(root):
    path = root / ANSWERS
    path.write_bytes(path.read_bytes().decode("cp932").encode("utf-16"))


def unknown_column(root):
    edit(root, lambda rows: [[*row, "extra" if row is rows[0] else "1"] for row in rows])


def lacking_column(root):
    def drop(rows):
        place = rows[0].index("lonely_direct")
        return [row[:place] + row[place + 1 :] for row in rows]

    edit(root, drop)


def unknown_region(root):
    def move(rows):
        place = rows[0].index("region")
        return [
            row[:place] + ["9"] + row[place + 1 :] if row is not rows[0] else row for row in rows
        ]

    edit(root, move)


def age_outside(root):
    def age(rows):
        place = rows[0].index("age")
        return [
            row[:place] + ["7"] + row[place + 1 :] if row is not rows[0] else row for row in rows
        ]

    edit(root, age)


def empty_cell(root):
    def drop(rows):
        region, age = rows[0].index("region"), rows[0].index("age")
        return [rows[0]] + [row for row in rows[1:] if (row[region], row[age][:1]) != ("3", "2")]

    edit(root, drop)


def duplicate_code(root):
    path = root / "data/raw/ehime/codebook.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = list(csv.DictReader(lines))
    again = next(i for i, row in enumerate(rows) if row["variable"] == "sex" and row["code"] == "2")
    path.write_text("".join([*lines[: again + 2], *lines[again + 1 :]]), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "exit_code", "told"),
    [
        (missing, 2, "E-RESPONSES_MISSING"),
        (empty, 2, "E-FILE_EMPTY"),
        (header_only, 2, "E-RESPONSES_EMPTY"),
        (wrong_encoding, 2, "E-ENCODING_UTF16"),
        (unknown_column, 2, "(1): DQ"),
        (lacking_column, 2, "lonely_direct"),
        (unknown_region, 2, "E-CODE_UNKNOWN: 01_clean_responses [4]「行を分ける」: region"),
        (age_outside, 2, "E-NO_RESPONDENTS"),  # everybody is quarantined: the ledger says why
        (empty_cell, 4, "region=3"),
        (duplicate_code, 5, "sex"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_input_is_refused_in_one_sentence(root, spoil, exit_code, told, capsys):
    before = contents(root / "reports/ehime/2022")
    results = figures(root)
    spoil(root)
    code = pipeline.main(["report", "--study", "ehime", "--year", "2022"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert code == exit_code, line
    assert re.match(r"E-[A-Z_0-9]+: .+[。）] / .+", line)
    assert "UNEXPECTED" not in line
    assert told in line
    assert contents(root / "reports/ehime/2022") == before
    assert figures(root).equals(results)


@pytest.mark.parametrize(
    ("study", "year", "told"), [("ehmie", "2022", "ehime"), ("ehime", "1999", "2022")]
)
def test_unknown_study_and_year_are_refused_with_what_there_is(root, study, year, told, capsys):
    assert pipeline.main(["report", "--study", study, "--year", year]) == 5
    assert told in capsys.readouterr().err
    assert sorted(path.name for path in (root / "reports").iterdir()) == ["ehime"]
