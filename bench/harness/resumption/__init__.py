"""How a run goes on: its folder, its settings, checkpoints of trainings, rounds of groups."""
