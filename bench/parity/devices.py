"""The check of data-parallel training: N devices with the same global batch train as one does."""

from __future__ import annotations

from typing import Any, Protocol, cast

from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.parity import problem
from bench.parity.comparison import ParityComparison
from bench.parity.figures import MismatchError, distance
from bench.training.interfaces import CertifiableTrainer, ParallelTrainer

CHECK = "float64 weights, N devices"
"""The figure of a certificate."""


class _Both(CertifiableTrainer, ParallelTrainer, Protocol):
    """A trainer that can be inspected and trains on several devices."""


def check_devices(comparison: ParityComparison, devices: int) -> None:
    """Train the test problem on one device and on several, and compare the weights.

    Where BatchNorm is local the two trainings differ by definition: the certificate says so, with
    the distance, and nothing is judged.

    Raises:
        MismatchError: The weights differ.
    """
    certificate, batches = comparison.certificate, comparison.batches
    certificate.facts["devices"] = devices
    if batches.batch_size % devices:
        certificate.facts["devices_check"] = (
            f"not checked: the test problem has batches of {batches.batch_size}"
        )
        return
    try:
        several = cast(_Both, comparison.trainer(problem.SGD, "float64", devices=devices))
    except UserError as error:
        raise MismatchError(f"{CHECK}: {error}") from error
    try:
        facts = several.parallel()
        if facts.batch_norm == "local" and batches.batch_size == devices:
            # Of a dense layer's BatchNorm one image has no variance.
            certificate.facts["devices_check"] = (
                "not checked: one image for each device's BatchNorm"
            )
            return
        trained = _trained(several, comparison)
    finally:
        several.close()
    alone = _trained(comparison.trainer(problem.SGD, "float64"), comparison)
    certificate.facts |= {"batch_norm": facts.batch_norm, "method": facts.method}
    if facts.batch_norm != "local":
        certificate.facts["devices_check"] = "the same training as on one device"
        comparison.check_tensors(CHECK, f" after {problem.STEPS} steps", trained, alone)
        return
    certificate.facts["devices_check"] = "another training than on one device: BatchNorm is local"
    gaps = [distance(trained[name], tensor) for name, tensor in alone.items()]
    certificate.facts["devices_distance"] = max(gaps)


def _trained(trainer: CertifiableTrainer, comparison: ParityComparison) -> dict[str, NDArray[Any]]:
    weights = {name: value.astype("float64") for name, value in comparison.weights.items()}
    trainer.load_weights(weights)
    inputs = (comparison.batches.at(step) for step in range(problem.STEPS))
    trainer.train(inputs, problem.STEPS, lambda: None)
    trainer.sync()
    return dict(trainer.export_weights())
