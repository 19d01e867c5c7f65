"""Nothing that could point at a person, or run at a reader's, leaves the house.

One small study is made with markers wherever a person could show through, its report is made, and
everything outside private/ is searched. Then the same release is undone in many small ways, and the
attacker must notice each.
"""

import contextlib
import csv
import io
import json
import re
import shutil
import socket
import subprocess
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pyreadstat
import pytest
import xlsxwriter
import yaml
from tests.browser import published_sample as sample
from tests.leaks import find_leaks
from tests.notebooks.test_run import NOTEBOOKS, PLAN

from tsunagari import estimates, synthetic
from tsunagari.errors import DisclosureError
from tsunagari.gate import archive, linked, primary, rounding
from tsunagari.intake import cleaning, reading
from tsunagari.report.page import APPENDIX, ENGLISH, MAIN, export_html
from tsunagari.report.published import Published, read_published
from tsunagari.report.workbook import write_workbook
from tsunagari.run import notebooks, pipeline, signoff
from tsunagari.study.codebook import NO_ANSWER
from tsunagari.study.files import read_table, write_table
from tsunagari.study.survey import open_study
from tsunagari.voices import quotes

pytestmark = pytest.mark.slow

VOLUMES = (MAIN, APPENDIX, ENGLISH)
REPOSITORY = Path(__file__).resolve().parents[2]
MARKERS = {
    "id": "ID7781X",
    "text": "金糸雀の歌7781",
    "phone": "090-7781-4649",
    "code": "77814649",
    "signed": "確認署名7781",
    "file": "kanaria-file-7781",
    "folder": "kanaria-home-7781",
    "user": "kanaria-user-7781",
}
if len(socket.gethostname()) >= 8:  # a shorter name may stand in any text
    MARKERS["host"] = socket.gethostname()
PARTS = re.compile(
    r"\[Content_Types\]\.xml|_rels/\.rels|docProps/(app|core)\.xml|xl/(workbook|styles|sharedStrings)"
    r"\.xml|xl/theme/theme1\.xml|xl/_rels/workbook\.xml\.rels|xl/worksheets/sheet\d+\.xml"
)


TROUBLE = "物価が上がって生活が苦しい"
VOICE = "値上がりで家計のやりくりが大変です"


def hostile_answers(content: bytes) -> bytes:
    """Return the sample with marked ids, an impossible code, and texts that could do harm."""
    rows = list(csv.reader(io.StringIO(content.decode("cp932"))))
    place = {name: number for number, name in enumerate(rows[0])}
    texts = [f"{text}{MARKERS['text']}" for text in ("", *sample.HOSTILE.values())]
    texts += [f"電話は{MARKERS['phone']}です"]
    for number, row in enumerate(rows[1:]):
        row[place["respondent_id"]] = f"{MARKERS['id']}{number:04d}"
        row[place["trouble_text"]] = texts[number % len(texts)] if number < 60 else ""
        if 60 <= number < 100:
            row[place["trouble_text"]], row[place["line_known"]] = TROUBLE, "1"
    rows[9].append(MARKERS["text"])  # a field too many: quarantined
    rows[5][place["health"]] = rows[6][place["sex"]] = MARKERS["code"]
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8-sig")


@pytest.fixture(scope="module")
def steady():
    """Return what the code's state was at the start: it may be edited while tests run."""
    return pipeline.hash_environment()


@pytest.fixture(scope="module")
def house(tmp_path_factory, steady):
    """Return a root with a marked study whose report has been made."""
    root = tmp_path_factory.mktemp(MARKERS["folder"])
    synthetic.write_small_study(root, n=600, seed=3)
    path = root / "data/raw/ehime/study.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings["tables"] |= PLAN
    path.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    sample = root / "data/raw/ehime/2022/responses_synthetic.csv"
    sample.with_name("responses.csv").write_bytes(hostile_answers(sample.read_bytes()))
    sample.unlink()
    themes = path.with_name("themes.yaml")
    consent = {"consent": {"item": "line_known", "code": "1"}}  # an answer that stands for it
    told = yaml.safe_load(themes.read_text(encoding="utf-8")) | consent
    themes.write_text(yaml.safe_dump(told, allow_unicode=True), encoding="utf-8")
    signed = [MARKERS["signed"], MARKERS["user"]]
    voice = [f"{MARKERS['id']}0070", "trouble_theme", "money", VOICE, *signed]
    lines = "\n".join(map(",".join, (quotes.COLUMNS, voice)))
    (sample.parent / "quotes.csv").write_text(lines, encoding="utf-8")
    (sample.parent / f"{MARKERS['file']}.txt").write_text(MARKERS["text"], encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        use(patch, root, steady)
        assert pipeline.main(["report", "--study", "ehime", "--year", "2022"]) == 0
    return root


def use(patch, root: Path, steady) -> None:
    patch.setenv("TSUNAGARI_ROOT", str(root))
    patch.setattr(pipeline, "hash_environment", lambda: steady)
    for name in ("USER", "LOGNAME", "USERNAME"):
        patch.setenv(name, MARKERS["user"])


@pytest.fixture
def root(house, tmp_path, monkeypatch, steady):
    """Return a copy of that root, under a marked name too, the one in use."""
    copy = tmp_path / MARKERS["folder"]
    use(monkeypatch, copy, steady)
    return shutil.copytree(house, copy)


@pytest.fixture
def release(root):
    return root / "reports/ehime/2022"


# --- no trace of a person or of the machine -------------------------------------------------------


def test_nothing_released_or_published_holds_a_marker(root, release):
    folders = (release, root / "data/processed/ehime/2022/published")
    found = {folder.name: find_leaks(folder, MARKERS.values()) for folder in folders}
    assert found == {"2022": [], "published": []}
    # A voice stands on the page in its box, without whose it is and who signed it.
    page = (release / "council_report.html").read_text(encoding="utf-8")
    assert re.search(f"<blockquote><p>「{VOICE}」</p><p>（[^（]+）</p></blockquote>", page)
    # The search itself works: the marked answers are where they belong.
    private = find_leaks(root / "data/processed/ehime/2022/private", [MARKERS["id"]])
    assert any("quarantine" in name for name in private)


def repeated(rows, place):
    for row in rows[2:]:
        row[place["respondent_id"]] = MARKERS["id"]


def impossible(rows, place):
    for row in rows[1:]:
        row[place["region"]] = MARKERS["code"]


def nonsense(rows, place):
    for row in rows[1:]:
        row[place["age"]] = MARKERS["text"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(repeated, "E-ID_CONFLICT"), (impossible, "E-CODE_UNKNOWN"), (nonsense, "E-CODE_UNKNOWN")],
)
def test_a_failing_run_says_nothing_of_an_answer(root, release, spoil, told, capfd, tmp_path):
    path = root / "data/raw/ehime/2022/responses.csv"
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    spoil(rows, {name: number for number, name in enumerate(rows[0])})
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    before = signoff.hash_release(release)
    code = pipeline.main(["report", "--study", "ehime", "--year", "2022"])
    said = capfd.readouterr()
    (tmp_path / "log").mkdir()
    (tmp_path / "log/said.txt").write_text(said.out + said.err, encoding="utf-8")
    assert find_leaks(tmp_path / "log", MARKERS.values()) == []
    assert (code, signoff.hash_release(release)) == (2, before)
    assert told in said.err.splitlines()[-1]


@pytest.mark.usefixtures("root")
def test_a_crash_that_quotes_an_answer_is_told_without_it(tmp_path, capfd):
    folder = shutil.copytree(NOTEBOOKS, tmp_path / "notebooks")
    path = folder / "04_model_factors.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1:-1] = [nbformat.v4.new_code_cell(f"float('{MARKERS['phone']}')")]
    nbformat.write(notebook, path)
    command = ["report", "--study", "ehime", "--year", "2022"]
    assert pipeline.main(command, notebooks=folder) == 1
    assert MARKERS["phone"] not in "".join(capfd.readouterr())


def test_git_takes_nothing_of_a_marked_study(root, tmp_path):
    def git(*arguments, **more):
        return subprocess.run(
            ["git", "-C", str(root), *arguments], check=True, capture_output=True, **more
        ).stdout

    shutil.copy(REPOSITORY / ".gitignore", root / ".gitignore")
    git("init", "-q")
    git("add", "-A")
    listed = git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").decode().split()
    assert listed
    objects = git("cat-file", "--batch", input="\n".join(listed).encode())
    (tmp_path / "git").mkdir()
    (tmp_path / "git/objects").write_bytes(objects + git("ls-files"))
    # The folder above and the machine are no part of a commit's content; answers and names are.
    assert find_leaks(tmp_path / "git", MARKERS.values()) == []


def test_metadata_is_on_an_allow_list(release):
    with zipfile.ZipFile(release / "tables.xlsx") as book:
        assert [name for name in book.namelist() if not PARTS.fullmatch(name)] == []
        core = book.read("docProps/core.xml").decode()
        assert re.findall(r"<dc:creator>([^<]*)<|<cp:lastModifiedBy>([^<]*)<", core) in (
            [],
            [("", ""), ("", "")],
        )
        workbook = book.read("xl/workbook.xml").decode()
        assert 'state="hidden"' not in workbook and 'state="veryHidden"' not in workbook
        names = re.findall(r'<definedName name="([^"]+)"', workbook)
        assert set(names) <= {"_xlnm.Print_Titles", "_xlnm.Print_Area", "_xlnm._FilterDatabase"}
    names = {path.name for path in release.iterdir()}
    assert names - {pipeline.FINDER} == {*pipeline.RELEASED, "manifest.json"}
    manifest = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
    assert "2022/*" in " ".join(manifest["inputs"])  # files beside the answers have no name here


# --- what the reader's programs must not run ------------------------------------------------------


def test_hostile_answers_left_no_trace_and_the_page_has_its_policy(root, release):
    # Each was an answer of the report that was made; markers are sought above, all the rest here.
    repairs = read_table(root / "data/processed/ehime/2022/private/repairs.csv")
    assert set(repairs.loc[repairs["variable"] == "trouble_text", "rule"]) == {"CONTROL_CHARACTER"}
    found = find_leaks(release, [text[:40] for text in sample.HOSTILE.values()])
    assert found == []
    page = "".join((release / name).read_text(encoding="utf-8") for name in VOLUMES)
    estimates = (release / "estimates.csv").read_text(encoding="utf-8-sig")
    assert not re.search(sample.CONTROLS, page + estimates)
    assert sample.dangers(page) == []
    policies = [tag for tag in re.findall("<meta[^>]*>", page) if "Security-Policy" in tag]
    assert len(policies) == 3
    assert all("default-src 'none'" in one and "script" not in one for one in policies)


def deliver(root: Path, rows: list[list[str]], *, kind: str) -> pd.DataFrame:
    """Return the respondents of a file of that kind with these cells."""
    path = root / f"data/raw/ehime/2022/responses.{kind}"
    if kind == "csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
    elif kind == "xlsx":
        with xlsxwriter.Workbook(path) as book:
            sheet = book.add_worksheet()
            for number, row in enumerate(rows):
                for place, text in enumerate(row):
                    sheet.write_string(number, place, text)
    else:  # SPSS ends a text at NUL
        table = pd.DataFrame(rows[1:], columns=rows[0])
        pyreadstat.write_sav(table.replace("\x00", "", regex=True), path)
    settings = root / "data/raw/ehime/study.yaml"
    config = yaml.safe_load(settings.read_text(encoding="utf-8"))
    config["file"]["format"] = kind
    config["waves"][2022]["responses"] = path.name
    settings.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    study = open_study("ehime", 2022)
    return cleaning.clean_responses(reading.read_responses(study), study).respondents


def test_hostile_answers_are_the_same_from_a_workbook_and_from_spss(root):
    path = root / "data/raw/ehime/2022/responses.csv"
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    width = len(rows[0])
    rows = [[text[:10_000] for text in row] for row in rows if len(row) == width]
    plain = deliver(root, rows, kind="csv")
    assert len(plain) > 500 and f"答え7781{MARKERS['text']}" in set(plain["trouble_text"])
    for kind in ("xlsx", "sav"):
        pd.testing.assert_frame_equal(deliver(root, rows, kind=kind), plain)


# --- two zones ------------------------------------------------------------------------------------


def test_page_and_workbook_are_made_where_private_and_raw_are_gone(
    root, release, tmp_path, monkeypatch
):
    view = tmp_path / "view"
    shutil.copytree(root / "data/processed/ehime/2022/published", view / "published")
    shutil.rmtree(root / "data")  # whoever runs the tests may read anything that is there
    for name in ("TSUNAGARI_ROOT", "TSUNAGARI_STAGING"):
        monkeypatch.setenv(name, str(view))
    name = pipeline.REPORT
    with contextlib.closing(notebooks.Progress({name: 99})) as progress:
        progress.start(name)
        notebooks.run_notebook(
            NOTEBOOKS / f"{name}.ipynb",
            tmp_path / "executed.ipynb",
            values={"STUDY": "ehime", "YEAR": 2022},
            scratch=tmp_path,
            progress=progress,
        )
    published = read_published("ehime", 2022)
    notebook = nbformat.read(tmp_path / "executed.ipynb", as_version=4)
    pages = export_html(notebook, is_synthetic=published.is_synthetic)
    write_workbook(published, tmp_path / "tables.xlsx")
    kept = {name: (release / name).read_text(encoding="utf-8") for name in VOLUMES}
    assert pages == kept
    assert (tmp_path / "tables.xlsx").read_bytes() == (release / "tables.xlsx").read_bytes()


# --- mutants: each undoes the gate in one way, and none may pass ----------------------------------


def refuses(release: Path) -> str:
    with pytest.raises(DisclosureError) as caught:
        signoff.attack_study(open_study("ehime", 2022), release)
    assert caught.value.exit_code == 3
    return str(caught.value)


def tables(root):
    """Return private and published estimates, and why each row is hidden."""
    folder = root / "data/processed/ehime/2022"
    truth = estimates.conform(read_table(folder / "private/estimates.csv"))
    published = estimates.conform(read_table(folder / "published/estimates.csv"))
    return truth, published, read_table(folder / "private/gate.csv")["reason"]


def shown_again(truth, published, where):
    table = published.copy()
    visible = rounding.round_published(truth.assign(status="published", reason=np.nan))
    table.loc[where] = visible.loc[where]
    return table


def hidden_cells(truth, reasons, *, of):
    is_counted = linked.is_counted(truth) & truth["table_id"].str.startswith("cross_")
    is_answer = truth["item_value"] != NO_ANSWER  # that somebody gave none may be told
    return truth.index[is_counted & is_answer & (truth["n_cell"] > 0) & (reasons == of)]


def test_the_release_itself_withstands(release):
    signoff.attack_study(open_study("ehime", 2022), release)


@pytest.mark.parametrize("reason", [primary.CELL_UNDER_10, primary.SECONDARY])
def test_one_hidden_cell_shown_again_fails(root, release, reason):
    truth, published, reasons = tables(root)
    cell = hidden_cells(truth, reasons, of=reason)[0]
    shown_again(truth, published, [cell]).to_csv(release / "estimates.csv", index=False)
    told = refuses(release)
    # A small count is named by its own table, a second cell by that of the count it gives away.
    small = reason == primary.CELL_UNDER_10
    assert (str(truth.loc[cell, "table_id"]) if small else "can be told too closely") in told


def test_a_margin_more_fails(root, release):
    _, published, _ = tables(root)
    row = published[published["table_id"] == "gt_lonely_direct"].head(1)
    margin = row.assign(domain="age_band", domain_value="20s x 30s", n_unweighted=77.0)
    pd.concat([published, margin]).to_csv(release / "estimates.csv", index=False)
    assert "not in private" in refuses(release)


@pytest.mark.parametrize(
    "sentence",
    [
        "<p>20代の男性で「しばしばある」は3人でした。</p>",
        '<p data-row="{hidden}">しばしばある 4.9%</p>',
    ],
)
@pytest.mark.parametrize("volume", VOLUMES)
def test_one_sentence_more_fails(root, release, sentence, volume):
    _, published, _ = tables(root)
    keys = estimates.row_ids(published)
    is_hidden = published["status"] == "suppressed"
    sentence = sentence.format(hidden=keys[is_hidden].iloc[0])
    page = release / volume
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("</main>", f"{sentence}</main>", 1), encoding="utf-8")
    assert volume in refuses(release)


def test_another_number_in_the_workbook_fails(release):
    found = read_published("ehime", 2022)
    table = found.estimates.copy()
    first = table.index[table["table_id"] == "gt_lonely_direct"][0]
    table.loc[first, "estimate"] += 0.1
    write_workbook(Published(table, found.about), release / "tables.xlsx")
    assert "tables.xlsx" in refuses(release)


def test_a_shifted_band_fails(root, release):
    _, published, _ = tables(root)
    moved = published.assign(domain_value=published["domain_value"].replace("30s", "31-40"))
    moved.to_csv(release / "estimates.csv", index=False)
    assert "age" in refuses(release)


def test_an_earlier_release_that_shows_what_is_hidden_now_fails(root, release):
    truth, published, reasons = tables(root)
    cell = hidden_cells(truth, reasons, of=primary.CELL_UNDER_10)[0]
    study = open_study("ehime", 2022)
    earlier = archive.archive_dir(study) / "2022-000000000000"
    earlier.mkdir(parents=True)
    table = shown_again(truth, published, [cell])
    table.to_csv(earlier / "estimates.csv", index=False)
    truth.to_csv(earlier / "truth.csv", index=False)
    write_table(archive.archive_index(study), archive.hash_archive(study))
    assert str(truth.loc[cell, "table_id"]) in refuses(release)
