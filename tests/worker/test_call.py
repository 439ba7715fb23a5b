"""Functions of a framework's weight-file module, called in a worker of their own."""

import os
import tempfile
from pathlib import Path

import pytest

from bench.core.errors import UserError
from bench.training.frameworks import FRAMEWORKS
from bench.worker.client import call, shared_workers
from tests.support import fakes


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")


def test_arguments_and_results_travel_and_prints_do_not() -> None:
    given = {"path": "/a/\u00e4", "number": 3, "nested": {"list": [1, "\udcff.pth", None]}}
    assert call(FRAMEWORKS["fake-files"], "echo", **given) == given
    assert call(FRAMEWORKS["fake-files"], "nothing") == {}


def test_the_worker_has_its_modules_blocked_and_is_a_child_of_this_process() -> None:
    assert call(FRAMEWORKS["fake-files"], "facts") == {"blocked": True, "parent": os.getpid()}


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("refuse", {"path": "x.pth"}, r"x\.pth: not a whole file; get it again"),
        ("fail", {}, "fake-files: fail: .*lines"),
        ("die", {}, "fake-files: die: worker killed by SIGSEGV: last words"),
        ("absent", {}, "fake-files: absent: AttributeError: .*absent.*"),
        ("text", {}, "fake-files: text: worker sent the event 'result' with a wrong 'returned'.*"),
    ],
)
def test_every_failure_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    function: str,
    arguments: dict[str, str],
    message: str,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(UserError, match=f"^{message}$"):
        call(FRAMEWORKS["fake-files"], function, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_the_user_sees_what_is_printed_where_that_is_asked_for(
    capfd: pytest.CaptureFixture[str],
) -> None:
    call(FRAMEWORKS["fake-files"], "echo")
    assert capfd.readouterr() == ("", "")
    call(FRAMEWORKS["fake-files"], "echo", show_stderr=True)
    assert capfd.readouterr() == ("", "not a line of the protocol\nneither is this\n")


def test_workers_are_shared_within_a_block_and_replaced_after_a_death() -> None:
    row = FRAMEWORKS["fake-files"]
    with shared_workers():
        first = call(row, "pid")
        with shared_workers():
            assert call(row, "pid") == first
        with pytest.raises(UserError, match="lines"):
            call(row, "fail")
        assert call(row, "pid") == first
        with pytest.raises(UserError, match="SIGSEGV"):
            call(row, "die")
        second = call(row, "pid")
        assert second != first
    assert fakes.gone(second["pid"])
    assert call(row, "pid") not in (first, second)
