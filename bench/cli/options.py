"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Click callback: names with commas between them."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if value else ()


def numbers(_: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    """Click callback: whole numbers with commas between them."""
    try:
        return tuple(int(part) for part in value.split(",")) if value else ()
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers") from None


def listed(*flags: str, known: Any) -> Callable[[Any], Any]:
    """An option that takes several names with commas between them."""
    text = f"Any of {', '.join(known)}; commas between them."
    return click.option(*flags, callback=names, metavar="A,B", help=text)
