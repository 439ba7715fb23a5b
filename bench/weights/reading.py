"""What a user says about a file of weights where the file does not."""

from __future__ import annotations

from dataclasses import dataclass

CHANNEL_ORDERS = ("RGB", "BGR")


@dataclass(frozen=True)
class Reading:
    """Answers to what a file leaves open; None and False leave it to the file.

    Attributes:
        named: The variant, where the tensors fit several.
        key: One of several sets of weights in the file.
        channel_order: Of the images that the first convolution takes, one of `CHANNEL_ORDERS`.
        partial: Whether the layers that fit are taken from a file of another network.
    """

    named: str | None = None
    key: str | None = None
    channel_order: str | None = None
    partial: bool = False


AS_IT_IS = Reading()
"""The file is to say everything."""
