"""PyTorch's own files of weights: read without running what they hold, written, tried.

`bench.helper` calls these functions, each in a process of its own; paths come as strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor

from bench.errors import UserError

_ADVICE = "save model.state_dict() and give that file"
_NESTED = ("state_dict", "model_state_dict", "model")
"""Where trainers' checkpoints keep the state among their other things."""
_FACTS = "alexbench"


def read(path: str, out: str) -> dict[str, Any]:
    """Write the tensors of a ``.pth`` to ``out`` (safetensors); give the metadata.

    Those of bfloat16, which numpy lacks, become float32 and are named. Raises UserError where the
    file is damaged, asks for code, or holds anything but tensors by name.
    """
    state, metadata = _state(path)
    save_file({name: _array(tensor) for name, tensor in state.items()}, out)
    widened = [name for name, tensor in state.items() if tensor.dtype == torch.bfloat16]
    return {"bfloat16": widened, "metadata": metadata}


def _state(path: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    found = _load(path)
    if isinstance(found, Mapping):
        nested = [found[key] for key in _NESTED if isinstance(found.get(key), Mapping)]
        found = nested[0] if nested else found
    if not isinstance(found, Mapping):
        raise UserError(f"{path}: holds a {type(found).__name__}, no state by name; {_ADVICE}")
    for name, tensor in found.items():
        if not isinstance(tensor, Tensor):
            raise UserError(
                f"{path}: {str(name)[:80]!r} is a {type(tensor).__name__}, no tensor; {_ADVICE}"
            )
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise UserError(f"{path}: {name} is sparse or quantized; save it dense, in float32")
    facts = getattr(found, _FACTS, None)
    metadata = {_FACTS: facts} if isinstance(facts, str) else {}
    return {str(name): tensor for name, tensor in found.items()}, metadata


def _load(path: str) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise nearly every type there is
        said = str(error)
        asked = re.search(r"GLOBAL ([\w.]+)", said)
        if asked or "TorchScript" in said:
            what = asked[1] if asked else "TorchScript"
            raise UserError(
                f"{path}: the pickle asks for code ({what}), as a whole pickled module does; "
                f"nothing was run; {_ADVICE}"
            ) from error
        if "weights_only" in said:
            raise UserError(
                f"{path}: a pickle that asks for more than tensors; nothing was run; {_ADVICE}"
            ) from error
        reason = " ".join(said.split(". ")[0].split())[:200]
        reason = reason if " " in reason else f"{type(error).__name__} {reason}".strip()
        raise UserError(f"{path}: not a whole PyTorch file ({reason}); get it anew") from error


def _array(tensor: Tensor) -> NDArray[Any]:
    plain = tensor.detach()
    plain = plain.float() if plain.dtype == torch.bfloat16 else plain
    return np.ascontiguousarray(plain.resolve_conj().numpy())


def categories() -> dict[str, Any]:
    """Names of the 1000 ImageNet classes, in the order of the logits, as torchvision has them."""
    from torchvision.models import AlexNet_Weights  # noqa: PLC0415  seconds that only this needs

    return {"categories": list(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])}
