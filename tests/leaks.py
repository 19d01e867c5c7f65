"""Seek markers in every file of a folder, however they are written and packed."""

import base64
import binascii
import html
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


def find_leaks(folder: Path, markers: Iterable[str]) -> list[str]:
    """Return "file: marker number" for every canary found in any file of a folder.

    Each marker is sought raw, as HTML entities, JSON escapes and URL encoding, in UTF-8, UTF-16 and
    cp932, also within base64, zip members (xlsx) and compressed PNG text.

    Args:
        folder: Searched with everything under it.
        markers: Texts that must not occur.
    """
    forms = [(number, _forms(marker)) for number, marker in enumerate(markers)]
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        pieces = list(_unpack(path.name.encode() + b"\n" + path.read_bytes(), depth=0))
        for number, shapes in forms:
            if any(shape in piece for piece in pieces for shape in shapes):
                found.append(f"{path.relative_to(folder)}: marker {number}")
    return found


def _forms(marker: str) -> set[bytes]:
    decimal = "".join(f"&#{ord(c)};" for c in marker)
    hexadecimal = "".join(f"&#x{ord(c):x};" for c in marker)
    texts = {
        marker,
        html.escape(marker),
        json.dumps(marker)[1:-1],
        json.dumps(marker).replace("\\u", "\\U")[1:-1],
        quote(marker),
        quote(marker, safe=""),
        decimal,
        hexadecimal,
        hexadecimal.upper().replace("&#X", "&#x"),
    }
    shapes = {text.encode("utf-8") for text in texts}
    shapes |= {marker.encode("utf-16-le"), marker.encode("utf-16-be")}
    return shapes | {marker.encode("cp932", "ignore")} - {b""}


def _unpack(data: bytes, *, depth: int) -> Iterable[bytes]:
    """Yield data and everything packed in it."""
    yield data
    if depth > 3:
        return
    start = data.find(b"PK\x03\x04")
    if start >= 0:
        try:
            with zipfile.ZipFile(io.BytesIO(data[start:])) as packed:
                for name in packed.namelist():
                    yield from _unpack(name.encode() + b"\n" + packed.read(name), depth=depth + 1)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
            pass
    for chunk in (b"zTXt", b"iTXt"):
        for match in re.finditer(chunk, data):
            for at in range(match.end(), min(match.end() + 100, len(data))):
                if data[at] == 0x78:
                    try:
                        yield zlib.decompressobj().decompress(data[at:])
                    except zlib.error:
                        continue
    if b"%" in data[:2_000_000] and depth == 0:
        yield unquote_to_bytes(data)
    for match in _BASE64.finditer(data):
        text = match.group()
        for shift in range(4) if len(text) < 400 else (0,):
            piece = text[shift:]
            try:
                decoded = base64.b64decode(piece[: len(piece) // 4 * 4])
            except binascii.Error:
                continue
            if len(text) > 400:
                yield from _unpack(decoded, depth=depth + 1)
            else:
                yield decoded
