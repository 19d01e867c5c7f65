"""What is signed is this very release, and a signed release is told: nothing of it stubbed."""

import difflib
import json
import os
import shutil
import zipfile
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from tsunagari.errors import DisclosureError
from tsunagari.estimates import conform
from tsunagari.gate import publish
from tsunagari.gate.archive import read_archive
from tsunagari.report.page import APPENDIX, ENGLISH, MAIN, build_report
from tsunagari.report.published import read_published
from tsunagari.run import pipeline, release, signoff
from tsunagari.run.notebooks import environment
from tsunagari.study.files import read_table
from tsunagari.study.survey import open_study

RAW = Path(__file__).resolve().parents[2] / "data/raw"
# Answers 1 to 4 to ucla1; 4 of the 20s are under the threshold of 5, no other cell is.
COUNTS = {"20s": (4, 46, 90, 80), "30s": (30, 70, 60, 60), "40s": (30, 70, 60, 60)}


@pytest.fixture(scope="module")
def steady():
    """Return what the code's state was at the start: it may be edited while tests run."""
    return pipeline.hash_environment()


def use(patch, root, steady):
    patch.setenv("TSUNAGARI_ROOT", str(root))
    patch.setattr(pipeline, "hash_environment", lambda: steady)


@pytest.fixture(scope="module")
def first(tmp_path_factory, steady):
    """Return a root with Ehime's study, a file that stands for real answers, and its release."""
    root = tmp_path_factory.mktemp("signoff") / "root"
    raw = root / "data/raw"
    (raw / "ehime/2022").mkdir(parents=True)
    for name in ("study.yaml", "codebook.csv", "population.csv"):
        shutil.copy(RAW / "ehime" / name, raw / "ehime" / name)
    shutil.copytree(RAW / "national", raw / "national")
    (raw / "ehime/2022/responses.csv").write_text("id\n1\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        use(patch, root, steady)
        make_release(*COUNTS)
    return root


@pytest.fixture
def root(first, tmp_path, monkeypatch, steady):
    """Return a copy of that root, the one in use."""
    use(monkeypatch, tmp_path / "root", steady)
    return shutil.copytree(first, tmp_path / "root")


@pytest.fixture
def released(root):
    """Return the study and the folder of its release."""
    return open_study("ehime", 2022), root / "reports/ehime/2022"


def estimates(*ages, counts):
    """Return the rows of one question over everybody and over some ages."""
    groups = {"all": tuple(map(sum, zip(*counts.values(), strict=True)))}
    groups |= {age: counts[age] for age in ages}
    return pd.DataFrame(
        {"wave": "2022", "table_id": "gt_ucla1" if age == "all" else "cross_age_band__ucla1",
         "measure": "percent", "unit": "percent", "domain": "all" if age == "all" else "age_band",
         "domain_value": age, "item": "ucla1", "item_value": str(code), "item_label": "",
         "estimate": 100 * count / sum(counts), "n_unweighted": float(sum(counts)),
         "n_cell": float(count), "weighting": "equal"}
        for age, counts in groups.items() for code, count in enumerate(counts, start=1)
    )  # fmt: skip


def make_release(*ages, counts=COUNTS):
    """Put rows through the gate, make the four files, attack them and swap them in."""
    run = pipeline.prepare("ehime", 2022)
    with environment({"TSUNAGARI_STAGING": str(run.staging)}):
        run.study.save("private/parts/03.csv", estimates(*ages, counts=counts))
        publish.publish(run.study)
        council = build_report(read_published("ehime", 2022))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x")])
    shown = {"text/html": council._repr_html_()}
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data=shown)]
    folder = run.staging / "private/notebooks"
    folder.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / f"{pipeline.REPORT}.ipynb")
    pipeline.build_release(run)
    for target in (run.processed, run.release):
        release.swap_in(target)
    return open_study("ehime", 2022), run.release


def write_signoff(study, folder, **change):
    fields = {"reviewer": "山田", "date": "2026-11-24", "data": "real"}
    fields |= {"hash": signoff.hash_release(folder)} | change
    text = "".join(f"{name}: {value}\n" for name, value in fields.items() if value is not None)
    (study.wave_dir / "signoff.yaml").write_text(text, encoding="utf-8")


def sign(study, folder, **change):
    write_signoff(study, folder, **change)
    return signoff.sign_release(study, folder)


def kept(root):
    return sorted(path.name for path in root.glob("data/processed/ehime/releases/*"))


def hidden_ages(root):
    table = read_table(root / "data/processed/ehime/2022/published/estimates.csv")
    return set(table.loc[table["status"] == "suppressed", "domain_value"])


# --- signing --------------------------------------------------------------------------------------


def test_without_a_signoff_the_reviewer_is_told_where_and_what(root, released):
    with pytest.raises(DisclosureError) as caught:
        signoff.sign_release(*released)
    told = str(caught.value)
    assert (caught.value.code, caught.value.exit_code) == ("SIGNOFF", 3)
    fields = ("reviewer", "date", "real", "synthetic", signoff.hash_release(released[1]))
    assert [word for word in ("data/raw/ehime/2022/", *fields) if word not in told] == []
    assert kept(root) == []


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"hash": "0" * 64}, "SIGNOFF_HASH", "hash"),
        ({"reviewer": None}, "SIGNOFF", "reviewer"),
        ({"reviewer": ""}, "SIGNOFF", "reviewer"),
        ({"date": None}, "SIGNOFF", "date"),
        ({"date": "2026-02-30"}, "SIGNOFF", "date"),
        ({"date": "24.11.2026"}, "SIGNOFF", "date"),
        ({"hash": None}, "SIGNOFF", "hash"),
        ({"data": None}, "SIGNOFF", "data"),
        ({"data": "synthetic"}, "SIGNOFF_SYNTHETIC", "data"),
        ({"data": "yes"}, "SIGNOFF_SYNTHETIC", "data"),
    ],
)
def test_a_signoff_that_is_not_of_this_release_keeps_nothing(root, released, change, code, word):
    with pytest.raises(DisclosureError, match=word) as caught:
        sign(*released, **change)
    assert caught.value.code == code
    assert kept(root) == []


def test_a_signoff_in_another_encoding_is_refused_in_words(released):
    study, folder = released
    (study.wave_dir / "signoff.yaml").write_bytes("reviewer: 山田\n".encode("cp932"))
    with pytest.raises(DisclosureError, match="UTF-8"):
        signoff.sign_release(study, folder)


def test_the_figures_of_a_signed_real_release_are_kept(root, released):
    study, folder = released
    assert sign(study, folder)["reviewer"] == "山田"
    assert kept(root) == [f"2022-{signoff.hash_release(folder)[:12]}"]
    archive = root / "data/processed/ehime/releases" / kept(root)[0]
    pairs = {
        "estimates.csv": folder / "estimates.csv",
        "truth.csv": study.processed_dir / "private/estimates.csv",
        "about.json": study.processed_dir / "published/about.json",
    }
    for name, path in pairs.items():
        assert (archive / name).read_bytes() == path.read_bytes()


def test_a_synthetic_release_is_never_signed_as_real_and_keeps_nothing(root):
    raw = root / "data/raw/ehime/2022"
    real = (raw / "responses.csv").rename(raw / "responses_synthetic.csv")
    study, folder = make_release(*COUNTS)
    with pytest.raises(DisclosureError, match="SIGNOFF_SYNTHETIC"):
        sign(study, folder)
    assert sign(study, folder, data="synthetic")["data"] == "synthetic"
    # Answers that arrive later do not make a finding of what was made without them.
    shutil.copy(real, raw / "responses.csv")
    with pytest.raises(DisclosureError, match="SIGNOFF_SYNTHETIC"):
        sign(open_study("ehime", 2022), folder)
    assert kept(root) == []


# --- the signed edition ---------------------------------------------------------------------------

VOLUMES = (MAIN, APPENDIX, ENGLISH)
MARK = "公表前（未署名）"


def texts(folder):
    """Return every text of a release by file and part."""
    found = {path.name: path.read_bytes().decode() for path in folder.iterdir()
             if path.suffix != ".xlsx"}  # fmt: skip
    with zipfile.ZipFile(folder / "tables.xlsx") as book:
        return found | {name: book.read(name).decode() for name in book.namelist()}


def signed_edition(study, folder):
    """Let the reviewer sign and return the hash that was signed."""
    text = f"reviewer: 山田\ndate: 2026-11-24\ndata: real\nhash: {signoff.hash_release(folder)}\n"
    (study.wave_dir / "signoff.yaml").write_text(text, encoding="utf-8")
    reviewed = signoff.hash_release(folder)
    assert pipeline.release_report("ehime", 2022)["reviewer"] == "山田"
    return reviewed


def test_a_report_says_that_it_is_not_signed_until_it_is_and_nothing_else_changes(released):
    study, folder = released
    before = texts(folder)
    shown = MARK in before["council_report.html"].partition("<header>")[0].partition("<body>")[2]
    on_paper = f'@top-left {{ content: "{MARK}"' in before["council_report.html"]
    assert shown and on_paper
    sheets = [name for name in before if name.startswith("xl/worksheets/")]
    assert len(sheets) > 3
    assert [name for name in sheets if f"&amp;L&amp;B{MARK}" not in before[name]] == []
    assert MARK in before["xl/sharedStrings.xml"]  # on the cover
    assert json.loads(before["manifest.json"])["signoff"] == MARK
    reviewed = signed_edition(study, folder)
    after = texts(folder)
    assert [name for name in after if MARK in after[name]] == []
    # Taking the mark away gives the signed edition, and nothing but the mark.
    for name in {*before, *after} - {"manifest.json", *VOLUMES}:
        assert before[name].replace(MARK, "署名済み") == after[name], name
    for volume in VOLUMES:
        lines, left = (text[volume].splitlines() for text in (before, after))
        gone = [line for line in difflib.ndiff(lines, left) if line[0] in "+-"]
        assert [line[0] for line in gone] == ["-"] * 4  # three of a style, one of an aside
    own = ("manifest", "signoff", "outputs")
    first, last = (json.loads(text["manifest.json"]) for text in (before, after))
    assert last["signoff"] == reviewed
    assert {**first, **dict.fromkeys(own)} == {**last, **dict.fromkeys(own)}
    signoff.verify_release(study, folder)


def test_what_was_signed_stays_signed_when_it_is_made_again(root, released, tmp_path):
    copy = shutil.copytree(released[1], tmp_path / "copy")
    reviewed = signed_edition(*released)
    signed = texts(released[1])
    assert pipeline.release_report("ehime", 2022)["date"] == "2026-11-24"
    study, folder = make_release(*COUNTS)
    assert texts(folder) == signed
    assert kept(root) == [f"2022-{reviewed[:12]}"]
    signoff.verify_release(study, copy)  # the reviewer's own copy, with the mark
    study, folder = make_release()
    assert json.loads((folder / "manifest.json").read_bytes())["signoff"] == MARK


def test_a_kill_before_the_swap_leaves_an_unsigned_release_that_can_be_signed_again(
    released, monkeypatch
):
    def stop(_target):
        raise KeyboardInterrupt

    study, folder = released
    before = texts(folder)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "swap_in", stop)
        with pytest.raises(KeyboardInterrupt):
            signed_edition(study, folder)
    assert texts(folder) == before
    pipeline.release_report("ehime", 2022)
    assert MARK not in "".join(texts(folder).values())


def test_a_synthetic_release_loses_the_mark_and_keeps_its_banner(root):
    raw = root / "data/raw/ehime/2022"
    (raw / "responses.csv").rename(raw / "responses_synthetic.csv")
    study, folder = make_release(*COUNTS)
    sign(study, folder, data="synthetic")
    pipeline.release_report("ehime", 2022)
    after = texts(folder)
    assert MARK not in "".join(after.values())
    assert 'class="banner"' in after["council_report.html"]
    assert "&amp;C&amp;B合成データ" in after["xl/worksheets/sheet1.xml"]


# --- what is kept of it ---------------------------------------------------------------------------


def torn(name):
    return lambda archive: os.truncate(next(archive.glob(f"*/{name}")), 100)


def lost(name):
    return lambda archive: next(archive.glob(f"*/{name}")).unlink()


def record(archive):
    paths = [archive.with_suffix(".json"), *archive.rglob("*")]
    return {path.relative_to(archive.parent): path.read_bytes() for path in paths if path.is_file()}


SPOILT = [
    *map(torn, ("estimates.csv", "truth.csv", "about.json")),
    *map(lost, ("estimates.csv", "truth.csv", "about.json")),
    lambda archive: (next(archive.glob("2022-*")) / "more.csv").write_text("x"),
    lambda archive: shutil.rmtree(next(archive.glob("2022-*"))),
    lambda archive: archive.with_suffix(".json").unlink(),
    lambda archive: archive.with_suffix(".json").write_text("[]"),
    lambda archive: os.truncate(archive.with_suffix(".json"), 30),
    shutil.rmtree,
]


def test_a_torn_or_lost_record_of_a_signed_release_stops_the_next(root, released, tmp_path):
    study, folder = released
    signed_edition(study, folder)
    archive = root / "data/processed/ehime/releases"
    whole, name = record(archive), next(archive.glob("2022-*")).name
    shutil.copytree(archive, tmp_path / "backup")
    index = archive.with_suffix(".json").read_bytes()
    for spoil in SPOILT:
        shutil.rmtree(archive)
        shutil.copytree(tmp_path / "backup", archive)
        archive.with_suffix(".json").write_bytes(index)
        assert len(read_archive(study)) == 1
        spoil(archive)
        with pytest.raises(DisclosureError, match=f"E-ARCHIVE: .*{name}"):
            read_archive(study)
    for step in (publish.publish, lambda study: signoff.verify_release(study, folder)):
        with pytest.raises(DisclosureError, match="E-ARCHIVE"):
            step(study)
    pipeline.release_report("ehime", 2022)  # as the message says
    assert record(archive) == whole
    torn("truth.csv")(archive)  # what is kept of this very release is not what it is judged by
    pipeline.release_report("ehime", 2022)
    assert record(archive) == whole


def test_the_record_is_of_the_results_that_the_release_was_made_from(root, released):
    study, folder = released
    path = study.processed_dir / "published/estimates.csv"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(DisclosureError, match="RELEASE_OLD"):
        sign(study, folder)
    assert kept(root) == []


# --- verifying ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*pipeline.RELEASED, "manifest.json"])
def test_one_byte_of_any_released_file_fails(released, name):
    study, folder = released
    signoff.verify_release(study, folder)
    path = folder / name
    whole = path.read_bytes()
    for place in range(0, len(whole), max(len(whole) // 40, 1)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DisclosureError, match="RELEASE_CHANGED") as caught:
            signoff.verify_release(study, folder)
        assert name in str(caught.value)
    path.unlink()
    with pytest.raises(DisclosureError, match=name):
        signoff.verify_release(study, folder)


@pytest.mark.parametrize("name", ["memo.txt", ".hidden", "signoff.yaml", "more/table.csv"])
def test_a_file_more_than_the_manifest_names_fails(released, name):
    study, folder = released
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("3人", encoding="utf-8")
    with pytest.raises(DisclosureError, match=name.split("/")[0]):
        signoff.verify_release(study, folder)


def test_a_release_with_right_hashes_that_tells_a_hidden_cell_is_not_verified_nor_signed(
    root, released
):
    study, folder = released
    truth = conform(study.load("private/estimates.csv"))
    truth.assign(status="published").to_csv(folder / "estimates.csv", index=False)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["outputs"]["estimates.csv"] = pipeline._digest(folder / "estimates.csv")
    text = json.dumps(manifest | {"manifest": ""})
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    signoff.seal_manifest(folder / "manifest.json")
    with pytest.raises(DisclosureError, match="RECOVERABLE"):
        signoff.verify_release(study, folder)
    write_signoff(study, folder)
    shutil.copy(folder / "estimates.csv", study.processed_dir / "published/estimates.csv")
    with pytest.raises(DisclosureError, match="RECOVERABLE"):
        pipeline.release_report("ehime", 2022)
    assert kept(root) == []


def test_an_old_signed_release_is_verified_by_the_truth_kept_with_it(root, released, tmp_path):
    sign(*released)
    copy = shutil.copytree(released[1], tmp_path / "copy")
    study, folder = make_release()  # the next run shows no ages
    assert signoff.hash_release(folder) != signoff.hash_release(copy)
    signoff.verify_release(study, copy)
    shutil.rmtree(root / "data/processed/ehime/releases")
    (root / "data/processed/ehime/releases.json").unlink()
    with pytest.raises(
        DisclosureError, match="cross_age_band__ucla1: a row that is not in private"
    ):
        signoff.verify_release(study, copy)


# --- from one release to the next -----------------------------------------------------------------


def test_what_a_signed_release_showed_is_told_to_the_gate_of_the_next(root, tmp_path):
    mate = (hidden_ages(root) - {"20s"}).pop()  # hidden so that the 20s cannot be worked out
    assert hidden_ages(root) == {"20s", mate}
    sign(*make_release(mate))  # by itself it is large enough to be shown
    study, folder = make_release(*COUNTS)
    (other,) = {"30s", "40s"} - {mate}
    assert hidden_ages(root) == {"20s", other}
    signoff.verify_release(study, folder)
    # Hidden as if nothing had been signed: the attack reads the archive too.
    names, place = ("releases", "releases.json"), root / "data/processed/ehime"
    for name in names:
        (place / name).rename(tmp_path / name)
    study, folder = make_release(*COUNTS)
    assert hidden_ages(root) == {"20s", mate}
    for name in names:
        (tmp_path / name).rename(place / name)
    with pytest.raises(DisclosureError, match="RECOVERABLE"):
        signoff.verify_release(study, folder)


def corrected(n):
    """Return the counts with n people of the 30s moved from the second answer to the third."""
    first, second, third, fourth = COUNTS["30s"]
    return COUNTS | {"30s": (first, second - n, third + n, fourth)}


@pytest.mark.parametrize("n", [1, 4])
def test_a_correction_of_a_few_answers_is_refused_by_name_of_table(released, n):
    signed_edition(*released)
    before = texts(released[1])
    with pytest.raises(DisclosureError, match="E-CORRECTED") as caught:
        make_release(*COUNTS, counts=corrected(n))
    told = str(caught.value)
    assert "cross_age_band__ucla1: a count differs" in told and "gt_ucla1: a count differs" in told
    assert "正誤表" in told and "erratum" in told  # what to do (P12)
    assert texts(released[1]) == before
    make_release(*COUNTS)  # taken back, it is the signed release again


def test_a_correction_of_the_threshold_or_more_passes(released):
    signed_edition(*released)
    make_release(*COUNTS, counts=corrected(5))


def test_a_correction_shows_in_whatever_table_counts_the_same_people(released):
    signed_edition(*released)
    with pytest.raises(DisclosureError, match="gt_ucla1: a count differs"):
        make_release(counts=corrected(1))  # no ages: 1 person in the table of everybody
