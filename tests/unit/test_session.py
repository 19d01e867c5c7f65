"""One study for all notebooks of JupyterLab, missing steps named, tracebacks folded."""

import os
import shutil

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from tsunagari.errors import ConfigError, LockedError
from tsunagari.run import session
from tsunagari.run.release import locked
from tsunagari.study import files
from tsunagari.study.survey import open_study

RAW = files.repository_root() / "data/raw"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Return a root of its own with the raw data, opened as JupyterLab would."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/raw").symlink_to(files.repository_root() / "data/raw")
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))
    monkeypatch.setenv("JPY_SESSION_NAME", "03_describe_loneliness.ipynb")
    return tmp_path


@pytest.mark.usefixtures("root")
def test_a_choice_opens_another_study_in_every_notebook():
    session.choose_study("ehime", 2023)
    assert session.chosen("ehime", 2022) == ("ehime", 2023)
    assert session.begin("ehime", 2022, notebook="01_clean_responses").year == 2023
    session.choose_study("ehime", 2022)
    assert session.chosen("ehime", 2022) == ("ehime", 2022)


def test_what_was_typed_or_given_to_papermill_wins_over_the_choice(root, monkeypatch):
    session.choose_study("eu-loneliness-fr", 2022)
    assert session.chosen("ehime", 2023) == ("ehime", 2023)  # typed into the notebook
    monkeypatch.setenv("TSUNAGARI_STAGING", str(root / "staging"))  # make report
    assert session.chosen("ehime", 2022) == ("ehime", 2022)
    monkeypatch.delenv("TSUNAGARI_STAGING")
    monkeypatch.delenv("JPY_SESSION_NAME")  # papermill on its own
    assert session.chosen("ehime", 2022) == ("ehime", 2022)


@pytest.mark.usefixtures("root")
def test_a_study_that_is_not_there_is_not_chosen():
    with pytest.raises(ConfigError, match="STUDY_UNKNOWN"):
        session.choose_study("ehmie", 2022)
    assert session.chosen("ehime", 2022) == ("ehime", 2022)


@pytest.mark.parametrize("torn", ["", "[1]", '{"study": "ehime"}', "{"])
def test_a_torn_choice_is_none(root, torn):
    (root / "data/processed").mkdir()
    (root / "data/processed/session.json").write_text(torn)
    assert session.chosen("ehime", 2022) == ("ehime", 2022)


@pytest.mark.usefixtures("root")
def test_steps_are_stale_where_missing_or_older_than_what_they_read():
    study = open_study("ehime", 2022)
    steps = ("01_clean_responses", "02_weight_respondents", "03_describe_loneliness")
    assert session.stale_steps(study, "05_hear_voices") == steps
    assert session.stale_steps(study, "01_clean_responses") == ()
    made = [study.processed_dir / "private" / name
            for name in ("respondents.parquet", "design.npz", "parts/03_describe.csv")]  # fmt: skip
    for second, path in enumerate(made):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (4e9 + second, 4e9 + second))
    assert session.stale_steps(study, "05_hear_voices") == ()
    os.utime(made[0], (4.1e9, 4.1e9))  # 01 was run again
    assert session.stale_steps(study, "04_model_factors") == steps[1:2]
    os.utime(made[0], (1e9, 1e9))  # older than the codebook
    assert session.stale_steps(study, "04_model_factors") == steps[:2]


def test_a_signature_makes_no_step_stale_and_a_decision_does(root):
    (root / "data/raw").unlink()
    shutil.copytree(RAW / "ehime", root / "data/raw/ehime")
    study = open_study("ehime", 2022)
    made = study.processed_dir / "private/respondents.parquet"
    made.parent.mkdir(parents=True)
    made.touch()
    os.utime(made, (4e9, 4e9))
    for name, stale in (("signoff.yaml", ()), ("decisions.csv", ("01_clean_responses",))):
        (study.wave_dir / name).touch()
        os.utime(study.wave_dir / name, (4.1e9, 4.1e9))
        assert session.stale_steps(study, "02_weight_respondents") == stale


class Shell:
    """What a notebook shows and the cell that it is offered."""

    def __init__(self) -> None:
        self.shown, self.offered = [], []

    def display(self, made) -> None:
        self.shown.append(made._repr_html_())

    def set_next_input(self, code: str) -> None:
        self.offered.append(code)


@pytest.fixture
def shell(monkeypatch):
    own = Shell()
    monkeypatch.setattr(session, "display", own.display)
    monkeypatch.setattr(session, "get_ipython", lambda: own)
    return own


@pytest.mark.usefixtures("root")
def test_a_notebook_says_which_steps_to_run_and_offers_a_cell(shell):
    session.begin("ehime", 2022, notebook="02_weight_respondents")
    assert "合成データ" in shell.shown[0] and "ehime 2022" in shell.shown[0]
    assert "01_clean_responses" in shell.shown[0]
    assert shell.offered == ['session.run_before(STUDY, YEAR, notebook="02_weight_respondents")']
    session.begin("ehime", 2022, notebook="01_clean_responses")
    assert len(shell.shown) == 2 and len(shell.offered) == 1  # no step comes before 01


def test_the_report_is_offered_where_there_is_none_or_an_input_is_newer(root, shell):
    made = root / "reports/ehime/2022/manifest.json"
    code = "from tsunagari.starting import lab\n\nlab.make_report(STUDY, YEAR)"
    assert session.begin_report("ehime", 2022) == ("ehime", 2022)
    assert shell.offered == [code] and "報告書がまだか" in shell.shown[0]
    made.parent.mkdir(parents=True)
    for changed, n_offered in ((4e9, 1), (1e9, 2)):  # after every input, and before
        made.touch()
        os.utime(made, (changed, changed))
        session.begin_report("ehime", 2022)
        assert len(shell.offered) == n_offered


def test_a_report_under_way_is_offered_nothing(shell, monkeypatch, tmp_path):
    monkeypatch.setenv("TSUNAGARI_ROOT", str(tmp_path))  # as notebook 07 sees it: no data/raw
    monkeypatch.setenv("TSUNAGARI_STAGING", str(tmp_path))
    assert session.begin_report("ehime", 2022) == ("ehime", 2022)
    assert shell.shown == shell.offered == []


@pytest.mark.usefixtures("root")
def test_steps_are_not_run_while_a_report_is_being_made():
    study = open_study("ehime", 2022)
    with locked(study.processed_dir), pytest.raises(LockedError) as caught:
        session.run_before("ehime", 2022, notebook="02_weight_respondents")
    assert "。" in caught.value.ja


def test_an_error_shows_its_sentence_and_folds_the_traceback_once():
    shell = InteractiveShell.instance()
    with capture_output() as told:
        shell.run_cell("from tsunagari.study.survey import open_study\nopen_study('<b>', 2022)")
    InteractiveShell.clear_instance()
    (fold,) = [each.data["text/html"] for each in told.outputs]
    assert fold.startswith("<details><summary>") and "Traceback" in fold and "<b>" not in fold
    assert "調査「<b>」はありません" in told.stdout and "Traceback" not in told.stdout
