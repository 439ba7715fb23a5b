"""The frameworks, a row each. Strings only: nothing is imported before a worker needs it.

Their order in tables, their colours in plots and the reference of ratios are facts of the rows.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from bench.core.case import COMPILED, DEFAULT_EXECUTION, EAGER, GRAPHS, Case
from bench.core.errors import UserError, unknown
from bench.core.system import nvml
from bench.core.system.devices import accelerated, parse
from bench.core.system.processor import BFLOAT16_FLAGS, has_bfloat16
from bench.training.framework_defaults import KERAS, TORCH, FrameworkDefaults
from bench.training.tracks import track

_BFLOAT16 = "bfloat16"
_BFLOAT16_CAPABILITY = 8.0


@dataclass(frozen=True)
class Framework:
    """How to reach one implementation in a fresh process.

    The contracts that ``module:function`` strings must fulfil are in `bench.training.interfaces`
    unless another module is named. None: the framework has no such part, and is left out there.

    Attributes:
        name: As records and the command line have it.
        title: As sentences have it; empty: its name.
        trainer: ``module:function``, a :data:`~bench.training.interfaces.TrainerFactory`.
        extra: ``pip install 'alexbench[extra]'`` installs what it needs.
        modules: Top-level modules that must be installed.
        blocked: Modules that the worker must not import: Keras imports whatever backend it finds,
            and two frameworks in one process compete for threads or abort.
        environment: Variables of its worker, in every track.
        tuned_environment: Variables of its worker that make it faster, in the tracks with our own
            kernels on the CPU (:func:`tuned_environment_of`).
        precision: Its own choice where the track does not prescribe one: what its users would
            choose on a CPU because it is faster there (:func:`own_precision`).
        accelerator_precision: The same on an accelerator.
        device_probe: ``module:function``, a :data:`~bench.training.interfaces.DeviceProbe`; None:
            it computes on the CPU alone.
        device_installs: By kind of device, the command that installs what it needs there.
        execution: How it executes by default: ``eager`` or ``compiled``.
        accelerated_execution: By kind of device, how it executes there in the tracks with our own
            kernels, where nothing but speed counts; where none is named, as everywhere.
        repeatable: Whether a closed case run twice on the same CPUs and threads gives equal bits. A
            test checks those that promise it.
        repeatability: What is promised, and by which function or document.
        article_loop: ``module:function``, the transfer article's own loop
            (`bench.worker.measurements.article_loop`).
        tutorial_loop: ``module:function``, its tutorials' loop
            (`bench.worker.measurements.tutorial_loop`).
        layer_pairs: ``module:function``, a :data:`~bench.training.interfaces.LayerPairFactory`.
        bare_start: Module that takes one step by the shortest way; a worker's start-up is compared
            with it.
        defaults: Its own defaults, where the ablation starts.
        inference: ``module:function``, an :data:`~bench.training.interfaces.InferenceFactory`.
        ceiling: ``module:function``, a :data:`~bench.training.interfaces.MakerFactory`.
        weight_files: Module whose functions read, write and evaluate its users' weight files
            (`bench.worker.client.call`).
        suffixes: Of the files that only its own module can write.
        several: Kinds of device of which it can train on several at once; empty: on one alone.
        several_environment: Variables of its worker then on the CPU, ``{devices}`` filled in.
        why_one: Why it trains on one device alone.
        exports: Suffixes of the files that it writes for other programs; the functions ``export``,
            ``export_state`` and ``export_logits`` of its weight-file module.
        explain: ``module:function``, a :data:`~bench.training.interfaces.Explain`.
        reference: Whether ratios are taken to it.
        colour: In plots; None takes a spare one.
        dash: Of its lines in plots; None takes a spare one.
    """

    name: str
    trainer: str
    extra: str
    modules: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    tuned_environment: dict[str, str] = field(default_factory=dict)
    precision: str = "float32"
    accelerator_precision: str = "bfloat16"
    device_probe: str | None = None
    device_installs: dict[str, str] = field(default_factory=dict)
    execution: str = "eager"
    accelerated_execution: dict[str, str] = field(default_factory=dict)
    repeatable: bool = False
    repeatability: str = "not promised"
    article_loop: str | None = None
    tutorial_loop: str | None = None
    layer_pairs: str | None = None
    bare_start: str | None = None
    defaults: FrameworkDefaults | None = None
    inference: str | None = None
    ceiling: str | None = None
    weight_files: str | None = None
    suffixes: tuple[str, ...] = ()
    several: tuple[str, ...] = ()
    several_environment: dict[str, str] = field(default_factory=dict)
    why_one: str = "it has no data-parallel trainer here"
    exports: tuple[str, ...] = ()
    explain: str | None = None
    reference: bool = False
    title: str = ""
    colour: str | None = None
    dash: str | None = None

    def precision_on(self, device: str) -> str:
        """Its own choice on a device, whatever the processor."""
        return self.accelerator_precision if accelerated(device) else self.precision

    def missing(self) -> str | None:
        """Why it cannot run here, with the command that installs it; None when it can."""
        absent = [name for name in self.modules if importlib.util.find_spec(name) is None]
        if not absent:
            return None
        return f"{', '.join(absent)} not installed; pip install 'alexbench[{self.extra}]'"

    def versions(self) -> dict[str, str]:
        """Installed versions of its packages, read from their metadata."""
        found = {}
        for package in (*self.modules, *self.libraries):
            with suppress(PackageNotFoundError):
                found[package] = _version(package)
        return found


def _version(module: str) -> str:
    """Version of the package that a module is from, which may have another name, as
    ``tensorflow-cpu``. Raises PackageNotFoundError where none is known."""
    try:
        return version(module)
    except PackageNotFoundError:
        (package, *_) = packages_distributions().get(module) or [module]
        return version(package)


# https://docs.pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html
_TORCH_PROMISE = "torch.use_deterministic_algorithms: same input, software and hardware, same bits"
# https://www.tensorflow.org/api_docs/python/tf/config/experimental/enable_op_determinism
_TENSORFLOW_PROMISE = "tf.config.experimental.enable_op_determinism: same inputs, same bits"
# Reported to differ with more than one thread: https://github.com/jax-ml/jax/issues/39741
_JAX_PROMISE = "not promised: JAX has no deterministic mode on the CPU"


# Keras 3.15.1, keras/src/backend/tensorflow/distribution_lib.py begins with "!!!DO NOT USE!!!", and
# keras/src/backend/torch has no such file.
_ONE_TENSORFLOW = (
    "keras.distribution is for JAX; Keras on TensorFlow trains on several devices by "
    "tf.distribute.MirroredStrategy, which has no CPU replicas"
)
_ONE_TORCH = "keras.distribution is for JAX; Keras on PyTorch has nothing of its own"

_BACKENDS = ("tensorflow", "jax", "torch")
"""Keras's; a worker of one may not import another."""


def _keras(backend: str, extra: str, execution: str = "", **changes: object) -> Framework:
    usual = DEFAULT_EXECUTION.get(f"keras-{backend}", EAGER)
    return Framework(
        name=f"keras-{backend}",
        trainer="models_keras.trainer:create",
        extra=extra,
        modules=("keras", backend),
        blocked=tuple(name for name in _BACKENDS if name != backend),
        environment={"KERAS_BACKEND": backend},
        execution=execution or usual,
        tutorial_loop="models_keras.baselines.tutorial_loop:create",
        bare_start="models_keras.baselines.bare_start",
        defaults=KERAS,
        inference="models_keras.inference:create",
        ceiling="models_keras.ceilings:create",
        device_probe="models_keras.device_probe:probe",
        weight_files="models_keras.weight_files",
        suffixes=(".keras", ".weights.h5"),
        explain="models_keras.explain:explain",
        **changes,  # type: ignore[arg-type]
    )


_KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""glibc's malloc retains freed memory, in large pages. PyTorch, also under Keras, frees and
allocates every activation of a step; by default that memory returns to the kernel and is faulted in
again page by page: 20 % of a training step of these networks. TensorFlow has an allocator of its
own, and becomes slower."""

ONEDNN_SWITCH = "TF_ENABLE_ONEDNN_OPTS"
"""TensorFlow takes oneDNN's kernels of itself only on CPUs with AVX512_VNNI, AVX512_BF16 or AMX:
https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/util/util.cc. On a CPU with
AVX2 alone they train these networks several times faster than its own."""

_TORCH_INSTALLS = {
    kind: f"pip install torch torchvision --index-url https://download.pytorch.org/whl/{build}"
    for kind, build in (("cuda", "cu130"), ("xpu", "xpu"))
}
"""https://pytorch.org/get-started/locally/"""

# Colours: Okabe and Ito, "Color Universal Design" (2008), distinguishable with every common colour
# blindness.

FRAMEWORKS: dict[str, Framework] = {
    row.name: row
    for row in (
        Framework(
            "pytorch",
            title="PyTorch",
            trainer="models_torch.trainer:create",
            extra="torch",
            modules=("torch", "torchvision"),
            blocked=("tensorflow", "jax", "keras"),
            execution=DEFAULT_EXECUTION["pytorch"],
            accelerated_execution={"cuda": GRAPHS, "mps": COMPILED, "xpu": COMPILED},
            tuned_environment=_KEEP_MEMORY,
            precision="bfloat16",
            article_loop="models_torch.baselines.article_loop:create",
            tutorial_loop="models_torch.baselines.tutorial_loop:create",
            layer_pairs="models_torch.baselines.layer_pairs:create",
            bare_start="models_torch.baselines.bare_start",
            defaults=TORCH,
            inference="models_torch.inference:create",
            ceiling="models_torch.ceilings:create",
            device_probe="models_torch.device_probe:probe",
            device_installs=_TORCH_INSTALLS,
            weight_files="models_torch.weight_files",
            suffixes=(".pth", ".pt"),
            exports=(".onnx", ".pt2"),
            explain="models_torch.explain:explain",
            repeatable=True,
            repeatability=_TORCH_PROMISE,
            several=("cpu", "cuda"),
            reference=True,
            colour="#d55e00",
            dash="-",
        ),
        _keras(
            "tensorflow",
            "tensorflow",
            title="Keras on TensorFlow",
            tuned_environment={ONEDNN_SWITCH: "1"},
            precision="bfloat16",
            layer_pairs="models_keras.baselines.layer_pairs:create",
            device_installs={"cuda": "pip install 'tensorflow[and-cuda]'"},
            repeatable=True,
            repeatability=_TENSORFLOW_PROMISE,
            why_one=_ONE_TENSORFLOW,
            colour="#0072b2",
            dash="--",
        ),
        _keras(
            "jax",
            "jax",
            title="Keras on JAX",
            libraries=("jaxlib",),  # XLA is in it
            device_installs={"cuda": "pip install 'jax[cuda13]'"},
            repeatability=_JAX_PROMISE,
            several=("cpu", "cuda"),
            several_environment={"XLA_FLAGS": "--xla_force_host_platform_device_count={devices}"},
            colour="#009e73",
            dash="-.",
        ),
        _keras(
            "torch",
            "keras-torch",
            title="Keras on PyTorch",
            tuned_environment=_KEEP_MEMORY,
            device_installs=_TORCH_INSTALLS,
            precision="bfloat16",
            repeatable=True,
            repeatability=_TORCH_PROMISE,
            why_one=_ONE_TORCH,
            colour="#cc79a7",
            dash=":",
        ),
    )
}

ORDER: tuple[str, ...] = tuple(sorted(FRAMEWORKS, key=lambda name: not FRAMEWORKS[name].reference))
"""Of rows in tables, the reference first; a framework registered later comes after, by name."""
REFERENCE = ORDER[0]
"""Ratios are taken to this one."""


def framework(name: str) -> Framework:
    """The row called ``name``.

    Raises:
        UserError: There is no such framework; the message names those there are.
    """
    if name not in FRAMEWORKS:
        raise unknown("framework", name, FRAMEWORKS)
    return FRAMEWORKS[name]


def own_precision(name: str, device: str) -> str:
    """The precision of a framework on this machine, where it may choose and nothing else is asked
    for.

    What has no instructions for bfloat16 emulates it, many times slower than float32.
    """
    wanted = framework(name).precision_on(device)
    return "float32" if wanted == _BFLOAT16 and without_bfloat16(device) else wanted


def without_bfloat16(device: str) -> str | None:
    """Why bfloat16 is emulated on a device of this machine, in a few words; None where it is not,
    and where that is unknown.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/ (compute capabilities): from 8.0 on.
    """
    if not accelerated(device):
        flags = " or ".join(BFLOAT16_FLAGS)
        return None if has_bfloat16() else f"this processor has no bfloat16 ({flags})"
    capability = str((nvml.card(device).facts() or {}).get("compute_capability") or "")
    if not capability or float(capability) >= _BFLOAT16_CAPABILITY:
        return None
    return f"a card of compute capability {capability} has no bfloat16 (from 8.0 on)"


def precision_note(cases: Iterable[Case]) -> str | None:
    """What a processor or a card without bfloat16 means for the cases that are measured on it, in a
    line."""
    mine = list(cases)  # on one device
    lacking = without_bfloat16(mine[0].device) if mine else None
    if lacking is None:
        return None
    if any(case.precision == _BFLOAT16 for case in mine):
        return f"warning: {lacking}: it is emulated, and many times slower than float32"
    free = [c for c in mine if not track(c.track).shared_precision and c.precision == "float32"]
    wanted = (framework(case.framework).precision_on(case.device) for case in free)
    if _BFLOAT16 not in wanted:
        return None
    tracks = " and ".join(dict.fromkeys(case.track for case in free))
    return f"{tracks} track in float32: {lacking}"


def execution_of(case: Case) -> str:
    """How a case is executed where nothing else is asked for."""
    row, conditions = framework(case.framework), track(case.track)
    fastest = conditions.own_kernels and not conditions.certified
    own = row.accelerated_execution.get(parse(case.device).kind.name) if fastest else None
    return own or row.execution


def tuned_environment_of(case: Case) -> dict[str, str]:
    """The ``tuned_environment`` of a case's framework; empty in the tracks that do not set it."""
    applies = track(case.track).tuned_environment and case.device == "cpu"
    return framework(case.framework).tuned_environment if applies else {}


def why_one(case: Case) -> str | None:
    """Why a case cannot be measured on so many devices; None where it can."""
    row = framework(case.framework)
    if case.devices == 1 or case.device.partition(":")[0] in row.several:
        return None
    return f"--devices {case.devices} on {case.device}: {row.why_one}"


def ranks_of(case: Case) -> int:
    """Processes that train a case together: one for each device, unless one has them all."""
    row = FRAMEWORKS.get(case.framework)  # one of another machine may be unknown here
    return 1 if row and row.several_environment else case.devices


def several_environment_of(case: Case) -> dict[str, str]:
    """The ``several_environment`` of a case's framework; empty on one device, or no CPU."""
    if case.devices == 1 or case.device != "cpu":
        return {}
    found = framework(case.framework).several_environment
    return {name: value.format(devices=case.devices) for name, value in found.items()}


def for_files(suffix: str) -> Framework:
    """The first row that can run here and writes files of this suffix.

    Raises:
        UserError: No such framework is installed; the message has the install command.
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
    """Add a row at run time, for extensions and tests.

    Raises:
        UserError: The name is in use already.
    """
    if row.name in FRAMEWORKS:
        raise UserError(f"framework {row.name!r} exists already; give the new one another name")
    FRAMEWORKS[row.name] = row
    return row
