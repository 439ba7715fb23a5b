"""Resuming a run: its locked folder, its settings, checkpoints of trainings, rounds of groups."""
