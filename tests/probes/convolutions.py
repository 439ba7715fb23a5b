"""Which convolutions the probe ``patches`` looks at; apart from it, since it imports Keras."""

KERNELS = (2, 3, 4, 5)
GROUPED = ((1, "same"), (1, "valid"), (2, "valid"))
"""Strides and padding."""
