"""Which study do the notebooks of this session open, and are the steps before a notebook done?"""

from __future__ import annotations

import os
from pathlib import Path

from IPython import get_ipython
from IPython.display import display

from tsunagari.report.shown import SHOWN, Shown, stamp_of, told
from tsunagari.study.files import read_json, release_dir, repository_root, write_table
from tsunagari.study.survey import Study, open_study

DEFAULT = ("ehime", 2022)  # what the notebooks come with; a choice stands in for it alone
_WORDS = SHOWN["session"]
# What each step leaves for the next ones, and how many of these a notebook reads.
_MADE = {
    "01_clean_responses": "respondents.parquet",
    "02_weight_respondents": "design.npz",
    "03_describe_loneliness": "parts/03_describe.csv",
}
_READS = {"01": 0, "02": 1, "03": 2, "04": 2, "05": 3, "06": 3}


def _choice() -> Path:
    return repository_root() / "data/processed/session.json"


def choose_study(name: str, year: int) -> Shown:
    """Open a study in all notebooks of JupyterLab from now on, until another is chosen.

    Args:
        name: Folder under data/raw.
        year: Survey wave, four digits.

    Raises:
        ConfigError: There is no such study or wave, or it has a mistake.
    """
    study = open_study(name, year)
    write_table(_choice(), {"study": name, "year": year})
    return Shown((told(_WORDS["chosen"].format(title=study.config.title, name=name, year=year)),))


def chosen(name: str, year: int) -> tuple[str, int]:
    """Return the study and wave that a notebook opens.

    A choice counts in JupyterLab alone, which names the session to its kernels, and only where the
    parameters are those that the notebook came with: papermill, `make report` and whoever typed
    other values get what they asked for.
    """
    known = read_json(_choice())
    is_lab = "JPY_SESSION_NAME" in os.environ and "TSUNAGARI_STAGING" not in os.environ
    if not is_lab or (name, year) != DEFAULT or {*known} != {"study", "year"}:
        return name, year
    return known["study"], known["year"]


def begin(name: str, year: int, *, notebook: str) -> Study:
    """Open the study of a notebook, show which it is, and say which earlier steps are to be run.

    Args:
        name: STUDY of the notebook.
        year: YEAR of the notebook.
        notebook: Its name, such as "03_describe_loneliness".

    Raises:
        ConfigError: There is no such study or wave, or it has a mistake.
    """
    study = open_study(*chosen(name, year))
    lines = []
    if "TSUNAGARI_STAGING" not in os.environ:
        lines = [_WORDS["other"]]
        if steps := stale_steps(study, notebook):
            lines += [_WORDS["stale"].format(steps="、".join(steps))]
            _offer(f'session.run_before(STUDY, YEAR, notebook="{notebook}")')
    _say(study, *lines)
    return study


def begin_report(name: str, year: int) -> tuple[str, int]:
    """Return the study and wave whose report is shown, and say whether it is to be made.

    Args:
        name: STUDY of the notebook.
        year: YEAR of the notebook.

    Raises:
        ConfigError: There is no such study or wave, or it has a mistake.
    """
    if "TSUNAGARI_STAGING" in os.environ:  # where a report is made, there is no study to open
        return name, year
    study = open_study(*chosen(name, year))
    lines, made = [_WORDS["other"]], release_dir(study.name, study.year) / "manifest.json"
    if not made.exists() or made.stat().st_mtime_ns < _last_input(study):
        lines += [_WORDS["no_report"]]
        _offer("from tsunagari.starting import lab\n\nlab.make_report(STUDY, YEAR)")
    _say(study, *lines)
    return study.name, study.year


def _say(study: Study, *lines: str) -> None:
    title = _WORDS["open"].format(title=study.config.title, name=study.name, year=study.year)
    display(Shown((told(f"{stamp_of(study)} {title}".strip(), *lines),)))


def _offer(code: str) -> None:
    """Put a cell with this code below the one that runs; JupyterLab does, papermill does not."""
    if (shell := get_ipython()) is not None:
        shell.set_next_input(code)


def stale_steps(study: Study, notebook: str) -> tuple[str, ...]:
    """Return the steps before a notebook that have not run since what they read last changed.

    As make does, by the time of files: inputs, then what each step leaves for the next.
    """
    if not study.has_survey:
        return ()
    last = _last_input(study)
    steps = tuple(_MADE)[: _READS.get(notebook[:2], 0)]
    for place, step in enumerate(steps):
        made = study.processed_dir / "private" / _MADE[step]
        if not made.exists() or made.stat().st_mtime_ns < last:
            return steps[place:]
        last = made.stat().st_mtime_ns
    return ()


def _last_input(study: Study) -> int:
    """Return when the last of a wave's inputs was changed, in nanoseconds."""
    waves = [study] + ([study.previous] if study.previous else [])
    folders = [study.raw_dir, *(f for wave in waves for f in (wave.wave_dir, wave.records_dir))]
    inputs = [path for folder in folders for path in folder.glob("*") if path.is_file()]
    return max(path.stat().st_mtime_ns for path in inputs if path.name != "signoff.yaml")


def run_before(name: str, year: int, *, notebook: str) -> Shown:
    """Run the steps before a notebook that are missing or out of date, as `make report` would.

    Args:
        name: STUDY of the notebook.
        year: YEAR of the notebook.
        notebook: Its name.

    Raises:
        LockedError: A report of this wave is being made.
        SurveyError: A step failed; the sentence names notebook, cell and cause.
    """
    study = open_study(*chosen(name, year))
    steps = stale_steps(study, notebook)
    if not steps:
        return Shown((told(_WORDS["fresh"]),))
    # Imported here: papermill takes a second, and a notebook that is up to date needs none of it.
    from tsunagari.run import pipeline
    from tsunagari.run.notebooks import KERNEL_ENVIRONMENT, Progress, environment, run_notebook
    from tsunagari.run.release import locked

    run = pipeline.prepare(study.name, study.year)
    kept = study.processed_dir / "private/notebooks"
    staging = {"TSUNAGARI_STAGING": str(study.processed_dir)}
    with locked(run.processed) as scratch:
        kept.mkdir(parents=True, exist_ok=True)
        for step in steps:
            progress = Progress({step: 1})
            progress.start(step)
            with environment(KERNEL_ENVIRONMENT | {"TSUNAGARI_ROOT": str(run.root)} | staging):
                run_notebook(
                    run.sources[step],
                    kept / f"{step}.ipynb",
                    values=run.parameters[step],
                    scratch=scratch,
                    progress=progress,
                )
    return Shown((told(_WORDS["ran"].format(steps="、".join(steps))),))
