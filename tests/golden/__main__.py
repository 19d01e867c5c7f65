"""Renew the golden figures and pages: .venv/bin/python -m tests.golden (about two minutes)."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.golden.net import FOLDER, RELEASES, changes, describe_release

from tsunagari.run import pipeline
from tsunagari.study.files import repository_root

source = repository_root() / "data/raw"
with tempfile.TemporaryDirectory() as root:
    shutil.copytree(source, Path(root) / "data/raw")
    os.environ["TSUNAGARI_ROOT"] = root
    for study, year in RELEASES:
        if code := pipeline.main(["report", "--study", study, "--year", year]):
            sys.exit(code)
        for part, text in describe_release(Path(root) / "reports" / study / year).items():
            path = FOLDER / f"{study}_{year}_{part}.txt"
            before = path.read_text(encoding="utf-8") if path.exists() else ""
            path.write_text(text, encoding="utf-8")
            print(f"{path.name}: {len(changes(before, text))} lines changed")
