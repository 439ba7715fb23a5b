"""The weights at the end of a training, saved with all that is needed to use them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.networks.architecture import Architecture
from bench.networks.preprocessing import Preprocessing
from bench.networks.pretrained import Facts, Pretrained
from bench.networks.variants import variant
from bench.networks.weights import check_weights, weights_digest
from bench.training.defaults import with_own_constants
from bench.worker.session import Session


def save_weights(bench: Session, metrics: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Save the weights of the session's network.

    A training is not lost because its weights cannot be saved.

    Args:
        bench: A session whose training has ended.
        metrics: Of the training.
        path: The new file, safetensors.

    Returns:
        ``file`` (its name) and ``weights_sha256``, or ``problem``: why there is none.
    """
    try:
        architecture = _architecture(bench)
        trunk = bench.trunk.export_weights() if bench.trunk else {}
        weights = trunk | bench.trainer.export_weights()
        check_weights(architecture, weights)
        digest = weights_digest(weights)
        facts = _facts(bench, architecture, metrics, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        layers = {"architecture": json.dumps(architecture.to_json())}
        Pretrained(facts, weights).save(path, layers)
    except OSError as error:
        return {"problem": f"weights not saved: {error.strerror or error}"}
    except UserError as error:
        return {"problem": f"weights not saved: {error}"}
    return {"file": path.name, "weights_sha256": digest}


def _architecture(bench: Session) -> Architecture:
    """The whole network, as its row has it.

    Raises:
        UserError: It was trained with constants of the framework's own: a file names the row, and
            would be evaluated with the row's.
    """
    case = bench.setup.case
    classes = len(bench.dataset.classes)
    row = variant(case.variant).architecture(classes, head=case.head, input_size=case.input_size)
    if with_own_constants(row, case) != row:
        raise UserError(f"{case.variant} was trained with constants of {case.framework}'s own")
    return row


def _facts(
    bench: Session, architecture: Architecture, metrics: Mapping[str, Any], digest: str
) -> Facts:
    case, recipe, data = bench.setup.case, bench.setup.recipe, bench.dataset
    size, accuracy = case.input_size, metrics["test_accuracy"]
    how = f"recipe {recipe.name}, {case.framework}, {case.track}, seed {case.seed}"
    return Facts(
        name=f"{case.variant}-{case.framework}-{case.track}-{recipe.name}-s{case.seed}",
        sha256=digest,
        variant=case.variant,
        layers=tuple(s.layer.name for s in architecture.steps() if s.layer.weights(s.before)),
        # Training images are resized as a whole.
        preprocessing=Preprocessing(
            bench.setup.mean,
            bench.setup.std,
            size=size,
            resize=recipe.resize or size,
            stored=data.side,
        ),
        head=case.head,
        classes=architecture.classes,
        input_size=size,
        categories=data.classes,
        notes=f"trained on {data.name} ({how}): {100 * accuracy:.2f} % of the test images",
        training={
            "case": case.to_json(),
            "recipe": recipe.to_json(),
            "dataset": {"name": data.name, "fingerprint": data.fingerprint},
            **{name: metrics[name] for name in ("test_accuracy", "train_images", "train_seconds")},
            "weights_sha256": digest,
        },
    )
