"""Where does the day begin? JupyterLab's start page, which leads to everything, and its options."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from markupsafe import Markup

from tsunagari.errors import ConfigError, SurveyError
from tsunagari.report.shown import Shown, told
from tsunagari.run import pipeline, session
from tsunagari.starting.making import texts
from tsunagari.study.files import release_dir, repository_root
from tsunagari.study.settings import RecordsFile
from tsunagari.study.survey import inspect_study_file

START = "notebooks/START.md"  # made anew each time; git ignores it
SETTINGS = Path(__file__).parent / "lab"  # overrides.json: no news, texts are shown and not edited


def options(port: str = "") -> list[str]:
    """Return JupyterLab's options.

    Args:
        port: A port on which other machines may connect, with the token that is printed; empty for
            this machine alone.

    Raises:
        ConfigError: No port from 1024 to 65535.
    """
    if port and not (re.fullmatch(r"\d{4,5}", port) and 1024 <= int(port) <= 65535):
        raise ConfigError("LAB_PORT")
    own = [
        f"--ServerApp.root_dir={repository_root()}",
        f"--LabApp.default_url=/lab/tree/{START}",
        f"--LabApp.app_settings_dir={SETTINGS}",
    ]
    there = ["--ip=0.0.0.0", f"--port={port}", "--ServerApp.port_retries=0", "--no-browser"]
    return own + (there if port else [])


def start_page() -> str:
    """Return the start page as Markdown; its links are relative to START."""
    said, root = texts()["start"], repository_root()
    lines = [said["head"].rstrip(), "", *said["notebooks"]]
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        title, question = _opening(path)
        lines.append(f"| [{title}]({_link(path)}) | {question} |")
    lines += ["", *said["studies"]]
    for path in sorted((root / "data/raw").glob("*/study.yaml")):
        lines += _rows(path)
    lines += ["", *said["docs"]]
    pages = sorted((root / "docs").glob("*.md"))
    titles = {path: path.read_text("utf-8").partition("\n")[0].removeprefix("# ") for path in pages}
    for path in sorted(pages, key=lambda path: titles[path].isascii()):  # English ones last
        english = said["english"] if titles[path].isascii() else ""
        lines.append(f"- [{titles[path]}]({_link(path)}){english}")
    return "\n".join(lines) + "\n"


def make_report(name: str, year: int) -> Shown:
    """Make a report from a notebook, as `make report` does, and write the start page anew.

    Args:
        name: STUDY of the notebook.
        year: YEAR of the notebook.

    Returns:
        Links to its pages.

    Raises:
        SurveyError: What went wrong; the last report is as it was.
    """
    name, year = session.chosen(name, year)
    seconds = pipeline.make_report(name, year)
    write_start_page()
    said, folder = texts()["start"], release_dir(name, year)
    links = [
        Markup('<a href="{}">{}</a>').format(_link(folder / page), text)
        for page, text in said["pages"].items()
        if (folder / page).exists()
    ]
    return Shown((told(said["fresh" if seconds is None else "made"], Markup(" ").join(links)),))


def write_start_page() -> None:
    """Write the start page."""
    page = repository_root() / START
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(start_page(), encoding="utf-8")


def _opening(path: Path) -> tuple[str, str]:
    """Return a notebook's title and question, from its first cell."""
    text = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    question = re.search(r"\*\*Question\*\*: (.+)", text)
    plain = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", question[1]) if question else ""  # no links
    return path.stem, plain


def _rows(path: Path) -> list[str]:
    """Return a row a wave of a study: what there is of it, newest first."""
    try:
        config = inspect_study_file(path)[0]
    except SurveyError:
        config = None
    if not isinstance(config, RecordsFile):
        return [f"| {path.parent.name} | | {texts()['start']['broken']} | | | |"]
    root, name, rows = repository_root(), path.parent.name, []
    for year in sorted(config.waves, reverse=True):
        private = root / "data/processed" / name / str(year) / "private"
        pages = root / "reports" / name / str(year)
        named = texts()["start"]["pages"].items()
        aside = ("quarantine.csv", "programmes_quarantine.csv")
        executed = sorted((private / "notebooks").glob("*.ipynb"))
        cells = [
            " ".join(_linked(text, pages / f) for f, text in named if (pages / f).exists()) or "－",
            " ".join(_linked(each.name[:2], each) for each in executed) or "－",
            " ".join(_linked(name, private / name) for name in aside if (private / name).exists())
            or "－",
            _linked("study.yaml", path),
        ]
        rows.append(f"| {config.title} (`{name}`) | {year} | " + " | ".join(cells) + " |")
    return rows


def _linked(text: str, path: Path) -> str:
    """Return a link to a file; JupyterLab follows none to a folder."""
    return f"[{text}]({_link(path)})" if path.exists() else "－"


def _link(path: Path) -> str:
    place = os.path.relpath(path, (repository_root() / START).parent)
    return Path(place).as_posix()


def main(port: str = "", *more: str) -> int:
    """Write the start page and become JupyterLab; return the exit code where that is refused."""
    try:
        own = options(port)
    except SurveyError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    write_start_page()
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *own, *more])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
