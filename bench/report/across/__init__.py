"""Pages, plots and texts about several runs: compared with each other, and over time."""
