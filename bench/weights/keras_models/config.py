"""What the config of a Keras model says about its layers, read as data and never built.

Weights alone do not say what is computed with them: activation, kind of pool, padding, strides, the
epsilon of BatchNorm. The config of a ``.keras`` or ``.h5`` file does. It is read here as a chain of
layers, which `bench.weights.keras_models.check` compares with a network's rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.core.errors import UserError
from bench.weights.keras_models.graph import Graph

Config = Mapping[str, Any]

LARGEST_CONFIG = 8 << 20
"""Bytes; that of AlexNet has some 20,000."""
_TRAINING_ONLY = (
    "ActivityRegularization",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "RandomBrightness",
    "RandomContrast",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "SpatialDropout2D",
)
"""Layers that pass on what they get when nothing is trained."""
_SHOWN = 100
"""Letters of a value of the file in a message."""
_DEEPEST = 8
"""Of models within models."""


@dataclass(frozen=True)
class KerasLayer:
    """A layer as the config has it.

    Attributes:
        name: In the model.
        kind: That of a row (`bench.networks.architecture.LAYERS`), or words for what no row does.
        values: What the config says about it, under the names of the row's fields.
    """

    name: str
    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class KerasLayers:
    """The layers of a model, in the order of computing.

    Attributes:
        layers: All that change what comes out.
        dropouts: Each with the number of ``layers`` before it and its rate.
        softmax: Whether probabilities come out; the softmax is none of ``layers``.
        idle: Layers that act in training alone, dropout apart.
        precision: Name of a type policy that is not float32; None where there is none.
    """

    layers: list[KerasLayer] = field(default_factory=list)
    dropouts: list[tuple[int, float]] = field(default_factory=list)
    softmax: bool = False
    idle: list[str] = field(default_factory=list)
    precision: str | None = None


def parse(text: bytes | str, where: str) -> Config:
    """The config as JSON. Raises UserError where it is none or too large."""
    if len(text) > LARGEST_CONFIG:
        raise UserError(f"{where}: its config has more than {LARGEST_CONFIG} bytes")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: its config is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise UserError(f"{where}: its config is not an object")
    return found


def input_size(config: Config) -> tuple[int, ...] | None:
    """(H, W, C) that the model says it takes; None where it leaves that open."""
    for shape in _shapes(config, 0):
        if isinstance(shape, list) and len(shape) == 4 and all(type(n) is int for n in shape[1:]):
            return tuple(shape[1:])
    return None


def _shapes(entry: Any, depth: int) -> Iterator[Any]:
    """Input shapes of a model and the models within, the outermost first."""
    own = entry.get("config") if isinstance(entry, Mapping) else None
    if not isinstance(own, Mapping) or depth > _DEEPEST:
        return
    for name in ("batch_shape", "batch_input_shape", "build_input_shape"):
        yield own.get(name)
    layers = own.get("layers")
    for layer in layers if isinstance(layers, list) else ():
        yield from _shapes(layer, depth + 1)


def _shown(value: object) -> str:
    """A value of the file in a message: its beginning."""
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def layers_of(config: Config, size: int, where: str) -> KerasLayers:
    """The layers of a model for images of ``size`` pixels.

    Raises:
        UserError: It is a class of the user's own, no chain of layers, or not written as Keras
            writes it.
    """
    try:
        return _Reader(size, where).read(config)
    except (
        LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError
    ) as error:  # fmt: skip
        raise UserError(
            f"{where}: its config is not one of Keras ({_shown(repr(error))})"
        ) from error


class _Reader:
    """Reads layer after layer, with the extent of the map that each of them gets."""

    def __init__(self, size: int, where: str) -> None:
        self._extent, self._flat = size, False
        self._where = where
        self._padding: tuple[int, int] | None = None
        self._found = KerasLayers()

    def read(self, config: Config) -> KerasLayers:
        self._model(config, 0)
        if self._padding is not None:
            self._add("zero_padding", "a padding", {})
        return self._found

    def _model(self, entry: Config, depth: int) -> None:
        kind, own = entry["class_name"], entry["config"]
        if depth > _DEEPEST:
            raise UserError(f"{self._where}: models within models, {depth} deep")
        if kind not in _MODELS or not _stock(entry):
            raise UserError(
                f"{self._where}: the model is a class of its own ({_shown(kind)}), whose config "
                "does not say what it computes; build it from keras.Sequential or "
                "keras.Model(inputs, outputs), or save its weights alone (model.save_weights)"
            )
        entries = own["layers"]
        chain = entries if kind == "Sequential" else self._chain(own)
        for layer in chain:
            if isinstance(layer, KerasLayer):
                self._found.layers.append(layer)
            elif layer["class_name"] in _MODELS and _stock(layer):
                self._model(layer, depth + 1)
            else:
                self._layer(layer)

    def _layer(self, entry: Config) -> None:
        kind, own = entry["class_name"], entry["config"]
        name = _shown(own.get("name") or entry.get("name") or kind)
        policy = _policy(own)
        if policy not in (None, "float32"):
            self._found.precision = policy
        if kind in ("InputLayer", "Identity"):
            return
        if kind in _TRAINING_ONLY and _stock(entry):
            self._found.idle.append(f"{name} ({kind})")
        elif kind == "Dropout":
            self._found.dropouts.append((len(self._found.layers), float(own["rate"])))
        elif kind == "ZeroPadding2D":
            self._pad(name, own)
        elif kind in _LAYERS and _stock(entry):
            _LAYERS[kind](self, name, own)
        else:
            own_program = "" if _stock(entry) else " of a program of its own"
            self._add(name, f"a {_shown(kind)}{own_program}", {})

    def _add(self, name: str, kind: str, values: Config) -> None:
        if self._padding is not None and kind != "conv":
            values, self._padding = {**values, "padding": self._padding}, None
        self._found.layers.append(KerasLayer(name, kind, values))

    def _activation(self, name: str, own: Config) -> None:
        activation = _name_of(own.get("activation"))
        if activation == "softmax":
            self._found.softmax = True  # the check refuses it anywhere but at the end
        if activation != "linear":
            kind = activation if activation == "relu" else f"the activation {activation}"
            self._add(name, kind, {})

    def _pad(self, name: str, own: Config) -> None:
        rows, columns = ((int(before), int(after)) for before, after in own["padding"])
        if rows != columns or self._padding is not None:
            self._add(name, f"a padding of {rows} and {columns}", {})
            return
        self._padding = rows
        self._extent += sum(rows)

    def _conv(self, name: str, own: Config) -> None:
        kernel, stride, dilation = (
            _square(own[key]) for key in ("kernel_size", "strides", "dilation_rate")
        )
        before, after = self._padding or (0, 0)
        self._padding = None
        more = self._window(kernel, stride, own["padding"])
        values = {
            "kernel": kernel,
            "stride": stride,
            "padding": (before + more[0], after + more[1]),
            "groups": own.get("groups", 1),
            "dilation": dilation,
            "data_format": own.get("data_format"),
        }
        self._add(name, "conv", values)
        self._activation(name, own)

    def _window(self, size: int, stride: int, padding: str) -> tuple[int, int]:
        """Padding (before, after) that ``same`` adds; the extent after the layer is noted."""
        if padding != "same":
            self._extent = (self._extent - size) // stride + 1
            return 0, 0
        extent = -(-self._extent // stride)
        total = max((extent - 1) * stride + size - self._extent, 0)
        self._extent = extent
        return total // 2, total - total // 2

    def _pool(self, name: str, own: Config, kind: str) -> None:
        size = _square(own["pool_size"])
        stride = _square(own.get("strides") or size)
        padding = self._window(size, stride, own["padding"])
        values = {"size": size, "stride": stride, "data_format": own.get("data_format")}
        self._add(name, kind, values | ({"padding": padding} if any(padding) else {}))

    def _max_pool(self, name: str, own: Config) -> None:
        self._pool(name, own, "max_pool")

    def _average_pool(self, name: str, own: Config) -> None:
        self._pool(name, own, "an average pool")

    def _batch_norm(self, name: str, own: Config) -> None:
        axis = own.get("axis", -1)
        (axis,) = axis if isinstance(axis, list) else (axis,)
        last = axis in (-1, 1 if self._flat else 3)
        values = {"eps": own["epsilon"], "momentum": own["momentum"], "axis": -1 if last else axis}
        self._add(name, "batch_norm", values)

    def _relu(self, name: str, own: Config) -> None:
        slope = own.get("negative_slope", own.get("alpha")) or 0.0
        values = {"max_value": own.get("max_value"), "negative_slope": slope}
        self._add(name, "relu", values | {"threshold": own.get("threshold") or 0.0})

    def _softmax(self, name: str, own: Config) -> None:
        axis = own.get("axis", -1)
        if axis not in (-1, 1 if self._flat else 3):
            self._add(name, f"a Softmax over the axis {_shown(axis)}", {})
            return
        self._activation(name, {"activation": "softmax"})

    def _flatten(self, name: str, own: Config) -> None:
        self._flat = True
        self._add(name, "flatten", {"data_format": own.get("data_format")})

    def _dense(self, name: str, own: Config) -> None:
        self._add(name, "dense", {"units": own["units"]})
        self._activation(name, own)

    def _chain(self, own: Config) -> Iterator[Config | KerasLayer]:
        """The layers of a functional model, each the only one that reads the one before.

        Local response normalisation as `models_keras.weight_files` writes it counts as one.
        """
        graph = Graph(own, self._where)
        at: str | None = graph.first
        for _ in graph.entries:
            if at is None:
                return
            yield graph.entries[at]
            normalised = graph.normalised(at)
            if normalised is not None:
                window, beta, at = normalised
                yield KerasLayer(window, "lrn", {"beta": beta})
            at = graph.after(at)
        if at is not None:
            raise UserError(f"{self._where}: the layers of its config form a circle")


def _stock(entry: Config) -> bool:
    """Whether the class is Keras's own: another program's may compute anything."""
    registered = entry.get("registered_name")
    module = str(entry.get("module") or "keras")
    return registered in (None, entry["class_name"]) and module.split(".")[0] in _PACKAGES


def foreign(node: Any) -> str | None:
    """The first class or function in a config that is not Keras's own, which is not to be loaded.

    Keras has it imported by name, or unpickled, when it builds the model.
    """
    if isinstance(node, list):
        return next((name for each in node if (name := foreign(each))), None)
    if not isinstance(node, Mapping):
        return None
    kind = node.get("class_name")
    if isinstance(kind, str):
        module = str(node.get("module") or "keras").split(".")[0]
        if kind in ("__lambda__", "Lambda", "TFOpLambda", "SlicingOpLambda"):
            return kind
        if module not in (*_PACKAGES, "builtins") or ">" in str(node.get("registered_name")):
            return f"{node.get('module')}.{kind}"
    return next((name for each in node.values() if (name := foreign(each))), None)


def _square(value: Any) -> Any:
    """An extent that height and width share; both where they differ."""
    values = value if isinstance(value, list) else [value]
    return values[0] if len(set(values)) == 1 else tuple(values)


def _name_of(activation: Any) -> str:
    if activation is None:
        return "linear"
    if isinstance(activation, Mapping):
        inner = activation.get("config")
        return str(inner if isinstance(inner, str) else activation.get("class_name"))
    return str(activation)


def _policy(own: Config) -> str | None:
    """Name of the type policy of a layer."""
    policy = own.get("dtype")
    if isinstance(policy, Mapping):
        inner = policy.get("config")
        return str(inner.get("name")) if isinstance(inner, Mapping) else None
    return None if policy is None else str(policy)


_MODELS = ("Sequential", "Functional", "Model")
_PACKAGES = ("keras", "tensorflow", "tf_keras")
_LAYERS: dict[str, Callable[[_Reader, str, Config], None]] = {
    "Activation": _Reader._activation,
    "AveragePooling2D": _Reader._average_pool,
    "BatchNormalization": _Reader._batch_norm,
    "Conv2D": _Reader._conv,
    "Dense": _Reader._dense,
    "Flatten": _Reader._flatten,
    "MaxPooling2D": _Reader._max_pool,
    "ReLU": _Reader._relu,
    "Softmax": _Reader._softmax,
}
