"""The layers that PyTorch lacks or computes slowly on the CPU."""
