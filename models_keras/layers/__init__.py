"""The layers that Keras lacks or computes slowly on the CPU."""
