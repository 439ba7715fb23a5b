"""Jobs to records: failures that stay with their own case, and runs that go on where they ended."""

import gc
import io
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.cli.progress import Display, result_line
from bench.core import signals
from bench.core.errors import OutputError, UserError
from bench.core.kinds import TIMED
from bench.core.records import Record, RecordStore
from bench.harness import ceilings
from bench.harness import measure as measurements
from bench.harness import run as runner
from bench.harness.ceilings import Found
from bench.harness.matrix import Task, jobs
from bench.harness.run import Run, open_run, run_all
from bench.harness.selection import Selection
from tests.support import fakes
from tests.support.synthetic_records.synthetic import make_record


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache", fakes.UNDRAWN)


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(fakes.write_batches(tmp_path_factory.mktemp("data") / "small", fakes.images()))


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "results"
    yield folder
    assert list(folder.rglob(".writable")) == []


class Listener:
    """Remembers what was reported to it, and how many lines were on the disk by then."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.reported: list[tuple[str, str, str]] = []
        self.lines: list[int] = []

    def planned(self, plan: Any) -> None:
        raise AssertionError("these profiles have no time plan")

    def started(self, task: Task) -> None:
        self.reported.append(("started", task.case.framework, task.kind))

    def progress(self, done: float, note: str) -> None:
        assert 0 <= done <= 1

    def note(self, text: str) -> None:
        self.reported.append(("note", text, ""))

    def certifying(self, done: float, note: str) -> None:
        raise AssertionError("these runs ask for no certificate")

    def certificate_done(self, certificate: Any) -> None:
        raise AssertionError("these runs ask for no certificate")

    def finished(self, record: Record) -> None:
        self.reported.append((record.status, record.case.framework, record.kind))
        self.lines.append(len(self.run.store.read()))


def selection(*frameworks: str, **more: Any) -> Selection:
    return Selection(frameworks=frameworks, **{"tracks": ("closed",), **more})


def measure(run: Run, chosen: Selection, **more: Any) -> Listener:
    listener = Listener(run)
    run_all(run, jobs(chosen, run.profile), listener, parity=False, **more)
    return listener


_STARTED: list[Run] = []


def start(results: Path, batches: str, *, resume: bool = False, **changes: Any) -> Any:
    """A run, or the one before it gone on with, as by another process."""
    while _STARTED:
        _STARTED.pop().release()
    profile = replace(fakes.PROFILE, **changes)
    opened = open_run(results, "run", resume, profile, batches)
    _STARTED.append(opened[0])
    return opened


def keys(records: list[Record]) -> list[tuple[str, str, str]]:
    return [(record.case.framework, record.kind, record.status) for record in records]


def test_a_record_says_all_about_its_measurement(results: Path, batches: str) -> None:
    run, done = start(results, batches)
    assert done == set()
    measure(run, selection("fake", kinds=("train_throughput", "accuracy")))
    timed, trained = run.store.read()
    for record in (timed, trained):
        assert record.ok
        assert record.error is None
        assert record.dataset == run.dataset.describe()
        assert record.dataset["train_images"] == fakes.TRAIN
        assert record.started_at.endswith("+00:00")
        assert record.seconds > 0
        assert record.peak_memory_bytes
        assert record.parity["status"] == "unchecked"
        assert record.parity["problem"]
        assert set(record.environment["versions"]) == {"numpy"}
    assert (timed.unit, timed.images_per_sample) == ("s", 16 * timed.metrics["steps_per_sample"])
    assert timed.summary["images_per_second"] > 0
    assert trained.unit == "fraction"
    assert sum(map(sum, trained.metrics["confusion"])) == fakes.TEST


def test_a_signal_while_a_group_is_written_comes_after_its_last_record(
    results: Path, batches: str
) -> None:
    """Records of a group are pairs: half of them, and another half by --resume, would be none."""
    run, _ = start(results, batches)

    class Stops(Listener):
        def finished(self, record: Record) -> None:
            if len(run.store.read()) == 1:
                os.kill(os.getpid(), signal.SIGTERM)

    chosen = selection("fake", "fake-two", kinds=("startup", "latency"))
    with signals.raising(), pytest.raises(signals.Stopped):
        run_all(run, jobs(chosen, run.profile), Stops(run), parity=False)
    records = run.store.read()
    assert len(records) == 4
    assert len({record.metrics["interleaving"]["group"] for record in records}) == 1


def test_a_signal_is_not_held_back_after_a_record_that_could_not_be_written(
    results: Path, batches: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RecordStore, *records: Record) -> None:
        raise OutputError("no space left")

    run, _ = start(results, batches)
    monkeypatch.setattr(RecordStore, "append", full)
    chosen = jobs(selection("fake", "fake-two", kinds=("startup",)), run.profile)
    with signals.raising():
        with pytest.raises(OutputError) as kept:  # it holds on to the frames that it went through
            run_all(run, chosen, Listener(run), parity=False)
        with pytest.raises(signals.Stopped):
            os.kill(os.getpid(), signal.SIGTERM)
    assert "no space left" in str(kept.value)


def test_the_parent_keeps_no_record_that_is_written(
    results: Path, batches: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a run is: its records are on the disk, and only there."""
    alive: list[weakref.ref[Record]] = []
    most = 0

    def measured(match: Any, data: Path, limits: Any, listener: Any, *_: Any) -> Iterator[Record]:
        nonlocal most
        for task in match[0].tasks:
            record = replace(make_record(kind=task.kind), case=task.case)
            alive.append(weakref.ref(record))
            yield record
            del record
            gc.collect()
            most = max(most, sum(ref() is not None for ref in alive))

    monkeypatch.setattr(runner, "measure", measured)

    def kept(self: RecordStore, record: Record) -> None:
        alive.append(weakref.ref(record))

    monkeypatch.setattr(RecordStore, "append", kept)
    run, _ = start(results, batches)
    chosen = selection("fake", kinds=("startup", "inference", "train_throughput"))
    run_all(run, jobs(chosen, run.profile), Display(9, Console(file=io.StringIO())), parity=False)
    assert len(alive) > 5
    assert most <= 2  # the one that was just yielded, as measured and as complete


def test_nothing_in_a_record_names_this_machine_or_its_user(results: Path, batches: str) -> None:
    run, _ = start(results, batches)
    measure(run, selection("fake", "fake-raise", "fake-segfault", kinds=("startup", "accuracy")))
    text = run.store.path.read_text("utf-8")
    assert '"failed"' in text
    assert "planted failure" in text
    for private in (
        f'"{os.uname().nodename}"',
        str(Path(runner.__file__).parents[2]),
        str(results),
    ):
        assert private not in text
    assert f"{Path.home()}/" not in text


def test_a_dying_worker_takes_its_own_task_alone(results: Path, batches: str) -> None:
    run, _ = start(results, batches)
    listener = measure(run, selection("fake-segfault", "fake"))
    died = [("fake-segfault", kind) for kind in ("startup", "train_throughput", "accuracy")]
    for record in run.store.read():
        expected = "failed" if (record.case.framework, record.kind) in died else "ok"
        assert record.status == expected
        if expected == "failed":
            assert "SIGSEGV" in str(record.error)
            assert "last words" in str(record.error)
            assert record.samples == ()
    order = [(name, kind) for name in ("fake-segfault", "fake") for kind in TIMED]
    order += [("fake-segfault", "accuracy"), ("fake", "accuracy")]
    assert [found[:2] for found in keys(run.store.read())] == order
    # Each was on the disk before anybody heard of it.
    assert listener.lines == list(range(1, len(order) + 1))
    begun = [reported[1:] for reported in listener.reported if reported[0] == "started"]
    assert sorted(begun) == sorted(order)
    assert [reported[1:] for reported in listener.reported if reported[0] != "started"] == order


def test_every_way_to_fail_has_its_status(results: Path, batches: str) -> None:
    """And three that fail leave the fourth of their group unharmed."""
    run, _ = start(results, batches, limits=fakes.IMPATIENT)
    expected = {"fake-oom": "oom", "fake-hang": "timeout", "fake-exit": "failed", "fake": "ok"}
    measure(run, selection(*expected, kinds=("startup", "inference")))
    assert keys(run.store.read()) == [
        (framework, kind, status if kind == "startup" else "ok")
        for framework, status in expected.items()
        for kind in ("startup", "inference")
    ]


def test_a_result_that_json_cannot_hold_fails_its_own_case(results: Path, batches: str) -> None:
    run, _ = start(results, batches)
    measure(run, selection("fake-not-json", "fake", kinds=("startup",)))
    assert [record.status for record in run.store.read()] == ["failed", "ok"]


def test_a_network_that_cannot_be_built_fails_every_task_once(results: Path, batches: str) -> None:
    run, _ = start(results, batches)
    measure(run, selection("fake-unbuildable", kinds=TIMED))
    assert keys(run.store.read()) == [("fake-unbuildable", kind, "failed") for kind in TIMED]


def test_a_diverged_training_is_a_result(results: Path, batches: str) -> None:
    run, _ = start(results, batches)
    measure(run, selection("fake-diverge", kinds=("accuracy",)))
    (record,) = run.store.read()
    assert record.ok
    assert record.metrics["diverged"]
    assert record.metrics["curve"][-1]["train_loss"] is None


def test_resume_measures_what_is_missing_or_failed(results: Path, batches: str) -> None:
    run, _ = start(results, batches)
    measure(run, selection("fake", kinds=("startup", "latency")))
    measure(run, selection("fake-raise", kinds=("startup",)))
    before = run.store.path.read_text("utf-8").splitlines()

    run, done = start(results, batches, resume=True)
    assert {kind for _, kind in done} == {"startup", "latency"}
    listener = measure(run, selection("fake", "fake-raise", kinds=TIMED), done=done)
    assert {reported for reported in listener.reported if reported[0] == "started"} == {
        ("started", "fake", "train_throughput"),
        ("started", "fake", "inference"),
        *(("started", "fake-raise", kind) for kind in TIMED),
    }
    after = run.store.path.read_text("utf-8").splitlines()
    assert after[:2] == before[:2]
    assert len({record.key for record in run.store.read()}) == len(after) == 8
    aside = (run.folder / "attempts.jsonl").read_text("utf-8").splitlines()
    assert aside == before[2:]


def test_resume_of_a_finished_run_measures_nothing(results: Path, batches: str) -> None:
    run, _ = start(results, batches)
    measure(run, selection("fake", kinds=("latency",)))
    before = run.store.path.read_bytes()
    run, done = start(results, batches, resume=True)
    assert measure(run, selection("fake", kinds=("latency",)), done=done).reported == []
    assert run.store.path.read_bytes() == before


def test_other_data_is_refused_and_nothing_is_touched(
    results: Path, batches: str, tmp_path: Path
) -> None:
    run, _ = start(results, batches)
    measure(run, selection("fake-raise", kinds=("startup",)))
    run.release()
    before = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    assert "contact_sheet.png" in before
    other = fakes.write_batches(tmp_path / "other", fakes.images(90, 40))
    with pytest.raises(UserError, match="resume with the same data") as caught:
        start(results, str(other), resume=True)
    assert run.dataset.fingerprint[:12] in str(caught.value)
    assert {path.name: path.read_bytes() for path in run.folder.iterdir()} == before


def test_records_without_a_fingerprint_are_other_data(results: Path, batches: str) -> None:
    RecordStore(results / "run").append(Record(fakes.case(), "latency", "failed"))
    with pytest.raises(UserError, match="resume with the same data"):
        start(results, batches, resume=True)


def test_a_name_that_is_taken_is_refused(results: Path, batches: str) -> None:
    run, _ = start(results, batches)
    measure(run, selection("fake", kinds=("latency",)))
    with pytest.raises(UserError, match="holds a run already; go on with it with --resume"):
        start(results, batches)


def test_nothing_to_resume_is_bad_input(results: Path, batches: str) -> None:
    with pytest.raises(UserError, match="no run 'run' to resume"):
        start(results, batches, resume=True)
    with pytest.raises(UserError, match="no run to resume"):
        open_run(results, None, True, fakes.PROFILE, batches)
    assert not results.exists()


def test_without_a_name_the_newest_run_is_gone_on_with(results: Path, batches: str) -> None:
    for age, name in enumerate(("first", "second", "third")):
        store = RecordStore(results / name)
        store.append(Record(fakes.case(), "latency", "failed"))
        os.utime(store.path, (1000, 1000 + age % 2))
    with pytest.raises(UserError, match="second was measured on"):
        open_run(results, None, True, fakes.PROFILE, batches)


def test_a_new_run_is_named_by_the_time(results: Path, batches: str) -> None:
    run, _ = open_run(results, None, False, fakes.PROFILE, batches)
    assert run.folder.parent == results
    assert len(run.folder.name) == len("20260101T000000Z")
    assert (run.folder / "contact_sheet.png").stat().st_size > 0


def test_a_folder_that_cannot_be_written_is_told_before_anything(
    tmp_path: Path, batches: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*--results"):
        open_run(tmp_path / "file" / "results", "run", False, fakes.PROFILE, batches)


def test_a_profile_takes_its_part_of_the_data(results: Path, batches: str) -> None:
    run, _ = start(results, batches, train_images=40, test_images=20)
    measure(run, selection("fake", kinds=("accuracy",)))
    (record,) = run.store.read()
    assert (record.dataset["train_images"], record.dataset["test_images"]) == (40, 20)
    assert "subset 40 + 20" in record.dataset["name"]


def _alexbench(results: Path, batches: str, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "bench", "run", "--profile", "tiny", "--frameworks", "fake-slow,fake",
        "--data", batches, "--results", str(results), "--run", "killed", *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_a_killed_run_keeps_its_records_and_is_completed_by_resume(
    results: Path, batches: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))  # a killed run cannot tidy up
    path = results / "killed" / "records.jsonl"
    with subprocess.Popen(
        _alexbench(results, batches), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        ends = time.monotonic() + 60
        while not (path.exists() and path.read_bytes().count(b"\n") >= 3):
            assert process.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    whole = jobs(Selection(frameworks=("fake-slow", "fake")), fakes.PROFILE)
    wanted = [task.key for job in whole for task in job.tasks]
    kept = path.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in kept if line.endswith("\n")]
    assert 3 <= len(kept) < len(wanted)
    assert [record.key for record in RecordStore(path.parent).read()] == wanted[: len(kept)]

    done = subprocess.run(
        _alexbench(results, batches, "--resume"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert path.read_text("utf-8").startswith("".join(kept))
    assert [record.key for record in RecordStore(path.parent).read()] == wanted
    assert done.stdout.splitlines()[-1] == str(path.parent / "report.html")


@pytest.mark.parametrize(
    ("error", "reported"),
    [
        ("worker killed by SIGSEGV:\nlast\nwords", "failed: worker killed by SIGSEGV"),
        ("Traceback (most recent call last):\n  x\nValueError: why", "failed: ValueError: why"),
        (None, "failed: no reason given"),
    ],
)
def test_a_failure_is_reported_in_one_line(error: str | None, reported: str) -> None:
    assert result_line(Record(fakes.case(), "latency", "failed", error=error)) == reported


def test_the_display_counts_what_failed() -> None:
    with Display(3, Console(file=io.StringIO())) as shown:
        for status in ("failed", "timeout", "oom", "skipped"):
            shown.started(Task(fakes.case(), "latency"))
            shown.progress(0.5, "")
            shown.finished(Record(fakes.case(), "latency", status, error="[bold]why[/x]"))
    assert shown.failed == 3


def test_a_record_is_one_json_object_a_line(results: Path, batches: str) -> None:
    run, _ = start(results, batches)
    measure(run, selection("fake", "fake-raise", kinds=("startup",)))
    lines = run.store.path.read_text("utf-8").splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["ok", "failed"]


def test_throughput_records_have_the_ceiling_of_the_runs_frameworks(
    results: Path, batches: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ceilings, "obtain", _obtain)
    _ASKED.clear()
    run, _ = start(results, batches)
    measure(run, selection("fake", "fake-ceiling", kinds=TIMED))
    assert _ASKED == ["fake", "fake-ceiling"]
    winner = {
        "framework": "fake-ceiling",
        "operation": "matmul",
        "shape": "planted",
        "precision": "float32",
        "flops_per_second": 5e9,
    }
    for record in run.store.read():
        timed = record.kind in ("train_throughput", "inference")
        assert record.metrics.get("ceiling") == (winner if timed else None)
        assert "ceiling_reason" not in record.metrics


_ASKED: list[str] = []


def _obtain(name: str, progress: object, device: str) -> Found:
    assert device == "cpu"
    _ASKED.append(name)
    if name == "fake":
        return Found(name, reason="planted")
    answer = {"operation": "matmul", "shape": "planted", "precision": "float32"}
    return Found(name, ({**answer, "flops_per_second": 5e9},))


def test_no_ceiling_fails_nothing_and_says_why(results: Path, batches: str) -> None:
    run, _ = start(results, batches)
    measure(run, selection("fake", "fake-ceiling-killed", kinds=("inference", "latency")))
    timed = [record for record in run.store.read() if record.kind == "inference"]
    assert len(run.store.read()) == 4
    for record in timed:
        assert record.ok
        assert record.metrics["ceiling"] is None
        assert "fake: it has no function" in record.metrics["ceiling_reason"]
        assert "SIGKILL" in record.metrics["ceiling_reason"]


def test_no_throughput_asks_for_no_ceiling(
    results: Path, batches: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ceilings, "obtain", _obtain)
    _ASKED.clear()
    run, _ = start(results, batches)
    measure(run, selection("fake", kinds=("startup",)))
    assert _ASKED == []


def test_a_devices_memory_is_in_the_record_where_it_is_told() -> None:
    task = Task(fakes.case(), "inference")
    result = {
        "samples": [1.0],
        "images_per_sample": 16,
        "unit": "s",
        "metrics": {"flops_per_image": 1},
        "settings": {},
        "peak_memory_bytes": 1,
    }
    reported = measurements.record_of(task, {**result, "device_memory_bytes": 7}, [[1.0]]).metrics
    assert reported == {"flops_per_image": 1, "device_memory_bytes": 7}
    untold = measurements.record_of(task, {**result, "device_memory_bytes": None}, [[1.0]]).metrics
    assert untold == {"flops_per_image": 1}
