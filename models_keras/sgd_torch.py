"""SGD on torch in PyTorch's fused kernel, where Keras goes over all weights once an operation."""

from __future__ import annotations

from typing import Any

import keras
import torch
from torch.optim.sgd import sgd

# The class that Keras hands out on its torch backend: its update takes all weights at once.
_KerasSGD: Any = type(keras.optimizers.SGD())


class FewPassesSGD(_KerasSGD):  # type: ignore[misc]
    """Keras's SGD with momentum: the same update but for rounding, in half the memory traffic."""

    def __init__(self, rate: Any, momentum: float, nesterov: bool, decay: float) -> None:
        super().__init__(rate, momentum, nesterov)
        self._decay = decay

    def _parallel_update_step(
        self, grads: list[torch.Tensor], variables: list[Any], learning_rate: Any
    ) -> None:
        """Decay the weights, v = m·v - lr·g, and w += v, or m·v - lr·g with Nesterov.

        PyTorch's own velocity is m·v + g, and its update -lr·v: with every gradient taken as
        -lr·g and a rate of -1 it is Keras's, whose velocity remembers earlier rates.
        """
        rate = float(learning_rate)
        weights = [variable.value for variable in variables]
        slots = [self.momentums[self._get_variable_index(v)].value for v in variables]
        if self._decay:
            torch._foreach_mul_(weights, 1 - rate * self._decay)
        # The kernel divides by the scale as it reads the gradient.
        scale = torch.tensor(-1 / rate if rate else float("-inf"))
        sgd(
            weights,
            grads,
            slots,
            fused=True,
            grad_scale=scale,
            found_inf=None,
            weight_decay=0.0,
            momentum=self.momentum,
            lr=-1.0,
            dampening=0.0,
            nesterov=self.nesterov,
            maximize=False,
        )
