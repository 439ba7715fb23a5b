"""Faults on purpose: kills, signals, cuts, full disks, two runs at once; `make reliability`.

Scripts, not tests: they take minutes, draw at random, and print what was tried, survived and lost.
"""
