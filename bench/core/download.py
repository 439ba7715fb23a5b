"""Downloads a file whole or not at all: resumable, checked, renamed into place at the end."""

import errno
import fcntl
import hashlib
import os
import re
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import httpx
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from bench.core import terminal
from bench.core.errors import UserError, kind_of, notice

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
# Published on the same author's CIFAR-10 page, next to the link.
CIFAR10_CHECKSUM = "md5:c32a1d4ab5d03f1284b67883e8d87530"

# Of the Python archive, as keras/src/datasets/cifar10.py has it; names of Keras 2 and 3.
KERAS_CHECKSUM = "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
KERAS_NAMES = ("cifar-10-batches-py-target_archive", "cifar-10-batches-py.tar.gz")

CONNECT_SECONDS = 4.0  # offline has to show soon: other data may stand in
SLOW_SECONDS = 10.0  # of a download, before its rate is said
SAY_SECONDS = 60.0  # from one such line to the next
_WAY_ON = "; to go on without it: Ctrl-C, then --data generated"
READ_SECONDS = 30.0  # a slow server is not an absent one
_ADVICE = (
    "check the network, or get the file elsewhere and set $ALEXBENCH_DATA or pass --data PATH "
    "(--data generated needs no file)"
)


class DownloadError(UserError):
    """The server could not be reached or did not give the file; nothing is wrong with the input."""


class _StalePartError(Exception):
    """What was downloaded before cannot be continued."""


def fetch_cifar10(cache: Path, progress: bool = True) -> Path:
    """The official binary archive within `cache`, downloaded where it is not there yet.

    $ALEXBENCH_CIFAR10_URL names a mirror; the checksum stays the official one. Raises as `fetch`.
    """
    url = os.environ.get("ALEXBENCH_CIFAR10_URL") or CIFAR10_URL
    return fetch(url, cifar10_archive(cache), checksum=CIFAR10_CHECKSUM, progress=progress)


def in_keras_cache(own: Path) -> Path | None:
    """The Python archive of CIFAR-10 that Keras has downloaded, where it is whole and `own`, ours,
    is not there."""
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    try:
        folder = Path(home).expanduser() / "datasets"
    except RuntimeError:  # no home: Keras has none either
        return None
    for path in () if own.is_file() else (folder / name for name in KERAS_NAMES):
        try:
            if path.is_file() and file_checksum(path, KERAS_CHECKSUM) == KERAS_CHECKSUM:
                return path
        except OSError:
            continue
    return None


def downloaded_cifar10(cache: Path) -> Path | None:
    """The official archive of a cache, where it is there and whole."""
    own = cifar10_archive(cache)
    with suppress(OSError):
        if own.is_file() and file_checksum(own, CIFAR10_CHECKSUM) == CIFAR10_CHECKSUM:
            return own
    return None


def cifar10_archive(cache: Path) -> Path:
    """Where `fetch_cifar10` puts the archive."""
    return cache / "downloads" / "cifar-10-binary.tar.gz"


def fetch(url: str, target: Path, *, checksum: str, progress: bool = True) -> Path:
    """Download `url` to `target` and return it; at once when `target` is there and correct.

    `checksum` is "md5:…" or "sha256:…" with hex digits. An interrupted download stays next to the
    target as `.part` and is continued next time, or started again where the server cannot continue
    it. While another process downloads it, this one waits. `progress` shows a bar on stderr.
    Raises DownloadError when the network or the server fails, UserError on a wrong checksum (the
    part is removed) or when the disk does not take it.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        if target.is_file() and file_checksum(target, checksum) == checksum:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent):
            if target.is_file() and file_checksum(target, checksum) == checksum:
                return target  # by the process that was waited for
            return _fetch(url, part, target, checksum, progress)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or error
        raise kind_of(error)(
            f"{part}: cannot be written ({reason}); make room, or set $ALEXBENCH_CACHE to a "
            "folder that can be written"
        ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """A folder for one process that downloads at a time: two would write into each other's part."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            notice(f"waiting for another process that downloads into {folder}{_WAY_ON}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


def file_checksum(path: Path, like: str) -> str:
    """The checksum of a file as "md5:…" or "sha256:…", whichever `like` is. Raises OSError."""
    kind = like.partition(":")[0]
    if kind not in ("md5", "sha256"):
        raise ValueError(f"a checksum is md5:… or sha256:…. Received: {like}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    return f"{kind}:{digest.hexdigest()}"


def _fetch(url: str, part: Path, target: Path, checksum: str, progress: bool) -> Path:
    received = ""
    for attempt in ("resume", "afresh"):
        resumed = part.stat().st_size if part.exists() and attempt == "resume" else 0
        try:
            _transfer(url, part, resumed, progress)
        except _StalePartError:
            continue
        received = file_checksum(part, checksum)
        if received == checksum:
            os.replace(part, target)
            return target
        part.unlink()
        if not resumed:  # an old part may be of another version; a fresh file has no excuse
            break
    raise UserError(
        f"{url}: wrong checksum: expected {checksum}, received {received}; "
        "the file there is not the right one: get it elsewhere and set $ALEXBENCH_DATA "
        "or pass --data PATH"
    )


def _transfer(url: str, part: Path, resumed: int, progress: bool) -> None:
    # identity: the checksum is over the file as it is stored, not as a server may repack it
    headers = {"Accept-Encoding": "identity"}
    if resumed:
        headers["Range"] = f"bytes={resumed}-"
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    try:
        look_up(url)
        with (
            _client(url, timeout) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if resumed and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise _StalePartError
            response.raise_for_status()
            _write(response, part, resumed, progress)
    except httpx.HTTPStatusError as error:
        status = f"HTTP {error.response.status_code} {error.response.reason_phrase}".strip()
        raise DownloadError(f"{url}: {status}; {_ADVICE}") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError) as error:
        raise DownloadError(f"{url}: cannot be downloaded ({_why(error)}); {_ADVICE}") from error


def _client(url: str, timeout: httpx.Timeout) -> httpx.Client:
    """A client. Raises DownloadError where the certificates that the user names cannot be read."""
    try:
        return httpx.Client(timeout=timeout, follow_redirects=True)
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise DownloadError(
            f"{url}: cannot be downloaded: the certificates cannot be read ({reason}); check "
            "$SSL_CERT_FILE and $SSL_CERT_DIR"
        ) from error


def _write(response: httpx.Response, part: Path, resumed: int, progress: bool) -> None:
    if resumed and response.status_code == httpx.codes.PARTIAL_CONTENT:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {resumed}-"):
            raise _StalePartError
    else:
        resumed = 0  # the server sends all of it
    length = response.headers.get("Content-Length", "")
    total = resumed + int(length) if length.isdigit() else None
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    rates = (TransferSpeedColumn(), TimeRemainingColumn())
    console = terminal.console(stderr=True)
    bar = Progress(*columns, *rates, console=console, disable=not progress)
    pace = _Pace(part.stem, resumed, total)
    with bar, part.open("ab" if resumed else "wb") as file:
        task = bar.add_task(part.stem, total=total, completed=resumed)
        for chunk in response.iter_raw(1 << 16):
            file.write(chunk)
            bar.advance(task, len(chunk))
            if words := pace.after(len(chunk)):
                notice(words)


class _Pace:
    """The rate of a download, said in a line where it will take long: a bar is not always seen."""

    def __init__(self, name: str, resumed: int, total: int | None) -> None:
        self._name, self._total = name, total
        self._received, self._resumed = 0, resumed
        self._began = monotonic()
        self._next = SLOW_SECONDS

    def after(self, size: int) -> str:
        """A line after a chunk of ``size`` bytes; empty nearly always."""
        self._received += size
        passed = monotonic() - self._began
        if passed < self._next:
            return ""
        self._next = passed + SAY_SECONDS
        rate = self._received / max(passed, 1e-3)
        there = self._resumed + self._received
        if self._total is None:
            return f"downloading {self._name}: {there / 1e6:.0f} MB at {_per_second(rate)}{_WAY_ON}"
        left = (self._total - there) / max(rate, 1)
        if left < SLOW_SECONDS:
            return ""
        minutes = f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left"
        done = f"{there / 1e6:.0f} of {self._total / 1e6:.0f} MB"
        return f"downloading {self._name}: {done} at {_per_second(rate)}, {minutes}{_WAY_ON}"


def _per_second(rate: float) -> str:
    return f"{rate / 1e6:.1f} MB/s" if rate >= 1e6 else f"{rate / 1e3:.0f} kB/s"


def check_reachable(url: str) -> None:
    """Raise DownloadError where a server does not answer within seconds."""
    if urlsplit(url).scheme not in ("http", "https"):
        return
    timeout = httpx.Timeout(2 * CONNECT_SECONDS, connect=CONNECT_SECONDS)
    try:
        look_up(url)
        httpx.head(url, timeout=timeout, follow_redirects=True).raise_for_status()
    except (httpx.HTTPError, OSError) as error:
        raise DownloadError(f"{url}: cannot be reached ({_why(error)})") from error


def _why(error: Exception) -> str:
    """The words of an error, without the number that the system's own begin with."""
    words = re.sub(r"\[Errno -?\d+\] ", "", " ".join(str(error).split()))
    return words or type(error).__name__


def look_up(url: str) -> None:
    """Raise httpx.ConnectTimeout when the host's name does not resolve in CONNECT_SECONDS.

    The connect timeout does not cover the system's name lookup, which can take a minute offline.
    """
    parts = urlsplit(url)
    host = parts.hostname
    proxies = urllib.request.getproxies()
    if host is None or parts.scheme in proxies or "all" in proxies:  # a proxy looks names up
        return

    def resolve() -> None:
        try:
            socket.getaddrinfo(host, None)
        except OSError:  # the connection itself reports it better
            return

    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if thread.is_alive():
        raise httpx.ConnectTimeout(f"no answer to the name lookup in {CONNECT_SECONDS:.0f} s")
