"""Files that appear whole, temporary folders of dead processes, paths without a home, the cache."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bench.core import cache, files
from bench.core.errors import OutputError, UserError, cannot_write
from bench.core.files import expanded, sweep, temporary_directory, write_whole
from bench.core.system import process

DEAD = "4194304-1-0"


@pytest.fixture
def _no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("ALEXBENCH_CACHE", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 12345)  # of nobody in /etc/passwd
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    for content in ("old", "new"):
        write_whole(path, content, durable=True)
        assert path.read_text() == content
    write_whole(path, b"\0")
    assert path.read_bytes() == b"\0"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.html"
    write_whole(path, "old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new", durable=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_error_of_a_full_disk_is_not_bad_input(tmp_path: Path) -> None:
    full = cannot_write(tmp_path, OSError(28, "No space left on device"), "make room")
    wrong = cannot_write(tmp_path, NotADirectoryError(20, "Not a directory"), "give another")
    assert (type(full), full.exit_code) == (OutputError, 1)
    assert (type(wrong), wrong.exit_code) == (UserError, 2)
    assert str(full) == f"cannot write to {tmp_path}: No space left on device; make room"


def test_a_file_in_the_place_of_a_folder_is_called_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError) as caught:
        (tmp_path / "file").mkdir(exist_ok=True)
    found = cannot_write(tmp_path / "file" / "run", caught.value, "give another")
    assert f"{tmp_path / 'file'} is no folder; give another" in str(found)


def test_a_temporary_folder_names_its_owner_and_goes(tmp_path: Path) -> None:
    with temporary_directory(tmp_path) as name:
        assert process.identity() in name
        assert Path(name).parent == tmp_path
        assert sweep(str(tmp_path)) == 0  # its owner lives
        assert Path(name).is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_dead_processes_left_is_swept(tmp_path: Path) -> None:
    namespace = process.identity().rpartition("-")[2]
    dead = f"4194304-1-{namespace}"
    (tmp_path / f"alexbench-{dead}-x" / "inner").mkdir(parents=True)
    (tmp_path / f".alexbench-{dead}-page.html").write_text("half")
    kept = [f"alexbench-{process.identity()}-y", "alexbench-x", "other", f"alexbench-{DEAD}-z"]
    for name in kept:  # of this process, of an older version, of another program or container
        (tmp_path / name).mkdir()
    assert sweep(str(tmp_path)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_process_lives_until_it_ends() -> None:
    script = (
        "from bench.core.system.process import identity; print(identity(), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        name = child.stdout.readline().strip()
        assert process.lives(name)
        pid, started, namespace = name.split("-")
        assert not process.lives(f"{pid}-{int(started) + 1}-{namespace}")  # its id was used again
        child.communicate("\n")
    assert not process.lives(name)


def test_a_home_that_is_not_there_is_bad_input() -> None:
    with pytest.raises(UserError, match="~nosuchuser/x: no such home folder"):
        expanded("~nosuchuser/x")
    assert expanded("~/x").is_absolute()


@pytest.mark.usefixtures("_no_home")
def test_a_user_without_a_home_has_a_cache_below_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cache, "temporary_folder", lambda: tmp_path / "own")
    found = cache.cache_folder()  # the folder's owner is not the pretended user
    assert found == tmp_path / "own"
    user = (tmp_path / "alexbench-cache-12345").stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: user)
    monkeypatch.setattr(cache.platformdirs, "user_cache_path", lambda _: Path("~/.cache/x"))
    found = cache.cache_folder()
    assert found == tmp_path / f"alexbench-cache-{user}"
    assert found.stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "~").exists()


def test_a_cached_value_comes_back_for_the_same_origin_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cache" / "one.json"
    assert cache.recall(path, "origin") is None
    cache.keep(path, {"of": (1, 2)}, {"value": [0.1, None], "10": 1, "9": 2})
    assert cache.recall(path, {"of": [1, 2]}) == {"value": [0.1, None], "10": 1, "9": 2}
    assert capsys.readouterr().err == ""
    assert cache.recall(path, {"of": [1, 3]}) is None
    shown = capsys.readouterr().err
    assert shown == f"alexbench: {path}: not what was cached there; made again\n"


def test_every_changed_byte_of_a_cached_value_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "one.json"
    cache.keep(path, "origin", {"pace": 12.5, "name": "x", "list": [1, 2]})
    whole = path.read_bytes()
    value = cache.recall(path, "origin")
    for place in range(len(whole)):
        for bit in range(8):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            assert cache.recall(path, "origin") in (None, value)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        assert cache.recall(path, "origin") is None
    capsys.readouterr()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": "of another"}', '{"status": "pass"}'])
def test_a_file_that_is_no_cached_value_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "one.json"
    path.write_text(text)
    assert cache.recall(path, "origin") is None
    shown = capsys.readouterr().err
    assert shown == f"alexbench: {path}: not what was cached there; made again\n"


def test_sweeping_an_absent_folder_is_nothing(tmp_path: Path) -> None:
    assert sweep(str(tmp_path / "none")) == 0
    assert files.sweep_once(str(tmp_path / "none")) is None


@pytest.mark.parametrize("name", ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HOME", "MPLCONFIGDIR"])
@pytest.mark.parametrize("folder", ["~/x", "here"])
def test_matplotlib_makes_no_folder_where_a_variable_names_no_whole_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, folder: str
) -> None:
    monkeypatch.setenv("ALEXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLCONFIGDIR", "")
    monkeypatch.setenv(name, folder)
    cache.isolate_matplotlib()
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path / "cache" / "matplotlib")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    monkeypatch.setenv(name, str(tmp_path))
    cache.isolate_matplotlib()
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path)
