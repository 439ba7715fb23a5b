"""Code that is named by a string: extensions, and the functions that registries name.

``ALEXBENCH_EXTENSIONS`` names modules, commas between them. Each is imported in the parent and in
every worker, and registers its variants and frameworks when it is imported.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from bench.core.errors import UserError


def load_object(target: str) -> Any:
    """The object that ``module:name`` names, imported when it is asked for.

    Rows of a registry name implementations this way, so that the core imports no framework.

    Raises:
        ImportError: There is no such module.
        AttributeError: The module has no such name.
    """
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def load() -> None:
    """Import every named module; UserError when one cannot be imported."""
    names = (name.strip() for name in os.environ.get("ALEXBENCH_EXTENSIONS", "").split(","))
    for name in filter(None, names):
        try:
            importlib.import_module(name)
        except (ImportError, TypeError, ValueError) as error:  # a path is a relative name
            raise UserError(
                f"ALEXBENCH_EXTENSIONS: cannot import {name!r} ({error}); "
                "give modules that are on PYTHONPATH"
            ) from error
