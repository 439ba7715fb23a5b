"""torchvision's functional rotation and colours of one image after the other (PyTorch only)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torchvision.transforms import functional as F

COUNT = 12


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, 32, 32, 3), np.uint8)
    angles = rng.uniform(-30, 30, COUNT)
    factors = rng.uniform(0.4, 1.6, (COUNT, 3))
    colours = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation)
    arrays = {"images": images, "angles": angles, "factors": factors}
    arrays["rotated"] = _each(F.rotate, images, angles)
    arrays["coloured"] = images
    for index, adjust in enumerate(colours):
        arrays[f"coloured{index}"] = _each(adjust, images, factors[:, index])
        arrays["coloured"] = _each(adjust, arrays["coloured"], factors[:, index])
    return {}, arrays


def _each(change: Callable[[Any, float], Any], images: Any, amounts: Any) -> Any:
    pairs = zip(torch.from_numpy(images).permute(0, 3, 1, 2), amounts.tolist(), strict=True)
    found = torch.stack([change(image, amount) for image, amount in pairs])
    return found.permute(0, 2, 3, 1).contiguous().numpy()
