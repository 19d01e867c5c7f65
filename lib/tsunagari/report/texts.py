"""What is written: every word of the report stands in ja.yaml; a study may change most of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tsunagari.errors import ConfigError


@cache
def load_texts() -> dict[str, Any]:
    """Return ja.yaml: chapters, texts, specifications of tables and figures, words."""
    path = Path(__file__).with_name("ja.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


FIXED: dict[str, Any] = load_texts()["fixed"]  # what no study changes: marks, units, drawing


def own_texts(own: Any) -> dict[str, Any]:
    """Return the texts of the report with a study's own in their places.

    Args:
        own: What the study's texts.yaml holds: the same keys, those alone that change.

    Raises:
        ConfigError: A key that the texts do not have or keep fixed, or a text of another kind.
    """
    texts = {key: part for key, part in load_texts().items() if key != "fixed"}
    return override(texts, own) | {"fixed": FIXED}


def override(known: Any, own: Any, *, at: str = "") -> Any:
    """Return texts with others in their places.

    Raises:
        ConfigError: A key that the texts do not have, or a text of another kind.
    """
    if type(known) is not type(own):
        raise _refuse(at)
    if not isinstance(known, Mapping):
        return own
    for key in own:
        if key not in known:
            raise _refuse(f"{at}{key}")
    return known | {key: override(known[key], new, at=f"{at}{key}.") for key, new in own.items()}


def _refuse(place: str) -> ConfigError:
    place = place.rstrip(".") or "texts.yaml"
    return ConfigError("TEXT_KEY", place=place)
