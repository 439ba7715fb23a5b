"""The parity check: whether a framework computes the network that its row describes, judged by
float64 numpy."""
