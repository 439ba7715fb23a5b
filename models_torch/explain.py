"""PyTorch's :data:`bench.training.interfaces.Explain`: Grad-CAM by the library ``grad-cam``."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import UserError
from bench.training.interfaces import Explanation, InferenceSetup, PreparedImages
from models_torch.alexnet import STOCK, build
from models_torch.devices import device_of, on_device
from models_torch.settings import configure, set_deterministic


def explain(setup: InferenceSetup, images: PreparedImages, wanted: int | None) -> Explanation:
    """https://github.com/jacobgil/pytorch-grad-cam.

    Raises:
        UserError: The library is not installed.
    """
    try:
        from pytorch_grad_cam import GradCAM  # noqa: PLC0415
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: PLC0415
    except ImportError as error:
        raise UserError(
            f"explain in PyTorch needs grad-cam ({error}); pip install 'alexbench[explain]'"
        ) from error
    configure(setup.threads, tf32=False)
    set_deterministic(setup.device_kind == "cpu")
    network = build(setup.architecture, STOCK, initialise=False)
    state = {name: torch.from_numpy(np.array(array)) for name, array in setup.weights.items()}
    network.load_state_dict(state, strict=False)  # BatchNorm's counter of batches stays
    network = network.to(device_of(setup.device_kind)).eval()
    assert setup.embedding is not None
    given: Tensor = on_device(images, device_of(setup.device_kind))
    targets = None if wanted is None else [ClassifierOutputTarget(wanted)] * len(images)
    with GradCAM(network, [network.get_submodule(setup.embedding)]) as cam:
        maps = cam(input_tensor=given, targets=targets)
        logits = np.asarray(cam.outputs.detach().cpu().numpy(), np.float32)
    classes = logits.argmax(axis=1) if wanted is None else np.full(len(logits), wanted)
    return Explanation(logits, classes.astype(np.int64), np.asarray(maps, np.float32))
