"""Where do files lie, and how are our own tables read and written?"""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsunagari.errors import ConfigError, InputError
from tsunagari.estimates import NUMBERS

# --- the study ----------------------------------------------------------------------------------


# What a spreadsheet takes for a formula (OWASP ASVS 1.2.10), full-width forms too; an apostrophe of
# our own before it, or one that was there already.
_FORMULA = re.compile("^(?='*[=+@\t\r\0＝＋－＠-])")
_MARKED_FORMULA = "^'(?='*[=+@\t\r\0＝＋－＠-])"


def repository_root() -> Path:
    """Return the folder that holds data/ and reports/: the repository, or TSUNAGARI_ROOT."""
    return Path(os.environ.get("TSUNAGARI_ROOT") or Path(__file__).resolve().parents[3])


def processed_dir(name: str, year: int) -> Path:
    """Return the folder of a wave's results: the runner's staging folder while a run is on."""
    staging = os.environ.get("TSUNAGARI_STAGING")
    return Path(staging) if staging else repository_root() / "data/processed" / name / str(year)


STAMP = "private/wave.txt"  # in a folder of results: whose they are


def stamp_wave(folder: Path, *, name: str, year: int) -> None:
    """Write into a folder of results whose they are, or check that they are this wave's.

    Raises:
        ConfigError: They are another wave's: a notebook's STUDY or YEAR is not the one asked for.
    """
    path = folder / STAMP
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name} {year}\n", encoding="utf-8")
    check_wave(path.read_text(encoding="utf-8", errors="replace").strip(), name=name, year=year)


def check_wave(found: str, *, name: str, year: int) -> None:
    """Check that results which say whose they are, such as "ehime 2022", are this wave's.

    Raises:
        ConfigError: They are another wave's.
    """
    if found != f"{name} {year}":
        raise ConfigError("WAVE_OTHER", name=name, year=year)


def release_dir(name: str, year: int) -> Path:
    """Return the folder of a wave's released files."""
    return repository_root() / "reports" / name / str(year)


def read_table(path: Path) -> Any:
    """Read a parquet or CSV table, or a JSON text, by the ending of its name.

    Raises:
        InputError: The file is not there: an earlier notebook has not run.
    """
    if not path.exists():
        by_report = path.parent.name == "published"  # written by the gate, which is no notebook
        raise InputError(
            "STEP_MISSING",
            name=path.parent.name,
            name_2=path.name,
            value="make report" if by_report else "前のノートブック",
            value_2="make report" if by_report else "the earlier notebooks",
        )
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    table = pd.read_csv(
        path, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig"
    )
    table = table.apply(lambda column: column.str.replace(_MARKED_FORMULA, "", regex=True))
    numbers = [name for name in NUMBERS if name in table.columns]
    return table.astype(dict.fromkeys(numbers, float))


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; nothing where there is none, or it is torn or no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_table(path: Path, table: Any) -> None:
    """Write a table as parquet or CSV, a dictionary as JSON or a page; same input, same bytes.

    A dictionary of arrays named .npz becomes an archive of numpy, one of tables named .xlsx a
    workbook, a sheet a table. A CSV is one that Excel
    opens: a mark of UTF-8, and a text that would be a formula begins with an apostrophe, which
    `read_table` takes away again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".npz":
        np.savez(path, **table)
    elif path.suffix == ".xlsx":
        safe = {"options": {"strings_to_formulas": False, "strings_to_urls": False}}
        with pd.ExcelWriter(path, engine="xlsxwriter", engine_kwargs=safe) as book:
            book.book.set_properties({"created": datetime(1980, 1, 1)})
            for sheet, part in table.items():
                part.to_excel(book, sheet_name=sheet, index=False)
    elif path.suffix == ".json":
        text = json.dumps(table, ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")
    elif path.suffix == ".html":
        path.write_text(table, encoding="utf-8", newline="\n")
    else:
        texts = table.select_dtypes(exclude=["number", "bool"]).astype(object)
        safe = texts.map(lambda text: _FORMULA.sub("'", text) if isinstance(text, str) else text)
        table = table.assign(**{str(name): safe[name] for name in safe})
        table.to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\n")
