"""Texts and nested values as records keep them and messages show them: error headlines, paths
without folders, dotted keys, counted things, JSON values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys: ``{"a": {"b": 1}}`` becomes ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def many(number: int, thing: str, things: str | None = None) -> str:
    """A number of things: ``1 record``, ``2,000 records``.

    Args:
        number: How many.
        thing: What one is called.
        things: What several are called, where that is not ``thing`` and an s.
    """
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def with_article(word: str) -> str:
    """``an int``, ``a dict``."""
    return f"{'an' if word[:1].lower() in tuple('aeio') else 'a'} {word}"


def shown_json(value: Any) -> str:
    """The beginning of a JSON value and its type, as a message shows what was found."""
    text = json.dumps(value, skipkeys=True, default=str)[:_SHOWN]
    if value is None or isinstance(value, bool):
        return text
    names: dict[type, str] = {str: "text", list: "list", dict: "object"}
    return f"the {names.get(type(value), 'number')} {text}"


_SHOWN = 60
"""Letters of a wrong value that a message shows."""
_FOLDERS = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:\"'<>|]+[/\\])+")


def printable(text: str) -> str:
    """A name for tables and files in UTF-8; what of it is not is escaped, as ``caf\\xe9``."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # no byte of a file's name
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def all_printable(value: Any) -> Any:
    """A JSON value whose texts are `printable`."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [all_printable(part) for part in value]
    if isinstance(value, dict):
        return {printable(name): all_printable(part) for name, part in value.items()}
    return value


@lru_cache(maxsize=4096)  # the settings of thousands of records are mostly the same few texts
def without_folders(text: str) -> str:
    """Text whose absolute paths keep their last part only: results are published, machines not."""
    return _FOLDERS.sub("…/", text)


def last_line(error: str | None) -> str:
    """The last line of an error that has words; what stands for one that has none."""
    lines = (error or "").strip().splitlines()
    return lines[-1] if lines else "no reason was recorded"


def headline(error: str) -> str:
    """The line of an error that says most: what a worker died of stands first, what it raised
    stands last."""
    lines = error.splitlines() or [""]
    return lines[-1] if lines[0].startswith("Traceback") else lines[0].removesuffix(":")
