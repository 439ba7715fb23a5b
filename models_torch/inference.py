"""PyTorch's :class:`bench.training.interfaces.InferenceModel`: eager float32 on the closed track's
layers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bench.training.interfaces import InferenceSetup, Outputs, PreparedImages
from models_torch.alexnet import build
from models_torch.devices import device_of, on_device, on_host
from models_torch.settings import configure, set_deterministic


class TorchInference:
    """One network in evaluation mode."""

    def __init__(self, setup: InferenceSetup) -> None:
        configure(setup.threads, tf32=False)
        self._device = device_of(setup.device_kind)
        set_deterministic(self._device.type == "cpu")
        with torch.device("meta"):  # drawing initial weights only to discard them takes seconds
            network = build(setup.architecture)
        state = {name: torch.from_numpy(np.array(array)) for name, array in setup.weights.items()}
        network.load_state_dict(state, assign=True)
        self._network = network.to(self._device).eval()
        self._embedding = setup.embedding

    def logits(self, images: PreparedImages) -> Outputs:
        """(B, 3, S, S) -> (B, classes)."""
        return self._rows(self._network, images)

    def embed(self, images: PreparedImages) -> Outputs:
        """By a forward hook, while the whole network runs."""
        seen: list[Tensor] = []
        layer = self._network.get_submodule(self._layer())
        # A copy: ReLUs work in place, and a later one could overwrite this output.
        hook = layer.register_forward_hook(lambda module, args, y: seen.append(y.clone()))
        try:
            self._rows(self._network, images)
        finally:
            hook.remove()
        return on_host(seen[0])

    def embed_by_slice(self, images: PreparedImages) -> Outputs:
        """By the modules up to the layer, as a Sequential of their own."""
        names = [name for name, _ in self._network.named_children()]
        return self._rows(self._network[: names.index(self._layer()) + 1], images)

    def _layer(self) -> str:
        assert self._embedding is not None, "built without an embedding: only logits"
        return self._embedding

    def _rows(self, network: nn.Module, images: PreparedImages) -> Outputs:
        with torch.inference_mode():
            return on_host(network(on_device(images, self._device)))


def create(setup: InferenceSetup) -> TorchInference:
    """What ``bench.training.frameworks`` names."""
    return TorchInference(setup)
