"""The description of the record format, made from the classes and rows that define it.

``python -m bench.harness.schema > docs/records.md`` writes it; a test compares the two.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

from bench.core.case import Case
from bench.core.kinds import KINDS
from bench.core.records import Record
from bench.core.schema.metrics import METRICS
from bench.core.upgrade import SCHEMA_VERSION
from bench.training.tracks import TRACKS

_HEAD = f"""\
# Records

This page is generated: `python -m bench.harness.schema > docs/records.md`.

`results/<run>/records.jsonl` has one JSON object a line, one for each (`case.id`, `kind`). A line
is flushed and fsynced before the next measurement starts. This is `schema_version`
{SCHEMA_VERSION}; version 1 is read and upgraded (`bench/core/upgrade.py`): its track `idiomatic` is
`tuned`, `waterfall` is `ablation`, `metrics.turns` is `metrics.interleaving`. A reader keeps
metrics that it does not know, and passes over other unknown fields.
"""


def page() -> str:
    """The text of ``docs/records.md``."""
    parts = [
        _HEAD,
        "## Fields\n",
        _table(("field", "type", "what it is"), _fields(Record)),
        "## The case\n",
        "`case.id` is made of all fields; a record whose id does not follow from them is refused. "
        "It names `defaults` and `execution` only where they are not the default.\n",
        _table(("field", "type", "what it is"), _fields(Case)),
        "## Kinds of measurement\n",
        _table(
            ("kind", "label", "unit of samples", "summary", "interleaved"),
            (
                (f"`{r.name}`", r.label, r.unit, r.summary, _yes(r.interleaved))
                for r in KINDS.values()
            ),
        ),
        "## Tracks\n",
        _table(("track", "question"), ((f"`{r.name}`", r.question) for r in TRACKS.values())),
        "## Metrics\n",
        "Pooled: how the values of several processes become one. A value is null where there was "
        "nothing to measure.\n",
        _table(
            ("metric", "kinds", "type", "unit", "pooled", "what it is"),
            (
                (f"`{r.name}`", ", ".join(r.kinds), _bare(r.type.words), r.unit, r.pooled, r.what)
                for r in METRICS.values()
            ),
        ),
    ]
    return "\n".join(parts)


def _bare(words: str) -> str:
    """Words without their article."""
    return words.removeprefix("a ").removeprefix("an ")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _fields(cls: type[Any]) -> list[tuple[str, str, str]]:
    """Name, type and description of each field of a dataclass, from its docstring."""
    described = attributes(cls)
    fields = [field for field in dataclasses.fields(cls) if field.compare]  # others are not stored
    return [
        (f"`{f.name}`", _type(str(f.type)), described[f.name].replace("None", "null"))
        for f in fields
    ]


def attributes(cls: type[Any]) -> dict[str, str]:
    """What the section ``Attributes`` of a docstring says, by name."""
    _, _, section = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        start = re.match(r" {4}(\w+): (.*)", line)
        if start:
            name = start[1]
            found[name] = start[2]
        elif line.strip():
            found[name] += f" {line.strip()}"
    return {name: text.replace("``", "`") for name, text in found.items()}


def _type(annotation: str) -> str:
    """A Python annotation in the words of JSON."""
    words = {
        "Case": "object",
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "true or false",
        "tuple[float, ...]": "list of numbers",
        "dict[str, Any]": "object",
        "tuple[dict[str, Any], ...]": "list of objects",
        "None": "null",
    }
    return " or ".join(words[part] for part in annotation.split(" | "))


if __name__ == "__main__":
    print(page(), end="")
