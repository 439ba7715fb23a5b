"""The audit of a run: what would make its figures untrue."""
