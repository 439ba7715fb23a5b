"""Names of devices, what a machine has of them, and what frameworks call them."""

from dataclasses import replace

import pytest

from bench.core.errors import UserError
from bench.core.system import devices
from bench.core.system.devices import (
    CPU,
    DEVICE_KINDS,
    NAMES,
    Device,
    kind_read_back,
    mismatch,
    parse,
)


@pytest.fixture(autouse=True)
def _nothing_visible_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in DEVICE_KINDS.values():
        if row.visible:
            monkeypatch.delenv(row.visible, raising=False)


def having(monkeypatch: pytest.MonkeyPatch, name: str = "cuda", there: bool = True) -> Device:
    """A device of a machine that has a driver for it, or has none."""
    monkeypatch.setitem(devices.DEVICE_KINDS, name, replace(DEVICE_KINDS[name], here=lambda: there))
    return parse(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cpu", "cpu"),
        ("CPU:0", "cpu"),
        ("cuda", "cuda"),
        ("cuda:0", "cuda"),
        (" Cuda:3 ", "cuda:3"),
        ("gpu", "cuda"),
        ("gpu:1", "cuda:1"),
        ("mps", "mps"),
        ("xpu:1", "xpu:1"),
    ],
)
def test_a_device_has_one_name(name: str, expected: str) -> None:
    assert str(parse(name)) == expected
    assert str(parse(expected)) == expected


@pytest.mark.parametrize("name", ["", "tpu", "cuda:", "cuda:x", "cuda:-1", "cuda 1", "cuda:1:2"])
def test_an_unknown_device_says_which_there_are(name: str) -> None:
    with pytest.raises(UserError, match=r"unknown device .*known: auto, cpu, cuda, mps, xpu"):
        parse(name)


@pytest.mark.parametrize("name", ["cpu:1", "mps:1"])
def test_a_machine_has_one_of_these(name: str) -> None:
    with pytest.raises(UserError, match="a machine has one"):
        parse(name)


def test_every_kind_has_a_name_of_its_own_for_each_framework() -> None:
    assert ("auto", *DEVICE_KINDS) == NAMES
    for row in DEVICE_KINDS.values():
        assert row.name in row.read_back
        assert row.accelerator == (row.name != "cpu")
        assert row.absent or not row.accelerator


def test_the_cpu_is_everywhere() -> None:
    CPU.check()
    assert (CPU.in_worker, CPU.accelerator) == ("cpu", False)


@pytest.mark.parametrize("name", ["cuda", "mps", "xpu"])
def test_a_device_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    device = having(monkeypatch, name, there=False)
    with pytest.raises(UserError) as caught:
        device.check()
    assert str(caught.value).startswith(f"--device {name}: this machine has no ")
    assert "--device cpu runs everywhere" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_index_that_is_too_high_says_which_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    having(monkeypatch)
    parse("cuda:1").check(2)
    with pytest.raises(UserError, match=r"this machine has 2 CUDA devices: cuda, cuda:1$"):
        parse("cuda:2").check(2)
    with pytest.raises(UserError, match=r"this machine has 1 CUDA device: cuda$"):
        parse("cuda:1").check(1)
    with pytest.raises(UserError, match="this machine has no CUDA device"):
        parse("cuda").check(0)


def test_what_the_user_hid_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    having(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,2")
    parse("cuda:1").check(8)
    assert parse("cuda:1").entry == "2"
    with pytest.raises(UserError, match="CUDA_VISIBLE_DEVICES=5,2 leaves 2 CUDA devices"):
        parse("cuda:2").check(8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match="CUDA_VISIBLE_DEVICES= leaves no CUDA device"):
        parse("cuda").check(8)


@pytest.mark.parametrize("value", ["-1", "NoDevFiles", ",2", "-1,2"])
def test_an_entry_that_names_no_device_hides_those_after_it(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """As CUDA reads the variable; Slurm writes ``NoDevFiles`` where a job has no GPU."""
    having(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    with pytest.raises(UserError, match=f"CUDA_VISIBLE_DEVICES={value} leaves no CUDA device"):
        parse("cuda").check(8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"3,{value}")
    parse("cuda").check(8)
    assert parse("cuda").entry == "3"
    with pytest.raises(UserError, match="leaves 1 CUDA device: cuda"):
        parse("cuda:1").check(8)


@pytest.mark.parametrize(
    ("found", "word"),
    [
        ("cpu", "cpu"),
        ("cuda", "cuda"),
        ("cuda:0", "cuda"),
        ("gpu", "gpu"),
        ("GPU:0", "gpu"),
        ("/device:GPU:0", "gpu"),
        ("/job:localhost/replica:0/task:0/device:CPU:0", "cpu"),
        ("/job:localhost/replica:0/task:0/device:GPU:0", "gpu"),
        ("device(type='cuda')", None),
        ("meta", None),
        (None, None),
    ],
)
def test_frameworks_have_words_of_their_own(found: object, word: str | None) -> None:
    assert kind_read_back(found) == word


@pytest.mark.parametrize(
    ("asked", "found"),
    [("cpu", "cpu"), ("cpu", None), ("cpu", "/device:CPU:0"), ("cuda", "cuda:0"), ("cuda", "gpu")],
)
def test_a_device_that_was_read_back_is_the_one_asked_for(asked: str, found: object) -> None:
    assert mismatch(asked, found) is None


@pytest.mark.parametrize(
    ("asked", "found", "words"),
    [
        ("cuda", "cpu", "has its weights on cpu"),
        ("cuda:1", "/device:CPU:0", "has its weights on /device:CPU:0"),
        ("cuda", None, "reports no device"),
        ("cpu", "cuda:0", "has its weights on cuda:0"),
        ("mps", "cuda:0", "has its weights on cuda:0"),
    ],
)
def test_another_device_is_a_reason(asked: str, found: object, words: str) -> None:
    reason = mismatch(asked, found)
    assert reason == f"device {asked} was asked for, and the framework {words}"


def test_what_a_kind_of_device_lacks() -> None:
    assert [row.name for row in DEVICE_KINDS.values() if row.tf32] == ["cuda"]
    assert [row.name for row in DEVICE_KINDS.values() if not row.float64] == ["mps"]


def test_jax_has_names_of_its_own() -> None:
    """In its ``xla_bridge``: an unknown name of a platform is an error, not the next one."""
    names = {row.name: row.jax_platform for row in DEVICE_KINDS.values()}
    assert names == {"cpu": "cpu", "cuda": "cuda", "mps": "METAL", "xpu": "oneapi"}
    for row in DEVICE_KINDS.values():
        assert mismatch(row.name, f"{row.jax_platform}:0") is None
