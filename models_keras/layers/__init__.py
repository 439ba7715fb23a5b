"""Layers that Keras lacks, or that our own forms compute faster on a CPU."""
