"""What is measured: one network, in one framework, with one set of settings and one seed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.core.errors import UserError, unknown
from bench.core.text import shown_json

INITS = ("scratch", "pretrained")
PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
EAGER, COMPILED, GRAPHS = EXECUTIONS = ("eager", "compiled", "graphs")
"""Operation by operation; by a compiler; by a compiler, replayed as CUDA graphs."""
XLA, NO_XLA = f"{COMPILED}:xla", f"{COMPILED}:no-xla"
"""Compiled with Keras's ``jit_compile`` on or off, where its backend compiles either way."""
_STEPS = re.compile(rf"{COMPILED}:([2-9]|[1-9]\d{{1,3}})")

EXECUTION_NAMES = (*EXECUTIONS, XLA, NO_XLA, f"{COMPILED}:8")
"""As options list them; 8 stands for any number of steps."""

DEFAULT_EXECUTION = {
    "pytorch": "eager",
    "keras-tensorflow": "compiled",
    "keras-jax": "compiled",
    "keras-torch": "eager",
}
"""How a framework executes a network by default; eager where it is not listed.

A part of the record format, since an id leaves the default out: never changed, and the rows of
`bench.training.frameworks` take it from here."""


@dataclass(frozen=True)
class Case:
    """One row of the matrix: equal cases are the same experiment, and have the same id.

    Attributes:
        variant: Name of the network (`bench.networks.variants`).
        framework: Name of the implementation (`bench.training.frameworks`).
        track: Name of the conditions (`bench.training.tracks`).
        init: ``scratch`` or ``pretrained``.
        weights: Name of the weight source when ``init`` is ``pretrained``, else None.
        head: Which layers after the last pool are new (`bench.networks.variants.HEADS`).
        frozen: Whether the weights below the head are not trained.
        recipe: Name of the training recipe, followed by ``@budget`` when it was shortened.
        input_size: Height and width of the network's input, in pixels.
        precision: ``float32`` (products are not rounded), ``tf32`` (an accelerator may round
            float32 products to TensorFloat-32), ``bfloat16`` (activations and products) or
            ``float16`` (the same, with loss scaling).
        batch_size: Images of a step, on all devices together.
        seed: Of initial weights, batches, masks and the framework's own random numbers.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``xpu``.
        devices: Number of devices that train together.
        defaults: In the ablation of defaults, the last stage whose default is the shared one; else
            empty.
        execution: ``eager``, ``compiled``, ``compiled:8`` (with that many steps in each call of
            the compiled function), ``compiled:xla`` or ``compiled:no-xla`` (where the framework
            compiles with and without XLA), or ``graphs`` (compiled, and replayed as CUDA graphs);
            left out, it is the framework's default.
    """

    variant: str
    framework: str
    track: str = "closed"
    init: str = "scratch"
    weights: str | None = None
    head: str = "source"
    frozen: bool = False
    recipe: str = "steady"
    input_size: int = 32
    precision: str = "float32"
    batch_size: int = 128
    seed: int = 0
    device: str = "cpu"
    devices: int = 1
    defaults: str = ""
    execution: str = ""

    def __post_init__(self) -> None:
        # A case without a framework stands for all frameworks, however each of them executes.
        execution = (self.execution or self._default_execution) if self.framework else ""
        object.__setattr__(self, "execution", execution)

    @property
    def _default_execution(self) -> str:
        return DEFAULT_EXECUTION.get(self.framework, EXECUTIONS[0])

    @property
    def steps_per_execution(self) -> int:
        """Training steps in each call of the compiled function."""
        found = _STEPS.fullmatch(self.execution)
        return int(found[1]) if found else 1

    @property
    def xla(self) -> bool | None:
        """Whether XLA is asked for (True) or ruled out (False); None leaves it to the framework."""
        return {XLA: True, NO_XLA: False}.get(self.execution)

    @property
    def unusual_execution(self) -> str:
        """The execution where it is not the framework's default; else empty."""
        usual = not self.framework or self.execution == self._default_execution
        return "" if usual else self.execution

    @property
    def framework_label(self) -> str:
        """``pytorch``, or ``pytorch compiled`` where that is not how it executes by default."""
        return f"{self.framework} {self.unusual_execution}".strip()

    @cached_property
    def id(self) -> str:
        """Unique and readable; made of every field, so two different cases never share one.

        ``/`` separates the parts because no part contains it: ``pytorch`` is never a part of
        ``keras-torch``, and pytest's ``-k`` can tell them apart.
        """
        weights = self.weights or "none"
        init = "scratch" if self.init == "scratch" else f"{self.init}:{weights}"
        trunk = "frozen" if self.frozen else "trained"
        return "/".join(
            (
                self.variant,
                self.framework,
                self.track,
                init,
                self.head,
                trunk,
                self.recipe,
                f"{self.input_size}px",
                self.precision,
                f"b{self.batch_size}",
                f"s{self.seed}",
                f"{self.device}x{self.devices}",
                # Only where there is something to say: the ids of older records stay as they are.
                *([f"defaults:{self.defaults}"] if self.defaults else []),
                *([self.unusual_execution] if self.unusual_execution else []),
            )
        )

    def to_json(self) -> dict[str, Any]:
        """The ``case`` object of a record: every field and the id."""
        return {"id": self.id, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Case:
        """The case that :meth:`to_json` wrote.

        Raises:
            UserError: A field is missing or of another type, or the id does not follow from the
                fields.
        """
        if not isinstance(value, Mapping):
            raise UserError(f"a case is a JSON object, got {shown_json(value)}")
        missing = _FIELDS - value.keys() - _YOUNGER
        if missing:
            shown = str(dict(value))[:_SHOWN]
            raise UserError(f"case without {', '.join(sorted(missing))}: {shown}")
        for name in _FIELDS & value.keys():
            _check(name, value[name])
        case = cls(**{name: value[name] for name in _FIELDS & value.keys()})
        if value.get("id", case.id) != case.id:
            found, own = str(value["id"])[:_SHOWN], case.id[:_SHOWN]
            raise UserError(f"case id {found!r} does not belong to its fields ({own!r})")
        return case


_FIELDS = frozenset(field.name for field in dataclasses.fields(Case))

_SHOWN = 200
"""Letters of a wrong value that an error shows."""
_YOUNGER = {"defaults", "execution"}
"""Fields that the first records did not have."""

_TYPES = {"frozen": bool, "input_size": int, "batch_size": int, "seed": int, "devices": int}
"""Types of the fields that are no text."""
_LEAST = {"seed": 0}
"""Of whole numbers; 1 where it is not here."""
_END = 2**63
"""Whole numbers are below it."""


def _check(name: str, value: Any) -> None:
    """Raise UserError where a field of a case has a value that it cannot have."""
    wanted = _TYPES.get(name, str)
    if name == "weights" and value is None:
        return
    if type(value) is not wanted:
        words = {bool: "true or false", int: "a whole number", str: "a text"}[wanted]
        raise UserError(f"{name} of a case is {words}, got {shown_json(value)}")
    if name == "execution":
        check_execution(str(value))
    if isinstance(value, int) and wanted is int and not _LEAST.get(name, 1) <= value < _END:
        least = _LEAST.get(name, 1)
        raise UserError(f"{name} of a case is from {least} to {_END - 1}, got {str(value)[:60]}")


def check_execution(name: str) -> None:
    """Raise UserError for the name of no execution."""
    if name not in (*EXECUTIONS, XLA, NO_XLA) and not _STEPS.fullmatch(name):
        raise unknown("execution", name, EXECUTION_NAMES)
