"""Whole networks in the closed track, the synthetic one and the published ones apart."""
