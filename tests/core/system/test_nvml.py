"""NVML: a recording replayed, and everything that a card may not answer."""

import os
from pathlib import Path

import pytest

from bench.core.system import nvml
from bench.core.system.environment import capture, gpu_line
from tests.support import nvml_recordings
from tests.support.nvml_recordings import H100, UNSUPPORTED, replay


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    replay(monkeypatch, tmp_path)


def test_a_card_says_what_it_is() -> None:
    assert nvml.count() == 1
    assert nvml.card("cuda").facts() == {
        "name": "NVIDIA H100 80GB HBM3",
        "driver": "580.159.04",
        "cuda": "13.0",
        "memory_bytes": 85520809984,
        "power_limit_watts": 700.0,
        "max_sm_clock_mhz": 1980,
        "max_memory_clock_mhz": 1980,
        "compute_capability": "9.0",
        "mig": False,
    }


def test_a_card_says_how_it_is_doing() -> None:
    assert nvml.card("cuda").state() == {
        "sm_clock_mhz": 1755,
        "memory_clock_mhz": 1755,
        "temperature_c": 41,
        "power_watts": 512.345,
        "throttle": ["power cap"],
        "busy_percent": 97,
        "memory_used_bytes": 2147483648,
    }
    assert nvml.card("cuda").millijoules() > 0


def test_the_environment_of_a_record_has_the_card_and_nothing_private() -> None:
    found = capture({}, "cuda")
    assert found["gpu"]["name"] == H100["nvmlDeviceGetName"]
    assert gpu_line(found) == "NVIDIA H100 80GB HBM3, 80 GiB, 700 W, driver 580.159.04"
    assert "uuid" not in str(found).lower()
    assert "gpu" not in capture({})
    assert gpu_line(capture({})) == ""
    assert gpu_line({"gpu": "some card"}) == "some card"


def test_without_nvml_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml_recordings.none(monkeypatch)
    found = nvml.card("cuda")
    assert "nvidia-ml-py is not installed; pip install 'alexbench[gpu]'" in str(found.reason)
    assert found.facts() is found.processes() is found.millijoules() is nvml.count() is None
    assert found.foreign(os.getpid()) == []
    assert set(found.state().values()) == {None}
    assert capture({}, "cuda")["gpu_reason"] == found.reason


def test_a_driver_that_is_not_loaded_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    replay(monkeypatch, tmp_path, nvmlInit={"error": "Driver Not Loaded"})
    assert nvml.card("cuda").reason == "NVML cannot be used: Driver Not Loaded"


@pytest.mark.parametrize("device", ["mps", "xpu", "cpu"])
def test_other_devices_have_no_card(device: str) -> None:
    assert "NVML knows CUDA devices only" in str(nvml.card(device).reason)


def test_what_is_not_supported_is_none_and_no_exception(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    replay(monkeypatch, tmp_path, **UNSUPPORTED)
    card = nvml.card("cuda")
    facts = card.facts()
    assert facts is not None
    known = {name: value for name, value in facts.items() if value is not None}
    assert known == {"driver": "580.159.04", "cuda": "13.0"}
    assert set(card.state().values()) == {None}
    assert card.millijoules() is card.processes() is None
    assert card.foreign(os.getpid()) == []


def test_a_card_that_is_lost_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    replay(monkeypatch, tmp_path, nvmlDeviceGetHandleByIndex={"error": "GPU is lost"})
    assert nvml.card("cuda:1").reason == "NVML does not know cuda:1: GPU is lost"


def test_older_libraries_have_another_name_for_throttling(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lacking = {"nvmlDeviceGetCurrentClocksEventReasons": {"error": "Function Not Found"}}
    replay(monkeypatch, tmp_path, **lacking, nvmlDeviceGetCurrentClocksThrottleReasons=0x60)
    throttle = nvml.card("cuda").state()["throttle"]
    assert throttle == ["software thermal slowdown", "hardware thermal slowdown"]


def test_a_value_that_nvml_marks_as_unknown_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    replay(monkeypatch, tmp_path, nvmlDeviceGetPowerUsage=2**64 - 1)
    assert nvml.card("cuda").state()["power_watts"] is None


def test_a_slice_is_asked_for_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1234")
    assert nvml.card("cuda").handle == "handle of a uuid"


def test_the_power_cap_is_a_fact_of_the_card_and_no_disturbance() -> None:
    states = [{"throttle": ["power cap"]}, {"throttle": None}, {}]
    assert nvml.harmful(states) == []
    hot = {"throttle": ["power cap", "hardware thermal slowdown"]}
    assert nvml.harmful([*states, hot, hot]) == ["hardware thermal slowdown"]


def test_a_process_is_foreign_unless_it_is_of_our_family(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listed = [{"pid": pid, "usedGpuMemory": None} for pid in ("own", "foreign", 4_000_000)]
    replay(monkeypatch, tmp_path, nvmlDeviceGetComputeRunningProcesses=listed)
    card = nvml.card("cuda")
    assert card.processes() == {os.getpid(): None, 1: None, 4_000_000: None}
    # 4,000,000 is no process here: a container is given ids of its host.
    assert card.foreign(family=os.getppid()) == ([] if os.getppid() == 1 else [1])
    assert card.foreign(family=os.getpid()) == [1]
