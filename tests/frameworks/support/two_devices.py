"""Keras on JAX with two devices: trained on the second, what lies where afterwards; trained on
both, what the loop of the overhead gives each.

``python -m tests.frameworks.support.two_devices [both]`` prints JSON. A worker sees one
accelerator, and the CPU of the host next to it: an array that lands on another device than the
chosen one would be moved in every step. XLA splits the CPU into two devices for such tests
(``--xla_force_host_platform_device_count=2``).
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from typing import Any

from bench.networks.init import DropoutMasks
from bench.training.tracks import TRACKS
from bench.worker.device.ahead import made_ahead
from tests.frameworks.probes.training.held import CLOSED, SPLIT, batches
from tests.frameworks.support.networks import (
    FREE,
    TINY,
    random_images,
    seeded_weights,
    setup,
    step_input,
)
from tests.frameworks.support.trainers import create_loaded

SECOND = 1


def main() -> None:
    import jax  # noqa: PLC0415

    from models_keras.backend import jax as backend  # noqa: PLC0415

    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if sys.argv[1:] == ["both"]:
        pipe.write(json.dumps(divided()))
        pipe.close()
        return
    chosen = jax.devices("cpu")[SECOND]
    backend._device_of = lambda kind: chosen
    found = {track: trained(track) for track in (CLOSED, *FREE)}
    pipe.write(json.dumps({"devices": len(jax.devices("cpu")), "tracks": found}))
    pipe.close()


def trained(track: str) -> dict[str, Any]:
    """Elements of all live arrays by the number of their device, after steps on held images."""
    import jax  # noqa: PLC0415

    from bench.data.batching import crops_of  # noqa: PLC0415
    from bench.training.interfaces import StepInput  # noqa: PLC0415

    trainer = create_loaded("keras-jax", setup(TINY, steps=2, track=track), seeded_weights(TINY))
    assert trainer.hold_images(SPLIT.images, SPLIT.labels, 3)
    shared = TRACKS[track].shared_masks
    given = []
    for step, batch in zip(range(2), batches(3), strict=False):
        masks = DropoutMasks(TINY, 1).at(step, len(batch.indices)) if shared else {}
        labels = SPLIT.labels[batch.indices]
        given.append(StepInput(SPLIT.images[:0], labels, masks, 0.02, crops_of(batch)))
    bring = getattr(trainer, "bring_ahead", lambda one: one)
    with made_ahead(lambda step: bring(given[step]), 0, 2) as brought:
        trainer.train(brought, 2, lambda: None)
    trainer.predict(random_images(8))
    trainer.sync()
    trainer.through_queue()
    places: Counter[int] = Counter()
    for array in jax.live_arrays():
        for device in array.devices():
            places[device.id] += array.size
    return {"elements": dict(places), "device": trainer.settings()["device"]}


def divided() -> dict[str, int]:
    """How many arrays of a batch the bare loop on two devices has, and how many of them are
    divided."""
    import jax  # noqa: PLC0415

    count = 22  # no layer has as many outputs
    given = setup(TINY, track=CLOSED, devices=2, batch_size=count)
    trainer = create_loaded("keras-jax", given, seeded_weights(TINY))
    one = step_input(TINY, count, DropoutMasks(TINY, 1).at(0, count), 0.02)
    loop = trainer.bare_loop(one)
    assert loop is not None
    loop(1)
    with made_ahead(lambda step: trainer.bring_ahead(one), 0, 1) as brought:
        trainer.train(brought, 1, lambda: None)
    trainer.through_queue()
    batch = [array for array in jax.live_arrays() if array.shape[:1] == (count,)]
    parts = [array for array in batch if {s.data.shape[0] for s in array.global_shards} == {11}]
    return {"arrays": len(batch), "divided": len(parts)}


if __name__ == "__main__":
    sys.exit(main())
