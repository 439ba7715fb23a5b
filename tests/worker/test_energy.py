"""The energy counters, in made folders of powercap."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.worker.device import energy
from bench.worker.device.energy import Meter, Reading, added

RANGE = 262_143_328_850


def domain(root: Path, name: str, says: str, microjoules: int, wraps_at: int = RANGE) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "name").write_text(f"{says}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{wraps_at}\n")
    return folder / "energy_uj"


def spent(meter: Meter, work: Callable[[], object]) -> energy.Energy:
    before = meter.read()
    work()
    return meter.between(before, meter.read())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two packages, with everything beside and below them that must not be counted."""
    domain(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    domain(tmp_path, "intel-rapl:0:0", "core", 77)
    domain(tmp_path, "intel-rapl:1", "package-1", 5_000_000)
    domain(tmp_path, "intel-rapl:2", "psys", 77)
    domain(tmp_path, "intel-rapl-mmio:0", "package-0", 77)
    (tmp_path / "intel-rapl").mkdir()  # the control type itself
    return tmp_path


def count(root: Path, **microjoules: int) -> None:
    for name, value in microjoules.items():
        path = root / name.replace("rapl", "intel-rapl:").replace("_", ":")
        (path / "energy_uj").write_text(f"{value}\n")


def test_packages_are_summed_and_nothing_is_counted_twice(root: Path) -> None:
    def work() -> None:
        count(root, rapl0=3_500_000, rapl1=5_250_000, rapl0_0=900_000_000, rapl2=900_000_000)

    assert spent(Meter(root), work) == {
        "joules": 2.75,
        "reason": None,
        "source": "powercap: package-0, package-1",
    }


def test_a_counter_that_begins_again_goes_on(root: Path) -> None:
    count(root, rapl0=RANGE - 1_000_000)
    assert spent(Meter(root), lambda: count(root, rapl0=2_000_000))["joules"] == 3.0


def test_each_package_begins_again_at_its_own_end(root: Path) -> None:
    (root / "intel-rapl:1" / "max_energy_range_uj").write_text("6000000")
    found = spent(Meter(root), lambda: count(root, rapl0=2_000_000, rapl1=1_000_000))
    assert found["joules"] == 1.0 + 2.0


@pytest.mark.parametrize("missing", [True, False])
def test_a_machine_without_a_counter_says_so(tmp_path: Path, missing: bool) -> None:
    meter = Meter(tmp_path / "none" if missing else tmp_path)
    found = spent(meter, lambda: None)
    assert found == {"joules": None, "reason": energy.NO_COUNTER, "source": None}


def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What anybody but root meets. Set up without chmod, which does not keep root out."""
    read = Path.read_text

    def guarded(self: Path, *args: Any, **kwargs: Any) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(self))
        return read(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", guarded)


def test_a_counter_for_root_alone_says_how_to_allow_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(monkeypatch)
    found = spent(Meter(root), lambda: None)
    assert found["joules"] is None
    assert "root alone" in found["reason"]
    assert "sudo chmod a+r /sys/class/powercap/" in found["reason"]


def test_permission_that_goes_away_between_two_readings_is_no_crash(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = spent(Meter(root), lambda: refused(monkeypatch))
    assert found["joules"] is None
    assert found["reason"] == energy.NOT_ALLOWED


@pytest.mark.parametrize("file", ["energy_uj", "max_energy_range_uj"])
def test_a_counter_that_says_nonsense_is_no_crash(root: Path, file: str) -> None:
    (root / "intel-rapl:0" / file).write_text("\n")
    found = spent(Meter(root), lambda: None)
    assert found["joules"] is None
    assert "cannot be read" in found["reason"]


def test_a_counter_that_stands_still_is_no_zero_joules(root: Path) -> None:
    found = spent(Meter(root), lambda: None)
    assert (found["joules"], found["reason"]) == (None, energy.STANDS_STILL)


def test_blocks_add_up_and_one_unknown_makes_the_sum_unknown(root: Path) -> None:
    meter = Meter(root)
    readings = [Reading((at, 0)) for at in (0, 1_000_000, 5_000_000, 5_500_000)]
    first = meter.between(readings[0], readings[1])
    second = meter.between(readings[2], readings[3])
    assert added([first, second]) == {**first, "joules": 1.5}
    unknown = meter.between(readings[0], Reading(reason="why"))
    assert added([first, unknown, second]) == {**first, "joules": None, "reason": "why"}
    assert added([])["joules"] is None


def test_the_real_machine_answers_or_says_why() -> None:
    found = spent(Meter(), lambda: sum(range(1000)))
    assert (found["joules"] is None) != (found["reason"] is None)
