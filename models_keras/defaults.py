"""The ablation of defaults in Keras: ``fit`` with Adam, one default after the other replaced by the
shared one.

A stage reaches Keras as the network's constants, as initial weights, or as the optimiser. The
optimiser's classes are made at run time from the class that Keras returns for Adam, which is
another one on its torch backend: so each has the backend's own update.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bench.training.defaults import in_all, switched
from bench.training.interfaces import Setup
from bench.training.recipes.base import Recipe
from models_keras import alexnet
from models_keras.idiomatic import OwnPreparation
from models_keras.layers.lrn import LocalResponseNorm
from models_keras.optimizer import RecipeSchedule


class AblationTrainer(OwnPreparation):
    """:class:`bench.training.interfaces.Trainer` over ``model.fit``, at one stage of the ablation.

    Constants and preparation are the closed track's, so that nothing but the stages differs.
    """

    def _build(self, setup: Setup) -> keras.Model:
        return alexnet.build(setup.architecture, alexnet.SHARED)

    def _optimizer(self, setup: Setup) -> keras.optimizers.Optimizer:
        rate = RecipeSchedule(setup.recipe, setup.steps)
        return optimizer_for(setup.recipe, rate, switched(setup.case))

    def settings(self) -> dict[str, Any]:
        """Read back from Keras and the backend, with what of the stages is in force."""
        return {**super().settings(), "defaults": in_force(self.network, self._trained.optimizer)}


def optimizer_for(recipe: Recipe, rate: Any, shared: frozenset[str]) -> keras.optimizers.Optimizer:
    """Adam with `rate` and the recipe's weight decay; what is not in `shared` is Keras's own.

    With ``weight-decay`` and ``adam-eps`` the arithmetic is that of ``optimizer.Adam`` but for
    rounding: Keras computes 1 - b ** t directly, which costs up to 6e-5 of a step at t = 1.
    """
    decay = recipe.weight_decay or None
    adam: Any = type(keras.optimizers.Adam())
    if "adam-eps" in shared:
        adam = _with_eps_after_correction(adam, recipe.eps)
    if "weight-decay" not in shared or decay is None:
        return adam(rate, weight_decay=decay)
    return _with_l2(adam, decay)(rate)


def _with_l2(adam: Any, decay: float) -> Any:
    """The same optimiser with decay · w added to every gradient."""

    class L2Adam(adam):  # type: ignore[misc]
        l2 = decay

        def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
            """Keras's own, on gradients with the decay in them."""
            variables = self._trainable_variables
            if trainable_variables is not None:
                variables = trainable_variables = list(trainable_variables)
            decayed = [
                gradient + self.l2 * ops.stop_gradient(ops.convert_to_tensor(variable))
                for gradient, variable in zip(grads, variables, strict=True)
            ]
            return super().apply(decayed, trainable_variables)

    return L2Adam


def _with_eps_after_correction(adam: Any, eps: float) -> Any:
    """The same optimiser with eps added to the corrected second moment's root.

    m / c1 / (sqrt(v / c2) + eps) = sqrt(c2) / c1 · m / (sqrt(v) + eps · sqrt(c2)), and Keras
    computes the latter with a constant in the place of eps · sqrt(c2): only that changes.
    """

    class CorrectedAdam(adam):  # type: ignore[misc]
        corrected_eps = eps

        @property
        def epsilon(self) -> Any:
            """What Keras adds to sqrt(v) in the next step."""
            step = ops.cast(self.iterations + 1, "float32")
            return self.corrected_eps * ops.sqrt(1 - ops.power(self.beta_2, step))

        @epsilon.setter
        def epsilon(self, value: float) -> None:
            """Keras's constructor sets it; the property above ignores that."""

    return CorrectedAdam


def in_force(network: keras.Model, optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """By stage of ``bench.training.defaults.STAGES``; a stage that the network has no layer for is
    left out.

    Where Keras reports nothing (the variance of its BatchNorm), its class decides.
    """
    norms = _of(network, keras.layers.BatchNormalization)
    convolution = _of(network, keras.layers.Conv2D)[0]
    corrected = getattr(optimizer, "corrected_eps", None)
    return {
        **in_all("bn-eps", norms, lambda layer: layer.epsilon),
        **in_all("bn-momentum", norms, lambda layer: layer.momentum),
        **in_all("bn-variance", norms, lambda _: "n"),
        "weight-decay": "decoupled" if optimizer.weight_decay else "L2",
        **in_all(
            "lrn",
            _of(network, LocalResponseNorm),
            lambda layer: [layer.size, layer.alpha, layer.beta, layer.k],
        ),
        "layout": {"channels_last": "NHWC"}.get(convolution.data_format, "NCHW"),
        "precision": convolution.compute_dtype,
        "adam-eps": [corrected, "after"] if corrected else [optimizer.epsilon, "before"],
        "fused-update": None,
    }


def _of(network: keras.Model, kind: type[Any]) -> list[Any]:
    return [layer for layer in network.layers if isinstance(layer, kind)]
