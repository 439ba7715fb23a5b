"""Datasets: where images come from, how they are decoded, and which of them a training step
sees."""
