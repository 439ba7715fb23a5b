"""Whether Keras's backend uses a device: where a small product was computed."""

from __future__ import annotations

import numpy as np
from keras import ops

from bench.training.interfaces import DeviceReport
from models_keras.backend import current


def probe(kind: str) -> DeviceReport:
    """What ``bench.training.frameworks`` names; raises whatever the backend says where it cannot.

    The environment of the worker shows it no other accelerator, and a backend takes what it sees.
    """
    kernel = ops.ones((8, 8, 1, 1))
    product = ops.matmul(ops.ones((8, 8)), ops.ones((8, 8)))
    np.asarray(ops.convert_to_numpy(product))  # waits
    found = current().in_backend(kernel, kernel, "NHWC")
    return DeviceReport(found["device"], found["device_name"])
