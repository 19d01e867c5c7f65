"""Is this the signed edition: the mark of a report that nobody has signed, and how it goes."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

from tsunagari.report.texts import FIXED

UNSIGNED, SIGNED = FIXED["unsigned"], FIXED["signed"]
_MARK = r'<(aside|style)\b[^>]*\bunsigned"[^>]*>.*?</\1>\n?'


def lift_mark(folder: Path) -> None:
    """Take the mark of an unsigned report from pages and workbook and leave every other byte.

    Args:
        folder: Release folder; the workbook then says that it is signed where it said that it is
            not.
    """
    for page in folder.glob("*.html"):
        text = re.sub(_MARK, "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        page.write_text(text, encoding="utf-8", newline="\n")
    book = folder / "tables.xlsx"
    with zipfile.ZipFile(io.BytesIO(book.read_bytes())) as old, zipfile.ZipFile(book, "w") as new:
        for part in old.infolist():
            data = old.read(part)
            if part.filename.endswith(".xml"):
                data = data.replace(UNSIGNED.encode(), SIGNED.encode())
            new.writestr(part, data)
