"""Which convolutions the probes look at; apart from them, since they import frameworks."""

KERNELS = (2, 3, 4, 5)
GROUPED = ((1, "same"), (1, "valid"), (2, "valid"))
"""Strides and padding."""

SEEING_ALL = {
    "3x3 on 2x2": ((2, 2), 3),
    "5x5 on 3x3": ((3, 3), 5),
    "5x5 on 2x3": ((2, 3), 5),
    "7x7 on 2x2": ((2, 2), 7),
    "1x1 on 1x1": ((1, 1), 1),
}
"""Height and width of a map, and the kernel whose every window reaches over all of it."""
