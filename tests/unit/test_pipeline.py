"""The runner: parameters, reuse, failure, locking and the swap, on notebooks of a few lines."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest

from tsunagari import notebooks, pipeline, release
from tsunagari.study import (
    ConfigError,
    DisclosureError,
    InputError,
    KernelError,
    LockedError,
    ModelError,
    SurveyError,
    WriteError,
)

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
    "07_report_council": [
        "",
        "import os, sys\nprint('warned', file=sys.stderr)",
        "sorted(os.listdir(os.environ['TSUNAGARI_STAGING']))",
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


PLAIN_REPORT = """
import pandas as pd
class Published(pd.DataFrame):
    title, is_synthetic = "t", True
def export_html(notebook, *, title, is_synthetic):
    return "<html>" + "".join(str(cell.get("outputs")) for cell in notebook.cells)
def read_published(study, year):
    from tsunagari.study import processed_dir, read_table
    return Published(read_table(processed_dir(study, year) / "published/estimates.csv"))
def write_workbook(published, path):
    path.write_text(published.to_csv())
"""


@pytest.fixture(scope="module")
def steady():
    """Return what the code's state was at the start: others may edit it while tests run."""
    return pipeline.hash_environment()


@pytest.fixture
def world(monkeypatch, steady):
    """Return a function that makes a root the one in use."""
    plain = types.ModuleType("tsunagari.report")
    exec(PLAIN_REPORT, vars(plain))  # the pages are tested where they are made
    monkeypatch.setitem(sys.modules, "tsunagari.report", plain)
    monkeypatch.setattr(sys.modules["tsunagari"], "report", plain, raising=False)
    monkeypatch.setattr(pipeline, "hash_environment", lambda: steady)
    # The attack on real pages is tested in tests/data/test_canary.py.
    monkeypatch.setattr("tsunagari.attack.attack_study", lambda *_: None)

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
        run(world(make_root(first_run)))
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


def test_run_releases_four_files_then_reuses_then_reruns_what_changed(root):
    assert executed(run(root)) == list(pipeline.STEPS)
    release, processed = root / "reports/ehime/2022", root / "data/processed/ehime/2022"
    first = contents(release)
    assert sorted(first) == ["council_report.html", "estimates.csv", "manifest.json", "tables.xlsx"]
    manifest = json.loads(first["manifest.json"])
    assert manifest["parameters"]["03_describe_loneliness"]["SCALE"] == 1.0
    assert b"warned" not in first["council_report.html"]  # stderr stays out of the page
    assert b"['published']" in first["council_report.html"]  # 07 saw one zone only
    assert str(root).encode() not in b"".join(first.values())

    before = times(root / "reports") | times(processed)
    assert run(root) is None
    assert times(root / "reports") | times(processed) == before

    # 3 rows x 2.0: the figure doubles; what stands before 03 is reused.
    seconds = run(root, "SCALE=2")
    assert executed(seconds) == [
        "03_describe_loneliness",
        "04_model_factors",
        "gate",
        "07_report_council",
    ]
    assert b",6.0," in (release / "estimates.csv").read_bytes()
    compared = pipeline.compare_headlines("ehime", 2022)
    assert compared["change"].tolist() == [3.0]

    # Back again: everything as in the first release, to the byte.
    run(root)
    assert contents(release) == first
    assert not (root / "reports/ehime/.staging-2022").exists()
    assert not (root / "data/processed/ehime/.staging-2022").exists()


def test_same_inputs_give_the_same_bytes_in_another_place(root, tmp_path, monkeypatch):
    run(root)
    other = make_root(tmp_path / "elsewhere" / "日本語の場所")
    monkeypatch.setenv("TSUNAGARI_ROOT", str(other))
    monkeypatch.setenv("TZ", "America/New_York")
    run(other)
    assert contents(root / "reports/ehime/2022") == contents(other / "reports/ehime/2022")


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


def test_files_no_step_wrote_any_more_do_not_survive(root):
    source = TOYS["03_describe_loneliness"]
    write_notebook(
        root / "notebooks/04_model_factors.ipynb",
        [source[0], source[1], source[2].replace("03_describe", "04_extra")],
    )
    run(root)
    assert (root / "data/processed/ehime/2022/private/parts/04_extra.csv").exists()
    change(root, "04_model_factors", source="YEAR")
    run(root)
    assert not (root / "data/processed/ehime/2022/private/parts/04_extra.csv").exists()


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


def test_kernel_keeps_the_leading_zero(root):
    write_notebook(
        root / "notebooks/04_model_factors.ipynb",
        ["AREA: str = '1'  # code of a city", "", "assert AREA == '01100', 'lost'"],
    )
    run(root, "AREA=01100")


# --- inputs ---------------------------------------------------------------------------------------


def refused(kind, *arguments):
    """Return the one line and the exit code of the command, which must refuse."""
    done = subprocess.run(
        [sys.executable, "-m", "tsunagari.pipeline", "report", *arguments],
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


def test_an_input_that_changes_during_the_run_is_noticed(root):
    answers = root / "data/raw/ehime/2022/responses.csv"
    change(
        root, "02_weight_respondents", source=f"open({str(answers)!r}, 'a').write('2,x\\n')"
    )  # fmt: skip
    with pytest.raises(InputError) as caught:
        run(root)
    assert caught.value.code == "INPUT_CHANGED"
    assert not (root / "reports/ehime/2022").exists()


def test_manifest_names_inputs_but_not_files_beside_the_answers(root):
    (root / "data/raw/ehime/2022/田中さんの納品.csv").write_text("x")
    (root / "data/raw/ehime/recipe.yaml").write_text("n: 1")  # makes a sample, no report
    run(root)
    manifest = (root / "reports/ehime/2022/manifest.json").read_text(encoding="utf-8")
    assert "data/raw/ehime/2022/responses.csv" in manifest
    assert "田中" not in manifest
    assert "recipe" not in manifest
    (root / "data/raw/ehime/2022/田中さんの納品.csv").write_text("y")
    assert executed(run(root))[0] == "01_clean_responses"


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
        raise DisclosureError("RECOVERABLE", "推定できます。", "Can be told.")

    before = contents(released / "reports")
    monkeypatch.setattr("tsunagari.attack.attack_study", tells)
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


def test_a_survey_error_keeps_its_words_and_its_exit_code(root, capfd):
    change(
        root,
        "02_weight_respondents",
        source="from tsunagari.study import ModelError\n"
        "raise ModelError('EMPTY_CELL', 'セルが空です。', 'A cell is empty.')",
    )
    told = failure(root, ModelError, capfd)
    assert told == (
        "E-EMPTY_CELL: 02_weight_respondents [3]「集計」: セルが空です。 / A cell is empty."
    )


def test_an_error_inside_lib_names_its_line(root, capfd):
    change(
        root,
        "04_model_factors",
        source="from tsunagari.disclosure import round_half_up\n"
        f"round_half_up('{ANSWER}', decimals=1)",
    )
    assert "disclosure.py:" in failure(root, SurveyError, capfd)


def test_a_dead_kernel_is_said_to_be_dead(root, capfd):
    change(root, "02_weight_respondents", source="import os\nos.kill(os.getpid(), 9)")
    told = failure(root, KernelError, capfd)
    assert "02_weight_respondents [3]" in told


def test_leaving_a_notebook_early_is_no_success(root, capfd):
    change(root, "02_weight_respondents", cell=1, source="import sys\nsys.exit(0)")
    told = failure(root, SurveyError, capfd)
    assert "SystemExit" in told
    assert not (root / "reports/ehime/2022").exists()


def test_a_full_disk_in_a_notebook_is_a_write_error(root, capfd):
    change(
        root,
        "02_weight_respondents",
        source=f"import errno\nraise OSError(errno.ENOSPC, 'No space', '{ANSWER}')",
    )
    assert "02_weight_respondents [3]" in failure(root, WriteError, capfd)


def test_the_gate_can_stop_the_run(root, capfd):
    change(root, "03_describe_loneliness", source="YEAR")
    assert "gate" in failure(root, InputError, capfd)  # no parts: STEP_MISSING


def test_a_second_run_is_refused_and_names_the_first(root):
    with release.locked(root / "data/processed/ehime/2022"):
        with pytest.raises(LockedError) as caught:
            run(root)
    assert f"pid {os.getpid()}" in str(caught.value)
    assert executed(run(root)) == list(pipeline.STEPS)


def test_a_link_or_a_file_where_the_report_goes_is_refused(root, tmp_path):
    (root / "reports").symlink_to(tmp_path)
    with pytest.raises(WriteError):
        run(root)
    (root / "reports").unlink()
    (root / "reports").write_text("a file")
    with pytest.raises(WriteError):
        run(root)
    assert not (root / "data/processed").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused_before_anything_starts(root):
    (root / "reports").mkdir(mode=0o500)
    with pytest.raises(WriteError):
        run(root)
    assert not (root / "data/processed").exists()


# --- killed at any moment -------------------------------------------------------------------------

KILLED = f"""
import json, os, signal, sys, types
from pathlib import Path
from tsunagari import attack, notebooks, pipeline, release
attack.attack_study = lambda *_: None
plain = types.ModuleType("tsunagari.report")
exec({PLAIN_REPORT!r}, vars(plain))
sys.modules["tsunagari.report"] = plain
sys.modules["tsunagari"].report = plain
pipeline.hash_environment = lambda: json.loads(os.environ["STEADY"])
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


@pytest.mark.parametrize(
    ("place", "moment", "exchange"),
    [
        ("pipeline._run_step", 1, "yes"),
        ("pipeline._run_step", 2, "yes"),
        ("notebooks._strip", 2, "yes"),
        ("pipeline.build_release", 1, "yes"),
        ("pipeline._describe", 1, "yes"),
        ("pipeline.swap_in", 1, "yes"),
        ("pipeline.swap_in", 2, "yes"),
        ("release._exchange", 1, "yes"),
        ("release._exchange", 2, "yes"),
        ("Path.rename", 1, "no"),
        ("Path.rename", 2, "no"),
        ("Path.rename", 3, "no"),
        ("Path.rename", 4, "no"),
    ],
)
def test_killed_anywhere_the_release_is_whole_and_the_next_run_comes_through(
    released, place, moment, exchange, monkeypatch, steady
):
    monkeypatch.setenv("STEADY", json.dumps(steady))
    release = released / "reports/ehime/2022"
    before = contents(release)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, place, str(moment), exchange],
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    left = contents(release if release.exists() else release.with_name(".old-2022"))
    assert left == before
    run(released, "SCALE=2")
    assert b",6.0," in (release / "estimates.csv").read_bytes()
    hidden = [
        p.name for p in released.rglob(".*") if p.name.startswith((".staging", ".old", ".run"))
    ]
    assert hidden == []


@pytest.mark.parametrize("largest_file_bytes", [100, 1000, 6000])
def test_a_disk_that_fills_up_leaves_the_release(released, largest_file_bytes):
    before = contents(released / "reports/ehime/2022")
    limited = (
        "import os, resource, sys; from pathlib import Path; from tsunagari import pipeline\n"
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
