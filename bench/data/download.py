"""Downloads: retried, resumed, verified before anybody reads them.

pooch checks each file against its checksum and moves it into place, requests brings the bytes. What
is ours is that a download goes on where it broke off, in this run or the next one, and ends where
it gets larger than the file is known to be.
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from bench.core.errors import DataError, UsageError
from bench.core.files import FULL
from bench.core.progress import Progress
from bench.core.words import MB
from bench.data.sources import RemoteFile, total_bytes

if TYPE_CHECKING:
    import requests

AT_ONCE = 6
_CHUNK = 1 << 14
_CONNECT_SECONDS, _READ_SECONDS = 10, 10
_BREAKS = 5
PAUSE_SECONDS = 0.5
_MIRRORS = ("http://", "https://", "file://")


class Stopped(Exception):  # noqa: N818 - no error, the user ended it
    """The run ends, so a download does."""


def check_mirror(mirror: str | None) -> None:
    """Refuse a mirror that is not an address.

    Raises:
        UsageError: It is none.
    """
    if mirror and not (mirror.startswith(_MIRRORS) and _is_address(mirror)):
        raise UsageError(f"mirror {mirror!r} is not an address; use http://, https:// or file://")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        # Asking for the port is what refuses one that cannot be.
        return bool(parts.path if parts.scheme == "file" else parts.hostname and parts.port != 0)
    except ValueError:
        return False


class Downloads:
    """Downloads files into a folder, several at once.

    Args:
        folder: Where they and what there is of broken ones lie, by checksum.
        mirror: Address to use in place of scheme and host, see ``check_mirror``, or None.
        progress: Shows the bytes of all files that ``expect`` announced.
    """

    def __init__(self, folder: Path, *, mirror: str | None, progress: Progress) -> None:
        self._folder = folder
        self._mirror = mirror
        self._meter = _Meter(progress)
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="download")
        self._futures: dict[str, Future[Path]] = {}
        self._session: requests.Session | None = None
        self._alive: set[str] = set()
        self._dead: dict[str, str] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let downloads run until the end of the block; what is not done then breaks off."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            yield
        finally:
            self._stop.set()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self, files: Iterable[RemoteFile]) -> None:
        """Download files in the background, each once."""
        new = {file.sha256: file for file in files if file.sha256 not in self._futures}
        self._meter.expect(len(new), total_bytes([*new.values()]))
        for sha256, file in new.items():
            self._futures[sha256] = self._pool.submit(self._get, file)

    def get(self, file: RemoteFile) -> Path:
        """Wait for a file.

        Raises:
            DataError: It cannot be fetched, or its bytes are wrong.
            OSError: The disk is full.
        """
        self.start([file])
        return self._futures[file.sha256].result()

    def remove(self) -> None:
        """Delete the files, as nobody needs them any more; what broke off stays."""
        for future in self._futures.values():
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().unlink(missing_ok=True)

    def _path(self, file: RemoteFile) -> Path:
        # The end of the name tells how a table is read.
        return self._folder / f"{file.sha256}-{unquote(file.name)[-80:]}"

    def _get(self, file: RemoteFile) -> Path:
        address = self._address(file)
        try:
            return self._verified(file, address)
        except OSError as error:
            if error.errno in FULL:
                raise
            raise DataError(f"{address} cannot be fetched: {_reason(error)}") from None

    def _verified(self, file: RemoteFile, address: str) -> Path:
        path = self._path(file)
        part = Path(f"{path}.part")
        resumed = part.is_file()
        try:
            retrieved = self._retrieve(file, path, part, address)
        except ValueError as error:
            part.unlink(missing_ok=True)
            if not resumed:
                raise _wrong_bytes(address, file, error) from None
            # Bytes of an earlier try may be at fault; those of the next are the source's own.
            return self._verified(file, address)
        self._meter.finish(file)
        return retrieved

    def _retrieve(self, file: RemoteFile, path: Path, part: Path, address: str) -> Path:
        import pooch

        pooch.get_logger().setLevel("ERROR")
        return Path(
            pooch.retrieve(
                address,
                f"sha256:{file.sha256}",
                fname=path.name,
                path=path.parent,
                downloader=lambda url, to, _: self._bring(url, Path(to), part, file),
            )
        )

    def _address(self, file: RemoteFile) -> str:
        if not self._mirror:
            return file.url
        return self._mirror.rstrip("/") + urlsplit(file.url)._replace(scheme="", netloc="").geturl()

    def _bring(self, address: str, to: Path, part: Path, file: RemoteFile) -> None:
        """Complete ``part``, which may hold the first bytes, and move it to ``to``."""
        if address.startswith("file://"):
            shutil.copyfile(url2pathname(unquote(urlsplit(address).path)), to)
            return
        broken = 0
        while not self._append(address, part, file):
            broken += 1
            if broken > _BREAKS:
                raise DataError(
                    f"{address} cannot be fetched: the download broke off {broken} times"
                )
            self._wait(PAUSE_SECONDS * 2**broken)
        part.replace(to)

    def _append(self, address: str, part: Path, file: RemoteFile) -> bool:
        """Download what is missing; False where the connection broke off."""
        import requests

        done = part.stat().st_size if part.is_file() else 0
        host = urlsplit(address).netloc
        if host in self._dead:
            raise DataError(f"{address} cannot be fetched: {self._dead[host]}")
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={done}-"} if done else {})}
        try:
            with self._requests().get(
                address, headers=headers, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS)
            ) as response:
                if response.status_code == requests.codes.requested_range_not_satisfiable:
                    part.unlink()
                    return False
                self._alive.add(host)
                response.raise_for_status()
                done = done if _goes_on(response, done) else 0
                self._write(response.iter_content(_CHUNK), part, done, file)
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ReadTimeout):
            return False
        except requests.exceptions.ConnectionError as error:
            if host in self._alive or not _is_down(error):
                return False
            # Others at the same host would wait as long for nothing.
            self._dead[host] = _reason(error)
            raise DataError(f"{address} cannot be fetched: {_reason(error)}") from None
        except requests.exceptions.RequestException as error:
            raise DataError(f"{address} cannot be fetched: {_reason(error)}") from None
        return file.bytes is None or part.stat().st_size >= file.bytes

    def _write(self, chunks: Iterable[bytes], part: Path, done: int, file: RemoteFile) -> None:
        self._meter.set(file, done)
        with part.open("r+b" if done else "wb") as stream:
            stream.seek(done)
            for chunk in chunks:
                if self._stop.is_set():
                    raise Stopped
                done += len(chunk)
                if done > file.most_bytes:
                    stream.truncate(0)
                    raise ValueError(f"more than {file.most_bytes} bytes")
                stream.write(chunk)
                self._meter.set(file, done)

    def _requests(self) -> requests.Session:
        if self._session is None:
            self._session = _session()
        return self._session

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped


class _Meter:
    """Bytes of several downloads on one bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._files = self._bytes = self._ready = 0
        self._done: dict[str, int] = {}

    def expect(self, files: int, size: int) -> None:
        """Announce files."""
        if not files:
            return
        with self._lock:
            self._files += files
            self._bytes += size
            self._progress.start(self._label(), _whole(self._bytes))
            self._show()

    def set(self, file: RemoteFile, done: int) -> None:
        """Set the bytes of a file."""
        with self._lock:
            self._done[file.sha256] = done
            self._show()

    def finish(self, file: RemoteFile) -> None:
        """Count a file as ready."""
        with self._lock:
            self._ready += 1
            self._done[file.sha256] = file.bytes or self._done.get(file.sha256, 0)
            self._show()

    def _label(self) -> str:
        return f"download, {self._ready} of {self._files} files, MB"

    def _show(self) -> None:
        self._progress.advance(_whole(sum(self._done.values())), self._label())


def _whole(size: int) -> int:
    return -(-size // MB)


def _session() -> requests.Session:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    retry = Retry(
        total=6,
        connect=2,
        # Those of reading are ours to make again, as a user may end them.
        read=0,
        status=4,
        # A server may ask for an hour.
        respect_retry_after_header=False,
        backoff_factor=PAUSE_SECONDS,
        backoff_max=30,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
    )
    session = requests.Session()
    session.headers["User-Agent"] = "sentence-bench"
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=AT_ONCE))
    session.hooks["response"].append(_refuse_other_scheme)
    # What it retries is told once it has failed for good.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    return session


def _refuse_other_scheme(response: requests.Response, *_: Any, **__: Any) -> None:
    """Follow redirects to the same scheme or to https only."""
    from requests.exceptions import InvalidSchema

    if not response.is_redirect:
        return
    to = response.headers["Location"]
    scheme = urlsplit(to).scheme
    if scheme not in ("", "https", urlsplit(response.url).scheme):
        raise InvalidSchema(f"redirected to {scheme}://, which is not followed")


def _goes_on(response: requests.Response, done: int) -> bool:
    """Whether an answer holds the bytes from ``done`` on, and not all of them."""
    if response.status_code != 206:
        return False
    return response.headers.get("Content-Range", "").startswith(f"bytes {done}-")


def _is_down(error: Exception) -> bool:
    """Whether nothing answers at a host, rather than that one answer broke off."""
    from requests.exceptions import ConnectTimeout

    reasons = ("refused", "the host name", "unreachable")
    return isinstance(error, ConnectTimeout) or any(reason in _reason(error) for reason in reasons)


def _wrong_bytes(address: str, file: RemoteFile, error: ValueError) -> DataError:
    if str(error).startswith("more than"):
        return DataError(f"{address} has {error}, its known size; nothing was kept")
    return DataError(
        f"{address} does not have the checksum {file.sha256[:12]}…; it was changed or cut short, "
        "nothing was kept"
    )


def _reason(error: Exception) -> str:
    """What went wrong, without the chain of the libraries' own objects."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"{response.status_code} {response.reason}"
    text = str(error)
    for mark in ("Name or service not known", "Temporary failure in name resolution"):
        if mark in text:
            return "the host name is not known"
    for mark in ("Connection refused", "timed out", "Network is unreachable", "redirected to"):
        if mark in text:
            at = text.index(mark)
            return re.split(r"['\")(]", text[at : at + 80])[0].strip(" .")
    return " ".join(text.split())[:200] or type(error).__name__
