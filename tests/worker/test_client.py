"""Workers that behave and workers that do not: what the parent makes of each."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.core.kinds import ACCURACY, KINDS
from bench.core.limits import Limits
from bench.data.dataset import save
from bench.training.frameworks import FRAMEWORKS
from bench.worker.client import Worker, WorkerError, bare_start
from tests.support import fakes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "data"
    save(fakes.images(), folder)
    return folder


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A temporary folder of the test's own, empty again when all workers are closed."""
    fakes.install(monkeypatch, tmp_path / "cache")
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def nothing(done: float, note: str) -> None:
    """A listener that does not care."""


def measure(
    data: Path, framework: str, kind: str = "startup", limits: Limits = fakes.LIMITS, **changes: Any
) -> dict[str, Any]:
    with Worker(fakes.case(framework, **changes), data, limits) as worker:
        worker.open(nothing)
        return worker.measure(kind, nothing)


def failure(
    data: Path, framework: str, limits: Limits = fakes.LIMITS, **changes: Any
) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        measure(data, framework, limits=limits, **changes)
    return caught.value


def test_a_worker_measures_every_kind(data: Path) -> None:
    reported: list[float] = []
    with Worker(fakes.case(recipe="short"), data, fakes.LIMITS) as worker:
        worker.open(lambda done, note: reported.append(done))
        # The accuracy first: how many steps the timed kinds train depends on the machine.
        for kind in sorted(KINDS, key=lambda kind: kind != ACCURACY):
            answer = worker.measure(kind, lambda done, note: reported.append(done))
            assert answer["samples"]
            assert all(sample > 0 for sample in answer["samples"])
            assert answer["unit"] == ("fraction" if kind == ACCURACY else "s")
            assert answer["peak_memory_bytes"] > 1 << 20
    assert reported


def test_every_image_reaches_the_trainer_once_per_epoch(data: Path) -> None:
    settings = measure(data, "fake", "accuracy", recipe="short")["settings"]
    assert settings["images"] == 2 * fakes.TRAIN
    assert settings["distinct"] == fakes.TRAIN
    assert settings["times_each"] == [2]
    assert settings["masks"] == 2 * fakes.TRAIN // fakes.BATCH


def test_the_ablation_takes_weights_and_order_from_their_stages_on(data: Path) -> None:
    def at(stage: str, seed: int = 0) -> dict[str, Any]:
        chosen = {"track": "ablation", "recipe": "ablation@0.5", "seed": seed, "defaults": stage}
        settings: dict[str, Any] = measure(data, "fake", "accuracy", **chosen)["settings"]
        return settings

    own, weights, shuffled = (at(stage) for stage in ("own", "initialisation", "shuffle"))
    assert "initial_weights_sha256" not in own
    assert "initial_weights_sha256" in weights
    assert (
        own["batch_plan_sha256"]
        == weights["batch_plan_sha256"]
        == at("own", 1)["batch_plan_sha256"]
    )
    assert shuffled["batch_plan_sha256"] not in (
        own["batch_plan_sha256"],
        at("shuffle", 1)["batch_plan_sha256"],
    )
    assert own["shared_defaults"] == []
    assert set(shuffled["shared_defaults"]) >= {"initialisation", "shuffle"}
    assert own["masks"] == shuffled["masks"] == 0  # dropout is each framework's own


def test_settings_name_what_was_in_force(data: Path) -> None:
    closed = measure(data, "fake")["settings"]
    again = measure(data, "fake-two")["settings"]
    idiomatic = measure(data, "fake", track="idiomatic", seed=1)["settings"]
    assert closed["cpu_affinity"] == sorted(os.sched_getaffinity(0))
    assert closed["threads"] == len(closed["cpu_affinity"])
    assert closed["keras_home"] is True
    assert closed["recipe"]["name"] == "steady"
    for name in ("initial_weights_sha256", "batch_plan_sha256"):
        assert re.fullmatch("[0-9a-f]{64}", closed[name])
        assert closed[name] == again[name]
    assert "initial_weights_sha256" not in idiomatic
    assert idiomatic["batch_plan_sha256"] != closed["batch_plan_sha256"]


def test_what_a_framework_prints_does_not_reach_the_protocol(data: Path) -> None:
    assert len(measure(data, "fake-noisy", "train_throughput")["samples"]) == 3


@pytest.mark.parametrize(
    ("framework", "status", "message"),
    [
        ("fake-segfault", "failed", r"worker killed by SIGSEGV:\n(.*\n)*last words"),
        ("fake-killed", "failed", "worker killed by SIGKILL"),
        ("fake-exit", "failed", r"worker exited with 3:\nline 28\n(.*\n)+line 39$"),
    ],
)
def test_the_error_of_a_dead_worker_has_the_end_of_its_stderr(
    data: Path, framework: str, status: str, message: str
) -> None:
    error = failure(data, framework)
    assert error.status == status
    assert re.match(message, str(error))


@pytest.mark.parametrize(
    ("framework", "status", "message"),
    [
        ("fake-oom", "oom", "MemoryError: planted"),
        ("fake-torch-oom", "oom", "can't allocate memory"),
        ("fake-raise", "failed", "ValueError: planted failure"),
        ("fake-unbuildable", "failed", "ValueError: cannot be built"),
        ("fake-not-json", "failed", "not JSON compliant"),
    ],
)
def test_an_exception_leaves_the_worker_alive(
    data: Path, framework: str, status: str, message: str
) -> None:
    error = failure(data, framework)
    assert error.status == status
    assert message in str(error).splitlines()[-1]


def test_a_worker_takes_commands_after_an_exception(data: Path) -> None:
    with Worker(fakes.case("fake-raise"), data, fakes.LIMITS) as worker:
        worker.open(nothing)
        with pytest.raises(WorkerError, match="planted failure"):
            worker.measure("train_throughput", nothing)
        assert len(worker.measure("latency", nothing)["samples"]) >= 20


def test_a_measurement_before_open_is_an_error(data: Path) -> None:
    with (
        Worker(fakes.case(), data, fakes.LIMITS) as worker,
        pytest.raises(WorkerError, match="measure before open"),
    ):
        worker.measure("startup", nothing)


def test_bad_input_in_a_worker_is_one_line(data: Path, tmp_path: Path) -> None:
    assert str(failure(tmp_path / "none", "fake")).startswith(f"{tmp_path / 'none'}: not a whole")
    error = failure(data, "fake", recipe="unheard-of")
    assert str(error).startswith("unknown recipe 'unheard-of'; known: ")


def test_a_worker_that_hangs_is_stopped(data: Path) -> None:
    error = failure(data, "fake-hang", fakes.IMPATIENT)
    assert error.status == "timeout"
    assert str(error) == "no answer within 3 s, worker stopped:\nwaiting for nothing"


def test_a_dead_worker_is_noticed_though_a_child_holds_its_pipe(data: Path) -> None:
    error = failure(data, "fake-orphan")
    assert error.status == "failed"
    found = re.match(r"worker exited with 7:\nchild (\d+)", str(error))
    assert found
    assert fakes.gone(int(found[1]))  # children go with the worker


def test_a_worker_that_closes_its_pipe_is_ended(data: Path) -> None:
    assert str(failure(data, "fake-deaf")).startswith("worker killed by SIGKILL")


def test_leaving_the_block_ends_the_worker(data: Path) -> None:
    with Worker(fakes.case(), data, fakes.LIMITS) as worker:
        worker.open(nothing)
        pid = worker.measure("latency", nothing)["settings"]["pid"]
        assert fakes.alive(pid)
    assert not fakes.alive(pid)


def test_an_exception_of_the_progress_callback_ends_the_worker(data: Path) -> None:
    def interrupt(done: float, note: str) -> None:
        raise KeyboardInterrupt

    worker = Worker(fakes.case(), data, fakes.LIMITS)
    with pytest.raises(KeyboardInterrupt), worker:  # noqa: PT012  the block is what is tested
        worker.open(nothing)
        worker.measure("latency", interrupt)
    assert worker._process.poll() is not None


def test_a_worker_that_died_between_commands_is_reported_at_the_next(data: Path) -> None:
    with Worker(fakes.case(), data, fakes.LIMITS) as worker:
        worker.open(nothing)
        os.kill(worker._process.pid, signal.SIGTERM)
        worker._process.wait()
        with pytest.raises(WorkerError, match="worker killed by SIGTERM"):
            worker.measure("startup", nothing)


_PARENT = """
import sys, time
from pathlib import Path
from tests.support import fakes
from tests.support.plugins import fake_framework
from bench.worker.client import Worker
worker = Worker(fakes.case("fake-hang"), Path(sys.argv[1]), fakes.LIMITS)
worker.open(print)
worker._process.stdin.write(b'{"do": "measure", "kind": "startup"}\\n')
worker._process.stdin.flush()
print(worker._process.pid, flush=True)
time.sleep(600)
"""


def test_a_busy_worker_dies_with_its_parent(data: Path, tmp_path: Path) -> None:
    scratch = {"TMPDIR": str(tmp_path)}  # a killed parent cannot tidy up
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(data)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **scratch},
    ) as parent:
        assert parent.stdout
        worker = int(parent.stdout.readline())
        assert fakes.alive(worker)
        parent.kill()
        parent.wait()
    assert fakes.gone(worker)


def test_a_busy_worker_ends_with_its_pipe(data: Path) -> None:
    with Worker(fakes.case("fake-hang"), data, fakes.LIMITS) as worker:
        worker.open(nothing)
        assert worker._process.stdin
        worker._process.stdin.write(b'{"do": "measure", "kind": "startup"}\n')
        worker._process.stdin.close()
        assert worker._process.wait(timeout=10) == -signal.SIGKILL


def test_a_worker_whose_parent_has_died_before_it_was_ready_ends(data: Path) -> None:
    command = [sys.executable, "-m", "bench.worker", "1"]
    if os.getpid() == 1:
        pytest.skip("this process is the parent that is named")
    done = subprocess.run(command, stdin=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_the_parent_sleeps_while_the_worker_measures(data: Path) -> None:
    with Worker(fakes.case("fake-sleep"), data, fakes.LIMITS) as worker:
        worker.open(nothing)
        used, began = time.process_time(), time.monotonic()
        worker.measure("startup", nothing)
        passed = time.monotonic() - began
        assert passed >= 1
        # A parent that spins uses all of it, one that sleeps a few thousandths.
        assert time.process_time() - used < passed / 4


def test_modules_in_the_current_folder_are_not_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path
) -> None:
    for name in ("json", "numpy", "random", "profile"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.chdir(tmp_path)
    assert measure(data, "fake")


def test_a_bare_start_ends_with_its_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bare_fake.py").write_text(
        "import sys, time\n"
        "assert sys.argv[1:] == ['tiny', '32', '16'], sys.argv\n"
        "time.sleep(0.2)\nprint('done', flush=True)\ntime.sleep(1.5)\n"
    )
    (tmp_path / "bare_broken.py").write_text("raise SystemExit(3)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    case = fakes.case(batch_size=16)
    for module in ("bare_fake", "bare_broken"):
        row = replace(FRAMEWORKS["fake"], bare_start=module)
        monkeypatch.setitem(FRAMEWORKS, "fake", row)
        began = time.perf_counter()
        seconds = bare_start(case)
        whole = time.perf_counter() - began  # it waits for the end of the process
        if module == "bare_broken":
            assert seconds is None
        else:
            assert seconds is not None
            assert 0.2 < seconds < whole - 0.7
    monkeypatch.setitem(FRAMEWORKS, "fake", replace(FRAMEWORKS["fake"], bare_start=None))
    assert bare_start(case) is None


def test_a_bare_start_has_the_cpus_of_its_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bare_cpus.py").write_text(
        "import os\n"
        "found = sorted(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS']\n"
        "open('cpus', 'w').write(repr(found))\n"
        "print('done', flush=True)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(FRAMEWORKS, "fake", replace(FRAMEWORKS["fake"], bare_start="bare_cpus"))
    before = os.sched_getaffinity(0)
    cpu = min(before)
    assert bare_start(fakes.case(batch_size=16), [cpu])
    assert (tmp_path / "cpus").read_text() == repr(([cpu], "1"))
    assert os.sched_getaffinity(0) == before
