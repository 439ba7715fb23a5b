"""In which type Keras computes: float32 for everything that is measured, float64 for proofs."""

from __future__ import annotations

import keras
from keras.src.backend.common import dtypes  # private, and the only place where this can be said


def use(dtype: str) -> None:
    """Make ``dtype`` the type of weights, layers and of Keras's own intermediate results.

    Whatever keras.json says. On JAX and PyTorch, Keras brings the result of every mixed operation
    (BatchNorm's among them) from float64 down to float32, by a table; for a proof in float64 the
    table is told not to.
    """
    keras.mixed_precision.set_dtype_policy(dtype)
    keras.config.set_floatx(dtype)
    wide = dtype == "float64" or keras.backend.backend() == "tensorflow"
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64" if wide else "float32"
