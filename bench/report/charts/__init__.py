"""Plots that have a file of their own next to that of their table."""
