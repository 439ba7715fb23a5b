"""Two runs compared: which records may be, pairs, verdicts, and the gate."""
