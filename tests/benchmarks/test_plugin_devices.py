"""A pytest session on an accelerator that not every framework can use, and its ``run.json``."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from bench.cli.commands.run import run as run_command
from bench.cli.resuming import Choice
from bench.core.records import RecordStore
from bench.core.system import devices
from bench.harness.resumption.run_settings import RunSettings
from bench.plugin import Session
from bench.worker.device import probing
from tests.support import fakes, nvml_recordings


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    fakes.install(monkeypatch, tmp_path / "cache")
    nvml_recordings.none(monkeypatch)
    probing._probe.cache_clear()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(
        devices.DEVICE_KINDS, "cuda", replace(devices.DEVICE_KINDS["cuda"], here=lambda: True)
    )
    monkeypatch.chdir(tmp_path)
    return str(fakes.write_batches(tmp_path / "small", fakes.images()))


class Config:
    """As much of pytest's configuration as a session asks for."""

    def __init__(self, data: str, **given: str) -> None:
        self._options = {"bench_profile": "tiny", "bench_data": data, "bench_device": "cuda"}
        self._options |= {"bench_results": "results", "bench_no_parity": True, **given}
        self.pluginmanager = SimpleNamespace(get_plugin=lambda name: None)
        self.invocation_params = SimpleNamespace(args=())

    def getoption(self, name: str) -> Any:
        return self._options.get(name, "" if name == "bench_keep_env" else None)


@pytest.fixture
def started(batches: str) -> Iterator[Session]:
    """Of one framework that can use the device and one that cannot."""
    session = Session(Config(batches, bench_frameworks="fake,fake-gpu"))  # type: ignore[arg-type]
    tasks = [task for task in session.tasks("latency") if task.case.track == "closed"]
    items = [SimpleNamespace(callspec=SimpleNamespace(params={"task": t})) for t in tasks]
    session.pytest_collection_finish(SimpleNamespace(items=items))  # type: ignore[arg-type]
    assert session._run
    yield session
    session._run.release()


def test_a_framework_that_cannot_use_the_device_is_skipped_and_the_rest_measured(
    started: Session,
) -> None:
    first, second = sorted(
        (t for t in started.tasks("latency") if t.case.track == "closed"),
        key=lambda task: task.case.framework,
    )
    assert started.record(first).status == "skipped"
    measured = started.record(second)
    assert measured.ok, measured.error
    assert "before" in measured.environment["machine_state"]  # looked at although a row was there
    assert len(RecordStore(started._run.folder).read()) == 2  # type: ignore[union-attr]


def test_a_group_that_no_framework_can_measure_is_skipped_alone(started: Session) -> None:
    started._wanted = {key for key in started._wanted if "fake-gpu" not in key[0]}
    (task,) = (t for t in started.tasks("latency") if t.key in started._wanted)
    assert started.record(task).status == "skipped"


def test_run_json_of_a_session_has_every_option_of_alexbench_run(started: Session) -> None:
    assert started._run
    folder = started._run.folder
    settings = RunSettings.read(folder)
    assert settings
    elsewhere = {"results", "run_name", "resume", "anyway", "executor", "address"}
    names = {str(p.name) for p in run_command.params} - elsewhere
    assert settings.options.keys() == names
    context = click.Context(run_command)
    chosen = Choice.of(context, dict.fromkeys(names), Path("results"), folder.name, None)
    todo, device = chosen.jobs(fakes.PROFILE)
    again = RunSettings.now(chosen.begun(todo, device.device), fakes.PROFILE, settings.data)
    assert again.options == settings.options
    assert device.device == "cuda"
    assert {t.key for job in todo for t in job.tasks} == started._wanted
    assert set(map(tuple, settings.tasks or ())) == started._wanted
