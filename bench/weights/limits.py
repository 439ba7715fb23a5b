"""Limits on what a file of weights may declare, checked before memory is allocated for it."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence

LARGEST = 2 << 30
"""Bytes of all tensors of a file; AlexNet has 244 MB in float32, 488 MB in float64."""

_DEFLATE = 1032
"""The largest compression ratio of deflate (https://zlib.net/zlib_tech.html)."""


def check_members(archive: zipfile.ZipFile, size: int) -> None:
    """Check the declared sizes of the members of a zip file of ``size`` bytes.

    Raises:
        ValueError: They cannot be true, or are too large.
    """
    members = archive.infolist()
    stored = sum(member.compress_size for member in members)
    if stored > size:
        raise ValueError(f"declares {stored} bytes in its members, and has {size}")
    for member in members:
        check_size(member.filename, member.file_size, member.compress_size)
    total = sum(member.file_size for member in members)
    if total > LARGEST:
        raise ValueError(f"declares {total} bytes; at most {LARGEST} are read")


def check_array(name: str, shape: Sequence[int], itemsize: int, stored: int) -> None:
    """Check that an array of this shape can come from ``stored`` bytes.

    Raises:
        ValueError: It cannot, or is too large.
    """
    check_size(f"{name} {tuple(shape)}", math.prod(shape) * itemsize, stored)


def check_size(name: str, declared: int, stored: int) -> None:
    """Check that ``declared`` bytes can come from ``stored`` ones, compressed or not.

    Raises:
        ValueError: They cannot, or are too many.
    """
    if declared < 0 or declared > LARGEST:
        raise ValueError(f"{name} declares {declared} bytes; at most {LARGEST} are read")
    if declared > _DEFLATE * stored:
        raise ValueError(f"{name} declares {declared} bytes, and {stored} are in the file")
