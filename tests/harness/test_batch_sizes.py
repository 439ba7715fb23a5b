"""The largest batch that fits: a search over powers of two."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.case import Case
from bench.core.errors import UserError
from bench.harness.batch_sizes import FILE, advice, check, largest, largest_below, resolved
from bench.harness.matrix import Job, Task
from bench.harness.selection import AUTO_BATCH


def job(framework: str = "pytorch", batch: int = AUTO_BATCH, **changes: str) -> Job:
    case = Case(
        "cifar-bn", framework, "idiomatic", batch_size=batch, **{"device": "cuda", **changes}
    )
    return Job(case, (Task(case, "train_throughput"),))


class Room:
    """A device with room for so many images, by framework."""

    def __init__(self, **room: int) -> None:
        self.room, self.tried = room, list[int]()

    def __call__(self, job: Job, batch: int) -> bool | None:
        self.tried.append(batch)
        room = self.room.get(job.case.framework.replace("-", "_"), 0)
        return None if room < 0 else batch <= room


@pytest.mark.parametrize(
    ("room", "size"), [(5000, 4096), (128, 128), (127, 64), (1, 1), (0, None), (1 << 40, 1 << 16)]
)
def test_the_largest_power_of_two_is_found(room: int, size: int | None) -> None:
    assert largest(job(), Room(pytorch=room)) == size


@pytest.mark.parametrize(
    ("batch", "room", "size"), [(1024, 700, 512), (1000, 700, 512), (512, 511, 256), (1, 0, None)]
)
def test_a_batch_that_does_not_fit_is_never_tried_again(
    batch: int, room: int, size: int | None
) -> None:
    device = Room(pytorch=room)
    assert largest_below(job(), batch, device) == size
    assert all(tried < batch for tried in device.tried)


def test_a_step_that_fails_otherwise_ends_the_search() -> None:
    device = Room(pytorch=-1)
    assert largest(job(), device) is None
    assert largest_below(job(), 1024, device) is None
    assert len(device.tried) == 2


def test_a_row_names_the_batch_that_fits() -> None:
    room = Room(pytorch=300)
    assert advice(job(batch=1024), room) == (
        "the largest power of two that fits is 256: --batch-sizes 256"
    )
    assert advice(job(batch=1024, device="cpu"), room) == ""
    assert advice(job(batch=1024), Room()) == "no smaller power of two fits"


def test_frameworks_that_are_compared_share_a_size_and_a_run_goes_on_with_it(
    tmp_path: Path,
) -> None:
    device = Room(pytorch=5000, keras_jax=1000, keras_torch=-1, keras_tensorflow=9)
    names = ("pytorch", "keras-jax", "keras-torch", "keras-tensorflow")
    lines: list[str] = []
    given = [*map(job, names), job(batch=7)]
    found = resolved(given, tmp_path, device, ["keras-tensorflow"], lines.append)
    assert [one.case.batch_size for one in found] == [512, 512, 512, 512, 7]
    assert [one.tasks[0].case.batch_size for one in found] == [512, 512, 512, 512, 7]
    assert lines == [
        "cifar-bn idiomatic 32px cuda: batches of 512, the largest power of two that fits"
    ]
    assert json.loads((tmp_path / FILE).read_text()) == {"cifar-bn idiomatic 32px cuda": 512}
    other = Room()
    assert resolved(given, tmp_path, other)[0].case.batch_size == 512
    assert other.tried == []


def test_all_that_is_compared_is_tried(tmp_path: Path) -> None:
    """float32 takes more room than bfloat16, and one device more than two."""
    room = {("bfloat16", 2): 4096, ("bfloat16", 1): 2048, ("float32", 1): 1024}

    def fits(asked: Job, batch: int) -> bool:
        return batch <= room[asked.case.precision, asked.case.devices]

    given = [
        replace(one, case=replace(one.case, precision=precision, devices=devices))
        for one in [job()]
        for precision, devices in room
    ]
    found = resolved(given, tmp_path, fits)
    assert {one.case.batch_size for one in found} == {1024}


def test_the_cpu_and_a_device_without_room_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--batch-sizes auto: .* give numbers for the CPU"):
        resolved([job(device="cpu")], tmp_path, Room())
    with pytest.raises(UserError, match="--batch-sizes auto: not even one image of cifar-bn"):
        resolved([job()], tmp_path, Room())


def test_a_step_that_fails_at_any_size_leaves_its_row_and_other_networks(tmp_path: Path) -> None:
    """It ended the run with "not even one image fits"."""
    lines: list[str] = []
    (found,) = resolved([job()], tmp_path, Room(pytorch=-1), note=lines.append)
    assert found.case.batch_size == 128
    assert lines[0].endswith("batches of 128, no step succeeds, at any size")


def test_jobs_with_numbers_stay_as_they_are(tmp_path: Path) -> None:
    given = [job(batch=64)]
    assert resolved(given, tmp_path, Room()) == given


def test_a_size_for_the_cpu_is_refused_before_anything_is_written() -> None:
    with pytest.raises(UserError, match="give numbers for the CPU"):
        check([job(device="cpu")])
    check([job(), job(batch=8, device="cpu")])
