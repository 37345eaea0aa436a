"""Files are complete or absent; what a kill leaves is told from what another run works on."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core import files
from bench.core.files import (
    check_writable,
    is_abandoned,
    make_folder_atomic,
    out_of_room,
    remove_abandoned,
    temporary_folder,
    write_atomic,
)

_HOLDER = """
import sys, time
from pathlib import Path
from bench.core import files
path, _ = files._reserve(Path(sys.argv[1]), "one", folder=sys.argv[2] == "folder")
print(path, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_only_what_nobody_holds_is_removed(tmp_path: Path, kind: str) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        path = Path(holder.stdout.readline().strip())
        if kind == "folder":
            (path / "inside").touch()
        assert not is_abandoned(path)
        assert remove_abandoned([path]) == 0 and path.exists()
        holder.send_signal(signal.SIGKILL)
    assert is_abandoned(path)
    assert remove_abandoned([path]) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_removed_before_it_is_held_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, removed = files._open_new, []

    def robbed(path: Path, folder: bool) -> int:
        handle = opened(path, folder)
        if not removed:
            removed.append(path)
            path.unlink()
        return handle

    monkeypatch.setattr(files, "_open_new", robbed)
    write_atomic(tmp_path / "one", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert (tmp_path / "one").read_bytes() == b"content"


def test_a_folder_that_takes_nothing_is_not_asked_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = iter(range(1000))

    def deny(path: Path, folder: bool) -> int:
        assert next(asked, None) is not None, "it is asked for ever"
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))

    monkeypatch.setattr(files, "_open_new", deny)
    with pytest.raises(FileNotFoundError):
        check_writable(tmp_path)


def test_where_there_are_no_locks_files_are_written_and_none_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    write_atomic(tmp_path / "one", b"content")
    assert remove_abandoned([tmp_path / "one"]) == 0
    assert (tmp_path / "one").read_bytes() == b"content"


def test_links_and_queues_are_never_opened_nor_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "queue")
    (tmp_path / "kept").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    remove_abandoned([tmp_path / "link"])
    assert (tmp_path / "kept").exists()
    remove_abandoned([tmp_path / "queue"])


def test_a_name_as_long_as_can_be_is_written(tmp_path: Path) -> None:
    write_atomic(tmp_path / ("ü" * 127), b"content")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_folder_atomic(tmp_path / "made", lambda place, name=name: (place / name).touch())
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "two"]
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o755


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomic(tmp_path / "there", b"content")
    with pytest.raises(RuntimeError), temporary_folder(tmp_path):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EFBIG, "File too large"), True),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 3 vs 2"), True),
        (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"), True),
        (Exception('IoError(Os { code: 28, kind: StorageFull, message: "No space …" })'), True),
        (Exception("Error while serializing: I/O error: File too large (os error 27)"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("28"), False),
    ],
)
def test_a_full_disk_is_known_whoever_says_so(error: Exception, full: bool) -> None:
    assert (out_of_room(error) is not None) is full
    try:
        try:
            raise error
        except Exception as inner:
            raise KeyError("x") from inner
    except KeyError as outer:
        assert (out_of_room(outer) is not None) is full
