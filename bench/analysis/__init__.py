"""The reading wing: from records to experiments, ratios, differences and verdicts."""
