"""What does a notebook take as parameters, and where and why did it stop?"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import difflib
import errno
import importlib.util
import json
import logging
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import nbformat
import papermill

import tsunagari
from tsunagari.errors import ConfigError, KernelError, SurveyError, WriteError
from tsunagari.study.survey import Study

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
    "JUPYTER_PATH": "",
    "PYTHONSTARTUP": "",
}
PACKAGE = Path(tsunagari.__file__).resolve().parent
LONGEST_SOCKET_FOLDER = 45  # characters; a socket's whole path may have 103

_SECRET = re.compile("token|key|password|secret", re.IGNORECASE)
_NO_NOTEBOOK = (
    OSError, ValueError, LookupError, TypeError, AttributeError, SyntaxError, RecursionError
)  # fmt: skip


_CANNOT_WRITE = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM
)  # fmt: skip


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
                name=self.name,
                kind=self.kind,
                allowed=self.allowed,
                comment=self.comment,
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
    """Return the cells of a notebook whose second cell, and no other, declares its parameters.

    Raises:
        ConfigError: There is no such notebook, it is not one, or a value given for a parameter
            would not arrive: the tag `parameters` is lost or elsewhere, or another cell sets one.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["cells"]
        cells = tuple(
            Cell(
                kind=cell["cell_type"],
                source="".join(cell["source"]),
                tags=tuple(cell["metadata"].get("tags", ())),
            )
            for cell in found
        )
        names = "|".join(read_parameters(cells))
    except _NO_NOTEBOOK as error:
        raise ConfigError("NOTEBOOK", name=path.name) from error
    tagged = [place for place, cell in enumerate(cells) if "parameters" in cell.tags]
    sets = re.compile(rf"^(?:{names})[ \t]*(?::[^=\n]*)?=(?!=)", flags=re.MULTILINE)
    setting = [place for place, cell in enumerate(cells)
               if cell.kind == "code" and sets.search(cell.source)]  # fmt: skip
    if tagged != [1] or setting != [1] or not {"STUDY", "YEAR"} <= set(names.split("|")):
        raise ConfigError("NOTEBOOK_PARAMETERS", name=path.name)
    return cells


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
        raise ConfigError("PARAMETER_SECRET", name=name)
    if name in known and not equals:
        raise ConfigError("PARAMETER_VALUE", name=name)
    if name not in known:
        near = difflib.get_close_matches(name.upper(), known, n=1)
        choices = ", ".join(sorted(known)) or "なし none"
        key = ".option" if name in ("STUDY", "YEAR") else ".near" if near else ""
        told = {"name": name, "choices": choices, "near": "".join(near)}
        raise ConfigError(f"PARAMETER_UNKNOWN{key}", **told)
    return name, value


# --- running one notebook -------------------------------------------------------------------------


def run_notebook(
    source: Path, output: Path, *, values: dict[str, Any], scratch: Path, progress: Progress
) -> None:
    """Run one notebook in its own kernel and keep it, without times and paths.

    Args:
        source: The notebook.
        output: Where the executed one is kept, in private/; of a failed run as far as it came.
        values: Value of every parameter.
        scratch: Private folder for the kernel's own files.
        progress: Is told of every cell.

    Raises:
        SurveyError: A cell failed; the sentence names notebook, cell, heading and cause.
        KernelError: The kernel died.
    """
    papermill, manager = load_papermill(len(str(scratch)) <= LONGEST_SOCKET_FOLDER)
    from nbclient.exceptions import DeadKernelError

    cells = read_notebook(source)
    try:
        with environment(_folders(scratch)):
            notebook = papermill.execute_notebook(
                source,
                output,
                values,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                request_save_on_cell_execute=False,
                autosave_cell_every=0,
                cwd=scratch / "work",
                kernel_manager_class=manager,
                store_widget_state=False,
                shutdown_kernel="immediate",
                on_cell_start=partial(_begin_cell, scratch, progress),
            )
    except papermill.PapermillExecutionError as error:
        where = _place(source.stem, cells, index=error.cell_index)
        raise explain_failure(where, error, kept=output) from None
    except (DeadKernelError, RuntimeError):
        where = _place(source.stem, cells, index=progress.cell_index)
        raise KernelError("KERNEL_DIED", where=where) from None
    nbformat.write(_strip(notebook), output)
    # papermill takes sys.exit(0) for success and leaves the rest of the notebook out.
    if (last := _first_left_out(notebook)) is not None:
        where = _place(source.stem, cells, index=last)
        raise _unexpected(where, name="SystemExit", kept=output)


def _begin_cell(scratch: Path, progress: Progress, **told: Any) -> None:
    for file in scratch.glob("kernel-*.json"):
        file.unlink(missing_ok=True)  # it holds the key to the kernel, which has read it by now
    progress.on_cell_start(**told)


def _first_left_out(notebook: Any) -> int | None:
    """Return the place of the first code cell that did not run, or None."""
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
            return place
    return None


def _folders(scratch: Path) -> dict[str, str]:
    """Return where a kernel keeps its own files, and settings that are not the user's."""
    # The kernel starts in an empty folder: nothing there that Python could import by mistake.
    (scratch / "work").mkdir(exist_ok=True)
    spec = importlib.util.find_spec("matplotlib")
    settings = Path(spec.origin).parent / "mpl-data/matplotlibrc" if spec and spec.origin else ""
    return {
        "JUPYTER_RUNTIME_DIR": str(scratch),
        "IPYTHONDIR": str(scratch / "ipython"),
        "MATPLOTLIBRC": str(settings),
    }


def quicken_imports() -> None:
    """Keep a slow module out; call before the first import of papermill, nbformat or nbconvert.

    JupyterLab brings rfc3987_syntax, and jsonschema imports it to check a kind of address that
    notebooks do not have: 0.6 s in every process. None makes its import fail, and jsonschema then
    leaves that check out.
    """
    sys.modules.setdefault("rfc3987_syntax", None)


@cache
def load_papermill(can_use_sockets: bool) -> tuple[Any, type]:
    """Return papermill and a kernel manager that is quiet and that no other machine can reach."""
    quicken_imports()
    from jupyter_client import AsyncKernelManager

    logging.getLogger("papermill").setLevel(logging.CRITICAL + 1)  # its messages quote answers

    class QuietKernelManager(AsyncKernelManager):
        transport = "ipc" if can_use_sockets else "tcp"

        async def _async_pre_start_kernel(self, **options: Any) -> Any:
            silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            silent["preexec_fn"] = _end_with_parent()
            return await super()._async_pre_start_kernel(**options | silent)

        pre_start_kernel = _async_pre_start_kernel

    return papermill, QuietKernelManager


def _end_with_parent() -> Callable[[], None] | None:
    """Return what a kernel calls before it starts, so that Linux ends it when we are killed.

    The kernel itself looks for its parent too, but not while numpy computes.
    """
    control = getattr(ctypes.CDLL(None), "prctl", None)
    death_signal, parent = 1, os.getpid()  # PR_SET_PDEATHSIG of linux/prctl.h

    def prepare() -> None:
        control(death_signal, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # we were killed before the call

    return prepare if control else None


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


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables, for kernels started meanwhile, and put the old ones back."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Progress:
    """A bar with notebook and cell on a terminal, a line a step elsewhere."""

    def __init__(self, sizes: dict[str, int]) -> None:
        """Begin.

        Args:
            sizes: Number of cells of every step.
        """
        self.sizes, self.step, self.cell_index, self.bar = sizes, "", 0, None
        if sys.stderr.isatty() and not os.environ.get("CI"):
            from tqdm import tqdm

            self.bar = tqdm(total=sum(sizes.values()), unit="cell", leave=False, dynamic_ncols=True)

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
            self.bar.update(self.sizes[step])

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()


# --- saying what went wrong -----------------------------------------------------------------------


def _place(name: str, cells: Sequence[Cell], *, index: int) -> str:
    """Say where in the notebook's own cells a cell of the executed one stands.

    That has one more: papermill adds the parameters.
    """
    first = next((i for i, cell in enumerate(cells) if "parameters" in cell.tags), len(cells))
    before = cells[: index if index > first else index + 1]
    number = sum(cell.kind == "code" for cell in before)  # the number JupyterLab shows as [n]
    words = "\n".join(cell.source for cell in before if cell.kind == "markdown")
    headings = re.findall(r"^#+ (.+)$", words, flags=re.MULTILINE)
    return f"{name} [{number}]「{headings[-1] if headings else ''}」"


def explain_failure(where: str, error: Any, *, kept: Path) -> SurveyError:
    """Return our own error for a cell that failed; a foreign message may hold an answer.

    Args:
        where: Notebook, cell and heading.
        error: papermill's error: ename, evalue, traceback.
        kept: Where the notebook is kept as far as it came.
    """
    own = {kind.__name__: kind for kind in [SurveyError, *SurveyError.__subclasses__()]}
    told = re.fullmatch(r"E-([A-Z0-9_]+): (.+)", " ".join(str(error.evalue).split()))
    if error.ename in own and told:
        ja, _, en = told.group(2).partition(" / ")
        return own[error.ename].told(told.group(1), ja=f"{where}: {ja}", en=en)
    number = re.match(r"\[Errno (\d+)\]", str(error.evalue))
    if known := _known_cause(where, str(error.ename), number=int(number.group(1)) if number else 0):
        return known
    trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
    lines = re.findall(r"^.*\btsunagari/([\w/]+\.py)(?::|, line )(\d+)", trace, flags=re.MULTILINE)
    line = ":".join(lines[-1]) if lines else ""
    return _unexpected(where, name=str(error.ename), line=line, kept=kept)


def _known_cause(where: str, name: str, *, number: int) -> SurveyError | None:
    """Return what an exception of that class and error number says of the machine, if anything."""
    if name.endswith("MemoryError") or number == errno.ENOMEM:
        return KernelError("MEMORY", where=where)
    if number not in _CANNOT_WRITE:
        return None
    why = os.strerror(number)
    return WriteError("WRITE", where=where, why=why)


@contextlib.contextmanager
def blame(step: str) -> Iterator[None]:
    """Name the step of an error raised in this process, and keep foreign messages to ourselves."""
    try:
        yield
    except SurveyError as error:
        raise type(error).told(error.code, ja=f"{step}: {error.ja}", en=error.en) from None
    except Exception as error:
        raise explain_exception(step, error) from None


def explain_exception(where: str, error: Exception) -> SurveyError:
    """Return our own error for a foreign exception in this process."""
    name, number = type(error).__name__, getattr(error, "errno", None) or 0
    known = _known_cause(where, name, number=number)
    return known or _unexpected(where, name=name, line=_last_own_line(error))


def _last_own_line(error: BaseException) -> str:
    line, trace = "", error.__traceback__
    while trace:
        path = Path(trace.tb_frame.f_code.co_filename).resolve()
        if path.is_relative_to(PACKAGE):
            line = f"{path.relative_to(PACKAGE).as_posix()}:{trace.tb_lineno}"
        trace = trace.tb_next
    return line


def _unexpected(where: str, *, name: str, line: str = "", kept: Path | None = None) -> SurveyError:
    # Class and place, never the message: it may hold an answer.
    at = f" {name}{f' ({line})' if line else ''}"
    place = "/".join(kept.parts[-4:]) if kept else ""  # .staging-2022/private/notebooks/01_...
    more = f"。くわしくは {place}（外に出さないでください）" if kept else ""
    return SurveyError(
        "UNEXPECTED", where=where, at=at, more=more, value=f"; see {place}" if kept else ""
    )
