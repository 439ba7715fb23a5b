"""Layers that PyTorch lacks, or that our own kernels compute faster on a CPU."""
