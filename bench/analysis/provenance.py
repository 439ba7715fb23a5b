"""Provenance of a pretrained row's weights, from the settings of its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.records import Record

COLUMNS = ("weights_source", "weights_layers", "weights_initialised", "weights_preprocessing")
_DIGEST = 12


def provenance_of(records: Sequence[Record]) -> dict[str, str | None]:
    """``COLUMNS`` in words, from ``settings["weights"]``; None where no record has it."""
    recorded = (record.settings.get("weights") for record in records)
    weights = next((found for found in recorded if isinstance(found, Mapping)), None)
    if weights is None:
        return dict.fromkeys(COLUMNS)
    notes = str(weights.get("notes") or "").strip()
    source = f"{weights.get('name')} (sha256 {str(weights.get('sha256'))[:_DIGEST]})"
    return {
        "weights_source": f"{source}, {notes}" if notes else source,
        "weights_layers": _names(weights.get("layers")),
        "weights_initialised": _names(weights.get("initialised")),
        "weights_preprocessing": _preprocessing(weights.get("preprocessing") or {}),
    }


def _names(layers: Any) -> str:
    return ", ".join(map(str, layers or ()))


def _preprocessing(how: Mapping[str, Any]) -> str:
    """The normalisation in words: the recorded fields of
    `bench.networks.preprocessing.Preprocessing`."""
    if not (how.get("mean") and how.get("std")):
        return "normalisation not recorded"
    mean, std = (", ".join(f"{value:g}" for value in how[name]) for name in ("mean", "std"))
    order = how.get("channel_order", "RGB")
    published = "" if order == "RGB" else f" (published in {order})"
    return f"RGB{published} in 0 to {how.get('pixel_range') or 1:g}, minus ({mean}), over ({std})"
