"""What can go wrong: each with its sentence in Japanese and English and its exit code."""

from __future__ import annotations

import html
import traceback
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import yaml

ROWS_SHOWN = 10  # file rows named in a message


@cache
def load_messages() -> dict[str, dict[str, str]]:
    """Return messages.yaml: key, then ja and en with {places}."""
    text = Path(__file__).with_name("messages.yaml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def show_rows(rows: Iterable[Any]) -> str:
    """Return file row numbers for a message, such as "12, 30, 41 … (+7)".

    Example:
        >>> show_rows([3, 5])
        '3, 5'
    """
    listed = [str(row) for row in rows]
    more = f" … (+{len(listed) - ROWS_SHOWN})" if len(listed) > ROWS_SHOWN else ""
    return ", ".join(listed[:ROWS_SHOWN]) + more


class SurveyError(Exception):
    """One clear sentence in Japanese and English that says what broke and what to do.

    The text names variables, counts and file rows, and never an answer's value: it may be printed
    anywhere.

    Args:
        key: Of messages.yaml; the part before a point is the code, such as CODE_UNKNOWN.
        values: What its places are filled with.
    """

    exit_code: ClassVar[int] = 1
    values: Mapping[str, Any] = MappingProxyType({})
    problems: tuple[str, ...] = ()  # where one error stands for several, each by itself
    is_folded = False  # whether a notebook shows the traceback of this error

    def __init__(self, key: str, /, **values: Any) -> None:
        super().__init__(key)
        self.values = values
        text = load_messages()[key]
        self.code = key.partition(".")[0]
        self.ja, self.en = (text[language].format(**values) for language in ("ja", "en"))

    @classmethod
    def told(cls, code: str, *, ja: str, en: str) -> Self:
        """Return an error that was told elsewhere, such as in a kernel."""
        error = cls.__new__(cls)
        Exception.__init__(error, code)
        error.code, error.ja, error.en = code, ja, en
        return error

    def listing(self, problems: Iterable[str]) -> Self:
        """Return this error with the problems that it stands for."""
        self.problems = tuple(problems)
        return self

    def __str__(self) -> str:
        return f"E-{self.code}: {self.ja} / {self.en}"

    def _render_traceback_(self) -> list[str]:
        """Give a notebook the sentence, and below it the traceback, folded; IPython calls this."""
        from IPython import get_ipython
        from IPython.display import HTML, display

        shell, told = get_ipython(), load_messages()["TRACEBACK"]
        trace = html.escape("".join(traceback.format_exception(self)))
        summary = f"<summary>{told['ja']} / {told['en']}</summary>"

        def fold(_result: Any) -> None:
            shell.events.unregister("post_run_cell", fold)
            display(HTML(f"<details>{summary}<pre>{trace}</pre></details>"))

        if shell is not None and not self.is_folded:  # IPython may ask twice
            self.is_folded = True
            shell.events.register("post_run_cell", fold)
        return [f"E-{self.code}: {self.ja}", self.en]


class InputError(SurveyError):
    """A data file cannot be used as it is."""

    exit_code = 2


class DisclosureError(SurveyError):
    """A figure could point at a person."""

    exit_code = 3


class ModelError(SurveyError):
    """A weight, an estimate or a model cannot be computed."""

    exit_code = 4


class ConfigError(SurveyError):
    """The study file, the codebook or a parameter is wrong."""

    exit_code = 5


class KernelError(SurveyError):
    """A notebook's kernel died."""

    exit_code = 70


class WriteError(SurveyError):
    """A result cannot be written."""

    exit_code = 74


class LockedError(SurveyError):
    """Another run of the same report is under way."""

    exit_code = 75
