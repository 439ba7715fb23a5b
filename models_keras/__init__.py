"""AlexNet in Keras 3, built from the rows of ``bench.networks.variants``, on any of its
backends.

For scripts and notebooks (docs/library.md): `AlexNet`, `preprocess_input`, `decode_predictions`,
`save_weights`. They are loaded on first use: the harness's workers import modules of this package,
and pay for nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models_keras.library import AlexNet, decode_predictions, preprocess_input, save_weights

__all__ = ["AlexNet", "decode_predictions", "preprocess_input", "save_weights"]


def __getattr__(name: str) -> Any:
    """The public name ``name``, imported on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from models_keras import library  # noqa: PLC0415

    return getattr(library, name)


def __dir__() -> list[str]:
    """Public names, for completion in a shell."""
    return sorted({*globals(), *__all__})
