"""The metrics of a record, a row each: what a key of ``metrics`` holds and how it is pooled.

A measurement writes keys that have a row here (a test compares them); a reader keeps keys that it
does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.core.errors import UserError
from bench.core.kinds import ACCURACY, STARTUP, THROUGHPUT, TIMED, TRAIN_THROUGHPUT
from bench.core.schema.shapes import (
    AMOUNT,
    AMOUNTS,
    COUNT,
    FLAG,
    FRACTION,
    LOSS,
    NUMBER,
    NUMBERS,
    POSITIVE,
    POSITIVES,
    SOME,
    TEXT,
    TEXTS,
    Shape,
    list_of,
    object_of,
    optional,
    square,
    table_of,
    tuple_of,
)

_ENERGY = object_of({"joules": optional(AMOUNT), "images": COUNT}, {"source": TEXT, "reason": TEXT})
_CEILING = object_of(
    {"flops_per_second": POSITIVE},
    {"framework": TEXT, "operation": TEXT, "shape": TEXT, "precision": TEXT},
)
_OVERHEAD = object_of(
    {"harness": POSITIVES, "bare": POSITIVES, "images_per_sample": SOME}, alike=("harness", "bare")
)
_CLOCK = object_of(
    {},
    {
        "block_seconds_per_step": AMOUNTS,
        "unsynced_seconds_per_step": AMOUNTS,
        "synced_seconds_per_step": NUMBERS,
        "slope_seconds_per_step": NUMBERS,
        "slope_between_steps": tuple_of(COUNT, COUNT),
        "seconds": AMOUNT,
    },
)
_PARALLEL = object_of(
    {},
    {
        "devices": SOME,
        "method": TEXT,
        "backend": TEXT,
        "batch_norm": TEXT,
        "cpus": list_of(list_of(COUNT)),
        "steps": COUNT,
        "with_exchange": POSITIVES,
        "without_exchange": POSITIVES,
        "communication_reason": TEXT,
    },
    alike=("with_exchange", "without_exchange"),
)
_LAYER = object_of(
    {
        "layer": TEXT,
        "shape": list_of(COUNT),
        "theirs": TEXT,
        "our_seconds": POSITIVES,
        "their_seconds": POSITIVES,
        "largest_difference": AMOUNT,
    },
    alike=("our_seconds", "their_seconds"),
)
_LOSSES = list_of(optional(LOSS), "numbers or null")
_LOOP = {"batch_size": SOME, "losses": _LOSSES, "workers": COUNT}
_BLOCKS = {"seconds": POSITIVES, "images_per_sample": SOME, "steps_per_sample": SOME}
_TUTORIAL_LOOP = object_of(
    {},
    {
        **_LOOP,
        **_BLOCKS,
        "loop": TEXT,
        "precision": TEXT,
        "jit_compile": FLAG,
        "test_accuracy": FRACTION,
        "train_images": COUNT,
        "train_seconds": AMOUNT,
    },
)
_INTERLEAVING = object_of(
    {},
    {
        "group": TEXT,
        "blocks": list_of(tuple_of(COUNT, COUNT, COUNT), "[process, turn, samples]"),
        "stopped": TEXT,
        "precision_goal": AMOUNT,
        "group_seconds": AMOUNT,
        "lost": TEXT,
        "sequential": TEXT,
    },
)
_SHARES = list_of(optional(AMOUNT), "numbers from 0 or null")
_MACHINE = object_of(
    {},
    {
        **dict.fromkeys(
            ("seconds", "cpu_seconds", "others", "steal", "throttled", "load"), _SHARES
        ),
        "threads": COUNT,
        "repeated": COUNT,
    },
)
_DEVICE = object_of(
    {},
    {
        **dict.fromkeys(("sm_clock_mhz", "memory_clock_mhz", "memory_used_bytes"), AMOUNT),
        **dict.fromkeys(("temperature_c", "power_watts", "busy_percent"), NUMBER),
        "throttle": TEXTS,
    },
)
_DEVICE_STATE = object_of(
    {"before": optional(_DEVICE), "after": optional(_DEVICE), "foreign_processes": optional(COUNT)}
)
_POINT = object_of(
    {"images": COUNT, "seconds": AMOUNT, "test_accuracy": FRACTION},
    {"epoch": AMOUNT, "step": COUNT, "train_loss": LOSS},
)
_THRESHOLD = object_of(
    {"accuracy": FRACTION, "seconds": optional(AMOUNT), "images": optional(COUNT)}
)
_STARTUP = object_of(
    {}, dict.fromkeys(("import_seconds", "build_seconds", "first_step_seconds"), AMOUNT)
)
_FEATURES = object_of(
    {},
    {
        "trunk_seconds": AMOUNT,
        "trunk_images": COUNT,
        "cached": FLAG,
        "largest_difference": AMOUNT,
        "recomputed": object_of({"seconds": POSITIVE, "images": SOME}),
    },
)
_SAVED = object_of({}, {"file": TEXT, "weights_sha256": TEXT, "problem": TEXT})


@dataclass(frozen=True)
class Metric:
    """One key of a record's ``metrics``.

    Attributes:
        name: The key.
        kinds: Names of the kinds of measurement that may have it.
        what: What it is, in one sentence.
        unit: Of a number, or of the numbers in it; empty where there is none.
        type: Of its JSON value (`bench.core.schema.shapes`); null is allowed where there was
            nothing to measure.
        pooled: How the values of several processes become one: ``first`` (that of the first
            process, which alone has what is measured once), ``mean``, ``max``, ``energy``
            (joules, seconds and images added up) or ``joined`` (one list after the other).
    """

    name: str
    kinds: tuple[str, ...]
    what: str
    unit: str = ""
    type: Shape = AMOUNT
    pooled: str = "first"


_TRAINING = (TRAIN_THROUGHPUT,)

METRICS: dict[str, Metric] = {
    row.name: row
    for row in (
        Metric(
            "import_seconds",
            (STARTUP,),
            "Importing the framework in a process that has NumPy and the data already.",
            "s",
            pooled="mean",
        ),
        Metric("build_seconds", (STARTUP,), "Building the network.", "s", pooled="mean"),
        Metric(
            "first_step_seconds",
            (STARTUP, *THROUGHPUT),
            "The first step or call: trace, compile, allocate.",
            "s",
            pooled="mean",
        ),
        Metric(
            "worker_seconds",
            (STARTUP,),
            "From the start of the process to the end of the first step, as the parent sees it.",
            "s",
            pooled="mean",
        ),
        Metric(
            "bare_seconds",
            (STARTUP,),
            "The same for the shortest program that takes one training step.",
            "s",
            pooled="mean",
        ),
        Metric(
            "steps_per_sample",
            THROUGHPUT,
            "Training steps (or forward passes) of one timed block.",
            "steps",
            type=SOME,
        ),
        Metric("flops_per_image", THROUGHPUT, "Computed from the architecture.", "FLOP"),
        Metric(
            "energy",
            THROUGHPUT,
            "Energy of all counted blocks: `joules`, `images`, `source`; `reason` where it could "
            "not be read.",
            "J",
            _ENERGY,
            pooled="energy",
        ),
        Metric(
            "ceiling",
            THROUGHPUT,
            "The fastest operation measured on this machine in the case's precision: "
            "`flops_per_second`, `framework`, `operation`, `shape`, `precision`.",
            "FLOP/s",
            _CEILING,
        ),
        Metric("ceiling_reason", THROUGHPUT, "Why there is no ceiling.", type=TEXT),
        Metric(
            "overhead",
            THROUGHPUT,
            "Blocks of the harness and of a bare loop next to each of them, each first in turn: "
            "`harness`, `bare`, `images_per_sample`.",
            "s",
            _OVERHEAD,
        ),
        Metric(
            "clock",
            _TRAINING,
            "Audit of the synchronisation: seconds per step in blocks, unsynchronised, and as "
            "slopes up to the synchronisation and up to the weights on the host.",
            "s",
            _CLOCK,
        ),
        Metric(
            "parallel",
            (*_TRAINING, ACCURACY),
            "Training on several devices: `devices`, `method`, `backend`, `batch_norm` (`local` or "
            "`synchronised`), `cpus` of each; `with_exchange` and `without_exchange` (seconds of "
            "alternating blocks of `steps` steps), or `communication_reason`.",
            "s",
            _PARALLEL,
        ),
        Metric(
            "layers",
            _TRAINING,
            "Our own layers and the framework's, called alternately: `our_seconds`, "
            "`their_seconds`, `largest_difference`.",
            "s",
            list_of(_LAYER),
        ),
        Metric(
            "article_loop",
            _TRAINING,
            "Blocks of the transfer article's own loop: `seconds`, `images_per_sample`, `losses`, "
            "and `own_seconds` of our block next to each.",
            "s",
            object_of(_BLOCKS, _LOOP),
        ),
        Metric(
            "tutorial_loop",
            (*_TRAINING, ACCURACY),
            "The loop of the framework's tutorials: a block next to each of ours (`seconds`, and "
            "`own_seconds` of ours), or after a training its own on as many images.",
            "s",
            _TUTORIAL_LOOP,
        ),
        Metric(
            "interleaving",
            TIMED,
            "Where the samples come from: `group` (shared by the records that were measured "
            "together), `blocks` (process, turn and number of samples of each block), `stopped` "
            "(the stopping criterion that was met), `precision_goal`, `group_seconds`, `lost` "
            "where a later process failed, and `sequential` where all frameworks of the group did "
            "not fit on the device and this one was measured alone.",
            type=_INTERLEAVING,
        ),
        Metric(
            "machine",
            (*TIMED, ACCURACY),
            "The machine during each block (of a training: each stretch between evaluations), a "
            "list per quantity: `seconds` (wall time), `cpu_seconds` (of all threads of the "
            "worker), `others` (share of the CPUs that other processes used), `steal` (that a "
            "hypervisor took), `throttled` (that the CPU quota took), `load` (average of a minute);"
            " `threads`, and `repeated` (blocks that were measured again).",
            type=_MACHINE,
        ),
        Metric(
            "disturbed",
            (*TIMED, ACCURACY),
            "Share of the blocks during which others used more than 10 % of the CPUs, or a "
            "hypervisor or the quota took more than 2 %, also when measured again.",
            "fraction",
            type=FRACTION,
        ),
        Metric(
            "device_memory_bytes",
            (*TIMED, ACCURACY),
            "Peak of the device's memory, where the framework reports it.",
            "bytes",
            pooled="max",
        ),
        Metric(
            "device_process_bytes",
            (*TIMED, ACCURACY),
            "Memory of the accelerator that the whole process held at the end, by NVML.",
            "bytes",
            pooled="max",
        ),
        Metric(
            "device_state",
            (*TIMED, ACCURACY),
            "The accelerator `before` and `after` a measurement, by NVML: clocks, `temperature_c`, "
            "`power_watts`, `throttle` (why its clocks are lower), `busy_percent`; "
            "`foreign_processes` of other programs.",
            type=_DEVICE_STATE,
        ),
        Metric(
            "device_blocks",
            THROUGHPUT,
            "The same for every counted block: `before` under the load of uncounted steps, `after` "
            "right at its end.",
            type=list_of(_DEVICE_STATE),
            pooled="joined",
        ),
        Metric(
            "device_seconds",
            THROUGHPUT,
            "The accelerator's own time from the first to the last work of each counted block, by "
            "events (PyTorch, Keras on PyTorch; JAX and TensorFlow have no public interface to "
            "them).",
            "s",
            AMOUNTS,
            pooled="joined",
        ),
        Metric(
            "device_reserved_bytes",
            (*TIMED, ACCURACY),
            "Peak that the framework's allocator had taken from the device, its cache included; "
            "TensorFlow does not report it.",
            "bytes",
            pooled="max",
        ),
        Metric(
            "test_accuracy",
            (ACCURACY,),
            "Top-1 at the end of the training.",
            "fraction",
            type=FRACTION,
        ),
        Metric(
            "test_accuracy_with_flips",
            (ACCURACY,),
            "The same with the mean of the logits of each test image and of its mirror image, "
            "where the recipe mirrors training images.",
            "fraction",
            type=FRACTION,
        ),
        Metric("classes", (ACCURACY,), "Names of the classes, in their order.", type=TEXTS),
        Metric("per_class", (ACCURACY,), "Accuracy by class.", "fraction", table_of(FRACTION)),
        Metric(
            "confusion",
            (ACCURACY,),
            "Rows are true classes, columns predicted.",
            "images",
            square(COUNT, "whole numbers from 0"),
        ),
        Metric(
            "curve",
            (ACCURACY,),
            "Evaluated points: `epoch`, `step`, `images`, `seconds`, `train_loss` (null where it "
            "was not finite), `test_accuracy`.",
            type=list_of(_POINT),
        ),
        Metric(
            "thresholds",
            (ACCURACY,),
            "The first evaluated point at or above an `accuracy`: `seconds` and `images`, null "
            "where it was never reached.",
            type=list_of(_THRESHOLD),
        ),
        Metric("train_seconds", (ACCURACY,), "Of training alone, without evaluations.", "s"),
        Metric("train_images", (ACCURACY,), "Images that were trained on.", "images", type=COUNT),
        Metric(
            "parts",
            (ACCURACY,),
            "Processes that the training took: one, and another for each time that it went on from "
            "a checkpoint. The seconds of all are added: the first step of each is in them.",
            "processes",
            type=COUNT,
        ),
        Metric(
            "saved_weights",
            (ACCURACY,),
            "Final weights in the run's folder `weights`: `file` and `weights_sha256`; `problem` "
            "where they could not be saved.",
            type=_SAVED,
        ),
        Metric("diverged", (ACCURACY,), "Whether a loss was not finite.", type=FLAG),
        Metric(
            "startup",
            (ACCURACY,),
            "`import_seconds`, `build_seconds` and `first_step_seconds` of the first process.",
            "s",
            _STARTUP,
        ),
        Metric("losses_sha256", (ACCURACY,), "Digest of all losses.", type=TEXT),
        Metric("trained_weights_sha256", (ACCURACY,), "Digest of the final weights.", type=TEXT),
        Metric(
            "step_losses",
            (ACCURACY,),
            "Losses of the first steps, in certified tracks; null where one was not finite.",
            type=_LOSSES,
        ),
        Metric(
            "features",
            (ACCURACY,),
            "A frozen trunk's features: `cached`, `trunk_seconds`, `trunk_images`, "
            "`largest_difference`; `recomputed` has `seconds` and `images` of steps without the "
            "cache.",
            type=_FEATURES,
        ),
    )
}


def check(metrics: Mapping[str, Any]) -> None:
    """Raise UserError where a known metric has a value of another shape."""
    for name, value in metrics.items():
        row = METRICS.get(name)
        if row is None or value is None:
            continue
        if fault := row.type.fault(name, value):
            raise UserError(f"metrics: {fault}")
