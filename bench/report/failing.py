"""What of a report fails is left out and said: no record may cost a reader the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from bench.core.errors import UserError

T = TypeVar("T")


class Failures:
    """The parts of one report that could not be made, a line each."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}

    @property
    def lines(self) -> list[str]:
        """In the order of failing."""
        return list(self._lines.values())

    def attempt(self, what: str, make: Callable[[], T], instead: Any) -> T:
        """What ``make`` returns; ``instead`` where it fails, which is then among the lines.

        What cannot be written is no such failure: OSError and UserError are raised.
        """
        try:
            return make()
        except (OSError, UserError):
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:_LETTERS]
            line = f"{what} could not be made: {type(error).__name__}: {reason}"
            self._lines.setdefault(what, line)
            found: T = instead
            return found


_LETTERS = 200
"""Of a reason at the most."""
