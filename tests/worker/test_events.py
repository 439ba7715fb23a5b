"""What a worker may send: valid events, and everything else as one line of a WorkerError."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.core.limits import Limits
from bench.worker import process
from bench.worker.client import Worker, WorkerError
from bench.worker.events import MEASUREMENT, parse
from tests.support import fakes

RESULT: dict[str, Any] = {
    "event": "result",
    "samples": [1, 0.5],
    "images_per_sample": None,
    "unit": "s",
    "metrics": {},
    "machine": [],
    "settings": {"threads": 2},
    "peak_memory_bytes": 1 << 20,
    "device_memory_bytes": None,
}


def line(**changes: Any) -> bytes:
    return json.dumps(RESULT | changes).encode()


INVALID = {
    "number": b"1",
    "list": b"[]",
    "empty object": b"{}",
    "no line": b"",
    "half a line": b'{"event": "res',
    "not UTF-8": b'{"event": "\xff"}',
    "deep": b"[" * 100_000,
    "many digits": b'{"event": ' + b"9" * 10_000 + b"}",
    "event is no text": b'{"event": 3}',
    "unknown event": b'{"event": "finished"}',
    "unexpected event": b'{"event": "ready"}',
    "no fields": b'{"event": "result"}',
    "progress without note": b'{"event": "progress", "done": 0.5}',
    "progress of text": b'{"event": "progress", "done": "half", "note": ""}',
    "error of number": b'{"event": "error", "status": "failed", "error": 1}',
    "unknown status": b'{"event": "error", "status": "ok", "error": ""}',
    "status is a number": b'{"event": "error", "status": 0, "error": ""}',
    "status is a list": b'{"event": "error", "status": [], "error": ""}',
    "samples of text": line(samples=["1"]),
    "samples of bool": line(samples=[True]),
    "samples is a number": line(samples=1),
    "NaN": line(samples=[float("nan")]),
    "NaN in settings": line(settings={"loss": float("nan")}),
    "infinity": line().replace(b"0.5", b"1e999"),
    "metrics is a list": line(metrics=[]),
    "machine is null": line(machine=None),
    "machine of numbers": line(machine=[1]),
    "unit is null": line(unit=None),
    "negative memory": line(peak_memory_bytes=-1),
    "fractional images": line(images_per_sample=1.5),
}


@pytest.mark.parametrize("name", INVALID)
def test_a_line_that_is_not_the_expected_event_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"a line that is not|the event") as caught:
        parse(INVALID[name], "result", MEASUREMENT)
    assert "\n" not in str(caught.value)


def test_valid_events_are_taken_as_they_are() -> None:
    assert parse(line(), "result", MEASUREMENT) == RESULT
    for event in (
        {"event": "progress", "done": 1, "note": ""},
        {"event": "error", "status": "oom", "error": "a\nb"},
    ):
        assert parse(json.dumps(event).encode(), "result", MEASUREMENT) == event


def worker_that_sends(
    monkeypatch: pytest.MonkeyPatch, folder: Path, content: bytes, then: str = "exec sleep 60"
) -> Worker:
    """A shell script in the place of the child process."""
    (folder / "content").write_bytes(content)
    script = folder / "python"
    script.write_text(f"#!/bin/sh\nread command\ncat {folder}/content\n{then}\n", encoding="utf-8")
    script.chmod(0o755)
    fakes.install(monkeypatch, folder)
    monkeypatch.setattr(sys, "executable", str(script))
    return Worker(fakes.case(), folder, Limits(timeout_seconds=30))


@pytest.mark.parametrize("name", ["number", "not UTF-8", "status is a number"])
def test_an_invalid_event_ends_the_worker_with_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    with worker_that_sends(monkeypatch, tmp_path, INVALID[name] + b"\n") as worker:
        with pytest.raises(WorkerError, match=r"^worker sent .*: b'") as caught:
            worker.measure("startup", lambda done, note: None)
        assert worker._process.poll() is not None
    assert caught.value.status == "failed"
    assert len(str(caught.value).splitlines()) == 1


def test_a_line_without_an_end_is_cut_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "LONGEST_LINE", 1000)
    endless = "while true; do echo -n 0123456789; done"
    with worker_that_sends(monkeypatch, tmp_path, b"", endless) as worker:
        with pytest.raises(WorkerError, match="a line of more than 1000 bytes"):
            worker.measure("startup", lambda done, note: None)
        assert worker._process.poll() is not None
