"""Captions of tables and plots: a sentence stands there only where what it explains is shown."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

INTERVAL, HOLLOW, FILLED, ARROW = "interval", "hollow mark", "filled mark", "arrow"
"""Marks of a plot that sentences may be bound to."""

AT_MOST, AT_LEAST = SIGNS = ("≤", "≥")
"""Signs before a number in a cell that sentences may be bound to."""


@dataclass(frozen=True)
class With:
    """Words that are bound to what they explain.

    Attributes:
        shown: The headers of columns, signs, or the names of marks; one of them is enough.
        words: Whole sentences.
    """

    shown: tuple[str, ...]
    words: str


Caption = str | tuple[str | With, ...]
"""Sentences, some of them bound."""


def read_with(caption: Caption, shown: Container[str]) -> str:
    """The sentences that are about what is shown.

    Args:
        caption: All sentences.
        shown: Headers of columns and signs, or names of marks.
    """
    if isinstance(caption, str):
        return caption
    return " ".join(
        part if isinstance(part, str) else part.words
        for part in caption
        if isinstance(part, str) or any(one in shown for one in part.shown)
    )
