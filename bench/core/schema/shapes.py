"""What a JSON value may be: numbers, texts, and lists and objects of them.

Records and workers' answers are checked by the shapes in their rows (`bench.core.schema.metrics`,
`bench.core.schema.record_fields`), so that readers need not ask again what a value is.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from bench.core.text import shown_json

LARGEST = 1e30
"""Of a number that is no loss: sums, products and ratios of such numbers stay finite."""
LARGEST_COUNT = 2**63
"""Whole numbers are below it."""
_SHOWN = 60
"""Letters of a name that an error shows."""

Parts = Iterator[tuple[str, "Shape", Any]]


def _no_parts(value: Any) -> Parts:
    yield from ()


@dataclass(frozen=True)
class Shape:
    """A kind of JSON value.

    Attributes:
        words: What it is, as an error says it.
        holds: Whether a value is one.
        parts: Of a value that is none: name, shape and value of what may be wrong within it.
    """

    words: str
    holds: Callable[[Any], bool]
    parts: Callable[[Any], Parts] = _no_parts

    def fault(self, name: str, value: Any) -> str | None:
        """What is wrong with a value, named where it is; None where it holds."""
        if self.holds(value):
            return None
        for inner, shape, part in self.parts(value):
            if found := shape.fault(f"{name}{inner}", part):
                return found
        return f"{name} must be {self.words}, got {shown_json(value)}"


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number that a float can hold."""
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is int and abs(value) <= sys.float_info.max


def _is_usual(value: Any) -> bool:
    return (type(value) is float or type(value) is int) and -LARGEST <= value <= LARGEST


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < LARGEST_COUNT


def _is_amount(value: Any) -> bool:
    return (type(value) is float or type(value) is int) and 0 <= value <= LARGEST


def _is_positive(value: Any) -> bool:
    return (type(value) is float or type(value) is int) and 1 / LARGEST <= value <= LARGEST


def _is_share(value: Any) -> bool:
    return (type(value) is float or type(value) is int) and 0 <= value <= 1


_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?")
_YEARS = range(1970, 2200)
"""That seconds since the epoch and all tables of times can hold."""


@lru_cache(maxsize=4096)
def _is_time(text: str) -> bool:
    try:
        return bool(_TIME.fullmatch(text)) and datetime.fromisoformat(text).year in _YEARS
    except ValueError:
        return False


NUMBER = Shape("a number", _is_usual)
LOSS = Shape("a number", is_number)
AMOUNT = Shape("a number from 0", _is_amount)
POSITIVE = Shape("a number above 0", _is_positive)
FRACTION = Shape("a fraction from 0 to 1", _is_share)
COUNT = Shape("a whole number from 0", _is_count)
SOME = Shape("a whole number from 1", lambda value: _is_count(value) and value > 0)
TEXT = Shape("a text", lambda value: type(value) is str)
FLAG = Shape("true or false", lambda value: type(value) is bool)
TIME = Shape("a UTC time like 2026-01-31T12:00:00+00:00, or empty",
             lambda value: type(value) is str and (not value or _is_time(value)))  # fmt: skip


def optional(shape: Shape) -> Shape:
    """The same, or null."""
    return Shape(
        f"{shape.words} or null",
        lambda value: value is None or shape.holds(value),
        lambda value: shape.parts(value) if value is not None else _no_parts(value),
    )


def list_of(shape: Shape, words: str = "") -> Shape:
    """A list, possibly empty; ``words`` are those of its parts."""

    def parts(value: Any) -> Parts:
        if type(value) is list:
            yield from ((f"[{place}]", shape, part) for place, part in enumerate(value))

    holds = shape.holds
    what = f"a list of {words}" if words else "a list"
    return Shape(what, lambda value: type(value) is list and all(map(holds, value)), parts)


def tuple_of(*shapes: Shape) -> Shape:
    """A list of so many values, one of each shape."""

    def parts(value: Any) -> Parts:
        if type(value) is list and len(value) == len(shapes):
            yield from (
                (f"[{place}]", shape, part)
                for place, (shape, part) in enumerate(zip(shapes, value, strict=True))
            )

    return Shape(
        f"a list of {len(shapes)}",
        lambda value: (
            type(value) is list
            and len(value) == len(shapes)
            and all(shape.holds(part) for shape, part in zip(shapes, value, strict=True))
        ),
        parts,
    )


def table_of(shape: Shape) -> Shape:
    """An object of any names, whose values are of one shape."""

    def parts(value: Any) -> Parts:
        if type(value) is dict:
            yield from ((f".{name[:_SHOWN]}", shape, part) for name, part in value.items())

    holds = shape.holds
    return Shape(
        "an object", lambda value: type(value) is dict and all(map(holds, value.values())), parts
    )


def object_of(
    needed: Mapping[str, Shape],
    may: Mapping[str, Shape] | None = None,
    *,
    alike: tuple[str, ...] = (),
) -> Shape:
    """An object with these names; it may have others, of which nothing is known.

    Args:
        needed: Names that must be there.
        may: Names that may be missing, or null.
        alike: Names of lists that have one length, where they are there.
    """
    must, others = list(needed.items()), list((may or {}).items())

    def holds(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for name, shape in must:
            if name not in value or not shape.holds(value[name]):
                return False
        for name, shape in others:
            part = value.get(name)
            if part is not None and not shape.holds(part):
                return False
        return len({len(value[name]) for name in alike if value.get(name) is not None}) < 2

    def parts(value: Any) -> Parts:
        if type(value) is dict:
            yield from ((f".{name}", shape, value[name]) for name, shape in must if name in value)
            yield from (
                (f".{name}", shape, value[name])
                for name, shape in others
                if value.get(name) is not None
            )

    words = f"an object with {', '.join(needed)}" if needed else "an object"
    same = f", {' and '.join(alike)} of one length" if alike else ""
    return Shape(f"{words}{same}", holds, parts)


def square(shape: Shape, words: str) -> Shape:
    """As many lists of as many values."""
    rows = list_of(list_of(shape, words), f"lists of {words}")
    return Shape(
        f"a square matrix of {words}",
        lambda value: rows.holds(value) and all(len(row) == len(value) for row in value),
        rows.parts,
    )


OBJECT = object_of({})
TEXTS = list_of(TEXT, "texts")
NUMBERS = list_of(NUMBER, "numbers")
AMOUNTS = list_of(AMOUNT, "numbers from 0")
POSITIVES = list_of(POSITIVE, "numbers above 0")
