"""Reading ``run.json``, which may be damaged: types are checked before anything relies on them."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.core.errors import UserError, reason_of
from bench.core.schema.record_fields import check_depth
from bench.core.schema.shapes import is_number
from bench.core.text import all_printable, shown_json


class _Type(NamedTuple):
    holds: Callable[[Any], bool]
    words: str

    def check(self, name: str, value: Any) -> None:
        if not self.holds(value):
            raise UserError(f"{name} must be {self.words}, got {shown_json(value)}")


def _list_of(one: type, words: str) -> _Type:
    return _Type(lambda v: isinstance(v, list) and all(type(each) is one for each in v), words)


def _or_null(one: _Type) -> _Type:
    return _Type(lambda value: value is None or one.holds(value), f"{one.words} or null")


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and [type(part) for part in value] == [str, str]


_TEXT = _Type(lambda value: isinstance(value, str), "a text")
_TEXTS = _list_of(str, "a list of texts")
_COUNT = _Type(lambda value: type(value) is int, "a whole number")
_COUNTS = _list_of(int, "a list of whole numbers")
_FLAG = _Type(lambda value: isinstance(value, bool), "true or false")
_NUMBER = _Type(is_number, "a number")
_OBJECT = _Type(lambda value: isinstance(value, dict), "a JSON object")
_OBJECTS = _list_of(dict, "a list of objects")
_TEXT_BY_NAME = _Type(
    lambda v: isinstance(v, dict) and all(isinstance(each, str) for each in v.values()),
    "an object of texts",
)
_PAIRS = _Type(
    lambda value: isinstance(value, list) and all(map(_is_pair, value)), "a list of pairs of texts"
)

_FIELDS: dict[str, _Type] = {
    **dict.fromkeys(("command", "code", "started_at"), _TEXT),
    **dict.fromkeys(("options", "profile", "data", "plan"), _OBJECT),
    "versions": _TEXT_BY_NAME,
    **dict.fromkeys(("commit", "processor"), _or_null(_TEXT)),
    "tasks": _or_null(_PAIRS),
    "resumed": _OBJECTS,
    "frameworks": _TEXTS,
    "chosen": _FLAG,
    "format": _COUNT,
}
_OPTIONS: dict[str, _Type] = {
    **dict.fromkeys(("profile", "data", "device", "executor"), _TEXT),
    **dict.fromkeys(("weights", "key", "channel_order", "address"), _or_null(_TEXT)),
    **dict.fromkeys(("seeds", "resize", "threads"), _or_null(_COUNT)),
    **dict.fromkeys(("exclusive", "validation", "no_parity", "partial"), _FLAG),
    **dict.fromkeys(("batch_sizes", "input_sizes", "devices"), _COUNTS),
    **dict.fromkeys(("variants", "frameworks", "tracks", "kinds", "inits", "heads"), _TEXTS),
    **dict.fromkeys(("recipes", "precisions", "executions", "stages", "keep_env"), _TEXTS),
    "budget": _NUMBER,
    "save_weights": _or_null(_FLAG),
}
"""Of ``alexbench run``; what another version has besides them is not read."""


def read_run_file(path: Path) -> dict[str, Any] | None:
    """The content of a ``run.json``; None where there is none.

    What is there has its type; a field may be missing.

    Raises:
        UserError: The file is damaged, or no file; the message is one line.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe has no end
            raise UserError("no regular file")
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        _OBJECT.check("it", found)
        for name, value in found.items():
            check_depth(name, value)
        _check(found, _FIELDS, "")
        _check(found.get("options", {}), _OPTIONS, "options.")
        printable: dict[str, Any] = all_printable(found)
        return printable
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, UserError) as error:
        raise UserError(f"{path}: cannot be read ({reason_of(error)})") from error


def _refuse(constant: str) -> None:
    raise UserError(f"{constant} is no number of a setting")


def _check(value: Mapping[str, Any], types: Mapping[str, _Type], prefix: str) -> None:
    for name in types.keys() & value.keys():
        types[name].check(f"{prefix}{name}", value[name])
