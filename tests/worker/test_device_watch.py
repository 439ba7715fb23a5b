"""An accelerator during a measurement: energy, state and other programs, from a recording."""

from pathlib import Path

import pytest

from bench.core.errors import UserError
from bench.core.system import nvml
from bench.worker.device.energy import STANDS_STILL
from bench.worker.device.watch import SOURCE, BlockWatch, CardMeter, DeviceWatch
from tests.support import nvml_recordings
from tests.support.nvml_recordings import replay

FOREIGN = [{"pid": "own", "usedGpuMemory": 5}, {"pid": "foreign", "usedGpuMemory": 7}]


@pytest.fixture(autouse=True)
def _replayed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    replay(monkeypatch, tmp_path)


class Clock:
    """Advances by the given seconds."""

    def __init__(self, *seconds: float) -> None:
        self._seconds = list(seconds)

    def __call__(self) -> float:
        return self._seconds.pop(0)


def spent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, readings: list[object], seconds: float
) -> dict[str, object]:
    """Energy between two readings of the counter, so many seconds apart."""
    replay(monkeypatch, tmp_path, nvmlDeviceGetTotalEnergyConsumption={"sequence": readings})
    meter = CardMeter(nvml.card("cuda"), clock=Clock(10.0, 10.0 + seconds))
    return meter.between(meter.read(), meter.read())


def test_joules_are_those_of_the_cards_counter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = spent(monkeypatch, tmp_path, [1_000_000, 1_350_500], 1.2)
    assert found == {"joules": 350.5, "reason": None, "source": SOURCE}


@pytest.mark.parametrize(
    ("readings", "seconds", "reason"),
    [
        ([1000, 2000], 0.6, "blocks shorter than 1 s"),
        ([1000, 1000], 2.0, STANDS_STILL),
        ([2000, 1000], 2.0, STANDS_STILL),
        ([{"error": "Not Supported"}], 2.0, "this card shows no energy counter"),
    ],
)
def test_unknown_joules_have_a_reason(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    readings: list[object],
    seconds: float,
    reason: str,
) -> None:
    found = spent(monkeypatch, tmp_path, readings, seconds)
    assert found["joules"] is None
    assert reason in str(found["reason"])


def test_a_card_without_nvml_never_has_joules_of_the_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nvml_recordings.none(monkeypatch)
    watch = BlockWatch("cuda")
    watch.begin()
    watch.end()
    metrics = watch.metrics(7)
    assert metrics.keys() == {"energy"}
    assert metrics["energy"]["joules"] is None
    assert "nvidia-ml-py" in metrics["energy"]["reason"]
    assert metrics["energy"]["source"] == SOURCE


def test_the_cpu_has_energy_of_the_processor_and_no_state() -> None:
    watch = BlockWatch("cpu")
    watch.under_load()
    watch.begin()
    watch.end()
    metrics = watch.metrics(7)
    assert metrics.keys() == {"energy"}
    assert metrics["energy"]["source"] != SOURCE
    assert DeviceWatch.of("cpu").state() is None
    assert DeviceWatch.of("cpu").whole(None) == {}


def test_every_block_has_the_state_before_and_after(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clocks = {"sequence": [1980, 1980, 900, 900]}
    replay(
        monkeypatch,
        tmp_path,
        nvmlDeviceGetClockInfo=clocks,
        nvmlDeviceGetCurrentClocksEventReasons={"sequence": [4, 0x48]},
        nvmlDeviceGetComputeRunningProcesses=FOREIGN,
    )
    watch = BlockWatch("cuda")
    watch.under_load()
    watch.begin()
    watch.end()
    (block,) = watch.metrics(7)["device_blocks"]
    assert block["before"]["sm_clock_mhz"] == 1980
    assert block["after"]["sm_clock_mhz"] == 900
    assert block["after"]["throttle"] == ["hardware slowdown", "hardware thermal slowdown"]
    assert block["foreign_processes"] == 1
    assert nvml.harmful([block["before"], block["after"]]) == block["after"]["throttle"]


def test_an_exclusive_measurement_fails_where_another_program_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    replay(monkeypatch, tmp_path, nvmlDeviceGetComputeRunningProcesses=FOREIGN)
    watch = BlockWatch("cuda", exclusive=True)
    watch.begin()
    with pytest.raises(UserError, match=r"another program computes on the device \(pid 1\)"):
        watch.end()


def test_a_whole_measurement_has_its_process_memory() -> None:
    watch = DeviceWatch.of("cuda")
    found = watch.whole(watch.state())
    assert found["device_process_bytes"] == 1073741824
    assert found["device_state"]["before"]["temperature_c"] == 41
    assert found["device_state"]["foreign_processes"] == 0


# ---- training on several cards


def two_cards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **changes: object) -> None:
    """A worker that sees two; each answer of a sequence is one card's, the other card's, ..."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    replay(monkeypatch, tmp_path, nvmlDeviceGetCount=8, **changes)


def test_joules_of_two_cards_are_those_of_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    readings = [1_000_000, 500_000, 1_300_000, 700_000]
    two_cards(monkeypatch, tmp_path, nvmlDeviceGetTotalEnergyConsumption={"sequence": readings})
    meter = CardMeter(*nvml.cards("cuda", 2), clock=Clock(0.0, 1.5))
    assert meter.between(meter.read(), meter.read())["joules"] == 500.0
    unknown = {"sequence": [1_000_000, {"error": "Not Supported"}]}
    two_cards(monkeypatch, tmp_path, nvmlDeviceGetTotalEnergyConsumption=unknown)
    meter = CardMeter(*nvml.cards("cuda", 2), clock=Clock(0.0, 1.5))
    found = meter.between(meter.read(), meter.read())
    assert (found["joules"], found["reason"]) == (None, "this card shows no energy counter")


def test_the_state_of_two_cards_is_that_of_the_slower_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    two_cards(
        monkeypatch,
        tmp_path,
        nvmlDeviceGetClockInfo={"sequence": [1980, 2600, 900, 2500]},
        nvmlDeviceGetTemperature={"sequence": [41, 83]},
        nvmlDeviceGetPowerUsage={"sequence": [500_000, 200_000]},
        nvmlDeviceGetCurrentClocksEventReasons={"sequence": [4, 0x40]},
    )
    state = DeviceWatch.of("cuda", 2).state()
    assert state is not None
    assert (state["sm_clock_mhz"], state["memory_clock_mhz"]) == (900, 2500)
    assert (state["temperature_c"], state["power_watts"]) == (83, 700.0)
    assert nvml.harmful([state]) == ["hardware thermal slowdown"]
    assert state.keys() == DeviceWatch.of("cuda").state().keys()  # type: ignore[union-attr]


def test_a_program_on_the_second_card_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = {"pid": "own", "usedGpuMemory": 5}
    listed = {"sequence": [[own], [own, {"pid": "foreign", "usedGpuMemory": 7}]]}
    two_cards(monkeypatch, tmp_path, nvmlDeviceGetComputeRunningProcesses=listed)
    assert DeviceWatch.of("cuda", 2).foreign() == 1
    two_cards(monkeypatch, tmp_path, nvmlDeviceGetComputeRunningProcesses=listed)
    with pytest.raises(UserError, match=r"another program computes on the device \(pid 1\)"):
        DeviceWatch.of("cuda", 2, exclusive=True).foreign()
    two_cards(monkeypatch, tmp_path, nvmlDeviceGetComputeRunningProcesses=[own])
    watch = DeviceWatch.of("cuda", 2)
    assert watch.whole(watch.state())["device_process_bytes"] == 10
