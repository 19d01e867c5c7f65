"""What can go wrong: each with its sentence in Japanese and English and its exit code."""

from __future__ import annotations

from typing import ClassVar

# --- errors -----------------------------------------------------------------------------------


class SurveyError(Exception):
    """One clear sentence in Japanese and English that says what broke and what to do.

    The text names variables, counts and file rows, and never an answer's value: it may be printed
    anywhere.

    Args:
        code: Short stable name such as "CODE_UNKNOWN".
        ja: The sentence in Japanese.
        en: The same sentence in English.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, ja: str, en: str) -> None:
        super().__init__(code, ja, en)
        self.code, self.ja, self.en = code, ja, en

    def __str__(self) -> str:
        return f"E-{self.code}: {self.ja} / {self.en}"


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
