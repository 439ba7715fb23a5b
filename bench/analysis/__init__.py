"""Analysis of records: from records to experiments, ratios, differences and verdicts."""
