"""SGD on torch in PyTorch's fused kernel, where Keras goes over all weights once an operation."""

from __future__ import annotations

from typing import Any

import keras
import torch
from torch.optim.sgd import sgd

# The class that Keras hands out on its torch backend: its update takes all weights at once.
_KerasSGD: Any = type(keras.optimizers.SGD())


class FewPassesSGD(_KerasSGD):  # type: ignore[misc]
    """Keras's SGD with momentum and its arguments: the same update but for rounding.

    What else an optimiser does, weight decay too, is Keras's own. Gradients are overwritten.
    """

    def _parallel_update_step(
        self, grads: list[torch.Tensor], variables: list[Any], learning_rate: Any
    ) -> None:
        """v = m·v - lr·g, and w += v, or m·v - lr·g with Nesterov.

        PyTorch's own velocity is m·v + g, and its update -lr·v: with every gradient taken as
        -lr·g and a rate of -1 it is Keras's, whose velocity remembers earlier rates.
        """
        rate = float(learning_rate)
        weights = [variable.value for variable in variables]
        slots = [self.momentums[self._get_variable_index(v)].value for v in variables]
        if any(w.stride() != slot.stride() for w, slot in zip(weights, slots, strict=True)):
            # On a CPU the kernel runs over memory, whatever the order of the elements there.
            super()._parallel_update_step(grads, variables, learning_rate)
            return
        sgd(
            weights,
            [_laid_out_as(w, g) for w, g in zip(weights, grads, strict=True)],
            slots,
            fused=True,
            # The kernel divides by it as it reads the gradient, and writes the quotient back.
            grad_scale=torch.tensor(-1 / rate if rate else float("-inf")),
            found_inf=None,
            weight_decay=0.0,
            momentum=self.momentum,
            lr=-1.0,
            dampening=0.0,
            nesterov=self.nesterov,
            maximize=False,
        )


def _laid_out_as(weight: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight).copy_(gradient)
