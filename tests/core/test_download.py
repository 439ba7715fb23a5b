"""Downloads against a small server of our own: resuming, checking, and every way to fail."""

import hashlib
import http.server
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.core import download
from bench.core.download import DownloadError, check_reachable, fetch, fetch_cifar10
from bench.core.errors import UserError

CONTENT = bytes(range(256)) * 2000
SHA = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT; the attributes make it misbehave."""

    content = CONTENT
    status = 200
    ranges = True
    wrong_range = False
    stop_after: int | None = None
    go_on: threading.Event | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []  # the Range header of each request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers["Range"]
        server.asked.append(wanted)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/data.tar.gz")
            self.end_headers()
            return
        start = 0
        if server.status != 200:
            self.send_error(server.status)
            return
        if wanted and server.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
            reported = start + 1 if server.wrong_range else start
            self.send_response(206)
            end = len(server.content)
            self.send_header("Content-Range", f"bytes {reported}-{end - 1}/{end}")
        else:
            self.send_response(200)
        if server.go_on:
            server.go_on.wait(60)
        body = server.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.stop_after])

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "data.tar.gz"


def get(server: Server, target: Path, checksum: str = SHA) -> Path:
    return fetch(server.url, target, checksum=checksum, progress=False)


@pytest.mark.parametrize("checksum", [SHA, MD5])
def test_file_arrives_whole_and_alone(server: Server, target: Path, checksum: str) -> None:
    assert get(server, target, checksum) == target
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_correct_file_is_not_fetched_again_and_a_damaged_one_is(
    server: Server, target: Path
) -> None:
    get(server, target)
    get(server, target)
    assert len(server.asked) == 1
    target.write_bytes(CONTENT[:-1])
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_interrupted_download_is_continued(server: Server, target: Path) -> None:
    server.stop_after = 200_000
    with pytest.raises(DownloadError, match="cannot be downloaded"):
        get(server, target)
    assert not target.exists()
    part = target.with_name("data.tar.gz.part")
    kept = part.stat().st_size
    assert part.read_bytes() == CONTENT[:kept]
    assert kept > 0
    server.stop_after = None
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={kept}-"]
    assert not part.exists()


_FETCHING = """
import sys
from pathlib import Path
from bench.core.download import fetch
print(fetch(sys.argv[1], Path(sys.argv[2]), checksum=sys.argv[3], progress=False))
"""


def test_a_second_process_waits_for_the_first_and_takes_its_file(
    server: Server, target: Path
) -> None:
    """It appended to the part of the first, and both ended with wrong advice."""
    server.go_on = threading.Event()
    command = [sys.executable, "-c", _FETCHING, server.url, str(target), SHA]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        (waits,), _, _ = select.select([one.stderr for one in started], [], [], 60)
        words = waits.readline()
        server.go_on.set()
        ended = [one.communicate(timeout=60) for one in started]
    finally:
        for one in started:
            one.kill()
    assert [out for out, _ in ended] == [f"{target}\n"] * 2
    assert words.startswith("alexbench: waiting for another process that downloads into")
    assert server.asked == [None]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("case", ["ignores ranges", "stale part", "too long part", "wrong range"])
def test_download_starts_afresh_where_it_cannot_be_continued(
    server: Server, target: Path, case: str
) -> None:
    target.parent.mkdir()
    old = {"stale part": b"x" * 1000, "too long part": CONTENT + b"x"}.get(case, CONTENT[:1000])
    target.with_name("data.tar.gz.part").write_bytes(old)
    server.ranges = case != "ignores ranges"
    server.wrong_range = case == "wrong range"
    get(server, target)
    assert target.read_bytes() == CONTENT
    expected = [f"bytes={len(old)}-"] + ([] if case == "ignores ranges" else [None])
    assert server.asked == expected


def test_wrong_checksum_leaves_nothing_and_tells_both(server: Server, target: Path) -> None:
    server.content = b"another file"
    received = hashlib.sha256(b"another file").hexdigest()
    with pytest.raises(UserError, match=f"expected {SHA}, received sha256:{received}") as caught:
        get(server, target)
    assert not isinstance(caught.value, DownloadError)
    assert server.url in str(caught.value)
    assert list(target.parent.iterdir()) == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [403, 404, 500])
def test_refusal_of_the_server_names_address_status_and_remedy(
    server: Server, target: Path, status: int
) -> None:
    server.status = status
    with pytest.raises(DownloadError, match=f"HTTP {status} .*set \\$ALEXBENCH_DATA") as caught:
        get(server, target)
    assert server.url in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/x", "http://no-such-host.invalid/x", "ftp://127.0.0.1/x", "http://[/x"],
)
def test_unreachable_address_fails_soon(target: Path, url: str) -> None:
    start = time.monotonic()
    with pytest.raises(DownloadError) as caught:
        fetch(url, target, checksum=SHA, progress=False)
    assert time.monotonic() - start < 10
    assert str(caught.value).startswith(url)
    assert "--data PATH" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_name_lookup_that_hangs_is_given_up(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: release.wait(5))
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.1)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    start = time.monotonic()
    with pytest.raises(DownloadError, match="name lookup"):
        fetch("http://example.invalid/x", target, checksum=SHA, progress=False)
    release.set()
    assert time.monotonic() - start < 2


def test_redirects_are_followed(server: Server, target: Path) -> None:
    url = server.url.replace("data.tar.gz", "moved")
    fetch(url, target, checksum=SHA, progress=False)
    assert target.read_bytes() == CONTENT


def test_a_server_that_refuses_is_told_in_words_without_a_number(target: Path) -> None:
    with pytest.raises(DownloadError, match=r"cannot be downloaded \(Connection refused\)"):
        fetch("http://127.0.0.1:9/file", target, checksum="md5:0", progress=False)
    with pytest.raises(DownloadError, match=r"cannot be reached \(Connection refused\)"):
        check_reachable("http://127.0.0.1:9/file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_certificates_that_are_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    with pytest.raises(DownloadError, match=r"certificates cannot be read .*\$SSL_CERT_FILE"):
        fetch("https://127.0.0.1:9/file", tmp_path / "file", checksum="md5:0", progress=False)


def test_full_disk_is_told(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("data.tar.gz.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"the disk is full.*\$ALEXBENCH_CACHE"):
        get(server, target)


def test_folder_that_cannot_be_made_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        get(server, tmp_path / "file" / "data.tar.gz")


def test_unknown_kind_of_checksum_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(ValueError, match="Received: crc:1"):
        download.file_checksum(tmp_path / "x", "crc:1")


def test_progress_is_shown_on_stderr_only(
    server: Server, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(server.url, target, checksum=SHA, progress=True)
    shown = capsys.readouterr()
    assert "data.tar.gz" in shown.err
    assert shown.out == ""
    target.unlink()
    get(server, target)
    assert capsys.readouterr().err == ""


def test_cifar10_comes_from_the_mirror_and_keeps_its_checksum(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALEXBENCH_CIFAR10_URL", server.url)
    with pytest.raises(UserError, match="expected md5:c32a1d4ab5d03f1284b67883e8d87530"):
        fetch_cifar10(tmp_path, progress=False)
    monkeypatch.setattr(download, "CIFAR10_CHECKSUM", MD5)
    path = fetch_cifar10(tmp_path, progress=False)
    assert path == download.cifar10_archive(tmp_path)
    assert path.read_bytes() == CONTENT
