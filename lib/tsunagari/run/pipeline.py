"""Which notebooks make a report, what may be reused, and when does a release stand whole?"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from tsunagari.errors import ConfigError, InputError, SurveyError, WriteError
from tsunagari.estimates import is_kind
from tsunagari.run.notebooks import (
    KERNEL_ENVIRONMENT,
    PACKAGE,
    Cell,
    Progress,
    blame,
    environment,
    explain_exception,
    quicken_imports,
    read_notebook,
    resolve_parameters,
    run_notebook,
)
from tsunagari.run.release import (
    check_limits,
    check_writable,
    discard,
    locked,
    recover,
    staging,
    swap_in,
)
from tsunagari.study import files
from tsunagari.study.files import read_json
from tsunagari.study.survey import Study, open_study

GATE = "gate"  # the step between microdata and pages; Python, not a notebook
REPORT = "07_report_council"
PROGRAMMES = "06_track_programmes"
SURVEY = (
    "01_clean_responses",
    "02_weight_respondents",
    "03_describe_loneliness",
    "04_model_factors",
    "05_hear_voices",
)
STEPS = (*SURVEY, GATE, REPORT)  # of a survey without records of programmes
RELEASED = (
    "council_report.html",
    "appendix.html",
    "summary_en.html",
    "estimates.csv",
    "tables.xlsx",
)
FINDER = "resource_finder.html"  # and this, where a study lists who helps
MANIFEST = "manifest.json"  # of them

SIGNOFF = "signoff.yaml"  # what a reviewer says of a finished release
NO_INPUT = (SIGNOFF, "recipe.yaml")  # and what makes a sample

_RECORDS = "private/steps.json"
_LAST = "private/last_release.csv"  # estimates of the last release that differed
_NOTEBOOKS = "private/notebooks"


def steps_of(study: Study) -> tuple[str, ...]:
    """Return a wave's steps: a survey's where people were asked, 06 where there are records."""
    survey = SURVEY if study.has_survey else ()
    programmes = (PROGRAMMES,) if study.records_dir.is_dir() else ()
    return (*survey, *programmes, GATE, REPORT)


# --- what a result depends on ---------------------------------------------------------------------


def _digest(thing: Any) -> str:
    """Return the sha256 of a file's bytes, or of anything else as JSON."""
    if isinstance(thing, Path):
        with thing.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    text = json.dumps(thing, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _files(folder: Path) -> dict[str, Path]:
    """Return all files below a folder by relative name, without hidden and temporary ones."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in found}
    return {name: path for name, path in names.items() if not re.search(r"(^|/)(\.|~\$)", name)}


def hash_inputs(study: Study) -> dict[str, str]:
    """Return a hash of every input of a wave's report, by its name under the root.

    What describes the study, and the synthetic sample, has its sha256. Answers and whatever lies
    beside them have an HMAC: a plain hash would confirm a guess at the one value that somebody does
    not know. Answers are named as study.yaml calls them, `responses`; other files (decisions by
    hand, records) count together under one name: what the analyst called them is nobody's business.
    """
    root = files.repository_root()
    benchmark = study.config.benchmark if study.has_survey else None
    named = {
        "study.yaml",
        "codebook.csv",
        "texts.yaml",
        "texts_en.yaml",
        "themes.yaml",
        "population_municipalities.csv",
    }
    if study.has_survey:
        weighting = study.config.weighting
        named |= {weighting.targets, *(one.targets for one in weighting.margins)}
        named |= {*weighting.other_targets.values()}
    waves = [study] + ([study.previous] if study.previous else [])
    public = [path for path in study.raw_dir.iterdir() if path.is_file() and path.name in named]
    public += (root / "data/raw" / benchmark.table).glob("*.csv") if benchmark else ()
    public += [wave.responses_path for wave in waves if wave.is_synthetic]
    hashes = {path.relative_to(root).as_posix(): _digest(path) for path in public}
    private: dict[str, dict[str, str]] = {}
    for folder in (study.raw_dir, *(wave.wave_dir for wave in waves)):
        for name, path in _files(folder).items():
            wave = next((w for w in waves if w.wave_dir == folder), None)
            answers = wave.responses_path if wave and wave.has_survey else None
            if path in public or name in NO_INPUT or (wave is None and "/" in name):
                continue
            group = f"responses{path.suffix}" if path == answers else "*"
            group = f"{folder.relative_to(root).as_posix()}/{group}"
            private.setdefault(group, {})[name] = _digest(path)
    for group, hashed in private.items():
        hashes[group] = hmac.digest(_secret(root), _digest(hashed).encode(), "sha256").hex()
    return dict(sorted(hashes.items()))


def _secret(root: Path) -> bytes:
    """Return the key of the hashes of answers: random, made once, never released."""
    path = root / "data/processed/input.key"
    if not (path.is_file() and re.fullmatch(b"[0-9a-f]{64}", path.read_bytes())):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}-{os.getpid()}")
        new.touch(mode=0o600)
        new.write_text(secrets.token_hex(32), encoding="ascii")
        new.replace(path)
    return path.read_bytes()


def hash_environment() -> dict[str, Any]:
    """Return what else a result depends on: own code, locked and installed packages, fonts."""
    package = _files(PACKAGE)
    lock = PACKAGE.parents[1] / "requirements.lock"
    return {
        "code": _digest({n: _digest(p) for n, p in package.items() if not n.endswith(".pyc")}),
        "lock": _digest(lock) if lock.exists() else None,
        "python": platform.python_version(),
        "packages": _packages(),
        "fonts": _fonts(),
    }


@cache
def _packages() -> dict[str, str]:
    """Return the installed version of everything that pyproject.toml asks for."""
    wanted = [re.match(r"[\w.-]+", one) for one in importlib.metadata.requires("tsunagari") or ()
              if "extra ==" not in one]  # fmt: skip
    return {name.group(): importlib.metadata.version(name.group()) for name in wanted if name}


@cache
def _fonts() -> str:
    spec = importlib.util.find_spec("matplotlib_fontja")
    files = _files(Path(spec.origin).parent) if spec and spec.origin else {}
    return _digest({n: _digest(path) for n, path in files.items() if n.endswith(("ttf", "otf"))})


# --- one run --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One report under way: what it is made from and where it grows.

    Attributes:
        root: Folder that holds data/ and reports/, absolute.
        study: The wave.
        notebooks: Cells of every notebook.
        sources: File of every notebook.
        parameters: Values of every notebook's parameters.
        inputs: sha256 of every input.
        environment: Code, packages and fonts.
    """

    root: Path
    study: Study
    notebooks: dict[str, tuple[Cell, ...]]
    sources: dict[str, Path]
    parameters: dict[str, dict[str, Any]]
    inputs: dict[str, str]
    environment: dict[str, Any]

    @property
    def processed(self) -> Path:
        """Results of the last run that came through."""
        return self.root / "data/processed" / self.study.name / str(self.study.year)

    @property
    def staging(self) -> Path:
        """Where results grow until the whole run has come through."""
        return staging(self.processed)

    @property
    def release(self) -> Path:
        """The released report."""
        return self.root / "reports" / self.study.name / str(self.study.year)

    @property
    def release_staging(self) -> Path:
        """The next release until it is swapped in."""
        return staging(self.release)

    @property
    def run_id(self) -> str:
        """Short name of everything this run is made from."""
        notebooks = {
            step: _digest([vars(c) for c in cells]) for step, cells in self.notebooks.items()
        }
        return _digest([self.inputs, self.environment, notebooks, self.parameters])[:16]

    def key(self, step: str, records: dict[str, Any]) -> str:
        """Return the hash of all that a step depends on, the outputs of earlier steps included."""
        # The page's notebook is shown published/ alone; the others may read whatever came before.
        earlier = {
            name: sha
            for record in records.values()
            for name, sha in record["outputs"].items()
            if not name.startswith(_NOTEBOOKS) and (step != REPORT or name.startswith("published/"))
        }
        source = [vars(cell) for cell in self.notebooks.get(step, ())]
        archive = _files(self.processed.parent / "releases") if step == GATE else {}
        signed = {name: _digest(path) for name, path in archive.items()}
        own = [step, source, self.parameters.get(step), earlier, signed]
        return _digest([own, self.inputs, self.environment, KERNEL_ENVIRONMENT])


def prepare(
    name: str, year: int, *, given: Sequence[str] = (), notebooks: Path | None = None
) -> Run:
    """Check study, parameters and inputs before anything starts.

    Args:
        name: Study, a folder under data/raw.
        year: Survey wave.
        given: NAME=VALUE for notebooks' parameters.
        notebooks: Folder of the notebooks; the repository's own unless a test brings others.

    Raises:
        ConfigError: A mistake in the study file, the codebook, a notebook or a parameter.
        InputError: A file is missing or empty.
        KernelError: The shell allows too little memory or too few files.
        WriteError: Nothing can be written where results belong, or the release folder holds a file
            that is not ours.
    """
    check_limits()
    study = open_study(name, year)
    folder = notebooks or PACKAGE.parents[1] / "notebooks"
    sources = {step: folder / f"{step}.ipynb" for step in steps_of(study) if step != GATE}
    cells = {step: read_notebook(path) for step, path in sources.items()}
    parameters = resolve_parameters(cells, given, study=study)
    _check_inputs(study)
    root = files.repository_root().resolve()
    for zone in ("data/processed", "reports"):
        check_writable(root / zone / name / str(year), root=root)
    _check_foreign(root / "reports" / name / str(year))
    return Run(
        root=root,
        study=study,
        notebooks=cells,
        sources=sources,
        parameters=parameters,
        inputs=hash_inputs(study),
        environment=hash_environment(),
    )


def _check_foreign(release: Path) -> None:
    """Refuse to replace a release folder that holds a file of the analyst's own."""
    if foreign := sorted({*_files(release)} - {*RELEASED, FINDER, MANIFEST}):
        place, names = "/".join(release.parts[-3:]), ", ".join(foreign)
        raise WriteError("RELEASE_FOREIGN", place=place, names=names)


def _check_inputs(study: Study) -> None:
    if not study.has_survey:
        return  # what records there are is read and judged by notebook 06
    waves = [study] + ([study.previous] if study.previous else [])
    weighting = study.config.weighting
    targets = [weighting.targets, *(margin.targets for margin in weighting.margins)]
    called = {wave.responses_path: wave.wave_dir / "responses" for wave in waves}
    for path in [*called, *(study.raw_dir / name for name in targets if name)]:
        if not path.is_file() or path.stat().st_size == 0:
            place = called.get(path, path).relative_to(files.repository_root())
            raise InputError("FILE_EMPTY" if path.is_file() else "FILE_MISSING", place=place)


# --- running the steps ----------------------------------------------------------------------------


def make_steps(run: Run, *, scratch: Path, force: bool = False) -> dict[str, float | None]:
    """Bring the staging folder to the state after the last step, reusing what is unchanged.

    Args:
        run: The run.
        scratch: Private folder for the kernels' own files.
        force: Run every step again.

    Returns:
        Seconds of every step, None where its last result was reused.
    """
    known = {} if force else read_json(run.staging / _RECORDS)
    last = {} if force else read_json(run.processed / _RECORDS)
    records: dict[str, Any] = {}
    steps = steps_of(run.study)
    first = _is_intact(known.get(steps[0]), key=run.key(steps[0], {}), folder=run.staging)
    if run.staging.is_symlink() or not first:
        discard(run.staging)
    files.stamp_wave(run.staging, name=run.study.name, year=run.study.year)
    seconds: dict[str, float | None] = {}
    sizes = {step: len(run.notebooks.get(step, "1")) for step in steps}
    with contextlib.closing(Progress(sizes)) as progress:
        for step in steps:
            began, seconds[step] = time.monotonic(), None
            key = run.key(step, records)
            if _is_intact(known.get(step), key=key, folder=run.staging):
                records[step] = known[step]
            else:
                _prune(run.staging, records)
                if _is_intact(last.get(step), key=key, folder=run.processed):
                    records[step] = last[step]
                    for name in last[step]["outputs"]:
                        (run.staging / name).parent.mkdir(parents=True, exist_ok=True)
                        shutil.copyfile(run.processed / name, run.staging / name)
                else:
                    outputs = _run_step(run, step, scratch=scratch, progress=progress)
                    records[step] = {"key": key, "outputs": outputs}
                    seconds[step] = time.monotonic() - began
            progress.finish(step, seconds[step])
            files.write_table(run.staging / _RECORDS, records)
    return seconds


def _is_intact(record: Any, *, key: str, folder: Path) -> bool:
    outputs = _outputs(record)
    return (
        bool(outputs)
        and record["key"] == key
        and all(
            (folder / name).is_file() and _digest(folder / name) == sha
            for name, sha in outputs.items()
        )
    )


def _outputs(record: Any) -> dict[str, str]:
    """Return the outputs of a step's record; none where it has another shape than ours."""
    outputs = record.get("outputs") if isinstance(record, dict) and "key" in record else None
    return outputs if isinstance(outputs, dict) else {}


def _prune(folder: Path, records: dict[str, Any]) -> None:
    """Delete what no finished step has written, so that no old result is taken for a new one."""
    kept = {_RECORDS, files.STAMP, *(name for one in records.values() for name in one["outputs"])}
    for path in folder.rglob("*"):
        is_kept = path.relative_to(folder).as_posix() in kept
        if path.is_symlink() or (path.is_file() and not is_kept):
            path.unlink()


def _run_step(run: Run, step: str, *, scratch: Path, progress: Progress) -> dict[str, str]:
    """Run one step and return the sha256 of every file it wrote, by name."""
    before = set(_files(run.staging))
    run.staging.joinpath(_NOTEBOOKS).mkdir(parents=True, exist_ok=True)
    run.staging.chmod(0o700)
    zone = {"TSUNAGARI_ROOT": str(run.root), "TSUNAGARI_STAGING": str(run.staging)}
    if step == REPORT:
        # The page's notebook sees a root that holds published/ and nothing else.
        view = scratch / "published_only"
        shutil.copytree(run.staging / "published", view / "published", dirs_exist_ok=True)
        zone = {"TSUNAGARI_ROOT": str(view), "TSUNAGARI_STAGING": str(view)}
    progress.start(step)
    with environment(KERNEL_ENVIRONMENT | zone):
        if step == GATE:
            from tsunagari.gate import publish

            with blame(step):
                publish.publish(run.study)
        else:
            run_notebook(
                run.sources[step],
                run.staging / _NOTEBOOKS / f"{step}.ipynb",
                values=run.parameters[step],
                scratch=scratch,
                progress=progress,
            )
    if hash_inputs(run.study) != run.inputs or hash_environment() != run.environment:
        raise InputError("INPUT_CHANGED.run_step")
    made = {name: path for name, path in _files(run.staging).items() if name not in before}
    return {name: _digest(path) for name, path in made.items()}


# --- the release ----------------------------------------------------------------------------------


def build_release(run: Run) -> None:
    """Write the files of a release beside the last one, and attack them.

    Raises:
        DisclosureError: A hidden value can be told from them, or a number did not pass the gate.
    """
    quicken_imports()

    from tsunagari.report import page, published, workbook
    from tsunagari.run import signoff

    folder = run.release_staging
    discard(folder)
    folder.mkdir(parents=True)
    with (
        environment(KERNEL_ENVIRONMENT | {"TSUNAGARI_STAGING": str(run.staging)}),
        blame("report"),
    ):
        notebook = nbformat.read(run.staging / _NOTEBOOKS / f"{REPORT}.ipynb", as_version=4)
        rows = published.read_published(run.study.name, run.study.year)
        for name, html in page.export_html(notebook, is_synthetic=rows.is_synthetic).items():
            (folder / name).write_text(html, encoding="utf-8", newline="\n")
        workbook.write_workbook(rows, folder / "tables.xlsx")
    shutil.copyfile(run.staging / "published/estimates.csv", folder / "estimates.csv")
    if (made := run.staging / "published" / FINDER).exists():
        shutil.copyfile(made, folder / FINDER)
    files.write_table(folder / MANIFEST, _describe(run))
    signoff.seal_manifest(folder / MANIFEST)
    try:
        with environment({"TSUNAGARI_STAGING": str(run.staging)}), blame("attack"):
            signoff.attack_study(run.study, folder)
    except SurveyError:
        shutil.rmtree(folder)  # what failed the attack lies about nowhere
        raise
    # The very release that was signed stays signed when it is made again.
    if read_json(run.release / MANIFEST).get("signoff") == signoff.hash_release(folder):
        _lift_mark(folder)


def _lift_mark(folder: Path) -> None:
    """Make of a release its signed edition, whose manifest holds the hash that was signed."""
    from tsunagari.report import edition
    from tsunagari.run import signoff

    signed = signoff.hash_release(folder)
    edition.lift_mark(folder)
    outputs = _digests(folder)
    manifest = read_json(folder / MANIFEST) | {"signoff": signed, "outputs": outputs}
    files.write_table(folder / MANIFEST, manifest)
    signoff.seal_manifest(folder / MANIFEST)


def _digests(folder: Path) -> dict[str, str]:
    names = [name for name in (*RELEASED, FINDER) if (folder / name).exists()]
    return {name: _digest(folder / name) for name in names}


def _describe(run: Run) -> dict[str, Any]:
    """Return the manifest: no time, no path of this machine, no user."""
    from tsunagari.report.edition import UNSIGNED

    estimates = files.read_table(run.release_staging / "estimates.csv")
    ledger = estimates[is_kind(estimates, "ledger") & (estimates["measure"] == "count")]
    counts = ledger.set_index("item_value")["estimate"]
    return {
        "manifest": "",  # its own hash, see attack.seal_manifest
        "run_id": run.run_id,
        "study": run.study.name,
        "year": run.study.year,
        "synthetic_inputs": read_json(run.staging / "published/about.json")["synthetic_inputs"],
        "signoff": UNSIGNED,  # or the hash that was signed
        "rows": {name: None if pd.isna(n) else int(n) for name, n in counts.items()},
        "parameters": run.parameters,
        "inputs": run.inputs,
        "environment": run.environment,
        "outputs": _digests(run.release_staging),
    }


def is_released(run: Run) -> bool:
    """Whether results and release are both whole and made from exactly this run's inputs."""
    records, kept = read_json(run.processed / _RECORDS), {}
    for step in steps_of(run.study):
        if not _is_intact(records.get(step), key=run.key(step, kept), folder=run.processed):
            return False
        kept[step] = records[step]
    manifest = read_json(run.release / MANIFEST)
    paths = list(run.release.iterdir()) if manifest.get("run_id") == run.run_id else []
    if any(path.is_symlink() or not path.is_file() for path in paths):
        return False
    found = {path.name: _digest(path) for path in paths if path.name != MANIFEST}
    return bool(found) and found == manifest.get("outputs")


def make_report(
    name: str,
    year: int,
    *,
    given: Sequence[str] = (),
    notebooks: Path | None = None,
    force: bool = False,
) -> dict[str, float | None] | None:
    """Make one report from raw answers to released files.

    Args:
        name: Study, a folder under data/raw.
        year: Survey wave.
        given: NAME=VALUE for notebooks' parameters.
        notebooks: Folder of the notebooks, for tests.
        force: Run every step again.

    Returns:
        Seconds of every step (None: reused), or None when everything was up to date.

    Raises:
        SurveyError: What went wrong, in a sentence; the last release is as it was.
    """
    run = prepare(name, year, given=given, notebooks=notebooks)
    with locked(run.processed) as scratch:
        for target in (run.processed, run.release):
            recover(target)
        discard(run.release_staging)  # a last release may have stayed there
        if not force and is_released(run):
            discard(run.staging)
            return None
        seconds = make_steps(run, scratch=scratch, force=force)
        began = time.monotonic()
        build_release(run)
        _keep_last(run)
        swap_in(run.processed)
        swap_in(run.release)
        return seconds | {"release": time.monotonic() - began}


def _keep_last(run: Run) -> None:
    """Keep what the analyst put beside the last results, and the last release's figures for `diff`.

    Notes, the quota sheet: all that no step has written.
    """
    made = {_RECORDS, files.STAMP, _LAST}
    made.update(*(_outputs(record) for record in read_json(run.processed / _RECORDS).values()))
    own = {name: path for name, path in _files(run.processed).items() if name not in made}
    old, new = run.release / "estimates.csv", run.staging / "published/estimates.csv"
    is_other = old.exists() and _digest(old) != _digest(new)
    own[_LAST] = old if is_other else run.processed / _LAST
    for name, path in own.items():
        target = run.staging / name
        if path.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)


def compare_headlines(name: str, year: int) -> pd.DataFrame:
    """Return the headline figures that differ from those of the last release that differed.

    Returns:
        One row a figure that moved, came or went (NaN on the side that lacks it): here, last and
        change, indexed by measure, domain and item.
    """
    study = open_study(name, year)
    here_path = study.processed_dir / "published/estimates.csv"
    here = files.read_table(here_path)
    last_path = files.release_dir(name, year) / "estimates.csv"
    kept = study.processed_dir / _LAST
    if kept.exists() and last_path.exists() and _digest(last_path) == _digest(here_path):
        last_path = kept
    last = files.read_table(last_path)
    keys = ["measure", "domain", "domain_value", "item", "item_value"]
    columns = [
        table[table["table_id"] == "headline"].set_index(keys)["estimate"].rename(title)
        for title, table in (("here", here), ("last", last))
    ]
    both = pd.concat(columns, axis="columns")
    is_same = (both["here"] == both["last"]) | both.isna().all(axis="columns")
    return both.assign(change=both["here"] - both["last"])[~is_same]


def release_report(name: str, year: int) -> dict[str, str]:
    """Verify a release, attack it once more and put its reviewer's sign-off on record.

    Args:
        name: Study, a folder under data/raw.
        year: Survey wave.

    Returns:
        The sign-off: reviewer, date, hash, data.

    Raises:
        InputError: There is no report to sign.
        DisclosureError: The release was changed or tells a hidden cell, or the sign-off is not of
            this release.
    """
    from tsunagari.run import signoff

    study, folder = open_study(name, year), files.release_dir(name, year)
    if not (folder / MANIFEST).is_file():
        raise InputError("RELEASE_MISSING", name=name, year=year)
    with locked(study.processed_dir):
        signoff.verify_release(study, folder, is_signing=True)
        signed = signoff.sign_release(study, folder)
        if signoff.reviewed_hash(folder) == signoff.hash_release(folder):
            discard(staging(folder))
            shutil.copytree(folder, staging(folder))
            _lift_mark(staging(folder))
            swap_in(folder)
        return signed


def print_report(name: str, year: int) -> Path:
    """Print a release as PDFs, in a folder beside it: they are not the same bytes twice.

    Raises:
        InputError: There is no report to print.
        DisclosureError: The release was changed.
        KernelError: There is no Chromium; see `print_release`.
    """
    from tsunagari.report import pdf
    from tsunagari.run import signoff

    study, folder = open_study(name, year), files.release_dir(name, year)
    if not (folder / MANIFEST).is_file():
        raise InputError("RELEASE_MISSING", name=name, year=year)
    target = folder.with_name(f"{year}-pdf")
    with locked(study.processed_dir):
        signoff.check_unchanged(folder)
        discard(staging(target))
        pdf.print_release(folder, staging(target))
        swap_in(target)
    return target


def verify_report(folder: Path) -> None:
    """Recompute the hashes of any release folder, however old, and attack it again.

    Args:
        folder: Release folder, such as reports/ehime/2022 or a copy that was handed out.

    Raises:
        InputError: It is no release.
        DisclosureError: A file was changed, or a hidden value can be told.
    """
    from tsunagari.run import signoff

    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest.get("study"), str) or not isinstance(manifest.get("year"), int):
        raise InputError("RELEASE_MISSING.verify_report", name=folder.name)
    signoff.verify_release(open_study(manifest["study"], manifest["year"]), folder)


# --- command line ---------------------------------------------------------------------------------


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tsunagari.run.pipeline", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, words in (
        ("report", "make one report / レポートを作る"),
        ("diff", "headline figures here against the last release / 主な数値を前回と比べる"),
        ("release", "put a reviewer's sign-off on record / 確認者の承認を記録する"),
        ("pdf", "print the report / 印刷用の PDF を作る"),
    ):
        one = commands.add_parser(command, help=words, description=words)
        one.add_argument("--study", required=True, help="folder under data/raw")
        one.add_argument("--year", required=True, help="survey wave, four digits")
        if command == "report":
            one.add_argument("-p", dest="given", action="append", default=[], metavar="NAME=VALUE")
            one.add_argument("--force", action="store_true", help="run every step again")
    words = "recompute the hashes of a release and attack it again / 公表物を検証する"
    verify = commands.add_parser("verify", help=words, description=words)
    verify.add_argument("folder", type=Path, help="such as reports/ehime/2022")
    return parser.parse_args(arguments)


def _report(options: argparse.Namespace, year: int, *, notebooks: Path | None) -> None:
    name = options.study
    if not open_study(name, year).has_survey:
        print(
            "調査がないため、手順 01〜04 は行いません。 / No survey: steps 01 to 04 are left out.",
            file=sys.stderr,
        )
    seconds = make_report(name, year, given=options.given, notebooks=notebooks, force=options.force)
    page = f"reports/{name}/{year}/council_report.html"
    if seconds is None:
        print(f"最新です。何も変えていません。 / Up to date, nothing was touched: {page}")
        return
    spent = ", ".join(f"{step} {time_:.1f} s" for step, time_ in seconds.items() if time_)
    print(f"できました / done: {page}\n{spent}")


_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _stop(number: int, _frame: Any) -> None:
    """End a run as Ctrl-C does, cleared away and in words; whoever asks twice changes nothing."""
    for one in _STOPS:
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def main(arguments: Sequence[str] | None = None, *, notebooks: Path | None = None) -> int:
    """Run the command line and return its exit code; `notebooks` is for tests."""
    options = _parse_arguments(arguments)
    for one in _STOPS:
        if signal.getsignal(one) is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(one, _stop)
    try:
        _run_command(options, notebooks=notebooks)
        return 0
    except SurveyError as error:
        failure, code = error, error.exit_code
    except KeyboardInterrupt as stop:
        failure = SurveyError("STOPPED")
        code = 128 + (stop.args or _STOPS)[0]  # as a shell counts
    except Exception as error:
        failure = explain_exception(options.command, error)
        code = failure.exit_code
    print(" ".join(str(failure).split()), file=sys.stderr)
    return code


def _run_command(options: argparse.Namespace, *, notebooks: Path | None) -> None:
    if options.command == "verify":
        verify_report(options.folder)
        print(f"検証しました / verified: {options.folder}")
        return
    if not re.fullmatch("[0-9]{4}", options.year):
        raise ConfigError("YEAR")
    year = int(options.year)
    if options.command == "report":
        _report(options, year, notebooks=notebooks)
    elif options.command == "release":
        signed = release_report(options.study, year)
        print(f"承認を記録しました / signed: {signed['reviewer']}, {signed['date']}")
    elif options.command == "pdf":
        place = "/".join(print_report(options.study, year).parts[-3:])
        print(f"できました / done: {place}")
    else:
        moved = compare_headlines(options.study, year)
        print("動いた数はありません。 / Nothing moved." if moved.empty else moved.to_string())


if __name__ == "__main__":
    sys.exit(main())
