"""What the numbers of modules say about a network: how many stand between two layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.networks.architecture import Architecture, Dropout, Flatten, Layer

Numbered = Mapping[str, str]
"""Name of a layer in the file by its row."""


def contradiction(names: Mapping[str, str], architecture: Architecture) -> str | None:
    """Why the modules of a file cannot be those of a network; None where they can.

    Modules of a ``torch.nn.Sequential`` are numbered, those without weights too: between
    ``features.0`` and ``features.3`` are two, and no network with three layers there is meant. A
    BatchNorm right after its convolution does not stand after a ReLU.

    Args:
        names: The core's name of each tensor by the one in the file, without prefixes.
        architecture: The network.
    """
    theirs = {ours.rpartition(".")[0]: own.rpartition(".")[0] for own, ours in names.items()}
    for (before, after), rows in _between(theirs, architecture):
        there = _number(theirs[after]) - _number(theirs[before]) - 1
        if there < len(rows):
            count = f"{there or 'no'} {'module' if there == 1 else 'modules'}"
            expected = ", ".join(row.name for row in rows)
            return (
                f"{count} between {theirs[before]} and {theirs[after]}, and {architecture.name} "
                f"has {expected} there"
            )
    return None


def _between(
    theirs: Numbered, architecture: Architecture
) -> Iterator[tuple[tuple[str, str], list[Layer]]]:
    """Neighbouring layers of one Sequential, and the rows between them that any file has."""
    before, rows = "", list[Layer]()
    for row in architecture.layers:
        if row.name not in theirs:
            rows += [] if isinstance(row, Dropout | Flatten) else [row]
            continue
        pair = (before, row.name)
        if before and _in_sequence(theirs, pair, architecture):
            yield pair, rows
        before, rows = row.name, []


def _in_sequence(theirs: Numbered, pair: tuple[str, str], architecture: Architecture) -> bool:
    """Whether both are modules of one Sequential, in this order."""
    one, other = (theirs[name] for name in pair)
    parent = one.rpartition(".")[0]
    if not parent or other.rpartition(".")[0] != parent or not 0 <= _number(one) < _number(other):
        return False
    inside = [row for row in architecture.layers if row.name in theirs]
    inside = [row for row in inside if theirs[row.name].rpartition(".")[0] == parent]
    numbers = sorted(_number(theirs[row.name]) for row in inside)
    # Layers of one kind that are numbered one by one are a ModuleList: what stands between them is
    # in the code.
    one_by_one = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return not (one_by_one and len({row.kind for row in inside}) == 1)


def _number(layer: str) -> int:
    last = layer.rpartition(".")[2]
    return int(last) if last.isdecimal() else -1
