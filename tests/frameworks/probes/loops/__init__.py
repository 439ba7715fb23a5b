"""Probes of the loops that tutorials and bare scripts write."""
