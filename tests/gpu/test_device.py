"""On an accelerator: where it computes, the same network, memory, the clock, predictions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from bench.analysis.clock import MISSING_SYNC, sync_audit_of
from bench.analysis.experiments import Experiment
from bench.core.case import Case
from bench.core.kinds import TRAIN_THROUGHPUT
from bench.core.limits import Limits
from bench.core.records import Record, RecordStore
from bench.core.system import nvml
from bench.core.system.devices import mismatch, parse
from bench.data.dataset import save
from bench.data.synthetic import generate
from bench.harness.batch_sizes import largest_below, tried
from bench.harness.certificates import Subject, obtain
from bench.harness.matrix import Job, Task
from bench.networks.init import initial_weights
from bench.networks.variants import VARIANTS
from bench.parity.problem import CLASSES
from bench.training.frameworks import FRAMEWORKS, REFERENCE
from bench.training.settings import not_in_force
from bench.worker.client import Worker, WorkerError
from bench.worker.device.probing import DeviceChoice
from bench.worker.environment import environment
from tests.frameworks.support.client import ROOT

BATCH = 256
CHECKED = [name for name in os.environ.get("ALEXBENCH_TEST_VARIANTS", "").split(",") if name]
CHECKED = CHECKED or list(VARIANTS)
"""Networks whose parity is checked; all unless the variable names some."""
LIMITS = Limits(blocks=2, block_seconds=0.5, audit_repeats=2, timeout_seconds=300)
MEGABYTE = 1 << 20


def measured(case: Case, data: Path, kind: str, limits: Limits = LIMITS) -> dict[str, Any]:
    """One measurement in a worker of its own."""
    with Worker(case, data, limits) as worker:
        worker.open(lambda done, note: None)
        return worker.measure(kind, lambda done, note: None)


@pytest.fixture(scope="session")
def certificates(usable: list[str], device: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Of every network in every framework; the frameworks are checked side by side."""
    wanted = [
        Subject(row.name, name, "source", row.input_size, CLASSES, device)
        for name in usable
        for row in map(VARIANTS.__getitem__, CHECKED)
    ]
    found = obtain(wanted, lambda done, note: None)
    return {(s.variant, s.framework): certificate for s, certificate in found}


@pytest.mark.parametrize("variant", CHECKED)
def test_every_network_is_that_of_the_reference(
    variant: str, framework: str, certificates: dict[tuple[str, str], dict[str, Any]]
) -> None:
    found = certificates[variant, framework]
    worst = {
        name: figure["worst"]
        for name, figure in found["figures"].items()
        if name.startswith("float32")
    }
    assert found["status"] == "pass", f"{found['problem']}; {worst}"


@pytest.mark.parametrize("track", ["closed", "idiomatic", "tuned"])
def test_training_is_on_the_device_and_the_clock_waits_for_it(
    track: str, framework: str, device: str, data: Path
) -> None:
    precision = "float32" if track == "closed" else "bfloat16"
    case = Case("cifar-bn", framework, track, precision=precision, batch_size=BATCH, device=device)
    found = measured(case, data, TRAIN_THROUGHPUT)
    settings, metrics = found["settings"], found["metrics"]
    assert mismatch(device, settings["device"]) is None
    assert settings["device_name"]
    assert settings["idle_checked"]
    if track == "closed":
        assert not settings["tf32"]
    assert found["device_memory_bytes"] is None or found["device_memory_bytes"] > MEGABYTE
    record = Record(case, TRAIN_THROUGHPUT, "ok", tuple(found["samples"]), metrics=metrics)
    audit = sync_audit_of(Experiment(case, TRAIN_THROUGHPUT, (record,)))
    assert audit is not None
    assert audit.verdict != MISSING_SYNC
    rate = metrics["steps_per_sample"] * BATCH / min(found["samples"])
    print(f"{framework} {track}: {rate:,.0f} images/s, {found['device_memory_bytes']} bytes")
    # No CPU trains this network so fast, whatever the settings say.
    assert rate > 2_000
    if "torch" in FRAMEWORKS[framework].modules:  # the others have no public clock of the device
        pairs = zip(metrics["device_seconds"], found["samples"], strict=True)
        assert all(0.5 * host < device < 1.01 * host for device, host in pairs)
        assert metrics["device_reserved_bytes"] >= found["device_memory_bytes"]


@pytest.mark.parametrize("precision", ["tf32", "float16"])
@pytest.mark.parametrize("track", ["idiomatic", "tuned"])
def test_the_precision_that_is_asked_for_is_in_force(
    precision: str, track: str, framework: str, device: str, data: Path
) -> None:
    """A worker fails where it is not; here it must be there at all."""
    case = Case("cifar-bn", framework, track, precision=precision, batch_size=BATCH, device=device)
    settings = measured(case, data, "startup")["settings"]
    assert not_in_force(case, settings) is None
    assert settings["compute_dtype"] == ("float16" if precision == "float16" else "float32")
    assert (settings["loss_scale"] is not None) == (precision == "float16")


@pytest.mark.parametrize("execution", ["compiled", "graphs", "compiled:8"])
def test_every_execution_trains_or_says_that_there_is_none(
    execution: str, framework: str, device: str, data: Path
) -> None:
    case = Case(
        *("cifar-bn", framework, "idiomatic"),
        precision="bfloat16",
        batch_size=BATCH,
        device=device,
        execution=execution,
    )
    refused: WorkerError | None = None
    try:
        found = measured(case, data, TRAIN_THROUGHPUT)
    except WorkerError as error:
        refused = error
    if refused:
        assert refused.status == "skipped", str(refused)
        pytest.skip(str(refused))
    rate = found["metrics"]["steps_per_sample"] * BATCH / min(found["samples"])
    print(f"{framework} {execution}: {rate:,.0f} images/s, {found['settings']['compilation']}")
    assert rate > 2_000


def test_what_nvml_sees_is_in_the_result(device: str, data: Path, usable: list[str]) -> None:
    card = nvml.card(device)
    if card.handle is None:
        pytest.skip(str(card.reason))
    case = Case("cifar-bn", usable[0], batch_size=BATCH, device=device)
    limits = Limits(blocks=2, block_seconds=1.3, audit_repeats=1, timeout_seconds=300)
    found = measured(case, data, TRAIN_THROUGHPUT, limits)["metrics"]
    print(json.dumps({"facts": card.facts(), **found["device_blocks"][-1]}))
    assert card.facts()["name"]
    assert len(found["device_blocks"]) == 2
    assert all(block["foreign_processes"] == 0 for block in found["device_blocks"])
    energy = found["energy"]
    print(json.dumps(energy))
    assert energy["source"].startswith("nvml")
    if energy["joules"] is not None:
        watts = energy["joules"] / 2.6
        assert 20 < watts < 2000
    else:
        assert energy["reason"]


def test_the_same_training_twice_ends_near_the_same(
    framework: str, device: str, data: Path
) -> None:
    """Bits may differ: no deterministic algorithms are asked for on an accelerator."""
    case = Case("cifar-plain", framework, recipe="short", batch_size=BATCH, device=device)
    one, two = (
        measured(case, data, "accuracy", Limits(evaluations=1))["metrics"] for _ in range(2)
    )
    first, second = (np.array(m["step_losses"], float) for m in (one, two))
    assert np.isfinite(first).all()
    assert first[0] == pytest.approx(second[0], rel=1e-4)
    assert first[:5] == pytest.approx(second[:5], rel=1e-2)


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many images as a CPU trains on in seconds."""
    folder = tmp_path_factory.mktemp("few") / "data"
    save(generate(train=256, test=100, seed=0), folder)
    return folder


@pytest.fixture(scope="session")
def losses_on_the_cpu(few: Path) -> list[float]:
    """The reference framework's first losses."""
    if reason := FRAMEWORKS[REFERENCE].missing():
        pytest.skip(f"nothing to compare with: {reason}")
    return first_losses(REFERENCE, "cpu", few)


def first_losses(framework: str, device: str, few: Path) -> list[float]:
    case = Case("cifar-plain", framework, recipe="short", batch_size=64, device=device)
    losses: list[float] = measured(case, few, "accuracy", Limits(evaluations=1))["metrics"][
        "step_losses"
    ]
    return losses[:3]


def test_the_closed_track_starts_with_the_losses_of_the_cpu(
    framework: str, device: str, few: Path, losses_on_the_cpu: list[float]
) -> None:
    found = first_losses(framework, device, few)
    assert found == pytest.approx(losses_on_the_cpu, rel=1e-3)


def alexbench(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_short_run_leaves_rows_of_the_device(
    tmp_path: Path, device: str, usable: list[str]
) -> None:
    done = alexbench(
        *("run", "--device", device, "--profile", "gpu", "--data", "generated"),
        *("--variants", "cifar-bn", "--frameworks", ",".join(usable)),
        *("--tracks", "idiomatic", "--kinds", "train_throughput"),
        *("--run", "short", "--results", tmp_path),
        folder=tmp_path,
    )
    print(done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"device: {device}" in done.stderr
    records = RecordStore(tmp_path / "short").read()
    assert {record.case.framework for record in records} == set(usable)
    for record in records:
        assert record.ok, record.error
        assert record.case.device == device
        assert mismatch(device, record.settings["device"]) is None
        assert record.environment.get("gpu") or record.environment.get("gpu_reason")
    for record in records:
        if "energy" in record.metrics:
            assert not str(record.metrics["energy"]["source"]).startswith("powercap")
    peaks = [r.metrics["ceiling"] for r in records if r.metrics.get("ceiling")]
    print(peaks[:1])
    assert all(peak["flops_per_second"] > 1e12 for peak in peaks)
    assert (tmp_path / "short" / "report.html").exists()


def test_predictions_are_those_of_the_cpu(framework: str, device: str, tmp_path: Path) -> None:
    """With weights that are drawn here: published ones may not be."""
    rng = np.random.default_rng(0)
    image = tmp_path / "image.png"
    Image.fromarray(rng.integers(0, 255, (256, 256, 3), np.uint8)).save(image)
    weights = tmp_path / "weights.safetensors"
    drawn = initial_weights(VARIANTS["cifar-bn"].architecture(CLASSES), 0)
    save_file({name: np.ascontiguousarray(array) for name, array in drawn.items()}, weights)
    found = {}
    for where in ("cpu", device):
        out = tmp_path / f"{where.replace(':', '-')}.npz"
        done = alexbench(
            *("embed", image, "--framework", framework, "--weights", weights),
            *("--device", where, "-o", out),
            folder=tmp_path,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found[where] = _features(out)
    size = np.abs(found["cpu"]).max()
    assert size > 0
    assert np.abs(found["cpu"] - found[device]).max() / size < 1e-3


def _features(path: Path) -> Any:
    with np.load(path) as stored:
        arrays = [stored[name] for name in stored.files if stored[name].dtype == np.float32]
    return arrays[0]


def test_a_batch_that_does_not_fit_is_a_marked_row(
    device: str, data: Path, usable: list[str]
) -> None:
    if REFERENCE not in usable:
        pytest.skip(f"{REFERENCE} cannot use {device}")
    # Their first activations alone take more than any card has.
    case = Case(
        *("torchvision", REFERENCE, "idiomatic"),
        input_size=224,
        precision="float32",
        batch_size=1 << 17,
        device=device,
    )
    with pytest.raises(WorkerError) as caught:
        measured(case, data, "startup")
    assert caught.value.status == "oom", str(caught.value)[-500:]
    assert f"batches of {1 << 17}; a smaller one may fit" in str(caught.value)


FLOAT64 = """
import json, sys
import keras, numpy as np
from models_keras.backend import current
from models_keras.settings import use_precision
backend = current()
backend.configure(1, False, sys.argv[1], False)
backend.use_precision("float64")
use_precision("float64")
x = np.log([0.9, 0.999])[:, None] * np.arange(1, 11)
found = {}
for name, given in (("expm1", x), ("exp", x), ("sqrt", -x), ("rsqrt", -x), ("log", -x)):
    there = getattr(keras.ops, name)(keras.ops.convert_to_tensor(given, "float64"))
    exact = 1 / np.sqrt(given) if name == "rsqrt" else getattr(np, name)(given)
    gap = np.abs(np.asarray(keras.ops.convert_to_numpy(there)) / exact - 1).max()
    found[name] = float(gap)
print(json.dumps(found))
"""
"""Functions of the closed track's arithmetic, at the arguments that Adam's correction has."""


def test_functions_in_float64_are_exact_to_rounding(
    framework: str, device: str, tmp_path: Path
) -> None:
    """Parity in float64 rests on them: an approximation made for float32 would not be seen in SGD,
    and grows in ten steps of Adam."""
    if "keras" not in FRAMEWORKS[framework].modules:
        pytest.skip("the reference of the arithmetic")
    case = Case("", framework, device=device)
    done = subprocess.run(
        [sys.executable, "-c", FLOAT64, parse(device).in_worker],
        env={**environment(case, tmp_path, 2), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{framework}: {found}")
    assert {name: gap for name, gap in found.items() if gap > 1e-14} == {}


def test_the_largest_batch_is_found(device: str, data: Path, usable: list[str]) -> None:
    case = Case("torchvision", usable[0], "idiomatic", input_size=224, device=device)
    limits = Limits(timeout_seconds=300)
    job = Job(case, (Task(case, TRAIN_THROUGHPUT),))
    found = largest_below(job, 1 << 17, tried(data, limits))
    print(f"{usable[0]}: torchvision at 224 px, batches of {found}")
    assert found is not None
    assert found >= 64


def test_every_framework_is_tested_or_says_why(usable: list[str], choice: DeviceChoice) -> None:
    for name, row in FRAMEWORKS.items():
        assert name in usable or row.missing() or choice.unusable[name]
