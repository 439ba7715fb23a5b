"""Tables about speed, start-up, memory and baselines."""
