"""A run on an accelerator, with the fake one: skipped rows, and planted faults, each caught."""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest

from bench.analysis.clock import MISSING_SYNC, sync_audit_of
from bench.analysis.experiments import Experiment
from bench.cli import main
from bench.core import signals
from bench.core.errors import UserError
from bench.core.limits import Limits
from bench.core.records import Record, RecordStore
from bench.core.system import devices, nvml
from bench.harness import batch_sizes, ceilings, certificates
from bench.harness import devices as harness_devices
from bench.harness.certificates import Subject
from bench.harness.devices import SharedDeviceWarning, claimed, enough, on_device
from bench.harness.interleaving.interleave import InterleavedRun
from bench.harness.matrix import jobs
from bench.harness.profiles import Profile
from bench.harness.run import open_run, run_all
from bench.harness.selection import AUTO_BATCH, Selection
from bench.parity.checks import check_device
from bench.parity.figures import MismatchError
from bench.report.chapters.speed import throughput
from bench.report.tables import as_markdown
from bench.training.interfaces import Setup, StepInput
from bench.training.recipes import recipe
from bench.worker import __main__ as worker
from bench.worker.device import probing
from bench.worker.device.time import PATIENCE, DeviceQueue
from bench.worker.measurements import speed
from bench.worker.schedule import RemoteSchedule
from bench.worker.session import Result, Session
from tests.support import fakes, nvml_recordings
from tests.support.nvml_recordings import replay
from tests.support.plugins import fake_device

ROOT = Path(__file__).parents[2]


def _with_a_card(patch: pytest.MonkeyPatch, cache: Path) -> None:
    """The fakes, and a CUDA device of which NVML says nothing."""
    fakes.install(patch, cache)
    nvml_recordings.none(patch)
    probing._probe.cache_clear()
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    row = devices.DEVICE_KINDS["cuda"]
    patch.setitem(devices.DEVICE_KINDS, "cuda", replace(row, here=lambda: True))


@pytest.fixture(autouse=True)
def _machine_with_a_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _with_a_card(monkeypatch, tmp_path / "cache")


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(fakes.write_batches(tmp_path_factory.mktemp("data") / "small", fakes.images()))


class Listener:
    """Hears nothing but records."""

    def __init__(self) -> None:
        self.finished_records: list[Record] = []

    def finished(self, record: Record) -> None:
        self.finished_records.append(record)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def measured(
    tmp_path: Path,
    batches: str,
    *frameworks: str,
    profile: Profile = fakes.PROFILE,
    resume: bool = False,
    **choices: Any,
) -> list[Record]:
    """Records of a run on the fake accelerator."""
    given = {"kinds": ("train_throughput",), "tracks": ("idiomatic",), **choices}
    wanted, choice = on_device(Selection(frameworks=frameworks, **given), profile, "cuda")
    run, done = open_run(tmp_path / "results", "run", resume, profile, batches)
    fits = batch_sizes.tried(run.data_folder, profile.limits)
    todo = batch_sizes.resolved(jobs(wanted, profile), run.folder, fits, choice.unusable)
    with run:
        run_all(run, todo, Listener(), done=done, parity=False, unusable=choice.unusable)  # type: ignore[arg-type]
    return run.store.read()


TOGETHER = (
    "fake-gpu",
    "fake-gpu-unclocked",
    "fake-gpu-early",
    "fake-gpu-early-timed",
    "fake-gpu-early-unclocked",
    "fake-gpu-falls-back",
    "fake-gpu-float32",
    "fake-gpu-cpu-build",
    "fake",
)


@pytest.fixture(scope="module")
def by_framework(module_folder: Path, batches: str) -> dict[str, Record]:
    """The records of one run of `TOGETHER`, which several tests look into."""
    with pytest.MonkeyPatch.context() as patch:
        _with_a_card(patch, module_folder / "cache")
        records = measured(module_folder, batches, *TOGETHER)
    assert sorted(record.case.framework for record in records) == sorted(TOGETHER)
    return {record.case.framework: record for record in records}


def test_a_row_says_its_device_and_has_nothing_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, batches: str
) -> None:
    monkeypatch.setattr(nvml, "MODULE", "pynvml")
    replay(monkeypatch, tmp_path)
    (record,) = measured(tmp_path, batches, "fake-gpu")
    assert record.ok
    assert record.case.device == "cuda"
    assert record.case.precision == "bfloat16"  # what users of an accelerator choose
    assert "/cudax1" in record.case.id
    assert record.settings["device"] == "cuda:0"
    assert record.environment["gpu"]["name"] == "NVIDIA H100 80GB HBM3"
    assert record.metrics["device_memory_bytes"] == 123
    assert record.metrics["device_reserved_bytes"] == 456
    assert record.metrics["device_process_bytes"] == 1073741824
    # Disturbed blocks are measured again.
    assert len(record.metrics["device_blocks"]) >= len(record.samples)
    assert record.metrics["energy"]["source"].startswith("nvml")
    assert record.metrics["energy"]["joules"] is None  # blocks of a few milliseconds
    assert record.metrics["ceiling"] is None
    assert "fake-gpu: it has no function" in record.metrics["ceiling_reason"]


def test_a_second_device_is_the_first_inside_its_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, batches: str
) -> None:
    selection = Selection(frameworks=("fake-gpu",), kinds=("startup",), tracks=("closed",))
    wanted, choice = on_device(selection, fakes.PROFILE, "cuda:1")
    run, _ = open_run(tmp_path / "results", "run", False, fakes.PROFILE, batches)
    run_all(run, jobs(wanted, fakes.PROFILE), Listener(), parity=False)  # type: ignore[arg-type]
    (record,) = run.store.read()
    assert record.ok
    assert record.case.device == choice.device == "cuda:1"


def test_a_framework_that_cannot_is_a_skipped_row_with_the_command_that_mends_it(
    by_framework: dict[str, Record],
) -> None:
    assert by_framework["fake-gpu"].ok
    for name, words in (("fake-gpu-cpu-build", "pip install fake-cuda"), ("fake", "CPU alone")):
        assert by_framework[name].status == "skipped"
        assert words in str(by_framework[name].error)
        assert by_framework[name].case.device == "cuda"
        assert by_framework[name].dataset == by_framework["fake-gpu"].dataset


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["alexbench", *arguments])
    with pytest.raises(SystemExit) as caught:
        main.main()
    return int(caught.value.code or 0)


def test_a_run_where_no_framework_can_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(main.extensions, "load", lambda: None)
    monkeypatch.chdir(tmp_path)
    run = ("run", "--profile", "tiny", "--frameworks", "fake,fake-gpu-old-driver")
    assert call(monkeypatch, *run, "--device", "cuda") == 2
    error = capsys.readouterr().err
    assert error.startswith("alexbench: --device cuda: no framework can use it: fake computes")
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("command", ["run", "parity", "doctor"])
def test_a_machine_without_the_device_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
) -> None:
    monkeypatch.setattr(main.extensions, "load", lambda: None)
    monkeypatch.chdir(tmp_path)
    row = devices.DEVICE_KINDS["cuda"]
    monkeypatch.setitem(devices.DEVICE_KINDS, "cuda", replace(row, here=lambda: False))
    assert call(monkeypatch, command, "--device", "cuda") == 2
    error = capsys.readouterr().err
    assert error.startswith("alexbench: --device cuda: this machine has no CUDA device")
    assert error.count("\n") == 1


def test_slices_of_a_card_do_not_train_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a,MIG-b")
    enough([1], "cuda:1")
    with pytest.raises(UserError, match=r"--devices 2: CUDA shows a process one MIG slice alone"):
        enough([1, 2], "cuda")


# ---- planted faults


def test_a_framework_that_falls_back_to_the_cpu_is_no_row_of_the_device(
    by_framework: dict[str, Record],
) -> None:
    record = by_framework["fake-gpu-falls-back"]
    assert record.status == "failed"
    assert record.error == ("device cuda was asked for, and the framework has its weights on cpu")
    assert record.samples == ()


def test_out_of_memory_says_the_batch_and_a_smaller_one(tmp_path: Path, batches: str) -> None:
    (record,) = measured(tmp_path, batches, "fake-gpu-oom")
    assert record.status == "oom"
    last = str(record.error).splitlines()[-1]
    assert last.endswith(
        "Tried to allocate 9.00 GiB; out of memory on cuda with batches of 16; "
        "a smaller one may fit: --batch-sizes 8; no smaller power of two fits"
    )


def test_out_of_memory_names_the_largest_batch_that_fits(tmp_path: Path, batches: str) -> None:
    (record,) = measured(tmp_path, batches, "fake-gpu-small")
    assert record.status == "oom"
    assert str(record.error).endswith("; the largest power of two that fits is 8: --batch-sizes 8")


Records = dict[str, Record]


@pytest.fixture
def undisturbed(
    by_framework: Records, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, batches: str
) -> Callable[[Callable[[Records], bool], str, str], Records]:
    """The records of two frameworks; measured again where they are not as expected, since blocks of
    milliseconds may have been disturbed by other tests."""

    def found(expected: Callable[[Records], bool], *names: str) -> Records:
        if expected(by_framework):
            return by_framework
        _with_a_card(monkeypatch, tmp_path / "cache")
        return {record.case.framework: record for record in measured(tmp_path, batches, *names)}

    return found


def verdict_of(record: Record) -> str:
    audit = sync_audit_of(Experiment(record.case, record.kind, (record,)))
    assert audit is not None
    return audit.verdict


def test_a_sync_that_returns_early_is_found_by_the_audit(undisturbed: Any) -> None:
    def found(records: Records) -> bool:
        early, sound = (verdict_of(records[f"fake-gpu-{n}"]) for n in ("early", "unclocked"))
        return early == MISSING_SYNC and sound != MISSING_SYNC

    assert found(undisturbed(found, "fake-gpu-early", "fake-gpu-unclocked"))


def test_a_sync_that_returns_early_fails_where_the_device_has_a_clock(
    by_framework: dict[str, Record],
) -> None:
    early, sound = by_framework["fake-gpu-early-timed"], by_framework["fake-gpu"]
    assert early.status == "failed"
    assert "work is still queued on the device after sync" in str(early.error)
    assert sound.ok
    assert sound.settings["idle_checked"] is True


def test_a_sync_that_returns_early_fails_where_a_small_operation_is_late(
    by_framework: dict[str, Record],
) -> None:
    early, sound = (by_framework[f"fake-gpu-{n}"] for n in ("early-unclocked", "unclocked"))
    assert early.status == "failed"
    assert "work is still queued on the device after sync" in str(early.error)
    assert sound.ok, sound.error
    assert sound.settings["idle_checked"] is True
    assert by_framework["fake-gpu-early"].settings["idle_checked"] is False


def test_a_small_operation_that_is_always_late_is_no_fault() -> None:
    """The host is busy; a device that was not idle is late once."""
    bench, trainer = session_of("fake-gpu-unclocked")
    trainer.through_queue = lambda: time.sleep(2 * PATIENCE)  # type: ignore[attr-defined]
    queue = DeviceQueue(bench.trainer)
    for _ in range(2):
        queue.finish()


@pytest.mark.parametrize(
    ("checks", "fault"),
    [
        ("..L", False),  # lost a measurement that passed when it was taken again
        ("..LL", True),
        ("..L.L", True),
        ("..L..L", True),
        ("..L.........L", False),
    ],
)
def test_operations_that_are_often_late_are_a_fault_and_one_is_none(
    checks: str, fault: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, trainer = session_of("fake-gpu-unclocked")
    now = [0.0]
    monkeypatch.setattr("bench.worker.device.time.perf_counter", lambda: now[0])
    seconds = {".": [0.0], "L": [2 * PATIENCE, 0.0, 0.0, 0.0]}  # then three of the idle device
    calls = iter(each for check in checks for each in seconds[check])

    def through() -> None:
        now[0] += next(calls)

    trainer.through_queue = through  # type: ignore[attr-defined]
    queue = DeviceQueue(bench.trainer)
    for _ in checks[:-1]:
        queue.finish()
    if fault:
        with pytest.raises(RuntimeError, match="still queued on the device after sync"):
            queue.finish()
    else:
        queue.finish()


def test_seconds_of_the_device_stand_next_to_those_of_the_host(undisturbed: Any) -> None:
    def as_long(records: Records) -> bool:
        timed = records["fake-gpu"]
        device, host = timed.metrics["device_seconds"], timed.samples
        return median(device) <= 1.5 * max(host) + 0.01 and verdict_of(timed) != MISSING_SYNC

    records = undisturbed(as_long, "fake-gpu", "fake-gpu-unclocked")
    timed, unclocked = records["fake-gpu"], records["fake-gpu-unclocked"]
    host, device = timed.samples, timed.metrics["device_seconds"]
    steps = timed.metrics["steps_per_sample"]
    assert len(device) >= len(host)  # disturbed blocks are measured again
    assert all(seconds >= steps * fake_device.STEP_SECONDS for seconds in device)
    assert as_long(records)
    assert "device_seconds" not in unclocked.metrics
    audit = sync_audit_of(Experiment(timed.case, timed.kind, (timed,)))
    assert audit is not None
    assert audit.device is not None


def test_a_device_that_computes_longer_than_a_block_takes_lacks_synchronisation(
    by_framework: Records,
) -> None:
    record = by_framework["fake-gpu"]
    doubled = [2 * seconds for seconds in record.samples]
    longer = replace(record, metrics={**record.metrics, "device_seconds": doubled})
    assert verdict_of(longer) == MISSING_SYNC


def test_a_precision_that_is_not_in_force_is_no_row(by_framework: dict[str, Record]) -> None:
    record = by_framework["fake-gpu-float32"]
    assert record.status == "failed"
    assert record.error == "bfloat16 eager was asked for, and compute_dtype is float32"


def test_an_execution_that_a_framework_lacks_is_a_skipped_row(tmp_path: Path, batches: str) -> None:
    choices = {"executions": ("eager", "graphs", "compiled:4")}
    records = measured(tmp_path, batches, "fake-gpu-no-graphs", **choices)
    assert [record.status for record in records] == ["ok", "skipped", "skipped"]
    assert records[1].error == (
        "execution graphs: the fake framework has no public way to replay a step as a CUDA graph; "
        "take eager or compiled"
    )
    assert "takes one step in each call" in str(records[2].error)
    assert records[1].case.id.endswith("/graphs")
    assert records[2].case.id.endswith("/compiled:4")


def test_what_does_not_fit_next_to_the_others_is_measured_alone_and_says_so(
    tmp_path: Path, batches: str
) -> None:
    sound, alone = measured(tmp_path, batches, "fake-gpu", "fake-gpu-crowded")
    assert sound.ok
    assert alone.ok, alone.error
    assert "measured alone" in alone.metrics["interleaving"]["sequential"]
    assert "sequential" not in sound.metrics["interleaving"]
    assert alone.metrics["interleaving"]["group"] != sound.metrics["interleaving"]["group"]


def test_a_signal_ends_what_is_measured_alone_and_a_resumed_run_measures_it_again(
    tmp_path: Path, batches: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was held until the end; the resumed run then had a row without a result."""
    began = InterleavedRun.run_process
    alone: list[bool] = []

    def run_process(self: InterleavedRun, *given: Any) -> None:
        if len(self._jobs) == 1:
            alone.append(True)
            if len(alone) == 1:
                assert not signals._state.held
                raise signals.Stopped(2)
        began(self, *given)

    monkeypatch.setattr(InterleavedRun, "run_process", run_process)
    with pytest.raises(signals.Stopped):
        measured(tmp_path, batches, "fake-gpu", "fake-gpu-crowded")
    assert [r.case.framework for r in RecordStore(tmp_path / "results/run").read()] == ["fake-gpu"]
    _, found = measured(tmp_path, batches, "fake-gpu", "fake-gpu-crowded", resume=True)
    assert found.ok, found.error
    assert "measured alone" in found.metrics["interleaving"]["sequential"]


def test_an_execution_of_several_steps_is_timed_and_not_evaluated(
    tmp_path: Path, batches: str
) -> None:
    choices = {"executions": ("compiled:4",), "kinds": ("train_throughput", "accuracy")}
    timed, trained = measured(tmp_path, batches, "fake-gpu", **choices)
    assert timed.ok, timed.error
    assert timed.metrics["steps_per_sample"] % 4 == 0
    assert trained.status == "skipped"
    assert "is timed only" in str(trained.error)


@pytest.mark.slow
def test_an_automatic_batch_size_is_the_largest_that_fits_in_every_framework(
    tmp_path: Path, batches: str
) -> None:
    names = ("fake-gpu-small", "fake-gpu", "fake-gpu-float32")
    choices = {"batch_sizes": (AUTO_BATCH,)}
    records = measured(tmp_path, batches, *names, **choices)
    assert [record.case.batch_size for record in records] == [fake_device.ROOM] * 3
    found = json.loads((tmp_path / "results/run/batch_sizes.json").read_text())
    assert found == {"tiny idiomatic 32px cuda": fake_device.ROOM}


def session_of(framework: str) -> tuple[Session, fake_device.DeviceTrainer]:
    """A session in this process, and its trainer."""
    case = fakes.case(framework, device="cuda", track="idiomatic")
    pixels = ((0.5,) * 3, (0.25,) * 3)
    setup = Setup(case, fakes.VARIANT.architecture(10), recipe("steady"), 100, *pixels, threads=1)
    trainer = fake_device.create(setup)
    limits = Limits(blocks=2, block_seconds=0.01, overhead_blocks=2, audit_repeats=1)
    return Session(trainer, setup, fakes.images(), limits, lambda *_: None, 0.0, 0.0), trainer


def test_inputs_are_brought_to_the_device_in_a_thread_of_their_own() -> None:
    bench, trainer = session_of("fake-gpu")
    threads, rates = [], []

    def bring(given: StepInput) -> StepInput:
        threads.append(threading.current_thread())
        return replace(given, learning_rate=-given.learning_rate)

    trainer.bring_ahead = bring  # type: ignore[attr-defined]
    trainer._step = lambda given: rates.append(given.learning_rate)  # type: ignore[method-assign]
    bench.train(4, bench.finish)
    assert rates == [-bench.input_at(step).learning_rate for step in range(4)]
    assert threading.main_thread() not in threads


def test_nothing_is_queued_when_a_worker_waits_to_be_paused() -> None:
    """SIGSTOP stops the process, not what it has queued on a device."""
    bench, trainer = session_of("fake-gpu-queued")
    pending = []
    commands = iter([{"do": "block"}, {"do": "block"}, {"do": "end"}])
    bench.schedule = RemoteSchedule(
        lambda samples, state: pending.append(trainer.device.pending),
        lambda: next(commands),
        None,
        extras=True,
        finish=bench.finish,
    )
    speed.train_throughput(bench)
    assert pending == [0, 0, 0]


def test_nothing_is_queued_when_a_worker_has_sent_its_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is paused then as well, while the others of its group are measured."""
    bench, trainer = session_of("fake-gpu")
    pending = []
    settings = trainer.settings

    def read_back() -> dict[str, Any]:
        pending.append(trainer.device.pending)
        return settings()

    def leaves_work(bench: Session) -> Result:
        trainer.device.queue(lambda: None, seconds=0.1)
        return Result([1.0], 1, {})

    monkeypatch.setenv("KERAS_HOME", str(ROOT))  # as in a worker, of which settings are read
    monkeypatch.setattr(trainer, "settings", read_back)
    monkeypatch.setitem(worker.MEASUREMENTS, "startup", leaves_work)
    worker.measure(bench, "startup")
    assert pending == [0]


def throttled(changes: dict[str, Any]) -> dict[str, Any]:
    return {"nvmlDeviceGetCurrentClocksEventReasons": 0x40, **changes}


def test_a_throttled_and_shared_device_is_in_the_record_and_below_the_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, batches: str
) -> None:
    monkeypatch.setattr(nvml, "MODULE", "pynvml")
    processes = [{"pid": "foreign", "usedGpuMemory": 9}]
    replay(
        monkeypatch,
        tmp_path,
        **throttled({"nvmlDeviceGetComputeRunningProcesses": processes}),
    )
    (record,) = measured(tmp_path, batches, "fake-gpu")
    block = record.metrics["device_blocks"][0]
    assert block["after"]["throttle"] == ["hardware thermal slowdown"]
    assert block["foreign_processes"] == 1
    text = as_markdown(throughput.TABLE, [record])
    assert "lowered its clocks (hardware thermal slowdown)" in text
    assert "another program computed on the device" in text
    assert "no graphics card" not in text


def test_a_device_that_others_use_is_a_warning_or_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nvml, "MODULE", "pynvml")
    processes = [{"pid": 4321, "usedGpuMemory": 9}]
    replay(monkeypatch, tmp_path, nvmlDeviceGetComputeRunningProcesses=processes)
    with pytest.warns(SharedDeviceWarning, match=r"1 other program.*\(pid 4321\)"):
        assert claimed(fakes.PROFILE, "cuda", exclusive=False) == fakes.PROFILE
    with pytest.raises(UserError, match=r"--exclusive: 1 other program.*on cuda"):
        claimed(fakes.PROFILE, "cuda", exclusive=True)
    replay(monkeypatch, tmp_path, nvmlDeviceGetComputeRunningProcesses=[])
    assert claimed(fakes.PROFILE, "cuda", exclusive=True).limits.exclusive
    second = {"sequence": [[], processes]}
    replay(monkeypatch, tmp_path, nvmlDeviceGetComputeRunningProcesses=second)
    with pytest.raises(UserError, match=r"--exclusive: 1 other program.*on cuda"):
        claimed(fakes.PROFILE, "cuda", 2, exclusive=True)


@pytest.mark.parametrize("kind", ["train_throughput", "startup"])
def test_a_program_that_comes_during_a_measurement_is_counted_or_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, batches: str, kind: str
) -> None:
    """Also one that is gone again when the measurement ends."""
    monkeypatch.setattr(nvml, "MODULE", "pynvml")
    once = {"sequence": [[{"pid": "foreign", "usedGpuMemory": 9}], []]}
    always = [{"pid": "foreign", "usedGpuMemory": 9}]
    listed = once if kind == "train_throughput" else always
    replay(monkeypatch, tmp_path, nvmlDeviceGetComputeRunningProcesses=listed)
    (record,) = measured(tmp_path / "shared", batches, "fake-gpu", kinds=(kind,))
    assert record.ok
    seen = [*record.metrics.get("device_blocks", ()), record.metrics["device_state"]]
    assert seen[0]["foreign_processes"] == 1
    exclusive = replace(fakes.PROFILE, limits=replace(fakes.PROFILE.limits, exclusive=True))
    choices = {"profile": exclusive, "kinds": (kind,)}
    (record,) = measured(tmp_path / "exclusive", batches, "fake-gpu", **choices)
    assert record.status == "failed"
    assert str(record.error).startswith("--exclusive: another program computes on the device (pid")


# ---- what is cached


def test_a_certificate_of_the_cpu_is_none_of_the_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cpu = Subject("tiny", "fake-certified", "source", 32, 10)
    cuda = replace(cpu, device="cuda")
    keys = {cpu.key, cuda.key, replace(cpu, device="cuda:1").key}
    monkeypatch.setattr(nvml, "MODULE", "pynvml")
    replay(monkeypatch, tmp_path)
    keys.add(cuda.key)
    replay(monkeypatch, tmp_path, nvmlDeviceGetName="another card")
    keys.add(cuda.key)
    replay(monkeypatch, tmp_path, nvmlSystemGetDriverVersion="999.1")
    keys.add(cuda.key)
    assert len(keys) == 6
    case = fakes.case("fake-certified", device="cuda")
    assert Subject.of(case, 10).device == "cuda"


def test_where_nvml_says_nothing_the_framework_names_the_card(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def named(name: str) -> dict[str, Any]:
        found = probing.Probe("cuda:0", name)
        monkeypatch.setattr(harness_devices, "probe", lambda *_: found)
        return harness_devices.conditions_of("cuda", "fake")

    assert named("MI300X") != named("MI250X")
    assert named("MI300X") == {"device": "cuda", "gpu": "MI300X"}


def test_a_certificate_of_the_device_is_not_made_on_the_cpu() -> None:
    """The numpy reference reports no device: on an accelerator that is no evidence."""
    cuda = Subject("tiny", "fake-certified", "source", 32, 10, "cuda")
    ((_, certificate),) = certificates.obtain([cuda], lambda done, note: None)
    assert certificate["status"] == "fail"
    assert certificate["device"] == "cuda"
    assert certificate["problem"] == (
        "device cuda was asked for, and the framework reports no device"
    )


def test_a_device_without_float64_has_no_certificate_and_says_why() -> None:
    there = SimpleNamespace(
        device="mps", single=SimpleNamespace(settings=lambda: {"device": "mps"})
    )
    with pytest.raises(MismatchError, match="a Metal device has no float64"):
        check_device(there)  # type: ignore[arg-type]


def test_a_peak_of_the_cpu_is_none_of_the_device(tmp_path: Path) -> None:
    found = ceilings.RunCeilings()
    found.prepare(["fake-ceiling"], lambda done, note: None)
    on_cpu, on_cuda = (fakes.case("fake-ceiling", device=name) for name in ("cpu", "cuda"))
    assert found.metrics(on_cpu)["ceiling"]["precision"] == "float32"
    assert found.metrics(on_cuda)["ceiling"] is None
    found.prepare(["fake-ceiling", "fake-two"], lambda done, note: None, "cuda")
    peak = found.metrics(on_cuda)["ceiling"]
    assert (peak["precision"], peak["framework"]) == ("float32", "fake-ceiling")
    # TF32 has a peak of its own, also where a float32 case may round to it.
    assert found.metrics(on_cuda, tf32=True)["ceiling"]["precision"] == "tf32"
    assert found.metrics(on_cpu, tf32=True)["ceiling"]["precision"] == "float32"
    files = [json.loads(path.read_text()) for path in (tmp_path / "cache/ceilings").iterdir()]
    assert sorted(file["made_from"].get("device", "cpu") for file in files) == ["cpu", "cuda"]


def test_records_of_the_device_can_be_resumed(
    tmp_path: Path, by_framework: dict[str, Record]
) -> None:
    store = RecordStore(tmp_path / "run")
    store.append(by_framework["fake-gpu"], by_framework["fake"])
    done = store.set_aside_failures()
    assert [key for key, _ in done] == [record.case.id for record in store.read()]
    assert [(r.case.framework, r.status) for r in store.read()] == [("fake-gpu", "ok")]


# ---- the documentation


def test_the_checks_and_tests_of_the_documentation_are_there() -> None:
    """Every check and test in the table of planted faults."""
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    rows = page.partition("| planted fault |")[2].splitlines()[2:]
    tests = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/*/**/test_*.py"))
    assert len(rows) >= 15
    for row in rows:
        *_, checks, test = row.strip("| ").split(" | ")
        assert f"def {test.strip('`')}(" in tests, test
        for path, name in re.findall(r"`(\S+\.py):(\S+)`", checks):
            source = (ROOT / path).read_text(encoding="utf-8")
            assert f"def {name.rpartition('.')[2]}(" in source, f"{path}:{name}"
