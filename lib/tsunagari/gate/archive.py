"""What was released before, so that a correction tells nothing more."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from tsunagari.errors import DisclosureError
from tsunagari.estimates import conform
from tsunagari.study.files import read_json, read_table, repository_root
from tsunagari.study.survey import Study


def archive_dir(study: Study) -> Path:
    """Return the folder of the figures of every signed release of a study."""
    return repository_root() / "data/processed" / study.name / "releases"


def hash_archive(study: Study) -> dict[str, dict[str, str]]:
    """Return the sha256 of every file that is kept of every signed release, by its folder."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(archive_dir(study).glob("[!.]*/*")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found.setdefault(path.parent.name, {})[path.name] = digest
    return found


def archive_index(study: Study) -> Path:
    """Return the file that says what was kept: sha256 of every file, by folder and name."""
    return archive_dir(study).with_suffix(".json")


def read_archive(study: Study, *, but: str = "") -> list[pd.DataFrame]:
    """Return estimates.csv of every earlier signed release, with the true count of what it shows.

    Args:
        study: Any wave of the study.
        but: Folder of a release to leave aside, such as one that is about to be kept again.

    Raises:
        DisclosureError: What was kept of a release is torn, lacking or changed.
    """
    folder, found, listed = archive_dir(study), hash_archive(study), read_json(archive_index(study))
    names = sorted({*listed, *found} - {but})
    if wrong := [name for name in names if found.get(name) != listed.get(name)]:
        raise DisclosureError("ARCHIVE", name=study.name, names=", ".join(wrong))
    kept = []
    for name in names:
        shown = conform(read_table(folder / name / "estimates.csv"))
        truth = conform(read_table(folder / name / "truth.csv")).drop_duplicates("row_id")
        n_cell = shown["row_id"].map(truth.set_index("row_id")["n_cell"])
        kept.append(shown.assign(n_cell=n_cell.where(shown["status"] != "suppressed")))
    return kept
