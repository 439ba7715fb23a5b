"""The settings that a trainer reports, before and after they are changed without it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from bench.networks.variants import variant
from tests.frameworks.support.networks import TINY, setup
from tests.frameworks.support.trainers import create, undrawn_weights

Changes = dict[str, tuple[Callable[[], object], Callable[[], object]]]
"""Do and undo, by name."""


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    facts: dict[str, Any] = {}
    for precision in ("float32", "bfloat16", "float16"):
        given = setup(TINY, track="idiomatic", precision=precision)
        facts[precision] = create(framework, given).settings()
    # Its first convolution has other sides and channels than the synthetic network's.
    with undrawn_weights():
        plain = create(framework, setup(variant("cifar-plain").architecture()))
    facts["cifar-plain"] = plain.settings()
    trainer = create(framework, setup(TINY))
    facts["closed"] = trainer.settings()
    in_network = _in_torch if framework == "pytorch" else _in_keras
    for name, (do, undo) in (in_network(trainer) | _in_process()).items():
        do()
        try:
            facts[name] = trainer.settings()
        finally:
            undo()
    facts["again"] = trainer.settings()
    return facts, {}


def _in_torch(trainer: Any) -> Changes:
    import torch  # noqa: PLC0415

    network = trainer.network

    def half_by_hook() -> None:
        handles.append(network.c1.register_forward_hook(lambda _, __, out: out.bfloat16()))

    handles: list[Any] = []
    return {
        "channels last": (
            lambda: network.to(memory_format=torch.channels_last),
            lambda: network.to(memory_format=torch.contiguous_format),
        ),
        "half activations": (half_by_hook, lambda: handles.pop().remove()),
    }


def _in_keras(trainer: Any) -> Changes:
    conv = trainer.network.get_layer("c1")

    def policy(name: str) -> None:
        conv.dtype_policy = name

    return {"half activations": (lambda: policy("mixed_bfloat16"), lambda: policy("float32"))}


def _in_process() -> Changes:
    """Switches of whichever framework is in this process."""
    if sys.modules.get("torch"):
        return _torch_switches()
    return _tensorflow_switches() if sys.modules.get("tensorflow") else _jax_switches()


def _torch_switches() -> Changes:
    import torch  # noqa: PLC0415

    cudnn, mkldnn = torch.backends.cudnn, torch.backends.mkldnn
    flags = mkldnn.flags(enabled=False)
    return {
        "threads": (lambda: torch.set_num_threads(3), lambda: torch.set_num_threads(1)),
        "tf32": (
            lambda: setattr(cudnn, "allow_tf32", True),
            lambda: setattr(cudnn, "allow_tf32", False),
        ),
        "precision": (
            lambda: torch.set_float32_matmul_precision("high"),
            lambda: torch.set_float32_matmul_precision("highest"),
        ),
        "deterministic": (
            lambda: torch.use_deterministic_algorithms(False),
            lambda: torch.use_deterministic_algorithms(True),
        ),
        "onednn": (flags.__enter__, lambda: flags.__exit__(None, None, None)),
    }


def _tensorflow_switches() -> Changes:
    import tensorflow as tf  # noqa: PLC0415

    tf32 = tf.config.experimental.enable_tensor_float_32_execution
    return {
        "tf32": (lambda: tf32(True), lambda: tf32(False)),
        "eager": (
            lambda: tf.config.run_functions_eagerly(True),
            lambda: tf.config.run_functions_eagerly(False),
        ),
        "jit": (
            lambda: tf.config.optimizer.set_jit(True),
            lambda: tf.config.optimizer.set_jit(False),
        ),
    }


def _jax_switches() -> Changes:
    import jax  # noqa: PLC0415

    update = jax.config.update
    precision = "jax_default_matmul_precision"
    return {
        "tf32": (lambda: update(precision, "tensorfloat32"), lambda: update(precision, "highest")),
        "eager": (
            lambda: update("jax_disable_jit", True),
            lambda: update("jax_disable_jit", False),
        ),
    }
