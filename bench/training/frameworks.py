"""The frameworks, a row each. Strings only: nothing is imported before a worker needs it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from bench.core.case import DEFAULT_EXECUTION, Case
from bench.core.errors import UserError
from bench.training.framework_defaults import KERAS, TORCH, FrameworkDefaults
from bench.training.tracks import track


@dataclass(frozen=True)
class Framework:
    """How to reach one implementation in a fresh process."""

    name: str
    trainer: str
    """``module:function`` that takes a :class:`bench.training.interfaces.Setup` and gives a
    Trainer."""
    extra: str
    """``pip install 'alexbench[extra]'`` brings what it needs."""
    modules: tuple[str, ...]
    """Top-level modules that must be there."""
    blocked: tuple[str, ...] = ()
    """Modules the worker must not import: Keras takes in whatever backend it finds, and two
    frameworks in one process fight over threads or abort."""
    environment: dict[str, str] = field(default_factory=dict)
    tuned_environment: dict[str, str] = field(default_factory=dict)
    """Set as well in the tuned track on the CPU, where it makes this framework faster."""
    precision: str = "float32"
    """Of the idiomatic and the tuned track: what its documentation recommends on this device."""
    execution: str = "eager"
    """``eager`` or ``compiled``: what it does unless a case says otherwise."""
    repeatable: bool = False
    """Whether a closed case run twice on the same CPUs and threads is promised to give equal bits.
    A test holds those that promise it to their word."""
    repeatability: str = "nobody promises anything"
    """Who promises what."""
    article_loop: str | None = None
    """``module:function`` that gives the transfer article's own loop
    (`bench.worker.measurements.article_loop`)."""
    tutorial_loop: str | None = None
    """``module:function`` that gives its tutorials' loop
    (`bench.worker.measurements.tutorial_loop`)."""
    layer_pairs: str | None = None
    """``module:function`` that gives the suite's layers beside its own
    (`bench.worker.measurements.layers`)."""
    bare_start: str | None = None
    """Module that takes one step by the shortest way, to hold a worker's start-up against."""
    own: FrameworkDefaults | None = None
    """What it does when its user sets nothing: where the ablation starts."""
    server: str | None = None
    """``module:function`` that takes a :class:`bench.worker.serve.InferenceSetup` and gives a
    Server, for ``predict`` and ``embed``."""
    ceiling: str | None = None
    """``module:function`` that takes the threads and gives a
    :data:`bench.worker.ceilings.Maker`."""
    files: str | None = None
    """Module whose functions read, write and try its users' weight files (see `helper`)."""
    suffixes: tuple[str, ...] = ()
    """Of the files that need its own module to be written."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions whose versions belong in a record."""
        return self.modules

    def missing(self) -> str | None:
        """Why it cannot run here, or None when it can."""
        absent = [name for name in self.modules if importlib.util.find_spec(name) is None]
        if not absent:
            return None
        return f"{', '.join(absent)} not installed; pip install 'alexbench[{self.extra}]'"

    def versions(self) -> dict[str, str]:
        """Installed versions of its packages, read from their metadata."""
        found = {}
        for package in self.packages:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
        return found


# https://docs.pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html
_TORCH_PROMISE = "torch.use_deterministic_algorithms: same input, software and hardware, same bits"
# https://www.tensorflow.org/api_docs/python/tf/config/experimental/enable_op_determinism
_TENSORFLOW_PROMISE = "tf.config.experimental.enable_op_determinism: same inputs, same bits"
# Reported to differ with more than one thread: https://github.com/jax-ml/jax/issues/39741
_JAX_PROMISE = "not promised: JAX has no deterministic mode on the CPU"


def _keras(backend: str, extra: str, **changes: object) -> Framework:
    others = tuple(name for name in ("tensorflow", "jax", "torch") if name != backend)
    return Framework(
        name=f"keras-{backend}",
        trainer="models_keras.trainer:create",
        extra=extra,
        modules=("keras", backend),
        blocked=others,
        environment={"KERAS_BACKEND": backend},
        execution=DEFAULT_EXECUTION[f"keras-{backend}"],
        tutorial_loop="models_keras.baselines.tutorial_loop:create",
        bare_start="models_keras.baselines.bare_start",
        own=KERAS,
        server="models_keras.inference:create",
        ceiling="models_keras.ceilings:create",
        files="models_keras.weight_files",
        suffixes=(".keras", ".weights.h5"),
        **changes,  # type: ignore[arg-type]
    )


_KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""glibc's malloc keeps what is freed, in large pages. PyTorch, also under Keras, frees and
allocates every activation of a step, which else goes back to the kernel and comes again page by
page: 20 % of a training step of these networks. TensorFlow has an allocator of its own, and gets
slower."""

FRAMEWORKS: dict[str, Framework] = {
    row.name: row
    for row in (
        Framework(
            "pytorch",
            trainer="models_torch.trainer:create",
            extra="torch",
            modules=("torch", "torchvision"),
            blocked=("tensorflow", "jax", "keras"),
            execution=DEFAULT_EXECUTION["pytorch"],
            tuned_environment=_KEEP_MEMORY,
            precision="bfloat16",
            article_loop="models_torch.baselines.article_loop:create",
            tutorial_loop="models_torch.baselines.tutorial_loop:create",
            layer_pairs="models_torch.baselines.layer_pairs:create",
            bare_start="models_torch.baselines.bare_start",
            own=TORCH,
            server="models_torch.inference:create",
            ceiling="models_torch.ceilings:create",
            files="models_torch.weight_files",
            suffixes=(".pth", ".pt"),
            repeatable=True,
            repeatability=_TORCH_PROMISE,
        ),
        _keras(
            "tensorflow",
            "tensorflow",
            precision="bfloat16",
            layer_pairs="models_keras.baselines.layer_pairs:create",
            repeatable=True,
            repeatability=_TENSORFLOW_PROMISE,
        ),
        _keras("jax", "jax", repeatability=_JAX_PROMISE),
        _keras(
            "torch",
            "keras-torch",
            tuned_environment=_KEEP_MEMORY,
            precision="bfloat16",
            repeatable=True,
            repeatability=_TORCH_PROMISE,
        ),
    )
}

REFERENCE = "pytorch"
"""Ratios are taken to this one."""


def framework(name: str) -> Framework:
    """The row called ``name``; UserError with the known names when there is none."""
    if name not in FRAMEWORKS:
        raise UserError(f"unknown framework {name!r}; known: {', '.join(FRAMEWORKS)}")
    return FRAMEWORKS[name]


def tuned(case: Case) -> dict[str, str]:
    """What a case's framework has set in the tuned track on the CPU; nothing elsewhere."""
    own = track(case.track).tuned_environment and case.device == "cpu"
    return framework(case.framework).tuned_environment if own else {}


def for_files(suffix: str) -> Framework:
    """The first row that can run here and knows files of this suffix.

    UserError with the install command where none can.
    """
    rows = [row for row in FRAMEWORKS.values() if suffix in row.suffixes]
    missing = [why for row in rows if (why := row.missing())]
    if len(missing) == len(rows):
        raise UserError(f"{suffix} files: {missing[0] if missing else 'no framework knows them'}")
    return next(row for row in rows if row.missing() is None)


def installed(names: tuple[str, ...]) -> list[str]:
    """Those of ``names`` that can run here, in their order."""
    return [name for name in names if framework(name).missing() is None]


def register(row: Framework) -> Framework:
    """Add a row at run time (for extensions and tests); its name must be new."""
    if row.name in FRAMEWORKS:
        raise UserError(f"framework {row.name!r} exists already; give the new one another name")
    FRAMEWORKS[row.name] = row
    return row
