"""How does a finished report take the place of the last one, whole or not at all?"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import re
import resource
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from tsunagari.errors import KernelError, LockedError, WriteError
from tsunagari.study.files import read_json

SCRATCH_BYTES = 2**24  # room for a copy of published/ and for what kernels write of their own


@contextlib.contextmanager
def locked(processed: Path) -> Iterator[Path]:
    """Hold the lock of one report and give a short private folder for kernels' own files.

    The lock is the operating system's and ends with the process. A note beside it says who runs,
    and the name in the temporary folder of what a killed run left for the next one to clear away.

    Args:
        processed: Folder of the wave's results; the lock stands beside it.

    Raises:
        LockedError: Another process makes the same report.
        WriteError: The temporary folder is full or may not be written.
    """
    processed.parent.mkdir(parents=True, exist_ok=True)
    note = processed.with_name(f".run-{processed.name}.json")
    lock = FileLock(processed.with_name(f".lock-{processed.name}"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        told = read_json(note)
        who = f"pid {told.get('pid', '?')}, {told.get('started', '?')}"
        raise LockedError("LOCKED", who=who) from error
    try:
        left = str(read_json(note).get("scratch"))
        discard(note)
        with _scratch(left) as folder:
            started = datetime.now().astimezone().isoformat(timespec="seconds")
            told = {"pid": os.getpid(), "started": started, "scratch": folder.name}
            note.write_text(json.dumps(told), encoding="utf-8")
            yield folder
    finally:
        discard(note)
        lock.release()


@contextlib.contextmanager
def _scratch(left: str) -> Iterator[Path]:
    """Give a private folder in the temporary one, and clear away the one that a killed run left."""
    with contextlib.ExitStack() as stack:
        try:
            if re.fullmatch("tsunagari-[a-z0-9_]{8}", left):  # a name of ours, never a path
                shutil.rmtree(Path(tempfile.gettempdir(), left), ignore_errors=True)
            made = tempfile.TemporaryDirectory(prefix="tsunagari-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made))
            if shutil.disk_usage(folder).free < SCRATCH_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise WriteError("TEMP_FOLDER", strerror=error.strerror) from error
        yield folder


def discard(path: Path) -> None:
    """Delete a file, a folder whatever its permissions, or a link but not what it leads to.

    Raises:
        WriteError: It cannot be deleted, such as another user's folder.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
            for folder, inside, _ in os.walk(path):  # enters a folder after this
                for one in (Path(folder, name) for name in inside):
                    if not one.is_symlink():
                        one.chmod(0o700)
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        place = "/".join(path.parts[-3:])
        raise WriteError("LEFT_OVER", place=place) from error


def aside(target: Path) -> Path:
    """Return where a folder waits while the next one takes its place."""
    return target.with_name(f".old-{target.name}")


def staging(target: Path) -> Path:
    """Return where the next folder grows, on the same file system."""
    return target.with_name(f".staging-{target.name}")


def recover(target: Path) -> None:
    """Put back what a run that was killed between two renames left aside."""
    if aside(target).is_dir() and not aside(target).is_symlink() and not target.exists():
        aside(target).rename(target)
    discard(aside(target))


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
    _sync(target.parent)
    with contextlib.suppress(WriteError):  # the new one stands; the next run says so
        discard(aside(target))
        discard(new)


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


# What a report of ehime took, and some more: below, kernels die in ways that name another cause.
_LIMITS = (
    (resource.RLIMIT_NOFILE, "ulimit -n", 128, 1, "files"),
    (resource.RLIMIT_AS, "ulimit -v", 3_000_000, 1024, "kB"),
)


def check_limits() -> None:
    """Check that the shell lets a run open enough files and take enough memory.

    Raises:
        KernelError: A limit is too low; the message names it and what is needed.
    """
    for limit, name, needed, size, unit in _LIMITS:
        found = resource.getrlimit(limit)[0]
        if found != resource.RLIM_INFINITY and found < needed * size:
            raise KernelError("LIMIT", name=name, value=found // size, unit=unit, needed=needed)


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
        raise WriteError("OUTPUT_LINK", place=place)
    nearest = next(path for path in reversed([root, *inside[:-1]]) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise WriteError("OUTPUT_FOLDER", place=place)
