"""How does a finished report take the place of the last one, whole or not at all?"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tsunagari.study import LockedError, WriteError


@contextlib.contextmanager
def locked(processed: Path) -> Iterator[Path]:
    """Hold the lock of one report and give a short private folder for kernels' own files.

    The lock is the operating system's and ends with the process. A note beside it says who runs,
    and what a killed run left behind for the next one to clear away.

    Args:
        processed: Folder of the wave's results; the lock stands beside it.

    Raises:
        LockedError: Another process makes the same report.
    """
    processed.parent.mkdir(parents=True, exist_ok=True)
    note = processed.with_name(f".run-{processed.name}.json")
    lock = FileLock(processed.with_name(f".lock-{processed.name}"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        told = read_json(note)
        who = f"pid {told.get('pid', '?')}, {told.get('started', '?')}"
        raise LockedError(
            "LOCKED",
            f"同じレポートを別の実行が作成中です（{who}）。終わってからもう一度実行してください。",
            f"Another run is making the same report ({who}): run again when it has ended.",
        ) from error
    try:
        if left := read_json(note).get("scratch"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="tsunagari-", ignore_cleanup_errors=True) as folder:
            started = datetime.now().astimezone().isoformat(timespec="seconds")
            told = {"pid": os.getpid(), "started": started, "scratch": folder}
            note.write_text(json.dumps(told), encoding="utf-8")
            yield Path(folder)
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; nothing where there is none or it is torn."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def aside(target: Path) -> Path:
    """Return where a folder waits while the next one takes its place."""
    return target.with_name(f".old-{target.name}")


def staging(target: Path) -> Path:
    """Return where the next folder grows, on the same file system."""
    return target.with_name(f".staging-{target.name}")


def recover(target: Path) -> None:
    """Put back what a run that was killed between two renames left aside."""
    if aside(target).exists() and not target.exists():
        aside(target).rename(target)
    shutil.rmtree(aside(target), ignore_errors=True)


def swap_in(target: Path) -> None:
    """Put the finished staging folder in the place of the last one; nobody ever sees half of one.

    Everything is on the disk before the swap, so that neither a kill nor a power cut leaves a torn
    file under a released name.
    """
    new = staging(target)
    for path in [*new.rglob("*"), new]:
        _sync(path)
    if not target.exists():
        new.rename(target)
    elif not _exchange(new, target):
        # No exchange on this system: two renames, and recover() mends a kill between them.
        target.rename(aside(target))
        new.rename(target)
        shutil.rmtree(aside(target), ignore_errors=True)
    _sync(target.parent)
    shutil.rmtree(new, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step with Linux's renameat2; False where there is none."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of linux/fs.h
    return function(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def check_writable(target: Path, *, root: Path) -> None:
    """Check that results can stand where they belong, without touching anything.

    Args:
        target: Folder of results, below `root`.
        root: Folder that holds data/ and reports/.

    Raises:
        WriteError: A link leads out of the tree, or a folder may not be written.
    """
    place = target.relative_to(root)
    inside = [root.joinpath(*place.parts[: count + 1]) for count in range(len(place.parts))]
    if any(path.is_symlink() for path in inside):
        raise WriteError(
            "OUTPUT_LINK",
            f"{place} の途中にリンクがあります。ふつうのフォルダーに替えてください。",
            f"There is a link on the way to {place}: replace it by an ordinary folder.",
        )
    nearest = next(path for path in reversed([root, *inside[:-1]]) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise WriteError(
            "OUTPUT_FOLDER",
            f"{place} に書き込めません。フォルダーの権限を確かめてください。",
            f"{place} cannot be written: check the folder's permissions.",
        )
