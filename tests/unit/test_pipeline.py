"""The runner: parameters, reuse, failure, locking and the swap, on notebooks of a few lines."""

import contextlib
import ctypes
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import nbformat
import pytest

from tsunagari.errors import (
    ConfigError,
    DisclosureError,
    InputError,
    KernelError,
    LockedError,
    ModelError,
    SurveyError,
    WriteError,
)
from tsunagari.report.published import read_published
from tsunagari.run import notebooks, pipeline, release
from tsunagari.study.survey import open_study

REPOSITORY = Path(__file__).resolve().parents[2]
ANSWER = "090-1234-5678"  # stands for an answer that no message may repeat

# Without pandas, which a kernel needs a second to import.
PLACE = "import os, pathlib\nplace = pathlib.Path(os.environ['TSUNAGARI_STAGING'], 'private')"
ROW = (
    "'wave,table_id,measure,unit,domain,domain_value,item,item_value,estimate,n_unweighted,n_cell\\n'"
    "f'{YEAR},headline,percent,percent,all,all,lonely_often,5,{n * SCALE},900,90\\n'"
)

TOYS = {
    "01_clean_responses": [
        "LIMIT: int = 3  # rows kept [1 .. 9]\nRULE: str = 'plain'  # how [plain | strict]",
        PLACE,
        "(place / 'respondents.txt').write_text('a' * LIMIT)",
    ],
    "02_weight_respondents": [
        "",
        PLACE,
        "(place / 'weights.txt').write_text((place / 'respondents.txt').read_text())",
    ],
    "03_describe_loneliness": [
        "SCALE: float = 1.0  # factor of every figure [0.5 .. 2]",
        PLACE,
        "n = len((place / 'weights.txt').read_text())\n"
        "(place / 'parts').mkdir(exist_ok=True)\n"
        f"(place / 'parts/03_describe.csv').write_text({ROW})",
    ],
    "04_model_factors": ["", "STUDY", "YEAR"],
    "05_hear_voices": ["", "STUDY", "YEAR"],
    "07_report_council": [
        "",
        "import os, sys\nfrom IPython.display import HTML\nprint('warned', file=sys.stderr)",
        "HTML(f\"<p>{os.listdir(os.environ['TSUNAGARI_STAGING'])}</p>\")",
    ],
}


def write_notebook(path: Path, sources: list[str], *, title: str = "") -> None:
    parameters = "STUDY: str = 'ehime'  # study\nYEAR: int = 2022  # wave\n" + sources[0]
    cells = [
        nbformat.v4.new_markdown_cell(f"# {title}", id="title"),
        nbformat.v4.new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(sources[1], id="setup"),
        nbformat.v4.new_markdown_cell("## 集計", id="heading"),
        nbformat.v4.new_code_cell(sources[2], id="work"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)


def make_root(root: Path) -> Path:
    raw = REPOSITORY / "data/raw"
    for name in ("study.yaml", "codebook.csv", "population.csv"):
        (root / "data/raw/ehime").mkdir(parents=True, exist_ok=True)
        shutil.copy(raw / "ehime" / name, root / "data/raw/ehime" / name)
    shutil.copytree(raw / "national", root / "data/raw/national")
    (root / "data/raw/ehime/2022").mkdir()
    (root / "data/raw/ehime/2022/responses.csv").write_text(f"id,text\n1,{ANSWER}\n")
    (root / "notebooks").mkdir()
    for step, sources in TOYS.items():
        write_notebook(root / "notebooks" / f"{step}.ipynb", sources, title=step)
    return root


@pytest.fixture
def world(monkeypatch):
    """Return a function that makes a root the one in use."""

    def use(root: Path) -> Path:
        monkeypatch.setenv("TSUNAGARI_ROOT", str(root))
        return root

    return use


@pytest.fixture
def root(tmp_path, world):
    """Return a root with the Ehime study, one answer file and notebooks of a few lines."""
    return world(make_root(tmp_path / "root"))


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """Return the folder of a root that has been run; filled by the first test that needs it."""
    return tmp_path_factory.mktemp("released") / "root"


@pytest.fixture
def released(tmp_path, world, first_run):
    """Return a copy of a root that has been run once."""
    if not first_run.exists():
        assert executed(run(world(make_root(first_run)))) == list(pipeline.STEPS)
    return world(shutil.copytree(first_run, tmp_path / "root"))


def run(root, *given, **options):
    return pipeline.make_report("ehime", 2022, given=given, notebooks=root / "notebooks", **options)


def change(root, step, *, cell=2, source):
    sources = [*TOYS[step]]
    sources[cell] = source
    write_notebook(root / "notebooks" / f"{step}.ipynb", sources, title=step)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def times(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in [folder, *folder.rglob("*")]}


def executed(seconds) -> list[str]:
    return [step for step, spent in seconds.items() if spent is not None and step != "release"]


# --- the whole way --------------------------------------------------------------------------------


def test_run_releases_four_files_then_reuses_then_reruns_what_changed(released, capsys):
    release, processed = released / "reports/ehime/2022", released / "data/processed/ehime/2022"
    first = contents(release)
    assert sorted(first) == ["council_report.html", "estimates.csv", "manifest.json", "tables.xlsx"]
    manifest = json.loads(first["manifest.json"])
    assert manifest["parameters"]["03_describe_loneliness"]["SCALE"] == 1.0
    assert b"warned" not in first["council_report.html"]  # stderr stays out of the page
    assert b"['published']" in first["council_report.html"]  # 07 saw one zone only
    assert str(released).encode() not in b"".join(first.values())

    before = times(released / "reports") | times(processed)
    assert run(released) is None
    assert times(released / "reports") | times(processed) == before

    # 3 rows x 2.0: the figure doubles; what stands before 03 is reused.
    seconds = run(released, "SCALE=2")
    assert executed(seconds) == [
        "03_describe_loneliness",
        "04_model_factors",
        "05_hear_voices",
        "gate",
        "07_report_council",
    ]
    assert b",6.0," in (release / "estimates.csv").read_bytes()
    compared = pipeline.compare_headlines("ehime", 2022)
    assert compared["change"].tolist() == [3.0]

    # Back again: everything as in the first release, to the byte.
    run(released)
    assert contents(release) == first
    assert pipeline.compare_headlines("ehime", 2022)["change"].tolist() == [-3.0]
    (processed / "private/last_release.csv").unlink()  # as after a first release
    assert pipeline.main(["diff", "--study", "ehime", "--year", "2022"]) == 0
    assert capsys.readouterr().out == "動いた数はありません。 / Nothing moved.\n"
    assert not (released / "reports/ehime/.staging-2022").exists()
    assert not (released / "data/processed/ehime/.staging-2022").exists()


def test_same_inputs_give_the_same_bytes_in_another_place(released, tmp_path, monkeypatch):
    other = make_root(tmp_path / "elsewhere" / "日本語の場所")
    (other / "data/processed").mkdir()  # real answers are hashed with a key
    shutil.copy(released / "data/processed/input.key", other / "data/processed")
    monkeypatch.setenv("TSUNAGARI_ROOT", str(other))
    monkeypatch.setenv("TZ", "America/New_York")
    run(other)
    assert contents(released / "reports/ehime/2022") == contents(other / "reports/ehime/2022")


def test_a_damaged_or_missing_released_file_is_made_again(released):
    page = released / "reports/ehime/2022/council_report.html"
    whole = page.read_bytes()
    page.write_bytes(whole[:10])
    assert executed(run(released)) == []  # every step is reused, the release alone is built again
    assert page.read_bytes() == whole


def test_a_changed_result_on_disk_is_not_reused(released):
    part = released / "data/processed/ehime/2022/private/parts/03_describe.csv"
    part.write_text(part.read_text().replace("3.0", "4.0"))
    assert executed(run(released)) == ["03_describe_loneliness"]


def test_a_comment_in_an_early_notebook_reruns_that_notebook_only(released):
    change(released, "02_weight_respondents", source=TOYS["02_weight_respondents"][2] + "\n# why")
    assert executed(run(released)) == ["02_weight_respondents"]


def test_files_no_step_wrote_any_more_do_not_survive(released):
    source = TOYS["03_describe_loneliness"]
    write_notebook(
        released / "notebooks/04_model_factors.ipynb",
        [*source[:2], source[2].replace("03_describe", "04_extra").replace("headline", "extra")],
    )
    run(released)
    assert (released / "data/processed/ehime/2022/private/parts/04_extra.csv").exists()
    change(released, "04_model_factors", source="YEAR")
    run(released)
    assert not (released / "data/processed/ehime/2022/private/parts/04_extra.csv").exists()


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        ("regoin=1", "PARAMETER_UNKNOWN", "regoin"),
        ("LIMT=4", "PARAMETER_UNKNOWN", "did you mean LIMIT?"),
        ("LIMIT", "PARAMETER_VALUE", "LIMIT=VALUE"),
        ("YEAR=2023", "PARAMETER_UNKNOWN", "--year"),
        ("LIMIT=abc", "PARAMETER", "int: 1 .. 9"),
        ("LIMIT=2.5", "PARAMETER", "int: 1 .. 9"),
        ("LIMIT=10", "PARAMETER", "int: 1 .. 9"),
        ("SCALE=nan", "PARAMETER", "float: 0.5 .. 2"),
        ("RULE=../../etc", "PARAMETER", "str: plain | strict"),
        ("RULE=loose", "PARAMETER", "str: plain | strict"),
        ("API_TOKEN=s3cret", "PARAMETER_SECRET", "API_TOKEN"),
        ("password=s3cret", "PARAMETER_SECRET", "password"),
    ],
)
def test_a_wrong_parameter_stops_before_anything_starts(root, given, code, told):
    with pytest.raises(ConfigError) as caught:
        run(root, given)
    assert caught.value.code == code
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert not (root / "reports").exists()
    assert not (root / "data/processed").exists()


def edit_cells(root, step, change):
    path = root / "notebooks" / f"{step}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    change(notebook.cells)
    nbformat.write(notebook, path)


def lose_tag(cells):
    cells[1].metadata = {}  # as editors do


def move_tag(cells):
    cells[2].metadata, cells[1].metadata = cells[1].metadata, {}


def tag_twice(cells):
    cells[2].metadata = cells[1].metadata


def move_cell(cells):
    cells.insert(3, cells.pop(1))


def split_cell(cells):
    name, year = cells[1].source.splitlines()[:2]
    cells[1].source, cells[2].source = name, year


def set_again(cells):
    cells[4].source = "YEAR : int= 2022\n" + cells[4].source


@pytest.mark.parametrize(
    "change", [lose_tag, move_tag, tag_twice, move_cell, split_cell, set_again]
)
@pytest.mark.parametrize("step", ["01_clean_responses", "07_report_council"])
def test_a_notebook_whose_parameters_would_not_arrive_is_refused(root, step, change):
    edit_cells(root, step, change)
    with pytest.raises(ConfigError, match=step) as caught:
        run(root)
    assert caught.value.code == "NOTEBOOK_PARAMETERS"
    assert not (root / "data/processed").exists()


@pytest.mark.parametrize("text", ["[]", '{"cells": [1]}', '{"cells": {}}', "[" * 100_000, "{"])
def test_what_is_no_notebook_is_said_to_be_none(root, text):
    (root / "notebooks/02_weight_respondents.ipynb").write_text(text)
    with pytest.raises(ConfigError, match="02_weight_respondents"):
        run(root)


def test_a_notebook_that_works_for_another_year_is_refused(released, capfd):
    source = "from tsunagari.study.survey import open_study\n"
    source += "open_study(STUDY, 2023).save('private/a.json', {})"
    change(released, "01_clean_responses", source=source)
    told = failure(released, ConfigError, capfd)
    assert told.startswith("E-WAVE_OTHER: 01_clean_responses [3]")


def test_whoever_saves_or_loads_another_years_results_is_refused(released, monkeypatch):
    processed = released / "data/processed/ehime/2022"
    assert (processed / "private/wave.txt").read_text() == "ehime 2022\n"
    monkeypatch.setenv("TSUNAGARI_STAGING", str(processed))
    mine, other = (open_study("ehime", year) for year in (2022, 2023))
    assert mine.load("private/steps.json").keys() == set(pipeline.STEPS)
    assert read_published("ehime", 2022).year == 2022
    for use in (
        lambda: other.load("private/steps.json"),
        lambda: other.save("private/a.json", {}),
        lambda: read_published("ehime", 2023),
    ):
        with pytest.raises(ConfigError, match="WAVE_OTHER"):
            use()
    assert not (processed / "private/a.json").exists()


def test_a_string_stays_a_string_and_a_range_includes_its_ends():
    code = notebooks.Parameter(name="AREA", kind="str", default="", comment="code of a city")
    assert code.parse("01100") == "01100"
    share = notebooks.Parameter(name="A", kind="float", default=1.0, comment="share [0 .. 1]")
    assert [share.parse("0"), share.parse("1")] == [0.0, 1.0]
    flag = notebooks.Parameter(name="B", kind="bool", default=True, comment="yes or no")
    assert flag.parse("False") is False
    with pytest.raises(ConfigError):
        flag.parse("maybe")
    with pytest.raises(ConfigError):
        code.parse("../../etc")


def test_kernel_keeps_the_leading_zero(released):
    write_notebook(
        released / "notebooks/04_model_factors.ipynb",
        ["AREA: str = '1'  # code of a city", "", "assert AREA == '01100', 'lost'"],
    )
    run(released, "AREA=01100")


# --- inputs ---------------------------------------------------------------------------------------


def refused(kind, *arguments):
    """Return the one line and the exit code of the command, which must refuse."""
    done = subprocess.run(
        [sys.executable, "-m", "tsunagari.run.pipeline", "report", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == kind.exit_code
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_unknown_study_and_year_are_named(root):
    assert "ehmie" in refused(ConfigError, "--study", "ehmie", "--year", "2022")
    assert "1999" in refused(ConfigError, "--study", "ehime", "--year", "1999")
    assert "--year" in refused(ConfigError, "--study", "ehime", "--year", "R4")
    assert not (root / "data/processed").exists()


def test_missing_and_empty_answers_stop_before_anything_starts(root):
    answers = root / "data/raw/ehime/2022/responses.csv"
    answers.write_bytes(b"")
    with pytest.raises(InputError) as caught:
        run(root)
    assert caught.value.code == "FILE_EMPTY"
    answers.unlink()
    with pytest.raises(InputError) as caught:
        run(root)
    assert caught.value.code == "RESPONSES_MISSING"
    (root / "data/raw/ehime/population.csv").unlink()
    answers.write_text("id\n1\n")
    with pytest.raises(InputError) as caught:
        run(root)
    assert "population.csv" in str(caught.value)
    assert not (root / "data/processed").exists()
    assert not (root / "reports").exists()


def test_an_input_that_changes_during_the_run_is_noticed(released):
    answers, before = released / "data/raw/ehime/2022/responses.csv", contents(released / "reports")
    change(
        released, "02_weight_respondents", source=f"open({str(answers)!r}, 'a').write('2,x\\n')"
    )  # fmt: skip
    with pytest.raises(InputError) as caught:
        run(released)
    assert caught.value.code == "INPUT_CHANGED"
    assert contents(released / "reports") == before


def inputs(root):
    """Return the hashes of inputs that a manifest would hold."""
    return pipeline.prepare("ehime", 2022, notebooks=root / "notebooks").inputs


def test_inputs_are_named_as_the_study_calls_them_and_hashed_with_a_key(root):
    raw = root / "data/raw/ehime"
    (raw / "2022/田中さんの納品.csv").write_text("x")
    (raw / "鈴木さんの控え.xlsx").write_text("x")
    first = inputs(root)
    assert "data/raw/ehime/2022/responses.csv" in first
    assert not [name for name in first if "田中" in name or "鈴木" in name]
    # Whoever holds all of the answers but one value cannot confirm a guess at it: the sha256 of no
    # file that is not public, alone or in a group, is there, but one made with a random key.
    plain = {hashlib.sha256(path.read_bytes()).hexdigest(): path.name
             for path in raw.rglob("*") if path.is_file()}  # fmt: skip
    told = {plain[value] for value in first.values() if value in plain}
    assert told == {"study.yaml", "codebook.csv", "population.csv"}
    (raw / "recipe.yaml").write_text("n: 1")  # makes a sample, no report
    assert inputs(root) == first
    key = root / "data/processed/input.key"
    assert key.stat().st_mode & 0o777 == 0o600
    for content in (b"", b"known"):  # a torn key would be a known one
        key.write_bytes(content)
        again = inputs(root)
        moved = {name for name in first if first[name] != again[name]}
        assert moved == {f"data/raw/ehime/{name}" for name in ("*", "2022/*", "2022/responses.csv")}
        first = again


def test_a_synthetic_sample_has_its_plain_hash_and_needs_no_key(root):
    raw = root / "data/raw/ehime/2022"
    sample = (raw / "responses.csv").rename(raw / "responses_synthetic.csv")
    digest = hashlib.sha256(sample.read_bytes()).hexdigest()
    assert inputs(root)["data/raw/ehime/2022/responses_synthetic.csv"] == digest
    assert not (root / "data/processed").exists()


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("2022/responses.csv", "ehime/2022/responses.csv"),
        ("2022/decisions.csv", "ehime/2022/*"),
        ("2022/records/kpi.csv", "ehime/2022/*"),
        ("population_census.csv", "ehime/population_census.csv"),
        ("../national/benchmarks.csv", "national/benchmarks.csv"),
    ],
)
def test_every_input_counts(root, name, step):
    path = root / "data/raw/ehime" / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    before = inputs(root)
    path.write_bytes(path.read_bytes() + b"\n")
    after = inputs(root)
    assert [key for key in after if after[key] != before[key]] == [f"data/raw/{step}"]


@pytest.mark.parametrize("name", ["responses.csv", "decisions.csv"])
def test_the_wave_that_is_compared_with_counts(root, name):
    raw, notebooks = root / "data/raw/ehime", root / "notebooks"
    shutil.copytree(raw / "2022", raw / "2023")
    (raw / "2022" / name).touch()
    before = pipeline.prepare("ehime", 2023, notebooks=notebooks).inputs
    (raw / "2022" / name).write_bytes(b"another wave")
    after = pipeline.prepare("ehime", 2023, notebooks=notebooks).inputs
    group = name if name.startswith("responses") else "*"
    assert [k for k in after if after[k] != before[k]] == [f"data/raw/ehime/2022/{group}"]


def test_a_signed_release_stays_what_was_signed_and_is_known_to_the_next_gate(released, capfd):
    command = ["release", "--study", "ehime", "--year", "2022"]
    assert pipeline.main(command) != 0
    release_hash = re.search("hash: ([0-9a-f]{64})", capfd.readouterr().err).group(1)
    signed = f"reviewer: 山田\ndate: 2026-11-24\nhash: {release_hash}\ndata: real\n"
    (released / "data/raw/ehime/2022/signoff.yaml").write_text(signed, encoding="utf-8")
    assert run(released) is None  # a sign-off is no input
    assert pipeline.main(command) == 0
    before = contents(released / "reports")
    assert executed(run(released)) == ["gate"]
    assert contents(released / "reports") == before
    assert pipeline.main(command) == 0
    (released / "reports/ehime/2022/tables.xlsx").write_text("other")
    assert pipeline.main(command) != 0
    assert "tables.xlsx" in capfd.readouterr().err
    assert pipeline.main(["verify", str(released / "reports/ehime/2022")]) == 3


def test_verify_takes_any_copy_of_a_release_and_nothing_else(released, tmp_path, capfd):
    copy = shutil.copytree(released / "reports/ehime/2022", tmp_path / "copy")
    assert pipeline.main(["verify", str(copy)]) == 0
    (copy / "manifest.json").unlink()
    assert pipeline.main(["verify", str(copy)]) == 2
    assert "manifest.json" in capfd.readouterr().err


def test_a_release_that_tells_a_hidden_value_is_not_swapped_in(released, monkeypatch, capfd):
    def tells(_study, folder):
        assert (folder / "manifest.json").is_file()
        raise DisclosureError.told("RECOVERABLE", ja="推定できます。", en="Can be told.")

    before = contents(released / "reports")
    monkeypatch.setattr("tsunagari.run.signoff.attack_study", tells)
    change(released, "03_describe_loneliness", source=TOYS["03_describe_loneliness"][2] + "\n")
    command = ["report", "--study", "ehime", "--year", "2022"]
    assert pipeline.main(command, notebooks=released / "notebooks") == 3
    assert "RECOVERABLE" in capfd.readouterr().err
    assert contents(released / "reports") == before


@pytest.mark.usefixtures("root")
def test_there_must_be_a_report_to_sign(capfd):
    assert pipeline.main(["release", "--study", "ehime", "--year", "2022"]) != 0
    assert "make report" in capfd.readouterr().err


# --- failures -------------------------------------------------------------------------------------


def failure(root, kind, capfd, **options):
    """Return the message of a failing run, which leaves the last release untouched."""
    before = contents(root / "reports") if (root / "reports").exists() else {}
    with pytest.raises(kind) as caught:
        run(root, **options)
    assert type(caught.value) is kind
    assert (contents(root / "reports") if before else {}) == before
    said = str(caught.value) + "".join(capfd.readouterr())
    assert ANSWER not in said
    assert "Traceback" not in said
    return str(caught.value)


def test_a_failing_notebook_names_place_and_cause_and_leaves_the_release(released, capfd):
    change(released, "04_model_factors", source=f"int('{ANSWER}')")
    told = failure(released, SurveyError, capfd)
    # [3]: the third code cell; the parameters papermill adds do not count.
    assert "04_model_factors [3]「集計」" in told
    assert "ValueError" in told
    assert "\n" not in told
    # Steps 1 to 3 are kept, and nothing after the mended one hangs on what it changed.
    change(released, "04_model_factors", source="YEAR + 1")
    assert executed(run(released)) == ["04_model_factors"]


def test_first_run_that_fails_is_resumed(root, capfd):
    change(root, "03_describe_loneliness", source="1 / 0")
    failure(root, SurveyError, capfd)
    assert not (root / "reports/ehime/2022").exists()
    write_notebook(
        root / "notebooks/03_describe_loneliness.ipynb",
        TOYS["03_describe_loneliness"],
        title="03_describe_loneliness",
    )
    assert executed(run(root)) == list(pipeline.STEPS[2:])


def test_a_survey_error_keeps_its_words_and_its_exit_code(released, capfd):
    change(
        released,
        "02_weight_respondents",
        source="from tsunagari.errors import ModelError\n"
        "raise ModelError.told('EMPTY_CELL', ja='セルが空です。', en='A cell is empty.')",
    )
    told = failure(released, ModelError, capfd)
    assert told == (
        "E-EMPTY_CELL: 02_weight_respondents [3]「集計」: セルが空です。 / A cell is empty."
    )


def test_an_error_inside_lib_names_its_line(released, capfd):
    change(
        released,
        "04_model_factors",
        source="from tsunagari.estimates import round_half_up\n"
        f"round_half_up('{ANSWER}', decimals=1)",
    )
    assert "estimates.py:" in failure(released, SurveyError, capfd)


def test_a_dead_kernel_is_said_to_be_dead(released, capfd):
    change(released, "02_weight_respondents", source="import os\nos.kill(os.getpid(), 9)")
    told = failure(released, KernelError, capfd)
    assert "02_weight_respondents [3]" in told


def test_leaving_a_notebook_early_is_no_success(released, capfd):
    change(released, "02_weight_respondents", cell=1, source="import sys\nsys.exit(0)")
    told = failure(released, SurveyError, capfd)
    assert "SystemExit" in told


def test_a_full_disk_in_a_notebook_is_a_write_error(released, capfd):
    change(
        released,
        "02_weight_respondents",
        source=f"import errno\nraise OSError(errno.ENOSPC, 'No space', '{ANSWER}')",
    )
    assert "02_weight_respondents [3]" in failure(released, WriteError, capfd)


def test_the_gate_can_stop_the_run(released, capfd):
    change(released, "03_describe_loneliness", source="YEAR")
    assert "gate" in failure(released, InputError, capfd)  # no parts: STEP_MISSING


def test_a_second_run_is_refused_and_names_the_first(released):
    with release.locked(released / "data/processed/ehime/2022"):
        with pytest.raises(LockedError) as caught:
            run(released)
    assert f"pid {os.getpid()}" in str(caught.value)
    assert run(released) is None


def test_a_link_or_a_file_where_the_report_goes_is_refused(root, tmp_path):
    (root / "reports").symlink_to(tmp_path)
    with pytest.raises(WriteError):
        run(root)
    (root / "reports").unlink()
    (root / "reports").write_text("a file")
    with pytest.raises(WriteError):
        run(root)
    assert not (root / "data/processed").exists()


def as_anybody(code, **options):
    """Run Python as a user who may not write everywhere, root's tests included."""

    def drop():
        set_bounding, may_write_anywhere = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
        ctypes.CDLL(None).prctl(set_bounding, may_write_anywhere)

    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=drop, **options)


REPORT = """
import os, sys
from pathlib import Path
from tsunagari.run import pipeline
notebooks = Path(os.environ["TSUNAGARI_ROOT"]) / "notebooks"
command = ["report", "--study", "ehime", "--year", "2022"]
sys.exit(pipeline.main(command, notebooks=notebooks))
"""


def test_a_read_only_folder_is_refused_before_anything_starts(root):
    (root / "reports").mkdir(mode=0o500)
    done = as_anybody(REPORT, check=False)
    assert done.returncode == WriteError.exit_code
    assert "OUTPUT_FOLDER" in done.stderr
    assert not (root / "data/processed").exists()


def test_a_read_only_release_and_what_is_left_of_one_do_not_block(released):
    folder = released / "reports/ehime/2022"
    whole = contents(folder)
    shutil.copytree(folder, folder.with_name(".staging-2022") / "old")
    (folder / "tables.xlsx").write_bytes(b"torn")
    for path in [*folder.parent.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    done = as_anybody(REPORT, check=False)
    assert done.returncode == 0, done.stderr
    assert contents(folder) == whole
    assert [path.name for path in folder.parent.iterdir()] == ["2022"]


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_no_left_over_blocks_the_next_run_or_leads_it_elsewhere(released, kind, tmp_path):
    other = tmp_path / "other"
    (other / "private").mkdir(parents=True)
    (other / "private/dear.txt").write_text("dear")
    place = {
        "file": lambda left: left.write_text("left"),
        "folder": lambda left: shutil.copytree(other, left),
        "link": lambda left: left.symlink_to(other),
    }
    left = [released / zone / "ehime" / name for zone in ("reports", "data/processed")
            for name in (".staging-2022", ".old-2022")]  # fmt: skip
    for each in left:
        place[kind](each)
    whole = contents(released / "reports/ehime/2022")
    (released / "reports/ehime/2022/tables.xlsx").unlink()
    assert executed(run(released)) == []
    assert contents(released / "reports/ehime/2022") == whole
    assert [each for each in left if each.exists() or each.is_symlink()] == []
    assert contents(other) == {"private/dear.txt": b"dear"}


SHAPES = ["[]", "5", "null", '"text"', "{", "", "[" * 100_000, "\ud800", '{"outputs": 5}',
          '{"01_clean_responses": 5}', '{"01_clean_responses": {"key": 1, "outputs": ["x"]}}',
          '{"01_clean_responses": {"outputs": {"x": "y"}}}', '{"gate": null}']  # fmt: skip


def test_no_shape_of_a_file_of_ours_blocks_the_next_run(released, monkeypatch, tmp_path):
    def stop(_run, step, **_options):
        raise ModelError.told("STEP", ja=step, en=step)

    monkeypatch.setattr(pipeline, "_run_step", stop)
    ready = pipeline.prepare("ehime", 2022, notebooks=released / "notebooks")
    manifest, records = ready.release / "manifest.json", ready.processed / "private/steps.json"
    whole = {manifest: manifest.read_bytes(), records: records.read_bytes()}
    assert pipeline.is_released(ready)
    for text in SHAPES:
        shape = text.encode("utf-8", "surrogatepass")
        for path in whole:
            path.write_bytes(shape)
            assert not pipeline.is_released(ready)
            path.write_bytes(whole[path])
        left = ready.staging / "private/steps.json"
        left.parent.mkdir(parents=True)
        left.write_bytes(shape)
        assert executed(pipeline.make_steps(ready, scratch=tmp_path)) == []
        records.write_bytes(shape)
        left.write_bytes(shape)
        with pytest.raises(ModelError, match="01_clean_responses"):
            pipeline.make_steps(ready, scratch=tmp_path)
        records.write_bytes(whole[records])
        release.discard(ready.staging)
        note = ready.processed.with_name(".run-2022.json")
        note.write_bytes(shape)
        with release.locked(ready.processed):
            assert json.loads(note.read_bytes())["pid"] == os.getpid()


def test_a_note_deletes_no_folder_but_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    processed = tmp_path / "data/2022"
    ours = tmp_path / "temp/tsunagari-ab12_xyz"
    dear = [tmp_path / "dear", tmp_path / "temp/other-ab12_xyz", tmp_path / "temp/tsunagari-x"]
    for folder in (ours, *dear, processed.parent):
        (folder / "in").mkdir(parents=True)
    for told in [*map(str, dear), "../dear", "other-ab12_xyz", "", ".", ["x"], {"a": 1}, ours.name]:
        (processed.parent / ".run-2022.json").write_text(json.dumps({"scratch": told}))
        with release.locked(processed) as scratch:
            assert scratch.parent == tmp_path / "temp"
    assert [folder for folder in dear if not (folder / "in").is_dir()] == []
    assert not ours.exists()
    assert not scratch.exists()


def test_a_temporary_folder_without_room_is_said_to_be_one(root, monkeypatch):
    monkeypatch.setattr(release, "SCRATCH_BYTES", 10**18)  # more than any disk has
    with pytest.raises(WriteError, match="TMPDIR") as caught:
        run(root)
    assert caught.value.code == "TEMP_FOLDER"


@pytest.mark.parametrize(
    ("limit", "value", "told"),
    [(resource.RLIMIT_NOFILE, 64, "ulimit -n"), (resource.RLIMIT_AS, 2 * 10**9, "ulimit -v")],
)
def test_limits_of_the_shell_are_named(root, limit, value, told):
    code = f"import resource\nresource.setrlimit({limit}, ({value}, {value}))\n{REPORT}"
    done = as_anybody(code, check=False)
    assert done.returncode == KernelError.exit_code
    assert told in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (root / "data/processed").exists()


@pytest.mark.parametrize("lacking", [0, 1])
def test_a_limit_is_too_low_below_what_a_report_takes(monkeypatch, lacking):
    needed = {resource.RLIMIT_NOFILE: 128 - lacking, resource.RLIMIT_AS: 3_000_000 * 1024}
    monkeypatch.setattr(resource, "getrlimit", lambda limit: (needed[limit], needed[limit]))
    if lacking:
        with pytest.raises(KernelError, match="LIMIT.*ulimit -n"):
            release.check_limits()
    else:
        release.check_limits()


@pytest.mark.parametrize("kind", ["python", "numpy", "system"])
def test_a_notebook_that_runs_out_of_memory_is_told_as_such(released, capfd, kind):
    code = {
        "python": f"raise MemoryError('{ANSWER}')",
        "numpy": "import numpy\nnumpy.ones(2**44)",
        "system": "import errno\nraise OSError(errno.ENOMEM, 'x')",
    }
    change(released, "02_weight_respondents", source=code[kind])
    told = failure(released, KernelError, capfd)
    assert told.startswith("E-MEMORY: 02_weight_respondents [3]")


def test_what_the_analyst_put_beside_the_results_stays(released):
    folder = released / "data/processed/ehime/2022"
    own = {"private/quota_sheet.xlsx": b"quota", "private/notes/a.md": b"a", "memo.txt": b"m"}
    for name, content in own.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    before = contents(folder)
    run(released, "SCALE=2")
    after = contents(folder)
    assert {name: after[name] for name in own} == own
    assert set(after) - set(before) == {"private/last_release.csv"}


def test_a_file_of_the_analyst_in_a_release_is_named_and_stays(released):
    memo = released / "reports/ehime/2022/memo.txt"
    memo.write_text("memo")
    with pytest.raises(WriteError, match="memo.txt") as caught:
        run(released, "SCALE=2")
    assert caught.value.code == "RELEASE_FOREIGN"
    assert memo.read_text() == "memo"


def test_a_link_in_a_release_is_no_file_of_it(released, tmp_path, capfd):
    page = released / "reports/ehime/2022/council_report.html"
    same = tmp_path / "same.html"
    page.rename(same)
    page.symlink_to(same)
    assert pipeline.main(["verify", str(page.parent)]) == DisclosureError.exit_code
    assert "council_report.html" in capfd.readouterr().err
    assert executed(run(released)) == []
    assert not page.is_symlink() and page.read_bytes() == same.read_bytes()


def test_one_byte_of_a_nested_module_reruns_every_step(root, monkeypatch, tmp_path):
    package = shutil.copytree(notebooks.PACKAGE, tmp_path / "lib/tsunagari")
    nested = package / "statistics/models/logit.py"
    nested.parent.mkdir(parents=True)
    nested.write_text("A = 1\n")
    monkeypatch.setattr(pipeline, "PACKAGE", package)

    def keys():
        prepared = pipeline.prepare("ehime", 2022, notebooks=root / "notebooks")
        return {step: prepared.key(step, {}) for step in pipeline.STEPS} | {"": prepared.run_id}

    before = keys()
    assert keys() == before
    nested.write_text("A = 2\n")
    after = keys()
    assert [step for step in before if after[step] == before[step]] == []


def test_a_failure_in_a_nested_module_names_its_line(tmp_path):
    place = "a/tsunagari/lib/tsunagari/statistics/models/logit.py"
    text = f"File ~/{place}:12, in fit(x)\nFile ~/a/tsunagari/.venv/numpy/core.py:3, in sum(x)"
    failed = types.SimpleNamespace(ename="ValueError", evalue=ANSWER, traceback=[text])
    told = notebooks.explain_failure("04", failed, kept=tmp_path)
    assert "ValueError (statistics/models/logit.py:12)" in str(told)
    code = compile(f"\nint('{ANSWER}')", notebooks.PACKAGE / "statistics/models/logit.py", "exec")
    with pytest.raises(SurveyError, match=r"ValueError \(statistics/models/logit.py:2\)"):
        with notebooks.blame("04"):
            exec(code)


# --- killed at any moment -------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from tsunagari.run import notebooks, pipeline, release
place, moment, exchange = sys.argv[1], sys.argv[2], sys.argv[3]
if exchange == "no":
    release._exchange = lambda one, other: False
owner, name = place.split(".")
owner = dict(Path=Path, pipeline=pipeline, notebooks=notebooks, release=release)[owner]
whole, calls = getattr(owner, name), []
def killing(*arguments, **options):
    calls.append(1)
    if len(calls) == int(moment):
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments, **options)
setattr(owner, name, killing)
notebooks = Path(os.environ["TSUNAGARI_ROOT"]) / "notebooks"
pipeline.make_report("ehime", 2022, given=["SCALE=2"], notebooks=notebooks)
"""


def killed(place, moment, exchange="yes"):
    """Run the report with another factor until a function is called the given time."""
    command = [sys.executable, "-c", KILLED, place, str(moment), exchange]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def hidden(root) -> list[str]:
    return [p.name for p in root.rglob(".*") if p.name.startswith((".staging", ".old", ".run"))]


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("place", "moment", "exchange"),
    [
        ("Path.rename", 3, "no"),
        slow("notebooks._strip", 2, "yes"),
        slow("pipeline._run_step", 1, "yes"),
        slow("pipeline._run_step", 2, "yes"),
        slow("pipeline.build_release", 1, "yes"),
        slow("pipeline._describe", 1, "yes"),
        slow("pipeline.swap_in", 1, "yes"),
        slow("pipeline.swap_in", 2, "yes"),
        slow("release._exchange", 1, "yes"),
        slow("release._exchange", 2, "yes"),
        slow("Path.rename", 1, "no"),
        slow("Path.rename", 2, "no"),
        slow("Path.rename", 4, "no"),
    ],
)
def test_killed_anywhere_the_release_is_whole_and_the_next_run_comes_through(
    released, place, moment, exchange
):
    release = released / "reports/ehime/2022"
    before = contents(release)
    killed(place, moment, exchange)
    left = contents(release if release.exists() else release.with_name(".old-2022"))
    assert left == before
    run(released, "SCALE=2")
    assert b",6.0," in (release / "estimates.csv").read_bytes()
    assert hidden(released) == []


@pytest.mark.slow
def test_killed_after_the_swap_no_old_release_stays_beside_the_new_one(released):
    old = contents(released / "reports/ehime/2022")
    # Cleared away before: the note, twice what lies aside, and after each swap two more.
    killed("release.discard", 7)
    assert contents(released / "reports/ehime/.staging-2022") == old
    assert run(released, "SCALE=2") is None
    assert hidden(released) == []


BUSY = """
import os, re, pathlib, time
file = pathlib.Path(os.environ["TSUNAGARI_ROOT"], "kernel")
file.with_suffix(".new").write_text(f"{os.getpid()} {os.getcwd()}")
file.with_suffix(".new").rename(file)
"""
HELD = 're.match("(a+)+$", "a" * 60 + "b")'  # for years, and no other thread gets a turn


def started(root, cell, **options):
    """Start a report whose first notebook ends in this; return it, its kernel's pid and folder."""
    change(root, "01_clean_responses", source=BUSY + cell)
    began = subprocess.Popen([sys.executable, "-c", REPORT], text=True, **options)
    while not (root / "kernel").exists():
        assert began.poll() is None
        time.sleep(0.02)
    pid, folder = (root / "kernel").read_text().split(" ", 1)
    return began, int(pid), Path(folder).parent


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def ends(pid, *, seconds=10):
    until = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems leave it to the kernel")
def test_killed_while_a_kernel_computes_neither_it_nor_its_key_lives_on(root):
    began, kernel, scratch = started(root, HELD)
    assert list(scratch.glob("kernel-*.json")) == []  # holds the key to the kernel
    began.kill()
    began.wait()
    try:
        assert ends(kernel)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(kernel, signal.SIGKILL)
    with release.locked(root / "data/processed/ehime/2022"):
        assert not scratch.exists()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), slow(signal.SIGHUP, 129), slow(signal.SIGINT, 130)]
)
def test_a_stopped_run_says_so_and_clears_away(released, number, code):
    began, kernel, scratch = started(released, HELD, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    began.send_signal(number)
    out, told = began.communicate(timeout=60)
    assert began.returncode == code
    assert (out, told) == (
        "", "E-STOPPED: 中止しました / stopped; the last release is untouched\n"
    )  # fmt: skip
    assert ends(kernel)
    assert not scratch.exists()
    assert [name for name in hidden(released) if not name.startswith(".staging")] == []
    change(released, "01_clean_responses", source=TOYS["01_clean_responses"][2])
    assert run(released) is None
    assert hidden(released) == []


@pytest.mark.parametrize("largest_file_bytes", [slow(100), 1000, slow(6000)])
def test_a_disk_that_fills_up_leaves_the_release(released, largest_file_bytes):
    before = contents(released / "reports/ehime/2022")
    limited = (
        "import os, resource, sys; from pathlib import Path; from tsunagari.run import pipeline\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest_file_bytes}, {largest_file_bytes}))\n"
        "command = ['report', '--study', 'ehime', '--year', '2022', '--force']\n"
        "notebooks = Path(os.environ['TSUNAGARI_ROOT']) / 'notebooks'\n"
        "sys.exit(pipeline.main(command, notebooks=notebooks))"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited], capture_output=True, text=True, check=False
    )
    assert done.returncode == WriteError.exit_code, done.stderr
    assert "Traceback" not in done.stderr
    assert contents(released / "reports/ehime/2022") == before


def test_steps_are_those_of_what_a_study_has():
    def steps(name, year):
        return pipeline.steps_of(open_study(name, year))

    assert steps("tottori-city", 2022) == (pipeline.PROGRAMMES, pipeline.GATE, pipeline.REPORT)
    assert steps("ehime", 2022) == (
        *pipeline.SURVEY,
        pipeline.PROGRAMMES,
        pipeline.GATE,
        pipeline.REPORT,
    )
    assert steps("eu-loneliness-fr", 2022) == pipeline.STEPS


# --- printing -------------------------------------------------------------------------------------

FAKE_CHROMIUM = """#!/bin/sh
for one; do
  case $one in --print-to-pdf=*) target=${one#*=};; file:*) page=${one#file://};; esac
done
cp "$page" "$target"
"""


def test_pdfs_stand_beside_the_release_with_the_hash_of_their_page(released, monkeypatch, tmp_path):
    fake = tmp_path / "chromium"
    fake.write_text(FAKE_CHROMIUM)
    fake.chmod(0o700)
    monkeypatch.setenv("CHROMIUM", str(fake))
    release, before = released / "reports/ehime/2022", contents(released / "reports/ehime/2022")
    for _ in range(2):  # a second print takes the place of the first
        assert pipeline.main(["pdf", "--study", "ehime", "--year", "2022"]) == 0
    assert contents(release) == before
    printed = contents(release.with_name("2022-pdf"))
    assert sorted(printed) == ["council_report.pdf", "sources.json", "summary.pdf"]  # no appendix
    page = {"page": "council_report.html"}
    page["sha256"] = hashlib.sha256(before["council_report.html"]).hexdigest()
    assert json.loads(printed["sources.json"]) == dict.fromkeys(
        ("council_report.pdf", "summary.pdf"), page
    )
    opened = before["council_report.html"].replace(b"<details", b"<details open")
    assert printed["council_report.pdf"] == opened


def test_no_pdf_without_chromium_nor_of_a_changed_release(released, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "none"))
    options = ["pdf", "--study", "ehime", "--year", "2022"]
    assert pipeline.main(options) == KernelError.exit_code
    told = capfd.readouterr().err
    assert told.count("apt-get install chromium") == 2 and "E-NO_CHROMIUM" in told
    monkeypatch.setenv("CHROMIUM", shutil.which("false", path="/bin:/usr/bin"))
    assert pipeline.main(options) == KernelError.exit_code
    assert "E-PDF" in capfd.readouterr().err
    page = released / "reports/ehime/2022/council_report.html"
    page.write_text("x")
    assert pipeline.main(options) == DisclosureError.exit_code
    assert not (released / "reports/ehime/2022-pdf").exists()
