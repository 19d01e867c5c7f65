"""How does a page get on paper: the distribution's Chromium prints it, tagged, with bookmarks."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tsunagari.errors import KernelError
from tsunagari.report.page import APPENDIX, MAIN
from tsunagari.study.files import write_table

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SOURCES = "sources.json"  # sha256 of the page that each PDF was printed from
_LONGEST_SECONDS = 300
_SUMMARY_ALONE = """<style>@media print {
nav, h2:not(:has(+ .part-summary)), .part:not(.part-summary) { display: none; }
h2 { break-before: auto !important; } }</style>"""
_PRINTED = {"council_report.pdf": (MAIN, ""), "appendix.pdf": (APPENDIX, ""),
            "summary.pdf": (MAIN, _SUMMARY_ALONE)}  # fmt: skip


def find_chromium() -> str:
    """Return the Chromium of this machine, or the one that CHROMIUM names.

    Raises:
        KernelError: There is none; the sentence says how to install one.
    """
    found = (shutil.which(name) for name in (os.environ.get("CHROMIUM", ""), *BROWSERS) if name)
    if not (path := next(filter(None, found), None)):
        raise KernelError("NO_CHROMIUM")
    return path


def print_release(release: Path, folder: Path) -> None:
    """Print the volumes of a release and its summary page, folded parts open.

    Chromium writes the time into a PDF, so that two prints of one page differ: `sources.json` says
    by its hash which page each was printed from.

    Args:
        release: Release folder.
        folder: Where the PDFs go.

    Raises:
        KernelError: There is no Chromium, or it does not print.
    """
    chromium, sources = find_chromium(), {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, (page, style) in _PRINTED.items():
        if (release / page).exists():
            data = (release / page).read_bytes()
            sources[name] = {"page": page, "sha256": hashlib.sha256(data).hexdigest()}
            text = data.decode().replace("<details", "<details open")
            _print(text.replace("</head>", f"{style}</head>", 1), folder / name, chromium=chromium)
    write_table(folder / SOURCES, sources)


def _print(text: str, target: Path, *, chromium: str) -> None:
    with tempfile.TemporaryDirectory(prefix="tsunagari-") as own:
        page = Path(own, "page.html")
        page.write_text(text, encoding="utf-8")
        command = [chromium, "--headless", "--disable-gpu", f"--user-data-dir={own}/profile",
                   "--no-pdf-header-footer", "--generate-pdf-document-outline",
                   f"--print-to-pdf={target}"]  # fmt: skip
        if os.geteuid() == 0:
            command.append("--no-sandbox")  # Chromium's own cannot start as root
        try:
            subprocess.run([*command, page.as_uri()], check=True, capture_output=True,
                           timeout=_LONGEST_SECONDS)  # fmt: skip
            if not target.exists():
                raise OSError
        except (OSError, subprocess.SubprocessError) as error:
            raise KernelError("PDF", name=target.name, chromium=chromium) from error
