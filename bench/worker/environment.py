"""The environment variables of a worker: equal for all frameworks, free of the user's settings."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.system.devices import worker_environment
from bench.core.text import without_folders
from bench.training.frameworks import (
    framework,
    several_environment_of,
    tuned_environment_of,
)

NOT_INHERITED = {
    "ATEN_*": "instruction set of PyTorch's own kernels",
    "COVERAGE_*": "coverage would trace the measured code",
    "COV_CORE_*": "pytest-cov starts coverage in every child process that has these",
    "CUBLAS_*": "workspaces of cuBLAS, and with them its algorithms",
    "CUDA_LAUNCH_BLOCKING": "waits for every kernel",
    "CUDNN_*": "algorithms that cuDNN leaves out",
    "DNNL_*": "oneDNN's older prefix: instruction set, verbosity, cache sizes",
    "GLIBC_TUNABLES": "glibc's allocator; a registry row sets it where a track asks for it",
    "GOMP_*": "thread binding and spinning of GCC's OpenMP runtime",
    "JAX_*": "platform, float width, matrix precision, compilation cache",
    "KERAS_BACKEND": "a registry row sets it",
    "KERAS_MAX_*": "ends every fit of Keras after so many epochs or steps",
    "KERAS_NNX_ENABLED": "another kind of variables of Keras on JAX",
    "KMP_*": "thread binding and spinning of Intel's and LLVM's OpenMP runtimes",
    "MALLOC_*": "glibc's allocator; a registry row sets it where a track asks for it",
    "MKL_*": "thread count and instruction set of MKL",
    "OMP_*": "thread count, binding (OMP_PROC_BIND, OMP_PLACES) and wait policy",
    "ONEDNN_*": "instruction set, verbosity and cache sizes of oneDNN",
    "NVIDIA_TF32_OVERRIDE": "rounds float32 products whatever a track says",
    "OPENBLAS_*": "thread count and kernel selection of OpenBLAS",
    "PYTORCH_*": "allocator, fusion and fallback switches of PyTorch",
    "TORCHINDUCTOR_*": "caches, threads and passes of PyTorch's compiler",
    "TRITON_*": "caches and options of the compiler of GPU kernels",
    "TF_CUDNN_*": "TensorFlow's choice among cuDNN's algorithms",
    "TF_DETERMINISTIC_OPS": "switches TensorFlow's deterministic mode on",
    "TF_ENABLE_ONEDNN_OPTS": "switches TensorFlow's kernels",
    "TF_GPU_*": "TensorFlow's allocator and threads on a GPU",
    "TORCHDYNAMO_*": "switches torch.compile off or eager",
    "TORCH_COMPILE_*": "switches torch.compile off",
    "TORCH_CUDNN_*": "the interface of cuDNN that PyTorch calls",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "rounds float32 products whatever a track says",
    "TF_XLA_FLAGS": "switches automatic compilation on or off",
    "XLA_FLAGS": "compiler passes, thread pool and device count of XLA",
    "XLA_PYTHON_CLIENT_*": "how much of the device's memory JAX takes at its start",
}
"""Variables of the user that do not reach a worker, as patterns, with what they would change.

Each changes the speed or the results of one framework and not of the others, or binds threads to
other CPUs than those that the harness chose.
"""

KEPT = "ALEXBENCH_KEEP_ENV"
"""Names of variables that reach workers in spite of `NOT_INHERITED`, separated by commas."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_COMPILER_CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
_SET_BY_SUITE = (
    "KERAS_BACKEND",
    "KERAS_HOME",
    "KERAS_TORCH_DEVICE",
    "JAX_PLATFORMS",
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "TF_CPP_MIN_LOG_LEVEL",
    *_COMPILER_CACHES,
)
_ROOT = Path(__file__).resolve().parents[2]


def environment(case: Case, home: Path, threads: int) -> dict[str, str]:
    """The environment of a worker.

    Args:
        case: Its framework and track decide what the registry adds; its device is the only one
            that the worker sees (:func:`bench.core.system.devices.worker_environment`).
        home: An empty folder in the place of ``~/.keras``.
        threads: Of every BLAS and OpenMP runtime.

    Returns:
        This process's environment without `NOT_INHERITED`, with the settings of the suite.
    """
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **{name: value for name, value in os.environ.items() if inherited(name)},
        "PYTHONPATH": os.pathsep.join(paths),
        # A user's own random.py or profile.py in the current folder is not what frameworks import.
        "PYTHONSAFEPATH": "1",
        **dict.fromkeys(_THREADS, str(threads)),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # A user's ~/.keras/keras.json could change the float type or the layout.
        "KERAS_HOME": str(home),
        # Each process compiles from nothing: compilers keep what they have made for the next one.
        **{name: str(home / name.lower()) for name in _COMPILER_CACHES},
        **_user(home),
        **worker_environment(case.device, case.devices),
        **framework(case.framework).environment,
        **tuned_environment_of(case),
        **_kept(several_environment_of(case)),
    }


def _kept(several: dict[str, str]) -> dict[str, str]:
    """The variables of ``--keep-env``, which hold whatever a track or several devices set; flags
    that both have are put together."""
    found = {name: os.environ[name] for name in kept() if name in os.environ}
    joined = {name: f"{found[name]} {flags}" for name, flags in several.items() if name in found}
    return several | found | joined


def _user(home: Path) -> dict[str, str]:
    """A home and a name for frameworks that ask for them, where the user has none (a container)."""
    found = {}
    if os.path.expanduser("~") == "~":
        found["HOME"] = str(home)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        found["USER"] = "alexbench"
    return found


def inherited(name: str) -> bool:
    """Whether a variable of the user's reaches a worker."""
    return name in kept() or not any(fnmatchcase(name, pattern) for pattern in NOT_INHERITED)


def keep(names: Iterable[str]) -> None:
    """Let variables reach every worker that is started from now on; records name them.

    Raises:
        UserError: A variable is not set, or the suite sets it itself.
    """
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name in _THREADS:
            raise UserError(f"--keep-env {name}: the suite sets it; give --threads N")
        if name in _SET_BY_SUITE:
            raise UserError(f"--keep-env {name}: the suite sets it itself, for all frameworks")
        if name not in os.environ:
            raise UserError(f"--keep-env {name}: there is no such variable in the environment")
    if wanted:
        os.environ[KEPT] = ",".join(wanted)


def kept() -> list[str]:
    """Names of the variables that were asked for."""
    return [name for name in os.environ.get(KEPT, "").split(",") if name]


def kept_environment() -> list[str]:
    """These variables as the worker has them, ``NAME=value`` each: a setting of every record."""
    found = sorted(name for name in kept() if name in os.environ)
    return [f"{name}={without_folders(os.environ[name])}" for name in found]
