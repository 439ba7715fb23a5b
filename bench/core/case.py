"""What is measured: one network, in one framework, with one set of settings and one seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.core.errors import UserError

INITS = ("scratch", "pretrained")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Case:
    """One row of the matrix. Two equal cases are the same experiment; the id says all of it."""

    variant: str
    framework: str
    track: str = "closed"
    init: str = "scratch"
    weights: str | None = None
    """Name of the weight source when ``init`` is ``pretrained``."""
    head: str = "source"
    frozen: bool = False
    recipe: str = "steady"
    """Name of the training recipe, with ``@budget`` behind it when it was shortened."""
    input_size: int = 32
    precision: str = "float32"
    batch_size: int = 128
    seed: int = 0
    device: str = "cpu"
    devices: int = 1
    defaults: str = ""
    """In the ablation of defaults, the last stage whose default is the shared one; else empty."""

    @property
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
                # Only where there is one: ids of records from before the field stay what they are.
                *([f"defaults:{self.defaults}"] if self.defaults else []),
            )
        )

    def to_json(self) -> dict[str, Any]:
        """The ``case`` object of a record: every field and the id."""
        return {"id": self.id, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Case:
        """The case that :meth:`to_json` wrote; UserError when its id does not follow from it."""
        fields = {field.name for field in dataclasses.fields(cls)}
        missing = fields - value.keys() - {"defaults"}  # younger than the first records
        if missing:
            raise UserError(f"case without {', '.join(sorted(missing))}: {dict(value)}")
        case = cls(**{name: value[name] for name in fields & value.keys()})
        if value.get("id", case.id) != case.id:
            raise UserError(f"case id {value['id']!r} does not belong to its fields ({case.id})")
        return case
