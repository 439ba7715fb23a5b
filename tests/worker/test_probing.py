"""Which frameworks can use a device, and what ``--device`` means for them."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.errors import UserError
from bench.core.system import devices, nvml
from bench.worker.device import probing
from bench.worker.device.probing import choose, others_on, probe
from tests.support import fakes, nvml_recordings
from tests.support.nvml_recordings import replay

USABLE = ("fake-gpu", "fake-gpu-two")


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path / "cache")
    nvml_recordings.none(monkeypatch)
    probing._probe.cache_clear()
    for name in ("CUDA_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"):
        monkeypatch.delenv(name, raising=False)
    for name, row in devices.DEVICE_KINDS.items():
        here = name in ("cpu", "cuda")
        monkeypatch.setitem(devices.DEVICE_KINDS, name, replace(row, here=lambda here=here: here))


def test_a_framework_is_asked_in_a_process_of_its_own() -> None:
    assert probe("fake-gpu", "cuda").reason is None
    assert probe("fake-gpu", "cuda").name == "Fake GPU"


def test_the_cpu_needs_no_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "Worker", None)
    assert choose("cpu", ("fake", "fake-gpu")).unusable == {}


@pytest.mark.parametrize(
    ("framework", "reason"),
    [
        ("fake", "computes on the CPU alone"),
        ("fake-gpu-old-driver", "The driver on your system is too old (found version 11040)"),
        ("fake-gpu-cpu-build", "device cuda was asked for, and the framework has its weights on"),
        ("fake-missing", "pip install 'alexbench[fake]'"),
        ("fake-killed", "computes on the CPU alone"),
    ],
)
def test_a_framework_that_cannot_says_why(framework: str, reason: str) -> None:
    found = str(probe(framework, "cuda").reason)
    assert reason in found
    assert "\n" not in found
    if framework.startswith("fake-gpu"):
        assert found.endswith("; pip install fake-cuda")
        assert "with numpy " in found


def test_those_that_cannot_are_left_out_with_a_reason() -> None:
    names = ("fake-gpu-old-driver", "fake-gpu", "fake")
    choice = choose("cuda:0", names)
    assert choice.device == "cuda"
    assert list(choice.unusable) == ["fake-gpu-old-driver", "fake"]
    assert choice.usable(names) == ["fake-gpu"]
    assert choice.words == "device: cuda (Fake GPU)"


def test_where_none_can_it_is_one_line() -> None:
    with pytest.raises(UserError) as caught:
        choose("cuda", ("fake-gpu-cpu-build", "fake"))
    message = str(caught.value)
    assert message.startswith("--device cuda: no framework can use it: fake-gpu-cpu-build cannot")
    assert "pip install fake-cuda" in message
    assert "\n" not in message


def test_a_device_that_is_not_there_is_an_error_before_any_framework_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probing, "Worker", None)
    with pytest.raises(UserError, match="--device xpu: this machine has no Intel GPU"):
        choose("xpu", USABLE)
    with pytest.raises(UserError, match="unknown device 'tpu'"):
        choose("tpu", USABLE)


def test_nvml_counts_the_devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nvml, "MODULE", "pynvml")
    replay(monkeypatch, tmp_path)
    with pytest.raises(UserError, match="--device cuda:1: this machine has 1 CUDA device: cuda"):
        choose("cuda:1", USABLE)
    assert choose("cuda", USABLE).words == (
        "device: cuda (NVIDIA H100 80GB HBM3, 80 GiB, 700 W, driver 580.159.04)"
    )


def test_a_card_in_slices_needs_the_name_of_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nvml, "MODULE", "pynvml")
    replay(monkeypatch, tmp_path, nvmlDeviceGetMigMode=[1, 1])
    with pytest.raises(UserError, match=r"divided into MIG slices; name one.*MIG-<uuid>$"):
        choose("cuda", USABLE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1234")  # CUDA would take any slice of it
    with pytest.raises(UserError, match=r"divided into MIG slices; name one.*MIG-<uuid>$"):
        choose("cuda", USABLE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1234")
    assert choose("cuda", USABLE).device == "cuda"


def test_auto_takes_an_accelerator_that_every_framework_can_use() -> None:
    assert choose("auto", USABLE).device == "cuda"
    choice = choose("AUTO", (*USABLE, "fake"))
    assert (choice.device, choice.unusable) == ("cpu", {})
    assert choice.words == "device: cpu (not cuda: fake computes on the CPU alone)"


def test_auto_is_the_cpu_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "Worker", None)
    row = devices.DEVICE_KINDS["cuda"]
    monkeypatch.setitem(devices.DEVICE_KINDS, "cuda", replace(row, here=lambda: False))
    choice = choose("auto", USABLE)
    assert (choice.device, choice.words) == ("cpu", "device: cpu")


def test_other_programs_are_counted_before_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert others_on("cpu") is None
    assert others_on("cuda") is None  # no NVML
    monkeypatch.setattr(nvml, "MODULE", "pynvml")
    replay(monkeypatch, tmp_path, nvmlDeviceGetComputeRunningProcesses=[])
    assert others_on("cuda") is None
    listed = [{"pid": 7, "usedGpuMemory": 1}]
    replay(monkeypatch, tmp_path, nvmlDeviceGetComputeRunningProcesses=listed)
    assert others_on("cuda") == "1 other program computes on cuda (pid 7)"
