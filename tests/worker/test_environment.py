"""The environment of a worker: what reaches it, and what is set for all and for one framework."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

import bench
from bench.core.errors import UserError
from bench.core.system.process import thread_affinities
from bench.training.frameworks import FRAMEWORKS
from bench.worker import __main__ as worker
from bench.worker.environment import KEPT, NOT_INHERITED, environment, keep, kept_environment
from tests.support import fakes


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")


def test_it_is_the_same_for_all_frameworks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KERAS_BACKEND", "KERAS_HOME", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "77")
    monkeypatch.setenv("MY_VARIABLE", "mine")
    for name, row in FRAMEWORKS.items():
        found = environment(fakes.case(name), tmp_path, threads=3)
        assert found["KERAS_HOME"] == str(tmp_path)
        for variable in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
            assert Path(found[variable]).parent == tmp_path, "each process compiles from nothing"
        assert found.get("KERAS_BACKEND") == row.environment.get("KERAS_BACKEND")
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            assert found[variable] == "3"
        assert found["CUDA_VISIBLE_DEVICES"] == ""
        assert found["MY_VARIABLE"] == "mine"
        assert found["JAX_PLATFORMS"] == found["KERAS_TORCH_DEVICE"] == "cpu"


@pytest.mark.parametrize(
    ("device", "listed", "shown"),
    [
        ("cuda", None, "0"),
        ("cuda:1", None, "1"),
        ("gpu", None, "0"),
        ("cuda", "3,1", "3"),
        ("cuda:1", "3,1", "1"),
        ("cuda:1", "GPU-a, MIG-b", "MIG-b"),
    ],
)
def test_a_worker_sees_its_accelerator_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str, listed: str | None, shown: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if listed:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    found = environment(fakes.case(device=device), tmp_path, threads=1)
    assert found["CUDA_VISIBLE_DEVICES"] == shown
    assert found["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"  # NVML counts so
    assert found["JAX_PLATFORMS"].split(",")[0] == "cuda"
    assert found["KERAS_TORCH_DEVICE"] == "cuda"
    # Workers that are compared share the device.
    assert found["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert found["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


def test_a_worker_sees_what_its_parent_sees_of_an_intel_gpu(tmp_path: Path) -> None:
    found = environment(fakes.case(device="xpu:2"), tmp_path, threads=1)
    assert found["ZE_AFFINITY_MASK"] == "2"
    assert found["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    "name",
    [
        "ATEN_CPU_CAPABILITY",
        "COVERAGE_PROCESS_START",
        "COV_CORE_SOURCE",
        "CUDA_LAUNCH_BLOCKING",
        "GLIBC_TUNABLES",
        "GOMP_CPU_AFFINITY",
        "JAX_ENABLE_X64",
        "KERAS_MAX_EPOCHS",
        "KERAS_MAX_STEPS_PER_EPOCH",
        "KMP_AFFINITY",
        "MALLOC_ARENA_MAX",
        "OMP_PLACES",
        "OMP_PROC_BIND",
        "ONEDNN_MAX_CPU_ISA",
        "PYTORCH_CUDA_ALLOC_CONF",
        "TF_ENABLE_ONEDNN_OPTS",
        "TF_GPU_ALLOCATOR",
        "TORCHDYNAMO_DISABLE",
        "TORCH_COMPILE_DISABLE",
        "NVIDIA_TF32_OVERRIDE",
        "TF_XLA_FLAGS",
        "XLA_FLAGS",
        "XLA_PYTHON_CLIENT_MEM_FRACTION",
    ],
)
def test_variables_that_change_one_framework_do_not_reach_a_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    assert name not in environment(fakes.case(), tmp_path, threads=1)


def test_every_variable_that_is_left_out_has_a_reason() -> None:
    assert all(NOT_INHERITED.values())


def test_pythonpath_of_the_user_comes_after_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/one", "/two"]))
    found = environment(fakes.case(), tmp_path, threads=1)["PYTHONPATH"].split(os.pathsep)
    assert found == [str(Path(bench.__file__).parents[1]), "/one", "/two"]


@pytest.mark.parametrize(
    ("track", "device", "expected"),
    [
        ("tuned", "cpu", "4096"),
        ("tuned", "gpu", None),
        ("idiomatic", "cpu", None),
        ("closed", "cpu", None),
    ],
)
def test_what_makes_one_framework_faster_is_set_in_the_tuned_track_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, track: str, device: str, expected: str | None
) -> None:
    row = replace(FRAMEWORKS["fake"], tuned_environment={"MALLOC_TOP_PAD_": "4096"})
    monkeypatch.setitem(FRAMEWORKS, "fake", row)
    found = environment(fakes.case(track=track, device=device), tmp_path, threads=1)
    assert found.get("MALLOC_TOP_PAD_") == expected


def test_a_record_has_what_was_set_for_a_framework_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(FRAMEWORKS["fake"], tuned_environment={"MALLOC_TOP_PAD_": "4096"})
    monkeypatch.setitem(FRAMEWORKS, "fake", row)
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")  # read back, not repeated
    found = worker._tuned(fakes.case(track="tuned"))
    assert found == {"tuned_environment": {"MALLOC_TOP_PAD_": "1"}}
    assert worker._tuned(fakes.case()) == {}


def test_a_variable_that_is_asked_for_reaches_a_worker_and_is_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(KEPT, "")
    monkeypatch.setenv("OMP_PROC_BIND", "close")
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/home/me/dump")
    monkeypatch.setenv("KMP_AFFINITY", "compact")
    assert kept_environment() == []
    keep(["OMP_PROC_BIND", "XLA_FLAGS"])
    found = environment(fakes.case(), tmp_path, threads=1)
    assert found["OMP_PROC_BIND"] == "close"
    assert "KMP_AFFINITY" not in found
    assert found[KEPT] == "OMP_PROC_BIND,XLA_FLAGS"  # the worker knows what to record
    bind, flags = kept_environment()
    assert bind == "OMP_PROC_BIND=close"
    assert flags.startswith("XLA_FLAGS=")
    assert "/home/me" not in flags


def test_a_variable_that_is_asked_for_holds_whatever_a_track_or_several_devices_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = replace(
        FRAMEWORKS["fake"],
        tuned_environment={"TF_ENABLE_ONEDNN_OPTS": "1"},
        several_environment={"XLA_FLAGS": "--devices={devices}"},
    )
    monkeypatch.setitem(FRAMEWORKS, "fake", row)
    monkeypatch.setenv(KEPT, "")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("XLA_FLAGS", "--mine")
    case = fakes.case(track="tuned", devices=2)
    assert environment(case, tmp_path, 1)["XLA_FLAGS"] == "--devices=2"
    keep(["TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS"])
    found = environment(case, tmp_path, 1)
    assert found["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert found["XLA_FLAGS"] == "--mine --devices=2"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("OMP_NUM_THREADS", "give --threads N"),
        ("KERAS_BACKEND", "the suite sets it itself"),
        ("JAX_PLATFORMS", "the suite sets it itself"),
        ("OMP_PLACES", "no such variable"),
    ],
)
def test_a_variable_that_cannot_be_kept_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.setenv(KEPT, "")
    monkeypatch.delenv("OMP_PLACES", raising=False)
    with pytest.raises(UserError, match=message):
        keep([name])
    assert os.environ[KEPT] == ""


def test_a_thread_that_something_has_bound_is_noticed() -> None:
    cpus = sorted(os.sched_getaffinity(0))
    assert thread_affinities() == [cpus]
    bound, done = threading.Event(), threading.Event()

    def bind() -> None:
        os.sched_setaffinity(0, cpus[:1])  # of this thread alone
        bound.set()
        done.wait(10)

    thread = threading.Thread(target=bind)
    thread.start()
    bound.wait(10)
    try:
        assert thread_affinities() == ([cpus[:1], cpus] if len(cpus) > 1 else [cpus])
    finally:
        done.set()
        thread.join()
