"""What may a label or remark hold: no control signs, no formula, no endless text."""

from __future__ import annotations

import unicodedata
from typing import Any

TEXT_LIMIT = 500  # characters of one label or remark; the longest of ours has 120
CUT_TEXT = "…（以下省略）"


# --- texts ----------------------------------------------------------------------------------------


def clean_text(text: object) -> str:
    """Return a text without control, bidirectional, zero-width and unassigned characters.

    One longer than 500 characters is cut, and says so.
    """
    text = str(text)
    if not text.isprintable():
        kept = (
            character
            for character in text
            if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
        )
        text = "".join(kept)
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - len(CUT_TEXT)] + CUT_TEXT


def clean_texts(texts: Any) -> Any:
    """Return texts cleaned, at any depth of lists and dictionaries."""
    if isinstance(texts, str):
        return clean_text(texts)
    if isinstance(texts, dict):
        return {key: clean_texts(value) for key, value in texts.items()}
    return [clean_texts(value) for value in texts] if isinstance(texts, list | tuple) else texts
