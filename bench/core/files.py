"""Files that are complete or absent, and temporary ones that are known to be abandoned or not.

Whoever makes a temporary file or folder holds a lock on it, which the system takes away when the
process ends, however that happens. So a later run tells the leftovers of a kill from the work of
another run, on any file system that has such locks; on others nothing is ever removed. The locks of
a file system that machines share may be those of each machine alone, so that the name says whose it
is, and what another machine has made counts as left behind after a day.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    # Windows has no such locks.
    fcntl = None

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
MARK = ".bench-"


def _machine() -> str:
    """What tells this machine from others that see the same files, 16 hexadecimal digits."""
    names = [platform.node()]
    with contextlib.suppress(OSError):
        names.append(Path("/etc/machine-id").read_text(encoding="ascii"))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


MACHINE = _machine()
# Digits of it behind the mark.
_DIGITS = 4
_SECONDS_OF_OTHERS = 24 * 3600
# Windows knows neither.
_PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
TEMPORARY = re.compile(rf"\..*{re.escape(MARK)}[0-9a-f]{{8}}")
# What libraries that are not written in Python say of a full disk, in place of an error number.
_FULL_WORDS = (
    *map(os.strerror, FULL),
    "StorageFull",
    "PytorchStreamWriter failed writing",
    "unexpected pos",
)
_ATTEMPTS = 100
_LONGEST = 255


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside ``path``, flush to disk, then rename over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, handle = _reserve(path.parent, path.name, folder=False)
    with os.fdopen(handle, "wb") as stream:
        try:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def make_folder_atomic(path: Path, fill: Callable[[Path], None]) -> None:
    """Fill a temporary folder beside ``path``, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path.parent, path.name) as temporary:
        fill(temporary)
        temporary.chmod(0o755)
        if path.exists():
            with temporary_folder(path.parent, path.name) as old:
                path.rename(old / path.name)
                temporary.rename(path)
        else:
            temporary.rename(path)


@contextmanager
def temporary_folder(parent: Path, name: str = "tmp") -> Iterator[Path]:
    """A folder that is removed afterwards, unless it was renamed.

    Args:
        parent: Existing folder to make it in.
        name: What its name says of it.
    """
    path, handle = _reserve(parent, name, folder=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def _reserve(parent: Path, name: str, *, folder: bool) -> tuple[Path, int]:
    """Make a temporary file or folder that this process holds; its path and file descriptor."""
    attempts = 0
    while True:
        attempts += 1
        end = f"{MARK}{MACHINE[:_DIGITS]}{secrets.token_hex(2)}"
        start = os.fsencode(f".{name}")[: _LONGEST - len(end)]
        path = parent / (os.fsdecode(start) + end)
        try:
            handle = _open_new(path, folder)
        except (FileExistsError, FileNotFoundError):
            # Some folders, such as /proc, take nothing for ever.
            if attempts == _ATTEMPTS or not parent.is_dir():
                raise
            continue
        # Another run may remove it before it is held.
        if _lock(handle) is not False and _is_at(path, handle):
            return path, handle
        os.close(handle)


def _open_new(path: Path, folder: bool) -> int:
    if not folder:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    path.mkdir(mode=0o700)
    return os.open(path, os.O_RDONLY)


def _lock(handle: int) -> bool | None:
    """Hold an open file or folder; False where another process does, None without locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(handle))
    except FileNotFoundError:
        return False


@contextmanager
def _abandoned(path: Path) -> Iterator[bool]:
    """Whether the process that made a temporary file or folder has ended; holds it if so."""
    try:
        handle = os.open(path, os.O_RDONLY | _PLAIN)
    except OSError:
        yield False
        return
    try:
        yield _may_be_known(path, handle) and _lock(handle) is True and _is_at(path, handle)
    finally:
        os.close(handle)


def _may_be_known(path: Path, handle: int) -> bool:
    """Whether the lock of a temporary file tells whether its process has ended."""
    mark = TEMPORARY.fullmatch(path.name)
    own = path.name.rpartition(MARK)[2].startswith(MACHINE[:_DIGITS])
    others = mark is not None and not own
    return not others or time.time() - os.fstat(handle).st_mtime > _SECONDS_OF_OTHERS


def is_abandoned(path: Path) -> bool:
    """Whether the process that made a temporary file or folder has ended."""
    with _abandoned(path) as abandoned:
        return abandoned


def remove_abandoned(paths: Iterable[Path]) -> int:
    """Delete temporary files and folders whose process has ended; how many there were."""
    removed = 0
    for path in paths:
        with _abandoned(path) as abandoned:
            if abandoned:
                removed += 1
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    with contextlib.suppress(OSError):
                        path.unlink()
    return removed


def remove_folder(path: Path) -> None:
    """Delete a folder, under another name first, so that nobody finds half of it."""
    if path.is_dir():
        with temporary_folder(path.parent, path.name) as old:
            path.rename(old / path.name)


def copy_folder(
    source: Path, target: Path, copy: Callable[[str, str], object] = shutil.copy2
) -> None:
    """Copy what is in a folder, but nothing temporary, into another one.

    Args:
        source: Folder; nothing is done where there is none.
        target: Where to.
        copy: Copies a file.
    """
    if source.is_dir():
        shutil.copytree(
            source,
            target,
            copy_function=copy,
            dirs_exist_ok=True,
            ignore=lambda _, names: [name for name in names if TEMPORARY.fullmatch(name)],
        )


def check_writable(folder: Path) -> None:
    """Make a folder and try to write into it.

    Raises:
        OSError: It cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, handle = _reserve(folder, "write", folder=False)
    os.close(handle)
    path.unlink(missing_ok=True)


def out_of_room(error: BaseException) -> str | None:
    """What to do about a full disk, where that is why a library or the system failed, or None."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in FULL:
            return f"{os.strerror(seen.errno or 0)}; make room, then run the same command to go on"
        if any(words in str(seen) for words in _FULL_WORDS):
            return f"{os.strerror(errno.ENOSPC)}; make room, then run the same command to go on"
        seen = seen.__cause__ or seen.__context__
    return None


def is_folder(name: str) -> bool:
    """Whether a name, which may be a spec too long for any path, is that of a folder."""
    return os.path.isdir(name)  # noqa: PTH112 - that of pathlib raises where a name is too long


def is_file(name: str) -> bool:
    """Whether a name, which may be a spec too long for any path, is that of a file."""
    return os.path.isfile(name)  # noqa: PTH113 - likewise
