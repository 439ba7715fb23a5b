"""How much is measured: a profile per purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.core.errors import unknown
from bench.core.kinds import KINDS
from bench.core.limits import Limits
from bench.training.tracks import ABLATION, COMPARED_TRACKS, TRACKS


@dataclass(frozen=True)
class Pretraining:
    """One training from pretrained weights, and one of the same network from scratch.

    Attributes:
        sources: Names of the weight sources to look for, in this order: the first that is there is
            taken. Without any the pair is not measured.
        recipe: Of the training from pretrained weights.
        scratch_recipe: Of the one from scratch.
        track: Of both.
    """

    sources: tuple[str, ...]
    recipe: str
    scratch_recipe: str
    track: str


@dataclass(frozen=True)
class StageSeconds:
    """How long the parts of a run take on two cores that do not depend on its limits, in seconds.

    For the time plan alone (`bench.harness.plan`): what is left is for the interleaved groups.

    Attributes:
        certificate: A parity check that is not cached, on one core.
        peaks: The peak FLOP/s of one framework that is not cached.
        trainings: A training, by recipe.
        worker: A process of an interleaved group.
        report: Tables, plots and page.
    """

    certificate: float
    peaks: float
    trainings: Mapping[str, float]
    worker: float
    report: float


@dataclass(frozen=True)
class Profile:
    """The cases of a purpose, with the time to spend on each."""

    name: str
    description: str
    frameworks: tuple[str, ...]
    tracks: dict[str, tuple[str, ...]]
    """Tracks by kind; a kind without any is not measured unless tracks are named."""
    variants: dict[str, tuple[str, ...]]
    """Variants by kind; a kind without any is not measured unless variants are named."""
    recipe: str
    """Of the accuracy cases that start from scratch."""
    batch_sizes: dict[int, int]
    """By input size."""
    seeds: int
    """Of the accuracy cases."""
    train_images: int | None
    """Class-balanced subset of the data; None is all of it."""
    test_images: int | None
    limits: Limits
    tracks_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Variants that are timed in fewer tracks, unless they are named."""
    in_one_framework: tuple[str, ...] = ()
    """Variants that are compared with other networks and not between frameworks, unless they are
    named: measured in the reference framework alone, or in the first where that is not measured."""
    pretraining: Pretraining | None = None
    """A pair that is measured in one framework where weights are there and nothing is selected."""
    run_seconds: float = 0.0
    """For the whole run, from its start to its report; the interleaved groups share what the other
    stages leave, and take `Limits.least_processes` where that is less. 0: no limit but those of the
    groups."""
    stage_seconds: StageSeconds | None = None
    """Of a profile with `run_seconds`."""
    together: tuple[str, ...] = ()
    """Networks that run interleaved with those that differ from them in normalisation alone, so
    that its cost is a ratio of paired blocks (`bench.harness.interleaving.grouping`)."""
    pretrained_recipe: str = "transfer-short"
    """Of accuracy cases that start from pretrained weights: at the rates of scratch these would be
    lost."""
    timed_recipe: str = "steady"
    """Of all other cases."""


_CIFAR = ("cifar-bn", "cifar-lrn", "cifar-plain")
_NORMALISED = ("cifar-bn", "cifar-lrn", "cifar-bn2", "cifar-plain")
_IMAGENET = ("imagenet-lrn", "imagenet-bn", "torchvision")
_ON_ACCELERATORS = (
    "cifar-bn",
    "torchvision",
    "imagenet-lrn",
    "cifar-lrn",
    "cifar-3x3",
    "cifar-plain",
)
"""In the order of interest: what a time limit cuts off comes last."""
_RECOMMENDED = tuple(row.name for row in TRACKS.values() if row.recommended_settings)

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "quick",
            "the five questions of the report's first screen in ten minutes on two cores",
            frameworks=("pytorch", "keras-tensorflow"),
            tracks={
                **dict.fromkeys(KINDS, ("closed", "idiomatic")),
                "accuracy": ("closed",),
                # As each framework recommends it: that is what a user starts and serves. Their
                # outputs are compared by the certificates.
                "startup": ("idiomatic",),
                "inference": ("idiomatic",),
                "latency": ("idiomatic",),
            },
            # Five processes of every comparison take more of ten minutes than further networks
            # leave: each is measured where a question needs it.
            variants={
                **dict.fromkeys(KINDS, ("cifar-bn",)),
                "train_throughput": _CIFAR,
                "accuracy": _CIFAR,
            },
            recipe="quick",
            batch_sizes={32: 128, 224: 16, 227: 16},
            seeds=1,
            train_images=12_000,
            test_images=2_000,
            tracks_of={"cifar-lrn": ("closed",), "cifar-plain": ("closed",)},
            in_one_framework=("cifar-lrn", "cifar-plain"),
            together=_NORMALISED,
            pretraining=Pretraining(
                ("bvlc", "torchvision"), "transfer-look", "transfer-look-scratch", "idiomatic"
            ),
            run_seconds=585.0,
            stage_seconds=StageSeconds(
                certificate=50.0,
                peaks=12.0,
                trainings={"quick": 33.0, "transfer-look": 20.0, "transfer-look-scratch": 30.0},
                worker=12.0,
                report=12.0,
            ),
            limits=Limits(
                warmup_steps=1,
                processes=5,
                # More networks, frameworks or executions than the profile's own take longer.
                least_processes=3,
                startup_processes=2,
                # For the cost of a normalisation; frameworks are compared in more processes.
                normalisation_processes=3,
                precision=0.03,
                # Where the run has no time plan (tests of a part of it): as much as it would get.
                group_seconds=120.0,
                blocks=6,
                block_seconds=0.4,
                audit_repeats=2,
                evaluations=2,
                latency_calls=60,
                latency_seconds=0.6,
                # The large networks at 227 pixels, which a user may ask for, train for minutes.
                timeout_seconds=1800.0,
            ),
        ),
        Profile(
            "full",
            "the publishable run: seven networks, five seeds, real epochs; goes on with --resume",
            frameworks=("pytorch", "keras-tensorflow", "keras-jax", "keras-torch"),
            tracks=dict.fromkeys(KINDS, COMPARED_TRACKS),
            variants=dict.fromkeys(KINDS, (*_NORMALISED, *_IMAGENET)),
            together=_NORMALISED,
            recipe="standard",
            pretrained_recipe="transfer",
            batch_sizes={32: 128, 224: 128, 227: 128},
            seeds=5,
            train_images=None,
            test_images=None,
            limits=Limits(
                processes=5,
                precision=0.01,
                group_seconds=1800.0,
                warmup_steps=5,
                blocks=8,
                block_seconds=1.0,
                overhead_blocks=10,
                bare_start=True,
                audit_repeats=6,
                latency_calls=200,
                latency_seconds=4.0,
                evaluations=None,
                timeout_seconds=24 * 3600.0,
            ),
        ),
        Profile(
            "gpu",
            "for --device cuda: six networks, training and inference, in some minutes",
            frameworks=("pytorch", "keras-tensorflow", "keras-jax", "keras-torch"),
            tracks={
                "train_throughput": COMPARED_TRACKS,
                "inference": COMPARED_TRACKS,
                "accuracy": ("idiomatic",),
            },
            variants={
                **dict.fromkeys(("train_throughput", "inference"), _ON_ACCELERATORS),
                "accuracy": ("cifar-bn",),
            },
            recipe="standard",
            # Large enough to fill a card of 2022 with networks of these sizes.
            batch_sizes={32: 1024, 224: 512, 227: 512},
            seeds=1,
            train_images=10_000,
            test_images=2_000,
            limits=Limits(
                processes=1,
                group_seconds=300.0,
                warmup_steps=5,
                blocks=3,
                # Energy is counted over blocks of a second and more (`bench.worker.device.watch`).
                block_seconds=1.3,
                audit_repeats=2,
                evaluations=4,
                timeout_seconds=600.0,
            ),
        ),
        Profile(
            "calibration",
            "for alexbench calibrate: small steps, many turns, four processes",
            frameworks=("pytorch",),
            tracks=dict.fromkeys(KINDS, ("closed",)),
            variants=dict.fromkeys(KINDS, ("cifar-plain",)),
            recipe="short",
            batch_sizes={32: 16},
            seeds=1,
            train_images=2_000,
            test_images=500,
            limits=Limits(
                processes=4,
                group_seconds=600.0,
                blocks=6,
                block_seconds=0.25,
                audit_repeats=2,
                timeout_seconds=600.0,
            ),
        ),
        Profile(
            ABLATION,
            "what each default costs: from every framework's own to the shared ones, step by step",
            frameworks=("pytorch", "keras-tensorflow"),
            tracks={"accuracy": (ABLATION,)},
            variants={"accuracy": ("cifar-bn", "cifar-lrn")},
            recipe="ablation",
            batch_sizes={32: 128},
            seeds=3,
            train_images=10_000,
            test_images=5_000,
            # Images/s are taken after the first point, so that no trace or compile is in them.
            limits=Limits(evaluations=2, timeout_seconds=3600.0),
        ),
        Profile(
            "transfer",
            "pretrained next to scratch (--inits pretrained,scratch --weights …), 10,000 images",
            frameworks=("pytorch", "keras-torch"),
            tracks={"accuracy": ("tuned",)},
            variants={"accuracy": ("imagenet-lrn",)},
            recipe="transfer-scratch",
            pretrained_recipe="transfer-finetune",
            batch_sizes={131: 128, 227: 128},
            seeds=1,
            train_images=10_000,
            test_images=5_000,
            limits=Limits(evaluations=6, timeout_seconds=2 * 3600.0),
        ),
        Profile(
            "loops",
            "idiomatic and tuned track next to the loops of the frameworks' tutorials",
            frameworks=("pytorch", "keras-tensorflow", "keras-torch"),
            tracks={
                "startup": _RECOMMENDED,
                "train_throughput": _RECOMMENDED,
                "accuracy": _RECOMMENDED,
            },
            variants={
                "startup": ("cifar-bn", "torchvision"),
                "train_throughput": ("cifar-bn", "torchvision"),
                "accuracy": ("cifar-bn",),
            },
            recipe="fast-look",
            # The tutorials' loops keep theirs. Larger batches suit the CPU; that they learn no less
            # from as many images, the accuracy cases show.
            batch_sizes={32: 256, 224: 64, 227: 64},
            seeds=1,
            train_images=10_000,
            test_images=5_000,
            limits=Limits(
                warmup_steps=2,
                blocks=6,
                block_seconds=2.0,
                overhead_blocks=6,
                tutorial_loop=True,
                layer_pairs=True,
                bare_start=True,
                evaluations=3,
                timeout_seconds=3600.0,
            ),
        ),
        Profile(
            "overhead",
            "what the harness costs: steps and passes, closed track, interleaved with bare loops",
            frameworks=("pytorch", "keras-tensorflow", "keras-torch", "keras-jax"),
            tracks={
                "train_throughput": ("closed",),
                "inference": ("closed",),
            },
            variants={
                "train_throughput": (*_CIFAR, *_IMAGENET),
                "inference": (*_CIFAR, *_IMAGENET),
            },
            recipe="short",
            batch_sizes={32: 128, 224: 16, 227: 16},
            seeds=1,
            train_images=4_000,
            test_images=2_000,
            limits=Limits(
                # Blocks of a second or less, and many: what else the machine does lasts longer.
                blocks=24,
                block_seconds=0.5,
                overhead_blocks=24,
                audit_repeats=2,
                timeout_seconds=3600.0,
            ),
        ),
        Profile(
            "article",
            "accuracy from pretrained weights (give --weights) next to the transfer article's loop",
            frameworks=("pytorch",),
            tracks={
                "train_throughput": ("tuned",),
                "accuracy": ("tuned",),
            },
            variants={
                "train_throughput": ("torchvision",),
                "accuracy": ("imagenet-lrn",),
            },
            recipe="transfer-finetune",
            pretrained_recipe="transfer-finetune",
            timed_recipe="tutorial-transfer-speed",
            batch_sizes={131: 128, 224: 4},
            seeds=1,
            train_images=None,
            test_images=None,
            limits=Limits(
                blocks=10, article_steps=300, evaluations=None, timeout_seconds=2 * 3600.0
            ),
        ),
    )
}


ALIASES = {"waterfall": ABLATION}
"""Former names that the command line still takes."""


def profile(name: str) -> Profile:
    """The row called ``name``, or by its former name.

    Raises:
        UserError: There is no such profile; the message names those there are.
    """
    name = ALIASES.get(name, name)
    if name not in PROFILES:
        raise unknown("profile", name, PROFILES)
    return PROFILES[name]
