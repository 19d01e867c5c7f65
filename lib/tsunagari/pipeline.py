"""Which notebooks make a report, what may be reused, and when does a release stand whole?"""

from __future__ import annotations

import argparse
import ast
import contextlib
import ctypes
import difflib
import errno
import hashlib
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from tsunagari import study as studies
from tsunagari.study import (
    ConfigError,
    InputError,
    KernelError,
    LockedError,
    Study,
    SurveyError,
    WriteError,
)

GATE = "gate"  # the step between microdata and pages; Python, not a notebook
REPORT = "07_report_council"
STEPS = (
    "01_clean_responses",
    "02_weight_respondents",
    "03_describe_loneliness",
    "04_model_factors",
    GATE,
    REPORT,
)
RELEASED = ("council_report.html", "estimates.csv", "tables.xlsx")  # and manifest.json

# The same bytes on every machine: no random hashes, one thread, one clock, one language.
KERNEL_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TZ": "Asia/Tokyo",
    "LC_ALL": "C.UTF-8",
    "SOURCE_DATE_EPOCH": "315532800",  # 1980-01-01, the earliest time a zip file can hold
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this environment, not one of the user's own
}
LONGEST_SOCKET_FOLDER = 45  # characters; a socket's whole path may have 103

_RECORDS = "private/steps.json"
_NOTEBOOKS = "private/notebooks"
_SECRET = re.compile("token|key|password|secret", re.IGNORECASE)
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


# --- notebooks and their parameters ---------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One cell of a notebook's source."""

    kind: str
    source: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell.

    The comment may end with what is allowed: `[1 .. 20]` is a range, both ends included, and
    `[a | b]` a choice.
    """

    name: str
    kind: str
    default: Any
    comment: str

    @property
    def allowed(self) -> str:
        """What is allowed, as the comment says it; else the type."""
        found = re.search(r"\[([^\[\]]+(?:\.\.|\|)[^\[\]]+)\]\s*$", self.comment)
        return found.group(1).strip() if found else self.kind

    def parse(self, text: str) -> Any:
        """Return a value typed on the command line in this parameter's type.

        Raises:
            ConfigError: It has another type or is out of range. What was typed is not repeated.
        """
        try:
            value = _PARSERS[self.kind](text)
            is_allowed = self._allows(value, text)
        except (KeyError, ValueError):
            is_allowed = False
        if not is_allowed:
            raise ConfigError(
                "PARAMETER",
                f"パラメーター {self.name} の値が使えません。使えるのは {self.kind}: "
                f"{self.allowed}（{self.comment}）。",
                f"The value of parameter {self.name} is not allowed; "
                f"allowed is {self.kind}: {self.allowed}.",
            )
        return value

    def _allows(self, value: Any, text: str) -> bool:
        if self.kind == "str" and re.search(r"[/\\\x00-\x1f]|\.\.", text):
            return False  # a name, never a way to another folder
        if "|" in self.allowed:
            return text in [choice.strip() for choice in self.allowed.split("|")]
        if ".." in self.allowed:
            low, high = self.allowed.split("..")
            return float(low) <= value <= float(high)
        return True


def _parse_whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError
    return int(text)


def _parse_number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError
    return number


_PARSERS = {
    "str": str,
    "int": _parse_whole,
    "float": _parse_number,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
}


def read_notebook(path: Path) -> tuple[Cell, ...]:
    """Return the cells of a notebook.

    Raises:
        ConfigError: There is no such notebook, or it is not one.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return tuple(
            Cell(
                kind=cell["cell_type"],
                source="".join(cell["source"]),
                tags=tuple(cell["metadata"].get("tags", ())),
            )
            for cell in cells
        )
    except (OSError, ValueError, LookupError) as error:
        raise ConfigError(
            "NOTEBOOK",
            f"ノートブック {path.name} を読めません。notebooks フォルダーを元に戻してください。",
            f"The notebook {path.name} cannot be read: restore the notebooks folder.",
        ) from error


def read_parameters(cells: Sequence[Cell]) -> dict[str, Parameter]:
    """Return the parameters that a notebook declares in its tagged cell, by name."""
    source = next((cell.source for cell in cells if "parameters" in cell.tags), "")
    lines = source.splitlines()
    return {
        line.target.id: Parameter(
            name=line.target.id,
            kind=ast.unparse(line.annotation),
            default=ast.literal_eval(line.value),
            comment=lines[line.lineno - 1].partition("  # ")[2].strip(),
        )
        for line in ast.parse(source).body
        if isinstance(line, ast.AnnAssign)
    }


def resolve_parameters(
    notebooks: dict[str, tuple[Cell, ...]], given: Sequence[str], *, study: Study
) -> dict[str, dict[str, Any]]:
    """Return the value of every parameter of every notebook.

    Args:
        notebooks: Cells of every notebook.
        given: NAME=VALUE as typed; sets NAME in every notebook that declares it.
        study: Gives STUDY and YEAR.

    Raises:
        ConfigError: A name that no notebook declares, that looks like a secret, or a value of
            another type or out of range.
    """
    declared = {step: read_parameters(cells) for step, cells in notebooks.items()}
    known = {name for own in declared.values() for name in own} - {"STUDY", "YEAR"}
    texts = dict(_split_parameter(one, known) for one in given)
    values = {}
    for step, own in declared.items():
        values[step] = {
            name: parameter.parse(texts[name]) if name in texts else parameter.default
            for name, parameter in own.items()
        }
        values[step] |= {"STUDY": study.name, "YEAR": study.year}
    return values


def _split_parameter(text: str, known: set[str]) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if _SECRET.search(name):
        raise ConfigError(
            "PARAMETER_SECRET",
            f"パラメーター {name} は使えません。鍵や暗証番号はパラメーターで渡せません。",
            f"Parameter {name} is refused: a key, token or password is never a parameter.",
        )
    if name not in known or not equals:
        near = difflib.get_close_matches(name.upper(), known, n=1)
        choices = ", ".join(sorted(known)) or "なし none"
        hint = "--study と --year で指定します。" if name in ("STUDY", "YEAR") else ""
        raise ConfigError(
            "PARAMETER_UNKNOWN",
            f"パラメーター {name} はありません。{hint}使えるのは {choices}。",
            f"There is no parameter {name}" + (f"; did you mean {near[0]}?" if near else "."),
        )
    return name, value


# --- what a result depends on ---------------------------------------------------------------------


def _digest(thing: Any) -> str:
    """Return the sha256 of a file's bytes, or of anything else as JSON."""
    if isinstance(thing, Path):
        with thing.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    text = json.dumps(thing, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _code_root() -> Path:
    return Path(studies.__file__).resolve().parents[2]


def _files(folder: Path) -> dict[str, Path]:
    """Return all files below a folder by relative name, without hidden and temporary ones."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in found}
    return {name: path for name, path in names.items() if not re.search(r"(^|/)(\.|~\$)", name)}


def hash_inputs(study: Study) -> dict[str, str]:
    """Return the sha256 of every input of a wave's report, by its name under the root.

    Files beside the answers (decisions by hand, records) count together under one name: what the
    analyst called them is nobody else's business.
    """
    root = studies.repository_root()
    waves = [study] + ([study.previous] if study.previous else [])
    named = [path for path in study.raw_dir.iterdir() if path.is_file()]
    named += (root / "data/raw/national").glob("*.csv")
    named += [wave.responses_path for wave in waves]
    hashes = {p.relative_to(root).as_posix(): _digest(p) for p in named if p.name[0] != "."}
    for wave in waves:
        others = {
            name: _digest(path)
            for name, path in _files(wave.wave_dir).items()
            if path != wave.responses_path
        }
        if others:
            hashes[f"{wave.wave_dir.relative_to(root).as_posix()}/*"] = _digest(others)
    return dict(sorted(hashes.items()))


def hash_environment() -> dict[str, Any]:
    """Return what else a result depends on: own code, locked and installed packages, fonts."""
    package = _files(Path(studies.__file__).parent)
    lock = _code_root() / "requirements.lock"
    fonts = importlib.util.find_spec("matplotlib_fontja")
    font_files = _files(Path(fonts.origin).parent) if fonts and fonts.origin else {}
    return {
        "code": _digest({n: _digest(p) for n, p in package.items() if not n.endswith(".pyc")}),
        "lock": _digest(lock) if lock.exists() else None,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _DEPENDENCIES},
        "fonts": _digest({n: _digest(p) for n, p in font_files.items() if n.endswith("tf")}),
    }


_DEPENDENCIES = "ipykernel matplotlib nbconvert numpy pandas papermill scipy statsmodels".split()


@cache
def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


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
        return self.processed.with_name(f".staging-{self.study.year}")

    @property
    def release(self) -> Path:
        """The released report."""
        return self.root / "reports" / self.study.name / str(self.study.year)

    @property
    def release_staging(self) -> Path:
        """The next release until it is swapped in."""
        return self.release.with_name(f".staging-{self.study.year}")

    @property
    def run_id(self) -> str:
        """Short name of everything this run is made from."""
        notebooks = {
            step: _digest([vars(c) for c in cells]) for step, cells in self.notebooks.items()
        }
        return _digest([self.inputs, self.environment, notebooks, self.parameters])[:16]

    def key(self, step: str, records: dict[str, Any]) -> str:
        """Return the hash of all that a step depends on, the outputs of earlier steps included."""
        earlier = {
            name: sha
            for record in records.values()
            for name, sha in record["outputs"].items()
            if not name.startswith(_NOTEBOOKS)
        }
        source = [vars(cell) for cell in self.notebooks.get(step, ())]
        own = [step, source, self.parameters.get(step), earlier]
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
        ConfigError: A mistake in the study file, the codebook or a parameter.
        InputError: A file is missing or empty.
        WriteError: Nothing can be written where results belong.
    """
    study = studies.open_study(name, year)
    folder = notebooks or _code_root() / "notebooks"
    sources = {step: folder / f"{step}.ipynb" for step in STEPS if step != GATE}
    cells = {step: read_notebook(path) for step, path in sources.items()}
    parameters = resolve_parameters(cells, given, study=study)
    _check_inputs(study)
    run = Run(
        root=studies.repository_root().resolve(),
        study=study,
        notebooks=cells,
        sources=sources,
        parameters=parameters,
        inputs=hash_inputs(study),
        environment=hash_environment(),
    )
    for target in (run.processed, run.release):
        _check_writable(target)
    return run


def _check_inputs(study: Study) -> None:
    waves = [study] + ([study.previous] if study.previous else [])
    weighting = study.config.weighting
    targets = [weighting.targets, *(margin.targets for margin in weighting.margins)]
    needed = [wave.responses_path for wave in waves]
    needed += [study.raw_dir / name for name in targets if name]
    for path in needed:
        if not path.is_file() or path.stat().st_size == 0:
            place = path.relative_to(studies.repository_root())
            raise InputError(
                "FILE_EMPTY" if path.is_file() else "FILE_MISSING",
                f"{place} が{'空です' if path.is_file() else 'ありません'}。"
                "届いたファイルをもう一度置いてください。",
                f"{place} is {'empty' if path.is_file() else 'missing'}: put the file there again.",
            )


def _check_writable(target: Path) -> None:
    root = studies.repository_root().resolve()
    place = target.relative_to(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    inside = [root.joinpath(*place.parts[: count + 1]) for count in range(len(place.parts))]
    if any(path.is_symlink() for path in inside):
        raise WriteError(
            "OUTPUT_LINK",
            f"{place} の途中にリンクがあります。ふつうのフォルダーに替えてください。",
            f"There is a link on the way to {place}: replace it by an ordinary folder.",
        )
    with tempfile.TemporaryDirectory(prefix=".try-", dir=target.parent):
        pass


# --- lock, swap, recovery -------------------------------------------------------------------------


@contextlib.contextmanager
def locked(run: Run) -> Iterator[Path]:
    """Hold the lock of one report and give a short private folder for kernels' own files.

    The lock is the operating system's and ends with the process. A note beside it says who runs,
    and what a killed run left behind for the next one to clear away.

    Raises:
        LockedError: Another process makes the same report.
    """
    year = run.study.year
    note = run.processed.with_name(f".run-{year}.json")
    lock = FileLock(run.processed.with_name(f".lock-{year}"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        told = _read_json(note)
        who = f"pid {told.get('pid', '?')}, {told.get('started', '?')}"
        raise LockedError(
            "LOCKED",
            f"同じレポートを別の実行が作成中です（{who}）。終わってからもう一度実行してください。",
            f"Another run is making the same report ({who}): run again when it has ended.",
        ) from error
    try:
        if left := _read_json(note).get("scratch"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="tsunagari-", ignore_cleanup_errors=True) as folder:
            started = datetime.now().astimezone().isoformat(timespec="seconds")
            told = {"pid": os.getpid(), "started": started, "scratch": folder}
            note.write_text(json.dumps(told), encoding="utf-8")
            yield Path(folder)
        note.unlink(missing_ok=True)
    finally:
        lock.release()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def recover(run: Run) -> None:
    """Put back what a killed run left between two renames, and clear its unfinished release."""
    for target in (run.processed, run.release):
        aside = target.with_name(f".old-{target.name}")
        if aside.exists() and not target.exists():
            aside.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(run.release_staging, ignore_errors=True)


def swap_in(new: Path, target: Path) -> None:
    """Put a finished folder in the place of the last one; at no moment is half of one there."""
    for path in [*new.rglob("*"), new]:
        _sync(path)
    if not target.exists():
        new.rename(target)
    elif not _exchange(new, target):
        # No exchange on this system: two renames, and recover() mends a kill between them.
        aside = target.with_name(f".old-{target.name}")
        target.rename(aside)
        new.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
    _sync(target.parent)
    shutil.rmtree(new, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step with Linux's renameat2; False where there is none."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of linux/fs.h
    return function(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


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
    known = {} if force else _read_json(run.staging / _RECORDS)
    last = {} if force else _read_json(run.processed / _RECORDS)
    records: dict[str, Any] = {}
    seconds: dict[str, float | None] = {}
    progress = Progress(run)
    for step in STEPS:
        key, began = run.key(step, records), time.monotonic()
        if _is_intact(known.get(step), key=key, folder=run.staging):
            records[step] = known[step]
        else:
            _prune(run.staging, records)
            if _is_intact(last.get(step), key=key, folder=run.processed):
                for name in last[step]["outputs"]:
                    (run.staging / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(run.processed / name, run.staging / name)
                records[step] = last[step]
            else:
                before = set(_files(run.staging))
                _run_step(run, step, scratch=scratch, progress=progress)
                made = {n: p for n, p in _files(run.staging).items() if n not in before}
                outputs = {name: _digest(path) for name, path in made.items()}
                records[step] = {"key": key, "outputs": outputs}
                seconds[step] = time.monotonic() - began
        seconds.setdefault(step, None)
        progress.finish(step, seconds[step])
        studies.write_table(run.staging / _RECORDS, records)
    progress.close()
    return seconds


def _is_intact(record: dict[str, Any] | None, *, key: str, folder: Path) -> bool:
    return (
        record is not None
        and record["key"] == key
        and all(
            (folder / name).is_file() and _digest(folder / name) == sha
            for name, sha in record["outputs"].items()
        )
    )


def _prune(folder: Path, records: dict[str, Any]) -> None:
    """Delete what no finished step has written, so that no old result is taken for a new one."""
    kept = {name for record in records.values() for name in record["outputs"]} | {_RECORDS}
    for name, path in _files(folder).items():
        if name not in kept:
            path.unlink()


def _run_step(run: Run, step: str, *, scratch: Path, progress: Progress) -> None:
    run.staging.joinpath(_NOTEBOOKS).mkdir(parents=True, exist_ok=True)
    run.staging.chmod(0o700)
    zone = {"TSUNAGARI_ROOT": str(run.root), "TSUNAGARI_STAGING": str(run.staging)}
    if step == REPORT:
        # The page's notebook sees a root that holds published/ and nothing else.
        view = scratch / "published_only"
        shutil.copytree(run.staging / "published", view / "published", dirs_exist_ok=True)
        zone = {"TSUNAGARI_ROOT": str(view), "TSUNAGARI_STAGING": str(view)}
    with _environment(KERNEL_ENVIRONMENT | zone):
        if step == GATE:
            from tsunagari import disclosure

            progress.start(step)
            with _blame(step):
                disclosure.publish(run.study)
        else:
            _run_notebook(run, step, scratch=scratch, progress=progress)
    if hash_inputs(run.study) != run.inputs or hash_environment() != run.environment:
        raise InputError(
            "INPUT_CHANGED",
            "実行中に入力ファイルかプログラムが変わりました。もう一度実行してください。",
            "An input file or the code changed during the run: run again.",
        )


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _blame(step: str) -> Iterator[None]:
    """Name the step of an error raised in this process, and keep foreign messages to ourselves."""
    try:
        yield
    except (SurveyError, OSError) as error:
        if isinstance(error, SurveyError):
            raise type(error)(error.code, f"{step}: {error.ja}", error.en) from None
        raise
    except Exception as error:
        raise _unexpected(step, type(error).__name__, _last_own_line(error)) from None


def _last_own_line(error: BaseException) -> str:
    line, trace = "", error.__traceback__
    while trace:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.parent == Path(studies.__file__).parent:
            line = f"{path.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return line


def _unexpected(where: str, name: str, line: str) -> SurveyError:
    # Never the message of a foreign exception: it may hold an answer.
    at = f" {name}{f' ({line})' if line else ''}"
    return SurveyError(
        "UNEXPECTED",
        f"{where}: 予期しないエラー{at} で止まりました。前回のレポートはそのままです",
        f"stopped by an unexpected{at}; the last release is untouched",
    )


def _run_notebook(run: Run, step: str, *, scratch: Path, progress: Progress) -> None:
    """Run one notebook in its own kernel and keep it, without times and paths, in private/."""
    papermill, manager = _load_papermill(len(str(scratch)) <= LONGEST_SOCKET_FOLDER)
    import nbformat
    from nbclient.exceptions import DeadKernelError

    output = run.staging / _NOTEBOOKS / f"{step}.ipynb"
    work = scratch / "work"  # an empty folder: nothing there that Python could import by mistake
    work.mkdir(exist_ok=True)
    folders = {
        "JUPYTER_RUNTIME_DIR": str(scratch),
        "IPYTHONDIR": str(scratch / "ipython"),
        "MATPLOTLIBRC": str(work),
    }
    progress.start(step)
    try:
        with _environment(folders):
            notebook = papermill.execute_notebook(
                run.sources[step],
                output,
                run.parameters[step],
                kernel_name="python3",
                language="python",
                progress_bar=False,
                request_save_on_cell_execute=False,
                autosave_cell_every=0,
                cwd=work,
                kernel_manager_class=manager,
                store_widget_state=False,
                shutdown_kernel="immediate",
                on_cell_start=progress.on_cell_start,
            )
    except papermill.PapermillExecutionError as error:
        raise _explain_failure(run, step, error=error) from None
    except DeadKernelError:
        where = _place(run, step, cell_index=progress.cell_index)
        raise KernelError(
            "KERNEL_DIED",
            f"{where}: 計算プロセスが落ちました（メモリー不足など）。前回のレポートはそのままです",
            "the kernel died (out of memory, for example); the last release is untouched",
        ) from None
    nbformat.write(_strip(notebook), output)


@cache
def _load_papermill(can_use_sockets: bool) -> tuple[Any, type]:
    # JupyterLab brings rfc3987_syntax, and jsonschema imports it to check addresses that notebooks
    # do not have: 0.6 s in every process. None makes the import fail, and the check is left out.
    sys.modules.setdefault("rfc3987_syntax", None)
    import logging

    import papermill
    from jupyter_client import AsyncKernelManager

    logging.getLogger("papermill").setLevel(logging.CRITICAL + 1)  # its messages quote answers

    class QuietKernelManager(AsyncKernelManager):
        """A kernel that no other machine can reach and that writes nothing to our terminal."""

        async def _async_pre_start_kernel(self, **options: Any) -> Any:
            silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            return await super()._async_pre_start_kernel(**options | silent)

        pre_start_kernel = _async_pre_start_kernel

    if can_use_sockets:
        QuietKernelManager.transport.default_value = "ipc"
    return papermill, QuietKernelManager


def _strip(notebook: Any) -> Any:
    """Take out what differs between two runs or tells of this machine."""
    notebook.metadata.pop("papermill", None)
    cells = [c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    for cell in cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    notebook.cells = cells
    return notebook


def _place(run: Run, step: str, *, cell_index: int) -> str:
    """Say where in the notebook's own cells a cell of the executed notebook stands."""
    cells = run.notebooks[step]
    first = next((i for i, cell in enumerate(cells) if "parameters" in cell.tags), len(cells))
    index = cell_index - 1 if cell_index > first else cell_index  # papermill adds one cell
    number = sum(cell.kind == "code" for cell in cells[: index + 1])
    words = "\n".join(cell.source for cell in cells[: index + 1] if cell.kind == "markdown")
    headings = re.findall(r"^#+ (.+)$", words, flags=re.MULTILINE)
    return f"{step} [{number}]「{headings[-1] if headings else ''}」"


def _explain_failure(run: Run, step: str, *, error: Any) -> SurveyError:
    where = _place(run, step, cell_index=error.cell_index)
    own = {kind.__name__: kind for kind in [SurveyError, *SurveyError.__subclasses__()]}
    told = re.fullmatch(r"E-([A-Z0-9_]+): (.+)", " ".join(str(error.evalue).split()))
    if error.ename in own and told:
        ja, _, en = told.group(2).partition(" / ")
        return own[error.ename](told.group(1), f"{where}: {ja}", en)
    number = re.match(r"\[Errno (\d+)\]", str(error.evalue))
    if number and int(number.group(1)) in _FULL_DISK:
        return _cannot_write(int(number.group(1)), where=where)
    trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
    lines = re.findall(r"tsunagari/(\w+\.py)(?::|, line )(\d+)", trace)
    return _unexpected(where, str(error.ename), ":".join(lines[-1]) if lines else "")


def _cannot_write(number: int | None, *, where: str = "") -> WriteError:
    why = os.strerror(number) if number else "?"
    return WriteError(
        "WRITE",
        f"{where}{': ' if where else ''}結果を書き込めません（{why}）。空き容量と書き込みの権限を"
        "確かめてください。前回のレポートはそのままです",
        f"results cannot be written ({why}): check free space and permissions; "
        "the last release is untouched",
    )


class Progress:
    """A bar with notebook and cell on a terminal, a line a step elsewhere."""

    def __init__(self, run: Run) -> None:
        self.run, self.step, self.cell_index, self.bar = run, "", 0, None
        if sys.stderr.isatty() and not os.environ.get("CI"):
            from tqdm import tqdm

            total = sum(len(cells) for cells in run.notebooks.values()) + 1
            self.bar = tqdm(total=total, unit="cell", leave=False, dynamic_ncols=True)

    def start(self, step: str) -> None:
        """Show which step begins."""
        self.step, self.cell_index = step, 0
        if self.bar is not None:
            self.bar.set_description(step)

    def on_cell_start(self, *, cell: Any, cell_index: int) -> None:
        """Show which cell begins; nbclient calls this."""
        self.cell_index = cell_index
        if self.bar is not None:
            heading = re.match(r"#+ (.+)", cell.source) if cell.cell_type == "markdown" else None
            if heading:
                self.bar.set_postfix_str(heading.group(1)[:30], refresh=False)
            self.bar.set_description(f"{self.step} [{cell_index}]")
            self.bar.update(1)

    def finish(self, step: str, seconds: float | None) -> None:
        """Say that a step is done."""
        if self.bar is None:
            done = "再利用 reused" if seconds is None else f"{seconds:.1f} s"
            print(f"{step}: {done}", file=sys.stderr, flush=True)
        elif seconds is None:
            self.bar.update(len(self.run.notebooks.get(step, (None,))))

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()


# --- the release ----------------------------------------------------------------------------------


def build_release(run: Run) -> None:
    """Write the four files of a release beside the last one."""
    _load_papermill(can_use_sockets=False)  # for its import order alone
    import nbformat

    from tsunagari import report

    folder = run.release_staging
    folder.mkdir(parents=True)
    with (
        _environment(KERNEL_ENVIRONMENT | {"TSUNAGARI_STAGING": str(run.staging)}),
        _blame("report"),
    ):
        notebook = nbformat.read(run.staging / _NOTEBOOKS / f"{REPORT}.ipynb", as_version=4)
        page = report.export_html(notebook)
        (folder / "council_report.html").write_text(page, encoding="utf-8", newline="\n")
        published = report.read_published(run.study.name, run.study.year)
        report.write_workbook(published, folder / "tables.xlsx")
    shutil.copyfile(run.staging / "published/estimates.csv", folder / "estimates.csv")
    studies.write_table(folder / "manifest.json", _describe(run))


def _describe(run: Run) -> dict[str, Any]:
    """Return the manifest: no time, no path of this machine, no user."""
    estimates = studies.read_table(run.release_staging / "estimates.csv")
    ledger = estimates[(estimates["table_id"] == "ledger") & (estimates["measure"] == "count")]
    counts = ledger.set_index("item_value")["estimate"]
    return {
        "run_id": run.run_id,
        "study": run.study.name,
        "year": run.study.year,
        "synthetic_inputs": run.study.synthetic_inputs,
        "rows": {name: None if pd.isna(n) else int(n) for name, n in counts.items()},
        "parameters": run.parameters,
        "inputs": run.inputs,
        "environment": run.environment,
        "outputs": {name: _digest(run.release_staging / name) for name in RELEASED},
    }


def is_released(run: Run) -> bool:
    """Whether results and release are both whole and made from exactly this run's inputs."""
    manifest = _read_json(run.release / "manifest.json")
    records, kept = _read_json(run.processed / _RECORDS), {}
    if manifest.get("run_id") != run.run_id or set(_files(run.release)) != {
        *RELEASED,
        "manifest.json",
    }:
        return False
    for step in STEPS:
        if not _is_intact(records.get(step), key=run.key(step, kept), folder=run.processed):
            return False
        kept[step] = records[step]
    return all(_digest(run.release / name) == manifest["outputs"].get(name) for name in RELEASED)


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
    with locked(run) as scratch:
        recover(run)
        if not force and is_released(run):
            shutil.rmtree(run.staging, ignore_errors=True)
            return None
        seconds = make_steps(run, scratch=scratch, force=force)
        began = time.monotonic()
        build_release(run)
        _keep_last(run)
        swap_in(run.staging, run.processed)
        swap_in(run.release_staging, run.release)
        return seconds | {"release": time.monotonic() - began}


def _keep_last(run: Run) -> None:
    """Keep the figures of the release that is about to be replaced, for `diff`."""
    old, new = run.release / "estimates.csv", run.staging / "published/estimates.csv"
    is_other = old.exists() and _digest(old) != _digest(new)
    source = old if is_other else run.processed / "private/last_release.csv"
    if source.exists():
        shutil.copyfile(source, run.staging / "private/last_release.csv")


def compare_headlines(name: str, year: int) -> pd.DataFrame:
    """Return the headline figures here beside those of the last release that differed.

    Returns:
        One row a figure: here, last and change, indexed by measure, domain and item.
    """
    study = studies.open_study(name, year)
    here_path = study.processed_dir / "published/estimates.csv"
    here = studies.read_table(here_path)
    last_path = studies.release_dir(name, year) / "estimates.csv"
    kept = study.processed_dir / "private/last_release.csv"
    if kept.exists() and last_path.exists() and _digest(last_path) == _digest(here_path):
        last_path = kept
    last = studies.read_table(last_path)
    keys = ["measure", "domain", "domain_value", "item", "item_value"]
    columns = [
        table[table["table_id"] == "headline"].set_index(keys)["estimate"].rename(title)
        for title, table in (("here", here), ("last", last))
    ]
    both = pd.concat(columns, axis="columns")
    return both.assign(change=both["here"] - both["last"])


# --- command line ---------------------------------------------------------------------------------


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tsunagari.pipeline", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, words in (
        ("report", "make one report / レポートを作る"),
        ("diff", "headline figures here against the last release / 主な数値を前回と比べる"),
    ):
        one = commands.add_parser(command, help=words, description=words)
        one.add_argument("--study", required=True, help="folder under data/raw")
        one.add_argument("--year", required=True, help="survey wave, four digits")
        if command == "report":
            one.add_argument("-p", dest="given", action="append", default=[], metavar="NAME=VALUE")
            one.add_argument("--force", action="store_true", help="run every step again")
    return parser.parse_args(arguments)


def _report(name: str, year: int, *, given: Sequence[str], force: bool) -> None:
    seconds = make_report(name, year, given=given, force=force)
    page = f"reports/{name}/{year}/council_report.html"
    if seconds is None:
        print(f"最新です。何も変えていません。 / Up to date, nothing was touched: {page}")
        return
    spent = ", ".join(f"{step} {time_:.1f} s" for step, time_ in seconds.items() if time_)
    print(f"できました / done: {page}\n{spent}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parse_arguments(arguments)
    try:
        if not re.fullmatch("[0-9]{4}", options.year):
            raise ConfigError(
                "YEAR",
                "--year は西暦 4 桁で指定してください（例 2022）。",
                "--year takes four digits, such as 2022.",
            )
        year = int(options.year)
        if options.command == "report":
            _report(options.study, year, given=options.given, force=options.force)
        else:
            print(compare_headlines(options.study, year).to_string())
        return 0
    except SurveyError as error:
        failure = error
    except OSError as error:
        failure = _cannot_write(error.errno)
    except KeyboardInterrupt:
        failure = SurveyError("STOPPED", "中止しました", "stopped; the last release is untouched")
    except Exception as error:
        failure = _unexpected("runner", type(error).__name__, _last_own_line(error))
    print(failure, file=sys.stderr)
    return failure.exit_code


if __name__ == "__main__":
    sys.exit(main())
