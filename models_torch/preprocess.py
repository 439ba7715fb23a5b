"""From stored images to a network's input, on the device, inside the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from bench.networks.resize import cropped, interpolation_matrix
from bench.training.interfaces import Images, Setup


class HeldImages(nn.Module):
    """The training images on the device, from which a step's crops are cut.

    They are stored with their black border, so that a crop is a gather and nothing else.
    """

    def __init__(
        self, images: Images, labels: NDArray[np.int64], padding: int, device: torch.device
    ) -> None:
        super().__init__()
        own = images.shape[1]
        side = own + 2 * padding
        bordered = torch.zeros((len(images), side, side, 3), dtype=torch.uint8, device=device)
        inside = slice(padding, padding + own)
        bordered[:, inside, inside] = torch.from_numpy(np.array(images)).to(device)
        # Buffers have a fixed address: a CUDA graph reads them where they are.
        self.images: Tensor
        self.labels: Tensor
        self.across: Tensor
        self.register_buffer("images", bordered, persistent=False)
        self.register_buffer(
            "labels", torch.from_numpy(np.array(labels)).to(device), persistent=False
        )
        self.register_buffer("across", torch.arange(own, device=device), persistent=False)

    @staticmethod
    def size(images: Images, padding: int) -> int:
        """Bytes of the images with their border."""
        return 3 * len(images) * (images.shape[1] + 2 * padding) ** 2

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 4) int32 -> (B, 32, 32, 3) uint8 and (B,) int64."""
        index, top, left, flip = crops.long().unbind(1)
        mirrored = len(self.across) - 1 - self.across
        rows = top[:, None] + self.across  # (B, 32)
        columns = left[:, None] + torch.where(flip[:, None] > 0, mirrored, self.across)
        found = self.images[index[:, None, None], rows[:, :, None], columns[:, None, :]]
        return found, self.labels[index]


class Prepare(nn.Module):
    """(B, 32, 32, 3) uint8 -> (B, 3, S, S), normalised by channel and resized bilinearly.

    Half-pixel centres and no antialiasing, as in every framework here; in ``dtype`` whatever
    autocast does. Where the recipe enlarges to more than S pixels, the middle is cut out. Features
    of a frozen trunk, (B, F), pass unchanged. The resize is ``F.interpolate``.
    """

    def __init__(
        self, setup: Setup, device: torch.device, dtype: torch.dtype, layout: torch.memory_format
    ) -> None:
        super().__init__()
        self._size = setup.architecture.input_size
        self._enlarged = setup.recipe.resize or self._size
        self._takes_features = setup.architecture.features is not None
        self._device, self._dtype, self._layout = device, dtype, layout
        self._mean: Tensor
        self._std: Tensor
        self.register_buffer("_mean", self._constant(setup.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", self._constant(setup.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise, then resize."""
        if self._takes_features:
            return images.to(self._dtype)
        side = self._enlarged
        resized = images.shape[1:3] != (side, side) or side != self._size
        layout = self._layout_before_resize() if resized else self._layout
        if layout == torch.channels_last and images.device.type == "cpu":
            x = self._normalised_by_rows(images)
        else:
            x = images.permute(0, 3, 1, 2).to(self._dtype, memory_format=layout)
            x.div_(255).sub_(self._mean).div_(self._std)
        return self._resize(x) if resized else x

    def _normalised_by_rows(self, images: Tensor) -> Tensor:
        """By whole rows of pixels: three channels are too few for a vector unit of a CPU."""
        width = images.shape[2]
        mean, std = (values.flatten().repeat(width) for values in (self._mean, self._std))
        rows = images.flatten(2)  # (B, H, 3W)
        rows = rows.to(self._dtype, memory_format=torch.contiguous_format)
        rows.div_(255).sub_(mean).div_(std)
        return rows.view(images.shape).permute(0, 3, 1, 2)

    def _layout_before_resize(self) -> torch.memory_format:
        return self._layout

    def _resize(self, x: Tensor) -> Tensor:
        size = (self._enlarged, self._enlarged)
        enlarged = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        middle = cropped(self._enlarged, self._size)
        return enlarged[:, :, middle, middle]

    def _constant(self, values: Any) -> Tensor:
        # Computed in float64: float32 constants would be too coarse for a parity check in float64.
        array = np.asarray(values, np.float64)
        with torch.inference_mode(False):
            return torch.from_numpy(array).to(self._dtype).to(self._device)


class PrepareByProducts(Prepare):
    """The same, resized on the CPU by two matrix products, one for the rows and one for the
    columns, into a buffer that is reused.

    Allocating ten megabytes for every batch costs more than the arithmetic. The result of a call is
    therefore valid only until the next call.
    """

    def __init__(
        self, setup: Setup, device: torch.device, dtype: torch.dtype, layout: torch.memory_format
    ) -> None:
        super().__init__(setup, device, dtype, layout)
        self._resizing: tuple[Tensor, Tensor] | None = None
        self._resized = torch.empty(0)

    def _layout_before_resize(self) -> torch.memory_format:
        # With three channels, the resize and the first convolution are faster on whole planes.
        return torch.contiguous_format

    def _resize(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        if x.device.type != "cpu":
            # There a product may be rounded to TF32, and the allocator caches freed memory.
            return super()._resize(x)
        if self._resizing is None:
            middle = cropped(self._enlarged, self._size)
            rows, columns = (
                interpolation_matrix(extent, self._enlarged)[middle] for extent in (height, width)
            )
            self._resizing = self._constant(rows), self._constant(columns.T.copy())
        by_rows, by_columns = self._resizing
        shape = (count, channels, self._size, self._size)
        if self._resized.shape != shape:
            # A tensor made in inference mode can never take part in training.
            with torch.inference_mode(False):
                self._resized = torch.empty(shape, dtype=self._dtype, device=self._device)
        return torch.matmul(by_rows, torch.matmul(x, by_columns), out=self._resized)
