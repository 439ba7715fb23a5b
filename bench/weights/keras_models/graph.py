"""The graph of a functional Keras model as its config has it: which layer reads which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.core.errors import UserError


class Graph:
    """Which layer of a functional model reads which."""

    def __init__(self, own: Mapping[str, Any], where: str) -> None:
        self.entries = {str(e.get("name") or e["config"]["name"]): e for e in own["layers"]}
        self._where = where
        self._inputs = {name: self._inputs_of(name) for name in self.entries}
        self._readers: dict[str, list[str]] = {name: [] for name in self.entries}
        for name, inputs in self._inputs.items():
            for each in inputs:
                self._readers[each].append(name)
        starts = [name for name, inputs in self._inputs.items() if not inputs]
        if len(starts) != 1:
            raise UserError(f"{where}: a model of {len(starts)} inputs; expected one of images")
        self.first = starts[0]

    def _inputs_of(self, name: str) -> list[str]:
        nodes = self.entries[name].get("inbound_nodes") or []
        if len(nodes) > 1:
            raise UserError(
                f"{self._where}: layer {name} is used {len(nodes)} times, expected once"
            )
        return list(dict.fromkeys(_tensors(nodes)))

    def after(self, name: str) -> str | None:
        """The layer that reads this one's output; None for the last one."""
        readers = self._readers[name]
        if len(readers) > 1:
            raise UserError(
                f"{self._where}: layer {name} goes to {' and '.join(readers)}; expected a chain of "
                "layers, each read by the next alone"
            )
        return readers[0] if readers else None

    def normalised(self, name: str) -> tuple[str, float | None, str] | None:
        """Local response normalisation of this layer's output, as `models_keras.weight_files`
        writes it: name of the sum, beta, name of the product that ends it."""
        kinds = {self.entries[reader]["class_name"]: reader for reader in self._readers[name]}
        if sorted(kinds) != ["Multiply", "Square"]:
            return None
        path = [kinds["Square"]]
        while len(path) < 4 and len(self._readers[path[-1]]) == 1:
            path += self._readers[path[-1]]
        wanted = ["Square", "Conv2D", "Power", "Multiply"]
        if [self.entries[each]["class_name"] for each in path] != wanted:
            return None
        _, window, power, product = path
        if product != kinds["Multiply"]:
            return None
        numbers = list(_numbers(self.entries[power].get("inbound_nodes")))
        beta = -numbers[0] if len(numbers) == 1 else None
        return window, beta, product


def _tensors(node: Any) -> Iterator[str]:
    """Names of the layers whose outputs a node reads, as Keras 3 or Keras 2 writes them."""
    if isinstance(node, Mapping):
        if node.get("class_name") == "__keras_tensor__":
            yield str(node["config"]["keras_history"][0])
        else:
            for each in node.values():
                yield from _tensors(each)
    elif isinstance(node, list):
        if len(node) > 2 and isinstance(node[0], str) and all(type(n) is int for n in node[1:3]):
            yield node[0]
        else:
            for each in node:
                yield from _tensors(each)


def _numbers(node: Any) -> Iterator[float]:
    """Numbers among the arguments of a node."""
    if isinstance(node, float):
        yield node
    elif isinstance(node, Mapping) and node.get("class_name") != "__keras_tensor__":
        for each in node.values():
            yield from _numbers(each)
    elif isinstance(node, list):
        for each in node:
            yield from _numbers(each)
