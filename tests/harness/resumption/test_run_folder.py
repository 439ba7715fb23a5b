"""The folder of a run belongs to one process, and is still the one that it was."""

import json
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest

from bench.core.errors import OutputError, UserError
from bench.core.system.process import identity
from bench.harness.resumption.run_folder import LOCK, RunFolder


def test_a_folder_is_locked_until_it_is_released(tmp_path: Path) -> None:
    first = RunFolder.create(tmp_path / "results" / "run")
    lock = first.path / LOCK
    assert json.loads(lock.read_text())["process"] == identity()
    for again in (RunFolder, RunFolder.create):
        with pytest.raises(UserError, match=rf"run is being measured by process {os.getpid()} sin"):
            again(first.path)
    first.release()
    first.release()
    assert not lock.exists()
    RunFolder(first.path).release()


def test_a_lock_that_was_left_behind_locks_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(json.dumps({"process": identity(), "since": "then"}))
    RunFolder(tmp_path).release()
    (tmp_path / LOCK).write_text("{")
    RunFolder(tmp_path).release()


def _die_holding(path: Path) -> None:
    RunFolder(path)
    os._exit(9)


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=_die_holding, args=(tmp_path,))
    child.start()
    child.join()
    assert child.exitcode == 9
    assert (tmp_path / LOCK).exists()
    RunFolder(tmp_path).release()


def test_unnamed_runs_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "20260101T000000Z"
    found = [RunFolder.create(path, numbered=True).path.name for _ in range(3)]
    assert found == [path.name, f"{path.name}-2", f"{path.name}-3"]


def test_a_folder_that_holds_a_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text("")
    with pytest.raises(UserError, match="holds a run already; go on with it with --resume"):
        RunFolder.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["records.jsonl"]


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_was_removed_is_noticed(tmp_path: Path, again: bool) -> None:
    held = RunFolder.create(tmp_path / "run")
    held.check()
    shutil.rmtree(held.path)
    if again:
        held.path.mkdir()
    with pytest.raises(OutputError, match="run was removed or replaced while it was measured"):
        held.check()
    held.release()


def test_a_folder_below_a_file_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*/file/run: .*--results"):
        RunFolder.create(tmp_path / "file" / "run")


def test_a_name_that_is_too_long_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="File name too long; ") as caught:
        RunFolder.create(tmp_path / ("x" * 300), numbered=False)
    assert caught.value.exit_code == 2
