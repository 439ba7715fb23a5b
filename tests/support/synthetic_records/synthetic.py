"""Plausible synthetic records for the tests of tables, plots and reports. Nothing was measured."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from bench.core.case import Case
from bench.core.records import Record
from bench.core.samples import by_process
from bench.stats.summaries import summary_of
from bench.training.tracks import track

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
FRAMEWORKS = ("pytorch", "keras-tensorflow", "keras-jax", "keras-torch")
SPEED = {"pytorch": 1.0, "keras-tensorflow": 0.72, "keras-jax": 0.9, "keras-torch": 0.61}
DATASET = {
    "name": "cifar10",
    "fingerprint": "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "train_images": 50_000,
    "test_images": 10_000,
}
OTHER_DATASET = {
    "name": "generated",
    "fingerprint": "f" * 64,
    "train_images": 2_000,
    "test_images": 1_000,
}
ENVIRONMENT = {
    "cpu": "Example CPU 9000",
    "cores": 2,
    "cpu_quota": 2,
    "memory_bytes": 8 * 2**30,
    "memory_limit_bytes": 0,
    "os": "Linux 6.1",
    "python": "3.11.7",
    "versions": {"torch": "2.9.0", "keras": "3.12.0", "tensorflow": "2.20.0", "jax": "0.8.0"},
    "commit": "1234567",
    "alexbench": "0.1.0",
}
SETTINGS = {
    "threads": {"intra_op": 2, "inter_op": 1},
    "affinity": [0, 1],
    "thread_affinities": [[0, 1]],
    "kept_environment": [],
    "precision": "float32",
    "layout": "channels_last",
    "compile": False,
    "recipe": {"optimiser": "sgd", "learning_rate": 0.01, "momentum": 0.9},
}

FIGURES = {
    "float32 logits": {"worst": 2.1e-7, "bound": 1e-5, "where": "dense3"},
    "float64 loss": {"worst": 1.0e-15, "bound": 1e-12, "where": "step 3"},
    "float64 gradients": {"worst": 3.2e-13, "bound": 1e-10, "where": "conv1.weight"},
    "float64 weights, SGD": {"worst": 4.3e-12, "bound": 1e-9, "where": "conv2.weight"},
    "float64 weights, Adam": {"worst": 5.4e-11, "bound": 1e-8, "where": "conv1.bias"},
    "float64 running statistics": {"worst": 6.5e-13, "bound": 1e-10, "where": "conv1_bn.mean"},
}
STARTUP = {"import_seconds": 3.0, "build_seconds": 0.5, "first_step_seconds": 1.5}
PARITY = {
    "status": "pass",
    "key": "c0ffee12",
    "figures": FIGURES,
    "input_size": 32,
    "batch_size": 8,
    "steps": 5,
    "weights_sha256": "abcdef0123456789" * 4,
    "batches_sha256": "9876543210fedcba" * 4,
    "versions": {"torch": "2.9.0"},
}
FAILED_PARITY = {
    **PARITY,
    "status": "fail",
    "key": "badbad99",
    "problem": "float64 gradients part at conv3.weight: 2.0e-03, bound 1e-10",
    "figures": {
        **FIGURES,
        "float64 gradients": {"worst": 2e-3, "bound": 1e-10, "where": "conv3.weight"},
    },
}

Measured = dict[str, Any]


def make_record(
    variant: str = "cifar-bn", framework: str = "pytorch", kind: str = "latency", **changes: Any
) -> Record:
    """An ok record of `kind`; `changes` name fields of the record or of its case."""
    case_fields = {f.name for f in fields(Case)} & changes.keys()
    case = Case(variant, framework, **{name: changes.pop(name) for name in case_fields})
    if kind == "latency":
        case = replace(case, batch_size=1)
    rng = np.random.default_rng(zlib.crc32(f"{case.id} {kind}".encode()))
    measured = _MEASURED[kind](case, rng) if changes.get("status", "ok") == "ok" else {}
    record = Record(
        case=case,
        kind=kind,
        status="ok",
        unit="fraction" if kind == "accuracy" else "s",
        dataset=DATASET,
        parity=PARITY if case.track == "closed" else {"status": "not applicable"},
        settings=SETTINGS | (_digests(case) if kind == "accuracy" else {}),
        environment=ENVIRONMENT,
        started_at="2025-01-02T03:04:05+00:00",
        seconds=12.5,
        peak_memory_bytes=1_500_000_000,
    )
    if "samples" in changes and "interleaving" in measured.get("metrics", {}):
        # Other samples than these turns': as a record of one process has them.
        del measured["metrics"]["interleaving"]
    record = replace(record, **{**measured, **changes})
    summary = summary_of(kind, by_process(record), record.images_per_sample)
    return replace(record, summary=summary)


def _digests(case: Case) -> dict[str, str]:
    """What the runs of a seed share: batches everywhere, weights where the track says so."""
    shared = {"batch_plan_sha256": f"batches {case.seed}"}
    if not track(case.track).shared_precision:
        return {name: _digest(words) for name, words in shared.items()}
    shared["initial_weights_sha256"] = f"{case.variant} {case.seed}"
    return {name: _digest(words) for name, words in shared.items()}


def _digest(words: str) -> str:
    return f"{zlib.crc32(words.encode()):08x}" * 8


def make_failure(kind: str = "accuracy", **changes: Any) -> Record:
    """A record without a result."""
    changes = {"status": "failed", "error": "Traceback\nValueError: loss is NaN", **changes}
    return make_record(kind=kind, **changes)


def make_run(seeds: int = 2) -> list[Record]:
    """A whole small run: two networks and four frameworks, both tracks, every kind."""
    return [
        make_record(variant, framework, kind, track=track, seed=seed)
        for track in ("closed", "idiomatic")
        for variant in ("cifar-bn", "cifar-lrn")
        for framework in FRAMEWORKS
        for kind in _MEASURED
        for seed in range(seeds if kind == "accuracy" else 1)
    ]


def _rate(case: Case) -> float:
    """Images/s of training: plausible, and different from network to network."""
    size = 1.0 if case.input_size == 32 else 0.05
    tuned = 1.4 if case.track == "idiomatic" else 1.0
    lrn = 0.8 if "lrn" in case.variant else 1.0
    return 900 * SPEED.get(case.framework, 0.5) * size * tuned * lrn


def _turns(case: Case, samples: int) -> dict[str, Any]:
    """Two processes, interleaved with the other frameworks on the same network."""
    half = samples // 2
    blocks = [[process, turn, 1] for process in (0, 1) for turn in range(half)]
    match = f"{case.variant} {case.track} {case.init} {case.head} {case.batch_size}"
    stop = {"stopped": "precision", "precision_goal": 0.03, "group_seconds": 45.0}
    return {"interleaving": {"group": match, "blocks": blocks, **stop}}


def _train(case: Case, rng: np.random.Generator) -> Measured:
    bare = 1280 / _rate(case) * rng.lognormal(0, 0.02, 12)
    harness = bare * rng.lognormal(0.005, 0.004, 12)
    overhead = {"harness": harness.tolist(), "bare": bare.tolist(), "images_per_sample": 1280}
    return {
        "samples": tuple((1280 / _rate(case) * rng.lognormal(0, 0.03, 12)).tolist()),
        "images_per_sample": 1280,
        "metrics": {
            "first_step_seconds": 2.5,
            "steps_per_sample": 10,
            "flops_per_image": 300_000_000,
            "clock": {
                "block_seconds_per_step": [128 / _rate(case)] * 4,
                "synced_seconds_per_step": [128 / _rate(case) * d for d in (0.98, 1.01, 1.0)],
                "unsynced_seconds_per_step": [1 / _rate(case)] * 3,
                "slope_seconds_per_step": [128 / _rate(case) * d for d in (0.98, 1.0, 1.01)],
                "slope_between_steps": [2, 6],
            },
            **_turns(case, 12),
            "overhead": overhead if case.framework == "pytorch" else None,
        },
    }


def _inference(case: Case, rng: np.random.Generator) -> Measured:
    rate = 2.8 * _rate(case)
    return {
        "samples": tuple((2560 / rate * rng.lognormal(0, 0.02, 10)).tolist()),
        "images_per_sample": 2560,
        "metrics": {
            "first_step_seconds": 1.1,
            "steps_per_sample": 20,
            "flops_per_image": 100_000_000,
            **_turns(case, 10),
            "overhead": None,
        },
    }


def _latency(case: Case, rng: np.random.Generator) -> Measured:
    typical = 0.006 / SPEED.get(case.framework, 0.5)
    samples = typical * rng.lognormal(0, 0.06, 200) + rng.exponential(0.0004, 200)
    return {"samples": tuple(samples.tolist()), "images_per_sample": 1}


def _startup(case: Case, rng: np.random.Generator) -> Measured:
    parts = rng.uniform((2, 0.3, 0.8), (6, 0.9, 4)).tolist()
    names = ("import_seconds", "build_seconds", "first_step_seconds")
    return {"samples": (sum(parts),), "metrics": dict(zip(names, parts, strict=True))}


def _accuracy(case: Case, rng: np.random.Generator) -> Measured:
    confusion = np.array([_confused(row, rng) for row in range(len(CLASSES))])
    per_class = np.diag(confusion) / confusion.sum(axis=1)
    accuracy = float(per_class.mean())
    losses = {"step_losses": _step_losses(case)} if case.track == "closed" else {}
    return {
        "samples": (accuracy,),
        "metrics": {
            **losses,
            "test_accuracy": accuracy,
            "classes": list(CLASSES),
            "per_class": dict(zip(CLASSES, per_class.tolist(), strict=True)),
            "confusion": confusion.tolist(),
            "curve": _curve(accuracy, _rate(case)),
            "thresholds": _thresholds(accuracy, _rate(case)),
            "startup": STARTUP,
            "train_seconds": 400_000 / _rate(case),
            "train_images": 400_000,
            "diverged": False,
        },
    }


def _step_losses(case: Case) -> list[float]:
    """The same noisy curve for every framework; each but pytorch leaves it at a pace of its own."""
    shared = np.random.default_rng(zlib.crc32(f"{case.variant} {case.seed}".encode()))
    steps = np.arange(200)
    losses = 0.6 + 1.8 * np.exp(-steps / 70) + shared.normal(0, 0.05, 200)
    own = np.random.default_rng(zlib.crc32(case.id.encode())).normal(0, 1, 200)
    pace = {"pytorch": 0.0, "keras-tensorflow": 9.0, "keras-jax": 12.0}.get(case.framework, 25.0)
    grown = np.minimum(1e-7 * np.exp(steps / pace), 0.08) if pace else np.zeros(200)
    return [float(loss) for loss in losses * (1 + grown * own)]


def _confused(row: int, rng: np.random.Generator) -> list[int]:
    """One row of a confusion matrix over 1,000 images; cats and dogs are the hard ones."""
    right = (0.55 if row in (3, 5) else 0.72) + rng.uniform(-0.04, 0.04)
    weights = rng.uniform(0.2, 1.0, len(CLASSES))
    if row in (3, 5):
        weights[8 - row] = 5.0
    weights[row] = 0
    shares = weights / weights.sum() * (1 - right)
    shares[row] = right
    return [int(count) for count in rng.multinomial(1000, shares)]


def _curve(final: float, rate: float) -> list[dict[str, Any]]:
    return [
        {
            "epoch": float(epoch),
            "step": 391 * epoch,
            "images": 50_000 * epoch,
            "seconds": 50_000 * epoch / rate,
            "train_loss": None if epoch == 0 else 2.3 * 0.75**epoch,
            "test_accuracy": 0.1 + (final - 0.1) * (1 - 0.55**epoch) / (1 - 0.55**8),
        }
        for epoch in range(9)
    ]


def _thresholds(final: float, rate: float) -> list[dict[str, Any]]:
    reached = {0.5: 100_000, 0.6: 200_000}
    entries = []
    for goal in (0.5, 0.6, 0.9):
        images = reached.get(goal) if final > goal else None
        seconds = None if images is None else images / rate
        entries.append({"accuracy": goal, "seconds": seconds, "images": images})
    return entries


_MEASURED: dict[str, Callable[[Case, np.random.Generator], Measured]] = {
    "train_throughput": _train,
    "inference": _inference,
    "latency": _latency,
    "startup": _startup,
    "accuracy": _accuracy,
}
